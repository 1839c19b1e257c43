/*
 * How far a KPI is from its target, as people are told: the deviation that a target allows as it is
 * written in the configuration, and the figures of one that there is.
 */
#pragma once

#include "codec/value_text.h"

#include <kpi/alert.h>

enum {
    DEVIATION_TEXT_BYTES_MAX = VALUE_TEXT_BYTES_MAX + 2,
    DEVIATION_FIGURES_MAX = 3,
};

/* "10pp", "10%", "1.5x", "0.5", of a KPI in seconds "60s". */
void deviation_format(char ret_text[DEVIATION_TEXT_BYTES_MAX], const struct kpi_target *target,
                      enum kpi_unit unit);

struct deviation_figure {
    const char *name; /* constant */
    double value;     /* to 12 digits; not finite if the target or the value is none */
};

/*
 * The same for whichever way the target counts: `deviation_points`, value - target, if the unit is
 * ratio (in percentage points: -10.1) or points, else `deviation_amount`, the same in the KPI's
 * unit; `deviation_ratio`, (value - target) / |target| (-0.155). If a factor counts, behind them
 * `deviation_factor`, value / target. Returns how many there are.
 */
unsigned deviation_figures(struct deviation_figure ret_figures[DEVIATION_FIGURES_MAX],
                           const struct kpi_target *target, enum kpi_unit unit, double value);
