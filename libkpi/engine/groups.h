/*
 * Groups of a report: the numbers of each tuple of each breakdown, scope by scope
 * (kpi/supplement.h).
 */
#pragma once

#include "engine/state.h"
#include "spec/supplement.h"

/* The scopes of a campaign in which a tuple has counted anything, and its rows there. */
struct kpi_group_block {
    uint32_t n, n_max;
    uint32_t *scopes; /* of the layout, ascending */
    struct kpi_row *rows;
};

struct kpi_group_list {
    uint32_t *order; /* tuples by campaign, then in canonical order of their values */
    struct kpi_group_block *blocks; /* by tuple */
    uint32_t n, n_max; /* tuples of the set that are in order; from KPI_DICTIONARY_FIRST */
    uint32_t n_spread, n_total_spread; /* tuples of the sets that all campaigns have */
};

/* What is kept from one report to the next. */
struct kpi_groups {
    uint64_t version;             /* of the engine that the blocks tell; 0: nothing is kept */
    uint64_t turned;              /* kpi_report_cache.turned of then */
    struct kpi_group_list *lists; /* by breakdown */
    uint32_t n_lists;
};

/*
 * The sketches of all scopes (sketches.c), into an empty one. As kpi_engine_supplement(), of which
 * it is a part.
 */
int kpi_engine_sketches(struct kpi_engine *engine, const struct kpi_layout *layout,
                        struct kpi_sketches *sketches);

void kpi_groups_flush(struct kpi_engine *engine);
