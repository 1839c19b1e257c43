/*
 * The fold of `kpid replay`: lines of files into the engines of N shards. A user lives in one
 * shard, as on a topic keyed by user; an event without user goes by its id.
 */
#pragma once

#include "config/config.h"
#include "view.h"

#include <kpi/engine.h>

struct event_decoder;
struct event_origin;

struct replay_fold {
    const struct config *config; /* borrowed */
    struct event_decoder *decoder;
    struct kpi_engine **engines; /* n_shards */
    struct kpi_batch **batches;  /* n_shards, and one more to decode into */
    uint32_t n_shards;
    uint64_t n_outcomes[KPI_OUTCOME_REFUSED + 1];
    uint64_t n_refusals[KPI_REFUSAL_COUNT];
    struct replay_place {
        const char *file;
        uint64_t line;
    } first_refusal[KPI_REFUSAL_COUNT];
    struct replay_place (*places)[KPI_BATCH_MAX]; /* n_shards: where the events of a batch stood */
    const char *file;
    uint64_t file_hash; /* XXH3_64bits of its name */
    uint64_t line;
    bool progress; /* stderr is a terminal */
};

enum {
    REPLAY_E_FILE = 1
}; /* cannot be read; said on stderr */

int replay_fold_new(struct replay_fold **ret_fold, const struct config *config, uint32_t n_shards);
struct replay_fold *replay_fold_free(struct replay_fold *fold);
/* "-" is standard input. The name must outlive the fold. 0, REPLAY_E_FILE or a negative errno. */
int replay_fold_file(struct replay_fold *fold, const char *path);
/*
 * One event as bytes, which stay until replay_fold_end(); call that at least every KPI_BATCH_MAX
 * events. `place` is what is remembered if it is refused. 0 or a negative errno.
 */
int replay_fold_event(struct replay_fold *fold, const char *bytes, size_t size,
                      const struct event_origin *origin, struct replay_place place);
/*
 * When an event says that it happened; KPI_TIME_NONE if it will be refused. Not while events are
 * held.
 */
kpi_time replay_fold_time(struct replay_fold *fold, const char *bytes, size_t size);
/* Applies what is still held. */
int replay_fold_end(struct replay_fold *fold);
/* The merged view as of `at`, or of the newest event if it is KPI_TIME_NONE. NULL: no memory. */
struct view *replay_view(const struct replay_fold *fold, kpi_time at);
