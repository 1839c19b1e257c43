/*
 * Tables and funnels as `kpid replay` prints them for people: made of the JSON, so that the two
 * cannot say different things.
 */
#include "cli/replay_print.h"

#include "api/answers.h"
#include "api/table.h"
#include "config/report.h"
#include "util/error.h"

#include <kpi/funnel.h>
#include <kpi/table.h>
#include <stdlib.h>
#include <string.h>

enum {
    TITLE_BYTES = 24,
};

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* A number or a text as it is written; empty for what is null or not there. */
static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = get(object, key);

    return cJSON_IsString(item) || cJSON_IsRaw(item) ? item->valuestring : "";
}

static bool is_told(const cJSON *object, const char *key)
{
    return *text_of(object, key) != '\0';
}

static bool is_mature(const cJSON *object)
{
    return cJSON_IsTrue(get(object, "mature"));
}

/* ` channel="wechat" newcomer="true"`; values come from outside. */
static void print_by(const cJSON *entry, FILE *out)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, get(entry, "by"))
    {
        const char *text = cJSON_IsString(value) ? value->valuestring : NULL;

        (void)fprintf(out, " %s=%s", value->string,
                      text ? QUOTE(((struct kpi_string){text, strlen(text)})) : "null");
    }
}

/* The name, the title if it is another, and the group; false: there is nothing else to print of it.
 */
static bool print_head(const cJSON *entry, const char *kind, struct kpi_string title, FILE *out)
{
    const char *name = text_of(entry, kind);

    (void)fprintf(out, "\n%s", name);
    if (title.length > 0 && !kpi_string_equal(title, (struct kpi_string){name, strlen(name)}))
        (void)fprintf(out, " %.*s", (int)title.length, title.data);
    if (strcmp(text_of(entry, "state"), "suppressed") != 0) {
        print_by(entry, out);
        return true;
    }
    (void)fprintf(out, " by");
    for (const cJSON *value = get(entry, "by")->child; value; value = value->next)
        (void)fprintf(out, " %s", value->string);
    (void)fprintf(out, ": what is of too few users is not shown\n");
    return false;
}

/* 2026-11-09, or 2026-11-09 10:00 of hours; a star if it may still change. */
static void add_start(struct table *table, const cJSON *item, bool with_time, bool star)
{
    const char *start = text_of(item, "start");

    if (with_time)
        table_add_format(table, "%.10s %.5s%s", start, start + 11, star ? "*" : "");
    else
        table_add_format(table, "%.10s%s", start, star ? "*" : "");
}

static void add_share(struct table *table, const cJSON *item, const char *key, bool star)
{
    if (is_told(item, key))
        table_add_format(table, "%.1f %%%s", 100 * atof(text_of(item, key)), star ? "*" : "");
    else
        table_add(table, "-");
}

static void add_count(struct table *table, const cJSON *item, const char *key)
{
    table_add(table, is_told(item, key) ? text_of(item, key) : "-");
}

/* 58:00:00 */
static void add_duration(struct table *table, const cJSON *item, const char *key)
{
    double seconds = atof(text_of(item, key));
    long whole = (long)seconds;

    if (!is_told(item, key))
        table_add(table, "-");
    else
        table_add_format(table, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

static int print_end(struct table *table, FILE *out)
{
    int r = table_print(table, out);

    (void)table_free(table);
    return r;
}

/* --- tables --- */

/* The mean of the same n, or NULL. */
static const cJSON *find_mean(const cJSON *means, const cJSON *cell)
{
    const cJSON *mean;

    cJSON_ArrayForEach(mean, means)
    {
        if (strcmp(text_of(mean, "n"), text_of(cell, "n")) == 0 &&
            strcmp(text_of(mean, "to"), text_of(cell, "to")) == 0)
            return mean;
    }
    return NULL;
}

/* Over the cohorts, of each of these cells. */
static void add_means(struct table *table, const cJSON *means, const cJSON *cells, const char *key)
{
    const cJSON *cell;

    table_add_format(table, "%s mean", key);
    table_add(table, "");
    cJSON_ArrayForEach(cell, cells)
    {
        const cJSON *mean = find_mean(means, cell);

        if (mean)
            add_share(table, mean, key, false);
        else
            table_add(table, "");
    }
}

/* A row a cohort: a triangle, as of the later ones less is known. Returns 0 or -ENOMEM. */
static int print_cohorts(const cJSON *entry, struct table_column *columns, char *titles,
                         unsigned n_cells, FILE *out)
{
    bool with_time = strcmp(text_of(entry, "basis"), "hour") == 0;
    const cJSON *cohort, *cell, *longest = NULL;
    struct table *table;
    unsigned n = 0;

    cJSON_ArrayForEach(cohort, get(entry, "cohorts"))
    {
        if (!longest || cJSON_GetArraySize(get(cohort, "cells")) > cJSON_GetArraySize(longest))
            longest = get(cohort, "cells");
    }
    cJSON_ArrayForEach(cell, longest)
    {
        char *title = titles + (size_t)n * TITLE_BYTES;

        (void)snprintf(title, TITLE_BYTES, is_told(cell, "to") ? "[%s, %s)" : "%s",
                       text_of(cell, "n"), text_of(cell, "to"));
        columns[2 + n++] = (struct table_column){title, true};
    }
    table = table_new(columns, 2 + n_cells);
    if (!table)
        return error_origin(-ENOMEM);
    cJSON_ArrayForEach(cohort, get(entry, "cohorts"))
    {
        add_start(table, cohort, with_time, false);
        add_count(table, cohort, "size");
        n = 0;
        cJSON_ArrayForEach(cell, get(cohort, "cells"))
        {
            add_share(table, cell, "share", !is_mature(cell));
            n++;
        }
        for (; n < n_cells; n++)
            table_add(table, "");
    }
    add_means(table, get(entry, "means"), longest, "weighted");
    add_means(table, get(entry, "means"), longest, "simple");
    return print_end(table, out);
}

static int print_retention(const cJSON *entry, FILE *out)
{
    struct table_column *columns;
    unsigned n_cells = 0;
    const cJSON *cohort;
    char *titles;
    int r = -ENOMEM;

    (void)fprintf(out, ": %s(%s) back by %s, %s, %s\n", text_of(entry, "cohort"),
                  text_of(entry, "start"), text_of(entry, "return"), text_of(entry, "basis"),
                  text_of(entry, "mode"));
    cJSON_ArrayForEach(cohort, get(entry, "cohorts"))
    {
        unsigned n = (unsigned)cJSON_GetArraySize(get(cohort, "cells"));

        n_cells = n > n_cells ? n : n_cells;
    }
    columns = calloc(2 + n_cells, sizeof(*columns));
    titles = calloc(n_cells + 1, TITLE_BYTES);
    if (columns && titles) {
        columns[0] = (struct table_column){"start", false};
        columns[1] = (struct table_column){"size", true};
        r = print_cohorts(entry, columns, titles, n_cells, out);
    }
    free(columns);
    free(titles);
    return r < 0 ? error_trace(r) : 0;
}

static int print_lifecycle(const cJSON *entry, FILE *out)
{
    static const struct table_column columns[] = {{"start", false},
                                                  {"new", true},
                                                  {"returning", true},
                                                  {"resurrecting", true},
                                                  {"dormant", true}};
    bool with_time = strcmp(text_of(entry, "basis"), "hour") == 0;
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const cJSON *period;

    if (!table)
        return error_origin(-ENOMEM);
    (void)fprintf(out, ": %s, %s\n", text_of(entry, "of"), text_of(entry, "basis"));
    cJSON_ArrayForEach(period, get(entry, "periods"))
    {
        add_start(table, period, with_time, !is_mature(period));
        for (size_t i = 1; i < sizeof(columns) / sizeof(columns[0]); i++)
            add_count(table, period, columns[i].title);
    }
    return print_end(table, out);
}

static int print_intervals(const cJSON *entry, FILE *out)
{
    static const struct table_column columns[] = {{"n", true}, {"users", true}, {"or_more", true}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const cJSON *count;

    if (!table)
        return error_origin(-ENOMEM);
    if (is_told(entry, "trailing"))
        (void)fprintf(out, ": %s, n of the %s %ss before %.*s%s\n", text_of(entry, "of"),
                      text_of(entry, "trailing"), text_of(entry, "basis"),
                      strcmp(text_of(entry, "basis"), "hour") == 0 ? 16 : 10, text_of(entry, "end"),
                      is_mature(entry) ? "" : "*");
    else
        (void)fprintf(out, ": %s, n of each %s of the %s from %.10s%s\n", text_of(entry, "of"),
                      text_of(entry, "basis"), text_of(entry, "over"), text_of(entry, "start"),
                      is_mature(entry) ? "" : "*");
    cJSON_ArrayForEach(count, get(entry, "counts"))
    {
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
            add_count(table, count, columns[i].title);
    }
    return print_end(table, out);
}

/* A star where some are not over. */
static int print_sessions(const cJSON *entry, FILE *out)
{
    static const struct table_column columns[] = {
        {"start", false}, {"sessions", true}, {"users", true},   {"mean time", true},
        {"median", true}, {"p90", true},      {"bounced", true}, {"of sessions", true}};
    bool with_time = strcmp(text_of(entry, "basis"), "hour") == 0;
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const cJSON *period;

    if (!table)
        return error_origin(-ENOMEM);
    (void)fprintf(out, ": %s, %s\n", text_of(entry, "of"), text_of(entry, "basis"));
    cJSON_ArrayForEach(period, get(entry, "periods"))
    {
        add_start(table, period, with_time, !is_mature(period));
        add_count(table, period, "sessions");
        add_count(table, period, "users");
        add_duration(table, period, "mean_seconds");
        add_duration(table, period, "median_seconds");
        add_duration(table, period, "p90_seconds");
        add_count(table, period, "bounced");
        add_share(table, period, "bounce_rate", false);
    }
    return print_end(table, out);
}

static int print_table(const struct kpi_plan *plan, const cJSON *entry, FILE *out)
{
    const char *name = text_of(entry, "table");
    struct kpi_string title = {name, strlen(name)};

    for (uint32_t i = 0; i < kpi_plan_n_tables(plan); i++) {
        const struct kpi_table_info *info = kpi_plan_table(plan, i);

        if (kpi_string_equal(info->name, (struct kpi_string){name, strlen(name)}))
            title = info->title_zh;
    }
    if (!print_head(entry, "table", title, out))
        return 0;
    if (get(entry, "cohorts"))
        return print_retention(entry, out);
    if (strcmp(text_of(entry, "kind"), "sessions") == 0)
        return print_sessions(entry, out);
    return get(entry, "periods") ? print_lifecycle(entry, out) : print_intervals(entry, out);
}

/* --- funnels --- */

static void add_step(struct table *table, const cJSON *step, const char *name)
{
    table_add(table, name);
    add_count(table, step, "users");
    add_share(table, step, "of_first", false);
    add_share(table, step, "of_previous", false);
    add_duration(table, step, "median_seconds");
    add_duration(table, step, "mean_seconds");
}

static int print_steps(const cJSON *entry, FILE *out)
{
    static const struct table_column columns[] = {{"step", false},       {"users", true},
                                                  {"of first", true},    {"of previous", true},
                                                  {"median time", true}, {"mean time", true}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    const cJSON *step, *whole = get(entry, "whole");

    if (!table)
        return error_origin(-ENOMEM);
    cJSON_ArrayForEach(step, get(entry, "steps"))
    {
        add_step(table, step, text_of(step, "step"));
    }
    table_add(table, "whole");
    add_count(table, whole, "users");
    table_add(table, "");
    table_add(table, "");
    add_duration(table, whole, "median_seconds");
    add_duration(table, whole, "mean_seconds");
    return print_end(table, out);
}

/* Users of each step by the day on which they entered. */
static int print_trend(const cJSON *entry, FILE *out)
{
    struct table_column columns[1 + KPI_FUNNEL_STEPS_MAX] = {{"entered on", false}};
    const cJSON *trend = get(entry, "trend"), *step, *day, *users;
    struct table *table;
    unsigned n = 1;

    if (cJSON_GetArraySize(trend) == 0)
        return 0;
    cJSON_ArrayForEach(step, get(entry, "steps"))
    {
        columns[n++] = (struct table_column){text_of(step, "step"), true};
    }
    table = table_new(columns, n);
    if (!table)
        return error_origin(-ENOMEM);
    cJSON_ArrayForEach(day, trend)
    {
        add_start(table, day, false, !is_mature(day));
        cJSON_ArrayForEach(users, get(day, "users"))
        {
            table_add(table, users->valuestring);
        }
    }
    (void)fputc('\n', out);
    return print_end(table, out);
}

static int print_funnel(const cJSON *entry, FILE *out)
{
    const char *title = text_of(get(entry, "title"), "zh");
    int r;

    if (!print_head(entry, "funnel", (struct kpi_string){title, strlen(title)}, out))
        return 0;
    (void)fprintf(out, ": %s, within %.10gh", text_of(entry, "order"),
                  atof(text_of(entry, "within_seconds")) / 3600);
    if (strcmp(text_of(entry, "late_events"), "0") != 0)
        (void)fprintf(out, "; %s late events left out", text_of(entry, "late_events"));
    (void)fputc('\n', out);
    r = print_steps(entry, out);
    return r == 0 ? print_trend(entry, out) : r;
}

int replay_print_answers(const struct view *view, FILE *out)
{
    struct json json = {0};
    cJSON *root = json_object(&json, NULL, NULL);
    const cJSON *entry;
    int r = answers_add_all(&json, root, view);

    if (json.failed)
        r = error_origin(-ENOMEM);
    cJSON_ArrayForEach(entry, get(root, "tables"))
    {
        r = r == 0 ? print_table(kpi_layout_plan(view->layout), entry, out) : r;
    }
    cJSON_ArrayForEach(entry, get(root, "funnels"))
    {
        r = r == 0 ? print_funnel(entry, out) : r;
    }
    cJSON_Delete(root);
    return r < 0 ? error_trace(r) : 0;
}
