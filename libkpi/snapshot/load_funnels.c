/* Funnels, read back and checked. */
#include "snapshot/format.h"

/* What the checkpoint does not tell of begins now. */
static void begin_all(struct kpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->program->n_funnels; i++)
        engine->funnels.counts_from[i] = kpi_engine_begins(engine);
}

int kpi_loading_funnels(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    const struct kpi_program *program = engine->program;
    struct kpi_save_funnels *save = &loading->save->funnels;
    uint64_t layout = 0;
    uint32_t n = kpi_reader_u32(reader);

    if (n == 0 || n > KPI_FUNNELS_MAX)
        return KPI_ENGINE_E_CORRUPT;
    begin_all(engine);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t fingerprint = kpi_reader_u64(reader), n_late = kpi_reader_u64(reader);
        kpi_time from = (kpi_time)kpi_reader_u64(reader);
        uint32_t to = 0;

        while (to < program->n_funnels && program->funnels[to].info.fingerprint != fingerprint)
            to++;
        loading->funnels[i] = to < program->n_funnels ? to : KPI_NO_INDEX;
        if (!kpi_time_fits(from))
            return KPI_ENGINE_E_CORRUPT;
        if (to < program->n_funnels) {
            engine->funnels.n_late[to] = n_late;
            engine->funnels.counts_from[to] = from;
        }
        layout = kpi_save_funnels_layout(layout, fingerprint);
    }
    loading->n_funnels = n;
    save->saved = true;
    save->layout = layout;
    save->base.cycle = kpi_reader_u64(reader);
    save->base.cursor = kpi_reader_u32(reader);
    loading->n_funnel_bases = kpi_reader_u32(reader);
    loading->n_funnel_deltas = kpi_reader_u32(reader);
    if (save->base.cursor &&
        save->base.cursor >= (loading->n_users + KPI_FUNNELS_CHUNK - 1) / KPI_FUNNELS_CHUNK)
        return KPI_ENGINE_E_CORRUPT;
    return 0;
}

/* What a user has in the funnels that were saved, in the place of what has been read before. */
static int load_user(struct kpi_loading *loading, uint32_t user, struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    const struct kpi_program *program = engine->program;

    for (uint32_t i = 0; i < loading->n_funnels; i++) {
        uint32_t n = kpi_reader_u16(reader), to = loading->funnels[i], set, n_tuples;
        int64_t words[KPI_FUNNEL_WORDS_MAX];
        struct kpi_funnel_tuples tuples;
        struct kpi_funnel_order_of order;
        int r;

        if (n > KPI_FUNNEL_WORDS_MAX)
            return KPI_ENGINE_E_CORRUPT;
        kpi_reader_get(reader, words, n * sizeof(*words));
        if (reader->failed)
            return KPI_ENGINE_E_CORRUPT;
        if (to == KPI_NO_INDEX || (n == 0 && !kpi_funnels_block(&engine->funnels, user, to)))
            continue;
        set = program->funnels[to].set;
        n_tuples = set == KPI_NO_INDEX ? 1 : engine->tuples.sets[set].tuples.n;
        order = kpi_funnel_order_make(&tuples, engine, to);
        if (n && !kpi_funnel_fits(&program->funnels[to], words, n, n_tuples, &order))
            return KPI_ENGINE_E_CORRUPT;
        r = kpi_funnels_put(&engine->funnels, program, user, to, words, n);
        if (r < 0)
            return r;
    }
    return 0;
}

int kpi_loading_funnel_base(struct kpi_loading *loading, const struct kpi_name *name,
                            struct kpi_reader *reader)
{
    uint64_t first = name->a * KPI_FUNNELS_CHUNK;

    if (!loading->n_funnels || name->a >= loading->n_funnel_bases ||
        name->a != loading->n_funnel_bases_seen || first >= loading->n_users)
        return KPI_ENGINE_E_CORRUPT;
    loading->n_funnel_bases_seen++;
    /* Users of the last chunk may have come after it was written: they are in deltas. */
    for (uint64_t user = first;
         user < loading->n_users && user < first + KPI_FUNNELS_CHUNK && kpi_reader_left(reader);
         user++) {
        int r = load_user(loading, (uint32_t)user, reader);

        if (r)
            return r;
    }
    return 0;
}

/* In the order in which they were written: see load_delta() of rows. */
int kpi_loading_funnel_delta(struct kpi_loading *loading, const struct kpi_name *name,
                             struct kpi_reader *reader)
{
    if (!loading->n_funnels || !kpi_reader_left(reader) || name->a > loading->save->n)
        return KPI_ENGINE_E_CORRUPT;
    while (kpi_reader_left(reader)) {
        uint32_t user = kpi_reader_u32(reader);
        int r = user < loading->n_users ? load_user(loading, user, reader) : KPI_ENGINE_E_CORRUPT;

        if (r)
            return r;
    }
    return kpi_save_add_delta(loading->save, &loading->save->funnels.base, name, NULL, 0);
}

int kpi_loading_funnels_end(struct kpi_loading *loading)
{
    struct kpi_funnels *funnels = &loading->engine->funnels;

    if (loading->n_funnel_bases_seen != loading->n_funnel_bases ||
        loading->save->funnels.base.n_deltas != loading->n_funnel_deltas)
        return KPI_ENGINE_E_CORRUPT;
    loading->save->funnels.base.n_chunks = loading->n_funnel_bases;
    if (!loading->n_funnels)
        begin_all(loading->engine);
    /* As it is in the store; if it is of other funnels there, it is saved anew anyway. */
    for (uint32_t i = 0; i < funnels->n_chunks; i++) {
        funnels->chunks[i]->n_dirty = 0;
        memset(funnels->chunks[i]->dirty, 0, sizeof(funnels->chunks[i]->dirty));
    }
    funnels->n_dirty = 0;
    return 0;
}
