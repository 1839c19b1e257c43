/*
 * Claims: decimals and doubles are written with as few digits as they need and read back as the
 * same value, in any locale; decimals are read exactly or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/value_text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int parse(const char *text, unsigned allowed, kpi_decimal *ret_decimal)
{
    return value_text_parse_decimal(text, strlen(text), allowed, ret_decimal);
}

static void check_decimal(kpi_decimal decimal, const char *expected)
{
    char text[VALUE_TEXT_BYTES_MAX];
    kpi_decimal back = 0;

    assert_int_equal(value_text_format_decimal(decimal, text), strlen(expected));
    assert_string_equal(text, expected);
    assert_int_equal(parse(text, 0, &back), 0);
    assert_int_equal(back, decimal);
}

static void test_decimals_are_written_with_as_few_digits_as_they_have(void **state)
{
    check_decimal(0, "0");
    check_decimal(129900000, "129.9");
    check_decimal(130000000, "130");
    check_decimal(129990000, "129.99");
    check_decimal(1, "0.000001");
    check_decimal(-1, "-0.000001");
    check_decimal(-1500000, "-1.5");
    check_decimal(10000000, "10");
    check_decimal(100, "0.0001");
    check_decimal(INT64_MAX, "9223372036854.775807");
    check_decimal(-INT64_MAX, "-9223372036854.775807");
}

static void test_what_decimals_may_look_like_is_asked_for(void **state)
{
    kpi_decimal decimal = 7;

    assert_int_equal(parse("1e2", 0, &decimal), VALUE_TEXT_E_SYNTAX);
    assert_int_equal(parse("1.0000000", 0, &decimal), VALUE_TEXT_E_DECIMALS);
    assert_int_equal(parse("1.0000000", VALUE_TEXT_EXPONENT, &decimal), VALUE_TEXT_E_DECIMALS);
    assert_int_equal(parse("1.0000001", VALUE_TEXT_ZEROS_BEYOND_6, &decimal),
                     VALUE_TEXT_E_DECIMALS);
    assert_int_equal(parse("1e13", VALUE_TEXT_EXPONENT, &decimal), VALUE_TEXT_E_RANGE);
    assert_int_equal(parse("123456789012345678901234567890", 0, &decimal), VALUE_TEXT_E_RANGE);
    assert_int_equal(decimal, 7); /* written on success only */
    assert_int_equal(parse("1e2", VALUE_TEXT_EXPONENT, &decimal), 0);
    assert_int_equal(decimal, 100000000);
    assert_int_equal(parse("1.0000000", VALUE_TEXT_ZEROS_BEYOND_6, &decimal), 0);
    assert_int_equal(decimal, 1000000);
}

static void test_what_is_no_number_is_a_syntax_error(void **state)
{
    static const char *const texts[] = {"",    "-",   "+1",   ".5",  "1.",  "01",   "1.5.5", "1e",
                                        "1e+", "1x",  " 1",   "1 ",  "0x1", "--1",  "1,5",   "NaN",
                                        "e1",  "-.1", "1e1x", "1.x", "-01", "1e1.", "١"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        kpi_decimal decimal = 7;

        if (parse(texts[i], VALUE_TEXT_EXPONENT, &decimal) != VALUE_TEXT_E_SYNTAX)
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(decimal, 7);
    }
}

/* Short texts take a quicker way than long ones; zeros in front of the exponent force the long one.
 */
static void test_both_ways_of_reading_agree(void **state)
{
    uint64_t random = 1;

    for (unsigned i = 0; i < 100000; i++) {
        char text[VALUE_TEXT_BYTES_MAX], longer[VALUE_TEXT_BYTES_MAX + 8];
        kpi_decimal expected, decimal = 0;

        random = random * 6364136223846793005 + 1442695040888963407;
        expected = (kpi_decimal)random >> (i % 63);
        if (expected == INT64_MIN)
            continue;
        value_text_format_decimal(expected, text);
        assert_int_equal(parse(text, 0, &decimal), 0);
        assert_int_equal(decimal, expected);
        snprintf(longer, sizeof(longer), "%se+0000", text);
        assert_int_equal(parse(longer, VALUE_TEXT_EXPONENT, &decimal), 0);
        assert_int_equal(decimal, expected);
    }
}

static void check_double(double value, const char *expected)
{
    char text[VALUE_TEXT_BYTES_MAX];

    assert_int_equal(value_text_format_double(value, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void check_doubles(void)
{
    check_double(0.65, "0.65");
    check_double(0.1, "0.1");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1.0 / 3, "0.3333333333333333");
    check_double(4, "4");
    check_double(-2.5, "-2.5");
    check_double(0, "0");
    check_double(1e300, "1e+300");
    check_double(1.5e-9, "1.5e-09");
    check_double(123456789012, "123456789012");
    check_double(5e-324, "4.94065645841247e-324");
}

static void test_doubles_are_written_as_short_as_they_read_back(void **state)
{
    check_doubles();
}

static void test_doubles_that_are_no_numbers(void **state)
{
    check_double(NAN, "NaN");
    check_double(-NAN, "NaN");
    check_double(INFINITY, "+Inf");
    check_double(-INFINITY, "-Inf");
}

static void test_doubles_come_back_the_same(void **state)
{
    uint64_t random = 42;

    for (unsigned i = 0; i < 100000; i++) {
        char text[VALUE_TEXT_BYTES_MAX];
        double value;

        random = random * 6364136223846793005 + 1442695040888963407;
        memcpy(&value, &random, sizeof(value));
        if (!isfinite(value))
            continue;
        assert_true(value_text_format_double(value, text) < VALUE_TEXT_BYTES_MAX);
        assert_true(strtod(text, NULL) == value);
    }
}

static void test_a_locale_with_a_comma_changes_nothing(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "de_DE"};
    bool found = false;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++)
        found = setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ",") == 0;
    if (!found)
        skip(); /* no such locale on this machine */
    check_doubles();
    check_decimal(129900000, "129.9");
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimals_are_written_with_as_few_digits_as_they_have),
        cmocka_unit_test(test_what_decimals_may_look_like_is_asked_for),
        cmocka_unit_test(test_what_is_no_number_is_a_syntax_error),
        cmocka_unit_test(test_both_ways_of_reading_agree),
        cmocka_unit_test(test_doubles_are_written_as_short_as_they_read_back),
        cmocka_unit_test(test_doubles_that_are_no_numbers),
        cmocka_unit_test(test_doubles_come_back_the_same),
        cmocka_unit_test(test_a_locale_with_a_comma_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
