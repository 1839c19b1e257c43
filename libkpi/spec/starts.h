/*
 * From when measures count (law 9): merging what shards say, and what it means for a value.
 */
#pragma once

#include "spec/evaluate.h"

/* starts += other, of all instances. */
void kpi_starts_add(const struct kpi_program *program, struct kpi_row *starts,
                    const struct kpi_row *other);

/*
 * Lowers value->complete and raises value->counts_from if an instance of the leaf began to count
 * after the time began that the leaf is about.
 */
void kpi_starts_judge(const struct kpi_plan *plan, const struct kpi_inputs *inputs,
                      const struct kpi_leaf *leaf, const struct kpi_row *starts,
                      const struct kpi_scope *scope, kpi_time as_of, struct kpi_value *value);
