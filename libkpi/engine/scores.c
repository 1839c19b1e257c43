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

/*
 * From the last window to the first: a user who has been seen has a later score. First ones: the
 * other way round.
 */
static int scan(const struct kpi_engine *engine, const struct kpi_series *series, bool is_first,
                uint32_t i, uint32_t end, uint64_t n, __int128 *sum, uint64_t *n_users)
{
    struct seen seen;
    int r = seen_init(&seen, engine, end - i, n);

    if (r < 0)
        return r;
    while (i < end) {
        uint32_t next = is_first ? i++ : --end;

        add_unseen(&series->cells[next]->latest, &seen, sum, n_users);
    }
    seen_deinit(&seen, engine);
    return 0;
}

/* --- standing answers --- */

/* Of the answers of a user that of the window with the highest stamp stands. */
static uint64_t stamp_of(kpi_window window, bool is_first)
{
    uint64_t stamp = (uint64_t)window ^ UINT64_C(1) << 63;

    return is_first ? ~stamp : stamp;
}

static kpi_window window_of(uint64_t stamp, bool is_first)
{
    return (kpi_window)((is_first ? ~stamp : stamp) ^ UINT64_C(1) << 63);
}

void kpi_standing_free(struct kpi_engine *engine, struct kpi_series *series)
{
    struct kpi_standing *standing = series->standing;

    if (!standing)
        return;
    kpi_latest_deinit(&standing->windows, &engine->mem);
    kpi_mem_free(&engine->mem, standing->cells, standing->n_cells * sizeof(*standing->cells));
    kpi_mem_free(&engine->mem, standing, sizeof(*standing));
    series->standing = NULL;
}

/* Gives the cells that the series has got places, also amid the others. */
static int cells_extend(struct kpi_engine *engine, const struct kpi_series *series,
                        struct kpi_standing *standing)
{
    struct kpi_standing_scores *cells;
    uint32_t k = 0;

    if (standing->n_cells == series->n_cells)
        return 0;
    cells = kpi_mem_zalloc(&engine->mem, series->n_cells * sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    for (uint32_t i = 0; i < series->n_cells; i++) {
        cells[i].window = series->cells[i]->window;
        if (k < standing->n_cells && standing->cells[k].window == cells[i].window)
            cells[i] = standing->cells[k++];
    }
    kpi_mem_free(&engine->mem, standing->cells, standing->n_cells * sizeof(*cells));
    standing->cells = cells;
    standing->n_cells = series->n_cells;
    return 0;
}

/* An answer that stood in a window does no more. */
static void leave(const struct kpi_series *series, struct kpi_standing *standing, kpi_window window,
                  uint32_t user)
{
    uint32_t i = kpi_series_position(series, window);
    const struct kpi_latest *latest = &series->cells[i]->latest;

    standing->cells[i].n_users--;
    standing->cells[i].sum -= latest->numbers[kpi_latest_find(latest, user) - latest->entries];
}

/* Notes whose answers of a cell stand. */
static int cell_take(struct kpi_engine *engine, const struct kpi_series *series,
                     struct kpi_standing *standing, uint32_t i, bool is_first)
{
    const struct kpi_latest *latest = &series->cells[i]->latest;
    uint64_t stamp = stamp_of(series->cells[i]->window, is_first);

    for (uint32_t k = 0; k < latest->n_entries; k++) {
        uint32_t user = latest->entries[k].id;
        const struct kpi_latest_entry *before;
        bool changed;
        int r;

        if (user == KPI_LATEST_EMPTY)
            continue;
        before = kpi_latest_find(&standing->windows, user);
        if (before && kpi_latest_stamp(before) >= stamp)
            continue;
        if (before)
            leave(series, standing, window_of(kpi_latest_stamp(before), is_first), user);
        r = kpi_latest_put(&standing->windows, &engine->mem, user, stamp, &changed);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Adds up those that do. */
static void cell_sum(const struct kpi_series *series, struct kpi_standing *standing, uint32_t i,
                     bool is_first)
{
    const struct kpi_latest *latest = &series->cells[i]->latest;
    uint64_t stamp = stamp_of(series->cells[i]->window, is_first);
    struct kpi_standing_scores *scores = &standing->cells[i];

    scores->n_users = 0;
    scores->sum = 0;
    for (uint32_t k = 0; k < latest->n_entries; k++) {
        uint32_t user = latest->entries[k].id;

        if (user == KPI_LATEST_EMPTY ||
            kpi_latest_stamp(kpi_latest_find(&standing->windows, user)) != stamp)
            continue;
        scores->n_users++;
        scores->sum += latest->numbers[k];
    }
}

/*
 * What a changed cell has lost to another one is subtracted, and what it has by now is added up, so
 * that it does not matter what of it has changed.
 */
static int standing_extend(struct kpi_engine *engine, const struct kpi_series *series,
                           struct kpi_standing *standing, bool is_first)
{
    int r = cells_extend(engine, series, standing);

    for (uint32_t i = 0; i < series->n_cells && r == 0; i++)
        if (series->cells[i]->version >= standing->version)
            r = cell_take(engine, series, standing, i, is_first);
    for (uint32_t i = 0; i < series->n_cells && r == 0; i++)
        if (series->cells[i]->version >= standing->version)
            cell_sum(series, standing, i, is_first);
    standing->version = engine->version + 1;
    return r;
}

static int standing_get(struct kpi_engine *engine, struct kpi_series *series, bool is_first,
                        struct kpi_standing **ret_standing)
{
    struct kpi_standing *standing = series->standing;

    if (!standing) {
        standing = kpi_mem_zalloc(&engine->mem, sizeof(*standing));
        if (!standing)
            return -ENOMEM;
        series->standing = standing;
    }
    if (series->version >= standing->version) {
        int r = standing_extend(engine, series, standing, is_first);

        if (r < 0) { /* it is of no version */
            kpi_standing_free(engine, series);
            return r;
        }
    }
    standing->stamp = engine->report->stamp;
    *ret_standing = standing;
    return 0;
}

/* Few answers are looked through at once: so that of many small groups nothing is kept. */
static bool are_many(const struct kpi_engine *engine, uint32_t n_windows, uint64_t n)
{
    return n_windows > 1 && n >= engine->users.n / KPI_BITS_WORD;
}

int kpi_scores_add(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                   struct kpi_windows windows, __int128 *ret_sum, uint64_t *ret_users)
{
    bool is_first = engine->program->instances[instance].is_first;
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i = series ? kpi_series_position(series, windows.from) : 0;
    uint32_t end = series ? kpi_series_position(series, windows.to) : 0;
    struct kpi_standing *standing;
    uint64_t n = 0;
    int r;

    *ret_sum = 0;
    *ret_users = 0;
    for (uint32_t k = i; k < end; k++)
        n += series->cells[k]->latest.n;
    if (!are_many(engine, end - i, n) || (is_first ? i > 0 : end < series->n_cells))
        return scan(engine, series, is_first, i, end, n, ret_sum, ret_users);
    r = standing_get(engine, series, is_first, &standing);
    for (; r == 0 && i < end; i++) {
        *ret_sum += standing->cells[i].sum;
        *ret_users += standing->cells[i].n_users;
    }
    return r;
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
