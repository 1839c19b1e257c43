/* What events add to sums of which only so much counts of each user: see spec/capped.c. */
#pragma once

#include "spec/program.h"

#include <kpi/event.h>

struct kpi_engine;

/*
 * What an event adds to an instance with the aggregate CAPPED. `row` is the user's as it stood
 * before, or NULL; `updates` are what the event does to it. False: it changes none of the sums
 * that the instance is made of, so it does not count.
 */
bool kpi_capped_gain(const struct kpi_engine *engine, const struct kpi_instance *instance,
                     const int64_t *row, const struct kpi_event *event,
                     const struct kpi_action *const *updates, uint32_t n_updates,
                     kpi_wide *ret_gain);
