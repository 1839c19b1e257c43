/*
 * From cells to rows. A row is computed anew only if a cell that it is made of has changed since
 * the last report; all others are copied, also into another layout that has the same scope.
 */
#include "engine/report.h"
#include "engine/retained.h"
#include "engine/unions.h"

/* One report under way. */
struct making {
    struct kpi_engine *engine;
    const struct kpi_layout *layout;
    struct kpi_report_cache *cache;
    bool new_layout;
    bool new_day;       /* somewhere: on it cohorts mature */
    uint32_t n_returns; /* retained() leaves */
    /* of the campaign being done */
    uint32_t campaign, tuple, zone;
    struct kpi_cohorts *cohorts; /* by retained() leaf */
    bool *cohorts_made;
    bool all; /* nothing is kept of the scope being done */
};

/* Cells of an instance, as windows: [from, to). */
struct range {
    kpi_window from, to;
};

/* What of an instance lies in a scope. */
static struct range range_of(const struct kpi_instance *instance, const struct kpi_scope *scope)
{
    struct range range = {kpi_instance_day(instance, scope->start_day),
                          kpi_instance_day(instance, scope->end_day)};

    if (instance->minutes) {
        range.from += scope->start_minute / instance->minutes;
        range.to += scope->end_minute / instance->minutes;
    }
    return range;
}

/* What was made for one report. */
static void temporary_free(struct kpi_engine *engine)
{
    struct kpi_report_cache *cache = engine->report;

    for (struct kpi_hot *hot = cache->hots, *next_hot; hot; hot = next_hot) {
        next_hot = hot->next;
        hot->series->hot = NULL;
        kpi_hot_free(hot, &engine->mem);
    }
    cache->hots = NULL;
    for (struct kpi_cell *cell = cache->views, *next; cell; cell = next) {
        next = cell->view_next;
        roaring_bitmap_free(cell->view);
        cell->view = NULL;
        cell->view_next = NULL;
    }
    cache->views = NULL;
}

static void rows_free(struct kpi_engine *engine, struct kpi_report_cache *cache)
{
    kpi_mem_free(&engine->mem, cache->rows, cache->n_rows * sizeof(*cache->rows));
    kpi_mem_free(&engine->mem, cache->scopes, cache->n_scopes * sizeof(*cache->scopes));
}

void kpi_report_flush(struct kpi_engine *engine)
{
    struct kpi_report_cache *cache = engine->report;

    if (!cache)
        return;
    rows_free(engine, cache);
    kpi_mem_free(&engine->mem, cache->todays, cache->n_zones * sizeof(*cache->todays));
    kpi_mem_free(&engine->mem, cache, sizeof(*cache));
    engine->report = NULL;
}

static int cache_make(struct kpi_engine *engine)
{
    struct kpi_report_cache *cache = engine->report;

    if (cache)
        return 0;
    cache = kpi_mem_zalloc(&engine->mem, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->todays = kpi_mem_zalloc(&engine->mem, engine->n_zones * sizeof(*cache->todays));
    if (engine->n_zones && !cache->todays) {
        kpi_mem_free(&engine->mem, cache, sizeof(*cache));
        return -ENOMEM;
    }
    cache->n_zones = engine->n_zones;
    engine->report = cache;
    return 0;
}

/* The order in which scopes stand in all layouts of a plan. */
static int compare_scopes(const struct kpi_scope *a, const struct kpi_scope *b)
{
    if (a->campaign != b->campaign)
        return a->campaign < b->campaign ? -1 : 1;
    if (a->grain != b->grain)
        return a->grain < b->grain ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->phase != b->phase)
        return a->phase < b->phase ? -1 : 1;
    if (a->start_day != b->start_day)
        return a->start_day < b->start_day ? -1 : 1;
    return (a->start_minute > b->start_minute) - (a->start_minute < b->start_minute);
}

static bool scopes_equal(const struct kpi_scope *a, const struct kpi_scope *b)
{
    return compare_scopes(a, b) == 0 && a->end_day == b->end_day && a->end_minute == b->end_minute;
}

/* Takes over the rows of scopes that were in the former layout, too. */
static void rows_carry(const struct making *making, struct kpi_report_cache *to)
{
    const struct kpi_report_cache *from = making->cache;
    uint32_t k = 0;

    for (uint32_t i = 0; i < to->n_scopes; i++) {
        struct kpi_kept_scope *scope = &to->scopes[i];
        uint32_t n = kpi_layout_scope_rows(making->layout, i);

        scope->scope = *kpi_layout_scope(making->layout, i);
        scope->first_row = kpi_layout_first_row(making->layout, i);
        while (k < from->n_scopes && compare_scopes(&from->scopes[k].scope, &scope->scope) < 0)
            k++;
        scope->made = from->version && k < from->n_scopes && from->scopes[k].made &&
                      scopes_equal(&from->scopes[k].scope, &scope->scope);
        if (scope->made && n)
            memcpy(to->rows + scope->first_row, from->rows + from->scopes[k].first_row,
                   n * sizeof(*to->rows));
    }
}

/* Turns to the layout, if it is another one. */
static int layout_turn(struct making *making)
{
    struct kpi_report_cache *cache = making->cache, other = *cache;
    const struct kpi_mem *mem = &making->engine->mem;

    if (!making->new_layout)
        return 0;
    other.layout = kpi_layout_fingerprint(making->layout);
    other.n_rows = kpi_layout_n_rows(making->layout);
    other.n_scopes = kpi_layout_n_scopes(making->layout);
    other.rows = kpi_mem_zalloc(mem, other.n_rows * sizeof(*other.rows));
    other.scopes = kpi_mem_zalloc(mem, other.n_scopes * sizeof(*other.scopes));
    if ((other.n_rows && !other.rows) || (other.n_scopes && !other.scopes)) {
        kpi_mem_free(mem, other.rows, other.n_rows * sizeof(*other.rows));
        kpi_mem_free(mem, other.scopes, other.n_scopes * sizeof(*other.scopes));
        return -ENOMEM;
    }
    rows_carry(making, &other);
    rows_free(making->engine, cache);
    *cache = other;
    return 0;
}

/* Has a day begun in any zone? */
static bool day_turn(struct making *making)
{
    struct kpi_report_cache *cache = making->cache;
    kpi_time as_of = kpi_layout_as_of(making->layout);
    bool turned = false;

    for (uint32_t z = 0; z < cache->n_zones; z++) {
        kpi_day today = kpi_zone_day_clamped(making->engine->zones[z].zone, as_of);

        turned |= cache->todays[z] != today;
        cache->todays[z] = today;
    }
    return turned;
}

/* Is anything of the series in the range newer than the rows that are kept? */
static bool series_changed(const struct making *making, uint32_t instance, uint32_t tuple,
                           struct range range)
{
    const struct kpi_series *series = kpi_series_find(making->engine, instance, tuple);
    uint64_t version = making->cache->version;

    if (!series || series->version < version)
        return false;
    if (series->version_dropped >= version)
        return true;
    /* From the back: what changes is mostly new. */
    for (uint32_t i = kpi_series_position(series, range.to);
         i > 0 && series->cells[i - 1]->window >= range.from; i--)
        if (series->cells[i - 1]->version >= version)
            return true;
    return false;
}

static int64_t clamp_sum(__int128 sum)
{
    return sum > INT64_MAX || sum < INT64_MIN ? INT64_MAX : (int64_t)sum;
}

/* Counts and sums need no set: COUNT and SUM are done with this, the others need n_events of it. */
static void add_cells(const struct making *making, const struct kpi_leaf *leaf, struct range range,
                      struct kpi_row *row)
{
    const struct kpi_series *series =
        kpi_series_find(making->engine, leaf->instance[making->zone], making->tuple);
    uint64_t n_events = 0;
    __int128 sum = 0;

    *row = (struct kpi_row){0};
    if (!series)
        return;
    for (uint32_t i = kpi_series_position(series, range.from);
         i < series->n_cells && series->cells[i]->window < range.to; i++) {
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
    struct range range = range_of(&making->engine->program->instances[instance], scope);
    uint64_t count = 0;
    int r = 0;

    add_cells(making, leaf, range, &rows[0]);
    switch (leaf->kind) {
    case KPI_LEAF_COUNT:
    case KPI_LEAF_SUM:
        return 0;
    case KPI_LEAF_RETAINED:
        return add_retained(making, leaf, i_return, scope, rows);
    case KPI_LEAF_USERS:
        r = kpi_unions_count_users(making->engine, instance, making->tuple, leaf->level, range.from,
                                   range.to, &count);
        break;
    case KPI_LEAF_LATEST:
        r = kpi_unions_count_latest(making->engine, instance, making->tuple, range.from, range.to,
                                    &count);
        break;
    }
    rows[0].value = (int64_t)count;
    return r;
}

static bool leaf_changed(const struct making *making, const struct kpi_leaf *leaf,
                         const struct kpi_scope *scope)
{
    static const struct range ever = {INT64_MIN, INT64_MAX};
    uint32_t instance = leaf->instance[making->zone];
    uint32_t return_instance;
    bool by_campaign;

    if (making->all || (making->new_day && leaf->kind == KPI_LEAF_RETAINED))
        return true;
    if (leaf->kind != KPI_LEAF_RETAINED)
        return series_changed(making, instance, making->tuple,
                              range_of(&making->engine->program->instances[instance], scope));
    /* A first day depends on all days before it, a return on days after. */
    return_instance = leaf->return_instance[making->zone];
    by_campaign =
        making->engine->program->instances[return_instance].dimensions == KPI_DIMENSIONS_CAMPAIGN;
    return series_changed(making, instance, making->tuple, ever) ||
           series_changed(making, return_instance,
                          by_campaign ? making->tuple : KPI_DICTIONARY_NONE, ever);
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
    making->all = !making->cache->scopes[scope_index].made;
    for (uint32_t i = 0; i < program->n_leaves; i++) {
        const struct kpi_leaf *leaf = &program->leaves[i];
        int r = 0;

        if (leaf_rows[i] != KPI_NO_INDEX && leaf_changed(making, leaf, scope))
            r = fill(making, leaf, i_return, scope, rows + leaf_rows[i]);
        if (r < 0)
            return r;
        i_return += leaf->kind == KPI_LEAF_RETAINED;
    }
    making->cache->scopes[scope_index].made = true;
    return 0;
}

/*
 * In a report with another layout: frees unions that no report has used since the layout changed
 * before. They were of scopes that are no more, or of which nothing changes any more.
 */
static void sweep(struct making *making)
{
    const struct kpi_engine *engine = making->engine;

    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t])
                kpi_unions_sweep(making->engine, engine->instances[i].series[t],
                                 making->cache->stamp_turn);
    making->cache->stamp_turn = making->cache->stamp;
}

static int fill_all(struct making *making)
{
    uint32_t n_scopes = kpi_layout_n_scopes(making->layout);

    for (uint32_t s = 0; s < n_scopes; s++) {
        int r = fill_scope(making, s);

        if (r < 0)
            return r;
    }
    if (making->new_layout)
        sweep(making);
    return 0;
}

int kpi_engine_report(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_row *rows)
{
    struct making making = {.engine = engine, .layout = layout, .campaign = KPI_NO_INDEX};
    uint32_t n_rows = kpi_layout_n_rows(layout);
    int r;

    r = cache_make(engine);
    if (r < 0)
        return r;
    making.cache = engine->report;
    making.new_layout =
        !making.cache->version || making.cache->layout != kpi_layout_fingerprint(layout);
    r = layout_turn(&making);
    if (r < 0)
        return r;
    making.cache->stamp++;
    making.new_day = day_turn(&making);
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
    temporary_free(engine);
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
