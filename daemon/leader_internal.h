/*
 * What leader.c writes to the store and reads from it: states of alerts and messages, which become
 * durable together. Fields under shard 0's key: a:<fingerprint> is a target's state,
 * o:<receiver>:<id> a message that its receiver has not taken yet.
 */
#pragma once

#include "server_internal.h"

struct leader_alert {
    uint64_t fingerprint;
    struct kpi_alert alert;
    /* While it fires: what was told of it last, see sink/alert_body.h; owned. NULL: the state is of
     * a version that did not keep it. */
    char *about;
    uint64_t look; /* the last one that had its target; not stored */
};

struct outbox_message {
    struct outbox_message *next;
    char field[80];
    char id[64];
    char receiver[128];
    uint64_t fingerprint, sequence;
    int64_t created_us;
    char *body;
    size_t size;
};

/* A write under way: new states and messages, or fields to delete. */
struct leader_job {
    struct server_job job;
    uint64_t epoch;
    struct store_field *fields;
    uint32_t n_fields;
    struct leader_alert *updates; /* `about` is NULL once it is taken */
    uint32_t n_updates;
    struct outbox_message *messages; /* in order */
    uint32_t n_delivered;            /* of leader.delivered, from the front */
};

/* NULL: no memory. */
struct leader_job *leader_job_new(struct server *server, uint64_t epoch);
void leader_job_free(struct leader_job *job);

/*
 * These return 0 or -ENOMEM. Bytes are the job's then, or freed; size 0 deletes the field. An alert
 * is copied; a message is the job's, or freed.
 */
int leader_job_add_field(struct leader_job *job, const char *name, void *bytes, size_t size);
int leader_job_add_alert(struct leader_job *job, const struct leader_alert *update);
int leader_job_add_message(struct leader_job *job, struct outbox_message *message);

/* The body is copied. NULL: no memory. */
struct outbox_message *leader_message_new(const char *receiver, const char *id,
                                          uint64_t fingerprint, uint64_t sequence,
                                          int64_t created_us, const char *body, size_t size);

/* The field of a receiver's message. */
void leader_message_field(char ret_field[80], const char *receiver, const char *id);

/* On the store thread: reads alerts and messages into the job; writes its fields. */
int leader_job_load(struct store_job *store_job, struct store *store);
int leader_job_put(struct store_job *store_job, struct store *store);
