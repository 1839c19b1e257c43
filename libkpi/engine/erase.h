/*
 * Users who are to be forgotten.
 *
 * The event takes the user out of the table and empties the row of attributes at once: from then on
 * nobody can be counted under the id. Its bits in cells and caches go in a *sweep*, of all that
 * were erased since the last one together, before anything is reported or saved: a sweep looks at
 * every cell, so that many erasures cost hardly more than one.
 */
#pragma once

#include "engine/state.h"

/* Forgets a user, if there is one of that hash; with `bar` for good. Returns 0 or -ENOMEM. */
int kpi_engine_erase(struct kpi_engine *engine, uint64_t hash, bool bar);

/* Clears the bits of those erased since the last sweep. Returns 0 or -ENOMEM. */
int kpi_engine_sweep(struct kpi_engine *engine);

/* Has anybody among the ids [from, to) been erased since the last save? */
static inline bool kpi_erased_among(const struct kpi_erased *erased, uint64_t from, uint64_t to)
{
    return erased->unsaved && roaring_bitmap_range_cardinality(erased->unsaved, from, to) > 0;
}

/* All of it has been saved. */
void kpi_erased_saved(struct kpi_erased *erased);
void kpi_erased_free(struct kpi_erased *erased);
