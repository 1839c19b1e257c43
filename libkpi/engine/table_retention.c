/*
 * Retention: who of a cohort returned, period by period.
 *
 * Cohorts and returns stand in *slots*, which are the units, or, on basis elapsed, every 24th:
 * users whose first hour is h return n times 24 hours later in the hours from h + 24 n on. So there
 * are 24 tables of slots, each beginning an hour later, and in each the modes mean the same.
 */
#include "engine/tables.h"

#define STEP_ELAPSED 24

struct slots {
    struct kpi_table_pass *pass;
    const struct kpi_table_info *info;
    uint32_t first, step; /* units */
    uint32_t n;
    struct kpi_table_users *back; /* by slot, as far as asked for */
    bool *known;                  /* is it? */
    bool *changed;                /* has anything in it changed since the last pass? */
};

static uint32_t unit_of(const struct slots *slots, uint32_t slot)
{
    return slots->first + slot * slots->step;
}

static struct kpi_table_unit *cohort_of(const struct slots *slots, uint32_t slot)
{
    return &slots->pass->units[unit_of(slots, slot)];
}

/* The units of a slot's return: [first, *ret_end). */
static uint32_t back_units(const struct slots *slots, uint32_t slot, uint32_t *ret_end)
{
    *ret_end = unit_of(slots, slot + 1);
    if (*ret_end > slots->pass->n_units)
        *ret_end = slots->pass->n_units;
    return unit_of(slots, slot);
}

static int back_get(struct slots *slots, uint32_t slot, const roaring_bitmap_t **ret_bitmap)
{
    struct kpi_table_pass *pass = slots->pass;

    if (!slots->known[slot]) {
        uint32_t end, begin = back_units(slots, slot, &end);
        struct kpi_windows windows = {pass->units[begin].back.from, pass->units[end - 1].back.to};
        int r =
            kpi_table_users_get(pass, pass->back, pass->back_tuple, 1, windows, &slots->back[slot]);

        if (r < 0)
            return r;
        slots->known[slot] = true;
    }
    *ret_bitmap = slots->back[slot].bitmap;
    return 0;
}

static uint32_t count_both(const roaring_bitmap_t *a, const roaring_bitmap_t *b)
{
    return a && b ? (uint32_t)roaring_bitmap_and_cardinality(a, b) : 0;
}

/* Is the cell known from the last pass, whose cohort has not changed? Returns it, or NULL. */
static const uint32_t *kept_cell(const struct slots *slots, uint32_t slot, uint32_t cell)
{
    const struct kpi_table_row *kept = kpi_table_kept(slots->pass, unit_of(slots, slot));

    return kept && !cohort_of(slots, slot)->start_changed && cell < kept->n_cells
               ? &kept->cells[cell]
               : NULL;
}

/* Has any return in [from, to) changed? */
static bool any_changed(const struct slots *slots, uint32_t from, uint32_t to)
{
    for (; from < to && from < slots->n; from++) {
        if (slots->changed[from])
            return true;
    }
    return false;
}

/* --- modes: each fills the cells behind the size. 0 or -ENOMEM --- */

static int fill_classic(struct slots *slots, uint32_t slot, struct kpi_table_row *row)
{
    const roaring_bitmap_t *cohort = cohort_of(slots, slot)->cohort.bitmap, *back;

    for (uint32_t cell = KPI_TABLE_CELL_FIRST; cell < row->n_cells; cell++) {
        uint32_t at = slot + cell - KPI_TABLE_CELL_FIRST;
        const uint32_t *kept = kept_cell(slots, slot, cell);
        int r;

        if (kept && !slots->changed[at]) {
            row->cells[cell] = *kept;
            continue;
        }
        r = back_get(slots, at, &back);
        if (r < 0)
            return r;
        row->cells[cell] = count_both(cohort, back);
    }
    return 0;
}

/* Who is in all of 1 … n is who is left of those in all of 1 … n - 1. */
static int fill_every(struct slots *slots, uint32_t slot, struct kpi_table_row *row)
{
    roaring_bitmap_t *left = NULL;
    uint32_t cell = KPI_TABLE_CELL_FIRST, from;
    int r = 0;

    row->cells[cell++] = row->cells[KPI_TABLE_CELL_SIZE];
    for (; cell < row->n_cells; cell++) {
        const uint32_t *kept = kept_cell(slots, slot, cell);

        if (!kept || slots->changed[slot + cell - KPI_TABLE_CELL_FIRST])
            break;
        row->cells[cell] = *kept;
    }
    if (cell == row->n_cells)
        return 0;
    left = roaring_bitmap_copy(cohort_of(slots, slot)->cohort.bitmap);
    if (!left)
        return -ENOMEM;
    from = KPI_TABLE_CELL_FIRST + 1;
    for (; from < row->n_cells && r == 0; from++) {
        const roaring_bitmap_t *back;

        r = back_get(slots, slot + from - KPI_TABLE_CELL_FIRST, &back);
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

/* Users of a cohort in any of the slots [from, to). */
static int count_any(struct slots *slots, const roaring_bitmap_t *cohort, uint32_t from,
                     uint32_t to, uint32_t *ret_count)
{
    roaring_bitmap_t *left = roaring_bitmap_copy(cohort);
    int r = left ? 0 : -ENOMEM;

    *ret_count = 0;
    for (; from < to && from < slots->n && r == 0; from++) {
        const roaring_bitmap_t *back;

        r = back_get(slots, from, &back);
        if (r == 0 && back) {
            *ret_count += count_both(left, back);
            roaring_bitmap_andnot_inplace(left, back);
        }
    }
    if (left)
        roaring_bitmap_free(left);
    return r;
}

static int fill_brackets(struct slots *slots, uint32_t slot, struct kpi_table_row *row)
{
    const roaring_bitmap_t *cohort = cohort_of(slots, slot)->cohort.bitmap;
    int r = 0;

    for (uint32_t i = 0; i < slots->info->n_brackets && r == 0; i++) {
        uint32_t from = slot + slots->info->brackets[i].from;
        uint32_t to = slot + slots->info->brackets[i].to;
        const uint32_t *kept = kept_cell(slots, slot, KPI_TABLE_CELL_FIRST + i);

        if (kept && !any_changed(slots, from, to))
            row->cells[KPI_TABLE_CELL_FIRST + i] = *kept;
        else
            r = count_any(slots, cohort, from, to, &row->cells[KPI_TABLE_CELL_FIRST + i]);
    }
    return r;
}

/* Cell n of all cohorts whose period n this slot is, `after` being who came then or later. */
static void fill_after(struct slots *slots, uint32_t at, bool changed,
                       const roaring_bitmap_t *after)
{
    for (uint32_t n = 0; n <= slots->info->periods && n <= at; n++) {
        uint32_t slot = at - n, cell = KPI_TABLE_CELL_FIRST + n;
        const uint32_t *kept = kept_cell(slots, slot, cell);
        struct kpi_table_row *row = &slots->pass->rows[unit_of(slots, slot)];

        if (cell >= row->n_cells)
            continue; /* nobody is in the cohort */
        row->cells[cell] =
            kept && !changed ? *kept : count_both(cohort_of(slots, slot)->cohort.bitmap, after);
    }
}

static int fill_unbounded(struct slots *slots)
{
    roaring_bitmap_t *after = roaring_bitmap_create();
    bool changed = false;
    int r = after ? 0 : -ENOMEM;

    for (uint32_t at = slots->n; at > 0 && r == 0; at--) {
        const roaring_bitmap_t *back;

        r = back_get(slots, at - 1, &back);
        if (r < 0)
            break;
        if (back)
            roaring_bitmap_or_inplace(after, back);
        changed |= slots->changed[at - 1];
        fill_after(slots, at - 1, changed, after);
    }
    if (after)
        roaring_bitmap_free(after);
    return r;
}

/* --- all slots --- */

/* The row of a slot's cohort, with its size; empty if nobody is in it. */
static int row_begin(struct slots *slots, uint32_t slot)
{
    const struct kpi_table_unit *unit = cohort_of(slots, slot);
    const uint32_t *kept = kept_cell(slots, slot, KPI_TABLE_CELL_SIZE);
    uint32_t n = kpi_table_n_cells(slots->info), size;
    int r;

    if (!unit->cohort.bitmap)
        return 0;
    size = kept ? *kept : (uint32_t)roaring_bitmap_get_cardinality(unit->cohort.bitmap);
    if (size == 0)
        return 0;
    if (slots->info->mode != KPI_TABLE_BRACKET && n > slots->n - slot)
        n = slots->n - slot; /* nobody has come later */
    r = kpi_table_row_make(slots->pass, unit_of(slots, slot), KPI_TABLE_CELL_FIRST + n);
    if (r == 0)
        slots->pass->rows[unit_of(slots, slot)].cells[KPI_TABLE_CELL_SIZE] = size;
    return r;
}

static int row_fill(struct slots *slots, uint32_t slot)
{
    struct kpi_table_row *row = &slots->pass->rows[unit_of(slots, slot)];

    if (!row->n_cells)
        return 0;
    switch (slots->info->mode) {
    case KPI_TABLE_CLASSIC:
        return fill_classic(slots, slot, row);
    case KPI_TABLE_EVERY:
        return fill_every(slots, slot, row);
    case KPI_TABLE_BRACKET:
        return fill_brackets(slots, slot, row);
    case KPI_TABLE_UNBOUNDED:
        return 0; /* by return, not by cohort */
    }
    return 0;
}

static int slots_fill(struct slots *slots)
{
    int r = 0;

    for (uint32_t slot = 0; slot < slots->n; slot++) {
        uint32_t end;

        for (uint32_t unit = back_units(slots, slot, &end); unit < end; unit++)
            slots->changed[slot] |= slots->pass->units[unit].back_changed;
    }
    for (uint32_t slot = 0; slot < slots->n && r == 0; slot++)
        r = row_begin(slots, slot);
    for (uint32_t slot = 0; slot < slots->n && r == 0; slot++)
        r = row_fill(slots, slot);
    if (r == 0 && slots->info->mode == KPI_TABLE_UNBOUNDED)
        r = fill_unbounded(slots);
    return r;
}

/* The slots that begin with a unit, all `step` of them. */
static int slots_make(struct kpi_table_pass *pass, uint32_t first, uint32_t step)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    struct slots slots = {
        .pass = pass,
        .info = &pass->table->info,
        .first = first,
        .step = step,
        .n = (pass->n_units - first + step - 1) / step,
    };
    int r;

    slots.back = kpi_mem_zalloc(mem, slots.n * sizeof(*slots.back));
    slots.known = kpi_mem_zalloc(mem, slots.n * sizeof(*slots.known));
    slots.changed = kpi_mem_zalloc(mem, slots.n * sizeof(*slots.changed));
    r = slots.back && slots.known && slots.changed ? slots_fill(&slots) : -ENOMEM;
    for (uint32_t i = 0; slots.back && i < slots.n; i++)
        kpi_table_users_release(&slots.back[i]);
    kpi_mem_free(mem, slots.back, slots.n * sizeof(*slots.back));
    kpi_mem_free(mem, slots.known, slots.n * sizeof(*slots.known));
    kpi_mem_free(mem, slots.changed, slots.n * sizeof(*slots.changed));
    return r;
}

int kpi_table_retention(struct kpi_table_pass *pass)
{
    const struct kpi_table_info *info = &pass->table->info;
    uint32_t step = info->basis == KPI_TABLE_ELAPSED ? STEP_ELAPSED : 1;
    int r = kpi_table_units_make(pass, 0, 0);

    if (r == 0)
        r = kpi_table_cohorts(pass, info->cohort);
    for (uint32_t first = 0; first < step && first < pass->n_units && r == 0; first++)
        r = slots_make(pass, first, step);
    return r;
}
