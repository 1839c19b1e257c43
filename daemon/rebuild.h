/*
 * Making the state of shards anew, in a process of its own beside a running kpid: reads the log
 * from where a new shard would begin, up to where the live checkpoints are, under any definitions,
 * and leaves the state staged in the store (store.h), shard by shard, so that it takes the memory
 * of one. Joins no group, commits no offset, writes no dead letter, and touches nothing that is
 * live.
 *
 * A shard is read up to the live checkpoint and not beyond it: who takes over reads the rest again,
 * and what is refused there reaches the dead-letter topic by that reading.
 */
#pragma once

#include "config/config.h"
#include "intake/intake.h"
#include "store/store.h"

enum {
    REBUILD_E_KAFKA = 1, /* no answer, or the log moved on again and again; see error */
    REBUILD_E_STORE,     /* see error */
    REBUILD_E_MISSING,   /* the log does not reach back as far as state is kept; see error */
};

struct rebuild {
    const struct config *config; /* loaded for n_shards; the new definitions */
    struct intake *intake;       /* one worker, not subscribed, without dead letters */
    struct store *store;
    const uint8_t *key; /* the secret of ids */
    uint32_t n_shards;
    bool accept_missing;
    /* Called now and then. */
    void (*progress)(void *userdata, const struct rebuild *rebuild);
    void *userdata;

    uint32_t shard;   /* under way */
    int64_t n_read;   /* records, of all shards so far */
    int64_t n_all;    /* to be read */
    kpi_time missing; /* from when all shards count; KPI_TIME_NONE: from the beginning */
    char error[512];
};

/*
 * Removes what is staged, stages all shards, and announces them. 0, REBUILD_E_… or a negative
 * errno; whatever happens on the way is as if nothing was staged.
 */
int rebuild_stage(struct rebuild *rebuild);

/* Is every live checkpoint of the plan that was rebuilt? 0 or REBUILD_E_STORE. */
int rebuild_is_running(struct rebuild *rebuild, bool *ret_running);
/* How many staged shards have been taken over. 0 or REBUILD_E_STORE. */
int rebuild_taken(struct rebuild *rebuild, uint32_t *ret_n);
