/*
 * From cells to rows. A row is computed anew only if a cell that it is made of has changed since
 * the last report; all others are copied, also into another layout that has the same scope.
 */
#include "engine/report.h"
#include "engine/erase.h"
#include "engine/groups.h"
#include "engine/retained.h"
#include "engine/scores.h"
#include "engine/tables.h"
#include "engine/unions.h"

static const struct kpi_windows ever = {INT64_MIN, INT64_MAX};

/* What of an instance lies in a range. */
static struct kpi_windows windows_of(const struct kpi_instance *instance,
                                     const struct kpi_range *range)
{
    struct kpi_windows windows = {kpi_instance_day(instance, range->start_day),
                                  kpi_instance_day(instance, range->end_day)};

    if (instance->minutes) {
        windows.from += range->start_minute / instance->minutes;
        windows.to += range->end_minute / instance->minutes;
    }
    return windows;
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

    kpi_groups_flush(engine);
    kpi_tables_flush(engine);
    if (!cache)
        return;
    kpi_sketches_deinit(&cache->sketches);
    kpi_sketch_totals_sweep(engine, UINT64_MAX);
    rows_free(engine, cache);
    kpi_mem_free(&engine->mem, cache->todays, cache->n_zones * sizeof(*cache->todays));
    kpi_mem_free(&engine->mem, cache, sizeof(*cache));
    engine->report = NULL;
}

int kpi_report_make(struct kpi_engine *engine)
{
    struct kpi_report_cache *cache = engine->report;

    if (cache)
        return 0;
    cache = kpi_mem_zalloc(&engine->mem, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->todays = kpi_mem_zalloc(&engine->mem, engine->n_zones * sizeof(*cache->todays));
    if (!cache->todays) {
        kpi_mem_free(&engine->mem, cache, sizeof(*cache));
        return -ENOMEM;
    }
    cache->n_zones = engine->n_zones;
    cache->sketches = kpi_sketches_make(&engine->mem);
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
static void rows_carry(const struct kpi_making *making, struct kpi_report_cache *to)
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
static int layout_turn(struct kpi_making *making)
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
static bool day_turn(struct kpi_making *making)
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

static int64_t clamp_sum(__int128 sum)
{
    return sum > INT64_MAX || sum < INT64_MIN ? INT64_MAX : (int64_t)sum;
}

/* Counts and sums need no set: COUNT and SUM are done with this, the others need n_events of it. */
static void add_cells(const struct kpi_making *making, const struct kpi_leaf_at *at,
                      struct kpi_row *row)
{
    const struct kpi_series *series =
        kpi_series_find(making->engine, at->leaf->instance[at->zone], at->tuple);
    uint64_t n_events = 0;
    __int128 sum = 0;

    *row = (struct kpi_row){0};
    if (!series)
        return;
    for (uint32_t i = kpi_series_position(series, at->windows.from);
         i < series->n_cells && series->cells[i]->window < at->windows.to; i++) {
        n_events += series->cells[i]->n_events;
        if (series->cells[i]->form == KPI_CELL_SCALAR)
            sum += series->cells[i]->sum;
        else if (series->cells[i]->form == KPI_CELL_QUANTILES)
            sum += series->cells[i]->quantiles.sum;
    }
    row->n_events = (int64_t)n_events;
    row->value = at->leaf->kind == KPI_LEAF_COUNT ? (int64_t)n_events : clamp_sum(sum);
}

/* The first cohort that is not before a day. */
static uint32_t cohorts_position(const struct kpi_cohorts *cohorts, kpi_day day)
{
    uint32_t low = 0, high = cohorts->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (cohorts->days[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int add_retained(struct kpi_making *making, const struct kpi_leaf_at *at,
                        struct kpi_row *rows)
{
    struct kpi_cohorts *cohorts = &making->cohorts[at->i_return];
    int64_t users = 0, mature = 0, retained = 0, n_events = rows[0].n_events;

    if (!making->cohorts_made[at->i_return]) {
        int r = kpi_cohorts_make(making->engine, at->leaf, at->i_return, making->n_returns,
                                 at->zone, at->tuple, at->campaign_tuple,
                                 making->cache->todays[at->zone], cohorts);

        if (r < 0)
            return r;
        making->cohorts_made[at->i_return] = true;
    }
    for (uint32_t i = cohorts_position(cohorts, at->range.start_day);
         i < cohorts->n && cohorts->days[i].day < at->range.end_day; i++) {
        const struct kpi_cohort *cohort = &cohorts->days[i];

        users += (int64_t)cohort->users;
        mature += cohort->mature ? (int64_t)cohort->users : 0;
        retained += (int64_t)cohort->retained;
    }
    rows[0] = (struct kpi_row){retained, n_events};
    rows[1] = (struct kpi_row){mature, n_events};
    rows[2] = (struct kpi_row){users, n_events};
    return 0;
}

static int add_scores(const struct kpi_making *making, const struct kpi_leaf_at *at,
                      struct kpi_row *rows)
{
    __int128 sum;
    uint64_t n_users;
    int r = kpi_scores_add(making->engine, at->leaf->instance[at->zone], at->tuple, at->windows,
                           &sum, &n_users);

    rows[1] = (struct kpi_row){(int64_t)n_users, rows[0].n_events};
    rows[0].value = clamp_sum(sum);
    return r;
}

/* Each day has a union of its own only where it is stored in windows. */
static int add_user_days(const struct kpi_making *making, const struct kpi_leaf_at *at,
                         uint64_t *ret_count)
{
    uint32_t instance = at->leaf->instance[at->zone];
    const struct kpi_instance *definition = &making->engine->program->instances[instance];
    const struct kpi_series *series = kpi_series_find(making->engine, instance, at->tuple);
    uint32_t i = series ? kpi_series_position(series, at->windows.from) : 0;

    *ret_count = 0;
    while (series && i < series->n_cells && series->cells[i]->window < at->windows.to) {
        kpi_day day = kpi_window_day(definition, series->cells[i]->window);
        uint64_t count;
        int r = kpi_unions_count_users(making->engine, instance, at->tuple, 1,
                                       kpi_instance_day(definition, day),
                                       kpi_instance_day(definition, day + 1), &count);

        if (r < 0)
            return r;
        *ret_count += count;
        i = kpi_series_position(series, kpi_instance_day(definition, day + 1));
    }
    return 0;
}

/* A gauge that nobody has moved in the scope still stands where it stood before. */
static void add_gauge(const struct kpi_making *making, const struct kpi_leaf_at *at,
                      struct kpi_row *row)
{
    *row = (struct kpi_row){0};
    (void)kpi_gauge_find(making->engine, at->leaf->instance[at->zone], at->tuple, at->windows.to,
                         &row->n_events, &row->value); /* none: 0 */
}

int kpi_making_fill(struct kpi_making *making, const struct kpi_leaf_at *at, struct kpi_row *rows)
{
    uint32_t instance = at->leaf->instance[at->zone];
    kpi_window from = at->windows.from, to = at->windows.to;
    uint64_t count = 0;
    int r = 0;

    add_cells(making, at, &rows[0]);
    switch (at->leaf->kind) {
    case KPI_LEAF_COUNT:
    case KPI_LEAF_SUM:
    case KPI_LEAF_MEAN:
        return 0;
    case KPI_LEAF_QUANTILE:
        rows[0].value = 0; /* a sketch says, once those of all shards are one */
        return 0;
    case KPI_LEAF_SCORES:
        return add_scores(making, at, rows);
    case KPI_LEAF_GAUGE:
        add_gauge(making, at, rows);
        return 0;
    case KPI_LEAF_RETAINED:
        return add_retained(making, at, rows);
    case KPI_LEAF_FIRST_TIME:
        r = kpi_firsts_count(making->engine, instance, at->tuple, making->n_returns,
                             at->range.start_day, at->range.end_day, &count);
        break;
    case KPI_LEAF_USER_DAYS:
        r = add_user_days(making, at, &count);
        break;
    case KPI_LEAF_USERS:
        r = kpi_unions_count_users(making->engine, instance, at->tuple, at->leaf->level, from, to,
                                   &count);
        break;
    case KPI_LEAF_LATEST:
        r = kpi_unions_count_latest(making->engine, instance, at->tuple, from, to, &count);
        break;
    }
    rows[0].value = (int64_t)count;
    return r;
}

bool kpi_making_changed(const struct kpi_making *making, const struct kpi_leaf_at *at)
{
    uint32_t instance = at->leaf->instance[at->zone];
    uint32_t return_instance;
    struct kpi_windows returns = ever;
    bool by_campaign;

    if (making->all ||
        (making->new_day && (at->leaf->kind == KPI_LEAF_RETAINED || at->leaf->mature)))
        return true;
    /* A first day depends on all days before it, as a gauge does. */
    if (at->leaf->kind == KPI_LEAF_FIRST_TIME || at->leaf->kind == KPI_LEAF_GAUGE)
        return kpi_changes_in(&making->changes, instance, at->tuple,
                              (struct kpi_windows){ever.from, at->windows.to});
    if (at->leaf->kind != KPI_LEAF_RETAINED)
        return kpi_changes_in(&making->changes, instance, at->tuple, at->windows);
    /*
     * A cohort depends on all days before it, a return on days after; but only cohorts whose time
     * is over count, so that today's returns do not matter, unless at any later time will do.
     */
    return_instance = at->leaf->return_instance[at->zone];
    by_campaign =
        making->engine->program->instances[return_instance].dimensions == KPI_DIMENSIONS_CAMPAIGN;
    if (at->leaf->mode != KPI_TABLE_UNBOUNDED)
        returns.to = kpi_instance_day(&making->engine->program->instances[return_instance],
                                      making->cache->todays[at->zone]);
    return kpi_changes_in(&making->changes, instance, at->tuple, ever) ||
           kpi_changes_in(&making->changes, return_instance,
                          by_campaign ? at->campaign_tuple : KPI_DICTIONARY_NONE, returns);
}

/* Cohorts are made once for all scopes of a campaign. */
static void campaign_turn(struct kpi_making *making, uint32_t campaign)
{
    if (making->campaign == campaign)
        return;
    making->campaign = campaign;
    making->campaign_tuple = kpi_engine_find_value(
        making->engine, kpi_plan_campaign(making->engine->plan, campaign)->id);
    for (uint32_t i = 0; i < making->n_returns; i++)
        making->cohorts_made[i] = false;
}

/*
 * The tuple of a leaf in the group being done: its values, of the range's campaign, or of none if
 * the leaf is about all events.
 */
static uint32_t group_tuple(const struct kpi_making *making, const struct kpi_leaf_at *at)
{
    const struct kpi_tuple_set *sets = making->engine->tuples.sets;
    uint32_t set = at->leaf->total ? making->breakdown->total_set : making->breakdown->set;
    uint32_t parts[KPI_TUPLE_PARTS_MAX] = {0};

    if (!at->leaf->total && at->leaf->shift.kind != KPI_SHIFT_CAMPAIGN)
        return making->tuple;
    kpi_tuple_parts(&sets[making->breakdown->set], making->tuple, parts);
    parts[0] = at->leaf->total ? KPI_DICTIONARY_NONE : at->campaign_tuple;
    return kpi_tuple_find(making->engine, set, parts);
}

bool kpi_making_find(const struct kpi_making *making, const struct kpi_scope *scope,
                     struct kpi_leaf_at *at)
{
    const struct kpi_campaign_info *info;

    if (!kpi_leaf_range(making->engine->plan, scope, at->leaf, &at->range))
        return false;
    info = kpi_plan_campaign(making->engine->plan, at->range.campaign);
    at->zone = info->zone;
    if (!kpi_leaf_range_mature(at->leaf, making->cache->todays[at->zone], &at->range))
        return false;
    at->campaign_tuple = at->range.campaign == making->campaign
                             ? making->campaign_tuple
                             : kpi_engine_find_value(making->engine, info->id);
    if (making->breakdown)
        at->tuple = group_tuple(making, at);
    else
        at->tuple = at->leaf->total ? KPI_DICTIONARY_NONE : at->campaign_tuple;
    at->windows =
        windows_of(&making->engine->program->instances[at->leaf->instance[at->zone]], &at->range);
    return true;
}

static int fill_scope(struct kpi_making *making, uint32_t scope_index)
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
        struct kpi_leaf_at at = {.leaf = leaf, .i_return = i_return};
        int r = 0;

        /* Where nothing can feed a leaf its rows stay zero, as they were made. */
        if (leaf_rows[i] != KPI_NO_INDEX && kpi_making_find(making, scope, &at) &&
            kpi_making_changed(making, &at))
            r = kpi_making_fill(making, &at, rows + leaf_rows[i]);
        if (r < 0)
            return r;
        i_return += leaf->kind == KPI_LEAF_RETAINED;
    }
    making->cache->scopes[scope_index].made = true;
    return 0;
}

static void series_sweep(struct kpi_engine *engine, struct kpi_series *series, uint64_t stamp)
{
    kpi_unions_sweep(engine, series, stamp);
    if (series->standing && series->standing->stamp < stamp)
        kpi_standing_free(engine, series);
}

void kpi_report_sweep(struct kpi_engine *engine, bool groups, uint64_t stamp)
{
    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t] &&
                (engine->program->instances[i].dimensions >= KPI_DIMENSIONS_SETS) == groups)
                series_sweep(engine, engine->instances[i].series[t], stamp);
}

/*
 * The scopes [first, end) of a campaign: the campaign itself and its phases, which stand first,
 * come last, as their unions are made of shorter ones.
 */
static int fill_campaign(struct kpi_making *making, uint32_t first, uint32_t end)
{
    uint32_t n_phases =
        kpi_plan_campaign(making->engine->plan, kpi_layout_scope(making->layout, first)->campaign)
            ->n_phases;
    int r = 0;

    for (uint32_t s = first + 1 + n_phases; s < end && r == 0; s++)
        r = fill_scope(making, s);
    for (uint32_t s = first + 1; s <= first + n_phases && r == 0; s++)
        r = fill_scope(making, s);
    return r == 0 ? fill_scope(making, first) : r;
}

static int fill_all(struct kpi_making *making)
{
    struct kpi_report_cache *cache = making->cache;
    uint32_t n_scopes = kpi_layout_n_scopes(making->layout);

    for (uint32_t s = 0, end; s < n_scopes; s = end) {
        uint32_t campaign = kpi_layout_scope(making->layout, s)->campaign;
        int r;

        for (end = s + 1; end < n_scopes; end++)
            if (kpi_layout_scope(making->layout, end)->campaign != campaign)
                break;
        r = fill_campaign(making, s, end);
        if (r < 0)
            return r;
    }
    if (making->new_layout) {
        kpi_report_sweep(making->engine, false, cache->stamp_turn);
        cache->stamp_turn = cache->stamp;
    }
    return 0;
}

int kpi_making_begin(struct kpi_making *making)
{
    const struct kpi_program *program = making->engine->program;
    const struct kpi_mem *mem = &making->engine->mem;
    int r = kpi_changes_init(&making->changes, making->engine, making->version);

    for (uint32_t i = 0; i < program->n_leaves; i++)
        making->n_returns += program->leaves[i].kind == KPI_LEAF_RETAINED;
    if (r < 0 || !making->n_returns)
        return r;
    making->cohorts = kpi_mem_zalloc(mem, making->n_returns * sizeof(*making->cohorts));
    making->cohorts_made = kpi_mem_zalloc(mem, making->n_returns * sizeof(*making->cohorts_made));
    return making->cohorts && making->cohorts_made ? 0 : -ENOMEM;
}

void kpi_making_end(struct kpi_making *making)
{
    const struct kpi_mem *mem = &making->engine->mem;

    temporary_free(making->engine);
    kpi_changes_deinit(&making->changes);
    for (uint32_t i = 0; making->cohorts && i < making->n_returns; i++)
        kpi_cohorts_deinit(&making->cohorts[i], mem);
    kpi_mem_free(mem, making->cohorts, making->n_returns * sizeof(*making->cohorts));
    kpi_mem_free(mem, making->cohorts_made, making->n_returns * sizeof(*making->cohorts_made));
}

int kpi_engine_report(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_row *rows)
{
    struct kpi_making making = {.engine = engine, .layout = layout, .campaign = KPI_NO_INDEX};
    uint32_t n_rows = kpi_layout_n_rows(layout);
    int r;

    r = kpi_engine_sweep(engine);
    if (r == 0)
        r = kpi_report_make(engine);
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
    making.version = making.cache->version;
    if (making.new_layout || making.new_day)
        making.cache->turned = making.cache->stamp;
    r = kpi_making_begin(&making);
    if (r == 0)
        r = fill_all(&making);
    kpi_making_end(&making);
    /* Starts stand last: spec/program.h. */
    kpi_starts_report(engine, making.cache->rows + n_rows - engine->program->n_instances);
    /* Rows of a report that failed half way are of no state: the next one makes all of them. */
    making.cache->version = r < 0 ? 0 : engine->version + 1;
    if (r == 0 && n_rows)
        memcpy(rows, making.cache->rows, n_rows * sizeof(*rows));
    return r;
}
