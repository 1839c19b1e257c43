/* Shards: claimed, read, committed and swept. The rules stand in design section 8 and in scripts.h.
 */
#include "store/scripts.h"
#include "store/store_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define N_IN_FLIGHT_MAX     4
#define IN_FLIGHT_BYTES_MAX ((size_t)4 << 20)
#define OBJECT_BYTES_MAX    ((size_t)60 << 20) /* could not be read back: REDIS_REPLY_BYTES_MAX */
#define N_CLEAN_MAX         500 /* objects that one script looks at: a fraction of a millisecond */

/* ---- claim, peek ---- */

static int receive_manifest(struct store *store, uint32_t shard,
                            struct store_manifest **ret_manifest)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int r = redis_call(&store->redis, REDIS_REPLY_ARRAY, &reply);

    return r ? r : store_manifest_decode(ret_manifest, shard, reply);
}

int store_claim(struct store *store, uint32_t shard, uint64_t epoch_min,
                struct store_manifest **ret_manifest)
{
    struct redis *redis = &store->redis;
    uint64_t claim;
    int r;

    r = store_open(store);
    if (r)
        return r;
    if (getrandom(&claim, sizeof(claim), 0) != (ssize_t)sizeof(claim))
        return -EIO;
    store_begin_script(store, script_claim, 1);
    redis_addf(redis, STORE_KEY_MANIFEST, store->space, store->group, shard);
    redis_addf(redis, "%" PRIu64, epoch_min);
    redis_add_string(redis, store->owner);
    redis_addf(redis, "%016" PRIx64, claim);
    r = receive_manifest(store, shard, ret_manifest);
    if (r || !store_is_staged(store))
        return r;
    r = store_expire_staged(store, shard);
    if (r)
        store_manifest_freep(ret_manifest);
    return r;
}

int store_peek(struct store *store, uint32_t shard, struct store_manifest **ret_manifest)
{
    int r = store_open(store);

    if (r)
        return r;
    redis_begin(&store->redis, "HGETALL");
    redis_addf(&store->redis, STORE_KEY_MANIFEST, store->space, store->group, shard);
    return receive_manifest(store, shard, ret_manifest);
}

/* ---- load ---- */

static int send_get(struct store *store, uint32_t shard, const struct store_manifest_object *object)
{
    redis_begin(&store->redis, "GET");
    redis_addf(&store->redis, STORE_KEY_OBJECT, store->space, store->group, shard, object->name,
               object->generation, object->claim);
    return redis_send(&store->redis);
}

/* An object is not there: is that damage, or is the manifest in our hands an old one? */
static int explain_missing(struct store *store, const struct store_manifest *manifest,
                           const char *name)
{
    KPI_CLEANUP(store_manifest_freep) struct store_manifest *now = NULL;
    struct redis *redis = &store->redis;
    int r;

    redis_close(redis); /* other replies are still on their way */
    r = store_peek(store, manifest->shard, &now);
    if (r)
        return r;
    if (now->epoch > manifest->epoch ||
        (now->epoch == manifest->epoch && now->claim != manifest->claim))
        return redis_fail(redis, STORE_E_FENCED,
                          "epoch %" PRIu64 " took the place of epoch %" PRIu64, now->epoch,
                          manifest->epoch);
    if (now->epoch < manifest->epoch || now->generation < manifest->generation) {
        atomic_fetch_add_explicit(&store->n_rollbacks, 1, memory_order_relaxed);
        return redis_fail(redis, STORE_E_ROLLBACK,
                          "shard %u is at epoch %" PRIu64 " generation %" PRIu64
                          ", seen were %" PRIu64 " and %" PRIu64,
                          manifest->shard, now->epoch, now->generation, manifest->epoch,
                          manifest->generation);
    }
    if (now->generation > manifest->generation)
        return redis_fail(redis, STORE_E_AWAY, "shard %u was committed anew while it was read",
                          manifest->shard);
    return redis_fail(redis, STORE_E_CORRUPT, "object %s of shard %u is missing", name,
                      manifest->shard);
}

static int receive_object(struct store *store, const struct store_manifest *manifest,
                          const struct store_manifest_object *object, kpi_object_fn fn,
                          void *userdata)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    struct redis *redis = &store->redis;
    int r;

    r = redis_receive(redis, 0, 0, &reply);
    if (r)
        return r;
    if (reply->type != REDIS_REPLY_STRING)
        return explain_missing(store, manifest, object->name);
    r = fn(userdata, &(struct kpi_object){
                         .name = {object->name, strlen(object->name)},
                         .data = reply->str,
                         .size = reply->len,
                     });
    if (r > 0)
        return redis_fail(redis, STORE_E_CORRUPT, "object %s of shard %u is not what was saved",
                          object->name, manifest->shard);
    return r;
}

int store_load(struct store *store, const struct store_manifest *manifest, kpi_object_fn fn,
               void *userdata)
{
    uint32_t n_sent = 0;
    int r;

    r = store_open(store);
    if (r)
        return r;
    if (manifest->damaged)
        return redis_fail(&store->redis, STORE_E_CORRUPT, "the manifest of shard %u is damaged",
                          manifest->shard);
    for (uint32_t i = 0; i < manifest->n_objects; i++) {
        while (n_sent < manifest->n_objects && n_sent < i + N_IN_FLIGHT_MAX) {
            r = send_get(store, manifest->shard, &manifest->objects[n_sent++]);
            if (r)
                return r;
        }
        r = receive_object(store, manifest, &manifest->objects[i], fn, userdata);
        if (r) {
            redis_close(&store->redis); /* other replies may be on their way */
            return r;
        }
    }
    return 0;
}

/* ---- commit ---- */

/* Objects on their way to Redis whose OK has not come yet, oldest first. */
struct in_flight {
    size_t sizes[N_IN_FLIGHT_MAX];
    unsigned first, n;
    size_t bytes;
};

static int receive_ok(struct store *store, struct in_flight *in_flight)
{
    in_flight->bytes -= in_flight->sizes[in_flight->first];
    in_flight->first = (in_flight->first + 1) % N_IN_FLIGHT_MAX;
    in_flight->n--;
    return redis_receive(&store->redis, REDIS_REPLY_STATUS, 0, NULL);
}

static int check_sizes(struct store *store, const struct store_commit *commit)
{
    for (uint32_t i = 0; i < commit->n_objects; i++) {
        const struct kpi_object *object = &commit->objects[i];

        if (object->size > OBJECT_BYTES_MAX)
            return redis_fail(&store->redis, STORE_E_REFUSED,
                              "object %.*s of shard %u has %zu bytes, more than the 60 MiB allowed",
                              (int)object->name.length, object->name.data, commit->shard,
                              object->size);
    }
    return 0;
}

static int send_set(struct store *store, const struct store_manifest *manifest,
                    const struct store_commit *commit, const struct kpi_object *object,
                    struct in_flight *in_flight)
{
    char name[33];

    (void)snprintf(name, sizeof(name), "%.*s", (int)object->name.length, object->name.data);
    in_flight->sizes[(in_flight->first + in_flight->n) % N_IN_FLIGHT_MAX] = object->size;
    in_flight->bytes += object->size;
    in_flight->n++;
    redis_begin(&store->redis, store_is_staged(store) ? "SETEX" : "SET");
    redis_addf(&store->redis, STORE_KEY_OBJECT, store->space, store->group, commit->shard, name,
               commit->generation, manifest->claim);
    if (store_is_staged(store))
        redis_addf(&store->redis, "%d", STORE_STAGED_SECONDS);
    return redis_send_value(&store->redis, object->data, object->size);
}

/*
 * Step 1. Nothing is named yet by the manifest: whatever goes wrong here leaves orphans and no
 * more. After an error the answers still on their way are taken in, so that the connection can be
 * kept.
 */
static int put_objects(struct store *store, const struct store_manifest *manifest,
                       const struct store_commit *commit)
{
    struct in_flight in_flight = {.n = 0};
    int r = 0, late;

    for (uint32_t i = 0; i < commit->n_objects && !r; i++) {
        const struct kpi_object *object = &commit->objects[i];

        if (!object->data)
            continue;
        while (!r && in_flight.n > 0 &&
               (in_flight.n == N_IN_FLIGHT_MAX ||
                in_flight.bytes + object->size > IN_FLIGHT_BYTES_MAX))
            r = receive_ok(store, &in_flight);
        if (!r)
            r = send_set(store, manifest, commit, object, &in_flight);
    }
    while (in_flight.n > 0 && store->redis.context) {
        late = receive_ok(store, &in_flight);
        r = r ? r : late;
    }
    return r;
}

static void add_positions(struct redis *redis, const struct store_commit *commit)
{
    char text[STORE_POSITION_BYTES];

    for (uint32_t i = 0; i < commit->n_positions; i++) {
        redis_addf(redis, "p:%s", commit->positions[i].topic);
        store_position_encode(&commit->positions[i], text);
        redis_add_string(redis, text);
    }
}

static void add_objects(struct redis *redis, const struct store_manifest *manifest,
                        const struct store_commit *commit)
{
    for (uint32_t i = 0; i < commit->n_objects; i++) {
        const struct kpi_object *object = &commit->objects[i];

        redis_addf(redis, "o:%.*s", (int)object->name.length, object->name.data);
        if (object->data)
            redis_addf(redis, STORE_VERSION, commit->generation, manifest->claim);
        else
            redis_add_string(redis, "0");
    }
}

/*
 * Step 2. What does not fit into one HSET is bracketed by the field `writing`; a manifest in which
 * it is not 0 counts as damaged, should Redis ever stop between the two.
 */
static int move_manifest(struct store *store, const struct store_manifest *manifest,
                         const struct store_commit *commit)
{
    uint64_t n_arguments = 2 * ((uint64_t)commit->n_positions + commit->n_objects + 7);
    bool bracket = n_arguments > STORE_SCRIPT_ARGUMENTS_MAX;
    struct redis *redis = &store->redis;

    store_begin_script(store, script_commit, 1);
    redis_addf(redis, STORE_KEY_MANIFEST, store->space, store->group, commit->shard);
    redis_addf(redis, "%" PRIu64, commit->epoch);
    redis_addf(redis, "%016" PRIx64, manifest->claim);
    redis_addf(redis, "%" PRIu64, manifest->generation);
    redis_addf(redis, "%" PRIu64, commit->generation);
    redis_add_string(redis, commit->replace ? "1" : "0");
    redis_addf(redis, "%u", commit->n_positions);
    add_positions(redis, commit);
    if (bracket) {
        redis_add_string(redis, "writing");
        redis_addf(redis, "%" PRIu64, commit->generation);
    }
    if (commit->replace) {
        redis_add_string(redis, "epoch");
        redis_addf(redis, "%" PRIu64, commit->epoch);
        redis_add_string(redis, "owner");
        redis_add_string(redis, store->owner);
        redis_add_string(redis, "claim");
        redis_addf(redis, "%016" PRIx64, manifest->claim);
    }
    add_objects(redis, manifest, commit);
    redis_add_string(redis, "generation");
    redis_addf(redis, "%" PRIu64, commit->generation);
    redis_add_string(redis, "plan");
    redis_addf(redis, "%016" PRIx64, commit->plan);
    if (bracket) {
        redis_add_string(redis, "writing");
        redis_add_string(redis, "0");
    }
    return store_call_durably(store);
}

/* ---- clean ---- */

/* The script takes keys first and arguments after them, so it is built from a list. */
struct garbage {
    uint32_t n;
    struct garbage_object {
        char name[33];
        char version[48];
    } objects[N_CLEAN_MAX];
};

static int clean(struct store *store, const struct store_manifest *manifest,
                 struct garbage *garbage)
{
    struct redis *redis = &store->redis;

    if (garbage->n == 0)
        return 0;
    store_begin_script(store, script_clean, 1 + garbage->n);
    redis_addf(redis, STORE_KEY_MANIFEST, store->space, store->group, manifest->shard);
    for (uint32_t i = 0; i < garbage->n; i++)
        redis_addf(redis, STORE_KEY_OBJECTS "%s:%s", store->space, store->group, manifest->shard,
                   garbage->objects[i].name, garbage->objects[i].version);
    redis_addf(redis, "%" PRIu64, manifest->epoch);
    redis_addf(redis, "%016" PRIx64, manifest->claim);
    for (uint32_t i = 0; i < garbage->n; i++) {
        redis_add_string(redis, garbage->objects[i].name);
        redis_add_string(redis, garbage->objects[i].version);
    }
    garbage->n = 0;
    return redis_call(redis, REDIS_REPLY_INTEGER, NULL);
}

static int discard(struct store *store, const struct store_manifest *manifest,
                   struct garbage *garbage, const char *name, uint64_t generation, uint64_t claim)
{
    struct garbage_object *object = &garbage->objects[garbage->n++];

    (void)snprintf(object->name, sizeof(object->name), "%s", name);
    (void)snprintf(object->version, sizeof(object->version), STORE_VERSION, generation, claim);
    return garbage->n == N_CLEAN_MAX ? clean(store, manifest, garbage) : 0;
}

static const struct store_manifest_object *find_object(const struct store_manifest *manifest,
                                                       const char *name)
{
    uint32_t low = 0, high = manifest->n_objects;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(name, manifest->objects[middle].name);

        if (order == 0)
            return &manifest->objects[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/*
 * Step 3: the versions that `next` no longer names, and the tombstones of the commit. Done as far
 * as it goes; what remains is swept by the next owner.
 */
static int clean_after_commit(struct store *store, const struct store_manifest *manifest,
                              const struct store_manifest *next, const struct store_commit *commit)
{
    struct garbage *garbage = calloc(1, sizeof(*garbage));
    int r = garbage ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < manifest->n_objects && !r; i++) {
        const struct store_manifest_object *old = &manifest->objects[i];
        const struct store_manifest_object *new = find_object(next, old->name);

        if (!new || new->generation != old->generation || new->claim != old->claim)
            r = discard(store, next, garbage, old->name, old->generation, old->claim);
    }
    for (uint32_t i = 0; i < commit->n_objects && !r; i++) {
        const struct kpi_object *object = &commit->objects[i];
        char name[33];

        if (object->data)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)object->name.length, object->name.data);
        if (!find_object(manifest, name))
            r = discard(store, next, garbage, name, commit->generation, manifest->claim);
    }
    if (!r)
        r = clean(store, next, garbage);
    free(garbage);
    return r;
}

static void check_commit(const struct store_manifest *manifest, const struct store_commit *commit)
{
    assert(manifest->shard == commit->shard);
    assert(manifest->epoch == commit->epoch);
    assert(commit->generation > manifest->generation);
    for (uint32_t i = 0; i < commit->n_objects; i++) {
        assert(commit->objects[i].name.length > 0);
        assert(commit->objects[i].name.length <= 32);
    }
}

int store_commit(struct store *store, struct store_manifest *manifest,
                 const struct store_commit *commit)
{
    KPI_CLEANUP(store_manifest_freep) struct store_manifest *next = NULL;
    struct store_manifest old;
    int r;

    check_commit(manifest, commit);
    r = store_manifest_apply(manifest, commit, &next);
    if (r)
        return r;
    r = store_open(store);
    if (r)
        return r;
    r = check_sizes(store, commit);
    if (r)
        return r;
    r = put_objects(store, manifest, commit);
    if (r)
        return r;
    r = move_manifest(store, manifest, commit);
    if (r)
        return r;
    old = *manifest;
    *manifest = *next;
    *next = old;
    /* Orphans are no failure of the commit, and a lost connection tells the next call itself. */
    (void)clean_after_commit(store, next, manifest, commit);
    return store_is_staged(store) ? store_expire_staged(store, commit->shard) : 0;
}

/* ---- sweep ---- */

/* The pattern of SCAN for this shard's objects: the group may contain what SCAN takes for
 * wildcards. */
static void add_pattern(struct store *store, uint32_t shard)
{
    char escaped[2 * 200 + 1];
    size_t n = 0;

    for (const char *c = store->group; *c; c++) {
        if (strchr("*?[]\\", *c))
            escaped[n++] = '\\';
        escaped[n++] = *c;
    }
    escaped[n] = '\0';
    redis_addf(&store->redis, STORE_KEY_OBJECTS "*", store->space, escaped, shard);
}

/* Takes "<name>:<version>" apart; false if that is not what it is. */
static bool parse_object_key(const char *text, char *ret_name, uint64_t *ret_generation,
                             uint64_t *ret_claim)
{
    size_t length = strcspn(text, ":");

    if (text[length] != ':' || length == 0 || length > 32)
        return false;
    memcpy(ret_name, text, length);
    ret_name[length] = '\0';
    return store_version_decode(text + length + 1, ret_generation, ret_claim);
}

static int sweep_keys(struct store *store, const struct store_manifest *manifest,
                      struct garbage *garbage, const redisReply *keys)
{
    char prefix[256];
    size_t length;
    int r = 0;

    length = (size_t)snprintf(prefix, sizeof(prefix), STORE_KEY_OBJECTS, store->space, store->group,
                              manifest->shard);
    for (size_t i = 0; i < keys->elements && !r; i++) {
        const redisReply *key = keys->element[i];
        const struct store_manifest_object *object;
        uint64_t generation, claim;
        char name[33];

        if (key->type != REDIS_REPLY_STRING || strncmp(key->str, prefix, length) != 0 ||
            !parse_object_key(key->str + length, name, &generation, &claim))
            continue;
        object = find_object(manifest, name);
        if (!object || object->generation != generation || object->claim != claim)
            r = discard(store, manifest, garbage, name, generation, claim);
    }
    return r;
}

/* One step of SCAN. *cursor is the text of the cursor, "0" at the end. */
static int sweep_step(struct store *store, const struct store_manifest *manifest,
                      struct garbage *garbage, char cursor[static 32])
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    struct redis *redis = &store->redis;
    int r;

    redis_begin(redis, "SCAN");
    redis_add_string(redis, cursor);
    redis_add_string(redis, "MATCH");
    add_pattern(store, manifest->shard);
    redis_add_string(redis, "COUNT");
    redis_add_string(redis, "1000");
    r = redis_call(redis, REDIS_REPLY_ARRAY, &reply);
    if (r)
        return r;
    if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        redis_close(redis);
        return redis_fail(redis, STORE_E_AWAY, "answers to SCAN what is none");
    }
    (void)snprintf(cursor, 32, "%s", reply->element[0]->str);
    return sweep_keys(store, manifest, garbage, reply->element[1]);
}

int store_sweep(struct store *store, const struct store_manifest *manifest)
{
    struct garbage *garbage;
    char cursor[32] = "0";
    int r;

    r = store_open(store);
    if (r)
        return r;
    garbage = calloc(1, sizeof(*garbage));
    if (!garbage)
        return -ENOMEM;
    do {
        r = sweep_step(store, manifest, garbage, cursor);
    } while (!r && strcmp(cursor, "0") != 0);
    if (!r)
        r = clean(store, manifest, garbage);
    free(garbage);
    return r;
}
