/*
 * Days to months and back, in the proleptic Gregorian calendar.
 */
#pragma once

#include <kpi/base.h>

/* Months since 0000-01 (years before that are not met), and the day of the month from 0. */
int64_t kpi_month_of(kpi_day day, uint32_t *ret_day_of_month);

/* The first day of a month, counted as kpi_month_of() does. */
kpi_day kpi_month_start(int64_t months);
