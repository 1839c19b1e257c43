/* States of alerts and messages to fields of the store and back. */
#include "leader_internal.h"

#include "util/error.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <inttypes.h>
#include <kpi/object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALERT_VERSION  2 /* 1 has the header only */
#define OUTBOX_VERSION 1

struct leader_job *leader_job_new(struct server *server, uint64_t epoch)
{
    struct leader_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->job.server = server;
    job->epoch = epoch;
    return job;
}

static void message_free(struct outbox_message *message)
{
    free(message->body);
    free(message);
}

void leader_job_free(struct leader_job *job)
{
    while (job->messages) {
        struct outbox_message *message = job->messages;

        job->messages = message->next;
        message_free(message);
    }
    for (uint32_t i = 0; i < job->n_fields; i++)
        free((void *)job->fields[i].bytes);
    for (uint32_t i = 0; i < job->n_updates; i++)
        free(job->updates[i].about);
    free(job->fields);
    free(job->updates);
    free(job);
}

int leader_job_add_field(struct leader_job *job, const char *name, void *bytes, size_t size)
{
    struct store_field *fields = realloc(job->fields, (job->n_fields + 1) * sizeof(*fields));

    if (!fields) {
        free(bytes);
        return error_origin(-ENOMEM);
    }
    job->fields = fields;
    fields[job->n_fields] = (struct store_field){.bytes = bytes, .size = size};
    (void)snprintf(fields[job->n_fields].name, sizeof(fields->name), "%s", name);
    job->n_fields++;
    return 0;
}

struct alert_header {
    uint64_t fingerprint;
    struct kpi_alert alert;
};

/* about: length bytes, copied; 0: none. */
static int add_update(struct leader_job *job, const struct alert_header *header, const char *about,
                      size_t length)
{
    struct leader_alert *updates = realloc(job->updates, (job->n_updates + 1) * sizeof(*updates));
    char *copy = length > 0 ? strndup(about, length) : NULL;

    if (!updates || (length > 0 && !copy)) {
        job->updates = updates ? updates : job->updates;
        free(copy);
        return error_origin(-ENOMEM);
    }
    job->updates = updates;
    updates[job->n_updates++] = (struct leader_alert){
        .fingerprint = header->fingerprint, .alert = header->alert, .about = copy};
    return 0;
}

int leader_job_add_alert(struct leader_job *job, const struct leader_alert *update)
{
    const struct alert_header header = {update->fingerprint, update->alert};
    size_t about_length = update->about ? strlen(update->about) : 0;
    size_t length = sizeof(header) + about_length;
    char *bytes = malloc(KPI_OBJECT_HEADER_BYTES + length);
    char name[32];
    int r;

    if (!bytes)
        return error_origin(-ENOMEM);
    memcpy(bytes + KPI_OBJECT_HEADER_BYTES, &header, sizeof(header));
    if (about_length > 0)
        memcpy(bytes + KPI_OBJECT_HEADER_BYTES + sizeof(header), update->about, about_length);
    kpi_object_seal(bytes, KPI_OBJECT_ALERT, ALERT_VERSION, length);
    (void)snprintf(name, sizeof(name), "a:%016" PRIx64, update->fingerprint);
    r = leader_job_add_field(job, name, bytes, KPI_OBJECT_HEADER_BYTES + length);
    return r < 0 ? error_trace(r) : add_update(job, &header, update->about, about_length);
}

struct outbox_header {
    uint64_t fingerprint, sequence;
    int64_t created_us;
    char receiver[128];
    char id[64];
};

int leader_job_add_message(struct leader_job *job, struct outbox_message *message)
{
    struct outbox_header header = {
        .fingerprint = message->fingerprint,
        .sequence = message->sequence,
        .created_us = message->created_us,
    };
    size_t length = sizeof(header) + message->size;
    char *bytes = malloc(KPI_OBJECT_HEADER_BYTES + length);
    struct outbox_message **end = &job->messages;

    if (!bytes) {
        message_free(message);
        return error_origin(-ENOMEM);
    }
    memcpy(header.receiver, message->receiver, sizeof(header.receiver));
    memcpy(header.id, message->id, sizeof(header.id));
    memcpy(bytes + KPI_OBJECT_HEADER_BYTES, &header, sizeof(header));
    memcpy(bytes + KPI_OBJECT_HEADER_BYTES + sizeof(header), message->body, message->size);
    kpi_object_seal(bytes, KPI_OBJECT_OUTBOX, OUTBOX_VERSION, length);
    while (*end)
        end = &(*end)->next;
    *end = message;
    return leader_job_add_field(job, message->field, bytes, KPI_OBJECT_HEADER_BYTES + length);
}

void leader_message_field(char ret_field[80], const char *receiver, const char *id)
{
    (void)snprintf(ret_field, 80, "o:%016" PRIx64 ":%s",
                   (uint64_t)XXH3_64bits(receiver, strlen(receiver)), id);
}

struct outbox_message *leader_message_new(const char *receiver, const char *id,
                                          uint64_t fingerprint, uint64_t sequence,
                                          int64_t created_us, const char *body, size_t size)
{
    struct outbox_message *message = calloc(1, sizeof(*message));

    if (!message)
        return NULL;
    message->body = malloc(size + 1);
    if (!message->body) {
        free(message);
        return NULL;
    }
    memcpy(message->body, body, size);
    message->size = size;
    message->fingerprint = fingerprint;
    message->sequence = sequence;
    message->created_us = created_us;
    (void)snprintf(message->receiver, sizeof(message->receiver), "%s", receiver);
    (void)snprintf(message->id, sizeof(message->id), "%s", id);
    leader_message_field(message->field, receiver, id);
    return message;
}

/* What the store has of alerts and outbox, read field by field on the store thread. */
static int collect_field(void *userdata, const struct store_field *field)
{
    struct leader_job *job = userdata;
    const void *payload;
    uint16_t version;
    size_t length;

    if (field->name[0] == 'a' &&
        kpi_object_open(field->bytes, field->size, KPI_OBJECT_ALERT, ALERT_VERSION, &version,
                        &payload, &length) == 0 &&
        length >= sizeof(struct alert_header)) {
        struct alert_header header;

        memcpy(&header, payload, sizeof(header));
        return add_update(job, &header, (const char *)payload + sizeof(header),
                          length - sizeof(header));
    }
    if (field->name[0] == 'o' &&
        kpi_object_open(field->bytes, field->size, KPI_OBJECT_OUTBOX, OUTBOX_VERSION, &version,
                        &payload, &length) == 0 &&
        length >= sizeof(struct outbox_header)) {
        struct outbox_header header;
        struct outbox_message *message;

        memcpy(&header, payload, sizeof(header));
        header.receiver[sizeof(header.receiver) - 1] = header.id[sizeof(header.id) - 1] = '\0';
        message = leader_message_new(
            header.receiver, header.id, header.fingerprint, header.sequence, header.created_us,
            (const char *)payload + sizeof(header), length - sizeof(header));
        if (!message)
            return error_origin(-ENOMEM);
        message->next = job->messages;
        job->messages = message;
    }
    return 0;
}

int leader_job_load(struct store_job *store_job, struct store *store)
{
    return store_get_fields(store, collect_field, store_job);
}

int leader_job_put(struct store_job *store_job, struct store *store)
{
    struct leader_job *job = (struct leader_job *)store_job;

    return store_put_fields(store, job->epoch, job->fields, job->n_fields);
}
