/*
 * A connection to Redis: opened when needed, closed at the first doubt.
 *
 * hiredis connects and parses replies; writing, waiting and the limits are here, because hiredis
 * 0.14 restarts its time-out with every byte it is given and reads on for as long as the peer
 * sends. A call has a deadline that each byte moves by a microsecond: whoever is slower than 1 MB/s
 * after the time-out is away, also if it sends one byte at a time. A reply has at most
 * REDIS_REPLY_BYTES_MAX.
 *
 * After a time-out, an end of file or a reply that is none, the connection is closed, so that a
 * late reply is never taken for the answer to a later command.
 */
#pragma once

#include "store/store.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>

#define REDIS_REPLY_BYTES_MAX    ((size_t)64 << 20)
#define REDIS_REPLY_ELEMENTS_MAX ((size_t)1 << 21)

struct redis {
    char *host; /* NULL: unix socket */
    int port;
    char *path;
    unsigned database;
    char name[128]; /* of the server, for messages: host:port or path */
    char *username, *password;
    int64_t connect_timeout_us, command_timeout_us;
    const char *invalid; /* what is wrong with the URL; NULL: nothing */

    redisContext *context; /* NULL: closed */
#if HIREDIS_MAJOR < 1
    redisReplyObjectFunctions *original, limited; /* of its parser */
#endif
    void *chunk; /* what one recv() takes */

    /* The command being built: room for "*n\r\n", then its arguments. */
    char *command;
    size_t command_size, command_capacity;
    uint32_t n_arguments;
    bool command_failed;

    char error[320];

    _Atomic bool up;
    _Atomic uint64_t n_opened, n_commands, n_errors, busy_us;
};

int redis_init(struct redis *redis, const struct store_options *options); /* 0 or -ENOMEM */
void redis_deinit(struct redis *redis);

/*
 * Sets host and port or path, database and name; what is wrong with the URL becomes `invalid`.
 * 0, -ENOMEM.
 */
int redis_parse_url(struct redis *redis, const char *url);

/* Connects, unless connected: AUTH, SELECT. 0, -ENOMEM, STORE_E_AWAY, STORE_E_REFUSED. */
int redis_open(struct redis *redis);
void redis_close(struct redis *redis);

/*
 * A command is begun, given its arguments and sent. Running out of memory is reported by the send,
 * and so are failures to write: 0, -ENOMEM, STORE_E_AWAY. redis_send_value() adds one more argument
 * without copying it.
 */
void redis_begin(struct redis *redis, const char *verb);
void redis_add(struct redis *redis, const void *bytes, size_t size);
void redis_add_string(struct redis *redis, const char *string);
void redis_addf(struct redis *redis, const char *format, ...) __attribute__((format(printf, 2, 3)));
int redis_send(struct redis *redis);
int redis_send_value(struct redis *redis, const void *value, size_t size);

/*
 * The next reply, of this type (REDIS_REPLY_…; 0: any but an error), to be freed with
 * freeReplyObject(); ret_reply may be NULL. An error reply becomes an outcome by its prefix.
 * extra_us is how much longer than usual the server may think (WAIT).
 */
int redis_receive(struct redis *redis, int type, int64_t extra_us, redisReply **ret_reply);
/* Sends and receives. */
int redis_call(struct redis *redis, int type, redisReply **ret_reply);

/* Writes the line for people, "redis HOST:PORT: …", counts, and returns outcome. */
int redis_fail(struct redis *redis, int outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void redis_reply_freep(redisReply **reply);
