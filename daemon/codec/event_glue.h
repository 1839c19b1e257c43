/*
 * Learned glue: what stands between the values of the messages of a stream.
 *
 * Take a message apart into its scalars - the contents of strings ("text"), and numbers and
 * literals ("bare") - and what is left between two of them, glue: `","time":"` and the like. A
 * producer writes the same glue again and again. So once the full scanner has accepted a message,
 * its glue is learned, and later messages are compared with what was learned instead of being
 * parsed; only the contents are scanned.
 *
 * The learned glue is an automaton. A state is the place of a value: the names of all that is open
 * around it, its own name, and whether it is text or bare. An edge is the glue from one value to
 * the next. What may follow a value in JSON depends on nothing but what is open around it, so edges
 * of different messages that meet in a state may be put together to a path that no message had yet,
 * and that path is valid JSON as well. The name decides too which wanted key a value belongs to;
 * beyond that pointer the automaton knows nothing of keys.
 *
 * Learning is bounded: glue is learned when it is seen the second time, in a fixed room, and when
 * that is full all of it is forgotten and learning begins anew. Who follows the edges and meets
 * anything that was not learned gives the whole message to the full scanner. A stream that is
 * learned badly is left to the full scanner for a while (event_glue_begin()).
 */
#pragma once

#include "codec/event_keys.h"

enum event_glue_kind {
    EVENT_GLUE_TEXT, /* a string's content, without the quotes */
    EVENT_GLUE_BARE, /* a number, true, false, null */
    EVENT_GLUE_END,  /* of the message */
    EVENT_GLUE_NONE, /* no glue: the end of a list */
};

enum {
    EVENT_GLUE_BYTES_MAX = 96,  /* of one piece of glue; longer ones are not learned */
    EVENT_GLUE_PLACE_MAX = 120, /* all names around a value, with quotes and brackets */
    EVENT_GLUE_STATES_MAX = 256,
    EVENT_GLUE_EDGES_MAX = 512,
    EVENT_GLUE_BUCKETS = 256,
    EVENT_GLUE_MARKS = 4,  /* a bucket */
    EVENT_GLUE_SPLIT = 16, /* ways out of a state that one byte tells apart */
};

/* Where a value is: {"props"{"sku" - all that is open around it and its name, as written. */
struct event_glue_place {
    uint8_t kind;
    uint8_t length;
    uint8_t names[EVENT_GLUE_PLACE_MAX];
};

struct event_glue_state {
    struct event_glue_edge *first; /* &glue->none if there is none yet: siblings end there */
    uint8_t split_at;              /* the byte behind the value that tells most edges apart */
    struct event_glue_edge *split[EVENT_GLUE_SPLIT]; /* by that byte's low bits; or &glue->none */
    struct event_glue_place place;
};

struct event_glue_edge {
    struct event_glue_edge *sibling; /* another one out of the same state */
    struct event_glue_state *to;
    struct event_key *key; /* of the value it leads to, if that is wanted, else NULL */
    uint16_t mask;         /* a bit for each of the first 16 bytes that is glue */
    uint8_t length;
    uint8_t kind; /* of the value it leads to */
    _Alignas(16) uint8_t bytes[EVENT_GLUE_BYTES_MAX];
};

struct event_glue {
    const uint8_t *secret; /* an XXH3 secret of EVENT_KEY_BYTES */
    int score;             /* how well messages follow what was learned */
    unsigned n_resting;    /* messages to be left to the full scanner */
    unsigned n_states, n_edges;
    /* Marks of glue that was seen once, the last first. */
    uint16_t sightings[EVENT_GLUE_BUCKETS][EVENT_GLUE_MARKS];
    struct event_glue_state states[EVENT_GLUE_STATES_MAX]; /* the first: before a message */
    struct event_glue_edge edges[EVENT_GLUE_EDGES_MAX];
    struct event_glue_edge none; /* fits nothing */
};

/* The secret is borrowed. It keeps a stream from aiming at the marks of sightings. Edges point at
 * wanted keys, which stay where they are. */
void event_glue_init(struct event_glue *glue, const uint8_t *secret);

/* Where a message begins, or NULL if this one is for the full scanner. */
struct event_glue_state *event_glue_begin(struct event_glue *glue);

/* The message was followed to its end, or not. */
void event_glue_done(struct event_glue *glue);
void event_glue_missed(struct event_glue *glue);

/*
 * Learns from the message that the full scanner has just accepted: valid JSON, followed by
 * JSON_SCAN_PADDING zero bytes. Which values are wanted is asked of the keys: those that were met
 * in this message, at the place noted. A wanted value that is a container or inside an array is not
 * learned, nor what is behind it.
 */
void event_glue_learn(struct event_glue *glue, struct event_keys *keys, uint64_t message,
                      const uint8_t *bytes, size_t size);

/*
 * Does this glue stand at p? False too of more than 32 bytes; event_glue_find() knows. Reads 32
 * bytes.
 */
static inline bool event_glue_stands(const struct event_glue_edge *edge, const uint8_t *p)
{
#if JSON_SCAN_SSE2
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p),
                                  _mm_load_si128((const __m128i *)edge->bytes));

    if (edge->mask & ~(unsigned)_mm_movemask_epi8(same))
        return false;
    if (__builtin_expect(edge->length <= 16, 1))
        return true;
    if (edge->length > 32)
        return false;
    same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + 16)),
                          _mm_load_si128((const __m128i *)(edge->bytes + 16)));
    return !(UINT16_MAX >> (32 - edge->length) & ~(unsigned)_mm_movemask_epi8(same));
#else
    return edge->length <= 32 && memcmp(p, edge->bytes, edge->length) == 0;
#endif
}

/*
 * Does this glue stand at p, and behind it what it leads to? `"user":` is the beginning of
 * `"user":"` too, so what is bare must be seen to begin; nothing else that is learned has two
 * readings. False too of a bare value that begins with no digit; event_glue_find() knows.
 */
static inline bool event_glue_fits(const struct event_glue_edge *edge, const uint8_t *p,
                                   const uint8_t *end)
{
    if (!event_glue_stands(edge, p))
        return false;
    switch (edge->kind) {
    case EVENT_GLUE_TEXT:
        return true;
    case EVENT_GLUE_BARE:
        return (uint8_t)(p[edge->length] - '0') <= 9;
    default:
        return edge->kind == EVENT_GLUE_END && p + edge->length == end;
    }
}

/* As event_glue_next(), slowly, for all there is. */
const struct event_glue_edge *event_glue_find(struct event_glue_state *state, const uint8_t *p,
                                              const uint8_t *end);

/*
 * The edge out of this state that fits what is at p, or NULL. Behind most values the same glue
 * comes always, or nearly: what was learned first is tried first. Reads as far as the padding goes.
 */
static inline const struct event_glue_edge *event_glue_next(struct event_glue_state *state,
                                                            const uint8_t *p, const uint8_t *end)
{
    const struct event_glue_edge *edge = state->first;

    if (__builtin_expect(event_glue_fits(edge, p, end), 1))
        return edge;
    edge = state->split[p[state->split_at] % EVENT_GLUE_SPLIT];
    return event_glue_fits(edge, p, end) ? edge : event_glue_find(state, p, end);
}
