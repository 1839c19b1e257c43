/* From nodes to values: the steps that all sections share. */
#include "config/load.h"

#include <errno.h>

enum {
    TEXTS_MAX = 100
};

static const char *kind_name(const struct doc_node *node)
{
    switch (node->kind) {
    case DOC_SCALAR:
        return "a text";
    case DOC_SEQUENCE:
        return "a list";
    case DOC_MAPPING:
        return "keys and values";
    }
    return "";
}

static struct doc_place head_place(const struct doc_node *node)
{
    struct doc_place place = doc_node_place(node);

    if (node->kind != DOC_SCALAR)
        place.end = place.start; /* a caret at its begin, not a line under all of it */
    return place;
}

static void unknown_key(struct load *load, const struct doc_node *key, const char *what,
                        const struct load_field *fields, size_t n_fields)
{
    struct suggest suggest = suggest_begin(doc_string(key));
    size_t i;

    for (i = 0; i < n_fields; i++)
        suggest_try(&suggest, fields[i].name);
    report_error(
        &load->report, doc_node_place(key), "unknown key %s in %s%s", QUOTE(doc_string(key)), what,
        strspn(key->value, "0123456789.") == key->length ? "; numbers are written without commas"
                                                         : "");
    report_suggest(&load->report, suggest.best);
}

bool load_fields(struct load *load, const struct doc_node *node, const char *what,
                 const struct load_field *fields, size_t n_fields)
{
    struct doc_node *child;
    size_t i;

    for (i = 0; i < n_fields; i++)
        *fields[i].node = NULL;
    if (node->kind != DOC_MAPPING) {
        report_error(&load->report, head_place(node), "%s: expected keys and values, found %s%s",
                     what, doc_is_empty(node) ? "nothing" : kind_name(node),
                     node->kind == DOC_SCALAR && node->plain && strchr(node->value, ':')
                         ? "; a blank stands behind the colon of a key"
                         : "");
        return false;
    }
    for (child = node->first; child; child = child->next) {
        for (i = 0; i < n_fields; i++) {
            if (strcmp(fields[i].name, child->key->value) == 0)
                break;
        }
        if (i < n_fields) {
            *fields[i].node = child;
            continue;
        }
        unknown_key(load, child->key, what, fields, n_fields);
        child->broken = true;
    }
    return true;
}
void load_missing(struct load *load, const struct doc_node *mapping, const char *what,
                  const char *key)
{
    const struct doc_node *name = mapping->key;

    for (const struct doc_node *child = mapping->first; child; child = child->next) {
        struct suggest suggest = suggest_begin(doc_string(child->key));

        suggest_try(&suggest, key);
        if (child->broken && suggest.best)
            return;
    }
    report_error(&load->report, name ? doc_node_place(name) : load_begin_of(mapping),
                 name ? "%s %s: %s is missing" : "%s%s: %s is missing", what,
                 name ? QUOTE(doc_string(name)) : "", key);
}

bool load_text(struct load *load, const struct doc_node *node, const char *what,
               struct kpi_string *ret_text)
{
    if (node->broken)
        return false;
    if (node->kind != DOC_SCALAR) {
        report_error(&load->report, head_place(node), "%s: expected a text, found %s%s", what,
                     kind_name(node),
                     node->flow ? "; a text that begins with [ or { needs quotes" : "");
        return false;
    }
    if (node->length == 0) {
        report_error(&load->report, doc_node_place(node), "%s has no value", what);
        return false;
    }
    if (node->plain && (strcmp(node->value, "~") == 0 || strcmp(node->value, "null") == 0)) {
        report_error(&load->report, doc_node_place(node),
                     "%s: null is no value here; leave the line out", what);
        return false;
    }
    if (strlen(node->value) != node->length)
        return false; /* a NUL, reported when it was read */
    *ret_text = doc_string(node);
    return true;
}

bool load_choice(struct load *load, const struct doc_node *node, const char *what,
                 const char *words, unsigned *ret_index)
{
    struct kpi_string text;
    struct suggest suggest;
    unsigned index = 0;
    const char *word;
    char list[128];
    size_t n = 0;

    if (!load_text(load, node, what, &text))
        return false;
    suggest = suggest_begin(text);
    memset(list, 0, sizeof(list));
    for (word = words; *word; index++) {
        size_t length = strcspn(word, "|");
        char *copy = list + n;

        if (length == text.length && memcmp(word, text.data, length) == 0) {
            *ret_index = index;
            return true;
        }
        /* each word terminated, one after the other: candidates must outlive the search */
        memcpy(copy, word, length);
        n += length + 1;
        suggest_try(&suggest, copy);
        word += length + (word[length] == '|');
    }
    report_error(&load->report, doc_node_place(node),
                 strchr(words, '|') ? "%s: %s is none of %s" : "%s: %s is unknown; there is %s",
                 what, QUOTE(text), words);
    report_suggest(&load->report, suggest.best);
    return false;
}

bool load_is_list(struct load *load, const struct doc_node *node, const char *what)
{
    if (node->kind == DOC_SEQUENCE || (node->kind == DOC_SCALAR && !doc_is_empty(node)))
        return true;
    report_error(&load->report, head_place(node), "%s: expected a list, found %s", what,
                 doc_is_empty(node) ? "nothing" : kind_name(node));
    return false;
}

bool load_has_commas(struct load *load, const struct doc_node *node, const char *what)
{
    if (node->kind != DOC_SCALAR || !node->plain || !strchr(node->value, ','))
        return false;
    load_wrong(load, node, what, "is one text; a list stands in brackets, as [a, b]");
    return true;
}

int load_texts(struct load *load, struct doc_node *node, const char *what,
               const struct kpi_text **ret_texts, uint32_t *ret_n)
{
    struct doc_node *item;
    struct kpi_text *texts;
    uint32_t n = 0;

    if (!load_is_list(load, node, what) || load_has_commas(load, node, what))
        return 0;
    if (node->n_children > TEXTS_MAX) {
        report_error(&load->report, load_begin_of(node), "%s: a list of at most %d is expected",
                     what, TEXTS_MAX);
        return 0;
    }
    texts = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*texts));
    if (!texts)
        return -ENOMEM;
    for (item = node->kind == DOC_SEQUENCE && node->n_children == 0 ? NULL : load_first(node); item;
         item = load_next(node, item)) {
        struct kpi_string text;

        if (load_text(load, item, what, &text))
            texts[n++] = load_kpi_text(item);
    }
    *ret_texts = texts;
    *ret_n = n;
    return 0;
}

struct doc_place load_begin_of(const struct doc_node *node)
{
    struct doc_place place = doc_node_place(node);

    place.end = place.start;
    return place;
}

void load_wrong(struct load *load, const struct doc_node *node, const char *what, const char *error)
{
    report_error(&load->report, doc_node_place(node), "%s: %s %s", what, QUOTE(doc_string(node)),
                 error);
}

struct kpi_text load_kpi_text(const struct doc_node *node)
{
    if (!node)
        return (struct kpi_text){"", 0, 0};
    return (struct kpi_text){node->value, node->length, node->origin};
}

const char *load_path(struct load *load, const struct doc_node *node)
{
    const char *slash = strrchr(node->file->path, '/');

    if (node->value[0] == '/' || !slash)
        return arena_copy(&load->arena, node->value, node->length);
    return arena_format(&load->arena, "%.*s/%s", (int)(slash - node->file->path), node->file->path,
                        node->value);
}

void *load_push(struct load *load, struct load_list *list, size_t item_size)
{
    void *items = arena_grow(&load->arena, list->items, list->n, &list->capacity, item_size);
    char *item;

    if (!items)
        return NULL;
    list->items = items;
    item = (char *)items + (size_t)list->n * item_size;
    memset(item, 0, item_size);
    list->n++;
    return item;
}

int load_push_node(struct load *load, struct load_list *list, const struct doc_node *node)
{
    const struct doc_node **item = load_push(load, list, sizeof(*item));

    if (!item)
        return -ENOMEM;
    *item = node;
    return 0;
}
