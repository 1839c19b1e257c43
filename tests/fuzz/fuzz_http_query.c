/*
 * The head of an HTTP request: the input as a whole head, and as the query of a clean one. What is
 * accepted keeps the promises of http_parse.h, is answered the same when it arrives byte by byte,
 * and its lists are read to their end.
 */
#include "api/exposition.h"
#include "api/http_parse.h"
#include "util/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_text(const char *text)
{
    CHECK(strlen(text) <= HTTP_VALUE_BYTES_MAX);
    CHECK(utf8_valid(text, strlen(text)));
    for (const char *c = text; *c; c++)
        CHECK((uint8_t)*c >= 0x20 && *c != 0x7f);
}

static void check_request(const struct http_request *request)
{
    const char *content_type;

    CHECK(request->path[0] == '/' && strlen(request->path) <= HTTP_TARGET_BYTES_MAX);
    CHECK(request->n_parameters <= HTTP_PARAMETERS_MAX);
    for (unsigned i = 0; i < request->n_parameters; i++) {
        check_text(request->parameters[i].name);
        check_text(request->parameters[i].value);
        CHECK(http_request_find(request, request->parameters[i].name) ==
              request->parameters[i].value);
    }
    (void)exposition_negotiate(request->accept, &content_type);
    CHECK(content_type);
    if (request->accept_encoding)
        CHECK(http_list_quality(request->accept_encoding, "gzip") <= 1000);
}

/* Returns 0, a status, or -1 if the head has no end. */
static int parse(struct http_request *request, const char *bytes, size_t size)
{
    size_t length, stepped = 0;
    int r = http_parse_end(bytes, size, 0, &length), step = 0;

    /* Byte by byte, as it may arrive. */
    for (size_t n = 1; n <= size && step == 0 && stepped == 0; n++)
        step = http_parse_end(bytes, n, n - 1, &stepped);
    CHECK(step == r && (r || stepped == length));
    if (r)
        return r;
    if (length == 0)
        return -1;
    CHECK(length <= size && length <= HTTP_HEAD_BYTES_MAX);
    r = http_parse_head(request, bytes, length);
    CHECK(r == 0 || (r >= 400 && r < 600));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "GET /?", after[] = " HTTP/1.1\r\nHost: x\r\n\r\n";
    static struct http_request request;
    char *head;

    if (parse(&request, (const char *)data, size) == 0)
        check_request(&request);

    head = malloc(size + sizeof(before) + sizeof(after));
    CHECK(head);
    memcpy(head, before, sizeof(before) - 1);
    memcpy(head + sizeof(before) - 1, data, size);
    memcpy(head + sizeof(before) - 1 + size, after, sizeof(after) - 1);
    if (parse(&request, head, size + sizeof(before) + sizeof(after) - 2) == 0)
        check_request(&request);
    free(head);
    return 0;
}
