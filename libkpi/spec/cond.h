/*
 * Conditions in canonical form: checked, folded, with names resolved. Conditions that mean the same
 * for trivial reasons (white space, parentheses, quotes, order of lists and of `and`/`or` operands)
 * have the same text, and so the same fingerprint.
 */
#pragma once

#include "spec/parse.h"
#include "spec/pool.h"

enum kpi_cond_kind {
    /* conditions */
    KPI_COND_CONSTANT, /* number is 0 or 1 */
    KPI_COND_AND,
    KPI_COND_OR,
    KPI_COND_NOT,
    KPI_COND_STRING,  /* child is one of strings; negated: is none of them */
    KPI_COND_SAME,    /* the two children are equal strings; negated: unequal ones */
    KPI_COND_COMPARE, /* child `compare` child, numbers */
    KPI_COND_NUMBERS, /* child is one of numbers; negated: none of them */
    KPI_COND_BOOL,    /* child is true; negated: false */
    /* operands */
    KPI_COND_LITERAL, /* number */
    KPI_COND_TEXT,    /* a string literal; while checking only */
    KPI_COND_SUM,
    KPI_COND_PRODUCT,
    KPI_COND_NEGATE,
    KPI_COND_TYPE,
    KPI_COND_TIME,
    KPI_COND_CLOCK,          /* index is an enum kpi_clock, of the event; string its zone */
    KPI_COND_FIELD,          /* index is a field */
    KPI_COND_ATTRIBUTE,      /* index is an attribute definition */
    KPI_COND_ATTRIBUTE_TIME, /* the time of its value */
};

struct kpi_cond {
    enum kpi_cond_kind kind;
    enum kpi_compare compare;
    bool negated;
    char join; /* as a child of SUM or PRODUCT */
    uint32_t index;
    int64_t number;
    struct kpi_string string; /* TEXT, CLOCK */
    struct kpi_cond *first, *next;
    uint32_t n_children;
    struct kpi_string *strings; /* sorted, each once */
    int64_t *numbers;           /* likewise */
    uint32_t n_list;
    const uint32_t *sessions; /* STRING of TYPE: the sessions among them, as attributes */
    uint32_t n_sessions;
    struct kpi_string text; /* by kpi_cond_seal() */
};

/* The names that a condition's text needs. */
struct kpi_cond_names {
    const struct kpi_string *fields;
    const uint64_t *attributes; /* fingerprints: what an attribute means, not how it is called */
};

struct kpi_cond *kpi_cond_new(struct kpi_pool *pool, enum kpi_cond_kind kind);
void kpi_cond_child_add(struct kpi_cond *cond, struct kpi_cond *child);

/* Sorts and uniques a list of strings, which stands in the pool. */
void kpi_cond_strings_set(struct kpi_cond *cond, struct kpi_string *strings, uint32_t n);
void kpi_cond_numbers_set(struct kpi_cond *cond, int64_t *numbers, uint32_t n);

/*
 * Folds constants away and draws nested AND in AND and OR in OR together. Borrows what it can of
 * cond; NULL without memory.
 */
struct kpi_cond *kpi_cond_fold(struct kpi_pool *pool, struct kpi_cond *cond);

/*
 * Writes the texts of cond and all below it, and sorts the operands of AND and OR by them. May be
 * called again with other names. The pool's `failed` says if memory lacked.
 */
void kpi_cond_seal(struct kpi_pool *pool, struct kpi_cond *cond,
                   const struct kpi_cond_names *names);

/*
 * What is left of cond once the type is known; type NULL: a type that no condition names. Returns
 * cond itself if it does not ask for the type, else a folded copy, sealed. NULL without memory.
 */
struct kpi_cond *kpi_cond_specialise(struct kpi_pool *pool, struct kpi_cond *cond,
                                     const struct kpi_string *type,
                                     const struct kpi_cond_names *names);

/* Order of bytes; a prefix comes first. */
int kpi_string_compare(struct kpi_string a, struct kpi_string b);
