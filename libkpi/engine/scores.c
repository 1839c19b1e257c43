/* Latest (or first) scores, and gauges: see scores.h. */
#include "engine/scores.h"

/* Adds the scores of users who have not been seen. */
static void add_unseen(const struct kpi_latest *latest, roaring_bitmap_t *seen, __int128 *sum,
                       uint64_t *n_users)
{
    for (uint32_t k = 0; k < latest->n_entries; k++) {
        if (latest->entries[k].id == KPI_LATEST_EMPTY ||
            !roaring_bitmap_add_checked(seen, latest->entries[k].id))
            continue;
        *sum += latest->numbers[k];
        ++*n_users;
    }
}

/* From the last window to the first: a user who has been seen has a later score. First ones: the
 * other way round. */
int kpi_scores_add(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   struct kpi_windows windows, __int128 *ret_sum, uint64_t *ret_users)
{
    const struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i, end;
    roaring_bitmap_t *seen;

    *ret_sum = 0;
    *ret_users = 0;
    if (!series)
        return 0;
    seen = roaring_bitmap_create();
    if (!seen)
        return -ENOMEM;
    i = kpi_series_position(series, windows.from);
    end = kpi_series_position(series, windows.to);
    while (i < end) {
        uint32_t next = engine->program->instances[instance].is_first ? i++ : --end;

        add_unseen(&series->cells[next]->latest, seen, ret_sum, ret_users);
    }
    roaring_bitmap_free(seen);
    return 0;
}

bool kpi_gauge_find(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                    kpi_window end, kpi_time *ret_time, int64_t *ret_value)
{
    const struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i = series ? kpi_series_position(series, end) : 0;

    if (i == 0)
        return false;
    *ret_time = kpi_gauge_time(series->cells[i - 1]->sum);
    *ret_value = kpi_gauge_value(series->cells[i - 1]->sum);
    return true;
}
