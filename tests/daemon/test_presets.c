/*
 * Claims: records are read as CloudEvents 1.0 as the vectors of its conformance suite and
 * specification say, and what is none, or not in JSON, is refused with a reason of its own;
 * Segment's calls and PostHog's events become the events that their documentation describes.
 */
#include "codec/cloudevents.h"
#include "mapped.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define RECORD_TIME 1793600000000000
#define RECORD_AT   "2026-11-02T06:13:20Z"

enum {
    HEADERS_MAX = 16
};

static cJSON *read_vector(const char *name)
{
    char path[512], *text = NULL;
    size_t size = 0;
    cJSON *vector;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.json", TEST_VECTORS, name);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_true(getdelim(&text, &size, EOF, file) > 0);
    fclose(file);
    vector = cJSON_Parse(text);
    assert_non_null(vector);
    free(text);
    return vector;
}

static const cJSON *get(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_non_null(value);
    return value;
}

static const char *text_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static uint32_t headers_of(const cJSON *record, struct event_header *headers)
{
    const cJSON *pair;
    uint32_t n = 0;

    cJSON_ArrayForEach(pair, get(record, "headers"))
    {
        const char *value = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1));

        assert_true(n < HEADERS_MAX);
        headers[n++] = (struct event_header){cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0)),
                                             value, strlen(value)};
    }
    return n;
}

static const char *tell(struct mapped *mapped, const struct event_header *headers,
                        uint32_t n_headers, const char *value)
{
    const struct event_origin origin = {
        .record_time = RECORD_TIME, .topic = 1, .headers = headers, .n_headers = n_headers};

    return mapped_tell(mapped, value, strlen(value), &origin);
}

#define CLOUDEVENTS "mappings: {m: {preset: cloudevents}}\n"

static void open_mapped(struct mapped *mapped, const char *config, const char *fields)
{
    if (mapped_new(mapped, config, fields, "t") != 0)
        fail_msg("%s", mapped->messages);
}

/* --- CloudEvents --- */

static void test_cloudevents_vectors(void **state)
{
    static const struct {
        const char *name, *expected;
    } vectors[] = {
        {"ce-binary", "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-binary-avro", "refused: encoding"},
        {"ce-empty-id", "refused: id"},
        {"ce-extension-int", "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-json-base64", "refused: encoding"},
        {"ce-json-null-data", "com.example.someevent " RECORD_AT " id"},
        {"ce-json-number", "com.example.someevent 2018-04-05T17:31:00Z id"},
        {"ce-json-object", "com.example.someevent 2018-04-05T17:31:00Z id appinfoA=abc "
                           "appinfoB=123 appinfoC=true"},
        {"ce-json-string", "com.example.someevent 2018-04-05T17:31:00Z id"},
        {"ce-json-xml", "refused: encoding"},
        {"ce-missing-id", "refused: id"},
        {"ce-missing-source", "refused: id"},
        {"ce-missing-specversion", "refused: mapping"},
        {"ce-missing-type", "refused: type"},
        {"ce-no-time", "com.example.someevent " RECORD_AT " id message=Hello World!"},
        {"ce-not-an-event", "refused: mapping"},
        {"ce-partitionkey", "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-structured-1", "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-structured-2", "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-structured-case",
         "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-structured-extra-headers",
         "com.example.someevent 2018-04-05T03:56:24Z id message=Hello World!"},
        {"ce-structured-nodata", "com.example.someevent 2018-04-05T03:56:24Z id"},
    };
    struct mapped mapped;

    open_mapped(&mapped, CLOUDEVENTS, "campaign message appinfoA appinfoB:number appinfoC:bool");
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct event_header headers[HEADERS_MAX];
        char name[64];
        const char *told;
        const cJSON *record;
        cJSON *vector;

        snprintf(name, sizeof(name), "cloudevents/%s", vectors[i].name);
        vector = read_vector(name);
        record = get(get(vector, "query"), "record");
        told = tell(&mapped, headers, headers_of(record, headers), text_of(record, "value"));
        if (strcmp(told, vectors[i].expected) != 0)
            fail_msg("%s: %s", name, told);
        if (strncmp(told, "refused", 7) == 0 && strcmp(told, "refused: encoding") != 0)
            assert_true(cJSON_IsFalse(get(get(vector, "expected"), "is_cloudevent")));
        else
            assert_true(cJSON_IsTrue(get(get(vector, "expected"), "is_cloudevent")));
        cJSON_Delete(vector);
    }
    mapped_free(&mapped);
}

/* The binding has no batches: one record is one event. */
static void test_batches_are_refused(void **state)
{
    static const struct event_header batch = {
        "Content-Type", "application/cloudevents-batch+json; charset=utf-8", 49};
    cJSON *vector = read_vector("cloudevents/ce-batch-json");
    const char *value = text_of(get(vector, "query"), "value");
    struct mapped mapped;

    open_mapped(&mapped, CLOUDEVENTS, "campaign");
    assert_string_equal(tell(&mapped, &batch, 1, value), "refused: encoding");
    assert_string_equal(tell(&mapped, NULL, 0, value), "refused: not_object");
    mapped_free(&mapped);
    cJSON_Delete(vector);
}

/* One that says nothing in its headers is structured if it is a CloudEvent, else another's. */
static void test_mixed_topics(void **state)
{
    static const struct event_header binary[] = {
        {"ce_specversion", "1.0", 3},     {"ce_id", "7", 1},        {"ce_source", "shop", 4},
        {"ce_type", "com.shop.paid", 13}, {"ce_score", "12.5", 4},  {"ce_subject", "u1", 2},
        {"content-type", "Text/JSON", 9}, {"traceparent", NULL, 0},
    };
    const char *body = "{\"type\":\"a\",\"time\":1793600000000,\"city\":\"x\"}";
    struct mapped mapped;

    open_mapped(&mapped,
                "mappings:\n  ce: {preset: cloudevents, type: {values: {com.shop.paid: purchase}}, "
                "fields: {score: score}}\n  rest: {preset: native}\n",
                "campaign city score:number");
    assert_string_equal(tell(&mapped, NULL, 0, body), "a 2026-11-02T06:13:20Z city=x");
    assert_string_equal(tell(&mapped, binary, 8, body),
                        "purchase 2026-11-02T06:13:20Z id user city=x score=12.5");
    assert_true(mapped_event()->user == mapped_hash("u1"));
    assert_string_equal(
        tell(&mapped, NULL, 0,
             "{\"data\":{\"city\":\"y\"},\"id\":\"7\",\"type\":\"t\",\"source\":\"shop\","
             "\"score\":3,\"specversion\":\"1.0\",\"subject\":\"u1\"}"),
        "t 2026-11-02T06:13:20Z id user city=y score=3");
    /* the attributes of another version of the specification are nobody's */
    assert_string_equal(tell(&mapped, NULL, 0, "{\"specversion\":\"0.3\",\"id\":\"7\"}"),
                        "refused: type");
    mapped_free(&mapped);
}

static void test_headers_are_judged_as_values_are(void **state)
{
    struct event_header headers[] = {
        {"ce_specversion", "1.0", 3}, {"ce_id", "7", 1},     {"ce_source", "shop", 4},
        {"ce_type", "paid", 4},       {"ce_time", "now", 3}, {"ce_score", "1", 1},
    };
    struct mapped mapped;

    open_mapped(&mapped, "mappings: {m: {preset: cloudevents, fields: {score: score}}}\n",
                "campaign score:number");
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: time");
    headers[4] = (struct event_header){"ce_time", "2026-11-02T14:13:20+08:00", 25};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "paid 2026-11-02T06:13:20Z id score=1");
    headers[5] = (struct event_header){"ce_score", "one", 3};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: field");
    headers[5] = (struct event_header){"ce_score", "1e30", 4};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: number");
    headers[5] = (struct event_header){"ce_score", "\xff", 1};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: utf8");
    headers[5] = (struct event_header){"ce_id", "8", 1};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: duplicate_key");
    headers[5] = (struct event_header){"ce_id2", "8", 2};
    headers[1] = (struct event_header){"ce_id", "a\0b", 3};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: id");
    headers[1] = (struct event_header){"ce_id", NULL, 0};
    assert_string_equal(tell(&mapped, headers, 6, "{}"), "refused: id");
    headers[1] = (struct event_header){"ce_id", "7", 1};
    assert_string_equal(tell(&mapped, headers, 6, "{"), "refused: json");
    assert_string_equal(tell(&mapped, headers, 6, "7"), "refused: not_object");
    mapped_free(&mapped);
}

static void test_source_and_id_are_the_identity(void **state)
{
    cJSON *vector = read_vector("cloudevents/ce-duplicates");
    const cJSON *events = get(get(vector, "query"), "events"), *one;
    struct mapped mapped;
    uint64_t ids[8];
    int n = 0, n_distinct = 0;

    open_mapped(&mapped, CLOUDEVENTS, "campaign");
    cJSON_ArrayForEach(one, events)
    {
        char text[256];
        bool seen = false;

        snprintf(text, sizeof(text),
                 "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"%s\",\"source\":\"%s\"}",
                 text_of(one, "id"), text_of(one, "source"));
        assert_string_equal(tell(&mapped, NULL, 0, text), "t " RECORD_AT " id");
        ids[n] = mapped_event()->id;
        for (int i = 0; i < n; i++)
            seen |= ids[i] == ids[n];
        n_distinct += !seen;
        n++;
    }
    assert_int_equal(n_distinct, get(get(vector, "expected"), "distinct")->valueint);
    mapped_free(&mapped);
    cJSON_Delete(vector);
}

static void test_media_types(void **state)
{
    static const char *const json[] = {"", "application/json", "Text/JSON; charset=utf-8",
                                       "application/vnd.x+json ; a=b", "APPLICATION/JSON"};
    static const char *const others[] = {"application/xml",      "json",
                                         "application/jsonx",    "text/plain",
                                         "application/json-seq", "+json"};

    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++)
        assert_true(cloudevents_type_is_json((struct kpi_string){json[i], strlen(json[i])}));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(cloudevents_type_is_json((struct kpi_string){others[i], strlen(others[i])}));
}

/* --- Segment --- */

#define SEGMENT "mappings: {m: {preset: segment}}\nrates: {USD: 7}\n"

static void test_segment_vectors(void **state)
{
    static const struct {
        const char *name, *expected, *user;
    } vectors[] = {
        {"sg-track", "Item Purchased 2012-12-02T00:30:12.984Z user amount=104.93", "019mr8mf4r"},
        {"sg-track-full",
         "Course Clicked 2015-12-12T19:11:01.249Z id user title=Intro to Analytics", "AiUGstSDIg"},
        {"sg-identify", "identify 2012-12-02T00:30:08.276Z user traits.industry=Technology",
         "019mr8mf4r"},
        {"sg-page", "page 2012-12-02T00:31:29.738Z user", "019mr8mf4r"},
        {"sg-group", "group 2012-12-02T00:31:38.208Z user traits.industry=Technology",
         "019mr8mf4r"},
        {"sg-alias", "alias 2012-12-02T00:31:29.738Z user", "019mr8mf4r"},
        {"sg-common-tz", "Report Submitted 2015-12-10T04:08:31.905Z id user", "97980cfea0067"},
        {"sg-batch", "refused: type", NULL},
    };
    struct mapped mapped;

    open_mapped(&mapped, SEGMENT, "campaign title amount:amount traits.industry");
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char name[64], *payload;
        cJSON *vector;

        snprintf(name, sizeof(name), "segment/%s", vectors[i].name);
        vector = read_vector(name);
        payload = cJSON_PrintUnformatted(get(get(vector, "query"), "payload"));
        assert_string_equal(tell(&mapped, NULL, 0, payload), vectors[i].expected);
        if (vectors[i].user)
            assert_true(mapped_event()->user == mapped_hash(vectors[i].user));
        free(payload);
        cJSON_Delete(vector);
    }
    mapped_free(&mapped);
}

/* What a single call of a batch looks like; the documentation's odd month is no time. */
static void test_segment_calls_of_a_batch(void **state)
{
    static const char *const expected[] = {"identify 2012-12-02T00:30:08.276Z user",
                                           "Song Played 2012-12-02T00:30:12.984Z user",
                                           "refused: time", "refused: time"};
    cJSON *vector = read_vector("segment/sg-batch");
    const cJSON *call;
    struct mapped mapped;
    int i = 0;

    open_mapped(&mapped, SEGMENT, "campaign");
    cJSON_ArrayForEach(call, get(get(get(vector, "query"), "payload"), "batch"))
    {
        char *payload = cJSON_PrintUnformatted(call);

        assert_string_equal(tell(&mapped, NULL, 0, payload), expected[i++]);
        free(payload);
    }
    mapped_free(&mapped);
    cJSON_Delete(vector);
}

static void test_segment_times_are_corrected(void **state)
{
    cJSON *vector = read_vector("segment/sg-clock-skew");
    const cJSON *one;
    struct mapped mapped;

    open_mapped(&mapped, SEGMENT, "campaign");
    cJSON_ArrayForEach(one, get(get(vector, "expected"), "vectors"))
    {
        char text[512], expected[64];
        struct event_origin origin = {.topic = 1};

        snprintf(text, sizeof(text),
                 "{\"type\":\"page\",\"receivedAt\":\"%s\",\"sentAt\":\"%s\","
                 "\"originalTimestamp\":\"%s\"}",
                 text_of(one, "receivedAt"), text_of(one, "sentAt"),
                 text_of(one, "originalTimestamp"));
        assert_memory_equal(tell(&mapped, NULL, 0, text), "page ", 5);
        origin.record_time = mapped_event()->time;
        /* the vector's time, in as few digits as it has */
        snprintf(expected, sizeof(expected), "{\"type\":\"page\",\"timestamp\":\"%s\"}",
                 text_of(one, "timestamp"));
        assert_memory_equal(tell(&mapped, NULL, 0, expected), "page ", 5);
        assert_true(mapped_event()->time == origin.record_time);
    }
    /* without one of the three: what is known best */
    assert_string_equal(tell(&mapped, NULL, 0,
                             "{\"type\":\"page\",\"sentAt\":\"2026-11-02T06:13:10Z\","
                             "\"originalTimestamp\":\"2026-11-02T06:13:05Z\"}"),
                        "page 2026-11-02T06:13:15Z");
    assert_string_equal(tell(&mapped, NULL, 0,
                             "{\"type\":\"page\",\"originalTimestamp\":\"2026-11-02T06:13:05Z\"}"),
                        "page 2026-11-02T06:13:05Z");
    assert_string_equal(tell(&mapped, NULL, 0, "{\"type\":\"page\"}"), "page " RECORD_AT);
    assert_string_equal(
        tell(&mapped, NULL, 0, "{\"type\":\"page\",\"originalTimestamp\":\"yesterday\"}"),
        "refused: time");
    mapped_free(&mapped);
    cJSON_Delete(vector);
}

static void test_segment_names(void **state)
{
    struct mapped mapped;

    open_mapped(&mapped,
                "mappings: {m: {preset: segment, type: {values: {Order Completed: purchase}, "
                "other: skip}}}\n",
                "campaign amount:amount context.page.path");
    assert_string_equal(
        tell(&mapped, NULL, 0,
             "{\"type\":\"track\",\"event\":\"Order Completed\",\"anonymousId\":\"a\","
             "\"context\":{\"campaign\":{\"name\":\"c1\"},\"page\":{\"path\":\"/\"}},"
             "\"properties\":{\"revenue\":5,\"currency\":\"CNY\"},\"timestamp\":\"" RECORD_AT
             "\"}"),
        "purchase " RECORD_AT " user campaign=c1 amount=5 context.page.path=/");
    assert_true(mapped_event()->user == mapped_hash("a"));
    assert_string_equal(tell(&mapped, NULL, 0, "{\"type\":\"page\"}"), "refused: skipped");
    assert_string_equal(tell(&mapped, NULL, 0, "{\"type\":\"track\"}"), "refused: type");
    /* a price without currency is in US dollars, for which there is no rate */
    assert_string_equal(tell(&mapped, NULL, 0,
                             "{\"type\":\"track\",\"event\":\"Order Completed\","
                             "\"properties\":{\"revenue\":5}}"),
                        "refused: currency");
    mapped_free(&mapped);
}

/* --- PostHog --- */

static void test_posthog_events(void **state)
{
    struct mapped mapped;

    open_mapped(&mapped, "mappings: {m: {preset: posthog}}\n",
                "campaign amount:amount $current_url");
    assert_string_equal(
        tell(&mapped, NULL, 0,
             "{\"uuid\":\"0190\",\"event\":\"$pageview\",\"distinct_id\":\"d1\",\"properties\":"
             "{\"$current_url\":\"/\",\"utm_campaign\":\"c1\",\"amount\":2},"
             "\"timestamp\":\"2026-11-02T06:13:20.5+00:00\"}"),
        "$pageview 2026-11-02T06:13:20.500Z id user campaign=c1 amount=2 $current_url=/");
    assert_true(mapped_event()->id == mapped_hash("0190"));
    assert_true(mapped_event()->user == mapped_hash("d1"));
    assert_string_equal(
        tell(&mapped, NULL, 0,
             "{\"event\":\"x\",\"properties\":{\"distinct_id\":7},\"timestamp\":\"" RECORD_AT
             "\"}"),
        "x " RECORD_AT " user");
    assert_true(mapped_event()->user == mapped_hash("7"));
    assert_string_equal(tell(&mapped, NULL, 0, "{\"event\":\"x\"}"), "refused: time");
    mapped_free(&mapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cloudevents_vectors),
        cmocka_unit_test(test_batches_are_refused),
        cmocka_unit_test(test_mixed_topics),
        cmocka_unit_test(test_headers_are_judged_as_values_are),
        cmocka_unit_test(test_source_and_id_are_the_identity),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_segment_vectors),
        cmocka_unit_test(test_segment_calls_of_a_batch),
        cmocka_unit_test(test_segment_times_are_corrected),
        cmocka_unit_test(test_segment_names),
        cmocka_unit_test(test_posthog_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
