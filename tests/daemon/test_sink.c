/*
 * Tests daemon/sink/sink.c with real receivers on the same loop: what is delivered, how often, in
 * which order, and that no receiver, however it answers, harms another one or the sink.
 *
 * A second of the schedule lasts 20 ms here, or less, so nothing waits for long; everything waits
 * for a condition.
 */
#include "hook.h"
#include "sink/sink.h"
#include "util/log.h"
#include "webhook_verify.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define TOKEN     "token-nobody-may-read"
#define SECOND_US 20000

/* What would be logged, instead of daemon/util/log.c. */
static char log_text[16384];
static unsigned n_log_lines;

void log_line(enum log_level level, const char *message, const struct log_field *fields)
{
    size_t length = strlen(log_text);

    if (level == LOG_LEVEL_DEBUG)
        return;
    n_log_lines++;
    length += (size_t)snprintf(log_text + length, sizeof(log_text) - length, "%s", message);
    for (; fields->key; fields++)
        length += (size_t)snprintf(log_text + length, sizeof(log_text) - length, " %s=%s",
                                   fields->key, fields->string ? fields->string : "");
    snprintf(log_text + length, sizeof(log_text) - length, "\n");
}

void log_limited(struct log_limit *limit, enum log_level level, const char *message,
                 const struct log_field *fields)
{
    log_line(level, message, fields);
}

bool log_enabled(enum log_level level)
{
    return level <= LOG_LEVEL_INFO;
}

struct done {
    char receiver[32], id[32];
    enum sink_result result;
};

static struct event_base *base;
static struct sink *sink;
static struct hook hook, other;
static struct done dones[128];
static unsigned n_dones;

static void on_done(void *userdata, const char *receiver, const char *id, enum sink_result result)
{
    struct done *done = &dones[n_dones++];

    assert_true(n_dones <= 128);
    snprintf(done->receiver, sizeof(done->receiver), "%s", receiver);
    snprintf(done->id, sizeof(done->id), "%s", id);
    done->result = result;
}

static const struct done *find_done(const char *id)
{
    unsigned i;

    for (i = 0; i < n_dones; i++)
        if (strcmp(dones[i].id, id) == 0)
            return &dones[i];
    return NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
}

/* Runs the loop until a condition holds; fails after 20 s. */
#define WAIT(condition)                                                                            \
    do {                                                                                           \
        const time_t give_up = time(NULL) + 20;                                                    \
        while (!(condition)) {                                                                     \
            if (time(NULL) > give_up)                                                              \
                fail_msg("still not: %s\n%s", #condition, log_text);                               \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
    } while (0)

/* Lets what is due happen. */
static void turn(unsigned n)
{
    while (n-- > 0)
        event_base_loop(base, EVLOOP_ONCE);
}

static struct event *tick;
static int64_t second_us, attempt_us_max;

static int setup(void **state)
{
    const struct timeval every = {.tv_usec = 2000};

    base = event_base_new();
    tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    event_add(tick, &every);
    n_dones = n_log_lines = 0;
    log_text[0] = '\0';
    second_us = SECOND_US;
    attempt_us_max = 0;
    hook = other = (struct hook){0};
    return 0;
}

static int teardown(void **state)
{
    sink = sink_free(sink);
    if (hook.listener)
        hook_deinit(&hook);
    if (other.listener)
        hook_deinit(&other);
    event_free(tick);
    event_base_free(base);
    return 0;
}

static const char *url_of(const struct hook *one, const char *host)
{
    static char urls[4][128];
    static unsigned n;

    n = (n + 1) % 4;
    snprintf(urls[n], sizeof(urls[n]), "http://%s:%u/robot?access_token=" TOKEN, host, one->port);
    return urls[n];
}

static void open_sink(const struct sink_receiver *receivers, unsigned n, int64_t deadline_us,
                      unsigned messages_max)
{
    const struct sink_options options = {
        .base = base,
        .receivers = receivers,
        .n_receivers = n,
        .deadline_us = deadline_us,
        .messages_max = messages_max,
        .user_agent = "kpid/test",
        .attempt_us_max = attempt_us_max,
        .second_us = second_us,
        .done = on_done,
    };
    const char *error = "";

    if (sink_new(&sink, &options, &error) != 0)
        fail_msg("%s", error);
}

/* A receiver "a" that answers by script. */
#define OPEN(...)                                                                                  \
    do {                                                                                           \
        static const struct hook_action script_[] = {__VA_ARGS__};                                 \
        hook_init(&hook, base, script_, sizeof(script_) / sizeof(script_[0]));                     \
        open_sink(&(struct sink_receiver){.name = "a",                                             \
                                          .url = url_of(&hook, "127.0.0.1"),                       \
                                          .secret = SECRET},                                       \
                  1, 0, 0);                                                                        \
    } while (0)

static int64_t wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void send_to(const char *receiver, const char *id, const char *alert, uint64_t sequence)
{
    static const char body[] = "{\"type\":\"kpi.deviation.firing\",\"t\":\"活动参与率\"}";
    const struct sink_message message = {
        .receiver = receiver,
        .id = id,
        .alert = alert,
        .sequence = sequence,
        .created_us = wall_us(),
        .body = body,
        .size = strlen(body),
    };

    assert_int_equal(sink_send(sink, &message), 0);
}

static struct sink_stats stats_of(unsigned receiver)
{
    struct sink_stats stats[8];

    assert_in_range(sink_stats(sink, stats, 8), receiver + 1, 8);
    return stats[receiver];
}

static void assert_authentic(const struct hook_request *request, const char *id)
{
    const struct webhook_request received = {
        .id = hook_header(request, "webhook-id"),
        .timestamp = hook_header(request, "webhook-timestamp"),
        .signature = hook_header(request, "webhook-signature"),
        .body = request->body,
        .size = request->size,
    };

    assert_string_equal(received.id, id);
    assert_true(webhook_verify(&received, SECRET, time(NULL)));
}

static void test_delivers_what_was_given(void **state)
{
    OPEN(HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_string_equal(dones[0].receiver, "a");
    assert_int_equal(hook.n_requests, 1);
    assert_authentic(&hook.requests[0], "al_1");
    assert_memory_equal(hook.requests[0].head, "POST /robot?access_token=" TOKEN " HTTP/1.1\r\n",
                        40);
    assert_string_equal(hook_header(&hook.requests[0], "Content-Type"), "application/json");
    assert_string_equal(hook_header(&hook.requests[0], "User-Agent"), "kpid/test");
    assert_string_equal(hook.requests[0].body,
                        "{\"type\":\"kpi.deviation.firing\",\"t\":\"活动参与率\"}");
    assert_int_equal(stats_of(0).n_delivered, 1);
    assert_int_equal(stats_of(0).n_attempts, 1);
    assert_int_equal(stats_of(0).n_queued, 0);
    assert_int_equal(n_log_lines, 0);
}

static void test_unsigned_without_secret(void **state)
{
    static const struct hook_action script[] = {HOOK_OK};

    hook_init(&hook, base, script, 1);
    open_sink(&(struct sink_receiver){.name = "a", .url = url_of(&hook, "localhost")}, 1, 0, 0);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_null(hook_header(&hook.requests[0], "webhook-signature"));
}

static void test_tries_again_with_the_same_id(void **state)
{
    OPEN(HOOK_STATUS("500 Oops"), HOOK_STATUS("404 Not Found"), HOOK_STATUS("301 Moved"), HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_authentic(&hook.requests[i], "al_1");
    assert_int_equal(stats_of(0).n_failed_attempts, 3);
    assert_int_equal(stats_of(0).n_attempts, 4);
    assert_true(stats_of(0).latency_seconds_sum > 0);
}

static void test_answers_that_are_no_answers_are_failures(void **state)
{
    second_us = 2000;
    OPEN({HOOK_RESET, NULL, NULL}, {HOOK_REPLY, "nonsense\r\n\r\n", NULL},
         {HOOK_REPLY, "HTTP/1.1 200 OK\r\nContent-Le", NULL},
         {HOOK_REPLY, "HTTP/1.1 100 Continue\r\n\r\n", NULL},
         {HOOK_REPLY, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n", NULL}, HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 6);
}

/* Who has said 2xx has it; what becomes of the body is of no interest. */
static void test_head_of_2xx_is_delivery(void **state)
{
    OPEN({HOOK_RESET, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", NULL});
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 1);
}

static void test_endless_body_is_cut(void **state)
{
    OPEN({HOOK_FLOOD, "HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"});
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    WAIT(hook.n_open == 0);
    assert_true(stats_of(0).latency_seconds_sum < 10); /* not by the clock */
}

static void test_endless_head_is_cut(void **state)
{
    OPEN({HOOK_FLOOD, "HTTP/1.1 200 OK\r\n", "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"},
         {HOOK_FLOOD, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}, HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 3);
    assert_non_null(strstr(log_text, "answer is too long"));
}

static void test_silent_receiver_times_out(void **state)
{
    attempt_us_max = 300000;
    OPEN({HOOK_HOLD, NULL, NULL}, HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 2);
    /* The limit began with the attempt, a little before its request was here. */
    assert_true(hook.requests[1].at_us - hook.requests[0].at_us >= 200000);
    assert_non_null(strstr(log_text, "imeout"));
    assert_string_equal(hook_header(&hook.requests[1], "webhook-id"), "al_1");
}

static void test_410_disables(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL});
    send_to("a", "al_1", "f1", 1);
    WAIT(hook.n_requests == 1);
    send_to("a", "al_2", "f1", 2);
    hook_release(&hook, 0, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    WAIT(n_dones == 2);
    assert_int_equal(find_done("al_1")->result, SINK_DISABLED);
    assert_int_equal(find_done("al_2")->result, SINK_DISABLED);
    send_to("a", "al_3", "f3", 1);
    WAIT(n_dones == 3);
    assert_int_equal(dones[2].result, SINK_DISABLED);
    assert_true(stats_of(0).disabled);
    assert_int_equal(hook.n_requests, 1);
}

/* 429 with 5 seconds (100 ms here): nothing goes to that receiver before, not even another alert.
 */
static void test_retry_after_spares_the_receiver(void **state)
{
    OPEN({HOOK_REPLY, "HTTP/1.1 429 Slow\r\nRetry-After: 4.5\r\nContent-Length: 0\r\n\r\n", NULL},
         HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(stats_of(0).n_failed_attempts == 1);
    send_to("a", "al_2", "f2", 1);
    WAIT(n_dones == 2);
    assert_int_equal(hook.n_requests, 3);
    assert_true(hook.requests[1].at_us - hook.requests[0].at_us >= 5 * SECOND_US);
    assert_true(hook.requests[2].at_us - hook.requests[0].at_us >= 5 * SECOND_US);
}

static void test_redirects_are_not_followed(void **state)
{
    static const struct hook_action ok[] = {HOOK_OK};
    static char moved[256];
    static struct hook_action script[] = {
        {HOOK_REPLY, moved, NULL}, {HOOK_REPLY, moved, NULL}, HOOK_OK};

    hook_init(&other, base, ok, 1);
    hook_init(&hook, base, script, 3);
    snprintf(moved, sizeof(moved),
             "HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
             url_of(&other, "127.0.0.1"));
    open_sink(&(struct sink_receiver){.name = "a", .url = url_of(&hook, "127.0.0.1")}, 1, 0, 0);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 3);
    assert_int_equal(other.n_requests, 0);
}

/* As they come out of an outbox after a restart: in any order, in one turn of the loop. */
static void test_messages_of_an_alert_go_in_order(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL}, HOOK_OK);
    send_to("a", "al_3", "f1", 3);
    send_to("a", "al_1", "f1", 1);
    send_to("a", "al_2", "f1", 2);
    WAIT(hook.n_requests == 1);
    turn(5);
    assert_int_equal(hook.n_requests, 1); /* one at a time */
    hook_release(&hook, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    WAIT(n_dones == 3);
    assert_string_equal(hook_header(&hook.requests[0], "webhook-id"), "al_1");
    assert_string_equal(hook_header(&hook.requests[1], "webhook-id"), "al_2");
    assert_string_equal(hook_header(&hook.requests[2], "webhook-id"), "al_3");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(dones[i].result, SINK_DELIVERED);
}

static void test_newest_state_wins_when_the_older_failed(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL}, HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(hook.n_requests == 1);
    send_to("a", "al_2", "f1", 2);
    send_to("a", "al_3", "f1", 3);
    turn(5);
    assert_int_equal(n_dones, 0); /* an attempt under way is waited for */
    hook_release(&hook, 0, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    WAIT(n_dones == 3);
    assert_int_equal(find_done("al_1")->result, SINK_SUPERSEDED);
    assert_int_equal(find_done("al_2")->result, SINK_SUPERSEDED);
    assert_int_equal(find_done("al_3")->result, SINK_DELIVERED);
    assert_int_equal(hook.n_requests, 2);
    assert_int_equal(stats_of(0).n_superseded, 2);
}

static void test_older_state_that_comes_too_late_is_superseded(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL}, HOOK_OK);
    send_to("a", "al_2", "f1", 2);
    WAIT(hook.n_requests == 1);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_string_equal(dones[0].id, "al_1");
    assert_int_equal(dones[0].result, SINK_SUPERSEDED);
}

static void test_same_message_twice_is_sent_once(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL}, HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    send_to("a", "al_1", "f1", 1);
    WAIT(hook.n_requests == 1);
    send_to("a", "al_1", "f1", 1);
    assert_int_equal(stats_of(0).n_queued, 1);
    hook_release(&hook, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    WAIT(n_dones == 1);
    turn(5);
    assert_int_equal(hook.n_requests, 1);
}

static void send_alerts(const char *receiver, unsigned n)
{
    char id[16], alert[16];
    unsigned i;

    for (i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "al_%u", i);
        snprintf(alert, sizeof(alert), "f%u", i);
        send_to(receiver, id, alert, 1);
    }
}

static void test_four_requests_at_a_time(void **state)
{
    unsigned released = 0;

    OPEN({HOOK_HOLD, NULL, NULL});
    send_alerts("a", 10);
    while (released < 10) {
        WAIT(hook.n_requests == (released + 4 < 10 ? released + 4 : 10));
        hook_release(&hook, released++, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        WAIT(n_dones == released);
    }
    assert_int_equal(hook.n_open_max, 4);
    assert_int_equal(hook.n_requests, 10);
}

static void test_full_queue_drops_the_oldest_waiting(void **state)
{
    static const struct hook_action script[] = {{HOOK_HOLD, NULL, NULL}};

    hook_init(&hook, base, script, 1);
    open_sink(&(struct sink_receiver){.name = "a", .url = url_of(&hook, "127.0.0.1")}, 1, 0, 6);
    send_alerts("a", 6);
    WAIT(hook.n_requests == 4);
    send_to("a", "al_new", "fn", 1);
    WAIT(n_dones == 1);
    assert_string_equal(dones[0].id, "al_4"); /* 0 to 3 are under way */
    assert_int_equal(dones[0].result, SINK_SUPERSEDED);
    assert_int_equal(stats_of(0).n_queued, 6);
}

static void test_dead_receiver_does_not_delay_others(void **state)
{
    static const struct hook_action hold[] = {{HOOK_HOLD, NULL, NULL}}, ok[] = {HOOK_OK};
    struct sink_receiver receivers[2];
    char id[16], alert[16];
    unsigned i;

    hook_init(&other, base, hold, 1);
    hook_init(&hook, base, ok, 1);
    receivers[0] = (struct sink_receiver){.name = "dead", .url = url_of(&other, "127.0.0.1")};
    receivers[1] = (struct sink_receiver){.name = "a", .url = url_of(&hook, "127.0.0.1")};
    open_sink(receivers, 2, 0, 0);
    for (i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "dead_%u", i);
        snprintf(alert, sizeof(alert), "f%u", i);
        send_to("dead", id, alert, 1);
    }
    WAIT(other.n_requests == 4);
    send_alerts("a", 20);
    WAIT(hook.n_requests == 20);
    assert_int_equal(stats_of(0).n_attempts, 0); /* all that before the first one gave up */
    WAIT(n_dones == 20);
}

static void test_breaker_probes_with_one_and_lets_all_go_after(void **state)
{
    uint64_t n_failed;

    second_us = 2000; /* the breaker waits for up to 300 of them */
    OPEN(HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"),
         HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"),
         HOOK_STATUS("500 No"), {HOOK_HOLD, NULL, NULL});
    send_alerts("a", 4);
    WAIT(stats_of(0).open && hook.n_open == 0);
    n_failed = stats_of(0).n_failed_attempts;
    hook.n_open_max = 0;
    WAIT(hook.n_requests == 10);
    /* Their own schedules have made some of the others due, and here is a new one. */
    send_to("a", "al_new", "fn", 1);
    turn(20);
    assert_int_equal(hook.n_requests, 10);
    assert_int_equal(hook.n_open_max, 1);
    assert_in_range(n_failed, 5, 8);

    hook_release(&hook, 9, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    WAIT(hook.n_requests == 14); /* all that has piled up */
    assert_int_equal(hook.n_open, 4);
    assert_false(stats_of(0).open);
    for (unsigned i = 10; i < 14; i++)
        hook_release(&hook, i, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    WAIT(n_dones == 5);
}

static void test_gives_up_at_the_deadline(void **state)
{
    static const struct hook_action script[] = {HOOK_STATUS("500 No")};

    hook_init(&hook, base, script, 1);
    open_sink(&(struct sink_receiver){.name = "a", .url = url_of(&hook, "127.0.0.1")}, 1, 150000,
              0);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_EXPIRED);
    assert_true(hook.n_requests >= 1);
    assert_int_equal(stats_of(0).n_expired, 1);
}

/* A receiver may put a message off, but not beyond the deadline. */
static void test_deadline_comes_before_retry_after(void **state)
{
    static const struct hook_action script[] = {
        {HOOK_REPLY, "HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", NULL}};

    hook_init(&hook, base, script, 1);
    open_sink(&(struct sink_receiver){.name = "a", .url = url_of(&hook, "127.0.0.1")}, 1, 150000,
              0);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_EXPIRED);
    assert_in_range(hook.n_requests, 0, 1);
}

static void test_stale_message_is_not_sent(void **state)
{
    struct sink_message message = {
        .receiver = "a", .id = "al_1", .alert = "f1", .body = "{}", .size = 2};

    OPEN(HOOK_OK);
    message.created_us = wall_us() - INT64_C(25) * 3600 * 1000000; /* found after a long outage */
    assert_int_equal(sink_send(sink, &message), 0);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_EXPIRED);
    assert_int_equal(hook.n_requests, 0);
}

static void test_unknown_receiver(void **state)
{
    const struct sink_message message = {
        .receiver = "b", .id = "al_1", .alert = "f1", .body = "{}", .size = 2};

    OPEN(HOOK_OK);
    assert_int_equal(sink_send(sink, &message), SINK_E_RECEIVER);
}

static void test_name_may_not_lead_inside(void **state)
{
    static const struct hook_action script[] = {HOOK_OK};
    const char *const elsewhere[] = {"10.0.0.0/8", NULL}, *const here[] = {"127.0.0.1", NULL};
    struct sink_receiver receiver = {.name = "a", .allow = elsewhere};
    const char *error = NULL;

    hook_init(&hook, base, script, 1);
    receiver.url = url_of(&hook, "hook.localhost"); /* a name that resolves to 127.0.0.1 */
    open_sink(&receiver, 1, 0, 0);
    send_to("a", "al_1", "f1", 1);
    WAIT(stats_of(0).n_failed_attempts == 2);
    assert_non_null(strstr(log_text, "address is not allowed"));
    receiver.allow = here;
    assert_int_equal(sink_reconfigure(sink, &receiver, 1, &error), 0);
    assert_int_equal(hook.n_requests, 0);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
}

static void test_environment_names_no_proxy(void **state)
{
    static const struct hook_action proxy[] = {HOOK_STATUS("500 Proxy")};
    char variable[64];

    hook_init(&other, base, proxy, 1);
    snprintf(variable, sizeof(variable), "http://127.0.0.1:%u", other.port);
    setenv("http_proxy", variable, 1);
    setenv("all_proxy", variable, 1);
    OPEN(HOOK_OK);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    assert_int_equal(hook.n_requests, 1);
    assert_int_equal(other.n_requests, 0);
}

static void test_reconfigure_keeps_what_is_queued(void **state)
{
    static const struct hook_action ok[] = {HOOK_OK};
    struct sink_receiver receivers[2] = {{.name = "a"}, {.name = "b"}};
    const char *error = NULL;

    OPEN(HOOK_STATUS("500 No"));
    hook_init(&other, base, ok, 1);
    receivers[0].url = receivers[1].url = url_of(&other, "127.0.0.1");
    send_to("a", "al_1", "f1", 1);
    WAIT(stats_of(0).n_failed_attempts >= 1);
    assert_int_equal(sink_reconfigure(sink, receivers, 2, &error), 0);
    send_to("b", "al_2", "f1", 1);
    WAIT(n_dones == 2);
    assert_int_equal(find_done("al_1")->result, SINK_DELIVERED);
    assert_int_equal(find_done("al_2")->result, SINK_DELIVERED);
    assert_int_equal(other.n_requests, 2);
}

static void test_reconfigure_is_all_or_nothing(void **state)
{
    struct sink_receiver receivers[2] = {{.name = "b"}, {.name = "c", .url = "ftp://x/"}};
    const char *error = NULL;

    OPEN(HOOK_OK);
    receivers[0].url = url_of(&hook, "127.0.0.1");
    assert_int_equal(sink_reconfigure(sink, receivers, 2, &error), SINK_E_RECEIVER);
    assert_non_null(error);
    receivers[1].url = receivers[0].url;
    receivers[1].name = "b";
    assert_int_equal(sink_reconfigure(sink, receivers, 2, &error), SINK_E_RECEIVER);
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    assert_int_equal(dones[0].result, SINK_DELIVERED);
}

static void test_removed_receiver_gives_its_messages_back(void **state)
{
    const char *error = NULL;

    OPEN({HOOK_HOLD, NULL, NULL});
    send_to("a", "al_1", "f1", 1);
    WAIT(hook.n_requests == 1);
    send_to("a", "al_2", "f2", 1);
    assert_int_equal(sink_reconfigure(sink, NULL, 0, &error), 0);
    WAIT(n_dones == 2);
    assert_int_equal(find_done("al_1")->result, SINK_DISABLED);
    assert_int_equal(find_done("al_2")->result, SINK_DISABLED);
    assert_string_equal(dones[0].receiver, "a");
    assert_int_equal(sink_stats(sink, NULL, 0), 0);
    WAIT(hook.n_open == 0); /* cut */
}

static void test_disabled_receiver_lives_again_under_another_url(void **state)
{
    static const struct hook_action ok[] = {HOOK_OK};
    struct sink_receiver receiver = {.name = "a"};
    const char *error = NULL;

    OPEN(HOOK_STATUS("410 Gone"));
    send_to("a", "al_1", "f1", 1);
    WAIT(n_dones == 1);
    receiver.url = url_of(&hook, "127.0.0.1");
    assert_int_equal(sink_reconfigure(sink, &receiver, 1, &error), 0);
    assert_true(stats_of(0).disabled); /* it has said so under this one */
    hook_init(&other, base, ok, 1);
    receiver.url = url_of(&other, "127.0.0.1");
    assert_int_equal(sink_reconfigure(sink, &receiver, 1, &error), 0);
    send_to("a", "al_2", "f1", 2);
    WAIT(n_dones == 2);
    assert_int_equal(dones[1].result, SINK_DELIVERED);
}

static void test_freed_with_all_sorts_under_way(void **state)
{
    OPEN({HOOK_HOLD, NULL, NULL});
    send_alerts("a", 8);
    WAIT(hook.n_requests == 4);
    send_to("a", "al_0b", "f0", 2);
    sink = sink_free(sink);
    WAIT(hook.n_open == 0);
    assert_int_equal(n_dones, 0); /* it all stays in the outbox */
}

/* One line when it begins to fail, one when the breaker opens, one when it is over; no secret in
 * any. */
static void test_log_says_what_changed_and_no_secret(void **state)
{
    second_us = 2000;
    OPEN(HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_STATUS("500 No"),
         HOOK_STATUS("500 No"), HOOK_STATUS("500 No"), HOOK_OK);
    send_alerts("a", 4);
    WAIT(n_dones == 4);
    assert_int_equal(n_log_lines, 3);
    assert_non_null(
        strstr(log_text, "webhook delivery failed, trying again receiver=a host=127.0.0.1"));
    assert_non_null(strstr(log_text, "keeps failing"));
    assert_non_null(strstr(log_text, "works again"));
    assert_null(strstr(log_text, TOKEN));
    assert_null(strstr(log_text, "MfKQ9r8G"));
    assert_null(strstr(log_text, "robot"));
}

static void test_bad_receivers_are_refused(void **state)
{
    const struct sink_receiver bad_url = {.name = "a", .url = "http://example.com/"};
    const struct sink_receiver bad_secret = {
        .name = "a", .url = "https://example.com/", .secret = "x"};
    struct sink_options options = {.base = base, .user_agent = "kpid/test", .n_receivers = 1};
    struct sink *none = NULL;
    const char *error = NULL;

    options.receivers = &bad_url;
    assert_int_equal(sink_new(&none, &options, &error), SINK_E_RECEIVER);
    options.receivers = &bad_secret;
    assert_int_equal(sink_new(&none, &options, &error), SINK_E_SECRET);
    assert_null(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_delivers_what_was_given),
        TEST(test_unsigned_without_secret),
        TEST(test_tries_again_with_the_same_id),
        TEST(test_answers_that_are_no_answers_are_failures),
        TEST(test_head_of_2xx_is_delivery),
        TEST(test_endless_body_is_cut),
        TEST(test_endless_head_is_cut),
        TEST(test_silent_receiver_times_out),
        TEST(test_410_disables),
        TEST(test_retry_after_spares_the_receiver),
        TEST(test_redirects_are_not_followed),
        TEST(test_messages_of_an_alert_go_in_order),
        TEST(test_newest_state_wins_when_the_older_failed),
        TEST(test_older_state_that_comes_too_late_is_superseded),
        TEST(test_same_message_twice_is_sent_once),
        TEST(test_four_requests_at_a_time),
        TEST(test_full_queue_drops_the_oldest_waiting),
        TEST(test_dead_receiver_does_not_delay_others),
        TEST(test_breaker_probes_with_one_and_lets_all_go_after),
        TEST(test_gives_up_at_the_deadline),
        TEST(test_deadline_comes_before_retry_after),
        TEST(test_stale_message_is_not_sent),
        TEST(test_unknown_receiver),
        TEST(test_name_may_not_lead_inside),
        TEST(test_environment_names_no_proxy),
        TEST(test_reconfigure_keeps_what_is_queued),
        TEST(test_reconfigure_is_all_or_nothing),
        TEST(test_removed_receiver_gives_its_messages_back),
        TEST(test_disabled_receiver_lives_again_under_another_url),
        TEST(test_freed_with_all_sorts_under_way),
        TEST(test_log_says_what_changed_and_no_secret),
        TEST(test_bad_receivers_are_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
