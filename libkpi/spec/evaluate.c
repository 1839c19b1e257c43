/*
 * A stack machine over counts, money and reals.
 */
#include "spec/evaluate.h"

#include <assert.h>
#include <math.h>

struct kpi_terms {
    const struct kpi_term *terms;
    uint32_t n;
};

struct kpi_number kpi_number_count(int64_t value)
{
    return (struct kpi_number){KPI_NUMBER_COUNT, value, (double)value};
}

static struct kpi_number money(int64_t value)
{
    return (struct kpi_number){KPI_NUMBER_MONEY, value, (double)value / (double)KPI_DECIMAL_ONE};
}

static enum kpi_reason real(double value, struct kpi_number *ret_number)
{
    if (!isfinite(value))
        return KPI_REASON_OVERFLOW;
    *ret_number = (struct kpi_number){.kind = KPI_NUMBER_REAL, .real = value};
    return KPI_REASON_NONE;
}

enum kpi_reason kpi_leaf_sides(const struct kpi_inputs *inputs, uint32_t index,
                               struct kpi_number *ret_numerator, struct kpi_number *ret_denominator)
{
    const struct kpi_leaf *leaf = &inputs->leaves[index];
    const struct kpi_row *row = kpi_leaf_rows(inputs, index);
    int64_t below = leaf->kind == KPI_LEAF_MEAN ? row[0].n_events : row[1].value;

    if (row[0].value == INT64_MAX || below == INT64_MAX)
        return KPI_REASON_OVERFLOW;
    *ret_numerator =
        leaf->kind == KPI_LEAF_RETAINED ? kpi_number_count(row[0].value) : money(row[0].value);
    *ret_denominator = kpi_number_count(below);
    return KPI_REASON_NONE;
}

static enum kpi_reason divide(const struct kpi_number *a, const struct kpi_number *b,
                              struct kpi_number *ret_number)
{
    return b->real != 0 ? real(a->real / b->real, ret_number) : KPI_REASON_DIVISION_BY_ZERO;
}

bool kpi_leaf_no_base(const struct kpi_inputs *inputs, uint32_t leaf)
{
    return kpi_shift_is_base(&inputs->leaves[leaf].shift) &&
           kpi_leaf_rows(inputs, leaf)->n_events == 0;
}

/*
 * A base is missing where nothing of it has an event: sales less refunds of a time without refunds
 * are there.
 */
static bool base_missing(const struct kpi_terms *terms, const struct kpi_inputs *inputs,
                         uint32_t index)
{
    const struct kpi_shift *shift = &inputs->leaves[index].shift;

    if (!kpi_leaf_no_base(inputs, index))
        return false;
    for (uint32_t i = 0; i < terms->n; ++i) {
        uint32_t other = terms->terms[i].leaf;

        if (terms->terms[i].kind == KPI_TERM_LEAF && inputs->leaves[other].kind != KPI_LEAF_GAUGE &&
            inputs->leaves[other].shift.kind == shift->kind &&
            inputs->leaves[other].shift.n == shift->n && !kpi_leaf_no_base(inputs, other))
            return false;
    }
    return true;
}

static enum kpi_reason leaf_number(const struct kpi_terms *terms, const struct kpi_inputs *inputs,
                                   uint32_t index, struct kpi_number *ret_number)
{
    const struct kpi_leaf *leaf = &inputs->leaves[index];
    const struct kpi_row *row = kpi_leaf_rows(inputs, index);
    struct kpi_number numerator, denominator;
    enum kpi_reason reason;

    if (leaf->kind == KPI_LEAF_GAUGE && row[0].n_events == 0)
        return KPI_REASON_NO_GAUGE;
    if (base_missing(terms, inputs, index))
        return KPI_REASON_NO_BASE;
    if (kpi_leaf_has_sides(leaf->kind)) {
        reason = kpi_leaf_sides(inputs, index, &numerator, &denominator);
        return reason != KPI_REASON_NONE ? reason : divide(&numerator, &denominator, ret_number);
    }
    if (leaf->kind == KPI_LEAF_QUANTILE && (row[0].n_events == 0 || row[0].value == INT64_MAX))
        return KPI_REASON_NO_VALUES;
    if (row[0].value == INT64_MAX)
        return KPI_REASON_OVERFLOW;
    *ret_number = leaf->kind == KPI_LEAF_SUM || leaf->kind == KPI_LEAF_GAUGE ||
                          leaf->kind == KPI_LEAF_QUANTILE
                      ? money(row[0].value)
                      : kpi_number_count(row[0].value);
    return KPI_REASON_NONE;
}

static enum kpi_reason budget_part(const struct kpi_campaign_info *campaign, struct kpi_string name,
                                   struct kpi_number *ret_number)
{
    for (uint32_t i = 0; i < campaign->n_budget_parts; ++i) {
        if (kpi_string_equal(campaign->budget_parts[i].name, name)) {
            *ret_number = money(campaign->budget_parts[i].amount);
            return KPI_REASON_NONE;
        }
    }
    return KPI_REASON_NO_PARAMETER;
}

static enum kpi_reason push(const struct kpi_terms *terms, const struct kpi_term *term,
                            const struct kpi_inputs *inputs, struct kpi_number *ret_number)
{
    switch (term->kind) {
    case KPI_TERM_COUNT:
        *ret_number = kpi_number_count(term->value);
        return KPI_REASON_NONE;
    case KPI_TERM_REAL:
        return real(term->real, ret_number);
    case KPI_TERM_AUDIENCE:
        if (inputs->campaign->audience == KPI_TIME_NONE)
            return KPI_REASON_NO_PARAMETER;
        *ret_number = kpi_number_count(inputs->campaign->audience / KPI_DECIMAL_ONE);
        return KPI_REASON_NONE;
    case KPI_TERM_BUDGET:
        if (inputs->campaign->budget == KPI_TIME_NONE)
            return KPI_REASON_NO_PARAMETER;
        *ret_number = money(inputs->campaign->budget);
        return KPI_REASON_NONE;
    case KPI_TERM_BUDGET_PART:
        return budget_part(inputs->campaign, term->part, ret_number);
    case KPI_TERM_DAYS:
        *ret_number = inputs->days;
        return KPI_REASON_NONE;
    default:
        assert(term->kind == KPI_TERM_LEAF);
        return leaf_number(terms, inputs, term->leaf, ret_number);
    }
}

/* A count in the unit of money; false if it leaves 64 bits. */
static bool in_money(const struct kpi_number *number, int64_t *ret_value)
{
    if (number->kind == KPI_NUMBER_MONEY) {
        *ret_value = number->value;
        return true;
    }
    return !__builtin_mul_overflow(number->value, KPI_DECIMAL_ONE, ret_value);
}

static enum kpi_reason add(const struct kpi_number *a, const struct kpi_number *b, bool subtract,
                           struct kpi_number *ret_number)
{
    bool counts = a->kind == KPI_NUMBER_COUNT && b->kind == KPI_NUMBER_COUNT;
    int64_t x = a->value, y = b->value, sum;

    if (a->kind == KPI_NUMBER_REAL || b->kind == KPI_NUMBER_REAL)
        return real(subtract ? a->real - b->real : a->real + b->real, ret_number);
    if (!counts && (!in_money(a, &x) || !in_money(b, &y)))
        return KPI_REASON_OVERFLOW;
    if (subtract ? __builtin_sub_overflow(x, y, &sum) : __builtin_add_overflow(x, y, &sum))
        return KPI_REASON_OVERFLOW;
    *ret_number = counts ? kpi_number_count(sum) : money(sum);
    return KPI_REASON_NONE;
}

static enum kpi_reason multiply(const struct kpi_number *a, const struct kpi_number *b,
                                struct kpi_number *ret_number)
{
    bool moneys = a->kind == KPI_NUMBER_MONEY && b->kind == KPI_NUMBER_MONEY;
    int64_t product;

    if (moneys || a->kind == KPI_NUMBER_REAL || b->kind == KPI_NUMBER_REAL)
        return real(a->real * b->real, ret_number);
    if (__builtin_mul_overflow(a->value, b->value, &product))
        return KPI_REASON_OVERFLOW;
    *ret_number = a->kind == KPI_NUMBER_MONEY || b->kind == KPI_NUMBER_MONEY
                      ? money(product)
                      : kpi_number_count(product);
    return KPI_REASON_NONE;
}

static enum kpi_reason negate(const struct kpi_number *a, struct kpi_number *ret_number)
{
    static const struct kpi_number zero = {.kind = KPI_NUMBER_COUNT};

    return add(&zero, a, true, ret_number);
}

static enum kpi_reason absolute(const struct kpi_number *a, struct kpi_number *ret_number)
{
    if (a->real < 0)
        return negate(a, ret_number);
    *ret_number = *a;
    return KPI_REASON_NONE;
}

/* What is undefined waits on the stack, too: a number of kind NONE whose value is the reason. */
static struct kpi_number undefined(enum kpi_reason reason)
{
    return (struct kpi_number){.kind = KPI_NUMBER_NONE, .value = reason};
}

static enum kpi_reason reason_of(const struct kpi_number *number)
{
    return number->kind == KPI_NUMBER_NONE ? (enum kpi_reason)number->value : KPI_REASON_NONE;
}

static enum kpi_reason combine(enum kpi_term_kind kind, const struct kpi_number *a,
                               const struct kpi_number *b, struct kpi_number *ret_number)
{
    enum kpi_reason reason = kpi_reason_worse(reason_of(a), reason_of(b));

    if (reason != KPI_REASON_NONE)
        return reason;
    switch (kind) {
    case KPI_TERM_MULTIPLY:
        return multiply(a, b, ret_number);
    case KPI_TERM_DIVIDE:
        return divide(a, b, ret_number);
    default:
        return add(a, b, kind == KPI_TERM_SUBTRACT, ret_number);
    }
}

static enum kpi_reason alone(enum kpi_term_kind kind, const struct kpi_number *a,
                             struct kpi_number *ret_number)
{
    enum kpi_reason reason = reason_of(a);

    if (reason != KPI_REASON_NONE)
        return reason;
    switch (kind) {
    case KPI_TERM_NEGATE:
        return negate(a, ret_number);
    case KPI_TERM_ROOT: /* of a negative number it leaves the range of numbers */
        return real(sqrt(a->real), ret_number);
    default:
        return absolute(a, ret_number);
    }
}

static enum kpi_reason mean(const struct kpi_number *numbers, unsigned n,
                            struct kpi_number *ret_number)
{
    struct kpi_number sum = {.kind = KPI_NUMBER_COUNT};

    for (unsigned i = 0; i < n; ++i) {
        enum kpi_reason reason = add(&sum, &numbers[i], false, &sum);

        if (reason != KPI_REASON_NONE)
            return reason;
    }
    return real(sum.real / n, ret_number);
}

/* The middle one, or the mean of the two in the middle. Orders the numbers. */
static enum kpi_reason median(struct kpi_number *numbers, unsigned n, struct kpi_number *ret_number)
{
    for (unsigned i = 1; i < n; ++i) {
        struct kpi_number number = numbers[i];
        unsigned at = i;

        for (; at > 0 && numbers[at - 1].real > number.real; --at)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
    }
    if (n % 2 == 0)
        return mean(&numbers[n / 2 - 1], 2, ret_number);
    *ret_number = numbers[n / 2];
    return KPI_REASON_NONE;
}

/*
 * What is made of those that are defined; but one that has left its range is not passed over, as it
 * is there and only cannot be said.
 */
static enum kpi_reason middle(enum kpi_term_kind kind, struct kpi_number *numbers, unsigned n,
                              struct kpi_number *ret_number)
{
    enum kpi_reason reason = KPI_REASON_NONE;
    unsigned n_defined = 0;

    for (unsigned i = 0; i < n; ++i) {
        reason = kpi_reason_worse(reason, reason_of(&numbers[i]));
        if (numbers[i].kind != KPI_NUMBER_NONE)
            numbers[n_defined++] = numbers[i];
    }
    if (n_defined == 0 || reason == KPI_REASON_OVERFLOW)
        return reason;
    return kind == KPI_TERM_MEAN ? mean(numbers, n_defined, ret_number)
                                 : median(numbers, n_defined, ret_number);
}

/*
 * How many times in a row a number is less than the one behind it, which is older. What is
 * undefined ends the row, but the newest one: of what came last nothing can be said.
 */
static enum kpi_reason falls(const struct kpi_number *numbers, unsigned n,
                             struct kpi_number *ret_number)
{
    enum kpi_reason reason = reason_of(&numbers[0]);
    unsigned n_falls = 0;

    if (reason != KPI_REASON_NONE)
        return reason;
    for (; n_falls + 1 < n; ++n_falls) {
        reason = reason_of(&numbers[n_falls + 1]);
        if (reason == KPI_REASON_OVERFLOW)
            return reason;
        if (reason != KPI_REASON_NONE || numbers[n_falls].real >= numbers[n_falls + 1].real)
            break;
    }
    *ret_number = kpi_number_count(n_falls);
    return KPI_REASON_NONE;
}

enum kpi_reason kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                                   const struct kpi_inputs *inputs, struct kpi_number *ret_number)
{
    const struct kpi_terms all = {terms, n_terms};
    struct kpi_number stack[KPI_TERMS_DEPTH_MAX];
    unsigned top = 0; /* numbers on the stack */

    for (uint32_t i = 0; i < n_terms; ++i) {
        struct kpi_number number;
        enum kpi_reason reason;

        switch (terms[i].kind) {
        case KPI_TERM_ADD:
        case KPI_TERM_SUBTRACT:
        case KPI_TERM_MULTIPLY:
        case KPI_TERM_DIVIDE:
            top -= 2;
            reason = combine(terms[i].kind, &stack[top], &stack[top + 1], &number);
            break;
        case KPI_TERM_NEGATE:
        case KPI_TERM_ABSOLUTE:
        case KPI_TERM_ROOT:
            --top;
            reason = alone(terms[i].kind, &stack[top], &number);
            break;
        case KPI_TERM_MEAN:
        case KPI_TERM_MEDIAN:
            top -= (unsigned)terms[i].value;
            reason = middle(terms[i].kind, &stack[top], (unsigned)terms[i].value, &number);
            break;
        case KPI_TERM_FALLS:
            top -= (unsigned)terms[i].value;
            reason = falls(&stack[top], (unsigned)terms[i].value, &number);
            break;
        default:
            assert(top < KPI_TERMS_DEPTH_MAX);
            reason = push(&all, &terms[i], inputs, &number);
            break;
        }
        stack[top++] = reason == KPI_REASON_NONE ? number : undefined(reason);
    }
    assert(top == 1);
    if (stack[0].kind != KPI_NUMBER_NONE)
        *ret_number = stack[0];
    return reason_of(&stack[0]);
}
