/* From when instances and attributes count, at the end of the object `v`: see format.h. */
#include "snapshot/format.h"

void kpi_saving_starts(struct kpi_saving *saving)
{
    const struct kpi_engine *engine = saving->engine;
    const struct kpi_program *program = engine->program;
    struct kpi_buffer *buffer = &saving->buffer;

    saving->version = KPI_SAVE_VERSION_STARTS;
    kpi_buffer_u32(buffer, program->n_instances);
    for (uint32_t i = 0; i < program->n_instances; i++) {
        kpi_buffer_u64(buffer, program->instances[i].fingerprint);
        kpi_buffer_u64(buffer, (uint64_t)engine->instances[i].counts_from);
    }
    kpi_buffer_u32(buffer, program->n_attributes);
    for (uint32_t i = 0; i < program->n_attributes; i++) {
        kpi_buffer_u64(buffer, program->attributes[i].fingerprint);
        kpi_buffer_u64(buffer, (uint64_t)engine->attributes_from[i]);
    }
}

/* One entry; false at the end of what can be read. */
static bool take(struct kpi_reader *reader, uint64_t *ret_fingerprint, kpi_time *ret_from)
{
    *ret_fingerprint = kpi_reader_u64(reader);
    *ret_from = (kpi_time)kpi_reader_u64(reader);
    return !reader->failed && kpi_time_fits(*ret_from);
}

/* What of the plan was saved gets its time; n_known: how much that is. */
static int load_instances(struct kpi_engine *engine, struct kpi_reader *reader, uint32_t *n_known)
{
    const struct kpi_program *program = engine->program;
    uint32_t n = kpi_reader_u32(reader);

    for (uint32_t i = 0; i < program->n_instances; i++)
        engine->instances[i].counts_from = kpi_engine_begins(engine);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t fingerprint;
        kpi_time from;

        if (!take(reader, &fingerprint, &from))
            return KPI_ENGINE_E_CORRUPT;
        for (uint32_t k = 0; k < program->n_instances; k++) {
            if (program->instances[k].fingerprint != fingerprint)
                continue;
            engine->instances[k].counts_from = from;
            ++*n_known;
        }
    }
    return 0;
}

static int load_attributes(struct kpi_engine *engine, struct kpi_reader *reader, uint32_t *n_known)
{
    const struct kpi_program *program = engine->program;
    uint32_t n = kpi_reader_u32(reader);

    for (uint32_t i = 0; i < program->n_attributes; i++)
        engine->attributes_from[i] = kpi_engine_begins(engine);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t fingerprint;
        kpi_time from;

        if (!take(reader, &fingerprint, &from))
            return KPI_ENGINE_E_CORRUPT;
        for (uint32_t k = 0; k < program->n_attributes; k++) {
            if (program->attributes[k].fingerprint != fingerprint)
                continue;
            engine->attributes_from[k] = from;
            ++*n_known;
        }
    }
    return 0;
}

int kpi_loading_starts(struct kpi_loading *loading, struct kpi_reader *reader)
{
    const struct kpi_program *program = loading->engine->program;
    uint32_t n_known = 0;
    int r;

    if (!kpi_reader_left(reader))
        return 0; /* of an earlier version, which does not tell: nothing is missing */
    r = load_instances(loading->engine, reader, &n_known);
    if (r == 0)
        r = load_attributes(loading->engine, reader, &n_known);
    /* What begins now is to be remembered. */
    if (r == 0 && n_known < program->n_instances + program->n_attributes)
        kpi_save_forget_dictionaries(loading->engine);
    return r;
}
