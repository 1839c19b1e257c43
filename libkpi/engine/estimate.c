/* Sizes of what engine.c and its neighbours allocate: see estimate.h. */
#include "engine/report.h"
#include "engine/firsts.h"
#include "engine/retained.h"
#include "engine/scores.h"
#include "engine/unions.h"

#include <kpi/estimate.h>
#include <math.h>

enum {
    IDS_PER_PAGE = 65536,
    PAGE_BYTES = IDS_PER_PAGE / 8,
    ROARING_ARRAY_MAX = 4096,
    ROARING_HEAD = 24, /* of a container: key, type, pointers */
    STRING_BYTES = 24, /* of a kept string, with its allocation */
    BUCKETS = 768,     /* of a sketch of many values: the greatest 4,096 times the least */
};

/* A shard. Counts are real: they are expectations. */
struct shard {
    const struct kpi_plan *plan;
    const struct kpi_program *program;
    double users, users_daily, events_daily;
    double days;
    double values;  /* of a dimension */
    double running; /* campaigns at a time, at least 1 */
    struct kpi_estimate *bytes;
};

/* What a series (of an instance, for one campaign or all) gets. */
struct stretch {
    double days;
    double users_daily;
};

/* A hot set or bitmap of `members` ids spread evenly over `users`, array containers up to `most`.
 */
static double set_bytes(double users, double members, double most, double growth)
{
    double pages = ceil(fmax(users, 1) / IDS_PER_PAGE);
    double each = fmin(members, users) / pages;

    return pages * (ROARING_HEAD + (each > most ? PAGE_BYTES : 2 * each * growth));
}

static double bitmap_bytes(double users, double members)
{
    return set_bytes(users, members, ROARING_ARRAY_MAX, 1);
}

/* How many of `users` are seen in n days with `daily` of them on each. */
static double seen_in(double users, double daily, double n)
{
    return users > 0 ? users * (1 - pow(1 - fmin(daily / users, 1), n)) : 0;
}

static double span_of(const struct kpi_campaign_info *campaign)
{
    kpi_day first = campaign->start_day, end = campaign->end_day;

    for (uint32_t i = 0; i < campaign->n_phases; ++i) {
        first = campaign->phases[i].start_day < first ? campaign->phases[i].start_day : first;
        end = campaign->phases[i].end_day > end ? campaign->phases[i].end_day : end;
    }
    return end - first;
}

static struct stretch campaign_stretch(const struct shard *shard, uint32_t campaign)
{
    return (struct stretch){fmin(span_of(kpi_plan_campaign(shard->plan, campaign)), shard->days),
                            shard->users_daily / shard->running};
}

/* --- users and what each has --- */

static void users_estimate(struct shard *shard)
{
    /* segments are between 0.64 and 0.8 full */
    double lines = shard->users / (KPI_USERS_PER_LINE * 0.72) + KPI_USERS_SEGMENTS;
    double chunks = ceil(shard->users / KPI_USERS_CHUNK);

    shard->bytes->users = (uint64_t)(lines * sizeof(struct kpi_users_line) +
                                     chunks * (KPI_USERS_CHUNK + 1) * sizeof(uint64_t));
}

static void attributes_estimate(struct shard *shard, double values)
{
    const struct kpi_program *program = shard->program;
    double chunks = program->n_slots > 0 ? ceil(shard->users / KPI_SLOTS_CHUNK) : 0;
    double bytes = chunks * ((double)KPI_SLOTS_CHUNK * program->n_slots * sizeof(int64_t) +
                             sizeof(struct kpi_slots_chunk));
    bool strings = false;

    for (uint32_t i = 0; i < program->n_attributes; ++i)
        strings |= program->attributes[i].is_string;
    if (strings) /* one dictionary for all; its tables double when they are full */
        bytes +=
            fmin(values, program->values_max) *
            (STRING_BYTES + 1.5 * (sizeof(struct kpi_dictionary_entry) + 2 * sizeof(uint32_t)));
    shard->bytes->attributes = (uint64_t)bytes;
}

static void dedupe_estimate(struct shard *shard)
{
    const struct kpi_program *program = shard->program;
    double window = (double)program->dedupe_window;
    double tick = fmax((double)KPI_HOUR, window / KPI_DEDUPE_TICKS_MAX);
    /* a tick goes when all of it is out of the window, and its places are used again later */
    double days = (window + 2 * tick) / (double)KPI_DAY;
    double ids =
        fmin(shard->events_daily * fmin(days, shard->days), (double)program->dedupe_ids_max);

    if (window <= 0)
        return;
    /* segments are between 0.76 and 0.85 full */
    shard->bytes->dedupe = (uint64_t)((ids / (KPI_DEDUPE_PER_LINE * 0.8) +
                                       KPI_DEDUPE_SEGMENTS * (1 + KPI_DEDUPE_LINES_SPARE)) *
                                          sizeof(struct kpi_dedupe_line) +
                                      KPI_DEDUPE_SEGMENTS * sizeof(struct kpi_dedupe_segment));
}

/* Users who come to a funnel, by the second step on average, with two events waiting. */
static void funnels_estimate(struct shard *shard)
{
    const struct kpi_program *program = shard->program;
    double chunks = program->n_funnels ? ceil(shard->users / KPI_FUNNELS_CHUNK) : 0;
    const double words = 1 + 2 + 2 + 5 + 2 * 2, unit = KPI_SLAB_UNIT * sizeof(int64_t);
    double user = ceil(words / KPI_SLAB_UNIT) * unit;

    shard->bytes->attributes +=
        (uint64_t)(shard->users * program->n_funnels * user +
                   chunks * (KPI_FUNNELS_CHUNK * (double)program->n_funnels * sizeof(uint32_t) +
                             sizeof(struct kpi_funnels_chunk)));
}

/* --- cells --- */

static void sets_add(struct shard *shard, const struct kpi_instance *instance,
                     const struct stretch *stretch)
{
    double members = stretch->users_daily / (1 << (instance->level - 1));
    double hot = set_bytes(shard->users, members, KPI_SET_ARRAY_MAX, 1.25);

    shard->bytes->sets +=
        (uint64_t)(hot + (stretch->days - 1) * bitmap_bytes(shard->users, members));
}

/* Arrays double, so that a quarter of them is empty, but the least has 8 places. */
static double sketch_bytes(double n_values)
{
    double bytes = n_values <= KPI_QUANTILES_EXACT ? fmax(6, n_values) * sizeof(int64_t)
                                                   : BUCKETS * sizeof(struct kpi_quantiles_bucket);

    return bytes / 0.75;
}

/* A table of answers is between 1/2 and 3/4 full. */
#define ANSWER_BYTES (sizeof(struct kpi_latest_entry) / 0.62)

/* A user feeds each measure once a day, so one of its windows. */
static void series_add(struct shard *shard, const struct kpi_instance *instance,
                       const struct stretch *of_days)
{
    double windows = instance->minutes ? 1440.0 / instance->minutes : 1;
    const struct stretch stretch = {of_days->days * windows, of_days->users_daily / windows};
    double users = seen_in(shard->users, of_days->users_daily, of_days->days);

    if (stretch.days <= 0)
        return;
    shard->bytes->cells +=
        (uint64_t)(stretch.days * (sizeof(struct kpi_cell) + 1.25 * sizeof(struct kpi_cell *))) +
        sizeof(struct kpi_series);
    if (instance->aggregate == KPI_AGGREGATE_LEVEL)
        sets_add(shard, instance, &stretch);
    else if (instance->aggregate == KPI_AGGREGATE_LATEST)
        shard->bytes->answers += (uint64_t)(users * ANSWER_BYTES);
    else if (instance->aggregate == KPI_AGGREGATE_QUANTILES)
        shard->bytes->sketches += (uint64_t)(stretch.days * sketch_bytes(stretch.users_daily));
    else if (instance->aggregate == KPI_AGGREGATE_SCORES)
        shard->bytes->answers += (uint64_t)(users * (ANSWER_BYTES + sizeof(int64_t) / 0.62));
}

/* Into how many tuples a campaign's events fall. */
static double n_tuples(const struct shard *shard, const struct kpi_instance *instance)
{
    const struct kpi_dimension_set *set;

    if (instance->dimensions < KPI_DIMENSIONS_SETS)
        return 1;
    set = &shard->program->sets[instance->dimensions - KPI_DIMENSIONS_SETS];
    return fmax(1, fmin(pow(shard->values, set->n), set->tuples_max));
}

static void cells_estimate(struct shard *shard)
{
    const struct kpi_program *program = shard->program;

    shard->bytes->cells =
        (uint64_t)(shard->days * sizeof(struct kpi_pack)) + sizeof(struct kpi_engine);
    for (uint32_t i = 0; i < program->n_instances; ++i) {
        const struct kpi_instance *instance = &program->instances[i];
        const struct stretch whole = {shard->days, shard->users_daily};

        if (instance->dimensions == KPI_DIMENSIONS_NONE) {
            series_add(shard, instance, &whole);
            continue;
        }
        for (uint32_t c = 0; c < kpi_plan_n_campaigns(shard->plan); ++c) {
            struct stretch stretch = campaign_stretch(shard, c);
            double n = n_tuples(shard, instance);

            stretch.users_daily /= n;
            for (double tuple = 0; tuple < n; ++tuple)
                series_add(shard, instance, &stretch);
        }
    }
}

/* --- what reports keep --- */

static double union_bytes(const struct shard *shard, const struct kpi_leaf *leaf, uint32_t zone,
                          const struct stretch *stretch, double days)
{
    const struct kpi_instance *instance = &shard->program->instances[leaf->instance[zone]];
    double bytes = sizeof(struct kpi_union);
    double members = seen_in(shard->users, stretch->users_daily, fmin(days, stretch->days));

    if (instance->is_first)
        bytes += bitmap_bytes(shard->users, members); /* those who have answered */
    if (leaf->kind == KPI_LEAF_LATEST)
        return bytes + bitmap_bytes(shard->users, members / 2); /* those who say yes */
    for (uint32_t k = 0; k < leaf->level; ++k)
        bytes += bitmap_bytes(shard->users, members / (1 << k));
    return bytes;
}

/* Days after which everybody starts anew by a leaf; 0: never. */
static double leaf_period(const struct kpi_leaf *leaf)
{
    if (leaf->cohort != KPI_TABLE_RECURRING)
        return 0;
    return leaf->basis == KPI_BASIS_MONTH ? 30 : leaf->basis == KPI_BASIS_WEEK ? 7 : 1;
}

/* Users by their first days: where they never start anew their ids stand together. */
static double firsts_bytes(const struct shard *shard, const struct kpi_leaf *leaf,
                           const struct stretch *stretch)
{
    double bytes = 0, before = 0, period = leaf_period(leaf);

    for (double day = 0; day < stretch->days; ++day) {
        double of_period = period > 0 ? fmod(day, period) : day;
        double now = seen_in(shard->users, stretch->users_daily, of_period + 1);

        before = of_period > 0 ? before : 0;
        bytes += bitmap_bytes(period > 0 ? shard->users : now - before, now - before);
        before = now;
    }
    return bytes;
}

/* First days of a campaign's users, and the periods in which they may return. */
static double cohorts_bytes(const struct shard *shard, const struct kpi_leaf *leaf,
                            const struct stretch *stretch, uint32_t n_returns)
{
    double period = leaf->basis == KPI_BASIS_MONTH ? 30 : leaf->basis == KPI_BASIS_WEEK ? 7 : 1;
    double all = seen_in(shard->users, stretch->users_daily, stretch->days);
    double bytes = sizeof(struct kpi_firsts) + bitmap_bytes(shard->users, all);
    const struct stretch anybody = {shard->days, shard->users_daily};

    bytes +=
        floor(stretch->days) * (sizeof(struct kpi_first) + n_returns * sizeof(struct kpi_return));
    bytes += firsts_bytes(shard, leaf, stretch);
    if (period > 1)
        bytes += floor(shard->days / period) *
                 (sizeof(struct kpi_union) +
                  bitmap_bytes(shard->users, seen_in(shard->users, anybody.users_daily, period)));
    return bytes;
}

/* Of scores: which answers stand. */
static double standing_bytes(const struct shard *shard, const struct stretch *stretch)
{
    return seen_in(shard->users, stretch->users_daily, stretch->days) * ANSWER_BYTES +
           stretch->days * sizeof(struct kpi_standing_scores);
}

/* Is there a leaf before this one that asks for the same first days, or scores? */
static bool seen_before(const struct kpi_program *program, uint32_t index, uint32_t zone)
{
    for (uint32_t i = 0; i < index; ++i) {
        if (program->leaves[i].kind == program->leaves[index].kind &&
            program->leaves[i].instance[zone] == program->leaves[index].instance[zone] &&
            leaf_period(&program->leaves[i]) == leaf_period(&program->leaves[index]))
            return true;
    }
    return false;
}

/* Days of a unit of scopes. */
static double unit_days(const struct kpi_scope *pattern)
{
    switch (pattern->unit) {
    case KPI_SCOPE_WEEK:
        return 7;
    case KPI_SCOPE_MONTH:
        return 30;
    case KPI_SCOPE_QUARTER:
        return 91;
    case KPI_SCOPE_YEAR:
        return 365;
    case KPI_SCOPE_MINUTES:
        return pattern->minutes / 1440.0;
    default:
        return 1;
    }
}

/* How many scopes of a sort are reported: of windows those of two days. */
static double n_scopes(const struct kpi_grain *grain, const struct stretch *stretch)
{
    double days = grain->pattern.kind == KPI_SCOPE_MINUTES ? 2 : stretch->days;

    return grain->pattern.kind == KPI_SCOPE_ROLLING ? 1 : ceil(days / unit_days(&grain->pattern));
}

/* Scopes longer than what is stored have a union each. */
static double unions_of_grain(const struct shard *shard, const struct kpi_leaf *leaf, uint32_t zone,
                              const struct stretch *stretch, const struct kpi_grain *grain)
{
    double days = grain->pattern.count * unit_days(&grain->pattern);

    if (days <= 1)
        return 0;
    return n_scopes(grain, stretch) * union_bytes(shard, leaf, zone, stretch, days);
}

static void unions_of_campaign(struct shard *shard, uint32_t index, uint32_t n_returns)
{
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(shard->plan, index);
    const struct stretch stretch = campaign_stretch(shard, index);
    const struct kpi_grain *grains = shard->program->grains;
    double bytes = 0;

    for (uint32_t i = 0; i < shard->program->n_leaves; ++i) {
        const struct kpi_leaf *leaf = &shard->program->leaves[i];

        if (leaf->kind == KPI_LEAF_RETAINED && !seen_before(shard->program, i, campaign->zone))
            bytes += cohorts_bytes(shard, leaf, &stretch, n_returns);
        if (leaf->kind == KPI_LEAF_SCORES && !seen_before(shard->program, i, campaign->zone))
            bytes += standing_bytes(shard, &stretch);
        if (leaf->kind == KPI_LEAF_RETAINED && leaf->mode == KPI_TABLE_UNBOUNDED)
            bytes +=
                firsts_bytes(shard, leaf, &stretch); /* at most: those who have not been back */
        if (leaf->kind != KPI_LEAF_USERS && leaf->kind != KPI_LEAF_LATEST)
            continue;
        bytes += union_bytes(shard, leaf, campaign->zone, &stretch,
                             campaign->end_day - campaign->start_day);
        for (uint32_t k = 0; k < campaign->n_phases; ++k)
            bytes += union_bytes(shard, leaf, campaign->zone, &stretch,
                                 campaign->phases[k].end_day - campaign->phases[k].start_day);
        for (uint32_t k = 1; k < shard->program->n_grains; ++k)
            bytes += unions_of_grain(shard, leaf, campaign->zone, &stretch, &grains[k]);
    }
    bytes += (1 + campaign->n_phases) * grains[0].n_rows * sizeof(struct kpi_row);
    for (uint32_t k = 1; k < shard->program->n_grains; ++k)
        bytes += n_scopes(&grains[k], &stretch) * grains[k].n_rows * sizeof(struct kpi_row);
    shard->bytes->unions += (uint64_t)bytes;
}

static void unions_estimate(struct shard *shard)
{
    uint32_t n_returns = 0;

    for (uint32_t i = 0; i < shard->program->n_leaves; ++i)
        n_returns += shard->program->leaves[i].kind == KPI_LEAF_RETAINED;
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(shard->plan); ++i)
        unions_of_campaign(shard, i, n_returns);
}

void kpi_plan_estimate(const struct kpi_plan *plan, const struct kpi_estimate_stream *stream,
                       struct kpi_estimate *ret_estimate)
{
    const struct kpi_program *program = kpi_plan_program(plan);
    double n_shards = stream->n_shards > 0 ? stream->n_shards : 1;
    struct kpi_estimate bytes = {0};
    struct shard shard = {
        .plan = plan,
        .program = program,
        .users = fmin((double)stream->users / n_shards, (double)program->users_max),
        .users_daily = (double)stream->users_daily / n_shards,
        .events_daily = (double)stream->events_daily / n_shards,
        .days = fmin(fmax(stream->days, 1), (double)program->keep / (double)KPI_DAY),
        .values = stream->values,
        .bytes = &bytes,
    };

    shard.users_daily = fmin(shard.users_daily, shard.users);
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); ++i)
        shard.running += fmin(span_of(kpi_plan_campaign(plan, i)), shard.days) / shard.days;
    shard.running = fmax(shard.running, 1);
    users_estimate(&shard);
    attributes_estimate(&shard, stream->values);
    funnels_estimate(&shard);
    dedupe_estimate(&shard);
    cells_estimate(&shard);
    unions_estimate(&shard);
    bytes.total = bytes.users + bytes.attributes + bytes.sets + bytes.answers + bytes.sketches +
                  bytes.unions + bytes.dedupe + bytes.cells;
    *ret_estimate = bytes;
}
