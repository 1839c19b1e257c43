/*
 * Scopes as people write them, in targets, in the API's filter and in tests:
 *
 *   campaign   day   day 2026-11-03   rolling 7d   burst   phase burst
 *
 * "day" alone is the running day. A colon may stand for the space; kpid itself writes the colon.
 * What is read is a pattern: kind, and phase, days or start_day; a layout gives the rest. A new
 * kind of scope is a case in each of the three functions.
 */
#pragma once

#include <kpi/report.h>

enum {
    SCOPE_TEXT_BYTES_MAX = 300,
};

enum {
    SCOPE_TEXT_E_UNKNOWN = 1, /* neither a kind of scope nor a phase of the campaign */
    SCOPE_TEXT_E_DATE,        /* "day" with something that is no date */
    SCOPE_TEXT_E_DAYS,        /* "rolling" with something else than 1d to 9999d */
};

/* Reads a scope of a campaign of the plan. 0 or SCOPE_TEXT_E_…. */
int scope_text_parse(struct kpi_string text, const struct kpi_plan *plan, uint32_t campaign,
                     struct kpi_scope *ret_pattern);

/* Writes "campaign", "phase:burst", "rolling:7d" or "day:2026-11-03" (a pattern: "day"). */
void scope_text_format(char ret_text[SCOPE_TEXT_BYTES_MAX], const struct kpi_plan *plan,
                       const struct kpi_scope *scope);

/*
 * The scope of a layout that a pattern (also a target's) is about, the running day if it names
 * none; false: there is none at the layout's moment.
 */
bool scope_text_find(const struct kpi_layout *layout, const struct kpi_scope *pattern,
                     uint32_t *ret_scope);
