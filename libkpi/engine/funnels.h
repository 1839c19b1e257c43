/*
 * Funnels of a shard: for each user and funnel a block of words (engine/funnel.h), made with the
 * first event of the user that is something to the funnel.
 */
#pragma once

#include "base/slab.h"
#include "engine/funnel.h"

struct kpi_answers;
struct kpi_engine;
struct kpi_event;

enum {
    KPI_FUNNELS_CHUNK = 8192 /* users */
};

/* Blocks of users by dense id, in chunks that never move. */
struct kpi_funnels_chunk {
    uint32_t *blocks; /* by user and funnel; 0: none */
    uint32_t n_dirty; /* users */
    uint64_t dirty[KPI_FUNNELS_CHUNK / 64];
};

/* May be embedded; all zero but for `mem` is that of a plan without funnels. */
struct kpi_funnels {
    const struct kpi_mem *mem;
    uint32_t n_funnels; /* of the program */
    struct kpi_slab slab;
    struct kpi_funnels_chunk **chunks;
    uint32_t n_chunks, n_chunks_max;
    uint64_t n_dirty;
    bool has_forgotten;               /* somebody since the last save */
    uint64_t n_words;                 /* of all blocks */
    uint64_t n_late[KPI_FUNNELS_MAX]; /* by funnel */
    /* by funnel: what was before is missing; KPI_TIME_NONE: nothing is */
    kpi_time counts_from[KPI_FUNNELS_MAX];
    struct kpi_funnel_mark hits[KPI_FUNNELS_MAX]; /* of the event at hand, by funnel */
    uint32_t n_hits;
};

void kpi_funnels_init(struct kpi_funnels *funnels, const struct kpi_mem *mem, uint32_t n_funnels);
void kpi_funnels_deinit(struct kpi_funnels *funnels);

/* The block of a user, or 0. */
uint32_t kpi_funnels_block(const struct kpi_funnels *funnels, uint32_t user, uint32_t funnel);
/*
 * Puts words in the place of what a user has, n_words 0 for nothing, and marks the user dirty.
 * Allocates when tables grow. Returns 0 or -ENOMEM, then nothing has changed.
 */
int kpi_funnels_put(struct kpi_funnels *funnels, const struct kpi_program *program, uint32_t user,
                    uint32_t funnel, const int64_t *words, uint32_t n_words);

/*
 * What the event at hand is to the funnels, in `hits`; before anything of it is applied. `row`: as
 * for kpi_condition_holds(). *ret_campaign: does one ask for the tuple of its campaign?
 */
void kpi_funnels_match(struct kpi_engine *engine, const struct kpi_event *event,
                       const struct kpi_dispatch *dispatch, const int64_t *row, bool *ret_campaign);
/*
 * Takes the event at hand, which has hits and a user. `campaign` and `other`: as for
 * kpi_tuple_get(). Before attributes are updated. Returns 0 or -ENOMEM.
 */
int kpi_funnels_feed(struct kpi_engine *engine, const struct kpi_event *event, uint32_t user,
                     uint32_t campaign, bool *other);

/* Asks the memory for what kpi_funnels_feed() will need of a user: first this, a while later that.
 */
static inline void kpi_funnels_prefetch(const struct kpi_funnels *funnels, uint32_t user)
{
    uint32_t chunk = user / KPI_FUNNELS_CHUNK;

    if (chunk < funnels->n_chunks)
        __builtin_prefetch(funnels->chunks[chunk]->blocks +
                           (size_t)(user % KPI_FUNNELS_CHUNK) * funnels->n_funnels);
}
void kpi_funnels_prefetch_blocks(const struct kpi_funnels *funnels, uint32_t user);

/*
 * Removes all that is known of a user, from memory at once, and from the store with the next save,
 * which is of all users. Cannot fail.
 */
void kpi_funnels_forget(struct kpi_engine *engine, uint32_t user);

/* The order of tuples of a funnel, for kpi_funnel_take(). */
struct kpi_funnel_tuples {
    const struct kpi_engine *engine;
    uint32_t set;
};
struct kpi_funnel_order_of kpi_funnel_order_make(struct kpi_funnel_tuples *ret_tuples,
                                                 const struct kpi_engine *engine, uint32_t funnel);
/* What times are now. */
struct kpi_funnel_now kpi_funnels_now(const struct kpi_engine *engine, uint32_t funnel);

/*
 * What the new program knows of another one's, all dirty: `to` was just made for it. What it does
 * not know counts from `begins`. Returns 0 or -ENOMEM.
 */
int kpi_funnels_convert(const struct kpi_funnels *from, const struct kpi_program *from_program,
                        struct kpi_funnels *to, const struct kpi_program *to_program,
                        uint32_t n_users, kpi_time begins);
/* Do the two have the same funnels in the same order? */
bool kpi_funnels_same(const struct kpi_program *a, const struct kpi_program *b);

/* The sum of what is to be digested: see engine/digest.c. */
unsigned __int128 kpi_funnels_digest(const struct kpi_engine *engine);

/* funnel_answers.c: appends the answers of all funnels. Returns 0 or -ENOMEM. */
int kpi_funnels_answer(struct kpi_engine *engine, struct kpi_answers *answers);
