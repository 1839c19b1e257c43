/* The aggregate capped() of measures. */
#pragma once

#include "spec/compile.h"
#include "spec/functions.h"

/* Finds the attributes that it names, once these are read; false if an error was reported. */
bool kpi_capped_read(struct kpi_compile *compile, struct kpi_measure_work *measure,
                     const struct kpi_bound *bound);

/* Writes what they mean, nothing for other aggregates; once attributes have their fingerprints. */
void kpi_capped_write(const struct kpi_compile *compile, const struct kpi_measure_work *measure,
                      struct kpi_writer *writer);
