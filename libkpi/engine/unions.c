/* Unions over windows: see unions.h. */
#include "engine/unions.h"
#include "base/bits.h"
#include "engine/firsts.h"
#include "engine/report.h"
#include "engine/scores.h"

static void union_free(struct kpi_engine *engine, struct kpi_union *u)
{
    engine->bytes_roaring -= u->bytes;
    for (uint32_t k = 0; k < u->n; k++)
        roaring_bitmap_free(u->levels[k]);
    kpi_mem_free(&engine->mem, u, sizeof(*u));
}

void kpi_series_flush(struct kpi_engine *engine, struct kpi_series *series)
{
    kpi_unions_sweep(engine, series, UINT64_MAX);
    if (series->firsts)
        kpi_firsts_free(engine, series->firsts);
    series->firsts = NULL;
    kpi_standing_free(engine, series);
}

void kpi_unions_sweep(struct kpi_engine *engine, struct kpi_series *series, uint64_t stamp)
{
    struct kpi_union **at = &series->unions;

    while (*at) {
        struct kpi_union *u = *at;

        if (u->stamp >= stamp) {
            at = &u->next;
        } else {
            *at = u->next;
            union_free(engine, u);
        }
    }
}

int kpi_cell_view(struct kpi_engine *engine, struct kpi_cell *cell,
                  const roaring_bitmap_t **ret_bitmap)
{
    if (cell->form == KPI_CELL_FROZEN) {
        *ret_bitmap = cell->frozen.bitmap;
        return 0;
    }
    if (!cell->view) {
        int r = kpi_set_to_roaring(&cell->hot, &engine->mem, &cell->view);

        if (r < 0)
            return r;
        cell->view_next = engine->report->views;
        engine->report->views = cell;
    }
    *ret_bitmap = cell->view;
    return 0;
}

/* The sets of one window, or of some, by level: sets[0] are its users. NULL where there is none. */
struct window_sets {
    const roaring_bitmap_t *sets[KPI_LEVELS_MAX];
};

static int window_sets_get(struct kpi_engine *engine, const struct kpi_cell *base, uint32_t n,
                           struct window_sets *ret_sets)
{
    uint32_t instance = base->instance;

    memset(ret_sets, 0, sizeof(*ret_sets));
    for (uint32_t k = 0; k < n && instance != KPI_NO_INDEX; k++) {
        struct kpi_series *series = kpi_series_find(engine, instance, base->tuple);
        struct kpi_cell *cell = series ? kpi_series_cell(series, base->window) : NULL;

        if (cell) {
            int r = kpi_cell_view(engine, cell, &ret_sets->sets[k]);

            if (r < 0)
                return r;
        }
        instance = engine->program->instances[instance].above;
    }
    return 0;
}

/* ∪j L(k-j) ∩ Sj ∪ Sk: what a window makes of level k (from 1). NULL: no memory. */
static roaring_bitmap_t *level_gain(roaring_bitmap_t *const *levels,
                                    const struct window_sets *window, uint32_t k)
{
    roaring_bitmap_t *gain =
        window->sets[k - 1] ? roaring_bitmap_copy(window->sets[k - 1]) : roaring_bitmap_create();

    for (uint32_t j = 1; gain && j < k; j++) {
        roaring_bitmap_t *both;

        if (!window->sets[j - 1])
            break; /* S1 ⊇ S2 …: no higher one either */
        both = roaring_bitmap_and(levels[k - j - 1], window->sets[j - 1]);
        if (!both) {
            roaring_bitmap_free(gain);
            return NULL;
        }
        roaring_bitmap_or_inplace(gain, both);
        roaring_bitmap_free(both);
    }
    return gain;
}

/* Takes a window into the levels, the highest first: it needs the lower ones as they were. */
static int levels_add(roaring_bitmap_t **levels, uint32_t n, const struct window_sets *window)
{
    for (uint32_t k = n; k >= 1; k--) {
        roaring_bitmap_t *gain;

        if (k == 1) {
            if (window->sets[0])
                roaring_bitmap_or_inplace(levels[0], window->sets[0]);
            break;
        }
        gain = level_gain(levels, window, k);
        if (!gain)
            return -ENOMEM;
        roaring_bitmap_or_inplace(levels[k - 1], gain);
        roaring_bitmap_free(gain);
    }
    return 0;
}

static bool is_first(const struct kpi_engine *engine, const struct kpi_cell *cell)
{
    return engine->program->instances[cell->instance].is_first;
}

/*
 * A later window's answers replace earlier ones, or count for nothing if first ones are wanted.
 * `answered`, which these need, may be NULL for the others.
 */
static void answers_add(roaring_bitmap_t *answered, roaring_bitmap_t *yes, bool first,
                        const struct kpi_latest *latest)
{
    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];

        if (entry->id == KPI_LATEST_EMPTY)
            continue;
        if (answered && !roaring_bitmap_add_checked(answered, entry->id) && first)
            continue;
        if (entry->stamp_low & 1)
            roaring_bitmap_add(yes, entry->id);
        else
            roaring_bitmap_remove(yes, entry->id);
    }
}

static int cell_add(struct kpi_engine *engine, const struct kpi_cell *cell,
                    roaring_bitmap_t **levels, uint32_t n)
{
    struct window_sets window;
    int r;

    if (cell->form == KPI_CELL_LATEST) {
        answers_add(n > 1 ? levels[0] : NULL, levels[n - 1], is_first(engine, cell), &cell->latest);
        return 0;
    }
    r = window_sets_get(engine, cell, n, &window);
    return r < 0 ? r : levels_add(levels, n, &window);
}

static void union_recount(struct kpi_engine *engine, struct kpi_union *u)
{
    engine->bytes_roaring -= u->bytes;
    u->bytes = 0;
    for (uint32_t k = 0; k < u->n; k++)
        u->bytes += roaring_bitmap_size_in_bytes(u->levels[k]);
    engine->bytes_roaring += u->bytes;
}

/* A union into which a window has gone by half must not be seen again. */
static void union_drop(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u)
{
    struct kpi_union **at = &series->unions;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    union_free(engine, u);
}

static int union_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n,
                     kpi_window start, kpi_window end, kpi_window finished,
                     struct kpi_union **ret_union);

/* Is cell i the first one from `start` on? */
static bool begins(const struct kpi_series *series, uint32_t i, kpi_window start)
{
    return series->cells[i]->window >= start && (i == 0 || series->cells[i - 1]->window < start);
}

/* The longest union at hand of what begins with cell i and ends by `through`; NULL: none. */
static const struct kpi_union *part_find(const struct kpi_series *series, const struct kpi_union *u,
                                         uint32_t i, kpi_window through)
{
    kpi_window first = series->cells[i]->window;
    const struct kpi_union *longest = NULL;

    for (const struct kpi_union *part = series->unions; part; part = part->next)
        if (part != u && part->n >= u->n && begins(series, i, part->start) &&
            part->through > first + 1 && part->through <= through &&
            (!longest || part->through > longest->through))
            longest = part;
    return longest;
}

/*
 * The next part of users that a union is made of, from cell *i on, which moves behind it: another
 * union at hand, so that a campaign is made of its phases; the day, where it is stored in windows,
 * by a union of its own, so that each window is looked at once for many scopes; or a cell.
 */
static int part_get(struct kpi_engine *engine, struct kpi_series *series, const struct kpi_union *u,
                    kpi_window through, uint32_t *i, struct window_sets *ret_sets)
{
    const struct kpi_cell *cell = series->cells[*i];
    const struct kpi_instance *instance = &engine->program->instances[cell->instance];
    kpi_day day = kpi_window_day(instance, cell->window);
    kpi_window from = kpi_instance_day(instance, day), to = kpi_instance_day(instance, day + 1);
    const struct kpi_union *part = part_find(series, u, *i, through);
    int r;

    if (!part && instance->minutes && begins(series, *i, from) && to <= through &&
        to - from < u->end - u->start) {
        struct kpi_union *of_day;

        r = union_get(engine, series, u->n, from, to, to, &of_day);
        if (r < 0)
            return r;
        part = of_day;
    }
    if (!part) {
        ++*i;
        return window_sets_get(engine, cell, u->n, ret_sets);
    }
    memset(ret_sets, 0, sizeof(*ret_sets));
    for (uint32_t k = 0; k < u->n; k++)
        ret_sets->sets[k] = part->levels[k];
    *i = kpi_series_position(series, part->through);
    return 0;
}

/* Do they hold so many users together that to keep their union as plain bits costs little? */
static bool are_many(const struct kpi_engine *engine, const roaring_bitmap_t *const *parts,
                     uint32_t n)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < n && count < engine->users.n / KPI_BITS_WORD; i++)
        count += roaring_bitmap_get_cardinality(parts[i]);
    return count >= engine->users.n / KPI_BITS_WORD;
}

/* Users: of many parts all at once, for which CRoaring turns them into plain bits. */
static int users_extend(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u,
                        kpi_window through, uint32_t i, uint32_t end)
{
    size_t size = (end - i + 1) * sizeof(roaring_bitmap_t *);
    const roaring_bitmap_t **parts = kpi_mem_alloc(&engine->mem, size);
    uint32_t n = 0;
    int r = parts ? 0 : -ENOMEM;

    if (parts)
        parts[n++] = u->levels[0];
    while (i < end && r == 0) {
        struct window_sets part;

        r = part_get(engine, series, u, through, &i, &part);
        if (r == 0)
            parts[n++] = part.sets[0];
    }
    if (r == 0 && (n == 2 || !are_many(engine, parts, n))) {
        for (uint32_t k = 1; k < n; k++)
            roaring_bitmap_or_inplace(u->levels[0], parts[k]);
    } else if (r == 0) {
        roaring_bitmap_t *all = roaring_bitmap_or_many(n, parts);

        r = all ? 0 : -ENOMEM;
        if (all) {
            roaring_bitmap_free(u->levels[0]);
            u->levels[0] = all;
        }
    }
    kpi_mem_free(&engine->mem, parts, size);
    return r;
}

static int levels_extend(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u,
                         kpi_window through, uint32_t i, uint32_t end)
{
    int r = 0;

    while (i < end && r == 0) {
        struct window_sets part;

        r = part_get(engine, series, u, through, &i, &part);
        if (r == 0)
            r = levels_add(u->levels, u->n, &part);
    }
    return r;
}

/* Latest answers of many users are taken in by plain bits, which cost a tenth of an insertion. */
static int answers_extend(struct kpi_engine *engine, const struct kpi_series *series,
                          struct kpi_union *u, uint32_t i, uint32_t end)
{
    struct kpi_bits yes;
    roaring_bitmap_t *all;
    uint64_t n = 0;
    int r = 0;

    for (uint32_t k = i; k < end; k++)
        n += series->cells[k]->latest.n;
    if (n < engine->users.n / KPI_BITS_WORD || !roaring_bitmap_is_empty(u->levels[0]) ||
        is_first(engine, series->cells[i])) {
        for (; i < end && r == 0; i++)
            r = cell_add(engine, series->cells[i], u->levels, u->n);
        return r;
    }
    r = kpi_bits_init(&yes, &engine->mem, engine->users.n);
    if (r < 0)
        return r;
    for (; i < end; i++) {
        const struct kpi_latest *latest = &series->cells[i]->latest;

        for (uint32_t k = 0; k < latest->n_entries; k++)
            if (latest->entries[k].id != KPI_LATEST_EMPTY)
                kpi_bits_put(&yes, latest->entries[k].id, latest->entries[k].stamp_low & 1);
    }
    r = kpi_bits_to_roaring(&yes, &engine->mem, &all);
    kpi_bits_deinit(&yes, &engine->mem);
    if (r < 0)
        return r;
    roaring_bitmap_free(u->levels[0]);
    u->levels[0] = all;
    return 0;
}

static int union_extend(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u,
                        kpi_window through)
{
    uint32_t i = kpi_series_position(series, u->through), end;
    int r = 0;

    if (u->through >= through)
        return 0;
    end = kpi_series_position(series, through);
    if (i < end && series->cells[i]->form == KPI_CELL_LATEST)
        r = answers_extend(engine, series, u, i, end);
    else if (i < end && u->n == 1)
        r = users_extend(engine, series, u, through, i, end);
    else if (i < end)
        r = levels_extend(engine, series, u, through, i, end);
    if (r < 0) {
        union_drop(engine, series, u);
        return r;
    }
    u->through = through;
    union_recount(engine, u);
    return 0;
}

static int union_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n,
                     kpi_window start, kpi_window end, kpi_window finished,
                     struct kpi_union **ret_union)
{
    struct kpi_union *u;

    for (u = series->unions; u; u = u->next)
        if (u->start == start && u->end == end && u->n == n)
            break;
    if (!u) {
        u = kpi_mem_zalloc(&engine->mem, sizeof(*u));
        if (!u)
            return -ENOMEM;
        *u = (struct kpi_union){
            .start = start, .end = end, .through = start, .next = series->unions};
        series->unions = u;
        for (; u->n < n; u->n++) {
            u->levels[u->n] = roaring_bitmap_create();
            if (!u->levels[u->n])
                return -ENOMEM;
        }
    }
    u->stamp = engine->report->stamp;
    *ret_union = u;
    return union_extend(engine, series, u, finished < end ? finished : end);
}

static void levels_free(roaring_bitmap_t **levels, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (levels[k])
            roaring_bitmap_free(levels[k]);
}

void kpi_hot_free(struct kpi_hot *hot, const struct kpi_mem *mem)
{
    levels_free(hot->levels, KPI_LEVELS_MAX);
    kpi_mem_free(mem, hot, sizeof(*hot));
}

static int hot_fill(struct kpi_engine *engine, struct kpi_series *series, struct kpi_hot *hot,
                    uint32_t n_bitmaps)
{
    for (uint32_t k = 0; k < n_bitmaps; k++) {
        hot->levels[k] = roaring_bitmap_create();
        if (!hot->levels[k])
            return -ENOMEM;
    }
    for (uint32_t i = kpi_series_position(series, hot->first);
         i < series->n_cells && series->cells[i]->window <= hot->last; i++) {
        int r = cell_add(engine, series->cells[i], hot->levels, n_bitmaps);

        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * The cells [i, end) of a series as if they were one window. Most scopes of a report end with the
 * same hot cells, so the last of these are kept until it is over.
 */
static int hot_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n, uint32_t i,
                   uint32_t end, struct kpi_hot **ret_hot)
{
    bool latest = series->cells[i]->form == KPI_CELL_LATEST;
    kpi_window first = series->cells[i]->window, last = series->cells[end - 1]->window;
    struct kpi_hot *hot = series->hot;
    int r;

    if (!hot || hot->n != n || hot->first != first || hot->last != last) {
        hot = kpi_mem_zalloc(&engine->mem, sizeof(*hot));
        if (!hot)
            return -ENOMEM;
        *hot = (struct kpi_hot){.first = first, .last = last, .n = n, .series = series};
        r = hot_fill(engine, series, hot, latest ? 2 : n);
        if (r < 0) {
            kpi_hot_free(hot, &engine->mem);
            return r;
        }
        hot->next = engine->report->hots;
        engine->report->hots = hot;
        series->hot = hot;
    }
    *ret_hot = hot;
    return 0;
}

/* Users of level n once these sets have been taken in. */
static int count_with(roaring_bitmap_t *const *levels, uint32_t n, const struct window_sets *window,
                      uint64_t *ret_count)
{
    const roaring_bitmap_t *top = levels[n - 1];
    roaring_bitmap_t *gain;

    *ret_count = roaring_bitmap_get_cardinality(top);
    if (n == 1) {
        *ret_count += roaring_bitmap_get_cardinality(window->sets[0]) -
                      roaring_bitmap_and_cardinality(top, window->sets[0]);
        return 0;
    }
    gain = level_gain(levels, window, n);
    if (!gain)
        return -ENOMEM;
    *ret_count += roaring_bitmap_get_cardinality(gain) - roaring_bitmap_and_cardinality(top, gain);
    roaring_bitmap_free(gain);
    return 0;
}

static uint64_t count_with_answers(const struct kpi_union *u, bool first,
                                   const struct kpi_latest *latest)
{
    const roaring_bitmap_t *yes = u->levels[u->n - 1];
    uint64_t count = roaring_bitmap_get_cardinality(yes);

    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];

        if (entry->id == KPI_LATEST_EMPTY)
            continue;
        if (!first)
            count += (entry->stamp_low & 1) - (uint64_t)roaring_bitmap_contains(yes, entry->id);
        else if (!roaring_bitmap_contains(u->levels[0], entry->id))
            count += entry->stamp_low & 1;
    }
    return count;
}

/* A union with one more cell. */
static int count_one(struct kpi_engine *engine, const struct kpi_union *u,
                     const struct kpi_cell *cell, uint64_t *ret_count)
{
    struct window_sets window;
    int r;

    if (cell->form == KPI_CELL_LATEST) {
        *ret_count = count_with_answers(u, is_first(engine, cell), &cell->latest);
        return 0;
    }
    r = window_sets_get(engine, cell, u->n, &window);
    return r < 0 ? r : count_with(u->levels, u->n, &window, ret_count);
}

/* A union with the cells [i, end) of its series. */
static int count_some(struct kpi_engine *engine, struct kpi_series *series,
                      const struct kpi_union *u, uint32_t i, uint32_t end, uint64_t *ret_count)
{
    struct window_sets window = {0};
    struct kpi_hot *hot;
    int r = hot_get(engine, series, u->n, i, end, &hot);

    if (r < 0)
        return r;
    if (series->cells[i]->form == KPI_CELL_LATEST) {
        /* Out go who says yes in the union and has a later answer, or says yes but too late. */
        bool first = is_first(engine, series->cells[i]);

        *ret_count = roaring_bitmap_get_cardinality(u->levels[u->n - 1]) +
                     roaring_bitmap_get_cardinality(hot->levels[1]) -
                     roaring_bitmap_and_cardinality(u->levels[0], hot->levels[first ? 1 : 0]);
        return 0;
    }
    for (uint32_t k = 0; k < u->n; k++)
        window.sets[k] = hot->levels[k];
    return count_with(u->levels, u->n, &window, ret_count);
}

static int count_range(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t n,
                       kpi_window start, kpi_window end, uint64_t *ret_count)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i, i_end;
    struct kpi_union *u;
    int r;

    *ret_count = 0;
    if (!series || start >= end)
        return 0;
    r = union_get(engine, series, n, start, end, kpi_engine_finished_before(engine, instance), &u);
    if (r < 0)
        return r;
    i = kpi_series_position(series, u->through);
    i_end = kpi_series_position(series, end);
    if (i_end > i + 1)
        return count_some(engine, series, u, i, i_end, ret_count);
    if (i_end > i)
        return count_one(engine, u, series->cells[i], ret_count);
    *ret_count = roaring_bitmap_get_cardinality(u->levels[n - 1]);
    return 0;
}

/* A window's own numbers are known without any set. */
static int count_window(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                        uint32_t level, kpi_window window, uint64_t *ret_count)
{
    struct kpi_series *series;
    struct kpi_cell *cell;

    for (; level > 1; level--)
        instance = engine->program->instances[instance].above;
    series = kpi_series_find(engine, instance, tuple);
    cell = series ? kpi_series_cell(series, window) : NULL;
    *ret_count = 0;
    if (cell)
        *ret_count = cell->form == KPI_CELL_LATEST ? cell->latest.n_yes : kpi_cell_count(cell);
    return 0;
}

int kpi_unions_count_users(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                           uint32_t level, kpi_window start, kpi_window end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_window(engine, instance, tuple, level, start, ret_count);
    return count_range(engine, instance, tuple, level, start, end, ret_count);
}

int kpi_unions_count_latest(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                            kpi_window start, kpi_window end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_window(engine, instance, tuple, 1, start, ret_count);
    return count_range(engine, instance, tuple,
                       engine->program->instances[instance].is_first ? 2 : 1, start, end,
                       ret_count);
}

int kpi_unions_get(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window start,
                   kpi_window end, const roaring_bitmap_t **ret_bitmap, bool *ret_owned)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    struct kpi_cell *cell = series ? kpi_series_cell(series, start) : NULL;
    struct kpi_union *u;
    roaring_bitmap_t *all;
    int r;

    *ret_owned = false;
    *ret_bitmap = NULL;
    if (!series)
        return 0;
    if (end - start == 1)
        return cell ? kpi_cell_view(engine, cell, ret_bitmap) : 0;
    r = union_get(engine, series, 1, start, end, kpi_engine_finished_before(engine, instance), &u);
    if (r < 0)
        return r;
    if (kpi_series_position(series, u->through) == kpi_series_position(series, end)) {
        *ret_bitmap = u->levels[0];
        return 0;
    }
    all = roaring_bitmap_copy(u->levels[0]);
    if (!all)
        return -ENOMEM;
    for (uint32_t i = kpi_series_position(series, u->through);
         i < series->n_cells && series->cells[i]->window < end; i++) {
        r = cell_add(engine, series->cells[i], &all, 1);
        if (r < 0) {
            roaring_bitmap_free(all);
            return r;
        }
    }
    *ret_bitmap = all;
    *ret_owned = true;
    return 0;
}

/* Users of the cells [i, end) of a series, all at once: several times cheaper than one by one. */
static int union_of_cells(struct kpi_engine *engine, const struct kpi_series *series, uint32_t i,
                          uint32_t end, roaring_bitmap_t **ret_bitmap)
{
    size_t size = (end - i) * sizeof(roaring_bitmap_t *);
    const roaring_bitmap_t **bitmaps = kpi_mem_alloc(&engine->mem, size);
    uint32_t n = 0;
    int r = bitmaps ? 0 : -ENOMEM;

    for (; i < end && r == 0; i++)
        r = kpi_cell_view(engine, series->cells[i], &bitmaps[n++]);
    if (r == 0) {
        *ret_bitmap = roaring_bitmap_or_many(n, bitmaps);
        r = *ret_bitmap ? 0 : -ENOMEM;
    }
    kpi_mem_free(&engine->mem, bitmaps, size);
    return r;
}

int kpi_unions_make(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t n,
                    kpi_window start, kpi_window end, roaring_bitmap_t **ret_levels)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i = series ? kpi_series_position(series, start) : 0;
    uint32_t i_end = series ? kpi_series_position(series, end) : 0;
    roaring_bitmap_t *levels[KPI_LEVELS_MAX] = {NULL};
    int r = 0;

    if (n == 1 && i < i_end)
        return union_of_cells(engine, series, i, i_end, ret_levels);
    for (uint32_t k = 0; k < n; k++) {
        levels[k] = roaring_bitmap_create();
        r = levels[k] ? r : -ENOMEM;
    }
    for (; r == 0 && i < i_end; i++)
        r = cell_add(engine, series->cells[i], levels, n);
    if (r < 0) {
        levels_free(levels, n);
        return r;
    }
    memcpy(ret_levels, levels, n * sizeof(*levels));
    return 0;
}

/* --- late events --- */

/* How often the user was seen in the windows of a union, up to its highest level. */
static uint32_t times_seen(const struct kpi_engine *engine, const struct kpi_series *series,
                           const struct kpi_union *u, uint32_t user)
{
    uint32_t n = 0;

    for (uint32_t i = kpi_series_position(series, u->start);
         n < u->n && i < series->n_cells && series->cells[i]->window < u->through; i++) {
        const struct kpi_cell *cell = series->cells[i];
        uint32_t tuple = cell->tuple;

        while (cell && n < u->n && kpi_cell_contains(cell, user)) {
            uint32_t above = engine->program->instances[cell->instance].above;
            const struct kpi_series *higher =
                above == KPI_NO_INDEX ? NULL : kpi_series_find(engine, above, tuple);

            n++;
            cell = higher ? kpi_series_cell(higher, cell->window) : NULL;
        }
    }
    return n;
}

/* Is the user's answer that counts in the windows of a union yes? */
static bool answer_yes(const struct kpi_series *series, const struct kpi_union *u, bool first,
                       uint32_t user)
{
    uint32_t i = kpi_series_position(series, u->start);
    uint32_t end = kpi_series_position(series, u->through);

    while (i < end) {
        const struct kpi_cell *cell = series->cells[first ? i++ : --end];
        const struct kpi_latest_entry *entry = kpi_latest_find(&cell->latest, user);

        if (entry)
            return entry->stamp_low & 1;
    }
    return false;
}

int kpi_unions_late(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window window,
                    uint32_t user, bool is_new)
{
    const struct kpi_instance *definition = &engine->program->instances[instance];
    bool latest = definition->aggregate == KPI_AGGREGATE_LATEST;
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);

    for (struct kpi_union *u = series->unions; u; u = u->next) {
        if (window < u->start || window >= u->through)
            continue;
        if (latest) {
            if (u->n > 1)
                roaring_bitmap_add(u->levels[0], user);
            if (answer_yes(series, u, definition->is_first, user))
                roaring_bitmap_add(u->levels[u->n - 1], user);
            else
                roaring_bitmap_remove(u->levels[u->n - 1], user);
        } else {
            for (uint32_t k = times_seen(engine, series, u, user); k > 0; k--)
                roaring_bitmap_add(u->levels[k - 1], user);
        }
    }
    if (!is_new || !series->firsts)
        return 0;
    return kpi_firsts_late(engine, series->firsts, kpi_window_day(definition, window), user);
}

/* --- users who are erased --- */

void kpi_unions_remove(struct kpi_engine *engine, struct kpi_series *series,
                       const roaring_bitmap_t *users)
{
    for (struct kpi_union *u = series->unions; u; u = u->next) {
        for (uint32_t k = 0; k < u->n; k++)
            roaring_bitmap_andnot_inplace(u->levels[k], users);
        union_recount(engine, u);
    }
    if (series->firsts)
        kpi_firsts_remove(engine, series->firsts, users);
    kpi_standing_free(engine, series); /* so that nothing of them is left */
}
