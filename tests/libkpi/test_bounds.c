/*
 * Claims: between its bounds a formula has all its values, by interval arithmetic; what a sum can
 * be depends on its field; shares of users end at 1 and points at 100; a value that looks back says
 * how far, of a target in its scope.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/bounds.h>
#include <math.h>

static struct fixture f;

static struct kpi_bounds bounds_of(const char *formula, enum kpi_unit unit)
{
    struct kpi_bounds bounds;
    struct kpi_plan *plan;

    fixture_init(&f);
    fixture_kpis_of_the_product(&f);
    fixture_measure(&f, "n", "count", "");
    fixture_measure(&f, "degrees", "sum(temperature)", "");
    fixture_measure(&f, "mood", "latest_mean(score)", "");
    fixture_kpi(&f, "k", formula, unit);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    kpi_plan_bounds(plan, kpi_plan_n_kpis(plan) - 1, &bounds);
    kpi_plan_unref(plan);
    return bounds;
}

static void formulas_have_bounds(void **state)
{
    static const struct {
        const char *formula;
        double low, high;
    } table[] = {
        {"n", 0, INFINITY},
        {"-n", -INFINITY, 0},
        {"3", 3, 3},
        {"n + 2", 2, INFINITY},
        {"2 - n", -INFINITY, 2},
        {"(purchases - refunds) / cost", -INFINITY, INFINITY},
        {"purchases / cost", 0, INFINITY},
        {"purchases / cost - 1", -1, INFINITY},
        {"-n * n", -INFINITY, 0},
        {"0 * n", 0, 0},
        {"n / 2", 0, INFINITY},
        {"n / (n + 2)", 0, INFINITY},
        {"n / -2", -INFINITY, INFINITY}, /* not looked into */
        {"5 / n", 0, INFINITY},
        {"5 / (n + 2)", 0, 2.5},
        {"falling(roi, 6)", 0, 6},
        {"7 - falling(purchases / cost, 6) * 2", -5, 7},
        {"degrees", -INFINITY, INFINITY},
        {"degrees / n", -INFINITY, INFINITY},
        {"participants / reached", 0, 1},
        {"promoters / responses", 0, 1},
        {"participants / n", 0, INFINITY},
        {"reached / audience", 0, INFINITY},
        {"retained(start=buyers, return=active, basis=day, at=1)", 0, 1},
        {"100 * (promoters - detractors) / responses", -INFINITY, INFINITY},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_bounds bounds = bounds_of(table[i].formula, KPI_UNIT_RATIO);

        if (bounds.low != table[i].low || bounds.high != table[i].high)
            fail_msg("%s: %g to %g", table[i].formula, bounds.low, bounds.high);
    }
}

/* Of another unit it may be twice as many users as others. */
static void only_ratios_are_shares(void **state)
{
    assert_true(isinf(bounds_of("participants / reached", KPI_UNIT_MULTIPLE).high));
}

static void points_end_at_a_hundred(void **state)
{
    struct kpi_bounds bounds =
        bounds_of("100 * (promoters - detractors) / responses", KPI_UNIT_POINTS);

    assert_true(bounds.low == -100 && bounds.high == 100);
}

static void samples_are_users_or_not(void **state)
{
    assert_true(bounds_of("participants / reached", KPI_UNIT_RATIO).counts_users);
    assert_true(bounds_of("n / buyers", KPI_UNIT_COUNT).counts_users);
    assert_true(bounds_of("buyers", KPI_UNIT_COUNT).counts_users);
    assert_true(
        bounds_of("retained(buyers, active, basis=week, at=2)", KPI_UNIT_RATIO).counts_users);
    assert_false(bounds_of("buyers / n", KPI_UNIT_RATIO).counts_users);
    assert_false(bounds_of("buyers / n", KPI_UNIT_RATIO).counts_nothing);
    assert_false(bounds_of("n", KPI_UNIT_COUNT).counts_nothing);
    assert_false(
        bounds_of("retained(buyers, active, basis=week, at=2)", KPI_UNIT_RATIO).counts_nothing);
    assert_true(
        bounds_of("growth(buyers / n, previous(buyers / n))", KPI_UNIT_RATIO).counts_nothing);
    assert_true(bounds_of("40 * (buyers / n) + 2", KPI_UNIT_POINTS).counts_nothing);
    assert_true(bounds_of("gauge(\"awareness\")", KPI_UNIT_RATIO).counts_nothing);
    assert_false(bounds_of("mood", KPI_UNIT_POINTS).counts_nothing);
    assert_true(bounds_of("2 * mood", KPI_UNIT_POINTS).counts_nothing);
    assert_false(
        bounds_of("growth(buyers, n * previous(buyers / n))", KPI_UNIT_RATIO).counts_nothing);
    assert_false(bounds_of("growth(n / days, before(n, 28) / 28)", KPI_UNIT_RATIO).counts_nothing);
    assert_true(bounds_of("sqrt(n / buyers)", KPI_UNIT_COUNT).counts_nothing);
    assert_false(bounds_of("gauge(\"own\") / gauge(\"all\")", KPI_UNIT_RATIO).counts_nothing);
    assert_false(bounds_of("n", KPI_UNIT_COUNT).counts_users);
    assert_false(bounds_of("buyers / audience", KPI_UNIT_RATIO).counts_users);
}

/* 13 months have at least 395 days: from February, behind a year without a leap day. */
static void looking_back_takes_days(void **state)
{
    assert_int_equal(bounds_of("buyers", KPI_UNIT_COUNT).days_kept, 0);
    assert_int_equal(bounds_of("retained(buyers, active, day, 7)", KPI_UNIT_RATIO).days_kept, 8);
    assert_int_equal(bounds_of("retained(buyers, active, week, 4)", KPI_UNIT_RATIO).days_kept, 35);
    assert_in_range(bounds_of("retained(buyers, active, month, 1)", KPI_UNIT_RATIO).days_kept, 57,
                    59);
    assert_in_range(bounds_of("retained(buyers, active, month, 12)", KPI_UNIT_RATIO).days_kept, 390,
                    395);
    assert_int_equal(
        bounds_of("retained(buyers, active, day, 7, mode=every)", KPI_UNIT_RATIO).days_kept, 8);
    assert_int_equal(
        bounds_of("retained(buyers, active, week, from=2, to=4)", KPI_UNIT_RATIO).days_kept, 28);
    assert_int_equal(
        bounds_of("buyers + 2 * retained(buyers, active, day, 30)", KPI_UNIT_COUNT).days_kept, 31);
}

static void targets_look_back_in_their_scope(void **state)
{
    static const struct {
        const char *value, *scope;
        uint32_t days;
    } table[] = {
        {"4", NULL, 0},
        {"2 * roi", NULL, 0},
        {"gauge('x')", NULL, 0},
        {"previous(roi)", NULL, 30}, /* the campaign is November */
        {"2 * previous(roi, 3)", "day", 3},
        {"previous(roi, 3)", "rolling:7d", 21},
        {"previous(roi, 2)", "week", 14},
        {"previous(roi, 2)", "month", 56},
        {"previous(roi)", "quarter", 90},
        {"previous(roi)", "year", 365},
        {"previous(roi, 50)", "hour", 2},
        {"trailing_mean(roi, 4)", "rolling:7d", 28},
        {"falling(roi, 3)", "rolling:7d", 28},
        {"before(roi, 28)", "day", 28},
        {"last_year(roi)", "day", 365},
        {"last_year(roi, align=lunar)", NULL, 384},
        {"retained(buyers, active, day, 7)", NULL, 8},
        {"retained(buyers, active, day, 7) + previous(roi, 9)", "day", 9},
    };
    const struct kpi_text grains[] = {TEXT("day"),     TEXT("week"), TEXT("month"),
                                      TEXT("quarter"), TEXT("year"), TEXT("hour")};

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_target_definition *target;
        struct kpi_plan *plan;
        uint32_t days;

        fixture_init(&f);
        fixture_kpis_of_the_product(&f);
        f.in.grains = grains;
        f.in.n_grains = COUNT_OF(grains);
        (void)fixture_campaign(&f, "a", 0);
        target = fixture_target(&f, "roi", table[i].value);
        if (table[i].scope)
            target->scope = (struct kpi_text){table[i].scope, strlen(table[i].scope), 0};
        plan = fixture_plan(&f);
        assert_non_null(plan);
        days = kpi_plan_target_days(plan, kpi_plan_target(plan, 0));
        if (days != table[i].days)
            fail_msg("%s of %s: %u days", table[i].value, table[i].scope, days);
        kpi_plan_unref(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_have_bounds),
        cmocka_unit_test(only_ratios_are_shares),
        cmocka_unit_test(points_end_at_a_hundred),
        cmocka_unit_test(samples_are_users_or_not),
        cmocka_unit_test(looking_back_takes_days),
        cmocka_unit_test(targets_look_back_in_their_scope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
