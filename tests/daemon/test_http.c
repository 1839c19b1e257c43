/*
 * The HTTP server answers clean GET and HEAD requests, refuses everything else with the right
 * status and closes, and no client can hold it: not by slowness, size, number or pipelining.
 *
 * Server and clients share one thread: a client that waits turns the server's loop.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "api/http.h"
#include "util/clock.h"
#include "util/counters.h"

#define SECOND INT64_C(1000000)

enum {
    BIG_BYTES = 100000,
    HUGE_BYTES = 16 << 20,
};

static struct event_base *base;
static struct http_server *server;
static unsigned n_handled;
static char answer[1 << 20];

static void handle_text(void *userdata, const struct http_request *request,
                        struct http_response *response)
{
    n_handled++;
    response->content_type = "text/plain; charset=utf-8";
    evbuffer_add_printf(response->body, "hello\n");
}

static void fill(struct http_response *response, size_t size)
{
    response->content_type = "text/plain; charset=utf-8";
    for (size_t i = 0; i < size / 10; i++)
        evbuffer_add(response->body, "0123456789", 10);
}

static void handle_big(void *userdata, const struct http_request *request,
                       struct http_response *response)
{
    fill(response, BIG_BYTES);
}

static void handle_huge(void *userdata, const struct http_request *request,
                        struct http_response *response)
{
    fill(response, HUGE_BYTES);
}

static void handle_query(void *userdata, const struct http_request *request,
                         struct http_response *response)
{
    response->content_type = "text/plain; charset=utf-8";
    for (unsigned i = 0; i < request->n_parameters; i++)
        evbuffer_add_printf(response->body, "[%s=%s]", request->parameters[i].name,
                            request->parameters[i].value);
}

static void handle_version(void *userdata, const struct http_request *request,
                           struct http_response *response)
{
    handle_text(userdata, request, response);
    strcpy(response->etag, "a-7");
}

static const struct http_route routes[] = {
    {"/text", handle_text},   {"/big", handle_big},         {"/huge", handle_huge},
    {"/query", handle_query}, {"/version", handle_version},
};

static struct http_options options_default(void)
{
    return (struct http_options){
        .base = base,
        .listen = "127.0.0.1:0",
        .routes = routes,
        .n_routes = sizeof(routes) / sizeof(routes[0]),
    };
}

static void start(const struct http_options *options)
{
    assert_int_equal(http_server_new(&server, options), 0);
    n_handled = 0;
}

static int setup(void **state)
{
    struct http_options options;

    base = event_base_new();
    options = options_default();
    start(&options);
    return 0;
}

static int teardown(void **state)
{
    server = http_server_free(server);
    event_base_free(base);
    return 0;
}

static void restart(const struct http_options *options)
{
    server = http_server_free(server);
    start(options);
}

static int client_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_send(int fd, const void *bytes, size_t size)
{
    /* A server that has refused may have closed: then the rest need not arrive. */
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
}

static void turn(int fd, int timeout_ms)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    event_base_loop(base, EVLOOP_NONBLOCK);
    (void)poll(&pollfd, 1, timeout_ms);
}

/* Reads until the server closes, or until `until` stands in what came. Returns the bytes in all. */
static size_t client_read(int fd, const char *until)
{
    size_t length = 0;

    for (;;) {
        ssize_t n = recv(fd, answer + length, sizeof(answer) - 1 - length, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        if (n > 0)
            length += (size_t)n;
        answer[length] = '\0';
        if (until && strstr(answer, until))
            break;
        if (n < 0)
            turn(fd, 1);
    }
    answer[length] = '\0';
    return length;
}

/* Sends bytes on a connection of its own and reads to the end. Returns the status, 0: closed mute.
 */
static int ask_bytes(const void *bytes, size_t size)
{
    int fd = client_open(), status = 0;

    client_send(fd, bytes, size);
    client_read(fd, NULL);
    close(fd);
    if (sscanf(answer, "HTTP/1.1 %d ", &status) != 1)
        assert_int_equal(strlen(answer), 0);
    return status;
}

static int ask(const char *text)
{
    return ask_bytes(text, strlen(text));
}

static const char *body(void)
{
    const char *end = strstr(answer, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

#define TAIL " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_get(void **state)
{
    assert_int_equal(ask("GET /text" TAIL), 200);
    assert_string_equal(body(), "hello\n");
    assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Length: 6\r\n"));
    assert_non_null(strstr(answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Security-Policy: default-src 'self'; "
                                   "frame-ancestors 'none'\r\n"));
    assert_non_null(strstr(answer, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    assert_non_null(strstr(answer, "\r\nDate: "));
}

static void test_head_has_the_same_headers_and_no_body(void **state)
{
    assert_int_equal(ask("HEAD /text" TAIL), 200);
    assert_string_equal(body(), "");
    assert_non_null(strstr(answer, "\r\nContent-Length: 6\r\n"));
}

static void test_http_1_0_needs_no_host_and_closes(void **state)
{
    assert_int_equal(ask("GET /text HTTP/1.0\r\n\r\n"), 200);
    assert_string_equal(body(), "hello\n");
}

static void test_must_refuse(void **state)
{
    static const struct {
        int status;
        const char *request;
    } table[] = {
        {404, "GET /nothing" TAIL},
        {404, "GET /text/" TAIL},
        {404, "GET /%74ext" TAIL},
        {405, "POST /text" TAIL},
        {405, "DELETE /text" TAIL},
        {405, "OPTIONS /text" TAIL},
        {405, "get /text" TAIL},
        {400, "G(T /text" TAIL},
        {400, " GET /text" TAIL},
        {400, "GET  /text" TAIL},
        {400, "GET /text  HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /text\r\n\r\n"},
        {400, "GET\r\n\r\n"},
        {400, "\r\n\r\n"},
        {400, "\r\nGET /text" TAIL},
        {400, "GET /text HTTP/1.1 \r\nHost: x\r\n\r\n"},
        {400, "GET /text http/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /text HTTP/1.10\r\nHost: x\r\n\r\n"},
        {400, "GET /text HTTP/11\r\nHost: x\r\n\r\n"},
        {505, "GET /text HTTP/2.0\r\nHost: x\r\n\r\n"},
        {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {400, "GET http://x/text" TAIL},
        {400, "GET *" TAIL},
        {400, "GET text" TAIL},
        {405, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /text#a" TAIL},
        {400, "GET /te\xe4xt" TAIL},
        {400, "GET /text\\" TAIL},
        {400, "GET /text%" TAIL},
        {400, "GET /text%2" TAIL},
        {400, "GET /text%zz" TAIL},
        /* framing */
        {400, "GET /text HTTP/1.1\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x y\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x/y\r\n\r\n"},
        {400, "GET /text HTTP/1.1\nHost: x\n\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\n\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost : x\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nA\xe4: b\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\ntransfer-encoding: identity\r\n\r\n"},
        {413, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
              "Transfer-Encoding: chunked\r\n\r\nabc"},
        {413, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"},
        {413, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"},
        {400, "GET /text HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"},
        {417, "GET /text HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"},
        {400, "\x16\x03\x01\x02"}, /* a TLS hello */
        /* queries */
        {400, "GET /query?a=%" TAIL},
        {400, "GET /query?a=%4" TAIL},
        {400, "GET /query?a=%00" TAIL},
        {400, "GET /query?a=%0a" TAIL},
        {400, "GET /query?a=%7f" TAIL},
        {400, "GET /query?a=%c2%85" TAIL},
        {400, "GET /query?a=%ff" TAIL},
        {400, "GET /query?a=%c0%af" TAIL},
        {400, "GET /query?a=%ed%a0%80" TAIL},
        {400, "GET /query?a=%e5%a4" TAIL},
        {400, "GET /query?a=1&a=2" TAIL},
        {400, "GET /query?a=1&%61=2" TAIL},
        {400, "GET /query?a" TAIL},
        {400, "GET /query?=1" TAIL},
        {400, "GET /query?a=1&&b=2" TAIL},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int status = ask(table[i].request);

        if (status != table[i].status)
            fail_msg("%d instead of %d for: %s", status, table[i].status, table[i].request);
        assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
        assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    }
    assert_int_equal(n_handled, 0);
}

static void test_refusals_never_echo(void **state)
{
    assert_int_equal(ask("GET /<script>alert(1)" TAIL), 400);
    assert_null(strstr(answer, "script"));
    assert_int_equal(ask("GET /nothing-of-this-name" TAIL), 404);
    assert_null(strstr(answer, "of-this-name"));
    assert_int_equal(ask("GET /query?script=%" TAIL), 400);
    assert_null(strstr(answer, "script"));
}

static void test_errors_are_json_under_api(void **state)
{
    assert_int_equal(ask("GET /api/v1/nothing" TAIL), 404);
    assert_non_null(strstr(answer, "\r\nContent-Type: application/json; charset=utf-8\r\n"));
    assert_string_equal(
        body(), "{\"error\":{\"code\":\"not_found\",\"message\":\"there is no such page\"}}\n");
}

static void test_nul_is_refused_wherever_it_stands(void **state)
{
    static const char request[] = "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char bytes[sizeof(request)];

    for (size_t i = 0; i + 5 < sizeof(request); i++) {
        memcpy(bytes, request, sizeof(request));
        bytes[i] = '\0';
        assert_int_equal(ask_bytes(bytes, sizeof(request) - 1), 400);
    }
}

static void test_a_zero_content_length_is_no_body(void **state)
{
    assert_int_equal(ask("GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                         "Connection: close\r\n\r\n"),
                     200);
}

static void test_query_is_decoded(void **state)
{
    assert_int_equal(
        ask("GET /query?campaign=618+%E5%A4%A7%E4%BF%83&scope=rolling:7d&x=a%3Db" TAIL), 200);
    assert_string_equal(body(), "[campaign=618 大促][scope=rolling:7d][x=a=b]");
    assert_int_equal(ask("GET /query?" TAIL), 200);
    assert_string_equal(body(), "");
}

static void test_query_bounds(void **state)
{
    char request[4096];
    size_t length;

    length = (size_t)sprintf(request, "GET /query?a0=0");
    for (int i = 1; i < HTTP_PARAMETERS_MAX; i++)
        length += (size_t)sprintf(request + length, "&a%d=%d", i, i);
    strcpy(request + length, TAIL);
    assert_int_equal(ask(request), 200);
    strcpy(request + length, "&b=1" TAIL);
    assert_int_equal(ask(request), 400);

    sprintf(request, "GET /query?a=%0*d" TAIL, HTTP_VALUE_BYTES_MAX, 1);
    assert_int_equal(ask(request), 200);
    sprintf(request, "GET /query?a=%0*d" TAIL, HTTP_VALUE_BYTES_MAX + 1, 1);
    assert_int_equal(ask(request), 400);
}

static void test_target_bound(void **state)
{
    char request[HTTP_TARGET_BYTES_MAX + 200];

    sprintf(request, "GET /%0*d" TAIL, HTTP_TARGET_BYTES_MAX - 1, 1);
    assert_int_equal(ask(request), 404);
    sprintf(request, "GET /%0*d" TAIL, HTTP_TARGET_BYTES_MAX, 1);
    assert_int_equal(ask(request), 414);
}

/* A request whose head is `size` bytes, filled up by one header. */
static void make_head(char *request, size_t size)
{
    static const char start_of_head[] = "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: ";

    memset(request, 'a', size);
    memcpy(request, start_of_head, sizeof(start_of_head) - 1);
    memcpy(request + size - 4, "\r\n\r\n", 4);
}

static void test_head_bound(void **state)
{
    static char request[1 << 20];

    make_head(request, HTTP_HEAD_BYTES_MAX);
    assert_int_equal(ask_bytes(request, HTTP_HEAD_BYTES_MAX), 200);
    make_head(request, HTTP_HEAD_BYTES_MAX + 1);
    assert_int_equal(ask_bytes(request, HTTP_HEAD_BYTES_MAX + 1), 431);
    make_head(request, sizeof(request));
    assert_int_equal(ask_bytes(request, 60000), 431);
    memset(request, 'a', sizeof(request));
    memcpy(request, "GET /", 5);
    assert_int_equal(ask_bytes(request, 65536), 414);
}

static void test_number_of_headers_bound(void **state)
{
    char request[4096];
    size_t length =
        (size_t)sprintf(request, "GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");

    for (int i = 2; i < HTTP_HEADERS_MAX; i++)
        length += (size_t)sprintf(request + length, "A%d: b\r\n", i);
    strcpy(request + length, "\r\n");
    assert_int_equal(ask(request), 200);
    strcpy(request + length, "B: b\r\n\r\n");
    assert_int_equal(ask(request), 431);
}

static void test_keep_alive_and_pipelining(void **state)
{
    int fd = client_open();
    unsigned n_answers = 0;

    /* 20 at once, then one more on the same connection. */
    for (int i = 0; i < 20; i++)
        client_send(fd, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n", 31);
    while (n_handled < 20)
        turn(fd, 1);
    client_send(fd, "GET /text" TAIL, strlen("GET /text" TAIL));
    client_read(fd, NULL);
    close(fd);
    for (const char *at = answer; (at = strstr(at, "\r\n\r\nhello\n")); at++)
        n_answers++;
    assert_int_equal(n_answers, 21);
}

static void test_byte_by_byte(void **state)
{
    static const char request[] = "GET /text" TAIL;
    int fd = client_open();

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        client_send(fd, request + i, 1);
        turn(fd, 0);
    }
    client_read(fd, NULL);
    close(fd);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
}

static void test_what_follows_a_refused_request_is_not_read(void **state)
{
    assert_int_equal(ask("GET /text HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\n"
                         "GET /text HTTP/1.1\r\nHost: x\r\n\r\n"),
                     413);
    assert_int_equal(n_handled, 0);
}

static void test_a_pipelining_flood_is_not_hoarded(void **state)
{
    char block[31 * 1000];
    size_t n_sent = 0;
    int fd = client_open(), size = 4096;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    for (size_t i = 0; i < sizeof(block); i += 31)
        memcpy(block + i, "GET /big HTTP/1.1\r\nHost: xx\r\n\r\n", 31);
    /* Nobody takes answers, so the server stops reading, and the socket takes no more at last. */
    for (int n_full = 0; n_full < 50;) {
        ssize_t n = send(fd, block + n_sent % 31, sizeof(block) - 31, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            n_sent += (size_t)n;
            n_full = 0;
        } else {
            n_full++;
        }
        assert_true(n_sent < (size_t)64 << 20);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    /* Others are served meanwhile. */
    assert_int_equal(ask("GET /text" TAIL), 200);
    close(fd);
}

static void test_trickled_headers_are_cut(void **state)
{
    struct http_options options = options_default();
    int fd, n_bytes = 0;
    char byte;

    options.header_timeout_us = SECOND / 5;
    restart(&options);
    fd = client_open();
    client_send(fd, "GET /text HTTP/1.1\r\nA: ", 23);
    while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
        client_send(fd, "a", 1);
        turn(fd, 5);
        n_bytes++;
        assert_true(n_bytes < 8000);
    }
    client_read(fd, NULL);
    close(fd);
    assert_non_null(strstr(answer, "408 Request Timeout"));
}

static void test_a_silent_connection_is_cut(void **state)
{
    struct http_options options = options_default();
    int fd;

    options.header_timeout_us = SECOND / 20;
    restart(&options);
    fd = client_open();
    assert_int_equal(client_read(fd, NULL), 0);
    close(fd);
}

static void test_a_client_that_does_not_take_its_answer_is_cut(void **state)
{
    struct http_options options = options_default();
    uint64_t before = counters_get(counters.http_timeouts);
    int fd;

    options.response_timeout_us = SECOND / 10;
    restart(&options);
    fd = client_open();
    client_send(fd, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    while (counters_get(counters.http_timeouts) == before)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(counters_get(counters.http_connections), 0);
    close(fd);
}

static void test_a_connection_ends_when_its_time_is_over(void **state)
{
    struct http_options options = options_default();
    int fd;

    options.connection_timeout_us = SECOND / 10;
    restart(&options);
    fd = client_open();
    client_send(fd, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    client_read(fd, NULL); /* answered, then idle, then closed */
    close(fd);
    assert_non_null(strstr(answer, "\r\n\r\nhello\n"));
}

static void test_slow_clients_together_are_bounded(void **state)
{
    struct http_options options = options_default();
    int slow, fd, status = 0;

    options.output_bytes_max = HUGE_BYTES / 2;
    restart(&options);
    slow = client_open();
    client_send(slow, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n", 32);
    while (counters_get(counters.http_connections) == 0)
        event_base_loop(base, EVLOOP_ONCE);
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    fd = client_open();
    client_send(fd, "GET /text" TAIL, strlen("GET /text" TAIL));
    client_read(fd, NULL);
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d ", &status), 1);
    assert_int_equal(status, 503);
    close(fd);
    close(slow);
}

static void test_300_connections(void **state)
{
    struct http_options options = options_default();
    uint64_t before = counters_get(counters.http_connections_refused);
    int fds[300];

    options.connections_loopback_max = 1000;
    restart(&options);
    for (int i = 0; i < 300; i++) {
        fds[i] = client_open();
        event_base_loop(base, EVLOOP_NONBLOCK); /* or the backlog of 128 is full */
    }
    while (counters_get(counters.http_connections) +
               counters_get(counters.http_connections_refused) - before <
           300)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(counters_get(counters.http_connections), 256);
    assert_int_equal(client_read(fds[299], NULL), 0); /* closed */
    for (int i = 0; i < 300; i++)
        close(fds[i]);
    /* There is room again. */
    while (counters_get(counters.http_connections) > 0)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(ask("GET /text" TAIL), 200);
}

static void test_connections_of_one_address(void **state)
{
    uint64_t before = counters_get(counters.http_connections_refused);
    int fds[70];

    for (int i = 0; i < 70; i++)
        fds[i] = client_open();
    while (counters_get(counters.http_connections_refused) - before < 6)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(counters_get(counters.http_connections), 64);
    for (int i = 0; i < 70; i++)
        close(fds[i]);
}

static void test_no_descriptors_left(void **state)
{
    struct rlimit limit, none;
    int64_t begun;
    int fd = client_open(), next, status = 0;

    /* accept() needs the lowest free descriptor: none is below it. */
    next = dup(fd);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    begun = clock_monotonic_us();
    /* The listener rests, so this turn ends with the timer that wakes it, not in a spin. */
    event_base_loop(base, EVLOOP_ONCE);
    event_base_loop(base, EVLOOP_ONCE);
    assert_true(clock_monotonic_us() - begun >= SECOND / 20);
    assert_int_equal(counters_get(counters.http_connections), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    client_send(fd, "GET /text" TAIL, strlen("GET /text" TAIL));
    client_read(fd, NULL);
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d ", &status), 1);
    assert_int_equal(status, 200);
    close(fd);
}

static void test_gzip(void **state)
{
    static unsigned char plain[BIG_BYTES + 10];
    z_stream stream = {0};
    int fd = client_open();
    const char *request = "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                          "Accept-Encoding: deflate, gzip;q=0.8, *;q=0\r\n\r\n";
    size_t length;

    client_send(fd, request, strlen(request));
    length = client_read(fd, NULL);
    close(fd);
    assert_non_null(strstr(answer, "\r\nContent-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer, "\r\nVary: Accept, Accept-Encoding\r\n"));
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (unsigned char *)body();
    stream.avail_in = (uInt)(length - (size_t)(body() - answer));
    stream.next_out = plain;
    stream.avail_out = sizeof(plain);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, BIG_BYTES);
    assert_int_equal(stream.avail_in, 0);
    assert_memory_equal(plain + BIG_BYTES - 10, "0123456789", 10);
    inflateEnd(&stream);
}

static void test_gzip_only_when_asked_for(void **state)
{
    static const char *const refusals[] = {
        "",
        "Accept-Encoding: identity\r\n",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: gzip;q=0.000, *\r\n",
        "Accept-Encoding: x-gzip-like\r\n",
    };
    char request[256];

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        sprintf(request, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
                refusals[i]);
        assert_int_equal(ask(request), 200);
        assert_null(strstr(answer, "Content-Encoding"));
    }
    /* Nor for a body that is hardly longer than its headers. */
    assert_int_equal(ask("GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         "Accept-Encoding: gzip\r\n\r\n"),
                     200);
    assert_null(strstr(answer, "Content-Encoding"));
}

static void test_etag(void **state)
{
    static const char *const matching[] = {"W/\"a-7\"", "\"a-7\"", "\"b\", W/\"a-7\"", "*"};
    char request[256];

    assert_int_equal(ask("GET /version" TAIL), 200);
    assert_non_null(strstr(answer, "\r\nETag: W/\"a-7\"\r\n"));
    for (size_t i = 0; i < sizeof(matching) / sizeof(matching[0]); i++) {
        sprintf(request,
                "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                "If-None-Match: %s\r\n\r\n",
                matching[i]);
        assert_int_equal(ask(request), 304);
        assert_string_equal(body(), "");
        assert_non_null(strstr(answer, "\r\nETag: W/\"a-7\"\r\n"));
    }
    assert_int_equal(ask("GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         "If-None-Match: W/\"a-77\", \"xa-7\"\r\n\r\n"),
                     200);
}

static void test_listen_outcomes(void **state)
{
    static const char *const bad[] = {"", "nonsense", "127.0.0.1", "127.0.0.1:99999", "1.2.3:80"};
    struct http_options options = options_default();
    struct http_server *other = NULL;
    char listen[32];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.listen = bad[i];
        assert_int_equal(http_server_new(&other, &options), HTTP_E_ADDRESS);
    }
    sprintf(listen, "127.0.0.1:%u", http_server_port(server));
    options.listen = listen;
    assert_int_equal(http_server_new(&other, &options), HTTP_E_IN_USE);
    options.listen = "192.0.2.1:0"; /* TEST-NET-1: not an address of this machine */
    assert_int_equal(http_server_new(&other, &options), HTTP_E_REFUSED);
    assert_null(other);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_head_has_the_same_headers_and_no_body),
        TEST(test_http_1_0_needs_no_host_and_closes),
        TEST(test_must_refuse),
        TEST(test_refusals_never_echo),
        TEST(test_errors_are_json_under_api),
        TEST(test_nul_is_refused_wherever_it_stands),
        TEST(test_a_zero_content_length_is_no_body),
        TEST(test_query_is_decoded),
        TEST(test_query_bounds),
        TEST(test_target_bound),
        TEST(test_head_bound),
        TEST(test_number_of_headers_bound),
        TEST(test_keep_alive_and_pipelining),
        TEST(test_byte_by_byte),
        TEST(test_what_follows_a_refused_request_is_not_read),
        TEST(test_a_pipelining_flood_is_not_hoarded),
        TEST(test_trickled_headers_are_cut),
        TEST(test_a_silent_connection_is_cut),
        TEST(test_a_client_that_does_not_take_its_answer_is_cut),
        TEST(test_a_connection_ends_when_its_time_is_over),
        TEST(test_slow_clients_together_are_bounded),
        TEST(test_300_connections),
        TEST(test_connections_of_one_address),
        TEST(test_no_descriptors_left),
        TEST(test_gzip),
        TEST(test_gzip_only_when_asked_for),
        TEST(test_etag),
        TEST(test_listen_outcomes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
