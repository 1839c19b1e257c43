/*
 * Delivery of messages to receivers: at least once, same id at every attempt, in order of `sequence`
 * per alert (newest state wins), full-jitter backoff with a deadline, Retry-After honoured, 410
 * disables, breaker after repeated failure. libcurl multi on the libevent loop; one thread.
 *
 * The caller owns durability: it gives a message only after it is in the durable outbox, and removes
 * it there when `done` is called.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct sink;

struct sink_receiver {
    const char *name;
    const char *url;
    const char *secret;     /* whsec_<base64>; NULL: unsigned */
    const char *ca_file;    /* NULL: the system's */
    const char *const *allow; /* CIDRs of private addresses that a name may resolve to; NULL-terminated */
};

enum sink_result {
    SINK_DELIVERED,
    SINK_EXPIRED,    /* the deadline passed */
    SINK_SUPERSEDED, /* a newer state of the same alert was delivered or took its place */
    SINK_DISABLED,   /* the receiver answered 410 */
};

struct sink_message {
    const char *receiver;
    const char *id;          /* webhook-id; [A-Za-z0-9_-]+ */
    const char *alert;       /* fingerprint; messages of one alert go in order */
    uint64_t sequence;
    int64_t created_us;      /* wall clock, for the deadline */
    const char *body;        /* JSON; copied */
    size_t size;
};

struct sink_options {
    struct event_base *base;
    const struct sink_receiver *receivers;
    unsigned n_receivers;
    int64_t deadline_us;       /* 24 h by default */
    unsigned messages_max;     /* per receiver; beyond it the oldest is superseded */
    const char *user_agent;
    void (*done)(void *userdata, const char *receiver, const char *id, enum sink_result result);
    void *userdata;
};

/* Returns 0, or a positive outcome with *ret_error (static text) if a receiver's URL or secret is bad. */
int sink_new(struct sink **ret_sink, const struct sink_options *options, const char **ret_error);
struct sink *sink_free(struct sink *sink); /* cuts what is under way; it stays in the outbox */

/* Takes a message (again after a restart, with the same id). 0, -ENOMEM, or SINK_E_RECEIVER. */
enum { SINK_E_RECEIVER = 1 };
int sink_send(struct sink *sink, const struct sink_message *message);

/* New receivers after a reload; queued messages of receivers that remain stay queued. */
int sink_reconfigure(struct sink *sink, const struct sink_receiver *receivers, unsigned n_receivers,
                     const char **ret_error);

struct sink_stats {
    const char *receiver;
    uint64_t n_delivered, n_failed_attempts, n_attempts, n_expired, n_superseded;
    unsigned n_queued;
    bool disabled, open; /* gone by 410; breaker open */
    double latency_seconds_sum;
};
unsigned sink_stats(const struct sink *sink, struct sink_stats *ret_stats, unsigned n_max);

/*
 * Standard Webhooks 1.0: base64(HMAC-SHA256(key, id.timestamp.body)). secret: base64 with or without
 * whsec_. Writes "v1,…" terminated. 0, or SINK_E_SECRET if the secret decodes to less than 24 or more
 * than 64 bytes.
 */
enum { SINK_E_SECRET = 2 };
int sink_sign(const char *secret, const char *id, int64_t timestamp_s, const void *body, size_t size,
              char ret_signature[64]);
