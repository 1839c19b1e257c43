/* What is kept from one report to the next: the rows, and of which state they are. */
#pragma once

#include "engine/state.h"

struct kpi_report_cache {
    uint64_t layout;  /* fingerprint of the layout of `rows` */
    uint64_t version; /* of the engine that `rows` tell; 0: nothing is kept */
    uint64_t stamp;   /* number of this report */
    uint64_t turned;  /* number of the last one for which nothing kept could be used */
    struct kpi_row *rows;
    uint32_t n_rows;
    kpi_day *todays; /* by zone: the day that was today */
    uint32_t n_zones;
    struct kpi_cell *views; /* cells with a view */
};

/* Forgets everything kept for reports. */
void kpi_report_flush(struct kpi_engine *engine);
/* The engine's cache, with room for so many rows. Returns 0 or -ENOMEM. */
int kpi_report_make_cache(struct kpi_engine *engine, uint32_t n_rows);
/*
 * After a report that looked at everything: frees the unions that it did not use, of instances that
 * are broken down (groups) or of the others.
 */
void kpi_report_sweep(struct kpi_engine *engine, bool groups);

/* One report under way, of scopes or of their groups (groups.h). */
struct kpi_making {
    struct kpi_engine *engine;
    const struct kpi_layout *layout;
    struct kpi_report_cache *cache;
    bool all;           /* nothing of what is kept may be used */
    uint64_t version;   /* of the engine that what is kept tells */
    uint32_t n_returns; /* retained() leaves */
    /* of the campaign being done */
    uint32_t campaign, zone;
    uint32_t campaign_tuple;
    uint32_t tuple;              /* of the group being done; of the campaign if it is no group */
    struct kpi_cohorts *cohorts; /* by retained() leaf, for the tuple */
    bool *cohorts_made;
};

/* Begin and end come in pairs, also if the first fails with -ENOMEM. */
int kpi_making_begin(struct kpi_making *making);
void kpi_making_end(struct kpi_making *making);
/* Fills a leaf's rows of a scope; i_return: its place among retained() leaves. 0 or -ENOMEM. */
int kpi_making_fill(struct kpi_making *making, const struct kpi_leaf *leaf, uint32_t i_return,
                    const struct kpi_scope *scope, struct kpi_row *rows);
/* May they be others than those that are kept? */
bool kpi_making_changed(const struct kpi_making *making, const struct kpi_leaf *leaf,
                        const struct kpi_scope *scope);
