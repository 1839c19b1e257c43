/*
 * Claim: under min_group no number of a group that is shown is of fewer people than that, unless it
 * is of nobody, and what is shown does not tell by subtraction what is hidden (spec/suppress.c);
 * groups are hidden for no other reason.
 */
#include "counting_mem.h"
#include "spec_fixture.h"

#include <kpi/supplement.h>
#include <setjmp.h>
#include <spec/plan.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW ((kpi_time)(DAY_2026_11_01 + 1) * KPI_DAY)

enum {
    GROUPS_MAX = 12
};

/* What a group counts: people, buyers, events; gauges count for nothing. */
struct numbers {
    int64_t people, buyers, events;
};

struct suppress_world {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_layout *layout;
};

static struct suppress_world world;

static void world_open(uint32_t min_group)
{
    memset(&world, 0, sizeof(world));
    counting_mem_init(&world.counting);
    fixture_init(&world.f);
    fixture_measure(&world.f, "events", "count", "");
    fixture_measure(&world.f, "people", "users", "");
    fixture_measure(&world.f, "buyers", "users", "type == \"purchase\"");
    fixture_kpi(&world.f, "k", "buyers / people + events * gauge(\"index\")", KPI_UNIT_RATIO);
    fixture_dimension(&world.f, "channel", "", 0);
    fixture_breakdown(&world.f, "channel");
    (void)fixture_campaign(&world.f, "a", 0);
    world.f.in.min_group = min_group;
    world.plan = fixture_plan(&world.f);
    assert_non_null(world.plan);
    assert_int_equal(kpi_layout_new(&world.layout, world.plan, NOW, &world.counting.mem), 0);
}

static void world_close(void)
{
    kpi_layout_unref(world.layout);
    kpi_plan_unref(world.plan);
    assert_int_equal(world.counting.bytes, 0);
}

static void fill_rows(const struct numbers *numbers, struct kpi_row *rows)
{
    const struct kpi_program *program = kpi_plan_program(world.plan);
    unsigned n_users = 0;

    for (uint32_t i = 0; i < program->n_leaves; i++) {
        uint32_t row = program->breakdowns[0].leaf_rows[i];

        if (row == KPI_NO_INDEX)
            continue;
        switch (program->leaves[i].kind) {
        case KPI_LEAF_COUNT:
            rows[row] = (struct kpi_row){numbers->events, numbers->events};
            break;
        case KPI_LEAF_USERS:
            rows[row].value = n_users++ ? numbers->people : numbers->buyers;
            rows[row].n_events = numbers->events;
            break;
        default: /* the gauge: small, and of nobody */
            rows[row] = (struct kpi_row){1, 1};
            break;
        }
    }
    assert_int_equal(n_users, 2);
}

/* Groups "a", "b", … of a scope. */
static void push(struct kpi_supplement *supplement, uint32_t scope, const struct numbers *numbers,
                 unsigned n)
{
    static const char names[] = "abcdefghijkl";

    for (unsigned i = 0; i < n; i++) {
        struct kpi_row rows[8] = {{0, 0}};
        struct kpi_group group = {
            .scope = scope,
            .n_values = 1,
            .values = {{names + i, 1}},
            .n_rows = kpi_plan_program(world.plan)->breakdowns[0].n_rows,
            .rows = rows,
        };

        fill_rows(&numbers[i], rows);
        assert_int_equal(kpi_supplement_push(supplement, &group), 0);
    }
}

/* The names of the groups that are shown; how many are not. */
static unsigned shown_of(const struct numbers *numbers, unsigned n, char ret_names[GROUPS_MAX + 1])
{
    struct kpi_supplement *all, *shown;
    struct kpi_suppressed *suppressed;
    uint32_t n_suppressed, n_hidden;

    assert_int_equal(kpi_supplement_new(&all, &world.counting.mem), 0);
    push(all, 0, numbers, n);
    assert_int_equal(kpi_supplement_suppress(all, world.layout, &world.counting.mem, &shown,
                                             &suppressed, &n_suppressed),
                     0);
    assert_true(n_suppressed <= 1);
    assert_int_equal(suppressed == NULL, n_suppressed == 0);
    n_hidden = n_suppressed ? suppressed->n : 0;
    assert_int_equal(kpi_supplement_n_groups(shown) + n_hidden, n);
    for (uint32_t i = 0; i < kpi_supplement_n_groups(shown); i++)
        ret_names[i] = kpi_supplement_group(shown, i).values[0].data[0];
    ret_names[kpi_supplement_n_groups(shown)] = '\0';
    kpi_mem_free(&world.counting.mem, suppressed, n_suppressed * sizeof(*suppressed));
    kpi_supplement_unref(shown);
    kpi_supplement_unref(all);
    return n_hidden;
}

static void small_groups_are_hidden_and_never_alone(void **state)
{
    static const struct {
        const char *shown;
        struct numbers groups[5];
    } cases[] = {
        {"abc", {{50, 0, 50}, {5, 5, 9}, {70, 5, 90}}}, /* all are large enough, or of nobody */
        {"", {{4, 0, 9}}},                              /* the only one */
        {"", {{50, 0, 50}, {4, 0, 9}}},                 /* the other would tell it */
        {"a", {{60, 0, 60}, {50, 0, 50}, {4, 0, 9}}},   /* so the smallest of the others goes */
        {"a", {{60, 0, 60}, {4, 0, 9}, {3, 0, 9}}},     /* two that are seven people together */
        {"", {{60, 0, 60}, {1, 0, 9}, {2, 0, 9}}},      /* and two that are three */
        {"a", {{60, 9, 60}, {50, 8, 50}, {40, 2, 40}}}, /* of two buyers */
        {"ab", {{60, 0, 60}, {50, 0, 50}, {40, 2, 40}, {10, 0, 10}}}, /* all buyers: c with d */
        /* the smallest of the others is that with the smallest number: a with its seven buyers */
        {"bde", {{60, 7, 60}, {50, 8, 50}, {40, 2, 40}, {10, 0, 10}, {9, 0, 9}}},
        {"b", {{0, 0, 4}, {60, 0, 60}, {50, 0, 50}}}, /* four events, of four at most */
        {"abc", {{0, 0, 5}, {60, 0, 60}, {50, 0, 50}}},
    };

    world_open(5);
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        char names[GROUPS_MAX + 1];
        unsigned n = 0;

        while (n < COUNT_OF(cases[i].groups) && cases[i].groups[n].events)
            n++;
        (void)shown_of(cases[i].groups, n, names);
        assert_string_equal(names, cases[i].shown);
    }
    world_close();
}

static int64_t number_at(const struct numbers *numbers, unsigned k)
{
    return k == 0 ? numbers->people : k == 1 ? numbers->buyers : numbers->events;
}

/* What is claimed above, of random groups. */
static void nothing_small_is_shown_or_can_be_told(void **state)
{
    uint64_t seed = 3;
    unsigned n_shown = 0, n_hidden_some = 0;

    for (unsigned trial = 0; trial < 20000; trial++) {
        int64_t min = 1 + (int64_t)(next_random(&seed) % 12);
        unsigned n = 1 + (unsigned)(next_random(&seed) % GROUPS_MAX), n_hidden;
        struct numbers groups[GROUPS_MAX];
        char names[GROUPS_MAX + 1];
        bool any_small = false;

        if (trial % 1000 == 0) {
            if (trial)
                world_close();
            world_open((uint32_t)min);
        }
        min = world.f.in.min_group;
        for (unsigned i = 0; i < n; i++) {
            groups[i].events = 1 + (int64_t)(next_random(&seed) % 40);
            groups[i].people = (int64_t)(next_random(&seed) % (uint64_t)(groups[i].events + 1));
            groups[i].buyers = (int64_t)(next_random(&seed) % (uint64_t)(groups[i].people + 1));
            if (next_random(&seed) % 3)
                groups[i].buyers = 0;
            for (unsigned k = 0; k < 3; k++)
                any_small |= number_at(&groups[i], k) > 0 && number_at(&groups[i], k) < min;
        }
        n_hidden = shown_of(groups, n, names);
        assert_int_equal(n_hidden > 0, any_small);
        assert_true(n_hidden != 1 || n == 1);
        for (unsigned k = 0; k < 3; k++) {
            int64_t hidden = 0;
            bool shown = false;

            for (unsigned i = 0; i < n; i++) {
                int64_t number = number_at(&groups[i], k);

                if (!strchr(names, 'a' + (int)i)) {
                    hidden += number;
                    continue;
                }
                assert_true(number == 0 || number >= min);
                shown |= number > 0;
            }
            assert_true(hidden == 0 || hidden >= min || !shown);
        }
        n_shown += names[0] != '\0';
        n_hidden_some += n_hidden > 0 && names[0];
    }
    assert_true(n_shown > 2000 && n_hidden_some > 2000);
    world_close();
}

/* Scopes are judged one by one, and what is missing is told of each. */
static void scopes_are_judged_apart(void **state)
{
    static const struct numbers large[] = {{50, 9, 50}, {60, 9, 60}};
    static const struct numbers small[] = {{50, 9, 50}, {60, 9, 60}, {1, 0, 1}};
    struct kpi_supplement *all, *shown;
    struct kpi_suppressed *suppressed;
    uint32_t n;

    world_open(5);
    assert_true(kpi_layout_n_scopes(world.layout) >= 3);
    assert_int_equal(kpi_supplement_new(&all, &world.counting.mem), 0);
    push(all, 0, small, 3);
    push(all, 1, large, 2);
    push(all, 2, small, 2);
    assert_int_equal(
        kpi_supplement_suppress(all, world.layout, &world.counting.mem, &shown, &suppressed, &n),
        0);
    assert_int_equal(n, 1);
    assert_int_equal(suppressed[0].scope, 0);
    assert_int_equal(suppressed[0].n, 2);
    assert_int_equal(kpi_supplement_n_groups(shown), 5);
    kpi_mem_free(&world.counting.mem, suppressed, n * sizeof(*suppressed));
    kpi_supplement_unref(shown);
    kpi_supplement_unref(all);
    world_close();
}

static void every_failed_allocation_is_enomem(void **state)
{
    static const struct numbers small[] = {{50, 9, 50}, {60, 9, 60}, {1, 0, 1}};
    struct kpi_supplement *all, *shown;
    struct kpi_suppressed *suppressed;
    uint32_t n;
    int r = -1;

    world_open(5);
    assert_int_equal(kpi_supplement_new(&all, &world.counting.mem), 0);
    push(all, 0, small, 3);
    for (uint64_t fail_at = 1; r != 0; fail_at++) {
        world.counting.fail_at = world.counting.n_calls + fail_at;
        r = kpi_supplement_suppress(all, world.layout, &world.counting.mem, &shown, &suppressed,
                                    &n);
        world.counting.fail_at = 0;
        if (r != 0)
            assert_int_equal(r, -ENOMEM);
    }
    kpi_mem_free(&world.counting.mem, suppressed, n * sizeof(*suppressed));
    kpi_supplement_unref(shown);
    kpi_supplement_unref(all);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_groups_are_hidden_and_never_alone),
        cmocka_unit_test(nothing_small_is_shown_or_can_be_told),
        cmocka_unit_test(scopes_are_judged_apart),
        cmocka_unit_test(every_failed_allocation_is_enomem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
