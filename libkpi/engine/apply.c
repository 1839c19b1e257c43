/*
 * Events into state, in groups of up to 64: first the cache lines that the group will need are
 * asked for, then its users are looked up, then event by event is judged and, whole or not at all,
 * applied.
 */
#include "engine/capped.h"
#include "engine/erase.h"
#include "engine/experiments.h"
#include "engine/state.h"
#include "engine/unions.h"

#include <assert.h>
#include <xxhash.h>

enum {
    APPLY_E_ERASED = 1, /* users are others than before */
    FUNNELS_AHEAD = 4   /* events between asking for a user's blocks and reading them */
};

/* An event on its way. */
struct applying {
    const struct kpi_event *event;
    const struct kpi_dispatch *dispatch;
    uint32_t user; /* KPI_USER_NONE: none, or new */
    const struct kpi_action **updates;
    uint32_t n_matches, n_updates;
    bool needs_user, needs_tuple, late;
    bool tells_apart; /* an experiment asks for the tuple of its exposure */
    kpi_time dedupe_time;
    bool untimely;     /* it only erases: its time is none that counts */
    uint32_t campaign; /* the campaign's tuple, once the event is to be applied */
    bool other;        /* a value of a tuple is __other__ */
};

static bool field_is_number(const struct kpi_field *field)
{
    return field->kind == KPI_FIELD_NUMBER || field->kind == KPI_FIELD_BOOL;
}

static const int64_t *row_of(const struct kpi_engine *engine, const struct applying *applying)
{
    return applying->user == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, applying->user);
}

static bool holds(struct kpi_engine *engine, uint32_t condition, const struct applying *applying)
{
    return condition == KPI_NO_INDEX ||
           kpi_condition_holds(engine->plan, condition, applying->event, row_of(engine, applying),
                               kpi_engine_string, engine);
}

static bool wants_campaign(const struct kpi_engine *engine, const struct kpi_instance *instance)
{
    if (instance->dimensions < KPI_DIMENSIONS_SETS)
        return instance->dimensions == KPI_DIMENSIONS_CAMPAIGN;
    return !engine->program->sets[instance->dimensions - KPI_DIMENSIONS_SETS].total;
}

/* The value of an attribute of the event's user. False: absent. */
static bool attribute_get(const struct kpi_engine *engine, const struct applying *applying,
                          uint32_t index, int64_t *ret_value)
{
    const struct kpi_attribute *attribute = &engine->program->attributes[index];
    const int64_t *row = row_of(engine, applying);

    if (!row || !kpi_attribute_live(attribute, row, applying->event->time))
        return false;
    *ret_value = row[kpi_attribute_value_slot(attribute)];
    return true;
}

/* The campaigns that get parts of what an event adds to the instance, as ids; returns how many. */
static uint32_t campaigns_get(struct kpi_engine *engine, const struct applying *applying,
                              const struct kpi_instance *instance,
                              int64_t ret_ids[KPI_SET_VALUES_MAX])
{
    const struct kpi_attribute *attribute = &engine->program->attributes[instance->campaign];
    const int64_t *row = row_of(engine, applying);

    if (attribute->kind != KPI_ATTRIBUTE_SET)
        return attribute_get(engine, applying, instance->campaign, ret_ids);
    return row ? kpi_attribute_set(engine, attribute, row, applying->event->time, ret_ids) : 0;
}

/* Not inlined: nearly all instances are of events' own campaigns, and need none of this. */
static __attribute__((noinline)) bool names_campaigns(struct kpi_engine *engine,
                                                      const struct applying *applying,
                                                      const struct kpi_instance *instance)
{
    int64_t campaigns[KPI_SET_VALUES_MAX];

    return campaigns_get(engine, applying, instance, campaigns) > 0;
}

/* What of the instance's needs an event may lack: then it does not feed it. */
static bool feeds(struct kpi_engine *engine, const struct kpi_instance *instance,
                  const struct applying *applying)
{
    const struct kpi_event *event = applying->event;

    if (instance->campaign != KPI_NO_INDEX) {
        if (!names_campaigns(engine, applying, instance))
            return false;
    } else if (wants_campaign(engine, instance) && event->fields[0].kind != KPI_FIELD_STRING) {
        return false;
    }
    return !kpi_aggregate_has_field(instance->aggregate) ||
           field_is_number(&event->fields[instance->field]);
}

static bool is_of_users(const struct kpi_instance *instance)
{
    return instance->aggregate == KPI_AGGREGATE_LEVEL ||
           instance->aggregate == KPI_AGGREGATE_LATEST ||
           instance->aggregate == KPI_AGGREGATE_SCORES;
}

/* The window of a time that lies in the day that the zone is at. */
static kpi_window window_of(const struct kpi_instance *instance, const struct kpi_zone_state *zone,
                            kpi_time time)
{
    if (!instance->minutes)
        return zone->day;
    return kpi_instance_day(instance, zone->day) +
           kpi_window_of_day(time - zone->start, instance->minutes);
}

/*
 * Turns the instance's zone to the day that the event counts on. False: there is none. One that an
 * attribute names may have been forgotten already.
 */
static bool day_find(struct kpi_engine *engine, const struct kpi_instance *instance,
                     const struct applying *applying, kpi_time *ret_time)
{
    struct kpi_zone_state *zone = &engine->zones[instance->zone];

    *ret_time = applying->event->time;
    if (instance->at == KPI_NO_INDEX)
        return kpi_zone_state_find(zone, *ret_time);
    return attribute_get(engine, applying, instance->at, ret_time) &&
           kpi_zone_state_find(zone, *ret_time) && zone->day >= zone->kept_from;
}

/* False if the zone's table does not reach the event's time. */
static bool match_actions(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_dispatch *dispatch = applying->dispatch;
    bool erases = dispatch->erasure;

    for (uint32_t i = 0; i < dispatch->n_actions; i++) {
        const struct kpi_action *action = &dispatch->actions[i];
        const struct kpi_instance *instance = &engine->program->instances[action->instance];
        struct kpi_zone_state *zone = &engine->zones[instance->zone];
        struct kpi_match *match = &engine->matches[applying->n_matches];
        kpi_time time;

        if (!feeds(engine, instance, applying) || !holds(engine, action->condition, applying))
            continue;
        /* Who is to be forgotten is not remembered for that. */
        if (erases && is_of_users(instance))
            continue;
        if (!day_find(engine, instance, applying, &time)) {
            if (instance->at == KPI_NO_INDEX)
                return false;
            continue;
        }
        *match = (struct kpi_match){action->instance, window_of(instance, zone, time), zone->start,
                                    false};
        if (instance->aggregate == KPI_AGGREGATE_LATEST)
            match->yes = holds(engine, instance->answer, applying);
        applying->n_matches++;
        applying->needs_user |= is_of_users(instance);
        applying->needs_tuple |=
            instance->campaign == KPI_NO_INDEX && wants_campaign(engine, instance);
        applying->late |=
            instance->at == KPI_NO_INDEX && zone->end <= engine->newest_record - KPI_FREEZE_AFTER;
    }
    return true;
}

static bool updates(const struct kpi_engine *engine, const struct kpi_action *action,
                    const struct kpi_event *event)
{
    const struct kpi_attribute *attribute = &engine->program->attributes[action->instance];

    if (attribute->kind == KPI_ATTRIBUTE_EXPERIMENT)
        return kpi_experiment_takes(&engine->program->experiments[attribute->field], action->part,
                                    event);
    if (!kpi_attribute_has_field(attribute->kind))
        return true;
    if (attribute->is_string)
        return event->fields[attribute->field].kind == KPI_FIELD_STRING;
    return field_is_number(&event->fields[attribute->field]);
}

/* The experiment that takes the action for an exposure, and is broken down; else NULL. */
static const struct kpi_experiment *experiment_by(const struct kpi_engine *engine,
                                                  const struct kpi_action *action)
{
    const struct kpi_attribute *attribute = &engine->program->attributes[action->instance];
    const struct kpi_experiment *experiment;

    if (attribute->kind != KPI_ATTRIBUTE_EXPERIMENT || action->part != KPI_EXPERIMENT_EXPOSURE)
        return NULL;
    experiment = &engine->program->experiments[attribute->field];
    return experiment->set == KPI_NO_INDEX ? NULL : experiment;
}

/* Attributes are facts about users: an event without one, as spend is, updates none. */
static void match_updates(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_dispatch *dispatch = applying->dispatch;

    if (!(applying->event->flags & KPI_EVENT_HAS_USER))
        return;
    for (uint32_t i = 0; i < dispatch->n_updates; i++) {
        const struct kpi_action *action = &dispatch->updates[i];

        if (!updates(engine, action, applying->event) ||
            !holds(engine, action->condition, applying))
            continue;
        applying->updates[applying->n_updates++] = action;
        applying->tells_apart |= experiment_by(engine, action) != NULL;
    }
    applying->needs_user |= applying->n_updates > 0;
}

/* Funnels are of users, too: an event without one is in none. */
static void match_funnels(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_event *event = applying->event;
    const int64_t *row =
        applying->user == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, applying->user);
    bool campaign;

    if (!applying->dispatch->n_marks || !(event->flags & KPI_EVENT_HAS_USER))
        return;
    kpi_funnels_match(engine, event, applying->dispatch, row, &campaign);
    applying->needs_user |= engine->funnels.n_hits > 0;
    applying->needs_tuple |= campaign && event->fields[0].kind == KPI_FIELD_STRING;
}

/* Ids are never given twice, so they may run out before users are too many. */
static bool users_full(const struct kpi_engine *engine)
{
    return kpi_users_n_known(&engine->users) >= engine->program->users_max ||
           engine->users.n >= KPI_USER_BARRED;
}

/*
 * An erasure is obeyed where it stands in the log, whatever time it names: to refuse one for its
 * clock would be to keep what is to be forgotten.
 */
static enum kpi_refusal judge_erasure(const struct kpi_engine *engine, struct applying *applying)
{
    /* Dedupe knows no time as odd as it may name. */
    applying->dedupe_time = engine->newest_record;
    if (!(applying->event->flags & KPI_EVENT_HAS_USER))
        return KPI_REFUSAL_USER_MISSING;
    if (applying->dispatch->erasure == KPI_ERASURE_FOR_GOOD && applying->user == KPI_USER_NONE &&
        users_full(engine))
        return KPI_REFUSAL_USERS_FULL;
    return KPI_REFUSAL_NONE;
}

/* Its time is none to count in: it erases, and that is all. */
static void set_untimely(struct applying *applying)
{
    applying->untimely = true;
    applying->n_matches = 0;
    applying->needs_tuple = applying->late = false;
}

static enum kpi_refusal judge(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_event *event = applying->event;
    bool erases = applying->dispatch->erasure;
    enum kpi_refusal refusal = KPI_REFUSAL_NONE;

    engine->funnels.n_hits = 0;
    if (erases)
        refusal = judge_erasure(engine, applying);
    else if (applying->user == KPI_USER_BARRED)
        refusal = KPI_REFUSAL_WITHDRAWN;
    if (refusal)
        return refusal;
    if (event->time > event->record_time + engine->program->future_skew_max)
        refusal = KPI_REFUSAL_FUTURE;
    else if (event->time < engine->newest_record - engine->program->keep)
        refusal = KPI_REFUSAL_EXPIRED;
    else if (!match_actions(engine, applying))
        refusal = event->time > engine->newest_record ? KPI_REFUSAL_FUTURE : KPI_REFUSAL_EXPIRED;
    if (erases && refusal)
        set_untimely(applying);
    if (erases || refusal)
        return erases ? KPI_REFUSAL_NONE : refusal;
    if (applying->dispatch->n_updates)
        match_updates(engine, applying);
    match_funnels(engine, applying);
    if (!applying->needs_user)
        return KPI_REFUSAL_NONE;
    if (!(event->flags & KPI_EVENT_HAS_USER))
        return KPI_REFUSAL_USER_MISSING;
    if (applying->user == KPI_USER_NONE && users_full(engine))
        return KPI_REFUSAL_USERS_FULL;
    return KPI_REFUSAL_NONE;
}

/* A user into level 1, or as often seen already, into the next ones. */
static int feed_levels(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       uint32_t user)
{
    bool is_new = true, frozen = false;

    for (uint32_t instance = match->instance; instance != KPI_NO_INDEX;
         instance = engine->program->instances[instance].above) {
        struct kpi_series *series;
        struct kpi_cell *cell;
        int r = kpi_cell_get(engine, instance, tuple, match->window, &series, &cell);

        if (r < 0)
            return r;
        cell->n_events++;
        kpi_cell_touch(engine, series, cell);
        frozen = cell->form == KPI_CELL_FROZEN;
        r = kpi_cell_add_user(engine, cell, user);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        is_new = false;
    }
    return frozen ? kpi_unions_late(engine, match->instance, tuple, match->window, user, is_new)
                  : 0;
}

static uint64_t stamp_of(const struct kpi_engine *engine, const struct kpi_match *match,
                         const struct kpi_event *event)
{
    return kpi_latest_stamp_of((uint64_t)(event->time - match->day_start), match->yes,
                               engine->program->instances[match->instance].is_first);
}

static int feed_latest(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct applying *applying)
{
    struct kpi_series *series;
    struct kpi_cell *cell;
    bool changed;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    kpi_cell_touch(engine, series, cell);
    r = kpi_latest_put(&cell->latest, &engine->mem, applying->user,
                       stamp_of(engine, match, applying->event), &changed);
    if (r < 0 || !changed)
        return r;
    cell->dirty = true;
    return kpi_unions_late(engine, match->instance, tuple, match->window, applying->user, false);
}

static int feed_scores(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct applying *applying)
{
    uint32_t field = engine->program->instances[match->instance].field;
    struct kpi_series *series;
    struct kpi_cell *cell;
    bool changed;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    kpi_cell_touch(engine, series, cell);
    r = kpi_latest_put_number(&cell->latest, &engine->mem, applying->user,
                              stamp_of(engine, match, applying->event),
                              applying->event->fields[field].number, &changed);
    cell->dirty |= r == 0 && changed;
    return r;
}

static int feed_quantiles(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                          const struct kpi_event *event)
{
    int64_t number = event->fields[engine->program->instances[match->instance].field].number;
    struct kpi_series *series;
    struct kpi_cell *cell;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    cell->quantiles.sum += number;
    cell->dirty = true;
    kpi_cell_touch(engine, series, cell);
    return kpi_quantiles_put(&cell->quantiles.sketch, &engine->mem, number);
}

static int feed_scalar(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct kpi_event *event, kpi_wide number)
{
    const struct kpi_instance *instance = &engine->program->instances[match->instance];
    struct kpi_series *series;
    struct kpi_cell *cell;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    if (instance->aggregate == KPI_AGGREGATE_SUM || instance->aggregate == KPI_AGGREGATE_CAPPED) {
        cell->sum += number;
    } else if (instance->aggregate == KPI_AGGREGATE_GAUGE) {
        __int128 gauge = kpi_gauge_pack(event->time, event->fields[instance->field].number);

        if (gauge > cell->sum)
            cell->sum = gauge;
    }
    kpi_cell_touch(engine, series, cell);
    return 0;
}

/* The campaign that a value of an attribute names. Returns 0 or -ENOMEM. */
static int campaign_of(struct kpi_engine *engine, struct applying *applying, int64_t value,
                       uint32_t *ret_campaign)
{
    struct kpi_string name = kpi_engine_string(engine, value);
    int r;

    r = kpi_dictionary_intern(&engine->values, name, XXH3_64bits(name.data, name.length),
                              engine->program->values_max, ret_campaign);
    applying->other |= *ret_campaign == KPI_DICTIONARY_OTHER;
    return r;
}

/*
 * The tuple of the event in the cells of an instance, for the campaign that `redirect` names; NULL:
 * its own. Returns 0 or -ENOMEM.
 */
static int tuple_of(struct kpi_engine *engine, struct applying *applying,
                    const struct kpi_instance *instance, const int64_t *redirect,
                    uint32_t *ret_tuple)
{
    uint32_t campaign = applying->campaign, now;
    struct kpi_tuple_set *set;
    int r = 0;

    if (redirect)
        r = campaign_of(engine, applying, *redirect, &campaign);
    if (r < 0)
        return r;
    if (instance->dimensions < KPI_DIMENSIONS_SETS) {
        *ret_tuple =
            instance->dimensions == KPI_DIMENSIONS_CAMPAIGN ? campaign : KPI_DICTIONARY_NONE;
        return 0;
    }
    /* The tuple that the set has found for this event is that of the event's own campaign. */
    set = &engine->tuples.sets[instance->dimensions - KPI_DIMENSIONS_SETS];
    now = set->now;
    if (redirect)
        set->now = KPI_NO_INDEX;
    r = kpi_tuple_get(engine, instance->dimensions - KPI_DIMENSIONS_SETS, campaign, applying->event,
                      row_of(engine, applying), &applying->other, ret_tuple);
    if (redirect)
        set->now = now;
    return r;
}

/* What comes of an event is told from what came of the one before. */
static void begin_feeding(struct kpi_engine *engine)
{
    engine->version++;
    kpi_tuples_turn(&engine->tuples);
}

/* What the event adds to the instance's sum. False: nothing, as it changes no sum of the user. */
static bool number_of(const struct kpi_engine *engine, const struct applying *applying,
                      const struct kpi_instance *instance, kpi_wide *ret_number)
{
    if (instance->aggregate == KPI_AGGREGATE_CAPPED)
        return kpi_capped_gain(engine, instance, row_of(engine, applying), applying->event,
                               applying->updates, applying->n_updates, ret_number);
    *ret_number = applying->event->fields[instance->field].number;
    return true;
}

/* A match into the cell of the campaign that `redirect` names, as for tuple_of(). */
static int feed_one(struct kpi_engine *engine, struct applying *applying,
                    const struct kpi_match *match, const int64_t *redirect, kpi_wide number)
{
    const struct kpi_instance *instance = &engine->program->instances[match->instance];
    uint32_t tuple;
    int r = tuple_of(engine, applying, instance, redirect, &tuple);

    if (r < 0)
        return r;
    if (instance->aggregate == KPI_AGGREGATE_LEVEL)
        return feed_levels(engine, match, tuple, applying->user);
    if (instance->aggregate == KPI_AGGREGATE_LATEST)
        return feed_latest(engine, match, tuple, applying);
    if (instance->aggregate == KPI_AGGREGATE_SCORES)
        return feed_scores(engine, match, tuple, applying);
    if (instance->aggregate == KPI_AGGREGATE_QUANTILES)
        return feed_quantiles(engine, match, tuple, applying->event);
    return feed_scalar(engine, match, tuple, applying->event, number);
}

/*
 * A match into the cells of the campaigns that an attribute names. Of several each gets an equal
 * part; what is left, less than a millionth each, goes to those whose names come first, so that the
 * parts add up to the whole.
 */
static int feed_campaigns(struct kpi_engine *engine, struct applying *applying,
                          const struct kpi_match *match, kpi_wide number)
{
    const struct kpi_instance *instance = &engine->program->instances[match->instance];
    int64_t ids[KPI_SET_VALUES_MAX];
    uint32_t n = campaigns_get(engine, applying, instance, ids);
    int r = 0;

    assert(n > 0); /* else the event would not feed the instance */
    for (uint32_t i = 0; i < n && r == 0; i++) {
        kpi_wide rest = number % n, part = number / n;

        if (rest > i)
            part++;
        else if (-rest > i)
            part--;
        r = feed_one(engine, applying, match, &ids[i], part);
    }
    return r;
}

static int feed(struct kpi_engine *engine, struct applying *applying)
{
    int r = 0;

    for (uint32_t i = 0; i < applying->n_matches && r == 0; i++) {
        const struct kpi_match *match = &engine->matches[i];
        const struct kpi_instance *instance = &engine->program->instances[match->instance];
        kpi_wide number;

        if (!number_of(engine, applying, instance, &number))
            continue;
        if (instance->campaign != KPI_NO_INDEX && wants_campaign(engine, instance))
            r = feed_campaigns(engine, applying, match, number);
        else
            r = feed_one(engine, applying, match, NULL, number);
    }
    return r;
}

/* While attributes are as they stood before the event, which may be what tells apart. */
static int tell_apart(struct kpi_engine *engine, struct applying *applying)
{
    int64_t *row = kpi_slots_row(&engine->slots, applying->user);
    int r = 0;

    for (uint32_t i = 0; i < applying->n_updates && r == 0; i++) {
        const struct kpi_action *action = applying->updates[i];
        const struct kpi_experiment *experiment = experiment_by(engine, action);
        uint32_t tuple;

        if (!experiment)
            continue;
        r = kpi_tuple_get(engine, experiment->set, KPI_DICTIONARY_NONE, applying->event, row,
                          &applying->other, &tuple);
        if (r == 0)
            kpi_experiment_tell_apart(engine, experiment, applying->event->time, tuple,
                                      row + engine->program->attributes[action->instance].slot);
    }
    return r;
}

/* The event updates at least one attribute. */
static int update_row(struct kpi_engine *engine, struct applying *applying)
{
    int64_t *row = kpi_slots_row(&engine->slots, applying->user);
    int r = applying->tells_apart ? tell_apart(engine, applying) : 0;

    if (r < 0)
        return r;
    for (uint32_t i = 0; i < applying->n_updates; i++) {
        const struct kpi_action *action = applying->updates[i];
        const struct kpi_attribute *attribute = &engine->program->attributes[action->instance];

        if (attribute->kind == KPI_ATTRIBUTE_EXPERIMENT) {
            kpi_experiment_update(&engine->program->experiments[attribute->field], action->part,
                                  applying->event, row + attribute->slot);
            engine->version++; /* answers are made of it */
        } else if (attribute->kind == KPI_ATTRIBUTE_SESSION) {
            r = kpi_sessions_put(engine, attribute, applying->event, applying->user,
                                 &applying->late);
            engine->version++; /* tables tell how many are open */
        } else {
            r = kpi_attribute_update(engine, attribute, applying->event, row);
        }
        if (r < 0)
            return r;
    }
    kpi_slots_mark(&engine->slots, applying->user);
    return 0;
}

static int enter_user(struct kpi_engine *engine, struct applying *applying)
{
    int r;

    if (!applying->needs_user || applying->user != KPI_USER_NONE)
        return 0;
    r = kpi_users_add(&engine->users, applying->event->user, &applying->user);
    return r < 0 ? r : kpi_slots_reserve(&engine->slots, applying->user);
}

/* The event is to be applied: nothing but memory can stop it now. */
static int commit(struct kpi_engine *engine, struct applying *applying,
                  const struct kpi_dedupe_place *place)
{
    const struct kpi_event *event = applying->event;
    int r;

    r = kpi_dedupe_add(&engine->dedupe, event->id, event->content, applying->dedupe_time, place);
    if (r == 0)
        r = enter_user(engine, applying);
    if (r == 0 && applying->needs_tuple) {
        struct kpi_string value = {event->fields[0].string, event->fields[0].length};

        r = kpi_dictionary_intern(&engine->values, value, event->fields[0].hash,
                                  engine->program->values_max, &applying->campaign);
        applying->other = applying->campaign == KPI_DICTIONARY_OTHER;
    }
    if (applying->n_matches || engine->funnels.n_hits || applying->tells_apart)
        begin_feeding(engine);
    if (r == 0)
        r = feed(engine, applying);
    if (r == 0 && engine->funnels.n_hits)
        r = kpi_funnels_feed(engine, event, applying->user, applying->campaign, &applying->other);
    if (r == 0 && applying->n_updates)
        r = update_row(engine, applying);
    engine->n_applied++;
    engine->n_other += applying->other;
    engine->n_without_id += !(event->flags & KPI_EVENT_HAS_ID);
    engine->n_late += applying->late;
    if (event->time > engine->newest_event && !applying->untimely)
        engine->newest_event = event->time;
    return r;
}

int kpi_engine_feed_session(struct kpi_engine *engine, const struct kpi_event *event,
                            const struct kpi_dispatch *dispatch, uint32_t user, uint32_t campaign)
{
    struct applying applying = {
        .event = event,
        .dispatch = dispatch,
        .user = user,
        .updates = engine->updates + engine->program->n_updates_max,
        .campaign = campaign,
    };
    int r = 0;

    /* Beyond the zones' tables there are no days to count in. */
    if (!match_actions(engine, &applying))
        return 0;
    match_updates(engine, &applying);
    if (applying.n_matches || applying.tells_apart)
        begin_feeding(engine);
    if (applying.n_matches)
        r = feed(engine, &applying);
    return r < 0 || !applying.n_updates ? r : update_row(engine, &applying);
}

/* Returns APPLY_E_ERASED or -ENOMEM. */
static int erase(struct kpi_engine *engine, const struct applying *applying)
{
    int r = kpi_engine_erase(engine, applying->event->user,
                             applying->dispatch->erasure == KPI_ERASURE_FOR_GOOD);

    return r < 0 ? r : APPLY_E_ERASED;
}

/* Returns 0, APPLY_E_ERASED or -ENOMEM. */
static int apply_one(struct kpi_engine *engine, struct kpi_event *event, uint32_t user)
{
    struct applying applying = {
        .event = event, .user = user, .updates = engine->updates, .dedupe_time = event->time};
    struct kpi_dedupe_place place;
    enum kpi_dedupe_answer answer;
    int r;

    /* Refused or not, an event has brought the log's time on. */
    if (event->record_time > engine->newest_record)
        engine->newest_record = event->record_time;
    r = kpi_dedupe_advance(&engine->dedupe, engine->newest_record);
    if (r == 0)
        r = kpi_sessions_turn(engine);
    if (r < 0)
        return r;
    /* The user may have come with an earlier event of this very group. */
    if (user == KPI_USER_NONE && event->flags & KPI_EVENT_HAS_USER)
        applying.user = kpi_users_find(&engine->users, event->user);
    applying.dispatch = kpi_program_dispatch(engine->plan, &event->type);
    if (applying.dispatch->is_session)
        applying.dispatch = &engine->program->types[engine->program->n_types];
    event->refusal = judge(engine, &applying);
    if (event->refusal != KPI_REFUSAL_NONE) {
        event->outcome = KPI_OUTCOME_REFUSED;
        engine->n_refused++;
        return 0;
    }
    answer =
        kpi_dedupe_find(&engine->dedupe, event->id, event->content, applying.dedupe_time, &place);
    if (answer == KPI_DEDUPE_COPY) {
        event->outcome = KPI_OUTCOME_DUPLICATE;
        engine->n_duplicates++;
        return 0;
    }
    if (answer == KPI_DEDUPE_CONFLICT) {
        event->outcome = KPI_OUTCOME_CONFLICT;
        engine->n_conflicts++;
        return 0;
    }
    event->outcome = KPI_OUTCOME_APPLIED;
    r = commit(engine, &applying, &place);
    return r == 0 && applying.dispatch->erasure ? erase(engine, &applying) : r;
}

/* Looks users up, and asks for their rows. */
static void find_users(const struct kpi_engine *engine, const struct kpi_batch *batch,
                       unsigned first, uint32_t *users)
{
    for (unsigned i = first; i < batch->n_events; i++) {
        const int64_t *row;

        users[i] = KPI_USER_NONE;
        if (!(batch->events[i].flags & KPI_EVENT_HAS_USER))
            continue;
        users[i] = kpi_users_find(&engine->users, batch->events[i].user);
        row = users[i] == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, users[i]);
        if (row)
            __builtin_prefetch(row, 1);
        if (users[i] != KPI_USER_NONE)
            kpi_funnels_prefetch(&engine->funnels, users[i]);
    }
}

int kpi_engine_apply(struct kpi_engine *engine, struct kpi_batch *batch)
{
    uint32_t users[KPI_BATCH_MAX];
    int r;

    for (unsigned i = 0; i < batch->n_events; i++) {
        kpi_dedupe_prefetch(&engine->dedupe, batch->events[i].id);
        if (batch->events[i].flags & KPI_EVENT_HAS_USER)
            kpi_users_prefetch(&engine->users, batch->events[i].user);
    }
    for (unsigned i = 0; i < batch->n_events; i++)
        kpi_dedupe_prefetch_overflow(&engine->dedupe, batch->events[i].id);
    find_users(engine, batch, 0, users);
    for (unsigned i = 0; i < batch->n_events; i++) {
        unsigned ahead = i + FUNNELS_AHEAD;

        if (ahead < batch->n_events && users[ahead] != KPI_USER_NONE)
            kpi_funnels_prefetch_blocks(&engine->funnels, users[ahead]);
        r = apply_one(engine, &batch->events[i], users[i]);
        if (r < 0)
            return r;
        /* What was found for the rest of the group may be a user of before. */
        if (r == APPLY_E_ERASED)
            find_users(engine, batch, i + 1, users);
    }
    r = kpi_dedupe_work(&engine->dedupe);
    return r < 0 ? r : kpi_engine_turn(engine);
}
