/*
 * What a supplement holds beside groups: sketches of the values that quantile() and median() are
 * about, as bytes, by scope and by the leaf that stands for all with the same values
 * (kpi_leaf.sketch). There is none of no value.
 */
#pragma once

#include "sketch/quantiles.h"

struct kpi_layout;
struct kpi_program;
struct kpi_supplement;

struct kpi_sketch_entry {
    uint32_t scope, leaf;
    size_t at, size; /* of its bytes */
};

struct kpi_sketches {
    struct kpi_buffer entries; /* struct kpi_sketch_entry, ascending by scope, then by leaf */
    struct kpi_buffer bytes;
};

struct kpi_sketches kpi_sketches_make(const struct kpi_mem *mem);
void kpi_sketches_deinit(struct kpi_sketches *sketches);

static inline uint32_t kpi_sketches_n(const struct kpi_sketches *sketches)
{
    return (uint32_t)(sketches->entries.size / sizeof(struct kpi_sketch_entry));
}

static inline const struct kpi_sketch_entry *kpi_sketches_at(const struct kpi_sketches *sketches,
                                                             uint32_t index)
{
    return (const struct kpi_sketch_entry *)sketches->entries.data + index;
}

/* The first entry, from `from` on, that is not before this one. */
uint32_t kpi_sketches_seek(const struct kpi_sketches *sketches, uint32_t from, uint32_t scope,
                           uint32_t leaf);
/* Is entry `index` this one? */
static inline bool kpi_sketches_is(const struct kpi_sketches *sketches, uint32_t index,
                                   uint32_t scope, uint32_t leaf)
{
    return index < kpi_sketches_n(sketches) && kpi_sketches_at(sketches, index)->scope == scope &&
           kpi_sketches_at(sketches, index)->leaf == leaf;
}

/* Append what comes after all that are there. 0 or -ENOMEM. */
int kpi_sketches_push(struct kpi_sketches *sketches, uint32_t scope, uint32_t leaf,
                      const struct kpi_quantiles *quantiles);
int kpi_sketches_push_bytes(struct kpi_sketches *sketches, uint32_t scope, uint32_t leaf,
                            const void *bytes, size_t size);
/* Appends all of `from` to an empty one. 0 or -ENOMEM. */
int kpi_sketches_copy(struct kpi_sketches *sketches, const struct kpi_sketches *from);

void kpi_sketches_encode(const struct kpi_sketches *sketches, struct kpi_buffer *buffer);
/* All bytes of the reader, which may be any, into an empty one. 0, KPI_SUPPLEMENT_E_CORRUPT or
 * -ENOMEM. */
int kpi_sketches_decode(struct kpi_sketches *sketches, struct kpi_reader *reader);

/* Are all of scopes of this layout, and of leaves that stand for quantiles? */
bool kpi_sketches_fit(const struct kpi_sketches *sketches, const struct kpi_layout *layout);

/* Is there, of those that `leaf` stands for, any in a scope with these rows? */
bool kpi_sketch_wanted(const struct kpi_program *program, uint32_t leaf, const uint32_t *leaf_rows);

/* supplement.c: the supplement's own. */
struct kpi_sketches *kpi_supplement_sketches(struct kpi_supplement *supplement);
const struct kpi_sketches *kpi_supplement_its_sketches(const struct kpi_supplement *supplement);
