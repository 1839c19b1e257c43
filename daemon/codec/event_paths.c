/*
 * The tree of wanted paths and the walk along it.
 *
 * Keys are looked up in sorted arrays, not in a hash table: an object has a few wanted keys, and
 * nobody can make a binary search slow. Of a value that comes twice the first is kept; the message
 * is refused anyway, and the reason is the first fault in the order of the bytes.
 */
#include "codec/event_paths.h"

#include "codec/event_json.h"
#include "codec/event_keys.h"
#include "codec/mapping.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FORESEEN = 32, /* keys of an object that are remembered by place */
    NO_SLOT = EVENT_SLOTS_MAX,
};

struct path_child {
    struct kpi_string name;
    uint64_t message; /* the last one that had this key */
    struct path_node *below;
    uint16_t slot;
};

/* The key that stood at a place the last time. */
struct foreseen {
    struct event_key key; /* of which only the quoted text is used */
    struct path_child *child;
};

struct path_node {
    struct path_child *children; /* ascending by name, once finished */
    uint32_t n_children, children_capacity;
    struct foreseen *foreseen; /* FORESEEN of them */
    struct path_node *next;    /* of all nodes */
};

struct event_paths {
    struct arena *arena;
    struct path_node *root;
    struct path_node *nodes;
    struct event_slot *slots;
    uint32_t n_slots, slots_capacity;
};

static struct path_node *node_new(struct event_paths *paths)
{
    struct path_node *node = arena_alloc(paths->arena, sizeof(*node));

    if (!node)
        return NULL;
    node->next = paths->nodes;
    paths->nodes = node;
    return node;
}

struct event_paths *event_paths_new(struct arena *arena)
{
    struct event_paths *paths = arena_alloc(arena, sizeof(*paths));

    if (!paths)
        return NULL;
    paths->arena = arena;
    paths->root = node_new(paths);
    return paths->root ? paths : NULL;
}

static struct path_child *child_get(struct event_paths *paths, struct path_node *node,
                                    struct kpi_string name)
{
    struct path_child *child;

    for (uint32_t i = 0; i < node->n_children; i++) {
        if (kpi_string_equal(node->children[i].name, name))
            return &node->children[i];
    }
    child = arena_grow(paths->arena, node->children, node->n_children, &node->children_capacity,
                       sizeof(*child));
    if (!child)
        return NULL;
    node->children = child;
    child += node->n_children;
    *child = (struct path_child){.slot = NO_SLOT};
    child->name.data = arena_copy(paths->arena, name.data, name.length);
    child->name.length = name.length;
    if (!child->name.data)
        return NULL;
    node->n_children++;
    return child;
}

/* Follows the keys of a path below *node, which may be NULL for "below *child". */
static int walk(struct event_paths *paths, struct kpi_string path, struct path_child **child)
{
    char buffer[MAPPING_PATH_BYTES_MAX];
    struct kpi_string key;
    size_t offset = 0;

    while (mapping_path_next(path, &offset, buffer, &key)) {
        struct path_node *node = paths->root;

        if (*child) {
            if (!(*child)->below)
                (*child)->below = node_new(paths);
            node = (*child)->below;
        }
        if (!node)
            return -ENOMEM;
        *child = child_get(paths, node, key);
        if (!*child)
            return -ENOMEM;
    }
    return 0;
}

int event_paths_add_loose(struct event_paths *paths, uint16_t *ret_slot)
{
    struct event_slot *slots;

    assert(paths->n_slots < NO_SLOT); /* 64 mappings read less than 64 * 80 * 8 places */
    slots = arena_grow(paths->arena, paths->slots, paths->n_slots, &paths->slots_capacity,
                       sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    paths->slots = slots;
    slots[paths->n_slots] = (struct event_slot){0};
    *ret_slot = (uint16_t)paths->n_slots++;
    return 0;
}

int event_paths_add(struct event_paths *paths, struct kpi_string base, struct kpi_string path,
                    uint16_t *ret_slot)
{
    struct path_child *child = NULL;
    int r;

    r = walk(paths, base, &child);
    if (r == 0)
        r = walk(paths, path, &child);
    if (r == 0 && child->slot == NO_SLOT)
        r = event_paths_add_loose(paths, &child->slot);
    if (r == 0)
        *ret_slot = child->slot;
    return r;
}

static int compare_children(const void *a, const void *b)
{
    return mapping_string_compare(((const struct path_child *)a)->name,
                                  ((const struct path_child *)b)->name);
}

int event_paths_finish(struct event_paths *paths)
{
    for (struct path_node *node = paths->nodes; node; node = node->next) {
        node->foreseen = arena_alloc(paths->arena, FORESEEN * sizeof(*node->foreseen));
        if (!node->foreseen)
            return -ENOMEM;
        for (unsigned i = 0; i < FORESEEN; i++)
            node->foreseen[i].key.quoted_mask = UINT32_MAX;
        if (node->n_children > 0)
            qsort(node->children, node->n_children, sizeof(*node->children), compare_children);
    }
    return 0;
}

static struct path_child *child_find(const struct path_node *node, struct kpi_string name)
{
    uint32_t low = 0, high = node->n_children;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int r = mapping_string_compare(node->children[middle].name, name);

        if (r == 0)
            return &node->children[middle];
        if (r < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const uint8_t *fail(struct event_paths_scan *scan)
{
    scan->problem = KPI_REFUSAL_JSON;
    return NULL;
}

/* A key that was not foreseen, at p; returns behind its colon. */
static const uint8_t *key_scan(struct event_paths_scan *scan, struct path_node *node,
                               struct foreseen *foreseen, const uint8_t *p,
                               struct path_child **ret_child)
{
    struct json_text text;
    struct kpi_string name;

    if (*p != '"')
        return fail(scan);
    p = json_scan_string(p + 1, &text, &scan->problem);
    if (!p)
        return NULL;
    p = json_skip_space(p);
    if (*p != ':')
        return fail(scan);
    name = (struct kpi_string){(const char *)text.data, text.length};
    if (text.escaped) {
        name.length = json_unescape(&text, scan->scratch);
        name.data = scan->scratch;
    }
    *ret_child = child_find(node, name);
    if (foreseen && !text.escaped) {
        foreseen->child = *ret_child;
        event_key_quote(&foreseen->key, name.data, name.length);
    }
    return p + 1;
}

static const uint8_t *object_scan(struct event_paths *paths, struct event_paths_scan *scan,
                                  struct path_node *node, const uint8_t *p, unsigned depth);

/* The value of a key on the way to a wanted one, or of a wanted one. */
static const uint8_t *value_scan(struct event_paths *paths, struct event_paths_scan *scan,
                                 struct path_child *child, const uint8_t *p, unsigned depth)
{
    struct event_slot unwanted, *slot = &unwanted;
    const uint8_t *at = p;

    if (child->message == scan->message) {
        if (!scan->duplicate_at)
            scan->duplicate_at = p;
    } else if (child->slot != NO_SLOT) {
        slot = event_paths_slot_put(paths, child->slot, scan->message);
    }
    child->message = scan->message;
    slot->at = p;
    if (*p == '"') {
        slot->kind = EVENT_SLOT_STRING;
        return json_scan_string(p + 1, &slot->text, &scan->problem);
    }
    if (*p == '{' && child->below) {
        slot->kind = EVENT_SLOT_NESTED;
        slot->length = 1;
        return object_scan(paths, scan, child->below, p + 1, depth + 1);
    }
    p = json_scan_value(p, depth, EVENT_DEPTH_MAX, &scan->problem);
    if (!p)
        return NULL;
    slot->length = (size_t)(p - at);
    slot->kind = *at == 'n'                 ? EVENT_SLOT_ABSENT
                 : *at == '{' || *at == '[' ? EVENT_SLOT_NESTED
                                            : EVENT_SLOT_PLAIN;
    return p;
}

static inline const uint8_t *unwanted_skip(struct event_paths_scan *scan, const uint8_t *p,
                                           unsigned depth)
{
    if (*p == '"')
        return json_skip_string(p + 1, &scan->problem);
    return json_scan_value(p, depth, EVENT_DEPTH_MAX, &scan->problem);
}

/* p is behind the brace; `depth` objects are open with this one: a path has fewer keys than that
 * may be. */
static const uint8_t *object_scan(struct event_paths *paths, struct event_paths_scan *scan,
                                  struct path_node *node, const uint8_t *p, unsigned depth)
{
    p = json_skip_space(p);
    if (*p == '}')
        return p + 1;
    for (unsigned place = 0;; place++) {
        struct foreseen *foreseen = place < FORESEEN ? &node->foreseen[place] : NULL;
        struct path_child *child;

        if (foreseen && event_key_matches(&foreseen->key, p)) {
            p += foreseen->key.quoted_length;
            child = foreseen->child;
        } else {
            p = key_scan(scan, node, foreseen, p, &child);
            if (!p)
                return NULL;
        }
        p = json_skip_space(p);
        p = child ? value_scan(paths, scan, child, p, depth) : unwanted_skip(scan, p, depth);
        if (!p)
            return NULL;
        p = json_skip_space(p);
        if (*p == '}')
            return p + 1;
        if (*p != ',')
            return fail(scan);
        p = json_skip_space(p + 1);
    }
}

const uint8_t *event_paths_scan(struct event_paths *paths, struct event_paths_scan *scan,
                                const uint8_t *p)
{
    return object_scan(paths, scan, paths->root, p, 1);
}

struct event_slot *event_paths_slot(struct event_paths *paths, uint16_t slot, uint64_t message)
{
    static struct event_slot absent; /* never written: its kind is EVENT_SLOT_ABSENT */
    struct event_slot *found = &paths->slots[slot];

    return found->message == message ? found : &absent;
}

struct event_slot *event_paths_slot_put(struct event_paths *paths, uint16_t slot, uint64_t message)
{
    struct event_slot *found = &paths->slots[slot];

    *found = (struct event_slot){.message = message};
    return found;
}
