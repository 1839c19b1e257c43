/* The life of a view: made in one thread and shared there, so its count needs no atomic. */
#include "view.h"

#include <assert.h>
#include <stdlib.h>

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
