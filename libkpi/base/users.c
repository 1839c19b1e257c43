/* The table of users: see users.h. */
#include "base/users.h"

_Static_assert(sizeof(struct kpi_users_line) == 64, "a line is a cache line");

void kpi_users_init(struct kpi_users *users, const struct kpi_mem *mem)
{
    *users = (struct kpi_users){.mem = mem};
}

void kpi_users_deinit(struct kpi_users *users)
{
    for (unsigned i = 0; i < KPI_USERS_SEGMENTS; i++)
        kpi_mem_free(users->mem, users->segments[i].lines,
                     users->segments[i].n_lines * sizeof(struct kpi_users_line));
    for (uint32_t i = 0; i < users->n_chunks_max && users->chunks[i]; i++)
        kpi_mem_free(users->mem, users->chunks[i], KPI_USERS_CHUNK * sizeof(uint64_t));
    kpi_mem_free(users->mem, users->chunks, users->n_chunks_max * sizeof(uint64_t *));
    kpi_users_init(users, users->mem);
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

        for (uint32_t k = 0; k < line->n; k++)
            if (line->hashes[k] == hash)
                return line->ids[k];
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

/* Room for the hash of id n. */
static int chunk_reserve(struct kpi_users *users)
{
    uint32_t chunk = users->n / KPI_USERS_CHUNK;

    if (chunk == users->n_chunks_max) {
        uint32_t n_max = users->n_chunks_max ? users->n_chunks_max * 2 : 8;
        uint64_t **chunks =
            kpi_mem_resize(users->mem, users->chunks, users->n_chunks_max * sizeof(uint64_t *),
                           n_max * sizeof(uint64_t *));

        if (!chunks)
            return -ENOMEM;
        memset(chunks + users->n_chunks_max, 0, (n_max - users->n_chunks_max) * sizeof(uint64_t *));
        users->chunks = chunks;
        users->n_chunks_max = n_max;
    }
    if (!users->chunks[chunk]) {
        users->chunks[chunk] = kpi_mem_alloc(users->mem, KPI_USERS_CHUNK * sizeof(uint64_t));
        if (!users->chunks[chunk])
            return -ENOMEM;
    }
    return 0;
}

int kpi_users_add(struct kpi_users *users, uint64_t hash, uint32_t *ret_id)
{
    struct kpi_users_segment *segment = &users->segments[hash >> 58];
    int r;

    r = chunk_reserve(users);
    if (r < 0)
        return r;
    if ((uint64_t)(segment->n_users + 1) * 5 >
        (uint64_t)segment->n_lines * KPI_USERS_PER_LINE * 4) {
        r = segment_grow(segment, users->mem, segment->n_lines + segment->n_lines / 4 + 1);
        if (r < 0)
            return r;
    }
    segment_put(segment, hash, users->n);
    users->chunks[users->n / KPI_USERS_CHUNK][users->n % KPI_USERS_CHUNK] = hash;
    *ret_id = users->n++;
    return 0;
}
