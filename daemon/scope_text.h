/*
 * Scopes as people write them in tests and targets, where kpi/scope.h names them: a space may stand
 * for the colon, and a phase for itself:
 *
 *   campaign   day   day 2026-11-03   week 2026-11-02   5m   rolling 7d   burst   phase burst
 *
 * What is read is a pattern: a sort of scopes, and a certain phase or place in time if one is
 * named; a layout gives the rest.
 */
#pragma once

#include <kpi/report.h>

enum {
    SCOPE_TEXT_E_UNKNOWN = 1, /* neither a scope nor a phase of the campaign */
};

/* Reads a scope of a campaign of the plan. 0 or SCOPE_TEXT_E_UNKNOWN. */
int scope_text_parse(struct kpi_string text, const struct kpi_plan *plan, uint32_t campaign,
                     struct kpi_scope *ret_pattern);

/* Writes a scope's name, that of a pattern without a place in time if it has none. */
void scope_text_format(char ret_text[KPI_SCOPE_NAME_BYTES_MAX], const struct kpi_plan *plan,
                       const struct kpi_scope *scope);

/*
 * The scope of a layout that a pattern (also a target's) is about: if it names no certain one the
 * one that is on, but of windows the last that is over, as one that has just begun says nothing.
 * False: there is none at the layout's moment.
 */
bool scope_text_find(const struct kpi_layout *layout, const struct kpi_scope *pattern,
                     uint32_t *ret_scope);
