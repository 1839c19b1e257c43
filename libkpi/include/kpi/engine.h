/*
 * The engine: the state of one shard, a fold over its events (laws 1, 3, 4, 5, 7).
 *
 * One thread uses an engine at a time. No function reads a clock; what is "now" for expiry is the
 * highest record timestamp that the shard has seen. Apart from growth of its tables, applying
 * events allocates nothing.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/event.h>
#include <kpi/plan.h>
#include <kpi/report.h>

struct kpi_answers;
struct kpi_supplement;
struct kpi_engine;

/* The engine takes a reference on the plan; mem must outlive it. Returns 0 or -ENOMEM. */
int kpi_engine_new(struct kpi_engine **ret_engine, struct kpi_plan *plan,
                   const struct kpi_mem *mem);
struct kpi_engine *kpi_engine_free(struct kpi_engine *engine); /* NULL is fine; returns NULL */
void kpi_engine_freep(struct kpi_engine **engine);

/*
 * Applies a batch; writes outcome and refusal of each event. An event is applied whole or not at
 * all. Returns 0, or -ENOMEM after which the engine must only be freed.
 */
int kpi_engine_apply(struct kpi_engine *engine, struct kpi_batch *batch);

/*
 * Goes on under another plan: the state of measures, attributes and dedupe whose fingerprints the
 * new plan has stays, the rest is dropped. New ones start empty and say from when they count: from
 * behind the newest event so far (kpi_value.counts_from). Returns 0 or -ENOMEM (old plan stays).
 */
int kpi_engine_replan(struct kpi_engine *engine, struct kpi_plan *plan);

/* Events before `time` were not to be had: nothing counts from earlier than that. */
void kpi_engine_set_counts_from(struct kpi_engine *engine, kpi_time time);

/*
 * Fills rows (kpi_layout_n_rows() of them) with this shard's share. The layout must be of the
 * engine's plan. Costs unions of what changed since the last call; finished days are cached. 0 or
 * -ENOMEM.
 */
int kpi_engine_report(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_row *rows);

/*
 * The groups of all breakdowns and the sketches of quantiles, as *ret_supplement, with one
 * reference and the memory that the engine was given. kpi_engine_report() under this layout must
 * have been the call before. Costs what changed since the last call, and a copy of all groups. 0 or
 * -ENOMEM.
 */
int kpi_engine_supplement(struct kpi_engine *engine, const struct kpi_layout *layout,
                          struct kpi_supplement **ret_supplement);

/*
 * What the plan's tables, funnels and experiments have counted, up to the layout's moment, as
 * *ret_answers with one reference and the memory that the engine was given. The layout must be of
 * the engine's plan; no report need have been made under it. Costs what changed since the last
 * call, and may cost a walk over all users: it is not asked for as often as rows are. 0 or -ENOMEM.
 */
int kpi_engine_answers(struct kpi_engine *engine, const struct kpi_layout *layout,
                       struct kpi_answers **ret_answers);

/* Counts everything that changes a report; equal numbers mean that nothing changed. */
uint64_t kpi_engine_version(const struct kpi_engine *engine);

struct kpi_engine_stats {
    uint64_t n_applied, n_duplicates, n_conflicts,
        n_refused;              /* part of the state: survive a restart */
    uint64_t n_without_id;      /* applied events that carried no id */
    uint64_t n_other;           /* applied events whose dimension value went to __other__ */
    uint64_t n_late;            /* applied events that landed in a finished day */
    kpi_time newest_record;     /* highest record timestamp seen; KPI_TIME_NONE before the first */
    kpi_time newest_event;      /* highest event time applied */
    kpi_duration dedupe_window; /* in force; smaller than the plan's while memory binds */
    uint64_t n_dedupe_ids;
    uint64_t n_users, n_cells;
    uint64_t bytes;        /* allocated through mem, and CRoaring's own */
    uint64_t dedupe_bytes; /* of which the dedupe table */
};

void kpi_engine_stats(const struct kpi_engine *engine, struct kpi_engine_stats *ret_stats);

/*
 * 128-bit digest of the whole state in canonical order (users by hash, cells by key): equal for
 * equal definitions and events, whatever the order of arrival, restarts or table sizes. Walks
 * everything. XXH3 128. Returns 0 or -ENOMEM.
 */
int kpi_engine_digest(const struct kpi_engine *engine, uint8_t ret_digest[16]);

/*
 * Saving. State is written as objects: named, versioned, checksummed byte strings (kpi/object.h
 * says their frame). kpi_engine_save() hands the objects that changed since the last successful
 * call (all: every one) to `put`, framed, bytes valid during the call, then forgets that they were
 * dirty. Objects that ceased to exist are handed with data NULL. The bytes depend on the state
 * alone, not on addresses. `put` returns 0 or a negative errno, which save() passes on; the engine
 * must then only be freed.
 */
struct kpi_object {
    struct kpi_string name; /* [a-z0-9.]{1,32}, unique in the shard */
    const void *data;       /* NULL: removed */
    size_t size;
};

typedef int (*kpi_object_fn)(void *userdata, const struct kpi_object *object);

int kpi_engine_save(struct kpi_engine *engine, bool all, kpi_object_fn put, void *userdata);

enum {
    KPI_ENGINE_E_CORRUPT = 1, /* an object's frame, checksum or content is wrong */
    KPI_ENGINE_E_NEWER,       /* written by a later version of the format */
};

/*
 * Loading into a fresh engine: every object of a checkpoint once, in any order, then load_end().
 * State whose fingerprint the plan does not have is passed over; what the plan has and the
 * checkpoint's did not begins to count, as in kpi_engine_replan(). Returns 0, a KPI_ENGINE_E_… or
 * -ENOMEM; after anything but 0 the engine must only be freed.
 */
int kpi_engine_load(struct kpi_engine *engine, const struct kpi_object *object);
int kpi_engine_load_end(struct kpi_engine *engine);
