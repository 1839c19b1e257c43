/*
 * Redis, in the words of the daemon: shards are claimed, loaded and committed; summaries and alert
 * state are put and got. Blocking, for one thread (the store thread); any time-out or protocol
 * error closes the connection, and the next call opens another.
 *
 * Keys of a shard share the hash tag {<group>/<shard>}:
 *   kpid:{g/3}:m              hash: epoch, owner, claim, generation, plan, positions as p:<topic>,
 * and o:<object> = version ("0": removed) kpid:{g/3}:o:<object>:<version> bytes of an object. Its
 * version is <generation>.<claim>: the claim is a random number made by each take-over, so that the
 * late writes of an owner that was fenced never meet the objects of the next one kpid:{g/0}:alerts
 * hash: fields of the leader (alert state, outbox), fenced by shard 0's epoch
 *   kpid:<g>:summary:<shard>  bytes, with the epoch in them
 *   kpid:staged:{g/3}:…       a shard that `kpid rebuild` has made, in the same form; all expires
 *   kpid:<g>:staged           what all staged shards are of, once the last one is there; expires
 *   kpid:<g>:identity         fingerprint of the secret key and version of the format
 *
 * A group is 1 to 200 bytes without '{', '}' and control characters; others are STORE_E_REFUSED, by
 * the first call that talks to Redis, as is a URL that cannot be read.
 *
 * What an ACL user of kpid needs (Redis 6.2 or later): ~kpid:* &kpid:* and +auth +select +info +get
 * +set +setex +expire +unlink +hget +hset +hdel +hkeys +hmget +hgetall +scan +eval +publish +wait.
 *
 * The rules and their evidence: design section 8, reference faults section 0.
 */
#pragma once

#include <kpi/engine.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

/* Outcomes of all calls that talk to Redis. */
enum {
    STORE_E_AWAY =
        1, /* not reachable, timed out, LOADING, BUSY, OOM, READONLY, MISCONF …: try again later */
    STORE_E_FENCED,   /* somebody else has raised the epoch: drop the shard */
    STORE_E_REGRESS,  /* Redis holds a later offset than ours: drop the shard */
    STORE_E_ROLLBACK, /* Redis holds an older state than was acknowledged: drop and claim anew */
    STORE_E_CORRUPT,  /* an object is missing, or its bytes are wrong */
    STORE_E_REFUSED,  /* a setting or right that kpid cannot work with; see store_error() */
};

struct store_options {
    const char *url;      /* redis://host:port/db or unix:///path[?db=n] */
    const char *username; /* NULL: none */
    const char *password; /* NULL: none */
    const char *group;    /* names the keys */
    const char *owner;    /* this process, host:pid: shown to people, and part of the fence */
    int64_t connect_timeout_us, command_timeout_us; /* 1 s each by default */
    unsigned n_replicas; /* > 0: durable means WAIT n_replicas, on the writing connection */
    int64_t wait_timeout_us;
};

int store_new(struct store **ret_store, const struct store_options *options); /* 0 or -ENOMEM */
struct store *store_free(struct store *store);
/* One line for people about the last outcome that was not 0. Valid until the next call. */
const char *store_error(const struct store *store);

/*
 * Can kpid work with this server? STORE_E_REFUSED if maxmemory-policy is not noeviction, scripts
 * are denied, or it is a replica, a cluster or older than 6.2; *ret_durable false if there is no
 * AOF (or none can be told). Also stores or compares the identity: STORE_E_REFUSED if the secret
 * key is not the one the state was made with.
 */
int store_check(struct store *store, uint64_t key_fingerprint, bool *ret_durable);

#define STORE_OFFSET_NONE INT64_MIN

/* The last data record that a partition gave, to notice a recreated or truncated topic. */
struct store_position {
    char topic[250];
    int64_t next;           /* next offset; STORE_OFFSET_NONE: never read */
    int64_t last;           /* offset of the last record applied; STORE_OFFSET_NONE: none */
    int64_t last_timestamp; /* its timestamp, ms */
    uint64_t last_hash;     /* XXH3_64bits of its value */
    int64_t counts_from; /* µs; after a loss, from when the numbers are whole; INT64_MIN: always */
};

struct store_manifest {
    uint32_t shard;
    uint64_t epoch;
    uint64_t claim; /* which take-over made the epoch: a rollback may give it to two */
    uint64_t generation;
    uint64_t plan; /* config.fold of what it was counted by */
    bool damaged;  /* some fields make no sense: store_load() will say STORE_E_CORRUPT */
    struct store_position *positions;
    uint32_t n_positions;
    struct store_manifest_object {
        char name[33];
        uint64_t generation;
        uint64_t claim;
    } * objects; /* sorted by name */
    uint32_t n_objects;
};

struct store_manifest *store_manifest_free(struct store_manifest *manifest); /* NULL is fine */

/*
 * Takes the shard over: epoch = max(stored, epoch_min) + 1, in one script. ret_manifest tells what
 * was stored (n_objects 0 and no positions if nothing was) and the new epoch. STORE_E_CORRUPT: the
 * stored epoch is no number; nothing was changed.
 */
int store_claim(struct store *store, uint32_t shard, uint64_t epoch_min,
                struct store_manifest **ret_manifest);

/* Reads the manifest without claiming (kpid state digest). */
int store_peek(struct store *store, uint32_t shard, struct store_manifest **ret_manifest);

/*
 * Hands every object of the manifest to fn, in pipelines of 4. fn returns 0, or a negative errno or
 * positive outcome that ends it and is returned (positive as STORE_E_CORRUPT). If an object is
 * missing because the shard moved on since the manifest was read: STORE_E_FENCED (another owner),
 * STORE_E_ROLLBACK (an older state), or STORE_E_AWAY (a newer checkpoint of the same owner: peek
 * again).
 */
int store_load(struct store *store, const struct store_manifest *manifest, kpi_object_fn fn,
               void *userdata);

struct store_commit {
    uint32_t shard;
    uint64_t epoch;
    uint64_t generation; /* of this commit: above the last one */
    uint64_t plan;       /* likewise */
    bool replace;        /* a rebuild: takes the place of all that is stored; offsets may go back */
    const struct store_position *positions;
    uint32_t n_positions;
    /* Changed ones (replace: all), each once, at most 60 MiB; data NULL removes. */
    const struct kpi_object *objects;
    uint32_t n_objects;
};

/*
 * (1) writes the objects under the new generation, (2) one script with one HSET moves the manifest
 * if the epoch is ours and no offset goes back, (3) unlinks versions no longer named. After a lost
 * reply the same commit may be given again; or one under a higher generation that contains its
 * changes, but never other bytes under the same generation. `manifest` is what the last commit or
 * claim left and is brought up to date on success. 0, STORE_E_AWAY, _FENCED, _REGRESS, _ROLLBACK,
 * _REFUSED (rights or password changed under way, or an object is too large: nothing is lost, worth
 * a retry and a loud message), _CORRUPT (the manifest's numbers are none).
 */
int store_commit(struct store *store, struct store_manifest *manifest,
                 const struct store_commit *commit);

/*
 * Unlinks objects of the shard that its stored manifest does not name (left by a crash). Looks at
 * every key of the database, in steps. STORE_E_FENCED if the shard is not the manifest's owner's
 * any more.
 */
int store_sweep(struct store *store, const struct store_manifest *manifest);

/*
 * What `kpid rebuild` has made waits beside what is live, in keys that expire in a day. While
 * `staged` is set, claim, peek, load, commit and sweep are about that.
 */
void store_use_staged(struct store *store, bool staged);
/*
 * Says, or no longer says, that all shards are staged, made by the definitions of this fingerprint.
 */
int store_staged_announce(struct store *store, uint64_t fold);
int store_staged_withdraw(struct store *store);
/* *ret_there false: nothing is announced. */
int store_staged_find(struct store *store, bool *ret_there, uint64_t *ret_fold);
/* Who staged the shard; 0: it is not, or not whole. */
int store_staged_claim(struct store *store, uint32_t shard, uint64_t *ret_claim);
/* Removes a staged shard if it is still that of this claim (0: of any). */
int store_staged_remove(struct store *store, uint32_t shard, uint64_t claim);

int store_put_summary(struct store *store, uint32_t shard, const void *bytes, size_t size);
/* Free with free(). *ret_size 0: there is none. */
int store_get_summary(struct store *store, uint32_t shard, void **ret_bytes, size_t *ret_size);

/*
 * The leader's fields: alert state and outbox. One script with one write if shard 0's epoch is
 * ours, claimed under the same options.owner; size 0 deletes a field. Without fields: is the epoch
 * ours? 0, STORE_E_AWAY, _FENCED, _ROLLBACK, _REFUSED. May be repeated.
 */
struct store_field {
    char name[80];
    const void *bytes;
    size_t size;
};
int store_put_fields(struct store *store, uint64_t epoch, const struct store_field *fields,
                     uint32_t n_fields);
/* The field is borrowed during the call. What fn returns, if not 0, ends it and is returned. */
typedef int (*store_field_fn)(void *userdata, const struct store_field *field);
int store_get_fields(struct store *store, store_field_fn fn, void *userdata);

/*
 * A hash for other readers: kpid:<group>:kpi:<campaign>, and a PUBLISH of the campaign on
 * kpid:<group>:changes. Fields that are not given stay, size 0 deletes.
 */
int store_put_values(struct store *store, const char *campaign, const struct store_field *fields,
                     uint32_t n_fields);

struct store_stats {
    bool up; /* the last call was not put off */
    uint64_t n_commands, n_errors, n_reconnects, n_rollbacks;
    double seconds; /* spent in commands */
};
void store_stats(const struct store *store, struct store_stats *ret_stats); /* any thread */
