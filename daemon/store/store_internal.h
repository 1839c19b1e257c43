/* What the files of store/ share: the store itself, its keys, and the bytes of a manifest. */
#pragma once

#include "store/redis.h"

#include <inttypes.h>

struct store {
    struct redis redis;
    char *group;
    char *owner;
    const char *space; /* "", or STORE_SPACE_STAGED while shards are staged ones */
    unsigned n_replicas;
    int64_t wait_timeout_us;
    _Atomic uint64_t n_rollbacks;
};

#define STORE_SPACE_STAGED "staged:"
/* How long what is staged waits to be taken over. */
#define STORE_STAGED_SECONDS 86400

static inline bool store_is_staged(const struct store *store)
{
    return store->space[0] != '\0';
}

/* Most arguments that a script may hand to one HSET: Lua's stack in Redis ends at 8000. */
#define STORE_SCRIPT_ARGUMENTS_MAX 7000

/* The version of an object, as it stands in keys and in the manifest. */
#define STORE_VERSION "%" PRIu64 ".%016" PRIx64

/* The keys, to be given to redis_addf() as format and arguments. */
#define STORE_KEY_MANIFEST "kpid:%s{%s/%u}:m"  /* space, group, shard */
#define STORE_KEY_OBJECTS  "kpid:%s{%s/%u}:o:" /* likewise; name:version follow */
#define STORE_KEY_OBJECT   STORE_KEY_OBJECTS "%s:" STORE_VERSION
#define STORE_KEY_ALERTS   "kpid:{%s/0}:alerts"
#define STORE_KEY_SUMMARY  "kpid:%s:summary:%u"
#define STORE_KEY_IDENTITY "kpid:%s:identity"
#define STORE_KEY_VALUES   "kpid:%s:kpi:%s"
#define STORE_KEY_CHANGES  "kpid:%s:changes"
#define STORE_KEY_STAGED   "kpid:%s:staged"

/*
 * Begins a call: an outcome if the group cannot name keys or the server cannot be reached. All
 * calls of store.h start here.
 */
int store_open(struct store *store);

/* Sets the time after which a staged manifest goes, with its objects. */
int store_expire_staged(struct store *store, uint32_t shard);

/* Begins EVAL of a script; the caller adds keys and arguments and sends. */
void store_begin_script(struct store *store, const char *script, unsigned n_keys);

/*
 * Sends the script that was begun, and WAIT if replicas are asked for. Counts a ROLLBACK. 0 or an
 * outcome; STORE_E_AWAY also if it was applied but too few replicas have it.
 */
int store_call_durably(struct store *store);

/*
 * A manifest from the flat field-value array of HGETALL. 0, -ENOMEM. What is not understood sets
 * `damaged`.
 */
int store_manifest_decode(struct store_manifest **ret_manifest, uint32_t shard,
                          const redisReply *fields);
/* The text of a position, at most STORE_POSITION_BYTES with the NUL. */
#define STORE_POSITION_BYTES 128
void store_position_encode(const struct store_position *position, char *ret_text);
bool store_position_decode(const char *text, struct store_position *position);
bool store_version_decode(const char *text, uint64_t *ret_generation, uint64_t *ret_claim);

/*
 * The manifest as it will be after the commit, allocated before anything is written: a commit that
 * is applied cannot fail afterwards. 0, -ENOMEM.
 */
int store_manifest_apply(const struct store_manifest *manifest, const struct store_commit *commit,
                         struct store_manifest **ret_next);
void store_manifest_freep(struct store_manifest **manifest);
