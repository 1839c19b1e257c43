/* Packs and contents of cells, read back and checked. */
#include "snapshot/format.h"

#include "base/bitmap.h"

/* No calendar goes further, and arithmetic with it is safe. */
#define DAYS_MAX 10000000

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];

        a[i] = b[i];
        b[i] = byte;
    }
}

void kpi_sort(void *array, size_t n, size_t size, kpi_compare_fn compare)
{
    uint8_t *base = array;

    for (size_t left = n / 2, end = n; end > 1;) {
        size_t root;

        if (left)
            left--;
        else
            swap(base, base + --end * size, size);
        for (root = left; root * 2 + 1 < end;) {
            size_t child = root * 2 + 1;

            if (child + 1 < end && compare(base + child * size, base + (child + 1) * size) < 0)
                child++;
            if (compare(base + root * size, base + child * size) >= 0)
                break;
            swap(base + root * size, base + child * size, size);
            root = child;
        }
    }
}

static int compare_serials(const void *a, const void *b)
{
    const struct kpi_loading_cell *x = a, *y = b;

    return (x->serial > y->serial) - (x->serial < y->serial);
}

static struct kpi_loading_cell *find_set(const struct kpi_loading *loading, uint64_t serial)
{
    size_t low = 0, high = loading->n_sets;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (loading->cells[middle].serial < serial)
            low = middle + 1;
        else
            high = middle;
    }
    return low < loading->n_sets && loading->cells[low].serial == serial ? &loading->cells[low]
                                                                         : NULL;
}

static int set_add(struct kpi_loading *loading, const struct kpi_loading_cell *cell)
{
    if (loading->n_sets == loading->n_sets_max) {
        size_t n_max = loading->n_sets_max * 2 + 64;
        struct kpi_loading_cell *cells =
            kpi_mem_resize(&loading->engine->mem, loading->cells,
                           loading->n_sets_max * sizeof(*cells), n_max * sizeof(*cells));

        if (!cells)
            return -ENOMEM;
        loading->cells = cells;
        loading->n_sets_max = n_max;
    }
    loading->cells[loading->n_sets++] = *cell;
    return 0;
}

static uint32_t find_instance(const struct kpi_engine *engine, uint64_t fingerprint)
{
    for (uint32_t i = 0; i < engine->program->n_instances; i++)
        if (engine->program->instances[i].fingerprint == fingerprint)
            return i;
    return KPI_NO_INDEX;
}

static bool form_fits(const struct kpi_instance *instance, uint8_t form)
{
    switch (instance->aggregate) {
    case KPI_AGGREGATE_LEVEL:
        return form == KPI_CELL_HOT || form == KPI_CELL_FROZEN;
    case KPI_AGGREGATE_LATEST:
        return form == KPI_CELL_LATEST;
    case KPI_AGGREGATE_SCORES:
        return form == KPI_CELL_SCORES;
    case KPI_AGGREGATE_QUANTILES:
        return form == KPI_CELL_QUANTILES;
    default:
        return form == KPI_CELL_SCALAR;
    }
}

static bool tuple_fits(const struct kpi_loading *loading, const struct kpi_instance *instance,
                       uint32_t tuple)
{
    if (instance->dimensions == KPI_DIMENSIONS_NONE)
        return tuple == KPI_DICTIONARY_NONE;
    if (instance->dimensions >= KPI_DIMENSIONS_SETS)
        return tuple >= KPI_DICTIONARY_FIRST &&
               tuple < loading->engine->tuples.sets[instance->dimensions - KPI_DIMENSIONS_SETS]
                           .tuples.n;
    return tuple != KPI_DICTIONARY_NONE && tuple < loading->n_values;
}

/* One cell of a pack, as read. */
struct record {
    uint64_t fingerprint, serial, n_events, count;
    uint32_t tuple;
    uint8_t form;
    bool paged, has_window;
    uint16_t window; /* of the day */
    __int128 sum;
};

static bool record_read(struct kpi_reader *reader, struct record *record)
{
    *record = (struct record){.fingerprint = kpi_reader_u64(reader)};
    record->tuple = kpi_reader_u32(reader);
    record->form = kpi_reader_u8(reader);
    record->has_window = record->form & KPI_SAVE_WINDOW;
    record->form &= (uint8_t)~KPI_SAVE_WINDOW;
    if (record->has_window)
        record->window = kpi_reader_u16(reader);
    record->serial = kpi_reader_u64(reader);
    record->n_events = kpi_reader_u64(reader);
    if (record->form == KPI_CELL_SCALAR)
        kpi_reader_get(reader, &record->sum, sizeof(record->sum));
    else
        record->count = kpi_reader_u64(reader);
    if (record->form == KPI_CELL_QUANTILES)
        kpi_reader_get(reader, &record->sum, sizeof(record->sum));
    if (record->form == KPI_CELL_HOT) {
        uint8_t paged = kpi_reader_u8(reader);

        record->paged = paged;
        if (paged > 1)
            return false;
    }
    return !reader->failed && record->form <= KPI_CELL_QUANTILES;
}

/* The cell of a record whose instance the plan has. */
static int cell_make(struct kpi_loading *loading, uint32_t instance, kpi_day day,
                     const struct record *record, struct kpi_cell **ret_cell)
{
    const struct kpi_instance *definition = &loading->engine->program->instances[instance];
    struct kpi_series *series;
    struct kpi_cell *cell;
    int r;

    if (!form_fits(definition, record->form) || !tuple_fits(loading, definition, record->tuple) ||
        record->has_window != (definition->minutes > 0) ||
        record->window >= kpi_instance_windows(definition))
        return KPI_ENGINE_E_CORRUPT;
    r = kpi_cell_get(loading->engine, instance, record->tuple,
                     kpi_instance_day(definition, day) + record->window, &series, &cell);
    if (r < 0)
        return r;
    if (cell->version) /* has been in a record before */
        return KPI_ENGINE_E_CORRUPT;
    cell->version = series->version = 1;
    cell->serial = record->serial;
    cell->n_events = record->n_events;
    cell->dirty = false;
    cell->saved = record->form != KPI_CELL_SCALAR && !record->paged;
    cell->paged = record->paged;
    if (record->form == KPI_CELL_SCALAR)
        cell->sum = record->sum;
    else if (record->form == KPI_CELL_QUANTILES)
        cell->quantiles.sum = record->sum;
    *ret_cell = cell;
    return 0;
}

int kpi_loading_pack(struct kpi_loading *loading, const struct kpi_name *name,
                     struct kpi_reader *reader)
{
    int64_t day = (int64_t)(name->a & UINT32_MAX) + INT32_MIN;
    struct kpi_engine *engine = loading->engine;
    bool passed_over = false;
    int r;

    if (name->a > UINT32_MAX || day < -DAYS_MAX || day > DAYS_MAX || !kpi_reader_left(reader))
        return KPI_ENGINE_E_CORRUPT;
    while (kpi_reader_left(reader)) {
        struct record record;
        struct kpi_loading_cell set;
        uint32_t instance;

        if (!record_read(reader, &record) || record.serial >= engine->serial_next)
            return KPI_ENGINE_E_CORRUPT;
        set = (struct kpi_loading_cell){.serial = record.serial,
                                        .count = record.count,
                                        .form = (enum kpi_cell_form)record.form,
                                        .paged = record.paged};
        instance = find_instance(engine, record.fingerprint);
        passed_over |= instance == KPI_NO_INDEX;
        r = instance == KPI_NO_INDEX
                ? 0
                : cell_make(loading, instance, (kpi_day)day, &record, &set.cell);
        if (r == 0)
            r = set_add(loading, &set);
        if (r)
            return r;
        loading->n_cells_seen++;
    }
    return kpi_loading_pack_seen(loading, (kpi_day)day, passed_over);
}

int kpi_loading_packs_end(struct kpi_loading *loading)
{
    if (loading->n_packs_seen != loading->n_packs || loading->n_cells_seen != loading->n_cells)
        return KPI_ENGINE_E_CORRUPT;
    if (loading->n_sets)
        kpi_sort(loading->cells, loading->n_sets, sizeof(*loading->cells), compare_serials);
    for (size_t i = 1; i < loading->n_sets; i++)
        if (loading->cells[i].serial == loading->cells[i - 1].serial)
            return KPI_ENGINE_E_CORRUPT;
    return 0;
}

/* An array page's values rise; all stay below the number of users. */
static bool values_fit(const uint16_t *values, uint32_t count, uint32_t base, uint32_t n_users)
{
    for (uint32_t i = 1; i < count; i++)
        if (values[i] <= values[i - 1])
            return false;
    return (uint64_t)base + values[count - 1] < n_users;
}

static bool words_fit(const uint64_t *words, uint32_t count, uint32_t base, uint32_t n_users)
{
    uint32_t n = 0, last = 0;

    for (uint32_t i = 0; i < KPI_SET_WORDS; i++) {
        n += (uint32_t)__builtin_popcountll(words[i]);
        if (words[i])
            last = i * 64 + 63 - (uint32_t)__builtin_clzll(words[i]);
    }
    return n == count && n && (uint64_t)base + last < n_users;
}

static int load_page(struct kpi_loading *loading, struct kpi_loading_cell *set,
                     const struct kpi_name *name, struct kpi_reader *reader)
{
    uint16_t key = kpi_reader_u16(reader);
    uint8_t is_bits = kpi_reader_u8(reader);
    uint32_t count = kpi_reader_u32(reader), base = (uint32_t)key << 16;
    uint64_t words[KPI_SET_WORDS];
    uint16_t values[KPI_SET_ARRAY_MAX];
    struct kpi_engine *engine = loading->engine;
    struct kpi_set_page *page;
    int r;

    if (is_bits > 1 || !count || (!is_bits && count > KPI_SET_ARRAY_MAX) ||
        (name->tag == 'p' && key / KPI_SAVE_GROUP != name->b))
        return KPI_ENGINE_E_CORRUPT;
    kpi_reader_get(reader, is_bits ? (void *)words : (void *)values,
                   is_bits ? sizeof(words) : count * sizeof(uint16_t));
    if (reader->failed || (is_bits ? !words_fit(words, count, base, engine->users.n)
                                   : !values_fit(values, count, base, engine->users.n)))
        return KPI_ENGINE_E_CORRUPT;
    set->n_loaded += count;
    if (!set->cell)
        return 0;
    if (kpi_set_find_page(&set->cell->hot, key))
        return KPI_ENGINE_E_CORRUPT;
    r = kpi_set_add_page(&set->cell->hot, &engine->mem, key, count, is_bits ? NULL : values, words);
    if (r < 0)
        return r;
    page = kpi_set_find_page(&set->cell->hot, key);
    page->saved = 1;
    return 0;
}

static int load_bitmap(struct kpi_loading *loading, struct kpi_loading_cell *set,
                       struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    roaring_bitmap_t *bitmap;
    int r;

    r = kpi_bitmap_decode(reader->at, kpi_reader_left(reader), engine->users.n, &bitmap);
    if (r)
        return r < 0 ? r : KPI_ENGINE_E_CORRUPT;
    reader->at = reader->end;
    set->n_loaded = roaring_bitmap_get_cardinality(bitmap);
    if (!set->cell) {
        roaring_bitmap_free(bitmap);
        return 0;
    }
    if (set->cell->form == KPI_CELL_FROZEN) {
        engine->bytes_roaring -= set->cell->frozen.bytes;
        roaring_bitmap_free(set->cell->frozen.bitmap);
    }
    kpi_cell_set_frozen(engine, set->cell, bitmap);
    return 0;
}

static int load_answers(struct kpi_loading *loading, struct kpi_loading_cell *set,
                        struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;

    while (kpi_reader_left(reader)) {
        struct kpi_latest_entry entry;
        bool scores = set->form == KPI_CELL_SCORES, changed;
        int64_t number = 0;
        int r;

        kpi_reader_get(reader, &entry, sizeof(entry));
        if (scores)
            number = (int64_t)kpi_reader_u64(reader);
        if (reader->failed || entry.id >= engine->users.n ||
            kpi_latest_stamp(&entry) >= KPI_LATEST_STAMP_MAX)
            return KPI_ENGINE_E_CORRUPT;
        set->n_loaded++;
        if (!set->cell)
            continue;
        if (kpi_latest_find(&set->cell->latest, entry.id))
            return KPI_ENGINE_E_CORRUPT;
        if (scores)
            r = kpi_latest_put_number(&set->cell->latest, &engine->mem, entry.id,
                                      kpi_latest_stamp(&entry), number, &changed);
        else
            r = kpi_latest_put(&set->cell->latest, &engine->mem, entry.id, kpi_latest_stamp(&entry),
                               &changed);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A sketch holds as many values as events fed the cell. */
static int load_quantiles(struct kpi_loading *loading, struct kpi_loading_cell *set,
                          struct kpi_reader *reader)
{
    const struct kpi_mem *mem = &loading->engine->mem;
    struct kpi_quantiles quantiles;
    int r = kpi_quantiles_decode(&quantiles, mem, reader);

    if (r)
        return r < 0 ? r : KPI_ENGINE_E_CORRUPT;
    set->n_loaded += quantiles.n;
    if (!set->cell) {
        kpi_quantiles_deinit(&quantiles, mem);
        return 0;
    }
    kpi_quantiles_deinit(&set->cell->quantiles.sketch, mem);
    set->cell->quantiles.sketch = quantiles;
    return kpi_reader_done(reader) && quantiles.n == set->cell->n_events ? 0 : KPI_ENGINE_E_CORRUPT;
}

int kpi_loading_content(struct kpi_loading *loading, const struct kpi_name *name,
                        struct kpi_reader *reader)
{
    struct kpi_loading_cell *set = find_set(loading, name->a);
    char tag;

    if (!set || set->form == KPI_CELL_SCALAR)
        return KPI_ENGINE_E_CORRUPT;
    tag = set->form == KPI_CELL_FROZEN                                   ? 'c'
          : set->form == KPI_CELL_LATEST || set->form == KPI_CELL_SCORES ? 'l'
          : set->form == KPI_CELL_QUANTILES                              ? 'q'
          : set->paged                                                   ? 'p'
                                                                         : 'h';
    if (name->tag != tag)
        return KPI_ENGINE_E_CORRUPT;
    set->n_objects++;
    if (!set->cell) {
        int r = kpi_save_add_removal(loading->save, name);

        if (r < 0)
            return r;
    }
    if (tag == 'c')
        return load_bitmap(loading, set, reader);
    if (tag == 'l')
        return load_answers(loading, set, reader);
    if (tag == 'q')
        return load_quantiles(loading, set, reader);
    while (kpi_reader_left(reader)) {
        int r = load_page(loading, set, name, reader);

        if (r)
            return r;
    }
    return 0;
}

int kpi_loading_contents_end(struct kpi_loading *loading)
{
    for (size_t i = 0; i < loading->n_sets; i++) {
        const struct kpi_loading_cell *set = &loading->cells[i];

        if (set->form == KPI_CELL_SCALAR)
            continue;
        if (!set->n_objects || set->n_loaded != set->count)
            return KPI_ENGINE_E_CORRUPT;
    }
    return 0;
}
