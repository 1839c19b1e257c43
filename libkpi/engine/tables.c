/* All tables, all groups of them: see tables.h. */
#include "engine/tables.h"
#include "engine/unions.h"

#include <stdlib.h>

/* --- what is kept --- */

static void rows_free(struct kpi_engine *engine, struct kpi_table_row *rows, uint32_t n)
{
    const struct kpi_mem *mem = &engine->mem;

    for (uint32_t i = 0; rows && i < n; i++) {
        kpi_mem_free(mem, rows[i].cells, rows[i].n_cells * sizeof(*rows[i].cells));
        if (!rows[i].cohort)
            continue;
        engine->bytes_roaring -= roaring_bitmap_size_in_bytes(rows[i].cohort);
        roaring_bitmap_free(rows[i].cohort);
    }
    kpi_mem_free(mem, rows, n * sizeof(*rows));
}

static void state_free(struct kpi_engine *engine, struct kpi_table_state *state)
{
    rows_free(engine, state->whole.rows, state->whole.n_rows);
    for (uint32_t i = 0; i < state->n_groups; i++)
        rows_free(engine, state->groups[i].rows, state->groups[i].n_rows);
    kpi_mem_free(&engine->mem, state->groups, state->n_groups * sizeof(*state->groups));
}

void kpi_tables_flush(struct kpi_engine *engine)
{
    struct kpi_tables *tables = engine->tables;

    if (!tables)
        return;
    for (uint32_t i = 0; i < tables->n_tables; i++)
        state_free(engine, &tables->tables[i]);
    kpi_mem_free(&engine->mem, tables->tables, tables->n_tables * sizeof(*tables->tables));
    kpi_mem_free(&engine->mem, tables, sizeof(*tables));
    engine->tables = NULL;
}

static int tables_make(struct kpi_engine *engine)
{
    struct kpi_tables *tables = engine->tables;
    uint32_t n = engine->program->n_tables;

    if (tables)
        return 0;
    tables = kpi_mem_zalloc(&engine->mem, sizeof(*tables));
    if (!tables)
        return -ENOMEM;
    engine->tables = tables;
    tables->tables = kpi_mem_zalloc(&engine->mem, n * sizeof(*tables->tables));
    if (!tables->tables)
        return -ENOMEM;
    tables->n_tables = n;
    return 0;
}

/* Room for the groups of all tuples that there are by now. */
static int groups_extend(struct kpi_engine *engine, struct kpi_table_state *state, uint32_t n)
{
    struct kpi_table_group *groups;

    if (n <= state->n_groups)
        return 0;
    groups = kpi_mem_resize(&engine->mem, state->groups, state->n_groups * sizeof(*groups),
                            n * sizeof(*groups));
    if (!groups)
        return -ENOMEM;
    memset(groups + state->n_groups, 0, (n - state->n_groups) * sizeof(*groups));
    state->groups = groups;
    state->n_groups = n;
    return 0;
}

/* --- one group --- */

/* The period that answers of a table begin with. */
static enum kpi_table_basis shown_basis(const struct kpi_table_info *info)
{
    return info->kind == KPI_TABLE_ACTIVE_INTERVALS ? info->over : info->basis;
}

/*
 * The first unit that is wanted: where the first period begins that may be shown. A week that goes
 * over the end of a month counts in the one that it begins in, so it is a whole one.
 */
static struct kpi_period first_wanted(const struct kpi_table_pass *pass, kpi_time as_of)
{
    const struct kpi_table_info *info = &pass->table->info;
    enum kpi_table_basis basis = shown_basis(info);
    struct kpi_period now = kpi_period_of_time(pass->plan, basis, as_of), first, unit;

    first = kpi_period_advance(pass->plan, basis, now, 1 - (int32_t)info->last);
    unit = kpi_period_of_day(pass->plan, pass->basis, first.day);
    if (unit.day < first.day)
        unit = kpi_period_advance(pass->plan, pass->basis, unit, 1);
    return unit;
}

static int rows_fill(struct kpi_table_pass *pass)
{
    switch (pass->table->info.kind) {
    case KPI_TABLE_RETENTION:
        return kpi_table_retention(pass);
    case KPI_TABLE_ACTIVE_INTERVALS:
        return kpi_table_intervals(pass);
    case KPI_TABLE_LIFECYCLE:
        return kpi_table_lifecycle(pass);
    case KPI_TABLE_SESSIONS:
        return kpi_table_sessions(pass);
    }
    return 0;
}

/* Brings the rows of a group up to date. */
static int group_fill(struct kpi_table_pass *pass, struct kpi_table_group *group)
{
    static const struct kpi_changes everything;
    int r;

    pass->kept = group;
    if (!group->made)
        pass->changes = &everything;
    if (group->made && pass->table->info.cohort != KPI_TABLE_FIRST_EVER &&
        kpi_period_compare(pass->first, group->first) >= 0 && !kpi_table_any_changed(pass))
        return 0;
    r = rows_fill(pass);
    if (r == 0) {
        rows_free(pass->engine, group->rows, group->n_rows);
        group->rows = pass->rows;
        group->n_rows = pass->n_units;
        group->first = pass->first;
        group->made = true;
    } else {
        rows_free(pass->engine, pass->rows, pass->n_units);
    }
    kpi_table_units_free(pass);
    return r;
}

/* --- answers --- */

/* An answer under way: rows of one start are added up. */
struct summing {
    struct kpi_answers *answers;
    struct kpi_answer answer; /* but for start and cells */
    kpi_wide *cells;
    uint32_t n_cells, n_cells_max;
    int64_t start;
};

static int sum_push(struct summing *summing)
{
    struct kpi_answer answer = summing->answer;

    answer.start = summing->start;
    answer.n_cells = summing->n_cells;
    answer.cells = summing->cells;
    while (answer.n_cells && answer.cells[answer.n_cells - 1] == 0)
        answer.n_cells--;
    summing->n_cells = 0;
    return answer.n_cells ? kpi_answers_push(summing->answers, &answer) : 0;
}

static int sum_add(struct summing *summing, int64_t start, const struct kpi_table_row *row)
{
    int r = 0;

    if (summing->n_cells && start != summing->start)
        r = sum_push(summing);
    summing->start = start;
    while (summing->n_cells < row->n_cells)
        summing->cells[summing->n_cells++] = 0;
    for (uint32_t i = 0; i < row->n_cells; i++)
        summing->cells[i] += row->cells[i];
    return r;
}

/* The answer's start of a row; hours of a day are one on basis elapsed. */
static int64_t start_of(const struct kpi_table_pass *pass, const struct kpi_table_row *row)
{
    const struct kpi_table_info *info = &pass->table->info;
    enum kpi_table_basis basis = shown_basis(info);

    if (basis == KPI_TABLE_HOUR)
        return kpi_period_start_of(pass->plan, basis, row->period);
    return kpi_period_of_day(pass->plan, basis, row->period.day).day;
}

static uint32_t cells_max(const struct kpi_table_group *group)
{
    uint32_t n = 1;

    for (uint32_t i = 0; i < group->n_rows; i++)
        n = group->rows[i].n_cells > n ? group->rows[i].n_cells : n;
    return n;
}

static int rows_sum(const struct kpi_table_pass *pass, const struct kpi_table_group *group,
                    const struct kpi_answer *key, struct kpi_answers *answers)
{
    struct summing summing = {.answers = answers, .answer = *key, .n_cells_max = cells_max(group)};
    size_t size = summing.n_cells_max * sizeof(*summing.cells);
    int r = 0;

    summing.cells = kpi_mem_alloc(&pass->engine->mem, size);
    if (!summing.cells)
        return -ENOMEM;
    for (uint32_t i = 0; i < group->n_rows && r == 0; i++) {
        if (group->rows[i].n_cells)
            r = sum_add(&summing, start_of(pass, &group->rows[i]), &group->rows[i]);
    }
    if (r == 0)
        r = sum_push(&summing);
    kpi_mem_free(&pass->engine->mem, summing.cells, size);
    return r;
}

static int group_push(const struct kpi_table_pass *pass, const struct kpi_table_group *group,
                      const struct kpi_answer *key, struct kpi_answers *answers)
{
    return pass->table->info.kind == KPI_TABLE_SESSIONS
               ? kpi_table_sessions_push(pass, group, key, answers)
               : rows_sum(pass, group, key, answers);
}

/* --- a table's groups --- */

/* A tuple of a set, and its values as the key of answers. */
struct keyed {
    struct kpi_answer key;
    uint32_t tuple;
};

static int keyed_order(const void *a, const void *b)
{
    return kpi_answer_compare(&((const struct keyed *)a)->key, &((const struct keyed *)b)->key);
}

static struct kpi_answer key_of(const struct kpi_engine *engine, const struct kpi_table *table,
                                uint32_t index, uint32_t tuple)
{
    const struct kpi_dimension_set *set = &engine->program->sets[table->set];
    struct kpi_answer key = {
        .kind = KPI_ANSWER_TABLE, .index = index, .n_values = table->info.by->n_dimensions};
    uint32_t parts[KPI_TUPLE_PARTS_MAX];

    kpi_tuple_parts(&engine->tuples.sets[table->set], tuple, parts);
    for (uint32_t i = 0; i < key.n_values; i++) {
        uint32_t dimension = set->dimensions[table->places[i]];
        uint32_t id = parts[1 + table->places[i]];

        if (id == KPI_DICTIONARY_NONE)
            continue;
        key.values[i] = kpi_dictionary_string(&engine->tuples.dimensions[dimension].values, id);
        if (!key.values[i].data)
            key.values[i].data = ""; /* an empty string is a value */
    }
    return key;
}

static int tuple_answer(struct kpi_table_pass pass, const struct keyed *keyed,
                        struct kpi_table_group *group, struct kpi_answers *answers)
{
    enum kpi_table_kind kind = pass.table->info.kind;
    bool both = pass.table->back_by != pass.table->back;
    int r;

    pass.start = pass.table->start_by;
    pass.back = kind == KPI_TABLE_RETENTION || kind == KPI_TABLE_SESSIONS ? pass.table->back_by
                                                                          : pass.start;
    pass.bounced = pass.table->bounced_by;
    pass.start_tuple = keyed->tuple;
    pass.back_tuple = both || pass.back == pass.start ? keyed->tuple : KPI_DICTIONARY_NONE;
    r = group_fill(&pass, group);
    return r == 0 ? group_push(&pass, group, &keyed->key, answers) : r;
}

static int tuples_answer(const struct kpi_table_pass *pass, uint32_t index,
                         struct kpi_table_state *state, struct kpi_answers *answers)
{
    struct kpi_engine *engine = pass->engine;
    uint32_t n = engine->tuples.sets[pass->table->set].tuples.n - KPI_DICTIONARY_FIRST;
    struct keyed *keyed;
    int r = groups_extend(engine, state, n);

    if (r < 0 || n == 0)
        return r;
    keyed = kpi_mem_alloc(&engine->mem, n * sizeof(*keyed));
    if (!keyed)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tuple = KPI_DICTIONARY_FIRST + i;

        keyed[i] = (struct keyed){key_of(engine, pass->table, index, tuple), tuple};
    }
    qsort(keyed, n, sizeof(*keyed), keyed_order);
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = tuple_answer(*pass, &keyed[i], &state->groups[keyed[i].tuple - KPI_DICTIONARY_FIRST],
                         answers);
    kpi_mem_free(&engine->mem, keyed, n * sizeof(*keyed));
    return r;
}

/* From when what a table keeps of each user counts, if anything is missing. */
static int users_from_push(const struct kpi_table_pass *pass, uint32_t index,
                           struct kpi_answers *answers)
{
    const kpi_time *known = pass->engine->attributes_from;
    const kpi_wide one = 1;
    struct kpi_answer answer = {.kind = KPI_ANSWER_TABLE,
                                .index = index,
                                .part = KPI_TABLE_PART_FROM,
                                .n_cells = 1,
                                .cells = &one};

    if (pass->table->info.cohort != KPI_TABLE_FIRST_EVER ||
        pass->table->info.kind != KPI_TABLE_RETENTION)
        return 0;
    answer.start = known[pass->table->first_start] > known[pass->table->first_type]
                       ? known[pass->table->first_start]
                       : known[pass->table->first_type];
    return answer.start == KPI_TIME_NONE ? 0 : kpi_answers_push(answers, &answer);
}

static int table_answer(const struct kpi_making *making, uint32_t index,
                        struct kpi_answers *answers)
{
    struct kpi_engine *engine = making->engine;
    const struct kpi_table *table = &engine->program->tables[index];
    struct kpi_table_state *state = &engine->tables->tables[index];
    const struct kpi_answer key = {.kind = KPI_ANSWER_TABLE, .index = index};
    struct kpi_table_pass pass =
                              {
                                  .engine = engine,
                                  .plan = engine->plan,
                                  .table = table,
                                  .basis = table->info.basis == KPI_TABLE_ELAPSED
                                               ? KPI_TABLE_HOUR
                                               : table->info.basis,
                                  .start = table->start,
                                  .back = table->back,
                                  .bounced = table->bounced,
                                  .changes = &making->changes,
                                  .n_returns = making->n_returns,
                              },
                          whole;
    int r;

    pass.first = first_wanted(&pass, kpi_layout_as_of(making->layout));
    whole = pass;
    r = group_fill(&whole, &state->whole);
    if (r == 0)
        r = group_push(&pass, &state->whole, &key, answers);
    if (r == 0)
        r = users_from_push(&pass, index, answers);
    return r == 0 && table->set != KPI_NO_INDEX ? tuples_answer(&pass, index, state, answers) : r;
}

int kpi_tables_answer(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_answers *answers)
{
    struct kpi_making making = {.engine = engine, .layout = layout};
    int r;

    if (!engine->program->n_tables)
        return 0;
    r = tables_make(engine);
    if (r == 0)
        r = kpi_report_make(engine);
    if (r < 0) {
        kpi_tables_flush(engine);
        return r;
    }
    /* for the views of hot cells, what has changed, and the number of retained() leaves */
    making.cache = engine->report;
    making.version = engine->tables->version;
    r = kpi_making_begin(&making);
    for (uint32_t i = 0; i < engine->program->n_tables && r == 0; i++)
        r = table_answer(&making, i, answers);
    kpi_making_end(&making);
    if (r < 0)
        kpi_tables_flush(engine); /* rows of a pass that failed half way are of no state */
    else
        engine->tables->version = engine->version + 1;
    return r;
}
