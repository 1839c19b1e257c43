/*
 * Attribute rows. Users are spread at random over the chunks, so that a save after a short while
 * would find every chunk dirty: instead the dirty rows go into a delta, and the chunks of the base
 * are rewritten in turn, four bytes for each byte of deltas. When the turn is over, the deltas from
 * before it are needed no more; all living ones together are below half of the base. If a save
 * would bring a delta of more than a quarter of the base, the base is written whole instead.
 *
 * Of users who are erased nothing may stay in any of these: the chunks and the deltas that have
 * rows of theirs are written anew with the same save.
 */
#include "snapshot/format.h"

#include "engine/erase.h"

enum {
    REWRITE = 4
};

static size_t row_bytes(const struct kpi_slots *slots)
{
    return slots->n_slots * sizeof(int64_t);
}

static uint32_t count_chunks(const struct kpi_engine *engine)
{
    return (engine->users.n + KPI_SLOTS_CHUNK - 1) / KPI_SLOTS_CHUNK;
}

static int save_base(struct kpi_saving *saving, uint32_t chunk)
{
    struct kpi_engine *engine = saving->engine;
    struct kpi_slots_chunk *rows = engine->slots.chunks[chunk];
    uint32_t n = engine->users.n - chunk * KPI_SLOTS_CHUNK;

    n = n < KPI_SLOTS_CHUNK ? n : KPI_SLOTS_CHUNK;
    engine->slots.n_dirty -= rows->n_dirty;
    rows->n_dirty = 0;
    memset(rows->dirty, 0, sizeof(rows->dirty));
    if (saving->save->n_bases <= chunk)
        saving->save->n_bases = chunk + 1;
    kpi_saving_begin(saving, 'r', chunk, 0);
    kpi_buffer_add(&saving->buffer, rows->rows, n * row_bytes(&engine->slots));
    return kpi_saving_end(saving);
}

/* Removes the deltas of saves before `before`. */
static int drop_deltas(struct kpi_saving *saving, uint64_t before)
{
    struct kpi_save *save = saving->save;
    size_t n = 0;

    for (size_t i = 0; i < save->n_deltas; i++) {
        int r;

        if (save->deltas[i].name.a >= before) {
            save->deltas[n++] = save->deltas[i];
            continue;
        }
        r = kpi_saving_remove(saving, &save->deltas[i].name);
        if (r < 0)
            return r;
        kpi_save_delta_free(save, &save->deltas[i]);
    }
    save->n_deltas = n;
    return 0;
}

static int save_all(struct kpi_saving *saving)
{
    uint32_t n = count_chunks(saving->engine);

    for (uint32_t i = 0; i < n; i++) {
        int r = save_base(saving, i);

        if (r < 0)
            return r;
    }
    saving->save->cursor = 0;
    saving->save->cycle = saving->save->n;
    saving->save->credit = 0;
    return drop_deltas(saving, UINT64_MAX);
}

/* A delta that is full is handed out, and another begun. */
static int delta_turn(struct kpi_saving *saving, uint32_t *part)
{
    struct kpi_name name = {'x', saving->save->n, *part};
    int r;

    r = saving->users.failed
            ? -ENOMEM
            : kpi_save_add_delta(saving->save, &name, (const uint32_t *)(void *)saving->users.data,
                                 (uint32_t)(saving->users.size / sizeof(uint32_t)));
    if (r == 0)
        r = kpi_saving_end(saving);
    saving->users.size = 0;
    saving->save->credit += REWRITE * saving->buffer.size;
    ++*part;
    return r;
}

static void add_row(struct kpi_saving *saving, uint32_t user)
{
    const struct kpi_slots *slots = &saving->engine->slots;

    kpi_buffer_u32(&saving->buffer, user);
    kpi_buffer_add(&saving->buffer, kpi_slots_row(slots, user), row_bytes(slots));
}

static int save_delta(struct kpi_saving *saving)
{
    struct kpi_slots *slots = &saving->engine->slots;
    uint32_t part = 0;
    int r;

    kpi_saving_begin(saving, 'x', saving->save->n, part);
    for (uint32_t c = 0; c < slots->n_chunks; c++) {
        struct kpi_slots_chunk *chunk = slots->chunks[c];

        for (uint32_t w = 0; chunk->n_dirty && w < KPI_SLOTS_CHUNK / 64; w++)
            for (uint64_t word = chunk->dirty[w]; word; word &= word - 1) {
                uint32_t user = c * KPI_SLOTS_CHUNK + w * 64 + (uint32_t)__builtin_ctzll(word);

                if (saving->buffer.size > KPI_SAVE_DELTA_MAX) {
                    r = delta_turn(saving, &part);
                    if (r < 0)
                        return r;
                    kpi_saving_begin(saving, 'x', saving->save->n, part);
                }
                add_row(saving, user);
                kpi_buffer_u32(&saving->users, user);
            }
        chunk->n_dirty = 0;
        memset(chunk->dirty, 0, sizeof(chunk->dirty));
    }
    slots->n_dirty = 0;
    return delta_turn(saving, &part);
}

/* *ret_n: how many chunks were written, from where the cursor was. */
static int rewrite(struct kpi_saving *saving, uint32_t *ret_n)
{
    struct kpi_save *save = saving->save;
    size_t chunk_bytes = KPI_SLOTS_CHUNK * row_bytes(&saving->engine->slots);

    *ret_n = 0;

    /* At most once each: an object is written once in a save. */
    for (uint32_t n = count_chunks(saving->engine); n && save->credit >= chunk_bytes; n--) {
        int r = save_base(saving, save->cursor);

        if (r < 0)
            return r;
        ++*ret_n;
        save->credit -= chunk_bytes;
        if (++save->cursor < count_chunks(saving->engine))
            continue;
        r = drop_deltas(saving, save->cycle);
        if (r < 0)
            return r;
        save->cursor = 0;
        /* The next turn begins after this save's delta: it may go only with the turn after that. */
        save->cycle = save->n + 1;
    }
    return 0;
}

/* Chunks with rows of users who are erased, but for those just written: `n` from `first` on. */
static int purge_bases(struct kpi_saving *saving, uint32_t first, uint32_t n)
{
    uint32_t n_chunks = count_chunks(saving->engine);

    for (uint32_t i = 0; i < saving->save->n_bases; i++) {
        uint64_t from = (uint64_t)i * KPI_SLOTS_CHUNK;
        int r;

        if ((i + n_chunks - first) % n_chunks < n ||
            !kpi_erased_among(&saving->engine->erased, from, from + KPI_SLOTS_CHUNK))
            continue;
        r = save_base(saving, i);
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

static int purge_deltas(struct kpi_saving *saving)
{
    struct kpi_save *save = saving->save;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < save->n_deltas; i++) {
        /* That of this very save has emptied rows, as it is to have. */
        if (r == 0 && save->deltas[i].name.a != save->n)
            r = purge_delta(saving, &save->deltas[i]);
        if (save->deltas[i].n)
            save->deltas[n++] = save->deltas[i];
    }
    save->n_deltas = n;
    return r;
}

/* The plan has no attributes (any more). */
static int remove_rows(struct kpi_saving *saving)
{
    struct kpi_save *save = saving->save;

    for (uint32_t i = 0; i < save->n_bases; i++) {
        struct kpi_name name = {'r', i, 0};
        int r = kpi_saving_remove(saving, &name);

        if (r < 0)
            return r;
    }
    save->n_bases = 0;
    return drop_deltas(saving, UINT64_MAX);
}

int kpi_saving_rows(struct kpi_saving *saving)
{
    struct kpi_slots *slots = &saving->engine->slots;
    uint64_t delta = slots->n_dirty * (row_bytes(slots) + 4);
    uint32_t cursor = saving->save->cursor, n = 0;
    int r;

    if (!slots->n_slots)
        return remove_rows(saving);
    if (saving->all || delta * 4 > saving->engine->users.n * row_bytes(slots))
        return save_all(saving);
    if (!delta)
        return 0;
    r = save_delta(saving);
    if (r == 0)
        r = rewrite(saving, &n);
    /* Who is erased has an emptied row, which is dirty: there is no erasure without a delta. */
    if (r == 0 && saving->engine->erased.unsaved)
        r = purge_bases(saving, cursor, n);
    if (r == 0 && saving->engine->erased.unsaved)
        r = purge_deltas(saving);
    return r;
}
