/*
 * Texts of scalars to values. Every function returns NULL on success and writes its output, else
 * what is wrong, as the end of a sentence that begins with the quoted text: "is not a duration (as
 * 5s)".
 */
#pragma once

#include <kpi/base.h>

const char *scalar_duration(struct kpi_string text,
                            kpi_duration *ret_duration);               /* 300ms 5s 1m 1h 1d */
const char *scalar_bytes(struct kpi_string text, uint64_t *ret_bytes); /* 512B 64KiB 1GiB */
const char *scalar_integer(struct kpi_string text, uint64_t *ret_integer);
/* At most 6 decimals, in 10^-6. */
const char *scalar_decimal(struct kpi_string text, kpi_decimal *ret_decimal);
/* YYYY-MM-DD, a real date between 2000-01-01 and 2100-01-01 (the zones' tables end there). */
const char *scalar_date(struct kpi_string text, kpi_day *ret_day);
/* RFC 3339 with zone. */
const char *scalar_time(struct kpi_string text, kpi_time *ret_time);
/* "+5d", "-15d": whole days, with sign. */
const char *scalar_day_offset(struct kpi_string text, int32_t *ret_days);

/* The day of a date of the proleptic Gregorian calendar. */
kpi_day scalar_day(int year, int month, int day);

enum {
    SCALAR_DAY_MIN = 10957, /* 2000-01-01 */
    SCALAR_DAY_MAX = 47482, /* 2100-01-01 */
};
