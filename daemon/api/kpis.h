/*
 * KPI values as JSON, for /api/v1/kpis and `kpid replay -o json`:
 *
 *   {"as_of":"2026-11-11T08:00:00Z","complete":true,"kpis":[{"kpi":"roi","campaign":"double11",
 *     "scope":{"kind":"phase","start":"2026-11-01T00:00:00+08:00","end":"…","phase":"burst"},
 *     "unit":"multiple","state":"ok","value":4.2,"numerator":"8400.00","denominator":"2000.00",
 *     "complete":1,"definition":"00c0ffee00c0ffee"}],
 *   "definitions":[{"kpi":"roi","formula":"(sales - refunds) / cost",
 *     "measures":"sales: sum(amount) where type == \"purchase\"; …"}]}
 *
 * definition is a fingerprint of what the value means, with zone and scope. definitions tell it in
 * words: the formula of each KPI that was asked for, and the measures in it as they are written in
 * the configuration.
 *
 * value is a number, or null unless state is "ok". Numerator and denominator are numbers if they
 * are counts or real, decimal strings if they are money, null if there is none.
 *
 * Where a value is made of quantiles of more than 1,000 values there is "error":0.01, the relative
 * error that each of these may have; all else is exact.
 *
 * A scope's kind is campaign, phase, day, week, month, quarter, year, hour, minutes or rolling. Of
 * minutes there is "minutes":5. A rolling one of days has "days":7, any other "count":4 and
 * "unit":"week" ("minutes" beside it if the unit is minutes).
 *
 * complete is the share of the scope that has passed, or of cohort users that are mature. A value
 * of measures that are newer than what it is about has "counts_from" behind it, the time from which
 * all of them count ("2026-11-11T08:00:00Z"): what happened before is missing. Its complete is at
 * most the share that has passed and was counted, and no target is judged by it.
 *
 * Behind all of them stand, if asked for, the same KPIs broken down; each has "by" behind "scope":
 * {"channel":"wechat","city":null}, null for events without the value, "__other__" for values
 * beyond the dimension's bound. Of a group of which nothing was counted in a scope there is no
 * entry. Under min_group those that are not shown follow as one entry for each scope, breakdown and
 * KPI, with "by":{"channel":"__suppressed__"}, "state":"suppressed", "groups" (how many), and no
 * numbers.
 */
#pragma once

#include "api/json.h"
#include "view.h"

/* NULL: any. */
struct kpis_filter {
    const char *campaign;
    const char *kpi;
    const char
        *scope; /* as kpi/scope.h names them: all of a sort ("day"), or one ("day:2026-11-11") */
    const char *by; /* NULL: only what is not broken down; "*": that and everything; else only
                       this breakdown: "channel", "channel,city" in any order */
};

enum {
    KPIS_E_CAMPAIGN = 1, /* there is no such campaign */
    KPIS_E_KPI,          /* there is no such KPI */
    KPIS_E_SCOPE,        /* there is no such scope in what the others leave */
    KPIS_E_BY,           /* nothing is broken down so */
    KPIS_E_TOO_MANY,     /* more than n_max values */
};

/*
 * The document as a tree, the caller's, cJSON_Delete(). Its numbers are cJSON_Raw, as they are
 * written. Returns 0, KPIS_E_… or -ENOMEM.
 */
int kpis_document(cJSON **ret_root, const struct view *view, const struct kpis_filter *filter,
                  uint64_t n_max);

/* Returns 0, KPIS_E_… or -ENOMEM. The text is the caller's, free(). */
int kpis_write(char **ret_text, size_t *ret_size, const struct view *view,
               const struct kpis_filter *filter, uint64_t n_max);

/* Parts that other pages share. */
void kpis_add_scope(struct json *json, cJSON *object, const char *key, const struct kpi_plan *plan,
                    const struct kpi_scope *scope);
void kpis_add_value(struct json *json, cJSON *object, const struct kpi_value *value);
const char *kpis_unit_name(enum kpi_unit unit);
/* Is it the breakdown by the dimensions "a,b", in any order? */
bool kpis_is_called(const struct kpi_breakdown_info *breakdown, const char *list);
