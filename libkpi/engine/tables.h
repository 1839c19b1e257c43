/*
 * Tables (kpi/table.h): set algebra over the cells of instances of all events.
 *
 * A table is made for the whole and for each tuple of its breakdown: a *group*. What a group has
 * counted is kept as rows, one a period; the next pass looks again only at what a changed cell
 * plays a part in. A *unit* is a period of the table, or, on basis elapsed, an hour: the least
 * stretch of time by which users are told apart.
 */
#pragma once

#include "engine/report.h"
#include "engine/state.h"

#include <kpi/answers.h>

/* What a period has counted, in the order of its answer's cells. */
struct kpi_table_row {
    struct kpi_period period; /* of the unit */
    uint32_t n_cells;
    uint32_t *cells;
    roaring_bitmap_t *cohort; /* of an hour: whose first one it is; NULL: nobody's, or not asked */
};

struct kpi_table_group {
    struct kpi_table_row *rows; /* ascending */
    uint32_t n_rows;
    struct kpi_period first; /* rows before it were not wanted */
    bool made;
};

/* What is kept from one time to the next. */
struct kpi_tables {
    uint64_t version; /* of the engine that the rows tell, and one more; 0: nothing is kept */
    struct kpi_table_state {
        struct kpi_table_group whole;
        struct kpi_table_group *groups; /* by tuple, from KPI_DICTIONARY_FIRST */
        uint32_t n_groups;
    } * tables;
    uint32_t n_tables;
};

/* Appends the answers of all tables. Returns 0 or -ENOMEM. */
int kpi_tables_answer(struct kpi_engine *engine, const struct kpi_layout *layout,
                      struct kpi_answers *answers);
/* Forgets what is kept. */
void kpi_tables_flush(struct kpi_engine *engine);

/* A set of users that is borrowed or the holder's. */
struct kpi_table_users {
    const roaring_bitmap_t *bitmap; /* NULL: nobody */
    bool owned;
};

static inline void kpi_table_users_release(struct kpi_table_users *users)
{
    if (users->owned)
        roaring_bitmap_free(users->bitmap);
    *users = (struct kpi_table_users){0};
}

struct kpi_table_unit {
    struct kpi_period period;
    struct kpi_windows start, back; /* cells of the instances */
    struct kpi_table_users cohort;  /* retention and lifecycle: see kpi_table_cohorts() */
    bool start_changed;             /* since the last pass */
    bool back_changed;
};

/* A group being made. */
struct kpi_table_pass {
    struct kpi_engine *engine;
    const struct kpi_plan *plan;
    const struct kpi_table *table;
    enum kpi_table_basis basis;  /* of units */
    uint32_t start, start_tuple; /* instance and tuple */
    uint32_t back, back_tuple;
    uint32_t bounced;                  /* instance; of sessions */
    const struct kpi_changes *changes; /* since kpi_tables.version */
    struct kpi_period first;           /* wanted: from here on */
    struct kpi_table_group *kept;
    uint32_t n_returns; /* for kpi_firsts_get() */
    struct kpi_table_unit *units;
    uint32_t n_units;
    struct kpi_table_row *rows; /* of the units; the pass fills them */
};

/* --- table_users.c --- */

/* Has anything in these windows changed since the pass of that version? */
bool kpi_table_changed(const struct kpi_table_pass *pass, uint32_t instance, uint32_t tuple,
                       struct kpi_windows windows);
/* The same of the whole group. */
bool kpi_table_any_changed(const struct kpi_table_pass *pass);
/*
 * Makes the units from the first wanted one with a cell (or before_first earlier) to the last with
 * a cell, and after_last more. None if there is no cell. Returns 0 or -ENOMEM.
 */
int kpi_table_units_make(struct kpi_table_pass *pass, uint32_t before_first, uint32_t after_last);
void kpi_table_units_free(struct kpi_table_pass *pass);
/* The windows of an instance from the begin of one period to that of another. */
struct kpi_windows kpi_table_windows(const struct kpi_table_pass *pass, uint32_t instance,
                                     struct kpi_period from, struct kpi_period to);
/* Who was seen at least `level` times in some windows of an instance of level 1. 0 or -ENOMEM. */
int kpi_table_users_get(struct kpi_table_pass *pass, uint32_t instance, uint32_t tuple,
                        uint32_t level, struct kpi_windows windows,
                        struct kpi_table_users *ret_users);
/*
 * Fills in who of the start has each unit as the first, or all, as the table's cohort is. Those of
 * hours are of the row, and taken from the kept one where nothing has changed. 0 or -ENOMEM.
 */
int kpi_table_cohorts(struct kpi_table_pass *pass, enum kpi_table_cohort cohort);
/* The kept row of a unit, or NULL. */
struct kpi_table_row *kpi_table_kept(const struct kpi_table_pass *pass, uint32_t unit);
/* Room for the cells of a unit's row, zeroed. 0 or -ENOMEM. */
int kpi_table_row_make(struct kpi_table_pass *pass, uint32_t unit, uint32_t n_cells);

/* Makes the row of a unit anew as it was. 0 or -ENOMEM. */
int kpi_table_row_keep(struct kpi_table_pass *pass, uint32_t unit,
                       const struct kpi_table_row *kept);

/* --- what each kind fills its rows with. 0 or -ENOMEM --- */

int kpi_table_retention(struct kpi_table_pass *pass);
int kpi_table_elapsed(struct kpi_table_pass *pass); /* the same, once units and cohorts are made */
int kpi_table_lifecycle(struct kpi_table_pass *pass);
int kpi_table_intervals(struct kpi_table_pass *pass);
/* Users only: what else sessions have is added up for each answer. */
int kpi_table_sessions(struct kpi_table_pass *pass);
int kpi_table_sessions_push(const struct kpi_table_pass *pass, const struct kpi_table_group *group,
                            const struct kpi_answer *key, struct kpi_answers *answers);
