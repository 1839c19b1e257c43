/*
 * Mappings to programs: every path gets a slot, once for all mappings of the topic, and every thing
 * that is read the slots where it may be.
 */
#include "codec/event_program.h"

#include <assert.h>
#include <errno.h>

static const struct kpi_string data_path = {"data", 4};
static const struct mapping native = {.name = {"native", 6}};

struct compiler {
    struct event_program *program;
    const struct event_program_options *options;
};

static bool same_text(struct kpi_string a, const char *b)
{
    return a.length == strlen(b) && memcmp(a.data, b, a.length) == 0;
}

/* --- where a path leads --- */

/* The header of an attribute; the same one has one slot. */
static int header_slot(struct compiler *c, struct kpi_string name, uint16_t *ret_slot)
{
    struct event_program *program = c->program;
    struct event_program_header *headers;

    for (uint32_t i = 0; i < program->n_headers; i++) {
        if (kpi_string_equal(program->headers[i].name, name)) {
            *ret_slot = program->headers[i].slot;
            return 0;
        }
    }
    headers = arena_grow(c->options->arena, program->headers, program->n_headers,
                         &program->headers_capacity, sizeof(*headers));
    if (!headers)
        return -ENOMEM;
    program->headers = headers;
    headers += program->n_headers;
    headers->name.data = arena_copy(c->options->arena, name.data, name.length);
    headers->name.length = name.length;
    if (!headers->name.data || event_paths_add_loose(program->paths, &headers->slot) < 0)
        return -ENOMEM;
    *ret_slot = headers->slot;
    program->n_headers++;
    return 0;
}

/* In binary mode what is below data is in the message, and all else is a header or nowhere. */
static int binary_slot(struct compiler *c, struct kpi_string base, struct kpi_string path,
                       uint16_t *ret_slot)
{
    char buffer[MAPPING_PATH_BYTES_MAX];
    struct kpi_string key;
    size_t offset = 0;

    if (kpi_string_equal(base, data_path))
        return event_paths_add(c->program->paths, (struct kpi_string){0}, path, ret_slot);
    (void)mapping_path_next(path, &offset, buffer, &key); /* a checked path has a key */
    if (offset > path.length)
        return same_text(key, "data") ? event_paths_add_loose(c->program->paths, ret_slot)
                                      : header_slot(c, key, ret_slot);
    if (!same_text(key, "data"))
        return event_paths_add_loose(c->program->paths, ret_slot);
    path.data += offset;
    path.length -= offset;
    return event_paths_add(c->program->paths, (struct kpi_string){0}, path, ret_slot);
}

static int slot_of(struct compiler *c, const struct event_candidate *candidate,
                   struct kpi_string base, struct kpi_string path, uint16_t *ret_slot)
{
    if (c->options->binary && candidate->mapping->preset == MAPPING_CLOUDEVENTS)
        return binary_slot(c, base, path, ret_slot);
    return event_paths_add(c->program->paths, base, path, ret_slot);
}

/* --- one mapping --- */

static int add_taking(struct compiler *c, struct event_candidate *candidate,
                      enum event_key_kind kind, uint32_t field,
                      const struct mapping_reading *reading)
{
    struct event_taking *taking = &candidate->takings[candidate->n_takings++];
    int r = 0;

    *taking = (struct event_taking){
        .key = {.kind = (uint8_t)kind, .field = (uint8_t)field},
        .reading = *reading,
        .in_plan = true,
    };
    for (uint32_t i = 0; i < reading->n_places && r == 0; i++)
        r = slot_of(c, candidate, reading->places[i].base, reading->places[i].path,
                    &taking->slots[i]);
    return r;
}

static int add_roles(struct compiler *c, struct event_candidate *candidate)
{
    static const enum event_key_kind kinds[MAPPING_ROLES] = {
        [MAPPING_ID] = EVENT_KEY_ID,     [MAPPING_SOURCE] = EVENT_KEY_SOURCE,
        [MAPPING_TYPE] = EVENT_KEY_TYPE, [MAPPING_USER] = EVENT_KEY_USER,
        [MAPPING_TIME] = EVENT_KEY_TIME, [MAPPING_CURRENCY] = EVENT_KEY_CURRENCY,
    };
    struct mapping_reading reading;
    int r = 0;

    for (unsigned role = 0; role < MAPPING_ROLES && r == 0; role++) {
        mapping_reading_role(candidate->mapping, (enum mapping_role)role, &reading);
        r = add_taking(c, candidate, kinds[role], 0, &reading);
    }
    return r;
}

/* The amount is read for its sign, even if nobody sums it up: what an event is must not hang on
 * what else the plan asks. */
static int add_fields(struct compiler *c, struct event_candidate *candidate)
{
    uint32_t n_fields = kpi_plan_n_fields(c->options->plan);
    struct mapping_reading reading;
    bool has_amount = false;
    int r = 0;

    for (uint32_t i = 0; i < n_fields && r == 0; i++) {
        const struct kpi_field_spec *field = kpi_plan_field(c->options->plan, i);

        mapping_reading_field(candidate->mapping, field->name, &reading);
        r = add_taking(c, candidate, event_key_kind_of(field->use), i, &reading);
        if (field->use != KPI_USE_AMOUNT)
            continue;
        has_amount = true;
        if (reading.entry->n_negative > 0)
            candidate->amount = &candidate->takings[candidate->n_takings - 1];
    }
    mapping_reading_field(candidate->mapping, KPI_STRING("amount"), &reading);
    if (r < 0 || has_amount || reading.entry->n_negative == 0)
        return r;
    candidate->amount = &candidate->takings[candidate->n_takings];
    r = add_taking(c, candidate, EVENT_KEY_AMOUNT, 0, &reading);
    candidate->amount->in_plan = false;
    return r;
}

static int add_conditions(struct compiler *c, struct event_candidate *candidate)
{
    const struct mapping *mapping = candidate->mapping;
    const struct mapping_preset_info *preset = candidate->preset;
    uint32_t n = preset->n_conditions + mapping->n_conditions;
    int r = 0;

    candidate->conditions =
        arena_alloc(c->options->arena, (n + 1) * sizeof(struct event_condition));
    if (!candidate->conditions)
        return -ENOMEM;
    for (uint32_t i = 0; i < n && r == 0; i++) {
        struct event_condition *condition = &candidate->conditions[i];

        condition->of = i < preset->n_conditions ? &preset->conditions[i]
                                                 : &mapping->conditions[i - preset->n_conditions];
        r = slot_of(c, candidate, (struct kpi_string){0}, condition->of->path, &condition->slot);
    }
    candidate->n_conditions = n;
    return r;
}

/* What the rules of presets read. */
static int add_rules(struct compiler *c, struct event_candidate *candidate)
{
    const struct mapping_preset_info *preset = candidate->preset;
    bool cloudevents = candidate->mapping->preset == MAPPING_CLOUDEVENTS;
    const struct {
        uint16_t *slot;
        struct kpi_string path;
        bool wanted;
    } rules[] = {
        {&candidate->call, preset->call_path, preset->call.data},
        {&candidate->received, preset->received, preset->original.data},
        {&candidate->sent, preset->sent, preset->original.data},
        {&candidate->original, preset->original, preset->original.data},
        {&candidate->data, data_path, cloudevents},
        {&candidate->data_base64, KPI_STRING("data_base64"), cloudevents},
        {&candidate->data_type, KPI_STRING("datacontenttype"), cloudevents},
    };
    int r = 0;

    for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++) {
        *rules[i].slot = EVENT_PROGRAM_NO_SLOT;
        if (rules[i].wanted)
            r = slot_of(c, candidate, (struct kpi_string){0}, rules[i].path, rules[i].slot);
    }
    return r;
}

static int add_candidate(struct compiler *c, const struct mapping *mapping)
{
    struct event_candidate *candidate = &c->program->candidates[c->program->n_candidates++];
    uint32_t n = MAPPING_ROLES + kpi_plan_n_fields(c->options->plan) + 1;
    int r;

    candidate->mapping = mapping;
    candidate->preset = mapping_preset_info(mapping->preset);
    candidate->takings = arena_alloc(c->options->arena, n * sizeof(*candidate->takings));
    if (!candidate->takings)
        return -ENOMEM;
    r = add_conditions(c, candidate);
    if (r == 0)
        r = add_rules(c, candidate);
    if (r == 0)
        r = add_roles(c, candidate);
    return r ? r : add_fields(c, candidate);
}

int event_program_new(struct event_program **ret_program,
                      const struct event_program_options *options)
{
    struct event_program *program = arena_alloc(options->arena, sizeof(*program));
    struct compiler compiler = {program, options};
    int r = 0;

    if (!program)
        return -ENOMEM;
    program->binary = options->binary;
    program->paths = event_paths_new(options->arena);
    program->candidates =
        arena_alloc(options->arena, (options->n_mappings + 1) * sizeof(*program->candidates));
    if (!program->paths || !program->candidates)
        return -ENOMEM;
    if (options->n_mappings == 0)
        r = add_candidate(&compiler, &native);
    for (uint32_t i = 0; i < options->n_mappings && r == 0; i++) {
        if (mapping_is_for(&options->mappings[i], options->topic))
            r = add_candidate(&compiler, &options->mappings[i]);
    }
    if (r == 0)
        r = event_paths_finish(program->paths);
    if (r == 0)
        *ret_program = program;
    return r;
}

/* --- is a program needed? --- */

static bool entry_is_empty(const struct mapping_entry *entry)
{
    return entry->n_paths == 0 && !entry->constant.data && !entry->absent.data &&
           !entry->absent_record && entry->n_values == 0 && entry->unit == MAPPING_UNIT_PRESET &&
           entry->n_negative == 0;
}

static bool mapping_is_plain(const struct mapping *mapping)
{
    if (mapping->preset != MAPPING_NATIVE || mapping->n_conditions > 0 || mapping->n_fields > 0)
        return false;
    for (unsigned role = 0; role < MAPPING_ROLES; role++) {
        if (!entry_is_empty(&mapping->entries[role]))
            return false;
    }
    return true;
}

bool event_program_is_nested(const struct kpi_plan *plan)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++) {
        struct kpi_string name = kpi_plan_field(plan, i)->name;

        if (memchr(name.data, '.', name.length))
            return true;
    }
    return false;
}

bool event_program_is_native(const struct event_program_options *options)
{
    if (event_program_is_nested(options->plan))
        return false;
    for (uint32_t i = 0; i < options->n_mappings; i++) {
        if (mapping_is_for(&options->mappings[i], options->topic))
            return mapping_is_plain(&options->mappings[i]);
    }
    return options->n_mappings == 0;
}

bool event_program_reads_headers(const struct event_program_options *options)
{
    for (uint32_t i = 0; i < options->n_mappings; i++) {
        if (options->mappings[i].preset == MAPPING_CLOUDEVENTS &&
            mapping_is_for(&options->mappings[i], options->topic))
            return true;
    }
    return false;
}
