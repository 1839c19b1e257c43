/*
 * What was expected against what came. Without a tolerance nothing is compared as a double but
 * `complete`, a quotient that is rounded once on both sides.
 */
#include "cli/test_by.h"
#include "cli/test_run.h"

#include "codec/time_text.h"
#include "codec/value_text.h"
#include "scope_text.h"

#include <math.h>
#include <stdlib.h>

enum match {
    MATCH,
    MATCH_NOT,
    MATCH_SAME_RATIO, /* another fraction of the same value */
    MATCH_INEXACT,    /* a double, which nothing can be equal to but by accident */
};

/* Kept away from 0.66 - 0.65 > 0.01. */
#define EDGE (1 + 1e-9)

static bool near(double a, double b, kpi_decimal tolerance)
{
    return fabs(a - b) <= (double)tolerance / (double)KPI_DECIMAL_ONE * EDGE;
}

static double real_of(const struct test_exact *exact)
{
    return (double)exact->numerator / (double)exact->denominator;
}

/* A number with a decimal. */
static enum match match_number(const struct kpi_number *number, kpi_decimal expected)
{
    switch (number->kind) {
    case KPI_NUMBER_COUNT:
        return expected % KPI_DECIMAL_ONE == 0 && expected / KPI_DECIMAL_ONE == number->value
                   ? MATCH
                   : MATCH_NOT;
    case KPI_NUMBER_MONEY:
        return expected == number->value ? MATCH : MATCH_NOT;
    case KPI_NUMBER_REAL:
        return MATCH_INEXACT;
    case KPI_NUMBER_NONE:
        return MATCH_NOT;
    }
    return MATCH_NOT;
}

/*
 * numerator / denominator = expected.numerator / expected.denominator, multiplied out: each factor
 * is less than 2^63. A sum is in 10^-6 where a count is in 1.
 */
static bool same_ratio(const struct kpi_value *value, const struct test_exact *expected)
{
    bool divides = value->denominator.kind != KPI_NUMBER_NONE;
    bool money_above = value->numerator.kind == KPI_NUMBER_MONEY;
    bool money_below = value->denominator.kind == KPI_NUMBER_MONEY;
    __int128 left = (__int128)value->numerator.value * expected->denominator;
    __int128 right = (__int128)(divides ? value->denominator.value : 1) * expected->numerator;

    if (money_above && !money_below)
        return left % KPI_DECIMAL_ONE == 0 && left / KPI_DECIMAL_ONE == right;
    if (money_below && !money_above)
        return right % KPI_DECIMAL_ONE == 0 && right / KPI_DECIMAL_ONE == left;
    return left == right;
}

static enum match match_value(const struct kpi_value *value, const struct test_exact *expected)
{
    if (value->numerator.kind == KPI_NUMBER_REAL || value->denominator.kind == KPI_NUMBER_REAL)
        return MATCH_INEXACT;
    if (!same_ratio(value, expected))
        return MATCH_NOT;
    if (!expected->fraction || (match_number(&value->numerator, expected->numerator) == MATCH &&
                                match_number(&value->denominator, expected->denominator) == MATCH))
        return MATCH;
    return MATCH_SAME_RATIO;
}

/* --- saying it --- */

static void print_number(FILE *out, const struct kpi_number *number)
{
    char text[VALUE_TEXT_BYTES_MAX];

    if (number->kind == KPI_NUMBER_COUNT)
        (void)snprintf(text, sizeof(text), "%lld", (long long)number->value);
    else if (number->kind == KPI_NUMBER_MONEY)
        (void)value_text_format_decimal(number->value, text);
    else
        (void)value_text_format_double(number->real, text);
    (void)fputs(text, out);
}

/* "65/100 = 0.65", "undefined (division_by_zero): 3/0", "no_data" */
static void print_value(FILE *out, const struct kpi_value *value)
{
    char text[VALUE_TEXT_BYTES_MAX];

    if (value->state == KPI_VALUE_NO_DATA) {
        (void)fputs("no_data", out);
        return;
    }
    if (value->state == KPI_VALUE_UNDEFINED)
        (void)fprintf(out, "undefined (%s): ", kpi_reason_name(value->reason));
    print_number(out, &value->numerator);
    if (value->denominator.kind == KPI_NUMBER_NONE)
        return;
    (void)fputs("/", out);
    print_number(out, &value->denominator);
    if (value->state == KPI_VALUE_UNDEFINED)
        return;
    (void)value_text_format_double(value->value, text);
    (void)fprintf(out, " = %s", text);
}

/* As seen in the campaign's zone. */
static const char *local_time(char text[TIME_TEXT_BYTES_MAX], const struct kpi_plan *plan,
                              uint32_t campaign, kpi_time time)
{
    const struct kpi_zone *zone = kpi_plan_zone(plan, kpi_plan_campaign(plan, campaign)->zone);
    kpi_day day = kpi_zone_day(zone, time);

    if (day == INT32_MIN)
        (void)time_text_format_utc(time, text);
    else
        (void)time_text_format(
            time, (int32_t)((day * KPI_DAY - kpi_zone_day_start(zone, day)) / KPI_SECOND), text);
    return text;
}

/* "participation_rate of double11, campaign, channel="app", at 2026-11-01T10:05:00+08:00" */
static void fail(struct test_output *output, const struct doc_node *node, const struct view *view,
                 uint32_t kpi, const struct kpi_scope *scope, const struct test_group *group)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    struct kpi_string name = kpi_plan_kpi(plan, kpi)->name;
    struct kpi_string campaign = kpi_plan_campaign(plan, scope->campaign)->id;
    char scope_text[KPI_SCOPE_NAME_BYTES_MAX], time[TIME_TEXT_BYTES_MAX];

    scope_text_format(scope_text, plan, scope);
    test_fail(output, node, "%.*s of %.*s, %s%s, at %s", (int)name.length, name.data,
              (int)campaign.length, campaign.data, scope_text,
              group && group->node ? group->text : "",
              local_time(time, plan, scope->campaign, view->as_of));
}

/* --- expectations --- */

static void print_came(FILE *out, const struct kpi_value *value, enum match match)
{
    (void)fputs("\n  got      ", out);
    print_value(out, value);
    if (match == MATCH_SAME_RATIO)
        (void)fputs(", the same of other numbers", out);
    if (match == MATCH_INEXACT)
        (void)fputs(", which is not exact: give a tolerance", out);
    (void)fputs("\n", out);
}

static void compare_state(struct test_output *output, const struct test_expectation *expectation,
                          const struct view *view, const struct kpi_value *value)
{
    static const char *const names[] = {"ok", "undefined", "no_data"};

    fail(output, expectation->state_node ? expectation->state_node : expectation->value.node, view,
         expectation->kpi, &expectation->scope, &expectation->group);
    if (expectation->state_node)
        (void)fprintf(output->out, "  expected state %s", names[expectation->state]);
    else
        (void)fprintf(output->out, "  expected value %s", expectation->value.node->value);
    print_came(output->out, value, MATCH_NOT);
}

static void compare_value(struct test_output *output, const struct test_expectation *expectation,
                          const struct view *view, const struct kpi_value *value)
{
    const struct test_exact *expected = &expectation->value;
    enum match match;

    if (expectation->tolerance != KPI_TIME_NONE)
        match = near(value->value, real_of(expected), expectation->tolerance) ? MATCH : MATCH_NOT;
    else
        match = match_value(value, expected);
    if (match == MATCH)
        return;
    fail(output, expected->node, view, expectation->kpi, &expectation->scope, &expectation->group);
    (void)fprintf(output->out, "  expected value %s", expected->node->value);
    print_came(output->out, value, match);
}

static void compare_side(struct test_output *output, const struct test_expectation *expectation,
                         const struct view *view, const struct kpi_value *value,
                         const struct test_exact *expected, const struct kpi_number *number)
{
    enum match match = MATCH_NOT;

    if (expected->fraction)
        match = MATCH_NOT; /* neither side is one */
    else if (expectation->tolerance == KPI_TIME_NONE)
        match = match_number(number, expected->numerator);
    else if (number->kind != KPI_NUMBER_NONE &&
             near(number->real, real_of(expected), expectation->tolerance))
        match = MATCH;
    if (match == MATCH)
        return;
    fail(output, expected->node, view, expectation->kpi, &expectation->scope, &expectation->group);
    (void)fprintf(output->out, "  expected %s %s", expected->node->key->value,
                  expected->node->value);
    print_came(output->out, value, match);
}

static void compare_complete(struct test_output *output, const struct test_expectation *expectation,
                             const struct view *view, const struct kpi_value *value)
{
    const struct test_exact *expected = &expectation->complete;
    kpi_decimal tolerance = expectation->tolerance == KPI_TIME_NONE ? 0 : expectation->tolerance;
    char text[VALUE_TEXT_BYTES_MAX];

    if (near(value->complete, real_of(expected), tolerance))
        return;
    fail(output, expected->node, view, expectation->kpi, &expectation->scope, &expectation->group);
    (void)value_text_format_double(value->complete, text);
    (void)fprintf(output->out, "  expected complete %s\n  got      complete %s\n",
                  expected->node->value, text);
}

static void compare_expectation(struct test_output *output,
                                const struct test_expectation *expectation, const struct view *view,
                                const struct kpi_supplement *groups)
{
    uint32_t n_kpis = kpi_plan_n_kpis(kpi_layout_plan(view->layout));
    struct kpi_value of_group;
    const struct kpi_value *value;
    uint32_t scope;

    /* It was found when the file was read, in a layout of the same moment. */
    if (!scope_text_find(view->layout, &expectation->scope, &scope))
        abort();
    value = &view->values[(size_t)scope * n_kpis + expectation->kpi];
    if (expectation->group.node) {
        of_group = *value;
        test_by_value(&expectation->group, view, groups, scope, expectation->kpi, &of_group);
        value = &of_group;
    }
    if (expectation->state_node ? value->state != expectation->state
                                : expectation->value.node && value->state != KPI_VALUE_OK)
        compare_state(output, expectation, view, value);
    else if (expectation->value.node)
        compare_value(output, expectation, view, value);
    if (expectation->numerator.node)
        compare_side(output, expectation, view, value, &expectation->numerator, &value->numerator);
    if (expectation->denominator.node)
        compare_side(output, expectation, view, value, &expectation->denominator,
                     &value->denominator);
    if (expectation->complete.node)
        compare_complete(output, expectation, view, value);
}

/* --- alerts --- */

static const struct view_alert *find_alert(const struct view *view, uint64_t fingerprint)
{
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        if (view->alerts[i].target->fingerprint == fingerprint)
            return &view->alerts[i];
    }
    abort(); /* every alert of the plan is in every view */
}

static bool has_status(const struct kpi_alert *alert, enum test_status status)
{
    static const enum kpi_alert_status statuses[] = {
        [TEST_STATUS_OK] = KPI_ALERT_OK,
        [TEST_STATUS_PENDING] = KPI_ALERT_PENDING,
        [TEST_STATUS_FIRING] = KPI_ALERT_FIRING,
        [TEST_STATUS_NO_DATA] = KPI_ALERT_NO_DATA,
        [TEST_STATUS_UNDEFINED] = KPI_ALERT_UNDEFINED,
        [TEST_STATUS_RESOLVED] = KPI_ALERT_OK,
    };

    return alert->status == statuses[status] &&
           (status != TEST_STATUS_RESOLVED || alert->sequence > 0);
}

/* "firing, level serious, since …; 54/100 = 0.54, off by 1.1 of its band" */
static void print_alert(FILE *out, const struct view *view, const struct view_alert *seen)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    char time[TIME_TEXT_BYTES_MAX];

    (void)fprintf(out, "  got      %s, level %s, since %s; ",
                  kpi_alert_status_name(seen->alert.status),
                  kpi_alert_level_name(seen->alert.level),
                  local_time(time, plan, seen->target->campaign, seen->alert.since));
    print_value(out, &seen->value);
    if (seen->target->varies) {
        (void)fputs("; target ", out);
        print_value(out, &seen->aim);
    }
    if (isfinite(seen->distance))
        (void)fprintf(out, ", off by %.3g of its band", seen->distance);
    (void)fputs("\n", out);
}

static void compare_alert(struct test_output *output, const struct test_alert *expected,
                          const struct view *view)
{
    static const char *const names[] = {"ok",      "pending",   "firing",
                                        "no_data", "undefined", "resolved"};
    const struct view_alert *seen = find_alert(view, expected->target->fingerprint);
    const struct doc_node *node = expected->node;

    if (!has_status(&seen->alert, expected->status))
        ;
    else if (expected->level_node && expected->level != seen->alert.level)
        node = expected->level_node;
    else if (expected->since_node && expected->since != seen->alert.since)
        node = expected->since_node;
    else
        return;
    fail(output, node, view, expected->target->kpi, &expected->target->scope_pattern, NULL);
    (void)fprintf(output->out, "  expected %s", names[expected->status]);
    if (expected->level_node)
        (void)fprintf(output->out, ", level %s", kpi_alert_level_name(expected->level));
    if (expected->since_node)
        (void)fprintf(output->out, ", since %s", expected->since_node->value);
    (void)fputs("\n", output->out);
    print_alert(output->out, view, seen);
}

static bool is_listed(const struct test_step *step, uint64_t fingerprint)
{
    for (uint32_t i = 0; i < step->n_alerts; i++) {
        if (step->alerts[i].target->fingerprint == fingerprint)
            return true;
    }
    return false;
}

static void compare_others(struct test_output *output, const struct test_step *step,
                           const struct view *view)
{
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        const struct view_alert *seen = &view->alerts[i];

        if (seen->alert.status != KPI_ALERT_FIRING || is_listed(step, seen->target->fingerprint))
            continue;
        fail(output, step->alerts_node, view, seen->target->kpi, &seen->target->scope_pattern,
             NULL);
        (void)fprintf(output->out, "  expected no %salert that fires\n",
                      step->n_alerts ? "other " : "");
        print_alert(output->out, view, seen);
    }
}

int test_compare(struct test_output *output, const struct test_step *step, const struct view *view)
{
    const struct kpi_supplement *groups;
    int r = view_groups(view, &groups);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < step->n_expectations; i++)
        compare_expectation(output, &step->expectations[i], view, groups);
    for (uint32_t i = 0; i < step->n_alerts; i++)
        compare_alert(output, &step->alerts[i], view);
    if (step->exhaustive)
        compare_others(output, step, view);
    return 0;
}
