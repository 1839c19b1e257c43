#include "kpis.h"

#include "scope_text.h"
#include "util/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The groups of an answer that the filter leaves. */
struct selection {
    const struct view *view;
    const struct kpis_filter *filter;
    const struct kpi_supplement *groups; /* NULL: none */
    uint32_t breakdown;                  /* KPIS_ALL: any */
    bool whole;                          /* also what is not broken down */
};

#define KPIS_ALL UINT32_MAX

static const char *const kind_names[] = {"campaign", "phase", "day", "rolling"};

const char *kpis_unit_name(enum kpi_unit unit)
{
    static const char *const names[] = {"ratio",    "count",  "money",
                                        "duration", "points", "multiple"};

    return names[unit];
}

static bool is_kind(const char *text)
{
    for (unsigned i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
        if (strcmp(text, kind_names[i]) == 0)
            return true;
    }
    return false;
}

static bool scope_passes(const struct kpi_plan *plan, const struct kpi_scope *scope,
                         const char *filter)
{
    char name[SCOPE_TEXT_BYTES_MAX];

    if (!filter || strcmp(filter, kind_names[scope->kind]) == 0)
        return true;
    scope_text_format(name, plan, scope);
    return strcmp(filter, name) == 0;
}

static bool text_equal(struct kpi_string string, const char *text)
{
    return strlen(text) == string.length && memcmp(string.data, text, string.length) == 0;
}

/* A day's local midnight differs from that of UTC by the zone's offset at that instant. */
static kpi_duration zone_offset(kpi_day day, kpi_time start)
{
    return day * KPI_DAY - start;
}

void kpis_add_scope(struct json *json, cJSON *object, const char *key, const struct kpi_plan *plan,
                    const struct kpi_scope *scope)
{
    cJSON *item = json_object(json, object, key);

    json_add_text(json, item, "kind", kind_names[scope->kind]);
    json_add_time(json, item, "start", scope->start, zone_offset(scope->start_day, scope->start));
    json_add_time(json, item, "end", scope->end, zone_offset(scope->end_day, scope->end));
    if (scope->kind == KPI_SCOPE_PHASE)
        json_add_string(json, item, "phase",
                        kpi_plan_campaign(plan, scope->campaign)->phases[scope->phase].name);
    if (scope->kind == KPI_SCOPE_ROLLING)
        json_add_integer(json, item, "days", scope->days);
}

static void add_number(struct json *json, cJSON *object, const char *key,
                       const struct kpi_number *number)
{
    switch (number->kind) {
    case KPI_NUMBER_NONE:
        json_add_null(json, object, key);
        break;
    case KPI_NUMBER_COUNT:
        json_add_integer(json, object, key, number->value);
        break;
    case KPI_NUMBER_MONEY:
        json_add_money(json, object, key, number->value);
        break;
    case KPI_NUMBER_REAL:
        json_add_real(json, object, key, number->real);
        break;
    }
}

void kpis_add_value(struct json *json, cJSON *object, const struct kpi_value *value)
{
    static const char *const state_names[] = {"ok", "undefined", "no_data"};

    json_add_text(json, object, "state", state_names[value->state]);
    json_add_real(json, object, "value", value->state == KPI_VALUE_OK ? value->value : NAN);
    add_number(json, object, "numerator", &value->numerator);
    add_number(json, object, "denominator", &value->denominator);
    json_add_real(json, object, "complete", value->complete);
    if (value->counts_from != KPI_TIME_NONE)
        json_add_time(json, object, "counts_from", value->counts_from, 0);
    json_add_hash(json, object, "definition", value->definition);
}

static bool has_campaign(const struct kpi_plan *plan, const char *id)
{
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); i++) {
        if (text_equal(kpi_plan_campaign(plan, i)->id, id))
            return true;
    }
    return false;
}

static bool has_kpi(const struct kpi_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
        if (text_equal(kpi_plan_kpi(plan, i)->name, name))
            return true;
    }
    return false;
}

static bool takes_scope(const struct view *view, const struct kpis_filter *filter, uint32_t index)
{
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, index);
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);

    return (!filter->campaign ||
            text_equal(kpi_plan_campaign(plan, scope->campaign)->id, filter->campaign)) &&
           scope_passes(plan, scope, filter->scope);
}

static bool takes_kpi(const struct kpi_plan *plan, const struct kpis_filter *filter, uint32_t kpi)
{
    return !filter->kpi || text_equal(kpi_plan_kpi(plan, kpi)->name, filter->kpi);
}

/* Is `name` one of the n parts between commas? */
static bool names_part(const char *list, struct kpi_string name)
{
    for (const char *part = list; part; part = strchr(part, ',')) {
        size_t length;

        part += part != list;
        length = strcspn(part, ",");
        if (length == name.length && memcmp(part, name.data, length) == 0)
            return true;
    }
    return false;
}

static bool is_called(const struct kpi_breakdown_info *breakdown, const char *list)
{
    uint32_t n_parts = 1;

    for (const char *comma = strchr(list, ','); comma; comma = strchr(comma + 1, ','))
        n_parts++;
    if (n_parts != breakdown->n_dimensions)
        return false;
    for (uint32_t i = 0; i < breakdown->n_dimensions; i++) {
        if (!names_part(list, breakdown->dimensions[i].name))
            return false;
    }
    return true;
}

/* What `by` asks for. 0, KPIS_E_BY or -ENOMEM. */
static int select_groups(struct selection *selection)
{
    const struct kpi_plan *plan = kpi_layout_plan(selection->view->layout);
    const char *by = selection->filter->by;

    selection->breakdown = KPIS_ALL;
    selection->whole = !by || strcmp(by, "*") == 0;
    for (uint32_t i = 0; !selection->whole && i < kpi_plan_n_breakdowns(plan); i++) {
        if (is_called(kpi_plan_breakdown(plan, i), by))
            selection->breakdown = i;
    }
    if (!selection->whole && selection->breakdown == KPIS_ALL)
        return KPIS_E_BY;
    return by ? view_groups(selection->view, &selection->groups) : 0;
}

static bool takes_group(const struct selection *selection, const struct kpi_group *group)
{
    return (selection->breakdown == KPIS_ALL || selection->breakdown == group->breakdown) &&
           takes_scope(selection->view, selection->filter, group->scope);
}

static uint64_t count_groups(const struct selection *selection)
{
    const struct kpi_plan *plan = kpi_layout_plan(selection->view->layout);
    uint32_t n = selection->groups ? kpi_supplement_n_groups(selection->groups) : 0;
    uint64_t n_values = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct kpi_group group = kpi_supplement_group(selection->groups, i);

        for (uint32_t kpi = 0; kpi < kpi_plan_n_kpis(plan) && takes_group(selection, &group); kpi++)
            n_values += kpi_plan_breaks_down(plan, group.breakdown, kpi) &&
                        takes_kpi(plan, selection->filter, kpi);
    }
    return n_values;
}

/* Refuses a question about what is not there, and one whose answer is too long. */
static int check_filter(struct selection *selection, uint64_t n_max)
{
    const struct kpis_filter *filter = selection->filter;
    const struct view *view = selection->view;
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint64_t n_scopes = 0, n_values;
    int r;

    if (filter->campaign && !has_campaign(plan, filter->campaign))
        return KPIS_E_CAMPAIGN;
    if (filter->kpi && !has_kpi(plan, filter->kpi))
        return KPIS_E_KPI;
    for (uint32_t i = 0; i < kpi_layout_n_scopes(view->layout); i++)
        n_scopes += takes_scope(view, filter, i);
    if (filter->scope && n_scopes == 0 && !is_kind(filter->scope))
        return KPIS_E_SCOPE;
    r = select_groups(selection);
    if (r)
        return r;
    n_values = selection->whole ? n_scopes * (filter->kpi ? 1 : kpi_plan_n_kpis(plan)) : 0;
    return n_values + count_groups(selection) > n_max ? KPIS_E_TOO_MANY : 0;
}

/* An entry up to its scope; what it is by and its value follow. */
static cJSON *begin_kpi(struct json *json, cJSON *array, const struct kpi_plan *plan,
                        const struct kpi_scope *scope, uint32_t index)
{
    cJSON *item = json_object(json, array, NULL);

    json_add_string(json, item, "kpi", kpi_plan_kpi(plan, index)->name);
    json_add_string(json, item, "campaign", kpi_plan_campaign(plan, scope->campaign)->id);
    kpis_add_scope(json, item, "scope", plan, scope);
    return item;
}

static void end_kpi(struct json *json, cJSON *item, const struct kpi_plan *plan, uint32_t index,
                    const struct kpi_value *value)
{
    json_add_text(json, item, "unit", kpis_unit_name(kpi_plan_kpi(plan, index)->unit));
    kpis_add_value(json, item, value);
}

static void add_scope_values(struct json *json, cJSON *array, const struct selection *selection,
                             uint32_t scope_index)
{
    const struct view *view = selection->view;
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n_kpis = kpi_plan_n_kpis(plan);

    for (uint32_t i = 0; i < n_kpis; i++) {
        cJSON *item;

        if (!takes_kpi(plan, selection->filter, i))
            continue;
        item = begin_kpi(json, array, plan, kpi_layout_scope(view->layout, scope_index), i);
        end_kpi(json, item, plan, i, &view->values[(size_t)scope_index * n_kpis + i]);
    }
}

static void add_by(struct json *json, cJSON *item, const struct kpi_plan *plan,
                   const struct kpi_group *group)
{
    const struct kpi_breakdown_info *breakdown = kpi_plan_breakdown(plan, group->breakdown);
    cJSON *by = json_object(json, item, "by");

    for (uint32_t i = 0; i < group->n_values; i++) {
        const char *name = breakdown->dimensions[i].name.data; /* terminated, and the plan's */

        if (group->values[i].data)
            json_add_string(json, by, name, group->values[i]);
        else
            json_add_null(json, by, name);
    }
}

static void add_group_values(struct json *json, cJSON *array, const struct selection *selection,
                             const struct kpi_group *group)
{
    const struct view *view = selection->view;
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);

    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
        struct kpi_value value;
        cJSON *item;

        if (!kpi_plan_breaks_down(plan, group->breakdown, i) ||
            !takes_kpi(plan, selection->filter, i))
            continue;
        kpi_supplement_value(view->layout, view->rows, group, i, view->as_of, &value);
        item = begin_kpi(json, array, plan, kpi_layout_scope(view->layout, group->scope), i);
        add_by(json, item, plan, group);
        end_kpi(json, item, plan, i, &value);
    }
}

int kpis_document(cJSON **ret_root, const struct view *view, const struct kpis_filter *filter,
                  uint64_t n_max)
{
    struct selection selection = {.view = view, .filter = filter};
    struct json json = {0};
    cJSON *root, *array;
    uint32_t n_groups;
    int r = check_filter(&selection, n_max);

    if (r)
        return r;
    root = json_object(&json, NULL, NULL);
    json_add_time(&json, root, "as_of", view->as_of, 0);
    json_add_bool(&json, root, "complete", view->complete);
    array = json_array(&json, root, "kpis");
    for (uint32_t i = 0; selection.whole && i < kpi_layout_n_scopes(view->layout); i++) {
        if (takes_scope(view, filter, i))
            add_scope_values(&json, array, &selection, i);
    }
    n_groups = selection.groups ? kpi_supplement_n_groups(selection.groups) : 0;
    for (uint32_t i = 0; i < n_groups; i++) {
        struct kpi_group group = kpi_supplement_group(selection.groups, i);

        if (takes_group(&selection, &group))
            add_group_values(&json, array, &selection, &group);
    }
    if (json.failed) {
        cJSON_Delete(root);
        return error_origin(-ENOMEM);
    }
    *ret_root = root;
    return 0;
}

int kpis_write(char **ret_text, size_t *ret_size, const struct view *view,
               const struct kpis_filter *filter, uint64_t n_max)
{
    struct json json = {0};
    cJSON *root;
    int r = kpis_document(&root, view, filter, n_max);

    return r ? r : json_end(&json, root, ret_text, ret_size);
}
