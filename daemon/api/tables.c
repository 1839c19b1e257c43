/*
 * Tables as JSON. An entry is a table, of the whole or of one group:
 *
 *   {"table":"signups","kind":"retention","basis":"day","definition":"00c0ffee00c0ffee",
 *    "start":"signups","return":"active","cohort":"first_time","mode":"classic","percent":"start",
 *    "cohorts":[{"start":"2026-11-01T00:00:00+08:00","size":100,
 *                "cells":[{"n":0,"users":100,"mature":true,"share":1}, …]}, …],
 *    "means":[{"n":0,"weighted":1,"simple":1,"cohorts":30}, …]}
 *   {"table":"life","kind":"lifecycle","basis":"week","definition":"…","of":"active",
 *    "periods":[{"start":"…","mature":true,"new":5,"returning":3,"resurrecting":1,"dormant":2}]}
 *   {"table":"days","kind":"active_intervals","basis":"day","over":"month","at_least":1,
 *    "definition":"…","of":"active","start":"…","end":"…","mature":false,
 *    "counts":[{"n":1,"users":40,"or_more":90}, …]}    one entry a month; "trailing":28 in place
 *    of "over": one entry a day, of the 28 days that end with it
 *   {"table":"dwell","kind":"sessions","basis":"day","definition":"…","of":"dwell_time",
 *    "users":"visitors","bounced":"bounces",
 *    "periods":[{"start":"…","mature":true,"sessions":5,"users":3,"mean_seconds":61.5,
 *                "median_seconds":40,"p90_seconds":200,"bounced":1,"bounce_rate":0.2}, …]}
 *
 * What was defined later than the events that it is about has "counts_from" behind "definition",
 * and nothing that began before is mature; it has an entry even if it is empty. Cells of brackets
 * have "to" behind "n". Cells whose time has not begun are not there; a share of nothing is null.
 * Means are over mature cells only, and null where there is none. Where median and p90 are of more
 * than 1,000 values there is "error":0.01 behind them, the relative one at most. Where sessions are
 * cut by gap, "open":2 behind "mature" tells of those that are not over, nor in the other numbers;
 * until they are the period is not mature.
 *
 * Under min_group the users of a cell are null that may not be shown, as its share, the means with
 * it and, of active intervals, what would tell them; cohorts, periods and groups are left out; and
 * where anything of a table is missing, there is
 * {"table":"signups","by":{"channel":"__suppressed__"}, "state":"suppressed"}.
 */
#include "api/answers.h"

#include "util/error.h"
#include "util/memory.h"

#include <kpi/table.h>
#include <math.h>
#include <stdlib.h>

static const char *const basis_names[] = {"hour",    "day",  "week",   "month",
                                          "quarter", "year", "elapsed"};
static const char *const cohort_names[] = {"first_time", "first_ever", "recurring"};
static const char *const mode_names[] = {"classic", "unbounded", "bracket", "every"};
static const char *const percent_names[] = {"start", "previous"};

const char *tables_kind_name(enum kpi_table_kind kind)
{
    static const char *const names[] = {"retention", "active_intervals", "lifecycle", "sessions"};

    return names[kind];
}

const char *tables_basis_name(enum kpi_table_basis basis)
{
    return basis_names[basis];
}

/* A table being written: its entry, and for retention what cells and means are made in. */
struct writing {
    struct json *json;
    cJSON *array;
    const struct answers_page *page;
    const struct kpi_table_info *info;
    uint32_t table;
    uint32_t begin, end;  /* its answers, of the whole first */
    kpi_time users_from;  /* kpi_table_users_from() */
    kpi_time counts_from; /* of the group at hand */
    struct kpi_table_cell *cells;
    struct kpi_table_mean *means;
};

static struct kpi_string table_name(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_table(plan, index)->name;
}

static const struct kpi_breakdown_info *table_by(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_table(plan, index)->by;
}

static void add_ratio(struct json *json, cJSON *item, const char *key, double upper, double lower)
{
    json_add_real(json, item, key, upper >= 0 && lower > 0 ? upper / lower : NAN);
}

/* An entry up to what its kind has; of the values of an answer. */
static cJSON *begin_entry(const struct writing *writing, const struct kpi_answer *answer)
{
    const struct kpi_table_info *info = writing->info;
    cJSON *entry = json_object(writing->json, writing->array, NULL);

    json_add_string(writing->json, entry, "table", info->name);
    json_add_text(writing->json, entry, "kind", tables_kind_name(info->kind));
    json_add_text(writing->json, entry, "basis", basis_names[info->basis]);
    if (answer->n_values)
        answers_add_by(writing->json, entry, info->by, answer);
    json_add_hash(writing->json, entry, "definition", info->fingerprint);
    if (writing->counts_from != KPI_TIME_NONE)
        json_add_time(writing->json, entry, "counts_from", writing->counts_from, 0);
    return entry;
}

/* --- retention --- */

static void add_cells(struct json *json, cJSON *item, const struct kpi_table_info *info,
                      const struct kpi_table_cell *cells, uint32_t n)
{
    cJSON *array = json_array(json, item, "cells");

    for (uint32_t i = 0; i < n; i++) {
        cJSON *cell = json_object(json, array, NULL);

        json_add_integer(json, cell, "n", cells[i].n);
        if (info->mode == KPI_TABLE_BRACKET)
            json_add_integer(json, cell, "to", cells[i].to);
        answers_add_count(json, cell, "users", cells[i].users);
        json_add_bool(json, cell, "mature", cells[i].mature);
        add_ratio(json, cell, "share", (double)cells[i].users, (double)cells[i].of);
    }
}

static void add_cohort(const struct writing *writing, cJSON *cohorts,
                       const struct kpi_answer *answer)
{
    const struct answers_page *page = writing->page;
    kpi_time start = kpi_table_start(page->plan, writing->table, answer->start);
    cJSON *item;
    uint32_t n;

    if (!answers_in_time(page, start) || kpi_table_users(answer, KPI_TABLE_CELL_SIZE) == 0)
        return;
    item = json_object(writing->json, cohorts, NULL);
    answers_add_time(writing->json, item, "start", page->plan, start);
    json_add_integer(writing->json, item, "size", kpi_table_users(answer, KPI_TABLE_CELL_SIZE));
    n = kpi_table_cells(page->plan, answer, writing->counts_from, page->as_of, writing->cells);
    add_cells(writing->json, item, writing->info, writing->cells, n);
    kpi_table_means_add(writing->means, writing->cells, n);
}

static void add_means(const struct writing *writing, cJSON *entry)
{
    cJSON *array = json_array(writing->json, entry, "means");

    for (uint32_t i = 0; i < kpi_table_n_cells(writing->info); i++) {
        const struct kpi_table_mean *mean = &writing->means[i];
        cJSON *item;

        if (mean->n_cohorts == 0 && !mean->hidden)
            continue;
        item = json_object(writing->json, array, NULL);
        json_add_integer(writing->json, item, "n", mean->n);
        if (writing->info->mode == KPI_TABLE_BRACKET)
            json_add_integer(writing->json, item, "to", mean->to);
        add_ratio(writing->json, item, "weighted", (double)mean->users,
                  mean->hidden ? 0 : (double)mean->of);
        add_ratio(writing->json, item, "simple", mean->sum, mean->hidden ? 0 : mean->n_cohorts);
        json_add_integer(writing->json, item, "cohorts", mean->n_cohorts);
    }
}

/* The answers [begin, end) are cohorts of the values of this one. */
static void add_retention(const struct writing *writing, const struct kpi_answer *of,
                          uint32_t begin, uint32_t end)
{
    const struct kpi_table_info *info = writing->info;
    struct json *json = writing->json;
    cJSON *entry = begin_entry(writing, of), *cohorts;

    json_add_string(json, entry, "start", info->start);
    json_add_string(json, entry, "return", info->back);
    json_add_text(json, entry, "cohort", cohort_names[info->cohort]);
    json_add_text(json, entry, "mode", mode_names[info->mode]);
    json_add_text(json, entry, "percent", percent_names[info->percent]);
    cohorts = json_array(json, entry, "cohorts");
    memset(writing->means, 0, kpi_table_n_cells(info) * sizeof(*writing->means));
    for (uint32_t i = begin; i < end; i++) {
        struct kpi_answer answer = kpi_answers_get(writing->page->answers, i);

        add_cohort(writing, cohorts, &answer);
    }
    add_means(writing, entry);
}

/* --- lifecycle --- */

/*
 * A period up to what its kind has; NULL if it is not asked for. When it has ended it is mature if
 * it is settled.
 */
static cJSON *begin_period(const struct writing *writing, cJSON *periods,
                           const struct kpi_answer *answer, bool settled)
{
    const struct answers_page *page = writing->page;
    kpi_time start = kpi_table_start(page->plan, writing->table, answer->start);
    cJSON *item;

    if (!answers_in_time(page, start))
        return NULL;
    item = json_object(writing->json, periods, NULL);
    answers_add_time(writing->json, item, "start", page->plan, start);
    json_add_bool(writing->json, item, "mature",
                  settled && start >= writing->counts_from &&
                      kpi_table_end(page->plan, writing->table, answer->start) <= page->as_of);
    return item;
}

static void add_life(const struct writing *writing, cJSON *periods, const struct kpi_answer *answer)
{
    static const char *const names[KPI_TABLE_N_LIFECYCLE] = {
        [KPI_TABLE_CELL_NEW] = "new",
        [KPI_TABLE_CELL_RETURNING] = "returning",
        [KPI_TABLE_CELL_RESURRECTING] = "resurrecting",
        [KPI_TABLE_CELL_DORMANT] = "dormant",
    };
    cJSON *item = begin_period(writing, periods, answer, true);

    for (uint32_t i = 0; item && i < KPI_TABLE_N_LIFECYCLE; i++)
        json_add_integer(writing->json, item, names[i], kpi_table_users(answer, i));
}

static void add_lifecycle(const struct writing *writing, const struct kpi_answer *of,
                          uint32_t begin, uint32_t end)
{
    cJSON *entry = begin_entry(writing, of), *periods;

    json_add_string(writing->json, entry, "of", writing->info->start);
    periods = json_array(writing->json, entry, "periods");
    for (uint32_t i = begin; i < end; i++) {
        struct kpi_answer answer = kpi_answers_get(writing->page->answers, i);

        add_life(writing, periods, &answer);
    }
}

/* --- sessions --- */

/* In 10^-6 seconds. */
static void add_seconds(struct json *json, cJSON *item, const char *key, kpi_decimal seconds)
{
    json_add_real(json, item, key, seconds == KPI_TIME_NONE ? NAN : (double)seconds / 1e6);
}

/* Does a period have sessions that are open? Of a group nobody knows it yet. */
static bool has_open(const struct writing *writing, int64_t start)
{
    for (uint32_t i = writing->begin; i < writing->end; i++) {
        struct kpi_answer answer = kpi_answers_get(writing->page->answers, i);

        if (answer.n_values > 0)
            break;
        if (answer.start == start)
            return kpi_table_users(&answer, KPI_TABLE_CELL_OPEN) > 0;
    }
    return false;
}

static void add_lengths(const struct writing *writing, cJSON *periods,
                        const struct kpi_answer *answer)
{
    cJSON *item = begin_period(writing, periods, answer, !has_open(writing, answer->start));
    struct json *json = writing->json;
    struct kpi_table_sessions sessions;

    if (!item)
        return;
    if (kpi_table_sessions_get(answer, &memory_kpi, &sessions) < 0) {
        json->failed = true;
        return;
    }
    if (sessions.open > 0)
        json_add_integer(json, item, "open", sessions.open);
    json_add_integer(json, item, "sessions", sessions.sessions);
    json_add_integer(json, item, "users", sessions.users);
    json_add_real(json, item, "mean_seconds", sessions.mean);
    add_seconds(json, item, "median_seconds", sessions.median);
    add_seconds(json, item, "p90_seconds", sessions.p90);
    if (sessions.error > 0)
        json_add_real(json, item, "error", sessions.error);
    if (writing->info->bounced.length == 0)
        return;
    json_add_integer(json, item, "bounced", sessions.bounced);
    add_ratio(json, item, "bounce_rate", (double)sessions.bounced, (double)sessions.sessions);
}

static void add_sessions(const struct writing *writing, const struct kpi_answer *of, uint32_t begin,
                         uint32_t end)
{
    const struct kpi_table_info *info = writing->info;
    cJSON *entry = begin_entry(writing, of), *periods;

    json_add_string(writing->json, entry, "of", info->start);
    json_add_string(writing->json, entry, "users", info->back);
    if (info->bounced.length > 0)
        json_add_string(writing->json, entry, "bounced", info->bounced);
    periods = json_array(writing->json, entry, "periods");
    for (uint32_t i = begin; i < end; i++) {
        struct kpi_answer answer = kpi_answers_get(writing->page->answers, i);

        add_lengths(writing, periods, &answer);
    }
}

/* --- active intervals --- */

static void add_counts(struct json *json, cJSON *entry, const struct kpi_answer *answer)
{
    cJSON *counts = json_array(json, entry, "counts");
    int64_t or_more = 0, n_hidden = 0;

    for (uint32_t i = 0; i < answer->n_cells; i++) {
        n_hidden += kpi_table_users(answer, i) < 0;
        or_more += kpi_table_users(answer, i) < 0 ? 0 : kpi_table_users(answer, i);
    }
    for (uint32_t i = 0; i < answer->n_cells; i++) {
        int64_t users = kpi_table_users(answer, i);
        cJSON *item = json_object(json, counts, NULL);

        json_add_integer(json, item, "n", i + 1);
        answers_add_count(json, item, "users", users);
        answers_add_count(json, item, "or_more", n_hidden ? -1 : or_more);
        n_hidden -= users < 0;
        or_more -= users < 0 ? 0 : users;
    }
}

/* An entry up to what it says of its period. */
static cJSON *begin_intervals(const struct writing *writing, const struct kpi_answer *answer)
{
    const struct kpi_table_info *info = writing->info;
    cJSON *entry = begin_entry(writing, answer);

    json_add_string(writing->json, entry, "of", info->start);
    if (info->trailing)
        json_add_integer(writing->json, entry, "trailing", info->trailing);
    else
        json_add_text(writing->json, entry, "over", basis_names[info->over]);
    json_add_integer(writing->json, entry, "at_least", info->at_least);
    return entry;
}

static void add_period(const struct writing *writing, const struct kpi_answer *answer)
{
    const struct answers_page *page = writing->page;
    kpi_time start = kpi_table_from(page->plan, writing->table, answer->start);
    kpi_time end = kpi_table_end(page->plan, writing->table, answer->start);
    cJSON *entry;

    if (!answers_in_time(page, kpi_table_start(page->plan, writing->table, answer->start)))
        return;
    entry = begin_intervals(writing, answer);
    answers_add_time(writing->json, entry, "start", page->plan, start);
    answers_add_time(writing->json, entry, "end", page->plan, end);
    json_add_bool(writing->json, entry, "mature",
                  start >= writing->counts_from && end <= page->as_of);
    add_counts(writing->json, entry, answer);
}

/* Each period has an entry of its own; without any there is one that has neither begin nor end. */
static void add_intervals(const struct writing *writing, const struct kpi_answer *of,
                          uint32_t begin, uint32_t end)
{
    if (begin == end)
        (void)json_array(writing->json, begin_intervals(writing, of), "counts");
    for (uint32_t i = begin; i < end; i++) {
        struct kpi_answer answer = kpi_answers_get(writing->page->answers, i);

        add_period(writing, &answer);
    }
}

/* --- all of them --- */

/* The answers [begin, end) are of the values of this one, and those that are shown. */
static void add_group(const struct writing *writing, const struct kpi_answer *of, uint32_t begin,
                      uint32_t end)
{
    switch (writing->info->kind) {
    case KPI_TABLE_RETENTION:
        add_retention(writing, of, begin, end);
        break;
    case KPI_TABLE_LIFECYCLE:
        add_lifecycle(writing, of, begin, end);
        break;
    case KPI_TABLE_SESSIONS:
        add_sessions(writing, of, begin, end);
        break;
    case KPI_TABLE_ACTIVE_INTERVALS:
        add_intervals(writing, of, begin, end);
        break;
    }
}

/* Stands for what is not shown of the groups. */
static void add_suppressed(const struct writing *writing)
{
    if (writing->page->broken_down)
        answers_add_suppressed(writing->json, writing->array, "table", writing->info->name,
                               writing->info->by);
}

static bool is_shown(const struct writing *writing, uint32_t index)
{
    struct kpi_answer answer = kpi_answers_get(writing->page->answers, index);

    return answer.part == KPI_TABLE_PART_PERIOD &&
           kpi_table_shows(writing->page->plan, writing->table, answer.start, writing->page->as_of);
}

/* From when the whole counts, or the groups. */
static kpi_time counts_from(const struct writing *writing, bool by)
{
    const struct view *view = writing->page->view;
    kpi_time from = kpi_table_counts_from(view->layout, view->rows, writing->table, by);

    return writing->users_from > from ? writing->users_from : from;
}

/* Nothing is there of the whole: it says so if something may be missing. */
static void add_nothing(struct writing *writing)
{
    const struct kpi_answer whole = {.kind = KPI_ANSWER_TABLE, .index = writing->table};

    writing->counts_from = counts_from(writing, false);
    if (writing->counts_from != KPI_TIME_NONE && writing->page->whole)
        add_group(writing, &whole, writing->end, writing->end);
}

/* Answers are in order of values, then of part and start; the first and the last may not be shown.
 */
static void add_groups(struct writing *writing)
{
    const struct kpi_answers *answers = writing->page->answers;
    bool has_whole = false;
    uint32_t begin, end;

    if (!answers)
        return;
    writing->users_from = kpi_table_users_from(answers, writing->table);
    kpi_answers_find(answers, KPI_ANSWER_TABLE, writing->table, &begin, &end);
    writing->begin = begin;
    writing->end = end;
    while (begin < end) {
        struct kpi_answer first = kpi_answers_get(answers, begin);
        uint32_t next = begin + 1, to;

        for (; next < end; next++) {
            struct kpi_answer other = kpi_answers_get(answers, next);

            if (other.part != first.part || !kpi_answers_alike(&first, &other))
                break;
        }
        for (to = next; begin < next && !is_shown(writing, begin); begin++)
            ;
        for (; to > begin && !is_shown(writing, to - 1); to--)
            ;
        has_whole |= begin < to && !first.n_values;
        writing->counts_from = counts_from(writing, first.n_values);
        if (first.part == KPI_ANSWER_PART_SUPPRESSED)
            add_suppressed(writing);
        else if (begin < to && answers_takes(writing->page, &first))
            add_group(writing, &first, begin, to);
        begin = next;
    }
    if (!has_whole)
        add_nothing(writing);
}

static int tables_add(struct json *json, cJSON *array, const struct answers_page *page,
                      uint32_t index)
{
    struct writing writing = {
        .json = json,
        .array = array,
        .page = page,
        .info = kpi_plan_table(page->plan, index),
        .table = index,
    };
    uint32_t n = kpi_table_n_cells(writing.info);

    writing.cells = calloc(n, sizeof(*writing.cells));
    writing.means = calloc(n, sizeof(*writing.means));
    if (writing.cells && writing.means)
        add_groups(&writing);
    else
        json->failed = true;
    free(writing.cells);
    free(writing.means);
    return json->failed ? error_origin(-ENOMEM) : 0;
}

const struct answers_station tables_station = {
    .key = "tables",
    .count = kpi_plan_n_tables,
    .name = table_name,
    .by = table_by,
    .add = tables_add,
};
