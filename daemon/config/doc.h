/*
 * A YAML file as a tree of nodes that know where they stand, over libyaml's event API.
 *
 * kpid reads a plain subset: one document, no anchors, aliases, tags or merge keys, no duplicate
 * keys, at most 32 levels and 1 MiB. Every scalar is text; the schema types it, so `no`, `1e3` and
 * `08` mean what they say. Whatever is refused is reported with its position.
 *
 * All memory is the arena's of the set and lives as long as it.
 */
#pragma once

#include "util/arena.h"

#include <kpi/base.h>

struct report;

enum {
    DOC_BYTES_MAX = 1024 * 1024,
    DOC_DEPTH_MAX = 32,
};

enum {
    DOC_E_SYNTAX = 1, /* reported; there is no tree */
    DOC_E_UNREADABLE, /* the file cannot be read; see ret_error; not reported */
};

struct doc_file {
    const char *path; /* as people should see it */
    const char *text; /* `size` bytes and a NUL; without byte order mark */
    uint32_t size;
    uint32_t order;        /* files are numbered as they are read */
    const uint32_t *lines; /* byte offsets of line starts */
    uint32_t n_lines;
    const uint32_t *strides; /* byte offset of every 64th character */
    uint32_t n_strides;
};

enum doc_kind {
    DOC_SCALAR,
    DOC_SEQUENCE,
    DOC_MAPPING,
};

struct doc_node {
    enum doc_kind kind;
    bool plain;     /* scalar without quotes or block indicator */
    bool flow;      /* sequence in [] or mapping in {} */
    bool duplicate; /* its key is there already; only while parsing */
    bool broken;    /* not what was meant, which was reported: nothing more is to be said of it */
    const struct doc_file *file;
    uint32_t start, end; /* bytes [start, end) of file->text */
    uint32_t origin;     /* for kpi_text: index into the set's nodes, never 0 */
    const char *value;   /* scalar: length bytes and a NUL */
    uint32_t length;
    struct doc_node *key;   /* child of a mapping: its key, a scalar */
    struct doc_node *first; /* children */
    struct doc_node *next;  /* sibling */
    uint32_t n_children;
};

/* All files and nodes of one load. */
struct doc_set {
    struct arena *arena;
    struct report *report;
    struct doc_node **nodes; /* [0] is NULL */
    uint32_t n_nodes, nodes_capacity;
    uint32_t n_files;
};

/* A piece of a file that a message is about. file NULL: nowhere in particular. */
struct doc_place {
    const struct doc_file *file;
    uint32_t start, end;
};

/*
 * Reads a file. `shown` is the path that messages name. Returns 0, DOC_E_UNREADABLE with *ret_error
 * (static text), or -ENOMEM.
 */
int doc_file_read(struct doc_set *set, const char *path, const char *shown,
                  struct doc_file **ret_file, const char **ret_error);
/* A file from memory; text is copied. Returns 0 or -ENOMEM. */
int doc_file_new(struct doc_set *set, const char *shown, const char *text, size_t size,
                 struct doc_file **ret_file);

/*
 * Parses a file. *ret_root is NULL if the file holds no node. Errors that leave a tree (duplicate
 * keys, anchors, tags …) are reported and 0 is returned all the same. 0, DOC_E_SYNTAX or -ENOMEM.
 */
int doc_parse(struct doc_set *set, const struct doc_file *file, struct doc_node **ret_root);

/* The byte offset of a character, both counted from 0; the size if there are fewer. */
uint32_t doc_file_offset(const struct doc_file *file, size_t character);

/* Line and column, both from 1; columns count characters. */
void doc_position(const struct doc_file *file, uint32_t offset, uint32_t *ret_line,
                  uint32_t *ret_column);

struct doc_place doc_node_place(const struct doc_node *node);
/*
 * The place of bytes [offset, offset + length) of a scalar's value: exact if the value stands in
 * the file as it is (plain or quoted, on one line, nothing escaped or substituted), else the whole
 * node.
 */
struct doc_place doc_value_place(const struct doc_node *node, uint32_t offset, uint32_t length);

static inline struct kpi_string doc_string(const struct doc_node *node)
{
    return (struct kpi_string){node->value, node->length};
}

/* `key:` with nothing behind. */
static inline bool doc_is_empty(const struct doc_node *node)
{
    return node->kind == DOC_SCALAR && node->plain && node->length == 0;
}

/* The value of a key, or NULL. */
struct doc_node *doc_get(const struct doc_node *mapping, const char *key);
