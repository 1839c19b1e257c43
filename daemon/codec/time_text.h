/*
 * Instants as text: RFC 3339, read and written with arithmetic of our own, so that neither locale
 * nor the process's zone plays a part.
 */
#pragma once

#include <kpi/base.h>

enum {
    TIME_TEXT_E_INVALID = 1, /* not a time, or without zone */
};

/* Room for any written time with its end: "2026-11-11T00:00:03.000001+08:00". */
enum {
    TIME_TEXT_BYTES_MAX = 40,
};

/*
 * Reads "2026-11-11T00:00:03.120+08:00": a date of the calendar in years 0000-9999; T, t or a
 * space; hours, minutes and seconds; any number of fraction digits, cut at microseconds; and a
 * zone, which must be there: Z, z or +-hh:mm up to 23:59. A leap second (23:59:60 in UTC) is read
 * as the last microsecond before it ends. The whole text must be the time. Returns 0 or
 * TIME_TEXT_E_INVALID.
 */
int time_text_parse(const char *data, size_t length, kpi_time *ret_time);

/* Days from 1970-01-01 of a date of the proleptic Gregorian calendar; month 1-12. */
int64_t time_text_days(int64_t year, unsigned month, unsigned day);
/* Is there such a date? */
bool time_text_date_exists(int64_t year, unsigned month, unsigned day);

/*
 * Writes the instant as seen with an offset of offset_s seconds from UTC, less than a day either
 * way (seconds of an old local mean time are cut, in clock and offset alike: the instant stays
 * right). Fractions only if there are any: 3 digits for whole milliseconds, else 6. The written
 * year must be 0000-9999. Terminated; returns the length.
 */
size_t time_text_format(kpi_time time, int32_t offset_s, char ret_text[TIME_TEXT_BYTES_MAX]);

/* The same in UTC, with Z. */
size_t time_text_format_utc(kpi_time time, char ret_text[TIME_TEXT_BYTES_MAX]);
