/*
 * The body, built with cJSON. Its own printing of numbers compares with a tolerance and may lose
 * the last bit, so numbers go in as text of ours.
 */
#include "sink/alert_body.h"

#include "codec/deviation.h"
#include "codec/time_text.h"
#include "codec/value_text.h"
#include "util/error.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void alert_fingerprint(char ret_text[ALERT_FINGERPRINT_BYTES], uint64_t fingerprint)
{
    snprintf(ret_text, ALERT_FINGERPRINT_BYTES, "%016" PRIx64, fingerprint);
}

void alert_id(char ret_id[ALERT_ID_BYTES], uint64_t fingerprint, uint64_t sequence,
              const char *group)
{
    XXH128_canonical_t canonical;
    uint8_t numbers[16];
    unsigned i;

    for (i = 0; i < 8; i++) { /* little-endian whatever the machine: the id must outlive it */
        numbers[i] = (uint8_t)(fingerprint >> 8 * i);
        numbers[8 + i] = (uint8_t)(sequence >> 8 * i);
    }
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(numbers, sizeof(numbers),
                                                               XXH3_64bits(group, strlen(group))));
    memcpy(ret_id, "al_", 3);
    for (i = 0; i < sizeof(canonical.digest); i++)
        snprintf(ret_id + 3 + 2 * i, 3, "%02x", canonical.digest[i]);
}

static void freep(char **text)
{
    free(*text);
}

static void cjson_deletep(cJSON **json)
{
    cJSON_Delete(*json);
}

/* The additions below return whether there was memory. */

static bool add_text(cJSON *object, const char *name, const char *text)
{
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool add_string(cJSON *object, const char *name, struct kpi_string string)
{
    char *text = strndup(string.data ? string.data : "", string.length);
    bool ok = text && add_text(object, name, text);

    free(text);
    return ok;
}

static bool add_integer(cJSON *object, const char *name, int64_t value)
{
    char text[VALUE_TEXT_BYTES_MAX];

    snprintf(text, sizeof(text), "%" PRId64, value);
    return cJSON_AddRawToObject(object, name, text) != NULL;
}

/* Exactly; what JSON has no number for is null. */
static bool add_double(cJSON *object, const char *name, double value)
{
    char text[VALUE_TEXT_BYTES_MAX];

    if (!isfinite(value))
        return cJSON_AddNullToObject(object, name) != NULL;
    value_text_format_double(value, text);
    return cJSON_AddRawToObject(object, name, text) != NULL;
}

/* To 12 digits: the result of a product or subtraction, whose last bits mean nothing. */
static bool add_derived(cJSON *object, const char *name, double value)
{
    char text[VALUE_TEXT_BYTES_MAX];

    if (!isfinite(value))
        return cJSON_AddNullToObject(object, name) != NULL;
    snprintf(text, sizeof(text), "%.12g", value);
    return cJSON_AddRawToObject(object, name, text) != NULL;
}

static bool add_number(cJSON *object, const char *name, const struct kpi_number *number)
{
    char text[VALUE_TEXT_BYTES_MAX];

    switch (number->kind) {
    case KPI_NUMBER_COUNT:
        return add_integer(object, name, number->value);
    case KPI_NUMBER_MONEY:
        value_text_format_decimal(number->value, text);
        return add_text(object, name, text);
    case KPI_NUMBER_REAL:
        return add_double(object, name, number->real);
    case KPI_NUMBER_NONE:
        break;
    }
    return cJSON_AddNullToObject(object, name) != NULL;
}

/*
 * Local midnight as it would be in UTC, less when it was. On a day on which the clock is changed
 * this is the offset at its beginning: the text then names the right instant with the other offset.
 */
static int32_t offset_at(const struct kpi_zone *zone, kpi_time time)
{
    const kpi_day day = zone ? kpi_zone_day(zone, time) : INT32_MIN;

    if (day == INT32_MIN)
        return 0;
    return (int32_t)((day * KPI_DAY - kpi_zone_day_start(zone, day)) / KPI_SECOND);
}

static bool add_time(cJSON *object, const char *name, const struct kpi_zone *zone, kpi_time time)
{
    char text[TIME_TEXT_BYTES_MAX];
    const int32_t offset_s = offset_at(zone, time);

    if (time == KPI_TIME_NONE)
        return cJSON_AddNullToObject(object, name) != NULL;
    if (offset_s == 0)
        time_text_format_utc(time, text);
    else
        time_text_format(time, offset_s, text);
    return add_text(object, name, text);
}

static bool add_scope(cJSON *data, const struct alert_about *options)
{
    const struct kpi_scope *of = options->scope;
    cJSON *scope = cJSON_AddObjectToObject(data, "scope");

    if (!scope || !add_text(scope, "kind", kpi_scope_kind_name(of)) ||
        !add_time(scope, "start", options->zone, of->start) ||
        !add_time(scope, "end", options->zone, of->end))
        return false;
    if (of->kind == KPI_SCOPE_PHASE)
        return add_string(scope, "phase", options->campaign->phases[of->phase].name);
    if (of->kind == KPI_SCOPE_ROLLING && of->unit == KPI_SCOPE_DAY)
        return add_integer(scope, "days", of->count);
    if (of->kind == KPI_SCOPE_ROLLING &&
        (!add_integer(scope, "count", of->count) ||
         !add_text(
             scope, "unit",
             kpi_scope_kind_name(&(struct kpi_scope){.kind = of->unit, .minutes = of->minutes}))))
        return false;
    return of->unit != KPI_SCOPE_MINUTES || of->minutes == 60 ||
           add_integer(scope, "minutes", of->minutes);
}

static bool add_titles(cJSON *data, const struct kpi_kpi_info *kpi)
{
    cJSON *title = cJSON_AddObjectToObject(data, "title");

    return title && add_string(title, "en", kpi->title_en) &&
           add_string(title, "zh", kpi->title_zh);
}

static bool add_deviation(cJSON *data, const struct alert_about *options, double value)
{
    struct deviation_figure figures[DEVIATION_FIGURES_MAX];
    const unsigned n = deviation_figures(figures, options->target, options->kpi->unit, value);
    char text[DEVIATION_TEXT_BYTES_MAX];
    bool ok;

    deviation_format(text, options->target, options->kpi->unit);
    ok = add_text(data, "deviation", text);
    for (unsigned i = 0; i < n && ok; i++)
        ok = add_double(data, figures[i].name, figures[i].value);
    return ok;
}

/* Appends what a URL's query may hold as it is, and the rest as %XX. */
static char *put_escaped(char *at, struct kpi_string string)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";
    size_t i;

    for (i = 0; i < string.length; i++) {
        if (string.data[i] && strchr(unreserved, string.data[i]))
            *at++ = string.data[i];
        else
            at += sprintf(at, "%%%02X", (unsigned char)string.data[i]);
    }
    return at;
}

static bool add_links(cJSON *data, const struct alert_about *options)
{
    cJSON *links = cJSON_AddObjectToObject(data, "links");
    const struct kpi_string campaign = options->campaign->id, kpi = options->kpi->name;
    size_t length = options->external_url ? strlen(options->external_url) : 0;
    CLEANUP(freep) char *url = NULL;
    char *at;

    if (!links || length == 0)
        return links;
    while (length > 0 && options->external_url[length - 1] == '/')
        length--;
    url = malloc(length + 64 + 3 * (campaign.length + kpi.length));
    if (!url)
        return false;
    memcpy(url, options->external_url, length);
    strcpy(url + length, "/api/v1/alerts");
    if (!add_text(links, "alerts", url))
        return false;
    at = put_escaped(stpcpy(url + length, "/api/v1/kpis?campaign="), campaign);
    *put_escaped(stpcpy(at, "&kpi="), kpi) = '\0';
    return add_text(links, "kpi", url);
}

static bool add_about(cJSON *about, const struct alert_about *options)
{
    const struct kpi_value *value = options->value;
    const double number = value->state == KPI_VALUE_OK ? value->value : NAN;

    return add_string(about, "campaign", options->campaign->id) &&
           add_string(about, "kpi", options->kpi->name) && add_titles(about, options->kpi) &&
           add_scope(about, options) && add_double(about, "value", number) &&
           add_double(about, "target", options->target->value) &&
           (!options->target->varies ||
            add_string(about, "target_expression", options->target->expression)) &&
           add_deviation(about, options, number) &&
           add_derived(about, "band", options->target->band) &&
           add_number(about, "numerator", &value->numerator) &&
           add_number(about, "denominator", &value->denominator) &&
           add_time(about, "since", options->zone, options->since) && add_links(about, options);
}

int alert_about_new(char **ret_about, const struct alert_about *options)
{
    CLEANUP(cjson_deletep) cJSON *about = cJSON_CreateObject();
    char *text;

    if (!about || !add_about(about, options) || !(text = cJSON_PrintUnformatted(about)))
        return error_origin(-ENOMEM);
    *ret_about = text;
    return 0;
}

static bool add_reason(cJSON *data)
{
    cJSON *title;

    return add_text(data, "reason", "target_removed") &&
           (title = cJSON_AddObjectToObject(data, "reason_title")) &&
           add_text(title, "en", "The target was removed") && add_text(title, "zh", "目标已被移除");
}

static bool add_head(cJSON *data, const struct alert_body *options)
{
    char id[ALERT_ID_BYTES], fingerprint[ALERT_FINGERPRINT_BYTES];

    alert_id(id, options->fingerprint, options->sequence, options->group);
    alert_fingerprint(fingerprint, options->fingerprint);
    return add_text(data, "id", id) && add_text(data, "fingerprint", fingerprint) &&
           add_integer(data, "sequence", (int64_t)options->sequence) &&
           add_text(data, "status",
                    options->transition == KPI_TRANSITION_FIRING ? "firing" : "resolved") &&
           add_text(data, "level", kpi_alert_level_name(options->level)) &&
           (!options->removed || add_reason(data)) &&
           (options->about || add_time(data, "since", options->zone, options->since));
}

int alert_body_new(char **ret_body, size_t *ret_size, const struct alert_body *options)
{
    CLEANUP(cjson_deletep) cJSON *root = cJSON_CreateObject(), *head = cJSON_CreateObject();
    CLEANUP(freep) char *text = NULL, *data = NULL;
    char *body;

    assert(options->transition != KPI_TRANSITION_NONE);
    if (!root || !head ||
        !add_text(root, "type",
                  options->transition == KPI_TRANSITION_FIRING ? "kpi.deviation.firing"
                                                               : "kpi.deviation.resolved") ||
        !add_time(root, "timestamp", options->zone, options->at) || !add_head(head, options) ||
        !(text = cJSON_PrintUnformatted(head)))
        return error_origin(-ENOMEM);
    /* Two objects become one as texts: to read one would round its numbers. */
    if (options->about) {
        text[strlen(text) - 1] = '\0';
        if (asprintf(&data, "%s,%s", text, options->about + 1) < 0) {
            data = NULL;
            return error_origin(-ENOMEM);
        }
    }
    if (!cJSON_AddRawToObject(root, "data", data ? data : text) ||
        !(body = cJSON_PrintUnformatted(root)))
        return error_origin(-ENOMEM);
    *ret_size = strlen(body);
    *ret_body = body;
    return 0;
}
