/* Cohorts and their return: see retained.h. */
#include "engine/firsts.h"
#include "engine/retained.h"
#include "engine/unions.h"

/* What the loop over days carries: the leaf resolved for a tuple, and the last period looked at. */
struct making {
    struct kpi_engine *engine;
    const struct kpi_leaf *leaf;
    uint32_t i_return;
    uint32_t start_instance, start_tuple;
    uint32_t instance, tuple; /* of the return */
    kpi_day today;
    kpi_day start, end;               /* of the period that `returned` is for */
    const roaring_bitmap_t *returned; /* NULL: nobody */
    bool owned, known;
    uint64_t version; /* of the engine, when anything in the period last changed */
};

void kpi_cohorts_deinit(struct kpi_cohorts *cohorts, const struct kpi_mem *mem)
{
    kpi_mem_free(mem, cohorts->days, cohorts->n_max * sizeof(*cohorts->days));
    *cohorts = (struct kpi_cohorts){0};
}

static int cohorts_add(struct kpi_cohorts *cohorts, const struct kpi_mem *mem,
                       const struct kpi_cohort *cohort)
{
    if (cohorts->n == cohorts->n_max) {
        uint32_t n_max = cohorts->n_max * 2 + 32;
        struct kpi_cohort *days = kpi_mem_resize(mem, cohorts->days, cohorts->n_max * sizeof(*days),
                                                 n_max * sizeof(*days));

        if (!days)
            return -ENOMEM;
        cohorts->days = days;
        cohorts->n_max = n_max;
    }
    cohorts->days[cohorts->n++] = *cohort;
    return 0;
}

static void period_release(struct making *making)
{
    if (making->owned)
        roaring_bitmap_free(making->returned);
    making->owned = making->known = false;
    making->returned = NULL;
}

static const struct kpi_instance *instance_of(const struct making *making, uint32_t instance)
{
    return &making->engine->program->instances[instance];
}

/* Turns to the period [start, end); tells when anything in it changed, not yet who returned. */
static void period_turn(struct making *making, kpi_day start, kpi_day end)
{
    const struct kpi_instance *instance = instance_of(making, making->instance);
    const struct kpi_series *series;

    if (making->start == start && making->end == end)
        return;
    period_release(making);
    making->start = start;
    making->end = end;
    making->version = 0;
    series = kpi_series_find(making->engine, making->instance, making->tuple);
    if (!series)
        return;
    making->version = series->version_dropped;
    for (uint32_t i = kpi_series_position(series, kpi_instance_day(instance, start));
         i < series->n_cells && series->cells[i]->window < kpi_instance_day(instance, end); i++)
        if (series->cells[i]->version > making->version)
            making->version = series->cells[i]->version;
}

static int count_returned(struct making *making, const roaring_bitmap_t *cohort,
                          uint64_t *ret_count)
{
    if (!making->known) {
        const struct kpi_instance *instance = instance_of(making, making->instance);
        int r = kpi_unions_get(making->engine, making->instance, making->tuple,
                               kpi_instance_day(instance, making->start),
                               kpi_instance_day(instance, making->end), &making->returned,
                               &making->owned);

        if (r < 0)
            return r;
        making->known = true;
    }
    *ret_count = making->returned ? roaring_bitmap_and_cardinality(cohort, making->returned) : 0;
    return 0;
}

/* Fills in what is known of a cohort whose users are given; `cached` may be NULL. */
static int cohort_judge(struct making *making, const roaring_bitmap_t *users, uint64_t version,
                        struct kpi_return *cached, struct kpi_cohort *cohort)
{
    const struct kpi_leaf *leaf = making->leaf;
    uint8_t week_start = making->engine->program->week_start;
    kpi_day period = kpi_period_start(leaf->basis, week_start, cohort->day);
    kpi_day start = kpi_period_next(leaf->basis, period, leaf->at);
    kpi_day end = kpi_period_next(leaf->basis, period, leaf->at + 1);
    int r;

    cohort->mature = end <= making->today;
    if (!cohort->mature)
        return 0;
    period_turn(making, start, end);
    if (cached && cached->version && cached->version >= version &&
        cached->version >= making->version) {
        cohort->retained = cached->retained;
        return 0;
    }
    r = count_returned(making, users, &cohort->retained);
    if (r == 0 && cached)
        *cached = (struct kpi_return){making->engine->version, cohort->retained};
    return r;
}

static int add_finished(struct making *making, struct kpi_firsts *firsts,
                        struct kpi_cohorts *cohorts)
{
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        struct kpi_first *first = &firsts->days[i];
        struct kpi_cohort cohort = {.day = first->day, .users = first->count};
        int r = cohort_judge(making, first->bitmap, first->version,
                             &first->returns[making->i_return], &cohort);

        if (r == 0)
            r = cohorts_add(cohorts, &making->engine->mem, &cohort);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A day that is not finished: who is in it and in no day before. */
static int add_hot(struct making *making, kpi_day day, const roaring_bitmap_t *users,
                   const roaring_bitmap_t *before, struct kpi_cohorts *cohorts)
{
    struct kpi_cohort cohort = {.day = day};
    roaring_bitmap_t *first = roaring_bitmap_andnot(users, before);
    int r;

    if (!first)
        return -ENOMEM;
    cohort.users = roaring_bitmap_get_cardinality(first);
    r = cohort_judge(making, first, 0, NULL, &cohort);
    roaring_bitmap_free(first);
    return r < 0 ? r : cohorts_add(cohorts, &making->engine->mem, &cohort);
}

/* The same, and `*copy` takes the day in if another one follows. */
static int add_hot_day(struct making *making, kpi_day day, bool is_last,
                       const roaring_bitmap_t *finished, roaring_bitmap_t **copy,
                       struct kpi_cohorts *cohorts)
{
    const struct kpi_instance *instance = instance_of(making, making->start_instance);
    const roaring_bitmap_t *users;
    bool owned;
    int r = kpi_unions_get(making->engine, making->start_instance, making->start_tuple,
                           kpi_instance_day(instance, day), kpi_instance_day(instance, day + 1),
                           &users, &owned);

    if (r < 0)
        return r;
    r = add_hot(making, day, users, *copy ? *copy : finished, cohorts);
    if (r == 0 && !is_last && !*copy) {
        *copy = roaring_bitmap_copy(finished);
        r = *copy ? 0 : -ENOMEM;
    }
    if (r == 0 && !is_last)
        roaring_bitmap_or_inplace(*copy, users);
    if (owned)
        roaring_bitmap_free((roaring_bitmap_t *)users);
    return r;
}

static int add_hot_days(struct making *making, const struct kpi_series *series,
                        const struct kpi_firsts *firsts, struct kpi_cohorts *cohorts)
{
    const struct kpi_instance *instance = instance_of(making, making->start_instance);
    uint32_t i = kpi_series_position(series, kpi_instance_day(instance, firsts->through));
    roaring_bitmap_t *copy = NULL;
    int r = 0;

    while (r == 0 && i < series->n_cells) {
        kpi_day day = kpi_window_day(instance, series->cells[i]->window);

        i = kpi_series_position(series, kpi_instance_day(instance, day + 1));
        r = add_hot_day(making, day, i == series->n_cells, firsts->all, &copy, cohorts);
    }
    if (copy)
        roaring_bitmap_free(copy);
    return r;
}

int kpi_cohorts_make(struct kpi_engine *engine, const struct kpi_leaf *leaf, uint32_t i_return,
                     uint32_t n_returns, uint32_t zone, uint32_t tuple, uint32_t return_tuple,
                     kpi_day today, struct kpi_cohorts *cohorts)
{
    uint32_t return_instance = leaf->return_instance[zone];
    bool by_campaign =
        engine->program->instances[return_instance].dimensions == KPI_DIMENSIONS_CAMPAIGN;
    struct kpi_series *series = kpi_series_find(engine, leaf->instance[zone], tuple);
    struct making making = {
        .engine = engine,
        .leaf = leaf,
        .i_return = i_return,
        .start_instance = leaf->instance[zone],
        .start_tuple = tuple,
        .instance = return_instance,
        .tuple = by_campaign ? return_tuple : KPI_DICTIONARY_NONE,
        .today = today,
        .start = INT32_MAX,
    };
    struct kpi_firsts *firsts;
    int r;

    cohorts->n = 0;
    if (!series || !series->n_cells)
        return 0;
    r = kpi_firsts_get(engine, series, n_returns, &firsts);
    if (r == 0)
        r = add_finished(&making, firsts, cohorts);
    if (r == 0)
        r = add_hot_days(&making, series, firsts, cohorts);
    period_release(&making);
    return r;
}

/* Those of the days that are not finished. */
static int count_hot_firsts(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                            const struct kpi_firsts *firsts, kpi_day start, kpi_day end,
                            uint64_t *count)
{
    const struct kpi_instance *definition = &engine->program->instances[instance];
    const struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    uint32_t i = kpi_series_position(series, kpi_instance_day(definition, firsts->through));
    const roaring_bitmap_t *users;
    roaring_bitmap_t *before = NULL;
    int r = 0;

    while (r == 0 && i < series->n_cells) {
        kpi_day day = kpi_window_day(definition, series->cells[i]->window);
        bool owned;

        if (day >= end)
            break;
        r = kpi_unions_get(engine, instance, tuple, kpi_instance_day(definition, day),
                           kpi_instance_day(definition, day + 1), &users, &owned);
        if (r < 0)
            break;
        if (day >= start)
            *count += roaring_bitmap_andnot_cardinality(users, before ? before : firsts->all);
        i = kpi_series_position(series, kpi_instance_day(definition, day + 1));
        if (i < series->n_cells && !before) {
            before = roaring_bitmap_copy(firsts->all);
            r = before ? 0 : -ENOMEM;
        }
        if (r == 0 && before)
            roaring_bitmap_or_inplace(before, users);
        if (owned)
            roaring_bitmap_free((roaring_bitmap_t *)users);
    }
    if (before)
        roaring_bitmap_free(before);
    return r;
}

int kpi_firsts_count(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                     uint32_t n_returns, kpi_day start, kpi_day end, uint64_t *ret_count)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);
    struct kpi_firsts *firsts;
    int r;

    *ret_count = 0;
    if (!series || !series->n_cells)
        return 0;
    r = kpi_firsts_get(engine, series, n_returns, &firsts);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        if (firsts->days[i].day >= start && firsts->days[i].day < end)
            *ret_count += firsts->days[i].count;
    }
    return count_hot_firsts(engine, instance, tuple, firsts, start, end, ret_count);
}
