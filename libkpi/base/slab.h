/*
 * Small blocks of words of many sizes, named by 32 bits, for state that each user has of its own.
 *
 * Blocks are made of units of KPI_SLAB_UNIT words and lie in slabs that never move. A freed block
 * is kept for the next one of its size, so that a population whose blocks grow and shrink soon
 * needs no memory. Slabs are given back by kpi_slab_deinit() alone.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_SLAB_UNIT = 4,       /* words of 8 bytes */
    KPI_SLAB_UNITS = 4096,   /* of a slab */
    KPI_SLAB_BLOCK_MAX = 128 /* units of a block */
};

/* May be embedded; all zero but for `mem` is an empty one. */
struct kpi_slab {
    const struct kpi_mem *mem;
    int64_t **slabs;
    uint32_t n_slabs, n_slabs_max;
    uint32_t n_used;                        /* units of the last slab that were handed out once */
    uint32_t freed[KPI_SLAB_BLOCK_MAX + 1]; /* by units: a chain of free blocks, 0 ends it */
};

void kpi_slab_deinit(struct kpi_slab *slab);

static inline uint32_t kpi_slab_units(uint32_t n_words)
{
    return (n_words + KPI_SLAB_UNIT - 1) / KPI_SLAB_UNIT;
}

/* A block of that many words, undefined; *ret_block is never 0. Returns 0 or -ENOMEM. */
int kpi_slab_alloc(struct kpi_slab *slab, uint32_t n_words, uint32_t *ret_block);
/* n_words: as many as it was allocated with. */
void kpi_slab_free(struct kpi_slab *slab, uint32_t block, uint32_t n_words);

static inline int64_t *kpi_slab_words(const struct kpi_slab *slab, uint32_t block)
{
    uint32_t unit = block - 1;

    return slab->slabs[unit / KPI_SLAB_UNITS] + (size_t)(unit % KPI_SLAB_UNITS) * KPI_SLAB_UNIT;
}
