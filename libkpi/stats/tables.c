/* Pearson's chi-squared tests of counts. */
#include "stats/tables.h"

#include "stats/distribution.h"
#include "stats/exact.h"

#include <math.h>

/* W. Cochran's rule, 1954: with less expected in a cell the chi-squared distribution is not near.
 */
#define EXPECTED_MIN 5

double kpi_table_split(const int64_t *counts, const double *weights, size_t k)
{
    double statistic = 0, sum = 0, expected_min = INFINITY;
    int64_t total = 0;

    for (size_t i = 0; i < k; i++) {
        total += counts[i];
        sum += weights[i];
    }
    if (total == 0)
        return NAN;
    for (size_t i = 0; i < k; i++) {
        const double expected = (double)total * (weights[i] / sum);
        const double off = (double)counts[i] - expected;

        expected_min = fmin(expected_min, expected);
        statistic += off * (off / expected);
    }
    if (k == 2 && expected_min < EXPECTED_MIN)
        return kpi_exact_binomial(counts[0], total, weights[0] / sum);
    return kpi_chi2_upper(statistic, (double)k - 1);
}

double kpi_table_proportions(const int64_t *hits, const int64_t *n, size_t k)
{
    double statistic = 0, p;
    int64_t all_hits = 0, all = 0;
    size_t groups = 0;

    for (size_t i = 0; i < k; i++) {
        all_hits += hits[i];
        all += n[i];
        groups += n[i] > 0;
    }
    if (all_hits == 0 || all_hits == all || groups < 2)
        return NAN;
    p = (double)all_hits / (double)all;
    for (size_t i = 0; i < k; i++) {
        /* Both cells of the row are off by the same number. */
        const double off = (double)hits[i] - (double)n[i] * p;

        if (n[i] > 0)
            statistic +=
                off / ((double)n[i] * p) * (off / ((double)(all - all_hits) / (double)all));
    }
    return kpi_chi2_upper(statistic, (double)groups - 1);
}
