/*
 * Claims: messages of any shape become the events that their mapping says, or are refused for the
 * reason that event_json.h names; the first mapping that matches counts, wherever the deciding
 * value stands; amounts in other currencies are converted exactly, by the rate of their day; each
 * mistake in the sections mappings and rates is told at its place.
 */
#include "codec/mapping.h"
#include "mapped.h"

#include <kpi/base.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct event_origin origin = {
    .topic_hash = 1, .partition = 2, .offset = 3, .record_time = 1793600009000000, .topic = 1};

struct one {
    const char *mapping; /* below "mappings:" */
    const char *message;
    const char *expected;
};

#define FIELDS "campaign channel city props.sku score:number vip:bool amount:amount"

static void check_in(struct mapped *mapped, const char *message, const char *expected)
{
    const char *told = mapped_tell(mapped, message, strlen(message), &origin);

    if (strcmp(told, expected) != 0)
        fail_msg("%s\n   read as %s\n   not as  %s", message, told, expected);
}

static void check_config(const char *config, const char *message, const char *expected)
{
    struct mapped mapped;

    if (mapped_new(&mapped, config, FIELDS, "t") != 0)
        fail_msg("%s\n%s", config, mapped.messages);
    check_in(&mapped, message, expected);
    mapped_free(&mapped);
}

static void check_all(const struct one *ones, size_t n)
{
    char config[4096];

    for (size_t i = 0; i < n; i++) {
        snprintf(config, sizeof(config), "mappings: %s\n", ones[i].mapping);
        check_config(config, ones[i].message, ones[i].expected);
    }
}
#define CHECK(ones) check_all(ones, sizeof(ones) / sizeof((ones)[0]))

/* A minute of November 2026, in seconds; the same as text. */
#define T  "1793600000"
#define AT "2026-11-02T06:13:20Z"
#define TT "\"type\":\"a\",\"time\":" T "000"

static const struct one paths[] = {
    {"{m: {type: event.name, time: at}}", "{\"event\":{\"name\":\"x\"},\"at\":" T "000}", "x " AT},
    {"{m: {type: a.b.c.d, time: a.b.t}}", "{\"a\":{\"b\":{\"t\":" T "000,\"c\":{\"d\":\"x\"}}}}",
     "x " AT},
    {"{m: {type: '\"a.b\".c', time: '\"\"'}}", "{\"a.b\":{\"c\":\"x\"},\"\":" T "000}", "x " AT},
    {"{m: {type: '\"q\\\"\\\\\"'}}", "{\"q\\\"\\\\\":\"x\",\"time\":" T "000}", "x " AT},
    {"{m: {type: 事件.类型}}", "{\"事件\":{\"\\u7c7b型\":\"下单\"},\"time\":" T "000}", "下单 " AT},
    {"{m: {fields: {city: a.city, channel: a.city}}}", "{" TT ",\"a\":{\"city\":\"x\"}}",
     "a " AT " channel=x city=x"},
    /* the first of several that is there; null is not */
    {"{m: {fields: {city: [a, b.c, d]}}}", "{" TT ",\"d\":\"x\",\"a\":null,\"b\":{\"c\":\"y\"}}",
     "a " AT " city=y"},
    {"{m: {fields: {city: [a, b.c, d]}}}", "{" TT ",\"d\":\"x\"}", "a " AT " city=x"},
    {"{m: {fields: {city: {path: [a, b], absent: none}}}}", "{" TT "}", "a " AT " city=none"},
    {"{m: {fields: {score: {path: a, absent: 7.5}}}}", "{" TT "}", "a " AT " score=7.5"},
    {"{m: {fields: {vip: {path: a, absent: 'true'}}}}", "{" TT "}", "a " AT " vip=true"},
    {"{m: {fields: {amount: {path: a, absent: 3}}}}", "{" TT "}", "a " AT " amount=3"},
    /* a way that is blocked leads to nothing; what is there must be of the right kind */
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":1}", "a " AT},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":[{\"b\":\"x\"}]}", "a " AT},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":\"b\"}", "a " AT},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"b\":{}}}", "refused: field"},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"b\":[1]}}", "refused: field"},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"b\":1}}", "refused: field"},
    {"{m: {fields: {score: a.b}}}", "{" TT ",\"a\":{\"b\":\"1\"}}", "refused: field"},
    {"{m: {fields: {score: a.b}}}", "{" TT ",\"a\":{\"b\":1e2}}", "a " AT " score=100"},
    {"{m: {fields: {vip: a.b}}}", "{" TT ",\"a\":{\"b\":false}}", "a " AT " vip=false"},
    /* wanted keys must not come twice, at any level; of others it does not matter */
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"b\":\"x\",\"b\":\"x\"}}",
     "refused: duplicate_key"},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"b\":\"x\"},\"a\":{}}",
     "refused: duplicate_key"},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"a\":{\"c\":1,\"c\":1}}", "a " AT},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"x\":{\"a\":1,\"a\":1}}", "a " AT},
    {"{m: {fields: {city: a.b}}}", "{" TT ",\"\\u0061\":{\"\\u0062\":\"\\u4e0a海\"}}",
     "a " AT " city=上海"},
    /* the first fault in the bytes is told, unless the message is not valid to its end */
    {"{m: {type: a.t, fields: {score: a.s}}}", "{\"time\":" T "000,\"a\":{\"s\":\"1\",\"t\":1}}",
     "refused: field"},
    {"{m: {type: a.t, fields: {score: a.s}}}", "{\"time\":" T "000,\"a\":{\"t\":1,\"s\":\"1\"}}",
     "refused: type"},
    {"{m: {type: a.t}}", "{\"time\":" T "000,\"a\":{\"t\":1}", "refused: json"},
    {"{m: {type: a.t}}", "{\"time\":" T "000,\"a\":{\"t\":\"x\"}}x", "refused: json"},
    {"{m: {type: a.t}}",
     "{\"a\":{\"t\":\"x\",\"b\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]"
     "]]]]]]]]]]]]]]]]]]]}}",
     "refused: depth"},
    {"{m: {type: a.t}}", "{\"a\":{\"t\":\"\xff\"}}", "refused: utf8"},
    {"{m: {type: a.t}}", "{\"a\":{\"t\":\"x\"}}", "refused: time"},
    {"{m: {type: a.t}}", "{\"time\":" T "000}", "refused: type"},
    {"{m: {type: a.t}}", "[]", "refused: not_object"},
};

static void test_paths_lead_to_values(void **state)
{
    CHECK(paths);
}

static void test_native_events_have_nested_fields(void **state)
{
    static const struct one ones[] = {
        {"", "{" TT ",\"props\":{\"sku\":\"A1\"},\"city\":\"x\"}", "a " AT " city=x props.sku=A1"},
        {"", "{" TT ",\"props\":{\"sku\":\"A1\",\"sku\":\"\"}}", "refused: duplicate_key"},
        {"", "{" TT ",\"props\":\"sku\"}", "a " AT},
        {"", "{" TT ",\"id\":\"1\",\"user\":7,\"amount\":\"1.5\",\"currency\":\"CNY\"}",
         "a " AT " id user amount=1.5"},
        {"", "{" TT ",\"id\":1}", "refused: id"},
    };

    for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++)
        check_config("timezone: UTC\n", ones[i].message, ones[i].expected);
    CHECK(((const struct one[]){{"{m: {preset: native}}", ones[0].message, ones[0].expected}}));
}

static const struct one values[] = {
    {"{m: {type: {path: e, values: {下单: purchase, 退款: refund}}}}",
     "{\"e\":\"下单\",\"time\":" T "000}", "purchase " AT},
    {"{m: {type: {path: e, values: {下单: purchase}}}}", "{\"e\":\"x\",\"time\":" T "000}",
     "x " AT},
    {"{m: {type: {path: e, values: {下单: purchase}, other: refuse}}}",
     "{\"e\":\"x\",\"time\":" T "000}", "refused: type"},
    {"{m: {type: {path: e, values: {下单: purchase}, other: skip}}}", "{\"e\":\"x\"}",
     "refused: skipped"},
    /* numbers and bools are compared as they are written */
    {"{m: {type: {path: e, values: {1: purchase, 2: refund}}}}", "{\"e\":2,\"time\":" T "000}",
     "refund " AT},
    {"{m: {type: {path: e, values: {1: purchase}}}}", "{\"e\":1.0,\"time\":" T "000}",
     "refused: type"},
    {"{m: {type: {path: e, values: {'true': purchase}}}}", "{\"e\":true,\"time\":" T "000}",
     "purchase " AT},
    /* a preset's path is kept under a table of values */
    {"{m: {type: {values: {a: b}}}}", "{" TT "}", "b " AT},
    {"{m: {fields: {score: {values: {高: 3}}}}}", "{" TT ",\"score\":\"高\"}", "a " AT " score=3"},
    {"{m: {fields: {vip: {path: v, values: {Y: 'true', N: 'false'}}}}}", "{" TT ",\"v\":\"N\"}",
     "a " AT " vip=false"},
    {"{m: {fields: {vip: {path: v, values: {Y: 'true'}}}}}", "{" TT ",\"v\":\"N\"}",
     "refused: field"},
    {"{m: {fields: {city: {path: v, values: {Y: x}, other: refuse}}}}", "{" TT ",\"v\":\"N\"}",
     "refused: field"},
    {"{m: {fields: {city: {path: v, values: {Y: x}, absent: y}}}}", "{" TT "}", "a " AT " city=y"},
    /* constants */
    {"{m: {type: {value: purchase}, fields: {channel: {value: wechat}, score: {value: 9}}}}",
     "{" TT ",\"channel\":\"x\"}", "purchase " AT " channel=wechat score=9"},
    /* the sign of an amount */
    {"{m: {fields: {amount: {path: x, negative: {a: refund}}}}}", "{" TT ",\"x\":-2.5}",
     "refund " AT " amount=2.5"},
    {"{m: {fields: {amount: {path: x, negative: {a: refund}}}}}", "{" TT ",\"x\":\"-2.50\"}",
     "refund " AT " amount=2.5"},
    {"{m: {fields: {amount: {negative: {a: refund}}}}}", "{" TT ",\"amount\":-1e1}",
     "refund " AT " amount=10"},
    {"{m: {fields: {amount: {path: x, negative: {a: refund}}}}}", "{" TT ",\"x\":-0.0}",
     "a " AT " amount=0"},
    {"{m: {fields: {amount: {path: x, negative: {a: refund}}}}}", "{" TT ",\"x\":2.5}",
     "a " AT " amount=2.5"},
    {"{m: {fields: {amount: {path: x, negative: {b: refund}}}}}", "{" TT ",\"x\":-2.5}",
     "refused: amount"},
    {"{m: {fields: {amount: x}}}", "{" TT ",\"x\":-2.5}", "refused: amount"},
    {"{m: {type: {path: e, values: {下单: purchase}}, fields: {amount: {path: x, negative: "
     "{purchase: refund}}}}}",
     "{\"x\":-1,\"e\":\"下单\",\"time\":" T "000}", "refund " AT " amount=1"},
};

static void test_values_are_translated(void **state)
{
    CHECK(values);
}

/* What an event is does not hang on whether somebody sums the amount up. */
static void test_sign_counts_without_amount(void **state)
{
    struct mapped mapped;

    assert_int_equal(
        mapped_new(&mapped, "mappings: {m: {fields: {amount: {path: x, negative: {a: refund}}}}}\n",
                   "campaign", "t"),
        0);
    check_in(&mapped, "{" TT ",\"x\":-2.5}", "refund " AT);
    check_in(&mapped, "{" TT ",\"x\":2.5}", "a " AT);
    mapped_free(&mapped);
}

#define TIME(unit) "{m: {time: {path: at, unit: " unit "}}}"
#define A(text)    "{\"type\":\"a\",\"at\":" text "}"

static const struct one times[] = {
    {TIME("s"), A(T), "a " AT},
    {TIME("s"), A(T ".25"), "a 2026-11-02T06:13:20.250Z"},
    {TIME("s"), A(T ".1234567"), "a 2026-11-02T06:13:20.123456Z"},
    {TIME("s"), A("\"" T "\""), "a " AT},
    {TIME("s"), A("\"2026-11-02T14:13:20+08:00\""), "a " AT},
    {TIME("s"), A("1.7936e9"), "refused: time"},
    {TIME("s"), A("-5"), "refused: time"},
    {TIME("s"), A("0"), "refused: time"},
    {TIME("s"), A("9223372036854"), "refused: time"},
    {TIME("s"), A("99999999999999999999"), "refused: time"},
    {TIME("s"), A("true"), "refused: time"},
    {TIME("s"), A("{}"), "refused: time"},
    {TIME("s"), A("\"" T ".\""), "refused: time"},
    {TIME("ms"), A(T "001"), "a 2026-11-02T06:13:20.001Z"},
    {TIME("ms"), A(T "001.5"), "a 2026-11-02T06:13:20.001500Z"},
    {TIME("us"), A(T "000001"), "a 2026-11-02T06:13:20.000001Z"},
    {TIME("ns"), A(T "000001999"), "a 2026-11-02T06:13:20.000001Z"},
    {"{m: {time: {unit: s}}}", "{\"type\":\"a\",\"time\":" T "}", "a " AT},
    {"{m: {time: at}}", A(T "000"), "a " AT},
    {"{m: {time: at}}", A(T "000.5"), "refused: time"},
    {"{m: {time: {path: at, absent: record}}}", "{\"type\":\"a\"}", "a 2026-11-02T06:13:29Z"},
    {"{m: {preset: posthog}}", "{\"event\":\"a\",\"timestamp\":" T "}", "refused: time"},
    {"{m: {preset: posthog, time: {unit: s}}}", "{\"event\":\"a\",\"timestamp\":" T "}", "a " AT},
};

static void test_times_have_units(void **state)
{
    CHECK(times);
}

static const struct one choices[] = {
    {"{m: {when: {e: x}, type: {value: one}}, n: {type: {value: two}}}",
     "{\"time\":" T "000,\"e\":\"x\"}", "one " AT},
    {"{m: {when: {e: x}, type: {value: one}}, n: {type: {value: two}}}",
     "{\"time\":" T "000,\"e\":\"y\"}", "two " AT},
    {"{m: {when: {e: [x, 下单, 3]}, type: {value: one}}}",
     "{\"time\":" T "000,\"e\":\"\\u4e0b单\"}", "one " AT},
    {"{m: {when: {e: [x, 下单, 3]}, type: {value: one}}}", "{\"e\":3,\"time\":" T "000}",
     "one " AT},
    {"{m: {when: {e: x}}}", "{" TT "}", "refused: mapping"},
    {"{m: {when: {e: x}}}", "{" TT ",\"e\":{}}", "refused: mapping"},
    {"{m: {when: {e: x}}}", "{" TT ",\"e\":null}", "refused: mapping"},
    {"{m: {when: {e.k: x, f: y}, type: {value: one}}}",
     "{\"f\":\"y\",\"time\":" T "000,\"e\":{\"k\":\"x\"}}", "one " AT},
    {"{m: {when: {e.k: x, f: y}, type: {value: one}}}", "{\"time\":" T "000,\"e\":{\"k\":\"x\"}}",
     "refused: mapping"},
    {"{m: {topics: t, type: {value: one}}}", "{\"time\":" T "000}", "one " AT},
    {"{m: {topics: [s, t], type: {value: one}}}", "{\"time\":" T "000}", "one " AT},
    {"{m: {topics: s, type: {value: one}}}", "{\"time\":" T "000}", "refused: mapping"},
    {"{m: {topics: s, type: {value: one}}, n: {topics: t}}", "{" TT "}", "a " AT},
    /* one mapping's value may be what another one passes through */
    {"{m: {when: {e: x}, type: e}, n: {type: e.name}}",
     "{\"time\":" T "000,\"e\":{\"name\":\"y\"}}", "y " AT},
    {"{m: {when: {e: x}, type: e}, n: {type: e.name}}", "{\"time\":" T "000,\"e\":\"x\"}", "x " AT},
};

static void test_first_mapping_that_matches_counts(void **state)
{
    CHECK(choices);
}

/* Identity is that of the native form. */
static void test_ids_and_users(void **state)
{
    struct mapped mapped;

    assert_int_equal(
        mapped_new(&mapped, "mappings: {m: {id: o.no, user: [u.id, u.anon]}}\n", "campaign", "t"),
        0);
    check_in(&mapped, "{" TT ",\"o\":{\"no\":1234},\"u\":{\"id\":77}}", "a " AT " id user");
    assert_true(mapped_event()->id == mapped_hash("1234"));
    assert_true(mapped_event()->user == mapped_hash("77"));
    check_in(&mapped, "{" TT ",\"o\":{\"no\":\"1234\"},\"u\":{\"anon\":\"\\u4e0a\"}}",
             "a " AT " id user");
    assert_true(mapped_event()->id == mapped_hash("1234"));
    assert_true(mapped_event()->user == mapped_hash("上"));
    check_in(&mapped, "{" TT ",\"o\":{\"no\":12.5}}", "refused: id");
    check_in(&mapped, "{" TT ",\"o\":{\"no\":\"\"}}", "refused: id");
    check_in(&mapped, "{" TT ",\"u\":{\"id\":true}}", "refused: user");
    mapped_free(&mapped);
}

/* Keys in another order than before, more of them than are remembered, long and escaped ones. */
static void test_what_came_before_changes_nothing(void **state)
{
    struct mapped mapped;
    char many[2048] = "{", *end = many + 1;

    assert_int_equal(mapped_new(&mapped,
                                "mappings: {m: {type: a.t, fields: {city: a.c, channel: "
                                "a_key_of_more_than_thirty_two_bytes}}}\n",
                                FIELDS, "t"),
                     0);
    for (int i = 0; i < 40; i++)
        end += sprintf(end, "\"k%d\":%d,", i, i);
    sprintf(end, "\"a\":{\"c\":\"x\",\"t\":\"b\"},\"time\":" T "000}");
    for (int i = 0; i < 3; i++) {
        check_in(&mapped, "{\"time\":" T "000,\"a\":{\"t\":\"b\",\"c\":\"x\"}}", "b " AT " city=x");
        check_in(&mapped, "{\"a\":{\"c\":\"x\",\"t\":\"b\"},\"time\":" T "000}", "b " AT " city=x");
        check_in(&mapped, "{\"a\" : {\"c\" : \"x\" , \"t\" : \"b\"} , \"time\" : " T "000 }",
                 "b " AT " city=x");
        check_in(&mapped, "{\"b\":{\"c\":\"x\",\"t\":\"b\"},\"time\":" T "000}", "refused: type");
        check_in(&mapped, many, "b " AT " city=x");
        check_in(&mapped,
                 "{\"time\":" T "000,\"a\":{\"t\":\"b\"},\"a_key_of_more_than_thirty_two_bytes\":"
                 "\"y\"}",
                 "b " AT " channel=y");
    }
    mapped_free(&mapped);
}

/* --- currencies --- */

#define RATES                                                                                      \
    "timezone: Asia/Shanghai\nrates:\n  USD: {2026-07-01: 7.12, 2026-01-01: 7.05}\n"               \
    "  VND: 0.000283123456\n  BIG: 1000000\n  HLF: 0.5\n"
#define PAY(time, amount, currency)                                                                \
    "{\"type\":\"a\",\"currency\":\"" currency "\",\"amount\":" amount ",\"time\":\"" time "\"}"

static void test_amounts_are_converted(void **state)
{
    static const struct one ones[] = {
        {"", PAY("2026-06-30T15:59:59Z", "10", "USD"), "a 2026-06-30T15:59:59Z amount=70.5"},
        {"", PAY("2026-06-30T16:00:00Z", "10", "USD"), "a 2026-06-30T16:00:00Z amount=71.2"},
        {"", PAY("2025-12-31T16:00:00Z", "1.01", "USD"), "a 2025-12-31T16:00:00Z amount=7.1205"},
        {"", PAY("2025-12-31T15:59:59Z", "1", "USD"), "refused: currency"},
        {"", PAY("2026-06-30T16:00:00Z", "1", "EUR"), "refused: currency"},
        {"", PAY("1999-06-30T16:00:00Z", "1000000", "VND"),
         "a 1999-06-30T16:00:00Z amount=283.123456"},
        {"", PAY("2026-01-01T00:00:00Z", "9223372036854.775807", "BIG"), "refused: amount"},
        {"", PAY("2026-01-01T00:00:00Z", "-1", "USD"), "refused: amount"},
        /* halves go to the even neighbour */
        {"", PAY("2026-01-01T00:00:00Z", "0.000001", "HLF"), "a 2026-01-01T00:00:00Z amount=0"},
        {"", PAY("2026-01-01T00:00:00Z", "0.000003", "HLF"),
         "a 2026-01-01T00:00:00Z amount=0.000002"},
        {"", PAY("2026-01-01T00:00:00Z", "0.000005", "HLF"),
         "a 2026-01-01T00:00:00Z amount=0.000002"},
        {"", PAY("2026-01-01T00:00:00Z", "9223372036854.775807", "HLF"),
         "a 2026-01-01T00:00:00Z amount=4611686018427.387904"},
    };

    for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++) {
        check_config(RATES, ones[i].message, ones[i].expected); /* nested fields: mapped */
        check_config(RATES "mappings: {m: {fields: {city: x.y}}}\n", ones[i].message,
                     ones[i].expected);
    }
}

/* As the table says, but without what makes a program of it. */
static void test_native_amounts_are_converted(void **state)
{
    struct mapped mapped;

    assert_int_equal(mapped_new(&mapped, RATES, "campaign amount:amount", "t"), 0);
    check_in(&mapped, PAY("2026-06-30T15:59:59Z", "10", "USD"),
             "a 2026-06-30T15:59:59Z amount=70.5");
    check_in(&mapped, "{\"type\":\"a\",\"time\":1,\"amount\":5,\"currency\":7}",
             "refused: currency");
    check_in(&mapped, "{\"amount\":5,\"currency\":\"USD\"}", "refused: type");
    check_in(&mapped, "{\"type\":\"a\",\"amount\":5,\"currency\":\"USD\"}", "refused: time");
    mapped_free(&mapped);
}

/* --- mistakes --- */

struct bad {
    const char *text;
    const char *place; /* line:column */
    const char *message;
};

static const struct bad bad[] = {
    {"mappings: {}\n", "1:11", "1 to 64 names"},
    {"mappings: [a]\n", "1:11", "1 to 64 names"},
    {"mappings: {m: x}\n", "1:15", "mapping: expected keys and values"},
    {"mappings: {m: {preset: segmnet}}\n", "1:24", "did you mean \"segment\"?"},
    {"mappings: {m: {usr: a}}\n", "1:16", "unknown key \"usr\" in mapping; did you mean \"user\"?"},
    {"mappings: {m: {when: {}}}\n", "1:22", "when: 1 to 8 paths"},
    {"mappings: {m: {when: x}}\n", "1:22", "when: 1 to 8 paths"},
    {"mappings: {m: {when: {a: []}}}\n", "1:26", "when: 1 to 10000 values"},
    {"mappings: {m: {when: {a: {b: c}}}}\n", "1:26", "when: expected a list"},
    {"mappings: {m: {topics: 'a b'}}\n", "1:24", "\"a b\" is not a topic"},
    {"mappings: {m: {topics: []}}\n", "1:24", "topics: 1 to 100 values"},
    {"mappings: {m: {type: a..b}}\n", "1:24", "has an empty key"},
    {"mappings: {m: {type: .a}}\n", "1:22", "has an empty key"},
    {"mappings: {m: {type: a.}}\n", "1:24", "has an empty key"},
    {"mappings: {m: {type: '\"a'}}\n", "1:23", "whose quote does not end"},
    {"mappings: {m: {type: '\"a\"b'}}\n", "1:26", "without a dot"},
    {"mappings: {m: {type: a\"b}}\n", "1:22", "has a quote inside a key"},
    {"mappings: {m: {type: a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f}}\n",
     "1:84", "more than 31 keys"},
    {"mappings: {m: {type: []}}\n", "1:22", "1 to 8 paths"},
    {"mappings: {m: {type: {}}}\n", "1:22", "nothing is said"},
    {"mappings: {m: {type: {pth: a}}}\n", "1:23", "did you mean \"path\"?"},
    {"mappings: {m: {type: {path: a, value: b}}}\n", "1:32", "nothing else can stand beside it"},
    {"mappings: {m: {type: {path: a, other: keep}}}\n", "1:32", "there are none"},
    {"mappings: {m: {type: {path: a, values: {a: b}, other: drop}}}\n", "1:55",
     "\"drop\" is none of keep|refuse|skip"},
    {"mappings: {m: {type: {path: a, values: {}}}}\n", "1:40", "1 to 10000 pairs"},
    {"mappings: {m: {type: {path: a, unit: s}}}\n", "1:32", "unit is for time only"},
    {"mappings: {m: {time: {path: a, unit: h}}}\n", "1:38", "\"h\" is none of s|ms|us|ns"},
    {"mappings: {m: {time: {path: a, absent: now}}}\n", "1:40", "is not record"},
    {"mappings: {m: {type: {path: a, negative: {a: b}}}}\n", "1:32", "for fields.amount only"},
    {"mappings: {m: {id: {value: x}}}\n", "1:21", "id cannot be the same for all events"},
    {"mappings: {m: {user: {value: x}}}\n", "1:23", "user cannot be the same for all events"},
    {"mappings: {m: {time: {value: x}}}\n", "1:23", "time cannot be the same for all events"},
    {"mappings: {m: {user: {path: u, absent: x}}}\n", "1:32", "for all events that have none"},
    {"mappings: {m: {currency: {value: yuan}}}\n", "1:34", "is not an ISO 4217 code"},
    {"mappings: {m: {fields: {}}}\n", "1:24", "1 to 64 names"},
    {"mappings: {m: {fields: {type: x}}}\n", "1:25", "\"type\" is no field"},
    {"mappings: {m: {fields: {a.b: x, '\"a\".b': y}}}\n", "1:33", "is there already, as \"a.b\""},
    {"mappings: {m: {fields: {a: x, a: y}}}\n", "1:31", "duplicate key"},
    {"mappings: {m: {fields: {city: x}, fields: {city: y}}}\n", "1:35", "duplicate key"},
    {"mappings: {m: {type: a, user: a.b}}\n", "1:31", "one lies below the other"},
    {"mappings: {m: {when: {a: x}, user: a.b}}\n", "1:36", "one lies below the other"},
    {"mappings: {m: {user: type.id}}\n", "1:22", "\"type.id\" and \"type\" cannot both be values"},
    {"mappings: {m: {fields: {city: [x, y.z], channel: y}}}\n", "1:50", "one lies below the other"},
    {"mappings: {m: {fields: {amount: {value: ten}}}}\n"
     "measures: {r: {agg: sum(amount)}}\nkpis: {r: {formula: r, unit: money}}\n",
     "1:41", "\"ten\" is not an amount"},
    {"mappings: {m: {fields: {score: {path: s, values: {高: viel}}}}}\n"
     "measures:\n  r: {agg: sum(score)}\nkpis: {r: {formula: r, unit: count}}\n",
     "1:54", "\"viel\" is not a number"},
    {"rates: {CNY: 1}\n", "1:9", "CNY is the currency itself"},
    {"rates: [a]\n", "1:8", "at most 200 currencies"},
    {"rates: {usd: 7}\n", "1:9", "is not an ISO 4217 code"},
    {"rates: {USD: 0}\n", "1:14", "is not a rate"},
    {"rates: {USD: -7}\n", "1:14", "is not a rate"},
    {"rates: {USD: 1000000.1}\n", "1:14", "is not a rate"},
    {"rates: {USD: 7.1234567890123}\n", "1:14", "is not a rate"},
    {"rates: {USD: 7.}\n", "1:14", "is not a rate"},
    {"rates: {USD: x}\n", "1:14", "is not a rate"},
    {"rates: {USD: []}\n", "1:14", "a rate is expected"},
    {"rates: {USD: {}}\n", "1:14", "a rate is expected"},
    {"rates: {USD: {2026-02-30: 7}}\n", "1:15", "is no day of the calendar"},
    {"rates: {USD: {yesterday: 7}}\n", "1:15", "is not a date"},
    {"rates: {USD: {2026-01-01: 0}}\n", "1:27", "is not a rate"},
};

/* The line ":PLACE: error: …MESSAGE…" is among the messages. */
static bool told(const char *messages, const char *kind, const char *place, const char *message)
{
    char prefix[64];

    snprintf(prefix, sizeof(prefix), ":%s: %s: ", place, kind);
    for (const char *line = messages; line && *line; line = strchr(line, '\n'), line += !!line) {
        const char *at = strstr(line, prefix), *found = strstr(line, message);

        if (at && at < strchr(line, '\n') && found && found < strchr(line, '\n'))
            return true;
    }
    return false;
}

static void test_mistakes_are_told_at_their_place(void **state)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mapped mapped;

        assert_int_equal(mapped_new(&mapped, bad[i].text, "campaign", "t"), CONFIG_E_INVALID);
        if (!told(mapped.messages, "error", bad[i].place, bad[i].message))
            fail_msg("%snot told at %s: %s\n%s", bad[i].text, bad[i].place, bad[i].message,
                     mapped.messages);
        mapped_free(&mapped);
    }
}

static void test_all_mistakes_are_told_at_once(void **state)
{
    struct mapped mapped;

    assert_int_equal(mapped_new(&mapped,
                                "rates: {USD: 0}\nmappings:\n  m: {preset: x}\n"
                                "  n: {type: a..b, when: {}}\n",
                                "campaign", "t"),
                     CONFIG_E_INVALID);
    assert_true(told(mapped.messages, "error", "1:14", "is not a rate"));
    assert_true(told(mapped.messages, "error", "3:15", "preset"));
    assert_true(told(mapped.messages, "error", "4:15", "empty key"));
    assert_true(told(mapped.messages, "error", "4:25", "when"));
    mapped_free(&mapped);
}

static void test_what_is_never_used_is_warned_of(void **state)
{
    struct mapped mapped;

    assert_int_equal(mapped_new(&mapped,
                                "kafka: {brokers: 'a:1', topics: [orders, app]}\nmappings:\n"
                                "  a: {topics: order}\n  b: {topics: orders}\n"
                                "  c: {topics: orders, when: {x: y}}\n",
                                "campaign", "t"),
                     0);
    assert_true(told(mapped.messages, "warning", "3:15",
                     "kafka.topics does not name \"order\"; did you mean \"orders\"?"));
    assert_true(told(mapped.messages, "warning", "2:1", "no mapping is for the topic \"app\""));
    assert_true(
        told(mapped.messages, "warning", "5:3", "\"c\" is never used: \"b\" takes all messages"));
    mapped_free(&mapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_lead_to_values),
        cmocka_unit_test(test_native_events_have_nested_fields),
        cmocka_unit_test(test_values_are_translated),
        cmocka_unit_test(test_sign_counts_without_amount),
        cmocka_unit_test(test_times_have_units),
        cmocka_unit_test(test_first_mapping_that_matches_counts),
        cmocka_unit_test(test_ids_and_users),
        cmocka_unit_test(test_what_came_before_changes_nothing),
        cmocka_unit_test(test_amounts_are_converted),
        cmocka_unit_test(test_native_amounts_are_converted),
        cmocka_unit_test(test_mistakes_are_told_at_their_place),
        cmocka_unit_test(test_all_mistakes_are_told_at_once),
        cmocka_unit_test(test_what_is_never_used_is_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
