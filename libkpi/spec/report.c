/*
 * Merged rows to values.
 */
#include "spec/evaluate.h"
#include "spec/layout.h"

#include <kpi/supplement.h>

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
        const struct kpi_row *row = &inputs->rows[leaf->first_row];

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
        const struct kpi_row *row = &inputs->rows[inputs->leaves[formula->retained].first_row];

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
    uint64_t parts[] = {layout->plan->kpis[kpi].fingerprint, XXH3_64bits(zone->data, zone->length),
                        scope->kind, scope->days, 0};

    if (scope->kind == KPI_SCOPE_PHASE) {
        const struct kpi_string *name = &campaign->phases[scope->phase].name;

        parts[4] = XXH3_64bits(name->data, name->length);
    }
    return XXH3_64bits(parts, sizeof(parts));
}

/* A KPI over the rows that inputs give; where they come from is the caller's matter. */
static void evaluate(const struct kpi_layout *layout, const struct kpi_inputs *inputs,
                     const struct kpi_scope *scope, uint32_t kpi, kpi_time as_of,
                     struct kpi_value *ret_value)
{
    const struct kpi_formula *formula = &layout->plan->formulas[kpi];
    struct leaves_state leaves = leaves_look(formula, inputs);
    bool defined;

    *ret_value = (struct kpi_value){.definition = definition(layout, scope, kpi)};
    ret_value->complete = leaves.cohorts ? leaves.mature : elapsed(scope, as_of);
    defined = sides_evaluate(formula, inputs, ret_value);
    if (leaves.any && (!leaves.fed || leaves.immature))
        ret_value->state = KPI_VALUE_NO_DATA;
    else
        ret_value->state = defined ? KPI_VALUE_OK : KPI_VALUE_UNDEFINED;
    if (ret_value->state != KPI_VALUE_OK)
        ret_value->value = 0;
}

void kpi_report_value(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                      uint32_t kpi, kpi_time as_of, struct kpi_value *ret_value)
{
    const struct kpi_plan *plan = layout->plan;
    const struct kpi_scope *where = kpi_layout_scope(layout, scope);
    const struct kpi_campaign_info *campaign = &plan->campaigns[where->campaign];
    const struct kpi_inputs inputs = {
        .audience = campaign->audience,
        .budget = campaign->budget,
        .leaves = plan->program.leaves,
        .rows = rows + (size_t)scope * plan->program.n_rows,
    };

    assert(kpi < plan->n_kpis);
    evaluate(layout, &inputs, where, kpi, as_of, ret_value);
}

void kpi_supplement_value(const struct kpi_layout *layout, const struct kpi_group *group,
                          uint32_t kpi, kpi_time as_of, struct kpi_value *ret_value)
{
    const struct kpi_plan *plan = layout->plan;
    const struct kpi_scope *where = kpi_layout_scope(layout, group->scope);
    const struct kpi_campaign_info *campaign = &plan->campaigns[where->campaign];
    const struct kpi_breakdown *breakdown = &plan->program.breakdowns[group->breakdown];
    const struct kpi_inputs inputs = {
        .audience = campaign->audience,
        .budget = campaign->budget,
        .leaves = breakdown->leaves,
        .rows = group->rows,
    };
    uint64_t parts[2];

    assert(kpi < plan->n_kpis && breakdown->kpis[kpi]);
    evaluate(layout, &inputs, where, kpi, as_of, ret_value);
    parts[0] = ret_value->definition;
    parts[1] = plan->program.sets[breakdown->set].fingerprint;
    ret_value->definition = XXH3_64bits(parts, sizeof(parts));
}
