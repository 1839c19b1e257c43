/* The table of users: see users.h. */
#include "base/users.h"

#include <assert.h>

_Static_assert(sizeof(struct kpi_users_line) == 64, "a line is a cache line");

void kpi_users_init(struct kpi_users *users, const struct kpi_mem *mem)
{
    *users = (struct kpi_users){.mem = mem};
}

static void chunks_free(const struct kpi_mem *mem, uint64_t **chunks, uint32_t n_max)
{
    for (uint32_t i = 0; i < n_max && chunks[i]; i++)
        kpi_mem_free(mem, chunks[i], KPI_USERS_CHUNK * sizeof(uint64_t));
    kpi_mem_free(mem, chunks, n_max * sizeof(uint64_t *));
}

void kpi_users_deinit(struct kpi_users *users)
{
    for (unsigned i = 0; i < KPI_USERS_SEGMENTS; i++)
        kpi_mem_free(users->mem, users->segments[i].lines,
                     users->segments[i].n_lines * sizeof(struct kpi_users_line));
    chunks_free(users->mem, users->chunks, users->n_chunks_max);
    chunks_free(users->mem, users->barred, users->n_barred_max);
    kpi_users_init(users, users->mem);
}

/*
 * The places of a line with that hash, as bits; those that are free have hash 0, which no user has.
 * It is as good as random which place it is, so all are compared, without a branch.
 */
static unsigned places_of(const struct kpi_users_line *line, uint64_t hash)
{
    unsigned places = 0;

    for (unsigned k = 0; k < KPI_USERS_PER_LINE; k++)
        places |= (unsigned)(line->hashes[k] == hash) << k;
    return places;
}

uint32_t kpi_users_find(const struct kpi_users *users, uint64_t hash)
{
    const struct kpi_users_segment *segment = &users->segments[hash >> 58];
    uint32_t i;

    if (!segment->n_lines)
        return KPI_USER_NONE;
    i = kpi_users_line_index(hash, segment->n_lines);
    for (;;) {
        const struct kpi_users_line *line = &segment->lines[i];
        unsigned places = places_of(line, hash);

        if (places)
            return line->ids[__builtin_ctz(places)];
        /* The load stays below one, so that a line with room ends every search. */
        if (line->n < KPI_USERS_PER_LINE)
            return KPI_USER_NONE;
        if (++i == segment->n_lines)
            i = 0;
    }
}

static void segment_put(struct kpi_users_segment *segment, uint64_t hash, uint32_t id)
{
    uint32_t i = kpi_users_line_index(hash, segment->n_lines);
    struct kpi_users_line *line;

    while (segment->lines[i].n == KPI_USERS_PER_LINE)
        if (++i == segment->n_lines)
            i = 0;
    line = &segment->lines[i];
    line->hashes[line->n] = hash;
    line->ids[line->n++] = id;
    segment->n_users++;
}

static int segment_grow(struct kpi_users_segment *segment, const struct kpi_mem *mem,
                        uint32_t n_lines)
{
    struct kpi_users_segment grown = {.n_lines = n_lines};

    grown.lines = kpi_mem_zalloc(mem, grown.n_lines * sizeof(*grown.lines));
    if (!grown.lines)
        return -ENOMEM;
    for (uint32_t i = 0; i < segment->n_lines; i++)
        for (uint32_t k = 0; k < segment->lines[i].n; k++)
            segment_put(&grown, segment->lines[i].hashes[k], segment->lines[i].ids[k]);
    kpi_mem_free(mem, segment->lines, segment->n_lines * sizeof(*segment->lines));
    *segment = grown;
    return 0;
}

int kpi_users_reserve(struct kpi_users *users, uint32_t n)
{
    /* At a load of 0.7, so that segments somewhat fuller than others need not grow. */
    uint32_t n_lines =
        (uint32_t)((uint64_t)n * 10 / (KPI_USERS_SEGMENTS * KPI_USERS_PER_LINE * 7)) + 1;

    for (unsigned i = 0; i < KPI_USERS_SEGMENTS; i++)
        if (users->segments[i].n_lines < n_lines) {
            int r = segment_grow(&users->segments[i], users->mem, n_lines);

            if (r < 0)
                return r;
        }
    return 0;
}

/* Room for entry n of a list of hashes in chunks. */
static int chunk_reserve(const struct kpi_mem *mem, uint64_t ***list, uint32_t *n_list_max,
                         uint32_t n)
{
    uint32_t chunk = n / KPI_USERS_CHUNK;

    if (chunk == *n_list_max) {
        uint32_t n_max = *n_list_max ? *n_list_max * 2 : 8;
        uint64_t **chunks = kpi_mem_resize(mem, *list, *n_list_max * sizeof(uint64_t *),
                                           n_max * sizeof(uint64_t *));

        if (!chunks)
            return -ENOMEM;
        memset(chunks + *n_list_max, 0, (n_max - *n_list_max) * sizeof(uint64_t *));
        *list = chunks;
        *n_list_max = n_max;
    }
    if (!(*list)[chunk]) {
        (*list)[chunk] = kpi_mem_alloc(mem, KPI_USERS_CHUNK * sizeof(uint64_t));
        if (!(*list)[chunk])
            return -ENOMEM;
    }
    return 0;
}

/* Room for one hash more. */
static int segment_reserve(struct kpi_users *users, struct kpi_users_segment *segment)
{
    if ((uint64_t)(segment->n_users + 1) * 5 <= (uint64_t)segment->n_lines * KPI_USERS_PER_LINE * 4)
        return 0;
    return segment_grow(segment, users->mem, segment->n_lines + segment->n_lines / 2 + 1);
}

static int id_reserve(struct kpi_users *users)
{
    return chunk_reserve(users->mem, &users->chunks, &users->n_chunks_max, users->n);
}

static void id_give(struct kpi_users *users, uint64_t hash)
{
    users->chunks[users->n / KPI_USERS_CHUNK][users->n % KPI_USERS_CHUNK] = hash;
    users->n++;
}

int kpi_users_add(struct kpi_users *users, uint64_t hash, uint32_t *ret_id)
{
    struct kpi_users_segment *segment = &users->segments[hash >> 58];
    int r;

    assert(hash != KPI_USERS_NOBODY);
    r = id_reserve(users);
    if (r == 0)
        r = segment_reserve(users, segment);
    if (r < 0)
        return r;
    segment_put(segment, hash, users->n);
    *ret_id = users->n;
    id_give(users, hash);
    return 0;
}

int kpi_users_add_nobody(struct kpi_users *users)
{
    int r = id_reserve(users);

    if (r < 0)
        return r;
    id_give(users, KPI_USERS_NOBODY);
    users->n_removed++;
    return 0;
}

int kpi_users_bar(struct kpi_users *users, uint64_t hash)
{
    struct kpi_users_segment *segment = &users->segments[hash >> 58];
    int r;

    assert(hash != KPI_USERS_NOBODY);
    r = chunk_reserve(users->mem, &users->barred, &users->n_barred_max, users->n_barred);
    if (r == 0)
        r = segment_reserve(users, segment);
    if (r < 0)
        return r;
    segment_put(segment, hash, KPI_USER_BARRED);
    users->barred[users->n_barred / KPI_USERS_CHUNK][users->n_barred % KPI_USERS_CHUNK] = hash;
    users->n_barred++;
    return 0;
}

/* Takes entry k out of a line and leaves nothing of it. */
static void line_take(struct kpi_users_line *line, uint32_t k)
{
    uint32_t last = --line->n;

    line->hashes[k] = line->hashes[last];
    line->ids[k] = line->ids[last];
    line->hashes[last] = 0;
    line->ids[last] = 0;
}

/*
 * A line was full and has room now, where a search would end: what ran over it is fetched back.
 * Each entry that is moved may leave such a line itself.
 */
static void segment_close(struct kpi_users_segment *segment, uint32_t hole)
{
    uint32_t n = segment->n_lines, i = hole;
    bool was_full;

    do {
        struct kpi_users_line *line, *to = &segment->lines[hole];

        i = i + 1 == n ? 0 : i + 1;
        line = &segment->lines[i];
        was_full = line->n == KPI_USERS_PER_LINE;
        for (uint32_t k = 0; k < line->n; k++) {
            uint32_t home = kpi_users_line_index(line->hashes[k], n);

            /* Was the hole on the way from the entry's own line to this one? */
            if ((i + n - home) % n < (i + n - hole) % n)
                continue;
            to->hashes[to->n] = line->hashes[k];
            to->ids[to->n++] = line->ids[k];
            line_take(line, k);
            hole = i;
            break;
        }
    } while (was_full);
}

void kpi_users_remove(struct kpi_users *users, uint64_t hash)
{
    struct kpi_users_segment *segment = &users->segments[hash >> 58];
    uint32_t i = kpi_users_line_index(hash, segment->n_lines), k, id;

    for (;; i = i + 1 == segment->n_lines ? 0 : i + 1) {
        struct kpi_users_line *line = &segment->lines[i];

        for (k = 0; k < line->n && line->hashes[k] != hash; k++)
            ;
        if (k < line->n)
            break;
        assert(line->n == KPI_USERS_PER_LINE);
    }
    id = segment->lines[i].ids[k];
    assert(id < users->n);
    line_take(&segment->lines[i], k);
    segment->n_users--;
    /* The load stays below one: somewhere there is a line that was not full. */
    if (segment->lines[i].n == KPI_USERS_PER_LINE - 1)
        segment_close(segment, i);
    users->chunks[id / KPI_USERS_CHUNK][id % KPI_USERS_CHUNK] = KPI_USERS_NOBODY;
    users->n_removed++;
}
