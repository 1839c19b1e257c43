/*
 * Learning glue. It is rare, so it is plain: the message, known to be valid, is walked byte by byte
 * with the names around the current value as text, and states are found by comparing that text.
 *
 * Only whole texts are compared, never hashes: two places that were taken for one would make the
 * decoder read a value under the wrong key. Hashes are used for the marks of what was seen once,
 * where a mistake means that something is learned a sighting early.
 */
#include "codec/event_glue.h"

#include "codec/event_json.h"

#include <assert.h>
#define XXH_INLINE_ALL /* as in event_take.c */
#include <xxhash.h>

enum {
    /* A miss costs a second scan and a lesson: worth it if at most one message in five misses. */
    SCORE_MAX = 64,
    SCORE_MISS = 4,
    SCORE_RESTED = 32, /* after resting: eight misses, then the next rest */
    REST_MESSAGES = 256,
};

/* One message on its way through the lesson. */
struct lesson {
    struct event_glue *glue;
    struct event_keys *keys;
    uint64_t message;
    const uint8_t *behind;              /* the value before */
    struct event_glue_place before;     /* its place */
    struct event_glue_state *state;     /* that place's, or NULL if it has none yet */
    struct event_glue_place place;      /* of the current value, with its key */
    uint8_t marks[EVENT_DEPTH_MAX + 1]; /* lengths of the place with so many containers open */
    unsigned depth;
    uint64_t objects; /* a bit for each open container, bit 0 the innermost: is it an object? */
    bool key_next;
};

static void state_init(struct event_glue *glue, struct event_glue_state *state)
{
    state->first = &glue->none;
    state->split_at = 0;
    for (unsigned i = 0; i < EVENT_GLUE_SPLIT; i++)
        state->split[i] = &glue->none;
}

/* The entries of the table that the edges take if split by the byte at `at`, a bit for each. */
static unsigned split_entries(const struct event_glue_state *state, unsigned at)
{
    unsigned entries = 0;

    for (const struct event_glue_edge *edge = state->first; edge->kind != EVENT_GLUE_NONE;
         edge = edge->sibling)
        entries |= 1u << edge->bytes[at] % EVENT_GLUE_SPLIT;
    return entries;
}

/*
 * Chooses the byte that tells most edges apart. It is one that all of them have, but for the end of
 * a message: behind that are zeros, in the edge as in the message.
 */
static void state_split(struct event_glue_state *state)
{
    unsigned length = JSON_SCAN_PADDING, best = 0;

    for (struct event_glue_edge *edge = state->first; edge->kind != EVENT_GLUE_NONE;
         edge = edge->sibling) {
        if (edge->kind != EVENT_GLUE_END && edge->length < length)
            length = edge->length;
    }
    for (unsigned at = 0; at < length; at++) {
        unsigned n_entries = (unsigned)__builtin_popcount(split_entries(state, at));

        if (n_entries > best) {
            best = n_entries;
            state->split_at = (uint8_t)at;
        }
    }
    for (struct event_glue_edge *edge = state->first; edge->kind != EVENT_GLUE_NONE;
         edge = edge->sibling)
        state->split[edge->bytes[state->split_at] % EVENT_GLUE_SPLIT] = edge;
}

static void forget(struct event_glue *glue)
{
    glue->n_edges = 0;
    glue->n_states = 1;
    state_init(glue, &glue->states[0]);
}

void event_glue_init(struct event_glue *glue, const uint8_t *secret)
{
    memset(glue, 0, sizeof(*glue));
    glue->secret = secret;
    glue->none.kind = EVENT_GLUE_NONE;
    glue->score = SCORE_MAX;
    glue->states[0].place.kind = EVENT_GLUE_END;
    forget(glue);
}

struct event_glue_state *event_glue_begin(struct event_glue *glue)
{
    if (glue->n_resting > 0) {
        glue->n_resting--;
        return NULL;
    }
    return &glue->states[0];
}

void event_glue_done(struct event_glue *glue)
{
    if (glue->score < SCORE_MAX)
        glue->score++;
}

void event_glue_missed(struct event_glue *glue)
{
    glue->score -= SCORE_MISS;
    if (glue->score > 0)
        return;
    glue->score = SCORE_RESTED;
    glue->n_resting = REST_MESSAGES;
}

static bool begins_bare(uint8_t byte)
{
    return (uint8_t)(byte - '0') <= 9 || byte == '-' || byte == 't' || byte == 'f' || byte == 'n';
}

/* As event_glue_fits(), but true as well where that may say too little. */
static bool edge_fits(const struct event_glue_edge *edge, const uint8_t *p, const uint8_t *end)
{
    if (end - p < edge->length || memcmp(p, edge->bytes, edge->length) != 0)
        return false;
    switch (edge->kind) {
    case EVENT_GLUE_BARE:
        return begins_bare(p[edge->length]);
    case EVENT_GLUE_END:
        return p + edge->length == end;
    default:
        return true;
    }
}

const struct event_glue_edge *event_glue_find(struct event_glue_state *state, const uint8_t *p,
                                              const uint8_t *end)
{
    struct event_glue_edge *edge = state->first;

    while (edge->kind != EVENT_GLUE_NONE && !edge_fits(edge, p, end))
        edge = edge->sibling;
    if (edge->kind == EVENT_GLUE_NONE)
        return NULL;
    state->split[p[state->split_at] % EVENT_GLUE_SPLIT] = edge; /* streams have runs */
    return edge;
}

static bool place_equal(const struct event_glue_place *a, const struct event_glue_place *b)
{
    return a->kind == b->kind && a->length == b->length &&
           memcmp(a->names, b->names, a->length) == 0;
}

static struct event_glue_state *state_find(struct event_glue *glue,
                                           const struct event_glue_place *place)
{
    for (unsigned i = 0; i < glue->n_states; i++) {
        if (place_equal(&glue->states[i].place, place))
            return &glue->states[i];
    }
    return NULL;
}

/* NULL if there is no room. */
static struct event_glue_state *state_get(struct event_glue *glue,
                                          const struct event_glue_place *place)
{
    struct event_glue_state *state = state_find(glue, place);

    if (state || glue->n_states == EVENT_GLUE_STATES_MAX)
        return state;
    state = &glue->states[glue->n_states++];
    state_init(glue, state);
    state->place = *place;
    return state;
}

static struct event_glue_edge *edge_find(const struct event_glue_state *state, const uint8_t *bytes,
                                         size_t length)
{
    for (struct event_glue_edge *edge = state->first; edge->kind != EVENT_GLUE_NONE;
         edge = edge->sibling) {
        if (edge->length == length && memcmp(edge->bytes, bytes, length) == 0)
            return edge;
    }
    return NULL;
}

/* Was this glue seen before behind this place? If not, next time. */
static bool was_sighted(struct lesson *lesson, size_t length)
{
    struct event_glue *glue = lesson->glue;
    const struct event_glue_place *before = &lesson->before;
    uint64_t hash =
        XXH3_64bits_withSecret(before->names, before->length, glue->secret, EVENT_KEY_BYTES);
    uint16_t *bucket, mark;

    hash = (hash + before->kind) * 31 +
           XXH3_64bits_withSecret(lesson->behind, length, glue->secret, EVENT_KEY_BYTES);
    bucket = glue->sightings[hash % EVENT_GLUE_BUCKETS];
    mark = (uint16_t)(hash >> 48 | 1);
    for (unsigned i = 0; i < EVENT_GLUE_MARKS; i++) {
        if (bucket[i] == mark)
            return true;
    }
    memmove(bucket + 1, bucket, (EVENT_GLUE_MARKS - 1) * sizeof(*bucket));
    bucket[0] = mark;
    return false;
}

/* From the place before to the current one. False if there is no room. */
static bool edge_add(struct lesson *lesson, size_t length, struct event_key *key)
{
    struct event_glue *glue = lesson->glue;
    struct event_glue_state *from = state_get(glue, &lesson->before);
    struct event_glue_state *to = state_get(glue, &lesson->place);
    struct event_glue_edge *edge, **last;

    if (!from || !to || glue->n_edges == EVENT_GLUE_EDGES_MAX)
        return false;
    edge = &glue->edges[glue->n_edges++];
    *edge = (struct event_glue_edge){
        .sibling = &glue->none,
        .to = to,
        .key = key,
        .mask = (uint16_t)(length < 16 ? (1u << length) - 1 : UINT16_MAX),
        .length = (uint8_t)length,
        .kind = lesson->place.kind,
    };
    memcpy(edge->bytes, lesson->behind, length);
    for (last = &from->first; (*last)->kind != EVENT_GLUE_NONE;)
        last = &(*last)->sibling;
    *last = edge;
    state_split(from);
    return true;
}

/* Learns the glue up to `at`, where the lesson's place begins. False ends the lesson. */
static bool glue_learn(struct lesson *lesson, const uint8_t *at, struct event_key *key)
{
    size_t length = (size_t)(at - lesson->behind);
    struct event_glue_edge *edge = NULL;

    if (length > EVENT_GLUE_BYTES_MAX)
        return false;
    if (lesson->state)
        edge = edge_find(lesson->state, lesson->behind, length);
    if (!edge && was_sighted(lesson, length) && !edge_add(lesson, length, key)) {
        forget(lesson->glue);
        return false;
    }
    lesson->state = edge ? edge->to : state_find(lesson->glue, &lesson->place);
    lesson->before = lesson->place;
    return true;
}

/* A value from `at` to `end` whose content, from content_at, ends at content_end. */
static bool value_learn(struct lesson *lesson, enum event_glue_kind kind, const uint8_t *at,
                        const uint8_t *content_at, const uint8_t *content_end)
{
    struct event_key *key = event_keys_taken_at(lesson->keys, lesson->message, at);

    if (key && !(lesson->objects & 1))
        return false;
    lesson->place.kind = (uint8_t)kind;
    if (!glue_learn(lesson, content_at, key))
        return false;
    lesson->behind = content_end;
    return true;
}

static bool place_append(struct event_glue_place *place, const uint8_t *bytes, size_t length)
{
    if (length > sizeof(place->names) - place->length)
        return false;
    memcpy(place->names + place->length, bytes, length);
    place->length = (uint8_t)(place->length + length);
    return true;
}

/* p is behind the opening quote of a valid string; the result is at the closing one. */
static const uint8_t *string_end(const uint8_t *p)
{
    while (*p != '"')
        p += *p == '\\' ? 2 : 1;
    return p;
}

static const uint8_t *string_learn(struct lesson *lesson, const uint8_t *p)
{
    const uint8_t *end = string_end(p + 1);

    if (!lesson->key_next)
        return value_learn(lesson, EVENT_GLUE_TEXT, p, p + 1, end) ? end + 1 : NULL;
    lesson->key_next = false;
    return place_append(&lesson->place, p, (size_t)(end + 1 - p)) ? end + 1 : NULL;
}

static const uint8_t *bare_learn(struct lesson *lesson, const uint8_t *p)
{
    const uint8_t *end = p;

    while (*end > ' ' && *end != ',' && *end != ']' && *end != '}')
        end++;
    return value_learn(lesson, EVENT_GLUE_BARE, p, p, end) ? end : NULL;
}

static const uint8_t *container_open(struct lesson *lesson, const uint8_t *p)
{
    bool is_object = *p == '{';

    if (event_keys_taken_at(lesson->keys, lesson->message, p) ||
        !place_append(&lesson->place, p, 1))
        return NULL;
    lesson->depth++;
    assert(lesson->depth <= EVENT_DEPTH_MAX);
    lesson->marks[lesson->depth] = lesson->place.length;
    lesson->objects = lesson->objects << 1 | is_object;
    lesson->key_next = is_object;
    return p + 1;
}

/* One token of a valid message; NULL ends the lesson. */
static const uint8_t *token_learn(struct lesson *lesson, const uint8_t *p)
{
    switch (*p) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ':':
        return p + 1;
    case '{':
    case '[':
        return container_open(lesson, p);
    case '}':
    case ']':
        lesson->depth--;
        lesson->objects >>= 1;
        lesson->key_next = false; /* of an empty object */
        return p + 1;
    case ',':
        lesson->place.length = lesson->marks[lesson->depth];
        lesson->key_next = lesson->objects & 1;
        return p + 1;
    case '"':
        return string_learn(lesson, p);
    default:
        return bare_learn(lesson, p);
    }
}

void event_glue_learn(struct event_glue *glue, struct event_keys *keys, uint64_t message,
                      const uint8_t *bytes, size_t size)
{
    struct lesson lesson = {
        .glue = glue,
        .keys = keys,
        .message = message,
        .behind = bytes,
        .before = glue->states[0].place,
        .state = &glue->states[0],
    };
    const uint8_t *p = bytes, *end = bytes + size;

    while (p && p < end)
        p = token_learn(&lesson, p);
    if (!p)
        return;
    lesson.place = glue->states[0].place; /* behind a message is as before one */
    (void)glue_learn(&lesson, end, NULL); /* the last piece: no lesson goes on */
}
