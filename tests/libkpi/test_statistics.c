/*
 * The statistics say what SciPy and statsmodels say, to 1e-9: tests/vectors/stats, whose
 * generate.py names versions. Numbers are compared by their own size, the ends of an interval by
 * its width, since near 0 they are what is left of a difference.
 */
#include "stats/adjust.h"
#include "stats/arm.h"
#include "stats/compare.h"
#include "stats/distribution.h"
#include "stats/exact.h"
#include "stats/sequential.h"
#include "stats/special.h"
#include "stats/tables.h"

#include <kpi/interval.h>

#include <cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define TOLERANCE 1e-9

/* --- reading ----------------------------------------------------------------------------- */

static cJSON *load(const char *name)
{
    char path[4096], *text;
    FILE *file;
    size_t length;
    cJSON *root;

    snprintf(path, sizeof(path), "%s/stats/%s.json", TEST_VECTORS, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    length = (size_t)ftell(file);
    rewind(file);
    text = malloc(length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, length, file), length);
    text[length] = 0;
    fclose(file);
    root = cJSON_Parse(text);
    free(text);
    assert_non_null(root);
    return root;
}

static const cJSON *get(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    assert_non_null(item);
    return item;
}

static double number(const cJSON *object, const char *key)
{
    assert_true(cJSON_IsNumber(get(object, key)));
    return get(object, key)->valuedouble;
}

static double at(const cJSON *array, int i)
{
    const cJSON *item = cJSON_GetArrayItem(array, i);

    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* The cases of a group, of which there must be some: a loop over nothing proves nothing. */
static const cJSON *group(const cJSON *root, const char *name)
{
    assert_true(cJSON_GetArraySize(get(root, name)) >= 10);
    return get(root, name);
}

static kpi_wide wide(const cJSON *arm, const char *key)
{
    const char *text = cJSON_GetStringValue(get(arm, key));
    const bool negative = text[0] == '-';
    kpi_wide value = 0;

    for (text += negative; *text; text++)
        value = value * 10 + (*text - '0');
    return negative ? -value : value;
}

static struct kpi_estimate estimate(enum kpi_metric metric, const cJSON *arm)
{
    const struct kpi_arm_sums sums = {
        .units = (int64_t)number(arm, "n"),
        .x = wide(arm, "x"),
        .y = wide(arm, "y"),
        .xx = wide(arm, "xx"),
        .xy = wide(arm, "xy"),
        .yy = wide(arm, "yy"),
    };
    struct kpi_estimate result;

    assert_int_equal(kpi_estimate_arm(metric, &sums, &result), 0);
    return result;
}

/* [hits, units] */
static struct kpi_estimate proportion(const cJSON *arm)
{
    const struct kpi_arm_sums sums = {
        .units = (int64_t)at(arm, 1),
        .x = (kpi_wide)at(arm, 0) * KPI_DECIMAL_ONE,
        .xx = (kpi_wide)at(arm, 0) * KPI_DECIMAL_ONE * KPI_DECIMAL_ONE,
    };
    struct kpi_estimate result;

    assert_int_equal(kpi_estimate_arm(KPI_METRIC_PROPORTION, &sums, &result), 0);
    return result;
}

static enum kpi_tail tail_of(const cJSON *one)
{
    const char *name = cJSON_GetStringValue(get(one, "tail"));

    if (strcmp(name, "greater") == 0)
        return KPI_TAIL_GREATER;
    return strcmp(name, "less") == 0 ? KPI_TAIL_LESS : KPI_TAIL_BOTH;
}

/* --- comparing --------------------------------------------------------------------------- */

static void check_scaled(const cJSON *one, const char *what, double got, double want, double scale)
{
    char *text;

    if (fabs(got - want) <= TOLERANCE * scale)
        return;
    text = cJSON_PrintUnformatted(one);
    fail_msg("%s: got %.17g, want %.17g: %.300s", what, got, want, text);
}

static void check(const cJSON *one, const char *what, double got, double want)
{
    check_scaled(one, what, got, want, fabs(want));
}

static void check_ends(const cJSON *one, double lower, double upper)
{
    const cJSON *ends = get(one, "interval");
    const double scale = isfinite(upper - lower) ? upper - lower : 0;
    const cJSON *low = cJSON_GetArrayItem(ends, 0), *high = cJSON_GetArrayItem(ends, 1);

    if (cJSON_IsNull(low))
        assert_true(lower < 0 && isinf(lower));
    else
        check_scaled(one, "lower", lower, low->valuedouble, fmax(scale, fabs(low->valuedouble)));
    if (cJSON_IsNull(high))
        assert_true(upper > 0 && isinf(upper));
    else
        check_scaled(one, "upper", upper, high->valuedouble, fmax(scale, fabs(high->valuedouble)));
}

static void check_relative(const cJSON *one, const struct kpi_estimate *a,
                           const struct kpi_estimate *b, double critical)
{
    const struct kpi_effect effect = kpi_relative_effect(a, b, KPI_TAIL_BOTH, critical);
    const cJSON *want = get(one, "relative");
    const double width = at(want, 2) - at(want, 1);

    check_scaled(one, "uplift", effect.value, at(want, 0), width);
    check_scaled(one, "uplift lower", effect.lower, at(want, 1), width);
    check_scaled(one, "uplift upper", effect.upper, at(want, 2), width);
}

/* --- distributions ----------------------------------------------------------------------- */

struct function {
    const char *group;
    double (*call)(const cJSON *arguments);
};

static double call_beta(const cJSON *args)
{
    return kpi_beta_incomplete(at(args, 0), at(args, 1), at(args, 2), 1 - at(args, 2));
}

static double call_gamma(const cJSON *args)
{
    return kpi_gamma_upper(at(args, 0), at(args, 1));
}

static double call_normal_upper(const cJSON *args)
{
    return kpi_normal_upper(at(args, 0));
}

static double call_normal_quantile(const cJSON *args)
{
    return kpi_normal_quantile(at(args, 0));
}

static double call_student_upper(const cJSON *args)
{
    return kpi_student_upper(at(args, 0), at(args, 1));
}

static double call_student_quantile(const cJSON *args)
{
    return kpi_student_quantile(at(args, 0), at(args, 1));
}

static double call_chi2_upper(const cJSON *args)
{
    return kpi_chi2_upper(at(args, 0), at(args, 1));
}

static double call_binomial_at(const cJSON *args)
{
    return kpi_binomial_at((int64_t)at(args, 0), (int64_t)at(args, 1), at(args, 2));
}

static double call_binomial_lower(const cJSON *args)
{
    return kpi_binomial_lower((int64_t)at(args, 0), (int64_t)at(args, 1), at(args, 2));
}

static double call_binomial_upper(const cJSON *args)
{
    return kpi_binomial_upper((int64_t)at(args, 0), (int64_t)at(args, 1), at(args, 2));
}

static const struct function functions[] = {
    {"beta", call_beta},
    {"gamma", call_gamma},
    {"normal_upper", call_normal_upper},
    {"normal_quantile", call_normal_quantile},
    {"student_upper", call_student_upper},
    {"student_quantile", call_student_quantile},
    {"chi2_upper", call_chi2_upper},
    {"binomial_at", call_binomial_at},
    {"binomial_lower", call_binomial_lower},
    {"binomial_upper", call_binomial_upper},
};

static void test_distributions_agree_with_scipy(void **state)
{
    cJSON *root = load("distributions");
    const cJSON *one;

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        cJSON_ArrayForEach(one, group(root, functions[i].group)) check(
            one, functions[i].group, functions[i].call(cJSON_GetArrayItem(one, 0)), at(one, 1));
    cJSON_Delete(root);
}

/* What special.h promises; 1 - x is rounded in the call, which the result feels less than that. */
static void test_incomplete_functions_are_as_precise_as_they_say(void **state)
{
    cJSON *root = load("distributions");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "beta_precise"))
        assert_true(fabs(call_beta(cJSON_GetArrayItem(one, 0)) / at(one, 1) - 1) < 1e-12);
    cJSON_ArrayForEach(one, group(root, "gamma_precise"))
        assert_true(fabs(call_gamma(cJSON_GetArrayItem(one, 0)) / at(one, 1) - 1) < 1e-12);
    cJSON_Delete(root);
}

static void test_quantiles_are_the_roots_of_tails(void **state)
{
    /* The tail moves by z^2 times as much as z does: 1400 * 1e-13. */
    for (double tail = 0.5; tail > 1e-300; tail *= 0.37)
        assert_true(fabs(kpi_normal_upper(kpi_normal_quantile(tail)) / tail - 1) < 2e-10);
    for (double tail = 0.5; tail > 1e-140; tail *= 0.37)
        for (double df = 1; df < 1e9; df *= 31)
            assert_true(fabs(kpi_student_upper(kpi_student_quantile(tail, df), df) / tail - 1) <
                        2e-10);
    assert_true(fabs(kpi_normal_quantile(0.5)) < 1e-15);
}

static void test_tails_beyond_doubles_are_zero(void **state)
{
    assert_true(kpi_normal_upper(40) <= 0);
    assert_true(kpi_chi2_upper(3000, 1) <= 0);
    assert_true(kpi_binomial_at(1000000, 1000000, 1e-6) <= 0);
    assert_true(kpi_student_upper(INFINITY, 3) <= 0);
    assert_true(kpi_student_upper(-INFINITY, 3) >= 1);
}

/* --- tests ------------------------------------------------------------------------------- */

static void check_difference(const cJSON *one, const struct kpi_difference *difference)
{
    /* Of equal arms the libraries see a difference of some 1e-17. */
    check_scaled(one, "statistic", difference->statistic, number(one, "statistic"),
                 fmax(1e-3, fabs(number(one, "statistic"))));
    check(one, "p", difference->p, number(one, "p"));
    check_ends(one, difference->effect.lower, difference->effect.upper);
}

static void test_welch_agrees_with_scipy_and_statsmodels(void **state)
{
    cJSON *root = load("tests");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "welch"))
    {
        const struct kpi_estimate a = estimate(KPI_METRIC_MEAN, get(one, "a"));
        const struct kpi_estimate b = estimate(KPI_METRIC_MEAN, get(one, "b"));
        struct kpi_difference difference;

        assert_int_equal(kpi_compare_means(&a, &b, tail_of(one), number(one, "alpha"), &difference),
                         0);
        assert_int_equal(difference.test, KPI_TEST_WELCH);
        check(one, "df", difference.df, number(one, "df"));
        check_difference(one, &difference);
        if (cJSON_HasObjectItem(one, "relative"))
            check_relative(one, &a, &b, difference.critical);
    }
    cJSON_Delete(root);
}

static void test_proportions_agree_with_statsmodels(void **state)
{
    cJSON *root = load("tests");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "z"))
    {
        const struct kpi_estimate a = proportion(get(one, "a")), b = proportion(get(one, "b"));
        struct kpi_difference difference;

        assert_int_equal(
            kpi_compare_proportions(&a, &b, tail_of(one), number(one, "alpha"), &difference), 0);
        assert_int_equal(difference.test, KPI_TEST_Z);
        check_difference(one, &difference);
    }
    cJSON_Delete(root);
}

static void test_small_counts_agree_with_fisher_of_scipy_and_newcombe_of_statsmodels(void **state)
{
    cJSON *root = load("tests");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "fisher"))
    {
        const struct kpi_estimate a = proportion(get(one, "a")), b = proportion(get(one, "b"));
        struct kpi_difference difference;

        assert_int_equal(
            kpi_compare_proportions(&a, &b, tail_of(one), number(one, "alpha"), &difference), 0);
        assert_int_equal(difference.test, KPI_TEST_FISHER);
        check(one, "p", difference.p, number(one, "p"));
        check_ends(one, difference.effect.lower, difference.effect.upper);
    }
    cJSON_Delete(root);
}

static void test_ratios_agree_with_the_delta_method_in_50_digits(void **state)
{
    cJSON *root = load("tests");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "delta"))
    {
        const struct kpi_estimate a = estimate(KPI_METRIC_RATIO, get(one, "a"));
        const struct kpi_estimate b = estimate(KPI_METRIC_RATIO, get(one, "b"));
        struct kpi_difference difference;

        assert_int_equal(
            kpi_compare_ratios(&a, &b, tail_of(one), number(one, "alpha"), &difference), 0);
        assert_int_equal(difference.test, KPI_TEST_DELTA);
        check_difference(one, &difference);
        check_relative(one, &a, &b, difference.critical);
    }
    cJSON_Delete(root);
}

static void test_exact_binomial_agrees_with_scipy(void **state)
{
    cJSON *root = load("tests");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "binomial"))
        check(one, "p",
              kpi_exact_binomial((int64_t)number(one, "k"), (int64_t)number(one, "n"),
                                 number(one, "weight")),
              number(one, "p"));
    cJSON_Delete(root);
}

static size_t counts_of(const cJSON *array, int64_t *ret_counts)
{
    const int n = cJSON_GetArraySize(array);

    for (int i = 0; i < n; i++)
        ret_counts[i] = (int64_t)at(array, i);
    return (size_t)n;
}

static void test_chi_squared_of_a_split_agrees_with_scipy(void **state)
{
    cJSON *root = load("tests");
    int64_t counts[KPI_ARMS_MAX];
    double weights[KPI_ARMS_MAX];
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "split"))
    {
        const size_t k = counts_of(get(one, "counts"), counts);

        for (size_t i = 0; i < k; i++)
            weights[i] = at(get(one, "weights"), (int)i);
        check(one, "p", kpi_table_split(counts, weights, k), number(one, "p"));
    }
    cJSON_Delete(root);
}

static void test_chi_squared_of_a_table_agrees_with_scipy(void **state)
{
    cJSON *root = load("tests");
    int64_t hits[KPI_ARMS_MAX], units[KPI_ARMS_MAX];
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "table"))
    {
        const size_t k = counts_of(get(one, "hits"), hits);

        counts_of(get(one, "units"), units);
        check(one, "p", kpi_table_proportions(hits, units, k), number(one, "p"));
    }
    cJSON_Delete(root);
}

/* --- intervals, adjustment, sequential ----------------------------------------------------- */

static void test_wilson_agrees_with_statsmodels(void **state)
{
    cJSON *root = load("intervals");
    struct kpi_interval interval;
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "wilson"))
    {
        assert_int_equal(kpi_interval_wilson((int64_t)number(one, "hits"),
                                             (int64_t)number(one, "n"), number(one, "alpha"),
                                             &interval),
                         0);
        check_ends(one, interval.lower, interval.upper);
    }
    cJSON_Delete(root);
}

static void test_nps_agrees_with_its_variance_in_50_digits(void **state)
{
    cJSON *root = load("intervals");
    const cJSON *one;
    struct kpi_nps nps;

    cJSON_ArrayForEach(one, group(root, "nps"))
    {
        assert_int_equal(kpi_nps((int64_t)number(one, "promoters"),
                                 (int64_t)number(one, "detractors"), (int64_t)number(one, "n"),
                                 number(one, "alpha"), &nps),
                         0);
        check(one, "value", nps.value, number(one, "value"));
        check(one, "error", nps.standard_error, number(one, "error"));
        check_ends(one, nps.interval.lower, nps.interval.upper);
    }
    cJSON_Delete(root);
}

static void test_adjusted_p_agree_with_statsmodels(void **state)
{
    double p[KPI_ADJUST_MAX], holm[KPI_ADJUST_MAX], bh[KPI_ADJUST_MAX];
    cJSON *root = load("adjust");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "cases"))
    {
        const int n = cJSON_GetArraySize(get(one, "p"));

        for (int i = 0; i < n; i++)
            p[i] = at(get(one, "p"), i);
        kpi_adjust_holm(p, (size_t)n, holm);
        kpi_adjust_bh(p, (size_t)n, bh);
        for (int i = 0; i < n; i++) {
            check(one, "holm", holm[i], at(get(one, "holm"), i));
            check(one, "bh", bh[i], at(get(one, "bh"), i));
        }
    }
    cJSON_Delete(root);
}

static void test_confidence_sequences_agree_with_their_formula_in_50_digits(void **state)
{
    cJSON *root = load("sequential");
    const cJSON *one;

    cJSON_ArrayForEach(one, group(root, "cases"))
    {
        const bool one_sided = cJSON_IsTrue(get(one, "one_sided"));
        const double alpha = number(one, "alpha"), units = number(one, "units");
        const double rho = kpi_sequential_rho(number(one, "tuning"), alpha, one_sided);

        check(one, "rho", rho, number(one, "rho"));
        check(one, "critical", kpi_sequential_critical(units, rho, alpha, one_sided),
              number(one, "critical"));
        check(one, "p", kpi_sequential_p(number(one, "z"), units, rho, one_sided),
              number(one, "p"));
    }
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions_agree_with_scipy),
        cmocka_unit_test(test_incomplete_functions_are_as_precise_as_they_say),
        cmocka_unit_test(test_quantiles_are_the_roots_of_tails),
        cmocka_unit_test(test_tails_beyond_doubles_are_zero),
        cmocka_unit_test(test_welch_agrees_with_scipy_and_statsmodels),
        cmocka_unit_test(test_proportions_agree_with_statsmodels),
        cmocka_unit_test(test_small_counts_agree_with_fisher_of_scipy_and_newcombe_of_statsmodels),
        cmocka_unit_test(test_ratios_agree_with_the_delta_method_in_50_digits),
        cmocka_unit_test(test_exact_binomial_agrees_with_scipy),
        cmocka_unit_test(test_chi_squared_of_a_split_agrees_with_scipy),
        cmocka_unit_test(test_chi_squared_of_a_table_agrees_with_scipy),
        cmocka_unit_test(test_wilson_agrees_with_statsmodels),
        cmocka_unit_test(test_nps_agrees_with_its_variance_in_50_digits),
        cmocka_unit_test(test_adjusted_p_agree_with_statsmodels),
        cmocka_unit_test(test_confidence_sequences_agree_with_their_formula_in_50_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
