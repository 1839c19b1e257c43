/*
 * Mappings: how messages of any shape become events. Plain values, as the configuration says them;
 * codec/event_mapped.c reads messages by them.
 *
 * A path names a value inside a message: keys from the outside in, with dots between them. A key
 * that holds a dot, a quote or nothing at all stands in double quotes, \" and \\ inside: "a.b".c.
 * Arrays have no keys: what is in one cannot be named.
 */
#pragma once

#include <kpi/base.h>

#include <stdatomic.h>

enum {
    MAPPINGS_MAX = 64,
    MAPPING_PATH_BYTES_MAX = 512,
    MAPPING_PATH_KEYS_MAX = 31, /* one more and its value would be nested too deep */
    MAPPING_PATHS_MAX = 8,      /* of one entry */
    MAPPING_FIELDS_MAX = 64,
    MAPPING_CONDITIONS_MAX = 8,
    MAPPING_VALUES_MAX = 10000,
};

/* What an event has beside its fields. */
enum mapping_role {
    MAPPING_ID,
    MAPPING_SOURCE,
    MAPPING_TYPE,
    MAPPING_USER,
    MAPPING_TIME,
    MAPPING_CURRENCY,
    MAPPING_ROLES,
};
const char *mapping_role_name(enum mapping_role role);

enum mapping_preset {
    MAPPING_NATIVE,
    MAPPING_CLOUDEVENTS,
    MAPPING_SEGMENT,
    MAPPING_POSTHOG,
    MAPPING_PRESETS,
};

/* What becomes of a value that a table of values does not hold. */
enum mapping_other {
    MAPPING_OTHER_KEEP,
    MAPPING_OTHER_REFUSE,
    MAPPING_OTHER_SKIP, /* the event is none of ours: passed over and counted, no dead letter */
};

/* Of a time that is a number. */
enum mapping_unit {
    MAPPING_UNIT_PRESET, /* native: ms; the others: numbers are refused */
    MAPPING_UNIT_S,
    MAPPING_UNIT_MS,
    MAPPING_UNIT_US,
    MAPPING_UNIT_NS, /* cut at microseconds */
};

struct mapping_value {
    struct kpi_string from, to;
};

/*
 * Where one thing of an event comes from. Of several paths the first that holds a value counts. An
 * entry without paths and constant reads where the preset does.
 */
struct mapping_entry {
    const struct kpi_string *paths;
    uint32_t n_paths;
    struct kpi_string constant; /* .data NULL: none */
    struct kpi_string absent;   /* stands in for what is not there; .data NULL: nothing does */
    bool absent_record;         /* of a time: the record's */
    const struct mapping_value *values; /* ascending by mapping_string_compare(from) */
    uint32_t n_values;
    enum mapping_other other;
    enum mapping_unit unit;
    const struct mapping_value *negative; /* of the amount: type -> type; ascending */
    uint32_t n_negative;
};

struct mapping_field {
    struct kpi_string name; /* as the plan names it */
    struct mapping_entry entry;
};

/* The value at the path must be one of these: a string, or a number or bool as it is written. */
struct mapping_condition {
    struct kpi_string path;
    const struct kpi_string *values;
    uint32_t n_values;
};

struct mapping {
    struct kpi_string name;
    const struct kpi_string *topics; /* none: all */
    uint32_t n_topics;
    const struct mapping_condition *conditions; /* all must hold */
    uint32_t n_conditions;
    enum mapping_preset preset;
    struct mapping_entry entries[MAPPING_ROLES];
    const struct mapping_field *fields;
    uint32_t n_fields;
};

/* --- rates --- */

/* Rates have 12 decimals; the largest is 10^6. */
#define MAPPING_RATE_ONE INT64_C(1000000000000)

struct mapping_rate {
    kpi_time from;
    int64_t rate; /* units of the base currency for one unit, times MAPPING_RATE_ONE */
};

struct mapping_currency {
    struct kpi_string code;
    const struct mapping_rate *rates; /* ascending by time */
    uint32_t n_rates;
};

enum {
    MAPPING_E_NO_RATE = 1, /* none for this currency, or for a time so early */
    MAPPING_E_RANGE,       /* does not fit into a kpi_decimal */
};

/* All of a configuration. Immutable once made; references are counted, as threads share it. */
struct mappings {
    _Atomic uint32_t n_refs;
    void (*release)(struct mappings *mappings); /* frees it; called with the last reference */
    const struct mapping *mappings;             /* the first that matches counts */
    uint32_t n_mappings;
    const struct mapping_currency *currencies;
    uint32_t n_currencies;
};

struct mappings *mappings_ref(struct mappings *mappings);
struct mappings *mappings_unref(struct mappings *mappings); /* NULL is fine; returns NULL */

/*
 * Hash of what they make of messages: not of the order of what has none (topics, conditions,
 * fields, currencies), of quotes around keys, of digits behind a rate, or of names of mappings.
 * NULL is as good as neither a mapping nor a rate.
 */
uint64_t mappings_fingerprint(const struct mappings *mappings);

/*
 * The amount in the base currency, by the rate of its time: multiplied exactly, then rounded to
 * 10^-6, halves to the even neighbour. amount is not negative. mappings may be NULL. 0 or
 * MAPPING_E_….
 */
int mapping_convert(const struct mappings *mappings, struct kpi_string currency, kpi_time time,
                    kpi_decimal *amount);

/* --- paths and values --- */

/* NULL, or what is wrong as the end of a sentence, and at which byte. */
const char *mapping_path_check(struct kpi_string path, size_t *ret_offset);

/*
 * Takes the next key of a checked path, from *offset on, which moves: 0 at first. False at the end.
 * buffer (MAPPING_PATH_BYTES_MAX) holds a key that was quoted; others are borrowed from the path.
 */
bool mapping_path_next(struct kpi_string path, size_t *offset, char *buffer,
                       struct kpi_string *ret_key);

enum mapping_relation {
    MAPPING_PATHS_APART,
    MAPPING_PATHS_EQUAL,
    MAPPING_PATHS_NESTED, /* one leads through the other's value */
};
enum mapping_relation mapping_path_relate(struct kpi_string a, struct kpi_string b);

int mapping_string_compare(struct kpi_string a, struct kpi_string b);
/* The pair of an ascending list, or NULL. */
const struct mapping_value *mapping_value_find(const struct mapping_value *values,
                                               uint32_t n_values, struct kpi_string from);

/* --- presets --- */

struct mapping_preset_info {
    const char *name;
    const char *base; /* the path that fields are looked for under; "": the top level */
    const char *const
        *roots; /* names of fields that begin with one of these keys are whole paths */
    const struct mapping_condition *conditions; /* beside those of the mapping */
    uint32_t n_conditions;
    struct mapping_entry entries[MAPPING_ROLES];
    const struct mapping_field *fields;
    uint32_t n_fields;
    bool integers;   /* whole numbers will do as id and source */
    bool needs_id;   /* without id or source it is no event */
    bool numbers_ms; /* a time may be a number, of milliseconds */
    /* If the type reads `call`, it is what stands here instead; .data NULL: no such rule. */
    struct kpi_string call, call_path;
    /*
     * A time that is absent is received - (sent - original), or original if sent is missing; the
     * record's time stands in for received. .data NULL: no such rule.
     */
    struct kpi_string received, sent, original;
};

const struct mapping_preset_info *mapping_preset_info(enum mapping_preset preset);

/* A path that the preset or mapping reads: one piece of text, or a base with a name below it. */
struct mapping_place {
    struct kpi_string base; /* may be empty */
    struct kpi_string path;
};

/* Where something is read from, what the mapping leaves open filled in by its preset. */
struct mapping_reading {
    struct mapping_place places[MAPPING_PATHS_MAX];
    uint32_t n_places;
    const struct mapping_entry *entry;  /* how: never NULL */
    struct kpi_string constant, absent; /* .data NULL: none */
    bool absent_record;
    bool given; /* the mapping names the path itself */
};

void mapping_reading_role(const struct mapping *mapping, enum mapping_role role,
                          struct mapping_reading *ret_reading);
/* Of a field as the plan names it. A name that is no path is read from nowhere. */
void mapping_reading_field(const struct mapping *mapping, struct kpi_string name,
                           struct mapping_reading *ret_reading);

/* Is the mapping for messages of this topic? topic.data NULL: of a topic that nobody knows, all. */
bool mapping_is_for(const struct mapping *mapping, struct kpi_string topic);
