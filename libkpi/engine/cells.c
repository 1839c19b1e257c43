/* Cells: made, found, fed, frozen, expired. */
#include "engine/state.h"
#include "engine/unions.h"

bool kpi_zone_state_find(struct kpi_zone_state *zone, kpi_time time)
{
    kpi_day day;

    if (time >= zone->start && time < zone->end)
        return true;
    day = kpi_zone_day(zone->zone, time);
    if (day == INT32_MIN)
        return false;
    zone->day = day;
    zone->start = kpi_zone_day_start(zone->zone, day);
    zone->end = kpi_zone_day_start(zone->zone, day + 1);
    return true;
}

kpi_day kpi_zone_day_clamped(const struct kpi_zone *zone, kpi_time time)
{
    kpi_day day = kpi_zone_day(zone, time);

    if (day != INT32_MIN)
        return day;
    return time < zone->day_starts[0] ? zone->first_day - 1
                                      : zone->first_day + (kpi_day)zone->n_days;
}

uint32_t kpi_series_position(const struct kpi_series *series, kpi_window window)
{
    uint32_t low = 0, high = series->n_cells;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (series->cells[middle]->window < window)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kpi_cell *kpi_series_cell(const struct kpi_series *series, kpi_window window)
{
    uint32_t i = kpi_series_position(series, window);

    return i < series->n_cells && series->cells[i]->window == window ? series->cells[i] : NULL;
}

/* The window in which all before `time` is over, or is of another day; `day` is that of `time`. */
static kpi_window window_over(const struct kpi_instance *instance, const struct kpi_zone *zone,
                              kpi_day day, kpi_time time)
{
    kpi_window first = kpi_instance_day(instance, day);

    if (!instance->minutes || time == KPI_TIME_NONE || kpi_zone_day(zone, time) == INT32_MIN)
        return first;
    return first + kpi_window_of_day(time - kpi_zone_day_start(zone, day), instance->minutes);
}

kpi_window kpi_engine_finished_before(const struct kpi_engine *engine, uint32_t instance)
{
    const struct kpi_instance *definition = &engine->program->instances[instance];
    const struct kpi_zone_state *zone = &engine->zones[definition->zone];

    return window_over(definition, zone->zone, zone->finished_before, zone->finished_to);
}

static int series_get(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                      struct kpi_series **ret_series)
{
    struct kpi_instance_state *state = &engine->instances[instance];

    if (tuple >= state->n_series) {
        uint32_t n = tuple + tuple / 2 + 1;
        struct kpi_series **series = kpi_mem_resize(
            &engine->mem, state->series, state->n_series * sizeof(*series), n * sizeof(*series));

        if (!series)
            return -ENOMEM;
        memset(series + state->n_series, 0, (n - state->n_series) * sizeof(*series));
        state->series = series;
        state->n_series = n;
    }
    if (!state->series[tuple]) {
        state->series[tuple] = kpi_mem_zalloc(&engine->mem, sizeof(struct kpi_series));
        if (!state->series[tuple])
            return -ENOMEM;
    }
    *ret_series = state->series[tuple];
    return 0;
}

int kpi_pack_get(struct kpi_engine *engine, kpi_day day, struct kpi_pack **ret_pack)
{
    uint32_t i = engine->n_packs;
    struct kpi_pack *pack;

    while (i > 0 && engine->packs[i - 1]->day > day)
        i--;
    if (i > 0 && engine->packs[i - 1]->day == day) {
        *ret_pack = engine->packs[i - 1];
        return 0;
    }
    if (engine->n_packs == engine->n_packs_max) {
        uint32_t n_max = engine->n_packs_max * 2 + 8;
        struct kpi_pack **packs =
            kpi_mem_resize(&engine->mem, engine->packs, engine->n_packs_max * sizeof(*packs),
                           n_max * sizeof(*packs));

        if (!packs)
            return -ENOMEM;
        engine->packs = packs;
        engine->n_packs_max = n_max;
    }
    pack = kpi_mem_zalloc(&engine->mem, sizeof(*pack));
    if (!pack)
        return -ENOMEM;
    pack->day = day;
    memmove(&engine->packs[i + 1], &engine->packs[i],
            (engine->n_packs - i) * sizeof(*engine->packs));
    engine->packs[i] = pack;
    engine->n_packs++;
    *ret_pack = pack;
    return 0;
}

static void pack_add(struct kpi_pack *pack, struct kpi_cell *cell)
{
    cell->pack = pack;
    cell->pack_previous = pack->last;
    if (pack->last)
        pack->last->pack_next = cell;
    else
        pack->first = cell;
    pack->last = cell;
    pack->n_cells++;
    pack->dirty = true;
}

static void pack_remove(struct kpi_cell *cell)
{
    struct kpi_pack *pack = cell->pack;

    if (cell->pack_previous)
        cell->pack_previous->pack_next = cell->pack_next;
    else
        pack->first = cell->pack_next;
    if (cell->pack_next)
        cell->pack_next->pack_previous = cell->pack_previous;
    else
        pack->last = cell->pack_previous;
    pack->n_cells--;
    pack->dirty = true;
}

static enum kpi_cell_form form_of(const struct kpi_engine *engine, uint32_t instance,
                                  kpi_window window)
{
    switch (engine->program->instances[instance].aggregate) {
    case KPI_AGGREGATE_LEVEL:
        return window < kpi_engine_finished_before(engine, instance) ? KPI_CELL_FROZEN
                                                                     : KPI_CELL_HOT;
    case KPI_AGGREGATE_LATEST:
        return KPI_CELL_LATEST;
    case KPI_AGGREGATE_SCORES:
        return KPI_CELL_SCORES;
    case KPI_AGGREGATE_QUANTILES:
        return KPI_CELL_QUANTILES;
    default:
        return KPI_CELL_SCALAR;
    }
}

static int cell_new(struct kpi_engine *engine, struct kpi_series *series, uint32_t i,
                    const struct kpi_cell *key)
{
    roaring_bitmap_t *bitmap = NULL;
    struct kpi_pack *pack;
    struct kpi_cell *cell;
    int r;

    if (series->n_cells == series->n_cells_max) {
        uint32_t n_max = series->n_cells_max + series->n_cells_max / 2 + 4;
        struct kpi_cell **cells =
            kpi_mem_resize(&engine->mem, series->cells, series->n_cells_max * sizeof(*cells),
                           n_max * sizeof(*cells));

        if (!cells)
            return -ENOMEM;
        series->cells = cells;
        series->n_cells_max = n_max;
    }
    r = kpi_pack_get(
        engine, kpi_window_day(&engine->program->instances[key->instance], key->window), &pack);
    if (r < 0)
        return r;
    if (key->form == KPI_CELL_FROZEN) {
        bitmap = roaring_bitmap_create();
        if (!bitmap)
            return -ENOMEM;
    }
    cell = kpi_mem_zalloc(&engine->mem, sizeof(*cell));
    if (!cell) {
        if (bitmap)
            roaring_bitmap_free(bitmap);
        return -ENOMEM;
    }
    *cell = *key;
    if (bitmap)
        kpi_cell_set_frozen(engine, cell, bitmap);
    cell->serial = engine->serial_next++;
    cell->dirty = true;
    pack_add(pack, cell);
    memmove(&series->cells[i + 1], &series->cells[i],
            (series->n_cells - i) * sizeof(*series->cells));
    series->cells[i] = cell;
    series->n_cells++;
    engine->n_cells++;
    return 0;
}

int kpi_cell_turn(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window window,
                  struct kpi_series **ret_series, struct kpi_cell **ret_cell)
{
    struct kpi_series *series;
    uint32_t i;
    int r;

    r = series_get(engine, instance, tuple, &series);
    if (r < 0)
        return r;
    i = kpi_series_position(series, window);
    if (i == series->n_cells || series->cells[i]->window != window) {
        r = cell_new(engine, series, i,
                     &(struct kpi_cell){.instance = instance,
                                        .tuple = tuple,
                                        .window = window,
                                        .form = form_of(engine, instance, window)});
        if (r < 0)
            return r;
    }
    series->current = series->cells[i];
    *ret_series = series;
    *ret_cell = series->current;
    return 0;
}

uint64_t kpi_cell_count(const struct kpi_cell *cell)
{
    return cell->form == KPI_CELL_HOT ? cell->hot.count : cell->frozen.count;
}

bool kpi_cell_contains(const struct kpi_cell *cell, uint32_t user)
{
    return cell->form == KPI_CELL_HOT ? kpi_set_contains(&cell->hot, user)
                                      : roaring_bitmap_contains(cell->frozen.bitmap, user);
}

void kpi_cell_set_frozen(struct kpi_engine *engine, struct kpi_cell *cell, roaring_bitmap_t *bitmap)
{
    cell->form = KPI_CELL_FROZEN;
    cell->frozen.bitmap = bitmap;
    cell->frozen.count = roaring_bitmap_get_cardinality(bitmap);
    cell->frozen.bytes = roaring_bitmap_size_in_bytes(bitmap);
    engine->bytes_roaring += cell->frozen.bytes;
}

int kpi_cell_add_user(struct kpi_engine *engine, struct kpi_cell *cell, uint32_t user)
{
    if (cell->form == KPI_CELL_HOT)
        return kpi_set_add(&cell->hot, &engine->mem, user);
    if (!roaring_bitmap_add_checked(cell->frozen.bitmap, user))
        return KPI_SET_E_PRESENT;
    engine->bytes_roaring -= cell->frozen.bytes;
    cell->frozen.bytes = roaring_bitmap_size_in_bytes(cell->frozen.bitmap);
    engine->bytes_roaring += cell->frozen.bytes;
    cell->frozen.count++;
    cell->dirty = true;
    return 0;
}

int kpi_cell_freeze(struct kpi_engine *engine, struct kpi_cell *cell)
{
    roaring_bitmap_t *bitmap;
    int r;

    r = kpi_set_to_roaring(&cell->hot, &engine->mem, &bitmap);
    if (r < 0)
        return r;
    r = kpi_save_forget_cell(engine, cell);
    if (r < 0) {
        roaring_bitmap_free(bitmap);
        return r;
    }
    (void)roaring_bitmap_run_optimize(bitmap); /* whether it became smaller does not matter */
    roaring_bitmap_shrink_to_fit(bitmap);
    kpi_set_deinit(&cell->hot, &engine->mem);
    kpi_cell_set_frozen(engine, cell, bitmap);
    cell->dirty = true;
    cell->saved = cell->paged = false;
    cell->pack->dirty = true; /* which names the form */
    return 0;
}

static void cell_free(struct kpi_engine *engine, struct kpi_cell *cell)
{
    pack_remove(cell);
    if (cell->form == KPI_CELL_HOT) {
        kpi_set_deinit(&cell->hot, &engine->mem);
    } else if (cell->form == KPI_CELL_LATEST || cell->form == KPI_CELL_SCORES) {
        kpi_latest_deinit(&cell->latest, &engine->mem);
    } else if (cell->form == KPI_CELL_QUANTILES) {
        kpi_quantiles_deinit(&cell->quantiles.sketch, &engine->mem);
    } else if (cell->form == KPI_CELL_FROZEN) {
        engine->bytes_roaring -= cell->frozen.bytes;
        roaring_bitmap_free(cell->frozen.bitmap);
    }
    kpi_mem_free(&engine->mem, cell, sizeof(*cell));
    engine->n_cells--;
}

/* Drops the first n cells of a series. */
static int series_expire(struct kpi_engine *engine, struct kpi_series *series, uint32_t n)
{
    int r;

    for (uint32_t i = 0; i < n; i++) {
        r = kpi_save_forget_cell(engine, series->cells[i]);
        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < n; i++)
        cell_free(engine, series->cells[i]);
    memmove(series->cells, series->cells + n, (series->n_cells - n) * sizeof(*series->cells));
    series->n_cells -= n;
    series->current = NULL;
    series->version = series->version_dropped = ++engine->version;
    kpi_series_flush(engine, series);
    return 0;
}

static void series_free(struct kpi_engine *engine, struct kpi_series *series)
{
    kpi_series_flush(engine, series);
    for (uint32_t i = 0; i < series->n_cells; i++)
        cell_free(engine, series->cells[i]);
    kpi_mem_free(&engine->mem, series->cells, series->n_cells_max * sizeof(*series->cells));
    kpi_mem_free(&engine->mem, series, sizeof(*series));
}

int kpi_series_drop(struct kpi_engine *engine, struct kpi_series *series)
{
    for (uint32_t i = 0; i < series->n_cells; i++) {
        int r = kpi_save_forget_cell(engine, series->cells[i]);

        if (r < 0)
            return r;
    }
    series_free(engine, series);
    return 0;
}

void kpi_engine_free_cells(struct kpi_engine *engine)
{
    for (uint32_t i = 0; engine->instances && i < engine->program->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t])
                series_free(engine, engine->instances[i].series[t]);
    for (uint32_t i = 0; i < engine->n_packs; i++)
        kpi_mem_free(&engine->mem, engine->packs[i], sizeof(*engine->packs[i]));
    kpi_mem_free(&engine->mem, engine->packs, engine->n_packs_max * sizeof(*engine->packs));
}

/* What a turn does to the series of an instance. */
struct turning {
    kpi_window kept_from, finished_from, finished_before; /* the latter two: to be frozen now */
};

static int turn_series(struct kpi_engine *engine, struct kpi_series *series,
                       const struct turning *turning)
{
    uint32_t n_expired = kpi_series_position(series, turning->kept_from);
    int r;

    if (n_expired) {
        r = series_expire(engine, series, n_expired);
        if (r < 0)
            return r;
    }
    for (uint32_t i = kpi_series_position(series, turning->finished_from);
         i < series->n_cells && series->cells[i]->window < turning->finished_before; i++) {
        if (series->cells[i]->form != KPI_CELL_HOT)
            continue;
        r = kpi_cell_freeze(engine, series->cells[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int turn_zone(struct kpi_engine *engine, uint32_t zone, const struct kpi_zone_state *before)
{
    const struct kpi_zone_state *now = &engine->zones[zone];

    for (uint32_t i = 0; i < engine->program->n_instances; i++) {
        const struct kpi_instance *instance = &engine->program->instances[i];
        struct turning turning = {
            .kept_from = kpi_instance_day(instance, now->kept_from),
            .finished_from =
                window_over(instance, now->zone, before->finished_before, before->finished_to),
            .finished_before = kpi_engine_finished_before(engine, i),
        };

        if (instance->zone != zone || (now->kept_from == before->kept_from &&
                                       turning.finished_from == turning.finished_before))
            continue;
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t]) {
                int r = turn_series(engine, engine->instances[i].series[t], &turning);

                if (r < 0)
                    return r;
            }
    }
    return 0;
}

/* The end of the day of a time, or of its window if minutes are given. */
static kpi_time end_of(const struct kpi_zone *zone, kpi_time time, uint32_t minutes)
{
    kpi_day day = kpi_zone_day(zone, time);
    kpi_time start, end;

    if (day == INT32_MIN)
        return time < zone->day_starts[0] ? zone->day_starts[0] : INT64_MAX / 2;
    start = kpi_zone_day_start(zone, day);
    end = kpi_zone_day_start(zone, day + 1);
    if (minutes &&
        kpi_window_of_day(time - start, minutes) + 1 < kpi_zone_day_windows(zone, day, minutes))
        end =
            start + ((kpi_time)kpi_window_of_day(time - start, minutes) + 1) * minutes * KPI_MINUTE;
    return end;
}

int kpi_engine_turn(struct kpi_engine *engine)
{
    kpi_time finished_to = engine->newest_record - KPI_FREEZE_AFTER;
    kpi_time kept_from = engine->newest_record - engine->program->keep;

    if (engine->newest_record == KPI_TIME_NONE || engine->newest_record < engine->turn_at)
        return 0;
    engine->turn_at = INT64_MAX;
    for (uint32_t z = 0; z < engine->n_zones; z++) {
        struct kpi_zone_state *zone = &engine->zones[z], before = *zone;
        kpi_time next = end_of(zone->zone, finished_to, zone->minutes) + KPI_FREEZE_AFTER;
        kpi_time next_kept = end_of(zone->zone, kept_from, 0) + engine->program->keep;
        int r;

        next = next < next_kept ? next : next_kept;
        engine->turn_at = engine->turn_at < next ? engine->turn_at : next;
        zone->finished_before = kpi_zone_day_clamped(zone->zone, finished_to);
        zone->finished_to = finished_to;
        zone->kept_from = kpi_zone_day_clamped(zone->zone, kept_from);
        r = turn_zone(engine, z, &before);
        if (r < 0)
            return r;
    }
    return 0;
}
