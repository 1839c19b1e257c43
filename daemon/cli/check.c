/* kpid check: is a configuration right? */
#include "cli/against.h"
#include "cli/diagnostics.h"
#include "cli/estimate.h"
#include "cli/sample.h"
#include "cli/schema.h"

#include "util/clock.h"
#include "util/counters.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid check -c FILE [-o text|json]\n"
    "       kpid check -c FILE --users N [--values N] [--days N] [--shards N]\n"
    "       kpid check -c FILE --against URL|FILE\n"
    "       kpid check -c FILE --sample EVENTS [--topic TOPIC]\n"
    "       kpid check --settings | --metrics | --schema\n\n"
    "  kpid check -c kpid.yaml      all errors and warnings, with line and column; exit 78 if "
    "there "
    "are errors\n"
    "  kpid check -c kpid.yaml -o json\n"
    "                               the same for editors: an array of {file, line, column,\n"
    "                               end_column, severity, message, suggestion}\n"
    "  kpid check -c kpid.yaml --users 10000000 --days 90 --shards 16\n"
    "                               how much memory so many users will take, by kind; --values: "
    "of\n"
    "                               fields whose text is kept (1000)\n"
    "  kpid check -c new.yaml --against http://127.0.0.1:9480\n"
    "                               what would change if a running kpid, or one with another "
    "file,\n"
    "                               took this one: KPIs, targets, state kept and dropped, "
    "restarts\n"
    "  kpid check -c kpid.yaml --sample events.ndjson\n"
    "                               how the first 10,000 of these events (- for standard input) "
    "map:\n"
    "                               what is found and where, what never comes, what is refused "
    "and\n"
    "                               what is there and not read; ids of users are shortened\n"
    "  kpid check --settings        every setting with type, range, default and meaning\n"
    "  kpid check --metrics         every counter of /metrics with type, unit, labels and "
    "meaning\n"
    "  kpid check --schema          JSON Schema of the configuration, for editors\n";

/* One line, or two with the values of the label. */
static void print_metric(const struct counters_entry *entry)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    static const char *const units[] = {"-", "bytes", "seconds"};
    const char *separator = "";

    (void)printf("%-36s %-10s %-8s %s\n", entry->family, kinds[entry->kind], units[entry->unit],
                 entry->help);
    if (!entry->label)
        return;
    (void)printf("%-36s %s: ", "", entry->label);
    for (unsigned i = 0; i < entry->n_values; i++) {
        const char *value = entry->label_value(i);

        if (!value)
            continue;
        (void)printf("%s%s", separator, value);
        separator = ", ";
    }
    (void)printf("\n");
}

static int print_metrics(void)
{
    unsigned n_entries;
    const struct counters_entry *entries = counters_table(&n_entries);

    (void)printf("%-36s %-10s %-8s %s\n", "name", "type", "unit", "meaning");
    for (unsigned i = 0; i < n_entries; i++)
        print_metric(&entries[i]);
    return 0;
}

struct arguments {
    const char *config;
    bool json;
    struct kpi_estimate_stream stream; /* users 0: no estimate is asked for */
    const char *against;               /* NULL: nothing */
    const char *sample, *topic;        /* NULL: none */
};

enum {
    OPTION_USERS = 256,
    OPTION_VALUES,
    OPTION_DAYS,
    OPTION_SHARDS,
    OPTION_SCHEMA,
    OPTION_AGAINST,
    OPTION_SAMPLE,
    OPTION_TOPIC,
};

/* A number from 1 to max. */
static bool number(const char *text, uint64_t max, uint64_t *ret_number)
{
    unsigned long long value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < 1 || value > max)
        return false;
    *ret_number = value;
    return true;
}

/* A number of the estimate. -1: go on, else an exit code. */
static int read_number(struct arguments *arguments, int option)
{
    struct kpi_estimate_stream *stream = &arguments->stream;
    uint64_t value;

    if (!number(optarg, option == OPTION_USERS ? 100000000000 : 1000000, &value))
        return cli_usage("check", "not a number from 1 on", optarg);
    if (option == OPTION_USERS)
        stream->users = value;
    else if (option == OPTION_VALUES)
        stream->values = (uint32_t)value;
    else if (option == OPTION_DAYS)
        stream->days = (uint32_t)value;
    else
        stream->n_shards = (uint32_t)value;
    return -1;
}

/* -1: go on, else an exit code. */
static int read_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 'c':
        arguments->config = optarg;
        return -1;
    case 'o':
        arguments->json = strcmp(optarg, "json") == 0;
        if (!arguments->json && strcmp(optarg, "text") != 0)
            return cli_usage("check", "-o is text or json, not", optarg);
        return -1;
    case 's':
        config_print_settings(stdout);
        return 0;
    case 'm':
        return print_metrics();
    case OPTION_SCHEMA:
        return schema_print();
    case OPTION_AGAINST:
        arguments->against = optarg;
        return -1;
    case OPTION_SAMPLE:
        arguments->sample = optarg;
        return -1;
    case OPTION_TOPIC:
        arguments->topic = optarg;
        return -1;
    case 'h':
        (void)fputs(help, stdout);
        return 0;
    case OPTION_USERS:
    case OPTION_VALUES:
    case OPTION_DAYS:
    case OPTION_SHARDS:
        return read_number(arguments, option);
    default:
        return cli_usage("check", "unknown option", NULL);
    }
}

static int read_arguments(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"output", required_argument, NULL, 'o'},
        {"users", required_argument, NULL, OPTION_USERS},
        {"values", required_argument, NULL, OPTION_VALUES},
        {"days", required_argument, NULL, OPTION_DAYS},
        {"shards", required_argument, NULL, OPTION_SHARDS},
        {"settings", no_argument, NULL, 's'},
        {"metrics", no_argument, NULL, 'm'},
        {"sample", required_argument, NULL, OPTION_SAMPLE},
        {"topic", required_argument, NULL, OPTION_TOPIC},
        {"against", required_argument, NULL, OPTION_AGAINST},
        {"schema", no_argument, NULL, OPTION_SCHEMA},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option, code = -1;

    while (code < 0 && (option = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1)
        code = read_option(arguments, option);
    if (code >= 0)
        return code;
    if (!arguments->config && optind < argc)
        arguments->config = argv[optind++];
    if (!arguments->config)
        return cli_usage("check", "-c FILE is needed", NULL);
    if (optind < argc)
        return cli_usage("check", "unexpected argument", argv[optind]);
    if (arguments->json && (arguments->stream.users > 0 || arguments->against || arguments->sample))
        return cli_usage(
            "check", "-o json gives messages alone: not with --users, --against or --sample", NULL);
    return -1;
}

static int print_sample(const struct config *config, const char *path, const char *topic)
{
    struct sample sample;
    int r;

    if (!cli_topic("check", config, topic, &topic))
        return EX_USAGE;
    r = sample_read(&sample, config, path, topic);
    if (r == 0)
        r = sample_print(&sample, path);
    sample_deinit(&sample);
    if (r == 0)
        return 0;
    (void)fprintf(stderr, "kpid check: %s: %s\n", path, strerror(-r));
    return r == -ENOMEM ? EX_SOFTWARE : EX_NOINPUT;
}

int cli_check(int argc, char **argv)
{
    struct arguments arguments = {.stream = {.values = 1000, .n_shards = 1}};
    struct config *config;
    char summary[512];
    int code = read_arguments(&arguments, argc, argv);

    if (code >= 0)
        return code;
    if (arguments.json)
        return diagnostics_print(arguments.config);
    config = cli_config(arguments.config, arguments.stream.n_shards, clock_now_us(), &code);
    if (!config)
        return code;
    code = 0;
    config_summary(config, summary, sizeof(summary));
    (void)printf("%s\n", summary);
    if (arguments.stream.users > 0) {
        (void)printf("\n");
        estimate_print(config, arguments.stream);
    }
    if (arguments.against) {
        (void)printf("\n");
        code = against_print(config, arguments.against);
    }
    if (arguments.sample && code == 0) {
        (void)printf("\n");
        code = print_sample(config, arguments.sample, arguments.topic);
    }
    (void)config_free(config);
    return code;
}
