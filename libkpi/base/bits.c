/* Plain bits: see bits.h. */
#include "base/bits.h"
#include "base/set.h"

int kpi_bits_init(struct kpi_bits *bits, const struct kpi_mem *mem, uint32_t n)
{
    /* whole pages of a set, so that they can be taken over */
    bits->n_words = (n / (KPI_SET_WORDS * KPI_BITS_WORD) + 1) * KPI_SET_WORDS;
    bits->words = kpi_mem_zalloc(mem, bits->n_words * sizeof(*bits->words));
    return bits->words ? 0 : -ENOMEM;
}

void kpi_bits_deinit(struct kpi_bits *bits, const struct kpi_mem *mem)
{
    kpi_mem_free(mem, bits->words, bits->n_words * sizeof(*bits->words));
}

int kpi_bits_to_roaring(const struct kpi_bits *bits, const struct kpi_mem *mem,
                        roaring_bitmap_t **ret_bitmap)
{
    struct kpi_set set = {0};
    int r = 0;

    for (uint32_t first = 0; first < bits->n_words && r == 0; first += KPI_SET_WORDS) {
        const uint64_t *words = bits->words + first;
        uint32_t count = 0;

        for (uint32_t i = 0; i < KPI_SET_WORDS; i++)
            count += (uint32_t)__builtin_popcountll(words[i]);
        if (count)
            r = kpi_set_add_page(&set, mem, (uint16_t)(first / KPI_SET_WORDS), count, NULL, words);
    }
    if (r == 0)
        r = kpi_set_to_roaring(&set, mem, ret_bitmap);
    kpi_set_deinit(&set, mem);
    return r;
}
