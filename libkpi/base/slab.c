/* See slab.h. */
#include "base/slab.h"

#include <assert.h>

enum {
    SLAB_BYTES = KPI_SLAB_UNITS * KPI_SLAB_UNIT * sizeof(int64_t)
};

void kpi_slab_deinit(struct kpi_slab *slab)
{
    const struct kpi_mem *mem = slab->mem;

    for (uint32_t i = 0; i < slab->n_slabs; i++)
        kpi_mem_free(mem, slab->slabs[i], SLAB_BYTES);
    kpi_mem_free(mem, slab->slabs, slab->n_slabs_max * sizeof(*slab->slabs));
    *slab = (struct kpi_slab){.mem = mem};
}

static void freed_push(struct kpi_slab *slab, uint32_t block, uint32_t n_units)
{
    *kpi_slab_words(slab, block) = slab->freed[n_units];
    slab->freed[n_units] = block;
}

/* What the last slab has left is cut into free blocks, and a new one is made. */
static int slab_add(struct kpi_slab *slab)
{
    int64_t *words;

    if (slab->n_slabs == slab->n_slabs_max) {
        uint32_t n_max = slab->n_slabs_max * 2 + 8;
        int64_t **slabs = kpi_mem_resize(slab->mem, slab->slabs, slab->n_slabs_max * sizeof(*slabs),
                                         n_max * sizeof(*slabs));

        if (!slabs)
            return -ENOMEM;
        slab->slabs = slabs;
        slab->n_slabs_max = n_max;
    }
    words = kpi_mem_alloc(slab->mem, SLAB_BYTES);
    if (!words)
        return -ENOMEM;
    if (slab->n_slabs && slab->n_used < KPI_SLAB_UNITS)
        freed_push(slab, (slab->n_slabs - 1) * KPI_SLAB_UNITS + slab->n_used + 1,
                   KPI_SLAB_UNITS - slab->n_used); /* smaller than a block that did not fit */
    slab->slabs[slab->n_slabs++] = words;
    slab->n_used = 0;
    return 0;
}

int kpi_slab_alloc(struct kpi_slab *slab, uint32_t n_words, uint32_t *ret_block)
{
    uint32_t n_units = kpi_slab_units(n_words), block = slab->freed[n_units];

    assert(n_units > 0 && n_units <= KPI_SLAB_BLOCK_MAX);
    if (block) {
        slab->freed[n_units] = (uint32_t)*kpi_slab_words(slab, block);
        *ret_block = block;
        return 0;
    }
    if (slab->n_slabs == 0 || slab->n_used + n_units > KPI_SLAB_UNITS) {
        int r = slab_add(slab);

        if (r < 0)
            return r;
    }
    *ret_block = (slab->n_slabs - 1) * KPI_SLAB_UNITS + slab->n_used + 1;
    slab->n_used += n_units;
    return 0;
}

void kpi_slab_free(struct kpi_slab *slab, uint32_t block, uint32_t n_words)
{
    freed_push(slab, block, kpi_slab_units(n_words));
}
