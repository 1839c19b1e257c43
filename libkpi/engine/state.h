/*
 * The inside of an engine, for the files of engine/ and snapshot/.
 *
 * Glossary. A *cell* is what one instance (spec/program.h) has counted for one tuple of dimension
 * values in one *window*: a local day, or some minutes of it, as the instance is stored. A *series*
 * is all cells of an instance and tuple, by window. A *tuple* is an id of the dictionary of
 * campaigns, or, where the instance has more dimensions, of the tuples of that set
 * (engine/tuples.h); KPI_DICTIONARY_NONE where the instance has no dimensions. A *pack* is all
 * cells of one day number: what is saved together. A window is *finished* when the log's time is an
 * hour past its end; sets of finished windows are *frozen*: they are Roaring bitmaps. Cells expire
 * by whole days, so that a number does not depend on how its measure is stored.
 */
#pragma once

#include "base/dedupe.h"
#include "base/dictionary.h"
#include "base/latest.h"
#include "base/set.h"
#include "base/users.h"
#include "engine/funnels.h"
#include "engine/sessions.h"
#include "engine/tuples.h"
#include "sketch/quantiles.h"
#include "spec/program.h"

#include <kpi/engine.h>

struct kpi_groups;
struct kpi_report_cache;
struct kpi_save;
struct kpi_stash;
struct kpi_tables;

/* How long after its end a window's sets stay hot. */
#define KPI_FREEZE_AFTER KPI_HOUR

enum kpi_cell_form {
    KPI_CELL_SCALAR, /* COUNT, SUM, GAUGE */
    KPI_CELL_HOT,    /* LEVEL of a window that is not finished */
    KPI_CELL_FROZEN, /* LEVEL of a finished window */
    KPI_CELL_LATEST,
    KPI_CELL_SCORES,
    KPI_CELL_QUANTILES,
};

struct kpi_cell {
    uint32_t instance, tuple;
    kpi_window window;
    enum kpi_cell_form form;
    uint64_t serial;  /* names its objects */
    uint64_t version; /* of the engine, when it last changed */
    uint64_t n_events;
    struct kpi_pack *pack;
    struct kpi_cell *pack_next, *pack_previous;
    roaring_bitmap_t *view; /* of a hot set, while a report is made; owned by the report */
    struct kpi_cell *view_next;
    bool dirty; /* form FROZEN, LATEST, SCORES or QUANTILES: the content is not saved */
    bool paged; /* form HOT: saved in groups of pages, not whole */
    bool saved; /* an object named by the serial exists (not the pages) */
    union {
        __int128 sum; /* SCALAR; of GAUGE see kpi_gauge_pack() */
        struct kpi_set hot;
        struct {
            roaring_bitmap_t *bitmap;
            uint64_t count;
            size_t bytes;
        } frozen;
        struct kpi_latest latest; /* LATEST, SCORES */
        struct {
            __int128 sum;
            struct kpi_quantiles sketch;
        } quantiles;
    };
};

/* A gauge's time and value as one number: the greater one is the later one, at a tie the greater.
 */
static inline __int128 kpi_gauge_pack(kpi_time time, int64_t value)
{
    return (__int128)time << 64 | ((uint64_t)value ^ UINT64_C(1) << 63);
}

static inline kpi_time kpi_gauge_time(__int128 gauge)
{
    return (kpi_time)(gauge >> 64);
}

static inline int64_t kpi_gauge_value(__int128 gauge)
{
    return (int64_t)((uint64_t)gauge ^ UINT64_C(1) << 63);
}

struct kpi_pack {
    kpi_day day;
    bool dirty; /* a cell of it changed since it was saved */
    bool saved; /* an object of it exists */
    uint32_t n_cells;
    uint64_t version; /* of the engine, when any cell of it last changed */
    struct kpi_cell *first, *last;
};

struct kpi_series {
    struct kpi_cell **cells; /* by window */
    uint32_t n_cells, n_cells_max;
    struct kpi_cell *current;      /* fed last */
    uint64_t version;              /* of the engine, when any cell last changed */
    uint64_t version_dropped;      /* of the engine, when a cell last expired */
    struct kpi_union *unions;      /* caches of engine/unions.h */
    struct kpi_firsts *firsts;     /* engine/firsts.h */
    struct kpi_standing *standing; /* engine/scores.h */
    struct kpi_hot *hot;           /* while a report is made; owned by the report */
};

struct kpi_instance_state {
    struct kpi_series **series; /* by tuple */
    uint32_t n_series;
    kpi_time counts_from; /* events before are missing; KPI_TIME_NONE: none is */
};

struct kpi_zone_state {
    const struct kpi_zone *zone;
    kpi_time start, end; /* of `day`, the one asked for last */
    kpi_day day;
    uint32_t minutes;        /* common divisor of its instances' windows; 0: days only */
    kpi_day finished_before; /* days before it are finished; moves between batches only */
    kpi_time finished_to;    /* what ends up to it is finished; KPI_TIME_NONE: nothing */
    kpi_day kept_from;       /* days before it are expired */
};

/* Rows of attributes: n_slots numbers a user, by dense id, in chunks that never move. */
enum {
    KPI_SLOTS_CHUNK = 8192
};

struct kpi_slots_chunk {
    int64_t *rows;
    uint32_t n_dirty; /* rows */
    uint64_t dirty[KPI_SLOTS_CHUNK / 64];
};

struct kpi_slots {
    const struct kpi_mem *mem;
    uint32_t n_slots;
    struct kpi_slots_chunk **chunks;
    uint32_t n_chunks, n_chunks_max;
    uint64_t n_dirty;
};

/* Dense ids of users who were erased: see engine/erase.h. Each NULL if there are none. */
struct kpi_erased {
    roaring_bitmap_t *unswept; /* may still have bits in cells */
    roaring_bitmap_t *unsaved; /* have none, but may be in what the store holds */
};

/* What an event will do, found out before anything is done. */
struct kpi_match {
    uint32_t instance;
    kpi_window window;
    kpi_time day_start;
    bool yes; /* LATEST */
};

struct kpi_engine {
    struct kpi_mem mem; /* the caller's, counted */
    const struct kpi_mem *mem_outer;
    uint64_t bytes;         /* through mem */
    uint64_t bytes_roaring; /* by CRoaring's own malloc, as it tells them */

    struct kpi_plan *plan; /* one reference */
    const struct kpi_program *program;
    struct kpi_zone_state *zones;
    uint32_t n_zones;
    struct kpi_instance_state *instances;
    struct kpi_match *matches; /* room for n_instances */
    /* room for n_updates_max, twice: a session may be fed amid them */
    const struct kpi_action **updates;
    struct kpi_field *session_fields; /* of the event that a session is fed as */
    kpi_time *attributes_from;        /* by attribute: as kpi_instance_state.counts_from */

    struct kpi_users users;
    struct kpi_erased erased;
    struct kpi_slots slots;
    struct kpi_sessions sessions; /* those in the rows */
    struct kpi_funnels funnels;
    struct kpi_dictionary values;  /* of campaigns: tuples */
    struct kpi_tuples tuples;      /* of broken-down instances */
    struct kpi_dictionary strings; /* of attributes that keep a string */
    struct kpi_dedupe dedupe;
    struct kpi_pack **packs; /* by day */
    uint32_t n_packs, n_packs_max;
    uint64_t serial_next;
    uint64_t version;
    uint64_t n_cells;
    kpi_time turn_at; /* of the log: something finishes or expires then */

    uint64_t n_applied, n_duplicates, n_conflicts, n_refused, n_without_id, n_other, n_late;
    kpi_time newest_record, newest_event;

    struct kpi_report_cache *report; /* NULL until the first report */
    struct kpi_groups *groups;       /* NULL until the first supplement with breakdowns */
    struct kpi_tables *tables;       /* NULL until the first answers with tables */
    struct kpi_save *save;           /* what the store holds; engine/../snapshot */
    struct kpi_stash *stash;         /* objects given to kpi_engine_load(), until load_end */
};

/* --- plan.c: what an engine derives from its plan --- */

/* The derived arrays of a plan. All allocated before anything of the engine changes. */
struct kpi_derived {
    struct kpi_zone_state *zones;
    uint32_t n_zones;
    struct kpi_instance_state *instances;
    struct kpi_match *matches;
    const struct kpi_action **updates;
    struct kpi_field *session_fields;
    kpi_time *attributes_from;
    struct kpi_tuples tuples;
};

/* `campaigns`: the engine's, with those of the plan. Returns 0 or -ENOMEM. */
int kpi_derived_make(struct kpi_derived *derived, const struct kpi_plan *plan,
                     const struct kpi_dictionary *campaigns, const struct kpi_mem *mem);
void kpi_derived_free(struct kpi_derived *derived, const struct kpi_plan *plan,
                      const struct kpi_mem *mem);
/* Enters the plan's campaigns, so that no stranger's value can take their place. 0 or -ENOMEM. */
int kpi_engine_enter_campaigns(struct kpi_engine *engine, const struct kpi_plan *plan);
struct kpi_dedupe_options kpi_engine_dedupe_options(const struct kpi_program *program);

/* The tuple of a campaign, or KPI_DICTIONARY_NONE if no event can have named it. */
uint32_t kpi_engine_find_value(const struct kpi_engine *engine, struct kpi_string value);

/* --- cells.c --- */

/*
 * The local day of a time, and when it begins and ends. False if the zone's table does not reach
 * it.
 */
bool kpi_zone_state_find(struct kpi_zone_state *zone, kpi_time time);

/* The day of a time, with times beyond the zone's table on the day before or after it. */
kpi_day kpi_zone_day_clamped(const struct kpi_zone *zone, kpi_time time);

/* NULL if there is none. */
static inline struct kpi_series *kpi_series_find(const struct kpi_engine *engine, uint32_t instance,
                                                 uint32_t tuple)
{
    const struct kpi_instance_state *state = &engine->instances[instance];

    return tuple < state->n_series ? state->series[tuple] : NULL;
}

/* Index of the first cell whose window is not before `window`. */
uint32_t kpi_series_position(const struct kpi_series *series, kpi_window window);
struct kpi_cell *kpi_series_cell(const struct kpi_series *series, kpi_window window); /* or NULL */

/* Windows of the instance before this one are finished. */
kpi_window kpi_engine_finished_before(const struct kpi_engine *engine, uint32_t instance);

/* The pack of a day, made if there is none. Returns 0 or -ENOMEM. */
int kpi_pack_get(struct kpi_engine *engine, kpi_day day, struct kpi_pack **ret_pack);

/* Makes the cell its series' current one; makes it, if there is none. Returns 0 or -ENOMEM. */
int kpi_cell_turn(struct kpi_engine *engine, uint32_t instance, uint32_t tuple, kpi_window window,
                  struct kpi_series **ret_series, struct kpi_cell **ret_cell);

/* The cell, made if there is none. Returns 0 or -ENOMEM. */
static inline int kpi_cell_get(struct kpi_engine *engine, uint32_t instance, uint32_t tuple,
                               kpi_window window, struct kpi_series **ret_series,
                               struct kpi_cell **ret_cell)
{
    struct kpi_series *series = kpi_series_find(engine, instance, tuple);

    if (!series || !series->current || series->current->window != window)
        return kpi_cell_turn(engine, instance, tuple, window, ret_series, ret_cell);
    *ret_series = series;
    *ret_cell = series->current;
    return 0;
}

/* Notes that the content of a cell of the series changes. */
static inline void kpi_cell_touch(const struct kpi_engine *engine, struct kpi_series *series,
                                  struct kpi_cell *cell)
{
    cell->version = cell->pack->version = series->version = engine->version;
    cell->pack->dirty = true;
}

/* Users of a LEVEL cell. */
uint64_t kpi_cell_count(const struct kpi_cell *cell);
bool kpi_cell_contains(const struct kpi_cell *cell, uint32_t user);

/* Adds a user to a LEVEL cell. 0, KPI_SET_E_PRESENT or -ENOMEM. */
int kpi_cell_add_user(struct kpi_engine *engine, struct kpi_cell *cell, uint32_t user);

/* Hot set to Roaring bitmap. Returns 0 or -ENOMEM. */
int kpi_cell_freeze(struct kpi_engine *engine, struct kpi_cell *cell);

/* Gives a LEVEL cell its finished content; the bitmap is taken. The cell was fresh. */
void kpi_cell_set_frozen(struct kpi_engine *engine, struct kpi_cell *cell,
                         roaring_bitmap_t *bitmap);

/* Freezes and expires what the log's time has made due. Returns 0 or -ENOMEM. */
int kpi_engine_turn(struct kpi_engine *engine);

/* Frees a series with all its cells; remembers what objects of it exist. Returns 0 or -ENOMEM. */
int kpi_series_drop(struct kpi_engine *engine, struct kpi_series *series);
/* Frees what the engine has of cells, without remembering. */
void kpi_engine_free_cells(struct kpi_engine *engine);

/* --- apply.c --- */

/*
 * Feeds what a session is counted in. The event is of no log, so it is neither judged nor known by
 * its id; `campaign` is its campaign's tuple. Returns 0 or -ENOMEM.
 */
int kpi_engine_feed_session(struct kpi_engine *engine, const struct kpi_event *event,
                            const struct kpi_dispatch *dispatch, uint32_t user, uint32_t campaign);

/* --- slots.c --- */

void kpi_slots_init(struct kpi_slots *slots, const struct kpi_mem *mem, uint32_t n_slots);
void kpi_slots_deinit(struct kpi_slots *slots);
/* Makes rows up to and with this user's; absent values. Returns 0 or -ENOMEM. */
int kpi_slots_reserve(struct kpi_slots *slots, uint32_t user);
/* A user's row, or NULL if there are none. */
static inline int64_t *kpi_slots_row(const struct kpi_slots *slots, uint32_t user)
{
    uint32_t chunk = user / KPI_SLOTS_CHUNK;

    if (!slots->n_slots || chunk >= slots->n_chunks)
        return NULL;
    return slots->chunks[chunk]->rows + (size_t)(user % KPI_SLOTS_CHUNK) * slots->n_slots;
}
void kpi_slots_mark(struct kpi_slots *slots, uint32_t user);

/* Brings one attribute of a row up to date. Returns 0 or -ENOMEM. */
int kpi_attribute_update(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                         const struct kpi_event *event, int64_t *row);

/*
 * The values of a SET that still count at this time, as ids in the order of their strings; returns
 * how many.
 */
uint32_t kpi_attribute_set(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                           const int64_t *row, kpi_time time, int64_t ret_ids[KPI_SET_VALUES_MAX]);

/* Adds to the value of a COUNT or SUM, which may be KPI_TIME_NONE. */
void kpi_sum_add(int64_t *slot, int64_t amount);

/* The string of a LAST attribute's value, for kpi_condition_holds(); userdata is the engine. */
struct kpi_string kpi_engine_string(void *userdata, int64_t id);

/*
 * Another plan's row out of a user's: attributes of equal fingerprint keep their values.
 */
struct kpi_attributes {
    const struct kpi_attribute *attributes;
    uint32_t n_attributes, n_slots;
};
struct kpi_attributes kpi_attributes_of(const struct kpi_program *program);
bool kpi_attributes_same(const struct kpi_attributes *a, const struct kpi_attributes *b);
/* Fills `to_slots` for the first n_users users, all dirty. Returns 0 or -ENOMEM. */
int kpi_slots_convert(const struct kpi_slots *from_slots, const struct kpi_attributes *from,
                      struct kpi_slots *to_slots, const struct kpi_attributes *to,
                      uint32_t n_users);

/* --- starts.c: from when instances and attributes count --- */

/* From when something counts that begins now: behind every event that was applied without it. */
kpi_time kpi_engine_begins(const struct kpi_engine *engine);
/* What another plan's instances and attributes have of those of the engine; others begin now. */
void kpi_starts_move(const struct kpi_engine *engine, const struct kpi_program *to,
                     struct kpi_derived *derived);
/*
 * From when something counts that begins at `from`, or with the engine at KPI_TIME_NONE, and reads
 * these attributes (kpi_instance.reads): one that forgets is whole once it has forgotten what it
 * missed, one that does not from when it was there.
 */
kpi_time kpi_engine_reads_from(const struct kpi_engine *engine, uint64_t reads, kpi_time from);
/* The rows of a report that tell them, one of each instance. */
void kpi_starts_report(const struct kpi_engine *engine, struct kpi_row *rows);

/* --- objects that ceased to exist, in ../snapshot/save.c --- */

/* Remembers that the objects of a cell are to be removed. Returns 0 or -ENOMEM. */
int kpi_save_forget_cell(struct kpi_engine *engine, const struct kpi_cell *cell);
/* Makes room, so that the cells there are now can be forgotten without failure. 0 or -ENOMEM. */
int kpi_save_reserve_forget(struct kpi_engine *engine);
/* The dictionaries are not those that were saved. */
void kpi_save_forget_dictionaries(struct kpi_engine *engine);
void kpi_save_free(struct kpi_engine *engine);
void kpi_stash_free(struct kpi_engine *engine);
