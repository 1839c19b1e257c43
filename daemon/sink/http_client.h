/*
 * HTTP POST on the libevent loop, by libcurl's multi interface. Made for talking to hosts that are
 * not trusted: http and https only, no redirects, no proxy from the environment, no netrc, no
 * cookies, TLS >= 1.2 always verified, every address asked about before it is connected to, and
 * answers cut at HTTP_ANSWER_BYTES_MAX.
 *
 * It knows nothing of messages or retries, and the rest of the sink nothing of libcurl.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct sockaddr;
struct http_client;
struct http_request;

enum {
    HTTP_ANSWER_BYTES_MAX = 64 * 1024, /* of headers, and again of body */
};

struct http_answer {
    int status;        /* of a complete head of an answer, whatever became of its body; else 0 */
    const char *error; /* status 0: why, a constant without anything of the URL in it */
    const char *retry_after; /* the header, or NULL */
    int64_t duration_us;
};

struct http_post {
    const char *url;            /* copied */
    const char *ca_file;        /* copied; NULL: the system's */
    const char *user_agent;     /* copied */
    const char *const *headers; /* copied; "name: value", NULL-terminated, no CR or LF */
    const void *body;           /* borrowed until done */
    size_t size;
    int64_t connect_us_max;
    int64_t total_us_max;
    bool (*may_connect)(void *userdata, const struct sockaddr *address);
    void (*done)(void *userdata, const struct http_answer *answer);
    void *userdata;
};

/* Returns 0 or -ENOMEM. */
int http_client_new(struct http_client **ret_client, struct event_base *base);
/* All requests must be done or cancelled. NULL is fine; returns NULL. */
struct http_client *http_client_free(struct http_client *client);

/*
 * Begins a request. `done` is called once, from the loop and never from here, unless it is
 * cancelled; the request is gone after it. Returns 0 or -ENOMEM.
 */
int http_client_post(struct http_client *client, const struct http_post *post,
                     struct http_request **ret_request);
void http_request_cancel(struct http_request *request);

/*
 * The host of an http or https URL as it is written there, without user and port (an IPv6 address
 * in brackets), for the caller to free. Returns 0, -ENOMEM, or HTTP_E_URL for what is no such URL,
 * or one whose host libcurl would read as another than is written (escapes, numbers that are
 * addresses).
 */
enum {
    HTTP_E_URL = 1,
};
int http_url_host(const char *url, char **ret_host, bool *ret_tls);
