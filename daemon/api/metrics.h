/*
 * The families of /metrics, from the view, the status and the daemon's counters. KPIs come last, so
 * that a limit of series never hides the state of kpid itself.
 */
#pragma once

#include "api/api.h"
#include "api/exposition.h"

enum {
    METRICS_SAMPLES_MAX = 20000,
    METRICS_GROUP_VALUES_MAX = 1000, /* of broken-down KPIs, each in up to four families */
};

/* Writes everything. view may be NULL: nothing is known yet. Returns 0 or -ENOMEM; the text is the
 * caller's, free(). */
int metrics_write(char **ret_text, size_t *ret_size, enum exposition_format format,
                  const struct view *view, const struct api_status *status);

/* The parts that have files of their own. */
void metrics_write_kpis(struct exposition *exposition, const struct view *view);
void metrics_write_process(struct exposition *exposition, kpi_time started_at);
