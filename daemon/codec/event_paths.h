/*
 * Values at paths: one pass over a JSON object that checks all of it and notes where the wanted
 * values are, at any depth. What they mean is settled afterwards (event_mapped_read.c), when it is known
 * which mapping the message falls under.
 *
 * The wanted paths form a tree of objects. A key of an object on the way that comes twice is noted,
 * as is a wanted value that does; of other keys it does not matter. A way that is blocked by a
 * scalar or an array leads to nothing.
 *
 * Each object remembers, by place, which keys it had the last time: a message that is laid out like
 * the one before costs one comparison of 16 or 32 bytes a key. What is not as remembered is looked
 * up. Neither changes what is read.
 */
#pragma once

#include "codec/json_scan.h"
#include "util/arena.h"

#include <kpi/event.h>

struct event_paths;

enum {
    EVENT_SLOTS_MAX = UINT16_MAX, /* the index that stands for none */
};

enum event_slot_kind {
    EVENT_SLOT_ABSENT, /* missing, null, or the way is blocked */
    EVENT_SLOT_STRING, /* text */
    EVENT_SLOT_PLAIN,  /* a number or bool: `length` bytes at `at` */
    EVENT_SLOT_NESTED, /* an object or array: one byte at `at` is enough to tell */
    EVENT_SLOT_HEADER, /* not of the message: `string` is all there is */
};

/* The value at a path, as of the last message. */
struct event_slot {
    uint64_t message;  /* that wrote it */
    const uint8_t *at; /* where the value begins: a string's quote */
    size_t length;
    struct json_text text;
    struct kpi_string string; /* of a string, once somebody asked for it */
    uint8_t kind;
    bool has_string;
};

/* All memory is the arena's. NULL: no memory. */
struct event_paths *event_paths_new(struct arena *arena);

/* The slot of base.path; both checked paths, base may be empty. The same path has one slot. 0 or
 * -ENOMEM. */
int event_paths_add(struct event_paths *paths, struct kpi_string base, struct kpi_string path,
                    uint16_t *ret_slot);
/* A slot that the scan does not fill. */
int event_paths_add_loose(struct event_paths *paths, uint16_t *ret_slot);
/* Call once all paths are added. 0 or -ENOMEM. */
int event_paths_finish(struct event_paths *paths);

/* Where the text of an escaped key is put for a moment. */
struct event_paths_scan {
    uint64_t message;            /* its number, from 1, rising */
    char *scratch;               /* EVENT_BYTES_MAX */
    enum kpi_refusal problem;    /* written if the message is not valid */
    const uint8_t *duplicate_at; /* NULL, or the value of the first key that came twice */
};

/*
 * p is behind the brace that opens the message, in a copy that ends as json_scan.h wants it.
 * Returns behind the closing brace, or NULL with scan->problem.
 */
const uint8_t *event_paths_scan(struct event_paths *paths, struct event_paths_scan *scan,
                                const uint8_t *p);

/* The slot as of the message with this number: absent if that one did not write it. */
struct event_slot *event_paths_slot(struct event_paths *paths, uint16_t slot, uint64_t message);
/* The slot, to be written. */
struct event_slot *event_paths_slot_put(struct event_paths *paths, uint16_t slot, uint64_t message);
