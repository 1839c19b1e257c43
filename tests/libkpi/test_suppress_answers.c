/*
 * Claim: of tables, funnels and experiments that are broken down nothing is shown that is of fewer
 * people than min_group, unless it is of nobody, nor what tells such a number by subtraction; what
 * is hidden is no more than a group's cohort, period or experiment, or a cell, or the days of a
 * funnel. (That this holds of random streams, too, is shown by tests/process/test_privacy.py.)
 */
#include "counting_mem.h"
#include "spec_fixture.h"

#include <kpi/answers.h>
#include <kpi/experiment.h>
#include <kpi/funnel.h>
#include <kpi/table.h>
#include <setjmp.h>
#include <spec/funnel_answers.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    GROUPS_MAX = 4,
    CELLS_MAX = 8,
    MIN_GROUP = 5,
    RETENTION = 0, /* tables */
    LIFE,
    DAYS,
    HIDDEN = KPI_ANSWER_CELL_HIDDEN,
};

struct suppress_world {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_answers *all;
};

static struct suppress_world world;

static int world_open(void **state)
{
    static const char *const kinds[] = {"retention", "life", "days"};
    static const enum kpi_table_kind of[] = {KPI_TABLE_RETENTION, KPI_TABLE_LIFECYCLE,
                                             KPI_TABLE_ACTIVE_INTERVALS};
    static struct kpi_funnel_step_definition steps[2];
    static struct kpi_funnel_definition funnel;
    static struct kpi_text channel;

    memset(&world, 0, sizeof(world));
    counting_mem_init(&world.counting);
    fixture_init(&world.f);
    fixture_measure(&world.f, "people", "users", "");
    fixture_dimension(&world.f, "channel", "", 0);
    for (unsigned i = 0; i < COUNT_OF(kinds); i++)
        fixture_table(&world.f, kinds[i], of[i], "people")->by = fixture_by(&world.f, "channel");
    fixture_experiment(&world.f, "theme", "people")->by = fixture_by(&world.f, "channel");
    channel = TEXT("channel");
    steps[0].where = TEXT("type == \"a\"");
    steps[1].where = TEXT("type == \"b\"");
    funnel = (struct kpi_funnel_definition){.name = TEXT("way"),
                                            .steps = steps,
                                            .n_steps = 2,
                                            .within = KPI_DAY,
                                            .by = &channel,
                                            .n_by = 1};
    world.f.in.funnels = &funnel;
    world.f.in.n_funnels = 1;
    world.f.in.min_group = MIN_GROUP;
    world.plan = fixture_plan(&world.f);
    assert_non_null(world.plan);
    assert_int_equal(kpi_answers_new(&world.all, &world.counting.mem), 0);
    return 0;
}

static int world_close(void **state)
{
    (void)kpi_answers_unref(world.all);
    (void)kpi_plan_unref(world.plan);
    assert_int_equal(world.counting.bytes, 0);
    return 0;
}

/* The answer of a group "a", "b" …; cells up to the first one below 0. */
static void push(enum kpi_answer_kind kind, uint32_t index, unsigned group, uint32_t part,
                 int64_t start, const int64_t *cells)
{
    static const char names[] = "abcd";
    struct kpi_answer answer = {
        .kind = kind, .index = index, .part = part, .start = start, .n_values = 1};
    kpi_wide wide[CELLS_MAX];

    answer.values[0] = (struct kpi_string){names + group, 1};
    for (; answer.n_cells < CELLS_MAX && cells[answer.n_cells] >= 0; answer.n_cells++)
        wide[answer.n_cells] = cells[answer.n_cells];
    answer.cells = wide;
    assert_int_equal(kpi_answers_push(world.all, &answer), 0);
}

/* A cell of what is shown of a group; 0 where there is none. */
static int64_t shown_at(const struct kpi_answers *shown, uint32_t table, unsigned group,
                        uint32_t cell, bool *ret_there)
{
    *ret_there = false;
    for (uint32_t i = 0; i < kpi_answers_n(shown); i++) {
        struct kpi_answer answer = kpi_answers_get(shown, i);

        if (answer.index != table || answer.n_values == 0 ||
            answer.values[0].data[0] != 'a' + (int)group)
            continue;
        *ret_there = true;
        return kpi_table_users(&answer, cell);
    }
    return 0;
}

static void cells_of_tables(void **state)
{
    static const struct {
        uint32_t table;
        int64_t cells[GROUPS_MAX][CELLS_MAX], shown[GROUPS_MAX][CELLS_MAX]; /* first -1: no such */
    } cases[] = {
        /* a small cell goes with the least of the others that is of anybody */
        {RETENTION,
         {{90, 80, 9, -1}, {80, 70, 3, -1}, {70, 60, 7, -1}, {60, 50, 0, -1}},
         {{90, 80, 9}, {80, 70, HIDDEN}, {70, 60, HIDDEN}, {60, 50, 0}}},
        /* all that there is of it: then one of nobody, or the whole would tell */
        {RETENTION,
         {{90, 80, -1}, {80, 70, 3, -1}, {70, 60, -1}, {60, 50, 0, -1}},
         {{90, 80, HIDDEN}, {80, 70, HIDDEN}, {70, 60, 0}, {60, 50, 0}}},
        /* a small cohort goes, with the least of the others, and all of their cells */
        {RETENTION,
         {{90, 80, 9, -1}, {4, 4, 4, -1}, {70, 60, 7, -1}, {6, 6, 6, -1}},
         {{90, 80, 9}, {HIDDEN}, {70, 60, 7}, {HIDDEN}}},
        /* in a cell of which the two are too few, a third one goes, too */
        {RETENTION,
         {{90, 80, 9, -1}, {4, 1, 1, -1}, {70, 60, 7, -1}, {6, 1, 0, -1}},
         {{90, 80, 9}, {HIDDEN}, {70, HIDDEN, HIDDEN}, {HIDDEN}}},
        /* of a lifecycle all goes: the numbers of a period are sums of those of the next */
        {LIFE,
         {{90, 80, 9, 9, -1}, {80, 70, 3, 0, -1}, {70, 60, 9, 9, -1}, {60, 50, 8, 8, -1}},
         {{90, 80, 9, 9}, {HIDDEN}, {70, 60, 9, 9}, {HIDDEN}}},
        /* of intervals a number, or all where they are of too few together */
        {DAYS,
         {{90, 80, 9, -1}, {80, 70, 3, -1}, {70, 60, 7, -1}, {60, 50, 8, -1}},
         {{90, 80, 9}, {80, 70, HIDDEN}, {70, 60, HIDDEN}, {60, 50, 8}}},
        {DAYS,
         {{90, 80, 9, -1}, {2, 1, 1, -1}, {70, 60, 7, -1}, {60, 50, 8, -1}},
         {{90, 80, 9}, {HIDDEN}, {70, 60, 7}, {HIDDEN}}},
    };

    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct kpi_answers *shown;

        (void)kpi_answers_unref(world.all);
        assert_int_equal(kpi_answers_new(&world.all, &world.counting.mem), 0);
        for (unsigned group = 0; group < GROUPS_MAX; group++)
            push(KPI_ANSWER_TABLE, cases[i].table, group, 0, DAY_2026_11_01, cases[i].cells[group]);
        assert_int_equal(kpi_answers_suppress(world.all, world.plan, &world.counting.mem, &shown),
                         0);
        for (unsigned group = 0; group < GROUPS_MAX; group++) {
            bool is_there, wanted = cases[i].shown[group][0] != HIDDEN;

            for (uint32_t cell = 0; cell < 4 && wanted; cell++)
                assert_int_equal(shown_at(shown, cases[i].table, group, cell, &is_there),
                                 cases[i].shown[group][cell]);
            (void)shown_at(shown, cases[i].table, group, 0, &is_there);
            assert_int_equal(is_there, wanted);
        }
        (void)kpi_answers_unref(shown);
    }
}

/* Periods are judged apart, a small number in one is none of another's business. */
static void periods_are_judged_apart(void **state)
{
    static const int64_t large[] = {90, 80, -1}, small[] = {3, 1, -1};
    struct kpi_answers *shown;

    for (unsigned group = 0; group < GROUPS_MAX; group++) {
        for (int64_t day = DAY_2026_11_01; day < DAY_2026_11_01 + 3; day++)
            push(KPI_ANSWER_TABLE, RETENTION, group, 0, day,
                 group == 0 && day == DAY_2026_11_01 + 1 ? small : large);
    }
    assert_int_equal(kpi_answers_suppress(world.all, world.plan, &world.counting.mem, &shown), 0);
    /* a and b of the second day; and there stands one that says so */
    assert_int_equal(kpi_answers_n(shown), 3 * GROUPS_MAX - 2 + 1);
    assert_int_equal(kpi_answers_get(shown, 0).part, KPI_ANSWER_PART_SUPPRESSED);
    assert_int_equal(kpi_answers_get(shown, 0).n_values, 0);
    for (uint32_t i = 1; i < kpi_answers_n(shown); i++)
        assert_int_equal((int64_t)kpi_answers_get(shown, i).cells[0], 90);
    (void)kpi_answers_unref(shown);
}

static void push_arm(unsigned group, uint32_t arm, int64_t units, int64_t did)
{
    int64_t x = did * KPI_DECIMAL_ONE;

    push(KPI_ANSWER_EXPERIMENT, 0, group, arm, 0, (const int64_t[]){units, x, 0, x, 0, 0, 7, 0});
}

static void push_excluded(unsigned group, int64_t n)
{
    push(KPI_ANSWER_EXPERIMENT, 0, group, KPI_EXPERIMENT_EXCLUDED, 0, (const int64_t[]){n, -1});
}

static void groups_of_experiments_go_by_the_users_of_their_arms(void **state)
{
    struct kpi_experiment_state is;
    struct kpi_answers *shown;
    uint32_t at, end;
    bool suppressed;

    for (unsigned group = 0; group < GROUPS_MAX; group++) {
        push_arm(group, 0, 50 + group, 10);
        push_arm(group, 1, 50, group == 2 ? 3 : 10); /* three did it */
        push_excluded(group, 20);
    }
    assert_int_equal(kpi_answers_suppress(world.all, world.plan, &world.counting.mem, &shown), 0);
    kpi_experiment_groups(shown, 0, &at, &end, &suppressed);
    assert_true(suppressed);
    /* c, and a, whose smallest number is as small as that of others and stands first */
    for (const char *name = "bd"; *name; name++) {
        assert_true(at < end);
        assert_int_equal(kpi_answers_get(shown, at).values[0].data[0], *name);
        at = kpi_experiment_evaluate_group(world.plan, 0, shown, at, 0, &is);
        assert_int_equal(is.arms[0].sums.units, *name - 'a' + 50);
        assert_int_equal(is.uncertain[0], HIDDEN);
        assert_int_equal(is.n_excluded, HIDDEN);
    }
    assert_int_equal(at, end);
    (void)kpi_answers_unref(shown);
}

static struct kpi_funnel_result *ask(bool by)
{
    const struct kpi_funnel_question question = {INT64_MIN, INT64_MAX, by, INT64_MAX};
    struct kpi_funnel_result *result;

    assert_int_equal(
        kpi_funnel_ask(world.plan, world.all, 0, &question, &world.counting.mem, &result), 0);
    return result;
}

/* Users who entered on a day; of them `n` came to step 2. */
static void push_day(unsigned group, int64_t day, int64_t entered, int64_t n)
{
    push(KPI_ANSWER_FUNNEL, 0, group, KPI_FUNNEL_PART_ENTERED, day, (const int64_t[]){entered, -1});
    if (n)
        push(KPI_ANSWER_FUNNEL, 0, group, kpi_funnel_part(1, KPI_SECOND), day,
             (const int64_t[]){n, n * KPI_SECOND, -1});
}

static void groups_of_funnels_go_by_steps_and_their_days_together(void **state)
{
    struct kpi_funnel_result *result;

    push_day(0, DAY_2026_11_01, 90, 0);
    push_day(1, DAY_2026_11_01, 80, 0);
    push_day(2, DAY_2026_11_01, 3, 0);     /* a small day, but not a small group … */
    push_day(2, DAY_2026_11_01 + 1, 9, 0); /* … as on another there are more */
    push_day(3, DAY_2026_11_01, 70, 0);
    result = ask(true);
    assert_int_equal(result->n_groups, 4);
    assert_true(result->suppressed);
    /* days: c has a small one, and d the least of that day to go with it */
    for (unsigned group = 0; group < 4; group++) {
        assert_int_equal(result->groups[group].steps[0].users,
                         group == 2 ? 12 : 90 - 10 * (int)(group - group / 3));
        assert_int_equal(result->groups[group].days_hidden, group >= 2);
        assert_int_equal(result->groups[group].n_days, group < 2);
    }
    (void)kpi_funnel_result_free(result);
}

static void a_small_step_hides_the_group(void **state)
{
    struct kpi_funnel_result *result;

    push_day(0, DAY_2026_11_01, 90, 9);
    push_day(1, DAY_2026_11_01, 80, 2);
    push_day(2, DAY_2026_11_01, 70, 0);
    push_day(3, DAY_2026_11_01, 60, 6);
    result = ask(true);
    assert_true(result->suppressed);
    assert_int_equal(result->n_groups, 2);
    assert_int_equal(result->groups[0].values[0].data[0], 'a');
    assert_int_equal(result->groups[1].values[0].data[0], 'c');
    assert_false(result->groups[0].days_hidden);
    (void)kpi_funnel_result_free(result);
    result = ask(false); /* the whole is what it was */
    assert_int_equal(result->groups[0].steps[0].users, 300);
    assert_int_equal(result->groups[0].steps[1].users, 17);
    assert_int_equal(result->groups[0].n_days, 1);
    assert_false(result->suppressed);
    (void)kpi_funnel_result_free(result);
}

static void every_failed_allocation_is_enomem(void **state)
{
    static const int64_t cells[GROUPS_MAX][CELLS_MAX] = {
        {90, 9, -1}, {80, 3, -1}, {2, 1, -1}, {70, 8, -1}};
    const struct kpi_funnel_question question = {INT64_MIN, INT64_MAX, true, INT64_MAX};
    struct kpi_funnel_result *result;
    struct kpi_answers *shown;
    int r = -1, asked = -1;

    for (unsigned group = 0; group < GROUPS_MAX; group++)
        push(KPI_ANSWER_TABLE, RETENTION, group, 0, DAY_2026_11_01, cells[group]);
    for (unsigned group = 0; group < GROUPS_MAX; group++)
        push_day(group, DAY_2026_11_01, 2 + 9 * group, 0);
    for (uint64_t fail_at = 1; r != 0 || asked != 0; fail_at++) {
        world.counting.fail_at = world.counting.n_calls + fail_at;
        r = kpi_answers_suppress(world.all, world.plan, &world.counting.mem, &shown);
        world.counting.fail_at = world.counting.n_calls + fail_at;
        asked = kpi_funnel_ask(world.plan, world.all, 0, &question, &world.counting.mem, &result);
        world.counting.fail_at = 0;
        assert_true(r == 0 || r == -ENOMEM);
        assert_true(asked == 0 || asked == -ENOMEM);
        if (r == 0)
            (void)kpi_answers_unref(shown);
        if (asked == 0)
            (void)kpi_funnel_result_free(result);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(cells_of_tables),
        TEST(periods_are_judged_apart),
        TEST(groups_of_experiments_go_by_the_users_of_their_arms),
        TEST(groups_of_funnels_go_by_steps_and_their_days_together),
        TEST(a_small_step_hides_the_group),
        TEST(every_failed_allocation_is_enomem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
