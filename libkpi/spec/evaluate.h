/*
 * Evaluating formulas. Counts and money stay exact 64-bit integers as far as they can: count ±
 * count and count × count are counts; money ± money, money ± count and money × count are money;
 * everything else is real.
 */
#pragma once

#include "spec/plan.h"

/* What a formula is evaluated over. */
struct kpi_inputs {
    const struct kpi_campaign_info *campaign;
    struct kpi_number days;        /* how long the scope is */
    const struct kpi_leaf *leaves; /* of the program; NULL if the formula names none */
    const uint32_t *leaf_rows;     /* by leaf: where its rows stand in `rows` */
    const struct kpi_row *rows;    /* the scope's block, or a group's */
    /* The scope's block and places there: for gauges, which have no groups. */
    const uint32_t *whole_rows;
    const struct kpi_row *whole;
};

static inline const struct kpi_row *kpi_leaf_rows(const struct kpi_inputs *inputs, uint32_t leaf)
{
    if (inputs->leaves[leaf].kind == KPI_LEAF_GAUGE)
        return inputs->whole + inputs->whole_rows[leaf];
    return inputs->rows + inputs->leaf_rows[leaf];
}

/* Of two reasons the one that says more; of any and none that one. */
static inline enum kpi_reason kpi_reason_worse(enum kpi_reason a, enum kpi_reason b)
{
    return a > b ? a : b;
}

/*
 * Evaluates postfix terms. Returns KPI_REASON_NONE, or why the number is undefined. What is made of
 * something undefined is undefined, but for means and medians, which pass over what is missing, and
 * falls, which end there; but not what left its range.
 */
enum kpi_reason kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                                   const struct kpi_inputs *inputs, struct kpi_number *ret_number);

/* A count as a number. */
struct kpi_number kpi_number_count(int64_t value);

/* row += other; 0, or ERANGE if a sum left 64 bits: it then reads INT64_MAX, for ever. */
int kpi_row_add(struct kpi_row *row, const struct kpi_row *other);

/* Does a leaf of this kind bring a numerator and a denominator, and not one number? */
static inline bool kpi_leaf_has_sides(enum kpi_leaf_kind kind)
{
    return kind == KPI_LEAF_RETAINED || kind == KPI_LEAF_MEAN || kind == KPI_LEAF_SCORES;
}

/* Both sides of such a leaf. Returns KPI_REASON_NONE or KPI_REASON_OVERFLOW. */
enum kpi_reason kpi_leaf_sides(const struct kpi_inputs *inputs, uint32_t leaf,
                               struct kpi_number *ret_numerator,
                               struct kpi_number *ret_denominator);

/* Is the leaf a base that is missing? */
bool kpi_leaf_no_base(const struct kpi_inputs *inputs, uint32_t leaf);
