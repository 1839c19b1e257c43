/*
 * Tests daemon/sink/retry.c: what statuses mean, how long is waited (within the schedule, jittered
 * over all of it), and which forms of Retry-After are understood.
 */
#include "sink/retry.h"
#include "webhook_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const cJSON *expected(const cJSON *vectors, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(vectors, "expected"), name);

    assert_non_null(item);
    return item;
}

static void test_statuses(void **state)
{
    cJSON *vectors = webhook_vectors("wh-status");
    const cJSON *one;

    cJSON_ArrayForEach(one, expected(vectors, "success"))
        assert_int_equal(retry_judge(one->valueint), RETRY_DELIVERED);
    cJSON_ArrayForEach(one, expected(vectors, "failure_retry"))
        assert_int_equal(retry_judge(one->valueint), RETRY_LATER);
    cJSON_ArrayForEach(one, expected(vectors, "failure_disable_endpoint"))
        assert_int_equal(retry_judge(one->valueint), RETRY_GONE);
    cJSON_ArrayForEach(one, expected(vectors, "failure_throttle"))
        assert_int_equal(retry_judge(one->valueint), RETRY_THROTTLE);
    assert_int_equal(retry_judge(0), RETRY_LATER);
    assert_int_equal(retry_judge(199), RETRY_LATER);
    assert_int_equal(retry_judge(600), RETRY_LATER);
    cJSON_Delete(vectors);
}

static void test_retry_after_vectors(void **state)
{
    cJSON *vectors = webhook_vectors("wh-retry-after");
    const cJSON *query = cJSON_GetObjectItemCaseSensitive(vectors, "query"), *one;
    const int64_t now_s = (int64_t)cJSON_GetObjectItemCaseSensitive(query, "now_unix")->valuedouble;
    int64_t wait_s;

    cJSON_ArrayForEach(one, expected(vectors, "vectors"))
    {
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "value"));
        const cJSON *at = cJSON_GetObjectItemCaseSensitive(one, "not_before_unix");

        if (cJSON_IsNull(at)) {
            assert_int_equal(retry_after_parse(value, now_s, &wait_s), RETRY_E_INVALID);
        } else {
            assert_int_equal(retry_after_parse(value, now_s, &wait_s), 0);
            assert_int_equal(now_s + wait_s, (int64_t)at->valuedouble);
        }
    }
    cJSON_Delete(vectors);
}

static void test_retry_after_read(void **state)
{
    const int64_t now_s = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value;
        int64_t wait_s;
    } cases[] = {
        {"0", 0},
        {"0.0", 0},
        {"0.000001", 1},
        {"  7\t", 7},
        {"0007", 7},
        {"3600", 3600},
        {"3600.5", 3600},
        {"1000000000000", 3600},
        {"99999999999999999999999999999999", 3600},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60},
        {"Sun Nov  6 08:50:37 1994", 60},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 3600},
    };
    int64_t wait_s;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (retry_after_parse(cases[i].value, now_s, &wait_s) != 0)
            fail_msg("%s", cases[i].value);
        assert_int_equal(wait_s, cases[i].wait_s);
    }
}

static void test_retry_after_not_read(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "-1",
        "+1",
        "1e3",
        "0x10",
        "1.",
        ".5",
        "1.5.5",
        "1,5",
        "1 2",
        "NaN",
        "inf",
        "soon",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT and more",
        "06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "1994-11-06T08:49:37Z",
    };
    int64_t wait_s = 42;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (retry_after_parse(cases[i], 0, &wait_s) != RETRY_E_INVALID)
            fail_msg("%s", cases[i]);
    assert_int_equal(wait_s, 42);
}

static void test_schedule_is_for_people_on_call(void **state)
{
    static const unsigned schedule_s[] = {1, 5, 15, 60, 300, 300, 300};
    unsigned i;

    for (i = 0; i < sizeof(schedule_s) / sizeof(schedule_s[0]); i++)
        assert_int_equal(retry_delay_s_max(i + 1), schedule_s[i]);
    assert_int_equal(retry_delay_s_max(1000000), 300);
}

/*
 * Full jitter: over 10,000 draws each tenth of the range gets its tenth. The standard deviation of
 * such a count is 30, so five of them (150) are not left by chance, and the seed is fixed besides.
 */
static void test_jitter_is_uniform_over_the_whole_wait(void **state)
{
    uint64_t seed = 88172645463325252u;
    unsigned n_failed, tenths[10], i;

    for (n_failed = 1; n_failed <= 6; n_failed++) {
        const int64_t max_us = retry_delay_s_max(n_failed) * INT64_C(1000000);

        for (i = 0; i < 10; i++)
            tenths[i] = 0;
        for (i = 0; i < 10000; i++) {
            int64_t us;

            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            us = retry_delay_us(n_failed, seed, 1000000);
            assert_in_range(us, 0, max_us);
            tenths[us == max_us ? 9 : us * 10 / max_us]++;
        }
        for (i = 0; i < 10; i++)
            assert_in_range(tenths[i], 850, 1150);
    }
}

static void test_jitter_ends(void **state)
{
    assert_int_equal(retry_delay_us(2, 0, 1000000), 0);
    assert_int_equal(retry_delay_us(2, UINT64_MAX, 1000000), 5000000);
    assert_int_equal(retry_delay_us(2, UINT64_MAX, 1000), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_retry_after_vectors),
        cmocka_unit_test(test_retry_after_read),
        cmocka_unit_test(test_retry_after_not_read),
        cmocka_unit_test(test_schedule_is_for_people_on_call),
        cmocka_unit_test(test_jitter_is_uniform_over_the_whole_wait),
        cmocka_unit_test(test_jitter_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
