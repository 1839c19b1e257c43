/*
 * The *firsts* of a series: for each finished day, the users whose first day it is: of all days, or
 * of those of its period (day, week, month), for users who start anew in each. A cache, like the
 * unions of engine/unions.h, and kept up to date as they are.
 */
#pragma once

#include "engine/state.h"

/* What a cohort of one day has become, by a retained() leaf. */
struct kpi_return {
    uint64_t version; /* of the engine, when computed; 0: never */
    uint64_t retained;
    /* UNBOUNDED instead: who has not been back on the days before `through`; NULL: not known */
    roaring_bitmap_t *left;
    kpi_day through;
};

struct kpi_first {
    kpi_day day;
    uint64_t version; /* of the engine, when it last changed */
    uint64_t count;
    roaring_bitmap_t *bitmap;
    struct kpi_return *returns; /* by retained() leaf */
};

struct kpi_firsts_kind {
    bool recurring; /* else of all days */
    enum kpi_basis basis;
};

struct kpi_firsts {
    struct kpi_firsts *next; /* of the series, of another kind */
    struct kpi_firsts_kind kind;
    kpi_day through;       /* days before it are in */
    kpi_day period;        /* the latest one that has a day: see kpi_firsts_period() */
    roaring_bitmap_t *all; /* users of that period */
    struct kpi_first *days;
    uint32_t n_days, n_days_max;
    uint32_t n_returns;
    size_t bytes;
};

/* Counts the bytes of its bitmaps in the engine, after a change. */
void kpi_firsts_recount(struct kpi_engine *engine, struct kpi_firsts *firsts);

/* Brings firsts of a series up to the finished days. Returns 0 or -ENOMEM. */
int kpi_firsts_get(struct kpi_engine *engine, struct kpi_series *series,
                   struct kpi_firsts_kind kind, uint32_t n_returns, struct kpi_firsts **ret_firsts);

/* The first day of the period that a day is in; of all days they are one, that begins with time. */
kpi_day kpi_firsts_period(const struct kpi_engine *engine, const struct kpi_firsts *firsts,
                          kpi_day day);

/* --- all of a series, of which the first is given, or NULL --- */

/* A user is new to a finished day of the series. Returns 0 or -ENOMEM. */
int kpi_firsts_late(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                    uint32_t user);

void kpi_firsts_remove(struct kpi_engine *engine, struct kpi_firsts *firsts,
                       const roaring_bitmap_t *users);
void kpi_firsts_free(struct kpi_engine *engine, struct kpi_firsts *firsts);
