/*
 * Merged rows to values.
 */
#include "spec/evaluate.h"
#include "spec/layout.h"

#include <assert.h>
#include <math.h>
#include <xxhash.h>

int kpi_rows_add(struct kpi_row *rows, const struct kpi_row *other, uint32_t n_rows)
{
    int r = 0;

    for (uint32_t i = 0; i < n_rows; ++i) {
        int64_t value = rows[i].value, n_events = rows[i].n_events;

        /* A sum that left its range once is not brought back by what is added later. */
        if (value == INT64_MAX || other[i].value == INT64_MAX ||
            __builtin_add_overflow(value, other[i].value, &value)) {
            value = INT64_MAX;
            r = ERANGE;
        }
        if (__builtin_add_overflow(n_events, other[i].n_events, &n_events)) {
            value = n_events = INT64_MAX;
            r = ERANGE;
        }
        rows[i].value = value;
        rows[i].n_events = n_events;
    }
    return r;
}

static double clamped(double share)
{
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* The share of the scope that is over. */
static double elapsed(const struct kpi_scope *scope, kpi_time as_of)
{
    if (as_of <= scope->start)
        return 0;
    if (as_of >= scope->end)
        return 1;
    return clamped((double)(as_of - scope->start) / (double)(scope->end - scope->start));
}

/* What the leaves of a formula say about its value. */
struct leaves_state {
    bool any;      /* there is a leaf */
    bool fed;      /* an event has fed one */
    bool immature; /* a retained() has no mature cohort */
    bool cohorts;  /* there is a retained() */
    double mature; /* the least share of mature cohort users */
};

static struct leaves_state leaves_look(const struct kpi_formula *formula,
                                       const struct kpi_inputs *inputs)
{
    struct leaves_state state = {.mature = 1};

    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        const struct kpi_leaf *leaf = &inputs->leaves[formula->leaves[i]];
        const struct kpi_row *row = &inputs->rows[inputs->leaf_rows[formula->leaves[i]]];

        state.any = true;
        if (leaf->kind != KPI_LEAF_RETAINED) {
            state.fed |= row[0].n_events > 0;
            continue;
        }
        state.cohorts = true;
        state.fed |= row[1].value > 0;
        state.immature |= row[1].value == 0;
        state.mature =
            fmin(state.mature,
                 row[2].value > 0 ? clamped((double)row[1].value / (double)row[2].value) : 0);
    }
    return state;
}

/* Both sides of a formula; false if either is undefined, or their quotient is. */
static bool sides_evaluate(const struct kpi_formula *formula, const struct kpi_inputs *inputs,
                           struct kpi_value *value)
{
    bool good, both = formula->n_denominator > 0;

    if (formula->retained != KPI_NO_INDEX) {
        const struct kpi_row *row = &inputs->rows[inputs->leaf_rows[formula->retained]];

        value->numerator = kpi_number_count(row[0].value);
        value->denominator = kpi_number_count(row[1].value);
        good = row[0].value != INT64_MAX && row[1].value != INT64_MAX;
        both = true;
    } else {
        good = kpi_terms_evaluate(formula->terms, formula->n_numerator, inputs, &value->numerator);
        if (both)
            good &= kpi_terms_evaluate(formula->terms + formula->n_numerator,
                                       formula->n_denominator, inputs, &value->denominator);
    }
    if (!good)
        return false;
    value->value = value->numerator.real;
    if (both)
        value->value =
            value->denominator.real != 0 ? value->numerator.real / value->denominator.real : NAN;
    return isfinite(value->value);
}

/* The words of a scope: what it is, but not which days it has today. */
static uint64_t definition(const struct kpi_layout *layout, const struct kpi_scope *scope,
                           uint32_t kpi)
{
    const struct kpi_campaign_info *campaign = &layout->plan->campaigns[scope->campaign];
    const struct kpi_string *zone = &layout->plan->zones[campaign->zone].name;
    bool rolling = scope->kind == KPI_SCOPE_ROLLING;
    uint64_t parts[] = {layout->plan->kpis[kpi].fingerprint, XXH3_64bits(zone->data, zone->length),
                        scope->kind, rolling ? scope->count : 0, 0};

    if (scope->kind == KPI_SCOPE_PHASE) {
        const struct kpi_string *name = &campaign->phases[scope->phase].name;

        parts[4] = XXH3_64bits(name->data, name->length);
    } else if (scope->unit == KPI_SCOPE_WEEK) {
        parts[4] = 1 + (uint64_t)layout->plan->program.week_start;
    } else if (scope->minutes) {
        parts[4] = scope->minutes;
    }
    if (rolling && scope->unit != KPI_SCOPE_DAY)
        parts[2] |= (uint64_t)scope->unit << 8;
    return XXH3_64bits(parts, sizeof(parts));
}

void kpi_report_value(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                      uint32_t kpi, kpi_time as_of, struct kpi_value *ret_value)
{
    const struct kpi_plan *plan = layout->plan;
    const struct kpi_scope *where = kpi_layout_scope(layout, scope);
    const struct kpi_campaign_info *campaign = &plan->campaigns[where->campaign];
    const struct kpi_formula *formula = &plan->formulas[kpi];
    const struct kpi_inputs inputs = {
        .audience = campaign->audience,
        .budget = campaign->budget,
        .leaves = plan->program.leaves,
        .leaf_rows = plan->program.grains[where->grain].leaf_rows,
        .rows = rows + kpi_layout_first_row(layout, scope),
    };
    struct leaves_state leaves;
    bool defined;

    assert(kpi < plan->n_kpis);
    *ret_value = (struct kpi_value){.state = KPI_VALUE_NO_DATA};
    if (!kpi_layout_reports(layout, scope, kpi))
        return;
    ret_value->definition = definition(layout, where, kpi);
    leaves = leaves_look(formula, &inputs);
    ret_value->complete = leaves.cohorts ? leaves.mature : elapsed(where, as_of);
    defined = sides_evaluate(formula, &inputs, ret_value);
    if (leaves.any && (!leaves.fed || leaves.immature))
        ret_value->state = KPI_VALUE_NO_DATA;
    else
        ret_value->state = defined ? KPI_VALUE_OK : KPI_VALUE_UNDEFINED;
    if (ret_value->state != KPI_VALUE_OK)
        ret_value->value = 0;
}
