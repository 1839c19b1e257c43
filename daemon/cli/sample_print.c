/* A sample for people, in tables: what was found, what never came, what is not read, what failed.
 */
#include "cli/sample.h"

#include "api/table.h"
#include "codec/mapping.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    REST_ROWS_MAX = 40,
    KINDS_BYTES = 48,
};

static const char *kinds_text(unsigned kinds, char text[KINDS_BYTES])
{
    static const char *const names[] = {"text", "number", "bool", "object", "list"};
    size_t n = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (kinds & 1u << i)
            n += (size_t)snprintf(text + n, KINDS_BYTES - n, "%s%s", n ? "/" : "", names[i]);
    }
    return text;
}

static int print_group(const struct sample_group *group)
{
    static const struct table_column columns[] = {
        {"  wanted", false}, {"from", false},    {"found", true},
        {"kind", false},     {"example", false}, {"becomes", false},
    };
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    struct kpi_string name = group->mapping->name;
    char kinds[KINDS_BYTES];
    int r;

    if (!table)
        return -ENOMEM;
    (void)printf("\nmapping %.*s, %s%s: %" PRIu64 "\n", (int)name.length, name.data,
                 group->type ? "events of type " : "refused or skipped",
                 group->type ? group->type : "", group->n);
    for (uint32_t i = 0; i < group->n_wants; i++) {
        const struct sample_want *want = &group->wants[i];

        table_add_format(table, "  %s", want->name);
        table_add(table, want->from[0] ? want->from : "-");
        if (want->n > 0)
            table_add_format(table, "%" PRIu64, want->n);
        else
            table_add(table, want->from[0] == '(' || want->becomes.text[0] ? "-" : "never");
        table_add(table, kinds_text(want->kinds, kinds));
        table_add(table, want->example.text);
        table_add(table, want->becomes.text);
    }
    r = table_print(table, stdout);
    (void)table_free(table);
    return r;
}

static int compare_paths(const void *a, const void *b)
{
    const struct sample_path *x = *(struct sample_path *const *)a,
                             *y = *(struct sample_path *const *)b;

    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->path, y->path);
}

static void add_path(struct table *table, const struct sample_path *path)
{
    char kinds[KINDS_BYTES];

    table_add_format(table, "  %s", path->path);
    table_add_format(table, "%" PRIu64, path->n);
    table_add(table, kinds_text(path->kinds, kinds));
    table_add_format(table, "%u%s", path->n_distinct,
                     path->n_distinct == SAMPLE_DISTINCT_MAX ? "+" : "");
    table_add(table, path->example.text);
}

static int print_rest(struct sample *sample, const struct sample_rest *rest)
{
    static const struct table_column columns[] = {
        {"  path", false}, {"found", true}, {"kind", false}, {"values", true}, {"example", false},
    };
    struct sample_path **paths, *path = rest->paths;
    struct table *table;
    int r;

    if (rest->n_paths == 0)
        return 0;
    paths = arena_alloc(&sample->arena, rest->n_paths * sizeof(*paths));
    table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    if (!paths || !table) {
        (void)table_free(table);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < rest->n_paths; i++, path = path->next)
        paths[i] = path;
    qsort(paths, rest->n_paths, sizeof(*paths), compare_paths);
    if (rest->mapping)
        (void)printf("\nnot read by mapping %.*s, in %" PRIu64 " messages\n",
                     (int)rest->mapping->name.length, rest->mapping->name.data, rest->n);
    else
        (void)printf("\nin %" PRIu64 " messages that no mapping is for\n", rest->n);
    for (uint32_t i = 0; i < rest->n_paths && i < REST_ROWS_MAX; i++)
        add_path(table, paths[i]);
    r = table_print(table, stdout);
    (void)table_free(table);
    if (rest->n_paths > REST_ROWS_MAX)
        (void)printf("  and %u more\n", rest->n_paths - REST_ROWS_MAX);
    return r;
}

static int print_refused(const struct sample *sample, const char *path)
{
    static const struct table_column columns[] = {
        {"  reason", false}, {"lines", true}, {"first", false}};
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    bool any = false;
    int r = 0;

    if (!table)
        return -ENOMEM;
    for (unsigned i = KPI_REFUSAL_NONE + 1; i < KPI_REFUSAL_COUNT; i++) {
        if (sample->n_refused[i] == 0 || i == KPI_REFUSAL_SKIPPED)
            continue;
        any = true;
        table_add_format(table, "  %s", kpi_refusal_name((enum kpi_refusal)i));
        table_add_format(table, "%" PRIu64, sample->n_refused[i]);
        table_add_format(table, "%s:%" PRIu64, path, sample->first_refused[i]);
    }
    if (any) {
        (void)printf("\nrefused\n");
        r = table_print(table, stdout);
    }
    (void)table_free(table);
    return r;
}

int sample_print(struct sample *sample, const char *path)
{
    int r = 0;

    (void)printf("%s: %" PRIu64 " lines: %" PRIu64 " events, %" PRIu64 " skipped, %" PRIu64
                 " refused\n",
                 path, sample->n_lines, sample->n_events, sample->n_skipped,
                 sample->n_lines - sample->n_events - sample->n_skipped);
    for (const struct sample_group *group = sample->groups; group && r == 0; group = group->next)
        r = print_group(group);
    for (const struct sample_rest *rest = sample->rests; rest && r == 0; rest = rest->next)
        r = print_rest(sample, rest);
    return r ? r : print_refused(sample, path);
}
