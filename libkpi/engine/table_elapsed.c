/*
 * Retention on basis elapsed: units are hours, and who began in hour h is in period n in the hours
 * from h + 24 n on.
 *
 * No algebra tells that at once: each hour of a day has cohorts and periods of its own. But nobody
 * is in two cohorts, so one walk over all hours, in order, does: of each user it keeps the hour of
 * the start and up to which period there is nothing more to count. That is asked for at every step,
 * so the walk is made for so many users at a time as the cache has room for.
 */
#include "engine/tables.h"
#include "engine/unions.h"

enum {
    CHUNK = 1 << 16, /* users; ids of one container of a bitmap */
    READ = 1024,     /* ids at a time */
    HOURS = 24,
};

struct user {
    uint32_t start; /* unit, and one more; 0: in no cohort */
    uint32_t seen; /* period, and one more, of the last return; EVERY: the last of those in a row */
};

struct walk {
    struct kpi_table_pass *pass;
    const struct kpi_table_info *info;
    uint32_t **cells; /* by unit: of the row of its day; NULL: nobody is in its cohort */
    uint32_t *ids;
    struct user *users; /* of the chunk, in order */
    uint32_t first;     /* id of the chunk */
};

typedef void (*ids_fn)(struct walk *walk, const uint32_t *ids, uint32_t n, uint32_t unit);

/* Hands out the ids of a bitmap that are in the chunk. */
static void chunk_read(struct walk *walk, const roaring_bitmap_t *bitmap, uint32_t unit, ids_fn fn)
{
    uint64_t end = (uint64_t)walk->first + CHUNK;
    uint64_t n = roaring_bitmap_range_cardinality(bitmap, walk->first, end);
    roaring_uint32_iterator_t at;

    if (n == 0)
        return;
    roaring_init_iterator(bitmap, &at);
    (void)roaring_move_uint32_iterator_equalorlarger(&at, walk->first); /* there is one */
    while (n > 0) {
        uint32_t n_read =
            roaring_read_uint32_iterator(&at, walk->ids, n < READ ? (uint32_t)n : READ);

        fn(walk, walk->ids, n_read, unit);
        n -= n_read;
    }
}

static void starts_take(struct walk *walk, const uint32_t *ids, uint32_t n, uint32_t unit)
{
    for (uint32_t i = 0; i < n; i++)
        walk->users[ids[i] - walk->first].start = unit + 1;
}

/* A return in a period; those of a user come in order. */
static void return_take(const struct kpi_table_info *info, struct user *user, uint32_t period,
                        uint32_t *cells)
{
    switch (info->mode) {
    case KPI_TABLE_CLASSIC:
        if (period >= user->seen && period <= info->periods)
            cells[period]++;
        break;
    case KPI_TABLE_EVERY: /* who has begun has been there in period 0 */
        if (period != (user->seen ? user->seen : 1))
            return;
        if (period <= info->periods)
            cells[period]++;
        break;
    case KPI_TABLE_BRACKET:
        for (uint32_t i = 0; i < info->n_brackets; i++)
            if (period >= info->brackets[i].from && period < info->brackets[i].to &&
                user->seen <= info->brackets[i].from)
                cells[i]++;
        break;
    case KPI_TABLE_UNBOUNDED:
        break; /* the last one tells */
    }
    user->seen = period + 1;
}

static void returns_take(struct walk *walk, const uint32_t *ids, uint32_t n, uint32_t unit)
{
    for (uint32_t i = 0; i < n; i++) {
        struct user *user = &walk->users[ids[i] - walk->first];

        if (user->start && user->start <= unit + 1)
            return_take(walk->info, user, (unit + 1 - user->start) / HOURS,
                        walk->cells[user->start - 1] + KPI_TABLE_CELL_FIRST);
    }
}

/* UNBOUNDED: by the period in which they were seen last; rows_end() adds up who came on or after.
 */
static void lasts_take(struct walk *walk)
{
    for (uint32_t i = 0; i < CHUNK; i++) {
        const struct user *user = &walk->users[i];
        uint32_t last = user->seen - 1;

        if (user->start && user->seen)
            walk->cells[user->start - 1]
                       [KPI_TABLE_CELL_FIRST +
                        (last < walk->info->periods ? last : walk->info->periods)]++;
    }
}

/* The hours in order. A day has the same row for all of them. */
static int rows_make(struct walk *walk)
{
    struct kpi_table_pass *pass = walk->pass;
    uint32_t n_cells = KPI_TABLE_CELL_FIRST + kpi_table_n_cells(walk->info), day = 0;

    for (uint32_t i = 0; i < pass->n_units; i++) {
        const roaring_bitmap_t *cohort = pass->units[i].cohort.bitmap;
        uint64_t size = cohort ? roaring_bitmap_get_cardinality(cohort) : 0;

        if (pass->units[i].period.day != pass->units[day].period.day)
            day = i;
        if (size == 0)
            continue;
        if (!pass->rows[day].cells && kpi_table_row_make(pass, day, n_cells) < 0)
            return -ENOMEM;
        walk->cells[i] = pass->rows[day].cells;
        walk->cells[i][KPI_TABLE_CELL_SIZE] += (uint32_t)size;
    }
    return 0;
}

static int chunk_walk(struct walk *walk, const struct kpi_series *back)
{
    struct kpi_table_pass *pass = walk->pass;
    uint32_t unit = 0;

    memset(walk->users, 0, CHUNK * sizeof(*walk->users));
    for (uint32_t i = 0; i < pass->n_units; i++)
        if (walk->cells[i])
            chunk_read(walk, pass->units[i].cohort.bitmap, i, starts_take);
    for (uint32_t i = kpi_series_position(back, pass->units[0].back.from); i < back->n_cells; i++) {
        const roaring_bitmap_t *users;
        int r = kpi_cell_view(pass->engine, back->cells[i], &users);

        if (r < 0)
            return r;
        while (back->cells[i]->window >= pass->units[unit].back.to)
            unit++;
        chunk_read(walk, users, unit, returns_take);
    }
    if (walk->info->mode == KPI_TABLE_UNBOUNDED)
        lasts_take(walk);
    return 0;
}

/* What follows from other cells: who has come on or after n, and that all have come in period 0. */
static void rows_end(const struct walk *walk)
{
    for (uint32_t i = 0; i < walk->pass->n_units; i++) {
        struct kpi_table_row *row = &walk->pass->rows[i];

        if (row->n_cells && walk->info->mode == KPI_TABLE_EVERY)
            row->cells[KPI_TABLE_CELL_FIRST] = row->cells[KPI_TABLE_CELL_SIZE];
        for (uint32_t k = row->n_cells;
             walk->info->mode == KPI_TABLE_UNBOUNDED && k-- > KPI_TABLE_CELL_FIRST + 1;)
            row->cells[k - 1] += row->cells[k];
    }
}

int kpi_table_elapsed(struct kpi_table_pass *pass)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    const struct kpi_series *back = kpi_series_find(pass->engine, pass->back, pass->back_tuple);
    struct walk walk = {
        .pass = pass,
        .info = &pass->table->info,
        .cells = kpi_mem_zalloc(mem, pass->n_units * sizeof(*walk.cells)),
        .ids = kpi_mem_alloc(mem, READ * sizeof(*walk.ids)),
        .users = kpi_mem_alloc(mem, CHUNK * sizeof(*walk.users)),
    };
    int r = walk.cells && walk.ids && walk.users ? rows_make(&walk) : -ENOMEM;

    for (uint64_t first = 0; r == 0 && back && first < pass->engine->users.n; first += CHUNK) {
        walk.first = (uint32_t)first;
        r = chunk_walk(&walk, back);
    }
    if (r == 0)
        rows_end(&walk);
    kpi_mem_free(mem, walk.cells, pass->n_units * sizeof(*walk.cells));
    kpi_mem_free(mem, walk.ids, READ * sizeof(*walk.ids));
    kpi_mem_free(mem, walk.users, CHUNK * sizeof(*walk.users));
    return r;
}
