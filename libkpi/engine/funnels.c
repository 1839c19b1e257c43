/* See funnels.h. */
#include "engine/state.h"

#include <xxhash.h>

void kpi_funnels_init(struct kpi_funnels *funnels, const struct kpi_mem *mem, uint32_t n_funnels)
{
    *funnels = (struct kpi_funnels){.mem = mem, .n_funnels = n_funnels, .slab.mem = mem};
    for (uint32_t i = 0; i < KPI_FUNNELS_MAX; i++)
        funnels->counts_from[i] = KPI_TIME_NONE;
}

static size_t blocks_bytes(const struct kpi_funnels *funnels)
{
    return (size_t)KPI_FUNNELS_CHUNK * funnels->n_funnels * sizeof(uint32_t);
}

void kpi_funnels_deinit(struct kpi_funnels *funnels)
{
    const struct kpi_mem *mem = funnels->mem;

    for (uint32_t i = 0; i < funnels->n_chunks; i++) {
        kpi_mem_free(mem, funnels->chunks[i]->blocks, blocks_bytes(funnels));
        kpi_mem_free(mem, funnels->chunks[i], sizeof(*funnels->chunks[i]));
    }
    kpi_mem_free(mem, funnels->chunks, funnels->n_chunks_max * sizeof(*funnels->chunks));
    kpi_slab_deinit(&funnels->slab);
    kpi_funnels_init(funnels, mem, funnels->n_funnels);
}

/* --- blocks --- */

static int chunk_add(struct kpi_funnels *funnels)
{
    struct kpi_funnels_chunk *chunk;

    if (funnels->n_chunks == funnels->n_chunks_max) {
        uint32_t n_max = funnels->n_chunks_max * 2 + 8;
        struct kpi_funnels_chunk **chunks =
            kpi_mem_resize(funnels->mem, funnels->chunks, funnels->n_chunks_max * sizeof(*chunks),
                           n_max * sizeof(*chunks));

        if (!chunks)
            return -ENOMEM;
        funnels->chunks = chunks;
        funnels->n_chunks_max = n_max;
    }
    chunk = kpi_mem_zalloc(funnels->mem, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    chunk->blocks = kpi_mem_zalloc(funnels->mem, blocks_bytes(funnels));
    if (!chunk->blocks) {
        kpi_mem_free(funnels->mem, chunk, sizeof(*chunk));
        return -ENOMEM;
    }
    funnels->chunks[funnels->n_chunks++] = chunk;
    return 0;
}

static uint32_t *block_of(const struct kpi_funnels *funnels, uint32_t user, uint32_t funnel)
{
    return &funnels->chunks[user / KPI_FUNNELS_CHUNK]
                ->blocks[(size_t)(user % KPI_FUNNELS_CHUNK) * funnels->n_funnels + funnel];
}

uint32_t kpi_funnels_block(const struct kpi_funnels *funnels, uint32_t user, uint32_t funnel)
{
    return user / KPI_FUNNELS_CHUNK < funnels->n_chunks ? *block_of(funnels, user, funnel) : 0;
}

static void mark_dirty(struct kpi_funnels *funnels, uint32_t user)
{
    struct kpi_funnels_chunk *chunk = funnels->chunks[user / KPI_FUNNELS_CHUNK];
    uint32_t i = user % KPI_FUNNELS_CHUNK;
    uint64_t bit = UINT64_C(1) << (i % 64);

    if (chunk->dirty[i / 64] & bit)
        return;
    chunk->dirty[i / 64] |= bit;
    chunk->n_dirty++;
    funnels->n_dirty++;
}

/* Nothing is left of what was in it. */
static void block_free(struct kpi_funnels *funnels, uint32_t block, uint32_t n_words)
{
    memset(kpi_slab_words(&funnels->slab, block), 0, n_words * sizeof(int64_t));
    kpi_slab_free(&funnels->slab, block, n_words);
}

int kpi_funnels_put(struct kpi_funnels *funnels, const struct kpi_program *program, uint32_t user,
                    uint32_t funnel, const int64_t *words, uint32_t n_words)
{
    uint32_t *block, n_before = 0, n_gone, fresh;
    int r;

    while (user / KPI_FUNNELS_CHUNK >= funnels->n_chunks) {
        r = chunk_add(funnels);
        if (r < 0)
            return r;
    }
    block = block_of(funnels, user, funnel);
    if (*block)
        n_before =
            kpi_funnel_words(&program->funnels[funnel], *kpi_slab_words(&funnels->slab, *block));
    fresh = *block;
    n_gone = n_before;
    if (kpi_slab_units(n_words) != kpi_slab_units(n_before)) {
        fresh = 0;
        r = n_words ? kpi_slab_alloc(&funnels->slab, n_words, &fresh) : 0;
        if (r < 0)
            return r;
        if (*block)
            block_free(funnels, *block, n_before);
        *block = fresh;
        n_gone = 0;
    }
    if (fresh) {
        int64_t *to = kpi_slab_words(&funnels->slab, fresh);

        memcpy(to, words, n_words * sizeof(*words));
        if (n_gone > n_words)
            memset(to + n_words, 0, (n_gone - n_words) * sizeof(*to));
    }
    funnels->n_words += n_words;
    funnels->n_words -= n_before;
    mark_dirty(funnels, user);
    return 0;
}

void kpi_funnels_forget(struct kpi_engine *engine, uint32_t user)
{
    struct kpi_funnels *funnels = &engine->funnels;

    for (uint32_t i = 0; i < funnels->n_funnels; i++) {
        uint32_t block = kpi_funnels_block(funnels, user, i), n_words;

        if (!block)
            continue;
        n_words =
            kpi_funnel_words(&engine->program->funnels[i], *kpi_slab_words(&funnels->slab, block));
        block_free(funnels, block, n_words);
        *block_of(funnels, user, i) = 0;
        funnels->has_forgotten = true;
        funnels->n_words -= n_words;
        mark_dirty(funnels, user);
        engine->version++;
    }
}

/* --- the event at hand --- */

void kpi_funnels_match(struct kpi_engine *engine, const struct kpi_event *event,
                       const struct kpi_dispatch *dispatch, const int64_t *row, bool *ret_campaign)
{
    const struct kpi_program *program = engine->program;
    struct kpi_funnels *funnels = &engine->funnels;

    funnels->n_hits = 0;
    *ret_campaign = false;
    for (uint32_t i = 0; i < dispatch->n_marks; i++) {
        const struct kpi_action *action = &dispatch->marks[i];
        const struct kpi_funnel_mark *mark = &program->marks[action->instance];
        struct kpi_funnel_mark *hit;
        uint32_t set = program->funnels[mark->funnel].set;

        if (action->condition != KPI_NO_INDEX &&
            !kpi_condition_holds(engine->plan, action->condition, event, row, kpi_engine_string,
                                 engine))
            continue;
        if (funnels->n_hits == 0 || funnels->hits[funnels->n_hits - 1].funnel != mark->funnel)
            funnels->hits[funnels->n_hits++] = (struct kpi_funnel_mark){.funnel = mark->funnel};
        hit = &funnels->hits[funnels->n_hits - 1];
        hit->steps |= mark->steps;
        hit->exclusions |= mark->exclusions;
        *ret_campaign |= set != KPI_NO_INDEX && !program->sets[set].total;
    }
}

/* Can a chain begin with the event? Then the values of `by` matter. */
static bool may_begin(const struct kpi_funnel *funnel, const struct kpi_funnel_mark *hit)
{
    return funnel->info.order == KPI_FUNNEL_ANY ? hit->steps != 0 : hit->steps & 1;
}

struct kpi_funnel_now kpi_funnels_now(const struct kpi_engine *engine, uint32_t funnel)
{
    const struct kpi_program *program = engine->program;

    if (engine->newest_event == KPI_TIME_NONE)
        return (struct kpi_funnel_now){KPI_TIME_NONE, KPI_TIME_NONE};
    return (struct kpi_funnel_now){
        .sure = engine->newest_event - program->funnels[funnel].info.lateness,
        .kept = engine->newest_record - program->keep,
    };
}

static int feed_one(struct kpi_engine *engine, uint32_t user, const struct kpi_funnel_mark *hit,
                    const struct kpi_funnel_event *event)
{
    const struct kpi_funnel *funnel = &engine->program->funnels[hit->funnel];
    struct kpi_funnel_now now = kpi_funnels_now(engine, hit->funnel);
    uint32_t block = kpi_funnels_block(&engine->funnels, user, hit->funnel);
    struct kpi_funnel_tuples tuples;
    struct kpi_funnel_order_of order = kpi_funnel_order_make(&tuples, engine, hit->funnel);
    int64_t words[KPI_FUNNEL_WORDS_MAX];
    struct kpi_funnel_user state;

    if (block)
        kpi_funnel_unpack(funnel, kpi_slab_words(&engine->funnels.slab, block), &state);
    else
        memset(&state, 0, sizeof(state));
    if (kpi_funnel_take(funnel, &state, event, &now, &order) == KPI_FUNNEL_E_LATE)
        engine->funnels.n_late[hit->funnel]++;
    return kpi_funnels_put(&engine->funnels, engine->program, user, hit->funnel, words,
                           kpi_funnel_pack(funnel, &state, words));
}

int kpi_funnels_feed(struct kpi_engine *engine, const struct kpi_event *event, uint32_t user,
                     uint32_t campaign, bool *other)
{
    const int64_t *row = kpi_slots_row(&engine->slots, user);

    for (uint32_t i = 0; i < engine->funnels.n_hits; i++) {
        const struct kpi_funnel_mark *hit = &engine->funnels.hits[i];
        const struct kpi_funnel *funnel = &engine->program->funnels[hit->funnel];
        struct kpi_funnel_event taken = {event->time, hit->steps, hit->exclusions, 0};
        int r = 0;

        if (funnel->set != KPI_NO_INDEX && may_begin(funnel, hit))
            r = kpi_tuple_get(engine, funnel->set, campaign, event, row, other, &taken.tuple);
        if (r == 0)
            r = feed_one(engine, user, hit, &taken);
        if (r < 0)
            return r;
    }
    return 0;
}

void kpi_funnels_prefetch_blocks(const struct kpi_funnels *funnels, uint32_t user)
{
    for (uint32_t i = 0; i < funnels->n_funnels; i++) {
        uint32_t block = kpi_funnels_block(funnels, user, i);

        if (block)
            __builtin_prefetch(kpi_slab_words(&funnels->slab, block), 1);
    }
}

/* --- the order of tuples --- */

static int compare_tuples(void *userdata, uint32_t a, uint32_t b)
{
    const struct kpi_funnel_tuples *tuples = userdata;
    uint64_t x = kpi_tuple_meaning(tuples->engine, tuples->set, a);
    uint64_t y = kpi_tuple_meaning(tuples->engine, tuples->set, b);

    return (x > y) - (x < y);
}

struct kpi_funnel_order_of kpi_funnel_order_make(struct kpi_funnel_tuples *ret_tuples,
                                                 const struct kpi_engine *engine, uint32_t funnel)
{
    *ret_tuples =
        (struct kpi_funnel_tuples){.engine = engine, .set = engine->program->funnels[funnel].set};
    return (struct kpi_funnel_order_of){compare_tuples, ret_tuples};
}

/* --- another plan --- */

bool kpi_funnels_same(const struct kpi_program *a, const struct kpi_program *b)
{
    bool same = a->n_funnels == b->n_funnels;

    for (uint32_t i = 0; same && i < a->n_funnels; i++)
        same = a->funnels[i].info.fingerprint == b->funnels[i].info.fingerprint;
    return same;
}

static int user_convert(const struct kpi_funnels *from, const struct kpi_program *from_program,
                        struct kpi_funnels *to, const struct kpi_program *to_program, uint32_t user)
{
    for (uint32_t i = 0; i < to_program->n_funnels; i++)
        for (uint32_t k = 0; k < from_program->n_funnels; k++) {
            const struct kpi_funnel *funnel = &from_program->funnels[k];
            uint32_t block = kpi_funnels_block(from, user, k);
            const int64_t *words;
            int r;

            if (!block || funnel->info.fingerprint != to_program->funnels[i].info.fingerprint)
                continue;
            words = kpi_slab_words(&from->slab, block);
            r = kpi_funnels_put(to, to_program, user, i, words, kpi_funnel_words(funnel, *words));
            if (r < 0)
                return r;
        }
    return 0;
}

int kpi_funnels_convert(const struct kpi_funnels *from, const struct kpi_program *from_program,
                        struct kpi_funnels *to, const struct kpi_program *to_program,
                        uint32_t n_users, kpi_time begins)
{
    for (uint32_t i = 0; i < to_program->n_funnels; i++) {
        to->counts_from[i] = begins;
        for (uint32_t k = 0; k < from_program->n_funnels; k++)
            if (from_program->funnels[k].info.fingerprint ==
                to_program->funnels[i].info.fingerprint) {
                to->n_late[i] = from->n_late[k];
                to->counts_from[i] = from->counts_from[k];
            }
    }
    for (uint32_t user = 0; user < n_users; user++) {
        int r = user_convert(from, from_program, to, to_program, user);

        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the digest --- */

/* What comes later does not matter: all is settled as if another event of the user came now. */
static XXH128_hash_t digest_user(const struct kpi_engine *engine, uint32_t index, uint32_t user,
                                 uint32_t block)
{
    const struct kpi_funnel *funnel = &engine->program->funnels[index];
    struct kpi_funnel_now now = kpi_funnels_now(engine, index);
    struct kpi_funnel_user state;
    int64_t words[2 + KPI_FUNNEL_WORDS_MAX];
    uint32_t *ids[1 + KPI_FUNNEL_STEPS_MAX + KPI_FUNNEL_STEPS_MAX + KPI_FUNNEL_WAITING_MAX + 2];
    uint32_t n_ids = 0;

    kpi_funnel_unpack(funnel, kpi_slab_words(&engine->funnels.slab, block), &state);
    kpi_funnel_settle(funnel, &state, now.sure);
    kpi_funnel_forget(funnel, &state, now.kept);
    if (state.best.n)
        ids[n_ids++] = &state.best.tuple;
    for (uint32_t i = 0; i < state.n_chains; i++)
        if (state.chains[i].n)
            ids[n_ids++] = &state.chains[i].tuple;
    for (uint32_t i = 0; i < state.n_open; i++)
        ids[n_ids++] = &state.open[i].tuple;
    for (uint32_t i = 0; i < state.n_waiting; i++)
        ids[n_ids++] = &state.waiting[i].tuple;
    if (state.walked)
        ids[n_ids++] = &state.last.tuple;
    for (uint32_t i = 0; i < n_ids; i++)
        if (*ids[i])
            *ids[i] = (uint32_t)kpi_tuple_meaning(engine, funnel->set, *ids[i]);
    words[0] = (int64_t)funnel->info.fingerprint;
    words[1] = (int64_t)kpi_users_hash(&engine->users, user);
    return XXH3_128bits(words, (2 + kpi_funnel_pack(funnel, &state, words + 2)) * sizeof(*words));
}

unsigned __int128 kpi_funnels_digest(const struct kpi_engine *engine)
{
    const struct kpi_funnels *funnels = &engine->funnels;
    unsigned __int128 sum = 0;

    for (uint32_t i = 0; i < funnels->n_funnels; i++) {
        uint64_t late[2] = {engine->program->funnels[i].info.fingerprint, funnels->n_late[i]};
        XXH128_hash_t h = XXH3_128bits(late, sizeof(late));

        sum += (unsigned __int128)h.high64 << 64 | h.low64;
        for (uint32_t user = 0; user < engine->users.n; user++) {
            uint32_t block = kpi_funnels_block(funnels, user, i);

            if (!block)
                continue;
            h = digest_user(engine, i, user, block);
            sum += (unsigned __int128)h.high64 << 64 | h.low64;
        }
    }
    return sum;
}
