/*
 * The settings of settings.def: the public ones of struct config, and those that go into the plan.
 */
#pragma once

#include "config/config.h"
#include "config/doc.h"

#include <kpi/definition.h>

struct load;
struct setting;

/* A list whose items libkpi reads. */
struct settings_texts {
    const struct kpi_text *items;
    uint32_t n;
};

struct settings {
    struct config config; /* its strings are malloc'ed and owned; see settings_deinit() */
    const struct doc_node *timezone;
    uint8_t week_start;
    kpi_duration keep, future_skew_max, dedupe_window;
    uint64_t users_max; /* of all shards */
    uint32_t values_max;
    uint32_t min_group;
    struct settings_texts grains, rolling, catalogue;
    struct {
        struct kpi_text *names;
        uint32_t n;
    } active_types;
    struct doc_node *include;
};

/* What a field holds, for comparing. */
enum setting_storage {
    SETTING_NUMBER,
    SETTING_STRING,     /* char *, may be NULL */
    SETTING_LIST,       /* char **, NULL-terminated, may be NULL */
    SETTING_PROPERTIES, /* kafka.properties */
    SETTING_OTHER,      /* not kept in struct config, or reloadable */
};

/* How the text of a setting is read into its field. */
struct setting_kind {
    const char *name; /* for people */
    enum setting_storage storage;
    /* `target` is the field. Reports what is wrong. 0 or -ENOMEM. */
    int (*read)(struct load *load, const struct setting *setting, struct doc_node *node,
                void *target);
};

struct setting {
    const char *section, *name;
    const char *path; /* "kafka.brokers" */
    const struct setting_kind *kind;
    size_t offset, size; /* of the field */
    const char *words, *min, *max, *fallback;
    bool reload;
    const char *help;
};

extern const struct setting settings_table[];
extern const size_t settings_n;

/*
 * Reads all settings below the root of the main file into load->settings and fills in defaults.
 * Knows the definition sections and leaves them. root NULL: defaults only. 0 or -ENOMEM.
 */
int settings_read(struct load *load, struct doc_node *root);
void settings_deinit(struct settings *settings);

/* Frees what the members of a config own. */
void config_deinit(struct config *config);
