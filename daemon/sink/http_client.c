/*
 * libcurl on libevent.
 *
 * libcurl tells by two callbacks which sockets and which time it waits for; both do no more than
 * arm events, for libcurl must not be entered again from within them (curl issues 3537, 3601).
 * Events enter it by curl_multi_socket_action(), and what has finished is collected afterwards.
 *
 * Connections are not kept: alerts are rare, and a connection that is used again would carry one
 * receiver's permission to connect over to another one.
 */
#include "sink/http_client.h"

#include "util/clock.h"
#include "util/error.h"

#include <assert.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct http_client {
    struct event_base *base; /* borrowed */
    CURLM *multi;
    struct event *timer; /* libcurl's one */
    unsigned n_requests;
};

struct http_request {
    struct http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    struct event *deadline;
    bool (*may_connect)(void *userdata, const struct sockaddr *address);
    void (*done)(void *userdata, const struct http_answer *answer);
    void *userdata;
    int64_t started_us;
    size_t n_header_bytes, n_body_bytes;
    bool head_complete; /* of the final answer, not of a 1xx */
    bool refused;       /* an address was not to be connected to */
    bool too_long;
};

static struct timeval timeval_of(int64_t us)
{
    if (us < 0)
        us = 0;
    return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

/* Ends a request in whatever state it is. */
static void request_free(struct http_request *request)
{
    struct http_client *client = request->client;

    if (request->easy) {
        curl_multi_remove_handle(client->multi, request->easy);
        curl_easy_cleanup(request->easy);
    }
    curl_slist_free_all(request->headers);
    if (request->deadline)
        event_free(request->deadline);
    client->n_requests--;
    free(request);
}

static void request_finish(struct http_request *request, const char *error)
{
    struct http_answer answer = {.duration_us = clock_monotonic_us() - request->started_us};
    struct curl_header *header;
    char *retry_after = NULL;
    long status = 0;

    if (request->head_complete)
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    answer.status = (int)status;
    if (status == 0) {
        answer.error = request->refused    ? "address is not allowed"
                       : request->too_long ? "answer is too long"
                       : error             ? error
                                           : "answer is incomplete";
    } else if (curl_easy_header(request->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) ==
               CURLHE_OK) {
        retry_after = strdup(header->value); /* without memory it counts as absent */
        answer.retry_after = retry_after;
    }
    /* Before `done`: it may begin another one, and frees what the body was borrowed from. */
    void (*done)(void *, const struct http_answer *) = request->done;
    void *userdata = request->userdata;
    request_free(request);
    done(userdata, &answer);
    free(retry_after);
}

static void collect(struct http_client *client)
{
    struct http_request *request;
    CURLMsg *message;
    CURLcode code;
    int n_left;

    while ((message = curl_multi_info_read(client->multi, &n_left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        code = message->data.result; /* the message goes with its handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        request_finish(request, code == CURLE_OK ? NULL : curl_easy_strerror(code));
    }
}

static void enter(struct http_client *client, curl_socket_t fd, int what)
{
    int n_running;

    (void)curl_multi_socket_action(client->multi, fd, what,
                                   &n_running); /* errors are per transfer */
    collect(client);
}

static void on_socket(evutil_socket_t fd, short what, void *userdata)
{
    enter(userdata, fd,
          ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
    enter(userdata, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl's own total time has been seen to be left unarmed (curl issue 23025). */
static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
    request_finish(userdata, "timed out");
}

static int socket_callback(CURL *easy, curl_socket_t fd, int what, void *userdata,
                           void *socket_data)
{
    struct http_client *client = userdata;
    struct event *event = socket_data;

    if (event) {
        event_free(event);
        curl_multi_assign(client->multi, fd, NULL);
    }
    if (what == CURL_POLL_REMOVE)
        return 0;
    event = event_new(client->base, fd,
                      (short)(EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) |
                              ((what & CURL_POLL_OUT) ? EV_WRITE : 0)),
                      on_socket, client);
    if (!event || event_add(event, NULL) < 0) {
        if (event)
            event_free(event);
        return -1; /* no memory: libcurl fails all transfers, they are tried again */
    }
    curl_multi_assign(client->multi, fd, event);
    return 0;
}

static int timer_callback(CURLM *multi, long timeout_ms, void *userdata)
{
    struct http_client *client = userdata;
    struct timeval wait;

    if (timeout_ms < 0)
        return event_del(client->timer);
    wait = timeval_of(timeout_ms * 1000);
    return event_add(client->timer, &wait);
}

static curl_socket_t open_callback(void *userdata, curlsocktype purpose,
                                   struct curl_sockaddr *address)
{
    struct http_request *request = userdata;

    if (!request->may_connect(request->userdata, &address->addr)) {
        request->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t header_callback(char *data, size_t size, size_t n, void *userdata)
{
    struct http_request *request = userdata;
    const size_t bytes = size * n;
    long status = 0;

    request->n_header_bytes += bytes;
    if (request->n_header_bytes > HTTP_ANSWER_BYTES_MAX) {
        request->too_long = true;
        return 0;
    }
    if (bytes <= 2 && (data[0] == '\r' || data[0] == '\n')) {
        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
        request->head_complete |= status >= 200;
    }
    return bytes;
}

/* The answer is in its status: the body is read, up to a bound, only to let the receiver finish. */
static size_t body_callback(char *data, size_t size, size_t n, void *userdata)
{
    struct http_request *request = userdata;

    request->n_body_bytes += size * n;
    if (request->n_body_bytes > HTTP_ANSWER_BYTES_MAX) {
        request->too_long = true;
        return 0;
    }
    return size * n;
}

struct http_client *http_client_free(struct http_client *client)
{
    if (!client)
        return NULL;
    assert(client->n_requests == 0);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    if (client->timer)
        event_free(client->timer);
    free(client);
    curl_global_cleanup();
    return NULL;
}

int http_client_new(struct http_client **ret_client, struct event_base *base)
{
    struct http_client *client;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return error_origin(-ENOMEM);
    client = calloc(1, sizeof(*client));
    if (!client) {
        curl_global_cleanup();
        return error_origin(-ENOMEM);
    }
    client->base = base;
    client->timer = event_new(base, -1, 0, on_timer, client);
    client->multi = curl_multi_init();
    if (!client->timer || !client->multi) {
        http_client_free(client);
        return error_origin(-ENOMEM);
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_callback);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    *ret_client = client;
    return 0;
}

static bool append_header(struct http_request *request, const char *header)
{
    struct curl_slist *list = curl_slist_append(request->headers, header);

    if (!list)
        return false;
    request->headers = list;
    return true;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, (option), (value)) != CURLE_OK)                                 \
            return false;                                                                          \
    } while (0)

/* False is out of memory, or a libcurl without one of these: then nothing must be sent. */
static bool set_limits(CURL *easy, const struct http_post *post)
{
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, ""); /* else $http_proxy counts */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (post->ca_file) {
        SET(CURLOPT_CAINFO, post->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* that file alone, not the system's beside it */
    }
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver thread at the end */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(post->connect_us_max / 1000));
    SET(CURLOPT_TIMEOUT_MS, (long)(post->total_us_max / 1000));
    SET(CURLOPT_LOW_SPEED_LIMIT, 10L); /* bytes a second, for … */
    SET(CURLOPT_LOW_SPEED_TIME, 10L);
    return true;
}

static bool set_request(CURL *easy, struct http_request *request, const struct http_post *post)
{
    SET(CURLOPT_PRIVATE, request);
    SET(CURLOPT_URL, post->url);
    SET(CURLOPT_USERAGENT, post->user_agent);
    SET(CURLOPT_HTTPHEADER, request->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, post->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->size);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_callback);
    SET(CURLOPT_OPENSOCKETDATA, request);
    SET(CURLOPT_HEADERFUNCTION, header_callback);
    SET(CURLOPT_HEADERDATA, request);
    SET(CURLOPT_WRITEFUNCTION, body_callback);
    SET(CURLOPT_WRITEDATA, request);
    return true;
}

int http_client_post(struct http_client *client, const struct http_post *post,
                     struct http_request **ret_request)
{
    const struct timeval deadline = timeval_of(post->total_us_max + post->total_us_max / 16);
    struct http_request *request = calloc(1, sizeof(*request));
    const char *const *header;
    bool ok = true;

    if (!request)
        return error_origin(-ENOMEM);
    client->n_requests++;
    request->client = client;
    request->may_connect = post->may_connect;
    request->done = post->done;
    request->userdata = post->userdata;
    request->started_us = clock_monotonic_us();
    for (header = post->headers; *header; header++)
        ok = ok && append_header(request, *header);
    ok = ok && append_header(request, "Expect:"); /* bodies are small: no round trip to ask first */
    ok = ok && (request->easy = curl_easy_init());
    ok = ok && set_limits(request->easy, post) && set_request(request->easy, request, post);
    ok = ok && (request->deadline = event_new(client->base, -1, 0, on_deadline, request));
    ok = ok && event_add(request->deadline, &deadline) == 0;
    ok = ok && curl_multi_add_handle(client->multi, request->easy) == CURLM_OK;
    if (!ok) {
        request_free(request);
        return error_origin(-ENOMEM);
    }
    *ret_request = request;
    return 0;
}

void http_request_cancel(struct http_request *request)
{
    request_free(request);
}

/* The host as written: between "//" and the path, without user and port. */
static int written_host(const char *url, char **ret_host)
{
    const char *begin = strstr(url, "://"), *end, *p;
    char *host;

    if (!begin)
        return HTTP_E_URL;
    begin += 3;
    end = begin + strcspn(begin, "/?#");
    for (p = begin; p < end; p++)
        if (*p == '@')
            begin = p + 1;
    if (*begin == '[') {
        p = memchr(begin, ']', (size_t)(end - begin));
        if (!p)
            return HTTP_E_URL;
        end = p + 1;
    } else {
        p = memchr(begin, ':', (size_t)(end - begin));
        if (p)
            end = p;
    }
    host = strndup(begin, (size_t)(end - begin));
    if (!host)
        return error_origin(-ENOMEM);
    *ret_host = host;
    return 0;
}

int http_url_host(const char *url, char **ret_host, bool *ret_tls)
{
    char *scheme = NULL, *parsed = NULL, *host = NULL;
    CURLU *handle;
    const char *p;
    int r = HTTP_E_URL;

    for (p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return HTTP_E_URL;
    handle = curl_url();
    if (!handle)
        return error_origin(-ENOMEM);
    if (curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(handle, CURLUPART_HOST, &parsed, 0) == CURLUE_OK &&
        (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0)) {
        r = written_host(url, &host);
        if (r == 0 && (host[0] == '\0' || strcasecmp(host, parsed) != 0)) {
            free(host);
            r = HTTP_E_URL;
        }
    }
    if (r == 0) {
        *ret_tls = strcmp(scheme, "https") == 0;
        *ret_host = host;
    }
    curl_free(scheme);
    curl_free(parsed);
    curl_url_cleanup(handle);
    return r;
}
