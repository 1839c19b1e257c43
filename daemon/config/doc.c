/*
 * libyaml's events to a tree. libyaml counts positions in characters and takes NEL, LS and PS for
 * line breaks, which no editor does; so marks are turned into byte offsets here, and lines and
 * columns are counted by '\n' when somebody asks.
 */
#include "config/doc.h"
#include "config/report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

#define CUT_HINT "put the expression in quotes or on a line of its own"

enum {
    STRIDE = 64
};

struct parser {
    struct doc_set *set;
    const struct doc_file *file;
    yaml_parser_t yaml;
    yaml_event_t event;
};

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* --- files --- */

static int index_file(struct arena *arena, struct doc_file *file)
{
    uint32_t n_lines = 1, n_characters = 0, i;
    uint32_t *lines, *strides;

    for (i = 0; i < file->size; i++) {
        n_lines += file->text[i] == '\n';
        n_characters += !is_continuation(file->text[i]);
    }
    lines = arena_alloc(arena, n_lines * sizeof(*lines));
    strides = arena_alloc(arena, (n_characters / STRIDE + 1) * sizeof(*strides));
    if (!lines || !strides)
        return -ENOMEM;
    file->n_lines = 1;
    for (i = 0, n_characters = 0; i < file->size; i++) {
        if (!is_continuation(file->text[i])) {
            if (n_characters % STRIDE == 0)
                strides[n_characters / STRIDE] = i;
            n_characters++;
        }
        if (file->text[i] == '\n')
            lines[file->n_lines++] = i + 1;
    }
    file->n_strides = (n_characters + STRIDE - 1) / STRIDE;
    file->lines = lines;
    file->strides = strides;
    return 0;
}

int doc_file_new(struct doc_set *set, const char *shown, const char *text, size_t size,
                 struct doc_file **ret_file)
{
    struct doc_file *file = arena_alloc(set->arena, sizeof(*file));

    if (!file)
        return -ENOMEM;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    file->path = arena_copy(set->arena, shown, strlen(shown));
    file->text = arena_copy(set->arena, text, size);
    if (!file->path || !file->text)
        return -ENOMEM;
    file->size = (uint32_t)size;
    file->order = set->n_files++;
    if (index_file(set->arena, file) < 0)
        return -ENOMEM;
    *ret_file = file;
    return 0;
}

/* Reads at most DOC_BYTES_MAX + 1 bytes: one more tells that there is too much. */
static ssize_t read_whole(int fd, char *buffer)
{
    size_t n = 0;

    while (n <= DOC_BYTES_MAX) {
        ssize_t r = read(fd, buffer + n, DOC_BYTES_MAX + 1 - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

int doc_file_read(struct doc_set *set, const char *path, const char *shown,
                  struct doc_file **ret_file, const char **ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *buffer;
    ssize_t n;
    int r;

    if (fd < 0) {
        *ret_error = strerror(errno);
        return DOC_E_UNREADABLE;
    }
    buffer = malloc(DOC_BYTES_MAX + 1);
    if (!buffer) {
        (void)close(fd); /* only read from */
        return -ENOMEM;
    }
    n = read_whole(fd, buffer);
    (void)close(fd);
    if (n < 0) {
        *ret_error = strerror((int)-n);
        r = DOC_E_UNREADABLE;
    } else if (n > DOC_BYTES_MAX) {
        *ret_error = "it is larger than 1 MiB";
        r = DOC_E_UNREADABLE;
    } else {
        r = doc_file_new(set, shown, buffer, (size_t)n, ret_file);
    }
    free(buffer);
    return r;
}

/* --- positions --- */

static uint32_t mark_offset(const struct doc_file *file, size_t character)
{
    uint32_t offset, left = (uint32_t)(character % STRIDE);

    if (character / STRIDE >= file->n_strides)
        return file->size;
    offset = file->strides[character / STRIDE];
    while (left > 0 && offset < file->size) {
        offset++;
        while (offset < file->size && is_continuation(file->text[offset]))
            offset++;
        left--;
    }
    return offset;
}

void doc_position(const struct doc_file *file, uint32_t offset, uint32_t *ret_line,
                  uint32_t *ret_column)
{
    uint32_t low = 0, high = file->n_lines, column = 1, i;

    if (offset > file->size)
        offset = file->size;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (file->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    for (i = file->lines[low]; i < offset; i++)
        column += !is_continuation(file->text[i]);
    if (offset < file->size && is_continuation(file->text[offset]))
        column--;
    *ret_line = low + 1;
    *ret_column = column;
}

struct doc_place doc_node_place(const struct doc_node *node)
{
    /* nothing stands there: point at the key */
    if (node->start == node->end && node->key)
        node = node->key;
    return (struct doc_place){node->file, node->start, node->end};
}

struct doc_place doc_value_place(const struct doc_node *node, uint32_t offset, uint32_t length)
{
    const char *text = node->file->text;
    uint32_t start = node->start, size = node->end - node->start;

    if (node->kind != DOC_SCALAR || node->changed || offset > node->length)
        return doc_node_place(node);
    if (!node->plain && size == node->length + 2 && size >= 2) {
        start++;
        size -= 2;
    }
    if (size != node->length || memcmp(text + start, node->value, size) != 0)
        return doc_node_place(node);
    if (length > node->length - offset)
        length = node->length - offset;
    return (struct doc_place){node->file, start + offset, start + offset + length};
}

/* --- nodes --- */

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
    node->start = mark_offset(p->file, p->event.start_mark.index);
    node->end = mark_offset(p->file, p->event.end_mark.index);
    *ret_node = node;
    return 0;
}

static const char *syntax_hint(const struct doc_file *file, const char *problem,
                               const char *context, uint32_t offset)
{
    char before = 0;

    if (offset < file->size && file->text[offset] == '\t')
        return "YAML is indented with spaces, not with tabs";
    if (strstr(problem, "',' or '}'"))
        return "inside {…} YAML itself reads , [ ] { } and \": \": " CUT_HINT;
    if (strstr(problem, "mapping values are not allowed"))
        return "YAML takes \": \" for a new key: " CUT_HINT;
    while (offset > 0 && (file->text[offset - 1] == ' '))
        offset--;
    if (offset > 0)
        before = file->text[offset - 1];
    if (strstr(problem, "expected key") && context && (before == '"' || before == '\''))
        return "YAML ends a value that begins with a quote where the quote ends: put all of it in "
               "other quotes";
    return NULL;
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
    place.start = place.end = mark_offset(p->file, yaml->problem_mark.index);
    hint = syntax_hint(p->file, problem, yaml->context, place.start);
    if (yaml->context && yaml->context_mark.index != yaml->problem_mark.index) {
        uint32_t line, column;

        doc_position(p->file, mark_offset(p->file, yaml->context_mark.index), &line, &column);
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

static void refuse_properties(struct parser *p, const struct doc_node *node, const void *anchor,
                              const void *tag)
{
    struct doc_place place = {p->file, node->start, node->start};

    if (anchor)
        report_error(p->set->report, place, "anchors are not supported: write the value out");
    /* libyaml forgets the tag "!" once it is read */
    if (tag || (node->start < p->file->size && node->plain && node->length > 0 &&
                p->file->text[node->start] == '!'))
        report_error(p->set->report, place, "tags are not supported: remove the one here");
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

/* Brackets or quotes that begin here and do not end here? */
static bool is_cut(const struct doc_node *node)
{
    int depth = 0;
    char quote = 0;
    uint32_t i;

    if (node->kind != DOC_SCALAR || !node->plain)
        return false;
    for (i = 0; i < node->length; i++) {
        char c = node->value[i];

        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else
            depth += (c == '(') - (c == ')');
    }
    return depth > 0 || quote;
}

/*
 * {formula: f(a, b)} reads as the keys "formula" and "b)", the latter without value: the comma was
 * the expression's. Says so once, and drops the pieces, which would only be unknown keys.
 */
static void mend_cuts(struct parser *p, struct doc_node *mapping)
{
    struct doc_node *child;

    for (child = mapping->first; child; child = child->next) {
        if (!is_cut(child) || !child->next || !doc_is_empty(child->next))
            continue;
        report_error(p->set->report, doc_node_place(child),
                     "YAML cuts this at the comma, inside {…} it reads , itself: " CUT_HINT);
        while (child->next && doc_is_empty(child->next)) {
            child->next = child->next->next;
            mapping->n_children--;
        }
    }
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
    node->end = mark_offset(p->file, p->event.end_mark.index);
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
    node->end = mark_offset(p->file, p->event.end_mark.index);
    if (node->flow)
        mend_cuts(p, node);
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
                uint32_t at = mark_offset(p->file, p->event.start_mark.index);

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
