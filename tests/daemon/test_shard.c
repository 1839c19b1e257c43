/*
 * A shard over librdkafka's mock cluster and a real Redis: where it begins, that it goes on from a
 * checkpoint without losing or doubling a record, and that a log which is not the one it read, or
 * lacks what it did not read yet, is noticed.
 */
#include "shard.h"

#include "../support/decoder_key.h"
#include "../support/mock_kafka.h"
#include "../support/redis_server.h"
#include "codec/event_json.h"
#include "util/clock.h"
#include "util/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    WAIT_US = 20000000,
    AT_ONCE = 100,
};

static struct redis_server *server;

/* One instance of kpid, as far as a shard needs it: shard 0 of topics that are read by one worker.
 */
struct instance {
    struct mock_kafka *kafka; /* borrowed */
    struct config *config;
    struct intake *intake;
    struct event_decoder *decoder;
    struct store *store;         /* opens shards, in this thread; NULL: state in memory */
    struct store_thread *thread; /* takes checkpoints */
    struct mailbox *commits;
    struct shard *shard;
};

static void on_assigned(void *userdata, const uint32_t *shards, uint32_t n_shards)
{
}

static void on_revoked(void *userdata, bool lost)
{
}

static struct store *new_store(void)
{
    struct store *store;

    assert_int_equal(
        store_new(&store,
                  &(struct store_options){.url = server->url, .group = "test", .owner = "test:1"}),
        0);
    return store;
}

static struct instance *instance_new(struct mock_kafka *kafka, const char *settings, bool stored)
{
    struct instance *instance = calloc(1, sizeof(*instance));
    uint32_t n_shards = 0;

    assert_non_null(instance);
    instance->kafka = kafka;
    instance->config = mock_kafka_config(kafka, settings, "");
    assert_int_equal(
        intake_new(&instance->intake, &(struct intake_options){.config = instance->config,
                                                               .n_workers = 1,
                                                               .assigned = on_assigned,
                                                               .revoked = on_revoked}),
        0);
    assert_int_equal(intake_check(instance->intake, &n_shards), 0);
    assert_int_equal(n_shards, 2);
    assert_int_equal(
        event_decoder_new(&instance->decoder,
                          &(struct event_decoder_options){.plan = instance->config->plan,
                                                          .key = decoder_key,
                                                          .currency = instance->config->currency}),
        0);
    if (stored) {
        instance->store = new_store();
        assert_int_equal(store_thread_new(&instance->thread, new_store()), 0);
        assert_int_equal(mailbox_new(&instance->commits), 0);
    }
    assert_int_equal(shard_new(&instance->shard, 0, intake_n_topics(instance->intake)), 0);
    return instance;
}

/* As after kill -9: what is not in Redis is gone. */
static void instance_free(struct instance *instance)
{
    (void)store_thread_free(instance->thread);
    (void)shard_free(instance->shard);
    (void)mailbox_free(instance->commits);
    (void)store_free(instance->store);
    (void)event_decoder_free(instance->decoder);
    (void)intake_free(instance->intake);
    (void)config_free(instance->config);
    free(instance);
}

static int open_shard(struct instance *instance, enum config_on_loss on_loss, bool rebuild)
{
    return shard_open(instance->shard, instance->store,
                      &(struct shard_open_options){.intake = instance->intake,
                                                   .plan = instance->config->plan,
                                                   .on_loss = on_loss,
                                                   .rebuild = rebuild});
}

static void assign(struct instance *instance)
{
    struct intake_position positions[4];
    uint32_t n = 0;

    for (uint32_t topic = 0; topic < instance->shard->n_topics; topic++)
        positions[n++] = (struct intake_position){
            .topic = topic, .shard = 0, .offset = instance->shard->assign_at[topic]};
    assert_int_equal(intake_assign(instance->intake, positions, n), 0);
}

static bool at_end(const struct shard *shard)
{
    for (uint32_t topic = 0; topic < shard->n_topics; topic++) {
        if (!shard->at_end[topic])
            return false;
    }
    return true;
}

/* Reads as a worker does, until all topics are read up to `next` of the first one; or an outcome.
 */
static int read_until(struct instance *instance, int64_t next)
{
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    rd_kafka_message_t *messages[AT_ONCE];
    struct shard *shard = instance->shard;
    int r = 0;

    while (r == 0 && (shard->positions[0].next < next || !at_end(shard))) {
        size_t n;

        assert_true(clock_monotonic_us() < deadline);
        intake_poll(instance->intake);
        n = intake_take(instance->intake, 0, 20, messages, AT_ONCE);
        event_decoder_reset(instance->decoder);
        for (size_t i = 0; i < n && r == 0; i++)
            r = shard_take(shard, instance->intake, instance->decoder, messages[i]);
        assert_int_equal(shard_flush(shard, instance->intake), 0);
        for (size_t i = 0; i < n; i++)
            rd_kafka_message_destroy(messages[i]);
    }
    return r;
}

static void open_and_read(struct instance *instance, int64_t next)
{
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assign(instance);
    assert_int_equal(read_until(instance, next), 0);
}

static void checkpoint(struct instance *instance)
{
    struct mailbox_item *item;

    assert_int_equal(shard_checkpoint(instance->shard, instance->thread, instance->commits, 1), 0);
    assert_int_equal(mailbox_wait(instance->commits, WAIT_US), 0);
    item = mailbox_take_all(instance->commits);
    assert_non_null(item);
    assert_true(
        shard_committed(instance->shard,
                        (struct shard_commit *)((char *)item - offsetof(struct shard_commit, item)),
                        clock_monotonic_us()));
}

static struct kpi_engine_stats stats(const struct instance *instance)
{
    struct kpi_engine_stats result;

    kpi_engine_stats(instance->shard->engine, &result);
    return result;
}

static void produce(struct mock_kafka *kafka, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        mock_kafka_event(kafka, MOCK_EVENTS, 0, i, 0);
}

static kpi_time counts_from(const struct instance *instance)
{
    struct kpi_layout *layout;
    struct summary *summary;
    kpi_time from;

    assert_int_equal(kpi_layout_new(&layout, instance->config->plan, clock_now_us(), &memory_kpi),
                     0);
    summary = shard_summarize(instance->shard, layout, clock_now_us(), 0);
    assert_non_null(summary);
    from = summary->counts_from;
    (void)summary_free(summary);
    (void)kpi_layout_unref(layout);
    return from;
}

#define ONE_TOPIC  "  topics: [" MOCK_EVENTS "]\n"
#define TWO_TOPICS "  topics: [" MOCK_EVENTS ", " MOCK_MORE "]\n"

static int set_up(void **state)
{
    *state = mock_kafka_new();
    redis_server_do(server, "FLUSHALL");
    return 0;
}

static int tear_down(void **state)
{
    (void)mock_kafka_free(*state);
    return 0;
}

/* ---- the first start ---- */

static void test_begins_at_the_beginning(void **state)
{
    struct instance *instance;

    produce(*state, 0, 5);
    instance = instance_new(*state, ONE_TOPIC "  start: beginning\n", false);
    open_and_read(instance, 5);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
}

static void test_begins_at_the_end(void **state)
{
    struct instance *instance;

    produce(*state, 0, 5);
    instance = instance_new(*state, ONE_TOPIC "  start: end\n", false);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    produce(*state, 5, 7);
    assign(instance);
    assert_int_equal(read_until(instance, 7), 0);
    assert_int_equal(stats(instance).n_applied, 2);
    instance_free(instance);
}

static void test_begins_at_a_time(void **state)
{
    static const int64_t noon = 1767268800000; /* 2026-01-01T12:00:00Z */
    struct instance *instance;
    int64_t offset = -1;

    for (unsigned i = 0; i < 6; i++)
        mock_kafka_event(*state, MOCK_EVENTS, 0, i, noon + i * 1000);
    instance = instance_new(*state, ONE_TOPIC "  start: 2026-01-01T12:00:03Z\n", false);
    /* The mock cluster answers a question for a time with the end. */
    assert_int_equal(intake_start(instance->intake, 0, 0, false, &offset), 0);
    assert_true(offset == 3 || offset == 6);
    instance_free(instance);
}

static void test_begins_again_with_all_there_is(void **state)
{
    struct instance *instance;
    int64_t offset = -1;

    produce(*state, 0, 5);
    instance = instance_new(*state, ONE_TOPIC "  start: end\n", false);
    assert_int_equal(intake_start(instance->intake, 0, 0, false, &offset), 0);
    assert_int_equal(offset, 5);
    assert_int_equal(intake_start(instance->intake, 0, 0, true, &offset), 0);
    assert_int_equal(offset, 0);
    instance_free(instance);
}

/* ---- caught up ---- */

/* Records of 2020 are not young: only the log's end makes it caught up. */
static void test_caught_up_at_the_end_of_all_topics(void **state)
{
    static const int64_t then = 1577880000000;
    struct instance *instance;

    for (unsigned i = 0; i < 3; i++) {
        mock_kafka_event(*state, MOCK_EVENTS, 0, i, then);
        mock_kafka_event(*state, MOCK_MORE, 0, i, then);
    }
    instance = instance_new(*state, TWO_TOPICS, false);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assert_false(shard_caught_up(instance->shard, clock_now_us()));
    assign(instance);
    assert_int_equal(read_until(instance, 3), 0);
    assert_int_equal(stats(instance).n_applied, 6);
    assert_true(shard_caught_up(instance->shard, clock_now_us()));
    instance_free(instance);
}

/* The young record of one topic says nothing of the other, which is years behind. */
static void test_a_topic_behind_is_not_caught_up(void **state)
{
    struct instance *instance;
    kpi_time now = clock_now_us();

    instance = instance_new(*state, TWO_TOPICS, false);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    instance->shard->positions[0].last = 9;
    instance->shard->positions[0].last_timestamp = now / KPI_MILLISECOND;
    instance->shard->positions[1].last = 9;
    instance->shard->positions[1].last_timestamp = 1577880000000;
    assert_false(shard_caught_up(instance->shard, now));
    instance->shard->positions[1].last_timestamp = now / KPI_MILLISECOND;
    assert_true(shard_caught_up(instance->shard, now));
    instance_free(instance);
}

static void test_a_reopened_shard_is_not_caught_up_from_before(void **state)
{
    struct instance *instance;

    for (unsigned i = 0; i < 3; i++)
        mock_kafka_event(*state, MOCK_EVENTS, 0, i, 1577880000000);
    instance = instance_new(*state, ONE_TOPIC, false);
    open_and_read(instance, 3);
    assert_true(shard_caught_up(instance->shard, clock_now_us()));
    intake_unassign(instance->intake);
    mock_kafka_event(*state, MOCK_EVENTS, 0, 3, 1577880000000);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assert_false(shard_caught_up(instance->shard, clock_now_us()));
    assign(instance);
    assert_int_equal(read_until(instance, 4), 0);
    assert_int_equal(stats(instance).n_applied, 4);
    assert_int_equal(stats(instance).n_duplicates, 0);
    instance_free(instance);
}

/* ---- from a checkpoint ---- */

static void test_goes_on_from_a_checkpoint(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, true);
    uint64_t epoch;

    produce(*state, 0, 5);
    open_and_read(instance, 5);
    epoch = instance->shard->epoch;
    checkpoint(instance);
    produce(*state, 5, 8); /* read, and lost with the instance */
    assert_int_equal(read_until(instance, 8), 0);
    instance_free(instance);

    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assert_int_equal(instance->shard->epoch, epoch + 1);
    assert_int_equal(instance->shard->assign_at[0], 4); /* the last record known, to be verified */
    assert_int_equal(stats(instance).n_applied, 5);
    assign(instance);
    assert_int_equal(read_until(instance, 8), 0);
    assert_int_equal(stats(instance).n_applied, 8);
    assert_int_equal(stats(instance).n_duplicates, 0);
    instance_free(instance);
}

static void test_goes_on_with_what_is_in_memory(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, true);
    const struct kpi_engine *engine;

    produce(*state, 0, 5);
    open_and_read(instance, 5);
    checkpoint(instance);
    intake_unassign(instance->intake);
    engine = instance->shard->engine;
    open_and_read(instance, 5);
    assert_ptr_equal(instance->shard->engine, engine);
    assert_int_equal(stats(instance).n_applied, 5);
    /* Something not saved makes it stale: another could have owned it. */
    produce(*state, 5, 6);
    assert_int_equal(read_until(instance, 6), 0);
    intake_unassign(instance->intake);
    open_and_read(instance, 6);
    assert_int_equal(stats(instance).n_applied, 6);
    assert_int_equal(stats(instance).n_duplicates, 0);
    instance_free(instance);
}

static void save_five(struct mock_kafka *kafka)
{
    struct instance *instance = instance_new(kafka, ONE_TOPIC, true);

    produce(kafka, 0, 5);
    open_and_read(instance, 5);
    checkpoint(instance);
    instance_free(instance);
}

/* ---- another log ---- */

static void test_a_shorter_log_is_a_loss(void **state)
{
    struct mock_kafka *fresh = mock_kafka_new();
    struct instance *instance;

    save_five(*state);
    produce(fresh, 100, 103);
    instance = instance_new(fresh, ONE_TOPIC, true);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), SHARD_E_LOSS);
    /* Rebuilt, it has what the log has. */
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, true), 0);
    assign(instance);
    assert_int_equal(read_until(instance, 3), 0);
    assert_int_equal(stats(instance).n_applied, 3);
    checkpoint(instance);
    instance_free(instance);
    instance = instance_new(fresh, ONE_TOPIC, true);
    open_and_read(instance, 3);
    assert_int_equal(stats(instance).n_applied, 3);
    instance_free(instance);
    (void)mock_kafka_free(fresh);
}

static void test_a_longer_log_made_anew_is_a_loss(void **state)
{
    struct mock_kafka *fresh = mock_kafka_new();
    struct instance *instance;

    save_five(*state);
    produce(fresh, 100, 109);
    instance = instance_new(fresh, ONE_TOPIC, true);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assign(instance);
    assert_int_equal(read_until(instance, 9), SHARD_E_LOSS);
    assert_int_equal(stats(instance).n_applied, 5); /* nothing of it was counted */
    instance_free(instance);
    (void)mock_kafka_free(fresh);
}

/* Old records go when a partition holds more than 5 MiB. Not events: larger than 64 KiB. */
static void push_out(struct mock_kafka *kafka)
{
    char *large = calloc(1, 100000);

    assert_non_null(large);
    for (unsigned i = 0; i < 80; i++)
        mock_kafka_produce(kafka, MOCK_EVENTS, 0, large, 100000, 0);
    free(large);
}

static void test_records_gone_unread_leave_a_gap(void **state)
{
    struct instance *instance;
    kpi_time now, from;
    int64_t low, high;

    save_five(*state);
    push_out(*state);
    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(intake_bounds(instance->intake, 0, 0, &low, &high), 0);
    assert_true(low > 5);
    assert_int_equal(high, 85);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_HALT, false), SHARD_E_LOSS);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    assert_int_equal(instance->shard->assign_at[0], low);
    assert_int_equal(stats(instance).n_applied, 5);
    /* Nothing has come behind the gap yet: numbers are whole from now at the earliest. */
    now = clock_now_us();
    assert_true(counts_from(instance) >= now);
    assign(instance);
    assert_int_equal(read_until(instance, 85), 0);
    from = counts_from(instance);
    assert_true(from > now - KPI_HOUR && from <= now);
    checkpoint(instance);
    instance_free(instance);

    instance = instance_new(*state, ONE_TOPIC, true);
    open_and_read(instance, 85);
    assert_true(counts_from(instance) == from);
    instance_free(instance);
}

/* Reading on while retention passes by: not a loss of what was counted. */
static void test_out_of_range_is_to_be_looked_at_again(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, true);

    produce(*state, 0, 5);
    open_and_read(instance, 5);
    intake_unassign(instance->intake);
    push_out(*state);
    instance->shard->assign_at[0] = 5;
    instance->shard->at_end[0] = false;
    assign(instance);
    assert_int_equal(read_until(instance, 85), SHARD_E_RANGE);
    checkpoint(instance);
    intake_unassign(instance->intake);
    open_and_read(instance, 85);
    assert_int_equal(stats(instance).n_applied, 5);
    assert_true(instance->shard->positions[0].counts_from != KPI_TIME_NONE);
    instance_free(instance);
}

/* A loss that was stored before a record came behind it is still known after a restart. */
static void test_a_loss_is_not_forgotten(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, true);

    produce(*state, 0, 5);
    open_and_read(instance, 5);
    instance->shard->positions[0].counts_from = SHARD_COUNTS_FROM_NEXT;
    checkpoint(instance);
    instance_free(instance);
    instance = instance_new(*state, ONE_TOPIC, true);
    open_and_read(instance, 5);
    assert_int_equal(instance->shard->positions[0].counts_from, SHARD_COUNTS_FROM_NEXT);
    produce(*state, 5, 6);
    assert_int_equal(read_until(instance, 6), 0);
    assert_true(instance->shard->positions[0].counts_from < SHARD_COUNTS_FROM_NEXT);
    instance_free(instance);
}

/* Only a record of the topic that lost some ends the search. */
static void test_a_loss_is_of_its_topic(void **state)
{
    struct instance *instance = instance_new(*state, TWO_TOPICS, true);

    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    instance->shard->positions[1].counts_from = SHARD_COUNTS_FROM_NEXT;
    produce(*state, 0, 5);
    assign(instance);
    assert_int_equal(read_until(instance, 5), 0);
    assert_int_equal(instance->shard->positions[0].counts_from, KPI_TIME_NONE);
    assert_int_equal(instance->shard->positions[1].counts_from, SHARD_COUNTS_FROM_NEXT);
    instance_free(instance);
}

static void test_a_wiped_store_is_rebuilt(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC "  start: end\n", true);
    int64_t next = 5;
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    uint64_t epoch = 0;
    bool exists = false;

    produce(*state, 0, 5);
    intake_commit(instance->intake,
                  &(struct intake_witness){.epoch = 7, .generation = 3, .next = &next}, 1);
    while (!exists) {
        assert_true(clock_monotonic_us() < deadline);
        intake_poll(instance->intake);
        assert_int_equal(intake_witness(instance->intake, 0, &epoch, &exists), 0);
    }
    assert_int_equal(epoch, 7);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_HALT, false), SHARD_E_LOSS);
    open_and_read(instance, 5);
    assert_true(instance->shard->epoch > 7);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
}

/* ---- requests that fail ---- */

static void fail_requests(struct mock_kafka *kafka, int16_t key)
{
    rd_kafka_mock_push_request_errors(
        kafka->cluster, key, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
}

static void test_failed_fetches_lose_and_double_nothing(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, false);

    produce(*state, 0, 50);
    assert_int_equal(open_shard(instance, CONFIG_ON_LOSS_REBUILD, false), 0);
    fail_requests(*state, 1);
    assign(instance);
    assert_int_equal(read_until(instance, 50), 0);
    fail_requests(*state, 1);
    produce(*state, 50, 100);
    assert_int_equal(read_until(instance, 100), 0);
    assert_int_equal(stats(instance).n_applied, 100);
    assert_int_equal(stats(instance).n_duplicates, 0);
    instance_free(instance);
}

/* An open that fails is tried again, as the group does, and ends with the same. */
static void test_failed_questions_are_asked_again(void **state)
{
    static const int16_t keys[] = {2, 9, 10}; /* ListOffsets, OffsetFetch, FindCoordinator */

    save_five(*state);
    produce(*state, 5, 8);
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct instance *instance = instance_new(*state, ONE_TOPIC, true);
        int64_t deadline = clock_monotonic_us() + WAIT_US;
        int r;

        fail_requests(*state, keys[i]);
        while ((r = open_shard(instance, CONFIG_ON_LOSS_REBUILD, false)) != 0) {
            assert_int_equal(r, SHARD_E_KAFKA);
            assert_true(clock_monotonic_us() < deadline);
        }
        assign(instance);
        assert_int_equal(read_until(instance, 8), 0);
        assert_int_equal(stats(instance).n_applied, 8);
        assert_int_equal(stats(instance).n_duplicates, 0);
        instance_free(instance);
    }
}

/* ---- what is no event ---- */

static void test_tombstones_are_passed(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, true);

    produce(*state, 0, 2);
    mock_kafka_produce(*state, MOCK_EVENTS, 0, NULL, 0, 0);
    open_and_read(instance, 3);
    assert_int_equal(stats(instance).n_applied, 2);
    checkpoint(instance);
    instance_free(instance);
    instance = instance_new(*state, ONE_TOPIC, true); /* and verified as the last record */
    produce(*state, 2, 3);
    open_and_read(instance, 4);
    assert_int_equal(stats(instance).n_applied, 3);
    instance_free(instance);
}

/* ---- state that was made anew waits beside ---- */

enum {
    FOLD = 77,
};

/* Three records, staged; then five, read and saved. */
static void stage_three_and_save_five(struct mock_kafka *kafka)
{
    struct instance *beside = instance_new(kafka, ONE_TOPIC, false);
    struct instance *live = instance_new(kafka, ONE_TOPIC, true);

    produce(kafka, 0, 3);
    open_and_read(beside, 3);
    assert_int_equal(shard_stage(beside->shard, live->store, FOLD), 0);
    assert_int_equal(store_staged_announce(live->store, FOLD), 0);
    produce(kafka, 3, 5);
    open_and_read(live, 5);
    checkpoint(live);
    instance_free(beside);
    instance_free(live);
}

static int open_with(struct instance *instance, uint64_t fold)
{
    return shard_open(instance->shard, instance->store,
                      &(struct shard_open_options){.intake = instance->intake,
                                                   .plan = instance->config->plan,
                                                   .on_loss = CONFIG_ON_LOSS_HALT,
                                                   .fold = fold});
}

static uint64_t staged_claim(struct instance *instance)
{
    uint64_t claim = 0;

    assert_int_equal(store_staged_claim(instance->store, 0, &claim), 0);
    return claim;
}

static void test_staged_state_is_taken_over_for_good(void **state)
{
    struct instance *instance;

    stage_three_and_save_five(*state);
    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(open_with(instance, FOLD), 0);
    assert_int_equal(instance->shard->positions[0].next, 3);
    assert_int_equal(stats(instance).n_applied, 3);
    assert_int_equal(instance->shard->staged_claim, staged_claim(instance));
    /* Its last record is young, but five were shown. */
    assert_false(shard_caught_up(instance->shard, clock_now_us()));
    assign(instance);
    assert_int_equal(read_until(instance, 5), 0);
    instance->shard->at_end[0] = false;
    assert_true(shard_caught_up(instance->shard, clock_now_us()));
    checkpoint(instance);
    assert_int_equal(staged_claim(instance), 0);
    instance_free(instance);
    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(open_with(instance, FOLD), 0);
    assert_int_equal(instance->shard->positions[0].next, 5);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
}

static void test_staged_state_is_taken_over_again_after_a_crash(void **state)
{
    struct instance *instance;

    stage_three_and_save_five(*state);
    for (int i = 0; i < 2; i++) {
        instance = instance_new(*state, ONE_TOPIC, true);
        assert_int_equal(open_with(instance, FOLD), 0);
        assert_int_equal(stats(instance).n_applied, 3);
        instance_free(instance);
    }
    /* The old state was there all the time. */
    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(open_with(instance, FOLD + 1), 0);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
}

static void test_staged_state_is_nothing_before_it_is_announced(void **state)
{
    struct instance *instance;

    stage_three_and_save_five(*state);
    instance = instance_new(*state, ONE_TOPIC, true);
    assert_int_equal(store_staged_withdraw(instance->store), 0);
    assert_int_equal(open_with(instance, FOLD), 0);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
}

static void test_damaged_staged_state_is_passed_over(void **state)
{
    struct instance *instance;

    stage_three_and_save_five(*state);
    instance = instance_new(*state, ONE_TOPIC, true);
    redis_server_do(server, "HSET kpid:staged:{test/0}:m o:m 9.0123456789abcdef");
    assert_int_equal(open_with(instance, FOLD), 0);
    assert_int_equal(stats(instance).n_applied, 5);
    assert_int_equal(staged_claim(instance), 0);
    instance_free(instance);
}

static void test_a_plan_may_change_between(void **state)
{
    struct instance *instance = instance_new(*state, ONE_TOPIC, false);
    struct config *other = mock_kafka_config(*state, ONE_TOPIC, "");

    produce(*state, 0, 5);
    open_and_read(instance, 5);
    assert_int_equal(shard_replan(instance->shard, other->plan), 0);
    assert_ptr_equal(instance->shard->plan, other->plan);
    assert_int_equal(stats(instance).n_applied, 5);
    instance_free(instance);
    (void)config_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begins_at_the_beginning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_begins_at_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_begins_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_begins_again_with_all_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_caught_up_at_the_end_of_all_topics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_topic_behind_is_not_caught_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reopened_shard_is_not_caught_up_from_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_goes_on_from_a_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_goes_on_with_what_is_in_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_shorter_log_is_a_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_longer_log_made_anew_is_a_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_gone_unread_leave_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_range_is_to_be_looked_at_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_loss_is_not_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_loss_is_of_its_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wiped_store_is_rebuilt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_fetches_lose_and_double_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_failed_questions_are_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tombstones_are_passed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_staged_state_is_taken_over_for_good, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_staged_state_is_taken_over_again_after_a_crash, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_staged_state_is_nothing_before_it_is_announced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_staged_state_is_passed_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_plan_may_change_between, set_up, tear_down),
    };
    int n_failed;

    if (!redis_server_available())
        return 77;
    server = redis_server_new(NULL);
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    server = redis_server_free(server);
    return n_failed;
}
