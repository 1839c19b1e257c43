/*
 * Claims: times are read and written as RFC 3339 says, by the Gregorian calendar, on every day of
 * the years 0000-9999. (What may not be read is in test_event_json.c, which goes through the same
 * parser.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/time_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static kpi_time parse(const char *text)
{
    kpi_time time = KPI_TIME_NONE;

    if (time_text_parse(text, strlen(text), &time) != 0)
        assert_int_equal(time, KPI_TIME_NONE); /* written on success only */
    return time;
}

static void check_format(kpi_time time, int32_t offset_s, const char *expected)
{
    char text[TIME_TEXT_BYTES_MAX];

    assert_int_equal(time_text_format(time, offset_s, text), strlen(expected));
    assert_string_equal(text, expected);
    assert_int_equal(parse(text), time);
}

static void check_format_utc(kpi_time time, const char *expected)
{
    char text[TIME_TEXT_BYTES_MAX];

    assert_int_equal(time_text_format_utc(time, text), strlen(expected));
    assert_string_equal(text, expected);
    assert_int_equal(parse(text), time);
}

static void test_a_zone_must_be_there(void **state)
{
    assert_int_equal(parse("2026-11-11T00:00:03"), KPI_TIME_NONE);
    assert_int_equal(parse("2026-11-11T00:00:03.5"), KPI_TIME_NONE);
    assert_int_equal(parse("2026-11-11T00:00:03Z"), 1794355203 * KPI_SECOND);
    assert_int_equal(parse("2026-11-11T00:00:03-00:00"), 1794355203 * KPI_SECOND);
    assert_int_equal(parse("2026-11-11T00:00:03+08:00"), 1794326403 * KPI_SECOND);
    assert_int_equal(parse("2026-11-11T00:00:03-23:59"), (1794355203 + 86340) * KPI_SECOND);
}

static void test_every_length_below_a_whole_time_is_refused(void **state)
{
    const char *text = "2026-11-11T00:00:03Z";

    for (size_t length = 0; length < strlen(text); length++) {
        char *block = malloc(length + 1);
        kpi_time time;

        memcpy(block, text, length);
        block = realloc(block, length ? length : 1); /* ends where the text ends */
        assert_int_equal(time_text_parse(block, length, &time), TIME_TEXT_E_INVALID);
        free(block);
    }
}

static void test_times_before_1970_are_read_and_written(void **state)
{
    check_format_utc(-1, "1969-12-31T23:59:59.999999Z");
    check_format_utc(-62167219200 * KPI_SECOND, "0000-01-01T00:00:00Z");
    check_format_utc(-62135596800 * KPI_SECOND, "0001-01-01T00:00:00Z");
}

static void test_fractions_are_written_only_if_there(void **state)
{
    check_format_utc(1794355203 * KPI_SECOND, "2026-11-11T00:00:03Z");
    check_format_utc(1794355203 * KPI_SECOND + 120000, "2026-11-11T00:00:03.120Z");
    check_format_utc(1794355203 * KPI_SECOND + 120001, "2026-11-11T00:00:03.120001Z");
    check_format_utc(253402300799999999, "9999-12-31T23:59:59.999999Z");
}

static void test_offsets_are_written_as_the_clock_shows(void **state)
{
    check_format(1794326403 * KPI_SECOND, 8 * 3600, "2026-11-11T00:00:03+08:00");
    check_format(1794326403 * KPI_SECOND, 0, "2026-11-10T16:00:03+00:00");
    check_format(1794326403 * KPI_SECOND, -(3 * 3600 + 1800), "2026-11-10T12:30:03-03:30");
    check_format(1794326403 * KPI_SECOND, -1800, "2026-11-10T15:30:03-00:30");
    check_format(0, -(44 * 60 + 30), "1969-12-31T23:16:00-00:44"); /* Monrovia until 1972 */
    check_format(0, 14 * 3600, "1970-01-01T14:00:00+14:00");
}

/* gmtime_r() is the calendar's second opinion. */
static void test_every_day_of_ten_thousand_years_comes_back(void **state)
{
    for (int64_t day = -719528; day < 2932897; day += 1) {
        time_t seconds = day * 86400 + 43200;
        struct tm tm;

        gmtime_r(&seconds, &tm);
        assert_int_equal(
            time_text_days(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday), day);
        assert_true(time_text_date_exists(tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
                                          (unsigned)tm.tm_mday));
        if (day % 61 == 0) {
            char text[TIME_TEXT_BYTES_MAX], expected[80];

            snprintf(expected, sizeof(expected), "%04d-%02d-%02dT12:00:00Z", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday);
            time_text_format_utc(seconds * KPI_SECOND, text);
            assert_string_equal(text, expected);
            assert_int_equal(parse(text), seconds * KPI_SECOND);
        }
    }
}

static void test_dates_that_do_not_exist(void **state)
{
    assert_false(time_text_date_exists(2026, 2, 29));
    assert_false(time_text_date_exists(1900, 2, 29));
    assert_false(time_text_date_exists(2024, 2, 30));
    assert_false(time_text_date_exists(2026, 6, 31));
    assert_false(time_text_date_exists(2026, 0, 1));
    assert_false(time_text_date_exists(2026, 13, 1));
    assert_false(time_text_date_exists(2026, 1, 0));
    assert_false(time_text_date_exists(2026, 1, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_zone_must_be_there),
        cmocka_unit_test(test_every_length_below_a_whole_time_is_refused),
        cmocka_unit_test(test_times_before_1970_are_read_and_written),
        cmocka_unit_test(test_fractions_are_written_only_if_there),
        cmocka_unit_test(test_offsets_are_written_as_the_clock_shows),
        cmocka_unit_test(test_every_day_of_ten_thousand_years_comes_back),
        cmocka_unit_test(test_dates_that_do_not_exist),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
