/*
 * Claims about calendars and layouts: which day an instant is, also where summer time begins and
 * ends; which scopes there are at a moment, and when they change; cohort periods.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/report.h>
#include <spec/program.h>

static struct fixture f;

static int setup(void **state)
{
    fixture_init(&f);
    fixture_measure(&f, "m", "users", "");
    fixture_measure(&f, "n", "count", "type == 'n'");
    fixture_kpi(&f, "k", "m / n", KPI_UNIT_RATIO);
    fixture_kpi(&f, "r", "retained(m, m, day, 1)", KPI_UNIT_RATIO);
    return 0;
}

static struct kpi_layout *layout_at(struct kpi_plan *plan, kpi_time as_of)
{
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, plan, as_of, &f.mem.mem), 0);
    return layout;
}

static void days_begin_at_local_midnight(void **state)
{
    const struct kpi_zone *shanghai = &f.zones[2];
    kpi_day day = DAY_2026_11_01;
    kpi_time midnight = day * KPI_DAY - 8 * KPI_HOUR;

    assert_int_equal(kpi_zone_day(shanghai, midnight), day);
    assert_int_equal(kpi_zone_day(shanghai, midnight - 1), day - 1);
    assert_int_equal(kpi_zone_day(shanghai, midnight + KPI_DAY - 1), day);
    assert_int_equal(kpi_zone_day_start(shanghai, day), midnight);
}

static void days_of_summer_time_have_23_and_25_hours(void **state)
{
    const struct kpi_zone *berlin = &f.zones[1];
    static const struct {
        kpi_day day;
        int hours;
    } table[] = {
        {DAY_2026_03_29 - 1, 24}, {DAY_2026_03_29, 23}, {DAY_2026_03_29 + 1, 24},
        {DAY_2026_10_25 - 1, 24}, {DAY_2026_10_25, 25}, {DAY_2026_10_25 + 1, 24},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        kpi_time start = kpi_zone_day_start(berlin, table[i].day);
        kpi_time end = kpi_zone_day_start(berlin, table[i].day + 1);

        assert_int_equal(end - start, table[i].hours * KPI_HOUR);
        assert_int_equal(kpi_zone_day(berlin, start), table[i].day);
        assert_int_equal(kpi_zone_day(berlin, end - 1), table[i].day);
        assert_int_equal(kpi_zone_day(berlin, start - 1), table[i].day - 1);
        assert_int_equal(kpi_zone_day(berlin, end), table[i].day + 1);
    }
}

static void every_hour_of_a_calendar_has_its_day(void **state)
{
    for (int zone = 0; zone < 3; ++zone) {
        kpi_day expected = DAY_2026_01_01 - 1;

        for (kpi_time t = f.starts[zone][0]; t < f.starts[zone][CALENDAR_DAYS]; t += KPI_HOUR) {
            if (t >= f.starts[zone][expected - (DAY_2026_01_01 - 1) + 1])
                ++expected;
            assert_int_equal(kpi_zone_day(&f.zones[zone], t), expected);
        }
    }
}

/* A zone that crosses the date line has lost or doubled days; the table says what holds. */
static void an_uneven_calendar_is_believed(void **state)
{
    static const kpi_time starts[] = {0, 1, KPI_DAY, 10 * KPI_DAY, 10 * KPI_DAY + 2};
    const struct kpi_zone zone = {KPI_STRING("odd"), 100, 4, starts};

    assert_int_equal(kpi_zone_day(&zone, 0), 100);
    assert_int_equal(kpi_zone_day(&zone, 1), 101);
    assert_int_equal(kpi_zone_day(&zone, KPI_DAY - 1), 101);
    assert_int_equal(kpi_zone_day(&zone, 9 * KPI_DAY), 102);
    assert_int_equal(kpi_zone_day(&zone, 10 * KPI_DAY + 1), 103);
}

static void beyond_the_calendar_is_said(void **state)
{
    const struct kpi_zone *zone = &f.zones[0];
    kpi_time first = f.starts[0][0], end = f.starts[0][CALENDAR_DAYS];

    assert_int_equal(kpi_zone_day(zone, first - 1), INT32_MIN);
    assert_int_equal(kpi_zone_day(zone, end), INT32_MIN);
    assert_int_equal(kpi_zone_day(zone, KPI_TIME_NONE), INT32_MIN);
    assert_int_equal(kpi_zone_day(zone, INT64_MAX), INT32_MIN);
    assert_int_equal(kpi_zone_day_start(zone, INT32_MIN), first);
    assert_int_equal(kpi_zone_day_start(zone, INT32_MAX), end);
    assert_int_equal(kpi_zone_day_start(zone, DAY_2026_01_01 - 1 + CALENDAR_DAYS), end);
}

static void periods(void **state)
{
    kpi_day monday = DAY_2026_11_01 + 1; /* 2026-11-01 is a Sunday */

    assert_int_equal(kpi_period_start(KPI_BASIS_DAY, 0, monday), monday);
    assert_int_equal(kpi_period_next(KPI_BASIS_DAY, monday, 3), monday + 3);
    for (int i = 0; i < 7; ++i) {
        assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 0, monday + i), monday);
        assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 6, monday - 1 + i), monday - 1);
        assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 3, monday + 3 + i), monday + 3);
    }
    assert_int_equal(kpi_period_next(KPI_BASIS_WEEK, monday, 2), monday + 14);
    assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, DAY_2026_11_01 + 29), DAY_2026_11_01);
    assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, DAY_2026_11_01 - 1), DAY_2026_11_01 - 31);
    assert_int_equal(kpi_period_next(KPI_BASIS_MONTH, DAY_2026_01_01, 10), DAY_2026_11_01);
    assert_int_equal(kpi_period_next(KPI_BASIS_MONTH, DAY_2026_11_01, 3), DAY_2026_11_01 + 92);
    /* before 1970 and across leap years: 1960-01-01, 2000-02-29, 2100-03-01 */
    assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 0, -1), -3);
    assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 0, -10), -10);
    assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 0, -11), -17);
    assert_int_equal(kpi_period_start(KPI_BASIS_WEEK, 6, -15), -18);
    assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, -3653 + 30), -3653);
    assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, 11016), 11016 - 28);
    assert_int_equal(kpi_period_next(KPI_BASIS_MONTH, 11016 - 28, 1), 11017);
    assert_int_equal(kpi_period_next(KPI_BASIS_MONTH, 47541 - 28, 1), 47541);
    assert_int_equal(kpi_period_start(KPI_BASIS_QUARTER, 0, DAY_2026_11_01), DAY_2026_11_01 - 31);
    assert_int_equal(kpi_period_start(KPI_BASIS_QUARTER, 0, DAY_2026_03_29), DAY_2026_01_01);
    assert_int_equal(kpi_period_next(KPI_BASIS_QUARTER, DAY_2026_01_01, 3), DAY_2026_11_01 - 31);
    assert_int_equal(kpi_period_next(KPI_BASIS_QUARTER, DAY_2026_01_01, -1), DAY_2026_01_01 - 92);
    assert_int_equal(kpi_period_start(KPI_BASIS_YEAR, 0, DAY_2026_11_01), DAY_2026_01_01);
    assert_int_equal(kpi_period_next(KPI_BASIS_YEAR, DAY_2026_01_01, 3), DAY_2026_01_01 + 1096);
    assert_int_equal(kpi_period_next(KPI_BASIS_YEAR, DAY_2026_01_01, -2), DAY_2026_01_01 - 731);
    assert_int_equal(kpi_period_next(KPI_BASIS_WEEK, monday, -2), monday - 14);
}

/* Each month begins where the one before it has ended, over four centuries. */
static void months_follow_each_other(void **state)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    kpi_day day = -25567; /* 1900-01-01 */

    for (int year = 1900; year < 2300; ++year) {
        for (int month = 0; month < 12; ++month) {
            bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            kpi_day next = day + lengths[month] + (month == 1 && leap);

            assert_int_equal(kpi_period_next(KPI_BASIS_MONTH, day, 1), next);
            assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, next - 1), day);
            assert_int_equal(kpi_period_start(KPI_BASIS_MONTH, 0, day), day);
            day = next;
        }
    }
}

static void scopes_stand_in_their_order(void **state)
{
    struct kpi_campaign_definition *campaign = fixture_campaign(&f, "a", 2);
    kpi_day day = DAY_2026_11_01;
    struct kpi_layout *layout;
    struct kpi_plan *plan;
    const struct kpi_scope *scope;
    kpi_time as_of = (day + 2) * KPI_DAY; /* 08:00 of the third day in Shanghai */

    campaign->phases = f.phases;
    campaign->n_phases = 2;
    f.phases[0] = (struct kpi_phase_definition){TEXT("warmup"), day - 7, day};
    f.phases[1] = (struct kpi_phase_definition){TEXT("settle"), day + 30, day + 37};
    (void)fixture_campaign(&f, "b", 0);
    plan = fixture_plan(&f);
    layout = layout_at(plan, as_of);
    assert_ptr_equal(kpi_layout_plan(layout), plan);
    assert_int_equal(kpi_layout_n_scopes(layout), (1 + 2 + 2 + 10) + (1 + 2 + 3));
    assert_int_equal(kpi_layout_scope_rows(layout, 0), 5);
    assert_int_equal(kpi_layout_n_rows(layout), 5 * 21 + 6); /* and a start of each instance */

    scope = kpi_layout_scope(layout, 0);
    assert_int_equal(scope->kind, KPI_SCOPE_CAMPAIGN);
    assert_int_equal(scope->start_day, day);
    assert_int_equal(scope->end_day, day + 30);
    assert_int_equal(scope->start, day * KPI_DAY - 8 * KPI_HOUR);
    assert_int_equal(scope->end, (day + 30) * KPI_DAY - 8 * KPI_HOUR);
    scope = kpi_layout_scope(layout, 2);
    assert_int_equal(scope->kind, KPI_SCOPE_PHASE);
    assert_int_equal(scope->phase, 1);
    assert_int_equal(scope->start_day, day + 30);
    scope = kpi_layout_scope(layout, 3);
    assert_int_equal(scope->kind, KPI_SCOPE_ROLLING);
    assert_int_equal(scope->count, 7);
    assert_int_equal(scope->start_day, day + 2 - 6);
    assert_int_equal(scope->end_day, day + 3);
    assert_int_equal(kpi_layout_scope(layout, 4)->count, 30);
    for (int i = 0; i < 10; ++i) {
        scope = kpi_layout_scope(layout, (uint32_t)(5 + i));
        assert_int_equal(scope->kind, KPI_SCOPE_DAY);
        assert_int_equal(scope->start_day, day - 7 + i);
        assert_int_equal(scope->end_day, day - 7 + i + 1);
        assert_int_equal(scope->campaign, 0);
        assert_int_equal(scope->start, (day - 7 + i) * KPI_DAY - 8 * KPI_HOUR);
    }
    assert_int_equal(kpi_layout_scope(layout, 15)->campaign, 1);
    assert_int_equal(kpi_layout_scope(layout, 15)->start, day * KPI_DAY);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

static uint32_t n_day_scopes(const struct kpi_layout *layout)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); ++i)
        n += kpi_layout_scope(layout, i)->kind == KPI_SCOPE_DAY;
    return n;
}

static void days_come_one_by_one_and_end_with_the_campaign(void **state)
{
    kpi_day day = DAY_2026_11_01;
    const struct {
        kpi_time as_of;
        uint32_t n_days;
    } table[] = {
        {f.starts[2][0] - KPI_DAY, 0}, /* before the calendar */
        {day * KPI_DAY - 8 * KPI_HOUR - 1, 0},
        {day * KPI_DAY - 8 * KPI_HOUR, 1},
        {(day + 1) * KPI_DAY - 8 * KPI_HOUR - 1, 1},
        {(day + 1) * KPI_DAY - 8 * KPI_HOUR, 2},
        {(day + 29) * KPI_DAY, 30},
        {(day + 30) * KPI_DAY, 30}, /* the day behind the last */
        {(day + 300) * KPI_DAY, 30},
        {f.starts[2][CALENDAR_DAYS] + KPI_DAY, 30}, /* behind the calendar */
    };
    struct kpi_plan *plan;

    (void)fixture_campaign(&f, "a", 2);
    plan = fixture_plan(&f);
    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_layout *layout = layout_at(plan, table[i].as_of);

        assert_int_equal(n_day_scopes(layout), table[i].n_days);
        assert_true(kpi_layout_current(layout, table[i].as_of));
        kpi_layout_unref(layout);
    }
    kpi_plan_unref(plan);
}

/* A layout is current exactly until another one would be made. */
static void a_layout_is_current_until_a_zone_begins_a_day(void **state)
{
    kpi_time as_of = DAY_2026_10_25 * KPI_DAY + 12 * KPI_HOUR;
    struct kpi_layout *layout;
    struct kpi_plan *plan;

    f.campaigns[0] = *fixture_campaign(&f, "a", 1);
    (void)fixture_campaign(&f, "b", 2);
    f.campaigns[0].start_day = f.campaigns[1].start_day = DAY_2026_10_25 - 20;
    plan = fixture_plan(&f);
    layout = layout_at(plan, as_of);
    for (kpi_time t = as_of - 3 * KPI_DAY; t < as_of + 3 * KPI_DAY; t += 10 * KPI_MINUTE) {
        struct kpi_layout *other = layout_at(plan, t);

        assert_int_equal(kpi_layout_current(layout, t),
                         kpi_layout_fingerprint(other) == kpi_layout_fingerprint(layout));
        kpi_layout_unref(other);
    }
    /* Shanghai goes to bed first, 16:00 UTC; Berlin began its day at 22:00 UTC */
    assert_true(kpi_layout_current(layout, DAY_2026_10_25 * KPI_DAY + 16 * KPI_HOUR - 1));
    assert_false(kpi_layout_current(layout, DAY_2026_10_25 * KPI_DAY + 16 * KPI_HOUR));
    assert_true(kpi_layout_current(layout, DAY_2026_10_25 * KPI_DAY - 2 * KPI_HOUR));
    assert_false(kpi_layout_current(layout, DAY_2026_10_25 * KPI_DAY - 2 * KPI_HOUR - 1));
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
}

/* With windows, too: also on days of 23 and 25 hours, and while one of the campaigns is not on. */
static void a_layout_is_current_until_a_window_begins(void **state)
{
    static const struct kpi_text by_6h[] = {{"day", 3, 0}, {"6h", 2, 0}};
    static const struct kpi_text last_90m[] = {{"3x30m", 5, 0}};
    static const kpi_day days[] = {DAY_2026_03_29, DAY_2026_10_25};

    (void)fixture_campaign(&f, "a", 1);
    (void)fixture_campaign(&f, "b", 2);
    f.in.n_kpis = 1;
    for (size_t i = 0; i < COUNT_OF(days); ++i) {
        struct kpi_plan *plan;

        f.kpis[0].grains = by_6h;
        f.kpis[0].n_grains = 2;
        f.kpis[0].rolling = i == 0 ? last_90m : NULL;
        f.kpis[0].n_rolling = i == 0;
        f.campaigns[0].start_day = days[i] - 20;
        f.campaigns[0].end_day = days[i] + 20;
        f.campaigns[1].start_day = days[i] + 1;
        f.campaigns[1].end_day = days[i] + 2;
        plan = fixture_plan(&f);
        assert_non_null(plan);
        for (int k = -2; k < 3; ++k) {
            kpi_time as_of = days[i] * KPI_DAY + k * 9 * KPI_HOUR + 5 * KPI_MINUTE;
            struct kpi_layout *layout = layout_at(plan, as_of);

            for (kpi_time t = as_of - KPI_DAY; t < as_of + KPI_DAY; t += 5 * KPI_MINUTE) {
                struct kpi_layout *other = layout_at(plan, t);

                assert_int_equal(kpi_layout_current(layout, t),
                                 kpi_layout_fingerprint(other) == kpi_layout_fingerprint(layout));
                kpi_layout_unref(other);
            }
            kpi_layout_unref(layout);
        }
        kpi_plan_unref(plan);
    }
}

static uint32_t n_scopes_of(const struct kpi_layout *layout, enum kpi_scope_kind kind,
                            const struct kpi_scope **ret_last)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); ++i) {
        if (kpi_layout_scope(layout, i)->kind != kind)
            continue;
        *ret_last = kpi_layout_scope(layout, i);
        ++n;
    }
    return n;
}

/* Whole periods of the calendar, as many as touch the campaign and have begun. */
static void longer_periods_touch_the_campaign(void **state)
{
    static const struct kpi_text grains[] = {
        {"week", 4, 0}, {"month", 5, 0}, {"quarter", 7, 0}, {"year", 4, 0}};
    static const struct {
        kpi_day as_of;
        uint32_t weeks, months, quarters, years;
    } table[] = {
        {DAY_2026_11_01 - 1, 0, 0, 0, 0}, /* a Saturday: the campaign has not begun */
        {DAY_2026_11_01, 1, 1, 1, 1},     /* its first day is a Sunday */
        {DAY_2026_11_01 + 1, 2, 1, 1, 1},   {DAY_2026_11_01 + 29, 6, 1, 1, 1},
        {DAY_2026_11_01 + 30, 6, 2, 1, 1},  {DAY_2026_11_01 + 61, 10, 3, 2, 2},
        {DAY_2026_11_01 + 62, 10, 3, 2, 2}, /* over */
        {DAY_2026_11_01 + 99, 10, 3, 2, 2},
    };
    struct kpi_campaign_definition *campaign = fixture_campaign(&f, "a", 0);
    struct kpi_plan *plan;

    campaign->end_day = DAY_2026_11_01 + 62; /* 2027-01-02 */
    f.in.grains = grains;
    f.in.n_grains = COUNT_OF(grains);
    plan = fixture_plan(&f);
    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_layout *layout = layout_at(plan, table[i].as_of * KPI_DAY + KPI_HOUR);
        const struct kpi_scope *last = NULL;

        assert_int_equal(n_scopes_of(layout, KPI_SCOPE_WEEK, &last), table[i].weeks);
        assert_int_equal(n_scopes_of(layout, KPI_SCOPE_MONTH, &last), table[i].months);
        assert_int_equal(n_scopes_of(layout, KPI_SCOPE_QUARTER, &last), table[i].quarters);
        assert_int_equal(n_scopes_of(layout, KPI_SCOPE_YEAR, &last), table[i].years);
        assert_int_equal(n_day_scopes(layout), 0);
        if (i == 1) { /* the year, whole */
            assert_int_equal(last->start_day, DAY_2026_01_01);
            assert_int_equal(last->end_day, DAY_2026_01_01 + 365);
        }
        kpi_layout_unref(layout);
    }
    kpi_plan_unref(plan);
}

/* Windows are there for today and yesterday, as far as these are days of the campaign. */
static void windows_are_those_of_today_and_yesterday(void **state)
{
    static const struct kpi_text hours[] = {{"hour", 4, 0}};
    static const struct {
        kpi_time as_of;
        uint32_t n;
    } table[] = {
        {DAY_2026_10_25 * KPI_DAY - 3 * KPI_HOUR, 0},
        {DAY_2026_10_25 * KPI_DAY - 2 * KPI_HOUR, 1}, /* the first day of the campaign begins */
        {DAY_2026_10_25 * KPI_DAY + 23 * KPI_HOUR - 1, 25},
        {DAY_2026_10_25 * KPI_DAY + 23 * KPI_HOUR, 26},
        {(DAY_2026_10_25 + 1) * KPI_DAY + 23 * KPI_HOUR, 24}, /* it is over, yesterday it was not */
        {(DAY_2026_10_25 + 2) * KPI_DAY + 23 * KPI_HOUR - 1, 24}, /* still */
        {(DAY_2026_10_25 + 2) * KPI_DAY + 23 * KPI_HOUR, 0},
    };
    struct kpi_campaign_definition *campaign = fixture_campaign(&f, "a", 1);
    struct kpi_plan *plan;

    campaign->start_day = DAY_2026_10_25;
    campaign->end_day = DAY_2026_10_25 + 2;
    f.in.grains = hours;
    f.in.n_grains = 1;
    plan = fixture_plan(&f);
    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_layout *layout = layout_at(plan, table[i].as_of);
        const struct kpi_scope *last = NULL;

        assert_int_equal(n_scopes_of(layout, KPI_SCOPE_MINUTES, &last), table[i].n);
        kpi_layout_unref(layout);
    }
    kpi_plan_unref(plan);
}

/* A scope has rows for what is reported there, and values of nothing else. */
static void scopes_have_the_rows_of_their_kpis(void **state)
{
    static const struct kpi_text weeks[] = {{"week", 4, 0}};
    const struct kpi_scope *week = NULL, *day = NULL;
    struct kpi_layout *layout;
    struct kpi_value value;
    struct kpi_plan *plan;
    struct kpi_row *rows;
    uint32_t n = 0;

    (void)fixture_campaign(&f, "a", 0);
    f.kpis[0].grains = weeks; /* two rows; r has three, by days */
    f.kpis[0].n_grains = 1;
    plan = fixture_plan(&f);
    layout = layout_at(plan, (DAY_2026_11_01 + 8) * KPI_DAY);
    assert_int_equal(n_scopes_of(layout, KPI_SCOPE_DAY, &day), 9);
    assert_int_equal(n_scopes_of(layout, KPI_SCOPE_WEEK, &week), 3);
    assert_int_equal(kpi_layout_n_rows(layout), 5 * 3 + 9 * 3 + 3 * 2 + 3); /* and starts */
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    for (uint32_t i = 0; i < kpi_layout_n_rows(layout); ++i)
        rows[i] = (struct kpi_row){1, 1};
    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); ++i) {
        enum kpi_scope_kind kind = kpi_layout_scope(layout, i)->kind;

        assert_int_equal(kpi_layout_first_row(layout, i), n);
        n += kpi_layout_scope_rows(layout, i);
        for (uint32_t kpi = 0; kpi < 2; ++kpi) {
            bool reported = kind != (kpi == 0 ? KPI_SCOPE_DAY : KPI_SCOPE_WEEK);

            assert_int_equal(kpi_layout_reports(layout, i, kpi), reported);
            kpi_report_value(layout, rows, i, kpi, 0, &value);
            assert_int_equal(value.state, reported ? KPI_VALUE_OK : KPI_VALUE_NO_DATA);
        }
    }
    assert_int_equal(n + 3, kpi_layout_n_rows(layout));
    free(rows);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
}

static void the_same_plan_made_twice_gives_the_same_layout(void **state)
{
    kpi_time as_of = (DAY_2026_11_01 + 3) * KPI_DAY;
    struct kpi_layout *layout, *other;
    struct kpi_plan *plan;
    uint64_t fingerprint;
    struct kpi_kpi_definition kpi;

    (void)fixture_campaign(&f, "a", 2);
    plan = fixture_plan(&f);
    layout = layout_at(plan, as_of);
    fingerprint = kpi_layout_fingerprint(layout);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);

    kpi = f.kpis[0]; /* in another order */
    f.kpis[0] = f.kpis[1];
    f.kpis[1] = kpi;
    plan = fixture_plan(&f);
    layout = layout_at(plan, as_of);
    assert_int_equal(kpi_layout_fingerprint(layout), fingerprint);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);

    f.measures[1].where = TEXT("type == 'other'");
    plan = fixture_plan(&f);
    other = layout_at(plan, as_of);
    assert_int_not_equal(kpi_layout_fingerprint(other), fingerprint);
    kpi_layout_unref(other);
    kpi_plan_unref(plan);
}

static void a_layout_keeps_its_plan(void **state)
{
    struct kpi_layout *layout;
    struct kpi_plan *plan;

    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    layout = layout_at(plan, DAY_2026_11_01 * KPI_DAY);
    kpi_plan_unref(plan);
    assert_int_equal(kpi_plan_n_kpis(kpi_layout_plan(layout)), 2);
    assert_ptr_equal(kpi_layout_ref(layout), layout);
    kpi_layout_unref(layout);
    assert_true(f.mem.bytes > 0);
    assert_null(kpi_layout_unref(layout));
    assert_null(kpi_layout_unref(NULL));
    assert_int_equal(f.mem.bytes, 0);
}

static void no_memory_no_layout(void **state)
{
    struct kpi_layout *layout = NULL;
    struct kpi_plan *plan;

    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    f.mem.n_calls = 0;
    f.mem.fail_at = 1;
    assert_int_equal(kpi_layout_new(&layout, plan, 0, &f.mem.mem), -ENOMEM);
    assert_null(layout);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

static void without_campaigns_there_is_nothing_to_report(void **state)
{
    struct kpi_plan *plan = fixture_plan(&f);
    struct kpi_layout *layout = layout_at(plan, 0);

    assert_int_equal(kpi_layout_n_scopes(layout), 0);
    assert_int_equal(kpi_layout_n_rows(layout), 0);
    assert_true(kpi_layout_current(layout, INT64_MAX - 1));
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(days_begin_at_local_midnight, setup),
        cmocka_unit_test_setup(days_of_summer_time_have_23_and_25_hours, setup),
        cmocka_unit_test_setup(every_hour_of_a_calendar_has_its_day, setup),
        cmocka_unit_test_setup(an_uneven_calendar_is_believed, setup),
        cmocka_unit_test_setup(beyond_the_calendar_is_said, setup),
        cmocka_unit_test_setup(periods, setup),
        cmocka_unit_test_setup(months_follow_each_other, setup),
        cmocka_unit_test_setup(scopes_stand_in_their_order, setup),
        cmocka_unit_test_setup(days_come_one_by_one_and_end_with_the_campaign, setup),
        cmocka_unit_test_setup(a_layout_is_current_until_a_zone_begins_a_day, setup),
        cmocka_unit_test_setup(a_layout_is_current_until_a_window_begins, setup),
        cmocka_unit_test_setup(longer_periods_touch_the_campaign, setup),
        cmocka_unit_test_setup(windows_are_those_of_today_and_yesterday, setup),
        cmocka_unit_test_setup(scopes_have_the_rows_of_their_kpis, setup),
        cmocka_unit_test_setup(the_same_plan_made_twice_gives_the_same_layout, setup),
        cmocka_unit_test_setup(a_layout_keeps_its_plan, setup),
        cmocka_unit_test_setup(no_memory_no_layout, setup),
        cmocka_unit_test_setup(without_campaigns_there_is_nothing_to_report, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
