/*
 * Loading: objects are checked as they come (frame, checksum, name), kept, and read when all are
 * there, in the order in which they build on each other. Whatever does not fit together is corrupt:
 * lengths, ids beyond the number of users, unsorted values, objects that are missing or too many.
 */
#include "snapshot/format.h"

#include <xxhash.h>

static int stash_add(struct kpi_engine *engine, const struct kpi_name *name, const void *payload,
                     size_t size)
{
    struct kpi_stash *stash = engine->stash;
    struct kpi_stash_object object = {.name = *name, .size = size};

    if (!stash) {
        stash = engine->stash = kpi_mem_zalloc(&engine->mem, sizeof(*stash));
        if (!stash)
            return -ENOMEM;
    }
    if (stash->n == stash->n_max) {
        size_t n_max = stash->n_max * 2 + 64;
        struct kpi_stash_object *objects =
            kpi_mem_resize(&engine->mem, stash->objects, stash->n_max * sizeof(*objects),
                           n_max * sizeof(*objects));

        if (!objects)
            return -ENOMEM;
        stash->objects = objects;
        stash->n_max = n_max;
    }
    object.bytes = kpi_mem_alloc(&engine->mem, size);
    if (!object.bytes)
        return -ENOMEM;
    memcpy(object.bytes, payload, size);
    stash->objects[stash->n++] = object;
    return 0;
}

void kpi_stash_free(struct kpi_engine *engine)
{
    struct kpi_stash *stash = engine->stash;

    if (!stash)
        return;
    for (size_t i = 0; i < stash->n; i++)
        kpi_mem_free(&engine->mem, stash->objects[i].bytes, stash->objects[i].size);
    kpi_mem_free(&engine->mem, stash->objects, stash->n_max * sizeof(*stash->objects));
    kpi_mem_free(&engine->mem, stash, sizeof(*stash));
    engine->stash = NULL;
}

int kpi_engine_load(struct kpi_engine *engine, const struct kpi_object *object)
{
    struct kpi_name name;
    struct kpi_reader reader;
    const void *payload;
    uint16_t version;
    size_t size;
    int r;

    if (!object->data || !kpi_name_parse(object->name, &name))
        return KPI_ENGINE_E_CORRUPT;
    r = kpi_object_open(object->data, object->size, kpi_name_kind(&name),
                        kpi_name_version_max(&name), &version, &payload, &size);
    if (r)
        return r == KPI_OBJECT_E_NEWER ? KPI_ENGINE_E_NEWER : KPI_ENGINE_E_CORRUPT;
    reader = kpi_reader_make(payload, size);
    if (kpi_reader_u8(&reader) != (uint8_t)name.tag || kpi_reader_u64(&reader) != name.a ||
        kpi_reader_u32(&reader) != name.b || reader.failed)
        return KPI_ENGINE_E_CORRUPT;
    return stash_add(engine, &name, payload, size);
}

/* --- what `m` says --- */

static int load_attributes(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_attributes *layout = &loading->layout;

    layout->n_slots = kpi_reader_u32(reader);
    layout->n_attributes = kpi_reader_u32(reader);
    if (layout->n_slots > KPI_ATTRIBUTE_SLOTS_MAX * KPI_ATTRIBUTES_ALL_MAX ||
        layout->n_attributes > KPI_ATTRIBUTES_ALL_MAX) {
        layout->n_attributes = 0;
        return KPI_ENGINE_E_CORRUPT;
    }
    if (layout->n_attributes) {
        loading->attributes = kpi_mem_zalloc(&loading->engine->mem,
                                             layout->n_attributes * sizeof(*loading->attributes));
        if (!loading->attributes)
            return -ENOMEM;
    }
    layout->attributes = loading->attributes;
    for (uint32_t i = 0; i < layout->n_attributes; i++) {
        struct kpi_attribute *attribute = &loading->attributes[i];
        uint8_t more, strings;

        attribute->fingerprint = kpi_reader_u64(reader);
        attribute->slot = kpi_reader_u32(reader);
        more = kpi_reader_u8(reader); /* slots than one */
        strings = kpi_reader_u8(reader);
        if (more >= KPI_ATTRIBUTE_SLOTS_MAX || strings > KPI_STRINGS_SET || strings > more ||
            (strings == KPI_STRINGS_SET && more % 2 == 0) || attribute->slot >= layout->n_slots ||
            layout->n_slots - attribute->slot < 1u + more)
            return KPI_ENGINE_E_CORRUPT;
        attribute->n_slots = 1u + more;
        attribute->is_string = strings != KPI_STRINGS_NONE;
        if (strings == KPI_STRINGS_SET)
            attribute->kind = KPI_ATTRIBUTE_SET;
    }
    return 0;
}

static void load_counters(struct kpi_engine *engine, struct kpi_reader *reader)
{
    engine->n_applied = kpi_reader_u64(reader);
    engine->n_duplicates = kpi_reader_u64(reader);
    engine->n_conflicts = kpi_reader_u64(reader);
    engine->n_refused = kpi_reader_u64(reader);
    engine->n_without_id = kpi_reader_u64(reader);
    engine->n_other = kpi_reader_u64(reader);
    engine->n_late = kpi_reader_u64(reader);
    engine->newest_record = (kpi_time)kpi_reader_u64(reader);
    engine->newest_event = (kpi_time)kpi_reader_u64(reader);
    engine->serial_next = kpi_reader_u64(reader);
}

static int load_meta(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    struct kpi_save *save = loading->save;
    int r;

    load_counters(engine, reader);
    r = load_attributes(loading, reader);
    if (r)
        return r;
    save->n = kpi_reader_u64(reader);
    save->rows.cycle = kpi_reader_u64(reader);
    save->rows.cursor = kpi_reader_u32(reader);
    loading->n_users = kpi_reader_u32(reader);
    loading->n_values = kpi_reader_u32(reader);
    loading->n_strings = kpi_reader_u32(reader);
    loading->n_packs = kpi_reader_u32(reader);
    loading->n_bases = kpi_reader_u32(reader);
    loading->n_deltas = kpi_reader_u32(reader);
    loading->n_cells = kpi_reader_u64(reader);
    loading->n_ids = kpi_reader_u64(reader);
    loading->ids_floor = (int64_t)kpi_reader_u64(reader);
    if (kpi_reader_left(reader)) /* since KPI_SAVE_VERSION_ERASED, if there are any */
        loading->n_barred = kpi_reader_u32(reader);
    if (!kpi_reader_done(reader) || !kpi_time_fits(engine->newest_record) ||
        !kpi_time_fits(engine->newest_event) || !engine->serial_next ||
        (save->rows.cursor &&
         save->rows.cursor >= (loading->n_users + KPI_SLOTS_CHUNK - 1) / KPI_SLOTS_CHUNK))
        return KPI_ENGINE_E_CORRUPT;
    /* Cells take the place of those that were made while loading, from here on. */
    kpi_slots_init(&loading->slots, &engine->mem, loading->layout.n_slots);
    if (engine->newest_record != KPI_TIME_NONE)
        kpi_dedupe_restore_begin(&engine->dedupe, engine->newest_record, loading->ids_floor);
    return 0;
}

int kpi_loading_strings(struct kpi_dictionary *dictionary, const struct kpi_mem *mem,
                        struct kpi_reader *reader)
{
    uint32_t n = kpi_reader_u32(reader);
    int r;

    /* Anew: the ids are those of the checkpoint, whatever the plan has entered so far. */
    kpi_dictionary_deinit(dictionary);
    r = kpi_dictionary_init(dictionary, mem);
    if (r < 0)
        return r;
    if (n < KPI_DICTIONARY_FIRST)
        return KPI_ENGINE_E_CORRUPT;
    for (uint32_t id = KPI_DICTIONARY_FIRST; id < n; id++) {
        uint16_t length = kpi_reader_u16(reader);
        struct kpi_reader taken = kpi_reader_take(reader, length);
        struct kpi_string string = {(const char *)taken.at, length};
        uint32_t found;

        if (taken.failed || length > KPI_DICTIONARY_BYTES_MAX)
            return KPI_ENGINE_E_CORRUPT;
        r = kpi_dictionary_intern(dictionary, string, XXH3_64bits(string.data, string.length),
                                  UINT32_MAX, &found);
        if (r < 0)
            return r;
        if (found != id)
            return KPI_ENGINE_E_CORRUPT;
    }
    return 0;
}

static int load_dictionaries(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    int r;

    r = kpi_loading_strings(&engine->values, &engine->mem, reader);
    if (r == 0)
        r = kpi_loading_strings(&engine->strings, &engine->mem, reader);
    if (r == 0 &&
        (engine->values.n != loading->n_values || engine->strings.n != loading->n_strings))
        r = KPI_ENGINE_E_CORRUPT;
    if (r == 0)
        r = kpi_engine_enter_campaigns(engine, engine->plan);
    loading->save->n_values = loading->n_values;
    loading->save->n_strings = loading->n_strings;
    if (r == 0)
        r = kpi_loading_tuples(loading, reader);
    return r ? r : kpi_loading_starts(loading, reader);
}

static int load_user(struct kpi_users *users, uint64_t hash)
{
    uint32_t id;

    if (hash == KPI_USERS_NOBODY)
        return kpi_users_add_nobody(users);
    if (kpi_users_find(users, hash) != KPI_USER_NONE)
        return KPI_ENGINE_E_CORRUPT;
    return kpi_users_add(users, hash, &id);
}

static int load_users(struct kpi_loading *loading, const struct kpi_name *name,
                      struct kpi_reader *reader)
{
    struct kpi_users *users = &loading->engine->users;
    uint32_t left = loading->n_users - users->n,
             n = left < KPI_USERS_CHUNK ? left : KPI_USERS_CHUNK;
    struct kpi_reader ahead = *reader;
    int r;

    if (name->a != users->n / KPI_USERS_CHUNK || !n || kpi_reader_left(reader) != n * 8u)
        return KPI_ENGINE_E_CORRUPT;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = kpi_reader_u64(reader);

        /* Lines are asked for 16 users ahead. */
        for (; kpi_reader_left(&ahead) && ahead.at <= reader->at + 128;)
            kpi_users_prefetch(users, kpi_reader_u64(&ahead));
        r = load_user(users, hash);
        if (r)
            return r;
    }
    return 0;
}

static int load_barred(struct kpi_loading *loading, const struct kpi_name *name,
                       struct kpi_reader *reader)
{
    struct kpi_users *users = &loading->engine->users;
    uint32_t left = loading->n_barred - users->n_barred,
             n = left < KPI_USERS_CHUNK ? left : KPI_USERS_CHUNK;

    if (name->a != users->n_barred / KPI_USERS_CHUNK || !n || kpi_reader_left(reader) != n * 8u)
        return KPI_ENGINE_E_CORRUPT;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = kpi_reader_u64(reader);
        int r;

        if (hash == KPI_USERS_NOBODY || kpi_users_find(users, hash) != KPI_USER_NONE)
            return KPI_ENGINE_E_CORRUPT;
        r = kpi_users_bar(users, hash);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- attribute rows --- */

static bool string_fits(const struct kpi_loading *loading, int64_t id)
{
    return id >= KPI_DICTIONARY_OTHER && id < loading->n_strings;
}

static bool strings_fit(const struct kpi_loading *loading, const struct kpi_attribute *attribute,
                        const int64_t *slots)
{
    if (attribute->kind != KPI_ATTRIBUTE_SET)
        return slots[0] == KPI_TIME_NONE || string_fits(loading, slots[attribute->n_slots - 1]);
    for (uint32_t i = 0; i < attribute->n_slots && slots[i] != KPI_TIME_NONE; i += 2)
        if (!string_fits(loading, slots[i + 1]))
            return false;
    return true;
}

static bool row_fits(const struct kpi_loading *loading, const int64_t *row)
{
    for (uint32_t i = 0; i < loading->layout.n_attributes; i++)
        if (loading->attributes[i].is_string &&
            !strings_fit(loading, &loading->attributes[i], row + loading->attributes[i].slot))
            return false;
    return true;
}

static int load_row(struct kpi_loading *loading, uint32_t user, struct kpi_reader *reader)
{
    int64_t *row = kpi_slots_row(&loading->slots, user);

    kpi_reader_get(reader, row, loading->layout.n_slots * sizeof(int64_t));
    return reader->failed || !row_fits(loading, row) ? KPI_ENGINE_E_CORRUPT : 0;
}

static int load_base(struct kpi_loading *loading, const struct kpi_name *name,
                     struct kpi_reader *reader)
{
    uint64_t n_users = loading->n_users, first = name->a * KPI_SLOTS_CHUNK, n;

    if (!loading->layout.n_slots || name->a >= loading->n_bases ||
        name->a != loading->n_bases_seen || first >= n_users)
        return KPI_ENGINE_E_CORRUPT;
    loading->n_bases_seen++;
    /* Users of the last chunk may have come after it was written: they are in deltas. */
    n = n_users - first < KPI_SLOTS_CHUNK ? n_users - first : KPI_SLOTS_CHUNK;
    for (uint64_t i = 0; i < n && kpi_reader_left(reader); i++) {
        int r = load_row(loading, (uint32_t)(first + i), reader);

        if (r)
            return r;
    }
    return 0;
}

/*
 * In the order in which they were written, over the base: the last delta with a row has its present
 * value, and if that has been dropped, so have all before it, and the base is newer.
 */
static int load_delta_rows(struct kpi_loading *loading, const struct kpi_name *name,
                           struct kpi_reader *reader, uint32_t *users, uint32_t *n)
{
    if (!loading->layout.n_slots || !kpi_reader_left(reader) || name->a > loading->save->n)
        return KPI_ENGINE_E_CORRUPT;
    while (kpi_reader_left(reader)) {
        uint32_t user = kpi_reader_u32(reader);
        struct kpi_reader row = kpi_reader_take(reader, loading->layout.n_slots * sizeof(int64_t));
        int r;

        if (row.failed || user >= loading->n_users)
            return KPI_ENGINE_E_CORRUPT;
        r = load_row(loading, user, &row);
        if (r)
            return r;
        users[(*n)++] = user;
    }
    return 0;
}

static int load_delta(struct kpi_loading *loading, const struct kpi_name *name,
                      struct kpi_reader *reader)
{
    size_t row_bytes = sizeof(uint32_t) + loading->layout.n_slots * sizeof(int64_t);
    size_t n_max = kpi_reader_left(reader) / row_bytes;
    uint32_t *users = kpi_mem_alloc(&loading->engine->mem, n_max * sizeof(*users)), n = 0;
    int r = users || !n_max ? load_delta_rows(loading, name, reader, users, &n) : -ENOMEM;

    if (r == 0)
        r = kpi_save_add_delta(loading->save, &loading->save->rows, name, users, n);
    kpi_mem_free(&loading->engine->mem, users, n_max * sizeof(*users));
    return r;
}

static int rows_end(struct kpi_loading *loading)
{
    struct kpi_engine *engine = loading->engine;
    struct kpi_attributes layout = kpi_attributes_of(engine->program);
    int r;

    if (loading->n_bases_seen != loading->n_bases ||
        loading->save->rows.n_deltas != loading->n_deltas)
        return KPI_ENGINE_E_CORRUPT;
    loading->save->rows.n_chunks = loading->n_bases;
    if (kpi_attributes_same(&layout, &loading->layout)) {
        engine->slots = loading->slots;
        loading->slots = (struct kpi_slots){.mem = &engine->mem};
        return 0;
    }
    r = kpi_slots_convert(&loading->slots, &loading->layout, &engine->slots, &layout,
                          loading->n_users);
    kpi_slots_deinit(&loading->slots);
    return r;
}

/* --- ids --- */

static int load_ids(struct kpi_loading *loading, const struct kpi_name *name,
                    struct kpi_reader *reader)
{
    struct kpi_dedupe_record record = {.arrival_hour = (int64_t)name->a};
    int64_t newest = loading->engine->newest_record;

    if (newest == KPI_TIME_NONE || record.arrival_hour < 0 ||
        record.arrival_hour > newest / KPI_HOUR || !kpi_reader_left(reader))
        return KPI_ENGINE_E_CORRUPT;
    while (kpi_reader_left(reader)) {
        int r;

        record.id = kpi_reader_u64(reader);
        record.event_hour = kpi_reader_u32(reader);
        record.content = kpi_reader_u16(reader);
        if (reader->failed || record.id & ~KPI_DEDUPE_ID_MASK ||
            record.content >> KPI_DEDUPE_CONTENT_BITS)
            return KPI_ENGINE_E_CORRUPT;
        r = kpi_dedupe_restore(&loading->engine->dedupe, &record);
        if (r < 0)
            return r;
        loading->n_ids_seen += record.arrival_hour >= loading->ids_floor;
    }
    return kpi_save_add_ids(loading->save, record.arrival_hour, name->b);
}

/* --- all together --- */

int kpi_loading_pack_seen(struct kpi_loading *loading, kpi_day day, bool passed_over)
{
    struct kpi_engine *engine = loading->engine;
    struct kpi_pack *pack;
    int r;

    /* A pack of which the plan knows nothing must still be there, to be removed with the next save.
     */
    r = kpi_pack_get(engine, day, &pack);
    if (r < 0)
        return r;
    pack->saved = true;
    pack->dirty = passed_over;
    loading->n_packs_seen++;
    return 0;
}

static int begin_sets(struct kpi_loading *loading)
{
    uint32_t n_chunks = (loading->n_users + KPI_SLOTS_CHUNK - 1) / KPI_SLOTS_CHUNK;

    if (loading->engine->users.n != loading->n_users ||
        loading->engine->users.n_barred != loading->n_barred)
        return KPI_ENGINE_E_CORRUPT;
    loading->save->n_users = loading->n_users;
    loading->save->n_barred = loading->n_barred;
    return n_chunks && loading->layout.n_slots
               ? kpi_slots_reserve(&loading->slots, loading->n_users - 1)
               : 0;
}

static int load_object(struct kpi_loading *loading, const struct kpi_stash_object *object)
{
    const struct kpi_name *name = &object->name;
    struct kpi_reader reader = kpi_reader_make(object->bytes, object->size);
    int r;

    (void)kpi_reader_take(&reader, KPI_SAVE_PREFIX); /* compared with the name on arrival */
    switch (name->tag) {
    case 'm':
        r = load_meta(loading, &reader);
        break;
    case 'v':
        r = load_dictionaries(loading, &reader);
        break;
    case 'u':
        r = load_users(loading, name, &reader);
        break;
    case 'w':
        r = load_barred(loading, name, &reader);
        break;
    case 's':
        r = kpi_loading_pack(loading, name, &reader);
        break;
    case 'r':
        r = load_base(loading, name, &reader);
        break;
    case 'x':
        r = load_delta(loading, name, &reader);
        break;
    case 'd':
        r = load_ids(loading, name, &reader);
        break;
    case 'y':
        r = kpi_loading_funnels(loading, &reader);
        break;
    case 'f':
        r = kpi_loading_funnel_base(loading, name, &reader);
        break;
    case 'g':
        r = kpi_loading_funnel_delta(loading, name, &reader);
        break;
    default:
        r = kpi_loading_content(loading, name, &reader);
        break;
    }
    return r == 0 && !kpi_reader_done(&reader) ? KPI_ENGINE_E_CORRUPT : r;
}

/* Room for as many users as `m` speaks of, if there are the bytes for that many. */
static int begin_users(struct kpi_loading *loading)
{
    const struct kpi_stash *stash = loading->engine->stash;
    uint64_t n = 0;

    for (size_t i = 0; i < stash->n; i++)
        if (stash->objects[i].name.tag == 'u')
            n += (stash->objects[i].size - KPI_SAVE_PREFIX) / sizeof(uint64_t);
    if (n != loading->n_users)
        return KPI_ENGINE_E_CORRUPT;
    return kpi_users_reserve(&loading->engine->users, loading->n_users);
}

/* What has to be true before the first object of this tag. */
static int load_turn(struct kpi_loading *loading, char tag)
{
    switch (tag) {
    case 'u':
        return begin_users(loading);
    case 's':
        return begin_sets(loading);
    case 'h':
        return kpi_loading_packs_end(loading);
    case 'r':
        return kpi_loading_contents_end(loading);
    case 'd':
        return rows_end(loading);
    default:
        return 0;
    }
}

static int compare_objects(const void *a, const void *b)
{
    const struct kpi_stash_object *x = a, *y = b;

    return kpi_name_compare(&x->name, &y->name);
}

static int load_stash(struct kpi_loading *loading, struct kpi_stash *stash)
{
    static const char tags[] = "mvuwshpclqrxdyfg";
    size_t i = 0;
    int r;

    if (stash->n < 2 || stash->objects[0].name.tag != 'm' || stash->objects[1].name.tag != 'v')
        return KPI_ENGINE_E_CORRUPT;
    for (const char *tag = tags; *tag; tag++) {
        r = load_turn(loading, *tag);
        if (r)
            return r;
        for (; i < stash->n && stash->objects[i].name.tag == *tag; i++) {
            struct kpi_stash_object *object = &stash->objects[i];

            if (i && kpi_name_compare(&object->name, &object[-1].name) == 0)
                return KPI_ENGINE_E_CORRUPT;
            r = load_object(loading, object);
            if (r)
                return r;
            kpi_mem_free(&loading->engine->mem, object->bytes, object->size);
            object->bytes = NULL;
        }
    }
    if (loading->n_ids_seen != loading->n_ids)
        return KPI_ENGINE_E_CORRUPT;
    return kpi_loading_funnels_end(loading);
}

int kpi_engine_load_end(struct kpi_engine *engine)
{
    struct kpi_loading loading = {.engine = engine};
    int r;

    if (!engine->stash)
        return KPI_ENGINE_E_CORRUPT;
    r = kpi_save_get(engine, &loading.save);
    if (r < 0)
        return r;
    kpi_sort(engine->stash->objects, engine->stash->n, sizeof(*engine->stash->objects),
             compare_objects);
    loading.slots.mem = &engine->mem;
    r = load_stash(&loading, engine->stash);
    kpi_stash_free(engine);
    kpi_slots_deinit(&loading.slots);
    kpi_mem_free(&engine->mem, loading.cells, loading.n_sets_max * sizeof(*loading.cells));
    kpi_mem_free(&engine->mem, loading.attributes,
                 loading.layout.n_attributes * sizeof(*loading.attributes));
    if (r)
        return r;
    r = kpi_sessions_restart(engine);
    if (r)
        return r < 0 ? r : KPI_ENGINE_E_CORRUPT;
    loading.save->generation = engine->dedupe.generation;
    engine->version = 1;
    return kpi_engine_turn(engine);
}
