/*
 * What each user has, as attribute rows are (save_rows.c) and funnels (save_funnels.c). Users are
 * spread at random over the chunks, so that a save after a short while would find every chunk
 * dirty: instead what is dirty goes into a delta, and the chunks of the base are rewritten in turn,
 * four bytes for each byte of deltas. When the turn is over, the deltas from before it are needed
 * no more; all living ones together are below half of the base. If a save would bring a delta of
 * more than a quarter of the base, the base is written whole instead.
 */
#include "snapshot/format.h"

enum {
    REWRITE = 4
};

int kpi_saving_base_chunk(struct kpi_saving *saving, const struct kpi_saving_base *base,
                          uint32_t chunk)
{
    if (base->save->n_chunks <= chunk)
        base->save->n_chunks = chunk + 1;
    kpi_saving_begin(saving, base->tag, chunk, 0);
    base->chunk_add(saving, chunk);
    return kpi_saving_end(saving);
}

/* Removes the deltas of saves before `before`. */
static int drop_deltas(struct kpi_saving *saving, struct kpi_save_base *save, uint64_t before)
{
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
        kpi_save_delta_free(saving->save, &save->deltas[i]);
    }
    save->n_deltas = n;
    return 0;
}

int kpi_saving_base_all(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    for (uint32_t i = 0; i < base->n_chunks; i++) {
        int r = kpi_saving_base_chunk(saving, base, i);

        if (r < 0)
            return r;
    }
    base->save->cursor = 0;
    base->save->cycle = saving->save->n;
    base->save->credit = 0;
    return drop_deltas(saving, base->save, UINT64_MAX);
}

int kpi_saving_base_rewrite(struct kpi_saving *saving, const struct kpi_saving_base *base,
                            uint32_t *ret_n)
{
    struct kpi_save_base *save = base->save;

    *ret_n = 0;
    /* At most once each: an object is written once in a save. */
    for (uint32_t n = base->n_chunks; n && save->credit >= base->chunk_bytes; n--) {
        int r = kpi_saving_base_chunk(saving, base, save->cursor);

        if (r < 0)
            return r;
        ++*ret_n;
        save->credit -= base->chunk_bytes;
        if (++save->cursor < base->n_chunks)
            continue;
        r = drop_deltas(saving, save, save->cycle);
        if (r < 0)
            return r;
        save->cursor = 0;
        /* The next turn begins after this save's delta: it may go only with the turn after that. */
        save->cycle = saving->save->n + 1;
    }
    return 0;
}

int kpi_saving_base_remove(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    for (uint32_t i = 0; i < base->save->n_chunks; i++) {
        struct kpi_name name = {base->tag, i, 0};
        int r = kpi_saving_remove(saving, &name);

        if (r < 0)
            return r;
    }
    base->save->n_chunks = 0;
    return drop_deltas(saving, base->save, UINT64_MAX);
}

/* --- this save's delta --- */

void kpi_saving_delta_begin(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    kpi_saving_begin(saving, base->delta_tag, saving->save->n, 0);
}

int kpi_saving_delta_end(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    int r = saving->users.failed
                ? -ENOMEM
                : kpi_save_add_delta(saving->save, base->save, &saving->name,
                                     (const uint32_t *)(void *)saving->users.data,
                                     (uint32_t)(saving->users.size / sizeof(uint32_t)));

    if (r == 0)
        r = kpi_saving_end(saving);
    saving->users.size = 0;
    base->save->credit += REWRITE * saving->buffer.size;
    return r;
}

int kpi_saving_delta_turn(struct kpi_saving *saving, const struct kpi_saving_base *base)
{
    uint32_t part = saving->name.b;
    int r;

    if (saving->buffer.size <= KPI_SAVE_DELTA_MAX)
        return 0;
    r = kpi_saving_delta_end(saving, base);
    if (r == 0)
        kpi_saving_begin(saving, base->delta_tag, saving->save->n, part + 1);
    return r;
}
