/*
 * Attribute rows: save_base.c says in what objects. Of users who are erased nothing may stay in any
 * of these: the chunks and the deltas that have rows of theirs are written anew with the same save.
 */
#include "snapshot/format.h"

#include "engine/erase.h"

static size_t row_bytes(const struct kpi_slots *slots)
{
    return slots->n_slots * sizeof(int64_t);
}

static void add_chunk(struct kpi_saving *saving, uint32_t chunk)
{
    struct kpi_engine *engine = saving->engine;
    struct kpi_slots_chunk *rows = engine->slots.chunks[chunk];
    uint32_t n = engine->users.n - chunk * KPI_SLOTS_CHUNK;

    n = n < KPI_SLOTS_CHUNK ? n : KPI_SLOTS_CHUNK;
    engine->slots.n_dirty -= rows->n_dirty;
    rows->n_dirty = 0;
    memset(rows->dirty, 0, sizeof(rows->dirty));
    kpi_buffer_add(&saving->buffer, rows->rows, n * row_bytes(&engine->slots));
}

static struct kpi_saving_base base_of(const struct kpi_saving *saving)
{
    const struct kpi_engine *engine = saving->engine;

    return (struct kpi_saving_base){
        .save = &saving->save->rows,
        .tag = 'r',
        .delta_tag = 'x',
        .n_chunks = (engine->users.n + KPI_SLOTS_CHUNK - 1) / KPI_SLOTS_CHUNK,
        .chunk_bytes = KPI_SLOTS_CHUNK * row_bytes(&engine->slots),
        .chunk_add = add_chunk,
    };
}

static void add_row(struct kpi_saving *saving, uint32_t user)
{
    const struct kpi_slots *slots = &saving->engine->slots;

    kpi_buffer_u32(&saving->buffer, user);
    kpi_buffer_add(&saving->buffer, kpi_slots_row(slots, user), row_bytes(slots));
}

static int save_delta(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    struct kpi_slots *slots = &saving->engine->slots;

    kpi_saving_delta_begin(saving, base);
    for (uint32_t c = 0; c < slots->n_chunks; c++) {
        struct kpi_slots_chunk *chunk = slots->chunks[c];

        for (uint32_t w = 0; chunk->n_dirty && w < KPI_SLOTS_CHUNK / 64; w++)
            for (uint64_t word = chunk->dirty[w]; word; word &= word - 1) {
                uint32_t user = c * KPI_SLOTS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(word);
                int r = kpi_saving_delta_turn(saving, base);

                if (r < 0)
                    return r;
                add_row(saving, user);
                kpi_buffer_u32(&saving->users, user);
            }
        chunk->n_dirty = 0;
        memset(chunk->dirty, 0, sizeof(chunk->dirty));
    }
    slots->n_dirty = 0;
    return kpi_saving_delta_end(saving, base);
}

/* Chunks with rows of users who are erased, but for those just written: `n` from `first` on. */
static int purge_chunks(struct kpi_saving *saving, const struct kpi_saving_base *base,
                        uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < base->save->n_chunks; i++) {
        uint64_t from = (uint64_t)i * KPI_SLOTS_CHUNK;
        int r;

        if ((i + base->n_chunks - first) % base->n_chunks < n ||
            !kpi_erased_among(&saving->engine->erased, from, from + KPI_SLOTS_CHUNK))
            continue;
        r = kpi_saving_base_chunk(saving, base, i);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A delta anew, without them. What it has of others is their present state, as in later ones. */
static int purge_delta(struct kpi_saving *saving, struct kpi_save_delta *delta)
{
    const roaring_bitmap_t *erased = saving->engine->erased.unsaved;
    struct kpi_save_delta left = {.name = delta->name};
    int r;

    kpi_saving_begin(saving, delta->name.tag, delta->name.a, delta->name.b);
    for (uint32_t i = 0; i < delta->n; i++) {
        if (roaring_bitmap_contains(erased, delta->users[i]))
            continue;
        add_row(saving, delta->users[i]);
        delta->users[left.n++] = delta->users[i];
    }
    if (left.n == delta->n)
        return 0;
    left.users = kpi_mem_resize(saving->save->mem, delta->users, delta->n * sizeof(*left.users),
                                left.n * sizeof(*left.users));
    r = left.n && !left.users ? -ENOMEM
        : left.n              ? kpi_saving_end(saving)
                              : kpi_saving_remove(saving, &left.name);
    *delta = left;
    return r;
}

static int purge_deltas(struct kpi_saving *saving, struct kpi_save_base *save)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < save->n_deltas; i++) {
        /* That of this very save has emptied rows, as it is to have. */
        if (r == 0 && save->deltas[i].name.a != saving->save->n)
            r = purge_delta(saving, &save->deltas[i]);
        if (save->deltas[i].n)
            save->deltas[n++] = save->deltas[i];
    }
    save->n_deltas = n;
    return r;
}

int kpi_saving_rows(struct kpi_saving *saving)
{
    struct kpi_slots *slots = &saving->engine->slots;
    struct kpi_saving_base base = base_of(saving);
    uint64_t delta = slots->n_dirty * (row_bytes(slots) + 4);
    uint32_t cursor = base.save->cursor, n = 0;
    int r;

    if (!slots->n_slots) /* the plan has no attributes (any more) */
        return kpi_saving_base_remove(saving, &base);
    if (saving->all || delta * 4 > saving->engine->users.n * row_bytes(slots))
        return kpi_saving_base_all(saving, &base);
    if (!delta)
        return 0;
    r = save_delta(saving, &base);
    if (r == 0)
        r = kpi_saving_base_rewrite(saving, &base, &n);
    /* Who is erased has an emptied row, which is dirty: there is no erasure without a delta. */
    if (r == 0 && saving->engine->erased.unsaved)
        r = purge_chunks(saving, &base, cursor, n);
    if (r == 0 && saving->engine->erased.unsaved)
        r = purge_deltas(saving, base.save);
    return r;
}
