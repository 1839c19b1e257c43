/* What is kept from one report to the next: the rows, and of which state they are. */
#pragma once

#include "engine/changes.h"
#include "engine/state.h"
#include "spec/supplement.h"

struct kpi_hot;
struct kpi_sketch_total;

/* A scope whose rows are kept. */
struct kpi_kept_scope {
    struct kpi_scope scope;
    uint32_t first_row;
    bool made; /* else its rows are yet to be made */
};

struct kpi_report_cache {
    uint64_t layout;               /* fingerprint of the layout of `rows` */
    uint64_t version;              /* of the engine that `rows` tell; 0: nothing is kept */
    uint64_t stamp;                /* number of this report */
    uint64_t stamp_turn;           /* of the one in which the layout last changed */
    struct kpi_kept_scope *scopes; /* as in the layout */
    uint32_t n_scopes;
    uint64_t turned; /* of the last one with another layout or day: groups are made anew */
    struct kpi_row *rows;
    uint32_t n_rows;
    kpi_day *todays; /* by zone: the day that was today */
    uint32_t n_zones;
    struct kpi_cell *views;                     /* cells with a view */
    struct kpi_sketches sketches;               /* of the supplement before, for */
    uint64_t sketches_layout, sketches_version; /* this layout and version; 0: none */
    struct kpi_sketch_total *totals;            /* sketches.c */
    struct kpi_hot *hots;
};

/* Makes the cache if there is none. Returns 0 or -ENOMEM. */
int kpi_report_make(struct kpi_engine *engine);
/* Forgets everything kept for reports. */
void kpi_report_flush(struct kpi_engine *engine);
/*
 * Frees the unions and standing answers that no report has used since `stamp`, of instances that
 * are broken down (groups) or of the others: they were of scopes that are no more, or of which
 * nothing changes any more.
 */
void kpi_report_sweep(struct kpi_engine *engine, bool groups, uint64_t stamp);

/* One report under way, of scopes or of their groups (groups.h). */
struct kpi_making {
    struct kpi_engine *engine;
    const struct kpi_layout *layout;
    struct kpi_report_cache *cache;
    bool new_layout;
    bool new_day;       /* somewhere: on it cohorts mature */
    bool all;           /* nothing of what is kept may be used, of the scope being done */
    uint64_t version;   /* of the engine that what is kept tells */
    uint32_t n_returns; /* retained() leaves */
    struct kpi_changes changes;
    /* of the campaign being done */
    uint32_t campaign;
    uint32_t campaign_tuple;
    const struct kpi_breakdown *breakdown; /* of the group being done; NULL: the whole */
    uint32_t tuple;                        /* of the group */
    struct kpi_cohorts *cohorts;           /* by retained() leaf, of the campaign or group */
    bool *cohorts_made;
};

/* A leaf and what it counts for a scope. */
struct kpi_leaf_at {
    const struct kpi_leaf *leaf;
    uint32_t i_return; /* RETAINED: its place among these */
    struct kpi_range range;
    uint32_t zone, campaign_tuple; /* of the range's campaign */
    uint32_t tuple;                /* of the cells */
    struct kpi_windows windows;    /* likewise */
};

/* Begin and end come in pairs, also if the first fails with -ENOMEM. */
int kpi_making_begin(struct kpi_making *making);
void kpi_making_end(struct kpi_making *making);
/* Completes `at`, whose leaf and place are set. False: nothing can feed the leaf in this scope. */
bool kpi_making_find(const struct kpi_making *making, const struct kpi_scope *scope,
                     struct kpi_leaf_at *at);
/* Fills a leaf's rows. Returns 0 or -ENOMEM. */
int kpi_making_fill(struct kpi_making *making, const struct kpi_leaf_at *at, struct kpi_row *rows);
/* May they be others than those that are kept? */
bool kpi_making_changed(const struct kpi_making *making, const struct kpi_leaf_at *at);

/* sketches.c: frees the totals that no supplement has used since `stamp`. */
void kpi_sketch_totals_sweep(struct kpi_engine *engine, uint64_t stamp);
