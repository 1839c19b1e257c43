/*
 * From what shards count to what people read.
 *
 * A *layout* lists the rows that every shard reports at a moment: for each campaign and scope, the
 * leaves of all formulas. It is a pure function of plan and time, so shards and the leader make the
 * same one; its fingerprint says whether two are the same. Every row is additive (law 6): the rows
 * of all shards are summed, and only then are formulas evaluated.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/plan.h>
#include <kpi/scope.h>

struct kpi_layout; /* immutable, reference counted */

/*
 * Scopes of each campaign at as_of, in this order: campaign; phases; rolling ones; days; weeks;
 * months; quarters; years; windows, the longest first. Of days and longer there are all that touch
 * the campaign from the first day of its first phase or start up to today (its last phase's or own
 * end excluded); of windows those of today and yesterday, if these are days of the campaign, that
 * have begun. Only what a KPI is reported in is there. Returns 0 or -ENOMEM.
 */
int kpi_layout_new(struct kpi_layout **ret_layout, struct kpi_plan *plan, kpi_time as_of,
                   const struct kpi_mem *mem);
struct kpi_layout *kpi_layout_ref(struct kpi_layout *layout);
struct kpi_layout *kpi_layout_unref(struct kpi_layout *layout);

uint64_t kpi_layout_fingerprint(const struct kpi_layout *layout);
const struct kpi_plan *kpi_layout_plan(const struct kpi_layout *layout);
/* The moment that the layout was made for. */
kpi_time kpi_layout_as_of(const struct kpi_layout *layout);
/* True while as_of gives the same layout, i.e. no zone has begun another day or window. */
bool kpi_layout_current(const struct kpi_layout *layout, kpi_time as_of);

uint32_t kpi_layout_n_scopes(const struct kpi_layout *layout);
const struct kpi_scope *kpi_layout_scope(const struct kpi_layout *layout, uint32_t scope);

/* Is the KPI reported in this scope? Else it has no value there. */
bool kpi_layout_reports(const struct kpi_layout *layout, uint32_t scope, uint32_t kpi);

/*
 * Rows: each scope has a block of those that its KPIs need, blocks stand in the order of scopes.
 * Behind those of all scopes stand rows that say from when measures count; they are merged like the
 * others. n_rows is all of them together.
 */
uint32_t kpi_layout_first_row(const struct kpi_layout *layout, uint32_t scope);
uint32_t kpi_layout_scope_rows(const struct kpi_layout *layout, uint32_t scope);
uint32_t kpi_layout_n_rows(const struct kpi_layout *layout);

/*
 * One additive number of a shard; or a gauge, of which no two shards have the same reading: there
 * n_events is the time of the value, and of two the later one counts.
 */
struct kpi_row {
    int64_t value;    /* users, events, or 10^-6 units of a sum */
    int64_t n_events; /* events that fed it: 0 in all shards means "no data" */
};

/*
 * row += other, for all rows of a layout. Returns 0, or ERANGE if a sum left 64 bits (that row then
 * reads INT64_MAX).
 */
int kpi_rows_add(const struct kpi_layout *layout, struct kpi_row *rows,
                 const struct kpi_row *other);

/* Quantiles of more values than these are off by this relative error at most. */
#define KPI_QUANTILES_EXACT 1000
#define KPI_ERROR_QUANTILES 0.01

enum kpi_value_state {
    KPI_VALUE_OK,
    KPI_VALUE_UNDEFINED, /* see enum kpi_reason */
    KPI_VALUE_NO_DATA,   /* no event in the scope has fed it, or nothing in it is mature */
};

/* Why a value is undefined. Of several reasons the last of this list stands. */
enum kpi_reason {
    KPI_REASON_NONE,
    KPI_REASON_DIVISION_BY_ZERO,
    KPI_REASON_NO_BASE,      /* what it is compared with has no event */
    KPI_REASON_NO_GAUGE,     /* nobody has set a gauge yet */
    KPI_REASON_NO_VALUES,    /* a quantile of nothing, or of what not all shards have told */
    KPI_REASON_NO_PARAMETER, /* the campaign gives no audience, budget or such part of it */
    KPI_REASON_OVERFLOW,     /* a sum or what is made of it left its range */
};

const char *kpi_reason_name(enum kpi_reason reason); /* "division_by_zero", … */

enum kpi_number_kind {
    KPI_NUMBER_NONE,  /* a KPI without division has no denominator */
    KPI_NUMBER_COUNT, /* value is a whole number */
    KPI_NUMBER_MONEY, /* value in 10^-6: money, and sums of any number field */
    KPI_NUMBER_REAL,  /* real */
};

struct kpi_number {
    enum kpi_number_kind kind;
    int64_t value;
    double real; /* always set: the number as a double */
};

struct kpi_value {
    enum kpi_value_state state;
    enum kpi_reason reason;      /* NONE but for UNDEFINED */
    double value;                /* if OK: numerator.real / denominator.real */
    struct kpi_number numerator; /* the formula's upper side, or all of it if it does not divide */
    struct kpi_number denominator;
    /*
     * 0..1: the share of the scope that has passed at as_of, or of cohort users that are mature;
     * with counts_from at most the share of what the value is made of that has passed and was
     * counted.
     */
    double complete;
    /*
     * The value lacks what happened before: a measure of it is newer than the time that it is
     * about. KPI_TIME_NONE: it lacks nothing. Never a reason to conclude anything.
     */
    kpi_time counts_from;
    double error; /* relative, at most, of each quantile that it is made of; 0: all is exact */
    uint64_t definition; /* fingerprint with zone and scope's words */
};

struct kpi_target; /* kpi/alert.h */
/*
 * Evaluates the value of a target that varies, as kpi_report_value() does a KPI; its `definition`
 * is 0. One that lacks a gauge is undefined, also if nothing else has fed it: it waits for somebody
 * to set the gauge, not for events of the campaign.
 */
void kpi_report_target(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                       const struct kpi_target *target, kpi_time as_of,
                       struct kpi_value *ret_value);

/*
 * Evaluates one KPI over one scope from merged rows. Never fails: failures are states, and what is
 * not reported there has no data. Allocates nothing.
 */
void kpi_report_value(const struct kpi_layout *layout, const struct kpi_row *rows, uint32_t scope,
                      uint32_t kpi, kpi_time as_of, struct kpi_value *ret_value);
