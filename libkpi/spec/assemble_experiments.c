/*
 * Experiments in the program: an attribute of each, and what of events updates it.
 */
#include "spec/assemble.h"

#include <xxhash.h>

/* What it is told apart by, with a slot of its own behind the others. 0 or -ENOMEM. */
static int by_assemble(struct assembler *assembler, const struct kpi_experiment_work *work,
                       struct kpi_experiment *experiment, struct kpi_experiment_info *info)
{
    struct kpi_attribute *attribute =
        (struct kpi_attribute *)assembler->attributes.data + experiment->attribute;
    struct kpi_program *program = &assembler->plan->program;
    const struct kpi_dimension_set *set;
    struct kpi_breakdown_info *by;
    int r;

    experiment->set = KPI_NO_INDEX;
    if (work->by.n == 0)
        return 0;
    by = kpi_pool_alloc(&assembler->plan->pool, sizeof(*by));
    if (!by)
        return -ENOMEM;
    kpi_assemble_info(assembler, &work->by, by);
    info->by = by;
    r = kpi_assemble_set(assembler, &work->by, true, experiment->places, &experiment->set);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < work->by.n; ++i)
        experiment->places[i]++; /* behind the campaign */
    set = (const struct kpi_dimension_set *)assembler->sets.data + experiment->set;
    attribute->fingerprint =
        XXH3_64bits_withSeed(&set->fingerprint, sizeof(set->fingerprint), attribute->fingerprint);
    experiment->tuple_slot = attribute->n_slots++;
    program->n_slots++;
    return 0;
}

/*
 * An experiment is an attribute that conditions cannot ask for, with a filter for each of its
 * parts. See engine/experiments.c for its slots.
 */
static int experiment_assemble(struct assembler *assembler, uint32_t index,
                               struct kpi_experiment *experiment)
{
    struct kpi_experiment_info *info = &assembler->plan->experiments[index];
    const struct kpi_experiment_work *work = &assembler->compile->experiments[index];
    struct kpi_program *program = &assembler->plan->program;
    struct kpi_attribute *attribute = kpi_vector_push(&assembler->attributes);
    struct kpi_attribute_source *source = kpi_vector_push(&assembler->attribute_sources);
    int r;

    if (!attribute || !source)
        return -ENOMEM;
    *experiment = (struct kpi_experiment){
        .attribute = assembler->attributes.n - 1,
        .is_proportion = work->metric == KPI_METRIC_PROPORTION,
        .variant = work->variant,
        .has_denominator = work->metric == KPI_METRIC_RATIO,
        .from = work->definition->from,
        .to = work->definition->to == KPI_TIME_NONE ? INT64_MAX : work->definition->to,
    };
    experiment->n_arms = kpi_experiment_arms(work->definition, experiment->arms);
    for (uint32_t i = 0; i < experiment->n_arms; ++i)
        experiment->arms[i].name =
            kpi_pool_string(&assembler->plan->pool, experiment->arms[i].name);
    source->name = kpi_text_string(&work->definition->name);
    *attribute = (struct kpi_attribute){
        .fingerprint = work->fingerprint,
        .kind = KPI_ATTRIBUTE_EXPERIMENT,
        .field = index,
        .condition = KPI_NO_INDEX,
        .slot = program->n_slots,
        .n_slots = experiment->is_proportion ? 3 : 4 + experiment->has_denominator,
    };
    program->n_slots += attribute->n_slots;
    r = by_assemble(assembler, work, experiment, info);
    if (r < 0)
        return r;
    for (uint32_t part = 0; part < KPI_EXPERIMENT_PARTS; ++part) {
        struct kpi_update_source *update;

        experiment->fields[part] = work->parts[part].field;
        if (work->parts[part].text->length == 0)
            continue;
        update = kpi_vector_push(&assembler->parts);
        if (!update)
            return -ENOMEM;
        *update = (struct kpi_update_source){experiment->attribute, part, work->parts[part].cond};
    }
    return 0;
}

int kpi_assemble_experiments(struct assembler *assembler)
{
    struct kpi_plan *plan = assembler->plan;
    uint32_t n = plan->n_experiments;
    struct kpi_experiment *experiments = kpi_pool_alloc(&plan->pool, n * sizeof(*experiments));
    int r = experiments ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; ++i)
        r = experiment_assemble(assembler, i, &experiments[i]);
    plan->program.experiments = experiments;
    plan->program.n_experiments = n;
    return r;
}
