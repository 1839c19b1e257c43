/*
 * KPI values as metrics: a family per unit, and beside each value what it is made of. Of the local
 * days only two are shown, the newest whole one as scope "day" and the running one as "today",
 * because a label that names a date would start new series every midnight; the API has all. So it
 * is with weeks ("week" and "this_week") and all others, down to "5m" and "this_5m".
 *
 * "No data" is no sample; "undefined" is NaN.
 */
#include "metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Is there a later one of this sort in the campaign that is whole, too? Those of a sort are
 * neighbours, in order.
 */
static bool is_newest_whole(const struct view *view, uint32_t index)
{
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, index), *next;

    if (scope->end > view->as_of)
        return false;
    if (index + 1 == kpi_layout_n_scopes(view->layout))
        return true;
    next = kpi_layout_scope(view->layout, index + 1);
    return next->campaign != scope->campaign || !kpi_scope_alike(next, scope) ||
           next->end > view->as_of;
}

/* How a scope is called here; false: it is not shown. */
static bool name_scope(char ret_name[EXPOSITION_LABEL_BYTES_MAX], const struct view *view,
                       uint32_t index)
{
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, index);
    char name[KPI_SCOPE_NAME_BYTES_MAX];

    (void)kpi_scope_name_format(name, kpi_layout_plan(view->layout), scope, false);
    (void)snprintf(ret_name, EXPOSITION_LABEL_BYTES_MAX, "%s", name);
    if (scope->kind == KPI_SCOPE_CAMPAIGN || scope->kind == KPI_SCOPE_PHASE ||
        scope->kind == KPI_SCOPE_ROLLING || is_newest_whole(view, index))
        return true;
    if (scope->kind == KPI_SCOPE_DAY)
        (void)strcpy(ret_name, "today");
    else
        (void)snprintf(ret_name, EXPOSITION_LABEL_BYTES_MAX, "this_%s", name);
    return scope->start <= view->as_of && view->as_of < scope->end;
}

/* Which number of a value a family shows. */
enum part {
    PART_VALUE,
    PART_NUMERATOR,
    PART_DENOMINATOR,
    PART_COMPLETE,
};

static bool take_part(const struct kpi_value *value, enum part part, double *ret_number)
{
    if (value->state == KPI_VALUE_NO_DATA)
        return false;
    switch (part) {
    case PART_VALUE:
        *ret_number = value->state == KPI_VALUE_OK ? value->value : NAN;
        return true;
    case PART_NUMERATOR:
        *ret_number = value->numerator.real;
        return value->numerator.kind != KPI_NUMBER_NONE;
    case PART_DENOMINATOR:
        *ret_number = value->denominator.real;
        return value->denominator.kind != KPI_NUMBER_NONE;
    case PART_COMPLETE:
        *ret_number = value->complete;
        return true;
    }
    return false;
}

/* One family over all scopes shown; unit < 0: KPIs of every unit. */
static void write_family(struct exposition *exposition, const struct view *view,
                         const struct exposition_family *family, enum part part, int unit)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n_scopes = kpi_layout_n_scopes(view->layout), n_kpis = kpi_plan_n_kpis(plan);
    char label[EXPOSITION_LABEL_BYTES_MAX];
    double number;

    exposition_family(exposition, family);
    for (uint32_t scope = 0; scope < n_scopes; scope++) {
        const struct kpi_campaign_info *campaign =
            kpi_plan_campaign(plan, kpi_layout_scope(view->layout, scope)->campaign);

        if (!name_scope(label, view, scope))
            continue;
        for (uint32_t i = 0; i < n_kpis; i++) {
            const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, i);

            if ((unit >= 0 && kpi->unit != (enum kpi_unit)unit) ||
                !kpi_layout_reports(view->layout, scope, i) ||
                !take_part(&view->values[(size_t)scope * n_kpis + i], part, &number))
                continue;
            exposition_label_bytes(exposition, "kpi", kpi->name.data, kpi->name.length);
            exposition_label_bytes(exposition, "campaign", campaign->id.data, campaign->id.length);
            exposition_label(exposition, "scope", label);
            exposition_sample(exposition, number);
        }
    }
}

static bool has_unit(const struct kpi_plan *plan, enum kpi_unit unit)
{
    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
        if (kpi_plan_kpi(plan, i)->unit == unit)
            return true;
    }
    return false;
}

void metrics_write_kpis(struct exposition *exposition, const struct view *view)
{
    static const struct exposition_family units[] = {
        [KPI_UNIT_RATIO] = {"kpid_kpi_ratio", EXPOSITION_GAUGE, "ratio", "KPIs that are shares."},
        /* A gauge in truth, but linters keep the suffix of a gauge free of what histograms use. */
        [KPI_UNIT_COUNT] = {"kpid_kpi_count", EXPOSITION_UNTYPED, NULL, "KPIs that are counts."},
        [KPI_UNIT_MONEY] = {"kpid_kpi_money", EXPOSITION_GAUGE, NULL, "KPIs in the base currency."},
        [KPI_UNIT_DURATION] = {"kpid_kpi_duration_seconds", EXPOSITION_GAUGE, "seconds",
                               "KPIs that are durations."},
        [KPI_UNIT_POINTS] = {"kpid_kpi_points", EXPOSITION_GAUGE, NULL,
                             "KPIs in points from -100 to 100."},
        [KPI_UNIT_MULTIPLE] = {"kpid_kpi_multiple", EXPOSITION_GAUGE, NULL,
                               "KPIs that are multiples, as x of 1:x."},
    };
    static const struct exposition_family parts[] = {
        [PART_NUMERATOR] = {"kpid_kpi_numerator", EXPOSITION_GAUGE, NULL,
                            "Upper side of the KPI's formula, or all of it if it does not divide."},
        [PART_DENOMINATOR] = {"kpid_kpi_denominator", EXPOSITION_GAUGE, NULL,
                              "Lower side of the KPI's formula."},
        [PART_COMPLETE] = {"kpid_kpi_complete_ratio", EXPOSITION_GAUGE, "ratio",
                           "Share of the KPI's scope that has passed, or of its cohorts mature."},
    };

    for (unsigned unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
        if (has_unit(kpi_layout_plan(view->layout), (enum kpi_unit)unit))
            write_family(exposition, view, &units[unit], PART_VALUE, (int)unit);
    }
    for (unsigned part = PART_NUMERATOR; part <= PART_COMPLETE; part++)
        write_family(exposition, view, &parts[part], (enum part)part, -1);
}
