/*
 * Days to months and back, in the proleptic Gregorian calendar; what clocks can show.
 */
#pragma once

#include <kpi/plan.h>

/* Months since 0000-01 (years before that are not met), and the day of the month from 0. */
int64_t kpi_month_of(kpi_day day, uint32_t *ret_day_of_month);

/* The first day of a month, counted as kpi_month_of() does. */
kpi_day kpi_month_start(int64_t months);

struct kpi_clock_info {
    const char *name; /* of the function, too */
    int32_t first, last;
    const char *range; /* for people */
};

const struct kpi_clock_info *kpi_clock_info(enum kpi_clock clock);
