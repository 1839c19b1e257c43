/*
 * What must hold whatever the numbers are: intervals hold their estimate, widen with confidence,
 * and agree with their p; adjusting only makes p larger and keeps its order; and the always-valid
 * interval errs at most alpha often for somebody who looks after every batch, when the one of a
 * fixed horizon does not.
 */
#include "stats/adjust.h"
#include "stats/compare.h"
#include "stats/sequential.h"
#include "stats/tables.h"

#include <kpi/experiment.h>
#include <kpi/interval.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ROUNDS 300

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* In [0, 1). */
static double uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

/* A proportion of 5 % to 95 %, a mean of about 100, or a ratio, of 2 to 400 units. */
static struct kpi_estimate random_estimate(enum kpi_metric metric, uint64_t *state)
{
    const int n = 2 + (int)(next(state) % 400);
    const double p = 0.05 + 0.9 * uniform(state);
    struct kpi_arm_sums sums = {0};
    struct kpi_estimate estimate;

    for (int i = 0; i < n; i++) {
        const kpi_decimal y = 1 + (kpi_decimal)(uniform(state) * 5 * KPI_DECIMAL_ONE);
        kpi_decimal x = uniform(state) < p ? KPI_DECIMAL_ONE : 0;

        if (metric != KPI_METRIC_PROPORTION)
            x = 100 * KPI_DECIMAL_ONE + 40 * x + y;
        assert_int_equal(kpi_arm_sums_add(&sums, x, y), 0);
    }
    assert_int_equal(kpi_estimate_arm(metric, &sums, &estimate), 0);
    return estimate;
}

typedef int compare_function(const struct kpi_estimate *a, const struct kpi_estimate *b,
                             enum kpi_tail tail, double alpha,
                             struct kpi_difference *ret_difference);

static int compare_sequential(const struct kpi_estimate *a, const struct kpi_estimate *b,
                              enum kpi_tail tail, double alpha,
                              struct kpi_difference *ret_difference)
{
    return kpi_compare_sequential(a, b, tail, alpha, 5000, ret_difference);
}

static const struct {
    enum kpi_metric metric;
    compare_function *compare;
    bool exact_duality; /* one standard error serves p and interval */
} comparisons[] = {
    {KPI_METRIC_PROPORTION, kpi_compare_proportions, false},
    {KPI_METRIC_PROPORTION, compare_sequential, true},
    {KPI_METRIC_MEAN, kpi_compare_means, true},
    {KPI_METRIC_MEAN, compare_sequential, true},
    {KPI_METRIC_RATIO, kpi_compare_ratios, true},
    {KPI_METRIC_RATIO, compare_sequential, true},
};

#define N_COMPARISONS (sizeof(comparisons) / sizeof(comparisons[0]))

static void test_an_interval_holds_its_estimate_and_widens_with_confidence(void **state)
{
    static const double alphas[] = {0.4, 0.1, 0.05, 0.01, 1e-6, 1e-12};
    uint64_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        const size_t i = (size_t)round % N_COMPARISONS;
        const struct kpi_estimate a = random_estimate(comparisons[i].metric, &seed);
        const struct kpi_estimate b = random_estimate(comparisons[i].metric, &seed);
        double lower = INFINITY, upper = -INFINITY;

        for (size_t k = 0; k < sizeof(alphas) / sizeof(alphas[0]); k++) {
            struct kpi_difference d;
            struct kpi_effect relative;

            if (comparisons[i].compare(&a, &b, KPI_TAIL_BOTH, alphas[k], &d))
                break; /* small arms without any hit */
            assert_true(d.effect.lower <= d.effect.value && d.effect.value <= d.effect.upper);
            assert_true(d.effect.lower < lower && d.effect.upper > upper);
            assert_true(d.p >= 0 && d.p <= 1);
            lower = d.effect.lower;
            upper = d.effect.upper;
            if (!(a.value > 0))
                continue;
            relative = kpi_relative_effect(&a, &b, KPI_TAIL_BOTH, d.critical);
            assert_true(near(relative.value, d.effect.value / a.value));
        }
    }
}

static void test_p_is_below_alpha_when_the_interval_excludes_nothing_happened(void **state)
{
    uint64_t seed = 2;
    int excluded = 0;

    for (int round = 0; round < ROUNDS; round++) {
        const size_t i = (size_t)round % N_COMPARISONS;
        const struct kpi_estimate a = random_estimate(comparisons[i].metric, &seed);
        const struct kpi_estimate b = random_estimate(comparisons[i].metric, &seed);

        for (int tail = KPI_TAIL_BOTH; tail <= KPI_TAIL_LESS; tail++) {
            struct kpi_difference d;
            bool excludes;

            if (!comparisons[i].exact_duality ||
                comparisons[i].compare(&a, &b, (enum kpi_tail)tail, 0.05, &d))
                continue;
            excludes = d.effect.lower > 0 || d.effect.upper < 0;
            assert_true(excludes == (d.p < 0.05));
            excluded += excludes;
        }
    }
    assert_in_range(excluded, 50, 3 * ROUNDS - 50);
}

static void test_swapping_the_arms_mirrors_the_answer(void **state)
{
    uint64_t seed = 3;

    for (int round = 0; round < ROUNDS; round++) {
        const size_t i = (size_t)round % N_COMPARISONS;
        const struct kpi_estimate a = random_estimate(comparisons[i].metric, &seed);
        const struct kpi_estimate b = random_estimate(comparisons[i].metric, &seed);
        struct kpi_difference ab, ba;

        if (comparisons[i].compare(&a, &b, KPI_TAIL_GREATER, 0.05, &ab))
            continue;
        assert_int_equal(comparisons[i].compare(&b, &a, KPI_TAIL_LESS, 0.05, &ba), 0);
        assert_true(near(ab.p, ba.p));
        assert_true(fabs(ab.effect.value + ba.effect.value) < 1e-12);
        assert_true(fabs(ab.effect.lower + ba.effect.upper) < 1e-12);
        assert_true(isinf(ab.effect.upper) && isinf(ba.effect.lower));
    }
}

static void test_always_valid_costs_width(void **state)
{
    for (double units = 10; units < 1e9; units *= 1.7)
        for (double alpha = 0.2; alpha > 1e-9; alpha /= 7) {
            const double rho = kpi_sequential_rho(5000, alpha, false);
            const double rho_one = kpi_sequential_rho(5000, alpha, true);
            const double both = kpi_sequential_critical(units, rho, alpha, false);

            assert_true(both * both > -2 * log(alpha)); /* > z^2 of the fixed horizon */
            assert_true(kpi_sequential_critical(units, rho_one, alpha, true) < 1.2 * both);
            assert_true(fabs(kpi_sequential_p(both, units, rho, false) / alpha - 1) < 1e-9);
        }
}

static void test_intervals_are_tightest_at_the_tuning_units(void **state)
{
    for (int one_sided = 0; one_sided < 2; one_sided++)
        for (double tuning = 100; tuning < 1e7; tuning *= 10) {
            const double best = kpi_sequential_critical(
                tuning, kpi_sequential_rho(tuning, 0.05, one_sided), 0.05, one_sided);

            for (double other = tuning / 64; other <= tuning * 64; other *= 4)
                assert_true(kpi_sequential_critical(tuning,
                                                    kpi_sequential_rho(other, 0.05, one_sided),
                                                    0.05, one_sided) > best * 0.99);
        }
}

static void test_z_of_two_proportions_is_chi_squared_of_their_table(void **state)
{
    uint64_t seed = 4;
    int compared = 0;

    for (int round = 0; round < ROUNDS; round++) {
        const struct kpi_estimate a = random_estimate(KPI_METRIC_PROPORTION, &seed);
        const struct kpi_estimate b = random_estimate(KPI_METRIC_PROPORTION, &seed);
        const int64_t hits[] = {a.hits, b.hits}, units[] = {a.units, b.units};
        struct kpi_difference d;

        if (kpi_compare_proportions(&a, &b, KPI_TAIL_BOTH, 0.05, &d) || d.test != KPI_TEST_Z ||
            d.p < 1e-100)
            continue;
        assert_true(fabs(kpi_table_proportions(hits, units, 2) / d.p - 1) < 1e-9);
        compared++;
    }
    assert_true(compared > ROUNDS / 2);
}

static void test_a_ratio_to_one_is_a_mean(void **state)
{
    uint64_t seed = 5;

    for (int round = 0; round < ROUNDS; round++) {
        struct kpi_arm_sums sums = {0};
        struct kpi_estimate mean, ratio;

        for (int i = 0; i < 50; i++)
            assert_int_equal(
                kpi_arm_sums_add(&sums, (kpi_decimal)(next(&seed) % 1000000007), KPI_DECIMAL_ONE),
                0);
        assert_int_equal(kpi_estimate_arm(KPI_METRIC_MEAN, &sums, &mean), 0);
        assert_int_equal(kpi_estimate_arm(KPI_METRIC_RATIO, &sums, &ratio), 0);
        assert_true(near(mean.value, ratio.value) && near(mean.variance, ratio.variance));
    }
}

static void test_adjusting_raises_p_and_keeps_its_order(void **state)
{
    double p[KPI_ADJUST_MAX], holm[KPI_ADJUST_MAX], bh[KPI_ADJUST_MAX];
    uint64_t seed = 6;

    for (int round = 0; round < ROUNDS; round++) {
        const size_t n = 1 + next(&seed) % KPI_ADJUST_MAX;

        for (size_t i = 0; i < n; i++)
            p[i] = pow(uniform(&seed), 3);
        kpi_adjust_holm(p, n, holm);
        kpi_adjust_bh(p, n, bh);
        for (size_t i = 0; i < n; i++) {
            assert_true(p[i] <= bh[i] && bh[i] <= holm[i] * (1 + 1e-15) && holm[i] <= 1);
            for (size_t j = 0; j < i; j++) {
                assert_true((p[i] <= p[j]) <= (holm[i] <= holm[j]));
                assert_true((p[i] <= p[j]) <= (bh[i] <= bh[j]));
            }
        }
    }
}

static void test_wilson_stays_within_bounds_and_mirrors(void **state)
{
    uint64_t seed = 7;
    struct kpi_interval of_hits, of_misses;

    for (int round = 0; round < ROUNDS; round++) {
        const int64_t n = 1 + (int64_t)(next(&seed) % (round % 2 ? 10 : 1000000000));
        const int64_t hits = (int64_t)(next(&seed) % (uint64_t)(n + 1));

        assert_int_equal(kpi_interval_wilson(hits, n, 0.05, &of_hits), 0);
        assert_int_equal(kpi_interval_wilson(n - hits, n, 0.05, &of_misses), 0);
        assert_true(of_hits.lower >= 0 && of_hits.upper <= 1);
        assert_true(of_hits.lower <= (double)hits / (double)n &&
                    of_hits.upper >= (double)hits / (double)n);
        assert_true(fabs(of_hits.lower + of_misses.upper - 1) < 1e-14);
    }
}

static void test_no_answers_have_no_interval(void **state)
{
    struct kpi_interval interval;
    struct kpi_nps nps;

    assert_int_equal(kpi_interval_wilson(0, 0, 0.05, &interval), KPI_INTERVAL_E_UNDEFINED);
    assert_int_equal(kpi_nps(0, 0, 0, 0.05, &nps), KPI_INTERVAL_E_UNDEFINED);
}

static void test_nps_stays_within_100_points(void **state)
{
    struct kpi_nps nps;

    assert_int_equal(kpi_nps(1, 0, 1, 0.05, &nps), 0);
    assert_true(nps.value >= 100 && nps.interval.lower >= 100 && nps.interval.upper <= 100);
    assert_int_equal(kpi_nps(0, 1, 2, 0.05, &nps), 0); /* -50 -+ 69 */
    assert_true(nps.interval.lower >= -100 && nps.interval.upper > 19);
    assert_int_equal(kpi_nps(1, 0, 2, 0.05, &nps), 0);
    assert_true(nps.interval.lower < -19 && nps.interval.upper <= 100);
}

/*
 * Two arms with the same 20 %, looked at after every 50 units in each up to 5000: the share of
 * experiments in which some look called a difference.
 */
static double false_alarms(enum kpi_method method, bool one_sided, int experiments)
{
    struct kpi_experiment_options options = KPI_EXPERIMENT_OPTIONS_DEFAULT;
    uint64_t seed = 8;
    int alarms = 0;

    options.metric = KPI_METRIC_PROPORTION;
    options.method = method;
    options.control = 0;
    options.one_sided = one_sided;
    for (int i = 0; i < experiments; i++) {
        struct kpi_arm arms[2] = {{.weight = 1}, {.weight = 1}};
        struct kpi_experiment_result result = {.verdict = KPI_VERDICT_UNDECIDED};

        while (result.verdict == KPI_VERDICT_UNDECIDED && arms[0].sums.units < 5000) {
            for (int unit = 0; unit < 100; unit++)
                assert_int_equal(kpi_arm_sums_add(&arms[unit % 2].sums,
                                                  next(&seed) % 5 == 0 ? KPI_DECIMAL_ONE : 0, 0),
                                 0);
            kpi_experiment_judge(&options, arms, 2, 0, &result);
        }
        alarms += result.verdict == KPI_VERDICT_ARM;
    }
    return (double)alarms / experiments;
}

/* The boundary of 1000 experiments is 5 % + 3 standard errors of 0.7 %; about 2 % is what the
 * sequence spends up to here, and a third of all experiments what peeking at z does. */
static void test_looking_all_the_time_errs_at_most_alpha_often(void **state)
{
    assert_true(false_alarms(KPI_METHOD_SEQUENTIAL, false, 1000) < 0.05);
    assert_true(false_alarms(KPI_METHOD_SEQUENTIAL, true, 1000) < 0.05);
    assert_true(false_alarms(KPI_METHOD_FIXED, false, 300) > 0.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_interval_holds_its_estimate_and_widens_with_confidence),
        cmocka_unit_test(test_p_is_below_alpha_when_the_interval_excludes_nothing_happened),
        cmocka_unit_test(test_swapping_the_arms_mirrors_the_answer),
        cmocka_unit_test(test_always_valid_costs_width),
        cmocka_unit_test(test_intervals_are_tightest_at_the_tuning_units),
        cmocka_unit_test(test_z_of_two_proportions_is_chi_squared_of_their_table),
        cmocka_unit_test(test_a_ratio_to_one_is_a_mean),
        cmocka_unit_test(test_adjusting_raises_p_and_keeps_its_order),
        cmocka_unit_test(test_wilson_stays_within_bounds_and_mirrors),
        cmocka_unit_test(test_no_answers_have_no_interval),
        cmocka_unit_test(test_nps_stays_within_100_points),
        cmocka_unit_test(test_looking_all_the_time_errs_at_most_alpha_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
