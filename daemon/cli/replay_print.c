/* The output of `kpid replay`: see replay_print.h. */
#include "cli/replay_print.h"

#include "api/answers.h"
#include "api/kpis.h"
#include "api/table.h"
#include "codec/time_text.h"
#include "codec/value_text.h"
#include "config/report.h"
#include "util/error.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static void add_number(struct table *table, const struct kpi_number *number)
{
    char text[VALUE_TEXT_BYTES_MAX] = "";

    if (number->kind == KPI_NUMBER_MONEY)
        (void)value_text_format_decimal(number->value, text);
    else if (number->kind == KPI_NUMBER_COUNT)
        (void)snprintf(text, sizeof(text), "%lld", (long long)number->value);
    else if (number->kind == KPI_NUMBER_REAL)
        (void)snprintf(text, sizeof(text), "%.6g", number->real);
    table_add(table, text);
}

static void add_value(struct table *table, enum kpi_unit unit, const struct kpi_value *value)
{
    const char *about = value->error > 0 ? "~ " : "";

    if (value->state == KPI_VALUE_UNDEFINED)
        table_add_format(table, "undefined: %s", kpi_reason_name(value->reason));
    else if (value->state == KPI_VALUE_NO_DATA)
        table_add(table, "no data");
    else if (unit == KPI_UNIT_RATIO)
        table_add_format(table, "%s%.2f %%", about, 100 * value->value);
    else if (unit == KPI_UNIT_MULTIPLE)
        table_add_format(table, "%s1 : %.2f", about, value->value);
    else
        table_add_format(table, "%s%.6g", about, value->value);
}

static void add_numbers(struct table *table, const struct kpi_kpi_info *info,
                        const struct kpi_value *value)
{
    add_value(table, info->unit, value);
    add_number(table, &value->numerator);
    add_number(table, &value->denominator);
    table_add_format(table, "%.0f %%", 100 * value->complete);
}

void replay_format_by(char *text, const struct kpi_breakdown_info *by,
                      const struct kpi_string *values)
{
    size_t n = 0;

    *text = '\0';
    for (uint32_t i = 0; i < by->n_dimensions; i++) {
        struct kpi_string name = by->dimensions[i].name;

        n += (size_t)snprintf(text + n, REPLAY_BY_BYTES - n, " %.*s=%s", (int)name.length,
                              name.data, values[i].data ? QUOTE(values[i]) : "null");
    }
}

static void add_by(struct table *table, const struct kpi_plan *plan, const struct kpi_group *group)
{
    char text[REPLAY_BY_BYTES];

    replay_format_by(text, kpi_plan_breakdown(plan, group->breakdown), group->values);
    table_add_format(table, " %s", text);
}

/* What is under a KPI's row of a scope: one of each of its groups there, from `from` on. */
static void add_groups(struct table *table, const struct view *view,
                       const struct kpi_supplement *groups, uint32_t from, uint32_t scope,
                       uint32_t kpi)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n = groups ? kpi_supplement_n_groups(groups) : 0;

    for (uint32_t i = from; i < n; i++) {
        struct kpi_group group = kpi_supplement_group(groups, i);
        struct kpi_value value;

        if (group.scope != scope)
            return;
        if (!kpi_plan_breaks_down(plan, group.breakdown, kpi))
            continue;
        kpi_supplement_value(view->layout, view->rows, &group, kpi, view->as_of, &value);
        table_add(table, "");
        add_by(table, plan, &group);
        table_add(table, "");
        add_numbers(table, kpi_plan_kpi(plan, kpi), &value);
    }
}

/* And of how many groups there nothing is shown, as they are of fewer users than min_group. */
static void add_suppressed(struct table *table, const struct view *view, uint32_t scope,
                           uint32_t kpi)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    const struct kpi_suppressed *suppressed;
    uint32_t n;

    suppressed = view_suppressed(view, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (suppressed[i].scope != scope ||
            !kpi_plan_breaks_down(plan, suppressed[i].breakdown, kpi))
            continue;
        table_add(table, "");
        table_add_format(table, "  %u groups", suppressed[i].n);
        table_add(table, "");
        table_add(table, "suppressed");
        for (unsigned column = 0; column < 3; column++)
            table_add(table, "");
    }
}

static void add_kpi(struct table *table, const struct view *view, uint32_t scope_index,
                    uint32_t kpi)
{
    const struct kpi_scope *scope = kpi_layout_scope(view->layout, scope_index);
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    struct kpi_string id = kpi_plan_campaign(plan, scope->campaign)->id;
    const struct kpi_kpi_info *info = kpi_plan_kpi(plan, kpi);
    char name[KPI_SCOPE_NAME_BYTES_MAX];

    table_add_format(table, "%.*s", (int)id.length, id.data);
    table_add_format(table, "%.*s %.*s", (int)info->name.length, info->name.data,
                     (int)info->title_zh.length, info->title_zh.data);
    (void)kpi_scope_name_format(name, plan, scope, true);
    table_add(table, name);
    add_numbers(table, info, &view->values[(size_t)scope_index * kpi_plan_n_kpis(plan) + kpi]);
}

int replay_print_table(const struct view *view, FILE *out)
{
    static const struct table_column columns[] = {
        {"campaign", false}, {"KPI", false},        {"scope", false},   {"value", true},
        {"numerator", true}, {"denominator", true}, {"complete", true},
    };
    uint32_t n_kpis = kpi_plan_n_kpis(kpi_layout_plan(view->layout)), first = 0;
    const struct kpi_supplement *groups;
    struct table *table;
    int r = view_groups(view, &groups);

    if (r < 0)
        return error_trace(r);
    table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    if (!table)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < kpi_layout_n_scopes(view->layout); i++) {
        for (uint32_t kpi = 0; kpi < n_kpis; kpi++) {
            if (!kpi_layout_reports(view->layout, i, kpi))
                continue;
            add_kpi(table, view, i, kpi);
            add_groups(table, view, groups, first, i, kpi);
            add_suppressed(table, view, i, kpi);
        }
        /* Groups stand in the order of scopes. */
        while (groups && first < kpi_supplement_n_groups(groups) &&
               kpi_supplement_group(groups, first).scope == i)
            first++;
    }
    r = table_print(table, out);
    (void)table_free(table);
    if (r == 0)
        r = replay_print_answers(view, out);
    return r < 0 ? r : replay_print_experiments(view, out);
}

int replay_print_json(const struct view *view, FILE *out)
{
    struct json json = {0};
    cJSON *document;
    char *text;
    size_t size;
    int r = kpis_document(&document, view, &(struct kpis_filter){.by = "*"}, UINT64_MAX);

    if (r < 0)
        return error_trace(r);
    r = answers_add_all(&json, document, view);
    if (r < 0) {
        cJSON_Delete(document);
        return error_trace(r);
    }
    r = json_end(&json, document, &text, &size);
    if (r < 0)
        return error_trace(r);
    (void)fwrite(text, 1, size, out);
    free(text);
    return 0;
}
