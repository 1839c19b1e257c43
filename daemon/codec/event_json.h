/*
 * JSON to a kpi_event: one pass that checks that the whole message is one valid JSON object (RFC
 * 8259, UTF-8, depth <= 32, size <= 64 KiB) while it picks out the wanted fields. What follows is
 * about the native form, flat JSON; other forms are read as mappings say (mapping.h,
 * event_mapped.h), and their values are judged by the same rules.
 *
 * cJSON, used strictly, is its reference: tests/fuzz/fuzz_event.c looks for a message that the two
 * read differently.
 *
 * Keys are compared unescaped, with case. A duplicate of a *wanted* key (the envelope's id, source,
 * type, user, time, currency, and the plan's fields) is refused (duplicate_key); of any other key
 * it does not matter. null is as if the key were not there.
 *
 * A message whose parts between the values were learned from earlier ones is read by comparing with
 * those (event_glue.h); that changes what it costs and nothing else.
 *
 * Allocates nothing per event: strings with escapes are unescaped into the decoder's own buffer,
 * which lives until event_decoder_reset().
 */
#pragma once

#include <kpi/event.h>
#include <kpi/plan.h>

struct event_decoder;
struct mapping;
struct mappings;

enum {
    EVENT_BYTES_MAX = 64 * 1024,
    EVENT_DEPTH_MAX = 32,
    EVENT_ID_BYTES_MAX = 256,
    EVENT_USER_BYTES_MAX = 256,
    EVENT_TYPE_BYTES_MAX = 64,
    EVENT_KEY_BYTES = 192, /* the deployment's secret for user and event ids: an XXH3 secret */
};

struct event_decoder_options {
    const struct kpi_plan *plan; /* borrowed; must outlive the decoder */
    const uint8_t *key;          /* EVENT_KEY_BYTES of good randomness, copied */
    const char *currency;        /* base currency, e.g. "CNY"; copied */
    struct mappings *mappings;   /* NULL: the native form only; the decoder takes a reference */
    const char *const *topics;   /* what event_origin.topic counts; copied; may be none */
    uint32_t n_topics;
};

/* Returns 0 or -ENOMEM. */
int event_decoder_new(struct event_decoder **ret_decoder,
                      const struct event_decoder_options *options);
struct event_decoder *event_decoder_free(struct event_decoder *decoder);
void event_decoder_freep(struct event_decoder **decoder);

/*
 * Forgets the unescaped strings of the batch before. Call at least once every KPI_BATCH_MAX events:
 * the buffer is as large as so many of the largest messages.
 */
void event_decoder_reset(struct event_decoder *decoder);

/* How many messages were read by what was learned from others, without the full scanner. */
uint64_t event_decoder_n_followed(const struct event_decoder *decoder);

/* A header of a record. */
struct event_header {
    const char *name;
    const void *value; /* NULL: none */
    size_t size;
};

/* Where a message came from, for an event without id, its log time, and what decides its mapping.
 */
struct event_origin {
    uint64_t topic_hash; /* XXH3_64bits of the topic's name */
    int32_t partition;
    int64_t offset;
    kpi_time record_time; /* KPI_TIME_NONE: use the event's own time (replay) */
    uint32_t topic;       /* 1 + index in the decoder's topics; 0: none of them */
    uint32_t n_headers;
    const struct event_header *headers; /* borrowed; needed if event_decoder_wants_headers() */
};

/* Does a mapping of this topic (as in event_origin) read headers? */
bool event_decoder_wants_headers(const struct event_decoder *decoder, uint32_t topic);

/*
 * Decodes one message into event, whose `fields` the caller has set to kpi_plan_n_fields() entries.
 * Strings are borrowed from bytes or from the decoder. Returns KPI_REFUSAL_NONE or the reason; then
 * the event's content is unspecified. Never fails otherwise. Leaves outcome and refusal alone.
 *
 * Which reason: too_large, empty; else the first syntax error in the bytes (json, utf8, depth),
 * even if a field before it is bad; not_object; else the first bad member in the bytes; else a
 * missing type, else a missing time. Outside of strings any odd byte is `json`, but for a BOM at
 * the start.
 *
 * id, source: 1 to 256 bytes without NUL. event->id is XXH3_64bits_withSecret(…, key) over the id;
 * over source, a zero byte and the id if there is a source; and without an id over a zero byte and
 * the origin's topic_hash, partition and offset, little-endian. user: 1 to 256 bytes without NUL,
 * or an integer from 0 to 2^63 - 1 without fraction or exponent, which is the same user as its
 * digits in a string. event->user is the keyed hash of those bytes. content: XXH3_64bits() of the
 * message, its halves xored.
 *
 * time: RFC 3339 with zone as time_text_parse() reads it, or an integer of milliseconds since 1970;
 * after 1970-01-01T00:00:00Z and before the year 10000 (UTC).
 * Numbers: exactly a multiple of 10^-6, however written; INT64_MIN is out of range.
 * amount: a JSON number, or a string of its grammar without exponent; not negative; at most 6
 * decimals as written (fraction digits less the exponent), so a 7th is refused even if it is a
 * zero. currency: the base currency, or one with a rate for the event's time, by which the amount
 * is converted; judged only beside an amount that the plan wants.
 *
 * A Confluent frame (a zero byte and four of a schema's id) before the object is passed over; what
 * is behind one and no object is `encoding`. It counts for nothing, neither size nor content.
 *
 * The reasons of mapped messages: `encoding`, if headers say that the message is no JSON; what is
 * wrong with it as JSON; `mapping`, if none is for it; `skipped`; the first bad value in the bytes,
 * where headers and constants come before all bytes; of CloudEvents, a missing id or source.
 */
enum kpi_refusal event_decode(struct event_decoder *decoder, const char *bytes, size_t size,
                              const struct event_origin *origin, struct kpi_event *event);

/* The mapping that the last message fell under; NULL: none, or the native form without mappings. */
const struct mapping *event_decoder_mapping(const struct event_decoder *decoder);
