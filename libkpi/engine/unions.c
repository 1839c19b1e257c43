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
                    kpi_window through, uint32_t *i, struct kpi_window_sets *ret_sets)
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

        r = kpi_union_get(engine, series, u->n, from, to, to, &of_day);
        if (r < 0)
            return r;
        part = of_day;
    }
    if (!part) {
        ++*i;
        return kpi_window_sets_get(engine, cell, u->n, ret_sets);
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
        struct kpi_window_sets part;

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
        struct kpi_window_sets part;

        r = part_get(engine, series, u, through, &i, &part);
        if (r == 0)
            r = kpi_levels_add(u->levels, u->n, &part);
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
        kpi_cell_is_first(engine, series->cells[i])) {
        for (; i < end && r == 0; i++)
            r = kpi_levels_take(engine, series->cells[i], u->levels, u->n);
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

int kpi_union_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n,
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
    r = kpi_union_get(engine, series, 1, start, end, kpi_engine_finished_before(engine, instance),
                      &u);
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
        r = kpi_levels_take(engine, series->cells[i], &all, 1);
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
        r = kpi_levels_take(engine, series->cells[i], levels, n);
    if (r < 0) {
        kpi_levels_free(levels, n);
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
    if (!is_new)
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
    kpi_firsts_remove(engine, series->firsts, users);
    kpi_standing_free(engine, series); /* so that nothing of them is left */
}
