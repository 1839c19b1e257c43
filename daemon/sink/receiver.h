/*
 * A receiver: where it is, by which rules it may be connected to, and how it has been doing.
 */
#pragma once

#include "sink/address.h"
#include "sink/queue.h"
#include "sink/sink.h"
#include "sink/webhook_sign.h"
#include "util/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECEIVER_UNDER_WAY_MAX = 4,
    RECEIVER_BREAKER_FAILURES = 5, /* in a row: from then on one message at a time probes */
};

/* The configured part. */
struct endpoint {
    char *url, *host, *ca_file; /* ca_file: NULL is the system's */
    enum address_host host_kind;
    bool tls;
    struct address_range *allow;
    unsigned n_allow;
    bool has_key;
    struct webhook_key key;
};

struct receiver {
    struct sink *sink; /* borrowed */
    char *name;
    struct endpoint endpoint;
    struct queue queue;
    unsigned n_under_way;
    unsigned n_failed_in_row; /* attempts, since the last delivery */
    int64_t spare_until_us;   /* monotonic: no attempt before */
    bool disabled;
    uint64_t n_delivered, n_failed_attempts, n_attempts, n_expired, n_superseded;
    int64_t latency_us_sum;
    struct log_limit log_limit;
};

/* Returns 0, -ENOMEM, or SINK_E_RECEIVER or SINK_E_SECRET with *ret_error, a static text. */
int receiver_new(struct receiver **ret_receiver, const struct sink_receiver *options,
                 const char **ret_error);
/* No message may be under way; the queued ones go too. NULL is fine; returns NULL. */
struct receiver *receiver_free(struct receiver *receiver);

/* Takes over what is configured of a receiver of the same name, which is freed. */
void receiver_reconfigure(struct receiver *receiver, struct receiver *from);

bool receiver_may_connect(const struct receiver *receiver, const struct sockaddr *address);

/* After RECEIVER_BREAKER_FAILURES. */
bool receiver_open(const struct receiver *receiver);
/* May one more attempt begin? */
bool receiver_ready(const struct receiver *receiver, int64_t now_us);
