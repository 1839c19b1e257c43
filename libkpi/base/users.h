/*
 * Users: a keyed 64-bit hash to a dense 32-bit id, given in order of first appearance.
 *
 * The table is made of lines of 64 bytes (5 hashes, 5 ids, a count), so that a look-up is one cache
 * miss, which kpi_users_prefetch() hides. It is cut into 64 segments by the top bits of the hash; a
 * segment has any number of lines (multiply-shift, no power of two), and grows by half on its
 * own when it is 4/5 full: neither a pause nor a swing of the memory is ever larger than one
 * segment. A line that is full runs over into the next.
 *
 * Beside it stand the hashes by id, in chunks that never move: what is saved, and what a digest
 * walks. All in all 24 to 32 bytes a user.
 *
 * A user can be removed: then nothing of the hash is left, neither in the table nor by id, where
 * KPI_USERS_NOBODY stands from then on. The id is given to nobody else, so that a bit that somebody
 * forgot to clear can never count for another user. A hash can also be barred: it stays in the
 * table, without an id, so that the one look-up that every event makes tells that, too.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_USERS_SEGMENTS = 64,
    KPI_USERS_PER_LINE = 5,
    KPI_USERS_CHUNK = 8192, /* hashes in a chunk */
};

#define KPI_USER_NONE   UINT32_MAX
#define KPI_USER_BARRED (UINT32_MAX - 1)

/* What kpi_users_hash() says of an id whose user was removed. No user has this hash. */
#define KPI_USERS_NOBODY UINT64_C(0)

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
    uint32_t n;            /* ids given: they are 0 … n - 1 */
    uint32_t n_removed;    /* of them without user by now */
    uint64_t **barred;     /* hashes, in chunks of KPI_USERS_CHUNK, in the order of barring */
    uint32_t n_barred_max; /* room in `barred` */
    uint32_t n_barred;
    struct kpi_users_segment segments[KPI_USERS_SEGMENTS];
};

/* mem is borrowed and must outlive the table. Allocates nothing. */
void kpi_users_init(struct kpi_users *users, const struct kpi_mem *mem);
void kpi_users_deinit(struct kpi_users *users);

/* The id of a hash, which is not 0; KPI_USER_NONE or KPI_USER_BARRED. */
uint32_t kpi_users_find(const struct kpi_users *users, uint64_t hash);

/* Gives a hash that is not in the table the next id. Returns 0 or -ENOMEM (nothing changed). */
int kpi_users_add(struct kpi_users *users, uint64_t hash, uint32_t *ret_id);
/* Gives the next id to nobody: for loading. Returns 0 or -ENOMEM (nothing changed). */
int kpi_users_add_nobody(struct kpi_users *users);

/* Removes a hash that has an id. Allocates nothing. */
void kpi_users_remove(struct kpi_users *users, uint64_t hash);
/* Bars a hash that is not in the table. Returns 0 or -ENOMEM (nothing changed). */
int kpi_users_bar(struct kpi_users *users, uint64_t hash);

/* Users with an id, and barred ones: what a limit is held against. */
static inline uint32_t kpi_users_n_known(const struct kpi_users *users)
{
    return users->n - users->n_removed + users->n_barred;
}

/* Makes room for about n users in all, who are going to be added. Returns 0 or -ENOMEM. */
int kpi_users_reserve(struct kpi_users *users, uint32_t n);

/* The hash of an id < n, or KPI_USERS_NOBODY. */
static inline uint64_t kpi_users_hash(const struct kpi_users *users, uint32_t id)
{
    return users->chunks[id / KPI_USERS_CHUNK][id % KPI_USERS_CHUNK];
}

/* The i-th of the barred hashes. */
static inline uint64_t kpi_users_barred(const struct kpi_users *users, uint32_t i)
{
    return users->barred[i / KPI_USERS_CHUNK][i % KPI_USERS_CHUNK];
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
