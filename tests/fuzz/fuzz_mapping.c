/*
 * A configuration, a line of %%, and messages, one a line: whatever they are, the load ends with
 * mappings or with messages; and of an event that is accepted, its type and every field that is
 * text are what cJSON finds at the mapping's paths, in the mapping whose conditions cJSON finds to
 * hold. The decoder lives on from line to line, as in the daemon.
 */
#include "codec/mapping.h"
#include "mapped.h"

#include <cjson/cJSON.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fields[] = "campaign channel props.sku a.b.c score:number vip:bool amount:amount";
static const struct {
    const char *name;
    unsigned index; /* among the fields above */
} texts[] = {{"campaign", 0}, {"channel", 1}, {"props.sku", 2}, {"a.b.c", 3}};

static const struct event_origin origin = {.record_time = 1793600000000000, .topic = 1};

static const cJSON *find(const cJSON *root, struct kpi_string base, struct kpi_string path)
{
    const struct kpi_string paths[] = {base, path};

    for (unsigned i = 0; i < 2; i++) {
        char buffer[MAPPING_PATH_BYTES_MAX], name[MAPPING_PATH_BYTES_MAX + 1];
        struct kpi_string key;
        size_t offset = 0;

        while (root && mapping_path_next(paths[i], &offset, buffer, &key)) {
            memcpy(name, key.data, key.length);
            name[key.length] = 0;
            root = cJSON_IsObject(root) ? cJSON_GetObjectItemCaseSensitive(root, name) : NULL;
        }
    }
    return cJSON_IsNull(root) ? NULL : root;
}

static const cJSON *find_first(const cJSON *root, const struct mapping_reading *reading)
{
    const cJSON *value = NULL;

    for (uint32_t i = 0; i < reading->n_places && !value; i++)
        value = find(root, reading->places[i].base, reading->places[i].path);
    return value;
}

/* Does a condition hold? Numbers are compared as they are written, which cJSON does not keep: -1.
 */
static int holds(const cJSON *root, const struct mapping_condition *condition)
{
    const cJSON *value = find(root, (struct kpi_string){0}, condition->path);
    const char *text = cJSON_IsString(value)  ? value->valuestring
                       : cJSON_IsTrue(value)  ? "true"
                       : cJSON_IsFalse(value) ? "false"
                                              : NULL;

    if (cJSON_IsNumber(value))
        return -1;
    for (uint32_t i = 0; i < condition->n_values && text; i++) {
        if (condition->values[i].length == strlen(text) &&
            memcmp(condition->values[i].data, text, strlen(text)) == 0)
            return 1;
    }
    return 0;
}

/* The mapping that a message falls under; NULL: none. False: numbers would have to be known. */
static bool choose(const struct mappings *set, const cJSON *root, const struct mapping **ret)
{
    *ret = NULL;
    for (uint32_t i = 0; i < set->n_mappings && !*ret; i++) {
        const struct mapping *mapping = &set->mappings[i];
        const struct mapping_preset_info *preset = mapping_preset_info(mapping->preset);
        int held = mapping_is_for(mapping, KPI_STRING("t"));

        for (uint32_t j = 0; j < preset->n_conditions && held > 0; j++)
            held = holds(root, &preset->conditions[j]);
        for (uint32_t j = 0; j < mapping->n_conditions && held > 0; j++)
            held = holds(root, &mapping->conditions[j]);
        if (held < 0)
            return false;
        if (held)
            *ret = mapping;
    }
    return true;
}

static void compare_text(const struct kpi_field *field, const char *data, size_t length)
{
    assert(field->kind == KPI_FIELD_STRING);
    assert(field->length == length && memcmp(field->string, data, length) == 0);
}

/* A text of the event against what the mapping makes of the message. */
static void check_text(const cJSON *root, const struct mapping_reading *reading,
                       const struct kpi_field *field)
{
    const cJSON *value = find_first(root, reading);
    struct kpi_string text = reading->constant.data ? reading->constant : reading->absent;
    const struct mapping_value *found;

    if (!value && text.data) {
        compare_text(field, text.data, text.length);
    } else if (!value) {
        assert(field->kind == KPI_FIELD_ABSENT);
    } else if (cJSON_IsString(value)) {
        text = (struct kpi_string){value->valuestring, strlen(value->valuestring)};
        found = mapping_value_find(reading->entry->values, reading->entry->n_values, text);
        if (found)
            text = found->to;
        compare_text(field, text.data, text.length);
    } else {
        assert(reading->entry->n_values > 0); /* a number or bool that the table holds */
    }
}

static void check_event(const cJSON *root, const struct mapping *mapping,
                        const struct kpi_event *event)
{
    struct mapping_reading reading;

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        mapping_reading_field(mapping, (struct kpi_string){texts[i].name, strlen(texts[i].name)},
                              &reading);
        check_text(root, &reading, &event->fields[texts[i].index]);
    }
    mapping_reading_field(mapping, KPI_STRING("amount"), &reading);
    if (mapping->preset == MAPPING_SEGMENT || reading.entry->n_negative > 0)
        return; /* calls and signs make other types */
    mapping_reading_role(mapping, MAPPING_TYPE, &reading);
    check_text(root, &reading, &event->type);
}

static void check_message(struct mapped *mapped, const char *bytes, size_t size)
{
    const struct mappings *set = mapped->config->mappings;
    const struct mapping *expected, *mapping;
    const char *told = mapped_tell(mapped, bytes, size, &origin);
    bool refused = strncmp(told, "refused: ", 9) == 0;
    cJSON *root;

    mapping = event_decoder_mapping(mapped->decoder);
    if (!set || set->n_mappings == 0 || memmem(bytes, size, "\\u0000", 6) ||
        (refused && !mapping && strcmp(told, "refused: mapping") != 0))
        return;
    root = cJSON_ParseWithLength(bytes, size);
    if (root && choose(set, root, &expected)) {
        /* in native form and alone, none is named */
        assert(mapping == expected || (!mapping && !refused));
        if (!refused && expected)
            check_event(root, expected, mapped_event());
    }
    cJSON_Delete(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = text + size, *line;
    const char *middle = memmem(data, size, "\n%%\n", 4);
    struct mapped mapped;
    char *config;
    int r;

    if (!middle || memchr(data, 0, (size_t)(middle - text)))
        return 0;
    config = strndup(text, (size_t)(middle + 1 - text));
    assert(config);
    r = mapped_new(&mapped, config, fields, "t");
    assert(r == 0 || r == CONFIG_E_INVALID);
    for (line = middle + 4; r == 0 && line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((next ? next : end) - line);
        char *copy = malloc(length + 1); /* so that a byte too far is seen */

        assert(copy);
        memcpy(copy, line, length);
        check_message(&mapped, copy, length);
        check_message(&mapped, copy, length);
        free(copy);
        line += length + 1;
    }
    mapped_free(&mapped);
    free(config);
    return 0;
}
