/* kpid run: the daemon. */
#include "cli/cli.h"
#include "server.h"
#include "util/log.h"
#include "util/memory.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char help[] = "usage: kpid run -c FILE [-o logfmt|json] [-v]\n\n"
                           "  kpid run -c /etc/kpid/kpid.yaml\n"
                           "  kpid run -c kpid.yaml -o json       log lines as JSON\n\n"
                           "  -c, --config FILE   the configuration (see config/kpid.yaml)\n"
                           "  -o, --output FORM   form of log lines on stderr\n"
                           "  -v, --verbose       log debug lines too\n\n"
                           "SIGHUP reads the configuration again; SIGTERM takes a last checkpoint "
                           "and ends, a second one ends\n"
                           "at once.\n";

int cli_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"output", required_argument, NULL, 'o'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct server_options server = {.version = KPID_VERSION};
    enum log_format format = LOG_FORMAT_LOGFMT;
    enum log_level level = LOG_LEVEL_INFO;
    int option;

    while ((option = getopt_long(argc, argv, "c:o:vh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            server.config_path = optarg;
            break;
        case 'o':
            if (strcmp(optarg, "json") == 0)
                format = LOG_FORMAT_JSON;
            else if (strcmp(optarg, "logfmt") != 0)
                return cli_usage("run", "-o is logfmt or json, not", optarg);
            break;
        case 'v':
            level = LOG_LEVEL_DEBUG;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("run", "unknown option", NULL);
        }
    }
    if (!server.config_path)
        return cli_usage("run", "-c FILE is needed", NULL);
    if (optind < argc)
        return cli_usage("run", "unexpected argument", argv[optind]);
    log_setup(level, format);
    memory_expect_much();
    return server_run(&server);
}
