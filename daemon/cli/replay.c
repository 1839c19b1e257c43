/*
 * kpid replay: the same fold as the daemon's over files of events, one JSON object a line, without
 * Kafka and Redis. The record's timestamp is the event's own time.
 */
#include "cli/cli.h"

#include "api/kpis.h"
#include "api/table.h"
#include "cli/replay_fold.h"
#include "codec/time_text.h"
#include "codec/value_text.h"
#include "util/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid replay -c FILE [--shards N] [--at TIME] [-o json|table] [--digest] EVENTS…\n\n"
    "  kpid replay -c kpid.yaml events.ndjson           the KPIs as a table\n"
    "  kpid replay -c kpid.yaml -o json day1 day2       as /api/v1/kpis gives them\n"
    "  zcat events.gz | kpid replay -c kpid.yaml -      from standard input\n\n"
    "  -c, --config FILE   the configuration; kafka and redis are not used\n"
    "      --shards N      fold as N shards, by user (1)\n"
    "      --at TIME       judge what is complete as of this time (RFC 3339; the newest event's)\n"
    "  -o, --output FORM   json or table\n"
    "      --digest        print the digest of each shard's state instead\n\n"
    "Events that are refused are counted by reason on stderr; they do not make replay fail.\n";

struct arguments {
    const char *config;
    uint32_t n_shards;
    kpi_time at;
    bool json, digest;
};

/* 0 to go on, else 1 + exit code. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"output", required_argument, NULL, 'o'},
        {"shards", required_argument, NULL, 's'},
        {"at", required_argument, NULL, 'a'},
        {"digest", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1) {
        char *end;
        long n;

        switch (option) {
        case 'c':
            arguments->config = optarg;
            break;
        case 'o':
            arguments->json = strcmp(optarg, "json") == 0;
            if (!arguments->json && strcmp(optarg, "table") != 0)
                return 1 + cli_usage("replay", "-o is json or table, not", optarg);
            break;
        case 's':
            n = strtol(optarg, &end, 10);
            if (*end || n < 1 || n > 4096)
                return 1 + cli_usage("replay", "--shards is 1 to 4096, not", optarg);
            arguments->n_shards = (uint32_t)n;
            break;
        case 'a':
            if (time_text_parse(optarg, strlen(optarg), &arguments->at) != 0)
                return 1 + cli_usage("replay", "--at is a time as 2026-11-11T00:00:00+08:00, not",
                                     optarg);
            break;
        case 'd':
            arguments->digest = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 1;
        default:
            return 1 + cli_usage("replay", "unknown option", NULL);
        }
    }
    if (!arguments->config)
        return 1 + cli_usage("replay", "-c FILE is needed", NULL);
    if (optind == argc)
        return 1 + cli_usage("replay", "no file of events is named; - is standard input", NULL);
    return 0;
}

static void print_counts(const struct replay_fold *fold)
{
    (void)fprintf(stderr, "%llu events applied, %llu duplicates, %llu conflicts, %llu refused\n",
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_APPLIED],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_DUPLICATE],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_CONFLICT],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_REFUSED]);
    for (unsigned i = 1; i < KPI_REFUSAL_COUNT; i++) {
        if (fold->n_refusals[i])
            (void)fprintf(stderr, "  refused %-14s %llu, first at %s:%llu\n", kpi_refusal_name(i),
                          (unsigned long long)fold->n_refusals[i], fold->first_refusal[i].file,
                          (unsigned long long)fold->first_refusal[i].line);
    }
}

static int print_digests(const struct replay_fold *fold)
{
    for (uint32_t i = 0; i < fold->n_shards; i++) {
        uint8_t digest[16];

        if (kpi_engine_digest(fold->engines[i], digest) < 0)
            return EX_SOFTWARE;
        (void)printf("%u ", i);
        for (unsigned j = 0; j < sizeof(digest); j++)
            (void)printf("%02x", digest[j]);
        (void)printf("\n");
    }
    return 0;
}

static void add_number(struct table *table, const struct kpi_number *number)
{
    char text[VALUE_TEXT_BYTES_MAX] = "";

    if (number->kind == KPI_NUMBER_MONEY)
        (void)value_text_format_decimal(number->value, text);
    else if (number->kind == KPI_NUMBER_COUNT)
        (void)snprintf(text, sizeof(text), "%lld", (long long)number->value);
    else if (number->kind == KPI_NUMBER_REAL)
        (void)snprintf(text, sizeof(text), "%.6g", number->real);
    table_add(table, text);
}

static void add_value(struct table *table, enum kpi_unit unit, const struct kpi_value *value)
{
    if (value->state != KPI_VALUE_OK)
        table_add(table, value->state == KPI_VALUE_UNDEFINED ? "undefined" : "no data");
    else if (unit == KPI_UNIT_RATIO)
        table_add_format(table, "%.2f %%", 100 * value->value);
    else if (unit == KPI_UNIT_MULTIPLE)
        table_add_format(table, "1 : %.2f", value->value);
    else
        table_add_format(table, "%.6g", value->value);
}

static int print_table(const struct view *view)
{
    static const struct table_column columns[] = {
        {"campaign", false}, {"KPI", false},        {"scope", false},   {"value", true},
        {"numerator", true}, {"denominator", true}, {"complete", true},
    };
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n_kpis = kpi_plan_n_kpis(plan);
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
    int r;

    if (!table)
        return EX_SOFTWARE;
    for (uint32_t i = 0; i < kpi_layout_n_scopes(view->layout); i++) {
        const struct kpi_scope *scope = kpi_layout_scope(view->layout, i);

        for (uint32_t kpi = 0; kpi < n_kpis; kpi++) {
            const struct kpi_value *value = &view->values[(size_t)i * n_kpis + kpi];
            char name[KPI_SCOPE_NAME_BYTES_MAX];
            const struct kpi_kpi_info *info = kpi_plan_kpi(plan, kpi);
            struct kpi_string id = kpi_plan_campaign(plan, scope->campaign)->id;

            if (!kpi_layout_reports(view->layout, i, kpi))
                continue;
            table_add_format(table, "%.*s", (int)id.length, id.data);
            table_add_format(table, "%.*s %.*s", (int)info->name.length, info->name.data,
                             (int)info->title_zh.length, info->title_zh.data);
            (void)kpi_scope_name_format(name, plan, scope, true);
            table_add(table, name);
            add_value(table, info->unit, value);
            add_number(table, &value->numerator);
            add_number(table, &value->denominator);
            table_add_format(table, "%.0f %%", 100 * value->complete);
        }
    }
    r = table_print(table, stdout);
    (void)table_free(table);
    return r < 0 ? EX_SOFTWARE : 0;
}

static int print_kpis(const struct replay_fold *fold, const struct arguments *arguments)
{
    struct view *view = replay_view(fold, arguments->at);
    char *text = NULL;
    size_t size;
    int code = EX_SOFTWARE;

    if (!view)
        return EX_SOFTWARE;
    if (!arguments->json)
        code = print_table(view);
    else if (kpis_write(&text, &size, view, &(struct kpis_filter){0}, UINT64_MAX) == 0)
        code = fputs(text, stdout) == EOF ? EX_SOFTWARE : 0;
    free(text);
    (void)view_unref(view);
    return code;
}

int cli_replay(int argc, char **argv)
{
    struct arguments arguments = {.n_shards = 1, .at = KPI_TIME_NONE};
    struct replay_fold *fold = NULL;
    struct config *config;
    int r, code = 0;

    r = parse(argc, argv, &arguments);
    if (r > 0)
        return r - 1;
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
    config = cli_config(arguments.config, arguments.n_shards, &code);
    if (!config)
        return code;
    r = replay_fold_new(&fold, config, arguments.n_shards);
    for (int i = optind; i < argc && r == 0; i++)
        r = replay_fold_file(fold, argv[i]);
    if (r == 0)
        r = replay_fold_end(fold);
    if (r > 0) {
        code = EX_DATAERR;
    } else if (r < 0) {
        (void)fprintf(stderr, "kpid replay: %s\n", strerror(-r));
        code = EX_SOFTWARE;
    } else {
        print_counts(fold);
        code = arguments.digest ? print_digests(fold) : print_kpis(fold, &arguments);
    }
    (void)replay_fold_free(fold);
    (void)config_free(config);
    return code;
}
