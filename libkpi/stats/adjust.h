/* p of several tests, adjusted so that they can be compared with alpha as if there were one. */
#pragma once

#include <stddef.h>

#define KPI_ADJUST_MAX 120

/*
 * S. Holm, "A simple sequentially rejective multiple test procedure", 1979: bounds the probability
 * of any wrong rejection, whatever the tests have to do with each other. At most KPI_ADJUST_MAX.
 */
void kpi_adjust_holm(const double *p, size_t n, double *ret_adjusted);

/*
 * Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", 1995: bounds the expected
 * share of wrong rejections, for tests that are independent or positively dependent.
 */
void kpi_adjust_bh(const double *p, size_t n, double *ret_adjusted);
