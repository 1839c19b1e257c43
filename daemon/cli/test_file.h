/*
 * A file of `kpid test`, read: definitions, and tests of events, steps of time and what is expected
 * at each. Everything is checked while it is read, so that running it can only pass or fail.
 *
 *   config: ../kpid.yaml               # relative to this file; or, on top of the catalogue:
 *   definitions: {timezone: …, measures: …, kpis: …, campaigns: …}
 *   start: 2026-11-01T10:00:00+08:00   # what times as +5m count from
 *   defaults: {campaign: double11}     # into every event that does not say otherwise
 *   tests:
 *     - name: …
 *       start, defaults: …             # of this test
 *       events: […]                    # see test_events.c
 *       files: [day1.ndjson]           # one event a line, after those above
 *       steps:
 *         - at: +5m
 *           expect: [{kpi: participation_rate, value: 65/100}]
 *           alerts: [{kpi: participation_rate, status: firing}]
 *           exhaustive: true           # no other alert fires
 *           tables: […]                # these three: see test_answers.c
 *           funnels: […]
 *           experiments: […]
 *       refused: {time: 1}             # none, unless said
 *       duplicates: 1
 *       conflicts: 0
 *
 * An expectation names kpi, scope (campaign) and campaign (needed if there are several), a group of
 * a breakdown if it is meant (by: {channel: wechat}; see test_by.h), and one or more of value,
 * state, numerator, denominator, complete; tolerance makes it compare as doubles. An alert names
 * kpi, scope and campaign likewise, and better if that tells it from another one.
 */
#pragma once

#include "config/load.h"

#include <kpi/alert.h>
#include <kpi/answers.h>
#include <kpi/event.h>
#include <kpi/plan.h>
#include <kpi/report.h>

/* A number as a person wrote it: 65/100, 65%, 0.65. */
struct test_exact {
    const struct doc_node *node; /* NULL: nothing is expected */
    bool fraction;               /* both sides of it are expected */
    kpi_decimal numerator, denominator;
};

/* Values of the dimensions of a breakdown. */
struct test_group {
    const struct doc_node *node; /* NULL: the whole is meant */
    const char *text;            /* of messages: ", channel=…" */
    uint32_t breakdown, n_values;
    struct kpi_string values[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* data NULL: none */
};

struct test_expectation {
    const struct doc_node *node;
    uint32_t kpi;
    struct kpi_scope scope; /* a pattern, with the campaign */
    struct test_group group;
    struct test_exact value, numerator, denominator, complete;
    const struct doc_node *state_node; /* NULL: ok is expected with a value, else any */
    enum kpi_value_state state;
    kpi_decimal tolerance; /* KPI_TIME_NONE: exact */
};

/* What an alert may be expected to be. */
enum test_status {
    TEST_STATUS_OK,
    TEST_STATUS_PENDING,
    TEST_STATUS_FIRING,
    TEST_STATUS_NO_DATA,
    TEST_STATUS_UNDEFINED,
    TEST_STATUS_RESOLVED, /* ok, and has fired before */
};

struct test_alert {
    const struct doc_node *node;
    const struct kpi_target *target; /* any of those that are one alert with it */
    enum test_status status;
    const struct doc_node *level_node, *since_node; /* NULL: any */
    enum kpi_alert_level level;
    kpi_time since;
};

struct test_count {
    const struct doc_node *node; /* NULL: not said, none is expected */
    uint64_t n;
};

struct test_step {
    const struct doc_node *node; /* of its time */
    kpi_time at;
    struct test_expectation *expectations;
    uint32_t n_expectations;
    const struct doc_node *alerts_node; /* NULL: alerts are not looked at */
    struct test_alert *alerts;
    uint32_t n_alerts;
    bool exhaustive;
    const struct doc_node *answers[KPI_N_ANSWER_KINDS]; /* lists of what is expected, or NULL */
};

struct test_event {
    const char *bytes; /* as a record would hold them */
    size_t size;
    kpi_duration late;           /* arrives so much after its own time; 0: with it */
    const struct doc_node *node; /* where it is written, or the name of its file */
    uint64_t line;               /* in that file; 0: written here */
};

struct test_case {
    const struct doc_node *node; /* of its name */
    struct load_list events;     /* struct test_event */
    struct test_step *steps;
    uint32_t n_steps;
    bool judges; /* a step looks at alerts */
    const struct doc_node *refused_node;
    struct test_count duplicates, conflicts, refused[KPI_REFUSAL_COUNT];
};

struct test_file {
    struct load load; /* owns all that is read */
    struct config *loaded;
    const struct config *config; /* that of `loaded` or of `load` */
    const char *path;
    struct test_case *cases;
    uint32_t n_cases;
    uint32_t n_events; /* of all cases */
};

enum {
    TEST_FILE_E_INVALID = 1, /* mistakes were told */
    TEST_FILE_E_UNREADABLE,  /* told */
    TEST_EVENTS_MAX = 2000000,
};

#define TEST_TIME_END (INT64_C(7258118400) * KPI_SECOND) /* 2200-01-01 */

/* What readers share: the file, and what holds for the test at hand. */
struct test_reader {
    struct test_file *file;
    const struct kpi_plan *plan;        /* NULL: the definitions are broken */
    kpi_time start;                     /* KPI_TIME_NONE: not given */
    const struct doc_node *defaults[2]; /* the test's, the file's; either may be NULL */
};

/* `path` must outlive the file. 0, TEST_FILE_E_… or -ENOMEM. */
int test_file_load(struct test_file **ret_file, const char *path,
                   const struct config_report *report);
struct test_file *test_file_free(struct test_file *file);

/* test_scalar.c. Each returns false if it has reported what is wrong. */

/* A time with zone, or "+5m" or "-1d12h" from the start; from 1970 to before TEST_TIME_END. */
bool test_read_time(const struct test_reader *reader, const struct doc_node *node, const char *what,
                    kpi_time *ret_time);
/* "90s", "1d12h", with a sign if `sign` allows one. */
bool test_read_span(const struct test_reader *reader, const struct doc_node *node, const char *what,
                    bool sign, kpi_duration *ret_span);
bool test_read_exact(const struct test_reader *reader, const struct doc_node *node,
                     const char *what, struct test_exact *ret_exact);
bool test_read_count(const struct test_reader *reader, const struct doc_node *node,
                     const char *what, uint64_t *ret_count);

/* test_events.c: a list of events, or of files of them, into test->events. 0 or -ENOMEM. */
int test_read_events(const struct test_reader *reader, const struct doc_node *list,
                     struct test_case *test);
int test_read_event_files(const struct test_reader *reader, const struct doc_node *list,
                          struct test_case *test);

/* test_expect.c: what a step expects. 0 or -ENOMEM. */
int test_read_expectations(const struct test_reader *reader, const struct doc_node *list,
                           struct test_step *step);
int test_read_alerts(const struct test_reader *reader, const struct doc_node *list,
                     struct test_step *step);
/* test_answers.c */
void test_read_answers(const struct test_reader *reader, enum kpi_answer_kind kind,
                       const struct doc_node *list, struct test_step *step);
