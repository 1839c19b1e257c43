/* The portable Roaring format, checked: see bitmap.h. */
#include "base/bitmap.h"
#include "base/buffer.h"

enum {
    COOKIE_PLAIN = 12346,
    COOKIE_RUNS = 12347,
    OFFSETS_FROM = 4, /* with runs, fewer containers than this have no table of offsets */
    ARRAY_MAX = 4096,
    BITS_BYTES = 8192,
};

/* Each returns the highest value, or -1 if the container is not what it should be. */
static int64_t check_array(struct kpi_reader *reader, uint32_t count)
{
    int64_t last = -1;

    for (uint32_t i = 0; i < count; i++) {
        int64_t value = kpi_reader_u16(reader);

        if (value <= last)
            return -1;
        last = value;
    }
    return last;
}

static int64_t check_bits(struct kpi_reader *reader, uint32_t count)
{
    uint32_t n = 0;
    int64_t last = -1;

    for (uint32_t i = 0; i < BITS_BYTES / 8; i++) {
        uint64_t word = kpi_reader_u64(reader);

        n += (uint32_t)__builtin_popcountll(word);
        if (word)
            last = i * 64 + 63 - __builtin_clzll(word);
    }
    return n == count ? last : -1;
}

static int64_t check_runs(struct kpi_reader *reader, uint32_t count)
{
    uint32_t n_runs = kpi_reader_u16(reader), n = 0;
    int64_t last = -1;

    for (uint32_t i = 0; i < n_runs; i++) {
        int64_t start = kpi_reader_u16(reader);
        int64_t end = start + kpi_reader_u16(reader);

        if (start <= last || end > UINT16_MAX)
            return -1;
        n += (uint32_t)(end - start) + 1;
        last = end;
    }
    return n == count ? last : -1;
}

static bool check(const uint8_t *bytes, size_t size, uint64_t limit)
{
    struct kpi_reader reader = kpi_reader_make(bytes, size), head, offsets, flags;
    uint32_t cookie = kpi_reader_u32(&reader), n;
    bool runs = (cookie & 0xffff) == COOKIE_RUNS, with_offsets;
    int64_t key_last = -1;

    if (!runs && cookie != COOKIE_PLAIN)
        return false;
    n = runs ? (cookie >> 16) + 1 : kpi_reader_u32(&reader);
    if (n > 1 << 16)
        return false;
    with_offsets = !runs || n >= OFFSETS_FROM;
    flags = kpi_reader_take(&reader, runs ? (n + 7) / 8 : 0);
    if (n % 8 && flags.at < flags.end && flags.end[-1] >> n % 8)
        return false; /* flags of containers that do not exist */
    head = kpi_reader_take(&reader, (size_t)n * 4);
    offsets = kpi_reader_take(&reader, with_offsets ? (size_t)n * 4 : 0);
    for (uint32_t i = 0; i < n && !reader.failed; i++) {
        uint32_t key = kpi_reader_u16(&head), count = kpi_reader_u16(&head) + 1u;
        int64_t last;

        if (key <= key_last ||
            (with_offsets && kpi_reader_u32(&offsets) != (size_t)(reader.at - bytes)))
            return false;
        key_last = key;
        if (runs && flags.at[i / 8] >> (i % 8) & 1)
            last = check_runs(&reader, count);
        else if (count > ARRAY_MAX)
            last = check_bits(&reader, count);
        else
            last = check_array(&reader, count);
        if (last < 0 || ((uint64_t)key << 16) + (uint64_t)last >= limit)
            return false;
    }
    return kpi_reader_done(&reader);
}

int kpi_bitmap_decode(const void *bytes, size_t size, uint64_t limit, roaring_bitmap_t **ret_bitmap)
{
    roaring_bitmap_t *bitmap;

    if (!check(bytes, size, limit))
        return KPI_BITMAP_E_CORRUPT;
    bitmap = roaring_bitmap_portable_deserialize_safe(bytes, size);
    if (!bitmap)
        return -ENOMEM;
    *ret_bitmap = bitmap;
    return 0;
}
