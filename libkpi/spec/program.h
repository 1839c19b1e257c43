/*
 * What the compiler (spec/) hands to the engine (engine/): the plan in the form that events meet.
 *
 * Glossary. An *instance* is a measure as it is stored: its aggregation and filter, in one zone, by
 * one set of dimensions, by days or by windows of some minutes (kpi/scope.h). Measures that say the
 * same share an instance. users(n) is stored as a chain of instances, one per level: S1 (users), S2
 * (users seen at least twice that day), … each level's instance naming the one below. A *leaf* is a
 * measure (or retained(…)) in a formula; it reports one to three rows. A *dimension set* is what a
 * breakdown tells events apart by, beside the campaign; a *tuple* is a campaign with one value of
 * each of its dimensions.
 */
#pragma once

#include <kpi/alert.h>
#include <kpi/experiment.h>
#include <kpi/funnel.h>
#include <kpi/plan.h>
#include <kpi/report.h>
#include <kpi/table.h>

/* What tells an instance's cells apart. */
enum kpi_dimensions {
    KPI_DIMENSIONS_NONE,     /* one tuple: everything */
    KPI_DIMENSIONS_CAMPAIGN, /* field 0 of the event; events without it feed no such cell */
    KPI_DIMENSIONS_SETS,     /* and above: the campaign and the dimensions of set (this - SETS) */
};

/* What an event is told apart by, read as it stood before the event. */
struct kpi_dimension {
    uint64_t fingerprint; /* of what it means, with its bound */
    enum kpi_dimension_kind {
        KPI_DIMENSION_FIELD,
        KPI_DIMENSION_ATTRIBUTE,
        KPI_DIMENSION_CONDITION, /* "true" or "false" */
        KPI_DIMENSION_CLOCK,     /* in zone 0 */
    } kind;
    /* a field, an attribute, a condition (which may be KPI_NO_INDEX), an enum kpi_clock */
    uint32_t index;
    bool is_bool;        /* ATTRIBUTE: its numbers are 0 and 1, for false and true */
    uint32_t values_max; /* further ones are __other__ */
};

struct kpi_dimension_set {
    uint64_t fingerprint; /* of the dimensions' */
    uint32_t n;
    uint32_t dimensions[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* in the order of their fingerprints */
    bool total;          /* of all events: the campaign of a tuple is none */
    uint32_t tuples_max; /* of a campaign; the values of further ones are all __other__ */
};

enum kpi_aggregate {
    KPI_AGGREGATE_COUNT,
    KPI_AGGREGATE_SUM,    /* of a number field; events without the field do not count */
    KPI_AGGREGATE_LEVEL,  /* distinct users seen at least `level` times in that day or window */
    KPI_AGGREGATE_LATEST, /* users; those whose latest, or first, answer (by time; at a tie, yes
                             wins) is yes */
    KPI_AGGREGATE_SCORES, /* the latest, or first, value of a number field of each user (by time; at
                             a tie the greater wins) */
    KPI_AGGREGATE_GAUGE,  /* the latest value of a number field; likewise */
    KPI_AGGREGATE_QUANTILES, /* all values of a number field, as a sketch */
    KPI_AGGREGATE_CAPPED,    /* what events add to sums of each user, up to a cap */
};

#define KPI_NO_INDEX UINT32_MAX

/* Does it take a field, and so only events that have it? */
static inline bool kpi_aggregate_has_field(enum kpi_aggregate aggregate)
{
    return aggregate == KPI_AGGREGATE_SUM || aggregate == KPI_AGGREGATE_SCORES ||
           aggregate == KPI_AGGREGATE_GAUGE || aggregate == KPI_AGGREGATE_QUANTILES;
}

struct kpi_instance {
    uint64_t fingerprint; /* aggregate, level, field, filter, zone, dimensions, grain */
    enum kpi_aggregate aggregate;
    uint32_t dimensions; /* enum kpi_dimensions */
    uint32_t zone;
    uint32_t minutes;   /* of a window; 0: stored by days */
    uint32_t level;     /* LEVEL: 1 … KPI_LEVELS_MAX */
    uint32_t below;     /* LEVEL > 1: instance of level - 1, else KPI_NO_INDEX */
    uint32_t above;     /* LEVEL: instance of level + 1 if one is stored, else KPI_NO_INDEX */
    uint32_t field;     /* SUM, SCORES, GAUGE, QUANTILES */
    uint32_t condition; /* filter, or KPI_NO_INDEX: every event */
    uint32_t answer;    /* LATEST: the condition that makes a yes */
    bool is_first;      /* LATEST, SCORES: of several answers the first counts */
    uint32_t sum, less; /* CAPPED: attributes; of `sum` without `less`, if there is one, no more */
    int64_t most;       /* than this counts of a user */
    uint32_t at;        /* attribute by whose time an event counts, or KPI_NO_INDEX: its own */
    uint32_t campaign;  /* attribute that names whose it is; KPI_NO_INDEX: field 0 does. If it is a
                           SET, each of them gets a part */
    uint64_t reads;     /* attributes that say what feeds it, and those behind them: bit i is the
                           program's attribute i */
};

/* What an event of a known type may do: feed `instance` if the residual condition holds. */
struct kpi_action {
    uint32_t instance; /* never a level above 1: the engine walks `above` itself */
    uint32_t
        condition; /* what is left of the filter once the type is known; KPI_NO_INDEX: nothing */
    uint32_t part; /* of an experiment: enum kpi_experiment_part */
};

/* What an experiment takes from events. */
enum kpi_experiment_part {
    KPI_EXPERIMENT_EXPOSURE,
    KPI_EXPERIMENT_GOAL,        /* x */
    KPI_EXPERIMENT_DENOMINATOR, /* y */
    KPI_EXPERIMENT_PARTS,
};

struct kpi_experiment_arm {
    struct kpi_string name;
    uint64_t hash;
    uint32_t index; /* in the order of the definition */
};

/*
 * What an experiment keeps of each user: its attribute's slots in the row, see
 * engine/experiments.c.
 */
struct kpi_experiment {
    uint32_t attribute; /* KPI_ATTRIBUTE_EXPERIMENT */
    bool is_proportion; /* what counts is whether there was a goal, not how many */
    uint32_t variant;   /* the field that names the arm */
    uint32_t fields[KPI_EXPERIMENT_PARTS]; /* whose number is added; KPI_NO_INDEX: 1 is */
    bool has_denominator;
    uint64_t reads;    /* attributes that its conditions and `by` ask for: as kpi_instance.reads */
    kpi_time from, to; /* KPI_TIME_NONE, INT64_MAX: unbounded */
    uint32_t n_arms;
    struct kpi_experiment_arm arms[KPI_ARMS_MAX]; /* sorted: the state holds places in this order */
    uint32_t set;                                 /* of `by`, or KPI_NO_INDEX: there is none */
    uint8_t places[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* of each of `by`: the part of a tuple */
    uint32_t tuple_slot; /* of the attribute's: the tuple of the first exposure */
};

/*
 * How a user's events make sessions. The row has room for as many *open* ones as there can be:
 * those whose last event is less than two gaps before the log's time. They are over a gap apart
 * (but for midnights), and none can be further ahead than events may be, so they are few.
 */
struct kpi_session {
    kpi_duration gap, max;      /* max 0: none */
    enum kpi_midnight midnight; /* of zone 0 */
    uint32_t n_open;            /* at most */
    uint32_t n_values;          /* field 0, which is the campaign, and others: what one keeps */
    uint32_t fields[1 + KPI_SESSION_FIELDS_MAX];
    uint32_t seconds, events, day; /* number fields of the event that one makes */
    uint32_t type; /* of that event, in the program's types; KPI_NO_INDEX: nobody asks */
};

enum {
    KPI_SESSION_OPEN_MAX = 16,
    /* First and last time; then 32 bits each: how many events, and its values. */
    KPI_SESSION_SLOTS_MAX = 2 + (1 + 1 + KPI_SESSION_FIELDS_MAX + 1) / 2,
    KPI_VALUE_SLOTS_MAX = 6, /* of an attribute that is no session */
    KPI_ATTRIBUTE_SLOTS_MAX = KPI_SESSION_OPEN_MAX * KPI_SESSION_SLOTS_MAX, /* of one attribute */
    /* with the hidden ones: two a table, one an experiment */
    KPI_ATTRIBUTES_ALL_MAX = KPI_ATTRIBUTES_MAX + 2 * KPI_TABLES_MAX + KPI_EXPERIMENTS_MAX,
};

/* 8-byte slots of one open session. */
static inline uint32_t kpi_session_slots(const struct kpi_session *session)
{
    return 2 + (1 + session->n_values + 1) / 2;
}

struct kpi_attribute {
    uint64_t fingerprint;
    enum kpi_attribute_kind {
        KPI_ATTRIBUTE_COUNT,
        KPI_ATTRIBUTE_SUM,
        KPI_ATTRIBUTE_MIN_TIME,
        KPI_ATTRIBUTE_MAX_TIME,
        KPI_ATTRIBUTE_LAST,  /* value of a field, of the event with the highest time seen so far */
        KPI_ATTRIBUTE_FIRST, /* with the lowest */
        KPI_ATTRIBUTE_MIN,   /* least value of a number field */
        KPI_ATTRIBUTE_MAX,
        KPI_ATTRIBUTE_SET,     /* values of a string field, of the events with the highest times */
        KPI_ATTRIBUTE_SESSION, /* no value, but open sessions: see engine/sessions.h */
        KPI_ATTRIBUTE_EXPERIMENT, /* what an experiment keeps: see struct kpi_experiment */
    } kind;
    uint32_t field;     /* all but COUNT and the times; EXPERIMENT: the experiment */
    uint32_t condition; /* or KPI_NO_INDEX */
    /*
     * 8-byte slots in the row: [start, end) of the period if it is reset; the time of the value for
     * FIRST and LAST, and MIN and MAX if `within` is set; the value. The first one is KPI_TIME_NONE
     * while there is no value. Of SET: time and value of each, the latest first; behind the last
     * one KPI_TIME_NONE.
     */
    uint32_t slot, n_slots;
    bool is_string; /* FIRST, LAST or SET of a string field: value slots hold dictionary ids */
    enum kpi_reset reset;
    kpi_duration within;               /* 0: for ever */
    const struct kpi_session *session; /* SESSION */
};

static inline uint32_t kpi_attribute_value_slot(const struct kpi_attribute *attribute)
{
    return attribute->slot + attribute->n_slots - 1;
}

/* Does it take a field, and so only events that have it? */
static inline bool kpi_attribute_has_field(enum kpi_attribute_kind kind)
{
    return kind != KPI_ATTRIBUTE_COUNT && kind != KPI_ATTRIBUTE_MIN_TIME &&
           kind != KPI_ATTRIBUTE_MAX_TIME && kind != KPI_ATTRIBUTE_SESSION &&
           kind != KPI_ATTRIBUTE_EXPERIMENT;
}

/* Where the time of its value stands. Not of COUNT, SUM, and MIN and MAX without `within`. */
static inline uint32_t kpi_attribute_time_slot(const struct kpi_attribute *attribute)
{
    return kpi_attribute_value_slot(attribute) - (kpi_attribute_has_field(attribute->kind) ? 1 : 0);
}

/* Has the row a value that still counts at this time? */
static inline bool kpi_attribute_live(const struct kpi_attribute *attribute, const int64_t *row,
                                      kpi_time time)
{
    const int64_t *slots = row + attribute->slot;

    if (slots[0] == KPI_TIME_NONE)
        return false;
    if (attribute->reset && (time < slots[0] || time >= slots[1]))
        return false;
    return !attribute->within ||
           time - row[kpi_attribute_time_slot(attribute)] <= attribute->within;
}

/* What the compiler knows of a funnel beside what kpi/funnel.h tells all. */
struct kpi_funnel {
    struct kpi_funnel_info info;
    uint32_t optional; /* bits of steps, the first step's being 1 */
    struct kpi_funnel_exclusion {
        uint8_t from, to; /* steps, counted from 0 */
    } exclusions[KPI_FUNNEL_EXCLUSIONS_MAX];
    uint64_t reads; /* attributes that its conditions and `by` ask for: as kpi_instance.reads */
    uint32_t set;   /* of `by`, or KPI_NO_INDEX: there is none */
    uint8_t places[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* of each of `by`: the part of a tuple */
};

/* What an event is to a funnel. No bit: it has merely happened, which strict ones ask for. */
struct kpi_funnel_mark {
    uint32_t funnel;
    uint16_t steps, exclusions; /* bits */
};

/* What the event does to its user, beside counting. */
enum kpi_erasure {
    KPI_ERASURE_NONE,
    KPI_ERASURE_ONCE,     /* kpid.user_erased */
    KPI_ERASURE_FOR_GOOD, /* kpid.consent_withdrawn */
};

/* All actions and attribute updates that an event of one type can cause; [n_types] is any other
 * type. */
struct kpi_dispatch {
    struct kpi_string type;
    uint64_t hash; /* XXH3_64bits of type */
    enum kpi_erasure erasure;
    const struct kpi_action *actions;
    uint32_t n_actions;
    const struct kpi_action *updates; /* .instance is an attribute index here */
    uint32_t n_updates;
    bool is_session;                /* no event of the log is of this type; only sessions are */
    const struct kpi_action *marks; /* .instance is a mark index here; funnel by funnel */
    uint32_t n_marks;
};

enum kpi_leaf_kind {
    KPI_LEAF_COUNT,    /* 1 row */
    KPI_LEAF_SUM,      /* 1 row */
    KPI_LEAF_USERS,    /* 1 row: distinct users seen at least `level` times in the scope */
    KPI_LEAF_LATEST,   /* 1 row: users whose latest (first) answer in the scope is yes */
    KPI_LEAF_MEAN,     /* 1 row: as SUM; the mean is that over n_events. Also of QUANTILES */
    KPI_LEAF_QUANTILE, /* 1 row: 0, and the value once kpi_rows_fill_quantiles() has put it there */
    KPI_LEAF_SCORES,   /* 2 rows: the sum of the users' latest (first) values, how many users */
    KPI_LEAF_GAUGE,    /* 1 row: the latest value before the scope's end; n_events is its time */
    KPI_LEAF_FIRST_TIME, /* 1 row: users whose first day, of all that is kept, is in the scope */
    KPI_LEAF_USER_DAYS,  /* 1 row: users of each day of the scope, added up */
    KPI_LEAF_RETAINED /* 3 rows: retained of mature cohorts, users of mature cohorts, users of all
                       */
};

/*
 * Which stretch of time a leaf is about, given a scope: see kpi_leaf_range(). All but NONE and
 * CUMULATIVE make a *base*, something to compare with: without an event it is missing, and what is
 * made of it undefined.
 */
enum kpi_shift_kind {
    KPI_SHIFT_NONE,         /* the scope itself */
    KPI_SHIFT_CUMULATIVE,   /* from the campaign's start to the scope's end */
    KPI_SHIFT_PREVIOUS,     /* n periods of the scope's kind or length before */
    KPI_SHIFT_BEFORE,       /* the n days before the campaign */
    KPI_SHIFT_CAMPAIGN,     /* the same part of campaign n */
    KPI_SHIFT_YEAR_DATE,    /* the same dates a year before; 29 February: 28 February */
    KPI_SHIFT_YEAR_WEEKDAY, /* 52 weeks before */
    KPI_SHIFT_YEAR_LUNAR,   /* as far from the lunar new year of the year before */
};

struct kpi_shift {
    enum kpi_shift_kind kind;
    uint32_t n;
};

static inline bool kpi_shift_is_base(const struct kpi_shift *shift)
{
    return shift->kind > KPI_SHIFT_CUMULATIVE;
}

enum kpi_basis {
    KPI_BASIS_DAY,
    KPI_BASIS_WEEK,  /* begins on the plan's week_start */
    KPI_BASIS_MONTH, /* of the calendar */
    KPI_BASIS_QUARTER,
    KPI_BASIS_YEAR,
};

/*
 * RETAINED, calendar: a user's cohort is the period (day, week, month) of the user's first `start`
 * event within the campaign's tuple, looked for over all that is kept; RECURRING: each period with
 * one, of which the first one counts. The cohorts of a scope are those whose users started inside
 * the scope so. A user of cohort p is retained if seen in `return_` in any of the periods p + from
 * … p + to - 1; UNBOUNDED: or later; EVERY: in each. A cohort is mature when period p + to - 1 has
 * ended at as_of.
 */
struct kpi_leaf {
    enum kpi_leaf_kind kind;
    uint32_t level;               /* USERS */
    enum kpi_basis basis;         /* RETAINED */
    enum kpi_table_mode mode;     /* RETAINED */
    enum kpi_table_cohort cohort; /* RETAINED: FIRST_TIME, RECURRING */
    uint32_t from, to; /* RETAINED: CLASSIC, UNBOUNDED of at=n: n, n + 1; EVERY: 1, n + 1 */
    kpi_decimal share; /* QUANTILE: above 0, below 1 */
    uint32_t sketch;   /* QUANTILE: the first leaf that is about the same values */
    struct kpi_shift shift;
    bool total;        /* of all events, whatever their campaign: `instance` has dimensions NONE */
    uint32_t mature;   /* only days that are over for so many days; 0: all */
    uint32_t trailing; /* the so many days that end where it would; 0: from where it would begin */
    /* by zone (n_zones of each): the instance; for USERS that of level 1,
     * from which `above` leads to `level`. KPI_NO_INDEX where no campaign has that zone. */
    const uint32_t *instance;
    const uint32_t *return_instance; /* RETAINED: dimensions NONE, or CAMPAIGN if match=both */
};

static inline uint32_t kpi_leaf_n_rows(enum kpi_leaf_kind kind)
{
    return kind == KPI_LEAF_RETAINED ? 3 : kind == KPI_LEAF_SCORES ? 2 : 1;
}

/*
 * A breakdown: a set of dimensions, and the leaves of the KPIs that are broken down so. A leaf's
 * instances are those of the set; of RETAINED the start is, and the return is that of the whole.
 */
struct kpi_breakdown {
    struct kpi_breakdown_info info;
    uint64_t fingerprint; /* of its names, set and leaves */
    uint32_t set;
    uint32_t total_set; /* the same without campaigns, for leaves of total(); else KPI_NO_INDEX */
    /*
     * A leaf counts what is not of the group's own campaign, by total() or of_campaign(): then a
     * campaign has a group of every value that any has, as another shard may have counted there.
     */
    bool spreads;
    uint8_t places[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* of info's dimensions: the place in the set */
    const bool *kpis;                             /* by KPI: is it broken down so? */
    const struct kpi_leaf *leaves; /* as the program's; `instance` is NULL of one not needed */
    const uint32_t *leaf_rows;     /* by leaf: its first row in a group, or KPI_NO_INDEX */
    uint32_t n_rows;               /* of a group */
};

/* A sort of scopes, and what is reported in them. */
struct kpi_grain {
    struct kpi_scope pattern;
    bool *kpis;          /* by KPI: is it reported? */
    uint32_t *leaf_rows; /* by leaf: its first row in a scope's block, or KPI_NO_INDEX */
    uint32_t n_rows;     /* in such a block */
};

/*
 * A table. Instances are of the plan's default zone and of all events, whatever their campaign: of
 * the whole, and, if it is broken down, of the set.
 */
struct kpi_table {
    struct kpi_table_info info;
    uint32_t start, back;         /* instances; KPI_NO_INDEX where there is none */
    uint32_t start_by, back_by;   /* of the set; back_by is `back` unless both must match */
    uint32_t bounced, bounced_by; /* SESSIONS; KPI_NO_INDEX where there is none */
    uint32_t set;                 /* KPI_NO_INDEX: not broken down */
    uint8_t
        places[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* of info.by's dimensions: the place in the set */
    /* FIRST_EVER: attributes: when a user's first start event was, and the first of its type */
    uint32_t first_start, first_type;
};

struct kpi_program {
    const struct kpi_dimension *dimensions;
    uint32_t n_dimensions;
    const struct kpi_dimension_set *sets;
    uint32_t n_sets;
    const struct kpi_breakdown *breakdowns;
    uint32_t n_breakdowns;
    const struct kpi_table *tables;
    uint32_t n_tables;
    const struct kpi_instance *instances;
    uint32_t n_instances;
    const struct kpi_attribute *attributes;
    uint32_t n_attributes;
    const struct kpi_experiment *experiments;
    uint32_t n_experiments;
    uint32_t n_updates_max;           /* that an event can cause */
    uint32_t n_slots;                 /* 8-byte slots of an attribute row */
    const struct kpi_dispatch *types; /* n_types + 1, the last for any other type */
    uint32_t n_types;
    const struct kpi_leaf *leaves;
    uint32_t n_leaves;
    const struct kpi_funnel *funnels;
    uint32_t n_funnels;
    const struct kpi_funnel_mark *marks;
    bool has_sketches; /* a leaf is a QUANTILE */
    const struct kpi_grain
        *grains; /* [0]: campaigns and phases, with all KPIs; then as in layouts */
    uint32_t n_grains;
    uint8_t week_start;
    kpi_duration keep, future_skew_max, dedupe_window;
    uint64_t dedupe_ids_max, users_max;
    uint32_t values_max;
};

const struct kpi_program *kpi_plan_program(const struct kpi_plan *plan);

/*
 * Behind the rows of all scopes a report has one of each instance, its *start*: n_events is
 * KPI_START_WHOLE (nothing is missing), KPI_START_FROM (events up to and not with `value` are), or
 * KPI_START_NEVER (likewise, and an attribute that it reads does not know them either). Of two
 * shards' the later one counts.
 */
enum {
    KPI_START_WHOLE,
    KPI_START_FROM,
    KPI_START_NEVER,
};

/* The entry of a type: by its hash, then its bytes. Always an entry. */
const struct kpi_dispatch *kpi_program_dispatch(const struct kpi_plan *plan,
                                                const struct kpi_field *type);

/*
 * Does the condition hold? KPI_NO_INDEX always does. A comparison with an absent field or attribute
 * is false, also one with `!=` or `not in` (and `not` makes it true). `slots` is the user's
 * attribute row as it stood before the event, KPI_TIME_NONE where absent, or NULL for a user
 * without row. Attributes count and sum are 0 and not absent where the event has a user, so that
 * `orders == 0` holds for whoever has not ordered yet. Allocates nothing. `dictionary` turns a LAST
 * string attribute's id into its string.
 */
typedef struct kpi_string (*kpi_dictionary_fn)(void *userdata, int64_t id);
bool kpi_condition_holds(const struct kpi_plan *plan, uint32_t condition,
                         const struct kpi_event *event, const int64_t *slots,
                         kpi_dictionary_fn dictionary, void *userdata);

/*
 * Whose events of what time, in that campaign's zone, feed a leaf: from start_minute of start_day
 * up to end_minute of end_day, which is left out.
 */
struct kpi_range {
    uint32_t campaign;
    kpi_day start_day, end_day;
    uint32_t start_minute, end_minute;
};

/*
 * What a leaf counts for a scope. False: there is no such time (a campaign has no phase of that
 * name, a year is not in the table of lunar new years), so nothing feeds it.
 */
bool kpi_leaf_range(const struct kpi_plan *plan, const struct kpi_scope *scope,
                    const struct kpi_leaf *leaf, struct kpi_range *ret_range);

/* Cuts a leaf's range to its mature days, in the zone of its campaign. False: there is none. */
bool kpi_leaf_range_mature(const struct kpi_leaf *leaf, kpi_day today, struct kpi_range *range);

/* First day of the period that `day` lies in, and of the one n periods later (n < 0: earlier). */
kpi_day kpi_period_start(enum kpi_basis basis, uint8_t week_start, kpi_day day);
kpi_day kpi_period_next(enum kpi_basis basis, kpi_day period_start, int32_t n);
/* The period that a unit of scopes is, but for windows. */
enum kpi_basis kpi_period_basis(enum kpi_scope_kind unit);

/* A period of a table: its first day; on basis hour the hour of the day, as windows are counted. */
struct kpi_period {
    kpi_day day;
    int32_t hour;
};

/* The period that a time, or a day, lies in. Times beyond the zone's table are in its last days. */
struct kpi_period kpi_period_of_time(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                     kpi_time time);
struct kpi_period kpi_period_of_day(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                    kpi_day day);
/* The period n later (n < 0: earlier). */
struct kpi_period kpi_period_advance(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                     struct kpi_period period, int32_t n);
/* When it begins. */
kpi_time kpi_period_time(const struct kpi_plan *plan, struct kpi_period period);
/* As the start of an answer: the day, on basis hour the time; and back. */
int64_t kpi_period_start_of(const struct kpi_plan *plan, enum kpi_table_basis basis,
                            struct kpi_period period);
struct kpi_period kpi_period_from_start(const struct kpi_plan *plan, enum kpi_table_basis basis,
                                        int64_t start);

static inline int kpi_period_compare(struct kpi_period a, struct kpi_period b)
{
    if (a.day != b.day)
        return a.day < b.day ? -1 : 1;
    return (a.hour > b.hour) - (a.hour < b.hour);
}

/* The day of a date, or INT32_MIN if there is none such; and back. */
kpi_day kpi_day_of_date(int32_t year, uint32_t month, uint32_t day_of_month);
void kpi_day_date(kpi_day day, int32_t *ret_year, uint32_t *ret_month, uint32_t *ret_day_of_month);

/* Windows of which both are made; 0 and n: n. */
static inline uint32_t kpi_common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* A day has windows for so many minutes at most; what is left of a longer one is its last window.
 */
#define KPI_DAY_MINUTES_MAX 2880

/* The window, counted from the day's begin, in which so much of the day has passed. */
static inline uint32_t kpi_window_of_day(kpi_duration passed, uint32_t minutes)
{
    uint64_t window = (uint64_t)passed / ((uint64_t)minutes * KPI_MINUTE);

    return window < KPI_DAY_MINUTES_MAX / minutes ? (uint32_t)window
                                                  : KPI_DAY_MINUTES_MAX / minutes - 1;
}

/* How many windows a day has; 0 beyond the zone's table. */
uint32_t kpi_zone_day_windows(const struct kpi_zone *zone, kpi_day day, uint32_t minutes);

/*
 * Where a cell lies in time: the number of its day, or, of an instance stored by windows, the day's
 * number times the windows that a day may have, and the window of the day.
 */
typedef int64_t kpi_window;

static inline uint32_t kpi_instance_windows(const struct kpi_instance *instance)
{
    return instance->minutes ? KPI_DAY_MINUTES_MAX / instance->minutes : 1;
}

/* The first window of a day. */
static inline kpi_window kpi_instance_day(const struct kpi_instance *instance, kpi_day day)
{
    return (kpi_window)day * kpi_instance_windows(instance);
}

/* The day of a window. */
static inline kpi_day kpi_window_day(const struct kpi_instance *instance, kpi_window window)
{
    uint32_t n = kpi_instance_windows(instance);

    return (kpi_day)((window >= 0 ? window : window - (n - 1)) / n);
}
