/* Running a test of a file, and saying what is not as expected. */
#pragma once

#include "cli/test_file.h"
#include "view.h"

#include <stdio.h>

/* Where failures are written, each with its place in the file, what was expected and what came. */
struct test_output {
    FILE *out;
    struct test_file *file;
    const struct test_case *test;
    uint32_t n_failures;
};

/* Runs a test and counts its failures. 0 or -ENOMEM. */
int test_run(struct test_output *output);

/* test_compare.c: what a step expects against the view of its time. 0 or -ENOMEM. */
int test_compare(struct test_output *output, const struct test_step *step, const struct view *view);

/* test_answers.c: likewise of tables, funnels and experiments. 0 or -ENOMEM. */
int test_compare_answers(struct test_output *output, const struct test_step *step,
                         const struct view *view);

/*
 * test_run.c: begins a failure: where it is in the file, the test, and `format`, which says of
 * what. Two lines with what was expected and what came are for the caller to write.
 */
void test_fail(struct test_output *output, const struct doc_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
