/* Claim: base/dedupe.c answers exactly as a list of all ids with hours of arrival and of event
 * would, over any course of the log's time, under its cap, after a change of the window and after
 * saving and restoring; at 16 bytes an id. */
#include "base/dedupe.h"
#include "counting_mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static enum kpi_dedupe_answer find(const struct kpi_dedupe *dedupe, uint64_t id, uint32_t content,
                                   kpi_time event)
{
    struct kpi_dedupe_place place;

    return kpi_dedupe_find(dedupe, id, content, event, &place);
}

/* Adds what is new. */
static int add(struct kpi_dedupe *dedupe, uint64_t id, uint32_t content, kpi_time event)
{
    struct kpi_dedupe_place place;

    if (kpi_dedupe_find(dedupe, id, content, event, &place) != KPI_DEDUPE_NEW)
        return -EEXIST;
    return kpi_dedupe_add(dedupe, id, content, event, &place);
}

/* The list: hours all the way, nothing modulo anything. */
struct listed {
    uint64_t id;
    uint32_t content;
    int64_t arrival, event;
};

struct list {
    struct listed *entries;
    size_t n, n_max;
    int64_t now, floor;
    int64_t window, grain; /* hours */
};

static void list_advance(struct list *list, int64_t hour)
{
    int64_t now = hour / list->grain;

    if (now > list->now)
        list->now = now;
    if (list->now - list->window / list->grain > list->floor)
        list->floor = list->now - list->window / list->grain;
}

static enum kpi_dedupe_answer list_find(const struct list *list, uint64_t id, uint32_t content,
                                        int64_t event)
{
    enum kpi_dedupe_answer answer = KPI_DEDUPE_NEW;

    for (size_t i = 0; i < list->n; i++) {
        const struct listed *entry = &list->entries[i];

        if (entry->id != id || entry->arrival < list->floor ||
            llabs(entry->event - event) > list->window)
            continue;
        if (entry->content == content)
            return KPI_DEDUPE_COPY;
        answer = KPI_DEDUPE_CONFLICT;
    }
    return answer;
}

static size_t list_count(const struct list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += list->entries[i].arrival >= list->floor;
    return n;
}

static void list_add(struct list *list, uint64_t id, uint32_t content, int64_t event,
                     uint64_t ids_max)
{
    assert_true(list->n < list->n_max);
    list->entries[list->n++] = (struct listed){id, content, list->now, event};
    while (list_count(list) > ids_max && list->floor < list->now)
        list->floor++;
    if (list_count(list) > ids_max)
        list->n = 0;
}

static uint64_t id_of(uint64_t i)
{
    uint64_t state = i;

    return next_random(&state);
}

struct run {
    kpi_duration window;
    uint64_t ids_max;
    uint32_t n_ids, n_events;
    uint32_t step_max;    /* log time moves by up to this many minutes an event, */
    uint32_t jump_hours;  /* and now and then by up to this many hours */
    int64_t spread_hours; /* event times lie this far behind the log's time at most */
};

static void compare(const struct run *run, uint64_t seed)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {run->window, 400 * KPI_DAY, 5 * KPI_MINUTE, run->ids_max};
    struct list list = {.n_max = run->n_events, .window = run->window / KPI_HOUR, .grain = 1};
    kpi_time log_time = 450000 * KPI_HOUR;

    list.grain = (list.window + KPI_DEDUPE_TICKS_MAX - 1) / KPI_DEDUPE_TICKS_MAX;
    list.entries = calloc(run->n_events, sizeof(*list.entries));
    counting_mem_init(&counting);
    assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
    for (uint32_t i = 0; i < run->n_events; i++) {
        uint64_t id = id_of(next_random(&seed) % run->n_ids);
        uint32_t content = next_random(&seed) % 4 == 0;
        kpi_time event;
        enum kpi_dedupe_answer expected;

        log_time += (int64_t)(next_random(&seed) % (run->step_max + 1)) * KPI_MINUTE;
        if (run->jump_hours && next_random(&seed) % 100 == 0)
            log_time += (int64_t)(next_random(&seed) % run->jump_hours) * KPI_HOUR;
        event = log_time -
                (int64_t)(next_random(&seed) % (uint64_t)(run->spread_hours * 60 + 1)) * KPI_MINUTE;
        assert_int_equal(kpi_dedupe_advance(&dedupe, log_time), 0);
        list_advance(&list, log_time / KPI_HOUR);
        expected = list_find(&list, id, content, event / KPI_HOUR);
        assert_int_equal(find(&dedupe, id, content, event), expected);
        if (expected == KPI_DEDUPE_NEW) {
            assert_int_equal(add(&dedupe, id, content, event), 0);
            list_add(&list, id, content, event / KPI_HOUR, run->ids_max);
        }
        assert_int_equal(dedupe.n, list_count(&list));
        if (i % 64 == 0)
            assert_int_equal(kpi_dedupe_work(&dedupe), 0);
        assert_int_equal(dedupe.bytes, counting.bytes);
    }
    kpi_dedupe_deinit(&dedupe);
    assert_int_equal(counting.bytes, 0);
    free(list.entries);
}

static void answers_as_a_list_would(void **state)
{
    compare(&(struct run){24 * KPI_HOUR, 1000000, 300, 6000, 4, 0, 30}, 1);
    compare(&(struct run){24 * KPI_HOUR, 1000000, 300, 6000, 1, 70, 30}, 2);
    compare(&(struct run){1 * KPI_HOUR, 1000000, 50, 6000, 3, 5, 3}, 3);
}

/* Hours that agree modulo 64 or 256 are not the same hour. */
static void long_spreads_and_jumps_do_not_confuse_it(void **state)
{
    compare(&(struct run){24 * KPI_HOUR, 1000000, 10, 4000, 1, 0, 9000}, 4);
    compare(&(struct run){24 * KPI_HOUR, 1000000, 40, 4000, 10, 300, 600}, 5);
    compare(&(struct run){30 * KPI_HOUR, 1000000, 40, 4000, 20, 61, 300}, 6);
}

static void a_long_window_has_coarser_ticks(void **state)
{
    compare(&(struct run){240 * KPI_HOUR, 1000000, 200, 5000, 30, 200, 500}, 7);
}

static void the_cap_forgets_the_oldest_hours_whole(void **state)
{
    compare(&(struct run){24 * KPI_HOUR, 200, 5000, 5000, 5, 0, 3}, 8);
    compare(&(struct run){24 * KPI_HOUR, 30, 5000, 3000, 1, 0, 3}, 9);
}

static void the_window_in_force_is_told(void **state)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {24 * KPI_HOUR, 400 * KPI_DAY, 0, 100};
    kpi_time start = 450000 * KPI_HOUR;

    counting_mem_init(&counting);
    assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
    assert_true(kpi_dedupe_window(&dedupe) == 24 * KPI_HOUR);
    for (int i = 0; i < 24 * 10; i++) {
        kpi_time now = start + i * KPI_HOUR / 10;

        assert_int_equal(kpi_dedupe_advance(&dedupe, now), 0);
        assert_int_equal(add(&dedupe, id_of((uint64_t)i), 0, now), 0);
    }
    /* Ten an hour and room for a hundred: the present hour and nine before it. */
    assert_true(kpi_dedupe_window(&dedupe) == 9 * KPI_HOUR);
    assert_int_equal(kpi_dedupe_advance(&dedupe, start + 48 * KPI_HOUR), 0);
    assert_true(kpi_dedupe_window(&dedupe) == 24 * KPI_HOUR);
    kpi_dedupe_deinit(&dedupe);
}

static void a_window_of_0_remembers_nothing(void **state)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {0, 400 * KPI_DAY, 0, 100};

    counting_mem_init(&counting);
    assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
    assert_int_equal(kpi_dedupe_advance(&dedupe, KPI_DAY), 0);
    assert_int_equal(add(&dedupe, 5, 5, KPI_DAY), 0);
    assert_int_equal(find(&dedupe, 5, 5, KPI_DAY), KPI_DEDUPE_NEW);
    assert_int_equal(dedupe.n, 0);
    kpi_dedupe_deinit(&dedupe);
}

/* Arrivals are kept modulo 64 hours: one that is dead and not yet swept must not look young again
 * when time jumps by almost a window. */
static void the_dead_do_not_come_back_when_time_jumps(void **state)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {30 * KPI_HOUR, 400 * KPI_DAY, 0, UINT64_MAX};

    for (int64_t arrival = 0; arrival < 16; arrival++) {
        const kpi_time start = 450000 * KPI_HOUR;
        const kpi_time then = start + arrival * KPI_HOUR;

        counting_mem_init(&counting);
        assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
        for (int64_t hour = 0; hour <= arrival + 37; hour++) {
            assert_int_equal(kpi_dedupe_advance(&dedupe, start + hour * KPI_HOUR), 0);
            if (hour == arrival)
                assert_int_equal(add(&dedupe, id_of(1), 0, then), 0);
            for (unsigned i = 0; i < KPI_DEDUPE_SEGMENTS; i++)
                assert_int_equal(kpi_dedupe_work(&dedupe), 0);
        }
        assert_int_equal(kpi_dedupe_advance(&dedupe, start + (arrival + 67) * KPI_HOUR), 0);
        assert_int_equal(find(&dedupe, id_of(1), 0, then), KPI_DEDUPE_NEW);
        kpi_dedupe_deinit(&dedupe);
    }
}

/* Each segment knows how many of its places are taken: it grows and sweeps by that. */
static void assert_fill_is_known(const struct kpi_dedupe *dedupe)
{
    for (unsigned s = 0; s < KPI_DEDUPE_SEGMENTS; s++) {
        const struct kpi_dedupe_segment *segment = &dedupe->segments[s];
        uint32_t n = 0;

        for (uint32_t i = 0; i < segment->n_lines; i++)
            for (unsigned k = 0; k < KPI_DEDUPE_PER_LINE; k++)
                n += (segment->lines[i].arrivals[k] & 63) != 0;
        assert_int_equal(n, segment->n);
    }
}

/* Two days of a steady stream: growth, then sweeps. */
static void takes_at_most_16_bytes_an_id(void **state)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {24 * KPI_HOUR, 400 * KPI_DAY, 0, UINT64_MAX};
    const int64_t per_hour = 20000;
    kpi_time start = 450000 * KPI_HOUR;

    counting_mem_init(&counting);
    assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
    for (int64_t i = 0; i < 48 * per_hour; i++) {
        kpi_time now = start + i * KPI_HOUR / per_hour;

        assert_int_equal(kpi_dedupe_advance(&dedupe, now), 0);
        assert_int_equal(add(&dedupe, id_of((uint64_t)i), 0, now), 0);
        if (i % 64 == 0)
            assert_int_equal(kpi_dedupe_work(&dedupe), 0);
        if (i > 15 * per_hour && i % 1000 == 0 && dedupe.sweep == KPI_DEDUPE_SEGMENTS)
            assert_in_range(dedupe.bytes / dedupe.n, 8, 15);
    }
    assert_fill_is_known(&dedupe);
    kpi_dedupe_deinit(&dedupe);
}

static int restore_one(void *userdata, const struct kpi_dedupe_record *record)
{
    return kpi_dedupe_restore(userdata, record);
}

static int count_one(void *userdata, const struct kpi_dedupe_record *record)
{
    ++*(uint64_t *)userdata;
    return 0;
}

/* What is dirty is given once; all together restore an equal table, under another grain too. */
static void dirty_entries_are_given_once_and_restore_the_table(void **state)
{
    static const kpi_duration windows[] = {24 * KPI_HOUR, 100 * KPI_HOUR};

    for (unsigned w = 0; w < 2; w++) {
        struct counting_mem counting;
        struct kpi_dedupe dedupe, copy;
        struct kpi_dedupe_options options = {24 * KPI_HOUR, 40 * KPI_DAY, 0, 3000}, other = options;
        kpi_time log_time = 450000 * KPI_HOUR;
        uint64_t seed = 11, n = 0;

        other.window = windows[w];
        counting_mem_init(&counting);
        assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
        assert_int_equal(kpi_dedupe_init(&copy, &counting.mem, &other), 0);
        for (unsigned i = 0; i < 6000; i++) {
            log_time += (int64_t)(next_random(&seed) % 20) * KPI_SECOND;
            assert_int_equal(kpi_dedupe_advance(&dedupe, log_time), 0);
            assert_int_equal(add(&dedupe, id_of(i), 7, log_time - (int64_t)i * KPI_MINUTE), 0);
        }
        kpi_dedupe_restore_begin(&copy, log_time, dedupe.floor * dedupe.tick_hours);
        for (int64_t tick = dedupe.floor; tick <= dedupe.now; tick++) {
            n += kpi_dedupe_n(&dedupe, tick);
            assert_int_equal(kpi_dedupe_n_dirty(&dedupe, tick), kpi_dedupe_n(&dedupe, tick));
        }
        assert_int_equal(n, dedupe.n);
        n = 0;
        assert_int_equal(kpi_dedupe_take_dirty(&dedupe, restore_one, &copy), 0);
        for (int64_t tick = copy.floor; tick <= copy.now; tick++)
            assert_int_equal(kpi_dedupe_n_dirty(&copy, tick), 0);
        assert_int_equal(kpi_dedupe_take_dirty(&dedupe, count_one, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(kpi_dedupe_iterate(&dedupe, count_one, &n), 0);
        assert_int_equal(n, dedupe.n);
        if (w == 0)
            assert_int_equal(copy.n, dedupe.n);
        for (unsigned i = 0; i < 6000; i++) {
            kpi_time event = log_time - (int64_t)i * KPI_MINUTE;

            if (find(&dedupe, id_of(i), 7, event) == KPI_DEDUPE_COPY)
                assert_int_equal(find(&copy, id_of(i), 7, event), KPI_DEDUPE_COPY);
            else if (w == 0)
                assert_int_equal(find(&copy, id_of(i), 7, event), KPI_DEDUPE_NEW);
        }
        kpi_dedupe_deinit(&dedupe);
        kpi_dedupe_deinit(&copy);
        assert_int_equal(counting.bytes, 0);
    }
}

static void another_window_keeps_what_it_reaches(void **state)
{
    struct counting_mem counting;
    struct kpi_dedupe dedupe;
    struct kpi_dedupe_options options = {24 * KPI_HOUR, 400 * KPI_DAY, 0, UINT64_MAX};
    kpi_time start = 450000 * KPI_HOUR;
    uint64_t n = 0;

    counting_mem_init(&counting);
    assert_int_equal(kpi_dedupe_init(&dedupe, &counting.mem, &options), 0);
    for (int i = 0; i <= 20; i++) {
        assert_int_equal(kpi_dedupe_advance(&dedupe, start + i * KPI_HOUR), 0);
        assert_int_equal(add(&dedupe, id_of((uint64_t)i), 1, start + i * KPI_HOUR), 0);
    }
    assert_int_equal(kpi_dedupe_take_dirty(&dedupe, count_one, &n), 0);
    assert_int_equal(n, 21);
    options.window = 90 * KPI_HOUR; /* ticks of 3 hours */
    kpi_dedupe_retune(&dedupe, &options);
    assert_int_equal(dedupe.tick_hours, 3);
    assert_int_equal(dedupe.n, 21);
    /* Under other ticks it is to be saved anew. */
    for (int64_t tick = dedupe.floor; tick <= dedupe.now; tick++)
        assert_int_equal(kpi_dedupe_n_dirty(&dedupe, tick), kpi_dedupe_n(&dedupe, tick));
    for (int i = 0; i <= 20; i++)
        assert_int_equal(find(&dedupe, id_of((uint64_t)i), 1, start + i * KPI_HOUR),
                         KPI_DEDUPE_COPY);
    options.window = 4 * KPI_HOUR;
    kpi_dedupe_retune(&dedupe, &options);
    assert_int_equal(find(&dedupe, id_of(2), 1, start + 2 * KPI_HOUR), KPI_DEDUPE_NEW);
    assert_int_equal(find(&dedupe, id_of(20), 1, start + 20 * KPI_HOUR), KPI_DEDUPE_COPY);
    assert_int_equal(kpi_dedupe_advance(&dedupe, start + 30 * KPI_HOUR), 0);
    assert_int_equal(dedupe.n, 0);
    kpi_dedupe_deinit(&dedupe);
    assert_int_equal(counting.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_a_list_would),
        cmocka_unit_test(long_spreads_and_jumps_do_not_confuse_it),
        cmocka_unit_test(a_long_window_has_coarser_ticks),
        cmocka_unit_test(the_cap_forgets_the_oldest_hours_whole),
        cmocka_unit_test(the_window_in_force_is_told),
        cmocka_unit_test(a_window_of_0_remembers_nothing),
        cmocka_unit_test(the_dead_do_not_come_back_when_time_jumps),
        cmocka_unit_test(takes_at_most_16_bytes_an_id),
        cmocka_unit_test(dirty_entries_are_given_once_and_restore_the_table),
        cmocka_unit_test(another_window_keeps_what_it_reaches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
