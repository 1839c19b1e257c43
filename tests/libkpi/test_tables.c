/*
 * Tables: what is kept from one time to the next is what would be counted anew, whatever comes
 * late, expires, is saved and loaded, or runs out of memory; the identities of retention and
 * lifecycle hold on random streams; definitions that mean nothing are refused where they stand.
 * (That the numbers are right is for the oracle to say: tests/process/test_tables.py.)
 */
#include "engine_world.h"
#include "object_store.h"

#include <kpi/table.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    N_RETENTION = 14, /* tables of it, the first ones; two of lifecycle follow */
};

static struct fixture fixture;

/* Every kind, basis, mode and cohort, and groups of some. */
static void define_tables(struct fixture *f)
{
    static const struct kpi_bracket brackets[] = {{0, 3}, {1, 2}, {2, 9}};
    static const char *const names[N_RETENTION] = {"r0", "r1", "r2", "r3",  "r4",  "r5",  "r6",
                                                   "r7", "r8", "r9", "r10", "r11", "r12", "r13"};
    static const enum kpi_table_basis bases[N_RETENTION] = {
        KPI_TABLE_DAY,     KPI_TABLE_DAY,     KPI_TABLE_DAY,     KPI_TABLE_DAY,    KPI_TABLE_HOUR,
        KPI_TABLE_WEEK,    KPI_TABLE_ELAPSED, KPI_TABLE_ELAPSED, KPI_TABLE_HOUR,   KPI_TABLE_DAY,
        KPI_TABLE_ELAPSED, KPI_TABLE_ELAPSED, KPI_TABLE_ELAPSED, KPI_TABLE_ELAPSED};
    struct kpi_table_definition *table;

    for (unsigned i = 0; i < N_RETENTION; i++) {
        table = fixture_table(f, names[i], KPI_TABLE_RETENTION, i % 2 ? "participants" : "reached");
        table->back = TEXT("active");
        table->basis = bases[i];
        table->mode = i % 4;
        table->cohort = i % 3 == 1 && bases[i] != KPI_TABLE_ELAPSED ? KPI_TABLE_RECURRING
                                                                    : KPI_TABLE_FIRST_TIME;
        if (i == 9 || i == 11)
            table->cohort = KPI_TABLE_FIRST_EVER;
        if (table->mode == KPI_TABLE_BRACKET) {
            table->brackets = brackets;
            table->n_brackets = COUNT_OF(brackets);
        }
        if (i % 5 == 2)
            table->by = fixture_by(f, "channel,town");
        table->match_both = i == 7;
    }
    table = fixture_table(f, "life", KPI_TABLE_LIFECYCLE, "active");
    table->by = fixture_by(f, "channel");
    table = fixture_table(f, "life_weeks", KPI_TABLE_LIFECYCLE, "buyers");
    table->basis = KPI_TABLE_WEEK;
    table = fixture_table(f, "days", KPI_TABLE_ACTIVE_INTERVALS, "active");
    table->at_least = 2;
    table->by = fixture_by(f, "channel");
    for (unsigned i = 0; i < 2; i++) {
        table = fixture_table(f, i ? "stays" : "stays_weeks", KPI_TABLE_SESSIONS, "stay");
        table->back = TEXT("reached");
        table->bounced = TEXT("rich");
        table->basis = i ? KPI_TABLE_HOUR : KPI_TABLE_WEEK;
        table->by = fixture_by(f, i ? "channel" : "channel,town");
    }
    table = fixture_table(f, "hours", KPI_TABLE_ACTIVE_INTERVALS, "buyers");
    table->basis = KPI_TABLE_HOUR;
    table->over = KPI_TABLE_WEEK;
    for (unsigned i = 0; i < 2; i++) {
        table =
            fixture_table(f, i ? "last_hours" : "last_days", KPI_TABLE_ACTIVE_INTERVALS, "active");
        table->basis = table->over = i ? KPI_TABLE_HOUR : KPI_TABLE_DAY;
        table->trailing = i ? 10 : 5;
        table->at_least = 1 + i;
        table->by = fixture_by(f, "channel");
    }
}

static struct kpi_plan *make_plan(kpi_duration keep)
{
    struct kpi_plan *plan;

    world_fixture(&fixture);
    fixture_dimension(&fixture, "channel", "", 0);
    fixture_dimension(&fixture, "town", "", 0);
    fixture.zones[0] = fixture.zones[1]; /* with summer time */
    define_tables(&fixture);
    fixture_keep(&fixture, keep);
    plan = fixture_plan(&fixture);
    assert_non_null(plan);
    return plan;
}

/* An engine under way. */
struct run {
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    struct world_stream stream;
    struct object_store *store; /* of all saves */
};

static struct kpi_engine *make_engine(struct kpi_plan *plan)
{
    struct kpi_engine *engine;

    assert_int_equal(kpi_engine_new(&engine, plan, &fixture.mem.mem), 0);
    return engine;
}

static struct run run_begin(uint64_t seed, kpi_duration keep)
{
    struct run run = {.plan = make_plan(keep), .stream = world_stream_make(seed)};

    run.engine = make_engine(run.plan);
    run.store = calloc(1, sizeof(*run.store));
    run.stream.places = true;
    assert_int_equal(kpi_batch_new(&run.batch, run.plan, &fixture.mem.mem), 0);
    return run;
}

static void run_end(struct run *run)
{
    (void)kpi_engine_free(run->engine);
    (void)kpi_batch_free(run->batch);
    (void)kpi_plan_unref(run->plan);
    object_store_clear(run->store);
    free(run->store);
    assert_int_equal(fixture.mem.bytes, 0);
}

static void run_on(struct run *run, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct world_event event;

        world_next(&run->stream, run->plan, &event);
        world_put(run->batch, run->plan, &event);
        if (run->batch->n_events == KPI_BATCH_MAX || i + 1 == n) {
            assert_int_equal(kpi_engine_apply(run->engine, run->batch), 0);
            run->batch->n_events = 0;
        }
    }
}

static int answer(const struct run *run, struct kpi_engine *engine, struct kpi_answers **ret)
{
    struct kpi_layout *layout;
    int r;

    assert_int_equal(kpi_layout_new(&layout, run->plan, run->stream.now, &fixture.mem.mem), 0);
    r = kpi_engine_answers(engine, layout, ret);
    (void)kpi_layout_unref(layout);
    return r;
}

static struct kpi_answers *answers_of(const struct run *run, struct kpi_engine *engine)
{
    struct kpi_answers *answers;

    assert_int_equal(answer(run, engine, &answers), 0);
    return answers;
}

static void assert_same(const struct kpi_plan *plan, const struct kpi_answers *a,
                        const struct kpi_answers *b, kpi_time as_of)
{
    uint32_t i = 0, j = 0;

    for (;;) {
        struct kpi_answer x, y;

        /* what is kept may reach back further than what is wanted */
        for (; i < kpi_answers_n(a); i++) {
            x = kpi_answers_get(a, i);
            if (kpi_table_shows(plan, x.index, x.start, as_of))
                break;
        }
        for (; j < kpi_answers_n(b); j++) {
            y = kpi_answers_get(b, j);
            if (kpi_table_shows(plan, y.index, y.start, as_of))
                break;
        }
        if (i == kpi_answers_n(a) || j == kpi_answers_n(b))
            break;
        assert_int_equal(kpi_answer_compare(&x, &y), 0);
        assert_int_equal(x.n_cells, y.n_cells);
        assert_memory_equal(x.cells, y.cells, x.n_cells * sizeof(*x.cells));
        assert_int_equal(x.sketch.length, y.sketch.length);
        assert_memory_equal(x.sketch.data, y.sketch.data, x.sketch.length);
        i++;
        j++;
    }
    assert_int_equal(i, kpi_answers_n(a));
    assert_int_equal(j, kpi_answers_n(b));
}

/* A second engine with the same state that has never been asked. */
static struct kpi_engine *reload(const struct run *run)
{
    struct object_store *store = run->store;
    struct kpi_engine *engine = make_engine(run->plan);

    object_store_begin(store);
    assert_int_equal(kpi_engine_save(run->engine, true, object_store_put, store), 0);
    for (size_t i = 0; i < store->n; i++) {
        struct kpi_object object = object_store_get(store, i);

        assert_int_equal(kpi_engine_load(engine, &object), 0);
    }
    assert_int_equal(kpi_engine_load_end(engine), 0);
    return engine;
}

/* Asks after each of n_rounds rounds of up to n_max events. */
static void check_kept(struct run run, unsigned n_rounds, unsigned n_max)
{
    uint64_t random = run.stream.seed;

    for (unsigned round = 0; round < n_rounds; round++) {
        struct kpi_answers *warm, *cold;
        struct kpi_engine *fresh;

        run_on(&run, 1 + (unsigned)(next_random(&random) % n_max));
        fresh = reload(&run);
        warm = answers_of(&run, run.engine);
        cold = answers_of(&run, fresh);
        assert_same(run.plan, warm, cold, run.stream.now);
        assert_true(round < n_rounds / 2 || kpi_answers_n(warm) > 100);
        (void)kpi_answers_unref(warm);
        (void)kpi_answers_unref(cold);
        (void)kpi_engine_free(fresh);
    }
    run_end(&run);
}

static void what_is_kept_is_what_would_be_counted(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        check_kept(run_begin(seed, 400 * KPI_DAY), 25, 200);
}

static void the_same_while_days_expire(void **state)
{
    for (uint64_t seed = 5; seed <= 7; seed++)
        check_kept(run_begin(seed, 8 * KPI_DAY), 25, 200);
}

/* Few events change few cells: all that they do change must be counted anew. */
static void the_same_after_each_few_events(void **state)
{
    struct run run = run_begin(10, 400 * KPI_DAY);

    run.stream.step_s = 4000;
    run.stream.late = 3;
    run_on(&run, 300);
    check_kept(run, 24, 3);
}

static void the_same_once_users_are_erased(void **state)
{
    struct run run = run_begin(11, 400 * KPI_DAY);

    run.stream.step_s = 2000;
    run.stream.late = 6;
    run.stream.erase = 25;
    run_on(&run, 300);
    check_kept(run, 16, 20);
}

/* Reports share views and caches with answers. */
static void reports_between_change_nothing(void **state)
{
    struct run run = run_begin(8, 400 * KPI_DAY);
    struct kpi_row *rows = NULL;

    for (unsigned round = 0; round < 12; round++) {
        struct kpi_answers *warm, *cold;
        struct kpi_engine *fresh;
        struct kpi_layout *layout;

        run_on(&run, 150);
        assert_int_equal(kpi_layout_new(&layout, run.plan, run.stream.now, &fixture.mem.mem), 0);
        rows = realloc(rows, kpi_layout_n_rows(layout) * sizeof(*rows));
        assert_int_equal(kpi_engine_report(run.engine, layout, rows), 0);
        (void)kpi_layout_unref(layout);
        warm = answers_of(&run, run.engine);
        fresh = reload(&run);
        cold = answers_of(&run, fresh);
        assert_same(run.plan, warm, cold, run.stream.now);
        (void)kpi_answers_unref(warm);
        (void)kpi_answers_unref(cold);
        (void)kpi_engine_free(fresh);
    }
    free(rows);
    run_end(&run);
}

static void another_plan_and_back_counts_the_same(void **state)
{
    struct run run = run_begin(9, 400 * KPI_DAY);
    struct kpi_answers *before, *after;
    struct kpi_plan *other;

    run_on(&run, 2000);
    before = answers_of(&run, run.engine);
    fixture.tables[0].name = TEXT("renamed");
    other = fixture_plan(&fixture);
    assert_non_null(other);
    assert_true(kpi_plan_fingerprint(other) != kpi_plan_fingerprint(run.plan));
    assert_int_equal(kpi_engine_replan(run.engine, other), 0);
    assert_int_equal(kpi_engine_replan(run.engine, run.plan), 0);
    (void)kpi_plan_unref(other);
    after = answers_of(&run, run.engine);
    assert_same(run.plan, before, after, run.stream.now);
    (void)kpi_answers_unref(before);
    (void)kpi_answers_unref(after);
    run_end(&run);
}

static uint64_t bytes_of(struct kpi_engine *engine)
{
    struct kpi_engine_stats stats;

    kpi_engine_stats(engine, &stats);
    return stats.bytes;
}

/* The same plan again makes an engine forget what it keeps, and nothing else. */
static void what_is_kept_is_counted(void **state)
{
    struct run run = run_begin(12, 400 * KPI_DAY);
    uint64_t bytes;

    run_on(&run, 2000);
    assert_int_equal(kpi_engine_replan(run.engine, run.plan), 0);
    bytes = bytes_of(run.engine);
    for (unsigned i = 0; i < 3; i++) {
        (void)kpi_answers_unref(answers_of(&run, run.engine));
        assert_true(bytes_of(run.engine) > bytes);
        assert_int_equal(kpi_engine_replan(run.engine, run.plan), 0);
        assert_int_equal(bytes_of(run.engine), bytes);
    }
    run_end(&run);
}

/* --- identities --- */

static int64_t cell(const struct kpi_answer *a, uint32_t i)
{
    return i < a->n_cells ? (int64_t)a->cells[i] : 0;
}

/* new + returning + resurrecting = active; dormant = active of the period before - returning. */
static void check_lifecycle(const struct kpi_answer *a, int64_t before, int64_t *ret_active)
{
    for (uint32_t i = 0; i < a->n_cells; i++)
        assert_true(a->cells[i] >= 0);
    assert_int_equal(cell(a, KPI_TABLE_CELL_DORMANT), before - cell(a, KPI_TABLE_CELL_RETURNING));
    *ret_active = cell(a, KPI_TABLE_CELL_NEW) + cell(a, KPI_TABLE_CELL_RETURNING) +
                  cell(a, KPI_TABLE_CELL_RESURRECTING);
}

static bool same_group(struct kpi_answer a, struct kpi_answer b)
{
    a.start = b.start;
    return kpi_answer_compare(&a, &b) == 0;
}

static void lifecycle_is_an_account(void **state)
{
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct run run = run_begin(seed, 400 * KPI_DAY);
        struct kpi_answers *answers;
        uint32_t begin, end, n = 0;

        run_on(&run, 3000);
        answers = answers_of(&run, run.engine);
        for (uint32_t table = N_RETENTION; table < N_RETENTION + 2; table++) {
            struct kpi_answer last = {0};
            int64_t active = 0, next, ever = 0;

            kpi_answers_find(answers, KPI_ANSWER_TABLE, table, &begin, &end);
            for (uint32_t i = begin; i < end; i++, n++) {
                struct kpi_answer a = kpi_answers_get(answers, i);
                int64_t step = table == N_RETENTION ? 1 : 7;
                bool group_begins = i == begin || !same_group(a, last);

                if (group_begins)
                    ever = 0;
                if (group_begins || a.start != last.start + step)
                    active = 0; /* nobody was there in the period before */
                check_lifecycle(&a, active, &next);
                ever += cell(&a, KPI_TABLE_CELL_NEW);
                assert_true(next <= ever);
                active = next;
                last = a;
            }
        }
        assert_true(n > 50);
        (void)kpi_answers_unref(answers);
        run_end(&run);
    }
}

/* Of a cohort: nobody counts twice, unbounded and every only fall, and every <= classic. */
static void check_retention(const struct kpi_table_info *info, const struct kpi_answer *a)
{
    for (uint32_t i = KPI_TABLE_CELL_FIRST; i < a->n_cells; i++) {
        assert_in_range(cell(a, i), 0, cell(a, KPI_TABLE_CELL_SIZE));
        if (i > KPI_TABLE_CELL_FIRST &&
            (info->mode == KPI_TABLE_UNBOUNDED || info->mode == KPI_TABLE_EVERY))
            assert_true(cell(a, i) <= cell(a, i - 1));
    }
    if (info->mode == KPI_TABLE_BRACKET) /* [1, 2) lies in [0, 3) */
        assert_true(cell(a, 2) <= cell(a, 1));
}

static void retention_keeps_its_bounds(void **state)
{
    for (uint64_t seed = 30; seed < 34; seed++) {
        struct run run = run_begin(seed, 400 * KPI_DAY);
        struct kpi_answers *answers;
        uint32_t n = 0;

        run_on(&run, 2500);
        answers = answers_of(&run, run.engine);
        for (uint32_t i = 0; i < kpi_answers_n(answers); i++) {
            struct kpi_answer a = kpi_answers_get(answers, i);
            const struct kpi_table_info *info = kpi_plan_table(run.plan, a.index);

            if (info->kind != KPI_TABLE_RETENTION)
                continue;
            check_retention(info, &a);
            n++;
        }
        assert_true(n > 300);
        (void)kpi_answers_unref(answers);
        run_end(&run);
    }
}

/* --- memory --- */

static void every_failed_allocation_is_enomem(void **state)
{
    struct run run = run_begin(40, 400 * KPI_DAY);
    uint64_t n_fails = 0, fail = 1;

    for (unsigned round = 0; round < 3; round++) {
        struct kpi_answers *answers, *cold;
        struct kpi_engine *fresh;
        int r;

        run_on(&run, 120);
        fresh = reload(&run);
        do {
            struct kpi_layout *layout;

            assert_int_equal(kpi_layout_new(&layout, run.plan, run.stream.now, &fixture.mem.mem),
                             0);
            fixture.mem.n_calls = 0;
            fixture.mem.fail_at = fail;
            r = kpi_engine_answers(run.engine, layout, &answers);
            fixture.mem.fail_at = 0;
            (void)kpi_layout_unref(layout);
            assert_true(r == 0 || r == -ENOMEM);
            n_fails += r != 0;
            fail += 1 + fail / 16;
        } while (r != 0);
        cold = answers_of(&run, fresh);
        assert_same(run.plan, answers, cold, run.stream.now);
        (void)kpi_answers_unref(answers);
        (void)kpi_answers_unref(cold);
        (void)kpi_engine_free(fresh);
        fail = 1 + round;
    }
    assert_true(n_fails > 50);
    run_end(&run);
}

/* --- definitions --- */

static void set_start(struct kpi_table_definition *table, const char *start)
{
    table->start = TEXT(start);
}

static void unknown_start(struct kpi_table_definition *table)
{
    set_start(table, "reachd");
}

static void unknown_return(struct kpi_table_definition *table)
{
    table->back = TEXT("activ");
}

static void start_of_another_aggregate(struct kpi_table_definition *table)
{
    set_start(table, "purchases");
}

static void start_of_several_times(struct kpi_table_definition *table)
{
    set_start(table, "repeat_buyers");
}

static void start_that_is_a_sum(struct kpi_table_definition *table)
{
    set_start(table, "reached + buyers");
}

static void start_of_unknown_measure(struct kpi_table_definition *table)
{
    set_start(table, "first_time(buyrs)");
}

static void unknown_function(struct kpi_table_definition *table)
{
    set_start(table, "last_time(buyers)");
}

static void cohort_said_twice(struct kpi_table_definition *table)
{
    set_start(table, "first_time(buyers)");
    table->cohort = KPI_TABLE_RECURRING;
    table->cohort_text = TEXT("recurring");
}

static void elapsed_and_recurring(struct kpi_table_definition *table)
{
    set_start(table, "recurring(buyers)");
    table->basis = KPI_TABLE_ELAPSED;
}

static void first_ever_by_channel(struct kpi_table_definition *table)
{
    set_start(table, "first_ever(buyers)");
    table->by = fixture_by(&fixture, "channel");
}

static void first_ever_of_any_type(struct kpi_table_definition *table)
{
    set_start(table, "first_ever(everybody)");
}

static void unknown_dimension(struct kpi_table_definition *table)
{
    table->by = fixture_by(&fixture, "chanel");
}

static void a_name_again(struct kpi_table_definition *table)
{
    table->name = TEXT("other");
}

static void a_name_that_is_none(struct kpi_table_definition *table)
{
    table->name = TEXT("2nd");
}

static void sessions_of_users(struct kpi_table_definition *table)
{
    table->kind = KPI_TABLE_SESSIONS;
    table->back = TEXT("reached");
}

/* As they must be, but for what a case changes. */
static void set_sessions(struct kpi_table_definition *table)
{
    sessions_of_users(table);
    fixture_measure(&fixture, "lengths", "quantiles(amount)", "");
    table->start = TEXT("lengths");
}

static void sessions_of_lengths_twice(struct kpi_table_definition *table)
{
    set_sessions(table);
    table->back = TEXT("lengths");
}

static void sessions_whose_users_bounced(struct kpi_table_definition *table)
{
    set_sessions(table);
    table->bounced = TEXT("buyers");
}

static void bad_definitions_are_refused_where_they_stand(void **state)
{
    static const struct {
        void (*change)(struct kpi_table_definition *table);
        const char *says, *suggests;
        uint32_t offset;
    } table[] = {
        {unknown_start, "there is no measure \"reachd\"", "reached", 0},
        {unknown_return, "there is no measure \"activ\"", "active", 0},
        {start_of_another_aggregate, "\"purchases\" is none", "", 0},
        {start_of_several_times, "at_least", "", 0},
        {start_that_is_a_sum, "a start is a measure", "", 0},
        {start_of_unknown_measure, "there is no measure \"buyrs\"", "buyers", 11},
        {unknown_function, "a start is a measure", "", 0},
        {cohort_said_twice, "the start says that the cohort is first_time", "", 0},
        {elapsed_and_recurring, "cannot be recurring", "", 0},
        {first_ever_by_channel, "is not broken down", "", 0},
        {first_ever_of_any_type, "does not say of which", "", 11},
        {unknown_dimension, "there is no dimension or segment \"chanel\"", "channel", 0},
        {sessions_of_users, "the aggregate quantiles(field); \"reached\" is none", "", 0},
        {sessions_of_lengths_twice, "the aggregate users; \"lengths\" is none", "", 0},
        {sessions_whose_users_bounced, "the aggregate count; \"buyers\" is none", "", 0},
        {a_name_again, "there are two tables \"other\"", "", 0},
        {a_name_that_is_none, "cannot name a table", "", 0},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct kpi_plan *plan = NULL;
        struct recorder *recorder = &fixture.recorder;

        fixture_init(&fixture);
        fixture_kpis_of_the_product(&fixture);
        fixture_measure(&fixture, "everybody", "users", "amount > 0");
        fixture_dimension(&fixture, "channel", "", 0);
        (void)fixture_table(&fixture, "other", KPI_TABLE_LIFECYCLE, "everybody");
        table[i].change(fixture_table(&fixture, "table", KPI_TABLE_RETENTION, "reached"));
        assert_int_equal(fixture_compile(&fixture, &plan), KPI_PLAN_E_INVALID);
        assert_int_equal(recorder->n_messages, 1);
        if (!strstr(recorder->messages[0].text, table[i].says))
            fail_msg("case %zu: %s", i, recorder->messages[0].text);
        assert_string_equal(recorder->messages[0].suggest, table[i].suggests);
        assert_int_equal(recorder->messages[0].offset, table[i].offset);
        assert_true(recorder->messages[0].origin > 0);
    }
}

static void a_table_keeps_its_state_by_what_it_means(void **state)
{
    struct kpi_plan *plan = make_plan(400 * KPI_DAY), *same;
    struct kpi_table_definition *table = &fixture.tables[0];

    table->start = TEXT(" first_time ( reached ) ");
    table->title_en = TEXT("What people read");
    same = fixture_plan(&fixture);
    assert_non_null(same);
    assert_true(kpi_plan_table(plan, 0)->fingerprint == kpi_plan_table(same, 0)->fingerprint);
    assert_true(kpi_plan_fingerprint(plan) == kpi_plan_fingerprint(same));
    (void)kpi_plan_unref(same);
    table->periods = 11;
    same = fixture_plan(&fixture);
    assert_non_null(same);
    assert_true(kpi_plan_table(plan, 0)->fingerprint != kpi_plan_table(same, 0)->fingerprint);
    assert_true(kpi_plan_fingerprint(plan) != kpi_plan_fingerprint(same));
    (void)kpi_plan_unref(same);
    (void)kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_what_would_be_counted),
        cmocka_unit_test(the_same_while_days_expire),
        cmocka_unit_test(the_same_after_each_few_events),
        cmocka_unit_test(the_same_once_users_are_erased),
        cmocka_unit_test(reports_between_change_nothing),
        cmocka_unit_test(another_plan_and_back_counts_the_same),
        cmocka_unit_test(what_is_kept_is_counted),
        cmocka_unit_test(lifecycle_is_an_account),
        cmocka_unit_test(retention_keeps_its_bounds),
        cmocka_unit_test(every_failed_allocation_is_enomem),
        cmocka_unit_test(bad_definitions_are_refused_where_they_stand),
        cmocka_unit_test(a_table_keeps_its_state_by_what_it_means),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
