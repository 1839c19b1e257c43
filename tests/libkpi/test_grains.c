/*
 * Claim: whatever the grain (minutes, hour, day, week, month, quarter, year, rolling ones of them),
 * a row is what a walk over all events finds by the C library's own calendar, in zones with summer
 * time and without, on days of 23 and 25 hours and a leap day; with late, repeated and expired
 * events, whatever the order and the number of shards, and wherever a shard was saved and loaded.
 */
#include "counting_mem.h"
#include "engine_world.h"
#include "object_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <time.h>

enum {
    ZONES = 3,
    EVENTS_MAX = 4000,
    DAYS = 900, /* of the calendars, from 2025-12-31 */
};

/* Where an instant lies in a zone, by the C library. */
struct moment {
    int64_t day, week, month, quarter, year; /* each counts on by one */
    kpi_time midnight;                       /* at which the day began */
};

static const char *zone_names[ZONES];
static kpi_time starts[ZONES][DAYS + 1];
static struct moment moments[ZONES][EVENTS_MAX];
static int week_start; /* 0 is Monday */

static void zone_use(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static kpi_time midnight_of(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_isdst = -1};

    return (kpi_time)mktime(&tm) * KPI_SECOND;
}

/* The zone in use. */
static struct moment moment_of(kpi_time time)
{
    time_t seconds = (time_t)(time / KPI_SECOND);
    struct tm tm, date;
    time_t noon;

    localtime_r(&seconds, &tm);
    date = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    noon = timegm(&date);
    return (struct moment){
        .day = noon / 86400,
        .week = (noon / 86400 - (tm.tm_wday + 6 - week_start) % 7) / 7,
        .month = tm.tm_year * 12 + tm.tm_mon,
        .quarter = tm.tm_year * 4 + tm.tm_mon / 3,
        .year = tm.tm_year,
        .midnight = midnight_of(1900 + tm.tm_year, tm.tm_mon + 1, tm.tm_mday),
    };
}

static struct kpi_zone zone_make(uint32_t index, const char *name)
{
    zone_use(name);
    zone_names[index] = name;
    for (int i = 0; i <= DAYS; i++)
        starts[index][i] = midnight_of(2025, 12, 31 + i);
    return (struct kpi_zone){{name, strlen(name)}, DAY_2026_01_01 - 1, DAYS, starts[index]};
}

/* Windows of so many minutes between two instants, the later one's number less the earlier one's.
 */
static int64_t windows_between(kpi_time from, kpi_time to, int64_t minutes)
{
    struct moment a = moment_of(from), b = moment_of(to);
    int64_t n = (to - b.midnight) / (minutes * KPI_MINUTE);

    if (a.day > b.day)
        return -windows_between(to, from, minutes);
    for (int64_t day = a.day; day < b.day; day++) {
        kpi_time length = midnight_of(1970, 1, (int)day + 2) - midnight_of(1970, 1, (int)day + 1);

        n += (length + minutes * KPI_MINUTE - 1) / (minutes * KPI_MINUTE);
    }
    return n - (from - a.midnight) / (minutes * KPI_MINUTE);
}

/* How many units an instant lies after another. */
static int64_t units_between(enum kpi_scope_kind unit, int64_t minutes, const struct moment *a,
                             kpi_time a_time, const struct moment *b, kpi_time b_time)
{
    switch (unit) {
    case KPI_SCOPE_DAY:
        return b->day - a->day;
    case KPI_SCOPE_WEEK:
        return b->week - a->week;
    case KPI_SCOPE_MONTH:
        return b->month - a->month;
    case KPI_SCOPE_QUARTER:
        return b->quarter - a->quarter;
    case KPI_SCOPE_YEAR:
        return b->year - a->year;
    default:
        return windows_between(a_time, b_time, minutes);
    }
}

static bool lies_in(const struct naive *naive, const struct kpi_scope *scope, size_t event,
                    kpi_time as_of)
{
    static struct kpi_scope last;
    static kpi_time last_as_of;
    static struct moment at;
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(naive->plan, scope->campaign);
    const struct moment *moment = &moments[campaign->zone][event];
    kpi_time time = naive->events[event].w.event.time, reference;
    int64_t units;

    if (scope->kind == KPI_SCOPE_CAMPAIGN || scope->kind == KPI_SCOPE_PHASE)
        return moment->day >= scope->start_day && moment->day < scope->end_day;
    /* A rolling scope ends with the unit that as_of lies in, any other is that of its begin. */
    reference = scope->kind == KPI_SCOPE_ROLLING ? as_of : scope->start;
    if (memcmp(&last, scope, sizeof(last)) != 0 || last_as_of != as_of) {
        zone_use(zone_names[campaign->zone]);
        at = moment_of(reference);
        last = *scope;
        last_as_of = as_of;
    }
    /* The walk over windows is for the few days around it. */
    if (scope->unit == KPI_SCOPE_MINUTES && (moment->day < at.day - 4 || moment->day > at.day + 1))
        return false;
    units = units_between(scope->unit, scope->minutes, moment, time, &at, reference);
    return units >= 0 && units < scope->count;
}

/* What is wanted of a plan. */
struct plan_options {
    const char *zones[ZONES];
    kpi_day first_day; /* of the campaigns, of 40 days and less */
    kpi_duration keep;
    uint8_t week_start;
    bool attributes; /* with conditions that read attributes: then the order matters */
};

static const struct kpi_text long_grains[] = {
    {"day", 3, 0}, {"week", 4, 0}, {"month", 5, 0}, {"quarter", 7, 0}, {"year", 4, 0}};
static const struct kpi_text quarter_hours[] = {{"day", 3, 0}, {"15m", 3, 0}, {"month", 5, 0}};
static const struct kpi_text hours[] = {{"hour", 4, 0}, {"week", 4, 0}};
static const struct kpi_text odd_windows[] = {{"20m", 3, 0}, {"8h", 2, 0}};
static const struct kpi_text long_rolling[] = {
    {"7d", 2, 0}, {"2w", 2, 0}, {"2mo", 3, 0}, {"2q", 2, 0}, {"1y", 2, 0}};
static const struct kpi_text short_rolling[] = {
    {"24h", 3, 0}, {"6x15m", 5, 0}, {"3x8h", 4, 0}, {"9x20m", 5, 0}};

static struct kpi_kpi_definition *kpi_of(struct fixture *f, const char *name)
{
    for (uint32_t i = 0; i < f->in.n_kpis; i++)
        if (strcmp(f->kpis[i].name.data, name) == 0)
            return &f->kpis[i];
    fail_msg("no KPI %s", name);
    return NULL;
}

static void set_grains(struct fixture *f, const char *name, const struct kpi_text *grains,
                       uint32_t n)
{
    struct kpi_kpi_definition *kpi = kpi_of(f, name);

    kpi->grains = grains;
    kpi->n_grains = n;
    kpi->rolling = short_rolling;
    kpi->n_rolling = COUNT_OF(short_rolling);
}

static void plan_fixture(struct fixture *f, const struct plan_options *options)
{
    static const char *const ids[] = {"a", "b", "c"};

    fixture_init(f);
    fixture_kpis_of_the_product(f);
    fixture_measure(f, "events", "count", "");
    fixture_measure(f, "fans", "users(4)", "");
    fixture_kpi(f, "fan_share", "events / fans", KPI_UNIT_RATIO);
    if (options->attributes) {
        fixture_attribute(f, "orders", "count", "type == \"purchase\"");
        fixture_measure(f, "returning", "users", "type == \"purchase\" and orders >= 1");
        fixture_kpi(f, "returning_share", "returning / buyers", KPI_UNIT_RATIO);
    }
    set_grains(f, "participation_rate", quarter_hours, COUNT_OF(quarter_hours));
    set_grains(f, "repeat_purchase_rate", hours, COUNT_OF(hours));
    set_grains(f, "fan_share", odd_windows, COUNT_OF(odd_windows));
    set_grains(f, "nps", odd_windows, COUNT_OF(odd_windows));
    f->in.week_start = options->week_start;
    f->in.keep = options->keep;
    f->in.grains = long_grains;
    f->in.n_grains = options->keep < 400 * KPI_DAY ? 1 : COUNT_OF(long_grains);
    f->in.rolling = long_rolling;
    f->in.n_rolling = options->keep < 400 * KPI_DAY ? 1 : COUNT_OF(long_rolling);
    if (options->keep < 400 * KPI_DAY) /* no months */
        kpi_of(f, "participation_rate")->n_grains = 2;
    f->in.dedupe_window = 0;
    week_start = options->week_start;
    for (uint32_t i = 0; i < ZONES; i++) {
        struct kpi_campaign_definition *campaign = fixture_campaign(f, ids[i], i);

        f->zones[i] = zone_make(i, options->zones[i]);
        campaign->start_day = options->first_day + 7 * (kpi_day)i;
        campaign->end_day = options->first_day + 40 - 3 * (kpi_day)i;
    }
}

struct world {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_batch *batch;
    struct naive *naive;
    struct world_stream stream;
};

static void world_open(struct world *world, const struct plan_options *options, uint64_t seed)
{
    counting_mem_init(&world->counting);
    plan_fixture(&world->f, options);
    world->plan = fixture_plan(&world->f);
    assert_non_null(world->plan);
    assert_int_equal(kpi_batch_new(&world->batch, world->plan, &world->counting.mem), 0);
    world->naive = naive_new(world->plan);
    world->naive->lies_in = lies_in;
    world->stream = world_stream_make(seed);
    world->stream.now = options->first_day * KPI_DAY;
}

static void world_close(struct world *world)
{
    naive_free(world->naive);
    kpi_batch_free(world->batch);
    kpi_plan_unref(world->plan);
    assert_int_equal(world->counting.bytes, 0);
}

/* The next event, which the reference has seen. */
static void next_event(struct world *world, struct world_event *w)
{
    size_t n = world->naive->n_events;

    assert_true(n < EVENTS_MAX);
    world_next(&world->stream, world->plan, w);
    if (naive_apply(world->naive, w) != KPI_OUTCOME_APPLIED)
        return;
    for (uint32_t z = 0; z < ZONES; z++) {
        zone_use(zone_names[z]);
        moments[z][n] = moment_of(w->event.time);
    }
}

static void apply(struct world *world, struct kpi_engine *engine, const struct world_event *w)
{
    world->batch->n_events = 0;
    world_put(world->batch, world->plan, w);
    assert_int_equal(kpi_engine_apply(engine, world->batch), 0);
}

static void assert_rows(const struct kpi_plan *plan, const struct kpi_layout *layout,
                        const struct kpi_row *rows, const struct kpi_row *expected)
{
    for (uint32_t s = 0; s < kpi_layout_n_scopes(layout); s++) {
        uint32_t first = kpi_layout_first_row(layout, s);

        for (uint32_t i = first; i < first + kpi_layout_scope_rows(layout, s); i++) {
            char name[KPI_SCOPE_NAME_BYTES_MAX];

            if (rows[i].value == expected[i].value && rows[i].n_events == expected[i].n_events)
                continue;
            (void)kpi_scope_name_format(name, plan, kpi_layout_scope(layout, s), true);
            fail_msg("campaign %u %s row %u: %lld of %lld, not %lld of %lld",
                     kpi_layout_scope(layout, s)->campaign, name, i - first,
                     (long long)rows[i].value, (long long)rows[i].n_events,
                     (long long)expected[i].value, (long long)expected[i].n_events);
        }
    }
}

/* The rows of all shards together are those of the reference. */
static void compare(struct world *world, struct kpi_engine *const *shards, uint32_t n_shards,
                    kpi_time as_of)
{
    struct kpi_layout *layout;
    struct kpi_row *rows, *sum, *expected;
    uint32_t n;

    assert_int_equal(kpi_layout_new(&layout, world->plan, as_of, &world->counting.mem), 0);
    n = kpi_layout_n_rows(layout);
    rows = calloc(n, sizeof(*rows));
    sum = calloc(n, sizeof(*sum));
    expected = calloc(n, sizeof(*expected));
    for (uint32_t i = 0; i < n_shards; i++) {
        assert_int_equal(kpi_engine_report(shards[i], layout, rows), 0);
        assert_int_equal(kpi_rows_add(layout, sum, rows), 0);
    }
    naive_report(world->naive, layout, expected);
    assert_rows(world->plan, layout, sum, expected);
    free(rows);
    free(sum);
    free(expected);
    kpi_layout_unref(layout);
}

struct run {
    struct plan_options options;
    uint64_t seed;
    uint32_t n_events, n_between, step_s, late;
};

/* Events one by one; a report now and then, and at times one soon after another. */
static void run_against_calendar(const struct run *run)
{
    static struct world world;
    struct kpi_engine *engine;
    uint64_t seed = run->seed;
    uint32_t next = run->n_between;

    world_open(&world, &run->options, run->seed);
    world.stream.step_s = run->step_s;
    world.stream.late = run->late;
    assert_int_equal(kpi_engine_new(&engine, world.plan, &world.counting.mem), 0);
    for (uint32_t i = 0; i < run->n_events; i++) {
        struct world_event w;

        next_event(&world, &w);
        apply(&world, engine, &w);
        if (i < next)
            continue;
        compare(&world, &engine, 1, world.stream.now);
        next = i + 1 + (next_random(&seed) % 3 ? run->n_between : (uint32_t)next_random(&seed) % 4);
    }
    compare(&world, &engine, 1, world.stream.now + 3 * KPI_HOUR);
    kpi_engine_free(engine);
    world_close(&world);
}

/* Summer time ends in Europe on 25 October, in America on 1 November; at Lord Howe it begins, by
 * half an hour, on 4 October. */
static void autumn(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"},
                                  DAY_2026_10_25 - 24,
                                  400 * KPI_DAY,
                                  .attributes = true},
                      .seed = 21,
                      .n_events = 1100,
                      .n_between = 150,
                      .step_s = 2800,
                      .late = 20});
}

/* It begins on 8 March, 29 March, and ends on 5 April. */
static void spring(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"},
                                  DAY_2026_03_29 - 25,
                                  400 * KPI_DAY,
                                  .week_start = 6},
                      .seed = 22,
                      .n_events = 1000,
                      .n_between = 150,
                      .step_s = 3000,
                      .late = 10});
}

/* From December into a year, and zones without summer time, one of them on the half hour. */
static void new_year(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin"},
                                  DAY_2026_01_01 + 365 - 20,
                                  400 * KPI_DAY,
                                  .week_start = 6},
                      .seed = 23,
                      .n_events = 800,
                      .n_between = 120,
                      .step_s = 3600,
                      .late = 10});
}

/* 29 February 2028. */
static void leap_day(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Asia/Kolkata", "America/New_York", "Asia/Shanghai"},
                                  DAY_2026_01_01 + 730 + 45,
                                  400 * KPI_DAY},
                      .seed = 24,
                      .n_events = 500,
                      .n_between = 120,
                      .step_s = 3000,
                      .late = 10});
}

/* The hours of one night, in which many windows are hot, through a change of the clock. */
static void hot_windows(void **state)
{
    struct run run = {.options = {{"Europe/Berlin", "Asia/Shanghai", "America/New_York"},
                                  DAY_2026_10_25 - 1,
                                  400 * KPI_DAY,
                                  .attributes = true},
                      .seed = 25,
                      .n_events = 1000,
                      .n_between = 60,
                      .step_s = 120,
                      .late = 0};

    run_against_calendar(&run);
}

/* Half of the events are late: into finished windows, for which unions are kept. */
static void late_events(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Europe/Berlin", "Australia/Lord_Howe", "America/New_York"},
                                  DAY_2026_10_25 - 15,
                                  400 * KPI_DAY},
                      .seed = 26,
                      .n_events = 900,
                      .n_between = 60,
                      .step_s = 1500,
                      .late = 2});
}

/* Cells go by whole days, in whatever windows they are stored. */
static void expiry(void **state)
{
    run_against_calendar(
        &(struct run){.options = {{"Europe/Berlin", "Australia/Lord_Howe", "America/New_York"},
                                  DAY_2026_10_25 - 15,
                                  8 * KPI_DAY + 5 * KPI_HOUR},
                      .seed = 27,
                      .n_events = 900,
                      .n_between = 80,
                      .step_s = 2500,
                      .late = 4});
}

/* --- shards, order, restarts --- */

static struct kpi_engine *restart(struct world *world, struct kpi_engine *engine,
                                  struct object_store *store)
{
    struct kpi_engine *loaded;
    uint8_t digest[16], loaded_digest[16];

    object_store_begin(store);
    assert_int_equal(kpi_engine_save(engine, false, object_store_put, store), 0);
    assert_int_equal(kpi_engine_new(&loaded, world->plan, &world->counting.mem), 0);
    assert_int_equal(object_store_load(store, loaded, 5), 0);
    assert_int_equal(kpi_engine_digest(engine, digest), 0);
    assert_int_equal(kpi_engine_digest(loaded, loaded_digest), 0);
    assert_memory_equal(digest, loaded_digest, 16);
    kpi_engine_free(engine);
    return loaded;
}

static void shuffle(struct world_event *events, uint32_t n, uint64_t *seed)
{
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t k = (uint32_t)(next_random(seed) % (i + 1));
        struct world_event swap = events[i];

        events[i] = events[k];
        events[k] = swap;
    }
}

static void in_any_order_over_shards_with_restarts(void **state)
{
    enum {
        N = 1500,
        SHARDS_MAX = 16
    };
    static struct world world;
    static struct object_store stores[SHARDS_MAX];
    static const uint32_t counts[] = {1, 4, 16};
    const struct plan_options options = {
        {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"},
        DAY_2026_10_25 - 20,
        400 * KPI_DAY};
    struct world_event *events = calloc(N, sizeof(*events));
    uint64_t seed = 28;

    world_open(&world, &options, 28);
    world.stream.step_s = 1600;
    world.stream.odd = 0;
    for (uint32_t i = 0; i < N; i++)
        next_event(&world, &events[i]);
    for (size_t c = 0; c < COUNT_OF(counts); c++) {
        struct kpi_engine *shards[SHARDS_MAX];

        for (uint32_t s = 0; s < counts[c]; s++)
            assert_int_equal(kpi_engine_new(&shards[s], world.plan, &world.counting.mem), 0);
        for (uint32_t i = 0; i < N; i++) {
            uint32_t s = (uint32_t)(events[i].event.user % counts[c]);

            apply(&world, shards[s], &events[i]);
            if (next_random(&seed) % 150 == 0)
                shards[s] = restart(&world, shards[s], &stores[s]);
        }
        compare(&world, shards, counts[c], world.stream.now);
        for (uint32_t s = 0; s < counts[c]; s++) {
            shards[s] = restart(&world, shards[s], &stores[s]);
            object_store_clear(&stores[s]);
        }
        compare(&world, shards, counts[c], world.stream.now);
        for (uint32_t s = 0; s < counts[c]; s++)
            kpi_engine_free(shards[s]);
        shuffle(events, N, &seed); /* for the next round */
    }
    free(events);
    world_close(&world);
}

/* --- what is stored --- */

static uint32_t minutes_of(const struct kpi_plan *plan, enum kpi_leaf_kind kind, uint32_t level)
{
    const struct kpi_program *program = kpi_plan_program(plan);

    for (uint32_t i = 0; i < program->n_leaves; i++)
        if (program->leaves[i].kind == kind && program->leaves[i].level == level)
            return program->instances[program->leaves[i].instance[0]].minutes;
    fail_msg("no such leaf");
    return 0;
}

static void a_measure_is_stored_once_in_the_common_divisor(void **state)
{
    static const struct kpi_text by_hour[] = {{"hour", 4, 0}};
    static const struct kpi_text by_20[] = {{"20m", 3, 0}};
    static const struct kpi_text by_15[] = {{"15m", 3, 0}};
    static struct fixture f;
    struct kpi_plan *plan;
    uint32_t n_days;

    fixture_init(&f);
    fixture_measure(&f, "some", "users", "type == 'x'");
    fixture_measure(&f, "often", "users(3)", "type == 'x'");
    fixture_measure(&f, "all", "count", "type == 'x'");
    fixture_measure(&f, "sum", "sum(amount)", "type == 'x'");
    fixture_kpi(&f, "k", "some / all", KPI_UNIT_RATIO);
    fixture_kpi(&f, "l", "often", KPI_UNIT_COUNT);
    fixture_kpi(&f, "m", "sum", KPI_UNIT_MONEY);
    fixture_kpi(&f, "r", "retained(some, some, day, 1)", KPI_UNIT_RATIO);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    n_days = kpi_plan_program(plan)->n_instances;
    kpi_plan_unref(plan);
    f.kpis[0].grains = by_20;
    f.kpis[1].grains = by_15;
    f.kpis[2].grains = by_hour;
    f.kpis[0].n_grains = f.kpis[1].n_grains = f.kpis[2].n_grains = 1;
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_program(plan)->n_instances, n_days);
    assert_int_equal(minutes_of(plan, KPI_LEAF_USERS, 1), 5);
    assert_int_equal(minutes_of(plan, KPI_LEAF_USERS, 3), 5);
    assert_int_equal(minutes_of(plan, KPI_LEAF_RETAINED, 1), 5);
    assert_int_equal(minutes_of(plan, KPI_LEAF_COUNT, 0), 20);
    assert_int_equal(minutes_of(plan, KPI_LEAF_SUM, 0), 60);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(autumn),
        cmocka_unit_test(spring),
        cmocka_unit_test(new_year),
        cmocka_unit_test(leap_day),
        cmocka_unit_test(hot_windows),
        cmocka_unit_test(late_events),
        cmocka_unit_test(expiry),
        cmocka_unit_test(in_any_order_over_shards_with_restarts),
        cmocka_unit_test(a_measure_is_stored_once_in_the_common_divisor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
