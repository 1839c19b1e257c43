/*
 * Claims about experiments of a plan: a definition that is wrong is refused where it is wrong; a
 * user is in the arm of the first exposure by event time, or in none after two arms; only what
 * comes at or after that exposure counts, in whatever order events arrive, or the user is told to
 * be uncertain; sums are those of a walk over all events, for any number of shards, across saves;
 * and nothing is decided too early or from sums that are none.
 */
#include "object_store.h"
#include "spec_fixture.h"

#include <engine/experiments.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define AT(day, hour) ((kpi_time)(DAY_2026_11_01 - 1 + (day)) * KPI_DAY + (hour)*KPI_HOUR)
#define ONE           KPI_DECIMAL_ONE

static struct fixture f;

static void definitions(void)
{
    fixture_init(&f);
    fixture_measure(&f, "buyers", "users", "type == \"purchase\"");
    fixture_measure(&f, "often", "users(2)", "type == \"purchase\"");
    fixture_measure(&f, "orders", "count", "type == \"purchase\"");
    fixture_measure(&f, "revenue", "sum(amount)", "type == \"purchase\"");
    fixture_measure(&f, "basket", "mean(amount)", "type == \"purchase\"");
    fixture_measure(&f, "happy", "latest_users(score >= 9)", "type == \"survey\"");
    fixture_segment(&f, "winner", "type == \"prize\"");
    (void)fixture_campaign(&f, "spring", 0);
    f.campaigns[0].start_day = DAY_2026_11_01;
    f.campaigns[0].end_day = DAY_2026_11_01 + 30;
}

/* --- definitions ------------------------------------------------------------------------- */

/* What makes a right definition a wrong one. */
typedef void (*spoil_fn)(struct kpi_experiment_definition *e);

static void one_arm(struct kpi_experiment_definition *e)
{
    e->n_variants = 1;
}

static void no_arm(struct kpi_experiment_definition *e)
{
    e->n_variants = 0;
}

static void many_arms(struct kpi_experiment_definition *e)
{
    static char names[17][8];

    for (unsigned i = 0; i < 17; i++) {
        snprintf(names[i], sizeof(names[i]), "v%u", i);
        f.variants[i] = TEXT(names[i]);
    }
    e->n_variants = 17;
}

static void same_arm(struct kpi_experiment_definition *e)
{
    (void)e;
    f.variants[2] = TEXT("A");
}

static void arm_without_name(struct kpi_experiment_definition *e)
{
    (void)e;
    f.variants[1] = TEXT("");
}

static void long_arm(struct kpi_experiment_definition *e)
{
    static char name[258];

    (void)e;
    memset(name, 'x', sizeof(name) - 1);
    f.variants[0] = TEXT(name);
}

static void control_is_none(struct kpi_experiment_definition *e)
{
    e->control = TEXT("D");
}

static void bad_name(struct kpi_experiment_definition *e)
{
    e->name = TEXT("a theme");
}

static void bad_exposure(struct kpi_experiment_definition *e)
{
    e->exposure = TEXT("type = \"exposure\"");
}

static void no_condition(struct kpi_experiment_definition *e)
{
    e->exposure = TEXT("type");
}

static void unknown_campaign(struct kpi_experiment_definition *e)
{
    e->campaign = TEXT("sprint");
}

static void unknown_measure(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("buyer");
}

static void goal_of_levels(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("often");
}

static void goal_of_answers(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("happy");
}

static void goal_of_means(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("basket");
}

static void proportion_of_a_sum(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("revenue");
    e->metric = KPI_METRIC_PROPORTION;
}

static void mean_of_users(struct kpi_experiment_definition *e)
{
    e->metric = KPI_METRIC_MEAN;
}

static void ratio_without_denominator(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("revenue");
    e->metric = KPI_METRIC_RATIO;
}

static void mean_with_denominator(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("revenue");
    e->denominator = TEXT("orders");
    e->metric = KPI_METRIC_MEAN;
}

static void denominator_of_users(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("revenue");
    e->denominator = TEXT("buyers");
}

static void unknown_denominator(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("revenue");
    e->denominator = TEXT("ordres");
}

static void variant_is_a_number(struct kpi_experiment_definition *e)
{
    e->goal = TEXT("variant > 3");
}

static void wrong_definitions_are_refused_where_they_are_wrong(void **state)
{
    const struct {
        spoil_fn spoil;
        const char *at; /* the text that the message points at */
        const char *text, *suggest;
    } cases[] = {
        {one_arm, "A", "an experiment has 2 to 16 variants, not 1", ""},
        {no_arm, "theme", "an experiment has 2 to 16 variants, not 0", ""},
        {many_arms, "v16", "an experiment has 2 to 16 variants, not 17", ""},
        {same_arm, "A", "the variant \"A\" is listed twice", ""},
        {arm_without_name, "", "the name of a variant has 1 to 256 bytes", ""},
        {long_arm, "xxx", "the name of a variant has 1 to 256 bytes", ""},
        {control_is_none, "D", "the control is one of the variants, and \"D\" is none", ""},
        {bad_name, "a theme", "\"a theme\" cannot name an experiment", ""},
        {bad_exposure, "type =", "", "=="},
        {no_condition, "type", "", ""},
        {unknown_campaign, "sprint", "there is no campaign \"sprint\"", "spring"},
        {unknown_measure, "buyer", "there is no measure or segment \"buyer\"", "buyers"},
        {goal_of_levels, "often", "\"often\" is neither users, count nor sum(field)", ""},
        {goal_of_answers, "happy", "\"happy\" is neither users, count nor sum(field)", ""},
        {goal_of_means, "basket", "an experiment adds up what each user does", ""},
        {proportion_of_a_sum, "revenue", "a sum is no proportion of users", ""},
        {mean_of_users, "buyers", "this counts users, who are a proportion", ""},
        {ratio_without_denominator, "revenue", "a ratio needs a denominator", ""},
        {mean_with_denominator, "orders", "only the metric ratio has a denominator", ""},
        {denominator_of_users, "buyers", "this counts users; a denominator is", ""},
        {unknown_denominator, "ordres", "there is no measure or segment \"ordres\"", "orders"},
        {variant_is_a_number, "variant", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kpi_plan *plan = NULL;
        struct kpi_experiment_definition *e;
        const struct kpi_text *texts[30];
        bool found = false;
        size_t n = 0;

        definitions();
        e = fixture_experiment(&f, "theme", "buyers");
        cases[i].spoil(e);
        assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
        assert_true(f.recorder.n_messages >= 1);
        assert_memory_equal(f.recorder.messages[0].text, cases[i].text, strlen(cases[i].text));
        assert_string_equal(f.recorder.messages[0].suggest, cases[i].suggest);
        /* Lines are texts here: fixture_experiment() and the spoilers give each one its own. */
        for (const struct kpi_text *t = f.variants; t < f.variants + 20; t++)
            texts[n++] = t;
        texts[n++] = &e->name;
        texts[n++] = &e->control;
        texts[n++] = &e->exposure;
        texts[n++] = &e->campaign;
        texts[n++] = &e->goal;
        texts[n++] = &e->denominator;
        for (size_t t = 0; t < n; t++)
            found |= texts[t]->data && texts[t]->origin == f.recorder.messages[0].origin &&
                     strncmp(texts[t]->data, cases[i].at, strlen(cases[i].at)) == 0;
        if (!found)
            fprintf(stderr, "case %zu: %s\n", i, f.recorder.messages[0].text);
        assert_true(found);
        assert_int_equal(f.mem.bytes, 0);
    }
}

static void there_is_a_limit_and_no_name_twice(void **state)
{
    static char names[KPI_EXPERIMENTS_MAX + 1][8];
    struct kpi_plan *plan = NULL;

    (void)state;
    definitions();
    for (unsigned i = 0; i <= KPI_EXPERIMENTS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "e%u", i);
        (void)fixture_experiment(&f, names[i], "buyers");
    }
    assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
    assert_string_equal(f.recorder.messages[0].text,
                        "this is one experiment too many; there may be 64");
    definitions();
    (void)fixture_experiment(&f, "theme", "buyers");
    (void)fixture_experiment(&f, "theme", "orders");
    assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
    assert_string_equal(f.recorder.messages[0].text, "there are two experiments \"theme\"");
}

/* A goal says what is compared, if nothing else does; its measure is used, and so an attribute. */
static void the_metric_follows_from_the_goal(void **state)
{
    const struct {
        const char *goal, *denominator;
        enum kpi_metric metric;
    } cases[] = {
        {"buyers", "", KPI_METRIC_PROPORTION},
        {"type == \"purchase\" and seen > 0", "", KPI_METRIC_PROPORTION},
        {"winner", "", KPI_METRIC_PROPORTION},
        {"orders", "", KPI_METRIC_MEAN},
        {"revenue", "", KPI_METRIC_MEAN},
        {"revenue", "orders", KPI_METRIC_RATIO},
        {"type == \"click\"", "type == \"view\"", KPI_METRIC_RATIO},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kpi_experiment_definition *e;
        const struct kpi_experiment_info *info;
        struct kpi_plan *plan;

        definitions();
        f.in.n_measures = 4;
        fixture_kpi(&f, "k", "buyers + often + orders + revenue", KPI_UNIT_COUNT);
        fixture_attribute(&f, "seen", "count", "type == \"exposure\"");
        f.in.n_attributes = i == 1;
        e = fixture_experiment(&f, "theme", cases[i].goal);
        e->denominator = TEXT(cases[i].denominator);
        e->title_zh = TEXT("主题");
        e->control = TEXT("B");
        plan = fixture_plan(&f);
        assert_non_null(plan);
        assert_int_equal(f.recorder.n_messages, 0); /* no warning: all is used */
        assert_int_equal(kpi_plan_n_experiments(plan), 1);
        info = kpi_plan_experiment(plan, 0);
        assert_int_equal(info->options.metric, cases[i].metric);
        assert_int_equal(info->options.control, 1);
        assert_true(kpi_string_equal(info->title_en, KPI_STRING("theme")));
        assert_true(kpi_string_equal(info->title_zh, KPI_STRING("主题")));
        assert_true(kpi_string_equal(info->arms[2], KPI_STRING("C")));
        kpi_plan_unref(plan);
    }
}

/* A measure that only an experiment asks for is used, too. */
static void a_goal_uses_its_measure(void **state)
{
    struct kpi_plan *plan;

    (void)state;
    definitions();
    f.measures[0] = f.measures[3];
    f.in.n_measures = 1;
    (void)fixture_experiment(&f, "theme", "revenue");
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(f.recorder.n_messages, 0);
    kpi_plan_unref(plan);
}

/* --- one user ---------------------------------------------------------------------------- */

static struct kpi_experiment experiment_of(enum kpi_metric metric)
{
    return (struct kpi_experiment){
        .is_proportion = metric == KPI_METRIC_PROPORTION,
        .has_denominator = metric == KPI_METRIC_RATIO,
        .fields = {KPI_NO_INDEX, KPI_NO_INDEX, KPI_NO_INDEX},
        .from = KPI_TIME_NONE,
        .to = INT64_MAX,
        .n_arms = 2,
        .arms = {{KPI_STRING("A"), XXH3_64bits("A", 1), 0},
                 {KPI_STRING("B"), XXH3_64bits("B", 1), 1}},
    };
}

/* An exposure to A or B, or a goal ('x', 'y'). */
struct step {
    char what;
    kpi_time time;
};

enum {
    STEPS_MAX = 5
};

struct unit {
    bool exposed, excluded, uncertain;
    uint32_t arm;
    int64_t x, y;
    kpi_time began;
};

/* From the definition: all steps are known, so their order does not matter. */
static struct unit unit_of(const struct step *steps, unsigned n, enum kpi_metric metric)
{
    struct unit unit = {.began = INT64_MAX};
    bool in[2] = {false};

    for (unsigned i = 0; i < n; i++) {
        if (steps[i].what == 'x' || steps[i].what == 'y')
            continue;
        in[steps[i].what - 'A'] = unit.exposed = true;
        if (steps[i].time < unit.began)
            unit.began = steps[i].time;
    }
    unit.excluded = in[0] && in[1];
    unit.arm = in[1];
    for (unsigned i = 0; i < n && unit.exposed && !unit.excluded; i++) {
        if (steps[i].time < unit.began)
            continue;
        unit.x += steps[i].what == 'x' ? ONE : 0;
        unit.y += steps[i].what == 'y' ? ONE : 0;
    }
    if (metric == KPI_METRIC_PROPORTION && unit.x)
        unit.x = ONE;
    return unit;
}

static struct unit unit_found(const struct kpi_experiment *experiment, const struct step *steps,
                              const unsigned *order, unsigned n,
                              int64_t slots[KPI_ATTRIBUTE_SLOTS_MAX])
{
    struct kpi_field variant;
    struct kpi_event event = {.fields = &variant};
    struct kpi_experiment_unit found;
    struct unit unit = {.began = INT64_MAX};

    for (unsigned i = 0; i < KPI_ATTRIBUTE_SLOTS_MAX; i++)
        slots[i] = KPI_TIME_NONE;
    for (unsigned i = 0; i < n; i++) {
        const struct step *step = &steps[order[i]];
        uint32_t part = step->what == 'x'   ? KPI_EXPERIMENT_GOAL
                        : step->what == 'y' ? KPI_EXPERIMENT_DENOMINATOR
                                            : KPI_EXPERIMENT_EXPOSURE;

        event.time = step->time;
        variant = string_field(step->what == 'A' ? "A" : "B");
        if (step->what == 'y' && !experiment->has_denominator)
            continue;
        assert_true(kpi_experiment_takes(experiment, part, &event));
        kpi_experiment_update(experiment, part, &event, slots);
    }
    if (!kpi_experiment_unit(experiment, slots, &found))
        return unit;
    unit = (struct unit){.exposed = true,
                         .excluded = found.in_two_arms,
                         .uncertain = found.is_uncertain,
                         .began = found.exposed};
    if (!unit.excluded) {
        unit.arm = found.arm;
        unit.x = found.x;
        unit.y = found.y;
    }
    return unit;
}

static void permute(unsigned *order, unsigned n, unsigned k, void (*look)(const unsigned *order))
{
    if (k == n) {
        look(order);
        return;
    }
    for (unsigned i = k; i < n; i++) {
        unsigned kept = order[k];

        order[k] = order[i];
        order[i] = kept;
        permute(order, n, k + 1, look);
        order[i] = order[k];
        order[k] = kept;
    }
}

static struct step steps[STEPS_MAX];
static unsigned n_steps, n_uncertain, n_looked;
static int64_t first_slots[KPI_ATTRIBUTE_SLOTS_MAX]; /* of the first order that is looked at */
static bool looked_before;
static enum kpi_metric looked_metric;

static void look_at_order(const unsigned *order)
{
    const struct kpi_experiment experiment = experiment_of(looked_metric);
    int64_t slots[KPI_ATTRIBUTE_SLOTS_MAX];
    struct unit is = unit_found(&experiment, steps, order, n_steps, slots);
    struct unit should = unit_of(steps, n_steps, looked_metric);
    bool sorted = true;

    for (unsigned i = 1; i < n_steps; i++) {
        const struct step *a = &steps[order[i - 1]], *b = &steps[order[i]];

        /* goals arrive behind an exposure of the same moment */
        sorted &= a->time < b->time || (a->time == b->time && (a->what < 'x' || b->what >= 'x'));
    }
    /* What is kept is the same, too, so that digests of states can be compared. */
    if (looked_before && looked_metric == KPI_METRIC_PROPORTION)
        assert_memory_equal(slots, first_slots, sizeof(slots));
    memcpy(first_slots, slots, sizeof(slots));
    looked_before = true;
    n_looked++;
    n_uncertain += is.uncertain;
    assert_int_equal(is.exposed, should.exposed);
    assert_int_equal(is.excluded, should.excluded);
    assert_int_equal(is.began, should.began);
    assert_int_equal(is.arm, should.excluded ? 0 : should.arm);
    assert_false(is.uncertain && (sorted || looked_metric == KPI_METRIC_PROPORTION));
    if (is.uncertain) {
        assert_true(is.x <= should.x && is.y <= should.y);
        return;
    }
    assert_int_equal(is.x, should.x);
    if (looked_metric == KPI_METRIC_RATIO)
        assert_int_equal(is.y, should.y);
}

static void look_at_all(enum kpi_metric metric, uint64_t seed)
{
    static const char letters[] = "AAAAAABxxxy";

    looked_metric = metric;
    n_looked = n_uncertain = 0;
    for (unsigned i = 0; i < 400; i++) {
        unsigned order[STEPS_MAX] = {0, 1, 2, 3, 4};

        n_steps = 1 + (unsigned)next_random(&seed) % STEPS_MAX;
        for (unsigned k = 0; k < n_steps; k++)
            steps[k] = (struct step){letters[next_random(&seed) % (sizeof(letters) - 1)],
                                     AT(1, (kpi_time)next_random(&seed) % 6)};
        looked_before = false;
        permute(order, n_steps, 0, look_at_order);
    }
    assert_true(n_looked > 10000);
}

static void whether_there_was_a_goal_does_not_depend_on_arrival(void **state)
{
    (void)state;
    look_at_all(KPI_METRIC_PROPORTION, 1);
}

/* Uncertain are few, and never of what arrives in order. */
static void sums_are_right_or_told_to_be_uncertain(void **state)
{
    (void)state;
    look_at_all(KPI_METRIC_MEAN, 2);
    assert_in_range(n_uncertain, 1, n_looked / 5);
    look_at_all(KPI_METRIC_RATIO, 3);
    assert_in_range(n_uncertain, 1, n_looked / 5);
}

static void only_its_arms_and_its_time_concern_an_experiment(void **state)
{
    struct kpi_experiment experiment = experiment_of(KPI_METRIC_MEAN);
    struct kpi_field fields[2] = {string_field("A")};
    struct kpi_event event = {.fields = fields, .time = 10};

    (void)state;
    experiment.from = 10;
    experiment.to = 20;
    experiment.fields[KPI_EXPERIMENT_GOAL] = 1;
    assert_true(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    event.time = 19;
    assert_true(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    event.time = 20;
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    event.time = 9;
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    event.time = 15;
    fields[0] = string_field("a");
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    fields[0] = (struct kpi_field){.kind = KPI_FIELD_ABSENT};
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_EXPOSURE, &event));
    /* a sum wants its field */
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_GOAL, &event));
    fields[1] = number_field(-2.5);
    assert_true(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_GOAL, &event));
    event.time = 20;
    assert_false(kpi_experiment_takes(&experiment, KPI_EXPERIMENT_GOAL, &event));
}

/* --- streams ----------------------------------------------------------------------------- */

enum {
    USERS = 400,
    EVENTS = 6000,
    SHARDS_MAX = 16,
    EXPERIMENTS = 4,
};

/* An event as the reference sees it. */
struct happened {
    kpi_time time;
    uint64_t user;
    int kind;    /* 0: exposure, 1: purchase, 2: view */
    int variant; /* 0 … 2, 3: none of the arms */
    bool of_campaign;
    kpi_decimal amount;
};

static struct happened events[EVENTS];

/* theme: whether they bought; spending: revenue a user; basket: by order; of spring alone, a week
 * of it: clicks. */
static struct kpi_plan *plan_of_streams(bool renamed)
{
    struct kpi_experiment_definition *e;
    struct kpi_plan *plan;

    definitions();
    (void)fixture_experiment(&f, renamed ? "motif" : "theme", "buyers");
    (void)fixture_experiment(&f, "spending", "revenue");
    e = fixture_experiment(&f, "basket_size", "revenue");
    e->denominator = TEXT("orders");
    e = fixture_experiment(&f, "views", "type == \"view\"");
    e->campaign = TEXT("spring");
    e->metric = KPI_METRIC_MEAN;
    e->from = AT(2, 0);
    e->to = AT(6, 12);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

static void events_make(uint64_t seed)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        struct happened *event = &events[i];

        event->time = AT(1, 0) + (kpi_time)(i * (7 * KPI_DAY / EVENTS)) -
                      (kpi_time)(next_random(&seed) % 3600) * KPI_SECOND;
        event->user = 1 + next_random(&seed) % USERS;
        event->kind = (int)(next_random(&seed) % 3);
        /* nearly everybody stays in an arm */
        event->variant =
            next_random(&seed) % 40 == 0 ? (int)(next_random(&seed) % 4) : (int)(event->user % 3);
        event->of_campaign = next_random(&seed) % 4 != 0;
        event->amount = (kpi_decimal)(next_random(&seed) % 100000000);
    }
}

static void put(struct kpi_batch *batch, const struct kpi_plan *plan, unsigned i)
{
    static const char *const types[] = {"exposure", "purchase", "view"};
    static const char *const variants[] = {"A", "B", "C", "D"};
    static const char *const channels[] = {"web", "app", "", "__other__"};
    struct kpi_event *event = &batch->events[batch->n_events++];

    event->time = event->record_time = events[i].time;
    event->record_time = AT(1, 0) + (kpi_time)(i * (7 * KPI_DAY / EVENTS));
    event->user = events[i].user;
    event->id = i + 1;
    event->content = 0;
    event->flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID;
    event->type = string_field(types[events[i].kind]);
    for (uint32_t k = 0; k < kpi_plan_n_fields(plan); ++k) {
        struct kpi_string name = kpi_plan_field(plan, k)->name;

        event->fields[k] = (struct kpi_field){.kind = KPI_FIELD_ABSENT};
        if (kpi_string_equal(name, KPI_STRING("campaign")) && events[i].of_campaign)
            event->fields[k] = string_field("spring");
        if (kpi_string_equal(name, KPI_STRING("variant")) && events[i].kind == 0)
            event->fields[k] = string_field(variants[events[i].variant]);
        if (kpi_string_equal(name, KPI_STRING("channel")) && i % 5)
            event->fields[k] = string_field(channels[i % 5 - 1]);
        if (kpi_string_equal(name, KPI_STRING("amount")) && events[i].kind == 1)
            event->fields[k] =
                (struct kpi_field){.kind = KPI_FIELD_NUMBER, .number = events[i].amount};
    }
}

/* Events [from, to), each in the shard of its user. */
static void feed(struct kpi_engine **engines, unsigned n, struct kpi_plan *plan, unsigned from,
                 unsigned to)
{
    struct kpi_batch *batch;

    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    for (unsigned shard = 0; shard < n; shard++) {
        for (unsigned i = from; i < to; i++) {
            if (events[i].user % n == shard)
                put(batch, plan, i);
            if (batch->n_events == KPI_BATCH_MAX || i + 1 == to) {
                assert_int_equal(kpi_engine_apply(engines[shard], batch), 0);
                batch->n_events = 0;
            }
        }
    }
    (void)kpi_batch_free(batch);
}

static struct kpi_answers *answers_of(struct kpi_engine **engines, unsigned n,
                                      struct kpi_plan *plan)
{
    struct kpi_answers *all, *of_shard;
    struct kpi_layout *layout;

    assert_int_equal(kpi_layout_new(&layout, plan, AT(8, 0), &f.mem.mem), 0);
    assert_int_equal(kpi_answers_new(&all, &f.mem.mem), 0);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(kpi_engine_answers(engines[i], layout, &of_shard), 0);
        assert_int_equal(kpi_answers_add(all, of_shard), 0);
        (void)kpi_answers_unref(of_shard);
    }
    (void)kpi_layout_unref(layout);
    return all;
}

static void assert_same_answers(const struct kpi_answers *a, const struct kpi_answers *b)
{
    assert_int_equal(kpi_answers_n(a), kpi_answers_n(b));
    for (uint32_t i = 0; i < kpi_answers_n(a); i++) {
        struct kpi_answer x = kpi_answers_get(a, i), y = kpi_answers_get(b, i);

        assert_int_equal(kpi_answer_compare(&x, &y), 0);
        assert_int_equal(x.n_cells, y.n_cells);
        assert_memory_equal(x.cells, y.cells, x.n_cells * sizeof(*x.cells));
    }
}

/* What of an event is a goal of experiment e. */
static bool is_goal(unsigned e, const struct happened *event)
{
    return event->kind == (e == 3 ? 2 : 1);
}

static bool is_inside(unsigned e, const struct happened *event)
{
    return e != 3 || (event->time >= AT(2, 0) && event->time < AT(6, 12));
}

struct totals {
    struct kpi_arm_sums arms[3];
    int64_t excluded;
    kpi_time began;
};

static void count_user(unsigned e, uint64_t user, struct totals *totals)
{
    kpi_time first = INT64_MAX;
    kpi_decimal x = 0, y = 0;
    unsigned arms = 0, arm = 0;

    for (unsigned i = 0; i < EVENTS; i++) {
        const struct happened *event = &events[i];

        if (event->user != user || event->kind != 0 || event->variant > 2 || !is_inside(e, event) ||
            (e == 3 && !event->of_campaign))
            continue;
        arms |= 1u << event->variant;
        if (event->time < first)
            first = event->time;
    }
    if (!arms)
        return;
    if (first < totals->began)
        totals->began = first;
    if (arms & (arms - 1)) {
        totals->excluded++;
        return;
    }
    while (arms >>= 1)
        arm++;
    for (unsigned i = 0; i < EVENTS; i++) {
        const struct happened *event = &events[i];

        if (event->user == user && is_goal(e, event) && is_inside(e, event) &&
            event->time >= first) {
            x += e == 0 || e == 3 ? ONE : event->amount;
            y += ONE;
        }
    }
    if (e == 0 && x)
        x = ONE;
    assert_int_equal(kpi_arm_sums_add(&totals->arms[arm], x, e == 2 ? y : 0), 0);
}

/* Not their bytes: there is padding between them. */
static void assert_same_sums(const struct kpi_arm_sums *a, const struct kpi_arm_sums *b)
{
    assert_true(a->units == b->units && a->x == b->x && a->y == b->y);
    assert_true(a->xx == b->xx && a->xy == b->xy && a->yy == b->yy);
}

/* Sums that are a walk's; users that are uncertain may have less, and there are few. */
static void assert_walked(const struct kpi_plan *plan, const struct kpi_answers *answers, bool all)
{
    for (unsigned e = 0; e < EXPERIMENTS; e++) {
        struct totals totals = {.began = INT64_MAX};
        struct kpi_experiment_state state;
        int64_t uncertain = 0;

        for (uint64_t user = 1; user <= USERS; user++)
            count_user(e, user, &totals);
        kpi_experiment_evaluate(plan, e, answers, AT(9, 0), &state);
        assert_int_equal(state.n_excluded, totals.excluded);
        assert_true(totals.excluded > 0);
        assert_int_equal(state.began, totals.began);
        for (unsigned arm = 0; arm < 3; arm++) {
            assert_int_equal(state.arms[arm].sums.units, totals.arms[arm].units);
            assert_true(totals.arms[arm].units > 50);
            uncertain += state.uncertain[arm];
            if (state.uncertain[arm])
                continue;
            assert_same_sums(&state.arms[arm].sums, &totals.arms[arm]);
        }
        assert_true(e != 0 || uncertain == 0);
        assert_true(!all || uncertain == 0);
    }
}

static int events_order(const void *a, const void *b)
{
    const struct happened *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->kind - y->kind;
}

static void sums_are_those_of_a_walk_whatever_the_shards(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct kpi_answers *first = NULL;
        struct kpi_plan *plan = plan_of_streams(false);

        events_make(seed);
        if (seed % 2) /* as it happened: then nobody is uncertain */
            qsort(events, EVENTS, sizeof(events[0]), events_order);
        for (unsigned n = 1; n <= SHARDS_MAX; n *= 4) {
            struct kpi_engine *engines[SHARDS_MAX];
            struct kpi_answers *answers;

            for (unsigned i = 0; i < n; i++)
                assert_int_equal(kpi_engine_new(&engines[i], plan, &f.mem.mem), 0);
            feed(engines, n, plan, 0, EVENTS);
            answers = answers_of(engines, n, plan);
            assert_walked(plan, answers, seed % 2);
            if (first) { /* BEGAN is once a shard; all else is one */
                struct kpi_experiment_state a, b;

                for (unsigned e = 0; e < EXPERIMENTS; e++) {
                    kpi_experiment_evaluate(plan, e, first, AT(9, 0), &a);
                    kpi_experiment_evaluate(plan, e, answers, AT(9, 0), &b);
                    for (unsigned arm = 0; arm < 3; arm++)
                        assert_same_sums(&a.arms[arm].sums, &b.arms[arm].sums);
                    assert_memory_equal(a.uncertain, b.uncertain, sizeof(a.uncertain));
                }
                (void)kpi_answers_unref(answers);
            } else {
                first = answers;
            }
            for (unsigned i = 0; i < n; i++)
                (void)kpi_engine_free(engines[i]);
        }
        (void)kpi_answers_unref(first);
        kpi_plan_unref(plan);
        assert_int_equal(f.mem.bytes, 0);
    }
}

static struct object_store store;

static struct kpi_engine *saved_and_loaded(struct kpi_engine *engine, struct kpi_plan *plan)
{
    struct kpi_engine *loaded;

    object_store_begin(&store);
    assert_int_equal(kpi_engine_save(engine, false, object_store_put, &store), 0);
    assert_int_equal(kpi_engine_new(&loaded, plan, &f.mem.mem), 0);
    assert_int_equal(object_store_load(&store, loaded, 11), 0);
    (void)kpi_engine_free(engine);
    return loaded;
}

static void a_restart_changes_nothing(void **state)
{
    struct kpi_engine *engine, *other;
    struct kpi_answers *a, *b;
    struct kpi_plan *plan = plan_of_streams(false);
    uint8_t digests[2][16];

    (void)state;
    events_make(7);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    assert_int_equal(kpi_engine_new(&other, plan, &f.mem.mem), 0);
    for (unsigned at = 0; at < EVENTS; at += 1000) {
        feed(&engine, 1, plan, at, at + 1000);
        engine = saved_and_loaded(engine, plan);
    }
    feed(&other, 1, plan, 0, EVENTS);
    a = answers_of(&engine, 1, plan);
    b = answers_of(&other, 1, plan);
    assert_same_answers(a, b);
    assert_int_equal(kpi_engine_digest(engine, digests[0]), 0);
    assert_int_equal(kpi_engine_digest(other, digests[1]), 0);
    assert_memory_equal(digests[0], digests[1], 16);
    (void)kpi_answers_unref(a);
    (void)kpi_answers_unref(b);
    (void)kpi_engine_free(engine);
    (void)kpi_engine_free(other);
    object_store_clear(&store);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

/* --- broken down ------------------------------------------------------------------------- */

static struct kpi_plan *plan_of_groups(uint32_t values_max)
{
    struct kpi_plan *plan;

    definitions();
    fixture_dimension(&f, "channel", "", values_max);
    fixture_segment(&f, "of_spring", "campaign == \"spring\"");
    fixture_experiment(&f, "theme", "buyers")->by = fixture_by(&f, "of_spring,channel");
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

/* All events, in the order that `order` has, whatever their time. */
static struct kpi_engine *engine_of(struct kpi_plan *plan, const unsigned *order)
{
    struct kpi_engine *engine;
    struct kpi_batch *batch;

    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    for (unsigned i = 0; i < EVENTS; i++) {
        put(batch, plan, order[i]);
        batch->events[batch->n_events - 1].record_time = AT(8, 0);
        if (batch->n_events == KPI_BATCH_MAX || i + 1 == EVENTS) {
            assert_int_equal(kpi_engine_apply(engine, batch), 0);
            batch->n_events = 0;
        }
    }
    (void)kpi_batch_free(batch);
    return engine;
}

/* Units and excluded of all groups are those of the whole. Returns how many groups there are. */
static unsigned assert_groups_add_up(const struct kpi_plan *plan, const struct kpi_answers *answers)
{
    struct kpi_experiment_state whole, group;
    int64_t n_units[3] = {0}, n_excluded = 0;
    uint32_t at, end;
    unsigned n = 0;
    bool suppressed;

    kpi_experiment_evaluate(plan, 0, answers, AT(9, 0), &whole);
    kpi_experiment_groups(answers, 0, &at, &end, &suppressed);
    assert_false(suppressed);
    for (; at < end; n++) {
        at = kpi_experiment_evaluate_group(plan, 0, answers, at, AT(9, 0), &group);
        assert_int_equal(group.began, whole.began);
        n_excluded += group.n_excluded;
        for (unsigned arm = 0; arm < 3; arm++)
            n_units[arm] += group.arms[arm].sums.units;
    }
    assert_int_equal(n_excluded, whole.n_excluded);
    for (unsigned arm = 0; arm < 3; arm++)
        assert_int_equal(n_units[arm], whole.arms[arm].sums.units);
    return n;
}

/* Also of exposures at one time, and of a value that is written as that of those beyond a bound. */
static void the_group_does_not_depend_on_arrival(void **state)
{
    static unsigned order[EVENTS];

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct kpi_plan *plan = plan_of_groups(0);
        struct kpi_engine *engines[2];
        struct kpi_answers *answers[2];
        uint8_t digests[2][16];
        uint64_t random = seed;

        events_make(seed);
        for (unsigned i = 0; i < EVENTS; i++) {
            events[i].time -= events[i].time % (12 * KPI_HOUR);
            order[i] = i;
        }
        for (unsigned run = 0; run < 2; run++) {
            engines[run] = engine_of(plan, order);
            for (unsigned i = EVENTS; i > 1; i--) {
                unsigned k = (unsigned)(next_random(&random) % i), kept = order[i - 1];

                order[i - 1] = order[k];
                order[k] = kept;
            }
        }
        engines[1] = saved_and_loaded(engines[1], plan);
        for (unsigned run = 0; run < 2; run++) {
            answers[run] = answers_of(&engines[run], 1, plan);
            assert_int_equal(kpi_engine_digest(engines[run], digests[run]), 0);
            assert_int_equal(assert_groups_add_up(plan, answers[run]), 2 * 5);
        }
        assert_same_answers(answers[0], answers[1]);
        assert_memory_equal(digests[0], digests[1], 16);
        for (unsigned run = 0; run < 2; run++) {
            (void)kpi_answers_unref(answers[run]);
            (void)kpi_engine_free(engines[run]);
        }
        object_store_clear(&store);
        kpi_plan_unref(plan);
        assert_int_equal(f.mem.bytes, 0);
    }
}

/* Beyond the bound all are __other__, and a value that is so called is one of them. */
static void values_beyond_the_bound_are_one_group(void **state)
{
    struct kpi_plan *plan = plan_of_groups(1);
    static unsigned order[EVENTS];
    struct kpi_engine *engine;
    struct kpi_answers *answers;

    (void)state;
    events_make(5);
    for (unsigned i = 0; i < EVENTS; i++)
        order[i] = i;
    engine = engine_of(plan, order);
    answers = answers_of(&engine, 1, plan);
    assert_int_equal(assert_groups_add_up(plan, answers), 2 * 3); /* none, one, and that */
    (void)kpi_answers_unref(answers);
    (void)kpi_engine_free(engine);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

/* Without `by`, or by something else, it is another experiment. */
static void by_is_part_of_what_is_kept(void **state)
{
    static const char *const by[] = {"channel", "of_spring,channel", "of_spring", "channel"};
    uint64_t states[4], plans[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct kpi_state_info info;
        struct kpi_plan *plan;

        definitions();
        fixture_dimension(&f, "channel", "", i == 3 ? 7 : 0);
        fixture_segment(&f, "of_spring", "campaign == \"spring\"");
        fixture_experiment(&f, "theme", "buyers")->by = fixture_by(&f, by[i]);
        plan = fixture_plan(&f);
        assert_non_null(plan);
        kpi_plan_state(plan, kpi_plan_n_states(plan) - 1, &info);
        assert_true(info.is_experiment);
        states[i] = info.fingerprint;
        plans[i] = kpi_plan_fingerprint(plan);
        for (unsigned k = 0; k < i; k++) {
            assert_int_not_equal(states[i], states[k]);
            assert_int_not_equal(plans[i], plans[k]);
        }
        kpi_plan_unref(plan);
    }
}

static int64_t units_of(struct kpi_engine *engine, struct kpi_plan *plan, uint32_t experiment)
{
    struct kpi_answers *answers = answers_of(&engine, 1, plan);
    struct kpi_experiment_state state;

    kpi_experiment_evaluate(plan, experiment, answers, AT(9, 0), &state);
    (void)kpi_answers_unref(answers);
    return state.arms[0].sums.units;
}

/* What it is called, how it is judged and in which order arms stand is not what is kept. */
static void another_name_keeps_the_state_and_another_meaning_begins_anew(void **state)
{
    struct kpi_plan *plan = plan_of_streams(false), *other;
    struct kpi_text first;
    struct kpi_engine *engine;
    int64_t units;

    (void)state;
    events_make(8);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    feed(&engine, 1, plan, 0, EVENTS);
    units = units_of(engine, plan, 0);
    assert_true(units > 50);

    definitions();
    (void)fixture_experiment(&f, "motif", "buyers");
    first = f.variants[0];
    f.variants[0] = f.variants[2];
    f.variants[2] = first;
    f.experiments[0].alpha = 0.01;
    f.experiments[0].control = TEXT("A");
    (void)fixture_experiment(&f, "other", "type == \"purchase\" and amount > 5");
    first = f.variants[0]; /* fixture_experiment() set them anew */
    f.variants[0] = f.variants[2];
    f.variants[2] = first;
    other = fixture_plan(&f);
    assert_non_null(other);
    assert_int_equal(kpi_engine_replan(engine, other), 0);
    {
        struct kpi_answers *answers = answers_of(&engine, 1, other);
        struct kpi_experiment_state now;

        kpi_experiment_evaluate(other, 0, answers, AT(9, 0), &now);
        assert_int_equal(now.arms[2].sums.units, units); /* A stands last now */
        assert_int_equal(now.counts_from, KPI_TIME_NONE);
        kpi_experiment_evaluate(other, 1, answers, AT(9, 0), &now);
        assert_int_equal(now.arms[0].sums.units + now.arms[1].sums.units, 0);
        assert_in_range(now.counts_from, AT(7, 0), AT(8, 0)); /* behind all events so far */
        (void)kpi_answers_unref(answers);
    }
    (void)kpi_engine_free(engine);
    kpi_plan_unref(plan);
    kpi_plan_unref(other);
}

static void fingerprints_tell_what_decides_results(void **state)
{
    uint64_t fingerprints[8];
    struct kpi_experiment_definition *e;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct kpi_plan *plan;

        definitions();
        e = fixture_experiment(&f, "theme", "buyers");
        f.in.n_experiments = i > 0;
        e->alpha = i == 2 ? 0.01 : 0.05;
        e->run_min = i == 3 ? 0 : 2 * KPI_DAY;
        e->control = TEXT(i == 4 ? "A" : "");
        e->goal = TEXT(i == 5 ? "orders" : "buyers");
        e->from = i == 6 ? 0 : KPI_TIME_NONE;
        e->exposure = TEXT(i == 7 ? "(type=='exposure')" : "type == \"exposure\"");
        plan = fixture_plan(&f);
        assert_non_null(plan);
        fingerprints[i] = kpi_plan_fingerprint(plan);
        kpi_plan_unref(plan);
    }
    for (unsigned i = 0; i < 7; i++)
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(fingerprints[i], fingerprints[k]);
    assert_int_equal(fingerprints[7], fingerprints[1]); /* the same, written otherwise */
}

static void every_failed_allocation_is_survived(void **state)
{
    struct kpi_plan *plan = plan_of_groups(0);
    struct kpi_layout *layout;
    struct kpi_engine *engine;
    uint64_t n_calls;

    (void)state;
    kpi_plan_unref(plan);
    for (n_calls = 1;; n_calls++) {
        int r;

        f.mem.n_calls = 0;
        f.mem.fail_at = n_calls;
        r = fixture_compile(&f, &plan);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(f.mem.bytes, 0);
    }
    assert_true(n_calls > 50);
    f.mem.fail_at = 0;
    events_make(9);
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    feed(&engine, 1, plan, 0, EVENTS);
    assert_int_equal(kpi_layout_new(&layout, plan, AT(8, 0), &f.mem.mem), 0);
    for (n_calls = 1;; n_calls++) {
        struct kpi_answers *answers;
        size_t bytes = f.mem.bytes;
        int r;

        f.mem.n_calls = 0;
        f.mem.fail_at = n_calls;
        r = kpi_engine_answers(engine, layout, &answers);
        f.mem.fail_at = 0;
        if (r == 0) {
            (void)kpi_answers_unref(answers);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(f.mem.bytes, bytes);
    }
    assert_true(n_calls > 3);
    (void)kpi_layout_unref(layout);
    (void)kpi_engine_free(engine);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

/* --- judging ----------------------------------------------------------------------------- */

static void push(struct kpi_answers *answers, uint32_t part, kpi_time start, const kpi_wide *cells,
                 uint32_t n)
{
    const struct kpi_answer answer = {
        .kind = KPI_ANSWER_EXPERIMENT, .part = part, .start = start, .n_cells = n, .cells = cells};

    assert_int_equal(kpi_answers_push(answers, &answer), 0);
}

/* Answers of 1000 users an arm, so many of whom did it. */
static struct kpi_answers *answers_of_hits(const int64_t *hits, uint32_t n)
{
    const kpi_wide one = 1;
    struct kpi_answers *answers;

    assert_int_equal(kpi_answers_new(&answers, &f.mem.mem), 0);
    for (uint32_t arm = 0; arm < n; arm++) {
        const kpi_wide cells[] = {1000, (kpi_wide)hits[arm] * ONE, 0,
                                  (kpi_wide)hits[arm] * ONE * ONE};

        push(answers, arm, 0, cells, COUNT_OF(cells));
    }
    push(answers, KPI_EXPERIMENT_BEGAN, AT(1, 0), &one, 1);
    push(answers, KPI_EXPERIMENT_BEGAN, AT(1, 3), &one, 1); /* of another shard */
    return answers;
}

static struct kpi_plan *plan_of_theme(void (*change)(struct kpi_experiment_definition *e))
{
    struct kpi_experiment_definition *e;
    struct kpi_plan *plan;

    definitions();
    e = fixture_experiment(&f, "theme", "buyers");
    if (change)
        change(e);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

/* The acceptance of the plans: the best of three themes, or "undecided", at 48 h. */
static void three_arms_are_decided_at_48_hours(void **state)
{
    const int64_t clear[] = {100, 110, 260}, close[] = {100, 110, 115};
    struct kpi_plan *plan = plan_of_theme(NULL);
    struct kpi_answers *answers = answers_of_hits(clear, 3);
    struct kpi_experiment_state is;

    (void)state;
    kpi_experiment_evaluate(plan, 0, answers, AT(3, 0) - 1, &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_UNDECIDED);
    assert_int_equal(is.result.reason, KPI_REASON_RUN);
    assert_int_equal(is.decidable_at, AT(3, 0));
    kpi_experiment_evaluate(plan, 0, answers, AT(3, 0), &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_ARM);
    assert_int_equal(is.result.winner, 2);
    (void)kpi_answers_unref(answers);
    answers = answers_of_hits(close, 3);
    kpi_experiment_evaluate(plan, 0, answers, AT(3, 0), &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_UNDECIDED);
    assert_int_equal(is.result.reason, KPI_REASON_NO_WINNER);
    (void)kpi_answers_unref(answers);
    kpi_plan_unref(plan);
}

static void fixed(struct kpi_experiment_definition *e)
{
    e->method = KPI_METHOD_FIXED;
    e->to = AT(15, 0);
}

/* A test for one look waits for its moment, however clear things seem. */
static void a_fixed_horizon_is_waited_for(void **state)
{
    const int64_t clear[] = {100, 110, 260};
    struct kpi_plan *plan = plan_of_theme(fixed);
    struct kpi_answers *answers = answers_of_hits(clear, 3);
    struct kpi_experiment_state is;

    (void)state;
    kpi_experiment_evaluate(plan, 0, answers, AT(15, 0) - 1, &is);
    assert_int_equal(is.result.reason, KPI_REASON_RUN);
    assert_int_equal(is.decidable_at, AT(15, 0));
    kpi_experiment_evaluate(plan, 0, answers, AT(15, 0), &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_ARM);
    assert_int_equal(is.result.comparisons[0].test, KPI_TEST_Z);
    (void)kpi_answers_unref(answers);
    kpi_plan_unref(plan);
}

static void without_anybody_nothing_is_decided(void **state)
{
    struct kpi_plan *plan = plan_of_theme(NULL);
    struct kpi_experiment_state is;

    (void)state;
    kpi_experiment_evaluate(plan, 0, NULL, AT(30, 0), &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_UNDECIDED);
    assert_int_equal(is.result.reason, KPI_REASON_RUN);
    assert_true(isnan(is.result.values[0]) && isnan(is.result.srm_p));
    assert_int_equal(is.began, KPI_TIME_NONE);
    assert_int_equal(is.decidable_at, KPI_TIME_NONE);
    kpi_plan_unref(plan);
}

static void since_november(struct kpi_experiment_definition *e)
{
    e->from = AT(1, 0);
}

/* What was missed decides nothing, if the experiment should have begun before. */
static void what_was_missed_is_told(void **state)
{
    const int64_t clear[] = {100, 110, 260};
    const struct {
        void (*change)(struct kpi_experiment_definition *e);
        kpi_time counts_from;
        enum kpi_verdict_reason reason;
    } cases[] = {
        {NULL, AT(1, 2), KPI_REASON_EVIDENCE},
        {since_november, AT(1, 2), KPI_REASON_MISSED},
        {since_november, AT(1, 0), KPI_REASON_EVIDENCE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kpi_plan *plan = plan_of_theme(cases[i].change);
        struct kpi_answers *answers = answers_of_hits(clear, 3);
        struct kpi_experiment_state is;
        const kpi_wide one = 1;

        push(answers, KPI_EXPERIMENT_COUNTS_FROM, AT(0, 0), &one, 1);
        push(answers, KPI_EXPERIMENT_COUNTS_FROM, cases[i].counts_from, &one, 1);
        kpi_experiment_evaluate(plan, 0, answers, AT(5, 0), &is);
        assert_int_equal(is.counts_from, cases[i].counts_from);
        assert_int_equal(is.result.reason, cases[i].reason);
        assert_int_equal(is.result.winner,
                         cases[i].reason == KPI_REASON_EVIDENCE ? 2 : KPI_ARM_NONE);
        (void)kpi_answers_unref(answers);
        kpi_plan_unref(plan);
    }
}

static void uneven(struct kpi_experiment_definition *e)
{
    static const kpi_decimal weights[] = {ONE, ONE, 2 * ONE};

    e->weights = weights;
}

/* 1000 users in each arm do not fit a split of 1 : 1 : 2. */
static void the_split_is_the_declared_one(void **state)
{
    const int64_t clear[] = {100, 110, 260};
    struct kpi_plan *plan = plan_of_theme(uneven);
    struct kpi_answers *answers = answers_of_hits(clear, 3);
    struct kpi_experiment_state is;

    (void)state;
    kpi_experiment_evaluate(plan, 0, answers, AT(5, 0), &is);
    assert_int_equal(is.result.verdict, KPI_VERDICT_BLOCKED);
    (void)kpi_answers_unref(answers);
    kpi_plan_unref(plan);
}

/* Also what no shard would answer: bytes may be a stranger's. */
static void sums_that_are_none_decide_nothing(void **state)
{
    const kpi_wide most = (kpi_wide)1 << 124;
    const kpi_wide bad[][KPI_EXPERIMENT_CELLS] = {
        {1000, 1000 * ONE, 0, most, 0, 0, 0, 0},     /* overflowed when shards were added */
        {1000, 100 * ONE, 0, 100 * ONE, 0, 0, 0, 1}, /* or in a shard */
        {-5, 0, 0, 0, 0, 0, 0, 0},                   /* and nonsense */
        {1000, 1001 * ONE, 0, most - 1, 0, 0, 0, 0},
        {1000, -ONE, 0, most - 1, 0, 0, 0, 0},
        {1000, 500 * ONE, 0, 400 * ONE, 0, 0, 0, 0},
        {1000, 0, 0, -1, 0, 0, 0, 0},
        {1000, 0, 5, 0, 0, 4, 0, 0},
        {1000, 0, 0, 0, 0, most, 0, 0},
    };
    struct kpi_plan *plan = plan_of_theme(NULL);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const kpi_wide one = 1, good[] = {1000, 100 * ONE, 0, (kpi_wide)100 * ONE * ONE};
        struct kpi_experiment_state is;
        struct kpi_answers *answers;

        assert_int_equal(kpi_answers_new(&answers, &f.mem.mem), 0);
        push(answers, 0, 0, good, COUNT_OF(good));
        push(answers, 1, 0, bad[i], KPI_EXPERIMENT_CELLS);
        push(answers, 2, 0, good, COUNT_OF(good));
        push(answers, KPI_EXPERIMENT_BEGAN, AT(1, 0), &one, 1);
        push(answers, KPI_EXPERIMENT_COUNTS_FROM + 1, 0, &one, 1); /* a later version's */
        kpi_experiment_evaluate(plan, 0, answers, AT(5, 0), &is);
        assert_int_equal(is.result.verdict, KPI_VERDICT_UNDECIDED);
        assert_int_equal(is.result.reason, KPI_REASON_ARM_SUMS);
        assert_true(isnan(is.result.values[1]));
        (void)kpi_answers_unref(answers);
    }
    kpi_plan_unref(plan);
}

/* A user's sum at the end of 64 bits is not one: the arm is told to have overflowed. */
static void a_sum_out_of_reach_is_told(void **state)
{
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_answers *answers;
    struct kpi_experiment_state is;

    (void)state;
    plan = plan_of_streams(false);
    memset(events, 0, sizeof(events));
    for (unsigned i = 0; i < 6; i++)
        events[i] = (struct happened){AT(1, 0), 1, i > 0, 0, true, INT64_MAX / 2};
    assert_int_equal(kpi_engine_new(&engine, plan, &f.mem.mem), 0);
    feed(&engine, 1, plan, 0, 6);
    answers = answers_of(&engine, 1, plan);
    kpi_experiment_evaluate(plan, 1, answers, AT(5, 0), &is);
    assert_int_equal(is.result.reason, KPI_REASON_ARM_SUMS);
    kpi_experiment_evaluate(plan, 0, answers, AT(5, 0), &is); /* who only asks whether */
    assert_int_equal(is.arms[0].sums.x, ONE);
    (void)kpi_answers_unref(answers);
    (void)kpi_engine_free(engine);
    kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_definitions_are_refused_where_they_are_wrong),
        cmocka_unit_test(there_is_a_limit_and_no_name_twice),
        cmocka_unit_test(the_metric_follows_from_the_goal),
        cmocka_unit_test(a_goal_uses_its_measure),
        cmocka_unit_test(whether_there_was_a_goal_does_not_depend_on_arrival),
        cmocka_unit_test(sums_are_right_or_told_to_be_uncertain),
        cmocka_unit_test(only_its_arms_and_its_time_concern_an_experiment),
        cmocka_unit_test(sums_are_those_of_a_walk_whatever_the_shards),
        cmocka_unit_test(a_restart_changes_nothing),
        cmocka_unit_test(the_group_does_not_depend_on_arrival),
        cmocka_unit_test(values_beyond_the_bound_are_one_group),
        cmocka_unit_test(by_is_part_of_what_is_kept),
        cmocka_unit_test(another_name_keeps_the_state_and_another_meaning_begins_anew),
        cmocka_unit_test(fingerprints_tell_what_decides_results),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(three_arms_are_decided_at_48_hours),
        cmocka_unit_test(a_fixed_horizon_is_waited_for),
        cmocka_unit_test(without_anybody_nothing_is_decided),
        cmocka_unit_test(what_was_missed_is_told),
        cmocka_unit_test(the_split_is_the_declared_one),
        cmocka_unit_test(sums_that_are_none_decide_nothing),
        cmocka_unit_test(a_sum_out_of_reach_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
