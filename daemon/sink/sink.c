/*
 * Delivery: what is sent when, and what becomes of it.
 *
 * All work starts in pump(), a timer: it looks through the queues, begins what is due, sets itself
 * to the next thing due, and tells what is done. Calls from outside and answers of receivers only
 * change state and wake it. So nothing here is ever entered twice, and `done` may call back.
 */
#include "sink/sink.h"

#include "sink/http_client.h"
#include "sink/queue.h"
#include "sink/receiver.h"
#include "sink/retry.h"
#include "sink/webhook_sign.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct sink {
    struct http_client *client;
    struct event *timer;
    char *user_agent;
    int64_t deadline_us, attempt_us_max, second_us;
    unsigned messages_max;
    void (*done)(void *userdata, const char *receiver, const char *id, enum sink_result result);
    void *userdata;
    struct receiver **receivers;
    unsigned n_receivers;
    struct delivery *finished, **finished_end; /* done, but not yet told of */
};

static void freep(char **text)
{
    free(*text);
}

static uint64_t random_bits(void)
{
    uint64_t bits = 0;

    /* Without entropy, early at boot, the wait is 0: that is within the jitter. */
    (void)!getrandom(&bits, sizeof(bits), GRND_NONBLOCK);
    return bits;
}

static void wake_after(struct sink *sink, int64_t us)
{
    const struct timeval wait = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    if (event_add(sink->timer, &wait) < 0)
        log_error("webhook timer cannot be set", LOG_STRING("error", strerror(ENOMEM)));
}

static struct receiver *find_receiver(const struct sink *sink, const char *name)
{
    unsigned i;

    for (i = 0; i < sink->n_receivers; i++)
        if (strcmp(sink->receivers[i]->name, name) == 0)
            return sink->receivers[i];
    return NULL;
}

/* A message that is in no queue (any more) is done; pump() tells. */
static void finish(struct sink *sink, struct delivery *delivery, enum sink_result result)
{
    delivery->result = result;
    delivery->next = NULL;
    *sink->finished_end = delivery;
    sink->finished_end = &delivery->next;
    wake_after(sink, 0);
}

static void take_and_finish(struct delivery *delivery, enum sink_result result)
{
    struct receiver *receiver = delivery->receiver;

    switch (result) {
    case SINK_DELIVERED:
        receiver->n_delivered++;
        break;
    case SINK_EXPIRED:
        receiver->n_expired++;
        log_limited(
            &receiver->log_limit, LOG_LEVEL_ERROR, "webhook not delivered in time, given up",
            LOG_FIELDS(LOG_STRING("receiver", receiver->name), LOG_STRING("id", delivery->id),
                       LOG_INT("attempts", delivery->n_failed)));
        break;
    case SINK_SUPERSEDED:
        receiver->n_superseded++;
        break;
    case SINK_DISABLED:
        break;
    }
    queue_take(&receiver->queue, delivery);
    finish(receiver->sink, delivery, result);
}

static void finish_idle(struct receiver *receiver, enum sink_result result)
{
    struct delivery *delivery;

    while ((delivery = queue_find_idle(&receiver->queue)))
        take_and_finish(delivery, result);
}

static void receiver_works(struct receiver *receiver)
{
    const bool was_open = receiver_open(receiver);
    size_t i;

    if (receiver->n_failed_in_row == 0)
        return;
    log_limited(&receiver->log_limit, LOG_LEVEL_NOTICE, "webhook receiver works again",
                LOG_FIELDS(LOG_STRING("receiver", receiver->name),
                           LOG_INT("failed_attempts", receiver->n_failed_in_row)));
    receiver->n_failed_in_row = 0;
    receiver->spare_until_us = 0;
    /* What has piled up need not wait for its own turn. (A message that fails while others do not
     * keeps its waits: no breaker was open for it.) */
    for (i = 0; was_open && i < receiver->queue.n_lanes; i++)
        receiver->queue.lanes[i].first->due_us = 0;
}

static void receiver_gone(struct receiver *receiver)
{
    if (!receiver->disabled)
        log_error("webhook receiver answered 410 Gone, nothing is sent to it until its URL changes",
                  LOG_STRING("receiver", receiver->name),
                  LOG_STRING("host", receiver->endpoint.host),
                  LOG_INT("dropped", receiver->queue.n_deliveries));
    receiver->disabled = true;
    finish_idle(receiver, SINK_DISABLED);
}

static void log_failure(struct receiver *receiver, const struct delivery *delivery,
                        const struct http_answer *answer)
{
    const char *message = "webhook delivery failed, trying again";

    if (receiver->n_failed_in_row == RECEIVER_BREAKER_FAILURES)
        message = "webhook receiver keeps failing, probing it with one message at a time";
    else if (receiver->n_failed_in_row != 1)
        return;
    log_limited(&receiver->log_limit, LOG_LEVEL_WARNING, message,
                LOG_FIELDS(LOG_STRING("receiver", receiver->name),
                           LOG_STRING("host", receiver->endpoint.host),
                           LOG_STRING("id", delivery->id), LOG_INT("status", answer->status),
                           LOG_STRING("error", answer->error)));
}

static void attempt_failed(struct delivery *delivery, enum retry_verdict verdict,
                           const struct http_answer *answer)
{
    struct receiver *receiver = delivery->receiver;
    const int64_t second_us = receiver->sink->second_us, now_us = clock_monotonic_us();
    int64_t after_s = 0, spare_us = 0;
    bool asked;

    receiver->n_failed_attempts++;
    receiver->n_failed_in_row++;
    delivery->n_failed++;
    asked = retry_after_parse(answer->retry_after, clock_now_us() / 1000000, &after_s) == 0;

    delivery->due_us = now_us + retry_delay_us(delivery->n_failed, random_bits(), second_us);
    /* The receiver as a whole is spared when it asks for it, and while it keeps failing: each of
     * many messages has a schedule of its own, and together they would hammer. */
    if (verdict == RETRY_THROTTLE)
        spare_us = (int64_t)retry_delay_s_max(receiver->n_failed_in_row) * second_us;
    else if (receiver_open(receiver))
        spare_us = retry_delay_us(receiver->n_failed_in_row, random_bits(), second_us);
    if (asked && spare_us < after_s * second_us)
        spare_us = after_s * second_us;
    if (receiver->spare_until_us < now_us + spare_us)
        receiver->spare_until_us = now_us + spare_us;
    log_failure(receiver, delivery, answer);
}

static void on_answer(void *userdata, const struct http_answer *answer)
{
    struct delivery *delivery = userdata;
    struct receiver *receiver = delivery->receiver;
    const enum retry_verdict verdict = retry_judge(answer->status);

    delivery->request = NULL;
    receiver->n_under_way--;
    receiver->n_attempts++;
    receiver->latency_us_sum += answer->duration_us;
    switch (verdict) {
    case RETRY_DELIVERED:
        receiver_works(receiver);
        take_and_finish(delivery, SINK_DELIVERED);
        break;
    case RETRY_GONE:
        receiver->n_failed_attempts++;
        receiver_gone(receiver);
        break;
    case RETRY_LATER:
    case RETRY_THROTTLE:
        attempt_failed(delivery, verdict, answer);
        if (receiver->disabled)
            take_and_finish(delivery, SINK_DISABLED);
        break;
    }
    wake_after(receiver->sink, 0);
}

static bool on_connect(void *userdata, const struct sockaddr *address)
{
    const struct delivery *delivery = userdata;

    return receiver_may_connect(delivery->receiver, address);
}

/* Returns 0 or -ENOMEM. */
static int begin_post(struct delivery *delivery, int64_t timestamp_s)
{
    struct receiver *receiver = delivery->receiver;
    struct sink *sink = receiver->sink;
    CLEANUP(freep) char *id = NULL, *timestamp = NULL, *signature = NULL;
    char signed_[WEBHOOK_SIGNATURE_BYTES];
    const char *headers[5] = {"Content-Type: application/json"};
    int r;

    if (asprintf(&id, "webhook-id: %s", delivery->id) < 0 ||
        asprintf(&timestamp, "webhook-timestamp: %" PRId64, timestamp_s) < 0)
        return error_origin(-ENOMEM);
    headers[1] = id;
    headers[2] = timestamp;
    if (receiver->endpoint.has_key) {
        r = webhook_sign(&receiver->endpoint.key, delivery->id, timestamp_s, delivery->body,
                         delivery->size, signed_);
        if (r < 0)
            return error_trace(r);
        if (asprintf(&signature, "webhook-signature: %s", signed_) < 0)
            return error_origin(-ENOMEM);
        headers[3] = signature;
    }
    r = http_client_post(sink->client,
                         &(struct http_post){
                             .url = receiver->endpoint.url,
                             .ca_file = receiver->endpoint.ca_file,
                             .user_agent = sink->user_agent,
                             .headers = headers,
                             .body = delivery->body,
                             .size = delivery->size,
                             .connect_us_max = sink->attempt_us_max / 3,
                             .total_us_max = sink->attempt_us_max,
                             .may_connect = on_connect,
                             .done = on_answer,
                             .userdata = delivery,
                         },
                         &delivery->request);
    return error_trace(r);
}

static void begin(struct delivery *delivery)
{
    struct receiver *receiver = delivery->receiver;

    if (begin_post(delivery, clock_now_us() / 1000000) == 0) {
        receiver->n_under_way++;
        return;
    }
    receiver->n_attempts++;
    attempt_failed(delivery, RETRY_LATER, &(struct http_answer){.error = strerror(ENOMEM)});
}

/*
 * Ends what need not be sent any more of the lane that begins with `first`, which waits. Returns
 * what is next in it, or NULL if the lane is gone.
 */
static struct delivery *settle(struct receiver *receiver, struct delivery *first, int64_t now_us)
{
    const bool failing = receiver->n_failed_in_row > 0 || now_us < receiver->spare_until_us;
    struct delivery *next;

    while (first) {
        next = first->next;
        if (now_us >= first->expires_us)
            take_and_finish(first, SINK_EXPIRED);
        else if (next && (failing || first->n_failed > 0))
            take_and_finish(first, SINK_SUPERSEDED);
        else
            break;
        first = next;
    }
    return first;
}

/* Begins what is due. Returns when to look again; INT64_MAX if only an answer changes anything. */
static int64_t pump_receiver(struct receiver *receiver, int64_t now_us)
{
    struct queue *queue = &receiver->queue;
    int64_t wake_us = INT64_MAX, due_us;
    struct delivery *first;
    size_t i = 0;

    while (i < queue->n_lanes) {
        first = queue->lanes[i].first;
        if (!first->request)
            first = settle(receiver, first, now_us);
        if (!first)
            continue; /* and the next lane has moved here */
        if (!first->request && now_us >= first->due_us && receiver_ready(receiver, now_us))
            begin(first);
        if (!first->request) {
            due_us =
                first->due_us > receiver->spare_until_us ? first->due_us : receiver->spare_until_us;
            /* What is due but has to wait for another one's answer needs no timer. */
            if ((due_us > now_us || receiver_ready(receiver, now_us)) && due_us < wake_us)
                wake_us = due_us;
            if (first->expires_us < wake_us)
                wake_us = first->expires_us;
        }
        i++;
    }
    return wake_us;
}

static void tell(struct sink *sink)
{
    struct delivery *delivery;

    while ((delivery = sink->finished)) {
        sink->finished = delivery->next;
        if (!sink->finished)
            sink->finished_end = &sink->finished;
        sink->done(sink->userdata, delivery->receiver_name, delivery->id, delivery->result);
        free(delivery);
    }
}

static void pump(evutil_socket_t fd, short what, void *userdata)
{
    struct sink *sink = userdata;
    const int64_t now_us = clock_monotonic_us();
    int64_t wake_us = INT64_MAX, receiver_us;
    unsigned i;

    for (i = 0; i < sink->n_receivers; i++) {
        receiver_us = pump_receiver(sink->receivers[i], now_us);
        if (receiver_us < wake_us)
            wake_us = receiver_us;
    }
    if (wake_us != INT64_MAX)
        wake_after(sink, wake_us > now_us ? wake_us - now_us : 0);
    tell(sink); /* last: `done` may call back and wake again */
}

static bool id_valid(const char *id)
{
    return *id &&
           id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] ==
               '\0';
}

static int64_t expiry_us(const struct sink *sink, int64_t created_us)
{
    int64_t left_us = sink->deadline_us - (clock_now_us() - created_us);

    /* From here on the wall clock may jump as it likes. */
    if (left_us < 0)
        left_us = 0;
    if (left_us > sink->deadline_us)
        left_us = sink->deadline_us;
    return clock_monotonic_us() + left_us;
}

int sink_send(struct sink *sink, const struct sink_message *message)
{
    struct receiver *receiver = find_receiver(sink, message->receiver);
    struct delivery *delivery, *oldest;
    const struct delivery *first, *other;
    int r;

    assert(id_valid(message->id));
    if (!receiver)
        return SINK_E_RECEIVER;
    first = queue_find(&receiver->queue, message->alert);
    for (other = first; other; other = other->next)
        if (strcmp(other->id, message->id) == 0)
            return 0;
    delivery = delivery_new(message);
    if (!delivery)
        return error_origin(-ENOMEM);
    delivery->receiver = receiver;
    delivery->expires_us = expiry_us(sink, message->created_us);
    if (receiver->disabled) {
        finish(sink, delivery, SINK_DISABLED);
        return 0;
    }
    if (first && first->request && first->sequence > delivery->sequence) {
        receiver->n_superseded++;
        finish(sink, delivery, SINK_SUPERSEDED);
        return 0;
    }
    oldest = queue_find_idle(&receiver->queue);
    if (oldest && receiver->queue.n_deliveries >= sink->messages_max) {
        log_limited(
            &receiver->log_limit, LOG_LEVEL_ERROR, "webhook queue is full, oldest dropped",
            LOG_FIELDS(LOG_STRING("receiver", receiver->name), LOG_STRING("id", oldest->id)));
        take_and_finish(oldest, SINK_SUPERSEDED);
    }
    r = queue_add(&receiver->queue, delivery);
    if (r < 0) {
        free(delivery);
        return error_origin(r);
    }
    wake_after(sink, 0);
    return 0;
}

static void free_receivers(struct receiver **receivers, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        receiver_free(receivers[i]);
    free(receivers);
}

/* Makes receivers without queues, all or none. Returns as sink_new(). */
static int make_receivers(struct sink *sink, const struct sink_receiver *options, unsigned n,
                          struct receiver ***ret_receivers, const char **ret_error)
{
    struct receiver **receivers = calloc(n + 1, sizeof(*receivers));
    unsigned i, k;
    int r;

    if (!receivers)
        return error_origin(-ENOMEM);
    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            if (strcmp(options[i].name, options[k].name) == 0) {
                *ret_error = "name: another receiver has the same";
                free_receivers(receivers, i);
                return SINK_E_RECEIVER;
            }
        }
        r = receiver_new(&receivers[i], &options[i], ret_error);
        if (r != 0) {
            free_receivers(receivers, i);
            return r < 0 ? error_trace(r) : r;
        }
        receivers[i]->sink = sink;
    }
    *ret_receivers = receivers;
    return 0;
}

static void cancel_under_way(struct receiver *receiver)
{
    struct delivery *delivery;
    size_t i;

    for (i = 0; i < receiver->queue.n_lanes; i++) {
        delivery = receiver->queue.lanes[i].first;
        if (!delivery->request)
            continue;
        http_request_cancel(delivery->request);
        delivery->request = NULL;
        receiver->n_under_way--;
    }
}

int sink_reconfigure(struct sink *sink, const struct sink_receiver *receivers, unsigned n_receivers,
                     const char **ret_error)
{
    struct receiver **fresh, *old;
    unsigned i, k;
    int r;

    r = make_receivers(sink, receivers, n_receivers, &fresh, ret_error);
    if (r != 0)
        return r < 0 ? error_trace(r) : r;
    for (i = 0; i < sink->n_receivers; i++) {
        old = sink->receivers[i];
        for (k = 0; k < n_receivers && strcmp(fresh[k]->name, old->name) != 0; k++)
            ;
        if (k < n_receivers) {
            receiver_reconfigure(old, fresh[k]);
            fresh[k] = old;
        } else {
            cancel_under_way(old);
            finish_idle(old, SINK_DISABLED);
            receiver_free(old);
        }
    }
    free(sink->receivers);
    sink->receivers = fresh;
    sink->n_receivers = n_receivers;
    wake_after(sink, 0);
    return 0;
}

struct sink *sink_free(struct sink *sink)
{
    struct delivery *delivery;
    unsigned i;

    if (!sink)
        return NULL;
    for (i = 0; i < sink->n_receivers; i++)
        cancel_under_way(sink->receivers[i]);
    free_receivers(sink->receivers, sink->n_receivers);
    while ((delivery = sink->finished)) {
        sink->finished = delivery->next;
        free(delivery);
    }
    http_client_free(sink->client);
    if (sink->timer)
        event_free(sink->timer);
    free(sink->user_agent);
    free(sink);
    return NULL;
}

static void sink_freep(struct sink **sink)
{
    sink_free(*sink);
}

int sink_new(struct sink **ret_sink, const struct sink_options *options, const char **ret_error)
{
    CLEANUP(sink_freep) struct sink *sink = calloc(1, sizeof(*sink));
    int r;

    assert(!strpbrk(options->user_agent, "\r\n"));
    if (!sink)
        return error_origin(-ENOMEM);
    sink->finished_end = &sink->finished;
    sink->deadline_us = options->deadline_us ? options->deadline_us : INT64_C(86400) * 1000000;
    sink->attempt_us_max =
        options->attempt_us_max ? options->attempt_us_max : INT64_C(15) * 1000000;
    sink->second_us = options->second_us ? options->second_us : 1000000;
    sink->messages_max = options->messages_max ? options->messages_max : 10000;
    sink->done = options->done;
    sink->userdata = options->userdata;
    sink->user_agent = strdup(options->user_agent);
    sink->timer = event_new(options->base, -1, 0, pump, sink);
    if (!sink->user_agent || !sink->timer)
        return error_origin(-ENOMEM);
    r = http_client_new(&sink->client, options->base);
    if (r < 0)
        return error_trace(r);
    r = make_receivers(sink, options->receivers, options->n_receivers, &sink->receivers, ret_error);
    if (r != 0)
        return r < 0 ? error_trace(r) : r;
    sink->n_receivers = options->n_receivers;
    *ret_sink = sink;
    sink = NULL;
    return 0;
}

unsigned sink_stats(const struct sink *sink, struct sink_stats *ret_stats, unsigned n_max)
{
    const struct receiver *receiver;
    unsigned i;

    for (i = 0; i < sink->n_receivers && i < n_max; i++) {
        receiver = sink->receivers[i];
        ret_stats[i] = (struct sink_stats){
            .receiver = receiver->name,
            .n_delivered = receiver->n_delivered,
            .n_failed_attempts = receiver->n_failed_attempts,
            .n_attempts = receiver->n_attempts,
            .n_expired = receiver->n_expired,
            .n_superseded = receiver->n_superseded,
            .n_queued = receiver->queue.n_deliveries,
            .disabled = receiver->disabled,
            .open = receiver_open(receiver),
            .latency_seconds_sum = (double)receiver->latency_us_sum / 1e6,
        };
    }
    return sink->n_receivers;
}
