#include "kpis.h"

#include "util/error.h"

#include <math.h>
#include <string.h>

const char *kpis_unit_name(enum kpi_unit unit)
{
    static const char *const names[] = {"ratio",    "count",  "money",
                                        "duration", "points", "multiple"};

    return names[unit];
}

static bool text_equal(struct kpi_string string, const char *text)
{
    return strlen(text) == string.length && memcmp(string.data, text, string.length) == 0;
}

/*
 * A day's local midnight differs from that of UTC by the zone's offset at that instant. On a day on
 * which the clock is changed a window is told with the offset at the day's begin.
 */
static kpi_duration zone_offset(const struct kpi_zone *zone, kpi_day day)
{
    return day * KPI_DAY - kpi_zone_day_start(zone, day);
}

void kpis_add_scope(struct json *json, cJSON *object, const char *key, const struct kpi_plan *plan,
                    const struct kpi_scope *scope)
{
    const struct kpi_zone *zone =
        kpi_plan_zone(plan, kpi_plan_campaign(plan, scope->campaign)->zone);
    cJSON *item = json_object(json, object, key);

    json_add_text(json, item, "kind", kpi_scope_kind_name(scope));
    json_add_time(json, item, "start", scope->start, zone_offset(zone, scope->start_day));
    json_add_time(json, item, "end", scope->end, zone_offset(zone, scope->end_day));
    if (scope->kind == KPI_SCOPE_PHASE)
        json_add_string(json, item, "phase",
                        kpi_plan_campaign(plan, scope->campaign)->phases[scope->phase].name);
    if (scope->kind == KPI_SCOPE_ROLLING) {
        struct kpi_scope unit = {.kind = scope->unit, .minutes = scope->minutes};

        json_add_integer(json, item, scope->unit == KPI_SCOPE_DAY ? "days" : "count", scope->count);
        if (scope->unit != KPI_SCOPE_DAY)
            json_add_text(json, item, "unit", kpi_scope_kind_name(&unit));
    }
    if (scope->unit == KPI_SCOPE_MINUTES && scope->minutes != 60)
        json_add_integer(json, item, "minutes", scope->minutes);
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
    if (value->state == KPI_VALUE_UNDEFINED)
        json_add_text(json, object, "reason", kpi_reason_name(value->reason));
    json_add_real(json, object, "value", value->state == KPI_VALUE_OK ? value->value : NAN);
    add_number(json, object, "numerator", &value->numerator);
    add_number(json, object, "denominator", &value->denominator);
    json_add_real(json, object, "complete", value->complete);
    if (value->counts_from != KPI_TIME_NONE)
        json_add_time(json, object, "counts_from", value->counts_from, 0);
    json_add_hash(json, object, "definition", value->definition);
    if (value->error > 0)
        json_add_real(json, object, "error", value->error);
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

/* What is asked for, read once. */
struct question {
    const struct kpis_filter *filter;
    struct kpi_scope_name scope;
    bool no_scope; /* the filter's scope is the name of none */
};

static struct question read_filter(const struct kpis_filter *filter)
{
    struct question question = {.filter = filter};

    if (filter->scope)
        question.no_scope =
            kpi_scope_name_parse((struct kpi_string){filter->scope, strlen(filter->scope)},
                                 &question.scope) != 0;
    return question;
}

static bool takes_scope(const struct view *view, const struct question *question, uint32_t index)
{
    const struct kpis_filter *filter = question->filter;
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, index);
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);

    return (!filter->campaign ||
            text_equal(kpi_plan_campaign(plan, scope->campaign)->id, filter->campaign)) &&
           (!filter->scope || kpi_scope_name_fits(&question->scope, plan, scope));
}

static bool takes_kpi(const struct view *view, const struct question *question, uint32_t scope,
                      uint32_t kpi)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);

    return kpi_layout_reports(view->layout, scope, kpi) &&
           (!question->filter->kpi ||
            text_equal(kpi_plan_kpi(plan, kpi)->name, question->filter->kpi));
}

/* Could there be such a scope at another time? */
static bool has_sort(const struct kpi_plan *plan, const struct question *question)
{
    const struct kpi_scope *wanted = &question->scope.scope;

    if (wanted->kind == KPI_SCOPE_PHASE)
        return question->scope.phase.length == 0;
    return question->scope.any || wanted->kind == KPI_SCOPE_CAMPAIGN ||
           kpi_plan_has_grain(plan, wanted);
}

/* Is `name` one of the parts between commas? */
static bool names_part(const char *list, struct kpi_string name)
{
    for (;;) {
        size_t length = strcspn(list, ",");

        if (length == name.length && memcmp(list, name.data, length) == 0)
            return true;
        if (!list[length])
            return false;
        list += length + 1;
    }
}

bool kpis_is_called(const struct kpi_breakdown_info *breakdown, const char *list)
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

/* The groups of an answer that the filter leaves. */
struct selection {
    const struct view *view;
    struct question question;
    const struct kpi_supplement *groups; /* NULL: none */
    uint32_t breakdown;                  /* KPIS_ALL: any */
    bool whole;                          /* also what is not broken down */
};

#define KPIS_ALL UINT32_MAX

/* What `by` asks for. 0, KPIS_E_BY or -ENOMEM. */
static int select_groups(struct selection *selection)
{
    const struct kpi_plan *plan = kpi_layout_plan(selection->view->layout);
    const char *by = selection->question.filter->by;

    selection->breakdown = KPIS_ALL;
    selection->whole = !by || strcmp(by, "*") == 0;
    for (uint32_t i = 0; !selection->whole && i < kpi_plan_n_breakdowns(plan); i++) {
        if (kpis_is_called(kpi_plan_breakdown(plan, i), by))
            selection->breakdown = i;
    }
    if (!selection->whole && selection->breakdown == KPIS_ALL)
        return KPIS_E_BY;
    return by ? view_groups(selection->view, &selection->groups) : 0;
}

static bool takes_group(const struct selection *selection, const struct kpi_group *group)
{
    return (selection->breakdown == KPIS_ALL || selection->breakdown == group->breakdown) &&
           takes_scope(selection->view, &selection->question, group->scope);
}

static bool takes_suppressed(const struct selection *selection,
                             const struct kpi_suppressed *suppressed)
{
    return takes_group(selection, &(struct kpi_group){.scope = suppressed->scope,
                                                      .breakdown = suppressed->breakdown});
}

static uint64_t count_groups(const struct selection *selection)
{
    const struct kpi_plan *plan = kpi_layout_plan(selection->view->layout);
    uint32_t n = selection->groups ? kpi_supplement_n_groups(selection->groups) : 0;
    const struct kpi_suppressed *suppressed;
    uint64_t n_values = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct kpi_group group = kpi_supplement_group(selection->groups, i);

        for (uint32_t kpi = 0; kpi < kpi_plan_n_kpis(plan) && takes_group(selection, &group); kpi++)
            n_values += kpi_plan_breaks_down(plan, group.breakdown, kpi) &&
                        takes_kpi(selection->view, &selection->question, group.scope, kpi);
    }
    suppressed = view_suppressed(selection->view, &n);
    for (uint32_t i = 0; i < n && selection->groups; i++)
        n_values += takes_suppressed(selection, &suppressed[i]) ? kpi_plan_n_kpis(plan) : 0;
    return n_values;
}

/* Refuses a question about what is not there, and one whose answer is too long. */
static int check_filter(struct selection *selection, uint64_t n_max)
{
    const struct question *question = &selection->question;
    const struct view *view = selection->view;
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    const struct kpis_filter *filter = question->filter;
    uint64_t n_scopes = 0, n_values = 0;
    int r;

    if (filter->campaign && !has_campaign(plan, filter->campaign))
        return KPIS_E_CAMPAIGN;
    if (filter->kpi && !has_kpi(plan, filter->kpi))
        return KPIS_E_KPI;
    if (question->no_scope)
        return KPIS_E_SCOPE;
    for (uint32_t i = 0; i < kpi_layout_n_scopes(view->layout); i++) {
        if (!takes_scope(view, question, i))
            continue;
        n_scopes++;
        for (uint32_t kpi = 0; kpi < kpi_plan_n_kpis(plan); kpi++)
            n_values += takes_kpi(view, question, i, kpi);
    }
    if (filter->scope && n_scopes == 0 && (question->scope.has_start || !has_sort(plan, question)))
        return KPIS_E_SCOPE;
    r = select_groups(selection);
    if (r)
        return r;
    n_values = selection->whole ? n_values : 0;
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

        if (!takes_kpi(view, &selection->question, scope_index, i))
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
            !takes_kpi(view, &selection->question, group->scope, i))
            continue;
        kpi_supplement_value(view->layout, view->rows, group, i, view->as_of, &value);
        item = begin_kpi(json, array, plan, kpi_layout_scope(view->layout, group->scope), i);
        add_by(json, item, plan, group);
        end_kpi(json, item, plan, i, &value);
    }
}

/* What is not shown of a scope and breakdown: that it is there, and of how many groups. */
static void add_suppressed(struct json *json, cJSON *array, const struct selection *selection,
                           const struct kpi_suppressed *suppressed)
{
    const struct view *view = selection->view;
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    const struct kpi_breakdown_info *breakdown = kpi_plan_breakdown(plan, suppressed->breakdown);
    uint32_t n_kpis = kpi_plan_n_kpis(plan);

    for (uint32_t i = 0; i < n_kpis; i++) {
        const struct kpi_value *whole = &view->values[(size_t)suppressed->scope * n_kpis + i];
        cJSON *item, *by;

        if (!kpi_plan_breaks_down(plan, suppressed->breakdown, i) ||
            !takes_kpi(view, &selection->question, suppressed->scope, i))
            continue;
        item = begin_kpi(json, array, plan, kpi_layout_scope(view->layout, suppressed->scope), i);
        by = json_object(json, item, "by");
        for (uint32_t k = 0; k < breakdown->n_dimensions; k++)
            json_add_string(json, by, breakdown->dimensions[k].name.data, KPI_VALUE_SUPPRESSED);
        json_add_text(json, item, "unit", kpis_unit_name(kpi_plan_kpi(plan, i)->unit));
        json_add_text(json, item, "state", "suppressed");
        json_add_integer(json, item, "groups", suppressed->n);
        json_add_null(json, item, "value");
        json_add_null(json, item, "numerator");
        json_add_null(json, item, "denominator");
        json_add_real(json, item, "complete", whole->complete);
        json_add_hash(json, item, "definition", whole->definition);
    }
}

static void add_all_suppressed(struct json *json, cJSON *array, const struct selection *selection)
{
    const struct kpi_suppressed *suppressed;
    uint32_t n;

    if (!selection->groups)
        return;
    suppressed = view_suppressed(selection->view, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (takes_suppressed(selection, &suppressed[i]))
            add_suppressed(json, array, selection, &suppressed[i]);
    }
}

/* What the values are of, once for each KPI. */
static void add_definitions(struct json *json, cJSON *root, const struct kpi_plan *plan,
                            const char *only)
{
    cJSON *array = json_array(json, root, "definitions");

    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
        const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, i);
        cJSON *item;

        if (only && !text_equal(kpi->name, only))
            continue;
        item = json_object(json, array, NULL);
        json_add_string(json, item, "kpi", kpi->name);
        json_add_string(json, item, "formula", kpi->formula);
        json_add_string(json, item, "measures", kpi->measures);
    }
}

int kpis_document(cJSON **ret_root, const struct view *view, const struct kpis_filter *filter,
                  uint64_t n_max)
{
    struct selection selection = {.view = view, .question = read_filter(filter)};
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
        if (takes_scope(view, &selection.question, i))
            add_scope_values(&json, array, &selection, i);
    }
    n_groups = selection.groups ? kpi_supplement_n_groups(selection.groups) : 0;
    for (uint32_t i = 0; i < n_groups; i++) {
        struct kpi_group group = kpi_supplement_group(selection.groups, i);

        if (takes_group(&selection, &group))
            add_group_values(&json, array, &selection, &group);
    }
    add_all_suppressed(&json, array, &selection);
    add_definitions(&json, root, kpi_layout_plan(view->layout), filter->kpi);
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
