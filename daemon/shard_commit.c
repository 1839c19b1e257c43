/*
 * Checkpoints of a shard: what changed is copied at a batch boundary (the worker's only pause) and
 * written by the store thread. One at a time; a commit that Redis did not take is repeated as it
 * is, until it is taken or refused for good.
 */
#include "shard.h"

#include "util/clock.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US        (200 * 1000)
#define SPARE_BYTES_MAX (8 << 20)

static int copy_object(void *userdata, const struct kpi_object *object)
{
    struct shard_commit *commit = userdata;
    size_t needed = commit->size + object->name.length + object->size;
    struct kpi_object *objects;
    struct kpi_object *copy;

    if (needed > commit->capacity) {
        size_t capacity = needed * 2 > (1 << 20) ? needed * 2 : 1 << 20;
        char *bytes = realloc(commit->bytes, capacity);

        if (!bytes)
            return error_origin(-ENOMEM);
        commit->bytes = bytes;
        commit->capacity = capacity;
    }
    if (commit->commit.n_objects == commit->objects_capacity) {
        uint32_t capacity = commit->objects_capacity ? commit->objects_capacity * 2 : 256;

        objects = realloc((void *)commit->commit.objects, capacity * sizeof(*objects));
        if (!objects)
            return error_origin(-ENOMEM);
        commit->commit.objects = objects;
        commit->objects_capacity = capacity;
    }
    copy = (struct kpi_object *)&commit->commit.objects[commit->commit.n_objects++];
    /* Offsets for now: the buffer may still move. */
    copy->name = (struct kpi_string){(char *)(uintptr_t)commit->size, object->name.length};
    memcpy(commit->bytes + commit->size, object->name.data, object->name.length);
    commit->size += object->name.length;
    copy->data = object->data ? (void *)(uintptr_t)(commit->size + 1) : NULL;
    copy->size = object->size;
    if (object->data)
        memcpy(commit->bytes + commit->size, object->data, object->size);
    commit->size += object->data ? object->size : 0;
    return 0;
}

static void point_at_copies(struct shard_commit *commit)
{
    for (uint32_t i = 0; i < commit->commit.n_objects; i++) {
        struct kpi_object *object = (struct kpi_object *)&commit->commit.objects[i];

        object->name.data = commit->bytes + (uintptr_t)object->name.data;
        if (object->data)
            object->data = commit->bytes + (uintptr_t)object->data - 1;
    }
}

/* The buffer stays with the shard for the next checkpoint: fresh memory costs page faults in the
 * worker's pause. */
static void commit_free(struct shard_commit *commit)
{
    if (commit->bytes && commit->capacity <= SPARE_BYTES_MAX && !commit->shard->spare) {
        commit->shard->spare = commit->bytes;
        commit->shard->spare_capacity = commit->capacity;
        commit->bytes = NULL;
    }
    free((void *)commit->commit.objects);
    free((void *)commit->commit.positions);
    free(commit->bytes);
    free(commit);
}

static int run_commit(struct store_job *job, struct store *store)
{
    struct shard_commit *commit = (struct shard_commit *)job;
    int r;

    fault_point("before_commit");
    r = store_commit(store, commit->shard->manifest, &commit->commit);
    if (r != 0)
        (void)snprintf(commit->error, sizeof(commit->error), "%s", store_error(store));
    fault_point("after_commit");
    /* If this fails, it is passed over in this process and expires. */
    if (r == 0 && commit->staged_claim)
        (void)store_staged_remove(store, commit->commit.shard, commit->staged_claim);
    return r;
}

static void commit_done(struct store_job *job)
{
    struct shard_commit *commit = (struct shard_commit *)job;

    mailbox_put(commit->reply, &commit->item);
}

/* A commit of everything that changed, copied: the next generation. NULL: no memory. */
static struct shard_commit *commit_new(struct shard *shard, uint64_t fold)
{
    struct shard_commit *commit = calloc(1, sizeof(*commit));
    struct store_position *positions = calloc(shard->n_topics, sizeof(*positions));

    if (!commit || !positions) {
        free(commit);
        free(positions);
        return NULL;
    }
    memcpy(positions, shard->positions, shard->n_topics * sizeof(*positions));
    commit->shard = shard;
    commit->bytes = shard->spare;
    commit->capacity = shard->spare ? shard->spare_capacity : 0;
    shard->spare = NULL;
    commit->n_records = shard->n_records;
    commit->commit = (struct store_commit){
        .shard = shard->index,
        .epoch = shard->epoch,
        .generation = shard->generation + 1,
        .plan = fold,
        .positions = positions,
        .n_positions = shard->n_topics,
        .replace = shard->save_all,
    };
    if (kpi_engine_save(shard->engine, shard->save_all, copy_object, commit) < 0) {
        commit_free(commit);
        return NULL;
    }
    point_at_copies(commit);
    return commit;
}

int shard_checkpoint(struct shard *shard, struct store_thread *thread, struct mailbox *reply,
                     uint64_t fold)
{
    int64_t begun = clock_monotonic_us();
    struct shard_commit *commit;

    assert(!shard->commit);
    fault_point("before_save");
    commit = commit_new(shard, fold);
    if (!commit)
        return error_origin(-ENOMEM);
    commit->job.run = run_commit;
    commit->job.done = commit_done;
    commit->reply = reply;
    commit->staged_claim = shard->save_all ? shard->staged_claim : 0;
    counters_observe(&counters.checkpoint_pause, clock_monotonic_us() - begun);
    counters_add(counters.checkpoints, 1);
    counters_add(counters.checkpoint_bytes, commit->size);
    shard->commit = commit;
    shard->retry_at = 0;
    shard->commit_begun = begun;
    store_thread_submit(thread, &commit->job, STORE_PRIORITY_HIGH);
    return 0;
}

int shard_stage(struct shard *shard, struct store *store, uint64_t fold)
{
    struct store_manifest *manifest = NULL;
    struct shard_commit *commit;
    int r;

    store_use_staged(store, true);
    r = store_claim(store, shard->index, 0, &manifest);
    if (r == 0) {
        shard->epoch = manifest->epoch;
        shard->generation = manifest->generation;
        shard->save_all = true;
        commit = commit_new(shard, fold);
        r = commit ? store_commit(store, manifest, &commit->commit) : error_origin(-ENOMEM);
        if (commit)
            commit_free(commit);
    }
    (void)store_manifest_free(manifest);
    store_use_staged(store, false);
    return r;
}

bool shard_committed(struct shard *shard, struct shard_commit *commit, int64_t now_monotonic)
{
    int outcome = commit->job.outcome;

    if (outcome == STORE_E_AWAY || outcome == STORE_E_REFUSED) {
        static struct log_limit limit = LOG_LIMIT(1, 10);

        log_limited(&limit, LOG_LEVEL_WARNING, "checkpoint not taken, going on without",
                    LOG_FIELDS(LOG_INT("shard", shard->index),
                               LOG_INT("unsaved", shard_unsaved(shard)),
                               LOG_STRING("why", commit->error)));
        counters_add(counters.checkpoints_failed, 1);
        shard->retry_at = now_monotonic + RETRY_US;
        return true;
    }
    shard->commit = NULL;
    if (outcome == 0) {
        shard->generation = commit->commit.generation;
        shard->save_all = false;
        shard->n_saved_records = commit->n_records;
        shard_tell_saved(shard);
        shard->saved_at = clock_now_us();
        counters_observe(&counters.checkpoint_duration, now_monotonic - shard->commit_begun);
    } else {
        counters_add(counters.checkpoints_failed, 1);
        log_warning("checkpoint refused, letting the shard go", LOG_INT("shard", shard->index),
                    LOG_STRING("why", commit->error));
    }
    commit_free(commit);
    if (outcome != 0)
        shard->outcome = outcome;
    return outcome == 0;
}

void shard_commit_again(struct shard *shard, struct store_thread *thread)
{
    shard->retry_at = 0;
    store_thread_submit(thread, &shard->commit->job, STORE_PRIORITY_HIGH);
}

void shard_commit_abandon(struct shard *shard)
{
    commit_free(shard->commit);
    shard->commit = NULL;
}
