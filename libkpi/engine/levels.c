/* Levels: see levels.h. */
#include "engine/levels.h"
#include "engine/report.h"

int kpi_cell_view(struct kpi_engine *engine, struct kpi_cell *cell,
                  const roaring_bitmap_t **ret_bitmap)
{
    if (cell->form == KPI_CELL_FROZEN) {
        *ret_bitmap = cell->frozen.bitmap;
        return 0;
    }
    if (!cell->view) {
        int r = kpi_set_to_roaring(&cell->hot, &engine->mem, &cell->view);

        if (r < 0)
            return r;
        cell->view_next = engine->report->views;
        engine->report->views = cell;
    }
    *ret_bitmap = cell->view;
    return 0;
}

int kpi_window_sets_get(struct kpi_engine *engine, const struct kpi_cell *base, uint32_t n,
                        struct kpi_window_sets *ret_sets)
{
    uint32_t instance = base->instance;

    memset(ret_sets, 0, sizeof(*ret_sets));
    for (uint32_t k = 0; k < n && instance != KPI_NO_INDEX; k++) {
        struct kpi_series *series = kpi_series_find(engine, instance, base->tuple);
        struct kpi_cell *cell = series ? kpi_series_cell(series, base->window) : NULL;

        if (cell) {
            int r = kpi_cell_view(engine, cell, &ret_sets->sets[k]);

            if (r < 0)
                return r;
        }
        instance = engine->program->instances[instance].above;
    }
    return 0;
}

roaring_bitmap_t *kpi_levels_gain(roaring_bitmap_t *const *levels,
                                  const struct kpi_window_sets *window, uint32_t k)
{
    roaring_bitmap_t *gain =
        window->sets[k - 1] ? roaring_bitmap_copy(window->sets[k - 1]) : roaring_bitmap_create();

    for (uint32_t j = 1; gain && j < k; j++) {
        roaring_bitmap_t *both;

        if (!window->sets[j - 1])
            break; /* S1 ⊇ S2 …: no higher one either */
        both = roaring_bitmap_and(levels[k - j - 1], window->sets[j - 1]);
        if (!both) {
            roaring_bitmap_free(gain);
            return NULL;
        }
        roaring_bitmap_or_inplace(gain, both);
        roaring_bitmap_free(both);
    }
    return gain;
}

/* Takes a window into the levels, the highest first: it needs the lower ones as they were. */
int kpi_levels_add(roaring_bitmap_t **levels, uint32_t n, const struct kpi_window_sets *window)
{
    for (uint32_t k = n; k >= 1; k--) {
        roaring_bitmap_t *gain;

        if (k == 1) {
            if (window->sets[0])
                roaring_bitmap_or_inplace(levels[0], window->sets[0]);
            break;
        }
        gain = kpi_levels_gain(levels, window, k);
        if (!gain)
            return -ENOMEM;
        roaring_bitmap_or_inplace(levels[k - 1], gain);
        roaring_bitmap_free(gain);
    }
    return 0;
}

/*
 * A later window's answers replace earlier ones, or count for nothing if first ones are wanted.
 * `answered`, which these need, may be NULL for the others.
 */
static void answers_add(roaring_bitmap_t *answered, roaring_bitmap_t *yes, bool first,
                        const struct kpi_latest *latest)
{
    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];

        if (entry->id == KPI_LATEST_EMPTY)
            continue;
        if (answered && !roaring_bitmap_add_checked(answered, entry->id) && first)
            continue;
        if (entry->stamp_low & 1)
            roaring_bitmap_add(yes, entry->id);
        else
            roaring_bitmap_remove(yes, entry->id);
    }
}

int kpi_levels_take(struct kpi_engine *engine, const struct kpi_cell *cell,
                    roaring_bitmap_t **levels, uint32_t n)
{
    struct kpi_window_sets window;
    int r;

    if (cell->form == KPI_CELL_LATEST) {
        answers_add(n > 1 ? levels[0] : NULL, levels[n - 1], kpi_cell_is_first(engine, cell),
                    &cell->latest);
        return 0;
    }
    r = kpi_window_sets_get(engine, cell, n, &window);
    return r < 0 ? r : kpi_levels_add(levels, n, &window);
}

void kpi_levels_free(roaring_bitmap_t **levels, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (levels[k])
            roaring_bitmap_free(levels[k]);
}
