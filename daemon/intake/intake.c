/*
 * The consumer: configuration, group membership, assignment and forwarding. See intake.h; topics
 * are looked at in topics.c, dead letters go out in dead_letter.c.
 */
#include "intake/intake_internal.h"

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A partition has a short queue: what waits in it should still be in the caches when it is decoded,
 * and its memory be used again at once. So a full queue must be looked at again soon. librdkafka
 * since 2.2.0 does so after fetch.queue.backoff.ms; before, only when its broker thread wakes, up
 * to a second later. An offset query wakes it.
 */
#define QUEUE_KBYTES     "2048"
#define QUEUE_BACKOFF_MS "2"
#define WAKE_INTERVAL_US 4000

/* Without brokers rd_kafka_consumer_close() would hold a stop for as long as a request may take. */
#define LEAVE_US 5000000

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    static struct log_limit limit = LOG_LIMIT(20, 1);

    log_limited(&limit, level <= 3 ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "kafka client",
                LOG_FIELDS(LOG_STRING("facility", facility), LOG_STRING("text", text)));
}

static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    static struct log_limit limit = LOG_LIMIT(5, 10);
    struct intake *intake = opaque;

    atomic_fetch_add(&intake->n_errors, 1);
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        atomic_store(&intake->connected, false);
    log_limited(
        &limit, LOG_LEVEL_WARNING, "kafka error",
        LOG_FIELDS(LOG_STRING("error", rd_kafka_err2name(error)), LOG_STRING("reason", reason)));
}

/* The witness is committed every few seconds: on an idle stream its answer shows that brokers are
 * back. */
static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t error,
                      rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct intake *intake = opaque;

    if (!error)
        atomic_store(&intake->connected, true);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t error,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct intake *intake = opaque;
    uint32_t *shards;
    uint32_t n = 0;

    /* The last revocation, out of consumer_close(): who would be told is gone. */
    if (atomic_load(&intake->stopping)) {
        (void)rd_kafka_assign(rk, NULL);
        return;
    }
    atomic_fetch_add(&intake->n_rebalances, 1);
    if (error != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        intake->revoked(intake->userdata, rd_kafka_assignment_lost(rk));
        return;
    }
    /* Co-partitioned topics and the range assignor give partition n of every topic to one member.
     */
    shards = calloc((size_t)partitions->cnt + 1, sizeof(*shards));
    if (!shards)
        abort(); /* nothing to fall back on in a callback; the state is safe in the checkpoint */
    for (int i = 0; i < partitions->cnt; i++) {
        if (strcmp(partitions->elems[i].topic, intake->topics[0].name) == 0)
            shards[n++] = (uint32_t)partitions->elems[i].partition;
    }
    intake->assigned(intake->userdata, shards, n);
    free(shards);
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, char *error, size_t size)
{
    return rd_kafka_conf_set(conf, name, value, error, size) == RD_KAFKA_CONF_OK ? 0
                                                                                 : INTAKE_E_REFUSED;
}

/* What the operator allows himself; names were checked by config against the allow-list. */
int intake_set_properties(rd_kafka_conf_t *conf, const struct config *config, rd_kafka_type_t type,
                          char *error, size_t size)
{
    int r;

    r = set(conf, "bootstrap.servers", config->kafka.brokers, error, size);
    if (r)
        return r;
    for (uint32_t i = 0; i < config->kafka.n_properties; i++) {
        const struct config_property *p = &config->kafka.properties[i];

        /* A consumer's property on the producer (or the other way) is merely of no use there. */
        if (rd_kafka_conf_set(conf, p->name, p->value, error, size) == RD_KAFKA_CONF_INVALID)
            return INTAKE_E_REFUSED;
    }
    return 0;
}

static int configure(struct intake *intake, rd_kafka_conf_t *conf, const struct config *config)
{
    char session[24], heartbeat[24], error[256];
    int64_t session_ms = config->kafka.session_timeout / KPI_MILLISECOND;
    const char *const fixed[][2] = {
        {"group.id", config->kafka.group},     {"client.id", "kpid"},
        {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},        {"partition.assignment.strategy", "range"},
        {"isolation.level", "read_committed"}, {"check.crcs", "true"},
        {"enable.partition.eof", "true"},      {"session.timeout.ms", session},
        {"heartbeat.interval.ms", heartbeat},  {"max.poll.interval.ms", "60000"},
        {"fetch.wait.max.ms", "100"},          {"queued.max.messages.kbytes", QUEUE_KBYTES},
        {"reconnect.backoff.max.ms", "2000"},  {"topic.metadata.refresh.interval.ms", "30000"},
    };

    (void)snprintf(session, sizeof(session), "%lld", (long long)session_ms);
    (void)snprintf(heartbeat, sizeof(heartbeat), "%lld",
                   (long long)(session_ms / 4 < 3000 ? session_ms / 4 : 3000));
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (set(conf, fixed[i][0], fixed[i][1], error, sizeof(error)) != 0)
            goto refused;
    }
    intake->needs_waking = rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", QUEUE_BACKOFF_MS,
                                             error, sizeof(error)) == RD_KAFKA_CONF_UNKNOWN;
    if (intake_set_properties(conf, config, RD_KAFKA_CONSUMER, error, sizeof(error)) != 0)
        goto refused;
    rd_kafka_conf_set_opaque(conf, intake);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    return 0;

refused:
    (void)snprintf(intake->error, sizeof(intake->error), "%s", error);
    return INTAKE_E_REFUSED;
}

/* Partitions whose workers found more than they could take, in all topics. */
static void add_busy(struct intake *intake, rd_kafka_topic_partition_list_t *list)
{
    for (unsigned worker = 0; worker < intake->n_workers; worker++) {
        int32_t shard = atomic_load(&intake->busy_shard[worker]);

        for (uint32_t topic = 0; shard >= 0 && topic < intake->n_topics; topic++)
            rd_kafka_topic_partition_list_add(list, intake->topics[topic].name, shard)->offset =
                RD_KAFKA_OFFSET_END;
    }
}

/*
 * Wakes broker threads while records wait for a place in the queue, and sleeps while none do. Where
 * offsets end is the cheapest question that there is, and one request asks a broker for all
 * partitions that it leads.
 */
static void *wake_main(void *userdata)
{
    struct intake *intake = userdata;

    for (;;) {
        struct timespec pause = {.tv_nsec = WAKE_INTERVAL_US * 1000};
        rd_kafka_topic_partition_list_t *list;

        (void)sem_wait(&intake->wake_due);
        if (atomic_load(&intake->stopping))
            break;
        (void)nanosleep(&pause, NULL);
        atomic_store(&intake->busy, false);
        list = rd_kafka_topic_partition_list_new((int)(intake->n_workers * intake->n_topics));
        add_busy(intake, list);
        if (list->cnt)
            (void)rd_kafka_offsets_for_times(intake->consumer, list, 1000);
        rd_kafka_topic_partition_list_destroy(list);
    }
    return NULL;
}

static int make_topics(struct intake *intake, const struct config *config)
{
    intake->n_topics = config->kafka.n_topics;
    intake->topics = calloc(intake->n_topics, sizeof(*intake->topics));
    intake->queues = calloc(intake->n_workers, sizeof(*intake->queues));
    intake->busy_shard = calloc(intake->n_workers, sizeof(*intake->busy_shard));
    if (!intake->topics || !intake->queues || !intake->busy_shard)
        return -ENOMEM;
    for (uint32_t i = 0; i < intake->n_topics; i++) {
        intake->topics[i].name = strdup(config->kafka.topics[i]);
        if (!intake->topics[i].name)
            return -ENOMEM;
    }
    return 0;
}

int intake_new(struct intake **ret_intake, const struct intake_options *options)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    rd_kafka_conf_t *conf;
    int r;

    if (!intake)
        return error_origin(-ENOMEM);
    intake->n_workers = options->n_workers;
    intake->assigned = options->assigned;
    intake->revoked = options->revoked;
    intake->userdata = options->userdata;
    intake->start = options->config->kafka.start;
    intake->start_time = options->config->kafka.start_time;
    intake->wake[0] = intake->wake[1] = -1;
    (void)sem_init(&intake->wake_due, 0, 0); /* fails only for too high a value */
    *ret_intake = intake; /* also on refusal, so that the caller can read intake_error() */
    r = make_topics(intake, options->config);
    if (r < 0)
        return error_trace(r);

    conf = rd_kafka_conf_new();
    r = configure(intake, conf, options->config);
    if (r != 0) {
        rd_kafka_conf_destroy(conf);
        return r;
    }
    intake->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, intake->error, sizeof(intake->error));
    if (!intake->consumer) {
        rd_kafka_conf_destroy(conf);
        return INTAKE_E_REFUSED;
    }
    (void)rd_kafka_poll_set_consumer(intake->consumer);
    for (unsigned i = 0; i < intake->n_workers; i++) {
        intake->queues[i] = rd_kafka_queue_new(intake->consumer);
        atomic_init(&intake->busy_shard[i], -1);
    }
    if (pipe2(intake->wake, O_NONBLOCK | O_CLOEXEC) < 0)
        return error_origin(-errno);
    intake->events = rd_kafka_queue_get_consumer(intake->consumer);
    rd_kafka_queue_io_event_enable(intake->events, intake->wake[1], "1", 1);
    r = intake_dead_letter_open(intake, options->config);
    if (r != 0)
        return r;
    if (intake->needs_waking) {
        r = pthread_create(&intake->wake_thread, NULL, wake_main, intake);
        if (r != 0)
            return error_origin(-r);
        intake->waking = true;
    }
    return 0;
}

void intake_stop(struct intake *intake)
{
    if (!intake)
        return;
    atomic_store(&intake->stopping, true);
    (void)sem_post(&intake->wake_due);
}

/* Leaves the group. False: no broker has taken our word for it in time, and librdkafka waits on. */
static bool leave(struct intake *intake)
{
    int64_t deadline = clock_monotonic_us() + LEAVE_US;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(intake->consumer);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(intake->consumer, queue);

    while (!error && !rd_kafka_consumer_closed(intake->consumer)) {
        if (clock_monotonic_us() >= deadline)
            return false;
        (void)rd_kafka_queue_poll_callback(queue, 20);
    }
    rd_kafka_error_destroy(error);
    rd_kafka_queue_destroy(queue);
    return true;
}

struct intake *intake_free(struct intake *intake)
{
    if (!intake)
        return NULL;
    intake_stop(intake);
    if (intake->waking)
        (void)pthread_join(intake->wake_thread, NULL);
    intake_dead_letter_close(intake);
    if (intake->events)
        rd_kafka_queue_destroy(intake->events);
    for (unsigned i = 0; intake->queues && i < intake->n_workers; i++) {
        if (intake->queues[i])
            rd_kafka_queue_destroy(intake->queues[i]);
    }
    if (intake->consumer) {
        if (!leave(intake)) {
            log_warning("no broker to leave the group at: it waits for kafka.session_timeout");
            return NULL; /* librdkafka's threads still know it; the process is about to end */
        }
        rd_kafka_destroy(intake->consumer);
    }
    for (uint32_t i = 0; intake->topics && i < intake->n_topics; i++)
        free(intake->topics[i].name);
    for (int i = 0; i < 2; i++) {
        if (intake->wake[i] >= 0)
            (void)close(intake->wake[i]);
    }
    free(intake->topics);
    free(intake->queues);
    free(intake->busy_shard);
    (void)sem_destroy(&intake->wake_due);
    free(intake);
    return NULL;
}

const char *intake_error(const struct intake *intake)
{
    return intake->error;
}

int intake_subscribe(struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t error;

    list = rd_kafka_topic_partition_list_new((int)intake->n_topics);
    for (uint32_t i = 0; i < intake->n_topics; i++)
        (void)rd_kafka_topic_partition_list_add(list, intake->topics[i].name,
                                                RD_KAFKA_PARTITION_UA);
    error = rd_kafka_subscribe(intake->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error) {
        (void)snprintf(intake->error, sizeof(intake->error), "%s", rd_kafka_err2str(error));
        return INTAKE_E_REFUSED;
    }
    return 0;
}

uint32_t intake_n_topics(const struct intake *intake)
{
    return intake->n_topics;
}

const char *intake_topic(const struct intake *intake, uint32_t topic)
{
    return intake->topics[topic].name;
}

int intake_fd(const struct intake *intake)
{
    return intake->wake[0];
}

void intake_poll(struct intake *intake)
{
    char bytes[64];

    while (read(intake->wake[0], bytes, sizeof(bytes)) > 0)
        ;
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(intake->consumer, 0);

        if (!message)
            break;
        /* Partitions are forwarded to workers before they are assigned, so this is an error report.
         */
        if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            static struct log_limit limit = LOG_LIMIT(5, 10);

            atomic_fetch_add(&intake->n_errors, 1);
            log_limited(&limit, LOG_LEVEL_WARNING, "kafka error",
                        LOG_FIELDS(LOG_STRING("error", rd_kafka_message_errstr(message))));
        }
        rd_kafka_message_destroy(message);
    }
    intake_dead_letter_poll(intake);
}

/*
 * Points the partition's queue at the worker's, or back. Before assign(), so that no record can
 * slip into the consumer's own queue: forwarding set by the application survives the start of
 * fetching. And after it, since the end of a fetch that was under way for the same partition clears
 * it, and may come late; what has gathered in the partition's queue then moves on.
 */
static void forward(struct intake *intake, uint32_t topic, uint32_t shard, bool to_worker)
{
    rd_kafka_queue_t *queue =
        rd_kafka_queue_get_partition(intake->consumer, intake->topics[topic].name, (int32_t)shard);

    if (!queue)
        return;
    rd_kafka_queue_forward(queue, to_worker ? intake->queues[shard % intake->n_workers] : NULL);
    rd_kafka_queue_destroy(queue);
}

int intake_assign(struct intake *intake, const struct intake_position *positions, uint32_t n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    rd_kafka_resp_err_t error;

    for (uint32_t i = 0; i < n; i++) {
        const struct intake_position *p = &positions[i];

        forward(intake, p->topic, p->shard, true);
        rd_kafka_topic_partition_list_add(list, intake->topics[p->topic].name, (int32_t)p->shard)
            ->offset = p->offset;
    }
    error = rd_kafka_assign(intake->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error) {
        (void)snprintf(intake->error, sizeof(intake->error), "%s", rd_kafka_err2str(error));
        return INTAKE_E_AWAY;
    }
    for (uint32_t i = 0; i < n; i++)
        forward(intake, positions[i].topic, positions[i].shard, true);
    atomic_store(&intake->connected, true);
    return 0;
}

void intake_unassign(struct intake *intake)
{
    rd_kafka_topic_partition_list_t *list = NULL;

    if (rd_kafka_assignment(intake->consumer, &list) == RD_KAFKA_RESP_ERR_NO_ERROR && list) {
        for (int i = 0; i < list->cnt; i++) {
            for (uint32_t topic = 0; topic < intake->n_topics; topic++) {
                if (strcmp(list->elems[i].topic, intake->topics[topic].name) == 0)
                    forward(intake, topic, (uint32_t)list->elems[i].partition, false);
            }
        }
        rd_kafka_topic_partition_list_destroy(list);
    }
    (void)rd_kafka_assign(intake->consumer, NULL);
    for (unsigned i = 0; i < intake->n_workers; i++)
        atomic_store(&intake->busy_shard[i], -1);
}

bool intake_lost(const struct intake *intake)
{
    return rd_kafka_assignment_lost(intake->consumer);
}

size_t intake_take(struct intake *intake, unsigned worker, int timeout_ms,
                   rd_kafka_message_t **ret_messages, size_t n)
{
    ssize_t taken;

    /* The batch call waits out its time unless it is full, so wait for the first one alone. */
    taken = rd_kafka_consume_batch_queue(intake->queues[worker], 0, ret_messages, n);
    if (taken == 0 && timeout_ms > 0)
        taken = rd_kafka_consume_batch_queue(intake->queues[worker], timeout_ms, ret_messages, 1);
    if (taken <= 0)
        return 0;
    if (!atomic_load_explicit(&intake->connected, memory_order_relaxed) &&
        (!ret_messages[0]->err || ret_messages[0]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF))
        atomic_store(&intake->connected, true);
    if ((size_t)taken == n && intake->needs_waking) {
        atomic_store(&intake->busy_shard[worker], ret_messages[0]->partition);
        if (!atomic_exchange(&intake->busy, true))
            (void)sem_post(&intake->wake_due);
    }
    return (size_t)taken;
}

void intake_drain(struct intake *intake, unsigned worker)
{
    rd_kafka_message_t *messages[64];
    size_t n;

    while ((n = intake_take(intake, worker, 0, messages, 64)) > 0) {
        for (size_t i = 0; i < n; i++)
            rd_kafka_message_destroy(messages[i]);
    }
}

uint32_t intake_message_topic(const struct intake *intake, const rd_kafka_message_t *message)
{
    const char *name;

    if (intake->n_topics == 1)
        return 0;
    name = rd_kafka_topic_name(message->rkt);
    for (uint32_t i = 0; i < intake->n_topics; i++) {
        if (strcmp(name, intake->topics[i].name) == 0)
            return i;
    }
    return 0;
}

void intake_stats(const struct intake *intake, struct intake_stats *ret_stats)
{
    *ret_stats = (struct intake_stats){
        .connected = atomic_load(&intake->connected),
        .n_dead_letters = atomic_load(&intake->n_dead_letters),
        .n_dead_letters_failed = atomic_load(&intake->n_dead_letters_failed),
        .n_errors = atomic_load(&intake->n_errors),
        .n_rebalances = atomic_load(&intake->n_rebalances),
    };
}
