/*
 * Lines on stderr, one a thing that happened: logfmt (default) or JSON. Thread-safe; a line is one
 * write(). Values from outside are quoted and cut at 256 bytes. Nothing is logged per event of a
 * user.
 *
 *   log_info("shard opened", LOG_INT("shard", 3), LOG_STRING("topic", topic));
 *   ts=2026-11-22T08:00:00.123Z level=info msg="shard opened" shard=3 topic=app
 *
 * If stderr is the journal ($JOURNAL_STREAM names its device and inode), a line begins with <N>
 * instead of ts and level.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_LOGFMT,
    LOG_FORMAT_JSON,
};

struct log_field {
    const char *key; /* NULL ends the list */
    enum {
        LOG_KIND_STRING,
        LOG_KIND_INT,
        LOG_KIND_DOUBLE
    } kind;
    const char *string; /* NULL prints as empty */
    int64_t integer;
    double real;
};

#define LOG_STRING(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_STRING, .string = (v)})
#define LOG_INT(k, v)                                                                              \
    ((struct log_field){.key = (k), .kind = LOG_KIND_INT, .integer = (int64_t)(v)})
#define LOG_DOUBLE(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_DOUBLE, .real = (v)})
#define LOG_ERRNO(r)     LOG_STRING("error", strerror((r) < 0 ? -(r) : (r)))

/* Before threads start. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *message, const struct log_field *fields);

/* A token bucket for what a stranger can trigger: `burst` lines, then one per `seconds`. Says how
 * many were left out with the next line that passes (key `suppressed`). One static one per call
 * site. */
struct log_limit {
    uint32_t burst;
    uint32_t seconds;
    uint32_t used;
    uint64_t suppressed;
    int64_t refill_at;
};
#define LOG_LIMIT(b, s) ((struct log_limit){.burst = (b), .seconds = (s)})
void log_limited(struct log_limit *limit, enum log_level level, const char *message,
                 const struct log_field *fields);

#define LOG_FIELDS(...)           ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_error(message, ...)   log_line(LOG_LEVEL_ERROR, (message), LOG_FIELDS(__VA_ARGS__))
#define log_warning(message, ...) log_line(LOG_LEVEL_WARNING, (message), LOG_FIELDS(__VA_ARGS__))
#define log_notice(message, ...)  log_line(LOG_LEVEL_NOTICE, (message), LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...)    log_line(LOG_LEVEL_INFO, (message), LOG_FIELDS(__VA_ARGS__))
#define log_debug(message, ...)                                                                    \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_line(LOG_LEVEL_DEBUG, (message), LOG_FIELDS(__VA_ARGS__));                         \
    } while (0)
