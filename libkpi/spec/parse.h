/*
 * Expressions as trees: one grammar for `where`, `aggregate`, `formula` and target `value`.
 *
 *     either     = both { "or" both }
 *     both       = negation { "and" negation }
 *     negation   = "not" negation | comparison
 *     comparison = sum [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in" ) sum ]
 *     sum        = product { ( "+" | "-" ) product }
 *     product    = factor { ( "*" | "of" | "/" ) factor }
 *     factor     = "-" factor | atom
 *     atom       = NUMBER | DURATION | STRING | "true" | "false" | list | NAME [ arguments ]
 *                | "(" either ")"
 *     list       = "[" [ either { "," either } ] "]"
 *     arguments  = "(" [ argument { "," argument } ] ")"
 *     argument   = [ NAME "=" ] either
 *
 * Chains of one operator are one node with many children, so that a tree is never deeper than the
 * text is nested, and whoever walks it may recurse.
 */
#pragma once

#include "spec/pool.h"

#include <kpi/diag.h>

enum kpi_node_kind {
    KPI_NODE_NUMBER,   /* number in 10^-6 */
    KPI_NODE_DURATION, /* number in microseconds */
    KPI_NODE_BOOL,     /* number is 0 or 1 */
    KPI_NODE_STRING,
    KPI_NODE_LIST,
    KPI_NODE_NAME,
    KPI_NODE_CALL,    /* string is the function, children the arguments */
    KPI_NODE_NEGATE,  /* -child */
    KPI_NODE_SUM,     /* children joined by + and - */
    KPI_NODE_PRODUCT, /* children joined by * and / */
    KPI_NODE_COMPARE, /* two children */
    KPI_NODE_IN,      /* two children; number is 1 for `not in` */
    KPI_NODE_NOT,
    KPI_NODE_AND,
    KPI_NODE_OR,
};

enum kpi_compare {
    KPI_COMPARE_EQUAL,
    KPI_COMPARE_NOT_EQUAL,
    KPI_COMPARE_LESS,
    KPI_COMPARE_LESS_EQUAL,
    KPI_COMPARE_GREATER,
    KPI_COMPARE_GREATER_EQUAL,
};

struct kpi_node {
    enum kpi_node_kind kind;
    uint32_t offset, length; /* in the text */
    int64_t number;
    struct kpi_string string; /* STRING without escapes; NAME, CALL */
    enum kpi_compare compare;
    struct kpi_node *first, *next; /* children, and the next sibling */
    uint32_t n_children;
    char join;               /* as a child of SUM or PRODUCT: + - * /, the first one + or * */
    struct kpi_string label; /* as an argument: its name, or empty */
    uint32_t label_offset;
};

/*
 * Parses a whole text. The tree lives in the pool, names are borrowed from the text. NULL if an
 * error was reported to diag, or if the pool failed. An empty text is an error.
 */
struct kpi_node *kpi_parse(struct kpi_pool *pool, const struct kpi_text *text,
                           struct kpi_diag *diag);

/* The operator as people write it. */
const char *kpi_compare_text(enum kpi_compare compare);
