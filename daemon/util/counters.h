/*
 * The daemon's own counters, from the table counters.def. Process-wide, since they count what the
 * process did; relaxed atomics, so that any thread bumps them without a lock and a reader may see
 * one a moment before another.
 *
 *   counters_add(counters.rebalances, 1);
 *   counters_add(&counters.events[COUNTERS_RESULT_APPLIED], n);
 *   counters_observe(&counters.checkpoint_pause, pause_us);
 */
#pragma once

#include <kpi/event.h>
#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counters_value;

/* Values of the label `result`. The first four are enum kpi_outcome; skipped are tombstones. */
enum counters_result {
    COUNTERS_RESULT_APPLIED = KPI_OUTCOME_APPLIED,
    COUNTERS_RESULT_DUPLICATE = KPI_OUTCOME_DUPLICATE,
    COUNTERS_RESULT_CONFLICT = KPI_OUTCOME_CONFLICT,
    COUNTERS_RESULT_REFUSED = KPI_OUTCOME_REFUSED,
    COUNTERS_RESULT_SKIPPED,
};

/* Values of the label `code`. */
enum counters_code {
    COUNTERS_CODE_200,
    COUNTERS_CODE_304,
    COUNTERS_CODE_400,
    COUNTERS_CODE_404,
    COUNTERS_CODE_405,
    COUNTERS_CODE_408,
    COUNTERS_CODE_413,
    COUNTERS_CODE_414,
    COUNTERS_CODE_417,
    COUNTERS_CODE_431,
    COUNTERS_CODE_500,
    COUNTERS_CODE_503,
    COUNTERS_CODE_505,
};

/* How many values a label has; REASON's are enum kpi_refusal (of which 0 is not exposed), LEVEL's
 * enum log_level. */
enum {
    COUNTERS_LABELS_NONE = 1,
    COUNTERS_LABELS_RESULT = COUNTERS_RESULT_SKIPPED + 1,
    COUNTERS_LABELS_REASON = KPI_REFUSAL_COUNT,
    COUNTERS_LABELS_CODE = COUNTERS_CODE_505 + 1,
    COUNTERS_LABELS_LEVEL = 5,
};

enum {
    COUNTERS_BUCKETS = 14, /* and one more for what is beyond the last bound */
};

/* Upper bounds, inclusive. */
extern const int64_t counters_bounds_us[COUNTERS_BUCKETS];

struct counters_histogram {
    counters_value buckets[COUNTERS_BUCKETS + 1]; /* not cumulative */
    counters_value sum_us;
};

#define COUNTER(name, family, unit, labels, help) counters_value name[COUNTERS_LABELS_##labels];
#define GAUGE(name, family, unit, labels, help)   counters_value name[COUNTERS_LABELS_##labels];
#define HISTOGRAM(name, family, help)             struct counters_histogram name;
extern struct counters {
#include "counters.def"
} counters;
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM

static inline void counters_add(counters_value *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void counters_set(counters_value *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

static inline uint64_t counters_get(const counters_value *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void counters_observe(struct counters_histogram *histogram, int64_t us);

/* The table, for whoever prints it. */
enum counters_kind {
    COUNTERS_KIND_COUNTER,
    COUNTERS_KIND_GAUGE,
    COUNTERS_KIND_HISTOGRAM,
};

enum counters_unit {
    COUNTERS_UNIT_NONE,
    COUNTERS_UNIT_BYTES,
    COUNTERS_UNIT_SECONDS,
};

struct counters_entry {
    enum counters_kind kind;
    const char *family;
    enum counters_unit unit;
    const char *help;
    const char *label;                      /* NULL: none */
    const char *(*label_value)(unsigned i); /* NULL for a value that is not exposed */
    unsigned n_values;
    counters_value *values;               /* COUNTER, GAUGE: n_values of them */
    struct counters_histogram *histogram; /* HISTOGRAM */
};

/* Entries in the order of the table. */
const struct counters_entry *counters_table(unsigned *ret_n_entries);
