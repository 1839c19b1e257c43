/*
 * The head of an HTTP/1.x request, read strictly: what is not exactly as RFC 9112 writes it, or
 * needs anything that kpid does not offer (a body, a transfer coding, an expectation), is refused
 * with a status. Pure: bytes in, a request out; tests/fuzz/fuzz_http_query.c feeds it anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_HEAD_BYTES_MAX = 8192, /* request line and headers, with the empty line */
    HTTP_TARGET_BYTES_MAX = 2048,
    HTTP_HEADERS_MAX = 64,
    HTTP_PARAMETERS_MAX = 16,
    HTTP_VALUE_BYTES_MAX = 256, /* of a parameter, decoded */
};

struct http_parameter {
    const char *name, *value; /* decoded, UTF-8 without control characters, terminated */
};

struct http_request {
    bool head; /* HEAD, else GET */
    bool keep_alive;
    const char *path; /* as sent, begins with '/' */
    struct http_parameter parameters[HTTP_PARAMETERS_MAX];
    unsigned n_parameters;
    const char *accept; /* of a header that came twice, the first; NULL: absent */
    const char *accept_encoding;
    const char *if_none_match;
    char bytes[HTTP_HEAD_BYTES_MAX + 1]; /* what the pointers above point into */
};

/*
 * Looks for the end of the head in what has arrived. Returns 0 and its length with the empty line
 * (0: not yet there), or a status: 400 for a control character, a bare CR or LF, 431 or 414 if
 * it cannot fit any more. `n_seen` bytes were looked at by an earlier call that returned 0.
 */
int http_parse_end(const char *bytes, size_t size, size_t n_seen, size_t *ret_length);

/*
 * Parses a head of `size` <= HTTP_HEAD_BYTES_MAX bytes, as http_parse_end() found it. Returns 0 or
 * the status to refuse it with: 400, 405, 413, 414, 417, 431, 505.
 */
int http_parse_head(struct http_request *ret_request, const char *bytes, size_t size);

/* The value of a parameter, or NULL. */
const char *http_request_find(const struct http_request *request, const char *name);

/*
 * The quality (0 … 1000) that a list like Accept-Encoding gives to a token; -1 if it does not name
 * it. "*" is a token like others.
 */
int http_list_quality(const char *list, const char *token);

/* One element of a list as Accept, between commas, and its quality; moves *list on. false: the end.
 * `ret_item` is cut at the first ';' and without white space; parameters are in ret_parameters. */
bool http_list_next(const char **list, char ret_item[64], char ret_parameters[128],
                    int *ret_quality);
