/*
 * Which days feed a leaf: the scope's own, or those of what it is compared with.
 */
#include "spec/calendar.h"
#include "spec/plan.h"

#include <assert.h>

/*
 * The days of the lunar new years from 2015 on, as month * 100 + day (Hong Kong Observatory,
 * "Gregorian-Lunar Calendar Conversion Table"). Each falls between 21 January and 20 February.
 */
enum {
    LUNAR_YEAR_FIRST = 2015,
    LUNAR_YEAR_LAST = 2050,
};
static const uint16_t lunar_new_years[] = {
    219, 208, 128, 216, 205, 125, 212, 201, 122, 210, 129, 217, /* 2015 … 2026 */
    206, 126, 213, 203, 123, 211, 131, 219, 208, 128, 215, 204, /* 2027 … 2038 */
    124, 212, 201, 122, 210, 130, 217, 206, 126, 214, 202, 123, /* 2039 … 2050 */
};

static kpi_day lunar_new_year(int64_t year)
{
    uint16_t date = lunar_new_years[year - LUNAR_YEAR_FIRST];

    return kpi_month_start(year * 12 + date / 100 - 1) + date % 100 - 1;
}

/*
 * How many days the lunar new year next to `day` lies behind the one of the year before, so that
 * the days before a new year are compared with the days before one. False: beyond the table.
 */
static bool lunar_year_days(kpi_day day, kpi_day *ret_days)
{
    uint32_t day_of_month;
    int64_t year = kpi_month_of(day, &day_of_month) / 12;

    if (year < LUNAR_YEAR_FIRST || year > LUNAR_YEAR_LAST)
        return false;
    /* Half a year behind the new year of its own year, a day is nearer to the next one. */
    if (year < LUNAR_YEAR_LAST && day - lunar_new_year(year) > lunar_new_year(year + 1) - day)
        ++year;
    if (year == LUNAR_YEAR_FIRST)
        return false;
    *ret_days = lunar_new_year(year) - lunar_new_year(year - 1);
    return true;
}

/* The same date a year before. */
static kpi_day date_year_before(kpi_day day)
{
    uint32_t day_of_month, days_of_month;
    int64_t month = kpi_month_of(day, &day_of_month) - 12;
    kpi_day start = kpi_month_start(month);

    days_of_month = (uint32_t)(kpi_month_start(month + 1) - start);
    return start + (kpi_day)(day_of_month < days_of_month ? day_of_month : days_of_month - 1);
}

/* The same part of another campaign: all of it, its phase of that name, or as far from its start.
 */
static bool range_of_campaign(const struct kpi_plan *plan, const struct kpi_scope *scope,
                              uint32_t campaign, struct kpi_range *range)
{
    const struct kpi_campaign_info *from = &plan->campaigns[scope->campaign];
    const struct kpi_campaign_info *to = &plan->campaigns[campaign];
    kpi_day days = to->start_day - from->start_day;

    range->campaign = campaign;
    if (scope->kind == KPI_SCOPE_CAMPAIGN) {
        range->start_day = to->start_day;
        range->end_day = to->end_day;
        return true;
    }
    if (scope->kind == KPI_SCOPE_PHASE) {
        for (uint32_t i = 0; i < to->n_phases; ++i) {
            if (!kpi_string_equal(to->phases[i].name, from->phases[scope->phase].name))
                continue;
            range->start_day = to->phases[i].start_day;
            range->end_day = to->phases[i].end_day;
            return true;
        }
        return false;
    }
    range->start_day += days;
    range->end_day += days;
    return true;
}

/* The window n before the one that begins at a minute of a day; the table's first if it ends. */
static void window_back(const struct kpi_zone *zone, uint32_t minutes, uint32_t n, kpi_day *day,
                        uint32_t *minute)
{
    int64_t window = (int64_t)(*minute / minutes) - n;

    while (window < 0 && *day > zone->first_day)
        window += kpi_zone_day_windows(zone, --*day, minutes);
    *minute = window < 0 ? 0 : (uint32_t)window * minutes;
}

/* The scope n of its kind before. */
static void range_of_previous(const struct kpi_plan *plan, const struct kpi_scope *scope,
                              uint32_t n, struct kpi_range *range)
{
    const struct kpi_zone *zone = &plan->zones[plan->campaigns[scope->campaign].zone];
    kpi_day days = (kpi_day)n * (scope->end_day - scope->start_day);
    enum kpi_basis basis;

    switch (scope->unit) {
    case KPI_SCOPE_MINUTES:
        window_back(zone, scope->minutes, n * scope->count, &range->start_day,
                    &range->start_minute);
        window_back(zone, scope->minutes, n * scope->count, &range->end_day, &range->end_minute);
        break;
    case KPI_SCOPE_CAMPAIGN:
    case KPI_SCOPE_PHASE:
        range->start_day -= days;
        range->end_day -= days;
        break;
    default:
        basis = kpi_period_basis(scope->unit);
        n *= scope->count;
        range->start_day = kpi_period_next(basis, scope->start_day, -(int32_t)n);
        range->end_day = kpi_period_next(basis, scope->end_day, -(int32_t)n);
        break;
    }
}

/* The same dates of the year before; an end that is the begin of a day is that of the day before.
 */
static void range_of_date(struct kpi_range *range)
{
    range->start_day = date_year_before(range->start_day);
    range->end_day = range->end_minute ? date_year_before(range->end_day)
                                       : date_year_before(range->end_day - 1) + 1;
}

bool kpi_leaf_range_mature(const struct kpi_leaf *leaf, kpi_day today, struct kpi_range *range)
{
    kpi_day end = today - (kpi_day)leaf->mature;

    if (!leaf->mature || range->end_day < end)
        return true;
    range->end_day = end;
    range->end_minute = 0;
    return range->start_day < end;
}

bool kpi_leaf_range(const struct kpi_plan *plan, const struct kpi_scope *scope,
                    const struct kpi_leaf *leaf, struct kpi_range *ret_range)
{
    const struct kpi_campaign_info *campaign = &plan->campaigns[scope->campaign];
    struct kpi_range range = {scope->campaign, scope->start_day, scope->end_day,
                              scope->start_minute, scope->end_minute};
    kpi_day days = 0;
    bool found = true;

    switch (leaf->shift.kind) {
    case KPI_SHIFT_NONE:
        break;
    case KPI_SHIFT_CUMULATIVE:
        range.start_day = campaign->start_day;
        range.start_minute = 0;
        break;
    case KPI_SHIFT_PREVIOUS:
        range_of_previous(plan, scope, leaf->shift.n, &range);
        break;
    case KPI_SHIFT_BEFORE:
        range = (struct kpi_range){.campaign = scope->campaign,
                                   .start_day = campaign->start_day - (kpi_day)leaf->shift.n,
                                   .end_day = campaign->start_day};
        break;
    case KPI_SHIFT_CAMPAIGN:
        found = range_of_campaign(plan, scope, leaf->shift.n, &range);
        break;
    case KPI_SHIFT_YEAR_DATE:
        range_of_date(&range);
        break;
    case KPI_SHIFT_YEAR_WEEKDAY:
        days = 52 * 7;
        break;
    case KPI_SHIFT_YEAR_LUNAR:
        found = lunar_year_days(scope->start_day, &days);
        break;
    }
    range.start_day -= days;
    range.end_day -= days;
    if (leaf->trailing) /* never of minutes: kpi_grains_target() */
        range.start_day = range.end_day - (kpi_day)leaf->trailing;
    if (!found || range.start_day > range.end_day ||
        (range.start_day == range.end_day && range.start_minute >= range.end_minute))
        return false;
    *ret_range = range;
    return true;
}
