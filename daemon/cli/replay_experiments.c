/* Experiments as `kpid replay` prints them for people: arms, comparisons, and what follows. */
#include "cli/replay_print.h"

#include "api/table.h"
#include "util/error.h"

#include <kpi/experiment.h>
#include <math.h>

struct printing {
    const struct kpi_plan *plan;
    const struct kpi_answers *answers;
    kpi_time as_of;
};

/* An experiment, or a group of it, judged. */
struct judged {
    const struct kpi_experiment_info *info;
    const char *by; /* ` channel="wechat"`; empty: the whole */
    struct kpi_experiment_state state;
};

/* Calls `each` for an experiment and its groups. */
static void for_each(const struct printing *printing, uint32_t index,
                     void (*each)(const struct judged *judged, void *userdata), void *userdata)
{
    struct judged judged = {.info = kpi_plan_experiment(printing->plan, index), .by = ""};
    char by[REPLAY_BY_BYTES];
    uint32_t at, end;
    bool suppressed;

    kpi_experiment_evaluate(printing->plan, index, printing->answers, printing->as_of,
                            &judged.state);
    each(&judged, userdata);
    kpi_experiment_groups(printing->answers, index, &at, &end, &suppressed);
    judged.by = by;
    while (at < end) {
        const struct kpi_answer key = kpi_answers_get(printing->answers, at);

        replay_format_by(by, judged.info->by, key.values);
        at = kpi_experiment_evaluate_group(printing->plan, index, printing->answers, at,
                                           printing->as_of, &judged.state);
        each(&judged, userdata);
    }
}

/* Of a group its values, indented. */
static void add_experiment(struct table *table, const struct judged *judged)
{
    if (*judged->by)
        table_add_format(table, " %s", judged->by);
    else
        table_add_format(table, "%.*s", (int)judged->info->name.length, judged->info->name.data);
}

static void add_name(struct table *table, struct kpi_string name)
{
    table_add_format(table, "%.*s", (int)name.length, name.data);
}

/* How a number is shown. */
enum unit {
    UNIT_PLAIN,
    UNIT_SHARE,  /* 12.34 % */
    UNIT_POINTS, /* a difference of shares: 1.23 pp */
};

/* What is undefined, and an open end, is a dash. */
static void format_value(char *text, size_t size, enum unit unit, double value)
{
    if (!isfinite(value))
        (void)snprintf(text, size, "-");
    else if (unit != UNIT_PLAIN)
        (void)snprintf(text, size, "%.2f %s", 100 * value, unit == UNIT_SHARE ? "%" : "pp");
    else
        (void)snprintf(text, size, "%.6g", value);
}

static void add_value(struct table *table, enum unit unit, double value)
{
    char text[40];

    format_value(text, sizeof(text), unit, value);
    table_add(table, text);
}

static void add_interval(struct table *table, enum unit unit, const struct kpi_effect *effect)
{
    char lower[40], upper[40];

    format_value(lower, sizeof(lower), unit, effect->lower);
    format_value(upper, sizeof(upper), unit, effect->upper);
    table_add_format(table, "%s … %s", lower, upper);
}

static void add_p(struct table *table, double p)
{
    if (isnan(p))
        table_add(table, "-");
    else
        table_add_format(table, "%.4g", p);
}

static void add_arms(const struct judged *judged, void *table)
{
    const struct kpi_experiment_info *info = judged->info;
    const struct kpi_experiment_state *state = &judged->state;
    enum unit unit = info->options.metric == KPI_METRIC_PROPORTION ? UNIT_SHARE : UNIT_PLAIN;

    for (uint32_t arm = 0; arm < info->n_arms; arm++) {
        add_experiment(table, judged);
        add_name(table, info->arms[arm]);
        table_add_format(table, "%lld", (long long)state->arms[arm].sums.units);
        add_value(table, unit, state->result.values[arm]);
    }
}

static void add_comparisons(const struct judged *judged, void *table)
{
    const struct kpi_experiment_info *info = judged->info;
    const struct kpi_experiment_state *state = &judged->state;
    enum unit unit = info->options.metric == KPI_METRIC_PROPORTION ? UNIT_POINTS : UNIT_PLAIN;

    for (uint32_t i = 0; i < state->result.n_comparisons; i++) {
        const struct kpi_comparison *comparison = &state->result.comparisons[i];

        add_experiment(table, judged);
        table_add_format(table, "%.*s - %.*s", (int)info->arms[comparison->b].length,
                         info->arms[comparison->b].data, (int)info->arms[comparison->a].length,
                         info->arms[comparison->a].data);
        add_value(table, unit, comparison->absolute.value);
        add_interval(table, unit, &comparison->absolute);
        add_value(table, UNIT_SHARE, comparison->relative.value);
        add_p(table, comparison->p_adjusted);
        table_add(table, comparison->significant ? "yes" : "no");
    }
}

static void print_verdict(const struct judged *judged, void *out)
{
    const struct kpi_experiment_info *info = judged->info;
    const struct kpi_experiment_state *state = &judged->state;
    const struct kpi_experiment_result *result = &state->result;
    int64_t uncertain = 0;

    for (uint32_t arm = 0; arm < info->n_arms; arm++)
        uncertain += state->uncertain[arm];
    (void)fprintf(out, "%.*s", (int)info->name.length, info->name.data);
    if (!kpi_string_equal(info->name, info->title_zh))
        (void)fprintf(out, " %.*s", (int)info->title_zh.length, info->title_zh.data);
    (void)fprintf(out, "%s: ", judged->by);
    if (result->verdict == KPI_VERDICT_ARM)
        (void)fprintf(out, "%.*s is the best", (int)info->arms[result->winner].length,
                      info->arms[result->winner].data);
    else
        (void)fprintf(out, "%s, %s", kpi_verdict_name(result->verdict),
                      kpi_verdict_reason_name(result->reason));
    if (state->n_excluded > 0)
        (void)fprintf(out, "; %lld in two arms left out", (long long)state->n_excluded);
    if (uncertain > 0)
        (void)fprintf(out, "; %lld uncertain", (long long)uncertain);
    (void)fputc('\n', out);
}

/* One table of all experiments. */
static int print_table(const struct printing *printing, const struct table_column *columns,
                       unsigned n_columns, void (*add)(const struct judged *judged, void *table),
                       FILE *out)
{
    struct table *table = table_new(columns, n_columns);
    int r;

    if (!table)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < kpi_plan_n_experiments(printing->plan); i++)
        for_each(printing, i, add, table);
    (void)fputc('\n', out);
    r = table_print(table, out);
    (void)table_free(table);
    return r;
}

/* Of which ones not all groups are shown. */
static void print_suppressed(const struct printing *printing, uint32_t index, FILE *out)
{
    struct kpi_string name = kpi_plan_experiment(printing->plan, index)->name;
    uint32_t at, end;
    bool suppressed;

    kpi_experiment_groups(printing->answers, index, &at, &end, &suppressed);
    if (suppressed)
        (void)fprintf(out, "%.*s: groups of too few users are not shown\n", (int)name.length,
                      name.data);
}

int replay_print_experiments(const struct view *view, FILE *out)
{
    static const struct table_column arms[] = {
        {"experiment", false}, {"arm", false}, {"units", true}, {"value", true}};
    static const struct table_column comparisons[] = {
        {"experiment", false}, {"arms", false},      {"uplift", true},     {"interval", true},
        {"relative", true},    {"p adjusted", true}, {"significant", true}};
    struct printing printing = {.plan = kpi_layout_plan(view->layout), .as_of = view->as_of};
    int r;

    if (kpi_plan_n_experiments(printing.plan) == 0)
        return 0;
    r = view_answers(view, &printing.answers);
    if (r == 0)
        r = print_table(&printing, arms, sizeof(arms) / sizeof(arms[0]), add_arms, out);
    if (r == 0)
        r = print_table(&printing, comparisons, sizeof(comparisons) / sizeof(comparisons[0]),
                        add_comparisons, out);
    if (r < 0)
        return error_trace(r);
    (void)fputc('\n', out);
    for (uint32_t i = 0; i < kpi_plan_n_experiments(printing.plan); i++) {
        for_each(&printing, i, print_verdict, out);
        print_suppressed(&printing, i, out);
    }
    return 0;
}
