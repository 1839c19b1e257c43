/*
 * What people define, as plain values: the input of kpi_plan_new(). Whoever reads the file
 * (daemon/config) fills these; texts that hold expressions are compiled by libkpi.
 *
 * Everything here is borrowed during kpi_plan_new(), which copies what it keeps.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/diag.h>

enum kpi_unit {
    KPI_UNIT_RATIO, /* 0.65, shown as 65 % */
    KPI_UNIT_COUNT,
    KPI_UNIT_MONEY,    /* in the plan's currency */
    KPI_UNIT_DURATION, /* seconds */
    KPI_UNIT_POINTS,   /* NPS: -100 … 100 */
    KPI_UNIT_MULTIPLE, /* ROI 1:x */
};

enum kpi_better {
    KPI_BETTER_UP,
    KPI_BETTER_DOWN,
    KPI_BETTER_BAND,
};

/* What an experiment compares: the value of an arm. */
enum kpi_metric {
    KPI_METRIC_PROPORTION, /* units with x = 1 by units */
    KPI_METRIC_MEAN,       /* x a unit */
    KPI_METRIC_RATIO,      /* sum of x by sum of y; variance by the delta method */
};

enum kpi_method {
    /*
     * Tests that hold for one look at a moment fixed beforehand: who looks again and again finds
     * something in the end. The caller passes the sums as they stood at that moment.
     */
    KPI_METHOD_FIXED,
    /* Always valid: may be looked at any time and stopped at will, for wider intervals. */
    KPI_METHOD_SEQUENTIAL,
};

/* With several comparisons, what their p are adjusted for. */
enum kpi_correction {
    KPI_CORRECTION_HOLM, /* any wrong claim at all happens with probability alpha */
    KPI_CORRECTION_BH,   /* Benjamini-Hochberg: alpha is the share of claims that are wrong */
};

/* From `at` to the end of that day clocks show `ahead` more than has passed of the day, or less. */
struct kpi_clock_change {
    kpi_time at;
    kpi_duration ahead;
};

/*
 * A zone's calendar: day_starts[i] is the instant at which local day first_day + i begins, strictly
 * rising, n_days + 1 entries (the last one ends the last day). Clocks show what has passed of the
 * day, but where `changes`, rising, says otherwise. Made by the daemon from the zone's rules, so
 * that libkpi needs none.
 */
struct kpi_zone {
    struct kpi_string name; /* IANA name */
    kpi_day first_day;
    uint32_t n_days;
    const kpi_time *day_starts;
    const struct kpi_clock_change *changes;
    uint32_t n_changes;
};

/* When an attribute starts anew: with each period of the plan's default zone. */
enum kpi_reset {
    KPI_RESET_NEVER,
    KPI_RESET_DAY,
    KPI_RESET_WEEK, /* begins on week_start */
    KPI_RESET_MONTH,
    KPI_RESET_YEAR,
};

/* What the local midnights of the plan's default zone do to sessions. */
enum kpi_midnight {
    KPI_MIDNIGHT_IGNORE,     /* one counts on the day on which it began */
    KPI_MIDNIGHT_CUT,        /* another one begins */
    KPI_MIDNIGHT_COUNT_BOTH, /* one counts on each of its days, as a whole */
};

/*
 * `visit: {gap: 30m, where: type in active_types}`: how a user's events make sessions. One goes on
 * as long as the next event comes no later than `gap` after the one before. When the log's time is
 * two gaps past the last event of a session, it is over, and counts as an event of the type
 * "kpid.session.visit", at the time of its first event, with the campaign of that and the fields
 * session.seconds (from the first event to the last), session.events, and session.day: 1. With
 * COUNT_BOTH it counts as one more at the begin of each later day that it goes on to, the same but
 * for session.day: 2, 3, …
 */
struct kpi_session_definition {
    kpi_duration gap; /* above 0, up to KPI_SESSION_GAP_MAX */
    kpi_duration max; /* longer ones count as so long; 0: as long as they are */
    enum kpi_midnight midnight;
    const struct kpi_text *fields; /* strings that it has from its first event, too */
    uint32_t n_fields;             /* up to KPI_SESSION_FIELDS_MAX */
};

/* `orders: {agg: count, where: type == "purchase"}` */
struct kpi_attribute_definition {
    struct kpi_text name;
    struct kpi_text aggregate; /* count | sum(field) | min, max, first or last of a field or time */
    struct kpi_text where;     /* a condition, or empty */
    enum kpi_reset reset;
    kpi_duration within; /* older than this it is absent; 0: never. Not of count and sum */
    const struct kpi_session_definition *session; /* NULL; else this is no attribute but a kind of
                                                     session, made of the events of `where` */
};

/* `buyers: {agg: users, where: type == "purchase"}` */
struct kpi_measure_definition {
    struct kpi_text name;
    struct kpi_text aggregate; /* count | sum(field) | users …: see kpi/function.h */
    struct kpi_text where;
    /* names of attributes, or empty: the event counts at that time, and for that campaign, instead
     * of its own; not at all where the attribute is absent */
    struct kpi_text at, campaign;
};

/* `city: {of: props.city, values: 50}`: what events are told apart by in breakdowns. */
struct kpi_dimension_definition {
    struct kpi_text name;
    /* a field of events, an attribute, or a function as hour(time); empty: that of the same name */
    struct kpi_text of;
    uint32_t values_max; /* further values are __other__; 0: values_max of all, or all there are */
};

/* `newcomer: {where: orders == 0}`: a dimension whose values are "true" and "false". */
struct kpi_segment_definition {
    struct kpi_text name;
    struct kpi_text where;
    struct kpi_text title_en; /* may be empty: the name is shown */
    struct kpi_text title_zh;
};

/* `channel` or `[channel, city]`: names of dimensions and segments, told apart together. */
struct kpi_breakdown_definition {
    const struct kpi_text *dimensions;
    uint32_t n_dimensions;
};

struct kpi_kpi_definition {
    struct kpi_text name;
    struct kpi_text formula;
    struct kpi_text title_en; /* may be empty: the name is shown */
    struct kpi_text title_zh;
    enum kpi_unit unit;
    enum kpi_better better;
    bool has_by; /* `by` stands for the breakdowns of all KPIs, also if it is empty */
    const struct kpi_breakdown_definition *by;
    uint32_t n_by;
    const struct kpi_text *grains; /* instead of the plan's; NULL: the plan's */
    uint32_t n_grains;
    const struct kpi_text *rolling; /* likewise */
    uint32_t n_rolling;
};

enum kpi_table_kind {
    KPI_TABLE_RETENTION,
    KPI_TABLE_ACTIVE_INTERVALS,
    KPI_TABLE_LIFECYCLE,
    KPI_TABLE_SESSIONS,
};

enum kpi_table_basis {
    KPI_TABLE_HOUR,
    KPI_TABLE_DAY,
    KPI_TABLE_WEEK, /* begins on week_start */
    KPI_TABLE_MONTH,
    KPI_TABLE_QUARTER,
    KPI_TABLE_YEAR,
    KPI_TABLE_ELAPSED, /* retention: 24 hours each, from the hour of the user's own start */
};

/* Which users are of a period's cohort. */
enum kpi_table_cohort {
    KPI_TABLE_FIRST_TIME, /* whose first start event, of all that is kept, is in it */
    KPI_TABLE_FIRST_EVER, /* whose first event of that type is in it, and is a start event */
    KPI_TABLE_RECURRING,  /* all who have a start event in it */
};

/* Who of a cohort counts in cell n. */
enum kpi_table_mode {
    KPI_TABLE_CLASSIC,   /* who returned in period n */
    KPI_TABLE_UNBOUNDED, /* in period n or later */
    KPI_TABLE_BRACKET,   /* in any of the periods of the bracket */
    KPI_TABLE_EVERY,     /* in each of the periods 1 … n */
};

/* What a cell is a share of. */
enum kpi_table_percent {
    KPI_TABLE_OF_START,    /* the cohort */
    KPI_TABLE_OF_PREVIOUS, /* the cell before; of the first one the cohort */
};

/* Periods [from, to), counted from that of the start, which is 0. */
struct kpi_bracket {
    uint32_t from, to;
};

/*
 * `signups: {retention: {start: signups, return: active, basis: week, periods: 8}}`. Whoever reads
 * it has checked what stands in numbers: periods, last and at_least are at least 1, brackets do
 * not end before they begin and are there for mode BRACKET only, `over` is longer than `basis`, or
 * the same with `trailing`.
 */
struct kpi_table_definition {
    struct kpi_text name;
    struct kpi_text title_en; /* may be empty: the name is shown */
    struct kpi_text title_zh;
    enum kpi_table_kind kind;
    struct kpi_text start; /* a measure of users; of other kinds the one that it is of, of SESSIONS
                              one of their lengths: quantiles(field) */
    struct kpi_text back;  /* RETENTION: the measure of the return; empty: the same as start.
                              SESSIONS: the measure of their users */
    struct kpi_text bounced; /* SESSIONS: the measure that counts those that bounced, or empty */
    enum kpi_table_basis basis;
    enum kpi_table_cohort cohort;
    struct kpi_text cohort_text; /* where it is said, for messages */
    enum kpi_table_mode mode;
    enum kpi_table_percent percent;
    bool match_both; /* broken down: the return must be of the same values, too */
    uint32_t periods;
    const struct kpi_bracket *brackets;
    uint32_t n_brackets;
    enum kpi_table_basis over; /* ACTIVE_INTERVALS: the period that intervals are counted in */
    uint32_t trailing;         /* ACTIVE_INTERVALS: the last so many up to each one; 0: of `over` */
    uint32_t at_least;         /* ACTIVE_INTERVALS */
    uint32_t last;
    struct kpi_breakdown_definition by; /* no dimension: not broken down */
};

struct kpi_phase_definition {
    struct kpi_text name;
    kpi_day start_day; /* [start_day, end_day) in the campaign's zone, already resolved */
    kpi_day end_day;
};

enum kpi_deviation {
    KPI_DEVIATION_DEFAULT,  /* 10 points for unit ratio, 10 % relative else */
    KPI_DEVIATION_RELATIVE, /* amount is a ratio: 0.1 */
    KPI_DEVIATION_POINTS,   /* amount in the value's own unit: 0.1 of a ratio is 10 points */
    KPI_DEVIATION_ABSOLUTE, /* amount in the KPI's unit, of durations in seconds */
    KPI_DEVIATION_FACTOR,   /* amount is value / target, not 1: 1.25 and 0.8 are the same band */
};

struct kpi_target_definition {
    struct kpi_text kpi;
    struct kpi_text
        value; /* an expression: 65%, 0.5*audience; if it is of what is counted it varies */
    enum kpi_deviation deviation;
    kpi_decimal deviation_amount;
    int better;            /* enum kpi_better, or -1: the KPI's own */
    struct kpi_text scope; /* a phase's name, or a sort of kpi/scope.h: "day"; empty: campaign */
    kpi_time from, to;     /* judged in [from, to); KPI_TIME_NONE: unbounded */
    kpi_duration hold;     /* `for`: how long it must deviate before it fires */
    int64_t sample_min;    /* `min_sample`: least denominator that is judged */
};

/* `{base: 40%}`, as an amount: what budget("base") is. */
struct kpi_budget_part_definition {
    struct kpi_text name;
    kpi_decimal amount;
};

struct kpi_campaign_definition {
    struct kpi_text id; /* what the event field `campaign` holds */
    uint32_t zone;      /* index into kpi_definitions.zones */
    kpi_day start_day, end_day;
    kpi_decimal audience; /* KPI_TIME_NONE: not given */
    kpi_decimal budget;   /* all of it; KPI_TIME_NONE: not given */
    const struct kpi_budget_part_definition *budget_parts;
    uint32_t n_budget_parts;
    const struct kpi_phase_definition *phases;
    uint32_t n_phases;
    const struct kpi_target_definition *targets;
    uint32_t n_targets;
};

/* kpi/funnel.h says what they mean. */
enum kpi_funnel_order {
    KPI_FUNNEL_ORDERED,
    KPI_FUNNEL_STRICT, /* no other event of the user between */
    KPI_FUNNEL_ANY,
};

struct kpi_funnel_step_definition {
    struct kpi_text name; /* may be empty: the type that `where` asks for, or `where` itself */
    struct kpi_text where;
    bool optional;
};

/* Ends chains that have reached the step `from` and not yet the step `to`. */
struct kpi_funnel_exclusion_definition {
    struct kpi_text where;
    struct kpi_text from, to; /* name or number of a step; empty: the first, the last */
};

/* `pay: {steps: [type == "exposure", type == "purchase"], within: 7d}` */
struct kpi_funnel_definition {
    struct kpi_text name;
    struct kpi_text title_en; /* may be empty: the name is shown */
    struct kpi_text title_zh;
    const struct kpi_funnel_step_definition *steps;
    uint32_t n_steps;
    const struct kpi_funnel_exclusion_definition *exclusions;
    uint32_t n_exclusions;
    enum kpi_funnel_order order;
    kpi_duration within;       /* above 0 */
    kpi_duration lateness;     /* how far events may come out of order */
    const struct kpi_text *by; /* dimensions, segments, or `campaign`: of the first event */
    uint32_t n_by;
};

/*
 * `theme: {variants: [A, B], exposure: type == "exposure", goal: buyers}`. What libkpi cannot
 * give a place in a text is asserted: alpha, weights, and what goes with what.
 */
struct kpi_experiment_definition {
    struct kpi_text name;
    struct kpi_text title_en; /* may be empty: the name is shown */
    struct kpi_text title_zh;
    const struct kpi_text *variants; /* the arms: values of the event field `variant` */
    uint32_t n_variants;
    const kpi_decimal *weights;  /* > 0, n_variants of them; NULL: all alike */
    struct kpi_text control;     /* one of the variants, or empty: all pairs are compared */
    struct kpi_text exposure;    /* a condition */
    struct kpi_text campaign;    /* the only one whose exposures count; empty: any, or none */
    struct kpi_text goal;        /* x: the name of a measure, or a condition */
    struct kpi_text denominator; /* y: likewise; empty: none */
    int metric;                  /* enum kpi_metric, or -1: as the goal is */
    enum kpi_method method;      /* FIXED: there is a `to` */
    enum kpi_correction correction;
    enum kpi_better better; /* UP or DOWN */
    bool one_sided;         /* there is a control */
    double alpha;           /* 0 < alpha < 0.5 */
    double tuning_units;    /* > 0 */
    int64_t units_min;
    kpi_duration run_min;
    kpi_time from, to;                  /* events in [from, to) count; KPI_TIME_NONE: unbounded */
    struct kpi_breakdown_definition by; /* of the first exposure; no dimension: not broken down */
};

struct kpi_definitions {
    const struct kpi_attribute_definition *attributes;
    uint32_t n_attributes;
    const struct kpi_measure_definition *measures;
    uint32_t n_measures;
    const struct kpi_dimension_definition *dimensions;
    uint32_t n_dimensions;
    const struct kpi_segment_definition *segments;
    uint32_t n_segments;
    const struct kpi_breakdown_definition *breakdowns; /* of every KPI without a `by` of its own */
    uint32_t n_breakdowns;
    const struct kpi_kpi_definition *kpis;
    uint32_t n_kpis;
    const struct kpi_table_definition *tables;
    uint32_t n_tables;
    const struct kpi_campaign_definition *campaigns;
    uint32_t n_campaigns;
    const struct kpi_funnel_definition *funnels;
    uint32_t n_funnels;
    const struct kpi_experiment_definition *experiments;
    uint32_t n_experiments;
    const struct kpi_text *active_types; /* the list that `active_types` names in expressions */
    uint32_t n_active_types;
    const struct kpi_zone *zones; /* [0] is the plan's default */
    uint32_t n_zones;
    const struct kpi_text *grains; /* 5m, hour, day, week, month, quarter, year; NULL: day */
    uint32_t n_grains;
    const struct kpi_text *rolling; /* rolling scopes: 7d, 4w, 3mo, 2q, 1y, 24h, 6x5m */
    uint32_t n_rolling;
    uint8_t week_start;           /* 0 is Monday … 6 is Sunday */
    kpi_duration keep;            /* older than this behind the newest record: expired */
    kpi_duration future_skew_max; /* ahead of its record by more: future */
    kpi_duration dedupe_window;   /* 0: no dedupe */
    uint64_t dedupe_ids_max;      /* per shard; the oldest hours go first when it binds */
    uint64_t users_max;           /* per shard */
    uint32_t values_max;          /* values of a dimension per shard; the rest is __other__ */
    uint32_t min_group;           /* groups of fewer users are not shown; 0: all are */
};
