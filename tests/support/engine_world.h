/*
 * A small world for tests of the engine: a plan with everything in it, a stream of events with
 * everything in it, and the naive reference that keeps all events in a list and answers every
 * question by walking it.
 *
 * The reference shares with the engine only what the plan says (filters, leaves) and the evaluation
 * of conditions; time, duplicates, attributes, levels, answers and cohorts are its own.
 */
#pragma once

#include "spec_fixture.h"

#include <kpi/engine.h>
#include <spec/program.h>

enum {
    WORLD_USERS = 120,
    WORLD_EVENTS_MAX = 20000,
    WORLD_INSTANCES_MAX = 640,
    WORLD_SLOTS_MAX = 20,
    WORLD_FIELDS_MAX = 10,
    WORLD_DIMENSIONS_MAX = 10,
    WORLD_VALUE_BYTES = 24,
};

static const char *const world_types[] = {"signup",   "exposure", "participation",
                                          "purchase", "refund",   "spend",
                                          "survey",   "other",    "kpid.gauge"};

/*
 * Attributes, all aggregates, two zones with summer time in the middle, short and long campaigns,
 * windows beside days.
 */
static inline void world_fixture(struct fixture *f)
{
    struct kpi_campaign_definition *campaign;

    fixture_init(f);
    fixture_kpis_of_the_product(f);
    f->kpi_grains[0] = TEXT("day");
    f->kpi_grains[1] = TEXT("2h");
    f->kpis[0].grains = f->kpis[4].grains = f->kpi_grains; /* participation_rate, nps */
    f->kpis[0].n_grains = f->kpis[4].n_grains = 2;
    fixture_attribute(f, "orders", "count", "type == \"purchase\"");
    fixture_attribute(f, "spent", "sum(amount)", "type == \"purchase\"");
    fixture_attribute(f, "touch", "last(campaign)", "type == \"exposure\"");
    fixture_attribute(f, "score_was", "last(score)", "type == \"survey\"");
    fixture_attribute(f, "first_seen", "min(time)", "");
    fixture_attribute(f, "came_by", "first(campaign)", "type == \"exposure\"");
    fixture_attribute(f, "least", "min(amount)", "type == \"purchase\"");
    fixture_attribute(f, "most", "max(amount)", "type == \"purchase\"");
    fixture_attribute(f, "refunded", "sum(amount)", "type == \"refund\"");
    fixture_attribute(f, "shown_by", "set(campaign, 3)", "type == \"exposure\"");
    f->attributes[f->in.n_attributes - 1].within = 2 * KPI_DAY;
    fixture_measure(f, "events", "count", "");
    fixture_measure(f, "fans", "users(4)", "");
    fixture_measure(f, "returning", "users", "type == \"purchase\" and orders >= 1");
    fixture_measure(f, "rich", "count", "type == \"purchase\" and spent > 100 or amount < 3");
    fixture_measure(f, "touched", "users",
                    "type == \"purchase\" and touch == \"b\" and came_by != \"a\"");
    fixture_measure(f, "middling", "count", "amount > least and amount < most");
    fixture_measure(f, "second_thoughts", "latest_users(score > score_was)", "type == \"survey\"");
    fixture_measure(f, "dwell", "mean(amount)", "type == \"exposure\"");
    fixture_measure(f, "content", "latest_mean(score)", "type == \"survey\"");
    fixture_measure(f, "won_over", "first_users(score >= 9)", "type == \"survey\"");
    fixture_measure(f, "at_first", "first_mean(score)", "type == \"survey\"");
    fixture_measure(f, "later", "sum(amount)", "type == \"purchase\" and age(first_seen) <= 5d");
    fixture_redirect(f, "first_seen", "came_by");
    fixture_measure(f, "later_users", "users", "type == \"purchase\"");
    fixture_redirect(f, "first_seen", "");
    fixture_measure(f, "touched_orders", "count", "type == \"purchase\"");
    fixture_redirect(f, "", "touch");
    fixture_measure(f, "stay", "quantiles(amount)", "type == \"exposure\"");
    fixture_measure(f, "capped", "capped(spent, 150.5, less=refunded)", "score != 3");
    fixture_redirect(f, "first_seen", "");
    fixture_measure(f, "shared", "sum(amount)", "type == \"purchase\"");
    fixture_redirect(f, "", "shown_by");
    fixture_measure(f, "shared_of_few", "capped(refunded, 90)", "");
    fixture_redirect(f, "", "shown_by");
    fixture_kpi(f, "k1", "events / fans", KPI_UNIT_RATIO);
    fixture_kpi(f, "k2", "returning / buyers", KPI_UNIT_RATIO);
    fixture_kpi(f, "k3", "rich / touched + middling", KPI_UNIT_RATIO);
    fixture_kpi(f, "k4", "second_thoughts / responses", KPI_UNIT_RATIO);
    fixture_kpi(f, "k5", "retained(start=participants, return=active, basis=week, at=1)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k6", "retained(start=reached, return=buyers, basis=month, at=1)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k7", "retained(start=reached, return=buyers, basis=day, at=2, match=both)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k8", "growth(total(buyers), previous(total(buyers)))", KPI_UNIT_RATIO);
    fixture_kpi(f, "k9", "first_time(participants) / cumulative(participants)", KPI_UNIT_RATIO);
    fixture_kpi(f, "k10", "buyers / trailing_mean(buyers, 3) - of_campaign(buyers, \"a\")",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k11", "before(total(purchases), 3) + total(first_time(buyers)) * days",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k12", "previous(k5, 2) + cumulative(fans) + last_year(events, align=weekday)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k13", "dwell", KPI_UNIT_DURATION);
    fixture_kpi(f, "k14", "content", KPI_UNIT_POINTS);
    fixture_kpi(f, "k15", "growth(gauge(\"index\"), previous(gauge(\"index\")))", KPI_UNIT_RATIO);
    fixture_kpi(f, "k16", "gauge(\"share\") / total(content)", KPI_UNIT_RATIO);
    fixture_kpi(f, "k17", "quantile(stay, 0.9) - previous(median(stay)) + mature(median(stay), 2)",
                KPI_UNIT_DURATION);
    fixture_kpi(f, "k18", "total(median(stay)) / average(stay)", KPI_UNIT_RATIO);
    fixture_kpi(
        f, "k19",
        "user_days(participants) / trailing(buyers, 9) + previous(total(user_days(active)))",
        KPI_UNIT_COUNT);
    fixture_kpi(f, "k20", "won_over / responses + total(won_over) - previous(at_first)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k21",
                "retained(participants, active, day, 2, mode=unbounded)"
                " + retained(reached, buyers, day, from=0, to=5)"
                " + retained(reached, active, week, 1, cohort=recurring)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k22",
                "retained(reached, buyers, week, 1, match=both, mode=unbounded)"
                " + retained(participants, buyers, week, mode=bracket, from=1, to=3, match=both)"
                " + retained(participants, active, day, 3, mode=every)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k23",
                "previous(total(retained(reached, active, week, 2, mode=every)))"
                " + retained(reached, buyers, day, 2, cohort=recurring, mode=unbounded)"
                " + retained(reached, active, month, 1, cohort=recurring, mode=every)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "k24", "mature(later, 2) / mature(total(first_time(reached)), 2) + later_users",
                KPI_UNIT_MONEY);
    fixture_kpi(f, "k25", "touched_orders / total(events) + total(later) + previous(later_users)",
                KPI_UNIT_COUNT);
    fixture_kpi(f, "k26", "capped / total(mature(capped, 1)) + shared_of_few", KPI_UNIT_MONEY);
    fixture_kpi(f, "k27", "shared / total(shared)", KPI_UNIT_RATIO);
    campaign = fixture_campaign(f, "a", 0);
    campaign->start_day = DAY_2026_10_25 - 10;
    campaign->end_day = DAY_2026_10_25 + 12;
    campaign = fixture_campaign(f, "b", 1);
    campaign->start_day = DAY_2026_10_25 - 4;
    campaign->end_day = DAY_2026_10_25 + 5;
    f->phases[0] =
        (struct kpi_phase_definition){TEXT("warm"), DAY_2026_10_25 - 8, DAY_2026_10_25 - 3};
    f->phases[1] =
        (struct kpi_phase_definition){TEXT("hot"), DAY_2026_10_25 - 1, DAY_2026_10_25 + 2};
    campaign->phases = f->phases;
    campaign->n_phases = 2;
    campaign = fixture_campaign(f, "c", 1);
    campaign->start_day = DAY_2026_10_25 - 12;
    campaign->end_day = DAY_2026_10_25 + 40;
}

/* An event that owns its fields. */
struct world_event {
    struct kpi_event event;
    struct kpi_field fields[WORLD_FIELDS_MAX];
};

struct world_stream {
    uint64_t seed;
    kpi_time now;    /* of the log */
    uint32_t step_s; /* it moves on by up to twice this an event */
    uint32_t late;   /* one event in `late` is days late; 0: none */
    uint32_t copies; /* one in `copies` is an earlier one again; 0: none */
    bool places;     /* with channel, town and vip, if the plan has these fields */
    uint32_t odd;    /* one in `odd` is without user, or too early, or too old; 0: none */
    uint32_t erase;  /* one in `erase` erases its user, for good or not; 0: none */
    uint64_t n;
};

#define WORLD_START ((DAY_2026_10_25 - 14) * KPI_DAY)

static inline struct world_stream world_stream_make(uint64_t seed)
{
    return (struct world_stream){
        .seed = seed, .now = WORLD_START, .step_s = 400, .late = 20, .copies = 15, .odd = 40};
}

static inline void world_set_field(const struct kpi_plan *plan, struct world_event *w,
                                   const char *name, struct kpi_field field)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++) {
        struct kpi_string is = kpi_plan_field(plan, i)->name;

        if (is.length == strlen(name) && memcmp(is.data, name, is.length) == 0)
            w->fields[i] = field;
    }
}

static inline void world_next(struct world_stream *stream, const struct kpi_plan *plan,
                              struct world_event *w)
{
    static const char *const campaigns[] = {"a", "b", "c", "unknown"};
    uint64_t *seed = &stream->seed, user, id = stream->n++;
    const char *type = world_types[next_random(seed) % COUNT_OF(world_types)];

    *w = (struct world_event){.event = {.flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID}};
    stream->now += (int64_t)(next_random(seed) % (2 * stream->step_s + 1)) * KPI_SECOND;
    w->event.record_time = stream->now - (int64_t)(next_random(seed) % 30) * KPI_SECOND;
    w->event.time = w->event.record_time - (int64_t)(next_random(seed) % 600) * KPI_SECOND;
    if (stream->late && next_random(seed) % stream->late == 0)
        w->event.time -= (int64_t)(next_random(seed) % (12 * 24 * 60)) * KPI_MINUTE;
    if (stream->copies && id > 50 && next_random(seed) % stream->copies == 0)
        id -= next_random(seed) % 50;
    w->event.id = XXH3_64bits_withSeed(&id, sizeof(id), 7);
    /* A copy is of the same user; half of the events are of a tenth of the users. */
    user = w->event.id % WORLD_USERS;
    if (user % 2)
        user = w->event.id / WORLD_USERS % (WORLD_USERS / 10);
    w->event.user = XXH3_64bits(&user, sizeof(user));
    if (stream->odd && next_random(seed) % stream->odd == 0) {
        switch (next_random(seed) % 4) {
        case 0:
            w->event.flags &= ~(uint32_t)KPI_EVENT_HAS_USER;
            break;
        case 1:
            w->event.time = w->event.record_time + 6 * KPI_MINUTE;
            break;
        case 2:
            w->event.time = w->event.record_time - 500 * KPI_DAY;
            break;
        default:
            w->event.flags &= ~(uint32_t)KPI_EVENT_HAS_ID;
        }
    }
    w->event.content = (uint32_t)(next_random(seed) % 3);
    if (stream->erase && next_random(seed) % stream->erase == 0)
        type = next_random(seed) % 4 ? "kpid.user_erased" : "kpid.consent_withdrawn";
    w->event.type = string_field(type);
    if (next_random(seed) % 8)
        world_set_field(plan, w, "campaign", string_field(campaigns[next_random(seed) % 4]));
    if (next_random(seed) % 5)
        world_set_field(plan, w, "amount",
                        (struct kpi_field){.number = (int64_t)(next_random(seed) % 90000000),
                                           .kind = KPI_FIELD_NUMBER});
    if (next_random(seed) % 5)
        world_set_field(plan, w, "score", number_field((double)(next_random(seed) % 11)));
    world_set_field(plan, w, "gauge", string_field(next_random(seed) % 3 ? "index" : "share"));
    world_set_field(plan, w, "value", number_field((double)(next_random(seed) % 1000)));
    if (stream->places) {
        static const char *const channels[] = {"web", "app", "", "shop", "__other__"};
        static const char *const towns[] = {"Köln", "上海", "上", "a"};

        if (next_random(seed) % 6)
            world_set_field(plan, w, "channel", string_field(channels[next_random(seed) % 5]));
        if (next_random(seed) % 6)
            world_set_field(plan, w, "town", string_field(towns[next_random(seed) % 4]));
        if (next_random(seed) % 3)
            world_set_field(plan, w, "vip", bool_field(next_random(seed) % 2));
    }
}

static inline void world_put(struct kpi_batch *batch, const struct kpi_plan *plan,
                             const struct world_event *w)
{
    struct kpi_event *event = &batch->events[batch->n_events++];
    struct kpi_field *fields = event->fields;

    *event = w->event;
    event->fields = fields;
    memcpy(fields, w->fields, kpi_plan_n_fields(plan) * sizeof(*fields));
}

/* --- the reference --- */

struct naive_event {
    struct world_event w;
    uint32_t user; /* index in users, or UINT32_MAX; also of who was erased since */
    kpi_time dedupe_time;
    bool holds[WORLD_INSTANCES_MAX], yes[WORLD_INSTANCES_MAX];
    int64_t before[WORLD_SLOTS_MAX]; /* the user's attributes, as they stood before */
    int64_t after[WORLD_SLOTS_MAX];  /* … and what became of them */
    kpi_time newest;                 /* of the log, at arrival */
    char values[WORLD_DIMENSIONS_MAX][WORLD_VALUE_BYTES]; /* the test's, by note() */
};

struct naive {
    /* Does the event lie in the scope, as seen at as_of? NULL: by the scope's own instants. */
    bool (*lies_in)(const struct naive *naive, const struct kpi_scope *scope, size_t event,
                    kpi_time as_of);
    struct kpi_plan *plan;
    const struct kpi_program *program;
    struct naive_event *events; /* applied */
    size_t n_events;
    /* Of them, those that an instance's condition held for, in their order. */
    uint32_t *held[WORLD_INSTANCES_MAX];
    uint32_t n_held[WORLD_INSTANCES_MAX];
    kpi_day first_day, last_day; /* UTC, of any event */
    uint64_t users[WORLD_USERS];
    bool is_here[WORLD_USERS]; /* not erased */
    uint64_t withdrawn[WORLD_USERS];
    uint32_t n_withdrawn, n_erased;
    int64_t slots[WORLD_USERS][WORLD_SLOTS_MAX];
    uint32_t n_users;
    const char *strings[64];
    uint32_t n_strings;
    kpi_time newest;
    uint64_t n_refused, n_duplicates, n_conflicts, n_late;
    bool quantiles;  /* rows of quantiles have them; else 0, as engines report */
    int64_t *values; /* of the leaf being walked; room for all events */
    /* of breakdowns, if there are any: takes down an event's values before it updates attributes;
     * and is it in the group that is being looked at? */
    void (*note)(struct naive *naive, struct naive_event *e);
    bool (*in_group)(const struct naive *naive, const struct naive_event *e);
};

static inline struct naive *naive_new(struct kpi_plan *plan)
{
    struct naive *naive = calloc(1, sizeof(*naive));

    naive->plan = plan;
    naive->program = kpi_plan_program(plan);
    naive->events = calloc(WORLD_EVENTS_MAX, sizeof(*naive->events));
    naive->values = calloc(WORLD_EVENTS_MAX, sizeof(*naive->values));
    naive->newest = INT64_MIN / 4;
    naive->first_day = INT32_MAX;
    naive->last_day = INT32_MIN;
    assert(naive->program->n_instances <= WORLD_INSTANCES_MAX);
    assert(naive->program->n_slots <= WORLD_SLOTS_MAX);
    for (unsigned i = 0; i < naive->program->n_instances; i++)
        naive->held[i] = calloc(WORLD_EVENTS_MAX, sizeof(*naive->held[i]));
    for (unsigned i = 0; i < WORLD_USERS; i++)
        for (unsigned k = 0; k < WORLD_SLOTS_MAX; k++)
            naive->slots[i][k] = KPI_TIME_NONE;
    return naive;
}

static inline void naive_free(struct naive *naive)
{
    for (unsigned i = 0; i < WORLD_INSTANCES_MAX; i++)
        free(naive->held[i]);
    free(naive->events);
    free(naive->values);
    free(naive);
}

static inline struct kpi_string naive_string(void *userdata, int64_t id)
{
    struct naive *naive = userdata;

    return (struct kpi_string){naive->strings[id], strlen(naive->strings[id])};
}

static inline bool naive_holds(struct naive *naive, uint32_t condition, const struct naive_event *e)
{
    return condition == KPI_NO_INDEX ||
           kpi_condition_holds(naive->plan, condition, &e->w.event,
                               e->user == UINT32_MAX ? NULL : naive->slots[e->user], naive_string,
                               naive);
}

static inline int64_t naive_intern(struct naive *naive, const char *string)
{
    for (uint32_t i = 0; i < naive->n_strings; i++)
        if (strcmp(naive->strings[i], string) == 0)
            return i;
    assert(naive->n_strings < COUNT_OF(naive->strings));
    naive->strings[naive->n_strings] = string;
    return naive->n_strings++;
}

/* A set keeps the latest time of each value. If there are too many, the oldest one goes. */
static inline void naive_update_set(struct naive *naive, const struct kpi_attribute *attribute,
                                    kpi_time time, int64_t value, int64_t *slots)
{
    uint32_t oldest = 0;

    for (uint32_t i = 0; i < attribute->n_slots; i += 2) {
        int64_t *entry = slots + i, *old = slots + oldest;

        if (entry[0] != KPI_TIME_NONE && entry[1] == value) {
            entry[0] = time > entry[0] ? time : entry[0];
            return;
        }
        if (old[0] != KPI_TIME_NONE &&
            (entry[0] < old[0] ||
             (entry[0] == old[0] && strcmp(naive->strings[entry[1]], naive->strings[old[1]]) < 0)))
            oldest = i;
    }
    if (time < slots[oldest] ||
        (time == slots[oldest] &&
         strcmp(naive->strings[value], naive->strings[slots[oldest + 1]]) < 0))
        return;
    slots[oldest] = time;
    slots[oldest + 1] = value;
}

static inline void naive_update(struct naive *naive, const struct kpi_attribute *attribute,
                                const struct world_event *w, int64_t *slots)
{
    const struct kpi_field *field = &w->fields[attribute->field];
    int64_t value = field->number;

    if (kpi_attribute_has_field(attribute->kind) && field->kind == KPI_FIELD_ABSENT)
        return;
    if (attribute->kind == KPI_ATTRIBUTE_COUNT)
        slots[0] = (slots[0] == KPI_TIME_NONE ? 0 : slots[0]) + 1;
    else if (attribute->kind == KPI_ATTRIBUTE_SUM)
        slots[0] = (slots[0] == KPI_TIME_NONE ? 0 : slots[0]) + value;
    else if (attribute->kind == KPI_ATTRIBUTE_MIN_TIME)
        slots[0] = slots[0] == KPI_TIME_NONE || w->event.time < slots[0] ? w->event.time : slots[0];
    else if (attribute->kind == KPI_ATTRIBUTE_MAX_TIME)
        slots[0] = w->event.time > slots[0] ? w->event.time : slots[0];
    else if (attribute->kind == KPI_ATTRIBUTE_SET)
        naive_update_set(naive, attribute, w->event.time, naive_intern(naive, field->string),
                         slots);
    else if (attribute->kind == KPI_ATTRIBUTE_MIN)
        slots[0] = slots[0] == KPI_TIME_NONE || value < slots[0] ? value : slots[0];
    else if (attribute->kind == KPI_ATTRIBUTE_MAX)
        slots[0] = value > slots[0] ? value : slots[0];
    else if (slots[0] == KPI_TIME_NONE ||
             (attribute->kind == KPI_ATTRIBUTE_FIRST ? w->event.time < slots[0]
                                                     : w->event.time > slots[0])) {
        slots[0] = w->event.time;
        slots[1] = value;
        if (attribute->is_string) {
            slots[1] = naive_intern(naive, field->string);
        }
    }
}

/* Are the instance's cells told apart by campaign? Those of total() are not. */
static inline bool naive_wants_campaign(const struct kpi_program *program,
                                        const struct kpi_instance *instance)
{
    if (instance->dimensions < KPI_DIMENSIONS_SETS)
        return instance->dimensions == KPI_DIMENSIONS_CAMPAIGN;
    return !program->sets[instance->dimensions - KPI_DIMENSIONS_SETS].total;
}

static inline bool naive_has(const struct naive *naive, uint32_t attribute,
                             const struct naive_event *e)
{
    return e->user != UINT32_MAX &&
           e->before[naive->program->attributes[attribute].slot] != KPI_TIME_NONE;
}

/*
 * What the event adds for a campaign, in millionths: all of it, or, if it is split among a set, its
 * part. False: the campaign is not in the set. An empty campaign is in each.
 */
static inline bool naive_part(const struct naive *naive, const struct kpi_attribute *attribute,
                              const struct naive_event *e, struct kpi_string campaign,
                              int64_t *amount)
{
    const int64_t *slots = e->before + attribute->slot;
    int64_t n = 0, before = 0, sign = *amount < 0 ? -1 : 1, rest;
    bool is_in = false;

    for (uint32_t i = 0; i < attribute->n_slots; i += 2) {
        struct kpi_string name;

        if (slots[i] == KPI_TIME_NONE || e->w.event.time - slots[i] > attribute->within)
            continue;
        name = naive_string((void *)(uintptr_t)naive, slots[i + 1]);
        is_in |= kpi_string_equal(name, campaign);
        before += campaign.length == 1 && name.data[0] < campaign.data[0]; /* those of plans */
        n++;
    }
    if (!campaign.length || !is_in)
        return n && !campaign.length;
    rest = sign * *amount % n;
    *amount = *amount / n + (before < rest ? sign : 0);
    return true;
}

/* What the event adds to sums of the instance, for the campaign, as naive_part(). */
static inline bool naive_number(const struct naive *naive, const struct naive_event *e,
                                uint32_t index, struct kpi_string campaign, int64_t *ret_number)
{
    const struct kpi_instance *instance = &naive->program->instances[index];
    const struct kpi_attribute *attributes = naive->program->attributes;
    const int64_t *rows[] = {e->before, e->after};
    int64_t sums[2];

    *ret_number = e->w.fields[instance->field].number;
    for (unsigned i = 0; i < 2 && instance->aggregate == KPI_AGGREGATE_CAPPED; i++) {
        int64_t sum = rows[i][attributes[instance->sum].slot], less = KPI_TIME_NONE;

        if (instance->less != KPI_NO_INDEX)
            less = rows[i][attributes[instance->less].slot];
        sums[i] = (sum == KPI_TIME_NONE ? 0 : sum) - (less == KPI_TIME_NONE ? 0 : less);
        sums[i] = sums[i] > instance->most ? instance->most : sums[i];
        *ret_number = sums[i] - sums[0];
    }
    if (instance->campaign == KPI_NO_INDEX ||
        attributes[instance->campaign].kind != KPI_ATTRIBUTE_SET)
        return true;
    return naive_part(naive, &attributes[instance->campaign], e, campaign, ret_number);
}

/* Has the event a campaign and a time for the instance? */
static inline bool naive_lands(const struct naive *naive, const struct kpi_instance *instance,
                               const struct naive_event *e)
{
    bool has_campaign = !naive_wants_campaign(naive->program, instance) || e->w.fields[0].kind;
    uint32_t index = (uint32_t)(instance - naive->program->instances);
    int64_t number;

    if (instance->campaign != KPI_NO_INDEX)
        has_campaign = naive_has(naive, instance->campaign, e) &&
                       naive_number(naive, e, index, KPI_STRING(""), &number);
    return has_campaign && (instance->at == KPI_NO_INDEX || naive_has(naive, instance->at, e));
}

/* The time and the campaign for which it counts. */
static inline kpi_time naive_time(const struct naive *naive, const struct naive_event *e,
                                  uint32_t instance)
{
    uint32_t at = naive->program->instances[instance].at;

    return at == KPI_NO_INDEX
               ? e->w.event.time
               : e->before[kpi_attribute_value_slot(&naive->program->attributes[at])];
}

static inline struct kpi_string naive_campaign(const struct naive *naive,
                                               const struct naive_event *e, uint32_t instance)
{
    uint32_t campaign = naive->program->instances[instance].campaign;
    int64_t id;

    if (campaign == KPI_NO_INDEX)
        return (struct kpi_string){e->w.fields[0].string, e->w.fields[0].length};
    id = e->before[kpi_attribute_value_slot(&naive->program->attributes[campaign])];
    return (struct kpi_string){naive->strings[id], strlen(naive->strings[id])};
}

static inline bool naive_has_type(const struct world_event *w, const char *type)
{
    return w->event.type.length == strlen(type) &&
           memcmp(w->event.type.string, type, strlen(type)) == 0;
}

static inline bool naive_is_withdrawn(const struct naive *naive, uint64_t hash)
{
    for (uint32_t i = 0; i < naive->n_withdrawn; i++)
        if (naive->withdrawn[i] == hash)
            return true;
    return false;
}

/* From now on nothing that has happened was theirs. */
static inline void naive_erase(struct naive *naive, const struct naive_event *e, bool for_good)
{
    uint64_t hash = e->w.event.user;
    uint32_t user = e->user;

    if (user != UINT32_MAX) {
        for (size_t i = 0; i < naive->n_events; i++)
            if (naive->events[i].user == user)
                naive->events[i].user = UINT32_MAX;
        for (unsigned k = 0; k < WORLD_SLOTS_MAX; k++)
            naive->slots[user][k] = KPI_TIME_NONE;
        naive->is_here[user] = false;
        naive->n_erased++;
    }
    if (for_good && !naive_is_withdrawn(naive, hash))
        naive->withdrawn[naive->n_withdrawn++] = hash;
}

/* An index for a new user: that of the same one in an earlier life, or another. */
static inline uint32_t naive_enter(struct naive *naive, uint64_t hash)
{
    uint32_t u = 0;

    while (u < naive->n_users && naive->users[u] != hash)
        u++;
    if (u == naive->n_users)
        naive->users[naive->n_users++] = hash;
    naive->is_here[u] = true;
    return u;
}

static inline uint32_t naive_n_here(const struct naive *naive)
{
    uint32_t n = 0;

    for (uint32_t u = 0; u < naive->n_users; u++)
        n += naive->is_here[u];
    return n;
}

/* Takes down of the event that is applied which instances may be fed by it, so that others need not
 * look at it again. */
static inline void naive_hold(struct naive *naive, const struct naive_event *e)
{
    kpi_day day = (kpi_day)(e->w.event.time / KPI_DAY);

    naive->first_day = day < naive->first_day ? day : naive->first_day;
    naive->last_day = day > naive->last_day ? day : naive->last_day;
    for (uint32_t i = 0; i < naive->program->n_instances; i++)
        if (e->holds[i])
            naive->held[i][naive->n_held[i]++] = (uint32_t)naive->n_events;
}

/* The event, judged as the contract says; returns its outcome. */
static inline enum kpi_outcome naive_apply(struct naive *naive, const struct world_event *w)
{
    struct naive_event *e = &naive->events[naive->n_events];
    bool matches_update[KPI_ATTRIBUTES_MAX] = {false}, needs_user = false, copy = false,
         conflict = false;
    bool late = false, withdraws = naive_has_type(w, "kpid.consent_withdrawn"),
         erases = withdraws || naive_has_type(w, "kpid.user_erased"), untimely;
    int64_t hour, window = naive->program->dedupe_window / KPI_HOUR;

    assert(naive->n_events < WORLD_EVENTS_MAX);
    *e = (struct naive_event){.w = *w, .user = UINT32_MAX};
    e->w.event.fields = e->w.fields;
    if (w->event.record_time > naive->newest)
        naive->newest = w->event.record_time;
    e->newest = naive->newest;
    hour = naive->newest / KPI_HOUR;
    untimely = w->event.time > w->event.record_time + naive->program->future_skew_max ||
               w->event.time < naive->newest - naive->program->keep;
    e->dedupe_time = erases ? naive->newest : w->event.time;
    if (erases ? !(w->event.flags & KPI_EVENT_HAS_USER)
               : untimely || (w->event.flags & KPI_EVENT_HAS_USER &&
                              naive_is_withdrawn(naive, w->event.user)))
        goto refuse;
    for (uint32_t u = 0; u < naive->n_users; u++)
        if (w->event.flags & KPI_EVENT_HAS_USER && naive->users[u] == w->event.user &&
            naive->is_here[u])
            e->user = u;
    if (e->user != UINT32_MAX)
        memcpy(e->before, naive->slots[e->user], sizeof(e->before));
    for (uint32_t i = 0; i < naive->program->n_instances; i++) {
        const struct kpi_instance *instance = &naive->program->instances[i];
        bool of_users = instance->aggregate == KPI_AGGREGATE_LEVEL ||
                        instance->aggregate == KPI_AGGREGATE_LATEST ||
                        instance->aggregate == KPI_AGGREGATE_SCORES;

        e->holds[i] =
            !(erases && (untimely || of_users)) && naive_lands(naive, instance, e) &&
            (!kpi_aggregate_has_field(instance->aggregate) || w->fields[instance->field].kind) &&
            naive_holds(naive, instance->condition, e);
        if (e->holds[i] && instance->aggregate == KPI_AGGREGATE_LATEST)
            e->yes[i] = naive_holds(naive, instance->answer, e);
        if (e->holds[i]) {
            const struct kpi_zone *zone = kpi_plan_zone(naive->plan, instance->zone);

            needs_user |= of_users;
            late |=
                instance->at == KPI_NO_INDEX &&
                kpi_zone_day(zone, w->event.time) < kpi_zone_day(zone, naive->newest - KPI_HOUR);
        }
    }
    for (uint32_t i = 0; i < naive->program->n_attributes; i++) {
        const struct kpi_attribute *attribute = &naive->program->attributes[i];

        matches_update[i] =
            !erases && w->event.flags & KPI_EVENT_HAS_USER &&
            naive_holds(naive, attribute->condition, e) &&
            (!kpi_attribute_has_field(attribute->kind) || w->fields[attribute->field].kind);
        needs_user |= matches_update[i];
    }
    for (uint32_t i = 0; i < naive->program->n_instances; i++) {
        const struct kpi_instance *instance = &naive->program->instances[i];

        if (instance->aggregate == KPI_AGGREGATE_CAPPED)
            e->holds[i] &= matches_update[instance->sum] ||
                           (instance->less != KPI_NO_INDEX && matches_update[instance->less]);
    }
    if (needs_user && !(w->event.flags & KPI_EVENT_HAS_USER))
        goto refuse;
    for (size_t i = 0; i < naive->n_events && window; i++) {
        const struct naive_event *other = &naive->events[i];
        int64_t apart = other->dedupe_time / KPI_HOUR - e->dedupe_time / KPI_HOUR;

        if (other->w.event.id != w->event.id || hour - other->newest / KPI_HOUR > window ||
            apart > window || -apart > window)
            continue;
        copy |= other->w.event.content == w->event.content;
        conflict = true;
    }
    if (conflict) {
        naive->n_duplicates += copy;
        naive->n_conflicts += !copy;
        return copy ? KPI_OUTCOME_DUPLICATE : KPI_OUTCOME_CONFLICT;
    }
    if (needs_user && e->user == UINT32_MAX)
        e->user = naive_enter(naive, w->event.user);
    if (naive->note)
        naive->note(naive, e);
    for (uint32_t i = 0; i < naive->program->n_attributes; i++)
        if (matches_update[i])
            naive_update(naive, &naive->program->attributes[i], &e->w,
                         naive->slots[e->user] + naive->program->attributes[i].slot);
    if (e->user != UINT32_MAX)
        memcpy(e->after, naive->slots[e->user], sizeof(e->after));
    naive->n_late += late;
    naive_hold(naive, e);
    naive->n_events++;
    if (erases)
        naive_erase(naive, e, withdraws);
    return KPI_OUTCOME_APPLIED;
refuse:
    naive->n_refused++;
    return KPI_OUTCOME_REFUSED;
}

/* Does an applied event feed the instance for the campaign? Its day goes to ret_day. */
static inline bool naive_feeds(const struct naive *naive, const struct naive_event *e,
                               uint32_t instance, struct kpi_string campaign, kpi_day *ret_day)
{
    const struct kpi_instance *definition = &naive->program->instances[instance];
    const struct kpi_zone *zone = kpi_plan_zone(naive->plan, definition->zone);
    int64_t number;

    if (!e->holds[instance])
        return false;
    *ret_day = kpi_zone_day(zone, naive_time(naive, e, instance));
    if (*ret_day < kpi_zone_day(zone, naive->newest - naive->program->keep))
        return false; /* its day has expired */
    if (definition->dimensions >= KPI_DIMENSIONS_SETS && !naive->in_group(naive, e))
        return false;
    if (!naive_wants_campaign(naive->program, definition))
        return true;
    if (definition->campaign != KPI_NO_INDEX &&
        naive->program->attributes[definition->campaign].kind == KPI_ATTRIBUTE_SET)
        return naive_number(naive, e, instance, campaign, &number);
    return kpi_string_equal(naive_campaign(naive, e, instance), campaign);
}

/* Who was there on which day, by an instance. */
struct naive_days {
    kpi_day low, high; /* [low, high) */
    bool (*seen)[WORLD_USERS];
};

static inline struct naive_days naive_days_make(const struct naive *naive, uint32_t instance,
                                                struct kpi_string campaign)
{
    struct naive_days days = {INT32_MAX, INT32_MIN, NULL};
    kpi_day day;

    if (!naive->n_events)
        return days;
    /* An attribute's time is that of some event; a zone is at most a day off. */
    days.low = naive->first_day - 2;
    days.high = naive->last_day + 3;
    days.seen = calloc((size_t)(days.high - days.low), sizeof(*days.seen));
    for (uint32_t i = 0; i < naive->n_held[instance]; i++) {
        const struct naive_event *e = &naive->events[naive->held[instance][i]];

        if (e->user != UINT32_MAX && naive_feeds(naive, e, instance, campaign, &day))
            days.seen[day - days.low][e->user] = true;
    }
    return days;
}

/* Was the user there on any day of [from, to)? */
static inline bool naive_came(const struct naive_days *days, uint32_t user, kpi_day from,
                              kpi_day to)
{
    for (kpi_day day = from > days->low ? from : days->low; day < to && day < days->high; day++)
        if (days->seen[day - days->low][user])
            return true;
    return false;
}

/* Did who started in the period that begins on `period` come back as the leaf asks? */
static inline bool naive_came_back(const struct kpi_leaf *leaf, const struct naive_days *back,
                                   uint32_t user, kpi_day period)
{
    kpi_day from = kpi_period_next(leaf->basis, period, (int32_t)leaf->from);
    kpi_day to = kpi_period_next(leaf->basis, period, (int32_t)leaf->to);

    if (leaf->mode != KPI_TABLE_EVERY)
        return naive_came(back, user, from, leaf->mode == KPI_TABLE_UNBOUNDED ? INT32_MAX : to);
    for (kpi_day day = from; day < to; day = kpi_period_next(leaf->basis, day, 1))
        if (!naive_came(back, user, day, kpi_period_next(leaf->basis, day, 1)))
            return false;
    return true;
}

static inline void naive_retained(const struct naive *naive, const struct kpi_leaf *leaf,
                                  const struct kpi_range *range, kpi_time as_of,
                                  struct kpi_row *rows)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(naive->plan, range->campaign);
    kpi_day today = kpi_zone_day(kpi_plan_zone(naive->plan, info->zone), as_of);
    struct naive_days start = naive_days_make(naive, leaf->instance[info->zone], info->id);
    struct naive_days back = {0, 0, NULL};
    bool came[WORLD_USERS] = {false}; /* since the period began, or ever */

    if (leaf->kind == KPI_LEAF_RETAINED)
        back = naive_days_make(naive, leaf->return_instance[info->zone], info->id);
    for (kpi_day day = start.low; day < range->end_day && day < start.high; day++) {
        kpi_day period = kpi_period_start(leaf->basis, naive->program->week_start, day);
        bool mature = kpi_period_next(leaf->basis, period, (int32_t)leaf->to) <= today;

        if (leaf->cohort == KPI_TABLE_RECURRING && day == period)
            memset(came, 0, sizeof(came));
        for (uint32_t u = 0; u < WORLD_USERS; u++) {
            bool starts = start.seen[day - start.low][u] && !came[u];

            came[u] |= starts;
            if (!starts || day < range->start_day)
                continue;
            if (leaf->kind == KPI_LEAF_FIRST_TIME) {
                rows[0].value++;
                continue;
            }
            rows[2].value++;
            rows[1].value += mature;
            rows[0].value += mature && naive_came_back(leaf, &back, u, period);
        }
    }
    free(start.seen);
    free(back.seen);
}

static inline void naive_user_days(const struct naive *naive, const struct kpi_leaf *leaf,
                                   const struct kpi_range *range, struct kpi_row *row)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(naive->plan, range->campaign);
    size_t n_days = (size_t)(range->end_day - range->start_day);
    bool(*seen)[WORLD_USERS] = calloc(n_days, sizeof(*seen));
    uint32_t instance = leaf->instance[info->zone];
    kpi_day day;

    if (!seen)
        abort();
    row->value = 0;
    for (uint32_t i = 0; i < naive->n_held[instance]; i++) {
        const struct naive_event *e = &naive->events[naive->held[instance][i]];

        if (e->user == UINT32_MAX || !naive_feeds(naive, e, instance, info->id, &day) ||
            day < range->start_day || day >= range->end_day)
            continue;
        row->value += !seen[day - range->start_day][e->user];
        seen[day - range->start_day][e->user] = true;
    }
    free(seen);
}

static inline bool naive_lies_in(const struct naive *naive, const struct kpi_scope *scope,
                                 size_t event, kpi_time as_of)
{
    kpi_time time = naive->events[event].w.event.time;

    if (naive->lies_in)
        return naive->lies_in(naive, scope, event, as_of);
    return time >= scope->start && time < scope->end;
}

static inline int naive_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* By nearest rank; all are few enough to be exact. */
static inline int64_t naive_quantile(const struct naive *naive, size_t n, kpi_decimal share)
{
    assert(n <= KPI_QUANTILES_EXACT);
    qsort(naive->values, n, sizeof(*naive->values), naive_compare);
    for (size_t i = 0; i < n; i++)
        if ((int64_t)(i + 1) * KPI_DECIMAL_ONE >= (int64_t)n * share)
            return naive->values[i];
    return 0;
}

static inline void naive_leaf(const struct naive *naive, const struct kpi_leaf *leaf,
                              const struct kpi_scope *scope, kpi_time as_of, struct kpi_row *rows)
{
    uint32_t n_rows = kpi_leaf_n_rows(leaf->kind), instance;
    bool shifted = leaf->shift.kind != KPI_SHIFT_NONE || leaf->trailing;
    const struct kpi_campaign_info *info;
    const struct kpi_zone *zone;
    struct kpi_range range;
    kpi_time from, to;
    uint32_t times[WORLD_USERS] = {0};
    kpi_time latest[WORLD_USERS]; /* of first answers: mirrored */
    bool yes[WORLD_USERS] = {false};
    int64_t scores[WORLD_USERS] = {0}, gauge = 0, gauge_time = 0;
    int64_t n_events = 0, sum = 0, users = 0;
    kpi_day day;

    memset(rows, 0, n_rows * sizeof(*rows));
    if (!kpi_leaf_range(naive->plan, scope, leaf, &range))
        return;
    info = kpi_plan_campaign(naive->plan, range.campaign);
    zone = kpi_plan_zone(naive->plan, info->zone);
    from = kpi_zone_day_start(zone, range.start_day) + range.start_minute * KPI_MINUTE;
    to = kpi_zone_day_start(zone, range.end_day) + range.end_minute * KPI_MINUTE;
    if (leaf->mature) {
        kpi_day end = kpi_zone_day(zone, as_of) - (kpi_day)leaf->mature;

        range.end_day = range.end_day < end ? range.end_day : end;
        to = to < kpi_zone_day_start(zone, end) ? to : kpi_zone_day_start(zone, end);
        if (from >= to)
            return;
    }
    instance = leaf->instance[info->zone];
    for (unsigned u = 0; u < WORLD_USERS; u++)
        latest[u] = INT64_MIN;
    for (uint32_t h = 0; h < naive->n_held[instance]; h++) {
        uint32_t i = naive->held[instance][h];
        const struct naive_event *e = &naive->events[i];
        kpi_time time = naive_time(naive, e, instance), rank = e->w.event.time;
        int64_t number;

        if (!naive_feeds(naive, e, instance, info->id, &day) || time >= to)
            continue;
        (void)naive_number(naive, e, instance, /* it feeds, so it has one */
                           leaf->total ? KPI_STRING("") : info->id, &number);
        if (e->w.event.time > gauge_time || (e->w.event.time == gauge_time && number > gauge))
            gauge = number;
        if (e->w.event.time > gauge_time)
            gauge_time = e->w.event.time;
        if (shifted || time != e->w.event.time ? time < from
                                               : !naive_lies_in(naive, scope, i, as_of))
            continue;
        naive->values[n_events++] = number;
        sum += number;
        if (e->user == UINT32_MAX)
            continue;
        times[e->user]++;
        if (naive->program->instances[instance].is_first)
            rank = -rank;
        if (rank > latest[e->user] || (rank == latest[e->user] && e->yes[instance]))
            yes[e->user] = e->yes[instance];
        if (rank > latest[e->user] || (rank == latest[e->user] && number > scores[e->user]))
            scores[e->user] = number;
        if (rank > latest[e->user])
            latest[e->user] = rank;
    }
    for (uint32_t i = 0; i < n_rows; i++)
        rows[i] = (struct kpi_row){0, n_events};
    for (uint32_t u = 0; u < WORLD_USERS; u++)
        users += leaf->kind == KPI_LEAF_LATEST ? yes[u] : times[u] >= leaf->level;
    if (leaf->kind == KPI_LEAF_QUANTILE) {
        if (naive->quantiles)
            rows[0].value = naive_quantile(naive, (size_t)n_events, leaf->share);
    } else if (leaf->kind == KPI_LEAF_GAUGE) {
        rows[0] = (struct kpi_row){gauge, gauge_time};
    } else if (leaf->kind == KPI_LEAF_SCORES) {
        rows[0].value = rows[1].value = 0;
        for (uint32_t u = 0; u < WORLD_USERS; u++) {
            rows[0].value += times[u] ? scores[u] : 0;
            rows[1].value += times[u] > 0;
        }
    } else if (leaf->kind == KPI_LEAF_RETAINED || leaf->kind == KPI_LEAF_FIRST_TIME)
        naive_retained(naive, leaf, &range, as_of, rows);
    else if (leaf->kind == KPI_LEAF_USER_DAYS)
        naive_user_days(naive, leaf, &range, &rows[0]);
    else
        rows[0].value = leaf->kind == KPI_LEAF_COUNT                                ? n_events
                        : leaf->kind == KPI_LEAF_SUM || leaf->kind == KPI_LEAF_MEAN ? sum
                                                                                    : users;
}

static inline void naive_report(const struct naive *naive, const struct kpi_layout *layout,
                                struct kpi_row *rows)
{
    for (uint32_t s = 0; s < kpi_layout_n_scopes(layout); s++) {
        const struct kpi_scope *scope = kpi_layout_scope(layout, s);
        const uint32_t *leaf_rows = naive->program->grains[scope->grain].leaf_rows;

        for (uint32_t i = 0; i < naive->program->n_leaves; i++)
            if (leaf_rows[i] != KPI_NO_INDEX)
                naive_leaf(naive, &naive->program->leaves[i], scope, kpi_layout_as_of(layout),
                           rows + kpi_layout_first_row(layout, s) + leaf_rows[i]);
    }
}
