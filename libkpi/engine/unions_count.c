/* Counts of unions with what is hot beside them: see unions.h. */
#include "engine/report.h"
#include "engine/unions.h"

void kpi_hot_free(struct kpi_hot *hot, const struct kpi_mem *mem)
{
    kpi_levels_free(hot->levels, KPI_LEVELS_MAX);
    kpi_mem_free(mem, hot, sizeof(*hot));
}

static int hot_fill(struct kpi_engine *engine, struct kpi_series *series, struct kpi_hot *hot,
                    uint32_t n_bitmaps)
{
    for (uint32_t k = 0; k < n_bitmaps; k++) {
        hot->levels[k] = roaring_bitmap_create();
        if (!hot->levels[k])
            return -ENOMEM;
    }
    for (uint32_t i = kpi_series_position(series, hot->first);
         i < series->n_cells && series->cells[i]->window <= hot->last; i++) {
        int r = kpi_levels_take(engine, series->cells[i], hot->levels, n_bitmaps);

        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * The cells [i, end) of a series as if they were one window. Most scopes of a report end with the
 * same hot cells, so the last of these are kept until it is over.
 */
static int hot_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n, uint32_t i,
                   uint32_t end, struct kpi_hot **ret_hot)
{
    bool latest = series->cells[i]->form == KPI_CELL_LATEST;
    kpi_window first = series->cells[i]->window, last = series->cells[end - 1]->window;
    struct kpi_hot *hot = series->hot;
    int r;

    if (!hot || hot->n != n || hot->first != first || hot->last != last) {
        hot = kpi_mem_zalloc(&engine->mem, sizeof(*hot));
        if (!hot)
            return -ENOMEM;
        *hot = (struct kpi_hot){.first = first, .last = last, .n = n, .series = series};
        r = hot_fill(engine, series, hot, latest ? 2 : n);
        if (r < 0) {
            kpi_hot_free(hot, &engine->mem);
            return r;
        }
        hot->next = engine->report->hots;
        engine->report->hots = hot;
        series->hot = hot;
    }
    *ret_hot = hot;
    return 0;
}

/* Users of level n once these sets have been taken in. */
static int count_with(roaring_bitmap_t *const *levels, uint32_t n,
                      const struct kpi_window_sets *window, uint64_t *ret_count)
{
    const roaring_bitmap_t *top = levels[n - 1];
    roaring_bitmap_t *gain;

    *ret_count = roaring_bitmap_get_cardinality(top);
    if (n == 1) {
        *ret_count += roaring_bitmap_get_cardinality(window->sets[0]) -
                      roaring_bitmap_and_cardinality(top, window->sets[0]);
        return 0;
    }
    gain = kpi_levels_gain(levels, window, n);
    if (!gain)
        return -ENOMEM;
    *ret_count += roaring_bitmap_get_cardinality(gain) - roaring_bitmap_and_cardinality(top, gain);
    roaring_bitmap_free(gain);
    return 0;
}

static uint64_t count_with_answers(const struct kpi_union *u, bool first,
                                   const struct kpi_latest *latest)
{
    const roaring_bitmap_t *yes = u->levels[u->n - 1];
    uint64_t count = roaring_bitmap_get_cardinality(yes);

    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];

        if (entry->id == KPI_LATEST_EMPTY)
            continue;
        if (!first)
            count += (entry->stamp_low & 1) - (uint64_t)roaring_bitmap_contains(yes, entry->id);
        else if (!roaring_bitmap_contains(u->levels[0], entry->id))
            count += entry->stamp_low & 1;
    }
    return count;
}

/* A union with one more cell. */
static int count_one(struct kpi_engine *engine, const struct kpi_union *u,
                     const struct kpi_cell *cell, uint64_t *ret_count)
{
    struct kpi_window_sets window;
    int r;

    if (cell->form == KPI_CELL_LATEST) {
        *ret_count = count_with_answers(u, kpi_cell_is_first(engine, cell), &cell->latest);
        return 0;
    }
    r = kpi_window_sets_get(engine, cell, u->n, &window);
    return r < 0 ? r : count_with(u->levels, u->n, &window, ret_count);
}

/* A union with the cells [i, end) of its series. */
static int count_some(struct kpi_engine *engine, struct kpi_series *series,
                      const struct kpi_union *u, uint32_t i, uint32_t end, uint64_t *ret_count)
{
    struct kpi_window_sets window = {0};
    struct kpi_hot *hot;
    int r = hot_get(engine, series, u->n, i, end, &hot);

    if (r < 0)
        return r;
    if (series->cells[i]->form == KPI_CELL_LATEST) {
        /* Out go who says yes in the union and has a later answer, or says yes but too late. */
        bool first = kpi_cell_is_first(engine, series->cells[i]);

        *ret_count = roaring_bitmap_get_cardinality(u->levels[u->n - 1]) +
                     roaring_bitmap_get_cardinality(hot->levels[1]) -
                     roaring_bitmap_and_cardinality(u->levels[0], hot->levels[first ? 1 : 0]);
        return 0;
    }
    for (uint32_t k = 0; k < u->n; k++)
        window.sets[k] = hot->levels[k];
    return count_with(u->levels, u->n, &window, ret_count);
}

static int count_range(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t n,
                       kpi_window start, kpi_window end, uint64_t *ret_count)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i, i_end;
    struct kpi_union *u;
    int r;

    *ret_count = 0;
    if (!series || start >= end)
        return 0;
    r = kpi_union_get(engine, series, n, start, end, kpi_engine_finished_before(engine, instance),
                      &u);
    if (r < 0)
        return r;
    i = kpi_series_position(series, u->through);
    i_end = kpi_series_position(series, end);
    if (i_end > i + 1)
        return count_some(engine, series, u, i, i_end, ret_count);
    if (i_end > i)
        return count_one(engine, u, series->cells[i], ret_count);
    *ret_count = roaring_bitmap_get_cardinality(u->levels[n - 1]);
    return 0;
}

/* A window's own numbers are known without any set. */
static int count_window(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                        uint32_t level, kpi_window window, uint64_t *ret_count)
{
    struct kpi_series *series;
    struct kpi_cell *cell;

    for (; level > 1; level--)
        instance = engine->program->instances[instance].above;
    series = kpi_series_find(engine, instance, tuple);
    cell = series ? kpi_series_cell(series, window) : NULL;
    *ret_count = 0;
    if (cell)
        *ret_count = cell->form == KPI_CELL_LATEST ? cell->latest.n_yes : kpi_cell_count(cell);
    return 0;
}

int kpi_unions_count_users(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                           uint32_t level, kpi_window start, kpi_window end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_window(engine, instance, tuple, level, start, ret_count);
    return count_range(engine, instance, tuple, level, start, end, ret_count);
}

int kpi_unions_count_latest(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                            kpi_window start, kpi_window end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_window(engine, instance, tuple, 1, start, ret_count);
    return count_range(engine, instance, tuple,
                       engine->program->instances[instance].is_first ? 2 : 1, start, end,
                       ret_count);
}
