/* Paths, tables of values, and rates. */
#include "codec/mapping.h"

#include <assert.h>

const char *mapping_role_name(enum mapping_role role)
{
    static const char *const names[MAPPING_ROLES] = {"id",   "source", "type",
                                                     "user", "time",   "currency"};

    return names[role];
}

struct mappings *mappings_ref(struct mappings *mappings)
{
    if (mappings)
        atomic_fetch_add_explicit(&mappings->n_refs, 1, memory_order_relaxed);
    return mappings;
}

struct mappings *mappings_unref(struct mappings *mappings)
{
    if (mappings && atomic_fetch_sub_explicit(&mappings->n_refs, 1, memory_order_acq_rel) == 1)
        mappings->release(mappings);
    return NULL;
}

/* --- rates --- */

static const struct mapping_currency *find_currency(const struct mappings *mappings,
                                                    struct kpi_string code)
{
    for (uint32_t i = 0; mappings && i < mappings->n_currencies; i++) {
        if (kpi_string_equal(mappings->currencies[i].code, code))
            return &mappings->currencies[i];
    }
    return NULL;
}

/* The last rate that is in force at this time, or NULL. */
static const struct mapping_rate *find_rate(const struct mapping_currency *currency, kpi_time time)
{
    uint32_t low = 0, high = currency->n_rates;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (currency->rates[middle].from <= time)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &currency->rates[low - 1] : NULL;
}

int mapping_convert(const struct mappings *mappings, struct kpi_string code, kpi_time time,
                    kpi_decimal *amount)
{
    const struct mapping_currency *currency = find_currency(mappings, code);
    const struct mapping_rate *rate = currency ? find_rate(currency, time) : NULL;
    unsigned __int128 product, whole, rest;

    if (!rate)
        return MAPPING_E_NO_RATE;
    assert(*amount >= 0);
    product = (unsigned __int128)*amount * (unsigned __int128)rate->rate;
    whole = product / MAPPING_RATE_ONE;
    rest = product % MAPPING_RATE_ONE;
    if (rest > MAPPING_RATE_ONE / 2 || (rest == MAPPING_RATE_ONE / 2 && (whole & 1)))
        whole++;
    if (whole > INT64_MAX)
        return MAPPING_E_RANGE;
    *amount = (kpi_decimal)whole;
    return 0;
}

/* --- paths --- */

static bool key_ends(struct kpi_string path, size_t i)
{
    return i == path.length || path.data[i] == '.';
}

/* The end of the quoted key that begins at i, behind its closing quote; 0 if it is none. */
static size_t quoted_end(struct kpi_string path, size_t i)
{
    for (i++; i < path.length; i++) {
        if (path.data[i] == '"')
            return i + 1;
        if (path.data[i] != '\\')
            continue;
        i++;
        if (i == path.length || (path.data[i] != '"' && path.data[i] != '\\'))
            return 0;
    }
    return 0;
}

const char *mapping_path_check(struct kpi_string path, size_t *ret_offset)
{
    unsigned n_keys = 0;
    size_t i = 0, end;

    *ret_offset = 0;
    if (path.length > MAPPING_PATH_BYTES_MAX)
        return "is longer than 512 bytes";
    for (;;) {
        *ret_offset = i;
        if (++n_keys > MAPPING_PATH_KEYS_MAX)
            return "has more than 31 keys";
        if (i < path.length && path.data[i] == '"') {
            end = quoted_end(path, i);
            if (end == 0)
                return "has a key whose quote does not end, or an escape other than \\\" and \\\\";
            *ret_offset = i = end;
            if (!key_ends(path, i))
                return "goes on behind a quoted key without a dot";
        } else {
            if (key_ends(path, i))
                return "has an empty key: write \"\" if that is its name";
            while (!key_ends(path, i) && path.data[i] != '"')
                i++;
            if (!key_ends(path, i))
                return "has a quote inside a key: such a key stands in quotes as a whole";
        }
        if (i == path.length)
            return NULL;
        i++;
    }
}

bool mapping_path_next(struct kpi_string path, size_t *offset, char *buffer,
                       struct kpi_string *ret_key)
{
    size_t i = *offset, n = 0;

    if (i > path.length || path.length == 0)
        return false;
    if (i < path.length && path.data[i] == '"') {
        for (i++; path.data[i] != '"'; i++) {
            i += path.data[i] == '\\';
            buffer[n++] = path.data[i];
        }
        *ret_key = (struct kpi_string){buffer, n};
        i++;
    } else {
        while (!key_ends(path, i))
            i++;
        *ret_key = (struct kpi_string){path.data + *offset, i - *offset};
    }
    *offset = i + 1;
    return true;
}

enum mapping_relation mapping_path_relate(struct kpi_string a, struct kpi_string b)
{
    char buffer_a[MAPPING_PATH_BYTES_MAX], buffer_b[MAPPING_PATH_BYTES_MAX];
    size_t offset_a = 0, offset_b = 0;

    for (;;) {
        struct kpi_string key_a, key_b;
        bool more_a = mapping_path_next(a, &offset_a, buffer_a, &key_a);
        bool more_b = mapping_path_next(b, &offset_b, buffer_b, &key_b);

        if (!more_a || !more_b)
            return more_a == more_b ? MAPPING_PATHS_EQUAL : MAPPING_PATHS_NESTED;
        if (!kpi_string_equal(key_a, key_b))
            return MAPPING_PATHS_APART;
    }
}

/* --- values --- */

int mapping_string_compare(struct kpi_string a, struct kpi_string b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int r = length ? memcmp(a.data, b.data, length) : 0;

    return r ? r : (a.length > b.length) - (a.length < b.length);
}

const struct mapping_value *mapping_value_find(const struct mapping_value *values,
                                               uint32_t n_values, struct kpi_string from)
{
    uint32_t low = 0, high = n_values;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int r = mapping_string_compare(values[middle].from, from);

        if (r == 0)
            return &values[middle];
        if (r < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
