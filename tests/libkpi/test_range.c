/*
 * Claims about what a leaf is compared with: which days previous(), before(), last_year(),
 * of_campaign() and cumulative() mean, worked by hand on the calendar, and when there are none.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <spec/calendar.h>
#include <spec/program.h>

static struct fixture f;
static struct kpi_plan *plan;

/* Campaign 0 has the phases early [0, 3) and late [7, 9); campaign 1 starts 100 days before and has
 * late [5, 6) only. */
static int setup(void **state)
{
    static struct kpi_phase_definition late;
    struct kpi_campaign_definition *campaign;

    fixture_init(&f);
    fixture_kpis_of_the_product(&f);
    f.phases[0] = (struct kpi_phase_definition){TEXT("early"), DAY_2026_11_01, DAY_2026_11_01 + 3};
    f.phases[1] =
        (struct kpi_phase_definition){TEXT("late"), DAY_2026_11_01 + 7, DAY_2026_11_01 + 9};
    late = (struct kpi_phase_definition){TEXT("late"), DAY_2026_11_01 - 95, DAY_2026_11_01 - 94};
    campaign = fixture_campaign(&f, "now", 2);
    campaign->start_day = DAY_2026_11_01;
    campaign->end_day = DAY_2026_11_01 + 10;
    campaign->phases = f.phases;
    campaign->n_phases = 2;
    campaign = fixture_campaign(&f, "then", 1);
    campaign->start_day = DAY_2026_11_01 - 100;
    campaign->end_day = DAY_2026_11_01 - 70;
    campaign->phases = &late;
    campaign->n_phases = 1;
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return 0;
}

static int teardown(void **state)
{
    plan = kpi_plan_unref(plan);
    return f.mem.bytes == 0 ? 0 : -1;
}

static kpi_day date(int64_t year, unsigned month, unsigned day)
{
    return kpi_month_start(year * 12 + month - 1) + (kpi_day)day - 1;
}

struct range {
    bool found;
    struct kpi_range range;
};

static struct range shifted(enum kpi_shift_kind kind, uint32_t n, struct kpi_scope scope)
{
    const struct kpi_leaf leaf = {.shift = {kind, n}};
    struct range range = {.found = false};

    range.found = kpi_leaf_range(plan, &scope, &leaf, &range.range);
    return range;
}

static void assert_range(struct range range, uint32_t campaign, kpi_day start, kpi_day end)
{
    assert_true(range.found);
    assert_int_equal(range.range.campaign, campaign);
    assert_int_equal(range.range.start_day, start);
    assert_int_equal(range.range.end_day, end);
}

static struct kpi_scope days(enum kpi_scope_kind kind, kpi_day start, kpi_day end)
{
    return (struct kpi_scope){
        .kind = kind,
        .unit = kind == KPI_SCOPE_ROLLING ? KPI_SCOPE_DAY : kind,
        .count = kind == KPI_SCOPE_ROLLING ? (uint32_t)(end - start) : 1,
        .start_day = start,
        .end_day = end,
    };
}

static struct kpi_scope one_day(int64_t year, unsigned month, unsigned day)
{
    return days(KPI_SCOPE_DAY, date(year, month, day), date(year, month, day) + 1);
}

static void a_scope_is_its_own_range(void **state)
{
    assert_range(shifted(KPI_SHIFT_NONE, 0, one_day(2026, 11, 3)), 0, date(2026, 11, 3),
                 date(2026, 11, 4));
}

static void previous_periods_are_as_long(void **state)
{
    struct kpi_scope week = days(KPI_SCOPE_ROLLING, date(2026, 11, 3), date(2026, 11, 10));

    assert_range(shifted(KPI_SHIFT_PREVIOUS, 1, one_day(2026, 11, 1)), 0, date(2026, 10, 31),
                 date(2026, 11, 1));
    assert_range(shifted(KPI_SHIFT_PREVIOUS, 1, week), 0, date(2026, 10, 27), date(2026, 11, 3));
    assert_range(shifted(KPI_SHIFT_PREVIOUS, 3, week), 0, date(2026, 10, 13), date(2026, 10, 20));
}

/* Of the scope, or of what it is compared with, only the end matters. */
static void trailing_days_end_with_the_scope(void **state)
{
    const struct kpi_leaf week = {.trailing = 7},
                          week_before = {.trailing = 7, .shift = {KPI_SHIFT_PREVIOUS, 2}};
    const struct kpi_scope day = one_day(2026, 11, 3),
                           month = days(KPI_SCOPE_MONTH, date(2026, 3, 1), date(2026, 4, 1));
    struct range range = {.found = false};

    range.found = kpi_leaf_range(plan, &day, &week, &range.range);
    assert_range(range, 0, date(2026, 10, 28), date(2026, 11, 4));
    range.found = kpi_leaf_range(plan, &day, &week_before, &range.range);
    assert_range(range, 0, date(2026, 10, 26), date(2026, 11, 2));
    range.found = kpi_leaf_range(plan, &month, &week, &range.range);
    assert_range(range, 0, date(2026, 3, 25), date(2026, 4, 1));
}

/* Calendar periods are as long as the calendar has them. */
static void previous_months_and_quarters(void **state)
{
    struct kpi_scope march = days(KPI_SCOPE_MONTH, date(2026, 3, 1), date(2026, 4, 1));
    struct kpi_scope rolling = days(KPI_SCOPE_ROLLING, date(2026, 2, 1), date(2026, 4, 1));

    assert_range(shifted(KPI_SHIFT_PREVIOUS, 1, march), 0, date(2026, 2, 1), date(2026, 3, 1));
    assert_range(shifted(KPI_SHIFT_PREVIOUS, 12, march), 0, date(2025, 3, 1), date(2025, 4, 1));
    rolling.unit = KPI_SCOPE_MONTH;
    rolling.count = 2;
    assert_range(shifted(KPI_SHIFT_PREVIOUS, 1, rolling), 0, date(2025, 12, 1), date(2026, 2, 1));
    assert_range(
        shifted(KPI_SHIFT_PREVIOUS, 1, days(KPI_SCOPE_QUARTER, date(2026, 1, 1), date(2026, 4, 1))),
        0, date(2025, 10, 1), date(2026, 1, 1));
}

/* Campaign 1 is in Berlin: 29 March 2026 has 23 hours. */
static void previous_windows_over_summer_time(void **state)
{
    struct kpi_scope scope = {.kind = KPI_SCOPE_MINUTES,
                              .unit = KPI_SCOPE_MINUTES,
                              .count = 1,
                              .minutes = 60,
                              .campaign = 1,
                              .start_day = DAY_2026_03_29 + 1,
                              .end_day = DAY_2026_03_29 + 1,
                              .end_minute = 60};
    struct range range = shifted(KPI_SHIFT_PREVIOUS, 1, scope);

    assert_true(range.found);
    assert_int_equal(range.range.start_day, DAY_2026_03_29);
    assert_int_equal(range.range.start_minute, 22 * 60);
    assert_int_equal(range.range.end_day, DAY_2026_03_29 + 1);
    assert_int_equal(range.range.end_minute, 0);
    range = shifted(KPI_SHIFT_PREVIOUS, 24, scope);
    assert_int_equal(range.range.start_day, DAY_2026_03_29 - 1);
    assert_int_equal(range.range.start_minute, 23 * 60);
}

static void before_is_before_the_campaign(void **state)
{
    assert_range(shifted(KPI_SHIFT_BEFORE, 28, one_day(2026, 11, 5)), 0, date(2026, 10, 4),
                 date(2026, 11, 1));
}

static void cumulative_begins_with_the_campaign(void **state)
{
    assert_range(shifted(KPI_SHIFT_CUMULATIVE, 0, one_day(2026, 11, 5)), 0, date(2026, 11, 1),
                 date(2026, 11, 6));
    assert_false(shifted(KPI_SHIFT_CUMULATIVE, 0, one_day(2026, 10, 20)).found);
}

static void other_campaigns_by_their_parts(void **state)
{
    struct kpi_scope scope = days(KPI_SCOPE_CAMPAIGN, DAY_2026_11_01, DAY_2026_11_01 + 10);

    assert_range(shifted(KPI_SHIFT_CAMPAIGN, 1, scope), 1, DAY_2026_11_01 - 100,
                 DAY_2026_11_01 - 70);
    scope = days(KPI_SCOPE_PHASE, DAY_2026_11_01 + 7, DAY_2026_11_01 + 9);
    scope.phase = 1;
    assert_range(shifted(KPI_SHIFT_CAMPAIGN, 1, scope), 1, DAY_2026_11_01 - 95,
                 DAY_2026_11_01 - 94);
    scope.phase = 0; /* which the other one has not */
    assert_false(shifted(KPI_SHIFT_CAMPAIGN, 1, scope).found);
    assert_range(shifted(KPI_SHIFT_CAMPAIGN, 1, one_day(2026, 11, 4)), 1, DAY_2026_11_01 - 97,
                 DAY_2026_11_01 - 96);
}

static void last_year_by_date(void **state)
{
    struct kpi_scope month = days(KPI_SCOPE_ROLLING, date(2024, 2, 1), date(2024, 3, 1));

    assert_range(shifted(KPI_SHIFT_YEAR_DATE, 0, one_day(2026, 11, 11)), 0, date(2025, 11, 11),
                 date(2025, 11, 12));
    assert_range(shifted(KPI_SHIFT_YEAR_DATE, 0, one_day(2024, 2, 29)), 0, date(2023, 2, 28),
                 date(2023, 3, 1));
    assert_range(shifted(KPI_SHIFT_YEAR_DATE, 0, one_day(2024, 2, 28)), 0, date(2023, 2, 28),
                 date(2023, 3, 1));
    assert_range(shifted(KPI_SHIFT_YEAR_DATE, 0, month), 0, date(2023, 2, 1), date(2023, 3, 1));
    assert_range(shifted(KPI_SHIFT_YEAR_DATE, 0, one_day(2025, 3, 1)), 0, date(2024, 3, 1),
                 date(2024, 3, 2));
}

static void last_year_by_weekday(void **state)
{
    /* 11 November 2026 and 12 November 2025 are Wednesdays. */
    assert_range(shifted(KPI_SHIFT_YEAR_WEEKDAY, 0, one_day(2026, 11, 11)), 0, date(2025, 11, 12),
                 date(2025, 11, 13));
}

static void last_year_by_lunar_new_year(void **state)
{
    /* New years: 17 February 2026, 29 January 2025, 10 February 2024. */
    assert_range(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2026, 2, 17)), 0, date(2025, 1, 29),
                 date(2025, 1, 30));
    /* Ten days before the one are compared with ten days before the other. */
    assert_range(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2026, 2, 7)), 0, date(2025, 1, 19),
                 date(2025, 1, 20));
    assert_range(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2025, 12, 31)), 0, date(2024, 12, 12),
                 date(2024, 12, 13));
    assert_range(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2025, 3, 1)), 0, date(2024, 3, 12),
                 date(2024, 3, 13));
    assert_false(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2015, 3, 1)).found);
    assert_false(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2014, 12, 1)).found);
    assert_true(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2050, 12, 31)).found);
    assert_false(shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(2051, 1, 1)).found);
}

/* Lunar years have 12 or 13 months of 29 or 30 days: 353 to 355 or 383 to 385 days. */
static void lunar_years_have_whole_months(void **state)
{
    for (int64_t year = 2016; year <= 2050; ++year) {
        struct range range = shifted(KPI_SHIFT_YEAR_LUNAR, 0, one_day(year, 2, 5));
        kpi_day length = date(year, 2, 5) - range.range.start_day;

        assert_true(range.found);
        assert_true((length >= 353 && length <= 355) || (length >= 383 && length <= 385));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_scope_is_its_own_range, setup, teardown),
        cmocka_unit_test_setup_teardown(previous_periods_are_as_long, setup, teardown),
        cmocka_unit_test_setup_teardown(previous_months_and_quarters, setup, teardown),
        cmocka_unit_test_setup_teardown(previous_windows_over_summer_time, setup, teardown),
        cmocka_unit_test_setup_teardown(trailing_days_end_with_the_scope, setup, teardown),
        cmocka_unit_test_setup_teardown(before_is_before_the_campaign, setup, teardown),
        cmocka_unit_test_setup_teardown(cumulative_begins_with_the_campaign, setup, teardown),
        cmocka_unit_test_setup_teardown(other_campaigns_by_their_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(last_year_by_date, setup, teardown),
        cmocka_unit_test_setup_teardown(last_year_by_weekday, setup, teardown),
        cmocka_unit_test_setup_teardown(last_year_by_lunar_new_year, setup, teardown),
        cmocka_unit_test_setup_teardown(lunar_years_have_whole_months, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
