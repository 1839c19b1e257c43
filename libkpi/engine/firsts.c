/* First days: see firsts.h. */
#include "engine/firsts.h"

/* Who is left of a day is known no more. */
static void left_forget(struct kpi_first *first, uint32_t n_returns)
{
    for (uint32_t i = 0; i < n_returns; i++) {
        if (first->returns[i].left)
            roaring_bitmap_free(first->returns[i].left);
        first->returns[i].left = NULL;
    }
}

static void first_changed(const struct kpi_engine *engine, const struct kpi_firsts *firsts,
                          struct kpi_first *first)
{
    first->version = engine->version;
    left_forget(first, firsts->n_returns);
}

void kpi_firsts_free(struct kpi_engine *engine, struct kpi_firsts *firsts)
{
    engine->bytes_roaring -= firsts->bytes;
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        left_forget(&firsts->days[i], firsts->n_returns);
        roaring_bitmap_free(firsts->days[i].bitmap);
        kpi_mem_free(&engine->mem, firsts->days[i].returns,
                     firsts->n_returns * sizeof(struct kpi_return));
    }
    kpi_mem_free(&engine->mem, firsts->days, firsts->n_days_max * sizeof(*firsts->days));
    if (firsts->all)
        roaring_bitmap_free(firsts->all);
    kpi_mem_free(&engine->mem, firsts, sizeof(*firsts));
}

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
    if (first.returns || !firsts->n_returns)
        first.bitmap = roaring_bitmap_create();
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

/* Takes in cells that are all those of a finished day. */
static int firsts_add_day(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                          struct kpi_cell *const *cells, uint32_t n_cells)
{
    struct kpi_first *first;
    int r = first_get(engine, firsts, day, &first);

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < n_cells; i++)
        roaring_bitmap_or_inplace(first->bitmap, cells[i]->frozen.bitmap);
    roaring_bitmap_andnot_inplace(first->bitmap, firsts->all);
    roaring_bitmap_or_inplace(firsts->all, first->bitmap);
    first->count = roaring_bitmap_get_cardinality(first->bitmap);
    first_changed(engine, firsts, first);
    return 0;
}

/* Brings them up to the day `to`; all before it are finished. The series has cells. */
static int firsts_extend(struct kpi_engine *engine, const struct kpi_series *series,
                         struct kpi_firsts *firsts, kpi_day to)
{
    const struct kpi_instance *instance = &engine->program->instances[series->cells[0]->instance];
    uint32_t i = kpi_series_position(series, kpi_instance_day(instance, firsts->through));
    uint32_t end = kpi_series_position(series, kpi_instance_day(instance, to));

    while (i < end) {
        kpi_day day = kpi_window_day(instance, series->cells[i]->window);
        uint32_t next = kpi_series_position(series, kpi_instance_day(instance, day + 1));
        int r = firsts_add_day(engine, firsts, day, &series->cells[i], next - i);

        if (r < 0)
            return r;
        firsts->through = day + 1;
        i = next;
    }
    firsts->through = to;
    return 0;
}

void kpi_firsts_recount(struct kpi_engine *engine, struct kpi_firsts *firsts)
{
    engine->bytes_roaring -= firsts->bytes;
    firsts->bytes = roaring_bitmap_size_in_bytes(firsts->all);
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        const struct kpi_first *first = &firsts->days[i];

        firsts->bytes += roaring_bitmap_size_in_bytes(first->bitmap);
        for (uint32_t k = 0; k < firsts->n_returns; k++)
            if (first->returns[k].left)
                firsts->bytes += roaring_bitmap_size_in_bytes(first->returns[k].left);
    }
    engine->bytes_roaring += firsts->bytes;
}

int kpi_firsts_get(struct kpi_engine *engine, struct kpi_series *series, uint32_t n_returns,
                   struct kpi_firsts **ret_firsts)
{
    struct kpi_firsts *firsts = series->firsts;
    kpi_day finished = INT32_MIN;

    if (series->n_cells > 0)
        finished = engine->zones[engine->program->instances[series->cells[0]->instance].zone]
                       .finished_before;

    if (!firsts) {
        firsts = kpi_mem_zalloc(&engine->mem, sizeof(*firsts));
        if (!firsts)
            return -ENOMEM;
        *firsts = (struct kpi_firsts){.through = INT32_MIN, .n_returns = n_returns};
        firsts->all = roaring_bitmap_create();
        if (!firsts->all) {
            kpi_firsts_free(engine, firsts);
            return -ENOMEM;
        }
        series->firsts = firsts;
    }
    if (firsts->through < finished) {
        int r = firsts_extend(engine, series, firsts, finished);

        if (r < 0)
            return r;
        kpi_firsts_recount(engine, firsts);
    }
    *ret_firsts = firsts;
    return 0;
}

int kpi_firsts_late(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
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
        first_changed(engine, firsts, first);
    }
    r = first_get(engine, firsts, day, &first);
    if (r < 0)
        return r;
    roaring_bitmap_add(firsts->all, user);
    roaring_bitmap_add(first->bitmap, user);
    first->count++;
    first_changed(engine, firsts, first);
    return 0;
}

void kpi_firsts_remove(struct kpi_engine *engine, struct kpi_firsts *firsts,
                       const roaring_bitmap_t *users)
{
    if (!roaring_bitmap_intersect(firsts->all, users))
        return;
    roaring_bitmap_andnot_inplace(firsts->all, users);
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        struct kpi_first *first = &firsts->days[i];

        if (!roaring_bitmap_intersect(first->bitmap, users))
            continue;
        roaring_bitmap_andnot_inplace(first->bitmap, users);
        first->count = roaring_bitmap_get_cardinality(first->bitmap);
        first_changed(engine, firsts, first);
    }
    kpi_firsts_recount(engine, firsts);
}
