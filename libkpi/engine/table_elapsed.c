/*
 * Retention on basis elapsed: units are hours, and who began in hour h is in period n in the hours
 * from h + 24 n on.
 *
 * No algebra tells that at once: each hour of a day has cohorts and periods of its own. But nobody
 * is in two cohorts, so one walk over all hours, in order, does: of each user it keeps the hour of
 * the start and up to which period there is nothing more to count. That is asked for at every step,
 * so the walk is made for so many users at a time as the cache has room for.
 *
 * What has happened since the last pass lies in few hours, and these tell few cells. Only those are
 * counted anew, by a walk over the hours that tell them; all others are those of the last pass.
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
    uint32_t **cells;    /* by unit: of the row of its day; NULL: nobody is asked for */
    uint32_t *n_changed; /* by unit, and one more: those before it with a return that has changed */
    bool *wanted;        /* by unit: does a return in it matter? */
    uint32_t *ids;
    struct user *users;  /* of the chunk, in order */
    uint32_t first, end; /* ids of the chunk */
};

typedef void (*ids_fn)(struct walk *walk, const uint32_t *ids, uint32_t n, uint32_t unit);

/* Hands out the ids of a bitmap that are in the chunk. */
static void chunk_read(struct walk *walk, const roaring_bitmap_t *bitmap, uint32_t unit, ids_fn fn)
{
    uint64_t n = roaring_bitmap_range_cardinality(bitmap, walk->first, walk->end);
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
    for (uint32_t i = 0; i < walk->end - walk->first; i++) {
        const struct user *user = &walk->users[i];
        uint32_t last = user->seen - 1;

        if (user->start && user->seen)
            walk->cells[user->start - 1]
                       [KPI_TABLE_CELL_FIRST +
                        (last < walk->info->periods ? last : walk->info->periods)]++;
    }
}

/* --- what is counted anew --- */

/* Hours: those of a day, or whose returns tell a cell of its row. */
struct hours {
    uint32_t from, to;
};

static struct hours day_at(const struct kpi_table_pass *pass, uint32_t unit)
{
    struct hours day = {unit, unit};

    while (day.to < pass->n_units && pass->units[day.to].period.day == pass->units[unit].period.day)
        day.to++;
    return day;
}

/* Who began in the first hour of the day is the first in a period, who did in the last the last. */
static struct hours cell_hours(const struct walk *walk, struct hours day, uint32_t cell)
{
    const struct kpi_table_info *info = walk->info;
    uint64_t n_units = walk->pass->n_units;
    uint64_t from = day.from, to = n_units;

    if (info->mode == KPI_TABLE_CLASSIC) {
        from = day.from + (uint64_t)cell * HOURS;
        to = day.to - 1 + (cell + UINT64_C(1)) * HOURS;
    } else if (info->mode == KPI_TABLE_BRACKET) {
        from = day.from + (uint64_t)info->brackets[cell].from * HOURS;
        to = day.to - 1 + (uint64_t)info->brackets[cell].to * HOURS;
    } else if (info->mode == KPI_TABLE_EVERY) {
        to = day.to - 1 + (info->periods + UINT64_C(1)) * HOURS;
    }
    to = to < n_units ? to : n_units;
    from = from < to ? from : to;
    return (struct hours){(uint32_t)from, (uint32_t)to};
}

/* The row of the last pass, unless the cohorts of the day have changed; or NULL. */
static const struct kpi_table_row *kept_row(const struct walk *walk, struct hours day)
{
    const struct kpi_table_row *kept = kpi_table_kept(walk->pass, day.from);

    return kept && kept->n_cells && !walk->pass->units[day.from].start_changed ? kept : NULL;
}

static bool is_anew(const struct walk *walk, struct hours day, uint32_t cell,
                    const struct kpi_table_row *kept)
{
    struct hours hours = cell_hours(walk, day, cell);

    return !kept || walk->n_changed[hours.from] != walk->n_changed[hours.to];
}

/* Asks for the hours of the cells that must be counted; false: there is none. */
static bool hours_want(struct walk *walk, struct hours day)
{
    const struct kpi_table_row *kept = kept_row(walk, day);
    bool any = false;

    for (uint32_t cell = 0; cell < kpi_table_n_cells(walk->info); cell++) {
        struct hours hours = cell_hours(walk, day, cell);

        if (!is_anew(walk, day, cell, kept))
            continue;
        memset(walk->wanted + hours.from, true, (hours.to - hours.from) * sizeof(*walk->wanted));
        any = true;
    }
    return any;
}

/* A day has the same row for all of its hours. */
static int row_begin(struct walk *walk, struct hours day)
{
    struct kpi_table_pass *pass = walk->pass;
    struct kpi_table_row *row = &pass->rows[day.from];
    uint64_t size = 0;
    bool any;

    for (uint32_t i = day.from; i < day.to; i++)
        if (pass->units[i].cohort.bitmap)
            size += roaring_bitmap_get_cardinality(pass->units[i].cohort.bitmap);
    if (size == 0)
        return 0;
    if (kpi_table_row_make(pass, day.from, KPI_TABLE_CELL_FIRST + kpi_table_n_cells(walk->info)) <
        0)
        return -ENOMEM;
    row->cells[KPI_TABLE_CELL_SIZE] = (uint32_t)size;
    any = hours_want(walk, day);
    for (uint32_t i = day.from; any && i < day.to; i++)
        if (pass->units[i].cohort.bitmap)
            walk->cells[i] = row->cells;
    return 0;
}

static int rows_begin(struct walk *walk)
{
    const struct kpi_table_pass *pass = walk->pass;
    int r = 0;

    for (uint32_t i = 0; i < pass->n_units; i++)
        walk->n_changed[i + 1] = walk->n_changed[i] + pass->units[i].back_changed;
    for (struct hours day = {0, 0}; day.to < pass->n_units && r == 0;) {
        day = day_at(pass, day.to);
        r = row_begin(walk, day);
    }
    return r;
}

/* What follows from other cells: who has come on or after n, and that all have come in period 0. */
static void row_follow(const struct walk *walk, struct kpi_table_row *row)
{
    if (walk->info->mode == KPI_TABLE_EVERY)
        row->cells[KPI_TABLE_CELL_FIRST] = row->cells[KPI_TABLE_CELL_SIZE];
    for (uint32_t k = row->n_cells;
         walk->info->mode == KPI_TABLE_UNBOUNDED && k-- > KPI_TABLE_CELL_FIRST + 1;)
        row->cells[k - 1] += row->cells[k];
}

/* The walk has counted parts of cells that were not asked for: these are as they were. */
static void rows_end(const struct walk *walk)
{
    const struct kpi_table_pass *pass = walk->pass;

    for (struct hours day = {0, 0}; day.to < pass->n_units;) {
        struct kpi_table_row *row;
        const struct kpi_table_row *kept;

        day = day_at(pass, day.to);
        row = &pass->rows[day.from];
        if (!row->n_cells)
            continue;
        kept = kept_row(walk, day);
        row_follow(walk, row);
        for (uint32_t cell = 0; cell < kpi_table_n_cells(walk->info); cell++)
            if (!is_anew(walk, day, cell, kept))
                row->cells[KPI_TABLE_CELL_FIRST + cell] = kept->cells[KPI_TABLE_CELL_FIRST + cell];
    }
}

/* --- the walk --- */

static int chunk_walk(struct walk *walk, const struct kpi_series *back)
{
    struct kpi_table_pass *pass = walk->pass;
    uint32_t unit = 0;

    memset(walk->users, 0, (walk->end - walk->first) * sizeof(*walk->users));
    for (uint32_t i = 0; i < pass->n_units; i++)
        if (walk->cells[i])
            chunk_read(walk, pass->units[i].cohort.bitmap, i, starts_take);
    for (uint32_t i = kpi_series_position(back, pass->units[0].back.from); i < back->n_cells; i++) {
        const roaring_bitmap_t *users;
        int r;

        while (back->cells[i]->window >= pass->units[unit].back.to)
            unit++;
        if (!walk->wanted[unit])
            continue;
        r = kpi_cell_view(pass->engine, back->cells[i], &users);
        if (r < 0)
            return r;
        chunk_read(walk, users, unit, returns_take);
    }
    if (walk->info->mode == KPI_TABLE_UNBOUNDED)
        lasts_take(walk);
    return 0;
}

int kpi_table_elapsed(struct kpi_table_pass *pass)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    const struct kpi_series *back = kpi_series_find(pass->engine, pass->back, pass->back_tuple);
    struct walk walk = {
        .pass = pass,
        .info = &pass->table->info,
        .cells = kpi_mem_zalloc(mem, pass->n_units * sizeof(*walk.cells)),
        .n_changed = kpi_mem_zalloc(mem, (pass->n_units + 1) * sizeof(*walk.n_changed)),
        .wanted = kpi_mem_zalloc(mem, pass->n_units * sizeof(*walk.wanted)),
        .ids = kpi_mem_alloc(mem, READ * sizeof(*walk.ids)),
        .users = kpi_mem_alloc(mem, CHUNK * sizeof(*walk.users)),
    };
    uint32_t n_users = pass->engine->users.n;
    bool made = walk.cells && walk.n_changed && walk.wanted && walk.ids && walk.users;
    int r = made ? rows_begin(&walk) : -ENOMEM;

    while (r == 0 && back && walk.end < n_users) {
        walk.first = walk.end;
        walk.end = n_users - walk.first > CHUNK ? walk.first + CHUNK : n_users;
        r = chunk_walk(&walk, back);
    }
    if (r == 0)
        rows_end(&walk);
    kpi_mem_free(mem, walk.cells, pass->n_units * sizeof(*walk.cells));
    kpi_mem_free(mem, walk.n_changed, (pass->n_units + 1) * sizeof(*walk.n_changed));
    kpi_mem_free(mem, walk.wanted, pass->n_units * sizeof(*walk.wanted));
    kpi_mem_free(mem, walk.ids, READ * sizeof(*walk.ids));
    kpi_mem_free(mem, walk.users, CHUNK * sizeof(*walk.users));
    return r;
}
