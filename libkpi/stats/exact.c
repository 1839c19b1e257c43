/* Exact binomial test, and Fisher's exact test of a 2 x 2 table. */
#include "stats/exact.h"

#include "stats/distribution.h"

#include <math.h>

/* Probabilities that are equal on paper differ in the last digits. */
#define TIE (1 + 1e-7)

/*
 * The first k in [low, high) that is more likely than `limit`, high if none is; probability rises
 * over [low, high).
 */
static int64_t first_above(int64_t low, int64_t high, int64_t n, double p, double limit)
{
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;

        if (kpi_binomial_at(middle, n, p) > limit)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* What is seen is k <= mode: the tail at k, and the one beyond the mode that is as unlikely. */
static double binomial_below(int64_t k, int64_t n, double p)
{
    const double limit = kpi_binomial_at(k, n, p) * TIE, q = 1 - p;
    const int64_t mode = (int64_t)floor(((double)n + 1) * p);
    /* Seen from the other end, probability rises up to n - mode; k itself is counted already. */
    const int64_t end = n - mode + 1 < n - k ? n - mode + 1 : n - k;
    const int64_t from_end = first_above(0, end, n, q, limit);

    return fmin(1, kpi_binomial_lower(k, n, p) + kpi_binomial_lower(from_end - 1, n, q));
}

double kpi_exact_binomial(int64_t k, int64_t n, double p)
{
    const double expected = (double)n * p;

    if ((double)k == expected)
        return 1;
    return (double)k < expected ? binomial_below(k, n, p) : binomial_below(n - k, n, 1 - p);
}

/* P(X = x) with row sums m and n and column sum c: the binomial probabilities of any p cancel. */
static double hypergeometric_at(int64_t x, int64_t m, int64_t n, int64_t c)
{
    const double p = (double)c / (double)(m + n);

    return kpi_binomial_at(x, m, p) * kpi_binomial_at(c - x, n, p) / kpi_binomial_at(c, m + n, p);
}

/* P(X = x + 1) / P(X = x) */
static double hypergeometric_step(int64_t x, int64_t m, int64_t n, int64_t c)
{
    return (double)(m - x) / (double)(x + 1) * ((double)(c - x) / (double)(n - c + x + 1));
}

double kpi_exact_fisher(int64_t hits_a, int64_t n_a, int64_t hits_b, int64_t n_b,
                        enum kpi_tail tail)
{
    const int64_t c = hits_a + hits_b;
    const int64_t low = c > n_a ? c - n_a : 0, high = c < n_b ? c : n_b;
    const double seen = hypergeometric_at(hits_b, n_b, n_a, c);
    double below = 0, above = 0, term = seen, both = seen;

    for (int64_t x = hits_b; x > low; x--) {
        term /= hypergeometric_step(x - 1, n_b, n_a, c);
        below += term;
        if (term <= seen * TIE)
            both += term;
    }
    term = seen;
    for (int64_t x = hits_b; x < high; x++) {
        term *= hypergeometric_step(x, n_b, n_a, c);
        above += term;
        if (term <= seen * TIE)
            both += term;
    }
    if (tail == KPI_TAIL_BOTH)
        return fmin(1, both);
    return fmin(1, seen + (tail == KPI_TAIL_GREATER ? above : below));
}
