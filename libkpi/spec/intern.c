/*
 * Interning of hashes, which are good ones already: their low bits choose the slot.
 */
#include "spec/intern.h"

void kpi_intern_init(struct kpi_intern *intern, const struct kpi_mem *mem)
{
    *intern = (struct kpi_intern){.n_slots = 0};
    kpi_vector_init(&intern->hashes, mem, sizeof(uint64_t));
}

void kpi_intern_deinit(struct kpi_intern *intern)
{
    kpi_mem_free(intern->hashes.mem, intern->slots, intern->n_slots * sizeof(*intern->slots));
    kpi_vector_deinit(&intern->hashes);
}

/* The slot of a hash: that of its number, or a free one. */
static uint32_t *slot_find(const struct kpi_intern *intern, uint64_t hash)
{
    const uint64_t *hashes = intern->hashes.data;
    uint32_t at = (uint32_t)hash & (intern->n_slots - 1);

    while (intern->slots[at] && hashes[intern->slots[at] - 1] != hash)
        at = (at + 1) & (intern->n_slots - 1);
    return &intern->slots[at];
}

static int grow(struct kpi_intern *intern)
{
    const struct kpi_mem *mem = intern->hashes.mem;
    const uint64_t *hashes = intern->hashes.data;
    struct kpi_intern grown = *intern;

    grown.n_slots = intern->n_slots ? 2 * intern->n_slots : 64;
    grown.slots = kpi_mem_zalloc(mem, grown.n_slots * sizeof(*grown.slots));
    if (!grown.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < intern->hashes.n; ++i)
        *slot_find(&grown, hashes[i]) = i + 1;
    kpi_mem_free(mem, intern->slots, intern->n_slots * sizeof(*intern->slots));
    *intern = grown;
    return 0;
}

int kpi_intern_add(struct kpi_intern *intern, uint64_t hash, uint32_t *ret_number)
{
    uint64_t *added;
    uint32_t *slot;
    int r;

    if (2 * (intern->hashes.n + 1) > intern->n_slots) {
        r = grow(intern);
        if (r < 0)
            return r;
    }
    slot = slot_find(intern, hash);
    if (*slot) {
        *ret_number = *slot - 1;
        return 0;
    }
    added = kpi_vector_push(&intern->hashes);
    if (!added)
        return -ENOMEM;
    *added = hash;
    *slot = intern->hashes.n;
    *ret_number = *slot - 1;
    return KPI_INTERN_E_NEW;
}
