/*
 * Asymptotic confidence sequences.
 *
 * Where both forms come from: for a walk S of unit steps without drift, exp(l S - l^2 N / 2) is a
 * martingale for every l, and so is its mixture over l from a normal distribution of variance
 * rho^2. With x = S rho / sqrt(N rho^2 + 1) the mixture is exp(x^2 / 2) / sqrt(N rho^2 + 1), and by
 * Ville's inequality it ever reaches 1 / alpha with probability at most alpha: the two-sided form.
 *
 * Mixed over positive l only it is 2 exp(x^2 / 2) Phi(x) / sqrt(N rho^2 + 1), which for x > 0 is at
 * least 2 (exp(x^2 / 2) - 1) / sqrt(N rho^2 + 1): the one-sided form (the paper's appendix on
 * one-sided sequences).
 *
 * S / sqrt(N) is the estimate in standard errors, so z^2 = x^2 (N rho^2 + 1) / (N rho^2).
 */
#include "stats/sequential.h"

#include <math.h>

double kpi_sequential_rho(double tuning_units, double alpha, bool one_sided)
{
    const double l = -2 * log(one_sided ? 2 * alpha : alpha);

    return sqrt((l + log1p(l)) / tuning_units);
}

double kpi_sequential_critical(double units, double rho, double alpha, bool one_sided)
{
    const double v = units * rho * rho;
    const double bound = one_sided ? log1p(sqrt(v + 1) / (2 * alpha)) : log(sqrt(v + 1) / alpha);

    return sqrt(2 * (v + 1) / v * bound);
}

double kpi_sequential_p(double z, double units, double rho, bool one_sided)
{
    const double v = units * rho * rho;
    const double exponent = z * z * v / (2 * (v + 1));

    if (!one_sided)
        return fmin(1, sqrt(v + 1) * exp(-exponent));
    if (!(z > 0))
        return 1;
    /* 1 / (e^u - 1) = e^-u / (1 - e^-u), which overflows nowhere. */
    return fmin(1, sqrt(v + 1) / 2 * exp(-exponent) / -expm1(-exponent));
}
