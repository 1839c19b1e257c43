/*
 * What a shard reports beside its rows: the same numbers for parts of a scope.
 *
 * A *group* is what KPIs are broken down to: a scope of the layout, a breakdown of the plan, one
 * value of each of its dimensions, and the rows that the breakdown's KPIs need. Supplements add up
 * like rows: those of all shards are merged by key, and only then are formulas evaluated. A group
 * of which nothing was counted is not there.
 *
 * Beside the groups stand sketches of the values that quantile() and median() are about, of scopes
 * as a whole; see kpi_rows_fill_quantiles().
 *
 * Immutable once it is shared; reference counted, in any thread.
 */
#pragma once

#include <kpi/report.h>

struct kpi_supplement;

struct kpi_group {
    uint32_t scope;     /* of the layout */
    uint32_t breakdown; /* of the plan */
    uint32_t n_values;  /* dimensions of the breakdown */
    /* in the order of the breakdown's dimensions; data NULL: none, which is not "" */
    struct kpi_string values[KPI_BREAKDOWN_DIMENSIONS_MAX];
    uint32_t n_rows; /* never 0 */
    const struct kpi_row *rows;
};

/* The value that stands for those beyond a dimension's bound. */
#define KPI_VALUE_OTHER KPI_STRING("__other__")

/* An empty one, one reference. mem must outlive it. Returns 0 or -ENOMEM. */
int kpi_supplement_new(struct kpi_supplement **ret_supplement, const struct kpi_mem *mem);
struct kpi_supplement *kpi_supplement_ref(struct kpi_supplement *supplement);
/* NULL is fine; returns NULL. */
struct kpi_supplement *kpi_supplement_unref(struct kpi_supplement *supplement);

/*
 * Canonical order: scope, breakdown, then value by value, none before all others, which are in
 * order of their bytes.
 */
int kpi_group_compare(const struct kpi_group *a, const struct kpi_group *b);

/* Appends a copy of a group that comes after all that are there. Returns 0 or -ENOMEM. */
int kpi_supplement_push(struct kpi_supplement *supplement, const struct kpi_group *group);

/*
 * supplement += other, of groups; sketches stay apart. Returns 0, ERANGE if a sum left 64 bits
 * (that row then reads INT64_MAX), or -ENOMEM (nothing changed).
 */
int kpi_supplement_add(struct kpi_supplement *supplement, const struct kpi_supplement *other);

/* Groups in canonical order; what a group points to is borrowed from the supplement. */
uint32_t kpi_supplement_n_groups(const struct kpi_supplement *supplement);
struct kpi_group kpi_supplement_group(const struct kpi_supplement *supplement, uint32_t group);

/* Are all groups of scopes and breakdowns of this layout, with as many values and rows, and all
 * sketches of its scopes and leaves? */
bool kpi_supplement_fits(const struct kpi_supplement *supplement, const struct kpi_layout *layout);

/*
 * Puts the quantiles of all shards into rows that are the sum of theirs: `parts` are the
 * supplements of the same reports, and all must fit the layout. Where a part is missing that has
 * counted something, the row reads INT64_MAX, and its KPIs undefined. Until this is called, rows of
 * quantiles say 0. Costs nothing if no formula of the plan names quantiles. Returns 0 or -ENOMEM.
 */
int kpi_rows_fill_quantiles(const struct kpi_layout *layout,
                            const struct kpi_supplement *const *parts, uint32_t n_parts,
                            const struct kpi_mem *mem, struct kpi_row *rows);

/* As a KPI_OBJECT_SUPPLEMENT; the bytes are the caller's, of mem. Returns 0 or -ENOMEM. */
int kpi_supplement_encode(const struct kpi_supplement *supplement, const struct kpi_mem *mem,
                          void **ret_bytes, size_t *ret_size);
enum {
    KPI_SUPPLEMENT_E_CORRUPT = 1,
    KPI_SUPPLEMENT_E_NEWER,
};
/* Returns 0, KPI_SUPPLEMENT_E_… or -ENOMEM. The bytes may be anything. */
int kpi_supplement_decode(struct kpi_supplement **ret_supplement, const void *bytes, size_t size,
                          const struct kpi_mem *mem);

/*
 * Evaluates one KPI over a group (of a supplement that fits the layout), as kpi_report_value() does
 * over a scope. The KPI must be one that is broken down so. A campaign's audience and budget, and
 * gauges, are those of the whole, whose merged rows are given.
 */
void kpi_supplement_value(const struct kpi_layout *layout, const struct kpi_row *rows,
                          const struct kpi_group *group, uint32_t kpi, kpi_time as_of,
                          struct kpi_value *ret_value);
