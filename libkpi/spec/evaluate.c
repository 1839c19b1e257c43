/*
 * A stack machine over counts, money and reals.
 */
#include "spec/evaluate.h"

#include <assert.h>
#include <math.h>

static_assert(KPI_TERMS_DEPTH_MAX >= 2 * (KPI_EXPRESSION_DEPTH_MAX + 1) + 1,
              "each level of nesting leaves at most a summand and a factor waiting");

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

static bool leaf_number(const struct kpi_inputs *inputs, uint32_t index,
                        struct kpi_number *ret_number)
{
    const struct kpi_leaf *leaf = &inputs->leaves[index];
    const struct kpi_row *row = &inputs->rows[inputs->leaf_rows[index]];

    if (row[0].value == INT64_MAX)
        return false;
    if (leaf->kind == KPI_LEAF_RETAINED) {
        if (row[1].value == INT64_MAX || row[1].value == 0)
            return false;
        return real((double)row[0].value / (double)row[1].value, ret_number);
    }
    *ret_number = leaf->kind == KPI_LEAF_SUM ? money(row[0].value) : kpi_number_count(row[0].value);
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

bool kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                        const struct kpi_inputs *inputs, struct kpi_number *ret_number)
{
    struct kpi_number stack[KPI_TERMS_DEPTH_MAX];
    unsigned top = 0; /* numbers on the stack */
    bool defined;

    for (uint32_t i = 0; i < n_terms; ++i) {
        switch (terms[i].kind) {
        case KPI_TERM_ADD:
        case KPI_TERM_SUBTRACT:
            --top;
            defined = add(&stack[top - 1], &stack[top], terms[i].kind == KPI_TERM_SUBTRACT,
                          &stack[top - 1]);
            break;
        case KPI_TERM_MULTIPLY:
            --top;
            defined = multiply(&stack[top - 1], &stack[top], &stack[top - 1]);
            break;
        case KPI_TERM_DIVIDE:
            --top;
            defined = stack[top].real != 0 &&
                      real(stack[top - 1].real / stack[top].real, &stack[top - 1]);
            break;
        case KPI_TERM_NEGATE:
            defined = negate(&stack[top - 1], &stack[top - 1]);
            break;
        default:
            assert(top < KPI_TERMS_DEPTH_MAX);
            defined = push(&terms[i], inputs, &stack[top++]);
            break;
        }
        if (!defined)
            return false;
    }
    assert(top == 1);
    *ret_number = stack[0];
    return true;
}
