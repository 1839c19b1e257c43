/*
 * Retention: who of a cohort returned, period by period; the periods are the units. On basis
 * elapsed they are hours, and all is told otherwise: see table_elapsed.c.
 */
#include "engine/tables.h"

struct returns {
    struct kpi_table_pass *pass;
    const struct kpi_table_info *info;
    struct kpi_table_users *back; /* by unit, as far as asked for */
    bool *known;                  /* is it? */
};

static struct kpi_table_unit *cohort_of(const struct returns *returns, uint32_t unit)
{
    return &returns->pass->units[unit];
}

static int back_get(struct returns *returns, uint32_t unit, const roaring_bitmap_t **ret_bitmap)
{
    struct kpi_table_pass *pass = returns->pass;

    if (!returns->known[unit]) {
        int r = kpi_table_users_get(pass, pass->back, pass->back_tuple, 1, pass->units[unit].back,
                                    &returns->back[unit]);

        if (r < 0)
            return r;
        returns->known[unit] = true;
    }
    *ret_bitmap = returns->back[unit].bitmap;
    return 0;
}

static uint32_t count_both(const roaring_bitmap_t *a, const roaring_bitmap_t *b)
{
    return a && b ? (uint32_t)roaring_bitmap_and_cardinality(a, b) : 0;
}

/* Is the cell known from the last pass, whose cohort has not changed? Returns it, or NULL. */
static const uint32_t *kept_cell(const struct returns *returns, uint32_t unit, uint32_t cell)
{
    const struct kpi_table_row *kept = kpi_table_kept(returns->pass, unit);

    return kept && !cohort_of(returns, unit)->start_changed && cell < kept->n_cells
               ? &kept->cells[cell]
               : NULL;
}

/* Has any return in [from, to) changed? */
static bool any_changed(const struct returns *returns, uint32_t from, uint32_t to)
{
    for (; from < to && from < returns->pass->n_units; from++) {
        if (returns->pass->units[from].back_changed)
            return true;
    }
    return false;
}

/* --- modes: each fills the cells behind the size. 0 or -ENOMEM --- */

static int fill_classic(struct returns *returns, uint32_t unit, struct kpi_table_row *row)
{
    const roaring_bitmap_t *cohort = cohort_of(returns, unit)->cohort.bitmap, *back;

    for (uint32_t cell = KPI_TABLE_CELL_FIRST; cell < row->n_cells; cell++) {
        uint32_t at = unit + cell - KPI_TABLE_CELL_FIRST;
        const uint32_t *kept = kept_cell(returns, unit, cell);
        int r;

        if (kept && !returns->pass->units[at].back_changed) {
            row->cells[cell] = *kept;
            continue;
        }
        r = back_get(returns, at, &back);
        if (r < 0)
            return r;
        row->cells[cell] = count_both(cohort, back);
    }
    return 0;
}

/* Who is in all of 1 … n is who is left of those in all of 1 … n - 1. */
static int fill_every(struct returns *returns, uint32_t unit, struct kpi_table_row *row)
{
    roaring_bitmap_t *left = NULL;
    uint32_t cell = KPI_TABLE_CELL_FIRST, from;
    int r = 0;

    row->cells[cell++] = row->cells[KPI_TABLE_CELL_SIZE];
    for (; cell < row->n_cells; cell++) {
        const uint32_t *kept = kept_cell(returns, unit, cell);

        if (!kept || returns->pass->units[unit + cell - KPI_TABLE_CELL_FIRST].back_changed)
            break;
        row->cells[cell] = *kept;
    }
    if (cell == row->n_cells)
        return 0;
    left = roaring_bitmap_copy(cohort_of(returns, unit)->cohort.bitmap);
    if (!left)
        return -ENOMEM;
    from = KPI_TABLE_CELL_FIRST + 1;
    for (; from < row->n_cells && r == 0; from++) {
        const roaring_bitmap_t *back;

        r = back_get(returns, unit + from - KPI_TABLE_CELL_FIRST, &back);
        if (r < 0)
            break;
        if (back)
            roaring_bitmap_and_inplace(left, back);
        else
            roaring_bitmap_clear(left);
        if (from >= cell)
            row->cells[from] = (uint32_t)roaring_bitmap_get_cardinality(left);
        if (roaring_bitmap_is_empty(left))
            break; /* and so on, with zeros, as they were made */
    }
    roaring_bitmap_free(left);
    return r;
}

/* Users of a cohort in any of the units [from, to). */
static int count_any(struct returns *returns, const roaring_bitmap_t *cohort, uint32_t from,
                     uint32_t to, uint32_t *ret_count)
{
    roaring_bitmap_t *left = roaring_bitmap_copy(cohort);
    int r = left ? 0 : -ENOMEM;

    *ret_count = 0;
    for (; from < to && from < returns->pass->n_units && r == 0; from++) {
        const roaring_bitmap_t *back;

        r = back_get(returns, from, &back);
        if (r == 0 && back) {
            *ret_count += count_both(left, back);
            roaring_bitmap_andnot_inplace(left, back);
        }
    }
    if (left)
        roaring_bitmap_free(left);
    return r;
}

static int fill_brackets(struct returns *returns, uint32_t unit, struct kpi_table_row *row)
{
    const roaring_bitmap_t *cohort = cohort_of(returns, unit)->cohort.bitmap;
    int r = 0;

    for (uint32_t i = 0; i < returns->info->n_brackets && r == 0; i++) {
        uint32_t from = unit + returns->info->brackets[i].from;
        uint32_t to = unit + returns->info->brackets[i].to;
        const uint32_t *kept = kept_cell(returns, unit, KPI_TABLE_CELL_FIRST + i);

        if (kept && !any_changed(returns, from, to))
            row->cells[KPI_TABLE_CELL_FIRST + i] = *kept;
        else
            r = count_any(returns, cohort, from, to, &row->cells[KPI_TABLE_CELL_FIRST + i]);
    }
    return r;
}

/* Cell n of all cohorts whose period n this unit is, `after` being who came then or later. */
static void fill_after(struct returns *returns, uint32_t at, bool changed,
                       const roaring_bitmap_t *after)
{
    for (uint32_t n = 0; n <= returns->info->periods && n <= at; n++) {
        uint32_t unit = at - n, cell = KPI_TABLE_CELL_FIRST + n;
        const uint32_t *kept = kept_cell(returns, unit, cell);
        struct kpi_table_row *row = &returns->pass->rows[unit];

        if (cell >= row->n_cells)
            continue; /* nobody is in the cohort */
        row->cells[cell] =
            kept && !changed ? *kept : count_both(cohort_of(returns, unit)->cohort.bitmap, after);
    }
}

static int fill_unbounded(struct returns *returns)
{
    roaring_bitmap_t *after = roaring_bitmap_create();
    bool changed = false;
    int r = after ? 0 : -ENOMEM;

    for (uint32_t at = returns->pass->n_units; at > 0 && r == 0; at--) {
        const roaring_bitmap_t *back;

        r = back_get(returns, at - 1, &back);
        if (r < 0)
            break;
        if (back)
            roaring_bitmap_or_inplace(after, back);
        changed |= returns->pass->units[at - 1].back_changed;
        fill_after(returns, at - 1, changed, after);
    }
    if (after)
        roaring_bitmap_free(after);
    return r;
}

/* --- all units --- */

/* The row of a unit's cohort, with its size; empty if nobody is in it. */
static int row_begin(struct returns *returns, uint32_t unit)
{
    const roaring_bitmap_t *cohort = cohort_of(returns, unit)->cohort.bitmap;
    const uint32_t *kept = kept_cell(returns, unit, KPI_TABLE_CELL_SIZE);
    uint32_t n = kpi_table_n_cells(returns->info), size;
    int r;

    if (!cohort)
        return 0;
    size = kept ? *kept : (uint32_t)roaring_bitmap_get_cardinality(cohort);
    if (size == 0)
        return 0;
    if (returns->info->mode != KPI_TABLE_BRACKET && n > returns->pass->n_units - unit)
        n = returns->pass->n_units - unit; /* nobody has come later */
    r = kpi_table_row_make(returns->pass, unit, KPI_TABLE_CELL_FIRST + n);
    if (r == 0)
        returns->pass->rows[unit].cells[KPI_TABLE_CELL_SIZE] = size;
    return r;
}

static int row_fill(struct returns *returns, uint32_t unit)
{
    struct kpi_table_row *row = &returns->pass->rows[unit];

    if (!row->n_cells)
        return 0;
    switch (returns->info->mode) {
    case KPI_TABLE_CLASSIC:
        return fill_classic(returns, unit, row);
    case KPI_TABLE_EVERY:
        return fill_every(returns, unit, row);
    case KPI_TABLE_BRACKET:
        return fill_brackets(returns, unit, row);
    case KPI_TABLE_UNBOUNDED:
        return 0; /* by return, not by cohort */
    }
    return 0;
}

static int rows_fill(struct returns *returns)
{
    uint32_t n = returns->pass->n_units;
    int r = 0;

    for (uint32_t unit = 0; unit < n && r == 0; unit++)
        r = row_begin(returns, unit);
    for (uint32_t unit = 0; unit < n && r == 0; unit++)
        r = row_fill(returns, unit);
    if (r == 0 && returns->info->mode == KPI_TABLE_UNBOUNDED)
        r = fill_unbounded(returns);
    return r;
}

int kpi_table_retention(struct kpi_table_pass *pass)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    struct returns returns = {.pass = pass, .info = &pass->table->info};
    int r = kpi_table_units_make(pass, 0, 0);

    if (r == 0)
        r = kpi_table_cohorts(pass, returns.info->cohort);
    if (r < 0 || pass->n_units == 0)
        return r;
    if (returns.info->basis == KPI_TABLE_ELAPSED)
        return kpi_table_elapsed(pass);
    returns.back = kpi_mem_zalloc(mem, pass->n_units * sizeof(*returns.back));
    returns.known = kpi_mem_zalloc(mem, pass->n_units * sizeof(*returns.known));
    r = returns.back && returns.known ? rows_fill(&returns) : -ENOMEM;
    for (uint32_t i = 0; returns.back && i < pass->n_units; i++)
        kpi_table_users_release(&returns.back[i]);
    kpi_mem_free(mem, returns.back, pass->n_units * sizeof(*returns.back));
    kpi_mem_free(mem, returns.known, pass->n_units * sizeof(*returns.known));
    return r;
}
