/*
 * Tables: what is made of the users of periods, and is no single number.
 *
 * A *period* is an hour, a local day of the plan's default zone, a week, a month, a quarter or a
 * year. Answers of the kind KPI_ANSWER_TABLE have the table as `index`, the values of its
 * breakdown (none: the whole), and what is seen in or from the period that begins at `start`, a
 * local day, or, on basis hour, an instant.
 *
 * - *Retention*: a cohort is the users of a period by their start event; cells tell how many of
 *   them returned n periods later. On basis elapsed the cohort is that of a day, and n counts 24
 *   hours each from the hour of the user's own start.
 * - *Active intervals*: in a longer period, how many users were active in exactly n of its
 *   intervals; or trailing: of so many intervals, of which the answer's period is the last.
 * - *Lifecycle*: a period's users by whether they were there in the one before.
 * - *Sessions*: how many a period has, of how many users, and how long they are.
 *
 * Behind those of the whole stands, where it applies, one of part KPI_TABLE_PART_FROM: what a table
 * of first_ever keeps of each user lacks what was before its start, an instant.
 *
 * Everything below the answers is pure: it evaluates what all shards have counted, as of a moment.
 */
#pragma once

#include <kpi/answers.h>
#include <kpi/report.h>

/*
 * A table of the plan. Of retention there are start, back, cohort, mode, percent, periods and
 * brackets; of active intervals over, trailing and at_least; of sessions back and bounced.
 */
struct kpi_table_info {
    struct kpi_string name;
    struct kpi_string title_en, title_zh; /* never empty */
    enum kpi_table_kind kind;
    enum kpi_table_basis basis;
    struct kpi_string start;   /* the measure; of other kinds the one that it is of */
    struct kpi_string back;    /* the measure of the return; of sessions that of the users */
    struct kpi_string bounced; /* of those that bounced; empty: they are not counted */
    enum kpi_table_cohort cohort;
    enum kpi_table_mode mode;
    enum kpi_table_percent percent;
    uint32_t periods; /* cells are of n = 0 … periods; of brackets: to the last */
    const struct kpi_bracket *brackets; /* BRACKET: one cell each */
    uint32_t n_brackets;
    enum kpi_table_basis over;           /* trailing: the basis */
    uint32_t trailing;                   /* intervals up to each one; 0: those of `over` */
    uint32_t at_least;                   /* events of an interval that count as active */
    uint32_t last;                       /* cohorts or periods that are shown, up to the present */
    const struct kpi_breakdown_info *by; /* NULL: not broken down */
    uint64_t fingerprint;                /* of what it means */
    uint64_t state;                      /* of what is kept for it, as in kpi_state_info */
};

uint32_t kpi_plan_n_tables(const struct kpi_plan *plan);
const struct kpi_table_info *kpi_plan_table(const struct kpi_plan *plan, uint32_t table);

/* Parts of answers. */
enum {
    KPI_TABLE_PART_PERIOD,
    KPI_TABLE_PART_FROM,
};

/* What the cells of an answer mean. */
enum {
    KPI_TABLE_CELL_SIZE = 0,  /* retention: users of the cohort */
    KPI_TABLE_CELL_FIRST = 1, /* retention: and those of n = 0, 1 … or of each bracket */

    KPI_TABLE_CELL_NEW = 0, /* lifecycle */
    KPI_TABLE_CELL_RETURNING,
    KPI_TABLE_CELL_RESURRECTING,
    KPI_TABLE_CELL_DORMANT,
    KPI_TABLE_N_LIFECYCLE,

    KPI_TABLE_CELL_SESSIONS = 0, /* sessions, whose lengths are the answer's sketch */
    KPI_TABLE_CELL_USERS,
    KPI_TABLE_CELL_BOUNCED,
    KPI_TABLE_CELL_SECONDS, /* the sum of the lengths, in 10^-6 */
    KPI_TABLE_CELL_OPEN,    /* of the whole: those cut by gap that are not over, as of now */
    KPI_TABLE_N_SESSIONS,
    /* active intervals: [n - 1] is how many users were active in exactly n of them */
};

/* The users of a cell of an answer; KPI_ANSWER_CELL_HIDDEN: these are not told. */
int64_t kpi_table_users(const struct kpi_answer *answer, uint32_t cell);

/* When the period that an answer is of begins, and when it ends. */
kpi_time kpi_table_start(const struct kpi_plan *plan, uint32_t table, int64_t start);
kpi_time kpi_table_end(const struct kpi_plan *plan, uint32_t table, int64_t start);
/* When the first begins of all that are counted up to that end: trailing, of several periods. */
kpi_time kpi_table_from(const struct kpi_plan *plan, uint32_t table, int64_t start);

/*
 * Is an answer of this start among the last ones that have begun as of then? Trailing, only if all
 * of its intervals are kept.
 */
bool kpi_table_shows(const struct kpi_plan *plan, uint32_t table, int64_t start, kpi_time as_of);

/*
 * From when a table counts, by merged rows (kpi_value.counts_from); KPI_TIME_NONE: from the begin
 * of all that is kept. by: of its groups, else of the whole. What first_ever keeps of each user is
 * told by merged answers.
 */
kpi_time kpi_table_counts_from(const struct kpi_layout *layout, const struct kpi_row *rows,
                               uint32_t table, bool by);
kpi_time kpi_table_users_from(const struct kpi_answers *answers, uint32_t table);

/*
 * A cell of a cohort: of periods [n, to) behind its own. It is mature when these have ended for all
 * of its users, and the table counted when the cohort's own began; until then it may still grow. (A
 * cell of mode UNBOUNDED may also then.)
 */
struct kpi_table_cell {
    uint32_t n, to;
    int64_t users; /* KPI_ANSWER_CELL_HIDDEN: these are not told */
    int64_t of;    /* what it is a share of; not above 0: of nothing that could be told */
    bool mature;
};

/* Cells of a cohort that there can be. */
uint32_t kpi_table_n_cells(const struct kpi_table_info *info);
/*
 * The cells of a cohort whose time has begun, the first ones of all; ret_cells has room for
 * kpi_table_n_cells(). Returns how many these are.
 */
uint32_t kpi_table_cells(const struct kpi_plan *plan, const struct kpi_answer *answer,
                         kpi_time counts_from, kpi_time as_of, struct kpi_table_cell *ret_cells);

/* A cell over cohorts, of those only in which it is told, mature and a share of something. */
struct kpi_table_mean {
    uint32_t n, to;
    uint32_t n_cohorts;
    int64_t users, of; /* weighted: users / of */
    double sum;        /* of the shares; simple: sum / n_cohorts */
    bool hidden; /* a cell is not told, as it is small: without it these are too large or small */
};

/* Adds the cells of a cohort; means are zero at first, and as many as kpi_table_n_cells(). */
void kpi_table_means_add(struct kpi_table_mean *means, const struct kpi_table_cell *cells,
                         uint32_t n_cells);

/* The sessions of a period. */
struct kpi_table_sessions {
    int64_t sessions, users, bounced;
    int64_t open;            /* not over, and not in the others; of the whole only */
    double mean;             /* of the lengths, in seconds; NAN if there is none */
    kpi_decimal median, p90; /* of nearest rank; KPI_TIME_NONE if there is none */
    double error;            /* of these two, at most; 0: they are exact */
};

/* Returns 0 or -ENOMEM. */
int kpi_table_sessions_get(const struct kpi_answer *answer, const struct kpi_mem *mem,
                           struct kpi_table_sessions *ret_sessions);
