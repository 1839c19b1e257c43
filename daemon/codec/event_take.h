/*
 * What an event is made of, taken value by value: a wanted key and the text of its value go in, and
 * what the field may not hold is noted, the first one in the order of the bytes. Whoever walks the
 * bytes (event_json.c) knows only keys and where values are; what a key means is known here.
 *
 * Positions (`at`) are where the value begins in the walker's bytes; they only tell which of two
 * faults came first.
 */
#pragma once

#include "codec/event_json.h"
#include "codec/event_keys.h"
#include "codec/mapping.h"

/* One message's. */
struct event_take {
    struct kpi_event *event;
    const uint8_t *secret; /* EVENT_KEY_BYTES */
    struct kpi_string currency;
    const struct mappings *mappings; /* their rates; may be NULL */
    uint64_t message;                /* its number, from 1: tells a key's second time in it */

    enum kpi_refusal refusal;       /* the first of a field, or none */
    const uint8_t *currency_bad_at; /* NULL: none, or the base currency */
    uint8_t amount;                 /* its field, if it has one */
    bool has_amount, has_type, has_time, has_id, has_source;

    /* What is said of these tells whether they are set. */
    const uint8_t *refused_at;
    struct kpi_string foreign; /* the first other currency, if it is text */
    struct kpi_string id;
    struct kpi_string source;
};

/*
 * Nothing is taken yet. The first five are the caller's to set. Sets only what must be: zeroing all
 * of it costs as much as taking a value.
 */
static inline void event_take_begin(struct event_take *take)
{
    take->refusal = KPI_REFUSAL_NONE;
    take->currency_bad_at = NULL;
    take->amount = 0;
    take->has_amount = take->has_type = take->has_time = take->has_id = take->has_source = false;
}

/* Of several the one whose value comes first counts; of two at one place the one told first. */
void event_take_refuse(struct event_take *take, enum kpi_refusal refusal, const uint8_t *at);

/* A wanted key, before its value, which begins at `at`: none may come twice. */
static inline void event_take_key(struct event_take *take, struct event_key *key, const uint8_t *at)
{
    if (__builtin_expect(key->seen_in == take->message, 0))
        event_take_refuse(take, KPI_REFUSAL_DUPLICATE_KEY, at);
    key->seen_in = take->message;
    key->value_at = at;
}

typedef void event_take_string_fn(struct event_take *take, const struct event_key *key,
                                  struct kpi_string string, bool has_nul, const uint8_t *at);

/* A function a kind, so that each saves only the registers that itself needs. */
extern event_take_string_fn *const event_take_string_of_kind[EVENT_KEY_KINDS];

/* Its value is a string, here unescaped and as long-lived as the event. */
static inline void event_take_string(struct event_take *take, const struct event_key *key,
                                     struct kpi_string string, bool has_nul, const uint8_t *at)
{
    event_take_string_of_kind[key->kind](take, key, string, has_nul, at);
}

/* Its value is anything else; `at` is its text, valid JSON, and length the text's. */
void event_take_other(struct event_take *take, const struct event_key *key, const uint8_t *at,
                      size_t length);

/* Its value is of a kind that it may not have. */
void event_take_misfit(struct event_take *take, const struct event_key *key, const uint8_t *at);

/* The time, from elsewhere than the text of a value. */
void event_take_time(struct event_take *take, kpi_time time, const uint8_t *at);

/* The whole message is valid JSON and all of it was taken: is it an event? */
enum kpi_refusal event_take_finish(struct event_take *take, const char *bytes, size_t size,
                                   const struct event_origin *origin);
