/*
 * Signing, with OpenSSL's HMAC.
 */
#include "sink/webhook_sign.h"

#include "sink/sink.h"
#include "util/error.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    if (c == '/')
        return 63;
    return -1;
}

/* Not EVP_DecodeBlock(): that one refuses what is not padded and counts the padding as bytes. */
int webhook_key_parse(struct webhook_key *ret_key, const char *secret)
{
    struct webhook_key key = {0};
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t length, padding = 0, i;
    int value;

    if (strncmp(secret, "whsec_", 6) == 0)
        secret += 6;
    length = strlen(secret);
    while (length > 0 && padding < 2 && secret[length - 1] == '=') {
        length--;
        padding++;
    }
    /* One character over holds no byte, and padding must fill up a group of four. */
    if (length % 4 == 1 || (padding > 0 && (length + padding) % 4 != 0))
        return WEBHOOK_E_KEY;
    for (i = 0; i < length; i++) {
        value = base64_value(secret[i]);
        if (value < 0)
            return WEBHOOK_E_KEY;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        if (key.length == sizeof(key.bytes))
            return WEBHOOK_E_KEY;
        key.bytes[key.length++] = (uint8_t)(bits >> n_bits);
    }
    if (key.length < WEBHOOK_KEY_BYTES_MIN)
        return WEBHOOK_E_KEY;
    *ret_key = key;
    return 0;
}

int webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp_s,
                 const void *body, size_t size, char ret_signature[WEBHOOK_SIGNATURE_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;
    char *head = NULL;
    uint8_t *text;
    size_t n_head;
    int n;

    if (timestamp_s < 0)
        return error_origin(-EINVAL);
    n = asprintf(&head, "%s.%" PRId64 ".", id, timestamp_s);
    if (n < 0)
        return error_origin(-ENOMEM);
    n_head = (size_t)n;
    text = realloc(head, n_head + size + 1);
    if (!text) {
        free(head);
        return error_origin(-ENOMEM);
    }
    if (size > 0)
        memcpy(text + n_head, body, size);
    if (!HMAC(EVP_sha256(), key->bytes, (int)key->length, text, n_head + size, digest, &n_digest)) {
        free(text);
        return error_origin(-ENOMEM);
    }
    free(text);
    memcpy(ret_signature, "v1,", 3);
    EVP_EncodeBlock((unsigned char *)ret_signature + 3, digest, (int)n_digest);
    return 0;
}

int sink_sign(const char *secret, const char *id, int64_t timestamp_s, const void *body,
              size_t size, char ret_signature[64])
{
    struct webhook_key key;
    int r;

    if (webhook_key_parse(&key, secret) != 0)
        return SINK_E_SECRET;
    r = webhook_sign(&key, id, timestamp_s, body, size, ret_signature);
    explicit_bzero(&key, sizeof(key));
    return error_trace(r);
}
