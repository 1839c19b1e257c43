/* libyaml's events to a tree. */
#include "config/doc_cut.h"
#include "config/report.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

enum {
    STRIDE = 64
};

struct parser {
    struct doc_set *set;
    const struct doc_file *file;
    yaml_parser_t yaml;
    yaml_event_t event;
    bool commented; /* an expression lost its end to a comment, which was reported */
};

static int node_new(struct parser *p, enum doc_kind kind, struct doc_node **ret_node)
{
    struct doc_set *set = p->set;
    struct doc_node *node = arena_alloc(set->arena, sizeof(*node));
    struct doc_node **nodes;

    if (!node)
        return -ENOMEM;
    if (set->n_nodes == 0)
        set->n_nodes = 1; /* origin 0 means none */
    nodes = arena_grow(set->arena, set->nodes, set->n_nodes, &set->nodes_capacity, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    set->nodes = nodes;
    node->origin = set->n_nodes;
    nodes[set->n_nodes++] = node;
    node->kind = kind;
    node->file = p->file;
    node->start = doc_file_offset(p->file, p->event.start_mark.index);
    node->end = doc_file_offset(p->file, p->event.end_mark.index);
    *ret_node = node;
    return 0;
}

static int syntax_error(struct parser *p)
{
    const yaml_parser_t *yaml = &p->yaml;
    const char *problem = yaml->problem ? yaml->problem : "not YAML";
    struct doc_place place = {p->file, 0, 0};
    const char *hint;

    if (yaml->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (yaml->error == YAML_READER_ERROR) {
        place.start = place.end =
            yaml->problem_offset < p->file->size ? (uint32_t)yaml->problem_offset : p->file->size;
        report_error(p->set->report, place, "%s: the file must be UTF-8 text", problem);
        return DOC_E_SYNTAX;
    }
    place.start = place.end = doc_file_offset(p->file, yaml->problem_mark.index);
    if (p->commented)
        return DOC_E_SYNTAX; /* that is why */
    hint = doc_syntax_hint(p->file, problem, place.start);
    if (yaml->context && yaml->context_mark.index != yaml->problem_mark.index) {
        uint32_t line, column;

        doc_position(p->file, doc_file_offset(p->file, yaml->context_mark.index), &line, &column);
        report_error(p->set->report, place, "%s (%s that begins at %u:%u)%s%s", problem,
                     yaml->context, line, column, hint ? "; " : "", hint ? hint : "");
    } else {
        report_error(p->set->report, place, "%s%s%s", problem, hint ? "; " : "", hint ? hint : "");
    }
    return DOC_E_SYNTAX;
}

static int next_event(struct parser *p)
{
    yaml_event_delete(&p->event);
    if (!yaml_parser_parse(&p->yaml, &p->event))
        return syntax_error(p);
    return 0;
}

static void refuse_properties(struct parser *p, struct doc_node *node, const void *anchor,
                              const void *tag)
{
    struct doc_place place = {p->file, node->start, node->start};

    if (anchor)
        report_error(p->set->report, place, "anchors are not supported: write the value out");
    /* libyaml forgets the tag "!" once it is read */
    if (tag || (node->start < p->file->size && node->plain && node->length > 0 &&
                p->file->text[node->start] == '!')) {
        report_error(p->set->report, place,
                     "tags are not supported: remove the one here, or quote a text that begins "
                     "with !");
        node->broken = true;
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct doc_node *x = (*(struct doc_node *const *)a)->key;
    const struct doc_node *y = (*(struct doc_node *const *)b)->key;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->value, y->value, shorter);

    if (order == 0 && x->length != y->length)
        order = x->length < y->length ? -1 : 1;
    if (order == 0)
        order = x->start < y->start ? -1 : x->start > y->start;
    return order;
}

static bool same_key(const struct doc_node *a, const struct doc_node *b)
{
    return kpi_string_equal(doc_string(a->key), doc_string(b->key));
}

/* Of a key that is there twice the first stays. */
static void drop_duplicates(struct doc_node *mapping)
{
    struct doc_node **link = &mapping->first;

    while (*link) {
        if ((*link)->duplicate) {
            *link = (*link)->next;
            mapping->n_children--;
        } else {
            link = &(*link)->next;
        }
    }
}

/* Sorting finds duplicates in n log n, whatever the file is made of. */
static int refuse_duplicates(struct parser *p, struct doc_node *mapping)
{
    uint32_t n = mapping->n_children, i, first = 0;
    struct doc_node **sorted, *child;

    if (n < 2)
        return 0;
    sorted = calloc(n, sizeof(*sorted)); /* not the arena's: nested mappings would add up */
    if (!sorted)
        return -ENOMEM;
    for (i = 0, child = mapping->first; child; child = child->next)
        sorted[i++] = child;
    qsort(sorted, n, sizeof(*sorted), compare_keys);
    for (i = 1; i < n; i++) {
        if (!same_key(sorted[first], sorted[i])) {
            first = i;
            continue;
        }
        report_error(p->set->report, doc_node_place(sorted[i]->key), "duplicate key %s",
                     QUOTE(doc_string(sorted[i]->key)));
        report_note(p->set->report, doc_node_place(sorted[first]->key), "first defined here");
        sorted[i]->duplicate = true;
    }
    free(sorted);
    drop_duplicates(mapping);
    return 0;
}

static int parse_node(struct parser *p, unsigned depth, struct doc_node **ret_node);

static int too_deep(struct parser *p, const struct doc_node *node)
{
    report_error(p->set->report, (struct doc_place){p->file, node->start, node->start},
                 "nested deeper than %d levels", DOC_DEPTH_MAX);
    return DOC_E_SYNTAX;
}

static void append(struct doc_node *parent, struct doc_node **last, struct doc_node *child)
{
    if (*last)
        (*last)->next = child;
    else
        parent->first = child;
    *last = child;
    parent->n_children++;
}

static int parse_sequence(struct parser *p, unsigned depth, struct doc_node *node)
{
    struct doc_node *last = NULL;
    int r;

    if (depth >= DOC_DEPTH_MAX)
        return too_deep(p, node);
    for (;;) {
        struct doc_node *child;

        r = next_event(p);
        if (r)
            return r;
        if (p->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        r = parse_node(p, depth + 1, &child);
        if (r)
            return r;
        append(node, &last, child);
    }
    node->end = doc_file_offset(p->file, p->event.end_mark.index);
    if (node->flow)
        doc_mend_list(p->set->report, node);
    return 0;
}

/* False for a key that cannot stay; that has been reported. */
static bool key_fits(struct parser *p, const struct doc_node *key)
{
    if (key->kind != DOC_SCALAR) {
        report_error(p->set->report, (struct doc_place){p->file, key->start, key->start},
                     "a key must be plain text");
        return false;
    }
    if (key->plain && kpi_string_equal(doc_string(key), KPI_STRING("<<"))) {
        report_error(p->set->report, doc_node_place(key),
                     "merge keys are not supported: write the values out");
        return false;
    }
    if (key->length == 0) {
        report_error(p->set->report, (struct doc_place){p->file, key->start, key->start},
                     "a key is missing");
        return false;
    }
    return true;
}

static int parse_mapping(struct parser *p, unsigned depth, struct doc_node *node)
{
    struct doc_node *last = NULL;
    int r;

    if (depth >= DOC_DEPTH_MAX)
        return too_deep(p, node);
    for (;;) {
        struct doc_node *key, *value;

        r = next_event(p);
        if (r)
            return r;
        if (p->event.type == YAML_MAPPING_END_EVENT)
            break;
        r = parse_node(p, depth + 1, &key);
        if (r)
            return r;
        r = next_event(p);
        if (r)
            return r;
        r = parse_node(p, depth + 1, &value);
        if (r)
            return r;
        if (!key_fits(p, key))
            continue;
        value->key = key;
        append(node, &last, value);
    }
    node->end = doc_file_offset(p->file, p->event.end_mark.index);
    if (node->flow)
        doc_mend_mapping(p->set->report, node);
    return refuse_duplicates(p, node);
}

static int parse_scalar(struct parser *p, struct doc_node *node)
{
    const char *value = (const char *)p->event.data.scalar.value;
    size_t length = p->event.data.scalar.length;

    node->plain = p->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->value = arena_copy(p->set->arena, value, length);
    node->length = (uint32_t)length;
    if (!node->value)
        return -ENOMEM;
    refuse_properties(p, node, p->event.data.scalar.anchor, p->event.data.scalar.tag);
    if (memchr(node->value, 0, length))
        report_error(p->set->report, doc_node_place(node), "a value must not contain NUL");
    p->commented |= doc_refuse_comment(p->set->report, node);
    return 0;
}

/* Builds the node that the present event begins. Recursion ends at DOC_DEPTH_MAX. */
static int parse_node(struct parser *p, unsigned depth, struct doc_node **ret_node)
{
    struct doc_node *node = NULL;
    int r;

    switch (p->event.type) {
    case YAML_SCALAR_EVENT:
        r = node_new(p, DOC_SCALAR, &node);
        r = r ? r : parse_scalar(p, node);
        break;
    case YAML_SEQUENCE_START_EVENT:
        r = node_new(p, DOC_SEQUENCE, &node);
        if (r)
            break;
        node->flow = p->event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        refuse_properties(p, node, p->event.data.sequence_start.anchor,
                          p->event.data.sequence_start.tag);
        r = parse_sequence(p, depth, node);
        break;
    case YAML_MAPPING_START_EVENT:
        r = node_new(p, DOC_MAPPING, &node);
        if (r)
            break;
        node->flow = p->event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        refuse_properties(p, node, p->event.data.mapping_start.anchor,
                          p->event.data.mapping_start.tag);
        r = parse_mapping(p, depth, node);
        break;
    case YAML_ALIAS_EVENT:
        /* stands for an empty value, so that what follows is read too */
        r = node_new(p, DOC_SCALAR, &node);
        if (r)
            break;
        node->value = "";
        node->broken = true;
        report_error(p->set->report, (struct doc_place){p->file, node->start, node->end},
                     "aliases are not supported: write the value out, or quote a text that begins "
                     "with *");
        break;
    default:
        assert(!"an event that begins no node");
    }
    if (r)
        return r;
    *ret_node = node;
    return 0;
}

static int parse_stream(struct parser *p, struct doc_node **ret_root)
{
    struct doc_node *root = NULL;
    int r;

    for (;;) {
        r = next_event(p);
        if (r)
            return r;
        switch (p->event.type) {
        case YAML_STREAM_END_EVENT:
            *ret_root = root;
            return 0;
        case YAML_DOCUMENT_START_EVENT:
            if (root) {
                uint32_t at = doc_file_offset(p->file, p->event.start_mark.index);

                report_error(p->set->report, (struct doc_place){p->file, at, at},
                             "a second document begins here; a file holds one");
                return DOC_E_SYNTAX;
            }
            r = next_event(p);
            r = r ? r : parse_node(p, 0, &root);
            if (r)
                return r;
            break;
        default: /* begin of stream, end of document */
            break;
        }
    }
}

int doc_parse(struct doc_set *set, const struct doc_file *file, struct doc_node **ret_root)
{
    struct parser p = {.set = set, .file = file};
    int r;

    if (!yaml_parser_initialize(&p.yaml))
        return -ENOMEM;
    yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)file->text, file->size);
    r = parse_stream(&p, ret_root);
    yaml_event_delete(&p.event);
    yaml_parser_delete(&p.yaml);
    return r;
}

struct doc_node *doc_get(const struct doc_node *mapping, const char *key)
{
    struct doc_node *child;
    size_t length = strlen(key);

    for (child = mapping->kind == DOC_MAPPING ? mapping->first : NULL; child; child = child->next) {
        if (child->key->length == length && memcmp(child->key->value, key, length) == 0)
            return child;
    }
    return NULL;
}
