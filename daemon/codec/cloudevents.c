/* Media types: compared without case, up to what is behind a semicolon. */
#include "codec/cloudevents.h"

#include "codec/event_json.h"

#include <strings.h>

/* Without parameters and the blanks before them. */
static struct kpi_string media_type(struct kpi_string type)
{
    const char *end = type.length ? memchr(type.data, ';', type.length) : NULL;

    if (end)
        type.length = (size_t)(end - type.data);
    while (type.length > 0 && type.data[type.length - 1] == ' ')
        type.length--;
    return type;
}

static bool same(struct kpi_string text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

static bool begins(struct kpi_string text, const char *word)
{
    return text.length >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static bool ends(struct kpi_string text, const char *word)
{
    size_t length = strlen(word);

    return text.length > length && strncasecmp(text.data + text.length - length, word, length) == 0;
}

enum cloudevents_mode cloudevents_mode(const struct event_header *headers, uint32_t n_headers,
                                       struct kpi_string *ret_type)
{
    bool has_version = false;
    struct kpi_string type;

    *ret_type = (struct kpi_string){"", 0};
    for (uint32_t i = 0; i < n_headers; i++) {
        if (strcasecmp(headers[i].name, "content-type") == 0 && headers[i].value)
            *ret_type = (struct kpi_string){headers[i].value, headers[i].size};
        has_version |= strcmp(headers[i].name, "ce_specversion") == 0;
    }
    type = media_type(*ret_type);
    if (same(type, "application/cloudevents+json"))
        return CLOUDEVENTS_STRUCTURED;
    if (begins(type, "application/cloudevents"))
        return CLOUDEVENTS_UNREADABLE;
    return has_version ? CLOUDEVENTS_BINARY : CLOUDEVENTS_UNTOLD;
}

bool cloudevents_type_is_json(struct kpi_string type)
{
    type = media_type(type);
    return type.length == 0 || ends(type, "/json") || ends(type, "+json");
}
