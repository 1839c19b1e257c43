/*
 * Kafka: one consumer whose partition queues are forwarded to the workers' queues, one producer for
 * dead letters. Everything but intake_take() and the dead letters is for the main thread.
 *
 * Rebalances are answered late: the callbacks only tell, and the main thread assigns once the
 * shards are loaded (librdkafka allows that until the next rebalance). Offsets are kpid's own:
 * always given explicitly with the assignment, never taken from the group (design section 8).
 */
#pragma once

#include "config/config.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct intake;

enum {
    INTAKE_E_REFUSED = 1, /* topics that kpid cannot work with; see intake_error() */
    INTAKE_E_AWAY,        /* no broker answered in time; see intake_error() */
};

struct intake_options {
    const struct config *config;
    unsigned n_workers;
    void (*assigned)(void *userdata, const uint32_t *shards, uint32_t n_shards);
    void (*revoked)(void *userdata, bool lost);
    void *userdata;
};

/* Connects nothing yet. 0, INTAKE_E_REFUSED (a property) or -ENOMEM. */
int intake_new(struct intake **ret_intake, const struct intake_options *options);
/* No callback is called any more, and no dead letter waits for room. Any thread; NULL is fine. */
void intake_stop(struct intake *intake);
/* Stops, and leaves the group within 5 s; if no broker answers, the group notices by itself and
 * some memory stays with librdkafka's threads: the process is to end. */
struct intake *intake_free(struct intake *intake);
const char *intake_error(const struct intake *intake);

/*
 * Topics exist, have one partition count, are not compacted, and the dead-letter topic exists.
 * *ret_n_shards is the partition count.
 */
int intake_check(struct intake *intake, uint32_t *ret_n_shards);
int intake_subscribe(struct intake *intake);

uint32_t intake_n_topics(const struct intake *intake);
const char *intake_topic(const struct intake *intake, uint32_t topic);

/* Serves rebalances, errors and logs. Call at least every second, or the group forgets us. */
void intake_poll(struct intake *intake);
/* A file descriptor that becomes readable when intake_poll() has work. */
int intake_fd(const struct intake *intake);

/*
 * What the group remembers of a shard, at its partition of the first topic: the epoch of the last
 * checkpoint. 0 or INTAKE_E_AWAY. Any thread.
 */
int intake_witness(struct intake *intake, uint32_t shard, uint64_t *ret_epoch, bool *ret_exists);
struct intake_witness {
    uint32_t shard;
    uint64_t epoch, generation;
    const int64_t *next; /* by topic */
};
/* Commits offsets for lag tools, with metadata "v1;epoch;generation;offset". Not waited for. */
void intake_commit(struct intake *intake, const struct intake_witness *witnesses, uint32_t n);

/* The log's bounds, asked of the broker: 0 or INTAKE_E_AWAY. Any thread. */
int intake_bounds(struct intake *intake, uint32_t topic, uint32_t shard, int64_t *ret_low,
                  int64_t *ret_high);
/*
 * Where a shard without state begins, by kafka.start. again: it had state once, so `end` was an end
 * long ago, and it begins with all that the log has. 0 or INTAKE_E_AWAY. Any thread.
 */
int intake_start(struct intake *intake, uint32_t topic, uint32_t shard, bool again,
                 int64_t *ret_offset);
/* The bounds as last seen in fetch replies, without asking; -1 unknown. Any thread. */
int64_t intake_high(struct intake *intake, uint32_t topic, uint32_t shard);

struct intake_position {
    uint32_t topic, shard;
    int64_t offset;
};
/* Assigns exactly these, forwarded to the queue of worker shard % n_workers. */
int intake_assign(struct intake *intake, const struct intake_position *positions, uint32_t n);
/* Lets everything go, and with it the forwarding. */
void intake_unassign(struct intake *intake);
bool intake_lost(const struct intake *intake); /* the assignment was taken from us */

/*
 * For worker threads: takes up to n messages from the worker's queue, waiting up to timeout_ms for
 * the first. The caller destroys them. While it holds them, no memory of theirs moves.
 */
size_t intake_take(struct intake *intake, unsigned worker, int timeout_ms,
                   rd_kafka_message_t **ret_messages, size_t n);
/* Throws away what a worker's queue still holds. */
void intake_drain(struct intake *intake, unsigned worker);
/* Index of a message's topic. Cheap. */
uint32_t intake_message_topic(const struct intake *intake, const rd_kafka_message_t *message);

enum {
    INTAKE_HEADERS_MAX = 64, /* further ones are not seen */
};

struct event_header; /* codec/event_json.h */
/* A message's headers, borrowed from it; at most INTAKE_HEADERS_MAX. Returns how many. Costs. */
uint32_t intake_headers(const rd_kafka_message_t *message, struct event_header *ret_headers);

/*
 * Sends a refused record to the dead-letter topic with its bytes, key and headers kpid_reason,
 * kpid_topic, kpid_partition, kpid_offset. *n_pending is raised now and lowered when the broker has
 * acknowledged it: a checkpoint waits for zero. Any thread. Without dead-letter topic: does
 * nothing.
 */
void intake_dead_letter(struct intake *intake, const rd_kafka_message_t *message,
                        const char *reason, _Atomic int64_t *n_pending);

struct intake_stats {
    bool connected;
    uint64_t n_dead_letters, n_dead_letters_failed, n_errors, n_rebalances;
};
void intake_stats(const struct intake *intake, struct intake_stats *ret_stats);
