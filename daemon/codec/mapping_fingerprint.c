/*
 * What mappings and rates say, as a number: see mappings_fingerprint(). A sequence is hashed link
 * by link, each from where the one before has ended, with counts before what is counted; the order
 * of a set means nothing, so the hashes of its members are added up.
 */
#include "codec/mapping.h"

#include <xxhash.h>

static void put(uint64_t *hash, const void *bytes, size_t size)
{
    *hash = XXH3_64bits_withSeed(bytes, size, *hash);
}

static void put_number(uint64_t *hash, uint64_t number)
{
    put(hash, &number, sizeof(number));
}

/* One without data is not an empty one. */
static void put_string(uint64_t *hash, struct kpi_string text)
{
    put_number(hash, text.data ? 1 + text.length : 0);
    put(hash, text.data ? text.data : "", text.length);
}

/* Whatever its keys are quoted for. */
static void put_path(uint64_t *hash, struct kpi_string path)
{
    char buffer[MAPPING_PATH_BYTES_MAX];
    struct kpi_string key;
    uint64_t n_keys = 0;
    size_t offset = 0;

    for (; mapping_path_next(path, &offset, buffer, &key); n_keys++)
        put_string(hash, key);
    put_number(hash, n_keys);
}

static void put_strings(uint64_t *hash, const struct kpi_string *texts, uint32_t n_texts)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n_texts; i++) {
        uint64_t member = 0;

        put_string(&member, texts[i]);
        sum += member;
    }
    put_number(hash, n_texts);
    put_number(hash, sum);
}

/* A table of values: ascending, and so in one order only. */
static void put_values(uint64_t *hash, const struct mapping_value *values, uint32_t n_values)
{
    put_number(hash, n_values);
    for (uint32_t i = 0; i < n_values; i++) {
        put_string(hash, values[i].from);
        put_string(hash, values[i].to);
    }
}

static void put_entry(uint64_t *hash, const struct mapping_entry *entry)
{
    put_number(hash, entry->n_paths);
    for (uint32_t i = 0; i < entry->n_paths; i++)
        put_path(hash, entry->paths[i]);
    put_string(hash, entry->constant);
    put_string(hash, entry->absent);
    put_number(hash, entry->absent_record);
    put_values(hash, entry->values, entry->n_values);
    put_number(hash, entry->other);
    put_number(hash, entry->unit);
    put_values(hash, entry->negative, entry->n_negative);
}

static void put_conditions(uint64_t *hash, const struct mapping *mapping)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < mapping->n_conditions; i++) {
        const struct mapping_condition *condition = &mapping->conditions[i];
        uint64_t member = 0;

        put_path(&member, condition->path);
        put_strings(&member, condition->values, condition->n_values);
        sum += member;
    }
    put_number(hash, mapping->n_conditions);
    put_number(hash, sum);
}

static void put_fields(uint64_t *hash, const struct mapping *mapping)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < mapping->n_fields; i++) {
        uint64_t member = 0;

        put_string(&member, mapping->fields[i].name);
        put_entry(&member, &mapping->fields[i].entry);
        sum += member;
    }
    put_number(hash, mapping->n_fields);
    put_number(hash, sum);
}

/* But for its name, which no event sees. */
static void put_mapping(uint64_t *hash, const struct mapping *mapping)
{
    put_strings(hash, mapping->topics, mapping->n_topics);
    put_conditions(hash, mapping);
    put_number(hash, mapping->preset);
    for (unsigned role = 0; role < MAPPING_ROLES; role++)
        put_entry(hash, &mapping->entries[role]);
    put_fields(hash, mapping);
}

static void put_currencies(uint64_t *hash, const struct mappings *mappings)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < mappings->n_currencies; i++) {
        const struct mapping_currency *currency = &mappings->currencies[i];
        uint64_t member = 0;

        put_string(&member, currency->code);
        put_number(&member, currency->n_rates);
        for (uint32_t k = 0; k < currency->n_rates; k++) {
            put_number(&member, (uint64_t)currency->rates[k].from);
            put_number(&member, (uint64_t)currency->rates[k].rate);
        }
        sum += member;
    }
    put_number(hash, mappings->n_currencies);
    put_number(hash, sum);
}

uint64_t mappings_fingerprint(const struct mappings *mappings)
{
    static const struct mappings none;
    uint64_t hash = 0;

    if (!mappings)
        mappings = &none;
    put_number(&hash, mappings->n_mappings);
    for (uint32_t i = 0; i < mappings->n_mappings; i++)
        put_mapping(&hash, &mappings->mappings[i]);
    put_currencies(&hash, mappings);
    return hash;
}
