/*
 * A worker: a thread that owns shards. It takes records from its queue, folds them, publishes rows
 * and takes checkpoints; it never waits for Redis, HTTP or another worker. Everything it is told
 * and tells travels in mailboxes.
 */
#pragma once

#include "shard.h"

#include <kpi/report.h>

struct mappings;
struct worker;

/* What a reload may change. */
struct worker_settings {
    char currency[8];
    uint64_t fold; /* config.h */
    kpi_duration checkpoint_interval;
    uint64_t unsaved_max; /* records of a shard */
};

/* What the main thread tells a worker. Freed by the worker. */
struct worker_order {
    struct mailbox_item item;
    enum worker_order_kind {
        WORKER_OPEN,   /* shard: from now on the worker's; answered by WORKER_OPENED */
        WORKER_CLOSE,  /* shard: give it back, after a last checkpoint; WORKER_CLOSED */
        WORKER_DROP,   /* shard: give it back at once, without; WORKER_CLOSED */
        WORKER_LAYOUT, /* layout: report under this one; the order holds a reference */
        WORKER_PLAN,   /* plan, mappings, settings: go on under these; the order holds references */
        WORKER_STOP,   /* the thread ends; all shards have been closed before */
    } kind;
    struct shard *shard;
    struct kpi_layout *layout;
    struct kpi_plan *plan;
    struct mappings *mappings; /* NULL: none */
    struct worker_settings settings;
};

/* What a worker tells the main thread. Freed by the main thread. */
struct worker_notice {
    struct mailbox_item item;
    enum worker_notice_kind {
        WORKER_OPENED,
        WORKER_CLOSED,  /* shard is the main thread's again; shard->outcome says why if it failed */
        WORKER_SUMMARY, /* summary: owned by the receiver */
        WORKER_FATAL,   /* no memory: the process must end */
    } kind;
    struct shard *shard;
    struct summary *summary;
};

struct worker_options {
    unsigned index;
    uint32_t n_shards;
    struct intake *intake;
    struct store_thread *store; /* NULL: no checkpoints */
    struct mailbox *notices;
    struct kpi_plan *plan;     /* this and the mappings: borrowed during worker_new() */
    struct mappings *mappings; /* NULL: none */
    const uint8_t *key;
    struct worker_settings settings;
};

int worker_new(struct worker **ret_worker, const struct worker_options *options);
/*
 * Tells it to stop and joins its thread. Commits of its shards may still be with the store thread,
 * which must have ended before worker_free(). NULL is fine.
 */
void worker_stop(struct worker *worker);
/* Stops it if it runs. NULL is fine; returns NULL. */
struct worker *worker_free(struct worker *worker);
/* Takes over the references in the order. Without memory for it the process aborts: the state is
 * safe in the last checkpoint, and there is no way to go on. */
void worker_tell(struct worker *worker, const struct worker_order *order);
