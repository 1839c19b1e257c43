/* Where one thing of an event comes from: paths, constants, tables of values. */
#include "config/check.h"
#include "config/mappings.h"

#include <stdlib.h>

enum {
    TYPE_BYTES_MAX = 64, /* as the decoder has it */
};

struct entry_nodes {
    struct doc_node *path, *value, *values, *other, *absent, *unit, *negative;
};

struct entry_reader {
    struct mapping_draft *draft;
    enum mapping_role role; /* MAPPING_ROLES: a field */
    struct kpi_string field;
    char what[96]; /* "type", "fields.amount" */
    struct mapping_entry *entry;
};

static struct report *report_of(const struct entry_reader *reader)
{
    return &reader->draft->load->report;
}

static bool is_amount(const struct entry_reader *reader)
{
    return reader->role == MAPPING_ROLES && kpi_string_equal(reader->field, KPI_STRING("amount"));
}

/* A text that an event may get: its length and, for a currency, its form. */
static bool read_output(struct entry_reader *reader, const struct doc_node *node,
                        struct kpi_string *ret_text)
{
    struct mapping_text *text;
    const char *error = NULL;

    if (!load_text(reader->draft->load, node, reader->what, ret_text))
        return false;
    if (reader->role == MAPPING_TYPE && ret_text->length > TYPE_BYTES_MAX)
        error = "is longer than 64 bytes";
    if (reader->role == MAPPING_CURRENCY)
        error = check_currency(*ret_text);
    if (error) {
        load_wrong(reader->draft->load, node, reader->what, error);
        return false;
    }
    if (reader->role == MAPPING_ROLES) {
        text = load_push(reader->draft->load, &reader->draft->load->mapped_texts, sizeof(*text));
        if (text)
            *text = (struct mapping_text){reader->draft->mapping, reader->field, node};
        reader->draft->no_memory |= !text;
    }
    *ret_text = mapping_keep_string(reader->draft, *ret_text);
    return ret_text->data;
}

static int compare_values(const void *a, const void *b)
{
    return mapping_string_compare(((const struct mapping_value *)a)->from,
                                  ((const struct mapping_value *)b)->from);
}

/* {from: to, …} */
static void read_values(struct entry_reader *reader, const struct doc_node *node, const char *what,
                        const struct mapping_value **ret_values, uint32_t *ret_n)
{
    struct mapping_value *values;
    const struct doc_node *child;
    uint32_t n = 0;

    if (node->kind != DOC_MAPPING || node->n_children == 0 ||
        node->n_children > MAPPING_VALUES_MAX) {
        report_error(report_of(reader), load_begin_of(node),
                     "%s: %s: 1 to %d pairs are expected, as {from: to}", reader->what, what,
                     MAPPING_VALUES_MAX);
        return;
    }
    values = mapping_keep(reader->draft, node->n_children * sizeof(*values));
    for (child = node->first; child && values; child = child->next) {
        if (!read_output(reader, child, &values[n].to))
            continue;
        values[n].from = mapping_keep_string(reader->draft, doc_string(child->key));
        if (!values[n].from.data)
            return;
        n++;
    }
    if (n > 0)
        qsort(values, n, sizeof(*values), compare_values);
    *ret_values = values;
    *ret_n = n;
}

static void read_paths(struct entry_reader *reader, struct doc_node *node)
{
    struct load *load = reader->draft->load;
    struct kpi_string *paths;
    struct doc_node *item;
    uint32_t n = 0;

    if (!load_is_list(load, node, reader->what))
        return;
    if (node->kind == DOC_SEQUENCE &&
        (node->n_children == 0 || node->n_children > MAPPING_PATHS_MAX)) {
        report_error(report_of(reader), load_begin_of(node), "%s: 1 to %d paths are expected",
                     reader->what, MAPPING_PATHS_MAX);
        return;
    }
    paths = mapping_keep(reader->draft, (node->n_children + 1) * sizeof(*paths));
    for (item = load_first(node); item && paths; item = load_next(node, item))
        n += mapping_read_path(reader->draft, item, reader->what, &paths[n]);
    reader->entry->paths = paths;
    reader->entry->n_paths = n;
}

/* An id or user for all would make all events one; a time, all of one moment. */
static bool may_be_constant(const struct entry_reader *reader)
{
    return reader->role != MAPPING_ID && reader->role != MAPPING_USER &&
           reader->role != MAPPING_TIME;
}

static void read_constant(struct entry_reader *reader, const struct entry_nodes *nodes)
{
    const struct doc_node *node = nodes->value;

    if (!may_be_constant(reader))
        report_error(report_of(reader), doc_node_place(node->key),
                     "%s cannot be the same for all events", reader->what);
    else if (nodes->path || nodes->values || nodes->other || nodes->absent || nodes->unit ||
             nodes->negative)
        report_error(report_of(reader), doc_node_place(node->key),
                     "%s: value is a constant, and nothing else can stand beside it", reader->what);
    else if (!read_output(reader, node, &reader->entry->constant))
        reader->entry->constant = (struct kpi_string){0};
}

static void read_absent(struct entry_reader *reader, const struct doc_node *node)
{
    struct kpi_string text;

    if (reader->role == MAPPING_TIME) {
        if (!load_text(reader->draft->load, node, reader->what, &text))
            return;
        reader->entry->absent_record = kpi_string_equal(text, KPI_STRING("record"));
        if (!reader->entry->absent_record)
            report_error(report_of(reader), doc_node_place(node),
                         "%s: absent: %s is not record, the time of the message's record",
                         reader->what, QUOTE(text));
    } else if (!may_be_constant(reader)) {
        report_error(report_of(reader), doc_node_place(node->key),
                     "%s cannot be the same for all events that have none", reader->what);
    } else if (!read_output(reader, node, &reader->entry->absent)) {
        reader->entry->absent = (struct kpi_string){0};
    }
}

static void read_unit(struct entry_reader *reader, const struct doc_node *node)
{
    unsigned choice;

    if (reader->role != MAPPING_TIME)
        report_error(report_of(reader), doc_node_place(node->key), "%s: unit is for time only",
                     reader->what);
    else if (load_choice(reader->draft->load, node, "time: unit", "s|ms|us|ns", &choice))
        reader->entry->unit = (enum mapping_unit)(MAPPING_UNIT_S + (int)choice);
}

static void read_negative(struct entry_reader *reader, const struct doc_node *node)
{
    struct entry_reader types = *reader;

    if (!is_amount(reader)) {
        report_error(report_of(reader), doc_node_place(node->key),
                     "%s: negative is for fields.amount only", reader->what);
        return;
    }
    types.role = MAPPING_TYPE; /* what stands there are types */
    read_values(&types, node, "negative", &reader->entry->negative, &reader->entry->n_negative);
}

static void read_options(struct entry_reader *reader, const struct doc_node *node)
{
    struct entry_nodes nodes;
    const struct load_field fields[] = {
        {"path", &nodes.path},         {"value", &nodes.value},   {"values", &nodes.values},
        {"other", &nodes.other},       {"absent", &nodes.absent}, {"unit", &nodes.unit},
        {"negative", &nodes.negative},
    };
    unsigned choice;

    if (!load_fields(reader->draft->load, node, reader->what, fields,
                     sizeof(fields) / sizeof(fields[0])))
        return;
    if (node->n_children == 0)
        report_error(report_of(reader), load_begin_of(node),
                     "%s: nothing is said: a path, a value or a table of values is expected",
                     reader->what);
    if (nodes.value) {
        read_constant(reader, &nodes);
        return;
    }
    if (nodes.path)
        read_paths(reader, nodes.path);
    if (nodes.values)
        read_values(reader, nodes.values, "values", &reader->entry->values,
                    &reader->entry->n_values);
    if (nodes.other && !nodes.values)
        report_error(report_of(reader), doc_node_place(nodes.other->key),
                     "%s: other says what becomes of values that are not in `values`, and there "
                     "are none",
                     reader->what);
    /* in the order of enum mapping_other */
    if (nodes.other &&
        load_choice(reader->draft->load, nodes.other, "other", "keep|refuse|skip", &choice))
        reader->entry->other = (enum mapping_other)choice;
    if (nodes.absent)
        read_absent(reader, nodes.absent);
    if (nodes.unit)
        read_unit(reader, nodes.unit);
    if (nodes.negative)
        read_negative(reader, nodes.negative);
}

void mapping_read_entry(struct mapping_draft *draft, struct doc_node *node, enum mapping_role role,
                        struct kpi_string field, struct mapping_entry *entry)
{
    struct entry_reader reader = {.draft = draft, .role = role, .field = field, .entry = entry};

    *entry = (struct mapping_entry){0};
    if (role == MAPPING_ROLES) /* cut if it is long */
        (void)snprintf(reader.what, sizeof(reader.what), "fields.%.*s", (int)field.length,
                       field.data);
    else
        (void)snprintf(reader.what, sizeof(reader.what), "%s", mapping_role_name(role));
    if (node->kind == DOC_MAPPING)
        read_options(&reader, node);
    else
        read_paths(&reader, node);
}
