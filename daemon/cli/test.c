/*
 * kpid test: files of events and of what the KPIs, their states and their alerts are expected to be
 * at given times. The same decoder, engine and judging as the daemon's; no network, no clock.
 */
#include "cli/cli.h"

#include "cli/test_run.h"
#include "util/log.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid test [-v] FILE…\n\n"
    "  kpid test tests/*.yaml       failures with what was expected and what came; a summary line\n"
    "  kpid test -v signup.yaml     names the tests that pass, too\n\n"
    "A file, with everything that it may hold:\n\n"
    "  config: kpid.yaml                        # or definitions: {timezone: …, campaigns: …}\n"
    "  start: 2026-11-01T10:00:00+08:00         # what +5m below counts from\n"
    "  defaults: {campaign: double11}           # into every event\n"
    "  tests:\n"
    "    - name: 65 of 100 take part\n"
    "      events:\n"
    "        - {repeat: 100, type: exposure, user: \"u{i}\", time: +0s}\n"
    "        - {repeat: 1..65, type: participation, user: \"u{i}\", time: +1m, every: 1s}\n"
    "        - {type: purchase, user: u1, amount: 9.90, time: +2m, late: 5m}   # arrives later\n"
    "        - '{\"type\": \"broken'              # a text is the record itself\n"
    "      files: [more.ndjson]                 # one event a line\n"
    "      steps:                               # values as of a time, with what has arrived by "
    "then\n"
    "        - at: +10m\n"
    "          expect:\n"
    "            - {kpi: participation_rate, value: 65/100}       # or 65%, 0.65\n"
    "            - {kpi: roi, scope: day 2026-11-01, state: undefined}\n"
    "            - {kpi: nps, scope: rolling 7d, state: no_data}\n"
    "            - {kpi: participation_rate, by: {channel: null}, value: 65/100}   # or a value\n"
    "            - {kpi: participation_rate, scope: day, numerator: 65, denominator: 100,\n"
    "               complete: 42%, tolerance: 0.01}               # without one: exactly\n"
    "          alerts:                          # []: none fires\n"
    "            - {kpi: participation_rate, status: firing, level: general, since: +5m}\n"
    "          exhaustive: true                 # and no other one fires\n"
    "      refused: {json: 1}                   # by reason; none, if nothing is said\n"
    "      duplicates: 0\n"
    "      conflicts: 0\n\n"
    "status is ok, pending, firing, resolved, no_data or undefined. Targets are judged on every "
    "second,\nas by kpid run. campaign is needed where there are several, better (up, down, band) "
    "where\n"
    "a KPI has several targets in a scope.\n"
    "by names a group of a breakdown: a value of each of its dimensions, __other__, or null for "
    "none.\n\n"
    "A step may also have, in the shape of the JSON of kpid replay and as much of it as "
    "matters:\n\n"
    "          tables: [{table: comeback, cohorts: [{start: 2026-11-01, size: 100,\n"
    "                    cells: [{n: 1, users: 42}]}]}]\n"
    "          funnels: [{funnel: pay, by: {channel: app}, steps: [{step: purchase, users: 7}]}]\n"
    "          experiments: [{experiment: theme, verdict: B, arms: [{arm: A, units: 100}]}]\n\n"
    "Exit codes: 0 all pass, 1 a test fails, 66 a file cannot be read, 78 a file is wrong.\n";

struct totals {
    uint32_t n_passed, n_failed;
    uint32_t n_unusable; /* files */
    int code;
};

static void print_error(void *userdata, const char *text)
{
    (void)userdata;
    (void)fputs(text, stderr);
}

/* Codes rise with how little was tested. */
static void set_code(struct totals *totals, int code)
{
    if (code > totals->code)
        totals->code = code;
}

static int run_file(const char *path, bool verbose, struct totals *totals)
{
    const struct config_report report = {.line = print_error};
    struct test_file *file;
    int r;

    r = test_file_load(&file, path, &report);
    if (r < 0)
        return r;
    if (r > 0) {
        totals->n_unusable++;
        set_code(totals, r == TEST_FILE_E_UNREADABLE ? EX_NOINPUT : EX_CONFIG);
        return 0;
    }
    for (uint32_t i = 0; i < file->n_cases && r == 0; i++) {
        struct test_output output = {.out = stdout, .file = file, .test = &file->cases[i]};

        r = test_run(&output);
        if (r < 0)
            break;
        totals->n_passed += output.n_failures == 0;
        totals->n_failed += output.n_failures > 0;
        set_code(totals, output.n_failures > 0);
        if (verbose)
            (void)printf("%s %s: %s\n", output.n_failures ? "failed" : "passed", path,
                         output.test->node->value);
    }
    (void)test_file_free(file);
    return r;
}

int cli_test(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct totals totals = {0};
    bool verbose = false;
    int option;

    while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return 0;
        }
        if (option != 'v')
            return cli_usage("test", "unknown option", NULL);
        verbose = true;
    }
    if (optind == argc)
        return cli_usage("test", "no file of tests is named", NULL);
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
    for (int i = optind; i < argc; i++) {
        int r = run_file(argv[i], verbose, &totals);

        if (r < 0) {
            (void)fprintf(stderr, "kpid test: %s: %s\n", argv[i], strerror(-r));
            return EX_SOFTWARE;
        }
    }
    (void)printf("%u passed, %u failed", totals.n_passed, totals.n_failed);
    if (totals.n_unusable)
        (void)printf(", %u file%s not usable", totals.n_unusable,
                     totals.n_unusable == 1 ? "" : "s");
    (void)printf("\n");
    return totals.code;
}
