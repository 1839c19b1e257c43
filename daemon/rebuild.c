#include "rebuild.h"

#include "codec/event_json.h"
#include "shard.h"
#include "util/clock.h"
#include "util/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TAKE_MAX = 1000,
    TAKE_WAIT_MS = 100,
    HELD_BYTES_MAX = 32 * EVENT_BYTES_MAX, /* of messages between two resets of the decoder */
    NEAR = 10000,     /* a round that reads fewer records than this is the last one of a shard */
    RANGE_TRIES = 3,  /* how often the log may lose records under the reader */
    STORE_TRIES = 20, /* half a second apart */
};

/* A shard under way. */
struct pass {
    struct rebuild *rebuild;
    struct shard *shard;
    struct event_decoder *decoder;
    int64_t *targets; /* by topic: read up to here */
    bool *reached;    /* by topic: a record behind the target was seen */
    rd_kafka_message_t *messages[TAKE_MAX];
};

static int fail_store(struct rebuild *rebuild, int r)
{
    if (r <= 0)
        return r;
    (void)snprintf(rebuild->error, sizeof(rebuild->error), "Redis: %s",
                   store_error(rebuild->store));
    return REBUILD_E_STORE;
}

static int fail_kafka(struct rebuild *rebuild, const char *text)
{
    (void)snprintf(rebuild->error, sizeof(rebuild->error), "Kafka: %s", text);
    return REBUILD_E_KAFKA;
}

/* Redis may be slow or starting: worth some patience when hours have been read. */
static int stage_patiently(struct rebuild *rebuild, struct shard *shard)
{
    const struct timespec pause = {.tv_nsec = 500000000};
    int r = STORE_E_AWAY;

    for (int i = 0; i < STORE_TRIES && r == STORE_E_AWAY; i++) {
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        r = shard_stage(shard, rebuild->store, rebuild->config->fold);
    }
    if (r == STORE_E_FENCED || r == STORE_E_ROLLBACK) {
        (void)snprintf(rebuild->error, sizeof(rebuild->error),
                       "another `kpid rebuild` of this group is at work");
        return REBUILD_E_STORE;
    }
    return fail_store(rebuild, r);
}

/* Where the live checkpoint of a shard is, by topic; the log's end if there is none. */
static int find_targets(struct rebuild *rebuild, uint32_t shard, int64_t *targets)
{
    struct store_manifest *manifest = NULL;
    int64_t low;
    int r;

    r = store_peek(rebuild->store, shard, &manifest);
    if (r != 0)
        return fail_store(rebuild, r);
    for (uint32_t topic = 0; topic < intake_n_topics(rebuild->intake) && r == 0; topic++) {
        if (intake_bounds(rebuild->intake, topic, shard, &low, &targets[topic]) != 0)
            r = fail_kafka(rebuild, "does not tell the bounds of a topic");
        for (uint32_t i = 0; i < manifest->n_positions; i++) {
            const struct store_position *live = &manifest->positions[i];

            if (strcmp(live->topic, intake_topic(rebuild->intake, topic)) == 0 &&
                live->next != STORE_OFFSET_NONE && live->next < targets[topic])
                targets[topic] = live->next;
        }
    }
    (void)store_manifest_free(manifest);
    return r;
}

static int count_all(struct rebuild *rebuild)
{
    int64_t *targets = calloc(intake_n_topics(rebuild->intake), sizeof(*targets)), start;
    int r = targets ? 0 : error_origin(-ENOMEM);

    for (uint32_t shard = 0; shard < rebuild->n_shards && r == 0; shard++) {
        r = find_targets(rebuild, shard, targets);
        for (uint32_t topic = 0; topic < intake_n_topics(rebuild->intake) && r == 0; topic++) {
            if (intake_start(rebuild->intake, topic, shard, true, &start) != 0)
                r = fail_kafka(rebuild, "does not tell the bounds of a topic");
            else if (targets[topic] > start)
                rebuild->n_all += targets[topic] - start;
        }
    }
    free(targets);
    return r;
}

static bool all_reached(const struct pass *pass)
{
    const struct shard *shard = pass->shard;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        if (shard->positions[topic].next < pass->targets[topic] && !pass->reached[topic] &&
            !shard->at_end[topic])
            return false;
    }
    return true;
}

static int take(struct pass *pass, size_t n)
{
    struct intake *intake = pass->rebuild->intake;
    struct shard *shard = pass->shard;
    uint64_t n_held = 0;
    int r = 0;

    event_decoder_reset(pass->decoder);
    for (size_t i = 0; i < n && r == 0; i++) {
        const rd_kafka_message_t *message = pass->messages[i];
        uint32_t topic = intake_message_topic(intake, message);

        if (!message->err && message->offset >= pass->targets[topic])
            pass->reached[topic] = true;
        /* The log's end is none then: it would take what was passed over for control records. */
        if (pass->reached[topic])
            continue;
        n_held += message->len;
        if (n_held > HELD_BYTES_MAX) {
            r = shard_flush(shard, intake);
            event_decoder_reset(pass->decoder);
            n_held = message->len;
            if (r != 0)
                break;
        }
        r = shard_take(shard, intake, pass->decoder, message);
    }
    return r == 0 ? shard_flush(shard, intake) : r;
}

/*
 * From when the shard counts, if the log has lost what was before; while it has no record: from
 * now.
 */
static kpi_time missing_of(const struct shard *shard)
{
    kpi_time latest = KPI_TIME_NONE;

    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        kpi_time from = shard->positions[topic].counts_from;

        if (from == SHARD_COUNTS_FROM_NEXT)
            from = clock_now_us();
        latest = from > latest ? from : latest;
    }
    return latest;
}

static int check_missing(struct rebuild *rebuild, const struct shard *shard)
{
    kpi_time missing = missing_of(shard);
    time_t seconds = missing / KPI_SECOND;
    char text[32];
    struct tm tm;

    if (missing == KPI_TIME_NONE || rebuild->accept_missing ||
        missing < clock_now_us() - kpi_plan_keep(rebuild->config->plan))
        return 0;
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    (void)snprintf(
        rebuild->error, sizeof(rebuild->error),
        "the log of partition %u begins at %s only: all KPIs would count from then, also "
        "those that are whole now; --accept-missing does it nevertheless",
        shard->index, text);
    return REBUILD_E_MISSING;
}

/* Fetches from where the shard is, whatever was fetched before. */
static int assign(struct pass *pass)
{
    struct intake *intake = pass->rebuild->intake;
    struct shard *shard = pass->shard;
    struct intake_position *positions = calloc(shard->n_topics, sizeof(*positions));
    int r;

    if (!positions)
        return error_origin(-ENOMEM);
    intake_unassign(intake);
    intake_drain(intake, 0);
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        positions[topic] = (struct intake_position){
            .topic = topic, .shard = shard->index, .offset = shard->positions[topic].next};
        pass->reached[topic] = shard->at_end[topic] = false;
    }
    r = intake_assign(intake, positions, shard->n_topics);
    free(positions);
    return r != 0 ? fail_kafka(pass->rebuild, intake_error(intake)) : 0;
}

/* Reads on until all targets are reached. */
static int read_round(struct pass *pass)
{
    struct rebuild *rebuild = pass->rebuild;
    bool checked = false;
    int r = assign(pass);

    while (r == 0 && !all_reached(pass)) {
        int64_t n_before = pass->shard->n_records;
        size_t n;

        intake_poll(rebuild->intake);
        n = intake_take(rebuild->intake, 0, TAKE_WAIT_MS, pass->messages, TAKE_MAX);
        r = take(pass, n);
        for (size_t i = 0; i < n; i++)
            rd_kafka_message_destroy(pass->messages[i]);
        rebuild->n_read += pass->shard->n_records - n_before;
        rebuild->progress(rebuild->userdata, rebuild);
        if (r == 0 && !checked && pass->shard->n_records > 0)
            r = check_missing(rebuild, pass->shard);
        checked = pass->shard->n_records > 0;
    }
    return r;
}

/* Rounds, until the live checkpoint runs no longer away; then what the log has lost. */
static int read_all(struct pass *pass)
{
    struct rebuild *rebuild = pass->rebuild;
    struct shard *shard = pass->shard;
    int64_t n_before;
    int r;

    do {
        n_before = shard->n_records;
        r = find_targets(rebuild, shard->index, pass->targets);
        if (r == 0)
            r = read_round(pass);
    } while (r == 0 && shard->n_records - n_before >= NEAR);
    if (r == 0)
        r = check_missing(rebuild, shard);
    if (r != 0 || missing_of(shard) == KPI_TIME_NONE)
        return r;
    /* Told by measure, not for all that the shard will ever count. */
    kpi_engine_set_counts_from(shard->engine, missing_of(shard));
    if (missing_of(shard) > rebuild->missing)
        rebuild->missing = missing_of(shard);
    for (uint32_t topic = 0; topic < shard->n_topics; topic++)
        shard->positions[topic].counts_from = KPI_TIME_NONE;
    return 0;
}

/* As a worker's. */
static int new_decoder(struct pass *pass, uint32_t n_topics)
{
    const struct rebuild *rebuild = pass->rebuild;
    const char **topics = calloc(n_topics, sizeof(*topics));
    struct event_decoder_options options = {.plan = rebuild->config->plan,
                                            .key = rebuild->key,
                                            .currency = rebuild->config->currency,
                                            .mappings = rebuild->config->mappings,
                                            .topics = topics,
                                            .n_topics = n_topics};
    int r;

    if (!topics)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < n_topics; i++)
        topics[i] = intake_topic(rebuild->intake, i);
    r = event_decoder_new(&pass->decoder, &options);
    free(topics);
    return r < 0 ? error_trace(r) : 0;
}

static int open_pass(struct pass *pass, uint32_t index)
{
    struct rebuild *rebuild = pass->rebuild;
    const struct shard_open_options open = {.intake = rebuild->intake,
                                            .plan = rebuild->config->plan,
                                            .on_loss = CONFIG_ON_LOSS_REBUILD,
                                            .rebuild = true};
    uint32_t n_topics = intake_n_topics(rebuild->intake);
    int r;

    pass->targets = calloc(n_topics, sizeof(*pass->targets));
    pass->reached = calloc(n_topics, sizeof(*pass->reached));
    if (!pass->targets || !pass->reached)
        return error_origin(-ENOMEM);
    r = shard_new(&pass->shard, index, n_topics);
    if (r == 0)
        r = new_decoder(pass, n_topics);
    if (r == 0)
        r = shard_open(pass->shard, NULL, &open);
    if (r == SHARD_E_KAFKA)
        return fail_kafka(rebuild, "does not tell the bounds of a topic");
    return r;
}

static void close_pass(struct pass *pass)
{
    intake_unassign(pass->rebuild->intake);
    intake_drain(pass->rebuild->intake, 0);
    (void)event_decoder_free(pass->decoder);
    (void)shard_free(pass->shard);
    free(pass->targets);
    free(pass->reached);
}

static int rebuild_shard(struct rebuild *rebuild, uint32_t index)
{
    int64_t n_read = rebuild->n_read;
    int r = SHARD_E_RANGE;

    for (int i = 0; i < RANGE_TRIES && r == SHARD_E_RANGE; i++) {
        struct pass *pass = calloc(1, sizeof(*pass));

        if (!pass)
            return error_origin(-ENOMEM);
        rebuild->n_read = n_read;
        pass->rebuild = rebuild;
        r = open_pass(pass, index);
        if (r == 0)
            r = read_all(pass);
        if (r == 0)
            r = stage_patiently(rebuild, pass->shard);
        close_pass(pass);
        free(pass);
    }
    return r == SHARD_E_RANGE ? fail_kafka(rebuild, "deletes records faster than they can be read")
                              : r;
}

int rebuild_stage(struct rebuild *rebuild)
{
    int r;

    rebuild->missing = KPI_TIME_NONE;
    r = fail_store(rebuild, store_staged_withdraw(rebuild->store));
    for (uint32_t i = 0; i < rebuild->n_shards && r == 0; i++)
        r = fail_store(rebuild, store_staged_remove(rebuild->store, i, 0));
    if (r == 0)
        r = count_all(rebuild);
    for (uint32_t i = 0; i < rebuild->n_shards && r == 0; i++) {
        rebuild->shard = i;
        r = rebuild_shard(rebuild, i);
    }
    if (r == 0)
        r = fail_store(rebuild, store_staged_announce(rebuild->store, rebuild->config->fold));
    return r;
}

int rebuild_is_running(struct rebuild *rebuild, bool *ret_running)
{
    *ret_running = true;
    for (uint32_t i = 0; i < rebuild->n_shards; i++) {
        struct store_manifest *manifest = NULL;
        int r = store_peek(rebuild->store, i, &manifest);

        if (r != 0)
            return fail_store(rebuild, r);
        *ret_running =
            *ret_running && manifest->n_positions > 0 && manifest->plan == rebuild->config->fold;
        (void)store_manifest_free(manifest);
    }
    return 0;
}

int rebuild_taken(struct rebuild *rebuild, uint32_t *ret_n)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < rebuild->n_shards; i++) {
        uint64_t claim = 0;
        int r = store_staged_claim(rebuild->store, i, &claim);

        if (r != 0)
            return fail_store(rebuild, r);
        n += claim == 0;
    }
    *ret_n = n;
    return 0;
}
