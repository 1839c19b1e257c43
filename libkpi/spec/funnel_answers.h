/*
 * How a funnel's numbers lie in answers (kpi/answers.h). `start` is the local day on which users
 * entered, `values` those of `by`; parts are:
 *
 *   ENTERED            cells: users
 *   LATE               cells: late events; of no day and no values
 *   FROM               of no day and no values: `start` is the time from which a shard counts,
 * because what was before is missing of a step, bucket  cells: users whose time to the step
 * (counted from 1; n: from the first event to that of step n - 1, the last one) falls into the
 * bucket, and the sum of these times in microseconds
 *
 * Buckets are logarithmic: below 128 us each time has its own, above 128 of a power of two. With
 * the sums a bucket's mean is known, which is the time itself if all in it are equal.
 */
#pragma once

#include <kpi/funnel.h>

enum {
    KPI_FUNNEL_BUCKET_BITS = 7, /* buckets of a power of two: 2^7 */
    KPI_FUNNEL_BUCKETS = 8192,  /* more than there are */
    KPI_FUNNEL_PART_ENTERED = 0,
};

#define KPI_FUNNEL_PART_FROM (UINT32_MAX - 1)
#define KPI_FUNNEL_PART_LATE UINT32_MAX

/* time >= 0 */
static inline uint32_t kpi_funnel_part(uint32_t step, kpi_duration time)
{
    unsigned bits = time ? 64 - (unsigned)__builtin_clzll((uint64_t)time) : 0;
    unsigned shift = bits > KPI_FUNNEL_BUCKET_BITS + 1 ? bits - KPI_FUNNEL_BUCKET_BITS - 1 : 0;

    return step * KPI_FUNNEL_BUCKETS + (shift << KPI_FUNNEL_BUCKET_BITS) +
           (uint32_t)((uint64_t)time >> shift);
}

struct kpi_pool;

/*
 * funnel_hide.c: leaves of the result's groups, which are those in `groups`, what may be shown
 * under a min_group of `min`. What it needs is of the pool. Returns 0 or -ENOMEM.
 */
int kpi_funnel_hide(struct kpi_funnel_result *result, struct kpi_funnel_group *groups,
                    uint32_t n_steps, int64_t min, struct kpi_pool *pool);
