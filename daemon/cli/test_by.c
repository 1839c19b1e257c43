/* The group that an expectation is about: reading what it says, and finding it in a view. */
#include "cli/test_by.h"

#include <errno.h>
#include <string.h>

static bool has_dimension(const struct kpi_breakdown_info *breakdown, struct kpi_string name,
                          uint32_t *ret_index)
{
    for (*ret_index = 0; *ret_index < breakdown->n_dimensions; ++*ret_index) {
        if (kpi_string_equal(breakdown->dimensions[*ret_index].name, name))
            return true;
    }
    return false;
}

/* Is this a name that anything is broken down by? */
static bool check_name(const struct test_reader *reader, const struct doc_node *child)
{
    struct suggest suggest = suggest_begin(doc_string(child->key));
    struct load *load = &reader->file->load;

    for (uint32_t i = 0; i < kpi_plan_n_breakdowns(reader->plan); i++) {
        const struct kpi_breakdown_info *breakdown = kpi_plan_breakdown(reader->plan, i);
        uint32_t index;

        if (has_dimension(breakdown, doc_string(child->key), &index))
            return true;
        for (uint32_t j = 0; j < breakdown->n_dimensions; j++) /* terminated, and the plan's */
            suggest_try(&suggest, breakdown->dimensions[j].name.data);
    }
    report_error(&load->report, doc_node_place(child->key), "nothing is broken down by %s",
                 QUOTE(doc_string(child->key)));
    report_suggest(&load->report, suggest.best);
    return false;
}

static bool read_value(const struct test_reader *reader, const struct doc_node *child,
                       struct kpi_string *ret_value)
{
    bool none =
        doc_is_empty(child) ||
        (child->plain && (strcmp(child->value, "null") == 0 || strcmp(child->value, "~") == 0));

    if (child->kind != DOC_SCALAR) {
        report_error(&reader->file->load.report, load_begin_of(child),
                     "by: one value of %s is expected, or null", QUOTE(doc_string(child->key)));
        return false;
    }
    *ret_value = none ? (struct kpi_string){0} : doc_string(child);
    return true;
}

/* Are the dimensions of a breakdown all that is named, in whatever order? */
static bool fits(const struct kpi_breakdown_info *breakdown, const struct doc_node *node)
{
    uint32_t index;

    if (breakdown->n_dimensions != node->n_children)
        return false;
    for (const struct doc_node *child = node->first; child; child = child->next) {
        if (!has_dimension(breakdown, doc_string(child->key), &index))
            return false;
    }
    return true;
}

static bool find_breakdown(const struct test_reader *reader, const struct doc_node *node,
                           uint32_t kpi, uint32_t *ret_breakdown)
{
    for (uint32_t i = 0; i < kpi_plan_n_breakdowns(reader->plan); i++) {
        if (fits(kpi_plan_breakdown(reader->plan, i), node) &&
            kpi_plan_breaks_down(reader->plan, i, kpi)) {
            *ret_breakdown = i;
            return true;
        }
    }
    report_error(&reader->file->load.report, load_begin_of(node),
                 "%s is not broken down so; see by of the KPI, or breakdowns",
                 QUOTE(kpi_plan_kpi(reader->plan, kpi)->name));
    return false;
}

/* ", channel="wechat" newcomer="true"" */
static const char *text_of(struct load *load, const struct kpi_breakdown_info *breakdown,
                           const struct test_group *group)
{
    const char *text = ",";

    for (uint32_t i = 0; i < group->n_values && text; i++) {
        struct kpi_string name = breakdown->dimensions[i].name, value = group->values[i];

        text = arena_format(&load->arena, "%s %.*s=%s", text, (int)name.length, name.data,
                            value.data ? QUOTE(value) : "null");
    }
    load->report.no_memory |= !text;
    return text;
}

void test_read_by(const struct test_reader *reader, const struct doc_node *node, uint32_t kpi,
                  struct test_group *group)
{
    const struct kpi_breakdown_info *breakdown;
    bool named = true;

    if (node->broken)
        return;
    if (node->kind != DOC_MAPPING || node->n_children == 0) {
        report_error(&reader->file->load.report, load_begin_of(node),
                     "by: dimensions and their values are expected, as {channel: wechat}");
        return;
    }
    for (const struct doc_node *child = node->first; child; child = child->next)
        named &= check_name(reader, child);
    if (!named || !find_breakdown(reader, node, kpi, &group->breakdown))
        return;
    breakdown = kpi_plan_breakdown(reader->plan, group->breakdown);
    group->n_values = breakdown->n_dimensions;
    for (const struct doc_node *child = node->first; child; child = child->next) {
        uint32_t index;

        if (has_dimension(breakdown, doc_string(child->key), &index) &&
            !read_value(reader, child, &group->values[index]))
            return;
    }
    group->text = text_of(&reader->file->load, breakdown, group);
    group->node = group->text ? node : NULL;
}

static bool is_group(const struct test_group *group, uint32_t scope, const struct kpi_group *seen)
{
    if (seen->scope != scope || seen->breakdown != group->breakdown)
        return false;
    for (uint32_t i = 0; i < group->n_values; i++) {
        if (!group->values[i].data != !seen->values[i].data ||
            !kpi_string_equal(group->values[i], seen->values[i]))
            return false;
    }
    return true;
}

void test_by_value(const struct test_group *group, const struct view *view,
                   const struct kpi_supplement *groups, uint32_t scope, uint32_t kpi,
                   struct kpi_value *value)
{
    uint32_t n = groups ? kpi_supplement_n_groups(groups) : 0;

    for (uint32_t i = 0; i < n; i++) {
        struct kpi_group seen = kpi_supplement_group(groups, i);

        if (!is_group(group, scope, &seen))
            continue;
        kpi_supplement_value(view->layout, view->rows, &seen, kpi, view->as_of, value);
        return;
    }
    /* Time passes for it as it does for the whole. */
    *value = (struct kpi_value){.state = KPI_VALUE_NO_DATA, .complete = value->complete};
}
