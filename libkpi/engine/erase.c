/* Erasing: see erase.h. */
#include "engine/erase.h"
#include "engine/unions.h"

/* Those who go in one sweep, as a set and ascending. */
struct sweep {
    const roaring_bitmap_t *gone;
    const uint32_t *ids;
    size_t n;
};

static void bitmap_free(roaring_bitmap_t **bitmap)
{
    if (*bitmap)
        roaring_bitmap_free(*bitmap);
    *bitmap = NULL;
}

void kpi_erased_saved(struct kpi_erased *erased)
{
    bitmap_free(&erased->unsaved);
}

void kpi_erased_free(struct kpi_erased *erased)
{
    bitmap_free(&erased->unswept);
    bitmap_free(&erased->unsaved);
}

static void row_clear(struct kpi_engine *engine, uint32_t user)
{
    int64_t *row = kpi_slots_row(&engine->slots, user);

    for (uint32_t i = 0; row && i < engine->slots.n_slots; i++)
        row[i] = KPI_TIME_NONE;
    if (row)
        kpi_slots_mark(&engine->slots, user);
}

int kpi_engine_erase(struct kpi_engine *engine, uint64_t hash, bool bar)
{
    struct kpi_erased *erased = &engine->erased;
    uint32_t user = kpi_users_find(&engine->users, hash);

    if (user == KPI_USER_BARRED)
        return 0;
    if (user != KPI_USER_NONE) {
        if (!erased->unswept)
            erased->unswept = roaring_bitmap_create();
        if (!erased->unswept)
            return -ENOMEM;
        roaring_bitmap_add(erased->unswept, user);
        row_clear(engine, user);
        kpi_funnels_forget(engine, user);
        kpi_users_remove(&engine->users, hash);
        engine->version++; /* there is something new to report */
    }
    return bar ? kpi_users_bar(&engine->users, hash) : 0;
}

/* A page that is emptied goes, and objects that held it are not those of the cell any more. */
static int hot_renew(struct kpi_engine *engine, struct kpi_cell *cell)
{
    int r = kpi_save_forget_cell(engine, cell);

    if (r < 0)
        return r;
    cell->serial = engine->serial_next++;
    cell->paged = cell->saved = false;
    for (uint32_t i = 0; i < cell->hot.n_pages; i++)
        cell->hot.pages[i].saved = 0;
    return 0;
}

static int sweep_hot(struct kpi_engine *engine, struct kpi_cell *cell, const struct sweep *sweep,
                     bool *changed)
{
    if (kpi_set_remove_empties(&cell->hot, sweep->ids, sweep->n)) {
        int r = hot_renew(engine, cell);

        if (r < 0)
            return r;
    }
    *changed = kpi_set_remove(&cell->hot, &engine->mem, sweep->ids, sweep->n) > 0;
    return 0;
}

static void sweep_frozen(struct kpi_engine *engine, struct kpi_cell *cell,
                         const struct sweep *sweep, bool *changed)
{
    roaring_bitmap_t *bitmap = cell->frozen.bitmap;

    *changed = roaring_bitmap_intersect(bitmap, sweep->gone);
    if (!*changed)
        return;
    roaring_bitmap_andnot_inplace(bitmap, sweep->gone);
    engine->bytes_roaring -= cell->frozen.bytes;
    kpi_cell_set_frozen(engine, cell, bitmap);
}

static void sweep_answers(struct kpi_latest *latest, const struct sweep *sweep, bool *changed)
{
    *changed = false;
    for (size_t i = 0; i < sweep->n; i++)
        *changed |= kpi_latest_remove(latest, sweep->ids[i]);
}

static int sweep_cell(struct kpi_engine *engine, struct kpi_series *series, struct kpi_cell *cell,
                      const struct sweep *sweep, bool *ret_changed)
{
    bool changed = false;
    int r = 0;

    switch (cell->form) {
    case KPI_CELL_HOT:
        r = sweep_hot(engine, cell, sweep, &changed);
        break;
    case KPI_CELL_FROZEN:
        sweep_frozen(engine, cell, sweep, &changed);
        break;
    case KPI_CELL_LATEST:
    case KPI_CELL_SCORES:
        sweep_answers(&cell->latest, sweep, &changed);
        break;
    case KPI_CELL_SCALAR: /* what is counted, added up or sketched is of nobody */
    case KPI_CELL_QUANTILES:
        break;
    }
    if (changed) {
        cell->dirty = true;
        kpi_cell_touch(engine, series, cell);
        *ret_changed = true;
    }
    return r;
}

static int sweep_series(struct kpi_engine *engine, struct kpi_series *series,
                        const struct sweep *sweep)
{
    bool changed = false;

    for (uint32_t i = 0; i < series->n_cells; i++) {
        int r = sweep_cell(engine, series, series->cells[i], sweep, &changed);

        if (r < 0)
            return r;
    }
    /* Who is in a cache is in a cell that it was made of. */
    if (changed)
        kpi_unions_remove(engine, series, sweep->gone);
    return 0;
}

static int sweep_all(struct kpi_engine *engine, const struct sweep *sweep)
{
    engine->version++;
    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t]) {
                int r = sweep_series(engine, engine->instances[i].series[t], sweep);

                if (r < 0)
                    return r;
            }
    return 0;
}

int kpi_engine_sweep(struct kpi_engine *engine)
{
    struct kpi_erased *erased = &engine->erased;
    struct sweep sweep = {.gone = erased->unswept};
    uint32_t *ids;
    int r;

    if (!erased->unswept)
        return 0;
    sweep.n = roaring_bitmap_get_cardinality(erased->unswept);
    sweep.ids = ids = kpi_mem_alloc(&engine->mem, sweep.n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    roaring_bitmap_to_uint32_array(erased->unswept, ids);
    r = sweep_all(engine, &sweep);
    kpi_mem_free(&engine->mem, ids, sweep.n * sizeof(*ids));
    if (r < 0)
        return r;
    if (erased->unsaved)
        roaring_bitmap_or_inplace(erased->unsaved, erased->unswept);
    else if (engine->save) /* else nothing has been saved yet: the first save is of everything */
        erased->unsaved = roaring_bitmap_copy(erased->unswept);
    r = engine->save && !erased->unsaved ? -ENOMEM : 0;
    bitmap_free(&erased->unswept);
    return r;
}
