/*
 * Sorted arrays, of values or of buckets: see quantiles.h.
 *
 * Buckets of a power of two are 64, all of one width. So below 128 each number has one of its own,
 * and of [64, 128) * 2^s each is 2^s wide; its middle is at most 2^(s-1) from a number that is at
 * least 64 * 2^s: 1/128.
 */
#include "sketch/quantiles.h"

#include <assert.h>

enum {
    SUBBITS = 6,         /* 2^6 buckets of a power of two */
    COUNT_BITS_MAX = 48, /* as many as nobody counts, so that hostile ones can be added */
    BUCKET_MAX = (63 - SUBBITS) * (1 << SUBBITS) + (1 << SUBBITS), /* of INT64_MIN */
};

static size_t slot_bytes(uint64_t n)
{
    return n <= KPI_QUANTILES_EXACT ? sizeof(int64_t) : sizeof(struct kpi_quantiles_bucket);
}

size_t kpi_quantiles_bytes(const struct kpi_quantiles *quantiles)
{
    return quantiles->n_slots_max * slot_bytes(quantiles->n);
}

void kpi_quantiles_deinit(struct kpi_quantiles *quantiles, const struct kpi_mem *mem)
{
    kpi_mem_free(mem, quantiles->values, kpi_quantiles_bytes(quantiles));
    *quantiles = (struct kpi_quantiles){0};
}

static int32_t bucket_of(int64_t value)
{
    uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
    unsigned bits = size ? 64 - (unsigned)__builtin_clzll(size) : 0;
    unsigned shift = bits > SUBBITS + 1 ? bits - SUBBITS - 1 : 0;
    int32_t index = (int32_t)((shift << SUBBITS) + (size >> shift));

    return value < 0 ? -index : index;
}

/* The middle of a bucket. */
static int64_t bucket_value(int32_t index)
{
    uint32_t size = (uint32_t)(index < 0 ? -index : index);
    unsigned shift = size >> SUBBITS ? (size >> SUBBITS) - 1 : 0;
    uint64_t value = ((uint64_t)(size - (shift << SUBBITS)) << shift) + (UINT64_C(1) << shift >> 1);

    if (index >= 0)
        return (int64_t)value;
    return value > INT64_MAX ? INT64_MIN : -(int64_t)value;
}

static int reserve(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, uint32_t n_slots)
{
    size_t size = slot_bytes(quantiles->n);
    uint32_t n_max = quantiles->n_slots_max * 2 + 8;
    void *slots;

    if (n_slots <= quantiles->n_slots_max)
        return 0;
    n_max = n_max < n_slots ? n_slots : n_max;
    slots = kpi_mem_resize(mem, quantiles->values, quantiles->n_slots_max * size, n_max * size);
    if (!slots)
        return -ENOMEM;
    quantiles->values = slots;
    quantiles->n_slots_max = n_max;
    return 0;
}

/* Counts more of a bucket; `n` of the whole is the caller's. */
static int bucket_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, int32_t index,
                      uint64_t count)
{
    uint32_t low = 0, high = quantiles->n_slots;
    int r;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (quantiles->buckets[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == quantiles->n_slots || quantiles->buckets[low].index != index) {
        r = reserve(quantiles, mem, quantiles->n_slots + 1);
        if (r < 0)
            return r;
        memmove(&quantiles->buckets[low + 1], &quantiles->buckets[low],
                (quantiles->n_slots - low) * sizeof(*quantiles->buckets));
        quantiles->buckets[low] = (struct kpi_quantiles_bucket){.index = index};
        quantiles->n_slots++;
    }
    quantiles->buckets[low].count += count;
    return 0;
}

static struct kpi_quantiles_bucket bucket_at(const struct kpi_quantiles *quantiles, uint32_t slot)
{
    if (!kpi_quantiles_are_exact(quantiles))
        return quantiles->buckets[slot];
    return (struct kpi_quantiles_bucket){bucket_of(quantiles->values[slot]), 1};
}

/* How many buckets another one has that one in buckets has not. */
static uint32_t count_new(const struct kpi_quantiles *quantiles, const struct kpi_quantiles *other)
{
    uint32_t n = 0;

    for (uint32_t i = 0, j = 0; j < other->n_slots; j++) {
        int32_t index = bucket_at(other, j).index;

        while (i < quantiles->n_slots && quantiles->buckets[i].index < index)
            i++;
        n += (i == quantiles->n_slots || quantiles->buckets[i].index != index) &&
             (j == 0 || bucket_at(other, j - 1).index != index);
    }
    return n;
}

/* Adds what another one holds to one in buckets, from the back, in place; `n` is the caller's. */
static int buckets_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                       const struct kpi_quantiles *other)
{
    uint32_t i = quantiles->n_slots, n = i + count_new(quantiles, other), to = n;
    struct kpi_quantiles_bucket *buckets;
    int r = reserve(quantiles, mem, n);

    if (r < 0)
        return r;
    buckets = quantiles->buckets;
    for (uint32_t j = other->n_slots; j-- > 0;) {
        struct kpi_quantiles_bucket bucket = bucket_at(other, j);

        while (i > 0 && buckets[i - 1].index >= bucket.index)
            buckets[--to] = buckets[--i];
        if (to < n && buckets[to].index == bucket.index)
            buckets[to].count += bucket.count;
        else
            buckets[--to] = bucket;
    }
    quantiles->n_slots = n;
    return 0;
}

/* From values to buckets, of n in all. */
static int turn_to_buckets(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, uint64_t n)
{
    struct kpi_quantiles fresh = {.n = n};
    int r = buckets_add(&fresh, mem, quantiles);

    if (r < 0) {
        kpi_quantiles_deinit(&fresh, mem);
        return r;
    }
    kpi_quantiles_deinit(quantiles, mem);
    *quantiles = fresh;
    return 0;
}

static int value_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, int64_t value)
{
    uint32_t low = 0, high = quantiles->n_slots;
    int r = reserve(quantiles, mem, quantiles->n_slots + 1);

    if (r < 0)
        return r;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (quantiles->values[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(&quantiles->values[low + 1], &quantiles->values[low],
            (quantiles->n_slots - low) * sizeof(*quantiles->values));
    quantiles->values[low] = value;
    quantiles->n_slots++;
    quantiles->n++;
    return 0;
}

int kpi_quantiles_put(struct kpi_quantiles *quantiles, const struct kpi_mem *mem, int64_t value)
{
    int r;

    if (quantiles->n < KPI_QUANTILES_EXACT)
        return value_add(quantiles, mem, value);
    if (quantiles->n == KPI_QUANTILES_EXACT) {
        struct kpi_quantiles one = {.n = 1, .values = &value, .n_slots = 1};

        return kpi_quantiles_add(quantiles, mem, &one);
    }
    r = bucket_add(quantiles, mem, bucket_of(value), 1);
    quantiles->n += r == 0;
    return r;
}

/* Merges from the back, in place. */
static int values_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                      const struct kpi_quantiles *other)
{
    uint32_t i = quantiles->n_slots, j = other->n_slots, to = i + j;
    int r = reserve(quantiles, mem, to);

    if (r < 0)
        return r;
    quantiles->n += other->n;
    quantiles->n_slots = to;
    while (j > 0) {
        if (i > 0 && quantiles->values[i - 1] > other->values[j - 1])
            quantiles->values[--to] = quantiles->values[--i];
        else
            quantiles->values[--to] = other->values[--j];
    }
    return 0;
}

int kpi_quantiles_add(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                      const struct kpi_quantiles *other)
{
    uint64_t n = quantiles->n + other->n;
    int r = 0;

    if (other->n == 0)
        return 0;
    if (n <= KPI_QUANTILES_EXACT)
        return values_add(quantiles, mem, other);
    if (kpi_quantiles_are_exact(quantiles))
        r = turn_to_buckets(quantiles, mem, n);
    if (r == 0)
        r = buckets_add(quantiles, mem, other);
    if (r == 0)
        quantiles->n = n;
    return r;
}

/* A count for each bucket from the lowest to the highest of n others. */
struct counts {
    int32_t first;
    uint32_t n;
    uint64_t *counts;
};

static int counts_make(struct counts *ret_counts, const struct kpi_mem *mem,
                       const struct kpi_quantiles *const *others, uint32_t n_others)
{
    int32_t lowest = BUCKET_MAX, highest = -BUCKET_MAX;
    struct counts counts;

    for (uint32_t i = 0; i < n_others; i++) {
        if (others[i]->n_slots == 0)
            continue;
        lowest = bucket_at(others[i], 0).index < lowest ? bucket_at(others[i], 0).index : lowest;
        highest = bucket_at(others[i], others[i]->n_slots - 1).index > highest
                      ? bucket_at(others[i], others[i]->n_slots - 1).index
                      : highest;
    }
    counts = (struct counts){.first = lowest, .n = (uint32_t)(highest - lowest + 1)};
    counts.counts = kpi_mem_zalloc(mem, counts.n * sizeof(*counts.counts));
    if (!counts.counts)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_others; i++) {
        for (uint32_t k = 0; k < others[i]->n_slots; k++) {
            struct kpi_quantiles_bucket bucket = bucket_at(others[i], k);

            counts.counts[bucket.index - lowest] += bucket.count;
        }
    }
    *ret_counts = counts;
    return 0;
}

static int counts_take(struct kpi_quantiles *quantiles, const struct kpi_mem *mem,
                       const struct counts *counts)
{
    uint32_t n_slots = 0;
    int r;

    for (uint32_t i = 0; i < counts->n; i++)
        n_slots += counts->counts[i] > 0;
    r = reserve(quantiles, mem, n_slots);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < counts->n; i++)
        if (counts->counts[i] > 0)
            quantiles->buckets[quantiles->n_slots++] = (struct kpi_quantiles_bucket){
                .index = counts->first + (int32_t)i, .count = counts->counts[i]};
    return 0;
}

int kpi_quantiles_sum(struct kpi_quantiles *ret_quantiles, const struct kpi_mem *mem,
                      const struct kpi_quantiles *const *others, uint32_t n_others)
{
    struct kpi_quantiles sum = {0};
    struct counts counts;
    uint64_t n = 0;
    int r = 0;

    for (uint32_t i = 0; i < n_others; i++)
        n += others[i]->n;
    if (n > KPI_QUANTILES_EXACT) {
        sum.n = n;
        r = counts_make(&counts, mem, others, n_others);
        if (r < 0)
            return r;
        r = counts_take(&sum, mem, &counts);
        kpi_mem_free(mem, counts.counts, counts.n * sizeof(*counts.counts));
    }
    for (uint32_t i = 0; n <= KPI_QUANTILES_EXACT && i < n_others && r == 0; i++)
        r = kpi_quantiles_add(&sum, mem, others[i]);
    if (r < 0)
        kpi_quantiles_deinit(&sum, mem);
    else
        *ret_quantiles = sum;
    return r;
}

int64_t kpi_quantiles_value(const struct kpi_quantiles *quantiles, kpi_decimal share)
{
    uint64_t rank =
        (uint64_t)(((unsigned __int128)quantiles->n * (uint64_t)share + (KPI_DECIMAL_ONE - 1)) /
                   KPI_DECIMAL_ONE);
    uint32_t i = 0;

    assert(share > 0 && share < KPI_DECIMAL_ONE && quantiles->n > 0);
    if (kpi_quantiles_are_exact(quantiles))
        return quantiles->values[rank - 1];
    for (uint64_t passed = 0; i + 1 < quantiles->n_slots; i++) {
        passed += quantiles->buckets[i].count;
        if (passed >= rank)
            break;
    }
    return bucket_value(quantiles->buckets[i].index);
}

/*
 * How many there are; if they are few, the least and by how much each is greater than the one
 * before; else how many buckets, and of each the same of its index, and the count.
 */
void kpi_quantiles_encode(const struct kpi_quantiles *quantiles, struct kpi_buffer *buffer)
{
    bool exact = kpi_quantiles_are_exact(quantiles);

    kpi_buffer_number(buffer, quantiles->n);
    if (!exact)
        kpi_buffer_number(buffer, quantiles->n_slots);
    for (uint32_t i = 0; i < quantiles->n_slots; i++) {
        int64_t at = exact ? quantiles->values[i] : quantiles->buckets[i].index, before;

        if (i == 0) {
            kpi_buffer_signed(buffer, at);
        } else {
            before = exact ? quantiles->values[i - 1] : quantiles->buckets[i - 1].index;
            kpi_buffer_number(buffer, (uint64_t)at - (uint64_t)before);
        }
        if (!exact)
            kpi_buffer_number(buffer, quantiles->buckets[i].count);
    }
}

/* The next value or index; false if it leaves the range. */
static bool next_get(struct kpi_reader *reader, bool first, int64_t max, int64_t *at)
{
    uint64_t step;

    if (first) {
        *at = kpi_reader_signed(reader);
        return !reader->failed && *at <= max;
    }
    step = kpi_reader_number(reader);
    if (reader->failed || step > (uint64_t)max - (uint64_t)*at)
        return false;
    *at = (int64_t)((uint64_t)*at + step);
    return true;
}

static bool values_get(struct kpi_quantiles *quantiles, struct kpi_reader *reader, uint32_t n)
{
    int64_t at = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!next_get(reader, i == 0, INT64_MAX, &at))
            return false;
        quantiles->values[quantiles->n_slots++] = at;
    }
    return true;
}

static bool buckets_get(struct kpi_quantiles *quantiles, struct kpi_reader *reader, uint32_t n)
{
    uint64_t left = quantiles->n;
    int64_t at = 0, before = INT64_MIN;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t count;

        if (!next_get(reader, i == 0, BUCKET_MAX, &at) || at < -BUCKET_MAX || at == before)
            return false;
        count = kpi_reader_number(reader);
        if (reader->failed || count == 0 || count > left)
            return false;
        left -= count;
        before = at;
        quantiles->buckets[quantiles->n_slots++] =
            (struct kpi_quantiles_bucket){(int32_t)at, count};
    }
    return left == 0;
}

int kpi_quantiles_decode(struct kpi_quantiles *ret_quantiles, const struct kpi_mem *mem,
                         struct kpi_reader *reader)
{
    struct kpi_quantiles quantiles = {.n = kpi_reader_number(reader)};
    bool exact = kpi_quantiles_are_exact(&quantiles);
    uint64_t n = exact ? quantiles.n : kpi_reader_number(reader);
    int r;

    if (reader->failed || quantiles.n >> COUNT_BITS_MAX || n > kpi_reader_left(reader) ||
        n > 2 * BUCKET_MAX + 1)
        return KPI_QUANTILES_E_CORRUPT;
    r = reserve(&quantiles, mem, (uint32_t)n);
    if (r < 0)
        return r;
    if (exact ? !values_get(&quantiles, reader, (uint32_t)n)
              : !buckets_get(&quantiles, reader, (uint32_t)n)) {
        kpi_quantiles_deinit(&quantiles, mem);
        return KPI_QUANTILES_E_CORRUPT;
    }
    *ret_quantiles = quantiles;
    return 0;
}

int kpi_quantiles_check(const void *bytes, size_t size, const struct kpi_mem *mem)
{
    struct kpi_reader reader = kpi_reader_make(bytes, size);
    struct kpi_quantiles quantiles;
    int r = kpi_quantiles_decode(&quantiles, mem, &reader);

    if (r != 0)
        return r;
    if (!kpi_reader_done(&reader) || quantiles.n == 0)
        r = KPI_QUANTILES_E_CORRUPT;
    kpi_quantiles_deinit(&quantiles, mem);
    return r;
}
