/*
 * Sums over the units of an arm, and the moments that follow from them.
 *
 * Sums of squares are the classical way to lose a variance: n * xx - x * x cancels. Here the sums
 * are exact integers, and they are moved to the integer next to the mean while they still are. What
 * is left to subtract in floating point is at most half of what it is subtracted from:
 *
 *   with m the integer nearest to x / n and r = x - n m, so |r| <= n / 2,
 *   sum (x_i - mean)^2 = S - r^2 / n, where S = sum (x_i - m)^2,
 *   and r^2 / n <= |r| / 2 <= sum |x_i - m| / 2 <= S / 2, as the x_i - m are integers.
 *
 * The sums are kept below 2^124 so that no step of this overflows: |m x| <= (|x| / n + 1/2) |x| <=
 * 3/2 xx by the inequality of Cauchy and Schwarz, and the others are smaller.
 */
#include "stats/arm.h"

#include <assert.h>
#include <math.h>

#define WIDE_LIMIT ((kpi_wide)1 << 124)

/* A ratio's variance below this share of its summands is rounding. */
#define RATIO_VARIANCE_MIN 1e-13

int kpi_arm_sums_merge(struct kpi_arm_sums *sums, const struct kpi_arm_sums *other)
{
    struct kpi_arm_sums merged;

    /* Both are below the limit, or products of two 64-bit numbers: the sums cannot wrap. */
    if (__builtin_add_overflow(sums->units, other->units, &merged.units))
        return KPI_ARM_E_OVERFLOW;
    merged.x = sums->x + other->x;
    merged.y = sums->y + other->y;
    merged.xx = sums->xx + other->xx;
    merged.xy = sums->xy + other->xy;
    merged.yy = sums->yy + other->yy;
    /* These bound the others: |x| <= xx for integers, and |xy| <= (xx + yy) / 2. */
    if (merged.xx >= WIDE_LIMIT || merged.yy >= WIDE_LIMIT)
        return KPI_ARM_E_OVERFLOW;
    *sums = merged;
    return 0;
}

int kpi_arm_sums_add(struct kpi_arm_sums *sums, kpi_decimal x, kpi_decimal y)
{
    const struct kpi_arm_sums unit = {
        .units = 1,
        .x = x,
        .y = y,
        .xx = (kpi_wide)x * x,
        .xy = (kpi_wide)x * y,
        .yy = (kpi_wide)y * y,
    };

    return kpi_arm_sums_merge(sums, &unit);
}

/* sum = n * mean + rest, |rest| <= n / 2 */
struct centre {
    kpi_wide mean, rest;
};

static struct centre centre_of(kpi_wide sum, int64_t n)
{
    struct centre centre = {.mean = sum / n, .rest = sum % n};

    if (2 * centre.rest > n) {
        centre.mean++;
        centre.rest -= n;
    } else if (2 * centre.rest < -(kpi_wide)n) {
        centre.mean--;
        centre.rest += n;
    }
    return centre;
}

/* Sum of (u_i - mean of u)(v_i - mean of v), in 10^-12, from the sums of u v, u and v. */
static double central(kpi_wide uv, kpi_wide v, struct centre cu, struct centre cv, int64_t n)
{
    const kpi_wide whole = uv - cu.mean * v - cv.mean * cu.rest;

    return (double)whole - (double)cu.rest * ((double)cv.rest / (double)n);
}

static void estimate_proportion(const struct kpi_arm_sums *sums, struct kpi_estimate *estimate)
{
    const double n = (double)estimate->units;

    estimate->hits = (int64_t)(sums->x / KPI_DECIMAL_ONE);
    assert(estimate->hits >= 0 && estimate->hits <= estimate->units);
    estimate->value = (double)estimate->hits / n;
    estimate->variance = estimate->value * ((double)(estimate->units - estimate->hits) / n) / n;
}

static void estimate_mean(const struct kpi_arm_sums *sums, struct kpi_estimate *estimate)
{
    const struct centre x = centre_of(sums->x, estimate->units);
    const double n = (double)estimate->units;

    estimate->value = (double)sums->x / n / KPI_DECIMAL_ONE;
    estimate->variance =
        n < 2 ? NAN : central(sums->xx, sums->x, x, x, estimate->units) / n / (n - 1);
    estimate->variance /= (double)KPI_DECIMAL_ONE * KPI_DECIMAL_ONE;
}

/*
 * The ratio R of two sums varies as the mean of x - R y by the mean of y (A. Deng, U. Knoblich,
 * J. Lu, "Applying the Delta Method in Metric Analytics", 2018, eq. 4).
 */
static void estimate_ratio(const struct kpi_arm_sums *sums, struct kpi_estimate *estimate)
{
    const struct centre x = centre_of(sums->x, estimate->units);
    const struct centre y = centre_of(sums->y, estimate->units);
    const double n = (double)estimate->units, total = (double)sums->y;
    const double ratio = (double)sums->x / total;
    const double xx = central(sums->xx, sums->x, x, x, estimate->units);
    const double yy = ratio * ratio * central(sums->yy, sums->y, y, y, estimate->units);
    const double xy = ratio * central(sums->xy, sums->y, x, y, estimate->units);
    double spread = xx - 2 * xy + yy;

    if (spread < RATIO_VARIANCE_MIN * (xx + yy))
        spread = 0;
    estimate->value = ratio;
    estimate->variance = n < 2 ? NAN : spread / total * (n / total) / (n - 1);
}

int kpi_estimate_arm(enum kpi_metric metric, const struct kpi_arm_sums *sums,
                     struct kpi_estimate *ret_estimate)
{
    struct kpi_estimate estimate = {.units = sums->units};
    struct centre x;

    if (sums->units == 0 || (metric == KPI_METRIC_RATIO && sums->y == 0))
        return KPI_ESTIMATE_E_UNDEFINED;
    switch (metric) {
    case KPI_METRIC_PROPORTION:
        estimate_proportion(sums, &estimate);
        break;
    case KPI_METRIC_MEAN:
        estimate_mean(sums, &estimate);
        break;
    case KPI_METRIC_RATIO:
        estimate_ratio(sums, &estimate);
        break;
    }
    if (metric == KPI_METRIC_RATIO) {
        estimate.rest = estimate.value * KPI_DECIMAL_ONE;
    } else {
        x = centre_of(sums->x, sums->units);
        estimate.base = x.mean;
        estimate.rest = (double)x.rest / (double)sums->units;
    }
    *ret_estimate = estimate;
    return 0;
}

double kpi_estimate_difference(const struct kpi_estimate *a, const struct kpi_estimate *b)
{
    return ((double)(b->base - a->base) + (b->rest - a->rest)) / KPI_DECIMAL_ONE;
}
