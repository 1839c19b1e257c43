/*
 * Which attributes stand behind what an instance counts: named by its filter, its answer, its
 * dimensions, or as where its events count, or by the conditions of such attributes in turn. The
 * same of funnels and experiments.
 */
#include "spec/assemble.h"

_Static_assert(KPI_ATTRIBUTES_MAX <= 64, "a set of attributes is the bits of a number");

/* By definition: the program's attributes that one stands for and reads. */
struct reads {
    const struct kpi_compile *compile;
    uint64_t attributes[KPI_ATTRIBUTES_MAX];
};

static uint64_t cond_reads(const struct reads *reads, const struct kpi_cond *cond)
{
    uint64_t mask = 0;

    if (!cond)
        return 0;
    if (cond->kind == KPI_COND_ATTRIBUTE || cond->kind == KPI_COND_ATTRIBUTE_TIME)
        mask |= reads->attributes[cond->index];
    for (uint32_t i = 0; i < cond->n_sessions; ++i)
        mask |= reads->attributes[cond->sessions[i]];
    for (const struct kpi_cond *child = cond->first; child; child = child->next)
        mask |= cond_reads(reads, child);
    return mask;
}

/* Attributes are not sorted by what they name, but there are few: again until nothing is new. */
static void attributes_read(struct reads *reads)
{
    const struct kpi_compile *compile = reads->compile;
    bool changed = true;

    for (uint32_t i = 0; i < compile->n_attributes; ++i)
        reads->attributes[i] = UINT64_C(1) << compile->attributes[i].program;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < compile->n_attributes; ++i) {
            uint64_t mask = reads->attributes[i] | cond_reads(reads, compile->attributes[i].where);

            changed |= mask != reads->attributes[i];
            reads->attributes[i] = mask;
        }
    }
}

/* Where the measure's events count, and what they are capped by. */
static uint64_t measure_reads(const struct reads *reads, const struct kpi_measure_work *measure)
{
    const struct kpi_attribute_work *named[] = {measure->at, measure->campaign, measure->sum,
                                                measure->less};
    uint64_t mask = 0;

    for (size_t i = 0; i < sizeof(named) / sizeof(*named); ++i) {
        if (named[i])
            mask |= reads->attributes[named[i] - reads->compile->attributes];
    }
    return mask;
}

static uint64_t dimension_reads(const struct reads *reads, const struct kpi_dimension *dimension)
{
    for (uint32_t i = 0; i < reads->compile->n_dimensions; ++i) {
        const struct kpi_dimension_work *work = &reads->compile->dimensions[i];

        if (work->fingerprint != dimension->fingerprint)
            continue;
        if (work->kind == KPI_DIMENSION_ATTRIBUTE)
            return reads->attributes[work->index];
        return work->kind == KPI_DIMENSION_CONDITION ? cond_reads(reads, work->where) : 0;
    }
    return 0;
}

static uint64_t set_reads(const struct reads *reads, const struct assembler *assembler,
                          uint32_t index)
{
    const struct kpi_dimension *dimensions = assembler->dimensions.data;
    const struct kpi_dimension_set *set =
        (const struct kpi_dimension_set *)assembler->sets.data + index;
    uint64_t mask = 0;

    for (uint32_t i = 0; i < set->n; ++i)
        mask |= dimension_reads(reads, &dimensions[set->dimensions[i]]);
    return mask;
}

static void funnel_reads(const struct reads *reads, const struct assembler *assembler,
                         const struct kpi_funnel_work *work, struct kpi_funnel *funnel)
{
    for (uint32_t i = 0; i < work->n_conditions; ++i)
        funnel->reads |= cond_reads(reads, work->conditions[i].where);
    if (funnel->set != KPI_NO_INDEX)
        funnel->reads |= set_reads(reads, assembler, funnel->set);
}

int kpi_assemble_reads(struct assembler *assembler)
{
    const struct kpi_compile *compile = assembler->compile;
    /* the plan is still being made, and its pool is ours */
    struct kpi_funnel *funnels = (struct kpi_funnel *)assembler->plan->program.funnels;
    struct kpi_experiment *experiments =
        (struct kpi_experiment *)assembler->plan->program.experiments;
    const uint32_t *sources = assembler->instance_sources.data;
    struct kpi_instance *instances = assembler->instances.data;
    struct reads reads = {.compile = compile};

    attributes_read(&reads);
    for (uint32_t i = 0; i < assembler->instances.n; ++i) {
        const struct kpi_measure_work *measure = &compile->measures[sources[i]];

        instances[i].reads = cond_reads(&reads, measure->where) |
                             cond_reads(&reads, measure->answer) | measure_reads(&reads, measure);
        if (instances[i].dimensions >= KPI_DIMENSIONS_SETS)
            instances[i].reads |=
                set_reads(&reads, assembler, instances[i].dimensions - KPI_DIMENSIONS_SETS);
    }
    for (uint32_t i = 0; i < compile->n_funnels; ++i)
        funnel_reads(&reads, assembler, &compile->funnels[i], &funnels[i]);
    for (uint32_t i = 0; i < assembler->plan->n_experiments; ++i) {
        for (uint32_t part = 0; part < KPI_EXPERIMENT_PARTS; ++part)
            experiments[i].reads |= cond_reads(&reads, compile->experiments[i].parts[part].cond);
        if (experiments[i].set != KPI_NO_INDEX)
            experiments[i].reads |= set_reads(&reads, assembler, experiments[i].set);
    }
    return 0;
}
