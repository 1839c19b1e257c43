/*
 * Shards that wait beside the live ones: see store.h. They have manifests, claims and epochs of
 * their own, so that of two that stage at a time the later one wins, shard by shard, and the
 * announcement is one key: what is there before the last shard is counts as nothing.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define N_UNLINK_MAX 500

/* KEYS: m. ARGV: claim. */
static const char script_unstage[] = "if redis.call('HGET', KEYS[1], 'claim') == ARGV[1] then\n"
                                     "  redis.call('UNLINK', KEYS[1])\n"
                                     "end\n"
                                     "return 0\n";

void store_use_staged(struct store *store, bool staged)
{
    store->space = staged ? STORE_SPACE_STAGED : "";
}

int store_expire_staged(struct store *store, uint32_t shard)
{
    struct redis *redis = &store->redis;

    redis_begin(redis, "EXPIRE");
    redis_addf(redis, STORE_KEY_MANIFEST, STORE_SPACE_STAGED, store->group, shard);
    redis_addf(redis, "%d", STORE_STAGED_SECONDS);
    return redis_call(redis, REDIS_REPLY_INTEGER, NULL);
}

int store_staged_announce(struct store *store, uint64_t fold)
{
    struct redis *redis = &store->redis;
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(redis, "SETEX");
    redis_addf(redis, STORE_KEY_STAGED, store->group);
    redis_addf(redis, "%d", STORE_STAGED_SECONDS);
    redis_addf(redis, "%016" PRIx64, fold);
    return redis_call(redis, REDIS_REPLY_STATUS, NULL);
}

int store_staged_withdraw(struct store *store)
{
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(&store->redis, "UNLINK");
    redis_addf(&store->redis, STORE_KEY_STAGED, store->group);
    return redis_call(&store->redis, REDIS_REPLY_INTEGER, NULL);
}

int store_staged_find(struct store *store, bool *ret_there, uint64_t *ret_fold)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(&store->redis, "GET");
    redis_addf(&store->redis, STORE_KEY_STAGED, store->group);
    r = redis_call(&store->redis, 0, &reply);
    if (r)
        return r;
    *ret_there =
        reply->type == REDIS_REPLY_STRING && sscanf(reply->str, "%16" SCNx64, ret_fold) == 1;
    return 0;
}

int store_staged_claim(struct store *store, uint32_t shard, uint64_t *ret_claim)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(&store->redis, "HMGET");
    redis_addf(&store->redis, STORE_KEY_MANIFEST, STORE_SPACE_STAGED, store->group, shard);
    redis_add_string(&store->redis, "claim");
    redis_add_string(&store->redis, "plan"); /* comes with the state */
    r = redis_call(&store->redis, REDIS_REPLY_ARRAY, &reply);
    if (r)
        return r;
    *ret_claim = 0;
    if (reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING)
        (void)sscanf(reply->element[0]->str, "%16" SCNx64, ret_claim);
    return 0;
}

/* The manifest goes first: whoever reads it finds all objects, or none. */
static int unlink_manifest(struct store *store, const struct store_manifest *manifest)
{
    struct redis *redis = &store->redis;

    store_begin_script(store, script_unstage, 1);
    redis_addf(redis, STORE_KEY_MANIFEST, STORE_SPACE_STAGED, store->group, manifest->shard);
    redis_addf(redis, "%016" PRIx64, manifest->claim);
    return redis_call(redis, REDIS_REPLY_INTEGER, NULL);
}

static int unlink_objects(struct store *store, const struct store_manifest *manifest)
{
    struct redis *redis = &store->redis;
    int r = 0;

    /* Their names contain the claim: nobody else's are meant. */
    for (uint32_t i = 0; i < manifest->n_objects && r == 0; i += N_UNLINK_MAX) {
        redis_begin(redis, "UNLINK");
        for (uint32_t k = i; k < manifest->n_objects && k < i + N_UNLINK_MAX; k++)
            redis_addf(redis, STORE_KEY_OBJECT, STORE_SPACE_STAGED, store->group, manifest->shard,
                       manifest->objects[k].name, manifest->objects[k].generation,
                       manifest->objects[k].claim);
        r = redis_call(redis, REDIS_REPLY_INTEGER, NULL);
    }
    return r;
}

int store_staged_remove(struct store *store, uint32_t shard, uint64_t claim)
{
    KPI_CLEANUP(store_manifest_freep) struct store_manifest *manifest = NULL;
    const char *space = store->space;
    int r;

    store_use_staged(store, true);
    r = store_peek(store, shard, &manifest);
    store->space = space;
    if (r || (claim && manifest->claim != claim))
        return r;
    r = unlink_manifest(store, manifest);
    return r ? r : unlink_objects(store, manifest);
}
