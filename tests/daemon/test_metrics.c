/*
 * /metrics shows what the view, the status and the counters hold: KPIs by unit with what they are
 * made of, undefined as NaN and no data as nothing; known label values from the start; a limit that
 * cuts KPIs only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/metrics.h"
#include "status_fixture.h"
#include "util/counters.h"
#include "view_fixture.h"

static char *write_text(const struct view *view, enum exposition_format format)
{
    struct api_status status = status_fixture();
    size_t size;
    char *text;

    assert_int_equal(metrics_write(&text, &size, format, view, &status), 0);
    text = realloc(text, size + 1);
    text[size] = '\0';
    return text;
}

/* Is this a whole line? */
static bool has(const char *text, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at++) {
        if ((at == text || at[-1] == '\n') && at[length] == '\n')
            return true;
    }
    return false;
}

static void assert_has(const char *text, const char *line)
{
    if (!has(text, line))
        fail_msg("there is no line %s", line);
}

#define LABELS(kpi, scope) "{kpi=\"" kpi "\",campaign=\"618 大促\",scope=\"" scope "\"}"

/* Of the campaign and today, none with a name of its own, and no more than the bound. */
static void test_breakdowns(void **state)
{
    static const struct view_fixture_group groups[] = {
        {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {NULL}, 7000000},
        {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {"__none__"}, 1},
        {0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL_CITY, {"a\"b", ""}, 4},
        {0, FIXTURE_BURST, FIXTURE_CHANNEL_CITY, {"burst", "x"}, 5},
        {0, FIXTURE_YESTERDAY, FIXTURE_CITY, {"yesterday"}, 5},
        {0, FIXTURE_TODAY, FIXTURE_CITY, {"上海"}, 6},
    };
    struct view *view = view_fixture_new(1);
    uint64_t limited = counters_get(&counters.series_limited[0]);
    char *text;

    view_fixture_add_groups(view, groups, sizeof(groups) / sizeof(groups[0]));
    text = write_text(view, EXPOSITION_TEXT);
    assert_has(text, "kpid_kpi_multiple{kpi=\"roi\",campaign=\"618 大促\",scope=\"campaign\","
                     "by_channel=\"__none__\"} 0.0035");
    assert_has(text,
               "kpid_kpi_count{kpi=\"orders_placed\",campaign=\"618 大促\",scope=\"campaign\","
               "by_channel=\"a\\\"b\",U__by___57ce__5e02_=\"__empty__\"} 4");
    assert_has(text, "kpid_kpi_numerator{kpi=\"nps\",campaign=\"618 大促\",scope=\"today\","
                     "U__by___57ce__5e02_=\"上海\"} 600");
    assert_null(strstr(text, "yesterday\"}"));
    assert_null(strstr(text, "\"burst\""));
    assert_int_equal(counters_get(&counters.series_limited[0]) - limited, 1); /* "__none__", sent */
    free(text);
    (void)view_unref(view);
}

static void test_breakdowns_have_a_bound(void **state)
{
    static struct view_fixture_group groups[METRICS_GROUP_VALUES_MAX + 5];
    static char names[METRICS_GROUP_VALUES_MAX + 5][16];
    struct view *view = view_fixture_new(1);
    uint64_t limited = counters_get(&counters.series_limited[0]);
    const char *at;
    unsigned n = 0;
    char *text;

    for (unsigned i = 0; i < METRICS_GROUP_VALUES_MAX + 5; i++) {
        snprintf(names[i], sizeof(names[i]), "v%05u", i);
        groups[i] =
            (struct view_fixture_group){0, FIXTURE_CAMPAIGN, FIXTURE_CHANNEL, {names[i]}, 5};
    }
    view_fixture_add_groups(view, groups, METRICS_GROUP_VALUES_MAX + 5);
    text = write_text(view, EXPOSITION_OPENMETRICS);
    for (at = strstr(text, "kpid_kpi_multiple{"); at; at = strstr(at + 1, "kpid_kpi_multiple{"))
        n++;
    assert_int_equal(n, METRICS_GROUP_VALUES_MAX);
    assert_int_equal(counters_get(&counters.series_limited[0]) - limited, 5);
    free(text);
    (void)view_unref(view);
}

static void test_kpis_by_unit_and_scope(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_OK, 13, 20);
    view_fixture_set(view, 0, FIXTURE_BURST, FIXTURE_ORDERS, KPI_VALUE_OK, 7, 0);
    view_fixture_set(view, 0, FIXTURE_ROLLING, FIXTURE_REVENUE, KPI_VALUE_OK, 129900000, 0);
    view_fixture_set(view, 0, FIXTURE_YESTERDAY, FIXTURE_ROI, KPI_VALUE_OK, 9000000, 2000000);
    view_fixture_set(view, 0, FIXTURE_TODAY, FIXTURE_DWELL, KPI_VALUE_OK, 1500000, 4);
    view_fixture_set(view, 0, FIXTURE_DAY, FIXTURE_DWELL, KPI_VALUE_OK, 9900000, 4);
    text = write_text(view, EXPOSITION_TEXT);
    assert_has(text, "kpid_kpi_ratio" LABELS("participation_rate", "campaign") " 0.65");
    assert_has(text, "kpid_kpi_numerator" LABELS("participation_rate", "campaign") " 13");
    assert_has(text, "kpid_kpi_denominator" LABELS("participation_rate", "campaign") " 20");
    assert_has(text, "kpid_kpi_complete_ratio" LABELS("participation_rate", "campaign") " 1");
    assert_has(text, "kpid_kpi_count" LABELS("orders_placed", "phase:burst") " 7");
    assert_null(strstr(text, "kpid_kpi_denominator" LABELS("orders_placed", "phase:burst")));
    assert_has(text, "kpid_kpi_money" LABELS("revenue_total", "rolling:7d") " 129.9");
    assert_has(text, "kpid_kpi_multiple" LABELS("roi", "day") " 4.5");
    assert_has(text, "kpid_kpi_duration_seconds" LABELS("dwell_mean", "today") " 0.375");
    assert_has(text, "kpid_kpi_complete_ratio" LABELS("dwell_mean", "today") " 0.5");
    /* Older days are in the API only: one sample, not two. */
    assert_null(
        strstr(strstr(text, "kpid_kpi_duration_seconds{") + 1, "kpid_kpi_duration_seconds{"));
    free(text);
    view_unref(view);
}

static void test_only_what_is_approximate_has_an_error(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_OK, 13, 20);
    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_DWELL, KPI_VALUE_OK, 1500000, 4);
    view->values[FIXTURE_DWELL].error = 0.01;
    text = write_text(view, EXPOSITION_TEXT);
    assert_has(text, "kpid_kpi_error_ratio" LABELS("dwell_mean", "campaign") " 0.01");
    assert_null(strstr(text, "kpid_kpi_error_ratio{kpi=\"participation_rate\""));
    free(text);
    view_unref(view);
}

static void test_undefined_is_nan_and_no_data_is_absent(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;

    view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_RATE, KPI_VALUE_UNDEFINED, 0, 0);
    text = write_text(view, EXPOSITION_TEXT);
    assert_has(text, "kpid_kpi_ratio" LABELS("participation_rate", "campaign") " NaN");
    assert_has(text, "kpid_kpi_denominator" LABELS("participation_rate", "campaign") " 0");
    assert_null(strstr(text, LABELS("participation_rate", "phase:burst")));
    assert_null(strstr(text, LABELS("roi", "campaign")));
    free(text);
    view_unref(view);
}

static void test_values_overflowed_are_counted(void **state)
{
    struct view *view = view_fixture_new(1), *next;
    struct kpi_row *rows = calloc(kpi_layout_n_rows(view->layout), sizeof(*rows));
    char *text = write_text(view, EXPOSITION_TEXT);

    assert_has(text, "kpid_kpis_overflowed 0");
    free(text);
    /* Every row of the campaign's own scope left 64 bits. */
    for (uint32_t i = 0; i < kpi_layout_scope_rows(view->layout, FIXTURE_CAMPAIGN); i++)
        rows[i] = (struct kpi_row){INT64_MAX, 2};
    next = view_of_rows(view->layout, rows, view->as_of);
    text = write_text(next, EXPOSITION_TEXT);
    assert_has(text, "kpid_kpis_overflowed 6"); /* one of each unit */
    assert_has(text, "kpid_kpi_money" LABELS("revenue_total", "campaign") " NaN");
    assert_null(strstr(text, "kpid_kpi_numerator" LABELS("revenue_total", "campaign")));
    free(text);
    free(rows);
    view_unref(view);
    view_unref(next);
}

static void test_alert_states(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text;

    view->alerts[1].alert.status = KPI_ALERT_FIRING;
    view->alerts[1].alert.level = KPI_LEVEL_SERIOUS;
    text = write_text(view, EXPOSITION_OPENMETRICS);
    assert_has(text, "# TYPE kpid_alert_state stateset");
    assert_has(text, "kpid_alert_state{campaign=\"618 大促\",kpi=\"participation_rate\","
                     "scope=\"campaign\",better=\"up\",kpid_alert_state=\"ok\"} 1");
    assert_has(text, "kpid_alert_state{campaign=\"618 大促\",kpi=\"roi\",scope=\"phase:burst\","
                     "better=\"band\",kpid_alert_state=\"ok\"} 0");
    assert_has(text, "kpid_alert_state{campaign=\"618 大促\",kpi=\"roi\",scope=\"phase:burst\","
                     "better=\"band\",kpid_alert_state=\"firing\"} 1");
    assert_has(text, "kpid_alert_level{campaign=\"618 大促\",kpi=\"roi\",scope=\"phase:burst\","
                     "better=\"band\"} 2");
    free(text);
    view_unref(view);
}

static void test_shards_are_shown_by_their_owner(void **state)
{
    struct view *view = view_fixture_new(1);
    char *text = write_text(view, EXPOSITION_TEXT);

    assert_has(text, "kpid_users{shard=\"0\"} 300");
    assert_has(text, "kpid_checkpoint_unsaved_records{shard=\"0\"} 42");
    assert_has(text, "kpid_checkpoint_saved_timestamp_seconds{shard=\"0\"} 1794369595");
    assert_has(text, "kpid_dedupe_window_seconds{shard=\"0\"} 86400");
    assert_null(strstr(text, "shard=\"1\""));
    assert_has(text, "kpid_consumer_lag_records{topic=\"app\",partition=\"0\"} 0");
    assert_null(strstr(text, "partition=\"1\"")); /* unknown is no number */
    free(text);
    view_unref(view);
}

static void test_counters_begin_at_zero_for_every_label(void **state)
{
    char *text = write_text(NULL, EXPOSITION_TEXT), line[128];

    for (int reason = KPI_REFUSAL_NONE + 1; reason < KPI_REFUSAL_COUNT; reason++) {
        if (reason == KPI_REFUSAL_SKIPPED)
            continue; /* a result, not a reason */
        snprintf(line, sizeof(line), "kpid_events_refused_total{reason=\"%s\"} 0",
                 kpi_refusal_name((enum kpi_refusal)reason));
        assert_has(text, line);
    }
    assert_has(text, "kpid_events_total{result=\"applied\"} 0");
    assert_has(text, "kpid_events_total{result=\"duplicate\"} 0");
    assert_has(text, "kpid_events_total{result=\"conflict\"} 0");
    assert_has(text, "kpid_events_total{result=\"refused\"} 0");
    assert_has(text, "kpid_events_total{result=\"skipped\"} 0");
    assert_has(text, "kpid_log_messages_total{level=\"error\"} 0");
    free(text);
}

static void test_counters_count(void **state)
{
    char *text;

    counters_add(&counters.events[COUNTERS_RESULT_DUPLICATE], 3);
    counters_observe(&counters.checkpoint_pause, 2500);
    counters_observe(&counters.checkpoint_pause, 2501);
    counters_observe(&counters.checkpoint_pause, 60 * 1000000);
    text = write_text(NULL, EXPOSITION_TEXT);
    assert_has(text, "kpid_events_total{result=\"duplicate\"} 3");
    assert_has(text, "kpid_checkpoint_pause_seconds_bucket{le=\"0.001\"} 0");
    assert_has(text, "kpid_checkpoint_pause_seconds_bucket{le=\"0.0025\"} 1");
    assert_has(text, "kpid_checkpoint_pause_seconds_bucket{le=\"0.005\"} 2");
    assert_has(text, "kpid_checkpoint_pause_seconds_bucket{le=\"5.0\"} 2");
    assert_has(text, "kpid_checkpoint_pause_seconds_bucket{le=\"+Inf\"} 3");
    assert_has(text, "kpid_checkpoint_pause_seconds_count 3");
    assert_has(text, "kpid_checkpoint_pause_seconds_sum 60.005001");
    free(text);
    memset(&counters, 0, sizeof(counters)); /* as the other tests expect it */
}

static void test_without_a_view_kpid_still_tells_of_itself(void **state)
{
    char *text = write_text(NULL, EXPOSITION_TEXT);

    assert_has(text, "kpid_view_complete 0");
    assert_has(text, "kpid_leader 0");
    assert_has(text, "kpid_redis_up 1");
    assert_has(text, "kpid_kafka_up 1");
    assert_has(text, "kpid_config_last_reload_successful 1");
    assert_has(text, "kpid_notifications_total{receiver=\"on-call\"} 6");
    assert_has(text, "kpid_notifications_total{receiver=\"boss \\\"B\\\"\"} 0");
    assert_non_null(strstr(text, "kpid_build_info{version=\"0.1.0\",revision=\"abc1234\","));
    assert_non_null(strstr(text, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(text, "\nprocess_open_fds "));
    assert_has(text, "process_start_time_seconds 1794366000");
    assert_null(strstr(text, "kpid_kpi_"));
    free(text);
}

static void test_the_limit_cuts_kpis_and_counts(void **state)
{
    struct view *view = view_fixture_new(400); /* 400 × 6 scopes × 6 KPIs × 4 families */
    uint64_t before = counters_get(counters.series_limited);
    unsigned n_samples = 0;
    char *text;

    for (uint32_t campaign = 0; campaign < 400; campaign++) {
        for (int scope = 0; scope < FIXTURE_SCOPES; scope++) {
            for (int kpi = 0; kpi < FIXTURE_KPIS; kpi++)
                view_fixture_set(view, campaign, (enum view_fixture_scope)scope,
                                 (enum view_fixture_kpi)kpi, KPI_VALUE_OK, 1, 2);
        }
    }
    text = write_text(view, EXPOSITION_TEXT);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        n_samples += *line != '#';
    assert_int_equal(n_samples, METRICS_SAMPLES_MAX);
    assert_true(counters_get(counters.series_limited) > before);
    assert_has(text, "kpid_view_complete 1");
    free(text);
    view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_begin_at_zero_for_every_label),
        cmocka_unit_test(test_counters_count),
        cmocka_unit_test(test_kpis_by_unit_and_scope),
        cmocka_unit_test(test_breakdowns),
        cmocka_unit_test(test_breakdowns_have_a_bound),
        cmocka_unit_test(test_only_what_is_approximate_has_an_error),
        cmocka_unit_test(test_undefined_is_nan_and_no_data_is_absent),
        cmocka_unit_test(test_values_overflowed_are_counted),
        cmocka_unit_test(test_alert_states),
        cmocka_unit_test(test_shards_are_shown_by_their_owner),
        cmocka_unit_test(test_without_a_view_kpid_still_tells_of_itself),
        cmocka_unit_test(test_the_limit_cuts_kpis_and_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
