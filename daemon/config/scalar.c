/* Durations, sizes, numbers, dates: parsed as text, never through a double. */
#include "config/scalar.h"

#include <ctype.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"us", 1},       {"ms", KPI_MILLISECOND}, {"s", KPI_SECOND}, {"m", KPI_MINUTE},
    {"h", KPI_HOUR}, {"d", KPI_DAY},          {NULL, 0},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at the front of text; false if there are none or they exceed 64 bits. */
static bool take_digits(struct kpi_string *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t n = 0;

    for (; n < text->length && is_digit(text->data[n]); n++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text->data[n] - '0'), &value))
            return false;
    }
    text->data += n;
    text->length -= n;
    *ret_value = value;
    return n > 0;
}

static bool take_char(struct kpi_string *text, char c)
{
    if (text->length == 0 || text->data[0] != c)
        return false;
    text->data++;
    text->length--;
    return true;
}

static bool number_with_unit(struct kpi_string text, const struct unit *units, uint64_t *ret_value)
{
    uint64_t value;

    if (!take_digits(&text, &value))
        return false;
    for (; units->name; units++) {
        if (strlen(units->name) == text.length && memcmp(units->name, text.data, text.length) == 0)
            return !__builtin_mul_overflow(value, units->factor, ret_value);
    }
    return false;
}

const char *scalar_duration(struct kpi_string text, kpi_duration *ret_duration)
{
    uint64_t value;

    if (!number_with_unit(text, duration_units, &value) || value > INT64_MAX)
        return "is not a duration: a whole number and a unit, as 300ms, 5s, 10m, 1h or 7d";
    *ret_duration = (kpi_duration)value;
    return NULL;
}

const char *scalar_bytes(struct kpi_string text, uint64_t *ret_bytes)
{
    uint64_t value;

    if (!number_with_unit(text, size_units, &value))
        return "is not a size: a whole number and a unit, as 64KiB, 512MiB or 1GiB";
    *ret_bytes = value;
    return NULL;
}

const char *scalar_integer(struct kpi_string text, uint64_t *ret_integer)
{
    uint64_t value;

    if (!take_digits(&text, &value) || text.length > 0)
        return "is not a whole number";
    *ret_integer = value;
    return NULL;
}

const char *scalar_decimal(struct kpi_string text, kpi_decimal *ret_decimal)
{
    static const char *const wrong =
        "is not a number: at most 12 digits, and 6 behind the point; no commas and no units";
    bool negative = take_char(&text, '-');
    uint64_t whole, value;

    if (!take_digits(&text, &whole))
        return wrong;
    if (__builtin_mul_overflow(whole, (uint64_t)KPI_DECIMAL_ONE, &value))
        return wrong;
    if (take_char(&text, '.')) {
        uint64_t weight = (uint64_t)KPI_DECIMAL_ONE / 10;
        size_t i;

        if (text.length == 0 || text.length > 6)
            return wrong;
        for (i = 0; i < text.length; i++, weight /= 10) {
            if (!is_digit(text.data[i]))
                return wrong;
            if (__builtin_add_overflow(value, weight * (uint64_t)(text.data[i] - '0'), &value))
                return wrong;
        }
        text.length = 0;
    }
    if (text.length > 0 || value > INT64_MAX)
        return wrong;
    *ret_decimal = negative ? -(kpi_decimal)value : (kpi_decimal)value;
    return NULL;
}

/* Days from civil, after Howard Hinnant: years begin in March, so that leap days come last. */
kpi_day scalar_day(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

/* Exactly n digits. */
static bool take_fixed(struct kpi_string *text, unsigned n, int *ret_value)
{
    unsigned i;
    int value = 0;

    if (text->length < n)
        return false;
    for (i = 0; i < n; i++) {
        if (!is_digit(text->data[i]))
            return false;
        value = value * 10 + (text->data[i] - '0');
    }
    text->data += n;
    text->length -= n;
    *ret_value = value;
    return true;
}

enum {
    DATE_OK,
    DATE_SHAPE,
    DATE_UNREAL
};

static int take_date(struct kpi_string *text, kpi_day *ret_day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, last;

    if (!take_fixed(text, 4, &year) || !take_char(text, '-') || !take_fixed(text, 2, &month) ||
        !take_char(text, '-') || !take_fixed(text, 2, &day))
        return DATE_SHAPE;
    if (month < 1 || month > 12)
        return DATE_UNREAL;
    last = days[month - 1];
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        last = 29;
    if (day < 1 || day > last)
        return DATE_UNREAL;
    *ret_day = scalar_day(year, month, day);
    return DATE_OK;
}

const char *scalar_date(struct kpi_string text, kpi_day *ret_day)
{
    kpi_day day;
    int r = take_date(&text, &day);

    if (r == DATE_SHAPE || text.length > 0)
        return "is not a date: YYYY-MM-DD, as 2026-11-01";
    if (r == DATE_UNREAL)
        return "is no day of the calendar";
    if (day < SCALAR_DAY_MIN || day > SCALAR_DAY_MAX)
        return "is outside 2000-01-01 to 2100-01-01";
    *ret_day = day;
    return NULL;
}

/* ":MM" and the zone after the hours; the offset in seconds east of UTC. */
static bool take_zone(struct kpi_string *text, int *ret_offset)
{
    int hours, minutes;
    bool west;

    if (take_char(text, 'Z') || take_char(text, 'z')) {
        *ret_offset = 0;
        return true;
    }
    west = take_char(text, '-');
    if (!west && !take_char(text, '+'))
        return false;
    if (!take_fixed(text, 2, &hours) || !take_char(text, ':') || !take_fixed(text, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_offset = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

const char *scalar_time(struct kpi_string text, kpi_time *ret_time)
{
    static const char *const wrong = "is not a time with zone, as 2026-11-01T00:00:00+08:00";
    int hour, minute, second, offset;
    int64_t fraction = 0, weight = KPI_SECOND;
    kpi_day day;

    if (take_date(&text, &day) != DATE_OK)
        return wrong;
    if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
        return wrong;
    if (!take_fixed(&text, 2, &hour) || !take_char(&text, ':') || !take_fixed(&text, 2, &minute) ||
        !take_char(&text, ':') || !take_fixed(&text, 2, &second))
        return wrong;
    if (hour > 23 || minute > 59 || second > 59)
        return wrong;
    if (take_char(&text, '.')) {
        if (text.length == 0 || !is_digit(text.data[0]))
            return wrong;
        for (; text.length > 0 && is_digit(text.data[0]); text.data++, text.length--) {
            weight /= 10; /* 0 beyond microseconds: cut */
            fraction += weight * (text.data[0] - '0');
        }
    }
    if (!take_zone(&text, &offset) || text.length > 0)
        return wrong;
    *ret_time =
        day * KPI_DAY + (((hour * 60 + minute) * 60) + second - offset) * KPI_SECOND + fraction;
    return NULL;
}

const char *scalar_day_offset(struct kpi_string text, int32_t *ret_days)
{
    static const char *const wrong = "is not an offset in days, as -15d or +5d";
    bool negative = take_char(&text, '-');
    uint64_t days;

    if (!negative && !take_char(&text, '+'))
        return wrong;
    if (!take_digits(&text, &days) || !take_char(&text, 'd') || text.length > 0 || days > 36525)
        return wrong;
    *ret_days = negative ? -(int32_t)days : (int32_t)days;
    return NULL;
}
