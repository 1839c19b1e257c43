/* The life of a view: made in one thread and shared there, so its count needs no atomic. */
#include "view.h"
#include "view_answers.h"

#include "util/error.h"
#include "util/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct view_groups {
    struct kpi_supplement **parts; /* of shards; gone once they are merged */
    uint32_t n_parts, n_parts_max;
    struct kpi_supplement *merged;
    struct kpi_suppressed *suppressed;
    uint32_t n_suppressed;
};

struct view *view_of_rows(struct kpi_layout *layout, const struct kpi_row *rows, kpi_time as_of)
{
    uint32_t n_kpis = kpi_plan_n_kpis(kpi_layout_plan(layout));
    uint32_t n_scopes = kpi_layout_n_scopes(layout);
    struct view *view = calloc(1, sizeof(*view));

    if (!view)
        return NULL;
    view->n_references = 1;
    view->layout = kpi_layout_ref(layout);
    view->as_of = view->answers_as_of = as_of;
    view->complete = view->answers_complete = true;
    view->values = calloc((size_t)n_scopes * n_kpis + 1, sizeof(*view->values));
    view->rows = calloc(kpi_layout_n_rows(layout) + 1, sizeof(*view->rows));
    if (!view->values || !view->rows)
        return view_unref(view);
    memcpy(view->rows, rows, kpi_layout_n_rows(layout) * sizeof(*rows));
    for (uint32_t scope = 0; scope < n_scopes; scope++) {
        for (uint32_t kpi = 0; kpi < n_kpis; kpi++) {
            struct kpi_value *value = &view->values[(size_t)scope * n_kpis + kpi];

            kpi_report_value(layout, rows, scope, kpi, as_of, value);
            view->n_overflowed += value->reason == KPI_REASON_OVERFLOW;
        }
    }
    return view;
}

static void groups_drop_parts(struct view_groups *groups)
{
    for (uint32_t i = 0; i < groups->n_parts; i++)
        (void)kpi_supplement_unref(groups->parts[i]);
    free(groups->parts);
    groups->parts = NULL;
    groups->n_parts = groups->n_parts_max = 0;
}

static void groups_free(struct view_groups *groups)
{
    if (!groups)
        return;
    groups_drop_parts(groups);
    (void)kpi_supplement_unref(groups->merged);
    kpi_mem_free(&memory_kpi, groups->suppressed,
                 groups->n_suppressed * sizeof(*groups->suppressed));
    free(groups);
}

int view_add_groups(struct view *view, struct kpi_supplement *supplement)
{
    struct view_groups *groups = view->groups;

    if (!groups)
        groups = view->groups = calloc(1, sizeof(*groups));
    if (!groups)
        return error_origin(-ENOMEM);
    assert(!groups->merged);
    if (groups->n_parts == groups->n_parts_max) {
        uint32_t n_max = groups->n_parts_max * 2 + 16;
        struct kpi_supplement **parts =
            realloc(groups->parts, n_max * sizeof(struct kpi_supplement *));

        if (!parts)
            return error_origin(-ENOMEM);
        groups->parts = parts;
        groups->n_parts_max = n_max;
    }
    groups->parts[groups->n_parts++] = kpi_supplement_ref(supplement);
    return 0;
}

/* Replaces merged groups by those that may be shown. Returns 0 or -ENOMEM. */
static int groups_suppress(struct view_groups *groups, const struct kpi_layout *layout,
                           struct kpi_supplement **merged)
{
    struct kpi_supplement *shown;
    int r;

    if (kpi_plan_min_group(kpi_layout_plan(layout)) == 0)
        return 0;
    r = kpi_supplement_suppress(*merged, layout, &memory_kpi, &shown, &groups->suppressed,
                                &groups->n_suppressed);
    if (r < 0)
        return r;
    (void)kpi_supplement_unref(*merged);
    *merged = shown;
    return 0;
}

int view_groups(const struct view *view, const struct kpi_supplement **ret_groups)
{
    struct view_groups *groups = view->groups;
    struct kpi_supplement *merged = NULL;
    int r;

    *ret_groups = groups ? groups->merged : NULL;
    if (!groups || groups->merged)
        return 0;
    r = kpi_supplement_new(&merged, &memory_kpi);
    for (uint32_t i = 0; i < groups->n_parts && r == 0; i++) {
        if (kpi_supplement_fits(groups->parts[i], view->layout))
            r = kpi_supplement_add(merged, groups->parts[i]);
        if (r > 0)
            r = 0; /* an overflow marks its row; the KPI then reads undefined */
    }
    if (r == 0)
        r = groups_suppress(groups, view->layout, &merged);
    if (r < 0) {
        (void)kpi_supplement_unref(merged);
        return error_origin(r);
    }
    groups_drop_parts(groups);
    *ret_groups = groups->merged = merged;
    return 0;
}

const struct kpi_suppressed *view_suppressed(const struct view *view, uint32_t *ret_n)
{
    *ret_n = view->groups ? view->groups->n_suppressed : 0;
    return view->groups ? view->groups->suppressed : NULL;
}

struct view *view_ref(struct view *view)
{
    assert(view->n_references > 0);
    view->n_references++;
    return view;
}

struct view *view_unref(struct view *view)
{
    if (!view)
        return NULL;
    assert(view->n_references > 0);
    if (--view->n_references > 0)
        return NULL;
    free(view->rows);
    free(view->values);
    groups_free(view->groups);
    view->answers = view_answers_free(view->answers);
    free(view->shards);
    free(view->partitions);
    free(view->alerts);
    (void)kpi_layout_unref(view->layout);
    free(view);
    return NULL;
}
