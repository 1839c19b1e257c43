/*
 * Latest (or first) scores, and gauges, over windows: what is not a union of users nor a sum.
 */
#pragma once

#include "engine/report.h"

/*
 * The latest score of each user in the windows, or the first of an instance that is of first ones:
 * their sum, and how many users. Costs the answers of these windows. Returns 0 or -ENOMEM.
 */
int kpi_scores_add(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   struct kpi_windows windows, __int128 *ret_sum, uint64_t *ret_users);

/* The latest value of a gauge before `end`; false if there is none. */
bool kpi_gauge_find(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                    kpi_window end, kpi_time *ret_time, int64_t *ret_value);
