/*
 * The decoder. It reads native events itself and leaves mapped ones to event_mapped.h: walks the
 * bytes, checks all of them and hands what is wanted to event_take.h.
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

#include "codec/event_glue.h"
#include "codec/event_keys.h"
#include "codec/event_mapped.h"
#include "codec/event_take.h"

#include <assert.h>
#include <stdlib.h>

enum {
    ARENA_BYTES = KPI_BATCH_MAX * EVENT_BYTES_MAX,
    FRAME_BYTES = 5, /* Confluent's: zero, and a schema's id */
};

struct event_decoder {
    uint32_t n_fields;
    struct kpi_string currency;
    uint64_t n_messages; /* and second attempts */
    uint64_t n_followed;
    size_t arena_used;
    uint8_t *copy; /* EVENT_BYTES_MAX + JSON_SCAN_PADDING */
    char *arena;   /* ARENA_BYTES; touched only by strings with escapes */
    uint8_t secret[EVENT_KEY_BYTES];
    struct mappings *mappings;     /* NULL: none */
    struct event_mapped *mapped;   /* NULL: all is in native form */
    const struct mapping *mapping; /* of the last message */
    struct event_keys keys;
    struct event_glue glue;
};

/* One message on its way through the decoder. */
struct message {
    struct event_decoder *decoder;
    const char *bytes;
    enum kpi_refusal problem; /* of syntax; ends the scan */
    struct event_take take;
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
    event_glue_init(&decoder->glue, decoder->secret);
    decoder->mappings = mappings_ref(options->mappings);
    if (event_mapped_new(&decoder->mapped, options) < 0) {
        event_decoder_free(decoder);
        return -ENOMEM;
    }
    *ret_decoder = decoder;
    return 0;
}

struct event_decoder *event_decoder_free(struct event_decoder *decoder)
{
    if (!decoder)
        return NULL;
    explicit_bzero(decoder->secret, sizeof(decoder->secret));
    (void)event_mapped_free(decoder->mapped);
    (void)mappings_unref(decoder->mappings);
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

uint64_t event_decoder_n_followed(const struct event_decoder *decoder)
{
    return decoder->n_followed;
}

bool event_decoder_wants_headers(const struct event_decoder *decoder, uint32_t topic)
{
    return decoder->mapped && event_mapped_wants_headers(decoder->mapped, topic);
}

const struct mapping *event_decoder_mapping(const struct event_decoder *decoder)
{
    return decoder->mapping;
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

/* A wanted value that is no string, at p. */
static const uint8_t *other_take(struct message *message, const struct event_key *key,
                                 const uint8_t *p)
{
    const uint8_t *end = json_scan_value(p, 1, EVENT_DEPTH_MAX, &message->problem);

    if (!end)
        return NULL;
    event_take_other(&message->take, key, p, (size_t)(end - p));
    return end;
}

/* A wanted string with escapes or characters beyond ASCII; p is its quote. */
static const uint8_t *odd_string_take(struct message *message, const struct event_key *key,
                                      const uint8_t *p)
{
    struct json_text text;
    const uint8_t *end = json_scan_string(p + 1, &text, &message->problem);

    if (end)
        event_take_string(&message->take, key, text_get(message, &text), text.has_nul, p);
    return end;
}

/* The value of a wanted key, at p; returns behind it, or NULL with message->problem. */
static inline const uint8_t *wanted_take(struct message *message, struct event_key *key,
                                         const uint8_t *p)
{
    struct kpi_string string;
    const uint8_t *end;

    event_take_key(&message->take, key, p);
    if (*p != '"')
        return other_take(message, key, p);
    end = json_skip_plain(p + 1);
    if (__builtin_expect(*end != '"', 0))
        return odd_string_take(message, key, p);
    string.data = message->bytes + (p + 1 - message->decoder->copy);
    string.length = (size_t)(end - p - 1);
    event_take_string(&message->take, key, string, false, p);
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
        p = key->kind == EVENT_KEY_OTHER ? unwanted_skip(message, p) : wanted_take(message, key, p);
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

/* A string that is not plain to its end, p behind its quote; returns at its closing quote. */
static const uint8_t *odd_text_follow(struct message *message, struct event_key *key,
                                      const uint8_t *p)
{
    struct json_text text;
    const uint8_t *end = json_scan_string(p, &text, &message->problem);

    if (!end)
        return NULL;
    if (key) {
        event_take_key(&message->take, key, p - 1);
        event_take_string(&message->take, key, text_get(message, &text), text.has_nul, p - 1);
    }
    return end - 1;
}

/* A number or literal at p; returns behind it. */
static inline const uint8_t *bare_follow(struct message *message, struct event_key *key,
                                         const uint8_t *p)
{
    const uint8_t *end = json_scan_bare(p, &message->problem);

    if (end && key) {
        event_take_key(&message->take, key, p);
        event_take_other(&message->take, key, p, (size_t)(end - p));
    }
    return end;
}

/* A string's content at p; returns at its closing quote. */
static inline const uint8_t *text_follow(struct message *message, struct event_key *key,
                                         const uint8_t *p, uintptr_t shift)
{
    const uint8_t *end = json_skip_plain(p);

    if (__builtin_expect(*end != '"', 0))
        return odd_text_follow(message, key, p);
    if (key) {
        struct kpi_string string = {(const char *)((uintptr_t)p + shift), (size_t)(end - p)};

        event_take_key(&message->take, key, p - 1);
        event_take_string(&message->take, key, string, false, p - 1);
    }
    return end;
}

/*
 * Follows the learned glue through the message. False if it leads nowhere: then what was taken is
 * void, and the message is for the scanner. The quotes of strings belong to the glue.
 *
 * Not inlined: the loop needs all registers for itself.
 */
__attribute__((noinline)) static bool glue_follow(struct message *message,
                                                  struct event_glue_state *state,
                                                  const uint8_t *end)
{
    const uint8_t *p = message->decoder->copy;
    uintptr_t shift = (uintptr_t)message->bytes - (uintptr_t)p; /* to the caller's bytes */

    while (p) {
        const struct event_glue_edge *edge = event_glue_next(state, p, end);

        if (!edge || edge->kind == EVENT_GLUE_END)
            return edge != NULL;
        p += edge->length;
        state = edge->to;
        p = edge->kind == EVENT_GLUE_TEXT ? text_follow(message, edge->key, p, shift)
                                          : bare_follow(message, edge->key, p);
    }
    return false;
}

/* Anything but an object at the top: is it at least JSON? */
static enum kpi_refusal other_refuse(struct message *message, const uint8_t *p, const uint8_t *end)
{
    p = json_scan_value(p, 0, EVENT_DEPTH_MAX, &message->problem);
    if (!p)
        return message->problem;
    return json_skip_space(p) == end ? KPI_REFUSAL_NOT_OBJECT : KPI_REFUSAL_JSON;
}

static void message_begin(struct message *message, struct event_decoder *decoder, const char *bytes,
                          struct kpi_event *event)
{
    message->decoder = decoder;
    message->bytes = bytes;
    message->problem = KPI_REFUSAL_NONE;
    message->take.event = event;
    message->take.secret = decoder->secret;
    message->take.currency = decoder->currency;
    message->take.mappings = decoder->mappings;
    message->take.message = ++decoder->n_messages;
    event_take_begin(&message->take);
    event->flags = 0;
    event->user = 0;
    memset(event->fields, 0, decoder->n_fields * sizeof(*event->fields));
}

/* Is the message up to its end one object in valid JSON? Takes what is wanted of it. */
static enum kpi_refusal message_scan(struct message *message, const uint8_t *end)
{
    const uint8_t *p = json_skip_space(message->decoder->copy);

    if (p == end)
        return KPI_REFUSAL_EMPTY;
    if (memcmp(p, "\xef\xbb\xbf", 3) == 0 && p == message->decoder->copy)
        return KPI_REFUSAL_UTF8;
    if (*p != '{')
        return other_refuse(message, p, end);
    p = members_scan(message, p + 1);
    if (!p)
        return message->problem;
    return json_skip_space(p) == end ? KPI_REFUSAL_NONE : KPI_REFUSAL_JSON;
}

static enum kpi_refusal native_decode(struct event_decoder *decoder, const char *bytes, size_t size,
                                      const struct event_origin *origin, struct kpi_event *event)
{
    struct message message;
    const uint8_t *end = decoder->copy + size;
    size_t arena_used = decoder->arena_used;
    struct event_glue_state *state;
    enum kpi_refusal refusal;

    if (size > EVENT_BYTES_MAX)
        return KPI_REFUSAL_TOO_LARGE;
    /* Fails only if a batch of 64 was exceeded without event_decoder_reset(). */
    assert(arena_used <= ARENA_BYTES - EVENT_BYTES_MAX);

    if (size > 0)
        memcpy(decoder->copy, bytes, size);
    json_pad(decoder->copy + size);
    message_begin(&message, decoder, bytes, event);
    state = event_glue_begin(&decoder->glue);
    if (state) {
        if (glue_follow(&message, state, end)) {
            event_glue_done(&decoder->glue);
            decoder->n_followed++;
            return event_take_finish(&message.take, bytes, size, origin);
        }
        event_glue_missed(&decoder->glue);
        decoder->arena_used = arena_used;
        message_begin(&message, decoder, bytes, event);
    }
    refusal = message_scan(&message, end);
    if (refusal)
        return refusal;
    refusal = event_take_finish(&message.take, bytes, size, origin);
    if (!refusal && state)
        event_glue_learn(&decoder->glue, &decoder->keys, message.take.message, decoder->copy, size);
    return refusal;
}

static enum kpi_refusal mapped_decode(struct event_decoder *decoder, struct event_program *program,
                                      const char *bytes, size_t size,
                                      const struct event_origin *origin, struct kpi_event *event)
{
    struct message message;
    struct event_mapped_message mapped = {
        .bytes = bytes,
        .size = size,
        .copy = decoder->copy,
        .arena = decoder->arena + decoder->arena_used,
    };
    enum kpi_refusal refusal;

    if (size > EVENT_BYTES_MAX)
        return KPI_REFUSAL_TOO_LARGE;
    /* As in native_decode(). */
    assert(decoder->arena_used <= ARENA_BYTES - EVENT_BYTES_MAX);

    if (size > 0)
        memcpy(decoder->copy, bytes, size);
    json_pad(decoder->copy + size);
    message_begin(&message, decoder, bytes, event);
    mapped.begin = json_skip_space(decoder->copy);
    if (*mapped.begin++ != '{')
        return message_scan(&message, decoder->copy + size); /* says what it is instead */
    refusal = event_mapped_decode(program, &mapped, &message.take, origin);
    decoder->arena_used += mapped.arena_used;
    decoder->mapping = mapped.mapping;
    return refusal;
}

/* What a Confluent frame may hold that is not JSON: KPI_REFUSAL_NONE if it is an object. */
static enum kpi_refusal frame_check(const char *bytes, size_t size)
{
    size_t i = 0;

    while (i < size && strchr(" \t\r\n", bytes[i]) && bytes[i])
        i++;
    if (i == size)
        return KPI_REFUSAL_EMPTY;
    return bytes[i] == '{' ? KPI_REFUSAL_NONE : KPI_REFUSAL_ENCODING;
}

/* What is framed or may be mapped: apart, so that native messages do not pay for it. */
static __attribute__((noinline)) enum kpi_refusal other_decode(struct event_decoder *decoder,
                                                               const char *bytes, size_t size,
                                                               const struct event_origin *origin,
                                                               struct kpi_event *event)
{
    struct event_program *program = NULL;
    enum kpi_refusal refusal = KPI_REFUSAL_NONE;

    decoder->mapping = NULL;
    if (size >= FRAME_BYTES && bytes[0] == 0) {
        bytes += FRAME_BYTES;
        size -= FRAME_BYTES;
        refusal = frame_check(bytes, size);
    }
    if (!refusal && decoder->mapped)
        refusal = event_mapped_choose(decoder->mapped, origin, &program);
    if (refusal)
        return refusal;
    return program ? mapped_decode(decoder, program, bytes, size, origin, event)
                   : native_decode(decoder, bytes, size, origin, event);
}

enum kpi_refusal event_decode(struct event_decoder *decoder, const char *bytes, size_t size,
                              const struct event_origin *origin, struct kpi_event *event)
{
    if (__builtin_expect(decoder->mapped || (size > 0 && bytes[0] == 0), 0))
        return other_decode(decoder, bytes, size, origin, event);
    return native_decode(decoder, bytes, size, origin, event);
}
