/*
 * Claim: what the decoder has learned changes nothing that it reads. One decoder lives through a
 * stream of ordinary messages with mutated ones among them; beside it every message is decoded by
 * one that has yet to learn, and now and then by cJSON.
 *
 * The messages are what producers write: optional members, two orders, with and without spaces,
 * ids, times, decimals, Chinese text, escapes, nested objects and arrays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/event_json.h"
#include "decoder_key.h"
#include "event_reference.h"
#include "plan_fake.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    N_MESSAGES = 30000,
    MESSAGE_BYTES_MAX = 2048,
    MEMBERS_MAX = 24,
};

static const struct event_origin origin = {
    .topic_hash = 5, .partition = 6, .offset = 7, .record_time = KPI_TIME_NONE};
static const struct event_decoder_options options = {&plan_fake, decoder_key, "CNY"};

static uint64_t random_state = 11112026;

static uint64_t random_next(void)
{
    /* splitmix64 */
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned random_below(unsigned n)
{
    return (unsigned)(random_next() % n);
}

#define PICK(array) (array)[random_below(COUNT(array))]

struct members {
    char texts[MEMBERS_MAX][256];
    unsigned n;
};

static void put(struct members *members, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct members *members, const char *pattern, ...)
{
    va_list arguments;

    assert_in_range(members->n, 0, MEMBERS_MAX - 1);
    va_start(arguments, pattern);
    vsnprintf(members->texts[members->n++], sizeof(members->texts[0]), pattern, arguments);
    va_end(arguments);
}

static void envelope_put(struct members *members)
{
    static const char *const types[] = {"exposure", "like", "purchase", "分享", "sign\\u002dup"};
    static const char *const users[] = {"\"u-17\"", "4711", "\"用户\"", "null",
                                        "\"\\ud83d\\ude00\""};

    put(members, "\"id\":\"01J%08x\"", (unsigned)random_next());
    if (random_below(4) == 0)
        put(members, "\"source\":\"app\"");
    put(members, "\"type\":\"%s\"", PICK(types));
    put(members, "\"user\":%s", PICK(users));
    if (random_below(4) == 0)
        put(members, "\"time\":%u000", 1794326403 + random_below(1000));
    else
        put(members, "\"time\":\"2026-11-%02uT%02u:00:03%s+08:00\"", random_below(30) + 1,
            random_below(24), random_below(2) ? ".120" : "");
}

static void members_put(struct members *members)
{
    static const char *const texts[] = {
        "微信",     "app",      "",          "A",
        "a b\\\"c", "double11", "双十一abc", "a text that is longer than sixteen bytes"};
    static const char *const amounts[] = {"\"129.90\"", "0",    "\"0.5\"",           "12",
                                          "1.25e2",     "null", "\"1234567.123456\""};
    static const char *const numbers[] = {"0",   "-1",           "12345678", "9.5",
                                          "1e2", "123456789012", "-0.0"};

    envelope_put(members);
    put(members, "\"campaign\":\"%s\"", PICK(texts));
    if (random_below(2))
        put(members, "\"channel\":\"%s\"", PICK(texts));
    put(members, "\"amount\":%s", PICK(amounts));
    if (random_below(3) == 0)
        put(members, "\"currency\":\"%s\"", random_below(20) ? "CNY" : "USD");
    put(members, "\"score\":%s", PICK(numbers));
    put(members, "\"incentive\":%s", random_below(2) ? "true" : "false");
    if (random_below(3) == 0)
        put(members, "\"渠道\":\"%s\"", PICK(texts));
    put(members, "\"n\":%s", PICK(numbers));
    put(members, "\"props\":{\"sku\":\"%s\",\"id\":%s,\"deep\":{\"list\":[%s,\"%s\"],\"o\":{}}}",
        PICK(texts), PICK(numbers), PICK(numbers), PICK(texts));
    put(members, "\"tags\":[\"%s\",\"vip\"]", PICK(texts));
}

static void swap_members(struct members *members)
{
    unsigned a = random_below(members->n), b = random_below(members->n);
    char kept[sizeof(members->texts[0])];

    memcpy(kept, members->texts[a], sizeof(kept));
    memmove(members->texts[a], members->texts[b], sizeof(kept));
    memcpy(members->texts[b], kept, sizeof(kept));
}

static size_t message_write(const struct members *members, char text[MESSAGE_BYTES_MAX])
{
    const char *comma = random_below(4) ? "," : " , ";
    size_t length = 0;

    for (unsigned i = 0; i < members->n; i++)
        length += (size_t)sprintf(text + length, "%s%s", i ? comma : "{", members->texts[i]);
    return length + (size_t)sprintf(text + length, random_below(8) ? "}" : "}\r\n");
}

/* Flips a bit, changes a byte, takes bytes out, puts some in, doubles some, or cuts the end off. */
static size_t mutate(char *text, size_t length)
{
    static const char *const pieces[] = {
        "\"",          "\\",   "{",           "}", "[",    "]",    ",",       ":", "0",
        "1.",          "null", "true",        " ", "\xe5", "\xff", "\\u0000", "-", "\"id\":\"x\",",
        "\"type\":\"", "e5",   "\xe5\x8f\x8c"};
    size_t at = random_below((unsigned)length), n = random_below(8) + 1;
    const char *piece = PICK(pieces);

    n = n > length - at ? length - at : n;
    switch (random_below(6)) {
    case 0:
        text[at] ^= (char)(1 << random_below(8));
        return length;
    case 1:
        text[at] = (char)random_next();
        return length;
    case 2:
        memmove(text + at, text + at + n, length - at - n);
        return length - n;
    case 3:
        n = strlen(piece);
        memmove(text + at + n, text + at, length - at);
        memcpy(text + at, piece, n);
        return length + n;
    case 4:
        memmove(text + at + n, text + at, length - at);
        return length + n;
    default:
        return at;
    }
}

/* Members swapped, left out or twice; or bytes mutated; or nothing of it. */
static size_t make_message(char text[MESSAGE_BYTES_MAX])
{
    struct members members = {.n = 0};
    unsigned way = random_below(16);
    size_t length;

    members_put(&members);
    if (way == 0) {
        swap_members(&members);
    } else if (way == 1) {
        memcpy(members.texts[random_below(members.n)], members.texts[random_below(members.n)],
               sizeof(members.texts[0]));
    } else if (way == 2) {
        members.n = random_below(members.n) + 1;
    }
    length = message_write(&members, text);
    if (way == 3 || way == 4) {
        for (unsigned n = random_below(3) + 1; n > 0 && length > 0; n--)
            length = mutate(text, length);
    }
    return length;
}

static void check_field(const struct kpi_field *a, const struct kpi_field *b, const char *message)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->hash, b->hash);
    if (a->kind != KPI_FIELD_STRING) {
        assert_int_equal(a->number, b->number);
        return;
    }
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->string, b->string, a->length);
    /* Borrowed from the message by both, or unescaped by both. */
    if (b->string >= message && b->string < message + MESSAGE_BYTES_MAX)
        assert_ptr_equal(a->string, b->string);
}

static void check_event(const struct kpi_event *a, const struct kpi_event *b, const char *message)
{
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->record_time, b->record_time);
    assert_int_equal(a->user, b->user);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->content, b->content);
    assert_int_equal(a->flags, b->flags);
    check_field(&a->type, &b->type, message);
    for (unsigned i = 0; i < PLAN_FAKE_FIELDS; i++)
        check_field(&a->fields[i], &b->fields[i], message);
}

struct decoders {
    struct event_decoder *learned;
    struct event_decoder *fresh;
};

static void fresh_renew(struct decoders *decoders)
{
    event_decoder_free(decoders->fresh);
    assert_int_equal(event_decoder_new(&decoders->fresh, &options), 0);
}

/* By the full scanner. */
static enum kpi_refusal decode_fresh(struct decoders *decoders, const char *text, size_t length,
                                     struct kpi_event *event)
{
    enum kpi_refusal refusal = event_decode(decoders->fresh, text, length, &origin, event);

    if (event_decoder_n_followed(decoders->fresh) > 0) {
        fresh_renew(decoders);
        refusal = event_decode(decoders->fresh, text, length, &origin, event);
    }
    assert_int_equal(event_decoder_n_followed(decoders->fresh), 0);
    return refusal;
}

/* Returns whether it was accepted. */
static bool check_message(struct decoders *decoders, const char *text, size_t length)
{
    struct kpi_field fields[2][PLAN_FAKE_FIELDS];
    struct kpi_event events[2] = {{.fields = fields[0]}, {.fields = fields[1]}};
    enum kpi_refusal refusal, expected;

    memset(fields, 0xa5, sizeof(fields));
    event_decoder_reset(decoders->learned);
    event_decoder_reset(decoders->fresh);
    refusal = event_decode(decoders->learned, text, length, &origin, &events[0]);
    expected = decode_fresh(decoders, text, length, &events[1]);
    if (refusal != expected)
        fail_msg("refusal %d, expected %d: %.*s", refusal, expected, (int)length, text);
    if (refusal == KPI_REFUSAL_NONE)
        check_event(&events[0], &events[1], text);
    return refusal == KPI_REFUSAL_NONE;
}

static void test_a_decoder_that_has_learned_reads_what_a_fresh_one_reads(void **state)
{
    struct decoders decoders = {NULL, NULL};
    unsigned n_accepted = 0;

    assert_int_equal(event_decoder_new(&decoders.learned, &options), 0);
    fresh_renew(&decoders);
    for (unsigned i = 0; i < N_MESSAGES; i++) {
        char text[MESSAGE_BYTES_MAX];
        size_t length = make_message(text);

        n_accepted += check_message(&decoders, text, length);
        if (i % 8 == 0) {
            const char *difference;

            event_decoder_reset(decoders.learned);
            difference = event_reference_compare(decoders.learned, text, length, &origin);
            if (difference)
                fail_msg("%s: %.*s", difference, (int)length, text);
        }
    }
    /* Enough of both, and most was read the short way. */
    assert_in_range(n_accepted, N_MESSAGES / 2, N_MESSAGES * 9 / 10);
    assert_in_range(event_decoder_n_followed(decoders.learned), N_MESSAGES / 2, 2 * N_MESSAGES);
    event_decoder_free(decoders.learned);
    event_decoder_free(decoders.fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_decoder_that_has_learned_reads_what_a_fresh_one_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
