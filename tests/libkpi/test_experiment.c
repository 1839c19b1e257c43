/*
 * An experiment is judged from sums that add up over shards; it is decided only when its arms fit
 * their split, it has run long enough, has enough units and the evidence names one arm; what cannot
 * be computed is undefined, never 0 or infinite.
 */
#include <kpi/experiment.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define ONE KPI_DECIMAL_ONE

static struct kpi_experiment_options options_of(enum kpi_metric metric, enum kpi_method method)
{
    struct kpi_experiment_options options = KPI_EXPERIMENT_OPTIONS_DEFAULT;

    options.metric = metric;
    options.method = method;
    return options;
}

static struct kpi_arm proportion(int64_t hits, int64_t units)
{
    return (struct kpi_arm){
        .weight = 1,
        .sums = {.units = units, .x = (kpi_wide)hits * ONE, .xx = (kpi_wide)hits * ONE * ONE},
    };
}

/* Half of the units at mean - spread, half at mean + spread, in 10^-6. */
static struct kpi_arm mean_arm(int64_t units, kpi_decimal mean, kpi_decimal spread)
{
    struct kpi_arm arm = {.weight = 1};

    for (int64_t i = 0; i < units; i++)
        assert_int_equal(kpi_arm_sums_add(&arm.sums, i % 2 ? mean + spread : mean - spread, ONE),
                         0);
    return arm;
}

static void judge(const struct kpi_experiment_options *options, const struct kpi_arm *arms,
                  uint32_t n, struct kpi_experiment_result *ret_result)
{
    kpi_experiment_judge(options, arms, n, KPI_DAY, ret_result);
}

static void assert_undecided(const struct kpi_experiment_result *result,
                             enum kpi_verdict_reason reason)
{
    assert_int_equal(result->verdict, KPI_VERDICT_UNDECIDED);
    assert_int_equal(result->reason, reason);
    assert_int_equal(result->winner, KPI_ARM_NONE);
}

static void assert_winner(const struct kpi_experiment_result *result, uint32_t winner)
{
    assert_int_equal(result->verdict, KPI_VERDICT_ARM);
    assert_int_equal(result->reason, KPI_REASON_EVIDENCE);
    assert_int_equal(result->winner, winner);
}

static void assert_untested(const struct kpi_comparison *comparison)
{
    assert_int_equal(comparison->test, KPI_TEST_NONE);
    assert_true(isnan(comparison->p) && isnan(comparison->p_adjusted));
    assert_true(isnan(comparison->absolute.lower) && isnan(comparison->absolute.upper));
    assert_true(isnan(comparison->relative.lower) && isnan(comparison->relative.upper));
    assert_false(comparison->significant);
}

/* --- sums -------------------------------------------------------------------------------- */

static bool same_sums(const struct kpi_arm_sums *a, const struct kpi_arm_sums *b)
{
    return a->units == b->units && a->x == b->x && a->y == b->y && a->xx == b->xx &&
           a->xy == b->xy && a->yy == b->yy;
}

static void test_sums_over_shards_are_the_sums_of_all(void **state)
{
    struct kpi_arm_sums all = {0}, merged = {0}, shards[7] = {{0}};
    uint32_t seed = 1;

    for (int i = 0; i < 10000; i++) {
        const kpi_decimal x = (kpi_decimal)(rand_r(&seed) - RAND_MAX / 2) * 1000;
        const kpi_decimal y = rand_r(&seed);

        assert_int_equal(kpi_arm_sums_add(&all, x, y), 0);
        assert_int_equal(kpi_arm_sums_add(&shards[rand_r(&seed) % 7], x, y), 0);
    }
    for (int i = 6; i >= 0; i--)
        assert_int_equal(kpi_arm_sums_merge(&merged, &shards[i]), 0);
    assert_true(same_sums(&all, &merged));
}

static void test_a_sum_that_does_not_fit_is_refused_and_changes_nothing(void **state)
{
    struct kpi_arm_sums sums = {0}, before, many = {.units = INT64_MAX};

    assert_int_equal(kpi_arm_sums_add(&sums, INT64_MAX, 0), KPI_ARM_E_OVERFLOW);
    assert_int_equal(kpi_arm_sums_add(&sums, INT64_MIN, INT64_MIN), KPI_ARM_E_OVERFLOW);
    assert_int_equal(kpi_arm_sums_add(&sums, 0, INT64_MIN), KPI_ARM_E_OVERFLOW);
    assert_true(same_sums(&sums, &(struct kpi_arm_sums){0}));
    do {
        before = sums;
    } while (kpi_arm_sums_add(&sums, INT64_MAX / 16, INT64_MIN / 16) == 0);
    assert_true(same_sums(&sums, &before));
    assert_true(sums.units > 10);
    assert_int_equal(kpi_arm_sums_merge(&sums, &sums), KPI_ARM_E_OVERFLOW);
    assert_int_equal(kpi_arm_sums_merge(&many, &before), KPI_ARM_E_OVERFLOW);
    assert_true(same_sums(&sums, &before));
}

/* --- what cannot be computed --------------------------------------------------------------- */

static void test_no_units_are_undefined(void **state)
{
    const struct kpi_arm arms[] = {proportion(0, 0), proportion(0, 0)};
    struct kpi_experiment_result result;

    for (int metric = KPI_METRIC_PROPORTION; metric <= KPI_METRIC_RATIO; metric++)
        for (int method = KPI_METHOD_FIXED; method <= KPI_METHOD_SEQUENTIAL; method++) {
            const struct kpi_experiment_options options = options_of(metric, method);

            judge(&options, arms, 2, &result);
            assert_true(isnan(result.values[0]) && isnan(result.values[1]));
            assert_true(isnan(result.srm_p));
            assert_untested(&result.comparisons[0]);
            assert_true(isnan(result.comparisons[0].absolute.value));
            assert_undecided(&result, KPI_REASON_UNITS);
        }
}

static void test_one_unit_has_a_value_but_no_variance(void **state)
{
    const struct kpi_arm arms[] = {mean_arm(1, 5 * ONE, 0), mean_arm(500, 7 * ONE, ONE)};
    struct kpi_experiment_result result;

    for (int metric = KPI_METRIC_MEAN; metric <= KPI_METRIC_RATIO; metric++)
        for (int method = KPI_METHOD_FIXED; method <= KPI_METHOD_SEQUENTIAL; method++) {
            const struct kpi_experiment_options options = options_of(metric, method);

            judge(&options, arms, 2, &result);
            assert_true(fabs(result.values[0] - 5) < 1e-15);
            assert_untested(&result.comparisons[0]);
            assert_true(fabs(result.comparisons[0].absolute.value - 2) < 1e-15);
            assert_true(fabs(result.comparisons[0].relative.value - 0.4) < 1e-15);
        }
}

static void test_arms_in_which_nothing_varies_are_not_tested(void **state)
{
    const struct kpi_arm means[] = {mean_arm(500, 5 * ONE, 0), mean_arm(500, 6 * ONE, 0)};
    const struct kpi_arm none[] = {proportion(0, 500), proportion(0, 500)};
    const struct kpi_arm all[] = {proportion(500, 500), proportion(500, 500)};
    struct kpi_experiment_options options = options_of(KPI_METRIC_MEAN, KPI_METHOD_FIXED);
    struct kpi_experiment_result result;

    for (; options.method <= KPI_METHOD_SEQUENTIAL; options.method++) {
        options.metric = KPI_METRIC_MEAN;
        judge(&options, means, 2, &result);
        assert_untested(&result.comparisons[0]);
        assert_undecided(&result, KPI_REASON_NO_WINNER);
        options.metric = KPI_METRIC_PROPORTION;
        judge(&options, none, 2, &result);
        assert_untested(&result.comparisons[0]);
        assert_true(isnan(result.comparisons[0].relative.value));
        judge(&options, all, 2, &result);
        assert_untested(&result.comparisons[0]);
    }
}

/* Most ratios are not what they seem in binary: x - R y leaves some 1e-17 that is no variance. */
static void test_a_ratio_that_every_unit_has_does_not_vary(void **state)
{
    struct kpi_experiment_result result;

    for (int ratio = 1; ratio < 50; ratio++) {
        const struct kpi_experiment_options options =
            options_of(KPI_METRIC_RATIO, ratio % 2 ? KPI_METHOD_FIXED : KPI_METHOD_SEQUENTIAL);
        struct kpi_arm arms[2] = {{.weight = 1}, {.weight = 1}};

        for (int i = 1; i <= 300; i++) {
            assert_int_equal(kpi_arm_sums_add(&arms[0].sums, i * 7919 * ratio, i * 100003), 0);
            assert_int_equal(kpi_arm_sums_add(&arms[1].sums, i * 7907 * ratio, i * 100019), 0);
        }
        judge(&options, arms, 2, &result);
        assert_true(fabs(result.values[0] / (7919.0 * ratio / 100003) - 1) < 1e-15);
        assert_untested(&result.comparisons[0]);
    }
}

static void test_a_ratio_without_denominator_is_undefined(void **state)
{
    struct kpi_arm arms[] = {mean_arm(200, ONE, 5), mean_arm(200, ONE, 5)};
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_RATIO, KPI_METHOD_SEQUENTIAL);
    struct kpi_experiment_result result;

    arms[1].sums.y = arms[1].sums.yy = arms[1].sums.xy = 0;
    judge(&options, arms, 2, &result);
    assert_false(isnan(result.values[0]));
    assert_true(isnan(result.values[1]));
    assert_untested(&result.comparisons[0]);
}

static void test_uplift_on_nothing_is_undefined_but_the_difference_is_not(void **state)
{
    const struct kpi_arm arms[] = {proportion(0, 1000), proportion(60, 1000)};
    struct kpi_experiment_result result;

    for (int method = KPI_METHOD_FIXED; method <= KPI_METHOD_SEQUENTIAL; method++) {
        const struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, method);

        judge(&options, arms, 2, &result);
        assert_true(isnan(result.comparisons[0].relative.value));
        assert_true(isnan(result.comparisons[0].relative.lower));
        assert_true(result.comparisons[0].absolute.lower > 0);
        assert_winner(&result, 1);
    }
}

/* By the delta method an arm of nothing would be less by exactly 100 %, come what may. */
static void test_a_fall_to_nothing_has_no_relative_interval(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(60, 1000), proportion(0, 1000)};
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_true(fabs(result.comparisons[0].relative.value + 1) < 1e-15);
    assert_true(isnan(result.comparisons[0].relative.lower));
    assert_true(isnan(result.comparisons[0].relative.upper));
    assert_true(result.comparisons[0].absolute.upper < 0);
}

/* Neither arm varies, but the pooled variance of "no difference" does not need them to. */
static void test_none_against_all_is_decided_at_a_fixed_horizon(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(0, 500), proportion(500, 500)};
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_int_equal(result.comparisons[0].test, KPI_TEST_Z);
    assert_true(result.comparisons[0].absolute.lower > 0.98);
    assert_true(result.comparisons[0].absolute.lower < 0.999);
    assert_winner(&result, 1);
}

static void test_equal_arms_differ_by_nothing(void **state)
{
    const struct kpi_arm proportions[] = {proportion(50, 1000), proportion(50, 1000)};
    const struct kpi_arm few[] = {proportion(2, 1000), proportion(2, 1000)};
    const struct kpi_arm means[] = {mean_arm(1000, 7 * ONE, ONE), mean_arm(1000, 7 * ONE, ONE)};
    const struct kpi_arm *all[] = {proportions, few, means, means};
    struct kpi_experiment_result result;

    for (int method = KPI_METHOD_FIXED; method <= KPI_METHOD_SEQUENTIAL; method++)
        for (int i = 0; i < 4; i++) {
            const struct kpi_experiment_options options = options_of(i < 2 ? KPI_METRIC_PROPORTION
                                                                     : i == 2 ? KPI_METRIC_MEAN
                                                                              : KPI_METRIC_RATIO,
                                                                     method);

            judge(&options, all[i], 2, &result);
            assert_true(fabs(result.comparisons[0].absolute.value) <= 0);
            assert_true(fabs(result.comparisons[0].relative.value) <= 0);
            assert_true(fabs(result.comparisons[0].p - 1) < 1e-12);
            assert_undecided(&result, KPI_REASON_NO_WINNER);
        }
}

static void test_a_billion_units_are_told_apart_by_a_thousandth_of_a_percent(void **state)
{
    const struct kpi_arm arms[] = {proportion(100000000, 1000000000),
                                   proportion(100100000, 1000000000)};
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_SEQUENTIAL);
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_true(fabs(result.comparisons[0].absolute.value / 1e-4 - 1) < 1e-12);
    assert_winner(&result, 1);
}

/* --- the split ---------------------------------------------------------------------------- */

static void test_a_split_that_does_not_fit_blocks_before_anything_else(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(50, 1000), proportion(300, 1200)};
    struct kpi_experiment_result result;

    options.run_min = KPI_DAY;
    options.units_min = 100000;
    kpi_experiment_judge(&options, arms, 2, 0, &result);
    assert_true(result.srm_p < 0.001);
    assert_int_equal(result.verdict, KPI_VERDICT_BLOCKED);
    assert_int_equal(result.reason, KPI_REASON_SRM);
    assert_int_equal(result.winner, KPI_ARM_NONE);
    assert_true(result.comparisons[0].significant);
}

static void test_a_split_is_judged_against_its_declared_weights(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    struct kpi_arm arms[] = {proportion(50, 1000), proportion(300, 2000)};
    struct kpi_experiment_result result;

    arms[1].weight = 2;
    judge(&options, arms, 2, &result);
    assert_true(fabs(result.srm_p - 1) < 1e-12);
    assert_winner(&result, 1);
    arms[1].weight = 1;
    judge(&options, arms, 2, &result);
    assert_int_equal(result.verdict, KPI_VERDICT_BLOCKED);
}

static void test_a_split_is_not_judged_below_100_units(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    struct kpi_arm arms[] = {proportion(5, 20), proportion(5, 79)};
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_true(result.srm_p < 0.001);
    assert_undecided(&result, KPI_REASON_UNITS);
    arms[1] = proportion(5, 80);
    judge(&options, arms, 2, &result);
    assert_int_equal(result.verdict, KPI_VERDICT_BLOCKED);
}

/* 1 in 100 of 200 expects 2 units: 8 of them have a chi-squared p of 2e-5, but exactly 0.001. */
static void test_a_lopsided_split_of_two_is_judged_exactly(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    struct kpi_arm arms[] = {proportion(50, 192), proportion(5, 8)};
    struct kpi_experiment_result result;

    arms[0].weight = 99;
    judge(&options, arms, 2, &result);
    assert_true(result.srm_p > 0.001 && result.srm_p < 0.0011);
    assert_undecided(&result, KPI_REASON_UNITS);
}

/* --- too early ---------------------------------------------------------------------------- */

static void test_nothing_is_decided_before_the_minimum_run_is_over(void **state)
{
    struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_SEQUENTIAL);
    const struct kpi_arm arms[] = {proportion(50, 1000), proportion(300, 1000)};
    struct kpi_experiment_result result;

    options.run_min = 48 * KPI_HOUR;
    kpi_experiment_judge(&options, arms, 2, 48 * KPI_HOUR - 1, &result);
    assert_true(result.comparisons[0].significant);
    assert_undecided(&result, KPI_REASON_RUN);
    kpi_experiment_judge(&options, arms, 2, 48 * KPI_HOUR, &result);
    assert_winner(&result, 1);
}

static void test_nothing_is_decided_before_each_arm_has_its_units(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    struct kpi_arm arms[] = {proportion(5, 110), proportion(70, 99)};
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_undecided(&result, KPI_REASON_UNITS);
    arms[1] = proportion(70, 100);
    judge(&options, arms, 2, &result);
    assert_winner(&result, 1);
}

/* --- three arms ---------------------------------------------------------------------------- */

static void test_the_best_of_three_beats_both_others(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_SEQUENTIAL);
    const struct kpi_arm arms[] = {proportion(500, 5000), proportion(900, 5000),
                                   proportion(510, 5000)};
    struct kpi_experiment_result result;

    judge(&options, arms, 3, &result);
    assert_int_equal(result.n_comparisons, 3);
    assert_int_equal(result.comparisons[0].a * 10 + result.comparisons[0].b, 1);
    assert_int_equal(result.comparisons[1].a * 10 + result.comparisons[1].b, 2);
    assert_int_equal(result.comparisons[2].a * 10 + result.comparisons[2].b, 12);
    assert_true(result.comparisons[0].relative.value > 0.79);
    assert_true(result.comparisons[2].relative.value < 0);
    assert_winner(&result, 1);
}

static void test_two_good_arms_leave_it_undecided(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(500, 5000), proportion(900, 5000),
                                   proportion(910, 5000)};
    struct kpi_experiment_result result;

    judge(&options, arms, 3, &result);
    assert_true(result.comparisons[0].significant && result.comparisons[1].significant);
    assert_undecided(&result, KPI_REASON_NO_WINNER);
}

static void test_against_a_control_the_best_of_those_that_beat_it_wins(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(910, 5000), proportion(500, 5000),
                                   proportion(900, 5000)};
    struct kpi_experiment_result result;

    options.control = 1;
    judge(&options, arms, 3, &result);
    assert_int_equal(result.n_comparisons, 2);
    assert_int_equal(result.comparisons[0].a * 10 + result.comparisons[0].b, 10);
    assert_int_equal(result.comparisons[1].a * 10 + result.comparisons[1].b, 12);
    assert_winner(&result, 0);
}

static void test_a_control_wins_only_against_all(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    struct kpi_arm arms[] = {proportion(900, 5000), proportion(500, 5000), proportion(890, 5000)};
    struct kpi_experiment_result result;

    options.control = 0;
    judge(&options, arms, 3, &result);
    assert_undecided(&result, KPI_REASON_NO_WINNER);
    arms[2] = proportion(510, 5000);
    judge(&options, arms, 3, &result);
    assert_winner(&result, 0);
}

static void test_where_less_is_better_the_lowest_wins(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_MEAN, KPI_METHOD_SEQUENTIAL);
    const struct kpi_arm arms[] = {mean_arm(1000, 9 * ONE, ONE), mean_arm(1000, 8 * ONE, ONE),
                                   mean_arm(1000, 7 * ONE, ONE)};
    struct kpi_experiment_result result;

    options.better = KPI_BETTER_DOWN;
    judge(&options, arms, 3, &result);
    assert_winner(&result, 2);
    options.control = 0;
    options.one_sided = true;
    judge(&options, arms, 3, &result);
    assert_true(isinf(result.comparisons[0].absolute.lower));
    assert_true(result.comparisons[0].absolute.upper < 0);
    assert_winner(&result, 2);
}

static void test_one_sided_never_finds_what_it_did_not_ask_for(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(900, 5000), proportion(500, 5000)};
    struct kpi_experiment_result result;

    options.control = 0;
    options.one_sided = true;
    for (; options.method <= KPI_METHOD_SEQUENTIAL; options.method++) {
        judge(&options, arms, 2, &result);
        assert_true(result.comparisons[0].p > 0.99);
        assert_true(isinf(result.comparisons[0].absolute.upper));
        assert_undecided(&result, KPI_REASON_NO_WINNER);
    }
}

/* Of three comparisons one has p = 0.02: Holm makes 0.06 of it, of a single one it would pass. */
static void test_several_comparisons_are_held_to_more(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(500, 5000), proportion(535, 5000),
                                   proportion(573, 5000)};
    struct kpi_experiment_result result;

    judge(&options, arms, 2, &result);
    assert_true(fabs(result.comparisons[0].p_adjusted - result.comparisons[0].p) <= 0);
    judge(&options, arms, 3, &result);
    assert_true(result.comparisons[1].p > 0.01 && result.comparisons[1].p < 0.05);
    assert_true(fabs(result.comparisons[1].p_adjusted - 3 * result.comparisons[1].p) < 1e-15);
    assert_false(result.comparisons[1].significant);
    options.correction = KPI_CORRECTION_BH;
    judge(&options, arms, 3, &result);
    assert_true(result.comparisons[1].p_adjusted <= 3 * result.comparisons[1].p);
}

/* An arm of no units cannot be compared, but it is one of the questions. */
static void test_what_could_not_be_tested_still_counts_among_the_comparisons(void **state)
{
    const struct kpi_experiment_options options =
        options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(500, 5000), proportion(600, 5000), proportion(0, 0)};
    struct kpi_experiment_result result;

    judge(&options, arms, 3, &result);
    assert_untested(&result.comparisons[1]);
    assert_untested(&result.comparisons[2]);
    assert_true(fabs(result.comparisons[0].p_adjusted / result.comparisons[0].p - 3) < 1e-12);
}

static void test_the_whole_table_is_tested_where_that_means_something(void **state)
{
    struct kpi_experiment_options options = options_of(KPI_METRIC_PROPORTION, KPI_METHOD_FIXED);
    const struct kpi_arm arms[] = {proportion(500, 5000), proportion(900, 5000),
                                   proportion(910, 5000)};
    struct kpi_experiment_result result;

    judge(&options, arms, 3, &result);
    assert_true(result.any_p < 1e-20);
    judge(&options, arms, 2, &result);
    assert_true(isnan(result.any_p));
    options.method = KPI_METHOD_SEQUENTIAL;
    judge(&options, arms, 3, &result);
    assert_true(isnan(result.any_p));
}

static void test_names_are_those_of_the_interface(void **state)
{
    assert_string_equal(kpi_verdict_name(KPI_VERDICT_UNDECIDED), "undecided");
    assert_string_equal(kpi_verdict_name(KPI_VERDICT_BLOCKED), "blocked");
    assert_string_equal(kpi_verdict_reason_name(KPI_REASON_UNITS), "units");
    assert_string_equal(kpi_test_name(KPI_TEST_FISHER), "fisher");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_over_shards_are_the_sums_of_all),
        cmocka_unit_test(test_a_sum_that_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(test_no_units_are_undefined),
        cmocka_unit_test(test_one_unit_has_a_value_but_no_variance),
        cmocka_unit_test(test_arms_in_which_nothing_varies_are_not_tested),
        cmocka_unit_test(test_a_ratio_that_every_unit_has_does_not_vary),
        cmocka_unit_test(test_a_ratio_without_denominator_is_undefined),
        cmocka_unit_test(test_uplift_on_nothing_is_undefined_but_the_difference_is_not),
        cmocka_unit_test(test_a_fall_to_nothing_has_no_relative_interval),
        cmocka_unit_test(test_none_against_all_is_decided_at_a_fixed_horizon),
        cmocka_unit_test(test_equal_arms_differ_by_nothing),
        cmocka_unit_test(test_a_billion_units_are_told_apart_by_a_thousandth_of_a_percent),
        cmocka_unit_test(test_a_split_that_does_not_fit_blocks_before_anything_else),
        cmocka_unit_test(test_a_split_is_judged_against_its_declared_weights),
        cmocka_unit_test(test_a_split_is_not_judged_below_100_units),
        cmocka_unit_test(test_a_lopsided_split_of_two_is_judged_exactly),
        cmocka_unit_test(test_nothing_is_decided_before_the_minimum_run_is_over),
        cmocka_unit_test(test_nothing_is_decided_before_each_arm_has_its_units),
        cmocka_unit_test(test_the_best_of_three_beats_both_others),
        cmocka_unit_test(test_two_good_arms_leave_it_undecided),
        cmocka_unit_test(test_against_a_control_the_best_of_those_that_beat_it_wins),
        cmocka_unit_test(test_a_control_wins_only_against_all),
        cmocka_unit_test(test_where_less_is_better_the_lowest_wins),
        cmocka_unit_test(test_one_sided_never_finds_what_it_did_not_ask_for),
        cmocka_unit_test(test_several_comparisons_are_held_to_more),
        cmocka_unit_test(test_what_could_not_be_tested_still_counts_among_the_comparisons),
        cmocka_unit_test(test_the_whole_table_is_tested_where_that_means_something),
        cmocka_unit_test(test_names_are_those_of_the_interface),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
