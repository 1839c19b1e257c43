/*
 * The section `mappings`. What is wrong in one entry is reported by mapping_entry.c; here is what
 * entries have to do with one another, with the plan and with the topics.
 */
#include "config/mappings.h"

#include "codec/value_text.h"
#include "config/check.h"
#include "config/kinds.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TOPICS_MAX = 100
};

/* --- memory --- */

struct mapping_set {
    struct mappings mappings;
    struct arena arena;
};

static void release(struct mappings *mappings)
{
    struct mapping_set *set = (struct mapping_set *)mappings;

    arena_deinit(&set->arena);
    free(set);
}

struct mappings *mapping_set(struct load *load, struct arena **ret_arena)
{
    struct mapping_set *set = (struct mapping_set *)load->settings.config.mappings;

    if (!set) {
        set = calloc(1, sizeof(*set));
        if (!set)
            return NULL;
        set->mappings.n_refs = 1;
        set->mappings.release = release;
        load->settings.config.mappings = &set->mappings;
    }
    *ret_arena = &set->arena;
    return &set->mappings;
}

void *mapping_keep(struct mapping_draft *draft, size_t size)
{
    void *memory = arena_alloc(draft->arena, size);

    draft->no_memory |= !memory;
    return memory;
}

struct kpi_string mapping_keep_string(struct mapping_draft *draft, struct kpi_string text)
{
    text.data = arena_copy(draft->arena, text.data, text.length);
    draft->no_memory |= !text.data;
    return text;
}

/* --- texts --- */

bool mapping_read_path(struct mapping_draft *draft, const struct doc_node *node, const char *what,
                       struct kpi_string *ret_path)
{
    struct kpi_string text;
    const char *error;
    size_t offset;

    if (!load_text(draft->load, node, what, &text))
        return false;
    error = mapping_path_check(text, &offset);
    if (error) {
        report_error(&draft->load->report,
                     doc_value_place(node, (uint32_t)offset, (uint32_t)(text.length - offset)),
                     "%s: the path %s %s", what, QUOTE(text), error);
        return false;
    }
    *ret_path = mapping_keep_string(draft, text);
    return ret_path->data;
}

bool mapping_read_texts(struct mapping_draft *draft, struct doc_node *node, const char *what,
                        uint32_t n_max, struct kpi_string **ret_texts, uint32_t *ret_n)
{
    struct kpi_string *texts;
    struct doc_node *item;
    uint32_t n = 0;

    if (!load_is_list(draft->load, node, what))
        return false;
    if (node->kind == DOC_SEQUENCE && (node->n_children == 0 || node->n_children > n_max)) {
        report_error(&draft->load->report, load_begin_of(node), "%s: 1 to %u values are expected",
                     what, n_max);
        return false;
    }
    texts = mapping_keep(draft, (node->n_children + 1) * sizeof(*texts));
    for (item = load_first(node); item && texts; item = load_next(node, item)) {
        if (!load_text(draft->load, item, what, &texts[n]))
            return false;
        texts[n] = mapping_keep_string(draft, texts[n]);
        n++;
    }
    *ret_texts = texts;
    *ret_n = n;
    return texts;
}

/* --- one mapping --- */

static void read_topics(struct mapping_draft *draft, struct doc_node *node)
{
    struct kpi_string *topics;
    struct doc_node *item;
    uint32_t n;

    if (!mapping_read_texts(draft, node, "topics", TOPICS_MAX, &topics, &n))
        return;
    for (item = load_first(node); item; item = load_next(node, item)) {
        const char *error = check_topic(doc_string(item));

        if (error)
            load_wrong(draft->load, item, "topics", error);
    }
    draft->mapping->topics = topics;
    draft->mapping->n_topics = n;
}

/* {path: value or values, …} */
static void read_when(struct mapping_draft *draft, const struct doc_node *node)
{
    struct mapping_condition *conditions;
    struct doc_node *child;
    uint32_t n = 0;

    if (node->kind != DOC_MAPPING || node->n_children == 0 ||
        node->n_children > MAPPING_CONDITIONS_MAX) {
        report_error(&draft->load->report, load_begin_of(node),
                     "when: 1 to %d paths and their values are expected, as {event: order_paid}",
                     MAPPING_CONDITIONS_MAX);
        return;
    }
    conditions = mapping_keep(draft, node->n_children * sizeof(*conditions));
    for (child = node->first; child && conditions; child = child->next) {
        struct kpi_string *values;

        if (!mapping_read_path(draft, child->key, "when", &conditions[n].path) ||
            !mapping_read_texts(draft, child, "when", MAPPING_VALUES_MAX, &values,
                                &conditions[n].n_values))
            continue;
        conditions[n++].values = values;
    }
    draft->mapping->conditions = conditions;
    draft->mapping->n_conditions = n;
}

/* What stands beside `fields` is none of them. */
static bool is_role(struct kpi_string name)
{
    for (unsigned role = 0; role < MAPPING_ROLES; role++) {
        const char *word = mapping_role_name((enum mapping_role)role);

        if (name.length == strlen(word) && memcmp(word, name.data, name.length) == 0)
            return true;
    }
    return false;
}

/* The name of a field, that no field before it has. False: reported. */
static bool read_field_name(struct mapping_draft *draft, const struct doc_node *key,
                            const struct mapping_field *fields, uint32_t n_fields,
                            struct kpi_string *ret_name)
{
    if (!mapping_read_path(draft, key, "fields", ret_name))
        return false;
    if (is_role(*ret_name)) {
        report_error(&draft->load->report, doc_node_place(key),
                     "fields: %s is no field: it stands beside fields, not in it",
                     QUOTE(*ret_name));
        return false;
    }
    for (uint32_t i = 0; i < n_fields; i++) {
        if (mapping_path_relate(fields[i].name, *ret_name) == MAPPING_PATHS_EQUAL) {
            report_error(&draft->load->report, doc_node_place(key),
                         "fields: %s is there already, as %s", QUOTE(*ret_name),
                         QUOTE(fields[i].name));
            return false;
        }
    }
    return true;
}

static void read_fields(struct mapping_draft *draft, const struct doc_node *node)
{
    struct mapping_field *fields;
    struct doc_node *child;
    uint32_t n = 0;

    if (node->kind != DOC_MAPPING || node->n_children == 0 ||
        node->n_children > MAPPING_FIELDS_MAX) {
        report_error(&draft->load->report, load_begin_of(node),
                     "fields: 1 to %d names and where they come from are expected, as "
                     "{amount: total.amount}",
                     MAPPING_FIELDS_MAX);
        return;
    }
    fields = mapping_keep(draft, node->n_children * sizeof(*fields));
    for (child = node->first; child && fields; child = child->next) {
        if (!read_field_name(draft, child->key, fields, n, &fields[n].name))
            continue;
        mapping_read_entry(draft, child, MAPPING_ROLES, fields[n].name, &fields[n].entry);
        n++;
    }
    draft->mapping->fields = fields;
    draft->mapping->n_fields = n;
}

/* --- paths that get in each other's way --- */

enum {
    READ_MAX = MAPPING_CONDITIONS_MAX + MAPPING_ROLES * MAPPING_PATHS_MAX +
               MAPPING_FIELDS_MAX * MAPPING_PATHS_MAX + 1,
};

struct read_paths {
    struct {
        struct kpi_string path;
        const struct doc_node *node; /* what to point at; NULL: the preset's */
    } items[READ_MAX];
    uint32_t n;
};

static void list_reading(struct read_paths *read, const struct mapping_reading *reading,
                         const struct doc_node *node)
{
    for (uint32_t i = 0; i < reading->n_places; i++) {
        if (reading->places[i].base.length > 0)
            continue; /* where fields are looked for by name */
        read->items[read->n].path = reading->places[i].path;
        read->items[read->n++].node = reading->given ? node : NULL;
    }
}

static void list_paths(struct read_paths *read, const struct mapping *mapping,
                       const struct doc_node *const *roles, const struct doc_node *when,
                       const struct doc_node *fields)
{
    struct mapping_reading reading;

    for (uint32_t i = 0; i < mapping->n_conditions; i++) {
        read->items[read->n].path = mapping->conditions[i].path;
        read->items[read->n++].node = when;
    }
    for (unsigned role = 0; role < MAPPING_ROLES; role++) {
        mapping_reading_role(mapping, (enum mapping_role)role, &reading);
        list_reading(read, &reading, roles[role]);
    }
    for (uint32_t i = 0; i < mapping->n_fields; i++) {
        mapping_reading_field(mapping, mapping->fields[i].name, &reading);
        list_reading(read, &reading, fields);
    }
}

/* The node of a path below the one that it was read from, so that a message can point at it. */
static struct doc_place place_of(const struct doc_node *node, struct kpi_string path)
{
    const struct doc_node *child;

    if (node->kind == DOC_SCALAR)
        return kpi_string_equal(doc_string(node), path) ? doc_node_place(node)
                                                        : (struct doc_place){0};
    for (child = node->first; child; child = child->next) {
        struct doc_place place = place_of(child, path);

        if (place.file)
            return place;
        if (child->key && kpi_string_equal(doc_string(child->key), path))
            return doc_node_place(child->key);
    }
    return (struct doc_place){0};
}

/* A value that is read as a whole is no object, so nothing lies below it. */
static void check_paths(struct mapping_draft *draft, const struct read_paths *read)
{
    for (uint32_t i = 0; i < read->n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            uint32_t at = read->items[i].node ? i : j;
            struct kpi_string path = read->items[at].path,
                              other = read->items[at == i ? j : i].path;

            if (!read->items[at].node || mapping_path_relate(path, other) != MAPPING_PATHS_NESTED)
                continue;
            report_error(&draft->load->report, place_of(read->items[at].node, path),
                         "%s and %s cannot both be values: one lies below the other", QUOTE(path),
                         QUOTE(other));
            return; /* one message a mapping */
        }
    }
}

/* --- all of them --- */

static int read_mapping(struct mapping_draft *draft, struct doc_node *node)
{
    struct doc_node *topics, *when, *preset, *fields, *roles[MAPPING_ROLES];
    const struct load_field keys[] = {
        {"topics", &topics},
        {"when", &when},
        {"preset", &preset},
        {"id", &roles[MAPPING_ID]},
        {"source", &roles[MAPPING_SOURCE]},
        {"type", &roles[MAPPING_TYPE]},
        {"user", &roles[MAPPING_USER]},
        {"time", &roles[MAPPING_TIME]},
        {"currency", &roles[MAPPING_CURRENCY]},
        {"fields", &fields},
    };
    struct read_paths *read = arena_alloc(&draft->load->arena, sizeof(*read));
    unsigned choice;

    if (!read)
        return -ENOMEM;
    draft->mapping->name = mapping_keep_string(draft, doc_string(node->key));
    if (!load_fields(draft->load, node, "mapping", keys, sizeof(keys) / sizeof(keys[0])))
        return 0;
    if (topics)
        read_topics(draft, topics);
    if (when)
        read_when(draft, when);
    /* in the order of enum mapping_preset */
    if (preset &&
        load_choice(draft->load, preset, "preset", "native|cloudevents|segment|posthog", &choice))
        draft->mapping->preset = (enum mapping_preset)choice;
    for (unsigned role = 0; role < MAPPING_ROLES; role++) {
        if (roles[role])
            mapping_read_entry(draft, roles[role], (enum mapping_role)role, (struct kpi_string){0},
                               &draft->mapping->entries[role]);
    }
    if (fields)
        read_fields(draft, fields);
    if (draft->no_memory)
        return -ENOMEM;
    list_paths(read, draft->mapping, (const struct doc_node *const *)roles, when, fields);
    check_paths(draft, read);
    return 0;
}

static int read_mappings(struct load *load, const struct setting *setting, struct doc_node *node,
                         void *target)
{
    struct mapping_draft draft = {.load = load};
    struct mappings *set = mapping_set(load, &draft.arena);
    struct mapping *mappings;
    struct doc_node *child;
    int r = 0;

    if (!set)
        return -ENOMEM;
    load->mappings = node;
    if (doc_is_empty(node))
        return 0;
    if (node->kind != DOC_MAPPING || node->n_children == 0 || node->n_children > MAPPINGS_MAX) {
        report_error(&load->report, load_begin_of(node),
                     "mappings: 1 to %d names and what they say are expected", MAPPINGS_MAX);
        return 0;
    }
    mappings = mapping_keep(&draft, node->n_children * sizeof(*mappings));
    if (!mappings)
        return -ENOMEM;
    set->mappings = mappings;
    for (child = node->first; child && r == 0; child = child->next) {
        draft.mapping = &mappings[set->n_mappings++];
        r = read_mapping(&draft, child);
    }
    return draft.no_memory ? -ENOMEM : r;
}

const struct setting_kind kind_mappings = {"mappings by name", SETTING_OTHER, read_mappings};

/* --- with plan and topics --- */

/* Does a text do as a value of a field of this use? NULL, or what is wrong with it. */
static const char *check_use(enum kpi_field_use use, struct kpi_string text)
{
    kpi_decimal number;

    switch (use) {
    case KPI_USE_STRING:
    case KPI_USE_ANY:
        return NULL;
    case KPI_USE_BOOL:
        return kpi_string_equal(text, KPI_STRING("true")) ||
                       kpi_string_equal(text, KPI_STRING("false"))
                   ? NULL
                   : "is neither true nor false, as the definitions use the field";
    case KPI_USE_NUMBER:
        return value_text_parse_decimal(text.data, text.length, 0, &number) == 0
                   ? NULL
                   : "is not a number, as the definitions use the field";
    case KPI_USE_AMOUNT:
        return value_text_parse_decimal(text.data, text.length, 0, &number) == 0 && number >= 0
                   ? NULL
                   : "is not an amount: a number that is not negative, with at most 6 decimals";
    }
    return NULL;
}

static void check_texts(struct load *load, const struct kpi_plan *plan)
{
    const struct mapping_text *texts = load->mapped_texts.items;

    for (uint32_t i = 0; i < load->mapped_texts.n; i++) {
        for (uint32_t j = 0; j < kpi_plan_n_fields(plan); j++) {
            const struct kpi_field_spec *field = kpi_plan_field(plan, j);
            const char *error = check_use(field->use, doc_string(texts[i].node));

            if (error && kpi_string_equal(field->name, texts[i].field))
                load_wrong(load, texts[i].node, "fields", error);
        }
    }
}

static bool is_read(const struct config *config, struct kpi_string topic)
{
    for (uint32_t i = 0; i < config->kafka.n_topics; i++) {
        if (kpi_string_equal(topic, (struct kpi_string){config->kafka.topics[i],
                                                        strlen(config->kafka.topics[i])}))
            return true;
    }
    return false;
}

static void check_topics(struct load *load, const struct mappings *set)
{
    const struct config *config = &load->settings.config;
    const struct doc_node *node = load->mappings->first;

    for (uint32_t i = 0; i < set->n_mappings; i++, node = node->next) {
        for (uint32_t j = 0; j < set->mappings[i].n_topics; j++) {
            struct kpi_string topic = set->mappings[i].topics[j];
            struct suggest suggest = suggest_begin(topic);

            if (is_read(config, topic))
                continue;
            for (uint32_t k = 0; k < config->kafka.n_topics; k++)
                suggest_try(&suggest, config->kafka.topics[k]);
            report_warning(&load->report, place_of(node, topic), "kafka.topics does not name %s",
                           QUOTE(topic));
            report_suggest(&load->report, suggest.best);
        }
    }
    for (uint32_t i = 0; i < config->kafka.n_topics; i++) {
        struct kpi_string topic = {config->kafka.topics[i], strlen(config->kafka.topics[i])};
        uint32_t j = 0;

        while (j < set->n_mappings && !mapping_is_for(&set->mappings[j], topic))
            j++;
        if (j == set->n_mappings)
            report_warning(&load->report, doc_node_place(load->mappings->key),
                           "no mapping is for the topic %s: all its events will be refused",
                           QUOTE(topic));
    }
}

/* Does a take every message that b could take? */
static bool covers(const struct mapping *a, const struct mapping *b)
{
    if (a->n_conditions > 0 || mapping_preset_info(a->preset)->n_conditions > 0)
        return false;
    if (a->n_topics > 0 && b->n_topics == 0)
        return false;
    for (uint32_t i = 0; i < b->n_topics; i++) {
        if (!mapping_is_for(a, b->topics[i]))
            return false;
    }
    return true;
}

static void check_order(struct load *load, const struct mappings *set)
{
    const struct doc_node *node = load->mappings->first;

    for (uint32_t i = 0; i < set->n_mappings; i++, node = node->next) {
        for (uint32_t j = 0; j < i; j++) {
            if (!covers(&set->mappings[j], &set->mappings[i]))
                continue;
            report_warning(&load->report, doc_node_place(node->key),
                           "the mapping %s is never used: %s takes all messages before it",
                           QUOTE(set->mappings[i].name), QUOTE(set->mappings[j].name));
            break;
        }
    }
}

int load_mappings_finish(struct load *load)
{
    const struct mappings *set = load->settings.config.mappings;
    const struct kpi_plan *plan = load->settings.config.plan;

    if (!load->mappings || !set || set->n_mappings == 0)
        return 0;
    if (plan)
        check_texts(load, plan);
    if (load->settings.config.kafka.brokers)
        check_topics(load, set);
    check_order(load, set);
    return 0;
}
