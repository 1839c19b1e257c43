/* Collecting and sorting of messages, and their text; daemon/config/excerpt.c draws the source
 * line. */
#include "config/report.h"
#include "config/excerpt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct report_message {
    enum kpi_severity severity;
    struct doc_place place;
    const char *text;
    const char *suggestion;
    struct doc_place note_place;
    const char *note; /* NULL: none */
    uint32_t sequence;
};

__attribute__((format(printf, 4, 0))) static void add(struct report *report,
                                                      enum kpi_severity severity,
                                                      struct doc_place place, const char *format,
                                                      va_list args)
{
    struct report_message *messages;
    char text[1024];

    if (severity == KPI_SEVERITY_ERROR)
        report->n_errors++;
    else
        report->n_warnings++;
    if (report->n_messages >= REPORT_KEPT_MAX || report->no_memory)
        return;
    (void)vsnprintf(text, sizeof(text), format, args); /* cut: what is quoted is short already */
    messages = arena_grow(report->arena, report->messages, report->n_messages,
                          &report->messages_capacity, sizeof(*messages));
    if (messages) {
        report->messages = messages;
        messages[report->n_messages] = (struct report_message){
            .severity = severity,
            .place = place,
            .text = arena_copy(report->arena, text, strlen(text)),
            .sequence = report->n_messages,
        };
    }
    if (!messages || !messages[report->n_messages].text)
        report->no_memory = true;
    else
        report->n_messages++;
}

void report_error(struct report *report, struct doc_place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(report, KPI_SEVERITY_ERROR, place, format, args);
    va_end(args);
}

void report_warning(struct report *report, struct doc_place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(report, KPI_SEVERITY_WARNING, place, format, args);
    va_end(args);
}

/* The message added last, if it was kept. */
static struct report_message *newest(struct report *report)
{
    if (report->no_memory || report->n_errors + report->n_warnings != report->n_messages)
        return NULL;
    return &report->messages[report->n_messages - 1];
}

void report_suggest(struct report *report, const char *suggestion)
{
    struct report_message *message = newest(report);

    if (!message || !suggestion)
        return;
    message->suggestion = arena_copy(report->arena, suggestion, strlen(suggestion));
    if (!message->suggestion)
        report->no_memory = true;
}

void report_note(struct report *report, struct doc_place place, const char *text)
{
    struct report_message *message = newest(report);

    if (!message)
        return;
    message->note_place = place;
    message->note = arena_copy(report->arena, text, strlen(text));
    if (!message->note)
        report->no_memory = true;
}

static int compare(const void *a, const void *b)
{
    const struct report_message *x = a, *y = b;

    if (!x->place.file != !y->place.file)
        return x->place.file ? 1 : -1;
    if (x->place.file && x->place.file->order != y->place.file->order)
        return x->place.file->order < y->place.file->order ? -1 : 1;
    if (x->place.start != y->place.start)
        return x->place.start < y->place.start ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static bool equal(const struct report_message *a, const struct report_message *b)
{
    return a->place.file == b->place.file && a->place.start == b->place.start &&
           strcmp(a->text, b->text) == 0;
}

/* "path:line:col: ", or nothing for a place that is nowhere. */
static char *locate(struct arena *arena, struct doc_place place)
{
    uint32_t line, column;

    if (!place.file)
        return arena_copy(arena, "", 0);
    doc_position(place.file, place.start, &line, &column);
    return arena_format(arena, "%s:%u:%u: ", place.file->path, line, column);
}

static const char *render(struct arena *arena, const struct report_message *message)
{
    const char *kind = message->severity == KPI_SEVERITY_ERROR ? "error" : "warning";
    const char *where = locate(arena, message->place);
    const char *source = excerpt(arena, message->place);
    const char *note = "", *quote = "\"";

    if (message->suggestion && strchr(message->suggestion, '"'))
        quote = "'";
    if (message->note) {
        const char *note_where = locate(arena, message->note_place);
        const char *note_source = excerpt(arena, message->note_place);

        if (!note_where || !note_source)
            return NULL;
        note = arena_format(arena, "%snote: %s\n%s", note_where, message->note, note_source);
    }
    if (!where || !source || !note)
        return NULL;
    if (!message->suggestion)
        return arena_format(arena, "%s%s: %s\n%s%s", where, kind, message->text, source, note);
    return arena_format(arena, "%s%s: %s; did you mean %s%s%s?\n%s%s", where, kind, message->text,
                        quote, message->suggestion, quote, source, note);
}

/* A message whose place is nowhere stands at the begin of the first file. */
static void hand_out(const struct report_message *message, const struct config_report *to)
{
    const struct doc_file *file = message->place.file;
    struct config_message parts = {
        .file = file ? file->path : "",
        .line = 1,
        .column = 1,
        .end_column = 1,
        .is_error = message->severity == KPI_SEVERITY_ERROR,
        .text = message->text,
        .suggestion = message->suggestion,
    };
    uint32_t end = message->place.end, line_end, end_line;

    if (file) {
        doc_position(file, message->place.start, &parts.line, &parts.column);
        line_end = parts.line < file->n_lines ? file->lines[parts.line] - 1 : file->size;
        end = end < message->place.start ? message->place.start : end;
        doc_position(file, end < line_end ? end : line_end, &end_line, &parts.end_column);
        if (parts.end_column < parts.column)
            parts.end_column = parts.column; /* the place is the line's end */
    }
    to->message(to->userdata, &parts);
}

int report_flush(struct report *report, const struct config_report *to)
{
    struct report_message *messages = report->messages;
    uint32_t n_shown = 0, n_left = 0, i;

    if (report->n_messages > 1)
        qsort(messages, report->n_messages, sizeof(*messages), compare);
    for (i = 0; i < report->n_messages && !report->no_memory; i++) {
        const char *line;

        if (i > 0 && equal(&messages[i - 1], &messages[i]))
            continue;
        if (to->errors_only && messages[i].severity == KPI_SEVERITY_WARNING)
            continue;
        if (to->message) {
            hand_out(&messages[i], to);
            continue;
        }
        if (n_shown == REPORT_MESSAGES_MAX) {
            n_left++;
            continue;
        }
        line = render(report->arena, &messages[i]);
        if (!line)
            return -ENOMEM;
        to->line(to->userdata, line);
        n_shown++;
    }
    n_left += report->n_errors + report->n_warnings - report->n_messages;
    if (report->no_memory)
        return -ENOMEM;
    if (n_left > 0 && !to->message) {
        char text[64];

        (void)snprintf(text, sizeof(text), "and %u more\n", n_left); /* fits */
        to->line(to->userdata, text);
    }
    return 0;
}

struct report_quoted report_quote(struct kpi_string string)
{
    struct report_quoted quoted;
    size_t n = 0, i = 0, cut = string.length;

    if (cut > 80) {
        cut = 80;
        while (cut > 0 && ((unsigned char)string.data[cut] & 0xc0) == 0x80)
            cut--;
    }
    quoted.text[n++] = '"';
    for (; i < cut; i++) {
        unsigned char c = (unsigned char)string.data[i];

        if (c == 0xc2 && i + 1 < cut && (unsigned char)string.data[i + 1] < 0xa0) {
            c = '?'; /* U+0080 to U+009F are controls, too */
            i++;
        }
        quoted.text[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    if (cut < string.length) {
        memcpy(quoted.text + n, "…", strlen("…"));
        n += strlen("…");
    }
    quoted.text[n++] = '"';
    quoted.text[n] = 0;
    return quoted;
}
