/*
 * Claim: an engine saved and loaded at any moment goes on as if nothing had happened (laws 1 and 2:
 * digest, rows and outcomes are those of a run without interruption); a save after a short while is
 * small; bytes that are changed, cut, missing or exchanged are refused as corrupt and never crash.
 */
#include "counting_mem.h"
#include "engine_world.h"
#include "object_store.h"

#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct world {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_batch *batch;
    struct object_store store;
};

static void world_open(struct world *world)
{
    counting_mem_init(&world->counting);
    world->plan = fixture_plan(&world->f);
    assert_non_null(world->plan);
    assert_int_equal(kpi_batch_new(&world->batch, world->plan, &world->counting.mem), 0);
}

static void world_close(struct world *world)
{
    object_store_clear(&world->store);
    kpi_batch_free(world->batch);
    kpi_plan_unref(world->plan);
    assert_int_equal(world->counting.bytes, 0);
    memset(world, 0, sizeof(*world));
}

static struct world world;

static struct kpi_engine *engine_new(void)
{
    struct kpi_engine *engine;

    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    return engine;
}

static void apply_one(struct kpi_engine *engine, const struct world_event *w,
                      enum kpi_outcome *ret_outcome)
{
    world.batch->n_events = 0;
    world_put(world.batch, world.plan, w);
    assert_int_equal(kpi_engine_apply(engine, world.batch), 0);
    *ret_outcome = world.batch->events[0].outcome;
}

static void save(struct kpi_engine *engine, bool all)
{
    object_store_begin(&world.store);
    assert_int_equal(kpi_engine_save(engine, all, object_store_put, &world.store), 0);
}

static void assert_same_state(struct kpi_engine *engine, struct kpi_engine *expected)
{
    struct kpi_engine_stats stats, expected_stats;
    uint8_t digest[16], expected_digest[16];

    assert_int_equal(kpi_engine_digest(engine, digest), 0);
    assert_int_equal(kpi_engine_digest(expected, expected_digest), 0);
    assert_memory_equal(digest, expected_digest, 16);
    kpi_engine_stats(engine, &stats);
    kpi_engine_stats(expected, &expected_stats);
    assert_int_equal(stats.n_late, expected_stats.n_late);
    assert_int_equal(stats.n_dedupe_ids, expected_stats.n_dedupe_ids);
    assert_true(stats.dedupe_window == expected_stats.dedupe_window);
    assert_int_equal(stats.n_cells, expected_stats.n_cells);
}

static void assert_same_rows(struct kpi_engine *engine, struct kpi_engine *expected, kpi_time as_of)
{
    struct kpi_layout *layout;
    struct kpi_row *rows, *expected_rows;
    uint32_t n;

    assert_int_equal(kpi_layout_new(&layout, world.plan, as_of, &world.counting.mem), 0);
    n = kpi_layout_n_rows(layout);
    rows = calloc(n, sizeof(*rows));
    expected_rows = calloc(n, sizeof(*rows));
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    assert_int_equal(kpi_engine_report(expected, layout, expected_rows), 0);
    assert_memory_equal(rows, expected_rows, n * sizeof(*rows));
    free(rows);
    free(expected_rows);
    kpi_layout_unref(layout);
}

/* Runs a stream through an engine that is never stopped and one that is, at random moments. */
static void run_with_restarts(struct world_stream stream, uint32_t n_events,
                              uint32_t n_between_saves, uint32_t saves_between_restarts)
{
    struct kpi_engine *whole, *engine;
    uint64_t seed = stream.seed;

    world_open(&world);
    whole = engine_new();
    engine = engine_new();
    for (uint32_t i = 0; i < n_events; i++) {
        enum kpi_outcome outcome, expected;
        struct world_event w;

        world_next(&stream, world.plan, &w);
        apply_one(whole, &w, &expected);
        apply_one(engine, &w, &outcome);
        assert_int_equal(outcome, expected);
        if (next_random(&seed) % n_between_saves)
            continue;
        save(engine, next_random(&seed) % 10 == 0);
        if (next_random(&seed) % saves_between_restarts)
            continue;
        engine = kpi_engine_free(engine);
        engine = engine_new();
        assert_int_equal(object_store_load(&world.store, engine, seed), 0);
        assert_same_state(engine, whole);
        assert_same_rows(engine, whole, stream.now);
    }
    assert_same_state(engine, whole);
    kpi_engine_free(engine);
    kpi_engine_free(whole);
    world_close(&world);
}

static void laws_1_and_2_a_restart_changes_nothing(void **state)
{
    world_fixture(&world.f);
    run_with_restarts(world_stream_make(1), 4000, 20, 4);
}

static void a_restart_changes_nothing_over_long_times(void **state)
{
    struct world_stream stream = world_stream_make(2);

    world_fixture(&world.f);
    fixture_keep(&world.f, 6 * KPI_DAY);
    stream.step_s = 4000;
    run_with_restarts(stream, 1500, 10, 3);
}

/* The cap binds, hours are forgotten, now and then all of them. */
static void a_restart_changes_nothing_while_the_dedupe_cap_binds(void **state)
{
    struct world_stream stream = world_stream_make(3);

    world_fixture(&world.f);
    world.f.in.dedupe_ids_max = 25;
    stream.step_s = 100;
    stream.copies = 3;
    run_with_restarts(stream, 2500, 10, 3);
}

/* Arrivals in ticks of four hours, of which several begin between two saves. */
static void a_restart_changes_nothing_with_a_long_dedupe_window(void **state)
{
    struct world_stream stream = world_stream_make(4);

    world_fixture(&world.f);
    world.f.in.dedupe_window = 100 * KPI_HOUR;
    stream.step_s = 3600;
    stream.copies = 3;
    run_with_restarts(stream, 2500, 10, 3);
}

/* Many users: hot sets in groups of pages, several chunks of users and rows, full objects of ids.
 */
static struct world_event many_users_event(uint64_t i, kpi_time now)
{
    uint64_t user = i * 3 % 1000003;
    struct world_event w = {.event = {.time = now,
                                      .record_time = now,
                                      .user = XXH3_64bits(&user, sizeof(user)),
                                      .id = XXH3_64bits_withSeed(&i, sizeof(i), 3),
                                      .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                      .type = string_field(i % 3 ? "purchase" : "exposure")}};

    world_set_field(world.plan, &w, "campaign", string_field("b"));
    world_set_field(world.plan, &w, "amount", number_field(1));
    return w;
}

static void apply_many(struct kpi_engine *engine, uint64_t *i, uint64_t n, kpi_time now)
{
    while (n) {
        world.batch->n_events = 0;
        for (; n && world.batch->n_events < KPI_BATCH_MAX; n--) {
            struct world_event w = many_users_event((*i)++, now);

            world_put(world.batch, world.plan, &w);
        }
        assert_int_equal(kpi_engine_apply(engine, world.batch), 0);
    }
}

static void check_reload(struct kpi_engine *engine, kpi_time now)
{
    struct kpi_engine *copy = engine_new();

    assert_int_equal(object_store_load(&world.store, copy, 5), 0);
    assert_same_state(copy, engine);
    assert_same_rows(copy, engine, now);
    /* What was loaded is clean: only the word that says so is written. */
    object_store_begin(&world.store);
    assert_int_equal(kpi_engine_save(copy, false, object_store_put, &world.store), 0);
    assert_int_equal(world.store.n_put, 1);
    assert_int_equal(world.store.n_removed, 0);
    kpi_engine_free(copy);
}

static void a_save_after_a_short_while_is_small(void **state)
{
    struct kpi_engine *engine;
    kpi_time now = DAY_2026_10_25 * KPI_DAY;
    size_t bytes_all;
    uint64_t i = 0;

    world_fixture(&world.f);
    world_open(&world);
    engine = engine_new();
    apply_many(engine, &i, 600000, now); /* some sets take several groups of pages */
    save(engine, false);
    bytes_all = world.store.bytes_put;
    assert_true(bytes_all > 8000000);
    check_reload(engine, now);
    save(engine, false);
    assert_int_equal(world.store.n_put, 1);
    assert_in_range(world.store.bytes_put, 1, 1000);
    for (unsigned round = 0; round < 30; round++) {
        apply_many(engine, &i, 500, now + round * KPI_MINUTE);
        save(engine, false);
        /* 500 ids and rows, the tail of users, a chunk of rows, pages with a new bit. */
        assert_in_range(world.store.bytes_put, 1, bytes_all / 8);
        assert_in_range(object_store_bytes(&world.store), bytes_all, bytes_all * 3 / 2);
    }
    check_reload(engine, now);
    /* The day ends: sets freeze, and their pages go. */
    apply_many(engine, &i, 100, now + 2 * KPI_DAY);
    save(engine, false);
    assert_true(world.store.n_removed > 0);
    check_reload(engine, now + 2 * KPI_DAY);
    save(engine, true);
    check_reload(engine, now + 2 * KPI_DAY);
    kpi_engine_free(engine);
    world_close(&world);
}

/* Deltas of rows stay below half of the base, whatever is changed. */
static void deltas_are_compacted(void **state)
{
    struct kpi_engine *engine;
    kpi_time now = DAY_2026_10_25 * KPI_DAY;
    uint64_t i = 0, seed = 4;

    world_fixture(&world.f);
    world.f.in.dedupe_window = 0;
    world_open(&world);
    engine = engine_new();
    apply_many(engine, &i, 60000, now);
    save(engine, false);
    for (unsigned round = 0; round < 60; round++) {
        size_t base = 0, deltas = 0;

        i = next_random(&seed) % 50000;
        apply_many(engine, &i, 1500, now);
        save(engine, false);
        for (size_t k = 0; k < world.store.n; k++) {
            base += world.store.objects[k].name[0] == 'r' ? world.store.objects[k].size : 0;
            deltas += world.store.objects[k].name[0] == 'x' ? world.store.objects[k].size : 0;
        }
        assert_in_range(deltas, 0, base * 55 / 100);
    }
    check_reload(engine, now);
    kpi_engine_free(engine);
    world_close(&world);
}

/* --- another plan --- */

static void another_plan_loads_what_it_shares(void **state)
{
    static struct fixture other;
    struct world_stream stream = world_stream_make(6);
    struct kpi_engine *engine, *replanned;
    struct kpi_plan *plan;
    enum kpi_outcome outcome;

    world_fixture(&world.f);
    world_open(&world);
    engine = engine_new();
    for (unsigned i = 0; i < 2000; i++) {
        struct world_event w;

        world_next(&stream, world.plan, &w);
        apply_one(engine, &w, &outcome);
        if (i % 300 == 0)
            save(engine, false);
    }
    save(engine, false);
    world_fixture(&other);
    other.in.n_kpis = 3;
    other.in.n_attributes = 0;
    other.in.n_measures = 0;
    fixture_kpis_of_the_product(&other);
    other.in.n_kpis = 3;
    fixture_attribute(&other, "score_was", "last(score)", "type == \"survey\"");
    fixture_attribute(&other, "orders", "count", "type == \"purchase\"");
    fixture_measure(&other, "reborn", "users",
                    "type == \"survey\" and orders > 1 and score_was > 3");
    fixture_kpi(&other, "k", "reborn / buyers", KPI_UNIT_RATIO);
    other.in.dedupe_window = 100 * KPI_HOUR;
    plan = fixture_plan(&other);
    assert_non_null(plan);
    assert_int_equal(kpi_engine_new(&replanned, plan, &world.counting.mem), 0);
    assert_int_equal(object_store_load(&world.store, replanned, 1), 0);
    assert_int_equal(kpi_engine_replan(engine, plan), 0);
    assert_same_state(replanned, engine);
    /* What nobody knows any more leaves the store with the next save, also for the next reader. */
    save(replanned, false);
    assert_true(world.store.n_removed > 0);
    kpi_engine_free(replanned);
    assert_int_equal(kpi_engine_new(&replanned, plan, &world.counting.mem), 0);
    assert_int_equal(object_store_load(&world.store, replanned, 2), 0);
    assert_same_state(replanned, engine);
    kpi_engine_free(replanned);
    kpi_engine_free(engine);
    kpi_plan_unref(plan);
    world_close(&world);
}

/* --- hostile bytes --- */

/* A small checkpoint in which every kind of object is. */
static struct kpi_engine *small_checkpoint(void)
{
    struct world_stream stream = world_stream_make(7);
    struct kpi_engine *engine = engine_new();
    enum kpi_outcome outcome;

    stream.step_s = 3000;
    for (unsigned i = 0; i < 60; i++) {
        struct world_event w;

        world_next(&stream, world.plan, &w);
        apply_one(engine, &w, &outcome);
        if (i == 40 || i == 55)
            save(engine, false);
    }
    save(engine, false);
    return engine;
}

/* Loads a store whose i-th object is replaced. */
static int load_replaced(size_t i, const void *data, size_t size, struct kpi_engine **ret_engine)
{
    struct stored *stored = &world.store.objects[i], kept = *stored;
    int r;

    *ret_engine = engine_new();
    stored->data = (void *)data;
    stored->size = size;
    r = object_store_load(&world.store, *ret_engine, 0);
    *stored = kept;
    return r;
}

static void changed_and_cut_bytes_are_refused(void **state)
{
    struct kpi_engine *engine, *copy;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    for (size_t i = 0; i < world.store.n; i++) {
        size_t size = world.store.objects[i].size;
        size_t step = size > 600 ? size / 300 : 1;
        uint8_t *bytes = malloc(size);

        memcpy(bytes, world.store.objects[i].data, size);
        for (size_t k = 0; k < size; k += k < 64 ? 1 : step) {
            bytes[k] ^= (uint8_t)(1 << k % 8);
            assert_int_equal(load_replaced(i, bytes, size, &copy), KPI_ENGINE_E_CORRUPT);
            kpi_engine_free(copy);
            bytes[k] ^= (uint8_t)(1 << k % 8);
            assert_int_equal(load_replaced(i, bytes, k, &copy), KPI_ENGINE_E_CORRUPT);
            kpi_engine_free(copy);
        }
        free(bytes);
    }
    kpi_engine_free(engine);
    world_close(&world);
}

/*
 * The same with a checksum that fits, as a stranger would make it: what is loaded then must be
 * sound, i.e. it can be asked everything and go on.
 */
static void sealed_nonsense_never_crashes(void **state)
{
    enum {
        TRIALS = 1500
    };
    struct kpi_engine *engine, *copy;
    unsigned n_loaded = 0, n_refused = 0;
    uint64_t seed = 13;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        size_t i = next_random(&seed) % world.store.n, size = world.store.objects[i].size;
        struct world_stream stream = world_stream_make(8);
        uint8_t *bytes = malloc(size), digest[16];
        uint16_t kind;
        int r;

        memcpy(bytes, world.store.objects[i].data, size);
        memcpy(&kind, bytes + 4, 2);
        for (unsigned n = 1 + (unsigned)(next_random(&seed) % 2); n && size > 24; n--)
            bytes[KPI_OBJECT_HEADER_BYTES +
                  next_random(&seed) % (size - KPI_OBJECT_HEADER_BYTES)] ^=
                (uint8_t)(1 << next_random(&seed) % 8);
        kpi_object_seal(bytes, (enum kpi_object_kind)kind, 1, size - KPI_OBJECT_HEADER_BYTES);
        r = load_replaced(i, bytes, size, &copy);
        assert_true(r == 0 || r == KPI_ENGINE_E_CORRUPT);
        n_refused += r != 0;
        n_loaded += r == 0;
        if (r == 0) {
            enum kpi_outcome outcome;
            struct world_event w;

            assert_int_equal(kpi_engine_digest(copy, digest), 0);
            assert_same_rows(copy, copy, stream.now + 20 * KPI_DAY);
            for (unsigned n = 0; n < 5; n++) {
                world_next(&stream, world.plan, &w);
                apply_one(copy, &w, &outcome);
            }
            assert_same_rows(copy, copy, stream.now + 20 * KPI_DAY);
        }
        kpi_engine_free(copy);
        free(bytes);
    }
    assert_true(n_loaded > 100);
    assert_true(n_refused > 100);
    kpi_engine_free(engine);
    world_close(&world);
}

static void missing_and_exchanged_objects_are_refused(void **state)
{
    struct kpi_engine *engine, *copy;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    for (size_t i = 0; i < world.store.n; i++) {
        struct stored kept = world.store.objects[i];
        struct kpi_object object;

        world.store.objects[i] = world.store.objects[--world.store.n];
        copy = engine_new();
        assert_int_equal(object_store_load(&world.store, copy, 0), KPI_ENGINE_E_CORRUPT);
        kpi_engine_free(copy);
        world.store.objects[world.store.n++] = world.store.objects[i];
        world.store.objects[i] = kept;
        /* Twice. */
        copy = engine_new();
        object = object_store_get(&world.store, i);
        assert_int_equal(kpi_engine_load(copy, &object), 0);
        assert_int_equal(object_store_load(&world.store, copy, 0), KPI_ENGINE_E_CORRUPT);
        kpi_engine_free(copy);
        /* Under another's name. */
        copy = engine_new();
        object.name = object_store_get(&world.store, (i + 1) % world.store.n).name;
        assert_int_equal(kpi_engine_load(copy, &object), KPI_ENGINE_E_CORRUPT);
        kpi_engine_free(copy);
    }
    copy = engine_new();
    assert_int_equal(kpi_engine_load_end(copy), KPI_ENGINE_E_CORRUPT);
    kpi_engine_free(copy);
    kpi_engine_free(engine);
    world_close(&world);
}

static void a_later_version_is_told_apart(void **state)
{
    struct kpi_engine *engine, *copy;
    struct kpi_object object;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    object = object_store_get(&world.store, 0);
    {
        uint16_t kind;

        memcpy(&kind, (const char *)object.data + 4, 2);
        kpi_object_seal((void *)object.data, (enum kpi_object_kind)kind, 99,
                        object.size - KPI_OBJECT_HEADER_BYTES);
    }
    copy = engine_new();
    assert_int_equal(kpi_engine_load(copy, &object), KPI_ENGINE_E_NEWER);
    kpi_engine_free(copy);
    kpi_engine_free(engine);
    world_close(&world);
}

static void names_that_are_none_are_refused(void **state)
{
    static const char *const names[] = {"",
                                        "m.1",
                                        "q",
                                        "u",
                                        "u.",
                                        "u.00",
                                        "u.G",
                                        "u.1.2",
                                        "p.1",
                                        "p.1.2.3",
                                        "d.1.fffffffff",
                                        "x.1.",
                                        "u.11111111111111111",
                                        "U.1",
                                        "s.1\n"};
    struct kpi_engine *engine, *copy;
    struct kpi_object object;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        copy = engine_new();
        object = object_store_get(&world.store, 0);
        object.name = (struct kpi_string){names[i], strlen(names[i])};
        assert_int_equal(kpi_engine_load(copy, &object), KPI_ENGINE_E_CORRUPT);
        kpi_engine_free(copy);
    }
    kpi_engine_free(engine);
    world_close(&world);
}

/* --- memory, and who takes the objects --- */

static int take_no_notice(void *userdata, const struct kpi_object *object)
{
    return 0;
}

static void every_failed_allocation_is_enomem(void **state)
{
    struct kpi_engine *engine, *copy;
    int r = -1;

    world_fixture(&world.f);
    world_open(&world);
    engine = small_checkpoint();
    for (uint64_t fail_at = 1; r != 0; fail_at++) {
        copy = engine_new();
        world.counting.fail_at = world.counting.n_calls + fail_at;
        r = object_store_load(&world.store, copy, 0);
        if (r == 0)
            r = kpi_engine_save(copy, true, take_no_notice, NULL);
        world.counting.fail_at = 0;
        if (r != 0)
            assert_int_equal(r, -ENOMEM);
        kpi_engine_free(copy);
    }
    kpi_engine_free(engine);
    world_close(&world);
}

static int refuse_after(void *userdata, const struct kpi_object *object)
{
    int *left = userdata;

    return (*left)-- ? 0 : -EIO;
}

static void what_put_returns_is_passed_on(void **state)
{
    world_fixture(&world.f);
    world_open(&world);
    for (int left = 0;; left++) {
        struct kpi_engine *engine = small_checkpoint();
        int n = left, r = kpi_engine_save(engine, true, refuse_after, &n);

        kpi_engine_free(engine);
        object_store_clear(&world.store);
        if (r == 0)
            break;
        assert_int_equal(r, -EIO);
    }
    world_close(&world);
}

static void the_frame_is_as_documented(void **state)
{
    uint8_t bytes[KPI_OBJECT_HEADER_BYTES + 5] = {0};
    const void *payload;
    uint16_t version;
    size_t length;
    uint64_t number;

    memcpy(bytes + KPI_OBJECT_HEADER_BYTES, "hello", 5);
    kpi_object_seal(bytes, KPI_OBJECT_ALERT, 3, 5);
    assert_memory_equal(bytes, "kpid\x08\x00\x03\x00\x05\x00\x00\x00\x00\x00\x00\x00", 16);
    memcpy(&number, bytes + 16, 8);
    assert_true(number == XXH3_64bits_withSeed("hello", 5, 8 << 16 | 3));
    assert_int_equal(
        kpi_object_open(bytes, sizeof(bytes), KPI_OBJECT_ALERT, 3, &version, &payload, &length), 0);
    assert_int_equal(version, 3);
    assert_int_equal(length, 5);
    assert_ptr_equal(payload, bytes + KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(
        kpi_object_open(bytes, sizeof(bytes), KPI_OBJECT_ALERT, 2, &version, &payload, &length),
        KPI_OBJECT_E_NEWER);
    assert_int_equal(
        kpi_object_open(bytes, sizeof(bytes), KPI_OBJECT_OUTBOX, 3, &version, &payload, &length),
        KPI_OBJECT_E_CORRUPT);
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(
            kpi_object_open(bytes, i, KPI_OBJECT_ALERT, 3, &version, &payload, &length),
            KPI_OBJECT_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_is_as_documented),
        cmocka_unit_test(laws_1_and_2_a_restart_changes_nothing),
        cmocka_unit_test(a_restart_changes_nothing_over_long_times),
        cmocka_unit_test(a_restart_changes_nothing_while_the_dedupe_cap_binds),
        cmocka_unit_test(a_restart_changes_nothing_with_a_long_dedupe_window),
        cmocka_unit_test(a_save_after_a_short_while_is_small),
        cmocka_unit_test(deltas_are_compacted),
        cmocka_unit_test(another_plan_loads_what_it_shares),
        cmocka_unit_test(changed_and_cut_bytes_are_refused),
        cmocka_unit_test(sealed_nonsense_never_crashes),
        cmocka_unit_test(missing_and_exchanged_objects_are_refused),
        cmocka_unit_test(a_later_version_is_told_apart),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(every_failed_allocation_is_enomem),
        cmocka_unit_test(what_put_returns_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
