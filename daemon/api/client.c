#include "client.h"

#include "util/error.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_BYTES_MAX = 64 << 20,
};

static size_t on_data(char *data, size_t one, size_t size, void *userdata)
{
    struct client_reply *reply = userdata;
    char *text;

    if (size > ANSWER_BYTES_MAX - reply->size)
        return 0;
    text = realloc(reply->text, reply->size + size + 1);
    if (!text)
        return 0;
    memcpy(text + reply->size, data, size);
    reply->text = text;
    reply->size += size;
    text[reply->size] = '\0';
    return size;
}

static CURLcode perform(CURL *curl, const char *target, struct client_reply *reply)
{
    /* None of these can fail but for want of memory, which then shows as a failed transfer. */
    (void)curl_easy_setopt(curl, CURLOPT_URL, target);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the daemon is ours and near */
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    (void)curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "kpid");
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reply->error);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    return curl_easy_perform(curl);
}

int client_get(struct client_reply *ret_reply, const char *url, const char *path)
{
    struct client_reply reply = {0};
    CURL *curl = curl_easy_init();
    char *target = NULL;
    CURLcode code;

    if (!curl || asprintf(&target, "%s%s", url, path) < 0) {
        curl_easy_cleanup(curl);
        return error_origin(-ENOMEM);
    }
    code = perform(curl, target, &reply);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_cleanup(curl);
    free(target);
    if (code == CURLE_OK && !reply.text)
        reply.text = calloc(1, 1);
    if (code == CURLE_OUT_OF_MEMORY || (code == CURLE_OK && !reply.text)) {
        free(reply.text);
        return error_origin(-ENOMEM);
    }
    if (code != CURLE_OK) {
        free(reply.text);
        reply.text = NULL;
        reply.size = 0;
        if (!reply.error[0])
            (void)snprintf(reply.error, sizeof(reply.error), "%s", curl_easy_strerror(code));
        *ret_reply = reply;
        return CLIENT_E_AWAY;
    }
    *ret_reply = reply;
    return 0;
}
