/*
 * A stack machine over counts, money and reals.
 */
#include "spec/evaluate.h"

#include <assert.h>
#include <math.h>

struct kpi_number kpi_number_count(int64_t value)
{
    return (struct kpi_number){KPI_NUMBER_COUNT, value, (double)value};
}

static struct kpi_number money(int64_t value)
{
    return (struct kpi_number){KPI_NUMBER_MONEY, value, (double)value / (double)KPI_DECIMAL_ONE};
}

static bool real(double value, struct kpi_number *ret_number)
{
    if (!isfinite(value))
        return false;
    *ret_number = (struct kpi_number){.kind = KPI_NUMBER_REAL, .real = value};
    return true;
}

bool kpi_leaf_sides(const struct kpi_inputs *inputs, uint32_t index,
                    struct kpi_number *ret_numerator, struct kpi_number *ret_denominator)
{
    const struct kpi_leaf *leaf = &inputs->leaves[index];
    const struct kpi_row *row = kpi_leaf_rows(inputs, index);
    int64_t below = leaf->kind == KPI_LEAF_MEAN ? row[0].n_events : row[1].value;

    if (row[0].value == INT64_MAX || below == INT64_MAX)
        return false;
    *ret_numerator =
        leaf->kind == KPI_LEAF_RETAINED ? kpi_number_count(row[0].value) : money(row[0].value);
    *ret_denominator = kpi_number_count(below);
    return true;
}

static bool leaf_number(const struct kpi_inputs *inputs, uint32_t index,
                        struct kpi_number *ret_number)
{
    const struct kpi_leaf *leaf = &inputs->leaves[index];
    const struct kpi_row *row = kpi_leaf_rows(inputs, index);
    struct kpi_number numerator, denominator;

    if (row[0].value == INT64_MAX || (kpi_shift_is_base(&leaf->shift) && row[0].n_events == 0))
        return false;
    if (kpi_leaf_has_sides(leaf->kind))
        return kpi_leaf_sides(inputs, index, &numerator, &denominator) && denominator.value != 0 &&
               real(numerator.real / denominator.real, ret_number);
    if ((leaf->kind == KPI_LEAF_GAUGE || leaf->kind == KPI_LEAF_QUANTILE) && row[0].n_events == 0)
        return false;
    *ret_number = leaf->kind == KPI_LEAF_SUM || leaf->kind == KPI_LEAF_GAUGE ||
                          leaf->kind == KPI_LEAF_QUANTILE
                      ? money(row[0].value)
                      : kpi_number_count(row[0].value);
    return true;
}

static bool push(const struct kpi_term *term, const struct kpi_inputs *inputs,
                 struct kpi_number *ret_number)
{
    switch (term->kind) {
    case KPI_TERM_COUNT:
        *ret_number = kpi_number_count(term->value);
        return true;
    case KPI_TERM_REAL:
        return real(term->real, ret_number);
    case KPI_TERM_AUDIENCE:
        if (inputs->audience == KPI_TIME_NONE)
            return false;
        *ret_number = kpi_number_count(inputs->audience / KPI_DECIMAL_ONE);
        return true;
    case KPI_TERM_BUDGET:
        if (inputs->budget == KPI_TIME_NONE)
            return false;
        *ret_number = money(inputs->budget);
        return true;
    case KPI_TERM_DAYS:
        *ret_number = inputs->days;
        return true;
    default:
        assert(term->kind == KPI_TERM_LEAF);
        return leaf_number(inputs, term->leaf, ret_number);
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

static bool add(const struct kpi_number *a, const struct kpi_number *b, bool subtract,
                struct kpi_number *ret_number)
{
    bool counts = a->kind == KPI_NUMBER_COUNT && b->kind == KPI_NUMBER_COUNT;
    int64_t x = a->value, y = b->value, sum;

    if (a->kind == KPI_NUMBER_REAL || b->kind == KPI_NUMBER_REAL)
        return real(subtract ? a->real - b->real : a->real + b->real, ret_number);
    if (!counts && (!in_money(a, &x) || !in_money(b, &y)))
        return false;
    if (subtract ? __builtin_sub_overflow(x, y, &sum) : __builtin_add_overflow(x, y, &sum))
        return false;
    *ret_number = counts ? kpi_number_count(sum) : money(sum);
    return true;
}

static bool multiply(const struct kpi_number *a, const struct kpi_number *b,
                     struct kpi_number *ret_number)
{
    bool moneys = a->kind == KPI_NUMBER_MONEY && b->kind == KPI_NUMBER_MONEY;
    int64_t product;

    if (moneys || a->kind == KPI_NUMBER_REAL || b->kind == KPI_NUMBER_REAL)
        return real(a->real * b->real, ret_number);
    if (__builtin_mul_overflow(a->value, b->value, &product))
        return false;
    *ret_number = a->kind == KPI_NUMBER_MONEY || b->kind == KPI_NUMBER_MONEY
                      ? money(product)
                      : kpi_number_count(product);
    return true;
}

static bool negate(const struct kpi_number *a, struct kpi_number *ret_number)
{
    static const struct kpi_number zero = {.kind = KPI_NUMBER_COUNT};

    return add(&zero, a, true, ret_number);
}

static bool absolute(const struct kpi_number *a, struct kpi_number *ret_number)
{
    if (a->real < 0)
        return negate(a, ret_number);
    *ret_number = *a;
    return true;
}

static bool divide(const struct kpi_number *a, const struct kpi_number *b,
                   struct kpi_number *ret_number)
{
    return b->real != 0 && real(a->real / b->real, ret_number);
}

static bool combine(enum kpi_term_kind kind, const struct kpi_number *a, const struct kpi_number *b,
                    struct kpi_number *ret_number)
{
    if (a->kind == KPI_NUMBER_NONE || b->kind == KPI_NUMBER_NONE)
        return false;
    switch (kind) {
    case KPI_TERM_MULTIPLY:
        return multiply(a, b, ret_number);
    case KPI_TERM_DIVIDE:
        return divide(a, b, ret_number);
    default:
        return add(a, b, kind == KPI_TERM_SUBTRACT, ret_number);
    }
}

static bool mean(struct kpi_number *numbers, unsigned n, struct kpi_number *ret_number)
{
    struct kpi_number sum = {.kind = KPI_NUMBER_COUNT};
    unsigned n_defined = 0;

    for (unsigned i = 0; i < n; ++i) {
        if (numbers[i].kind == KPI_NUMBER_NONE)
            continue;
        ++n_defined;
        if (!add(&sum, &numbers[i], false, &sum))
            return false;
    }
    return n_defined > 0 && real(sum.real / n_defined, ret_number);
}

/* The middle one, or the mean of the two in the middle. Orders the numbers that are defined. */
static bool median(struct kpi_number *numbers, unsigned n, struct kpi_number *ret_number)
{
    unsigned n_defined = 0;

    for (unsigned i = 0; i < n; ++i) {
        struct kpi_number number = numbers[i];
        unsigned at = n_defined;

        if (number.kind == KPI_NUMBER_NONE)
            continue;
        for (; at > 0 && numbers[at - 1].real > number.real; --at)
            numbers[at] = numbers[at - 1];
        numbers[at] = number;
        ++n_defined;
    }
    if (n_defined == 0)
        return false;
    if (n_defined % 2 == 0)
        return mean(&numbers[n_defined / 2 - 1], 2, ret_number);
    *ret_number = numbers[n_defined / 2];
    return true;
}

bool kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                        const struct kpi_inputs *inputs, struct kpi_number *ret_number)
{
    struct kpi_number stack[KPI_TERMS_DEPTH_MAX];
    unsigned top = 0; /* numbers on the stack; one that is undefined is of kind NONE */

    for (uint32_t i = 0; i < n_terms; ++i) {
        struct kpi_number number;
        bool defined;

        switch (terms[i].kind) {
        case KPI_TERM_ADD:
        case KPI_TERM_SUBTRACT:
        case KPI_TERM_MULTIPLY:
        case KPI_TERM_DIVIDE:
            top -= 2;
            defined = combine(terms[i].kind, &stack[top], &stack[top + 1], &number);
            break;
        case KPI_TERM_NEGATE:
        case KPI_TERM_ABSOLUTE:
            --top;
            defined = stack[top].kind != KPI_NUMBER_NONE &&
                      (terms[i].kind == KPI_TERM_NEGATE ? negate : absolute)(&stack[top], &number);
            break;
        case KPI_TERM_MEAN:
        case KPI_TERM_MEDIAN:
            top -= (unsigned)terms[i].value;
            defined = (terms[i].kind == KPI_TERM_MEAN ? mean : median)(
                &stack[top], (unsigned)terms[i].value, &number);
            break;
        default:
            assert(top < KPI_TERMS_DEPTH_MAX);
            defined = push(&terms[i], inputs, &number);
            break;
        }
        stack[top++] = defined ? number : (struct kpi_number){.kind = KPI_NUMBER_NONE};
    }
    assert(top == 1);
    if (stack[0].kind == KPI_NUMBER_NONE)
        return false;
    *ret_number = stack[0];
    return true;
}
