/*
 * Answers of too few users, left out: see kpi/answers.h. Funnels are not judged here, as what is
 * shown of them depends on what is asked: see funnel_hide.c.
 *
 * What is broken down is judged in *runs*: the answers whose numbers are parts of one whole. Of a
 * table that is a period, of an experiment all that there is. A run has a matrix of how many people
 * the numbers of each group are of. Its first columns stand or fall together, and with them the
 * group; each of the others is a number that may be missing alone.
 */
#include "base/sort.h"
#include "spec/hide.h"
#include "spec/plan.h"

#include <kpi/answers.h>
#include <kpi/experiment.h>
#include <kpi/table.h>

/* An answer that is broken down. */
struct judged {
    struct kpi_answer answer;
    kpi_wide *cells; /* a copy of its own, with room for as many as others have */
    uint32_t group;  /* of its run */
    bool hidden;     /* all of it */
};

struct judging {
    const struct kpi_plan *plan;
    struct kpi_pool pool, scratch; /* for all of a table or experiment; for a run */
    uint32_t n_cells_max;          /* of its answers */
    bool any;                      /* something is hidden */
};

/* Groups of a run and their numbers. */
struct matrix {
    uint32_t n_groups, n_columns, n_together;
    int64_t *counts; /* by group, then column */
    bool *hidden;    /* by group */
    bool *missing;   /* by column, then group */
};

/* --- of how many people a number is --- */

#define NO_COLUMN UINT32_MAX

/*
 * Who was excluded, or is uncertain, is not judged: kpi_experiment_evaluate_group() tells neither.
 */
static uint32_t experiment_column(const struct kpi_experiment_info *info,
                                  const struct kpi_answer *answer, uint32_t cell)
{
    if (answer->part < info->n_arms && cell == KPI_EXPERIMENT_CELL_UNITS)
        return 2 * answer->part;
    /* Who did it; else it is a sum, of whom nobody knows. */
    if (answer->part < info->n_arms && cell == KPI_EXPERIMENT_CELL_X &&
        info->options.metric == KPI_METRIC_PROPORTION)
        return 2 * answer->part + 1;
    return NO_COLUMN;
}

/* The column of a cell, or NO_COLUMN. */
static uint32_t column_of(const struct kpi_plan *plan, const struct kpi_answer *answer,
                          uint32_t cell)
{
    if (answer->kind == KPI_ANSWER_EXPERIMENT)
        return experiment_column(kpi_plan_experiment(plan, answer->index), answer, cell);
    if (kpi_plan_table(plan, answer->index)->kind == KPI_TABLE_SESSIONS)
        return cell < KPI_TABLE_CELL_SECONDS ? cell : NO_COLUMN;
    /* Of active intervals the first one is how many users there are. */
    return cell + (kpi_plan_table(plan, answer->index)->kind == KPI_TABLE_ACTIVE_INTERVALS);
}

/* How many columns stand or fall together. */
static uint32_t n_together(const struct kpi_plan *plan, const struct kpi_answer *answer)
{
    if (answer->kind == KPI_ANSWER_EXPERIMENT)
        return 2 * kpi_plan_experiment(plan, answer->index)->n_arms;
    /* All of a lifecycle: who is active in a period is returning or dormant in the next. */
    if (kpi_plan_table(plan, answer->index)->kind == KPI_TABLE_LIFECYCLE)
        return KPI_TABLE_N_LIFECYCLE;
    /* Sessions are of as many users at most, and what bounced is a part of them. */
    return kpi_plan_table(plan, answer->index)->kind == KPI_TABLE_SESSIONS ? KPI_TABLE_CELL_SECONDS
                                                                           : 1;
}

static int64_t people(const struct kpi_answer *answer, uint32_t cell)
{
    kpi_wide n = answer->cells[cell];

    if (answer->kind == KPI_ANSWER_EXPERIMENT && cell == KPI_EXPERIMENT_CELL_X)
        n /= KPI_DECIMAL_ONE;
    return n < 0 ? 0 : n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

/* --- a run --- */

/* How large the matrix is; puts the answers into groups. */
static void measure(const struct judging *judging, struct judged *const *run, uint32_t n,
                    struct matrix *matrix)
{
    matrix->n_together = matrix->n_columns = n_together(judging->plan, &run[0]->answer);
    matrix->n_groups = 0;
    for (uint32_t i = 0; i < n; ++i) {
        matrix->n_groups += i == 0 || !kpi_answers_alike(&run[i - 1]->answer, &run[i]->answer);
        run[i]->group = matrix->n_groups - 1;
        for (uint32_t cell = 0; cell < run[i]->answer.n_cells; ++cell) {
            uint32_t column = column_of(judging->plan, &run[i]->answer, cell);

            if (column != NO_COLUMN && column >= matrix->n_columns)
                matrix->n_columns = column + 1;
        }
    }
}

static void fill(const struct judging *judging, const struct judged *judged,
                 const struct matrix *matrix)
{
    int64_t *counts = matrix->counts + (size_t)judged->group * matrix->n_columns;

    for (uint32_t cell = 0; cell < judged->answer.n_cells; ++cell) {
        uint32_t column = column_of(judging->plan, &judged->answer, cell);
        int64_t n = people(&judged->answer, cell);

        if (column == NO_COLUMN)
            continue;
        counts[column] = n;
        if (judged->answer.kind == KPI_ANSWER_TABLE && column == cell + 1) /* of intervals */
            counts[0] = n > INT64_MAX - counts[0] ? INT64_MAX : counts[0] + n;
    }
}

static void judge(const struct matrix *matrix, int64_t min)
{
    struct kpi_hiding hiding = {
        .min = min,
        .n_groups = matrix->n_groups,
        .n_numbers = matrix->n_together,
        .stride = matrix->n_columns,
        .counts = matrix->counts,
        .hidden = matrix->hidden,
    };

    (void)kpi_hide(&hiding);
    hiding.n_numbers = 1;
    for (uint32_t column = matrix->n_together; column < matrix->n_columns; ++column) {
        hiding.counts = matrix->counts + column;
        hiding.hidden = matrix->missing + (size_t)column * matrix->n_groups;
        memcpy(hiding.hidden, matrix->hidden, matrix->n_groups * sizeof(bool));
        (void)kpi_hide(&hiding);
    }
}

/* A cell may be missing that the vector does not reach, as it is 0. */
static void mark(struct judging *judging, const struct matrix *matrix, struct judged *judged)
{
    judged->hidden = matrix->hidden[judged->group];
    judging->any |= judged->hidden;
    for (uint32_t cell = 0; cell < judging->n_cells_max && !judged->hidden; ++cell) {
        uint32_t column = column_of(judging->plan, &judged->answer, cell);

        if (column < matrix->n_together || column >= matrix->n_columns ||
            !matrix->missing[(size_t)column * matrix->n_groups + judged->group])
            continue;
        judged->cells[cell] = KPI_ANSWER_CELL_HIDDEN;
        if (cell >= judged->answer.n_cells)
            judged->answer.n_cells = cell + 1;
        judging->any = true;
    }
}

static int run_judge(struct judging *judging, struct judged *const *run, uint32_t n)
{
    struct matrix matrix;
    size_t size;

    kpi_pool_reset(&judging->scratch);
    measure(judging, run, n, &matrix);
    size = (size_t)matrix.n_groups * matrix.n_columns;
    matrix.counts = kpi_pool_alloc(&judging->scratch, size * sizeof(*matrix.counts));
    matrix.hidden = kpi_pool_alloc(&judging->scratch, matrix.n_groups * sizeof(*matrix.hidden));
    matrix.missing = kpi_pool_alloc(&judging->scratch, size * sizeof(*matrix.missing));
    if (judging->scratch.failed)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; ++i)
        fill(judging, run[i], &matrix);
    judge(&matrix, judging->plan->min_group);
    for (uint32_t i = 0; i < n; ++i)
        mark(judging, &matrix, run[i]);
    return 0;
}

/* --- a table, an experiment --- */

static int compare_runs(const void *a, const void *b)
{
    const struct kpi_answer *x = &(*(const struct judged *const *)a)->answer;
    const struct kpi_answer *y = &(*(const struct judged *const *)b)->answer;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return kpi_answer_compare(x, y);
}

static int judge_all(struct judging *judging, struct judged *judged, uint32_t n)
{
    struct judged **order = kpi_pool_alloc(&judging->pool, n * sizeof(struct judged *));
    int r = order ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; ++i)
        order[i] = &judged[i];
    if (r == 0)
        kpi_sort(order, n, sizeof(struct judged *), compare_runs);
    for (uint32_t first = 0, end; first < n && r == 0; first = end) {
        for (end = first + 1; end < n && order[end]->answer.start == order[first]->answer.start;)
            ++end;
        r = run_judge(judging, order + first, end - first);
    }
    return r;
}

/* Says that something is missing of the broken-down answers, before which it stands. */
static int push_note(struct kpi_answers *shown, const struct kpi_answer *of)
{
    const kpi_wide one = 1;

    return kpi_answers_push(shown, &(struct kpi_answer){.kind = of->kind,
                                                        .index = of->index,
                                                        .part = KPI_ANSWER_PART_SUPPRESSED,
                                                        .n_cells = 1,
                                                        .cells = &one});
}

/* [begin, end) are the broken-down answers of one table or experiment. */
static int judged_make(struct judging *judging, const struct kpi_answers *all, uint32_t begin,
                       uint32_t end, struct judged **ret_judged)
{
    uint32_t n = end - begin;
    struct judged *judged = kpi_pool_alloc(&judging->pool, n * sizeof(*judged));

    for (uint32_t i = 0; i < n && judged; ++i) {
        judged[i].answer = kpi_answers_get(all, begin + i);
        if (judged[i].answer.n_cells > judging->n_cells_max)
            judging->n_cells_max = judged[i].answer.n_cells;
    }
    for (uint32_t i = 0; i < n && !judging->pool.failed; ++i) {
        judged[i].cells =
            kpi_pool_alloc(&judging->pool, judging->n_cells_max * sizeof(*judged[i].cells));
        if (judged[i].cells)
            memcpy(judged[i].cells, judged[i].answer.cells,
                   judged[i].answer.n_cells * sizeof(*judged[i].cells));
    }
    *ret_judged = judged;
    return judging->pool.failed ? -ENOMEM : 0;
}

static bool is_told(const struct judged *judged)
{
    return !judged->hidden && (judged->answer.kind != KPI_ANSWER_EXPERIMENT ||
                               judged->answer.part != KPI_EXPERIMENT_EXCLUDED);
}

static int push_judged(struct judging *judging, const struct kpi_answers *all, uint32_t begin,
                       uint32_t end, struct kpi_answers *shown)
{
    struct judged *judged;
    int r = judged_make(judging, all, begin, end, &judged);

    if (r == 0)
        r = judge_all(judging, judged, end - begin);
    if (r == 0 && judging->any)
        r = push_note(shown, &judged[0].answer);
    for (uint32_t i = 0; i < end - begin && r == 0; ++i) {
        judged[i].answer.cells = judged[i].cells;
        if (is_told(&judged[i]))
            r = kpi_answers_push(shown, &judged[i].answer);
    }
    return r;
}

static int suppress_one(const struct kpi_plan *plan, const struct kpi_mem *mem,
                        const struct kpi_answers *all, uint32_t begin, uint32_t end,
                        struct kpi_answers *shown)
{
    struct judging judging = {.plan = plan};
    int r = 0;

    for (; begin < end && r == 0; ++begin) {
        struct kpi_answer answer = kpi_answers_get(all, begin);

        if (answer.n_values > 0 && answer.kind != KPI_ANSWER_FUNNEL)
            break;
        r = kpi_answers_push(shown, &answer);
    }
    kpi_pool_init(&judging.pool, mem);
    kpi_pool_init(&judging.scratch, mem);
    if (r == 0 && begin < end)
        r = push_judged(&judging, all, begin, end, shown);
    kpi_pool_deinit(&judging.pool);
    kpi_pool_deinit(&judging.scratch);
    return r;
}

int kpi_answers_suppress(const struct kpi_answers *all, const struct kpi_plan *plan,
                         const struct kpi_mem *mem, struct kpi_answers **ret_shown)
{
    struct kpi_answers *shown;
    int r = kpi_answers_new(&shown, mem);

    if (r < 0)
        return r;
    for (uint32_t begin = 0, end, n = kpi_answers_n(all); begin < n && r == 0; begin = end) {
        struct kpi_answer first = kpi_answers_get(all, begin);

        kpi_answers_find(all, first.kind, first.index, &begin, &end);
        r = suppress_one(plan, mem, all, begin, end, shown);
    }
    if (r < 0)
        (void)kpi_answers_unref(shown);
    else
        *ret_shown = shown;
    return r;
}
