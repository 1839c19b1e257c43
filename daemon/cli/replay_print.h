/*
 * What `kpid replay` prints of a view, on stdout.
 *
 * As a table: a row for each KPI in each scope, and indented under it one for each group that it is
 * broken down to, by its values: channel="wechat" newcomer="true", null for none.
 *
 * As CSV (RFC 4180, lines end in CR LF): the document that kpis_write() makes, one row a value. The
 * columns are as_of and the members of an item of "kpis" under their names there, those of "scope"
 * as scope.kind and so on; always these, in this order:
 *
 *   as_of,kpi,campaign,scope.kind,scope.start,scope.end,scope.phase,scope.days,scope.count,
 *   scope.unit,scope.minutes,by,unit,state,value,numerator,denominator,complete,definition,reason
 *
 * "by" is that object as JSON.
 * What is null or not there is an empty cell; nothing else is.
 */
#pragma once

#include "view.h"

#include <stdio.h>

/* All return 0 or -ENOMEM; what the stream says of writing is the caller's to ask. */
int replay_print_table(const struct view *view, FILE *out);
/* What the table has behind it: nothing if there is no experiment. */
int replay_print_experiments(const struct view *view, FILE *out);
int replay_print_json(const struct view *view, FILE *out);
int replay_print_csv(const struct view *view, FILE *out);
