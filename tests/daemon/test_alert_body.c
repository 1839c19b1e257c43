/*
 * Tests daemon/sink/alert_body.c: what a receiver reads of a transition, to the byte, and that its
 * id depends on the transition and the group alone.
 */
#include "sink/alert_body.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SHANGHAI_S (8 * 3600)
#define ID         "edb304332ce20137e3f65a61c6051414"

/* Three days in November 2026 at +08:00, then one of 25 hours that ends at +07:00, and another. */
static const kpi_time day_starts[] = {
    (INT64_C(1794268800) - SHANGHAI_S) * KPI_SECOND,
    (INT64_C(1794355200) - SHANGHAI_S) * KPI_SECOND,
    (INT64_C(1794441600) - SHANGHAI_S) * KPI_SECOND,
    (INT64_C(1794528000) - SHANGHAI_S) * KPI_SECOND,
    (INT64_C(1794614400) - SHANGHAI_S + 3600) * KPI_SECOND,
    (INT64_C(1794700800) - SHANGHAI_S + 3600) * KPI_SECOND,
};

static const struct kpi_zone zone = {
    .name = {"Asia/Shanghai", 13}, .first_day = 20767, .n_days = 5, .day_starts = day_starts};

static const struct kpi_phase_info phases[] = {{.name = {"warmup", 6}}, {.name = {"burst", 5}}};

static const struct kpi_campaign_info campaign = {
    .id = {"yueyue 2026/11", 14}, .phases = phases, .n_phases = 2};

static struct kpi_kpi_info rate = {
    .name = {"participation_rate", 18},
    .title_en = {"Participation rate", 18},
    .title_zh = {"活动参与率", 15},
    .unit = KPI_UNIT_RATIO,
};

static struct kpi_kpi_info roi = {
    .name = {"roi", 3},
    .title_en = {"ROI \"1:x\"", 9},
    .title_zh = {"活动ROI", 9},
    .unit = KPI_UNIT_MULTIPLE,
};

static const struct kpi_target rate_target = {
    .fingerprint = 0x0f2c4e0d1b7a6533,
    .value = 0.65,
    .deviation = KPI_DEVIATION_POINTS,
    .deviation_amount = 0.1,
    .band = 0.1,
};

static const struct kpi_target roi_target = {
    .fingerprint = 1,
    .value = 4,
    .deviation = KPI_DEVIATION_RELATIVE,
    .deviation_amount = 0.1,
    .band = 0.4,
};

static const struct kpi_value rate_value = {
    .state = KPI_VALUE_OK,
    .value = 0.549,
    .numerator = {.kind = KPI_NUMBER_COUNT, .value = 5490, .real = 5490},
    .denominator = {.kind = KPI_NUMBER_COUNT, .value = 10000, .real = 10000},
    .complete = 0.1,
};

struct message {
    struct alert_about about;
    struct alert_body body;
};

static struct message firing(void)
{
    static struct kpi_scope scope;

    scope = (struct kpi_scope){
        .kind = KPI_SCOPE_CAMPAIGN, .start = day_starts[0], .end = day_starts[3]};
    return (struct message){
        .about = {.external_url = "https://kpid.example.com/",
                  .target = &rate_target,
                  .campaign = &campaign,
                  .kpi = &rate,
                  .zone = &zone,
                  .scope = &scope,
                  .value = &rate_value,
                  .since = day_starts[1] + 3723 * KPI_SECOND},
        .body = {.group = "kpid",
                 .fingerprint = 0x0f2c4e0d1b7a6533,
                 .transition = KPI_TRANSITION_FIRING,
                 .sequence = 3,
                 .level = KPI_LEVEL_GENERAL,
                 .at = day_starts[1] + 4023 * KPI_SECOND + 250 * KPI_MILLISECOND,
                 .zone = &zone},
    };
}

static char *body_of(const struct message *message)
{
    struct alert_body options = message->body;
    char *about, *body;
    size_t size;

    assert_int_equal(alert_about_new(&about, &message->about), 0);
    options.about = about;
    assert_int_equal(alert_body_new(&body, &size, &options), 0);
    assert_int_equal(size, strlen(body));
    free(about);
    return body;
}

static void assert_body(const struct message *message, const char *expected)
{
    char *body = body_of(message);

    assert_string_equal(body, expected);
    free(body);
}

static void assert_part(const struct message *message, const char *expected)
{
    char *body = body_of(message);

    if (!strstr(body, expected))
        fail_msg("%s not in %s", expected, body);
    free(body);
}

static void test_firing_in_points(void **state)
{
    const struct message options = firing();

    assert_body(
        &options,
        "{\"type\":\"kpi.deviation.firing\",\"timestamp\":\"2026-11-11T01:07:03.250+08:00\","
        "\"data\":{\"id\":\"al_" ID "\",\"fingerprint\":\"0f2c4e0d1b7a6533\","
        "\"sequence\":3,\"status\":\"firing\",\"level\":\"general\","
        "\"campaign\":\"yueyue 2026/11\",\"kpi\":\"participation_rate\","
        "\"title\":{\"en\":\"Participation rate\",\"zh\":\"活动参与率\"},"
        "\"scope\":{\"kind\":\"campaign\",\"start\":\"2026-11-10T00:00:00+08:00\","
        "\"end\":\"2026-11-13T00:00:00+08:00\"},"
        "\"value\":0.549,\"target\":0.65,\"deviation\":\"10pp\",\"deviation_points\":-10.1,"
        "\"deviation_ratio\":-0.155384615385,\"band\":0.1,"
        "\"numerator\":5490,\"denominator\":10000,"
        "\"since\":\"2026-11-11T01:02:03+08:00\","
        "\"links\":{\"alerts\":\"https://kpid.example.com/api/v1/alerts\","
        "\"kpi\":\"https://kpid.example.com/api/v1/kpis?campaign=yueyue%202026%2F11"
        "&kpi=participation_rate\"}}}");
}

static void test_resolved_in_ratio_with_money(void **state)
{
    const struct kpi_value value = {
        .state = KPI_VALUE_OK,
        .value = 3.9,
        .numerator = {.kind = KPI_NUMBER_MONEY, .value = 1950000500000, .real = 1950000.5},
        .denominator = {.kind = KPI_NUMBER_MONEY, .value = 500000000000, .real = 500000},
        .complete = 1,
    };
    struct message options = firing();

    options.body.transition = KPI_TRANSITION_RESOLVED;
    options.body.level = KPI_LEVEL_SERIOUS;
    options.about.kpi = &roi;
    options.about.target = &roi_target;
    options.about.value = &value;
    options.about.zone = options.body.zone = NULL;
    options.about.external_url = NULL;
    options.body.sequence = 4;
    assert_part(&options,
                "{\"type\":\"kpi.deviation.resolved\",\"timestamp\":\"2026-11-10T17:07:03.250Z\"");
    assert_part(&options, "\"status\":\"resolved\",\"level\":\"serious\"");
    assert_part(&options, "\"title\":{\"en\":\"ROI \\\"1:x\\\"\",\"zh\":\"活动ROI\"}");
    assert_part(&options,
                "\"value\":3.9,\"target\":4,\"deviation\":\"10%\",\"deviation_amount\":-0.1,"
                "\"deviation_ratio\":-0.025,\"band\":0.4,"
                "\"numerator\":\"1950000.5\",\"denominator\":\"500000\",");
    assert_part(&options, "\"links\":{}}}");
}

/* 2^53 + 1 is a number that doubles do not have, and 0.1 + 0.2 one that 15 digits do not. */
static void test_numbers_lose_nothing(void **state)
{
    struct kpi_value value = rate_value;
    struct message options = firing();

    value.numerator.value = 9007199254740993;
    value.value = 0.1 + 0.2;
    options.about.value = &value;
    options.body.sequence = 9007199254740993;
    assert_part(&options, "\"value\":0.30000000000000004,");
    assert_part(&options, "\"numerator\":9007199254740993,");
    assert_part(&options, "\"sequence\":9007199254740993,");
}

/* A target whose time is over is resolved whatever there is to see. */
static void test_what_is_not_there_is_null(void **state)
{
    struct kpi_value value = rate_value;
    struct message options = firing();

    value.state = KPI_VALUE_UNDEFINED;
    value.value = NAN;
    value.denominator.kind = KPI_NUMBER_NONE;
    options.about.value = &value;
    options.about.since = KPI_TIME_NONE;
    assert_part(&options,
                "\"value\":null,\"target\":0.65,\"deviation\":\"10pp\",\"deviation_points\":null,"
                "\"deviation_ratio\":null,");
    assert_part(&options, "\"numerator\":5490,\"denominator\":null,\"since\":null,");
}

static void test_a_target_that_varies_says_how_it_was_made(void **state)
{
    struct kpi_target target = rate_target;
    struct message options = firing();

    target.varies = true;
    target.expression = (struct kpi_string){"0.5 * gauge(\"行业\")", 21};
    options.about.target = &target;
    assert_part(&options, "\"value\":0.549,\"target\":0.65,"
                          "\"target_expression\":\"0.5 * gauge(\\\"行业\\\")\","
                          "\"deviation\":\"10pp\",\"deviation_points\":-10.1,");
    /* resolved because its time is over, and nobody has set the gauge since */
    target.value = target.band = NAN;
    options.body.transition = KPI_TRANSITION_RESOLVED;
    assert_part(&options, "\"target\":null,\"target_expression\":");
    assert_part(&options, "\"deviation_points\":null,\"deviation_ratio\":null,\"band\":null,");
}

/* Both figures of each, and what may be missed as it is written. */
static void test_deviations_of_all_units_and_modes(void **state)
{
    static const struct {
        enum kpi_unit unit;
        enum kpi_deviation deviation;
        double amount, target, value;
        const char *part;
    } cases[] = {
        {KPI_UNIT_RATIO, KPI_DEVIATION_RELATIVE, 0.07, 0.65, 0.584,
         "\"7%\",\"deviation_points\":-6.6,\"deviation_ratio\":-0.101538461538,\"band\""},
        {KPI_UNIT_POINTS, KPI_DEVIATION_POINTS, 7.5, 50, 42.5,
         "\"7.5pp\",\"deviation_points\":-7.5,\"deviation_ratio\":-0.15,\"band\""},
        {KPI_UNIT_POINTS, KPI_DEVIATION_POINTS, 5, -10, -16,
         "\"5pp\",\"deviation_points\":-6,\"deviation_ratio\":-0.6,\"band\""},
        {KPI_UNIT_MULTIPLE, KPI_DEVIATION_ABSOLUTE, 0.5, 4, 3.4,
         "\"0.5\",\"deviation_amount\":-0.6,\"deviation_ratio\":-0.15,\"band\""},
        {KPI_UNIT_MONEY, KPI_DEVIATION_ABSOLUTE, 20000.55, 100000, 125000.5,
         "\"20000.55\",\"deviation_amount\":25000.5,\"deviation_ratio\":0.250005,\"band\""},
        {KPI_UNIT_DURATION, KPI_DEVIATION_ABSOLUTE, 1.5, 480, 360,
         "\"1.5s\",\"deviation_amount\":-120,\"deviation_ratio\":-0.25,\"band\""},
        {KPI_UNIT_COUNT, KPI_DEVIATION_ABSOLUTE, 15, 0, 20,
         "\"15\",\"deviation_amount\":20,\"deviation_ratio\":null,\"band\""},
        {KPI_UNIT_COUNT, KPI_DEVIATION_FACTOR, 2, 1000, 2150,
         "\"2x\",\"deviation_amount\":1150,\"deviation_ratio\":1.15,\"deviation_factor\":2.15,"
         "\"band\""},
        {KPI_UNIT_RATIO, KPI_DEVIATION_FACTOR, 0.8, 0.5, 0.3,
         "\"0.8x\",\"deviation_points\":-20,\"deviation_ratio\":-0.4,\"deviation_factor\":0.6,"
         "\"band\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kpi_target target = {.value = cases[i].target,
                                          .deviation = cases[i].deviation,
                                          .deviation_amount = cases[i].amount};
        const struct kpi_value value = {.state = KPI_VALUE_OK, .value = cases[i].value};
        struct kpi_kpi_info kpi = rate;
        struct message options = firing();
        char part[256];

        kpi.unit = cases[i].unit;
        options.about.kpi = &kpi;
        options.about.target = &target;
        options.about.value = &value;
        (void)snprintf(part, sizeof(part), ",\"deviation\":%s", cases[i].part);
        assert_part(&options, part);
    }
}

/* All that is known is told as it was last, to the byte; without it who and since when. */
static void test_a_target_that_is_removed(void **state)
{
    struct message options = firing();
    struct kpi_value value = rate_value;
    size_t size;
    char *body;

    value.numerator.value = 9007199254740993;
    options.about.value = &value;
    options.body.transition = KPI_TRANSITION_RESOLVED;
    options.body.removed = true;
    options.body.zone = NULL;
    assert_body(&options,
                "{\"type\":\"kpi.deviation.resolved\",\"timestamp\":\"2026-11-10T17:07:03.250Z\","
                "\"data\":{\"id\":\"al_" ID "\",\"fingerprint\":\"0f2c4e0d1b7a6533\","
                "\"sequence\":3,\"status\":\"resolved\",\"level\":\"general\","
                "\"reason\":\"target_removed\","
                "\"reason_title\":{\"en\":\"The target was removed\",\"zh\":\"目标已被移除\"},"
                "\"campaign\":\"yueyue 2026/11\",\"kpi\":\"participation_rate\","
                "\"title\":{\"en\":\"Participation rate\",\"zh\":\"活动参与率\"},"
                "\"scope\":{\"kind\":\"campaign\",\"start\":\"2026-11-10T00:00:00+08:00\","
                "\"end\":\"2026-11-13T00:00:00+08:00\"},"
                "\"value\":0.549,\"target\":0.65,\"deviation\":\"10pp\",\"deviation_points\":-10.1,"
                "\"deviation_ratio\":-0.155384615385,\"band\":0.1,"
                "\"numerator\":9007199254740993,\"denominator\":10000,"
                "\"since\":\"2026-11-11T01:02:03+08:00\","
                "\"links\":{\"alerts\":\"https://kpid.example.com/api/v1/alerts\","
                "\"kpi\":\"https://kpid.example.com/api/v1/kpis?campaign=yueyue%202026%2F11"
                "&kpi=participation_rate\"}}}");
    options.body.since = day_starts[1];
    assert_int_equal(alert_body_new(&body, &size, &options.body), 0);
    assert_string_equal(
        body, "{\"type\":\"kpi.deviation.resolved\",\"timestamp\":\"2026-11-10T17:07:03.250Z\","
              "\"data\":{\"id\":\"al_" ID "\",\"fingerprint\":\"0f2c4e0d1b7a6533\","
              "\"sequence\":3,\"status\":\"resolved\",\"level\":\"general\","
              "\"reason\":\"target_removed\","
              "\"reason_title\":{\"en\":\"The target was removed\",\"zh\":\"目标已被移除\"},"
              "\"since\":\"2026-11-10T16:00:00Z\"}}");
    free(body);
}

static void test_scopes(void **state)
{
    static const struct {
        const char *name, *begin, *end;
    } cases[] = {
        {"campaign", "\"scope\":{\"kind\":\"campaign\",", "+08:00\"},\"value\""},
        {"phase", "\"scope\":{\"kind\":\"phase\",", ",\"phase\":\"burst\"},\"value\""},
        {"day", "\"scope\":{\"kind\":\"day\",", "+08:00\"},\"value\""},
        {"quarter", "\"scope\":{\"kind\":\"quarter\",", "+08:00\"},\"value\""},
        {"hour", "\"scope\":{\"kind\":\"hour\",", "+08:00\"},\"value\""},
        {"5m", "\"scope\":{\"kind\":\"minutes\",", ",\"minutes\":5},\"value\""},
        {"rolling:7d", "\"scope\":{\"kind\":\"rolling\",", ",\"days\":7},\"value\""},
        {"rolling:4w", "\"scope\":{\"kind\":\"rolling\",",
         ",\"count\":4,\"unit\":\"week\"},\"value\""},
        {"rolling:24h", "\"scope\":{\"kind\":\"rolling\",",
         ",\"count\":24,\"unit\":\"hour\"},\"value\""},
        {"rolling:6x5m", "\"scope\":{\"kind\":\"rolling\",",
         ",\"count\":6,\"unit\":\"minutes\",\"minutes\":5},\"value\""},
    };
    struct message options = firing();
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kpi_scope_name name;

        assert_int_equal(
            kpi_scope_name_parse((struct kpi_string){cases[i].name, strlen(cases[i].name)}, &name),
            0);
        name.scope.phase = 1;
        name.scope.start = day_starts[0];
        name.scope.end = day_starts[1];
        options.about.scope = &name.scope;
        assert_part(&options, cases[i].begin);
        assert_part(&options, cases[i].end);
    }
}

static void test_times_name_the_right_instant(void **state)
{
    static const struct {
        kpi_time at;
        const char *text;
    } cases[] = {
        {INT64_C(1794268800) * KPI_SECOND - 8 * KPI_HOUR, "\"2026-11-10T00:00:00+08:00\""},
        {INT64_C(1794268800) * KPI_SECOND - 8 * KPI_HOUR - 1, "\"2026-11-09T15:59:59.999999Z\""},
        {INT64_C(1794614400) * KPI_SECOND - 7 * KPI_HOUR - 1,
         "\"2026-11-14T00:59:59.999999+08:00\""},
        {INT64_C(1794614400) * KPI_SECOND - 7 * KPI_HOUR, "\"2026-11-14T00:00:00+07:00\""},
        {INT64_C(1794700800) * KPI_SECOND - 7 * KPI_HOUR, "\"2026-11-14T17:00:00Z\""},
    };
    struct message options = firing();
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options.body.at = cases[i].at;
        assert_part(&options, cases[i].text);
    }
}

static void test_id_is_of_the_transition_and_the_group(void **state)
{
    char id[ALERT_ID_BYTES], other[ALERT_ID_BYTES];

    alert_id(id, 0x0f2c4e0d1b7a6533, 3, "kpid");
    assert_string_equal(id, "al_" ID); /* must never change: a take-over by a newer version */
    assert_int_equal(strspn(id + 3, "0123456789abcdef"), 32);
    alert_id(other, 0x0f2c4e0d1b7a6533, 4, "kpid");
    assert_string_not_equal(id, other);
    alert_id(other, 0x0f2c4e0d1b7a6534, 3, "kpid");
    assert_string_not_equal(id, other);
    alert_id(other, 0x0f2c4e0d1b7a6533, 3, "kpid2");
    assert_string_not_equal(id, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_firing_in_points),
        cmocka_unit_test(test_resolved_in_ratio_with_money),
        cmocka_unit_test(test_numbers_lose_nothing),
        cmocka_unit_test(test_what_is_not_there_is_null),
        cmocka_unit_test(test_a_target_that_varies_says_how_it_was_made),
        cmocka_unit_test(test_deviations_of_all_units_and_modes),
        cmocka_unit_test(test_a_target_that_is_removed),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_times_name_the_right_instant),
        cmocka_unit_test(test_id_is_of_the_transition_and_the_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
