/* kpid check: is a configuration right? */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid check -c FILE [--settings]\n\n"
    "  kpid check -c kpid.yaml      all errors at once, with line and column; exit 78 if there are "
    "any\n"
    "  kpid check --settings        every setting with type, range, default and meaning\n";

int cli_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"settings", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *path = NULL;
    struct config *config;
    char summary[512];
    int option, code = 0;

    while ((option = getopt_long(argc, argv, "c:sh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 's':
            config_print_settings(stdout);
            return 0;
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
    config = cli_config(path, 0, &code);
    if (!config)
        return code;
    config_summary(config, summary, sizeof(summary));
    (void)printf("%s\n", summary);
    (void)config_free(config);
    return 0;
}
