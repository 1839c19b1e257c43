/* Pearson's chi-squared tests of counts, without continuity correction. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * p that k >= 2 counts come from the given weights (> 0, in any unit): k - 1 degrees of freedom.
 * For two counts with an expectation below 5 the exact binomial test. NAN if all counts are 0.
 */
double kpi_table_split(const int64_t *counts, const double *weights, size_t k);

/* p that k >= 2 groups with hits[i] of n[i] have one probability. NAN if all or none are hits. */
double kpi_table_proportions(const int64_t *hits, const int64_t *n, size_t k);
