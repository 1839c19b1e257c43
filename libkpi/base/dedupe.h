/*
 * The memory of event ids: at most 16 bytes an id (and up to 128 KiB that do not grow with their
 * number), and a function of the log alone.
 *
 * An id is remembered from its arrival, stamped with the log's time, until the log's time has moved
 * on by the window. A second event with that id is a copy (same content) or a conflict (other
 * content) if the first is still remembered and their event times, in whole hours, are at most the
 * window apart; else it is an event of its own, and remembered beside the first.
 *
 * Glossary. A *tick* is the grain of arrival: an hour, or as many hours as keep the window within
 * KPI_DEDUPE_TICKS_MAX ticks. *now* is the tick of the log's time, *floor* the oldest tick that is
 * remembered. A *stamp* is a tick modulo 63, plus 1. When more than ids_max ids are remembered the
 * oldest ticks are forgotten whole.
 *
 * Layout. A line of 64 bytes has 6 entries of 84 bits: 50 bits of the id and 14 of the content
 * hash, 14 bits of event hour, 6 of arrival stamp; and a dirty mark each. The table is cut into 256
 * segments by the id's top bits, which need not be stored: 58 bits tell ids apart (with 10 million
 * remembered, one new id in 3 * 10^10 is taken for another), and one conflict in 16,384 counts as a
 * copy. A line that is full runs over into others (the id says which), and is marked as passed by:
 * a search ends at a line that is not. New entries take the places of dead ones. A segment that
 * gets full drops its dead, and grows by up to a quarter if that is not enough; the other dead are
 * swept segment by segment every few ticks, always before a stamp could be mistaken for that of a
 * later tick.
 */
#pragma once

#include <kpi/base.h>

enum {
    KPI_DEDUPE_SEGMENTS = 256,  /* few enough that their heads stay in the first cache */
    KPI_DEDUPE_LINES_SPARE = 4, /* of a segment, beyond what its load asks for; even */
    KPI_DEDUPE_CONTENT_BITS = 14,
    KPI_DEDUPE_PER_LINE = 6,
    KPI_DEDUPE_TICKS_MAX = 30, /* of a window; two windows fit into the stamps */
    KPI_DEDUPE_SWEEP = 8,      /* ticks of dead entries after which they are swept */
};

/* The bits of an id that are kept: those that choose the segment, and those of the key. */
#define KPI_DEDUPE_ID_MASK (~(UINT64_C(0x3f) << 50))

struct kpi_dedupe_line {
    uint64_t keys[KPI_DEDUPE_PER_LINE];    /* id's low 50 bits << 14 | content */
    uint8_t arrivals[KPI_DEDUPE_PER_LINE]; /* stamp, 0: empty | event hour's bits 12, 13 << 6 */
    uint8_t events[KPI_DEDUPE_PER_LINE];   /* event hour's bits 4 … 11 */
    uint32_t rest; /* bits 4k …: its bits 0 … 3; bit 24 + k: not yet saved; bit 31: passed by */
};

/* Where an id that was not found would go; true until the table changes. */
struct kpi_dedupe_place {
    uint32_t line;
    uint32_t k; /* KPI_DEDUPE_PER_LINE: there is no table yet */
};

struct kpi_dedupe_segment {
    struct kpi_dedupe_line *lines; /* and behind them a bit a line: has dirty entries */
    uint32_t n_lines;
    uint32_t n; /* places taken, by dead entries too */
};

struct kpi_dedupe_options {
    kpi_duration window; /* 0: nothing is remembered */
    kpi_duration keep;   /* no event is older than this behind the log's time */
    kpi_duration skew;   /* and none further ahead of it than this */
    uint64_t ids_max;
};

struct kpi_dedupe {
    const struct kpi_mem *mem;
    struct kpi_dedupe_options options;
    int64_t window_hours;
    int64_t tick_hours;   /* hours of a tick */
    int64_t window_ticks; /* <= KPI_DEDUPE_TICKS_MAX */
    uint32_t event_reach; /* the window in units of event_hours */
    int64_t event_hours;  /* hours of the event grain: 1 unless `keep` reaches beyond 2^14 hours */
    int64_t now;          /* tick; INT64_MIN before the first event */
    uint32_t now_stamp;
    kpi_time now_until;  /* when the next tick begins */
    int64_t floor;       /* entries with an earlier arrival are dead */
    int64_t forced;      /* floor that ids_max has forced; INT64_MIN: none */
    uint64_t n;          /* remembered */
    uint64_t counts[64]; /* remembered, by arrival stamp */
    uint64_t dirty[64];  /* of these, those not yet saved; some may have died */
    uint64_t generation; /* rises when what was saved is not true any more */
    uint32_t sweep;      /* next segment to sweep; KPI_DEDUPE_SEGMENTS: none */
    int64_t sweep_floor; /* what `floor` was when that sweep began */
    int64_t swept;       /* no entry arrived before this tick */
    size_t bytes;
    struct kpi_dedupe_segment *segments; /* KPI_DEDUPE_SEGMENTS of them */
};

enum kpi_dedupe_answer {
    KPI_DEDUPE_NEW,
    KPI_DEDUPE_COPY,
    KPI_DEDUPE_CONFLICT,
};

/* Returns 0 or -ENOMEM. */
int kpi_dedupe_init(struct kpi_dedupe *dedupe, const struct kpi_mem *mem,
                    const struct kpi_dedupe_options *options);
void kpi_dedupe_deinit(struct kpi_dedupe *dedupe);

/*
 * Goes on under other options. What is remembered stays, as far as the new window reaches. Where
 * the grain changes everything becomes dirty, and `generation` rises. Allocates nothing.
 */
void kpi_dedupe_retune(struct kpi_dedupe *dedupe, const struct kpi_dedupe_options *options);

/* Tells the log's time; earlier ones than before are ignored. Returns 0 or -ENOMEM. */
int kpi_dedupe_advance(struct kpi_dedupe *dedupe, kpi_time log_time);

/* Sweeps a segment, if a sweep is due. Call it once a batch. Returns 0 or -ENOMEM. */
int kpi_dedupe_work(struct kpi_dedupe *dedupe);

/* After kpi_dedupe_advance(). content: its low 14 bits count. ret_place is written if the answer is
 * NEW. */
enum kpi_dedupe_answer kpi_dedupe_find(const struct kpi_dedupe *dedupe, uint64_t id,
                                       uint32_t content, kpi_time event_time,
                                       struct kpi_dedupe_place *ret_place);

/*
 * Remembers an id that kpi_dedupe_find() has just called new, from now on. Returns 0 or -ENOMEM.
 */
int kpi_dedupe_add(struct kpi_dedupe *dedupe, uint64_t id, uint32_t content, kpi_time event_time,
                   const struct kpi_dedupe_place *place);

/* The window that ids_max has left. */
kpi_duration kpi_dedupe_window(const struct kpi_dedupe *dedupe);

/*
 * Asks the memory for the line of an id that is about to be looked up; and, once that is there, for
 * the line that it has run over into, if it has.
 */
void kpi_dedupe_prefetch(const struct kpi_dedupe *dedupe, uint64_t id);
void kpi_dedupe_prefetch_overflow(const struct kpi_dedupe *dedupe, uint64_t id);

/* An entry as it is saved: free of grains and of the table's shape. */
struct kpi_dedupe_record {
    uint64_t id;                      /* top 8 and low 50 bits of the id, the others 0 */
    int64_t arrival_hour, event_hour; /* hours since 1970 */
    uint16_t content;
};

/*
 * Calls fn for each remembered entry, or (dirty_only) for those not yet saved, which are clean
 * then. fn returns 0, or what ends the walk and is returned.
 */
typedef int (*kpi_dedupe_fn)(void *userdata, const struct kpi_dedupe_record *record);
int kpi_dedupe_iterate(const struct kpi_dedupe *dedupe, kpi_dedupe_fn fn, void *userdata);
int kpi_dedupe_take_dirty(struct kpi_dedupe *dedupe, kpi_dedupe_fn fn, void *userdata);

/*
 * How many entries of a tick from `floor` to `now` kpi_dedupe_iterate() would give, and how many at
 * most kpi_dedupe_take_dirty().
 */
uint64_t kpi_dedupe_n(const struct kpi_dedupe *dedupe, int64_t tick);
uint64_t kpi_dedupe_n_dirty(const struct kpi_dedupe *dedupe, int64_t tick);

/*
 * Puts a saved entry back, clean, after kpi_dedupe_restore_begin() has told the log's time and the
 * hour before which nothing is remembered. Entries that are not remembered any more are
 * passed over. Returns 0 or -ENOMEM.
 */
void kpi_dedupe_restore_begin(struct kpi_dedupe *dedupe, kpi_time log_time, int64_t floor_hour);
int kpi_dedupe_restore(struct kpi_dedupe *dedupe, const struct kpi_dedupe_record *record);
