/*
 * The two incomplete functions that libm lacks, and the terms that they are made of. Relative error
 * of all: below 1e-12 for parameters up to 1e4 and below 1e-10 up to 1e9, down to results of
 * 1e-300; what is smaller than a double can hold is 0. Time is O(sqrt(largest parameter)).
 */
#pragma once

/*
 * x^a (1-x)^b / B(a, b), for a, b > 0, 0 <= x <= 1. Both x and y = 1 - x are asked for, so that
 * neither has to be computed from the other when it is tiny.
 */
double kpi_beta_term(double a, double b, double x, double y);

/* Regularised incomplete beta function I_x(a, b); arguments as above. 1 - I_x(a, b) = I_y(b, a). */
double kpi_beta_incomplete(double a, double b, double x, double y);

/* Regularised upper incomplete gamma function Q(a, x), for a > 0, x >= 0. */
double kpi_gamma_upper(double a, double x);
