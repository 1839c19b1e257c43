/*
 * Claims: the decoder reads exactly the events that cJSON, used strictly, reads from the same
 * bytes; it refuses everything else with the reason that its header names, the first one in the
 * bytes; what it has learned from earlier messages changes none of this; and it reads no byte
 * outside the message.
 *
 * Every row of the tables is decoded from a block of exactly its size, four times in a stream of
 * other messages, and compared with the reference of tests/support/event_reference.h as well.
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
#include <xxhash.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* A message that may hold zero bytes. */
#define M(literal) KPI_STRING(literal)
/* An event's least, and the time of it. */
#define MINIMUM      "\"type\":\"purchase\",\"time\":\"2026-11-11T00:00:03.120+08:00\""
#define MINIMUM_TIME ((kpi_time)1794326403120000)

static const struct event_origin origin = {
    .topic_hash = 0x1122334455667788, .partition = 7, .offset = 4711, .record_time = KPI_TIME_NONE};

struct fixture {
    struct event_decoder *decoder;
    struct event_decoder *mapped; /* the same, by a mapping */
    struct kpi_field fields[PLAN_FAKE_FIELDS];
    struct kpi_event event;
    char *block;
};

static int setup(void **state)
{
    const struct event_decoder_options options = {&plan_fake, decoder_key, "CNY"};
    const struct event_decoder_options mapped = {&plan_fake, decoder_key, "CNY",
                                                 .mappings = &event_reference_mappings};
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(event_decoder_new(&f->decoder, &options), 0);
    assert_int_equal(event_decoder_new(&f->mapped, &mapped), 0);
    f->event.fields = f->fields;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    event_decoder_freep(&f->decoder);
    event_decoder_freep(&f->mapped);
    free(f->block);
    free(f);
    return 0;
}

/* A stream in which most goes well, so that the decoder goes on trying what it has learned. */
static void go_on(struct fixture *f, struct kpi_string message)
{
    for (unsigned i = 0; i < 16; i++) {
        event_decoder_reset(f->decoder);
        assert_int_equal(event_decode(f->decoder, message.data, message.length, &origin, &f->event),
                         0);
    }
}

/*
 * Decodes a copy that ends where its block ends; it lives until the next call. Before the last time
 * it was accepted twice if at all, so then it is read by what was learned from it.
 */
static enum kpi_refusal decode(struct fixture *f, struct kpi_string message)
{
    const char *difference = NULL;

    go_on(f, M("{" MINIMUM ",\"id\":\"a\",\"user\":\"b\",\"x\":{\"y\":[1,\"z\"]}}"));
    free(f->block);
    f->block = malloc(message.length ? message.length : 1);
    assert_non_null(f->block);
    if (message.length > 0)
        memcpy(f->block, message.data, message.length);
    for (unsigned i = 0; i < 3 && !difference; i++) {
        event_decoder_reset(f->decoder);
        difference = event_reference_compare(f->decoder, f->block, message.length, &origin);
    }
    event_decoder_reset(f->mapped);
    if (!difference)
        difference = event_reference_compare(f->mapped, f->block, message.length, &origin);
    if (difference)
        fail_msg("%s: %.*s", difference, (int)message.length, message.data);
    event_decoder_reset(f->decoder);
    memset(f->fields, 0xa5, sizeof(f->fields));
    return event_decode(f->decoder, f->block, message.length, &origin, &f->event);
}

static struct kpi_string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* Into a buffer that the next call uses again. */
static struct kpi_string format(const char *pattern, ...)
{
    static char buffer[2 * EVENT_BYTES_MAX];
    va_list arguments;
    int n;

    va_start(arguments, pattern);
    n = vsnprintf(buffer, sizeof(buffer), pattern, arguments);
    va_end(arguments);
    assert_in_range(n, 0, sizeof(buffer) - 1);
    return (struct kpi_string){buffer, (size_t)n};
}

static void expect(struct fixture *f, struct kpi_string message, enum kpi_refusal expected)
{
    enum kpi_refusal refusal = decode(f, message);

    if (refusal != expected)
        fail_msg("refusal %d, expected %d: %.*s", refusal, expected, (int)message.length,
                 message.data);
}

struct message_row {
    struct kpi_string message;
    enum kpi_refusal refusal;
};

/* The kinds of fault that a stream has met, with what is around each of them. */
static const struct message_row whole_messages[] = {
    /* 1-3: nothing there */
    {{"", 0}, KPI_REFUSAL_EMPTY},
    {M(" "), KPI_REFUSAL_EMPTY},
    {M(" \t\r\n \n"), KPI_REFUSAL_EMPTY},
    {M("                                        "), KPI_REFUSAL_EMPTY},
    {M("\v"), KPI_REFUSAL_JSON},
    {M("\f{" MINIMUM "}"), KPI_REFUSAL_JSON},
    {M("\xc2\xa0{" MINIMUM "}"), KPI_REFUSAL_JSON},
    /* 4-7: too little and too much */
    {M("{"), KPI_REFUSAL_JSON},
    {M("{\"a\""), KPI_REFUSAL_JSON},
    {M("{\"a\":"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}x"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "},"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}{" MINIMUM "}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}\n{" MINIMUM "}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}\0"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}\n\0"), KPI_REFUSAL_JSON},
    {M("\0{" MINIMUM "}"), KPI_REFUSAL_ENCODING}, /* cut as a Confluent frame is */
    {M("\0\0\0\1\2{" MINIMUM "}"), KPI_REFUSAL_NONE},
    {M("\0\0\0\1\2 {" MINIMUM "}"), KPI_REFUSAL_NONE},
    {M("\0{{{{{" MINIMUM "}"), KPI_REFUSAL_NONE},
    {M("\0\0\0\1\2\0{" MINIMUM "}"), KPI_REFUSAL_ENCODING}, /* Protobuf's message index */
    {M("\0\0\0\1\2\x08user-183"), KPI_REFUSAL_ENCODING},    /* Avro */
    {M("\0\0\0\1\2"), KPI_REFUSAL_EMPTY},
    {M("\0\0\0\1"), KPI_REFUSAL_JSON},
    {M("\0\0\0\1\2{" MINIMUM), KPI_REFUSAL_JSON},
    {M("\0"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "}"), KPI_REFUSAL_NONE},
    {M(" \n{" MINIMUM "}\r\n\t "), KPI_REFUSAL_NONE},
    {M("{ \"type\" : \"a\" ,\n\t\"time\"\r:\t1794326403120 }"), KPI_REFUSAL_NONE},
    /* 8: byte order marks */
    {M("\xef\xbb\xbf"), KPI_REFUSAL_UTF8},
    {M("\xef\xbb\xbf{" MINIMUM "}"), KPI_REFUSAL_UTF8},
    {M(" \xef\xbb\xbf{" MINIMUM "}"), KPI_REFUSAL_JSON},
    {M("\xff\xfe{\0}\0"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"\xef\xbb\xbf\"}"), KPI_REFUSAL_NONE},
    /* 9: other documents */
    {M("[]"), KPI_REFUSAL_NOT_OBJECT},
    {M("[{" MINIMUM "}]"), KPI_REFUSAL_NOT_OBJECT},
    {M("0"), KPI_REFUSAL_NOT_OBJECT},
    {M("-1.5e3"), KPI_REFUSAL_NOT_OBJECT},
    {M("null"), KPI_REFUSAL_NOT_OBJECT},
    {M("true"), KPI_REFUSAL_NOT_OBJECT},
    {M(" false "), KPI_REFUSAL_NOT_OBJECT},
    {M("\"text\""), KPI_REFUSAL_NOT_OBJECT},
    {M("nul"), KPI_REFUSAL_JSON},
    {M("nullx"), KPI_REFUSAL_JSON},
    {M("[1"), KPI_REFUSAL_JSON},
    {M("[1]]"), KPI_REFUSAL_JSON},
    {M("]"), KPI_REFUSAL_JSON},
    {M("}"), KPI_REFUSAL_JSON},
    {M("'a'"), KPI_REFUSAL_JSON},
    /* 10, 11: keys twice, keys of another case */
    {M("{" MINIMUM ",\"id\":\"a\",\"id\":\"a\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"type\":\"purchase\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"campaign\":\"a\",\"campaign\":null}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"campaign\":null,\"campaign\":\"a\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"campaign\":\"a\",\"c\\u0061mpaign\":\"a\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"currency\":\"USD\",\"currency\":\"USD\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"a_key_of_more_than_thirty_two_bytes\":1,"
       "\"a_key_of_more_than_thirty_two_bytes\":1}"),
     KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"渠道\":\"a\",\"\\u6e20\\u9053\":\"a\"}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"x\":1,\"x\":2,\"\":3,\"\":4}"), KPI_REFUSAL_NONE},
    {M("{" MINIMUM ",\"x\":{\"type\":1,\"type\":2,\"id\":[],\"id\":0}}"), KPI_REFUSAL_NONE},
    {M("{" MINIMUM ",\"Type\":1,\"TYPE\":2,\"Amount\":\"x\",\"ID\":3}"), KPI_REFUSAL_NONE},
    {M("{" MINIMUM ",\"type \":1,\" type\":2,\"typ\":3,\"types\":4}"), KPI_REFUSAL_NONE},
    {M("{" MINIMUM ",\"type\\u0000\":1,\"id\\u0000x\":2}"), KPI_REFUSAL_NONE},
    {M("{\"Type\":\"purchase\",\"time\":1794326403120}"), KPI_REFUSAL_TYPE},
    /* 13, 14: raw zero and control characters */
    {M("{" MINIMUM ",\"id\":\"a\0b\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"\0\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\0\"x\":1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":1\0}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\0\":1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"a\nb\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"a\tb\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"0123456789abcdefg\x1f\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\x01\":1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":\"\x7f\"}"), KPI_REFUSAL_NONE},
    {M("{" MINIMUM ",\v\"x\":1}"), KPI_REFUSAL_JSON},
    /* 25: what is not a member */
    {M("{}"), KPI_REFUSAL_TYPE},
    {M("{ }"), KPI_REFUSAL_TYPE},
    {M("{,}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",}"), KPI_REFUSAL_JSON},
    {M("{," MINIMUM "}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",,\"x\":1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM " \"x\":1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\" 1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\"::1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\"}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",x:1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",'x':1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",1:1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",null:1}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM ",\"x\":1 /* comment */}"), KPI_REFUSAL_JSON},
    {M("{" MINIMUM "]"), KPI_REFUSAL_JSON},
    /* 26: missing */
    {M("{\"time\":1794326403120}"), KPI_REFUSAL_TYPE},
    {M("{\"type\":null,\"time\":1794326403120}"), KPI_REFUSAL_TYPE},
    {M("{\"type\":\"a\"}"), KPI_REFUSAL_TIME},
    {M("{\"type\":\"a\",\"time\":null}"), KPI_REFUSAL_TIME},
    /* what is refused first */
    {M("{\"type\":7,\"time\":7x}"), KPI_REFUSAL_JSON},
    {M("{\"type\":7,\"x\":\"\xff\"}"), KPI_REFUSAL_UTF8},
    {M("{\"x\":\"\xff\",\"y\":}"), KPI_REFUSAL_UTF8},
    {M("{\"y\":,\"x\":\"\xff\"}"), KPI_REFUSAL_JSON},
    {M("{\"type\":7,\"time\":\"now\"}"), KPI_REFUSAL_TYPE},
    {M("{\"time\":\"now\",\"type\":7}"), KPI_REFUSAL_TIME},
    {M("{\"id\":7}"), KPI_REFUSAL_ID},
    {M("{\"campaign\":7,\"id\":7}"), KPI_REFUSAL_FIELD},
    {M("{\"id\":\"a\",\"id\":7,\"user\":false}"), KPI_REFUSAL_DUPLICATE_KEY},
    {M("{" MINIMUM ",\"currency\":\"USD\",\"amount\":\"-1\"}"), KPI_REFUSAL_CURRENCY},
    {M("{" MINIMUM ",\"amount\":\"-1\",\"currency\":\"USD\"}"), KPI_REFUSAL_AMOUNT},
    {M("{" MINIMUM ",\"currency\":\"USD\",\"amount\":\"1\",\"id\":7}"), KPI_REFUSAL_CURRENCY},
    {M("{" MINIMUM ",\"currency\":\"USD\",\"id\":7,\"amount\":\"1\"}"), KPI_REFUSAL_CURRENCY},
    {M("{" MINIMUM ",\"id\":7,\"currency\":\"USD\",\"amount\":\"1\"}"), KPI_REFUSAL_ID},
    {M("{" MINIMUM ",\"currency\":\"USD\",\"id\":7}"), KPI_REFUSAL_ID},
    {M("{\"amount\":1,\"currency\":\"USD\"}"), KPI_REFUSAL_CURRENCY},
};

static void test_whole_messages_are_taken_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT(whole_messages); i++)
        expect(*state, whole_messages[i].message, whole_messages[i].refusal);
}

/* A value of an unwanted key, valid or not. */
static const struct message_row values[] = {
    {M("0"), KPI_REFUSAL_NONE},
    {M("-0"), KPI_REFUSAL_NONE},
    {M("10"), KPI_REFUSAL_NONE},
    {M("1.25"), KPI_REFUSAL_NONE},
    {M("1e5"), KPI_REFUSAL_NONE},
    {M("1E+5"), KPI_REFUSAL_NONE},
    {M("-1.5e-5"), KPI_REFUSAL_NONE},
    {M("0e0"), KPI_REFUSAL_NONE},
    {M("1e999"), KPI_REFUSAL_NONE},
    {M("9007199254740993"), KPI_REFUSAL_NONE},
    {M("9223372036854775808"), KPI_REFUSAL_NONE},
    {M("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
     KPI_REFUSAL_NONE},
    {M("-"), KPI_REFUSAL_JSON},
    {M("+1"), KPI_REFUSAL_JSON},
    {M("012"), KPI_REFUSAL_JSON},
    {M("-012"), KPI_REFUSAL_JSON},
    {M("00"), KPI_REFUSAL_JSON},
    {M("1."), KPI_REFUSAL_JSON},
    {M("1.e5"), KPI_REFUSAL_JSON},
    {M(".5"), KPI_REFUSAL_JSON},
    {M("1e"), KPI_REFUSAL_JSON},
    {M("1e+"), KPI_REFUSAL_JSON},
    {M("1e1.5"), KPI_REFUSAL_JSON},
    {M("1ee5"), KPI_REFUSAL_JSON},
    {M("0x10"), KPI_REFUSAL_JSON},
    {M("1_000"), KPI_REFUSAL_JSON},
    {M("1 2"), KPI_REFUSAL_JSON},
    {M("1-2"), KPI_REFUSAL_JSON},
    {M("NaN"), KPI_REFUSAL_JSON},
    {M("Infinity"), KPI_REFUSAL_JSON},
    {M("-Infinity"), KPI_REFUSAL_JSON},
    {M("true"), KPI_REFUSAL_NONE},
    {M("false"), KPI_REFUSAL_NONE},
    {M("null"), KPI_REFUSAL_NONE},
    {M("True"), KPI_REFUSAL_JSON},
    {M("tru"), KPI_REFUSAL_JSON},
    {M("truefalse"), KPI_REFUSAL_JSON},
    {M("fals"), KPI_REFUSAL_JSON},
    {M("undefined"), KPI_REFUSAL_JSON},
    {M("[]"), KPI_REFUSAL_NONE},
    {M("[ ]"), KPI_REFUSAL_NONE},
    {M("{}"), KPI_REFUSAL_NONE},
    {M("[[],{},[{}],{\"a\":[]}]"), KPI_REFUSAL_NONE},
    {M("[1,\"a\",null,true,{\"b\":-1.5}]"), KPI_REFUSAL_NONE},
    {M("{\"a\":{\"b\":{\"c\":[1,2,{\"d\":\"e\"}]}}}"), KPI_REFUSAL_NONE},
    {M("[1,]"), KPI_REFUSAL_JSON},
    {M("[,1]"), KPI_REFUSAL_JSON},
    {M("[,]"), KPI_REFUSAL_JSON},
    {M("[1 2]"), KPI_REFUSAL_JSON},
    {M("[1:2]"), KPI_REFUSAL_JSON},
    {M("[1}"), KPI_REFUSAL_JSON},
    {M("[}"), KPI_REFUSAL_JSON},
    {M("{]"), KPI_REFUSAL_JSON},
    {M("[\"a\":1]"), KPI_REFUSAL_JSON},
    {M("{\"a\"}"), KPI_REFUSAL_JSON},
    {M("{\"a\",1}"), KPI_REFUSAL_JSON},
    {M("{\"a\":1,}"), KPI_REFUSAL_JSON},
    {M("{1:1}"), KPI_REFUSAL_JSON},
    {M("{[]:1}"), KPI_REFUSAL_JSON},
    {M("{\"a\":1 \"b\":2}"), KPI_REFUSAL_JSON},
    {M("[\"a"), KPI_REFUSAL_JSON},
    {M("[[[[]]]"), KPI_REFUSAL_JSON},
    {M("\"\""), KPI_REFUSAL_NONE},
    {M("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""), KPI_REFUSAL_NONE},
    {M("\"\\u0000\""), KPI_REFUSAL_NONE},
    {M("\"\\q\""), KPI_REFUSAL_JSON},
    {M("\"\\U0041\""), KPI_REFUSAL_JSON},
    {M("\"\\x41\""), KPI_REFUSAL_JSON},
    {M("\"\\u12g4\""), KPI_REFUSAL_JSON},
    {M("\"\\u123\""), KPI_REFUSAL_JSON},
    {M("\"\\u 123\""), KPI_REFUSAL_JSON},
    {M("\"\\"), KPI_REFUSAL_JSON},
    {M("\"\\\""), KPI_REFUSAL_JSON},
    /* 17: surrogates, as escapes and raw */
    {M("\"\\ud83d\\ude00\""), KPI_REFUSAL_NONE},
    {M("\"\\uDBFF\\uDFFF\""), KPI_REFUSAL_NONE},
    {M("\"\\ud83d\""), KPI_REFUSAL_UTF8},
    {M("\"\\ud83dx\""), KPI_REFUSAL_UTF8},
    {M("\"\\ud83d\\n\""), KPI_REFUSAL_UTF8},
    {M("\"\\ud83d\\u0041\""), KPI_REFUSAL_UTF8},
    {M("\"\\ud83d\\ud83d\""), KPI_REFUSAL_UTF8},
    {M("\"\\ude00\""), KPI_REFUSAL_UTF8},
    {M("\"\\ude00\\ud83d\""), KPI_REFUSAL_UTF8},
    {M("\"\\ud83d\\ude0\""), KPI_REFUSAL_UTF8},
    {M("\"\xed\xa0\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xed\xbf\xbf\""), KPI_REFUSAL_UTF8},
    {M("\"\xed\xa0\xbd\xed\xb8\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xed\x9f\xbf\""), KPI_REFUSAL_NONE},
    {M("\"\xee\x80\x80\""), KPI_REFUSAL_NONE},
    /* 15, 16: not UTF-8, overlong */
    {M("\"\xc2\x80\""), KPI_REFUSAL_NONE},
    {M("\"\xe0\xa0\x80\""), KPI_REFUSAL_NONE},
    {M("\"\xf0\x90\x80\x80\""), KPI_REFUSAL_NONE},
    {M("\"\xf4\x8f\xbf\xbf\""), KPI_REFUSAL_NONE},
    {M("\"\xef\xbf\xbe\""), KPI_REFUSAL_NONE},
    {M("\"\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xbf\""), KPI_REFUSAL_UTF8},
    {M("\"\xc0\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xc1\xbf\""), KPI_REFUSAL_UTF8},
    {M("\"\xe0\x80\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xe0\x9f\xbf\""), KPI_REFUSAL_UTF8},
    {M("\"\xf0\x80\x80\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xf0\x8f\xbf\xbf\""), KPI_REFUSAL_UTF8},
    {M("\"\xf4\x90\x80\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xf5\x80\x80\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xff\""), KPI_REFUSAL_UTF8},
    {M("\"\xfe\""), KPI_REFUSAL_UTF8},
    {M("\"\xc3\""), KPI_REFUSAL_UTF8},
    {M("\"\xc3(\""), KPI_REFUSAL_UTF8},
    {M("\"\xe4\xb8\""), KPI_REFUSAL_UTF8},
    {M("\"\xe4\xb8(\""), KPI_REFUSAL_UTF8},
    {M("\"\xe4(\xad\""), KPI_REFUSAL_UTF8},
    {M("\"\xf0\x9f\x98\""), KPI_REFUSAL_UTF8},
    {M("\"\xf0\x9f\x98(\""), KPI_REFUSAL_UTF8},
    {M("\"\xf0(\x98\x80\""), KPI_REFUSAL_UTF8},
    {M("\"\xb0\xd7\xc8\xd5\""), KPI_REFUSAL_UTF8}, /* GBK */
    {M("\"中文中文中文中文\xe4\""), KPI_REFUSAL_UTF8},
    {M("\xe4\xb8\xad"), KPI_REFUSAL_JSON},
    {M("{\"\xff\":1}"), KPI_REFUSAL_UTF8},
    {M("{\"\\ud800\":1}"), KPI_REFUSAL_UTF8},
    {M("[\"\xff\"]"), KPI_REFUSAL_UTF8},
};

static void test_values_of_unwanted_keys_are_validated(void **state)
{
    for (size_t i = 0; i < COUNT(values); i++) {
        struct kpi_string value = values[i].message;

        expect(*state, format("{\"x\":%.*s," MINIMUM "}", (int)value.length, value.data),
               values[i].refusal);
        expect(*state, format("{" MINIMUM ",\"x\": %.*s }", (int)value.length, value.data),
               values[i].refusal);
        expect(*state, format("{" MINIMUM ",\"y\":[{\"x\":%.*s}]}", (int)value.length, value.data),
               values[i].refusal);
    }
}

struct string_row {
    const char *json; /* as written, with quotes */
    enum kpi_refusal refusal;
    struct kpi_string text;
};

static const struct string_row strings[] = {
    {"\"double11\"", KPI_REFUSAL_NONE, M("double11")},
    {"\"\"", KPI_REFUSAL_NONE, M("")},
    {"\"双十一\"", KPI_REFUSAL_NONE, M("双十一")},
    {"\"\\u53cc\\u5341\\u4e00\"", KPI_REFUSAL_NONE, M("双十一")},
    {"\"\\u53CC十\\u4E00\"", KPI_REFUSAL_NONE, M("双十一")},
    {"\"会员日：满减狂欢节第十二期\"", KPI_REFUSAL_NONE, M("会员日：满减狂欢节第十二期")},
    {"\"\\u4f1a\\u5458\\u65e5\\uff1a618\"", KPI_REFUSAL_NONE, M("会员日：618")},
    {"\"abcdefghijklmno双\"", KPI_REFUSAL_NONE, M("abcdefghijklmno双")},
    {"\"0123456789abcdef0123456789abcdef!\"", KPI_REFUSAL_NONE,
     M("0123456789abcdef0123456789abcdef!")},
    {"\"\\ud83c\\udf89 party\"", KPI_REFUSAL_NONE, M("🎉 party")},
    {"\"🎉\"", KPI_REFUSAL_NONE, M("🎉")},
    {"\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"", KPI_REFUSAL_NONE, M("a\"b\\c/d\b\f\n\r\t")},
    {"\"\\u00e9\\u007f\\u0080\\u07ff\\u0800\\uffff\"", KPI_REFUSAL_NONE,
     M("é\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
    {"\"\\u0001\\u001f\"", KPI_REFUSAL_NONE, M("\x01\x1f")},
    {"\"\\u0000\"", KPI_REFUSAL_FIELD, {NULL, 0}},
    {"\"a\\u0000b\"", KPI_REFUSAL_FIELD, {NULL, 0}},
    {"1", KPI_REFUSAL_FIELD, {NULL, 0}},
    {"true", KPI_REFUSAL_FIELD, {NULL, 0}},
    {"[]", KPI_REFUSAL_FIELD, {NULL, 0}},
    {"{\"a\":1}", KPI_REFUSAL_FIELD, {NULL, 0}},
};

static void check_field(const struct kpi_field *field, struct kpi_string text)
{
    assert_int_equal(field->kind, KPI_FIELD_STRING);
    assert_int_equal(field->length, text.length);
    assert_memory_equal(field->string, text.data, text.length);
    assert_true(field->hash == XXH3_64bits(text.data, text.length));
}

static void test_string_fields_are_unescaped_and_hashed(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(strings); i++) {
        expect(
            f,
            format("{" MINIMUM ",\"campaign\":%s,\"渠道\" : %s}", strings[i].json, strings[i].json),
            strings[i].refusal);
        if (strings[i].refusal != KPI_REFUSAL_NONE)
            continue;
        check_field(&f->fields[PLAN_FAKE_CAMPAIGN], strings[i].text);
        check_field(&f->fields[PLAN_FAKE_UNICODE], strings[i].text);
        assert_int_equal(f->fields[PLAN_FAKE_CHANNEL].kind, KPI_FIELD_ABSENT);
    }
}

static void test_strings_without_escapes_are_borrowed_from_the_message(void **state)
{
    struct fixture *f = *state;

    expect(f, M("{" MINIMUM ",\"campaign\":\"双十一\"}"), KPI_REFUSAL_NONE);
    assert_ptr_equal(f->fields[PLAN_FAKE_CAMPAIGN].string, strstr(f->block, "双十一"));
    assert_ptr_equal(f->event.type.string, strstr(f->block, "purchase"));
}

static void test_unescaped_strings_of_a_batch_live_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct kpi_field fields[2][PLAN_FAKE_FIELDS];
    struct kpi_event events[2] = {{.fields = fields[0]}, {.fields = fields[1]}};
    struct kpi_string a = M("{" MINIMUM ",\"campaign\":\"\\u0061\\u53cc\"}");
    struct kpi_string b = M("{" MINIMUM ",\"campaign\":\"\\u0062\\u53cc\"}");

    event_decoder_reset(f->decoder);
    assert_int_equal(event_decode(f->decoder, a.data, a.length, &origin, &events[0]), 0);
    assert_int_equal(event_decode(f->decoder, b.data, b.length, &origin, &events[1]), 0);
    check_field(&fields[0][PLAN_FAKE_CAMPAIGN], M("a双"));
    check_field(&fields[1][PLAN_FAKE_CAMPAIGN], M("b双"));
}

static void test_a_batch_of_the_largest_messages_full_of_escapes_fits(void **state)
{
    struct fixture *f = *state;
    struct kpi_string message;
    size_t length;
    char *value = malloc(EVENT_BYTES_MAX + 1);

    assert_non_null(value);
    memset(value, 'x', EVENT_BYTES_MAX);
    memcpy(value, "\\n", 2);
    length = strlen("{" MINIMUM ",\"campaign\":\"\"}");
    value[EVENT_BYTES_MAX - length] = '\0';
    message = format("{" MINIMUM ",\"campaign\":\"%s\"}", value);
    assert_int_equal(message.length, EVENT_BYTES_MAX);
    event_decoder_reset(f->decoder);
    for (unsigned i = 0; i < KPI_BATCH_MAX; i++)
        assert_int_equal(event_decode(f->decoder, message.data, message.length, &origin, &f->event),
                         0);
    assert_int_equal(f->fields[PLAN_FAKE_CAMPAIGN].length, EVENT_BYTES_MAX - length - 1);
    free(value);
}

struct time_row {
    const char *json;
    kpi_time time; /* KPI_TIME_NONE: refused */
};

static const struct time_row times[] = {
    {"\"2026-11-11T00:00:03.120+08:00\"", MINIMUM_TIME},
    {"\"2026-11-10T16:00:03.12Z\"", MINIMUM_TIME},
    {"\"2026-11-10t16:00:03.120000z\"", MINIMUM_TIME},
    {"\"2026-11-10 16:00:03.1200000000Z\"", MINIMUM_TIME},
    {"\"2026-11-10T08:30:03.120-07:30\"", MINIMUM_TIME},
    {"\"2026\\u002d11-10T16:00:03.120Z\"", MINIMUM_TIME},
    {"1794326403120", MINIMUM_TIME},
    {"\"2026-11-10T16:00:03Z\"", MINIMUM_TIME - 120000},
    {"\"2026-11-10T16:00:03.120000999Z\"", MINIMUM_TIME},
    {"\"2026-11-10T16:00:03.1200019Z\"", MINIMUM_TIME + 1},
    {"\"1970-01-01T00:00:00.000001Z\"", 1},
    {"\"1970-01-01T00:00:00Z\"", KPI_TIME_NONE},
    {"\"1970-01-01T00:00:00.0000009Z\"", KPI_TIME_NONE},
    {"\"1969-12-31T23:59:59Z\"", KPI_TIME_NONE},
    {"\"1970-01-01T00:59:59+01:00\"", KPI_TIME_NONE},
    {"\"1969-12-31T23:30:00-01:00\"", 1800 * KPI_SECOND},
    {"\"9999-12-31T23:59:59.999999Z\"", 253402300799999999},
    {"\"9999-12-31T23:59:59-00:01\"", KPI_TIME_NONE},
    {"\"0000-01-01T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2000-02-29T12:00:00Z\"", 951825600 * KPI_SECOND},
    {"\"2024-02-29T00:00:00Z\"", 1709164800 * KPI_SECOND},
    {"\"2100-02-29T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-02-29T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-02-30T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-04-31T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-13-01T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-00-01T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-01-00T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-01-32T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-01-01T24:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-01-01T00:60:00Z\"", KPI_TIME_NONE},
    {"\"2026-01-01T00:00:61Z\"", KPI_TIME_NONE},
    {"\"2016-12-31T23:59:60Z\"", 1483228799999999},
    {"\"2016-12-31T23:59:60.5Z\"", 1483228799999999},
    {"\"2017-01-01T07:59:60+08:00\"", 1483228799999999},
    {"\"2016-12-31T12:34:60Z\"", KPI_TIME_NONE},
    {"\"2016-12-31T23:59:60+08:00\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03.120\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03.Z\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03,120Z\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00Z\"", KPI_TIME_NONE},
    {"\"2026-11-11\"", KPI_TIME_NONE},
    {"\"20261111T000003Z\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03+0800\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03+08\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03+24:00\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03+08:60\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03ZZ\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03Z \"", KPI_TIME_NONE},
    {"\" 2026-11-11T00:00:03Z\"", KPI_TIME_NONE},
    {"\"2026-11-11_00:00:03Z\"", KPI_TIME_NONE},
    {"\"+026-11-11T00:00:03Z\"", KPI_TIME_NONE},
    {"\"2026-W46-3T00:00:03Z\"", KPI_TIME_NONE},
    {"\"2026-1a-11T00:00:03Z\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:0 Z\"", KPI_TIME_NONE},
    {"\"2026-11-1/T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-11-1:T00:00:00Z\"", KPI_TIME_NONE},
    {"\"2026-11-11T00:00:03Z\\u0000\"", KPI_TIME_NONE},
    {"\"2０26-11-11T00:00:03Z\"", KPI_TIME_NONE},
    {"\"1794326403120\"", KPI_TIME_NONE},
    {"\"\"", KPI_TIME_NONE},
    {"\"now\"", KPI_TIME_NONE},
    {"1", 1000},
    {"253402300799999", 253402300799999000},
    {"253402300800000", KPI_TIME_NONE},
    {"9223372036854775807", KPI_TIME_NONE},
    {"18446744073709551617", KPI_TIME_NONE},
    {"0", KPI_TIME_NONE},
    {"-1", KPI_TIME_NONE},
    {"-0", KPI_TIME_NONE},
    {"1794326403120.5", KPI_TIME_NONE},
    {"1.79432640312e12", KPI_TIME_NONE},
    {"true", KPI_TIME_NONE},
    {"[1794326403120]", KPI_TIME_NONE},
    {"{}", KPI_TIME_NONE},
};

static void test_times_are_instants_between_1970_and_9999(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(times); i++) {
        bool refused = times[i].time == KPI_TIME_NONE;

        expect(f, format("{\"type\":\"a\",\"time\":%s}", times[i].json),
               refused ? KPI_REFUSAL_TIME : KPI_REFUSAL_NONE);
        if (!refused) {
            assert_int_equal(f->event.time, times[i].time);
            assert_int_equal(f->event.record_time, times[i].time);
        }
    }
}

static void test_the_record_keeps_its_own_time(void **state)
{
    struct fixture *f = *state;
    struct event_origin with_time = origin;
    struct kpi_string message = M("{" MINIMUM "}");

    with_time.record_time = 42;
    assert_int_equal(event_decode(f->decoder, message.data, message.length, &with_time, &f->event),
                     0);
    assert_int_equal(f->event.time, MINIMUM_TIME);
    assert_int_equal(f->event.record_time, 42);
}

struct decimal_row {
    const char *json;
    kpi_decimal number;
    enum kpi_refusal refusal;
};

#define ZEROS_20 "00000000000000000000"

static const struct decimal_row numbers[] = {
    {"0", 0, KPI_REFUSAL_NONE},
    {"-0", 0, KPI_REFUSAL_NONE},
    {"-0.0", 0, KPI_REFUSAL_NONE},
    {"1", 1000000, KPI_REFUSAL_NONE},
    {"129.90", 129900000, KPI_REFUSAL_NONE},
    {"-129.900001", -129900001, KPI_REFUSAL_NONE},
    {"0.000001", 1, KPI_REFUSAL_NONE},
    {"0.0000010", 1, KPI_REFUSAL_NONE},
    {"0.1234560" ZEROS_20, 123456, KPI_REFUSAL_NONE},
    {"0.0000001", 0, KPI_REFUSAL_NUMBER},
    {"1.0000001", 0, KPI_REFUSAL_NUMBER},
    {"1e3", 1000000000, KPI_REFUSAL_NONE},
    {"1.5E+3", 1500000000, KPI_REFUSAL_NONE},
    {"1e-6", 1, KPI_REFUSAL_NONE},
    {"1e-7", 0, KPI_REFUSAL_NUMBER},
    {"10e-7", 1, KPI_REFUSAL_NONE},
    {"1" ZEROS_20 ZEROS_20 "e-40", 1000000, KPI_REFUSAL_NONE},
    {"0." ZEROS_20 ZEROS_20 "1e41", 1000000, KPI_REFUSAL_NONE},
    {"12345.6789012e-1", 0, KPI_REFUSAL_NUMBER},
    {"12345.6789012e1", 123456789012, KPI_REFUSAL_NONE},
    {"0e999999999999999999999999", 0, KPI_REFUSAL_NONE},
    {"0e-999999999999999999999999", 0, KPI_REFUSAL_NONE},
    {"1e999", 0, KPI_REFUSAL_NUMBER},
    {"1e-999", 0, KPI_REFUSAL_NUMBER},
    {"1e18446744073709551617", 0, KPI_REFUSAL_NUMBER},
    {"9223372036854.775807", INT64_MAX, KPI_REFUSAL_NONE},
    {"-9223372036854.775807", -INT64_MAX, KPI_REFUSAL_NONE},
    {"9223372036854.775808", 0, KPI_REFUSAL_NUMBER},
    {"-9223372036854.775808", 0, KPI_REFUSAL_NUMBER},
    {"9223372036855", 0, KPI_REFUSAL_NUMBER},
    {"9007199254.740993", 9007199254740993, KPI_REFUSAL_NONE},
    {"9007199254740993", 0, KPI_REFUSAL_NUMBER},
    {"9223372036854775808", 0, KPI_REFUSAL_NUMBER},
    {"123456789012", 123456789012000000, KPI_REFUSAL_NONE},
    {"1234567890123", 1234567890123000000, KPI_REFUSAL_NONE},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890", 0,
     KPI_REFUSAL_NUMBER},
    {"\"1\"", 0, KPI_REFUSAL_FIELD},
    {"true", 0, KPI_REFUSAL_FIELD},
    {"{}", 0, KPI_REFUSAL_FIELD},
};

static void test_numbers_are_exact_or_refused(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(numbers); i++) {
        expect(f,
               format("{" MINIMUM ",\"score\":%s,\"a_key_of_more_than_thirty_two_bytes\":%s}",
                      numbers[i].json, numbers[i].json),
               numbers[i].refusal);
        if (numbers[i].refusal != KPI_REFUSAL_NONE)
            continue;
        assert_int_equal(f->fields[PLAN_FAKE_SCORE].kind, KPI_FIELD_NUMBER);
        assert_int_equal(f->fields[PLAN_FAKE_SCORE].number, numbers[i].number);
        assert_int_equal(f->fields[PLAN_FAKE_LONG].number, numbers[i].number);
    }
}

/* A field that only a dimension uses is taken as it comes. */
static void test_any_kind_where_any_will_do(void **state)
{
    static const struct {
        const char *json;
        enum kpi_refusal refusal;
        enum kpi_field_kind kind;
        int64_t number;
    } kinds[] = {
        {"\"5\"", KPI_REFUSAL_NONE, KPI_FIELD_STRING, 0},
        {"5.25", KPI_REFUSAL_NONE, KPI_FIELD_NUMBER, 5250000},
        {"true", KPI_REFUSAL_NONE, KPI_FIELD_BOOL, 1},
        {"null", KPI_REFUSAL_NONE, KPI_FIELD_ABSENT, 0},
        {"[5]", KPI_REFUSAL_FIELD, KPI_FIELD_ABSENT, 0},
        {"{}", KPI_REFUSAL_FIELD, KPI_FIELD_ABSENT, 0},
        {"1e99", KPI_REFUSAL_NUMBER, KPI_FIELD_ABSENT, 0},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(kinds); i++) {
        expect(f, format("{" MINIMUM ",\"label\":%s}", kinds[i].json), kinds[i].refusal);
        if (kinds[i].refusal != KPI_REFUSAL_NONE)
            continue;
        assert_int_equal(f->fields[PLAN_FAKE_ANY].kind, kinds[i].kind);
        if (kinds[i].kind == KPI_FIELD_STRING)
            check_field(&f->fields[PLAN_FAKE_ANY], M("5"));
        else
            assert_int_equal(f->fields[PLAN_FAKE_ANY].number, kinds[i].number);
    }
}

static const struct decimal_row amounts[] = {
    {"\"129.90\"", 129900000, KPI_REFUSAL_NONE},
    {"129.90", 129900000, KPI_REFUSAL_NONE},
    {"129.9e0", 129900000, KPI_REFUSAL_NONE},
    {"1.299e2", 129900000, KPI_REFUSAL_NONE},
    {"\"0\"", 0, KPI_REFUSAL_NONE},
    {"0", 0, KPI_REFUSAL_NONE},
    {"-0", 0, KPI_REFUSAL_NONE},
    {"\"0.000001\"", 1, KPI_REFUSAL_NONE},
    {"\"9223372036854.775807\"", INT64_MAX, KPI_REFUSAL_NONE},
    {"9223372036854.775807", INT64_MAX, KPI_REFUSAL_NONE},
    {"\"1\\u002e5\"", 1500000, KPI_REFUSAL_NONE},
    {"\"9223372036854.775808\"", 0, KPI_REFUSAL_AMOUNT},
    {"1e13", 0, KPI_REFUSAL_AMOUNT},
    {"1e999", 0, KPI_REFUSAL_AMOUNT},
    {"-1", 0, KPI_REFUSAL_AMOUNT},
    {"\"-0.01\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1.0000000\"", 0, KPI_REFUSAL_AMOUNT},
    {"1.0000000", 0, KPI_REFUSAL_AMOUNT},
    {"1.0000001", 0, KPI_REFUSAL_AMOUNT},
    {"1e-7", 0, KPI_REFUSAL_AMOUNT},
    {"0.0000000e1", 0, KPI_REFUSAL_NONE},
    {"0.0000000", 0, KPI_REFUSAL_AMOUNT},
    {"\"1e2\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"\"", 0, KPI_REFUSAL_AMOUNT},
    {"\" 1\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1 \"", 0, KPI_REFUSAL_AMOUNT},
    {"\"+1\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"01\"", 0, KPI_REFUSAL_AMOUNT},
    {"\".5\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1.\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1,5\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1.5.5\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"-\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"0x10\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"NaN\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"¥129.90\"", 0, KPI_REFUSAL_AMOUNT},
    {"\"1\\u0000\"", 0, KPI_REFUSAL_AMOUNT},
    {"true", 0, KPI_REFUSAL_AMOUNT},
    {"{}", 0, KPI_REFUSAL_AMOUNT},
    {"[1]", 0, KPI_REFUSAL_AMOUNT},
};

static void test_amounts_are_exact_and_not_negative(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(amounts); i++) {
        expect(f, format("{\"amount\":%s," MINIMUM "}", amounts[i].json), amounts[i].refusal);
        if (amounts[i].refusal != KPI_REFUSAL_NONE)
            continue;
        assert_int_equal(f->fields[PLAN_FAKE_AMOUNT].kind, KPI_FIELD_NUMBER);
        assert_int_equal(f->fields[PLAN_FAKE_AMOUNT].number, amounts[i].number);
    }
}

static const struct message_row members[] = {
    /* currency */
    {M("\"amount\":1,\"currency\":\"CNY\""), KPI_REFUSAL_NONE},
    {M("\"amount\":1,\"currency\":\"\\u0043NY\""), KPI_REFUSAL_NONE},
    {M("\"amount\":1,\"currency\":null"), KPI_REFUSAL_NONE},
    {M("\"amount\":null,\"currency\":\"USD\""), KPI_REFUSAL_NONE},
    {M("\"currency\":\"USD\""), KPI_REFUSAL_NONE},
    {M("\"currency\":7"), KPI_REFUSAL_NONE},
    {M("\"amount\":1,\"currency\":\"USD\""), KPI_REFUSAL_CURRENCY},
    {M("\"currency\":\"USD\",\"amount\":1"), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":\"cny\""), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":\"CNY \""), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":\"CNY\\u0000\""), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":\"\""), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":156"), KPI_REFUSAL_CURRENCY},
    {M("\"amount\":1,\"currency\":[]"), KPI_REFUSAL_CURRENCY},
    /* 12: id and source */
    {M("\"id\":\"a\""), KPI_REFUSAL_NONE},
    {M("\"id\":null"), KPI_REFUSAL_NONE},
    {M("\"id\":\"\""), KPI_REFUSAL_ID},
    {M("\"id\":\"a\\u0000b\""), KPI_REFUSAL_ID},
    {M("\"id\":\"\\u0000\""), KPI_REFUSAL_ID},
    {M("\"id\":7"), KPI_REFUSAL_ID},
    {M("\"id\":true"), KPI_REFUSAL_ID},
    {M("\"id\":[\"a\"]"), KPI_REFUSAL_ID},
    {M("\"source\":\"shop\""), KPI_REFUSAL_NONE},
    {M("\"source\":null,\"id\":\"a\""), KPI_REFUSAL_NONE},
    {M("\"source\":\"\",\"id\":\"a\""), KPI_REFUSAL_ID},
    {M("\"source\":1,\"id\":\"a\""), KPI_REFUSAL_ID},
    {M("\"source\":\"a\\u0000\",\"id\":\"a\""), KPI_REFUSAL_ID},
    /* user */
    {M("\"user\":\"u-1\""), KPI_REFUSAL_NONE},
    {M("\"user\":\"用户\""), KPI_REFUSAL_NONE},
    {M("\"user\":null"), KPI_REFUSAL_NONE},
    {M("\"user\":0"), KPI_REFUSAL_NONE},
    {M("\"user\":9007199254740993"), KPI_REFUSAL_NONE},
    {M("\"user\":9223372036854775807"), KPI_REFUSAL_NONE},
    {M("\"user\":9223372036854775808"), KPI_REFUSAL_USER},
    {M("\"user\":18446744073709551617"), KPI_REFUSAL_USER},
    {M("\"user\":100000000000000000000"), KPI_REFUSAL_USER},
    {M("\"user\":-1"), KPI_REFUSAL_USER},
    {M("\"user\":-0"), KPI_REFUSAL_USER},
    {M("\"user\":1.0"), KPI_REFUSAL_USER},
    {M("\"user\":1e3"), KPI_REFUSAL_USER},
    {M("\"user\":\"\""), KPI_REFUSAL_USER},
    {M("\"user\":\"\\u0000\""), KPI_REFUSAL_USER},
    {M("\"user\":true"), KPI_REFUSAL_USER},
    {M("\"user\":{\"id\":1}"), KPI_REFUSAL_USER},
    /* bool */
    {M("\"incentive\":true"), KPI_REFUSAL_NONE},
    {M("\"incentive\":false"), KPI_REFUSAL_NONE},
    {M("\"incentive\":null"), KPI_REFUSAL_NONE},
    {M("\"incentive\":1"), KPI_REFUSAL_FIELD},
    {M("\"incentive\":\"true\""), KPI_REFUSAL_FIELD},
    {M("\"incentive\":[true]"), KPI_REFUSAL_FIELD},
};

static void test_members_are_taken_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT(members); i++) {
        struct kpi_string member = members[i].message;

        expect(*state, format("{%.*s," MINIMUM "}", (int)member.length, member.data),
               members[i].refusal);
        expect(*state, format("{" MINIMUM " , %.*s}", (int)member.length, member.data),
               members[i].refusal);
    }
}

static void test_type_is_a_short_text(void **state)
{
    static const struct message_row types[] = {
        {M("\"a\""), KPI_REFUSAL_NONE},
        {M("\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""),
         KPI_REFUSAL_NONE},
        {M("\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefg\""),
         KPI_REFUSAL_TYPE},
        {M("\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\\u00e9\""),
         KPI_REFUSAL_TYPE},
        {M("\"\""), KPI_REFUSAL_TYPE},
        {M("\"a\\u0000\""), KPI_REFUSAL_TYPE},
        {M("7"), KPI_REFUSAL_TYPE},
        {M("false"), KPI_REFUSAL_TYPE},
        {M("[\"a\"]"), KPI_REFUSAL_TYPE},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT(types); i++)
        expect(f, format("{\"type\":%s,\"time\":1}", types[i].message.data), types[i].refusal);
    expect(f, M("{\"type\":\"\\u0070urchase\",\"time\":1}"), KPI_REFUSAL_NONE);
    check_field(&f->event.type, M("purchase"));
}

static void test_ids_and_users_are_bounded_at_256_bytes(void **state)
{
    static const struct {
        const char *key;
        enum kpi_refusal refusal;
    } rows[] = {{"id", KPI_REFUSAL_ID}, {"source", KPI_REFUSAL_ID}, {"user", KPI_REFUSAL_USER}};
    char text[258];

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(rows); i++) {
        text[256] = '\0';
        expect(*state, format("{" MINIMUM ",\"%s\":\"%s\"}", rows[i].key, text), KPI_REFUSAL_NONE);
        text[256] = 'x';
        text[257] = '\0';
        expect(*state, format("{" MINIMUM ",\"%s\":\"%s\"}", rows[i].key, text), rows[i].refusal);
    }
}

static uint64_t keyed(struct kpi_string text)
{
    return XXH3_64bits_withSecret(text.data, text.length, decoder_key, EVENT_KEY_BYTES);
}

static void test_users_are_keyed_hashes_of_their_text(void **state)
{
    struct fixture *f = *state;

    expect(f, M("{" MINIMUM ",\"user\":\"u-183\"}"), KPI_REFUSAL_NONE);
    assert_int_equal(f->event.flags, KPI_EVENT_HAS_USER);
    assert_true(f->event.user == keyed(M("u-183")));
    expect(f, M("{" MINIMUM ",\"user\":9007199254740993}"), KPI_REFUSAL_NONE);
    assert_true(f->event.user == keyed(M("9007199254740993")));
    expect(f, M("{" MINIMUM ",\"user\":\"9007199254740993\"}"), KPI_REFUSAL_NONE);
    assert_true(f->event.user == keyed(M("9007199254740993")));
    expect(f, M("{" MINIMUM ",\"user\":null}"), KPI_REFUSAL_NONE);
    assert_int_equal(f->event.flags, 0);
}

static void test_ids_are_keyed_hashes_of_source_and_id(void **state)
{
    struct fixture *f = *state;

    expect(f, M("{" MINIMUM ",\"id\":\"01JC\"}"), KPI_REFUSAL_NONE);
    assert_int_equal(f->event.flags, KPI_EVENT_HAS_ID);
    assert_true(f->event.id == keyed(M("01JC")));
    expect(f, M("{\"id\":\"01JC\",\"source\":\"shop\"," MINIMUM "}"), KPI_REFUSAL_NONE);
    assert_true(f->event.id == keyed(M("shop\0"
                                       "01JC")));
    expect(f, M("{\"source\":\"s\\u0068op\"," MINIMUM ",\"id\":\"01JC\"}"), KPI_REFUSAL_NONE);
    assert_true(f->event.id == keyed(M("shop\0"
                                       "01JC")));
}

static void test_without_id_the_origin_is_the_id(void **state)
{
    struct fixture *f = *state;
    struct kpi_string message = M("{" MINIMUM ",\"source\":\"shop\"}");
    struct event_origin other = origin;

    expect(f, message, KPI_REFUSAL_NONE);
    assert_int_equal(f->event.flags, 0);
    assert_true(f->event.id == keyed(M("\0\x88\x77\x66\x55\x44\x33\x22\x11\x07\0\0\0"
                                       "\x67\x12\0\0\0\0\0\0")));
    other.offset++;
    assert_int_equal(event_decode(f->decoder, message.data, message.length, &other, &f->event), 0);
    assert_true(f->event.id == keyed(M("\0\x88\x77\x66\x55\x44\x33\x22\x11\x07\0\0\0"
                                       "\x68\x12\0\0\0\0\0\0")));
}

static void test_content_tells_other_bytes(void **state)
{
    struct fixture *f = *state;
    struct kpi_string message = M("{" MINIMUM ",\"x\":1}");
    uint64_t hash = XXH3_64bits(message.data, message.length);

    expect(f, message, KPI_REFUSAL_NONE);
    assert_int_equal(f->event.content, (uint32_t)(hash ^ hash >> 32));
    expect(f, M("{" MINIMUM ",\"x\":2}"), KPI_REFUSAL_NONE);
    assert_int_not_equal(f->event.content, (uint32_t)(hash ^ hash >> 32));
}

static void test_the_key_decides_the_hashes(void **state)
{
    struct fixture *f = *state;
    uint8_t key[EVENT_KEY_BYTES];
    const struct event_decoder_options options = {&plan_fake, key, "CNY"};
    struct event_decoder *other;
    struct kpi_string message = M("{" MINIMUM ",\"user\":\"u-183\",\"id\":\"a\"}");
    uint64_t user, id;

    expect(f, message, KPI_REFUSAL_NONE);
    user = f->event.user;
    id = f->event.id;
    memcpy(key, decoder_key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i += 8)
        key[i] ^= (uint8_t)(i + 1);
    assert_int_equal(event_decoder_new(&other, &options), 0);
    memset(key, 0, sizeof(key)); /* it has been copied */
    assert_int_equal(event_decode(other, message.data, message.length, &origin, &f->event), 0);
    assert_true(f->event.user != user);
    assert_true(f->event.id != id);
    event_decoder_free(other);
}

/* 27: one object and n - 1 arrays inside it. */
static struct kpi_string nested(unsigned n)
{
    static char open[2048], close[2048];

    memset(open, '[', n - 1);
    memset(close, ']', n - 1);
    open[n - 1] = close[n - 1] = '\0';
    return format("{" MINIMUM ",\"x\":%s%s}", open, close);
}

static void test_depth_ends_at_32(void **state)
{
    expect(*state, nested(32), KPI_REFUSAL_NONE);
    expect(*state, nested(33), KPI_REFUSAL_DEPTH);
    expect(*state, nested(1001), KPI_REFUSAL_DEPTH);
    expect(*state, M("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
           KPI_REFUSAL_NOT_OBJECT);
    expect(*state, M("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), KPI_REFUSAL_DEPTH);
    expect(*state,
           M("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
             "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
             "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":x"),
           KPI_REFUSAL_DEPTH);
}

/* 29: sizes around the bound, and far beyond it. */
static void test_size_ends_at_64_kib(void **state)
{
    char *text = malloc(1 << 20);
    size_t rest = EVENT_BYTES_MAX - strlen("{" MINIMUM ",\"x\":\"\"}");
    struct fixture *f = *state;

    assert_non_null(text);
    memset(text, 'x', 1 << 20);
    text[rest] = '\0';
    expect(f, format("{" MINIMUM ",\"x\":\"%s\"}", text), KPI_REFUSAL_NONE);
    text[rest] = 'x';
    text[rest + 1] = '\0';
    expect(f, format("{" MINIMUM ",\"x\":\"%s\"}", text), KPI_REFUSAL_TOO_LARGE);
    text[rest + 1] = 'x';
    expect(f, (struct kpi_string){text, 1 << 20}, KPI_REFUSAL_TOO_LARGE);
    memset(text, ' ', 1 << 20);
    expect(f, (struct kpi_string){text, EVENT_BYTES_MAX}, KPI_REFUSAL_EMPTY);
    expect(f, (struct kpi_string){text, EVENT_BYTES_MAX + 1}, KPI_REFUSAL_TOO_LARGE);
    free(text);
}

/* 28: more keys than can be remembered, and the ordinary ones before, between and after them. */
static void test_a_flood_of_keys_harms_nothing(void **state)
{
    struct kpi_string plain = M("{" MINIMUM ",\"page\":1,\"campaign\":\"双十一\",\"id\":\"a\"}");
    char *flood = malloc(EVENT_BYTES_MAX);
    struct fixture *f = *state;

    assert_non_null(flood);
    for (unsigned round = 0; round < 4; round++) {
        size_t n = 0;

        for (unsigned i = 0; n < EVENT_BYTES_MAX - 200; i++)
            n += (size_t)sprintf(flood + n, "\"k%u_%u\":%u,", round, i, i);
        expect(f, plain, KPI_REFUSAL_NONE);
        expect(f, format("{\"campaign\":\"a\",%s" MINIMUM "}", flood), KPI_REFUSAL_NONE);
        check_field(&f->fields[PLAN_FAKE_CAMPAIGN], M("a"));
        expect(f, format("{\"campaign\":\"a\",%s" MINIMUM ",\"campaign\":\"b\"}", flood),
               KPI_REFUSAL_DUPLICATE_KEY);
        expect(f, plain, KPI_REFUSAL_NONE);
        check_field(&f->fields[PLAN_FAKE_CAMPAIGN], M("双十一"));
    }
    free(flood);
}

/* 4: a message with one of everything, cut at each byte. */
static const char rich[] =
    "{\"id\":\"01JC9Z\",\"source\":\"shop\",\"type\":\"purchase\",\"user\":\"u-183\","
    "\"time\":\"2026-11-11T00:00:03.120+08:00\",\"campaign\":\"双十一\",\"channel\":"
    "\"we\\u0063hat\","
    "\"variant\":\"\\ud83c\\udf89\",\"amount\":\"129.90\",\"currency\":\"CNY\",\"score\":9.5,"
    "\"incentive\":true,\"a_key_of_more_than_thirty_two_bytes\":-1e2,\"渠道\":null,"
    "\"props\":{\"sku\":\"A1\",\"list\":[1,2.5,-3e-7,[],{}],\"b\":false},\"tags\":[\"新客\","
    "\"vip\"]}";

static void test_a_rich_message_is_read_whole(void **state)
{
    struct fixture *f = *state;

    expect(f, KPI_STRING(rich), KPI_REFUSAL_NONE);
    assert_int_equal(f->event.time, MINIMUM_TIME);
    assert_int_equal(f->event.flags, KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID);
    check_field(&f->event.type, M("purchase"));
    check_field(&f->fields[PLAN_FAKE_CAMPAIGN], M("双十一"));
    check_field(&f->fields[PLAN_FAKE_CHANNEL], M("wechat"));
    check_field(&f->fields[PLAN_FAKE_VARIANT], M("🎉"));
    assert_int_equal(f->fields[PLAN_FAKE_AMOUNT].number, 129900000);
    assert_int_equal(f->fields[PLAN_FAKE_SCORE].number, 9500000);
    assert_int_equal(f->fields[PLAN_FAKE_INCENTIVE].kind, KPI_FIELD_BOOL);
    assert_int_equal(f->fields[PLAN_FAKE_INCENTIVE].number, 1);
    assert_int_equal(f->fields[PLAN_FAKE_LONG].number, -100000000);
    assert_int_equal(f->fields[PLAN_FAKE_UNICODE].kind, KPI_FIELD_ABSENT);
}

static void test_a_message_cut_anywhere_is_refused(void **state)
{
    expect(*state, (struct kpi_string){rich, 0}, KPI_REFUSAL_EMPTY);
    for (size_t length = 1; length < sizeof(rich) - 1; length++) {
        enum kpi_refusal refusal = decode(*state, (struct kpi_string){rich, length});

        /* Cut inside a character it ends in bad UTF-8. */
        if (refusal != KPI_REFUSAL_JSON && refusal != KPI_REFUSAL_UTF8)
            fail_msg("refusal %d for the first %zu bytes", refusal, length);
    }
}

/* As many fields as a plan may have, each found under its own key. */
static void test_a_plan_of_the_most_fields_is_decoded(void **state)
{
    static struct kpi_field_spec specs[KPI_FIELDS_MAX];
    static char names[KPI_FIELDS_MAX][8];
    static const struct kpi_plan plan = {specs, KPI_FIELDS_MAX};
    const struct event_decoder_options options = {&plan, decoder_key, "CNY"};
    struct kpi_field fields[KPI_FIELDS_MAX];
    struct kpi_event event = {.fields = fields};
    struct event_decoder *decoder;
    char text[2048] = "{" MINIMUM;

    for (unsigned i = 0; i < KPI_FIELDS_MAX; i++) {
        size_t length = strlen(text);

        snprintf(names[i], sizeof(names[i]), "n%u", i);
        specs[i] = (struct kpi_field_spec){{names[i], strlen(names[i])}, KPI_USE_NUMBER};
        snprintf(text + length, sizeof(text) - length, ",\"n%u\":%u", i, i);
    }
    strcat(text, "}");
    assert_int_equal(event_decoder_new(&decoder, &options), 0);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(event_decode(decoder, text, strlen(text), &origin, &event), 0);
        for (unsigned i = 0; i < KPI_FIELDS_MAX; i++)
            assert_int_equal(fields[i].number, i * KPI_DECIMAL_ONE);
    }
    event_decoder_free(decoder);
}

/* The linker sends the decoder's allocations through these. */
static int n_allocations_left = -1; /* -1: any number */

static bool allocation_fails(void)
{
    if (n_allocations_left < 0)
        return false;
    return n_allocations_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : __real_strdup(text);
}

static void test_each_failed_allocation_is_enomem_and_leaks_nothing(void **state)
{
    const struct event_decoder_options options = {&plan_fake, decoder_key, "CNY"};
    int n_failed = 0, r;

    for (;; n_failed++) {
        struct event_decoder *decoder = NULL;

        n_allocations_left = n_failed;
        r = event_decoder_new(&decoder, &options);
        n_allocations_left = -1;
        if (r == 0) {
            event_decoder_free(decoder);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        assert_null(decoder);
    }
    assert_int_equal(n_failed, 4);
}

static void test_decoding_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    enum kpi_refusal refusal;

    n_allocations_left = 0; /* the first one would fail, and be counted */
    refusal = event_decode(f->decoder, rich, sizeof(rich) - 1, &origin, &f->event);
    assert_int_equal(n_allocations_left, 0);
    n_allocations_left = -1;
    assert_int_equal(refusal, KPI_REFUSAL_NONE);
}

static uint64_t random_next(uint64_t *state)
{
    /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Orders that change from message to message, with and without spaces, keep every prediction wrong.
 */
static void test_the_order_of_keys_does_not_matter(void **state)
{
    static const char *const parts[] = {
        "\"id\":\"a\"",        "\"type\":\"b\"",    "\"user\": 5",    "\"time\":1794326403120",
        "\"campaign\":\"双\"", "\"channel\":\"w\"", "\"score\":1.5",  "\"amount\":\"2\"",
        "\"x\":{\"id\":7}",    "\"y\" :[1,2]",      "\"渠道\":\"q\"", "\"incentive\":false",
    };
    struct fixture *f = *state;
    unsigned order[COUNT(parts)];
    uint64_t random = 3;

    for (unsigned i = 0; i < COUNT(parts); i++)
        order[i] = i;
    for (unsigned round = 0; round < 2000; round++) {
        char text[1024] = "{";

        for (unsigned i = COUNT(parts) - 1; i > 0; i--) {
            unsigned j = (unsigned)(random_next(&random) % (i + 1)), swap = order[i];

            order[i] = order[j];
            order[j] = swap;
        }
        for (unsigned i = 0; i < COUNT(parts); i++) {
            strcat(text, i ? (random_next(&random) & 1 ? "," : " , ") : "");
            strcat(text, parts[order[i]]);
        }
        strcat(text, "}");
        expect(f, (struct kpi_string){text, strlen(text)}, KPI_REFUSAL_NONE);
        assert_int_equal(f->fields[PLAN_FAKE_SCORE].number, 1500000);
        assert_int_equal(f->event.time, MINIMUM_TIME);
        assert_true(f->event.id == keyed(M("a")));
    }
}

/* Changes a message in one place: a byte, a cut, a copy of a piece, or a piece that means
 * something. */
static size_t mutate(char *text, size_t length, size_t size, uint64_t *random)
{
    static const char *const pieces[] = {
        "\"",       "\\",      "\\u0000",     "\\ud800",
        "\\u53cc",  "{",       "}",           "[",
        "]",        ",",       ":",           "0",
        "-",        ".",       "e9",          "null",
        "true",     " ",       "\n",          "\xe5",
        "\x8f\x8c", "\xff",    "\"id\":1,",   "\"type\":",
        "1e999",    "\"a\"",   "60",          "+08:00",
        "Z",        "0000000", "\"time\":0,", "\xef\xbb\xbf",
    };
    size_t at = random_next(random) % (length + 1), n = random_next(random) % 8 + 1;
    const char *piece = pieces[random_next(random) % COUNT(pieces)];

    switch (random_next(random) % 4) {
    case 0:
        if (at < length)
            text[at] = (char)random_next(random);
        return length;
    case 1:
        n = at + n > length ? length - at : n;
        memmove(text + at, text + at + n, length - at - n);
        return length - n;
    case 2:
        n = strlen(piece);
        break;
    default:
        n = at + n > length ? length - at : n;
        piece = text + at;
        break;
    }
    if (length + n > size)
        return length;
    memmove(text + at + n, text + at, length - at);
    if (piece != text + at)
        memcpy(text + at, piece, n);
    return length + n;
}

static void test_mutated_messages_are_read_as_the_reference_reads_them(void **state)
{
    static const char *const seeds[] = {
        rich,
        "{" MINIMUM
        ",\"id\":\"a\",\"user\":17,\"campaign\":\"\\u53cc\\u5341\\u4e00\",\"amount\":1.5}",
        "{\"time\": 1794326403120, \"type\": \"survey\", \"score\": 9, \"user\": null, \"x\": []}",
    };
    struct fixture *f = *state;
    uint64_t random = 20261122;
    unsigned n_accepted = 0;

    for (unsigned round = 0; round < 60000; round++) {
        const char *seed = seeds[round % COUNT(seeds)];
        size_t length = strlen(seed);
        char text[1024];

        go_on(f, (struct kpi_string){seed, length});
        memcpy(text, seed, length);
        for (uint64_t n = random_next(&random) % 3; n < 3; n++)
            length = mutate(text, length, sizeof(text), &random);
        n_accepted += decode(f, (struct kpi_string){text, length}) == KPI_REFUSAL_NONE;
    }
    /* Enough of them are still events, so that values were compared and not only refusals. */
    assert_in_range(n_accepted, 5000, 55000);
    /* go_on() reads 32 messages a round: most were followed, so the rest were tried to be. */
    assert_true(event_decoder_n_followed(f->decoder) > (uint64_t)60000 * 32 * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_kind_where_any_will_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_messages_are_taken_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_of_unwanted_keys_are_validated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_string_fields_are_unescaped_and_hashed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_strings_without_escapes_are_borrowed_from_the_message,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_unescaped_strings_of_a_batch_live_side_by_side, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_batch_of_the_largest_messages_full_of_escapes_fits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_are_instants_between_1970_and_9999, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_record_keeps_its_own_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_are_exact_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_amounts_are_exact_and_not_negative, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_are_taken_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_type_is_a_short_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_and_users_are_bounded_at_256_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_users_are_keyed_hashes_of_their_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_are_keyed_hashes_of_source_and_id, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_without_id_the_origin_is_the_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_tells_other_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_key_decides_the_hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth_ends_at_32, setup, teardown),
        cmocka_unit_test_setup_teardown(test_size_ends_at_64_kib, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flood_of_keys_harms_nothing, setup, teardown),
        cmocka_unit_test(test_a_plan_of_the_most_fields_is_decoded),
        cmocka_unit_test(test_each_failed_allocation_is_enomem_and_leaks_nothing),
        cmocka_unit_test_setup_teardown(test_decoding_allocates_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_rich_message_is_read_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_message_cut_anywhere_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_order_of_keys_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mutated_messages_are_read_as_the_reference_reads_them,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
