/*
 * The events of the benches: JSON of 261 bytes in the mean, 12 keys, a nested object and an array,
 * 8 types, half of the events of a tenth of the users. The same seed gives the same bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    EVENTS_BYTES_MAX = 512,
};

struct events {
    uint64_t state; /* of the random numbers */
    uint64_t n;     /* made so far */
    uint32_t n_users;
    int64_t start_ms; /* time of the first event */
    int64_t end_ms;   /* of the last of n_events */
    uint64_t n_events;
};

struct events_one {
    char key[24]; /* the user, terminated */
    size_t key_size;
    char value[EVENTS_BYTES_MAX];
    size_t size;
    int64_t time_ms;
};

/* times are spread evenly over [start_ms, end_ms). */
void events_init(struct events *events, uint64_t seed, uint32_t n_users, uint64_t n_events,
                 int64_t start_ms, int64_t end_ms);
void events_next(struct events *events, struct events_one *one);
