/*
 * Sets of answers add up whatever the order, survive the way through bytes whole, and bytes that no
 * set is made of are refused.
 */
#include "counting_mem.h"
#include "sketch/quantiles.h"

#include <kpi/answers.h>
#include <kpi/object.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

static struct counting_mem counting;

static struct kpi_answers *make(void)
{
    struct kpi_answers *answers;

    assert_int_equal(kpi_answers_new(&answers, &counting.mem), 0);
    return answers;
}

static void push(struct kpi_answers *answers, const struct kpi_answer *answer)
{
    assert_int_equal(kpi_answers_push(answers, answer), 0);
}

/* A sketch of up to three numbers, until the next call. */
static struct kpi_string sketch_of(uint64_t *seed)
{
    static char bytes[64];
    struct kpi_buffer buffer = {.mem = &counting.mem};
    struct kpi_quantiles quantiles = {0};
    struct kpi_string sketch = {bytes, 0};

    for (uint64_t n = next_random(seed) % 4; n > 0; n--)
        assert_int_equal(
            kpi_quantiles_put(&quantiles, &counting.mem, (int64_t)(next_random(seed) >> 1)), 0);
    if (quantiles.n > 0)
        kpi_quantiles_encode(&quantiles, &buffer);
    sketch.length = buffer.size;
    assert_in_range(sketch.length, 0, sizeof(bytes));
    if (sketch.length)
        memcpy(bytes, buffer.data, sketch.length);
    kpi_quantiles_deinit(&quantiles, &counting.mem);
    kpi_buffer_deinit(&buffer);
    return sketch;
}

/*
 * One of 3 * 2 * 3 * 4 keys; cells from the seed, of either sign and beyond 64 bits, and a sketch.
 */
static struct kpi_answer answer_of(uint32_t key, uint64_t *seed, kpi_wide cells[4])
{
    static const struct kpi_string values[] = {{NULL, 0}, {"", 0}, {"wechat", 6}};
    struct kpi_answer answer = {
        .kind = key / 24,
        .index = key / 12 % 2,
        .n_values = 1,
        .values = {values[key / 4 % 3]},
        .part = key / 2 % 2,
        .start = (int64_t)(key % 2) * 100 - 50,
        .n_cells = 1 + (uint32_t)(next_random(seed) % 4),
        .cells = cells,
    };

    for (uint32_t i = 0; i < 4; i++)
        cells[i] =
            ((kpi_wide)(int64_t)next_random(seed) * ((kpi_wide)1 << 40)) >> next_random(seed) % 90;
    answer.sketch = sketch_of(seed);
    return answer;
}

static struct kpi_answers *make_random(uint64_t *seed)
{
    struct kpi_answers *answers = make();

    for (uint32_t key = 0; key < 72; key++) {
        kpi_wide cells[4];
        struct kpi_answer answer = answer_of(key, seed, cells);

        if (next_random(seed) % 3)
            push(answers, &answer);
    }
    return answers;
}

static void assert_equal(const struct kpi_answers *a, const struct kpi_answers *b)
{
    assert_int_equal(kpi_answers_n(a), kpi_answers_n(b));
    for (uint32_t i = 0; i < kpi_answers_n(a); i++) {
        struct kpi_answer x = kpi_answers_get(a, i), y = kpi_answers_get(b, i);

        assert_int_equal(kpi_answer_compare(&x, &y), 0);
        assert_int_equal(x.n_cells, y.n_cells);
        assert_memory_equal(x.cells, y.cells, x.n_cells * sizeof(*x.cells));
        assert_int_equal(x.sketch.length, y.sketch.length);
        if (x.sketch.length)
            assert_memory_equal(x.sketch.data, y.sketch.data, x.sketch.length);
    }
}

static struct kpi_answers *sum(const struct kpi_answers *a, const struct kpi_answers *b)
{
    struct kpi_answers *answers = make();

    assert_int_equal(kpi_answers_add(answers, a), 0);
    assert_int_equal(kpi_answers_add(answers, b), 0);
    return answers;
}

static void test_adding_commutes(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        struct kpi_answers *a = make_random(&random), *b = make_random(&random);
        struct kpi_answers *ab = sum(a, b), *ba = sum(b, a);

        assert_equal(ab, ba);
        (void)kpi_answers_unref(a);
        (void)kpi_answers_unref(b);
        (void)kpi_answers_unref(ab);
        (void)kpi_answers_unref(ba);
    }
    assert_int_equal(counting.bytes, 0);
}

static void test_adding_associates(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed * 1000;
        struct kpi_answers *a = make_random(&random), *b = make_random(&random);
        struct kpi_answers *c = make_random(&random);
        struct kpi_answers *ab = sum(a, b), *bc = sum(b, c);
        struct kpi_answers *left = sum(ab, c), *right = sum(a, bc);

        assert_equal(left, right);
        (void)kpi_answers_unref(a);
        (void)kpi_answers_unref(b);
        (void)kpi_answers_unref(c);
        (void)kpi_answers_unref(ab);
        (void)kpi_answers_unref(bc);
        (void)kpi_answers_unref(left);
        (void)kpi_answers_unref(right);
    }
    assert_int_equal(counting.bytes, 0);
}

static void test_shorter_vector_is_filled_with_zero(void **state)
{
    const kpi_wide few[] = {1}, many[] = {10, -20, (kpi_wide)1 << 100};
    struct kpi_answers *a = make(), *b = make();
    struct kpi_answer answer = {.n_cells = 1, .cells = few};

    push(a, &answer);
    answer.n_cells = 3;
    answer.cells = many;
    push(b, &answer);
    assert_int_equal(kpi_answers_add(a, b), 0);
    answer = kpi_answers_get(a, 0);
    assert_int_equal(answer.n_cells, 3);
    assert_true(answer.cells[0] == 11 && answer.cells[1] == -20);
    assert_true(answer.cells[2] == (kpi_wide)1 << 100);
    (void)kpi_answers_unref(a);
    (void)kpi_answers_unref(b);
}

static void test_overflow_is_told_and_marked(void **state)
{
    const kpi_wide greatest = (kpi_wide)(~(unsigned __int128)0 >> 1);
    const kpi_wide cells[] = {greatest, 1};
    const struct kpi_answer answer = {.n_cells = 2, .cells = cells};
    struct kpi_answers *a = make(), *b = make();

    push(a, &answer);
    push(b, &answer);
    assert_int_equal(kpi_answers_add(a, b), ERANGE);
    assert_true(kpi_answers_get(a, 0).cells[0] == greatest);
    assert_true(kpi_answers_get(a, 0).cells[1] == 2);
    (void)kpi_answers_unref(a);
    (void)kpi_answers_unref(b);
}

static void test_find_one_of_a_kind(void **state)
{
    const kpi_wide cell = 1;
    const uint32_t keys[][3] = {{0, 0, 0}, {0, 2, 0}, {0, 2, 1}, {1, 0, 5}, {2, 7, 0}};
    const uint32_t wanted[][4] = {{0, 0, 0, 1}, {0, 1, 1, 1}, {0, 2, 1, 3},
                                  {1, 0, 3, 4}, {1, 7, 4, 4}, {2, 7, 4, 5}};
    struct kpi_answers *answers = make();

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct kpi_answer answer = {.kind = keys[i][0],
                                    .index = keys[i][1],
                                    .part = keys[i][2],
                                    .n_cells = 1,
                                    .cells = &cell};

        push(answers, &answer);
    }
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        uint32_t begin, end;

        kpi_answers_find(answers, wanted[i][0], wanted[i][1], &begin, &end);
        assert_int_equal(begin, wanted[i][2]);
        assert_int_equal(end, wanted[i][3]);
    }
    (void)kpi_answers_unref(answers);
}

static void encode(const struct kpi_answers *answers, uint8_t **ret_bytes, size_t *ret_size)
{
    assert_int_equal(kpi_answers_encode(answers, &counting.mem, (void **)ret_bytes, ret_size), 0);
}

static void test_round_trip(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        struct kpi_answers *answers = make_random(&random), *read;
        uint8_t *bytes;
        size_t size;

        encode(answers, &bytes, &size);
        assert_int_equal(kpi_answers_decode(&read, bytes, size, &counting.mem), 0);
        assert_equal(answers, read);
        kpi_mem_free(&counting.mem, bytes, size);
        (void)kpi_answers_unref(read);
        (void)kpi_answers_unref(answers);
    }
    assert_int_equal(counting.bytes, 0);
}

static void test_extremes_survive(void **state)
{
    const kpi_wide greatest = (kpi_wide)(~(unsigned __int128)0 >> 1);
    const kpi_wide cells[] = {greatest, -greatest - 1, 0, 1, -1};
    struct kpi_answer answer = {
        .kind = KPI_ANSWER_EXPERIMENT,
        .index = UINT32_MAX,
        .part = UINT32_MAX,
        .start = INT64_MIN,
        .n_values = 4,
        .values = {{NULL, 0}, {"", 0}, KPI_STRING("微信"), KPI_STRING("x")},
        .n_cells = COUNT_OF(cells),
        .cells = cells,
    };
    struct kpi_answers *answers = make(), *read;
    uint8_t *bytes;
    size_t size;

    push(answers, &answer);
    encode(answers, &bytes, &size);
    assert_int_equal(kpi_answers_decode(&read, bytes, size, &counting.mem), 0);
    assert_equal(answers, read);
    assert_null(kpi_answers_get(read, 0).values[0].data);
    assert_non_null(kpi_answers_get(read, 0).values[1].data);
    kpi_mem_free(&counting.mem, bytes, size);
    (void)kpi_answers_unref(read);
    (void)kpi_answers_unref(answers);
}

/* Seals bytes as if somebody had meant them, and reads them. */
static int decode(const uint8_t *payload, size_t length, struct kpi_answers **ret_answers)
{
    size_t size = KPI_OBJECT_HEADER_BYTES + length;
    uint8_t *bytes = malloc(size); /* its end is the sanitizer's */
    int r;

    if (length)
        memcpy(bytes + KPI_OBJECT_HEADER_BYTES, payload, length);
    kpi_object_seal(bytes, KPI_OBJECT_ANSWERS, 2, length);
    r = kpi_answers_decode(ret_answers, bytes, size, &counting.mem);
    free(bytes);
    return r;
}

static void test_cut_bytes_are_refused_or_shorter(void **state)
{
    uint64_t random = 7;
    struct kpi_answers *answers = make_random(&random), *read;
    uint32_t n_read = 0;
    uint8_t *bytes;
    size_t size;

    encode(answers, &bytes, &size);
    for (size_t length = 0; length < size - KPI_OBJECT_HEADER_BYTES; length++) {
        int r = decode(bytes + KPI_OBJECT_HEADER_BYTES, length, &read);

        if (r == 0) { /* cut between two answers */
            assert_int_equal(kpi_answers_n(read), n_read++);
            (void)kpi_answers_unref(read);
        } else {
            assert_int_equal(r, KPI_ANSWERS_E_CORRUPT);
        }
        assert_int_equal(kpi_answers_decode(&read, bytes, length, &counting.mem),
                         KPI_ANSWERS_E_CORRUPT);
    }
    assert_int_equal(n_read, kpi_answers_n(answers));
    kpi_mem_free(&counting.mem, bytes, size);
    (void)kpi_answers_unref(answers);
    assert_int_equal(counting.bytes, 0);
}

/* Whatever is changed, what comes out is refused or a set in order that can be written again. */
static void test_changed_bytes_do_no_harm(void **state)
{
    uint64_t random = 11;
    struct kpi_answers *answers = make_random(&random);
    uint8_t *bytes;
    size_t size;

    encode(answers, &bytes, &size);
    for (size_t i = KPI_OBJECT_HEADER_BYTES; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct kpi_answers *read = NULL;
            uint8_t *again;
            size_t size_again;

            bytes[i] ^= (uint8_t)(1 << bit);
            if (decode(bytes + KPI_OBJECT_HEADER_BYTES, size - KPI_OBJECT_HEADER_BYTES, &read) ==
                0) {
                encode(read, &again, &size_again);
                assert_int_equal(size_again, size);
                assert_memory_equal(again + KPI_OBJECT_HEADER_BYTES,
                                    bytes + KPI_OBJECT_HEADER_BYTES,
                                    size - KPI_OBJECT_HEADER_BYTES);
                kpi_mem_free(&counting.mem, again, size_again);
                (void)kpi_answers_unref(read);
            }
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    kpi_mem_free(&counting.mem, bytes, size);
    (void)kpi_answers_unref(answers);
    assert_int_equal(counting.bytes, 0);
}

static void test_bytes_that_are_no_set(void **state)
{
    static const struct {
        const char *what;
        uint8_t bytes[40];
        size_t length;
    } table[] = {
        {"unknown kind", {3, 0, 0, 0, 0, 0, 1, 2}, 8},
        {"five values", {0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}, 13},
        {"no cells", {0, 0, 0, 0, 0, 0, 0}, 7},
        {"more cells than bytes", {0, 0, 0, 0, 0, 0, 9, 2}, 8},
        {"a sketch of nothing", {0, 0, 0, 0, 0, 1, 0, 1, 2}, 9},
        {"a sketch that is cut", {0, 0, 0, 0, 0, 1, 1, 1, 2}, 9},
        {"a sketch with a tail", {0, 0, 0, 0, 0, 3, 1, 8, 0, 1, 2}, 11},
        {"a sketch longer than all", {0, 0, 0, 0, 0, 9, 1, 8}, 8},
        {"a value longer than any", {0, 0, 1, 0x83, 2, 'a'}, 6},
        {"a value that is cut", {0, 0, 1, 5, 'a'}, 5},
        {"an index of 33 bits", {0, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 0, 1, 2}, 12},
        {"a number with a tail of nothing", {0, 0x80, 0, 0, 0, 0, 0, 1, 2}, 9},
        {"a number without end",
         {0,    0,    0,    0,    0,    0,    1,    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
          0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
         29},
        {"the same key twice", {0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2}, 16},
        {"out of order", {1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2}, 16},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct kpi_answers *read;

        if (decode(table[i].bytes, table[i].length, &read) != KPI_ANSWERS_E_CORRUPT)
            fail_msg("taken: %s", table[i].what);
    }
    assert_int_equal(counting.bytes, 0);
}

/* Shards of an earlier version have left such in Redis. */
static void test_earlier_version_is_read(void **state)
{
    uint8_t bytes[KPI_OBJECT_HEADER_BYTES + 7] = {0};
    struct kpi_answers *read;

    bytes[KPI_OBJECT_HEADER_BYTES + 5] = 1; /* cell */
    bytes[KPI_OBJECT_HEADER_BYTES + 6] = 14;
    kpi_object_seal(bytes, KPI_OBJECT_ANSWERS, 1, 7);
    assert_int_equal(kpi_answers_decode(&read, bytes, sizeof(bytes), &counting.mem), 0);
    assert_int_equal(kpi_answers_n(read), 1);
    assert_true(kpi_answers_get(read, 0).cells[0] == 7);
    assert_int_equal(kpi_answers_get(read, 0).sketch.length, 0);
    (void)kpi_answers_unref(read);
}

static void test_later_version_is_told_apart(void **state)
{
    uint8_t bytes[KPI_OBJECT_HEADER_BYTES];
    struct kpi_answers *read;

    kpi_object_seal(bytes, KPI_OBJECT_ANSWERS, 3, 0);
    assert_int_equal(kpi_answers_decode(&read, bytes, sizeof(bytes), &counting.mem),
                     KPI_ANSWERS_E_NEWER);
    kpi_object_seal(bytes, KPI_OBJECT_SUPPLEMENT, 1, 0);
    assert_int_equal(kpi_answers_decode(&read, bytes, sizeof(bytes), &counting.mem),
                     KPI_ANSWERS_E_CORRUPT);
}

static void test_without_memory_nothing_changes(void **state)
{
    uint64_t random = 3, fail;
    struct kpi_answers *a = make_random(&random), *b = make_random(&random), *empty = make(),
                       *before = sum(a, empty);
    int r = -ENOMEM;

    for (fail = 1; r == -ENOMEM; fail++) {
        counting.n_calls = 0;
        counting.fail_at = fail;
        r = kpi_answers_add(a, b);
        counting.fail_at = 0;
        if (r == -ENOMEM)
            assert_equal(a, before);
    }
    assert_int_equal(r, 0);
    assert_true(fail > 3);
    (void)kpi_answers_unref(a);
    (void)kpi_answers_unref(b);
    (void)kpi_answers_unref(empty);
    (void)kpi_answers_unref(before);
    assert_int_equal(counting.bytes, 0);
}

static int setup(void **state)
{
    counting_mem_init(&counting);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_adding_commutes, setup),
        cmocka_unit_test_setup(test_adding_associates, setup),
        cmocka_unit_test_setup(test_shorter_vector_is_filled_with_zero, setup),
        cmocka_unit_test_setup(test_overflow_is_told_and_marked, setup),
        cmocka_unit_test_setup(test_find_one_of_a_kind, setup),
        cmocka_unit_test_setup(test_round_trip, setup),
        cmocka_unit_test_setup(test_extremes_survive, setup),
        cmocka_unit_test_setup(test_cut_bytes_are_refused_or_shorter, setup),
        cmocka_unit_test_setup(test_changed_bytes_do_no_harm, setup),
        cmocka_unit_test_setup(test_bytes_that_are_no_set, setup),
        cmocka_unit_test_setup(test_earlier_version_is_read, setup),
        cmocka_unit_test_setup(test_later_version_is_told_apart, setup),
        cmocka_unit_test_setup(test_without_memory_nothing_changes, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
