/*
 * Claims: of streams with the assumed shape the estimate is 0.7 to 1.5 times what an engine really
 * takes, and of dedupe alone 0.7 to 1.4 times; it is shared out over shards, and
 * the limits of the plan hold for it.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <kpi/engine.h>
#include <kpi/estimate.h>
#include <spec/program.h>

static struct fixture f;

struct shape {
    const char *name;
    uint32_t users, users_daily, days, events_each;
    bool product;    /* the product's KPIs, else one */
    bool attributes; /* five of them */
    unsigned campaigns;
    const char *quantiles; /* NULL: none, else by this grain */
    bool funnel;
    bool unbounded; /* retention on or after each of 20 days */
};

static const struct shape shapes[] = {
    {"product, every user each day", 30000, 30000, 3, 8, true, false, 1},
    {"product, a tenth each day", 80000, 8000, 10, 8, true, false, 1},
    {"product, few", 20000, 200, 25, 8, true, false, 1},
    {"product with attributes", 50000, 10000, 5, 8, true, true, 1},
    {"three campaigns", 60000, 12000, 5, 8, true, false, 3},
    {"one KPI", 100000, 20000, 5, 2, false, false, 1},
    {"one KPI with attributes", 100000, 20000, 5, 2, false, true, 1},
    {"few quantiles", 10000, 800, 30, 1, false, false, 1, "day"},
    {"many quantiles", 20000, 4000, 30, 1, false, false, 1, "day"},
    {"a funnel", 60000, 12000, 10, 3, false, false, 1, NULL, true},
    {"quantiles of windows", 30000, 12000, 20, 1, false, false, 1, "5m"},
    {"unbounded retention", 100000, 1000, 60, 1, .campaigns = 1, .unbounded = true},
};

static const struct kpi_funnel_step_definition steps[] = {
    {.where = {"type == 'exposure'", 18, 0}},
    {.where = {"type == 'participation'", 23, 0}},
    {.where = {"type == 'purchase'", 18, 0}},
    {.where = {"type == 'refund'", 16, 0}},
};
static const struct kpi_funnel_definition funnel = {
    .name = {"way", 3, 0}, .steps = steps, .n_steps = 4, .within = KPI_DAY, .lateness = KPI_HOUR};

static struct kpi_plan *plan_of(const struct shape *shape)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct kpi_plan *plan;

    fixture_init(&f);
    if (shape->attributes) {
        fixture_attribute(&f, "n", "count", "");
        fixture_attribute(&f, "spent", "sum(amount)", "type == \"purchase\"");
        fixture_attribute(&f, "first", "min(time)", "");
        fixture_attribute(&f, "last", "max(time)", "");
        fixture_attribute(&f, "channel_was", "last(channel)", "");
        fixture_measure(&f, "some", "users",
                        "n > 0 and spent > 1 and time - first > 1d and time - last > 1d and "
                        "channel_was == 'x'");
        fixture_kpi(&f, "with_attributes", "some", KPI_UNIT_COUNT);
    }
    if (shape->product) {
        fixture_kpis_of_the_product(&f);
    } else {
        fixture_measure(&f, "reached", "users", "type == \"exposure\"");
        fixture_kpi(&f, "reach", "reached", KPI_UNIT_COUNT);
    }
    if (shape->quantiles) {
        f.kpi_grains[0] = TEXT(shape->quantiles);
        fixture_measure(&f, "dwell", "quantiles(seconds)", "");
        fixture_kpi(&f, "dwell_p90", "quantile(dwell, 0.9)", KPI_UNIT_DURATION);
        f.kpis[f.in.n_kpis - 1].grains = f.kpi_grains;
        f.kpis[f.in.n_kpis - 1].n_grains = 1;
    }
    for (unsigned at = 1; shape->unbounded && at <= 20; ++at) {
        static char names[20][8], formulas[20][64];
        char *formula = formulas[at - 1];

        snprintf(names[at - 1], sizeof(names[0]), "r%u", at);
        snprintf(formula, sizeof(formulas[0]),
                 "retained(reached, reached, day, %u, mode=unbounded)", at);
        fixture_kpi(&f, names[at - 1], formula, KPI_UNIT_RATIO);
    }
    if (shape->funnel) {
        f.in.funnels = &funnel;
        f.in.n_funnels = 1;
    }
    for (unsigned i = 0; i < shape->campaigns; ++i)
        (void)fixture_campaign(&f, ids[i], 0);
    f.in.dedupe_ids_max = 100000000;
    f.in.users_max = 100000000;
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

/* Which field of an event has this name; UINT32_MAX: nobody asks for it. */
static uint32_t field_of(const struct kpi_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); ++i) {
        struct kpi_string is = kpi_plan_field(plan, i)->name;

        if (is.length == strlen(name) && memcmp(is.data, name, is.length) == 0)
            return i;
    }
    return UINT32_MAX;
}

enum {
    SURVEY = 6
};

static void set(struct kpi_event *event, uint32_t field, struct kpi_field value)
{
    if (field != UINT32_MAX)
        event->fields[field] = value;
}

/* A user's events of a day, one of each type in turn; days go by evenly, user by user. */
static void put_event(const struct kpi_plan *plan, const struct shape *shape, uint32_t user,
                      uint32_t day, uint32_t k, struct kpi_batch *batch)
{
    static const char *const types[] = {"exposure", "participation", "purchase", "purchase",
                                        "refund",   "spend",         "survey",   "signup"};
    static const char *const ids[] = {"a", "b", "c"}, *const channels[] = {"x", "y", "z"};
    const char *type = types[k % 8];
    struct kpi_event *event = &batch->events[batch->n_events];
    struct kpi_field *fields = event->fields;
    uint64_t id = ((uint64_t)user << 32) + day * 64 + k;

    batch->n_events++;
    memset(fields, 0, kpi_plan_n_fields(plan) * sizeof(*fields));
    *event = (struct kpi_event){.flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID, .fields = fields};
    event->time = (DAY_2026_11_01 + (kpi_day)day) * KPI_DAY +
                  (kpi_duration)((double)user / shape->users * KPI_DAY);
    event->record_time = event->time;
    event->id = XXH3_64bits(&id, sizeof(id));
    event->user = XXH3_64bits(&user, sizeof(user));
    event->type = string_field(type);
    set(event, 0, string_field(ids[user % shape->campaigns]));
    set(event, field_of(plan, "amount"), number_field(3));
    set(event, field_of(plan, "score"), number_field(user % 11));
    set(event, field_of(plan, "seconds"), number_field(exp2((double)(user % 997) / 83)));
    set(event, field_of(plan, "channel"), string_field(channels[user % 3]));
}

static void apply(struct kpi_engine *engine, struct kpi_batch *batch)
{
    assert_int_equal(kpi_engine_apply(engine, batch), 0);
    for (uint32_t i = 0; i < batch->n_events; ++i)
        assert_int_equal(batch->events[i].outcome, KPI_OUTCOME_APPLIED);
    batch->n_events = 0;
}

/* The user comes on a day that a hash chooses, one in users / users_daily. */
static bool comes(const struct shape *shape, uint32_t user, uint32_t day)
{
    uint64_t key = (uint64_t)user << 32 | day;

    return XXH3_64bits(&key, sizeof(key)) % shape->users < shape->users_daily;
}

static struct kpi_engine_stats fold(struct kpi_plan *plan, const struct shape *shape)
{
    struct kpi_batch *batch;
    struct kpi_engine_stats stats;
    struct kpi_engine *engine;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    bool *answered = calloc(shape->users, sizeof(bool));
    kpi_time now = (DAY_2026_11_01 + (kpi_day)shape->days) * KPI_DAY - KPI_HOUR;

    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    for (uint32_t day = 0; day < shape->days; ++day)
        for (uint32_t user = 0; user < shape->users; ++user)
            for (uint32_t k = 0; k < shape->events_each && comes(shape, user, day); ++k) {
                if (k == SURVEY && answered[user])
                    continue; /* one answer in all the days */
                answered[user] |= k == SURVEY;
                put_event(plan, shape, user, day, k, batch);
                if (batch->n_events == KPI_BATCH_MAX)
                    apply(engine, batch);
            }
    apply(engine, batch);
    assert_int_equal(kpi_layout_new(&layout, plan, now, &f.mem.mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    kpi_engine_stats(engine, &stats);
    free(rows);
    free(answered);
    kpi_layout_unref(layout);
    kpi_engine_free(engine);
    kpi_batch_free(batch);
    return stats;
}

static struct kpi_estimate estimate_of(const struct kpi_plan *plan, const struct shape *shape,
                                       uint64_t users, uint32_t n_shards)
{
    const struct kpi_estimate_stream stream = {
        .users = users,
        .users_daily = shape->users_daily,
        .events_daily = (uint64_t)shape->users_daily * shape->events_each,
        .values = 3,
        .days = shape->days,
        .n_shards = n_shards,
    };
    struct kpi_estimate estimate;

    kpi_plan_estimate(plan, &stream, &estimate);
    return estimate;
}

static void real_engines_take_about_that(void **state)
{
    unsigned n_wrong = 0;

    for (size_t i = 0; i < COUNT_OF(shapes); ++i) {
        struct kpi_plan *plan = plan_of(&shapes[i]);
        struct kpi_engine_stats stats = fold(plan, &shapes[i]);
        struct kpi_estimate e = estimate_of(plan, &shapes[i], stats.n_users, 1);
        double factor = (double)e.total / (double)stats.bytes;
        double dedupe = (double)e.dedupe / (double)stats.dedupe_bytes;

        if (factor < 0.7 || factor > 1.5 || dedupe < 0.7 || dedupe > 1.4)
            n_wrong +=
                (print_error("%s: %.2f of %llu bytes, %.2f of those for dedupe\n", shapes[i].name,
                             factor, (unsigned long long)stats.bytes, dedupe),
                 1);
        kpi_plan_unref(plan);
    }
    assert_int_equal(n_wrong, 0);
}

static void shards_share(void **state)
{
    struct kpi_plan *plan = plan_of(&shapes[3]);
    struct kpi_estimate one = estimate_of(plan, &shapes[3], shapes[3].users, 1);
    struct kpi_estimate eight = estimate_of(plan, &shapes[3], shapes[3].users, 8);

    assert_true(eight.total * 8 >= one.total);
    assert_true(eight.total * 8 <= one.total + one.total / 2);
    assert_int_equal(one.total, one.users + one.attributes + one.sets + one.answers + one.sketches +
                                    one.unions + one.dedupe + one.cells);
    kpi_plan_unref(plan);
}

static void limits_of_the_plan_hold(void **state)
{
    struct shape shape = shapes[3];
    struct kpi_plan *plan = plan_of(&shape);
    struct kpi_estimate before = estimate_of(plan, &shape, shape.users, 1), after;

    kpi_plan_unref(plan);
    fixture_init(&f);
    f.in.users_max = 1000;
    f.in.dedupe_ids_max = 1000;
    f.in.keep = 3 * KPI_DAY;
    f.in.n_rolling = 0;
    fixture_kpis_of_the_product(&f);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    after = estimate_of(plan, &shape, shape.users, 1);
    assert_in_range(after.users, 1000 * 20, 1000 * 40 + 70000); /* and a whole chunk of hashes */
    assert_true(after.dedupe < 1000 * 16 + 256 * 100 + 128 * 1024);
    assert_true(after.sets < before.sets / 3);
    kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_engines_take_about_that),
        cmocka_unit_test(shards_share),
        cmocka_unit_test(limits_of_the_plan_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
