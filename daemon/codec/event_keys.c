/*
 * The keys of an event. The table never fills: it has more than twice as many slots as there can be
 * keys. When the unwanted ones reach their bound all of them are forgotten and learning begins
 * anew, so a flood of odd keys cannot keep the ordinary ones out for good.
 */
#include "codec/event_keys.h"
#include "codec/event_json.h"

#include <assert.h>
#define XXH_INLINE_ALL /* as in event_json.c */
#include <xxhash.h>

static uint32_t key_slot(const struct event_keys *keys, const char *name, size_t length)
{
    return (uint32_t)XXH3_64bits_withSecret(name, length, keys->secret, EVENT_KEY_BYTES) %
           EVENT_KEYS_TABLE;
}

/* A name may hold what JSON would escape; such a key is found by its unescaped text only. */
static bool key_is_plain(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!json_plain_bytes[(uint8_t)name[i]])
            return false;
    }
    return true;
}

void event_key_quote(struct event_key *key, const char *name, size_t length)
{
    key->quoted_length = 0;
    key->quoted_mask = UINT32_MAX;
    if (length + 3 > EVENT_KEY_QUOTED_MAX || !key_is_plain(name, length))
        return;
    key->quoted[0] = '"';
    memcpy(key->quoted + 1, name, length);
    key->quoted[length + 1] = '"';
    key->quoted[length + 2] = ':';
    key->quoted_length = (uint8_t)(length + 3);
    key->quoted_mask = UINT32_MAX >> (32 - key->quoted_length);
}

static struct event_key *key_add(struct event_keys *keys, const char *name, size_t length,
                                 enum event_key_kind kind, uint32_t field)
{
    uint32_t slot = key_slot(keys, name, length);
    struct event_key *key = &keys->keys[keys->n_keys];

    while (keys->table[slot])
        slot = (slot + 1) % EVENT_KEYS_TABLE;
    keys->table[slot] = (uint8_t)keys->n_keys;
    keys->n_keys++;
    *key = (struct event_key){
        .kind = (uint8_t)kind,
        .field = (uint8_t)field,
        .name = name,
        .length = length,
        .next = {keys->keys, keys->keys},
    };
    event_key_quote(key, name, length);
    return key;
}

enum event_key_kind event_key_kind_of(enum kpi_field_use use)
{
    switch (use) {
    case KPI_USE_NUMBER:
        return EVENT_KEY_NUMBER;
    case KPI_USE_BOOL:
        return EVENT_KEY_BOOL;
    case KPI_USE_AMOUNT:
        return EVENT_KEY_AMOUNT;
    case KPI_USE_ANY:
        return EVENT_KEY_ANY;
    case KPI_USE_STRING:
        break;
    }
    return EVENT_KEY_STRING;
}

void event_keys_init(struct event_keys *keys, const struct kpi_plan *plan, const uint8_t *secret)
{
    static const struct {
        const char *name;
        enum event_key_kind kind;
    } envelope[] = {
        {"id", EVENT_KEY_ID},     {"source", EVENT_KEY_SOURCE}, {"type", EVENT_KEY_TYPE},
        {"user", EVENT_KEY_USER}, {"time", EVENT_KEY_TIME},     {"currency", EVENT_KEY_CURRENCY},
    };
    uint32_t n_fields = kpi_plan_n_fields(plan);

    static_assert(EVENT_KEYS_MAX <= UINT8_MAX, "an index fits a byte");
    assert(n_fields <= KPI_FIELDS_MAX);
    *keys = (struct event_keys){.n_keys = 1, .secret = secret};
    keys->keys[0] = (struct event_key){
        .quoted_mask = UINT32_MAX,
        .next = {keys->keys, keys->keys},
    };
    for (size_t i = 0; i < sizeof(envelope) / sizeof(envelope[0]); i++)
        key_add(keys, envelope[i].name, strlen(envelope[i].name), envelope[i].kind, 0);
    for (uint32_t i = 0; i < n_fields; i++) {
        const struct kpi_field_spec *field = kpi_plan_field(plan, i);

        key_add(keys, field->name.data, field->name.length, event_key_kind_of(field->use), i);
    }
    keys->n_wanted = keys->n_keys - 1;
}

/* Drops the unwanted keys and everything that points at one. */
static void forget_others(struct event_keys *keys)
{
    memset(keys->table, 0, sizeof(keys->table));
    keys->n_keys = 1 + keys->n_wanted;
    for (uint32_t i = 0; i < keys->n_keys; i++)
        keys->keys[i].next[0] = keys->keys[i].next[1] = keys->keys;
    for (uint32_t i = 1; i < keys->n_keys; i++) {
        uint32_t slot = key_slot(keys, keys->keys[i].name, keys->keys[i].length);

        while (keys->table[slot])
            slot = (slot + 1) % EVENT_KEYS_TABLE;
        keys->table[slot] = (uint8_t)i;
    }
}

static struct event_key *key_get(struct event_keys *keys, const char *name, size_t length)
{
    uint32_t slot = key_slot(keys, name, length);

    for (; keys->table[slot]; slot = (slot + 1) % EVENT_KEYS_TABLE) {
        struct event_key *key = &keys->keys[keys->table[slot]];

        if (key->length == length && memcmp(key->name, name, length) == 0)
            return key;
    }
    return NULL;
}

static struct event_key *key_learn(struct event_keys *keys, const char *name, size_t length)
{
    struct event_key *key;

    if (length + 3 > EVENT_KEY_QUOTED_MAX || !key_is_plain(name, length))
        return NULL;
    if (keys->n_keys == 1 + keys->n_wanted + EVENT_KEYS_OTHER_MAX)
        forget_others(keys);
    key = key_add(keys, name, length, EVENT_KEY_OTHER, 0);
    key->name = (const char *)key->quoted + 1; /* the message's own bytes do not last */
    return key;
}

struct event_key *event_keys_find(struct event_keys *keys, struct event_key *before,
                                  const char *name, size_t length)
{
    struct event_key *key = key_get(keys, name, length);

    if (!key)
        key = key_learn(keys, name, length);
    if (!key)
        return &keys->keys[0];
    if (before->next[0] != key) {
        before->next[1] = before->next[0];
        before->next[0] = key;
    }
    return key;
}

struct event_key *event_keys_taken_at(struct event_keys *keys, uint64_t message, const uint8_t *at)
{
    for (uint32_t i = 1; i <= keys->n_wanted; i++) {
        struct event_key *key = &keys->keys[i];

        if (key->seen_in == message && key->value_at == at)
            return key;
    }
    return NULL;
}
