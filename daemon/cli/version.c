/* kpid version: ours, and those of the libraries that this binary runs with. */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>
#include <zlib.h>

int cli_version(int argc, char **argv)
{
    (void)printf("kpid, version %s\n"
                 "compiler   %s\n"
                 "librdkafka %s\n"
                 "libevent   %s\n"
                 "hiredis    %d.%d.%d\n"
                 "cJSON      %s\n"
                 "libyaml    %s\n"
                 "libcurl    %s\n"
                 "OpenSSL    %s\n"
                 "zlib       %s\n",
                 KPID_VERSION, __VERSION__, rd_kafka_version_str(), event_get_version(),
                 HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, cJSON_Version(),
                 yaml_get_version_string(), curl_version_info(CURLVERSION_NOW)->version,
                 OpenSSL_version(OPENSSL_VERSION_STRING), zlibVersion());
    return 0;
}
