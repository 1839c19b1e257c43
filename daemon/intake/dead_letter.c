/*
 * Dead letters: a refused record goes to its own topic with its bytes, its key and where it came
 * from. At least once: a checkpoint of the shard waits until the broker has acknowledged them, so
 * after a crash a dead letter may come again, never be missing.
 */
#include "intake/intake_internal.h"

#include "util/error.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct intake *intake = opaque;
    _Atomic int64_t *n_pending = message->_private;

    if (message->err) {
        static struct log_limit limit = LOG_LIMIT(3, 60);

        atomic_fetch_add(&intake->n_dead_letters_failed, 1);
        log_limited(&limit, LOG_LEVEL_ERROR, "dead letter not delivered",
                    LOG_FIELDS(LOG_STRING("error", rd_kafka_err2name(message->err))));
    } else {
        atomic_fetch_add(&intake->n_dead_letters, 1);
    }
    atomic_fetch_sub(n_pending, 1);
}

int intake_dead_letter_open(struct intake *intake, const struct config *config)
{
    rd_kafka_conf_t *conf;

    if (!config->kafka.dead_letter_topic)
        return 0;
    intake->dead_letter_topic = strdup(config->kafka.dead_letter_topic);
    if (!intake->dead_letter_topic)
        return error_origin(-ENOMEM);
    conf = rd_kafka_conf_new();
    /* A record of a producer with another idea of the limit must still fit, and one that waits for
     * a broker waits as long as it takes: the checkpoint behind it waits too. */
    (void)rd_kafka_conf_set(conf, "message.max.bytes", "8388608", NULL, 0);
    (void)rd_kafka_conf_set(conf, "message.timeout.ms", "0", NULL, 0);
    if (intake_set_properties(conf, config, RD_KAFKA_PRODUCER, intake->error,
                              sizeof(intake->error)) != 0 ||
        rd_kafka_conf_set(conf, "enable.idempotence", "true", intake->error,
                          sizeof(intake->error)) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "linger.ms", "5", intake->error, sizeof(intake->error)) !=
            RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        return INTAKE_E_REFUSED;
    }
    rd_kafka_conf_set_opaque(conf, intake);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    intake->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, intake->error, sizeof(intake->error));
    if (!intake->producer) {
        rd_kafka_conf_destroy(conf);
        return INTAKE_E_REFUSED;
    }
    intake->deliveries = rd_kafka_queue_get_main(intake->producer);
    rd_kafka_queue_io_event_enable(intake->deliveries, intake->wake[1], "1", 1);
    return 0;
}

void intake_dead_letter(struct intake *intake, const rd_kafka_message_t *message,
                        const char *reason, _Atomic int64_t *n_pending)
{
    char partition[16], offset[24];
    rd_kafka_resp_err_t error;

    if (!intake->producer)
        return;
    (void)snprintf(partition, sizeof(partition), "%d", message->partition);
    (void)snprintf(offset, sizeof(offset), "%lld", (long long)message->offset);
    atomic_fetch_add(n_pending, 1);
    for (;;) {
        error = rd_kafka_producev(
            intake->producer, RD_KAFKA_V_TOPIC(intake->dead_letter_topic),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_VALUE(message->payload, message->len),
            RD_KAFKA_V_KEY(message->key, message->key_len),
            RD_KAFKA_V_HEADER("kpid_reason", reason, -1),
            RD_KAFKA_V_HEADER("kpid_topic", rd_kafka_topic_name(message->rkt), -1),
            RD_KAFKA_V_HEADER("kpid_partition", partition, -1),
            RD_KAFKA_V_HEADER("kpid_offset", offset, -1), RD_KAFKA_V_OPAQUE((void *)n_pending),
            RD_KAFKA_V_END);
        /* A full queue is backpressure: a stream of nothing but bad events goes at the pace of its
         * dead letters. */
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || atomic_load(&intake->stopping))
            break;
        (void)rd_kafka_poll(intake->producer, 10);
    }
    if (error) {
        atomic_fetch_add(&intake->n_dead_letters_failed, 1);
        atomic_fetch_sub(n_pending, 1);
    }
}

void intake_dead_letter_poll(struct intake *intake)
{
    if (intake->producer)
        (void)rd_kafka_poll(intake->producer, 0);
}

void intake_dead_letter_close(struct intake *intake)
{
    if (intake->producer) {
        (void)rd_kafka_flush(intake->producer, 5000);
        rd_kafka_queue_destroy(intake->deliveries);
        rd_kafka_destroy(intake->producer);
    }
    free(intake->dead_letter_topic);
}
