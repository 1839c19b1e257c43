/*
 * Claims: each thing that is right and hardly meant is warned of once, at its place, and does not
 * stop a load; its neighbour that makes sense is not; warnings can be kept to a number; what looks
 * back further than events are kept is an error.
 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char output[64 * 1024];
static unsigned n_messages;
static char path[] = "/tmp/kpid-test-warnings-XXXXXX";

static void collect(void *userdata, const struct config_message *message)
{
    char *end = output + strlen(output);

    n_messages++;
    assert_string_equal(message->file, path);
    (void)snprintf(end, sizeof(output) - (size_t)(end - output), "%u:%u-%u %s: %s\n", message->line,
                   message->column, message->end_column, message->is_error ? "error" : "warning",
                   message->text);
}

static int load(struct config **ret_config, const char *text, const struct config_report *report)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    output[0] = 0;
    n_messages = 0;
    return config_load(ret_config, path, 0, report);
}

#define DAY(n) ((n)*KPI_DAY)

enum {
    DAY_2026_12_08 = 20795
};

/* A campaign of November 2026 in UTC, with phases until December 8. */
#define CAMPAIGN                                                                                   \
    "campaigns:\n  - id: c\n    start: 2026-11-01\n    end: 2026-12-01\n    audience: 1000\n"      \
    "    phases: {burst: [start, +5d], settle: [end, +7d]}\n    targets:\n"

/* One target below CAMPAIGN, on line 8, and what is said of it; NULL: nothing. */
static const struct {
    const char *target;
    const char *expected;
} targets[] = {
    {"{kpi: participation_rate, value: 65%}", NULL},
    {"{kpi: participation_rate, value: 10%}", NULL}, /* at 0 % */
    {"{kpi: awareness, value: 90%}",
     "8:15-24 warning: this target may never be judged: it asks for 100 (min_sample, by default) "
     "users or events, and this KPI is a number of neither; min_sample: 0 judges it always"},
    {"{kpi: awareness, value: 90%, min_sample: 0}", NULL},
    {"{kpi: participation_rate, value: 5%}",
     "8:42-44 warning: this target cannot fire: participation_rate is never below -5%"},
    {"{kpi: participation_rate, value: 5%, deviation: 10%}", NULL},
    {"{kpi: participation_rate, value: 5%, deviation: 101%}",
     "8:57-61 warning: this target cannot fire: participation_rate is never below -0.05%"},
    {"{kpi: participation_rate, value: 95%, better: down}",
     "8:42-45 warning: this target cannot fire: participation_rate is never above 105%"},
    {"{kpi: participation_rate, value: 90%, better: down}", NULL}, /* at 100 % */
    {"{kpi: participation_rate, value: 50%, better: band, deviation: 60pp}",
     "8:72-76 warning: this target cannot fire: participation_rate is never below -10% or above "
     "110%"},
    {"{kpi: participation_rate, value: 5%, better: band}", NULL}, /* above it can */
    {"{kpi: roi_net, value: 5%, deviation: 10pp}", NULL},         /* may be negative */
    {"{kpi: roi, value: 4, deviation: 150%}", NULL},              /* more refunds than sales */
    {"{kpi: roi, value: 4, deviation: 4}", NULL},
    {"{kpi: roi, value: 4, deviation: 10}",
     "8:41-43 warning: this target hardly fires: roi must fall below -6; percent are written as "
     "10%"},
    {"{kpi: roi, value: 4, deviation: 10, better: down}", NULL},
    {"{kpi: participation_rate, value: 60%, deviation: 1.6x, better: down}", NULL}, /* at 96 % */
    {"{kpi: participation_rate, value: 60%, deviation: 0.6x, better: down}", NULL}, /* at 100 % */
    {"{kpi: participation_rate, value: 60%, deviation: 1.7x, better: down}",
     "8:58-62 warning: this target cannot fire: participation_rate is never above 102%"},
    {"{kpi: nps, value: 95, better: down, deviation: 10pp}",
     "8:56-60 warning: this target cannot fire: nps is never above 105"},
    {"{kpi: participation_rate, value: 65%, min_sample: 1000}", NULL},
    {"{kpi: participation_rate, value: 65%, min_sample: 1001}",
     "8:59-63 warning: this target cannot fire: it is judged from 1001 users on, the audience has "
     "1000"},
    {"{kpi: roi, value: 4, min_sample: 1001}", NULL}, /* of money, not of users */
    {"{kpi: nps, value: 50, to: start}",
     "8:35-40 warning: this target cannot fire: it ends before its scope begins"},
    {"{kpi: nps, value: 50, scope: settle, to: end}",
     "8:50-53 warning: this target cannot fire: it ends before its scope begins"},
    {"{kpi: nps, value: 50, scope: settle, to: settle}", NULL},
    {"{kpi: nps, value: 50, from: settle}", NULL}, /* the campaign's value stays */
    {"{kpi: nps, value: 50, scope: \"rolling:7d\", to: start}", NULL},
    {"{kpi: nps, value: 50, scope: day, from: 2026-12-08}",
     "8:49-59 warning: this target cannot fire: it begins when its scope is over"},
    {"{kpi: nps, value: 50, scope: day, from: settle}", NULL},
    {"{kpi: nps, value: 50, scope: day, for: 23h}", NULL},
    {"{kpi: nps, value: 50, scope: day, for: 24h}",
     "8:48-51 warning: this target hardly fires: the deviation must last 1d, and what it is judged "
     "by lasts 1d"},
    {"{kpi: nps, value: 50, scope: burst, for: 5d}",
     "8:50-52 warning: this target hardly fires: the deviation must last 5d, and what it is judged "
     "by lasts 5d"},
    {"{kpi: nps, value: 50, scope: burst, for: 119h}", NULL},
    {"{kpi: nps, value: 50, from: start, to: 2026-11-03, for: 48h}",
     "8:65-68 warning: this target hardly fires: the deviation must last 2d, and what it is judged "
     "by lasts 2d"},
};

static void targets_that_cannot_fire(void **state)
{
    const struct config_report report = {.message = collect};
    unsigned n_wrong = 0;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct config *config = NULL;
        char text[2048];

        (void)snprintf(text, sizeof(text), "%s      - %s\n", CAMPAIGN, targets[i].target);
        assert_int_equal(load(&config, text, &report), 0);
        if (config->n_warnings != n_messages || n_messages != (targets[i].expected != NULL) ||
            (targets[i].expected && !strstr(output, targets[i].expected)))
            n_wrong += (print_error("%s\n%s\n", targets[i].target, output), 1);
        config_free(config);
    }
    assert_int_equal(n_wrong, 0);
}

static void a_default_sample_can_be_too_large(void **state)
{
    const struct config_report report = {.message = collect};
    struct config *config;

    assert_int_equal(load(&config,
                          "campaigns:\n  - id: c\n    start: 2026-11-01\n    end: 2026-12-01\n"
                          "    audience: 50\n    targets:\n"
                          "      - {kpi: participation_rate, value: 65%}\n",
                          &report),
                     0);
    assert_string_equal(output,
                        "7:15-33 warning: this target cannot fire: it is judged from 100 users on "
                        "(min_sample, by default), the audience has 50\n");
    config_free(config);
}

static void what_nothing_uses(void **state)
{
    const struct config_report report = {.message = collect};
    struct config *config;

    assert_int_equal(load(&config,
                          "attributes:\n  n: {agg: count}\n  m: {agg: last(order_id)}\n"
                          "measures:\n  x: {agg: users, where: m == \"a\"}\n",
                          &report),
                     0);
    assert_string_equal(
        output,
        "2:3-4 warning: nothing asks for the attribute \"n\"; it takes memory for each user\n"
        "3:12-26 warning: \"order_id\" looks like a field with a value of its own for each event "
        "or user; beyond limits.values (1000) all become __other__\n"
        "5:3-4 warning: no KPI uses the measure \"x\"; it is not counted\n");
    assert_int_equal(config->n_warnings, 3);
    config_free(config);
}

static void campaigns_that_are_over(void **state)
{
    struct config_report report = {.message = collect, .now = DAY(DAY_2026_12_08) - 1};
    struct config *config;

    assert_int_equal(load(&config, CAMPAIGN "      - {kpi: roi, value: 4}\n", &report), 0);
    assert_string_equal(output, "");
    config_free(config);
    report.now++;
    assert_int_equal(load(&config, CAMPAIGN "      - {kpi: roi, value: 4}\n", &report), 0);
    assert_string_equal(output,
                        "4:10-20 warning: campaign \"c\" is over, with all of its phases\n");
    config_free(config);
}

/* What is asked for is an error; what is there by default, or for a while only, a warning. */
static void more_than_is_kept(void **state)
{
    static const struct {
        const char *text;
        int r;
        const char *expected;
    } table[] = {
        {"keep: 10d\n", 0, ""}, /* rolling:30d, there by default, is left out */
        {"keep: 10d\nrolling: [7d, 10d]\n", 0, ""},
        {"keep: 10d\nrolling: [7d, 11d]\n", CONFIG_E_INVALID,
         "2:15-18 error: \"11d\" may be 11 days long, which is longer than what is kept (keep)\n"},
        {"keep: 30d\nkpis: {k: {formula: \"retained(buyers, active, basis=day, at=30)\"}}\n",
         CONFIG_E_INVALID,
         "2:21-65 error: \"k\" looks back on 31 days at least, more than the 30d that are kept: "
         "raise keep\n"},
        {"keep: 30d\nkpis: {k: {formula: \"retained(buyers, active, basis=day, at=29)\"}}\n", 0,
         ""},
        {"keep: 31d\n" CAMPAIGN "      - {kpi: retention_m3, value: 50%}\n", CONFIG_E_INVALID,
         "9:15-27 error: \"retention_m3\" looks back on 119 days at least, more than the 31d that "
         "are kept: raise keep\n"},
        {"campaigns: [{id: c, start: 2026-01-01, end: 2028-01-01}]\n", 0,
         "1:45-55 warning: campaign \"c\" lasts 730 days, 400d are kept: its first days will be "
         "forgotten while it goes on\n"},
    };
    const struct config_report report = {.message = collect};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct config *config = NULL;

        assert_int_equal(load(&config, table[i].text, &report), table[i].r);
        assert_string_equal(output, table[i].expected);
        config_free(config);
    }
}

static void warnings_can_be_a_number(void **state)
{
    const struct config_report report = {.message = collect, .errors_only = true};
    struct config *config;

    assert_int_equal(load(&config, "attributes: {n: {agg: count}}\n", &report), 0);
    assert_string_equal(output, "");
    assert_int_equal(config->n_warnings, 1);
    config_free(config);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_that_cannot_fire),
        cmocka_unit_test(a_default_sample_can_be_too_large),
        cmocka_unit_test(what_nothing_uses),
        cmocka_unit_test(campaigns_that_are_over),
        cmocka_unit_test(more_than_is_kept),
        cmocka_unit_test(warnings_can_be_a_number),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
