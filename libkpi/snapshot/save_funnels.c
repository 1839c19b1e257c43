/*
 * Funnels, as attribute rows are saved (save_rows.c): dirty users go into a delta, and the chunks
 * of the base are rewritten in turn, four bytes for each byte of deltas. `y` says what funnels
 * these are of; when they are others than those saved, everything is written anew.
 */
#include "snapshot/format.h"

#include <xxhash.h>

enum {
    REWRITE = 4
};

static uint32_t count_chunks(const struct kpi_engine *engine)
{
    return (engine->users.n + KPI_FUNNELS_CHUNK - 1) / KPI_FUNNELS_CHUNK;
}

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

static int save_base(struct kpi_saving *saving, uint32_t chunk)
{
    struct kpi_engine *engine = saving->engine;
    uint32_t end = (chunk + 1) * KPI_FUNNELS_CHUNK;

    if (chunk < engine->funnels.n_chunks)
        clean(&engine->funnels, engine->funnels.chunks[chunk]);
    if (saving->save->funnels.n_bases <= chunk)
        saving->save->funnels.n_bases = chunk + 1;
    kpi_saving_begin(saving, 'f', chunk, 0);
    for (uint32_t user = chunk * KPI_FUNNELS_CHUNK; user < end && user < engine->users.n; user++)
        add_user(saving, user);
    return kpi_saving_end(saving);
}

/* Removes the deltas of saves before `before`. */
static int drop_deltas(struct kpi_saving *saving, uint64_t before)
{
    struct kpi_save_funnels *save = &saving->save->funnels;
    size_t n = 0;

    for (size_t i = 0; i < save->n_deltas; i++) {
        int r;

        if (save->deltas[i].a >= before) {
            save->deltas[n++] = save->deltas[i];
            continue;
        }
        r = kpi_saving_remove(saving, &save->deltas[i]);
        if (r < 0)
            return r;
    }
    save->n_deltas = n;
    return 0;
}

static int save_all(struct kpi_saving *saving)
{
    uint32_t n = count_chunks(saving->engine);

    for (uint32_t i = 0; i < n; i++) {
        int r = save_base(saving, i);

        if (r < 0)
            return r;
    }
    saving->save->funnels.cursor = 0;
    saving->save->funnels.cycle = saving->save->n;
    saving->save->funnels.credit = 0;
    saving->engine->funnels.has_forgotten = false;
    return drop_deltas(saving, UINT64_MAX);
}

static int delta_end(struct kpi_saving *saving, uint32_t *part)
{
    struct kpi_name name = {'g', saving->save->n, *part};
    int r;

    r = kpi_save_add_funnel_delta(saving->save, &name);
    if (r == 0)
        r = kpi_saving_end(saving);
    saving->save->funnels.credit += REWRITE * saving->buffer.size;
    ++*part;
    return r;
}

static int save_delta(struct kpi_saving *saving)
{
    struct kpi_funnels *funnels = &saving->engine->funnels;
    uint32_t part = 0;
    int r;

    kpi_saving_begin(saving, 'g', saving->save->n, part);
    for (uint32_t c = 0; c < funnels->n_chunks; c++) {
        struct kpi_funnels_chunk *chunk = funnels->chunks[c];

        for (uint32_t w = 0; chunk->n_dirty && w < KPI_FUNNELS_CHUNK / 64; w++)
            for (uint64_t word = chunk->dirty[w]; word; word &= word - 1) {
                uint32_t user = c * KPI_FUNNELS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(word);

                if (saving->buffer.size > KPI_SAVE_DELTA_MAX) {
                    r = delta_end(saving, &part);
                    if (r < 0)
                        return r;
                    kpi_saving_begin(saving, 'g', saving->save->n, part);
                }
                kpi_buffer_u32(&saving->buffer, user);
                add_user(saving, user);
            }
        clean(funnels, chunk);
    }
    return delta_end(saving, &part);
}

static int rewrite(struct kpi_saving *saving)
{
    struct kpi_save_funnels *save = &saving->save->funnels;
    uint32_t n_chunks = count_chunks(saving->engine);
    uint64_t chunk_bytes = total_bytes(saving->engine) / n_chunks + 1;

    /* At most once each: an object is written once in a save. */
    for (uint32_t n = n_chunks; n && save->credit >= chunk_bytes; n--) {
        int r = save_base(saving, save->cursor);

        if (r < 0)
            return r;
        save->credit -= chunk_bytes;
        if (++save->cursor < n_chunks)
            continue;
        r = drop_deltas(saving, save->cycle);
        if (r < 0)
            return r;
        save->cursor = 0;
        /* The next turn begins after this save's delta: it may go only with the turn after that. */
        save->cycle = saving->save->n + 1;
    }
    return 0;
}

uint64_t kpi_save_funnels_layout(uint64_t layout, uint64_t fingerprint)
{
    return XXH3_64bits_withSeed(&fingerprint, sizeof(fingerprint), layout);
}

static int save_users(struct kpi_saving *saving, bool all)
{
    struct kpi_engine *engine = saving->engine;
    const struct kpi_funnels *funnels = &engine->funnels;
    uint64_t total = total_bytes(engine), delta;
    int r;

    delta = engine->users.n ? funnels->n_dirty * (total / engine->users.n + 4) : 0;
    /* What is forgotten is in old objects, too. */
    if (all || engine->funnels.has_forgotten || delta * 4 > total)
        return save_all(saving);
    if (!delta)
        return 0;
    r = save_delta(saving);
    return r < 0 ? r : rewrite(saving);
}

static int save_head(struct kpi_saving *saving)
{
    const struct kpi_program *program = saving->engine->program;
    const struct kpi_save_funnels *save = &saving->save->funnels;

    kpi_saving_begin(saving, 'y', 0, 0);
    kpi_buffer_u32(&saving->buffer, program->n_funnels);
    for (uint32_t i = 0; i < program->n_funnels; i++) {
        kpi_buffer_u64(&saving->buffer, program->funnels[i].info.fingerprint);
        kpi_buffer_u64(&saving->buffer, saving->engine->funnels.n_late[i]);
        kpi_buffer_u64(&saving->buffer, (uint64_t)saving->engine->funnels.counts_from[i]);
    }
    kpi_buffer_u64(&saving->buffer, save->cycle);
    kpi_buffer_u32(&saving->buffer, save->cursor);
    kpi_buffer_u32(&saving->buffer, save->n_bases);
    kpi_buffer_u32(&saving->buffer, (uint32_t)save->n_deltas);
    return kpi_saving_end(saving);
}

/* The plan has no funnels (any more). */
static int remove_all(struct kpi_saving *saving)
{
    struct kpi_save_funnels *save = &saving->save->funnels;
    const struct kpi_name head = {'y', 0, 0};
    int r = save->saved ? kpi_saving_remove(saving, &head) : 0;

    for (uint32_t i = 0; i < save->n_bases && r == 0; i++) {
        struct kpi_name name = {'f', i, 0};

        r = kpi_saving_remove(saving, &name);
    }
    if (r < 0)
        return r;
    save->n_bases = 0;
    save->saved = false;
    return drop_deltas(saving, UINT64_MAX);
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
