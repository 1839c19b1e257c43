/*
 * ${VAR}, ${VAR:-default} and $$ in values, after YAML has been read: what a variable holds can
 * never become structure. A dollar before anything else stays a dollar.
 */
#include "config/load.h"

#include <errno.h>
#include <stdlib.h>

/* An expansion under way; first measured with out NULL, then written. */
struct expansion {
    struct load *load;
    const struct doc_node *node;
    char *out;
    size_t n;
    bool wrong;
};

static void put(struct expansion *x, const char *data, size_t length)
{
    if (x->out)
        memcpy(x->out + x->n, data, length);
    x->n += length;
}

static bool is_name(const char *name, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return length > 0;
}

/* Messages are given in the measuring pass only. */
static void complain(struct expansion *x, uint32_t offset, uint32_t length, const char *text)
{
    x->wrong = true;
    if (!x->out)
        report_error(&x->load->report, doc_value_place(x->node, offset, length), "%s", text);
}

/* What stands at node->value[offset] as "${"; returns the offset behind it. */
static uint32_t put_variable(struct expansion *x, uint32_t offset)
{
    const struct doc_node *node = x->node;
    const char *begin = node->value + offset + 2;
    const char *end = memchr(begin, '}', node->length - offset - 2);
    const char *fallback, *value;
    char name[128], text[192];
    size_t length;

    if (!end) {
        complain(x, offset, 2, "${ without }; a dollar is written $$");
        return node->length;
    }
    fallback = memmem(begin, (size_t)(end - begin), ":-", 2);
    length = (size_t)((fallback ? fallback : end) - begin);
    if (!is_name(begin, length) || length >= sizeof(name)) {
        complain(x, offset, (uint32_t)(end + 1 - node->value) - offset,
                 "not a variable: write ${NAME} or ${NAME:-default}; a dollar is written $$");
        return (uint32_t)(end + 1 - node->value);
    }
    memcpy(name, begin, length);
    name[length] = 0;
    value = getenv(name);
    if (fallback && (!value || !*value)) {
        put(x, fallback + 2, (size_t)(end - fallback - 2));
    } else if (value) {
        put(x, value, strlen(value));
    } else {
        (void)snprintf(text, sizeof(text), "environment variable %s is not set", name); /* fits */
        complain(x, offset, (uint32_t)(end + 1 - node->value) - offset, text);
    }
    return (uint32_t)(end + 1 - node->value);
}

static void walk(struct expansion *x)
{
    const struct doc_node *node = x->node;
    uint32_t i = 0;

    x->n = 0;
    while (i < node->length) {
        if (node->value[i] == '$' && i + 1 < node->length && node->value[i + 1] == '$') {
            put(x, "$", 1);
            i += 2;
        } else if (node->value[i] == '$' && i + 1 < node->length && node->value[i + 1] == '{') {
            i = put_variable(x, i);
        } else {
            put(x, node->value + i, 1);
            i++;
        }
    }
}

static int expand_scalar(struct load *load, struct doc_node *node)
{
    struct expansion x = {.load = load, .node = node};
    char *value;

    if (node->length == 0 || !memchr(node->value, '$', node->length))
        return 0;
    walk(&x);
    node->broken |= x.wrong;
    if (x.wrong)
        return 0;
    if (x.n > DOC_BYTES_MAX) {
        report_error(&load->report, doc_node_place(node), "longer than 1 MiB with its variables");
        return 0;
    }
    value = arena_alloc(&load->arena, x.n + 1);
    if (!value)
        return -ENOMEM;
    x.out = value;
    walk(&x);
    node->value = value;
    node->length = (uint32_t)x.n;
    return 0;
}

int load_expand(struct load *load, struct doc_node *root)
{
    struct doc_node *child;
    int r;

    if (root->kind == DOC_SCALAR)
        return expand_scalar(load, root);
    for (child = root->first; child; child = child->next) {
        r = load_expand(load, child);
        if (r < 0)
            return r;
    }
    return 0;
}
