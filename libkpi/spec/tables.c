/*
 * Tables: what they ask of measures, and the instances that they are made of.
 */
#include "spec/assemble.h"
#include "spec/names.h"

#include <xxhash.h>

/* By enum kpi_table_cohort. */
static const struct kpi_string cohort_names[] = {
    {"first_time", 10}, {"first_ever", 10}, {"recurring", 9}};

/* --- compiling --- */

/* A name in a text, and where it stands there. */
struct named {
    struct kpi_string name;
    struct kpi_place place;
};

static void measure_unknown(struct kpi_compile *compile, const struct named *named)
{
    const struct kpi_definitions *in = compile->in;
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, named->name);
    for (uint32_t i = 0; i < in->n_measures; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&in->measures[i].name));
    kpi_error(compile->diag, named->place, suggestion.best, "there is no measure \"%S\"",
              named->name);
}

static void measure_refuse(struct kpi_compile *compile, const struct named *named,
                           const struct kpi_measure_work *measure, enum kpi_aggregate wanted)
{
    const char *message =
        wanted == KPI_AGGREGATE_QUANTILES
            ? "sessions are of a measure with the aggregate quantiles(field); \"%S\" is none%s"
        : wanted == KPI_AGGREGATE_COUNT
            ? "bounced is a measure with the aggregate count; \"%S\" is none%s"
            : "tables take measures with the aggregate users; \"%S\" is none%s";
    bool levels = wanted == KPI_AGGREGATE_LEVEL && measure->aggregate == KPI_AGGREGATE_LEVEL;

    kpi_error(compile->diag, named->place, KPI_NO_SUGGESTION, message, named->name,
              levels ? " (active_intervals have at_least for that)" : "");
}

/* The measure of that name, of such an aggregate. False: reported, here or before. */
static bool measure_find(struct kpi_compile *compile, const struct named *named,
                         enum kpi_aggregate wanted, uint32_t *ret_measure)
{
    struct kpi_measure_work *measure = kpi_measures_find(compile, named->name);

    if (!measure) {
        measure_unknown(compile, named);
        return false;
    }
    measure->used = true;
    *ret_measure = (uint32_t)(measure - compile->measures);
    if (measure->broken)
        return false;
    if (measure->aggregate == wanted && measure->level <= 1)
        return true;
    measure_refuse(compile, named, measure, wanted);
    return false;
}

static struct named named_of(const struct kpi_text *text)
{
    return (struct named){kpi_text_string(text), kpi_place_text(text)};
}

/* `first_time(signups)` says both who starts and who is of the cohort. False: reported. */
static bool start_read(struct kpi_compile *compile, struct kpi_table_work *work,
                       struct named *ret_named)
{
    const struct kpi_text *text = &work->definition->start;
    const struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);

    if (!node)
        return false;
    *ret_named = named_of(text);
    if (node->kind == KPI_NODE_NAME)
        return true;
    for (uint32_t i = 0; i < sizeof(cohort_names) / sizeof(*cohort_names); ++i) {
        if (node->kind != KPI_NODE_CALL || node->n_children != 1 ||
            node->first->kind != KPI_NODE_NAME || !kpi_string_equal(node->string, cohort_names[i]))
            continue;
        *ret_named = (struct named){node->first->string, kpi_place_node(text, node->first)};
        if (work->definition->cohort_text.length > 0 && work->cohort != i) {
            kpi_error(compile->diag, kpi_place_text(&work->definition->cohort_text),
                      KPI_NO_SUGGESTION, "the start says that the cohort is %S", node->string);
            return false;
        }
        work->cohort = (enum kpi_table_cohort)i;
        return true;
    }
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
              "a start is a measure, or first_time(measure), first_ever(measure) or "
              "recurring(measure)");
    return false;
}

/* What of a filter says which types it takes, or NULL. */
static struct kpi_cond *types_of(struct kpi_cond *where)
{
    struct kpi_cond *child;

    if (!where)
        return NULL;
    if (where->kind == KPI_COND_STRING && where->first->kind == KPI_COND_TYPE && !where->negated)
        return where;
    if (where->kind != KPI_COND_AND)
        return NULL;
    for (child = where->first; child; child = child->next) {
        if (child->kind == KPI_COND_STRING && child->first->kind == KPI_COND_TYPE &&
            !child->negated)
            return child;
    }
    return NULL;
}

/* Whether a user's first event of a type is a start event is told by two times. */
static bool first_ever_compile(struct kpi_compile *compile, struct kpi_table_work *work,
                               const struct named *start)
{
    const struct kpi_table_definition *definition = work->definition;
    struct kpi_cond *where = compile->measures[work->measure].where, *types = types_of(where);

    if (definition->by.n_dimensions > 0) {
        kpi_error(
            compile->diag, kpi_place_text(&definition->by.dimensions[0]), KPI_NO_SUGGESTION,
            "a cohort of first_ever is not broken down: a user's first event is one, whatever "
            "it is by; first_time has a first one in each group");
        return false;
    }
    if (!types) {
        kpi_error(compile->diag, start->place, KPI_NO_SUGGESTION,
                  "first_ever looks at the first event of a type, and the filter of \"%S\" does "
                  "not say of which: it needs type == or type in",
                  start->name);
        return false;
    }
    work->first_start = kpi_attributes_first_time(compile, &definition->name, where);
    work->first_type = kpi_attributes_first_time(compile, &definition->name, types);
    return true;
}

/* What says when users came must be one time for each of them. */
static bool cohort_check(struct kpi_compile *compile, const struct kpi_table_work *work)
{
    const struct kpi_table_definition *definition = work->definition;

    if (definition->kind != KPI_TABLE_RETENTION || definition->basis != KPI_TABLE_ELAPSED ||
        work->cohort != KPI_TABLE_RECURRING)
        return true;
    kpi_error(compile->diag,
              kpi_place_text(definition->cohort_text.length ? &definition->cohort_text
                                                            : &definition->start),
              KPI_NO_SUGGESTION,
              "basis elapsed counts from a user's first start, so its cohort cannot be recurring");
    return false;
}

static uint64_t fingerprint(struct kpi_compile *compile, const struct kpi_table_work *work)
{
    const struct kpi_table_definition *definition = work->definition;
    struct kpi_writer writer = {.mem = compile->mem};
    uint64_t hash;

    kpi_writer_format(&writer, "table %d %x %x basis %d cohort %d mode %d percent %d both %d",
                      (int64_t)definition->kind, compile->measures[work->measure].fingerprint,
                      compile->measures[work->back].fingerprint, (int64_t)definition->basis,
                      (int64_t)work->cohort, (int64_t)definition->mode,
                      (int64_t)definition->percent, (int64_t)definition->match_both);
    kpi_writer_format(&writer, " periods %d over %d at least %d last %d zone %S week %d",
                      (int64_t)definition->periods, (int64_t)definition->over,
                      (int64_t)definition->at_least, (int64_t)definition->last,
                      compile->in->zones[0].name, (int64_t)compile->in->week_start);
    for (uint32_t i = 0; i < definition->n_brackets; ++i)
        kpi_writer_format(&writer, " [%d, %d)", (int64_t)definition->brackets[i].from,
                          (int64_t)definition->brackets[i].to);
    if (definition->trailing)
        kpi_writer_format(&writer, " trailing %d", (int64_t)definition->trailing);
    for (uint32_t i = 0; i < work->by.n; ++i)
        kpi_writer_format(&writer, " by %x",
                          compile->dimensions[work->by.dimensions[i]].fingerprint);
    if (work->bounced != KPI_NO_INDEX)
        kpi_writer_format(&writer, " bounced %x", compile->measures[work->bounced].fingerprint);
    hash = XXH3_64bits(writer.data, writer.length);
    compile->temp.failed |= writer.failed;
    kpi_writer_deinit(&writer);
    return hash;
}

static bool table_compile(struct kpi_compile *compile, struct kpi_table_work *work)
{
    const struct kpi_table_definition *definition = work->definition;
    struct named start = named_of(&definition->start), back, bounced;
    bool good = definition->kind != KPI_TABLE_RETENTION || start_read(compile, work, &start);
    enum kpi_aggregate of =
        definition->kind == KPI_TABLE_SESSIONS ? KPI_AGGREGATE_QUANTILES : KPI_AGGREGATE_LEVEL;

    good = good && measure_find(compile, &start, of, &work->measure);
    work->back = work->measure;
    if (definition->back.length > 0) {
        back = named_of(&definition->back);
        good &= measure_find(compile, &back, KPI_AGGREGATE_LEVEL, &work->back);
    }
    if (definition->bounced.length > 0) {
        bounced = named_of(&definition->bounced);
        good &= measure_find(compile, &bounced, KPI_AGGREGATE_COUNT, &work->bounced);
    }
    good &= cohort_check(compile, work);
    good &= kpi_breakdown_read(compile, &definition->by, &work->by);
    if (good && work->cohort == KPI_TABLE_FIRST_EVER)
        good = first_ever_compile(compile, work, &start);
    return good;
}

/* One that was broken before it came here is left out. */
void kpi_tables_compile(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    const struct kpi_names_seen seen = {"table", in->tables, sizeof(*in->tables)};

    for (uint32_t i = 0; i < in->n_tables; ++i) {
        struct kpi_table_work *work = &compile->tables[compile->n_tables];
        bool named = kpi_name_check(compile, &seen, i);

        *work = (struct kpi_table_work){
            .definition = &in->tables[i], .cohort = in->tables[i].cohort, .bounced = KPI_NO_INDEX};
        if (in->tables[i].start.length == 0 || !table_compile(compile, work) || !named)
            continue;
        work->fingerprint = fingerprint(compile, work);
        compile->n_tables++;
    }
}

uint32_t kpi_tables_minutes(const struct kpi_compile *compile,
                            bool (*share)(const struct kpi_measure_work *a,
                                          const struct kpi_measure_work *b),
                            const struct kpi_measure_work *measure)
{
    for (uint32_t i = 0; i < compile->n_tables; ++i) {
        const struct kpi_table_work *work = &compile->tables[i];

        if ((work->definition->basis == KPI_TABLE_HOUR ||
             work->definition->basis == KPI_TABLE_ELAPSED) &&
            (share(&compile->measures[work->measure], measure) ||
             share(&compile->measures[work->back], measure) ||
             (work->bounced != KPI_NO_INDEX && share(&compile->measures[work->bounced], measure))))
            return 60;
    }
    return 0;
}

/* --- in the program --- */

static void info_fill(struct assembler *assembler, const struct kpi_table_work *work,
                      struct kpi_table_info *info)
{
    const struct kpi_table_definition *definition = work->definition;
    const struct kpi_compile *compile = assembler->compile;
    struct kpi_pool *pool = &assembler->plan->pool;

    *info = (struct kpi_table_info){
        .name = kpi_pool_string(pool, kpi_text_string(&definition->name)),
        .title_en = kpi_pool_string(pool, kpi_text_string(&definition->title_en)),
        .title_zh = kpi_pool_string(pool, kpi_text_string(&definition->title_zh)),
        .kind = definition->kind,
        .basis = definition->basis,
        .start = kpi_pool_string(
            pool, kpi_text_string(&compile->measures[work->measure].definition->name)),
        .back =
            kpi_pool_string(pool, kpi_text_string(&compile->measures[work->back].definition->name)),
        .bounced = kpi_pool_string(pool, kpi_text_string(&definition->bounced)),
        .cohort = work->cohort,
        .mode = definition->mode,
        .percent = definition->percent,
        .periods = definition->periods,
        .brackets = kpi_pool_copy(pool, definition->brackets,
                                  definition->n_brackets * sizeof(*definition->brackets)),
        .n_brackets = definition->n_brackets,
        .over = definition->over,
        .trailing = definition->trailing,
        .at_least = definition->at_least,
        .last = definition->last,
        .fingerprint = work->fingerprint,
    };
    if (info->title_en.length == 0)
        info->title_en = info->name;
    if (info->title_zh.length == 0)
        info->title_zh = info->name;
}

/* Instances of the whole, and their levels as far as intervals ask for them. */
static int whole_make(struct assembler *assembler, const struct kpi_table_work *work,
                      struct kpi_table *table)
{
    uint32_t level = table->info.kind == KPI_TABLE_ACTIVE_INTERVALS ? table->info.at_least : 1;
    int r =
        kpi_assemble_levels(assembler, work->measure, level, 0, KPI_DIMENSIONS_NONE, &table->start);

    table->back = table->start;
    table->bounced = table->bounced_by = KPI_NO_INDEX;
    if (r == 0 && work->back != work->measure)
        r = kpi_assemble_levels(assembler, work->back, 1, 0, KPI_DIMENSIONS_NONE, &table->back);
    if (r == 0 && work->bounced != KPI_NO_INDEX)
        r = kpi_assemble_instance(assembler, work->bounced, 0, KPI_DIMENSIONS_NONE,
                                  &table->bounced);
    return r;
}

static void firsts_keep(struct assembler *assembler, const struct kpi_table_work *work,
                        struct kpi_table *table)
{
    const struct kpi_attribute_work *works = assembler->compile->attributes;

    if (work->cohort != KPI_TABLE_FIRST_EVER)
        return;
    table->first_start = works[work->first_start].program;
    table->first_type = works[work->first_type].program;
}

static int groups_make(struct assembler *assembler, const struct kpi_table_work *work,
                       struct kpi_table *table)
{
    uint32_t level = table->info.kind == KPI_TABLE_ACTIVE_INTERVALS ? table->info.at_least : 1;
    struct kpi_breakdown_info *by = kpi_pool_alloc(&assembler->plan->pool, sizeof(*by));
    uint32_t dimensions;
    int r;

    table->set = KPI_NO_INDEX;
    if (work->by.n == 0)
        return 0;
    if (!by)
        return -ENOMEM;
    kpi_assemble_info(assembler, &work->by, by);
    table->info.by = by;
    r = kpi_assemble_set(assembler, &work->by, true, table->places, &table->set);
    dimensions = KPI_DIMENSIONS_SETS + table->set;
    if (r == 0)
        r = kpi_assemble_levels(assembler, work->measure, level, 0, dimensions, &table->start_by);
    table->back_by = table->back;
    if (r == 0 && (work->definition->match_both || table->info.kind == KPI_TABLE_SESSIONS))
        r = kpi_assemble_levels(assembler, work->back, 1, 0, dimensions, &table->back_by);
    if (r == 0 && work->bounced != KPI_NO_INDEX)
        r = kpi_assemble_instance(assembler, work->bounced, 0, dimensions, &table->bounced_by);
    return r;
}

static uint64_t instance_hash(const struct assembler *assembler, uint32_t instance, uint64_t before)
{
    const struct kpi_instance *instances = assembler->instances.data;
    uint64_t fingerprint = instance == KPI_NO_INDEX ? 0 : instances[instance].fingerprint;

    return XXH3_64bits_withSeed(&fingerprint, sizeof(fingerprint), before);
}

/* Of the cells and attributes that a table is made of. */
static uint64_t state_hash(const struct assembler *assembler, const struct kpi_table *table)
{
    const struct kpi_attribute *attributes = assembler->attributes.data;
    uint64_t hash = instance_hash(assembler, table->start, table->info.at_least);

    hash = instance_hash(assembler, table->back, hash);
    hash = instance_hash(assembler, table->bounced, hash);
    if (table->set != KPI_NO_INDEX) {
        hash = instance_hash(assembler, table->start_by, hash);
        hash = instance_hash(assembler, table->back_by, hash);
        hash = instance_hash(assembler, table->bounced_by, hash);
    }
    if (table->info.cohort == KPI_TABLE_FIRST_EVER) {
        const uint64_t firsts[] = {attributes[table->first_start].fingerprint,
                                   attributes[table->first_type].fingerprint};

        hash = XXH3_64bits_withSeed(firsts, sizeof(firsts), hash);
    }
    return hash;
}

int kpi_assemble_tables(struct assembler *assembler)
{
    const struct kpi_compile *compile = assembler->compile;
    struct kpi_plan *plan = assembler->plan;
    struct kpi_table *tables = kpi_pool_alloc(&plan->pool, compile->n_tables * sizeof(*tables));
    int r = tables ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < compile->n_tables && r == 0; ++i) {
        info_fill(assembler, &compile->tables[i], &tables[i].info);
        r = whole_make(assembler, &compile->tables[i], &tables[i]);
        firsts_keep(assembler, &compile->tables[i], &tables[i]);
        if (r == 0)
            r = groups_make(assembler, &compile->tables[i], &tables[i]);
        if (r == 0)
            tables[i].info.state = state_hash(assembler, &tables[i]);
        plan->tables_hash =
            XXH3_64bits_withSeed(tables[i].info.name.data, tables[i].info.name.length,
                                 plan->tables_hash + tables[i].info.fingerprint);
    }
    plan->program.tables = tables;
    plan->program.n_tables = compile->n_tables;
    return r;
}
