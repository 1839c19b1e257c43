/*
 * Makes events (events.h): lines for `kpid replay`, or records for Kafka.
 *
 *   generate --events 1000000 --users 100000 >events.ndjson
 *   generate --events 4000000 --users 1000000 --brokers 127.0.0.1:9092 --topic bench
 */
#include "events.h"

#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS 86400000LL

struct options {
    uint64_t n_events, seed;
    uint32_t n_users, n_days;
    const char *brokers, *topic, *codec;
};

static int usage(int code)
{
    fprintf(
        code ? stderr : stdout,
        "usage: generate [--events N] [--users N] [--days N] [--seed N]\n"
        "                [--brokers HOST:PORT --topic NAME [--codec none|lz4]]\n"
        "Without brokers, lines on standard output. The events end now and begin days before.\n");
    return code;
}

static uint64_t n_failed;

static void report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *userdata)
{
    if (message->err)
        n_failed++;
}

static rd_kafka_t *open_producer(const struct options *options)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", options->brokers},
        {"enable.idempotence", "true"},
        {"linger.ms", "20"},
        {"batch.size", "131072"},
        {"partitioner", "murmur2_random"},
        {"compression.codec", options->codec},
        {"queue.buffering.max.messages", "500000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *producer;
    char error[256];
    size_t i;

    for (i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error, sizeof(error)) !=
            RD_KAFKA_CONF_OK) {
            fprintf(stderr, "generate: %s\n", error);
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    rd_kafka_conf_set_dr_msg_cb(conf, report);
    producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    if (!producer) {
        fprintf(stderr, "generate: %s\n", error);
        rd_kafka_conf_destroy(conf);
    }
    return producer;
}

static int produce(struct events *events, const struct options *options)
{
    rd_kafka_t *producer = open_producer(options);
    struct events_one one;
    uint64_t i;

    if (!producer)
        return 1;
    for (i = 0; i < options->n_events; i++) {
        rd_kafka_resp_err_t r;

        events_next(events, &one);
        while ((r = rd_kafka_producev(
                    producer, RD_KAFKA_V_TOPIC(options->topic),
                    RD_KAFKA_V_KEY(one.key, one.key_size), RD_KAFKA_V_VALUE(one.value, one.size),
                    RD_KAFKA_V_TIMESTAMP(one.time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer, 100);
        if (r) {
            fprintf(stderr, "generate: %s\n", rd_kafka_err2str(r));
            n_failed++;
            break;
        }
        if (i % 1000 == 0)
            rd_kafka_poll(producer, 0);
    }
    if (rd_kafka_flush(producer, 120000))
        n_failed++;
    rd_kafka_destroy(producer);
    if (n_failed)
        fprintf(stderr, "generate: %llu events were not produced\n", (unsigned long long)n_failed);
    return n_failed ? 1 : 0;
}

static int print(struct events *events, const struct options *options)
{
    struct events_one one;
    uint64_t i;

    for (i = 0; i < options->n_events; i++) {
        events_next(events, &one);
        one.value[one.size] = '\n';
        if (fwrite(one.value, one.size + 1, 1, stdout) != 1)
            return 1;
    }
    return fflush(stdout) ? 1 : 0;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return !errno && end != text && !*end && *text != '-' && *ret_number <= max;
}

/* Returns 0, or the exit code + 1. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"events", required_argument, NULL, 'n'},
        {"users", required_argument, NULL, 'u'},
        {"days", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 's'},
        {"brokers", required_argument, NULL, 'b'},
        {"topic", required_argument, NULL, 't'},
        {"codec", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    uint64_t number;
    bool valid;
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        valid = true;
        switch (c) {
        case 'n':
            valid = parse_number(optarg, 1000000000000, &options->n_events);
            break;
        case 'u':
            valid = parse_number(optarg, 1000000000, &number) && number > 0;
            options->n_users = (uint32_t)number;
            break;
        case 'd':
            valid = parse_number(optarg, 3650, &number) && number > 0;
            options->n_days = (uint32_t)number;
            break;
        case 's':
            valid = parse_number(optarg, UINT64_MAX, &options->seed);
            break;
        case 'b':
            options->brokers = optarg;
            break;
        case 't':
            options->topic = optarg;
            break;
        case 'c':
            options->codec = optarg;
            break;
        case 'h':
            return usage(0) + 1;
        default:
            return usage(64) + 1;
        }
        if (!valid)
            return usage(64) + 1;
    }
    if (optind != argc || !options->brokers != !options->topic)
        return usage(64) + 1;
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .n_events = 1000000, .n_users = 100000, .n_days = 30, .seed = 1, .codec = "none"};
    const int64_t now_ms = (int64_t)time(NULL) * 1000;
    struct events events;
    int r = parse(argc, argv, &options);

    if (r)
        return r - 1;
    events_init(&events, options.seed, options.n_users, options.n_events,
                now_ms - options.n_days * DAY_MS, now_ms);
    return options.brokers ? produce(&events, &options) : print(&events, &options);
}
