/* Small checkpoints for the tests of the store; see checkpoint.h. */
#include "checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>

struct store *checkpoint_store(const char *url, const char *group, const char *owner)
{
    struct store *store = NULL;

    assert_int_equal(store_new(&store,
                               &(struct store_options){
                                   .url = url,
                                   .group = group,
                                   .owner = owner,
                                   .connect_timeout_us = 10000000,
                                   .command_timeout_us = 10000000,
                               }),
                     0);
    return store;
}

struct store_position checkpoint_position(int64_t next)
{
    return (struct store_position){
        .topic = "app",
        .next = next,
        .last = next == STORE_OFFSET_NONE ? next : next - 1,
        .last_timestamp = 1700000000000,
        .last_hash = 0xfeedfacecafebeef,
        .counts_from = 0,
    };
}

struct kpi_object checkpoint_object(const char *name, const char *data)
{
    return (struct kpi_object){
        .name = {name, strlen(name)},
        .data = data,
        .size = data ? strlen(data) : 0,
    };
}

int checkpoint_commit(struct store *store, struct store_manifest *manifest, int64_t next,
                      const struct kpi_object *objects, uint32_t n_objects)
{
    struct store_position position = checkpoint_position(next);

    return store_commit(store, manifest,
                        &(struct store_commit){
                            .shard = manifest->shard,
                            .epoch = manifest->epoch,
                            .generation = manifest->generation + 1,
                            .plan = 0x123,
                            .positions = &position,
                            .n_positions = 1,
                            .objects = objects,
                            .n_objects = n_objects,
                        });
}

struct text {
    char bytes[4096];
    size_t size;
};

static int append(void *userdata, const struct kpi_object *object)
{
    struct text *text = userdata;

    text->size += (size_t)snprintf(text->bytes + text->size, sizeof(text->bytes) - text->size,
                                   "%.*s=%.*s;", (int)object->name.length, object->name.data,
                                   (int)object->size, (const char *)object->data);
    assert_true(text->size < sizeof(text->bytes));
    return 0;
}

const char *checkpoint_text(struct store *store, const struct store_manifest *manifest)
{
    static struct text text;

    text = (struct text){.size = 0};
    if (store_load(store, manifest, append, &text) != 0)
        fail_msg("%s", store_error(store));
    return text.bytes;
}
