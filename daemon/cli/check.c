/* kpid check: is a configuration right? */
#include "cli/diagnostics.h"

#include "util/clock.h"
#include "util/counters.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid check -c FILE [-o text|json] | --settings | --metrics\n\n"
    "  kpid check -c kpid.yaml      all errors and warnings, with line and column; exit 78 if "
    "there "
    "are errors\n"
    "  kpid check -c kpid.yaml -o json\n"
    "                               the same for editors: an array of {file, line, column,\n"
    "                               end_column, severity, message, suggestion}\n"
    "  kpid check --settings        every setting with type, range, default and meaning\n"
    "  kpid check --metrics         every counter of /metrics with type, unit, labels and "
    "meaning\n";

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

int cli_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"output", required_argument, NULL, 'o'},
        {"settings", no_argument, NULL, 's'},     {"metrics", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    const char *path = NULL;
    struct config *config;
    char summary[512];
    bool json = false;
    int option, code = 0;

    while ((option = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'o':
            json = strcmp(optarg, "json") == 0;
            if (!json && strcmp(optarg, "text") != 0)
                return cli_usage("check", "-o is text or json, not", optarg);
            break;
        case 's':
            config_print_settings(stdout);
            return 0;
        case 'm':
            return print_metrics();
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("check", "unknown option", NULL);
        }
    }
    if (!path && optind < argc)
        path = argv[optind++];
    if (!path || optind < argc)
        return cli_usage("check", path ? "unexpected argument" : "-c FILE is needed",
                         path ? argv[optind] : NULL);
    if (json)
        return diagnostics_print(path);
    config = cli_config(path, 0, clock_now_us(), &code);
    if (!config)
        return code;
    config_summary(config, summary, sizeof(summary));
    (void)printf("%s\n", summary);
    (void)config_free(config);
    return 0;
}
