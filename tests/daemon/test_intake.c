/*
 * The consumer over librdkafka's mock cluster: what it refuses to work with, that it joins and
 * leaves the group by the callbacks, the witness, and dead letters with their headers.
 */
#include "intake/intake.h"

#include "../support/mock_kafka.h"
#include "util/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    WAIT_US = 20000000
};

struct told {
    uint32_t shards[8];
    uint32_t n_shards;
    unsigned n_assigned, n_revoked;
    bool lost;
};

static void on_assigned(void *userdata, const uint32_t *shards, uint32_t n_shards)
{
    struct told *told = userdata;

    assert_true(n_shards <= 8);
    memcpy(told->shards, shards, n_shards * sizeof(*shards));
    told->n_shards = n_shards;
    told->n_assigned++;
}

static void on_revoked(void *userdata, bool lost)
{
    struct told *told = userdata;

    told->n_revoked++;
    told->lost = lost;
}

static struct intake *make(struct mock_kafka *kafka, const char *settings, struct told *told)
{
    struct config *config = mock_kafka_config(kafka, settings, "");
    struct intake *intake;

    memset(told, 0, sizeof(*told));
    assert_int_equal(intake_new(&intake, &(struct intake_options){.config = config,
                                                                  .n_workers = 2,
                                                                  .assigned = on_assigned,
                                                                  .revoked = on_revoked,
                                                                  .userdata = told}),
                     0);
    (void)config_free(config); /* all is copied */
    return intake;
}

/* One turn of the loop: waits for the descriptor, as the daemon does. */
static void turn(struct intake *intake, int64_t deadline)
{
    struct pollfd fd = {.fd = intake_fd(intake), .events = POLLIN};

    assert_true(clock_monotonic_us() < deadline);
    (void)poll(&fd, 1, 100);
    intake_poll(intake);
}

static int set_up(void **state)
{
    *state = mock_kafka_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)mock_kafka_free(*state);
    return 0;
}

#define EVENTS "  topics: [" MOCK_EVENTS "]\n"

static void check_refused(struct mock_kafka *kafka, const char *settings, const char *words)
{
    struct told told;
    struct intake *intake = make(kafka, settings, &told);
    uint32_t n_shards = 99;

    assert_int_equal(intake_check(intake, &n_shards), INTAKE_E_REFUSED);
    assert_non_null(strstr(intake_error(intake), words));
    assert_int_equal(n_shards, 99);
    (void)intake_free(intake);
}

static void test_unequal_counts_are_refused(void **state)
{
    check_refused(*state, "  topics: [" MOCK_EVENTS ", " MOCK_ODD "]\n", "equal counts");
}

static void test_nobody_answers(void **state)
{
    struct told told;
    struct intake *intake = make(*state, EVENTS, &told);
    uint32_t n_shards;

    assert_int_equal(rd_kafka_mock_broker_set_down(((struct mock_kafka *)*state)->cluster, 1), 0);
    assert_int_equal(intake_check(intake, &n_shards), INTAKE_E_AWAY);
    assert_true(strlen(intake_error(intake)) > 0);
    (void)intake_free(intake);
}

static void test_partitions_are_counted(void **state)
{
    struct told told;
    struct intake *intake = make(*state,
                                 "  topics: [" MOCK_EVENTS ", " MOCK_MORE "]\n"
                                 "  dead_letter_topic: " MOCK_REFUSED "\n",
                                 &told);
    struct intake_stats stats;
    uint32_t n_shards;

    assert_int_equal(intake_check(intake, &n_shards), 0);
    assert_int_equal(n_shards, 2);
    assert_int_equal(intake_n_topics(intake), 2);
    assert_string_equal(intake_topic(intake, 1), MOCK_MORE);
    intake_stats(intake, &stats);
    assert_true(stats.connected);
    (void)intake_free(intake);
}

static struct intake *join(struct mock_kafka *kafka, struct told *told)
{
    struct intake *intake = make(kafka, EVENTS, told);
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    uint32_t n_shards;

    assert_int_equal(intake_check(intake, &n_shards), 0);
    assert_int_equal(intake_subscribe(intake), 0);
    while (told->n_assigned == 0)
        turn(intake, deadline);
    assert_int_equal(told->n_shards, 2);
    return intake;
}

/* The answer to an assignment comes when the shards are loaded; records flow from then on, to the
 * queue of the worker that owns the shard. */
static void test_assigned_late(void **state)
{
    static const struct intake_position positions[] = {{.shard = 0, .offset = 1},
                                                       {.shard = 1, .offset = 0}};
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    int64_t expected[] = {1, 0};
    struct intake *intake;
    struct told told;

    for (unsigned i = 0; i < 3; i++) {
        mock_kafka_event(*state, MOCK_EVENTS, 0, i, 0);
        mock_kafka_event(*state, MOCK_EVENTS, 1, i, 0);
    }
    intake = join(*state, &told);
    for (unsigned i = 0; i < 5; i++)
        turn(intake, deadline);
    assert_int_equal(intake_assign(intake, positions, 2), 0);
    while (expected[0] < 3 || expected[1] < 3) {
        turn(intake, deadline);
        for (unsigned worker = 0; worker < 2; worker++) {
            rd_kafka_message_t *messages[8];
            size_t n = intake_take(intake, worker, 0, messages, 8);

            for (size_t i = 0; i < n; i++) {
                if (!messages[i]->err) {
                    assert_int_equal(messages[i]->partition, worker);
                    assert_int_equal(messages[i]->offset, expected[worker]++);
                    assert_int_equal(intake_message_topic(intake, messages[i]), 0);
                }
                rd_kafka_message_destroy(messages[i]);
            }
        }
    }
    assert_int_equal(told.n_revoked, 0);
    (void)intake_free(intake);
}

/* Whoever would be told is half gone by then. */
static void test_leaving_tells_nobody(void **state)
{
    static const struct intake_position position = {.shard = 0, .offset = 0};
    struct intake *intake;
    struct told told;

    intake = join(*state, &told);
    assert_int_equal(intake_assign(intake, &position, 1), 0);
    (void)intake_free(intake);
    assert_int_equal(told.n_revoked, 0);
}

static void test_what_a_queue_held_is_of_the_past(void **state)
{
    static const struct intake_position first = {.shard = 0, .offset = 0};
    static const struct intake_position again = {.shard = 0, .offset = 4};
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    rd_kafka_message_t *message = NULL;
    struct intake *intake;
    struct told told;

    for (unsigned i = 0; i < 5; i++)
        mock_kafka_event(*state, MOCK_EVENTS, 0, i, 0);
    intake = join(*state, &told);
    assert_int_equal(intake_assign(intake, &first, 1), 0);
    while (intake_take(intake, 0, 100, &message, 1) == 0)
        turn(intake, deadline);
    assert_int_equal(message->offset, 0);
    rd_kafka_message_destroy(message);
    intake_unassign(intake); /* four more are in the queue */
    intake_drain(intake, 0);
    assert_int_equal(intake_assign(intake, &again, 1), 0);
    while (intake_take(intake, 0, 100, &message, 1) == 0)
        turn(intake, deadline);
    assert_int_equal(message->offset, 4);
    rd_kafka_message_destroy(message);
    (void)intake_free(intake);
}

static void test_no_witness_at_first(void **state)
{
    struct told told;
    struct intake *intake = make(*state, EVENTS, &told);
    uint64_t epoch = 9;
    bool exists = true;

    assert_int_equal(intake_witness(intake, 0, &epoch, &exists), 0);
    assert_false(exists);
    assert_int_equal(epoch, 0);
    (void)intake_free(intake);
}

static void test_a_witness_is_remembered(void **state)
{
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    const int64_t next = 17;
    struct intake *intake;
    uint64_t epoch = 0;
    bool exists = false;
    struct told told;

    intake = join(*state, &told);
    intake_commit(intake,
                  &(struct intake_witness){.shard = 1, .epoch = 5, .generation = 2, .next = &next},
                  1);
    while (!exists) {
        turn(intake, deadline);
        assert_int_equal(intake_witness(intake, 1, &epoch, &exists), 0);
    }
    assert_int_equal(epoch, 5);
    assert_int_equal(intake_witness(intake, 0, &epoch, &exists), 0);
    assert_false(exists);
    (void)intake_free(intake);
}

static void check_header(const rd_kafka_message_t *message, const char *name, const char *value)
{
    rd_kafka_headers_t *headers;
    const void *bytes;
    size_t size;

    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    assert_int_equal(rd_kafka_header_get_last(headers, name, &bytes, &size), 0);
    assert_int_equal(size, strlen(value));
    assert_memory_equal(bytes, value, size);
}

static void test_dead_letters_say_where_they_are_from(void **state)
{
    static const struct intake_position position = {.shard = 1, .offset = 1};
    static const char bytes[] = "{\"a\":\0}";
    int64_t deadline = clock_monotonic_us() + WAIT_US;
    rd_kafka_message_t *message = NULL, *letter;
    _Atomic int64_t n_pending = 0;
    struct intake_stats stats;
    struct intake *intake;
    rd_kafka_t *consumer;
    uint32_t n_shards;
    struct told told;

    mock_kafka_event(*state, MOCK_EVENTS, 1, 0, 0);
    mock_kafka_produce(*state, MOCK_EVENTS, 1, bytes, sizeof(bytes) - 1, 0);
    intake = make(*state, EVENTS "  dead_letter_topic: " MOCK_REFUSED "\n", &told);
    assert_int_equal(intake_check(intake, &n_shards), 0);
    assert_int_equal(intake_assign(intake, &position, 1), 0);
    while (intake_take(intake, 1, 100, &message, 1) == 0)
        turn(intake, deadline);
    intake_dead_letter(intake, message, "json", &n_pending);
    assert_true(atomic_load(&n_pending) <= 1);
    rd_kafka_message_destroy(message);
    while (atomic_load(&n_pending) > 0)
        turn(intake, deadline);
    intake_stats(intake, &stats);
    assert_int_equal(stats.n_dead_letters, 1);
    assert_int_equal(stats.n_dead_letters_failed, 0);

    letter = mock_kafka_first(*state, MOCK_REFUSED, &consumer);
    assert_non_null(letter);
    assert_int_equal(letter->err, 0);
    assert_int_equal(letter->len, sizeof(bytes) - 1);
    assert_memory_equal(letter->payload, bytes, letter->len);
    assert_int_equal(letter->key_len, 3);
    check_header(letter, "kpid_reason", "json");
    check_header(letter, "kpid_topic", MOCK_EVENTS);
    check_header(letter, "kpid_partition", "1");
    check_header(letter, "kpid_offset", "1");
    rd_kafka_message_destroy(letter);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    (void)intake_free(intake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unequal_counts_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partitions_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_assigned_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaving_tells_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_queue_held_is_of_the_past, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_witness_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_witness_is_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dead_letters_say_where_they_are_from, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
