/* The life of a view: made in one thread and shared there, so its count needs no atomic. */
#include "view.h"

#include <assert.h>
#include <stdlib.h>

struct view *view_of_rows(struct kpi_layout *layout, const struct kpi_row *rows, kpi_time as_of)
{
    uint32_t n_kpis = kpi_plan_n_kpis(kpi_layout_plan(layout));
    uint32_t n_scopes = kpi_layout_n_scopes(layout);
    struct view *view = calloc(1, sizeof(*view));

    if (!view)
        return NULL;
    view->n_references = 1;
    view->layout = kpi_layout_ref(layout);
    view->as_of = as_of;
    view->complete = true;
    view->values = calloc((size_t)n_scopes * n_kpis + 1, sizeof(*view->values));
    if (!view->values)
        return view_unref(view);
    for (uint32_t scope = 0; scope < n_scopes; scope++) {
        for (uint32_t kpi = 0; kpi < n_kpis; kpi++)
            kpi_report_value(layout, rows, scope, kpi, as_of,
                             &view->values[(size_t)scope * n_kpis + kpi]);
    }
    return view;
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
    free(view->values);
    free(view->shards);
    free(view->partitions);
    free(view->alerts);
    (void)kpi_layout_unref(view->layout);
    free(view);
    return NULL;
}
