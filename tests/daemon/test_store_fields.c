/*
 * Beside the checkpoints the store keeps summaries, the leader's fields (fenced by shard 0's
 * epoch), values for other readers, and the identity of the state.
 */
#include "store/store.h"

#include "checkpoint.h"
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define CLEANUP_STORE    KPI_CLEANUP(free_store) struct store *
#define CLEANUP_MANIFEST KPI_CLEANUP(free_manifest) struct store_manifest *

static struct redis_server *server;

static void free_store(struct store **store)
{
    *store = store_free(*store);
}

static void free_manifest(struct store_manifest **manifest)
{
    *manifest = store_manifest_free(*manifest);
}

/* ---- summaries ---- */

static void a_summary_comes_back_as_it_was(void **state)
{
    static const char bytes[] = "\0\r\n$5\r\n\xff summary";
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    void *read = NULL;
    size_t size = 1;

    assert_int_equal(store_get_summary(store, 7, &read, &size), 0);
    assert_int_equal(size, 0);
    assert_null(read);
    assert_int_equal(store_put_summary(store, 7, bytes, sizeof(bytes)), 0);
    assert_int_equal(store_put_summary(store, 8, "other", 5), 0);
    assert_int_equal(store_get_summary(store, 7, &read, &size), 0);
    assert_int_equal(size, sizeof(bytes));
    assert_memory_equal(read, bytes, sizeof(bytes));
    free(read);
}

/* ---- the leader's fields ---- */

#define N_FIELDS 5000

struct collected {
    uint32_t n;
    size_t bytes;
    char last[80];
};

static int collect(void *userdata, const struct store_field *field)
{
    struct collected *collected = userdata;

    collected->n++;
    collected->bytes += field->size;
    memcpy(collected->last, field->name, sizeof(collected->last));
    return 0;
}

static struct store_field field(const char *name, const char *value)
{
    struct store_field f = {.bytes = value, .size = strlen(value)};

    (void)snprintf(f.name, sizeof(f.name), "%s", name);
    return f;
}

static struct store_manifest *lead(struct store *store)
{
    struct store_manifest *manifest = NULL;

    if (store_claim(store, 0, 0, &manifest) != 0)
        fail_msg("%s", store_error(store));
    return manifest;
}

static void fields_are_put_got_and_deleted(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct store_field fields[] = {field("alert/1", "firing"), field("outbox/1", "body")};
    const struct store_field deleted = field("alert/1", "");
    CLEANUP_MANIFEST manifest = lead(store);
    struct collected collected = {.n = 0};
    redisReply *reply;

    assert_int_equal(store_get_fields(store, collect, &collected), 0);
    assert_int_equal(collected.n, 0);
    assert_int_equal(store_put_fields(store, manifest->epoch, fields, 2), 0);
    assert_int_equal(store_get_fields(store, collect, &collected), 0);
    assert_int_equal(collected.n, 2);
    assert_int_equal(collected.bytes, 10);
    collected.n = 0;
    assert_int_equal(store_put_fields(store, manifest->epoch, &deleted, 1), 0);
    assert_int_equal(store_get_fields(store, collect, &collected), 0);
    assert_int_equal(collected.n, 1);
    assert_string_equal(collected.last, "outbox/1");
    reply = redis_server_command(server, "HLEN kpid:{g/0}:alerts");
    assert_int_equal(reply->integer, 1);
    freeReplyObject(reply);
    /* What a script that was cut off before its HDEL would leave. */
    redis_server_do(server, "HSET kpid:{g/0}:alerts alert/2 %s", "");
    collected.n = 0;
    assert_int_equal(store_get_fields(store, collect, &collected), 0);
    assert_int_equal(collected.n, 1);
}

static void more_fields_than_one_hset_takes(void **state)
{
    static struct store_field fields[N_FIELDS];
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = lead(store);
    struct collected collected = {.n = 0};

    for (size_t i = 0; i < N_FIELDS; i++) {
        fields[i] = field("", "value");
        (void)snprintf(fields[i].name, sizeof(fields[i].name), "outbox/%zu", i);
    }
    assert_int_equal(store_put_fields(store, manifest->epoch, fields, N_FIELDS), 0);
    assert_int_equal(store_get_fields(store, collect, &collected), 0);
    assert_int_equal(collected.n, N_FIELDS);
}

static void a_fenced_leader_writes_no_field(void **state)
{
    CLEANUP_STORE old = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE new = checkpoint_store(server->url, "g", "b:1");
    const struct store_field of_old = field("alert/1", "old");
    CLEANUP_MANIFEST fenced = lead(old);
    CLEANUP_MANIFEST manifest = lead(new);
    struct collected collected = {.n = 0};

    assert_int_equal(store_put_fields(old, fenced->epoch, &of_old, 1), STORE_E_FENCED);
    assert_int_equal(store_put_fields(old, manifest->epoch, &of_old, 1), STORE_E_FENCED);
    assert_int_equal(store_put_fields(new, manifest->epoch, NULL, 0), 0);
    assert_int_equal(store_get_fields(new, collect, &collected), 0);
    assert_int_equal(collected.n, 0);
}

static void a_leader_whose_claim_is_lost_learns_of_the_rollback(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct store_field one = field("alert/1", "x");
    CLEANUP_MANIFEST manifest = lead(store);

    redis_server_do(server, "FLUSHALL");
    assert_int_equal(store_put_fields(store, manifest->epoch, &one, 1), STORE_E_ROLLBACK);
}

static int stop_at_once(void *userdata, const struct store_field *f)
{
    return -EIO;
}

static void what_the_reader_of_fields_returns_ends_it(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct store_field one = field("alert/1", "x");
    CLEANUP_MANIFEST manifest = lead(store);

    assert_int_equal(store_put_fields(store, manifest->epoch, &one, 1), 0);
    assert_int_equal(store_get_fields(store, stop_at_once, NULL), -EIO);
}

/* ---- values for other readers ---- */

static void values_are_a_hash_and_their_change_is_announced(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct store_field fields[] = {field("roi", "1.5"), field("nps", "40")};
    const struct store_field changed[] = {field("roi", "1.6"), field("nps", "")};
    redisContext *listener = redis_server_connect(server);
    redisReply *reply = redisCommand(listener, "SUBSCRIBE kpid:g:changes");

    freeReplyObject(reply);
    assert_int_equal(store_put_values(store, "double11", fields, 2), 0);
    assert_int_equal(redisGetReply(listener, (void **)&reply), REDIS_OK);
    assert_string_equal(reply->element[2]->str, "double11");
    freeReplyObject(reply);
    redisFree(listener);
    assert_int_equal(store_put_values(store, "double11", changed, 2), 0);
    reply = redis_server_command(server, "HGETALL kpid:g:kpi:double11");
    assert_int_equal(reply->elements, 2);
    assert_string_equal(reply->element[0]->str, "roi");
    assert_string_equal(reply->element[1]->str, "1.6");
    freeReplyObject(reply);
}

/* ---- identity ---- */

static void state_is_bound_to_its_secret_key(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    bool durable = true;

    assert_int_equal(store_check(store, 0xabc, &durable), 0);
    assert_false(durable); /* this server has no AOF */
    assert_int_equal(store_check(store, 0xabc, &durable), 0);
    assert_int_equal(store_check(store, 0xabd, &durable), STORE_E_REFUSED);
    assert_non_null(strstr(store_error(store), "secret key"));
    assert_null(strstr(store_error(store), "abc"));
}

static void state_of_a_newer_format_is_refused(void **state)
{
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    bool durable;

    redis_server_do(server, "SET kpid:g:identity %s", "v2 0000000000000abc");
    assert_int_equal(store_check(store, 0xabc, &durable), STORE_E_REFUSED);
    redis_server_do(server, "SET kpid:g:identity junk");
    assert_int_equal(store_check(store, 0xabc, &durable), STORE_E_REFUSED);
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
        TEST(a_summary_comes_back_as_it_was),
        TEST(fields_are_put_got_and_deleted),
        TEST(more_fields_than_one_hset_takes),
        TEST(a_fenced_leader_writes_no_field),
        TEST(a_leader_whose_claim_is_lost_learns_of_the_rollback),
        TEST(what_the_reader_of_fields_returns_ends_it),
        TEST(values_are_a_hash_and_their_change_is_announced),
        TEST(state_is_bound_to_its_secret_key),
        TEST(state_of_a_newer_format_is_refused),
    };

    if (!redis_server_available())
        return 77;
    return cmocka_run_group_tests(tests, start, stop);
}
