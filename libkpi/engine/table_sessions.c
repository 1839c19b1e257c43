/*
 * Sessions: a period's lengths, by its sketches, how many of them bounced, and their users; and how
 * many there are that are open. Only users are kept from one pass to the next: all else is a sum,
 * or is in its cells already.
 */
#include "base/sort.h"
#include "engine/sessions.h"
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

/* The lengths of a period, and their sum. */
static int lengths_find(const struct kpi_table_pass *pass, struct kpi_period period,
                        struct kpi_quantiles *lengths, kpi_wide *sum)
{
    const struct kpi_series *series;
    uint32_t i, end;
    int r = 0;

    series = cells_find(pass, pass->start, period, &i, &end);
    for (; i < end && r == 0; i++) {
        r = kpi_quantiles_add(lengths, &pass->engine->mem, &series->cells[i]->quantiles.sketch);
        *sum += series->cells[i]->quantiles.sum;
    }
    return r;
}

/* What a period has counted; row NULL: nothing. */
static int period_push(const struct kpi_table_pass *pass, const struct kpi_table_row *row,
                       struct kpi_answer answer, uint32_t n_open, struct kpi_answers *answers)
{
    const struct kpi_mem *mem = &pass->engine->mem;
    kpi_wide cells[KPI_TABLE_N_SESSIONS] = {[KPI_TABLE_CELL_OPEN] = n_open};
    struct kpi_quantiles lengths = {0};
    struct kpi_buffer buffer = {.mem = mem};
    int r = 0;

    if (row)
        r = lengths_find(pass, row->period, &lengths, &cells[KPI_TABLE_CELL_SECONDS]);
    if (r == 0 && lengths.n > 0) {
        cells[KPI_TABLE_CELL_SESSIONS] = lengths.n;
        cells[KPI_TABLE_CELL_USERS] = row->cells[0];
        cells[KPI_TABLE_CELL_BOUNCED] = bounced_of(pass, row->period);
        kpi_quantiles_encode(&lengths, &buffer);
        r = buffer.failed ? -ENOMEM : 0;
    }
    kpi_quantiles_deinit(&lengths, mem);
    answer.n_cells = KPI_TABLE_N_SESSIONS;
    answer.cells = cells;
    answer.sketch = (struct kpi_string){(const char *)buffer.data, buffer.size};
    if (r == 0 && (buffer.size > 0 || n_open > 0))
        r = kpi_answers_push(answers, &answer);
    kpi_buffer_deinit(&buffer);
    return r;
}

static int start_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The start of the period of each open session, of those that are wanted, ascending. */
static int opens_find(const struct kpi_table_pass *pass, struct kpi_buffer *starts)
{
    int64_t *at;
    size_t n = 0;
    int r = kpi_sessions_open(pass->engine, pass->start, starts);

    if (r < 0)
        return r;
    at = (int64_t *)starts->data;
    for (size_t i = 0; i < starts->size / sizeof(*at); i++) {
        struct kpi_period period = kpi_period_of_time(pass->plan, pass->basis, at[i]);

        if (kpi_period_compare(period, pass->first) >= 0)
            at[n++] = kpi_period_start_of(pass->plan, pass->basis, period);
    }
    starts->size = n * sizeof(*at);
    kpi_sort(at, n, sizeof(*at), start_order);
    return 0;
}

int kpi_table_sessions_push(const struct kpi_table_pass *pass, const struct kpi_table_group *group,
                            const struct kpi_answer *key, struct kpi_answers *answers)
{
    struct kpi_buffer opens = {.mem = &pass->engine->mem};
    struct kpi_answer answer = *key;
    const int64_t *open;
    size_t j = 0, n;
    int r = key->n_values == 0 ? opens_find(pass, &opens) : 0;

    open = (const int64_t *)opens.data;
    n = opens.size / sizeof(*open);
    for (uint32_t i = 0; r == 0 && (i < group->n_rows || j < n);) {
        const struct kpi_table_row *row = i < group->n_rows ? &group->rows[i] : NULL;
        uint32_t n_open = 0;

        answer.start = row ? kpi_period_start_of(pass->plan, pass->basis, row->period) : open[j];
        if (j < n && open[j] < answer.start) {
            answer.start = open[j];
            row = NULL;
        }
        for (; j < n && open[j] == answer.start; j++)
            n_open++;
        r = period_push(pass, row, answer, n_open, answers);
        i += row != NULL;
    }
    kpi_buffer_deinit(&opens);
    return r;
}
