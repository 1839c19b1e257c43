/*
 * Files of events for replay_fold.h. A window of the file is read, the whole lines or rows in it
 * are taken, the engines apply them, and what is left of the window begins the next one: so memory
 * is bounded whatever the file holds, and no event is copied on its way to the decoder.
 */
#include "cli/replay_fold.h"

#include "cli/replay_columns.h"
#include "cli/replay_progress.h"
#include "cli/replay_source.h"
#include "codec/csv.h"
#include "codec/csv_json.h"
#include "codec/event_json.h"
#include "util/error.h"
#include "util/utf8.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    WINDOW_BYTES = 256 * 1024, /* stays in the cache between the kernel's copy and the decoder */
    NAME_BYTES_MAX = 64,
};

struct input {
    struct replay_fold *fold;
    const char *path;
    uint64_t
        hash; /* XXH3_64bits of the path: events without id are told apart by it and their line */
    struct replay_source *source;
    char *window;
    size_t begin, end; /* of the bytes in the window that have not been taken */
    bool last;         /* nothing follows them */
    uint64_t n_events; /* taken */
    uint64_t n_bytes;  /* read, unpacked */
    uint64_t line;     /* NDJSON: the last one */
    bool skipping;     /* NDJSON: the present line is too large, and its beginning let go */
};

/* Rows of CSV on their way to the decoder. */
struct rows {
    struct csv_reader reader;
    struct csv_json *json; /* NULL before the header */
    char *text;            /* REPLAY_HELD_BYTES_MAX: the rows that the fold holds, as JSON */
    size_t text_size;
};

static void say(const struct input *input, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct input *input, const char *format, ...)
{
    va_list arguments;

    if (input->fold->progress)
        replay_progress_clear(input->fold->progress);
    va_start(arguments, format);
    (void)fprintf(stderr, "kpid: %s", input->path);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

/* Applies what was taken and reads on. */
static int window_read(struct input *input)
{
    size_t n = 0;
    int r;

    r = replay_fold_end(input->fold); /* its strings are in the window */
    if (r)
        return r;
    input->end -= input->begin;
    memmove(input->window, input->window + input->begin, input->end);
    input->begin = 0;
    r = replay_source_read(input->source, input->window + input->end, WINDOW_BYTES - input->end,
                           &n);
    if (r == REPLAY_SOURCE_E_DAMAGED) {
        uint64_t at;
        const char *text = replay_source_damage(input->source, &at);

        say(input, ": damaged gzip at byte %llu: %s", (unsigned long long)at, text);
        return REPLAY_E_DATA;
    }
    if (r < 0 && r != -ENOMEM) {
        say(input, ": %s", strerror(-r));
        return REPLAY_E_FILE;
    }
    if (r < 0)
        return error_trace(r);
    input->end += n;
    input->n_bytes += n;
    input->last = n == 0;
    if (input->fold->progress)
        replay_progress_update(input->fold->progress, replay_source_position(input->source),
                               input->n_events);
    return 0;
}

static int event_take(struct input *input, const char *bytes, size_t size, uint64_t line)
{
    struct event_origin origin = {.topic_hash = input->hash,
                                  .record_time = KPI_TIME_NONE,
                                  .offset = (int64_t)line,
                                  .topic = input->fold->topic};

    return replay_fold_event(input->fold, bytes, size, &origin,
                             (struct replay_place){input->path, line});
}

static int refuse(struct input *input, unsigned refusal, uint64_t line)
{
    return replay_fold_refuse(input->fold, refusal, (struct replay_place){input->path, line});
}

static int line_take(struct input *input, const char *line, size_t size)
{
    input->n_events++;
    input->line++;
    if (input->skipping) {
        input->skipping = false;
        return refuse(input, KPI_REFUSAL_TOO_LARGE, input->line);
    }
    if (size > 0 && line[size - 1] == '\r')
        size--;
    return event_take(input, line, size, input->line);
}

/* Takes the whole lines of the window. */
static int lines_take(struct input *input)
{
    while (input->begin < input->end || (input->last && input->skipping)) {
        const char *line = input->window + input->begin;
        size_t size = input->end - input->begin;
        const char *end = memchr(line, '\n', size);
        int r;

        if (!end && !input->last) {
            if (size > EVENT_BYTES_MAX + 1) { /* a CR does not count */
                input->skipping = true;
                input->begin = input->end;
            }
            return 0;
        }
        if (end)
            size = (size_t)(end - line);
        input->begin += size + (end != NULL);
        r = line_take(input, line, size);
        if (r)
            return r;
    }
    return 0;
}

static int lines_read(struct input *input)
{
    int r;

    do {
        r = window_read(input);
        if (r == 0)
            r = lines_take(input);
    } while (r == 0 && !input->last);
    return r;
}

/* A name from the header for people: cut, on one line. */
static const char *name_show(struct kpi_string name, char ret_text[NAME_BYTES_MAX + 1])
{
    size_t size = name.length < NAME_BYTES_MAX ? name.length : NAME_BYTES_MAX;

    while (size < name.length && size > 0 && ((uint8_t)name.data[size] & 0xc0) == 0x80)
        size--; /* not in the middle of a character */
    for (size_t i = 0; i < size; i++)
        ret_text[i] = (uint8_t)name.data[i] < 0x20 || name.data[i] == 0x7f ? '?' : name.data[i];
    ret_text[size] = '\0';
    return ret_text;
}

static int header_take(struct input *input, struct rows *rows, const struct csv_record *header)
{
    const struct replay_columns wanted = {input->fold->config, input->fold->topic_name};
    char text[NAME_BYTES_MAX + 1];
    uint32_t columns[2];
    int r;

    for (uint32_t i = 0; i < header->n_cells && i < CSV_CELLS_MAX; i++) {
        if (!utf8_valid(header->cells[i].data, header->cells[i].length)) {
            say(input, ":1: the header is not UTF-8; try: iconv -f GB18030 -t UTF-8");
            return REPLAY_E_DATA;
        }
    }
    r = csv_json_new(&rows->json, header, replay_columns_want, &wanted, columns);
    switch (r) {
    case CSV_JSON_E_UNKNOWN:
        say(input,
            ":1: no header: the first line of CSV names the columns, as id,type,user,time,campaign;"
            " here it begins with %s",
            name_show(header->n_cells ? header->cells[0] : KPI_STRING("nothing"), text));
        return REPLAY_E_DATA;
    case CSV_JSON_E_EQUAL:
        say(input, ":1: columns %u and %u have the same name: %s", columns[0] + 1, columns[1] + 1,
            name_show(header->cells[columns[0]], text));
        return REPLAY_E_DATA;
    case CSV_JSON_E_MANY:
        say(input, ":1: the header has %u columns, %d are the most", header->n_cells,
            (int)CSV_CELLS_MAX);
        return REPLAY_E_DATA;
    default:
        return r;
    }
}

/* A record that is none: of the header that ends everything, else it is counted. */
static int bad_take(struct input *input, const struct rows *rows, int outcome)
{
    uint64_t line = rows->reader.line;

    if (!rows->json) {
        say(input, ":%llu: the header is %s", (unsigned long long)line,
            outcome == CSV_E_TOO_LARGE  ? "larger than 64 KiB"
            : outcome == CSV_E_UNCLOSED ? "not closed: a quote is missing"
                                        : "wrong: text follows a closing quote");
        return REPLAY_E_DATA;
    }
    input->n_events++;
    if (outcome == CSV_E_TOO_LARGE)
        return refuse(input, KPI_REFUSAL_TOO_LARGE, line);
    if (outcome == CSV_E_UNCLOSED)
        say(input, ":%llu: a quote is opened here and never closed: all behind it is one cell",
            (unsigned long long)line);
    return refuse(input, REPLAY_REFUSAL_QUOTE, line);
}

static int row_take(struct input *input, struct rows *rows, const struct csv_record *record)
{
    char *text;
    size_t size;
    int r = 0;

    input->n_events++;
    if (record->n_cells == 0)
        return refuse(input, KPI_REFUSAL_EMPTY, rows->reader.line);
    if (rows->text_size > REPLAY_HELD_BYTES_MAX - CSV_JSON_BYTES_MAX) {
        r = replay_fold_end(input->fold);
        rows->text_size = 0;
    }
    if (r)
        return r;
    text = rows->text + rows->text_size;
    if (csv_json_write(rows->json, record, text, &size) == CSV_JSON_E_CELLS)
        return refuse(input, REPLAY_REFUSAL_CELLS, rows->reader.line);
    rows->text_size += size;
    return event_take(input, text, size, rows->reader.line);
}

/* Takes the whole rows of the window. */
static int rows_take(struct input *input, struct rows *rows)
{
    int r = 0;

    while (r == 0) {
        struct csv_record record;
        size_t used;
        int outcome = csv_reader_next(&rows->reader, input->window + input->begin,
                                      input->end - input->begin, input->last, &used, &record);

        input->begin += used;
        if (outcome == CSV_E_MORE || outcome == CSV_E_END)
            return 0;
        r = outcome      ? bad_take(input, rows, outcome)
            : rows->json ? row_take(input, rows, &record)
                         : header_take(input, rows, &record);
    }
    return r;
}

static int rows_read(struct input *input)
{
    struct rows *rows = calloc(1, sizeof(*rows));
    int r;

    if (!rows)
        return error_origin(-ENOMEM);
    csv_reader_init(&rows->reader);
    rows->text = malloc(REPLAY_HELD_BYTES_MAX);
    r = rows->text ? 0 : error_origin(-ENOMEM);
    while (r == 0 && !input->last) {
        r = window_read(input);
        rows->text_size = 0; /* window_read() has made the fold let go of it */
        if (r == 0)
            r = rows_take(input, rows);
    }
    (void)csv_json_free(rows->json);
    free(rows->text);
    free(rows);
    return r;
}

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path);

    return length >= strlen(end) && strcasecmp(path + length - strlen(end), end) == 0;
}

static bool is_csv(const struct replay_fold *fold, const char *path)
{
    if (fold->format != REPLAY_FORMAT_BY_NAME)
        return fold->format == REPLAY_FORMAT_CSV;
    return ends_with(path, ".csv") || ends_with(path, ".csv.gz");
}

static int input_read(struct input *input)
{
    struct replay_fold *fold = input->fold;
    int r;

    r = is_csv(fold, input->path) ? rows_read(input) : lines_read(input);
    if (r == 0)
        r = replay_fold_end(fold);
    if (r == 0 && input->n_bytes == 0)
        say(input, ": empty");
    if (fold->progress)
        replay_progress_next(fold->progress, replay_source_position(input->source),
                             input->n_events);
    return r;
}

int replay_fold_file(struct replay_fold *fold, const char *path)
{
    struct input input = {.fold = fold, .path = path, .hash = XXH3_64bits(path, strlen(path))};
    int r;

    r = replay_source_new(&input.source, path);
    if (r < 0 && r != -ENOMEM) {
        say(&input, ": %s", strerror(-r));
        return REPLAY_E_FILE;
    }
    if (r < 0)
        return r;
    input.window = malloc(WINDOW_BYTES);
    r = input.window ? input_read(&input) : error_origin(-ENOMEM);
    free(input.window);
    (void)replay_source_free(input.source);
    return r;
}
