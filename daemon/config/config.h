/*
 * The configuration: a YAML file (and its includes) read, checked and turned into settings and a
 * compiled plan. Everything is built anew at each load; the caller swaps. All errors at once, each
 * with file:line:column, source line, caret and did-you-mean, handed to `report`.
 *
 * The settings are declared once, in settings.def (name, type, unit, range, default, reloadable,
 * help); parsing, `kpid check`, docs and defaults come from it.
 */
#pragma once

#include <kpi/plan.h>
#include <stdbool.h>
#include <stdio.h>

enum config_start {
    CONFIG_START_BEGINNING,
    CONFIG_START_END,
    CONFIG_START_TIME,
};

enum config_on_loss {
    CONFIG_ON_LOSS_REBUILD,
    CONFIG_ON_LOSS_HALT,
};

struct config_receiver {
    char *name;
    char *url;
    char *secret;  /* NULL: unsigned */
    char *ca_file; /* NULL: the system's */
    char **allow;  /* NULL-terminated list of CIDRs, or NULL */
};

struct config_property {
    char *name;
    char *value;
};

struct mappings;

struct config {
    char *path; /* as given */
    struct {
        char *brokers; /* NULL: the file has no section kafka (replay and tests need none) */
        char **topics;
        uint32_t n_topics;
        char *group;
        enum config_start start;
        kpi_time start_time;
        char *dead_letter_topic; /* NULL: refused events are only counted */
        kpi_duration session_timeout;
        struct config_property *properties; /* allow-listed librdkafka properties */
        uint32_t n_properties;
    } kafka;
    struct {
        char *url; /* NULL: no store, state lives in memory only (demo) */
        char *username;
        char *password;
        uint32_t replicas;
    } redis;
    struct {
        char *listen;       /* address:port */
        char *external_url; /* for links in alerts; NULL: none */
    } http;
    struct {
        kpi_duration interval;
        uint64_t max_unsaved; /* records per shard */
    } checkpoint;
    struct {
        enum config_on_loss on_loss;
        char *key_file; /* the secret for ids, made at first start */
    } state;
    uint32_t workers; /* threads */
    char *currency;
    struct mappings *mappings; /* how messages become events, and rates; NULL: neither is given */
    struct config_receiver *receivers;
    uint32_t n_receivers;
    uint64_t dedupe_memory; /* bytes, for all shards of the group */
    struct kpi_plan *plan;  /* one reference */
    uint64_t fold;          /* hash of all that decides what state a shard has at given offsets */
    uint32_t n_warnings;
};

enum {
    CONFIG_E_INVALID = 1, /* errors were reported */
    CONFIG_E_MISSING,     /* the file cannot be read; reported */
};

/* A message in parts, for editors. Lines and columns count from 1; columns count characters. */
struct config_message {
    const char *file;
    uint32_t line, column, end_column; /* [column, end_column) of that line; 1, 1, 1: all of it */
    bool is_error;                     /* else a warning */
    const char *text;
    const char *suggestion; /* what was probably meant, or NULL */
};

/* Who hears what is wrong: `line` or `message`, once a message, errors and warnings. */
struct config_report {
    /* A message rendered with source line and caret, ending in a newline. */
    void (*line)(void *userdata, const char *text);
    void *userdata;
    void (*message)(void *userdata, const struct config_message *message); /* instead, if set */
    bool errors_only; /* warnings are counted, in config.n_warnings */
    kpi_time now;     /* what is over by then is warned of; 0: nothing is */
};

/*
 * Reads and checks FILE. n_shards (0: not known yet, 1 is assumed) divides limits that are given
 * for the whole group. Returns 0, CONFIG_E_… or -ENOMEM.
 */
int config_load(struct config **ret_config, const char *path, uint32_t n_shards,
                const struct config_report *report);
struct config *config_free(struct config *config); /* NULL is fine; returns NULL */

/*
 * Names every setting that differs between the two and is not taken up by a reload ("kafka.group"),
 * so that whoever swaps can say that it needs a restart.
 */
void config_compare(const struct config *running, const struct config *loaded,
                    void (*tell)(void *userdata, const char *setting), void *userdata);

enum {
    CONFIG_SETTINGS_MAX = 64
};

/* A setting that needs a restart, and a hash of what it is. */
struct config_setting {
    const char *name; /* "kafka.group" */
    uint64_t hash;
};

/*
 * Those settings, without secrets, and without threads, which depend on the machine. Returns how
 * many there are.
 */
uint32_t config_settings(const struct config *config,
                         struct config_setting ret_settings[CONFIG_SETTINGS_MAX]);

/* "kpid.yaml: OK (12 campaigns, 34 KPIs, 3 receivers)", terminated, cut at size. */
void config_summary(const struct config *config, char *text, size_t size);

/* The settings table as text, for `kpid check --settings` and the docs. */
void config_print_settings(FILE *out);
