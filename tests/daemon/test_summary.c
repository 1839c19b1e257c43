/*
 * A summary survives the way through bytes whole, and bytes that are not those of a summary are
 * refused, whatever is wrong with them.
 */
#include "summary.h"

#include "util/memory.h"

#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_ROWS 5

static struct summary *make(void)
{
    struct summary *summary = summary_new(N_ROWS);

    assert_non_null(summary);
    summary->shard = 7;
    summary->epoch = 3;
    summary->generation = 12;
    summary->layout = 0x0123456789abcdef;
    summary->made_at = 1700000000000000;
    summary->saved_at = KPI_TIME_NONE;
    summary->counts_from = 42;
    summary->caught_up = true;
    summary->lag = -1;
    summary->n_unsaved = 9;
    summary->stats.n_applied = 1000;
    summary->stats.newest_record = 1699999999000000;
    for (unsigned i = 0; i < N_ROWS; i++)
        summary->rows[i] = (struct kpi_row){.value = INT64_MAX - i, .n_events = i};
    return summary;
}

static void test_round_trip(void **state)
{
    struct summary *summary = make(), *read = NULL;
    size_t size;
    void *bytes;

    assert_int_equal(summary_encode(summary, &bytes, &size), 0);
    assert_int_equal(summary_decode(&read, bytes, size), 0);
    assert_int_equal(read->n_rows, N_ROWS);
    assert_memory_equal(read, summary, sizeof(*summary) + N_ROWS * sizeof(struct kpi_row));
    free(bytes);
    (void)summary_free(read);
    (void)summary_free(summary);
}

static void test_no_rows(void **state)
{
    struct summary *summary = summary_new(0), *read = NULL;
    size_t size;
    void *bytes;

    assert_non_null(summary);
    assert_int_equal(summary_encode(summary, &bytes, &size), 0);
    assert_int_equal(summary_decode(&read, bytes, size), 0);
    assert_int_equal(read->n_rows, 0);
    free(bytes);
    (void)summary_free(read);
    (void)summary_free(summary);
}

/* Groups go along, and are refused with all else if their bytes are wrong. */
static void add_groups(struct summary *summary)
{
    const struct kpi_row rows[] = {{5, 6}};
    struct kpi_group group = {.scope = 1,
                              .n_values = 2,
                              .values = {KPI_STRING("微信"), {NULL, 0}},
                              .n_rows = 1,
                              .rows = rows};

    assert_int_equal(kpi_supplement_new(&summary->supplement, &memory_kpi), 0);
    assert_int_equal(kpi_supplement_push(summary->supplement, &group), 0);
}

static void test_groups(void **state)
{
    struct summary *summary = make(), *read = NULL;
    struct kpi_group group;
    size_t size;
    void *bytes;

    add_groups(summary);
    assert_int_equal(summary_encode(summary, &bytes, &size), 0);
    assert_int_equal(summary_decode(&read, bytes, size), 0);
    assert_int_equal(read->rows[1].n_events, 1);
    assert_int_equal(kpi_supplement_n_groups(read->supplement), 1);
    group = kpi_supplement_group(read->supplement, 0);
    assert_int_equal(group.scope, 1);
    assert_true(kpi_string_equal(group.values[0], KPI_STRING("微信")));
    assert_null(group.values[1].data);
    assert_int_equal(group.rows[0].value, 5);
    assert_int_equal(group.rows[0].n_events, 6);
    free(bytes);
    (void)summary_free(read);
    (void)summary_free(summary);
}

static void add_answers(struct summary *summary)
{
    const kpi_wide cells[] = {7, (kpi_wide)1 << 90};
    const struct kpi_answer answer = {.index = 3, .start = -5, .n_cells = 2, .cells = cells};

    assert_int_equal(kpi_answers_new(&summary->answers, &memory_kpi), 0);
    assert_int_equal(kpi_answers_push(summary->answers, &answer), 0);
    summary->answers_as_of = 1700000000000000;
}

/* Answers go along, alone or behind groups. */
static void test_answers(void **state)
{
    for (int with_groups = 0; with_groups < 2; with_groups++) {
        struct summary *summary = make(), *read = NULL;
        struct kpi_answer answer;
        size_t size;
        void *bytes;

        if (with_groups)
            add_groups(summary);
        add_answers(summary);
        assert_int_equal(summary_encode(summary, &bytes, &size), 0);
        assert_int_equal(summary_decode(&read, bytes, size), 0);
        assert_int_equal(read->supplement != NULL, with_groups);
        assert_int_equal(read->answers_as_of, 1700000000000000);
        assert_int_equal(kpi_answers_n(read->answers), 1);
        answer = kpi_answers_get(read->answers, 0);
        assert_int_equal(answer.index, 3);
        assert_int_equal(answer.start, -5);
        assert_true(answer.n_cells == 2 && answer.cells[1] == (kpi_wide)1 << 90);
        free(bytes);
        (void)summary_free(read);
        (void)summary_free(summary);
    }
}

/* Behind the rows there is room for frames in their order, and for nothing else. */
static void test_frames_out_of_place(void **state)
{
    struct summary *summary = make(), *read = NULL;
    size_t size, head = KPI_OBJECT_HEADER_BYTES + sizeof(*summary) + N_ROWS * 16, frames;
    char *bytes, *twice;

    add_answers(summary);
    assert_int_equal(summary_encode(summary, (void **)&bytes, &size), 0);
    frames = size - head;
    twice = malloc(size + frames);
    memcpy(twice, bytes, size);
    memcpy(twice + size, bytes + head, frames);
    kpi_object_seal(twice, KPI_OBJECT_SUMMARY, 3, size + frames - KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(summary_decode(&read, twice, size + frames), SUMMARY_E_CORRUPT);
    memset(twice + head + 8, 0xff, 8); /* a frame longer than all there is */
    kpi_object_seal(twice, KPI_OBJECT_SUMMARY, 3, size - KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(summary_decode(&read, twice, size), SUMMARY_E_CORRUPT);
    free(twice);
    free(bytes);
    (void)summary_free(summary);
}

static void test_groups_that_are_none(void **state)
{
    struct summary *summary = make(), *read = NULL;
    char *bytes;
    size_t size;

    add_groups(summary);
    assert_int_equal(summary_encode(summary, (void **)&bytes, &size), 0);
    for (size_t cut = 1; cut < 60; cut++) {
        if (size - cut == KPI_OBJECT_HEADER_BYTES + sizeof(*summary) + N_ROWS * 16)
            break; /* all of it */
        kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, 3, size - cut - KPI_OBJECT_HEADER_BYTES);
        assert_int_equal(summary_decode(&read, bytes, size - cut), SUMMARY_E_CORRUPT);
    }
    free(bytes);
    (void)summary_free(summary);
}

static void test_cut_at_each_length(void **state)
{
    struct summary *summary = make(), *read = NULL;
    size_t size;
    void *bytes;

    assert_int_equal(summary_encode(summary, &bytes, &size), 0);
    for (size_t length = 0; length < size; length++) {
        char *cut = malloc(length + 1); /* its end is the sanitizer's */

        memcpy(cut, bytes, length);
        assert_int_equal(summary_decode(&read, cut, length), SUMMARY_E_CORRUPT);
        free(cut);
    }
    assert_null(read);
    free(bytes);
    (void)summary_free(summary);
}

static void test_each_byte_changed(void **state)
{
    struct summary *summary = make(), *read = NULL;
    unsigned char *bytes;
    size_t size;

    assert_int_equal(summary_encode(summary, (void **)&bytes, &size), 0);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(summary_decode(&read, bytes, size), SUMMARY_E_CORRUPT);
        bytes[i] ^= 0x10;
    }
    assert_int_equal(summary_decode(&read, bytes, size), 0);
    (void)summary_free(read);
    free(bytes);
    (void)summary_free(summary);
}

/* Another program may seal what it likes: the number of rows must be that of the bytes. */
static void test_rows_that_are_not_there(void **state)
{
    static const uint32_t lies[] = {0, N_ROWS - 1, N_ROWS + 1, UINT32_MAX};
    struct summary *summary = make(), *read = NULL;
    size_t length = sizeof(*summary) + N_ROWS * sizeof(struct kpi_row);
    char *bytes;
    size_t size;

    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        assert_int_equal(summary_encode(summary, (void **)&bytes, &size), 0);
        memcpy(bytes + KPI_OBJECT_HEADER_BYTES + offsetof(struct summary, n_rows), &lies[i],
               sizeof(lies[i]));
        kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, 3, length);
        assert_int_equal(summary_decode(&read, bytes, size), SUMMARY_E_CORRUPT);
        free(bytes);
    }
    (void)summary_free(summary);
}

static void test_another_kind(void **state)
{
    struct summary *summary = make(), *read = NULL;
    char *bytes;
    size_t size;

    assert_int_equal(summary_encode(summary, (void **)&bytes, &size), 0);
    kpi_object_seal(bytes, KPI_OBJECT_ALERT, 1, size - KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(summary_decode(&read, bytes, size), SUMMARY_E_CORRUPT);
    kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, 99, size - KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(summary_decode(&read, bytes, size), SUMMARY_E_CORRUPT);
    free(bytes);
    (void)summary_free(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_frames_out_of_place),
        cmocka_unit_test(test_groups_that_are_none),
        cmocka_unit_test(test_cut_at_each_length),
        cmocka_unit_test(test_each_byte_changed),
        cmocka_unit_test(test_rows_that_are_not_there),
        cmocka_unit_test(test_another_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
