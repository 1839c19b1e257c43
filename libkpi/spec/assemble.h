/*
 * Making the program: what assemble.c and breakdowns.c share while it is under way.
 */
#pragma once

#include "spec/emit.h"

/* What an attribute of the program is made of. */
struct kpi_attribute_source {
    struct kpi_string name;
    struct kpi_cond *where; /* NULL: every event */
    uint32_t index;         /* of the compiler's attributes; of no meaning for an experiment's */
};

/* A part of an experiment, which updates an attribute as its own filter says. */
struct kpi_update_source {
    uint32_t attribute, part;
    struct kpi_cond *where;
};

struct assembler {
    struct kpi_compile *compile;
    struct kpi_plan *plan;
    struct kpi_conditions conditions;
    struct kpi_vector attributes;        /* struct kpi_attribute */
    struct kpi_vector attribute_sources; /* struct kpi_attribute_source: what is behind each */
    struct kpi_vector parts;             /* struct kpi_update_source: of all experiments */
    struct kpi_vector instances;         /* struct kpi_instance */
    struct kpi_vector instance_sources;  /* uint32_t: the measure behind each */
    struct kpi_intern instance_index;
    struct kpi_vector dimensions; /* struct kpi_dimension */
    struct kpi_vector sets;       /* struct kpi_dimension_set */
    struct kpi_vector types;      /* struct kpi_string, sorted once all are there */
    struct kpi_intern type_index;
    struct kpi_vector marks;   /* struct kpi_funnel_mark */
    struct kpi_vector actions; /* struct kpi_action, of all types one after the other */
    struct kpi_pool scratch;   /* for residual conditions */
};

/* The instance of a measure, for users(n) that of level 1 with those above it. 0 or -ENOMEM. */
int kpi_assemble_instance(struct assembler *assembler, uint32_t measure_index, uint32_t zone,
                          uint32_t dimensions, uint32_t *ret_index);
/* The same, with the levels up to `level` whatever the measure's own is. */
int kpi_assemble_levels(struct assembler *assembler, uint32_t measure_index, uint32_t level,
                        uint32_t zone, uint32_t dimensions, uint32_t *ret_index);

/*
 * breakdowns.c: the set of a breakdown's dimensions, of each campaign or in total, and the place in
 * it of each dimension of the breakdown. 0 or -ENOMEM.
 */
int kpi_assemble_set(struct assembler *assembler, const struct kpi_breakdown_work *work, bool total,
                     uint8_t *ret_places, uint32_t *ret_set);
/* breakdowns.c: the names of a breakdown's dimensions. The pool tells if memory ended. */
void kpi_assemble_info(struct assembler *assembler, const struct kpi_breakdown_work *work,
                       struct kpi_breakdown_info *info);

/* tables.c: tables, once the breakdowns are there. 0 or -ENOMEM. */
int kpi_assemble_tables(struct assembler *assembler);

/* funnels.c: their sets and marks. 0 or -ENOMEM. */
int kpi_assemble_funnels(struct assembler *assembler);

/* breakdowns.c: dimensions, sets and breakdowns, once the leaves are there. 0 or -ENOMEM. */
int kpi_assemble_breakdowns(struct assembler *assembler);

/* reads.c: which attributes each instance, funnel and experiment reads. */
int kpi_assemble_reads(struct assembler *assembler);

/* assemble_experiments.c: attributes behind all others, and their updates. 0 or -ENOMEM. */
int kpi_assemble_experiments(struct assembler *assembler);
