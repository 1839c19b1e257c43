/*
 * What the funnels of a shard have to say: for each local day and each tuple of first events how
 * many users entered, and for each further step how many came to it and how long they took. Parts
 * of answers are told in spec/funnel_answers.h.
 */
#include "base/sort.h"
#include "engine/state.h"
#include "spec/funnel_answers.h"

#include <kpi/answers.h>

/* One number of an answer, being added up; in a table with open addressing. */
struct entry {
    uint32_t tuple, part;
    kpi_day day;
    bool used;
    uint64_t n;
    kpi_wide sum;
};

struct tally {
    struct kpi_engine *engine;
    uint32_t index;
    const struct kpi_funnel *funnel;
    struct entry *entries;
    uint32_t n, n_max; /* n_max: a power of two */
    uint32_t *ranks;   /* by tuple: its place in canonical order */
    uint32_t n_tuples;
};

static struct entry *entry_find(struct entry *entries, uint32_t n_max, uint32_t tuple,
                                uint32_t part, kpi_day day)
{
    uint64_t hash = ((uint64_t)tuple << 32 | part) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at;

    hash = (hash ^ hash >> 29 ^ (uint32_t)day) * UINT64_C(0xbf58476d1ce4e5b9);
    at = (uint32_t)(hash >> 32) & (n_max - 1);
    while (entries[at].used &&
           (entries[at].tuple != tuple || entries[at].part != part || entries[at].day != day))
        at = (at + 1) & (n_max - 1);
    return &entries[at];
}

static int grow(struct tally *tally)
{
    const struct kpi_mem *mem = &tally->engine->mem;
    uint32_t n_max = tally->n_max ? tally->n_max * 2 : 1024;
    struct entry *entries = kpi_mem_zalloc(mem, n_max * sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    for (uint32_t i = 0; i < tally->n_max; i++) {
        const struct entry *old = &tally->entries[i];

        if (old->used)
            *entry_find(entries, n_max, old->tuple, old->part, old->day) = *old;
    }
    kpi_mem_free(mem, tally->entries, tally->n_max * sizeof(*entries));
    tally->entries = entries;
    tally->n_max = n_max;
    return 0;
}

static int add(struct tally *tally, uint32_t tuple, uint32_t part, kpi_day day, uint64_t n,
               kpi_duration sum)
{
    struct entry *entry;

    if (tally->n * 2 >= tally->n_max) {
        int r = grow(tally);

        if (r < 0)
            return r;
    }
    entry = entry_find(tally->entries, tally->n_max, tuple, part, day);
    tally->n += !entry->used;
    *entry = (struct entry){tuple, part, day, true, entry->n + n, entry->sum + sum};
    return 0;
}

/* --- users --- */

static int add_time(struct tally *tally, const struct kpi_funnel_chain *chain, kpi_day day,
                    uint32_t step, kpi_duration time)
{
    return add(tally, chain->tuple, kpi_funnel_part(step, time), day, 1, time);
}

static int add_chain(struct tally *tally, const struct kpi_funnel_chain *chain)
{
    uint32_t n_steps = tally->funnel->info.n_steps;
    kpi_time before = chain->times[0];
    kpi_day day = kpi_zone_day_clamped(kpi_plan_zone(tally->engine->plan, 0), before);
    int r = add(tally, chain->tuple, KPI_FUNNEL_PART_ENTERED, day, 1, 0);

    for (uint32_t i = 1; i < chain->n && r == 0; i++) {
        if (chain->times[i] == KPI_TIME_NONE)
            continue;
        r = add_time(tally, chain, day, i, chain->times[i] - before);
        before = chain->times[i];
    }
    if (r == 0 && chain->n == n_steps)
        r = add_time(tally, chain, day, n_steps, before - chain->times[0]);
    return r;
}

static int add_users(struct tally *tally)
{
    const struct kpi_funnels *funnels = &tally->engine->funnels;
    kpi_time kept = kpi_funnels_now(tally->engine, tally->index).kept;

    for (uint32_t user = 0; user < tally->engine->users.n; user++) {
        uint32_t block = kpi_funnels_block(funnels, user, tally->index);
        struct kpi_funnel_user state;
        int r;

        if (!block)
            continue;
        kpi_funnel_unpack(tally->funnel, kpi_slab_words(&funnels->slab, block), &state);
        kpi_funnel_settle(tally->funnel, &state, INT64_MAX);
        kpi_funnel_forget(tally->funnel, &state, kept);
        r = state.best.n ? add_chain(tally, &state.best) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- in order --- */

static int rank_tuples(struct tally *tally)
{
    const struct kpi_engine *engine = tally->engine;
    const struct kpi_funnel *funnel = tally->funnel;
    bool has_set = funnel->set != KPI_NO_INDEX;
    uint32_t n = has_set ? engine->tuples.sets[funnel->set].tuples.n : 1;

    tally->ranks = kpi_mem_zalloc(&engine->mem, n * sizeof(*tally->ranks));
    tally->n_tuples = n;
    if (!tally->ranks)
        return -ENOMEM;
    return has_set ? kpi_tuples_rank(engine, funnel->set, funnel->places,
                                     funnel->info.by->n_dimensions, tally->ranks)
                   : 0;
}

/* In the place of an entry while it is sorted. */
struct key {
    uint32_t rank, part;
    kpi_day day;
    uint32_t entry;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->day > y->day) - (x->day < y->day);
}

static int push(struct tally *tally, const struct entry *entry, struct kpi_answers *answers)
{
    kpi_wide cells[2] = {(kpi_wide)entry->n, entry->sum};
    struct kpi_answer answer = {
        .kind = KPI_ANSWER_FUNNEL,
        .index = tally->index,
        .part = entry->part,
        .start = entry->part == KPI_FUNNEL_PART_FROM ? (kpi_time)entry->sum : entry->day,
        .n_cells =
            entry->part == KPI_FUNNEL_PART_ENTERED || entry->part >= KPI_FUNNEL_PART_FROM ? 1 : 2,
        .cells = cells,
    };

    if (tally->funnel->info.by) {
        answer.n_values = tally->funnel->info.by->n_dimensions;
        kpi_tuple_answer(tally->engine, tally->funnel->set, tally->funnel->places, entry->tuple,
                         &answer);
    }
    return kpi_answers_push(answers, &answer);
}

static int push_all(struct tally *tally, struct kpi_answers *answers)
{
    const struct kpi_mem *mem = &tally->engine->mem;
    struct key *keys = kpi_mem_alloc(mem, (tally->n + 1) * sizeof(*keys));
    uint32_t n = 0;
    int r = keys ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < tally->n_max && r == 0; i++) {
        const struct entry *entry = &tally->entries[i];

        if (entry->used)
            keys[n++] = (struct key){tally->ranks[entry->tuple], entry->part, entry->day, i};
    }
    if (r == 0)
        kpi_sort(keys, n, sizeof(*keys), compare_keys);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        struct entry *entry = &tally->entries[keys[i].entry];

        /* A value may be written as what stands for those beyond the bound. */
        for (; i + 1 < n && compare_keys(&keys[i], &keys[i + 1]) == 0; i++) {
            entry->n += tally->entries[keys[i + 1].entry].n;
            entry->sum += tally->entries[keys[i + 1].entry].sum;
        }
        r = push(tally, entry, answers);
    }
    kpi_mem_free(mem, keys, (tally->n + 1) * sizeof(*keys));
    return r;
}

static int answer_one(struct kpi_engine *engine, uint32_t index, struct kpi_answers *answers)
{
    uint64_t n_late = engine->funnels.n_late[index];
    kpi_time from = kpi_engine_reads_from(engine, engine->program->funnels[index].reads,
                                          engine->funnels.counts_from[index]);
    struct tally tally = {
        .engine = engine, .index = index, .funnel = &engine->program->funnels[index]};
    int r = n_late ? add(&tally, KPI_DICTIONARY_NONE, KPI_FUNNEL_PART_LATE, 0, n_late, 0) : 0;

    if (r == 0 && from != KPI_TIME_NONE)
        r = add(&tally, KPI_DICTIONARY_NONE, KPI_FUNNEL_PART_FROM, 0, 1, from);
    if (r == 0)
        r = add_users(&tally);
    if (r == 0)
        r = rank_tuples(&tally);
    if (r == 0)
        r = push_all(&tally, answers);
    kpi_mem_free(&engine->mem, tally.ranks, tally.n_tuples * sizeof(*tally.ranks));
    kpi_mem_free(&engine->mem, tally.entries, tally.n_max * sizeof(*tally.entries));
    return r;
}

int kpi_funnels_answer(struct kpi_engine *engine, struct kpi_answers *answers)
{
    int r = 0;

    for (uint32_t i = 0; i < engine->program->n_funnels && r == 0; i++)
        r = answer_one(engine, i, answers);
    return r;
}
