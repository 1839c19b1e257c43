/* The keys `at` and `campaign` of measures. */
#pragma once

#include "spec/compile.h"

/* Finds the attributes that a measure names, once fields have their kinds; reports what is wrong. */
void kpi_redirect_check(struct kpi_compile *compile, struct kpi_measure_work *measure);

/* Writes what they mean, nothing if there are none; once attributes have their fingerprints. */
void kpi_redirect_write(const struct kpi_compile *compile, const struct kpi_measure_work *measure,
                        struct kpi_writer *writer);
