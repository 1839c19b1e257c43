/* Claim: base/users.c gives dense ids in order of first appearance, finds all of them again at any
 * size, and takes at most 32 bytes a user. */
#include "base/users.h"
#include "counting_mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint64_t hash_of(uint64_t i)
{
    uint64_t state = i;

    return next_random(&state);
}

static void ids_are_dense_and_found_again(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    assert_int_equal(kpi_users_find(&users, 1), KPI_USER_NONE);
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(kpi_users_find(&users, hash_of(i)), KPI_USER_NONE);
        assert_int_equal(kpi_users_add(&users, hash_of(i), &id), 0);
        assert_int_equal(id, i);
    }
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(kpi_users_find(&users, hash_of(i)), i);
        assert_true(kpi_users_hash(&users, i) == hash_of(i));
    }
    kpi_users_deinit(&users);
    assert_int_equal(counting.bytes, 0);
}

/* All hashes of one line: the worst that a table can be given. */
static void a_full_line_runs_over_into_the_next(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < 3000; i++)
        assert_int_equal(kpi_users_add(&users, UINT64_C(0xffffffff00000000) | i, &id), 0);
    for (uint32_t i = 0; i < 3000; i++)
        assert_int_equal(kpi_users_find(&users, UINT64_C(0xffffffff00000000) | i), i);
    assert_int_equal(kpi_users_find(&users, UINT64_C(0xffffffff00000000) | 3000), KPI_USER_NONE);
    kpi_users_deinit(&users);
}

static void takes_at_most_32_bytes_a_user(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < 1000000; i++) {
        assert_int_equal(kpi_users_add(&users, hash_of(i), &id), 0);
        if (i >= 200000 && i % 1000 == 0)
            assert_in_range(counting.bytes / i, 1, 31);
    }
    kpi_users_deinit(&users);
}

static void a_failed_allocation_changes_nothing(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < 20000; i++) {
        counting.fail_at = counting.n_calls + 1;
        if (kpi_users_add(&users, hash_of(i), &id) < 0) {
            assert_int_equal(users.n, i);
            assert_int_equal(kpi_users_find(&users, hash_of(i)), KPI_USER_NONE);
            counting.fail_at = 0;
            assert_int_equal(kpi_users_add(&users, hash_of(i), &id), 0);
        }
        assert_int_equal(id, i);
    }
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(kpi_users_find(&users, hash_of(i)), i);
    kpi_users_deinit(&users);
    assert_int_equal(counting.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_dense_and_found_again),
        cmocka_unit_test(a_full_line_runs_over_into_the_next),
        cmocka_unit_test(takes_at_most_32_bytes_a_user),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
