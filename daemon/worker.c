/* The thread that folds: see worker.h. */
#include "worker.h"

#include "codec/event_json.h"
#include "codec/mapping.h"
#include "util/clock.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum {
    TAKE_MAX = 1000,                       /* records per turn */
    TAKE_WAIT_MS = 20,                     /* for the first one, if nothing else is due */
    HELD_BYTES_MAX = 32 * EVENT_BYTES_MAX, /* of messages between two resets of the decoder */
};

/* Publishing may take 2 % of a worker's time. A shard does not publish anew before the first of
 * these intervals, but after the second, which is also its pace while it catches up with its log.
 */
#define PUBLISH_MIN_US 20000
#define PUBLISH_MAX_US 1000000
#define PUBLISH_SHARE  50
/* Answers may take as much again, and a shard does not make them anew before this. */
#define ANSWERS_MIN_US 1000000

struct worker {
    struct worker_options options;
    struct worker_settings settings;
    pthread_t thread;
    bool running;
    struct mailbox *orders;  /* from the main thread */
    struct mailbox *commits; /* from the store thread */
    struct kpi_plan *plan;
    struct kpi_layout *layout; /* NULL until the first one is told */
    struct event_decoder *decoder;
    struct shard **shards; /* by index; NULL: not ours */
    struct shard **mine;   /* dense */
    uint32_t n_mine;
    uint32_t turn;      /* which shard comes first */
    int64_t publish_at; /* monotonic: no shard is published before */
    int64_t answers_at; /* monotonic: no shard makes answers before */
    uint32_t n_paused;  /* of counters.partitions_paused, ours */
    bool stopping, paused;
    rd_kafka_message_t *messages[TAKE_MAX];
};

static void notify(struct worker *worker, enum worker_notice_kind kind, struct shard *shard,
                   struct summary *summary)
{
    struct worker_notice *notice = calloc(1, sizeof(*notice));

    if (!notice)
        abort(); /* state is safe in the last checkpoint; there is no way to go on */
    *notice = (struct worker_notice){.kind = kind, .shard = shard, .summary = summary};
    mailbox_put(worker->options.notices, &notice->item);
}

static void remove_shard(struct worker *worker, struct shard *shard)
{
    worker->shards[shard->index] = NULL;
    for (uint32_t i = 0; i < worker->n_mine; i++) {
        if (worker->mine[i] == shard) {
            worker->mine[i] = worker->mine[--worker->n_mine];
            break;
        }
    }
    notify(worker, WORKER_CLOSED, shard, NULL);
}

/* A decoder for the topics of the intake, in its order. */
static int new_decoder(struct event_decoder **ret_decoder, const struct worker *worker,
                       struct event_decoder_options *options)
{
    uint32_t n_topics = intake_n_topics(worker->options.intake);
    const char **topics = calloc(n_topics, sizeof(*topics));
    int r;

    if (!topics)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < n_topics; i++)
        topics[i] = intake_topic(worker->options.intake, i);
    options->topics = topics;
    options->n_topics = n_topics;
    r = event_decoder_new(ret_decoder, options);
    free(topics);
    return r < 0 ? error_trace(r) : 0;
}

static int set_plan(struct worker *worker, struct kpi_plan *plan, struct mappings *mappings,
                    const struct worker_settings *settings)
{
    struct event_decoder_options options = {.plan = plan,
                                            .key = worker->options.key,
                                            .currency = settings->currency,
                                            .mappings = mappings};
    struct event_decoder *decoder;
    int r;

    r = new_decoder(&decoder, worker, &options);
    if (r < 0)
        return error_trace(r);
    for (uint32_t i = 0; i < worker->n_mine; i++) {
        r = shard_replan(worker->mine[i], plan);
        if (r < 0) {
            (void)event_decoder_free(decoder);
            return error_trace(r);
        }
    }
    worker->decoder = event_decoder_free(worker->decoder);
    worker->decoder = decoder;
    worker->plan = kpi_plan_unref(worker->plan);
    worker->plan = kpi_plan_ref(plan);
    worker->layout = kpi_layout_unref(worker->layout);
    worker->settings = *settings;
    return 0;
}

/* A shard that is to be given back: at once, or when its last checkpoint is durable. */
static int advance_closing(struct worker *worker, struct shard *shard)
{
    if (shard->commit) {
        if (shard->retry_at == 0)
            return 0; /* the store thread has it */
        if (!shard->failed)
            return 0; /* repeated by housekeeping */
        shard_commit_abandon(shard);
    }
    if (!shard->failed && worker->options.store && shard_dirty(shard, worker->settings.fold)) {
        if (atomic_load(&shard->n_dead_pending) > 0)
            return 0;
        return shard_checkpoint(shard, worker->options.store, worker->commits,
                                worker->settings.fold);
    }
    remove_shard(worker, shard);
    return 0;
}

static int open_shard(struct worker *worker, struct shard *shard)
{
    int r;

    /* Nothing is assigned while shards are opened, so what the queue holds is of the past. */
    intake_drain(worker->options.intake, worker->options.index);
    /* It was opened under the plan of then, and a reload may have come first. */
    r = shard_replan(shard, worker->plan);
    if (r < 0)
        return error_trace(r);
    shard->closing = shard->failed = false;
    shard->outcome = 0;
    shard->checkpoint_at =
        clock_monotonic_us() + worker->settings.checkpoint_interval * (shard->index % 8 + 1) / 8;
    worker->shards[shard->index] = shard;
    worker->mine[worker->n_mine++] = shard;
    notify(worker, WORKER_OPENED, shard, NULL);
    return 0;
}

static int obey(struct worker *worker, struct worker_order *order)
{
    struct shard *shard = order->shard;

    switch (order->kind) {
    case WORKER_OPEN:
        return open_shard(worker, shard);
    case WORKER_CLOSE:
    case WORKER_DROP:
        if (worker->shards[shard->index] != shard)
            return 0; /* was given back meanwhile */
        shard->closing = true;
        shard->failed = shard->failed || order->kind == WORKER_DROP;
        return advance_closing(worker, shard);
    case WORKER_LAYOUT:
        worker->layout = kpi_layout_unref(worker->layout);
        worker->layout = kpi_layout_ref(order->layout);
        return 0;
    case WORKER_PLAN:
        return set_plan(worker, order->plan, order->mappings, &order->settings);
    case WORKER_STOP:
        worker->stopping = true;
        return 0;
    }
    return 0;
}

/* Obeys what it was told; r < 0: only frees it. */
static int take_orders(struct worker *worker, int r)
{
    struct mailbox_item *item = mailbox_take_all(worker->orders);

    while (item) {
        struct worker_order *order = (struct worker_order *)item;

        item = item->next;
        if (r >= 0)
            r = obey(worker, order);
        (void)kpi_layout_unref(order->layout);
        (void)kpi_plan_unref(order->plan);
        (void)mappings_unref(order->mappings);
        free(order);
    }
    return r;
}

static void take_commits(struct worker *worker, int64_t now)
{
    struct mailbox_item *item = mailbox_take_all(worker->commits);

    while (item) {
        struct shard_commit *commit =
            (struct shard_commit *)((char *)item - offsetof(struct shard_commit, item));
        struct shard *shard = commit->shard;

        item = item->next;
        if (!shard_committed(shard, commit, now)) {
            shard->failed = true;
            shard->closing = true;
        }
    }
}

static int advance_all_closing(struct worker *worker)
{
    int r = 0;

    for (uint32_t i = 0; i < worker->n_mine && r >= 0;) {
        struct shard *shard = worker->mine[i];

        if (shard->closing)
            r = advance_closing(worker, shard);
        i += i < worker->n_mine && worker->mine[i] == shard;
    }
    return r;
}

static int flush_all(struct worker *worker)
{
    int r = 0;

    for (uint32_t i = 0; i < worker->n_mine && r >= 0; i++)
        r = shard_flush(worker->mine[i], worker->options.intake);
    return r;
}

static int take_records(struct worker *worker, int timeout_ms)
{
    struct intake *intake = worker->options.intake;
    size_t n = intake_take(intake, worker->options.index, timeout_ms, worker->messages, TAKE_MAX);
    uint64_t n_bytes = 0, n_held = 0;
    int r = 0;

    event_decoder_reset(worker->decoder);
    for (size_t i = 0; i < n && r >= 0; i++) {
        const rd_kafka_message_t *message = worker->messages[i];
        struct shard *shard = (uint32_t)message->partition < worker->options.n_shards
                                  ? worker->shards[message->partition]
                                  : NULL;

        if (i + 4 < n)
            __builtin_prefetch(worker->messages[i + 4]->payload);
        if (!shard || shard->closing)
            continue;
        /* The decoder keeps unescaped strings until it is reset, and has room for so many. */
        n_held += message->len;
        if (n_held > HELD_BYTES_MAX) {
            r = flush_all(worker);
            event_decoder_reset(worker->decoder);
            n_held = message->len;
            if (r < 0)
                break;
        }
        n_bytes += message->len;
        r = shard_take(shard, intake, worker->decoder, message);
        if (r > 0) {
            /* Out of the log's range: what was counted is right, and is saved before it is given
             * back. */
            shard->failed = r != SHARD_E_RANGE;
            shard->outcome = r;
            shard->closing = true;
        }
    }
    if (r >= 0)
        r = flush_all(worker);
    for (size_t i = 0; i < n; i++)
        rd_kafka_message_destroy(worker->messages[i]);
    if (n_bytes)
        counters_add(counters.input_bytes, n_bytes);
    return r;
}

static int64_t lag_of(const struct worker *worker, const struct shard *shard)
{
    int64_t lag = 0;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        int64_t high = intake_high(worker->options.intake, topic, shard->index);

        if (high < 0)
            return -1;
        if (high > shard->positions[topic].next)
            lag += high - shard->positions[topic].next;
    }
    return lag;
}

/* Of several shards with stale answers, those come first that have waited longest. */
static bool answers_due(const struct worker *worker, const struct shard *shard, int64_t now)
{
    if (now < worker->answers_at || now < shard->answers_at ||
        !shard_answers_stale(shard, worker->layout))
        return false;
    for (uint32_t i = 0; i < worker->n_mine; i++) {
        const struct shard *other = worker->mine[i];

        if (!other->closing && other->answers_at < shard->answers_at &&
            shard_answers_stale(other, worker->layout))
            return false;
    }
    return true;
}

static bool publish_due(const struct worker *worker, const struct shard *shard, int64_t now)
{
    if (!worker->layout || now < worker->publish_at || now < shard->publish_at)
        return false;
    if (kpi_layout_fingerprint(worker->layout) != shard->published_layout ||
        shard_caught_up(shard, clock_now_us()) != shard->published_caught_up ||
        now >= shard->publish_at + PUBLISH_MAX_US || answers_due(worker, shard, now))
        return true;
    /* Numbers of the past need not be fresh: while it catches up, once in PUBLISH_MAX_US will do.
     */
    return shard->published_caught_up &&
           kpi_engine_version(shard->engine) != shard->published_version;
}

/* Memory for ids has run out, or suffices again: people must know what copies are still noticed. */
static void tell_dedupe_window(struct shard *shard, kpi_duration window)
{
    if (shard->dedupe_window != KPI_TIME_NONE && window != shard->dedupe_window)
        log_warning(window < shard->dedupe_window
                        ? "dedupe.memory is full: copies are noticed within a shorter window"
                        : "copies are noticed within a longer window again",
                    LOG_INT("shard", shard->index), LOG_INT("seconds", window / KPI_SECOND));
    shard->dedupe_window = window;
}

static void answer(struct worker *worker, struct shard *shard)
{
    int64_t begun = clock_monotonic_us(), cost;

    shard_answer(shard, worker->layout, clock_now_us());
    cost = clock_monotonic_us() - begun;
    worker->answers_at = begun + cost * PUBLISH_SHARE;
    shard->answers_at = begun + ANSWERS_MIN_US;
}

static void publish(struct worker *worker, struct shard *shard, int64_t now)
{
    struct summary *summary;
    int64_t cost, pause;

    if (answers_due(worker, shard, now)) {
        answer(worker, shard);
        now = clock_monotonic_us(); /* they have a share of their own */
    }
    summary = shard_summarize(shard, worker->layout, clock_now_us(), lag_of(worker, shard));
    if (!summary)
        return; /* no memory for it now: the last one stays */
    shard->published_version = kpi_engine_version(shard->engine);
    shard->published_layout = summary->layout;
    shard->published_caught_up = summary->caught_up;
    tell_dedupe_window(shard, summary->stats.dedupe_window);
    cost = clock_monotonic_us() - now;
    counters_observe(&counters.report_duration, cost);
    /* The share is the worker's: with many shards they take turns. */
    pause = cost * PUBLISH_SHARE;
    if (pause > PUBLISH_MAX_US / worker->n_mine)
        pause = PUBLISH_MAX_US / worker->n_mine;
    worker->publish_at = now + pause;
    shard->publish_at = now + PUBLISH_MIN_US;
    notify(worker, WORKER_SUMMARY, NULL, summary);
}

/* Checkpoints that are due, repeats, publishing; and whether too much is unsaved to go on. */
static int keep_house(struct worker *worker)
{
    bool was_paused = worker->paused;
    uint32_t n_full = 0;
    int r = 0;

    worker->turn++;
    for (uint32_t i = 0; i < worker->n_mine && r >= 0; i++) {
        struct shard *shard = worker->mine[(worker->turn + i) % worker->n_mine];
        int64_t now = clock_monotonic_us();

        if (worker->options.store && shard->commit && shard->retry_at && now >= shard->retry_at)
            shard_commit_again(shard, worker->options.store);
        if (shard->closing)
            continue;
        if (worker->options.store && !shard->commit && now >= shard->checkpoint_at &&
            shard_dirty(shard, worker->settings.fold) && atomic_load(&shard->n_dead_pending) == 0) {
            r = shard_checkpoint(shard, worker->options.store, worker->commits,
                                 worker->settings.fold);
            shard->checkpoint_at = now + worker->settings.checkpoint_interval;
        }
        if (worker->options.store && (uint64_t)shard_unsaved(shard) >= worker->settings.unsaved_max)
            n_full++;
        now = clock_monotonic_us();
        if (publish_due(worker, shard, now))
            publish(worker, shard, now);
    }
    worker->paused = n_full > 0;
    if (worker->paused != was_paused) {
        uint32_t n_paused = worker->paused ? worker->n_mine : 0;

        counters_add(counters.partitions_paused, (uint64_t)n_paused - worker->n_paused);
        worker->n_paused = n_paused;
        if (worker->paused)
            log_warning(
                "too many records are not checkpointed: not reading until the store takes them",
                LOG_INT("worker", worker->options.index));
        else
            log_notice("reading again", LOG_INT("worker", worker->options.index));
    }
    return r;
}

static void *worker_main(void *userdata)
{
    struct worker *worker = userdata;
    int r = 0;

    while (!worker->stopping && r >= 0) {
        r = take_orders(worker, 0);
        if (r < 0)
            break;
        take_commits(worker, clock_monotonic_us());
        if (worker->n_mine == 0)
            (void)mailbox_wait(worker->orders, 100000);
        else if (worker->paused)
            (void)mailbox_wait(worker->commits, 20000);
        else
            r = take_records(worker, TAKE_WAIT_MS);
        if (r >= 0)
            r = advance_all_closing(worker);
        if (r >= 0)
            r = keep_house(worker);
    }
    if (r < 0)
        notify(worker, WORKER_FATAL, NULL, NULL);
    return NULL;
}

/* The thread is born with all signals blocked: they are the main thread's. */
static int start(struct worker *worker)
{
    sigset_t all, old;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&worker->thread, NULL, worker_main, worker);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    worker->running = r == 0;
    return -r;
}

int worker_new(struct worker **ret_worker, const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int r;

    if (!worker)
        return error_origin(-ENOMEM);
    worker->options = *options;
    worker->shards = calloc(options->n_shards, sizeof(*worker->shards));
    worker->mine = calloc(options->n_shards, sizeof(*worker->mine));
    r = worker->shards && worker->mine ? 0 : -ENOMEM;
    if (r == 0)
        r = mailbox_new(&worker->orders);
    if (r == 0)
        r = mailbox_new(&worker->commits);
    if (r == 0)
        r = set_plan(worker, options->plan, options->mappings, &options->settings);
    if (r == 0)
        r = start(worker);
    if (r < 0) {
        (void)worker_free(worker);
        return error_origin(r);
    }
    *ret_worker = worker;
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (!worker || !worker->running)
        return;
    worker_tell(worker, &(struct worker_order){.kind = WORKER_STOP});
    (void)pthread_join(worker->thread, NULL);
    worker->running = false;
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;
    worker_stop(worker);
    if (worker->orders)
        (void)take_orders(worker, -ECANCELED);
    (void)event_decoder_free(worker->decoder);
    (void)kpi_layout_unref(worker->layout);
    (void)kpi_plan_unref(worker->plan);
    (void)mailbox_free(worker->orders);
    (void)mailbox_free(worker->commits);
    free(worker->shards);
    free(worker->mine);
    free(worker);
    return NULL;
}

void worker_tell(struct worker *worker, const struct worker_order *order)
{
    struct worker_order *copy = malloc(sizeof(*copy));

    if (!copy)
        abort();
    *copy = *order;
    mailbox_put(worker->orders, &copy->item);
}
