/*
 * Claims about law 9 for measures that are newer than the log: a value says from when its measures
 * count if that is later than the time it is about, and then it is not complete; over reloads,
 * restarts and shards; answers likewise, also of what users have of their own; and nothing of it is
 * in the digest.
 */
#include "object_store.h"
#include "spec_fixture.h"

#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/answers.h>
#include <kpi/engine.h>
#include <kpi/experiment.h>
#include <kpi/funnel.h>
#include <kpi/supplement.h>
#include <kpi/table.h>

#define AT(day, hour) ((kpi_time)(DAY_2026_11_01 - 1 + (day)) * KPI_DAY + (hour)*KPI_HOUR)

/* A KPI by formula, over measures of types a, b, c and the user's history. */
static const char *const n = "n", *const m = "m";

static struct fixture f;
static struct kpi_mem *mem = &f.mem.mem;
static struct object_store store;
static uint64_t n_ids;

static const struct kpi_segment_definition segment = {
    .name = {.data = "fresh", .length = 5},
    .where = {.data = "orders == 0", .length = 11},
};

/* While set, all KPIs are broken down by the user's number of orders before. */
static bool broken_down;

/* Definitions with these KPIs (formula is the name), up to a NULL. */
static struct kpi_plan *plan_of(const char *const *formulas)
{
    struct kpi_plan *plan;
    struct counting_mem counting = f.mem;

    fixture_init(&f);
    if (counting.mem.resize)
        f.mem = counting; /* what is still alive was counted there */
    fixture_measure(&f, "n", "count", "type == 'a'");
    fixture_measure(&f, "m", "count", "type == 'b'");
    fixture_measure(&f, "users_a", "users", "type == 'a'");
    fixture_measure(&f, "twice_a", "users(2)", "type == 'a'");
    for (; *formulas; formulas++) {
        fixture_kpi(&f, *formulas, *formulas, KPI_UNIT_COUNT);
        if (strcmp(*formulas, "first_a") == 0) {
            fixture_attribute(&f, "orders", "count", "type == 'a'");
            fixture_measure(&f, "first_a", "users", "type == 'a' and orders == 0");
        }
        if (strcmp(*formulas, "anew_a") == 0) {
            fixture_attribute(&f, "today", "count", "type == 'a'");
            f.attributes[f.in.n_attributes - 1].reset = KPI_RESET_DAY;
            fixture_measure(&f, "anew_a", "users", "type == 'a' and today == 0");
        }
    }
    if (broken_down) {
        static const struct kpi_breakdown_definition breakdown = {&segment.name, 1};

        fixture_attribute(&f, "orders", "count", "type == 'a'");
        f.in.segments = &segment;
        f.in.breakdowns = &breakdown;
        f.in.n_segments = f.in.n_breakdowns = 1;
    }
    for (uint32_t i = 0; i < f.in.n_kpis; i++)
        f.kpis[i].name = TEXT(((const char *[]){"k0", "k1", "k2"})[i]);
    (void)fixture_campaign(&f, "c", 0);
    f.campaigns[0].end_day = DAY_2026_11_01 + 10;
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

/* A table, a funnel and an experiment that go by what is known of the user. */
static struct kpi_plan *plan_of_answers(void)
{
    static const struct kpi_funnel_step_definition steps[] = {
        {.where = {.data = "type == 'a' and today == 0", .length = 26}},
        {.where = {.data = "type == 'b'", .length = 11}},
    };
    static const struct kpi_funnel_definition funnel = {.name = {.data = "funnel", .length = 6},
                                                        .steps = steps,
                                                        .n_steps = 2,
                                                        .within = KPI_DAY,
                                                        .lateness = KPI_HOUR};
    struct kpi_plan *plan;

    (void)kpi_plan_unref(plan_of((const char *const[]){"anew_a", "users_a", NULL}));
    fixture_table(&f, "first", KPI_TABLE_RETENTION, "users_a")->cohort = KPI_TABLE_FIRST_EVER;
    f.tables[0].back = TEXT("users_a");
    f.in.funnels = &funnel;
    f.in.n_funnels = 1;
    (void)fixture_experiment(&f, "experiment", "type == 'a' and today == 0");
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

#define PLAN(...) plan_of((const char *const[]){__VA_ARGS__, NULL})

static struct kpi_engine *engine_of(struct kpi_plan *plan)
{
    struct kpi_engine *engine;

    assert_int_equal(kpi_engine_new(&engine, plan, mem), 0);
    (void)kpi_plan_unref(plan); /* the engine's alone */
    return engine;
}

static void replan(struct kpi_engine *engine, struct kpi_plan *plan)
{
    assert_int_equal(kpi_engine_replan(engine, plan), 0);
    (void)kpi_plan_unref(plan);
}

/* An event of campaign c, under a plan that need not be the engine's own object but its like. */
static void apply(struct kpi_engine *engine, struct kpi_plan *plan, const char *type, kpi_time time)
{
    struct kpi_batch *batch;
    struct kpi_event *event;

    assert_int_equal(kpi_batch_new(&batch, plan, mem), 0);
    event = &batch->events[0];
    event->time = event->record_time = time;
    event->user = 1;
    event->id = ++n_ids;
    event->flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID;
    event->type = string_field(type);
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++) {
        bool gauge = kpi_string_equal(kpi_plan_field(plan, i)->name, KPI_STRING("gauge"));

        event->fields[i] = i == 0  ? string_field("c")
                           : gauge ? string_field("g")
                                   : (struct kpi_field){.kind = KPI_FIELD_ABSENT};
        if (kpi_string_equal(kpi_plan_field(plan, i)->name, KPI_STRING("value")))
            event->fields[i] = number_field(7);
    }
    batch->n_events = 1;
    assert_int_equal(kpi_engine_apply(engine, batch), 0);
    assert_int_equal(event->outcome, KPI_OUTCOME_APPLIED);
    kpi_batch_free(batch);
}

/* The value of a KPI over a scope (0: the campaign; then two rolling ones; then its days)
 * of all shards. */
static struct kpi_value value(struct kpi_engine *const *engines, uint32_t n_engines,
                              struct kpi_plan *plan, uint32_t scope, uint32_t kpi, kpi_time as_of)
{
    struct kpi_layout *layout;
    struct kpi_row *rows, *sum;
    struct kpi_value value;

    assert_int_equal(kpi_layout_new(&layout, plan, as_of, mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    sum = calloc(kpi_layout_n_rows(layout), sizeof(*sum));
    for (uint32_t i = 0; i < n_engines; i++) {
        assert_int_equal(kpi_engine_report(engines[i], layout, rows), 0);
        assert_int_equal(kpi_rows_add(layout, sum, rows), 0);
    }
    kpi_report_value(layout, sum, scope, kpi, as_of, &value);
    free(rows);
    free(sum);
    (void)kpi_layout_unref(layout);
    return value;
}

enum {
    CAMPAIGN = 0,
    DAY_0 = 2,
};

/* One engine that counted `before` from day 1 on and goes on under `after` at day 3, noon. */
static struct kpi_engine *reloaded(struct kpi_plan *before, struct kpi_plan **ret_plan,
                                   struct kpi_plan *after)
{
    struct kpi_engine *engine = engine_of(kpi_plan_ref(before));

    n_ids = 0;
    for (int day = 1; day <= 3; day++)
        apply(engine, before, "a", AT(day, 12));
    (void)kpi_plan_unref(before);
    replan(engine, kpi_plan_ref(after));
    *ret_plan = after;
    return engine;
}

#define FROM (AT(3, 12) + 1)

static void assert_lacks(struct kpi_value v, kpi_time from, double complete)
{
    assert_int_equal(v.counts_from, from);
    assert_float_equal(v.complete, complete, 1e-9);
}

static void end(struct kpi_engine *engine, struct kpi_plan *plan)
{
    kpi_engine_free(engine);
    (void)kpi_plan_unref(plan);
    object_store_clear(&store);
    assert_int_equal(f.mem.bytes, 0);
}

static void what_is_new_says_from_when_it_counts(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN(n, m));

    assert_lacks(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)), KPI_TIME_NONE, 0.5);
    /* of ten days two and a half have passed since */
    assert_lacks(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)), FROM, (2.5 - 1e-6 / 86400) / 10);
    assert_lacks(value(&engine, 1, plan, DAY_0 + 2, 1, AT(6, 0)), FROM, 0);
    assert_lacks(value(&engine, 1, plan, DAY_0 + 3, 1, AT(6, 0)), FROM, 0.5 - 1e-6 / 86400);
    assert_lacks(value(&engine, 1, plan, DAY_0 + 4, 1, AT(6, 0)), KPI_TIME_NONE, 1);
    end(engine, plan);
}

static void an_engine_without_events_has_missed_none(void **state)
{
    struct kpi_engine *engine = engine_of(PLAN(n));
    struct kpi_plan *plan = PLAN(n, m);

    replan(engine, kpi_plan_ref(plan));
    apply(engine, plan, "b", AT(2, 0));
    assert_lacks(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)), KPI_TIME_NONE, 0.5);
    end(engine, plan);
}

static void another_reload_leaves_the_first_moment(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN(n, m));

    apply(engine, plan, "a", AT(5, 0));
    (void)kpi_plan_unref(plan);
    plan = PLAN(n, m, "n + m + users_a");
    replan(engine, kpi_plan_ref(plan));
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)).counts_from, FROM);
    /* A formula counts from when the last of its measures does. */
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 2, AT(6, 0)).counts_from, AT(5, 0) + 1);
    end(engine, plan);
}

static void what_was_dropped_begins_anew(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n, m), &plan, PLAN(m));

    (void)kpi_plan_unref(plan);
    plan = PLAN(n, m);
    replan(engine, kpi_plan_ref(plan));
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)).counts_from, FROM);
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)).counts_from, KPI_TIME_NONE);
    end(engine, plan);
}

static struct kpi_engine *restarted(struct kpi_engine *engine, struct kpi_plan *plan)
{
    object_store_begin(&store);
    assert_int_equal(kpi_engine_save(engine, false, object_store_put, &store), 0);
    kpi_engine_free(engine);
    engine = engine_of(kpi_plan_ref(plan));
    assert_int_equal(object_store_load(&store, engine, 5), 0);
    return engine;
}

static void a_restart_remembers(void **state)
{
    struct kpi_plan *plan = PLAN(n), *after = PLAN(n, m);
    struct kpi_engine *engine = engine_of(kpi_plan_ref(plan));

    apply(engine, plan, "a", AT(3, 12));
    engine = restarted(engine, plan);
    replan(engine, kpi_plan_ref(after));
    engine = restarted(engine, after);
    apply(engine, after, "a", AT(4, 12));
    engine = restarted(engine, after);
    assert_int_equal(value(&engine, 1, after, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    assert_int_equal(value(&engine, 1, after, CAMPAIGN, 1, AT(6, 0)).counts_from, FROM);
    (void)kpi_plan_unref(plan);
    end(engine, after);
}

static void a_restart_under_another_plan_is_a_reload(void **state)
{
    struct kpi_plan *plan = PLAN(n), *after = PLAN(n, m, "first_a");
    struct kpi_engine *engine = engine_of(kpi_plan_ref(plan));

    apply(engine, plan, "a", AT(3, 12));
    engine = restarted(engine, plan);
    engine = restarted(engine, after);
    engine = restarted(engine, after);
    assert_int_equal(value(&engine, 1, after, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    assert_int_equal(value(&engine, 1, after, CAMPAIGN, 1, AT(6, 0)).counts_from, FROM);
    assert_lacks(value(&engine, 1, after, DAY_0 + 4, 2, AT(6, 0)), FROM, 0);
    (void)kpi_plan_unref(plan);
    end(engine, after);
}

/* Cuts the list of what counts from when off: 4 + 4 bytes and 16 for each of `n_entries`. */
static void make_old(uint32_t n_entries)
{
    struct stored *v = object_store_find(&store, KPI_STRING("v"));

    v->size -= 8 + 16 * n_entries;
    kpi_object_seal(v->data, KPI_OBJECT_META, 2, v->size - KPI_OBJECT_HEADER_BYTES);
}

static void a_checkpoint_of_an_earlier_version_lacks_nothing(void **state)
{
    struct kpi_plan *plan = PLAN(n);
    struct kpi_engine *engine = engine_of(kpi_plan_ref(plan));

    apply(engine, plan, "a", AT(3, 12));
    kpi_engine_set_counts_from(engine, AT(2, 0));
    object_store_begin(&store);
    assert_int_equal(kpi_engine_save(engine, true, object_store_put, &store), 0);
    kpi_engine_free(engine);
    make_old(1);
    engine = engine_of(kpi_plan_ref(plan));
    assert_int_equal(object_store_load(&store, engine, 1), 0);
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    end(engine, plan);
}

static void the_latest_of_the_shards_counts(void **state)
{
    struct kpi_plan *plan = PLAN(n), *after = PLAN(n, m);
    struct kpi_engine *engines[3];

    for (uint32_t i = 0; i < 3; i++) {
        engines[i] = engine_of(kpi_plan_ref(plan));
        if (i > 0) /* the first one has seen nothing */
            apply(engines[i], plan, "a", i == 1 ? AT(3, 12) : AT(2, 0));
        replan(engines[i], kpi_plan_ref(after));
    }
    assert_int_equal(value(engines, 3, after, CAMPAIGN, 1, AT(6, 0)).counts_from, FROM);
    assert_int_equal(value(engines, 3, after, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    assert_int_equal(value(engines, 1, after, CAMPAIGN, 1, AT(6, 0)).counts_from, KPI_TIME_NONE);
    for (uint32_t i = 1; i < 3; i++)
        kpi_engine_free(engines[i]);
    (void)kpi_plan_unref(plan);
    end(engines[0], after);
}

/* What a value is made of may begin before its scope does. */
static void a_value_is_about_all_that_it_reads(void **state)
{
    static const struct {
        const char *formula;
        bool lacks; /* on the fifth day, when m and all of them count from the third */
    } cases[] = {
        {"m", false},
        {"previous(m)", false}, /* the day before */
        {"previous(m, 2)", true},
        {"cumulative(m)", true},
        {"first_time(users_a)", true},
        {"retained(start=users_a, return=users_a, basis=day, at=1)", true},
        {"retained(users_a, users_a, day, 1, cohort=recurring)", false},
        {"retained(users_a, users_a, month, 1, cohort=recurring)", true}, /* who came before */
        {"twice_a", false},
        {"first_a", true}, /* who has ordered before the attribute was there is not known */
        {"anew_a", true},  /* today's orders are, two days after */
        {"gauge('g')", true},
    };

    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        struct kpi_plan *plan;
        struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN(cases[i].formula));
        kpi_time from = value(&engine, 1, plan, DAY_0 + 5, 0, AT(6, 0)).counts_from;

        if ((from != KPI_TIME_NONE) != cases[i].lacks)
            fail_msg("%s counts from %lld", cases[i].formula, (long long)from);
        end(engine, plan);
    }
}

static void a_group_says_it_by_itself(void **state)
{
    struct kpi_supplement *groups;
    struct kpi_plan *plan, *before = PLAN(n);
    struct kpi_layout *layout;
    struct kpi_engine *engine;
    struct kpi_group group;
    struct kpi_row *rows;
    struct kpi_value value;

    broken_down = true;
    engine = reloaded(before, &plan, PLAN(n));
    broken_down = false;
    apply(engine, plan, "a", AT(4, 12));
    assert_int_equal(kpi_layout_new(&layout, plan, AT(6, 0), mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    assert_int_equal(kpi_engine_supplement(engine, layout, &groups), 0);
    assert_true(kpi_supplement_n_groups(groups) > 0);
    group = kpi_supplement_group(groups, 0);
    kpi_report_value(layout, rows, group.scope, 0, AT(6, 0), &value);
    assert_lacks(value, KPI_TIME_NONE, 0.5);
    kpi_supplement_value(layout, rows, &group, 0, AT(6, 0), &value);
    assert_lacks(value, FROM, 0); /* who has ordered before is not known */
    free(rows);
    (void)kpi_supplement_unref(groups);
    (void)kpi_layout_unref(layout);
    end(engine, plan);
}

static void an_attribute_that_forgets_is_whole_after_its_time(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN("anew_a", "first_a"));

    /* Later than two days after the third day's noon. */
    assert_int_equal(value(&engine, 1, plan, DAY_0 + 6, 0, AT(7, 0)).counts_from, KPI_TIME_NONE);
    assert_true(value(&engine, 1, plan, DAY_0 + 6, 1, AT(7, 0)).counts_from != KPI_TIME_NONE);
    end(engine, plan);
}

static void assert_answers(struct kpi_engine *engine, struct kpi_plan *plan, kpi_time users,
                           kpi_time conditions)
{
    const struct kpi_funnel_question question = {
        .from = INT64_MIN, .to = INT64_MAX, .as_of = AT(7, 0)};
    struct kpi_funnel_result *funnel;
    struct kpi_experiment_state experiment;
    struct kpi_answers *answers;
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, plan, AT(7, 0), mem), 0);
    assert_int_equal(kpi_engine_answers(engine, layout, &answers), 0);
    assert_true(kpi_answers_fits(answers, plan));
    assert_true(kpi_table_users_from(answers, 0) == users);
    assert_int_equal(kpi_funnel_ask(plan, answers, 0, &question, mem, &funnel), 0);
    assert_true(funnel->counts_from == conditions);
    (void)kpi_funnel_result_free(funnel);
    kpi_experiment_evaluate(plan, 0, answers, AT(7, 0), &experiment);
    assert_true(experiment.counts_from == conditions);
    (void)kpi_answers_unref(answers);
    (void)kpi_layout_unref(layout);
}

static void answers_say_what_of_the_users_is_missing(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN("users_a"), &plan, plan_of_answers());

    apply(engine, plan, "a", AT(4, 0));
    /* What was today is forgotten after two days at most; who came first never. */
    assert_answers(engine, plan, FROM, FROM + 2 * KPI_DAY);
    end(engine, plan);
    plan = plan_of_answers();
    engine = engine_of(kpi_plan_ref(plan));
    apply(engine, plan, "a", AT(4, 0));
    assert_answers(engine, plan, KPI_TIME_NONE, KPI_TIME_NONE);
    end(engine, plan);
}

static void a_level_that_is_new_is_missing_below_what_was_there(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN("users_a"), &plan, PLAN("users_a", "twice_a"));

    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)).counts_from, FROM);
    end(engine, plan);
}

static void a_gauge_lacks_nothing_once_it_is_read(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN("gauge('g')"));

    apply(engine, plan, "kpid.gauge", AT(4, 0));
    assert_int_equal(value(&engine, 1, plan, DAY_0 + 4, 0, AT(6, 0)).counts_from, KPI_TIME_NONE);
    /* But nobody knows where it stood before. */
    assert_int_equal(value(&engine, 1, plan, DAY_0 + 1, 0, AT(6, 0)).counts_from, FROM);
    end(engine, plan);
}

static void what_is_kept_no_longer_is_not_missed(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN("first_time(users_a)"));

    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(3 + 400, 0)).counts_from, FROM);
    assert_int_equal(value(&engine, 1, plan, CAMPAIGN, 0, AT(3 + 402, 0)).counts_from,
                     KPI_TIME_NONE);
    end(engine, plan);
}

static void a_log_that_does_not_reach_back_is_told(void **state)
{
    struct kpi_plan *plan = PLAN(n, m);
    struct kpi_engine *engine = engine_of(kpi_plan_ref(plan));

    apply(engine, plan, "a", AT(3, 12));
    kpi_engine_set_counts_from(engine, AT(3, 12));
    kpi_engine_set_counts_from(engine, AT(3, 0)); /* never earlier again */
    engine = restarted(engine, plan);
    assert_lacks(value(&engine, 1, plan, CAMPAIGN, 0, AT(6, 0)), AT(3, 12), 0.25);
    assert_lacks(value(&engine, 1, plan, DAY_0 + 4, 0, AT(6, 0)), KPI_TIME_NONE, 1);
    end(engine, plan);
}

static void the_digest_does_not_know(void **state)
{
    struct kpi_plan *plan, *same;
    struct kpi_engine *engine = reloaded(PLAN(n), &plan, PLAN(n, m));
    struct kpi_engine *whole = reloaded(PLAN(n, m), &same, PLAN(n, m));
    uint8_t digest[16], expected[16];

    assert_true(value(&engine, 1, plan, CAMPAIGN, 1, AT(6, 0)).counts_from !=
                value(&whole, 1, same, CAMPAIGN, 1, AT(6, 0)).counts_from);
    assert_int_equal(kpi_engine_digest(engine, digest), 0);
    assert_int_equal(kpi_engine_digest(whole, expected), 0);
    assert_memory_equal(digest, expected, 16);
    (void)kpi_plan_unref(same);
    kpi_engine_free(whole);
    end(engine, plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_says_from_when_it_counts),
        cmocka_unit_test(an_engine_without_events_has_missed_none),
        cmocka_unit_test(another_reload_leaves_the_first_moment),
        cmocka_unit_test(what_was_dropped_begins_anew),
        cmocka_unit_test(a_restart_remembers),
        cmocka_unit_test(a_restart_under_another_plan_is_a_reload),
        cmocka_unit_test(a_checkpoint_of_an_earlier_version_lacks_nothing),
        cmocka_unit_test(the_latest_of_the_shards_counts),
        cmocka_unit_test(a_value_is_about_all_that_it_reads),
        cmocka_unit_test(a_group_says_it_by_itself),
        cmocka_unit_test(an_attribute_that_forgets_is_whole_after_its_time),
        cmocka_unit_test(answers_say_what_of_the_users_is_missing),
        cmocka_unit_test(a_level_that_is_new_is_missing_below_what_was_there),
        cmocka_unit_test(a_gauge_lacks_nothing_once_it_is_read),
        cmocka_unit_test(what_is_kept_no_longer_is_not_missed),
        cmocka_unit_test(a_log_that_does_not_reach_back_is_told),
        cmocka_unit_test(the_digest_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
