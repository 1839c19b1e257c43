/*
 * Attributes and measures: their aggregates, filters and fingerprints.
 */
#include "spec/capped.h"
#include "spec/compile.h"
#include "spec/functions.h"
#include "spec/names.h"
#include "spec/redirect.h"

#include <xxhash.h>

enum {
    SET_VALUES = 8 /* of set(field) */
};

static struct kpi_owner attribute_owner(const struct kpi_attribute_work *attribute)
{
    return (struct kpi_owner){"attribute", kpi_text_string(&attribute->definition->name)};
}

static struct kpi_owner measure_owner(const struct kpi_measure_work *measure)
{
    return (struct kpi_owner){"measure", kpi_text_string(&measure->definition->name)};
}

/* The number field that is the argument of an aggregate, or KPI_NO_INDEX with an error reported. */
static uint32_t number_field(struct kpi_compile *compile, const struct kpi_text *text,
                             const struct kpi_node *node, struct kpi_owner owner)
{
    uint32_t field = kpi_check_field(compile, text, node);

    if (field == KPI_NO_INDEX || !kpi_check_use(compile, text, node, field, KPI_USE_NUMBER, &owner))
        return KPI_NO_INDEX;
    return field;
}

static enum kpi_attribute_kind kind_of_function(enum kpi_function_id function, bool is_time)
{
    switch (function) {
    case KPI_FUNCTION_SUM:
        return KPI_ATTRIBUTE_SUM;
    case KPI_FUNCTION_MIN:
        return is_time ? KPI_ATTRIBUTE_MIN_TIME : KPI_ATTRIBUTE_MIN;
    case KPI_FUNCTION_MAX:
        return is_time ? KPI_ATTRIBUTE_MAX_TIME : KPI_ATTRIBUTE_MAX;
    case KPI_FUNCTION_FIRST:
        return is_time ? KPI_ATTRIBUTE_MIN_TIME : KPI_ATTRIBUTE_FIRST;
    case KPI_FUNCTION_SET:
        return KPI_ATTRIBUTE_SET;
    default:
        return is_time ? KPI_ATTRIBUTE_MAX_TIME : KPI_ATTRIBUTE_LAST;
    }
}

/* Values of a field that is a string, if nothing else says what it is. */
static bool set_aggregate(struct kpi_compile *compile, struct kpi_attribute_work *attribute,
                          const struct kpi_bound *bound)
{
    const struct kpi_text *text = &attribute->definition->aggregate;
    struct kpi_owner owner = attribute_owner(attribute);

    attribute->n_values = bound[1].node ? (uint32_t)bound[1].integer : SET_VALUES;
    attribute->field = kpi_check_field(compile, text, bound[0].node);
    return attribute->field != KPI_NO_INDEX &&
           kpi_check_use(compile, text, bound[0].node, attribute->field, KPI_USE_STRING, &owner);
}

static bool attribute_aggregate(struct kpi_compile *compile, struct kpi_attribute_work *attribute)
{
    const struct kpi_text *text = &attribute->definition->aggregate;
    struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    const struct kpi_function *function;
    bool is_time;

    if (!node)
        return false;
    function = kpi_function_bind(text, node, KPI_ROLE_ATTRIBUTE, compile->diag, bound);
    if (!function)
        return false;
    if (function->id == KPI_FUNCTION_COUNT) {
        attribute->kind = KPI_ATTRIBUTE_COUNT;
        return true;
    }
    is_time = kpi_string_equal(bound[0].node->string, KPI_STRING("time"));
    attribute->kind = kind_of_function(function->id, is_time);
    if (attribute->kind == KPI_ATTRIBUTE_MIN_TIME || attribute->kind == KPI_ATTRIBUTE_MAX_TIME)
        return true;
    if (attribute->kind == KPI_ATTRIBUTE_SET)
        return set_aggregate(compile, attribute, bound);
    attribute->field =
        attribute->kind == KPI_ATTRIBUTE_FIRST || attribute->kind == KPI_ATTRIBUTE_LAST
            ? kpi_check_field(compile, text, bound[0].node)
            : number_field(compile, text, bound[0].node, attribute_owner(attribute));
    return attribute->field != KPI_NO_INDEX;
}

/* A sum has no time of its own that it could be too old by; values of a set have each their own. */
static bool attribute_lasts(struct kpi_compile *compile, const struct kpi_attribute_work *attribute)
{
    const struct kpi_attribute_definition *definition = attribute->definition;
    const char *error = NULL;

    if (definition->within &&
        (attribute->kind == KPI_ATTRIBUTE_COUNT || attribute->kind == KPI_ATTRIBUTE_SUM))
        error = "count and sum() have no \"within\"; \"reset\" starts them anew";
    else if (definition->reset && attribute->kind == KPI_ATTRIBUTE_SET)
        error = "set() has no \"reset\"; \"within\" says how long its values stay";
    if (error)
        kpi_error(compile->diag, kpi_place_text(&definition->aggregate), KPI_NO_SUGGESTION, "%s",
                  error);
    return !error;
}

static bool measure_aggregate(struct kpi_compile *compile, struct kpi_measure_work *measure)
{
    const struct kpi_text *text = &measure->definition->aggregate;
    struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    const struct kpi_function *function;

    if (!node)
        return false;
    function = kpi_function_bind(text, node, KPI_ROLE_MEASURE, compile->diag, bound);
    if (!function)
        return false;
    switch (function->id) {
    case KPI_FUNCTION_COUNT:
        measure->aggregate = KPI_AGGREGATE_COUNT;
        return true;
    case KPI_FUNCTION_USERS:
        measure->aggregate = KPI_AGGREGATE_LEVEL;
        measure->level = bound[0].node ? (uint32_t)bound[0].integer : 1;
        return true;
    case KPI_FUNCTION_LATEST_USERS:
    case KPI_FUNCTION_FIRST_USERS:
        measure->aggregate = KPI_AGGREGATE_LATEST;
        measure->is_first = function->id == KPI_FUNCTION_FIRST_USERS;
        measure->answer_tree = bound[0].node;
        return true;
    case KPI_FUNCTION_CAPPED:
        return kpi_capped_read(compile, measure, bound);
    case KPI_FUNCTION_LATEST_MEAN:
    case KPI_FUNCTION_FIRST_MEAN:
        measure->aggregate = KPI_AGGREGATE_SCORES;
        measure->is_first = function->id == KPI_FUNCTION_FIRST_MEAN;
        break;
    case KPI_FUNCTION_QUANTILES:
        measure->aggregate = KPI_AGGREGATE_QUANTILES;
        break;
    default:
        measure->aggregate = KPI_AGGREGATE_SUM;
        measure->is_mean = function->id == KPI_FUNCTION_MEAN;
    }
    measure->field = number_field(compile, text, bound[0].node, measure_owner(measure));
    return measure->field != KPI_NO_INDEX;
}

/* Parses a filter; false if it is broken. An empty one is none. */
static bool where_parse(struct kpi_compile *compile, const struct kpi_text *text,
                        struct kpi_node **ret_tree)
{
    if (text->length == 0)
        return true;
    *ret_tree = kpi_parse(&compile->temp, text, compile->diag);
    return *ret_tree != NULL;
}

static void attributes_read(struct kpi_compile *compile)
{
    const struct kpi_names_seen seen = {"attribute", compile->in->attributes,
                                        sizeof(*compile->in->attributes)};

    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        struct kpi_attribute_work *attribute = &compile->attributes[i];
        const struct kpi_text *name = &compile->in->attributes[i].name;

        attribute->definition = &compile->in->attributes[i];
        attribute->broken = !kpi_name_check(compile, &seen, i);
        if (kpi_name_is_reserved(kpi_text_string(name))) {
            kpi_error(compile->diag, kpi_place_text(name), KPI_NO_SUGGESTION,
                      "\"%S\" has a meaning of its own and cannot name an attribute",
                      kpi_text_string(name));
            attribute->broken = true;
        }
        if (attribute->definition->session)
            attribute->broken |= !kpi_session_read(compile, attribute);
        else
            attribute->broken |=
                !attribute_aggregate(compile, attribute) || !attribute_lasts(compile, attribute);
        attribute->broken |=
            !where_parse(compile, &attribute->definition->where, &attribute->where_tree);
    }
}

static void measures_read(struct kpi_compile *compile)
{
    const struct kpi_names_seen seen = {"measure", compile->in->measures,
                                        sizeof(*compile->in->measures)};

    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        struct kpi_measure_work *measure = &compile->measures[i];

        measure->definition = &compile->in->measures[i];
        measure->broken = !kpi_name_check(compile, &seen, i);
        measure->broken |= !measure_aggregate(compile, measure);
        measure->broken |= !where_parse(compile, &measure->definition->where, &measure->where_tree);
    }
}

/* Asks all conditions what fields are until none has news; what is open then is a string. */
static void fields_infer(struct kpi_compile *compile)
{
    bool news;

    do {
        news = kpi_dimensions_infer(compile);
        news |= kpi_funnels_infer(compile);
        news |= kpi_experiments_infer(compile);
        for (uint32_t i = 0; i < compile->n_attributes; ++i) {
            struct kpi_attribute_work *attribute = &compile->attributes[i];
            struct kpi_owner owner = attribute_owner(attribute);

            if (attribute->where_tree)
                news |= kpi_check_infer(compile, &attribute->definition->where,
                                        attribute->where_tree, &owner);
        }
        for (uint32_t i = 0; i < compile->n_measures; ++i) {
            struct kpi_measure_work *measure = &compile->measures[i];
            struct kpi_owner owner = measure_owner(measure);

            if (measure->where_tree)
                news |= kpi_check_infer(compile, &measure->definition->where, measure->where_tree,
                                        &owner);
            if (measure->answer_tree)
                news |= kpi_check_infer(compile, &measure->definition->aggregate,
                                        measure->answer_tree, &owner);
        }
    } while (news);
    for (uint32_t i = 0; i < compile->n_fields; ++i) {
        if (!compile->fields[i].known) {
            compile->fields[i].known = true;
            compile->fields[i].use = KPI_USE_STRING;
        }
    }
}

static void conditions_check(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        struct kpi_attribute_work *attribute = &compile->attributes[i];

        if (attribute->where_tree)
            attribute->where =
                kpi_check_condition(compile, &attribute->definition->where, attribute->where_tree);
    }
    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        struct kpi_measure_work *measure = &compile->measures[i];

        if (measure->where_tree)
            measure->where =
                kpi_check_condition(compile, &measure->definition->where, measure->where_tree);
        if (measure->answer_tree)
            measure->answer =
                kpi_check_condition(compile, &measure->definition->aggregate, measure->answer_tree);
        kpi_redirect_check(compile, measure);
    }
}

static struct kpi_string sealed_text(struct kpi_pool *pool, struct kpi_cond *cond,
                                     const struct kpi_cond_names *names)
{
    if (!cond)
        return KPI_STRING("");
    kpi_cond_seal(pool, cond, names);
    return cond->text;
}

static uint64_t text_hash(struct kpi_pool *pool, struct kpi_writer *writer)
{
    uint64_t hash = XXH3_64bits(writer->data, writer->length);

    pool->failed |= writer->failed;
    kpi_writer_deinit(writer);
    return hash;
}

static uint64_t attribute_hash(struct kpi_compile *compile, struct kpi_pool *pool,
                               struct kpi_attribute_work *attribute)
{
    static const char *const kinds[] = {"count", "sum", "min", "max", "last",
                                        "first", "min", "max", "set"};
    static const char *const resets[] = {"never", "day", "week", "month", "year"};
    const struct kpi_attribute_definition *definition = attribute->definition;
    const struct kpi_cond_names names = kpi_compile_names(compile);
    struct kpi_writer writer = {.mem = compile->mem};
    bool has_field = kpi_attribute_has_field(attribute->kind);

    if (definition->session) {
        kpi_session_write(compile, &writer, attribute);
        kpi_writer_format(&writer, " where %S", sealed_text(pool, attribute->where, &names));
        return text_hash(pool, &writer);
    }
    kpi_writer_format(&writer, "attribute %s(%S) where %S", kinds[attribute->kind],
                      has_field ? compile->field_names[attribute->field] : KPI_STRING(""),
                      sealed_text(pool, attribute->where, &names));
    if (definition->reset)
        kpi_writer_format(&writer, " reset %s %S %d", resets[definition->reset],
                          compile->in->zones[0].name, (int64_t)compile->in->week_start);
    if (definition->within)
        kpi_writer_format(&writer, " within %d", definition->within);
    if (attribute->kind == KPI_ATTRIBUTE_SET)
        kpi_writer_format(&writer, " values %d", (int64_t)attribute->n_values);
    return text_hash(pool, &writer);
}

/*
 * Attributes may ask for one another, even in a circle, as they read what was before the event. So
 * their fingerprints are found in rounds, each from those of the round before; a chain of n is done
 * after n rounds, and a circle is cut after as many as there can be attributes, whatever else the
 * plan holds.
 */
static void attributes_fingerprint(struct kpi_compile *compile)
{
    uint64_t next[KPI_ATTRIBUTES_MAX];
    const struct kpi_cond_names names = kpi_compile_names(compile);
    struct kpi_pool scratch;
    bool changed = true;

    kpi_pool_init(&scratch, compile->mem);
    for (unsigned round = 0; changed && round < KPI_ATTRIBUTES_MAX; ++round) {
        changed = false;
        for (uint32_t i = 0; i < compile->n_attributes && !scratch.failed; ++i) {
            next[i] = attribute_hash(compile, &scratch, &compile->attributes[i]);
            changed |= next[i] != compile->attribute_fingerprints[i];
            kpi_pool_reset(&scratch);
        }
        if (scratch.failed)
            break;
        memcpy(compile->attribute_fingerprints, next, compile->n_attributes * sizeof(*next));
    }
    compile->temp.failed |= scratch.failed;
    kpi_pool_deinit(&scratch);
    for (uint32_t i = 0; i < compile->n_attributes; ++i)
        (void)sealed_text(&compile->temp, compile->attributes[i].where, &names); /* for keeps */
}

static void measure_fingerprint(struct kpi_compile *compile, struct kpi_measure_work *measure)
{
    static const char *const aggregates[] = {"count",       "sum",   "users",     "latest_users",
                                             "latest_mean", "gauge", "quantiles", "capped"};
    const struct kpi_cond_names names = kpi_compile_names(compile);
    struct kpi_writer writer = {.mem = compile->mem};
    struct kpi_string where = sealed_text(&compile->temp, measure->where, &names);
    struct kpi_string answer = sealed_text(&compile->temp, measure->answer, &names);

    kpi_writer_format(
        &writer, "measure %s%s(%d, %S, %S) where %S", measure->is_first ? "first " : "",
        measure->is_mean ? "mean" : aggregates[measure->aggregate], (int64_t)measure->level,
        kpi_aggregate_has_field(measure->aggregate) ? compile->field_names[measure->field]
                                                    : KPI_STRING(""),
        answer, where);
    kpi_capped_write(compile, measure, &writer);
    kpi_redirect_write(compile, measure, &writer);
    measure->fingerprint = text_hash(&compile->temp, &writer);
}

void kpi_measures_compile(struct kpi_compile *compile)
{
    unsigned n_errors = compile->diag->n_errors;

    attributes_read(compile);
    measures_read(compile);
    kpi_dimensions_read(compile);
    kpi_funnels_read(compile);
    kpi_experiments_read(compile);
    fields_infer(compile);
    kpi_dimensions_check(compile); /* before conditions that name segments */
    conditions_check(compile);
    kpi_funnels_check(compile);
    kpi_sessions_check(compile);    /* of all conditions, those of funnels too */
    kpi_experiments_check(compile); /* after measures, whose filters they borrow */
    if (compile->diag->n_errors != n_errors || compile->temp.failed)
        return; /* nobody will ask for the fingerprints */
    attributes_fingerprint(compile);
    for (uint32_t i = 0; i < compile->n_measures; ++i)
        measure_fingerprint(compile, &compile->measures[i]);
    kpi_dimensions_fingerprint(compile);
    kpi_funnels_keep(compile);
    kpi_experiments_fingerprint(compile);
}

uint32_t kpi_attributes_first_time(struct kpi_compile *compile, const struct kpi_text *name,
                                   struct kpi_cond *where)
{
    struct kpi_attribute_definition *definition =
        kpi_pool_alloc(&compile->temp, sizeof(*definition));
    uint32_t index = compile->n_attributes + compile->n_hidden;

    if (!definition)
        return KPI_NO_INDEX;
    definition->name = *name;
    compile->attributes[index] = (struct kpi_attribute_work){
        .definition = definition, .kind = KPI_ATTRIBUTE_MIN_TIME, .where = where};
    compile->attribute_fingerprints[index] =
        attribute_hash(compile, &compile->temp, &compile->attributes[index]);
    compile->n_hidden++;
    return index;
}

/* The field of events of the type kpid.gauge, by name. */
static uint32_t gauge_field(struct kpi_compile *compile, const struct kpi_text *text,
                            const struct kpi_node *node, const char *name, enum kpi_field_use use)
{
    struct kpi_owner owner = {"gauge", node->string};
    struct kpi_node field = *node;
    uint32_t index;

    field.string = (struct kpi_string){name, strlen(name)};
    index = kpi_check_field(compile, text, &field);
    if (index == KPI_NO_INDEX || !kpi_check_use(compile, text, node, index, use, &owner))
        return KPI_NO_INDEX;
    return index;
}

/* type == "kpid.gauge" and gauge == name */
static struct kpi_cond *gauge_condition(struct kpi_compile *compile, uint32_t field,
                                        struct kpi_string name)
{
    struct kpi_pool *pool = &compile->temp;
    struct kpi_string strings[] = {KPI_STRING("kpid.gauge"), name};
    struct kpi_cond *both = kpi_cond_new(pool, KPI_COND_AND);

    for (unsigned i = 0; i < 2; ++i) {
        struct kpi_string *list = kpi_pool_copy(pool, &strings[i], sizeof(*list));
        struct kpi_cond *cond = kpi_cond_new(pool, KPI_COND_STRING);
        struct kpi_cond *operand = kpi_cond_new(pool, i == 0 ? KPI_COND_TYPE : KPI_COND_FIELD);

        if (!both || !list || !cond || !operand)
            return NULL;
        operand->index = field;
        kpi_cond_strings_set(cond, list, 1);
        kpi_cond_child_add(cond, operand);
        kpi_cond_child_add(both, cond);
    }
    return both;
}

struct kpi_measure_work *kpi_measures_gauge(struct kpi_compile *compile,
                                            const struct kpi_text *text,
                                            const struct kpi_node *node)
{
    struct kpi_measure_work *gauge = &compile->measures[compile->n_measures];
    uint32_t name, value;

    for (uint32_t i = 0; i < compile->n_gauges; ++i) {
        if (kpi_string_equal(gauge[i].gauge, node->string))
            return &gauge[i];
    }
    if (compile->n_gauges == KPI_GAUGES_MAX) {
        kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "\"%S\" is one gauge too many; formulas may name %d", node->string,
                  (int64_t)KPI_GAUGES_MAX);
        return NULL;
    }
    name = gauge_field(compile, text, node, "gauge", KPI_USE_STRING);
    value = gauge_field(compile, text, node, "value", KPI_USE_NUMBER);
    if (name == KPI_NO_INDEX || value == KPI_NO_INDEX)
        return NULL;
    gauge += compile->n_gauges;
    gauge->gauge = node->string;
    gauge->aggregate = KPI_AGGREGATE_GAUGE;
    gauge->field = value;
    gauge->where = gauge_condition(compile, name, node->string);
    if (!gauge->where)
        return NULL;
    ++compile->n_gauges;
    measure_fingerprint(compile, gauge);
    return gauge;
}

struct kpi_measure_work *kpi_measures_find(struct kpi_compile *compile, struct kpi_string name)
{
    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->measures[i].name), name))
            return &compile->measures[i];
    }
    return NULL;
}
