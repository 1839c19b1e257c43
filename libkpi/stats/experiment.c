/* The verdict on an experiment, from the sums of its arms. */
#include <kpi/experiment.h>

#include "stats/adjust.h"
#include "stats/arm.h"
#include "stats/compare.h"
#include "stats/tables.h"

#include <assert.h>
#include <math.h>

_Static_assert(KPI_COMPARISONS_MAX <= KPI_ADJUST_MAX, "all comparisons are adjusted at once");

const char *kpi_metric_name(enum kpi_metric metric)
{
    switch (metric) {
    case KPI_METRIC_PROPORTION:
        return "proportion";
    case KPI_METRIC_MEAN:
        return "mean";
    case KPI_METRIC_RATIO:
        return "ratio";
    }
    return "unknown";
}

const char *kpi_method_name(enum kpi_method method)
{
    return method == KPI_METHOD_FIXED ? "fixed" : "sequential";
}

const char *kpi_correction_name(enum kpi_correction correction)
{
    return correction == KPI_CORRECTION_HOLM ? "holm" : "bh";
}

const char *kpi_verdict_name(enum kpi_verdict verdict)
{
    switch (verdict) {
    case KPI_VERDICT_UNDECIDED:
        return "undecided";
    case KPI_VERDICT_ARM:
        return "arm";
    case KPI_VERDICT_BLOCKED:
        return "blocked";
    }
    return "unknown";
}

const char *kpi_verdict_reason_name(enum kpi_verdict_reason reason)
{
    switch (reason) {
    case KPI_REASON_EVIDENCE:
        return "evidence";
    case KPI_REASON_SRM:
        return "srm";
    case KPI_REASON_RUN:
        return "run";
    case KPI_REASON_UNITS:
        return "units";
    case KPI_REASON_NO_WINNER:
        return "no_winner";
    case KPI_REASON_ARM_SUMS:
        return "overflow";
    case KPI_REASON_MISSED:
        return "missed";
    }
    return "unknown";
}

const char *kpi_test_name(enum kpi_test test)
{
    switch (test) {
    case KPI_TEST_NONE:
        return "none";
    case KPI_TEST_WELCH:
        return "welch";
    case KPI_TEST_Z:
        return "z";
    case KPI_TEST_FISHER:
        return "fisher";
    case KPI_TEST_DELTA:
        return "delta";
    case KPI_TEST_SEQUENTIAL:
        return "sequential";
    }
    return "unknown";
}

/* The arms as they are judged. An arm without a value has no estimate. */
struct field {
    const struct kpi_experiment_options *options;
    uint32_t n_arms;
    int64_t units[KPI_ARMS_MAX];
    int64_t units_all;
    bool known[KPI_ARMS_MAX];
    struct kpi_estimate estimates[KPI_ARMS_MAX];
};

static enum kpi_tail tail_of(const struct kpi_experiment_options *options)
{
    if (!options->one_sided)
        return KPI_TAIL_BOTH;
    return options->better == KPI_BETTER_DOWN ? KPI_TAIL_LESS : KPI_TAIL_GREATER;
}

static int compare_arms(const struct kpi_experiment_options *options, const struct kpi_estimate *a,
                        const struct kpi_estimate *b, struct kpi_difference *ret_difference)
{
    const enum kpi_tail tail = tail_of(options);
    const double alpha = options->alpha;

    if (options->method == KPI_METHOD_SEQUENTIAL)
        return kpi_compare_sequential(a, b, tail, alpha, options->tuning_units, ret_difference);
    switch (options->metric) {
    case KPI_METRIC_PROPORTION:
        return kpi_compare_proportions(a, b, tail, alpha, ret_difference);
    case KPI_METRIC_MEAN:
        return kpi_compare_means(a, b, tail, alpha, ret_difference);
    case KPI_METRIC_RATIO:
        return kpi_compare_ratios(a, b, tail, alpha, ret_difference);
    }
    return KPI_COMPARE_E_UNDEFINED;
}

static void add_comparison(const struct field *field, uint32_t a, uint32_t b,
                           struct kpi_experiment_result *result)
{
    struct kpi_comparison *comparison = &result->comparisons[result->n_comparisons++];
    const struct kpi_estimate *from = &field->estimates[a], *to = &field->estimates[b];
    struct kpi_difference difference;

    *comparison = (struct kpi_comparison){
        .a = a,
        .b = b,
        .absolute = {NAN, NAN, NAN},
        .relative = {NAN, NAN, NAN},
        .p = NAN,
        .p_adjusted = NAN,
    };
    if (!field->known[a] || !field->known[b])
        return;
    if (compare_arms(field->options, from, to, &difference)) {
        comparison->absolute.value = kpi_estimate_difference(from, to);
        comparison->relative.value =
            kpi_relative_effect(from, to, tail_of(field->options), NAN).value;
        return;
    }
    comparison->test = difference.test;
    comparison->absolute = difference.effect;
    comparison->relative =
        kpi_relative_effect(from, to, tail_of(field->options), difference.critical);
    comparison->p = difference.p;
}

static void compare_all(const struct field *field, struct kpi_experiment_result *result)
{
    const uint32_t control = field->options->control;

    result->n_comparisons = 0;
    for (uint32_t a = 0; a < field->n_arms; a++) {
        if (control != KPI_ARM_NONE && a != control)
            continue;
        for (uint32_t b = control == KPI_ARM_NONE ? a + 1 : 0; b < field->n_arms; b++)
            if (b != a)
                add_comparison(field, a, b, result);
    }
}

/* What could not be tested is still one of the questions that were asked: it counts as p = 1. */
static void adjust_all(const struct kpi_experiment_options *options,
                       struct kpi_experiment_result *result)
{
    const uint32_t n = result->n_comparisons;
    double p[KPI_COMPARISONS_MAX], adjusted[KPI_COMPARISONS_MAX];

    for (uint32_t i = 0; i < n; i++)
        p[i] = isnan(result->comparisons[i].p) ? 1 : result->comparisons[i].p;
    if (options->correction == KPI_CORRECTION_HOLM)
        kpi_adjust_holm(p, n, adjusted);
    else
        kpi_adjust_bh(p, n, adjusted);
    for (uint32_t i = 0; i < n; i++) {
        struct kpi_comparison *comparison = &result->comparisons[i];

        if (isnan(comparison->p))
            continue;
        comparison->p_adjusted = adjusted[i];
        comparison->significant = adjusted[i] <= options->alpha;
    }
}

/* How many of its comparisons an arm has won: by a significant difference in its favour. */
static uint32_t wins_of(const struct field *field, const struct kpi_experiment_result *result,
                        uint32_t arm)
{
    const bool down = field->options->better == KPI_BETTER_DOWN;
    uint32_t wins = 0;

    for (uint32_t i = 0; i < result->n_comparisons; i++) {
        const struct kpi_comparison *comparison = &result->comparisons[i];
        const bool b_better = (comparison->absolute.value > 0) != down;

        if (comparison->significant && arm == (b_better ? comparison->b : comparison->a))
            wins++;
    }
    return wins;
}

/* See kpi_experiment_judge(). */
static uint32_t find_winner(const struct field *field, const struct kpi_experiment_result *result)
{
    const uint32_t control = field->options->control;
    const double sign = field->options->better == KPI_BETTER_DOWN ? -1 : 1;
    uint32_t winner = KPI_ARM_NONE;

    for (uint32_t arm = 0; arm < field->n_arms; arm++) {
        const uint32_t wins = wins_of(field, result, arm);
        /* An arm beside the control has only one comparison. */
        const bool won =
            control == KPI_ARM_NONE || arm == control ? wins == field->n_arms - 1 : wins == 1;

        if (won &&
            (winner == KPI_ARM_NONE || sign * result->values[arm] > sign * result->values[winner]))
            winner = arm;
    }
    return winner;
}

static bool split_mismatch(const struct field *field, const struct kpi_experiment_result *result)
{
    return field->units_all >= field->options->srm_units_min &&
           result->srm_p < field->options->srm_threshold;
}

static bool too_few_units(const struct field *field)
{
    for (uint32_t i = 0; i < field->n_arms; i++)
        if (field->units[i] < field->options->units_min)
            return true;
    return false;
}

static void decide(const struct field *field, kpi_duration elapsed,
                   struct kpi_experiment_result *result)
{
    result->verdict = KPI_VERDICT_UNDECIDED;
    result->winner = KPI_ARM_NONE;
    if (split_mismatch(field, result)) {
        result->verdict = KPI_VERDICT_BLOCKED;
        result->reason = KPI_REASON_SRM;
    } else if (elapsed < field->options->run_min) {
        result->reason = KPI_REASON_RUN;
    } else if (too_few_units(field)) {
        result->reason = KPI_REASON_UNITS;
    } else {
        result->winner = find_winner(field, result);
        result->verdict = result->winner == KPI_ARM_NONE ? KPI_VERDICT_UNDECIDED : KPI_VERDICT_ARM;
        result->reason =
            result->winner == KPI_ARM_NONE ? KPI_REASON_NO_WINNER : KPI_REASON_EVIDENCE;
    }
}

static double p_of_all(const struct field *field)
{
    int64_t hits[KPI_ARMS_MAX];

    if (field->options->metric != KPI_METRIC_PROPORTION ||
        field->options->method != KPI_METHOD_FIXED || field->n_arms < 3)
        return NAN;
    for (uint32_t i = 0; i < field->n_arms; i++)
        hits[i] = field->estimates[i].hits;
    return kpi_table_proportions(hits, field->units, field->n_arms);
}

void kpi_experiment_judge(const struct kpi_experiment_options *options, const struct kpi_arm *arms,
                          uint32_t n_arms, kpi_duration elapsed,
                          struct kpi_experiment_result *ret_result)
{
    struct field field = {.options = options, .n_arms = n_arms};
    double weights[KPI_ARMS_MAX];

    assert(n_arms >= 2 && n_arms <= KPI_ARMS_MAX);
    assert(options->alpha > 0 && options->alpha < 0.5);
    assert(options->control == KPI_ARM_NONE || options->control < n_arms);
    assert(!options->one_sided || options->control != KPI_ARM_NONE);
    assert(options->better != KPI_BETTER_BAND);
    assert(options->tuning_units > 0);
    for (uint32_t i = 0; i < n_arms; i++) {
        assert(arms[i].weight > 0);
        weights[i] = arms[i].weight;
        field.units[i] = arms[i].sums.units;
        field.units_all += field.units[i];
        field.known[i] = kpi_estimate_arm(options->metric, &arms[i].sums, &field.estimates[i]) == 0;
        ret_result->values[i] = field.known[i] ? field.estimates[i].value : NAN;
    }
    ret_result->srm_p = kpi_table_split(field.units, weights, n_arms);
    ret_result->any_p = p_of_all(&field);
    compare_all(&field, ret_result);
    adjust_all(options, ret_result);
    decide(&field, elapsed, ret_result);
}
