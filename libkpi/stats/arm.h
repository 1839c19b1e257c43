/* What the sums of an arm say about it: its value, and how sure that is. */
#pragma once

#include <kpi/experiment.h>

enum {
    KPI_ESTIMATE_E_UNDEFINED = 1, /* no units, or a ratio whose denominator sums to 0 */
};

struct kpi_estimate {
    int64_t units;
    int64_t hits; /* of a proportion: units with x = 1 */
    double value; /* in its own unit, not in 10^-6 */
    double
        variance; /* of `value`, that is, its standard error squared; NAN with less than 2 units */

    /* value = (base + rest) / 10^6. Means are nearly equal in most experiments: taken apart like
     * this, their difference keeps its digits. */
    kpi_wide base;
    double rest;
};

/* Returns 0 or KPI_ESTIMATE_E_UNDEFINED. */
int kpi_estimate_arm(enum kpi_metric metric, const struct kpi_arm_sums *sums,
                     struct kpi_estimate *ret_estimate);

/* b - a */
double kpi_estimate_difference(const struct kpi_estimate *a, const struct kpi_estimate *b);
