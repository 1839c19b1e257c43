/*
 * What a checkpoint is made of. An object's name is a letter and one or two numbers in hexadecimal,
 * "p.1f.3"; its payload begins with the same (u8 tag, u64 a, u32 b), so that bytes under a wrong
 * name are noticed. All that follows is little-endian.
 *
 *   tag  name          kind     payload
 *   m    m             META     counters, newest times, attributes, and how much there is of all
 * else v    v             META     both dictionaries: u32 n, then n of u16 length and bytes (ids 2
 * …), twice; since version 2 for each of u32 n dimensions u64 fingerprint and a dictionary, then
 * the same of the sets of dimensions, whose strings are u32 ids; since version 3 from when
 * everything counts: u32 n instances, for each u64 fingerprint and i64 time, and the same of
 * attributes u    u.chunk       USERS    hashes
 * of KPI_USERS_CHUNK ids (fewer in the last) s s.day SCALARS  every cell of a day (day + 2^31):
 * key, counts, and of sets how they are saved h h.serial CELL     a hot set, whole: pages p
 * p.serial.g    CELL     a large hot set: pages of group g, KPI_SAVE_GROUP each c    c.serial CELL
 * a frozen set: a portable Roaring bitmap l l.serial      CELL     latest answers: u32 id, u64
 * stamp r    r.chunk       ROWS     u64 stamp, attribute rows of KPI_SLOTS_CHUNK ids (fewer in the
 * last) x    x.save.part   ROWS     rows changed before that save: u32 id, row d    d.hour.index
 * DEDUPE   ids that arrived in that hour: u64 id, u32 event hour, u16 content
 * y    y             META     what funnels: of each u64 fingerprint, late events, from; counts
 * f    f.chunk       ROWS     of KPI_FUNNELS_CHUNK users for each funnel u16 n and n words
 * g    g.save.part   ROWS     users changed before that save: u32 id, the same
 *
 * q.serial, a CELL, is a sketch of quantiles; its cell's counts end with the sum of its values.
 *
 * w.chunk, of kind USERS, has hashes whose events are refused, KPI_USERS_CHUNK each (fewer in the
 * last); how many there are ends `m` since version 2. In `u` KPI_USERS_NOBODY stands for a user who
 * was erased.
 *
 * A cell's key is u64 fingerprint, u32 tuple, u8 form (and u16 window, see KPI_SAVE_WINDOW), u64
 * serial. A page is u16 key, u8 bits or array, u32 count, and 8 KiB or count u16.
 */
#pragma once

#include "base/buffer.h"
#include "base/sort.h"
#include "engine/state.h"

#include <kpi/object.h>

enum {
    KPI_SAVE_VERSION = 1,            /* of all objects, but for */
    KPI_SAVE_VERSION_ERASED = 2,     /* `m` with barred hashes, `u` with ids of nobody */
    KPI_SAVE_VERSION_STARTS = 3,     /* `v`, with dimensions and starts */
    KPI_SAVE_VERSION_WINDOWS = 2,    /* packs with cells of windows */
    KPI_SAVE_VERSION_QUANTILES = 3,  /* packs with cells of quantiles */
    KPI_SAVE_WINDOW = 0x80,          /* of a cell's form: u16 follows, the window of the day */
    KPI_SAVE_GROUP = 4,              /* pages in an object */
    KPI_SAVE_WHOLE_MAX = 32 * 1024,  /* bytes of a hot set that is saved whole */
    KPI_SAVE_DELTA_MAX = 128 * 1024, /* bytes of an object of changed rows */
    KPI_SAVE_IDS = 8192,             /* ids in an object of them */
    KPI_SAVE_ID_BYTES = 14,
    KPI_SAVE_PREFIX = 1 + 8 + 4, /* tag, a, b */
};

/* What an object is called. */
struct kpi_name {
    char tag;
    uint64_t a;
    uint32_t b;
};

/* ret_text: at least 32 bytes, not terminated. Returns the length. */
size_t kpi_name_render(const struct kpi_name *name, char *ret_text);
/* False if no object is called so. */
bool kpi_name_parse(struct kpi_string text, struct kpi_name *ret_name);
/* < 0, 0, > 0: the order in which objects are loaded. */
int kpi_name_compare(const struct kpi_name *a, const struct kpi_name *b);
enum kpi_object_kind kpi_name_kind(const struct kpi_name *name);
/* The newest layout that there is of it. */
uint16_t kpi_name_version_max(const struct kpi_name *name);

struct kpi_ids_object {
    int64_t hour;
    uint32_t index;
};

/* Which slots of an attribute hold ids of strings, as the manifest says. */
enum {
    KPI_STRINGS_NONE,
    KPI_STRINGS_ONE, /* the last */
    KPI_STRINGS_SET, /* every other, behind its time */
};

/* Changed rows as they were saved, and of whom they are: an erasure must find them. */
struct kpi_save_delta {
    struct kpi_name name;
    uint32_t *users; /* ascending; of funnels NULL */
    uint32_t n;
};

/* Objects of what each user has: chunks, rewritten in turn, and what changed since (save_base.c).
 */
struct kpi_save_base {
    struct kpi_save_delta *deltas;
    size_t n_deltas, n_deltas_max;
    uint32_t n_chunks; /* that exist: 0 … n_chunks - 1 */
    uint32_t cursor;   /* next chunk to rewrite */
    uint64_t cycle;    /* save in which the cursor was at 0 */
    uint64_t credit;   /* bytes that may be rewritten */
};

struct kpi_save_funnels {
    bool saved;      /* `y` exists */
    uint64_t layout; /* of what funnels: by kpi_save_funnels_layout() */
    struct kpi_save_base base;
};

/* What the store holds, as far as the state itself does not tell. */
struct kpi_save {
    const struct kpi_mem *mem;
    uint64_t n; /* saves so far, of all lives of this shard */
    uint32_t n_users, n_barred;
    uint32_t n_values, n_strings; /* in the dictionaries as saved */
    uint64_t n_tuples;            /* likewise, of kpi_tuples_total() */

    struct kpi_name *removals; /* cells' objects to be removed */
    size_t n_removals, n_removals_max;

    struct kpi_save_base rows; /* of attributes */
    struct kpi_save_funnels funnels;

    /* Ids: the objects there are, by hour and index; and the last one, if it is not full. */
    struct kpi_ids_object *ids;
    size_t n_ids, n_ids_max;
    uint64_t generation; /* of the dedupe table, when saved */
    uint8_t *tail;       /* KPI_SAVE_IDS * KPI_SAVE_ID_BYTES */
    uint32_t n_tail;     /* 0: there is none */
};

/* The engine's, made if there is none. Returns 0 or -ENOMEM. */
int kpi_save_get(struct kpi_engine *engine, struct kpi_save **ret_save);
/* `users` are copied; n may be 0. */
int kpi_save_add_delta(struct kpi_save *save, struct kpi_save_base *base,
                       const struct kpi_name *name, const uint32_t *users, uint32_t n);
void kpi_save_delta_free(struct kpi_save *save, struct kpi_save_delta *delta);
/* The layout of these funnels and one more, by their fingerprints. */
uint64_t kpi_save_funnels_layout(uint64_t layout, uint64_t fingerprint);
int kpi_save_add_ids(struct kpi_save *save, int64_t hour, uint32_t index);
int kpi_save_add_removal(struct kpi_save *save, const struct kpi_name *name);

/* A save under way. */
struct kpi_saving {
    struct kpi_engine *engine;
    struct kpi_save *save;
    bool all;
    kpi_object_fn put;
    void *userdata;
    struct kpi_buffer buffer;
    struct kpi_name name;    /* of the object being written */
    uint16_t version;        /* likewise */
    struct kpi_buffer users; /* u32 each: of whom the delta being written is; of funnels empty */
};

/* Begins an object; its content goes into saving->buffer; kpi_saving_end() hands it out. */
void kpi_saving_begin(struct kpi_saving *saving, char tag, uint64_t a, uint32_t b);
int kpi_saving_end(struct kpi_saving *saving);
int kpi_saving_remove(struct kpi_saving *saving, const struct kpi_name *name);

/* --- save_base.c. Each returns 0 or -ENOMEM, or what the taker of objects said --- */

/* A base being saved. */
struct kpi_saving_base {
    struct kpi_save_base *save;
    char tag, delta_tag;  /* of names of chunks, and of deltas */
    uint32_t n_chunks;    /* of the users there are */
    uint64_t chunk_bytes; /* about */
    /* Adds a chunk to saving->buffer; nothing of it is dirty any more. */
    void (*chunk_add)(struct kpi_saving *saving, uint32_t chunk);
};

/* Writes one chunk, or all, after which there are no deltas. */
int kpi_saving_base_chunk(struct kpi_saving *saving, const struct kpi_saving_base *base,
                          uint32_t chunk);
int kpi_saving_base_all(struct kpi_saving *saving, const struct kpi_saving_base *base);
/* Writes as many as the deltas allow for; *ret_n: how many, from where the cursor was. */
int kpi_saving_base_rewrite(struct kpi_saving *saving, const struct kpi_saving_base *base,
                            uint32_t *ret_n);
/* Removes all objects. */
int kpi_saving_base_remove(struct kpi_saving *saving, const struct kpi_saving_base *base);
/*
 * This save's delta goes into saving->buffer, and whose it is into saving->users; before each user
 * it is asked whether it is full, when another part of it begins.
 */
void kpi_saving_delta_begin(struct kpi_saving *saving, const struct kpi_saving_base *base);
int kpi_saving_delta_turn(struct kpi_saving *saving, const struct kpi_saving_base *base);
int kpi_saving_delta_end(struct kpi_saving *saving, const struct kpi_saving_base *base);

void kpi_saving_starts(struct kpi_saving *saving); /* starts.c: the end of `v` */
int kpi_saving_rows(struct kpi_saving *saving);    /* save_rows.c */
int kpi_saving_cells(struct kpi_saving *saving);   /* save_cells.c */
int kpi_saving_ids(struct kpi_saving *saving);     /* save_ids.c */
int kpi_saving_funnels(struct kpi_saving *saving); /* save_funnels.c */

/* --- loading --- */

struct kpi_stash_object {
    struct kpi_name name;
    uint8_t *bytes; /* of the payload, with its prefix */
    size_t size;
};

/* Objects come in any order, but mean something only in one: they are kept until the last has come.
 */
struct kpi_stash {
    struct kpi_stash_object *objects;
    size_t n, n_max;
};

/* A cell of a pack whose content comes in objects of its own. */
struct kpi_loading_cell {
    uint64_t serial, count;
    struct kpi_cell *cell; /* NULL: of an instance that the plan does not have */
    enum kpi_cell_form form;
    bool paged;
    uint64_t n_loaded;
    uint32_t n_objects;
};

/* A load under way: what `m` says, and how much has come. */
struct kpi_loading {
    struct kpi_engine *engine;
    struct kpi_save *save;
    struct kpi_attribute *attributes; /* as saved; room for layout.n_attributes */
    struct kpi_attributes layout;
    struct kpi_slots slots; /* rows as saved */
    uint32_t n_users, n_barred, n_values, n_strings, n_packs, n_bases, n_deltas;
    uint64_t n_cells;
    uint64_t n_ids;    /* remembered, */
    int64_t ids_floor; /* hour before which none is */
    uint32_t n_packs_seen, n_bases_seen;
    uint64_t n_cells_seen, n_ids_seen;
    uint32_t funnels[KPI_FUNNELS_MAX]; /* as saved: the plan's, or KPI_NO_INDEX */
    uint32_t n_funnels, n_funnel_bases, n_funnel_deltas, n_funnel_bases_seen;
    struct kpi_loading_cell *cells; /* sorted by serial once all packs are in */
    size_t n_sets, n_sets_max;
};

/* A time that arithmetic with it cannot overflow. */
static inline bool kpi_time_fits(kpi_time time)
{
    return time == KPI_TIME_NONE || (time > -(INT64_MAX / 4) && time < INT64_MAX / 4);
}

/* Each returns 0, KPI_ENGINE_E_CORRUPT or -ENOMEM. */
int kpi_loading_strings(struct kpi_dictionary *dictionary, const struct kpi_mem *mem,
                        struct kpi_reader *reader);
/* load_funnels.c: `y`, then the base and its deltas, then that they are all there. */
int kpi_loading_funnels(struct kpi_loading *loading, struct kpi_reader *reader);
int kpi_loading_funnel_base(struct kpi_loading *loading, const struct kpi_name *name,
                            struct kpi_reader *reader);
int kpi_loading_funnel_delta(struct kpi_loading *loading, const struct kpi_name *name,
                             struct kpi_reader *reader);
int kpi_loading_funnels_end(struct kpi_loading *loading);
/* Values and tuples of dimensions: what follows in `v`, if anything does. */
int kpi_loading_tuples(struct kpi_loading *loading, struct kpi_reader *reader);
/*
 * From when instances and attributes count: the end of `v`, if it is there. What the checkpoint's
 * plan did not have begins now.
 */
int kpi_loading_starts(struct kpi_loading *loading, struct kpi_reader *reader);
int kpi_loading_pack(struct kpi_loading *loading, const struct kpi_name *name,
                     struct kpi_reader *reader);
/* A pack has been read; passed_over: with cells of other plans in it. */
int kpi_loading_pack_seen(struct kpi_loading *loading, kpi_day day, bool passed_over);
/* All packs have come, or all contents. */
int kpi_loading_packs_end(struct kpi_loading *loading);
int kpi_loading_content(struct kpi_loading *loading, const struct kpi_name *name,
                        struct kpi_reader *reader);
int kpi_loading_contents_end(struct kpi_loading *loading);
