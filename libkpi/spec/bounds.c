/*
 * Interval arithmetic over a formula's terms. What is not understood here is without bounds, so a
 * new kind of term makes the answer weaker and not wrong.
 */
#include "spec/plan.h"

#include <kpi/alert.h>
#include <kpi/bounds.h>
#include <math.h>

struct range {
    double low, high;
};

static const struct range everything = {-INFINITY, INFINITY}, positive = {0, INFINITY};

/* The instance of a leaf in any zone that has one, or NULL. */
static const struct kpi_instance *leaf_instance(const struct kpi_plan *plan,
                                                const struct kpi_leaf *leaf)
{
    for (uint32_t zone = 0; zone < plan->n_zones; ++zone) {
        if (leaf->instance[zone] != KPI_NO_INDEX)
            return &plan->program.instances[leaf->instance[zone]];
    }
    return NULL;
}

static struct range leaf_range(const struct kpi_plan *plan, uint32_t index)
{
    const struct kpi_leaf *leaf = &plan->program.leaves[index];
    const struct kpi_instance *instance = leaf_instance(plan, leaf);

    switch (leaf->kind) {
    case KPI_LEAF_COUNT:
    case KPI_LEAF_USERS:
    case KPI_LEAF_LATEST:
    case KPI_LEAF_FIRST_TIME:
    case KPI_LEAF_USER_DAYS:
    case KPI_LEAF_RETAINED:
        return positive;
    default:
        break;
    }
    return instance && plan->fields[instance->field].use == KPI_USE_AMOUNT ? positive : everything;
}

static struct range term_range(const struct kpi_plan *plan, const struct kpi_term *term)
{
    switch (term->kind) {
    case KPI_TERM_COUNT:
        return (struct range){(double)term->value, (double)term->value};
    case KPI_TERM_REAL:
        return (struct range){term->real, term->real};
    case KPI_TERM_AUDIENCE:
    case KPI_TERM_BUDGET:
    case KPI_TERM_BUDGET_PART:
    case KPI_TERM_DAYS:
        return positive;
    case KPI_TERM_LEAF:
        return leaf_range(plan, term->leaf);
    default:
        return everything;
    }
}

/* 0 times anything is 0, also where an end is infinite: an end stands for values below it. */
static double times(double a, double b)
{
    return a == 0 || b == 0 ? 0 : a * b;
}

static struct range multiply(struct range a, struct range b)
{
    const double ends[] = {times(a.low, b.low), times(a.low, b.high), times(a.high, b.low),
                           times(a.high, b.high)};
    struct range product = {ends[0], ends[0]};

    for (unsigned i = 1; i < 4; ++i) {
        product.low = fmin(product.low, ends[i]);
        product.high = fmax(product.high, ends[i]);
    }
    return product;
}

static struct range divide(struct range a, struct range b)
{
    /* dividing by 0 gives no value, so a divisor that is never negative is positive */
    if (b.low < 0)
        return everything;
    return multiply(
        a, (struct range){isinf(b.high) ? 0 : 1 / b.high, b.low == 0 ? INFINITY : 1 / b.low});
}

static struct range join(struct range a, enum kpi_term_kind kind, struct range b)
{
    switch (kind) {
    case KPI_TERM_ADD:
        return (struct range){a.low + b.low, a.high + b.high};
    case KPI_TERM_SUBTRACT:
        return (struct range){a.low - b.high, a.high - b.low};
    case KPI_TERM_MULTIPLY:
        return multiply(a, b);
    case KPI_TERM_DIVIDE:
        return divide(a, b);
    default:
        return everything;
    }
}

static struct range terms_range(const struct kpi_plan *plan, const struct kpi_term *terms,
                                uint32_t n)
{
    struct range stack[KPI_TERMS_DEPTH_MAX];
    unsigned top = 0;

    for (uint32_t i = 0; i < n; ++i) {
        switch (terms[i].kind) {
        case KPI_TERM_ADD:
        case KPI_TERM_SUBTRACT:
        case KPI_TERM_MULTIPLY:
        case KPI_TERM_DIVIDE:
            --top;
            stack[top - 1] = join(stack[top - 1], terms[i].kind, stack[top]);
            break;
        case KPI_TERM_NEGATE:
            stack[top - 1] = (struct range){-stack[top - 1].high, -stack[top - 1].low};
            break;
        case KPI_TERM_ABSOLUTE:
        case KPI_TERM_ROOT:
            stack[top - 1] = positive;
            break;
        case KPI_TERM_MEAN:
        case KPI_TERM_MEDIAN: /* of x at other times: as x */
            top -= (unsigned)terms[i].value - 1;
            break;
        case KPI_TERM_FALLS:
            top -= (unsigned)terms[i].value - 1;
            stack[top - 1] = (struct range){0, (double)(terms[i].value - 1)};
            break;
        default:
            stack[top++] = term_range(plan, &terms[i]);
        }
    }
    return stack[0];
}

/* Is one side of a formula nothing but a number of users? */
static bool is_users(const struct kpi_plan *plan, const struct kpi_term *terms, uint32_t n)
{
    const struct kpi_leaf *leaf;

    if (n != 1 || terms[0].kind != KPI_TERM_LEAF)
        return false;
    leaf = &plan->program.leaves[terms[0].leaf];
    return leaf->shift.kind == KPI_SHIFT_NONE && !leaf->total &&
           (leaf->kind == KPI_LEAF_USERS || leaf->kind == KPI_LEAF_LATEST);
}

/* 1 of what is counted or added up, 0 of what is a mean of it: see degree(). */
static double term_degree(const struct kpi_plan *plan, const struct kpi_term *term)
{
    switch (term->kind) {
    case KPI_TERM_AUDIENCE:
    case KPI_TERM_BUDGET:
    case KPI_TERM_BUDGET_PART:
        return 1;
    case KPI_TERM_LEAF:
        switch (plan->program.leaves[term->leaf].kind) {
        case KPI_LEAF_MEAN:
        case KPI_LEAF_QUANTILE:
        case KPI_LEAF_SCORES:
        case KPI_LEAF_RETAINED:
            return 0;
        default:
            return 1;
        }
    default:
        return 0;
    }
}

/*
 * How one side of a formula grows with the number of events: 1 as fast (a count, a sum, a count by
 * the rate of another month), 0 not at all (a rate, an index).
 */
static double degree(const struct kpi_plan *plan, const struct kpi_term *terms, uint32_t n)
{
    double stack[KPI_TERMS_DEPTH_MAX];
    unsigned top = 0;

    for (uint32_t i = 0; i < n; ++i) {
        switch (terms[i].kind) {
        case KPI_TERM_ADD:
        case KPI_TERM_SUBTRACT:
            --top;
            stack[top - 1] = fmax(stack[top - 1], stack[top]);
            break;
        case KPI_TERM_MULTIPLY:
            --top;
            stack[top - 1] += stack[top];
            break;
        case KPI_TERM_DIVIDE:
            --top;
            stack[top - 1] -= stack[top];
            break;
        case KPI_TERM_NEGATE:
        case KPI_TERM_ABSOLUTE:
            break;
        case KPI_TERM_ROOT:
            stack[top - 1] /= 2;
            break;
        case KPI_TERM_MEAN:
        case KPI_TERM_MEDIAN:
            top -= (unsigned)terms[i].value - 1;
            break;
        case KPI_TERM_FALLS:
            top -= (unsigned)terms[i].value - 1;
            stack[top - 1] = 0;
            break;
        default:
            stack[top++] = term_degree(plan, &terms[i]);
        }
    }
    return stack[0];
}

/* Is what a target's minimum is compared with no number of anything? */
static bool counts_nothing(const struct kpi_plan *plan, uint32_t kpi)
{
    const struct kpi_formula *formula = &plan->formulas[kpi];

    if (formula->n_denominator > 0)
        return degree(plan, formula->terms + formula->n_numerator, formula->n_denominator) <= 0;
    return formula->both_sides == KPI_NO_INDEX &&
           (plan->kpis[kpi].unit == KPI_UNIT_RATIO ||
            degree(plan, formula->terms, formula->n_numerator) <= 0);
}

/* How far back a comparison looks at least; `period` is the shortest that a scope lasts. */
static uint32_t shift_days(const struct kpi_shift *shift, kpi_duration period)
{
    switch (shift->kind) {
    case KPI_SHIFT_PREVIOUS:
        return (uint32_t)(shift->n * period / KPI_DAY);
    case KPI_SHIFT_BEFORE:
        return shift->n;
    case KPI_SHIFT_YEAR_DATE:
    case KPI_SHIFT_YEAR_WEEKDAY:
        return 365;
    case KPI_SHIFT_YEAR_LUNAR:
        return 384;
    default:
        return 0;
    }
}

/* The shortest that a cohort can take to be mature. */
static uint32_t cohort_days(const struct kpi_leaf *leaf)
{
    uint32_t periods = leaf->to;

    if (leaf->kind != KPI_LEAF_RETAINED)
        return 0;
    switch (leaf->basis) {
    case KPI_BASIS_DAY:
        return periods;
    case KPI_BASIS_WEEK:
        return 7 * periods;
    case KPI_BASIS_MONTH:
        break;
    case KPI_BASIS_QUARTER:
        periods *= 3;
        break;
    case KPI_BASIS_YEAR:
        periods *= 12;
        break;
    }
    return (uint32_t)((double)periods * (365.2425 / 12)) -
           2; /* February is 2.4 short of the mean */
}

static uint32_t formula_days(const struct kpi_plan *plan, const struct kpi_formula *formula,
                             kpi_duration period)
{
    uint32_t days = 0;

    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        const struct kpi_leaf *leaf = &plan->program.leaves[formula->leaves[i]];
        uint32_t needed =
            cohort_days(leaf) + leaf->mature + leaf->trailing + shift_days(&leaf->shift, period);

        days = needed > days ? needed : days;
    }
    return days;
}

static bool is_retained(const struct kpi_plan *plan, const struct kpi_formula *formula)
{
    return formula->both_sides != KPI_NO_INDEX &&
           plan->program.leaves[formula->both_sides].kind == KPI_LEAF_RETAINED;
}

static struct range formula_range(const struct kpi_plan *plan, const struct kpi_formula *formula,
                                  enum kpi_unit unit)
{
    const struct kpi_term *below = formula->terms + formula->n_numerator;
    struct range range;

    if (is_retained(plan, formula))
        return (struct range){0, 1};
    if (unit == KPI_UNIT_RATIO && is_users(plan, formula->terms, formula->n_numerator) &&
        is_users(plan, below, formula->n_denominator))
        return (struct range){0, 1};
    range = terms_range(plan, formula->terms, formula->n_numerator);
    if (formula->n_denominator > 0)
        range = divide(range, terms_range(plan, below, formula->n_denominator));
    return range;
}

void kpi_plan_bounds(const struct kpi_plan *plan, uint32_t kpi, struct kpi_bounds *ret_bounds)
{
    const struct kpi_formula *formula = &plan->formulas[kpi];
    const struct kpi_term *below = formula->terms + formula->n_numerator;
    struct range range = formula_range(plan, formula, plan->kpis[kpi].unit);

    if (plan->kpis[kpi].unit == KPI_UNIT_POINTS) {
        range.low = fmax(range.low, -100);
        range.high = fmin(range.high, 100);
    }
    *ret_bounds = (struct kpi_bounds){
        .low = range.low,
        .high = range.high,
        .counts_users =
            is_retained(plan, formula) ||
            (formula->n_denominator > 0 ? is_users(plan, below, formula->n_denominator)
                                        : is_users(plan, formula->terms, formula->n_numerator)),
        .counts_nothing = counts_nothing(plan, kpi),
        .days_kept = formula_days(plan, formula, KPI_DAY),
    };
}

/* The shortest that a scope of this sort lasts. */
static kpi_duration scope_length(const struct kpi_plan *plan, const struct kpi_scope *scope)
{
    const struct kpi_campaign_info *campaign = &plan->campaigns[scope->campaign];
    const struct kpi_phase_info *phase = &campaign->phases[scope->phase];

    switch (scope->unit) {
    case KPI_SCOPE_CAMPAIGN:
        return (campaign->end_day - campaign->start_day) * KPI_DAY;
    case KPI_SCOPE_PHASE:
        return (phase->end_day - phase->start_day) * KPI_DAY;
    case KPI_SCOPE_WEEK:
        return scope->count * 7 * KPI_DAY;
    case KPI_SCOPE_MONTH:
        return scope->count * 28 * KPI_DAY;
    case KPI_SCOPE_QUARTER:
        return scope->count * 90 * KPI_DAY;
    case KPI_SCOPE_YEAR:
        return scope->count * 365 * KPI_DAY;
    case KPI_SCOPE_MINUTES:
        return scope->count * scope->minutes * KPI_MINUTE;
    default:
        return scope->count * KPI_DAY;
    }
}

uint32_t kpi_plan_target_days(const struct kpi_plan *plan, const struct kpi_target *target)
{
    if (!target->varies)
        return 0;
    return formula_days(plan, &plan->formulas[target->formula],
                        scope_length(plan, &target->scope_pattern));
}
