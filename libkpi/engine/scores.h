/*
 * Latest scores and gauges over days: what is not a union of users nor a sum of days.
 */
#pragma once

#include "engine/state.h"

/*
 * The latest score of each user in the days [start, end): their sum, and how many users. Costs the
 * answers of these days. Returns 0 or -ENOMEM.
 */
int kpi_scores_add(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   kpi_day start, kpi_day end, __int128 *ret_sum, uint64_t *ret_users);

/* The latest value of a gauge before `end`; false if there is none. */
bool kpi_gauge_find(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_day end,
                    kpi_time *ret_time, int64_t *ret_value);
