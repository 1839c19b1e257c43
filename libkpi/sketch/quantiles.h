/*
 * Quantiles of a bag of numbers: exact as long as there are few, then from a histogram of
 * logarithmic buckets, as DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable
 * Quantile Sketch with Relative-Error Guarantees", VLDB 2019), with its linear interpolation
 * between powers of two, so that the bucket of a number is found in integers and is the same on
 * every machine.
 *
 * What a sketch is depends on the numbers alone, not on their order nor on how they were split
 * among sketches that were added: up to KPI_QUANTILES_EXACT it holds each of them, above that it
 * counts in buckets, and what it gives is off by 1/128 at most, KPI_ERROR_QUANTILES to the world.
 * Numbers below zero have buckets of their own, mirrored; zero is one.
 */
#pragma once

#include "base/buffer.h"

#include <kpi/report.h>

enum {
    KPI_QUANTILES_E_CORRUPT = 1,
};

struct kpi_quantiles_bucket {
    int32_t index; /* 0: zero; -i: the mirror of i */
    uint64_t count;
};

/* All zero: an empty one. At most 120 KiB, in practice some hundred buckets. */
struct kpi_quantiles {
    uint64_t n; /* numbers taken in */
    union {
        int64_t *values;                      /* n <= KPI_QUANTILES_EXACT: ascending */
        struct kpi_quantiles_bucket *buckets; /* else: ascending, none empty */
    };
    uint32_t n_slots, n_slots_max; /* of either */
};

void kpi_quantiles_deinit(struct kpi_quantiles *quantiles, const struct kpi_mem *mem);
/* Bytes allocated for it. */
size_t kpi_quantiles_bytes(const struct kpi_quantiles *quantiles);

static inline bool kpi_quantiles_are_exact(const struct kpi_quantiles *quantiles)
{
    return quantiles->n <= KPI_QUANTILES_EXACT;
}

/* Takes a number in. Allocates only when it grows. Returns as kpi_quantiles_add(). */
int kpi_quantiles_put(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, int64_t value);
/*
 * quantiles += other. Returns 0, or -ENOMEM, after which it is as it was, or holds what fits no
 * count and is only to be freed.
 */
int kpi_quantiles_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                      const struct kpi_quantiles *other);
/*
 * The sum of n others (NULL where n is 0), as a new one: what adding one after the other makes, at
 * a fraction of the cost. Returns 0 or -ENOMEM.
 */
int kpi_quantiles_sum(struct kpi_quantiles *ret_quantiles, const struct kpi_mem *mem,
                      const struct kpi_quantiles *const *others, uint32_t n_others);

/*
 * By nearest rank: the least number of which at least the share (10^-6 units, above 0, below 1) of
 * all are not greater. There is at least one.
 */
int64_t kpi_quantiles_value(const struct kpi_quantiles *quantiles, kpi_decimal share);

/* The same bytes for the same numbers. The buffer remembers failures. */
void kpi_quantiles_encode(const struct kpi_quantiles *quantiles, struct kpi_buffer *buffer);
/*
 * Reads one from bytes that may be anything, and leaves the reader behind it. Returns 0,
 * KPI_QUANTILES_E_CORRUPT or -ENOMEM.
 */
int kpi_quantiles_decode(struct kpi_quantiles *ret_quantiles, const struct kpi_mem *mem,
                         struct kpi_reader *reader);
/* Are these the bytes of one that holds a number, and no others? Returns as it does. */
int kpi_quantiles_check(const void *bytes, size_t size, const struct kpi_mem *mem);
