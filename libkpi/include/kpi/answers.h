/*
 * What a shard reports beside its rows and groups: answers, which are tables of numbers and not
 * single ones (retention, funnels, experiments).
 *
 * An *answer* is a vector of integers under a key. Sets of answers add up over shards (law 6): key
 * by key, number by number, sketch by sketch. What the numbers of a kind mean is said where they
 * are evaluated (kpi/table.h for tables). What is not there is 0: an answer of which nothing was
 * counted is left out, and a vector ends where the maker's knowledge does.
 *
 * Immutable once it is shared; reference counted, in any thread.
 */
#pragma once

#include <kpi/plan.h>

struct kpi_answers;

enum kpi_answer_kind {
    KPI_ANSWER_TABLE,
    KPI_ANSWER_FUNNEL,
    KPI_ANSWER_EXPERIMENT,
    KPI_N_ANSWER_KINDS,
};

struct kpi_answer {
    enum kpi_answer_kind kind;
    uint32_t index;    /* of the plan's tables, funnels or experiments */
    uint32_t part;     /* what the kind's maker says: an arm, a step … */
    int64_t start;     /* where a cohort or period begins, as the kind's maker says; or 0 */
    uint32_t n_values; /* dimensions that the answer is told apart by */
    /* in their order; data NULL: none, which is not "" */
    struct kpi_string values[KPI_BREAKDOWN_DIMENSIONS_MAX];
    uint32_t n_cells; /* never 0 */
    const kpi_wide *cells;
    struct kpi_string sketch; /* of numbers, for quantiles (sketch/quantiles.h); length 0: none */
};

/* An empty set, one reference. mem must outlive it. Returns 0 or -ENOMEM. */
int kpi_answers_new(struct kpi_answers **ret_answers, const struct kpi_mem *mem);
struct kpi_answers *kpi_answers_ref(struct kpi_answers *answers);
struct kpi_answers *kpi_answers_unref(struct kpi_answers *answers); /* NULL is fine; returns NULL */
void kpi_answers_unrefp(struct kpi_answers **answers);

/*
 * Canonical order, by key: kind, index, value by value (none before all others, which are in order
 * of their bytes), part, start.
 */
int kpi_answer_compare(const struct kpi_answer *a, const struct kpi_answer *b);

/* Are these of the same values? */
bool kpi_answers_alike(const struct kpi_answer *a, const struct kpi_answer *b);

/* Appends a copy of an answer that comes after all that are there. Returns 0 or -ENOMEM. */
int kpi_answers_push(struct kpi_answers *answers, const struct kpi_answer *answer);

/*
 * answers += other; the shorter of two vectors counts as filled with 0. Returns 0, ERANGE if a sum
 * left 128 bits (that number then reads the greatest), or -ENOMEM (nothing changed).
 */
int kpi_answers_add(struct kpi_answers *answers, const struct kpi_answers *other);

/* Answers in canonical order; what one points to is borrowed from the set. */
uint32_t kpi_answers_n(const struct kpi_answers *answers);
struct kpi_answer kpi_answers_get(const struct kpi_answers *answers, uint32_t index);

/*
 * The answers of one table, funnel or experiment: [*ret_begin, *ret_end) of the set, in order of
 * values, part, start.
 */
void kpi_answers_find(const struct kpi_answers *answers, enum kpi_answer_kind kind, uint32_t index,
                      uint32_t *ret_begin, uint32_t *ret_end);

/*
 * What of the answers of all shards may be shown under the plan's min_group, as *ret_shown (one
 * reference). Wholes stay as they are; of what is broken down in a table or an experiment
 *
 * - a group's cohort (by its size), period, or experiment is left out, if a number of it is of
 *   fewer than min_group users but of anybody;
 * - other cells of a cohort, and those of intervals, each read KPI_ANSWER_CELL_HIDDEN, likewise;
 * - and so much more of what other groups have there that nothing of it can be told by subtracting
 *   what is shown from the whole, as kpi_supplement_suppress() does.
 *
 * Where anything is missing an answer without values stands before what is broken down, whose part
 * is KPI_ANSWER_PART_SUPPRESSED. Those of funnels are as they were: kpi_funnel_ask() hides, as what
 * is shown depends on what is asked. Returns 0 or -ENOMEM.
 */
int kpi_answers_suppress(const struct kpi_answers *all, const struct kpi_plan *plan,
                         const struct kpi_mem *mem, struct kpi_answers **ret_shown);

#define KPI_ANSWER_PART_SUPPRESSED UINT32_MAX
#define KPI_ANSWER_CELL_HIDDEN     (-1)

/* The value of all dimensions of what is not shown. */
#define KPI_VALUE_SUPPRESSED KPI_STRING("__suppressed__")

/* Are all of tables, funnels and experiments of the plan, with as many values as these have? */
bool kpi_answers_fits(const struct kpi_answers *answers, const struct kpi_plan *plan);

/* As a KPI_OBJECT_ANSWERS; the bytes are the caller's, of mem. Returns 0 or -ENOMEM. */
int kpi_answers_encode(const struct kpi_answers *answers, const struct kpi_mem *mem,
                       void **ret_bytes, size_t *ret_size);

enum {
    KPI_ANSWERS_E_CORRUPT = 1,
    KPI_ANSWERS_E_NEWER, /* written by a later version of the format */
};

/* Bytes may be a stranger's. Returns 0, a KPI_ANSWERS_E_… or -ENOMEM. */
int kpi_answers_decode(struct kpi_answers **ret_answers, const void *bytes, size_t size,
                       const struct kpi_mem *mem);
