/*
 * Tails and quantiles of the distributions that tests need. Tails are computed as tails, never as
 * 1 - something, so they keep their relative accuracy down to 1e-300 (relative error below 1e-12
 * for parameters up to 1e6, below 1e-10 up to 1e9).
 */
#pragma once

#include <stdint.h>

/* P(Z > z) of the standard normal distribution. */
double kpi_normal_upper(double z);

/* The z >= 0 with P(Z > z) = tail, for 0 < tail <= 0.5. Relative error below 1e-13, and absolute
 * below 1e-15 near 0. */
double kpi_normal_quantile(double tail);

/* P(T > t) of Student's distribution with df > 0 degrees of freedom (not necessarily whole). 0
 * from t = 1e154 on, whose square no double holds. */
double kpi_student_upper(double t, double df);

/* The t >= 0 with P(T > t) = tail, for 1e-140 <= tail <= 0.5 and df >= 1. Relative error below
 * 1e-11, and absolute below 1e-15 near 0. */
double kpi_student_quantile(double tail, double df);

/* P(X > x) of the chi-squared distribution with df > 0 degrees of freedom, x >= 0. */
double kpi_chi2_upper(double x, double df);

/* Binomial distribution of n >= 0 trials with 0 <= p <= 1: P(X = k), P(X <= k), P(X >= k). Any k.
 */
double kpi_binomial_at(int64_t k, int64_t n, double p);
double kpi_binomial_lower(int64_t k, int64_t n, double p);
double kpi_binomial_upper(int64_t k, int64_t n, double p);
