/*
 * Saving: what changed since the last save, as objects (format.h). The state knows what is dirty;
 * what it does not know, which objects the store holds, is kept in struct kpi_save.
 */
#include "snapshot/format.h"

#include "engine/erase.h"

int kpi_save_get(struct kpi_engine *engine, struct kpi_save **ret_save)
{
    if (!engine->save) {
        engine->save = kpi_mem_zalloc(&engine->mem, sizeof(*engine->save));
        if (!engine->save)
            return -ENOMEM;
        engine->save->mem = &engine->mem;
    }
    *ret_save = engine->save;
    return 0;
}

static void base_free(struct kpi_save *save, struct kpi_save_base *base)
{
    for (size_t i = 0; i < base->n_deltas; i++)
        kpi_save_delta_free(save, &base->deltas[i]);
    kpi_mem_free(save->mem, base->deltas, base->n_deltas_max * sizeof(*base->deltas));
}

void kpi_save_free(struct kpi_engine *engine)
{
    struct kpi_save *save = engine->save;

    if (!save)
        return;
    kpi_mem_free(save->mem, save->removals, save->n_removals_max * sizeof(*save->removals));
    base_free(save, &save->rows);
    base_free(save, &save->funnels.base);
    kpi_mem_free(save->mem, save->ids, save->n_ids_max * sizeof(*save->ids));
    kpi_mem_free(save->mem, save->tail, KPI_SAVE_IDS * KPI_SAVE_ID_BYTES);
    kpi_mem_free(&engine->mem, save, sizeof(*save));
    engine->save = NULL;
}

/* Room for n more entries of `size` bytes. */
static int reserve(const struct kpi_mem *mem, void **array, size_t n_used, size_t *n_max, size_t n,
                   size_t size)
{
    size_t n_new = *n_max * 2 > n_used + n ? *n_max * 2 : n_used + n + 16;
    void *grown;

    if (*n_max - n_used >= n)
        return 0;
    grown = kpi_mem_resize(mem, *array, *n_max * size, n_new * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *n_max = n_new;
    return 0;
}

int kpi_save_add_removal(struct kpi_save *save, const struct kpi_name *name)
{
    void *array = save->removals;
    int r = reserve(save->mem, &array, save->n_removals, &save->n_removals_max, 1, sizeof(*name));

    save->removals = array;
    if (r == 0)
        save->removals[save->n_removals++] = *name;
    return r;
}

int kpi_save_add_delta(struct kpi_save *save, struct kpi_save_base *base,
                       const struct kpi_name *name, const uint32_t *users, uint32_t n)
{
    struct kpi_save_delta delta = {.name = *name, .n = n};
    void *array = base->deltas;
    int r = reserve(save->mem, &array, base->n_deltas, &base->n_deltas_max, 1, sizeof(delta));

    base->deltas = array;
    if (r < 0)
        return r;
    if (n) {
        delta.users = kpi_mem_alloc(save->mem, n * sizeof(*users));
        if (!delta.users)
            return -ENOMEM;
        memcpy(delta.users, users, n * sizeof(*users));
    }
    base->deltas[base->n_deltas++] = delta;
    return 0;
}

void kpi_save_delta_free(struct kpi_save *save, struct kpi_save_delta *delta)
{
    kpi_mem_free(save->mem, delta->users, delta->n * sizeof(*delta->users));
}

int kpi_save_add_ids(struct kpi_save *save, int64_t hour, uint32_t index)
{
    struct kpi_ids_object object = {hour, index};
    void *array = save->ids;
    int r = reserve(save->mem, &array, save->n_ids, &save->n_ids_max, 1, sizeof(object));

    save->ids = array;
    if (r == 0)
        save->ids[save->n_ids++] = object;
    return r;
}

/* --- cells that go --- */

static size_t count_objects(const struct kpi_cell *cell)
{
    return cell->form == KPI_CELL_HOT ? cell->hot.n_pages + 1 : 1;
}

int kpi_save_reserve_forget(struct kpi_engine *engine)
{
    struct kpi_save *save;
    size_t n = 0;
    void *array;
    int r;

    r = kpi_save_get(engine, &save);
    if (r < 0)
        return r;
    for (uint32_t p = 0; p < engine->n_packs; p++)
        for (const struct kpi_cell *cell = engine->packs[p]->first; cell; cell = cell->pack_next)
            n += count_objects(cell);
    array = save->removals;
    r = reserve(save->mem, &array, save->n_removals, &save->n_removals_max, n,
                sizeof(*save->removals));
    save->removals = array;
    return r;
}

static int forget_groups(struct kpi_save *save, const struct kpi_cell *cell)
{
    int64_t last = -1;

    for (uint32_t i = 0; i < cell->hot.n_pages; i++) {
        uint32_t group = cell->hot.pages[i].key / KPI_SAVE_GROUP;
        struct kpi_name name = {'p', cell->serial, group};
        int r;

        if (!cell->hot.pages[i].saved || group == last)
            continue;
        r = kpi_save_add_removal(save, &name);
        if (r < 0)
            return r;
        last = group;
    }
    return 0;
}

int kpi_save_forget_cell(struct kpi_engine *engine, const struct kpi_cell *cell)
{
    static const char tags[] = {[KPI_CELL_HOT] = 'h',
                                [KPI_CELL_FROZEN] = 'c',
                                [KPI_CELL_LATEST] = 'l',
                                [KPI_CELL_SCORES] = 'l',
                                [KPI_CELL_QUANTILES] = 'q'};
    struct kpi_name name = {0};

    if (cell->form == KPI_CELL_HOT && cell->paged)
        return forget_groups(engine->save, cell);
    if (!cell->saved)
        return 0;
    name = (struct kpi_name){tags[cell->form], cell->serial, 0};
    return kpi_save_add_removal(engine->save, &name);
}

void kpi_save_forget_dictionaries(struct kpi_engine *engine)
{
    if (engine->save)
        engine->save->n_values = 0; /* as many as there never are */
}

/* --- objects --- */

void kpi_saving_begin(struct kpi_saving *saving, char tag, uint64_t a, uint32_t b)
{
    saving->name = (struct kpi_name){tag, a, b};
    saving->version = KPI_SAVE_VERSION;
    saving->buffer.size = 0;
    (void)kpi_buffer_extend(&saving->buffer, KPI_OBJECT_HEADER_BYTES); /* written by the seal */
    kpi_buffer_u8(&saving->buffer, (uint8_t)tag);
    kpi_buffer_u64(&saving->buffer, a);
    kpi_buffer_u32(&saving->buffer, b);
}

int kpi_saving_end(struct kpi_saving *saving)
{
    struct kpi_object object = {.data = saving->buffer.data, .size = saving->buffer.size};
    char text[64];

    if (saving->buffer.failed)
        return -ENOMEM;
    kpi_object_seal(saving->buffer.data, kpi_name_kind(&saving->name), saving->version,
                    saving->buffer.size - KPI_OBJECT_HEADER_BYTES);
    object.name = (struct kpi_string){text, kpi_name_render(&saving->name, text)};
    return saving->put(saving->userdata, &object);
}

int kpi_saving_remove(struct kpi_saving *saving, const struct kpi_name *name)
{
    struct kpi_object object = {0};
    char text[64];

    object.name = (struct kpi_string){text, kpi_name_render(name, text)};
    return saving->put(saving->userdata, &object);
}

static int save_removals(struct kpi_saving *saving)
{
    for (size_t i = 0; i < saving->save->n_removals; i++) {
        int r = kpi_saving_remove(saving, &saving->save->removals[i]);

        if (r < 0)
            return r;
    }
    saving->save->n_removals = 0;
    return 0;
}

/* A chunk of a list of n hashes. */
static int save_hashes(struct kpi_saving *saving, char tag, uint64_t *const *chunks, uint32_t chunk,
                       uint32_t n)
{
    uint32_t left = n - chunk * KPI_USERS_CHUNK;

    left = left < KPI_USERS_CHUNK ? left : KPI_USERS_CHUNK;
    kpi_saving_begin(saving, tag, chunk, 0);
    for (uint32_t i = 0; i < left && tag == 'u'; i++)
        if (chunks[chunk][i] == KPI_USERS_NOBODY)
            saving->version = KPI_SAVE_VERSION_ERASED;
    kpi_buffer_add(&saving->buffer, chunks[chunk], left * sizeof(uint64_t));
    return kpi_saving_end(saving);
}

static int save_users(struct kpi_saving *saving)
{
    const struct kpi_users *users = &saving->engine->users;
    struct kpi_save *save = saving->save;
    uint64_t n_saved = saving->all ? 0 : save->n_users, n_barred = saving->all ? 0 : save->n_barred;
    int r = 0;

    for (uint32_t i = 0; (uint64_t)i * KPI_USERS_CHUNK < users->n && r == 0; i++) {
        uint64_t from = (uint64_t)i * KPI_USERS_CHUNK, to = from + KPI_USERS_CHUNK;

        if ((n_saved < to && n_saved < users->n) ||
            kpi_erased_among(&saving->engine->erased, from, to))
            r = save_hashes(saving, 'u', users->chunks, i, users->n);
    }
    for (uint32_t i = (uint32_t)(n_barred / KPI_USERS_CHUNK);
         n_barred < users->n_barred && i * (uint64_t)KPI_USERS_CHUNK < users->n_barred && r == 0;
         i++)
        r = save_hashes(saving, 'w', users->barred, i, users->n_barred);
    save->n_users = users->n;
    save->n_barred = users->n_barred;
    return r;
}

static void add_strings(struct kpi_buffer *buffer, const struct kpi_dictionary *dictionary)
{
    kpi_buffer_u32(buffer, dictionary->n);
    for (uint32_t id = KPI_DICTIONARY_FIRST; id < dictionary->n; id++) {
        struct kpi_string string = kpi_dictionary_string(dictionary, id);

        kpi_buffer_u16(buffer, (uint16_t)string.length);
        kpi_buffer_add(buffer, string.data, string.length);
    }
}

static void add_tuples(struct kpi_saving *saving)
{
    const struct kpi_program *program = saving->engine->program;
    const struct kpi_tuples *tuples = &saving->engine->tuples;
    struct kpi_buffer *buffer = &saving->buffer;

    kpi_buffer_u32(buffer, program->n_dimensions);
    for (uint32_t i = 0; i < program->n_dimensions; i++) {
        kpi_buffer_u64(buffer, program->dimensions[i].fingerprint);
        add_strings(buffer, &tuples->dimensions[i].values);
    }
    kpi_buffer_u32(buffer, program->n_sets);
    for (uint32_t i = 0; i < program->n_sets; i++) {
        kpi_buffer_u64(buffer, program->sets[i].fingerprint);
        add_strings(buffer, &tuples->sets[i].tuples);
    }
}

static int save_dictionaries(struct kpi_saving *saving)
{
    const struct kpi_engine *engine = saving->engine;
    struct kpi_save *save = saving->save;
    uint64_t n_tuples = kpi_tuples_total(&engine->tuples);

    if (!saving->all && save->n_values == engine->values.n &&
        save->n_strings == engine->strings.n && save->n_tuples == n_tuples)
        return 0;
    kpi_saving_begin(saving, 'v', 0, 0);
    add_strings(&saving->buffer, &engine->values);
    add_strings(&saving->buffer, &engine->strings);
    add_tuples(saving);
    kpi_saving_starts(saving);
    save->n_values = engine->values.n;
    save->n_strings = engine->strings.n;
    save->n_tuples = n_tuples;
    return kpi_saving_end(saving);
}

static void add_attributes(struct kpi_buffer *buffer, const struct kpi_program *program)
{
    kpi_buffer_u32(buffer, program->n_slots);
    kpi_buffer_u32(buffer, program->n_attributes);
    for (uint32_t i = 0; i < program->n_attributes; i++) {
        const struct kpi_attribute *attribute = &program->attributes[i];

        kpi_buffer_u64(buffer, attribute->fingerprint);
        kpi_buffer_u32(buffer, attribute->slot);
        kpi_buffer_u8(buffer, (uint8_t)(attribute->n_slots - 1));
        kpi_buffer_u8(buffer, attribute->kind == KPI_ATTRIBUTE_SET ? KPI_STRINGS_SET
                              : attribute->is_string               ? KPI_STRINGS_ONE
                                                                   : KPI_STRINGS_NONE);
    }
}

static void add_counters(struct kpi_buffer *buffer, const struct kpi_engine *engine)
{
    kpi_buffer_u64(buffer, engine->n_applied);
    kpi_buffer_u64(buffer, engine->n_duplicates);
    kpi_buffer_u64(buffer, engine->n_conflicts);
    kpi_buffer_u64(buffer, engine->n_refused);
    kpi_buffer_u64(buffer, engine->n_without_id);
    kpi_buffer_u64(buffer, engine->n_other);
    kpi_buffer_u64(buffer, engine->n_late);
    kpi_buffer_u64(buffer, (uint64_t)engine->newest_record);
    kpi_buffer_u64(buffer, (uint64_t)engine->newest_event);
    kpi_buffer_u64(buffer, engine->serial_next);
}

/* The last object of a save, because it says how many there are of the others. */
static int save_meta(struct kpi_saving *saving)
{
    const struct kpi_engine *engine = saving->engine;
    const struct kpi_save *save = saving->save;
    const struct kpi_dedupe *dedupe = &engine->dedupe;
    int64_t floor = dedupe->now == INT64_MIN ? INT64_MIN : dedupe->floor * dedupe->tick_hours;

    kpi_saving_begin(saving, 'm', 0, 0);
    add_counters(&saving->buffer, engine);
    add_attributes(&saving->buffer, engine->program);
    kpi_buffer_u64(&saving->buffer, save->n);
    kpi_buffer_u64(&saving->buffer, save->rows.cycle);
    kpi_buffer_u32(&saving->buffer, save->rows.cursor);
    kpi_buffer_u32(&saving->buffer, engine->users.n);
    kpi_buffer_u32(&saving->buffer, engine->values.n);
    kpi_buffer_u32(&saving->buffer, engine->strings.n);
    kpi_buffer_u32(&saving->buffer, engine->n_packs);
    kpi_buffer_u32(&saving->buffer, save->rows.n_chunks);
    kpi_buffer_u32(&saving->buffer, (uint32_t)save->rows.n_deltas);
    kpi_buffer_u64(&saving->buffer, engine->n_cells);
    kpi_buffer_u64(&saving->buffer, dedupe->n);
    kpi_buffer_u64(&saving->buffer, (uint64_t)floor);
    if (engine->users.n_barred) {
        saving->version = KPI_SAVE_VERSION_ERASED;
        kpi_buffer_u32(&saving->buffer, engine->users.n_barred);
    }
    return kpi_saving_end(saving);
}

static int save_parts(struct kpi_saving *saving)
{
    static int (*const parts[])(struct kpi_saving *) = {
        save_removals,    save_users,     save_dictionaries,  kpi_saving_rows,
        kpi_saving_cells, kpi_saving_ids, kpi_saving_funnels, save_meta,
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int r = parts[i](saving);

        if (r < 0)
            return r;
    }
    return 0;
}

int kpi_engine_save(struct kpi_engine *engine, bool all, kpi_object_fn put, void *userdata)
{
    struct kpi_saving saving = {.engine = engine, .all = all, .put = put, .userdata = userdata};
    int r;

    r = kpi_save_get(engine, &saving.save);
    if (r == 0)
        r = kpi_engine_sweep(engine);
    if (r < 0)
        return r;
    saving.buffer.mem = saving.users.mem = &engine->mem;
    saving.save->n++;
    r = save_parts(&saving);
    kpi_buffer_deinit(&saving.buffer);
    kpi_buffer_deinit(&saving.users);
    if (r == 0)
        kpi_erased_saved(&engine->erased);
    return r;
}
