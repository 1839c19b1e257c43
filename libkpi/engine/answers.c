/* Answers of a shard: each kind's maker appends its own, in canonical order. */
#include "engine/erase.h"
#include "engine/experiments.h"
#include "engine/tables.h"

#include <kpi/answers.h>

int kpi_engine_answers(struct kpi_engine *engine, const struct kpi_layout *layout,
                       struct kpi_answers **ret_answers)
{
    struct kpi_answers *answers;
    int r;

    r = kpi_answers_new(&answers, engine->mem_outer);
    if (r < 0)
        return r;
    r = kpi_engine_sweep(engine);
    if (r == 0)
        r = kpi_tables_answer(engine, layout, answers);
    if (r == 0)
        r = kpi_funnels_answer(engine, answers);
    if (r == 0)
        r = kpi_experiments_answer(engine, answers);
    if (r < 0)
        (void)kpi_answers_unref(answers);
    else
        *ret_answers = answers;
    return r;
}
