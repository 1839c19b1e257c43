/*
 * A shard in this process: an engine, where it stands in the log, and its checkpoints. Always owned
 * by exactly one thread: the main thread while it is closed, the store thread while it is opened,
 * its worker while it is open. A commit under way borrows the manifest and copied bytes, never the
 * engine.
 */
#pragma once

#include "config/config.h"
#include "intake/intake.h"
#include "store/store_thread.h"
#include "summary.h"
#include "util/mailbox.h"

#include <kpi/engine.h>
#include <stdatomic.h>

struct event_decoder;

/* As the main thread knows it; nobody else looks. */
enum shard_phase {
    SHARD_CLOSED,
    SHARD_OPENING, /* being claimed and loaded by the store thread */
    SHARD_OPEN,    /* a worker's */
    SHARD_HALTED,  /* lost data, and state.on_loss is halt */
};

struct shard {
    uint32_t index;
    enum shard_phase phase;
    struct kpi_engine *engine;
    const struct kpi_plan *plan; /* the engine's, which holds a reference */
    struct kpi_batch *batch;
    const rd_kafka_message_t *origins[KPI_BATCH_MAX]; /* the record of each event in the batch */

    uint32_t n_topics;
    struct store_position *positions;  /* by topic */
    uint64_t *topic_hashes;            /* by topic: XXH3_64bits of its name */
    int64_t *assign_at;                /* by topic: the offset to fetch from */
    bool *verify;                      /* by topic: the first record must be the last one we know */
    bool *at_end;                      /* by topic: nothing newer was there at the last look */
    int64_t *behind;                   /* by topic: read up to here by the state that this one took
                                          the place of; not caught up before */
    const rd_kafka_message_t **newest; /* by topic: within the records now held */

    struct store_manifest *manifest; /* of the last durable commit; NULL without a store */
    uint64_t epoch, generation;
    bool save_all;               /* made anew: the next checkpoint replaces all that is stored */
    uint64_t staged_claim;       /* of the staged state that was taken over last; 0: none */
    struct shard_commit *commit; /* under way, or to be repeated at retry_at */
    char *spare;                 /* buffer of the last commit, or NULL */
    size_t spare_capacity;
    int64_t retry_at;      /* monotonic: when to repeat it; 0 while the store thread has it */
    int64_t checkpoint_at; /* monotonic: not before */
    int64_t commit_begun;  /* monotonic */
    int64_t n_records, n_saved_records; /* since it was opened; of which durable */
    kpi_time saved_at;
    _Atomic int64_t n_dead_pending;
    /* shard_unsaved() as any thread may see it, of no less than what next[] tells of. */
    _Atomic int64_t n_unsaved;
    _Atomic int64_t *next;       /* by topic: positions[].next as any thread may see it; -1: none */
    _Atomic int64_t *saved_next; /* by topic: the durable next offset; any thread may look */
    _Atomic uint64_t saved_generation, saved_epoch;

    struct kpi_answers *answers; /* as last made; NULL: not yet under this plan */
    uint64_t answers_version;    /* of the engine, and the layout, that they are of */
    uint64_t answers_layout;
    kpi_time answers_as_of;
    int64_t answers_at; /* monotonic: no new ones before */

    uint64_t published_version;
    bool published_caught_up;
    uint64_t published_layout;
    int64_t publish_at;         /* monotonic: not before */
    kpi_duration dedupe_window; /* as last told to people; KPI_TIME_NONE: not yet */
    bool rebuild;               /* to be made anew from the log at the next open */
    bool closing;               /* the worker's: takes no more records, is to be given back */
    bool failed;                /* tells the main thread why it was given back */
    int outcome;                /* STORE_E_… or SHARD_E_… */
};

enum {
    SHARD_E_LOSS = 100, /* the log is not the one that was read, or lacks what was not read yet */
    SHARD_E_KAFKA,      /* the broker did not answer; try again */
    SHARD_E_RANGE,      /* the log has moved away from under us: close, and look at it anew */
    SHARD_E_NEWER,      /* the stored state is of a later version of kpid: hands off */
};

/* counts_from of a position behind a loss whose next record has not come yet: its time will say. */
#define SHARD_COUNTS_FROM_NEXT INT64_MAX

int shard_new(struct shard **ret_shard, uint32_t index, uint32_t n_topics);
/* With a commit that no thread has any more. */
struct shard *shard_free(struct shard *shard);
/* Forgets engine and manifest, as before the first open. */
void shard_reset(struct shard *shard);

struct shard_open_options {
    struct intake *intake;
    struct kpi_plan *plan;
    enum config_on_loss on_loss;
    bool rebuild;  /* start anew from the log whatever the store holds */
    uint64_t fold; /* config.h: which staged state may be taken over; 0: none */
};

/*
 * Opens a shard: claims it, loads its state (or goes on with what is still in memory, if nobody has
 * owned it since), and decides where to fetch from. State that `kpid rebuild` has staged for the
 * same definitions takes the place of the stored one, with the next checkpoint for good. Blocking;
 * on the store thread, or on the main thread with store NULL. 0, a STORE_E_… or SHARD_E_… outcome,
 * or -ENOMEM.
 */
int shard_open(struct shard *shard, struct store *store, const struct shard_open_options *options);

/* Goes on under another plan, at a batch boundary. 0 or -ENOMEM, after which it must only be freed.
 */
int shard_replan(struct shard *shard, struct kpi_plan *plan);

/* Takes a record into the batch; may apply it. The decoder counts topics as the intake does. 0,
 * SHARD_E_LOSS, SHARD_E_RANGE or -ENOMEM. */
int shard_take(struct shard *shard, struct intake *intake, struct event_decoder *decoder,
               const rd_kafka_message_t *message);
/* Applies what is in the batch. After it, no record is held any more. */
int shard_flush(struct shard *shard, struct intake *intake);

/* Shows other threads what is durable, from the manifest. */
void shard_tell_saved(struct shard *shard);

/* Every topic is read to its end, or its newest record is a few seconds young. */
bool shard_caught_up(const struct shard *shard, kpi_time now);
int64_t shard_unsaved(const struct shard *shard);
/*
 * Is there anything for a checkpoint: records, a state made anew, another fold (config.h) than the
 * last one's? With a store, and while no commit is under way.
 */
bool shard_dirty(const struct shard *shard, uint64_t fold);

/* Copies what changed and submits it; mailbox gets the commit's item when it is done. 0 or -ENOMEM.
 */
struct shard_commit {
    struct store_job job;
    struct mailbox_item item; /* first thing the worker sees of it */
    struct shard *shard;
    struct mailbox *reply;
    struct store_commit commit;
    char *bytes;
    size_t size, capacity;
    uint32_t objects_capacity;
    int64_t n_records;     /* what becomes durable with it */
    uint64_t staged_claim; /* and what need not be staged any longer; 0: nothing */
    char error[256];       /* store_error() of the last try */
};

int shard_checkpoint(struct shard *shard, struct store_thread *thread, struct mailbox *reply,
                     uint64_t fold);
/*
 * Writes all of the shard's state as staged. `store` is used for that alone; the shard is the
 * caller's, with no commit under way. 0, a STORE_E_… or -ENOMEM.
 */
int shard_stage(struct shard *shard, struct store *store, uint64_t fold);
/* The worker has got the item: judges the outcome. True if the shard goes on. */
bool shard_committed(struct shard *shard, struct shard_commit *commit, int64_t now_monotonic);
void shard_commit_again(struct shard *shard, struct store_thread *thread);
/* Gives up a commit that waits to be repeated. */
void shard_commit_abandon(struct shard *shard);

/* Are there other answers than the last ones? Not of a plan that asks for none. */
bool shard_answers_stale(const struct shard *shard, const struct kpi_layout *layout);
/* Makes answers anew; without memory the last ones stay. */
void shard_answer(struct shard *shard, const struct kpi_layout *layout, kpi_time now);
/* Rows, standing, and the answers as last made. NULL if there is no memory. */
struct summary *shard_summarize(struct shard *shard, const struct kpi_layout *layout, kpi_time now,
                                int64_t lag);
