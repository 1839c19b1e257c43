/*
 * What `kpid replay` prints of a view, on stdout.
 *
 * As a table: a row for each KPI in each scope, and indented under it one for each group that it is
 * broken down to, by its values: channel="wechat" newcomer="true", null for none. Behind it stand
 * tables (retention as a triangle of shares), funnels and experiments, each with its groups; "*"
 * is what may still change, "-" what is a share of nothing or of too few users.
 *
 * As CSV (RFC 4180, lines end in CR LF): the document that kpis_write() makes, one row a value. The
 * columns are as_of and the members of an item of "kpis" under their names there, those of "scope"
 * as scope.kind and so on; always these, in this order:
 *
 *   as_of,kpi,campaign,scope.kind,scope.start,scope.end,scope.phase,scope.days,scope.count,
 *   scope.unit,scope.minutes,by,unit,state,value,numerator,denominator,complete,definition,reason,
 *   error,answer.kind,answer.name,answer.part,answer.item,answer.n,answer.to,answer.mature,
 *   answer.measure
 *
 * Behind the KPIs stands a row for each number of tables, funnels and experiments: answer.kind is
 * table, funnel or experiment, part the member of its JSON that the number is in ("cells"), item
 * the step, the arm, or "B - A" of two arms, n (and of brackets to) the cell's, measure the
 * number's name there ("users"), scope.start that of the cohort, period or day. Where min_group
 * hides something there is a row with the state suppressed.
 *
 * "by" is that object as JSON.
 * What is null or not there is an empty cell; nothing else is.
 */
#pragma once

#include "view.h"

#include <stdio.h>

enum {
    REPLAY_BY_BYTES = 1024, /* 4 of them, each a name of at most 64 bytes, and less than 96 */
};

/* ` channel="wechat" newcomer="true"`: values come from outside. `text` is of REPLAY_BY_BYTES. */
void replay_format_by(char *text, const struct kpi_breakdown_info *by,
                      const struct kpi_string *values);

/* All return 0 or -ENOMEM; what the stream says of writing is the caller's to ask. */
int replay_print_table(const struct view *view, FILE *out);
/* What the table has behind it: tables and funnels, then experiments, if there are such. */
int replay_print_answers(const struct view *view, FILE *out);
int replay_print_experiments(const struct view *view, FILE *out);
int replay_print_json(const struct view *view, FILE *out);
int replay_print_csv(const struct view *view, FILE *out);
