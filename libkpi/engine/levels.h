/*
 * Levels: users seen at least k times in some windows, L1 ⊇ L2 … ⊇ Ln, as windows are taken in one
 * by one: Lk <- Lk ∪ Sk ∪ (∪j L(k-j) ∩ Sj), where S are the levels of the window. Of latest answers
 * there is one level, those whose latest one is yes, or two, who has answered ⊇ them; of first
 * answers there are these two.
 */
#pragma once

#include "engine/state.h"

/* The sets of one window, or of some, by level: sets[0] are its users. NULL where there is none. */
struct kpi_window_sets {
    const roaring_bitmap_t *sets[KPI_LEVELS_MAX];
};

/* Of answers: do first ones count? */
static inline bool kpi_cell_is_first(const struct kpi_engine *engine, const struct kpi_cell *cell)
{
    return engine->program->instances[cell->instance].is_first;
}

/* The bitmap of a LEVEL cell: its own, or made for this report. Returns 0 or -ENOMEM. */
int kpi_cell_view(struct kpi_engine *engine, struct kpi_cell *cell,
                  const roaring_bitmap_t **ret_bitmap);

/* The n sets of a window, whose cell of level 1 is `base`. Returns 0 or -ENOMEM. */
int kpi_window_sets_get(struct kpi_engine *engine, const struct kpi_cell *base, uint32_t n,
                        struct kpi_window_sets *ret_sets);

/* What a window makes of level k (from 1): ∪j L(k-j) ∩ Sj ∪ Sk. The caller's; NULL: no memory. */
roaring_bitmap_t *kpi_levels_gain(roaring_bitmap_t *const *levels,
                                  const struct kpi_window_sets *window, uint32_t k);
/* Takes a window into n levels. Returns 0 or -ENOMEM, after which it has gone in by half. */
int kpi_levels_add(roaring_bitmap_t **levels, uint32_t n, const struct kpi_window_sets *window);
/* The same with the window of a cell, of level 1 or of answers. */
int kpi_levels_take(struct kpi_engine *engine, const struct kpi_cell *cell,
                    roaring_bitmap_t **levels, uint32_t n);
/* Those that are not NULL. */
void kpi_levels_free(roaring_bitmap_t **levels, uint32_t n);
