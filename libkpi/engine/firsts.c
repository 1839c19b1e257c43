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
    for (struct kpi_firsts *next; firsts; firsts = next) {
        next = firsts->next;
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
}

kpi_day kpi_firsts_period(const struct kpi_engine *engine, const struct kpi_firsts *firsts,
                          kpi_day day)
{
    if (!firsts->kind.recurring)
        return INT32_MIN;
    return kpi_period_start(firsts->kind.basis, engine->program->week_start, day);
}

/* Turns to a later period, where everybody starts anew. False: the day is in an earlier one. */
static bool period_turn(const struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day)
{
    kpi_day period = kpi_firsts_period(engine, firsts, day);

    if (period > firsts->period) {
        roaring_bitmap_clear(firsts->all);
        firsts->period = period;
    }
    return period == firsts->period;
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
    (void)period_turn(engine, firsts, day); /* days come in order */
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

static int firsts_find(struct kpi_engine *engine, struct kpi_series *series,
                       struct kpi_firsts_kind kind, uint32_t n_returns,
                       struct kpi_firsts **ret_firsts)
{
    struct kpi_firsts *firsts = series->firsts;

    while (firsts && (firsts->kind.recurring != kind.recurring || firsts->kind.basis != kind.basis))
        firsts = firsts->next;
    if (!firsts) {
        firsts = kpi_mem_zalloc(&engine->mem, sizeof(*firsts));
        if (!firsts)
            return -ENOMEM;
        *firsts = (struct kpi_firsts){
            .kind = kind, .through = INT32_MIN, .period = INT32_MIN, .n_returns = n_returns};
        firsts->all = roaring_bitmap_create();
        if (!firsts->all) {
            kpi_firsts_free(engine, firsts);
            return -ENOMEM;
        }
        firsts->next = series->firsts;
        series->firsts = firsts;
    }
    *ret_firsts = firsts;
    return 0;
}

int kpi_firsts_get(struct kpi_engine *engine, struct kpi_series *series,
                   struct kpi_firsts_kind kind, uint32_t n_returns, struct kpi_firsts **ret_firsts)
{
    struct kpi_firsts *firsts;
    kpi_day finished = INT32_MIN;
    int r;

    if (series->n_cells > 0)
        finished = engine->zones[engine->program->instances[series->cells[0]->instance].zone]
                       .finished_before;
    r = firsts_find(engine, series, kind, n_returns, &firsts);
    if (r < 0)
        return r;
    if (firsts->through < finished) {
        r = firsts_extend(engine, series, firsts, finished);
        if (r < 0)
            return r;
        kpi_firsts_recount(engine, firsts);
    }
    *ret_firsts = firsts;
    return 0;
}

/* The day of a period that is a user's first one there, or NULL. */
static struct kpi_first *first_of_user(const struct kpi_engine *engine,
                                       const struct kpi_firsts *firsts, kpi_day period,
                                       uint32_t user)
{
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        struct kpi_first *first = &firsts->days[i];

        if (kpi_firsts_period(engine, firsts, first->day) == period &&
            roaring_bitmap_contains(first->bitmap, user))
            return first;
    }
    return NULL;
}

static int late_take(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                     uint32_t user)
{
    bool latest = period_turn(engine, firsts, day);
    struct kpi_first *first = NULL;
    int r;

    if (!latest || roaring_bitmap_contains(firsts->all, user))
        first = first_of_user(engine, firsts, kpi_firsts_period(engine, firsts, day), user);
    if (first && first->day <= day)
        return 0;
    if (first) {
        roaring_bitmap_remove(first->bitmap, user);
        first->count--;
        first_changed(engine, firsts, first);
    }
    r = first_get(engine, firsts, day, &first);
    if (r < 0)
        return r;
    if (latest)
        roaring_bitmap_add(firsts->all, user);
    roaring_bitmap_add(first->bitmap, user);
    first->count++;
    first_changed(engine, firsts, first);
    return 0;
}

int kpi_firsts_late(struct kpi_engine *engine, struct kpi_firsts *firsts, kpi_day day,
                    uint32_t user)
{
    int r = 0;

    for (; firsts && r == 0; firsts = firsts->next)
        if (day < firsts->through)
            r = late_take(engine, firsts, day, user);
    return r;
}

static void users_remove(struct kpi_engine *engine, struct kpi_firsts *firsts,
                         const roaring_bitmap_t *users)
{
    if (!firsts->kind.recurring && !roaring_bitmap_intersect(firsts->all, users))
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

void kpi_firsts_remove(struct kpi_engine *engine, struct kpi_firsts *firsts,
                       const roaring_bitmap_t *users)
{
    for (; firsts; firsts = firsts->next)
        users_remove(engine, firsts, users);
}
