/* Strings to ids and back: see dictionary.h. */
#include "base/dictionary.h"

#include <xxhash.h>

static int enter(struct kpi_dictionary *dictionary, struct kpi_string string, uint64_t hash,
                 bool findable);

int kpi_dictionary_init(struct kpi_dictionary *dictionary, const struct kpi_mem *mem)
{
    struct kpi_string other = KPI_STRING("__other__");
    int r;

    *dictionary = (struct kpi_dictionary){.mem = mem};
    r = enter(dictionary, (struct kpi_string){0}, 0, false);
    if (r == 0)
        r = enter(dictionary, other, XXH3_64bits(other.data, other.length), true);
    if (r < 0)
        kpi_dictionary_deinit(dictionary);
    return r;
}

void kpi_dictionary_deinit(struct kpi_dictionary *dictionary)
{
    for (uint32_t i = 0; i < dictionary->n; i++)
        kpi_mem_free(dictionary->mem, dictionary->entries[i].data, dictionary->entries[i].length);
    kpi_mem_free(dictionary->mem, dictionary->entries,
                 dictionary->n_max * sizeof(*dictionary->entries));
    kpi_mem_free(dictionary->mem, dictionary->slots, dictionary->n_slots * sizeof(uint32_t));
    *dictionary = (struct kpi_dictionary){.mem = dictionary->mem};
}

uint32_t kpi_dictionary_find(const struct kpi_dictionary *dictionary, struct kpi_string string,
                             uint64_t hash)
{
    uint32_t mask = dictionary->n_slots - 1;

    for (uint32_t i = (uint32_t)hash & mask; dictionary->slots[i]; i = (i + 1) & mask) {
        uint32_t id = dictionary->slots[i];

        if (dictionary->entries[id].hash == hash &&
            kpi_string_equal(kpi_dictionary_string(dictionary, id), string))
            return id;
    }
    return KPI_DICTIONARY_NONE;
}

static void slot_put(uint32_t *slots, uint32_t n_slots, uint64_t hash, uint32_t id)
{
    uint32_t i = (uint32_t)hash & (n_slots - 1);

    while (slots[i])
        i = (i + 1) & (n_slots - 1);
    slots[i] = id;
}

static int reserve(struct kpi_dictionary *dictionary)
{
    uint32_t n_max = dictionary->n_max ? dictionary->n_max * 2 : 16, n_slots = n_max * 2;
    struct kpi_dictionary_entry *entries;
    uint32_t *slots;

    if (dictionary->n < dictionary->n_max)
        return 0;
    slots = kpi_mem_zalloc(dictionary->mem, n_slots * sizeof(uint32_t));
    if (!slots)
        return -ENOMEM;
    entries = kpi_mem_resize(dictionary->mem, dictionary->entries,
                             dictionary->n_max * sizeof(*entries), n_max * sizeof(*entries));
    if (!entries) {
        kpi_mem_free(dictionary->mem, slots, n_slots * sizeof(uint32_t));
        return -ENOMEM;
    }
    for (uint32_t id = 1; id < dictionary->n; id++)
        slot_put(slots, n_slots, entries[id].hash, id);
    kpi_mem_free(dictionary->mem, dictionary->slots, dictionary->n_slots * sizeof(uint32_t));
    dictionary->entries = entries;
    dictionary->n_max = n_max;
    dictionary->slots = slots;
    dictionary->n_slots = n_slots;
    return 0;
}

static int enter(struct kpi_dictionary *dictionary, struct kpi_string string, uint64_t hash,
                 bool findable)
{
    struct kpi_dictionary_entry entry = {.hash = hash, .length = string.length};
    int r;

    r = reserve(dictionary);
    if (r < 0)
        return r;
    if (string.length) {
        entry.data = kpi_mem_alloc(dictionary->mem, string.length);
        if (!entry.data)
            return -ENOMEM;
        memcpy(entry.data, string.data, string.length);
    }
    if (findable)
        slot_put(dictionary->slots, dictionary->n_slots, hash, dictionary->n);
    dictionary->entries[dictionary->n++] = entry;
    return 0;
}

int kpi_dictionary_intern(struct kpi_dictionary *dictionary, struct kpi_string string,
                          uint64_t hash, uint32_t n_values_max, uint32_t *ret_id)
{
    uint32_t id = kpi_dictionary_find(dictionary, string, hash);
    int r;

    if (id == KPI_DICTIONARY_NONE) {
        id = KPI_DICTIONARY_OTHER;
        if (dictionary->n - KPI_DICTIONARY_FIRST < n_values_max &&
            string.length <= KPI_DICTIONARY_BYTES_MAX) {
            r = enter(dictionary, string, hash, true);
            if (r < 0)
                return r;
            id = dictionary->n - 1;
        }
    }
    *ret_id = id;
    return 0;
}
