/* Verifying, with OpenSSL's base64 and HMAC. */
#include "webhook_verify.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Returns how many bytes, or -1. */
static int decode(const char *text, unsigned char *ret_bytes, size_t size)
{
    unsigned char block[512];
    size_t length = strlen(text), padding = 0;
    int n;

    if (length == 0 || length % 4 != 0 || length > size)
        return -1;
    while (padding < 2 && text[length - 1 - padding] == '=')
        padding++;
    n = EVP_DecodeBlock(block, (const unsigned char *)text, (int)length);
    if (n < 0)
        return -1;
    n -= (int)padding;
    memcpy(ret_bytes, block, (size_t)n);
    return n;
}

static bool signature_in_list(const char *list, const unsigned char digest[32])
{
    char *copy = strdup(list), *save = NULL, *one;
    unsigned char bytes[512];
    bool found = false;

    for (one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save))
        if (strncmp(one, "v1,", 3) == 0 && decode(one + 3, bytes, sizeof(bytes)) == 32 &&
            CRYPTO_memcmp(bytes, digest, 32) == 0)
            found = true;
    free(copy);
    return found;
}

bool webhook_verify(const struct webhook_request *request, const char *secret, int64_t now_s)
{
    unsigned char key[512], digest[32];
    size_t n_text;
    char *text, *end;
    int64_t at;
    int n_key;

    if (!request->id || !request->timestamp || !request->signature)
        return false;
    at = strtoll(request->timestamp, &end, 10);
    if (end == request->timestamp || *end)
        return false;
    if (now_s >= 0 && llabs(now_s - at) > 300)
        return false;
    n_key = decode(strncmp(secret, "whsec_", 6) == 0 ? secret + 6 : secret, key, sizeof(key));
    assert_true(n_key > 0);

    text = malloc(strlen(request->id) + strlen(request->timestamp) + 2 + request->size + 1);
    assert_non_null(text);
    n_text = (size_t)sprintf(text, "%s.%s.", request->id, request->timestamp);
    memcpy(text + n_text, request->body, request->size);
    HMAC(EVP_sha256(), key, n_key, (unsigned char *)text, n_text + request->size, digest, NULL);
    free(text);
    return signature_in_list(request->signature, digest);
}

cJSON *webhook_vectors(const char *name)
{
    static char text[65536];
    char path[512];
    cJSON *json;
    FILE *file;

    snprintf(path, sizeof(path), "%s/webhook/%s.json", TEST_VECTORS, name);
    file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    json = cJSON_Parse(text);
    assert_non_null(json);
    return json;
}
