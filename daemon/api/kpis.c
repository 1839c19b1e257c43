#include "kpis.h"

#include "scope_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

/* Refuses a question about what is not there, and one whose answer is too long. */
static int check_filter(const struct view *view, const struct kpis_filter *filter, uint64_t n_max)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint64_t n_scopes = 0;

    if (filter->campaign && !has_campaign(plan, filter->campaign))
        return KPIS_E_CAMPAIGN;
    if (filter->kpi && !has_kpi(plan, filter->kpi))
        return KPIS_E_KPI;
    for (uint32_t i = 0; i < kpi_layout_n_scopes(view->layout); i++)
        n_scopes += takes_scope(view, filter, i);
    if (filter->scope && n_scopes == 0 && !is_kind(filter->scope))
        return KPIS_E_SCOPE;
    return n_scopes * (filter->kpi ? 1 : kpi_plan_n_kpis(plan)) > n_max ? KPIS_E_TOO_MANY : 0;
}

static void add_kpi(struct json *json, cJSON *array, const struct view *view, uint32_t scope_index,
                    uint32_t index)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, scope_index);
    const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, index);
    cJSON *item = json_object(json, array, NULL);

    json_add_string(json, item, "kpi", kpi->name);
    json_add_string(json, item, "campaign", kpi_plan_campaign(plan, scope->campaign)->id);
    kpis_add_scope(json, item, "scope", plan, scope);
    json_add_text(json, item, "unit", kpis_unit_name(kpi->unit));
    kpis_add_value(json, item, &view->values[(size_t)scope_index * kpi_plan_n_kpis(plan) + index]);
}

int kpis_write(char **ret_text, size_t *ret_size, const struct view *view,
               const struct kpis_filter *filter, uint64_t n_max)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    struct json json = {0};
    cJSON *root, *array;
    int r = check_filter(view, filter, n_max);

    if (r)
        return r;
    root = json_object(&json, NULL, NULL);
    json_add_time(&json, root, "as_of", view->as_of, 0);
    json_add_bool(&json, root, "complete", view->complete);
    array = json_array(&json, root, "kpis");
    for (uint32_t scope = 0; scope < kpi_layout_n_scopes(view->layout); scope++) {
        if (!takes_scope(view, filter, scope))
            continue;
        for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
            if (!filter->kpi || text_equal(kpi_plan_kpi(plan, i)->name, filter->kpi))
                add_kpi(&json, array, view, scope, i);
        }
    }
    return json_end(&json, root, ret_text, ret_size);
}
