/*
 * The schema: what people write by hand (definitions.schema.json, which is part of the binary),
 * completed by what the tables of settings and functions know.
 */
#include "cli/schema.h"

#include "api/json.h"
#include "config/definitions_schema.h"
#include "config/kinds.h"

#include <assert.h>
#include <errno.h>
#include <kpi/function.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* --- settings --- */

static void add_reference(struct json *json, cJSON *parent, const char *key, const char *name)
{
    cJSON *item = key ? parent : json_object(json, parent, NULL);
    char text[64];

    (void)snprintf(text, sizeof(text), "#/definitions/%s", name);
    json_add_text(json, item, key ? key : "$ref", text);
}

static void add_words(struct json *json, cJSON *property, const char *words)
{
    cJSON *item = json_object(json, property, NULL), *list = json_array(json, item, "enum");

    while (*words) {
        size_t length = strcspn(words, "|");
        cJSON *word = list ? cJSON_CreateString("") : NULL;
        char text[32];

        assert(length < sizeof(text));
        (void)snprintf(text, sizeof(text), "%.*s", (int)length, words);
        if (!word || !cJSON_SetValuestring(word, text) || !cJSON_AddItemToArray(list, word)) {
            cJSON_Delete(word);
            json->failed = true;
            return;
        }
        words += length + (words[length] == '|');
    }
}

static void add_range(struct json *json, cJSON *any, const struct setting *setting)
{
    cJSON *item = json_object(json, any, NULL);

    json_add_text(json, item, "type", "integer");
    if (setting->min)
        json_add_integer(json, item, "minimum", strtoll(setting->min, NULL, 10));
    if (setting->max)
        json_add_integer(json, item, "maximum", strtoll(setting->max, NULL, 10));
}

static void add_kind(struct json *json, cJSON *property, const struct setting *setting)
{
    static const struct {
        const struct setting_kind *kind;
        const char *definition;
    } references[] = {
        {&kind_brokers, "texts"},       {&kind_topics, "texts"},
        {&kind_types, "texts"},         {&kind_include, "texts"},
        {&kind_bytes, "size"},          {&kind_duration, "duration"},
        {&kind_texts, "texts"},         {&kind_properties, "properties"},
        {&kind_receivers, "receivers"}, {&kind_mappings, "mappings"},
        {&kind_rates, "rates"},
    };
    const struct setting_kind *kind = setting->kind;
    cJSON *any;

    for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
        if (references[i].kind == kind) {
            add_reference(json, property, "$ref", references[i].definition);
            return;
        }
    }
    if (kind != &kind_choice && kind != &kind_integer && kind != &kind_threads) {
        json_add_text(json, property, "type", "string");
        return;
    }
    any = json_array(json, property, "anyOf");
    if (kind == &kind_choice)
        add_words(json, any, setting->words);
    else
        add_range(json, any, setting);
    if (kind == &kind_threads)
        add_words(json, any, "auto");
    add_reference(json, any, NULL, "variable");
}

static void add_property(struct json *json, cJSON *properties, const char *name,
                         const struct setting *setting)
{
    cJSON *property = json_object(json, properties, name);
    char text[512];

    (void)snprintf(text, sizeof(text), "%s. %s%s%s%s", setting->help,
                   setting->fallback ? "Default: " : "", setting->fallback ? setting->fallback : "",
                   setting->fallback ? "; " : "",
                   setting->reload ? "taken up by a reload" : "needs a restart");
    json_add_text(json, property, "description", text);
    add_kind(json, property, setting);
}

/* The properties of a section, made if there is none. */
static cJSON *section_of(struct json *json, cJSON *properties, const char *name)
{
    static const char *const types[] = {"object", "null"};
    cJSON *section = cJSON_GetObjectItemCaseSensitive(properties, name), *list;

    if (section)
        return cJSON_GetObjectItemCaseSensitive(section, "properties");
    section = json_object(json, properties, name);
    list = cJSON_CreateStringArray(types, 2);
    if (!section || !cJSON_AddItemToObject(section, "type", list)) {
        cJSON_Delete(list);
        json->failed = true;
        return NULL;
    }
    json_add_bool(json, section, "additionalProperties", false);
    return json_object(json, section, "properties");
}

static void add_settings(struct json *json, cJSON *properties)
{
    for (size_t i = 0; i < settings_n && !json->failed; i++) {
        const struct setting *setting = &settings_table[i];
        cJSON *parent =
            setting->section[0] ? section_of(json, properties, setting->section) : properties;

        add_property(json, parent, setting->name, setting);
        if (setting->kind != &kind_secret)
            continue;
        assert(strcmp(setting->name, "password") == 0); /* the one there is; keys are constants */
        add_property(json, parent, "password_file", setting);
    }
}

/* --- functions --- */

static bool stands_in(const struct kpi_function_info *info, const char *place)
{
    return strcmp(place, "@measure@") == 0     ? info->in_measures
           : strcmp(place, "@attribute@") == 0 ? info->in_attributes
           : strcmp(place, "@condition@") == 0 ? info->in_conditions
                                               : info->in_formulas;
}

/* All usages of a place, separated by semicolons. */
static void list_functions(FILE *out, const char *place)
{
    struct kpi_function_info info;
    const char *separator = "";

    for (unsigned i = 0; kpi_function_info(i, &info); i++) {
        if (!stands_in(&info, place))
            continue;
        (void)fprintf(out, "%s%s", separator, info.usage); /* to memory: fclose() tells */
        separator = "; ";
    }
}

/* Puts functions where a text names a place of them. */
static void fill_in(struct json *json, cJSON *item)
{
    static const char *const places[] = {"@measure@", "@attribute@", "@condition@", "@formula@"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *at = strstr(item->valuestring, places[i]);
        char *text = NULL;
        size_t size;
        FILE *out = at ? open_memstream(&text, &size) : NULL;

        if (!at)
            continue;
        if (out) {
            (void)fprintf(out, "%.*s", (int)(at - item->valuestring), item->valuestring);
            list_functions(out, places[i]);
            (void)fputs(at + strlen(places[i]), out);
        }
        if (!out || fclose(out) != 0 || !cJSON_SetValuestring(item, text))
            json->failed = true;
        free(text);
        return;
    }
}

static void fill_in_all(struct json *json, cJSON *item)
{
    cJSON *child;

    if (cJSON_IsString(item))
        fill_in(json, item);
    cJSON_ArrayForEach(child, item) fill_in_all(json, child);
}

/* --- text --- */

/* cJSON indents with tabs and puts one behind each colon; strings hold none. */
static void print_text(const char *text)
{
    bool begin = true;

    for (; *text; text++) {
        if (*text == '\t')
            (void)fputs(begin ? "  " : " ", stdout);
        else
            (void)putchar(*text);
        begin = *text == '\n' || (begin && *text == '\t');
    }
    (void)putchar('\n');
}

int schema_print(void)
{
    struct json json = {0};
    cJSON *root = cJSON_ParseWithLength(config_definitions_schema, config_definitions_schema_size);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(root, "properties");
    char *text = NULL;

    if (properties)
        add_settings(&json, properties);
    if (properties && !json.failed)
        fill_in_all(&json, root);
    if (properties && !json.failed)
        text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text) {
        (void)fprintf(stderr, "kpid check: %s\n", strerror(ENOMEM));
        return EX_SOFTWARE;
    }
    print_text(text);
    cJSON_free(text);
    return 0;
}
