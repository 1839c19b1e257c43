/*
 * Claims about attributes of users that come and go: within, reset in the plan's default zone, the
 * first and the least, age(); each event reads the row as it stood before it.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/engine.h>

#define AT(day, hour) ((kpi_time)(DAY_2026_11_01 - 1 + (day)) * KPI_DAY + (hour)*KPI_HOUR)

static struct fixture f;
static struct kpi_plan *plan;
static struct kpi_engine *engine;
static struct kpi_batch *batch;
static uint64_t n_ids;

/* A plan with one attribute and one measure that counts events whose condition on it holds. */
static void make(const char *aggregate, enum kpi_reset reset, kpi_duration within,
                 const char *condition)
{
    fixture_init(&f);
    fixture_attribute(&f, "x", aggregate, "type == 'set'");
    f.attributes[0].reset = reset;
    f.attributes[0].within = within;
    fixture_measure(&f, "asked", "count", condition);
    fixture_kpi(&f, "k", "asked", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    f.campaigns[0].start_day = DAY_2026_01_01;
    f.campaigns[0].end_day = DAY_2026_01_01 + 700;
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    n_ids = 0;
}

static void end(void)
{
    batch = kpi_batch_free(batch);
    engine = kpi_engine_free(engine);
    plan = kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

static void string_set(struct kpi_field *field, const char *string)
{
    *field = (struct kpi_field){.string = string,
                                .length = (uint32_t)strlen(string),
                                .kind = KPI_FIELD_STRING,
                                .hash = XXH3_64bits(string, strlen(string))};
}

/* An event of user 1; `amount` and `channel` go where the plan wants them. */
static void apply(const char *type, kpi_time time, kpi_decimal amount, const char *channel)
{
    struct kpi_event *event = &batch->events[0];

    event->time = event->record_time = time;
    event->user = 1;
    event->id = ++n_ids;
    event->flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID;
    string_set(&event->type, type);
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); ++i) {
        struct kpi_string name = kpi_plan_field(plan, i)->name;

        event->fields[i] = (struct kpi_field){.kind = KPI_FIELD_ABSENT};
        if (kpi_string_equal(name, KPI_STRING("campaign")))
            string_set(&event->fields[i], "a");
        if (kpi_string_equal(name, KPI_STRING("amount")) && amount != KPI_TIME_NONE)
            event->fields[i] = (struct kpi_field){.kind = KPI_FIELD_NUMBER, .number = amount};
        if (kpi_string_equal(name, KPI_STRING("channel")) && channel)
            string_set(&event->fields[i], channel);
    }
    batch->n_events = 1;
    assert_int_equal(kpi_engine_apply(engine, batch), 0);
    assert_int_equal(event->outcome, KPI_OUTCOME_APPLIED);
}

static void set(kpi_time time, kpi_decimal amount, const char *channel)
{
    apply("set", time, amount * KPI_DECIMAL_ONE, channel);
}

static int64_t n_asked(void)
{
    struct kpi_layout *layout;
    struct kpi_row *rows;
    int64_t n;

    assert_int_equal(kpi_layout_new(&layout, plan, AT(1, 0), &f.mem.mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    n = rows[0].value; /* of the campaign */
    free(rows);
    (void)kpi_layout_unref(layout);
    return n;
}

/* Does an event of this moment meet the condition? It changes no attribute. */
static bool holds(kpi_time time)
{
    int64_t before = n_asked();

    apply("ask", time, KPI_TIME_NONE, NULL);
    return n_asked() > before;
}

/* Spend belongs to nobody: it counts, whatever attributes there are. */
static void an_event_without_user_sets_nothing(void **state)
{
    struct kpi_event *event;

    make("min(time)", KPI_RESET_NEVER, 0, "type == 'set'");
    event = &batch->events[0];
    set(AT(1, 0), 0, NULL);
    assert_int_equal(n_asked(), 1);
    event->flags = KPI_EVENT_HAS_ID;
    event->id = ++n_ids;
    batch->n_events = 1;
    assert_int_equal(kpi_engine_apply(engine, batch), 0);
    assert_int_equal(event->outcome, KPI_OUTCOME_APPLIED);
    assert_int_equal(n_asked(), 2);
    end();
}

static void within_a_time_of_the_last(void **state)
{
    make("last(channel)", KPI_RESET_NEVER, 7 * KPI_DAY, "type == 'ask' and x == 'wechat'");
    set(AT(1, 0), 0, "wechat");
    assert_true(holds(AT(8, 0)));
    assert_false(holds(AT(8, 0) + 1));
    set(AT(9, 0), 0, "douyin");
    assert_false(holds(AT(9, 1)));
    set(AT(9, 2), 0, "wechat");
    assert_true(holds(AT(9, 3)));
    set(AT(9, 1), 0, "douyin"); /* late: an earlier touch */
    assert_true(holds(AT(9, 4)));
    end();
}

static void a_first_that_is_outlived_gives_way(void **state)
{
    make("first(channel)", KPI_RESET_NEVER, 7 * KPI_DAY, "type == 'ask' and x == 'wechat'");
    set(AT(1, 0), 0, "wechat");
    set(AT(2, 0), 0, "douyin");
    assert_true(holds(AT(3, 0)));
    set(AT(9, 0), 0, "douyin"); /* the first of the next seven days */
    assert_false(holds(AT(9, 1)));
    set(AT(10, 0), 0, "wechat");
    assert_false(holds(AT(10, 1)));
    end();
}

static void the_first_by_its_own_time(void **state)
{
    make("first(channel)", KPI_RESET_NEVER, 0, "type == 'ask' and x == 'wechat'");
    set(AT(2, 0), 0, "douyin");
    assert_false(holds(AT(2, 1)));
    set(AT(1, 0), 0, "wechat"); /* arrives later, happened before */
    assert_true(holds(AT(2, 2)));
    set(AT(1, 0), 0, "douyin"); /* at one time the lesser name, in any order */
    assert_false(holds(AT(2, 3)));
    end();
}

static void least_and_greatest(void **state)
{
    make("min(amount)", KPI_RESET_NEVER, 0, "type == 'ask' and x < 5");
    assert_false(holds(AT(1, 0)));
    set(AT(1, 0), 7, NULL);
    assert_false(holds(AT(1, 1)));
    set(AT(1, 2), 4, NULL);
    set(AT(1, 3), 9, NULL);
    assert_true(holds(AT(1, 4)));
    end();
    make("max(amount)", KPI_RESET_NEVER, 2 * KPI_DAY, "type == 'ask' and x >= 9");
    set(AT(1, 0), 9, NULL);
    set(AT(2, 0), 3, NULL);
    assert_true(holds(AT(3, 0)));
    assert_false(holds(AT(3, 1)));
    set(AT(3, 2), 10, NULL);
    set(AT(4, 2), 10, NULL); /* as great, and younger */
    assert_true(holds(AT(6, 2)));
    end();
}

/* Zone 0 is UTC: November begins at DAY_2026_11_01. */
static void sums_that_begin_with_the_month(void **state)
{
    make("sum(amount)", KPI_RESET_MONTH, 0, "type == 'ask' and x >= 500");
    set(AT(0, 23), 400, NULL);
    set(AT(1, 0), 300, NULL);
    assert_false(holds(AT(1, 1)));
    set(AT(30, 23), 200, NULL);
    assert_true(holds(AT(30, 23)));
    set(AT(0, 1), 1000, NULL); /* late: its month is over */
    assert_true(holds(AT(30, 23)));
    assert_false(holds(AT(31, 0)));
    set(AT(31, 1), 100, NULL);
    assert_false(holds(AT(31, 2)));
    end();
}

static void counts_by_day_week_and_year(void **state)
{
    static const struct {
        enum kpi_reset reset;
        kpi_time set, same, other;
    } table[] = {
        {KPI_RESET_DAY, AT(3, 0), AT(3, 23), AT(4, 0)},
        {KPI_RESET_WEEK, AT(2, 0), AT(8, 23), AT(9, 0)},   /* 2 November 2026 is a Monday */
        {KPI_RESET_YEAR, AT(2, 0), AT(61, 23), AT(62, 0)}, /* 31 December, 1 January */
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        make("count", table[i].reset, 0, "type == 'ask' and x == 1");
        set(table[i].set, 0, NULL);
        assert_true(holds(table[i].same));
        assert_false(holds(table[i].other));
        end();
    }
    make("count", KPI_RESET_DAY, 0, "type == 'ask' and x == 0");
    assert_true(holds(AT(1, 0))); /* nothing counted is 0 */
    set(AT(1, 1), 0, NULL);
    assert_false(holds(AT(1, 2)));
    assert_true(holds(AT(2, 0))); /* and so is a day that is over */
    end();
}

static void ages(void **state)
{
    make("last(channel)", KPI_RESET_NEVER, 0, "type == 'ask' and age(x) > 90d");
    assert_false(holds(AT(1, 0))); /* nothing has no age */
    set(AT(1, 0), 0, "wechat");
    assert_false(holds(AT(91, 0)));
    assert_true(holds(AT(91, 0) + 1));
    end();
    make("max(time)", KPI_RESET_NEVER, 0, "type == 'ask' and age(x) <= 1h");
    set(AT(1, 0), 0, NULL);
    assert_true(holds(AT(1, 1)));
    assert_false(holds(AT(1, 2)));
    end();
}

static void sums_have_no_within(void **state)
{
    struct kpi_plan *none = NULL;

    fixture_init(&f);
    fixture_attribute(&f, "x", "count", "");
    f.attributes[0].within = KPI_DAY;
    assert_int_equal(fixture_compile(&f, &none), KPI_PLAN_E_INVALID);
    assert_non_null(strstr(f.recorder.messages[0].text, "have no \"within\""));
}

/* Attributes begin anew and sessions are cut by the days of the plan's zone, which is there before
 * any campaign. */
static void without_campaigns(void **state)
{
    fixture_init(&f);
    fixture_attribute(&f, "x", "sum(amount)", "type == 'set'");
    f.attributes[0].reset = KPI_RESET_MONTH;
    fixture_measure(&f, "asked", "count", "type == 'ask' and x > 0");
    fixture_kpi(&f, "k", "asked", KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    set(AT(1, 0), 500, NULL);
    set(AT(40, 0), 500, NULL);
    end();
}

/* More values than a set keeps, in two orders; the state is the same, also where times are equal.
 */
static void what_a_set_keeps_does_not_depend_on_the_order(void **state)
{
    static const struct {
        int hour;
        const char *channel;
    } touches[] = {{1, "d"}, {1, "b"}, {1, "cc"}, {1, "c"}, {2, "e"}, {0, "e"}, {2, "b"}, {1, "e"}};
    uint64_t seed = 5;
    uint8_t digests[2][16];

    for (unsigned round = 0; round < 300; ++round) {
        unsigned order[COUNT_OF(touches)];

        for (unsigned i = 0; i < COUNT_OF(touches); ++i) {
            unsigned k = round ? (unsigned)(next_random(&seed) % (i + 1)) : i;

            order[i] = order[k];
            order[k] = i;
        }
        make("set(channel, 3)", KPI_RESET_NEVER, 0, "");
        for (unsigned i = 0; i < COUNT_OF(touches); ++i) {
            n_ids = order[i];
            set(AT(1, touches[order[i]].hour), 0, touches[order[i]].channel);
        }
        assert_int_equal(kpi_engine_digest(engine, digests[round > 0]), 0);
        assert_memory_equal(digests[0], digests[round > 0], sizeof(digests[0]));
        end();
    }
}

/* What is kept across a plan's change is what means the same. */
static void another_reset_is_another_attribute(void **state)
{
    struct kpi_plan *other;

    make("sum(amount)", KPI_RESET_MONTH, 0, "type == 'ask' and x >= 500");
    set(AT(1, 0), 500, NULL);
    other = fixture_plan(&f);
    assert_int_equal(kpi_engine_replan(engine, other), 0);
    assert_true(holds(AT(1, 1)));
    (void)kpi_plan_unref(other);
    f.attributes[0].reset = KPI_RESET_YEAR;
    other = fixture_plan(&f);
    assert_int_equal(kpi_engine_replan(engine, other), 0);
    (void)kpi_plan_unref(other);
    apply("ask", AT(1, 2), KPI_TIME_NONE, NULL);
    (void)kpi_plan_unref(plan);
    plan = kpi_plan_ref(other = fixture_plan(&f));
    (void)kpi_plan_unref(other);
    assert_int_equal(kpi_engine_replan(engine, plan), 0);
    assert_int_equal(n_asked(), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_without_user_sets_nothing),
        cmocka_unit_test(within_a_time_of_the_last),
        cmocka_unit_test(a_first_that_is_outlived_gives_way),
        cmocka_unit_test(the_first_by_its_own_time),
        cmocka_unit_test(least_and_greatest),
        cmocka_unit_test(sums_that_begin_with_the_month),
        cmocka_unit_test(counts_by_day_week_and_year),
        cmocka_unit_test(ages),
        cmocka_unit_test(sums_have_no_within),
        cmocka_unit_test(without_campaigns),
        cmocka_unit_test(what_a_set_keeps_does_not_depend_on_the_order),
        cmocka_unit_test(another_reset_is_another_attribute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
