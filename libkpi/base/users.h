/*
 * Users: a keyed 64-bit hash to a dense 32-bit id, given in order of first appearance.
 *
 * The table is made of lines of 64 bytes (5 hashes, 5 ids, a count), so that a look-up is one cache
 * miss, which kpi_users_prefetch() hides. It is cut into 64 segments by the top bits of the hash; a
 * segment has any number of lines (multiply-shift, no power of two), and grows by a quarter on its
 * own when it is 4/5 full: neither a pause nor a swing of the memory is ever larger than one
 * segment. A line that is full runs over into the next. Nothing is ever removed.
 *
 * Beside it stand the hashes by id, in chunks that never move: what is saved, and what a digest
 * walks. All in all 24 to 30 bytes a user.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_USERS_SEGMENTS = 64,
    KPI_USERS_PER_LINE = 5,
    KPI_USERS_CHUNK = 8192, /* hashes in a chunk */
};

#define KPI_USER_NONE UINT32_MAX

struct kpi_users_line {
    uint64_t hashes[KPI_USERS_PER_LINE];
    uint32_t ids[KPI_USERS_PER_LINE];
    uint32_t n;
};

struct kpi_users_segment {
    struct kpi_users_line *lines;
    uint32_t n_lines;
    uint32_t n_users;
};

struct kpi_users {
    const struct kpi_mem *mem;
    uint64_t **chunks;
    uint32_t n_chunks_max; /* room in `chunks` */
    uint32_t n;            /* users; ids are 0 … n - 1 */
    struct kpi_users_segment segments[KPI_USERS_SEGMENTS];
};

/* mem is borrowed and must outlive the table. Allocates nothing. */
void kpi_users_init(struct kpi_users *users, const struct kpi_mem *mem);
void kpi_users_deinit(struct kpi_users *users);

/* The id of a hash, or KPI_USER_NONE. */
uint32_t kpi_users_find(const struct kpi_users *users, uint64_t hash);

/* Gives a hash that is not in the table the next id. Returns 0 or -ENOMEM (nothing changed). */
int kpi_users_add(struct kpi_users *users, uint64_t hash, uint32_t *ret_id);

/* Makes room for about n users in all, who are going to be added. Returns 0 or -ENOMEM. */
int kpi_users_reserve(struct kpi_users *users, uint32_t n);

/* The hash of an id < n. */
static inline uint64_t kpi_users_hash(const struct kpi_users *users, uint32_t id)
{
    return users->chunks[id / KPI_USERS_CHUNK][id % KPI_USERS_CHUNK];
}

static inline uint32_t kpi_users_line_index(uint64_t hash, uint32_t n_lines)
{
    return (uint32_t)(((uint64_t)(uint32_t)(hash >> 26) * n_lines) >> 32);
}

/* Asks the memory for the line of a hash that is about to be looked up. */
static inline void kpi_users_prefetch(const struct kpi_users *users, uint64_t hash)
{
    const struct kpi_users_segment *segment = &users->segments[hash >> 58];

    if (segment->n_lines)
        __builtin_prefetch(&segment->lines[kpi_users_line_index(hash, segment->n_lines)]);
}
