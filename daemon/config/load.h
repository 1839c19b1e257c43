/*
 * One load of the configuration: what all files of this folder share, and the small steps by which
 * a node becomes a value. Whoever finds a mistake reports it and goes on, so that all of them are
 * seen in one run; int results are 0 or -ENOMEM only.
 */
#pragma once

#include "config/report.h"
#include "config/settings.h"
#include "config/suggest.h"
#include "config/doc.h"

#include <kpi/definition.h>

struct load_list {
    void *items;
    uint32_t n, capacity;
};

struct load {
    struct arena arena;
    struct doc_set docs;
    struct report report;
    struct settings settings;
    uint32_t n_shards;
    const struct doc_file *catalogue; /* user definitions replace those that stand here */
    struct load_list attributes, measures, dimensions, segments, breakdowns, kpis, tables, funnels,
        campaigns, experiments, zones;
    const struct doc_node *funnel_templates; /* the catalogue's section, or NULL */
    /* struct doc_node *: the mappings of campaigns, and of the targets of all of them, in order */
    struct load_list campaign_nodes, target_nodes;
    struct load_list mapped_texts;   /* struct mapping_text: checked when there is a plan */
    const struct doc_node *mappings; /* their sections, or NULL */
    const struct doc_node *rates;
};

/*
 * config.c: `load` must stay where it is; its owner ends with settings_deinit() (unless the
 * settings have moved on) and arena_deinit().
 */
void load_init(struct load *load, uint32_t n_shards);
/*
 * config.c: reads a whole configuration from the root of a tree that has been expanded (NULL: there
 * is nothing in it) into load->settings.config. Mistakes are reported; its plan may then be NULL.
 * 0 or -ENOMEM.
 */
int load_configuration(struct load *load, struct doc_node *root);

/* A key that a mapping may hold, and where its value goes. */
struct load_field {
    const char *name;
    struct doc_node **node; /* set to NULL first */
};

/*
 * Distributes the values of a mapping. Reports unknown keys (with did-you-mean) and a node that is
 * no mapping; `what` names it: "receiver", "target". False if it is no mapping.
 */
bool load_fields(struct load *load, const struct doc_node *node, const char *what,
                 const struct load_field *fields, size_t n_fields);

/*
 * Reports that a key of a mapping is missing, unless an unknown one was meant to be it, which
 * load_fields() has told. `what` as there; a mapping with a name is told by it.
 */
void load_missing(struct load *load, const struct doc_node *mapping, const char *what,
                  const char *key);

/* A text that is there and not null; `what` names it in messages. False: reported. */
bool load_text(struct load *load, const struct doc_node *node, const char *what,
               struct kpi_string *ret_text);

/* The index of the node's text among words "a|b|c". False: reported, with did-you-mean. */
bool load_choice(struct load *load, const struct doc_node *node, const char *what,
                 const char *words, unsigned *ret_index);

/* A list node, or a single text that stands for a list of one. False: reported. */
bool load_is_list(struct load *load, const struct doc_node *node, const char *what);
/* Is it a text without quotes whose commas were meant to make a list? True: reported. */
bool load_has_commas(struct load *load, const struct doc_node *node, const char *what);
/*
 * The texts of a list, each once, or a single text, as pieces of a definition: what they mean is
 * libkpi's business. *ret_texts is never NULL, also for an empty list; it is not written if all of
 * it was reported. 0 or -ENOMEM.
 */
int load_texts(struct load *load, struct doc_node *node, const char *what,
               const struct kpi_text **ret_texts, uint32_t *ret_n);
/* The first item of such a list. */
static inline struct doc_node *load_first(struct doc_node *node)
{
    return node->kind == DOC_SEQUENCE ? node->first : node;
}
/* The one after `item`. */
static inline struct doc_node *load_next(const struct doc_node *list, const struct doc_node *item)
{
    return list->kind == DOC_SEQUENCE ? item->next : NULL;
}

/* Where a node begins, without length: for a message about all of it. */
struct doc_place load_begin_of(const struct doc_node *node);
/* Reports that what stands in a node is no good: `what: "text" error`. */
void load_wrong(struct load *load, const struct doc_node *node, const char *what,
                const char *error);

/* A piece of a definition for libkpi, which knows its origin; empty for NULL. */
struct kpi_text load_kpi_text(const struct doc_node *node);

/* A path as written in `node`, relative to the file that it is written in. NULL: no memory. */
const char *load_path(struct load *load, const struct doc_node *node);

/* Room for one more item in a list: a pointer to it, zeroed. NULL: no memory. */
void *load_push(struct load *load, struct load_list *list, size_t item_size);
/* The same for a list of nodes. 0 or -ENOMEM. */
int load_push_node(struct load *load, struct load_list *list, const struct doc_node *node);

/* expand.c: replaces ${VAR}, ${VAR:-default} and $$ in all values below root. 0 or -ENOMEM. */
int load_expand(struct load *load, struct doc_node *root);

/*
 * secret.c: a secret given as x (node) or in the file that x_file names (file_node); either may be
 * NULL. *ret_secret is malloc'ed, NULL if there is none or it was reported. 0 or -ENOMEM.
 */
int load_secret(struct load *load, const struct doc_node *node, const struct doc_node *file_node,
                const char *what, char **ret_secret);

/* definitions.c: what a file defines, but for campaigns and experiments. 0 or -ENOMEM. */
int load_attributes(struct load *load, const struct doc_node *section);
int load_sessions(struct load *load, const struct doc_node *section); /* into load->attributes */
int load_measures(struct load *load, const struct doc_node *section);
int load_dimensions(struct load *load, const struct doc_node *section);
int load_segments(struct load *load, const struct doc_node *section);
int load_breakdowns(struct load *load, const struct doc_node *section);
int load_kpis(struct load *load, const struct doc_node *section);
int load_tables(struct load *load, const struct doc_node *section);  /* tables.c */
int load_funnels(struct load *load, const struct doc_node *section); /* funnels.c */
/*
 * warnings.c: what is right and will hardly do what was meant; also what is found only now to be
 * wrong. There may be no plan. root is that of the main file; now 0: no campaign is called over.
 */
void load_warnings(struct load *load, const struct doc_node *root, kpi_time now);

/* experiments.c. Needs all campaigns. */
int load_experiments(struct load *load, const struct doc_node *section);

/* campaigns.c. Needs the zone of the settings, and all KPIs. */
int load_campaigns(struct load *load, const struct doc_node *section);
/* The index of a zone's table, made if need be; *ret_zone is not written if that was reported. */
int load_zone(struct load *load, const struct doc_node *node, struct kpi_string name,
              uint32_t *ret_zone);

/* mappings.c: what can only be said with the plan and all settings. 0 or -ENOMEM. */
int load_mappings_finish(struct load *load);
/* rates.c: the same. Needs the zone of the settings. */
int load_rates_finish(struct load *load);
