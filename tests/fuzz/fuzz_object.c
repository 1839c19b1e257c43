/*
 * A checkpoint from a stranger: whatever the bytes, loading them ends with success or an outcome,
 * and an engine that was loaded can be asked everything, saved, and go on.
 *
 * An input is a row of objects: u8 length of the name, name, u32 length, bytes. The frame
 * (checksum) and the prefix that repeats the name are made here, since a fuzzer would not find
 * them; with a name that is none, the bytes are given as they are.
 */
#include "answers_world.h"

#include <snapshot/format.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_layout *layout;
    struct kpi_batch *batch;
    struct kpi_row *rows;
};

/* Made once, and freed by nobody: it is the same for every input. */
static struct world *world_get(void)
{
    static struct fixture fixture;
    static struct world world;
    struct kpi_breakdown_definition by[1];

    if (world.plan)
        return &world;
    counting_mem_init(&world.counting);
    answers_fixture(&fixture);
    fixture_dimension(&fixture, "touch", "", 0);
    by[0] = fixture_by(&fixture, "channel,touch");
    fixture.kpis[0].has_by = true;
    fixture.kpis[0].by = by;
    fixture.kpis[0].n_by = 1;
    world.plan = fixture_plan(&fixture);
    if (!world.plan || kpi_plan_n_fields(world.plan) > WORLD_FIELDS_MAX ||
        kpi_layout_new(&world.layout, world.plan, DAY_2026_10_25 * KPI_DAY, &world.counting.mem) ||
        kpi_batch_new(&world.batch, world.plan, &world.counting.mem))
        abort();
    world.rows = calloc(kpi_layout_n_rows(world.layout), sizeof(*world.rows));
    return &world;
}

static int load_one(struct kpi_engine *engine, struct kpi_string text, struct kpi_reader *bytes)
{
    size_t left = kpi_reader_left(bytes), size = KPI_OBJECT_HEADER_BYTES + KPI_SAVE_PREFIX + left;
    struct kpi_object object = {.name = text, .data = bytes->at, .size = left};
    uint8_t *framed = malloc(size);
    struct kpi_name name;
    int r;

    if (kpi_name_parse(text, &name)) {
        uint8_t *payload = framed + KPI_OBJECT_HEADER_BYTES;

        payload[0] = (uint8_t)name.tag;
        memcpy(payload + 1, &name.a, 8);
        memcpy(payload + 9, &name.b, 4);
        memcpy(payload + KPI_SAVE_PREFIX, bytes->at, left);
        kpi_object_seal(framed, kpi_name_kind(&name), KPI_SAVE_VERSION, KPI_SAVE_PREFIX + left);
        object.data = framed;
        object.size = size;
    }
    r = kpi_engine_load(engine, &object);
    free(framed);
    return r;
}

static int load_all(struct kpi_engine *engine, const uint8_t *data, size_t size)
{
    struct kpi_reader reader = kpi_reader_make(data, size);

    while (kpi_reader_left(&reader)) {
        struct kpi_reader name = kpi_reader_take(&reader, kpi_reader_u8(&reader));
        struct kpi_reader bytes = kpi_reader_take(&reader, kpi_reader_u32(&reader));
        int r;

        if (reader.failed)
            break;
        r = load_one(engine, (struct kpi_string){(const char *)name.at, kpi_reader_left(&name)},
                     &bytes);
        if (r)
            return r;
    }
    return kpi_engine_load_end(engine);
}

static int ignore(void *userdata, const struct kpi_object *object)
{
    return 0;
}

/* Nothing may go wrong with what was taken for good. */
static void use(struct world *world, struct kpi_engine *engine)
{
    struct world_stream stream = world_stream_make(1);
    struct kpi_answers *answers;
    uint8_t digest[16];

    if (kpi_engine_digest(engine, digest) || kpi_engine_report(engine, world->layout, world->rows))
        abort();
    world->batch->n_events = 0;
    for (unsigned i = 0; i < 8; i++) {
        struct world_event event;

        answers_next(&stream, world->plan, &event);
        world_put(world->batch, world->plan, &event);
    }
    if (kpi_engine_apply(engine, world->batch) ||
        kpi_engine_report(engine, world->layout, world->rows) ||
        kpi_engine_answers(engine, world->layout, &answers) ||
        kpi_engine_save(engine, false, ignore, NULL) || kpi_engine_save(engine, true, ignore, NULL))
        abort();
    (void)kpi_answers_unref(answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = world_get();
    struct kpi_engine *engine;
    int r;

    if (kpi_engine_new(&engine, world->plan, &world->counting.mem))
        abort();
    r = load_all(engine, data, size);
    if (r == 0)
        use(world, engine);
    else if (r != KPI_ENGINE_E_CORRUPT && r != KPI_ENGINE_E_NEWER)
        abort();
    kpi_engine_free(engine);
    return 0;
}
