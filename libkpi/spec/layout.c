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

static uint32_t n_days(const struct kpi_plan *plan, const struct kpi_campaign_info *campaign,
                       kpi_time as_of)
{
    struct span span = campaign_span(campaign);
    kpi_day day = today(&plan->zones[campaign->zone], as_of);

    if (day < span.first)
        return 0;
    if (day >= span.end)
        return (uint32_t)(span.end - span.first);
    return (uint32_t)(day - span.first + 1);
}

static void scope_add(struct kpi_layout *layout, struct kpi_scope scope)
{
    const struct kpi_zone *zone =
        &layout->plan->zones[layout->plan->campaigns[scope.campaign].zone];

    scope.start = kpi_zone_day_start(zone, scope.start_day);
    scope.end = kpi_zone_day_start(zone, scope.end_day);
    layout->scopes[layout->n_scopes++] = scope;
}

static void campaign_add(struct kpi_layout *layout, uint32_t index, kpi_time as_of)
{
    const struct kpi_plan *plan = layout->plan;
    const struct kpi_campaign_info *campaign = &plan->campaigns[index];
    kpi_day now = today(&plan->zones[campaign->zone], as_of);
    kpi_day first = campaign_span(campaign).first;
    uint32_t n = n_days(plan, campaign, as_of);

    scope_add(layout, (struct kpi_scope){.kind = KPI_SCOPE_CAMPAIGN,
                                         .campaign = index,
                                         .start_day = campaign->start_day,
                                         .end_day = campaign->end_day});
    for (uint32_t i = 0; i < campaign->n_phases; ++i)
        scope_add(layout, (struct kpi_scope){.kind = KPI_SCOPE_PHASE,
                                             .campaign = index,
                                             .phase = i,
                                             .start_day = campaign->phases[i].start_day,
                                             .end_day = campaign->phases[i].end_day});
    for (uint32_t i = 0; i < plan->n_rolling_days; ++i)
        scope_add(layout, (struct kpi_scope){.kind = KPI_SCOPE_ROLLING,
                                             .campaign = index,
                                             .days = plan->rolling_days[i],
                                             .start_day = now + 1 - (kpi_day)plan->rolling_days[i],
                                             .end_day = now + 1});
    for (uint32_t i = 0; i < n; ++i)
        scope_add(layout, (struct kpi_scope){.kind = KPI_SCOPE_DAY,
                                             .campaign = index,
                                             .start_day = first + (kpi_day)i,
                                             .end_day = first + (kpi_day)i + 1});
}

/* How long no zone of a campaign begins another day. */
static void current_set(struct kpi_layout *layout, kpi_time as_of)
{
    const struct kpi_plan *plan = layout->plan;

    layout->current_from = INT64_MIN;
    layout->current_to = INT64_MAX;
    for (uint32_t i = 0; i < plan->n_campaigns; ++i) {
        const struct kpi_zone *zone = &plan->zones[plan->campaigns[i].zone];
        kpi_time first = zone->day_starts[0], last = zone->day_starts[zone->n_days];
        kpi_day day = kpi_zone_day(zone, as_of);
        kpi_time from = as_of < first ? INT64_MIN : last, to = as_of < first ? first : INT64_MAX;

        if (day != INT32_MIN) {
            from = kpi_zone_day_start(zone, day);
            to = kpi_zone_day_start(zone, day + 1);
        }
        if (from > layout->current_from)
            layout->current_from = from;
        if (to < layout->current_to)
            layout->current_to = to;
    }
}

/*
 * Campaigns by id, leaves and breakdowns by fingerprint: plans that agree on them agree on the
 * layout.
 */
static uint64_t layout_fingerprint(const struct kpi_layout *layout)
{
    const struct kpi_plan *plan = layout->plan;
    uint64_t hash = XXH3_64bits_withSeed(
        plan->leaf_fingerprints, plan->program.n_leaves * sizeof(uint64_t), plan->breakdowns_hash);

    for (uint32_t i = 0; i < layout->n_scopes; ++i) {
        const struct kpi_scope *scope = &layout->scopes[i];
        const struct kpi_string *id = &plan->campaigns[scope->campaign].id;
        const int64_t parts[] = {(int64_t)XXH3_64bits_withSeed(id->data, id->length, hash),
                                 scope->kind,
                                 scope->phase,
                                 scope->days,
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
    struct kpi_layout *layout;
    uint64_t n_scopes = 0;
    size_t size;

    for (uint32_t i = 0; i < plan->n_campaigns; ++i)
        n_scopes += 1 + (uint64_t)plan->campaigns[i].n_phases + plan->n_rolling_days +
                    n_days(plan, &plan->campaigns[i], as_of);
    if (n_scopes * (plan->program.n_rows + 1) + plan->program.n_instances > UINT32_MAX)
        return -ENOMEM; /* rows could not be numbered, nor would they fit anywhere */
    size = sizeof(*layout) + n_scopes * sizeof(layout->scopes[0]);
    layout = kpi_mem_zalloc(mem, size);
    if (!layout)
        return -ENOMEM;
    layout->n_references = 1;
    layout->mem = mem;
    layout->plan = kpi_plan_ref(plan);
    layout->size = size;
    layout->as_of = as_of;
    for (uint32_t i = 0; i < plan->n_campaigns; ++i)
        campaign_add(layout, i, as_of);
    assert(layout->n_scopes == n_scopes);
    current_set(layout, as_of);
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

uint32_t kpi_layout_rows_per_scope(const struct kpi_layout *layout)
{
    return layout->plan->program.n_rows;
}

uint32_t kpi_layout_n_rows(const struct kpi_layout *layout)
{
    return kpi_layout_first_start(layout) + layout->plan->program.n_instances;
}
