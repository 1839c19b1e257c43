/*
 * retained() and first_time(): cohorts, and what has become of them. Users are told apart by the
 * day of their first start event; everything about a cohort is a sum over such days, so each day is
 * computed once and scopes add.
 */
#pragma once

#include "engine/state.h"

/* Users whose first day this is, or, of a recurring leaf, the first one of its period. */
struct kpi_cohort {
    kpi_day day;
    bool mature;
    uint64_t users, retained; /* retained only if mature */
};

struct kpi_cohorts {
    struct kpi_cohort *days; /* ascending */
    uint32_t n, n_max;
};

void kpi_cohorts_deinit(struct kpi_cohorts *cohorts, const struct kpi_mem *mem);

/*
 * All cohorts of a tuple by a retained() leaf, as seen when `today` is the local day. i_return: the
 * leaf's place among the plan's n_returns retained() leaves; return_tuple: the campaign's, for a
 * return that is told apart by it. Returns 0 or -ENOMEM.
 */
int kpi_cohorts_make(struct kpi_engine *engine, const struct kpi_leaf *leaf, uint32_t i_return,
                     uint32_t n_returns, uint32_t zone, uint32_t tuple, uint32_t return_tuple,
                     kpi_day today, struct kpi_cohorts *cohorts);

/*
 * Users whose first day in the series is in [start, end). n_returns: the plan's retained() leaves.
 * Returns 0 or -ENOMEM.
 */
int kpi_firsts_count(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                     uint32_t n_returns, kpi_day start, kpi_day end, uint64_t *ret_count);
