/* What the three files of intake/ share. */
#pragma once

#include "intake/intake.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

struct intake {
    rd_kafka_t *consumer;
    rd_kafka_t *producer; /* dead letters; NULL: none */
    rd_kafka_queue_t *events;
    rd_kafka_queue_t *deliveries; /* of the producer */
    rd_kafka_queue_t **queues;    /* by worker */
    unsigned n_workers;
    struct intake_topic {
        char *name;
    } * topics;
    uint32_t n_topics;
    char *dead_letter_topic;
    enum config_start start;
    kpi_time start_time;
    void (*assigned)(void *userdata, const uint32_t *shards, uint32_t n_shards);
    void (*revoked)(void *userdata, bool lost);
    void *userdata;
    int wake[2];
    bool needs_waking, waking;
    pthread_t wake_thread;
    sem_t wake_due; /* posted when `busy` becomes true, and to stop */
    atomic_bool stopping, busy, connected;
    _Atomic int32_t *busy_shard; /* by worker: a shard whose queue was full; -1 none */
    _Atomic uint64_t n_dead_letters, n_dead_letters_failed, n_errors, n_rebalances;
    char error[512];
};

int intake_set_properties(rd_kafka_conf_t *conf, const struct config *config, rd_kafka_type_t type,
                          char *error, size_t size);
int intake_dead_letter_open(struct intake *intake, const struct config *config);
void intake_dead_letter_poll(struct intake *intake);
void intake_dead_letter_close(struct intake *intake);
