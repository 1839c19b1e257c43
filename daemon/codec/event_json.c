/*
 * The decoder of native events.
 *
 * A message is first copied into a buffer of ours that ends in zero bytes. That costs a few dozen
 * instructions and frees every loop behind it from asking where the message ends (json_scan.h);
 * strings are still borrowed from the caller's bytes, at the same distance from the beginning.
 *
 * Two kinds of refusal are told apart. What is not valid JSON ends the scan at once. What is valid
 * but not what the field may hold is noted, the first one in the order of the bytes, and scanning
 * goes on: only a message that is valid to its end is refused for a field.
 */
#include "codec/event_json.h"

#include "codec/event_keys.h"
#include "codec/time_text.h"
#include "codec/value_text.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL /* the texts are short: a call would cost as much as the hash */
#include <xxhash.h>

enum {
    ARENA_BYTES = KPI_BATCH_MAX * EVENT_BYTES_MAX,
    USER_DIGITS_MAX = 19, /* of 2^63 - 1 */
};

/* The first instant of the year 10000. */
#define TIME_END ((kpi_time)253402300800 * KPI_SECOND)

struct event_decoder {
    uint32_t n_fields;
    struct kpi_string currency;
    uint64_t n_messages;
    size_t arena_used;
    uint8_t *copy; /* EVENT_BYTES_MAX + JSON_SCAN_PADDING */
    char *arena;   /* ARENA_BYTES; touched only by strings with escapes */
    uint8_t secret[EVENT_KEY_BYTES];
    struct event_keys keys;
};

/* One message on its way through the decoder. */
struct message {
    struct event_decoder *decoder;
    struct kpi_event *event;
    const char *bytes;
    const struct event_key *key; /* of the value that is being taken */
    enum kpi_refusal problem;    /* of syntax; ends the scan */
    enum kpi_refusal refusal;    /* the first of a field, or none */
    const uint8_t *refused_at;
    const uint8_t *currency_bad_at; /* NULL: none, or the base currency */
    bool has_amount;
    bool has_type;
    bool has_time;
    bool has_id;
    bool has_source;
    struct kpi_string id;
    struct kpi_string source;
};

int event_decoder_new(struct event_decoder **ret_decoder,
                      const struct event_decoder_options *options)
{
    struct event_decoder *decoder;
    char *currency;

    decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    decoder->copy = malloc(EVENT_BYTES_MAX + JSON_SCAN_PADDING);
    decoder->arena = malloc(ARENA_BYTES);
    currency = strdup(options->currency);
    decoder->currency = (struct kpi_string){currency, currency ? strlen(currency) : 0};
    if (!decoder->copy || !decoder->arena || !currency) {
        event_decoder_free(decoder);
        return -ENOMEM;
    }
    decoder->n_fields = kpi_plan_n_fields(options->plan);
    memcpy(decoder->secret, options->key, EVENT_KEY_BYTES);
    event_keys_init(&decoder->keys, options->plan, decoder->secret);
    *ret_decoder = decoder;
    return 0;
}

struct event_decoder *event_decoder_free(struct event_decoder *decoder)
{
    if (!decoder)
        return NULL;
    explicit_bzero(decoder->secret, sizeof(decoder->secret));
    free((char *)decoder->currency.data);
    free(decoder->arena);
    free(decoder->copy);
    free(decoder);
    return NULL;
}

void event_decoder_freep(struct event_decoder **decoder)
{
    *decoder = event_decoder_free(*decoder);
}

void event_decoder_reset(struct event_decoder *decoder)
{
    decoder->arena_used = 0;
}

static void refuse(struct message *message, enum kpi_refusal refusal, const uint8_t *at)
{
    if (message->refusal)
        return;
    message->refusal = refusal;
    message->refused_at = at;
}

/* Another currency is wrong only beside an amount, which may come later. */
static void currency_doubt(struct message *message, const uint8_t *at)
{
    if (!message->currency_bad_at)
        message->currency_bad_at = at;
}

static const uint8_t *fail(struct message *message, enum kpi_refusal problem)
{
    message->problem = problem;
    return NULL;
}

/* The content of a scanned string: borrowed from the caller's bytes, or unescaped into the arena.
 */
static struct kpi_string text_get(struct message *message, const struct json_text *text)
{
    struct event_decoder *decoder = message->decoder;
    char *to;
    size_t length;

    if (__builtin_expect(!text->escaped, 1))
        return (struct kpi_string){message->bytes + (text->data - decoder->copy), text->length};
    to = decoder->arena + decoder->arena_used;
    length = json_unescape(text, to);
    decoder->arena_used += length;
    return (struct kpi_string){to, length};
}

static void time_take(struct message *message, kpi_time time, const uint8_t *at)
{
    if (time <= 0 || time >= TIME_END) {
        refuse(message, KPI_REFUSAL_TIME, at);
        return;
    }
    message->event->time = time;
    message->has_time = true;
}

static void user_take(struct message *message, struct kpi_string user)
{
    message->event->user =
        XXH3_64bits_withSecret(user.data, user.length, message->decoder->secret, EVENT_KEY_BYTES);
    message->event->flags |= KPI_EVENT_HAS_USER;
}

static void string_field_put(struct kpi_field *field, struct kpi_string string)
{
    field->string = string.data;
    field->length = (uint32_t)string.length;
    field->hash = XXH3_64bits(string.data, string.length);
    field->kind = KPI_FIELD_STRING;
}

static void amount_take(struct message *message, const char *data, size_t length, unsigned allowed,
                        const uint8_t *at)
{
    struct kpi_field *field = &message->event->fields[message->key->field];
    kpi_decimal amount;

    message->has_amount = true;
    if (value_text_parse_decimal(data, length, allowed, &amount) != 0 || amount < 0) {
        refuse(message, KPI_REFUSAL_AMOUNT, at);
        return;
    }
    field->number = amount;
    field->kind = KPI_FIELD_NUMBER;
}

static bool string_fits(struct kpi_string string, size_t bytes_max, bool has_nul)
{
    return string.length > 0 && string.length <= bytes_max && !has_nul;
}

/* A wanted string; `at` is its opening quote. */
static inline __attribute__((always_inline)) void string_take(struct message *message,
                                                              struct kpi_string string,
                                                              bool has_nul, const uint8_t *at)
{
    struct kpi_event *event = message->event;
    kpi_time time;

    switch (message->key->kind) {
    case EVENT_KEY_ID:
        if (!string_fits(string, EVENT_ID_BYTES_MAX, has_nul))
            refuse(message, KPI_REFUSAL_ID, at);
        message->id = string;
        message->has_id = true;
        break;
    case EVENT_KEY_SOURCE:
        if (!string_fits(string, EVENT_ID_BYTES_MAX, has_nul))
            refuse(message, KPI_REFUSAL_ID, at);
        message->source = string;
        message->has_source = true;
        break;
    case EVENT_KEY_TYPE:
        if (!string_fits(string, EVENT_TYPE_BYTES_MAX, has_nul))
            refuse(message, KPI_REFUSAL_TYPE, at);
        string_field_put(&event->type, string);
        message->has_type = true;
        break;
    case EVENT_KEY_USER:
        if (!string_fits(string, EVENT_USER_BYTES_MAX, has_nul))
            refuse(message, KPI_REFUSAL_USER, at);
        user_take(message, string);
        break;
    case EVENT_KEY_TIME:
        if (time_text_parse(string.data, string.length, &time) == 0)
            time_take(message, time, at);
        else
            refuse(message, KPI_REFUSAL_TIME, at);
        break;
    case EVENT_KEY_CURRENCY:
        if (!kpi_string_equal(string, message->decoder->currency))
            currency_doubt(message, at);
        break;
    case EVENT_KEY_STRING:
    case EVENT_KEY_ANY:
        if (has_nul)
            refuse(message, KPI_REFUSAL_FIELD, at);
        string_field_put(&event->fields[message->key->field], string);
        break;
    case EVENT_KEY_AMOUNT:
        amount_take(message, string.data, string.length, 0, at);
        break;
    default: /* a number or bool of the plan */
        refuse(message, KPI_REFUSAL_FIELD, at);
        break;
    }
}

/* What a wanted key is refused as when its value is of a kind that it may not have. */
static void kind_refuse(struct message *message, const uint8_t *at)
{
    switch (message->key->kind) {
    case EVENT_KEY_ID:
    case EVENT_KEY_SOURCE:
        refuse(message, KPI_REFUSAL_ID, at);
        break;
    case EVENT_KEY_TYPE:
        refuse(message, KPI_REFUSAL_TYPE, at);
        break;
    case EVENT_KEY_USER:
        refuse(message, KPI_REFUSAL_USER, at);
        break;
    case EVENT_KEY_TIME:
        refuse(message, KPI_REFUSAL_TIME, at);
        break;
    case EVENT_KEY_CURRENCY:
        currency_doubt(message, at);
        break;
    case EVENT_KEY_AMOUNT:
        message->has_amount = true;
        refuse(message, KPI_REFUSAL_AMOUNT, at);
        break;
    default:
        refuse(message, KPI_REFUSAL_FIELD, at);
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

static void number_take(struct message *message, const uint8_t *at, size_t length)
{
    const char *data = (const char *)at;
    struct kpi_field *field;
    int64_t integer;

    switch (message->key->kind) {
    case EVENT_KEY_USER:
        if (integer_get(at, length, &integer))
            user_take(message, (struct kpi_string){data, length});
        else
            refuse(message, KPI_REFUSAL_USER, at);
        break;
    case EVENT_KEY_TIME:
        if (integer_get(at, length, &integer) && integer < TIME_END / KPI_MILLISECOND)
            time_take(message, integer * KPI_MILLISECOND, at);
        else
            refuse(message, KPI_REFUSAL_TIME, at);
        break;
    case EVENT_KEY_NUMBER:
    case EVENT_KEY_ANY:
        field = &message->event->fields[message->key->field];
        if (value_text_parse_decimal(data, length, VALUE_TEXT_EXPONENT | VALUE_TEXT_ZEROS_BEYOND_6,
                                     &field->number) != 0)
            refuse(message, KPI_REFUSAL_NUMBER, at);
        field->kind = KPI_FIELD_NUMBER;
        break;
    case EVENT_KEY_AMOUNT:
        amount_take(message, data, length, VALUE_TEXT_EXPONENT, at);
        break;
    default:
        kind_refuse(message, at);
        break;
    }
}

static void bool_take(struct message *message, bool value, const uint8_t *at)
{
    struct kpi_field *field = &message->event->fields[message->key->field];

    if (message->key->kind != EVENT_KEY_BOOL && message->key->kind != EVENT_KEY_ANY) {
        kind_refuse(message, at);
        return;
    }
    field->number = value;
    field->kind = KPI_FIELD_BOOL;
}

/* A wanted value that is no string, at p. */
static const uint8_t *other_take(struct message *message, const uint8_t *p)
{
    const uint8_t *end = json_scan_value(p, 1, EVENT_DEPTH_MAX, &message->problem);

    if (!end)
        return NULL;
    switch (*p) {
    case 'n': /* null is as if the key were not there */
        break;
    case 't':
    case 'f':
        bool_take(message, *p == 't', p);
        break;
    case '{':
    case '[':
        kind_refuse(message, p);
        break;
    default:
        number_take(message, p, (size_t)(end - p));
        break;
    }
    return end;
}

/* A wanted string with escapes or characters beyond ASCII; p is its quote. */
static const uint8_t *odd_string_take(struct message *message, const uint8_t *p)
{
    struct json_text text;
    const uint8_t *end = json_scan_string(p + 1, &text, &message->problem);

    if (end)
        string_take(message, text_get(message, &text), text.has_nul, p);
    return end;
}

/* The value of a wanted key, at p; returns behind it, or NULL with message->problem. */
static inline const uint8_t *wanted_take(struct message *message, const uint8_t *p)
{
    const uint8_t *end;

    if (*p != '"')
        return other_take(message, p);
    end = json_skip_plain(p + 1);
    if (__builtin_expect(*end != '"', 0))
        return odd_string_take(message, p);
    string_take(message,
                (struct kpi_string){message->bytes + (p + 1 - message->decoder->copy),
                                    (size_t)(end - p - 1)},
                false, p);
    return end + 1;
}

static inline const uint8_t *unwanted_skip(struct message *message, const uint8_t *p)
{
    if (*p == '"') {
        const uint8_t *end = json_skip_plain(p + 1);

        if (*end == '"')
            return end + 1;
    }
    return json_scan_value(p, 1, EVENT_DEPTH_MAX, &message->problem);
}

/* A key that was not foreseen, at p; returns the value behind its colon. */
static const uint8_t *key_scan(struct message *message, struct event_key *before, const uint8_t *p,
                               struct event_key **ret_key)
{
    struct event_decoder *decoder = message->decoder;
    size_t arena_used = decoder->arena_used;
    struct json_text text;
    struct kpi_string name;

    if (*p != '"')
        return fail(message, KPI_REFUSAL_JSON);
    p = json_scan_string(p + 1, &text, &message->problem);
    if (!p)
        return NULL;
    p = json_skip_space(p);
    if (*p != ':')
        return fail(message, KPI_REFUSAL_JSON);
    name = text_get(message, &text);
    *ret_key = event_keys_find(&decoder->keys, before, name.data, name.length);
    decoder->arena_used = arena_used;
    return json_skip_space(p + 1);
}

/* The members of the top-level object; p is behind its brace, the result behind the closing one. */
static const uint8_t *members_scan(struct message *message, const uint8_t *p)
{
    struct event_decoder *decoder = message->decoder;
    struct event_key *key = &decoder->keys.keys[0];

    p = json_skip_space(p);
    if (*p == '}')
        return p + 1;
    for (;;) {
        struct event_key *before = key;

        key = event_keys_predict(before, p);
        if (__builtin_expect(key != NULL, 1)) {
            p = json_skip_space(p + key->quoted_length);
        } else {
            const uint8_t *at = p;

            p = key_scan(message, before, at, &key);
            if (!p)
                return NULL;
        }
        if (key->kind == EVENT_KEY_OTHER) {
            p = unwanted_skip(message, p);
        } else {
            if (key->seen_in == decoder->n_messages)
                refuse(message, KPI_REFUSAL_DUPLICATE_KEY, p);
            key->seen_in = decoder->n_messages;
            message->key = key;
            p = wanted_take(message, p);
        }
        if (!p)
            return NULL;
        if (*p != ',') {
            p = json_skip_space(p);
            if (*p == '}')
                return p + 1;
            if (*p != ',')
                return fail(message, KPI_REFUSAL_JSON);
        }
        p = json_skip_space(p + 1);
    }
}

/*
 * The hash that copies are known by. The three kinds of bytes that go into it cannot be taken for
 * one another: neither id nor source holds a zero.
 */
static uint64_t id_hash(const struct message *message, const struct event_origin *origin)
{
    const uint8_t *secret = message->decoder->secret;
    uint8_t bytes[EVENT_ID_BYTES_MAX + 1 + EVENT_ID_BYTES_MAX];
    size_t n_bytes = 0;

    if (message->has_id && !message->has_source)
        return XXH3_64bits_withSecret(message->id.data, message->id.length, secret,
                                      EVENT_KEY_BYTES);
    if (message->has_id) {
        memcpy(bytes, message->source.data, message->source.length);
        n_bytes = message->source.length;
        bytes[n_bytes++] = 0;
        memcpy(bytes + n_bytes, message->id.data, message->id.length);
        n_bytes += message->id.length;
        return XXH3_64bits_withSecret(bytes, n_bytes, secret, EVENT_KEY_BYTES);
    }
    bytes[n_bytes++] = 0;
    for (unsigned shift = 0; shift < 64; shift += 8)
        bytes[n_bytes++] = (uint8_t)(origin->topic_hash >> shift);
    for (unsigned shift = 0; shift < 32; shift += 8)
        bytes[n_bytes++] = (uint8_t)((uint32_t)origin->partition >> shift);
    for (unsigned shift = 0; shift < 64; shift += 8)
        bytes[n_bytes++] = (uint8_t)((uint64_t)origin->offset >> shift);
    return XXH3_64bits_withSecret(bytes, n_bytes, secret, EVENT_KEY_BYTES);
}

/* The whole message is valid JSON: is it an event? */
static enum kpi_refusal message_finish(struct message *message, size_t size,
                                       const struct event_origin *origin)
{
    struct kpi_event *event = message->event;
    uint64_t content;

    if (message->currency_bad_at && message->has_amount &&
        (!message->refusal || message->currency_bad_at < message->refused_at))
        return KPI_REFUSAL_CURRENCY;
    if (message->refusal)
        return message->refusal;
    if (!message->has_type)
        return KPI_REFUSAL_TYPE;
    if (!message->has_time)
        return KPI_REFUSAL_TIME;

    if (message->has_id)
        event->flags |= KPI_EVENT_HAS_ID;
    event->id = id_hash(message, origin);
    event->record_time = origin->record_time == KPI_TIME_NONE ? event->time : origin->record_time;
    content = XXH3_64bits(message->bytes, size);
    event->content = (uint32_t)(content ^ content >> 32);
    return KPI_REFUSAL_NONE;
}

/* Anything but an object at the top: is it at least JSON? */
static enum kpi_refusal other_refuse(struct message *message, const uint8_t *p, const uint8_t *end)
{
    p = json_scan_value(p, 0, EVENT_DEPTH_MAX, &message->problem);
    if (!p)
        return message->problem;
    return json_skip_space(p) == end ? KPI_REFUSAL_NOT_OBJECT : KPI_REFUSAL_JSON;
}

enum kpi_refusal event_decode(struct event_decoder *decoder, const char *bytes, size_t size,
                              const struct event_origin *origin, struct kpi_event *event)
{
    struct message message = {.decoder = decoder, .event = event, .bytes = bytes};
    const uint8_t *p = decoder->copy, *end = p + size;

    if (size > EVENT_BYTES_MAX)
        return KPI_REFUSAL_TOO_LARGE;
    /* Fails only if a batch of 64 was exceeded without event_decoder_reset(). */
    assert(decoder->arena_used <= ARENA_BYTES - EVENT_BYTES_MAX);

    if (size > 0)
        memcpy(decoder->copy, bytes, size);
    memset(decoder->copy + size, 0, JSON_SCAN_PADDING);
    decoder->n_messages++;
    event->flags = 0;
    event->user = 0;
    memset(event->fields, 0, decoder->n_fields * sizeof(*event->fields));

    p = json_skip_space(p);
    if (p == end)
        return KPI_REFUSAL_EMPTY;
    if (memcmp(p, "\xef\xbb\xbf", 3) == 0 && p == decoder->copy)
        return KPI_REFUSAL_UTF8;
    if (*p != '{')
        return other_refuse(&message, p, end);
    p = members_scan(&message, p + 1);
    if (!p)
        return message.problem;
    if (json_skip_space(p) != end)
        return KPI_REFUSAL_JSON;
    return message_finish(&message, size, origin);
}
