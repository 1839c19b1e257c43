/* An experiment judged: from the answers of shards to the sums of its arms. */
#include "spec/plan.h"

#include <kpi/answers.h>

#include <assert.h>

/* Sums of squares stay below this, see stats/arm.c. */
#define WIDE_LIMIT ((kpi_wide)1 << 124)

static kpi_wide cell_of(const struct kpi_answer *answer, uint32_t cell)
{
    return cell < answer->n_cells ? answer->cells[cell] : 0;
}

/*
 * Are these sums of something real? Those of many shards may have left their bounds, and bytes
 * that came from elsewhere may hold anything.
 */
static bool sums_hold(enum kpi_metric metric, const struct kpi_arm_sums *sums)
{
    const kpi_wide x = sums->x < 0 ? -sums->x : sums->x, y = sums->y < 0 ? -sums->y : sums->y;

    if (sums->units < 0 || sums->xx < 0 || sums->yy < 0 || sums->xx >= WIDE_LIMIT ||
        sums->yy >= WIDE_LIMIT || x > sums->xx || y > sums->yy)
        return false;
    return metric != KPI_METRIC_PROPORTION ||
           (sums->x >= 0 && sums->x <= (kpi_wide)sums->units * KPI_DECIMAL_ONE);
}

/* False: the sums have overflowed, and are left empty. */
static bool read_arm(const struct kpi_experiment_info *info, const struct kpi_answer *answer,
                     struct kpi_experiment_state *state)
{
    const struct kpi_arm_sums sums = {
        .units = (int64_t)cell_of(answer, KPI_EXPERIMENT_CELL_UNITS),
        .x = cell_of(answer, KPI_EXPERIMENT_CELL_X),
        .y = cell_of(answer, KPI_EXPERIMENT_CELL_Y),
        .xx = cell_of(answer, KPI_EXPERIMENT_CELL_XX),
        .xy = cell_of(answer, KPI_EXPERIMENT_CELL_XY),
        .yy = cell_of(answer, KPI_EXPERIMENT_CELL_YY),
    };

    state->uncertain[answer->part] = (int64_t)cell_of(answer, KPI_EXPERIMENT_CELL_UNCERTAIN);
    if (cell_of(answer, KPI_EXPERIMENT_CELL_OVERFLOWED) || !sums_hold(info->options.metric, &sums))
        return false;
    state->arms[answer->part].sums = sums;
    return true;
}

/* An answer of the whole or of a group. False: the sums of an arm have overflowed. */
static bool read_answer(const struct kpi_experiment_info *info, const struct kpi_answer *answer,
                        struct kpi_experiment_state *state)
{
    if (answer->part < info->n_arms)
        return read_arm(info, answer, state);
    if (answer->part == KPI_EXPERIMENT_EXCLUDED)
        state->n_excluded = (int64_t)cell_of(answer, 0);
    return true;
}

/* When it began, and counts from: of the answers of the whole. */
static void read_times(const struct kpi_answer *answer, struct kpi_experiment_state *state)
{
    if (answer->part == KPI_EXPERIMENT_BEGAN && state->began == KPI_TIME_NONE)
        state->began = answer->start; /* in their order: the first one is the least */
    else if (answer->part == KPI_EXPERIMENT_COUNTS_FROM)
        state->counts_from = answer->start; /* and the last one the greatest */
}

static void leave_undecided(struct kpi_experiment_result *result, enum kpi_verdict_reason reason)
{
    result->verdict = KPI_VERDICT_UNDECIDED;
    result->reason = reason;
    result->winner = KPI_ARM_NONE;
}

static void begin(const struct kpi_experiment_info *info, struct kpi_experiment_state *state)
{
    *state = (struct kpi_experiment_state){
        .began = KPI_TIME_NONE,
        .decidable_at = KPI_TIME_NONE,
        .counts_from = KPI_TIME_NONE,
    };
    for (uint32_t arm = 0; arm < info->n_arms; ++arm)
        state->arms[arm].weight = info->weights[arm];
}

/* good: no sum has overflowed. */
static void judge(const struct kpi_experiment_info *info, kpi_time as_of, bool good,
                  struct kpi_experiment_state *state)
{
    struct kpi_experiment_options options = info->options;
    kpi_duration elapsed = 0;

    if (state->began != KPI_TIME_NONE) {
        if (options.method == KPI_METHOD_FIXED && options.run_min < info->to - state->began)
            options.run_min = info->to - state->began;
        state->decidable_at = state->began + options.run_min;
        elapsed = as_of > state->began ? as_of - state->began : 0;
    }
    kpi_experiment_judge(&options, state->arms, info->n_arms, elapsed, &state->result);
    if (!good)
        leave_undecided(&state->result, KPI_REASON_ARM_SUMS);
    else if (info->from != KPI_TIME_NONE && state->counts_from > info->from &&
             state->result.verdict == KPI_VERDICT_ARM)
        leave_undecided(&state->result, KPI_REASON_MISSED);
}

void kpi_experiment_evaluate(const struct kpi_plan *plan, uint32_t experiment,
                             const struct kpi_answers *answers, kpi_time as_of,
                             struct kpi_experiment_state *ret_state)
{
    const struct kpi_experiment_info *info = kpi_plan_experiment(plan, experiment);
    uint32_t at = 0, end = 0;
    bool good = true;

    begin(info, ret_state);
    if (answers)
        kpi_answers_find(answers, KPI_ANSWER_EXPERIMENT, experiment, &at, &end);
    for (; at < end; ++at) {
        const struct kpi_answer answer = kpi_answers_get(answers, at);

        if (answer.n_values > 0)
            break;
        good &= read_answer(info, &answer, ret_state);
        read_times(&answer, ret_state);
    }
    judge(info, as_of, good, ret_state);
}

/* Nobody looks whether these are few. */
static void hide(const struct kpi_experiment_info *info, struct kpi_experiment_state *state)
{
    state->n_excluded = KPI_ANSWER_CELL_HIDDEN;
    for (uint32_t arm = 0; arm < info->n_arms; ++arm)
        state->uncertain[arm] = KPI_ANSWER_CELL_HIDDEN;
}

uint32_t kpi_experiment_evaluate_group(const struct kpi_plan *plan, uint32_t experiment,
                                       const struct kpi_answers *answers, uint32_t first,
                                       kpi_time as_of, struct kpi_experiment_state *ret_state)
{
    const struct kpi_experiment_info *info = kpi_plan_experiment(plan, experiment);
    const struct kpi_answer key = kpi_answers_get(answers, first);
    uint32_t at, end;
    bool good = true;

    begin(info, ret_state);
    kpi_answers_find(answers, KPI_ANSWER_EXPERIMENT, experiment, &at, &end);
    for (; at < first; ++at) {
        const struct kpi_answer answer = kpi_answers_get(answers, at);

        if (answer.n_values > 0)
            break;
        read_times(&answer, ret_state);
    }
    for (at = first; at < end; ++at) {
        const struct kpi_answer answer = kpi_answers_get(answers, at);

        if (!kpi_answers_alike(&answer, &key))
            break;
        good &= read_answer(info, &answer, ret_state);
    }
    judge(info, as_of, good, ret_state);
    if (plan->min_group > 0)
        hide(info, ret_state);
    return at;
}

void kpi_experiment_groups(const struct kpi_answers *answers, uint32_t experiment,
                           uint32_t *ret_begin, uint32_t *ret_end, bool *ret_suppressed)
{
    *ret_begin = *ret_end = 0;
    *ret_suppressed = false;
    if (answers)
        kpi_answers_find(answers, KPI_ANSWER_EXPERIMENT, experiment, ret_begin, ret_end);
    for (; *ret_begin < *ret_end; ++*ret_begin) {
        const struct kpi_answer answer = kpi_answers_get(answers, *ret_begin);

        if (answer.n_values > 0)
            return;
        *ret_suppressed |= answer.part == KPI_ANSWER_PART_SUPPRESSED;
    }
}
