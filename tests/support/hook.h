/*
 * A webhook receiver on 127.0.0.1 that answers by script: request n gets action n, the last action
 * goes on for ever. It keeps what it was sent. Raw sockets, so that it can also answer what no HTTP
 * library would let out.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hook_kind {
    HOOK_REPLY, /* write text, close */
    HOOK_HOLD,  /* wait for hook_release() */
    HOOK_RESET, /* write text (or nothing), then cut the connection with a TCP reset */
    HOOK_FLOOD, /* write text once, and then `again` until the other side closes */
};

struct hook_action {
    enum hook_kind kind;
    const char *text;
    const char *again;
};

#define HOOK_STATUS(status)                                                                        \
    {                                                                                              \
        HOOK_REPLY, "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n", NULL                       \
    }
#define HOOK_OK HOOK_STATUS("200 OK")

struct hook_connection;

struct hook_request {
    char *head; /* request line and headers */
    char *body;
    size_t size;
    int64_t at_us;                      /* monotonic, when it was complete */
    struct hook_connection *connection; /* NULL when it is closed */
};

struct hook {
    struct event_base *base;
    struct evconnlistener *listener;
    uint16_t port;
    const struct hook_action *script;
    unsigned n_script;
    /* Makes the bufferevent of a connection, for TLS; NULL: a plain one. */
    struct bufferevent *(*wrap)(struct event_base *base, evutil_socket_t fd, void *userdata);
    void *wrap_userdata;
    struct hook_request requests[128];
    unsigned n_requests;
    unsigned n_open, n_open_max; /* requests not answered yet, now and at most */
    struct hook_connection *connections;
    uint64_t n_flooded; /* bytes of HOOK_FLOOD handed to the socket */
};

void hook_init(struct hook *hook, struct event_base *base, const struct hook_action *script,
               unsigned n_script);
void hook_deinit(struct hook *hook);

/* Answers a request that is held. */
void hook_release(struct hook *hook, unsigned request, const char *text);

/* The value of a header, or NULL; valid for 8 calls. */
const char *hook_header(const struct hook_request *request, const char *name);
