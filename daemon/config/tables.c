/*
 * Tables: retention, active intervals, lifecycle, sessions. What measures and dimensions they name
 * is libkpi's business; numbers and words are read here.
 */
#include "config/definitions.h"
#include "config/scalar.h"

#include <errno.h>
#include <kpi/plan.h>

/* Words in the order of their enums. */
#define BASIS_WORDS   "hour|day|week|month|quarter|year|elapsed"
#define PERIOD_WORDS  "hour|day|week|month|quarter|year"
#define COHORT_WORDS  "first_time|first_ever|recurring"
#define MODE_WORDS    "classic|unbounded|bracket|every"
#define PERCENT_WORDS "start|previous"
#define MATCH_WORDS   "start|both"

enum {
    BRACKETS_MAX = 50,
};

/* How many periods are looked at behind the start, and shown, unless said: by enum
 * kpi_table_basis. */
static const uint32_t periods_default[] = {24, 30, 12, 12, 8, 5, 30};
static const uint32_t last_default[] = {48, 90, 26, 24, 12, 10, 90};

/* A measure that must be there. */
static void read_measure(struct load *load, const struct doc_node *node, const struct doc_node *at,
                         const char *what, const char *key, struct kpi_text *ret_text)
{
    if (!node)
        report_error(&load->report, doc_node_place(at->key), "%s: %s is missing", what, key);
    (void)definitions_text(load, node, key, ret_text); /* reported */
}

/* A word that may be missing: then the default stays. */
static void read_word(struct load *load, const struct doc_node *node, const char *key,
                      const char *words, unsigned *choice)
{
    if (node)
        (void)load_choice(load, node, key, words, choice); /* reported; the default stays */
}

static void read_number(struct load *load, const struct doc_node *node, const char *key,
                        uint64_t max, uint32_t *number)
{
    struct kpi_string text;
    uint64_t n;

    if (!node || !load_text(load, node, key, &text))
        return;
    if (scalar_integer(text, &n) || n < 1 || n > max)
        report_error(&load->report, doc_node_place(node), "%s: %s is no whole number from 1 to %u",
                     key, QUOTE(text), (unsigned)max);
    else
        *number = (uint32_t)n;
}

/* --- retention --- */

static bool read_bound(struct load *load, const struct doc_node *node, uint32_t *ret_bound)
{
    struct kpi_string text;
    uint64_t n;

    if (!load_text(load, node, "brackets", &text))
        return false;
    if (scalar_integer(text, &n) || n > KPI_TABLE_PERIODS_MAX) {
        report_error(&load->report, doc_node_place(node),
                     "brackets: %s is no whole number from 0 to %d", QUOTE(text),
                     KPI_TABLE_PERIODS_MAX);
        return false;
    }
    *ret_bound = (uint32_t)n;
    return true;
}

/* [1, 7]: periods 1 to 6. */
static bool read_bracket(struct load *load, const struct doc_node *node,
                         struct kpi_bracket *ret_bracket)
{
    if (node->kind != DOC_SEQUENCE || node->n_children != 2) {
        report_error(&load->report, load_begin_of(node),
                     "brackets: a bracket is [from, to], two numbers of periods; `to` is left out");
        return false;
    }
    if (!read_bound(load, node->first, &ret_bracket->from) ||
        !read_bound(load, node->first->next, &ret_bracket->to))
        return false;
    if (ret_bracket->from >= ret_bracket->to) {
        report_error(&load->report, doc_node_place(node->first->next),
                     "brackets: [%u, %u] holds no period: `to` is left out, so it must be greater",
                     ret_bracket->from, ret_bracket->to);
        return false;
    }
    return true;
}

static void read_brackets(struct load *load, const struct doc_node *node,
                          struct kpi_table_definition *table)
{
    struct kpi_bracket *brackets;
    const struct doc_node *item;

    if (node->kind != DOC_SEQUENCE || node->n_children == 0 || node->n_children > BRACKETS_MAX) {
        report_error(&load->report, load_begin_of(node),
                     "brackets: a list of 1 to %d brackets is expected, as [[1, 7], [7, 30]]",
                     BRACKETS_MAX);
        return;
    }
    brackets = arena_alloc(&load->arena, node->n_children * sizeof(*brackets));
    if (!brackets) {
        load->report.no_memory = true;
        return;
    }
    table->periods = 0;
    for (item = node->first; item; item = item->next) {
        struct kpi_bracket *bracket = &brackets[table->n_brackets];

        if (!read_bracket(load, item, bracket))
            continue;
        if (table->n_brackets && bracket->from < bracket[-1].from) {
            report_error(&load->report, doc_node_place(item->first),
                         "brackets: [%u, %u] begins before the one before it, [%u, %u]",
                         bracket->from, bracket->to, bracket[-1].from, bracket[-1].to);
            continue;
        }
        if (bracket->to > table->periods)
            table->periods = bracket->to;
        table->n_brackets++;
    }
    table->brackets = brackets;
}

/* Periods or brackets, as the mode wants it. */
static void read_cells(struct load *load, const struct doc_node *node,
                       const struct doc_node *periods, const struct doc_node *brackets,
                       struct kpi_table_definition *table)
{
    if (table->mode != KPI_TABLE_BRACKET) {
        read_number(load, periods, "periods", KPI_TABLE_PERIODS_MAX, &table->periods);
        if (brackets)
            report_error(&load->report, doc_node_place(brackets->key),
                         "brackets are for mode: bracket only");
        return;
    }
    if (periods)
        report_error(&load->report, doc_node_place(periods->key),
                     "periods: with mode: bracket, the brackets say which");
    if (brackets)
        read_brackets(load, brackets, table);
    else
        report_error(&load->report, doc_node_place(node->key),
                     "retention: mode: bracket needs brackets, as [[1, 7], [7, 30]]");
}

static void read_retention(struct load *load, const struct doc_node *node,
                           struct kpi_table_definition *table)
{
    struct doc_node *start, *back, *basis, *cohort, *mode, *percent, *match, *periods, *brackets,
        *last, *by;
    const struct load_field fields[] = {
        {"start", &start}, {"return", &back},       {"basis", &basis}, {"cohort", &cohort},
        {"mode", &mode},   {"percent", &percent},   {"match", &match}, {"periods", &periods},
        {"last", &last},   {"brackets", &brackets}, {"by", &by},
    };
    unsigned choices[] = {KPI_TABLE_DAY, KPI_TABLE_FIRST_TIME, KPI_TABLE_CLASSIC,
                          KPI_TABLE_OF_START, 0};

    if (!load_fields(load, node, "retention", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    read_measure(load, start, node, "retention", "start", &table->start);
    if (back)
        read_measure(load, back, node, "retention", "return", &table->back);
    read_word(load, basis, "basis", BASIS_WORDS, &choices[0]);
    read_word(load, cohort, "cohort", COHORT_WORDS, &choices[1]);
    if (brackets && !mode)
        choices[2] = KPI_TABLE_BRACKET;
    read_word(load, mode, "mode", MODE_WORDS, &choices[2]);
    read_word(load, percent, "percent", PERCENT_WORDS, &choices[3]);
    read_word(load, match, "match", MATCH_WORDS, &choices[4]);
    table->basis = (enum kpi_table_basis)choices[0];
    table->cohort = (enum kpi_table_cohort)choices[1];
    table->cohort_text = load_kpi_text(cohort);
    table->mode = (enum kpi_table_mode)choices[2];
    table->percent = (enum kpi_table_percent)choices[3];
    table->match_both = choices[4] == 1;
    table->periods = periods_default[table->basis];
    table->last = last_default[table->basis];
    read_cells(load, node, periods, brackets, table);
    read_number(load, last, "last", KPI_TABLE_PERIODS_MAX, &table->last);
    definitions_by(load, by, &table->by);
    if (match && !by)
        report_error(&load->report, doc_node_place(match->key),
                     "match says what the return must have in common with the start; it needs by");
}

/* --- the others --- */

/* `trailing: 28` stands in place of `over`. */
static void read_trailing(struct load *load, const struct doc_node *node,
                          const struct doc_node *over, const char *what,
                          struct kpi_table_definition *table)
{
    static const uint32_t hours[] = {1, 24, 7 * 24, 28 * 24, 90 * 24, 365 * 24}; /* at least */
    kpi_duration length;

    read_number(load, node, "trailing", KPI_TABLE_PERIODS_MAX, &table->trailing);
    table->over = table->basis;
    length = (kpi_duration)table->trailing * hours[table->basis] * KPI_HOUR;
    if (over)
        report_error(&load->report, doc_node_place(node),
                     "%s: intervals are those of a period (over) or the last ones (trailing), not "
                     "both",
                     what);
    else if (length > load->settings.keep)
        report_error(&load->report, doc_node_place(node),
                     "trailing: so many are %u days at least, which is longer than what is kept "
                     "(keep)",
                     (unsigned)((length + KPI_DAY - 1) / KPI_DAY));
}

/* active_days: the same, whose basis is day. */
static void read_intervals(struct load *load, const struct doc_node *node, bool of_days,
                           struct kpi_table_definition *table)
{
    const char *what = of_days ? "active_days" : "active_intervals";
    struct doc_node *of, *over, *trailing, *at_least, *last, *by, *basis = NULL;
    const struct load_field fields[] = {
        {"of", &of},     {"over", &over}, {"trailing", &trailing}, {"at_least", &at_least},
        {"last", &last}, {"by", &by},     {"basis", &basis}};
    unsigned choices[] = {KPI_TABLE_DAY, KPI_TABLE_MONTH};

    if (!load_fields(load, node, what, fields, sizeof(fields) / sizeof(fields[0]) - of_days))
        return;
    table->at_least = 1;
    read_measure(load, of, node, what, "of", &table->start);
    read_word(load, basis, "basis", PERIOD_WORDS, &choices[0]);
    read_word(load, over, "over", PERIOD_WORDS, &choices[1]);
    table->basis = (enum kpi_table_basis)choices[0];
    table->over = (enum kpi_table_basis)choices[1];
    if (trailing)
        read_trailing(load, trailing, over, what, table);
    else if (table->over <= table->basis)
        report_error(&load->report,
                     over    ? doc_node_place(over)
                     : basis ? doc_node_place(basis)
                             : doc_node_place(node->key),
                     "%s: intervals are counted over something longer than their basis", what);
    table->last = last_default[table->over];
    read_number(load, at_least, "at_least", KPI_LEVELS_MAX, &table->at_least);
    read_number(load, last, "last", KPI_TABLE_PERIODS_MAX, &table->last);
    definitions_by(load, by, &table->by);
}

static void read_lifecycle(struct load *load, const struct doc_node *node,
                           struct kpi_table_definition *table)
{
    struct doc_node *of, *basis, *last, *by;
    const struct load_field fields[] = {
        {"of", &of}, {"basis", &basis}, {"last", &last}, {"by", &by}};
    unsigned choice = KPI_TABLE_WEEK;

    if (!load_fields(load, node, "lifecycle", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    read_measure(load, of, node, "lifecycle", "of", &table->start);
    read_word(load, basis, "basis", PERIOD_WORDS, &choice);
    table->basis = (enum kpi_table_basis)choice;
    table->last = last_default[table->basis];
    read_number(load, last, "last", KPI_TABLE_PERIODS_MAX, &table->last);
    definitions_by(load, by, &table->by);
}

static void read_sessions(struct load *load, const struct doc_node *node,
                          struct kpi_table_definition *table)
{
    struct doc_node *of, *users, *bounced, *basis, *last, *by;
    const struct load_field fields[] = {{"of", &of},       {"users", &users}, {"bounced", &bounced},
                                        {"basis", &basis}, {"last", &last},   {"by", &by}};
    unsigned choice = KPI_TABLE_DAY;

    if (!load_fields(load, node, "sessions", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    read_measure(load, of, node, "sessions", "of", &table->start);
    read_measure(load, users, node, "sessions", "users", &table->back);
    if (bounced)
        read_measure(load, bounced, node, "sessions", "bounced", &table->bounced);
    read_word(load, basis, "basis", PERIOD_WORDS, &choice);
    table->basis = (enum kpi_table_basis)choice;
    table->last = last_default[table->basis];
    read_number(load, last, "last", KPI_TABLE_PERIODS_MAX, &table->last);
    definitions_by(load, by, &table->by);
}

static void read_table(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_table_definition *table = item;
    struct doc_node *title, *retention, *intervals, *days, *lifecycle, *sessions;
    const struct load_field fields[] = {
        {"title", &title},      {"retention", &retention}, {"active_intervals", &intervals},
        {"active_days", &days}, {"lifecycle", &lifecycle}, {"sessions", &sessions},
    };
    int n;

    table->start = table->back = table->bounced = table->cohort_text = load_kpi_text(NULL);
    table->title_en = table->title_zh = load_kpi_text(NULL);
    table->periods = table->last = table->at_least = 1;
    if (!load_fields(load, node, "table", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    if (title)
        definitions_title(load, title, &table->title_en, &table->title_zh);
    n = !!retention + !!intervals + !!days + !!lifecycle + !!sessions;
    if (n == 0 && node->n_children > !!title)
        return; /* an unknown kind, which was reported */
    if (n != 1) {
        report_error(&load->report, doc_node_place(node->key),
                     "table %s: it is one of retention, active_intervals, active_days, lifecycle "
                     "and sessions, not %s of them",
                     QUOTE(doc_string(node->key)), n ? "several" : "none");
        return;
    }
    if (retention) {
        table->kind = KPI_TABLE_RETENTION;
        read_retention(load, retention, table);
    } else if (lifecycle) {
        table->kind = KPI_TABLE_LIFECYCLE;
        read_lifecycle(load, lifecycle, table);
    } else if (sessions) {
        table->kind = KPI_TABLE_SESSIONS;
        read_sessions(load, sessions, table);
    } else {
        table->kind = KPI_TABLE_ACTIVE_INTERVALS;
        read_intervals(load, days ? days : intervals, days != NULL, table);
    }
}

int load_tables(struct load *load, const struct doc_node *section)
{
    const struct section tables = {"table", &load->tables, sizeof(struct kpi_table_definition),
                                   KPI_TABLES_MAX, read_table};

    return definitions_read(load, section, &tables);
}
