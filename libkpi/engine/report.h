/* What is kept from one report to the next: the rows, and of which state they are. */
#pragma once

#include "engine/state.h"

struct kpi_hot;

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
    struct kpi_row *rows;
    uint32_t n_rows;
    kpi_day *todays; /* by zone: the day that was today */
    uint32_t n_zones;
    struct kpi_cell *views; /* cells with a view */
    struct kpi_hot *hots;
};

/* Forgets everything kept for reports. */
void kpi_report_flush(struct kpi_engine *engine);
