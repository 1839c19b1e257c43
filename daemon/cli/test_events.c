/*
 * Events of a test as the records that they stand for.
 *
 *   - {type: exposure, user: u1, time: +0s}           one event; keys are fields of its JSON
 *   - {repeat: 65, type: participation, user: "u{i}", time: +1m, every: 1s}
 *   - {repeat: 66..80, …}                             {i} in texts is 66, 67 … 80
 *   - {type: purchase, …, late: 2h}                   its record is so much younger than the event
 *   - '{"type":"purchase"'                            a text is the record, byte for byte
 *
 * A scalar without quotes that JSON knows (129.90, true, null) is that; all others are strings.
 * What the defaults of test and file hold is added; null takes it out again.
 */
#include "cli/test_file.h"
#include "codec/time_text.h"
#include "codec/value_text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* An entry of the list, being written out. */
struct generator {
    const struct test_reader *reader;
    const struct doc_node *node;
    uint64_t first, last; /* of {i} */
    bool repeats;
    kpi_duration every, late;
    kpi_time time; /* of the first one; KPI_TIME_NONE: as written */
    uint64_t i;
};

static bool is_word(const struct doc_node *key)
{
    return strcmp(key->value, "repeat") == 0 || strcmp(key->value, "every") == 0 ||
           strcmp(key->value, "late") == 0;
}

static int push(const struct test_reader *reader, struct test_case *test,
                const struct test_event *event)
{
    struct test_event *added =
        load_push(&reader->file->load, &test->events, sizeof(struct test_event));

    if (!added)
        return -ENOMEM;
    *added = *event;
    return 0;
}

/* Counts what is to come; false: too many, reported. */
static bool has_room(const struct test_reader *reader, const struct doc_node *node, uint64_t n)
{
    struct test_file *file = reader->file;

    if (n <= TEST_EVENTS_MAX - file->n_events) {
        file->n_events += (uint32_t)n;
        return true;
    }
    report_error(&file->load.report, load_begin_of(node), "more than %d events in a file of tests",
                 TEST_EVENTS_MAX);
    return false;
}

/* The text with every {i} replaced; the caller frees it. NULL: no memory. */
static char *number_text(const struct generator *generator, const struct doc_node *node)
{
    char number[24];
    const char *at = node->value, *next;
    size_t size, n_digits;
    char *text;
    FILE *out;

    if (!generator->repeats || !strstr(at, "{i}"))
        return strdup(at);
    out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    n_digits = (size_t)snprintf(number, sizeof(number), "%" PRIu64, generator->i);
    for (; (next = strstr(at, "{i}")); at = next + 3) {
        (void)fwrite(at, 1, (size_t)(next - at), out); /* fclose() tells */
        (void)fwrite(number, 1, n_digits, out);
    }
    (void)fputs(at, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* Does a scalar without quotes stand for itself in JSON? */
static bool is_json_word(const char *text)
{
    kpi_decimal ignored;

    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0 ||
           value_text_parse_decimal(text, strlen(text),
                                    VALUE_TEXT_EXPONENT | VALUE_TEXT_ZEROS_BEYOND_6,
                                    &ignored) != VALUE_TEXT_E_SYNTAX;
}

static cJSON *scalar_to_json(const struct generator *generator, const struct doc_node *node)
{
    char *text = number_text(generator, node);
    cJSON *json = NULL;

    if (text && doc_is_empty(node))
        json = cJSON_CreateNull();
    else if (text && node->plain && is_json_word(text))
        json = cJSON_CreateRaw(text);
    else if (text)
        json = cJSON_CreateString(text);
    free(text);
    return json;
}

static cJSON *time_to_json(const struct generator *generator)
{
    char text[TIME_TEXT_BYTES_MAX];

    (void)time_text_format_utc(
        generator->time + (kpi_duration)(generator->i - generator->first) * generator->every, text);
    return cJSON_CreateString(text);
}

/* At most DOC_DEPTH_MAX levels. NULL: no memory. */
static cJSON *to_json(const struct generator *generator, const struct doc_node *node)
{
    const struct doc_node *child;
    cJSON *json;

    if (node->kind == DOC_SCALAR)
        return scalar_to_json(generator, node);
    json = node->kind == DOC_MAPPING ? cJSON_CreateObject() : cJSON_CreateArray();
    for (child = node->first; json && child; child = child->next) {
        cJSON *item = to_json(generator, child);

        if (item &&
            (node->kind == DOC_MAPPING ? cJSON_AddItemToObject(json, child->key->value, item)
                                       : cJSON_AddItemToArray(json, item)))
            continue;
        cJSON_Delete(item);
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}

/* Adds what `json` does not have yet. False: no memory. */
static bool add_fields(const struct generator *generator, const struct doc_node *fields,
                       cJSON *json)
{
    const struct doc_node *child;

    for (child = fields ? fields->first : NULL; child; child = child->next) {
        cJSON *item;

        if (cJSON_HasObjectItem(json, child->key->value) ||
            (fields == generator->node && is_word(child->key)))
            continue;
        if (generator->time != KPI_TIME_NONE && strcmp(child->key->value, "time") == 0)
            item = time_to_json(generator);
        else
            item = to_json(generator, child);
        if (!item || !cJSON_AddItemToObject(json, child->key->value, item)) {
            cJSON_Delete(item);
            return false;
        }
    }
    return true;
}

/* One event as JSON, in the arena. NULL: no memory. */
static const char *write_event(const struct generator *generator)
{
    const struct test_reader *reader = generator->reader;
    cJSON *json = cJSON_CreateObject();
    const char *copy = NULL;
    char *text = NULL;

    if (json && add_fields(generator, generator->node, json) &&
        add_fields(generator, reader->defaults[0], json) &&
        add_fields(generator, reader->defaults[1], json))
        text = cJSON_PrintBuffered(json, 256, false);
    if (text)
        copy = arena_copy(&reader->file->load.arena, text, strlen(text));
    free(text);
    cJSON_Delete(json);
    return copy;
}

/* "65" is 1..65. */
static bool read_repeat(struct generator *generator, const struct doc_node *node)
{
    struct load *load = &generator->reader->file->load;
    struct kpi_string text;
    char end;

    if (!load_text(load, node, "repeat", &text))
        return false;
    generator->repeats = true;
    if (text.length <= 20 && strspn(text.data, "0123456789.") == text.length) {
        generator->first = 1;
        if (sscanf(text.data, "%9" SCNu64 "..%9" SCNu64 "%c", &generator->first, &generator->last,
                   &end) == 2 &&
            generator->first <= generator->last)
            return true;
        generator->first = 1;
        if (sscanf(text.data, "%9" SCNu64 "%c", &generator->last, &end) == 1 && generator->last > 0)
            return true;
    }
    load_wrong(load, node, "repeat",
               "is neither a number of events, as 65, nor a range, as 66..80");
    return false;
}

static const struct doc_node *find_time(const struct generator *generator)
{
    const struct doc_node *const maps[] = {generator->node, generator->reader->defaults[0],
                                           generator->reader->defaults[1]};
    const struct doc_node *time = NULL;

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && !time; i++)
        time = maps[i] ? doc_get(maps[i], "time") : NULL;
    return time;
}

/* Only what counts from the start, or goes on from event to event, is worked out here. */
static bool read_event_time(struct generator *generator, const struct doc_node *every)
{
    const struct test_reader *reader = generator->reader;
    const struct doc_node *time = find_time(generator);

    if (every && !time) {
        report_error(&reader->file->load.report, doc_node_place(every->key),
                     "every: the event has no time");
        return false;
    }
    if (every && !test_read_span(reader, every, "every", false, &generator->every))
        return false;
    if (!time || time->kind != DOC_SCALAR ||
        (!every && time->value[0] != '+' && time->value[0] != '-'))
        return true;
    if (!test_read_time(reader, time, "time", &generator->time))
        return false;
    if (generator->every <=
        (TEST_TIME_END - generator->time) / (kpi_duration)(generator->last - generator->first + 1))
        return true;
    report_error(&reader->file->load.report, doc_node_place(every),
                 "every: the last event is beyond the year 2199");
    return false;
}

static int read_event(const struct test_reader *reader, const struct doc_node *node,
                      struct test_case *test)
{
    struct generator generator = {
        .reader = reader, .node = node, .first = 1, .last = 1, .time = KPI_TIME_NONE};
    const struct doc_node *repeat = doc_get(node, "repeat");
    const struct doc_node *late = doc_get(node, "late");

    if (repeat && !read_repeat(&generator, repeat))
        return 0;
    if (late && !test_read_span(reader, late, "late", true, &generator.late))
        return 0;
    if (!read_event_time(&generator, doc_get(node, "every")) ||
        !has_room(reader, node, generator.last - generator.first + 1))
        return 0;
    for (generator.i = generator.first; generator.i <= generator.last; generator.i++) {
        const char *bytes = write_event(&generator);

        if (!bytes ||
            push(reader, test,
                 &(struct test_event){
                     .bytes = bytes, .size = strlen(bytes), .late = generator.late, .node = node}) <
                0)
            return -ENOMEM;
    }
    return 0;
}

int test_read_events(const struct test_reader *reader, const struct doc_node *list,
                     struct test_case *test)
{
    const struct doc_node *child;
    int r = 0;

    for (child = list->first; child && r == 0; child = child->next) {
        if (child->kind == DOC_MAPPING)
            r = read_event(reader, child, test);
        else if (child->kind == DOC_SCALAR && has_room(reader, child, 1))
            r = push(
                reader, test,
                &(struct test_event){.bytes = child->value, .size = child->length, .node = child});
        else if (child->kind == DOC_SEQUENCE)
            report_error(&reader->file->load.report, load_begin_of(child),
                         "an event is its fields, as {type: purchase, …}, or a text");
    }
    return r;
}

/* All of a file into the arena. 0, a positive errno, or -ENOMEM. */
static int read_bytes(struct arena *arena, const char *path, const char **ret_bytes,
                      size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    char *line = NULL, *bytes = NULL;
    size_t capacity = 0, size = 0;
    FILE *out;
    ssize_t n;
    int error = 0;

    if (!file)
        return errno;
    out = open_memstream(&bytes, &size);
    if (!out) {
        (void)fclose(file);
        return -ENOMEM;
    }
    while ((n = getline(&line, &capacity, file)) > 0)
        (void)fwrite(line, 1, (size_t)n, out); /* fclose() tells */
    if (ferror(file))
        error = errno;
    free(line);
    (void)fclose(file); /* read only */
    if (fclose(out) != 0)
        error = -ENOMEM;
    if (error == 0) {
        *ret_bytes = arena_copy(arena, bytes, size);
        *ret_size = size;
        error = *ret_bytes ? 0 : -ENOMEM;
    }
    free(bytes);
    return error;
}

static int push_lines(const struct test_reader *reader, const struct doc_node *node,
                      const char *bytes, size_t size, struct test_case *test)
{
    const char *end = bytes + size;
    uint64_t line = 0;

    while (bytes < end) {
        const char *next = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t length = (size_t)((next ? next : end) - bytes);
        struct test_event event = {.bytes = bytes, .size = length, .node = node, .line = ++line};

        if (length > 0 && bytes[length - 1] == '\r')
            event.size--;
        if (!has_room(reader, node, 1))
            return 0;
        if (push(reader, test, &event) < 0)
            return -ENOMEM;
        bytes = next ? next + 1 : end;
    }
    return 0;
}

int test_read_event_files(const struct test_reader *reader, const struct doc_node *list,
                          struct test_case *test)
{
    struct load *load = &reader->file->load;
    const struct doc_node *item;

    if (!load_is_list(load, list, "files"))
        return 0;
    for (item = list->kind == DOC_SEQUENCE ? list->first : list; item;
         item = load_next(list, item)) {
        struct kpi_string text;
        const char *path, *bytes = "";
        size_t size = 0;
        int r;

        if (!load_text(load, item, "files", &text))
            continue;
        path = load_path(load, item);
        r = path ? read_bytes(&load->arena, path, &bytes, &size) : -ENOMEM;
        if (r > 0)
            report_error(&load->report, doc_node_place(item), "files: %s cannot be read: %s",
                         QUOTE(text), strerror(r));
        else if (r == 0)
            r = push_lines(reader, item, bytes, size, test);
        if (r < 0)
            return r;
    }
    return 0;
}
