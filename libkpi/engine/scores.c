/* Latest scores and gauges: see scores.h. */
#include "engine/scores.h"

/* From the last window to the first: a user who has been seen has a later score. */
int kpi_scores_add(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   struct kpi_windows windows, __int128 *ret_sum, uint64_t *ret_users)
{
    const struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    roaring_bitmap_t *seen;

    *ret_sum = 0;
    *ret_users = 0;
    if (!series)
        return 0;
    seen = roaring_bitmap_create();
    if (!seen)
        return -ENOMEM;
    for (uint32_t i = kpi_series_position(series, windows.to);
         i > 0 && series->cells[i - 1]->window >= windows.from; i--) {
        const struct kpi_latest *latest = &series->cells[i - 1]->latest;

        for (uint32_t k = 0; k < latest->n_entries; k++) {
            if (latest->entries[k].id == KPI_LATEST_EMPTY ||
                !roaring_bitmap_add_checked(seen, latest->entries[k].id))
                continue;
            *ret_sum += latest->numbers[k];
            ++*ret_users;
        }
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
