/*
 * Conditions as steps: turning canonical ones into what kpi_condition_holds() runs. Conditions of
 * the same text are compiled once.
 */
#pragma once

#include "spec/compile.h"
#include "spec/intern.h"

/* May be embedded; owns its vectors. */
struct kpi_conditions {
    struct kpi_compile *compile;
    struct kpi_vector conditions; /* struct kpi_condition */
    struct kpi_intern texts;      /* their texts' hashes, in the same order */
    struct kpi_vector steps;      /* struct kpi_step */
    struct kpi_vector strings;    /* struct kpi_listed */
    struct kpi_vector numbers;    /* int64_t */
};

void kpi_conditions_init(struct kpi_conditions *conditions, struct kpi_compile *compile);
void kpi_conditions_deinit(struct kpi_conditions *conditions);

/* The index of a sealed condition; NULL or one that always holds is KPI_NO_INDEX. 0 or -ENOMEM. */
int kpi_conditions_intern(struct kpi_conditions *conditions, const struct kpi_cond *cond,
                          uint32_t *ret_index);

/* Copies everything into the plan. 0 or -ENOMEM. */
int kpi_conditions_keep(const struct kpi_conditions *conditions, struct kpi_plan *plan);
