/*
 * Lifecycle, which compares each period with the one before; and active intervals: users counted
 * by how many intervals of a longer period they were active in, by adding up bits (as a column of
 * numbers is added: bit j of all users' counts is a set), and, where the period moves on by one
 * interval, taking away those of the one that it leaves.
 */
#include "engine/tables.h"

#include <assert.h>

/* --- lifecycle --- */

static uint32_t size_of(const roaring_bitmap_t *users)
{
    return users ? (uint32_t)roaring_bitmap_get_cardinality(users) : 0;
}

static int period_fill(struct kpi_table_pass *pass, uint32_t unit,
                       const struct kpi_table_users *before, const struct kpi_table_users *now)
{
    const roaring_bitmap_t *first = pass->units[unit].cohort.bitmap;
    uint32_t returning = before->bitmap && now->bitmap
                             ? (uint32_t)roaring_bitmap_and_cardinality(before->bitmap, now->bitmap)
                             : 0;
    uint32_t *cells;
    int r = kpi_table_row_make(pass, unit, KPI_TABLE_N_LIFECYCLE);

    if (r < 0)
        return r;
    cells = pass->rows[unit].cells;
    cells[KPI_TABLE_CELL_NEW] = size_of(first);
    cells[KPI_TABLE_CELL_RETURNING] = returning;
    cells[KPI_TABLE_CELL_RESURRECTING] = size_of(now->bitmap) - returning - size_of(first);
    cells[KPI_TABLE_CELL_DORMANT] = size_of(before->bitmap) - returning;
    return 0;
}

static int active_get(struct kpi_table_pass *pass, uint32_t unit, struct kpi_table_users *ret_users)
{
    return kpi_table_users_get(pass, pass->start, pass->start_tuple, 1, pass->units[unit].start,
                               ret_users);
}

/* The first unit is there for its users alone, the last one for those who have gone. */
int kpi_table_lifecycle(struct kpi_table_pass *pass)
{
    struct kpi_table_users before = {0}, now = {0};
    int r = kpi_table_units_make(pass, 1, 1);

    if (r == 0)
        r = kpi_table_cohorts(pass, KPI_TABLE_FIRST_TIME);
    for (uint32_t i = 1; i < pass->n_units && r == 0; i++) {
        const struct kpi_table_row *kept = kpi_table_kept(pass, i);

        if (kept && kept->n_cells && !pass->units[i - 1].start_changed &&
            !pass->units[i].start_changed) {
            r = kpi_table_row_keep(pass, i, kept);
            continue;
        }
        r = active_get(pass, i - 1, &before);
        if (r == 0)
            r = active_get(pass, i, &now);
        if (r == 0)
            r = period_fill(pass, i, &before, &now);
        kpi_table_users_release(&before);
        kpi_table_users_release(&now);
    }
    return r;
}

/* --- active intervals --- */

enum {
    BITS_MAX = 14, /* hours of a year */
};

/* In how many of the units [begin, end) each user was active. */
struct counter {
    roaring_bitmap_t *bits[BITS_MAX];
    uint32_t n_bits;
    uint32_t begin, end;
    uint32_t *cells; /* by count - 1 */
};

static void counter_reset(struct counter *counter)
{
    for (uint32_t j = 0; j < counter->n_bits; j++)
        roaring_bitmap_free(counter->bits[j]);
    counter->n_bits = 0;
}

/* Adds 1 for each of these users, or takes it away again. */
static int counter_change(struct counter *counter, const roaring_bitmap_t *users, bool add)
{
    roaring_bitmap_t *carry = roaring_bitmap_copy(users);

    for (uint32_t j = 0; carry && !roaring_bitmap_is_empty(carry); j++) {
        roaring_bitmap_t *next;

        if (j == counter->n_bits) {
            assert(add);
            counter->bits[j] = carry;
            counter->n_bits++;
            return 0;
        }
        next = add ? roaring_bitmap_and(counter->bits[j], carry)
                   : roaring_bitmap_andnot(carry, counter->bits[j]);
        roaring_bitmap_xor_inplace(counter->bits[j], carry);
        roaring_bitmap_free(carry);
        carry = next;
    }
    if (!carry)
        return -ENOMEM;
    roaring_bitmap_free(carry);
    return 0;
}

static int unit_count(struct kpi_table_pass *pass, uint32_t unit, bool add, struct counter *counter)
{
    struct kpi_table_users active;
    int r = kpi_table_users_get(pass, pass->start, pass->start_tuple, pass->table->info.at_least,
                                pass->units[unit].start, &active);

    if (r == 0 && active.bitmap)
        r = counter_change(counter, active.bitmap, add);
    kpi_table_users_release(&active);
    return r;
}

/* On to other units, neither of whose ends is before the one that it was. */
static int counter_move(struct kpi_table_pass *pass, uint32_t begin, uint32_t end,
                        struct counter *counter)
{
    int r = 0;

    if (begin >= counter->end) {
        counter_reset(counter);
        counter->begin = counter->end = begin;
    }
    for (; counter->begin < begin && r == 0; counter->begin++)
        r = unit_count(pass, counter->begin, false, counter);
    for (; counter->end < end && r == 0; counter->end++)
        r = unit_count(pass, counter->end, true, counter);
    return r;
}

/* `users` have the same bits from n_bits on, which make `count`. */
static int counter_read(const struct counter *counter, const roaring_bitmap_t *users,
                        uint32_t n_bits, uint32_t count)
{
    roaring_bitmap_t *with, *without;
    int r = 0;

    if (roaring_bitmap_is_empty(users))
        return 0;
    if (n_bits == 1) {
        uint32_t odd = (uint32_t)roaring_bitmap_and_cardinality(users, counter->bits[0]);
        uint32_t even = (uint32_t)roaring_bitmap_get_cardinality(users) - odd;

        if (odd) /* there are no more cells than somebody may have counts */
            counter->cells[count] = odd;
        if (even)
            counter->cells[count - 1] = even;
        return 0;
    }
    with = roaring_bitmap_and(users, counter->bits[n_bits - 1]);
    without = roaring_bitmap_andnot(users, counter->bits[n_bits - 1]);
    if (with && without) {
        r = counter_read(counter, with, n_bits - 1, count | 1U << (n_bits - 1));
        if (r == 0)
            r = counter_read(counter, without, n_bits - 1, count);
    } else {
        r = -ENOMEM;
    }
    if (with)
        roaring_bitmap_free(with);
    if (without)
        roaring_bitmap_free(without);
    return r;
}

/* The units [begin, end) into a row. */
static int row_count(struct kpi_table_pass *pass, uint32_t begin, uint32_t end, uint32_t row,
                     struct counter *counter)
{
    roaring_bitmap_t *all = NULL;
    int r = counter_move(pass, begin, end, counter);

    if (r == 0)
        r = kpi_table_row_make(pass, row, end - begin);
    if (r == 0) {
        all = roaring_bitmap_or_many(counter->n_bits,
                                     (const roaring_bitmap_t **)(void *)counter->bits);
        counter->cells = pass->rows[row].cells;
        r = all ? counter_read(counter, all, counter->n_bits, 0) : -ENOMEM;
    }
    if (all)
        roaring_bitmap_free(all);
    return r;
}

/* The same, unless the row is kept and nothing of it has changed. */
static int row_fill(struct kpi_table_pass *pass, uint32_t begin, uint32_t end, uint32_t row,
                    struct counter *counter)
{
    const struct kpi_table_row *kept = kpi_table_kept(pass, row);
    bool changed = false;

    for (uint32_t i = begin; i < end; i++)
        changed |= pass->units[i].start_changed;
    if (kept && kept->n_cells && !changed)
        return kpi_table_row_keep(pass, row, kept);
    return row_count(pass, begin, end, row, counter);
}

/* The period that an interval counts in: where it begins. */
static struct kpi_period over_of(const struct kpi_table_pass *pass, uint32_t unit)
{
    return kpi_period_of_day(pass->plan, pass->table->info.over, pass->units[unit].period.day);
}

/* The intervals of a longer period, into the row of the first of them. */
static int periods_fill(struct kpi_table_pass *pass, struct counter *counter)
{
    uint32_t begin = 0, end;
    int r = kpi_table_units_make(pass, 0, 0);

    for (; begin < pass->n_units && r == 0; begin = end) {
        struct kpi_period over = over_of(pass, begin);

        for (end = begin; end < pass->n_units && kpi_period_compare(over_of(pass, end), over) == 0;)
            end++;
        r = row_fill(pass, begin, end, begin, counter);
    }
    return r;
}

/* The n intervals up to each one, into its row. They go on while any of them may have users. */
static int trailing_fill(struct kpi_table_pass *pass, struct counter *counter)
{
    uint32_t n = pass->table->info.trailing;
    int r = kpi_table_units_make(pass, n - 1, n - 1);

    for (uint32_t end = n; end <= pass->n_units && r == 0; end++)
        r = row_fill(pass, end - n, end, end - 1, counter);
    return r;
}

int kpi_table_intervals(struct kpi_table_pass *pass)
{
    struct counter counter = {.n_bits = 0};
    int r =
        pass->table->info.trailing ? trailing_fill(pass, &counter) : periods_fill(pass, &counter);

    counter_reset(&counter);
    return r;
}
