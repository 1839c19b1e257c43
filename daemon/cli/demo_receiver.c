/* What an on-call tool does with a webhook, at its shortest: see demo_receiver.h. */
#include "cli/demo_receiver.h"

#include "sink/sink.h"
#include "util/error.h"

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/in.h>

struct demo_receiver {
    struct event_base *base;
    struct evhttp *http;
    pthread_t thread;
    bool running;
    char url[64];
    char secret[64];
};

static const char *string(const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return value ? value : "";
}

static double number(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void print_alert(const cJSON *body)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(body, "data");
    const cJSON *title = cJSON_GetObjectItemCaseSensitive(data, "title");
    bool firing = strcmp(string(data, "status"), "firing") == 0;

    (void)printf("\n  %s  %s  level %s\n"
                 "      %s %s, campaign %s\n"
                 "      value %.4g, target %.4g, %.0f of %.0f\n"
                 "      id %s\n\n",
                 firing ? "ALERT 告警" : "RESOLVED 恢复", string(body, "timestamp"),
                 string(data, "level"), string(title, "zh"), string(title, "en"),
                 string(data, "campaign"), number(data, "value"), number(data, "target"),
                 number(data, "numerator"), number(data, "denominator"), string(data, "id"));
    (void)fflush(stdout);
}

static bool authentic(const struct demo_receiver *receiver, struct evhttp_request *request,
                      const void *bytes, size_t size)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const char *id = evhttp_find_header(headers, "webhook-id");
    const char *timestamp = evhttp_find_header(headers, "webhook-timestamp");
    const char *signature = evhttp_find_header(headers, "webhook-signature");
    char expected[64];

    return id && timestamp && signature &&
           sink_sign(receiver->secret, id, strtoll(timestamp, NULL, 10), bytes, size, expected) ==
               0 &&
           strcmp(signature, expected) == 0;
}

static void on_request(struct evhttp_request *request, void *userdata)
{
    const struct demo_receiver *receiver = userdata;
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(input);
    const char *bytes = (const char *)evbuffer_pullup(input, -1);
    cJSON *body;

    if (!bytes || !authentic(receiver, request, bytes, size)) {
        evhttp_send_reply(request, 401, "Unauthorized", NULL);
        return;
    }
    body = cJSON_ParseWithLength(bytes, size);
    if (body)
        print_alert(body);
    cJSON_Delete(body);
    evhttp_send_reply(request, 204, "No Content", NULL);
}

static void *receiver_main(void *userdata)
{
    struct demo_receiver *receiver = userdata;

    (void)event_base_dispatch(receiver->base);
    return NULL;
}

static int make_secret(struct demo_receiver *receiver)
{
    unsigned char bytes[24];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_origin(-EIO);
    (void)snprintf(receiver->secret, sizeof(receiver->secret), "whsec_");
    (void)EVP_EncodeBlock((unsigned char *)receiver->secret + strlen("whsec_"), bytes,
                          sizeof(bytes));
    return 0;
}

int demo_receiver_new(struct demo_receiver **ret_receiver)
{
    struct demo_receiver *receiver = calloc(1, sizeof(*receiver));
    struct evhttp_bound_socket *socket = NULL;
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int r;

    if (!receiver)
        return error_origin(-ENOMEM);
    (void)evthread_use_pthreads();
    r = make_secret(receiver);
    receiver->base = r == 0 ? event_base_new() : NULL;
    receiver->http = receiver->base ? evhttp_new(receiver->base) : NULL;
    if (receiver->http) {
        evhttp_set_max_body_size(receiver->http, 64 * 1024);
        evhttp_set_max_headers_size(receiver->http, 8 * 1024);
        evhttp_set_gencb(receiver->http, on_request, receiver);
        socket = evhttp_bind_socket_with_handle(receiver->http, "127.0.0.1", 0);
    }
    if (!socket ||
        getsockname(evhttp_bound_socket_get_fd(socket), (struct sockaddr *)&address, &length) < 0) {
        (void)demo_receiver_free(receiver);
        return error_origin(-EADDRNOTAVAIL);
    }
    (void)snprintf(receiver->url, sizeof(receiver->url), "http://127.0.0.1:%u/alerts",
                   ntohs(address.sin_port));
    r = pthread_create(&receiver->thread, NULL, receiver_main, receiver);
    if (r != 0) {
        (void)demo_receiver_free(receiver);
        return error_origin(-r);
    }
    receiver->running = true;
    *ret_receiver = receiver;
    return 0;
}

struct demo_receiver *demo_receiver_free(struct demo_receiver *receiver)
{
    if (!receiver)
        return NULL;
    if (receiver->running) {
        (void)event_base_loopbreak(receiver->base);
        (void)pthread_join(receiver->thread, NULL);
    }
    if (receiver->http)
        evhttp_free(receiver->http);
    if (receiver->base)
        event_base_free(receiver->base);
    free(receiver);
    return NULL;
}

const char *demo_receiver_url(const struct demo_receiver *receiver)
{
    return receiver->url;
}

const char *demo_receiver_secret(const struct demo_receiver *receiver)
{
    return receiver->secret;
}
