/*
 * Building a formula: what formula.c (nodes, sides, canonical text) and calls.c (functions and the
 * leaves they make) share.
 */
#pragma once

#include "spec/compile.h"
#include "spec/functions.h"

struct kpi_builder {
    struct kpi_compile *compile;
    const struct kpi_text *text;
    struct kpi_vector terms;   /* struct kpi_term: of the numerator, or of all of it */
    struct kpi_vector divisor; /* of the denominator */
    bool in_divisor;           /* terms go there now */
    int depth;                 /* numbers that wait here; too few after an error */
    bool too_deep;             /* more than KPI_TERMS_DEPTH_MAX; reported */
    const char *clash;         /* see kpi_build_clash(); NULL: none */
    struct kpi_vector leaves;  /* uint32_t, each once */
    struct kpi_writer shown;   /* for people: names of measures and KPIs */
    struct kpi_writer meant;   /* for the fingerprint: fingerprints of measures */
    unsigned hidden;           /* > 0: inside of a KPI or a repetition, which is not shown */

    /* What leaves are about here. */
    struct kpi_shift shift;
    bool total;
    uint32_t mature, trailing; /* days */

    uint32_t kpis[KPI_EXPRESSION_DEPTH_MAX]; /* being built, each named by the one before */
    unsigned n_kpis;
    bool circle; /* one of them names one before it */
};

/* --- formula.c --- */

void kpi_build(struct kpi_builder *builder, const struct kpi_node *node);
/*
 * Builds a node whose value is the whole formula's, so that its last division may set numerator
 * and denominator apart.
 */
void kpi_build_sides(struct kpi_builder *builder, const struct kpi_node *node);
/* Adds a term; NULL without memory. */
struct kpi_term *kpi_build_term(struct kpi_builder *builder, enum kpi_term_kind kind);
/* Writes to both texts; %x and such are of the meaning only. */
void kpi_build_text(struct kpi_builder *builder, const char *text);
void kpi_build_fail(struct kpi_builder *builder, const struct kpi_node *node, const char *message);
/*
 * Fails by what stands around: what is hidden here, a KPI that is named say, may be right by
 * itself, so nobody reports it where it is defined. It is noted, and kpi_build_clash_tell() says it
 * of the node that hides it.
 */
void kpi_build_clash(struct kpi_builder *builder, const struct kpi_node *node, const char *message);
void kpi_build_clash_tell(struct kpi_builder *builder, const struct kpi_node *node);
/* Says that a name is unknown, and what it may have been. */
void kpi_build_unknown(struct kpi_builder *builder, const struct kpi_node *node);

/* --- calls.c --- */

/* A measure as a number. */
void kpi_build_measure(struct kpi_builder *builder, struct kpi_measure_work *measure);
/* A call. sides: as kpi_build_sides(). */
void kpi_build_call(struct kpi_builder *builder, const struct kpi_node *node, bool sides);
/* The measure that an argument names; it must count users. NULL: reported. */
struct kpi_measure_work *kpi_build_users(struct kpi_builder *builder,
                                         const struct kpi_function *function,
                                         const struct kpi_node *node);
/* The leaf's own fingerprint is of what it counts; here comes what it is about. */
void kpi_build_leaf(struct kpi_builder *builder, struct kpi_leaf_work leaf);
/* Writes what leaves are about here; nothing if it is the scope itself. */
void kpi_build_context(const struct kpi_builder *builder, struct kpi_writer *writer);

/* --- retained.c --- */

void kpi_build_retained(struct kpi_builder *builder, const struct kpi_node *node,
                        const struct kpi_function *function, const struct kpi_bound *bound);
