/* Intervals of a proportion and of the net promoter score. */
#include <kpi/interval.h>

#include "stats/distribution.h"

#include <assert.h>
#include <math.h>

/*
 * E. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. The ends
 * are the roots of (1 + c) q^2 - (2 p + c) q + p^2 with c = z^2 / n. The larger root is a sum; the
 * smaller one follows from their product, as a difference it would lose its digits for few hits.
 */
int kpi_interval_wilson(int64_t hits, int64_t n, double alpha, struct kpi_interval *ret_interval)
{
    double z, p, c, sum;

    assert(alpha > 0 && alpha < 0.5);
    assert(hits >= 0 && hits <= n);
    if (n == 0)
        return KPI_INTERVAL_E_UNDEFINED;
    z = kpi_normal_quantile(alpha / 2);
    p = (double)hits / (double)n;
    c = z * z / (double)n;
    sum = 2 * p + c + sqrt(c * (4 * p * ((double)(n - hits) / (double)n) + c));
    ret_interval->lower = 2 * p * p / sum;
    ret_interval->upper = hits == n ? 1 : sum / (2 * (1 + c));
    return 0;
}

int kpi_nps(int64_t promoters, int64_t detractors, int64_t n, double alpha, struct kpi_nps *ret_nps)
{
    double p, d, margin;

    assert(alpha > 0 && alpha < 0.5);
    assert(promoters >= 0 && detractors >= 0 && promoters <= n && detractors <= n - promoters);
    if (n == 0)
        return KPI_INTERVAL_E_UNDEFINED;
    p = (double)promoters / (double)n;
    d = (double)detractors / (double)n;
    ret_nps->value = 100 * ((double)(promoters - detractors) / (double)n);
    /* p + d - (p - d)^2, without the difference: p (1 - p) + d (1 - d) + 2 p d. */
    ret_nps->standard_error = 100 * sqrt((p * ((double)(n - promoters) / (double)n) +
                                          d * ((double)(n - detractors) / (double)n) + 2 * p * d) /
                                         (double)n);
    margin = kpi_normal_quantile(alpha / 2) * ret_nps->standard_error;
    ret_nps->interval.lower = fmax(ret_nps->value - margin, -100);
    ret_nps->interval.upper = fmin(ret_nps->value + margin, 100);
    return 0;
}
