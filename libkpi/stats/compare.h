/*
 * Two arms compared: is b different from a (or on one side of it), and by how much. Every function
 * returns 0 and fills the difference, or KPI_COMPARE_E_UNDEFINED: an arm has too few units for a
 * variance, or nothing varies in either, so that no size of difference could be called unusual.
 */
#pragma once

#include <kpi/experiment.h>

#include "stats/arm.h"
#include "stats/exact.h"

enum {
    KPI_COMPARE_E_UNDEFINED = 1,
};

struct kpi_difference {
    enum kpi_test test;
    double statistic; /* z or t; NAN with Fisher's test, which has none */
    double df;        /* degrees of freedom of t; INFINITY for the normal distribution */
    double critical;  /* half of the interval, in standard errors */
    double p;
    struct kpi_effect effect; /* b - a; one-sided: the end that is not asked about is infinite */
};

/* B. Welch, "The generalization of Student's problem", 1947, with F. Satterthwaite's df. */
int kpi_compare_means(const struct kpi_estimate *a, const struct kpi_estimate *b,
                      enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference);

/*
 * Two proportions by z: p with the pooled variance, as "no difference" supposes; the interval with
 * the variance of each (Wald), as it supposes nothing. When a cell of the 2 x 2 table is expected
 * to hold less than 5, p is that of Fisher's exact test. Then, and when one arm has no hits and the
 * other nothing else, the interval is that of R. Newcombe, "Interval estimation for the difference
 * between independent proportions", 1998, method 10, built of two Wilson intervals.
 */
int kpi_compare_proportions(const struct kpi_estimate *a, const struct kpi_estimate *b,
                            enum kpi_tail tail, double alpha,
                            struct kpi_difference *ret_difference);

/* Ratios, whose variance comes from the delta method: normal. */
int kpi_compare_ratios(const struct kpi_estimate *a, const struct kpi_estimate *b,
                       enum kpi_tail tail, double alpha, struct kpi_difference *ret_difference);

/* Any metric by an asymptotic confidence sequence, see sequential.h. */
int kpi_compare_sequential(const struct kpi_estimate *a, const struct kpi_estimate *b,
                           enum kpi_tail tail, double alpha, double tuning_units,
                           struct kpi_difference *ret_difference);

/*
 * (b - a) / |a|, `critical` standard errors wide by the delta method: all NAN if a's value is 0,
 * and the interval NAN if nothing varies.
 */
struct kpi_effect kpi_relative_effect(const struct kpi_estimate *a, const struct kpi_estimate *b,
                                      enum kpi_tail tail, double critical);
