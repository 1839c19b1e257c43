/*
 * Latest (or first) scores, and gauges, over windows: what is not a union of users nor a sum.
 *
 * Of a user's answers in all windows of a series one *stands*: the latest, or the first. It is the
 * one that counts wherever the end (or the beginning) is among the windows, as in every scope that
 * is going on; so each window's standing answers are kept added up, and brought up to date by the
 * windows that have changed.
 */
#pragma once

#include "engine/report.h"

/* A cache, as the unions of engine/unions.h are. */
struct kpi_standing {
    uint64_t version;          /* of the engine that it tells, and one more */
    uint64_t stamp;            /* of the report that used it last */
    struct kpi_latest windows; /* in which each user's answer stands: see stamp_of() */
    struct kpi_standing_scores {
        kpi_window window;
        uint64_t n_users;
        __int128 sum;
    } * cells; /* as in the series */
    uint32_t n_cells;
};

/*
 * The latest score of each user in the windows, or the first of an instance that is of first ones:
 * their sum, and how many users. Costs the answers of these windows, or, if they reach to the end
 * (first ones: the beginning), those of windows that have changed. Returns 0 or -ENOMEM.
 */
int kpi_scores_add(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   struct kpi_windows windows, __int128 *ret_sum, uint64_t *ret_users);

/* Frees what a series keeps of standing answers. */
void kpi_standing_free(struct kpi_engine *engine, struct kpi_series *series);

/* The latest value of a gauge before `end`; false if there is none. */
bool kpi_gauge_find(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                    kpi_window end, kpi_time *ret_time, int64_t *ret_value);
