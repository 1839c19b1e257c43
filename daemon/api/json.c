#include "json.h"

#include "api/exposition.h"
#include "util/error.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static cJSON *add(struct json *json, cJSON *parent, const char *key, cJSON *item)
{
    bool added = item && !json->failed &&
                 (!parent || (key ? cJSON_AddItemToObjectCS(parent, key, item)
                                  : cJSON_AddItemToArray(parent, item)));

    if (added)
        return item;
    json->failed = true;
    cJSON_Delete(item);
    return NULL;
}

/* As add(), for what needs a place: without one, an earlier step has failed. */
static void add_value(struct json *json, cJSON *parent, const char *key, cJSON *item)
{
    if (parent) {
        (void)add(json, parent, key, item);
        return;
    }
    json->failed = true;
    cJSON_Delete(item);
}

cJSON *json_object(struct json *json, cJSON *parent, const char *key)
{
    return add(json, parent, key, cJSON_CreateObject());
}

cJSON *json_array(struct json *json, cJSON *parent, const char *key)
{
    return add(json, parent, key, cJSON_CreateArray());
}

void json_add_null(struct json *json, cJSON *object, const char *key)
{
    add_value(json, object, key, cJSON_CreateNull());
}

void json_add_bool(struct json *json, cJSON *object, const char *key, bool value)
{
    add_value(json, object, key, cJSON_CreateBool(value));
}

void json_add_integer(struct json *json, cJSON *object, const char *key, int64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    add_value(json, object, key, cJSON_CreateRaw(text));
}

void json_add_real(struct json *json, cJSON *object, const char *key, double value)
{
    char text[32];

    if (!isfinite(value)) {
        json_add_null(json, object, key);
        return;
    }
    (void)exposition_number(text, value);
    add_value(json, object, key, cJSON_CreateRaw(text));
}

void json_format_money(char text[static 40], kpi_decimal value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    int length = snprintf(text, 40, "%s%" PRIu64 ".%06" PRIu64, value < 0 ? "-" : "",
                          magnitude / KPI_DECIMAL_ONE, magnitude % KPI_DECIMAL_ONE);

    for (int n_decimals = 6; n_decimals > 2 && text[length - 1] == '0'; n_decimals--)
        text[--length] = '\0';
}

void json_add_money(struct json *json, cJSON *object, const char *key, kpi_decimal value)
{
    char text[40];

    json_format_money(text, value);
    json_add_text(json, object, key, text);
}

void json_add_hash(struct json *json, cJSON *object, const char *key, uint64_t value)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, value);
    json_add_text(json, object, key, text);
}

void json_add_text(struct json *json, cJSON *object, const char *key, const char *value)
{
    add_value(json, object, key, cJSON_CreateString(value));
}

void json_add_string(struct json *json, cJSON *object, const char *key, struct kpi_string value)
{
    char *text = strndup(value.data ? value.data : "", value.length);

    add_value(json, object, key, text ? cJSON_CreateString(text) : NULL);
    free(text);
}

int json_format_time(char ret_text[40], kpi_time time, kpi_duration offset)
{
    int64_t seconds, fraction, minutes;
    time_t whole;
    struct tm parts;
    int length;

    if (offset % KPI_MINUTE != 0 || offset > KPI_DAY || offset < -KPI_DAY)
        offset = 0;
    time += offset;
    seconds = time / KPI_SECOND - (time % KPI_SECOND < 0);
    fraction = time - seconds * KPI_SECOND;
    whole = (time_t)seconds;
    (void)gmtime_r(&whole, &parts);
    length = snprintf(ret_text, 40, "%04d-%02d-%02dT%02d:%02d:%02d", (parts.tm_year + 1900) % 10000,
                      parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    if (fraction % KPI_MILLISECOND != 0)
        length += snprintf(ret_text + length, 8, ".%06d", (int)fraction);
    else if (fraction != 0)
        length += snprintf(ret_text + length, 8, ".%03d", (int)(fraction / KPI_MILLISECOND));
    minutes = (offset < 0 ? -offset : offset) / KPI_MINUTE;
    if (minutes == 0)
        return length + snprintf(ret_text + length, 2, "Z");
    return length + snprintf(ret_text + length, 8, "%c%02d:%02d", offset < 0 ? '-' : '+',
                             (int)(minutes / 60), (int)(minutes % 60));
}

void json_add_time(struct json *json, cJSON *object, const char *key, kpi_time time,
                   kpi_duration offset)
{
    char text[40];

    if (time == KPI_TIME_NONE) {
        json_add_null(json, object, key);
        return;
    }
    (void)json_format_time(text, time, offset);
    json_add_text(json, object, key, text);
}

int json_end(struct json *json, cJSON *root, char **ret_text, size_t *ret_size)
{
    char *text = json->failed ? NULL : cJSON_PrintUnformatted(root);
    char *line = NULL;
    size_t size = 0;

    cJSON_Delete(root);
    if (text) {
        size = strlen(text);
        line = realloc(text, size + 2);
        if (!line)
            free(text);
    }
    if (!line)
        return error_origin(-ENOMEM);
    line[size] = '\n';
    line[size + 1] = '\0';
    *ret_text = line;
    *ret_size = size + 1;
    return 0;
}
