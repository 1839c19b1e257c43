/*
 * A plan from inside: what its compiler writes and what evaluates it reads. Everything hangs in the
 * plan's pool and is immutable once kpi_plan_new() returns.
 */
#pragma once

#include "spec/pool.h"
#include "spec/program.h"

#include <kpi/experiment.h>

/* One step of a condition. Steps name their successors, so evaluating is a loop without recursion.
 */
enum kpi_step_kind {
    /* push a number, or go to on_false if it is absent */
    KPI_STEP_LITERAL,
    KPI_STEP_TIME,
    KPI_STEP_CLOCK, /* index is an enum kpi_clock, of zone 0 */
    KPI_STEP_FIELD,
    KPI_STEP_TALLY, /* attribute count: whole number; of a user never seen: 0 */
    KPI_STEP_TOTAL, /* attribute sum; likewise */
    KPI_STEP_SLOT,  /* any other attribute that is a number or time */
    /* pop two, push one; on_false if it leaves 64 bits or divides by zero */
    KPI_STEP_ADD,
    KPI_STEP_SUBTRACT,
    KPI_STEP_MULTIPLY,
    KPI_STEP_DIVIDE,
    KPI_STEP_NEGATE,
    /* tests: pop what they compare, go to on_true or on_false */
    KPI_STEP_COMPARE,
    KPI_STEP_NUMBERS, /* one of numbers[list …] */
    KPI_STEP_STRINGS, /* the text from `source` is one of strings[list …] */
    KPI_STEP_SAME,    /* the texts from `source` and `other` are equal */
    KPI_STEP_BOOL,
};

enum kpi_source {
    KPI_SOURCE_TYPE,
    KPI_SOURCE_FIELD, /* index is a field */
    KPI_SOURCE_SLOT,  /* index is the value slot of an attribute */
};

#define KPI_STEP_TRUE  UINT16_MAX
#define KPI_STEP_FALSE (UINT16_MAX - 1)

struct kpi_step {
    uint8_t kind;
    uint8_t compare; /* enum kpi_compare */
    uint8_t source, other;
    bool negated;
    uint16_t on_true; /* or simply the next one */
    uint16_t on_false;
    uint32_t index, other_index; /* field or slot, of source and other */
    /* The attributes behind slots if their values may be outlived, else KPI_NO_INDEX. */
    uint32_t attribute, other_attribute;
    uint32_t list, n_list;
    int64_t number;
};

/* A string of a list; lists are in order of hash. */
struct kpi_listed {
    uint64_t hash;
    struct kpi_string string;
};

struct kpi_condition {
    uint32_t first; /* its steps begin here in the plan's; successors count from there */
    uint16_t entry; /* the step to begin with, or KPI_STEP_TRUE or _FALSE */
};

/* One step of a formula, which is in postfix order. */
enum kpi_term_kind {
    KPI_TERM_COUNT, /* a whole number: value */
    KPI_TERM_REAL,  /* real */
    KPI_TERM_AUDIENCE,
    KPI_TERM_BUDGET,
    KPI_TERM_BUDGET_PART, /* part */
    KPI_TERM_DAYS,        /* of the scope */
    KPI_TERM_LEAF,
    KPI_TERM_ADD,
    KPI_TERM_SUBTRACT,
    KPI_TERM_MULTIPLY,
    KPI_TERM_DIVIDE,
    KPI_TERM_NEGATE,
    KPI_TERM_ABSOLUTE,
    KPI_TERM_ROOT,
    /* of the upper `value` numbers, without those that are undefined */
    KPI_TERM_MEAN,
    KPI_TERM_MEDIAN,
    KPI_TERM_FALLS, /* of as many, the newest one first: up to the first that is undefined */
};

struct kpi_term {
    enum kpi_term_kind kind;
    uint32_t leaf;
    int64_t value;
    double real;
    struct kpi_string part; /* of the budget */
};

/* Operands of a formula that wait at a time; a formula that needs more is refused. */
#define KPI_TERMS_DEPTH_MAX 160

struct kpi_formula {
    struct kpi_term *terms;              /* the numerator's, then the denominator's */
    uint32_t n_numerator, n_denominator; /* terms; 0: no denominator */
    /* the leaf, if the formula is nothing but one that brings both sides; else KPI_NO_INDEX */
    uint32_t both_sides;
    uint32_t *leaves; /* each once */
    uint32_t n_leaves;
};

struct kpi_plan {
    uint32_t n_references; /* atomic */
    const struct kpi_mem *mem;
    struct kpi_pool pool;
    uint64_t fingerprint;

    struct kpi_field_spec *fields;
    uint32_t n_fields;
    struct kpi_kpi_info *kpis;
    struct kpi_formula *formulas; /* by KPI; then those of targets whose value varies */
    uint32_t n_kpis, n_formulas;
    struct kpi_campaign_info *campaigns;
    uint32_t n_campaigns;
    struct kpi_target *targets;
    uint32_t n_targets;
    struct kpi_zone *zones;
    uint32_t n_zones;
    struct kpi_experiment_info *experiments;
    uint32_t n_experiments;

    struct kpi_program program;
    uint64_t *leaf_fingerprints;
    uint64_t breakdowns_hash;       /* of all breakdowns; 0: there is none */
    uint64_t tables_hash;           /* of all tables; likewise */
    uint64_t funnels_hash;          /* likewise */
    uint64_t experiments_hash;      /* likewise; in their order, which answers go by */
    struct kpi_string *state_names; /* of instances, then of attributes: who asked for them */
    uint32_t min_group;             /* users that a group must be of to be shown; 0: any */
    uint32_t *type_slots;  /* open addressing by hash: index into program.types + 1, 0 is free */
    uint32_t n_type_slots; /* a power of two */
    struct kpi_condition *conditions;
    uint32_t n_conditions;
    struct kpi_step *steps;
    struct kpi_listed *strings;
    int64_t *numbers;
};
