/* Two arms compared. */
#include "stats/compare.h"

#include "stats/distribution.h"
#include "stats/sequential.h"

#include <kpi/interval.h>

#include <math.h>

/* Cochran's rule again, for the cells of a 2 x 2 table. */
#define EXPECTED_MIN 5

static struct kpi_effect effect_around(double value, double below, double above, enum kpi_tail tail)
{
    return (struct kpi_effect){
        .value = value,
        .lower = tail == KPI_TAIL_LESS ? -INFINITY : value - below,
        .upper = tail == KPI_TAIL_GREATER ? INFINITY : value + above,
    };
}

/* The probability that an interval leaves on each side that it closes. */
static double tail_alpha(enum kpi_tail tail, double alpha)
{
    return tail == KPI_TAIL_BOTH ? alpha / 2 : alpha;
}

static double student_or_normal_upper(double statistic, double df)
{
    return isinf(df) ? kpi_normal_upper(statistic) : kpi_student_upper(statistic, df);
}

static double p_of(double statistic, double df, enum kpi_tail tail)
{
    switch (tail) {
    case KPI_TAIL_GREATER:
        return student_or_normal_upper(statistic, df);
    case KPI_TAIL_LESS:
        return student_or_normal_upper(-statistic, df);
    case KPI_TAIL_BOTH:
        break;
    }
    return 2 * student_or_normal_upper(fabs(statistic), df);
}

/* A statistic with a known distribution, and the interval that goes with it. */
static int compare_by_error(enum kpi_test test, double value, double variance, double df,
                            enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference)
{
    const double error = sqrt(variance), level = tail_alpha(tail, alpha);
    struct kpi_difference difference = {.test = test, .statistic = value / error, .df = df};

    if (!(variance > 0))
        return KPI_COMPARE_E_UNDEFINED;
    difference.critical = isinf(df) ? kpi_normal_quantile(level) : kpi_student_quantile(level, df);
    difference.p = p_of(difference.statistic, df, tail);
    difference.effect =
        effect_around(value, difference.critical * error, difference.critical * error, tail);
    *ret_difference = difference;
    return 0;
}

int kpi_compare_means(const struct kpi_estimate *a, const struct kpi_estimate *b,
                      enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference)
{
    const double variance = a->variance + b->variance;
    /* Shares of the whole, as the squares of small variances would underflow. */
    const double share_a = a->variance / variance, share_b = b->variance / variance;
    double df;

    if (!(variance > 0))
        return KPI_COMPARE_E_UNDEFINED;
    df = 1 /
         (share_a * share_a / (double)(a->units - 1) + share_b * share_b / (double)(b->units - 1));
    return compare_by_error(KPI_TEST_WELCH, kpi_estimate_difference(a, b), variance, df, tail,
                            alpha, ret_difference);
}

int kpi_compare_ratios(const struct kpi_estimate *a, const struct kpi_estimate *b,
                       enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference)
{
    return compare_by_error(KPI_TEST_DELTA, kpi_estimate_difference(a, b),
                            a->variance + b->variance, INFINITY, tail, alpha, ret_difference);
}

/* b.hits / b.units - a.hits / a.units, whose numerator is exact in integers. */
static double proportion_difference(const struct kpi_estimate *a, const struct kpi_estimate *b)
{
    const kpi_wide crossed = (kpi_wide)b->hits * a->units - (kpi_wide)a->hits * b->units;

    return (double)crossed / (double)a->units / (double)b->units;
}

/* Newcombe's interval, of two Wilson intervals. */
static struct kpi_effect score_effect(const struct kpi_estimate *a, const struct kpi_estimate *b,
                                      enum kpi_tail tail, double alpha)
{
    /* Wilson's interval leaves half of its alpha on each side. */
    const double both = 2 * tail_alpha(tail, alpha);
    struct kpi_interval in_a = {NAN, NAN}, in_b = {NAN, NAN};

    (void)kpi_interval_wilson(a->hits, a->units, both, &in_a); /* an estimate has units */
    (void)kpi_interval_wilson(b->hits, b->units, both, &in_b);
    return effect_around(proportion_difference(a, b),
                         hypot(b->value - in_b.lower, in_a.upper - a->value),
                         hypot(in_b.upper - b->value, a->value - in_a.lower), tail);
}

int kpi_compare_proportions(const struct kpi_estimate *a, const struct kpi_estimate *b,
                            enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference)
{
    const double n = (double)a->units + (double)b->units;
    const double p = ((double)a->hits + (double)b->hits) / n;
    const double q = ((double)(a->units - a->hits) + (double)(b->units - b->hits)) / n;
    const double pooled = p * q * n / (double)a->units / (double)b->units;
    const double value = proportion_difference(a, b), error = sqrt(a->variance + b->variance);
    const bool few = fmin(p, q) * fmin((double)a->units, (double)b->units) < EXPECTED_MIN;
    struct kpi_difference difference = {.df = INFINITY};

    if (p <= 0 || q <= 0)
        return KPI_COMPARE_E_UNDEFINED;
    difference.critical = kpi_normal_quantile(tail_alpha(tail, alpha));
    if (few) {
        difference.test = KPI_TEST_FISHER;
        difference.statistic = NAN;
        difference.p = kpi_exact_fisher(a->hits, a->units, b->hits, b->units, tail);
    } else {
        difference.test = KPI_TEST_Z;
        difference.statistic = value / sqrt(pooled);
        difference.p = p_of(difference.statistic, INFINITY, tail);
    }
    /* None against all does not vary, and Wald's interval would be a point. */
    difference.effect = few || error <= 0 ? score_effect(a, b, tail, alpha)
                                          : effect_around(value, difference.critical * error,
                                                          difference.critical * error, tail);
    *ret_difference = difference;
    return 0;
}

int kpi_compare_sequential(const struct kpi_estimate *a, const struct kpi_estimate *b,
                           enum kpi_tail tail, double alpha, double tuning_units,
                           struct kpi_difference *ret_difference)
{
    const bool one_sided = tail != KPI_TAIL_BOTH;
    const double units = (double)a->units + (double)b->units;
    const double rho = kpi_sequential_rho(tuning_units, alpha, one_sided);
    const double value = kpi_estimate_difference(a, b), variance = a->variance + b->variance;
    struct kpi_difference difference = {.test = KPI_TEST_SEQUENTIAL, .df = INFINITY};
    double margin;

    if (!(variance > 0))
        return KPI_COMPARE_E_UNDEFINED;
    difference.statistic = value / sqrt(variance);
    difference.critical = kpi_sequential_critical(units, rho, alpha, one_sided);
    difference.p =
        kpi_sequential_p(tail == KPI_TAIL_LESS ? -difference.statistic : difference.statistic,
                         units, rho, one_sided);
    margin = difference.critical * sqrt(variance);
    difference.effect = effect_around(value, margin, margin, tail);
    *ret_difference = difference;
    return 0;
}

struct kpi_effect kpi_relative_effect(const struct kpi_estimate *a, const struct kpi_estimate *b,
                                      enum kpi_tail tail, double critical)
{
    const double ratio = b->value / a->value, size = fabs(a->value);
    const double error = hypot(sqrt(b->variance), ratio * sqrt(a->variance)) / size;

    if (size <= 0)
        return (struct kpi_effect){NAN, NAN, NAN};
    if (!(error > 0))
        return (struct kpi_effect){kpi_estimate_difference(a, b) / size, NAN, NAN};
    return effect_around(kpi_estimate_difference(a, b) / size, critical * error, critical * error,
                         tail);
}
