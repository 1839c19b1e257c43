/*
 * Numbers as text. Decimals go through 64-bit integers from end to end: a sum of money that passes
 * through a double once is no longer the sum.
 */
#include "codec/value_text.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DECIMAL_PLACES = 6,
    DIGITS_MAX = 19,            /* of INT64_MAX */
    EXPONENT_CAP = 1000 * 1000, /* beyond any text that we are given */
};

/* A JSON number taken apart. All pointers lie in the text. */
struct number_parts {
    const char *digits; /* first digit */
    const char *end;    /* behind the last digit of integer and fraction */
    size_t n_fraction;
    long exponent;
    bool negative;
    bool has_exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *digits_skip(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

static int exponent_split(const char *p, const char *end, long *ret_exponent)
{
    bool negative = p < end && *p == '-';
    long exponent = 0;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end)
        return VALUE_TEXT_E_SYNTAX;
    for (; p < end; p++) {
        if (!is_digit(*p))
            return VALUE_TEXT_E_SYNTAX;
        if (exponent < EXPONENT_CAP)
            exponent = exponent * 10 + (*p - '0');
    }
    *ret_exponent = negative ? -exponent : exponent;
    return 0;
}

static int number_split(const char *p, const char *end, struct number_parts *ret_parts)
{
    struct number_parts parts = {0};
    const char *point;

    parts.negative = p < end && *p == '-';
    parts.digits = parts.negative ? p + 1 : p;
    point = digits_skip(parts.digits, end);
    if (point == parts.digits || (*parts.digits == '0' && point > parts.digits + 1))
        return VALUE_TEXT_E_SYNTAX;
    parts.end = point;
    if (point < end && *point == '.') {
        parts.end = digits_skip(point + 1, end);
        parts.n_fraction = (size_t)(parts.end - point - 1);
        if (parts.n_fraction == 0)
            return VALUE_TEXT_E_SYNTAX;
    }
    if (parts.end < end) {
        int r;

        if (*parts.end != 'e' && *parts.end != 'E')
            return VALUE_TEXT_E_SYNTAX;
        parts.has_exponent = true;
        r = exponent_split(parts.end + 1, end, &parts.exponent);
        if (r)
            return r;
    }
    *ret_parts = parts;
    return 0;
}

/*
 * The digits without leading zeros, and without trailing ones once 19 are there: as many as can
 * matter. *ret_zeros says how many zeros were left off at the end.
 */
static int significand_get(const struct number_parts *parts, uint64_t *ret_value, long *ret_zeros)
{
    uint64_t value = 0;
    unsigned n_digits = 0;
    long zeros = 0;

    for (const char *p = parts->digits; p < parts->end; p++) {
        if (*p == '.')
            continue;
        if (*p == '0') {
            zeros += n_digits > 0;
            continue;
        }
        if (n_digits > 0 && n_digits + (unsigned long)zeros >= DIGITS_MAX)
            return VALUE_TEXT_E_RANGE;
        for (; zeros > 0; zeros--, n_digits++)
            value *= 10;
        value = value * 10 + (uint64_t)(*p - '0');
        n_digits++;
    }
    *ret_value = value;
    *ret_zeros = zeros;
    return 0;
}

/* value * 10^shift in units that are whole; 19 digits always fit 64 bits unsigned. */
static int scale(uint64_t value, long shift, uint64_t *ret_value)
{
    if (shift < 0)
        return VALUE_TEXT_E_DECIMALS;
    for (; shift > 0; shift--) {
        if (value > INT64_MAX / 10)
            return VALUE_TEXT_E_RANGE;
        value *= 10;
    }
    if (value > INT64_MAX)
        return VALUE_TEXT_E_RANGE;
    *ret_value = value;
    return 0;
}

/* Up to 8 bytes, the first one lowest. */
static inline uint64_t bytes8_get(const char *p, size_t length)
{
    uint64_t value = 0;

    if (length >= 4) {
        uint32_t low, high;

        memcpy(&low, p, 4);
        memcpy(&high, p + length - 4, 4); /* overlaps */
        return le32toh(low) | (uint64_t)le32toh(high) << (length - 4) * 8;
    }
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)(uint8_t)p[i] << i * 8;
    return value;
}

/* The number of eight digits, each a byte of 0 to 9, the first one lowest. */
static inline uint32_t digits8_get(uint64_t digits)
{
    const uint64_t every_other = 0x000000ff000000ff;

    digits = digits * 10 + (digits >> 8); /* pairs, in bytes 0, 2, 4 and 6 */
    return (uint32_t)(((digits & every_other) * (100 + ((uint64_t)1000000 << 32)) +
                       (digits >> 16 & every_other) * (1 + ((uint64_t)10000 << 32))) >>
                      32);
}

/*
 * What nearly all are: at most eight bytes, digits and perhaps a point. True if that is what it
 * was. The point is taken out of the word, and the digits are moved up so that zeros lead.
 */
static bool decimal_parse_short(const char *p, size_t length, kpi_decimal *ret_decimal)
{
    static const uint32_t units[DECIMAL_PLACES + 1] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    const uint64_t zeros = 0x3030303030303030, room = 0x7676767676767676, tops = 0x8080808080808080;
    size_t n_digits = length, n_fraction = 0;
    uint64_t x, others;

    if (length == 0 || length > 8)
        return false;
    x = (bytes8_get(p, length) ^ zeros) & UINT64_MAX >> (8 - length) * 8;
    others = ((x + room) | x) & tops; /* the lowest one is right */
    if (others) {
        size_t point = (size_t)__builtin_ctzll(others) / 8;
        uint64_t below = ((uint64_t)1 << point * 8) - 1;

        n_digits--;
        n_fraction = n_digits - point;
        if (p[point] != '.' || point == 0 || n_fraction == 0 || n_fraction > DECIMAL_PLACES)
            return false;
        x = (x & below) | (x >> 8 & ~below);
        if (((x + room) | x) & tops)
            return false;
    }
    if ((uint8_t)x == 0 && n_digits > n_fraction + 1)
        return false; /* a leading zero */
    *ret_decimal = (kpi_decimal)digits8_get(x << (8 - n_digits) * 8) * units[n_fraction];
    return true;
}

/* Not inlined: what it needs of stack and registers is not for the short ones to pay. */
__attribute__((noinline)) static int decimal_parse_any(const char *data, size_t length,
                                                       unsigned allowed, kpi_decimal *ret_decimal)
{
    struct number_parts parts;
    uint64_t value;
    long zeros, shift;
    int r;

    r = number_split(data, data + length, &parts);
    if (r)
        return r;
    if (parts.has_exponent && !(allowed & VALUE_TEXT_EXPONENT))
        return VALUE_TEXT_E_SYNTAX;
    shift = parts.exponent - (long)parts.n_fraction + DECIMAL_PLACES;
    if (shift < 0 && !(allowed & VALUE_TEXT_ZEROS_BEYOND_6))
        return VALUE_TEXT_E_DECIMALS;
    r = significand_get(&parts, &value, &zeros);
    if (r)
        return r;
    if (value == 0) {
        *ret_decimal = 0;
        return 0;
    }
    r = scale(value, shift + zeros, &value);
    if (r)
        return r;
    *ret_decimal = parts.negative ? -(kpi_decimal)value : (kpi_decimal)value;
    return 0;
}

int value_text_parse_decimal(const char *data, size_t length, unsigned allowed,
                             kpi_decimal *ret_decimal)
{
    if (decimal_parse_short(data, length, ret_decimal))
        return 0;
    return decimal_parse_any(data, length, allowed, ret_decimal);
}

size_t value_text_format_decimal(kpi_decimal decimal, char ret_text[VALUE_TEXT_BYTES_MAX])
{
    uint64_t magnitude = decimal < 0 ? -(uint64_t)decimal : (uint64_t)decimal;
    uint64_t whole = magnitude / KPI_DECIMAL_ONE, fraction = magnitude % KPI_DECIMAL_ONE;
    int n_decimals = DECIMAL_PLACES;
    const char *sign = decimal < 0 ? "-" : "";
    int n;

    if (fraction == 0) {
        n = snprintf(ret_text, VALUE_TEXT_BYTES_MAX, "%s%llu", sign, (unsigned long long)whole);
        return (size_t)n;
    }
    for (; fraction % 10 == 0; fraction /= 10)
        n_decimals--;
    n = snprintf(ret_text, VALUE_TEXT_BYTES_MAX, "%s%llu.%0*llu", sign, (unsigned long long)whole,
                 n_decimals, (unsigned long long)fraction);
    return (size_t)n;
}

/* Puts a point where the locale has put its own sign, which may be of several bytes. */
static size_t point_normalise(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        if (is_digit(*p) || *p == '-' || *p == '+' || *p == 'e')
            *to++ = *p;
        else if (to[-1] != '.')
            *to++ = '.';
    }
    *to = '\0';
    return (size_t)(to - text);
}

size_t value_text_format_double(double value, char ret_text[VALUE_TEXT_BYTES_MAX])
{
    if (isnan(value))
        return (size_t)snprintf(ret_text, VALUE_TEXT_BYTES_MAX, "NaN");
    if (isinf(value))
        return (size_t)snprintf(ret_text, VALUE_TEXT_BYTES_MAX, value < 0 ? "-Inf" : "+Inf");

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret_text, VALUE_TEXT_BYTES_MAX, "%.*g", digits, value);
        /* Written and read in the same locale, so its decimal sign does not matter here. */
        if (strtod(ret_text, NULL) == value)
            break;
    }
    return point_normalise(ret_text);
}
