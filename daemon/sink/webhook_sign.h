/*
 * Standard Webhooks 1.0: a secret's key, and the signature over id, time and body.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    WEBHOOK_KEY_BYTES_MIN = 24,
    WEBHOOK_KEY_BYTES_MAX = 64,
    WEBHOOK_SIGNATURE_BYTES = 64, /* "v1," and 44 characters, with room for its end */
};

enum {
    WEBHOOK_E_KEY = 1, /* no base64, or of a length that the specification does not allow */
};

struct webhook_key {
    uint8_t bytes[WEBHOOK_KEY_BYTES_MAX];
    size_t length;
};

/*
 * Reads a secret: base64 of 24 to 64 bytes, padded or not, with or without "whsec_" before it.
 * Returns 0 or WEBHOOK_E_KEY.
 */
int webhook_key_parse(struct webhook_key *ret_key, const char *secret);

/*
 * Writes "v1," and base64(HMAC-SHA256(key, id.timestamp.body)), terminated. The key may be of any
 * length here. Returns 0, -EINVAL for a time before 1970, or -ENOMEM.
 */
int webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp_s,
                 const void *body, size_t size, char ret_signature[WEBHOOK_SIGNATURE_BYTES]);
