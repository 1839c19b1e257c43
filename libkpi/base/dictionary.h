/*
 * A bounded dictionary: strings to small ids in order of first appearance, and back. Ids 0 and 1
 * are taken: "none" and "__other__", where everything goes that comes after the dictionary is full,
 * or is longer than KPI_DICTIONARY_BYTES_MAX.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_DICTIONARY_NONE = 0,
    KPI_DICTIONARY_OTHER = 1,
    KPI_DICTIONARY_FIRST = 2,
    KPI_DICTIONARY_BYTES_MAX = 256,
};

struct kpi_dictionary_entry {
    uint64_t hash; /* XXH3_64bits */
    char *data;
    size_t length;
};

struct kpi_dictionary {
    const struct kpi_mem *mem;
    struct kpi_dictionary_entry *entries; /* by id */
    uint32_t n, n_max;
    uint32_t *slots; /* ids, 0 is empty; n_slots is a power of two */
    uint32_t n_slots;
};

/* Returns 0 or -ENOMEM. */
int kpi_dictionary_init(struct kpi_dictionary *dictionary, const struct kpi_mem *mem);
void kpi_dictionary_deinit(struct kpi_dictionary *dictionary);

/* The id of a string whose hash is known; KPI_DICTIONARY_NONE if it is not in. */
uint32_t kpi_dictionary_find(const struct kpi_dictionary *dictionary, struct kpi_string string,
                             uint64_t hash);

/*
 * The id of a string, which is entered if it is new and fewer than n_values_max strings are in,
 * else KPI_DICTIONARY_OTHER. Returns 0 or -ENOMEM.
 */
int kpi_dictionary_intern(struct kpi_dictionary *dictionary, struct kpi_string string,
                          uint64_t hash, uint32_t n_values_max, uint32_t *ret_id);

/* The string of an id < n; valid as long as the dictionary. */
static inline struct kpi_string kpi_dictionary_string(const struct kpi_dictionary *dictionary,
                                                      uint32_t id)
{
    return (struct kpi_string){dictionary->entries[id].data, dictionary->entries[id].length};
}
