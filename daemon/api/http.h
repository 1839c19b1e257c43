/*
 * A hardened HTTP/1.1 server for GET and HEAD on the libevent loop: routes answer at once from
 * memory, one request of a connection at a time. One thread.
 *
 * Every bound that a stranger can reach is an option with a default; http.c says how each is kept.
 */
#pragma once

#include "http_parse.h"

#include <stdint.h>

struct event_base;
struct evbuffer;
struct http_server;

struct http_response {
    unsigned status;          /* preset to 200; only those that http_reason() knows */
    const char *content_type; /* static; must be set with a body */
    struct evbuffer *body;    /* empty; the handler fills it. Owned by the server */
    bool gzipped;             /* the body already is gzip; else the server compresses if allowed */
    char etag[64];            /* without quotes; empty: none. Answers If-None-Match */
};

typedef void (*http_handler)(void *userdata, const struct http_request *request,
                             struct http_response *response);

struct http_route {
    const char *path; /* exact; or "/api/v1/tables/": all that begin so, with a name behind */
    http_handler handler;
};

struct http_options {
    struct event_base *base;
    const char *listen;              /* "127.0.0.1:9480", "[::1]:0" */
    const struct http_route *routes; /* borrowed; longer-lived than the server */
    unsigned n_routes;
    void *userdata; /* of the handlers */
    /* 0: the default */
    unsigned connections_max;          /* 256 */
    unsigned connections_address_max;  /* 16; IPv6: of a /64 */
    unsigned connections_loopback_max; /* 64 */
    uint64_t output_bytes_max;     /* 128 MiB not yet taken by clients, all together; then 503 */
    int64_t header_timeout_us;     /* 5 s from the first byte (or the connection) */
    int64_t response_timeout_us;   /* 30 s to take the answer */
    int64_t connection_timeout_us; /* 120 s; a request begun before is still answered */
};

enum {
    HTTP_E_ADDRESS = 1, /* `listen` is not address:port */
    HTTP_E_IN_USE,      /* somebody else listens there */
    HTTP_E_REFUSED,     /* no right to, or no such address here */
};

/* Binds and listens. Returns 0, HTTP_E_… or -ENOMEM. */
int http_server_new(struct http_server **ret_server, const struct http_options *options);
struct http_server *http_server_free(struct http_server *server); /* cuts all connections */
void http_server_freep(struct http_server **server);
uint16_t http_server_port(const struct http_server *server);

/* Fills an answer with a short error: JSON {"error":{"code","message"}} for paths under /api/, else
 * text. `message` is constant text, never input. */
void http_response_error(struct http_response *response, const struct http_request *request,
                         unsigned status, const char *code, const char *message);

/* Does the client have the answer with this ETag (If-None-Match)? Then the server answers 304, and
 * the handler need not fill a body. */
bool http_response_is_known(const struct http_response *response,
                            const struct http_request *request);

enum {
    HTTP_GZIP_BYTES_MIN = 1024
}; /* bodies up to here are sent as they are */

/* gzip, fast rather than small. Free with free(). 0 or -ENOMEM. */
int http_gzip(const void *data, size_t size, void **ret_data, size_t *ret_size);
bool http_request_accepts_gzip(const struct http_request *request);
