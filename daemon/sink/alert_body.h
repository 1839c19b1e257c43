/*
 * What a receiver is told about a transition of an alert: its id, and the body of the message.
 */
#pragma once

#include <kpi/alert.h>
#include <kpi/plan.h>
#include <kpi/report.h>

enum {
    ALERT_ID_BYTES = 40,          /* "al_" and 32 hex digits, with room for its end */
    ALERT_FINGERPRINT_BYTES = 17, /* 16 hex digits and the end */
};

/*
 * The id of a transition, the same whoever computes it and whenever: a hash of the target's
 * fingerprint, the alert's sequence and the name of the group that the instances form.
 */
void alert_id(char ret_id[ALERT_ID_BYTES], uint64_t fingerprint, uint64_t sequence,
              const char *group);

void alert_fingerprint(char ret_text[ALERT_FINGERPRINT_BYTES], uint64_t fingerprint);

/* What an alert is about, as it was judged. */
struct alert_about {
    const char *external_url;                 /* of this kpid, for links; NULL: no links */
    const struct kpi_target *target;          /* with its present value; NAN: it has none */
    const struct kpi_campaign_info *campaign; /* of the target */
    const struct kpi_kpi_info *kpi;           /* of the target */
    const struct kpi_zone *zone;              /* times are written in it; NULL: in UTC */
    const struct kpi_scope *scope;            /* as resolved when it was judged */
    const struct kpi_value *value;            /* as judged; resolved by time: as last seen */
    kpi_time since;                           /* deviating_since: FIRING after, RESOLVED before */
};

/*
 * Writes it as a JSON object, terminated, for the caller to free(), or to keep: of a target that is
 * removed nothing else tells what it was. Counts are numbers, money a string
 * with a decimal number; `value`, `target` and `band` are in the KPI's unit (a ratio: 0.65), and
 * what has no value is null. Beside the `target` of an expression stands `target_expression`,
 * beside `deviation`, how far the target may be missed, the figures of deviation_figures(). Returns
 * 0 or -ENOMEM.
 */
int alert_about_new(char **ret_about, const struct alert_about *options);

struct alert_body {
    const char *group; /* as for alert_id() */
    uint64_t fingerprint;
    enum kpi_transition transition; /* FIRING or RESOLVED */
    bool removed;                   /* RESOLVED because the target is: `reason` says so */
    uint64_t sequence;              /* of the alert after its step */
    enum kpi_alert_level level;     /* FIRING: after the step; RESOLVED: before it */
    kpi_time at;                    /* when the transition happened */
    const struct kpi_zone *zone;    /* as in struct alert_about */
    const char *about;              /* of alert_about_new(); NULL: nothing is known but … */
    kpi_time since;                 /* … this, as in struct alert_about */
};

/*
 * Writes the JSON body, terminated, for the caller to free(): `data` has the members of `about`,
 * too. Returns 0 or -ENOMEM.
 */
int alert_body_new(char **ret_body, size_t *ret_size, const struct alert_body *options);
