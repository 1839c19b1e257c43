/*
 * What has changed since some version of an engine. Most of it is of a few days: these are looked
 * up once, so that to ask of a stretch of time costs nothing unless one of them lies in it.
 */
#pragma once

#include "engine/state.h"

/* Cells of an instance: [from, to). */
struct kpi_windows {
    kpi_window from, to;
};

struct kpi_changes {
    const struct kpi_engine *engine;
    uint64_t version;
    kpi_day *days; /* with a cell of this version or a later one; ascending */
    uint32_t n_days, n_days_max;
};

/*
 * Those from this version on; 0: everything is one. Valid until an event is applied; deinit() also
 * after a failure, and of one that is all zero. Returns 0 or -ENOMEM.
 */
int kpi_changes_init(struct kpi_changes *changes, const struct kpi_engine *engine,
                     uint64_t version);
void kpi_changes_deinit(struct kpi_changes *changes);

/* Is there one in these windows of a series, or has the series lost a cell since? */
bool kpi_changes_in(const struct kpi_changes *changes, uint32_t instance, uint32_t tuple,
                    struct kpi_windows windows);
