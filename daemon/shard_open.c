/*
 * Opening a shard: who owned it, what is stored of it, and from where the log is read on. Each
 * thing that may be lost (the store's checkpoint, the log's records) is looked at here and named.
 */
#include "shard.h"

#include "util/error.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <kpi/object.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARD_STAGED_NONE = 200, /* beside SHARD_E_… and STORE_E_…: nothing was taken over */
};

struct loading {
    struct kpi_engine *engine;
    int outcome; /* of the engine; the store only tells that there was one */
};

static int load_object(void *userdata, const struct kpi_object *object)
{
    struct loading *loading = userdata;

    loading->outcome = kpi_engine_load(loading->engine, object);
    return loading->outcome;
}

/* State in memory is as good as the stored one if nobody has owned the shard since. */
static bool still_warm(const struct shard *shard, const struct store_manifest *stored)
{
    return shard->engine && shard->manifest && stored->generation == shard->generation &&
           stored->epoch == shard->epoch + 1 && shard_unsaved(shard) == 0;
}

static int fresh_engine(struct shard *shard, struct kpi_plan *plan)
{
    shard_reset(shard);
    shard->save_all = true;
    shard->plan = plan;
    return kpi_engine_new(&shard->engine, plan, &memory_kpi);
}

static int load_state(struct shard *shard, struct store *store,
                      const struct store_manifest *manifest, struct kpi_plan *plan)
{
    struct loading loading;
    int r;

    r = fresh_engine(shard, plan);
    if (r < 0)
        return error_trace(r);
    if (manifest->n_positions == 0)
        return 0;
    loading = (struct loading){.engine = shard->engine};
    r = store_load(store, manifest, load_object, &loading);
    if (r == 0)
        r = loading.outcome = kpi_engine_load_end(shard->engine);
    shard->save_all = false;
    if (loading.outcome == KPI_ENGINE_E_NEWER)
        return SHARD_E_NEWER; /* whatever state.on_loss says: nothing is lost, we are too old */
    return loading.outcome > 0 ? STORE_E_CORRUPT : r;
}

static void take_positions(struct shard *shard, const struct store_manifest *manifest)
{
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        for (uint32_t i = 0; i < manifest->n_positions; i++) {
            if (strcmp(manifest->positions[i].topic, shard->positions[topic].topic) == 0)
                shard->positions[topic] = manifest->positions[i];
        }
    }
}

/* Where to fetch a partition from, and whether the log still has what was not read yet. */
static int place(struct shard *shard, uint32_t topic, const struct shard_open_options *options)
{
    struct store_position *position = &shard->positions[topic];
    int64_t low, high;
    int r;

    r = intake_bounds(options->intake, topic, shard->index, &low, &high);
    if (r != 0)
        return SHARD_E_KAFKA;
    shard->verify[topic] = false;
    if (position->next == STORE_OFFSET_NONE) {
        if (intake_start(options->intake, topic, shard->index, options->rebuild, &position->next) !=
            0)
            return SHARD_E_KAFKA;
        if (options->rebuild && low > 0 && position->next <= low)
            position->counts_from = SHARD_COUNTS_FROM_NEXT;
        shard->assign_at[topic] = position->next;
        return 0;
    }
    if (position->next > high) {
        log_error("the log ends before the checkpoint: the topic was truncated or made anew",
                  LOG_INT("shard", shard->index), LOG_STRING("topic", position->topic),
                  LOG_INT("checkpoint", position->next), LOG_INT("end", high));
        return SHARD_E_LOSS;
    }
    if (position->next < low) {
        log_error("records were deleted from the log before kpid read them",
                  LOG_INT("shard", shard->index), LOG_STRING("topic", position->topic),
                  LOG_INT("checkpoint", position->next), LOG_INT("log_start", low),
                  LOG_INT("lost", low - position->next));
        if (options->on_loss == CONFIG_ON_LOSS_HALT)
            return SHARD_E_LOSS;
        /* What was counted stays counted; the numbers say from when they are whole again. */
        position->next = low;
        position->last = STORE_OFFSET_NONE;
        position->counts_from = SHARD_COUNTS_FROM_NEXT;
    }
    shard->verify[topic] = position->last != STORE_OFFSET_NONE && position->last >= low;
    shard->assign_at[topic] = shard->verify[topic] ? position->last : position->next;
    return 0;
}

/* Does the log still go on from where the staged state ends? 0, SHARD_E_LOSS or SHARD_E_KAFKA. */
static int staged_fits(const struct shard *shard, const struct store_manifest *staged,
                       const struct shard_open_options *options)
{
    if (staged->plan != options->fold || staged->damaged)
        return SHARD_E_LOSS;
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        int64_t next = STORE_OFFSET_NONE, low, high;

        for (uint32_t i = 0; i < staged->n_positions; i++) {
            if (strcmp(staged->positions[i].topic, shard->positions[topic].topic) == 0)
                next = staged->positions[i].next;
        }
        if (intake_bounds(options->intake, topic, shard->index, &low, &high) != 0)
            return SHARD_E_KAFKA;
        if (next < low || next > high)
            return SHARD_E_LOSS;
    }
    return 0;
}

/* Loads what is staged, if it is of the same definitions. The store speaks of staged shards. */
static int load_staged(struct shard *shard, struct store *store,
                       const struct shard_open_options *options)
{
    struct store_manifest *staged = NULL;
    int r;

    r = store_peek(store, shard->index, &staged);
    if (r != 0)
        return r;
    if (staged->n_positions == 0)
        r = SHARD_STAGED_NONE;
    else
        r = staged_fits(shard, staged, options);
    if (r == 0)
        r = load_state(shard, store, staged, options->plan);
    if (r == 0) {
        take_positions(shard, staged);
        shard->staged_claim = staged->claim;
        shard->save_all = true;
    }
    (void)store_manifest_free(staged);
    return r;
}

/*
 * Takes over what `kpid rebuild` has staged. What the store holds stays as it is until the next
 * checkpoint replaces it, so whatever happens before that, one or the other is whole. 0,
 * SHARD_STAGED_NONE, or what keeps the shard from being opened now.
 */
static int take_staged(struct shard *shard, struct store *store,
                       const struct shard_open_options *options)
{
    uint64_t fold = 0;
    bool there = false;
    int r;

    r = store_staged_find(store, &there, &fold);
    if (r != 0 || !there || fold != options->fold || options->rebuild)
        return r != 0 ? r : SHARD_STAGED_NONE;
    store_use_staged(store, true);
    r = load_staged(shard, store, options);
    store_use_staged(store, false);
    if (r == 0)
        log_notice("taking over the state that was rebuilt", LOG_INT("shard", shard->index),
                   LOG_INT("offset", shard->positions[0].next));
    if (r <= 0 || r == SHARD_STAGED_NONE || r == STORE_E_AWAY || r == SHARD_E_KAFKA)
        return r;
    log_warning("the state that was rebuilt cannot be taken over, going on with the old one",
                LOG_INT("shard", shard->index),
                LOG_STRING("why", r == SHARD_E_LOSS ? "the log or the definitions are not those "
                                                      "that it was made of"
                                                    : store_error(store)));
    (void)store_staged_remove(store, shard->index, 0);
    return SHARD_STAGED_NONE;
}

/* A stored checkpoint is missing although the group remembers one: the store has lost it. */
static int check_witness(struct shard *shard, const struct store_manifest *manifest, bool witnessed,
                         struct shard_open_options *options)
{
    if (manifest->n_positions > 0 || !witnessed || options->rebuild)
        return 0;
    log_error("the store has lost the checkpoint of a shard that the consumer group remembers",
              LOG_INT("shard", shard->index));
    if (options->on_loss == CONFIG_ON_LOSS_HALT)
        return SHARD_E_LOSS;
    options->rebuild = true;
    return 0;
}

/* The numbers of what was read before are gone until it is read again. */
static void note_behind(struct shard *shard, const struct store_manifest *replaced)
{
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        for (uint32_t i = 0; i < replaced->n_positions; i++) {
            if (strcmp(replaced->positions[i].topic, shard->positions[topic].topic) == 0)
                shard->behind[topic] = replaced->positions[i].next;
        }
    }
}

static int open_stored(struct shard *shard, struct store *store, struct shard_open_options *options)
{
    struct store_manifest *manifest = NULL;
    uint64_t witness_epoch = 0;
    bool witnessed = false;
    int r;

    if (intake_witness(options->intake, shard->index, &witness_epoch, &witnessed) != 0)
        return SHARD_E_KAFKA;
    if (witness_epoch < shard->epoch)
        witness_epoch = shard->epoch;
    fault_point("before_claim");
    r = store_claim(store, shard->index, witness_epoch, &manifest);
    if (r != 0)
        return r;
    fault_point("after_claim");
    r = check_witness(shard, manifest, witnessed, options);
    if (r != 0)
        goto fail;
    r = take_staged(shard, store, options);
    if (r == 0) {
        note_behind(shard, manifest);
    } else if (r != SHARD_STAGED_NONE) {
        goto fail;
    } else if (options->rebuild) {
        r = fresh_engine(shard, options->plan);
    } else if (!still_warm(shard, manifest)) {
        r = load_state(shard, store, manifest, options->plan);
        if (r == 0)
            take_positions(shard, manifest);
    } else {
        r = shard_replan(shard, options->plan);
    }
    if (r != 0)
        goto fail;
    shard->manifest = store_manifest_free(shard->manifest);
    shard->manifest = manifest;
    shard->epoch = manifest->epoch;
    shard->generation = manifest->generation;
    shard->save_all = shard->save_all || manifest->n_positions == 0;
    shard_tell_saved(shard);
    (void)store_sweep(store,
                      shard->manifest); /* orphans only cost room; the next owner tries again */
    return 0;

fail:
    (void)store_manifest_free(manifest);
    return r;
}

int shard_open(struct shard *shard, struct store *store, const struct shard_open_options *options)
{
    struct shard_open_options how = *options;
    int r;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        const char *name = intake_topic(options->intake, topic);

        (void)snprintf(shard->positions[topic].topic, sizeof(shard->positions[topic].topic), "%s",
                       name);
        shard->topic_hashes[topic] = XXH3_64bits(name, strlen(name));
    }
    if (store)
        r = open_stored(shard, store, &how);
    else
        r = shard->engine ? shard_replan(shard, how.plan) : fresh_engine(shard, how.plan);
    if (r != 0)
        return r;
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        r = place(shard, topic, &how);
        if (r != 0)
            return r;
        shard->at_end[topic] = false; /* what came while it was closed is not read yet */
    }
    shard->batch = kpi_batch_free(shard->batch);
    r = kpi_batch_new(&shard->batch, how.plan, &memory_kpi);
    if (r < 0)
        return error_trace(r);
    shard->published_version = UINT64_MAX;
    shard->published_layout = 0;
    shard->checkpoint_at = 0;
    shard->n_saved_records = shard->n_records;
    atomic_store(&shard->n_unsaved, 0);
    return 0;
}
