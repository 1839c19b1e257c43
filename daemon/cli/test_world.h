/*
 * The world of one test: its events arrive in order of time at an engine, and its targets are
 * judged on the way, as by a daemon that is never behind.
 */
#pragma once

#include "cli/test_file.h"
#include "view.h"

struct test_world;

/* What became of the events, and where the first refused one of each reason is. */
struct test_outcomes {
    uint64_t n_duplicates, n_conflicts;
    uint64_t n_refused[KPI_REFUSAL_COUNT];
    const struct test_event *first_refused[KPI_REFUSAL_COUNT];
};

/* Both are borrowed. 0 or -ENOMEM. */
int test_world_new(struct test_world **ret_world, const struct test_file *file,
                   const struct test_case *test);
struct test_world *test_world_free(struct test_world *world);

/*
 * Lets time pass up to and including `to`, which is later than before. The view is as of then; its
 * alerts are judged if the test judges, else left out. The caller owns it. 0 or -ENOMEM.
 */
int test_world_advance(struct test_world *world, kpi_time to, struct view **ret_view);

/* Lets all events arrive that are left. 0 or -ENOMEM. */
int test_world_end(struct test_world *world, struct test_outcomes *ret_outcomes);
