/*
 * Time in a test. The daemon judges once a second; so does this, on whole seconds and at each step,
 * but passes over seconds in which no verdict can change: those without an event, without the end
 * of an alert's `for`, without the begin or end of a target, and without a new day (whose scope has
 * nothing complete in its first moment, so that the second after is looked at, too). What a target
 * says may depend on time in no other way, or next_look() has to know it.
 */
#include "cli/test_world.h"

#include "cli/cli.h"
#include "cli/replay_fold.h"
#include "codec/event_json.h"
#include "util/error.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>

struct arrival {
    kpi_time time;
    uint32_t event;
};

struct judged {
    const struct kpi_target *target; /* that stood for all with its fingerprint; NULL: not in use */
    struct kpi_alert alert;
};

struct test_world {
    const struct test_file *file;
    const struct test_case *test;
    struct replay_fold *fold;
    struct arrival *arrivals; /* in order */
    uint32_t n_arrivals, next;
    kpi_time now; /* of the last look; KPI_TIME_NONE before it */
    struct kpi_layout *layout;
    bool turned; /* the last look was the first one of its layout */
    struct judged *judged;
    uint32_t n_judged;
};

static const struct test_event *event_of(const struct test_world *world, uint32_t index)
{
    return (const struct test_event *)world->test->events.items + index;
}

static int compare_arrivals(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->event < y->event ? -1 : x->event > y->event;
}

/* What cannot be read has no time of its own, and comes with the event before it. */
static int line_up(struct test_world *world)
{
    kpi_time before = KPI_TIME_NONE;

    world->n_arrivals = world->test->events.n;
    world->arrivals = calloc(world->n_arrivals + 1, sizeof(*world->arrivals));
    if (!world->arrivals)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < world->n_arrivals; i++) {
        const struct test_event *event = event_of(world, i);
        kpi_time time = replay_fold_time(world->fold, event->bytes, event->size);

        before = time == KPI_TIME_NONE ? before : time + event->late;
        world->arrivals[i] = (struct arrival){before, i};
    }
    qsort(world->arrivals, world->n_arrivals, sizeof(*world->arrivals), compare_arrivals);
    return 0;
}

int test_world_new(struct test_world **ret_world, const struct test_file *file,
                   const struct test_case *test)
{
    struct test_world *world = calloc(1, sizeof(*world));
    int r;

    if (!world)
        return error_origin(-ENOMEM);
    world->file = file;
    world->test = test;
    world->now = KPI_TIME_NONE;
    world->judged = calloc(kpi_plan_n_targets(file->config->plan) + 1, sizeof(*world->judged));
    r = world->judged ? replay_fold_new(&world->fold, file->config, cli_only_topic(file->config), 1)
                      : -ENOMEM;
    if (r == 0)
        r = line_up(world);
    if (r < 0) {
        (void)test_world_free(world);
        return error_trace(r);
    }
    *ret_world = world;
    return 0;
}

struct test_world *test_world_free(struct test_world *world)
{
    if (!world)
        return NULL;
    (void)replay_fold_free(world->fold);
    (void)kpi_layout_unref(world->layout);
    free(world->arrivals);
    free(world->judged);
    free(world);
    return NULL;
}

/*
 * An event without id has its place as one: its file and line, so that a file read twice is counted
 * once; or its number in the test. Its number is also what a refusal is remembered by.
 */
static int take(struct test_world *world, const struct arrival *arrival)
{
    const struct test_event *event = event_of(world, arrival->event);
    const char *name = event->line ? event->node->value : world->file->path;
    struct event_origin origin = {
        .topic_hash = XXH3_64bits(name, strlen(name)),
        .partition = event->line ? 1 : 0,
        .offset = event->line ? (int64_t)event->line : (int64_t)arrival->event,
        .record_time = event->late ? arrival->time : KPI_TIME_NONE,
        .topic = world->fold->topic,
    };

    return replay_fold_event(world->fold, event->bytes, event->size, &origin,
                             (struct replay_place){name, arrival->event});
}

static int take_until(struct test_world *world, kpi_time until)
{
    uint32_t n = 0;
    int r = 0;

    while (r == 0 && world->next < world->n_arrivals &&
           world->arrivals[world->next].time <= until) {
        r = take(world, &world->arrivals[world->next++]);
        if (r == 0 && ++n % KPI_BATCH_MAX == 0)
            r = replay_fold_end(world->fold);
    }
    return r < 0 ? r : replay_fold_end(world->fold);
}

/* --- judging --- */

static kpi_time second_from(kpi_time time)
{
    kpi_time rest = time % KPI_SECOND;

    return rest > 0 ? time - rest + KPI_SECOND : time - rest;
}

static struct judged *judged_of(const struct test_world *world, const struct kpi_target *target)
{
    struct judged *judged = world->judged;

    while (judged->target && judged->target->fingerprint != target->fingerprint)
        judged++;
    return judged;
}

static struct kpi_alert find_alert(const void *userdata, const struct kpi_target *target)
{
    const struct judged *judged = judged_of(userdata, target);

    if (judged->target)
        return judged->alert;
    return (struct kpi_alert){.since = KPI_TIME_NONE, .deviating_since = KPI_TIME_NONE};
}

static void judge(struct test_world *world, struct view *view)
{
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        struct view_alert *seen = &view->alerts[i];
        struct judged *judged = judged_of(world, seen->target);

        const struct kpi_observation observation = view_observation(seen);

        (void)kpi_alert_step(&seen->alert, &seen->present, &observation, view->made_at);
        *judged = (struct judged){seen->target, seen->alert};
    }
}

/* Folds what has arrived and looks. 0 or -ENOMEM. */
static int look(struct test_world *world, kpi_time now, struct view **ret_view)
{
    const struct kpi_plan *plan = world->file->config->plan;
    struct view *view;
    int r;

    r = take_until(world, now);
    if (r < 0)
        return r;
    view = replay_view(world->fold, now);
    if (!view)
        return error_origin(-ENOMEM);
    view->made_at = now;
    view->alerts = calloc(kpi_plan_n_targets(plan) + 1, sizeof(*view->alerts));
    if (!view->alerts) {
        (void)view_unref(view);
        return error_origin(-ENOMEM);
    }
    if (world->test->judges) {
        view_set_alerts(view, find_alert, world);
        judge(world, view);
    }
    world->turned = !world->layout ||
                    kpi_layout_fingerprint(world->layout) != kpi_layout_fingerprint(view->layout);
    (void)kpi_layout_unref(world->layout);
    world->layout = kpi_layout_ref(view->layout);
    world->now = now;
    *ret_view = view;
    return 0;
}

/* `time`, on a whole second, if it is to come and before `limit`. */
static kpi_time earlier(const struct test_world *world, kpi_time time, kpi_time limit)
{
    if (time == KPI_TIME_NONE || time <= world->now)
        return limit;
    return second_from(time) < limit ? second_from(time) : limit;
}

/* The first second in which the layout of the last look is over. */
static kpi_time layout_end(const struct test_world *world, kpi_time limit)
{
    kpi_time low = second_from(world->now) / KPI_SECOND, high = limit / KPI_SECOND;

    if (kpi_layout_current(world->layout, limit))
        return limit;
    while (low < high) {
        kpi_time middle = low + (high - low) / 2;

        if (kpi_layout_current(world->layout, middle * KPI_SECOND))
            low = middle + 1;
        else
            high = middle;
    }
    return earlier(world, low * KPI_SECOND, limit);
}

static kpi_time next_look(const struct test_world *world, kpi_time limit)
{
    kpi_time next = limit;

    if (world->next < world->n_arrivals)
        next = earlier(world, world->arrivals[world->next].time, next);
    if (world->now == KPI_TIME_NONE)
        return next;
    if (world->turned)
        next = earlier(world, world->now + KPI_SECOND, next);
    for (const struct judged *judged = world->judged; judged->target; judged++) {
        if (judged->alert.status == KPI_ALERT_PENDING)
            next = earlier(world, judged->alert.deviating_since + judged->target->hold, next);
    }
    return layout_end(world, next);
}

int test_world_advance(struct test_world *world, kpi_time to, struct view **ret_view)
{
    for (;;) {
        kpi_time next = world->test->judges ? next_look(world, to) : to;
        struct view *view = NULL;
        int r = look(world, next, &view);

        if (r < 0)
            return r;
        if (next == to) {
            *ret_view = view;
            return 0;
        }
        (void)view_unref(view);
    }
}

int test_world_end(struct test_world *world, struct test_outcomes *ret_outcomes)
{
    const struct replay_fold *fold = world->fold;
    int r = take_until(world, INT64_MAX);

    if (r < 0)
        return r;
    *ret_outcomes = (struct test_outcomes){
        .n_duplicates = fold->n_outcomes[KPI_OUTCOME_DUPLICATE],
        .n_conflicts = fold->n_outcomes[KPI_OUTCOME_CONFLICT],
    };
    for (unsigned i = 1; i < KPI_REFUSAL_COUNT; i++) {
        ret_outcomes->n_refused[i] = fold->n_refusals[i];
        if (fold->n_refusals[i])
            ret_outcomes->first_refused[i] = event_of(world, (uint32_t)fold->first_refusal[i].line);
    }
    return 0;
}
