/*
 * What a KPI can be at all, from its formula alone: so that a target whose deviation no value can
 * reach is told to whoever writes it, and not found out on the day it should have fired.
 */
#pragma once

#include <kpi/plan.h>

struct kpi_bounds {
    double low, high;    /* no value lies outside; -INFINITY and INFINITY where nothing is known */
    bool counts_users;   /* the sample (denominator, or all of it) is a number of distinct users */
    bool counts_nothing; /* it does not grow with events: a rate, an index */
    uint32_t days_kept;  /* a value needs events of so many days at least; 0: nothing in particular
                          */
};

/*
 * Users by users of unit ratio are taken for a share, which ends at 1, though missing events can
 * make it more; points lie between -100 and 100. Amounts are never negative, other fields may be.
 */
void kpi_plan_bounds(const struct kpi_plan *plan, uint32_t kpi, struct kpi_bounds *ret_bounds);

struct kpi_target; /* kpi/alert.h */
/* The same as days_kept, of the value of a target in its scope; 0 if it does not vary. */
uint32_t kpi_plan_target_days(const struct kpi_plan *plan, const struct kpi_target *target);
