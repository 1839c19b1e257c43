/* How the text of each kind of setting is read and checked. */
#include "config/check.h"
#include "config/kinds.h"
#include "config/load.h"
#include "config/scalar.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LIST_MAX = 100
};

static void wrong(struct load *load, const struct setting *setting, const struct doc_node *node,
                  const char *what)
{
    report_error(&load->report, doc_node_place(node), "%s: %s %s", setting->path,
                 QUOTE(doc_string(node)), what);
}

static int set_string(char **target, const char *data, size_t length)
{
    char *copy = strndup(data, length);

    if (!copy)
        return -ENOMEM;
    free(*target);
    *target = copy;
    return 0;
}

static void set_number(const struct setting *setting, void *target, uint64_t value)
{
    switch (setting->size) {
    case 1:
        *(uint8_t *)target = (uint8_t)value;
        break;
    case 4:
        *(uint32_t *)target = (uint32_t)value;
        break;
    case 8:
        *(uint64_t *)target = value;
        break;
    default:
        assert(!"a number's field has 1, 4 or 8 bytes");
    }
}

/* --- numbers --- */

typedef const char *(*number_fn)(struct kpi_string text, uint64_t *ret_value);

static const char *duration_number(struct kpi_string text, uint64_t *ret_value)
{
    kpi_duration duration;
    const char *error = scalar_duration(text, &duration);

    if (!error)
        *ret_value = (uint64_t)duration;
    return error;
}

static int read_number(struct load *load, const struct setting *setting,
                       const struct doc_node *node, void *target, number_fn parse)
{
    uint64_t value, min = 0, max = UINT64_MAX;
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, setting->path, &text))
        return 0;
    error = parse(text, &value);
    if (error) {
        wrong(load, setting, node, error);
        return 0;
    }
    if (setting->min)
        (void)parse((struct kpi_string){setting->min, strlen(setting->min)}, &min); /* ours */
    if (setting->max)
        (void)parse((struct kpi_string){setting->max, strlen(setting->max)}, &max); /* ours */
    if (value < min || value > max)
        report_error(&load->report, doc_node_place(node), "%s must be between %s and %s",
                     setting->path, setting->min, setting->max);
    else
        set_number(setting, target, value);
    return 0;
}

static int read_duration(struct load *load, const struct setting *setting, struct doc_node *node,
                         void *target)
{
    return read_number(load, setting, node, target, duration_number);
}

static int read_bytes(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    return read_number(load, setting, node, target, scalar_bytes);
}

static int read_integer(struct load *load, const struct setting *setting, struct doc_node *node,
                        void *target)
{
    return read_number(load, setting, node, target, scalar_integer);
}

static int read_threads(struct load *load, const struct setting *setting, struct doc_node *node,
                        void *target)
{
    if (node->kind == DOC_SCALAR && strcmp(node->value, "auto") == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        set_number(setting, target, n < 1 ? 1 : n > 256 ? 256 : (uint64_t)n);
        return 0;
    }
    return read_number(load, setting, node, target, scalar_integer);
}

static int read_choice(struct load *load, const struct setting *setting, struct doc_node *node,
                       void *target)
{
    unsigned index;

    if (load_choice(load, node, setting->path, setting->words, &index))
        set_number(setting, target, index);
    return 0;
}

/* --- texts --- */

/* Checks a text; NULL or what is wrong with it. */
typedef const char *(*check_fn)(struct kpi_string text);

static int read_checked(struct load *load, const struct setting *setting,
                        const struct doc_node *node, char **target, check_fn check)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, setting->path, &text))
        return 0;
    error = check(text);
    if (error) {
        wrong(load, setting, node, error);
        return 0;
    }
    return set_string(target, text.data, text.length);
}

static int read_text(struct load *load, const struct setting *setting, struct doc_node *node,
                     void *target)
{
    return read_checked(load, setting, node, target, check_text);
}

static int read_name(struct load *load, const struct setting *setting, struct doc_node *node,
                     void *target)
{
    return read_checked(load, setting, node, target, check_name);
}

static int read_topic(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    return read_checked(load, setting, node, target, check_topic);
}

static int read_currency(struct load *load, const struct setting *setting, struct doc_node *node,
                         void *target)
{
    return read_checked(load, setting, node, target, check_currency);
}

static int read_listen(struct load *load, const struct setting *setting, struct doc_node *node,
                       void *target)
{
    return read_checked(load, setting, node, target, check_listen);
}

static int read_link(struct load *load, const struct setting *setting, struct doc_node *node,
                     void *target)
{
    return read_checked(load, setting, node, target, check_url);
}

/* Its text is not shown: somebody may have put a password into it. */
static int read_redis_url(struct load *load, const struct setting *setting, struct doc_node *node,
                          void *target)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, setting->path, &text))
        return 0;
    error = check_redis_url(text);
    if (!error)
        return set_string(target, text.data, text.length);
    report_error(&load->report, doc_node_place(node), "%s: the URL %s", setting->path, error);
    return 0;
}

static int read_path(struct load *load, const struct setting *setting, struct doc_node *node,
                     void *target)
{
    struct kpi_string text;
    const char *path;

    if (!load_text(load, node, setting->path, &text))
        return 0;
    path = load_path(load, node);
    return path ? set_string(target, path, strlen(path)) : -ENOMEM;
}

static int read_start(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    enum config_start *start = target;
    struct kpi_string text;
    kpi_time time;

    if (!load_text(load, node, setting->path, &text))
        return 0;
    if (kpi_string_equal(text, KPI_STRING("beginning"))) {
        *start = CONFIG_START_BEGINNING;
    } else if (kpi_string_equal(text, KPI_STRING("end"))) {
        *start = CONFIG_START_END;
    } else if (!scalar_time(text, &time)) {
        *start = CONFIG_START_TIME;
        load->settings.config.kafka.start_time = time;
    } else {
        struct suggest suggest = suggest_begin(text);

        suggest_try(&suggest, "beginning");
        suggest_try(&suggest, "end");
        wrong(load, setting, node,
              "is neither beginning nor end nor a time with zone, as 2026-11-01T00:00:00+08:00");
        report_suggest(&load->report, suggest.best);
    }
    return 0;
}

/* --- lists --- */

/* One text of a list, checked and not there before. False: reported. */
static bool list_item(struct load *load, const struct setting *setting, const struct doc_node *list,
                      struct doc_node *item, check_fn check)
{
    struct doc_node *other = load_first((struct doc_node *)list);
    struct kpi_string text;
    const char *error;

    if (!load_text(load, item, setting->path, &text))
        return false;
    error = check(text);
    if (error) {
        wrong(load, setting, item, error);
        return false;
    }
    for (; other != item; other = load_next(list, other)) {
        if (other->kind == DOC_SCALAR && kpi_string_equal(doc_string(other), text)) {
            report_error(&load->report, doc_node_place(item), "%s: %s is there twice",
                         setting->path, QUOTE(text));
            report_note(&load->report, doc_node_place(other), "first given here");
            return false;
        }
    }
    return true;
}

static bool list_fits(struct load *load, const struct setting *setting, const struct doc_node *node)
{
    if (!load_is_list(load, node, setting->path))
        return false;
    if (node->kind == DOC_SEQUENCE && (node->n_children == 0 || node->n_children > LIST_MAX)) {
        struct doc_place place = doc_node_place(node);

        place.end = place.start;
        report_error(&load->report, place, "%s: a list of 1 to %d items is expected", setting->path,
                     LIST_MAX);
        return false;
    }
    return true;
}

static int read_topics(struct load *load, const struct setting *setting, struct doc_node *node,
                       void *target)
{
    struct config *config = &load->settings.config;
    struct doc_node *item;
    char **topics;
    int r;

    if (!list_fits(load, setting, node))
        return 0;
    topics = calloc(node->kind == DOC_SEQUENCE ? node->n_children + 1 : 2, sizeof(*topics));
    if (!topics)
        return -ENOMEM;
    config->kafka.topics = topics; /* no default: nothing to free */
    for (item = load_first(node); item; item = load_next(node, item)) {
        if (!list_item(load, setting, node, item, check_topic))
            continue;
        r = set_string(&topics[config->kafka.n_topics], item->value, item->length);
        if (r < 0)
            return r;
        config->kafka.n_topics++;
    }
    return 0;
}

static const char *check_broker(struct kpi_string text)
{
    return check_address(text, 1);
}

/* A list becomes librdkafka's form: separated by commas. */
static int read_brokers(struct load *load, const struct setting *setting, struct doc_node *node,
                        void *target)
{
    const char *joined = NULL;
    struct doc_node *item;

    if (!list_fits(load, setting, node))
        return 0;
    for (item = load_first(node); item; item = load_next(node, item)) {
        struct kpi_string text;
        char *part, *save = NULL, *copy;

        if (!load_text(load, item, setting->path, &text))
            continue;
        copy = arena_copy(&load->arena, text.data, text.length);
        if (!copy)
            return -ENOMEM;
        for (part = strtok_r(copy, ", ", &save); part; part = strtok_r(NULL, ", ", &save)) {
            const char *error = check_broker((struct kpi_string){part, strlen(part)});

            if (error)
                report_error(&load->report,
                             doc_value_place(item, (uint32_t)(part - copy), (uint32_t)strlen(part)),
                             "%s: \"%s\" %s", setting->path, part, error);
            joined =
                arena_format(&load->arena, "%s%s%s", joined ? joined : "", joined ? "," : "", part);
            if (!joined)
                return -ENOMEM;
        }
    }
    return joined ? set_string(target, joined, strlen(joined)) : 0;
}

static int read_texts(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    struct settings_texts *texts = target;

    return load_texts(load, node, setting->path, &texts->items, &texts->n);
}

static const char *check_type(struct kpi_string text)
{
    return text.length > 64 ? "is longer than 64 bytes" : check_text(text);
}

static int read_types(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    struct kpi_text *names;
    struct doc_node *item;
    uint32_t n = 0;

    if (!list_fits(load, setting, node))
        return 0;
    names = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    for (item = load_first(node); item; item = load_next(node, item)) {
        if (list_item(load, setting, node, item, check_type))
            names[n++] = load_kpi_text(item);
    }
    load->settings.active_types.names = names;
    load->settings.active_types.n = n;
    return 0;
}

/* --- read later, by those who know how --- */

static int read_zone(struct load *load, const struct setting *setting, struct doc_node *node,
                     void *target)
{
    struct kpi_string text;

    if (load_text(load, node, setting->path, &text))
        load->settings.timezone = node;
    return 0;
}

static int read_include(struct load *load, const struct setting *setting, struct doc_node *node,
                        void *target)
{
    if (list_fits(load, setting, node))
        load->settings.include = node;
    return 0;
}

const struct setting_kind kind_brokers = {"list of host:port", SETTING_STRING, read_brokers};
const struct setting_kind kind_bytes = {"size", SETTING_NUMBER, read_bytes};
const struct setting_kind kind_choice = {"one of", SETTING_NUMBER, read_choice};
const struct setting_kind kind_currency = {"currency code", SETTING_STRING, read_currency};
const struct setting_kind kind_duration = {"duration", SETTING_NUMBER, read_duration};
const struct setting_kind kind_include = {"list of files", SETTING_OTHER, read_include};
const struct setting_kind kind_integer = {"whole number", SETTING_NUMBER, read_integer};
const struct setting_kind kind_link = {"URL", SETTING_STRING, read_link};
const struct setting_kind kind_listen = {"address:port", SETTING_STRING, read_listen};
const struct setting_kind kind_name = {"name", SETTING_STRING, read_name};
const struct setting_kind kind_path = {"file", SETTING_STRING, read_path};
const struct setting_kind kind_redis_url = {"Redis URL", SETTING_STRING, read_redis_url};
const struct setting_kind kind_secret = {"secret", SETTING_STRING, NULL}; /* two keys: settings.c */
const struct setting_kind kind_start = {"beginning, end or time", SETTING_NUMBER, read_start};
const struct setting_kind kind_texts = {"list", SETTING_OTHER, read_texts};
const struct setting_kind kind_text = {"text", SETTING_STRING, read_text};
const struct setting_kind kind_threads = {"whole number or auto", SETTING_NUMBER, read_threads};
const struct setting_kind kind_topic = {"topic", SETTING_STRING, read_topic};
const struct setting_kind kind_topics = {"list of topics", SETTING_LIST, read_topics};
const struct setting_kind kind_types = {"list of event types", SETTING_OTHER, read_types};
const struct setting_kind kind_zone = {"time zone", SETTING_OTHER, read_zone};
