/*
 * The keys of an event: which ones are wanted, and which one probably comes next.
 *
 * A producer writes its keys in the same order again and again. So each key remembers, with its
 * quotes and colon, the two keys that last followed it; a message that goes on as remembered costs
 * one comparison of 16 or 32 bytes a key, and no hash. What is not as remembered is scanned and
 * looked up in a table that holds the wanted keys for ever and a bounded number of others. Neither
 * changes what is read, only what it costs.
 */
#pragma once

#include "codec/json_scan.h"

#include <kpi/plan.h>

enum {
    EVENT_KEY_QUOTED_MAX = 32,                  /* longer keys are not predicted */
    EVENT_KEYS_OTHER_MAX = 120,                 /* unwanted keys remembered */
    EVENT_KEYS_WANTED_MAX = 6 + KPI_FIELDS_MAX, /* the envelope and the plan's fields */
    EVENT_KEYS_MAX = 1 + EVENT_KEYS_WANTED_MAX + EVENT_KEYS_OTHER_MAX,
    EVENT_KEYS_TABLE = 512,
};

enum event_key_kind {
    EVENT_KEY_OTHER, /* not wanted */
    EVENT_KEY_ID,
    EVENT_KEY_SOURCE,
    EVENT_KEY_TYPE,
    EVENT_KEY_USER,
    EVENT_KEY_TIME,
    EVENT_KEY_CURRENCY,
    EVENT_KEY_STRING, /* and below: a field of the plan */
    EVENT_KEY_NUMBER,
    EVENT_KEY_BOOL,
    EVENT_KEY_AMOUNT,
    EVENT_KEY_ANY, /* a string, number or bool */
    EVENT_KEY_KINDS,
};

struct event_key {
    uint8_t quoted[EVENT_KEY_QUOTED_MAX]; /* "name": and zeros */
    uint32_t quoted_mask;                 /* a bit for each byte of quoted */
    uint8_t quoted_length;                /* 0: not predicted; all bits of the mask are set then */
    uint8_t kind;
    uint8_t field;             /* index in the plan, for its fields */
    struct event_key *next[2]; /* likeliest first; keys[0] is none */
    uint64_t seen_in;          /* number of the last message that had it (wanted ones) */
    const uint8_t *value_at;   /* where its value began in that message */
    const char *name;          /* of the plan, static, or inside quoted */
    size_t length;
};

/* keys[0] is no key: it stands for the beginning of a message. */
struct event_keys {
    uint32_t n_wanted;
    uint32_t n_keys;
    const uint8_t
        *secret; /* an XXH3 secret of EVENT_KEY_BYTES, so that nobody can fill one chain */
    uint8_t table[EVENT_KEYS_TABLE]; /* index of a key; 0 is free; linear probing */
    struct event_key keys[EVENT_KEYS_MAX];
};

/* Both are borrowed and must outlive the keys. */
void event_keys_init(struct event_keys *keys, const struct kpi_plan *plan, const uint8_t *secret);

/*
 * The key that a name is, noted as one that followed `before`. An unwanted one that cannot be
 * remembered is keys[0].
 */
struct event_key *event_keys_find(struct event_keys *keys, struct event_key *before,
                                  const char *name, size_t length);

/* The wanted key that has its value in this message at this position, or NULL. */
struct event_key *event_keys_taken_at(struct event_keys *keys, uint64_t message, const uint8_t *at);
/* The kind of key that a field of the plan has. */
enum event_key_kind event_key_kind_of(enum kpi_field_use use);
/* Makes the key match this name, or nothing if it is too long or holds what JSON might escape. */
void event_key_quote(struct event_key *key, const char *name, size_t length);

/* Does the text at p begin with this key, its quotes and its colon? Reads 32 bytes. */
static inline bool event_key_matches(const struct event_key *key, const uint8_t *p)
{
#if JSON_SCAN_SSE2
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p),
                                 _mm_loadu_si128((const __m128i *)key->quoted));
    uint32_t mask = (uint32_t)_mm_movemask_epi8(low);

    if (__builtin_expect(key->quoted_length > 16, 0)) {
        __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + 16)),
                                      _mm_loadu_si128((const __m128i *)(key->quoted + 16)));

        mask |= (uint32_t)_mm_movemask_epi8(high) << 16;
    }
    return (mask & key->quoted_mask) == key->quoted_mask;
#else
    return key->quoted_length && memcmp(p, key->quoted, key->quoted_length) == 0;
#endif
}

/* The key at p if it is one of those that followed `before` the last times, else NULL. */
static inline struct event_key *event_keys_predict(struct event_key *before, const uint8_t *p)
{
    struct event_key *first = before->next[0], *second;

    if (__builtin_expect(event_key_matches(first, p), 1))
        return first;
    second = before->next[1];
    if (!event_key_matches(second, p))
        return NULL;
    before->next[0] = second;
    before->next[1] = first;
    return second;
}
