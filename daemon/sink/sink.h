/*
 * Delivery of messages to receivers: at least once, same id at every attempt, in order of
 * `sequence` per alert (newest state wins), full-jitter backoff with a deadline, Retry-After
 * honoured, 410 disables, breaker after repeated failure. libcurl multi on the libevent loop; one
 * thread. The process must ignore SIGPIPE.
 *
 * The caller owns durability: it gives a message only after it is in the durable outbox, and
 * removes it there when `done` is called. Messages given in one turn of the loop may come in any
 * order, as they do out of an outbox after a restart: nothing is sent before the next turn.
 *
 * Newest state wins: while a receiver answers, every message of an alert reaches it, in order. Once
 * an attempt has failed (or the receiver is failing anyway), a message with a newer one of its
 * alert behind it is superseded; an attempt under way is always waited for.
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
    const char *secret;  /* whsec_<base64>; NULL: unsigned */
    const char *ca_file; /* NULL: the system's */
    /*
     * Ranges ("10.0.0.0/8", NULL-terminated, or NULL) that the URL's host name may resolve to
     * though they are not public; over plain http, the only ones that it may. An address or
     * `localhost` in the URL itself needs none.
     */
    const char *const *allow;
};

enum sink_result {
    SINK_DELIVERED,
    SINK_EXPIRED,    /* the deadline passed */
    SINK_SUPERSEDED, /* a newer state of the same alert was delivered or took its place */
    SINK_DISABLED,   /* the receiver answered 410, or is no longer configured */
};

struct sink_message {
    const char *receiver;
    const char *id;    /* webhook-id; [A-Za-z0-9_-]+ */
    const char *alert; /* fingerprint; messages of one alert go in order */
    uint64_t sequence;
    int64_t created_us; /* wall clock, for the deadline */
    const char *body;   /* JSON; copied */
    size_t size;
};

struct sink_options {
    struct event_base *base;
    const struct sink_receiver *receivers;
    unsigned n_receivers;
    int64_t deadline_us;    /* after created_us; 0: 24 h */
    unsigned messages_max;  /* waiting per receiver; beyond it the oldest is superseded; 0: 10000 */
    const char *user_agent; /* "kpid/0.1.0" */
    int64_t attempt_us_max; /* an attempt may take so long, connecting a third of it; 0: 15 s */
    int64_t second_us;      /* how long a second of the schedule lasts, for tests; 0: 1000000 */
    /* Called from the loop, never from within a function of the sink, which it may call (not free).
     */
    void (*done)(void *userdata, const char *receiver, const char *id, enum sink_result result);
    void *userdata;
};

/*
 * Options are copied. Returns 0, -ENOMEM, or SINK_E_RECEIVER or SINK_E_SECRET with *ret_error
 * (static text) if a receiver's URL, CA file or allow, or its secret, is bad.
 */
int sink_new(struct sink **ret_sink, const struct sink_options *options, const char **ret_error);
struct sink *sink_free(struct sink *sink); /* cuts what is under way; it stays in the outbox */

/*
 * Takes a message (again after a restart, with the same id); one that is queued already is left
 * alone. 0, -ENOMEM, or SINK_E_RECEIVER if there is no receiver of that name.
 */
enum {
    SINK_E_RECEIVER = 1
};
int sink_send(struct sink *sink, const struct sink_message *message);

/*
 * New receivers after a reload; queued messages of receivers that remain (by name) stay queued,
 * those of others are done as SINK_DISABLED. A disabled receiver is tried again if its URL is
 * another one. Returns as sink_new(); on anything but 0 the old receivers stay.
 */
int sink_reconfigure(struct sink *sink, const struct sink_receiver *receivers, unsigned n_receivers,
                     const char **ret_error);

struct sink_stats {
    const char *receiver; /* borrowed until the next sink_reconfigure() or sink_free() */
    uint64_t n_delivered, n_failed_attempts, n_attempts, n_expired, n_superseded;
    unsigned n_queued;          /* waiting or under way */
    bool disabled, open;        /* gone by 410; breaker open */
    double latency_seconds_sum; /* of all n_attempts */
};
/* Fills at most n_max entries, one a receiver; returns how many receivers there are. */
unsigned sink_stats(const struct sink *sink, struct sink_stats *ret_stats, unsigned n_max);

/*
 * Standard Webhooks 1.0: base64(HMAC-SHA256(key, id.timestamp.body)). secret: base64 with or
 * without whsec_. Writes "v1,…" terminated. 0, -EINVAL for a time before 1970, -ENOMEM, or
 * SINK_E_SECRET if the secret is no base64 or decodes to less than 24 or more than 64 bytes.
 */
enum {
    SINK_E_SECRET = 2
};
int sink_sign(const char *secret, const char *id, int64_t timestamp_s, const void *body,
              size_t size, char ret_signature[64]);
