/*
 * kpid replay: the same fold as the daemon's over files of events, one JSON object a line, without
 * Kafka and Redis. The record's timestamp is the event's own time.
 */
#include "cli/cli.h"

#include "api/kpis.h"
#include "api/table.h"
#include "cli/replay_fold.h"
#include "codec/time_text.h"
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
        {"config", required_argument, NULL, 'c'}, {"output", required_argument, NULL, 'o'},
        {"shards", required_argument, NULL, 's'}, {"at", required_argument, NULL, 'a'},
        {"digest", no_argument, NULL, 'd'},       {"help", no_argument, NULL, 'h'},
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

static int print_kpis(const struct replay_fold *fold, const struct arguments *arguments)
{
    struct view *view = replay_view(fold, arguments->at);
    char *text;

    if (!view)
        return EX_SOFTWARE;
    if (arguments->json) {
        text = kpis_json(view, NULL);
        if (text)
            (void)printf("%s\n", text);
        free(text);
    } else {
        text = kpis_table(view);
        if (text)
            (void)fputs(text, stdout);
        free(text);
    }
    (void)view_unref(view);
    return text ? 0 : EX_SOFTWARE;
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
        code = EX_NOINPUT;
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
