/*
 * The catalogue's definitions name one another in their expressions, and so do those of users name
 * them. What is reached from what is wanted stays: a walk over names, without knowing what an
 * expression means. A name that means something else there keeps a definition too many, which is
 * harmless: a measure that no KPI uses is not counted.
 */
#include "config/select.h"

#include <ctype.h>
#include <errno.h>

static const char *const sections[] = {"attributes", "measures", "dimensions",
                                       "segments",   "kpis",     NULL};

/* A definition of the catalogue. */
struct item {
    const struct doc_node *node;
    const char *section;
    bool kept;
};

struct selection {
    struct item *items;
    uint32_t n;
    uint32_t *queue; /* kept items, of which the first n_walked have been looked into */
    uint32_t n_kept, n_walked;
};

static void keep_item(struct selection *selection, uint32_t i)
{
    if (selection->items[i].kept)
        return;
    selection->items[i].kept = true;
    selection->queue[selection->n_kept++] = i;
}

static bool is_named(const struct item *item, struct kpi_string name)
{
    return kpi_string_equal(doc_string(item->node->key), name);
}

static void keep_named(struct selection *selection, struct kpi_string name)
{
    for (uint32_t i = 0; i < selection->n; i++) {
        if (is_named(&selection->items[i], name))
            keep_item(selection, i);
    }
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* The names in an expression; what stands in quotes is none. */
static void walk_text(struct selection *selection, struct kpi_string text)
{
    size_t i = 0;

    while (i < text.length) {
        size_t begin = i;

        if (text.data[i] == '"' || text.data[i] == '\'') {
            const char *end = memchr(text.data + i + 1, text.data[i], text.length - i - 1);

            i = end ? (size_t)(end - text.data) + 1 : text.length;
            continue;
        }
        while (i < text.length && is_name_byte(text.data[i]))
            i++;
        if (i > begin)
            keep_named(selection, (struct kpi_string){text.data + begin, i - begin});
        else
            i++;
    }
}

/* No tree is deeper than DOC_DEPTH_MAX. Titles are for people. */
static void walk(struct selection *selection, const struct doc_node *node)
{
    if (node->kind == DOC_SCALAR)
        walk_text(selection, doc_string(node));
    for (const struct doc_node *child = node->first; child; child = child->next) {
        if (!child->key || strcmp(child->key->value, "title") != 0)
            walk(selection, child);
    }
}

/* All definitions of the catalogue. */
static int collect(struct load *load, const struct doc_node *catalogue, struct selection *selection)
{
    uint32_t n = 0;

    for (size_t i = 0; sections[i]; i++) {
        const struct doc_node *section = doc_get(catalogue, sections[i]);

        n += section ? section->n_children : 0;
    }
    selection->items = arena_alloc(&load->arena, (n + 1) * sizeof(*selection->items));
    selection->queue = arena_alloc(&load->arena, (n + 1) * sizeof(*selection->queue));
    if (!selection->items || !selection->queue)
        return -ENOMEM;
    for (size_t i = 0; sections[i]; i++) {
        const struct doc_node *section = doc_get(catalogue, sections[i]);

        for (const struct doc_node *child = section ? section->first : NULL; child;
             child = child->next)
            selection->items[selection->n++] = (struct item){child, sections[i], false};
    }
    return 0;
}

static bool is_kpi(const struct item *item)
{
    return strcmp(item->section, "kpis") == 0;
}

static void keep_kpi(struct load *load, struct selection *selection, const struct doc_node *node)
{
    struct suggest suggest = suggest_begin(doc_string(node));

    for (uint32_t i = 0; i < selection->n; i++) {
        if (!is_kpi(&selection->items[i]))
            continue;
        if (is_named(&selection->items[i], doc_string(node))) {
            keep_item(selection, i);
            return;
        }
        suggest_try(&suggest, selection->items[i].node->key->value);
    }
    report_error(&load->report, doc_node_place(node), "catalogue: there is no KPI %s in it",
                 QUOTE(doc_string(node)));
    report_suggest(&load->report, suggest.best);
}

/* The KPIs that the setting names. */
static void keep_wanted(struct load *load, struct selection *selection)
{
    const struct settings_texts *wanted = &load->settings.catalogue;

    if (wanted->n == 1 &&
        kpi_string_equal((struct kpi_string){wanted->items[0].data, wanted->items[0].length},
                         KPI_STRING("all"))) {
        for (uint32_t i = 0; i < selection->n; i++) {
            if (is_kpi(&selection->items[i]))
                keep_item(selection, i);
        }
        return;
    }
    for (uint32_t i = 0; i < wanted->n; i++)
        keep_kpi(load, selection, load->docs.nodes[wanted->items[i].origin]);
}

/* What the definitions of a user's file name. */
static void keep_used(struct selection *selection, const struct doc_node *root)
{
    static const char *const also[] = {"breakdowns", "tables", "campaigns", NULL};
    const char *const *const lists[] = {sections, also};

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; lists[k][i]; i++) {
            const struct doc_node *section = doc_get(root, lists[k][i]);

            if (section)
                walk(selection, section);
        }
    }
}

static void take_out(const struct selection *selection, struct doc_node *section)
{
    struct doc_node **link = &section->first;

    while (*link) {
        bool kept = false;

        for (uint32_t i = 0; i < selection->n; i++)
            kept |= selection->items[i].node == *link && selection->items[i].kept;
        if (kept) {
            link = &(*link)->next;
        } else {
            *link = (*link)->next;
            section->n_children--;
        }
    }
}

int load_select(struct load *load, struct doc_node *const *roots, uint32_t n_roots)
{
    struct selection selection = {0};
    int r = roots[0] ? collect(load, roots[0], &selection) : 0;

    if (r < 0 || !roots[0])
        return r;
    keep_wanted(load, &selection);
    for (uint32_t i = 1; i < n_roots; i++) {
        if (roots[i])
            keep_used(&selection, roots[i]);
    }
    while (selection.n_walked < selection.n_kept)
        walk(&selection, selection.items[selection.queue[selection.n_walked++]].node);
    for (size_t i = 0; sections[i]; i++) {
        struct doc_node *section = doc_get(roots[0], sections[i]);

        if (section)
            take_out(&selection, section);
    }
    return 0;
}
