/*
 * Reporting to a caller's kpi_diag.
 */
#pragma once

#include "spec/parse.h"
#include "spec/text.h"

static inline struct kpi_string kpi_text_string(const struct kpi_text *text)
{
    return (struct kpi_string){text->data, text->length};
}

/* The place in a definition that a message is about. */
struct kpi_place {
    uint32_t origin;
    uint32_t offset, length;
};

/* The whole of a text. */
struct kpi_place kpi_place_text(const struct kpi_text *text);
/* A node of the tree made of a text. */
struct kpi_place kpi_place_node(const struct kpi_text *text, const struct kpi_node *node);

/* Reports an error or warning; the text is made with kpi_writer_format()'s conversions. */
void kpi_error(struct kpi_diag *diag, struct kpi_place place, struct kpi_string suggest,
               const char *format, ...);
void kpi_warning(struct kpi_diag *diag, struct kpi_place place, struct kpi_string suggest,
                 const char *format, ...);

#define KPI_NO_SUGGESTION ((struct kpi_string){0})
