/* Claim: a hot set (base/set.c) holds exactly what a Roaring bitmap of the same ids holds, in at
 * most twice its memory; bytes that are no sound Roaring bitmap are told apart (base/bitmap.c);
 * the latest answer (base/latest.c) does not depend on the order of arrival; and what is removed of
 * either leaves nothing. */
#include "base/bitmap.h"
#include "base/latest.h"
#include "base/set.h"
#include "counting_mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct walk {
    const roaring_bitmap_t *expected;
    uint64_t n;
    int64_t last;
};

static void visit(void *userdata, uint32_t id)
{
    struct walk *walk = userdata;

    assert_true((int64_t)id > walk->last);
    assert_true(roaring_bitmap_contains(walk->expected, id));
    walk->last = id;
    walk->n++;
}

static void check_equal(const struct kpi_set *set, const struct kpi_mem *mem,
                        const roaring_bitmap_t *expected)
{
    struct walk walk = {expected, 0, -1};
    roaring_bitmap_t *bitmap;

    assert_int_equal(set->count, roaring_bitmap_get_cardinality(expected));
    kpi_set_iterate(set, visit, &walk);
    assert_int_equal(walk.n, set->count);
    assert_int_equal(kpi_set_to_roaring(set, mem, &bitmap), 0);
    assert_true(roaring_bitmap_equals(bitmap, expected));
    roaring_bitmap_free(bitmap);
}

static void fill(uint64_t seed, uint32_t range, uint32_t n)
{
    struct counting_mem counting;
    struct kpi_set set = {0};
    roaring_bitmap_t *expected = roaring_bitmap_create();

    counting_mem_init(&counting);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)(next_random(&seed) % range);
        bool is_new = roaring_bitmap_add_checked(expected, id);

        assert_int_equal(kpi_set_contains(&set, id), !is_new);
        assert_int_equal(kpi_set_add(&set, &counting.mem, id), is_new ? 0 : KPI_SET_E_PRESENT);
        assert_true(kpi_set_contains(&set, id));
    }
    check_equal(&set, &counting.mem, expected);
    assert_int_equal(counting.bytes, kpi_set_bytes(&set));
    kpi_set_deinit(&set, &counting.mem);
    assert_int_equal(counting.bytes, 0);
    roaring_bitmap_free(expected);
}

static void holds_what_roaring_holds(void **state)
{
    fill(1, 100, 300);
    fill(2, 65536, 2048);
    fill(3, 65536, 5000);
    fill(4, 65536, 400000);
    fill(5, 3000000, 100000);
    fill(6, UINT32_MAX, 20000);
}

/* What Roaring itself allocates for a container: its pointer, key and type, and the container. */
static size_t roaring_memory(const roaring_bitmap_t *bitmap)
{
    roaring_statistics_t statistics;

    roaring_bitmap_statistics(bitmap, &statistics);
    return statistics.n_containers * (8 + 2 + 1 + 16) + statistics.n_values_array_containers * 2 +
           statistics.n_bitset_containers * 8192;
}

static void takes_at_most_twice_its_roaring_form(void **state)
{
    static const uint32_t ranges[] = {1000, 65536, 1000000, 10000000};

    for (unsigned r = 0; r < 4; r++) {
        struct counting_mem counting;
        struct kpi_set set = {0};
        roaring_bitmap_t *roaring = roaring_bitmap_create();
        uint64_t seed = r;

        counting_mem_init(&counting);
        for (uint32_t i = 0; i < 200000; i++) {
            uint32_t id = (uint32_t)(next_random(&seed) % ranges[r]);

            roaring_bitmap_add(roaring, id);
            (void)kpi_set_add(&set, &counting.mem, id);
            if ((i & (i - 1)) == 0 || i % 20000 == 0)
                assert_in_range(kpi_set_bytes(&set), 1, 2 * roaring_memory(roaring));
        }
        kpi_set_deinit(&set, &counting.mem);
        roaring_bitmap_free(roaring);
    }
}

static void a_failed_allocation_changes_nothing(void **state)
{
    struct counting_mem counting;
    struct kpi_set set = {0};
    roaring_bitmap_t *expected = roaring_bitmap_create();
    uint64_t seed = 9;

    counting_mem_init(&counting);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t id = (uint32_t)(next_random(&seed) % 200000);
        uint64_t count = set.count;
        int r;

        counting.fail_at = counting.n_calls + 1;
        r = kpi_set_add(&set, &counting.mem, id);
        if (r < 0) {
            assert_int_equal(set.count, count);
            assert_false(kpi_set_contains(&set, id));
            counting.fail_at = 0;
            r = kpi_set_add(&set, &counting.mem, id);
        }
        counting.fail_at = 0;
        assert_int_equal(r, roaring_bitmap_add_checked(expected, id) ? 0 : KPI_SET_E_PRESENT);
    }
    check_equal(&set, &counting.mem, expected);
    kpi_set_deinit(&set, &counting.mem);
    roaring_bitmap_free(expected);
}

/* Bytes of a bitmap with an array, a bitset and a run container. */
static size_t make_bytes(char *bytes, size_t size_max)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    size_t size;

    for (uint32_t i = 0; i < 100; i++)
        roaring_bitmap_add(bitmap, i * 7);
    for (uint32_t i = 0; i < 30000; i++)
        roaring_bitmap_add(bitmap, 65536 + i * 2);
    roaring_bitmap_add_range(bitmap, 5 * 65536 + 10, 5 * 65536 + 9000);
    roaring_bitmap_run_optimize(bitmap);
    size = roaring_bitmap_portable_size_in_bytes(bitmap);
    assert_true(size <= size_max);
    roaring_bitmap_portable_serialize(bitmap, bytes);
    roaring_bitmap_free(bitmap);
    return size;
}

/* Every changed byte gives either a sound bitmap (then it is another one) or a refusal. */
static void bytes_that_are_no_bitmap_are_refused(void **state)
{
    static char bytes[16384], again[16384];
    size_t size = make_bytes(bytes, sizeof(bytes));
    roaring_bitmap_t *bitmap;

    assert_int_equal(kpi_bitmap_decode(bytes, size, 5 * 65536 + 9000, &bitmap), 0);
    roaring_bitmap_free(bitmap);
    assert_int_equal(kpi_bitmap_decode(bytes, size, 5 * 65536 + 8999, &bitmap),
                     KPI_BITMAP_E_CORRUPT);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(kpi_bitmap_decode(bytes, i, UINT32_MAX, &bitmap), KPI_BITMAP_E_CORRUPT);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (char)(1 << i % 8);
        if (kpi_bitmap_decode(bytes, size, UINT64_C(1) << 32, &bitmap) == 0) {
            assert_int_equal(roaring_bitmap_portable_size_in_bytes(bitmap), size);
            roaring_bitmap_portable_serialize(bitmap, again);
            assert_memory_equal(again, bytes, size);
            roaring_bitmap_free(bitmap);
        }
        bytes[i] ^= (char)(1 << i % 8);
    }
}

static void the_highest_time_wins_and_at_a_tie_yes(void **state)
{
    struct counting_mem counting;
    struct kpi_latest a = {0}, b = {0};
    uint64_t seed = 3;
    uint32_t ids[3000];
    uint64_t stamps[3000];
    bool changed;

    counting_mem_init(&counting);
    for (unsigned i = 0; i < 3000; i++) {
        ids[i] = (uint32_t)(next_random(&seed) % 500);
        stamps[i] = next_random(&seed) % 64;
        assert_int_equal(kpi_latest_put(&a, &counting.mem, ids[i], stamps[i], &changed), 0);
    }
    for (unsigned i = 3000; i-- > 0;)
        assert_int_equal(kpi_latest_put(&b, &counting.mem, ids[i], stamps[i], &changed), 0);
    assert_int_equal(a.n, b.n);
    assert_int_equal(a.n_yes, b.n_yes);
    for (uint32_t id = 0; id < 500; id++) {
        uint64_t best = 0;
        bool any = false;

        for (unsigned i = 0; i < 3000; i++)
            if (ids[i] == id) {
                best = !any || stamps[i] > best ? stamps[i] : best;
                any = true;
            }
        assert_int_equal(kpi_latest_find(&a, id) != NULL, any);
        if (any) {
            assert_true(kpi_latest_stamp(kpi_latest_find(&a, id)) == best);
            assert_true(kpi_latest_stamp(kpi_latest_find(&b, id)) == best);
        }
    }
    kpi_latest_deinit(&a, &counting.mem);
    kpi_latest_deinit(&b, &counting.mem);
    assert_int_equal(counting.bytes, 0);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Adds and removes at random; many ids that are not there, twice, and of pages that are not. */
static void removes_what_a_bitmap_removes(uint64_t seed, uint32_t range, uint32_t n_add,
                                          uint32_t n_remove)
{
    struct counting_mem counting;
    struct kpi_set set = {0};
    roaring_bitmap_t *expected = roaring_bitmap_create();
    uint32_t *ids = calloc(n_remove, sizeof(*ids));

    counting_mem_init(&counting);
    for (unsigned round = 0; round < 6; round++) {
        uint64_t removed = 0;

        for (uint32_t i = 0; i < n_add; i++) {
            uint32_t id = (uint32_t)(next_random(&seed) % range);

            assert_true(kpi_set_add(&set, &counting.mem, id) >= 0);
            roaring_bitmap_add(expected, id);
        }
        for (uint32_t i = 0; i < n_remove; i++)
            ids[i] = (uint32_t)(next_random(&seed) % (range + range / 4));
        qsort(ids, n_remove, sizeof(*ids), compare_ids);
        for (uint32_t i = 0; i < n_remove; i++)
            removed += roaring_bitmap_remove_checked(expected, ids[i]);
        assert_int_equal(kpi_set_remove(&set, &counting.mem, ids, n_remove), removed);
        check_equal(&set, &counting.mem, expected);
        assert_int_equal(counting.bytes, kpi_set_bytes(&set));
    }
    kpi_set_deinit(&set, &counting.mem);
    assert_int_equal(counting.bytes, 0);
    roaring_bitmap_free(expected);
    free(ids);
}

static void a_set_forgets_what_is_removed(void **state)
{
    removes_what_a_bitmap_removes(1, 300, 200, 150);        /* an array */
    removes_what_a_bitmap_removes(2, 65536, 40000, 30000);  /* bits */
    removes_what_a_bitmap_removes(3, 5000000, 2000, 60000); /* pages come and go */
    removes_what_a_bitmap_removes(4, 400000, 90000, 9);
}

static void tells_that_a_page_would_be_emptied(void **state)
{
    struct counting_mem counting;
    struct kpi_set set = {0};

    counting_mem_init(&counting);
    assert_int_equal(kpi_set_add(&set, &counting.mem, 1), 0);
    assert_int_equal(kpi_set_add(&set, &counting.mem, 2), 0);
    assert_int_equal(kpi_set_add(&set, &counting.mem, 65536), 0);
    assert_false(kpi_set_remove_empties(&set, (uint32_t[]){1, 3, 65537}, 3));
    assert_true(kpi_set_remove_empties(&set, (uint32_t[]){1, 2}, 2));
    assert_true(kpi_set_remove_empties(&set, (uint32_t[]){65536}, 1));
    assert_int_equal(kpi_set_remove(&set, &counting.mem, (uint32_t[]){1, 2, 65536}, 3), 3);
    assert_int_equal(set.n_pages, 0);
    kpi_set_deinit(&set, &counting.mem);
    assert_int_equal(counting.bytes, 0);
}

/* Against a plain array, with and without numbers; the table is as full as it gets. */
static void an_answer_is_removed(void **state)
{
    enum {
        IDS = 500
    };
    for (unsigned with_numbers = 0; with_numbers < 2; with_numbers++) {
        struct counting_mem counting;
        struct kpi_latest latest = {0};
        uint64_t stamps[IDS] = {0}, seed = 9;

        counting_mem_init(&counting);
        for (unsigned step = 0; step < 30000; step++) {
            uint32_t id = (uint32_t)(next_random(&seed) % IDS), n = 0, n_yes = 0;
            bool changed;

            if (next_random(&seed) % 3) {
                stamps[id] += 2 + (with_numbers ? 0 : next_random(&seed) % 2);
                assert_int_equal(
                    with_numbers ? kpi_latest_put_number(&latest, &counting.mem, id, stamps[id],
                                                         (int64_t)stamps[id] * 3, &changed)
                                 : kpi_latest_put(&latest, &counting.mem, id, stamps[id], &changed),
                    0);
            } else {
                assert_int_equal(kpi_latest_remove(&latest, id), stamps[id] > 0);
                stamps[id] = 0;
            }
            for (uint32_t i = 0; step % 64 == 0 && i < IDS; i++) {
                const struct kpi_latest_entry *entry = kpi_latest_find(&latest, i);

                assert_int_equal(entry != NULL, stamps[i] > 0);
                if (!entry)
                    continue;
                assert_true(kpi_latest_stamp(entry) == stamps[i]);
                if (with_numbers)
                    assert_true(latest.numbers[entry - latest.entries] == (int64_t)stamps[i] * 3);
                n++;
                n_yes += stamps[i] & 1;
            }
            if (step % 64 == 0) {
                assert_int_equal(latest.n, n);
                assert_int_equal(latest.n_yes, n_yes);
            }
        }
        kpi_latest_deinit(&latest, &counting.mem);
        assert_int_equal(counting.bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_roaring_holds),
        cmocka_unit_test(takes_at_most_twice_its_roaring_form),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
        cmocka_unit_test(bytes_that_are_no_bitmap_are_refused),
        cmocka_unit_test(the_highest_time_wins_and_at_a_tie_yes),
        cmocka_unit_test(a_set_forgets_what_is_removed),
        cmocka_unit_test(tells_that_a_page_would_be_emptied),
        cmocka_unit_test(an_answer_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
