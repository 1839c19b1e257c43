/*
 * The fields of an event. A value that its field may not hold does not end anything: only a message
 * that is valid to its end is refused for a field.
 */
#include "codec/event_take.h"

#include "codec/time_text.h"
#include "codec/value_text.h"

#define XXH_INLINE_ALL /* the texts are short: a call would cost as much as the hash */
#include <xxhash.h>

enum {
    USER_DIGITS_MAX = 19, /* of 2^63 - 1 */
    TEXT_SHORT = 16,      /* XXH3 has a way of its own for these */
};

/* The first instant of the year 10000. */
#define TIME_END ((kpi_time)253402300800 * KPI_SECOND)

/*
 * Most texts are short. The many registers that hashing longer ones takes are not their concern, so
 * that is apart, and is called last.
 */
static __attribute__((noinline)) void long_text_hash(struct kpi_string text, uint64_t *ret_hash)
{
    *ret_hash = XXH3_64bits(text.data, text.length);
}

static __attribute__((noinline)) void long_text_hash_keyed(struct kpi_string text,
                                                           const uint8_t *secret,
                                                           uint64_t *ret_hash)
{
    *ret_hash = XXH3_64bits_withSecret(text.data, text.length, secret, EVENT_KEY_BYTES);
}

static inline void text_hash(struct kpi_string text, uint64_t *ret_hash)
{
    if (text.length > TEXT_SHORT)
        long_text_hash(text, ret_hash);
    else
        *ret_hash = XXH3_64bits(text.data, text.length);
}

static inline void text_hash_keyed(struct kpi_string text, const uint8_t *secret,
                                   uint64_t *ret_hash)
{
    if (text.length > TEXT_SHORT)
        long_text_hash_keyed(text, secret, ret_hash);
    else
        *ret_hash = XXH3_64bits_withSecret(text.data, text.length, secret, EVENT_KEY_BYTES);
}

void event_take_refuse(struct event_take *take, enum kpi_refusal refusal, const uint8_t *at)
{
    if (take->refusal && at >= take->refused_at)
        return;
    take->refusal = refusal;
    take->refused_at = at;
}

/* Another currency matters only beside an amount, which may come later. No text: not a string. */
static void currency_doubt(struct event_take *take, struct kpi_string text, const uint8_t *at)
{
    if (take->currency_bad_at)
        return;
    take->currency_bad_at = at;
    take->foreign = text;
}

static inline void time_take(struct event_take *take, kpi_time time, const uint8_t *at)
{
    if (time <= 0 || time >= TIME_END) {
        event_take_refuse(take, KPI_REFUSAL_TIME, at);
        return;
    }
    take->event->time = time;
    take->has_time = true;
}

void event_take_time(struct event_take *take, kpi_time time, const uint8_t *at)
{
    time_take(take, time, at);
}

static void user_take(struct event_take *take, struct kpi_string user)
{
    take->event->flags |= KPI_EVENT_HAS_USER;
    text_hash_keyed(user, take->secret, &take->event->user);
    take->event->user += take->event->user == 0; /* which means nobody */
}

static inline void string_field_put(struct kpi_field *field, struct kpi_string string)
{
    field->string = string.data;
    field->length = (uint32_t)string.length;
    field->kind = KPI_FIELD_STRING;
    text_hash(string, &field->hash);
}

static inline void amount_take(struct event_take *take, const struct event_key *key,
                               const char *data, size_t length, unsigned allowed, const uint8_t *at)
{
    struct kpi_field *field = &take->event->fields[key->field];
    kpi_decimal amount;

    take->has_amount = true;
    if (value_text_parse_decimal(data, length, allowed, &amount) != 0 || amount < 0) {
        event_take_refuse(take, KPI_REFUSAL_AMOUNT, at);
        return;
    }
    take->amount = key->field;
    field->number = amount;
    field->kind = KPI_FIELD_NUMBER;
}

static bool string_fits(struct kpi_string string, size_t bytes_max, bool has_nul)
{
    return string.length > 0 && string.length <= bytes_max && !has_nul;
}

static void id_take(struct event_take *take, const struct event_key *key, struct kpi_string string,
                    bool has_nul, const uint8_t *at)
{
    if (!string_fits(string, EVENT_ID_BYTES_MAX, has_nul))
        event_take_refuse(take, KPI_REFUSAL_ID, at);
    take->id = string;
    take->has_id = true;
}

static void source_take(struct event_take *take, const struct event_key *key,
                        struct kpi_string string, bool has_nul, const uint8_t *at)
{
    if (!string_fits(string, EVENT_ID_BYTES_MAX, has_nul))
        event_take_refuse(take, KPI_REFUSAL_ID, at);
    take->source = string;
    take->has_source = true;
}

static void type_take(struct event_take *take, const struct event_key *key,
                      struct kpi_string string, bool has_nul, const uint8_t *at)
{
    if (!string_fits(string, EVENT_TYPE_BYTES_MAX, has_nul))
        event_take_refuse(take, KPI_REFUSAL_TYPE, at);
    take->has_type = true;
    string_field_put(&take->event->type, string);
}

__attribute__((flatten)) static void user_string_take(struct event_take *take,
                                                      const struct event_key *key,
                                                      struct kpi_string string, bool has_nul,
                                                      const uint8_t *at)
{
    if (!string_fits(string, EVENT_USER_BYTES_MAX, has_nul))
        event_take_refuse(take, KPI_REFUSAL_USER, at);
    user_take(take, string);
}

static void time_string_take(struct event_take *take, const struct event_key *key,
                             struct kpi_string string, bool has_nul, const uint8_t *at)
{
    kpi_time time;

    if (time_text_parse(string.data, string.length, &time) == 0)
        time_take(take, time, at);
    else
        event_take_refuse(take, KPI_REFUSAL_TIME, at);
}

static void currency_take(struct event_take *take, const struct event_key *key,
                          struct kpi_string string, bool has_nul, const uint8_t *at)
{
    if (!kpi_string_equal(string, take->currency))
        currency_doubt(take, string, at);
}

static void field_string_take(struct event_take *take, const struct event_key *key,
                              struct kpi_string string, bool has_nul, const uint8_t *at)
{
    if (has_nul)
        event_take_refuse(take, KPI_REFUSAL_FIELD, at);
    string_field_put(&take->event->fields[key->field], string);
}

static void amount_string_take(struct event_take *take, const struct event_key *key,
                               struct kpi_string string, bool has_nul, const uint8_t *at)
{
    amount_take(take, key, string.data, string.length, 0, at);
}

/* A number or bool of the plan. */
static void string_refuse(struct event_take *take, const struct event_key *key,
                          struct kpi_string string, bool has_nul, const uint8_t *at)
{
    event_take_refuse(take, KPI_REFUSAL_FIELD, at);
}

event_take_string_fn *const event_take_string_of_kind[EVENT_KEY_KINDS] = {
    [EVENT_KEY_OTHER] = string_refuse,       [EVENT_KEY_ID] = id_take,
    [EVENT_KEY_SOURCE] = source_take,        [EVENT_KEY_TYPE] = type_take,
    [EVENT_KEY_USER] = user_string_take,     [EVENT_KEY_TIME] = time_string_take,
    [EVENT_KEY_CURRENCY] = currency_take,    [EVENT_KEY_STRING] = field_string_take,
    [EVENT_KEY_NUMBER] = string_refuse,      [EVENT_KEY_BOOL] = string_refuse,
    [EVENT_KEY_AMOUNT] = amount_string_take, [EVENT_KEY_ANY] = field_string_take,
};

void event_take_misfit(struct event_take *take, const struct event_key *key, const uint8_t *at)
{
    switch (key->kind) {
    case EVENT_KEY_ID:
    case EVENT_KEY_SOURCE:
        event_take_refuse(take, KPI_REFUSAL_ID, at);
        break;
    case EVENT_KEY_TYPE:
        event_take_refuse(take, KPI_REFUSAL_TYPE, at);
        break;
    case EVENT_KEY_USER:
        event_take_refuse(take, KPI_REFUSAL_USER, at);
        break;
    case EVENT_KEY_TIME:
        event_take_refuse(take, KPI_REFUSAL_TIME, at);
        break;
    case EVENT_KEY_CURRENCY:
        currency_doubt(take, (struct kpi_string){0}, at);
        break;
    case EVENT_KEY_AMOUNT:
        take->has_amount = true;
        event_take_refuse(take, KPI_REFUSAL_AMOUNT, at);
        break;
    default:
        event_take_refuse(take, KPI_REFUSAL_FIELD, at);
        break;
    }
}

/*
 * A number that is written as a whole one without sign and is at most INT64_MAX. Its grammar has
 * been checked, so it has no leading zeros.
 */
static bool integer_get(const uint8_t *data, size_t length, int64_t *ret_value)
{
    uint64_t value = 0;

    if (length > USER_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (data[i] < '0' || data[i] > '9')
            return false;
        value = value * 10 + (data[i] - '0');
    }
    *ret_value = (int64_t)value;
    return value <= INT64_MAX;
}

static void number_take(struct event_take *take, const struct event_key *key, const uint8_t *at,
                        size_t length)
{
    const char *data = (const char *)at;
    struct kpi_field *field;
    int64_t integer;

    switch (key->kind) {
    case EVENT_KEY_USER:
        if (integer_get(at, length, &integer))
            user_take(take, (struct kpi_string){data, length});
        else
            event_take_refuse(take, KPI_REFUSAL_USER, at);
        break;
    case EVENT_KEY_TIME:
        if (integer_get(at, length, &integer) && integer < TIME_END / KPI_MILLISECOND)
            time_take(take, integer * KPI_MILLISECOND, at);
        else
            event_take_refuse(take, KPI_REFUSAL_TIME, at);
        break;
    case EVENT_KEY_NUMBER:
    case EVENT_KEY_ANY:
        field = &take->event->fields[key->field];
        if (value_text_parse_decimal(data, length, VALUE_TEXT_EXPONENT | VALUE_TEXT_ZEROS_BEYOND_6,
                                     &field->number) != 0)
            event_take_refuse(take, KPI_REFUSAL_NUMBER, at);
        field->kind = KPI_FIELD_NUMBER;
        break;
    case EVENT_KEY_AMOUNT:
        amount_take(take, key, data, length, VALUE_TEXT_EXPONENT, at);
        break;
    default:
        event_take_misfit(take, key, at);
        break;
    }
}

static void bool_take(struct event_take *take, const struct event_key *key, bool value,
                      const uint8_t *at)
{
    struct kpi_field *field = &take->event->fields[key->field];

    if (key->kind != EVENT_KEY_BOOL && key->kind != EVENT_KEY_ANY) {
        event_take_misfit(take, key, at);
        return;
    }
    field->number = value;
    field->kind = KPI_FIELD_BOOL;
}

void event_take_other(struct event_take *take, const struct event_key *key, const uint8_t *at,
                      size_t length)
{
    switch (*at) {
    case 'n': /* null is as if the key were not there */
        break;
    case 't':
    case 'f':
        bool_take(take, key, *at == 't', at);
        break;
    case '{':
    case '[':
        event_take_misfit(take, key, at);
        break;
    default:
        number_take(take, key, at, length);
        break;
    }
}

/*
 * The hash that copies are known by, unless it is that of the id alone. The three kinds of bytes
 * that go into it cannot be taken for one another: neither id nor source holds a zero.
 */
static uint64_t made_id_hash(const struct event_take *take, const struct event_origin *origin)
{
    uint8_t bytes[EVENT_ID_BYTES_MAX + 1 + EVENT_ID_BYTES_MAX];
    size_t n_bytes = 0;

    if (take->has_id) {
        memcpy(bytes, take->source.data, take->source.length);
        n_bytes = take->source.length;
        bytes[n_bytes++] = 0;
        memcpy(bytes + n_bytes, take->id.data, take->id.length);
        n_bytes += take->id.length;
        return XXH3_64bits_withSecret(bytes, n_bytes, take->secret, EVENT_KEY_BYTES);
    }
    bytes[n_bytes++] = 0;
    for (unsigned shift = 0; shift < 64; shift += 8)
        bytes[n_bytes++] = (uint8_t)(origin->topic_hash >> shift);
    for (unsigned shift = 0; shift < 32; shift += 8)
        bytes[n_bytes++] = (uint8_t)((uint32_t)origin->partition >> shift);
    for (unsigned shift = 0; shift < 64; shift += 8)
        bytes[n_bytes++] = (uint8_t)((uint64_t)origin->offset >> shift);
    return XXH3_64bits_withSecret(bytes, n_bytes, take->secret, EVENT_KEY_BYTES);
}

/*
 * An amount in another currency, of an event that is right otherwise. Apart, as it is the
 * exception. The reason that comes first in the bytes is kept if there is no rate at all.
 */
static __attribute__((noinline)) enum kpi_refusal foreign_finish(struct event_take *take)
{
    kpi_decimal nothing = 0;
    kpi_decimal *amount = &take->event->fields[take->amount].number;

    if (mapping_convert(take->mappings, take->foreign, INT64_MAX, &nothing) != 0 &&
        (!take->refusal || take->currency_bad_at < take->refused_at))
        return KPI_REFUSAL_CURRENCY;
    if (take->refusal || !take->has_type || !take->has_time)
        return KPI_REFUSAL_NONE; /* that is told next */
    switch (mapping_convert(take->mappings, take->foreign, take->event->time, amount)) {
    case MAPPING_E_NO_RATE:
        return KPI_REFUSAL_CURRENCY;
    case MAPPING_E_RANGE:
        return KPI_REFUSAL_AMOUNT;
    default:
        return KPI_REFUSAL_NONE;
    }
}

enum kpi_refusal event_take_finish(struct event_take *take, const char *bytes, size_t size,
                                   const struct event_origin *origin)
{
    struct kpi_event *event = take->event;
    uint64_t content;

    if (take->currency_bad_at && take->has_amount) {
        enum kpi_refusal refusal = foreign_finish(take);

        if (refusal)
            return refusal;
    }
    if (take->refusal)
        return take->refusal;
    if (!take->has_type)
        return KPI_REFUSAL_TYPE;
    if (!take->has_time)
        return KPI_REFUSAL_TIME;

    if (take->has_id)
        event->flags |= KPI_EVENT_HAS_ID;
    if (take->has_id && !take->has_source)
        text_hash_keyed(take->id, take->secret, &event->id);
    else
        event->id = made_id_hash(take, origin);
    event->record_time = origin->record_time == KPI_TIME_NONE ? event->time : origin->record_time;
    content = XXH3_64bits(bytes, size);
    event->content = (uint32_t)(content ^ content >> 32);
    return KPI_REFUSAL_NONE;
}
