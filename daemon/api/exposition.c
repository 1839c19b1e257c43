/*
 * One unescaped label would void a whole scrape or let input add series, so label values pass
 * through one function: backslash, quote and line feed escaped (no other escape exists: readers
 * differ on them), everything that is not UTF-8 replaced. Other control characters are legal in
 * both formats and stay, but for CR and NUL, which readers cannot be trusted with.
 */
#include "exposition.h"

#include "util/error.h"
#include "util/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct exposition *exposition, const char *bytes, size_t n)
{
    if (exposition->failed)
        return;
    if (n > exposition->capacity - exposition->size) {
        size_t capacity = exposition->capacity ? exposition->capacity * 2 : 16384;
        char *text;

        while (capacity - exposition->size < n)
            capacity *= 2;
        text = realloc(exposition->text, capacity);
        if (!text) {
            exposition->failed = true;
            return;
        }
        exposition->text = text;
        exposition->capacity = capacity;
    }
    memcpy(exposition->text + exposition->size, bytes, n);
    exposition->size += n;
}

static void put_string(struct exposition *exposition, const char *string)
{
    put(exposition, string, strlen(string));
}

static void put_escaped(struct exposition *exposition, const char *bytes, size_t length,
                        bool escape_quote)
{
    size_t i = 0, n;

    for (; i < length; i += n) {
        uint32_t code;

        n = utf8_decode(bytes + i, length - i, &code);
        if (n == 0 || code == '\0' || code == '\r') {
            n = 1;
            put_string(exposition, "\xef\xbf\xbd");
        } else if (code == '\\') {
            put_string(exposition, "\\\\");
        } else if (code == '\n') {
            put_string(exposition, "\\n");
        } else if (code == '"' && escape_quote) {
            put_string(exposition, "\\\"");
        } else {
            put(exposition, bytes + i, n);
        }
    }
}

/* The name that metadata goes by: OpenMetrics takes the suffix of counters and infos off. */
static size_t metadata_length(const struct exposition *exposition)
{
    const struct exposition_family *family = exposition->family;
    const char *suffix = family->type == EXPOSITION_COUNTER ? "_total"
                         : family->type == EXPOSITION_INFO  ? "_info"
                                                            : "";
    size_t length = strlen(family->name), suffix_length = strlen(suffix);

    assert(length > suffix_length && strcmp(family->name + length - suffix_length, suffix) == 0);
    return exposition->format == EXPOSITION_OPENMETRICS ? length - suffix_length : length;
}

static void put_metadata(struct exposition *exposition, const char *keyword, const char *text,
                         bool escape_quote)
{
    put_string(exposition, "# ");
    put_string(exposition, keyword);
    put_string(exposition, " ");
    put(exposition, exposition->family->name, metadata_length(exposition));
    put_string(exposition, " ");
    put_escaped(exposition, text, strlen(text), escape_quote);
    put_string(exposition, "\n");
}

void exposition_family(struct exposition *exposition, const struct exposition_family *family)
{
    static const char *const text_types[] = {"counter", "gauge",     "gauge",
                                             "gauge",   "histogram", "untyped"};
    static const char *const openmetrics_types[] = {"counter",  "gauge",     "info",
                                                    "stateset", "histogram", "unknown"};

    exposition->family = family;
    exposition->has_labels = false;
    if (exposition->format == EXPOSITION_OPENMETRICS) {
        put_metadata(exposition, "TYPE", openmetrics_types[family->type], false);
        if (family->unit)
            put_metadata(exposition, "UNIT", family->unit, false);
        put_metadata(exposition, "HELP", family->help, true);
    } else {
        put_metadata(exposition, "HELP", family->help, false);
        put_metadata(exposition, "TYPE", text_types[family->type], false);
    }
}

static void begin_sample(struct exposition *exposition, const char *suffix)
{
    exposition->labels_begin = exposition->size;
    put_string(exposition, exposition->family->name);
    put_string(exposition, suffix);
}

/* At most EXPOSITION_LABEL_BYTES_MAX bytes, and no character cut in two. */
static size_t cut(const char *value, size_t length)
{
    if (length <= EXPOSITION_LABEL_BYTES_MAX)
        return length;
    length = EXPOSITION_LABEL_BYTES_MAX;
    while (length > 0 && ((uint8_t)value[length] & 0xc0) == 0x80)
        length--;
    return length;
}

void exposition_label_bytes(struct exposition *exposition, const char *name, const char *value,
                            size_t length)
{
    if (!exposition->has_labels)
        begin_sample(exposition, "");
    put_string(exposition, exposition->has_labels ? "," : "{");
    put_string(exposition, name);
    put_string(exposition, "=\"");
    put_escaped(exposition, value, cut(value, length), true);
    put_string(exposition, "\"");
    exposition->has_labels = true;
}

void exposition_label(struct exposition *exposition, const char *name, const char *value)
{
    exposition_label_bytes(exposition, name, value, strlen(value));
}

static void end_sample(struct exposition *exposition, const char *number)
{
    put_string(exposition, exposition->has_labels ? "} " : " ");
    put_string(exposition, number);
    put_string(exposition, "\n");
    exposition->has_labels = false;
    if (++exposition->n_samples > exposition->n_samples_max) {
        exposition->n_limited++;
        if (!exposition->failed)
            exposition->size = exposition->labels_begin;
    }
}

void exposition_sample(struct exposition *exposition, double value)
{
    char number[32];

    if (!exposition->has_labels)
        begin_sample(exposition, "");
    (void)exposition_number(number, value);
    end_sample(exposition, number);
}

void exposition_sample_integer(struct exposition *exposition, int64_t value)
{
    char number[32];

    if (!exposition->has_labels)
        begin_sample(exposition, "");
    (void)snprintf(number, sizeof(number), "%" PRId64, value);
    end_sample(exposition, number);
}

static void put_part(struct exposition *exposition, const char *suffix, const char *bound,
                     const char *number)
{
    put_string(exposition, exposition->family->name);
    put_string(exposition, suffix);
    if (bound) {
        put_string(exposition, "{le=\"");
        put_string(exposition, bound);
        put_string(exposition, "\"}");
    }
    put_string(exposition, " ");
    put_string(exposition, number);
    put_string(exposition, "\n");
}

void exposition_histogram(struct exposition *exposition, const double *bounds,
                          const uint64_t *counts, unsigned n_bounds, double sum)
{
    char bound[36], number[32];
    uint64_t n = 0;

    /* A histogram without its last bucket is wrong: it comes whole or not at all. */
    if (exposition->n_samples + n_bounds + 3 > exposition->n_samples_max) {
        exposition->n_limited += n_bounds + 3;
        return;
    }
    for (unsigned i = 0; i <= n_bounds; i++) {
        n += counts[i];
        (void)snprintf(number, sizeof(number), "%" PRIu64, n);
        if (i < n_bounds) {
            int length = exposition_number(bound, bounds[i]);

            /* "1.0" in both formats, as OpenMetrics has it, or the series would change its name
             * with the format. */
            if (!strpbrk(bound, ".e"))
                (void)strcpy(bound + length, ".0");
        }
        put_part(exposition, "_bucket", i < n_bounds ? bound : "+Inf", number);
    }
    (void)exposition_number(bound, sum);
    put_part(exposition, "_sum", NULL, bound);
    put_part(exposition, "_count", NULL, number);
    exposition->n_samples += n_bounds + 3;
}

int exposition_end(struct exposition *exposition)
{
    if (exposition->format == EXPOSITION_OPENMETRICS)
        put_string(exposition, "# EOF\n");
    if (!exposition->failed)
        return 0;
    free(exposition->text);
    exposition->text = NULL;
    exposition->size = 0;
    return error_origin(-ENOMEM);
}

int exposition_number(char ret_text[32], double value)
{
    int length = 0;

    if (isnan(value))
        return (int)strlen(strcpy(ret_text, "NaN"));
    if (isinf(value))
        return (int)strlen(strcpy(ret_text, value > 0 ? "+Inf" : "-Inf"));
    /* Most numbers are whole: no search for the shortest form. */
    if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        return snprintf(ret_text, 32, "%" PRId64, (int64_t)value);
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(ret_text, 32, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value)
            break;
    }
    return length;
}
