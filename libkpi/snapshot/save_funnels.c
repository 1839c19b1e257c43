/*
 * Funnels, in objects as save_base.c says. `y` says what funnels these are of; when they are others
 * than those saved, everything is written anew.
 */
#include "snapshot/format.h"

#include <xxhash.h>

/* What all users have, and the counts before. */
static uint64_t total_bytes(const struct kpi_engine *engine)
{
    const struct kpi_funnels *funnels = &engine->funnels;

    return funnels->n_words * sizeof(int64_t) +
           (uint64_t)engine->users.n * funnels->n_funnels * sizeof(uint16_t);
}

/* For each funnel how many words, and these. */
static void add_user(struct kpi_saving *saving, uint32_t user)
{
    const struct kpi_engine *engine = saving->engine;
    const struct kpi_funnels *funnels = &engine->funnels;

    for (uint32_t i = 0; i < funnels->n_funnels; i++) {
        uint32_t block = kpi_funnels_block(funnels, user, i), n = 0;
        const int64_t *words = NULL;

        if (block) {
            words = kpi_slab_words(&funnels->slab, block);
            n = kpi_funnel_words(&engine->program->funnels[i], *words);
        }
        kpi_buffer_u16(&saving->buffer, (uint16_t)n);
        kpi_buffer_add(&saving->buffer, words, n * sizeof(*words));
    }
}

static void clean(struct kpi_funnels *funnels, struct kpi_funnels_chunk *chunk)
{
    funnels->n_dirty -= chunk->n_dirty;
    chunk->n_dirty = 0;
    memset(chunk->dirty, 0, sizeof(chunk->dirty));
}

static void add_chunk(struct kpi_saving *saving, uint32_t chunk)
{
    struct kpi_engine *engine = saving->engine;
    uint32_t end = (chunk + 1) * KPI_FUNNELS_CHUNK;

    if (chunk < engine->funnels.n_chunks)
        clean(&engine->funnels, engine->funnels.chunks[chunk]);
    for (uint32_t user = chunk * KPI_FUNNELS_CHUNK; user < end && user < engine->users.n; user++)
        add_user(saving, user);
}

static struct kpi_saving_base base_of(const struct kpi_saving *saving)
{
    const struct kpi_engine *engine = saving->engine;
    uint32_t n_chunks = (engine->users.n + KPI_FUNNELS_CHUNK - 1) / KPI_FUNNELS_CHUNK;

    return (struct kpi_saving_base){
        .save = &saving->save->funnels.base,
        .tag = 'f',
        .delta_tag = 'g',
        .n_chunks = n_chunks,
        .chunk_bytes = n_chunks ? total_bytes(engine) / n_chunks + 1 : 0,
        .chunk_add = add_chunk,
    };
}

static int save_delta(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    struct kpi_funnels *funnels = &saving->engine->funnels;

    kpi_saving_delta_begin(saving, base);
    for (uint32_t c = 0; c < funnels->n_chunks; c++) {
        struct kpi_funnels_chunk *chunk = funnels->chunks[c];

        for (uint32_t w = 0; chunk->n_dirty && w < KPI_FUNNELS_CHUNK / 64; w++)
            for (uint64_t word = chunk->dirty[w]; word; word &= word - 1) {
                uint32_t user = c * KPI_FUNNELS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(word);
                int r = kpi_saving_delta_turn(saving, base);

                if (r < 0)
                    return r;
                kpi_buffer_u32(&saving->buffer, user);
                add_user(saving, user);
            }
        clean(funnels, chunk);
    }
    return kpi_saving_delta_end(saving, base);
}

uint64_t kpi_save_funnels_layout(uint64_t layout, uint64_t fingerprint)
{
    return XXH3_64bits_withSeed(&fingerprint, sizeof(fingerprint), layout);
}

static int save_users(struct kpi_saving *saving, bool all)
{
    struct kpi_engine *engine = saving->engine;
    const struct kpi_funnels *funnels = &engine->funnels;
    struct kpi_saving_base base = base_of(saving);
    uint64_t total = total_bytes(engine), delta;
    uint32_t n;
    int r;

    delta = engine->users.n ? funnels->n_dirty * (total / engine->users.n + 4) : 0;
    /* What is forgotten is in old objects, too. */
    if (all || engine->funnels.has_forgotten || delta * 4 > total) {
        r = kpi_saving_base_all(saving, &base);
        if (r == 0)
            engine->funnels.has_forgotten = false;
        return r;
    }
    if (!delta)
        return 0;
    r = save_delta(saving, &base);
    return r < 0 ? r : kpi_saving_base_rewrite(saving, &base, &n);
}

static int save_head(struct kpi_saving *saving)
{
    const struct kpi_program *program = saving->engine->program;
    const struct kpi_save_base *save = &saving->save->funnels.base;

    kpi_saving_begin(saving, 'y', 0, 0);
    kpi_buffer_u32(&saving->buffer, program->n_funnels);
    for (uint32_t i = 0; i < program->n_funnels; i++) {
        kpi_buffer_u64(&saving->buffer, program->funnels[i].info.fingerprint);
        kpi_buffer_u64(&saving->buffer, saving->engine->funnels.n_late[i]);
        kpi_buffer_u64(&saving->buffer, (uint64_t)saving->engine->funnels.counts_from[i]);
    }
    kpi_buffer_u64(&saving->buffer, save->cycle);
    kpi_buffer_u32(&saving->buffer, save->cursor);
    kpi_buffer_u32(&saving->buffer, save->n_chunks);
    kpi_buffer_u32(&saving->buffer, (uint32_t)save->n_deltas);
    return kpi_saving_end(saving);
}

/* The plan has no funnels (any more). */
static int remove_all(struct kpi_saving *saving)
{
    struct kpi_save_funnels *save = &saving->save->funnels;
    const struct kpi_saving_base base = base_of(saving);
    const struct kpi_name head = {'y', 0, 0};
    int r = save->saved ? kpi_saving_remove(saving, &head) : 0;

    if (r == 0)
        r = kpi_saving_base_remove(saving, &base);
    if (r == 0)
        save->saved = false;
    return r;
}

int kpi_saving_funnels(struct kpi_saving *saving)
{
    struct kpi_save_funnels *save = &saving->save->funnels;
    const struct kpi_program *program = saving->engine->program;
    uint64_t layout = 0;
    int r;

    if (program->n_funnels == 0)
        return remove_all(saving);
    for (uint32_t i = 0; i < program->n_funnels; i++)
        layout = kpi_save_funnels_layout(layout, program->funnels[i].info.fingerprint);
    r = save_users(saving, saving->all || !save->saved || save->layout != layout);
    save->saved = true;
    save->layout = layout;
    return r < 0 ? r : save_head(saving);
}
