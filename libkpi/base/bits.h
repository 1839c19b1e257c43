/* A bit for each dense id, while something is made that many ids go into in any order. */
#pragma once

#include <kpi/base.h>
#include <roaring/roaring.h>

enum {
    KPI_BITS_WORD = 64, /* bits of a word */
};

struct kpi_bits {
    uint64_t *words;
    uint32_t n_words;
};

/* All 0, for ids below `n`; the same `mem` goes into every call. Returns 0 or -ENOMEM. */
int kpi_bits_init(struct kpi_bits *bits, const struct kpi_mem *mem, uint32_t n);
void kpi_bits_deinit(struct kpi_bits *bits, const struct kpi_mem *mem);

static inline void kpi_bits_put(struct kpi_bits *bits, uint32_t id, bool value)
{
    uint64_t *word = &bits->words[id / KPI_BITS_WORD];

    *word = (*word & ~(UINT64_C(1) << id % KPI_BITS_WORD)) | (uint64_t)value << id % KPI_BITS_WORD;
}

/* Sets the bit; was it 0? */
static inline bool kpi_bits_add(struct kpi_bits *bits, uint32_t id)
{
    uint64_t *word = &bits->words[id / KPI_BITS_WORD], bit = UINT64_C(1) << id % KPI_BITS_WORD;
    bool is_new = !(*word & bit);

    *word |= bit;
    return is_new;
}

/* The ids as a Roaring bitmap, freed by roaring_bitmap_free(). Returns 0 or -ENOMEM. */
int kpi_bits_to_roaring(const struct kpi_bits *bits, const struct kpi_mem *mem,
                        roaring_bitmap_t **ret_bitmap);
