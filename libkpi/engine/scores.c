/* Latest scores and gauges: see scores.h. */
#include "base/bits.h"
#include "engine/scores.h"

/* Who has been seen: plain bits, or, for few of many users, a bitmap; one window needs neither. */
struct seen {
    struct kpi_bits bits;
    roaring_bitmap_t *bitmap;
};

static int seen_init(struct seen *seen, const struct kpi_engine *engine, uint32_t n_windows,
                     uint64_t n)
{
    *seen = (struct seen){0};
    if (n_windows <= 1)
        return 0;
    if (n >= engine->users.n / KPI_BITS_WORD)
        return kpi_bits_init(&seen->bits, &engine->mem, engine->users.n);
    seen->bitmap = roaring_bitmap_create();
    return seen->bitmap ? 0 : -ENOMEM;
}

static void seen_deinit(struct seen *seen, const struct kpi_engine *engine)
{
    if (seen->bitmap)
        roaring_bitmap_free(seen->bitmap);
    if (seen->bits.words)
        kpi_bits_deinit(&seen->bits, &engine->mem);
}

static bool seen_add(struct seen *seen, uint32_t id)
{
    if (seen->bits.words)
        return kpi_bits_add(&seen->bits, id);
    return !seen->bitmap || roaring_bitmap_add_checked(seen->bitmap, id);
}

/* Adds the scores of users who have not been seen. */
static void add_unseen(const struct kpi_latest *latest, struct seen *seen, __int128 *sum,
                       uint64_t *n_users)
{
    for (uint32_t k = 0; k < latest->n_entries; k++) {
        if (latest->entries[k].id == KPI_LATEST_EMPTY || !seen_add(seen, latest->entries[k].id))
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
    uint32_t i = series ? kpi_series_position(series, windows.from) : 0;
    uint32_t end = series ? kpi_series_position(series, windows.to) : 0;
    struct seen seen;
    uint64_t n = 0;
    int r;

    *ret_sum = 0;
    *ret_users = 0;
    for (uint32_t k = i; k < end; k++)
        n += series->cells[k]->latest.n;
    r = seen_init(&seen, engine, end - i, n);
    if (r < 0)
        return r;
    while (i < end) {
        uint32_t next = engine->program->instances[instance].is_first ? i++ : --end;

        add_unseen(&series->cells[next]->latest, &seen, ret_sum, ret_users);
    }
    seen_deinit(&seen, engine);
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
