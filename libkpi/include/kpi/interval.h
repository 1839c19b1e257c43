/*
 * How sure a number is: intervals of a proportion and of the net promoter score. For what is looked
 * at once; under repeated looks they cover less often than they say.
 *
 * alpha, here and in experiment.h, is the share of intervals that may miss the truth: 0.05 for a
 * 95 % interval; 0 < alpha < 0.5.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_INTERVAL_E_UNDEFINED = 1, /* no answers: nothing can be said */
};

struct kpi_interval {
    double lower, upper;
};

/*
 * E. Wilson's score interval of hits / n, 0 <= hits <= n: within [0, 1], and honest for few hits
 * and for few trials. Returns 0 or KPI_INTERVAL_E_UNDEFINED if n is 0.
 */
int kpi_interval_wilson(int64_t hits, int64_t n, double alpha, struct kpi_interval *ret_interval);

/* In points, -100 to 100. */
struct kpi_nps {
    double value;
    double standard_error;
    struct kpi_interval interval; /* normal, cut to [-100, 100] */
};

/*
 * Of n answers, with p = promoters / n and d = detractors / n: value 100 (p - d), variance
 * 100^2 (p + d - (p - d)^2) / n. When all answers are of one kind the variance is 0 and the
 * interval a point, whatever n is. Returns 0 or KPI_INTERVAL_E_UNDEFINED if n is 0.
 */
int kpi_nps(int64_t promoters, int64_t detractors, int64_t n, double alpha,
            struct kpi_nps *ret_nps);
