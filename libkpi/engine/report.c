/*
 * From cells to rows. A row is computed anew only if a cell that it is made of has changed since
 * the last report; all others are copied.
 */
#include "engine/report.h"
#include "engine/retained.h"
#include "engine/unions.h"

/* One report under way. */
struct making {
    struct kpi_engine *engine;
    const struct kpi_layout *layout;
    struct kpi_report_cache *cache;
    bool all;           /* nothing of the cache may be used */
    uint32_t n_returns; /* retained() leaves */
    /* of the campaign being done */
    uint32_t campaign, tuple, zone;
    struct kpi_cohorts *cohorts; /* by retained() leaf */
    bool *cohorts_made;
};

static void views_free(struct kpi_report_cache *cache)
{
    for (struct kpi_cell *cell = cache->views, *next; cell; cell = next) {
        next = cell->view_next;
        roaring_bitmap_free(cell->view);
        cell->view = NULL;
        cell->view_next = NULL;
    }
    cache->views = NULL;
}

void kpi_report_flush(struct kpi_engine *engine)
{
    struct kpi_report_cache *cache = engine->report;

    if (!cache)
        return;
    kpi_mem_free(&engine->mem, cache->rows, cache->n_rows * sizeof(*cache->rows));
    kpi_mem_free(&engine->mem, cache->todays, cache->n_zones * sizeof(*cache->todays));
    kpi_mem_free(&engine->mem, cache, sizeof(*cache));
    engine->report = NULL;
}

static int cache_make(struct kpi_engine *engine, uint32_t n_rows)
{
    struct kpi_report_cache *cache = engine->report;

    if (cache && cache->n_rows == n_rows)
        return 0;
    kpi_report_flush(engine);
    cache = kpi_mem_zalloc(&engine->mem, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    engine->report = cache;
    cache->n_rows = n_rows;
    cache->n_zones = engine->n_zones;
    cache->rows = kpi_mem_zalloc(&engine->mem, n_rows * sizeof(*cache->rows));
    cache->todays = kpi_mem_zalloc(&engine->mem, engine->n_zones * sizeof(*cache->todays));
    if ((n_rows && !cache->rows) || (engine->n_zones && !cache->todays)) {
        cache->n_rows = cache->rows ? n_rows : 0;
        kpi_report_flush(engine);
        return -ENOMEM;
    }
    return 0;
}

/* Has the layout changed, or the day in any zone (on which cohorts mature)? */
static bool cache_turn(struct making *making)
{
    struct kpi_report_cache *cache = making->cache;
    uint64_t fingerprint = kpi_layout_fingerprint(making->layout);
    kpi_time as_of = kpi_layout_as_of(making->layout);
    bool turned = cache->version == 0 || cache->layout != fingerprint;

    cache->layout = fingerprint;
    for (uint32_t z = 0; z < cache->n_zones; z++) {
        kpi_day today = kpi_zone_day_clamped(making->engine->zones[z].zone, as_of);

        turned |= cache->todays[z] != today;
        cache->todays[z] = today;
    }
    return turned;
}

/* Is anything of the series in the days [start, end) newer than the rows that are kept? */
static bool series_changed(const struct making *making, uint32_t instance, uint32_t tuple,
                           kpi_day start, kpi_day end)
{
    const struct kpi_series *series = kpi_series_find(making->engine, instance, tuple);
    uint64_t version = making->cache->version;

    if (!series || series->version < version)
        return false;
    if (series->version_dropped >= version)
        return true;
    for (uint32_t i = kpi_series_position(series, start);
         i < series->n_cells && series->cells[i]->day < end; i++)
        if (series->cells[i]->version >= version)
            return true;
    return false;
}

static int64_t clamp_sum(__int128 sum)
{
    return sum > INT64_MAX || sum < INT64_MIN ? INT64_MAX : (int64_t)sum;
}

/* Counts and sums need no set: COUNT and SUM are done with this, the others need n_events of it. */
static void add_cells(const struct making *making, const struct kpi_leaf *leaf,
                      const struct kpi_scope *scope, struct kpi_row *row)
{
    const struct kpi_series *series =
        kpi_series_find(making->engine, leaf->instance[making->zone], making->tuple);
    uint64_t n_events = 0;
    __int128 sum = 0;

    *row = (struct kpi_row){0};
    if (!series)
        return;
    for (uint32_t i = kpi_series_position(series, scope->start_day);
         i < series->n_cells && series->cells[i]->day < scope->end_day; i++) {
        n_events += series->cells[i]->n_events;
        if (series->cells[i]->form == KPI_CELL_SCALAR)
            sum += series->cells[i]->sum;
    }
    row->n_events = (int64_t)n_events;
    row->value = leaf->kind == KPI_LEAF_COUNT ? (int64_t)n_events : clamp_sum(sum);
}

static int add_retained(struct making *making, const struct kpi_leaf *leaf, uint32_t i_return,
                        const struct kpi_scope *scope, struct kpi_row *rows)
{
    struct kpi_cohorts *cohorts = &making->cohorts[i_return];
    int64_t users = 0, mature = 0, retained = 0, n_events = rows[0].n_events;

    if (!making->cohorts_made[i_return]) {
        int r = kpi_cohorts_make(making->engine, leaf, i_return, making->n_returns, making->zone,
                                 making->tuple, making->cache->todays[making->zone], cohorts);

        if (r < 0)
            return r;
        making->cohorts_made[i_return] = true;
    }
    for (uint32_t i = 0; i < cohorts->n; i++) {
        const struct kpi_cohort *cohort = &cohorts->days[i];

        if (cohort->day < scope->start_day || cohort->day >= scope->end_day)
            continue;
        users += (int64_t)cohort->users;
        mature += cohort->mature ? (int64_t)cohort->users : 0;
        retained += (int64_t)cohort->retained;
    }
    rows[0] = (struct kpi_row){retained, n_events};
    rows[1] = (struct kpi_row){mature, n_events};
    rows[2] = (struct kpi_row){users, n_events};
    return 0;
}

static int fill(struct making *making, const struct kpi_leaf *leaf, uint32_t i_return,
                const struct kpi_scope *scope, struct kpi_row *rows)
{
    uint32_t instance = leaf->instance[making->zone];
    uint64_t count = 0;
    int r = 0;

    add_cells(making, leaf, scope, &rows[0]);
    switch (leaf->kind) {
    case KPI_LEAF_COUNT:
    case KPI_LEAF_SUM:
        return 0;
    case KPI_LEAF_RETAINED:
        return add_retained(making, leaf, i_return, scope, rows);
    case KPI_LEAF_USERS:
        r = kpi_unions_count_users(making->engine, instance, making->tuple, leaf->level,
                                   scope->start_day, scope->end_day, &count);
        break;
    case KPI_LEAF_LATEST:
        r = kpi_unions_count_latest(making->engine, instance, making->tuple, scope->start_day,
                                    scope->end_day, &count);
        break;
    }
    rows[0].value = (int64_t)count;
    return r;
}

static bool leaf_changed(const struct making *making, const struct kpi_leaf *leaf,
                         const struct kpi_scope *scope)
{
    uint32_t instance = leaf->instance[making->zone];
    uint32_t return_instance;
    bool by_campaign;

    if (making->all)
        return true;
    if (leaf->kind != KPI_LEAF_RETAINED)
        return series_changed(making, instance, making->tuple, scope->start_day, scope->end_day);
    /* A first day depends on all days before it, a return on days after. */
    return_instance = leaf->return_instance[making->zone];
    by_campaign =
        making->engine->program->instances[return_instance].dimensions == KPI_DIMENSIONS_CAMPAIGN;
    return series_changed(making, instance, making->tuple, INT32_MIN, INT32_MAX) ||
           series_changed(making, return_instance,
                          by_campaign ? making->tuple : KPI_DICTIONARY_NONE, INT32_MIN, INT32_MAX);
}

static void campaign_turn(struct making *making, uint32_t campaign)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(making->engine->plan, campaign);

    if (making->campaign == campaign)
        return;
    making->campaign = campaign;
    making->zone = info->zone;
    making->tuple = kpi_engine_find_value(making->engine, info->id);
    for (uint32_t i = 0; i < making->n_returns; i++)
        making->cohorts_made[i] = false;
}

static int fill_scope(struct making *making, uint32_t scope_index)
{
    const struct kpi_program *program = making->engine->program;
    const struct kpi_scope *scope = kpi_layout_scope(making->layout, scope_index);
    const uint32_t *leaf_rows = program->grains[scope->grain].leaf_rows;
    struct kpi_row *rows = making->cache->rows + kpi_layout_first_row(making->layout, scope_index);
    uint32_t i_return = 0;

    campaign_turn(making, scope->campaign);
    for (uint32_t i = 0; i < program->n_leaves; i++) {
        const struct kpi_leaf *leaf = &program->leaves[i];
        int r = 0;

        if (leaf_rows[i] != KPI_NO_INDEX && leaf_changed(making, leaf, scope))
            r = fill(making, leaf, i_return, scope, rows + leaf_rows[i]);
        if (r < 0)
            return r;
        i_return += leaf->kind == KPI_LEAF_RETAINED;
    }
    return 0;
}

/* After a report that looked at every scope: unions of scopes that are no more. */
static void sweep(struct making *making)
{
    const struct kpi_engine *engine = making->engine;

    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t])
                kpi_unions_sweep(making->engine, engine->instances[i].series[t],
                                 making->cache->stamp);
}

static int fill_all(struct making *making)
{
    uint32_t n_scopes = kpi_layout_n_scopes(making->layout);

    for (uint32_t s = 0; s < n_scopes; s++) {
        int r = fill_scope(making, s);

        if (r < 0)
            return r;
    }
    if (making->all)
        sweep(making);
    return 0;
}

int kpi_engine_report(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_row *rows)
{
    struct making making = {.engine = engine, .layout = layout, .campaign = KPI_NO_INDEX};
    uint32_t n_rows = kpi_layout_n_rows(layout);
    int r;

    r = cache_make(engine, n_rows);
    if (r < 0)
        return r;
    making.cache = engine->report;
    making.cache->stamp++;
    making.all = cache_turn(&making);
    for (uint32_t i = 0; i < engine->program->n_leaves; i++)
        making.n_returns += engine->program->leaves[i].kind == KPI_LEAF_RETAINED;
    if (making.n_returns) {
        making.cohorts = kpi_mem_zalloc(&engine->mem, making.n_returns * sizeof(*making.cohorts));
        making.cohorts_made =
            kpi_mem_zalloc(&engine->mem, making.n_returns * sizeof(*making.cohorts_made));
        r = making.cohorts && making.cohorts_made ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = fill_all(&making);
    views_free(making.cache);
    for (uint32_t i = 0; making.cohorts && i < making.n_returns; i++)
        kpi_cohorts_deinit(&making.cohorts[i], &engine->mem);
    kpi_mem_free(&engine->mem, making.cohorts, making.n_returns * sizeof(*making.cohorts));
    kpi_mem_free(&engine->mem, making.cohorts_made,
                 making.n_returns * sizeof(*making.cohorts_made));
    /* Rows of a report that failed half way are of no state: the next one makes all of them. */
    making.cache->version = r < 0 ? 0 : engine->version + 1;
    if (r == 0 && n_rows)
        memcpy(rows, making.cache->rows, n_rows * sizeof(*rows));
    return r;
}
