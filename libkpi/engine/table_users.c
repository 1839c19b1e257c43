/* Units of a table, and the users of them. */
#include "engine/firsts.h"
#include "engine/tables.h"
#include "engine/unions.h"

static const struct kpi_instance *instance_of(const struct kpi_table_pass *pass, uint32_t instance)
{
    return &pass->engine->program->instances[instance];
}

bool kpi_table_changed(const struct kpi_table_pass *pass, uint32_t instance, uint32_t tuple,
                       struct kpi_windows windows)
{
    return kpi_changes_in(pass->changes, instance, tuple, windows);
}

bool kpi_table_any_changed(const struct kpi_table_pass *pass)
{
    static const struct kpi_windows ever = {INT64_MIN, INT64_MAX};

    return kpi_table_changed(pass, pass->start, pass->start_tuple, ever) ||
           kpi_table_changed(pass, pass->back, pass->back_tuple, ever);
}

/* --- units --- */

/* Where a period of an instance begins. */
static kpi_window window_of(const struct kpi_instance *instance, struct kpi_period period)
{
    kpi_window window = kpi_instance_day(instance, period.day);

    if (period.hour > 0)
        window += (kpi_window)period.hour * 60 / instance->minutes;
    return window;
}

struct kpi_windows kpi_table_windows(const struct kpi_table_pass *pass, uint32_t instance,
                                     struct kpi_period from, struct kpi_period to)
{
    const struct kpi_instance *is = instance_of(pass, instance);

    return (struct kpi_windows){window_of(is, from), window_of(is, to)};
}

static struct kpi_period period_of_cell(const struct kpi_table_pass *pass,
                                        const struct kpi_cell *cell)
{
    const struct kpi_instance *instance = instance_of(pass, cell->instance);
    kpi_day day = kpi_window_day(instance, cell->window);
    struct kpi_period period = kpi_period_of_day(pass->plan, pass->basis, day);

    if (pass->basis == KPI_TABLE_HOUR)
        period.hour =
            (int32_t)((cell->window - kpi_instance_day(instance, day)) * instance->minutes / 60);
    return period;
}

/* Widens [*from, *to] by the periods of a series' cells. */
static void span_add(const struct kpi_table_pass *pass, uint32_t instance, uint32_t tuple,
                     struct kpi_period *from, struct kpi_period *to)
{
    const struct kpi_series *series = kpi_series_find(pass->engine, instance, tuple);
    struct kpi_period first, last;

    if (!series || !series->n_cells)
        return;
    first = period_of_cell(pass, series->cells[0]);
    last = period_of_cell(pass, series->cells[series->n_cells - 1]);
    if (kpi_period_compare(first, *from) < 0)
        *from = first;
    if (kpi_period_compare(last, *to) > 0)
        *to = last;
}

static void unit_fill(const struct kpi_table_pass *pass, struct kpi_period period,
                      struct kpi_period next, struct kpi_table_unit *unit)
{
    *unit = (struct kpi_table_unit){
        .period = period,
        .start = kpi_table_windows(pass, pass->start, period, next),
        .back = kpi_table_windows(pass, pass->back, period, next),
    };
    unit->start_changed = kpi_table_changed(pass, pass->start, pass->start_tuple, unit->start);
    unit->back_changed = kpi_table_changed(pass, pass->back, pass->back_tuple, unit->back);
}

int kpi_table_units_make(struct kpi_table_pass *pass, uint32_t before_first, uint32_t after_last)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    struct kpi_period from = {INT32_MAX, 0}, to = {INT32_MIN, 0}, at, next;
    uint32_t n = 0;

    span_add(pass, pass->start, pass->start_tuple, &from, &to);
    if (kpi_period_compare(from, pass->first) < 0)
        from = pass->first;
    span_add(pass, pass->back, pass->back_tuple, &(struct kpi_period){INT32_MIN, 0}, &to);
    if (to.day == INT32_MIN)
        return 0;
    to = kpi_period_advance(pass->plan, pass->basis, to, (int32_t)after_last);
    if (kpi_period_compare(from, to) > 0)
        return 0;
    from.hour = 0; /* hours of a day are told apart together: see hours_take() */
    from = kpi_period_advance(pass->plan, pass->basis, from, -(int32_t)before_first);
    for (at = from; kpi_period_compare(at, to) <= 0;
         at = kpi_period_advance(pass->plan, pass->basis, at, 1))
        n++;
    pass->units = kpi_mem_zalloc(mem, n * sizeof(*pass->units));
    pass->n_units = pass->units ? n : 0;
    pass->rows = kpi_mem_zalloc(mem, n * sizeof(*pass->rows));
    if (!pass->units || !pass->rows)
        return -ENOMEM;
    at = from;
    for (uint32_t i = 0; i < n; i++, at = next) {
        next = kpi_period_advance(pass->plan, pass->basis, at, 1);
        unit_fill(pass, at, next, &pass->units[i]);
        pass->rows[i].period = at;
    }
    return 0;
}

void kpi_table_units_free(struct kpi_table_pass *pass)
{
    for (uint32_t i = 0; i < pass->n_units; i++)
        kpi_table_users_release(&pass->units[i].cohort);
    kpi_mem_free(&pass->engine->mem, pass->units, pass->n_units * sizeof(*pass->units));
    pass->units = NULL;
}

/* --- users --- */

int kpi_table_users_get(struct kpi_table_pass *pass, uint32_t instance, uint32_t tuple,
                        uint32_t level, struct kpi_windows windows,
                        struct kpi_table_users *ret_users)
{
    const struct kpi_series *series = kpi_series_find(pass->engine, instance, tuple);
    uint32_t i = series ? kpi_series_position(series, windows.from) : 0;
    uint32_t end = series ? kpi_series_position(series, windows.to) : 0;
    roaring_bitmap_t *levels[KPI_LEVELS_MAX];
    int r;

    *ret_users = (struct kpi_table_users){0};
    if (i == end)
        return 0;
    if (end - i == 1) { /* each level has its own cell */
        for (uint32_t k = 1; k < level && series; k++) {
            instance = instance_of(pass, instance)->above;
            series = kpi_series_find(pass->engine, instance, tuple);
        }
        i = series ? kpi_series_position(series, windows.from) : 0;
        if (!series || i == series->n_cells || series->cells[i]->window >= windows.to)
            return 0;
        return kpi_cell_view(pass->engine, series->cells[i], &ret_users->bitmap);
    }
    r = kpi_unions_make(pass->engine, instance, tuple, level, windows.from, windows.to, levels);
    if (r < 0)
        return r;
    for (uint32_t k = 0; k + 1 < level; k++)
        roaring_bitmap_free(levels[k]);
    *ret_users = (struct kpi_table_users){levels[level - 1], true};
    return 0;
}

/* --- cohorts --- */

/* *sum takes users in; it becomes the holder's own if it must. 0 or -ENOMEM. */
static int users_join(struct kpi_table_users *sum, const roaring_bitmap_t *users)
{
    if (!sum->bitmap) {
        sum->bitmap = users;
        return 0;
    }
    if (!sum->owned) {
        roaring_bitmap_t *copy = roaring_bitmap_copy(sum->bitmap);

        if (!copy)
            return -ENOMEM;
        *sum = (struct kpi_table_users){copy, true};
    }
    roaring_bitmap_or_inplace((roaring_bitmap_t *)sum->bitmap, users);
    return 0;
}

/* Takes those of `left` out that were seen in an hour, as its cohort. */
static int hour_take(struct kpi_table_pass *pass, uint32_t unit, roaring_bitmap_t *left)
{
    struct kpi_table_unit *at = &pass->units[unit];
    struct kpi_table_users seen;
    roaring_bitmap_t *cohort;
    int r = kpi_table_users_get(pass, pass->start, pass->start_tuple, 1, at->start, &seen);

    if (r < 0 || !seen.bitmap)
        return r;
    cohort = roaring_bitmap_and(left, seen.bitmap);
    kpi_table_users_release(&seen);
    if (!cohort)
        return -ENOMEM;
    roaring_bitmap_andnot_inplace(left, cohort);
    roaring_bitmap_shrink_to_fit(cohort);
    pass->rows[unit].cohort = cohort;
    pass->engine->bytes_roaring += roaring_bitmap_size_in_bytes(cohort);
    return 0;
}

/* The hours [unit, end) of a day of which nothing has changed. */
static void hours_keep(struct kpi_table_pass *pass, uint32_t unit, uint32_t end)
{
    for (; unit < end; unit++) {
        struct kpi_table_row *kept = kpi_table_kept(pass, unit);

        if (!kept)
            continue; /* it has become one since, and nobody was there */
        pass->rows[unit].cohort = kept->cohort;
        kept->cohort = NULL;
    }
}

/* The same of a day whose first users have changed. */
static int hours_split(struct kpi_table_pass *pass, uint32_t unit, uint32_t end,
                       const roaring_bitmap_t *firsts)
{
    roaring_bitmap_t *left = roaring_bitmap_copy(firsts);
    int r = left ? 0 : -ENOMEM;

    for (; unit < end && r == 0; unit++) {
        /* Who is seen in an earlier hour now is in no later one any more. */
        pass->units[unit].start_changed = true;
        r = hour_take(pass, unit, left);
    }
    if (left)
        roaring_bitmap_free(left);
    return r;
}

/*
 * The units are hours: tells the first users of a day apart by the hour that they were seen in.
 * *unit is the first hour of the day, and moves on to the next one.
 */
static int hours_take(struct kpi_table_pass *pass, const roaring_bitmap_t *firsts, bool changed,
                      uint32_t *unit)
{
    uint32_t first = *unit, end = first;
    int r = 0;

    changed |= !kpi_table_kept(pass, first);
    for (; end < pass->n_units && pass->units[end].period.day == pass->units[first].period.day;
         end++)
        changed |= pass->units[end].start_changed;
    *unit = end;
    if (changed)
        r = hours_split(pass, first, end, firsts);
    else
        hours_keep(pass, first, end);
    for (uint32_t i = first; i < end; i++)
        pass->units[i].cohort = (struct kpi_table_users){pass->rows[i].cohort, false};
    return r;
}

/* A day and those whose first one it is; days come in order. *unit moves on. */
static int day_take(struct kpi_table_pass *pass, kpi_day day, struct kpi_table_users *firsts,
                    bool changed, uint32_t *unit)
{
    struct kpi_period period = kpi_period_of_day(pass->plan, pass->basis, day);
    struct kpi_table_unit *at;
    int r;

    while (*unit < pass->n_units && kpi_period_compare(pass->units[*unit].period, period) < 0)
        ++*unit;
    if (*unit == pass->n_units || kpi_period_compare(pass->units[*unit].period, period) > 0)
        return 0;
    if (pass->basis == KPI_TABLE_HOUR)
        return hours_take(pass, firsts->bitmap, changed, unit);
    at = &pass->units[*unit];
    at->start_changed |= changed;
    r = users_join(&at->cohort, firsts->bitmap);
    if (r == 0 && at->cohort.bitmap == firsts->bitmap && firsts->owned) {
        at->cohort.owned = true;
        firsts->owned = false;
    }
    return r;
}

/* The days that are not finished: who is in them and in no day before. */
static int hot_days_take(struct kpi_table_pass *pass, const struct kpi_series *series,
                         const struct kpi_firsts *firsts, uint32_t *unit)
{
    const struct kpi_instance *instance = instance_of(pass, pass->start);
    uint32_t i = kpi_series_position(series, kpi_instance_day(instance, firsts->through));
    roaring_bitmap_t *before = i < series->n_cells ? roaring_bitmap_copy(firsts->all) : NULL;
    int r = i < series->n_cells && !before ? -ENOMEM : 0;

    while (r == 0 && i < series->n_cells) {
        kpi_day day = kpi_window_day(instance, series->cells[i]->window);
        struct kpi_windows windows = {kpi_instance_day(instance, day),
                                      kpi_instance_day(instance, day + 1)};
        struct kpi_table_users seen, first = {NULL, true};

        r = kpi_table_users_get(pass, pass->start, pass->start_tuple, 1, windows, &seen);
        if (r < 0)
            break;
        first.bitmap = roaring_bitmap_andnot(seen.bitmap, before);
        r = first.bitmap ? day_take(pass, day, &first, true, unit) : -ENOMEM;
        roaring_bitmap_or_inplace(before, seen.bitmap);
        if (first.bitmap)
            kpi_table_users_release(&first);
        kpi_table_users_release(&seen);
        i = kpi_series_position(series, windows.to);
    }
    if (before)
        roaring_bitmap_free(before);
    return r;
}

static int first_times(struct kpi_table_pass *pass)
{
    struct kpi_series *series = kpi_series_find(pass->engine, pass->start, pass->start_tuple);
    struct kpi_firsts *firsts;
    uint32_t unit = 0;
    int r;

    if (!series || !series->n_cells)
        return 0;
    r = kpi_firsts_get(pass->engine, series, (struct kpi_firsts_kind){0}, pass->n_returns, &firsts);
    for (uint32_t i = 0; r == 0 && i < firsts->n_days; i++) {
        struct kpi_table_users first = {firsts->days[i].bitmap, false};

        r = day_take(pass, firsts->days[i].day, &first,
                     firsts->days[i].version >= pass->changes->version, &unit);
    }
    return r == 0 ? hot_days_take(pass, series, firsts, &unit) : r;
}

/* The unit that a time lies in, or KPI_NO_INDEX. */
static uint32_t unit_at(const struct kpi_table_pass *pass, const kpi_time *begins, kpi_time time)
{
    uint32_t low = 0, high = pass->n_units;

    if (!pass->n_units || time < begins[0] || time >= begins[pass->n_units])
        return KPI_NO_INDEX;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;

        if (begins[middle] <= time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int unit_add_user(struct kpi_table_unit *unit, uint32_t user)
{
    if (!unit->cohort.bitmap)
        unit->cohort = (struct kpi_table_users){roaring_bitmap_create(), true};
    if (!unit->cohort.bitmap) {
        unit->cohort.owned = false;
        return -ENOMEM;
    }
    roaring_bitmap_add((roaring_bitmap_t *)unit->cohort.bitmap, user);
    return 0;
}

/* Users whose first event of the type is a start event, by what their attributes say. */
static int first_evers_take(struct kpi_table_pass *pass, const kpi_time *begins)
{
    const struct kpi_attribute *attributes = pass->engine->program->attributes;
    uint32_t start = kpi_attribute_value_slot(&attributes[pass->table->first_start]);
    uint32_t type = kpi_attribute_value_slot(&attributes[pass->table->first_type]);
    int r = 0;

    for (uint32_t user = 0; user < pass->engine->users.n && r == 0; user++) {
        const int64_t *row = kpi_slots_row(&pass->engine->slots, user);
        uint32_t unit;

        if (!row || row[start] == KPI_TIME_NONE || row[start] != row[type])
            continue;
        unit = unit_at(pass, begins, row[start]);
        if (unit != KPI_NO_INDEX)
            r = unit_add_user(&pass->units[unit], user);
    }
    return r;
}

static int first_evers(struct kpi_table_pass *pass)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    size_t size = ((size_t)pass->n_units + 1) * sizeof(kpi_time);
    kpi_time *begins = kpi_mem_alloc(mem, size);
    struct kpi_period end;
    int r;

    if (!begins)
        return -ENOMEM;
    for (uint32_t i = 0; i < pass->n_units; i++) {
        begins[i] = kpi_period_time(pass->plan, pass->units[i].period);
        pass->units[i].start_changed = true; /* rows do not tell when they changed */
    }
    if (pass->n_units) {
        end = kpi_period_advance(pass->plan, pass->basis, pass->units[pass->n_units - 1].period, 1);
        begins[pass->n_units] = kpi_period_time(pass->plan, end);
    }
    r = first_evers_take(pass, begins);
    kpi_mem_free(mem, begins, size);
    return r;
}

int kpi_table_cohorts(struct kpi_table_pass *pass, enum kpi_table_cohort cohort)
{
    int r = 0;

    if (cohort == KPI_TABLE_FIRST_TIME)
        return first_times(pass);
    if (cohort == KPI_TABLE_FIRST_EVER)
        return first_evers(pass);
    for (uint32_t i = 0; i < pass->n_units && r == 0; i++)
        r = kpi_table_users_get(pass, pass->start, pass->start_tuple, 1, pass->units[i].start,
                                &pass->units[i].cohort);
    return r;
}

/* --- rows --- */

struct kpi_table_row *kpi_table_kept(const struct kpi_table_pass *pass, uint32_t unit)
{
    struct kpi_period period = pass->units[unit].period;
    uint32_t low = 0, high = pass->kept->n_rows;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (kpi_period_compare(pass->kept->rows[middle].period, period) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < pass->kept->n_rows && kpi_period_compare(pass->kept->rows[low].period, period) == 0
               ? &pass->kept->rows[low]
               : NULL;
}

int kpi_table_row_make(struct kpi_table_pass *pass, uint32_t unit, uint32_t n_cells)
{
    struct kpi_table_row *row = &pass->rows[unit];

    row->cells = kpi_mem_zalloc(&pass->engine->mem, n_cells * sizeof(*row->cells));
    if (!row->cells)
        return -ENOMEM;
    row->n_cells = n_cells;
    return 0;
}

int kpi_table_row_keep(struct kpi_table_pass *pass, uint32_t unit, const struct kpi_table_row *kept)
{
    int r = kpi_table_row_make(pass, unit, kept->n_cells);

    if (r == 0)
        memcpy(pass->rows[unit].cells, kept->cells, kept->n_cells * sizeof(*kept->cells));
    return r;
}
