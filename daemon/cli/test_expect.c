/* What a step of a test expects of KPIs and alerts, with all names resolved. */
#include "cli/test_by.h"
#include "cli/test_file.h"
#include "scope_text.h"
#include "util/memory.h"

#include <errno.h>

#define N_FIELDS(fields) (sizeof(fields) / sizeof((fields)[0]))

/* What an expectation is about, as it is written. */
struct subject {
    struct doc_node *kpi, *campaign, *scope;
};

static void suggest_name(struct load *load, struct suggest *suggest, struct kpi_string name)
{
    char *copy = arena_copy(&load->arena, name.data, name.length);

    if (copy)
        suggest_try(suggest, copy);
    else
        load->report.no_memory = true;
}

static bool find_kpi(const struct test_reader *reader, const struct doc_node *node,
                     uint32_t *ret_kpi)
{
    struct load *load = &reader->file->load;
    struct suggest suggest;
    struct kpi_string text;

    if (!load_text(load, node, "kpi", &text))
        return false;
    suggest = suggest_begin(text);
    for (uint32_t i = 0; i < kpi_plan_n_kpis(reader->plan); i++) {
        struct kpi_string name = kpi_plan_kpi(reader->plan, i)->name;

        if (kpi_string_equal(name, text)) {
            *ret_kpi = i;
            return true;
        }
        suggest_name(load, &suggest, name);
    }
    report_error(&load->report, doc_node_place(node), "there is no KPI %s", QUOTE(text));
    report_suggest(&load->report, suggest.best);
    return false;
}

static bool find_campaign(const struct test_reader *reader, const struct doc_node *owner,
                          const struct doc_node *node, uint32_t *ret_campaign)
{
    struct load *load = &reader->file->load;
    uint32_t n = kpi_plan_n_campaigns(reader->plan);
    struct suggest suggest;
    struct kpi_string text;

    if (!node && n != 1) {
        report_error(&load->report, load_begin_of(owner),
                     n == 0 ? "there is no campaign, and so nothing to expect"
                            : "campaign is missing: there are several");
        return false;
    }
    *ret_campaign = 0;
    if (!node)
        return true;
    if (!load_text(load, node, "campaign", &text))
        return false;
    suggest = suggest_begin(text);
    for (*ret_campaign = 0; *ret_campaign < n; ++*ret_campaign) {
        struct kpi_string id = kpi_plan_campaign(reader->plan, *ret_campaign)->id;

        if (kpi_string_equal(id, text))
            return true;
        suggest_name(load, &suggest, id);
    }
    report_error(&load->report, doc_node_place(node), "there is no campaign %s", QUOTE(text));
    report_suggest(&load->report, suggest.best);
    return false;
}

static bool find_scope(const struct test_reader *reader, const struct doc_node *node,
                       uint32_t campaign, struct kpi_scope *ret_pattern)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(reader->plan, campaign);
    struct load *load = &reader->file->load;
    struct suggest suggest;
    struct kpi_string text;
    int r;

    *ret_pattern = (struct kpi_scope){
        .kind = KPI_SCOPE_CAMPAIGN, .unit = KPI_SCOPE_CAMPAIGN, .count = 1, .campaign = campaign};
    if (!node)
        return true;
    if (!load_text(load, node, "scope", &text))
        return false;
    r = scope_text_parse(text, reader->plan, campaign, ret_pattern);
    if (r == 0)
        return true;
    suggest = suggest_begin(text);
    suggest_try(&suggest, "campaign");
    for (uint32_t i = 0; i < info->n_phases; i++)
        suggest_name(load, &suggest, info->phases[i].name);
    load_wrong(
        load, node, "scope",
        "is no scope: campaign, a phase, day, day 2026-11-01, week, month, 5m, rolling 7d …");
    report_suggest(&load->report, suggest.best);
    return false;
}

static bool find_subject(const struct test_reader *reader, const struct doc_node *owner,
                         const struct subject *subject, uint32_t *ret_kpi,
                         struct kpi_scope *ret_pattern)
{
    uint32_t campaign;

    if (!subject->kpi) {
        report_error(&reader->file->load.report, load_begin_of(owner), "kpi is missing");
        return false;
    }
    /* Without a plan names mean nothing; that it is broken has been told. */
    return reader->plan && find_kpi(reader, subject->kpi, ret_kpi) &&
           find_campaign(reader, owner, subject->campaign, &campaign) &&
           find_scope(reader, subject->scope, campaign, ret_pattern);
}

/* A scope that is not reported at the time of its step can be nothing but a mistake. */
static int check_scope(const struct test_reader *reader, const struct doc_node *node,
                       const struct test_step *step, const struct kpi_scope *pattern)
{
    struct kpi_layout *layout;
    uint32_t scope;
    int r;

    if (!node || step->at == KPI_TIME_NONE)
        return 0;
    r = kpi_layout_new(&layout, reader->file->config->plan, step->at, &memory_kpi);
    if (r < 0)
        return r;
    if (!scope_text_find(layout, pattern, &scope))
        load_wrong(&reader->file->load, node, "scope",
                   pattern->kind == KPI_SCOPE_ROLLING
                       ? "is not kept: see the setting rolling"
                       : "is no day of the campaign or its phases up to the time of this step");
    (void)kpi_layout_unref(layout);
    return 0;
}

static void read_numbers(const struct test_reader *reader, struct doc_node *const nodes[4],
                         const struct doc_node *tolerance, struct test_expectation *expectation)
{
    static const char *const names[] = {"value", "numerator", "denominator", "complete"};
    struct test_exact *numbers[] = {&expectation->value, &expectation->numerator,
                                    &expectation->denominator, &expectation->complete};
    struct test_exact exact;

    for (size_t i = 0; i < N_FIELDS(names); i++) {
        if (nodes[i])
            (void)test_read_exact(reader, nodes[i], names[i], numbers[i]); /* reported */
    }
    expectation->tolerance = KPI_TIME_NONE;
    if (!tolerance || !test_read_exact(reader, tolerance, "tolerance", &exact))
        return;
    if (exact.fraction || exact.numerator < 0)
        load_wrong(&reader->file->load, tolerance, "tolerance", "is no distance, as 0.001");
    else
        expectation->tolerance = exact.numerator;
}

static int read_expectation(const struct test_reader *reader, const struct doc_node *node,
                            const struct test_step *step, struct test_expectation *expectation)
{
    struct doc_node *numbers[4], *state, *tolerance, *by;
    struct subject subject;
    const struct load_field fields[] = {
        {"kpi", &subject.kpi},      {"campaign", &subject.campaign},
        {"scope", &subject.scope},  {"value", &numbers[0]},
        {"numerator", &numbers[1]}, {"denominator", &numbers[2]},
        {"complete", &numbers[3]},  {"state", &state},
        {"tolerance", &tolerance},  {"by", &by},
    };
    struct load *load = &reader->file->load;
    unsigned choice;

    *expectation = (struct test_expectation){.node = node};
    if (!load_fields(load, node, "expectation", fields, N_FIELDS(fields)))
        return 0;
    read_numbers(reader, numbers, tolerance, expectation);
    /* in the order of enum kpi_value_state */
    if (state && load_choice(load, state, "state", "ok|undefined|no_data", &choice)) {
        expectation->state_node = state;
        expectation->state = (enum kpi_value_state)choice;
    }
    if (!numbers[0] && !numbers[1] && !numbers[2] && !numbers[3] && !state)
        report_error(&load->report, load_begin_of(node),
                     "nothing is expected: value, state, numerator, denominator or complete");
    if (numbers[0] && expectation->state_node && expectation->state != KPI_VALUE_OK)
        report_error(&load->report, doc_node_place(numbers[0]), "a KPI in this state has no value");
    if (!find_subject(reader, node, &subject, &expectation->kpi, &expectation->scope))
        return 0;
    if (by)
        test_read_by(reader, by, expectation->kpi, &expectation->group);
    return check_scope(reader, subject.scope, step, &expectation->scope);
}

int test_read_expectations(const struct test_reader *reader, const struct doc_node *list,
                           struct test_step *step)
{
    const struct doc_node *child;
    int r = 0;

    step->expectations = arena_alloc(&reader->file->load.arena,
                                     (list->n_children + 1) * sizeof(*step->expectations));
    if (!step->expectations)
        return -ENOMEM;
    for (child = list->first; child && r == 0; child = child->next)
        r = read_expectation(reader, child, step, &step->expectations[step->n_expectations++]);
    return r;
}

static bool same_scope(const struct kpi_scope *a, const struct kpi_scope *b)
{
    return kpi_scope_alike(a, b) && a->phase == b->phase && a->start_day == b->start_day &&
           a->start_minute == b->start_minute;
}

/* The target that an alert belongs to. Without scope and better it is the only one of its KPI. */
static void find_target(const struct test_reader *reader, const struct doc_node *node,
                        const struct subject *subject, const struct doc_node *better_node,
                        struct test_alert *alert)
{
    struct load *load = &reader->file->load;
    struct kpi_scope pattern;
    unsigned better = KPI_BETTER_UP; /* in the order of enum kpi_better */
    bool several = false;
    uint32_t kpi;

    if (!find_subject(reader, node, subject, &kpi, &pattern) ||
        (better_node && !load_choice(load, better_node, "better", "up|down|band", &better)))
        return;
    for (uint32_t i = 0; i < kpi_plan_n_targets(reader->plan); i++) {
        const struct kpi_target *target = kpi_plan_target(reader->plan, i);

        if (target->kpi != kpi || target->campaign != pattern.campaign ||
            (subject->scope && !same_scope(&target->scope_pattern, &pattern)) ||
            (better_node && target->better != (enum kpi_better)better))
            continue;
        several |= alert->target && alert->target->fingerprint != target->fingerprint;
        alert->target = target;
    }
    if (several)
        report_error(&load->report, load_begin_of(node),
                     "scope is missing or not enough, or better: there are several targets for %s",
                     QUOTE(doc_string(subject->kpi)));
    else if (!alert->target)
        report_error(&load->report, doc_node_place(subject->scope ? subject->scope : subject->kpi),
                     "there is no target for %s%s%s", QUOTE(doc_string(subject->kpi)),
                     subject->scope ? " in this scope" : "",
                     better_node ? " with this better" : "");
}

static void read_alert(const struct test_reader *reader, const struct doc_node *node,
                       struct test_alert *alert)
{
    struct doc_node *better, *status, *level, *since;
    struct subject subject;
    const struct load_field fields[] = {
        {"kpi", &subject.kpi},     {"campaign", &subject.campaign},
        {"scope", &subject.scope}, {"better", &better},
        {"status", &status},       {"level", &level},
        {"since", &since},
    };
    struct load *load = &reader->file->load;
    unsigned choice;

    *alert = (struct test_alert){.node = node, .status = TEST_STATUS_FIRING};
    if (!load_fields(load, node, "alert", fields, N_FIELDS(fields)))
        return;
    /* in the order of enum test_status and enum kpi_alert_level */
    if (status && load_choice(load, status, "status",
                              "ok|pending|firing|no_data|undefined|resolved", &choice))
        alert->status = (enum test_status)choice;
    if (level && load_choice(load, level, "level", "none|general|serious|critical", &choice)) {
        alert->level_node = level;
        alert->level = (enum kpi_alert_level)choice;
    }
    if (since && test_read_time(reader, since, "since", &alert->since))
        alert->since_node = since;
    find_target(reader, node, &subject, better, alert);
}

int test_read_alerts(const struct test_reader *reader, const struct doc_node *list,
                     struct test_step *step)
{
    const struct doc_node *child;

    step->alerts_node = list;
    step->alerts =
        arena_alloc(&reader->file->load.arena, (list->n_children + 1) * sizeof(*step->alerts));
    if (!step->alerts)
        return -ENOMEM;
    if (list->n_children == 0)
        step->exhaustive = true;
    for (child = list->first; child; child = child->next)
        read_alert(reader, child, &step->alerts[step->n_alerts++]);
    return 0;
}
