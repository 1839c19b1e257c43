/*
 * Native flat JSON to a kpi_event: one pass that checks that the whole message is one valid JSON
 * object (RFC 8259, UTF-8, depth <= 32, size <= 64 KiB) while it picks out the wanted fields. cJSON,
 * used strictly, is its reference: tests/fuzz/fuzz_event.c looks for a message that the two read
 * differently.
 *
 * A duplicate of a *wanted* key is refused (duplicate_key); of any other key it does not matter.
 * Allocates nothing per event: strings with escapes are unescaped into the decoder's own buffer, which
 * lives until event_decoder_reset().
 */
#pragma once

#include <kpi/event.h>
#include <kpi/plan.h>

struct event_decoder;

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
};

/* Returns 0 or -ENOMEM. */
int event_decoder_new(struct event_decoder **ret_decoder,
                      const struct event_decoder_options *options);
struct event_decoder *event_decoder_free(struct event_decoder *decoder);
void event_decoder_freep(struct event_decoder **decoder);

/* Forgets the unescaped strings of the batch before. Call once per batch. */
void event_decoder_reset(struct event_decoder *decoder);

/* Where a message came from, for an event without id, and its log time. */
struct event_origin {
    uint64_t topic_hash; /* XXH3_64bits of the topic's name */
    int32_t partition;
    int64_t offset;
    kpi_time record_time; /* KPI_TIME_NONE: use the event's own time (replay) */
};

/*
 * Decodes one message into event, whose `fields` the caller has set to kpi_plan_n_fields() entries.
 * Strings are borrowed from bytes or from the decoder. Returns KPI_REFUSAL_NONE or the reason; then
 * the event's content is unspecified. Never fails otherwise.
 *
 * time: RFC 3339 with zone (any number of fraction digits, cut at microseconds, leap second 60 read as
 * 59.999999…), or an integer of milliseconds since 1970. amount: decimal string or number with at most
 * 6 decimals, parsed as text.
 */
enum kpi_refusal event_decode(struct event_decoder *decoder, const char *bytes, size_t size,
                              const struct event_origin *origin, struct kpi_event *event);
