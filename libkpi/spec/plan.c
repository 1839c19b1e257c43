/*
 * What others may ask of a plan.
 */
#include "spec/plan.h"

#include <kpi/table.h>

#include <assert.h>

struct kpi_plan *kpi_plan_ref(struct kpi_plan *plan)
{
    __atomic_add_fetch(&plan->n_references, 1, __ATOMIC_RELAXED);
    return plan;
}

struct kpi_plan *kpi_plan_unref(struct kpi_plan *plan)
{
    if (plan && __atomic_sub_fetch(&plan->n_references, 1, __ATOMIC_ACQ_REL) == 0) {
        kpi_pool_deinit(&plan->pool);
        kpi_mem_free(plan->mem, plan, sizeof(*plan));
    }
    return NULL;
}

void kpi_plan_unrefp(struct kpi_plan **plan)
{
    *plan = kpi_plan_unref(*plan);
}

uint64_t kpi_plan_fingerprint(const struct kpi_plan *plan)
{
    return plan->fingerprint;
}

uint32_t kpi_plan_min_group(const struct kpi_plan *plan)
{
    return plan->min_group;
}

kpi_duration kpi_plan_keep(const struct kpi_plan *plan)
{
    return plan->program.keep;
}

uint32_t kpi_plan_n_fields(const struct kpi_plan *plan)
{
    return plan->n_fields;
}

const struct kpi_field_spec *kpi_plan_field(const struct kpi_plan *plan, uint32_t field)
{
    assert(field < plan->n_fields);
    return &plan->fields[field];
}

uint32_t kpi_plan_n_kpis(const struct kpi_plan *plan)
{
    return plan->n_kpis;
}

const struct kpi_kpi_info *kpi_plan_kpi(const struct kpi_plan *plan, uint32_t kpi)
{
    assert(kpi < plan->n_kpis);
    return &plan->kpis[kpi];
}

uint32_t kpi_plan_n_campaigns(const struct kpi_plan *plan)
{
    return plan->n_campaigns;
}

const struct kpi_campaign_info *kpi_plan_campaign(const struct kpi_plan *plan, uint32_t campaign)
{
    assert(campaign < plan->n_campaigns);
    return &plan->campaigns[campaign];
}

uint32_t kpi_plan_n_zones(const struct kpi_plan *plan)
{
    return plan->n_zones;
}

const struct kpi_zone *kpi_plan_zone(const struct kpi_plan *plan, uint32_t zone)
{
    assert(zone < plan->n_zones);
    return &plan->zones[zone];
}

bool kpi_plan_has_grain(const struct kpi_plan *plan, const struct kpi_scope *sort)
{
    for (uint32_t i = 0; i < plan->program.n_grains; ++i) {
        if (kpi_scope_alike(&plan->program.grains[i].pattern, sort))
            return true;
    }
    return false;
}

uint32_t kpi_plan_n_targets(const struct kpi_plan *plan)
{
    return plan->n_targets;
}

const struct kpi_target *kpi_plan_target(const struct kpi_plan *plan, uint32_t target)
{
    assert(target < plan->n_targets);
    return &plan->targets[target];
}

bool kpi_plan_has_quantiles(const struct kpi_plan *plan)
{
    return plan->program.has_sketches;
}

uint32_t kpi_plan_n_breakdowns(const struct kpi_plan *plan)
{
    return plan->program.n_breakdowns;
}

const struct kpi_breakdown_info *kpi_plan_breakdown(const struct kpi_plan *plan, uint32_t breakdown)
{
    assert(breakdown < plan->program.n_breakdowns);
    return &plan->program.breakdowns[breakdown].info;
}

bool kpi_plan_breaks_down(const struct kpi_plan *plan, uint32_t breakdown, uint32_t kpi)
{
    assert(breakdown < plan->program.n_breakdowns && kpi < plan->n_kpis);
    return plan->program.breakdowns[breakdown].kpis[kpi];
}

uint32_t kpi_plan_n_states(const struct kpi_plan *plan)
{
    return plan->program.n_instances + plan->program.n_attributes;
}

/* The first breakdown, of KPIs or of a table, of an instance's dimensions, or NULL if it has none.
 */
static const struct kpi_breakdown_info *breakdown_of(const struct kpi_program *program,
                                                     const struct kpi_instance *instance)
{
    uint32_t set = instance->dimensions - KPI_DIMENSIONS_SETS;

    if (instance->dimensions < KPI_DIMENSIONS_SETS)
        return NULL;
    for (uint32_t i = 0; i < program->n_breakdowns; ++i) {
        if (program->breakdowns[i].set == set || program->breakdowns[i].total_set == set)
            return &program->breakdowns[i].info;
    }
    for (uint32_t i = 0; i < program->n_tables; ++i) {
        if (program->tables[i].set == set)
            return program->tables[i].info.by;
    }
    return NULL;
}

void kpi_plan_state(const struct kpi_plan *plan, uint32_t state, struct kpi_state_info *ret_info)
{
    const struct kpi_program *program = &plan->program;
    const struct kpi_instance *instance;

    assert(state < kpi_plan_n_states(plan));
    if (state >= program->n_instances) {
        *ret_info = (struct kpi_state_info){
            .name = plan->state_names[state],
            .is_attribute = true,
            .is_experiment =
                program->attributes[state - program->n_instances].kind == KPI_ATTRIBUTE_EXPERIMENT,
            .fingerprint = program->attributes[state - program->n_instances].fingerprint,
        };
        return;
    }
    instance = &program->instances[state];
    *ret_info = (struct kpi_state_info){
        .name = plan->state_names[state],
        .zone = plan->zones[instance->zone].name,
        .by_campaign = instance->dimensions == KPI_DIMENSIONS_CAMPAIGN ||
                       (instance->dimensions >= KPI_DIMENSIONS_SETS &&
                        !program->sets[instance->dimensions - KPI_DIMENSIONS_SETS].total),
        .by = breakdown_of(program, instance),
        .level = instance->level,
        .fingerprint = instance->fingerprint,
    };
}

bool kpi_plan_has_answers(const struct kpi_plan *plan)
{
    return plan->program.n_tables + plan->program.n_funnels + plan->program.n_experiments > 0;
}

uint32_t kpi_plan_n_tables(const struct kpi_plan *plan)
{
    return plan->program.n_tables;
}

const struct kpi_table_info *kpi_plan_table(const struct kpi_plan *plan, uint32_t table)
{
    assert(table < plan->program.n_tables);
    return &plan->program.tables[table].info;
}

uint32_t kpi_plan_keep_days(const struct kpi_plan *plan)
{
    return (uint32_t)((plan->program.keep + KPI_DAY - 1) / KPI_DAY);
}

uint32_t kpi_plan_n_grains(const struct kpi_plan *plan)
{
    return plan->program.n_grains;
}

const struct kpi_scope *kpi_plan_grain(const struct kpi_plan *plan, uint32_t grain)
{
    assert(grain < plan->program.n_grains);
    return &plan->program.grains[grain].pattern;
}

uint32_t kpi_plan_n_funnels(const struct kpi_plan *plan)
{
    return plan->program.n_funnels;
}

const struct kpi_funnel_info *kpi_plan_funnel(const struct kpi_plan *plan, uint32_t funnel)
{
    assert(funnel < plan->program.n_funnels);
    return &plan->program.funnels[funnel].info;
}

const struct kpi_program *kpi_plan_program(const struct kpi_plan *plan)
{
    return &plan->program;
}

const struct kpi_dispatch *kpi_program_dispatch(const struct kpi_plan *plan,
                                                const struct kpi_field *type)
{
    const struct kpi_dispatch *types = plan->program.types;
    uint32_t mask = plan->n_type_slots - 1, slot;

    for (uint32_t at = (uint32_t)type->hash & mask; (slot = plan->type_slots[at]) != 0;
         at = (at + 1) & mask) {
        const struct kpi_dispatch *entry = &types[slot - 1];

        if (entry->hash == type->hash && entry->type.length == type->length &&
            memcmp(entry->type.data, type->string, type->length) == 0)
            return entry;
    }
    return &types[plan->program.n_types];
}
