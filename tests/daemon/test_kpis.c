/*
 * Law 9, a number carries its making: the JSON of KPI values, alerts and status says what the view
 * holds: counts and real numbers as numbers, money as decimal strings, undefined and no data as
 * states with null, times with their zone's offset; filters take what they name and refuse what is
 * not there.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "api/kpis.h"
#include "api/pages.h"
#include "view_fixture.h"

#include <stdio.h>

static char *write_kpis(const struct view *view, const struct kpis_filter *filter)
{
    char *text;
    size_t size;

    assert_int_equal(kpis_write(&text, &size, view, filter, 1000), 0);
    assert_int_equal(strlen(text), size);
    return text;
}

#define SCOPE_CAMPAIGN                                                                             \
    "\"scope\":{\"kind\":\"campaign\",\"start\":\"2026-11-01T00:00:00+08:00\","                    \
    "\"end\":\"2026-12-01T00:00:00+08:00\"}"

static void test_golden(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_OK, 13, 20);
    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_ORDERS, KPI_VALUE_OK,
                     INT64_C(9007199254740993), 0);
    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_REVENUE, KPI_VALUE_OK, 129900000, 0);
    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_DWELL, KPI_VALUE_OK, 1500000, 4);
    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_NPS, KPI_VALUE_UNDEFINED, 0, 0);
    text = write_kpis(view, &(struct kpis_filter){.scope = "campaign"});
    assert_string_equal(
        text,
        "{\"as_of\":\"2026-11-11T04:00:00Z\",\"complete\":true,\"kpis\":["
        "{\"kpi\":\"participation_rate\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"ratio\",\"state\":\"ok\",\"value\":0.65,\"numerator\":13,\"denominator\":20,"
        "\"complete\":1,\"definition\":\"0000000000c0ffee\"},"
        "{\"kpi\":\"orders_placed\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"count\",\"state\":\"ok\",\"value\":9007199254740992,"
        "\"numerator\":9007199254740993,\"denominator\":null,"
        "\"complete\":1,\"definition\":\"0000000000c0ffee\"},"
        "{\"kpi\":\"revenue_total\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"money\",\"state\":\"ok\",\"value\":129.9,\"numerator\":\"129.90\","
        "\"denominator\":null,\"complete\":1,\"definition\":\"0000000000c0ffee\"},"
        "{\"kpi\":\"dwell_mean\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"duration\",\"state\":\"ok\",\"value\":0.375,\"numerator\":1.5,"
        "\"denominator\":4,\"complete\":1,\"definition\":\"0000000000c0ffee\"},"
        "{\"kpi\":\"nps\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"points\",\"state\":\"undefined\",\"reason\":\"division_by_zero\",\"value\":"
        "null,\"numerator\":0,"
        "\"denominator\":0,\"complete\":1,\"definition\":\"0000000000c0ffee\"},"
        "{\"kpi\":\"roi\",\"campaign\":\"618 大促\"," SCOPE_CAMPAIGN
        ",\"unit\":\"multiple\",\"state\":\"no_data\",\"value\":null,\"numerator\":null,"
        "\"denominator\":null,\"complete\":0,\"definition\":\"0000000000000000\"}"
        "],\"definitions\":["
        "{\"kpi\":\"participation_rate\",\"formula\":\"participants / reached\","
        "\"measures\":\"participants: users where type == \\\"participation\\\"; reached: users "
        "where type == \\\"exposure\\\"\"},"
        "{\"kpi\":\"orders_placed\",\"formula\":\"orders\","
        "\"measures\":\"orders: count where type == \\\"purchase\\\"\"},"
        "{\"kpi\":\"revenue_total\",\"formula\":\"revenue\","
        "\"measures\":\"revenue: sum(amount) where type == \\\"purchase\\\"\"},"
        "{\"kpi\":\"dwell_mean\",\"formula\":\"dwell / sessions\","
        "\"measures\":\"dwell: sum(seconds) where type == \\\"session\\\"; sessions: count where "
        "type == \\\"session\\\"\"},"
        "{\"kpi\":\"nps\",\"formula\":\"100 * promoters / responses\","
        "\"measures\":\"promoters: latest_users(score >= 9) where type == \\\"survey\\\"; "
        "responses: users where type == \\\"survey\\\"\"},"
        "{\"kpi\":\"roi\",\"formula\":\"revenue / budget\","
        "\"measures\":\"revenue: sum(amount) where type == \\\"purchase\\\"\"}"
        "]}\n");
    free(text);
    view_unref(view);
}

static void test_a_value_says_from_when_it_counts(void **state)
{
    struct view *view = view_fixture_new(1);
    const struct kpis_filter filter = {.scope = "campaign", .kpi = "participation_rate"};
    char *text;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_OK, 13, 20);
    view->values[0].counts_from = VIEW_FIXTURE_AS_OF - KPI_HOUR;
    text = write_kpis(view, &filter);
    assert_non_null(strstr(text, "\"complete\":1,\"counts_from\":\"2026-11-11T03:00:00Z\","
                                 "\"definition\""));
    free(text);
    view_unref(view);
}

static void test_scopes_say_what_they_are(void **state)
{
    struct view *view = view_fixture_new(1);
    static const struct {
        const char *filter, *scope;
    } table[] = {
        {"phase:burst", "{\"kind\":\"phase\",\"start\":\"2026-11-10T00:00:00+08:00\","
                        "\"end\":\"2026-11-15T00:00:00+08:00\",\"phase\":\"burst\"}"},
        {"rolling:7d", "{\"kind\":\"rolling\",\"start\":\"2026-11-05T00:00:00+08:00\","
                       "\"end\":\"2026-11-12T00:00:00+08:00\",\"days\":7}"},
        {"day:2026-11-11", "{\"kind\":\"day\",\"start\":\"2026-11-11T00:00:00+08:00\","
                           "\"end\":\"2026-11-12T00:00:00+08:00\"}"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char *text =
            write_kpis(view, &(struct kpis_filter){.kpi = "roi", .scope = table[i].filter});
        cJSON *root = cJSON_Parse(text);
        const cJSON *array = cJSON_GetObjectItem(root, "kpis");
        char *scope;

        assert_int_equal(cJSON_GetArraySize(array), 1);
        scope = cJSON_PrintUnformatted(cJSON_GetObjectItem(cJSON_GetArrayItem(array, 0), "scope"));
        assert_string_equal(scope, table[i].scope);
        free(scope);
        cJSON_Delete(root);
        free(text);
    }
    view_unref(view);
}

static unsigned count(const struct view *view, const struct kpis_filter *filter)
{
    char *text = write_kpis(view, filter);
    cJSON *root = cJSON_Parse(text);
    int n = cJSON_GetArraySize(cJSON_GetObjectItem(root, "kpis"));

    cJSON_Delete(root);
    free(text);
    return (unsigned)n;
}

static void test_filters(void **state)
{
    struct view *view = view_fixture_new(3);

    assert_int_equal(count(view, &(struct kpis_filter){0}), 3 * FIXTURE_SCOPES * FIXTURE_KPIS);
    assert_int_equal(count(view, &(struct kpis_filter){.campaign = "618 大促"}),
                     FIXTURE_SCOPES * FIXTURE_KPIS);
    assert_int_equal(count(view, &(struct kpis_filter){.kpi = "roi"}), 3 * FIXTURE_SCOPES);
    assert_int_equal(count(view, &(struct kpis_filter){.scope = "day"}), 3 * 11 * FIXTURE_KPIS);
    assert_int_equal(count(view, &(struct kpis_filter){.scope = "phase"}), 3 * 2 * FIXTURE_KPIS);
    assert_int_equal(count(view, &(struct kpis_filter){"campaign-1", "nps", "phase:warmup"}), 1);
    view_unref(view);
}

static void test_what_is_not_there(void **state)
{
    static const struct {
        int outcome;
        struct kpis_filter filter;
    } table[] = {
        {KPIS_E_CAMPAIGN, {.campaign = "619"}},
        {KPIS_E_CAMPAIGN, {.campaign = ""}},
        {KPIS_E_CAMPAIGN, {.campaign = "campaign-11"}},
        {KPIS_E_KPI, {.kpi = "ROI"}},
        {KPIS_E_KPI, {.kpi = "ro"}},
        {KPIS_E_SCOPE, {.scope = ""}},
        {KPIS_E_SCOPE, {.scope = "week"}},
        {KPIS_E_SCOPE, {.scope = "phase:"}},
        {KPIS_E_SCOPE, {.scope = "phase:bursts"}},
        {KPIS_E_SCOPE, {.scope = "rolling:30d"}},
        {KPIS_E_SCOPE, {.scope = "rolling:07d"}},
        {KPIS_E_SCOPE, {.scope = "day:2026-11-12"}},
        {KPIS_E_SCOPE, {.scope = "day:2026-11-1"}},
    };
    struct view *view = view_fixture_new(2);
    char *text;
    size_t size;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(kpis_write(&text, &size, view, &table[i].filter, 1000), table[i].outcome);
    view_unref(view);
}

static const struct view_fixture_group shard_a[] = {
    {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {"微信"}, 5},
    {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL_CITY, {"微信", NULL}, 5},
    {0, FIXTURE_TODAY, FIXTURE_CITY, {NULL}, 4},
    {0, FIXTURE_TODAY, FIXTURE_CITY, {"上海"}, 1},
};
static const struct view_fixture_group shard_b[] = {
    {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {NULL}, 3},
    {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {"微信"}, 7},
    {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL_CITY, {"__other__", ""}, 2},
    {1, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {"微信"}, 100},
};

static struct view *view_with_groups(void)
{
    struct view *view = view_fixture_new(2);

    view_fixture_add_groups(view, shard_a, sizeof(shard_a) / sizeof(shard_a[0]));
    view_fixture_add_groups(view, shard_b, sizeof(shard_b) / sizeof(shard_b[0]));
    return view;
}

/* The "by" of each entry that has one, and its numerator: {"channel":null}=3 … */
static void assert_by(const struct view *view, const struct kpis_filter *filter,
                      const char *expected)
{
    char *text, got[1000] = "";
    const cJSON *item;
    cJSON *root;
    size_t size;

    assert_int_equal(kpis_write(&text, &size, view, filter, 1000), 0);
    root = cJSON_Parse(text);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(root, "kpis"))
    {
        cJSON *by = cJSON_GetObjectItem(item, "by");
        char *printed = by ? cJSON_PrintUnformatted(by) : NULL;

        if (by)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s=%.0f", got[0] ? " " : "",
                     printed, cJSON_GetNumberValue(cJSON_GetObjectItem(item, "numerator")));
        else
            assert_int_equal(got[0], 0); /* those without come first */
        free(printed);
    }
    assert_string_equal(got, expected);
    cJSON_Delete(root);
    free(text);
}

static void test_breakdowns(void **state)
{
    static const char both[] = "{\"channel\":\"__other__\",\"城市\":\"\"}=2 "
                               "{\"channel\":\"微信\",\"城市\":null}=5";
    struct view *view = view_with_groups();
    const uint32_t whole = 2 * FIXTURE_SCOPES;
    char all[200];

    snprintf(all, sizeof(all), "%s {\"城市\":null}=4 {\"城市\":\"上海\"}=1", both);
    assert_by(view, &(struct kpis_filter){.kpi = "orders_placed"}, "");
    assert_int_equal(count(view, &(struct kpis_filter){.kpi = "orders_placed"}), whole);
    assert_by(view, &(struct kpis_filter){.kpi = "orders_placed", .by = "*"}, all);
    assert_int_equal(count(view, &(struct kpis_filter){.kpi = "orders_placed", .by = "*"}),
                     whole + 4);
    assert_by(view, &(struct kpis_filter){.kpi = "orders_placed", .by = "城市,channel"}, both);
    assert_int_equal(count(view, &(struct kpis_filter){.kpi = "orders_placed", .by = "channel"}),
                     0); /* only roi is */
    assert_int_equal(count(view, &(struct kpis_filter){.by = "channel"}), 3);
    assert_int_equal(count(view, &(struct kpis_filter){.by = "城市", .scope = "campaign"}), 0);
    assert_int_equal(count(view, &(struct kpis_filter){.by = "channel", .campaign = "campaign-1"}),
                     1);
    view_unref(view);
}

static void test_breakdowns_that_are_not_there(void **state)
{
    static const char *const names[] = {
        "",         "城",      "channel,", "channel,channel",  "**", "town", "channel,城市,x",
        ",channel", "CHANNEL", "channel ", "城市,channel,城市"};
    struct view *view = view_with_groups();
    char *text;
    size_t size;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(
            kpis_write(&text, &size, view, &(struct kpis_filter){.by = names[i]}, 1000), KPIS_E_BY);
    assert_int_equal(kpis_write(&text, &size, view, &(struct kpis_filter){.by = "channel"}, 2),
                     KPIS_E_TOO_MANY);
    view_unref(view);
}

static void test_bound_of_an_answer(void **state)
{
    struct view *view = view_fixture_new(1);
    const struct kpis_filter all = {0};
    char *text;
    size_t size;

    assert_int_equal(kpis_write(&text, &size, view, &all, FIXTURE_SCOPES * FIXTURE_KPIS - 1),
                     KPIS_E_TOO_MANY);
    assert_int_equal(kpis_write(&text, &size, view, &all, FIXTURE_SCOPES * FIXTURE_KPIS), 0);
    free(text);
    view_unref(view);
}

static void assert_money(int64_t value, const char *expected)
{
    struct json json = {0};
    cJSON *root = json_object(&json, NULL, NULL);

    json_add_money(&json, root, "m", value);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(root, "m")), expected);
    cJSON_Delete(root);
}

static void test_money(void **state)
{
    assert_money(0, "0.00");
    assert_money(1, "0.000001");
    assert_money(-1, "-0.000001");
    assert_money(129900000, "129.90");
    assert_money(129990000, "129.99");
    assert_money(129999000, "129.999");
    assert_money(-1500000, "-1.50");
    assert_money(INT64_MAX, "9223372036854.775807");
    assert_money(INT64_MIN, "-9223372036854.775808");
}

static void test_times(void **state)
{
    static const struct {
        kpi_time time;
        kpi_duration offset;
        const char *text;
    } table[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {-1, 0, "1969-12-31T23:59:59.999999Z"},
        {1500000, 0, "1970-01-01T00:00:01.500Z"},
        {1500001, 0, "1970-01-01T00:00:01.500001Z"},
        {0, 5 * KPI_HOUR + 45 * KPI_MINUTE, "1970-01-01T05:45:00+05:45"},
        {0, -9 * KPI_HOUR - 30 * KPI_MINUTE, "1969-12-31T14:30:00-09:30"},
        {0, 343 * KPI_SECOND, "1970-01-01T00:00:00Z"}, /* mean local time: not expressible */
        {0, 40 * KPI_HOUR, "1970-01-01T00:00:00Z"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[40];

        assert_int_equal(json_format_time(text, table[i].time, table[i].offset),
                         strlen(table[i].text));
        assert_string_equal(text, table[i].text);
    }
}

static void test_alerts(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;
    size_t size;
    cJSON *root;
    const cJSON *alert;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_OK, 50, 100);
    view->alerts[0].value = view->values[FIXTURE_RATE];
    view->alerts[0].alert.status = KPI_ALERT_FIRING;
    view->alerts[0].alert.level = KPI_LEVEL_GENERAL;
    view->alerts[0].alert.since = VIEW_FIXTURE_AS_OF;
    view->alerts[0].alert.sequence = 3;
    view->alerts[0].distance = 1.5;
    assert_int_equal(pages_write_alerts(&text, &size, view), 0);
    root = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "alerts")), 2);
    alert = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "alerts"), 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "kpi")),
                        "participation_rate");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "status")), "firing");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "level")), "general");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "since")),
                        "2026-11-11T04:00:00Z");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(alert, "deviating_since")));
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "value")), 0.5, 0);
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "target")), 0.65, 1e-15);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "deviation")), "10pp");
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "deviation_points")), -15,
                       0);
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "deviation_ratio")),
                       -0.230769230769, 0);
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "band")), 0.1, 1e-15);
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(alert, "distance")), 1.5, 0);
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(alert, "title"), "zh")),
        "活动参与率");
    alert = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "alerts"), 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(alert, "better")), "band");
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(alert, "scope"), "phase")),
        "burst");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(alert, "value")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(alert, "distance")));
    cJSON_Delete(root);
    free(text);
    view_unref(view);
}

static void assert_member(const cJSON *object, const char *name, const char *text)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));

    assert_non_null(value);
    assert_string_equal(value, text);
}

static void assert_aim(struct view *view, const char *state, const char *reason)
{
    char *text;
    size_t size;
    cJSON *root;
    const cJSON *alert;

    assert_int_equal(pages_write_alerts(&text, &size, view), 0);
    root = cJSON_Parse(text);
    alert = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "alerts"), 0);
    assert_member(alert, "target_expression", "0.5 * gauge(\"行业\")");
    assert_member(alert, "target_state", state);
    if (reason)
        assert_member(alert, "target_reason", reason);
    else
        assert_null(cJSON_GetObjectItem(alert, "target_reason"));
    alert = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "alerts"), 1);
    assert_null(cJSON_GetObjectItem(alert, "target_expression")); /* it does not vary */
    assert_null(cJSON_GetObjectItem(alert, "target_state"));
    cJSON_Delete(root);
    free(text);
}

/* How a target that varies was written, and why it has no value if it has none. */
static void test_targets_that_vary(void **state)
{
    struct view *view = view_fixture_new(1);
    struct kpi_target *target = &view->alerts[0].present;

    target->varies = true;
    target->expression = (struct kpi_string){"0.5 * gauge(\"行业\")", 21};
    target->value = target->band = NAN;
    view->alerts[0].aim = (struct kpi_value){
        .state = KPI_VALUE_UNDEFINED,
        .reason = KPI_REASON_NO_GAUGE,
    };
    assert_aim(view, "undefined", "no_gauge");
    view->alerts[0].aim = (struct kpi_value){.state = KPI_VALUE_NO_DATA};
    assert_aim(view, "no_data", NULL);
    view->alerts[0].aim = (struct kpi_value){.state = KPI_VALUE_OK, .value = 0.7};
    assert_aim(view, "ok", NULL);
    view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_a_value_says_from_when_it_counts),
        cmocka_unit_test(test_scopes_say_what_they_are),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_breakdowns),
        cmocka_unit_test(test_breakdowns_that_are_not_there),
        cmocka_unit_test(test_bound_of_an_answer),
        cmocka_unit_test(test_money),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_targets_that_vary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
