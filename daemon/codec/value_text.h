/*
 * Numbers as text and back, the same in every locale.
 */
#pragma once

#include <kpi/base.h>

/* Room for any written number with its end. */
enum {
    VALUE_TEXT_BYTES_MAX = 32,
};

enum {
    VALUE_TEXT_E_SYNTAX = 1, /* not a JSON number, or one with an exponent where none may be */
    VALUE_TEXT_E_RANGE,      /* does not fit into a kpi_decimal */
    VALUE_TEXT_E_DECIMALS,   /* finer than 10^-6 */
};

/* What text of a decimal may look like beside plain "-129.90"; bits. */
enum {
    VALUE_TEXT_EXPONENT = 1 << 0,       /* "1.299e2" is read, exactly */
    VALUE_TEXT_ZEROS_BEYOND_6 = 1 << 1, /* a 7th decimal may be written if it is zero */
};

/*
 * Reads a number in JSON's grammar (no plus sign, no leading zeros, digits on both sides of the
 * point) into units of 10^-6, through integers only. Decimals are counted as written: the
 * fraction's digits less the exponent. INT64_MIN, which stands for "absent", is out of range; -0 is
 * 0. Returns 0 or VALUE_TEXT_E_….
 */
int value_text_parse_decimal(const char *data, size_t length, unsigned allowed,
                             kpi_decimal *ret_decimal);

/* Writes a decimal with as few digits as it has: "129.9", "130", "-0.000001". Returns the length.
 */
size_t value_text_format_decimal(kpi_decimal decimal, char ret_text[VALUE_TEXT_BYTES_MAX]);

/*
 * Writes the shortest of 15, 16 or 17 significant digits that reads back as the same double, in a
 * form that JSON and the exposition formats take; NaN, +Inf and -Inf (which JSON does not take) are
 * written so. Returns the length.
 */
size_t value_text_format_double(double value, char ret_text[VALUE_TEXT_BYTES_MAX]);
