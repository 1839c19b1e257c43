/*
 * Scopes: the stretches of time that KPIs are reported over, and how people call them.
 *
 * A *window* is a stretch of n minutes, counted from the begin of a local day by elapsed time: on a
 * day on which the clock is changed there are fewer or more of them, and its last one may be cut
 * short by the end of the day. All other scopes are made of whole local days.
 */
#pragma once

#include <kpi/base.h>

struct kpi_plan;

enum kpi_scope_kind {
    KPI_SCOPE_CAMPAIGN,
    KPI_SCOPE_PHASE,
    KPI_SCOPE_DAY,     /* one local day */
    KPI_SCOPE_ROLLING, /* the n units that end with the present one */
    KPI_SCOPE_WEEK,    /* begins on the plan's week_start */
    KPI_SCOPE_MONTH,   /* of the calendar, as quarters and years are */
    KPI_SCOPE_QUARTER,
    KPI_SCOPE_YEAR,
    KPI_SCOPE_MINUTES, /* one window; of 60 minutes: an hour */
};

/*
 * A scope, or a pattern of scopes: then the places in time mean nothing. Weeks and longer are whole
 * periods of the calendar, also where the campaign begins or ends within them.
 */
struct kpi_scope {
    enum kpi_scope_kind kind;
    uint32_t campaign;
    uint32_t phase;                    /* PHASE: index in the campaign's phases */
    enum kpi_scope_kind unit;          /* ROLLING: DAY, WEEK … MINUTES; else as kind */
    uint32_t count;                    /* ROLLING: n; else 1 */
    uint32_t minutes;                  /* unit MINUTES: of a window; else 0 */
    uint32_t grain;                    /* which KPIs are reported: index in the plan's grains */
    kpi_day start_day, end_day;        /* in the campaign's zone: from start_minute of start_day, */
    uint32_t start_minute, end_minute; /* up to end_minute of end_day, which is left out */
    kpi_time start, end;               /* the same as instants, [start, end) */
};

/* Are these of one sort: the same but for campaign, phase and place in time? */
bool kpi_scope_alike(const struct kpi_scope *a, const struct kpi_scope *b);

/* "campaign", "phase", "day", "rolling", "week", "month", "quarter", "year", "hour", "minutes". */
const char *kpi_scope_kind_name(const struct kpi_scope *scope);

/*
 * What people call scopes:
 *
 *   campaign   phase:burst   day:2026-11-11   week:2026-11-09 (its first day)   month:2026-11
 *   quarter:2026-Q4   year:2026   hour:2026-11-11T20   5m:2026-11-11T20:05
 *   rolling:7d   rolling:4w   rolling:3mo   rolling:2q   rolling:1y   rolling:24h   rolling:6x5m
 *
 * What is behind the colon may be left out, but for a length of minutes: then all of that sort are
 * meant. Hours and minutes are those that have passed since the begin of the day: on a day of 25
 * hours there is an hour T24.
 */
struct kpi_scope_name {
    struct kpi_scope
        scope; /* kind, unit, count, minutes; start_day and start_minute if has_start */
    struct kpi_string phase; /* PHASE: borrowed from the text; empty: any */
    bool has_start;          /* a certain one is meant */
    bool any;                /* ROLLING, MINUTES: of whatever length */
};

enum {
    KPI_SCOPE_NAME_BYTES_MAX = 96, /* with the terminating zero */

    KPI_SCOPE_NAME_E_UNKNOWN = 1, /* nothing that is called so */
    KPI_SCOPE_NAME_E_MINUTES,     /* windows of so many minutes do not add up to hours or days */
    KPI_SCOPE_NAME_E_COUNT,       /* a rolling scope of no or of more than 10000 units */
    KPI_SCOPE_NAME_E_ROLLING,     /* a rolling scope of minutes without the length of a window */
};

/* 0 or KPI_SCOPE_NAME_E_…. */
int kpi_scope_name_parse(struct kpi_string text, struct kpi_scope_name *ret_name);
/* What stands behind "rolling:", as in the list `rolling` of a definition. */
int kpi_scope_name_parse_rolling(struct kpi_string text, struct kpi_scope_name *ret_name);

/* Is this scope of the plan meant? */
bool kpi_scope_name_fits(const struct kpi_scope_name *name, const struct kpi_plan *plan,
                         const struct kpi_scope *scope);

/*
 * The name of a scope, terminated; `one`: with its place in time, else its sort alone. Returns the
 * length.
 */
size_t kpi_scope_name_format(char ret_text[KPI_SCOPE_NAME_BYTES_MAX], const struct kpi_plan *plan,
                             const struct kpi_scope *scope, bool one);
