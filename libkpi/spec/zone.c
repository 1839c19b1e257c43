/*
 * Calendars: instants to local days and back, and the periods that cohorts are made of.
 */
#include "spec/calendar.h"
#include "spec/program.h"

kpi_day kpi_zone_day(const struct kpi_zone *zone, kpi_time time)
{
    const kpi_time *starts = zone->day_starts;
    int64_t i;

    if (time < starts[0] || time >= starts[zone->n_days])
        return INT32_MIN;
    /* Summer time shifts days by an hour or so, so the guess is right or next to it. */
    i = (time - starts[0]) / KPI_DAY;
    if (i >= zone->n_days)
        i = zone->n_days - 1;
    while (time < starts[i])
        --i;
    while (time >= starts[i + 1])
        ++i;
    return (kpi_day)(zone->first_day + i);
}

kpi_time kpi_zone_day_start(const struct kpi_zone *zone, kpi_day day)
{
    int64_t i = (int64_t)day - zone->first_day;

    if (i < 0)
        i = 0;
    if (i > zone->n_days)
        i = zone->n_days;
    return zone->day_starts[i];
}

/*
 * Days to years and months and back, in the proleptic Gregorian calendar, with years that begin in
 * March so that the leap day is the last one (H. Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms").
 */
#define DAYS_OF_ERA   146097 /* 400 years */
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01 to 1970-01-01 */

int64_t kpi_month_of(kpi_day day, uint32_t *ret_day_of_month)
{
    int64_t days = (int64_t)day + DAYS_TO_EPOCH;
    int64_t era = (days >= 0 ? days : days - (DAYS_OF_ERA - 1)) / DAYS_OF_ERA;
    uint32_t day_of_era = (uint32_t)(days - era * DAYS_OF_ERA);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; /* from March */

    *ret_day_of_month = day_of_year - (153 * month + 2) / 5;
    return (era * 400 + year_of_era) * 12 + month + 2;
}

kpi_day kpi_month_start(int64_t months)
{
    int64_t from_march = months - 2;
    int64_t year = (from_march >= 0 ? from_march : from_march - 11) / 12;
    uint32_t month = (uint32_t)(from_march - year * 12);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    uint32_t year_of_era = (uint32_t)(year - era * 400);
    uint32_t day_of_era =
        365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5;

    return (kpi_day)(era * DAYS_OF_ERA + day_of_era - DAYS_TO_EPOCH);
}

kpi_day kpi_period_start(enum kpi_basis basis, uint8_t week_start, kpi_day day)
{
    uint32_t day_of_month;
    int32_t weekday;

    switch (basis) {
    case KPI_BASIS_WEEK:
        weekday = (int32_t)(((int64_t)day + 3) % 7); /* 1970-01-01 was a Thursday: 3 */
        if (weekday < 0)
            weekday += 7;
        return day - (weekday - week_start + 7) % 7;
    case KPI_BASIS_MONTH:
        (void)kpi_month_of(day, &day_of_month); /* only the day is wanted */
        return day - (kpi_day)day_of_month;
    default:
        return day;
    }
}

kpi_day kpi_period_next(enum kpi_basis basis, kpi_day period_start, uint32_t n)
{
    uint32_t day_of_month;

    switch (basis) {
    case KPI_BASIS_WEEK:
        return period_start + (kpi_day)(7 * n);
    case KPI_BASIS_MONTH:
        return kpi_month_start(kpi_month_of(period_start, &day_of_month) + n);
    default:
        return period_start + (kpi_day)n;
    }
}
