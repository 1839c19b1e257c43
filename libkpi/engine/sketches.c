/*
 * From cells to sketches of scopes. One of whose cells none has changed since the supplement before
 * is taken from that, as bytes.
 */
#include "engine/groups.h"
#include "engine/report.h"

static int cells_merge(const struct kpi_engine *engine, const struct kpi_leaf_at *at,
                       struct kpi_quantiles *ret_sum)
{
    const struct kpi_series *series =
        kpi_series_find(engine, at->leaf->instance[at->zone], at->tuple);
    uint32_t first = series ? kpi_series_position(series, at->windows.from) : 0;
    uint32_t end = series ? kpi_series_position(series, at->windows.to) : 0;
    size_t size = (end - first) * sizeof(struct kpi_quantiles *);
    const struct kpi_quantiles **sketches = kpi_mem_alloc(&engine->mem, size);
    int r;

    if (size && !sketches)
        return -ENOMEM;
    for (uint32_t i = first; i < end; i++)
        sketches[i - first] = &series->cells[i]->quantiles.sketch;
    r = kpi_quantiles_sum(ret_sum, &engine->mem, sketches, end - first);
    kpi_mem_free(&engine->mem, sketches, size);
    return r;
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
    r = cells_merge(making->engine, &at, &sum);
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
    return 0;
}
