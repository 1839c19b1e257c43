/* The table of settings at work: defaults first, then what the file says, key by key. */
#include "config/settings.h"
#include "config/kinds.h"
#include "config/load.h"
#include "config/scalar.h"
#include "codec/mapping.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define SETTING(section_, name_, field_, reader, words_, min_, max_, fallback_, reload_, help_)    \
    {                                                                                              \
        .section = section_,                                                                       \
        .name = name_,                                                                             \
        .path = sizeof(section_) > 1 ? section_ "." name_ : name_,                                 \
        .kind = &kind_##reader,                                                                    \
        .offset = offsetof(struct settings, field_),                                               \
        .size = sizeof(((struct settings *)NULL)->field_),                                         \
        .words = words_,                                                                           \
        .min = min_,                                                                               \
        .max = max_,                                                                               \
        .fallback = fallback_,                                                                     \
        .reload = reload_,                                                                         \
        .help = help_,                                                                             \
    },

const struct setting settings_table[] = {
#include "config/settings.def"
};
#undef SETTING

const size_t settings_n = sizeof(settings_table) / sizeof(settings_table[0]);

enum {
    SETTINGS_N = sizeof(settings_table) / sizeof(settings_table[0])
};

static const char *const definition_sections[] = {
    "attributes", "sessions", "measures", "dimensions", "segments",   "breakdowns",
    "kpis",       "tables",   "funnels",  "campaigns",  "experiments"};

static void *field(struct load *load, const struct setting *setting)
{
    return (char *)&load->settings + setting->offset;
}

static int read_defaults(struct load *load)
{
    size_t i;
    int r;

    for (i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];
        struct doc_file *file;
        struct doc_node *node;

        if (!setting->fallback)
            continue;
        r = doc_file_new(&load->docs, "default", setting->fallback, strlen(setting->fallback),
                         &file);
        if (r < 0)
            return r;
        r = doc_parse(&load->docs, file, &node);
        if (r < 0)
            return r;
        assert(r == 0); /* our own text; a test reads all of them */
        r = load_expand(load, node);
        if (r < 0)
            return r;
        r = setting->kind->read(load, setting, node, field(load, setting));
        if (r < 0)
            return r;
    }
    return 0;
}

static bool ends_in_file(const struct doc_node *key, const char *name)
{
    size_t length = strlen(name);

    return key->length == length + strlen("_file") && memcmp(key->value, name, length) == 0 &&
           strcmp(key->value + length, "_file") == 0;
}

/* The setting of this section that a key names; a secret is named by x and x_file. */
static const struct setting *find(const char *section, const struct doc_node *key)
{
    size_t i;

    for (i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];

        if (strcmp(setting->section, section) != 0)
            continue;
        if (strcmp(setting->name, key->value) == 0 ||
            (setting->kind == &kind_secret && ends_in_file(key, setting->name)))
            return setting;
    }
    return NULL;
}

static bool is_section(const struct doc_node *key)
{
    size_t i;

    for (i = 0; i < settings_n; i++) {
        if (settings_table[i].section[0] && strcmp(settings_table[i].section, key->value) == 0)
            return true;
    }
    return false;
}

static bool is_definitions(const struct doc_node *key)
{
    size_t i;

    for (i = 0; i < sizeof(definition_sections) / sizeof(definition_sections[0]); i++) {
        if (strcmp(definition_sections[i], key->value) == 0)
            return true;
    }
    return false;
}

static void unknown_key(struct load *load, const char *section, const struct doc_node *key)
{
    struct suggest suggest = suggest_begin(doc_string(key));
    size_t i;

    for (i = 0; i < settings_n; i++) {
        if (strcmp(settings_table[i].section, section) == 0)
            suggest_try(&suggest, settings_table[i].name);
        else if (!section[0])
            suggest_try(&suggest, settings_table[i].section);
    }
    for (i = 0; !section[0] && i < sizeof(definition_sections) / sizeof(definition_sections[0]);
         i++)
        suggest_try(&suggest, definition_sections[i]);
    report_error(&load->report, doc_node_place(key), "unknown key %s%s%s", QUOTE(doc_string(key)),
                 section[0] ? " in " : "", section);
    report_suggest(&load->report, suggest.best);
}

static int read_secret(struct load *load, const struct setting *setting, const struct doc_node *map)
{
    const struct doc_node *node = doc_get(map, setting->name), *file = NULL, *child;
    char **target = field(load, setting);

    for (child = map->first; child && !file; child = child->next)
        file = ends_in_file(child->key, setting->name) ? child : NULL;
    free(*target);
    return load_secret(load, node, file, setting->path, target);
}

/* Reads one key. A secret has two that may both be there, and is read once. */
static int read_key(struct load *load, const char *section, const struct doc_node *map,
                    struct doc_node *node, bool *seen)
{
    const struct setting *setting = find(section, node->key);

    if (!setting) {
        unknown_key(load, section, node->key);
        return 0;
    }
    if (seen[setting - settings_table])
        return 0;
    seen[setting - settings_table] = true;
    if (setting->kind == &kind_secret)
        return read_secret(load, setting, map);
    return setting->kind->read(load, setting, node, field(load, setting));
}

static int read_section(struct load *load, const struct doc_node *section, bool *seen)
{
    struct doc_node *child;
    int r;

    if (doc_is_empty(section))
        return 0;
    if (section->kind != DOC_MAPPING) {
        (void)load_fields(load, section, section->key->value, NULL, 0); /* says so */
        return 0;
    }
    for (child = section->first; child; child = child->next) {
        r = read_key(load, section->key->value, section, child, seen);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Without a section `kafka` a file serves replay and tests; with one it must be whole. */
static void require_kafka(struct load *load, const struct doc_node *kafka)
{
    static const char *const names[] = {"brokers", "topics"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!doc_get(kafka, names[i]))
            report_error(&load->report, doc_node_place(kafka->key), "kafka: %s is missing",
                         names[i]);
    }
}

/* The default has days in ascending order: those longer than what is kept are left out. */
static void fit_rolling(struct load *load)
{
    struct settings_texts *rolling = &load->settings.rolling;
    kpi_duration duration;

    while (rolling->n > 0) {
        const struct kpi_text *last = &rolling->items[rolling->n - 1];

        if (scalar_duration((struct kpi_string){last->data, last->length}, &duration) ||
            duration <= load->settings.keep)
            break;
        rolling->n--;
    }
}

int settings_read(struct load *load, struct doc_node *root)
{
    bool seen[SETTINGS_N] = {false};
    struct doc_node *child;
    int r;

    r = read_defaults(load);
    if (r < 0 || !root)
        return r;
    for (child = root->first; child; child = child->next) {
        if (is_definitions(child->key))
            continue;
        if (is_section(child->key))
            r = read_section(load, child, seen);
        else
            r = read_key(load, "", root, child, seen);
        if (r < 0)
            return r;
    }
    if (!doc_get(root, "rolling"))
        fit_rolling(load);
    child = doc_get(root, "kafka");
    if (child && child->kind != DOC_SEQUENCE)
        require_kafka(load, child);
    return 0;
}

static void free_list(char **list)
{
    size_t i;

    for (i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void config_deinit(struct config *config)
{
    uint32_t i;

    free(config->path);
    free(config->kafka.brokers);
    free_list(config->kafka.topics);
    free(config->kafka.group);
    free(config->kafka.dead_letter_topic);
    for (i = 0; i < config->kafka.n_properties; i++) {
        free(config->kafka.properties[i].name);
        free_secret(config->kafka.properties[i].value);
    }
    free(config->kafka.properties);
    free(config->redis.url);
    free(config->redis.username);
    free_secret(config->redis.password);
    free(config->http.listen);
    free(config->http.external_url);
    free(config->state.key_file);
    free(config->currency);
    for (i = 0; i < config->n_receivers; i++) {
        free(config->receivers[i].name);
        free(config->receivers[i].url);
        free_secret(config->receivers[i].secret);
        free(config->receivers[i].ca_file);
        free_list(config->receivers[i].allow);
    }
    free(config->receivers);
    (void)mappings_unref(config->mappings);
    kpi_plan_unref(config->plan);
    memset(config, 0, sizeof(*config));
}

void settings_deinit(struct settings *settings)
{
    config_deinit(&settings->config);
}

static bool same_string(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(char *const *a, char *const *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && *b; a++, b++) {
        if (strcmp(*a, *b) != 0)
            return false;
    }
    return !*a && !*b;
}

static bool same_properties(const struct config *a, const struct config *b)
{
    uint32_t i;

    if (a->kafka.n_properties != b->kafka.n_properties)
        return false;
    for (i = 0; i < a->kafka.n_properties; i++) {
        if (strcmp(a->kafka.properties[i].name, b->kafka.properties[i].name) != 0 ||
            strcmp(a->kafka.properties[i].value, b->kafka.properties[i].value) != 0)
            return false;
    }
    return true;
}

static bool same(const struct setting *setting, const struct config *a, const struct config *b)
{
    /* struct settings begins with its struct config */
    const void *x = (const char *)a + setting->offset, *y = (const char *)b + setting->offset;

    switch (setting->kind->storage) {
    case SETTING_NUMBER:
        if (setting->kind == &kind_start && a->kafka.start_time != b->kafka.start_time)
            return false;
        return memcmp(x, y, setting->size) == 0;
    case SETTING_STRING:
        return same_string(*(char *const *)x, *(char *const *)y);
    case SETTING_LIST:
        return same_list(*(char **const *)x, *(char **const *)y);
    case SETTING_PROPERTIES:
        return same_properties(a, b);
    case SETTING_OTHER:
        break;
    }
    assert(!"what needs a restart is kept in struct config");
    return false;
}

void config_compare(const struct config *running, const struct config *loaded,
                    void (*tell)(void *userdata, const char *setting), void *userdata)
{
    size_t i;

    for (i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];

        if (!setting->reload && !same(setting, running, loaded))
            tell(userdata, setting->path);
    }
}

static uint64_t add_text(uint64_t hash, const char *text)
{
    return text ? XXH3_64bits_withSeed(text, strlen(text) + 1, hash) : hash + 1;
}

static uint64_t hash_of(const struct setting *setting, const struct config *config)
{
    const void *field = (const char *)config + setting->offset;
    uint64_t hash = 0;
    uint32_t i;

    switch (setting->kind->storage) {
    case SETTING_NUMBER:
        hash = XXH3_64bits(field, setting->size);
        return setting->kind == &kind_start ? hash + (uint64_t)config->kafka.start_time : hash;
    case SETTING_STRING:
        return add_text(0, *(char *const *)field);
    case SETTING_LIST:
        for (char *const *item = *(char **const *)field; item && *item; item++)
            hash = add_text(hash, *item);
        return hash;
    case SETTING_PROPERTIES:
        for (i = 0; i < config->kafka.n_properties; i++) {
            const struct config_property *property = &config->kafka.properties[i];

            hash = add_text(hash, property->name);
            if (!property_is_secret(property->name))
                hash = add_text(hash, property->value);
        }
        return hash;
    case SETTING_OTHER:
        break;
    }
    assert(!"what needs a restart is kept in struct config");
    return 0;
}

uint32_t config_settings(const struct config *config,
                         struct config_setting ret_settings[CONFIG_SETTINGS_MAX])
{
    uint32_t n = 0;

    _Static_assert(SETTINGS_N <= (int)CONFIG_SETTINGS_MAX, "all settings fit");
    for (size_t i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];

        if (setting->reload || setting->kind == &kind_secret || setting->kind == &kind_threads)
            continue;
        ret_settings[n++] = (struct config_setting){setting->path, hash_of(setting, config)};
    }
    return n;
}

/* "10ms .. 1h", "rebuild, halt", or nothing. */
static void print_range(FILE *out, const struct setting *setting)
{
    if (setting->words)
        fprintf(out, " (%s)", setting->words);
    else if (setting->min && setting->max)
        fprintf(out, " (%s .. %s)", setting->min, setting->max);
}

void config_print_settings(FILE *out)
{
    size_t i;

    for (i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];

        fprintf(out, "%s: %s", setting->path, setting->kind->name);
        print_range(out, setting);
        fprintf(out, "\n    %s\n    default: %s; %s\n", setting->help,
                setting->fallback ? setting->fallback : "none",
                setting->reload ? "taken up by a reload" : "needs a restart");
    }
}
