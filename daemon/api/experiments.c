/*
 * Experiments as JSON:
 *
 *   {"experiment":"theme","title_en":"Theme","title_zh":"主题","metric":"proportion",
 *    "method":"sequential","alpha":0.05,"correction":"holm","better":"up","control":null,
 *    "one_sided":false,"campaign":"double11","from":"…","to":null,"began":"…","decidable_at":"…",
 *    "min_run_seconds":172800,"min_units":100,"tuning_units":5000,
 *    "arms":[{"arm":"A","share":0.5,"units":4981,"value":0.12,"uncertain":0,
 *             "sums":{"x":"598","y":"0","xx":"598","xy":"0","yy":"0"}}, …],
 *    "excluded":12,"srm_p":0.81,"any_p":null,
 *    "comparisons":[{"a":"A","b":"B","test":"sequential","uplift":0.01,"lower":-0.02,"upper":0.04,
 *                    "relative_uplift":0.08,"relative_lower":-0.2,"relative_upper":0.4,
 *                    "p":0.7,"p_adjusted":1,"significant":false}, …],
 *    "verdict":"undecided","winner":null,"reason":"no_winner"}
 *
 * The verdict is the name of the best arm, "undecided" or "blocked"; winner is an arm or null, for
 * arms that are called so. uplift is b - a in the unit of the value. What is undefined, and the
 * open end of an interval, is null. Sums are exact, as text. "counts_from" stands behind
 * decidable_at if what happened before was missed.
 *
 * Of users whose first exposure had certain values there is, behind "experiment", "by":{"channel":
 * "wechat"}: began and what follows from it are those of the whole. Under min_group "uncertain" and
 * "excluded" of groups are null, and where anything is missing there is {"experiment":"theme",
 * "by":{"channel":"__suppressed__"},"state":"suppressed"}.
 */
#include "api/answers.h"

#include "util/error.h"

#include <kpi/experiment.h>
#include <stdio.h>

/* A number in 10^-decimals, exactly: "-12.5". */
static void add_exact(struct json *json, cJSON *object, const char *key, kpi_wide number,
                      unsigned decimals)
{
    unsigned __int128 left = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number;
    char text[64], *at = text + sizeof(text);
    bool shown = false;

    *--at = '\0';
    for (unsigned i = 0; left || i <= decimals; i++) {
        char digit = (char)('0' + (int)(left % 10));

        left /= 10;
        if (i == decimals && shown)
            *--at = '.';
        shown = shown || digit != '0' || i >= decimals;
        if (shown)
            *--at = digit;
    }
    if (number < 0)
        *--at = '-';
    json_add_text(json, object, key, at);
}

static void add_time(struct json *json, cJSON *item, const char *key, const struct kpi_plan *plan,
                     kpi_time time)
{
    if (time == KPI_TIME_NONE)
        json_add_null(json, item, key);
    else
        answers_add_time(json, item, key, plan, time);
}

static void add_arm_name(struct json *json, cJSON *item, const char *key,
                         const struct kpi_experiment_info *info, uint32_t arm)
{
    if (arm == KPI_ARM_NONE)
        json_add_null(json, item, key);
    else
        json_add_string(json, item, key, info->arms[arm]);
}

static void add_definition(struct json *json, cJSON *entry, const struct kpi_plan *plan,
                           const struct kpi_experiment_info *info,
                           const struct kpi_experiment_state *state)
{
    const struct kpi_experiment_options *options = &info->options;

    json_add_string(json, entry, "title_en", info->title_en);
    json_add_string(json, entry, "title_zh", info->title_zh);
    json_add_text(json, entry, "metric", kpi_metric_name(options->metric));
    json_add_text(json, entry, "method", kpi_method_name(options->method));
    json_add_real(json, entry, "alpha", options->alpha);
    json_add_text(json, entry, "correction", kpi_correction_name(options->correction));
    json_add_text(json, entry, "better", options->better == KPI_BETTER_UP ? "up" : "down");
    add_arm_name(json, entry, "control", info, options->control);
    json_add_bool(json, entry, "one_sided", options->one_sided);
    if (info->campaign < kpi_plan_n_campaigns(plan))
        json_add_string(json, entry, "campaign", kpi_plan_campaign(plan, info->campaign)->id);
    else
        json_add_null(json, entry, "campaign");
    add_time(json, entry, "from", plan, info->from);
    add_time(json, entry, "to", plan, info->to);
    add_time(json, entry, "began", plan, state->began);
    add_time(json, entry, "decidable_at", plan, state->decidable_at);
    if (state->counts_from != KPI_TIME_NONE)
        json_add_time(json, entry, "counts_from", state->counts_from, 0);
    json_add_real(json, entry, "min_run_seconds", (double)options->run_min / (double)KPI_SECOND);
    json_add_integer(json, entry, "min_units", options->units_min);
    json_add_real(json, entry, "tuning_units", options->tuning_units);
}

static void add_sums(struct json *json, cJSON *item, const struct kpi_arm_sums *sums)
{
    cJSON *object = json_object(json, item, "sums");

    add_exact(json, object, "x", sums->x, 6);
    add_exact(json, object, "y", sums->y, 6);
    add_exact(json, object, "xx", sums->xx, 12);
    add_exact(json, object, "xy", sums->xy, 12);
    add_exact(json, object, "yy", sums->yy, 12);
}

static void add_arms(struct json *json, cJSON *entry, const struct kpi_experiment_info *info,
                     const struct kpi_experiment_state *state)
{
    cJSON *array = json_array(json, entry, "arms");
    double weight = 0;

    for (uint32_t i = 0; i < info->n_arms; i++)
        weight += info->weights[i];
    for (uint32_t i = 0; i < info->n_arms; i++) {
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "arm", info->arms[i]);
        json_add_real(json, item, "share", info->weights[i] / weight);
        json_add_integer(json, item, "units", state->arms[i].sums.units);
        json_add_real(json, item, "value", state->result.values[i]);
        answers_add_count(json, item, "uncertain", state->uncertain[i]);
        add_sums(json, item, &state->arms[i].sums);
    }
}

static void add_comparisons(struct json *json, cJSON *entry, const struct kpi_experiment_info *info,
                            const struct kpi_experiment_result *result)
{
    cJSON *array = json_array(json, entry, "comparisons");

    for (uint32_t i = 0; i < result->n_comparisons; i++) {
        const struct kpi_comparison *comparison = &result->comparisons[i];
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "a", info->arms[comparison->a]);
        json_add_string(json, item, "b", info->arms[comparison->b]);
        json_add_text(json, item, "test", kpi_test_name(comparison->test));
        json_add_real(json, item, "uplift", comparison->absolute.value);
        json_add_real(json, item, "lower", comparison->absolute.lower);
        json_add_real(json, item, "upper", comparison->absolute.upper);
        json_add_real(json, item, "relative_uplift", comparison->relative.value);
        json_add_real(json, item, "relative_lower", comparison->relative.lower);
        json_add_real(json, item, "relative_upper", comparison->relative.upper);
        json_add_real(json, item, "p", comparison->p);
        json_add_real(json, item, "p_adjusted", comparison->p_adjusted);
        json_add_bool(json, item, "significant", comparison->significant);
    }
}

static void add_verdict(struct json *json, cJSON *entry, const struct kpi_experiment_info *info,
                        const struct kpi_experiment_result *result)
{
    if (result->verdict == KPI_VERDICT_ARM)
        json_add_string(json, entry, "verdict", info->arms[result->winner]);
    else
        json_add_text(json, entry, "verdict", kpi_verdict_name(result->verdict));
    add_arm_name(json, entry, "winner", info, result->winner);
    json_add_text(json, entry, "reason", kpi_verdict_reason_name(result->reason));
}

/* The key has the values of a group, or none: then it is the whole. */
static void add_entry(struct json *json, cJSON *array, const struct answers_page *page,
                      uint32_t index, const struct kpi_answer *key,
                      const struct kpi_experiment_state *state)
{
    const struct kpi_experiment_info *info = kpi_plan_experiment(page->plan, index);
    cJSON *entry;

    if (state->began != KPI_TIME_NONE && !answers_in_time(page, state->began))
        return;
    entry = json_object(json, array, NULL);
    json_add_string(json, entry, "experiment", info->name);
    if (key->n_values)
        answers_add_by(json, entry, info->by, key);
    add_definition(json, entry, page->plan, info, state);
    add_arms(json, entry, info, state);
    answers_add_count(json, entry, "excluded", state->n_excluded);
    json_add_real(json, entry, "srm_p", state->result.srm_p);
    json_add_real(json, entry, "any_p", state->result.any_p);
    add_comparisons(json, entry, info, &state->result);
    add_verdict(json, entry, info, &state->result);
}

static void add_groups(struct json *json, cJSON *array, const struct answers_page *page,
                       uint32_t index)
{
    const struct kpi_experiment_info *info = kpi_plan_experiment(page->plan, index);
    uint32_t at, end;
    bool suppressed;

    kpi_experiment_groups(page->answers, index, &at, &end, &suppressed);
    while (at < end) {
        const struct kpi_answer key = kpi_answers_get(page->answers, at);
        struct kpi_experiment_state state;

        at = kpi_experiment_evaluate_group(page->plan, index, page->answers, at, page->as_of,
                                           &state);
        add_entry(json, array, page, index, &key, &state);
    }
    if (suppressed)
        answers_add_suppressed(json, array, "experiment", info->name, info->by);
}

static int experiments_add(struct json *json, cJSON *array, const struct answers_page *page,
                           uint32_t index)
{
    if (page->whole) {
        struct kpi_experiment_state state;

        kpi_experiment_evaluate(page->plan, index, page->answers, page->as_of, &state);
        add_entry(json, array, page, index, &(struct kpi_answer){.n_values = 0}, &state);
    }
    if (page->broken_down)
        add_groups(json, array, page, index);
    return json->failed ? error_origin(-ENOMEM) : 0;
}

static struct kpi_string experiment_name(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_experiment(plan, index)->name;
}

static const struct kpi_breakdown_info *experiment_by(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_experiment(plan, index)->by;
}

const struct answers_station experiments_station = {
    .key = "experiments",
    .count = kpi_plan_n_experiments,
    .name = experiment_name,
    .by = experiment_by,
    .add = experiments_add,
};
