/* Tuples: see tuples.h. */
#include "engine/tuples.h"
#include "engine/state.h"
#include "spec/text.h"

#include <xxhash.h>

static const struct kpi_string no = {"false", 5}, yes = {"true", 4};

static uint64_t string_hash(struct kpi_string string)
{
    return XXH3_64bits(string.data, string.length);
}

/* --- made and moved --- */

/* Conditions have both their values from the start: ids FIRST (false) and FIRST + 1 (true). */
static int values_init(struct kpi_dictionary *values, const struct kpi_dimension *dimension,
                       const struct kpi_mem *mem)
{
    uint32_t id;
    int r = kpi_dictionary_init(values, mem);

    if (r < 0 || dimension->kind != KPI_DIMENSION_CONDITION)
        return r;
    r = kpi_dictionary_intern(values, no, string_hash(no), UINT32_MAX, &id);
    if (r == 0)
        r = kpi_dictionary_intern(values, yes, string_hash(yes), UINT32_MAX, &id);
    return r;
}

static int planned_make(struct kpi_tuples *tuples, const struct kpi_plan *plan,
                        const struct kpi_dictionary *campaigns)
{
    tuples->planned = kpi_mem_zalloc(tuples->mem, campaigns->n * sizeof(*tuples->planned));
    if (!tuples->planned)
        return -ENOMEM;
    tuples->n_planned = campaigns->n;
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); i++) {
        struct kpi_string id = kpi_plan_campaign(plan, i)->id;

        tuples->planned[kpi_dictionary_find(campaigns, id, string_hash(id))] = true;
    }
    return 0;
}

static int parts_make(struct kpi_tuples *tuples, const struct kpi_program *program)
{
    const struct kpi_mem *mem = tuples->mem;
    int r = 0;

    tuples->dimensions = kpi_mem_zalloc(mem, program->n_dimensions * sizeof(*tuples->dimensions));
    tuples->sets = kpi_mem_zalloc(mem, program->n_sets * sizeof(*tuples->sets));
    tuples->n_dimensions = tuples->dimensions ? program->n_dimensions : 0;
    tuples->n_sets = tuples->sets ? program->n_sets : 0;
    /* A set may be of campaigns alone. */
    if ((program->n_dimensions && !tuples->dimensions) || !tuples->sets)
        return -ENOMEM;
    for (uint32_t i = 0; i < tuples->n_dimensions; i++)
        tuples->dimensions[i].values.mem = mem;
    for (uint32_t i = 0; i < tuples->n_sets; i++)
        tuples->sets[i].tuples.mem = mem;
    for (uint32_t i = 0; i < tuples->n_dimensions && r == 0; i++)
        r = values_init(&tuples->dimensions[i].values, &program->dimensions[i], mem);
    for (uint32_t i = 0; i < tuples->n_sets && r == 0; i++) {
        r = kpi_dictionary_init(&tuples->sets[i].tuples, mem);
        tuples->sets[i].n_of =
            r == 0 ? kpi_mem_zalloc(mem, tuples->n_planned * sizeof(uint32_t)) : NULL;
        r = tuples->sets[i].n_of ? 0 : -ENOMEM;
    }
    return r;
}

int kpi_tuples_make(struct kpi_tuples *tuples, const struct kpi_plan *plan,
                    const struct kpi_dictionary *campaigns, const struct kpi_mem *mem)
{
    const struct kpi_program *program = kpi_plan_program(plan);
    int r;

    *tuples = (struct kpi_tuples){.mem = mem};
    if (program->n_sets == 0)
        return 0;
    r = planned_make(tuples, plan, campaigns);
    if (r == 0)
        r = parts_make(tuples, program);
    if (r < 0)
        kpi_tuples_free(tuples);
    return r;
}

void kpi_tuples_free(struct kpi_tuples *tuples)
{
    for (uint32_t i = 0; i < tuples->n_dimensions; i++)
        kpi_dictionary_deinit(&tuples->dimensions[i].values);
    for (uint32_t i = 0; i < tuples->n_sets; i++) {
        kpi_dictionary_deinit(&tuples->sets[i].tuples);
        kpi_mem_free(tuples->mem, tuples->sets[i].n_of, tuples->n_planned * sizeof(uint32_t));
    }
    kpi_mem_free(tuples->mem, tuples->dimensions,
                 tuples->n_dimensions * sizeof(*tuples->dimensions));
    kpi_mem_free(tuples->mem, tuples->sets, tuples->n_sets * sizeof(*tuples->sets));
    kpi_mem_free(tuples->mem, tuples->planned, tuples->n_planned * sizeof(*tuples->planned));
    *tuples = (struct kpi_tuples){.mem = tuples->mem};
}

static void dictionaries_swap(struct kpi_dictionary *a, struct kpi_dictionary *b)
{
    struct kpi_dictionary kept = *a;

    *a = *b;
    *b = kept;
}

void kpi_tuples_adopt(struct kpi_tuples *to, const struct kpi_program *to_program,
                      struct kpi_tuples *from, const struct kpi_program *from_program)
{
    for (uint32_t i = 0; i < to->n_dimensions; i++)
        for (uint32_t k = 0; k < from->n_dimensions; k++)
            if (to_program->dimensions[i].fingerprint == from_program->dimensions[k].fingerprint)
                dictionaries_swap(&to->dimensions[i].values, &from->dimensions[k].values);
    for (uint32_t i = 0; i < to->n_sets; i++)
        for (uint32_t k = 0; k < from->n_sets; k++)
            if (to_program->sets[i].fingerprint == from_program->sets[k].fingerprint)
                dictionaries_swap(&to->sets[i].tuples, &from->sets[k].tuples);
    kpi_tuples_count(to, to_program);
}

/* The number that bounds the tuples of a campaign. */
static uint32_t *n_of(struct kpi_tuples *tuples, uint32_t set, uint32_t campaign)
{
    bool planned = campaign < tuples->n_planned && tuples->planned[campaign];

    return &tuples->sets[set].n_of[planned ? campaign : 0];
}

/* Does a tuple count against the bound? The one that takes what is beyond it does not. */
static bool is_counted(const uint32_t *parts, uint32_t n)
{
    for (uint32_t i = 1; i <= n; i++)
        if (parts[i] != KPI_DICTIONARY_OTHER)
            return true;
    return false;
}

void kpi_tuples_count(struct kpi_tuples *tuples, const struct kpi_program *program)
{
    uint32_t parts[KPI_TUPLE_PARTS_MAX];

    for (uint32_t s = 0; s < tuples->n_sets; s++) {
        struct kpi_tuple_set *set = &tuples->sets[s];

        memset(set->n_of, 0, tuples->n_planned * sizeof(*set->n_of));
        for (uint32_t id = KPI_DICTIONARY_FIRST; id < set->tuples.n; id++) {
            kpi_tuple_parts(set, id, parts);
            *n_of(tuples, s, parts[0]) += is_counted(parts, program->sets[s].n);
        }
    }
}

uint64_t kpi_tuples_total(const struct kpi_tuples *tuples)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < tuples->n_dimensions; i++)
        n += tuples->dimensions[i].values.n;
    for (uint32_t i = 0; i < tuples->n_sets; i++)
        n += tuples->sets[i].tuples.n;
    return n;
}

/* --- of an event --- */

/* A value as it is found: NONE and OTHER as they are, else a string. */
struct value {
    uint32_t id; /* KPI_NO_INDEX: string */
    struct kpi_string string;
    uint64_t hash;
    char text[32];
};

static void value_text(struct value *value, struct kpi_string string)
{
    value->id = KPI_NO_INDEX;
    value->string = string;
    value->hash = string_hash(string);
}

static void value_decimal(struct value *value, kpi_decimal number)
{
    struct kpi_writer writer = KPI_WRITER_ON(value->text);

    kpi_writer_decimal_add(&writer, number);
    value_text(value, kpi_writer_string(&writer));
}

static void value_count(struct value *value, int64_t number)
{
    struct kpi_writer writer = KPI_WRITER_ON(value->text);

    kpi_writer_format(&writer, "%d", number);
    value_text(value, kpi_writer_string(&writer));
}

/* None is left for times beyond the zone's table. */
static void value_of_clock(struct value *value, int32_t shown)
{
    if (shown >= 0)
        value_count(value, shown);
}

static void value_of_field(struct value *value, const struct kpi_field *field)
{
    switch ((enum kpi_field_kind)field->kind) {
    case KPI_FIELD_ABSENT:
        break;
    case KPI_FIELD_STRING:
        value->id = KPI_NO_INDEX;
        value->string = (struct kpi_string){field->string, field->length};
        value->hash = field->hash;
        break;
    case KPI_FIELD_NUMBER:
        value_decimal(value, field->number);
        break;
    case KPI_FIELD_BOOL:
        value_text(value, field->number ? yes : no);
        break;
    }
}

/* The dictionary's string that an attribute holds. */
static void value_of_string(const struct kpi_dictionary *strings, struct value *value, uint32_t id)
{
    value->id = id;
    if (id == KPI_DICTIONARY_OTHER)
        return;
    value->string = kpi_dictionary_string(strings, id);
    value->hash = strings->entries[id].hash;
    value->id = KPI_NO_INDEX;
}

static void value_of_attribute(const struct kpi_engine *engine, struct value *value,
                               const struct kpi_dimension *dimension, const struct kpi_event *event,
                               const int64_t *row)
{
    const struct kpi_attribute *attribute = &engine->program->attributes[dimension->index];
    bool live = row && kpi_attribute_live(attribute, row, event->time);
    bool is_total = attribute->kind == KPI_ATTRIBUTE_COUNT || attribute->kind == KPI_ATTRIBUTE_SUM;
    int64_t slot = live ? row[kpi_attribute_value_slot(attribute)] : 0;

    /* As in conditions, nothing counted is 0, but nobody has no count. */
    if (!live && (!is_total || !(event->flags & KPI_EVENT_HAS_USER)))
        return;
    if (attribute->is_string)
        value_of_string(&engine->strings, value, (uint32_t)slot);
    else if (dimension->is_bool)
        value_text(value, slot ? yes : no);
    else if (attribute->kind == KPI_ATTRIBUTE_COUNT)
        value_count(value, slot);
    else
        value_decimal(value, slot);
}

static int value_get(struct kpi_engine *engine, uint32_t index, const struct kpi_event *event,
                     const int64_t *row, uint32_t *ret_id)
{
    const struct kpi_dimension *dimension = &engine->program->dimensions[index];
    struct value value = {.id = KPI_DICTIONARY_NONE};

    switch (dimension->kind) {
    case KPI_DIMENSION_CONDITION:
        *ret_id = KPI_DICTIONARY_FIRST + (dimension->index == KPI_NO_INDEX ||
                                          kpi_condition_holds(engine->plan, dimension->index, event,
                                                              row, kpi_engine_string, engine));
        return 0;
    case KPI_DIMENSION_CLOCK:
        value_of_clock(&value, kpi_zone_clock(kpi_plan_zone(engine->plan, 0),
                                              (enum kpi_clock)dimension->index, event->time));
        break;
    case KPI_DIMENSION_FIELD:
        value_of_field(&value, &event->fields[dimension->index]);
        break;
    case KPI_DIMENSION_ATTRIBUTE:
        value_of_attribute(engine, &value, dimension, event, row);
        break;
    }
    *ret_id = value.id;
    if (value.id != KPI_NO_INDEX)
        return 0;
    return kpi_dictionary_intern(&engine->tuples.dimensions[index].values, value.string, value.hash,
                                 dimension->values_max, ret_id);
}

/* The tuple of these parts, entered if there is room for it. */
static int tuple_intern(struct kpi_engine *engine, uint32_t set_index, uint32_t *parts,
                        uint32_t *ret_tuple)
{
    const struct kpi_dimension_set *definition = &engine->program->sets[set_index];
    struct kpi_tuple_set *set = &engine->tuples.sets[set_index];
    struct kpi_string bytes = {(const char *)parts, (1 + definition->n) * sizeof(*parts)};
    uint32_t *n = n_of(&engine->tuples, set_index, parts[0]);

    *ret_tuple = kpi_dictionary_find(&set->tuples, bytes, string_hash(bytes));
    if (*ret_tuple != KPI_DICTIONARY_NONE)
        return 0;
    if (*n >= definition->tuples_max) {
        for (uint32_t i = 1; i <= definition->n; i++)
            parts[i] = KPI_DICTIONARY_OTHER;
    } else if (is_counted(parts, definition->n)) {
        ++*n;
    }
    return kpi_dictionary_intern(&set->tuples, bytes, string_hash(bytes), UINT32_MAX, ret_tuple);
}

int kpi_tuples_spread(struct kpi_engine *engine, uint32_t set, uint32_t from, uint32_t *n_done)
{
    const struct kpi_tuples *tuples = &engine->tuples;

    for (; KPI_DICTIONARY_FIRST + *n_done < tuples->sets[from].tuples.n; ++*n_done) {
        uint32_t parts[KPI_TUPLE_PARTS_MAX], copy[KPI_TUPLE_PARTS_MAX], tuple;

        kpi_tuple_parts(&tuples->sets[from], KPI_DICTIONARY_FIRST + *n_done, parts);
        for (uint32_t campaign = 0; campaign < tuples->n_planned; campaign++) {
            int r;

            if (!tuples->planned[campaign])
                continue;
            memcpy(copy, parts, sizeof(copy));
            copy[0] = campaign;
            r = tuple_intern(engine, set, copy, &tuple);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

uint32_t kpi_tuple_find(const struct kpi_engine *engine, uint32_t set,
                        const uint32_t parts[KPI_TUPLE_PARTS_MAX])
{
    struct kpi_string bytes = {(const char *)parts,
                               (1 + engine->program->sets[set].n) * sizeof(*parts)};

    return kpi_dictionary_find(&engine->tuples.sets[set].tuples, bytes, string_hash(bytes));
}

int kpi_tuple_get(struct kpi_engine *engine, uint32_t set_index, uint32_t campaign,
                  const struct kpi_event *event, const int64_t *row, bool *other,
                  uint32_t *ret_tuple)
{
    const struct kpi_dimension_set *definition = &engine->program->sets[set_index];
    struct kpi_tuple_set *set = &engine->tuples.sets[set_index];
    uint32_t parts[KPI_TUPLE_PARTS_MAX] = {definition->total ? KPI_DICTIONARY_NONE : campaign};
    int r;

    if (set->now != KPI_NO_INDEX) {
        *ret_tuple = set->now;
        return 0;
    }
    for (uint32_t i = 0; i < definition->n; i++) {
        struct kpi_tuple_values *dimension = &engine->tuples.dimensions[definition->dimensions[i]];

        if (dimension->now == KPI_NO_INDEX) {
            r = value_get(engine, definition->dimensions[i], event, row, &dimension->now);
            if (r < 0)
                return r;
        }
        parts[1 + i] = dimension->now;
    }
    r = tuple_intern(engine, set_index, parts, &set->now);
    if (r < 0)
        return r;
    for (uint32_t i = 1; i <= definition->n; i++)
        *other |= parts[i] == KPI_DICTIONARY_OTHER;
    *ret_tuple = set->now;
    return 0;
}

/* --- the digest --- */

uint64_t kpi_tuple_meaning(const struct kpi_engine *engine, uint32_t set_index, uint32_t tuple)
{
    const struct kpi_dimension_set *set = &engine->program->sets[set_index];
    uint32_t parts[KPI_TUPLE_PARTS_MAX] = {KPI_DICTIONARY_NONE};
    uint64_t hash;

    if (tuple == KPI_DICTIONARY_NONE)
        return 0;
    kpi_tuple_parts(&engine->tuples.sets[set_index], tuple, parts);
    hash = string_hash(kpi_dictionary_string(&engine->values, parts[0]));
    for (uint32_t i = 0; i < set->n; i++) {
        const struct kpi_dictionary *values = &engine->tuples.dimensions[set->dimensions[i]].values;
        struct kpi_string value = kpi_dictionary_string(values, parts[1 + i]);

        hash = XXH3_64bits_withSeed(value.data, value.length,
                                    hash + (parts[1 + i] == KPI_DICTIONARY_NONE));
    }
    return hash;
}

uint64_t kpi_tuple_hash(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple)
{
    uint32_t dimensions = engine->program->instances[instance].dimensions;

    if (dimensions < KPI_DIMENSIONS_SETS)
        return string_hash(kpi_dictionary_string(&engine->values, tuple));
    return kpi_tuple_meaning(engine, dimensions - KPI_DIMENSIONS_SETS, tuple);
}
