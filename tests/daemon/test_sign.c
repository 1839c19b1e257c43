/*
 * Tests daemon/sink/webhook_sign.c against the vectors of the Standard Webhooks libraries: what is
 * signed is what they sign, and the secrets that they refuse are refused. The verifier that other
 * tests use as a receiver is held against their vectors too.
 */
#include "sink/sink.h"
#include "sink/webhook_sign.h"
#include "webhook_verify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    assert_non_null(item);
    return item;
}

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(member(object, name));

    assert_non_null(value);
    return value;
}

static void check_signature(const char *name)
{
    cJSON *vectors = webhook_vectors(name);
    const cJSON *query = member(vectors, "query");
    const char *body = text(query, "body");
    char signature[WEBHOOK_SIGNATURE_BYTES];

    assert_int_equal(sink_sign(text(query, "secret"), text(query, "webhook_id"),
                               (int64_t)member(query, "webhook_timestamp")->valuedouble, body,
                               strlen(body), signature),
                     0);
    assert_string_equal(signature, text(member(vectors, "expected"), "signature"));
    cJSON_Delete(vectors);
}

static void test_signs_as_others_do(void **state)
{
    check_signature("wh-sign-1");
    check_signature("wh-sign-2");
    check_signature("wh-sign-emptybody");
    check_signature("wh-sign-noprefix");
    check_signature("wh-sign-unpadded-2");
    check_signature("wh-sign-utf8");
}

/* Secrets of 18 and 23 bytes are too short to be configured, but their arithmetic holds. */
static void test_short_keys_sign_right_and_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct webhook_key key;
    } cases[] = {
        {"wh-sign-3",
         {{0xa6, 0x52, 0x77, 0x9e, 0x6c, 0x82, 0x0c, 0x60, 0x4a, 0x22, 0x76, 0xaf, 0x74, 0xe2, 0xb5,
           0xe6, 0x3b, 0x25},
          18}},
        {"wh-sign-unpadded-1",
         {{0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4,
           0x3c, 0x3f, 0x08, 0x2c, 0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4},
          23}},
    };
    char signature[WEBHOOK_SIGNATURE_BYTES];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *vectors = webhook_vectors(cases[i].name);
        const cJSON *query = member(vectors, "query");
        const char *body = text(query, "body");
        const int64_t at = (int64_t)member(query, "webhook_timestamp")->valuedouble;

        assert_int_equal(webhook_sign(&cases[i].key, text(query, "webhook_id"), at, body,
                                      strlen(body), signature),
                         0);
        assert_string_equal(signature, text(member(vectors, "expected"), "signature"));
        assert_int_equal(sink_sign(text(query, "secret"), "id", at, body, strlen(body), signature),
                         SINK_E_SECRET);
        cJSON_Delete(vectors);
    }
}

static void test_bad_secrets_are_refused(void **state)
{
    cJSON *vectors = webhook_vectors("wh-bad-secrets");
    const cJSON *expected = member(vectors, "expected"), *one;
    static const char *const more[] = {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA",     /* one character over */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=",     /* padding that fills up nothing */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w",      /* a blank */
        "whsec_MfKQ9r8GKYqrTwjUPD8I=LPZIo2LaLaSwAAAA", /* padding inside */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
    };
    struct webhook_key key;
    size_t i;

    cJSON_ArrayForEach(one, member(expected, "refused"))
        assert_int_equal(webhook_key_parse(&key, text(one, "secret")), WEBHOOK_E_KEY);
    cJSON_ArrayForEach(one, member(expected, "accepted"))
    {
        assert_int_equal(webhook_key_parse(&key, text(one, "secret")), 0);
        assert_int_equal(key.length, member(one, "bytes")->valueint);
    }
    for (i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        assert_int_equal(webhook_key_parse(&key, more[i]), WEBHOOK_E_KEY);
    cJSON_Delete(vectors);
}

static void test_key_is_24_to_64_bytes(void **state)
{
    struct webhook_key key;
    char secret[129];
    unsigned n;

    for (n = 1; n <= 96; n++) { /* n bytes of zero, unpadded */
        memset(secret, 'A', sizeof(secret));
        secret[(n * 8 + 5) / 6] = '\0';
        assert_int_equal(webhook_key_parse(&key, secret), n >= 24 && n <= 64 ? 0 : WEBHOOK_E_KEY);
    }
}

/* A timestamp is an integer by its type; of the refused ones the negative one can be had. */
static void test_times_before_1970_are_refused(void **state)
{
    cJSON *vectors = webhook_vectors("wh-bad-timestamps");
    const cJSON *one;
    char signature[WEBHOOK_SIGNATURE_BYTES], rest;
    unsigned n_tried = 0;
    long long at;

    cJSON_ArrayForEach(one, member(member(vectors, "expected"), "refused"))
    {
        if (sscanf(one->valuestring, "%lld%c", &at, &rest) != 1)
            continue;
        n_tried++;
        assert_int_equal(
            sink_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "id", at, "", 0, signature),
            -EINVAL);
    }
    assert_int_equal(n_tried, 1);
    cJSON_Delete(vectors);
}

static const char *header(const cJSON *headers, const char *name)
{
    const cJSON *one;

    cJSON_ArrayForEach(one,
                       headers) if (strcasecmp(one->string, name) == 0) return one->valuestring;
    return NULL;
}

static void test_verifier_agrees_with_others(void **state)
{
    cJSON *vectors = webhook_vectors("wh-verify");
    const cJSON *query = member(vectors, "query"), *one;
    unsigned n = 0;

    cJSON_ArrayForEach(one, member(member(vectors, "expected"), "vectors"))
    {
        const cJSON *headers = member(one, "headers");
        const char *body = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "body"));
        const bool timeless = cJSON_HasObjectItem(one, "timestamp_tolerance");

        if (!body)
            body = text(query, "body");
        const struct webhook_request request = {
            .id = header(headers, "webhook-id"),
            .timestamp = header(headers, "webhook-timestamp"),
            .signature = header(headers, "webhook-signature"),
            .body = body,
            .size = strlen(body),
        };
        n++;
        if (webhook_verify(&request, text(query, "secret"),
                           timeless ? -1 : (int64_t)member(one, "now_unix")->valuedouble) !=
            cJSON_IsTrue(member(one, "valid")))
            fail_msg("%s", text(one, "name"));
    }
    assert_true(n >= 20);
    cJSON_Delete(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs_as_others_do),
        cmocka_unit_test(test_short_keys_sign_right_and_are_refused),
        cmocka_unit_test(test_bad_secrets_are_refused),
        cmocka_unit_test(test_key_is_24_to_64_bytes),
        cmocka_unit_test(test_times_before_1970_are_refused),
        cmocka_unit_test(test_verifier_agrees_with_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
