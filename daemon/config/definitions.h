/* Sections of named definitions, and pieces that several kinds of them have. */
#pragma once

#include "config/load.h"

/* The kinds of definition differ in size and begin with the name. */
struct section {
    const char *kind; /* for people: "measure" */
    struct load_list *list;
    size_t item_size;
    uint32_t n_max;
    void (*read)(struct load *load, const struct doc_node *node, void *item);
};

/* Reads all of a section; those of the catalogue may be replaced. 0 or -ENOMEM. */
int definitions_read(struct load *load, const struct doc_node *node, const struct section *section);

/* A text for libkpi, which may be missing: then what stands there stays. False: reported. */
bool definitions_text(struct load *load, const struct doc_node *node, const char *what,
                      struct kpi_text *ret_text);
/* {en: …, zh: …}, or one text for both */
void definitions_title(struct load *load, const struct doc_node *node, struct kpi_text *title_en,
                       struct kpi_text *title_zh);
/* One dimension, or several that are told apart together. False: reported, or no memory. */
bool definitions_breakdown(struct load *load, struct doc_node *node,
                           struct kpi_breakdown_definition *ret_breakdown);
/* The key `by` of what is broken down one way; NULL: there is none, *breakdown stays. */
void definitions_by(struct load *load, struct doc_node *node,
                    struct kpi_breakdown_definition *breakdown);
