/* The answers of a view: kept as the shards told them until somebody asks. */
#include "view_answers.h"

#include "util/error.h"
#include "util/memory.h"

#include <assert.h>
#include <stdlib.h>

struct view_answers {
    struct kpi_answers **parts; /* of shards; gone once they are merged */
    uint32_t n_parts, n_parts_max;
    struct kpi_answers *merged;
};

static void drop_parts(struct view_answers *answers)
{
    for (uint32_t i = 0; i < answers->n_parts; i++)
        (void)kpi_answers_unref(answers->parts[i]);
    free(answers->parts);
    answers->parts = NULL;
    answers->n_parts = answers->n_parts_max = 0;
}

struct view_answers *view_answers_free(struct view_answers *answers)
{
    if (!answers)
        return NULL;
    drop_parts(answers);
    (void)kpi_answers_unref(answers->merged);
    free(answers);
    return NULL;
}

int view_add_answers(struct view *view, struct kpi_answers *part)
{
    struct view_answers *answers = view->answers;

    if (!answers)
        answers = view->answers = calloc(1, sizeof(*answers));
    if (!answers)
        return error_origin(-ENOMEM);
    assert(!answers->merged);
    if (answers->n_parts == answers->n_parts_max) {
        uint32_t n_max = answers->n_parts_max * 2 + 16;
        struct kpi_answers **parts = realloc(answers->parts, n_max * sizeof(struct kpi_answers *));

        if (!parts)
            return error_origin(-ENOMEM);
        answers->parts = parts;
        answers->n_parts_max = n_max;
    }
    answers->parts[answers->n_parts++] = kpi_answers_ref(part);
    return 0;
}

/* Replaces merged answers by what of them may be shown. Returns 0 or -ENOMEM. */
static int suppress(const struct kpi_plan *plan, struct kpi_answers **merged)
{
    struct kpi_answers *shown;
    int r;

    if (kpi_plan_min_group(plan) == 0)
        return 0;
    r = kpi_answers_suppress(*merged, plan, &memory_kpi, &shown);
    if (r < 0)
        return r;
    (void)kpi_answers_unref(*merged);
    *merged = shown;
    return 0;
}

int view_answers(const struct view *view, const struct kpi_answers **ret_answers)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    struct view_answers *answers = view->answers;
    struct kpi_answers *merged;
    int r;

    *ret_answers = answers ? answers->merged : NULL;
    if (!answers || answers->merged)
        return 0;
    r = kpi_answers_new(&merged, &memory_kpi);
    if (r < 0)
        return error_origin(r);
    for (uint32_t i = 0; i < answers->n_parts && r >= 0; i++) {
        if (kpi_answers_fits(answers->parts[i], plan))
            r = kpi_answers_add(merged, answers->parts[i]); /* an overflow marks its cell */
    }
    if (r >= 0)
        r = suppress(plan, &merged);
    if (r < 0) {
        (void)kpi_answers_unref(merged);
        return error_origin(r);
    }
    drop_parts(answers);
    *ret_answers = answers->merged = merged;
    return 0;
}
