/*
 * Distributions, on top of libm's erfc() and the incomplete functions of special.h.
 *
 * Quantiles are the roots of the tails here, so that test and interval of one distribution can
 * never contradict each other, and no second set of coefficients has to be trusted.
 */
#include "stats/distribution.h"

#include "stats/special.h"

#include <float.h>
#include <math.h>

static const double sqrt_half = 0.70710678118654752;
static const double sqrt_two_pi = 2.5066282746310005;

double kpi_normal_upper(double z)
{
    return 0.5 * erfc(z * sqrt_half);
}

/*
 * A first guess within 4.5e-4 (M. Abramowitz, I. Stegun, 26.2.23), then Newton's method on the
 * logarithm of the tail with Halley's correction, which triples the digits: the second step is the
 * last that changes anything, the third makes sure.
 */
double kpi_normal_quantile(double tail)
{
    const double t = sqrt(-2 * log(tail));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));

    for (int i = 0; i < 3; i++) {
        const double upper = kpi_normal_upper(z);
        const double hazard = exp(-0.5 * z * z) / sqrt_two_pi / upper;
        const double newton = log(upper / tail) / hazard;

        /* (log upper)'' / (log upper)' = hazard - z */
        z += newton / (1 + 0.5 * newton * (hazard - z));
    }
    return fmax(z, 0);
}

/* DLMF 8.17.21 and the substitution x = df / (df + t^2). */
double kpi_student_upper(double t, double df)
{
    const double square = t * t;
    double both;

    if (isinf(square))
        return t > 0 ? 0 : 1;
    both = kpi_beta_incomplete(0.5 * df, 0.5, df / (df + square), square / (df + square));
    return t > 0 ? 0.5 * both : 1 - 0.5 * both;
}

/*
 * Newton's method on the logarithm of the tail, kept inside a bracket that every step narrows. The
 * tails are heavier than those of the normal distribution, so its quantile is the lower end.
 */
double kpi_student_quantile(double tail, double df)
{
    double low = kpi_normal_quantile(tail), high = 2 * low + 1, t;

    while (kpi_student_upper(high, df) > tail) {
        low = high;
        high *= 2;
    }
    t = low > 0 ? low : 0.5 * high;
    for (int i = 0; i < 200; i++) {
        const double square = t * t, upper = kpi_student_upper(t, df);
        const double density =
            kpi_beta_term(0.5 * df, 0.5, df / (df + square), square / (df + square)) / t;
        double next = t + log(upper / tail) * upper / density;

        if (upper > tail)
            low = t;
        else
            high = t;
        if (!(next > low && next < high))
            next = 0.5 * (low + high);
        if (fabs(next - t) <= 4 * DBL_EPSILON * next)
            return next;
        t = next;
    }
    return t;
}

double kpi_chi2_upper(double x, double df)
{
    return kpi_gamma_upper(0.5 * df, 0.5 * x);
}

double kpi_binomial_at(int64_t k, int64_t n, double p)
{
    const double a = (double)k, b = (double)(n - k);

    if (k < 0 || k > n)
        return 0;
    if (p <= 0 || p >= 1)
        return k == (p <= 0 ? 0 : n) ? 1 : 0;
    if (k == 0)
        return exp(b * log1p(-p));
    if (k == n)
        return exp(a * log(p));
    /* The binomial coefficient is (a + b) / (a b B(a, b)). */
    return kpi_beta_term(a, b, p, 1 - p) / a * ((a + b) / b);
}

double kpi_binomial_lower(int64_t k, int64_t n, double p)
{
    if (k < 0)
        return 0;
    if (k >= n)
        return 1;
    return kpi_beta_incomplete((double)(n - k), (double)k + 1, 1 - p, p); /* DLMF 8.17.5 */
}

double kpi_binomial_upper(int64_t k, int64_t n, double p)
{
    if (k <= 0)
        return 1;
    if (k > n)
        return 0;
    return kpi_beta_incomplete((double)k, (double)(n - k) + 1, p, 1 - p);
}
