/*
 * A load from beginning to end: the main file, its settings, its includes and the catalogue, then
 * the plan. Mistakes are collected all the way; only a file that is no YAML ends it early.
 */
#include "config/config.h"
#include "codec/mapping.h"
#include "config/catalogue.h"
#include "config/kinds.h"
#include "config/load.h"
#include "config/select.h"
#include "util/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdlib.h>

typedef int (*section_fn)(struct load *load, const struct doc_node *section);

/* Tells that a file cannot be read; there is no position to tell. */
static int tell_unreadable(struct load *load, const char *path, const char *error,
                           const struct config_report *report)
{
    const char *text = arena_format(&load->arena, "cannot be read: %s", error);
    const char *line = arena_format(&load->arena, "%s: error: %s\n", path, text ? text : "");

    if (!text || !line)
        return -ENOMEM;
    if (report->message)
        report->message(report->userdata,
                        &(struct config_message){path, 1, 1, 1, true, text, NULL});
    else
        report->line(report->userdata, line);
    return CONFIG_E_MISSING;
}

/* Parses and expands. *ret_root is NULL if the file has no keys. 0, DOC_E_SYNTAX or -ENOMEM. */
static int read_tree(struct load *load, const struct doc_file *file, struct doc_node **ret_root)
{
    struct doc_node *root = NULL;
    int r = doc_parse(&load->docs, file, &root);

    if (r)
        return r;
    *ret_root = NULL;
    if (!root || doc_is_empty(root))
        return 0;
    if (root->kind != DOC_MAPPING) {
        report_error(&load->report, (struct doc_place){file, root->start, root->start},
                     "keys and values are expected, as kafka: …");
        return 0;
    }
    r = load_expand(load, root);
    if (r == 0)
        *ret_root = root;
    return r;
}

/* An included file holds definitions alone. */
static void check_included(struct load *load, const struct doc_node *root)
{
    static const char *const sections[] = {"attributes", "sessions",   "measures",   "dimensions",
                                           "segments",   "breakdowns", "kpis",       "tables",
                                           "funnels",    "campaigns",  "experiments"};
    const struct doc_node *child;

    for (child = root->first; child; child = child->next) {
        struct suggest suggest = suggest_begin(doc_string(child->key));
        size_t i, n = sizeof(sections) / sizeof(sections[0]);

        for (i = 0; i < n && strcmp(child->key->value, sections[i]) != 0; i++)
            suggest_try(&suggest, sections[i]);
        if (i < n)
            continue;
        report_error(&load->report, doc_node_place(child->key),
                     "%s: an included file holds attributes, sessions, measures, dimensions, "
                     "segments, breakdowns, kpis, tables, funnels, campaigns and experiments only",
                     QUOTE(doc_string(child->key)));
        report_suggest(&load->report, suggest.best);
    }
}

static int read_include(struct load *load, const struct doc_node *item, struct doc_node **ret_root)
{
    struct kpi_string text;
    struct doc_file *file;
    const char *path, *error;
    int r;

    *ret_root = NULL;
    if (!load_text(load, item, "include", &text))
        return 0;
    path = load_path(load, item);
    if (!path)
        return -ENOMEM;
    r = doc_file_read(&load->docs, path, path, &file, &error);
    if (r > 0) {
        report_error(&load->report, doc_node_place(item), "include: %s cannot be read: %s",
                     QUOTE(text), error);
        return 0;
    }
    if (r == 0)
        r = read_tree(load, file, ret_root);
    if (r == 0 && *ret_root)
        check_included(load, *ret_root);
    return r < 0 ? r : 0; /* a syntax error was reported; the other files are still read */
}

static int read_catalogue(struct load *load, struct doc_node **ret_root)
{
    struct doc_file *file;
    int r = doc_file_new(&load->docs, "(built in) catalogue.yaml", config_catalogue,
                         config_catalogue_size, &file);

    if (r < 0)
        return r;
    load->catalogue = file;
    return read_tree(load, file, ret_root);
}

static int read_section(struct load *load, struct doc_node *const *sources, uint32_t n_sources,
                        const char *name, section_fn read)
{
    uint32_t i;

    for (i = 0; i < n_sources; i++) {
        const struct doc_node *section = sources[i] ? doc_get(sources[i], name) : NULL;
        int r = section ? read(load, section) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * Sources are mappings, or NULL: nothing in it. sources[0] is the catalogue, so that the others can
 * replace what is in it.
 */
static int read_definitions(struct load *load, struct doc_node *const *sources, uint32_t n_sources)
{
    static const struct {
        const char *name;
        section_fn read;
    } sections[] = {
        {"attributes", load_attributes},
        {"sessions", load_sessions},
        {"measures", load_measures},
        {"dimensions", load_dimensions},
        {"segments", load_segments},
        {"breakdowns", load_breakdowns},
        {"kpis", load_kpis},
        {"tables", load_tables},
        {"funnels", load_funnels},
        {"campaigns", load_campaigns},     /* behind kpis: a deviation depends on the KPI's unit */
        {"experiments", load_experiments}, /* behind campaigns, whose days they may have */
    };
    size_t i;
    int r = load_select(load, sources, n_sources);

    for (i = 0; i < sizeof(sections) / sizeof(sections[0]) && r == 0; i++)
        r = read_section(load, sources, n_sources, sections[i].name, sections[i].read);
    return r;
}

/* Zone 0 is the plan's; UTC stands in for one that is not known. */
static int read_timezone(struct load *load)
{
    const struct doc_node *node = load->settings.timezone;
    uint32_t zone = UINT32_MAX;
    int r = load_zone(load, node, doc_string(node), &zone);

    if (r == 0 && zone == UINT32_MAX)
        r = load_zone(load, node, KPI_STRING("UTC"), &zone);
    return r;
}

static int read_all_definitions(struct load *load, struct doc_node *root)
{
    struct doc_node *list = load->settings.include, *item;
    uint32_t n_sources = 2 + (list ? list->n_children + 1 : 0);
    struct doc_node **sources = arena_alloc(&load->arena, n_sources * sizeof(*sources));
    int r;

    if (!sources)
        return -ENOMEM;
    n_sources = 0;
    r = read_timezone(load);
    if (r == 0)
        r = read_catalogue(load, &sources[n_sources++]);
    sources[n_sources++] = root;
    for (item = list ? load_first(list) : NULL; item && r == 0; item = load_next(list, item))
        r = read_include(load, item, &sources[n_sources++]);
    return r ? r : read_definitions(load, sources, n_sources);
}

/* --- the plan --- */

static void report_plan(void *userdata, const struct kpi_message *message)
{
    struct load *load = userdata;
    struct doc_place place = {NULL, 0, 0};
    const char *suggestion;

    if (message->origin > 0 && message->origin < load->docs.n_nodes)
        place =
            doc_value_place(load->docs.nodes[message->origin], message->offset, message->length);
    /* the catalogue offers more than a file must use */
    if (message->severity == KPI_SEVERITY_WARNING && place.file == load->catalogue)
        return;
    if (message->severity == KPI_SEVERITY_ERROR)
        report_error(&load->report, place, "%.*s", (int)message->text.length, message->text.data);
    else
        report_warning(&load->report, place, "%.*s", (int)message->text.length, message->text.data);
    if (message->suggest.length == 0)
        return;
    suggestion = arena_copy(&load->arena, message->suggest.data, message->suggest.length);
    if (suggestion)
        report_suggest(&load->report, suggestion);
    else
        load->report.no_memory = true;
}

static int make_plan(struct load *load, struct kpi_plan **ret_plan)
{
    const struct settings *settings = &load->settings;
    uint32_t n_shards = load->n_shards ? load->n_shards : 1;
    struct kpi_diag diag = {.report = report_plan, .userdata = load};
    const struct kpi_definitions definitions = {
        .attributes = load->attributes.items,
        .n_attributes = load->attributes.n,
        .measures = load->measures.items,
        .n_measures = load->measures.n,
        .dimensions = load->dimensions.items,
        .n_dimensions = load->dimensions.n,
        .segments = load->segments.items,
        .n_segments = load->segments.n,
        .breakdowns = load->breakdowns.items,
        .n_breakdowns = load->breakdowns.n,
        .kpis = load->kpis.items,
        .n_kpis = load->kpis.n,
        .tables = load->tables.items,
        .n_tables = load->tables.n,
        .funnels = load->funnels.items,
        .n_funnels = load->funnels.n,
        .campaigns = load->campaigns.items,
        .n_campaigns = load->campaigns.n,
        .experiments = load->experiments.items,
        .n_experiments = load->experiments.n,
        .active_types = settings->active_types.names,
        .n_active_types = settings->active_types.n,
        .zones = load->zones.items,
        .n_zones = load->zones.n,
        .grains = settings->grains.items,
        .n_grains = settings->grains.n,
        .rolling = settings->rolling.items,
        .n_rolling = settings->rolling.n,
        .week_start = settings->week_start,
        .keep = settings->keep,
        .future_skew_max = settings->future_skew_max,
        .dedupe_window = settings->dedupe_window,
        .dedupe_ids_max = settings->config.dedupe_memory / 16 / n_shards,
        .users_max = (settings->users_max + n_shards - 1) / n_shards,
        .values_max = settings->values_max,
        .min_group = settings->min_group,
    };

    return kpi_plan_new(ret_plan, &definitions, &memory_kpi, &diag);
}

int load_configuration(struct load *load, struct doc_node *root)
{
    int r = settings_read(load, root);

    if (r == 0)
        r = read_all_definitions(load, root);
    if (r == 0)
        r = make_plan(load, &load->settings.config.plan);
    if (r >= 0) /* an invalid plan has been reported */
        r = load_mappings_finish(load);
    return r < 0 ? r : load_rates_finish(load);
}

/* Reads everything into load->settings. 0, DOC_E_SYNTAX (reported) or -ENOMEM. */
static int read_file(struct load *load, const struct doc_file *file, kpi_time now)
{
    struct doc_node *root = NULL;
    int r = read_tree(load, file, &root);

    if (r)
        return r;
    if (!root && load->report.n_errors == 0)
        report_error(&load->report, (struct doc_place){file, 0, 0}, "the file is empty");
    r = load_configuration(load, root);
    if (r == 0)
        load_warnings(load, root, now);
    return r;
}

/* Beside the plan: what the decoder makes of a message. */
static uint64_t fold_of(const struct config *config)
{
    const uint64_t parts[] = {kpi_plan_fingerprint(config->plan),
                              XXH3_64bits(config->currency, strlen(config->currency)),
                              mappings_fingerprint(config->mappings)};

    return XXH3_64bits(parts, sizeof(parts));
}

static int load_file(struct load *load, const char *path, const struct config_report *report)
{
    struct doc_file *file;
    const char *error;
    int r;

    load->settings.config.path = strdup(path);
    if (!load->settings.config.path)
        return -ENOMEM;
    r = doc_file_read(&load->docs, path, path, &file, &error);
    if (r < 0)
        return r;
    if (r > 0)
        return tell_unreadable(load, path, error, report);
    r = read_file(load, file, report->now);
    if (r < 0)
        return r;
    r = report_flush(&load->report, report);
    if (r < 0)
        return r;
    return load->report.n_errors > 0 ? CONFIG_E_INVALID : 0;
}

void load_init(struct load *load, uint32_t n_shards)
{
    *load = (struct load){.n_shards = n_shards};
    load->docs = (struct doc_set){.arena = &load->arena, .report = &load->report};
    load->report.arena = &load->arena;
}

int config_load(struct config **ret_config, const char *path, uint32_t n_shards,
                const struct config_report *report)
{
    struct config *config;
    struct load load;
    int r;

    load_init(&load, n_shards);
    config = malloc(sizeof(*config));
    r = config ? load_file(&load, path, report) : -ENOMEM;
    if (r == 0) {
        *config = load.settings.config;
        config->fold = fold_of(config);
        config->n_warnings = load.report.n_warnings;
        *ret_config = config;
    } else {
        settings_deinit(&load.settings);
        free(config);
    }
    arena_deinit(&load.arena);
    return r;
}

struct config *config_free(struct config *config)
{
    if (config) {
        config_deinit(config);
        free(config);
    }
    return NULL;
}

static const char *plural(uint32_t n)
{
    return n == 1 ? "" : "s";
}

void config_summary(const struct config *config, char *text, size_t size)
{
    uint32_t n_campaigns = kpi_plan_n_campaigns(config->plan);
    uint32_t n_kpis = kpi_plan_n_kpis(config->plan);

    /* cut if it does not fit, as the header says */
    (void)snprintf(text, size, "%s: OK (%u campaign%s, %u KPI%s, %u receiver%s)", config->path,
                   n_campaigns, plural(n_campaigns), n_kpis, plural(n_kpis), config->n_receivers,
                   plural(config->n_receivers));
}
