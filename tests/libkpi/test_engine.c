/*
 * Claim: the engine's outcomes, counters and rows are those of the naive reference (engine_world.h)
 * for streams with late, early, old, repeated and incomplete events, over zones with summer time;
 * they do not depend on the order of arrival (law 3) or the number of shards (law 6); expiry,
 * another plan and failing memory do what the header says; and applying allocates nothing.
 */
#include "counting_mem.h"
#include "engine/state.h"
#include "engine_world.h"

#include <kpi/supplement.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Rows of a moment; freed by the caller. */
static struct kpi_row *report(struct kpi_engine *engine, struct kpi_layout *layout)
{
    struct kpi_row *rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));

    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    return rows;
}

/* As it comes from a shard, by way of bytes. */
static struct kpi_supplement *supplement_of(struct kpi_engine *engine, struct kpi_layout *layout,
                                            const struct kpi_mem *mem)
{
    struct kpi_supplement *supplement, *read;
    void *bytes;
    size_t size;

    assert_int_equal(kpi_engine_supplement(engine, layout, &supplement), 0);
    assert_int_equal(kpi_supplement_encode(supplement, mem, &bytes, &size), 0);
    assert_int_equal(kpi_supplement_decode(&read, bytes, size, mem), 0);
    assert_true(kpi_supplement_fits(read, layout));
    kpi_mem_free(mem, bytes, size);
    kpi_supplement_unref(supplement);
    return read;
}

/* A report with its quantiles. */
static struct kpi_row *report_filled(struct kpi_engine *engine, struct kpi_layout *layout,
                                     const struct kpi_mem *mem)
{
    struct kpi_row *rows = report(engine, layout);
    struct kpi_supplement *supplement = supplement_of(engine, layout, mem);
    const struct kpi_supplement *parts[] = {supplement};

    assert_int_equal(kpi_rows_fill_quantiles(layout, parts, 1, mem, rows), 0);
    kpi_supplement_unref(supplement);
    return rows;
}

static void assert_rows_equal(const struct kpi_layout *layout, const struct kpi_row *rows,
                              const struct kpi_row *expected)
{
    uint32_t s = 0;

    for (uint32_t i = 0; i < kpi_layout_n_rows(layout); i++) {
        const struct kpi_scope *scope;

        /* Starts, behind those of the last scope, go with it. */
        while (s + 1 < kpi_layout_n_scopes(layout) &&
               i >= kpi_layout_first_row(layout, s) + kpi_layout_scope_rows(layout, s))
            s++;
        scope = kpi_layout_scope(layout, s);
        if (rows[i].value != expected[i].value || rows[i].n_events != expected[i].n_events)
            fail_msg("campaign %u scope kind %d [%d+%u, %d+%u) row %u: %lld of %lld, not %lld of "
                     "%lld",
                     scope->campaign, scope->kind, scope->start_day, scope->start_minute,
                     scope->end_day, scope->end_minute, i - kpi_layout_first_row(layout, s),
                     (long long)rows[i].value, (long long)rows[i].n_events,
                     (long long)expected[i].value, (long long)expected[i].n_events);
    }
}

static void compare_reports(struct kpi_engine *engine, const struct naive *naive,
                            struct kpi_plan *plan, kpi_time as_of, const struct kpi_mem *mem)
{
    struct kpi_layout *layout;
    struct kpi_row *rows, *expected;

    assert_int_equal(kpi_layout_new(&layout, plan, as_of, mem), 0);
    rows = report_filled(engine, layout, mem);
    expected = calloc(kpi_layout_n_rows(layout), sizeof(*expected));
    naive_report(naive, layout, expected);
    assert_rows_equal(layout, rows, expected);
    free(rows);
    /* Once more, all from the caches. */
    rows = report_filled(engine, layout, mem);
    assert_rows_equal(layout, rows, expected);
    free(rows);
    free(expected);
    kpi_layout_unref(layout);
}

struct naive_run {
    uint32_t n_events, n_between, batch_max; /* events; between reports; in a batch */
    kpi_duration keep;
    struct world_stream stream;
    uint32_t n_others; /* users who are known and do nothing */
};

static void others_add(struct kpi_engine *engine, uint32_t n)
{
    for (uint64_t i = 1; i <= n; i++) {
        uint32_t id;

        assert_int_equal(kpi_users_add(&engine->users, XXH3_64bits_withSeed(&i, sizeof(i), 3), &id),
                         0);
    }
}

/* Events in batches of random sizes; a report now and then. */
static void run_against_naive(const struct naive_run *run)
{
    static struct fixture f;
    struct world_stream stream = run->stream;
    uint64_t seed = stream.seed;
    struct counting_mem counting;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    struct kpi_engine_stats stats;
    struct kpi_plan *plan;
    struct naive *naive;
    uint32_t next = run->n_between;

    counting_mem_init(&counting);
    world_fixture(&f);
    fixture_keep(&f, run->keep);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    naive = naive_new(plan);
    naive->quantiles = true;
    assert_int_equal(kpi_engine_new(&engine, plan, &counting.mem), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &counting.mem), 0);
    others_add(engine, run->n_others);
    for (uint32_t i = 0; i < run->n_events;) {
        enum kpi_outcome outcomes[KPI_BATCH_MAX];
        unsigned n = 1 + (unsigned)(next_random(&seed) % run->batch_max);

        batch->n_events = 0;
        for (unsigned k = 0; k < n; k++, i++) {
            struct world_event w;

            world_next(&stream, plan, &w);
            world_put(batch, plan, &w);
            outcomes[k] = naive_apply(naive, &w);
        }
        assert_int_equal(kpi_engine_apply(engine, batch), 0);
        for (unsigned k = 0; k < n; k++)
            assert_int_equal(batch->events[k].outcome, outcomes[k]);
        if (i >= next) {
            compare_reports(engine, naive, plan, stream.now, &counting.mem);
            next += run->n_between;
        }
    }
    compare_reports(engine, naive, plan, stream.now + 3 * KPI_DAY, &counting.mem);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_applied, naive->n_events);
    assert_int_equal(stats.n_refused, naive->n_refused);
    assert_int_equal(stats.n_duplicates, naive->n_duplicates);
    assert_int_equal(stats.n_conflicts, naive->n_conflicts);
    assert_int_equal(stats.n_late, naive->n_late);
    assert_int_equal(stats.n_users, naive_n_here(naive) + run->n_others);
    assert_int_equal(stats.n_users_erased, naive->n_erased);
    assert_int_equal(stats.n_users_withdrawn, naive->n_withdrawn);
    assert_true(stats.newest_record == naive->newest);
    kpi_engine_free(engine);
    kpi_batch_free(batch);
    naive_free(naive);
    kpi_plan_unref(plan);
    assert_int_equal(counting.bytes, 0);
}

/* Law 4: weeks, campaigns, retention … out of day cells are what a walk over all events finds. */
static void law_4_rows_are_those_of_the_naive_reference(void **state)
{
    run_against_naive(
        &(struct naive_run){3600, 450, KPI_BATCH_MAX, 400 * KPI_DAY, world_stream_make(1)});
}

/* Users of many windows are taken together one by one if they are few among all, else as bits. */
static void few_among_many_users_have_the_same_rows(void **state)
{
    struct naive_run run = {3600, 450, KPI_BATCH_MAX, 400 * KPI_DAY, world_stream_make(9)};

    run.n_others = 6000;
    run_against_naive(&run);
}

/* Who is erased, or has withdrawn consent, has never been there; whatever the caches knew. */
static void erased_users_leave_the_rows(void **state)
{
    for (uint64_t seed = 21; seed < 25; seed++) {
        struct naive_run run = {2000, seed % 2 ? 60 : 700, KPI_BATCH_MAX, 400 * KPI_DAY,
                                world_stream_make(seed)};

        run.stream.step_s = 800;
        run.stream.late = 6;
        run.stream.erase = seed % 2 ? 25 : 60;
        run_against_naive(&run);
    }
}

static void frequent_reports_give_the_same_rows(void **state)
{
    struct naive_run run = {1500, 60, KPI_BATCH_MAX, 400 * KPI_DAY, world_stream_make(2)};

    run.stream.step_s = 1500;
    run_against_naive(&run);
}

/* One event changes few cells: all rows that it does change must be made anew. */
static void a_report_after_each_event_gives_the_same_rows(void **state)
{
    struct naive_run run = {450, 1, 1, 400 * KPI_DAY, world_stream_make(13)};

    run.stream.step_s = 3000;
    run.stream.late = 3;
    run_against_naive(&run);
}

static void many_late_events_reach_the_caches(void **state)
{
    struct naive_run run = {1800, 100, KPI_BATCH_MAX, 400 * KPI_DAY, world_stream_make(3)};

    run.stream.step_s = 1200;
    run.stream.late = 2;
    run.stream.copies = 0;
    run_against_naive(&run);
}

/* For an hour after midnight two days are hot. */
static void two_hot_days_are_told_apart(void **state)
{
    struct naive_run run = {1600, 80, 16, 400 * KPI_DAY, world_stream_make(14)};

    run.stream.now += 20 * KPI_HOUR;
    run.stream.step_s = 15;
    run_against_naive(&run);
}

static void expired_days_leave_the_rows(void **state)
{
    struct naive_run run = {1200, 40, 16, 6 * KPI_DAY + 5 * KPI_HOUR, world_stream_make(15)};

    run.stream.step_s = 2000;
    run.stream.late = 5;
    run_against_naive(&run);
}

/* The campaign is over and nothing happens; only time goes on, and cohorts mature. */
static void time_alone_matures_cohorts(void **state)
{
    static struct fixture f;
    struct counting_mem counting;
    struct world_stream stream = world_stream_make(16);
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    struct kpi_plan *plan;
    struct naive *naive;

    counting_mem_init(&counting);
    world_fixture(&f);
    f.in.n_rolling = 0;
    f.in.n_campaigns = 1;
    plan = fixture_plan(&f);
    assert_non_null(plan);
    naive = naive_new(plan);
    naive->quantiles = true;
    assert_int_equal(kpi_engine_new(&engine, plan, &counting.mem), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &counting.mem), 0);
    stream.step_s = 3000;
    for (unsigned i = 0; i < 900; i++) {
        struct world_event w;

        world_next(&stream, plan, &w);
        batch->n_events = 0;
        world_put(batch, plan, &w);
        (void)naive_apply(naive, &w);
        assert_int_equal(kpi_engine_apply(engine, batch), 0);
    }
    for (unsigned day = 0; day < 45; day += 3)
        compare_reports(engine, naive, plan, stream.now + day * KPI_DAY, &counting.mem);
    kpi_engine_free(engine);
    kpi_batch_free(batch);
    naive_free(naive);
    kpi_plan_unref(plan);
    assert_int_equal(counting.bytes, 0);
}

/* --- order, shards --- */

struct world {
    struct fixture *f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_batch *batch;
};

static void world_open(struct world *world, struct fixture *f)
{
    world->f = f;
    counting_mem_init(&world->counting);
    world->plan = fixture_plan(f);
    assert_non_null(world->plan);
    assert_int_equal(kpi_batch_new(&world->batch, world->plan, &world->counting.mem), 0);
}

static void world_close(struct world *world)
{
    kpi_batch_free(world->batch);
    kpi_plan_unref(world->plan);
    assert_int_equal(world->counting.bytes, 0);
}

static void apply_all(struct world *world, struct kpi_engine *engine,
                      const struct world_event *events, size_t n, unsigned batch_max)
{
    for (size_t i = 0; i < n;) {
        world->batch->n_events = 0;
        while (i < n && world->batch->n_events < batch_max)
            world_put(world->batch, world->plan, &events[i++]);
        assert_int_equal(kpi_engine_apply(engine, world->batch), 0);
    }
}

/* Only what does not read attributes: those make a plan depend on the order, and say so. */
static void orderless_fixture(struct fixture *f)
{
    struct kpi_campaign_definition *campaign;

    fixture_init(f);
    fixture_kpis_of_the_product(f);
    fixture_attribute(f, "orders", "count", "type == \"purchase\"");
    fixture_attribute(f, "touch", "last(campaign)", "type == \"exposure\"");
    fixture_attribute(f, "last_seen", "max(time)", "");
    fixture_measure(f, "seldom", "count", "type == \"survey\" and orders > 1000000");
    fixture_measure(f, "never", "count",
                    "type == \"survey\" and touch == \"x\" and last_seen < time");
    fixture_kpi(f, "k1", "seldom / never", KPI_UNIT_RATIO);
    campaign = fixture_campaign(f, "a", 1);
    campaign->start_day = DAY_2026_10_25 - 10;
    campaign->end_day = DAY_2026_10_25 + 12;
    campaign = fixture_campaign(f, "b", 0);
    campaign->start_day = DAY_2026_10_25 - 20;
    campaign->end_day = DAY_2026_10_25 + 2;
    f->in.dedupe_window = 0; /* what is remembered of ids does depend on the order */
}

static struct world_event *make_events(const struct world *world, size_t n,
                                       struct world_stream *stream)
{
    struct world_event *events = calloc(n, sizeof(*events));

    for (size_t i = 0; i < n; i++)
        world_next(stream, world->plan, &events[i]);
    return events;
}

static void law_3_order_of_arrival_does_not_matter(void **state)
{
    static struct fixture f;
    enum {
        N = 4000
    };
    struct world world;
    struct world_stream stream = world_stream_make(4);
    struct world_event *events;
    struct kpi_row *rows, *shuffled_rows;
    struct kpi_layout *layout;
    struct kpi_engine *engine, *shuffled;
    uint8_t digest[16], shuffled_digest[16];
    uint64_t seed = 5;

    stream.odd = 0; /* an event too early stays too early, but one too old depends on the newest */
    orderless_fixture(&f);
    world_open(&world, &f);
    events = make_events(&world, N, &stream);
    for (size_t i = 0; i < N; i++) /* ties in what goes by time */
        if (events[i].event.type.string[0] == 'e' || events[i].event.type.string[1] == 'u')
            events[i].event.time -= events[i].event.time % (4 * KPI_DAY);
    assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    apply_all(&world, engine, events, N, 64);
    for (size_t i = N - 1; i > 0; i--) {
        size_t k = next_random(&seed) % (i + 1);
        struct world_event swap = events[i];

        events[i] = events[k];
        events[k] = swap;
    }
    assert_int_equal(kpi_engine_new(&shuffled, world.plan, &world.counting.mem), 0);
    apply_all(&world, shuffled, events, N / 2, 7);
    free(report(shuffled, layout)); /* and caches half way do not matter either */
    apply_all(&world, shuffled, events + N / 2, N - N / 2, 13);
    assert_int_equal(kpi_engine_digest(engine, digest), 0);
    assert_int_equal(kpi_engine_digest(shuffled, shuffled_digest), 0);
    assert_memory_equal(digest, shuffled_digest, 16);
    rows = report(engine, layout);
    shuffled_rows = report(shuffled, layout);
    assert_rows_equal(layout, shuffled_rows, rows);
    /* And the digest does see a single event. */
    apply_all(&world, shuffled, events, 1, 1);
    assert_int_equal(kpi_engine_digest(shuffled, shuffled_digest), 0);
    assert_memory_not_equal(digest, shuffled_digest, 16);
    free(rows);
    free(shuffled_rows);
    free(events);
    kpi_layout_unref(layout);
    kpi_engine_free(engine);
    kpi_engine_free(shuffled);
    world_close(&world);
}

/* A retained() by days, of the only ones that a plan has by that mode. */
static uint32_t retained_leaf(const struct kpi_plan *plan, enum kpi_table_mode mode, uint32_t from,
                              uint32_t to)
{
    const struct kpi_program *program = kpi_plan_program(plan);

    for (uint32_t i = 0; i < program->n_leaves; i++) {
        const struct kpi_leaf *leaf = &program->leaves[i];

        if (leaf->kind == KPI_LEAF_RETAINED && leaf->basis == KPI_BASIS_DAY && leaf->mode == mode &&
            leaf->from == from && leaf->to == to)
            return i;
    }
    fail_msg("no such leaf");
    return 0;
}

/* What modes are to each other in a scope, n days after the start. Returns how many came that day.
 */
static int64_t check_modes(const struct kpi_plan *plan, const struct kpi_row *rows,
                           const uint32_t *leaf_rows, uint32_t n)
{
    const struct kpi_row *classic =
        rows + leaf_rows[retained_leaf(plan, KPI_TABLE_CLASSIC, n, n + 1)];
    const struct kpi_row *bracket =
        rows + leaf_rows[retained_leaf(plan, KPI_TABLE_BRACKET, n, n + 1)];
    const struct kpi_row *later =
        rows + leaf_rows[retained_leaf(plan, KPI_TABLE_UNBOUNDED, n, n + 1)];
    const struct kpi_row *each = rows + leaf_rows[retained_leaf(plan, KPI_TABLE_EVERY, 1, n + 1)];

    assert_memory_equal(bracket, classic, 3 * sizeof(*classic));
    assert_true(later[0].value >= classic[0].value && each[0].value <= classic[0].value);
    assert_true(later[1].value == classic[1].value && each[1].value == classic[1].value);
    if (n > 1) {
        assert_true(rows[leaf_rows[retained_leaf(plan, KPI_TABLE_UNBOUNDED, n - 1, n)]].value >=
                    later[0].value);
        assert_true(rows[leaf_rows[retained_leaf(plan, KPI_TABLE_EVERY, 1, n)]].value >=
                    each[0].value);
    }
    return classic[0].value;
}

enum {
    RETENTION_DAYS = 5
};

/* KPIs of each mode for each of the days 1 to 5. */
static void modes_add(struct fixture *f)
{
    static const char *const modes[] = {"classic", "unbounded", "every"};
    static char names[RETENTION_DAYS * 4][12], formulas[RETENTION_DAYS * 4][96];
    unsigned k = 0;

    for (unsigned n = 1; n <= RETENTION_DAYS; n++)
        for (unsigned i = 0; i < 4; i++, k++) {
            snprintf(names[k], sizeof(names[k]), "r%u", k);
            if (i < COUNT_OF(modes))
                snprintf(formulas[k], sizeof(formulas[k]),
                         "retained(participants, active, day, %u, mode=%s)", n, modes[i]);
            else
                snprintf(formulas[k], sizeof(formulas[k]),
                         "retained(participants, active, day, from=%u, to=%u)", n, n + 1);
            fixture_kpi(f, names[k], formulas[k], KPI_UNIT_RATIO);
        }
}

/* A bracket of one day is that day; who came on or after a day are not fewer, and who came on each
 * not more; both fall with n. */
static void retention_keeps_its_bounds(void **state)
{
    static struct fixture f;
    struct world world;
    struct world_stream stream = world_stream_make(31);
    struct kpi_engine *engine;
    int64_t n_returned = 0;

    orderless_fixture(&f);
    f.in.n_kpis = 0;
    modes_add(&f);
    world_open(&world, &f);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    for (unsigned round = 0; round < 30; round++) {
        struct world_event *events = make_events(&world, 100, &stream);
        struct kpi_layout *layout;
        struct kpi_row *rows;

        apply_all(&world, engine, events, 100, 16);
        assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
        rows = report(engine, layout);
        for (uint32_t s = 0; s < kpi_layout_n_scopes(layout); s++) {
            const uint32_t *leaf_rows =
                kpi_plan_program(world.plan)->grains[kpi_layout_scope(layout, s)->grain].leaf_rows;

            for (uint32_t n = 1; n <= RETENTION_DAYS; n++)
                n_returned +=
                    check_modes(world.plan, rows + kpi_layout_first_row(layout, s), leaf_rows, n);
        }
        free(rows);
        free(events);
        kpi_layout_unref(layout);
    }
    assert_true(n_returned > 1000);
    kpi_engine_free(engine);
    world_close(&world);
}

static void law_6_shards_add_up(void **state)
{
    static struct fixture f;
    enum {
        N = 4000,
        SHARDS_MAX = 16
    };
    struct world world;
    struct world_stream stream = world_stream_make(6);
    struct world_event *events;
    struct kpi_row *rows[2] = {NULL, NULL};
    struct kpi_layout *layout;

    stream.odd = 0;
    world_fixture(&f);
    world_open(&world, &f);
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
    for (unsigned n_shards = 1; n_shards <= SHARDS_MAX; n_shards *= 4) {
        struct kpi_row *sum = calloc(kpi_layout_n_rows(layout), sizeof(*sum));
        struct kpi_supplement *supplements[SHARDS_MAX];

        for (unsigned shard = 0; shard < n_shards; shard++) {
            struct world_event *mine = calloc(N, sizeof(*mine));
            struct kpi_engine *engine;
            struct kpi_row *part;
            size_t n = 0;

            for (size_t i = 0; i < N; i++)
                if (events[i].event.user % n_shards == shard)
                    mine[n++] = events[i];
            assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
            apply_all(&world, engine, mine, n, 64);
            part = report(engine, layout);
            assert_int_equal(kpi_rows_add(layout, sum, part), 0);
            supplements[shard] = supplement_of(engine, layout, &world.counting.mem);
            free(part);
            free(mine);
            kpi_engine_free(engine);
        }
        assert_int_equal(kpi_rows_fill_quantiles(layout,
                                                 (const struct kpi_supplement *const *)supplements,
                                                 n_shards, &world.counting.mem, sum),
                         0);
        for (unsigned shard = 0; shard < n_shards; shard++)
            kpi_supplement_unref(supplements[shard]);
        if (rows[0])
            assert_rows_equal(layout, sum, rows[0]);
        else
            rows[0] = sum;
        if (sum != rows[0])
            free(sum);
    }
    free(rows[0]);
    free(events);
    kpi_layout_unref(layout);
    world_close(&world);
}

/* --- refusals and limits --- */

static struct world_event plain_event(const struct kpi_plan *plan, const char *type, uint64_t user,
                                      kpi_time time)
{
    static uint64_t id;
    struct world_event w = {.event = {.time = time,
                                      .record_time = time,
                                      .user = XXH3_64bits(&user, sizeof(user)),
                                      .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                      .type = string_field(type)}};

    id++;
    w.event.id = XXH3_64bits(&id, sizeof(id));
    world_set_field(plan, &w, "campaign", string_field("a"));
    return w;
}

static enum kpi_refusal refusal_of(struct world *world, struct kpi_engine *engine,
                                   const struct world_event *w)
{
    apply_all(world, engine, w, 1, 1);
    return world->batch->events[0].outcome == KPI_OUTCOME_REFUSED ? world->batch->events[0].refusal
                                                                  : KPI_REFUSAL_NONE;
}

static void refuses_what_cannot_be_counted(void **state)
{
    static struct fixture f;
    struct world world;
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;
    struct world_event w;
    kpi_time now = DAY_2026_10_25 * KPI_DAY;

    orderless_fixture(&f);
    f.in.users_max = 2;
    f.in.dedupe_window = KPI_DAY;
    fixture_keep(&f, 10 * KPI_DAY);
    world_open(&world, &f);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.time = now + 5 * KPI_MINUTE;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.time = now + 5 * KPI_MINUTE + 1;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_FUTURE);
    /* It was not remembered: the same id at a right time is new. */
    w.event.time = now;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    assert_int_equal(world.batch->events[0].outcome, KPI_OUTCOME_APPLIED);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    assert_int_equal(world.batch->events[0].outcome, KPI_OUTCOME_DUPLICATE);
    w.event.content++;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    assert_int_equal(world.batch->events[0].outcome, KPI_OUTCOME_CONFLICT);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.time = now - 10 * KPI_DAY;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.time = now - 10 * KPI_DAY - 1;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_EXPIRED);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.flags = KPI_EVENT_HAS_ID;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_USER_MISSING);
    w = plain_event(world.plan, "purchase", 2, now);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    w = plain_event(world.plan, "purchase", 3, now);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_USERS_FULL);
    /* A refused event has moved the log's time on, which makes others too old. */
    w = plain_event(world.plan, "purchase", 3, now + KPI_DAY);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_USERS_FULL);
    w = plain_event(world.plan, "purchase", 1, now);
    w.event.time = now - 9 * KPI_DAY - 1;
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_EXPIRED);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_refused, 6);
    assert_int_equal(stats.n_users, 2);
    assert_true(stats.newest_record == now + KPI_DAY);
    kpi_engine_free(engine);
    world_close(&world);
}

static void expired_days_are_dropped_whole(void **state)
{
    static struct fixture f;
    struct world world;
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;
    struct world_event w;
    uint64_t n_cells;
    kpi_time now = DAY_2026_10_25 * KPI_DAY + KPI_HOUR;

    orderless_fixture(&f);
    fixture_keep(&f, 5 * KPI_DAY);
    world_open(&world, &f);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    w = plain_event(world.plan, "participation", 1, now);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    kpi_engine_stats(engine, &stats);
    n_cells = stats.n_cells;
    assert_true(n_cells > 0);
    w = plain_event(world.plan, "participation", 1, now + 5 * KPI_DAY);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_cells, 2 * n_cells);
    w = plain_event(world.plan, "participation", 1, now + 6 * KPI_DAY + KPI_HOUR);
    assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_cells, 2 * n_cells);
    kpi_engine_free(engine);
    world_close(&world);
}

/* Strangers' campaigns go to __other__ when the dictionary is full; the plan's own never. */
static void values_are_bounded(void **state)
{
    static struct fixture f;
    struct world world;
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    char names[100][16];
    kpi_time now = (DAY_2026_10_25 - 1) * KPI_DAY;

    orderless_fixture(&f);
    f.in.values_max = 10;
    world_open(&world, &f);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    for (unsigned i = 0; i < 100; i++) {
        struct world_event w = plain_event(world.plan, "spend", i, now);

        snprintf(names[i], sizeof(names[i]), "stranger%u", i);
        world_set_field(world.plan, &w, "campaign", string_field(names[i]));
        world_set_field(world.plan, &w, "amount", number_field(1));
        assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct world_event w = plain_event(world.plan, "spend", i, now);

        world_set_field(world.plan, &w, "amount", number_field(2.5));
        assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    }
    kpi_engine_stats(engine, &stats);
    assert_int_equal(stats.n_other, 100 - (10 - 2)); /* two are the plan's */
    assert_int_equal(kpi_layout_new(&layout, world.plan, now, &world.counting.mem), 0);
    rows = report(engine, layout);
    {
        struct kpi_value value;

        kpi_report_value(layout, rows, 0, 3, now, &value); /* roi of campaign a */
        assert_int_equal(value.denominator.value, 7500000);
    }
    free(rows);
    kpi_layout_unref(layout);
    kpi_engine_free(engine);
    world_close(&world);
}

static void a_sum_beyond_64_bits_reads_as_its_end(void **state)
{
    static struct fixture f;
    struct world world;
    struct kpi_engine *engine;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    bool found = false;
    kpi_time now = (DAY_2026_10_25 - 1) * KPI_DAY;

    orderless_fixture(&f);
    world_open(&world, &f);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct world_event w = plain_event(world.plan, "spend", i, now);

        world_set_field(world.plan, &w, "amount",
                        (struct kpi_field){.number = INT64_MAX / 2, .kind = KPI_FIELD_NUMBER});
        assert_int_equal(refusal_of(&world, engine, &w), KPI_REFUSAL_NONE);
    }
    assert_int_equal(kpi_layout_new(&layout, world.plan, now, &world.counting.mem), 0);
    rows = report(engine, layout);
    for (uint32_t i = 0; i < kpi_layout_scope_rows(layout, 0); i++)
        found |= rows[i].value == INT64_MAX && rows[i].n_events == 3;
    assert_true(found);
    free(rows);
    kpi_layout_unref(layout);
    kpi_engine_free(engine);
    world_close(&world);
}

/* --- memory --- */

static void applying_allocates_nothing_once_tables_have_grown(void **state)
{
    static struct fixture f;
    enum {
        N = 3000
    };
    struct world world;
    struct world_stream stream = world_stream_make(8);
    struct world_event *events;
    struct kpi_engine *engine;
    uint64_t n_calls;

    world_fixture(&f);
    world_open(&world, &f);
    stream.step_s = 2; /* all in the same hours */
    stream.late = 0;
    stream.odd = 0;
    stream.now += 3 * KPI_HOUR;
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    apply_all(&world, engine, events, N, 64);
    n_calls = world.counting.n_calls;
    /* The same users and cells again: copies, and events of their own 25 hours of arrival later. */
    apply_all(&world, engine, events, N, 64);
    assert_int_equal(world.counting.n_calls, n_calls);
    kpi_engine_free(engine);
    free(events);
    world_close(&world);
}

/* Without dedupe every event is applied again: every path of counting, and no allocation. */
static void counting_again_allocates_nothing(void **state)
{
    static struct fixture f;
    enum {
        N = 3000
    };
    struct world world;
    struct world_stream stream = world_stream_make(9);
    struct world_event *events;
    struct kpi_engine *engine;
    struct kpi_engine_stats stats;
    uint64_t n_calls;

    world_fixture(&f);
    f.in.dedupe_window = 0;
    world_open(&world, &f);
    stream.step_s = 2;
    stream.late = 0;
    stream.now += 3 * KPI_HOUR;
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    for (unsigned i = 0; i < 24; i++) /* up to the highest level, and to buckets of quantiles */
        apply_all(&world, engine, events, N, 64);
    n_calls = world.counting.n_calls;
    apply_all(&world, engine, events, N, 64);
    assert_int_equal(world.counting.n_calls, n_calls);
    kpi_engine_stats(engine, &stats);
    assert_true(stats.n_applied > 24 * N);
    kpi_engine_free(engine);
    free(events);
    world_close(&world);
}

/* Makes an engine and applies and reports, with the n-th allocation failing; true if none did. */
static bool run_with_failure(struct world *world, const struct world_event *events, size_t n,
                             struct kpi_layout *layout, uint64_t fail_at)
{
    struct kpi_engine *engine = NULL;
    struct kpi_row *rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    size_t bytes = world->counting.bytes;
    int r;

    world->counting.n_calls = 0;
    world->counting.fail_at = fail_at;
    r = kpi_engine_new(&engine, world->plan, &world->counting.mem);
    for (size_t i = 0; r == 0 && i < n;) {
        world->batch->n_events = 0;
        while (i < n && world->batch->n_events < KPI_BATCH_MAX)
            world_put(world->batch, world->plan, &events[i++]);
        r = kpi_engine_apply(engine, world->batch);
    }
    if (r == 0)
        r = kpi_engine_report(engine, layout, rows);
    if (r == 0)
        r = kpi_engine_report(engine, layout, rows);
    assert_true(r == 0 || r == -ENOMEM);
    kpi_engine_free(engine);
    free(rows);
    assert_int_equal(world->counting.bytes, bytes);
    world->counting.fail_at = 0;
    return r == 0;
}

static void every_failed_allocation_is_enomem(void **state)
{
    static struct fixture f;
    enum {
        N = 700
    };
    struct world world;
    struct world_stream stream = world_stream_make(10);
    struct world_event *events;
    struct kpi_layout *layout;
    uint64_t fail_at = 1;

    world_fixture(&f);
    world_open(&world, &f);
    stream.step_s = 2000;
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
    while (!run_with_failure(&world, events, N, layout, fail_at))
        fail_at += 1 + fail_at / 100;
    assert_true(fail_at > 300);
    free(events);
    kpi_layout_unref(layout);
    world_close(&world);
}

/* A report that failed has not spoilt the next. */
static void a_failed_report_can_be_repeated(void **state)
{
    static struct fixture f;
    enum {
        N = 1500
    };
    struct world world;
    struct world_stream stream = world_stream_make(11);
    struct world_event *events;
    struct kpi_layout *layout;
    struct kpi_engine *engine, *other;
    struct kpi_row *rows, *expected;

    world_fixture(&f);
    world_open(&world, &f);
    stream.step_s = 1000;
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    assert_int_equal(kpi_engine_new(&other, world.plan, &world.counting.mem), 0);
    apply_all(&world, engine, events, N, 64);
    apply_all(&world, other, events, N, 64);
    expected = report(other, layout);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    for (uint64_t k = 1;; k += 3) {
        int r;

        world.counting.fail_at = world.counting.n_calls + k;
        r = kpi_engine_report(engine, layout, rows);
        world.counting.fail_at = 0;
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
    }
    assert_rows_equal(layout, rows, expected);
    free(rows);
    free(expected);
    free(events);
    kpi_layout_unref(layout);
    kpi_engine_free(engine);
    kpi_engine_free(other);
    world_close(&world);
}

/* --- another plan --- */

static void another_plan_keeps_what_it_shares(void **state)
{
    static struct fixture f, g;
    enum {
        N = 2500
    };
    struct world world, other;
    struct world_stream stream = world_stream_make(12);
    struct world_event *events;
    struct kpi_layout *layout, *layout_after;
    struct kpi_engine *engine;
    struct kpi_row *before, *after;
    uint8_t digest[16], digest_after[16];

    world_fixture(&f);
    f.kpis[0].grains = f.kpis[4].grains = NULL; /* the same scopes in both */
    world_open(&world, &f);
    /* The same measures in another order, with others beside them, and one attribute less. */
    orderless_fixture(&g);
    g.in.n_campaigns = 0;
    g.in.n_attributes = 0;
    g.in.n_measures = g.in.n_kpis = 0;
    fixture_attribute(&g, "last_seen", "max(time)", "");
    fixture_attribute(&g, "orders", "count", "type == \"purchase\"");
    fixture_measure(&g, "likes", "users", "type == \"like\" and last_seen < time and orders > 2");
    fixture_measure(&g, "purchases", "sum(amount)", "type == \"purchase\"");
    fixture_measure(&g, "buyers", "users", "type == \"purchase\"");
    fixture_measure(&g, "repeat_buyers", "users(2)", "type == \"purchase\"");
    fixture_measure(&g, "old_hands", "users", "type == \"purchase\" and orders >= 1");
    fixture_kpi(&g, "x", "likes / buyers", KPI_UNIT_RATIO);
    fixture_kpi(&g, "repeat", "repeat_buyers / buyers", KPI_UNIT_RATIO);
    fixture_kpi(&g, "y", "purchases / old_hands", KPI_UNIT_RATIO);
    g.in.n_campaigns = f.in.n_campaigns;
    memcpy(g.campaigns, f.campaigns, sizeof(g.campaigns));
    g.in.dedupe_window = f.in.dedupe_window;
    world_open(&other, &g);
    events = make_events(&world, N, &stream);
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    apply_all(&world, engine, events, N, 64);
    assert_int_equal(kpi_layout_new(&layout, world.plan, stream.now, &world.counting.mem), 0);
    assert_int_equal(kpi_layout_new(&layout_after, other.plan, stream.now, &other.counting.mem), 0);
    assert_int_equal(kpi_engine_digest(engine, digest), 0);
    before = report(engine, layout);
    /* To itself: nothing changes. */
    assert_int_equal(kpi_engine_replan(engine, world.plan), 0);
    assert_int_equal(kpi_engine_digest(engine, digest_after), 0);
    assert_memory_equal(digest, digest_after, 16);
    /* Without memory: the old plan stays. */
    for (uint64_t k = 1;; k++) {
        int r;

        world.counting.fail_at = world.counting.n_calls + k;
        r = kpi_engine_replan(engine, other.plan);
        world.counting.fail_at = 0;
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(kpi_engine_digest(engine, digest_after), 0);
        assert_memory_equal(digest, digest_after, 16);
        after = report(engine, layout);
        assert_rows_equal(layout, after, before);
        free(after);
    }
    after = report(engine, layout_after);
    for (uint32_t s = 0; s < kpi_layout_n_scopes(layout); s++) {
        struct kpi_value was, is;

        kpi_report_value(layout, before, s, 2, stream.now, &was); /* repeat_purchase_rate */
        kpi_report_value(layout_after, after, s, 1, stream.now, &is);
        assert_int_equal(was.state, is.state);
        assert_int_equal(was.numerator.value, is.numerator.value);
        assert_int_equal(was.denominator.value, is.denominator.value);
    }
    /* And it goes on counting, dedupe included. What one plan refuses for want of a user the other
     * may take. */
    apply_all(&other, engine, events + N - 50, 50, 64);
    for (unsigned i = 0; i < other.batch->n_events; i++) {
        if (other.batch->events[i].flags & KPI_EVENT_HAS_USER)
            assert_int_not_equal(other.batch->events[i].outcome, KPI_OUTCOME_APPLIED);
    }
    free(before);
    free(after);
    free(events);
    kpi_layout_unref(layout);
    kpi_layout_unref(layout_after);
    kpi_engine_free(engine);
    world_close(&other);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_4_rows_are_those_of_the_naive_reference),
        cmocka_unit_test(few_among_many_users_have_the_same_rows),
        cmocka_unit_test(erased_users_leave_the_rows),
        cmocka_unit_test(frequent_reports_give_the_same_rows),
        cmocka_unit_test(a_report_after_each_event_gives_the_same_rows),
        cmocka_unit_test(many_late_events_reach_the_caches),
        cmocka_unit_test(two_hot_days_are_told_apart),
        cmocka_unit_test(expired_days_leave_the_rows),
        cmocka_unit_test(time_alone_matures_cohorts),
        cmocka_unit_test(law_3_order_of_arrival_does_not_matter),
        cmocka_unit_test(retention_keeps_its_bounds),
        cmocka_unit_test(law_6_shards_add_up),
        cmocka_unit_test(refuses_what_cannot_be_counted),
        cmocka_unit_test(expired_days_are_dropped_whole),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(a_sum_beyond_64_bits_reads_as_its_end),
        cmocka_unit_test(applying_allocates_nothing_once_tables_have_grown),
        cmocka_unit_test(counting_again_allocates_nothing),
        cmocka_unit_test(every_failed_allocation_is_enomem),
        cmocka_unit_test(a_failed_report_can_be_repeated),
        cmocka_unit_test(another_plan_keeps_what_it_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
