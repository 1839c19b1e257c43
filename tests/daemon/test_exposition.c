/*
 * What the exposition writer writes means what it was told, in both formats, whatever stands in
 * labels and help texts; and the format is the one that the scraper asked for.
 *
 * The vectors are those of Prometheus' own libraries (tests/vectors/exposition). Number style is
 * free, so texts are compared but for the numbers, and those as doubles.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "api/exposition.h"

static cJSON *load(const char *name)
{
    char path[1024];
    char *text;
    cJSON *root;
    FILE *file;
    long size;

    snprintf(path, sizeof(path), "%s/exposition/%s", TEST_VECTORS, name);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    text = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    root = cJSON_Parse(text);
    free(text);
    assert_non_null(root);
    return root;
}

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(get(object, key));
}

static struct exposition begin(enum exposition_format format)
{
    return (struct exposition){.format = format, .n_samples_max = 100000};
}

/* The exposition, terminated; to be freed. */
static char *end(struct exposition *exposition)
{
    char *text;

    assert_int_equal(exposition_end(exposition), 0);
    text = realloc(exposition->text, exposition->size + 1);
    assert_non_null(text);
    text[exposition->size] = '\0';
    return text;
}

static double number_of(const cJSON *item)
{
    const char *text = cJSON_GetStringValue(item);

    return text ? strtod(text, NULL) : item->valuedouble;
}

static void write_simple(struct exposition *exposition, const cJSON *metrics)
{
    const cJSON *metric, *label;

    cJSON_ArrayForEach(metric, metrics)
    {
        cJSON_ArrayForEach(label, get(metric, "labels"))
        {
            exposition_label(exposition, cJSON_GetArrayItem(label, 0)->valuestring,
                             cJSON_GetArrayItem(label, 1)->valuestring);
        }
        exposition_sample(exposition, number_of(get(metric, "value")));
    }
}

static void write_histogram(struct exposition *exposition, const cJSON *metrics)
{
    const cJSON *metric = cJSON_GetArrayItem(metrics, 0), *bucket;
    double bounds[16];
    uint64_t counts[17], before = 0, n;
    unsigned n_bounds = 0;

    cJSON_ArrayForEach(bucket, get(metric, "buckets"))
    {
        if (cJSON_IsString(cJSON_GetArrayItem(bucket, 0)))
            continue;
        n = (uint64_t)cJSON_GetArrayItem(bucket, 1)->valuedouble;
        bounds[n_bounds] = cJSON_GetArrayItem(bucket, 0)->valuedouble;
        counts[n_bounds++] = n - before;
        before = n;
    }
    counts[n_bounds] = (uint64_t)get(metric, "count")->valuedouble - before;
    exposition_histogram(exposition, bounds, counts, n_bounds, get(metric, "sum")->valuedouble);
}

/* Where the number of a sample line begins: behind the labels. NULL: a comment. */
static const char *number_in(const char *line)
{
    const char *at = line + strcspn(line, "{ ");
    bool quoted = false;

    if (*line == '#')
        return NULL;
    if (*at == '{') {
        for (at++; quoted || *at != '}'; at++) {
            if (*at == '\\')
                at++;
            else if (*at == '"')
                quoted = !quoted;
        }
        at++;
    }
    return at + 1;
}

static void without_le_style(char *line)
{
    char *dot = strstr(line, ".0\"}");

    if (dot)
        memmove(dot, dot + 2, strlen(dot + 2) + 1);
}

static void assert_same_exposition(const char *name, const char *actual, const char *expected)
{
    char *a = strdup(actual), *e = strdup(expected), *rest_a = a, *rest_e = e;

    while (rest_a && rest_e) {
        char *line_a = strsep(&rest_a, "\n"), *line_e = strsep(&rest_e, "\n");
        const char *number_a, *number_e;

        without_le_style(line_a);
        number_a = *line_a ? number_in(line_a) : NULL;
        number_e = *line_e ? number_in(line_e) : NULL;
        if (!number_a || !number_e) {
            if (strcmp(line_a, line_e) != 0)
                fail_msg("%s: %s instead of %s", name, line_a, line_e);
            continue;
        }
        if (number_a - line_a != number_e - line_e ||
            memcmp(line_a, line_e, (size_t)(number_a - line_a)) != 0 ||
            (strtod(number_a, NULL) != strtod(number_e, NULL) &&
             !(isnan(strtod(number_a, NULL)) && isnan(strtod(number_e, NULL)))))
            fail_msg("%s: %s instead of %s", name, line_a, line_e);
    }
    if (rest_a || rest_e)
        fail_msg("%s: lines left", name);
    free(a);
    free(e);
}

static void test_vectors_of_whole_texts(void **state)
{
    cJSON *root = load("ex-text-write.json");
    const cJSON *vector;
    unsigned n = 0;

    cJSON_ArrayForEach(vector, get(get(root, "expected"), "vectors"))
    {
        const cJSON *source = get(vector, "family");
        const char *type = text_of(source, "type"), *name = text_of(source, "name");
        struct exposition exposition = begin(EXPOSITION_TEXT);
        struct exposition_family family = {name, EXPOSITION_GAUGE, NULL, text_of(source, "help")};
        char expected[4096], *text, *at;

        /* We write no summaries, no quoted names, nothing without help; our counters end in _total.
         */
        if (!type || !family.help || strcmp(type, "summary") == 0 || strchr(name, '.'))
            continue;
        strcpy(expected, text_of(vector, "text"));
        if (strcmp(type, "counter") == 0) {
            /* Written as a gauge, then its type set right; and nothing of ours has a time stamp. */
            at = strstr(expected, "counter");
            memmove(at + 5, at + 7, strlen(at + 7) + 1);
            memcpy(at, "gauge", 5);
            at = strstr(expected, " 1234567890");
            memmove(at, at + 11, strlen(at + 11) + 1);
        }
        family.type = strcmp(type, "histogram") == 0 ? EXPOSITION_HISTOGRAM : EXPOSITION_GAUGE;
        exposition_family(&exposition, &family);
        if (family.type == EXPOSITION_HISTOGRAM)
            write_histogram(&exposition, get(source, "metrics"));
        else
            write_simple(&exposition, get(source, "metrics"));
        text = end(&exposition);
        assert_same_exposition(text_of(vector, "name"), text, expected);
        free(text);
        n++;
    }
    assert_int_equal(n, 4);
    cJSON_Delete(root);
}

static void test_vectors_of_label_escapes(void **state)
{
    cJSON *root = load("ex-escaping.json");
    const cJSON *vector;
    unsigned n = 0;

    cJSON_ArrayForEach(vector, get(get(root, "expected"), "label_values"))
    {
        static const struct exposition_family family = {"a", EXPOSITION_GAUGE, NULL, "h"};
        struct exposition exposition = begin(EXPOSITION_TEXT);
        char expected[256], *text;

        if (!cJSON_IsTrue(get(vector, "canonical")))
            continue;
        exposition_family(&exposition, &family);
        exposition_label(&exposition, "l", text_of(vector, "meant"));
        exposition_sample(&exposition, 1);
        text = end(&exposition);
        snprintf(expected, sizeof(expected), "# HELP a h\n# TYPE a gauge\na{l=\"%s\"} 1\n",
                 text_of(vector, "written"));
        assert_string_equal(text, expected);
        free(text);
        n++;
    }
    assert_int_equal(n, 9);
    cJSON_Delete(root);
}

static void test_vectors_of_help_escapes(void **state)
{
    cJSON *root = load("ex-escaping.json");
    const cJSON *vector;
    unsigned n = 0;

    cJSON_ArrayForEach(vector, get(get(root, "expected"), "help_texts"))
    {
        struct exposition_family family = {"a", EXPOSITION_GAUGE, NULL, text_of(vector, "meant")};
        struct exposition exposition = begin(EXPOSITION_TEXT);
        char expected[256], *text;

        if (!cJSON_IsTrue(get(vector, "canonical")))
            continue;
        exposition_family(&exposition, &family);
        text = end(&exposition);
        snprintf(expected, sizeof(expected), "# HELP a %s\n# TYPE a gauge\n",
                 text_of(vector, "written"));
        assert_string_equal(text, expected);
        free(text);
        n++;
    }
    assert_int_equal(n, 7);
    cJSON_Delete(root);
}

/* Reads one escaped label value as strictly as the strictest reader. Returns behind its quote. */
static const char *read_value(const char *at, char *ret_value)
{
    for (; *at != '"'; at++) {
        assert_int_not_equal(*at, '\n');
        assert_int_not_equal(*at, '\r');
        assert_int_not_equal(*at, '\0');
        if (*at == '\\') {
            at++;
            assert_non_null(strchr("\\\"n", *at));
            *ret_value++ = *at == 'n' ? '\n' : *at;
        } else {
            *ret_value++ = *at;
        }
    }
    *ret_value = '\0';
    return at + 1;
}

static void test_refused_texts_as_label_values_stay_values(void **state)
{
    cJSON *root = load("ex-text-parse-errors.json");
    const cJSON *vector;
    unsigned n = 0;

    cJSON_ArrayForEach(vector, get(get(root, "expected"), "vectors"))
    {
        const char *input = text_of(vector, "input");
        struct exposition_family family = {"a", EXPOSITION_GAUGE, NULL, input};
        struct exposition exposition = begin(EXPOSITION_OPENMETRICS);
        char value[4096], *text;
        const char *at;

        if (!input)
            continue; /* bytes that are not UTF-8: the next test */
        exposition_family(&exposition, &family);
        exposition_label(&exposition, "l", input);
        exposition_sample(&exposition, 1);
        text = end(&exposition);
        /* TYPE, HELP, one sample, EOF: four lines, whatever the input was. */
        at = strchr(strchr(text, '\n') + 1, '\n') + 1;
        assert_memory_equal(at, "a{l=\"", 5);
        at = read_value(at + 5, value);
        assert_string_equal(at, "} 1\n# EOF\n");
        if (strlen(input) <= EXPOSITION_LABEL_BYTES_MAX && !strchr(input, '\r'))
            assert_string_equal(value, input);
        free(text);
        n++;
    }
    assert_int_equal(n, 47);
    cJSON_Delete(root);
}

static char *write_label(const char *value, size_t length)
{
    static const struct exposition_family family = {"a", EXPOSITION_GAUGE, NULL, "h"};
    struct exposition exposition = begin(EXPOSITION_TEXT);

    exposition_family(&exposition, &family);
    exposition_label_bytes(&exposition, "l", value, length);
    exposition_sample(&exposition, 1);
    return end(&exposition);
}

static void test_what_is_not_utf8_is_replaced(void **state)
{
    static const struct {
        const char *value;
        size_t length;
        const char *written;
    } table[] = {
        {"a\xff"
         "b",
         3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xe5\xa4", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"a\rb", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"大促", 6, "大促"},
        {"\xf0\x9f\x8e\x89", 4, "\xf0\x9f\x8e\x89"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char *text = write_label(table[i].value, table[i].length), expected[128];

        snprintf(expected, sizeof(expected), "# HELP a h\n# TYPE a gauge\na{l=\"%s\"} 1\n",
                 table[i].written);
        assert_string_equal(text, expected);
        free(text);
    }
}

static void test_long_values_are_cut_between_characters(void **state)
{
    char value[400], expected[500], *text;

    memset(value, 'x', 255);
    strcpy(value + 255, "促");
    text = write_label(value, strlen(value));
    snprintf(expected, sizeof(expected), "# HELP a h\n# TYPE a gauge\na{l=\"%.255s\"} 1\n", value);
    assert_string_equal(text, expected);
    free(text);
}

static void write_each_type(struct exposition *exposition)
{
    static const struct exposition_family info = {"x_build_info", EXPOSITION_INFO, NULL,
                                                  "Say \"it\"."};
    static const struct exposition_family counter = {"x_seconds_total", EXPOSITION_COUNTER,
                                                     "seconds", "Time\\spent\nhere."};
    static const struct exposition_family states = {"x_state", EXPOSITION_STATESET, NULL, "State."};
    static const struct exposition_family histogram = {"x_pause_seconds", EXPOSITION_HISTOGRAM,
                                                       "seconds", "Pause."};
    static const double bounds[] = {0.00025, 0.5, 1, 10};
    static const uint64_t counts[] = {1, 0, 2, 0, 3};

    exposition_family(exposition, &info);
    exposition_label(exposition, "version", "1");
    exposition_sample(exposition, 1);
    exposition_family(exposition, &counter);
    exposition_sample(exposition, 2.5);
    exposition_family(exposition, &states);
    exposition_label(exposition, "x_state", "ok");
    exposition_sample(exposition, 1);
    exposition_family(exposition, &histogram);
    exposition_histogram(exposition, bounds, counts, 4, 4.5);
}

static void test_types_in_text(void **state)
{
    struct exposition exposition = begin(EXPOSITION_TEXT);
    char *text;

    write_each_type(&exposition);
    text = end(&exposition);
    assert_string_equal(text, "# HELP x_build_info Say \"it\".\n"
                              "# TYPE x_build_info gauge\n"
                              "x_build_info{version=\"1\"} 1\n"
                              "# HELP x_seconds_total Time\\\\spent\\nhere.\n"
                              "# TYPE x_seconds_total counter\n"
                              "x_seconds_total 2.5\n"
                              "# HELP x_state State.\n"
                              "# TYPE x_state gauge\n"
                              "x_state{x_state=\"ok\"} 1\n"
                              "# HELP x_pause_seconds Pause.\n"
                              "# TYPE x_pause_seconds histogram\n"
                              "x_pause_seconds_bucket{le=\"0.00025\"} 1\n"
                              "x_pause_seconds_bucket{le=\"0.5\"} 1\n"
                              "x_pause_seconds_bucket{le=\"1.0\"} 3\n"
                              "x_pause_seconds_bucket{le=\"10.0\"} 3\n"
                              "x_pause_seconds_bucket{le=\"+Inf\"} 6\n"
                              "x_pause_seconds_sum 4.5\n"
                              "x_pause_seconds_count 6\n");
    free(text);
}

static void test_types_in_openmetrics(void **state)
{
    struct exposition exposition = begin(EXPOSITION_OPENMETRICS);
    char *text;

    write_each_type(&exposition);
    text = end(&exposition);
    assert_string_equal(text, "# TYPE x_build info\n"
                              "# HELP x_build Say \\\"it\\\".\n"
                              "x_build_info{version=\"1\"} 1\n"
                              "# TYPE x_seconds counter\n"
                              "# UNIT x_seconds seconds\n"
                              "# HELP x_seconds Time\\\\spent\\nhere.\n"
                              "x_seconds_total 2.5\n"
                              "# TYPE x_state stateset\n"
                              "# HELP x_state State.\n"
                              "x_state{x_state=\"ok\"} 1\n"
                              "# TYPE x_pause_seconds histogram\n"
                              "# UNIT x_pause_seconds seconds\n"
                              "# HELP x_pause_seconds Pause.\n"
                              "x_pause_seconds_bucket{le=\"0.00025\"} 1\n"
                              "x_pause_seconds_bucket{le=\"0.5\"} 1\n"
                              "x_pause_seconds_bucket{le=\"1.0\"} 3\n"
                              "x_pause_seconds_bucket{le=\"10.0\"} 3\n"
                              "x_pause_seconds_bucket{le=\"+Inf\"} 6\n"
                              "x_pause_seconds_sum 4.5\n"
                              "x_pause_seconds_count 6\n"
                              "# EOF\n");
    free(text);
}

static void test_limit_of_samples(void **state)
{
    static const struct exposition_family gauge = {"a", EXPOSITION_GAUGE, NULL, "h"};
    static const struct exposition_family histogram = {"b", EXPOSITION_HISTOGRAM, NULL, "h"};
    static const double bounds[] = {1};
    static const uint64_t counts[] = {1, 1};
    struct exposition exposition = begin(EXPOSITION_TEXT);
    char *text;

    exposition.n_samples_max = 3;
    exposition_family(&exposition, &gauge);
    exposition_sample(&exposition, 1);
    exposition_family(&exposition, &histogram);
    exposition_histogram(&exposition, bounds, counts, 1, 1); /* needs 4: left out whole */
    exposition_family(&exposition, &(struct exposition_family){"c", EXPOSITION_GAUGE, NULL, "h"});
    for (int i = 0; i < 4; i++) {
        exposition_label(&exposition, "l", "v");
        exposition_sample_integer(&exposition, i);
    }
    text = end(&exposition);
    assert_string_equal(text, "# HELP a h\n# TYPE a gauge\na 1\n"
                              "# HELP b h\n# TYPE b histogram\n"
                              "# HELP c h\n# TYPE c gauge\nc{l=\"v\"} 0\nc{l=\"v\"} 1\n");
    assert_int_equal(exposition.n_limited, 4 + 2);
    free(text);
}

static void test_numbers_are_short_and_exact(void **state)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0"},
        {-0.0, "0"},
        {0.65, "0.65"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {17, "17"},
        {-3, "-3"},
        {123456789012345, "123456789012345"},
        {1e21, "1e+21"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {5e-324, "4.94065645841247e-324"},
        {NAN, "NaN"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
    };
    uint64_t seed = 42;
    char text[32];

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(exposition_number(text, table[i].value), strlen(table[i].text));
        assert_string_equal(text, table[i].text);
    }
    for (int i = 0; i < 100000; i++) {
        double value;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &seed, sizeof(value));
        (void)exposition_number(text, value);
        if (!isnan(value) && strtod(text, NULL) != value)
            fail_msg("%.17g as %s", value, text);
    }
}

static void test_negotiation(void **state)
{
#define TEXT  "text/plain; version=0.0.4; charset=utf-8"
#define OM(v) "application/openmetrics-text; version=" v "; charset=utf-8"
    static const struct {
        const char *accept, *type;
    } table[] = {
        {NULL, TEXT},
        {"", TEXT},
        {"*/*", TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT},
        {"image/png", TEXT},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         OM("1.0.0")},
        {"application/openmetrics-text", OM("1.0.0")},
        {"application/openmetrics-text; version=0.0.1", OM("0.0.1")},
        {"application/openmetrics-text; version=2.0.0, text/plain;q=0.1", TEXT},
        {"application/openmetrics-text;version=1.0.0;q=0.4,text/plain;q=0.5", TEXT},
        {"application/openmetrics-text;version=1.0.0;q=0,text/plain;q=0.001", TEXT},
        {"text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0", TEXT},
        {"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4", OM("1.0.0")},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
         "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         OM("1.0.0") "; escaping=allow-utf-8"},
        {"text/plain;version=0.0.4;escaping=dots", TEXT "; escaping=underscores"},
        {"text/plain;version=0.0.4;escaping=underscores", TEXT "; escaping=underscores"},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
         "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8",
         OM("1.0.0")},
        {"Application/OpenMetrics-Text;Version=\"1.0.0\"", OM("1.0.0")},
        {",,;q=1, ;", TEXT},
        {"application/openmetrics-text;q=nonsense", TEXT},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *type;
        enum exposition_format format = exposition_negotiate(table[i].accept, &type);

        assert_string_equal(type, table[i].type);
        assert_int_equal(format == EXPOSITION_OPENMETRICS,
                         strncmp(type, "application/openmetrics", 23) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_of_whole_texts),
        cmocka_unit_test(test_vectors_of_label_escapes),
        cmocka_unit_test(test_vectors_of_help_escapes),
        cmocka_unit_test(test_refused_texts_as_label_values_stay_values),
        cmocka_unit_test(test_what_is_not_utf8_is_replaced),
        cmocka_unit_test(test_long_values_are_cut_between_characters),
        cmocka_unit_test(test_types_in_text),
        cmocka_unit_test(test_types_in_openmetrics),
        cmocka_unit_test(test_limit_of_samples),
        cmocka_unit_test(test_numbers_are_short_and_exact),
        cmocka_unit_test(test_negotiation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
