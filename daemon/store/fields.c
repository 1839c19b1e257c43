/* What is not a checkpoint: summaries, the leader's fields, values for other readers. */
#include "store/scripts.h"
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define N_FIELDS_AT_ONCE 64

/* ---- summaries ---- */

int store_put_summary(struct store *store, uint32_t shard, const void *bytes, size_t size)
{
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(&store->redis, "SET");
    redis_addf(&store->redis, STORE_KEY_SUMMARY, store->group, shard);
    r = redis_send_value(&store->redis, bytes, size);
    return r ? r : redis_receive(&store->redis, REDIS_REPLY_STATUS, 0, NULL);
}

int store_get_summary(struct store *store, uint32_t shard, void **ret_bytes, size_t *ret_size)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    void *bytes = NULL;
    size_t size = 0;
    int r;

    r = store_open(store);
    if (r)
        return r;
    redis_begin(&store->redis, "GET");
    redis_addf(&store->redis, STORE_KEY_SUMMARY, store->group, shard);
    r = redis_call(&store->redis, 0, &reply);
    if (r)
        return r;
    if (reply->type == REDIS_REPLY_STRING && reply->len > 0) {
        size = reply->len;
        bytes = malloc(size);
        if (!bytes)
            return -ENOMEM;
        memcpy(bytes, reply->str, size);
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

/* ---- the leader's fields ---- */

int store_put_fields(struct store *store, uint64_t epoch, const struct store_field *fields,
                     uint32_t n_fields)
{
    struct redis *redis = &store->redis;
    int r;

    r = store_open(store);
    if (r)
        return r;
    store_begin_script(store, script_fields, 2);
    redis_addf(redis, STORE_KEY_MANIFEST, store->space, store->group, 0u);
    redis_addf(redis, STORE_KEY_ALERTS, store->group);
    redis_addf(redis, "%" PRIu64, epoch);
    redis_add_string(redis, store->owner);
    for (uint32_t i = 0; i < n_fields; i++) {
        redis_add_string(redis, fields[i].name);
        redis_add(redis, fields[i].bytes, fields[i].size);
    }
    return store_call_durably(store);
}

static int fetch_fields(struct store *store, redisReply **names, size_t n_names, store_field_fn fn,
                        void *userdata)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    struct redis *redis = &store->redis;
    int r;

    redis_begin(redis, "HMGET");
    redis_addf(redis, STORE_KEY_ALERTS, store->group);
    for (size_t i = 0; i < n_names; i++)
        redis_add(redis, names[i]->str, names[i]->len);
    r = redis_call(redis, REDIS_REPLY_ARRAY, &reply);
    for (size_t i = 0; !r && i < n_names && i < reply->elements; i++) {
        struct store_field field = {.bytes = reply->element[i]->str,
                                    .size = reply->element[i]->len};

        /* Empty: deleted, the HDEL was still to come. */
        if (reply->element[i]->type != REDIS_REPLY_STRING || field.size == 0)
            continue;
        if (names[i]->len >= sizeof(field.name))
            continue; /* none of ours */
        memcpy(field.name, names[i]->str, names[i]->len);
        r = fn(userdata, &field);
    }
    return r;
}

/* Names first, then values by the handful: an outbox may be larger than a reply may be. */
int store_get_fields(struct store *store, store_field_fn fn, void *userdata)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *names = NULL;
    int r;

    r = store_open(store);
    if (r)
        return r;
    redis_begin(&store->redis, "HKEYS");
    redis_addf(&store->redis, STORE_KEY_ALERTS, store->group);
    r = redis_call(&store->redis, REDIS_REPLY_ARRAY, &names);
    for (size_t i = 0; !r && i < names->elements; i++)
        if (names->element[i]->type != REDIS_REPLY_STRING)
            r = redis_fail(&store->redis, STORE_E_AWAY, "answers to HKEYS what is none");
    for (size_t i = 0; !r && i < names->elements; i += N_FIELDS_AT_ONCE) {
        size_t n = names->elements - i;

        r = fetch_fields(store, names->element + i, n < N_FIELDS_AT_ONCE ? n : N_FIELDS_AT_ONCE, fn,
                         userdata);
    }
    return r;
}

/* ---- values for other readers ---- */

static int send_values(struct store *store, const char *verb, const char *campaign,
                       const struct store_field *fields, uint32_t n_fields, bool present)
{
    struct redis *redis = &store->redis;

    redis_begin(redis, verb);
    redis_addf(redis, STORE_KEY_VALUES, store->group, campaign);
    for (uint32_t i = 0; i < n_fields; i++) {
        if ((fields[i].size > 0) != present)
            continue;
        redis_add_string(redis, fields[i].name);
        if (present)
            redis_add(redis, fields[i].bytes, fields[i].size);
    }
    return redis_call(redis, REDIS_REPLY_INTEGER, NULL);
}

int store_put_values(struct store *store, const char *campaign, const struct store_field *fields,
                     uint32_t n_fields)
{
    struct redis *redis = &store->redis;
    uint32_t n_present = 0;
    int r;

    r = store_open(store);
    if (r)
        return r;
    for (uint32_t i = 0; i < n_fields; i++)
        n_present += fields[i].size > 0;
    if (n_present > 0)
        r = send_values(store, "HSET", campaign, fields, n_fields, true);
    if (!r && n_present < n_fields)
        r = send_values(store, "HDEL", campaign, fields, n_fields, false);
    if (r)
        return r;
    redis_begin(redis, "PUBLISH");
    redis_addf(redis, STORE_KEY_CHANGES, store->group);
    redis_add_string(redis, campaign);
    return redis_call(redis, REDIS_REPLY_INTEGER, NULL);
}
