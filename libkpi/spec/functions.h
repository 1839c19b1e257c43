/*
 * The functions of the expression language, in one table: what they are called, where they may
 * stand, what they take.
 */
#pragma once

#include "spec/complain.h"

#include <kpi/plan.h>

enum kpi_role {
    KPI_ROLE_MEASURE,   /* the aggregate of a measure */
    KPI_ROLE_ATTRIBUTE, /* the aggregate of an attribute */
    KPI_ROLE_FORMULA,
    KPI_ROLE_CONDITION,
    KPI_ROLE_DIMENSION,
};

enum kpi_function_id {
    KPI_FUNCTION_COUNT,
    KPI_FUNCTION_SUM,
    KPI_FUNCTION_USERS,
    KPI_FUNCTION_MEAN,
    KPI_FUNCTION_LATEST_USERS,
    KPI_FUNCTION_LATEST_MEAN,
    KPI_FUNCTION_FIRST_USERS,
    KPI_FUNCTION_FIRST_MEAN,
    KPI_FUNCTION_QUANTILES,
    KPI_FUNCTION_CAPPED,
    KPI_FUNCTION_MIN,
    KPI_FUNCTION_MAX,
    KPI_FUNCTION_FIRST,
    KPI_FUNCTION_LAST,
    KPI_FUNCTION_SET,
    KPI_FUNCTION_AGE,
    KPI_FUNCTION_HOUR,
    KPI_FUNCTION_WEEKDAY,
    KPI_FUNCTION_MONTHDAY,
    KPI_FUNCTION_RETAINED,
    KPI_FUNCTION_GAUGE,
    KPI_FUNCTION_BUDGET,
    KPI_FUNCTION_FIRST_TIME,
    KPI_FUNCTION_USER_DAYS,
    KPI_FUNCTION_QUANTILE,
    KPI_FUNCTION_MEDIAN,
    KPI_FUNCTION_AVERAGE,
    KPI_FUNCTION_TOTAL,
    KPI_FUNCTION_MATURE,
    KPI_FUNCTION_TRAILING,
    KPI_FUNCTION_CUMULATIVE,
    KPI_FUNCTION_PREVIOUS,
    KPI_FUNCTION_LAST_YEAR,
    KPI_FUNCTION_BEFORE,
    KPI_FUNCTION_OF_CAMPAIGN,
    KPI_FUNCTION_TRAILING_MEAN,
    KPI_FUNCTION_TRAILING_MEDIAN,
    KPI_FUNCTION_FALLING,
    KPI_FUNCTION_GROWTH,
    KPI_FUNCTION_SQRT,
};

enum kpi_argument_kind {
    KPI_ARGUMENT_FIELD,     /* the name of an event field */
    KPI_ARGUMENT_ATTRIBUTE, /* the name of an attribute */
    KPI_ARGUMENT_INTEGER,   /* min … max */
    KPI_ARGUMENT_SHARE,     /* between 0 and 1 */
    KPI_ARGUMENT_AMOUNT,    /* above 0 */
    KPI_ARGUMENT_WORD,      /* one of words */
    KPI_ARGUMENT_MEASURE,   /* the name of a measure */
    KPI_ARGUMENT_STRING,
    KPI_ARGUMENT_CONDITION, /* any expression; its user checks it */
    KPI_ARGUMENT_FORMULA,   /* likewise */
};

#define KPI_ARGUMENTS_MAX 9

/* Periods that trailing_mean(), trailing_median() and falling() look at: each is a row of every
 * scope. */
#define KPI_TRAILING_MAX 60

struct kpi_argument {
    const char *name;
    enum kpi_argument_kind kind;
    bool optional;
    int64_t min, max;
    const char *const *words; /* NULL-terminated */
};

struct kpi_function {
    enum kpi_function_id id;
    const char *name;
    unsigned roles;    /* 1 << enum kpi_role */
    const char *usage; /* how it is written and what it gives */
    struct kpi_argument arguments[KPI_ARGUMENTS_MAX];
};

/* An argument as found; node is NULL if an optional one is absent. */
struct kpi_bound {
    const struct kpi_node *node;
    int64_t integer; /* INTEGER; SHARE, AMOUNT: in 10^-6; WORD: index of the word */
};

/*
 * Finds the function that node (a call, or a bare name) names in this role and binds its arguments,
 * in the table's order. NULL if an error was reported.
 */
const struct kpi_function *kpi_function_bind(const struct kpi_text *text,
                                             const struct kpi_node *node, enum kpi_role role,
                                             struct kpi_diag *diag,
                                             struct kpi_bound ret_bound[KPI_ARGUMENTS_MAX]);

/* The clock that a function reads; KPI_CLOCK_COUNT: it is another sort of function. */
enum kpi_clock kpi_function_clock(const struct kpi_function *function);

/* Walks the table, for did-you-mean and documentation: NULL at the end. */
const struct kpi_function *kpi_function_at(unsigned index);
