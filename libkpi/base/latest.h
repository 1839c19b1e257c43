/*
 * The latest answer of each user on one day: id -> (time within the day, yes or no), or a number
 * instead of yes or no. The highest time wins, at a tie yes or the greater number, so that the
 * order of arrival does not matter. Of first answers the times are mirrored, so that the earliest
 * is the highest.
 */
#pragma once

#include <kpi/base.h>

/* 12 bytes: the time in microseconds since the day's start needs 37 bits, yes or no one. */
struct kpi_latest_entry {
    uint32_t id;        /* KPI_LATEST_EMPTY: none */
    uint32_t stamp_low; /* see kpi_latest_stamp_of() */
    uint32_t stamp_high;
};

#define KPI_LATEST_EMPTY     UINT32_MAX
#define KPI_LATEST_STAMP_MAX (UINT64_C(1) << 40)

struct kpi_latest {
    struct kpi_latest_entry *entries; /* open addressing, n_entries slots of any number */
    uint32_t n_entries;
    int64_t *numbers; /* of the same slots; NULL while there are none */
    uint32_t n;       /* users */
    uint32_t n_yes;   /* of them with yes */
};

/* The stamp of an answer at this time of the day: the order of stamps is the rule above. */
static inline uint64_t kpi_latest_stamp_of(uint64_t time, bool yes, bool is_first)
{
    return (is_first ? KPI_LATEST_STAMP_MAX / 2 - 1 - time : time) << 1 | yes;
}

void kpi_latest_deinit(struct kpi_latest *latest, const struct kpi_mem *mem);

static inline uint64_t kpi_latest_stamp(const struct kpi_latest_entry *entry)
{
    return (uint64_t)entry->stamp_high << 32 | entry->stamp_low;
}

/* Takes an answer in; *ret_changed tells whether it is now the user's. Returns 0 or -ENOMEM. */
int kpi_latest_put(struct kpi_latest *latest, const struct kpi_mem *mem, uint32_t id,
                   uint64_t stamp, bool *ret_changed);

/* The same for an answer that is a number; a table has either kind. The stamp's lowest bit is 0. */
int kpi_latest_put_number(struct kpi_latest *latest, const struct kpi_mem *mem, uint32_t id,
                          uint64_t stamp, int64_t number, bool *ret_changed);

/* Removes the user's answer; false if there is none. Allocates nothing. */
bool kpi_latest_remove(struct kpi_latest *latest, uint32_t id);

/* The user's entry, or NULL. */
const struct kpi_latest_entry *kpi_latest_find(const struct kpi_latest *latest, uint32_t id);
