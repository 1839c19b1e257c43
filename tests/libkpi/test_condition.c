/*
 * Claims about conditions: what holds of an event, also of absent fields, of a user's attributes
 * and of what the clocks of the plan's zone showed, that residual conditions agree with whole ones,
 * that measures with the same one share it, and that evaluating allocates nothing.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <spec/plan.h>

static struct fixture f;

enum expected {
    FAILS,
    HOLDS,
};

/* Attributes of the plans below, in the order of their slots. */
enum {
    SLOT_ORDERS,
    SLOT_SPENT,
    SLOT_FIRST,
    SLOT_TOUCH_TIME,
    SLOT_TOUCH,
    SLOT_RATING_TIME,
    SLOT_RATING,
    SLOT_VIP_TIME,
    SLOT_VIP,
    N_SLOTS,
};

static const char *const dictionary_strings[] = {"a", "wechat"};

static struct kpi_string dictionary(void *userdata, int64_t id)
{
    assert_ptr_equal(userdata, &f);
    return (struct kpi_string){dictionary_strings[id], strlen(dictionary_strings[id])};
}

static int setup(void **state)
{
    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", "type == 'purchase'");
    fixture_attribute(&f, "spent", "sum(amount)", "");
    fixture_attribute(&f, "first", "min(time)", "");
    fixture_attribute(&f, "touch", "last(channel)", "");
    fixture_attribute(&f, "rating", "last(score)", "");
    fixture_attribute(&f, "was_vip", "last(vip)", "");
    /* settles what the fields are, whatever a single condition says of them */
    fixture_measure(&f, "kinds", "sum(amount)",
                    "channel == 'x' and score > 1 and vip and size > 1");
    fixture_kpi(&f, "kinds", "kinds", KPI_UNIT_COUNT);
    fixture_kpi(&f, "m", "m", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    return 0;
}

static uint32_t field_index(const struct kpi_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); ++i) {
        const struct kpi_field_spec *spec = kpi_plan_field(plan, i);

        if (kpi_string_equal(spec->name, (struct kpi_string){name, strlen(name)}))
            return i;
    }
    fail_msg("no field %s", name);
    return 0;
}

/* An event of type purchase, campaign a, channel wechat, score 9, amount 129.90, vip; no size. */
static void event_fill(const struct kpi_plan *plan, struct kpi_event *event,
                       struct kpi_field *fields)
{
    *event = (struct kpi_event){
        .time = DAY_2026_11_01 * KPI_DAY,
        .flags = KPI_EVENT_HAS_USER,
        .type = string_field("purchase"),
        .fields = fields,
    };
    fields[0] = string_field("a");
    fields[field_index(plan, "channel")] = string_field("wechat");
    fields[field_index(plan, "score")] = number_field(9);
    fields[field_index(plan, "amount")] = number_field(129.90);
    fields[field_index(plan, "vip")] = bool_field(true);
}

static void slots_fill(int64_t slots[N_SLOTS])
{
    slots[SLOT_ORDERS] = 3;
    slots[SLOT_SPENT] = 250500000;
    slots[SLOT_FIRST] = (DAY_2026_11_01 - 10) * KPI_DAY;
    slots[SLOT_TOUCH_TIME] = 1;
    slots[SLOT_TOUCH] = 1;
    slots[SLOT_RATING_TIME] = 1;
    slots[SLOT_RATING] = 7500000;
    slots[SLOT_VIP_TIME] = 1;
    slots[SLOT_VIP] = 0;
}

/* The residual of measure m for this type: KPI_NO_INDEX holds always; false: there is no action. */
static bool residual_holds(const struct kpi_plan *plan, const struct kpi_event *event,
                           const int64_t *slots)
{
    const struct kpi_program *program = kpi_plan_program(plan);
    const struct kpi_dispatch *dispatch = kpi_program_dispatch(plan, &event->type);

    for (uint32_t i = 0; i < dispatch->n_actions; ++i) {
        if (program->instances[dispatch->actions[i].instance].aggregate == KPI_AGGREGATE_COUNT)
            return kpi_condition_holds(plan, dispatch->actions[i].condition, event, slots,
                                       dictionary, &f);
    }
    return false;
}

/* Does `where` hold of the event above, changed by `change`? Asked whole and as residual. */
static bool holds(const char *where, const int64_t *slots, void (*change)(struct kpi_event *))
{
    struct kpi_field fields[16];
    struct kpi_plan *plan;
    struct kpi_event event;
    uint32_t condition = KPI_NO_INDEX;
    uint64_t n_calls;
    bool result;

    memset(fields, 0, sizeof(fields));
    f.in.n_measures = 1;
    fixture_measure(&f, "m", "count", where);
    plan = fixture_plan(&f);
    if (!plan)
        fail_msg("does not compile: %s", where);
    event_fill(plan, &event, fields);
    if (change)
        change(&event);
    for (uint32_t i = 0; i < kpi_plan_program(plan)->n_instances; ++i) {
        if (kpi_plan_program(plan)->instances[i].aggregate == KPI_AGGREGATE_COUNT)
            condition = kpi_plan_program(plan)->instances[i].condition;
    }
    n_calls = f.mem.n_calls;
    result = kpi_condition_holds(plan, condition, &event, slots, dictionary, &f);
    if (residual_holds(plan, &event, slots) != result)
        fail_msg("the residual says otherwise: %s", where);
    assert_int_equal(f.mem.n_calls, n_calls);
    kpi_plan_unref(plan);
    return result;
}

struct row {
    const char *where;
    enum expected expected;
};

static void check(const struct row *rows, size_t n_rows, const int64_t *slots,
                  void (*change)(struct kpi_event *))
{
    for (size_t i = 0; i < n_rows; ++i) {
        if (holds(rows[i].where, slots, change) != (rows[i].expected == HOLDS))
            fail_msg("%s: %s", rows[i].expected == HOLDS ? "should hold" : "should fail",
                     rows[i].where);
    }
}

static void of_fields(void **state)
{
    static const struct row rows[] = {
        {"type == 'purchase'", HOLDS},
        {"type != 'purchase'", FAILS},
        {"type == 'signup'", FAILS},
        {"type != 'signup'", HOLDS},
        {"type in ['signup', 'purchase']", HOLDS},
        {"type not in ['signup', 'purchase']", FAILS},
        {"type in active_types", HOLDS},
        {"type not in active_types", FAILS},
        {"campaign == 'a'", HOLDS},
        {"campaign in ['b', 'c']", FAILS},
        {"campaign == channel", FAILS},
        {"campaign != channel", HOLDS},
        {"channel == channel", HOLDS},
        {"type == channel", FAILS},
        {"channel in ['a','b','c','d','e','f','g','h','i','j','k','wechat']", HOLDS},
        {"channel in ['a','b','c','d','e','f','g','h','i','j','k','l']", FAILS},
        {"score == 9", HOLDS},
        {"score == 9.0", HOLDS},
        {"score != 9", FAILS},
        {"score >= 9", HOLDS},
        {"score > 9", FAILS},
        {"score <= 9", HOLDS},
        {"score < 9", FAILS},
        {"9 > score", FAILS},
        {"9 <= score", HOLDS},
        {"score in [7, 8, 9]", HOLDS},
        {"score in [7, 8]", FAILS},
        {"score not in [7, 8]", HOLDS},
        {"score in [9]", HOLDS},
        {"amount == 129.9", HOLDS},
        {"amount > 129.899999", HOLDS},
        {"amount > 129.9", FAILS},
        {"amount * 2 == 259.8", HOLDS},
        {"amount - score == 120.9", HOLDS},
        {"score / 2 == 4.5", HOLDS},
        {"score * score - score == 72", HOLDS},
        {"-score < 0", HOLDS},
        {"-(score - 10) == 1", HOLDS},
        {"10 - score - 1 == 0", HOLDS},
        {"10 - (score - 1) == 2", HOLDS},
        {"score == 18 / 2", HOLDS},
        {"score > 50% of 17", HOLDS},
        {"vip", HOLDS},
        {"not vip", FAILS},
        {"vip == true", HOLDS},
        {"vip == false", FAILS},
        {"vip != false", HOLDS},
        {"true", HOLDS},
        {"false", FAILS},
        {"time > time - 1s", HOLDS},
        {"time == time", HOLDS},
    };

    check(rows, COUNT_OF(rows), NULL, NULL);
}

static void of_logic(void **state)
{
    static const struct row rows[] = {
        {"vip and score > 8", HOLDS},
        {"vip and score > 9", FAILS},
        {"score > 9 or vip", HOLDS},
        {"score > 9 or not vip", FAILS},
        {"not (score > 9)", HOLDS},
        {"not not vip", HOLDS},
        /* and binds stronger than or, not stronger than and */
        {"vip or vip and score > 9", HOLDS},
        {"(vip or vip) and score > 9", FAILS},
        {"not vip and score > 9 or vip", HOLDS},
        {"not vip or vip", HOLDS},
        {"not (vip or vip)", FAILS},
        {"not (vip and score > 9)", HOLDS},
        {"(score > 9 or (vip and (type == 'x' or channel == 'wechat'))) and campaign == 'a'",
         HOLDS},
        {"(score > 9 or (vip and (type == 'x' or channel == 'weibo'))) and campaign == 'a'", FAILS},
        {"type == 'purchase' and (type == 'x' or vip)", HOLDS},
        {"type == 'purchase' and not (type == 'x' or vip)", FAILS},
        {"type == 'x' or not (type == 'purchase' and not vip)", HOLDS},
    };

    check(rows, COUNT_OF(rows), NULL, NULL);
}

static void of_absent_fields(void **state)
{
    static const struct row rows[] = {
        {"size == 0", FAILS},
        {"size != 0", FAILS},
        {"size > 0", FAILS},
        {"size <= 0", FAILS},
        {"not (size == 0)", HOLDS},
        {"not (size != 0)", HOLDS},
        {"size in [1, 2]", FAILS},
        {"size not in [1, 2]", FAILS},
        {"not (size in [1, 2])", HOLDS},
        {"size + 1 > 0", FAILS},
        {"1 + size > 0", FAILS},
        {"score - size < 100", FAILS},
        {"not (score - size < 100)", HOLDS},
        {"size == size", FAILS},
        {"size > 1 or score == 9", HOLDS},
        {"score + 1 > size or score == 9", HOLDS},
        {"place == 'here'", FAILS},
        {"place != 'here'", FAILS},
        {"not (place == 'here')", HOLDS},
        {"place not in ['here', 'there']", FAILS},
        {"place == channel", FAILS},
        {"place != channel", FAILS},
        {"fresh", FAILS},
        {"not fresh", HOLDS},
        {"fresh == false", FAILS},
        {"fresh != true", FAILS},
    };

    check(rows, COUNT_OF(rows), NULL, NULL);
}

static void of_numbers_that_leave_their_range(void **state)
{
    static const struct row rows[] = {
        {"score / (score - 9) > 0", FAILS},
        {"not (score / (score - 9) > 0)", HOLDS},
        {"score * 1000000000000 * 1000000 > 0", FAILS},
        {"not (score * 1000000000000 * 1000000 < 0)", HOLDS},
        {"score * 0.000001 == 0.000009", HOLDS},
        {"score / 1000000 / 10 == 0", HOLDS}, /* cut towards zero at 10^-6 */
        {"-score / 1000000 / 10 == 0", HOLDS},
    };

    check(rows, COUNT_OF(rows), NULL, NULL);
}

static void of_attributes(void **state)
{
    static const struct row rows[] = {
        {"orders == 3", HOLDS},
        {"orders >= 4", FAILS},
        {"orders * 2 == 6", HOLDS},
        {"orders in [1, 3]", HOLDS},
        {"spent == 250.5", HOLDS},
        {"spent / orders == 83.5", HOLDS},
        {"time - first == 10d", HOLDS},
        {"time - first < 1w", FAILS},
        {"time - first >= 240h", HOLDS},
        {"first + 10d == time", HOLDS},
        {"first < time", HOLDS},
        {"(time - first) / 2 == 5d", HOLDS},
        {"(time - first) / 1d == 10", HOLDS},
        {"2 * 5d == time - first", HOLDS},
        {"touch == 'wechat'", HOLDS},
        {"touch != 'wechat'", FAILS},
        {"touch in ['weibo', 'douyin']", FAILS},
        {"touch == channel", HOLDS},
        {"touch == campaign", FAILS},
        {"rating == 7.5", HOLDS},
        {"rating < score", HOLDS},
        {"was_vip", FAILS},
        {"not was_vip", HOLDS},
        {"was_vip == false", HOLDS},
    };
    int64_t slots[N_SLOTS];

    slots_fill(slots);
    check(rows, COUNT_OF(rows), slots, NULL);
}

/* A user without row, and one whose row is empty, are the same. */
static void of_absent_attributes(void **state)
{
    static const struct row rows[] = {
        {"orders == 0", HOLDS},
        {"orders > 0", FAILS},
        {"orders < 1 and spent == 0", HOLDS},
        {"first < time", FAILS},
        {"not (first < time)", HOLDS},
        {"time - first > 0s", FAILS},
        {"touch == 'wechat'", FAILS},
        {"touch != 'wechat'", FAILS},
        {"not (touch == 'wechat')", HOLDS},
        {"rating >= 0", FAILS},
        {"was_vip == false", FAILS},
        {"not was_vip", HOLDS},
    };
    int64_t slots[N_SLOTS];

    for (int i = 0; i < N_SLOTS; ++i)
        slots[i] = KPI_TIME_NONE;
    check(rows, COUNT_OF(rows), NULL, NULL);
    check(rows, COUNT_OF(rows), slots, NULL);
}

static void forget_user(struct kpi_event *event)
{
    event->flags &= ~(uint32_t)KPI_EVENT_HAS_USER;
}

static void of_nobody(void **state)
{
    static const struct row rows[] = {
        {"orders == 0", FAILS},
        {"not (orders == 0)", HOLDS},
        {"spent < 1", FAILS},
        {"score == 9", HOLDS},
    };

    check(rows, COUNT_OF(rows), NULL, forget_user);
}

static void be_another_type(struct kpi_event *event)
{
    event->type = string_field("unheard_of");
}

static void of_types_that_no_definition_names(void **state)
{
    static const struct row rows[] = {
        {"type == 'purchase'", FAILS},
        {"type != 'purchase'", HOLDS},
        {"type in active_types", FAILS},
        {"type not in active_types and vip", HOLDS},
        {"not (type == 'purchase' and vip)", HOLDS},
        {"type == 'purchase' or vip", HOLDS},
        {"type == channel", FAILS},
        {"type != channel", HOLDS},
        {"", HOLDS},
    };

    check(rows, COUNT_OF(rows), NULL, be_another_type);
}

/* Zone 0 is Berlin with the days on which clocks are set. */
static void be_in_berlin(void)
{
    static const struct kpi_clock_change changes[] = {
        {DAY_2026_03_29 * KPI_DAY + KPI_HOUR, KPI_HOUR},
        {DAY_2026_10_25 * KPI_DAY + KPI_HOUR, -KPI_HOUR},
    };

    f.zones[0] = f.zones[1];
    f.zones[0].changes = changes;
    f.zones[0].n_changes = COUNT_OF(changes);
}

static void be_at_half_past_two_again(struct kpi_event *event)
{
    event->time = DAY_2026_10_25 * KPI_DAY + KPI_HOUR + KPI_HOUR / 2; /* 01:30 UTC, a Sunday */
}

static void be_as_the_hour_is_left_out(struct kpi_event *event)
{
    event->time = DAY_2026_03_29 * KPI_DAY + KPI_HOUR;
}

static void be_a_microsecond_before(struct kpi_event *event)
{
    event->time = DAY_2026_03_29 * KPI_DAY + KPI_HOUR - 1;
}

static void be_of_the_last_evening(struct kpi_event *event)
{
    event->time = (DAY_2026_11_01 + 30) * KPI_DAY - KPI_HOUR - 1; /* before midnight, a Monday */
}

static void be_beyond_the_table(struct kpi_event *event)
{
    event->time = (DAY_2026_01_01 + CALENDAR_DAYS) * KPI_DAY;
}

static void of_clocks(void **state)
{
    static const struct row of_autumn[] = {
        {"hour(time) == 2", HOLDS},
        {"2 == hour(time)", HOLDS},
        {"hour(time) in [0, 1, 2]", HOLDS},
        {"hour(time) not in [1, 3]", HOLDS},
        {"hour(time) in [2]", HOLDS},
        {"hour(time) >= 3", FAILS},
        {"weekday(time) == 7", HOLDS},
        {"weekday(time) in [6, 7] and hour(time) < 6", HOLDS},
        {"weekday(time) in [1, 2, 3, 4, 5]", FAILS},
        {"monthday(time) == 25", HOLDS},
        {"monthday(time) >= 15 and monthday(time) <= 20", FAILS},
        {"score == hour(time) + weekday(time)", HOLDS},
        {"not (hour(time) > 2)", HOLDS},
    };
    static const struct row of_spring[] = {{"hour(time) == 3", HOLDS}, {"hour(time) == 2", FAILS}};
    static const struct row before[] = {{"hour(time) == 1", HOLDS},
                                        {"monthday(time) == 29", HOLDS}};
    static const struct row of_evening[] = {{"hour(time) == 23", HOLDS},
                                            {"weekday(time) == 1", HOLDS},
                                            {"monthday(time) == 30", HOLDS}};
    static const struct row of_never[] = {{"hour(time) >= 0", FAILS},
                                          {"monthday(time) != 1", FAILS},
                                          {"not (weekday(time) < 8)", HOLDS}};

    be_in_berlin();
    check(of_autumn, COUNT_OF(of_autumn), NULL, be_at_half_past_two_again);
    check(of_spring, COUNT_OF(of_spring), NULL, be_as_the_hour_is_left_out);
    check(before, COUNT_OF(before), NULL, be_a_microsecond_before);
    check(of_evening, COUNT_OF(of_evening), NULL, be_of_the_last_evening);
    check(of_never, COUNT_OF(of_never), NULL, be_beyond_the_table);
}

static void no_condition_always_holds(void **state)
{
    struct kpi_plan *plan;
    struct kpi_event event = {.type = string_field("x")};

    f.in.n_kpis = 1;
    plan = fixture_plan(&f);
    assert_true(kpi_condition_holds(plan, KPI_NO_INDEX, &event, NULL, NULL, NULL));
    kpi_plan_unref(plan);
}

/* The widest chain and the deepest nesting that a text can hold. */
static void at_the_bounds(void **state)
{
    char wide[KPI_EXPRESSION_BYTES_MAX + 1], deep[256];
    size_t length = 0;

    length += (size_t)snprintf(wide, sizeof(wide), "score");
    while (length + 16 < sizeof(wide))
        length += (size_t)snprintf(wide + length, sizeof(wide) - length, "+1-1");
    snprintf(wide + length, sizeof(wide) - length, "==9");
    assert_true(holds(wide, NULL, NULL));

    length = 0;
    for (int i = 0; i < KPI_EXPRESSION_DEPTH_MAX; ++i)
        length += (size_t)snprintf(deep + length, sizeof(deep) - length, "1+1*(");
    length += (size_t)snprintf(deep + length, sizeof(deep) - length, "score");
    for (int i = 0; i < KPI_EXPRESSION_DEPTH_MAX; ++i)
        deep[length++] = ')';
    snprintf(deep + length, sizeof(deep) - length, " == 41");
    assert_true(holds(deep, NULL, NULL));
    snprintf(deep + length, sizeof(deep) - length, " == 40");
    assert_false(holds(deep, NULL, NULL));
}

/* However it is written: an event answers it once for all of them. */
static void measures_share_the_same_one(void **state)
{
    static const char *const same[] = {
        "channel == 'x' and score > 5",
        "score > 5 and channel == \"x\"",
        "(channel in ['x']) and (5 < score)",
    };
    struct kpi_plan *plan;
    uint32_t conditions[16], n = 0;

    fixture_init(&f);
    fixture_measure(&f, "a", "count", same[0]);
    fixture_measure(&f, "b", "users", same[1]);
    fixture_measure(&f, "c", "sum(amount)", same[2]);
    fixture_measure(&f, "d", "users(2)", "channel == 'x' and score > 6");
    fixture_kpi(&f, "k", "a + b + c + d", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_true(plan->program.n_instances >= 4);
    for (uint32_t i = 0; i < plan->program.n_instances && n < COUNT_OF(conditions); ++i) {
        uint32_t condition = plan->program.instances[i].condition, j = 0;

        while (j < n && conditions[j] != condition)
            ++j;
        if (j == n)
            conditions[n++] = condition;
    }
    assert_int_equal(n, 2);
    kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_share_the_same_one),
        cmocka_unit_test_setup(of_fields, setup),
        cmocka_unit_test_setup(of_clocks, setup),
        cmocka_unit_test_setup(of_logic, setup),
        cmocka_unit_test_setup(of_absent_fields, setup),
        cmocka_unit_test_setup(of_numbers_that_leave_their_range, setup),
        cmocka_unit_test_setup(of_attributes, setup),
        cmocka_unit_test_setup(of_absent_attributes, setup),
        cmocka_unit_test_setup(of_nobody, setup),
        cmocka_unit_test_setup(of_types_that_no_definition_names, setup),
        cmocka_unit_test_setup(no_condition_always_holds, setup),
        cmocka_unit_test_setup(at_the_bounds, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
