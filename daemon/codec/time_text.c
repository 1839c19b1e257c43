/*
 * RFC 3339 and the civil calendar. The day arithmetic is Howard Hinnant's ("chrono-compatible
 * low-level date algorithms"): years begin in March, so the leap day is the last one, and eras of
 * 400 years all have the same length.
 */
#include "codec/time_text.h"

#include <assert.h>
#include <endian.h>

enum {
    DAYS_PER_ERA = 146097,  /* 400 years */
    DAYS_TO_EPOCH = 719468, /* 0000-03-01 to 1970-01-01 */
    SECONDS_PER_DAY = 86400,
    SHORTEST_BYTES = sizeof("2026-11-11T00:00:00Z") - 1,
    ZONE_BYTES = sizeof("+08:00") - 1,
};

/* For years from 0 on; years of March are counted from -400, so that none is negative. */
static inline int64_t days_get(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t days_before[13] = {0,   306, 337, 0,   31,  61, 92,
                                             122, 153, 184, 214, 245, 275};
    unsigned shifted = year + 400 - (month <= 2), century = shifted / 100;
    unsigned leap_days = shifted / 4 - century + century / 4;

    return (int64_t)(shifted * 365 + leap_days + days_before[month] + day - 1) - DAYS_PER_ERA -
           DAYS_TO_EPOCH;
}

int64_t time_text_days(int64_t year, unsigned month, unsigned day)
{
    int64_t era = (year >= 0 ? year : year - 399) / 400;

    return era * DAYS_PER_ERA + days_get((unsigned)(year - era * 400), month, day);
}

static inline bool date_exists(int64_t year, unsigned month, unsigned day)
{
    static const uint8_t lengths[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (month < 1 || month > 12 || day < 1)
        return false;
    if (day <= lengths[month])
        return true;
    return month == 2 && day == 29 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

bool time_text_date_exists(int64_t year, unsigned month, unsigned day)
{
    return date_exists(year, month, day);
}

/* Eight bytes, the first one lowest. */
static inline uint64_t word_get(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return le64toh(word);
}

/*
 * Eight bytes of which some are digits and the others given separators, turned into numbers two
 * digits at a time: byte i of the result is digits i and i + 1 as a number. False if a byte does
 * not fit.
 *
 * XOR with the pattern (a zero for each digit) leaves 0-9 where a digit was and nothing where a
 * separator was; adding `room` then carries into bit 7 of every byte that is too large.
 */
static inline bool digits8_get(uint64_t word, const char pattern[8], uint64_t room,
                               uint64_t *ret_pairs)
{
    uint64_t x = word ^ word_get(pattern);

    if (((x + room) | x) & 0x8080808080808080)
        return false;
    *ret_pairs = x * 10 + (x >> 8);
    return true;
}

#define ROOM_DIGIT     ((uint64_t)0x7f - 9)
#define ROOM_SEPARATOR ((uint64_t)0x7f)
#define ROOM2(shift)   (ROOM_DIGIT << (shift) | ROOM_DIGIT << ((shift) + 8))
#define ROOM_DATE      (ROOM2(0) | ROOM2(16) | ROOM_SEPARATOR << 32 | ROOM2(40) | ROOM_SEPARATOR << 56)
#define ROOM_CLOCK     (ROOM2(0) | ROOM_SEPARATOR << 16 | ROOM2(24) | ROOM_SEPARATOR << 40 | ROOM2(48))

#define ROOM_ZONE (ROOM2(0) | ROOM_SEPARATOR << 16 | ROOM2(24))
#define ROOM_ALL  (ROOM2(0) | ROOM2(16) | ROOM2(32) | ROOM2(48))

static inline unsigned pair_get(uint64_t pairs, unsigned index)
{
    return pairs >> index * 8 & 0xff;
}

/* Two digits as a number; 100 and more if one is none. */
static inline unsigned digits2_get(const char *p)
{
    unsigned tens = (unsigned)(uint8_t)p[0] - '0', ones = (unsigned)(uint8_t)p[1] - '0';

    return tens <= 9 && ones <= 9 ? tens * 10 + ones : 100;
}

/*
 * Fraction digits from p, at least one: microseconds, what is finer cut off. Returns behind them.
 */
static inline const char *fraction_parse(const char *p, const char *end, uint32_t *ret_microseconds)
{
    static const uint32_t units[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    const char *start = p;
    uint32_t value = 0;

    if (end - p >= 8) {
        uint64_t x = word_get(p) ^ 0x3030303030303030;
        uint64_t others = ((x + ROOM_ALL) | x) & 0x8080808080808080; /* the lowest is right */

        if (others & 0x0080808080808000) {
            unsigned n_bits = (unsigned)__builtin_ctzll(others) & ~7u;

            x &= ((uint64_t)1 << n_bits) - 1;
            x = x * 10 + (x >> 8);
            *ret_microseconds = pair_get(x, 0) * 10000 + pair_get(x, 2) * 100 + pair_get(x, 4);
            return n_bits > 0 ? p + n_bits / 8 : NULL;
        }
    }
    for (; p < end && p < start + 6 && *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint32_t)(*p - '0');
    if (p == start)
        return NULL;
    *ret_microseconds = value * units[p - start];
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The zone must be all that is left, of a text that is at least eight bytes long. */
static inline bool zone_parse(const char *p, const char *end, int64_t *ret_offset_s)
{
    uint64_t pairs;
    unsigned hours, minutes;
    int64_t offset_s;

    if (end - p == 1 && (*p == 'Z' || *p == 'z')) {
        *ret_offset_s = 0;
        return true;
    }
    if (end - p != ZONE_BYTES || (*p != '+' && *p != '-') ||
        !digits8_get(word_get(end - 8) >> 24, "00:00\0\0", ROOM_ZONE, &pairs))
        return false;
    hours = pair_get(pairs, 0);
    minutes = pair_get(pairs, 3);
    if (hours > 23 || minutes > 59)
        return false;
    offset_s = hours * 3600 + minutes * 60;
    *ret_offset_s = *p == '-' ? -offset_s : offset_s;
    return true;
}

int time_text_parse(const char *data, size_t length, kpi_time *ret_time)
{
    const char *p = data, *end = data + length;
    uint64_t date, clock;
    unsigned year, month, day, hour, minute, second;
    uint32_t microsecond = 0;
    int64_t offset_s, seconds;

    if (length < SHORTEST_BYTES || (p[10] != 'T' && p[10] != 't' && p[10] != ' ') ||
        !digits8_get(word_get(p), "0000-00-", ROOM_DATE, &date) ||
        !digits8_get(word_get(p + 11), "00:00:00", ROOM_CLOCK, &clock))
        return TIME_TEXT_E_INVALID;
    year = pair_get(date, 0) * 100 + pair_get(date, 2);
    month = pair_get(date, 5);
    day = digits2_get(p + 8);
    hour = pair_get(clock, 0);
    minute = pair_get(clock, 3);
    second = pair_get(clock, 6);
    if (hour > 23 || minute > 59 || second > 60 || !date_exists(year, month, day))
        return TIME_TEXT_E_INVALID;
    p += 19;
    if (*p == '.') {
        p = fraction_parse(p + 1, end, &microsecond);
        if (!p)
            return TIME_TEXT_E_INVALID;
    }
    if (!zone_parse(p, end, &offset_s))
        return TIME_TEXT_E_INVALID;

    seconds = days_get(year, month, day) * SECONDS_PER_DAY +
              (int64_t)(hour * 3600 + minute * 60 + second) - offset_s;
    if (second == 60) {
        /* Only the last minute of a UTC day can have one; seconds is then a multiple of a day. */
        if (seconds % SECONDS_PER_DAY != 0)
            return TIME_TEXT_E_INVALID;
        seconds--;
        microsecond = 999999;
    }
    *ret_time = seconds * KPI_SECOND + microsecond;
    return 0;
}

static char *digits_put(char *to, unsigned value, unsigned n_digits)
{
    for (unsigned i = n_digits; i > 0; i--) {
        to[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + n_digits;
}

/* The date of a day counted from 1970-01-01. */
static char *date_put(char *to, int64_t days)
{
    int64_t shifted = days + DAYS_TO_EPOCH;
    int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(shifted - era * DAYS_PER_ERA);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * day_of_year + 2) / 153;
    unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    int64_t year = era * 400 + year_of_era + (month <= 2);

    assert(year >= 0);
    assert(year <= 9999);
    to = digits_put(to, (unsigned)year, 4);
    *to++ = '-';
    to = digits_put(to, month, 2);
    *to++ = '-';
    return digits_put(to, day_of_year - (153 * shifted_month + 2) / 5 + 1, 2);
}

static char *time_put(char *to, kpi_time local)
{
    int64_t days = local / KPI_DAY;
    kpi_duration rest = local % KPI_DAY;
    unsigned seconds, microseconds;

    if (rest < 0) {
        days--;
        rest += KPI_DAY;
    }
    seconds = (unsigned)(rest / KPI_SECOND);
    microseconds = (unsigned)(rest % KPI_SECOND);
    to = date_put(to, days);
    *to++ = 'T';
    to = digits_put(to, seconds / 3600, 2);
    *to++ = ':';
    to = digits_put(to, seconds / 60 % 60, 2);
    *to++ = ':';
    to = digits_put(to, seconds % 60, 2);
    if (microseconds) {
        bool whole = microseconds % 1000 == 0;

        *to++ = '.';
        to = whole ? digits_put(to, microseconds / 1000, 3) : digits_put(to, microseconds, 6);
    }
    return to;
}

size_t time_text_format(kpi_time time, int32_t offset_s, char ret_text[TIME_TEXT_BYTES_MAX])
{
    int32_t offset_minutes = offset_s / 60;
    unsigned minutes = (unsigned)(offset_minutes < 0 ? -offset_minutes : offset_minutes);
    char *to;

    assert(offset_s > -SECONDS_PER_DAY);
    assert(offset_s < SECONDS_PER_DAY);
    to = time_put(ret_text, time + offset_minutes * KPI_MINUTE);
    *to++ = offset_minutes < 0 ? '-' : '+';
    to = digits_put(to, minutes / 60, 2);
    *to++ = ':';
    to = digits_put(to, minutes % 60, 2);
    *to = '\0';
    return (size_t)(to - ret_text);
}

size_t time_text_format_utc(kpi_time time, char ret_text[TIME_TEXT_BYTES_MAX])
{
    char *to = time_put(ret_text, time);

    *to++ = 'Z';
    *to = '\0';
    return (size_t)(to - ret_text);
}
