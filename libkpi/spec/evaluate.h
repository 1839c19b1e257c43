/*
 * Evaluating formulas. Counts and money stay exact 64-bit integers as far as they can: count ±
 * count and count × count are counts; money ± money, money ± count and money × count are money;
 * everything else is real.
 */
#pragma once

#include "spec/plan.h"

/* What a formula is evaluated over. */
struct kpi_inputs {
    kpi_decimal audience, budget;  /* KPI_TIME_NONE: not given */
    kpi_day days;                  /* of the scope */
    const struct kpi_leaf *leaves; /* of the program; NULL if the formula names none */
    const struct kpi_row *rows;    /* the scope's block, or a group's */
    const struct kpi_row *whole;   /* the scope's block: where gauges stand, which have no groups */
};

static inline const struct kpi_row *kpi_leaf_rows(const struct kpi_inputs *inputs,
                                                  const struct kpi_leaf *leaf)
{
    return (leaf->kind == KPI_LEAF_GAUGE ? inputs->whole : inputs->rows) + leaf->first_row;
}

/*
 * Evaluates postfix terms. False: undefined, i.e. a division by zero, a parameter that is not
 * given, a base without events, or a number that leaves its range. What is made of something
 * undefined is undefined, but for means and medians, which pass it over.
 */
bool kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                        const struct kpi_inputs *inputs, struct kpi_number *ret_number);

/* row += other; 0, or ERANGE if a sum left 64 bits: it then reads INT64_MAX, for ever. */
int kpi_row_add(struct kpi_row *row, const struct kpi_row *other);

/* Does a leaf of this kind bring a numerator and a denominator, and not one number? */
static inline bool kpi_leaf_has_sides(enum kpi_leaf_kind kind)
{
    return kind == KPI_LEAF_RETAINED || kind == KPI_LEAF_MEAN || kind == KPI_LEAF_SCORES;
}

/* Both sides of such a leaf. False: undefined. */
bool kpi_leaf_sides(const struct kpi_inputs *inputs, uint32_t leaf,
                    struct kpi_number *ret_numerator, struct kpi_number *ret_denominator);
