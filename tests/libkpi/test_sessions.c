/*
 * Claims about sessions: whatever is loaded anew, under a plan that means the same, or in whichever
 * order within a gap, the state is the same (the numbers themselves are checked against the sorted
 * stream in tests/process/test_sessions.py); another meaning begins anew and says so; events of
 * users whose sessions are known allocate nothing; no failure of memory and no bytes break it; and
 * definitions say what they mean.
 */
#include "object_store.h"
#include "spec_fixture.h"

#include <engine/state.h>
#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    USERS = 20,
    EVENTS = 1500,
};

#define START  ((kpi_time)DAY_2026_11_01 * KPI_DAY + 17 * KPI_HOUR)
#define VISITS "type == \"kpid.session.visit\""

static struct fixture f;
static struct object_store store;

/* What differs between plans. */
struct options {
    kpi_duration gap, max;
    enum kpi_midnight midnight;
    bool other_first; /* another attribute before it */
};

static const struct options usual = {.gap = 30 * KPI_MINUTE};

static struct kpi_plan *plan_of(const struct options *options)
{
    static struct kpi_session_definition session;
    static struct kpi_text fields[1];
    struct counting_mem counting = f.mem;
    struct kpi_plan *plan;

    fixture_init(&f);
    if (counting.mem.resize)
        f.mem = counting; /* what is still alive was counted there */
    fields[0] = TEXT("channel");
    session =
        (struct kpi_session_definition){options->gap, options->max, options->midnight, fields, 1};
    if (options->other_first)
        fixture_attribute(&f, "looks", "count", "type == \"look\"");
    fixture_attribute(&f, "visit", "", "type == \"look\"");
    f.attributes[f.in.n_attributes - 1].session = &session;
    fixture_attribute(&f, "times", "count", VISITS);
    fixture_measure(&f, "visits", "count", VISITS);
    fixture_measure(&f, "lengths", "quantiles(session.seconds)", VISITS);
    fixture_measure(&f, "again", "users", VISITS " and times >= 1");
    fixture_measure(&f, "often", "users", "type == \"end\" and looks > 3");
    f.in.n_measures -= !options->other_first;
    fixture_dimension(&f, "channel", "channel", 10);
    fixture_breakdown(&f, "channel");
    fixture_kpi(&f, "visits", "visits", KPI_UNIT_COUNT);
    fixture_kpi(&f, "length", "median(lengths)", KPI_UNIT_DURATION);
    fixture_kpi(&f, "again", "again", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "c", 0);
    f.in.dedupe_window = 0; /* ids are forgotten in the order of arrival */
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

static struct kpi_engine *engine_of(struct kpi_plan *plan)
{
    struct kpi_engine *engine;

    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    return engine;
}

struct look {
    kpi_time time, record;
    uint64_t user, id;
    const char *type, *channel;
};

/* By time; no user has two at once. */
static void looks_make(struct look looks[EVENTS], uint64_t seed)
{
    static const char *const channels[] = {"sms", "wechat", "mail"};
    kpi_time time = START;

    for (unsigned i = 0; i < EVENTS; i++) {
        uint64_t n = next_random(&seed);

        time += 1 + (kpi_time)(n % (5 * KPI_MINUTE));
        looks[i] = (struct look){time,
                                 time,
                                 (n >> 40 & 15) + 1,
                                 i + 1,
                                 n >> 50 & 7 ? "look" : "end",
                                 channels[n >> 30 & 1]};
    }
}

/* Returns 0 or -ENOMEM. */
static int apply(struct kpi_engine *engine, const struct look *looks, unsigned n)
{
    struct kpi_batch *batch;
    int r;

    r = kpi_batch_new(&batch, engine->plan, &f.mem.mem);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < n && r == 0; i += batch->n_events) {
        batch->n_events = n - i < KPI_BATCH_MAX ? n - i : KPI_BATCH_MAX;
        for (unsigned k = 0; k < batch->n_events; k++) {
            struct kpi_event *event = &batch->events[k];
            const struct look *look = &looks[i + k];

            *event = (struct kpi_event){look->time,
                                        look->record,
                                        look->user,
                                        look->id,
                                        0,
                                        KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                        string_field(look->type),
                                        event->fields};
            for (uint32_t field = 0; field < kpi_plan_n_fields(engine->plan); field++) {
                struct kpi_string name = kpi_plan_field(engine->plan, field)->name;

                event->fields[field] =
                    field == 0 ? string_field("c")
                    : kpi_string_equal(name, KPI_STRING("channel")) && look->channel
                        ? string_field(look->channel)
                        : (struct kpi_field){.kind = KPI_FIELD_ABSENT};
            }
        }
        r = kpi_engine_apply(engine, batch);
    }
    kpi_batch_free(batch);
    return r;
}

/* Events that the cells of counts hold, with and without breakdown. */
static uint64_t counted(const struct kpi_engine *engine, bool broken_down)
{
    uint64_t n = 0;

    for (uint32_t p = 0; p < engine->n_packs; p++)
        for (const struct kpi_cell *cell = engine->packs[p]->first; cell; cell = cell->pack_next) {
            const struct kpi_instance *instance = &engine->program->instances[cell->instance];

            if (instance->aggregate == KPI_AGGREGATE_COUNT &&
                broken_down == (instance->dimensions >= KPI_DIMENSIONS_SETS))
                n += cell->n_events;
        }
    return n;
}

static void assert_same(const struct kpi_engine *a, const struct kpi_engine *b)
{
    uint8_t digest_a[16], digest_b[16];

    assert_int_equal(kpi_engine_digest(a, digest_a), 0);
    assert_int_equal(kpi_engine_digest(b, digest_b), 0);
    assert_int_equal(counted(a, false), counted(b, false));
    assert_memory_equal(digest_a, digest_b, 16);
}

static void end(struct kpi_engine *engine, struct kpi_plan *plan)
{
    kpi_engine_free(engine);
    (void)kpi_plan_unref(plan);
    object_store_clear(&store);
}

static struct look looks[EVENTS], shuffled[EVENTS];

static void restarts_change_nothing(void **state)
{
    struct kpi_plan *plan = plan_of(&usual);
    struct kpi_engine *whole = engine_of(plan), *engine = engine_of(plan);

    looks_make(looks, 1);
    for (unsigned i = 0; i < EVENTS; i += 50) {
        assert_int_equal(apply(whole, looks + i, 50), 0);
        assert_int_equal(apply(engine, looks + i, 50), 0);
        object_store_begin(&store);
        assert_int_equal(kpi_engine_save(engine, i == 0, object_store_put, &store), 0);
        if (i / 50 % 3)
            continue;
        kpi_engine_free(engine);
        engine = engine_of(plan);
        assert_int_equal(object_store_load(&store, engine, i), 0);
        assert_same(engine, whole);
    }
    assert_same(engine, whole);
    assert_true(counted(whole, false) > 100);
    assert_true(whole->sessions.n > 3); /* some are open */
    kpi_engine_free(whole);
    end(engine, plan);
    assert_int_equal(f.mem.bytes, 0);
}

static void order_within_a_gap_does_not_matter(void **state)
{
    for (unsigned midnight = 0; midnight < 3; midnight++) {
        struct kpi_plan *plan =
            plan_of(&(struct options){.gap = 30 * KPI_MINUTE, .midnight = midnight});
        struct kpi_engine *sorted = engine_of(plan), *engine = engine_of(plan);
        uint64_t seed = 2;

        looks_make(looks, 3);
        assert_int_equal(apply(sorted, looks, EVENTS), 0);
        /* Each goes up to half a gap and less than that ahead of its place. */
        memcpy(shuffled, looks, sizeof(looks));
        for (unsigned i = EVENTS; i-- > 1;) {
            unsigned k = i - (unsigned)(next_random(&seed) % 4) % (i + 1);
            struct look look = shuffled[i];

            if (shuffled[i].time - shuffled[k].time > 12 * KPI_MINUTE ||
                shuffled[k].time - shuffled[i].time > 12 * KPI_MINUTE)
                continue;
            shuffled[i] = shuffled[k];
            shuffled[k] = look;
        }
        assert_memory_not_equal(shuffled, looks, sizeof(looks));
        assert_int_equal(apply(engine, shuffled, EVENTS), 0);
        assert_same(engine, sorted);
        assert_true(counted(engine, false) > 100);
        kpi_engine_free(sorted);
        end(engine, plan);
    }
}

/* Its campaign and fields are those of the first event; of several at once, of any but one. */
static void events_at_once_have_no_order(void **state)
{
    static const struct look first[] = {
        {START, START, 1, 1, "look", "wechat"},
        {START, START, 1, 2, "look", "sms"},
        {START, START, 1, 3, "look", NULL},
    };
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct kpi_plan *plan = plan_of(&usual);
    struct kpi_engine *engines[6];

    for (unsigned i = 0; i < 6; i++) {
        struct look events[] = {first[orders[i][0]],
                                first[orders[i][1]],
                                first[orders[i][2]],
                                {START + KPI_DAY, START + KPI_DAY, 2, 4, "end", NULL}};
        struct kpi_session_open open;

        engines[i] = engine_of(plan);
        assert_int_equal(apply(engines[i], events, 3), 0);
        assert_true(kpi_session_get(engines[i]->program->attributes[0].session,
                                    kpi_slots_row(&engines[i]->slots, 0) +
                                        engines[i]->program->attributes[0].slot,
                                    0, &open));
        assert_int_equal(open.n_events, 3);
        assert_int_equal(counted(engines[i], false), 0);
        assert_int_equal(apply(engines[i], events + 3, 1), 0);
        assert_int_equal(counted(engines[i], false), 1);
        assert_int_equal(counted(engines[i], true), 1);
        assert_same(engines[i], engines[0]);
    }
    for (unsigned i = 1; i < 6; i++)
        kpi_engine_free(engines[i]);
    end(engines[0], plan);
}

static void the_same_meaning_keeps_state(void **state)
{
    struct kpi_plan *plan = plan_of(&usual), *after;
    struct kpi_engine *whole = engine_of(plan), *engine = engine_of(plan);
    struct options moved = usual;

    looks_make(looks, 4);
    assert_int_equal(apply(whole, looks, EVENTS), 0);
    assert_int_equal(apply(engine, looks, 700), 0);
    (void)kpi_plan_unref(plan);
    moved.other_first = true; /* rows are laid out otherwise */
    after = plan_of(&moved);
    assert_int_equal(kpi_engine_replan(engine, after), 0);
    (void)kpi_plan_unref(after);
    assert_int_equal(apply(engine, looks + 700, EVENTS - 700), 0);
    after = plan_of(&usual);
    assert_int_equal(kpi_engine_replan(engine, after), 0);
    assert_same(engine, whole);
    kpi_engine_free(whole);
    end(engine, after);
    assert_int_equal(f.mem.bytes, 0);
}

/* From when a count of sessions counts, of those by campaign. */
static kpi_time counts_from(struct kpi_engine *engine, kpi_time as_of)
{
    struct kpi_layout *layout;
    struct kpi_row *rows;
    struct kpi_value value;

    assert_int_equal(kpi_layout_new(&layout, engine->plan, as_of, &f.mem.mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    kpi_report_value(layout, rows, 0, 0, as_of, &value);
    free(rows);
    (void)kpi_layout_unref(layout);
    return value.counts_from;
}

static void another_meaning_begins_anew(void **state)
{
    static const struct options others[] = {
        {.gap = 20 * KPI_MINUTE},
        {.gap = 30 * KPI_MINUTE, .max = KPI_HOUR},
        {.gap = 30 * KPI_MINUTE, .midnight = KPI_MIDNIGHT_CUT},
        {.gap = 30 * KPI_MINUTE, .midnight = KPI_MIDNIGHT_COUNT_BOTH},
    };

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct kpi_plan *plan = plan_of(&usual), *after;
        struct kpi_engine *engine = engine_of(plan);
        kpi_time begins;

        looks_make(looks, 5);
        assert_int_equal(apply(engine, looks, EVENTS), 0);
        assert_int_equal(counts_from(engine, looks[EVENTS - 1].time), KPI_TIME_NONE);
        (void)kpi_plan_unref(plan);
        after = plan_of(&others[i]);
        assert_int_equal(kpi_engine_replan(engine, after), 0);
        assert_int_equal(counted(engine, false), 0);
        assert_int_equal(engine->sessions.n, 0);
        /* What went on just then is not whole. */
        begins = looks[EVENTS - 1].time + 1 + others[i].gap;
        assert_int_equal(counts_from(engine, begins + KPI_HOUR), begins);
        end(engine, after);
    }
}

static void an_event_allocates_nothing(void **state)
{
    struct kpi_plan *plan = plan_of(&usual);
    struct kpi_engine *engine = engine_of(plan);
    struct kpi_batch *batch;
    uint64_t n_calls = 0, n_before = 0;

    looks_make(looks, 6);
    assert_int_equal(apply(engine, looks, EVENTS), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    for (unsigned i = 0; i < EVENTS; i++) {
        struct kpi_event *event = &batch->events[0];

        /* The same users once more, later on the same day as the last; its sketch has to grow. */
        if (i == EVENTS / 2) {
            n_calls = f.mem.n_calls;
            n_before = counted(engine, false);
        }
        batch->n_events = 1;
        *event = (struct kpi_event){.time = looks[EVENTS - 1].time + i * KPI_SECOND,
                                    .user = looks[i].user,
                                    .id = EVENTS + i + 1,
                                    .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                    .type = string_field(looks[i].type),
                                    .fields = event->fields};
        event->record_time = event->time;
        event->fields[0] = string_field("c");
        assert_int_equal(kpi_engine_apply(engine, batch), 0);
    }
    assert_int_equal(f.mem.n_calls, n_calls);
    assert_true(counted(engine, false) > n_before);
    kpi_batch_free(batch);
    end(engine, plan);
}

static void memory_may_fail_at_any_call(void **state)
{
    struct kpi_plan *plan = plan_of(&usual);
    unsigned n_failed = 0;
    bool done = false;

    looks_make(looks, 7);
    for (uint64_t at = 1; !done; at++) {
        struct kpi_engine *engine = NULL;
        int r;

        f.mem.n_calls = 0;
        f.mem.fail_at = at;
        r = kpi_engine_new(&engine, plan, &f.mem.mem);
        if (r == 0)
            r = apply(engine, looks, 300);
        done = r == 0;
        n_failed += !done;
        assert_true(r == 0 || r == -ENOMEM);
        f.mem.fail_at = 0;
        kpi_engine_free(engine);
    }
    assert_true(n_failed > 30);
    (void)kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

/* A row's numbers for the session of user 0, as saved. */
static int64_t *saved_session(struct kpi_engine *engine)
{
    struct stored *rows = object_store_find(&store, KPI_STRING("r.0"));

    assert_non_null(rows);
    return (int64_t *)((char *)rows->data + KPI_OBJECT_HEADER_BYTES + 13) +
           engine->program->attributes[0].slot;
}

static void rows_that_no_events_leave_are_refused(void **state)
{
    static const struct {
        unsigned slot;
        int64_t number;
    } wrong[] = {
        {0, INT64_MIN + 1},
        {0, START + 1},
        {1, START - 1},
        {1, INT64_MAX},
        {2, INT64_C(2) << 32},
        {2, 1 | INT64_C(99) << 32},
        {3, 99},
        {5, 7},
        {4, START},
    };
    struct kpi_plan *plan = plan_of(&usual);
    const struct look look = {START, START, 1, 1, "look", "sms"};

    for (size_t i = 0; i <= COUNT_OF(wrong); i++) {
        struct kpi_engine *engine = engine_of(plan), *read = engine_of(plan);
        struct stored *rows;
        int64_t number;
        int r;

        assert_int_equal(apply(engine, &look, 1), 0);
        object_store_begin(&store);
        assert_int_equal(kpi_engine_save(engine, true, object_store_put, &store), 0);
        rows = object_store_find(&store, KPI_STRING("r.0"));
        if (i < COUNT_OF(wrong)) {
            memcpy(&number, saved_session(engine), sizeof(number));
            assert_int_equal(number, START);
            memcpy(saved_session(engine) + wrong[i].slot, &wrong[i].number, sizeof(number));
            kpi_object_seal(rows->data, KPI_OBJECT_ROWS, 1, rows->size - KPI_OBJECT_HEADER_BYTES);
        }
        r = object_store_load(&store, read, i);
        assert_int_equal(r, i < COUNT_OF(wrong) ? KPI_ENGINE_E_CORRUPT : 0);
        kpi_engine_free(read);
        kpi_engine_free(engine);
        object_store_clear(&store);
    }
    (void)kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

/* A gap late or more: then sessions may not be those of the sorted stream. */
static void what_comes_too_late_is_counted_as_late(void **state)
{
    static const kpi_duration late[] = {0, 30 * KPI_MINUTE - 1, 30 * KPI_MINUTE, 2 * KPI_HOUR};
    struct kpi_plan *plan = plan_of(&usual);
    struct kpi_engine *engine = engine_of(plan);
    struct kpi_engine_stats stats;

    for (unsigned i = 0; i < COUNT_OF(late); i++) {
        const struct look look = {START - late[i], START, i + 1, i + 1, "look", NULL};

        assert_int_equal(apply(engine, &look, 1), 0);
        kpi_engine_stats(engine, &stats);
        assert_int_equal(stats.n_late, i < 2 ? 0 : i - 1);
    }
    end(engine, plan);
}

static void open_sessions_go_with_their_user(void **state)
{
    static const struct look events[] = {
        {START, START, 1, 1, "look", "sms"},
        {START, START, 2, 2, "look", "sms"},
        {START + 1, START + 1, 1, 3, "kpid.user_erased", NULL},
        {START + 2, START + 2, 1, 4, "look", "sms"},
        {START + KPI_HOUR, START + KPI_HOUR, 3, 5, "end", NULL},
        {START + 2 * KPI_HOUR, START + 2 * KPI_HOUR, 3, 6, "end", NULL},
    };
    struct kpi_plan *plan = plan_of(&usual);
    struct kpi_engine *engine = engine_of(plan);
    struct kpi_session_open open;

    assert_int_equal(apply(engine, events, 3), 0);
    for (uint32_t user = 0; user < 2; user++)
        assert_int_equal(kpi_session_get(engine->program->attributes[0].session,
                                         kpi_slots_row(&engine->slots, user) +
                                             engine->program->attributes[0].slot,
                                         0, &open),
                         user == 1);
    assert_int_equal(apply(engine, events + 3, 2), 0);
    assert_int_equal(counted(engine, false), 1); /* the other user's; the new one is open */
    assert_int_equal(apply(engine, events + 5, 1), 0);
    assert_int_equal(counted(engine, false), 2);
    end(engine, plan);
}

/* Bound by the longest skew: one in each gap of it, and two more. */
static void rows_have_room_for_what_can_be_open(void **state)
{
    struct kpi_plan *plan =
        plan_of(&(struct options){.gap = KPI_MINUTE, .midnight = KPI_MIDNIGHT_CUT});
    struct kpi_engine *engine = engine_of(plan);
    kpi_time midnight = (kpi_time)(DAY_2026_11_01 + 1) * KPI_DAY;
    uint32_t room = engine->program->attributes[0].session->n_open, n = 0;
    struct kpi_session_open open;

    /* Backwards from as far ahead as may be, each one more than a gap before the last one. */
    for (kpi_time time = midnight + 4 * KPI_MINUTE; time > midnight - 3 * KPI_MINUTE;
         time -= KPI_MINUTE + 1) {
        const struct look look = {time, midnight - KPI_MINUTE, 1, ++n, "look", NULL};

        assert_int_equal(apply(engine, &look, 1), 0);
    }
    assert_true(n <= room);
    assert_int_equal(counted(engine, false), 0);
    assert_true(kpi_session_get(
        engine->program->attributes[0].session,
        kpi_slots_row(&engine->slots, 0) + engine->program->attributes[0].slot, n - 1, &open));
    end(engine, plan);
}

static bool is_said(enum kpi_severity severity, const char *text)
{
    for (unsigned i = 0; i < f.recorder.n_messages; i++)
        if (f.recorder.messages[i].severity == severity &&
            strstr(f.recorder.messages[i].text, text))
            return true;
    return false;
}

static void sessions_that_nobody_counts_are_warned_of(void **state)
{
    static const struct kpi_session_definition session = {.gap = KPI_HOUR};
    struct kpi_plan *plan;

    fixture_init(&f);
    fixture_attribute(&f, "visit", "", "type == \"look\"");
    f.attributes[0].session = &session;
    fixture_measure(&f, "looks", "count", "type == \"look\"");
    fixture_kpi(&f, "looks", "looks", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "c", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_true(is_said(KPI_SEVERITY_WARNING, "nothing counts the sessions \"visit\""));
    (void)kpi_plan_unref(plan);
    f.measures[0].where = TEXT(VISITS);
    plan = fixture_plan(&f);
    assert_false(is_said(KPI_SEVERITY_WARNING, "nothing counts"));
    (void)kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_change_nothing),
        cmocka_unit_test(order_within_a_gap_does_not_matter),
        cmocka_unit_test(events_at_once_have_no_order),
        cmocka_unit_test(the_same_meaning_keeps_state),
        cmocka_unit_test(another_meaning_begins_anew),
        cmocka_unit_test(an_event_allocates_nothing),
        cmocka_unit_test(memory_may_fail_at_any_call),
        cmocka_unit_test(rows_that_no_events_leave_are_refused),
        cmocka_unit_test(what_comes_too_late_is_counted_as_late),
        cmocka_unit_test(open_sessions_go_with_their_user),
        cmocka_unit_test(rows_have_room_for_what_can_be_open),
        cmocka_unit_test(sessions_that_nobody_counts_are_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
