/* Hot sets: see set.h. */
#include "base/set.h"

_Static_assert(sizeof(struct kpi_set_page) == 16, "a directory entry is 16 bytes");

static size_t page_bytes(const struct kpi_set_page *page)
{
    return page->is_bits ? KPI_SET_WORDS * sizeof(uint64_t) : page->capacity * sizeof(uint16_t);
}

void kpi_set_deinit(struct kpi_set *set, const struct kpi_mem *mem)
{
    for (uint32_t i = 0; i < set->n_pages; i++)
        kpi_mem_free(mem, set->pages[i].values, page_bytes(&set->pages[i]));
    kpi_mem_free(mem, set->pages, set->n_pages_max * sizeof(*set->pages));
    *set = (struct kpi_set){0};
}

/* Where a key is, or where it would go. */
static uint32_t page_position(const struct kpi_set *set, uint16_t key)
{
    uint32_t low = 0, high = set->n_pages;

    /* Ids are dense, so a well filled set has every page: then the key is its own position. */
    if (key < high && set->pages[key].key == key)
        return key;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (set->pages[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kpi_set_page *kpi_set_find_page(const struct kpi_set *set, uint16_t key)
{
    uint32_t position = page_position(set, key);

    return position < set->n_pages && set->pages[position].key == key ? &set->pages[position]
                                                                      : NULL;
}

/* Makes room for a page at `position`; its memory is the caller's to give. */
static int page_insert(struct kpi_set *set, const struct kpi_mem *mem, uint32_t position)
{
    if (set->n_pages == set->n_pages_max) {
        uint32_t n_max = set->n_pages_max + set->n_pages_max / 2 + 1;
        struct kpi_set_page *pages = kpi_mem_resize(
            mem, set->pages, set->n_pages_max * sizeof(*pages), n_max * sizeof(*pages));

        if (!pages)
            return -ENOMEM;
        set->pages = pages;
        set->n_pages_max = n_max;
    }
    memmove(&set->pages[position + 1], &set->pages[position],
            (set->n_pages - position) * sizeof(*set->pages));
    set->n_pages++;
    return 0;
}

/*
 * First index of a sorted array whose value is not below `value`. Which half it is in cannot be
 * foretold, so there is no branch on it.
 */
static uint32_t array_position(const uint16_t *values, uint32_t count, uint16_t value)
{
    const uint16_t *base = values;

    if (!count)
        return 0;
    while (count > 1) {
        uint32_t half = count / 2;

        base += half & -(uint32_t)(base[half - 1] < value);
        count -= half;
    }
    return (uint32_t)(base - values) + (*base < value);
}

static int page_to_bits(struct kpi_set_page *page, const struct kpi_mem *mem)
{
    uint64_t *words = kpi_mem_zalloc(mem, KPI_SET_WORDS * sizeof(uint64_t));

    if (!words)
        return -ENOMEM;
    for (uint32_t i = 0; i < page->count; i++)
        words[page->values[i] / 64] |= UINT64_C(1) << (page->values[i] % 64);
    kpi_mem_free(mem, page->values, page_bytes(page));
    page->words = words;
    page->is_bits = 1;
    page->capacity = 0;
    return 0;
}

static int array_grow(struct kpi_set_page *page, const struct kpi_mem *mem)
{
    uint32_t capacity = page->capacity + page->capacity / 2 + 2;
    uint16_t *values;

    if (capacity > KPI_SET_ARRAY_MAX)
        capacity = KPI_SET_ARRAY_MAX;
    values = kpi_mem_resize(mem, page->values, page_bytes(page), capacity * sizeof(uint16_t));
    if (!values)
        return -ENOMEM;
    page->values = values;
    page->capacity = (uint16_t)capacity;
    return 0;
}

static int bits_add(struct kpi_set_page *page, uint16_t value)
{
    uint64_t bit = UINT64_C(1) << (value % 64);
    uint64_t *word = &page->words[value / 64];

    if (*word & bit)
        return KPI_SET_E_PRESENT;
    *word |= bit;
    return 0;
}

static int array_add(struct kpi_set_page *page, const struct kpi_mem *mem, uint16_t value)
{
    uint32_t position = array_position(page->values, page->count, value);
    int r;

    if (position < page->count && page->values[position] == value)
        return KPI_SET_E_PRESENT;
    if (page->count == KPI_SET_ARRAY_MAX) {
        r = page_to_bits(page, mem);
        return r < 0 ? r : bits_add(page, value);
    }
    if (page->count == page->capacity) {
        r = array_grow(page, mem);
        if (r < 0)
            return r;
    }
    memmove(&page->values[position + 1], &page->values[position],
            (page->count - position) * sizeof(uint16_t));
    page->values[position] = value;
    return 0;
}

/* A new page with one id: made whole before the directory knows it. */
static int page_new(struct kpi_set *set, const struct kpi_mem *mem, uint32_t position, uint32_t id)
{
    struct kpi_set_page page = {.key = (uint16_t)(id >> 16), .count = 1, .dirty = 1};
    int r;

    r = array_grow(&page, mem);
    if (r < 0)
        return r;
    page.values[0] = (uint16_t)id;
    r = page_insert(set, mem, position);
    if (r < 0) {
        kpi_mem_free(mem, page.values, page_bytes(&page));
        return r;
    }
    set->pages[position] = page;
    set->count++;
    return 0;
}

int kpi_set_add(struct kpi_set *set, const struct kpi_mem *mem, uint32_t id)
{
    uint16_t key = (uint16_t)(id >> 16);
    uint32_t position = page_position(set, key);
    struct kpi_set_page *page;
    int r;

    if (position == set->n_pages || set->pages[position].key != key)
        return page_new(set, mem, position, id);
    page = &set->pages[position];
    r = page->is_bits ? bits_add(page, (uint16_t)id) : array_add(page, mem, (uint16_t)id);
    if (r == 0) {
        page->count++;
        page->dirty = 1;
        set->count++;
    }
    return r;
}

static bool page_contains(const struct kpi_set_page *page, uint16_t value)
{
    uint32_t position;

    if (page->is_bits)
        return page->words[value / 64] >> (value % 64) & 1;
    position = array_position(page->values, page->count, value);
    return position < page->count && page->values[position] == value;
}

bool kpi_set_contains(const struct kpi_set *set, uint32_t id)
{
    const struct kpi_set_page *page = kpi_set_find_page(set, (uint16_t)(id >> 16));

    return page && page_contains(page, (uint16_t)id);
}

/* Ids, ascending, that would be in one page. */
struct ids_of_page {
    const uint32_t *ids;
    size_t n;
};

static struct ids_of_page ids_of(const struct kpi_set_page *page, const uint32_t *ids, size_t n)
{
    size_t low = 0, high = n, end;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ids[middle] >> 16 < page->key)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < n && ids[end] >> 16 == page->key; end++)
        ;
    return (struct ids_of_page){ids + low, end - low};
}

bool kpi_set_remove_empties(const struct kpi_set *set, const uint32_t *ids, size_t n)
{
    for (uint32_t i = 0; i < set->n_pages; i++) {
        const struct kpi_set_page *page = &set->pages[i];
        struct ids_of_page of = ids_of(page, ids, n);
        uint32_t hits = 0;

        for (size_t k = 0; k < of.n; k++)
            hits += page_contains(page, (uint16_t)of.ids[k]);
        if (hits == page->count)
            return true;
    }
    return false;
}

static void page_remove(struct kpi_set_page *page, uint16_t value)
{
    uint32_t position;

    if (page->is_bits) {
        page->words[value / 64] &= ~(UINT64_C(1) << (value % 64));
    } else {
        position = array_position(page->values, page->count, value);
        memmove(&page->values[position], &page->values[position + 1],
                (page->count - position - 1) * sizeof(uint16_t));
        page->values[page->count - 1] = 0; /* nothing of it is left behind the end */
    }
    page->count--;
    page->dirty = 1;
}

uint64_t kpi_set_remove(struct kpi_set *set, const struct kpi_mem *mem, const uint32_t *ids,
                        size_t n)
{
    uint64_t count = set->count;
    uint32_t n_left = 0;

    for (uint32_t i = 0; i < set->n_pages; i++) {
        struct kpi_set_page *page = &set->pages[i];
        struct ids_of_page of = ids_of(page, ids, n);

        for (size_t k = 0; k < of.n; k++) {
            if (!page_contains(page, (uint16_t)of.ids[k]))
                continue;
            page_remove(page, (uint16_t)of.ids[k]);
            set->count--;
        }
        if (page->count)
            set->pages[n_left++] = *page;
        else
            kpi_mem_free(mem, page->values, page_bytes(page));
    }
    set->n_pages = n_left;
    return count - set->count;
}

size_t kpi_set_bytes(const struct kpi_set *set)
{
    size_t bytes = set->n_pages_max * sizeof(*set->pages);

    for (uint32_t i = 0; i < set->n_pages; i++)
        bytes += page_bytes(&set->pages[i]);
    return bytes;
}

int kpi_set_add_page(struct kpi_set *set, const struct kpi_mem *mem, uint16_t key, uint32_t count,
                     const uint16_t *values, const uint64_t *words)
{
    struct kpi_set_page page = {.key = key, .count = count, .is_bits = !values};
    uint32_t position = page_position(set, key);
    int r;

    page.capacity = values ? (uint16_t)count : 0;
    page.values = kpi_mem_alloc(mem, page_bytes(&page));
    if (!page.values)
        return -ENOMEM;
    memcpy(page.values, values ? (const void *)values : (const void *)words, page_bytes(&page));
    r = page_insert(set, mem, position);
    if (r < 0) {
        kpi_mem_free(mem, page.values, page_bytes(&page));
        return r;
    }
    set->pages[position] = page;
    set->count += count;
    return 0;
}

/* Writes the ids of a page, ascending; returns how many. */
static uint32_t page_values(const struct kpi_set_page *page, uint16_t *values)
{
    uint32_t n = 0;

    if (!page->is_bits) {
        memcpy(values, page->values, page->count * sizeof(uint16_t));
        return page->count;
    }
    for (uint32_t i = 0; i < KPI_SET_WORDS; i++)
        for (uint64_t word = page->words[i]; word; word &= word - 1)
            values[n++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(word));
    return n;
}

/*
 * Through Roaring's portable format, which is made of the very arrays and bits that stand here: one
 * copy instead of an insertion per id.
 */
int kpi_set_to_roaring(const struct kpi_set *set, const struct kpi_mem *mem,
                       roaring_bitmap_t **ret_bitmap)
{
    enum {
        COOKIE = 12346,
        ARRAY_MAX = 4096
    };
    size_t size = 8 + 8 * (size_t)set->n_pages, at;
    roaring_bitmap_t *bitmap;
    uint32_t word;
    char *bytes;

    at = size;
    for (uint32_t i = 0; i < set->n_pages; i++)
        size += set->pages[i].count <= ARRAY_MAX ? set->pages[i].count * 2 : KPI_SET_WORDS * 8;
    bytes = kpi_mem_alloc(mem, size);
    if (!bytes)
        return -ENOMEM;
    word = COOKIE;
    memcpy(bytes, &word, 4);
    memcpy(bytes + 4, &set->n_pages, 4);
    for (uint32_t i = 0; i < set->n_pages; i++) {
        const struct kpi_set_page *page = &set->pages[i];

        word = page->key | (uint32_t)(page->count - 1) << 16;
        memcpy(bytes + 8 + 4 * (size_t)i, &word, 4);
        word = (uint32_t)at;
        memcpy(bytes + 8 + 4 * ((size_t)set->n_pages + i), &word, 4);
        if (page->count <= ARRAY_MAX) {
            at += 2 * (size_t)page_values(page, (uint16_t *)(void *)(bytes + at));
        } else {
            memcpy(bytes + at, page->words, KPI_SET_WORDS * 8);
            at += KPI_SET_WORDS * 8;
        }
    }
    bitmap = roaring_bitmap_portable_deserialize_safe(bytes, size);
    kpi_mem_free(mem, bytes, size);
    if (!bitmap)
        return -ENOMEM;
    *ret_bitmap = bitmap;
    return 0;
}

void kpi_set_iterate(const struct kpi_set *set, kpi_set_fn fn, void *userdata)
{
    for (uint32_t i = 0; i < set->n_pages; i++) {
        const struct kpi_set_page *page = &set->pages[i];
        uint32_t base = (uint32_t)page->key << 16;

        for (uint32_t k = 0; !page->is_bits && k < page->count; k++)
            fn(userdata, base | page->values[k]);
        for (uint32_t k = 0; page->is_bits && k < KPI_SET_WORDS; k++)
            for (uint64_t word = page->words[k]; word; word &= word - 1)
                fn(userdata, base | (k * 64 + (uint32_t)__builtin_ctzll(word)));
    }
}
