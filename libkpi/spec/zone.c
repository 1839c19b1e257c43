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

kpi_day kpi_day_of_date(int32_t year, uint32_t month, uint32_t day_of_month)
{
    kpi_day start, next;

    if (year < 0 || month < 1 || month > 12 || day_of_month < 1)
        return INT32_MIN;
    start = kpi_month_start(12 * (int64_t)year + month - 1);
    next = kpi_month_start(12 * (int64_t)year + month);
    return start + (kpi_day)day_of_month > next ? INT32_MIN : start + (kpi_day)day_of_month - 1;
}

void kpi_day_date(kpi_day day, int32_t *ret_year, uint32_t *ret_month, uint32_t *ret_day_of_month)
{
    int64_t months = kpi_month_of(day, ret_day_of_month);

    ++*ret_day_of_month;
    *ret_year = (int32_t)((months >= 0 ? months : months - 11) / 12);
    *ret_month = (uint32_t)(months - 12 * (int64_t)*ret_year) + 1;
}

/* What clocks show, from midnight to midnight. */
static kpi_duration clock_of_day(const struct kpi_zone *zone, kpi_day day, kpi_time time)
{
    kpi_time start = kpi_zone_day_start(zone, day);
    uint32_t low = 0, high = zone->n_changes; /* the first change that is later */
    kpi_duration shown = time - start;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (zone->changes[middle].at <= time)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && zone->changes[low - 1].at >= start)
        shown += zone->changes[low - 1].ahead;
    return (shown + KPI_DAY) % KPI_DAY;
}

/* 0 is a Monday. 1970-01-01 was a Thursday: 3. */
static int32_t weekday_of(kpi_day day)
{
    return (int32_t)((((int64_t)day + 3) % 7 + 7) % 7);
}

const struct kpi_clock_info *kpi_clock_info(enum kpi_clock clock)
{
    static const struct kpi_clock_info infos[KPI_CLOCK_COUNT] = {
        [KPI_CLOCK_HOUR] = {"hour", 0, 23, "0 to 23"},
        [KPI_CLOCK_WEEKDAY] = {"weekday", 1, 7, "1 (Monday) to 7 (Sunday)"},
        [KPI_CLOCK_MONTHDAY] = {"monthday", 1, 31, "1 to 31"},
    };

    return &infos[clock];
}

int32_t kpi_zone_clock(const struct kpi_zone *zone, enum kpi_clock clock, kpi_time time)
{
    kpi_day day = kpi_zone_day(zone, time);
    uint32_t day_of_month;

    if (day == INT32_MIN)
        return -1;
    switch (clock) {
    case KPI_CLOCK_HOUR:
        return (int32_t)(clock_of_day(zone, day, time) / KPI_HOUR);
    case KPI_CLOCK_WEEKDAY:
        return weekday_of(day) + 1;
    default:
        (void)kpi_month_of(day, &day_of_month);
        return (int32_t)day_of_month + 1;
    }
}

/* Months of a period of months. */
static int64_t months_of(enum kpi_basis basis)
{
    return basis == KPI_BASIS_YEAR ? 12 : basis == KPI_BASIS_QUARTER ? 3 : 1;
}

kpi_day kpi_period_start(enum kpi_basis basis, uint8_t week_start, kpi_day day)
{
    uint32_t day_of_month;
    int64_t months;

    switch (basis) {
    case KPI_BASIS_DAY:
        return day;
    case KPI_BASIS_WEEK:
        return day - (weekday_of(day) - week_start + 7) % 7;
    default:
        months = kpi_month_of(day, &day_of_month);
        return kpi_month_start(months - months % months_of(basis));
    }
}

kpi_day kpi_period_next(enum kpi_basis basis, kpi_day period_start, int32_t n)
{
    uint32_t day_of_month;

    switch (basis) {
    case KPI_BASIS_DAY:
        return period_start + n;
    case KPI_BASIS_WEEK:
        return period_start + 7 * n;
    default:
        return kpi_month_start(kpi_month_of(period_start, &day_of_month) + months_of(basis) * n);
    }
}

enum kpi_basis kpi_period_basis(enum kpi_scope_kind unit)
{
    switch (unit) {
    case KPI_SCOPE_WEEK:
        return KPI_BASIS_WEEK;
    case KPI_SCOPE_MONTH:
        return KPI_BASIS_MONTH;
    case KPI_SCOPE_QUARTER:
        return KPI_BASIS_QUARTER;
    case KPI_SCOPE_YEAR:
        return KPI_BASIS_YEAR;
    default:
        return KPI_BASIS_DAY;
    }
}

uint32_t kpi_zone_day_windows(const struct kpi_zone *zone, kpi_day day, uint32_t minutes)
{
    kpi_duration length = kpi_zone_day_start(zone, day + 1) - kpi_zone_day_start(zone, day);

    return length ? kpi_window_of_day(length - 1, minutes) + 1 : 0;
}
