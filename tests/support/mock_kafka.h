/*
 * librdkafka's mock cluster in the test's own process: Kafka's protocol without a Kafka. It keeps 5
 * MiB of a partition, and can be told to answer requests with errors.
 */
#pragma once

#include "config/config.h"
#include "intake/intake.h"

#include <librdkafka/rdkafka_mock.h>

#define MOCK_EVENTS  "events"         /* 2 partitions */
#define MOCK_MORE    "more"           /* 2 partitions */
#define MOCK_ODD     "odd"            /* 3 partitions */
#define MOCK_REFUSED "events.refused" /* 1 partition */

struct mock_kafka {
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
};

struct mock_kafka *mock_kafka_new(void);
struct mock_kafka *mock_kafka_free(struct mock_kafka *kafka); /* NULL is fine */

/* Appends a record and waits until it is there. timestamp in ms; 0: now. */
void mock_kafka_produce(struct mock_kafka *kafka, const char *topic, int32_t partition,
                        const char *value, size_t size, int64_t timestamp);
/* An event that counts: of user and id n, at its record's time. */
void mock_kafka_event(struct mock_kafka *kafka, const char *topic, int32_t partition, unsigned n,
                      int64_t timestamp);
/* Reads the first record of a partition; NULL after 10 s. For rd_kafka_message_destroy(). */
rd_kafka_message_t *mock_kafka_first(struct mock_kafka *kafka, const char *topic,
                                     rd_kafka_t **ret_consumer);

/*
 * A configuration for it: settings are lines of the section kafka and sections behind it, targets
 * those of the campaign "c", which lasts from 2020 to 2030, separated by commas. Fails the test if
 * it is bad.
 */
struct config *mock_kafka_config(const struct mock_kafka *kafka, const char *settings,
                                 const char *targets);
