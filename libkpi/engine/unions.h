/*
 * Set algebra over the windows of a series, cached for finished ones.
 *
 * A *union* of a series over [start, end) holds the levels (levels.h) of its finished windows, and
 * is extended when more are; a late event is put into it (kpi_unions_late()), so nothing is ever
 * computed twice. Hot windows are added when asked; several of them are made one first.
 */
#pragma once

#include "engine/levels.h"

struct kpi_union {
    struct kpi_union *next;
    kpi_window start, end;
    kpi_window through; /* windows before it are in */
    uint32_t n;         /* bitmaps */
    uint64_t stamp;     /* of the report that used it last */
    size_t bytes;       /* of the bitmaps, as counted in the engine */
    roaring_bitmap_t *levels[KPI_LEVELS_MAX];
};

/* Forgets the caches of a series. */
void kpi_series_flush(struct kpi_engine *engine, struct kpi_series *series);

/*
 * A user was added to a finished window of the series of level 1 (level 1 or above), or a latest
 * answer of one changed: brings the caches up to date. `instance` is that of level 1, or of the
 * answers. is_new: the user is new to that window. Returns 0 or -ENOMEM.
 */
int kpi_unions_late(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window window,
                    uint32_t user, bool is_new);

/* Removes users from the caches of a series, whose cells they are not in any more. */
void kpi_unions_remove(struct kpi_engine *engine, struct kpi_series *series,
                       const roaring_bitmap_t *users);

/*
 * Users of all windows of [start, end). *ret_owned: the caller frees the bitmap; else it is
 * borrowed until an event is applied. Returns 0 or -ENOMEM.
 */
int kpi_unions_get(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window start,
                   kpi_window end, const roaring_bitmap_t **ret_bitmap, bool *ret_owned);

/*
 * Users seen at least 1 … n times in [start, end), as bitmaps of the caller's, ret_levels[0] …
 * [n - 1]: for those who ask once and keep what they made of them. `instance` is that of level 1.
 * Returns 0 or -ENOMEM.
 */
int kpi_unions_make(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t n,
                    kpi_window start, kpi_window end, roaring_bitmap_t **ret_levels);

/*
 * The union of a series over [start, end) with n levels, of its windows before `finished`; borrowed
 * until an event is applied. Returns 0 or -ENOMEM.
 */
int kpi_union_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n,
                  kpi_window start, kpi_window end, kpi_window finished,
                  struct kpi_union **ret_union);

/* Frees the unions of a series that no report has used since `stamp`. */
void kpi_unions_sweep(struct kpi_engine *engine, struct kpi_series *series, uint64_t stamp);

/* --- unions_count.c --- */

/* Some hot windows of a series as one: L1 … Ln of their own, or who answered ⊇ who said yes. */
struct kpi_hot {
    struct kpi_hot *next; /* of the report */
    struct kpi_series *series;
    kpi_window first, last;
    uint32_t n;
    roaring_bitmap_t *levels[KPI_LEVELS_MAX];
};

void kpi_hot_free(struct kpi_hot *hot, const struct kpi_mem *mem);

/*
 * Users seen at least `level` times in [start, end); or whose answer, the latest or the first as
 * the instance says, is yes. Returns 0 or -ENOMEM.
 */
int kpi_unions_count_users(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                           uint32_t level, kpi_window start, kpi_window end, uint64_t *ret_count);
int kpi_unions_count_latest(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                            kpi_window start, kpi_window end, uint64_t *ret_count);
