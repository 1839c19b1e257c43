/*
 * memory_kpi keeps the contract of struct kpi_mem at every size around the border between small and
 * mapped blocks: contents stay, alignment is as told, the count of bytes is exact, an impossible
 * size is NULL and leaves the old block.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/memory.h"

#define MIB ((size_t)1 << 20)

static void fill(uint8_t *block, size_t size)
{
    for (size_t i = 0; i < size; i += 509)
        block[i] = (uint8_t)(i / 509);
    block[size - 1] = 0x5a;
}

/* The first n bytes of a block that was filled when it was `size` long. */
static void check(const uint8_t *block, size_t size, size_t n)
{
    for (size_t i = 0; i < n; i += 509) {
        if (i != size - 1 && block[i] != (uint8_t)(i / 509))
            fail_msg("byte %zu of %zu", i, n);
    }
    if (n >= size)
        assert_int_equal(block[size - 1], 0x5a);
}

static void test_contents_and_alignment(void **state)
{
    static const size_t sizes[] = {
        1,           100,         64,      4096,     2 * MIB - 64, 2 * MIB - 1, 2 * MIB,
        2 * MIB + 1, 3 * MIB + 7, 9 * MIB, 5 * MIB,  2 * MIB,      1 * MIB,     64,
        3 * MIB,     10,          4 * MIB, 40 * MIB, 2 * MIB - 1,  24,
    };
    uint64_t before = memory_bytes();
    size_t old_size = 0;
    uint8_t *block = NULL;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        block = kpi_mem_resize(&memory_kpi, block, old_size, sizes[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (sizes[i] % 64 == 0 ? 64 : 16), 0);
        assert_int_equal(memory_bytes() - before, sizes[i]);
        if (old_size)
            check(block, old_size, old_size < sizes[i] ? old_size : sizes[i]);
        fill(block, sizes[i]);
        old_size = sizes[i];
    }
    kpi_mem_free(&memory_kpi, block, old_size);
    assert_int_equal(memory_bytes(), before);
}

static void test_big_blocks_stay_huge_page_aligned_when_they_move(void **state)
{
    uint8_t *blocks[4];
    size_t size = 2 * MIB;

    /* Grown by turns they stand in each other's way, so some must move. */
    for (int i = 0; i < 4; i++)
        blocks[i] = kpi_mem_alloc(&memory_kpi, size);
    for (; size < 32 * MIB; size *= 2) {
        for (int i = 0; i < 4; i++) {
            fill(blocks[i], size);
            blocks[i] = kpi_mem_resize(&memory_kpi, blocks[i], size, 2 * size);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % (2 * MIB), 0);
            check(blocks[i], size, size);
        }
    }
    for (int i = 0; i < 4; i++)
        kpi_mem_free(&memory_kpi, blocks[i], size);
}

static void test_impossible_sizes_leave_the_block(void **state)
{
    uint64_t before = memory_bytes();
    uint8_t *small = kpi_mem_alloc(&memory_kpi, 100), *big = kpi_mem_alloc(&memory_kpi, 3 * MIB);

    fill(small, 100);
    fill(big, 3 * MIB);
    assert_null(kpi_mem_alloc(&memory_kpi, SIZE_MAX));
    assert_null(kpi_mem_resize(&memory_kpi, small, 100, SIZE_MAX / 4));
    assert_null(kpi_mem_resize(&memory_kpi, big, 3 * MIB, SIZE_MAX / 4));
    check(small, 100, 100);
    check(big, 3 * MIB, 3 * MIB);
    assert_int_equal(memory_bytes() - before, 100 + 3 * MIB);
    kpi_mem_free(&memory_kpi, small, 100);
    kpi_mem_free(&memory_kpi, big, 3 * MIB);
}

static void test_zalloc_is_zero(void **state)
{
    uint8_t *block = kpi_mem_zalloc(&memory_kpi, 3 * MIB);

    for (size_t i = 0; i < 3 * MIB; i++) {
        if (block[i])
            fail_msg("byte %zu is %d", i, block[i]);
    }
    kpi_mem_free(&memory_kpi, block, 3 * MIB);
    kpi_mem_free(&memory_kpi, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents_and_alignment),
        cmocka_unit_test(test_big_blocks_stay_huge_page_aligned_when_they_move),
        cmocka_unit_test(test_impossible_sizes_leave_the_block),
        cmocka_unit_test(test_zalloc_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
