/*
 * Arithmetic of numbers in 10^-6, as conditions use it: exact or, below 10^-6, cut towards zero.
 * False: the result leaves 64 bits, or the divisor is zero.
 */
#pragma once

#include <kpi/base.h>

static inline bool kpi_decimal_narrow(__int128 wide, int64_t *ret_number)
{
    if (wide > INT64_MAX || wide < -INT64_MAX) /* INT64_MIN means absent */
        return false;
    *ret_number = (int64_t)wide;
    return true;
}

static inline bool kpi_decimal_add(int64_t a, int64_t b, int64_t *ret_sum)
{
    return kpi_decimal_narrow((__int128)a + b, ret_sum);
}

static inline bool kpi_decimal_subtract(int64_t a, int64_t b, int64_t *ret_difference)
{
    return kpi_decimal_narrow((__int128)a - b, ret_difference);
}

/* Also a duration times a number. */
static inline bool kpi_decimal_multiply(int64_t a, int64_t b, int64_t *ret_product)
{
    return kpi_decimal_narrow((__int128)a * b / KPI_DECIMAL_ONE, ret_product);
}

/* Also a duration divided by a number, or by a duration. */
static inline bool kpi_decimal_divide(int64_t a, int64_t b, int64_t *ret_quotient)
{
    return b != 0 && kpi_decimal_narrow((__int128)a * KPI_DECIMAL_ONE / b, ret_quotient);
}
