/* librdkafka's mock cluster for tests: see mock_kafka.h. */
#include "mock_kafka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    WAIT_MS = 10000
};

struct mock_kafka *mock_kafka_new(void)
{
    struct mock_kafka *kafka = calloc(1, sizeof(*kafka));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char error[256];

    assert_non_null(kafka);
    (void)rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    (void)rd_kafka_conf_set(conf, "linger.ms", "0", NULL, 0);
    kafka->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    assert_non_null(kafka->producer);
    kafka->cluster = rd_kafka_mock_cluster_new(kafka->producer, 1);
    assert_non_null(kafka->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(kafka->cluster, MOCK_EVENTS, 2, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(kafka->cluster, MOCK_MORE, 2, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(kafka->cluster, MOCK_ODD, 3, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(kafka->cluster, MOCK_REFUSED, 1, 1), 0);
    (void)rd_kafka_brokers_add(kafka->producer, rd_kafka_mock_cluster_bootstraps(kafka->cluster));
    return kafka;
}

struct mock_kafka *mock_kafka_free(struct mock_kafka *kafka)
{
    if (!kafka)
        return NULL;
    rd_kafka_mock_cluster_destroy(kafka->cluster);
    rd_kafka_destroy(kafka->producer);
    free(kafka);
    return NULL;
}

void mock_kafka_produce(struct mock_kafka *kafka, const char *topic, int32_t partition,
                        const char *value, size_t size, int64_t timestamp)
{
    rd_kafka_resp_err_t error = rd_kafka_producev(
        kafka->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)value, size),
        RD_KAFKA_V_KEY("key", 3), RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END);

    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(kafka->producer, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void mock_kafka_event(struct mock_kafka *kafka, const char *topic, int32_t partition, unsigned n,
                      int64_t timestamp)
{
    char text[256];
    int size;

    if (timestamp == 0)
        timestamp = (int64_t)time(NULL) * 1000;
    size = snprintf(text, sizeof(text),
                    "{\"id\":\"%s-%d-%u\",\"type\":\"exposure\",\"user\":\"u%u\",\"time\":%lld,"
                    "\"campaign\":\"c\"}",
                    topic, partition, n, n, (long long)timestamp);
    mock_kafka_produce(kafka, topic, partition, text, (size_t)size, timestamp);
}

rd_kafka_message_t *mock_kafka_first(struct mock_kafka *kafka, const char *topic,
                                     rd_kafka_t **ret_consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *consumer;
    char error[256];

    (void)rd_kafka_conf_set(conf, "bootstrap.servers",
                            rd_kafka_mock_cluster_bootstraps(kafka->cluster), NULL, 0);
    (void)rd_kafka_conf_set(conf, "group.id", "beside", NULL, 0);
    consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    assert_non_null(consumer);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(consumer, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    *ret_consumer = consumer;
    return rd_kafka_consumer_poll(consumer, WAIT_MS);
}

static void print_line(void *userdata, const char *text)
{
    (void)fputs(text, stderr);
}

struct config *mock_kafka_config(const struct mock_kafka *kafka, const char *settings,
                                 const char *targets)
{
    struct config_report report = {.line = print_line};
    char path[] = "/tmp/kpid-test-XXXXXX";
    struct config *config = NULL;
    int fd = mkstemp(path);
    FILE *out;

    assert_true(fd >= 0);
    out = fdopen(fd, "w");
    assert_non_null(out);
    (void)fprintf(out,
                  "kafka:\n  brokers: %s\n  group: test\n%s"
                  "state: {key_file: /nonexistent}\n"
                  "campaigns:\n  - {id: c, start: 2020-01-01, end: 2030-01-01, targets: [%s]}\n",
                  rd_kafka_mock_cluster_bootstraps(kafka->cluster), settings, targets);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(config_load(&config, path, 2, &report), 0);
    (void)unlink(path);
    return config;
}
