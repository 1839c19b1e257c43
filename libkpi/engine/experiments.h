/*
 * Experiments in an engine: what is kept of each user.
 *
 * What an experiment counts does not depend on the order of arrival, but for goals that are added
 * up (a mean or ratio): a goal event that arrives before an exposure that precedes it may be
 * missing in the sums. That is noticed, and such users are counted as uncertain. For one log it is
 * always the same.
 */
#pragma once

#include "engine/state.h"

#include <kpi/answers.h>

/* Is the event, which passes the part's filter, one that the part takes? */
bool kpi_experiment_takes(const struct kpi_experiment *experiment, uint32_t part,
                          const struct kpi_event *event);

/*
 * Brings the slots of the experiment's attribute in a row up to date with an event that the part
 * takes.
 */
void kpi_experiment_update(const struct kpi_experiment *experiment, uint32_t part,
                           const struct kpi_event *event, int64_t *slots);

/*
 * Before that, of an experiment that is broken down: the values of an exposure at that time, as a
 * tuple of its set.
 */
void kpi_experiment_tell_apart(const struct kpi_engine *engine,
                               const struct kpi_experiment *experiment, kpi_time time,
                               uint32_t tuple, int64_t *slots);
/* The tuple of a user's first exposure; KPI_DICTIONARY_NONE if there is none. */
uint32_t kpi_experiment_tuple(const struct kpi_engine *engine,
                              const struct kpi_experiment *experiment, const int64_t *slots);

/* What the slots say of a user. */
struct kpi_experiment_unit {
    kpi_time exposed; /* first */
    bool in_two_arms; /* then nothing of what follows is there */
    bool is_uncertain;
    uint32_t arm; /* its place in kpi_experiment.arms */
    kpi_decimal x, y;
};

/* False: the user is not in the experiment. */
bool kpi_experiment_unit(const struct kpi_experiment *experiment, const int64_t *slots,
                         struct kpi_experiment_unit *ret_unit);

/*
 * Appends the answers of all experiments, as kpi/experiment.h says what is in them. Costs a walk
 * over all users. 0 or -ENOMEM.
 */
int kpi_experiments_answer(struct kpi_engine *engine, struct kpi_answers *answers);
