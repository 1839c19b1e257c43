/*
 * Claims about funnels in an engine: they survive saving and loading, another plan, and the erasing
 * of a user; what is late or too much is counted; an event allocates nothing once tables have
 * grown; what is wrong in a definition is said at its place. That the numbers are right is claimed
 * by tests/process/test_funnels.py.
 */
#include "object_store.h"
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <engine/state.h>
#include <kpi/answers.h>
#include <kpi/funnel.h>
#include <kpi/object.h>

#define NOON ((kpi_time)DAY_2026_11_01 * KPI_DAY + 12 * KPI_HOUR)

enum {
    USERS = 300,
    FUNNELS = 4,
};

static struct fixture f;
static struct kpi_funnel_definition funnels[KPI_FUNNELS_MAX + 1];
static struct kpi_funnel_step_definition steps[8][KPI_FUNNEL_STEPS_MAX + 1];
static struct kpi_funnel_exclusion_definition exclusions[8][KPI_FUNNEL_EXCLUSIONS_MAX + 1];
static struct kpi_text by[8][KPI_BREAKDOWN_DIMENSIONS_MAX + 1];
static struct object_store store;

/* --- definitions --- */

/* A funnel of these conditions, which end with NULL. */
static struct kpi_funnel_definition *funnel_add(const char *name, const char *const *conditions)
{
    uint32_t index = f.in.n_funnels++;
    struct kpi_funnel_definition *funnel = &funnels[index];

    *funnel = (struct kpi_funnel_definition){.name = TEXT(name),
                                             .steps = steps[index],
                                             .exclusions = exclusions[index],
                                             .within = KPI_DAY,
                                             .lateness = KPI_HOUR,
                                             .by = by[index]};
    for (; *conditions; conditions++)
        steps[index][funnel->n_steps++] =
            (struct kpi_funnel_step_definition){.where = TEXT(*conditions)};
    f.in.funnels = funnels;
    return funnel;
}

static void exclude(struct kpi_funnel_definition *funnel, const char *where, const char *from,
                    const char *to)
{
    exclusions[funnel - funnels][funnel->n_exclusions++] =
        (struct kpi_funnel_exclusion_definition){TEXT(where), TEXT(from), TEXT(to)};
}

static const char *const abc[] = {"type == 'a'", "type == 'b'", "type == 'c'", NULL};

/* One of each order, one of them by channel and campaign. */
static void definitions_make(void)
{
    struct kpi_funnel_definition *funnel;

    fixture_init(&f);
    fixture_dimension(&f, "channel", "", 0);
    f.in.dedupe_window = 0;
    funnel = funnel_add("plain", abc);
    by[0][0] = TEXT("channel");
    by[0][1] = TEXT("campaign");
    funnel->n_by = 2;
    funnel = funnel_add("unless", abc);
    exclude(funnel, "type == 'd'", "b", "3");
    steps[1][1].optional = true;
    funnel_add("next", abc)->order = KPI_FUNNEL_STRICT;
    funnel_add("all", abc)->order = KPI_FUNNEL_ANY;
}

/* --- a world --- */

struct world {
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    uint64_t random, n_ids;
};

static void world_make(struct world *world)
{
    *world = (struct world){.plan = fixture_plan(&f)};
    assert_non_null(world->plan);
    assert_int_equal(kpi_engine_new(&world->engine, world->plan, &f.mem.mem), 0);
    assert_int_equal(kpi_batch_new(&world->batch, world->plan, &f.mem.mem), 0);
}

static void world_end(struct world *world)
{
    (void)kpi_batch_free(world->batch);
    (void)kpi_engine_free(world->engine);
    (void)kpi_plan_unref(world->plan);
    object_store_clear(&store);
    assert_int_equal(f.mem.bytes, 0);
}

static void event_fill(struct world *world, const char *type, uint64_t user, kpi_time time)
{
    static const char *const channels[] = {"web", "app", "shop"};
    struct kpi_event *event = &world->batch->events[0];

    event->time = event->record_time = time;
    event->user = user * UINT64_C(0x9e3779b97f4a7c15);
    event->id = ++world->n_ids;
    event->flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID;
    event->type = string_field(type);
    for (uint32_t i = 0; i < kpi_plan_n_fields(world->plan); i++)
        event->fields[i] = string_field(i ? channels[user % 3] : user % 2 ? "one" : "two");
    world->batch->n_events = 1;
}

static enum kpi_outcome apply(struct world *world, const char *type, uint64_t user, kpi_time time)
{
    event_fill(world, type, user, time);
    assert_int_equal(kpi_engine_apply(world->engine, world->batch), 0);
    return world->batch->events[0].outcome;
}

/* Events of a stretch of time that moves on; up to 50 minutes out of order. */
static void apply_some(struct world *world, unsigned n)
{
    static const char *const types[] = {"a", "b", "c", "d", "e"};

    for (unsigned i = 0; i < n; i++) {
        kpi_time time = NOON + (kpi_time)world->n_ids * KPI_MINUTE;

        time -= (kpi_time)(next_random(&world->random) % 50) * KPI_MINUTE;
        assert_int_equal(apply(world, types[next_random(&world->random) % COUNT_OF(types)],
                               1 + next_random(&world->random) % USERS, time),
                         KPI_OUTCOME_APPLIED);
    }
}

static struct kpi_answers *answers_of(const struct world *world)
{
    struct kpi_layout *layout;
    struct kpi_answers *answers;

    assert_int_equal(kpi_layout_new(&layout, world->plan, NOON, &f.mem.mem), 0);
    assert_int_equal(kpi_engine_answers(world->engine, layout, &answers), 0);
    (void)kpi_layout_unref(layout);
    return answers;
}

/* Users of a step, and late events, of all of a funnel. */
static uint64_t asked(const struct world *world, uint32_t funnel, uint32_t step, uint64_t *n_late)
{
    const struct kpi_funnel_question question = {.from = INT64_MIN, .to = INT64_MAX};
    struct kpi_answers *answers = answers_of(world);
    struct kpi_funnel_result *result;
    uint64_t users;

    assert_true(kpi_answers_fits(answers, world->plan));
    assert_int_equal(kpi_funnel_ask(world->plan, answers, funnel, &question, &f.mem.mem, &result),
                     0);
    assert_int_equal(result->n_groups, 1);
    users = result->groups[0].steps[step].users;
    if (n_late)
        *n_late = result->n_late;
    (void)kpi_funnel_result_free(result);
    (void)kpi_answers_unref(answers);
    return users;
}

static kpi_time counts_from(const struct world *world, uint32_t funnel)
{
    const struct kpi_funnel_question question = {.from = INT64_MIN, .to = INT64_MAX};
    struct kpi_answers *answers = answers_of(world);
    struct kpi_funnel_result *result;
    kpi_time from;

    assert_int_equal(kpi_funnel_ask(world->plan, answers, funnel, &question, &f.mem.mem, &result),
                     0);
    from = result->counts_from;
    (void)kpi_funnel_result_free(result);
    (void)kpi_answers_unref(answers);
    return from;
}

/* Do the engines of two worlds answer and digest the same? */
static void assert_same(const struct world *a, const struct world *b)
{
    struct kpi_answers *answers[] = {answers_of(a), answers_of(b)};
    uint8_t digests[2][16];
    void *bytes[2];
    size_t sizes[2];

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(kpi_engine_digest((i ? b : a)->engine, digests[i]), 0);
        assert_int_equal(kpi_answers_encode(answers[i], &f.mem.mem, &bytes[i], &sizes[i]), 0);
        (void)kpi_answers_unref(answers[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    assert_memory_equal(digests[0], digests[1], 16);
    for (unsigned i = 0; i < 2; i++)
        kpi_mem_free(&f.mem.mem, bytes[i], sizes[i]);
}

static void save(struct world *world, bool all)
{
    object_store_begin(&store);
    assert_int_equal(kpi_engine_save(world->engine, all, object_store_put, &store), 0);
}

/* The engine's place is taken by one that is loaded from the store. */
static void restart(struct world *world)
{
    world->engine = kpi_engine_free(world->engine);
    assert_int_equal(kpi_engine_new(&world->engine, world->plan, &f.mem.mem), 0);
    assert_int_equal(object_store_load(&store, world->engine, world->random), 0);
}

/* --- claims --- */

static void restarts_change_nothing(void **state)
{
    struct world straight, broken;
    size_t n_put = 0;

    definitions_make();
    world_make(&straight);
    world_make(&broken);
    for (unsigned round = 0; round < 60; round++) {
        unsigned n = 5 + round * 7 % 60;

        apply_some(&straight, n);
        apply_some(&broken, n);
        save(&broken, round == 20);
        n_put = store.n_put;
        if (round % 3 == 0)
            restart(&broken);
        if (round % 5 == 0)
            assert_same(&straight, &broken);
    }
    assert_same(&straight, &broken);
    assert_true(asked(&straight, 0, 2, NULL) > 20);
    assert_true(n_put > 0);
    (void)kpi_engine_free(straight.engine);
    (void)kpi_batch_free(straight.batch);
    (void)kpi_plan_unref(straight.plan);
    world_end(&broken);
}

/* What has not changed is not written again. */
static void saves_are_of_what_changed(void **state)
{
    struct world world;
    size_t whole;

    definitions_make();
    world_make(&world);
    apply_some(&world, 3000);
    save(&world, true);
    whole = store.bytes_put;
    apply_some(&world, 2);
    save(&world, false);
    assert_true(store.bytes_put < whole / 4);
    restart(&world);
    apply_some(&world, 2);
    save(&world, false);
    assert_true(store.bytes_put < whole / 4);
    world_end(&world);
}

/* Loads an object with one bit of its content turned, in a frame that is right. */
static int load_damaged(struct world *world, struct kpi_engine *engine,
                        const struct kpi_object *object)
{
    size_t payload = object->size - KPI_OBJECT_HEADER_BYTES, at = KPI_OBJECT_HEADER_BYTES + 13;
    uint8_t *copy = malloc(object->size);
    struct kpi_object damaged = {object->name, copy, object->size};
    int r;

    at += next_random(&world->random) % (object->size - at);
    memcpy(copy, object->data, object->size);
    copy[at] ^= 1u << next_random(&world->random) % 8;
    kpi_object_seal(copy, object->name.data[0] == 'f' ? KPI_OBJECT_ROWS : KPI_OBJECT_META, 1,
                    payload);
    r = kpi_engine_load(engine, &damaged);
    free(copy);
    return r;
}

static void damaged_objects_are_refused_or_harmless(void **state)
{
    struct world world;
    unsigned n_refused = 0;

    definitions_make();
    world_make(&world);
    apply_some(&world, 400);
    save(&world, true);
    for (unsigned i = 0; i < 300; i++) {
        struct world other = world;
        int r = 0;

        assert_int_equal(kpi_engine_new(&other.engine, world.plan, &f.mem.mem), 0);
        for (size_t k = 0; k < store.n && r == 0; k++) {
            struct kpi_object object = object_store_get(&store, k);

            r = strchr("fy", object.name.data[0]) ? load_damaged(&world, other.engine, &object)
                                                  : kpi_engine_load(other.engine, &object);
        }
        if (r == 0)
            r = kpi_engine_load_end(other.engine);
        assert_true(r == 0 || r == KPI_ENGINE_E_CORRUPT);
        n_refused += r != 0;
        if (r == 0)
            (void)kpi_answers_unref(answers_of(&other));
        (void)kpi_engine_free(other.engine);
    }
    assert_true(n_refused > 30);
    world_end(&world);
}

/* Puts the world under the definitions as they are now. */
static void replan(struct world *world)
{
    struct kpi_plan *plan = fixture_plan(&f);

    assert_non_null(plan);
    assert_int_equal(kpi_engine_replan(world->engine, plan), 0);
    (void)kpi_plan_unref(world->plan);
    (void)kpi_batch_free(world->batch);
    world->plan = plan;
    assert_int_equal(kpi_batch_new(&world->batch, plan, &f.mem.mem), 0);
}

static void another_plan_keeps_what_means_the_same(void **state)
{
    struct world world;
    struct kpi_funnel_definition swap;
    uint64_t before[FUNNELS];
    kpi_time newest;

    definitions_make();
    world_make(&world);
    apply_some(&world, 3000);
    save(&world, false);
    for (uint32_t i = 0; i < FUNNELS; i++) {
        before[i] = asked(&world, i, 1, NULL);
        assert_true(counts_from(&world, i) == KPI_TIME_NONE);
    }
    newest = world.engine->newest_event;
    swap = funnels[0];
    funnels[0] = funnels[3];
    funnels[3] = swap;
    funnels[0].name = TEXT("renamed");
    funnels[1].within = 2 * KPI_DAY;
    replan(&world);
    for (unsigned i = 0; i < 2; i++) { /* before and after it was saved */
        assert_int_equal(asked(&world, 0, 1, NULL), before[3]);
        assert_int_equal(asked(&world, 1, 1, NULL), 0);
        assert_int_equal(asked(&world, 2, 1, NULL), before[2]);
        assert_int_equal(asked(&world, 3, 1, NULL), before[0]);
        assert_true(counts_from(&world, 0) == KPI_TIME_NONE);
        assert_true(counts_from(&world, 1) == newest + 1);
        save(&world, false);
        restart(&world);
    }
    f.in.n_funnels = 0;
    replan(&world);
    save(&world, false);
    for (size_t i = 0; i < store.n; i++)
        assert_null(strchr("yfg", store.objects[i].name[0]));
    world_end(&world);
}

static void funnels_of_the_store_are_of_its_plan(void **state)
{
    struct world world;
    uint64_t before;

    definitions_make();
    world_make(&world);
    apply_some(&world, 2000);
    save(&world, false);
    before = asked(&world, 2, 1, NULL);
    (void)kpi_plan_unref(world.plan);
    funnels[0] = funnels[2];
    f.in.n_funnels = 2;
    funnels[1].lateness = 0;
    world.plan = fixture_plan(&f);
    restart(&world);
    assert_int_equal(asked(&world, 0, 1, NULL), before);
    assert_int_equal(asked(&world, 1, 0, NULL), 0);
    save(&world, false);
    restart(&world);
    assert_int_equal(asked(&world, 0, 1, NULL), before);
    assert_true(counts_from(&world, 0) == KPI_TIME_NONE);
    assert_true(counts_from(&world, 1) == world.engine->newest_event + 1);
    world_end(&world);
}

/* Is this number in any object of the store? */
static bool is_stored(int64_t number)
{
    for (size_t i = 0; i < store.n; i++)
        if (memmem(store.objects[i].data, store.objects[i].size, &number, sizeof(number)))
            return true;
    return false;
}

static void a_forgotten_user_leaves_nothing(void **state)
{
    struct world world;
    uint64_t before;
    uint32_t user;

    definitions_make();
    world_make(&world);
    apply_some(&world, 50);
    before = asked(&world, 0, 0, NULL);
    apply(&world, "a", 1000, NOON + KPI_HOUR + 77);
    save(&world, false);
    assert_true(is_stored(NOON + KPI_HOUR + 77));
    apply(&world, "b", 1000, NOON + 3 * KPI_HOUR + 77);
    apply(&world, "e", 1, NOON + 4 * KPI_HOUR);
    assert_int_equal(asked(&world, 0, 0, NULL), before + 1);
    save(&world, false);
    assert_true(is_stored(NOON + 3 * KPI_HOUR + 77));
    user = kpi_users_find(&world.engine->users, 1000 * UINT64_C(0x9e3779b97f4a7c15));
    kpi_funnels_forget(world.engine, user);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(asked(&world, 0, 0, NULL), before);
        for (uint32_t k = 0; k < FUNNELS; k++)
            assert_int_equal(kpi_funnels_block(&world.engine->funnels, user, k), 0);
        save(&world, false);
        assert_false(is_stored(NOON + KPI_HOUR + 77) || is_stored(NOON + 3 * KPI_HOUR + 77));
        restart(&world);
    }
    world_end(&world);
}

/* The event that erases is itself in no funnel, and what follows is of a new user. */
static void an_erased_user_is_in_no_funnel(void **state)
{
    struct world world;

    definitions_make();
    world_make(&world);
    apply(&world, "a", 1, NOON);
    apply(&world, "a", 2, NOON);
    apply(&world, "b", 2, NOON + KPI_MINUTE);
    assert_int_equal(apply(&world, "kpid.user_erased", 1, NOON + KPI_MINUTE), KPI_OUTCOME_APPLIED);
    assert_int_equal(asked(&world, 2, 0, NULL), 1);
    assert_int_equal(asked(&world, 2, 1, NULL), 1);
    apply(&world, "b", 1, NOON + 2 * KPI_MINUTE);
    assert_int_equal(asked(&world, 0, 1, NULL), 1);
    assert_int_equal(apply(&world, "kpid.consent_withdrawn", 2, NOON + KPI_HOUR),
                     KPI_OUTCOME_APPLIED);
    assert_int_equal(asked(&world, 0, 0, NULL), 0);
    assert_int_equal(apply(&world, "a", 2, NOON + KPI_HOUR), KPI_OUTCOME_REFUSED);
    world_end(&world);
}

/* In each round the same happens to each user, a week later. */
static void events_allocate_nothing(void **state)
{
    struct world world;
    uint64_t n_calls = 0;

    definitions_make();
    f.in.keep = 10 * KPI_DAY;
    f.in.n_rolling = 1;
    world_make(&world);
    for (unsigned round = 0; round < 6; round++) {
        n_calls = f.mem.n_calls;
        for (unsigned i = 0; i < 20 * USERS; i++) {
            kpi_time time = NOON + (kpi_time)round * 14 * KPI_DAY + i * 6 * KPI_SECOND;

            (void)apply(&world, (const char *[]){"a", "b", "d", "e"}[i / USERS % 4], 1 + i % USERS,
                        time - i % 7 * KPI_MINUTE);
        }
    }
    assert_int_equal(f.mem.n_calls, n_calls);
    world_end(&world);
}

/* A plan, an engine, some events, a save and answers. */
static int live(struct world *world)
{
    static const char *const types[] = {"a", "b", "c"};
    struct kpi_layout *layout;
    struct kpi_answers *answers;
    int r = fixture_compile(&f, &world->plan);

    if (r == 0)
        r = kpi_engine_new(&world->engine, world->plan, &f.mem.mem);
    if (r == 0)
        r = kpi_batch_new(&world->batch, world->plan, &f.mem.mem);
    for (unsigned i = 0; i < 30 && r == 0; i++) {
        event_fill(world, types[i % 3], 1 + i % 2, NOON + i * KPI_MINUTE);
        r = kpi_engine_apply(world->engine, world->batch);
    }
    object_store_begin(&store);
    if (r == 0)
        r = kpi_engine_save(world->engine, true, object_store_put, &store);
    if (r == 0)
        r = kpi_layout_new(&layout, world->plan, NOON, &f.mem.mem);
    if (r < 0)
        return r;
    r = kpi_engine_answers(world->engine, layout, &answers);
    (void)kpi_layout_unref(layout);
    if (r == 0)
        (void)kpi_answers_unref(answers);
    return r;
}

static void memory_may_fail_anywhere(void **state)
{
    for (uint64_t at = 1;; at += at < 200 ? 1 : 3) {
        struct world world = {0};
        int r;

        definitions_make();
        f.mem.fail_at = at;
        r = live(&world);
        assert_true(r == 0 || r == -ENOMEM);
        (void)kpi_batch_free(world.batch);
        (void)kpi_engine_free(world.engine);
        (void)kpi_plan_unref(world.plan);
        object_store_clear(&store);
        assert_int_equal(f.mem.bytes, 0);
        if (r == 0)
            break;
    }
}

static void events_without_user_are_in_no_funnel(void **state)
{
    struct world world;

    definitions_make();
    world_make(&world);
    event_fill(&world, "a", 1, NOON);
    world.batch->events[0].flags &= ~(unsigned)KPI_EVENT_HAS_USER;
    assert_int_equal(kpi_engine_apply(world.engine, world.batch), 0);
    assert_int_equal(world.batch->events[0].outcome, KPI_OUTCOME_APPLIED);
    assert_int_equal(asked(&world, 0, 0, NULL), 0);
    world_end(&world);
}

/* There need be no dimension at all. */
static void by_campaign_alone(void **state)
{
    const struct kpi_funnel_question question = {.from = INT64_MIN, .to = INT64_MAX, .by = true};
    struct kpi_funnel_result *result;
    struct kpi_answers *answers;
    struct world world;

    fixture_init(&f);
    funnel_add("plain", abc)->n_by = 1;
    by[0][0] = TEXT("campaign");
    world_make(&world);
    for (uint64_t user = 1; user <= 3; user++)
        apply(&world, "a", user, NOON);
    apply(&world, "b", 3, NOON + KPI_SECOND);
    save(&world, true);
    restart(&world);
    answers = answers_of(&world);
    assert_int_equal(kpi_funnel_ask(world.plan, answers, 0, &question, &f.mem.mem, &result), 0);
    assert_int_equal(result->n_groups, 2);
    assert_memory_equal(result->groups[0].values[0].data, "one", 3);
    assert_int_equal(result->groups[0].steps[0].users, 2);
    assert_int_equal(result->groups[0].steps[1].users, 1);
    assert_memory_equal(result->groups[1].values[0].data, "two", 3);
    assert_int_equal(result->groups[1].steps[0].users, 1);
    (void)kpi_funnel_result_free(result);
    (void)kpi_answers_unref(answers);
    world_end(&world);
}

static void users_beyond_the_limit_are_refused(void **state)
{
    struct world world;

    definitions_make();
    f.in.users_max = 1;
    world_make(&world);
    assert_int_equal(apply(&world, "a", 1, NOON), KPI_OUTCOME_APPLIED);
    assert_int_equal(apply(&world, "a", 2, NOON), KPI_OUTCOME_REFUSED);
    assert_int_equal(world.batch->events[0].refusal, KPI_REFUSAL_USERS_FULL);
    assert_int_equal(apply(&world, "b", 1, NOON), KPI_OUTCOME_APPLIED);
    world_end(&world);
}

/* So many may wait; of one more the first is walked, and what would stand before it is late. */
static void waiting_is_bounded(void **state)
{
    struct world world;
    uint64_t n_late;

    definitions_make();
    world_make(&world);
    for (unsigned i = 0; i < KPI_FUNNEL_WAITING_MAX; i++)
        apply(&world, "a", 1, NOON + (i + 1) * KPI_SECOND);
    apply(&world, "a", 1, NOON);
    (void)asked(&world, 0, 0, &n_late);
    assert_int_equal(n_late, 0); /* it was itself the first of too many */
    apply(&world, "a", 1, NOON - KPI_SECOND);
    (void)asked(&world, 0, 0, &n_late);
    assert_int_equal(n_late, 1);
    save(&world, true);
    restart(&world);
    (void)asked(&world, 0, 0, &n_late);
    assert_int_equal(n_late, 1);
    world_end(&world);
}

/* A chain is forgotten with what is kept; one that can still go on takes its place. */
static void old_chains_are_forgotten(void **state)
{
    struct world world;

    definitions_make();
    fixture_keep(&f, 10 * KPI_DAY);
    f.in.n_rolling = 1;
    funnels[0].within = 5 * KPI_DAY;
    world_make(&world);
    apply(&world, "a", 1, NOON);
    apply(&world, "b", 1, NOON + KPI_HOUR);
    apply(&world, "a", 1, NOON + 8 * KPI_DAY);
    apply(&world, "e", 2, NOON + 9 * KPI_DAY);
    assert_int_equal(asked(&world, 0, 1, NULL), 1);
    apply(&world, "e", 2, NOON + 11 * KPI_DAY);
    assert_int_equal(asked(&world, 0, 0, NULL), 1);
    assert_int_equal(asked(&world, 0, 1, NULL), 0);
    apply(&world, "b", 1, NOON + 12 * KPI_DAY);
    assert_int_equal(asked(&world, 0, 1, NULL), 1);
    world_end(&world);
}

/* --- what is wrong --- */

static void too_many_steps(void)
{
    for (; funnels[0].n_steps <= KPI_FUNNEL_STEPS_MAX; funnels[0].n_steps++)
        steps[0][funnels[0].n_steps].where = TEXT("type == 'a'");
}

static void one_step(void)
{
    funnels[0].n_steps = 1;
}

static void no_steps(void)
{
    funnels[0].n_steps = 0;
}

static void too_many_exclusions(void)
{
    for (unsigned i = 0; i <= KPI_FUNNEL_EXCLUSIONS_MAX; i++)
        exclude(&funnels[0], "type == 'x'", "", "");
}

static void exclusion_of_strict(void)
{
    exclude(&funnels[2], "type == 'x'", "", "");
}

static void exclusion_of_any(void)
{
    exclude(&funnels[3], "type == 'x'", "", "");
}

static void exclusion_backwards(void)
{
    exclude(&funnels[0], "type == 'x'", "b", "a");
}

static void exclusion_of_unknown_step(void)
{
    steps[0][0].name = TEXT("exposure");
    exclude(&funnels[0], "type == 'x'", "exposuer", "");
}

static void exclusion_of_step_17(void)
{
    exclude(&funnels[0], "type == 'x'", "1", "17");
}

static void first_optional(void)
{
    steps[0][0].optional = true;
}

static void last_optional(void)
{
    steps[0][2].optional = true;
}

static void optional_of_any(void)
{
    steps[3][1].optional = true;
}

static void twice_the_step(void)
{
    steps[0][0].name = steps[0][1].name = TEXT("same");
}

static void twice_the_name(void)
{
    funnels[1].name = TEXT("plain");
}

static void no_name(void)
{
    funnels[1].name = TEXT("two words");
}

static void unknown_dimension(void)
{
    by[0][0] = TEXT("chanel");
}

static void twice_the_dimension(void)
{
    by[0][1] = TEXT("channel");
}

static void too_many_dimensions(void)
{
    for (unsigned i = 0; i <= KPI_BREAKDOWN_DIMENSIONS_MAX; i++)
        by[0][i] = TEXT("channel");
    funnels[0].n_by = KPI_BREAKDOWN_DIMENSIONS_MAX + 1;
}

static void broken_condition(void)
{
    steps[0][1].where = TEXT("type =");
}

static void condition_of_no_kind(void)
{
    steps[0][1].where = TEXT("type > 3");
}

static void too_long(void)
{
    funnels[0].within = f.in.keep + 1;
}

static void too_late(void)
{
    funnels[0].lateness = f.in.keep + 1;
}

static void too_many(void)
{
    f.in.n_funnels = KPI_FUNNELS_MAX + 1;
    for (unsigned i = FUNNELS; i < f.in.n_funnels; i++)
        funnels[i] = (struct kpi_funnel_definition){.name = TEXT("n")};
}

static void wrong_definitions_are_told(void **state)
{
    static const struct {
        void (*spoil)(void);
        const char *message, *suggest;
    } table[] = {
        {one_step, "the funnel \"plain\" has one step; there must be at least two", ""},
        {no_steps, "the funnel \"plain\" has no steps; there must be at least two", ""},
        {too_many_steps, "this is one step too many; a funnel has up to 16", ""},
        {too_many_exclusions, "this is one exclusion too many; a funnel has up to 8", ""},
        {exclusion_of_strict, "a strict funnel excludes everything between its steps already", ""},
        {exclusion_of_any, "in any order there is nothing between two steps that could be excluded",
         ""},
        {exclusion_backwards, "an exclusion is between two steps: \"to\" comes after \"from\"", ""},
        {exclusion_of_unknown_step, "there is no step \"exposuer\" in this funnel, which has 3",
         "exposure"},
        {exclusion_of_step_17, "there is no step \"17\" in this funnel, which has 3", ""},
        {first_optional, "the first and the last step cannot be optional", ""},
        {last_optional, "the first and the last step cannot be optional", ""},
        {optional_of_any, "in any order no step is optional: whoever leaves one out has one less",
         ""},
        {twice_the_step, "there are two steps \"same\" in this funnel", ""},
        {twice_the_name, "there are two funnels \"plain\"", ""},
        {no_name,
         "\"two words\" cannot name a funnel: a name has 1 to 64 bytes, letters, digits "
         "and underscores, begins with no digit and is no word of the language",
         ""},
        {unknown_dimension, "there is no dimension or segment \"chanel\"", "channel"},
        {twice_the_dimension, "\"channel\" is there twice", ""},
        {too_many_dimensions, "this is one dimension too many; a funnel has up to 4", ""},
        {broken_condition, "an operator, or the end, is expected here", "=="},
        {condition_of_no_kind, NULL, ""},
        {too_long, "\"within\" is longer than what is kept", ""},
        {too_late, "\"lateness\" is longer than what is kept", ""},
        {too_many, "this is one funnel too many; there may be 32", ""},
    };

    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct kpi_plan *plan;

        definitions_make();
        table[i].spoil();
        assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
        assert_int_equal(f.recorder.n_messages, 1);
        assert_true(f.recorder.messages[0].origin > 0);
        if (table[i].message)
            assert_string_equal(f.recorder.messages[0].text, table[i].message);
        assert_string_equal(f.recorder.messages[0].suggest, table[i].suggest);
        assert_int_equal(f.mem.bytes, 0);
    }
}

static uint64_t fingerprint_of(uint32_t funnel)
{
    struct kpi_plan *plan = fixture_plan(&f);
    uint64_t fingerprint;

    assert_non_null(plan);
    fingerprint = kpi_plan_funnel(plan, funnel)->fingerprint;
    (void)kpi_plan_unref(plan);
    return fingerprint;
}

static void fingerprints_are_of_what_is_meant(void **state)
{
    uint64_t plain, unless;
    struct kpi_text swap;

    definitions_make();
    plain = fingerprint_of(0);
    unless = fingerprint_of(1);
    swap = by[0][0];
    by[0][0] = by[0][1];
    by[0][1] = swap;
    funnels[0].name = TEXT("other");
    funnels[0].title_en = TEXT("Other");
    steps[0][0].where = TEXT("(type == \"a\")");
    steps[0][1].name = TEXT("second");
    exclusions[1][0].from = TEXT("2");
    assert_true(fingerprint_of(0) == plain);
    assert_true(fingerprint_of(1) == unless);
    steps[0][2].where = TEXT("type == 'd'");
    assert_true(fingerprint_of(0) != plain);
    definitions_make();
    funnels[0].n_by = 1;
    assert_true(fingerprint_of(0) != plain);
    definitions_make();
    funnels[0].lateness++;
    assert_true(fingerprint_of(0) != plain);
    definitions_make();
    steps[0][1].optional = true;
    assert_true(fingerprint_of(0) != plain);
    definitions_make();
    exclusions[1][0].from = TEXT("1");
    assert_true(fingerprint_of(1) != unless);
}

static void steps_have_names(void **state)
{
    static const char *const conditions[] = {"type == 'a'", "type == 'a'", "type in ['b', 'c']",
                                             "type == 'a'", NULL};
    static const char *const names[] = {"a", "a 2", "type in ['b', 'c']", "last"};
    struct kpi_plan *plan;

    fixture_init(&f);
    funnel_add("f", conditions);
    steps[0][3].name = TEXT("last");
    plan = fixture_plan(&f);
    assert_non_null(plan);
    for (uint32_t i = 0; i < 4; i++) {
        struct kpi_string name = kpi_plan_funnel(plan, 0)->steps[i].name;

        assert_int_equal(name.length, strlen(names[i]));
        assert_memory_equal(name.data, names[i], name.length);
    }
    (void)kpi_plan_unref(plan);
}

/* --- blocks --- */

static void blocks_keep_what_is_in_them(void **state)
{
    struct counting_mem mem;
    struct kpi_slab slab = {.mem = &mem.mem};
    uint32_t blocks[2000] = {0}, sizes[2000];
    uint64_t random = 1, n_calls = 0;

    counting_mem_init(&mem);
    for (unsigned round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < COUNT_OF(blocks); i++) {
            if (blocks[i]) {
                for (uint32_t k = 0; k < sizes[i]; k++)
                    assert_int_equal(kpi_slab_words(&slab, blocks[i])[k], i * 1000 + k);
                kpi_slab_free(&slab, blocks[i], sizes[i]);
            }
            sizes[i] = round < 20 ? 1 + (uint32_t)(next_random(&random) % 500) : sizes[i];
            assert_int_equal(kpi_slab_alloc(&slab, sizes[i], &blocks[i]), 0);
            for (uint32_t k = 0; k < sizes[i]; k++)
                kpi_slab_words(&slab, blocks[i])[k] = i * 1000 + k;
        }
        if (round == 20)
            n_calls = mem.n_calls;
    }
    assert_int_equal(mem.n_calls, n_calls);
    kpi_slab_deinit(&slab);
    assert_int_equal(mem.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarts_change_nothing),
        cmocka_unit_test(saves_are_of_what_changed),
        cmocka_unit_test(damaged_objects_are_refused_or_harmless),
        cmocka_unit_test(another_plan_keeps_what_means_the_same),
        cmocka_unit_test(funnels_of_the_store_are_of_its_plan),
        cmocka_unit_test(a_forgotten_user_leaves_nothing),
        cmocka_unit_test(an_erased_user_is_in_no_funnel),
        cmocka_unit_test(events_allocate_nothing),
        cmocka_unit_test(memory_may_fail_anywhere),
        cmocka_unit_test(events_without_user_are_in_no_funnel),
        cmocka_unit_test(by_campaign_alone),
        cmocka_unit_test(users_beyond_the_limit_are_refused),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(old_chains_are_forgotten),
        cmocka_unit_test(wrong_definitions_are_told),
        cmocka_unit_test(fingerprints_are_of_what_is_meant),
        cmocka_unit_test(steps_have_names),
        cmocka_unit_test(blocks_keep_what_is_in_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
