/*
 * Breakdowns in the program: each has a set of dimensions, and leaves whose instances are of it.
 */
#include "spec/assemble.h"

#include <xxhash.h>

/* Dimensions that mean the same share one in the program. */
static int dimension_intern(struct assembler *assembler, uint32_t index, uint32_t *ret_index)
{
    const struct kpi_compile *compile = assembler->compile;
    const struct kpi_dimension_work *work = &compile->dimensions[index];
    struct kpi_dimension *dimension = assembler->dimensions.data;
    uint32_t n = assembler->dimensions.n;

    for (*ret_index = 0; *ret_index < n; ++*ret_index) {
        if (dimension[*ret_index].fingerprint == work->fingerprint)
            return 0;
    }
    dimension = kpi_vector_push(&assembler->dimensions);
    if (!dimension)
        return -ENOMEM;
    *dimension = (struct kpi_dimension){
        .fingerprint = work->fingerprint,
        .kind = work->kind,
        .index = work->index,
        .values_max = work->values_max,
    };
    if (work->kind == KPI_DIMENSION_CONDITION)
        return kpi_conditions_intern(&assembler->conditions, work->where, &dimension->index);
    if (work->kind == KPI_DIMENSION_ATTRIBUTE) {
        const struct kpi_attribute_work *attribute = &compile->attributes[work->index];

        dimension->index = attribute->program;
        dimension->is_bool =
            (attribute->kind == KPI_ATTRIBUTE_FIRST || attribute->kind == KPI_ATTRIBUTE_LAST) &&
            compile->fields[attribute->field].use == KPI_USE_BOOL;
    }
    return 0;
}

/* Puts a dimension where its fingerprint belongs; one that means the same as another is left out.
 */
static void set_add(const struct kpi_dimension *dimensions, struct kpi_dimension_set *set,
                    uint32_t dimension)
{
    uint32_t at = set->n;

    while (at > 0 &&
           dimensions[set->dimensions[at - 1]].fingerprint >= dimensions[dimension].fingerprint) {
        --at;
        if (set->dimensions[at] == dimension)
            return;
    }
    memmove(&set->dimensions[at + 1], &set->dimensions[at],
            (set->n - at) * sizeof(*set->dimensions));
    set->dimensions[at] = dimension;
    ++set->n;
}

/*
 * The values of a single dimension are bounded by its own limit, with room for none and __other__;
 * combinations by that of all.
 */
static int set_intern(struct assembler *assembler, struct kpi_dimension_set *set,
                      uint32_t *ret_index)
{
    const struct kpi_dimension *dimensions = assembler->dimensions.data;
    struct kpi_dimension_set *sets = assembler->sets.data;
    uint64_t parts[KPI_BREAKDOWN_DIMENSIONS_MAX + 1];

    set->tuples_max = set->n == 1 ? dimensions[set->dimensions[0]].values_max + 2
                                  : assembler->compile->in->values_max;
    for (uint32_t i = 0; i < set->n; ++i)
        parts[i] = dimensions[set->dimensions[i]].fingerprint;
    parts[set->n] = set->tuples_max;
    set->fingerprint = XXH3_64bits_withSeed(parts, (set->n + 1) * sizeof(*parts), set->total);
    for (*ret_index = 0; *ret_index < assembler->sets.n; ++*ret_index) {
        if (sets[*ret_index].fingerprint == set->fingerprint)
            return 0;
    }
    sets = kpi_vector_push(&assembler->sets);
    if (!sets)
        return -ENOMEM;
    *sets = *set;
    return 0;
}

static struct kpi_string title(struct kpi_pool *pool, const struct kpi_text *text,
                               struct kpi_string name)
{
    return text->length > 0 ? kpi_pool_string(pool, kpi_text_string(text)) : name;
}

void kpi_assemble_info(struct assembler *assembler, const struct kpi_breakdown_work *work,
                       struct kpi_breakdown_info *info)
{
    const struct kpi_definitions *in = assembler->compile->in;
    struct kpi_pool *pool = &assembler->plan->pool;

    info->n_dimensions = work->n;
    for (uint32_t i = 0; i < work->n; ++i) {
        const struct kpi_text *text = assembler->compile->dimensions[work->dimensions[i]].name;
        struct kpi_dimension_info *dimension = &info->dimensions[i];

        dimension->name = kpi_pool_string(pool, kpi_text_string(text));
        dimension->title_en = dimension->title_zh = dimension->name;
        if (work->dimensions[i] >= in->n_dimensions) {
            const struct kpi_segment_definition *segment =
                &in->segments[work->dimensions[i] - in->n_dimensions];

            dimension->title_en = title(pool, &segment->title_en, dimension->name);
            dimension->title_zh = title(pool, &segment->title_zh, dimension->name);
        }
    }
}

/* Which leaves the KPIs of a breakdown need, by leaf. */
static bool *leaves_wanted(struct assembler *assembler, const struct kpi_breakdown_work *work)
{
    const struct kpi_leaf_work *works = assembler->compile->leaves.data;
    const struct kpi_plan *plan = assembler->plan;
    bool *wanted =
        kpi_pool_alloc(&assembler->compile->temp, plan->program.n_leaves * sizeof(*wanted));

    for (uint32_t kpi = 0; wanted && kpi < plan->n_kpis; ++kpi) {
        const struct kpi_formula *formula = &plan->formulas[kpi];

        for (uint32_t i = 0; work->kpis[kpi] && i < formula->n_leaves; ++i)
            wanted[works[formula->leaves[i]].index] = true;
    }
    return wanted;
}

/* Gauges have no dimensions. */
static bool is_total(const struct kpi_leaf_work *leaf)
{
    return leaf->total && leaf->kind != KPI_LEAF_GAUGE;
}

static bool is_foreign(const struct kpi_leaf_work *leaf)
{
    return is_total(leaf) || leaf->shift.kind == KPI_SHIFT_CAMPAIGN;
}

/* Is there a leaf of that kind among them? */
static bool wants(struct assembler *assembler, const struct kpi_breakdown_work *work,
                  bool (*is)(const struct kpi_leaf_work *leaf))
{
    const struct kpi_leaf_work *works = assembler->compile->leaves.data;
    const bool *wanted = leaves_wanted(assembler, work);

    for (uint32_t i = 0; wanted && i < assembler->compile->leaves.n; ++i) {
        if (wanted[works[i].index] && is(&works[i]))
            return true;
    }
    return false;
}

int kpi_assemble_set(struct assembler *assembler, const struct kpi_breakdown_work *work, bool total,
                     uint8_t *ret_places, uint32_t *ret_set)
{
    uint32_t dimensions[KPI_BREAKDOWN_DIMENSIONS_MAX];
    struct kpi_dimension_set set = {.total = total};
    int r;

    for (uint32_t i = 0; i < work->n; ++i) {
        r = dimension_intern(assembler, work->dimensions[i], &dimensions[i]);
        if (r < 0)
            return r;
        set_add(assembler->dimensions.data, &set, dimensions[i]);
    }
    for (uint32_t i = 0; i < work->n; ++i) {
        ret_places[i] = 0;
        while (set.dimensions[ret_places[i]] != dimensions[i])
            ++ret_places[i];
    }
    return set_intern(assembler, &set, ret_set);
}

static int set_make(struct assembler *assembler, const struct kpi_breakdown_work *work,
                    struct kpi_breakdown *breakdown)
{
    int r = kpi_assemble_set(assembler, work, false, breakdown->places, &breakdown->set);

    breakdown->total_set = KPI_NO_INDEX;
    breakdown->spreads = wants(assembler, work, is_foreign);
    if (r == 0 && wants(assembler, work, is_total))
        r = kpi_assemble_set(assembler, work, true, breakdown->places, &breakdown->total_set);
    return r;
}

/* The leaf of a breakdown that answers to one of the program. 0 or -ENOMEM. */
static int leaf_make(struct assembler *assembler, const struct kpi_leaf *leaf,
                     const struct kpi_leaf_work *work, struct kpi_breakdown *breakdown,
                     struct kpi_leaf *ret_leaf, uint32_t *ret_row)
{
    struct kpi_plan *plan = assembler->plan;
    uint32_t *instances;
    int r;

    *ret_leaf = *leaf;
    *ret_row = KPI_NO_INDEX;
    if (leaf->kind == KPI_LEAF_GAUGE) {
        ret_leaf->instance = NULL; /* the whole's row serves */
        return 0;
    }
    instances = kpi_pool_alloc(&plan->pool, plan->n_zones * sizeof(*instances));
    r = instances ? 0 : -ENOMEM;

    for (uint32_t zone = 0; zone < plan->n_zones && r == 0; ++zone) {
        uint32_t set = work->total ? breakdown->total_set : breakdown->set;

        instances[zone] = KPI_NO_INDEX;
        if (leaf->instance[zone] != KPI_NO_INDEX)
            r = kpi_assemble_instance(assembler, work->measure, zone, KPI_DIMENSIONS_SETS + set,
                                      &instances[zone]);
    }
    ret_leaf->instance = instances;
    *ret_row = breakdown->n_rows;
    breakdown->n_rows += kpi_leaf_n_rows(leaf->kind);
    return r;
}

static int leaves_make(struct assembler *assembler, const struct kpi_breakdown_work *work,
                       struct kpi_breakdown *breakdown)
{
    const struct kpi_leaf_work *works = assembler->compile->leaves.data;
    struct kpi_plan *plan = assembler->plan;
    uint32_t n = plan->program.n_leaves;
    struct kpi_leaf *leaves = kpi_pool_alloc(&plan->pool, n * sizeof(*leaves));
    uint32_t *leaf_rows = kpi_pool_alloc(&plan->pool, n * sizeof(*leaf_rows));
    const struct kpi_leaf_work **order =
        kpi_pool_alloc(&assembler->compile->temp, n * sizeof(*order));
    bool *wanted = leaves_wanted(assembler, work);
    int r = leaves && leaf_rows && order && wanted ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; ++i)
        order[works[i].index] = &works[i];
    for (uint32_t i = 0; i < n && r == 0; ++i) {
        leaf_rows[i] = KPI_NO_INDEX;
        if (wanted[i])
            r = leaf_make(assembler, &plan->program.leaves[i], order[i], breakdown, &leaves[i],
                          &leaf_rows[i]);
    }
    breakdown->leaves = leaves;
    breakdown->leaf_rows = leaf_rows;
    return r;
}

static uint64_t fingerprint(const struct kpi_plan *plan, const struct kpi_dimension_set *sets,
                            const struct kpi_breakdown *breakdown)
{
    uint64_t hash = sets[breakdown->set].fingerprint;

    for (uint32_t i = 0; i < breakdown->info.n_dimensions; ++i) {
        struct kpi_string name = breakdown->info.dimensions[i].name;

        hash = XXH3_64bits_withSeed(name.data, name.length, hash + breakdown->places[i]);
    }
    for (uint32_t i = 0; i < plan->program.n_leaves; ++i) {
        if (breakdown->leaves[i].instance)
            hash = XXH3_64bits_withSeed(&plan->leaf_fingerprints[i], sizeof(uint64_t), hash);
    }
    return hash;
}

int kpi_assemble_breakdowns(struct assembler *assembler)
{
    const struct kpi_breakdown_work *works = assembler->compile->breakdowns.data;
    struct kpi_plan *plan = assembler->plan;
    uint32_t n = assembler->compile->breakdowns.n;
    struct kpi_breakdown *breakdowns = kpi_pool_alloc(&plan->pool, n * sizeof(*breakdowns));
    int r = breakdowns ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; ++i) {
        breakdowns[i].kpis = works[i].kpis;
        kpi_assemble_info(assembler, &works[i], &breakdowns[i].info);
        r = set_make(assembler, &works[i], &breakdowns[i]);
        if (r == 0)
            r = leaves_make(assembler, &works[i], &breakdowns[i]);
        if (r < 0)
            return r;
        breakdowns[i].fingerprint = fingerprint(plan, assembler->sets.data, &breakdowns[i]);
        plan->breakdowns_hash = XXH3_64bits_withSeed(&breakdowns[i].fingerprint, sizeof(uint64_t),
                                                     plan->breakdowns_hash);
    }
    plan->program.breakdowns = breakdowns;
    plan->program.n_breakdowns = n;
    return r < 0 || plan->pool.failed ? -ENOMEM : 0;
}
