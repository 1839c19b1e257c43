/*
 * One line is built on the stack and leaves by one write(), so threads need no lock to keep lines
 * whole. What comes from outside cannot forge a line or talk to a terminal: every value is quoted
 * when it holds anything but plain characters, control characters (C0, DEL, C1) are escaped, and
 * what is not UTF-8 becomes U+FFFD.
 */
#include "log.h"

#include "clock.h"
#include "counters.h"
#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 8192,
    VALUE_BYTES_MAX = 256,
};

static struct {
    enum log_level level;
    enum log_format format;
    bool journal;
} setup = {.level = LOG_LEVEL_INFO};

/* Guards every struct log_limit: they are touched rarely, and only for what is about to be written.
 */
static pthread_mutex_t limit_mutex = PTHREAD_MUTEX_INITIALIZER;

struct line {
    size_t length;
    bool full;
    char text[LINE_BYTES_MAX];
};

/* $JOURNAL_STREAM is "device:inode" of the stream that the journal reads. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format)
{
    setup.level = level;
    setup.format = format;
    setup.journal = stderr_is_journal();
}

bool log_enabled(enum log_level level)
{
    return level <= setup.level;
}

/* Always leaves room for the two bytes that end a line, '}' and '\n'. */
static void put_bytes(struct line *line, const char *bytes, size_t n)
{
    if (line->full || n > sizeof(line->text) - 2 - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->length, bytes, n);
    line->length += n;
}

static void put_text(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

static void put_character(struct line *line, const char *bytes, size_t n, uint32_t code)
{
    char escape[8];

    switch (code) {
    case '"':
        put_text(line, "\\\"");
        break;
    case '\\':
        put_text(line, "\\\\");
        break;
    case '\n':
        put_text(line, "\\n");
        break;
    case '\t':
        put_text(line, "\\t");
        break;
    default:
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)code);
            put_text(line, escape);
        } else {
            put_bytes(line, bytes, n);
        }
    }
}

static void put_quoted(struct line *line, const char *string)
{
    size_t size = strlen(string), i = 0;

    put_text(line, "\"");
    while (i < size) {
        uint32_t code;
        size_t n = utf8_decode(string + i, size - i, &code);

        if (i + (n ? n : 1) > VALUE_BYTES_MAX) {
            put_text(line, "…");
            break;
        }
        if (n)
            put_character(line, string + i, n, code);
        else
            put_text(line, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    put_text(line, "\"");
}

static bool is_plain(const char *string)
{
    size_t n = strspn(string, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-_./:@+,;*()[]%&#");

    return n > 0 && n <= VALUE_BYTES_MAX && string[n] == '\0';
}

static void put_value(struct line *line, const struct log_field *field)
{
    const char *string = field->string ? field->string : "";
    char number[32];

    switch (field->kind) {
    case LOG_KIND_INT:
        (void)snprintf(number, sizeof(number), "%" PRId64, field->integer);
        put_text(line, number);
        break;
    case LOG_KIND_DOUBLE:
        (void)snprintf(number, sizeof(number), "%.15g", field->real);
        /* JSON has no words for these. */
        if (setup.format == LOG_FORMAT_JSON && !isfinite(field->real))
            put_quoted(line, number);
        else
            put_text(line, number);
        break;
    case LOG_KIND_STRING:
        if (setup.format == LOG_FORMAT_LOGFMT && is_plain(string))
            put_text(line, string);
        else
            put_quoted(line, string);
        break;
    }
}

static void put_key(struct line *line, const char *key)
{
    if (setup.format == LOG_FORMAT_JSON) {
        put_text(line, line->text[line->length - 1] == '{' ? "\"" : ",\"");
        put_text(line, key);
        put_text(line, "\":");
    } else {
        /* Nothing stands before the first key but, perhaps, the journal's <N>. */
        if (line->length > 0 && line->text[line->length - 1] != '>')
            put_text(line, " ");
        put_text(line, key);
        put_text(line, "=");
    }
}

/* A field stands whole in the line or not at all. */
static void put_field(struct line *line, const struct log_field *field)
{
    size_t before = line->length;

    put_key(line, field->key);
    put_value(line, field);
    if (line->full)
        line->length = before;
}

static void put_head(struct line *line, enum log_level level)
{
    static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
    static const char *const priorities[] = {"<3>", "<4>", "<5>", "<6>", "<7>"};
    char time[96]; /* for any int, says the compiler */
    int64_t now;
    time_t seconds;
    struct tm parts;

    if (setup.journal)
        put_text(line, priorities[level]);
    if (setup.format == LOG_FORMAT_JSON)
        put_text(line, "{");
    if (setup.journal)
        return;
    now = clock_now_us();
    seconds = now / 1000000;
    (void)gmtime_r(&seconds, &parts);
    (void)snprintf(time, sizeof(time), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                   parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                   (int)(now % 1000000 / 1000));
    put_field(line, &LOG_STRING("ts", time));
    put_field(line, &LOG_STRING("level", names[level]));
}

static void emit(enum log_level level, const char *message, const struct log_field *fields,
                 uint64_t n_suppressed)
{
    struct line line;
    ssize_t n;

    line.length = 0;
    line.full = false;
    put_head(&line, level);
    put_key(&line, "msg");
    put_quoted(&line, message);
    if (n_suppressed)
        put_field(&line, &LOG_INT("suppressed", n_suppressed));
    for (; fields->key; fields++)
        put_field(&line, fields);
    if (setup.format == LOG_FORMAT_JSON)
        line.text[line.length++] = '}';
    line.text[line.length++] = '\n';
    do
        n = write(STDERR_FILENO, line.text, line.length);
    while (n < 0 && errno == EINTR);
    /* Any other failure has nobody left to tell it to. */
    counters_add(&counters.log_messages[level], 1);
}

void log_line(enum log_level level, const char *message, const struct log_field *fields)
{
    if (log_enabled(level))
        emit(level, message, fields, 0);
}

/* Takes a token. If there is one, hands out how many lines were left out since the last. */
static bool limit_pass(struct log_limit *limit, uint64_t *ret_suppressed)
{
    int64_t now = clock_monotonic_us(), turn = (int64_t)limit->seconds * 1000000;
    bool pass;

    (void)pthread_mutex_lock(&limit_mutex);
    if (limit->used == 0) {
        limit->refill_at = now + turn;
    } else if (now >= limit->refill_at && turn > 0) {
        int64_t n_tokens = 1 + (now - limit->refill_at) / turn;

        limit->refill_at += n_tokens * turn;
        limit->used -= n_tokens < limit->used ? (uint32_t)n_tokens : limit->used;
    }
    pass = limit->used < limit->burst;
    if (pass) {
        limit->used++;
        *ret_suppressed = limit->suppressed;
        limit->suppressed = 0;
    } else {
        limit->suppressed++;
    }
    (void)pthread_mutex_unlock(&limit_mutex);
    return pass;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *message,
                 const struct log_field *fields)
{
    uint64_t n_suppressed;

    if (!log_enabled(level))
        return;
    if (limit_pass(limit, &n_suppressed))
        emit(level, message, fields, n_suppressed);
    else
        counters_add(counters.log_suppressed, 1);
}
