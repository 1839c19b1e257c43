/*
 * The program: attributes to slots, leaves to instances, types to actions.
 */
#include "spec/assemble.h"
#include "spec/capped.h"
#include "spec/redirect.h"
#include "spec/grains.h"

#include <stdlib.h>
#include <xxhash.h>

static void assembler_init(struct assembler *assembler, struct kpi_compile *compile)
{
    *assembler = (struct assembler){.compile = compile, .plan = compile->plan};
    kpi_conditions_init(&assembler->conditions, compile);
    kpi_vector_init(&assembler->attributes, compile->mem, sizeof(struct kpi_attribute));
    kpi_vector_init(&assembler->attribute_sources, compile->mem,
                    sizeof(struct kpi_attribute_source));
    kpi_vector_init(&assembler->parts, compile->mem, sizeof(struct kpi_update_source));
    kpi_vector_init(&assembler->instances, compile->mem, sizeof(struct kpi_instance));
    kpi_vector_init(&assembler->instance_sources, compile->mem, sizeof(uint32_t));
    kpi_intern_init(&assembler->instance_index, compile->mem);
    kpi_vector_init(&assembler->dimensions, compile->mem, sizeof(struct kpi_dimension));
    kpi_vector_init(&assembler->sets, compile->mem, sizeof(struct kpi_dimension_set));
    kpi_vector_init(&assembler->types, compile->mem, sizeof(struct kpi_string));
    kpi_intern_init(&assembler->type_index, compile->mem);
    kpi_vector_init(&assembler->marks, compile->mem, sizeof(struct kpi_funnel_mark));
    kpi_vector_init(&assembler->actions, compile->mem, sizeof(struct kpi_action));
    kpi_pool_init(&assembler->scratch, compile->mem);
}

static void assembler_deinit(struct assembler *assembler)
{
    kpi_conditions_deinit(&assembler->conditions);
    kpi_vector_deinit(&assembler->attributes);
    kpi_vector_deinit(&assembler->attribute_sources);
    kpi_vector_deinit(&assembler->parts);
    kpi_vector_deinit(&assembler->instances);
    kpi_vector_deinit(&assembler->instance_sources);
    kpi_intern_deinit(&assembler->instance_index);
    kpi_vector_deinit(&assembler->dimensions);
    kpi_vector_deinit(&assembler->sets);
    kpi_vector_deinit(&assembler->types);
    kpi_intern_deinit(&assembler->type_index);
    kpi_vector_deinit(&assembler->marks);
    kpi_vector_deinit(&assembler->actions);
    kpi_pool_deinit(&assembler->scratch);
}

/* See struct kpi_attribute. */
static uint32_t attribute_slots(const struct kpi_attribute_work *work)
{
    bool has_time = work->kind == KPI_ATTRIBUTE_FIRST || work->kind == KPI_ATTRIBUTE_LAST ||
                    ((work->kind == KPI_ATTRIBUTE_MIN || work->kind == KPI_ATTRIBUTE_MAX) &&
                     work->definition->within);

    if (work->kind == KPI_ATTRIBUTE_SESSION)
        return work->session.n_open * kpi_session_slots(&work->session);
    if (work->kind == KPI_ATTRIBUTE_SET)
        return 2 * work->n_values;
    return 1 + has_time + (work->definition->reset ? 2 : 0);
}

/* Definitions that mean the same share an attribute, and so its slots. */
static int attributes_assemble(struct assembler *assembler)
{
    struct kpi_compile *compile = assembler->compile;
    uint32_t n_slots = 0;

    for (uint32_t i = 0; i < compile->n_attributes + compile->n_hidden; ++i) {
        struct kpi_attribute_work *work = &compile->attributes[i];
        struct kpi_attribute *attribute = assembler->attributes.data;
        struct kpi_attribute_source *source;
        uint32_t j;

        for (j = 0; j < assembler->attributes.n; ++j) {
            if (attribute[j].fingerprint == compile->attribute_fingerprints[i])
                break;
        }
        work->program = j;
        work->n_slots = attribute_slots(work);
        if (j < assembler->attributes.n) {
            work->slot = attribute[j].slot;
            continue;
        }
        attribute = kpi_vector_push(&assembler->attributes);
        source = kpi_vector_push(&assembler->attribute_sources);
        if (!attribute || !source)
            return -ENOMEM;
        *source =
            (struct kpi_attribute_source){kpi_text_string(&work->definition->name), work->where, i};
        work->slot = n_slots;
        *attribute = (struct kpi_attribute){
            .fingerprint = compile->attribute_fingerprints[i],
            .kind = work->kind,
            .field = work->field,
            .slot = n_slots,
            .n_slots = work->n_slots,
            .is_string = (work->kind == KPI_ATTRIBUTE_FIRST || work->kind == KPI_ATTRIBUTE_LAST ||
                          work->kind == KPI_ATTRIBUTE_SET) &&
                         compile->fields[work->field].use == KPI_USE_STRING,
            .reset = work->definition->reset,
            .within = work->definition->within,
        };
        n_slots += work->n_slots;
    }
    assembler->plan->program.n_slots = n_slots;
    return 0;
}

/* Conditions of attributes name slots of other ones, so they wait until all have theirs. */
static int attribute_conditions(struct assembler *assembler)
{
    const struct kpi_attribute_source *sources = assembler->attribute_sources.data;
    struct kpi_attribute *attributes = assembler->attributes.data;
    int r = 0;

    for (uint32_t i = 0; i < assembler->attributes.n && r == 0; ++i)
        r = kpi_conditions_intern(&assembler->conditions, sources[i].where,
                                  &attributes[i].condition);
    return r;
}

static uint64_t instance_fingerprint(struct assembler *assembler,
                                     const struct kpi_measure_work *measure,
                                     const struct kpi_instance *instance)
{
    static const char *const aggregates[] = {"count",  "sum",   "level",     "latest",
                                             "scores", "gauge", "quantiles", "capped"};
    struct kpi_compile *compile = assembler->compile;
    struct kpi_writer writer = {.mem = compile->mem};
    uint64_t fingerprint;

    kpi_writer_format(&writer, "instance %s%s(%d, %S, %S) where %S zone %S by %s",
                      instance->is_first ? "first " : "", aggregates[instance->aggregate],
                      (int64_t)instance->level,
                      kpi_aggregate_has_field(instance->aggregate)
                          ? compile->field_names[measure->field]
                          : KPI_STRING(""),
                      measure->answer ? measure->answer->text : KPI_STRING(""),
                      measure->where ? measure->where->text : KPI_STRING(""),
                      assembler->plan->zones[instance->zone].name,
                      instance->dimensions == KPI_DIMENSIONS_NONE ? "nothing" : "campaign");
    if (instance->dimensions >= KPI_DIMENSIONS_SETS) {
        const struct kpi_dimension_set *sets = assembler->sets.data;

        kpi_writer_format(&writer, " and %x",
                          sets[instance->dimensions - KPI_DIMENSIONS_SETS].fingerprint);
    }
    kpi_capped_write(compile, measure, &writer);
    kpi_redirect_write(compile, measure, &writer);
    kpi_writer_format(&writer, instance->minutes ? " grain %dm" : " grain day",
                      (int64_t)instance->minutes);
    fingerprint = XXH3_64bits(writer.data, writer.length);
    compile->temp.failed |= writer.failed;
    kpi_writer_deinit(&writer);
    return fingerprint;
}

static int instance_intern(struct assembler *assembler, const struct kpi_measure_work *measure,
                           struct kpi_instance wanted, uint32_t *ret_index)
{
    struct kpi_instance *instance;
    uint32_t *source;
    int r;

    wanted.fingerprint = instance_fingerprint(assembler, measure, &wanted);
    r = kpi_intern_add(&assembler->instance_index, wanted.fingerprint, ret_index);
    if (r <= 0)
        return r;
    r = kpi_conditions_intern(&assembler->conditions, measure->where, &wanted.condition);
    if (r < 0)
        return r;
    wanted.answer = KPI_NO_INDEX;
    if (measure->answer) {
        r = kpi_conditions_intern(&assembler->conditions, measure->answer, &wanted.answer);
        if (r < 0)
            return r;
    }
    instance = kpi_vector_push(&assembler->instances);
    source = kpi_vector_push(&assembler->instance_sources);
    if (!instance || !source)
        return -ENOMEM;
    *instance = wanted;
    *source = (uint32_t)(measure - assembler->compile->measures);
    return 0;
}

/* Are cells of these dimensions of all events, whatever their campaign? */
static bool is_total(const struct assembler *assembler, uint32_t dimensions)
{
    const struct kpi_dimension_set *sets = assembler->sets.data;

    return dimensions == KPI_DIMENSIONS_NONE ||
           (dimensions >= KPI_DIMENSIONS_SETS && sets[dimensions - KPI_DIMENSIONS_SETS].total);
}

int kpi_assemble_levels(struct assembler *assembler, uint32_t measure_index, uint32_t level,
                        uint32_t zone, uint32_t dimensions, uint32_t *ret_index)
{
    const struct kpi_measure_work *measure = &assembler->compile->measures[measure_index];
    bool levels = measure->aggregate == KPI_AGGREGATE_LEVEL;
    struct kpi_instance wanted = {
        .aggregate = measure->aggregate,
        .dimensions = dimensions,
        .zone = zone,
        .minutes = kpi_grains_minutes(assembler->compile, measure, is_total(assembler, dimensions)),
        .level = levels ? 1 : 0,
        .below = KPI_NO_INDEX,
        .above = KPI_NO_INDEX,
        .field = kpi_aggregate_has_field(measure->aggregate) ? measure->field : 0,
        .is_first = measure->is_first,
        .sum = measure->sum ? measure->sum->program : KPI_NO_INDEX,
        .less = measure->less ? measure->less->program : KPI_NO_INDEX,
        .most = measure->most,
        .at = measure->at ? measure->at->program : KPI_NO_INDEX,
        .campaign = measure->campaign ? measure->campaign->program : KPI_NO_INDEX,
    };
    int r = instance_intern(assembler, measure, wanted, ret_index);

    wanted.below = *ret_index;
    for (wanted.level = 2; r == 0 && levels && wanted.level <= level; ++wanted.level) {
        struct kpi_instance *instances;
        uint32_t index;

        r = instance_intern(assembler, measure, wanted, &index);
        if (r < 0)
            break;
        instances = assembler->instances.data;
        instances[wanted.below].above = index;
        wanted.below = index;
    }
    return r;
}

int kpi_assemble_instance(struct assembler *assembler, uint32_t measure_index, uint32_t zone,
                          uint32_t dimensions, uint32_t *ret_index)
{
    return kpi_assemble_levels(assembler, measure_index,
                               assembler->compile->measures[measure_index].level, zone, dimensions,
                               ret_index);
}

static int leaf_order(const void *a, const void *b)
{
    const struct kpi_leaf_work *x = *(struct kpi_leaf_work *const *)a;
    const struct kpi_leaf_work *y = *(struct kpi_leaf_work *const *)b;

    return (x->fingerprint > y->fingerprint) - (x->fingerprint < y->fingerprint);
}

static int leaf_instances(struct assembler *assembler, const struct kpi_leaf_work *work,
                          const bool *zone_used, uint32_t *instances, uint32_t *returns)
{
    int r = 0;

    for (uint32_t zone = 0; zone < assembler->plan->n_zones && r == 0; ++zone) {
        instances[zone] = returns[zone] = KPI_NO_INDEX;
        if (!zone_used[zone])
            continue;
        r = kpi_assemble_instance(assembler, work->measure, zone,
                                  work->total ? KPI_DIMENSIONS_NONE : KPI_DIMENSIONS_CAMPAIGN,
                                  &instances[zone]);
        if (r == 0 && work->kind == KPI_LEAF_RETAINED)
            r = kpi_assemble_instance(assembler, work->return_measure, zone,
                                      work->match_both && !work->total ? KPI_DIMENSIONS_CAMPAIGN
                                                                       : KPI_DIMENSIONS_NONE,
                                      &returns[zone]);
    }
    return r;
}

/* Are two leaves about the same values? */
static bool same_values(const struct kpi_compile *compile, const struct kpi_leaf_work *a,
                        const struct kpi_leaf_work *b)
{
    return b->kind == KPI_LEAF_QUANTILE && a->total == b->total && a->shift.kind == b->shift.kind &&
           a->shift.n == b->shift.n && a->mature == b->mature && a->trailing == b->trailing &&
           compile->measures[a->measure].fingerprint == compile->measures[b->measure].fingerprint;
}

/* Quantiles of the same values come from one sketch. */
static void sketches_assemble(struct assembler *assembler, struct kpi_leaf *leaves)
{
    const struct kpi_leaf_work *works = assembler->compile->leaves.data;
    uint32_t n = assembler->compile->leaves.n;

    for (uint32_t i = 0; i < n; ++i) {
        struct kpi_leaf *leaf = &leaves[works[i].index];

        if (works[i].kind != KPI_LEAF_QUANTILE)
            continue;
        leaf->sketch = works[i].index;
        for (uint32_t j = 0; j < n; ++j) {
            if (same_values(assembler->compile, &works[i], &works[j]) &&
                works[j].index < leaf->sketch)
                leaf->sketch = works[j].index;
        }
        assembler->plan->program.has_sketches = true;
    }
}

/*
 * Leaves stand in the order of their fingerprints, so that plans that differ only in the order of
 * definitions report the same rows.
 */
static int leaves_assemble(struct assembler *assembler)
{
    struct kpi_compile *compile = assembler->compile;
    struct kpi_plan *plan = assembler->plan;
    struct kpi_leaf_work *works = compile->leaves.data;
    uint32_t n = compile->leaves.n;
    struct kpi_leaf_work **order = kpi_pool_alloc(&compile->temp, n * sizeof(*order));
    struct kpi_leaf *leaves = kpi_pool_alloc(&plan->pool, n * sizeof(*leaves));
    bool zone_used[KPI_ZONES_MAX] = {false};
    int r;

    plan->leaf_fingerprints = kpi_pool_alloc(&plan->pool, n * sizeof(uint64_t));
    if (!order || !leaves || !plan->leaf_fingerprints)
        return -ENOMEM;
    for (uint32_t i = 0; i < plan->n_campaigns; ++i)
        zone_used[plan->campaigns[i].zone] = true;
    for (uint32_t i = 0; i < n; ++i)
        order[i] = &works[i];
    qsort(order, n, sizeof(*order), leaf_order);
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t *instances = kpi_pool_alloc(&plan->pool, plan->n_zones * sizeof(*instances));
        uint32_t *returns = kpi_pool_alloc(&plan->pool, plan->n_zones * sizeof(*returns));

        if (!instances || !returns)
            return -ENOMEM;
        order[i]->index = i;
        plan->leaf_fingerprints[i] = order[i]->fingerprint;
        r = leaf_instances(assembler, order[i], zone_used, instances, returns);
        if (r < 0)
            return r;
        leaves[i] = (struct kpi_leaf){
            .kind = order[i]->kind,
            .level = compile->measures[order[i]->measure].level,
            .basis = order[i]->basis,
            .mode = order[i]->mode,
            .cohort = order[i]->cohort,
            .from = order[i]->from,
            .to = order[i]->to,
            .share = order[i]->share,
            .shift = order[i]->shift,
            .total = order[i]->total,
            .mature = order[i]->mature,
            .trailing = order[i]->trailing,
            .instance = instances,
            .return_instance = returns,
        };
    }
    sketches_assemble(assembler, leaves);
    plan->program.leaves = leaves;
    plan->program.n_leaves = n;
    return 0;
}

/* Formulas were compiled before the leaves had their order. */
static void formulas_renumber(struct assembler *assembler)
{
    const struct kpi_leaf_work *works = assembler->compile->leaves.data;

    for (uint32_t i = 0; i < assembler->plan->n_formulas; ++i) {
        struct kpi_formula *formula = &assembler->plan->formulas[i];

        for (uint32_t j = 0; j < formula->n_numerator + formula->n_denominator; ++j) {
            if (formula->terms[j].kind == KPI_TERM_LEAF)
                formula->terms[j].leaf = works[formula->terms[j].leaf].index;
        }
        for (uint32_t j = 0; j < formula->n_leaves; ++j)
            formula->leaves[j] = works[formula->leaves[j]].index;
        if (formula->both_sides != KPI_NO_INDEX)
            formula->both_sides = works[formula->both_sides].index;
    }
}

static int type_add(struct assembler *assembler, struct kpi_string type)
{
    struct kpi_string *added;
    uint32_t index;
    int r = kpi_intern_add(&assembler->type_index, XXH3_64bits(type.data, type.length), &index);

    if (r != KPI_INTERN_E_NEW)
        return r < 0 ? r : 0;
    added = kpi_vector_push(&assembler->types);
    if (!added)
        return -ENOMEM;
    *added = type;
    return 0;
}

/* Notes the types that a condition names. */
static int types_collect(struct assembler *assembler, const struct kpi_cond *cond)
{
    int r;

    if (!cond)
        return 0;
    if (cond->kind == KPI_COND_STRING && cond->first->kind == KPI_COND_TYPE) {
        for (uint32_t i = 0; i < cond->n_list; ++i) {
            r = type_add(assembler, cond->strings[i]);
            if (r < 0)
                return r;
        }
    }
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        r = types_collect(assembler, child);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Types that mean something to the engine itself, whatever is defined. */
static const struct {
    const char *type;
    enum kpi_erasure erasure;
} erasures[] = {
    {"kpid.user_erased", KPI_ERASURE_ONCE},
    {"kpid.consent_withdrawn", KPI_ERASURE_FOR_GOOD},
};

static struct kpi_string erasure_type(size_t i)
{
    return (struct kpi_string){erasures[i].type, strlen(erasures[i].type)};
}

static enum kpi_erasure erasure_of(struct kpi_string type)
{
    for (size_t i = 0; i < sizeof(erasures) / sizeof(*erasures); ++i) {
        if (kpi_string_equal(type, erasure_type(i)))
            return erasures[i].erasure;
    }
    return KPI_ERASURE_NONE;
}

static int types_assemble(struct assembler *assembler)
{
    struct kpi_compile *compile = assembler->compile;
    const struct kpi_update_source *parts = assembler->parts.data;
    int r = 0;

    for (size_t i = 0; i < sizeof(erasures) / sizeof(*erasures) && r == 0; ++i)
        r = type_add(assembler, erasure_type(i));
    for (uint32_t i = 0; i < compile->n_attributes + compile->n_hidden && r == 0; ++i)
        r = types_collect(assembler, compile->attributes[i].where);
    for (uint32_t i = 0; i < assembler->parts.n && r == 0; ++i)
        r = types_collect(assembler, parts[i].where);
    for (uint32_t i = 0; i < compile->n_measures + compile->n_gauges && r == 0; ++i) {
        r = types_collect(assembler, compile->measures[i].where);
        if (r == 0)
            r = types_collect(assembler, compile->measures[i].answer);
    }
    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        for (uint32_t k = 0; k < compile->funnels[i].n_conditions && r == 0; ++k)
            r = types_collect(assembler, compile->funnels[i].conditions[k].where);
    }
    return r;
}

static int types_order(const void *a, const void *b)
{
    return kpi_string_compare(*(const struct kpi_string *)a, *(const struct kpi_string *)b);
}

/* Can a filter hold for events of types that nobody names? Then it does not mean sessions. */
static bool holds_for_any(struct assembler *assembler, struct kpi_cond *where, int *ret_r)
{
    const struct kpi_cond_names names = kpi_compile_names(assembler->compile);
    struct kpi_cond *rest;
    bool holds;

    if (!where)
        return true;
    rest = kpi_cond_specialise(&assembler->scratch, where, NULL, &names);
    holds = rest && (rest->kind != KPI_COND_CONSTANT || rest->number);
    *ret_r = rest ? 0 : -ENOMEM;
    kpi_pool_reset(&assembler->scratch);
    return holds;
}

/*
 * Adds what an event of this type does to `target` if the filter can hold; what a session does only
 * if the filter names it.
 */
static int action_add(struct assembler *assembler, struct kpi_cond *where, uint32_t target,
                      uint32_t part, const struct kpi_string *type)
{
    const struct kpi_cond_names names = kpi_compile_names(assembler->compile);
    struct kpi_action action = {target, KPI_NO_INDEX, part}, *added;
    int r = 0;

    if (type && kpi_session_of_type(assembler->compile, *type) != KPI_NO_INDEX &&
        (holds_for_any(assembler, where, &r) || r < 0))
        return r;
    if (where) {
        struct kpi_cond *rest = kpi_cond_specialise(&assembler->scratch, where, type, &names);

        if (!rest)
            return -ENOMEM;
        if (rest->kind == KPI_COND_CONSTANT && rest->number == 0) {
            kpi_pool_reset(&assembler->scratch);
            return 0;
        }
        r = kpi_conditions_intern(&assembler->conditions, rest, &action.condition);
        kpi_pool_reset(&assembler->scratch);
        if (r < 0)
            return r;
    }
    added = kpi_vector_push(&assembler->actions);
    if (!added)
        return -ENOMEM;
    *added = action;
    return 0;
}

/* One for each condition that can hold; in a strict funnel, one more that always does. */
static int funnel_actions(struct assembler *assembler, const struct kpi_funnel_work *funnel,
                          const struct kpi_string *type)
{
    uint32_t i;
    int r = 0;

    for (i = 0; i < funnel->n_conditions && r == 0; ++i)
        r = action_add(assembler, funnel->conditions[i].where, funnel->mark + i, 0, type);
    if (r == 0 && funnel->definition->order == KPI_FUNNEL_STRICT)
        r = action_add(assembler, NULL, funnel->mark + i, 0, type);
    return r;
}

/* The actions, updates and marks of one type; type NULL: of all that are not named. */
static int type_actions(struct assembler *assembler, const struct kpi_string *type,
                        struct kpi_dispatch *ret_dispatch)
{
    struct kpi_compile *compile = assembler->compile;
    const struct kpi_instance *instances = assembler->instances.data;
    const uint32_t *instance_sources = assembler->instance_sources.data;
    const struct kpi_attribute_source *attribute_sources = assembler->attribute_sources.data;
    const struct kpi_attribute *attributes = assembler->attributes.data;
    const struct kpi_update_source *parts = assembler->parts.data;
    uint32_t start = assembler->actions.n;
    int r = 0;

    for (uint32_t i = 0; i < assembler->instances.n && r == 0; ++i) {
        if (instances[i].level <= 1)
            r = action_add(assembler, compile->measures[instance_sources[i]].where, i, 0, type);
    }
    ret_dispatch->n_actions = assembler->actions.n - start;
    start = assembler->actions.n;
    for (uint32_t i = 0; i < assembler->attributes.n && r == 0; ++i) {
        if (attributes[i].kind != KPI_ATTRIBUTE_EXPERIMENT)
            r = action_add(assembler, attribute_sources[i].where, i, 0, type);
    }
    for (uint32_t i = 0; i < assembler->parts.n && r == 0; ++i)
        r = action_add(assembler, parts[i].where, parts[i].attribute, parts[i].part, type);
    ret_dispatch->n_updates = assembler->actions.n - start;
    if (ret_dispatch->n_updates > assembler->plan->program.n_updates_max)
        assembler->plan->program.n_updates_max = ret_dispatch->n_updates;
    start = assembler->actions.n;
    for (uint32_t i = 0; i < compile->n_funnels && r == 0; ++i)
        r = funnel_actions(assembler, &compile->funnels[i], type);
    ret_dispatch->n_marks = assembler->actions.n - start;
    return r;
}

static int dispatch_assemble(struct assembler *assembler)
{
    struct kpi_plan *plan = assembler->plan;
    struct kpi_string *types = assembler->types.data;
    uint32_t n = assembler->types.n;
    struct kpi_dispatch *dispatch = kpi_pool_alloc(&plan->pool, (n + 1) * sizeof(*dispatch));
    const struct kpi_action *actions;
    int r = dispatch ? 0 : -ENOMEM;

    if (n > 0)
        qsort(types, n, sizeof(*types), types_order);
    for (uint32_t i = 0; i <= n && r == 0; ++i) {
        if (i < n) {
            dispatch[i].type = kpi_pool_string(&plan->pool, types[i]);
            dispatch[i].hash = XXH3_64bits(types[i].data, types[i].length);
            dispatch[i].is_session =
                kpi_session_of_type(assembler->compile, types[i]) != KPI_NO_INDEX;
            dispatch[i].erasure = erasure_of(types[i]);
        }
        r = type_actions(assembler, i < n ? &types[i] : NULL, &dispatch[i]);
    }
    if (r < 0)
        return r;
    actions = kpi_pool_copy(&plan->pool, assembler->actions.data,
                            assembler->actions.n * sizeof(*actions));
    plan->n_type_slots = 16;
    while (plan->n_type_slots < 2 * n)
        plan->n_type_slots *= 2;
    plan->type_slots = kpi_pool_alloc(&plan->pool, plan->n_type_slots * sizeof(uint32_t));
    if (!actions || !plan->type_slots || plan->pool.failed)
        return -ENOMEM;
    for (uint32_t i = 0; i <= n; ++i) {
        dispatch[i].actions = actions;
        dispatch[i].updates = actions + dispatch[i].n_actions;
        dispatch[i].marks = dispatch[i].updates + dispatch[i].n_updates;
        actions = dispatch[i].marks + dispatch[i].n_marks;
    }
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t at = (uint32_t)dispatch[i].hash & (plan->n_type_slots - 1);

        while (plan->type_slots[at])
            at = (at + 1) & (plan->n_type_slots - 1);
        plan->type_slots[at] = i + 1;
    }
    plan->program.types = dispatch;
    plan->program.n_types = n;
    return 0;
}

/* Sessions know the type of their events now, if anybody asks for it. */
static int sessions_assemble(struct assembler *assembler)
{
    const struct kpi_program *program = &assembler->plan->program;
    const struct kpi_compile *compile = assembler->compile;
    const struct kpi_attribute_source *sources = assembler->attribute_sources.data;
    struct kpi_attribute *attributes = assembler->attributes.data;

    for (uint32_t i = 0; i < assembler->attributes.n; ++i) {
        struct kpi_session *session;

        if (attributes[i].kind != KPI_ATTRIBUTE_SESSION)
            continue;
        session = kpi_pool_copy(&assembler->plan->pool,
                                &compile->attributes[sources[i].index].session, sizeof(*session));
        if (!session)
            return -ENOMEM;
        for (uint32_t k = 0; k < program->n_types; ++k) {
            if (kpi_session_of_type(compile, program->types[k].type) == sources[i].index)
                session->type = k;
        }
        attributes[i].session = session;
    }
    return 0;
}

static void state_names_keep(struct assembler *assembler)
{
    const uint32_t *measures = assembler->instance_sources.data;
    const struct kpi_attribute_source *attributes = assembler->attribute_sources.data;
    const struct kpi_definitions *in = assembler->compile->in;
    uint32_t n_instances = assembler->instances.n, n_attributes = assembler->attributes.n;
    struct kpi_pool *pool = &assembler->plan->pool;
    struct kpi_string *names = kpi_pool_alloc(pool, (n_instances + n_attributes) * sizeof(*names));

    if (!names)
        return; /* the pool tells */
    for (uint32_t i = 0; i < n_instances; ++i)
        names[i] = kpi_pool_string(pool, measures[i] < in->n_measures
                                             ? kpi_text_string(&in->measures[measures[i]].name)
                                             : assembler->compile->measures[measures[i]].gauge);
    for (uint32_t i = 0; i < n_attributes; ++i)
        names[n_instances + i] = kpi_pool_string(pool, attributes[i].name);
    assembler->plan->state_names = names;
}

static int program_keep(struct assembler *assembler)
{
    struct kpi_plan *plan = assembler->plan;
    struct kpi_program *program = &plan->program;
    const struct kpi_definitions *in = assembler->compile->in;

    program->attributes = kpi_pool_copy(&plan->pool, assembler->attributes.data,
                                        assembler->attributes.n * sizeof(struct kpi_attribute));
    program->n_attributes = assembler->attributes.n;
    program->instances = kpi_pool_copy(&plan->pool, assembler->instances.data,
                                       assembler->instances.n * sizeof(struct kpi_instance));
    program->n_instances = assembler->instances.n;
    program->dimensions = kpi_pool_copy(&plan->pool, assembler->dimensions.data,
                                        assembler->dimensions.n * sizeof(struct kpi_dimension));
    program->n_dimensions = assembler->dimensions.n;
    program->sets = kpi_pool_copy(&plan->pool, assembler->sets.data,
                                  assembler->sets.n * sizeof(struct kpi_dimension_set));
    program->n_sets = assembler->sets.n;
    program->marks = kpi_pool_copy(&plan->pool, assembler->marks.data,
                                   assembler->marks.n * sizeof(struct kpi_funnel_mark));
    state_names_keep(assembler);
    program->week_start = in->week_start;
    program->keep = in->keep;
    program->future_skew_max = in->future_skew_max;
    program->dedupe_window = in->dedupe_window;
    program->dedupe_ids_max = in->dedupe_ids_max;
    program->users_max = in->users_max;
    program->values_max = in->values_max;
    plan->min_group = in->min_group;
    return plan->pool.failed ? -ENOMEM : kpi_conditions_keep(&assembler->conditions, plan);
}

int kpi_assemble(struct kpi_compile *compile)
{
    static int (*const parts[])(struct assembler *) = {
        attributes_assemble,     kpi_assemble_experiments, attribute_conditions, leaves_assemble,
        kpi_assemble_breakdowns, kpi_assemble_tables,      kpi_assemble_funnels, kpi_assemble_reads,
        types_assemble,          dispatch_assemble,        sessions_assemble,    program_keep,
    };
    struct assembler assembler;
    int r = 0;

    assembler_init(&assembler, compile);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && r == 0; ++i)
        r = parts[i](&assembler);
    if (r == 0) {
        formulas_renumber(&assembler);
        kpi_grains_keep(compile);
    }
    assembler_deinit(&assembler);
    return r < 0 || compile->temp.failed || compile->plan->pool.failed ? -ENOMEM : 0;
}
