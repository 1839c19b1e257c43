/*
 * What the broker says of topics and offsets: the checks before the start, the log's bounds, the
 * place where a new shard begins, and the group's witness.
 */
#include "intake/intake_internal.h"

#include "util/error.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000

static int refuse(struct intake *intake, const char *what, const char *name, const char *why)
{
    (void)snprintf(intake->error, sizeof(intake->error), "%s \"%s\" %s", what, name, why);
    return INTAKE_E_REFUSED;
}

/* Partition count of a topic, or 0 if it does not exist. */
static int topic_partitions(struct intake *intake, const char *name, uint32_t *ret_n)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(intake->consumer, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error;

    error = rd_kafka_metadata(intake->consumer, 0, topic, &metadata, ANSWER_MS);
    rd_kafka_topic_destroy(topic);
    if (error) {
        (void)snprintf(intake->error, sizeof(intake->error), "Kafka does not answer: %s",
                       rd_kafka_err2str(error));
        return INTAKE_E_AWAY;
    }
    *ret_n = 0;
    if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
        *ret_n = (uint32_t)metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* librdkafka's mock cluster does not answer DescribeConfigs, and has no policies. */
static bool on_mock_cluster(struct intake *intake)
{
    char *id = rd_kafka_clusterid(intake->consumer, ANSWER_MS);
    bool mock = id && strncmp(id, "mockCluster", strlen("mockCluster")) == 0;

    if (id)
        rd_kafka_mem_free(intake->consumer, id);
    return mock;
}

/* cleanup.policy of a topic into policy; empty if the broker does not tell (the mock cluster). */
static void topic_policy(struct intake *intake, const char *name, char *policy, size_t size)
{
    rd_kafka_ConfigResource_t *resource;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;

    policy[0] = '\0';
    if (on_mock_cluster(intake))
        return;
    resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    options = rd_kafka_AdminOptions_new(intake->consumer, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    queue = rd_kafka_queue_new(intake->consumer);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, ANSWER_MS, NULL, 0);
    rd_kafka_DescribeConfigs(intake->consumer, &resource, 1, options, queue);
    event = rd_kafka_queue_poll(queue, ANSWER_MS + 1000);
    if (event && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_DescribeConfigs_result_t *result =
            rd_kafka_event_DescribeConfigs_result(event);
        size_t n_resources = 0, n_entries = 0;
        const rd_kafka_ConfigResource_t **resources =
            rd_kafka_DescribeConfigs_result_resources(result, &n_resources);
        const rd_kafka_ConfigEntry_t **entries =
            n_resources ? rd_kafka_ConfigResource_configs(resources[0], &n_entries) : NULL;

        for (size_t i = 0; i < n_entries; i++) {
            if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "cleanup.policy") == 0)
                (void)snprintf(policy, size, "%s", rd_kafka_ConfigEntry_value(entries[i]));
        }
    }
    if (!event || rd_kafka_event_error(event))
        log_warning("cannot see whether the topic is compacted", LOG_STRING("topic", name),
                    LOG_STRING("error", event ? rd_kafka_event_error_string(event) : "no answer"));
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
}

int intake_check(struct intake *intake, uint32_t *ret_n_shards)
{
    uint32_t n_shards = 0, n;
    int r;

    for (uint32_t i = 0; i < intake->n_topics; i++) {
        const char *name = intake->topics[i].name;
        char policy[64];

        r = topic_partitions(intake, name, &n);
        if (r != 0)
            return r;
        if (n == 0)
            return refuse(intake, "topic", name, "does not exist");
        if (n_shards && n != n_shards) {
            (void)snprintf(
                intake->error, sizeof(intake->error),
                "topic \"%s\" has %u partitions and topic \"%s\" has %u: topics are read "
                "together, partition by partition, and need equal counts; re-key one with "
                "`kpid repartition`",
                intake->topics[0].name, n_shards, name, n);
            return INTAKE_E_REFUSED;
        }
        n_shards = n;
        topic_policy(intake, name, policy, sizeof(policy));
        if (strstr(policy, "compact"))
            return refuse(
                intake, "topic", name,
                "is compacted (cleanup.policy=compact): events would vanish from the log, "
                "and a replay would count less; use cleanup.policy=delete");
    }
    if (intake->dead_letter_topic) {
        r = topic_partitions(intake, intake->dead_letter_topic, &n);
        if (r != 0)
            return r;
        if (n == 0)
            return refuse(intake, "dead-letter topic", intake->dead_letter_topic, "does not exist");
    }
    atomic_store(&intake->connected, true);
    *ret_n_shards = n_shards;
    return 0;
}

int intake_bounds(struct intake *intake, uint32_t topic, uint32_t shard, int64_t *ret_low,
                  int64_t *ret_high)
{
    if (rd_kafka_query_watermark_offsets(intake->consumer, intake->topics[topic].name,
                                         (int32_t)shard, ret_low, ret_high, ANSWER_MS))
        return INTAKE_E_AWAY;
    atomic_store(&intake->connected, true);
    return 0;
}

int64_t intake_high(struct intake *intake, uint32_t topic, uint32_t shard)
{
    int64_t low = -1, high = -1;

    if (rd_kafka_get_watermark_offsets(intake->consumer, intake->topics[topic].name, (int32_t)shard,
                                       &low, &high) ||
        high < 0)
        return -1;
    return high;
}

int intake_start(struct intake *intake, uint32_t topic, uint32_t shard, bool again,
                 int64_t *ret_offset)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t error;
    int64_t low, high, offset;
    int r;

    r = intake_bounds(intake, topic, shard, &low, &high);
    if (r != 0)
        return r;
    if (intake->start != CONFIG_START_TIME) {
        *ret_offset = intake->start == CONFIG_START_END && !again ? high : low;
        return 0;
    }
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, intake->topics[topic].name, (int32_t)shard)->offset =
        intake->start_time / KPI_MILLISECOND;
    error = rd_kafka_offsets_for_times(intake->consumer, list, ANSWER_MS);
    if (!error)
        error = list->elems[0].err;
    offset = list->elems[0].offset >= 0 ? list->elems[0].offset : high;
    rd_kafka_topic_partition_list_destroy(list);
    if (error)
        return INTAKE_E_AWAY;
    *ret_offset = offset;
    return 0;
}

int intake_witness(struct intake *intake, uint32_t shard, uint64_t *ret_epoch, bool *ret_exists)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *partition;
    rd_kafka_resp_err_t error;
    char metadata[96] = "";

    partition = rd_kafka_topic_partition_list_add(list, intake->topics[0].name, (int32_t)shard);
    error = rd_kafka_committed(intake->consumer, list, ANSWER_MS);
    if (!error)
        error = partition->err;
    *ret_epoch = 0;
    if (partition->metadata && partition->metadata_size < sizeof(metadata))
        memcpy(metadata, partition->metadata, partition->metadata_size);
    /* Commits of others under this group's name are no witness of a checkpoint of ours. */
    *ret_exists = !error && partition->offset >= 0 && strncmp(metadata, "v1;", 3) == 0;
    if (*ret_exists)
        *ret_epoch = strtoull(metadata + 3, NULL, 10);
    rd_kafka_topic_partition_list_destroy(list);
    return error ? INTAKE_E_AWAY : 0;
}

void intake_commit(struct intake *intake, const struct intake_witness *witnesses, uint32_t n)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)(n * intake->n_topics));

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t topic = 0; topic < intake->n_topics; topic++) {
            rd_kafka_topic_partition_t *partition;
            char metadata[96];

            if (witnesses[i].next[topic] < 0)
                continue;
            partition = rd_kafka_topic_partition_list_add(list, intake->topics[topic].name,
                                                          (int32_t)witnesses[i].shard);
            partition->offset = witnesses[i].next[topic];
            partition->metadata_size = (size_t)snprintf(
                metadata, sizeof(metadata), "v1;%" PRIu64 ";%" PRIu64 ";%" PRId64,
                witnesses[i].epoch, witnesses[i].generation, witnesses[i].next[topic]);
            partition->metadata = strdup(metadata); /* freed with the list */
            if (!partition->metadata)
                partition->metadata_size = 0;
        }
    }
    if (list->cnt > 0)
        (void)rd_kafka_commit(intake->consumer, list, 1); /* advisory: a failure costs nothing */
    rd_kafka_topic_partition_list_destroy(list);
}
