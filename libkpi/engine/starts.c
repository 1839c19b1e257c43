/*
 * From when instances and attributes count. What a plan brings that the state does not have has
 * missed every event so far, so it counts from behind the newest of them; that is a time of the
 * log, as all times here. None of it is part of the digest, which is about what was counted.
 */
#include "engine/state.h"

kpi_time kpi_engine_begins(const struct kpi_engine *engine)
{
    return engine->newest_event == KPI_TIME_NONE ? KPI_TIME_NONE : engine->newest_event + 1;
}

void kpi_starts_move(const struct kpi_engine *engine, const struct kpi_program *to,
                     struct kpi_derived *derived)
{
    const struct kpi_program *from = engine->program;

    for (uint32_t k = 0; k < to->n_instances; k++) {
        derived->instances[k].counts_from = kpi_engine_begins(engine);
        for (uint32_t i = 0; i < from->n_instances; i++)
            if (from->instances[i].fingerprint == to->instances[k].fingerprint)
                derived->instances[k].counts_from = engine->instances[i].counts_from;
    }
    for (uint32_t k = 0; k < to->n_attributes; k++) {
        derived->attributes_from[k] = kpi_engine_begins(engine);
        for (uint32_t i = 0; i < from->n_attributes; i++)
            if (from->attributes[i].fingerprint == to->attributes[k].fingerprint)
                derived->attributes_from[k] = engine->attributes_from[i];
    }
}

void kpi_engine_set_counts_from(struct kpi_engine *engine, kpi_time time)
{
    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        if (engine->instances[i].counts_from < time)
            engine->instances[i].counts_from = time;
    for (uint32_t i = 0; i < engine->program->n_attributes; i++)
        if (engine->attributes_from[i] < time)
            engine->attributes_from[i] = time;
    for (uint32_t i = 0; i < engine->program->n_funnels; i++)
        if (engine->funnels.counts_from[i] < time)
            engine->funnels.counts_from[i] = time;
    kpi_save_forget_dictionaries(engine);
    engine->version++;
}

/* How long an attribute may depend on an event; INT64_MAX: for ever. */
static kpi_duration memory_of(const struct kpi_attribute *attribute)
{
    if (attribute->kind == KPI_ATTRIBUTE_SESSION) /* what goes on from before is not whole */
        return attribute->session->gap;
    switch (attribute->reset) {
    case KPI_RESET_DAY:
        return 2 * KPI_DAY; /* one of summer time's end has 25 hours */
    case KPI_RESET_WEEK:
        return 8 * KPI_DAY;
    case KPI_RESET_MONTH:
        return 32 * KPI_DAY;
    case KPI_RESET_YEAR:
        return 367 * KPI_DAY;
    default:
        return attribute->within ? attribute->within : INT64_MAX;
    }
}

kpi_time kpi_engine_reads_from(const struct kpi_engine *engine, uint64_t reads, kpi_time from)
{
    /* no condition can name the hidden ones, which stand behind the others */
    for (uint32_t i = 0; i < engine->program->n_attributes && i < KPI_ATTRIBUTES_MAX; i++) {
        kpi_duration memory = memory_of(&engine->program->attributes[i]);
        kpi_time known = engine->attributes_from[i];

        if (!(reads >> i & 1) || known == KPI_TIME_NONE)
            continue;
        known += memory == INT64_MAX ? 0 : memory;
        from = known > from ? known : from;
    }
    return from;
}

/* Does any of these attributes never know what it missed? */
static bool any_never(const struct kpi_engine *engine, uint64_t reads)
{
    for (uint32_t i = 0; i < engine->program->n_attributes && i < KPI_ATTRIBUTES_MAX; i++)
        if (reads >> i & 1 && engine->attributes_from[i] != KPI_TIME_NONE &&
            memory_of(&engine->program->attributes[i]) == INT64_MAX)
            return true;
    return false;
}

static struct kpi_row start_of(const struct kpi_engine *engine, uint32_t index)
{
    const struct kpi_instance *instance = &engine->program->instances[index];
    kpi_time from =
        kpi_engine_reads_from(engine, instance->reads, engine->instances[index].counts_from);

    if (from == KPI_TIME_NONE)
        return (struct kpi_row){0};
    return (struct kpi_row){.value = from,
                            .n_events = any_never(engine, instance->reads) ? KPI_START_NEVER
                                                                           : KPI_START_FROM};
}

void kpi_starts_report(const struct kpi_engine *engine, struct kpi_row *rows)
{
    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        rows[i] = start_of(engine, i);
}
