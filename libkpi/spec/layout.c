/*
 * Which rows shards report at a moment.
 */
#include "spec/layout.h"

#include <assert.h>
#include <xxhash.h>

/* The days that are reported one by one: from the first day of the campaign or a phase to the last.
 */
struct span {
    kpi_day first, end;
};

static struct span campaign_span(const struct kpi_campaign_info *campaign)
{
    struct span span = {campaign->start_day, campaign->end_day};

    for (uint32_t i = 0; i < campaign->n_phases; ++i) {
        if (campaign->phases[i].start_day < span.first)
            span.first = campaign->phases[i].start_day;
        if (campaign->phases[i].end_day > span.end)
            span.end = campaign->phases[i].end_day;
    }
    return span;
}

/* The local day of as_of; next to the table if that does not reach it. */
static kpi_day today(const struct kpi_zone *zone, kpi_time as_of)
{
    kpi_day day = kpi_zone_day(zone, as_of);

    if (day != INT32_MIN)
        return day;
    if (as_of < zone->day_starts[0])
        return zone->first_day - 1;
    return (kpi_day)(zone->first_day + zone->n_days);
}

/* What the scopes of a campaign are made of. Without layout they are only counted. */
struct making {
    const struct kpi_plan *plan;
    struct kpi_layout *layout;
    uint64_t n_scopes, n_rows;
    /* of the campaign being done */
    uint32_t campaign;
    const struct kpi_zone *zone;
    kpi_time as_of;
    struct span span;
    kpi_day now;
};

/* Instants of the day's minutes; of minute 0 of a day beyond the table, the table's end. */
static kpi_time instant(const struct kpi_zone *zone, kpi_day day, uint32_t minute)
{
    return kpi_zone_day_start(zone, day) + minute * KPI_MINUTE;
}

static void scope_add(struct making *making, const struct kpi_scope *pattern, struct kpi_scope at)
{
    const struct kpi_grain *grain = &making->plan->program.grains[pattern->grain];
    struct kpi_layout *layout = making->layout;
    struct kpi_scope scope = *pattern;

    if (layout) {
        scope.campaign = making->campaign;
        scope.start_day = at.start_day;
        scope.start_minute = at.start_minute;
        scope.end_day = at.end_day;
        scope.end_minute = at.end_minute;
        scope.start = instant(making->zone, at.start_day, at.start_minute);
        scope.end = instant(making->zone, at.end_day, at.end_minute);
        layout->scopes[making->n_scopes] = scope;
        layout->first_rows[making->n_scopes] = (uint32_t)making->n_rows;
    }
    making->n_scopes++;
    making->n_rows += grain->n_rows;
}

static void whole_add(struct making *making)
{
    const struct kpi_campaign_info *campaign = &making->plan->campaigns[making->campaign];
    struct kpi_scope pattern = {.kind = KPI_SCOPE_CAMPAIGN, .unit = KPI_SCOPE_CAMPAIGN, .count = 1};

    scope_add(making, &pattern,
              (struct kpi_scope){.start_day = campaign->start_day, .end_day = campaign->end_day});
    pattern.kind = pattern.unit = KPI_SCOPE_PHASE;
    for (pattern.phase = 0; pattern.phase < campaign->n_phases; ++pattern.phase) {
        const struct kpi_phase_info *phase = &campaign->phases[pattern.phase];

        scope_add(making, &pattern,
                  (struct kpi_scope){.start_day = phase->start_day, .end_day = phase->end_day});
    }
}

/* Sets the end of a scope to that of a window, which is the day's if it is the last of it. */
static void window_end(const struct making *making, kpi_day day, uint32_t window, uint32_t minutes,
                       struct kpi_scope *at)
{
    bool last = window + 1 >= kpi_zone_day_windows(making->zone, day, minutes);

    at->end_day = day + last;
    at->end_minute = last ? 0 : (window + 1) * minutes;
}

/* The window of today that as_of lies in. */
static uint32_t window_now(const struct making *making, uint32_t minutes)
{
    return kpi_window_of_day(making->as_of - kpi_zone_day_start(making->zone, making->now),
                             minutes);
}

static void rolling_windows_add(struct making *making, const struct kpi_scope *pattern)
{
    uint32_t minutes = pattern->minutes;
    struct kpi_scope at = {.start_day = making->now, .end_day = making->now};
    int64_t window;

    if (kpi_zone_day_windows(making->zone, making->now, minutes) > 0) {
        window = window_now(making, minutes);
        window_end(making, making->now, (uint32_t)window, minutes, &at);
        window -= (int64_t)pattern->count - 1;
        while (window < 0 && at.start_day > making->zone->first_day)
            window += kpi_zone_day_windows(making->zone, --at.start_day, minutes);
        at.start_minute = window < 0 ? 0 : (uint32_t)window * minutes;
    }
    scope_add(making, pattern, at);
}

static void rolling_add(struct making *making, const struct kpi_scope *pattern)
{
    enum kpi_basis basis = kpi_period_basis(pattern->unit);
    kpi_day start = kpi_period_start(basis, making->plan->program.week_start, making->now);
    struct kpi_scope at = {
        .start_day = kpi_period_next(basis, start, 1 - (int32_t)pattern->count),
        .end_day = kpi_period_next(basis, start, 1),
    };

    if (pattern->unit == KPI_SCOPE_MINUTES)
        rolling_windows_add(making, pattern);
    else
        scope_add(making, pattern, at);
}

/* Days, weeks and longer: all that touch the campaign and have begun. */
static void periods_add(struct making *making, const struct kpi_scope *pattern)
{
    enum kpi_basis basis = kpi_period_basis(pattern->kind);
    kpi_day start = kpi_period_start(basis, making->plan->program.week_start, making->span.first);

    while (making->span.first <= making->now && start <= making->now && start < making->span.end) {
        kpi_day next = kpi_period_next(basis, start, 1);

        scope_add(making, pattern, (struct kpi_scope){.start_day = start, .end_day = next});
        start = next;
    }
}

static bool is_on(const struct span *span, kpi_day day)
{
    return day >= span->first && day < span->end;
}

static void windows_add(struct making *making, const struct kpi_scope *pattern)
{
    for (kpi_day day = making->now - 1; day <= making->now; ++day) {
        uint32_t n = is_on(&making->span, day)
                         ? kpi_zone_day_windows(making->zone, day, pattern->minutes)
                         : 0;

        if (n > 0 && day == making->now)
            n = window_now(making, pattern->minutes) + 1;
        for (uint32_t i = 0; i < n; ++i) {
            struct kpi_scope at = {.start_day = day, .start_minute = i * pattern->minutes};

            window_end(making, day, i, pattern->minutes, &at);
            scope_add(making, pattern, at);
        }
    }
}

static void campaigns_add(struct making *making)
{
    const struct kpi_plan *plan = making->plan;

    for (uint32_t i = 0; i < plan->n_campaigns; ++i) {
        making->campaign = i;
        making->zone = &plan->zones[plan->campaigns[i].zone];
        making->span = campaign_span(&plan->campaigns[i]);
        making->now = today(making->zone, making->as_of);
        whole_add(making);
        for (uint32_t j = 1; j < plan->program.n_grains; ++j) {
            const struct kpi_scope *pattern = &plan->program.grains[j].pattern;

            if (pattern->kind == KPI_SCOPE_ROLLING)
                rolling_add(making, pattern);
            else if (pattern->kind == KPI_SCOPE_MINUTES)
                windows_add(making, pattern);
            else
                periods_add(making, pattern);
        }
    }
}

/* The layout is the same from `from` up to `to`, as far as one more thing is concerned. */
static void current_narrow(struct kpi_layout *layout, kpi_time from, kpi_time to)
{
    if (from > layout->current_from)
        layout->current_from = from;
    if (to < layout->current_to)
        layout->current_to = to;
}

/* How long no window that is reported of the campaign begins or ends; `day` is today. */
static void current_windows(struct kpi_layout *layout, const struct kpi_zone *zone, bool is_on_now,
                            kpi_day day)
{
    const struct kpi_program *program = &layout->plan->program;
    kpi_time start = kpi_zone_day_start(zone, day);

    for (uint32_t i = 1; i < program->n_grains; ++i) {
        const struct kpi_scope *pattern = &program->grains[i].pattern;
        uint32_t minutes = pattern->minutes, window;

        if (!minutes || (pattern->kind == KPI_SCOPE_MINUTES && !is_on_now))
            continue;
        window = kpi_window_of_day(layout->as_of - start, minutes);
        current_narrow(layout, start + (kpi_time)window * minutes * KPI_MINUTE,
                       window + 1 < kpi_zone_day_windows(zone, day, minutes)
                           ? start + ((kpi_time)window + 1) * minutes * KPI_MINUTE
                           : INT64_MAX);
    }
}

/* How long the zone begins no other day. Returns today, or INT32_MIN beyond the zone's table. */
static kpi_day current_day(struct kpi_layout *layout, const struct kpi_zone *zone)
{
    kpi_time as_of = layout->as_of, first = zone->day_starts[0],
             last = zone->day_starts[zone->n_days];
    kpi_day day = kpi_zone_day(zone, as_of);

    if (day == INT32_MIN)
        current_narrow(layout, as_of < first ? INT64_MIN : last, as_of < first ? first : INT64_MAX);
    else
        current_narrow(layout, kpi_zone_day_start(zone, day), kpi_zone_day_start(zone, day + 1));
    return day;
}

/*
 * How long no zone of a campaign begins another day, or window if it has any. Answers are in the
 * plan's own zone: their periods pass with its days.
 */
static void current_set(struct kpi_layout *layout)
{
    const struct kpi_plan *plan = layout->plan;

    layout->current_from = INT64_MIN;
    layout->current_to = INT64_MAX;
    for (uint32_t i = 0; i < plan->n_campaigns; ++i) {
        const struct kpi_zone *zone = &plan->zones[plan->campaigns[i].zone];
        struct span span = campaign_span(&plan->campaigns[i]);
        kpi_day day = current_day(layout, zone);

        if (day != INT32_MIN)
            current_windows(layout, zone, is_on(&span, day), day);
    }
    if (kpi_plan_has_answers(plan))
        (void)current_day(layout, &plan->zones[0]);
}

/* Which leaves have rows, where these are not all. */
static uint64_t grains_fingerprint(const struct kpi_plan *plan, uint64_t hash)
{
    const struct kpi_program *program = &plan->program;

    for (uint32_t i = 1; i < program->n_grains; ++i) {
        if (program->grains[i].n_rows < program->grains[0].n_rows)
            hash = XXH3_64bits_withSeed(program->grains[i].leaf_rows,
                                        program->n_leaves * sizeof(uint32_t), hash + i);
    }
    return hash;
}

/*
 * Campaigns by id, leaves, breakdowns, tables, funnels and experiments by fingerprint: plans that
 * agree on them agree on the layout, and on what answers mean.
 */
static uint64_t layout_fingerprint(const struct kpi_layout *layout)
{
    const struct kpi_plan *plan = layout->plan;
    uint64_t hash = XXH3_64bits_withSeed(
        plan->leaf_fingerprints, plan->program.n_leaves * sizeof(uint64_t),
        plan->breakdowns_hash + plan->tables_hash + plan->funnels_hash + plan->experiments_hash);

    hash = grains_fingerprint(plan, hash);
    for (uint32_t i = 0; i < layout->n_scopes; ++i) {
        const struct kpi_scope *scope = &layout->scopes[i];
        const struct kpi_string *id = &plan->campaigns[scope->campaign].id;
        const int64_t parts[] = {(int64_t)XXH3_64bits_withSeed(id->data, id->length, hash),
                                 scope->kind,
                                 scope->phase,
                                 scope->kind == KPI_SCOPE_ROLLING ? scope->count : 0,
                                 scope->start_day,
                                 scope->end_day,
                                 scope->start,
                                 scope->end};

        hash = XXH3_64bits(parts, sizeof(parts));
    }
    return hash;
}

int kpi_layout_new(struct kpi_layout **ret_layout, struct kpi_plan *plan, kpi_time as_of,
                   const struct kpi_mem *mem)
{
    struct making counting = {.plan = plan, .as_of = as_of};
    struct making making = {.plan = plan, .as_of = as_of};
    struct kpi_layout *layout;
    size_t scopes_size, size;

    campaigns_add(&counting);
    if (counting.n_scopes > UINT32_MAX || counting.n_rows + plan->program.n_instances > UINT32_MAX)
        return -ENOMEM; /* rows could not be numbered, nor would they fit anywhere */
    scopes_size = sizeof(*layout) + counting.n_scopes * sizeof(layout->scopes[0]);
    size = scopes_size + counting.n_scopes * sizeof(uint32_t);
    layout = kpi_mem_zalloc(mem, size);
    if (!layout)
        return -ENOMEM;
    layout->n_references = 1;
    layout->mem = mem;
    layout->plan = kpi_plan_ref(plan);
    layout->size = size;
    layout->as_of = as_of;
    layout->n_scopes = (uint32_t)counting.n_scopes;
    layout->n_rows = (uint32_t)counting.n_rows;
    layout->first_rows = (uint32_t *)((char *)layout + scopes_size);
    making.layout = layout;
    campaigns_add(&making);
    assert(making.n_scopes == counting.n_scopes);
    current_set(layout);
    layout->fingerprint = layout_fingerprint(layout);
    *ret_layout = layout;
    return 0;
}

struct kpi_layout *kpi_layout_ref(struct kpi_layout *layout)
{
    __atomic_add_fetch(&layout->n_references, 1, __ATOMIC_RELAXED);
    return layout;
}

struct kpi_layout *kpi_layout_unref(struct kpi_layout *layout)
{
    if (layout && __atomic_sub_fetch(&layout->n_references, 1, __ATOMIC_ACQ_REL) == 0) {
        layout->plan = kpi_plan_unref(layout->plan);
        kpi_mem_free(layout->mem, layout, layout->size);
    }
    return NULL;
}

uint64_t kpi_layout_fingerprint(const struct kpi_layout *layout)
{
    return layout->fingerprint;
}

const struct kpi_plan *kpi_layout_plan(const struct kpi_layout *layout)
{
    return layout->plan;
}

kpi_time kpi_layout_as_of(const struct kpi_layout *layout)
{
    return layout->as_of;
}

bool kpi_layout_current(const struct kpi_layout *layout, kpi_time as_of)
{
    return as_of >= layout->current_from && as_of < layout->current_to;
}

uint32_t kpi_layout_n_scopes(const struct kpi_layout *layout)
{
    return layout->n_scopes;
}

const struct kpi_scope *kpi_layout_scope(const struct kpi_layout *layout, uint32_t scope)
{
    assert(scope < layout->n_scopes);
    return &layout->scopes[scope];
}

bool kpi_layout_reports(const struct kpi_layout *layout, uint32_t scope, uint32_t kpi)
{
    assert(scope < layout->n_scopes && kpi < layout->plan->n_kpis);
    return layout->plan->program.grains[layout->scopes[scope].grain].kpis[kpi];
}

uint32_t kpi_layout_first_row(const struct kpi_layout *layout, uint32_t scope)
{
    assert(scope < layout->n_scopes);
    return layout->first_rows[scope];
}

uint32_t kpi_layout_scope_rows(const struct kpi_layout *layout, uint32_t scope)
{
    assert(scope < layout->n_scopes);
    return layout->plan->program.grains[layout->scopes[scope].grain].n_rows;
}

uint32_t kpi_layout_n_rows(const struct kpi_layout *layout)
{
    return kpi_layout_first_start(layout) + layout->plan->program.n_instances;
}
