/*
 * The compiler of plans: what its parts share while kpi_plan_new() runs.
 *
 *   names.c  lexer.c  parse.c  functions.c   texts to trees
 *   kinds.c  check.c                         what names are, and conditions to cond.h
 *   measures.c                               attributes and measures
 *   sessions.c                               kinds of sessions, and conditions that name them
 *   dimensions.c                             dimensions, segments, breakdowns
 *   funnels.c                                funnels, and their part of the program
 *   tables.c                                 tables: retention, active intervals, lifecycle
 *   experiments.c                            experiments, and what they keep of each user
 *   formula.c  calls.c  retained.c           KPIs and target values, their functions and leaves
 *   grains.c  scope_name.c                   what is reported over which stretches of time
 *   campaigns.c                              campaigns, phases, targets
 *   warn.c                                   what is hardly meant
 *   assemble.c  emit.c                       the program: instances, leaves, dispatch, steps
 *   compile.c                                kpi_plan_new(): the order of it all
 *
 * Each part reports all errors it finds and goes on; a thing that is broken is marked, so that what
 * uses it does not complain again.
 */
#pragma once

#include "spec/complain.h"
#include "spec/cond.h"
#include "spec/plan.h"

#include <kpi/definition.h>

/* Who uses something, for messages: measure "promoters". */
struct kpi_owner {
    const char *sort; /* NULL: nobody in particular, it is always so */
    struct kpi_string name;
};

struct kpi_field_entry {
    struct kpi_string name;
    enum kpi_field_use use;
    bool known;             /* else use is not settled yet */
    struct kpi_owner owner; /* who settled it */
};

struct kpi_attribute_work {
    const struct kpi_attribute_definition *definition;
    bool broken;
    enum kpi_attribute_kind kind;
    uint32_t field; /* of those that have one */
    struct kpi_node *where_tree;
    struct kpi_cond *where; /* NULL: every event */
    uint32_t program;       /* index in the program: definitions that mean the same share one */
    uint32_t slot, n_slots;
    struct kpi_session session; /* SESSION */
    uint32_t n_values;          /* SET: at most */
};

struct kpi_measure_work {
    const struct kpi_measure_definition *definition;
    bool broken;
    bool used; /* by a formula */
    enum kpi_aggregate aggregate;
    bool is_mean;            /* SUM: over the number of events */
    bool is_first;           /* LATEST, SCORES */
    uint32_t level;          /* LEVEL */
    uint32_t field;          /* SUM, SCORES, GAUGE, QUANTILES */
    struct kpi_string gauge; /* GAUGE: its name; there is no definition */
    struct kpi_node *where_tree;
    struct kpi_cond *where;
    const struct kpi_node *answer_tree; /* LATEST */
    struct kpi_cond *answer;
    const struct kpi_attribute_work *sum, *less;    /* CAPPED; less NULL: nothing */
    kpi_decimal most;                               /* CAPPED */
    const struct kpi_attribute_work *at, *campaign; /* where events count; NULL: as they say */
    uint64_t fingerprint; /* of what it means, without zone and dimensions */
};

/* Dimensions first, then segments. */
struct kpi_dimension_work {
    const struct kpi_text *name;
    bool broken;
    bool checking; /* a segment whose condition is being checked: it must not ask for itself */
    enum kpi_dimension_kind kind;
    uint32_t index; /* a field, an attribute's definition, an enum kpi_clock */
    uint32_t values_max;
    struct kpi_node *where_tree; /* of a segment */
    struct kpi_cond *where;
    uint64_t fingerprint;
};

/* A breakdown of some KPI: dimensions in the order of their names. */
struct kpi_breakdown_work {
    uint32_t dimensions[KPI_BREAKDOWN_DIMENSIONS_MAX], n;
    bool *kpis; /* by KPI, in the plan's pool */
};

/* What an experiment asks of events: enum kpi_experiment_part. */
struct kpi_experiment_part_work {
    const struct kpi_text *text;      /* empty: there is no such part */
    struct kpi_measure_work *measure; /* that the text names, or NULL: it is a condition */
    struct kpi_node *tree;
    struct kpi_cond *cond; /* NULL: every event */
    uint32_t field;        /* whose number is added; KPI_NO_INDEX: events are counted */
};

struct kpi_experiment_work {
    const struct kpi_experiment_definition *definition;
    bool broken;
    struct kpi_experiment_part_work parts[KPI_EXPERIMENT_PARTS];
    enum kpi_metric metric;
    uint32_t variant; /* the field */
    uint32_t campaign;
    struct kpi_breakdown_work by;
    uint64_t fingerprint; /* of what is kept of each user, but for `by` */
};

/* A condition of a funnel: of a step, or of an exclusion. */
struct kpi_funnel_condition {
    const struct kpi_text *text;
    struct kpi_node *tree;
    struct kpi_cond *where;
};

struct kpi_funnel_work {
    const struct kpi_funnel_definition *definition;
    struct kpi_funnel_condition *conditions; /* of steps, then of exclusions */
    uint32_t n_conditions;
    struct kpi_string step_names[KPI_FUNNEL_STEPS_MAX];
    struct kpi_funnel_exclusion exclusions[KPI_FUNNEL_EXCLUSIONS_MAX];
    const struct kpi_text *by_names[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* in order */
    uint32_t by[KPI_BREAKDOWN_DIMENSIONS_MAX];                     /* KPI_NO_INDEX: the campaign */
    uint32_t mark; /* the first of its marks, once there are such */
};

/* A leaf before the program exists. */
struct kpi_leaf_work {
    uint64_t fingerprint;
    enum kpi_leaf_kind kind;
    uint32_t measure;        /* RETAINED: start */
    uint32_t return_measure; /* RETAINED */
    enum kpi_basis basis;
    enum kpi_table_mode mode;
    enum kpi_table_cohort cohort;
    uint32_t from, to;
    bool match_both;
    kpi_decimal share; /* QUANTILE */
    struct kpi_shift shift;
    bool total;
    uint32_t mature, trailing; /* days */
    uint32_t minutes; /* of the windows that it is reported in, their common divisor; 0: none */
    uint32_t index;   /* in the program, which orders leaves by fingerprint */
};

struct kpi_table_work {
    const struct kpi_table_definition *definition;
    uint32_t measure, back;           /* measures; both the same where there is one only */
    uint32_t bounced;                 /* SESSIONS: a measure, or KPI_NO_INDEX */
    enum kpi_table_cohort cohort;     /* the definition's, or what its start says */
    uint32_t first_start, first_type; /* FIRST_EVER: hidden attributes */
    struct kpi_breakdown_work by;     /* n 0: not broken down */
    uint64_t fingerprint;             /* of what it means, and of how much is shown */
};

struct kpi_compile {
    const struct kpi_definitions *in;
    const struct kpi_mem *mem;
    struct kpi_diag *diag;
    struct kpi_plan *plan;
    struct kpi_pool temp; /* trees and all that the plan does not keep */

    struct kpi_field_entry fields[KPI_FIELDS_MAX];
    struct kpi_string field_names[KPI_FIELDS_MAX]; /* the same names, for kpi_cond_names */
    uint32_t n_fields;
    struct kpi_attribute_work *attributes; /* those defined, then the hidden ones */
    uint64_t *attribute_fingerprints;      /* likewise */
    uint32_t n_attributes, n_hidden;
    struct kpi_measure_work *measures; /* those defined, then the gauges that formulas name */
    uint32_t n_measures, n_gauges;
    struct kpi_dimension_work *dimensions;
    uint32_t n_dimensions;
    struct kpi_funnel_work *funnels;
    uint32_t n_funnels;
    struct kpi_experiment_work *experiments;
    struct kpi_vector breakdowns; /* struct kpi_breakdown_work */
    struct kpi_table_work *tables;
    uint32_t n_tables;
    struct kpi_vector leaves; /* struct kpi_leaf_work */
    struct kpi_vector grains; /* struct kpi_grain */
    bool grains_refused;      /* there would be more, but for mistakes that were reported */
};

static inline struct kpi_cond_names kpi_compile_names(const struct kpi_compile *compile)
{
    return (struct kpi_cond_names){compile->field_names, compile->attribute_fingerprints};
}

/* kinds.c */

/*
 * The field of this name, added if it is new; KPI_NO_INDEX if there are too many or the name is one
 * that fields cannot have, which was reported then.
 */
uint32_t kpi_check_field(struct kpi_compile *compile, const struct kpi_text *text,
                         const struct kpi_node *name);
/* Says that a field is used so; false if it is used otherwise already, which was reported then. */
bool kpi_check_use(struct kpi_compile *compile, const struct kpi_text *text,
                   const struct kpi_node *node, uint32_t field, enum kpi_field_use use,
                   const struct kpi_owner *owner);
/* Says that nothing but a dimension uses a field that is not settled. */
void kpi_check_any(struct kpi_compile *compile, uint32_t field, const struct kpi_owner *owner);
/*
 * Learns from a condition how fields are used, without complaint. True if anything was learnt: then
 * others may tell more when asked again.
 */
bool kpi_check_infer(struct kpi_compile *compile, const struct kpi_text *text,
                     const struct kpi_node *node, const struct kpi_owner *owner);
/* The attribute of this name, or KPI_NO_INDEX. */
uint32_t kpi_attribute_find(const struct kpi_compile *compile, struct kpi_string name);
/* Likewise, for who needs it: false if there is none, or it is broken, which was reported. */
bool kpi_attribute_named(struct kpi_compile *compile, struct kpi_place place,
                         struct kpi_string name, uint32_t *ret_index);

/* check.c */

/* Checks a condition and makes its canonical form, not sealed. NULL if an error was reported. */
struct kpi_cond *kpi_check_condition(struct kpi_compile *compile, const struct kpi_text *text,
                                     const struct kpi_node *node);

/* measures.c */

/* Compiles attributes and measures up to their fingerprints. */
void kpi_measures_compile(struct kpi_compile *compile);
/* The gauge that a string in a formula names; NULL if an error was reported, or without memory. */
struct kpi_measure_work *kpi_measures_gauge(struct kpi_compile *compile,
                                            const struct kpi_text *text,
                                            const struct kpi_node *node);
/*
 * A hidden attribute, which no condition can ask for: the time of a user's first event of those
 * that `where`, sealed, takes. Its name is shown to people. Returns its index, or KPI_NO_INDEX
 * without memory.
 */
uint32_t kpi_attributes_first_time(struct kpi_compile *compile, const struct kpi_text *name,
                                   struct kpi_cond *where);
/* The measure of this name, or NULL. */
struct kpi_measure_work *kpi_measures_find(struct kpi_compile *compile, struct kpi_string name);

/* sessions.c */

/* What the type of the event that a session makes begins with; the session's name follows. */
#define KPI_SESSION_TYPE "kpid.session."

/* Reads a definition that is one of sessions; false if an error was reported. */
bool kpi_session_read(struct kpi_compile *compile, struct kpi_attribute_work *attribute);
/*
 * Notes in a condition which sessions the types that it names are. False: there is none of such a
 * name, which was reported, or no memory.
 */
bool kpi_sessions_bind(struct kpi_compile *compile, const struct kpi_text *text,
                       struct kpi_cond *cond);
/* Refuses sessions that are made of sessions, once conditions are checked. */
void kpi_sessions_check(struct kpi_compile *compile);
/* What a session means, but for its events, for its fingerprint. */
void kpi_session_write(const struct kpi_compile *compile, struct kpi_writer *writer,
                       const struct kpi_attribute_work *attribute);
/* The session whose events are of this type, as an attribute's index, or KPI_NO_INDEX. */
uint32_t kpi_session_of_type(const struct kpi_compile *compile, struct kpi_string type);

/* dimensions.c */

/* In this order, with the steps of attributes and measures between. */
void kpi_dimensions_read(struct kpi_compile *compile);
bool kpi_dimensions_infer(struct kpi_compile *compile); /* as kpi_check_infer() */
void kpi_dimensions_check(struct kpi_compile *compile);
void kpi_dimensions_fingerprint(struct kpi_compile *compile);
/* The segment of this name among compile->dimensions, or KPI_NO_INDEX. */
uint32_t kpi_segment_find(const struct kpi_compile *compile, struct kpi_string name);
/* The dimension or segment of this name, or KPI_NO_INDEX with an error reported. */
uint32_t kpi_dimension_find(struct kpi_compile *compile, const struct kpi_text *text);
/* What KPIs are broken down by, in compile->breakdowns, sorted. */
void kpi_breakdowns_compile(struct kpi_compile *compile);
/*
 * The dimensions of a breakdown, or of none, in the order of their names. False: reported, here or
 * before.
 */
bool kpi_breakdown_read(struct kpi_compile *compile,
                        const struct kpi_breakdown_definition *definition,
                        struct kpi_breakdown_work *ret_work);

/* tables.c */

void kpi_tables_compile(struct kpi_compile *compile);
/* The windows of minutes that tables want of a measure; 0: days will do. */
uint32_t kpi_tables_minutes(const struct kpi_compile *compile,
                            bool (*share)(const struct kpi_measure_work *a,
                                          const struct kpi_measure_work *b),
                            const struct kpi_measure_work *measure);

/* funnels.c */

/* In this order, with the steps of measures between. */
void kpi_funnels_read(struct kpi_compile *compile);
bool kpi_funnels_infer(struct kpi_compile *compile); /* as kpi_check_infer() */
void kpi_funnels_check(struct kpi_compile *compile);
/* Once conditions are sealed and the plan is right: what the plan tells of them. */
void kpi_funnels_keep(struct kpi_compile *compile);
/* experiments.c */

/* In this order, with the steps of attributes and measures between. */
void kpi_experiments_read(struct kpi_compile *compile);
bool kpi_experiments_infer(struct kpi_compile *compile); /* as kpi_check_infer() */
void kpi_experiments_check(struct kpi_compile *compile);
void kpi_experiments_fingerprint(struct kpi_compile *compile);
/* Its arms in the order of their names, borrowed; returns how many. */
uint32_t kpi_experiment_arms(const struct kpi_experiment_definition *definition,
                             struct kpi_experiment_arm ret_arms[KPI_ARMS_MAX]);
/* What others may ask of them, in the plan. */
void kpi_experiments_keep(struct kpi_compile *compile);

/* formula.c */

void kpi_formulas_compile(struct kpi_compile *compile);
/*
 * Compiles a target's value: evaluates what is made of literals, audience and budget, and keeps the
 * formula of anything else, which then varies. False if an error was reported, here or before.
 */
bool kpi_formula_target(struct kpi_compile *compile, const struct kpi_text *text,
                        const struct kpi_campaign_info *campaign, struct kpi_target *target);
/* Warns of measures that no formula asks for. */
void kpi_measures_unused(struct kpi_compile *compile);

/* campaigns.c */

void kpi_campaigns_compile(struct kpi_compile *compile);

/* assemble.c */

/* Makes the program out of what the others left. 0 or -ENOMEM. */
int kpi_assemble(struct kpi_compile *compile);

/* warn.c */

/* Warns of definitions that are right and yet hardly meant. Nothing may be broken. */
void kpi_warn(struct kpi_compile *compile);

/* compile.c */

/* Checks a name's form and that no earlier one is the same. `earlier` gives name i < index. */
struct kpi_names_seen {
    const char *sort; /* "measure" */
    const void *definitions;
    size_t stride; /* of a definition, which begins with its name */
};
bool kpi_name_check(struct kpi_compile *compile, const struct kpi_names_seen *seen, uint32_t index);
