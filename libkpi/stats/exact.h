/*
 * Exact tests, for counts too small for the normal approximation. Two-sided p is the probability of
 * everything that is at most as likely as what was seen (the method of R and SciPy; equal up to
 * 1e-7 counts as equally likely).
 */
#pragma once

#include <stdint.h>

/* Which outcomes speak against "no difference". */
enum kpi_tail {
    KPI_TAIL_BOTH,
    KPI_TAIL_GREATER,
    KPI_TAIL_LESS,
};

/* Two-sided p of k hits in n >= 1 trials of probability 0 < p < 1. */
double kpi_exact_binomial(int64_t k, int64_t n, double p);

/*
 * Fisher's test of hits_a in n_a against hits_b in n_b; GREATER: b has the greater probability. All
 * n >= 1, and neither none nor all may be hits. Time is O(the smallest row or column sum).
 */
double kpi_exact_fisher(int64_t hits_a, int64_t n_a, int64_t hits_b, int64_t n_b,
                        enum kpi_tail tail);
