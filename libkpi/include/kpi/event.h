/*
 * One user interaction as the engine takes it, and the batch that the engine takes it in.
 *
 * A decoder (daemon/codec) fills a batch from bytes; strings stay borrowed from those bytes, which
 * must live until kpi_engine_apply() returns.
 */
#pragma once

#include <kpi/base.h>

struct kpi_plan;

/* Why an event is not applied. The names that people see are in kpi_refusal_name(). */
enum kpi_refusal {
    KPI_REFUSAL_NONE = 0,
    /* by the decoder */
    KPI_REFUSAL_EMPTY,     /* no bytes, or white space only */
    KPI_REFUSAL_TOO_LARGE, /* more than 64 KiB */
    KPI_REFUSAL_JSON,      /* not one whole JSON document */
    KPI_REFUSAL_UTF8,      /* invalid, overlong, a lone surrogate, a BOM */
    KPI_REFUSAL_DEPTH,     /* nested deeper than 32 */
    KPI_REFUSAL_NOT_OBJECT,
    KPI_REFUSAL_DUPLICATE_KEY, /* a wanted field twice */
    KPI_REFUSAL_ID,            /* empty, not a string, contains NUL, longer than 256 bytes */
    KPI_REFUSAL_TYPE,          /* missing, not a string, empty, longer than 64 bytes */
    KPI_REFUSAL_USER,          /* not a string or integer, empty, contains NUL, > 256 bytes */
    KPI_REFUSAL_TIME,          /* missing, not a time, without zone, outside years 1970-9999 */
    KPI_REFUSAL_FIELD,         /* a wanted field of another kind than the plan needs */
    KPI_REFUSAL_NUMBER,        /* out of range, or more than 6 decimals */
    KPI_REFUSAL_AMOUNT,        /* not a decimal, negative */
    KPI_REFUSAL_CURRENCY,      /* no rate for this currency */
    KPI_REFUSAL_MAPPING,       /* no mapping is for it */
    KPI_REFUSAL_ENCODING,      /* not JSON inside: Avro, Protobuf, base64, a batch, other media */
    KPI_REFUSAL_SKIPPED,       /* not refused: a mapping says that it is none of our events */
    /* by the engine */
    KPI_REFUSAL_FUTURE,       /* ahead of its record by more than max_future_skew */
    KPI_REFUSAL_EXPIRED,      /* older than what is kept */
    KPI_REFUSAL_USER_MISSING, /* a measure that applies counts users, and there is none */
    KPI_REFUSAL_USERS_FULL,   /* limits.users reached and this one is new */
    KPI_REFUSAL_WITHDRAWN,    /* of a user who has withdrawn consent */
    KPI_REFUSAL_COUNT,
};

/* Lower-case word with underscores, as in metrics and dead-letter headers: "too_large". */
const char *kpi_refusal_name(enum kpi_refusal refusal);

/* What became of an event of a batch. */
enum kpi_outcome {
    KPI_OUTCOME_APPLIED = 0,
    KPI_OUTCOME_DUPLICATE, /* same id within the window, same content */
    KPI_OUTCOME_CONFLICT,  /* same id within the window, other content; dropped too */
    KPI_OUTCOME_REFUSED,   /* see kpi_event.refusal */
};

enum kpi_field_kind {
    KPI_FIELD_ABSENT = 0, /* missing or null */
    KPI_FIELD_STRING,
    KPI_FIELD_NUMBER, /* 10^-6 */
    KPI_FIELD_BOOL,   /* number is 0 or 1 */
};

/* A value that a definition asked for. */
struct kpi_field {
    union {
        const char *string; /* borrowed, unescaped, length bytes */
        kpi_decimal number;
    };
    uint64_t hash; /* strings: XXH3_64bits() of the bytes; else 0 */
    uint32_t length;
    uint8_t kind; /* enum kpi_field_kind */
};

enum {
    KPI_EVENT_HAS_USER = 1 << 0,
    KPI_EVENT_HAS_ID = 1 << 1, /* else the id is made of topic, partition and offset */
};

struct kpi_event {
    kpi_time time;            /* when it happened, by its own word */
    kpi_time record_time;     /* the log's timestamp of the record (replay: equals time) */
    uint64_t user;            /* keyed hash, if KPI_EVENT_HAS_USER: never 0 */
    uint64_t id;              /* keyed hash of source and id, or of the origin */
    uint32_t content;         /* hash of the payload: tells a copy from a conflict */
    uint32_t flags;           /* KPI_EVENT_HAS_… */
    struct kpi_field type;    /* always a string */
    struct kpi_field *fields; /* kpi_plan_n_fields() of them, in the plan's order */
    enum kpi_outcome outcome; /* written by kpi_engine_apply() */
    enum kpi_refusal refusal; /* likewise, if outcome is REFUSED */
};

/* Events per group: groups of 64 with prefetch cost a third of single ones. */
#define KPI_BATCH_MAX 64

/* Owned by the caller. `fields` of events[i] point into the batch. */
struct kpi_batch {
    unsigned n_events;
    struct kpi_event events[KPI_BATCH_MAX];
};

/*
 * Makes a batch with room for the fields of this plan. A batch outlives no plan: make a new one
 * when the plan changes. mem must outlive it. Returns 0 or -ENOMEM.
 */
int kpi_batch_new(struct kpi_batch **ret_batch, const struct kpi_plan *plan,
                  const struct kpi_mem *mem);
struct kpi_batch *kpi_batch_free(struct kpi_batch *batch);
