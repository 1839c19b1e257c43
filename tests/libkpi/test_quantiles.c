/* Claim: quantiles of a sketch (sketch/quantiles.c) are those of the sorted numbers by nearest
 * rank, exactly up to 1,000 numbers and within 1 % above; a sketch is the same whatever the order
 * of the numbers and however they were split; its bytes come back as it, and hostile ones are
 * refused. */
#include "counting_mem.h"
#include "sketch/quantiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>

#define N_MAX 20000

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Numbers of one of several sorts. */
static int64_t number(uint64_t *seed, unsigned sort)
{
    uint64_t random = next_random(seed);

    switch (sort) {
    case 0: /* seconds of a visit: log-uniform */
        return (int64_t)(exp((double)(random % 10000) / 700) * 1e6);
    case 1: /* few different ones */
        return (int64_t)(random % 7) * KPI_DECIMAL_ONE;
    case 2: /* around zero */
        return (int64_t)(random % 2000) - 1000;
    case 3: /* all there are */
        return (int64_t)random;
    default: /* money, either way */
        return ((int64_t)(random % 2000000) - 500000) * 10000;
    }
}

static void fill(int64_t *numbers, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = number(&seed, (unsigned)seed % 5);
}

static void fill_sort(int64_t *numbers, uint32_t n, uint64_t seed, unsigned sort)
{
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = number(&seed, sort);
}

static void put_all(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                    const int64_t *numbers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(kpi_quantiles_put(quantiles, mem, numbers[i]), 0);
}

static struct kpi_buffer encoded(const struct kpi_quantiles *quantiles, const struct kpi_mem *mem)
{
    struct kpi_buffer buffer = {.mem = mem};

    kpi_quantiles_encode(quantiles, &buffer);
    assert_false(buffer.failed);
    return buffer;
}

static void assert_same(const struct kpi_quantiles *a, const struct kpi_quantiles *b,
                        const struct kpi_mem *mem)
{
    struct kpi_buffer x = encoded(a, mem), y = encoded(b, mem);

    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    kpi_buffer_deinit(&x);
    kpi_buffer_deinit(&y);
}

static void check_against_sorted(struct kpi_quantiles *quantiles, int64_t *numbers, uint32_t n)
{
    static const kpi_decimal shares[] = {1, 1000, 250000, 500000, 900000, 990000, 999999};

    qsort(numbers, n, sizeof(*numbers), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
        uint64_t rank = ((uint64_t)n * (uint64_t)shares[i] + 999999) / 1000000;
        int64_t exact = numbers[rank - 1], got = kpi_quantiles_value(quantiles, shares[i]);

        if (n <= KPI_QUANTILES_EXACT)
            assert_int_equal(got, exact);
        else
            assert_true(fabs((double)got - (double)exact) <= fabs((double)exact) / 128);
    }
}

static void test_nearest_rank_of_known_numbers(void **state)
{
    static const int64_t numbers[] = {15, 20, 35, 40, 50}; /* the textbook's example */
    struct counting_mem counting;
    struct kpi_quantiles quantiles = {0};

    counting_mem_init(&counting);
    put_all(&quantiles, &counting.mem, numbers, 5);
    assert_int_equal(kpi_quantiles_value(&quantiles, 50000), 15);
    assert_int_equal(kpi_quantiles_value(&quantiles, 300000), 20);
    assert_int_equal(kpi_quantiles_value(&quantiles, 400000), 20);
    assert_int_equal(kpi_quantiles_value(&quantiles, 500000), 35);
    assert_int_equal(kpi_quantiles_value(&quantiles, 999999), 50);
    kpi_quantiles_deinit(&quantiles, &counting.mem);
    assert_int_equal(counting.bytes, 0);
}

static void test_exact_up_to_a_thousand_and_within_a_percent_above(void **state)
{
    static const uint32_t sizes[] = {1, 2, 10, 999, 1000, 1001, 3000, N_MAX};
    static int64_t numbers[N_MAX];
    struct counting_mem counting;

    counting_mem_init(&counting);
    for (unsigned sort = 0; sort < 5; sort++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
            struct kpi_quantiles quantiles = {0};

            fill_sort(numbers, sizes[s], s * 7 + sort, sort);
            put_all(&quantiles, &counting.mem, numbers, sizes[s]);
            assert_int_equal(quantiles.n, sizes[s]);
            assert_int_equal(kpi_quantiles_are_exact(&quantiles), sizes[s] <= 1000);
            check_against_sorted(&quantiles, numbers, sizes[s]);
            assert_int_equal(kpi_quantiles_bytes(&quantiles), counting.bytes);
            assert_true(counting.bytes <= (size_t)120 * 1024);
            kpi_quantiles_deinit(&quantiles, &counting.mem);
        }
    assert_int_equal(counting.bytes, 0);
}

static void test_extremes_of_the_range(void **state)
{
    static const int64_t numbers[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    static int64_t all[7 * 200];
    struct counting_mem counting;
    struct kpi_quantiles quantiles = {0};

    counting_mem_init(&counting);
    for (unsigned i = 0; i < 7 * 200; i++)
        all[i] = numbers[i % 7];
    put_all(&quantiles, &counting.mem, all, 7 * 200);
    check_against_sorted(&quantiles, all, 7 * 200);
    assert_int_equal(kpi_quantiles_value(&quantiles, 500000), 0);
    kpi_quantiles_deinit(&quantiles, &counting.mem);
}

static void test_order_and_split_are_nothing(void **state)
{
    static int64_t numbers[3000];
    struct counting_mem counting;

    counting_mem_init(&counting);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t random = seed;
        uint32_t n = (uint32_t)(next_random(&random) % (seed % 3 ? 3000 : 1100));
        uint32_t n_parts = 1 + (uint32_t)(next_random(&random) % 16);
        struct kpi_quantiles whole = {0}, sum = {0}, at_once, parts[16] = {0};
        const struct kpi_quantiles *all[16];

        fill(numbers, n, seed);
        put_all(&whole, &counting.mem, numbers, n);
        for (uint32_t i = n; i > 0; i--) /* backwards, and dealt out */
            put_all(&parts[next_random(&random) % n_parts], &counting.mem, &numbers[i - 1], 1);
        for (uint32_t i = 0; i < n_parts; i++)
            all[i] = &parts[i];
        assert_int_equal(kpi_quantiles_sum(&at_once, &counting.mem, all, n_parts), 0);
        for (uint32_t i = 0; i < n_parts; i++) {
            assert_int_equal(kpi_quantiles_add(&sum, &counting.mem, &parts[i]), 0);
            kpi_quantiles_deinit(&parts[i], &counting.mem);
        }
        assert_int_equal(sum.n, n);
        assert_same(&sum, &whole, &counting.mem);
        assert_same(&at_once, &whole, &counting.mem);
        kpi_quantiles_deinit(&sum, &counting.mem);
        kpi_quantiles_deinit(&at_once, &counting.mem);
        kpi_quantiles_deinit(&whole, &counting.mem);
    }
    assert_int_equal(counting.bytes, 0);
}

static void test_bytes_come_back(void **state)
{
    static const uint32_t sizes[] = {0, 1, 1000, 1001, 5000};
    static int64_t numbers[5000];
    struct counting_mem counting;

    counting_mem_init(&counting);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        struct kpi_quantiles quantiles = {0}, read = {0};
        struct kpi_buffer bytes;
        struct kpi_reader reader;

        fill(numbers, sizes[s], 99 + s);
        put_all(&quantiles, &counting.mem, numbers, sizes[s]);
        bytes = encoded(&quantiles, &counting.mem);
        reader = kpi_reader_make(bytes.data, bytes.size);
        assert_int_equal(kpi_quantiles_decode(&read, &counting.mem, &reader), 0);
        assert_true(kpi_reader_done(&reader));
        assert_same(&read, &quantiles, &counting.mem);
        kpi_buffer_deinit(&bytes);
        kpi_quantiles_deinit(&read, &counting.mem);
        kpi_quantiles_deinit(&quantiles, &counting.mem);
    }
    assert_int_equal(counting.bytes, 0);
}

/* Truncated or altered bytes are refused or are another sound sketch; nothing else happens. */
static void test_hostile_bytes(void **state)
{
    static int64_t numbers[1500];
    struct counting_mem counting;
    uint64_t random = 5;

    counting_mem_init(&counting);
    for (unsigned round = 0; round < 4000; round++) {
        struct kpi_quantiles quantiles = {0}, read = {0};
        uint32_t n = round % 2 ? 1500 : 20;
        struct kpi_buffer bytes;
        struct kpi_reader reader;
        int r;

        fill(numbers, n, round % 8);
        put_all(&quantiles, &counting.mem, numbers, n);
        bytes = encoded(&quantiles, &counting.mem);
        for (unsigned i = 0; i < 1 + round % 3; i++)
            bytes.data[next_random(&random) % (i ? bytes.size : 6)] = (uint8_t)next_random(&random);
        reader = kpi_reader_make(bytes.data, round % 5 ? bytes.size : bytes.size / 2);
        r = kpi_quantiles_decode(&read, &counting.mem, &reader);
        assert_true(r == 0 || r == KPI_QUANTILES_E_CORRUPT);
        if (r == 0 && read.n > 0) {
            assert_true(kpi_quantiles_value(&read, 1) <= kpi_quantiles_value(&read, 999999));
            assert_int_equal(kpi_quantiles_add(&quantiles, &counting.mem, &read), 0);
        }
        kpi_quantiles_deinit(&read, &counting.mem);
        kpi_quantiles_deinit(&quantiles, &counting.mem);
        kpi_buffer_deinit(&bytes);
    }
    assert_int_equal(counting.bytes, 0);
}

static void test_half_of_the_bytes_is_refused(void **state)
{
    static int64_t numbers[1500];
    struct counting_mem counting;
    struct kpi_quantiles quantiles = {0}, read;
    struct kpi_buffer bytes;

    counting_mem_init(&counting);
    fill(numbers, 1500, 3);
    put_all(&quantiles, &counting.mem, numbers, 1500);
    bytes = encoded(&quantiles, &counting.mem);
    for (size_t size = 0; size < bytes.size; size++) {
        struct kpi_reader reader = kpi_reader_make(bytes.data, size);

        assert_int_equal(kpi_quantiles_decode(&read, &counting.mem, &reader),
                         KPI_QUANTILES_E_CORRUPT);
    }
    kpi_buffer_deinit(&bytes);
    kpi_quantiles_deinit(&quantiles, &counting.mem);
}

static void test_out_of_memory(void **state)
{
    static int64_t numbers[1200];
    uint64_t n_calls = 0;

    fill_sort(numbers, 1200, 8, 0);
    for (uint64_t fail_at = 0; fail_at == 0 || fail_at <= n_calls; fail_at++) {
        struct kpi_quantiles quantiles = {0};
        struct counting_mem counting;
        int r = 0;

        counting_mem_init(&counting);
        counting.fail_at = fail_at;
        for (uint32_t i = 0; i < 1200 && r == 0; i++)
            r = kpi_quantiles_put(&quantiles, &counting.mem, numbers[i]);
        assert_int_equal(r, fail_at ? -ENOMEM : 0);
        if (fail_at == 0)
            n_calls = counting.n_calls;
        kpi_quantiles_deinit(&quantiles, &counting.mem);
        assert_int_equal(counting.bytes, 0);
    }
    assert_true(n_calls < 40); /* grows by doubling */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_rank_of_known_numbers),
        cmocka_unit_test(test_exact_up_to_a_thousand_and_within_a_percent_above),
        cmocka_unit_test(test_extremes_of_the_range),
        cmocka_unit_test(test_order_and_split_are_nothing),
        cmocka_unit_test(test_bytes_come_back),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_half_of_the_bytes_is_refused),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
