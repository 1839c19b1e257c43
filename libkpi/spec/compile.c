/*
 * kpi_plan_new(): the order in which definitions are compiled, and the plan's fingerprint.
 */
#include "spec/compile.h"
#include "spec/grains.h"
#include "spec/names.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

bool kpi_name_check(struct kpi_compile *compile, const struct kpi_names_seen *seen, uint32_t index)
{
    const char *definitions = seen->definitions;
    const struct kpi_text *text = (const struct kpi_text *)(definitions + index * seen->stride);
    struct kpi_string name = kpi_text_string(text);

    if (!kpi_name_valid(name)) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "\"%S\" cannot name %s %s: a name has 1 to 64 bytes, letters, digits and "
                  "underscores, begins with no digit and is no word of the language",
                  name, strchr("ae", seen->sort[0]) ? "an" : "a", seen->sort);
        return false;
    }
    for (uint32_t i = 0; i < index; ++i) {
        const struct kpi_text *other = (const struct kpi_text *)(definitions + i * seen->stride);

        if (kpi_string_equal(name, kpi_text_string(other))) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "there are two %ss \"%S\"", seen->sort, name);
            return false;
        }
    }
    return true;
}

/* Reports the first definition of a sort that is one too many. */
static void limit_check(struct kpi_compile *compile, const struct kpi_names_seen *seen, uint32_t n,
                        uint32_t max)
{
    const char *definitions = seen->definitions;

    if (n > max)
        kpi_error(compile->diag,
                  kpi_place_text((const struct kpi_text *)(definitions + max * seen->stride)),
                  KPI_NO_SUGGESTION, "this is one %s too many; there may be %d", seen->sort,
                  (int64_t)max);
}

static bool limits_hold(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    unsigned n_errors = compile->diag->n_errors;

    limit_check(compile,
                &(struct kpi_names_seen){"attribute", in->attributes, sizeof(*in->attributes)},
                in->n_attributes, KPI_ATTRIBUTES_MAX);
    limit_check(compile, &(struct kpi_names_seen){"measure", in->measures, sizeof(*in->measures)},
                in->n_measures, KPI_MEASURES_MAX);
    limit_check(compile,
                &(struct kpi_names_seen){"dimension", in->dimensions, sizeof(*in->dimensions)},
                in->n_dimensions, KPI_DIMENSIONS_MAX);
    limit_check(compile, &(struct kpi_names_seen){"segment", in->segments, sizeof(*in->segments)},
                in->n_segments, KPI_DIMENSIONS_MAX);
    limit_check(compile, &(struct kpi_names_seen){"KPI", in->kpis, sizeof(*in->kpis)}, in->n_kpis,
                KPI_KPIS_MAX);
    limit_check(compile, &(struct kpi_names_seen){"funnel", in->funnels, sizeof(*in->funnels)},
                in->n_funnels, KPI_FUNNELS_MAX);
    limit_check(compile, &(struct kpi_names_seen){"table", in->tables, sizeof(*in->tables)},
                in->n_tables, KPI_TABLES_MAX);
    limit_check(compile,
                &(struct kpi_names_seen){"campaign", in->campaigns, sizeof(*in->campaigns)},
                in->n_campaigns, KPI_CAMPAIGNS_MAX);
    limit_check(compile,
                &(struct kpi_names_seen){"experiment", in->experiments, sizeof(*in->experiments)},
                in->n_experiments, KPI_EXPERIMENTS_MAX);
    if (in->n_zones > KPI_ZONES_MAX)
        kpi_error(compile->diag, (struct kpi_place){0}, KPI_NO_SUGGESTION,
                  "there are more than %d time zones", (int64_t)KPI_ZONES_MAX);
    return compile->diag->n_errors == n_errors;
}

static void zones_copy(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    struct kpi_plan *plan = compile->plan;

    plan->zones = kpi_pool_copy(&plan->pool, in->zones, in->n_zones * sizeof(*in->zones));
    if (!plan->zones)
        return;
    plan->n_zones = in->n_zones;
    for (uint32_t i = 0; i < in->n_zones; ++i) {
        struct kpi_zone *zone = &plan->zones[i];

        assert(zone->n_days > 0);
        for (uint32_t j = 0; j < zone->n_days; ++j)
            assert(zone->day_starts[j] < zone->day_starts[j + 1]);
        zone->name = kpi_pool_string(&plan->pool, zone->name);
        zone->day_starts = kpi_pool_copy(&plan->pool, zone->day_starts,
                                         ((size_t)zone->n_days + 1) * sizeof(*zone->day_starts));
        zone->changes =
            kpi_pool_copy(&plan->pool, zone->changes, zone->n_changes * sizeof(*zone->changes));
    }
}

static uint32_t n_targets(const struct kpi_definitions *in)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < in->n_campaigns; ++i)
        n += in->campaigns[i].n_targets;
    return n;
}

/* With those that tables keep of each user. */
static size_t n_attributes_max(const struct kpi_definitions *in)
{
    return (size_t)in->n_attributes + 2 * (size_t)in->n_tables;
}

/* What needs no compiling: sizes and copies. 0 or -ENOMEM. */
static int prepare(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    struct kpi_plan *plan = compile->plan;
    struct kpi_pool *temp = &compile->temp;

    compile->n_attributes = in->n_attributes;
    compile->n_measures = in->n_measures;
    compile->n_dimensions = in->n_dimensions + in->n_segments;
    compile->dimensions =
        kpi_pool_alloc(temp, compile->n_dimensions * sizeof(*compile->dimensions));
    compile->attributes = kpi_pool_alloc(temp, n_attributes_max(in) * sizeof(*compile->attributes));
    compile->attribute_fingerprints = kpi_pool_alloc(temp, n_attributes_max(in) * sizeof(uint64_t));
    compile->measures =
        kpi_pool_alloc(temp, (in->n_measures + KPI_GAUGES_MAX) * sizeof(*compile->measures));
    compile->n_funnels = in->n_funnels;
    compile->funnels = kpi_pool_alloc(temp, in->n_funnels * sizeof(*compile->funnels));
    compile->tables = kpi_pool_alloc(temp, in->n_tables * sizeof(*compile->tables));
    compile->experiments = kpi_pool_alloc(temp, in->n_experiments * sizeof(*compile->experiments));
    compile->fields[0] = (struct kpi_field_entry){
        .name = KPI_STRING("campaign"), .use = KPI_USE_STRING, .known = true};
    compile->field_names[0] = compile->fields[0].name;
    compile->n_fields = 1;

    plan->n_kpis = in->n_kpis;
    plan->kpis = kpi_pool_alloc(&plan->pool, in->n_kpis * sizeof(*plan->kpis));
    plan->n_formulas = in->n_kpis;
    plan->formulas =
        kpi_pool_alloc(&plan->pool, ((size_t)in->n_kpis + n_targets(in)) * sizeof(*plan->formulas));
    plan->n_campaigns = in->n_campaigns;
    plan->campaigns = kpi_pool_alloc(&plan->pool, in->n_campaigns * sizeof(*plan->campaigns));
    zones_copy(compile);
    return temp->failed || plan->pool.failed ? -ENOMEM : 0;
}

static void fields_keep(struct kpi_compile *compile)
{
    struct kpi_plan *plan = compile->plan;

    plan->fields = kpi_pool_alloc(&plan->pool, compile->n_fields * sizeof(*plan->fields));
    if (!plan->fields)
        return;
    plan->n_fields = compile->n_fields;
    for (uint32_t i = 0; i < compile->n_fields; ++i) {
        plan->fields[i].name = kpi_pool_string(&plan->pool, compile->fields[i].name);
        plan->fields[i].use = compile->fields[i].use;
    }
}

static int hashes_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The hash of a set of hashes: their order does not matter. 0 for the empty set. */
static uint64_t set_hash(uint64_t *hashes, uint32_t n)
{
    if (n == 0)
        return 0;
    qsort(hashes, n, sizeof(*hashes), hashes_order);
    return XXH3_64bits(hashes, n * sizeof(*hashes));
}

static uint64_t phase_hash(const struct kpi_phase_info *phase)
{
    const int64_t days[] = {phase->start_day, phase->end_day};

    return XXH3_64bits_withSeed(phase->name.data, phase->name.length,
                                XXH3_64bits(days, sizeof(days)));
}

static uint64_t target_hash(const struct kpi_target *target)
{
    const struct {
        uint64_t fingerprint;
        double value, band, amount;
        int64_t deviation, from, to, hold, sample_min;
        uint64_t meaning;
    } parts = {
        target->fingerprint, target->value,   target->band, target->deviation_amount,
        target->deviation,   target->from,    target->to,   target->hold,
        target->sample_min,  target->meaning,
    };

    return XXH3_64bits(&parts, sizeof(parts));
}

static uint64_t campaign_hash(const struct kpi_plan *plan, uint32_t index, uint64_t *scratch)
{
    const struct kpi_campaign_info *campaign = &plan->campaigns[index];
    const struct kpi_string *zone = &plan->zones[campaign->zone].name;
    uint64_t parts[9] = {
        XXH3_64bits(campaign->id.data, campaign->id.length),
        XXH3_64bits(zone->data, zone->length),
        (uint64_t)campaign->start_day,
        (uint64_t)campaign->end_day,
        (uint64_t)campaign->audience,
        (uint64_t)campaign->budget,
    };
    uint32_t n = 0;

    for (uint32_t i = 0; i < campaign->n_phases; ++i)
        scratch[i] = phase_hash(&campaign->phases[i]);
    parts[6] = set_hash(scratch, campaign->n_phases);
    for (uint32_t i = 0; i < plan->n_targets; ++i) {
        if (plan->targets[i].campaign == index)
            scratch[n++] = target_hash(&plan->targets[i]);
    }
    parts[7] = set_hash(scratch, n);
    for (uint32_t i = 0; i < campaign->n_budget_parts; ++i) {
        const struct kpi_budget_part *part = &campaign->budget_parts[i];

        parts[8] = XXH3_64bits_withSeed(part->name.data, part->name.length,
                                        parts[8] + (uint64_t)part->amount);
    }
    return XXH3_64bits(parts, sizeof(parts));
}

/* The largest set that is hashed. */
static size_t set_size_max(const struct kpi_plan *plan)
{
    size_t n = plan->program.n_instances + plan->program.n_attributes + plan->n_kpis;

    n += plan->n_campaigns + plan->n_targets + plan->program.n_grains;
    for (uint32_t i = 0; i < plan->n_campaigns; ++i)
        n += plan->campaigns[i].n_phases;
    return n;
}

/* A sort of scopes and the KPIs in it, in whatever order these are. */
static uint64_t grain_hash(const struct kpi_plan *plan, const struct kpi_grain *grain)
{
    const struct kpi_scope *pattern = &grain->pattern;
    uint64_t parts[] = {pattern->kind, pattern->unit, pattern->count, pattern->minutes, 0};

    for (uint32_t i = 0; i < plan->n_kpis; ++i) {
        const struct kpi_string *name = &plan->kpis[i].name;

        if (grain->kpis[i])
            parts[4] += XXH3_64bits(name->data, name->length);
    }
    return XXH3_64bits(parts, sizeof(parts));
}

/* Days, and rolling scopes of days, that every KPI has are told by the lengths of the latter. */
static uint64_t grains_hash(const struct kpi_plan *plan, uint64_t *scratch)
{
    const struct kpi_program *program = &plan->program;
    uint32_t *days = (uint32_t *)scratch, n_days = 0;
    bool plain = true, has_day = false;

    for (uint32_t i = 1; i < program->n_grains; ++i) {
        const struct kpi_grain *grain = &program->grains[i];

        plain &= grain->pattern.unit == KPI_SCOPE_DAY;
        has_day |= grain->pattern.kind == KPI_SCOPE_DAY;
        if (grain->pattern.kind == KPI_SCOPE_ROLLING)
            days[n_days++] = grain->pattern.count;
        for (uint32_t kpi = 0; kpi < plan->n_kpis; ++kpi)
            plain &= grain->kpis[kpi];
    }
    if (plain && (has_day || plan->n_kpis == 0))
        return XXH3_64bits(days, n_days * sizeof(*days));
    for (uint32_t i = 0; i < program->n_grains; ++i)
        scratch[i] = grain_hash(plan, &program->grains[i]);
    return XXH3_64bits(scratch, program->n_grains * sizeof(*scratch));
}

/* In whatever order they are; 0 if there is none. */
static uint64_t funnels_hash(const struct kpi_plan *plan)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < plan->program.n_funnels; ++i) {
        const struct kpi_funnel_info *info = &plan->program.funnels[i].info;

        hash += XXH3_64bits_withSeed(info->name.data, info->name.length, info->fingerprint);
    }
    return hash;
}

static void plan_fingerprint(struct kpi_compile *compile)
{
    struct kpi_plan *plan = compile->plan;
    const struct kpi_program *program = &plan->program;
    uint64_t *hashes = kpi_pool_alloc(&compile->temp, set_size_max(plan) * sizeof(*hashes));
    uint64_t parts[12] = {0};
    unsigned n = 0;

    if (!hashes)
        return;
    for (uint32_t i = 0; i < program->n_instances; ++i)
        hashes[i] = program->instances[i].fingerprint;
    parts[n++] = set_hash(hashes, program->n_instances);
    for (uint32_t i = 0; i < program->n_attributes; ++i)
        hashes[i] = program->attributes[i].fingerprint;
    parts[n++] = set_hash(hashes, program->n_attributes);
    for (uint32_t i = 0; i < plan->n_kpis; ++i)
        hashes[i] = XXH3_64bits_withSeed(plan->kpis[i].name.data, plan->kpis[i].name.length,
                                         plan->kpis[i].fingerprint + plan->kpis[i].better);
    parts[n++] = set_hash(hashes, plan->n_kpis);
    for (uint32_t i = 0; i < plan->n_campaigns; ++i)
        hashes[i] = campaign_hash(plan, i, hashes + plan->n_campaigns);
    parts[n++] = set_hash(hashes, plan->n_campaigns);
    parts[n++] = grains_hash(plan, hashes);
    parts[n++] = program->week_start;
    parts[n++] = (uint64_t)program->keep;
    parts[n++] = (uint64_t)program->future_skew_max;
    parts[n++] = (uint64_t)program->dedupe_window;
    parts[n++] = program->dedupe_ids_max;
    parts[n++] = program->users_max;
    parts[n++] = program->values_max;
    assert(n == sizeof(parts) / sizeof(*parts));
    plan->funnels_hash = funnels_hash(plan);
    /* 0, as without a seed, for a plan of KPIs alone, of which all groups are shown */
    plan->fingerprint =
        XXH3_64bits_withSeed(parts, sizeof(parts),
                             plan->breakdowns_hash + plan->min_group + plan->tables_hash +
                                 funnels_hash(plan) + plan->experiments_hash);
}

/* What could not be had is missing where others would look for it. */
static bool no_memory(const struct kpi_compile *compile)
{
    return compile->temp.failed || compile->plan->pool.failed || compile->leaves.failed ||
           compile->breakdowns.failed || compile->grains.failed;
}

/* 0, KPI_PLAN_E_INVALID or -ENOMEM. */
static int compile_all(struct kpi_compile *compile)
{
    static void (*const steps[])(struct kpi_compile *) = {
        kpi_measures_compile, kpi_formulas_compile,  kpi_breakdowns_compile, kpi_tables_compile,
        kpi_grains_compile,   kpi_campaigns_compile, kpi_measures_unused,
    };
    unsigned n_errors = compile->diag->n_errors;
    int r;

    if (!limits_hold(compile))
        return KPI_PLAN_E_INVALID;
    r = prepare(compile);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); ++i) {
        steps[i](compile);
        if (no_memory(compile))
            return -ENOMEM;
    }
    if (compile->diag->n_errors != n_errors)
        return KPI_PLAN_E_INVALID;
    kpi_warn(compile);
    kpi_experiments_keep(compile);
    fields_keep(compile);
    r = kpi_assemble(compile);
    if (r < 0)
        return r;
    plan_fingerprint(compile);
    return compile->temp.failed || compile->plan->pool.failed ? -ENOMEM : 0;
}

int kpi_plan_new(struct kpi_plan **ret_plan, const struct kpi_definitions *definitions,
                 const struct kpi_mem *mem, struct kpi_diag *diag)
{
    KPI_CLEANUP(kpi_plan_unrefp) struct kpi_plan *plan = NULL;
    struct kpi_compile *compile;
    int r;

    assert(diag);
    assert(definitions->n_zones > 0);
    plan = kpi_mem_zalloc(mem, sizeof(*plan));
    if (!plan)
        return -ENOMEM;
    plan->n_references = 1;
    plan->mem = mem;
    kpi_pool_init(&plan->pool, mem);
    compile = kpi_mem_zalloc(mem, sizeof(*compile));
    if (!compile)
        return -ENOMEM;
    compile->in = definitions;
    compile->mem = mem;
    compile->diag = diag;
    compile->plan = plan;
    kpi_pool_init(&compile->temp, mem);
    kpi_vector_init(&compile->leaves, mem, sizeof(struct kpi_leaf_work));
    kpi_vector_init(&compile->breakdowns, mem, sizeof(struct kpi_breakdown_work));
    kpi_vector_init(&compile->grains, mem, sizeof(struct kpi_grain));
    r = compile_all(compile);
    kpi_vector_deinit(&compile->leaves);
    kpi_vector_deinit(&compile->breakdowns);
    kpi_vector_deinit(&compile->grains);
    kpi_pool_deinit(&compile->temp);
    kpi_mem_free(mem, compile, sizeof(*compile));
    if (r != 0)
        return r;
    *ret_plan = plan;
    plan = NULL;
    return 0;
}
