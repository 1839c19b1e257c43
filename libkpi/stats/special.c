/*
 * Incomplete beta and gamma functions.
 *
 * The leading terms x^a (1-x)^b / B(a, b) and x^a e^-x / Gamma(a) are what decides accuracy:
 * written with lgamma() they are differences of numbers of size a log a, and at a = 1e9 nothing of
 * the result would be left. So both are written as a deviation from their maximum, with the error
 * of Stirling's formula apart (C. Loader, "Fast and Accurate Computation of Binomial
 * Probabilities", 2000): no term is then larger than the logarithm of the result.
 *
 * What they are multiplied by comes from continued fractions, evaluated by the modified Lentz
 * method (I. Thompson, A. Barnett, J. Comput. Phys. 64, 1986), or a series of positive terms.
 */
#include "stats/special.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* Far beyond what is needed for parameters up to 1e12: a bound for the loops, not a setting. */
#define STEPS_MAX 10000000

static const double two_pi = 6.283185307179586;
static const double half_log_two_pi = 0.91893853320467274;

/*
 * log Gamma(a) - ((a - 1/2) log a - a + log(2 pi) / 2). DLMF 5.11.1; the first term left out is
 * 3617 / (122400 a^15), below 3e-17 from 10 on. Below that no summand of the difference exceeds 30.
 */
static double stirling_error(double a)
{
    static const double coefficients[] = {1.0 / 156,  -691.0 / 360360, 1.0 / 1188, -1.0 / 1680,
                                          1.0 / 1260, -1.0 / 360,      1.0 / 12};
    double sum = 0, square;
    int sign;

    /* lgamma() writes the global signgam. */
    if (a < 10)
        return lgamma_r(a, &sign) - (a - 0.5) * log(a) + a - half_log_two_pi;
    square = a * a;
    for (size_t i = 0; i < sizeof(coefficients) / sizeof(coefficients[0]); i++)
        sum = sum / square + coefficients[i];
    return sum / a;
}

/*
 * log(ratio) - off, where off = ratio - 1 as exactly as the caller knows it. Near 1 by
 * log(1 + z) = 2 atanh(r), r = z / (2 + z) (DLMF 4.6.4), whose first term is taken together with
 * -z; elsewhere the difference is harmless.
 */
static double log_less_linear(double ratio, double off)
{
    const double r = off / (2 + off), square = r * r;
    double sum = 0, power = 1;

    if (fabs(off) > 0.5)
        return log(ratio) - off;
    /* square <= 1/9: 17 terms leave less than 1e-17 of the first. */
    for (int k = 3; k <= 37; k += 2) {
        sum += power / k;
        power *= square;
    }
    return r * (2 * square * sum - off);
}

double kpi_beta_term(double a, double b, double x, double y)
{
    const double total = a + b, off = b * x - a * y;
    double exponent;

    if (x <= 0 || y <= 0)
        return 0;
    exponent = a * log_less_linear(x / a * total, off / a) +
               b * log_less_linear(y / b * total, -off / b) + stirling_error(total) -
               stirling_error(a) - stirling_error(b);
    return sqrt(a / total * b / two_pi) * exp(exponent);
}

/*
 * The even part of DLMF 8.17.22 (A. Didonato, A. Morris, ACM TOMS 18, 1992, eq. 9), for
 * x <= a / (a + b), where it converges fast and all its denominators are positive.
 */
static double beta_fraction(double a, double b, double x, double y)
{
    const double lambda = a * y - b * x;
    double f = a * (lambda + 1) / (a + 1), c = f, d = 0;

    for (int m = 1; m < STEPS_MAX; m++) {
        const double odd = a + 2.0 * m - 1;
        const double alpha = (a + m - 1) / odd * ((a + b + m - 1) / odd) * (m * (b - m) * x * x);
        const double beta =
            m + m * (b - m) * x / odd + (a + m) / (odd + 2) * (lambda + 1 + m * (1 + y));

        d = 1 / (beta + alpha * d);
        c = beta + alpha / c;
        f *= c * d;
        if (fabs(c * d - 1) <= DBL_EPSILON)
            break;
    }
    return f;
}

double kpi_beta_incomplete(double a, double b, double x, double y)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    if (b * x <= a * y)
        return kpi_beta_term(a, b, x, y) / beta_fraction(a, b, x, y);
    return 1 - kpi_beta_term(b, a, y, x) / beta_fraction(b, a, y, x);
}

/* DLMF 8.7.1: P(a, x) divided by x^a e^-x / Gamma(a). */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;

    for (int k = 1; k < STEPS_MAX; k++) {
        term *= x / (a + k);
        sum += term;
        if (term <= sum * (DBL_EPSILON / 4))
            break;
    }
    return sum;
}

/* DLMF 8.9.2, even part: x^a e^-x / Gamma(a) divided by Q(a, x). */
static double gamma_fraction(double a, double x)
{
    double f = x + 1 - a, c = f, d = 0;

    for (int m = 1; m < STEPS_MAX; m++) {
        const double alpha = m * (a - m), beta = x + 2.0 * m + 1 - a;

        d = 1 / (beta + alpha * d);
        c = beta + alpha / c;
        f *= c * d;
        if (fabs(c * d - 1) <= DBL_EPSILON)
            break;
    }
    return f;
}

double kpi_gamma_upper(double a, double x)
{
    double term;

    if (x <= 0)
        return 1;
    term = sqrt(a / two_pi) * exp(a * log_less_linear(x / a, (x - a) / a) - stirling_error(a));
    return x < a + 1 ? 1 - term * gamma_series(a, x) : term / gamma_fraction(a, x);
}
