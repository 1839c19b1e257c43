/*
 * The leader over a view of one shard: it says once what is so, and targets for one KPI at
 * different times are one alert. Windows are judged once they are over. A target that is removed
 * ends its alert, once, with all that is known. The store, where there is one, is a list of fields.
 */
#include "server_internal.h"

#include "../support/decoder_key.h"
#include "../support/mock_kafka.h"
#include "codec/event_json.h"
#include "util/clock.h"
#include "util/memory.h"

#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One KPI of the catalogue: each costs time, of ten years of days. */
#define UNHEARD                                                                                    \
    "  topics: [" MOCK_EVENTS "]\n"                                                                \
    "catalogue: [participation_rate]\n"                                                            \
    "kpis: {hourly: {formula: participants / reached, grains: [hour], rolling: [24h]}}\n"
#define SETTINGS                                                                                   \
    UNHEARD "receivers: [{name: on-call, type: webhook, url: \"http://127.0.0.1:9\"}]\n"
#define TARGET "{kpi: participation_rate, value: 65%, for: 0s}"

/* What is in the store. */
static struct {
    struct store_field fields[16];
    uint32_t n;
    int outcome; /* of what is put */
} stored;

static void stored_remove(const char *name)
{
    for (uint32_t i = 0; i < stored.n; i++) {
        if (strcmp(stored.fields[i].name, name) != 0)
            continue;
        free((void *)stored.fields[i].bytes);
        stored.fields[i--] = stored.fields[--stored.n];
    }
}

static void stored_put(const struct store_field *field)
{
    void *bytes = malloc(field->size);

    assert_non_null(bytes);
    memcpy(bytes, field->bytes, field->size);
    stored_remove(field->name);
    assert_true(stored.n < sizeof(stored.fields) / sizeof(stored.fields[0]));
    stored.fields[stored.n] = *field;
    stored.fields[stored.n++].bytes = bytes;
}

static void stored_clear(void)
{
    while (stored.n > 0)
        stored_remove(stored.fields[0].name);
    stored.outcome = 0;
}

int __wrap_store_get_fields(struct store *store, store_field_fn fn, void *userdata);
int __wrap_store_get_fields(struct store *store, store_field_fn fn, void *userdata)
{
    for (uint32_t i = 0; i < stored.n; i++)
        assert_int_equal(fn(userdata, &stored.fields[i]), 0);
    return 0;
}

int __wrap_store_put_fields(struct store *store, uint64_t epoch, const struct store_field *fields,
                            uint32_t n_fields);
int __wrap_store_put_fields(struct store *store, uint64_t epoch, const struct store_field *fields,
                            uint32_t n_fields)
{
    for (uint32_t i = 0; i < n_fields && stored.outcome == 0; i++) {
        if (fields[i].size > 0)
            stored_put(&fields[i]);
        else
            stored_remove(fields[i].name);
    }
    return stored.outcome;
}

void __wrap_server_submit(struct server *server, struct server_job *job,
                          enum store_priority priority,
                          int (*run)(struct store_job *job, struct store *store),
                          void (*finish)(struct server_job *job));
void __wrap_server_submit(struct server *server, struct server_job *job,
                          enum store_priority priority,
                          int (*run)(struct store_job *job, struct store *store),
                          void (*finish)(struct server_job *job))
{
    job->server = server;
    job->job.outcome = run(&job->job, NULL);
    finish(job);
}

static void on_assigned(void *userdata, const uint32_t *shards, uint32_t n_shards)
{
}

static void on_revoked(void *userdata, bool lost)
{
}

static void on_merge(evutil_socket_t fd, short what, void *userdata)
{
}

/* A server of one open shard whose engine the test has. */
struct fixture {
    struct server server;
    struct shard *shards[1];
    struct summary *summaries[1];
    struct mock_kafka *kafka;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    struct event_decoder *decoder;
    unsigned n_events;
};

static void start_sink(struct fixture *fixture)
{
    /* Nobody listens there: what is sent stays queued, to be counted. */
    static const struct sink_receiver receiver = {.name = "on-call", .url = "http://127.0.0.1:9"};
    const char *error;

    assert_int_equal(sink_new(&fixture->server.sink,
                              &(struct sink_options){.base = fixture->server.base,
                                                     .receivers = &receiver,
                                                     .n_receivers = 1,
                                                     .user_agent = "kpid/test",
                                                     .done = leader_delivered,
                                                     .userdata = &fixture->server},
                              &error),
                     0);
}

static struct fixture *fixture_new(const char *targets)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct server *server = &fixture->server;

    assert_non_null(fixture);
    fixture->kafka = mock_kafka_new();
    server->config = mock_kafka_config(fixture->kafka, SETTINGS, targets);
    server->group_name = (char *)"test";
    server->n_shards = 1;
    server->shards = fixture->shards;
    server->summaries = fixture->summaries;
    server->base = event_base_new();
    server->merge_timer = evtimer_new(server->base, on_merge, server);
    assert_int_equal(intake_new(&server->intake, &(struct intake_options){.config = server->config,
                                                                          .n_workers = 1,
                                                                          .assigned = on_assigned,
                                                                          .revoked = on_revoked}),
                     0);
    assert_int_equal(shard_new(&fixture->shards[0], 0, 1), 0);
    fixture->shards[0]->phase = SHARD_OPEN;
    assert_int_equal(leader_new(&server->leader, server), 0);
    assert_int_equal(api_new(&server->api, &(struct api_options){.base = server->base,
                                                                 .listen = "127.0.0.1:0",
                                                                 .status = &server->status}),
                     0);
    start_sink(fixture);
    assert_int_equal(kpi_engine_new(&fixture->engine, server->config->plan, &memory_kpi), 0);
    assert_int_equal(kpi_batch_new(&fixture->batch, server->config->plan, &memory_kpi), 0);
    assert_int_equal(event_decoder_new(&fixture->decoder,
                                       &(struct event_decoder_options){.plan = server->config->plan,
                                                                       .key = decoder_key,
                                                                       .currency = "CNY"}),
                     0);
    leader_gain(server->leader, 1);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    struct server *server = &fixture->server;

    (void)intake_free(server->intake);
    (void)api_free(server->api);
    (void)sink_free(server->sink);
    (void)leader_free(server->leader);
    (void)shard_free(fixture->shards[0]);
    (void)summary_free(fixture->summaries[0]);
    (void)view_unref(server->view);
    (void)kpi_layout_unref(server->layout);
    event_free(server->merge_timer);
    event_base_free(server->base);
    (void)config_free(server->config);
    (void)event_decoder_free(fixture->decoder);
    (void)kpi_batch_free(fixture->batch);
    (void)kpi_engine_free(fixture->engine);
    (void)mock_kafka_free(fixture->kafka);
    free(fixture);
}

/* n users are reached, or take part. */
static void add(struct fixture *fixture, const char *type, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct event_origin origin = {.record_time = KPI_TIME_NONE};
        char text[256];
        int size = snprintf(text, sizeof(text),
                            "{\"id\":\"%u\",\"type\":\"%s\",\"user\":\"u%u\",\"time\":%lld,"
                            "\"campaign\":\"c\"}",
                            fixture->n_events++, type, i, (long long)(clock_now_us() / 1000));

        assert_int_equal(
            event_decode(fixture->decoder, text, (size_t)size, &origin, &fixture->batch->events[0]),
            KPI_REFUSAL_NONE);
        fixture->batch->n_events = 1;
        assert_int_equal(kpi_engine_apply(fixture->engine, fixture->batch), 0);
        assert_int_equal(fixture->batch->events[0].outcome, KPI_OUTCOME_APPLIED);
    }
}

/* The shard reports, all is merged, and the leader has a look. */
static void look(struct fixture *fixture)
{
    struct server *server = &fixture->server;
    struct summary *summary;

    merge_tick(server);
    summary = summary_new(kpi_layout_n_rows(server->layout));
    assert_non_null(summary);
    assert_int_equal(kpi_engine_report(fixture->engine, server->layout, summary->rows), 0);
    summary->layout = kpi_layout_fingerprint(server->layout);
    summary->made_at = clock_now_us();
    summary->counts_from = KPI_TIME_NONE;
    summary->caught_up = true;
    kpi_engine_stats(fixture->engine, &summary->stats);
    merge_summary(server, summary);
    merge_tick(server);
    assert_true(server->view->complete);
    leader_tick(server->leader);
}

static unsigned n_sent(const struct fixture *fixture)
{
    struct sink_stats stats;

    assert_int_equal(sink_stats(fixture->server.sink, &stats, 1), 1);
    return stats.n_queued;
}

static void test_fires_once(void **state)
{
    struct fixture *fixture = fixture_new(("{kpi: participation_rate, value: 65%, for: 0s}"));
    const struct kpi_target *target = kpi_plan_target(fixture->server.config->plan, 0);
    struct kpi_alert alert;

    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    for (unsigned i = 0; i < 5; i++)
        look(fixture);
    alert = leader_alert(fixture->server.leader, target);
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    assert_int_equal(alert.sequence, 1);
    assert_int_equal(n_sent(fixture), 1);
    add(fixture, "participation", 650);
    for (unsigned i = 0; i < 5; i++)
        look(fixture);
    alert = leader_alert(fixture->server.leader, target);
    assert_int_equal(alert.sequence, 2);
    fixture_free(fixture);
}

/* Of hours it is the last whole one that is judged: the present one has hardly begun. */
static void test_windows_are_judged_when_they_are_over(void **state)
{
    struct fixture *fixture =
        fixture_new("{kpi: hourly, value: 50%, for: 0s, scope: hour}, "
                    "{kpi: hourly, value: 50%, for: 0s, scope: \"rolling:24h\"}");
    const struct kpi_plan *plan = fixture->server.config->plan;
    const struct view_alert *alerts;

    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    for (unsigned i = 0; i < 5; i++)
        look(fixture);
    alerts = fixture->server.view->alerts;
    assert_int_equal(fixture->server.view->n_alerts, 2);
    assert_int_equal(alerts[0].scope.end - alerts[0].scope.start, KPI_HOUR);
    assert_true(alerts[0].scope.end <= fixture->server.view->as_of);
    assert_true(alerts[0].scope.end > fixture->server.view->as_of - KPI_HOUR);
    assert_true(alerts[1].scope.end > fixture->server.view->as_of);
    assert_int_equal(alerts[1].scope.end - alerts[1].scope.start, KPI_DAY);
    assert_int_equal(alerts[1].value.numerator.value, 300);
    assert_int_equal(leader_alert(fixture->server.leader, kpi_plan_target(plan, 1)).status,
                     KPI_ALERT_FIRING);
    fixture_free(fixture);
}

/* A target that lacks what was before it was there is none to judge by: no more than such a value.
 */
static void test_a_target_that_varies_says_from_when_it_counts(void **state)
{
    const struct kpi_target target = {.varies = true};
    struct view_alert alert = {
        .target = &target,
        .value = {.state = KPI_VALUE_OK, .complete = 1, .counts_from = KPI_TIME_NONE},
        .aim = {.state = KPI_VALUE_OK, .complete = 1, .counts_from = KPI_TIME_NONE}};

    assert_true(view_observation(&alert).value.counts_from == KPI_TIME_NONE);
    alert.aim.counts_from = KPI_HOUR;
    assert_true(view_observation(&alert).value.counts_from == KPI_HOUR);
    alert.value.counts_from = KPI_DAY;
    assert_true(view_observation(&alert).value.counts_from == KPI_DAY);
}

static void test_targets_of_different_times_are_one_alert(void **state)
{
    struct fixture *fixture = fixture_new(
        ("{kpi: participation_rate, value: 20%, for: 0s, to: 2021-01-01},"
         "{kpi: participation_rate, value: 65%, for: 0s, from: 2021-01-01, to: 2029-01-01},"
         "{kpi: participation_rate, value: 90%, for: 0s, from: 2029-01-01}"));
    const struct kpi_target *target = kpi_plan_target(fixture->server.config->plan, 1);
    struct kpi_alert alert;

    assert_int_equal(kpi_plan_n_targets(fixture->server.config->plan), 3);
    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    for (unsigned i = 0; i < 5; i++)
        look(fixture);
    alert = leader_alert(fixture->server.leader, target);
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    assert_int_equal(alert.sequence, 1);
    assert_int_equal(n_sent(fixture), 1);
    assert_int_equal(fixture->server.view->n_alerts, 1);
    assert_ptr_equal(fixture->server.view->alerts[0].target, target);
    fixture_free(fixture);
}

static void test_who_is_not_leader_says_nothing(void **state)
{
    struct fixture *fixture = fixture_new(("{kpi: participation_rate, value: 65%, for: 0s}"));

    leader_lose(fixture->server.leader);
    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    for (unsigned i = 0; i < 3; i++)
        look(fixture);
    assert_int_equal(n_sent(fixture), 0);
    assert_false(leader_active(fixture->server.leader));
    fixture_free(fixture);
}

/* A grown topic has records that nobody reads: nothing may be concluded. */
static void test_incomplete_fires_nothing(void **state)
{
    struct fixture *fixture = fixture_new(("{kpi: participation_rate, value: 65%, for: 0s}"));

    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    merge_tick(&fixture->server);
    fixture->server.grown = true;
    merge_tick(&fixture->server);
    for (unsigned i = 0; i < 3; i++)
        leader_tick(fixture->server.leader);
    assert_false(fixture->server.view->complete);
    assert_int_equal(n_sent(fixture), 0);
    fixture_free(fixture);
}

/* With a store, and an alert that fires. */
static struct fixture *fixture_firing(void)
{
    static int store;
    struct fixture *fixture = fixture_new(TARGET);

    stored_clear();
    fixture->server.store = (struct store_thread *)&store; /* who is asked is wrapped */
    add(fixture, "exposure", 1000);
    add(fixture, "participation", 300);
    for (unsigned i = 0; i < 3; i++)
        look(fixture);
    assert_int_equal(n_sent(fixture), 1);
    return fixture;
}

/* As SIGHUP. */
static void reload(struct fixture *fixture, const char *settings, const char *targets)
{
    struct server *server = &fixture->server;

    server->config = config_free(server->config);
    server->config = mock_kafka_config(fixture->kafka, settings, targets);
    merge_plan(server);
    merge_tick(server);
    for (unsigned i = 0; i < 3; i++)
        leader_tick(server->leader);
}

/* Another instance, or this one after kill -9: it has what the store has. */
static void take_over(struct fixture *fixture)
{
    leader_lose(fixture->server.leader);
    leader_gain(fixture->server.leader, 2);
    for (unsigned i = 0; i < 3; i++)
        leader_tick(fixture->server.leader);
}

/* How many messages in the outbox have the text in their body. */
static unsigned n_telling(const char *text)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < stored.n; i++)
        n += stored.fields[i].name[0] == 'o' &&
             memmem(stored.fields[i].bytes, stored.fields[i].size, text, strlen(text)) != NULL;
    return n;
}

#define ENDS                                                                                       \
    "\"sequence\":2,\"status\":\"resolved\",\"level\":\"critical\",\"reason\":\"target_removed\","
#define ABOUT "\"zh\":\"目标已被移除\"},\"campaign\":\"c\",\"kpi\":\"participation_rate\","

static void test_a_target_that_is_removed_ends_once(void **state)
{
    struct fixture *fixture = fixture_firing();

    reload(fixture, SETTINGS, "");
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_telling(ABOUT), 1);
    assert_int_equal(n_sent(fixture), 2);
    take_over(fixture);
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_sent(fixture), 2);
    fixture_free(fixture);
}

static void test_a_target_that_is_removed_before_a_take_over_ends_once(void **state)
{
    struct fixture *fixture = fixture_firing();

    leader_lose(fixture->server.leader);
    reload(fixture, SETTINGS, "");
    assert_int_equal(n_telling(ENDS), 0);
    take_over(fixture);
    take_over(fixture);
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_telling(ABOUT), 1);
    assert_int_equal(n_sent(fixture), 2);
    fixture_free(fixture);
}

/* Nothing has happened until it is durable. */
static void test_a_removal_waits_for_the_store(void **state)
{
    struct fixture *fixture = fixture_firing();

    stored.outcome = STORE_E_AWAY;
    reload(fixture, SETTINGS, "");
    assert_int_equal(n_sent(fixture), 1);
    stored.outcome = 0;
    for (unsigned i = 0; i < 3; i++)
        leader_tick(fixture->server.leader);
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_sent(fixture), 2);
    fixture_free(fixture);
}

/* A target that is there again goes on with the sequence: no id is used twice. */
static void test_without_receivers_nobody_is_told(void **state)
{
    struct fixture *fixture = fixture_firing();
    struct server *server = &fixture->server;
    struct kpi_alert alert;

    reload(fixture, UNHEARD, "");
    assert_int_equal(n_sent(fixture), 1);
    assert_int_equal(n_telling("target_removed"), 0);
    reload(fixture, SETTINGS, TARGET);
    alert = leader_alert(server->leader, kpi_plan_target(server->config->plan, 0));
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    assert_int_equal(alert.sequence, 3);
    assert_int_equal(n_telling("\"sequence\":3,\"status\":\"firing\""), 1);
    assert_int_equal(n_telling("target_removed"), 0);
    assert_int_equal(n_sent(fixture), 2);
    fixture_free(fixture);
}

/* The states of a kpid that did not keep what they are about. */
static void store_version_1(void)
{
    char bytes[KPI_OBJECT_HEADER_BYTES + sizeof(uint64_t) + sizeof(struct kpi_alert)];

    for (uint32_t i = 0; i < stored.n; i++) {
        struct store_field field = stored.fields[i];

        if (field.name[0] != 'a')
            continue;
        assert_true(field.size > sizeof(bytes));
        memcpy(bytes, field.bytes, sizeof(bytes));
        kpi_object_seal(bytes, KPI_OBJECT_ALERT, 1, sizeof(bytes) - KPI_OBJECT_HEADER_BYTES);
        field.bytes = bytes;
        field.size = sizeof(bytes);
        stored_put(&field);
        return;
    }
    fail();
}

static void test_an_old_state_of_a_target_that_is_removed(void **state)
{
    struct fixture *fixture = fixture_firing();

    store_version_1();
    leader_lose(fixture->server.leader);
    reload(fixture, SETTINGS, "");
    take_over(fixture);
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_telling("\"zh\":\"目标已被移除\"},\"since\":\"20"), 1);
    assert_int_equal(n_sent(fixture), 2);
    fixture_free(fixture);
}

/* It is found out while the target is there. */
static void test_an_old_state_learns_what_it_is_about(void **state)
{
    struct fixture *fixture = fixture_firing();

    store_version_1();
    take_over(fixture);
    assert_int_equal(
        leader_alert(fixture->server.leader, kpi_plan_target(fixture->server.config->plan, 0))
            .sequence,
        1);
    reload(fixture, SETTINGS, "");
    assert_int_equal(n_telling(ENDS), 1);
    assert_int_equal(n_telling(ABOUT), 1);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_once),
        cmocka_unit_test(test_windows_are_judged_when_they_are_over),
        cmocka_unit_test(test_a_target_that_varies_says_from_when_it_counts),
        cmocka_unit_test(test_targets_of_different_times_are_one_alert),
        cmocka_unit_test(test_a_target_that_is_removed_ends_once),
        cmocka_unit_test(test_a_target_that_is_removed_before_a_take_over_ends_once),
        cmocka_unit_test(test_a_removal_waits_for_the_store),
        cmocka_unit_test(test_without_receivers_nobody_is_told),
        cmocka_unit_test(test_an_old_state_of_a_target_that_is_removed),
        cmocka_unit_test(test_an_old_state_learns_what_it_is_about),
        cmocka_unit_test(test_who_is_not_leader_says_nothing),
        cmocka_unit_test(test_incomplete_fires_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
