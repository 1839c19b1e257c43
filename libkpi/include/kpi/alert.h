/*
 * Targets and the machine that judges them: ok -> pending -> firing(level) -> ok, and beside it
 * no_data, stale and undefined. Pure: the time is an argument, the state a plain value that the
 * caller stores.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/definition.h>
#include <kpi/report.h>

struct kpi_target {
    uint64_t fingerprint; /* of campaign, KPI, scope and better: the alert's identity, 64-bit */
    uint32_t campaign, kpi;
    struct kpi_scope scope_pattern; /* its sort, and phase; the layout gives the present place */
    double value;                   /* where the KPI should be, in its unit; NAN if it varies */
    bool varies;                    /* an expression of what is counted: kpi_report_target() */
    struct kpi_string expression;   /* the value as it was written */
    uint64_t meaning;               /* VARIES: fingerprint of the expression */
    uint32_t formula;               /* VARIES: whose it is in the plan */
    enum kpi_deviation deviation;   /* never DEFAULT */
    double deviation_amount;
    double band; /* half width of the band in the KPI's unit, > 0; NAN if the value is. FACTOR: how
                    far the edge on the bad side is from the value; the lower one if both are bad */
    enum kpi_better better;
    kpi_time from, to;
    kpi_duration hold;
    int64_t sample_min;
};

enum kpi_alert_status {
    KPI_ALERT_OK,
    KPI_ALERT_PENDING,
    KPI_ALERT_FIRING,
    KPI_ALERT_NO_DATA,
    KPI_ALERT_STALE,
    KPI_ALERT_UNDEFINED,
};

enum kpi_alert_level {
    KPI_LEVEL_NONE,
    KPI_LEVEL_GENERAL,  /* 一般: at least 1 band away */
    KPI_LEVEL_SERIOUS,  /* 严重: 2 */
    KPI_LEVEL_CRITICAL, /* 重大: 3 */
};

const char *kpi_alert_status_name(enum kpi_alert_status status); /* "ok", "pending", … */
const char *kpi_alert_level_name(enum kpi_alert_level level);    /* "none", "general", … */

/* What the caller keeps (and stores) per target. All zero but KPI_TIME_NONE times is a fresh one.
 */
struct kpi_alert {
    enum kpi_alert_status status;
    enum kpi_alert_level level; /* while firing: the highest since it fired */
    kpi_time since;             /* when this status began */
    kpi_time deviating_since;   /* when the deviation that is pending or firing began */
    uint64_t sequence;          /* transitions sent for this target so far */
    uint64_t firing_sequence;   /* the sequence with which the present firing began */
};

/* What is seen of a target's KPI at a moment. */
struct kpi_observation {
    struct kpi_value value;
    bool stale; /* kpid is behind, a shard is missing or incomplete: nothing may be concluded */
};

enum kpi_transition {
    KPI_TRANSITION_NONE,
    KPI_TRANSITION_FIRING,   /* began, or rose to a higher level */
    KPI_TRANSITION_RESOLVED, /* back within half the band, or the target is over or no more */
};

/*
 * Sets the value of a copy of a target that varies, and the band with it; deviation, amount and
 * better are there already. False: a deviation relative to this value has no width (a FACTOR of
 * what is not above 0, too), or the value is not a finite number; both are NAN then.
 */
bool kpi_target_set(struct kpi_target *target, double value);

/* The two values that are one band off, whichever side is bad. */
void kpi_target_edges(const struct kpi_target *target, double *ret_low, double *ret_high);

/*
 * Deviation in bands (>= 1 deviates): how far the value is on the bad side, or on either side if
 * better is band; 0 on the good side. NAN if the value, or the target's, is not
 * a finite number. Bands of a FACTOR multiply: of 2 one band off is 2 times the target (or half of
 * it), two are 4 times; a value that is not above 0 is INFINITY off below.
 */
double kpi_target_distance(const struct kpi_target *target, double value);

/*
 * Advances one target by one look. Every return other than NONE has incremented alert->sequence.
 * A firing alert stays firing while nothing can be concluded (stale, a value that counts from later
 * than its scope, no data, undefined, nothing of the scope passed yet, a sample below sample_min);
 * any other forgets that it was pending. Outside [from, to) nothing deviates and a firing alert is
 * resolved. RESOLVED has cleared level and deviating_since: who wants to tell about them keeps the
 * alert as it was before.
 */
enum kpi_transition kpi_alert_step(struct kpi_alert *alert, const struct kpi_target *target,
                                   const struct kpi_observation *observation, kpi_time now);
/*
 * The target is no more: nothing deviates. NONE or RESOLVED, as kpi_alert_step() for a target whose
 * time is over. The sequence goes on if there is such a target again.
 */
enum kpi_transition kpi_alert_end(struct kpi_alert *alert, kpi_time now);
