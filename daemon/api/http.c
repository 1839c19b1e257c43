/*
 * Why not evhttp: its limits are unlimited by default, its time-outs are per read, it serves
 * requests with transfer codings, bare LF or no Host, and its error pages echo (reference faults,
 * C.2 to C.9). Each of those would need a filter in front of it that parses the request anyway;
 * what is left, answering GET and HEAD from memory, is this file.
 *
 * A connection is always in one state, and one function, enter(), moves it and sets its deadline:
 *
 *   READING    a request is awaited or arriving: header time-out, since the connection or first
 * byte WRITING    the answer is on its way: response time-out; nothing is read meanwhile IDLE kept
 * alive between requests: what is left of the connection's time LINGERING  our side is shut; what
 * still arrives is thrown away, so that the kernel does not answer it with a reset that takes our
 * last answer away: 1 s
 *
 * At most HEAD_BYTES_MAX + some of input is held per connection (a read watermark), so pipelining
 * is bounded; output is bounded by one answer per connection and by output_bytes_max over all.
 */
#include "http.h"

#include "util/clock.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

enum {
    INPUT_BYTES_MAX = 2 * HTTP_HEAD_BYTES_MAX,
};

#define SECOND           INT64_C(1000000)
#define LINGER_TIMEOUT   SECOND
#define EMFILE_PAUSE     (SECOND / 10)
#define LINGER_BYTES_MAX ((size_t)64 * 1024)

enum state {
    READING,
    WRITING,
    IDLE,
    LINGERING,
};

struct connection {
    LIST_ENTRY(connection) entry;
    struct http_server *server;
    struct bufferevent *stream;
    struct event *timer;
    enum state state;
    bool closing;        /* after the answer under way */
    uint8_t address[16]; /* IPv4 mapped; IPv6 its /64 */
    int64_t opened_at;   /* monotonic */
    size_t n_seen;       /* bytes of input already searched for the end of the head */
    size_t n_drained;    /* while lingering */
    size_t n_output;     /* bytes of the answer under way, counted in the server's */
};

struct http_server {
    struct http_options options;
    struct evconnlistener *listener;
    struct event *resume; /* after EMFILE */
    LIST_HEAD(, connection) connections;
    unsigned n_connections;
    uint64_t n_output;
    struct http_request request; /* the one being handled: they are, one after the other */
};

static struct log_limit accept_limit = LOG_LIMIT(3, 60);

static const struct {
    unsigned status;
    const char *reason, *code;
    enum counters_code counter;
} statuses[] = {
    {200, "OK", "ok", COUNTERS_CODE_200},
    {304, "Not Modified", "not_modified", COUNTERS_CODE_304},
    {400, "Bad Request", "bad_request", COUNTERS_CODE_400},
    {404, "Not Found", "not_found", COUNTERS_CODE_404},
    {405, "Method Not Allowed", "method_not_allowed", COUNTERS_CODE_405},
    {408, "Request Timeout", "timeout", COUNTERS_CODE_408},
    {413, "Content Too Large", "content_too_large", COUNTERS_CODE_413},
    {414, "URI Too Long", "uri_too_long", COUNTERS_CODE_414},
    {417, "Expectation Failed", "expectation_failed", COUNTERS_CODE_417},
    {431, "Request Header Fields Too Large", "headers_too_large", COUNTERS_CODE_431},
    {500, "Internal Server Error", "internal", COUNTERS_CODE_500},
    {503, "Service Unavailable", "unavailable", COUNTERS_CODE_503},
    {505, "HTTP Version Not Supported", "version_not_supported", COUNTERS_CODE_505},
};

static unsigned status_index(unsigned status)
{
    for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == status)
            return i;
    }
    assert(!"a status that http.c does not know");
    return 0;
}

static void connection_free(struct connection *connection)
{
    struct http_server *server = connection->server;

    LIST_REMOVE(connection, entry);
    server->n_connections--;
    server->n_output -= connection->n_output;
    counters_set(counters.http_connections, server->n_connections);
    if (connection->timer)
        event_free(connection->timer);
    if (connection->stream)
        bufferevent_free(connection->stream);
    free(connection);
}

static void enter(struct connection *connection, enum state state)
{
    const struct http_options *options = &connection->server->options;
    int64_t left = 0;
    struct timeval timeout;

    connection->state = state;
    switch (state) {
    case READING:
        left = options->header_timeout_us;
        break;
    case WRITING:
        left = options->response_timeout_us;
        break;
    case IDLE:
        left = connection->opened_at + options->connection_timeout_us - clock_monotonic_us();
        break;
    case LINGERING:
        left = LINGER_TIMEOUT;
        break;
    }
    if (left < 0)
        left = 0;
    timeout = (struct timeval){.tv_sec = left / SECOND, .tv_usec = left % SECOND};
    /* Fails only for want of memory in the heap of timers, whose place this event already has. */
    (void)event_add(connection->timer, &timeout);
    if (state == WRITING)
        (void)bufferevent_disable(connection->stream, EV_READ);
    else
        (void)bufferevent_enable(connection->stream, EV_READ);
}

void http_response_error(struct http_response *response, const struct http_request *request,
                         unsigned status, const char *code, const char *message)
{
    bool json = request && request->path && strncmp(request->path, "/api/", 5) == 0;

    response->status = status;
    response->content_type = json ? "application/json; charset=utf-8" : "text/plain; charset=utf-8";
    response->etag[0] = '\0';
    response->gzipped = false;
    (void)evbuffer_drain(response->body, evbuffer_get_length(response->body));
    /* Without memory the body stays empty, and the status says enough. */
    if (json)
        (void)evbuffer_add_printf(
            response->body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}\n", code, message);
    else
        (void)evbuffer_add_printf(response->body, "%s\n", message);
}

static int put_headers(struct evbuffer *output, const struct connection *connection,
                       const struct http_response *response, size_t length)
{
    unsigned index = status_index(response->status);
    char date[40];
    time_t now = (time_t)(clock_now_us() / SECOND);
    struct tm parts;
    int r;

    (void)gmtime_r(&now, &parts);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    r = evbuffer_add_printf(
        output,
        "HTTP/1.1 %u %s\r\n"
        "Date: %s\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n"
        "Cache-Control: no-store\r\n"
        "Vary: Accept, Accept-Encoding\r\n",
        response->status, statuses[index].reason, date);
    if (r >= 0 && response->etag[0])
        r = evbuffer_add_printf(output, "ETag: W/\"%s\"\r\n", response->etag);
    if (r >= 0 && response->status != 304)
        r = evbuffer_add_printf(output, "Content-Type: %s\r\nContent-Length: %zu\r\n%s",
                                response->content_type, length,
                                response->gzipped ? "Content-Encoding: gzip\r\n" : "");
    if (r >= 0 && response->status == 405)
        r = evbuffer_add_printf(output, "Allow: GET, HEAD\r\n");
    if (r >= 0)
        r = evbuffer_add_printf(output, "%s\r\n",
                                connection->closing ? "Connection: close\r\n" : "");
    return r < 0 ? error_origin(-ENOMEM) : 0;
}

/* Sends headers and body; frees the connection if even that fails. */
static void send_response(struct connection *connection, const struct http_response *response,
                          bool head)
{
    struct evbuffer *output = bufferevent_get_output(connection->stream);
    size_t length = evbuffer_get_length(response->body);

    counters_add(&counters.http_requests[statuses[status_index(response->status)].counter], 1);
    if (put_headers(output, connection, response, length) < 0 ||
        (!head && response->status != 304 && evbuffer_add_buffer(output, response->body) < 0)) {
        connection_free(connection);
        return;
    }
    connection->n_output = evbuffer_get_length(output);
    connection->server->n_output += connection->n_output;
    enter(connection, WRITING);
}

/* An answer to what is no request that can be trusted: then nothing behind it can be either. */
static void refuse(struct connection *connection, unsigned status)
{
    struct http_response response = {.status = status, .body = evbuffer_new()};

    if (!response.body) {
        connection_free(connection);
        return;
    }
    connection->closing = true;
    http_response_error(&response, NULL, status, statuses[status_index(status)].code,
                        statuses[status_index(status)].reason);
    send_response(connection, &response, false);
    evbuffer_free(response.body);
}

bool http_response_is_known(const struct http_response *response,
                            const struct http_request *request)
{
    char quoted[sizeof(response->etag) + 2];

    if (!request->if_none_match || !response->etag[0] || response->status != 200)
        return false;
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", response->etag);
    return strcmp(request->if_none_match, "*") == 0 || strstr(request->if_none_match, quoted);
}

bool http_request_accepts_gzip(const struct http_request *request)
{
    int quality;

    if (!request->accept_encoding)
        return false;
    quality = http_list_quality(request->accept_encoding, "gzip");
    if (quality < 0)
        quality = http_list_quality(request->accept_encoding, "*");
    return quality > 0;
}

static void compress_body(const struct http_request *request, struct http_response *response)
{
    size_t size = evbuffer_get_length(response->body), zipped_size;
    void *zipped;

    if (response->gzipped || size <= HTTP_GZIP_BYTES_MIN || !http_request_accepts_gzip(request))
        return;
    if (http_gzip(evbuffer_pullup(response->body, -1), size, &zipped, &zipped_size) < 0)
        return;
    (void)evbuffer_drain(response->body, size);
    if (evbuffer_add(response->body, zipped, zipped_size) < 0)
        http_response_error(response, request, 500, "internal", "out of memory");
    else
        response->gzipped = true;
    free(zipped);
}

static bool is_route(const char *route, const char *path)
{
    size_t length = strlen(route);

    if (length == 1 || route[length - 1] != '/')
        return strcmp(route, path) == 0;
    return strncmp(route, path, length) == 0 && path[length];
}

static const struct http_route *find_route(const struct http_server *server, const char *path)
{
    for (unsigned i = 0; i < server->options.n_routes; i++) {
        if (is_route(server->options.routes[i].path, path))
            return &server->options.routes[i];
    }
    return NULL;
}

static void handle(struct connection *connection, const struct http_request *request)
{
    struct http_server *server = connection->server;
    const struct http_route *route = find_route(server, request->path);
    struct http_response response = {.status = 200, .body = evbuffer_new()};
    int64_t age = clock_monotonic_us() - connection->opened_at;

    if (!response.body) {
        connection_free(connection);
        return;
    }
    connection->closing = !request->keep_alive || age >= server->options.connection_timeout_us;
    if (server->n_output > server->options.output_bytes_max)
        http_response_error(&response, request, 503, "unavailable", "too many slow clients");
    else if (!route)
        http_response_error(&response, request, 404, "not_found", "there is no such page");
    else
        route->handler(server->options.userdata, request, &response);
    if (http_response_is_known(&response, request))
        response.status = 304;
    else
        compress_body(request, &response);
    send_response(connection, &response, request->head);
    evbuffer_free(response.body);
}

/* Takes one request from the input if there is a whole one. */
static void process(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->stream);
    struct http_request *request = &connection->server->request;
    size_t size = evbuffer_get_length(input), length;
    const char *bytes;
    int r;

    if (size == 0)
        return;
    if (connection->state == IDLE)
        enter(connection, READING);
    if (size > HTTP_HEAD_BYTES_MAX)
        size = HTTP_HEAD_BYTES_MAX;
    bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)size);
    if (!bytes) {
        connection_free(connection);
        return;
    }
    r = http_parse_end(bytes, size, connection->n_seen, &length);
    if (r == 0 && length == 0) {
        connection->n_seen = size;
        return;
    }
    if (r == 0) {
        r = http_parse_head(request, bytes, length);
        (void)evbuffer_drain(input, length);
        connection->n_seen = 0;
    }
    if (r)
        refuse(connection, (unsigned)r);
    else
        handle(connection, request);
}

static void on_read(struct bufferevent *stream, void *userdata)
{
    struct connection *connection = userdata;
    struct evbuffer *input = bufferevent_get_input(stream);

    if (connection->state == LINGERING) {
        connection->n_drained += evbuffer_get_length(input);
        (void)evbuffer_drain(input, evbuffer_get_length(input));
        if (connection->n_drained > LINGER_BYTES_MAX)
            connection_free(connection);
    } else if (connection->state != WRITING) {
        process(connection);
    }
}

/* The answer has left. */
static void on_written(struct bufferevent *stream, void *userdata)
{
    struct connection *connection = userdata;

    if (connection->state != WRITING)
        return;
    connection->server->n_output -= connection->n_output;
    connection->n_output = 0;
    if (connection->closing) {
        struct evbuffer *input = bufferevent_get_input(stream);

        (void)evbuffer_drain(input, evbuffer_get_length(input));
        (void)shutdown(bufferevent_getfd(stream),
                       SHUT_WR); /* fails if the peer is gone: then too */
        enter(connection, LINGERING);
    } else {
        enter(connection, IDLE);
        process(connection); /* what was pipelined meanwhile */
    }
}

static void on_end(struct bufferevent *stream, short events, void *userdata)
{
    connection_free(userdata);
}

static void on_timeout(evutil_socket_t fd, short events, void *userdata)
{
    struct connection *connection = userdata;

    switch (connection->state) {
    case READING:
        counters_add(counters.http_timeouts, 1);
        if (connection->n_seen > 0)
            refuse(connection, 408);
        else
            connection_free(connection);
        break;
    case WRITING:
        counters_add(counters.http_timeouts, 1);
        connection_free(connection);
        break;
    case IDLE:
    case LINGERING:
        connection_free(connection);
        break;
    }
}

/* What counts as one address: all of IPv4, the network part of IPv6, as one host has a whole /64.
 */
static bool take_address(uint8_t ret_address[16], const struct sockaddr *peer)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

    memset(ret_address, 0, 16);
    if (peer->sa_family == AF_INET) {
        ret_address[10] = ret_address[11] = 0xff;
        memcpy(ret_address + 12, &v4->sin_addr, 4);
    } else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        memcpy(ret_address, &v6->sin6_addr, 16);
    } else if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) {
        memcpy(ret_address, &v6->sin6_addr, 16);
        return true;
    } else {
        memcpy(ret_address, &v6->sin6_addr, 8);
        return false;
    }
    return ret_address[12] == 127;
}

static bool is_admitted(const struct http_server *server, const uint8_t address[16],
                        bool is_loopback)
{
    unsigned n_same = 0, n_max;
    struct connection *connection;

    if (server->n_connections >= server->options.connections_max)
        return false;
    LIST_FOREACH(connection, &server->connections, entry)
    n_same += memcmp(connection->address, address, 16) == 0;
    n_max = is_loopback ? server->options.connections_loopback_max
                        : server->options.connections_address_max;
    return n_same < n_max;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int peer_length, void *userdata)
{
    struct http_server *server = userdata;
    struct connection *connection;
    uint8_t address[16];
    bool is_loopback = take_address(address, peer);
    int one = 1;

    connection = is_admitted(server, address, is_loopback) ? calloc(1, sizeof(*connection)) : NULL;
    if (!connection) {
        counters_add(counters.http_connections_refused, 1);
        log_limited(&accept_limit, LOG_LEVEL_WARNING, "HTTP connection refused: too many are open",
                    LOG_FIELDS(LOG_INT("open", server->n_connections)));
        (void)evutil_closesocket(fd);
        return;
    }
    connection->server = server;
    memcpy(connection->address, address, sizeof(address));
    connection->opened_at = clock_monotonic_us();
    LIST_INSERT_HEAD(&server->connections, connection, entry);
    counters_set(counters.http_connections, ++server->n_connections);
    connection->stream = bufferevent_socket_new(server->options.base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!connection->stream)
        (void)evutil_closesocket(fd);
    connection->timer = evtimer_new(server->options.base, on_timeout, connection);
    if (!connection->stream || !connection->timer) {
        connection_free(connection);
        return;
    }
    /* An answer is one burst; waiting to fill a packet would only delay its end. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    bufferevent_setcb(connection->stream, on_read, on_written, on_end, connection);
    bufferevent_setwatermark(connection->stream, EV_READ, 0, INPUT_BYTES_MAX);
    enter(connection, READING);
}

/* Without descriptors accept() fails again at once: the listener rests, or the loop would spin. */
static void on_accept_error(struct evconnlistener *listener, void *userdata)
{
    struct http_server *server = userdata;
    struct timeval pause = {.tv_usec = EMFILE_PAUSE};

    log_limited(&accept_limit, LOG_LEVEL_WARNING,
                "HTTP connections cannot be accepted, trying again in 100 ms",
                LOG_FIELDS(LOG_ERRNO(EVUTIL_SOCKET_ERROR())));
    (void)evconnlistener_disable(listener);
    (void)event_add(server->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short events, void *userdata)
{
    struct http_server *server = userdata;

    (void)evconnlistener_enable(server->listener);
}

static void default_to(int64_t *option, int64_t value)
{
    if (*option == 0)
        *option = value;
}

static void set_defaults(struct http_options *options)
{
    if (options->connections_max == 0)
        options->connections_max = 256;
    if (options->connections_address_max == 0)
        options->connections_address_max = 16;
    if (options->connections_loopback_max == 0)
        options->connections_loopback_max = 64;
    if (options->output_bytes_max == 0)
        options->output_bytes_max = (uint64_t)128 << 20;
    default_to(&options->header_timeout_us, 5 * SECOND);
    default_to(&options->response_timeout_us, 30 * SECOND);
    default_to(&options->connection_timeout_us, 120 * SECOND);
}

union listen_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "1.2.3.4:80" or "[::1]:80"; port 0 lets the kernel choose, which libevent's own parser refuses.
 * Returns the length of the address, 0 if there is none. */
static int parse_listen(const char *listen, union listen_address *ret_address)
{
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : 0, n_digits;
    char host[INET6_ADDRSTRLEN];
    unsigned long port;

    memset(ret_address, 0, sizeof(*ret_address));
    if (length == 0 || length >= sizeof(host))
        return 0;
    n_digits = strspn(colon + 1, "0123456789");
    port = strtoul(colon + 1, NULL, 10);
    if (n_digits == 0 || n_digits > 5 || colon[1 + n_digits] || port > UINT16_MAX)
        return 0;
    memcpy(host, listen, length);
    host[length] = '\0';
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        ret_address->v6.sin6_family = AF_INET6;
        ret_address->v6.sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host + 1, &ret_address->v6.sin6_addr) == 1
                   ? (int)sizeof(ret_address->v6)
                   : 0;
    }
    ret_address->v4.sin_family = AF_INET;
    ret_address->v4.sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &ret_address->v4.sin_addr) == 1 ? (int)sizeof(ret_address->v4)
                                                                    : 0;
}

int http_server_new(struct http_server **ret_server, const struct http_options *options)
{
    CLEANUP(http_server_freep) struct http_server *server = calloc(1, sizeof(*server));
    union listen_address address;
    int length;

    if (!server)
        return error_origin(-ENOMEM);
    LIST_INIT(&server->connections);
    server->options = *options;
    server->options.listen = NULL; /* borrowed, and needed only here */
    set_defaults(&server->options);
    length = parse_listen(options->listen, &address);
    if (length == 0)
        return HTTP_E_ADDRESS;
    server->resume = evtimer_new(options->base, on_resume, server);
    if (!server->resume)
        return error_origin(-ENOMEM);
    server->listener =
        evconnlistener_new_bind(options->base, on_accept, server,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                128, (struct sockaddr *)&address, length);
    if (!server->listener)
        return errno == EADDRINUSE ? HTTP_E_IN_USE
               : errno == ENOMEM   ? error_origin(-ENOMEM)
                                   : HTTP_E_REFUSED;
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    *ret_server = server;
    server = NULL;
    return 0;
}

struct http_server *http_server_free(struct http_server *server)
{
    if (!server)
        return NULL;
    while (!LIST_EMPTY(&server->connections))
        connection_free(LIST_FIRST(&server->connections));
    if (server->listener)
        evconnlistener_free(server->listener);
    if (server->resume)
        event_free(server->resume);
    free(server);
    return NULL;
}

void http_server_freep(struct http_server **server)
{
    *server = http_server_free(*server);
}

uint16_t http_server_port(const struct http_server *server)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    /* The socket is ours and bound: this cannot fail. */
    (void)getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address,
                      &length);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}
