/*
 * A store of objects for tests: takes what kpi_engine_save() puts, as Redis would, and gives it
 * back. It checks names, that nothing is put twice in one save, and that nothing is removed that is
 * not there.
 */
#pragma once

#include <assert.h>
#include <kpi/engine.h>
#include <stdlib.h>

enum {
    OBJECT_STORE_MAX = 16384
};

struct object_store {
    struct stored {
        char name[33];
        void *data;
        size_t size;
        uint64_t save; /* in which it was put */
    } objects[OBJECT_STORE_MAX];
    size_t n;
    uint64_t save;
    size_t bytes_put; /* since the last begin */
    size_t n_put, n_removed;
};

static inline void object_store_begin(struct object_store *store)
{
    store->save++;
    store->bytes_put = store->n_put = store->n_removed = 0;
}

static inline struct stored *object_store_find(struct object_store *store, struct kpi_string name)
{
    for (size_t i = 0; i < store->n; i++)
        if (strlen(store->objects[i].name) == name.length &&
            memcmp(store->objects[i].name, name.data, name.length) == 0)
            return &store->objects[i];
    return NULL;
}

static inline int object_store_put(void *userdata, const struct kpi_object *object)
{
    struct object_store *store = userdata;
    struct stored *stored = object_store_find(store, object->name);

    assert(object->name.length >= 1 && object->name.length <= 32);
    for (size_t i = 0; i < object->name.length; i++)
        assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789.", object->name.data[i]));
    if (!object->data) {
        assert(stored && stored->save != store->save);
        free(stored->data);
        *stored = store->objects[--store->n];
        store->n_removed++;
        return 0;
    }
    if (!stored) {
        assert(store->n < OBJECT_STORE_MAX);
        stored = &store->objects[store->n++];
        *stored = (struct stored){0};
        memcpy(stored->name, object->name.data, object->name.length);
    }
    assert(stored->save != store->save);
    free(stored->data);
    stored->data = malloc(object->size);
    assert(stored->data);
    memcpy(stored->data, object->data, object->size);
    stored->size = object->size;
    stored->save = store->save;
    store->bytes_put += object->size;
    store->n_put++;
    return 0;
}

static inline struct kpi_object object_store_get(const struct object_store *store, size_t i)
{
    const struct stored *stored = &store->objects[i];

    return (struct kpi_object){{stored->name, strlen(stored->name)}, stored->data, stored->size};
}

/* Loads everything, in an order that the seed decides. 0, or what the engine returned. */
static inline int object_store_load(const struct object_store *store, struct kpi_engine *engine,
                                    uint64_t seed)
{
    for (size_t i = 0; i < store->n; i++) {
        struct kpi_object object = object_store_get(store, (i * 7919 + seed) % store->n);
        int r = kpi_engine_load(engine, &object);

        if (r)
            return r;
    }
    return kpi_engine_load_end(engine);
}

static inline size_t object_store_bytes(const struct object_store *store)
{
    size_t bytes = 0;

    for (size_t i = 0; i < store->n; i++)
        bytes += store->objects[i].size;
    return bytes;
}

static inline void object_store_clear(struct object_store *store)
{
    while (store->n)
        free(store->objects[--store->n].data);
}
