/*
 * From cells to sketches of scopes. One of whose cells none has changed since the supplement before
 * is taken from that, as bytes.
 */
#include "engine/groups.h"
#include "engine/report.h"

/*
 * What the finished windows of a scope that is going on add up to, so that only the others are
 * added when something happens.
 */
struct kpi_sketch_total {
    struct kpi_sketch_total *next;
    uint32_t instance, tuple;
    struct kpi_windows windows;
    uint64_t version; /* of the engine that it tells, and one more */
    uint64_t stamp;   /* of the report whose supplement used it last */
    struct kpi_quantiles sum;
};

void kpi_sketch_totals_sweep(struct kpi_engine *engine, uint64_t stamp)
{
    struct kpi_sketch_total **at = &engine->report->totals;

    while (*at) {
        struct kpi_sketch_total *total = *at;

        if (total->stamp >= stamp) {
            at = &total->next;
            continue;
        }
        *at = total->next;
        kpi_quantiles_deinit(&total->sum, &engine->mem);
        kpi_mem_free(&engine->mem, total, sizeof(*total));
    }
}

/* `first` (or NULL), and the cells [i, end). */
static int cells_merge(const struct kpi_engine *engine, const struct kpi_quantiles *first,
                       const struct kpi_series *series, uint32_t i, uint32_t end,
                       struct kpi_quantiles *ret_sum)
{
    size_t size = (end - i + 1) * sizeof(struct kpi_quantiles *);
    const struct kpi_quantiles **sketches = kpi_mem_alloc(&engine->mem, size);
    uint32_t n = 0;
    int r;

    if (!sketches)
        return -ENOMEM;
    if (first)
        sketches[n++] = first;
    for (; i < end; i++)
        sketches[n++] = &series->cells[i]->quantiles.sketch;
    r = kpi_quantiles_sum(ret_sum, &engine->mem, sketches, n);
    kpi_mem_free(&engine->mem, sketches, size);
    return r;
}

static bool is_current(const struct kpi_sketch_total *total, const struct kpi_series *series,
                       kpi_window to)
{
    if (total->windows.to != to || series->version_dropped >= total->version)
        return false;
    for (uint32_t i = kpi_series_position(series, total->windows.from);
         i < series->n_cells && series->cells[i]->window < to; i++)
        if (series->cells[i]->version >= total->version)
            return false;
    return true;
}

/* The total of a scope's windows before `to`. */
static int total_get(struct kpi_engine *engine, const struct kpi_leaf_at *at,
                     const struct kpi_series *series, kpi_window to,
                     const struct kpi_quantiles **ret_sum)
{
    uint32_t instance = at->leaf->instance[at->zone];
    struct kpi_sketch_total *total = engine->report->totals;
    int r;

    while (total && (total->instance != instance || total->tuple != at->tuple ||
                     total->windows.from != at->windows.from))
        total = total->next;
    if (!total) {
        total = kpi_mem_zalloc(&engine->mem, sizeof(*total));
        if (!total)
            return -ENOMEM;
        *total = (struct kpi_sketch_total){.next = engine->report->totals,
                                           .instance = instance,
                                           .tuple = at->tuple,
                                           .windows = at->windows};
        engine->report->totals = total;
    }
    if (!is_current(total, series, to)) {
        kpi_quantiles_deinit(&total->sum, &engine->mem);
        total->version = 0;
        r = cells_merge(engine, NULL, series, kpi_series_position(series, at->windows.from),
                        kpi_series_position(series, to), &total->sum);
        if (r < 0)
            return r;
        total->windows.to = to;
        total->version = engine->version + 1;
    }
    total->stamp = engine->report->stamp;
    *ret_sum = &total->sum;
    return 0;
}

static int scope_merge(struct kpi_engine *engine, const struct kpi_leaf_at *at,
                       struct kpi_quantiles *ret_sum)
{
    uint32_t instance = at->leaf->instance[at->zone];
    const struct kpi_series *series = kpi_series_find(engine, instance, at->tuple);
    kpi_window finished = kpi_engine_finished_before(engine, instance);
    const struct kpi_quantiles *total = NULL;
    uint32_t i, end, hot;

    if (!series)
        return 0;
    i = kpi_series_position(series, at->windows.from);
    end = kpi_series_position(series, at->windows.to);
    hot = kpi_series_position(series, finished);
    if (i < hot && hot < end) {
        int r = total_get(engine, at, series, finished, &total);

        if (r < 0)
            return r;
        i = hot;
    }
    return cells_merge(engine, total, series, i, end, ret_sum);
}

/* Of a leaf in a scope; `place` is where the former one may be. */
static int sketch_push(const struct kpi_making *making, uint32_t scope, uint32_t leaf,
                       uint32_t *place, struct kpi_sketches *sketches)
{
    const struct kpi_sketches *former = &making->cache->sketches;
    struct kpi_leaf_at at = {.leaf = &making->engine->program->leaves[leaf]};
    struct kpi_quantiles sum = {0};
    int r;

    if (!kpi_making_find(making, kpi_layout_scope(making->layout, scope), &at))
        return 0;
    if (!kpi_making_changed(making, &at)) {
        *place = kpi_sketches_seek(former, *place, scope, leaf);
        if (!kpi_sketches_is(former, *place, scope, leaf))
            return 0;
        return kpi_sketches_push_bytes(sketches, scope, leaf,
                                       former->bytes.data + kpi_sketches_at(former, *place)->at,
                                       kpi_sketches_at(former, *place)->size);
    }
    r = scope_merge(making->engine, &at, &sum);
    if (r == 0 && sum.n > 0)
        r = kpi_sketches_push(sketches, scope, leaf, &sum);
    kpi_quantiles_deinit(&sum, &making->engine->mem);
    return r;
}

static int scopes_push(const struct kpi_making *making, struct kpi_sketches *sketches)
{
    const struct kpi_program *program = making->engine->program;
    uint32_t n_scopes = kpi_layout_n_scopes(making->layout), place = 0;
    int r = 0;

    for (uint32_t s = 0; s < n_scopes && r == 0; s++) {
        const uint32_t *leaf_rows =
            program->grains[kpi_layout_scope(making->layout, s)->grain].leaf_rows;

        for (uint32_t i = 0; i < program->n_leaves && r == 0; i++)
            if (kpi_sketch_wanted(program, i, leaf_rows))
                r = sketch_push(making, s, i, &place, sketches);
    }
    return r;
}

int kpi_engine_sketches(struct kpi_engine *engine, const struct kpi_layout *layout,
                        struct kpi_sketches *sketches)
{
    struct kpi_report_cache *cache = engine->report;
    struct kpi_sketches fresh = kpi_sketches_make(&engine->mem);
    struct kpi_making making = {
        .engine = engine,
        .layout = layout,
        .cache = cache,
        .campaign = KPI_NO_INDEX,
        .version = cache->sketches_version,
        .all = !cache->sketches_version || cache->sketches_layout != kpi_layout_fingerprint(layout),
    };
    int r;

    r = kpi_making_begin(&making);
    if (r == 0)
        r = scopes_push(&making, &fresh);
    kpi_making_end(&making);
    if (r == 0)
        r = kpi_sketches_copy(sketches, &fresh);
    if (r < 0) {
        kpi_sketches_deinit(&fresh);
        return r;
    }
    kpi_sketches_deinit(&cache->sketches);
    cache->sketches = fresh;
    cache->sketches_layout = kpi_layout_fingerprint(layout);
    cache->sketches_version = engine->version + 1;
    if (making.all)
        kpi_sketch_totals_sweep(engine, cache->stamp);
    return 0;
}
