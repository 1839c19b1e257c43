/*
 * Reading mappings: what its files share. All that lasts is in an arena that the mappings own; what
 * is needed for checks only is the load's.
 */
#pragma once

#include "codec/mapping.h"
#include "config/load.h"

/* Under way: memory failure is remembered, so that readers can go on to the next mistake. */
struct mapping_draft {
    struct load *load;
    struct arena *arena;
    struct mapping *mapping;
    bool no_memory;
};

/* Texts that must suit what the plan uses a field as. */
struct mapping_text {
    const struct mapping *mapping;
    struct kpi_string field;
    const struct doc_node *node;
};

/* The mappings of the load, made at the first call, and their arena. NULL: no memory. */
struct mappings *mapping_set(struct load *load, struct arena **ret_arena);

/* Memory that lasts; NULL: none, remembered. */
void *mapping_keep(struct mapping_draft *draft, size_t size);
struct kpi_string mapping_keep_string(struct mapping_draft *draft, struct kpi_string text);

/* A path. False: reported. */
bool mapping_read_path(struct mapping_draft *draft, const struct doc_node *node, const char *what,
                       struct kpi_string *ret_path);
/* One or several texts, at most n_max. False: reported. */
bool mapping_read_texts(struct mapping_draft *draft, struct doc_node *node, const char *what,
                        uint32_t n_max, struct kpi_string **ret_texts, uint32_t *ret_n);

/* mapping_entry.c: an entry. `role` is MAPPING_ROLES for a field, whose name is given then. */
void mapping_read_entry(struct mapping_draft *draft, struct doc_node *node, enum mapping_role role,
                        struct kpi_string field, struct mapping_entry *entry);
