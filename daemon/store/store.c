/* The store itself: opening, what all calls share, and whether this server will do. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GROUP_BYTES_MAX  200
#define IDENTITY_VERSION 1

/* ---- life ---- */

static const char *judge_group(const char *group)
{
    size_t length = strlen(group);

    if (length == 0 || length > GROUP_BYTES_MAX)
        return "the name of the group has 1 to 200 bytes";
    for (size_t i = 0; i < length; i++)
        if (group[i] == '{' || group[i] == '}' || (unsigned char)group[i] < 0x20 ||
            group[i] == 0x7f)
            return "the name of the group must not contain { } or control characters";
    return NULL;
}

int store_new(struct store **ret_store, const struct store_options *options)
{
    struct store *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return -ENOMEM;
    r = redis_init(&store->redis, options);
    store->group = strdup(options->group ? options->group : "");
    store->owner = strdup(options->owner ? options->owner : "");
    if (r || !store->group || !store->owner) {
        (void)store_free(store);
        return -ENOMEM;
    }
    if (!store->redis.invalid)
        store->redis.invalid = judge_group(store->group);
    store->space = "";
    store->n_replicas = options->n_replicas;
    store->wait_timeout_us = options->wait_timeout_us > 0 ? options->wait_timeout_us : 500000;
    *ret_store = store;
    return 0;
}

struct store *store_free(struct store *store)
{
    if (store) {
        redis_deinit(&store->redis);
        free(store->group);
        free(store->owner);
        free(store);
    }
    return NULL;
}

const char *store_error(const struct store *store)
{
    return store->redis.error;
}

void store_stats(const struct store *store, struct store_stats *ret_stats)
{
    const struct redis *redis = &store->redis;
    uint64_t n_opened = atomic_load_explicit(&redis->n_opened, memory_order_relaxed);

    *ret_stats = (struct store_stats){
        .up = atomic_load_explicit(&redis->up, memory_order_relaxed),
        .n_commands = atomic_load_explicit(&redis->n_commands, memory_order_relaxed),
        .n_errors = atomic_load_explicit(&redis->n_errors, memory_order_relaxed),
        .n_reconnects = n_opened > 0 ? n_opened - 1 : 0,
        .n_rollbacks = atomic_load_explicit(&store->n_rollbacks, memory_order_relaxed),
        .seconds = (double)atomic_load_explicit(&redis->busy_us, memory_order_relaxed) / 1e6,
    };
}

/* ---- what the calls share ---- */

int store_open(struct store *store)
{
    return redis_open(&store->redis);
}

void store_begin_script(struct store *store, const char *script, unsigned n_keys)
{
    redis_begin(&store->redis, "EVAL");
    redis_add_string(&store->redis, script);
    redis_addf(&store->redis, "%u", n_keys);
}

static int receive_wait(struct store *store)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int r;

    r = redis_receive(&store->redis, REDIS_REPLY_INTEGER, store->wait_timeout_us, &reply);
    if (r)
        return r;
    if (reply->integer < (long long)store->n_replicas)
        return redis_fail(&store->redis, STORE_E_AWAY,
                          "written, but only %lld of %u replicas have it", reply->integer,
                          store->n_replicas);
    return 0;
}

int store_call_durably(struct store *store)
{
    struct redis *redis = &store->redis;
    int r, wait;

    r = redis_send(redis);
    if (!r && store->n_replicas > 0) {
        redis_begin(redis, "WAIT");
        redis_addf(redis, "%u", store->n_replicas);
        redis_addf(redis, "%" PRId64, (store->wait_timeout_us + 999) / 1000);
        r = redis_send(redis);
    }
    if (r)
        return r;
    r = redis_receive(redis, REDIS_REPLY_STATUS, 0, NULL);
    if (r == STORE_E_ROLLBACK)
        atomic_fetch_add_explicit(&store->n_rollbacks, 1, memory_order_relaxed);
    if (store->n_replicas > 0 && redis->context) {
        if (r) {
            /* The reply of WAIT is of no interest, but it is on its way. */
            (void)redis_receive(redis, 0, store->wait_timeout_us, NULL);
        } else {
            wait = receive_wait(store);
            r = wait;
        }
    }
    return r;
}

/* ---- is this server fit? ---- */

/* The value of "name:" in the text of INFO; false if it is not there. */
static bool find_info(const char *info, const char *name, char *ret_value, size_t size)
{
    size_t length = strlen(name);

    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;

            (void)snprintf(ret_value, size, "%.*s", (int)strcspn(value, "\r\n"), value);
            return true;
        }
    }
    return false;
}

static int judge_version(struct redis *redis, const char *info)
{
    char version[32];
    unsigned major = 0, minor = 0;

    if (find_info(info, "redis_version", version, sizeof(version)) &&
        sscanf(version, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 2)))
        return redis_fail(redis, STORE_E_REFUSED, "is version %s; 6.2 is the least that will do",
                          version);
    return 0;
}

static int judge_info(struct redis *redis, const char *info, bool *ret_durable)
{
    char value[64];
    int r;

    r = judge_version(redis, info);
    if (r)
        return r;
    if (find_info(info, "loading", value, sizeof(value)) && strcmp(value, "1") == 0)
        return redis_fail(redis, STORE_E_AWAY, "LOADING its data from disk");
    if (find_info(info, "role", value, sizeof(value)) && strcmp(value, "master") != 0)
        return redis_fail(redis, STORE_E_REFUSED, "is a replica; name the primary");
    if (find_info(info, "cluster_enabled", value, sizeof(value)) && strcmp(value, "1") == 0)
        return redis_fail(redis, STORE_E_REFUSED, "is a cluster; kpid needs a single primary");
    if (!find_info(info, "maxmemory_policy", value, sizeof(value)))
        return redis_fail(redis, STORE_E_REFUSED, "does not tell its maxmemory-policy in INFO");
    if (strcmp(value, "noeviction") != 0)
        return redis_fail(redis, STORE_E_REFUSED,
                          "has maxmemory-policy %s and would drop state when it is full; set "
                          "maxmemory-policy noeviction",
                          value);
    *ret_durable = find_info(info, "aof_enabled", value, sizeof(value)) && strcmp(value, "1") == 0;
    return 0;
}

static int check_info(struct redis *redis, bool *ret_durable)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int r;

    redis_begin(redis, "INFO");
    r = redis_call(redis, REDIS_REPLY_STRING, &reply);
    return r ? r : judge_info(redis, reply->str, ret_durable);
}

static int check_scripts(struct store *store)
{
    store_begin_script(store, "return 1", 0);
    return redis_call(&store->redis, REDIS_REPLY_INTEGER, NULL);
}

/* The first one leaves the identity, the others compare theirs with it. */
static int check_identity(struct store *store, uint64_t key_fingerprint)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    struct redis *redis = &store->redis;
    unsigned version;
    uint64_t stored;
    int r;

    redis_begin(redis, "SET");
    redis_addf(redis, STORE_KEY_IDENTITY, store->group);
    redis_addf(redis, "v%u %016" PRIx64, IDENTITY_VERSION, key_fingerprint);
    redis_add_string(redis, "NX");
    r = redis_call(redis, 0, NULL);
    if (r)
        return r;
    redis_begin(redis, "GET");
    redis_addf(redis, STORE_KEY_IDENTITY, store->group);
    r = redis_call(redis, 0, &reply);
    if (r)
        return r;
    if (reply->type != REDIS_REPLY_STRING ||
        sscanf(reply->str, "v%u %16" SCNx64, &version, &stored) != 2)
        return redis_fail(redis, STORE_E_REFUSED,
                          "the identity of group %s cannot be read; is the key used by others?",
                          store->group);
    if (version != IDENTITY_VERSION)
        return redis_fail(redis, STORE_E_REFUSED,
                          "the state of group %s is in format %u, this kpid knows format %d",
                          store->group, version, IDENTITY_VERSION);
    if (stored != key_fingerprint)
        return redis_fail(
            redis, STORE_E_REFUSED,
            "the state of group %s was made with another secret key; use the key file "
            "it was made with, or another group",
            store->group);
    return 0;
}

int store_check(struct store *store, uint64_t key_fingerprint, bool *ret_durable)
{
    bool durable = false;
    int r;

    r = store_open(store);
    if (!r)
        r = check_info(&store->redis, &durable);
    if (!r)
        r = check_scripts(store);
    if (!r)
        r = check_identity(store, key_fingerprint);
    if (!r)
        *ret_durable = durable;
    return r;
}
