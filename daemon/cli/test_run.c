/* A test from its first step to its last event. */
#include "cli/test_run.h"

#include "cli/test_world.h"
#include "config/excerpt.h"

#include <inttypes.h>
#include <stdarg.h>

void test_fail(struct test_output *output, const struct doc_node *node, const char *format, ...)
{
    const char *source = excerpt(&output->file->load.arena, doc_node_place(node));
    uint32_t line, column;
    va_list args;

    output->n_failures++;
    doc_position(node->file, node->start, &line, &column);
    (void)fprintf(output->out, "%s:%u:%u: FAILED %s: ", node->file->path, line, column,
                  output->test->node->value);
    va_start(args, format);
    (void)vfprintf(output->out, format, args);
    va_end(args);
    (void)fprintf(output->out, "\n%s", source ? source : "");
}

static void compare_count(struct test_output *output, const char *what,
                          const struct test_count *expected, uint64_t n)
{
    if (expected->n == n)
        return;
    test_fail(output, expected->node ? expected->node : output->test->node, "%s", what);
    (void)fprintf(output->out, "  expected %" PRIu64 "%s\n  got      %" PRIu64 "\n", expected->n,
                  expected->node ? "" : ", as nothing is said", n);
}

/* "t.yaml:12:5", or "day1.ndjson:7" */
static void print_event(FILE *out, const struct test_event *event)
{
    uint32_t line, column;

    if (event->line) {
        (void)fprintf(out, "%s:%" PRIu64, event->node->value, event->line);
        return;
    }
    doc_position(event->node->file, event->node->start, &line, &column);
    (void)fprintf(out, "%s:%u:%u", event->node->file->path, line, column);
}

static void compare_refused(struct test_output *output, const struct test_outcomes *outcomes)
{
    const struct test_case *test = output->test;

    for (unsigned i = 1; i < KPI_REFUSAL_COUNT; i++) {
        const struct test_count *expected = &test->refused[i];
        const struct doc_node *node = expected->node       ? expected->node
                                      : test->refused_node ? test->refused_node
                                                           : test->node;

        if (expected->n == outcomes->n_refused[i])
            continue;
        test_fail(output, node, "refused events, reason %s", kpi_refusal_name(i));
        (void)fprintf(output->out, "  expected %" PRIu64 "%s\n  got      %" PRIu64, expected->n,
                      expected->node ? "" : ", as nothing is said", outcomes->n_refused[i]);
        if (outcomes->first_refused[i]) {
            const struct test_event *event = outcomes->first_refused[i];

            (void)fputs(", the first at ", output->out);
            print_event(output->out, event);
            (void)fprintf(output->out, ": %s",
                          QUOTE(((struct kpi_string){event->bytes, event->size})));
        }
        (void)fputs("\n", output->out);
    }
}

static int run_steps(struct test_output *output, struct test_world *world)
{
    for (uint32_t i = 0; i < output->test->n_steps; i++) {
        const struct test_step *step = &output->test->steps[i];
        struct view *view;
        int r = test_world_advance(world, step->at, &view);

        if (r < 0)
            return r;
        r = test_compare(output, step, view);
        if (r == 0)
            r = test_compare_answers(output, step, view);
        (void)view_unref(view);
        if (r < 0)
            return r;
    }
    return 0;
}

int test_run(struct test_output *output)
{
    struct test_outcomes outcomes;
    struct test_world *world;
    int r;

    r = test_world_new(&world, output->file, output->test);
    if (r < 0)
        return r;
    r = run_steps(output, world);
    if (r == 0)
        r = test_world_end(world, &outcomes);
    if (r == 0) {
        compare_refused(output, &outcomes);
        compare_count(output, "duplicates", &output->test->duplicates, outcomes.n_duplicates);
        compare_count(output, "conflicts", &output->test->conflicts, outcomes.n_conflicts);
    }
    (void)test_world_free(world);
    return r;
}
