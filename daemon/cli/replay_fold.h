/*
 * The fold of `kpid replay`: events into the engines of N shards. A user lives in one shard, as on
 * a topic keyed by user; an event without user goes by its id.
 *
 * replay_fold_file() reads whole files into it, replay_fold_event() takes single events.
 */
#pragma once

#include "config/config.h"
#include "view.h"

#include <kpi/engine.h>

struct event_decoder;
struct event_origin;
struct replay_progress;

/* Reasons beside those of enum kpi_refusal: of a row of CSV. */
enum {
    REPLAY_REFUSAL_QUOTE = KPI_REFUSAL_COUNT, /* text behind a closing quote, or none closes */
    REPLAY_REFUSAL_CELLS,                     /* more cells than the header has */
    REPLAY_REFUSAL_COUNT,
};

enum replay_format {
    REPLAY_FORMAT_BY_NAME, /* .csv, .csv.gz: CSV, else NDJSON */
    REPLAY_FORMAT_NDJSON,
    REPLAY_FORMAT_CSV,
};

struct replay_place {
    const char *file;
    uint64_t line; /* from 1 */
};

struct replay_fold {
    /* The caller may set these before the first event; replay_fold_new() gives the default. */
    enum replay_format format; /* of all files; by name */
    bool strict;               /* the first refused event ends it: REPLAY_E_REFUSED; false */
    kpi_time from, to;         /* events outside of [from, to) are passed over; all are inside */
    struct replay_progress *progress; /* borrowed; NULL: nothing is shown */

    uint64_t n_outcomes[KPI_OUTCOME_REFUSED + 1];
    uint64_t n_refusals[REPLAY_REFUSAL_COUNT];
    struct replay_place first_refusal[REPLAY_REFUSAL_COUNT];
    uint64_t n_skipped;                /* a mapping says that they are none of our events */
    uint64_t n_outside;                /* passed over */
    kpi_time outside_min, outside_max; /* their times, if there is one */

    const struct config *config; /* borrowed */
    struct event_decoder *decoder;
    struct kpi_engine **engines; /* n_shards */
    struct kpi_batch **batches;  /* n_shards, and one more to decode into if there are several */
    struct replay_place (*places)[KPI_BATCH_MAX]; /* n_shards: where the events of a batch stood */
    uint32_t n_shards;
    uint32_t topic;               /* as in event_origin */
    struct kpi_string topic_name; /* .data NULL: unknown */
};

enum {
    REPLAY_E_FILE = 1, /* cannot be read; said on stderr */
    REPLAY_E_DATA,     /* is damaged, or has no header; said on stderr */
    REPLAY_E_REFUSED,  /* strict: an event was refused; replay_fold_first() is the first one */
};

/* topic: which all events are of, borrowed; NULL: unknown, so any mapping may be theirs. 0 or a
 * negative errno. */
int replay_fold_new(struct replay_fold **ret_fold, const struct config *config, const char *topic,
                    uint32_t n_shards);
struct replay_fold *replay_fold_free(struct replay_fold *fold);

/*
 * Takes one event as bytes, which stay until replay_fold_end(): call that before
 * REPLAY_HELD_BYTES_MAX of them are held. `place` is what is remembered if the event is refused.
 * The topic of the origin is fold->topic. Returns 0, REPLAY_E_REFUSED or a negative errno.
 */
#define REPLAY_HELD_BYTES_MAX ((size_t)2 << 20)
int replay_fold_event(struct replay_fold *fold, const char *bytes, size_t size,
                      const struct event_origin *origin, struct replay_place place);
/*
 * When an event says that it happened; KPI_TIME_NONE if it will be refused. Not while events are
 * held.
 */
kpi_time replay_fold_time(struct replay_fold *fold, const char *bytes, size_t size);
/* Counts what is no event, as refused. Returns the same. */
int replay_fold_refuse(struct replay_fold *fold, unsigned refusal, struct replay_place place);
/* Applies what is still held. Returns the same; after anything but 0 the fold must only be freed.
 */
int replay_fold_end(struct replay_fold *fold);

/*
 * Applies the events of a file, NDJSON or CSV, packed with gzip or not; "-" is standard input. The
 * name must outlive the fold. Nothing is held back when this returns. Returns 0, REPLAY_E_… or a
 * negative errno; after anything but 0 the numbers are not to be used.
 */
int replay_fold_file(struct replay_fold *fold, const char *path);

/* The merged view as of `at`, or of the newest event if it is KPI_TIME_NONE. NULL: no memory. */
struct view *replay_view(const struct replay_fold *fold, kpi_time at);

/* "amount", "quote" */
const char *replay_refusal_name(unsigned refusal);
/* Strict: the reason of the event that ended it, and its place. */
unsigned replay_fold_first(const struct replay_fold *fold, struct replay_place *ret_place);
