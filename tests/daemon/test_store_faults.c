/*
 * Whatever happens to Redis, a call of the store ends in time with the outcome that fits, says why
 * in a line without secrets, and works again when Redis does. What comes from a stranger is
 * bounded.
 */
#include "store/store.h"

#include "checkpoint.h"
#include "redis_peer.h"
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLEANUP_STORE    KPI_CLEANUP(free_store) struct store *
#define CLEANUP_MANIFEST KPI_CLEANUP(free_manifest) struct store_manifest *
#define CLEANUP_SERVER   KPI_CLEANUP(free_server) struct redis_server *
#define CLEANUP_PEER     KPI_CLEANUP(free_peer) struct redis_peer *

static void free_store(struct store **store)
{
    *store = store_free(*store);
}

static void free_manifest(struct store_manifest **manifest)
{
    *manifest = store_manifest_free(*manifest);
}

static void free_server(struct redis_server **server)
{
    *server = redis_server_free(*server);
}

static void free_peer(struct redis_peer **peer)
{
    *peer = redis_peer_free(*peer);
}

static struct store *store_with(const struct store_options *options)
{
    struct store_options full = *options;
    struct store *store = NULL;

    full.group = full.group ? full.group : "g";
    full.owner = "test:1";
    full.connect_timeout_us = 10000000;
    if (full.command_timeout_us == 0)
        full.command_timeout_us = 10000000;
    assert_int_equal(store_new(&store, &full), 0);
    return store;
}

static struct store_manifest *claim(struct store *store)
{
    struct store_manifest *manifest = NULL;

    if (store_claim(store, 0, 0, &manifest) != 0)
        fail_msg("%s", store_error(store));
    return manifest;
}

static void assert_says(const struct store *store, const char *what)
{
    if (!strstr(store_error(store), what))
        fail_msg("\"%s\" does not say \"%s\"", store_error(store), what);
}

static int check(struct store *store)
{
    bool durable;

    return store_check(store, 1, &durable);
}

static struct store_stats stats_of(const struct store *store)
{
    struct store_stats stats;

    store_stats(store, &stats);
    return stats;
}

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Repeats the commit as long as it is put off, as the daemon would. */
static int commit_patiently(struct store *store, struct store_manifest *manifest, int64_t next,
                            const struct kpi_object *objects, uint32_t n_objects)
{
    int64_t deadline_us = now_us() + 30000000;
    int r;

    do {
        r = checkpoint_commit(store, manifest, next, objects, n_objects);
    } while (r == STORE_E_AWAY && now_us() < deadline_us);
    return r;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

/* ---- settings that name nothing ---- */

static void bad_settings_are_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *url, *group, *says;
    } cases[] = {
        {"http://localhost", "g", "begins with redis://"},
        {"rediss://localhost", "g", "TLS"},
        {"redis://me:hunter2@localhost", "g", "settings of their own"},
        {"redis://", "g", "no host"},
        {"redis://localhost:0", "g", "port"},
        {"redis://localhost:70000", "g", "port"},
        {"redis://localhost:x", "g", "port"},
        {"redis://localhost/x", "g", "number of a database"},
        {"unix://relative", "g", "unix:///path"},
        {"unix:///tmp/s?x=1", "g", "?db=n"},
        {"unix:///tmp/s?db=x", "g", "?db=n"},
        {"redis://localhost", "", "1 to 200 bytes"},
        {"redis://localhost", "a{b", "{ }"},
        {"redis://localhost", "a}b", "{ }"},
        {"redis://localhost", "a\nb", "control characters"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_STORE store = checkpoint_store(cases[i].url, cases[i].group, "a:1");

        assert_int_equal(check(store), STORE_E_REFUSED);
        assert_says(store, cases[i].says);
        assert_null(strstr(store_error(store), "hunter2"));
    }
}

static void nobody_listening_is_away(void **state)
{
    CLEANUP_STORE store = checkpoint_store("unix:///nonexistent/socket", "g", "a:1");

    assert_int_equal(check(store), STORE_E_AWAY);
    assert_says(store, "/nonexistent/socket: cannot connect: No such file");
    assert_false(stats_of(store).up);
}

/* ---- servers that will not do ---- */

static void a_server_that_evicts_is_refused(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");

    redis_server_do(server, "CONFIG SET maxmemory-policy allkeys-lru");
    assert_int_equal(check(store), STORE_E_REFUSED);
    assert_says(store, "allkeys-lru");
    redis_server_do(server, "CONFIG SET maxmemory-policy noeviction");
    assert_int_equal(check(store), 0);
}

static void a_cluster_is_refused(void **state)
{
    char port[16];
    const char *arguments[] = {"--cluster-enabled", "yes",    "--port", port,
                               "--cluster-port",    port + 8, NULL};
    CLEANUP_SERVER server = NULL;
    CLEANUP_STORE store = NULL;

    (void)snprintf(port, 8, "%d", free_port());
    (void)snprintf(port + 8, 8, "%d", free_port());
    server = redis_server_new(arguments);
    store = checkpoint_store(server->url, "g", "a:1");
    assert_int_equal(check(store), STORE_E_REFUSED);
    assert_says(store, "cluster");
}

static void a_replica_is_refused_at_start_and_away_later(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);
    struct kpi_object object = checkpoint_object("a", "1");

    redis_server_do(server, "REPLICAOF 127.0.0.1 1");
    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), STORE_E_AWAY);
    assert_says(store, "READONLY");
    assert_int_equal(check(store), STORE_E_REFUSED);
    assert_says(store, "is a replica");
    redis_server_do(server, "REPLICAOF NO ONE");
    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), 0);
    assert_true(stats_of(store).n_reconnects >= 1); /* another address may have the primary */
}

/* ---- rights ---- */

static void a_password_is_asked_for_and_never_shown(void **state)
{
    static const char *const arguments[] = {"--requirepass", "correct-horse", NULL};
    CLEANUP_SERVER server = redis_server_new(arguments);
    CLEANUP_STORE none = store_with(&(struct store_options){.url = server->url});
    CLEANUP_STORE wrong =
        store_with(&(struct store_options){.url = server->url, .password = "battery-staple"});
    CLEANUP_STORE right =
        store_with(&(struct store_options){.url = server->url, .password = "correct-horse"});

    assert_int_equal(check(none), STORE_E_REFUSED);
    assert_says(none, "NOAUTH");
    assert_int_equal(check(wrong), STORE_E_REFUSED);
    assert_says(wrong, "password");
    assert_null(strstr(store_error(wrong), "battery"));
    assert_int_equal(check(right), 0);
}

static void a_renamed_auth_does_not_give_the_password_away(void **state)
{
    static const char *const arguments[] = {"--rename-command", "AUTH", "", NULL};
    CLEANUP_SERVER server = redis_server_new(arguments);
    CLEANUP_STORE store =
        store_with(&(struct store_options){.url = server->url, .password = "battery-staple"});

    assert_int_equal(check(store), STORE_E_REFUSED);
    assert_null(strstr(store_error(store), "battery"));
}

static void a_server_that_repeats_the_password_is_not_quoted(void **state)
{
    CLEANUP_PEER peer =
        redis_peer_new(&(struct redis_peer_options){.say = "-WHAT battery-staple?\r\n"});
    CLEANUP_STORE store = store_with(
        &(struct store_options){.url = redis_peer_url(peer), .password = "battery-staple"});

    assert_int_equal(check(store), STORE_E_AWAY);
    assert_null(strstr(store_error(store), "battery"));
}

static int ignore_field(void *userdata, const struct store_field *field)
{
    return 0;
}

static void the_documented_rights_suffice(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = store_with(&(struct store_options){
        .url = server->url, .username = "kpid", .password = "pw", .n_replicas = 0});
    const struct kpi_object objects[] = {checkpoint_object("a", "1"), checkpoint_object("b", "1")};
    const struct kpi_object removed = checkpoint_object("a", NULL);
    struct store_field fields[] = {{"x", "1", 1}, {"y", "", 0}};
    struct store_position position = checkpoint_position(5);
    CLEANUP_MANIFEST manifest = NULL;
    CLEANUP_MANIFEST seen = NULL;
    CLEANUP_MANIFEST staged = NULL;
    uint64_t fold = 0, staged_by = 0;
    void *bytes = NULL;
    bool there = false;
    size_t size;

    redis_server_do(server,
                    "ACL SETUSER kpid on >pw resetkeys ~kpid:* resetchannels &kpid:* -@all "
                    "+auth +select +info +get +set +setex +expire +unlink +hget +hset +hdel "
                    "+hkeys +hmget +hgetall +scan +eval +publish +wait");
    assert_int_equal(check(store), 0);
    manifest = claim(store);
    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, 2), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 2, &removed, 1), 0);
    assert_string_equal(checkpoint_text(store, manifest), "b=1;");
    redis_server_do(server, "SET kpid:{g/0}:o:z:1.0123456789abcdef x");
    assert_int_equal(store_sweep(store, manifest), 0);
    assert_int_equal(store_peek(store, 0, &seen), 0);
    assert_int_equal(store_commit(store, manifest,
                                  &(struct store_commit){.shard = 0,
                                                         .epoch = manifest->epoch,
                                                         .generation = 3,
                                                         .replace = true,
                                                         .positions = &position,
                                                         .n_positions = 1}),
                     0);
    assert_int_equal(store_put_summary(store, 0, "s", 1), 0);
    assert_int_equal(store_get_summary(store, 0, &bytes, &size), 0);
    free(bytes);
    assert_int_equal(store_put_fields(store, manifest->epoch, fields, 2), 0);
    assert_int_equal(store_get_fields(store, ignore_field, NULL), 0);
    assert_int_equal(store_put_values(store, "c", fields, 2), 0);
    store_use_staged(store, true);
    staged = claim(store);
    assert_int_equal(checkpoint_commit(store, staged, 1, objects, 2), 0);
    store_use_staged(store, false);
    assert_int_equal(store_staged_announce(store, 0x123), 0);
    assert_int_equal(store_staged_find(store, &there, &fold), 0);
    assert_true(there && fold == 0x123);
    assert_int_equal(store_staged_claim(store, 0, &staged_by), 0);
    assert_true(staged_by == staged->claim);
    assert_int_equal(store_staged_remove(store, 0, staged_by), 0);
    assert_int_equal(store_staged_withdraw(store), 0);
}

static void missing_rights_are_refused_by_name(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = store_with(
        &(struct store_options){.url = server->url, .username = "kpid", .password = "pw"});
    CLEANUP_MANIFEST manifest = NULL;

    redis_server_do(server, "ACL SETUSER kpid on >pw ~kpid:* &kpid:* +@all -eval");
    assert_int_equal(check(store), STORE_E_REFUSED);
    assert_says(store, "'eval'");
    /* Inside a script it is another error. */
    redis_server_do(server, "ACL SETUSER kpid +eval -hset");
    assert_int_equal(store_claim(store, 0, 0, &manifest), STORE_E_REFUSED);
    assert_null(manifest);
    redis_server_do(server, "ACL SETUSER kpid +hset");
    manifest = claim(store);
}

/* ---- Redis in trouble ---- */

static void a_full_redis_is_away_until_it_has_room(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    struct kpi_object objects[6];
    CLEANUP_MANIFEST manifest = claim(store);

    for (int i = 0; i < 6; i++)
        objects[i] = checkpoint_object((const char *[]){"a", "b", "c", "d", "e", "f"}[i], "1");
    redis_server_do(server, "CONFIG SET maxmemory 1");
    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, 6), STORE_E_AWAY);
    assert_says(store, "OOM");
    assert_int_equal(checkpoint_commit(store, manifest, 1, NULL, 0), STORE_E_AWAY);
    assert_says(store, "OOM"); /* inside the script */
    assert_false(stats_of(store).up);
    redis_server_do(server, "CONFIG SET maxmemory 0");
    assert_int_equal(checkpoint_commit(store, manifest, 1, objects, 6), 0);
    assert_string_equal(checkpoint_text(store, manifest), "a=1;b=1;c=1;d=1;e=1;f=1;");
    assert_true(stats_of(store).up);
    assert_int_equal(stats_of(store).n_reconnects, 0);
}

static void too_few_replicas_for_redis_is_away(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_MANIFEST manifest = claim(store);

    redis_server_do(server, "CONFIG SET min-replicas-to-write 1");
    assert_int_equal(checkpoint_commit(store, manifest, 1, NULL, 0), STORE_E_AWAY);
    assert_says(store, "NOREPLICAS");
}

static void a_redis_that_is_loading_is_away(void **state)
{
    static const char *const slowly[] = {"--key-load-delay", "10000",
                                         "--loading-process-events-interval-bytes", "1024", NULL};
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    struct store_manifest *manifest = NULL;

    redis_server_do(server, "EVAL %s 0",
                    "for i = 1, 20000 do redis.call('SET', 'k' .. i, string.rep('x', 100)) end");
    redis_server_do(server, "SAVE");
    redis_server_kill(server);
    server->arguments = slowly; /* 10 ms a key: 200 s */
    redis_server_restart(server);
    assert_int_equal(store_claim(store, 0, 0, &manifest), STORE_E_AWAY);
    assert_says(store, "LOADING");
    assert_int_equal(check(store), STORE_E_AWAY);
    assert_says(store, "LOADING");
}

static void a_redis_busy_with_a_script_is_away(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    redisContext *other = redis_server_connect(server);
    CLEANUP_MANIFEST manifest = NULL;
    redisReply *reply = NULL;
    int done = 0;

    redis_server_do(server, "CONFIG SET busy-reply-threshold 1");
    assert_int_equal(redisAppendCommand(other, "EVAL %s 0", "while true do end"), REDIS_OK);
    while (!done)
        assert_int_equal(redisBufferWrite(other, &done), REDIS_OK);
    /* Until Redis has read the script it answers others as ever. */
    while (store_claim(store, 0, 0, &manifest) == 0)
        manifest = store_manifest_free(manifest);
    assert_says(store, "BUSY");
    assert_int_equal(store_claim(store, 0, 0, &manifest), STORE_E_AWAY);
    redis_server_do(server, "SCRIPT KILL");
    assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK); /* it has ended */
    freeReplyObject(reply);
    redisFree(other);
    manifest = claim(store);
}

static void what_was_committed_survives_a_kill_of_redis(void **state)
{
    static const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
    CLEANUP_SERVER server = redis_server_new(arguments);
    CLEANUP_STORE store = checkpoint_store(server->url, "g", "a:1");
    const struct kpi_object first = checkpoint_object("a", "1"),
                            second = checkpoint_object("b", "2");
    CLEANUP_MANIFEST manifest = claim(store);
    bool durable = false;

    assert_int_equal(store_check(store, 1, &durable), 0);
    assert_true(durable);
    assert_int_equal(checkpoint_commit(store, manifest, 1, &first, 1), 0);
    redis_server_kill(server);
    assert_int_equal(checkpoint_commit(store, manifest, 2, &second, 1), STORE_E_AWAY);
    redis_server_restart(server);
    assert_int_equal(commit_patiently(store, manifest, 2, &second, 1), 0);
    assert_string_equal(checkpoint_text(store, manifest), "a=1;b=2;");
    assert_int_equal(stats_of(store).n_reconnects, 1);
}

static void a_standing_redis_is_away_in_time_and_its_late_reply_is_nobodys(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE patient = checkpoint_store(server->url, "g", "a:1");
    CLEANUP_STORE store =
        store_with(&(struct store_options){.url = server->url, .command_timeout_us = 300000});
    int64_t started_us;
    void *bytes = NULL;
    size_t size = 0;
    int r;

    assert_int_equal(store_put_summary(patient, 1, "one", 3), 0);
    assert_int_equal(store_put_summary(patient, 2, "two", 3), 0);
    redis_server_stop(server);
    started_us = now_us();
    assert_int_equal(store_get_summary(store, 1, &bytes, &size), STORE_E_AWAY);
    assert_says(store, "no answer in time");
    assert_true(now_us() - started_us >= 300000);
    assert_true(now_us() - started_us < 5000000);
    redis_server_continue(server);
    while ((r = store_get_summary(store, 2, &bytes, &size)) == STORE_E_AWAY)
        ;
    assert_int_equal(r, 0);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "two", 3);
    free(bytes);
}

/* More than the socket takes, so that it is the writing that has to give up. */
static void a_standing_redis_does_not_hold_up_a_large_commit(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE patient = checkpoint_store(server->url, "g", "test:1");
    CLEANUP_STORE store =
        store_with(&(struct store_options){.url = server->url, .command_timeout_us = 300000});
    CLEANUP_MANIFEST manifest = claim(patient);
    char *bytes = malloc((size_t)3 << 20);
    struct kpi_object object = {.name = KPI_STRING("a"), .data = bytes, .size = (size_t)3 << 20};

    assert_non_null(bytes);
    memset(bytes, 'x', object.size);
    redis_server_stop(server);
    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), STORE_E_AWAY);
    redis_server_continue(server);
    assert_int_equal(checkpoint_commit(patient, manifest, 1, &object, 1), 0);
    free(bytes);
}

/* ---- replicas ---- */

static void without_replicas_a_commit_is_applied_but_not_durable(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = store_with(
        &(struct store_options){.url = server->url, .n_replicas = 1, .wait_timeout_us = 20000});
    CLEANUP_MANIFEST manifest = claim(store);
    const struct kpi_object object = checkpoint_object("a", "1");

    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), STORE_E_AWAY);
    assert_says(store, "0 of 1 replicas");
    assert_int_equal(manifest->generation, 0);
    /* Nor does its repetition pass for durable. */
    assert_int_equal(checkpoint_commit(store, manifest, 1, &object, 1), STORE_E_AWAY);
    assert_says(store, "0 of 1 replicas");
}

static void an_error_leaves_no_reply_of_wait_behind(void **state)
{
    CLEANUP_SERVER server = redis_server_new(NULL);
    CLEANUP_STORE store = store_with(
        &(struct store_options){.url = server->url, .n_replicas = 1, .wait_timeout_us = 20000});
    CLEANUP_MANIFEST manifest = claim(store);
    void *bytes = NULL;
    size_t size = 0;

    redis_server_do(server, "FLUSHALL");
    assert_int_equal(store_put_summary(store, 1, "one", 3), 0);
    assert_int_equal(checkpoint_commit(store, manifest, 1, NULL, 0), STORE_E_ROLLBACK);
    assert_int_equal(store_get_summary(store, 1, &bytes, &size), 0);
    assert_int_equal(size, 3);
    free(bytes);
}

static void with_its_replica_a_commit_is_durable(void **state)
{
    char port[8];
    const char *arguments[] = {"--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay",
                               "0",      NULL};
    CLEANUP_SERVER primary = NULL;
    CLEANUP_SERVER replica = redis_server_new(NULL);
    CLEANUP_STORE store = NULL;
    CLEANUP_MANIFEST manifest = NULL;

    (void)snprintf(port, sizeof(port), "%d", free_port());
    primary = redis_server_new(arguments);
    redis_server_do(replica, "REPLICAOF 127.0.0.1 %s", port);
    store = store_with(
        &(struct store_options){.url = primary->url, .n_replicas = 1, .wait_timeout_us = 500000});
    manifest = claim(store);
    assert_int_equal(commit_patiently(store, manifest, 1, NULL, 0), 0);
    redis_server_stop(replica);
    assert_int_equal(checkpoint_commit(store, manifest, 2, NULL, 0), STORE_E_AWAY);
    redis_server_continue(replica);
    assert_int_equal(commit_patiently(store, manifest, 2, NULL, 0), 0);
}

/* ---- strangers ---- */

static void assert_away_from(const struct redis_peer_options *options, const char *says)
{
    CLEANUP_PEER peer = redis_peer_new(options);
    CLEANUP_STORE store = store_with(
        &(struct store_options){.url = redis_peer_url(peer), .command_timeout_us = 300000});
    struct store_manifest *manifest = NULL;
    int64_t started_us = now_us();

    assert_int_equal(store_peek(store, 0, &manifest), STORE_E_AWAY);
    assert_says(store, says);
    assert_true(now_us() - started_us < 5000000);
}

static void nonsense_closes_the_connection(void **state)
{
    assert_away_from(&(struct redis_peer_options){.say = "HTTP/1.1 400 Bad Request\r\n\r\n"},
                     "not the protocol");
    assert_away_from(&(struct redis_peer_options){.say = "*-7\r\n"}, "not the protocol");
    assert_away_from(&(struct redis_peer_options){.say = "$-7\r\n"}, "not the protocol");
    assert_away_from(&(struct redis_peer_options){.say = ":99999999999999999999\r\n"},
                     "not the protocol");
    assert_away_from(&(struct redis_peer_options){.say = "+OK\r\n"}, "something else");
    assert_away_from(&(struct redis_peer_options){.say = "", .then = REDIS_PEER_THEN_CLOSE},
                     "closed the connection");
    assert_away_from(
        &(struct redis_peer_options){.say = "*2\r\n$5\r\nepo", .then = REDIS_PEER_THEN_CLOSE},
        "closed the connection");
}

static void an_error_of_control_characters_is_one_line(void **state)
{
    CLEANUP_PEER peer =
        redis_peer_new(&(struct redis_peer_options){.say = "-ERR a\x1b[2Jb\tc\r\n"});
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    struct store_manifest *manifest = NULL;

    assert_int_equal(store_peek(store, 0, &manifest), STORE_E_REFUSED);
    assert_says(store, "ERR a?[2Jb?c");
}

static void a_huge_array_is_not_allocated(void **state)
{
    assert_away_from(&(struct redis_peer_options){.say = "*2147483647\r\n"}, "not the protocol");
}

static void a_reply_byte_by_byte_is_away_in_time(void **state)
{
    assert_away_from(&(struct redis_peer_options){.say = "+", .then = REDIS_PEER_THEN_DRIP},
                     "no answer in time");
    assert_away_from(&(struct redis_peer_options){.say = "$1000\r\n", .then = REDIS_PEER_THEN_DRIP},
                     "no answer in time");
}

static void a_reply_without_end_is_cut_at_64_mib(void **state)
{
    CLEANUP_PEER peer = redis_peer_new(
        &(struct redis_peer_options){.say = "$629145600\r\n", .then = REDIS_PEER_THEN_FLOOD});
    CLEANUP_STORE store = checkpoint_store(redis_peer_url(peer), "g", "a:1");
    struct store_manifest *manifest = NULL;

    assert_int_equal(store_peek(store, 0, &manifest), STORE_E_AWAY);
    assert_says(store, "64 MiB");
    assert_true(redis_peer_bytes_said(peer) < (uint64_t)68 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_settings_are_refused_with_a_sentence),
        cmocka_unit_test(nobody_listening_is_away),
        cmocka_unit_test(a_server_that_evicts_is_refused),
        cmocka_unit_test(a_cluster_is_refused),
        cmocka_unit_test(a_replica_is_refused_at_start_and_away_later),
        cmocka_unit_test(a_password_is_asked_for_and_never_shown),
        cmocka_unit_test(a_renamed_auth_does_not_give_the_password_away),
        cmocka_unit_test(a_server_that_repeats_the_password_is_not_quoted),
        cmocka_unit_test(the_documented_rights_suffice),
        cmocka_unit_test(missing_rights_are_refused_by_name),
        cmocka_unit_test(a_full_redis_is_away_until_it_has_room),
        cmocka_unit_test(too_few_replicas_for_redis_is_away),
        cmocka_unit_test(a_redis_that_is_loading_is_away),
        cmocka_unit_test(a_redis_busy_with_a_script_is_away),
        cmocka_unit_test(what_was_committed_survives_a_kill_of_redis),
        cmocka_unit_test(a_standing_redis_is_away_in_time_and_its_late_reply_is_nobodys),
        cmocka_unit_test(a_standing_redis_does_not_hold_up_a_large_commit),
        cmocka_unit_test(without_replicas_a_commit_is_applied_but_not_durable),
        cmocka_unit_test(an_error_leaves_no_reply_of_wait_behind),
        cmocka_unit_test(with_its_replica_a_commit_is_durable),
        cmocka_unit_test(nonsense_closes_the_connection),
        cmocka_unit_test(an_error_of_control_characters_is_one_line),
        cmocka_unit_test(a_huge_array_is_not_allocated),
        cmocka_unit_test(a_reply_byte_by_byte_is_away_in_time),
        cmocka_unit_test(a_reply_without_end_is_cut_at_64_mib),
    };

    if (!redis_server_available())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
