/* Attributes: a row of numbers for each user, and how an event changes it. */
#include "engine/state.h"
#include "spec/calendar.h"

#include <xxhash.h>

void kpi_slots_init(struct kpi_slots *slots, const struct kpi_mem *mem, uint32_t n_slots)
{
    *slots = (struct kpi_slots){.mem = mem, .n_slots = n_slots};
}

static size_t rows_bytes(const struct kpi_slots *slots)
{
    return (size_t)KPI_SLOTS_CHUNK * slots->n_slots * sizeof(int64_t);
}

void kpi_slots_deinit(struct kpi_slots *slots)
{
    for (uint32_t i = 0; i < slots->n_chunks; i++) {
        kpi_mem_free(slots->mem, slots->chunks[i]->rows, rows_bytes(slots));
        kpi_mem_free(slots->mem, slots->chunks[i], sizeof(*slots->chunks[i]));
    }
    kpi_mem_free(slots->mem, slots->chunks, slots->n_chunks_max * sizeof(*slots->chunks));
    kpi_slots_init(slots, slots->mem, slots->n_slots);
}

static int chunk_add(struct kpi_slots *slots)
{
    struct kpi_slots_chunk *chunk;

    if (slots->n_chunks == slots->n_chunks_max) {
        uint32_t n_max = slots->n_chunks_max * 2 + 8;
        struct kpi_slots_chunk **chunks =
            kpi_mem_resize(slots->mem, slots->chunks, slots->n_chunks_max * sizeof(*chunks),
                           n_max * sizeof(*chunks));

        if (!chunks)
            return -ENOMEM;
        slots->chunks = chunks;
        slots->n_chunks_max = n_max;
    }
    chunk = kpi_mem_zalloc(slots->mem, sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    chunk->rows = kpi_mem_alloc(slots->mem, rows_bytes(slots));
    if (!chunk->rows) {
        kpi_mem_free(slots->mem, chunk, sizeof(*chunk));
        return -ENOMEM;
    }
    for (size_t i = 0; i < (size_t)KPI_SLOTS_CHUNK * slots->n_slots; i++)
        chunk->rows[i] = KPI_TIME_NONE;
    slots->chunks[slots->n_chunks++] = chunk;
    return 0;
}

int kpi_slots_reserve(struct kpi_slots *slots, uint32_t user)
{
    while (slots->n_slots && user / KPI_SLOTS_CHUNK >= slots->n_chunks) {
        int r = chunk_add(slots);

        if (r < 0)
            return r;
    }
    return 0;
}

void kpi_slots_mark(struct kpi_slots *slots, uint32_t user)
{
    struct kpi_slots_chunk *chunk = slots->chunks[user / KPI_SLOTS_CHUNK];
    uint32_t i = user % KPI_SLOTS_CHUNK;
    uint64_t bit = UINT64_C(1) << (i % 64);

    if (chunk->dirty[i / 64] & bit)
        return;
    chunk->dirty[i / 64] |= bit;
    chunk->n_dirty++;
    slots->n_dirty++;
}

struct kpi_attributes kpi_attributes_of(const struct kpi_program *program)
{
    return (struct kpi_attributes){program->attributes, program->n_attributes, program->n_slots};
}

bool kpi_attributes_same(const struct kpi_attributes *a, const struct kpi_attributes *b)
{
    bool same = a->n_attributes == b->n_attributes && a->n_slots == b->n_slots;

    for (uint32_t i = 0; same && i < a->n_attributes; i++)
        same = a->attributes[i].fingerprint == b->attributes[i].fingerprint &&
               a->attributes[i].n_slots == b->attributes[i].n_slots &&
               a->attributes[i].slot == b->attributes[i].slot;
    return same;
}

static void row_convert(const struct kpi_attributes *from, const int64_t *old,
                        const struct kpi_attributes *to, int64_t *row)
{
    for (uint32_t i = 0; i < to->n_attributes; i++)
        for (uint32_t k = 0; k < from->n_attributes; k++)
            if (from->attributes[k].fingerprint == to->attributes[i].fingerprint &&
                from->attributes[k].n_slots == to->attributes[i].n_slots)
                memcpy(row + to->attributes[i].slot, old + from->attributes[k].slot,
                       to->attributes[i].n_slots * sizeof(int64_t));
}

int kpi_slots_convert(const struct kpi_slots *from_slots, const struct kpi_attributes *from,
                      struct kpi_slots *to_slots, const struct kpi_attributes *to, uint32_t n_users)
{
    for (uint32_t user = 0; user < n_users && to->n_slots; user++) {
        const int64_t *old = kpi_slots_row(from_slots, user);
        int r = kpi_slots_reserve(to_slots, user);

        if (r < 0)
            return r;
        if (old)
            row_convert(from, old, to, kpi_slots_row(to_slots, user));
        kpi_slots_mark(to_slots, user);
    }
    return 0;
}

struct kpi_string kpi_engine_string(void *userdata, int64_t id)
{
    struct kpi_engine *engine = userdata;

    if (id < KPI_DICTIONARY_FIRST - 1 || id >= engine->strings.n)
        return (struct kpi_string){"", 0};
    return kpi_dictionary_string(&engine->strings, (uint32_t)id);
}

static bool string_greater(struct kpi_string a, struct kpi_string b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int order = length ? memcmp(a.data, b.data, length) : 0;

    return order ? order > 0 : a.length > b.length;
}

/* Is a value of FIRST, LAST or SET greater than another one? */
static bool value_greater(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                          int64_t a, int64_t b)
{
    if (!attribute->is_string)
        return a > b;
    return string_greater(kpi_engine_string(engine, a), kpi_engine_string(engine, b));
}

/*
 * FIRST and LAST: slots are time and value. At equal times the less and the greater value wins, so
 * that the order of arrival does not matter.
 */
static int update_end(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                      const struct kpi_event *event, int64_t *slots, bool fresh)
{
    const struct kpi_field *field = &event->fields[attribute->field];
    bool first = attribute->kind == KPI_ATTRIBUTE_FIRST;
    int64_t value = field->number;

    if (!fresh && (first ? event->time > slots[0] : event->time < slots[0]))
        return 0;
    if (attribute->is_string) {
        struct kpi_string string = {field->string, field->length};
        uint32_t id;
        int r = kpi_dictionary_intern(&engine->strings, string, field->hash,
                                      engine->program->values_max, &id);

        if (r < 0)
            return r;
        value = id;
    }
    if (fresh || event->time != slots[0] ||
        (first ? value_greater(engine, attribute, slots[1], value)
               : value_greater(engine, attribute, value, slots[1]))) {
        slots[0] = event->time;
        slots[1] = value;
    }
    return 0;
}

/* Of SET: does one come before another one? At equal times the greater value does. */
static bool set_precedes(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                         const int64_t a[2], const int64_t b[2])
{
    return a[0] != b[0] ? a[0] > b[0] : value_greater(engine, attribute, a[1], b[1]);
}

/*
 * Each value has the highest time of its events, and those of the highest times stay: one that was
 * pushed out and comes again, with a time below, would be the last once more. So what stays does
 * not depend on the order of arrival.
 */
static int update_set(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                      const struct kpi_event *event, int64_t *slots)
{
    const struct kpi_field *field = &event->fields[attribute->field];
    struct kpi_string string = {field->string, field->length};
    uint32_t last = attribute->n_slots / 2 - 1, at = 0, id;
    int64_t entry[2] = {event->time};
    int r = kpi_dictionary_intern(&engine->strings, string, field->hash,
                                  engine->program->values_max, &id);

    if (r < 0)
        return r;
    entry[1] = id;
    /* Where the value is, or else where nothing is, or the last one. */
    while (at < last && slots[2 * at] != KPI_TIME_NONE && slots[2 * at + 1] != id)
        at++;
    if (slots[2 * at] != KPI_TIME_NONE &&
        !set_precedes(engine, attribute, entry, slots + (size_t)2 * at))
        return 0;
    for (; at > 0 && set_precedes(engine, attribute, entry, slots + (size_t)2 * (at - 1)); at--)
        memcpy(slots + (size_t)2 * at, slots + (size_t)2 * (at - 1), sizeof(entry));
    memcpy(slots + (size_t)2 * at, entry, sizeof(entry));
    return 0;
}

uint32_t kpi_attribute_set(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                           const int64_t *row, kpi_time time, int64_t ret_ids[KPI_SET_VALUES_MAX])
{
    const int64_t *slots = row + attribute->slot;
    uint32_t n = 0;

    for (uint32_t i = 0; i < attribute->n_slots && slots[i] != KPI_TIME_NONE; i += 2) {
        uint32_t at = n;

        if (attribute->within && time - slots[i] > attribute->within)
            continue;
        for (; at > 0 && value_greater(engine, attribute, ret_ids[at - 1], slots[i + 1]); at--)
            ret_ids[at] = ret_ids[at - 1];
        ret_ids[at] = slots[i + 1];
        n++;
    }
    return n;
}

void kpi_sum_add(int64_t *slot, int64_t amount)
{
    if (*slot == KPI_TIME_NONE)
        *slot = 0;
    /* A sum that leaves 64 bits stays at the end that it has reached. */
    if (__builtin_add_overflow(*slot, amount, slot))
        *slot = amount > 0 ? INT64_MAX : INT64_MIN + 1;
}

/* MIN and MAX of a field; with `within` the time of the value stands before it. */
static void update_extreme(const struct kpi_attribute *attribute, const struct kpi_event *event,
                           int64_t *value, bool fresh)
{
    int64_t number = event->fields[attribute->field].number;
    bool better = attribute->kind == KPI_ATTRIBUTE_MIN ? number < *value : number > *value;
    /* Of equal values the later one lives longer. */
    bool later = attribute->within && number == *value && event->time > value[-1];

    if (!fresh && !better && !later)
        return;
    *value = number;
    if (attribute->within)
        value[-1] = event->time;
}

/* The period of the plan's default zone that a time lies in: [start, end). */
static void period_of(const struct kpi_engine *engine, enum kpi_reset reset, kpi_time time,
                      int64_t ret_period[2])
{
    const struct kpi_zone *zone = engine->zones[0].zone;
    kpi_day start = kpi_zone_day_clamped(zone, time), end;
    uint8_t week_start = engine->program->week_start;
    uint32_t day_of_month;
    int64_t year;

    switch (reset) {
    case KPI_RESET_WEEK:
        start = kpi_period_start(KPI_BASIS_WEEK, week_start, start);
        end = start + 7;
        break;
    case KPI_RESET_MONTH:
        start = kpi_period_start(KPI_BASIS_MONTH, week_start, start);
        end = kpi_period_next(KPI_BASIS_MONTH, start, 1);
        break;
    case KPI_RESET_YEAR:
        year = kpi_month_of(start, &day_of_month) / 12;
        start = kpi_month_start(year * 12);
        end = kpi_month_start((year + 1) * 12);
        break;
    default:
        end = start + 1;
        break;
    }
    ret_period[0] = kpi_zone_day_start(zone, start);
    ret_period[1] = kpi_zone_day_start(zone, end);
}

/* Begins the event's period if it is a later one; false if it is an earlier one, which is over. */
static bool period_turn(const struct kpi_engine *engine, const struct kpi_attribute *attribute,
                        kpi_time time, int64_t *slots)
{
    if (slots[0] != KPI_TIME_NONE && time < slots[1])
        return time >= slots[0];
    period_of(engine, attribute->reset, time, slots);
    for (uint32_t i = 2; i < attribute->n_slots; i++)
        slots[i] = KPI_TIME_NONE;
    return true;
}

int kpi_attribute_update(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                         const struct kpi_event *event, int64_t *row)
{
    int64_t *value = row + kpi_attribute_value_slot(attribute);
    bool fresh;

    if (attribute->reset && !period_turn(engine, attribute, event->time, row + attribute->slot))
        return 0;
    fresh = *value == KPI_TIME_NONE ||
            (attribute->within && !kpi_attribute_live(attribute, row, event->time));
    switch (attribute->kind) {
    case KPI_ATTRIBUTE_COUNT:
        kpi_sum_add(value, 1);
        break;
    case KPI_ATTRIBUTE_SUM:
        kpi_sum_add(value, event->fields[attribute->field].number);
        break;
    case KPI_ATTRIBUTE_MIN_TIME:
        if (fresh || event->time < *value)
            *value = event->time;
        break;
    case KPI_ATTRIBUTE_MAX_TIME:
        if (fresh || event->time > *value)
            *value = event->time;
        break;
    case KPI_ATTRIBUTE_FIRST:
    case KPI_ATTRIBUTE_LAST:
        return update_end(engine, attribute, event, value - 1, fresh);
    case KPI_ATTRIBUTE_SET:
        return update_set(engine, attribute, event, row + attribute->slot);
    case KPI_ATTRIBUTE_EXPERIMENT: /* by kpi_experiment_update() */
        break;
    case KPI_ATTRIBUTE_MIN:
    case KPI_ATTRIBUTE_MAX:
        update_extreme(attribute, event, value, fresh);
        break;
    case KPI_ATTRIBUTE_SESSION: /* has no value: see sessions.c */
        break;
    }
    return 0;
}
