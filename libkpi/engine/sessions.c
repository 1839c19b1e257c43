/* Sessions, open and over: see sessions.h. */
#include "base/sort.h"
#include "engine/sessions.h"
#include "engine/state.h"

#include <assert.h>

/* --- rows --- */

bool kpi_session_get(const struct kpi_session *session, const int64_t *slots, uint32_t i,
                     struct kpi_session_open *ret_open)
{
    const int64_t *at = slots + (size_t)i * kpi_session_slots(session);

    if (i >= session->n_open || at[0] == KPI_TIME_NONE)
        return false;
    *ret_open = (struct kpi_session_open){at[0], at[1], (uint32_t)at[2], {0}};
    for (uint32_t k = 0; k < session->n_values; k++)
        ret_open->values[k] = (uint32_t)((uint64_t)at[2 + (1 + k) / 2] >> 32 * ((1 + k) % 2));
    return true;
}

static void open_put(const struct kpi_session *session, int64_t *slots, uint32_t i,
                     const struct kpi_session_open *open)
{
    int64_t *at = slots + (size_t)i * kpi_session_slots(session);

    at[0] = open->first;
    at[1] = open->last;
    at[2] = open->n_events;
    for (uint32_t k = 0; k < session->n_values; k++) {
        uint64_t value = open->values[k];

        if ((1 + k) % 2)
            at[2 + (1 + k) / 2] |= (int64_t)(value << 32);
        else
            at[2 + (1 + k) / 2] = (int64_t)value;
    }
}

static uint32_t open_count(const struct kpi_session *session, const int64_t *slots)
{
    uint32_t n = 0;

    while (n < session->n_open && slots[(size_t)n * kpi_session_slots(session)] != KPI_TIME_NONE)
        n++;
    return n;
}

/* Takes session i of n out. */
static void open_remove(const struct kpi_session *session, int64_t *slots, uint32_t i, uint32_t n)
{
    uint32_t size = kpi_session_slots(session);

    memmove(slots + (size_t)i * size, slots + (size_t)(i + 1) * size,
            (size_t)(n - i - 1) * size * sizeof(*slots));
    for (uint32_t k = 0; k < size; k++)
        slots[(size_t)(n - 1) * size + k] = KPI_TIME_NONE;
}

/* Enters a session where its time belongs among the n there are. */
static void open_insert(const struct kpi_session *session, int64_t *slots, uint32_t n,
                        const struct kpi_session_open *open)
{
    uint32_t size = kpi_session_slots(session), i = n;

    assert(n < session->n_open);
    while (i > 0 && slots[(size_t)(i - 1) * size] > open->first)
        i--;
    memmove(slots + (size_t)(i + 1) * size, slots + (size_t)i * size,
            (size_t)(n - i) * size * sizeof(*slots));
    open_put(session, slots, i, open);
}

static kpi_time due_of(const struct kpi_session *session, kpi_time last)
{
    return last + 2 * session->gap;
}

/* --- values --- */

struct kpi_string kpi_session_value(const struct kpi_engine *engine,
                                    const struct kpi_session_open *open, uint32_t value,
                                    uint64_t *ret_hash)
{
    const struct kpi_dictionary *dictionary = value == 0 ? &engine->values : &engine->strings;
    uint32_t id = open->values[value];

    *ret_hash = id == KPI_DICTIONARY_NONE ? 0 : dictionary->entries[id].hash;
    return id == KPI_DICTIONARY_NONE ? (struct kpi_string){0}
                                     : kpi_dictionary_string(dictionary, id);
}

static int values_take(struct kpi_engine *engine, const struct kpi_session *session,
                       const struct kpi_event *event, struct kpi_session_open *open)
{
    for (uint32_t i = 0; i < session->n_values; i++) {
        const struct kpi_field *field = &event->fields[session->fields[i]];
        int r;

        if (field->kind != KPI_FIELD_STRING)
            continue;
        r = kpi_dictionary_intern(i == 0 ? &engine->values : &engine->strings,
                                  (struct kpi_string){field->string, field->length}, field->hash,
                                  engine->program->values_max, &open->values[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Of two that stand for the same time: any, but for the lesser one, so that order does not matter.
 */
static uint32_t value_of_both(const struct kpi_engine *engine, const struct kpi_session_open *a,
                              const struct kpi_session_open *b, uint32_t value)
{
    uint64_t hash;
    struct kpi_string x = kpi_session_value(engine, a, value, &hash);
    struct kpi_string y = kpi_session_value(engine, b, value, &hash);
    size_t length = x.length < y.length ? x.length : y.length;
    int order;

    if (!x.data || !y.data)
        return x.data ? a->values[value] : b->values[value];
    order = length ? memcmp(x.data, y.data, length) : 0;
    if (order == 0)
        order = (x.length > y.length) - (x.length < y.length);
    return order <= 0 ? a->values[value] : b->values[value];
}

/* open += other; its values are those of the first event. */
static void open_add(const struct kpi_engine *engine, const struct kpi_session *session,
                     struct kpi_session_open *open, const struct kpi_session_open *other)
{
    if (other->first < open->first)
        memcpy(open->values, other->values, sizeof(open->values));
    for (uint32_t i = 0; other->first == open->first && i < session->n_values; i++)
        open->values[i] = value_of_both(engine, open, other, i);
    open->first = other->first < open->first ? other->first : open->first;
    open->last = other->last > open->last ? other->last : open->last;
    if (__builtin_add_overflow(open->n_events, other->n_events, &open->n_events))
        open->n_events = UINT32_MAX;
}

/* --- the heap --- */

static bool is_before(const struct kpi_sessions_due *a, const struct kpi_sessions_due *b)
{
    return a->due != b->due ? a->due < b->due : a->user < b->user;
}

static int heap_push(struct kpi_engine *engine, struct kpi_sessions_due entry)
{
    struct kpi_sessions *sessions = &engine->sessions;
    size_t i = sessions->n;

    if (sessions->n == sessions->n_max) {
        size_t n_max = sessions->n_max * 2 + 64;
        void *heap =
            kpi_mem_resize(&engine->mem, sessions->heap, sessions->n_max * sizeof(*sessions->heap),
                           n_max * sizeof(*sessions->heap));

        if (!heap)
            return -ENOMEM;
        sessions->heap = heap;
        sessions->n_max = n_max;
    }
    sessions->n++;
    while (i > 0 && is_before(&entry, &sessions->heap[(i - 1) / 2])) {
        sessions->heap[i] = sessions->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sessions->heap[i] = entry;
    return 0;
}

static struct kpi_sessions_due heap_pop(struct kpi_sessions *sessions)
{
    struct kpi_sessions_due top = sessions->heap[0], last = sessions->heap[--sessions->n];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < sessions->n) {
        if (child + 1 < sessions->n &&
            is_before(&sessions->heap[child + 1], &sessions->heap[child]))
            child++;
        if (!is_before(&sessions->heap[child], &last))
            break;
        sessions->heap[i] = sessions->heap[child];
        i = child;
    }
    if (sessions->n)
        sessions->heap[i] = last;
    return top;
}

void kpi_sessions_free(struct kpi_engine *engine)
{
    struct kpi_sessions *sessions = &engine->sessions;

    kpi_mem_free(&engine->mem, sessions->heap, sessions->n_max * sizeof(*sessions->heap));
    *sessions = (struct kpi_sessions){0};
}

/* --- sessions that are over --- */

/*
 * When a session counts on day n of its days: as it begins, and, if it counts on each of them, as
 * the day does. KPI_TIME_NONE: it has no such day.
 */
static kpi_time time_on_day(const struct kpi_engine *engine, const struct kpi_session *session,
                            const struct kpi_session_open *open, int32_t n)
{
    const struct kpi_zone *zone = kpi_plan_zone(engine->plan, 0);
    kpi_day first, last;

    if (n == 1)
        return open->first;
    if (session->midnight != KPI_MIDNIGHT_COUNT_BOTH)
        return KPI_TIME_NONE;
    first = kpi_zone_day(zone, open->first);
    last = kpi_zone_day(zone, open->last);
    if (first == INT32_MIN || last == INT32_MIN || n > last - first + 1)
        return KPI_TIME_NONE;
    return kpi_zone_day_start(zone, first + n - 1);
}

/* One may begin before what is kept, and go on: it is forgotten as a whole. */
static bool is_forgotten(const struct kpi_engine *engine, const struct kpi_session_open *open)
{
    return open->first < engine->newest_record - engine->program->keep;
}

/* Feeds a session as the event that it is, on each day that it counts on. */
static int feed_over(struct kpi_engine *engine, const struct kpi_session *session, uint32_t user,
                     const struct kpi_session_open *open)
{
    struct kpi_field *fields = engine->session_fields;
    kpi_duration length = open->last - open->first;
    const struct kpi_dispatch *dispatch;
    int r = 0;
    struct kpi_event event = {
        .time = open->first,
        .record_time = engine->newest_record,
        .user = kpi_users_hash(&engine->users, user),
        .flags = KPI_EVENT_HAS_USER,
        .fields = fields,
    };

    if (session->type == KPI_NO_INDEX || is_forgotten(engine, open))
        return 0;
    dispatch = &engine->program->types[session->type];
    event.type = (struct kpi_field){.string = dispatch->type.data,
                                    .hash = dispatch->hash,
                                    .length = (uint32_t)dispatch->type.length,
                                    .kind = KPI_FIELD_STRING};
    memset(fields, 0, kpi_plan_n_fields(engine->plan) * sizeof(*fields));
    for (uint32_t i = 0; i < session->n_values; i++) {
        struct kpi_field *field = &fields[session->fields[i]];
        struct kpi_string string = kpi_session_value(engine, open, i, &field->hash);

        if (open->values[i] == KPI_DICTIONARY_NONE)
            continue;
        field->kind = KPI_FIELD_STRING;
        field->string = string.data;
        field->length = (uint32_t)string.length;
    }
    if (session->max && length > session->max)
        length = session->max;
    /* Seconds in 10^-6 are microseconds. */
    fields[session->seconds] = (struct kpi_field){.number = length, .kind = KPI_FIELD_NUMBER};
    fields[session->events] =
        (struct kpi_field){.number = (int64_t)open->n_events * 1000000, .kind = KPI_FIELD_NUMBER};
    for (int32_t n = 1; r == 0; n++) {
        event.time = time_on_day(engine, session, open, n);
        if (event.time == KPI_TIME_NONE)
            break;
        fields[session->day] =
            (struct kpi_field){.number = (int64_t)n * 1000000, .kind = KPI_FIELD_NUMBER};
        r = kpi_engine_feed_session(engine, &event, dispatch, user, open->values[0]);
    }
    return r;
}

/* Feeds what is over of one kind; *next is when the first of those left will be, at the latest. */
static int close_over(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                      uint32_t user, kpi_time *next)
{
    const struct kpi_session *session = attribute->session;
    int64_t *slots = kpi_slots_row(&engine->slots, user) + attribute->slot;
    uint32_t n = open_count(session, slots);
    struct kpi_session_open open;

    for (uint32_t i = 0; i < n && kpi_session_get(session, slots, i, &open);) {
        kpi_time due = due_of(session, open.last);
        int r;

        if (due > engine->newest_record) {
            *next = due < *next ? due : *next;
            i++;
            continue;
        }
        open_remove(session, slots, i, n--);
        kpi_slots_mark(&engine->slots, user);
        r = feed_over(engine, session, user, &open);
        if (r < 0)
            return r;
    }
    return 0;
}

static int close_user(struct kpi_engine *engine, uint32_t user)
{
    kpi_time next = INT64_MAX;

    for (uint32_t i = 0; i < engine->program->n_attributes; i++) {
        const struct kpi_attribute *attribute = &engine->program->attributes[i];
        int r;

        if (attribute->kind != KPI_ATTRIBUTE_SESSION)
            continue;
        r = close_over(engine, attribute, user, &next);
        if (r < 0)
            return r;
    }
    return next == INT64_MAX ? 0 : heap_push(engine, (struct kpi_sessions_due){next, user});
}

int kpi_sessions_turn(struct kpi_engine *engine)
{
    struct kpi_sessions *sessions = &engine->sessions;
    struct kpi_sessions_due last = {KPI_TIME_NONE, 0};

    while (sessions->n && sessions->heap[0].due <= engine->newest_record) {
        struct kpi_sessions_due due = heap_pop(sessions);
        int r;

        /* A late session that was due before a user's others brought an entry of its own. */
        if (due.due == last.due && due.user == last.user)
            continue;
        last = due;
        r = close_user(engine, due.user);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- events --- */

/* Does an event at this time belong to an open session? */
static bool joins(const struct kpi_session *session, const struct kpi_session_open *open,
                  kpi_time time, const kpi_time day[2])
{
    return time >= open->first - session->gap && time <= open->last + session->gap &&
           open->first >= day[0] && open->first < day[1];
}

/* Where sessions are cut at midnight, the day of a time: [start, end). */
static void day_of(const struct kpi_engine *engine, const struct kpi_session *session,
                   kpi_time time, kpi_time ret_day[2])
{
    const struct kpi_zone *zone = kpi_plan_zone(engine->plan, 0);
    kpi_day day = session->midnight == KPI_MIDNIGHT_CUT ? kpi_zone_day(zone, time) : INT32_MIN;

    ret_day[0] = day == INT32_MIN ? INT64_MIN : kpi_zone_day_start(zone, day);
    ret_day[1] = day == INT32_MIN ? INT64_MAX : kpi_zone_day_start(zone, day + 1);
}

int kpi_sessions_put(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                     const struct kpi_event *event, uint32_t user, bool *late)
{
    const struct kpi_session *session = attribute->session;
    int64_t *slots = kpi_slots_row(&engine->slots, user) + attribute->slot;
    struct kpi_session_open taken = {event->time, event->time, 1, {0}}, open;
    uint32_t n = open_count(session, slots);
    kpi_time day[2], next = INT64_MAX;
    int r;

    r = values_take(engine, session, event, &taken);
    if (r < 0)
        return r;
    *late |= event->time + session->gap <= engine->newest_record;
    day_of(engine, session, event->time, day);
    for (uint32_t i = 0; i < n && kpi_session_get(session, slots, i, &open);) {
        kpi_time due = due_of(session, open.last);

        next = due < next ? due : next; /* somewhere in the heap it is, or what is before it */
        if (!joins(session, &open, event->time, day)) {
            i++;
            continue;
        }
        open_add(engine, session, &taken, &open);
        open_remove(session, slots, i, n--);
    }
    if (due_of(session, taken.last) <= engine->newest_record)
        return feed_over(engine, session, user, &taken);
    open_insert(session, slots, n, &taken);
    if (due_of(session, taken.last) >= next)
        return 0;
    return heap_push(engine, (struct kpi_sessions_due){due_of(session, taken.last), user});
}

/* --- what is open --- */

static bool feeds(const struct kpi_engine *engine, const struct kpi_session *session,
                  uint32_t instance)
{
    const struct kpi_dispatch *dispatch;

    if (session->type == KPI_NO_INDEX)
        return false;
    dispatch = &engine->program->types[session->type];
    for (uint32_t i = 0; i < dispatch->n_actions; i++)
        if (dispatch->actions[i].instance == instance)
            return true;
    return false;
}

static int user_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Users who may have open sessions, ascending; one may be there more than once. */
static void users_find(const struct kpi_engine *engine, struct kpi_buffer *users)
{
    for (size_t i = 0; i < engine->sessions.n; i++)
        kpi_buffer_u32(users, engine->sessions.heap[i].user);
    if (!users->failed)
        kpi_sort(users->data, users->size / sizeof(uint32_t), sizeof(uint32_t), user_order);
}

static void times_add(const struct kpi_engine *engine, const struct kpi_attribute *attribute,
                      uint32_t user, struct kpi_buffer *times)
{
    const int64_t *slots = kpi_slots_row(&engine->slots, user) + attribute->slot;
    struct kpi_session_open open;

    for (uint32_t i = 0; kpi_session_get(attribute->session, slots, i, &open); i++) {
        kpi_time time = open.first;

        if (is_forgotten(engine, &open))
            continue;
        for (int32_t n = 2; time != KPI_TIME_NONE; n++) {
            kpi_buffer_add(times, &time, sizeof(time));
            time = time_on_day(engine, attribute->session, &open, n);
        }
    }
}

int kpi_sessions_open(const struct kpi_engine *engine, uint32_t instance, struct kpi_buffer *times)
{
    const struct kpi_program *program = engine->program;
    struct kpi_buffer found = {.mem = times->mem};
    int r;

    for (uint32_t i = 0; i < program->n_attributes && !found.failed; i++) {
        const struct kpi_attribute *attribute = &program->attributes[i];
        const uint32_t *users;

        if (attribute->kind != KPI_ATTRIBUTE_SESSION ||
            !feeds(engine, attribute->session, instance))
            continue;
        if (found.size == 0)
            users_find(engine, &found);
        users = (const uint32_t *)found.data;
        for (size_t k = 0; k < found.size / sizeof(*users); k++)
            if (k == 0 || users[k] != users[k - 1])
                times_add(engine, attribute, users[k], times);
    }
    r = found.failed || times->failed ? -ENOMEM : 0;
    kpi_buffer_deinit(&found);
    return r;
}

/* --- loading --- */

static bool open_fits(const struct kpi_engine *engine, const struct kpi_session *session,
                      const struct kpi_session_open *open)
{
    /* Far from the ends of the range, so that arithmetic with it cannot overflow. */
    if (open->first < -(INT64_MAX / 8) || open->last > INT64_MAX / 8 || open->first > open->last ||
        !open->n_events)
        return false;
    for (uint32_t i = 0; i < session->n_values; i++)
        if (open->values[i] >= (i == 0 ? engine->values.n : engine->strings.n))
            return false;
    return true;
}

/* *next: when the first of them is over. */
static bool slots_fit(const struct kpi_engine *engine, const struct kpi_session *session,
                      const int64_t *slots, kpi_time *next)
{
    uint32_t n = open_count(session, slots), size = kpi_session_slots(session);
    struct kpi_session_open open;
    kpi_time before = INT64_MIN;

    for (uint32_t i = 0; i < n && kpi_session_get(session, slots, i, &open); i++) {
        kpi_time due;

        if (!open_fits(engine, session, &open) || open.first <= before)
            return false;
        before = open.last;
        due = due_of(session, open.last);
        *next = due < *next ? due : *next;
    }
    for (uint32_t i = n * size; i < session->n_open * size; i++)
        if (slots[i] != KPI_TIME_NONE)
            return false;
    return true;
}

int kpi_sessions_restart(struct kpi_engine *engine)
{
    const struct kpi_program *program = engine->program;
    bool any = false;

    engine->sessions.n = 0;
    for (uint32_t i = 0; i < program->n_attributes; i++)
        any |= program->attributes[i].kind == KPI_ATTRIBUTE_SESSION;
    for (uint32_t user = 0; any && user < engine->users.n; user++) {
        const int64_t *row = kpi_slots_row(&engine->slots, user);
        kpi_time next = INT64_MAX;
        int r = 0;

        for (uint32_t i = 0; row && i < program->n_attributes; i++)
            if (program->attributes[i].kind == KPI_ATTRIBUTE_SESSION &&
                !slots_fit(engine, program->attributes[i].session,
                           row + program->attributes[i].slot, &next))
                return KPI_SESSIONS_E_CORRUPT;
        if (next != INT64_MAX)
            r = heap_push(engine, (struct kpi_sessions_due){next, user});
        if (r < 0)
            return r;
    }
    return 0;
}
