/*
 * argv to a subcommand, and its exit code back: the only place that ends the process.
 */
#include "cli/cli.h"

#include <curl/curl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", cli_run, "keep the KPIs of a Kafka stream"},
    {"demo", cli_demo, "the whole daemon on a simulated campaign, nothing to set up"},
    {"check", cli_check, "check a configuration: all errors at once"},
    {"replay", cli_replay, "compute the KPIs of files of events, without Kafka and Redis"},
    {"rebuild", cli_rebuild, "fill new KPIs from the log while the daemon goes on"},
    {"test", cli_test, "check definitions against events and the KPIs and alerts they should give"},
    {"status", cli_status, "ask a running kpid how it is"},
    {"state", cli_state, "look at the stored state: kpid state digest"},
    {"version", cli_version, "versions of kpid and its libraries"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    (void)fputs(
        "kpid keeps exact campaign KPIs of a Kafka stream of user events, and alerts when one "
        "leaves its target.\n\n"
        "  kpid demo                               see it work, in a minute\n"
        "  kpid check -c kpid.yaml                 is this configuration right?\n"
        "  kpid replay -c kpid.yaml events.ndjson  what would the KPIs be?\n"
        "  kpid test tests.yaml                    are they what they should be?\n"
        "  kpid run -c kpid.yaml                   the daemon\n\n"
        "Commands (each has --help):\n",
        out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        (void)fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    (void)fputs(
        "\nExit codes: 0 done, 64 usage, 65 bad data, 69 Kafka, Redis or the port is not to be "
        "had, 70 internal error, 78 configuration.\n",
        out);
}

static size_t distance(const char *a, const char *b)
{
    size_t row[32], n = strlen(b);

    if (n >= 31 || strlen(a) >= 31)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            best = best < above + 1 ? best : above + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            diagonal = above;
        }
    }
    return row[n];
}

int main(int argc, char **argv)
{
    const char *near = NULL;

    /* Widths of Chinese text need the locale's characters; numbers stay in the C locale. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)signal(SIGPIPE, SIG_IGN);
    /* Before there are threads: versions of libcurl before 7.84 ask for it, and librdkafka may use
     * it. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return EX_SOFTWARE;
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return cli_version(argc - 1, argv + 1);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
        if (distance(argv[1], commands[i].name) <= 2)
            near = commands[i].name;
    }
    (void)fprintf(stderr, "kpid: unknown command \"%s\"%s%s%s\nTry: kpid --help\n", argv[1],
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return EX_USAGE;
}
