/*
 * Sessions: a period's lengths, by its sketches, how many of them bounced, and their users. Only
 * these are kept from one pass to the next: all else is a sum, or is in its cells already.
 */
#include "engine/tables.h"

int kpi_table_sessions(struct kpi_table_pass *pass)
{
    int r = kpi_table_units_make(pass, 0, 0);

    for (uint32_t i = 0; i < pass->n_units && r == 0; i++) {
        const struct kpi_table_row *kept = kpi_table_kept(pass, i);
        struct kpi_table_users users;

        if (kept && kept->n_cells && !pass->units[i].back_changed) {
            r = kpi_table_row_keep(pass, i, kept);
            continue;
        }
        r = kpi_table_users_get(pass, pass->back, pass->back_tuple, 1, pass->units[i].back, &users);
        if (r < 0)
            break;
        r = kpi_table_row_make(pass, i, 1);
        if (r == 0 && users.bitmap)
            pass->rows[i].cells[0] = (uint32_t)roaring_bitmap_get_cardinality(users.bitmap);
        kpi_table_users_release(&users);
    }
    return r;
}

/* The cells [*ret_begin, *ret_end) of an instance that are of a period; NULL: none. */
static const struct kpi_series *cells_find(const struct kpi_table_pass *pass, uint32_t instance,
                                           struct kpi_period period, uint32_t *ret_begin,
                                           uint32_t *ret_end)
{
    const struct kpi_series *series = kpi_series_find(pass->engine, instance, pass->start_tuple);
    struct kpi_period next = kpi_period_advance(pass->plan, pass->basis, period, 1);
    struct kpi_windows windows = kpi_table_windows(pass, instance, period, next);

    *ret_begin = series ? kpi_series_position(series, windows.from) : 0;
    *ret_end = series ? kpi_series_position(series, windows.to) : 0;
    return series;
}

static kpi_wide bounced_of(const struct kpi_table_pass *pass, struct kpi_period period)
{
    const struct kpi_series *series;
    uint32_t i, end;
    kpi_wide n = 0;

    if (pass->bounced == KPI_NO_INDEX)
        return 0;
    series = cells_find(pass, pass->bounced, period, &i, &end);
    for (; i < end; i++)
        n += series->cells[i]->n_events;
    return n;
}

/* What they say, once `lengths` are all there. */
static int lengths_push(const struct kpi_quantiles *lengths, struct kpi_answer *answer,
                        const struct kpi_mem *mem, struct kpi_answers *answers)
{
    struct kpi_buffer buffer = {.mem = mem};
    int r;

    kpi_quantiles_encode(lengths, &buffer);
    answer->sketch = (struct kpi_string){(const char *)buffer.data, buffer.size};
    r = buffer.failed ? -ENOMEM : kpi_answers_push(answers, answer);
    kpi_buffer_deinit(&buffer);
    return r;
}

int kpi_table_sessions_push(const struct kpi_table_pass *pass, const struct kpi_table_row *row,
                            const struct kpi_answer *key, struct kpi_answers *answers)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    kpi_wide cells[KPI_TABLE_N_SESSIONS] = {0};
    struct kpi_quantiles lengths = {0};
    struct kpi_answer answer = *key;
    const struct kpi_series *series;
    uint32_t i, end;
    int r = 0;

    series = cells_find(pass, pass->start, row->period, &i, &end);
    for (; i < end && r == 0; i++) {
        r = kpi_quantiles_add(&lengths, mem, &series->cells[i]->quantiles.sketch);
        cells[KPI_TABLE_CELL_SECONDS] += series->cells[i]->quantiles.sum;
    }
    if (r == 0 && lengths.n > 0) {
        cells[KPI_TABLE_CELL_SESSIONS] = lengths.n;
        cells[KPI_TABLE_CELL_USERS] = row->cells[0];
        cells[KPI_TABLE_CELL_BOUNCED] = bounced_of(pass, row->period);
        answer.start = kpi_period_start_of(pass->plan, pass->basis, row->period);
        answer.n_cells = KPI_TABLE_N_SESSIONS;
        answer.cells = cells;
        r = lengths_push(&lengths, &answer, mem, answers);
    }
    kpi_quantiles_deinit(&lengths, mem);
    return r;
}
