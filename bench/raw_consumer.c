/*
 * The least that a consumer of a topic can do: poll batches, count bytes, free. What kpid costs is
 * shown beside this. Reads every partition from its begin to the end that it had at the start.
 *
 *   raw_consumer BROKERS TOPIC
 *
 * Prints one line of JSON: events, bytes, seconds (from the first event), cpu_seconds (of the
 * process).
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#ifdef HAVE_MIMALLOC
#include <mimalloc.h>
#endif

enum {
    BATCH = 1000,
    TIMEOUT_MS = 10000,
};

struct progress {
    uint64_t n_events, n_bytes;
    int64_t *ends; /* per partition; -1: reached */
    int n_left;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/*
 * The properties are those of kpid, so that only the work differs; but for its short queue, which
 * is part of how kpid works.
 */
static rd_kafka_t *open_consumer(const char *brokers)
{
    const char *const properties[][2] = {
        {"bootstrap.servers", brokers},  {"group.id", "raw-consumer"},
        {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},  {"isolation.level", "read_committed"},
        {"check.crcs", "true"},          {"enable.partition.eof", "true"},
        {"fetch.wait.max.ms", "100"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *consumer;
    char error[256];
    size_t i;

    for (i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error, sizeof(error)) !=
            RD_KAFKA_CONF_OK) {
            fprintf(stderr, "raw_consumer: %s\n", error);
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    if (!consumer) {
        fprintf(stderr, "raw_consumer: %s\n", error);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

/* Assigns all partitions from their begin and notes their ends. */
static bool assign(rd_kafka_t *consumer, const char *topic, struct progress *progress)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer, topic, NULL);
    bool good = false;
    int i;

    if (rd_kafka_metadata(consumer, 0, handle, &metadata, TIMEOUT_MS))
        goto out;
    progress->n_left = metadata->topics[0].partition_cnt;
    progress->ends = calloc((size_t)progress->n_left + 1, sizeof(*progress->ends));
    for (i = 0; progress->ends && i < metadata->topics[0].partition_cnt; i++) {
        int64_t low;

        if (rd_kafka_query_watermark_offsets(consumer, topic, i, &low, &progress->ends[i],
                                             TIMEOUT_MS))
            break;
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = low;
    }
    good = progress->n_left > 0 && i == metadata->topics[0].partition_cnt &&
           !rd_kafka_assign(consumer, list);
    rd_kafka_metadata_destroy(metadata);
out:
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_destroy(handle);
    return good;
}

static void count(struct progress *progress, const rd_kafka_message_t *message)
{
    int64_t *end = &progress->ends[message->partition];

    if (!message->err) {
        progress->n_events++;
        progress->n_bytes += message->len;
    }
    if (*end >= 0 && (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
                      (!message->err && message->offset + 1 >= *end))) {
        *end = -1;
        progress->n_left--;
    }
}

int main(int argc, char **argv)
{
    rd_kafka_message_t *batch[BATCH];
    struct progress progress = {0};
    double began = 0, ended;
    rd_kafka_queue_t *queue;
    rd_kafka_t *consumer;
    ssize_t n, i;

    if (argc != 3) {
        fprintf(stderr, "usage: raw_consumer BROKERS TOPIC\n");
        return 64;
    }
#ifdef HAVE_MIMALLOC
    /* Links the allocator that kpid uses, in the place of malloc(). */
    (void)mi_version();
#endif
    consumer = open_consumer(argv[1]);
    if (!consumer || !assign(consumer, argv[2], &progress)) {
        fprintf(stderr, "raw_consumer: cannot read %s of %s\n", argv[2], argv[1]);
        return 1;
    }
    queue = rd_kafka_queue_get_consumer(consumer);
    while (progress.n_left > 0) {
        n = rd_kafka_consume_batch_queue(queue, 10, batch, BATCH);
        for (i = 0; i < n; i++) {
            count(&progress, batch[i]);
            rd_kafka_message_destroy(batch[i]);
        }
        if (began == 0 && progress.n_events > 0)
            began = now();
    }
    ended = now();
    printf("{\"events\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
           (unsigned long long)progress.n_events, (unsigned long long)progress.n_bytes,
           ended - began, cpu_seconds());
    free(progress.ends);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(consumer);
    return 0;
}
