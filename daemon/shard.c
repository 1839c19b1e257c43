/*
 * A shard's way with records: decode, verify, apply, publish. Opening is in shard_open.c,
 * checkpoints in shard_commit.c.
 */
#include "shard.h"

#include "codec/event_json.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/log.h"
#include "util/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A partition whose newest record is this young counts as caught up although more keeps coming. */
#define CAUGHT_UP_AGE (5 * KPI_SECOND)

int shard_new(struct shard **ret_shard, uint32_t index, uint32_t n_topics)
{
    struct shard *shard = calloc(1, sizeof(*shard));

    if (!shard)
        return error_origin(-ENOMEM);
    shard->index = index;
    shard->n_topics = n_topics;
    shard->positions = calloc(n_topics, sizeof(*shard->positions));
    shard->topic_hashes = calloc(n_topics, sizeof(*shard->topic_hashes));
    shard->assign_at = calloc(n_topics, sizeof(*shard->assign_at));
    shard->verify = calloc(n_topics, sizeof(*shard->verify));
    shard->at_end = calloc(n_topics, sizeof(*shard->at_end));
    shard->behind = calloc(n_topics, sizeof(*shard->behind));
    shard->newest = calloc(n_topics, sizeof(*shard->newest));
    shard->next = calloc(n_topics, sizeof(*shard->next));
    shard->saved_next = calloc(n_topics, sizeof(*shard->saved_next));
    if (!shard->positions || !shard->topic_hashes || !shard->assign_at || !shard->verify ||
        !shard->at_end || !shard->behind || !shard->newest || !shard->next || !shard->saved_next) {
        (void)shard_free(shard);
        return error_origin(-ENOMEM);
    }
    shard_reset(shard);
    *ret_shard = shard;
    return 0;
}

void shard_reset(struct shard *shard)
{
    shard->engine = kpi_engine_free(shard->engine);
    shard->plan = NULL;
    shard->batch = kpi_batch_free(shard->batch);
    shard->manifest = store_manifest_free(shard->manifest);
    shard->n_records = shard->n_saved_records = 0;
    shard->saved_at = KPI_TIME_NONE;
    shard->dedupe_window = KPI_TIME_NONE;
    shard->answers = kpi_answers_unref(shard->answers);
    for (uint32_t i = 0; i < shard->n_topics; i++) {
        shard->positions[i].next = STORE_OFFSET_NONE;
        shard->positions[i].last = STORE_OFFSET_NONE;
        shard->positions[i].counts_from = KPI_TIME_NONE;
        shard->verify[i] = false;
        shard->at_end[i] = false;
        shard->behind[i] = STORE_OFFSET_NONE;
        atomic_store(&shard->next[i], -1);
        atomic_store(&shard->saved_next[i], -1);
    }
}

struct shard *shard_free(struct shard *shard)
{
    if (!shard)
        return NULL;
    if (shard->commit)
        shard_commit_abandon(shard);
    if (shard->engine || shard->manifest || shard->batch)
        shard_reset(shard);
    free(shard->positions);
    free(shard->topic_hashes);
    free(shard->assign_at);
    free(shard->verify);
    free(shard->at_end);
    free(shard->behind);
    free(shard->newest);
    free(shard->spare);
    free((void *)shard->next);
    free((void *)shard->saved_next);
    free(shard);
    return NULL;
}

/* The first record after an open is the last one we applied, if the log still has it: the same
 * topic must show the same record there (faults rule 8: truncation is invisible to librdkafka
 * < 2.1). One further on will not do either: a log that begins later answers with an error, not
 * with a hole. */
static int verify_last(struct shard *shard, uint32_t topic, const rd_kafka_message_t *message)
{
    const struct store_position *position = &shard->positions[topic];
    rd_kafka_timestamp_type_t type;

    shard->verify[topic] = false;
    if (message->offset == position->last &&
        rd_kafka_message_timestamp(message, &type) == position->last_timestamp &&
        XXH3_64bits(message->payload, message->len) == position->last_hash)
        return 0;
    log_error(
        "the log is not the one that was read: its record differs at the offset of the last one "
        "applied",
        LOG_INT("shard", shard->index), LOG_STRING("topic", position->topic),
        LOG_INT("offset", position->last), LOG_INT("found", message->offset));
    return SHARD_E_LOSS;
}

int shard_replan(struct shard *shard, struct kpi_plan *plan)
{
    int r;

    assert(!shard->batch || shard->batch->n_events == 0);
    if (shard->plan == plan)
        return 0;
    r = kpi_engine_replan(shard->engine, plan);
    if (r < 0)
        return error_trace(r);
    shard->plan = plan;
    shard->answers = kpi_answers_unref(shard->answers);
    shard->batch = kpi_batch_free(shard->batch);
    r = kpi_batch_new(&shard->batch, plan, &memory_kpi);
    return r < 0 ? error_trace(r) : 0;
}

static int take_error(struct shard *shard, uint32_t topic, const rd_kafka_message_t *message)
{
    static struct log_limit limit = LOG_LIMIT(8, 10);
    struct store_position *position = &shard->positions[topic];

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* Control records at the log's end are no messages, but the position passes them. */
        if (position->next != STORE_OFFSET_NONE && message->offset > position->next) {
            counters_add(&counters.events[COUNTERS_RESULT_SKIPPED],
                         (uint64_t)(message->offset - position->next));
            position->next = message->offset;
        }
        shard->at_end[topic] = true;
        return 0;
    }
    log_limited(&limit, LOG_LEVEL_WARNING, "partition error",
                LOG_FIELDS(LOG_INT("shard", shard->index), LOG_STRING("topic", position->topic),
                           LOG_STRING("error", rd_kafka_message_errstr(message))));
    return message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                   message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
               ? SHARD_E_RANGE
               : 0;
}

static void refuse(struct shard *shard, struct intake *intake, const rd_kafka_message_t *message,
                   enum kpi_refusal refusal)
{
    counters_add(&counters.events[COUNTERS_RESULT_REFUSED], 1);
    counters_add(&counters.events_refused[refusal], 1);
    intake_dead_letter(intake, message, kpi_refusal_name(refusal), &shard->n_dead_pending);
}

/* Counts what became of the batch, sends its dead letters, and empties it. */
static void settle(struct shard *shard, struct intake *intake)
{
    uint64_t n_outcomes[COUNTERS_RESULT_SKIPPED] = {0};

    fault_point("mid_fold");
    for (unsigned i = 0; i < shard->batch->n_events; i++) {
        const struct kpi_event *event = &shard->batch->events[i];

        if (event->outcome == KPI_OUTCOME_REFUSED)
            refuse(shard, intake, shard->origins[i], event->refusal);
        else
            n_outcomes[event->outcome]++;
    }
    for (unsigned i = 0; i < COUNTERS_RESULT_SKIPPED; i++) {
        if (n_outcomes[i])
            counters_add(&counters.events[i], n_outcomes[i]);
    }
    shard->batch->n_events = 0;
}

static int apply(struct shard *shard, struct intake *intake)
{
    int r;

    if (shard->batch->n_events == 0)
        return 0;
    r = kpi_engine_apply(shard->engine, shard->batch);
    if (r < 0)
        return error_trace(r);
    settle(shard, intake);
    return 0;
}

int shard_take(struct shard *shard, struct intake *intake, struct event_decoder *decoder,
               const rd_kafka_message_t *message)
{
    uint32_t topic = intake_message_topic(intake, message);
    struct store_position *position = &shard->positions[topic];
    struct event_header headers[INTAKE_HEADERS_MAX];
    rd_kafka_timestamp_type_t timestamp_type;
    struct event_origin origin;
    enum kpi_refusal refusal;
    struct kpi_event *event;
    int64_t timestamp;
    int r;

    if (message->err)
        return take_error(shard, topic, message);
    if (shard->verify[topic]) {
        r = verify_last(shard, topic, message);
        if (r != 0)
            return r;
    }
    if (position->next != STORE_OFFSET_NONE && message->offset < position->next)
        return 0; /* already part of the state */

    timestamp = rd_kafka_message_timestamp(message, &timestamp_type);
    if (position->counts_from == SHARD_COUNTS_FROM_NEXT && timestamp > 0)
        position->counts_from = timestamp * KPI_MILLISECOND;
    /* Holes in the offsets are control records and aborted transactions. */
    if (position->next != STORE_OFFSET_NONE && message->offset > position->next)
        counters_add(&counters.events[COUNTERS_RESULT_SKIPPED],
                     (uint64_t)(message->offset - position->next));
    position->next = message->offset + 1;
    shard->at_end[topic] = false;
    shard->newest[topic] = message;
    shard->n_records++;
    if (!message->payload) {
        counters_add(&counters.events[COUNTERS_RESULT_SKIPPED], 1);
        return 0;
    }

    event = &shard->batch->events[shard->batch->n_events];
    origin = (struct event_origin){
        .topic_hash = shard->topic_hashes[topic],
        .partition = message->partition,
        .offset = message->offset,
        .topic = topic + 1,
        .record_time = timestamp > 0 ? timestamp * KPI_MILLISECOND : KPI_TIME_NONE,
    };
    if (event_decoder_wants_headers(decoder, origin.topic)) {
        origin.headers = headers;
        origin.n_headers = intake_headers(message, headers);
    }
    refusal = event_decode(decoder, message->payload, message->len, &origin, event);
    if (refusal == KPI_REFUSAL_SKIPPED) {
        counters_add(&counters.events[COUNTERS_RESULT_SKIPPED], 1);
        return 0;
    }
    if (refusal != KPI_REFUSAL_NONE) {
        refuse(shard, intake, message, refusal);
        return 0;
    }
    shard->origins[shard->batch->n_events++] = message;
    if (shard->batch->n_events < KPI_BATCH_MAX)
        return 0;
    return apply(shard, intake);
}

int shard_flush(struct shard *shard, struct intake *intake)
{
    int r;

    r = apply(shard, intake);
    if (r < 0)
        return error_trace(r);
    atomic_store_explicit(&shard->n_unsaved, shard_unsaved(shard), memory_order_relaxed);
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        const rd_kafka_message_t *message = shard->newest[topic];
        struct store_position *position = &shard->positions[topic];
        rd_kafka_timestamp_type_t type;

        atomic_store_explicit(&shard->next[topic], position->next, memory_order_release);
        if (!message)
            continue;
        position->last = message->offset;
        position->last_timestamp = rd_kafka_message_timestamp(message, &type);
        position->last_hash = XXH3_64bits(message->payload, message->len);
        shard->newest[topic] = NULL;
    }
    fault_point("after_fold");
    return 0;
}

void shard_tell_saved(struct shard *shard)
{
    atomic_store(&shard->saved_epoch, shard->manifest->epoch);
    atomic_store(&shard->saved_generation, shard->manifest->generation);
    atomic_store(&shard->n_unsaved, shard_unsaved(shard));
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        for (uint32_t i = 0; i < shard->manifest->n_positions; i++) {
            const struct store_position *saved = &shard->manifest->positions[i];

            if (strcmp(saved->topic, shard->positions[topic].topic) == 0)
                atomic_store(&shard->saved_next[topic], saved->next);
        }
    }
}

bool shard_caught_up(const struct shard *shard, kpi_time now)
{
    int64_t young_ms = (now - CAUGHT_UP_AGE) / KPI_MILLISECOND;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        const struct store_position *position = &shard->positions[topic];

        if (shard->at_end[topic])
            continue;
        if (position->last == STORE_OFFSET_NONE || position->last_timestamp < young_ms ||
            position->next < shard->behind[topic])
            return false;
    }
    return true;
}

int64_t shard_unsaved(const struct shard *shard)
{
    return shard->n_records - shard->n_saved_records;
}

bool shard_dirty(const struct shard *shard, uint64_t fold)
{
    return shard_unsaved(shard) > 0 || shard->save_all || shard->manifest->plan != fold;
}

/* From when the numbers of all topics are whole; while a loss has no record behind it: not yet. */
static kpi_time counts_from(const struct shard *shard, kpi_time now)
{
    kpi_time latest = KPI_TIME_NONE;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        kpi_time from = shard->positions[topic].counts_from;

        if (from == SHARD_COUNTS_FROM_NEXT)
            from = now;
        if (from > latest) /* none is less than any */
            latest = from;
    }
    return latest;
}

bool shard_answers_stale(const struct shard *shard, const struct kpi_layout *layout)
{
    return kpi_plan_has_answers(kpi_layout_plan(layout)) &&
           (!shard->answers || shard->answers_layout != kpi_layout_fingerprint(layout) ||
            shard->answers_version != kpi_engine_version(shard->engine));
}

/* Up to when data is in: as the leader reckons for rows. */
static kpi_time as_of(const struct shard *shard, kpi_time now)
{
    struct kpi_engine_stats stats;

    kpi_engine_stats(shard->engine, &stats);
    return shard_caught_up(shard, now) || stats.newest_record == KPI_TIME_NONE
               ? now
               : stats.newest_record;
}

void shard_answer(struct shard *shard, const struct kpi_layout *layout, kpi_time now)
{
    struct kpi_answers *answers;

    if (kpi_engine_answers(shard->engine, layout, &answers) < 0)
        return;
    (void)kpi_answers_unref(shard->answers);
    shard->answers = answers;
    shard->answers_version = kpi_engine_version(shard->engine);
    shard->answers_layout = kpi_layout_fingerprint(layout);
    shard->answers_as_of = as_of(shard, now);
}

struct summary *shard_summarize(struct shard *shard, const struct kpi_layout *layout, kpi_time now,
                                int64_t lag)
{
    struct summary *summary = summary_new(kpi_layout_n_rows(layout));

    if (!summary)
        return NULL;
    if (kpi_engine_report(shard->engine, layout, summary->rows) < 0)
        return summary_free(summary);
    if (kpi_plan_has_supplement(kpi_layout_plan(layout)) &&
        kpi_engine_supplement(shard->engine, layout, &summary->supplement) < 0)
        return summary_free(summary);
    if (shard->answers) {
        summary->answers = kpi_answers_ref(shard->answers);
        summary->answers_as_of =
            shard_answers_stale(shard, layout) ? shard->answers_as_of : KPI_TIME_NONE;
    }
    summary->shard = shard->index;
    summary->epoch = shard->epoch;
    summary->generation = shard->generation;
    summary->layout = kpi_layout_fingerprint(layout);
    summary->made_at = now;
    summary->saved_at = shard->saved_at;
    summary->counts_from = counts_from(shard, now);
    summary->caught_up = shard_caught_up(shard, now);
    summary->lag = lag;
    summary->n_unsaved = shard_unsaved(shard);
    kpi_engine_stats(shard->engine, &summary->stats);
    return summary;
}
