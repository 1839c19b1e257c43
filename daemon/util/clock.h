/*
 * The two clocks of the daemon, in microseconds. libkpi is told the time; whoever tells it reads it
 * here, once per loop turn.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_us(clockid_t id)
{
    struct timespec now;

    /* Cannot fail: the address is valid and both clocks always exist. */
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Wall clock, since 1970; comparable with times of events, may jump. */
static inline int64_t clock_now_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}

/* For durations and deadlines; never goes back. */
static inline int64_t clock_monotonic_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}
