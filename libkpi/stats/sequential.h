/*
 * Always-valid inference: an interval that covers the truth at all times at once with probability
 * 1 - alpha, so that looking often and stopping when one likes costs nothing but width.
 *
 * The asymptotic confidence sequence of I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy,
 * A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences" (Annals of
 * Statistics, 2024). "Asymptotic" as in the central limit theorem: it wants some tens of units in
 * an arm before it is first looked at.
 */
#pragma once

#include <stdbool.h>

/*
 * The mixing parameter that makes the interval tightest at about `tuning_units` units:
 * sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / N*); one-sided with 2 alpha in the place of alpha.
 * It must stay the same during an experiment.
 */
double kpi_sequential_rho(double tuning_units, double alpha, bool one_sided);

/*
 * Half the width of the interval in standard errors of the estimate, after `units` > 0 units:
 * two-sided  sqrt(N) sqrt(2 (N rho^2 + 1) / (N^2 rho^2) ln(sqrt(N rho^2 + 1) / alpha))
 * one-sided  the same with ln(1 + sqrt(N rho^2 + 1) / (2 alpha)), and one end open
 */
double kpi_sequential_critical(double units, double rho, double alpha, bool one_sided);

/*
 * The alpha at which the interval would just touch 0, at most 1, for an estimate of `z` standard
 * errors (one-sided: in the direction that is asked about).
 */
double kpi_sequential_p(double z, double units, double rho, bool one_sided);
