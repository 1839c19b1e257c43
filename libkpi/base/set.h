/*
 * A hot set: distinct dense ids of a day that is still going on.
 *
 * The ids are cut into pages of 65,536. A page begins as a small sorted array (it grows by a half)
 * and turns into 8 KiB of plain bits when it holds 2,048 ids, so that adding stays a matter of
 * nanoseconds and a set never takes more than twice what it would as a Roaring bitmap. When the day
 * is over the set is turned into one (kpi_set_to_roaring()).
 *
 * Each page has a dirty mark, set by what changes it and cleared by who saves it.
 */
#pragma once

#include <kpi/base.h>
#include <roaring/roaring.h>

enum {
    KPI_SET_ARRAY_MAX = 2048, /* ids of an array page */
    KPI_SET_WORDS = 1024,     /* 64-bit words of a bit page */
};

struct kpi_set_page {
    union {
        uint16_t *values; /* sorted */
        uint64_t *words;
    };
    uint32_t count : 17;
    uint32_t is_bits : 1;
    uint32_t dirty : 1;
    uint32_t saved : 1; /* stands in some object */
    uint16_t key;       /* id >> 16 */
    uint16_t capacity;  /* of values */
};

/* Embedded; all zero is the empty set. The same `mem` goes into every call. */
struct kpi_set {
    struct kpi_set_page *pages; /* sorted by key */
    uint32_t n_pages, n_pages_max;
    uint64_t count;
};

enum {
    KPI_SET_E_PRESENT = 1, /* the id was in the set already */
};

void kpi_set_deinit(struct kpi_set *set, const struct kpi_mem *mem);

/* Returns 0 if the id was added, KPI_SET_E_PRESENT, or -ENOMEM (nothing changed). */
int kpi_set_add(struct kpi_set *set, const struct kpi_mem *mem, uint32_t id);
bool kpi_set_contains(const struct kpi_set *set, uint32_t id);

/*
 * Removes those of n ids (ascending) that are in the set; returns how many were. A page that has no
 * id any more goes. Allocates nothing.
 */
uint64_t kpi_set_remove(struct kpi_set *set, const struct kpi_mem *mem, const uint32_t *ids,
                        size_t n);
/* Would that leave a page without an id? */
bool kpi_set_remove_empties(const struct kpi_set *set, const uint32_t *ids, size_t n);

/* Bytes allocated. */
size_t kpi_set_bytes(const struct kpi_set *set);

/*
 * Adds a whole page, of which the set has none yet: `count` sorted values (bits NULL), or the bits.
 * Contents are the caller's to check. Not dirty. Returns 0 or -ENOMEM.
 */
int kpi_set_add_page(struct kpi_set *set, const struct kpi_mem *mem, uint16_t key, uint32_t count,
                     const uint16_t *values, const uint64_t *words);
struct kpi_set_page *kpi_set_find_page(const struct kpi_set *set, uint16_t key); /* or NULL */

/* The same ids as a Roaring bitmap, freed by roaring_bitmap_free(). Returns 0 or -ENOMEM. */
int kpi_set_to_roaring(const struct kpi_set *set, const struct kpi_mem *mem,
                       roaring_bitmap_t **ret_bitmap);

/* Calls fn for each id, ascending. */
typedef void (*kpi_set_fn)(void *userdata, uint32_t id);
void kpi_set_iterate(const struct kpi_set *set, kpi_set_fn fn, void *userdata);
