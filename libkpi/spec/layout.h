/*
 * A layout from inside.
 */
#pragma once

#include "spec/plan.h"

struct kpi_layout {
    uint32_t n_references; /* atomic */
    const struct kpi_mem *mem;
    struct kpi_plan *plan;
    uint64_t fingerprint;
    kpi_time as_of;
    kpi_time current_from, current_to; /* the same layout in [from, to) */
    uint32_t n_scopes;
    uint32_t n_rows;      /* of all scopes */
    uint32_t *first_rows; /* by scope, within this block */
    size_t size;          /* of this block */
    struct kpi_scope scopes[];
};

/* Where the starts of the instances stand, behind the rows of all scopes: spec/program.h. */
static inline uint32_t kpi_layout_first_start(const struct kpi_layout *layout)
{
    return layout->n_rows;
}
