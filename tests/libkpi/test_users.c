/* Claim: base/users.c gives dense ids in order of first appearance, finds all of them again at any
 * size, takes at most 32 bytes a user, and leaves nothing of a user that is removed. */
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

/* Is the hash anywhere in the table? */
static bool has_bytes_of(const struct kpi_users *users, uint64_t hash)
{
    for (unsigned s = 0; s < KPI_USERS_SEGMENTS; s++)
        for (uint32_t i = 0; i < users->segments[s].n_lines; i++)
            for (uint32_t k = 0; k < KPI_USERS_PER_LINE; k++)
                if (users->segments[s].lines[i].hashes[k] == hash)
                    return true;
    for (uint32_t i = 0; i < users->n; i++)
        if (kpi_users_hash(users, i) == hash)
            return true;
    return false;
}

static void nothing_is_left_of_a_removed_user(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(kpi_users_add(&users, hash_of(i), &id), 0);
    assert_true(has_bytes_of(&users, hash_of(77)));
    kpi_users_remove(&users, hash_of(77));
    assert_false(has_bytes_of(&users, hash_of(77)));
    assert_int_equal(kpi_users_find(&users, hash_of(77)), KPI_USER_NONE);
    assert_true(kpi_users_hash(&users, 77) == KPI_USERS_NOBODY);
    assert_int_equal(kpi_users_n_known(&users), 999);
    kpi_users_deinit(&users);
    assert_int_equal(counting.bytes, 0);
}

static void an_id_is_never_given_again(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    assert_int_equal(kpi_users_add(&users, 5, &id), 0);
    kpi_users_remove(&users, 5);
    assert_int_equal(kpi_users_add(&users, 5, &id), 0);
    assert_int_equal(id, 1);
    kpi_users_remove(&users, 5);
    assert_int_equal(kpi_users_add_nobody(&users), 0);
    assert_int_equal(kpi_users_add(&users, 6, &id), 0);
    assert_int_equal(id, 3);
    assert_int_equal(users.n_removed, 3);
    kpi_users_deinit(&users);
}

static void a_barred_hash_is_found_as_such(void **state)
{
    struct counting_mem counting;
    struct kpi_users users;
    uint32_t id;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < 20000; i++) {
        assert_int_equal(kpi_users_bar(&users, hash_of(2 * i)), 0);
        assert_int_equal(kpi_users_add(&users, hash_of(2 * i + 1), &id), 0);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        assert_int_equal(kpi_users_find(&users, hash_of(2 * i)), KPI_USER_BARRED);
        assert_int_equal(kpi_users_find(&users, hash_of(2 * i + 1)), i);
        assert_true(kpi_users_barred(&users, i) == hash_of(2 * i));
    }
    assert_int_equal(kpi_users_n_known(&users), 40000);
    kpi_users_deinit(&users);
    assert_int_equal(counting.bytes, 0);
}

/* Few homes for many hashes: lines run over far, round the end too, and are closed again. */
static void removing_keeps_all_others_to_be_found(void **state)
{
    enum {
        HASHES = 600
    };
    struct counting_mem counting;
    uint32_t ids[HASHES], id;
    uint64_t hashes[HASHES], seed = 4;
    struct kpi_users users;

    counting_mem_init(&counting);
    kpi_users_init(&users, &counting.mem);
    for (uint32_t i = 0; i < HASHES; i++) {
        uint64_t home = i % 3 == 0 ? 0 : i % 3 == 1 ? UINT32_MAX : next_random(&seed) % 6 << 29;

        ids[i] = KPI_USER_NONE;
        hashes[i] = UINT64_C(3) << 58 | home << 26 | (i + 1);
    }
    for (uint32_t step = 0; step < 40000; step++) {
        uint32_t i = (uint32_t)(next_random(&seed) % HASHES);

        if (ids[i] == KPI_USER_NONE) {
            assert_int_equal(kpi_users_add(&users, hashes[i], &id), 0);
            ids[i] = id;
        } else {
            kpi_users_remove(&users, hashes[i]);
            ids[i] = KPI_USER_NONE;
        }
        for (uint32_t k = 0; step % 16 == 0 && k < HASHES; k++)
            assert_int_equal(kpi_users_find(&users, hashes[k]), ids[k]);
    }
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
        cmocka_unit_test(nothing_is_left_of_a_removed_user),
        cmocka_unit_test(an_id_is_never_given_again),
        cmocka_unit_test(a_barred_hash_is_found_as_such),
        cmocka_unit_test(removing_keeps_all_others_to_be_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
