/* The counters themselves. */
#include "counters.h"

struct counters counters;

const int64_t counters_bounds_us[COUNTERS_BUCKETS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 5000000,
};

void counters_observe(struct counters_histogram *histogram, int64_t us)
{
    unsigned i = 0;

    if (us < 0)
        us = 0;
    while (i < COUNTERS_BUCKETS && us > counters_bounds_us[i])
        i++;
    counters_add(&histogram->buckets[i], 1);
    counters_add(&histogram->sum_us, (uint64_t)us);
}
