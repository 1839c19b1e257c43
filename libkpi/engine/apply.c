/*
 * Events into state, in groups of up to 64: first the cache lines that the group will need are
 * asked for, then its users are looked up, then event by event is judged and, whole or not at all,
 * applied.
 */
#include "engine/experiments.h"
#include "engine/state.h"
#include "engine/unions.h"

/* An event on its way. */
struct applying {
    const struct kpi_event *event;
    const struct kpi_dispatch *dispatch;
    uint32_t user; /* KPI_USER_NONE: none, or new */
    uint32_t n_matches, n_updates;
    bool needs_user, needs_tuple, late;
    uint32_t campaign; /* the campaign's tuple, once the event is to be applied */
    bool other;        /* a value of a tuple is __other__ */
};

static bool field_is_number(const struct kpi_field *field)
{
    return field->kind == KPI_FIELD_NUMBER || field->kind == KPI_FIELD_BOOL;
}

static bool holds(struct kpi_engine *engine, uint32_t condition, const struct applying *applying)
{
    const int64_t *row =
        applying->user == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, applying->user);

    return condition == KPI_NO_INDEX ||
           kpi_condition_holds(engine->plan, condition, applying->event, row, kpi_engine_string,
                               engine);
}

static bool wants_campaign(const struct kpi_engine *engine, const struct kpi_instance *instance)
{
    if (instance->dimensions < KPI_DIMENSIONS_SETS)
        return instance->dimensions == KPI_DIMENSIONS_CAMPAIGN;
    return !engine->program->sets[instance->dimensions - KPI_DIMENSIONS_SETS].total;
}

/* What of the instance's needs an event may lack: then it does not feed it. */
static bool feeds(const struct kpi_engine *engine, const struct kpi_instance *instance,
                  const struct kpi_event *event)
{
    if (wants_campaign(engine, instance) && event->fields[0].kind != KPI_FIELD_STRING)
        return false;
    return !kpi_aggregate_has_field(instance->aggregate) ||
           field_is_number(&event->fields[instance->field]);
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

/* False if the zone's table does not reach the event's time. */
static bool match_actions(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_dispatch *dispatch = applying->dispatch;

    for (uint32_t i = 0; i < dispatch->n_actions; i++) {
        const struct kpi_action *action = &dispatch->actions[i];
        const struct kpi_instance *instance = &engine->program->instances[action->instance];
        struct kpi_zone_state *zone = &engine->zones[instance->zone];
        struct kpi_match *match = &engine->matches[applying->n_matches];

        if (!feeds(engine, instance, applying->event) ||
            !holds(engine, action->condition, applying))
            continue;
        if (!kpi_zone_state_find(zone, applying->event->time))
            return false;
        *match = (struct kpi_match){
            action->instance, window_of(instance, zone, applying->event->time), zone->start, false};
        if (instance->aggregate == KPI_AGGREGATE_LATEST)
            match->yes = holds(engine, instance->answer, applying);
        applying->n_matches++;
        applying->needs_user |= instance->aggregate == KPI_AGGREGATE_LEVEL ||
                                instance->aggregate == KPI_AGGREGATE_LATEST ||
                                instance->aggregate == KPI_AGGREGATE_SCORES;
        applying->needs_tuple |= wants_campaign(engine, instance);
        applying->late |= zone->end <= engine->newest_record - KPI_FREEZE_AFTER;
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

/* Attributes are facts about users: an event without one, as spend is, updates none. */
static void match_updates(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_dispatch *dispatch = applying->dispatch;

    if (!(applying->event->flags & KPI_EVENT_HAS_USER))
        return;
    for (uint32_t i = 0; i < dispatch->n_updates; i++) {
        const struct kpi_action *action = &dispatch->updates[i];

        if (updates(engine, action, applying->event) && holds(engine, action->condition, applying))
            engine->updates[applying->n_updates++] = action;
    }
    applying->needs_user |= applying->n_updates > 0;
}

static enum kpi_refusal judge(struct kpi_engine *engine, struct applying *applying)
{
    const struct kpi_event *event = applying->event;

    if (event->time > event->record_time + engine->program->future_skew_max)
        return KPI_REFUSAL_FUTURE;
    if (event->time < engine->newest_record - engine->program->keep)
        return KPI_REFUSAL_EXPIRED;
    if (!match_actions(engine, applying))
        return event->time > engine->newest_record ? KPI_REFUSAL_FUTURE : KPI_REFUSAL_EXPIRED;
    match_updates(engine, applying);
    if (!applying->needs_user)
        return KPI_REFUSAL_NONE;
    if (!(event->flags & KPI_EVENT_HAS_USER))
        return KPI_REFUSAL_USER_MISSING;
    if (applying->user == KPI_USER_NONE && engine->users.n >= engine->program->users_max)
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
        cell->pack->dirty = true;
        cell->version = series->version = engine->version;
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

static int feed_latest(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct applying *applying)
{
    uint64_t time = (uint64_t)(applying->event->time - match->day_start);
    struct kpi_series *series;
    struct kpi_cell *cell;
    bool changed;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    cell->pack->dirty = true;
    cell->version = series->version = engine->version;
    r = kpi_latest_put(&cell->latest, &engine->mem, applying->user, time << 1 | match->yes,
                       &changed);
    if (r < 0 || !changed)
        return r;
    cell->dirty = true;
    return kpi_unions_late(engine, match->instance, tuple, match->window, applying->user, false);
}

static int feed_scores(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct applying *applying)
{
    uint32_t field = engine->program->instances[match->instance].field;
    uint64_t time = (uint64_t)(applying->event->time - match->day_start);
    struct kpi_series *series;
    struct kpi_cell *cell;
    bool changed;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    cell->pack->dirty = true;
    cell->version = series->version = engine->version;
    r = kpi_latest_put_number(&cell->latest, &engine->mem, applying->user, time << 1,
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
    cell->dirty = cell->pack->dirty = true;
    cell->version = series->version = engine->version;
    return kpi_quantiles_put(&cell->quantiles.sketch, &engine->mem, number);
}

static int feed_scalar(struct kpi_engine *engine, const struct kpi_match *match, uint32_t tuple,
                       const struct kpi_event *event)
{
    const struct kpi_instance *instance = &engine->program->instances[match->instance];
    struct kpi_series *series;
    struct kpi_cell *cell;
    int r;

    r = kpi_cell_get(engine, match->instance, tuple, match->window, &series, &cell);
    if (r < 0)
        return r;
    cell->n_events++;
    if (instance->aggregate == KPI_AGGREGATE_SUM) {
        cell->sum += event->fields[instance->field].number;
    } else if (instance->aggregate == KPI_AGGREGATE_GAUGE) {
        __int128 gauge = kpi_gauge_pack(event->time, event->fields[instance->field].number);

        if (gauge > cell->sum)
            cell->sum = gauge;
    }
    cell->pack->dirty = true;
    cell->version = series->version = engine->version;
    return 0;
}

/* The tuple of the event in the cells of an instance. Returns 0 or -ENOMEM. */
static int tuple_of(struct kpi_engine *engine, struct applying *applying,
                    const struct kpi_instance *instance, uint32_t *ret_tuple)
{
    const int64_t *row;

    if (instance->dimensions < KPI_DIMENSIONS_SETS) {
        *ret_tuple = instance->dimensions == KPI_DIMENSIONS_CAMPAIGN ? applying->campaign
                                                                     : KPI_DICTIONARY_NONE;
        return 0;
    }
    row = applying->user == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, applying->user);
    return kpi_tuple_get(engine, instance->dimensions - KPI_DIMENSIONS_SETS, applying->campaign,
                         applying->event, row, &applying->other, ret_tuple);
}

static int feed(struct kpi_engine *engine, struct applying *applying)
{
    engine->version++;
    kpi_tuples_turn(&engine->tuples);
    for (uint32_t i = 0; i < applying->n_matches; i++) {
        const struct kpi_match *match = &engine->matches[i];
        const struct kpi_instance *instance = &engine->program->instances[match->instance];
        uint32_t tuple;
        int r = tuple_of(engine, applying, instance, &tuple);

        if (r < 0)
            return r;
        if (instance->aggregate == KPI_AGGREGATE_LEVEL)
            r = feed_levels(engine, match, tuple, applying->user);
        else if (instance->aggregate == KPI_AGGREGATE_LATEST)
            r = feed_latest(engine, match, tuple, applying);
        else if (instance->aggregate == KPI_AGGREGATE_SCORES)
            r = feed_scores(engine, match, tuple, applying);
        else if (instance->aggregate == KPI_AGGREGATE_QUANTILES)
            r = feed_quantiles(engine, match, tuple, applying->event);
        else
            r = feed_scalar(engine, match, tuple, applying->event);
        if (r < 0)
            return r;
    }
    return 0;
}

static int update_row(struct kpi_engine *engine, const struct applying *applying)
{
    int64_t *row = kpi_slots_row(&engine->slots, applying->user);

    for (uint32_t i = 0; i < applying->n_updates; i++) {
        const struct kpi_action *action = engine->updates[i];
        const struct kpi_attribute *attribute = &engine->program->attributes[action->instance];
        int r = 0;

        if (attribute->kind == KPI_ATTRIBUTE_EXPERIMENT) {
            kpi_experiment_update(&engine->program->experiments[attribute->field], action->part,
                                  applying->event, row + attribute->slot);
            engine->version++; /* answers are made of it */
        } else {
            r = kpi_attribute_update(engine, attribute, applying->event, row);
        }
        if (r < 0)
            return r;
    }
    if (applying->n_updates)
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

    r = kpi_dedupe_add(&engine->dedupe, event->id, event->content, event->time, place);
    if (r == 0)
        r = enter_user(engine, applying);
    if (r == 0 && applying->needs_tuple) {
        struct kpi_string value = {event->fields[0].string, event->fields[0].length};

        r = kpi_dictionary_intern(&engine->values, value, event->fields[0].hash,
                                  engine->program->values_max, &applying->campaign);
        applying->other = applying->campaign == KPI_DICTIONARY_OTHER;
    }
    if (r == 0 && applying->n_matches)
        r = feed(engine, applying);
    if (r == 0)
        r = update_row(engine, applying);
    engine->n_applied++;
    engine->n_other += applying->other;
    engine->n_without_id += !(event->flags & KPI_EVENT_HAS_ID);
    engine->n_late += applying->late;
    if (event->time > engine->newest_event)
        engine->newest_event = event->time;
    return r;
}

static int apply_one(struct kpi_engine *engine, struct kpi_event *event, uint32_t user)
{
    struct applying applying = {.event = event, .user = user};
    struct kpi_dedupe_place place;
    enum kpi_dedupe_answer answer;
    int r;

    /* Refused or not, an event has brought the log's time on. */
    if (event->record_time > engine->newest_record)
        engine->newest_record = event->record_time;
    r = kpi_dedupe_advance(&engine->dedupe, engine->newest_record);
    if (r < 0)
        return r;
    /* The user may have come with an earlier event of this very group. */
    if (user == KPI_USER_NONE && event->flags & KPI_EVENT_HAS_USER)
        applying.user = kpi_users_find(&engine->users, event->user);
    applying.dispatch = kpi_program_dispatch(engine->plan, &event->type);
    event->refusal = judge(engine, &applying);
    if (event->refusal != KPI_REFUSAL_NONE) {
        event->outcome = KPI_OUTCOME_REFUSED;
        engine->n_refused++;
        return 0;
    }
    answer = kpi_dedupe_find(&engine->dedupe, event->id, event->content, event->time, &place);
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
    return commit(engine, &applying, &place);
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
    for (unsigned i = 0; i < batch->n_events; i++) {
        const int64_t *row;

        users[i] = KPI_USER_NONE;
        if (!(batch->events[i].flags & KPI_EVENT_HAS_USER))
            continue;
        users[i] = kpi_users_find(&engine->users, batch->events[i].user);
        row = users[i] == KPI_USER_NONE ? NULL : kpi_slots_row(&engine->slots, users[i]);
        if (row)
            __builtin_prefetch(row, 1);
    }
    for (unsigned i = 0; i < batch->n_events; i++) {
        r = apply_one(engine, &batch->events[i], users[i]);
        if (r < 0)
            return r;
    }
    r = kpi_dedupe_work(&engine->dedupe);
    return r < 0 ? r : kpi_engine_turn(engine);
}
