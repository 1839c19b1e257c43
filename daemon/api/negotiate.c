/*
 * Accept, as Prometheus sends it: a list with qualities, versions and, since 3.0, an escaping.
 * Highest quality wins, at a tie the first. Our names are plain ASCII, so every escaping is the
 * same output.
 */
#include "exposition.h"

#include "http_parse.h"

#include <string.h>
#include <strings.h>

enum escaping {
    ESCAPING_NONE,
    ESCAPING_UNDERSCORES,
    ESCAPING_UTF8,
};

/* The value of a parameter of a media range, without quotes; "" if it is absent. */
static void find_parameter(const char *parameters, const char *name, char ret_value[32])
{
    size_t name_length = strlen(name), length;

    ret_value[0] = '\0';
    for (const char *at = parameters; at; at = strchr(at, ';')) {
        at += strspn(at, "; \t");
        if (strncasecmp(at, name, name_length) != 0 || at[name_length] != '=')
            continue;
        at += name_length + 1;
        if (*at == '"')
            at++;
        length = strcspn(at, "\"; \t");
        if (length < 32) {
            memcpy(ret_value, at, length);
            ret_value[length] = '\0';
        }
        return;
    }
}

/* Is this something that we can answer with? Index into the table of content types by row. */
static bool match(const char *item, const char *parameters, unsigned *ret_row)
{
    char version[32];

    find_parameter(parameters, "version", version);
    if (strcasecmp(item, "application/openmetrics-text") == 0) {
        *ret_row = strcmp(version, "0.0.1") == 0 ? 2 : 1;
        return version[0] == '\0' || strcmp(version, "1.0.0") == 0 || *ret_row == 2;
    }
    *ret_row = 0;
    if (strcasecmp(item, "text/plain") == 0)
        return version[0] == '\0' || strcmp(version, "0.0.4") == 0;
    return strcmp(item, "*/*") == 0 || strcasecmp(item, "text/*") == 0;
}

enum exposition_format exposition_negotiate(const char *accept, const char **ret_content_type)
{
#define TEXT  "text/plain; version=0.0.4; charset=utf-8"
#define OM(v) "application/openmetrics-text; version=" v "; charset=utf-8"
#define ROW(type)                                                                                  \
    {                                                                                              \
        type, type "; escaping=underscores", type "; escaping=allow-utf-8"                         \
    }
    static const char *const content_types[][3] = {ROW(TEXT), ROW(OM("1.0.0")), ROW(OM("0.0.1"))};
    char item[64], parameters[128], escaping[32];
    unsigned best = 0, row;
    enum escaping best_escaping = ESCAPING_NONE;
    int best_quality = 0, quality;

    while (accept && http_list_next(&accept, item, parameters, &quality)) {
        if (quality <= best_quality || !match(item, parameters, &row))
            continue;
        best_quality = quality;
        best = row;
        find_parameter(parameters, "escaping", escaping);
        best_escaping = !escaping[0]                           ? ESCAPING_NONE
                        : strcmp(escaping, "allow-utf-8") == 0 ? ESCAPING_UTF8
                                                               : ESCAPING_UNDERSCORES;
    }
    *ret_content_type = content_types[best][best_escaping];
    return best == 0 ? EXPOSITION_TEXT : EXPOSITION_OPENMETRICS;
}
