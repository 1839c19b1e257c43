/* The functions of the expression language, for help texts and editors. */
#pragma once

#include <kpi/base.h>

struct kpi_function_info {
    const char *name;
    const char *usage; /* how it is written and what it gives: "sum(field): the sum of …" */
    bool in_measures, in_attributes, in_formulas, in_conditions; /* where it may stand */
};

/* Walks the table; false behind its end. */
bool kpi_function_info(unsigned index, struct kpi_function_info *ret_info);
