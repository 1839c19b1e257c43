/*
 * Merged rows to values.
 */
#include "spec/evaluate.h"
#include "spec/layout.h"
#include "spec/starts.h"

#include <kpi/supplement.h>

#include <assert.h>
#include <math.h>
#include <xxhash.h>

int kpi_row_add(struct kpi_row *row, const struct kpi_row *other)
{
    int64_t value = row->value, n_events = row->n_events;
    int r = 0;

    /* A sum that left its range once is not brought back by what is added later. */
    if (value == INT64_MAX || other->value == INT64_MAX ||
        __builtin_add_overflow(value, other->value, &value)) {
        value = INT64_MAX;
        r = ERANGE;
    }
    if (__builtin_add_overflow(n_events, other->n_events, &n_events)) {
        value = n_events = INT64_MAX;
        r = ERANGE;
    }
    *row = (struct kpi_row){value, n_events};
    return r;
}

/* The later reading; at the same time the greater one, so that the order of shards is nothing. */
static void gauge_add(struct kpi_row *row, const struct kpi_row *other)
{
    if (other->n_events > row->n_events ||
        (other->n_events == row->n_events && other->value > row->value))
        *row = *other;
}

int kpi_rows_add(const struct kpi_layout *layout, struct kpi_row *rows, const struct kpi_row *other)
{
    const struct kpi_program *program = &layout->plan->program;
    int r = 0;

    for (uint32_t scope = 0; scope < layout->n_scopes; ++scope) {
        const uint32_t *leaf_rows = program->grains[layout->scopes[scope].grain].leaf_rows;

        for (uint32_t i = 0; i < program->n_leaves; ++i) {
            const struct kpi_leaf *leaf = &program->leaves[i];
            uint32_t place = leaf_rows[i], at = layout->first_rows[scope] + place;

            if (place == KPI_NO_INDEX)
                continue;
            if (leaf->kind == KPI_LEAF_GAUGE) {
                gauge_add(&rows[at], &other[at]);
                continue;
            }
            for (uint32_t n = kpi_leaf_n_rows(leaf->kind); n > 0; --n, ++at) {
                if (kpi_row_add(&rows[at], &other[at]))
                    r = ERANGE;
            }
        }
    }
    kpi_starts_add(program, rows + kpi_layout_first_start(layout),
                   other + kpi_layout_first_start(layout));
    return r;
}

const char *kpi_reason_name(enum kpi_reason reason)
{
    static const char *const names[] = {
        [KPI_REASON_NONE] = "none",           [KPI_REASON_DIVISION_BY_ZERO] = "division_by_zero",
        [KPI_REASON_NO_BASE] = "no_base",     [KPI_REASON_NO_GAUGE] = "no_gauge",
        [KPI_REASON_NO_VALUES] = "no_values", [KPI_REASON_NO_PARAMETER] = "no_parameter",
        [KPI_REASON_OVERFLOW] = "overflow",
    };

    return names[reason];
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

/* How far off the quantiles of a formula may be. */
static double quantiles_error(const struct kpi_formula *formula, const struct kpi_inputs *inputs)
{
    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        if (inputs->leaves[formula->leaves[i]].kind == KPI_LEAF_QUANTILE &&
            kpi_leaf_rows(inputs, formula->leaves[i])[0].n_events > KPI_QUANTILES_EXACT)
            return KPI_ERROR_QUANTILES;
    }
    return 0;
}

/* What the leaves of a formula say about its value. */
struct leaves_state {
    bool any;      /* there is a leaf */
    bool fed;      /* an event has fed one */
    bool immature; /* a retained() has no mature cohort */
    bool cohorts;  /* there is a retained() */
    double mature; /* the least share of mature cohort users */
    uint32_t days; /* that a day must be over for, by mature() */
};

static struct leaves_state leaves_look(const struct kpi_formula *formula,
                                       const struct kpi_inputs *inputs)
{
    struct leaves_state state = {.mature = 1};

    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        const struct kpi_leaf *leaf = &inputs->leaves[formula->leaves[i]];
        const struct kpi_row *row = kpi_leaf_rows(inputs, formula->leaves[i]);

        if (kpi_shift_is_base(&leaf->shift))
            continue; /* what is missing there makes a value undefined, and no more */
        state.any = true;
        if (leaf->mature > state.days)
            state.days = leaf->mature;
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

/* Both sides of a formula. Returns why either is undefined, or their quotient is. */
static enum kpi_reason sides_evaluate(const struct kpi_formula *formula,
                                      const struct kpi_inputs *inputs, struct kpi_value *value)
{
    bool both = formula->n_denominator > 0;
    enum kpi_reason reason;

    if (formula->both_sides != KPI_NO_INDEX) {
        reason =
            kpi_leaf_sides(inputs, formula->both_sides, &value->numerator, &value->denominator);
        if (reason == KPI_REASON_NONE && kpi_leaf_no_base(inputs, formula->both_sides))
            reason = KPI_REASON_NO_BASE;
        both = true;
    } else {
        reason =
            kpi_terms_evaluate(formula->terms, formula->n_numerator, inputs, &value->numerator);
        if (both)
            reason = kpi_reason_worse(
                reason, kpi_terms_evaluate(formula->terms + formula->n_numerator,
                                           formula->n_denominator, inputs, &value->denominator));
    }
    if (reason != KPI_REASON_NONE)
        return reason;
    value->value = value->numerator.real;
    if (!both)
        return KPI_REASON_NONE;
    if (value->denominator.real == 0)
        return KPI_REASON_DIVISION_BY_ZERO;
    value->value = value->numerator.real / value->denominator.real;
    return isfinite(value->value) ? KPI_REASON_NONE : KPI_REASON_OVERFLOW;
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

/*
 * A formula over the rows that inputs give, from wherever they come; `starts` are those behind the
 * rows of the layout. Returns what its sides lack, which is the value's reason unless there is no
 * data.
 */
static enum kpi_reason evaluate(const struct kpi_plan *plan, const struct kpi_formula *formula,
                                const struct kpi_inputs *inputs, const struct kpi_row *starts,
                                const struct kpi_scope *scope, kpi_time as_of,
                                struct kpi_value *ret_value)
{
    struct leaves_state leaves = leaves_look(formula, inputs);
    enum kpi_reason reason;

    *ret_value = (struct kpi_value){.counts_from = KPI_TIME_NONE};
    ret_value->complete =
        leaves.cohorts ? leaves.mature : elapsed(scope, as_of - leaves.days * KPI_DAY);
    for (uint32_t i = 0; i < formula->n_leaves; ++i)
        kpi_starts_judge(plan, inputs, &inputs->leaves[formula->leaves[i]], starts, scope, as_of,
                         ret_value);
    reason = sides_evaluate(formula, inputs, ret_value);
    if (leaves.any && (!leaves.fed || leaves.immature)) {
        ret_value->state = KPI_VALUE_NO_DATA;
    } else if (reason != KPI_REASON_NONE) {
        ret_value->state = KPI_VALUE_UNDEFINED;
        ret_value->reason = reason;
    }
    if (ret_value->state == KPI_VALUE_OK)
        ret_value->error = quantiles_error(formula, inputs);
    else
        ret_value->value = 0;
    return reason;
}

/* What is the same for a scope and its groups. */
static struct kpi_inputs inputs_make(const struct kpi_layout *layout, const struct kpi_row *rows,
                                     uint32_t scope)
{
    const struct kpi_plan *plan = layout->plan;
    const struct kpi_scope *where = kpi_layout_scope(layout, scope);
    const struct kpi_campaign_info *campaign = &plan->campaigns[where->campaign];
    const struct kpi_grain *grain = &plan->program.grains[where->grain];
    struct kpi_inputs inputs = {
        .campaign = campaign,
        .days = kpi_number_count(where->end_day - where->start_day),
        .leaves = plan->program.leaves,
        .leaf_rows = grain->leaf_rows,
        .rows = rows + kpi_layout_first_row(layout, scope),
    };

    if (where->minutes)
        inputs.days = (struct kpi_number){
            .kind = KPI_NUMBER_REAL,
            .real = (double)(where->end - where->start) / (double)KPI_DAY,
        };
    inputs.whole_rows = inputs.leaf_rows;
    inputs.whole = inputs.rows;
    return inputs;
}

void kpi_report_value(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                      uint32_t kpi, kpi_time as_of, struct kpi_value *ret_value)
{
    const struct kpi_inputs inputs = inputs_make(layout, rows, scope);
    const struct kpi_scope *where = kpi_layout_scope(layout, scope);

    assert(kpi < layout->plan->n_kpis);
    *ret_value = (struct kpi_value){.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE};
    if (!kpi_layout_reports(layout, scope, kpi))
        return;
    (void)evaluate(layout->plan, &layout->plan->formulas[kpi], &inputs,
                   rows + kpi_layout_first_start(layout), where, as_of, ret_value);
    ret_value->definition = definition(layout, where, kpi);
}

void kpi_report_target(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                       const struct kpi_target *target, kpi_time as_of, struct kpi_value *ret_value)
{
    const struct kpi_inputs inputs = inputs_make(layout, rows, scope);
    enum kpi_reason reason;

    assert(target->varies && target->formula < layout->plan->n_formulas);
    reason = evaluate(layout->plan, &layout->plan->formulas[target->formula], &inputs,
                      rows + kpi_layout_first_start(layout), kpi_layout_scope(layout, scope), as_of,
                      ret_value);
    if (reason == KPI_REASON_NO_GAUGE) {
        ret_value->state = KPI_VALUE_UNDEFINED;
        ret_value->reason = reason;
    }
}

void kpi_supplement_value(const struct kpi_layout *layout, const struct kpi_row *rows,
                          const struct kpi_group *group, uint32_t kpi, kpi_time as_of,
                          struct kpi_value *ret_value)
{
    const struct kpi_program *program = &layout->plan->program;
    const struct kpi_breakdown *breakdown = &program->breakdowns[group->breakdown];
    struct kpi_inputs inputs = inputs_make(layout, rows, group->scope);
    uint64_t parts[2];

    assert(kpi < layout->plan->n_kpis && breakdown->kpis[kpi]);
    *ret_value = (struct kpi_value){.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE};
    if (!kpi_layout_reports(layout, group->scope, kpi))
        return;
    inputs.leaves = breakdown->leaves;
    inputs.leaf_rows = breakdown->leaf_rows;
    inputs.rows = group->rows;
    (void)evaluate(layout->plan, &layout->plan->formulas[kpi], &inputs,
                   rows + kpi_layout_first_start(layout), kpi_layout_scope(layout, group->scope),
                   as_of, ret_value);
    parts[0] = definition(layout, kpi_layout_scope(layout, group->scope), kpi);
    parts[1] = program->sets[breakdown->set].fingerprint;
    ret_value->definition = XXH3_64bits(parts, sizeof(parts));
}
