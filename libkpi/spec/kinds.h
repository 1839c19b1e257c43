/*
 * The kinds of values in conditions, and what names there stand for: shared by inferring (kinds.c)
 * and checking (check.c).
 */
#pragma once

#include "spec/compile.h"

enum kpi_kind {
    KPI_KIND_UNKNOWN,
    KPI_KIND_BOOL,
    KPI_KIND_STRING,
    KPI_KIND_NUMBER,
    KPI_KIND_TIME,
    KPI_KIND_DURATION,
};

/* "a string", for messages. */
const char *kpi_kind_name(enum kpi_kind kind);

enum kpi_reference_sort {
    KPI_REFERENCE_FIELD,
    KPI_REFERENCE_ATTRIBUTE,
    KPI_REFERENCE_SEGMENT, /* index is in kpi_compile.dimensions */
    KPI_REFERENCE_TYPE,
    KPI_REFERENCE_TIME,
    KPI_REFERENCE_ACTIVE_TYPES,
    KPI_REFERENCE_BROKEN,
};

struct kpi_reference {
    enum kpi_reference_sort sort;
    uint32_t index; /* FIELD, ATTRIBUTE; BROKEN: an attribute in error, or KPI_NO_INDEX: no field */
};

/* What a name stands for; a name that nobody knows becomes a field. Reports no error. */
struct kpi_reference kpi_reference_resolve(struct kpi_compile *compile, const struct kpi_text *text,
                                           const struct kpi_node *node);
/* UNKNOWN: a field that nothing has settled yet, or BROKEN. */
enum kpi_kind kpi_reference_kind(const struct kpi_compile *compile, struct kpi_reference reference);

/* Writes what a reference of known kind is and who says so: `is a number in measure "promoters"`.
 */
void kpi_reference_describe(const struct kpi_compile *compile, struct kpi_writer *writer,
                            struct kpi_reference reference);

/* Reports that a field is used as `wanted` here and otherwise elsewhere. */
void kpi_field_conflict(struct kpi_compile *compile, const struct kpi_text *text,
                        const struct kpi_node *node, uint32_t field, enum kpi_kind wanted);
