/*
 * `by` of an expectation: {channel: wechat}, {channel: __other__, newcomer: true}, {channel: null}
 * for events without the value. It names every dimension of one breakdown that its KPI has.
 */
#pragma once

#include "cli/test_file.h"
#include "view.h"

/* Reads it; group->node stays NULL if something was reported. */
void test_read_by(const struct test_reader *reader, const struct doc_node *node, uint32_t kpi,
                  struct test_group *group);

/*
 * *value is that of the whole and becomes that of the group, no data if nothing was counted of it.
 * groups: of the view, or NULL.
 */
void test_by_value(const struct test_group *group, const struct view *view,
                   const struct kpi_supplement *groups, uint32_t scope, uint32_t kpi,
                   struct kpi_value *value);
