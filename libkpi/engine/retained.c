/* Cohorts and their return: see retained.h. */
#include "engine/firsts.h"
#include "engine/retained.h"
#include "engine/unions.h"

/* What the loop over days carries: the leaf resolved for a tuple, and the last periods looked at.
 */
struct making {
    struct kpi_engine *engine;
    const struct kpi_leaf *leaf;
    uint32_t i_return;
    uint32_t start_instance, start_tuple;
    uint32_t instance, tuple; /* of the return */
    kpi_day today;
    kpi_day through;                  /* days before it are finished */
    kpi_day start, end;               /* of the periods that `returned` is for */
    const roaring_bitmap_t *returned; /* NULL: nobody */
    bool owned, known;
    uint64_t version; /* of the engine, when anything in these periods last changed */
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

/* The first day of the period n behind that of a day. */
static kpi_day period_behind(const struct making *making, kpi_day day, uint32_t n)
{
    enum kpi_basis basis = making->leaf->basis;

    day = kpi_period_start(basis, making->engine->program->week_start, day);
    return kpi_period_next(basis, day, (int32_t)n);
}

/* Turns to the periods [start, end); tells when anything in them changed, not yet who returned. */
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

static int returned_get(struct making *making)
{
    const struct kpi_instance *instance = instance_of(making, making->instance);
    int r;

    if (making->known)
        return 0;
    r = kpi_unions_get(making->engine, making->instance, making->tuple,
                       kpi_instance_day(instance, making->start),
                       kpi_instance_day(instance, making->end), &making->returned, &making->owned);
    making->known = r == 0;
    return r;
}

static int count_returned(struct making *making, const roaring_bitmap_t *cohort,
                          uint64_t *ret_count)
{
    int r = returned_get(making);

    if (r == 0)
        *ret_count =
            making->returned ? roaring_bitmap_and_cardinality(cohort, making->returned) : 0;
    return r;
}

/* Takes away from few users those who are among many: to find them first is cheaper by far. */
static int few_cut(roaring_bitmap_t *few, const roaring_bitmap_t *many)
{
    roaring_bitmap_t *both = roaring_bitmap_and(few, many);

    if (!both)
        return -ENOMEM;
    roaring_bitmap_andnot_inplace(few, both);
    roaring_bitmap_free(both);
    return 0;
}

/* Users of a day's cohort who came in any, or in each, of the leaf's periods. */
static int count_periods(struct making *making, const roaring_bitmap_t *cohort, kpi_day day,
                         uint64_t *ret_count)
{
    bool every = making->leaf->mode == KPI_TABLE_EVERY;
    roaring_bitmap_t *left = roaring_bitmap_copy(cohort);
    int r = left ? 0 : -ENOMEM;

    for (uint32_t n = making->leaf->from; n < making->leaf->to && r == 0; n++) {
        period_turn(making, period_behind(making, day, n), period_behind(making, day, n + 1));
        r = returned_get(making);
        if (r < 0 || roaring_bitmap_is_empty(left))
            break;
        if (every && making->returned)
            roaring_bitmap_and_inplace(left, making->returned);
        else if (every)
            roaring_bitmap_clear(left);
        else if (making->returned)
            r = few_cut(left, making->returned);
    }
    if (r == 0) {
        *ret_count = roaring_bitmap_get_cardinality(left);
        if (!every)
            *ret_count = roaring_bitmap_get_cardinality(cohort) - *ret_count;
    }
    if (left)
        roaring_bitmap_free(left);
    return r;
}

/* Of a cohort those who came on the day `start` or later, today too. */
static int count_later(struct making *making, const roaring_bitmap_t *users, kpi_day start,
                       const struct kpi_return *cached, struct kpi_cohort *cohort)
{
    const roaring_bitmap_t *left = cached && cached->left ? cached->left : users;
    int r;

    if (left != users && start < making->through)
        start = making->through;
    period_turn(making, start, INT32_MAX);
    r = count_returned(making, left, &cohort->retained);
    cohort->retained += cohort->users - roaring_bitmap_get_cardinality(left);
    return r;
}

/* Fills in what is known of a cohort whose users are given; `cached` may be NULL. */
static int cohort_judge(struct making *making, const roaring_bitmap_t *users, uint64_t version,
                        struct kpi_return *cached, struct kpi_cohort *cohort)
{
    const struct kpi_leaf *leaf = making->leaf;
    kpi_day start = period_behind(making, cohort->day, leaf->from);
    kpi_day end = period_behind(making, cohort->day, leaf->to);
    int r;

    cohort->mature = end <= making->today;
    if (!cohort->mature)
        return 0;
    if (leaf->mode == KPI_TABLE_UNBOUNDED)
        return count_later(making, users, start, cached, cohort);
    period_turn(making, start, end);
    if (cached && cached->version && cached->version >= version &&
        cached->version >= making->version) {
        cohort->retained = cached->retained;
        return 0;
    }
    r = leaf->mode == KPI_TABLE_CLASSIC
            ? count_returned(making, users, &cohort->retained)
            : count_periods(making, users, cohort->day, &cohort->retained);
    if (r == 0 && cached)
        *cached =
            (struct kpi_return){.version = making->engine->version, .retained = cohort->retained};
    return r;
}

/* --- unbounded: who of a finished day has not been back on finished days --- */

/* Who came on finished days from some day on, as cells are taken in from the last one. */
struct since {
    const struct kpi_series *series; /* of the return */
    roaring_bitmap_t *users;
    uint32_t from, end; /* cells that are in; those before `end` are finished */
    uint64_t version;   /* of the engine, when any finished cell last changed */
};

static int since_init(struct making *making, const struct kpi_series *series,
                      struct since *ret_since)
{
    const struct kpi_instance *instance = instance_of(making, making->instance);
    uint32_t end = kpi_series_position(series, kpi_instance_day(instance, making->through));
    struct since since = {series, roaring_bitmap_create(), end, end, 0};

    if (!since.users)
        return -ENOMEM;
    for (uint32_t i = 0; i < end; i++)
        if (series->cells[i]->version > since.version)
            since.version = series->cells[i]->version;
    *ret_since = since;
    return 0;
}

/* Of those who came from cell i on, none is left. */
static int left_make(struct making *making, struct since *since, uint32_t i,
                     const roaring_bitmap_t *users, roaring_bitmap_t **left)
{
    const roaring_bitmap_t *bitmap;

    for (; since->from > i; since->from--) {
        int r = kpi_cell_view(making->engine, since->series->cells[since->from - 1], &bitmap);

        if (r < 0)
            return r;
        roaring_bitmap_or_inplace(since->users, bitmap);
    }
    *left = roaring_bitmap_andnot(users, since->users);
    return *left ? 0 : -ENOMEM;
}

/* Takes those away who came on days that have finished since, or late. */
static int left_cut(struct making *making, const struct since *since, uint32_t i,
                    const struct kpi_return *cached)
{
    kpi_window through = kpi_instance_day(instance_of(making, making->instance), cached->through);

    for (; i < since->end; i++) {
        struct kpi_cell *cell = since->series->cells[i];
        const roaring_bitmap_t *bitmap;
        int r;

        if (cell->version <= cached->version && cell->window < through)
            continue;
        r = kpi_cell_view(making->engine, cell, &bitmap);
        if (r < 0)
            return r;
        r = few_cut(cached->left, bitmap);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The same of a day; *changed says whether it was not up to date. */
static int left_bring(struct making *making, struct since *since, struct kpi_first *first,
                      bool *changed)
{
    const struct kpi_instance *instance = instance_of(making, making->instance);
    struct kpi_return *cached = &first->returns[making->i_return];
    kpi_day start = period_behind(making, first->day, making->leaf->from);
    uint32_t i = kpi_series_position(since->series, kpi_instance_day(instance, start));
    int r;

    if (cached->left && cached->version >= since->version && cached->through == making->through)
        return 0;
    if (!cached->left)
        r = left_make(making, since, i, first->bitmap, &cached->left);
    else
        r = left_cut(making, since, i, cached);
    if (r < 0)
        return r;
    cached->version = making->engine->version;
    cached->through = making->through;
    *changed = true;
    return 0;
}

/*
 * Brings all mature days up to date, so that a report only looks at today's returns. Later days
 * come first: who came since then came since an earlier day, too. A day that expires takes with it
 * all first days whose users it could be a return of.
 */
static int lefts_bring(struct making *making, struct kpi_firsts *firsts)
{
    const struct kpi_series *series =
        kpi_series_find(making->engine, making->instance, making->tuple);
    struct since since;
    bool changed = false;
    int r;

    if (!series)
        return 0; /* nobody has ever come */
    r = since_init(making, series, &since);
    if (r < 0)
        return r;
    for (uint32_t i = firsts->n_days; i > 0 && r == 0; i--) {
        struct kpi_first *first = &firsts->days[i - 1];

        if (period_behind(making, first->day, making->leaf->to) <= making->today)
            r = left_bring(making, &since, first, &changed);
    }
    roaring_bitmap_free(since.users);
    if (changed)
        kpi_firsts_recount(making->engine, firsts);
    return r;
}

/* --- all days --- */

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

/* A day that is not finished: who is in it and in no day before, of its period if all start anew.
 */
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
    kpi_day period = firsts->period;
    roaring_bitmap_t *copy = NULL;
    int r = 0;

    while (r == 0 && i < series->n_cells) {
        kpi_day day = kpi_window_day(instance, series->cells[i]->window);

        if (kpi_firsts_period(making->engine, firsts, day) > period) {
            period = kpi_firsts_period(making->engine, firsts, day);
            if (copy)
                roaring_bitmap_free(copy);
            copy = roaring_bitmap_create();
            if (!copy)
                return -ENOMEM;
        }
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
    struct kpi_firsts_kind kind = {0};
    struct kpi_firsts *firsts;
    int r;

    cohorts->n = 0;
    if (!series || !series->n_cells)
        return 0;
    if (leaf->cohort == KPI_TABLE_RECURRING)
        kind = (struct kpi_firsts_kind){.recurring = true, .basis = leaf->basis};
    r = kpi_firsts_get(engine, series, kind, n_returns, &firsts);
    if (r < 0)
        return r;
    making.through = firsts->through;
    if (leaf->mode == KPI_TABLE_UNBOUNDED)
        r = lefts_bring(&making, firsts);
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
    r = kpi_firsts_get(engine, series, (struct kpi_firsts_kind){0}, n_returns, &firsts);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < firsts->n_days; i++) {
        if (firsts->days[i].day >= start && firsts->days[i].day < end)
            *ret_count += firsts->days[i].count;
    }
    return count_hot_firsts(engine, instance, tuple, firsts, start, end, ret_count);
}
