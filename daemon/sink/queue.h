/*
 * The messages of one receiver that are not done yet: a lane per alert, in order of arrival; in a
 * lane the messages by sequence, of which only the first may be under way.
 *
 * Lanes are an array: it is walked at every look for work, and 10,000 of them are 160 KB.
 */
#pragma once

#include "sink/sink.h"

#include <stddef.h>
#include <stdint.h>

struct http_request;
struct receiver;

struct delivery {
    struct delivery *next;
    struct receiver *receiver;                     /* borrowed; not to be used once it is done */
    enum sink_result result;                       /* once it is done */
    const char *receiver_name, *id, *alert, *body; /* all in the same block of memory */
    size_t size;
    uint64_t sequence;
    int64_t expires_us; /* monotonic, as all times here */
    int64_t due_us;     /* not to be tried before */
    unsigned n_failed;
    struct http_request *request; /* under way, or NULL */
};

struct queue_lane {
    uint64_t alert_hash;
    struct delivery *first; /* never NULL */
};

struct queue {
    struct queue_lane *lanes;
    size_t n_lanes, lanes_size;
    unsigned n_deliveries;
};

/* NULL without memory. Freed with free(). */
struct delivery *delivery_new(const struct sink_message *message);

/* Frees all deliveries; none may be under way. */
void queue_deinit(struct queue *queue);

/* The first of an alert's lane (the others by `next`), or NULL. */
struct delivery *queue_find(const struct queue *queue, const char *alert);

/* Adds one that is not older than what is under way of its alert. 0 (it is owned then) or -ENOMEM.
 */
int queue_add(struct queue *queue, struct delivery *delivery);

/* Takes it out; the caller owns it again. */
void queue_take(struct queue *queue, struct delivery *delivery);

/* The longest waiting one that is not under way, or NULL. */
struct delivery *queue_find_idle(const struct queue *queue);
