/* Step-down and step-up adjustment of p. */
#include "stats/adjust.h"

#include <assert.h>
#include <math.h>

/* Indexes of p in rising order; ties stay in their order. */
static void rank(const double *p, size_t n, size_t *ret_order)
{
    assert(n <= KPI_ADJUST_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t j = i;

        for (; j > 0 && p[ret_order[j - 1]] > p[i]; j--)
            ret_order[j] = ret_order[j - 1];
        ret_order[j] = i;
    }
}

void kpi_adjust_holm(const double *p, size_t n, double *ret_adjusted)
{
    size_t order[KPI_ADJUST_MAX];
    double largest = 0;

    rank(p, n, order);
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fmin(1, (double)(n - i) * p[order[i]]));
        ret_adjusted[order[i]] = largest;
    }
}

void kpi_adjust_bh(const double *p, size_t n, double *ret_adjusted)
{
    size_t order[KPI_ADJUST_MAX];
    double smallest = 1;

    rank(p, n, order);
    for (size_t i = n; i > 0; i--) {
        smallest = fmin(smallest, (double)n / (double)i * p[order[i - 1]]);
        ret_adjusted[order[i - 1]] = smallest;
    }
}
