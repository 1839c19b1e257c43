/*
 * Which scopes there are, and which KPIs are reported in them.
 */
#pragma once

#include "spec/compile.h"
#include "spec/text.h"

/* May a window have so many minutes? Then hours or days are made of whole ones. */
bool kpi_grain_minutes_valid(uint32_t minutes);

/* Writes the sort of a scope, as people call it: "week", "5m", "rolling:6x5m". */
void kpi_scope_sort_add(struct kpi_writer *writer, const struct kpi_scope *scope);

/*
 * Reads the grains and rolling scopes of plan and KPIs, and tells the leaves how short the windows
 * are that they are wanted for. Formulas were compiled.
 */
void kpi_grains_compile(struct kpi_compile *compile);

/*
 * Tells the leaves of a target that varies how short its windows are. False: they cannot be
 * reported so, which was reported at its value.
 */
bool kpi_grains_target(struct kpi_compile *compile, const struct kpi_target *target,
                       const struct kpi_text *value);

/* The plan's grain that this pattern is of, or KPI_NO_INDEX. */
uint32_t kpi_grains_find(const struct kpi_compile *compile, const struct kpi_scope *pattern);

/*
 * Minutes of the windows in which a measure must be stored to serve all leaves, those of total() or
 * the others; 0: days.
 */
uint32_t kpi_grains_minutes(const struct kpi_compile *compile,
                            const struct kpi_measure_work *measure, bool total);

/* Gives the grains their rows and the program the grains. The leaves have their order. */
void kpi_grains_keep(struct kpi_compile *compile);
