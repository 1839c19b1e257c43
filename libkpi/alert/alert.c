/*
 * The machine that judges targets.
 *
 * A look first gets a verdict: over (the target's time is not now), inconclusive (stale, counting
 * since too short a time, no data, undefined), too small (a sample below the minimum), or judged,
 * with a distance in bands. Then the verdict moves the state. Whatever is not a judged value can
 * neither raise nor resolve an alert: it leaves a firing one alone and makes all others forget that
 * they were pending, so that a deviation must be seen throughout `hold`, not only at both ends of
 * it.
 */
#include <kpi/alert.h>

#include <math.h>

/* 0.65 - 0.55 is 0.09999999999999998: a value on the edge counts as having reached it. */
#define EDGE (1.0 - 1e-9)

/* In bands: an alert that fired at 1 clears below this, so that a value at the edge does not flap.
 */
#define CLEAR_DISTANCE 0.5

const char *kpi_alert_status_name(enum kpi_alert_status status)
{
    switch (status) {
    case KPI_ALERT_OK:
        return "ok";
    case KPI_ALERT_PENDING:
        return "pending";
    case KPI_ALERT_FIRING:
        return "firing";
    case KPI_ALERT_NO_DATA:
        return "no_data";
    case KPI_ALERT_STALE:
        return "stale";
    case KPI_ALERT_UNDEFINED:
        return "undefined";
    }
    return "unknown";
}

const char *kpi_alert_level_name(enum kpi_alert_level level)
{
    switch (level) {
    case KPI_LEVEL_NONE:
        return "none";
    case KPI_LEVEL_GENERAL:
        return "general";
    case KPI_LEVEL_SERIOUS:
        return "serious";
    case KPI_LEVEL_CRITICAL:
        return "critical";
    }
    return "unknown";
}

void kpi_target_edges(const struct kpi_target *target, double *ret_low, double *ret_high)
{
    const double amount = target->deviation_amount;

    *ret_low = target->value - target->band;
    *ret_high = target->value + target->band;
    if (target->deviation == KPI_DEVIATION_FACTOR) {
        *ret_low = amount < 1 ? target->value * amount : target->value / amount;
        *ret_high = amount < 1 ? target->value / amount : target->value * amount;
    }
}

bool kpi_target_set(struct kpi_target *target, double value)
{
    double low, high;

    target->value = value;
    target->band = target->deviation_amount;
    if (target->deviation == KPI_DEVIATION_RELATIVE)
        target->band *= fabs(value);
    if (target->deviation == KPI_DEVIATION_FACTOR) {
        kpi_target_edges(target, &low, &high);
        target->band = target->better == KPI_BETTER_DOWN ? high - value : value - low;
    }
    if (isfinite(value) && isfinite(target->band) && target->band > 0)
        return true;
    target->value = target->band = NAN;
    return false;
}

double kpi_target_distance(const struct kpi_target *target, double value)
{
    double off = value - target->value, width = target->band;

    if (!isfinite(value) || !isfinite(target->value))
        return NAN;
    if (target->deviation == KPI_DEVIATION_FACTOR) {
        /* Twice as much and half as much are equally far. */
        off = value > 0 ? log(value / target->value) : -INFINITY;
        width = fabs(log(target->deviation_amount));
    }
    switch (target->better) {
    case KPI_BETTER_UP:
        off = -off;
        break;
    case KPI_BETTER_DOWN:
        break;
    case KPI_BETTER_BAND:
        off = fabs(off);
        break;
    }
    return off > 0 ? off / width : 0;
}

static enum kpi_alert_level level_of(double distance)
{
    if (distance >= 3 * EDGE)
        return KPI_LEVEL_CRITICAL;
    if (distance >= 2 * EDGE)
        return KPI_LEVEL_SERIOUS;
    if (distance >= EDGE)
        return KPI_LEVEL_GENERAL;
    return KPI_LEVEL_NONE;
}

static bool in_time(const struct kpi_target *target, kpi_time now)
{
    return (target->from == KPI_TIME_NONE || now >= target->from) &&
           (target->to == KPI_TIME_NONE || now < target->to);
}

static bool sample_suffices(const struct kpi_target *target, const struct kpi_value *value)
{
    const struct kpi_number *sample =
        value->denominator.kind != KPI_NUMBER_NONE ? &value->denominator : &value->numerator;

    return sample->real >= (double)target->sample_min;
}

/* What keeps an observation from being judged; KPI_ALERT_OK if nothing does. */
static enum kpi_alert_status inconclusive(const struct kpi_observation *observation)
{
    const struct kpi_value *value = &observation->value;

    if (observation->stale || value->counts_from != KPI_TIME_NONE)
        return KPI_ALERT_STALE;
    if (value->state == KPI_VALUE_NO_DATA)
        return KPI_ALERT_NO_DATA;
    if (value->state == KPI_VALUE_UNDEFINED || !isfinite(value->value))
        return KPI_ALERT_UNDEFINED;
    /* Nothing of the scope has passed or is mature: what there is says nothing about the target. */
    if (!(value->complete > 0))
        return KPI_ALERT_NO_DATA;
    return KPI_ALERT_OK;
}

static void move(struct kpi_alert *alert, enum kpi_alert_status status, kpi_time now)
{
    if (alert->status != status || alert->since == KPI_TIME_NONE)
        alert->since = now;
    alert->status = status;
    if (status != KPI_ALERT_PENDING && status != KPI_ALERT_FIRING) {
        alert->level = KPI_LEVEL_NONE;
        alert->deviating_since = KPI_TIME_NONE;
    }
}

static enum kpi_transition fire(struct kpi_alert *alert, enum kpi_alert_level level, kpi_time now)
{
    alert->sequence++;
    if (alert->status != KPI_ALERT_FIRING)
        alert->firing_sequence = alert->sequence;
    alert->level = level;
    move(alert, KPI_ALERT_FIRING, now);
    return KPI_TRANSITION_FIRING;
}

static enum kpi_transition resolve(struct kpi_alert *alert, kpi_time now)
{
    alert->sequence++;
    move(alert, KPI_ALERT_OK, now);
    return KPI_TRANSITION_RESOLVED;
}

enum kpi_transition kpi_alert_end(struct kpi_alert *alert, kpi_time now)
{
    if (alert->status == KPI_ALERT_FIRING)
        return resolve(alert, now);
    move(alert, KPI_ALERT_OK, now);
    return KPI_TRANSITION_NONE;
}

static enum kpi_transition deviates(struct kpi_alert *alert, const struct kpi_target *target,
                                    enum kpi_alert_level level, kpi_time now)
{
    if (alert->status != KPI_ALERT_PENDING || alert->deviating_since == KPI_TIME_NONE ||
        now < alert->deviating_since) { /* a clock set back: `hold` begins anew */
        alert->deviating_since = now;
        move(alert, KPI_ALERT_PENDING, now);
    }
    if (now - alert->deviating_since < target->hold)
        return KPI_TRANSITION_NONE;
    return fire(alert, level, now);
}

enum kpi_transition kpi_alert_step(struct kpi_alert *alert, const struct kpi_target *target,
                                   const struct kpi_observation *observation, kpi_time now)
{
    const bool firing = alert->status == KPI_ALERT_FIRING;
    enum kpi_alert_level level;
    enum kpi_alert_status why;
    double distance;

    if (!in_time(target, now))
        return kpi_alert_end(alert, now);

    why = inconclusive(observation);
    if (why == KPI_ALERT_OK && sample_suffices(target, &observation->value)) {
        distance = kpi_target_distance(target, observation->value.value);
        level = level_of(distance);
        if (firing && distance < CLEAR_DISTANCE * EDGE)
            return resolve(alert, now);
        if (firing && level > alert->level)
            return fire(alert, level, now);
        if (!firing && level != KPI_LEVEL_NONE)
            return deviates(alert, target, level, now);
    }
    if (!firing)
        move(alert, why, now);
    return KPI_TRANSITION_NONE;
}
