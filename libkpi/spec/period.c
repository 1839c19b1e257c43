/* The periods of tables: see program.h. */
#include "spec/plan.h"

/* Beyond the zone's table days have 24 hours. */
static int32_t day_hours(const struct kpi_zone *zone, kpi_day day)
{
    uint32_t n = kpi_zone_day_windows(zone, day, 60);

    return n ? (int32_t)n : 24;
}

static enum kpi_basis days_of(enum kpi_table_basis basis)
{
    static const enum kpi_basis bases[] = {
        [KPI_TABLE_HOUR] = KPI_BASIS_DAY,    [KPI_TABLE_DAY] = KPI_BASIS_DAY,
        [KPI_TABLE_WEEK] = KPI_BASIS_WEEK,   [KPI_TABLE_MONTH] = KPI_BASIS_MONTH,
        [KPI_TABLE_YEAR] = KPI_BASIS_YEAR,   [KPI_TABLE_QUARTER] = KPI_BASIS_QUARTER,
        [KPI_TABLE_ELAPSED] = KPI_BASIS_DAY,
    };

    return bases[basis];
}

struct kpi_period kpi_period_of_day(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                    kpi_day day)
{
    return (struct kpi_period){kpi_period_start(days_of(basis), plan->program.week_start, day), 0};
}

struct kpi_period kpi_period_of_time(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                     kpi_time time)
{
    const struct kpi_zone *zone = &plan->zones[0];
    kpi_time first = zone->day_starts[0], end = zone->day_starts[zone->n_days];
    struct kpi_period period;
    kpi_day day;

    time = time < first ? first : time >= end ? end - 1 : time;
    day = kpi_zone_day(zone, time);
    period = kpi_period_of_day(plan, basis, day);
    if (basis == KPI_TABLE_HOUR)
        period.hour = (int32_t)kpi_window_of_day(time - kpi_zone_day_start(zone, day), 60);
    return period;
}

struct kpi_period kpi_period_advance(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                     struct kpi_period period, int32_t n)
{
    const struct kpi_zone *zone = &plan->zones[0];

    if (basis != KPI_TABLE_HOUR) {
        period.day = kpi_period_next(days_of(basis), period.day, n);
        return period;
    }
    period.hour += n;
    while (period.hour < 0)
        period.hour += day_hours(zone, --period.day);
    while (period.hour >= day_hours(zone, period.day))
        period.hour -= day_hours(zone, period.day++);
    return period;
}

kpi_time kpi_period_time(const struct kpi_plan *plan, struct kpi_period period)
{
    return kpi_zone_day_start(&plan->zones[0], period.day) + period.hour * KPI_HOUR;
}

int64_t kpi_period_start_of(const struct kpi_plan *plan, enum kpi_table_basis basis,
                            struct kpi_period period)
{
    return basis == KPI_TABLE_HOUR ? kpi_period_time(plan, period) : period.day;
}

/* A start may be a stranger's. */
struct kpi_period kpi_period_from_start(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                        int64_t start)
{
    const struct kpi_zone *zone = &plan->zones[0];
    int64_t end = (int64_t)zone->first_day + zone->n_days;

    if (basis == KPI_TABLE_HOUR)
        return kpi_period_of_time(plan, basis, start);
    start = start < zone->first_day ? zone->first_day : start >= end ? end - 1 : start;
    return kpi_period_of_day(plan, basis, (kpi_day)start);
}
