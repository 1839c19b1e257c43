/*
 * What answers cost: 1 M users over 90 days, each in the cohort of the day of the first signup and
 * active on some of the days after it; all were seen once before, in another order, so that no
 * cohort lies close together in memory. Of each table the first answer (cold), and the next one
 * after an event of today (warm). One shard has all users: with more of them it is shared.
 */
#include "spec_fixture.h"
#include "util/memory.h"

#include <kpi/answers.h>
#include <kpi/engine.h>
#include <stdlib.h>
#include <time.h>

enum {
    USERS = 1000000,
    DAYS = 90,
    FIRST_DAY = DAY_2026_01_01 + 10,
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

struct variant {
    const char *shown;
    enum kpi_table_kind kind;
    enum kpi_table_basis basis;
    enum kpi_table_mode mode;
    enum kpi_table_cohort cohort;
    uint32_t periods;
    uint32_t trailing;
};

static struct fixture fixture;

static struct kpi_plan *make_plan(const struct variant *variant)
{
    struct kpi_table_definition *table;
    struct kpi_plan *plan;

    fixture_init(&fixture);
    fixture.in.n_rolling = 0;
    fixture.in.dedupe_window = 0;
    fixture.in.users_max = 2 * USERS;
    fixture_measure(&fixture, "signups", "users", "type == \"signup\"");
    fixture_measure(&fixture, "active", "users", "type == \"visit\"");
    table = fixture_table(&fixture, "table", variant->kind,
                          variant->kind == KPI_TABLE_RETENTION ? "signups" : "active");
    table->back = TEXT("active");
    table->basis = variant->basis;
    table->mode = variant->mode;
    table->cohort = variant->cohort;
    table->periods = variant->periods;
    table->trailing = variant->trailing;
    if (table->trailing)
        table->over = table->basis;
    table->last = 100;
    if (kpi_plan_new(&plan, &fixture.in, &memory_kpi, &fixture.recorder.diag))
        abort();
    return plan;
}

static void put(struct kpi_engine *engine, struct kpi_batch *batch, const char *type, uint64_t user,
                kpi_time time)
{
    struct kpi_event *event = &batch->events[batch->n_events++];
    struct kpi_field *fields = event->fields;

    *event = (struct kpi_event){.flags = KPI_EVENT_HAS_USER,
                                .user = XXH3_64bits(&user, sizeof(user)),
                                .time = time,
                                .record_time = time,
                                .type = string_field(type)};
    event->fields = fields;
    fields[0] = (struct kpi_field){0};
    if (batch->n_events == KPI_BATCH_MAX) {
        if (kpi_engine_apply(engine, batch))
            abort();
        batch->n_events = 0;
    }
}

/* A day: who signs up, and of all before about every tenth, more of those who came lately. */
static void day_put(struct kpi_engine *engine, struct kpi_batch *batch, unsigned day,
                    uint64_t *seed)
{
    kpi_time start = (FIRST_DAY + (kpi_day)day) * KPI_DAY;
    uint64_t n = (uint64_t)USERS * (day + 1) / DAYS, from = (uint64_t)USERS * day / DAYS;

    for (uint64_t user = from; user < n; user++) {
        kpi_time time = start + (kpi_time)(next_random(seed) % 86400) * KPI_SECOND;

        put(engine, batch, "signup", user, time);
        put(engine, batch, "visit", user, time);
    }
    for (uint64_t user = 0; user < from; user++) {
        uint64_t age = day - user * DAYS / USERS;

        if (next_random(seed) % (4 + age / 4) == 0)
            put(engine, batch, "visit", user,
                start + (kpi_time)(next_random(seed) % 86400) * KPI_SECOND);
    }
}

static double answer(struct kpi_engine *engine, struct kpi_plan *plan, kpi_time as_of,
                     uint32_t *ret_cells)
{
    struct kpi_answers *answers;
    struct kpi_layout *layout;
    double began;

    if (kpi_layout_new(&layout, plan, as_of, &memory_kpi))
        abort();
    began = now();
    if (kpi_engine_answers(engine, layout, &answers))
        abort();
    began = now() - began;
    *ret_cells = 0;
    for (uint32_t i = 0; i < kpi_answers_n(answers); i++)
        *ret_cells += kpi_answers_get(answers, i).n_cells;
    (void)kpi_answers_unref(answers);
    (void)kpi_layout_unref(layout);
    return began;
}

static void measure(const struct variant *variant)
{
    kpi_time as_of = (FIRST_DAY + DAYS) * KPI_DAY - KPI_MINUTE;
    struct kpi_plan *plan = make_plan(variant);
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    uint64_t seed = 1;
    uint32_t cells;
    double cold, warm;

    if (kpi_engine_new(&engine, plan, &memory_kpi) || kpi_batch_new(&batch, plan, &memory_kpi))
        abort();
    /* Known before, in an order that has nothing to do with when they sign up. */
    for (uint64_t i = 0; i < USERS; i++)
        put(engine, batch, "visit", i * 7919 % USERS, (FIRST_DAY - 10) * KPI_DAY);
    for (unsigned day = 0; day < DAYS; day++)
        day_put(engine, batch, day, &seed);
    cold = answer(engine, plan, as_of, &cells);
    for (unsigned i = 0; i < KPI_BATCH_MAX; i++)
        put(engine, batch, "visit", i * 1000, as_of);
    warm = answer(engine, plan, as_of, &cells);
    printf("%-46s %8u cells  cold %7.1f ms  warm %7.1f ms\n", variant->shown, cells, cold, warm);
    (void)fflush(stdout);
    (void)kpi_batch_free(batch);
    (void)kpi_engine_free(engine);
    (void)kpi_plan_unref(plan);
}

int main(void)
{
    static const struct variant variants[] = {
        {"retention by day, 90 x 90, first_time, classic", KPI_TABLE_RETENTION, KPI_TABLE_DAY,
         KPI_TABLE_CLASSIC, KPI_TABLE_FIRST_TIME, 90},
        {"                           first_time, unbounded", KPI_TABLE_RETENTION, KPI_TABLE_DAY,
         KPI_TABLE_UNBOUNDED, KPI_TABLE_FIRST_TIME, 90},
        {"                           first_time, every", KPI_TABLE_RETENTION, KPI_TABLE_DAY,
         KPI_TABLE_EVERY, KPI_TABLE_FIRST_TIME, 90},
        {"                           first_ever, classic", KPI_TABLE_RETENTION, KPI_TABLE_DAY,
         KPI_TABLE_CLASSIC, KPI_TABLE_FIRST_EVER, 90},
        {"                           recurring, classic", KPI_TABLE_RETENTION, KPI_TABLE_DAY,
         KPI_TABLE_CLASSIC, KPI_TABLE_RECURRING, 90},
        {"retention by elapsed days, 90 x 90", KPI_TABLE_RETENTION, KPI_TABLE_ELAPSED,
         KPI_TABLE_CLASSIC, KPI_TABLE_FIRST_TIME, 90},
        {"active days of months", KPI_TABLE_ACTIVE_INTERVALS, KPI_TABLE_DAY, 0, 0, 1},
        {"active days of the last 28, each of 90", KPI_TABLE_ACTIVE_INTERVALS, KPI_TABLE_DAY, 0, 0,
         1, 28},
        {"lifecycle by week", KPI_TABLE_LIFECYCLE, KPI_TABLE_WEEK, 0, 0, 1},
    };

    for (size_t i = 0; i < COUNT_OF(variants); i++)
        measure(&variants[i]);
    return 0;
}
