/*
 * Claim: of a user who is erased nothing is left, neither in the engine (engine/erase.c) nor in
 * what a store holds after the next save; restarts change nothing of that; the digest does not tell
 * who it was; and who has withdrawn consent stays away. That all numbers are those of a log in
 * which the user has never been in any set, test_engine.c shows.
 */
#include "counting_mem.h"
#include "engine_world.h"
#include "object_store.h"

#include <engine/erase.h>
#include <engine/firsts.h>
#include <engine/unions.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NOW ((kpi_time)(DAY_2026_10_25 * KPI_DAY + 12 * KPI_HOUR))

/* What the tests' own events say, so that it can be looked for in bytes. */
#define SPENT 123456789123456

static struct world {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_batch *batch;
    struct object_store store;
    uint64_t n; /* events made */
} world;

static void world_open(void)
{
    memset(&world, 0, sizeof(world)); /* whatever a failed test has left */
    counting_mem_init(&world.counting);
    world_fixture(&world.f);
    world.plan = fixture_plan(&world.f);
    assert_non_null(world.plan);
    assert_int_equal(kpi_batch_new(&world.batch, world.plan, &world.counting.mem), 0);
}

static void world_close(void)
{
    object_store_clear(&world.store);
    kpi_batch_free(world.batch);
    kpi_plan_unref(world.plan);
    assert_int_equal(world.counting.bytes, 0);
    memset(&world, 0, sizeof(world));
}

static struct kpi_engine *engine_new(void)
{
    struct kpi_engine *engine;

    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    return engine;
}

static uint64_t hash_of(uint64_t user)
{
    return XXH3_64bits_withSeed(&user, sizeof(user), 99);
}

static struct world_event event_of(const char *type, uint64_t user, kpi_time time)
{
    uint64_t id = world.n++;
    struct world_event w = {.event = {.time = time,
                                      .record_time = time,
                                      .user = hash_of(user),
                                      .id = XXH3_64bits(&id, sizeof(id)),
                                      .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                      .type = string_field(type)}};

    world_set_field(world.plan, &w, "campaign", string_field("b"));
    world_set_field(world.plan, &w, "amount",
                    (struct kpi_field){.number = SPENT, .kind = KPI_FIELD_NUMBER});
    world_set_field(world.plan, &w, "score", number_field(9));
    return w;
}

static const struct kpi_event *apply(struct kpi_engine *engine, const struct world_event *w)
{
    world.batch->n_events = 0;
    world_put(world.batch, world.plan, w);
    assert_int_equal(kpi_engine_apply(engine, world.batch), 0);
    return &world.batch->events[0];
}

static const struct kpi_event *happen(struct kpi_engine *engine, const char *type, uint64_t user,
                                      kpi_time time)
{
    struct world_event w = event_of(type, user, time);

    return apply(engine, &w);
}

/* A bit of everything, over some days, some of which are finished. */
static void live(struct kpi_engine *engine, uint64_t user, kpi_time now)
{
    for (int day = 4; day >= 0; day--) {
        static const char *const types[] = {"exposure", "participation", "purchase", "survey",
                                            "purchase"};

        for (unsigned i = 0; i < COUNT_OF(types); i++)
            assert_int_equal(happen(engine, types[i], user, now - day * KPI_DAY)->outcome,
                             KPI_OUTCOME_APPLIED);
    }
}

static void erase(struct kpi_engine *engine, uint64_t user)
{
    assert_int_equal(happen(engine, "kpid.user_erased", user, NOW)->outcome, KPI_OUTCOME_APPLIED);
}

static void report(struct kpi_engine *engine, struct kpi_row *rows, uint32_t n_max)
{
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, world.plan, NOW, &world.counting.mem), 0);
    assert_in_range(kpi_layout_n_rows(layout), 1, n_max);
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    kpi_layout_unref(layout);
}

static void save(struct kpi_engine *engine)
{
    object_store_begin(&world.store);
    assert_int_equal(kpi_engine_save(engine, false, object_store_put, &world.store), 0);
}

/* Places in all that the store holds, of objects whose tag is among `tags`; NULL: of all. */
static unsigned count_bytes(uint64_t bytes, const char *tags)
{
    unsigned n = 0;

    for (size_t i = 0; i < world.store.n; i++) {
        const struct stored *object = &world.store.objects[i];

        for (size_t at = 0; at + 8 <= object->size; at++)
            n += memcmp((const char *)object->data + at, &bytes, 8) == 0 &&
                 (!tags || strchr(tags, object->name[0]));
    }
    return n;
}

static bool cell_has(const struct kpi_cell *cell, uint32_t id)
{
    if (cell->form == KPI_CELL_HOT || cell->form == KPI_CELL_FROZEN)
        return kpi_cell_contains(cell, id);
    if (cell->form == KPI_CELL_LATEST || cell->form == KPI_CELL_SCORES)
        return kpi_latest_find(&cell->latest, id) != NULL;
    return false;
}

static unsigned firsts_have(const struct kpi_firsts *firsts, uint32_t id)
{
    unsigned n = roaring_bitmap_contains(firsts->all, id);

    for (uint32_t d = 0; d < firsts->n_days; d++) {
        n += roaring_bitmap_contains(firsts->days[d].bitmap, id);
        for (uint32_t i = 0; i < firsts->n_returns; i++)
            n += firsts->days[d].returns[i].left &&
                 roaring_bitmap_contains(firsts->days[d].returns[i].left, id);
    }
    return n;
}

/* Cells and caches that have the id. */
static unsigned count_id(const struct kpi_engine *engine, uint32_t id)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++) {
            const struct kpi_series *series = engine->instances[i].series[t];

            for (uint32_t c = 0; series && c < series->n_cells; c++)
                n += cell_has(series->cells[c], id);
            for (const struct kpi_union *u = series ? series->unions : NULL; u; u = u->next)
                for (uint32_t k = 0; k < u->n; k++)
                    n += roaring_bitmap_contains(u->levels[k], id);
            for (const struct kpi_firsts *f = series ? series->firsts : NULL; f; f = f->next)
                n += firsts_have(f, id);
        }
    return n;
}

static void assert_equal_digests(const struct kpi_engine *a, const struct kpi_engine *b)
{
    uint8_t digest_a[16], digest_b[16];

    assert_int_equal(kpi_engine_digest(a, digest_a), 0);
    assert_int_equal(kpi_engine_digest(b, digest_b), 0);
    assert_memory_equal(digest_a, digest_b, 16);
}

/* Loads what is stored, checks that it is the same state, and goes on with that. */
static struct kpi_engine *restart(struct kpi_engine *engine)
{
    struct kpi_engine *copy = engine_new();

    assert_int_equal(object_store_load(&world.store, copy, 3), 0);
    assert_equal_digests(copy, engine);
    kpi_engine_free(engine);
    return copy;
}

static void no_bit_of_an_erased_user_is_left(void **state)
{
    static struct kpi_row rows[100000];
    struct kpi_engine *engine;
    uint32_t id, once;

    world_open();
    engine = engine_new();
    (void)happen(engine, "exposure", 60, NOW - 10 * KPI_DAY); /* who has never been back */
    for (uint64_t user = 0; user < 50; user++)
        live(engine, user, NOW);
    report(engine, rows, COUNT_OF(rows));
    save(engine);
    id = kpi_users_find(&engine->users, hash_of(7));
    once = kpi_users_find(&engine->users, hash_of(60));
    assert_true(count_id(engine, id) > 100 && count_id(engine, once) > 10);
    assert_int_equal(count_bytes(hash_of(7), NULL), 1);
    assert_int_equal(count_bytes(hash_of(8), NULL), 1);
    assert_true(kpi_slots_row(&engine->slots, id)[0] != KPI_TIME_NONE);

    erase(engine, 7);
    erase(engine, 60);
    report(engine, rows, COUNT_OF(rows));
    save(engine);
    assert_int_equal(count_id(engine, id) + count_id(engine, once), 0);
    assert_int_equal(count_bytes(hash_of(7), NULL), 0);
    assert_int_equal(count_bytes(hash_of(8), NULL), 1);
    for (uint32_t i = 0; i < engine->slots.n_slots; i++)
        assert_true(kpi_slots_row(&engine->slots, id)[i] == KPI_TIME_NONE);

    engine = restart(engine);
    assert_int_equal(count_id(engine, id), 0);
    kpi_engine_free(engine);
    world_close();
}

/* Rows stand in bases and in deltas of several saves: all that have one of the user's go. */
static void rows_of_an_erased_user_leave_the_store(void **state)
{
    const uint64_t spent = SPENT;
    struct kpi_engine *engine;

    world_open();
    engine = engine_new();
    for (uint64_t user = 0; user < 9000; user++) /* two chunks */
        (void)happen(engine, "purchase", user, NOW);
    save(engine);
    for (unsigned i = 0; i < 4; i++) {
        (void)happen(engine, "purchase", 7, NOW);
        (void)happen(engine, "purchase", 8 + i, NOW);
        save(engine);
    }
    assert_int_equal(count_bytes(spent, "r"), 9000 * 3); /* spent, least, most */
    assert_int_equal(count_bytes(2 * spent, "x"), 4 + 1);
    for (unsigned i = 3; i <= 5; i++)
        assert_int_equal(count_bytes(i * spent, "x"), 1);
    engine = restart(engine);

    erase(engine, 7);
    save(engine);
    /* The chunk was written anew: four others have spent twice as much in it now. */
    assert_int_equal(count_bytes(spent, "r"), 8999 * 3 - 4);
    assert_int_equal(count_bytes(2 * spent, "x"), 4);
    for (unsigned i = 3; i <= 5; i++)
        assert_int_equal(count_bytes(i * spent, NULL), 0);
    engine = restart(engine);
    kpi_engine_free(engine);
    world_close();
}

/* A delta in which nobody is left goes itself. */
static void a_delta_of_erased_users_alone_is_removed(void **state)
{
    struct kpi_engine *engine;

    world_open();
    engine = engine_new();
    for (uint64_t user = 0; user < 100; user++)
        (void)happen(engine, "purchase", user, NOW);
    save(engine);
    (void)happen(engine, "purchase", 7, NOW);
    save(engine);
    assert_true(count_bytes(2 * (uint64_t)SPENT, "x") > 0);
    erase(engine, 7);
    save(engine);
    assert_int_equal(count_bytes(2 * (uint64_t)SPENT, NULL), 0);
    engine = restart(engine);
    kpi_engine_free(engine);
    world_close();
}

static unsigned count_objects(char tag)
{
    unsigned n = 0;

    for (size_t i = 0; i < world.store.n; i++)
        n += world.store.objects[i].name[0] == tag;
    return n;
}

/* A hot set whose only page is emptied, then frozen: its objects are found to be those it has. */
static void a_set_may_become_empty(void **state)
{
    struct kpi_engine *engine;

    world_open();
    engine = engine_new();
    live(engine, 1, NOW);
    save(engine);
    assert_true(count_objects('h') > 0 && count_objects('c') > 0);
    erase(engine, 1);
    save(engine);
    engine = restart(engine);
    for (uint64_t user = 2; user < 4; user++) {
        live(engine, user, NOW + 2 * KPI_DAY);
        save(engine);
        engine = restart(engine);
    }
    kpi_engine_free(engine);
    world_close();
}

/* The same of a large set, that is saved in groups of pages. */
static void a_page_of_a_large_set_may_become_empty(void **state)
{
    enum {
        PAGES = 5,
        USERS = PAGES * 65536 + 1
    };
    struct kpi_engine *engine;
    unsigned n_groups;

    world_open();
    engine = engine_new();
    for (uint64_t user = 0; user < USERS;) {
        world.batch->n_events = 0;
        for (; user < USERS && world.batch->n_events < KPI_BATCH_MAX; user++) {
            struct world_event w = event_of("exposure", user, NOW);

            world_put(world.batch, world.plan, &w);
        }
        assert_int_equal(kpi_engine_apply(engine, world.batch), 0);
    }
    save(engine);
    n_groups = count_objects('p');
    assert_true(n_groups > 0);
    erase(engine, 5); /* of a page that stays */
    save(engine);
    assert_int_equal(count_objects('p'), n_groups);
    engine = restart(engine);
    erase(engine, USERS - 1); /* alone on its page */
    save(engine);
    assert_int_equal(count_objects('p'), n_groups);
    engine = restart(engine);
    for (uint64_t user = 65536 * 4; user < USERS; user++) /* the whole second group */
        erase(engine, user);
    save(engine);
    assert_int_equal(count_objects('p'), n_groups / 2);
    engine = restart(engine);
    kpi_engine_free(engine);
    world_close();
}

/* Restarts at random moments of a stream full of erasures. */
static void restarts_change_nothing_of_erasures(void **state)
{
    struct world_stream stream = world_stream_make(31);
    struct kpi_engine *whole, *engine;
    uint64_t seed = 5;

    world_open();
    stream.erase = 12;
    stream.step_s = 900;
    whole = engine_new();
    engine = engine_new();
    for (unsigned i = 0; i < 4000; i++) {
        struct world_event w;
        enum kpi_outcome outcome;

        world_next(&stream, world.plan, &w);
        outcome = apply(whole, &w)->outcome;
        assert_int_equal(apply(engine, &w)->outcome, outcome);
        if (next_random(&seed) % 15)
            continue;
        save(engine);
        if (next_random(&seed) % 3 == 0)
            engine = restart(engine);
        assert_equal_digests(engine, whole);
    }
    assert_true(engine->users.n_removed > 100 && engine->users.n_barred > 10);
    kpi_engine_free(engine);
    kpi_engine_free(whole);
    world_close();
}

/* Two logs that differ in the user alone who was erased. */
static void the_digest_does_not_tell_who_was_erased(void **state)
{
    struct kpi_engine *engines[2];
    uint8_t digests[3][16];

    world_open();
    for (unsigned e = 0; e < 2; e++) {
        world.n = 0;
        engines[e] = engine_new();
        live(engines[e], 1, NOW);
        live(engines[e], 1000 + e, NOW);
        live(engines[e], 2, NOW);
        assert_int_equal(kpi_engine_digest(engines[e], digests[e]), 0);
    }
    assert_memory_not_equal(digests[0], digests[1], 16);
    for (unsigned e = 0; e < 2; e++) {
        world.n = 1000;
        erase(engines[e], 1000 + e);
    }
    assert_equal_digests(engines[0], engines[1]);
    /* Nor does it change when the bits are cleared. */
    assert_int_equal(kpi_engine_digest(engines[0], digests[2]), 0);
    assert_int_equal(kpi_engine_sweep(engines[0]), 0);
    assert_equal_digests(engines[0], engines[1]);
    kpi_engine_free(engines[0]);
    kpi_engine_free(engines[1]);
    world_close();
}

static void who_comes_back_is_somebody_new(void **state)
{
    struct kpi_engine *engine;
    uint32_t before, after;

    world_open();
    engine = engine_new();
    live(engine, 1, NOW);
    before = kpi_users_find(&engine->users, hash_of(1));
    erase(engine, 1);
    /* Older than the erasure, but later in the log: of the new user. */
    assert_int_equal(happen(engine, "purchase", 1, NOW - KPI_DAY)->outcome, KPI_OUTCOME_APPLIED);
    after = kpi_users_find(&engine->users, hash_of(1));
    assert_true(after != before && after < KPI_USER_BARRED);
    assert_int_equal(kpi_slots_row(&engine->slots, after)[1], SPENT); /* spent: this once */
    assert_int_equal(kpi_engine_sweep(engine), 0);
    assert_true(count_id(engine, after) > 0);
    assert_int_equal(count_id(engine, before), 0);
    kpi_engine_free(engine);
    world_close();
}

static void events_after_a_withdrawal_are_refused(void **state)
{
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;

    world_open();
    engine = engine_new();
    live(engine, 1, NOW);
    assert_int_equal(happen(engine, "kpid.consent_withdrawn", 1, NOW)->outcome,
                     KPI_OUTCOME_APPLIED);
    assert_int_equal(happen(engine, "kpid.consent_withdrawn", 2, NOW)->outcome,
                     KPI_OUTCOME_APPLIED); /* of whom nothing is known yet */
    for (unsigned restarts = 0; restarts < 2; restarts++) {
        static const char *const types[] = {"purchase", "a type that counts for nothing"};

        for (uint64_t user = 1; user <= 2; user++)
            for (unsigned i = 0; i < COUNT_OF(types); i++) {
                const struct kpi_event *event = happen(engine, types[i], user, NOW);

                assert_int_equal(event->outcome, KPI_OUTCOME_REFUSED);
                assert_int_equal(event->refusal, KPI_REFUSAL_WITHDRAWN);
            }
        assert_int_equal(happen(engine, "purchase", 3, NOW)->outcome, KPI_OUTCOME_APPLIED);
        save(engine);
        /* What it takes to know them again, and nothing else. */
        assert_int_equal(count_bytes(hash_of(1), NULL), 1);
        assert_int_equal(count_bytes(hash_of(1), "w"), 1);
        assert_int_equal(count_bytes(hash_of(2), "w"), 1);
        engine = restart(engine);
    }
    /* An erasure does not give consent. */
    erase(engine, 1);
    assert_int_equal(happen(engine, "purchase", 1, NOW)->refusal, KPI_REFUSAL_WITHDRAWN);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_users, 1);
    assert_int_equal(stats.n_users_erased, 1);
    assert_int_equal(stats.n_users_withdrawn, 2);
    assert_int_equal(stats.n_refused, 2 * 4 + 1);
    kpi_engine_free(engine);
    world_close();
}

static void a_copy_of_an_erasure_erases_nobody(void **state)
{
    struct kpi_engine *engine;
    struct world_event erasure;

    world_open();
    engine = engine_new();
    live(engine, 1, NOW);
    erasure = event_of("kpid.user_erased", 1, NOW - 500 * KPI_DAY);
    assert_int_equal(apply(engine, &erasure)->outcome, KPI_OUTCOME_APPLIED);
    live(engine, 1, NOW);
    assert_int_equal(apply(engine, &erasure)->outcome, KPI_OUTCOME_DUPLICATE);
    assert_true(kpi_users_find(&engine->users, hash_of(1)) < KPI_USER_BARRED);
    kpi_engine_free(engine);
    world_close();
}

static void an_erasure_needs_a_user_and_no_sound_clock(void **state)
{
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;
    struct world_event w;

    world_open();
    engine = engine_new();
    for (uint64_t user = 1; user <= 3; user++)
        live(engine, user, NOW);
    w = event_of("kpid.user_erased", 1, NOW);
    w.event.flags &= ~(uint32_t)KPI_EVENT_HAS_USER;
    assert_int_equal(apply(engine, &w)->refusal, KPI_REFUSAL_USER_MISSING);
    w = event_of("kpid.user_erased", 1, NOW);
    w.event.time = NOW + 900 * KPI_DAY;
    assert_int_equal(apply(engine, &w)->outcome, KPI_OUTCOME_APPLIED);
    w = event_of("kpid.user_erased", 2, NOW);
    w.event.time = 1;
    assert_int_equal(apply(engine, &w)->outcome, KPI_OUTCOME_APPLIED);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_users, 1);
    assert_true(stats.newest_event == NOW);
    kpi_engine_free(engine);
    world_close();
}

/* Those who have withdrawn count against the limit of users, as they take memory. */
static void withdrawals_are_bounded(void **state)
{
    struct kpi_engine *engine;

    counting_mem_init(&world.counting);
    world_fixture(&world.f);
    world.f.in.users_max = 3;
    world.plan = fixture_plan(&world.f);
    assert_int_equal(kpi_batch_new(&world.batch, world.plan, &world.counting.mem), 0);
    engine = engine_new();
    live(engine, 1, NOW);
    live(engine, 2, NOW);
    for (uint64_t user = 2; user <= 3; user++)
        assert_int_equal(happen(engine, "kpid.consent_withdrawn", user, NOW)->outcome,
                         KPI_OUTCOME_APPLIED);
    assert_int_equal(happen(engine, "kpid.consent_withdrawn", 4, NOW)->refusal,
                     KPI_REFUSAL_USERS_FULL);
    assert_int_equal(happen(engine, "purchase", 4, NOW)->refusal, KPI_REFUSAL_USERS_FULL);
    assert_int_equal(happen(engine, "kpid.consent_withdrawn", 1, NOW)->outcome,
                     KPI_OUTCOME_APPLIED);
    assert_int_equal(happen(engine, "kpid.user_erased", 4, NOW)->outcome, KPI_OUTCOME_APPLIED);
    kpi_engine_free(engine);
    world_close();
}

static int take_no_notice(void *userdata, const struct kpi_object *object)
{
    return 0;
}

static void every_failed_allocation_is_enomem(void **state)
{
    static struct kpi_row rows[100000];
    struct kpi_layout *layout;
    struct kpi_engine *engine;
    int r = -1;

    world_open();
    engine = engine_new();
    for (uint64_t user = 0; user < 20; user++)
        live(engine, user, NOW);
    save(engine);
    kpi_engine_free(engine);
    assert_int_equal(kpi_layout_new(&layout, world.plan, NOW, &world.counting.mem), 0);
    for (uint64_t fail_at = 1; r != 0; fail_at++) {
        engine = engine_new();
        assert_int_equal(object_store_load(&world.store, engine, 3), 0);
        world.batch->n_events = 0;
        for (uint64_t user = 3; user < 5; user++) {
            struct world_event w =
                event_of(user % 2 ? "kpid.user_erased" : "kpid.consent_withdrawn", user, NOW);

            world_put(world.batch, world.plan, &w);
        }
        world.counting.fail_at = world.counting.n_calls + fail_at;
        r = kpi_engine_apply(engine, world.batch);
        if (r == 0)
            r = kpi_engine_report(engine, layout, rows);
        if (r == 0)
            r = kpi_engine_save(engine, false, take_no_notice, NULL);
        world.counting.fail_at = 0;
        if (r != 0)
            assert_int_equal(r, -ENOMEM);
        kpi_engine_free(engine);
    }
    kpi_layout_unref(layout);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_of_an_erased_user_is_left),
        cmocka_unit_test(rows_of_an_erased_user_leave_the_store),
        cmocka_unit_test(a_delta_of_erased_users_alone_is_removed),
        cmocka_unit_test(a_set_may_become_empty),
        cmocka_unit_test(a_page_of_a_large_set_may_become_empty),
        cmocka_unit_test(restarts_change_nothing_of_erasures),
        cmocka_unit_test(the_digest_does_not_tell_who_was_erased),
        cmocka_unit_test(who_comes_back_is_somebody_new),
        cmocka_unit_test(events_after_a_withdrawal_are_refused),
        cmocka_unit_test(a_copy_of_an_erasure_erases_nobody),
        cmocka_unit_test(an_erasure_needs_a_user_and_no_sound_clock),
        cmocka_unit_test(withdrawals_are_bounded),
        cmocka_unit_test(every_failed_allocation_is_enomem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
