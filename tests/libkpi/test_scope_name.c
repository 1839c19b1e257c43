/*
 * Claim: every name that kpi/scope.h promises is read, gives the scope that it is about, and is
 * written so again; whatever else people write is refused with what is wrong.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/report.h>

static struct fixture f;
static const struct kpi_text grains[] = {{"day", 3, 0},     {"week", 4, 0}, {"month", 5, 0},
                                         {"quarter", 7, 0}, {"year", 4, 0}, {"hour", 4, 0},
                                         {"5m", 2, 0},      {"2h", 2, 0}};
static const struct kpi_text rolling[] = {{"7d", 2, 0}, {"4w", 2, 0},  {"3mo", 3, 0}, {"2q", 2, 0},
                                          {"1y", 2, 0}, {"24h", 3, 0}, {"6x5m", 4, 0}};

static struct kpi_plan *make_plan(void)
{
    struct kpi_campaign_definition *campaign;

    fixture_init(&f);
    fixture_measure(&f, "m", "users", "");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    f.in.grains = grains;
    f.in.n_grains = COUNT_OF(grains);
    f.in.rolling = rolling;
    f.in.n_rolling = COUNT_OF(rolling);
    campaign = fixture_campaign(&f, "a", 1);
    campaign->start_day = DAY_2026_10_25 - 60;
    f.phases[0] = (struct kpi_phase_definition){TEXT("burst"), DAY_2026_11_01, DAY_2026_11_01 + 5};
    f.phases[1] =
        (struct kpi_phase_definition){TEXT("爆发"), DAY_2026_11_01 + 5, DAY_2026_11_01 + 9};
    campaign->phases = f.phases;
    campaign->n_phases = 2;
    return fixture_plan(&f);
}

static struct kpi_string string_of(const char *text)
{
    return (struct kpi_string){text, strlen(text)};
}

/* On the day of 25 hours, at 20:07 by the clock, when 21:07 have passed. */
#define AS_OF (DAY_2026_10_25 * KPI_DAY + 19 * KPI_HOUR + 7 * KPI_MINUTE)

static void every_scope_of_a_layout_has_a_name_of_its_own(void **state)
{
    struct kpi_plan *plan = make_plan();
    struct kpi_layout *layout;
    char names[800][KPI_SCOPE_NAME_BYTES_MAX];
    uint32_t n;

    assert_int_equal(kpi_layout_new(&layout, plan, AS_OF, &f.mem.mem), 0);
    n = kpi_layout_n_scopes(layout);
    assert_in_range(n, 300, COUNT_OF(names));
    for (uint32_t i = 0; i < n; ++i) {
        struct kpi_scope_name name;
        uint32_t n_fit = 0;

        size_t length = kpi_scope_name_format(names[i], plan, kpi_layout_scope(layout, i), true);

        assert_int_equal(length, strlen(names[i]));
        assert_int_equal(kpi_scope_name_parse(string_of(names[i]), &name), 0);
        for (uint32_t k = 0; k < n; ++k)
            n_fit += kpi_scope_name_fits(&name, plan, kpi_layout_scope(layout, k));
        assert_int_equal(n_fit, 1);
        assert_true(kpi_scope_name_fits(&name, plan, kpi_layout_scope(layout, i)));
    }
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

static void a_name_means_a_scope_or_all_of_a_sort(void **state)
{
    static const struct {
        const char *name;
        uint32_t n; /* scopes */
        kpi_day start_day, end_day;
        uint32_t start_minute, end_minute; /* of the first of them */
        const char *kind;
    } table[] = {
        {"campaign", 1, DAY_2026_10_25 - 60, DAY_2026_11_01 + 30, 0, 0, "campaign"},
        {"phase", 2, DAY_2026_11_01, DAY_2026_11_01 + 5, 0, 0, "phase"},
        {"phase:爆发", 1, DAY_2026_11_01 + 5, DAY_2026_11_01 + 9, 0, 0, "phase"},
        {"day", 61, DAY_2026_10_25 - 60, DAY_2026_10_25 - 59, 0, 0, "day"},
        {"day:2026-10-25", 1, DAY_2026_10_25, DAY_2026_10_25 + 1, 0, 0, "day"},
        {"week", 9, DAY_2026_10_25 - 62, DAY_2026_10_25 - 55, 0, 0, "week"},
        {"week:2026-10-19", 1, DAY_2026_10_25 - 6, DAY_2026_10_25 + 1, 0, 0, "week"},
        {"week:2026-10-25", 0, 0, 0, 0, 0, NULL}, /* begins no week */
        {"month", 3, DAY_2026_11_01 - 92, DAY_2026_11_01 - 61, 0, 0, "month"},
        {"month:2026-10", 1, DAY_2026_11_01 - 31, DAY_2026_11_01, 0, 0, "month"},
        {"month:2026-11", 0, 0, 0, 0, 0, NULL}, /* has not begun */
        {"quarter:2026-Q4", 1, DAY_2026_11_01 - 31, DAY_2026_11_01 + 61, 0, 0, "quarter"},
        {"quarter", 2, DAY_2026_01_01 + 181, DAY_2026_11_01 - 31, 0, 0, "quarter"},
        {"year:2026", 1, DAY_2026_01_01, DAY_2026_01_01 + 365, 0, 0, "year"},
        {"hour", 24 + 22, DAY_2026_10_25 - 1, DAY_2026_10_25 - 1, 0, 60, "hour"},
        {"60m", 24 + 22, DAY_2026_10_25 - 1, DAY_2026_10_25 - 1, 0, 60, "hour"},
        {"hour:2026-10-25T20", 1, DAY_2026_10_25, DAY_2026_10_25, 1200, 1260, "hour"},
        {"5m", 288 + 254, DAY_2026_10_25 - 1, DAY_2026_10_25 - 1, 0, 5, "minutes"},
        {"5m:2026-10-24T23:55", 1, DAY_2026_10_25 - 1, DAY_2026_10_25, 1435, 0, "minutes"},
        {"5m:2026-10-25T20:05", 1, DAY_2026_10_25, DAY_2026_10_25, 1205, 1210, "minutes"},
        {"2h:2026-10-25T20:00", 1, DAY_2026_10_25, DAY_2026_10_25, 1200, 1320, "minutes"},
        {"120m", 12 + 11, DAY_2026_10_25 - 1, DAY_2026_10_25 - 1, 0, 120, "minutes"},
        {"rolling:7d", 1, DAY_2026_10_25 - 6, DAY_2026_10_25 + 1, 0, 0, "rolling"},
        {"rolling:4w", 1, DAY_2026_10_25 - 27, DAY_2026_10_25 + 1, 0, 0, "rolling"},
        {"rolling:3mo", 1, DAY_2026_11_01 - 92, DAY_2026_11_01, 0, 0, "rolling"},
        {"rolling:2q", 1, DAY_2026_01_01 + 181, DAY_2026_11_01 + 61, 0, 0, "rolling"},
        {"rolling:1y", 1, DAY_2026_01_01, DAY_2026_01_01 + 365, 0, 0, "rolling"},
        {"rolling:24h", 1, DAY_2026_10_25 - 1, DAY_2026_10_25, 1320, 1320, "rolling"},
        {"rolling:6x5m", 1, DAY_2026_10_25, DAY_2026_10_25, 1240, 1270, "rolling"},
        {"rolling:8d", 0, 0, 0, 0, 0, NULL},
        {"rolling", 7, DAY_2026_10_25 - 6, DAY_2026_10_25 + 1, 0, 0, "rolling"},
        {"minutes", 46 + 542 + 23, DAY_2026_10_25 - 1, DAY_2026_10_25 - 1, 0, 120, "minutes"},
    };
    struct kpi_plan *plan = make_plan();
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, plan, AS_OF, &f.mem.mem), 0);
    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        const struct kpi_scope *first = NULL;
        struct kpi_scope_name name;
        uint32_t n = 0;

        assert_int_equal(kpi_scope_name_parse(string_of(table[i].name), &name), 0);
        for (uint32_t k = 0; k < kpi_layout_n_scopes(layout); ++k) {
            if (!kpi_scope_name_fits(&name, plan, kpi_layout_scope(layout, k)))
                continue;
            first = first ? first : kpi_layout_scope(layout, k);
            ++n;
        }
        if (n != table[i].n)
            fail_msg("%s: %u scopes, not %u", table[i].name, n, table[i].n);
        if (!first)
            continue;
        assert_int_equal(first->start_day, table[i].start_day);
        assert_int_equal(first->start_minute, table[i].start_minute);
        assert_int_equal(first->end_day, table[i].end_day);
        assert_int_equal(first->end_minute, table[i].end_minute);
        assert_string_equal(kpi_scope_kind_name(first), table[i].kind);
    }
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
}

static void the_day_of_25_hours_has_an_hour_24(void **state)
{
    struct kpi_plan *plan = make_plan();
    char text[KPI_SCOPE_NAME_BYTES_MAX];
    const struct kpi_scope *last = NULL;
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, plan, AS_OF + KPI_DAY, &f.mem.mem), 0);
    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); ++i) {
        const struct kpi_scope *scope = kpi_layout_scope(layout, i);

        if (scope->minutes == 60 && scope->kind == KPI_SCOPE_MINUTES &&
            scope->start_day == DAY_2026_10_25)
            last = scope;
    }
    assert_non_null(last);
    (void)kpi_scope_name_format(text, plan, last, true);
    assert_string_equal(text, "hour:2026-10-25T24");
    assert_int_equal(last->end_day, DAY_2026_10_25 + 1);
    assert_int_equal(last->end_minute, 0);
    assert_int_equal(last->end - last->start, KPI_HOUR);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
}

static void sorts_are_written_in_one_way(void **state)
{
    static const char *const table[][2] = {
        {"hour", "hour"},
        {"1h", "hour"},
        {"60m", "hour"},
        {"5m", "5m"},
        {"2h", "120m"},
        {"week", "week"},
        {"rolling:24h", "rolling:24h"},
        {"rolling:24x60m", "rolling:24h"},
        {"rolling:24x1h", "rolling:24h"},
        {"rolling:6x5m", "rolling:6x5m"},
        {"rolling:12mo", "rolling:12mo"},
        {"day:2026-11-11", "day"},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        char text[KPI_SCOPE_NAME_BYTES_MAX];
        struct kpi_scope_name name;

        assert_int_equal(kpi_scope_name_parse(string_of(table[i][0]), &name), 0);
        (void)kpi_scope_name_format(text, NULL, &name.scope, false);
        assert_string_equal(text, table[i][1]);
    }
}

static void what_is_no_name_is_told(void **state)
{
    static const struct {
        const char *text;
        int outcome;
    } table[] = {
        {"", KPI_SCOPE_NAME_E_UNKNOWN},
        {":", KPI_SCOPE_NAME_E_UNKNOWN},
        {"days", KPI_SCOPE_NAME_E_UNKNOWN},
        {"Day", KPI_SCOPE_NAME_E_UNKNOWN},
        {"campaign:", KPI_SCOPE_NAME_E_UNKNOWN},
        {"campaign:x", KPI_SCOPE_NAME_E_UNKNOWN},
        {"phase:", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-11", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-11-1", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-11-011", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-02-29", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-13-01", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-00-01", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-11-00", KPI_SCOPE_NAME_E_UNKNOWN},
        {"day:2026-11-11T00", KPI_SCOPE_NAME_E_UNKNOWN},
        {"month:2026-11-01", KPI_SCOPE_NAME_E_UNKNOWN},
        {"quarter:2026-Q5", KPI_SCOPE_NAME_E_UNKNOWN},
        {"quarter:2026-4", KPI_SCOPE_NAME_E_UNKNOWN},
        {"year:26", KPI_SCOPE_NAME_E_UNKNOWN},
        {"hour:2026-11-11", KPI_SCOPE_NAME_E_UNKNOWN},
        {"hour:2026-11-11T20:00", KPI_SCOPE_NAME_E_UNKNOWN},
        {"5m:2026-11-11T20", KPI_SCOPE_NAME_E_UNKNOWN},
        {"5m:2026-11-11T20:03", KPI_SCOPE_NAME_E_UNKNOWN},
        {"5m:2026-11-11T20:60", KPI_SCOPE_NAME_E_UNKNOWN},
        {"2h:2026-11-11T21:00", KPI_SCOPE_NAME_E_UNKNOWN},
        {"minutes:2026-11-11T20:05", KPI_SCOPE_NAME_E_UNKNOWN},
        {"05m", KPI_SCOPE_NAME_E_UNKNOWN},
        {"5min", KPI_SCOPE_NAME_E_UNKNOWN},
        {"7d", KPI_SCOPE_NAME_E_UNKNOWN},
        {"0m", KPI_SCOPE_NAME_E_MINUTES},
        {"7m", KPI_SCOPE_NAME_E_MINUTES},
        {"40m", KPI_SCOPE_NAME_E_MINUTES},
        {"90m", KPI_SCOPE_NAME_E_MINUTES},
        {"5h", KPI_SCOPE_NAME_E_MINUTES},
        {"24h", KPI_SCOPE_NAME_E_MINUTES},
        {"99999h", KPI_SCOPE_NAME_E_MINUTES},
        {"123456m", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:7", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:d", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:07d", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:7days", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:7d ", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:6x", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:6x5", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:6x5d", KPI_SCOPE_NAME_E_UNKNOWN},
        {"rolling:6x7m", KPI_SCOPE_NAME_E_MINUTES},
        {"rolling:30m", KPI_SCOPE_NAME_E_ROLLING},
        {"rolling:0d", KPI_SCOPE_NAME_E_COUNT},
        {"rolling:10001h", KPI_SCOPE_NAME_E_COUNT},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_scope_name name;

        if (kpi_scope_name_parse(string_of(table[i].text), &name) != table[i].outcome)
            fail_msg("%s", table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scope_of_a_layout_has_a_name_of_its_own),
        cmocka_unit_test(a_name_means_a_scope_or_all_of_a_sort),
        cmocka_unit_test(the_day_of_25_hours_has_an_hour_24),
        cmocka_unit_test(sorts_are_written_in_one_way),
        cmocka_unit_test(what_is_no_name_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
