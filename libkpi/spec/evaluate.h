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
    const struct kpi_leaf *leaves; /* of the program; NULL if the formula names none */
    const uint32_t *leaf_rows;     /* of the scope's grain */
    const struct kpi_row *rows;    /* the scope's block */
};

/*
 * Evaluates postfix terms. False: undefined, i.e. a division by zero, a parameter that is not
 * given, or a number that leaves its range.
 */
bool kpi_terms_evaluate(const struct kpi_term *terms, uint32_t n_terms,
                        const struct kpi_inputs *inputs, struct kpi_number *ret_number);

/* A count as a number. */
struct kpi_number kpi_number_count(int64_t value);
