/*
 * The store keeps what a checkpoint promises: what was committed is loaded back, one owner at a
 * time, offsets never go back unseen, a lost reply does no harm, and nothing is left lying about.
 */
#include "store/store.h"

#include "checkpoint.h"
#include "redis_peer.h"
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLEANUP_STORE    KPI_CLEANUP(free_store) struct store *
#define CLEANUP_MANIFEST KPI_CLEANUP(free_manifest) struct store_manifest *
#define CLEANUP_PEER     KPI_CLEANUP(free_peer) struct redis_peer *

static struct redis_server *server;

static void free_store(struct store **store)
{
    *store = store_free(*store);
}

static void free_manifest(struct store_manifest **manifest)
{
    *manifest = store_manifest_free(*manifest);
}

static void free_peer(struct redis_peer **peer)
{
    *peer = redis_peer_free(*peer);
}

static long long ask_number(const char *command)
{
    redisReply *reply = redis_server_command(server, command);
    long long n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;

    freeReplyObject(reply);
    return n;
}

static struct store_manifest *claim(struct store *store)
{
    struct store_manifest *manifest = NULL;

    if (store_claim(store, 3, 0, &manifest) != 0)
        fail_msg("%s", store_error(store));
    return manifest;
}

static struct store_manifest *peek(struct store *store)
{
    struct store_manifest *manifest = NULL;

    if (store_peek(store, 3, &manifest) != 0)
        fail_msg("%s", store_error(store));
    return manifest;
}

/* ---- claiming ---- */

static void a_claim_raises_the_epoch(void **state)
{
    CLEANUP_STORE a = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE b = checkpoint_store(server->url, "g", "b:1");
    CLEANUP_MANIFEST first = claim(a);
    CLEANUP_MANIFEST second = claim(b);
    CLEANUP_MANIFEST third = NULL;
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(first->epoch, 1);
    assert_int_equal(first->n_objects, 0);
    assert_int_equal(first->n_positions, 0);
    assert_int_equal(second->epoch, 2);
    assert_int_equal(store_claim(a, 3, 10, &third), 0);
    assert_int_equal(third->epoch, 11);
    assert_true(third->claim != first->claim);
    seen = peek(b);
    assert_int_equal(seen->epoch, 11);
    assert_int_equal(seen->claim, third->claim);
}

static void an_epoch_that_is_no_number_is_corrupt_and_left_alone(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    struct store_manifest *manifest = NULL;

    redis_server_do(server, "HSET kpid:{g/3}:m epoch junk");
    assert_int_equal(store_claim(store, 3, 0, &manifest), STORE_E_CORRUPT);
    assert_null(manifest);
    assert_int_equal(ask_number("HLEN kpid:{g/3}:m"), 1);
}

/* ---- what is committed is loaded back ---- */

#define N_ROUND_TRIP 200

struct round_trip {
    char names[N_ROUND_TRIP][33];
    unsigned char *bytes[N_ROUND_TRIP];
    struct kpi_object objects[N_ROUND_TRIP];
    bool seen[N_ROUND_TRIP];
};

/* Sizes from 0 to 1 MiB, all byte values. */
static void round_trip_init(struct round_trip *trip)
{
    uint32_t random = 1;

    for (size_t i = 0; i < N_ROUND_TRIP; i++) {
        size_t size = i == 7 ? (size_t)1 << 20 : i == 8 ? 0 : i * 977 % 60000;

        (void)snprintf(trip->names[i], sizeof(trip->names[i]), "cell.%zu", i);
        trip->bytes[i] = malloc(size + 1);
        assert_non_null(trip->bytes[i]);
        for (size_t j = 0; j < size; j++) {
            random = random * 1664525 + 1013904223;
            trip->bytes[i][j] = (unsigned char)(random >> 24);
        }
        trip->objects[i] = (struct kpi_object){
            .name = {trip->names[i], strlen(trip->names[i])},
            .data = trip->bytes[i],
            .size = size,
        };
        trip->seen[i] = false;
    }
}

static int round_trip_compare(void *userdata, const struct kpi_object *object)
{
    struct round_trip *trip = userdata;
    size_t i = (size_t)atoi(object->name.data + 5);

    assert_true(i < N_ROUND_TRIP);
    assert_false(trip->seen[i]);
    trip->seen[i] = true;
    assert_int_equal(object->size, trip->objects[i].size);
    assert_true(object->size == 0 || memcmp(object->data, trip->bytes[i], object->size) == 0);
    return 0;
}

static void what_was_committed_is_loaded(void **state)
{
    static struct round_trip trip;
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE other = checkpoint_store(server->url, "g", "b:1");
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST loaded = NULL;

    round_trip_init(&trip);
    assert_int_equal(checkpoint_commit(store, manifest, 42, trip.objects, N_ROUND_TRIP), 0);
    loaded = claim(other);
    assert_int_equal(loaded->generation, 1);
    assert_int_equal(loaded->plan, 0x123);
    assert_int_equal(loaded->n_objects, N_ROUND_TRIP);
    assert_int_equal(manifest->n_objects, N_ROUND_TRIP);
    assert_memory_equal(manifest->objects, loaded->objects,
                        N_ROUND_TRIP * sizeof(*manifest->objects));
    assert_int_equal(store_load(other, loaded, round_trip_compare, &trip), 0);
    for (size_t i = 0; i < N_ROUND_TRIP; i++) {
        assert_true(trip.seen[i]);
        free(trip.bytes[i]);
    }
}

static void positions_come_back_as_they_were(void **state)
{
    static const struct store_position positions[] = {
        {"app", 10, 9, -1, UINT64_MAX, 3},
        {"never.read", STORE_OFFSET_NONE, STORE_OFFSET_NONE, STORE_OFFSET_NONE, 0,
         STORE_OFFSET_NONE},
        {"far", INT64_MAX, INT64_MAX - 1, INT64_MAX, 1, INT64_MAX},
    };
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(store_commit(store, manifest,
                                  &(struct store_commit){.shard = 3,
                                                         .epoch = manifest->epoch,
                                                         .generation = 1,
                                                         .positions = positions,
                                                         .n_positions = 3}),
                     0);
    seen = peek(store);
    assert_int_equal(seen->n_positions, 3);
    assert_false(seen->damaged);
    for (size_t i = 0; i < 3; i++) {
        size_t j = 0;

        while (j < 3 && strcmp(seen->positions[j].topic, positions[i].topic) != 0)
            j++;
        assert_true(j < 3);
        assert_int_equal(seen->positions[j].next, positions[i].next);
        assert_int_equal(seen->positions[j].last, positions[i].last);
        assert_int_equal(seen->positions[j].last_timestamp, positions[i].last_timestamp);
        assert_int_equal(seen->positions[j].last_hash, positions[i].last_hash);
        assert_int_equal(seen->positions[j].counts_from, positions[i].counts_from);
    }
}

#define N_MANY 4500

static void more_objects_than_one_hset_takes(void **state)
{
    static char names[N_MANY][16];
    static struct kpi_object objects[N_MANY];
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST seen = NULL;

    for (size_t i = 0; i < N_MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "o%zu", i);
        objects[i] = checkpoint_object(names[i], "x");
    }
    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, N_MANY), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 2, objects, N_MANY), 0);
    seen = peek(store);
    assert_false(seen->damaged);
    assert_int_equal(seen->n_objects, N_MANY);
    assert_int_equal(ask_number("DBSIZE"), N_MANY + 1);
}

static void a_manifest_that_was_cut_off_is_not_loaded(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    struct kpi_object object = checkpoint_object("a", "1");
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), 0);
    redis_server_do(server, "HSET kpid:{g/3}:m writing 2");
    seen = peek(store);
    assert_int_equal(store_load(store, seen, NULL, NULL), STORE_E_CORRUPT);
}

static void fields_that_make_no_sense_are_damage(void **state)
{
    static const char *const cases[][2] = {
        {"p:app", "1,2,3"},
        {"p:app", "1,2,3,0123456789abcdef,0,"},
        {"p:app", "x,2,3,0123456789abcdef,0"},
        {"p:app", "1,2,3,0123456789abcdeg,0"},
        {"p:app", "9223372036854775808,2,3,0123456789abcdef,0"},
        {"p:app", ""},
        {"o:b", "1"},
        {"o:b", "1.0123456789abcde"},
        {"o:b", "1.0123456789abcdef0"},
        {"o:b", "18446744073709551616.0123456789abcdef"},
        {"o:012345678901234567890123456789012", "1.0123456789abcdef"},
        {"generation", "-1"},
        {"generation", ""},
        {"plan", "12"},
        {"claim", "0123456789ABCDEF"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
        CLEANUP_MANIFEST manifest = NULL;

        redis_server_do(server, "DEL kpid:{g/3}:m");
        redis_server_do(server, "HSET kpid:{g/3}:m %s %s", cases[i][0], cases[i][1]);
        manifest = peek(store);
        if (!manifest->damaged)
            fail_msg("%s = \"%s\" passes", cases[i][0], cases[i][1]);
    }
}

static void an_object_too_large_to_read_back_is_refused(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);
    struct kpi_object object = checkpoint_object("huge", "");

    object.size = ((size_t)60 << 20) + 1; /* is not read */
    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), STORE_E_REFUSED);
    assert_non_null(strstr(store_error(store), "huge"));
    assert_int_equal(ask_number("DBSIZE"), 1);
}

static void changed_and_removed_objects_leave_nothing_behind(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct kpi_object first[] = {checkpoint_object("a", "1"), checkpoint_object("b", "1"),
                                       checkpoint_object("c", "1")};
    const struct kpi_object second[] = {checkpoint_object("d", "2"), checkpoint_object("b", "2"),
                                        checkpoint_object("a", NULL),
                                        checkpoint_object("never", NULL)};
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(checkpoint_commit(store, manifest, 1, first, 3), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 2, second, 4), 0);
    seen = peek(store);
    assert_string_equal(checkpoint_text(store, seen), "b=2;c=1;d=2;");
    assert_string_equal(checkpoint_text(store, manifest), "b=2;c=1;d=2;");
    assert_int_equal(ask_number("DBSIZE"), 4);
    /* epoch, owner, claim, generation, plan, p:app, three objects: no tombstone */
    assert_int_equal(ask_number("HLEN kpid:{g/3}:m"), 9);
}

static void a_rebuild_takes_the_place_of_all_that_was(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct kpi_object first[] = {checkpoint_object("a", "1"), checkpoint_object("b", "1")};
    const struct kpi_object anew = checkpoint_object("b", "new");
    struct store_position position = checkpoint_position(5);
    CLEANUP_MANIFEST manifest = claim(store);
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(checkpoint_commit(store, manifest, 100, first, 2), 0);
    redis_server_do(server, "HSET kpid:{g/3}:m p:old junk");
    assert_int_equal(store_commit(store, manifest,
                                  &(struct store_commit){.shard = 3,
                                                         .epoch = manifest->epoch,
                                                         .generation = 2,
                                                         .replace = true,
                                                         .positions = &position,
                                                         .n_positions = 1,
                                                         .objects = &anew,
                                                         .n_objects = 1}),
                     0);
    seen = peek(store);
    assert_int_equal(seen->epoch, manifest->epoch);
    assert_int_equal(seen->claim, manifest->claim);
    assert_int_equal(seen->n_positions, 1);
    assert_int_equal(seen->positions[0].next, 5);
    assert_string_equal(checkpoint_text(store, seen), "b=new;");
    assert_int_equal(ask_number("DBSIZE"), 2);
}

/* ---- what is staged waits beside what is live ---- */

static void stage(struct store *store, const char *text, struct store_manifest **ret_manifest)
{
    const struct kpi_object object = checkpoint_object("a", text);

    store_use_staged(store, true);
    *ret_manifest = claim(store);
    assert_int_equal(checkpoint_commit(store, *ret_manifest, 7, &object, 1), 0);
    store_use_staged(store, false);
}

static void what_is_staged_is_no_checkpoint_and_expires(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct kpi_object object = checkpoint_object("a", "live");
    CLEANUP_MANIFEST live = claim(store);
    CLEANUP_MANIFEST staged = NULL;
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(checkpoint_commit(store, live, 100, &object, 1), 0);
    stage(store, "staged", &staged);
    seen = peek(store);
    assert_int_equal(seen->claim, live->claim);
    assert_string_equal(checkpoint_text(store, seen), "a=live;");
    assert_int_equal(store_sweep(store, seen), 0);
    store_use_staged(store, true);
    assert_string_equal(checkpoint_text(store, staged), "a=staged;");
    assert_in_range(ask_number("TTL kpid:staged:{g/3}:m"), 3600, 86400);
    assert_int_equal(ask_number("TTL kpid:{g/3}:m"), -1);
    assert_int_equal(ask_number("DBSIZE"), 4);
    store_use_staged(store, false);
    assert_int_equal(store_staged_remove(store, 3, 0), 0);
    assert_int_equal(ask_number("DBSIZE"), 2);
    assert_string_equal(checkpoint_text(store, seen), "a=live;");
}

static void of_two_who_stage_the_later_one_wins(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE other = checkpoint_store(server->url, "g", "b:1");
    const struct kpi_object late = checkpoint_object("a", "late");
    CLEANUP_MANIFEST first = NULL;
    CLEANUP_MANIFEST second = NULL;
    uint64_t found = 1;

    assert_int_equal(store_staged_claim(store, 3, &found), 0);
    assert_int_equal(found, 0);
    stage(store, "first", &first);
    stage(other, "second", &second);
    assert_int_equal(store_staged_claim(store, 3, &found), 0);
    assert_true(found == second->claim);
    store_use_staged(store, true);
    assert_int_equal(checkpoint_commit(store, first, 8, &late, 1), STORE_E_FENCED);
    store_use_staged(store, false);
    assert_int_equal(store_staged_remove(store, 3, first->claim), 0); /* not the other's */
    assert_int_equal(store_staged_claim(store, 3, &found), 0);
    assert_true(found == second->claim);
}

static void a_staged_claim_without_state_is_none(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST staged = NULL;
    uint64_t found = 1;

    store_use_staged(store, true);
    staged = claim(store);
    assert_int_equal(store_staged_claim(store, 3, &found), 0);
    assert_int_equal(found, 0);
    assert_in_range(ask_number("TTL kpid:staged:{g/3}:m"), 3600, 86400);
}

static void what_is_ready_is_announced_until_it_is_withdrawn(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    uint64_t fold = 0;
    bool there = true;

    assert_int_equal(store_staged_find(store, &there, &fold), 0);
    assert_false(there);
    assert_int_equal(store_staged_announce(store, UINT64_C(0xfedcba9876543210)), 0);
    assert_int_equal(store_staged_find(store, &there, &fold), 0);
    assert_true(there && fold == UINT64_C(0xfedcba9876543210));
    assert_in_range(ask_number("TTL kpid:g:staged"), 3600, 86400);
    assert_int_equal(store_staged_withdraw(store), 0);
    assert_int_equal(store_staged_find(store, &there, &fold), 0);
    assert_false(there);
}

/* ---- one owner at a time ---- */

static void a_fenced_owner_changes_nothing(void **state)
{
    CLEANUP_STORE old = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE new = checkpoint_store(server->url, "g", "b:1");
    const struct kpi_object of_old = checkpoint_object("a", "old"),
                            of_new = checkpoint_object("a", "new");
    CLEANUP_MANIFEST fenced = claim(old);
    CLEANUP_MANIFEST manifest = claim(new);

    assert_int_equal(checkpoint_commit(new, manifest, 10, &of_new, 1), 0);
    /* The same object under the same generation: its bytes arrive, but under a key of its own. */
    assert_int_equal(checkpoint_commit(old, fenced, 20, &of_old, 1), STORE_E_FENCED);
    assert_non_null(strstr(store_error(old), "b:1"));
    assert_int_equal(fenced->generation, 0);
    assert_string_equal(checkpoint_text(new, manifest), "a=new;");
}

static void owners_to_whom_a_rollback_gave_the_same_epoch_are_told_apart(void **state)
{
    CLEANUP_STORE a = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE b = checkpoint_store(server->url, "g", "b:1");
    const struct kpi_object object = checkpoint_object("a", "1");
    CLEANUP_MANIFEST lost = claim(a);
    CLEANUP_MANIFEST manifest = NULL;

    redis_server_do(server, "FLUSHALL");
    manifest = claim(b);
    assert_int_equal(manifest->epoch, lost->epoch);
    assert_int_equal(checkpoint_commit(a, lost, 1, &object, 1), STORE_E_FENCED);
    assert_int_equal(checkpoint_commit(b, manifest, 1, &object, 1), 0);
}

static void offsets_do_not_go_back(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);

    assert_int_equal(checkpoint_commit(store, manifest, 100, NULL, 0), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 99, NULL, 0), STORE_E_REGRESS);
    assert_int_equal(checkpoint_commit(store, manifest, 9, NULL, 0), STORE_E_REGRESS);
    assert_int_equal(checkpoint_commit(store, manifest, STORE_OFFSET_NONE, NULL, 0),
                     STORE_E_REGRESS);
    assert_int_equal(checkpoint_commit(store, manifest, 100, NULL, 0), 0);
    /* Two that a double cannot tell apart. */
    assert_int_equal(checkpoint_commit(store, manifest, INT64_MAX, NULL, 0), 0);
    assert_int_equal(checkpoint_commit(store, manifest, INT64_MAX - 1, NULL, 0), STORE_E_REGRESS);
}

static uint64_t n_rollbacks(const struct store *store)
{
    struct store_stats stats;

    store_stats(store, &stats);
    return stats.n_rollbacks;
}

static void a_wiped_redis_is_a_rollback(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);

    assert_int_equal(checkpoint_commit(store, manifest, 1, NULL, 0), 0);
    redis_server_do(server, "FLUSHALL");
    assert_int_equal(checkpoint_commit(store, manifest, 2, NULL, 0), STORE_E_ROLLBACK);
    assert_int_equal(n_rollbacks(store), 1);
    assert_int_equal(ask_number("EXISTS kpid:{g/3}:m"), 0);
}

static void an_older_generation_is_a_rollback(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);

    assert_int_equal(checkpoint_commit(store, manifest, 1, NULL, 0), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 2, NULL, 0), 0);
    redis_server_do(server, "HSET kpid:{g/3}:m generation 1 p:app 1,0,0,0000000000000000,0");
    assert_int_equal(checkpoint_commit(store, manifest, 3, NULL, 0), STORE_E_ROLLBACK);
    assert_int_equal(n_rollbacks(store), 1);
}

/* ---- lost replies ---- */

/* A commit of "a" that is applied while its reply is lost on the way. */
static struct store_manifest *commit_with_lost_reply(struct store *store)
{
    const struct kpi_object object = checkpoint_object("a", "1");
    struct store_manifest *manifest = claim(store);

    assert_int_equal(checkpoint_commit(store, manifest, 10, &object, 1), STORE_E_AWAY);
    assert_int_equal(manifest->generation, 0);
    return manifest;
}

static struct redis_peer *losing_peer(void)
{
    return redis_peer_new(&(struct redis_peer_options){
        .forward_to = server->socket,
        .lose_reply_to = "generation",
    });
}

static void a_commit_whose_reply_was_lost_is_repeated_without_harm(void **state)
{
    CLEANUP_PEER peer = losing_peer();
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    const struct kpi_object object = checkpoint_object("a", "1");
    CLEANUP_MANIFEST manifest = commit_with_lost_reply(store);
    CLEANUP_MANIFEST seen = peek(store);

    assert_int_equal(seen->generation, 1); /* it was applied */
    assert_int_equal(checkpoint_commit(store, manifest, 10, &object, 1), 0);
    assert_int_equal(manifest->generation, 1);
    assert_string_equal(checkpoint_text(store, manifest), "a=1;");
    assert_int_equal(ask_number("DBSIZE"), 2);
}

static void a_later_commit_may_take_in_the_one_whose_reply_was_lost(void **state)
{
    CLEANUP_PEER peer = losing_peer();
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    const struct kpi_object objects[] = {checkpoint_object("a", "2"), checkpoint_object("b", "2")};
    struct store_position position = checkpoint_position(20);
    CLEANUP_MANIFEST manifest = commit_with_lost_reply(store);

    assert_int_equal(store_commit(store, manifest,
                                  &(struct store_commit){.shard = 3,
                                                         .epoch = manifest->epoch,
                                                         .generation = 2,
                                                         .positions = &position,
                                                         .n_positions = 1,
                                                         .objects = objects,
                                                         .n_objects = 2}),
                     0);
    assert_string_equal(checkpoint_text(store, manifest), "a=2;b=2;");
}

static void a_generation_is_not_committed_twice_with_other_offsets(void **state)
{
    CLEANUP_PEER peer = losing_peer();
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    CLEANUP_MANIFEST manifest = commit_with_lost_reply(store);

    assert_int_equal(checkpoint_commit(store, manifest, 11, NULL, 0), STORE_E_REGRESS);
}

/* ---- sweeping ---- */

static void orphans_are_swept_and_neighbours_are_not(void **state)
{
    /* As a pattern this group would match the other one. */
    CLEANUP_STORE store = checkpoint_store(server->url, "g*[x]?\\", "a:1");
    const struct kpi_object objects[] = {checkpoint_object("a", "1"), checkpoint_object("b", "1")};
    CLEANUP_MANIFEST manifest = claim(store);

    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, 2), 0);
    redis_server_do(server, "SET %s x", "kpid:{g*[x]?\\/3}:o:a:9.0123456789abcdef");
    redis_server_do(server, "SET %s x", "kpid:{g*[x]?\\/3}:o:zz:1.0123456789abcdef");
    redis_server_do(server, "SET %s x", "kpid:{g*[x]?\\/4}:o:a:9.0123456789abcdef");
    redis_server_do(server, "SET %s x", "kpid:{gxx!/3}:o:a:9.0123456789abcdef");
    redis_server_do(server, "SET %s x", "kpid:{g**[x]?\\/3}:o:a:9.0123456789abcdef");
    assert_int_equal(store_sweep(store, manifest), 0);
    assert_int_equal(ask_number("DBSIZE"), 3 + 3);
    assert_string_equal(checkpoint_text(store, manifest), "a=1;b=1;");
    assert_int_equal(store_sweep(store, manifest), 0);
    assert_int_equal(ask_number("DBSIZE"), 3 + 3);
}

static void a_sweep_spares_what_was_committed_without_our_knowing(void **state)
{
    CLEANUP_PEER peer = losing_peer();
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    CLEANUP_MANIFEST manifest = commit_with_lost_reply(store);
    CLEANUP_MANIFEST seen = NULL;

    assert_int_equal(store_sweep(store, manifest), 0);
    seen = peek(store);
    assert_string_equal(checkpoint_text(store, seen), "a=1;");
}

static void a_fenced_owner_sweeps_nothing(void **state)
{
    CLEANUP_STORE old = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE new = checkpoint_store(server->url, "g", "b:1");
    const struct kpi_object object = checkpoint_object("a", "1");
    CLEANUP_MANIFEST fenced = claim(old);
    CLEANUP_MANIFEST manifest = claim(new);

    assert_int_equal(checkpoint_commit(new, manifest, 1, &object, 1), 0);
    assert_int_equal(store_sweep(old, fenced), STORE_E_FENCED);
    assert_string_equal(checkpoint_text(new, manifest), "a=1;");
}

/* ---- loading what is not there any more ---- */

static int count(void *userdata, const struct kpi_object *object)
{
    ++*(int *)userdata;
    return 0;
}

/* Commits objects 0…9, each holding its name. */
static struct store_manifest *commit_ten(struct store *store)
{
    static const char names[] = "0123456789";
    struct store_manifest *manifest = claim(store);
    struct kpi_object objects[10];

    for (int i = 0; i < 10; i++)
        objects[i] = (struct kpi_object){.name = {&names[i], 1}, .data = &names[i], .size = 1};
    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, 10), 0);
    return manifest;
}

static void a_missing_object_is_corrupt(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = commit_ten(store);
    int n = 0;

    redis_server_do(server, "DEL kpid:{g/3}:o:5:1.%016" PRIx64, manifest->claim);
    assert_int_equal(store_load(store, manifest, count, &n), STORE_E_CORRUPT);
    assert_non_null(strstr(store_error(store), "object 5 "));
    assert_int_equal(n, 5);
}

static void a_missing_object_of_an_old_manifest_is_told_apart(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE other = checkpoint_store(server->url, "g", "b:1");
    const struct kpi_object object = checkpoint_object("5", "new");
    CLEANUP_MANIFEST manifest = commit_ten(store);
    CLEANUP_MANIFEST old = peek(other);
    CLEANUP_MANIFEST taken = NULL;
    int n = 0;

    assert_int_equal(checkpoint_commit(store, manifest, 2, &object, 1), 0);
    assert_int_equal(store_load(other, old, count, &n), STORE_E_AWAY);
    taken = claim(other);
    assert_int_equal(store_load(other, old, count, &n), STORE_E_FENCED);
    redis_server_do(server, "FLUSHALL");
    assert_int_equal(store_load(other, taken, count, &n), STORE_E_ROLLBACK);
}

static int refuse_third(void *userdata, const struct kpi_object *object)
{
    return object->name.data[0] == '3' ? *(int *)userdata : 0;
}

static void what_the_reader_refuses_ends_the_load(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = commit_ten(store);
    int answer = 7;

    assert_int_equal(store_load(store, manifest, refuse_third, &answer), STORE_E_CORRUPT);
    answer = -ENOMEM;
    assert_int_equal(store_load(store, manifest, refuse_third, &answer), -ENOMEM);
    /* Replies that were on their way are not taken for those of the next call. */
    assert_string_equal(checkpoint_text(store, manifest),
                        "0=0;1=1;2=2;3=3;4=4;5=5;6=6;7=7;8=8;9=9;");
}

static int setup(void **state)
{
    redis_server_do(server, "FLUSHALL");
    return 0;
}

static int start(void **state)
{
    server = redis_server_new(NULL);
    return 0;
}

static int stop(void **state)
{
    server = redis_server_free(server);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup(function, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_claim_raises_the_epoch),
        TEST(an_epoch_that_is_no_number_is_corrupt_and_left_alone),
        TEST(what_was_committed_is_loaded),
        TEST(positions_come_back_as_they_were),
        TEST(more_objects_than_one_hset_takes),
        TEST(a_manifest_that_was_cut_off_is_not_loaded),
        TEST(fields_that_make_no_sense_are_damage),
        TEST(an_object_too_large_to_read_back_is_refused),
        TEST(changed_and_removed_objects_leave_nothing_behind),
        TEST(a_rebuild_takes_the_place_of_all_that_was),
        TEST(what_is_staged_is_no_checkpoint_and_expires),
        TEST(of_two_who_stage_the_later_one_wins),
        TEST(a_staged_claim_without_state_is_none),
        TEST(what_is_ready_is_announced_until_it_is_withdrawn),
        TEST(a_fenced_owner_changes_nothing),
        TEST(owners_to_whom_a_rollback_gave_the_same_epoch_are_told_apart),
        TEST(offsets_do_not_go_back),
        TEST(a_wiped_redis_is_a_rollback),
        TEST(an_older_generation_is_a_rollback),
        TEST(a_commit_whose_reply_was_lost_is_repeated_without_harm),
        TEST(a_later_commit_may_take_in_the_one_whose_reply_was_lost),
        TEST(a_generation_is_not_committed_twice_with_other_offsets),
        TEST(orphans_are_swept_and_neighbours_are_not),
        TEST(a_sweep_spares_what_was_committed_without_our_knowing),
        TEST(a_fenced_owner_sweeps_nothing),
        TEST(a_missing_object_is_corrupt),
        TEST(a_missing_object_of_an_old_manifest_is_told_apart),
        TEST(what_the_reader_refuses_ends_the_load),
    };

    if (!redis_server_available())
        return 77;
    return cmocka_run_group_tests(tests, start, stop);
}
