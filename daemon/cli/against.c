/*
 * Both sides as the JSON of api/plan.h, then section by section. Things are the same if their keys
 * are; of things with equal keys (targets one after the other) the first goes with the first.
 */
#include "cli/against.h"

#include "api/client.h"
#include "api/plan.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
    KEYS_MAX = 3,
};

struct section {
    const char *name;
    const char *keys[KEYS_MAX]; /* NULL behind the last */
};

static const struct section sections[] = {
    {"kpis", {"name"}},   {"campaigns", {"id"}}, {"targets", {"campaign", "kpi", "scope"}},
    {"tables", {"name"}}, {"funnels", {"name"}}, {"experiments", {"name"}},
};

/* One of the two sides, and whether anything was said of their difference. */
struct comparison {
    const cJSON *now, *then;
    bool differs;
};

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* What is absent on both sides is the same. */
static bool same_at(const cJSON *a, const cJSON *b, const char *key)
{
    const cJSON *x = get(a, key), *y = get(b, key);

    return (!x && !y) || cJSON_Compare(x, y, true);
}

static bool same_keys(const struct section *section, const cJSON *a, const cJSON *b)
{
    for (unsigned i = 0; i < KEYS_MAX && section->keys[i]; i++) {
        if (!same_at(a, b, section->keys[i]))
            return false;
    }
    return true;
}

static bool is_key(const struct section *section, const char *name)
{
    for (unsigned i = 0; i < KEYS_MAX && section->keys[i]; i++) {
        if (strcmp(section->keys[i], name) == 0)
            return true;
    }
    return false;
}

/* What goes with `item` of `list` in `other`, or NULL. */
static const cJSON *partner(const struct section *section, const cJSON *list, const cJSON *item,
                            const cJSON *other)
{
    unsigned n = 0;
    const cJSON *each;

    for (each = list->child; each != item; each = each->next)
        n += same_keys(section, each, item);
    cJSON_ArrayForEach(each, other)
    {
        if (same_keys(section, each, item) && n-- == 0)
            return each;
    }
    return NULL;
}

static void print_value(const cJSON *value)
{
    if (cJSON_IsString(value)) {
        (void)fputs(value->valuestring, stdout);
    } else if (cJSON_IsNumber(value)) {
        (void)printf("%.10g", value->valuedouble);
    } else if (cJSON_IsObject(value)) { /* a title */
        print_value(get(value, "en"));
        (void)fputs(" / ", stdout);
        print_value(get(value, "zh"));
    } else {
        (void)fputs("none", stdout);
    }
}

/* The heading of a section, once. */
static void open_section(struct comparison *comparison, const char *name, bool *opened)
{
    if (!*opened)
        (void)printf("%s\n", name);
    *opened = comparison->differs = true;
}

static void print_name(const struct section *section, char mark, const cJSON *item)
{
    (void)printf("  %c", mark);
    for (unsigned i = 0; i < KEYS_MAX && section->keys[i]; i++) {
        (void)putchar(' ');
        print_value(get(item, section->keys[i]));
    }
}

/* What a thing is, in few words. */
static void print_gist(const cJSON *item)
{
    static const char *const fields[] = {"formula", "value", "start", "kind", "path", "goal"};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (get(item, fields[i])) {
            (void)printf(": %s", fields[i][0] == 's' ? "from " : "");
            print_value(get(item, fields[i]));
        }
    }
    (void)putchar('\n');
}

static void print_changes(const struct section *section, const cJSON *now, const cJSON *then)
{
    bool has_formula = get(then, "formula"), told = has_formula && !same_at(now, then, "formula");
    const cJSON *field;

    cJSON_ArrayForEach(field, then)
    {
        const cJSON *before = get(now, field->string);

        if (is_key(section, field->string) || cJSON_Compare(before, field, true))
            continue;
        if (strcmp(field->string, "definition") == 0) { /* a hash says nothing; it is the last */
            if (!told)
                (void)printf("      %s means something else\n",
                             has_formula ? "a measure or attribute in it" : "its definition");
            continue;
        }
        told |= !has_formula;
        (void)printf("      %s: ", field->string);
        print_value(before);
        (void)printf(" -> ");
        print_value(field);
        (void)putchar('\n');
    }
}

static void compare_section(struct comparison *comparison, const struct section *section)
{
    const cJSON *now = get(comparison->now, section->name);
    const cJSON *then = get(comparison->then, section->name), *item;
    bool opened = false;

    cJSON_ArrayForEach(item, then)
    {
        const cJSON *before = partner(section, then, item, now);

        if (before && cJSON_Compare(before, item, true))
            continue;
        open_section(comparison, section->name, &opened);
        print_name(section, before ? '~' : '+', item);
        if (before) {
            (void)putchar('\n');
            print_changes(section, before, item);
        } else {
            print_gist(item);
        }
    }
    cJSON_ArrayForEach(item, now)
    {
        if (partner(section, now, item, then))
            continue;
        open_section(comparison, section->name, &opened);
        print_name(section, '-', item);
        print_gist(item);
    }
}

/* --- state --- */

static const cJSON *find_state(const cJSON *list, const cJSON *wanted)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (same_at(item, wanted, "fingerprint"))
            return item;
    }
    return NULL;
}

/* State under the same name, for the same thing. */
static const cJSON *find_namesake(const cJSON *list, const cJSON *wanted)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        if (same_at(item, wanted, "kind") && same_at(item, wanted, "name") &&
            same_at(item, wanted, "by_campaign") && same_at(item, wanted, "by") &&
            same_at(item, wanted, "level"))
            return item;
    }
    return NULL;
}

static void print_state(char mark, const cJSON *item, const char *what)
{
    const cJSON *level = get(item, "level"), *zone = get(item, "zone");

    (void)printf("  %c ", mark);
    print_value(get(item, "kind"));
    (void)putchar(' ');
    print_value(get(item, "name"));
    if (cJSON_IsNumber(level) && level->valuedouble > 1)
        (void)printf(", users(%.0f)", level->valuedouble);
    if (cJSON_IsString(get(item, "by"))) {
        (void)printf(" by ");
        print_value(get(item, "by"));
    }
    if (zone) {
        (void)printf(cJSON_IsTrue(get(item, "by_campaign")) ? ", days of "
                                                            : " of everybody, days of ");
        print_value(zone);
    }
    (void)printf(": %s\n", what);
}

/* Tables may be made of the same cells: that of the old name need not have gone to another. */
static bool is_shared(const cJSON *item)
{
    const char *kind = cJSON_GetStringValue(get(item, "kind"));

    return kind && strcmp(kind, "table") == 0;
}

static void compare_state(struct comparison *comparison)
{
    const cJSON *now = get(comparison->now, "state"), *then = get(comparison->then, "state");
    unsigned n_kept = 0;
    bool opened = false;
    const cJSON *item;

    cJSON_ArrayForEach(item, then)
    {
        const cJSON *before = find_namesake(now, item);

        if (find_state(now, item)) {
            n_kept++;
            continue;
        }
        open_section(comparison, "state", &opened);
        if (before && (is_shared(before) || !find_state(then, before)))
            print_state('~', item, "starts anew");
        else
            print_state('+', item, "starts empty");
    }
    cJSON_ArrayForEach(item, now)
    {
        const cJSON *after = find_namesake(then, item);

        if (find_state(then, item) || (after && !find_state(now, after)))
            continue; /* kept, or told as starting anew */
        open_section(comparison, "state", &opened);
        print_state('-', item, "dropped");
    }
    if (opened)
        (void)printf("  %u of %d kept\n", n_kept, cJSON_GetArraySize(now));
}

/* --- settings --- */

static void compare_settings(struct comparison *comparison)
{
    const cJSON *now = get(comparison->now, "settings"), *then = get(comparison->then, "settings");
    const cJSON *keep_now = get(comparison->now, "keep_days");
    const cJSON *keep_then = get(comparison->then, "keep_days"), *item;
    bool opened = false;

    if (!cJSON_Compare(keep_now, keep_then, true)) {
        open_section(comparison, "settings", &opened);
        (void)printf("  ~ keep: %.0f -> %.0f days%s\n", cJSON_GetNumberValue(keep_now),
                     cJSON_GetNumberValue(keep_then),
                     cJSON_GetNumberValue(keep_then) < cJSON_GetNumberValue(keep_now)
                         ? ": what is older is forgotten"
                         : "");
    }
    if (!same_at(comparison->now, comparison->then, "scopes")) {
        open_section(comparison, "settings", &opened);
        (void)printf("  ~ grains and rolling scopes\n");
    }
    cJSON_ArrayForEach(item, then)
    {
        if (cJSON_Compare(get(now, item->string), item, true))
            continue;
        open_section(comparison, "settings", &opened);
        (void)printf("  ~ %s: needs a restart\n", item->string);
    }
}

/* --- both sides --- */

/* The JSON of a configuration, or NULL without memory. */
static cJSON *plan_of(const struct config *config)
{
    struct config_setting settings[CONFIG_SETTINGS_MAX];
    uint32_t n = config_settings(config, settings);
    cJSON *root = NULL;
    char *text;
    size_t size;

    if (plan_write(&text, &size, config->plan, settings, n) == 0) {
        root = cJSON_ParseWithLength(text, size);
        free(text);
    }
    return root;
}

static int read_daemon(const char *url, cJSON **ret_plan)
{
    struct client_reply reply;
    char base[512];
    int r;

    (void)snprintf(base, sizeof(base), "%s", url);
    while (*base && base[strlen(base) - 1] == '/')
        base[strlen(base) - 1] = '\0';
    r = client_get(&reply, base, "/api/v1/plan");
    if (r != 0) {
        (void)fprintf(stderr, "kpid check: %s: %s\n", base,
                      r == CLIENT_E_AWAY ? reply.error : strerror(-r));
        return r < 0 ? EX_SOFTWARE : EX_UNAVAILABLE;
    }
    *ret_plan = reply.status == 200 ? cJSON_ParseWithLength(reply.text, reply.size) : NULL;
    r = reply.status == 503 ? EX_UNAVAILABLE : EX_DATAERR;
    free(reply.text);
    if (get(*ret_plan, "state"))
        return 0;
    (void)fprintf(stderr,
                  r == EX_UNAVAILABLE ? "kpid check: %s has no numbers yet\n"
                                      : "kpid check: %s does not answer as this kpid does\n",
                  base);
    return r;
}

static int read_file(const char *path, cJSON **ret_plan)
{
    int code = 0;
    struct config *config = cli_config(path, 0, 0, &code);

    if (!config)
        return code;
    *ret_plan = plan_of(config);
    (void)config_free(config);
    return *ret_plan ? 0 : EX_SOFTWARE;
}

int against_print(const struct config *config, const char *where)
{
    bool running = strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0;
    cJSON *now = NULL, *then = plan_of(config);
    int code = running ? read_daemon(where, &now) : read_file(where, &now);

    if (code == 0 && then) {
        struct comparison comparison = {.now = now, .then = then};

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
            compare_section(&comparison, &sections[i]);
        compare_state(&comparison);
        compare_settings(&comparison);
        if (!comparison.differs)
            (void)printf("nothing changes\n");
    } else if (code == 0) {
        code = EX_SOFTWARE;
    }
    cJSON_Delete(now);
    cJSON_Delete(then);
    return code;
}
