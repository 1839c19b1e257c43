/* Unions over days, and first days: see unions.h. */
#include "engine/unions.h"
#include "engine/report.h"

static void union_free(struct kpi_engine *engine, struct kpi_union *u)
{
    engine->bytes_roaring -= u->bytes;
    for (uint32_t k = 0; k < u->n; k++)
        roaring_bitmap_free(u->levels[k]);
    kpi_mem_free(&engine->mem, u, sizeof(*u));
}

static void firsts_free(struct kpi_engine *engine, struct kpi_firsts *firsts)
{
    engine->bytes_roaring -= firsts->bytes;
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        roaring_bitmap_free(firsts->days[i].bitmap);
        kpi_mem_free(&engine->mem, firsts->days[i].returns,
                     firsts->n_returns * sizeof(struct kpi_return));
    }
    kpi_mem_free(&engine->mem, firsts->days, firsts->n_days_max * sizeof(*firsts->days));
    if (firsts->all)
        roaring_bitmap_free(firsts->all);
    kpi_mem_free(&engine->mem, firsts, sizeof(*firsts));
}

void kpi_series_flush(struct kpi_engine *engine, struct kpi_series *series)
{
    kpi_unions_sweep(engine, series, UINT64_MAX);
    if (series->firsts)
        firsts_free(engine, series->firsts);
    series->firsts = NULL;
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

/* The sets of one day, by level: sets[0] are the users of the day. NULL where there is none. */
struct day_sets {
    const roaring_bitmap_t *sets[KPI_LEVELS_MAX];
};

static int day_sets_get(struct kpi_engine *engine, const struct kpi_cell *base, uint32_t n,
                        struct day_sets *ret_sets)
{
    uint32_t instance = base->instance;

    memset(ret_sets, 0, sizeof(*ret_sets));
    for (uint32_t k = 0; k < n && instance != KPI_NO_INDEX; k++) {
        struct kpi_series *series = kpi_series_find(engine, instance, base->tuple);
        struct kpi_cell *cell = series ? kpi_series_cell(series, base->day) : NULL;

        if (cell) {
            int r = kpi_cell_view(engine, cell, &ret_sets->sets[k]);

            if (r < 0)
                return r;
        }
        instance = engine->program->instances[instance].above;
    }
    return 0;
}

/* ∪j L(k-j) ∩ Sj ∪ Sk: what day makes of level k (from 1). NULL: no memory. */
static roaring_bitmap_t *level_gain(roaring_bitmap_t *const *levels, const struct day_sets *day,
                                    uint32_t k)
{
    roaring_bitmap_t *gain =
        day->sets[k - 1] ? roaring_bitmap_copy(day->sets[k - 1]) : roaring_bitmap_create();

    for (uint32_t j = 1; gain && j < k; j++) {
        roaring_bitmap_t *both;

        if (!day->sets[j - 1])
            break; /* S1 ⊇ S2 …: no higher one either */
        both = roaring_bitmap_and(levels[k - j - 1], day->sets[j - 1]);
        if (!both) {
            roaring_bitmap_free(gain);
            return NULL;
        }
        roaring_bitmap_or_inplace(gain, both);
        roaring_bitmap_free(both);
    }
    return gain;
}

/* Takes a day into the levels, the highest first: it needs the lower ones as they were. */
static int levels_add(roaring_bitmap_t **levels, uint32_t n, const struct day_sets *day)
{
    for (uint32_t k = n; k >= 1; k--) {
        roaring_bitmap_t *gain;

        if (k == 1) {
            if (day->sets[0])
                roaring_bitmap_or_inplace(levels[0], day->sets[0]);
            break;
        }
        gain = level_gain(levels, day, k);
        if (!gain)
            return -ENOMEM;
        roaring_bitmap_or_inplace(levels[k - 1], gain);
        roaring_bitmap_free(gain);
    }
    return 0;
}

/* A later day's answers replace earlier ones. */
static void answers_add(roaring_bitmap_t *yes, const struct kpi_latest *latest)
{
    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];

        if (entry->id == KPI_LATEST_EMPTY)
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
    struct day_sets day;
    int r;

    if (cell->form == KPI_CELL_LATEST) {
        answers_add(levels[0], &cell->latest);
        return 0;
    }
    r = day_sets_get(engine, cell, n, &day);
    return r < 0 ? r : levels_add(levels, n, &day);
}

static void union_recount(struct kpi_engine *engine, struct kpi_union *u)
{
    engine->bytes_roaring -= u->bytes;
    u->bytes = 0;
    for (uint32_t k = 0; k < u->n; k++)
        u->bytes += roaring_bitmap_size_in_bytes(u->levels[k]);
    engine->bytes_roaring += u->bytes;
}

/* A union into which a day has gone by half must not be seen again. */
static void union_drop(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u)
{
    struct kpi_union **at = &series->unions;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    union_free(engine, u);
}

static int union_extend(struct kpi_engine *engine, struct kpi_series *series, struct kpi_union *u,
                        kpi_day through)
{
    uint32_t i = kpi_series_position(series, u->through);
    int r;

    if (u->through >= through)
        return 0;
    for (; i < series->n_cells && series->cells[i]->day < through; i++) {
        r = cell_add(engine, series->cells[i], u->levels, u->n);
        if (r < 0) {
            union_drop(engine, series, u);
            return r;
        }
    }
    u->through = through;
    union_recount(engine, u);
    return 0;
}

static int union_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n,
                     kpi_day start, kpi_day end, kpi_day finished, struct kpi_union **ret_union)
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

static kpi_day finished_before(const struct kpi_engine *engine, uint32_t instance)
{
    return engine->zones[engine->program->instances[instance].zone].finished_before;
}

static void levels_free(roaring_bitmap_t **levels, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (levels[k])
            roaring_bitmap_free(levels[k]);
}

/*
 * The levels before the last hot day of the range: those of the union itself, or, if more than one
 * day is hot, a copy with all but the last of them. *ret_last: the last hot cell, or NULL.
 */
static int levels_before_last(struct kpi_engine *engine, const struct kpi_series *series,
                              const struct kpi_union *u, roaring_bitmap_t **copies,
                              roaring_bitmap_t *const **ret_levels, struct kpi_cell **ret_last)
{
    uint32_t i = kpi_series_position(series, u->through);
    uint32_t end = kpi_series_position(series, u->end);

    *ret_levels = u->levels;
    *ret_last = i < end ? series->cells[end - 1] : NULL;
    if (i + 1 >= end)
        return 0;
    for (uint32_t k = 0; k < u->n; k++) {
        copies[k] = roaring_bitmap_copy(u->levels[k]);
        if (!copies[k])
            return -ENOMEM;
    }
    *ret_levels = copies;
    for (; i + 1 < end; i++) {
        int r = cell_add(engine, series->cells[i], copies, u->n);

        if (r < 0)
            return r;
    }
    return 0;
}

static int count_last(struct kpi_engine *engine, roaring_bitmap_t *const *levels, uint32_t n,
                      const struct kpi_cell *last, uint64_t *ret_count)
{
    uint64_t count = roaring_bitmap_get_cardinality(levels[n - 1]);
    roaring_bitmap_t *gain;
    struct day_sets day;
    int r;

    *ret_count = count;
    if (!last)
        return 0;
    r = day_sets_get(engine, last, n, &day);
    if (r < 0)
        return r;
    if (n == 1) {
        *ret_count += kpi_cell_count(last) - roaring_bitmap_and_cardinality(levels[0], day.sets[0]);
        return 0;
    }
    gain = level_gain(levels, &day, n);
    if (!gain)
        return -ENOMEM;
    *ret_count +=
        roaring_bitmap_get_cardinality(gain) - roaring_bitmap_and_cardinality(levels[n - 1], gain);
    roaring_bitmap_free(gain);
    return 0;
}

static uint64_t count_last_answers(const roaring_bitmap_t *yes, const struct kpi_cell *last)
{
    uint64_t count = roaring_bitmap_get_cardinality(yes);

    for (uint32_t i = 0; last && i < last->latest.n_entries; i++) {
        const struct kpi_latest_entry *entry = &last->latest.entries[i];

        if (entry->id != KPI_LATEST_EMPTY)
            count += (entry->stamp_low & 1) - (uint64_t)roaring_bitmap_contains(yes, entry->id);
    }
    return count;
}

static int count_range(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t n,
                       kpi_day start, kpi_day end, uint64_t *ret_count)
{
    bool latest = engine->program->instances[instance].aggregate == KPI_AGGREGATE_LATEST;
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    roaring_bitmap_t *copies[KPI_LEVELS_MAX] = {NULL};
    roaring_bitmap_t *const *levels;
    struct kpi_cell *last;
    struct kpi_union *u;
    int r;

    *ret_count = 0;
    if (!series || start >= end)
        return 0;
    r = union_get(engine, series, n, start, end, finished_before(engine, instance), &u);
    if (r < 0)
        return r;
    r = levels_before_last(engine, series, u, copies, &levels, &last);
    if (r == 0 && latest)
        *ret_count = count_last_answers(levels[0], last);
    else if (r == 0)
        r = count_last(engine, levels, n, last, ret_count);
    levels_free(copies, n);
    return r;
}

/* A day's own numbers are known without any set. */
static int count_day(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, uint32_t level,
                     kpi_day day, uint64_t *ret_count)
{
    struct kpi_series *series;
    struct kpi_cell *cell;

    for (; level > 1; level--)
        instance = engine->program->instances[instance].above;
    series = kpi_series_find(engine, instance, tuple);
    cell = series ? kpi_series_cell(series, day) : NULL;
    *ret_count = 0;
    if (cell)
        *ret_count = cell->form == KPI_CELL_LATEST ? cell->latest.n_yes : kpi_cell_count(cell);
    return 0;
}

int kpi_unions_count_users(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                           uint32_t level, kpi_day start, kpi_day end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_day(engine, instance, tuple, level, start, ret_count);
    return count_range(engine, instance, tuple, level, start, end, ret_count);
}

int kpi_unions_count_latest(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                            kpi_day start, kpi_day end, uint64_t *ret_count)
{
    if (end - start == 1)
        return count_day(engine, instance, tuple, 1, start, ret_count);
    return count_range(engine, instance, tuple, 1, start, end, ret_count);
}

int kpi_unions_get(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_day start,
                   kpi_day end, const roaring_bitmap_t **ret_bitmap, bool *ret_owned)
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
    r = union_get(engine, series, 1, start, end, finished_before(engine, instance), &u);
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
         i < series->n_cells && series->cells[i]->day < end; i++) {
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

/* --- first days --- */

/* The entry of a day, made if there is none. */
static int first_get(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                     struct kpi_first **ret_first)
{
    uint32_t i = firsts->n_days;
    struct kpi_first first = {.day = day};

    while (i > 0 && firsts->days[i - 1].day > day)
        i--;
    if (i > 0 && firsts->days[i - 1].day == day) {
        *ret_first = &firsts->days[i - 1];
        return 0;
    }
    if (firsts->n_days == firsts->n_days_max) {
        uint32_t n_max = firsts->n_days_max * 2 + 8;
        struct kpi_first *days = kpi_mem_resize(
            &engine->mem, firsts->days, firsts->n_days_max * sizeof(*days), n_max * sizeof(*days));

        if (!days)
            return -ENOMEM;
        firsts->days = days;
        firsts->n_days_max = n_max;
    }
    first.returns = kpi_mem_zalloc(&engine->mem, firsts->n_returns * sizeof(struct kpi_return));
    first.bitmap = first.returns ? roaring_bitmap_create() : NULL;
    if (!first.bitmap) {
        kpi_mem_free(&engine->mem, first.returns, firsts->n_returns * sizeof(struct kpi_return));
        return -ENOMEM;
    }
    memmove(&firsts->days[i + 1], &firsts->days[i], (firsts->n_days - i) * sizeof(first));
    firsts->days[i] = first;
    firsts->n_days++;
    *ret_first = &firsts->days[i];
    return 0;
}

static int firsts_add_day(struct kpi_engine *engine, struct kpi_firsts *firsts,
                          const struct kpi_cell *cell)
{
    struct kpi_first *first;
    int r = first_get(engine, firsts, cell->day, &first);

    if (r < 0)
        return r;
    roaring_bitmap_or_inplace(first->bitmap, cell->frozen.bitmap);
    roaring_bitmap_andnot_inplace(first->bitmap, firsts->all);
    roaring_bitmap_or_inplace(firsts->all, cell->frozen.bitmap);
    first->count = roaring_bitmap_get_cardinality(first->bitmap);
    first->version = engine->version;
    return 0;
}

static void firsts_recount(struct kpi_engine *engine, struct kpi_firsts *firsts)
{
    engine->bytes_roaring -= firsts->bytes;
    firsts->bytes = roaring_bitmap_size_in_bytes(firsts->all);
    for (uint32_t i = 0; i < firsts->n_days; i++)
        firsts->bytes += roaring_bitmap_size_in_bytes(firsts->days[i].bitmap);
    engine->bytes_roaring += firsts->bytes;
}

int kpi_firsts_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n_returns,
                   struct kpi_firsts **ret_firsts)
{
    kpi_day finished =
        series->n_cells ? finished_before(engine, series->cells[0]->instance) : INT32_MIN;
    struct kpi_firsts *firsts = series->firsts;
    int r;

    if (!firsts) {
        firsts = kpi_mem_zalloc(&engine->mem, sizeof(*firsts));
        if (!firsts)
            return -ENOMEM;
        *firsts = (struct kpi_firsts){.through = INT32_MIN, .n_returns = n_returns};
        firsts->all = roaring_bitmap_create();
        if (!firsts->all) {
            firsts_free(engine, firsts);
            return -ENOMEM;
        }
        series->firsts = firsts;
    }
    if (firsts->through < finished) {
        for (uint32_t i = kpi_series_position(series, firsts->through);
             i < series->n_cells && series->cells[i]->day < finished; i++) {
            r = firsts_add_day(engine, firsts, series->cells[i]);
            if (r < 0)
                return r;
            firsts->through = series->cells[i]->day + 1;
        }
        firsts->through = finished;
        firsts_recount(engine, firsts);
    }
    *ret_firsts = firsts;
    return 0;
}

/* --- late events --- */

static int firsts_late(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                       uint32_t user)
{
    struct kpi_first *first;
    int r;

    if (day >= firsts->through)
        return 0;
    if (roaring_bitmap_contains(firsts->all, user)) {
        uint32_t i = 0;

        while (!roaring_bitmap_contains(firsts->days[i].bitmap, user))
            i++;
        first = &firsts->days[i];
        if (first->day <= day)
            return 0;
        roaring_bitmap_remove(first->bitmap, user);
        first->count--;
        first->version = engine->version;
    }
    r = first_get(engine, firsts, day, &first);
    if (r < 0)
        return r;
    roaring_bitmap_add(firsts->all, user);
    roaring_bitmap_add(first->bitmap, user);
    first->count++;
    first->version = engine->version;
    return 0;
}

/* How often the user was seen in the days of a union, up to its highest level. */
static uint32_t times_seen(const struct kpi_engine *engine, const struct kpi_series *series,
                           const struct kpi_union *u, uint32_t user)
{
    uint32_t n = 0;

    for (uint32_t i = kpi_series_position(series, u->start);
         n < u->n && i < series->n_cells && series->cells[i]->day < u->through; i++) {
        const struct kpi_cell *cell = series->cells[i];
        uint32_t tuple = cell->tuple;

        while (cell && n < u->n && kpi_cell_contains(cell, user)) {
            uint32_t above = engine->program->instances[cell->instance].above;
            const struct kpi_series *higher =
                above == KPI_NO_INDEX ? NULL : kpi_series_find(engine, above, tuple);

            n++;
            cell = higher ? kpi_series_cell(higher, cell->day) : NULL;
        }
    }
    return n;
}

static bool latest_yes(const struct kpi_series *series, const struct kpi_union *u, uint32_t user)
{
    for (uint32_t i = kpi_series_position(series, u->through);
         i > 0 && series->cells[i - 1]->day >= u->start; i--) {
        const struct kpi_latest_entry *entry = kpi_latest_find(&series->cells[i - 1]->latest, user);

        if (entry)
            return entry->stamp_low & 1;
    }
    return false;
}

int kpi_unions_late(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_day day,
                    uint32_t user, bool is_new)
{
    bool latest = engine->program->instances[instance].aggregate == KPI_AGGREGATE_LATEST;
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);

    for (struct kpi_union *u = series->unions; u; u = u->next) {
        if (day < u->start || day >= u->through)
            continue;
        if (latest) {
            if (latest_yes(series, u, user))
                roaring_bitmap_add(u->levels[0], user);
            else
                roaring_bitmap_remove(u->levels[0], user);
        } else {
            for (uint32_t k = times_seen(engine, series, u, user); k > 0; k--)
                roaring_bitmap_add(u->levels[k - 1], user);
        }
    }
    return is_new && series->firsts ? firsts_late(engine, series->firsts, day, user) : 0;
}
