/* What cells of tables come to, as of a moment: see kpi/table.h. */
#include "sketch/quantiles.h"
#include "spec/layout.h"
#include "spec/plan.h"

#include <kpi/table.h>

#include <assert.h>
#include <math.h>

/* The period that answers of a table are of. */
static enum kpi_table_basis basis_of(const struct kpi_table_info *info)
{
    return info->kind == KPI_TABLE_ACTIVE_INTERVALS ? info->over : info->basis;
}

/* When the period n behind that of the start begins. */
static kpi_time time_of(const struct kpi_plan *plan, enum kpi_table_basis basis, int64_t start,
                        int32_t n)
{
    struct kpi_period period = kpi_period_from_start(plan, basis, start);

    return kpi_period_time(plan, kpi_period_advance(plan, basis, period, n));
}

kpi_time kpi_table_start(const struct kpi_plan *plan, uint32_t table, int64_t start)
{
    return time_of(plan, basis_of(kpi_plan_table(plan, table)), start, 0);
}

kpi_time kpi_table_end(const struct kpi_plan *plan, uint32_t table, int64_t start)
{
    return time_of(plan, basis_of(kpi_plan_table(plan, table)), start, 1);
}

kpi_time kpi_table_from(const struct kpi_plan *plan, uint32_t table, int64_t start)
{
    const struct kpi_table_info *info = kpi_plan_table(plan, table);

    return time_of(plan, basis_of(info), start, info->trailing ? 1 - (int32_t)info->trailing : 0);
}

bool kpi_table_shows(const struct kpi_plan *plan, uint32_t table, int64_t start, kpi_time as_of)
{
    const struct kpi_table_info *info = kpi_plan_table(plan, table);
    enum kpi_table_basis basis = basis_of(info);
    struct kpi_period period = kpi_period_from_start(plan, basis, start);
    struct kpi_period now = kpi_period_of_time(plan, basis, as_of);
    struct kpi_period first = kpi_period_advance(plan, basis, now, 1 - (int32_t)info->last);

    if (info->trailing && kpi_table_from(plan, table, start) < as_of - kpi_plan_keep(plan))
        return false;
    return kpi_period_compare(period, first) >= 0 && kpi_period_compare(period, now) <= 0;
}

uint32_t kpi_table_n_cells(const struct kpi_table_info *info)
{
    return info->mode == KPI_TABLE_BRACKET ? info->n_brackets : info->periods + 1;
}

static struct kpi_bracket bracket_of(const struct kpi_table_info *info, uint32_t cell)
{
    if (info->mode == KPI_TABLE_BRACKET)
        return info->brackets[cell];
    return (struct kpi_bracket){cell, cell + 1};
}

/*
 * Elapsed: a user of a day's cohort began in one of its hours. The first of them enters period n
 * after n * 24 hours, the last of them leaves it (n + 1) * 24 hours after the day's last hour
 * began.
 */
static void cell_times(const struct kpi_plan *plan, const struct kpi_table_info *info,
                       int64_t start, struct kpi_bracket bracket, kpi_time *ret_begin,
                       kpi_time *ret_end)
{
    if (info->basis == KPI_TABLE_ELAPSED) {
        *ret_begin = time_of(plan, info->basis, start, 0) + bracket.from * KPI_DAY;
        *ret_end = time_of(plan, info->basis, start, 1) - KPI_HOUR + bracket.to * KPI_DAY;
    } else {
        *ret_begin = time_of(plan, info->basis, start, (int32_t)bracket.from);
        *ret_end = time_of(plan, info->basis, start, (int32_t)bracket.to);
    }
}

static kpi_wide cell_of(const struct kpi_answer *answer, uint32_t cell)
{
    return cell < answer->n_cells ? answer->cells[cell] : 0;
}

int64_t kpi_table_users(const struct kpi_answer *answer, uint32_t cell)
{
    kpi_wide users = cell_of(answer, cell);

    return users < 0 ? KPI_ANSWER_CELL_HIDDEN : users > INT64_MAX ? INT64_MAX : (int64_t)users;
}

/* The latest of an instance and those of its levels up to `level`. */
static kpi_time latest_start(const struct kpi_program *program, const struct kpi_row *starts,
                             uint32_t instance, uint32_t level)
{
    kpi_time latest = KPI_TIME_NONE;

    for (;; instance = program->instances[instance].above) {
        if (starts[instance].n_events != KPI_START_WHOLE && starts[instance].value > latest)
            latest = starts[instance].value;
        if (program->instances[instance].level >= level)
            return latest;
    }
}

kpi_time kpi_table_counts_from(const struct kpi_layout *layout, const struct kpi_row *rows,
                               uint32_t table, bool by)
{
    const struct kpi_program *program = &layout->plan->program;
    const struct kpi_row *starts = rows + kpi_layout_first_start(layout);
    const struct kpi_table *is = &program->tables[table];
    uint32_t level = is->info.kind == KPI_TABLE_ACTIVE_INTERVALS ? is->info.at_least
                     : is->info.kind == KPI_TABLE_SESSIONS       ? 0
                                                                 : 1;
    kpi_time start = latest_start(program, starts, by ? is->start_by : is->start, level);
    kpi_time back = latest_start(program, starts, by ? is->back_by : is->back, 1);
    uint32_t bounced = by ? is->bounced_by : is->bounced;
    kpi_time bounces =
        bounced == KPI_NO_INDEX ? KPI_TIME_NONE : latest_start(program, starts, bounced, 0);

    start = start > back ? start : back;
    return start > bounces ? start : bounces;
}

/* They stand behind the periods of the whole, of several shards the latest last. */
kpi_time kpi_table_users_from(const struct kpi_answers *answers, uint32_t table)
{
    kpi_time from = KPI_TIME_NONE;
    uint32_t i, end;

    for (kpi_answers_find(answers, KPI_ANSWER_TABLE, table, &i, &end); i < end; ++i) {
        struct kpi_answer answer = kpi_answers_get(answers, i);

        if (answer.n_values)
            break;
        if (answer.part == KPI_TABLE_PART_FROM)
            from = answer.start;
    }
    return from;
}

uint32_t kpi_table_cells(const struct kpi_plan *plan, const struct kpi_answer *answer,
                         kpi_time counts_from, kpi_time as_of, struct kpi_table_cell *ret_cells)
{
    const struct kpi_table_info *info = kpi_plan_table(plan, answer->index);
    int64_t size = kpi_table_users(answer, KPI_TABLE_CELL_SIZE), previous = size;
    bool counted = kpi_table_start(plan, answer->index, answer->start) >= counts_from;
    uint32_t n = 0;

    assert(info->kind == KPI_TABLE_RETENTION);
    for (uint32_t i = 0; i < kpi_table_n_cells(info); ++i) {
        struct kpi_bracket bracket = bracket_of(info, i);
        int64_t users = kpi_table_users(answer, KPI_TABLE_CELL_FIRST + i);
        kpi_time begin, end;

        cell_times(plan, info, answer->start, bracket, &begin, &end);
        if (begin > as_of)
            break;
        ret_cells[n++] = (struct kpi_table_cell){
            .n = bracket.from,
            .to = bracket.to,
            .users = users,
            .of = info->percent == KPI_TABLE_OF_PREVIOUS ? previous : size,
            .mature = counted && end <= as_of,
        };
        previous = users;
    }
    return n;
}

void kpi_table_means_add(struct kpi_table_mean *means, const struct kpi_table_cell *cells,
                         uint32_t n_cells)
{
    for (uint32_t i = 0; i < n_cells; ++i) {
        struct kpi_table_mean *mean = &means[i];

        mean->n = cells[i].n;
        mean->to = cells[i].to;
        mean->hidden |= cells[i].mature && cells[i].users < 0;
        if (!cells[i].mature || cells[i].users < 0 || cells[i].of <= 0)
            continue;
        mean->n_cohorts++;
        mean->users += cells[i].users;
        mean->of += cells[i].of;
        mean->sum += (double)cells[i].users / (double)cells[i].of;
    }
}

int kpi_table_sessions_get(const struct kpi_answer *answer, const struct kpi_mem *mem,
                           struct kpi_table_sessions *ret_sessions)
{
    struct kpi_table_sessions sessions = {
        .sessions = kpi_table_users(answer, KPI_TABLE_CELL_SESSIONS),
        .users = kpi_table_users(answer, KPI_TABLE_CELL_USERS),
        .bounced = kpi_table_users(answer, KPI_TABLE_CELL_BOUNCED),
        .open = kpi_table_users(answer, KPI_TABLE_CELL_OPEN),
        .mean = NAN,
        .median = KPI_TIME_NONE,
        .p90 = KPI_TIME_NONE,
    };
    struct kpi_quantiles lengths;

    if (answer->sketch.length > 0) {
        struct kpi_reader reader = kpi_reader_make(answer->sketch.data, answer->sketch.length);
        int r = kpi_quantiles_decode(&lengths, mem, &reader);

        assert(r <= 0); /* it was made here, or has been checked */
        if (r < 0)
            return r;
        sessions.mean = (double)cell_of(answer, KPI_TABLE_CELL_SECONDS) / (1e6 * (double)lengths.n);
        sessions.median = kpi_quantiles_value(&lengths, 500000);
        sessions.p90 = kpi_quantiles_value(&lengths, 900000);
        sessions.error = kpi_quantiles_are_exact(&lengths) ? 0 : KPI_ERROR_QUANTILES;
        kpi_quantiles_deinit(&lengths, mem);
    }
    *ret_sessions = sessions;
    return 0;
}
