/* Packs of days, and the contents of sets. */
#include "snapshot/format.h"

static size_t page_bytes(const struct kpi_set_page *page)
{
    return 7 + (page->is_bits ? KPI_SET_WORDS * 8 : page->count * sizeof(uint16_t));
}

static void add_page(struct kpi_buffer *buffer, struct kpi_set_page *page)
{
    kpi_buffer_u16(buffer, page->key);
    kpi_buffer_u8(buffer, page->is_bits);
    kpi_buffer_u32(buffer, page->count);
    kpi_buffer_add(buffer, page->values, page_bytes(page) - 7);
    page->dirty = 0;
    page->saved = 1;
}

static int save_whole(struct kpi_saving *saving, struct kpi_cell *cell)
{
    kpi_saving_begin(saving, 'h', cell->serial, 0);
    for (uint32_t i = 0; i < cell->hot.n_pages; i++)
        add_page(&saving->buffer, &cell->hot.pages[i]);
    cell->saved = true;
    return kpi_saving_end(saving);
}

static int save_groups(struct kpi_saving *saving, struct kpi_cell *cell)
{
    struct kpi_set *set = &cell->hot;
    uint32_t i = 0;

    while (i < set->n_pages) {
        uint32_t group = set->pages[i].key / KPI_SAVE_GROUP, end = i;
        bool dirty = saving->all;
        int r;

        for (; end < set->n_pages && set->pages[end].key / KPI_SAVE_GROUP == group; end++)
            dirty |= set->pages[end].dirty || !set->pages[end].saved;
        if (dirty) {
            kpi_saving_begin(saving, 'p', cell->serial, group);
            for (uint32_t k = i; k < end; k++)
                add_page(&saving->buffer, &set->pages[k]);
            r = kpi_saving_end(saving);
            if (r < 0)
                return r;
        }
        i = end;
    }
    return 0;
}

static int save_hot(struct kpi_saving *saving, struct kpi_cell *cell)
{
    struct kpi_name whole = {'h', cell->serial, 0};
    bool dirty = saving->all || !cell->saved;
    size_t size = 0;
    int r;

    for (uint32_t i = 0; i < cell->hot.n_pages; i++) {
        size += page_bytes(&cell->hot.pages[i]);
        dirty |= cell->hot.pages[i].dirty;
    }
    if (!cell->paged && size <= KPI_SAVE_WHOLE_MAX)
        return dirty ? save_whole(saving, cell) : 0;
    if (!cell->paged && cell->saved) {
        r = kpi_saving_remove(saving, &whole);
        if (r < 0)
            return r;
        for (uint32_t i = 0; i < cell->hot.n_pages; i++)
            cell->hot.pages[i].saved = 0;
    }
    cell->paged = true;
    cell->saved = false;
    return save_groups(saving, cell);
}

static int save_frozen(struct kpi_saving *saving, struct kpi_cell *cell)
{
    size_t size = roaring_bitmap_portable_size_in_bytes(cell->frozen.bitmap);
    char *at;

    if (!cell->dirty && !saving->all)
        return 0;
    kpi_saving_begin(saving, 'c', cell->serial, 0);
    at = kpi_buffer_extend(&saving->buffer, size);
    if (at)
        (void)roaring_bitmap_portable_serialize(cell->frozen.bitmap, at);
    cell->dirty = false;
    cell->saved = true;
    return kpi_saving_end(saving);
}

static int save_latest(struct kpi_saving *saving, struct kpi_cell *cell)
{
    if (!cell->dirty && !saving->all)
        return 0;
    kpi_saving_begin(saving, 'l', cell->serial, 0);
    for (uint32_t i = 0; i < cell->latest.n_entries; i++)
        if (cell->latest.entries[i].id != KPI_LATEST_EMPTY) {
            kpi_buffer_add(&saving->buffer, &cell->latest.entries[i],
                           sizeof(cell->latest.entries[i]));
            if (cell->form == KPI_CELL_SCORES)
                kpi_buffer_u64(&saving->buffer, (uint64_t)cell->latest.numbers[i]);
        }
    cell->dirty = false;
    cell->saved = true;
    return kpi_saving_end(saving);
}

static int save_quantiles(struct kpi_saving *saving, struct kpi_cell *cell)
{
    if (!cell->dirty && !saving->all)
        return 0;
    kpi_saving_begin(saving, 'q', cell->serial, 0);
    kpi_quantiles_encode(&cell->quantiles.sketch, &saving->buffer);
    cell->dirty = false;
    cell->saved = true;
    return kpi_saving_end(saving);
}

static int save_content(struct kpi_saving *saving, struct kpi_cell *cell)
{
    switch (cell->form) {
    case KPI_CELL_HOT:
        return save_hot(saving, cell);
    case KPI_CELL_FROZEN:
        return save_frozen(saving, cell);
    case KPI_CELL_LATEST:
    case KPI_CELL_SCORES:
        return save_latest(saving, cell);
    case KPI_CELL_QUANTILES:
        return save_quantiles(saving, cell);
    default:
        return 0;
    }
}

static void add_cell(struct kpi_saving *saving, const struct kpi_pack *pack,
                     const struct kpi_cell *cell)
{
    const struct kpi_instance *instance = &saving->engine->program->instances[cell->instance];
    struct kpi_buffer *buffer = &saving->buffer;

    kpi_buffer_u64(buffer, instance->fingerprint);
    kpi_buffer_u32(buffer, cell->tuple);
    kpi_buffer_u8(buffer, (uint8_t)(cell->form | (instance->minutes ? KPI_SAVE_WINDOW : 0)));
    if (instance->minutes) {
        kpi_buffer_u16(buffer, (uint16_t)(cell->window - kpi_instance_day(instance, pack->day)));
        if (saving->version < KPI_SAVE_VERSION_WINDOWS)
            saving->version = KPI_SAVE_VERSION_WINDOWS;
    }
    if (cell->form == KPI_CELL_QUANTILES)
        saving->version = KPI_SAVE_VERSION_QUANTILES;
    kpi_buffer_u64(buffer, cell->serial);
    kpi_buffer_u64(buffer, cell->n_events);
    if (cell->form == KPI_CELL_SCALAR)
        kpi_buffer_add(buffer, &cell->sum, sizeof(cell->sum));
    else if (cell->form == KPI_CELL_LATEST || cell->form == KPI_CELL_SCORES)
        kpi_buffer_u64(buffer, cell->latest.n);
    else if (cell->form == KPI_CELL_QUANTILES)
        kpi_buffer_u64(buffer, cell->quantiles.sketch.n);
    else
        kpi_buffer_u64(buffer, kpi_cell_count(cell));
    if (cell->form == KPI_CELL_QUANTILES)
        kpi_buffer_add(buffer, &cell->quantiles.sum, sizeof(cell->quantiles.sum));
    if (cell->form == KPI_CELL_HOT)
        kpi_buffer_u8(buffer, cell->paged);
}

static uint64_t pack_number(const struct kpi_pack *pack)
{
    return (uint64_t)((int64_t)pack->day - INT32_MIN);
}

static int save_pack(struct kpi_saving *saving, struct kpi_pack *pack)
{
    /* The contents first: they decide how they are saved, which the pack names. */
    for (struct kpi_cell *cell = pack->first; cell; cell = cell->pack_next) {
        int r = save_content(saving, cell);

        if (r < 0)
            return r;
    }
    kpi_saving_begin(saving, 's', pack_number(pack), 0);
    for (const struct kpi_cell *cell = pack->first; cell; cell = cell->pack_next)
        add_cell(saving, pack, cell);
    pack->dirty = false;
    pack->saved = true;
    return kpi_saving_end(saving);
}

/* Packs without cells go: the cells have expired, or are another plan's. */
static int remove_empty(struct kpi_saving *saving)
{
    struct kpi_engine *engine = saving->engine;
    uint32_t n = 0;
    int r = 0;

    for (uint32_t i = 0; i < engine->n_packs; i++) {
        struct kpi_pack *pack = engine->packs[i];
        struct kpi_name name = {'s', pack_number(pack), 0};

        if (pack->n_cells || r < 0) {
            engine->packs[n++] = pack;
            continue;
        }
        if (pack->saved)
            r = kpi_saving_remove(saving, &name);
        kpi_mem_free(&engine->mem, pack, sizeof(*pack));
    }
    engine->n_packs = n;
    return r;
}

int kpi_saving_cells(struct kpi_saving *saving)
{
    struct kpi_engine *engine = saving->engine;
    int r;

    r = remove_empty(saving);
    for (uint32_t i = 0; r == 0 && i < engine->n_packs; i++)
        if (engine->packs[i]->dirty || saving->all)
            r = save_pack(saving, engine->packs[i]);
    return r;
}
