/*
 * The other side of a Standard Webhook: what a receiver checks. Written from the specification,
 * apart from the daemon's signing. And the vectors that the tests read.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct webhook_request {
    const char *id, *timestamp, *signature; /* headers; NULL: missing */
    const void *body;
    size_t size;
};

/* now_s < 0: the time is not checked. Else it must be within 300 s. */
bool webhook_verify(const struct webhook_request *request, const char *secret, int64_t now_s);

/* tests/vectors/webhook/<name>.json; fails the test if it cannot be read. For cJSON_Delete(). */
cJSON *webhook_vectors(const char *name);
