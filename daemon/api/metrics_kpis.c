/*
 * KPI values as metrics: a family per unit, and beside each value what it is made of. Of the local
 * days only two are shown, the newest whole one as scope "day" and the running one as "today",
 * because a label that names a date would start new series every midnight; the API has all. So it
 * is with weeks ("week" and "this_week") and all others, down to "5m" and "this_5m".
 *
 * "No data" is no sample; "undefined" is NaN. What may be off says by how much; what is exact has
 * no such sample.
 *
 * Breakdowns are shown of the whole campaign and of today, with a label by_NAME for each dimension:
 * "__none__" for events without the value, as a label that is empty is no label. They have a bound
 * of their own, so that a dimension of many values does not crowd out anything else.
 */
#include "metrics.h"

#include "util/error.h"
#include "util/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BY_LABEL_BYTES_MAX = 16 + 8 * 64, /* a name has at most 64 bytes */
};

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
    PART_ERROR, /* only of what is approximate */
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
    case PART_ERROR:
        *ret_number = value->error;
        return value->error > 0;
    }
    return false;
}

/* The groups that are shown. */
struct shown_groups {
    const struct kpi_supplement *groups;
    uint32_t *indices;
    uint32_t n;
};

static bool is_text(struct kpi_string string, const char *text)
{
    return string.length == strlen(text) && memcmp(string.data, text, string.length) == 0;
}

/* Would a label of ours be taken for this value, which somebody sent? */
static bool is_ambiguous(const struct kpi_group *group)
{
    for (uint32_t i = 0; i < group->n_values; i++) {
        if (group->values[i].data &&
            (is_text(group->values[i], "__none__") || is_text(group->values[i], "__empty__")))
            return true;
    }
    return false;
}

static uint32_t n_kpis_by(const struct kpi_plan *plan, uint32_t breakdown)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++)
        n += kpi_plan_breaks_down(plan, breakdown, i);
    return n;
}

/* Chooses the first groups whose values are no more than may be shown; the rest is counted. */
static int choose_groups(struct exposition *exposition, const struct view *view,
                         struct shown_groups *shown)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    char label[EXPOSITION_LABEL_BYTES_MAX];
    uint32_t n_values = 0, n;
    int r = view_groups(view, &shown->groups);

    if (r < 0 || !shown->groups)
        return r;
    n = kpi_supplement_n_groups(shown->groups);
    shown->indices = malloc((n + 1) * sizeof(*shown->indices));
    if (!shown->indices)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < n; i++) {
        struct kpi_group group = kpi_supplement_group(shown->groups, i);
        enum kpi_scope_kind kind = kpi_layout_scope(view->layout, group.scope)->kind;
        uint32_t n_more = n_kpis_by(plan, group.breakdown);

        if ((kind != KPI_SCOPE_CAMPAIGN && kind != KPI_SCOPE_DAY) ||
            !name_scope(label, view, group.scope) || strcmp(label, "day") == 0)
            continue;
        if (is_ambiguous(&group) || n_values + n_more > METRICS_GROUP_VALUES_MAX) {
            exposition->n_limited += n_more;
            continue;
        }
        n_values += n_more;
        shown->indices[shown->n++] = i;
    }
    return 0;
}

/*
 * by_channel; a name with other letters than a label may have is written as Prometheus escapes
 * names (U__, each underscore twice, other letters as _HEX_).
 */
static void by_label(char ret_label[BY_LABEL_BYTES_MAX], struct kpi_string name)
{
    size_t length = 0;
    bool plain = true;

    for (size_t i = 0; i < name.length; i++)
        plain = plain && (uint8_t)name.data[i] < 0x80;
    if (plain) {
        (void)snprintf(ret_label, BY_LABEL_BYTES_MAX, "by_%.*s", (int)name.length, name.data);
        return;
    }
    length += (size_t)sprintf(ret_label, "U__by__");
    for (size_t i = 0; i < name.length;) {
        uint32_t code;
        size_t n = utf8_decode(name.data + i, name.length - i, &code);

        if (n == 0)
            break; /* no configuration holds such bytes */
        if (code == '_')
            length += (size_t)sprintf(ret_label + length, "__");
        else if (code < 0x80)
            ret_label[length++] = (char)code;
        else
            length += (size_t)sprintf(ret_label + length, "_%x_", code);
        i += n;
    }
    ret_label[length] = '\0';
}

static void write_by(struct exposition *exposition, const struct kpi_plan *plan,
                     const struct kpi_group *group)
{
    const struct kpi_breakdown_info *breakdown = kpi_plan_breakdown(plan, group->breakdown);
    char label[BY_LABEL_BYTES_MAX];

    for (uint32_t i = 0; i < group->n_values; i++) {
        struct kpi_string value = group->values[i];

        by_label(label, breakdown->dimensions[i].name);
        if (!value.data)
            exposition_label(exposition, label, "__none__");
        else if (!value.length)
            exposition_label(exposition, label, "__empty__");
        else
            exposition_label_bytes(exposition, label, value.data, value.length);
    }
}

static void write_groups(struct exposition *exposition, const struct view *view,
                         const struct shown_groups *shown, enum part part, int unit)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    char label[EXPOSITION_LABEL_BYTES_MAX];
    struct kpi_value value;
    double number;

    for (uint32_t i = 0; i < shown->n; i++) {
        struct kpi_group group = kpi_supplement_group(shown->groups, shown->indices[i]);
        const struct kpi_campaign_info *campaign =
            kpi_plan_campaign(plan, kpi_layout_scope(view->layout, group.scope)->campaign);

        for (uint32_t k = 0; k < kpi_plan_n_kpis(plan); k++) {
            const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, k);

            if (!kpi_plan_breaks_down(plan, group.breakdown, k) ||
                (unit >= 0 && kpi->unit != (enum kpi_unit)unit))
                continue;
            kpi_supplement_value(view->layout, view->rows, &group, k, view->as_of, &value);
            if (!take_part(&value, part, &number))
                continue;
            (void)name_scope(label, view, group.scope); /* it is shown */
            exposition_label_bytes(exposition, "kpi", kpi->name.data, kpi->name.length);
            exposition_label_bytes(exposition, "campaign", campaign->id.data, campaign->id.length);
            exposition_label(exposition, "scope", label);
            write_by(exposition, plan, &group);
            exposition_sample(exposition, number);
        }
    }
}

/* One family over all scopes shown, then over groups; unit < 0: KPIs of every unit. */
static void write_family(struct exposition *exposition, const struct view *view,
                         const struct shown_groups *shown, const struct exposition_family *family,
                         enum part part, int unit)
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
    write_groups(exposition, view, shown, part, unit);
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
        [PART_ERROR] = {"kpid_kpi_error_ratio", EXPOSITION_GAUGE, "ratio",
                        "Relative error, at most, of the quantiles that the KPI is made of; none "
                        "if it is exact."},
    };
    struct shown_groups shown = {NULL};

    if (choose_groups(exposition, view, &shown) < 0)
        exposition->failed = true;
    for (unsigned unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
        if (has_unit(kpi_layout_plan(view->layout), (enum kpi_unit)unit))
            write_family(exposition, view, &shown, &units[unit], PART_VALUE, (int)unit);
    }
    for (unsigned part = PART_NUMERATOR; part <= PART_ERROR; part++)
        write_family(exposition, view, &shown, &parts[part], (enum part)part, -1);
    free(shown.indices);
}
