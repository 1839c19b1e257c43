/*
 * What a step of a test expects of experiments:
 *
 *   experiments:
 *     - {experiment: theme, verdict: B, reason: evidence, units: {A: 100, B: 104}, excluded: 2}
 *
 * Any of what stands behind the name, and at least one. The verdict is a variant, undecided or
 * blocked.
 */
#include "cli/test_run.h"

#include <errno.h>
#include <kpi/experiment.h>
#include <stdlib.h>

#define N_FIELDS(fields) (sizeof(fields) / sizeof((fields)[0]))

/* --- reading --- */

static bool find_experiment(const struct test_reader *reader, const struct doc_node *owner,
                            const struct doc_node *node, uint32_t *ret_experiment)
{
    struct load *load = &reader->file->load;
    struct suggest suggest;
    struct kpi_string text;

    if (!node) {
        report_error(&load->report, load_begin_of(owner), "experiment is missing");
        return false;
    }
    if (!load_text(load, node, "experiment", &text))
        return false;
    suggest = suggest_begin(text);
    for (uint32_t i = 0; i < kpi_plan_n_experiments(reader->plan); i++) {
        struct kpi_string name = kpi_plan_experiment(reader->plan, i)->name;

        if (kpi_string_equal(name, text)) {
            *ret_experiment = i;
            return true;
        }
        suggest_try(&suggest, name.data); /* terminated, and the plan's */
    }
    report_error(&load->report, doc_node_place(node), "there is no experiment %s", QUOTE(text));
    report_suggest(&load->report, suggest.best);
    return false;
}

/* The arm of this name, or n_arms. */
static uint32_t find_arm(const struct kpi_experiment_info *info, struct kpi_string name)
{
    uint32_t arm = 0;

    while (arm < info->n_arms && !kpi_string_equal(info->arms[arm], name))
        arm++;
    return arm;
}

static void read_count(const struct test_reader *reader, const struct doc_node *node,
                       const char *what, struct test_count *ret_count)
{
    if (node && test_read_count(reader, node, what, &ret_count->n))
        ret_count->node = node;
}

static void read_units(const struct test_reader *reader, const struct doc_node *node,
                       const struct kpi_experiment_info *info, struct test_experiment *experiment)
{
    struct load *load = &reader->file->load;
    const struct doc_node *child;

    if (!node)
        return;
    if (node->kind != DOC_MAPPING) {
        report_error(&load->report, load_begin_of(node),
                     "units: variants and their numbers are expected, as {A: 100, B: 104}");
        return;
    }
    for (child = node->first; child; child = child->next) {
        uint32_t arm = find_arm(info, doc_string(child->key));

        if (arm == info->n_arms)
            report_error(&load->report, doc_node_place(child->key), "there is no variant %s",
                         QUOTE(doc_string(child->key)));
        else
            read_count(reader, child, "units", &experiment->units[arm]);
    }
}

static void read_verdict(struct load *load, const struct doc_node *node,
                         const struct kpi_experiment_info *info, struct test_experiment *experiment)
{
    struct kpi_string text;

    if (!node || !load_text(load, node, "verdict", &text))
        return;
    if (!kpi_string_equal(text, KPI_STRING("undecided")) &&
        !kpi_string_equal(text, KPI_STRING("blocked")) && find_arm(info, text) == info->n_arms)
        load_wrong(load, node, "verdict", "is neither a variant nor undecided or blocked");
    else
        experiment->verdict_node = node;
}

static void read_experiment(const struct test_reader *reader, const struct doc_node *node,
                            struct test_experiment *experiment)
{
    struct doc_node *name, *verdict, *reason, *units, *excluded;
    const struct load_field fields[] = {{"experiment", &name},
                                        {"verdict", &verdict},
                                        {"reason", &reason},
                                        {"units", &units},
                                        {"excluded", &excluded}};
    struct load *load = &reader->file->load;
    const struct kpi_experiment_info *info;
    unsigned choice;

    *experiment = (struct test_experiment){.node = node};
    if (!load_fields(load, node, "expectation", fields, N_FIELDS(fields)) ||
        !find_experiment(reader, node, name, &experiment->experiment))
        return;
    info = kpi_plan_experiment(reader->plan, experiment->experiment);
    if (!verdict && !reason && !units && !excluded)
        report_error(&load->report, load_begin_of(node),
                     "nothing is expected: verdict, reason, units or excluded");
    read_verdict(load, verdict, info, experiment);
    if (reason &&
        load_choice(load, reason, "reason", "evidence|srm|run|units|no_winner|overflow", &choice))
        experiment->reason_node = reason;
    read_units(reader, units, info, experiment);
    read_count(reader, excluded, "excluded", &experiment->excluded);
}

int test_read_experiments(const struct test_reader *reader, const struct doc_node *list,
                          struct test_step *step)
{
    const struct doc_node *child;

    step->experiments =
        arena_alloc(&reader->file->load.arena, (list->n_children + 1) * sizeof(*step->experiments));
    if (!step->experiments)
        return -ENOMEM;
    for (child = list->first; child; child = child->next)
        read_experiment(reader, child, &step->experiments[step->n_experiments++]);
    return 0;
}

/* --- comparing --- */

static void compare_text(struct test_output *output, const struct kpi_experiment_info *info,
                         const struct doc_node *expected, struct kpi_string is)
{
    if (!expected || kpi_string_equal(doc_string(expected), is))
        return;
    test_fail(output, expected, "%.*s, %s", (int)info->name.length, info->name.data,
              expected->key->value);
    (void)fprintf(output->out, "  expected %s\n  got      %.*s\n", expected->value, (int)is.length,
                  is.data);
}

static void compare_number(struct test_output *output, const struct kpi_experiment_info *info,
                           const struct test_count *expected, const char *what, int64_t is)
{
    if (!expected->node || (uint64_t)is == expected->n)
        return;
    test_fail(output, expected->node, "%.*s, %s", (int)info->name.length, info->name.data, what);
    (void)fprintf(output->out, "  expected %llu\n  got      %lld\n",
                  (unsigned long long)expected->n, (long long)is);
}

static void compare(struct test_output *output, const struct test_experiment *expected,
                    const struct kpi_plan *plan, const struct kpi_answers *answers, kpi_time as_of)
{
    const struct kpi_experiment_info *info = kpi_plan_experiment(plan, expected->experiment);
    struct kpi_experiment_state state;
    const char *verdict, *reason;

    kpi_experiment_evaluate(plan, expected->experiment, answers, as_of, &state);
    verdict = kpi_verdict_name(state.result.verdict);
    reason = kpi_verdict_reason_name(state.result.reason);
    compare_text(output, info, expected->verdict_node,
                 state.result.verdict == KPI_VERDICT_ARM
                     ? info->arms[state.result.winner]
                     : (struct kpi_string){verdict, strlen(verdict)});
    compare_text(output, info, expected->reason_node, (struct kpi_string){reason, strlen(reason)});
    for (uint32_t arm = 0; arm < info->n_arms; arm++)
        compare_number(output, info, &expected->units[arm], info->arms[arm].data,
                       state.arms[arm].sums.units);
    compare_number(output, info, &expected->excluded, "excluded", state.n_excluded);
}

int test_compare_experiments(struct test_output *output, const struct test_step *step,
                             const struct view *view)
{
    const struct kpi_answers *answers;
    int r;

    if (step->n_experiments == 0)
        return 0;
    r = view_answers(view, &answers);
    for (uint32_t i = 0; i < step->n_experiments && r == 0; i++)
        compare(output, &step->experiments[i], kpi_layout_plan(view->layout), answers, view->as_of);
    return r;
}
