/*
 * Campaigns, their phases and their targets.
 */
#include "spec/compile.h"
#include "spec/grains.h"
#include "spec/names.h"

#include <assert.h>
#include <math.h>
#include <xxhash.h>

#define CAMPAIGN_ID_BYTES_MAX 256

static void complain(struct kpi_compile *compile, const struct kpi_text *text, const char *message)
{
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION, "%s", message);
}

static void id_check(struct kpi_compile *compile, uint32_t index)
{
    const struct kpi_campaign_definition *campaigns = compile->in->campaigns;
    const struct kpi_text *id = &campaigns[index].id;

    if (id->length == 0 || id->length > CAMPAIGN_ID_BYTES_MAX)
        complain(compile, id, "the id of a campaign has 1 to 256 bytes");
    for (uint32_t i = 0; i < index; ++i) {
        if (kpi_string_equal(kpi_text_string(id), kpi_text_string(&campaigns[i].id))) {
            kpi_error(compile->diag, kpi_place_text(id), KPI_NO_SUGGESTION,
                      "there are two campaigns \"%S\"", kpi_text_string(id));
            return;
        }
    }
}

static void part_check(struct kpi_compile *compile, const struct kpi_budget_part_definition *part)
{
    if (part->name.length == 0 || part->name.length > KPI_NAME_BYTES_MAX)
        complain(compile, &part->name, "the name of a part of the budget has 1 to 64 bytes");
    if (part->amount < 0)
        complain(compile, &part->name, "this part of the budget is less than 0");
}

static void phase_check(struct kpi_compile *compile, const struct kpi_campaign_definition *campaign,
                        uint32_t index)
{
    const struct kpi_phase_definition *phase = &campaign->phases[index];
    struct kpi_string name = kpi_text_string(&phase->name);
    struct kpi_scope_name other_scope;

    if (name.length == 0 || name.length > KPI_NAME_BYTES_MAX)
        complain(compile, &phase->name, "the name of a phase has 1 to 64 bytes");
    if (name.length >= 8 && memcmp(name.data, "rolling:", 8) == 0)
        complain(compile, &phase->name, "a phase cannot be called rolling:…");
    else if (kpi_scope_name_parse(name, &other_scope) == 0)
        kpi_error(compile->diag, kpi_place_text(&phase->name), KPI_NO_SUGGESTION,
                  "\"%S\" names a scope of its own and cannot name a phase", name);
    if (phase->start_day >= phase->end_day)
        kpi_error(compile->diag, kpi_place_text(&phase->name), KPI_NO_SUGGESTION,
                  "the phase \"%S\" ends before it has a day", name);
    for (uint32_t i = 0; i < index; ++i) {
        const struct kpi_phase_definition *other = &campaign->phases[i];

        if (kpi_string_equal(name, kpi_text_string(&other->name)))
            kpi_error(compile->diag, kpi_place_text(&phase->name), KPI_NO_SUGGESTION,
                      "there are two phases \"%S\"", name);
        else if (phase->start_day < other->end_day && other->start_day < phase->end_day)
            kpi_error(compile->diag, kpi_place_text(&phase->name), KPI_NO_SUGGESTION,
                      "the phases \"%S\" and \"%S\" overlap", kpi_text_string(&other->name), name);
    }
}

/* A day beyond the zone's table has no beginning, and its scope would be cut short silently. */
static void days_check(struct kpi_compile *compile, const struct kpi_campaign_definition *campaign)
{
    const struct kpi_zone *zone = &compile->in->zones[campaign->zone];
    int64_t first = campaign->start_day, end = campaign->end_day;

    if (first >= end)
        complain(compile, &campaign->id, "this campaign ends before it has a day");
    for (uint32_t i = 0; i < campaign->n_phases; ++i) {
        if (campaign->phases[i].start_day < first)
            first = campaign->phases[i].start_day;
        if (campaign->phases[i].end_day > end)
            end = campaign->phases[i].end_day;
    }
    if (first < zone->first_day || end > (int64_t)zone->first_day + zone->n_days)
        complain(compile, &campaign->id,
                 "this campaign lies outside of the days that the calendar knows");
}

static void campaign_keep(struct kpi_compile *compile, uint32_t index)
{
    const struct kpi_campaign_definition *definition = &compile->in->campaigns[index];
    struct kpi_campaign_info *campaign = &compile->plan->campaigns[index];
    struct kpi_pool *pool = &compile->plan->pool;
    struct kpi_phase_info *phases =
        kpi_pool_alloc(pool, definition->n_phases * sizeof(struct kpi_phase_info));

    struct kpi_budget_part *parts =
        kpi_pool_alloc(pool, definition->n_budget_parts * sizeof(*parts));

    if (!phases || !parts)
        return;
    for (uint32_t i = 0; i < definition->n_phases; ++i) {
        phases[i] = (struct kpi_phase_info){
            .name = kpi_pool_string(pool, kpi_text_string(&definition->phases[i].name)),
            .start_day = definition->phases[i].start_day,
            .end_day = definition->phases[i].end_day,
        };
    }
    for (uint32_t i = 0; i < definition->n_budget_parts; ++i)
        parts[i] = (struct kpi_budget_part){
            .name = kpi_pool_string(pool, kpi_text_string(&definition->budget_parts[i].name)),
            .amount = definition->budget_parts[i].amount,
        };
    *campaign = (struct kpi_campaign_info){
        .id = kpi_pool_string(pool, kpi_text_string(&definition->id)),
        .zone = definition->zone,
        .start_day = definition->start_day,
        .end_day = definition->end_day,
        .phases = phases,
        .n_phases = definition->n_phases,
        .audience = definition->audience,
        .budget = definition->budget,
        .budget_parts = parts,
        .n_budget_parts = definition->n_budget_parts,
    };
}

static uint32_t target_kpi(struct kpi_compile *compile, const struct kpi_text *name)
{
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, kpi_text_string(name));
    for (uint32_t i = 0; i < compile->in->n_kpis; ++i) {
        struct kpi_string candidate = kpi_text_string(&compile->in->kpis[i].name);

        if (kpi_string_equal(candidate, kpi_text_string(name)))
            return i;
        kpi_suggestion_offer(&suggestion, candidate);
    }
    kpi_error(compile->diag, kpi_place_text(name), suggestion.best, "there is no KPI \"%S\"",
              kpi_text_string(name));
    return KPI_NO_INDEX;
}

/* A phase of the campaign; else says what could have been meant. */
static bool target_phase(struct kpi_compile *compile,
                         const struct kpi_campaign_definition *campaign,
                         const struct kpi_text *text, struct kpi_string name,
                         struct kpi_scope *scope)
{
    static const struct kpi_string sorts[] = {
        {"campaign", 8}, {"hour", 4},    {"day", 3},  {"week", 4},
        {"month", 5},    {"quarter", 7}, {"year", 4},
    };
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, name);
    for (size_t i = 0; i < sizeof(sorts) / sizeof(*sorts); ++i)
        kpi_suggestion_offer(&suggestion, sorts[i]);
    *scope = (struct kpi_scope){.kind = KPI_SCOPE_PHASE, .unit = KPI_SCOPE_PHASE, .count = 1};
    for (; scope->phase < campaign->n_phases; ++scope->phase) {
        struct kpi_string phase = kpi_text_string(&campaign->phases[scope->phase].name);

        if (kpi_string_equal(phase, name))
            return true;
        kpi_suggestion_offer(&suggestion, phase);
    }
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best,
              "\"%S\" is no scope; it is campaign, the name of a phase, rolling:7d, or a grain as "
              "day, week or 5m",
              name);
    return false;
}

/* A sort of scopes in which the KPI is reported; kpi may be KPI_NO_INDEX. */
static bool target_grain(struct kpi_compile *compile, const struct kpi_text *text, uint32_t kpi,
                         struct kpi_scope *scope)
{
    const struct kpi_grain *grains = compile->grains.data;
    struct kpi_string name = kpi_text_string(text);
    bool rolling = scope->kind == KPI_SCOPE_ROLLING;
    uint32_t grain = kpi_grains_find(compile, scope);

    scope->grain = grain;
    if (kpi == KPI_NO_INDEX || compile->grains.failed || compile->grains_refused ||
        (grain != KPI_NO_INDEX && grains[grain].kpis[kpi]))
        return true;
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
              rolling ? "\"%S\" is not reported in \"%S\"; add it to the list rolling"
                      : "\"%S\" is not reported by \"%S\"; add it to the list grains",
              kpi_text_string(&compile->in->kpis[kpi].name), name);
    return false;
}

static bool target_scope(struct kpi_compile *compile,
                         const struct kpi_campaign_definition *campaign,
                         const struct kpi_text *text, uint32_t kpi, struct kpi_scope *scope)
{
    struct kpi_string text_name = kpi_text_string(text);
    struct kpi_scope_name name;

    *scope = (struct kpi_scope){.kind = KPI_SCOPE_CAMPAIGN, .unit = KPI_SCOPE_CAMPAIGN, .count = 1};
    if (text_name.length == 0 || kpi_string_equal(text_name, KPI_STRING("campaign")))
        return true;
    if (kpi_scope_name_parse(text_name, &name) != 0)
        return target_phase(compile, campaign, text, text_name, scope);
    if (name.phase.length > 0)
        return target_phase(compile, campaign, text, name.phase, scope);
    if (name.has_start || name.any || name.scope.kind == KPI_SCOPE_PHASE) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "\"%S\" is not one scope that goes on with time, as day, 5m or rolling:7d",
                  text_name);
        return false;
    }
    *scope = name.scope;
    return target_grain(compile, text, kpi, scope);
}

static const char *band_set(struct kpi_target *target)
{
    bool is_factor = target->deviation == KPI_DEVIATION_FACTOR;

    target->band = NAN;
    if (!(target->deviation_amount > 0))
        return "the deviation must be more than 0";
    if (is_factor && target->deviation_amount == 1)
        return "a deviation by a factor of 1 has no width";
    if (target->varies || kpi_target_set(target, target->value))
        return NULL;
    return is_factor ? "a deviation by a factor needs a value above 0"
                     : "a deviation relative to 0 has no width; give it in points or as an amount";
}

/* Behind `better`, which says where the edge of a factor is. */
static bool target_band(struct kpi_compile *compile, const struct kpi_target_definition *definition,
                        enum kpi_unit unit, struct kpi_target *target)
{
    bool ratio = unit == KPI_UNIT_RATIO;
    const char *error;

    target->deviation = definition->deviation;
    target->deviation_amount = (double)definition->deviation_amount / (double)KPI_DECIMAL_ONE;
    if (definition->deviation == KPI_DEVIATION_DEFAULT) {
        target->deviation = ratio ? KPI_DEVIATION_POINTS : KPI_DEVIATION_RELATIVE;
        target->deviation_amount = 0.1;
    }
    error = band_set(target);
    if (error)
        complain(compile, &definition->value, error);
    return !error;
}

static uint64_t target_fingerprint(struct kpi_compile *compile,
                                   const struct kpi_campaign_info *campaign,
                                   const struct kpi_target *target)
{
    const struct kpi_scope *scope = &target->scope_pattern;
    static const char *const betters[] = {"up", "down", "band"};
    struct kpi_writer writer = {.mem = compile->mem};
    char sort_text[KPI_SCOPE_NAME_BYTES_MAX];
    struct kpi_writer sort = KPI_WRITER_ON(sort_text);
    uint64_t fingerprint;

    kpi_writer_format(&writer, "target ");
    kpi_writer_quoted_add(&writer, campaign->id);
    kpi_writer_quoted_add(&writer, compile->plan->kpis[target->kpi].name);
    kpi_scope_sort_add(&sort, scope);
    kpi_writer_quoted_add(&writer, scope->kind == KPI_SCOPE_PHASE
                                       ? campaign->phases[scope->phase].name
                                       : kpi_writer_string(&sort));
    kpi_writer_format(&writer, "%s", betters[target->better]);
    fingerprint = XXH3_64bits(writer.data, writer.length);
    compile->temp.failed |= writer.failed;
    kpi_writer_deinit(&writer);
    return fingerprint;
}

static bool overlap(const struct kpi_target *a, const struct kpi_target *b)
{
    kpi_time a_to = a->to == KPI_TIME_NONE ? INT64_MAX : a->to;
    kpi_time b_to = b->to == KPI_TIME_NONE ? INT64_MAX : b->to;

    return a->from < b_to && b->from < a_to; /* from: KPI_TIME_NONE is before all others */
}

static void target_compile(struct kpi_compile *compile, uint32_t campaign, uint32_t index,
                           uint32_t first_target)
{
    const struct kpi_campaign_definition *campaign_definition = &compile->in->campaigns[campaign];
    const struct kpi_target_definition *definition = &campaign_definition->targets[index];
    const struct kpi_campaign_info *info = &compile->plan->campaigns[campaign];
    struct kpi_target *target = &compile->plan->targets[compile->plan->n_targets];
    bool good;

    *target = (struct kpi_target){
        .campaign = campaign,
        .from = definition->from,
        .to = definition->to,
        .hold = definition->hold,
        .sample_min = definition->sample_min,
    };
    target->kpi = target_kpi(compile, &definition->kpi);
    good = kpi_formula_target(compile, &definition->value, info, target);
    good &= target_scope(compile, campaign_definition, &definition->scope, target->kpi,
                         &target->scope_pattern);
    target->scope_pattern.campaign = campaign;
    if (target->kpi == KPI_NO_INDEX || !good)
        return;
    target->better = definition->better >= 0 ? (enum kpi_better)definition->better
                                             : compile->in->kpis[target->kpi].better;
    if (!target_band(compile, definition, compile->in->kpis[target->kpi].unit, target))
        return;
    if (target->varies && !kpi_grains_target(compile, target, &definition->value))
        return;
    if (target->to != KPI_TIME_NONE && target->from >= target->to) {
        complain(compile, &definition->kpi, "this target is over before it begins");
        return;
    }
    target->fingerprint = target_fingerprint(compile, info, target);
    for (uint32_t i = first_target; i < compile->plan->n_targets; ++i) {
        if (compile->plan->targets[i].fingerprint == target->fingerprint &&
            overlap(&compile->plan->targets[i], target)) {
            kpi_error(compile->diag, kpi_place_text(&definition->kpi), KPI_NO_SUGGESTION,
                      "there are two targets for \"%S\" in the same scope at the same time",
                      kpi_text_string(&definition->kpi));
            return;
        }
    }
    ++compile->plan->n_targets;
}

static void campaign_compile(struct kpi_compile *compile, uint32_t index)
{
    const struct kpi_campaign_definition *definition = &compile->in->campaigns[index];
    uint32_t first_target = compile->plan->n_targets;

    assert(definition->zone < compile->in->n_zones);
    id_check(compile, index);
    for (uint32_t i = 0; i < definition->n_phases; ++i)
        phase_check(compile, definition, i);
    days_check(compile, definition);
    if (definition->audience != KPI_TIME_NONE &&
        (definition->audience <= 0 || definition->audience % KPI_DECIMAL_ONE != 0))
        complain(compile, &definition->id, "the audience is a whole number of at least 1");
    if (definition->budget != KPI_TIME_NONE && definition->budget < 0)
        complain(compile, &definition->id, "the budget is less than 0");
    for (uint32_t i = 0; i < definition->n_budget_parts; ++i)
        part_check(compile, &definition->budget_parts[i]);
    campaign_keep(compile, index);
    if (compile->plan->pool.failed)
        return;
    for (uint32_t i = 0; i < definition->n_targets; ++i)
        target_compile(compile, index, i, first_target);
}

void kpi_campaigns_compile(struct kpi_compile *compile)
{
    struct kpi_plan *plan = compile->plan;
    size_t n_targets = 0;

    for (uint32_t i = 0; i < compile->in->n_campaigns; ++i)
        n_targets += compile->in->campaigns[i].n_targets;
    plan->targets = kpi_pool_alloc(&plan->pool, n_targets * sizeof(*plan->targets));
    if (!plan->targets)
        return;
    for (uint32_t i = 0; i < compile->in->n_campaigns && !plan->pool.failed; ++i)
        campaign_compile(compile, i);
}
