/*
 * kpid replay: the same fold as the daemon's over files of events, without Kafka and Redis. The
 * record's timestamp is the event's own time.
 */
#include "cli/cli.h"

#include "cli/replay_fold.h"
#include "cli/replay_print.h"
#include "cli/replay_progress.h"
#include "codec/time_text.h"
#include "util/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char help[] =
    "usage: kpid replay -c FILE [OPTION]… EVENTS…\n\n"
    "  kpid replay -c kpid.yaml events.ndjson             the KPIs as a table\n"
    "  kpid replay -c kpid.yaml -o json day1.gz day2.gz   as /api/v1/kpis?by=* gives them\n"
    "  kpid replay -c kpid.yaml -o csv orders.csv >k.csv  one row a value\n"
    "  psql -c 'COPY events TO STDOUT CSV HEADER' | kpid replay -c kpid.yaml --format csv -\n"
    "  kpid replay -c kpid.yaml --from 2026-11-01T00:00:00+08:00 --to 2026-11-12T00:00:00+08:00 "
    "log\n"
    "  kpid replay -c kpid.yaml --strict export.csv       stop at the first bad event\n\n"
    "EVENTS are files, or - for standard input: one JSON object a line, or CSV (.csv, .csv.gz) "
    "whose\n"
    "first line names the columns with the keys of the JSON. An empty cell is an absent key; a "
    "cell\n"
    "that reads as a number, true or false is one where no string is wanted. gzip is seen by "
    "itself.\n\n"
    "  -c, --config FILE    the configuration; kafka and redis are not used\n"
    "  -o, --output FORM    table, json or csv (table)\n"
    "      --at TIME        judge what is complete as of this time (RFC 3339; the newest event's)\n"
    "      --from TIME      pass over events before this time, by their own\n"
    "      --to TIME        pass over events at or after it\n"
    "      --strict         refuse everything at the first bad event: FILE:LINE: REASON, exit 65\n"
    "      --format FORM    ndjson or csv, whatever the files are called\n"
    "      --topic TOPIC    the events are of this topic: for mappings that differ by topic\n"
    "      --shards N       fold as N shards, by user (1)\n"
    "      --digest         print the digest of each shard's state instead\n\n"
    "Events that are refused are counted by reason on stderr; without --strict they do not make\n"
    "replay fail. Copies, events outside of --from and --to, and those that a mapping skips "
    "(other:\n"
    "skip) are not bad; what no mapping is for is. Exit codes: 64 usage, 65 bad data, 66 a file\n"
    "cannot be read, 74 stdout cannot be written, 78 configuration.\n";

enum output {
    OUTPUT_TABLE,
    OUTPUT_JSON,
    OUTPUT_CSV,
};

struct arguments {
    const char *config, *topic;
    uint32_t n_shards;
    kpi_time at, from, to;
    enum replay_format format;
    enum output output;
    bool strict, digest;
};

static int usage(const char *text, const char *argument)
{
    return 1 + cli_usage("replay", text, argument);
}

/* The index of the word, or -1. */
static int choose(const char *text, const char *const *words, int n_words)
{
    for (int i = 0; i < n_words; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
    }
    return -1;
}

static bool parse_time(const char *text, kpi_time *ret_time)
{
    return time_text_parse(text, strlen(text), ret_time) == 0;
}

/* One option. 0 to go on, else 1 + exit code. */
static int take(int option, const char *value, struct arguments *arguments)
{
    static const char *const outputs[] = {"table", "json", "csv"}, *const formats[] = {"ndjson",
                                                                                       "csv"};
    char *end;
    long n;
    int i;

    switch (option) {
    case 'c':
        arguments->config = value;
        return 0;
    case 'o':
        i = choose(value, outputs, 3);
        arguments->output = (enum output)i;
        return i < 0 ? usage("-o is table, json or csv, not", value) : 0;
    case 'F':
        i = choose(value, formats, 2);
        arguments->format = i == 0 ? REPLAY_FORMAT_NDJSON : REPLAY_FORMAT_CSV;
        return i < 0 ? usage("--format is ndjson or csv, not", value) : 0;
    case 's':
        n = strtol(value, &end, 10);
        arguments->n_shards = (uint32_t)n;
        return *end || n < 1 || n > 4096 ? usage("--shards is 1 to 4096, not", value) : 0;
    case 'a':
    case 'f':
    case 't':
        if (parse_time(value, option == 'a'   ? &arguments->at
                              : option == 'f' ? &arguments->from
                                              : &arguments->to))
            return 0;
        return usage("a time is written as 2026-11-11T00:00:00+08:00, not", value);
    case 'T':
        arguments->topic = value;
        return 0;
    case 'S':
        arguments->strict = true;
        return 0;
    case 'd':
        arguments->digest = true;
        return 0;
    case 'h':
        (void)fputs(help, stdout);
        return 1;
    default:
        return usage("unknown option", NULL);
    }
}

/* 0 to go on, else 1 + exit code. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"output", required_argument, NULL, 'o'},
        {"format", required_argument, NULL, 'F'}, {"shards", required_argument, NULL, 's'},
        {"at", required_argument, NULL, 'a'},     {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 't'},     {"topic", required_argument, NULL, 'T'},
        {"strict", no_argument, NULL, 'S'},       {"digest", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    unsigned n_standard = 0;
    int option, r = 0;

    while (r == 0 && (option = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1)
        r = take(option, optarg, arguments);
    if (r)
        return r;
    if (!arguments->config)
        return usage("-c FILE is needed", NULL);
    if (optind == argc)
        return usage("no file of events is named; - is standard input", NULL);
    if (arguments->from >= arguments->to)
        return usage("--from is not before --to", NULL);
    for (int i = optind; i < argc; i++)
        n_standard += strcmp(argv[i], "-") == 0;
    return n_standard > 1 ? usage("standard input can be read only once", NULL) : 0;
}

/*
 * Finds what cannot be read before hours are spent on what can, and how much there is: *ret_n_all
 * is 0 if that cannot be known. Returns 0 or an exit code.
 */
static int look(char **paths, int n_paths, uint64_t *ret_n_all)
{
    bool known = true;
    int code = 0;

    *ret_n_all = 0;
    for (int i = 0; i < n_paths; i++) {
        bool standard = strcmp(paths[i], "-") == 0;
        struct stat status;
        int r = standard ? fstat(STDIN_FILENO, &status) : stat(paths[i], &status);

        if (r == 0 && S_ISDIR(status.st_mode)) {
            errno = EISDIR;
            r = -1;
        }
        if (r == 0 && !standard)
            r = access(paths[i], R_OK);
        if (r < 0) {
            (void)fprintf(stderr, "kpid: %s: %s\n", paths[i], strerror(errno));
            code = EX_NOINPUT;
            continue;
        }
        known &= S_ISREG(status.st_mode);
        *ret_n_all += (uint64_t)status.st_size;
    }
    if (!known)
        *ret_n_all = 0;
    return code;
}

static void print_range(const struct replay_fold *fold)
{
    char first[TIME_TEXT_BYTES_MAX], last[TIME_TEXT_BYTES_MAX];

    (void)time_text_format_utc(fold->outside_min, first);
    (void)time_text_format_utc(fold->outside_max, last);
    (void)fprintf(stderr, "  passed over as outside of --from and --to: %llu, of %s to %s\n",
                  (unsigned long long)fold->n_outside, first, last);
}

static void print_counts(const struct replay_fold *fold)
{
    uint64_t n_read = fold->n_outside + fold->n_skipped;

    for (unsigned i = 0; i <= KPI_OUTCOME_REFUSED; i++)
        n_read += fold->n_outcomes[i];
    if (fold->n_skipped)
        (void)fprintf(stderr, "%llu skipped by a mapping\n", (unsigned long long)fold->n_skipped);
    (void)fprintf(stderr, "%llu events applied, %llu duplicates, %llu conflicts, %llu refused\n",
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_APPLIED],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_DUPLICATE],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_CONFLICT],
                  (unsigned long long)fold->n_outcomes[KPI_OUTCOME_REFUSED]);
    for (unsigned i = 1; i < REPLAY_REFUSAL_COUNT; i++) {
        if (fold->n_refusals[i])
            (void)fprintf(stderr, "  refused %-14s %llu, first at %s:%llu\n",
                          replay_refusal_name(i), (unsigned long long)fold->n_refusals[i],
                          fold->first_refusal[i].file,
                          (unsigned long long)fold->first_refusal[i].line);
    }
    if (fold->n_outside > 0)
        print_range(fold);
    if (n_read == 0)
        (void)fputs("  there was no event to read\n", stderr);
    else if (fold->n_outside == n_read)
        (void)fputs("  no event is within --from and --to\n", stderr);
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
    static int (*const prints[])(const struct view *, FILE *) = {
        [OUTPUT_TABLE] = replay_print_table,
        [OUTPUT_JSON] = replay_print_json,
        [OUTPUT_CSV] = replay_print_csv,
    };
    struct view *view = replay_view(fold, arguments->at);
    int r;

    if (!view)
        return EX_SOFTWARE;
    r = prints[arguments->output](view, stdout);
    (void)view_unref(view);
    if (r < 0)
        return EX_SOFTWARE;
    if (fflush(stdout) == EOF || ferror(stdout)) {
        (void)fprintf(stderr, "kpid: standard output: %s\n", strerror(errno));
        return EX_IOERR;
    }
    return 0;
}

/* What r of reading the files comes to; returns the exit code. */
static int finish(const struct replay_fold *fold, const struct arguments *arguments, int r)
{
    struct replay_place place;
    unsigned refusal;

    switch (r) {
    case 0:
        print_counts(fold);
        return arguments->digest ? print_digests(fold) : print_kpis(fold, arguments);
    case REPLAY_E_FILE:
        return EX_NOINPUT;
    case REPLAY_E_DATA:
        return EX_DATAERR;
    case REPLAY_E_REFUSED:
        refusal = replay_fold_first(fold, &place);
        (void)fprintf(stderr, "%s:%llu: %s\n", place.file, (unsigned long long)place.line,
                      replay_refusal_name(refusal));
        return EX_DATAERR;
    default:
        (void)fprintf(stderr, "kpid: %s\n", strerror(-r));
        return EX_SOFTWARE;
    }
}

static int fold_files(const struct config *config, const struct arguments *arguments, char **paths,
                      int n_paths)
{
    struct replay_progress progress;
    struct replay_fold *fold = NULL;
    uint64_t n_all;
    int r, code = look(paths, n_paths, &n_all);

    if (code)
        return code;
    r = replay_fold_new(&fold, config, arguments->topic, arguments->n_shards);
    if (r < 0)
        return finish(NULL, arguments, r);
    replay_progress_init(&progress, n_all);
    fold->progress = isatty(STDERR_FILENO) ? &progress : NULL;
    fold->format = arguments->format;
    fold->strict = arguments->strict;
    fold->from = arguments->from;
    fold->to = arguments->to;
    for (int i = 0; i < n_paths && r == 0; i++)
        r = replay_fold_file(fold, paths[i]);
    replay_progress_clear(&progress);
    code = finish(fold, arguments, r);
    (void)replay_fold_free(fold);
    return code;
}

int cli_replay(int argc, char **argv)
{
    struct arguments arguments = {
        .n_shards = 1, .at = KPI_TIME_NONE, .from = INT64_MIN, .to = INT64_MAX};
    struct config *config;
    int r, code = 0;

    r = parse(argc, argv, &arguments);
    if (r > 0)
        return r - 1;
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
    config = cli_config(arguments.config, arguments.n_shards, 0, &code);
    if (!config)
        return code;
    code = EX_USAGE;
    if (cli_topic("replay", config, arguments.topic, &arguments.topic))
        code = fold_files(config, &arguments, argv + optind, argc - optind);
    (void)config_free(config);
    return code;
}
