/* A connection to Redis; see redis.h. */
#include "store/redis.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define CHUNK_BYTES        ((size_t)256 << 10)
#define COMMAND_HEAD_BYTES 16 /* "*4294967295\r\n" */
#define DEFAULT_TIMEOUT_US 1000000

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void redis_reply_freep(redisReply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
}

int redis_fail(struct redis *redis, int outcome, const char *format, ...)
{
    va_list arguments;
    int n;

    n = snprintf(redis->error, sizeof(redis->error), "redis %s: ", redis->name);
    va_start(arguments, format);
    (void)vsnprintf(redis->error + n, sizeof(redis->error) - (size_t)n, format, arguments);
    va_end(arguments);
    /* Parts of it come from the server: keep it one line. */
    for (char *c = redis->error; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    atomic_fetch_add_explicit(&redis->n_errors, 1, memory_order_relaxed);
    if (outcome == STORE_E_AWAY)
        atomic_store_explicit(&redis->up, false, memory_order_relaxed);
    return outcome;
}

/* ---- life ---- */

static char *copy(const char *string, int *r)
{
    char *c = string ? strdup(string) : NULL;

    if (string && !c)
        *r = -ENOMEM;
    return c;
}

int redis_init(struct redis *redis, const struct store_options *options)
{
    int r;

    memset(redis, 0, sizeof(*redis));
    redis->connect_timeout_us =
        options->connect_timeout_us > 0 ? options->connect_timeout_us : DEFAULT_TIMEOUT_US;
    redis->command_timeout_us =
        options->command_timeout_us > 0 ? options->command_timeout_us : DEFAULT_TIMEOUT_US;
    r = redis_parse_url(redis, options->url ? options->url : "");
    redis->username = copy(options->username, &r);
    redis->password = copy(options->password, &r);
    redis->chunk = malloc(CHUNK_BYTES);
    return redis->chunk ? r : -ENOMEM;
}

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void redis_deinit(struct redis *redis)
{
    redis_close(redis);
    free_secret(redis->password);
    free(redis->username);
    free(redis->host);
    free(redis->path);
    free(redis->chunk);
    free(redis->command);
}

/* ---- opening and closing ---- */

void redis_close(struct redis *redis)
{
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
}

/* What is said once the connection is of no use any more. */
static int lose(struct redis *redis, const char *what)
{
    redis_close(redis);
    return redis_fail(redis, STORE_E_AWAY, "%s", what);
}

#if HIREDIS_MAJOR < 1
/*
 * hiredis 0.14 allocates as many elements as the peer announces; here it is told "out of memory"
 * for more than we ask for, as 1.0 does by its maxelements.
 */
static void *create_array(const redisReadTask *task, int n_elements)
{
    struct redis *redis = task->privdata;

    if ((size_t)n_elements > REDIS_REPLY_ELEMENTS_MAX)
        return NULL;
    return redis->original->createArray(task, n_elements);
}

static void limit_elements(struct redis *redis)
{
    redisReader *reader = redis->context->reader;

    redis->original = reader->fn;
    redis->limited = *reader->fn;
    redis->limited.createArray = create_array;
    reader->privdata = redis;
    reader->fn = &redis->limited;
}
#else
static void limit_elements(struct redis *redis)
{
    redis->context->reader->maxelements = REDIS_REPLY_ELEMENTS_MAX;
}
#endif

static int authenticate(struct redis *redis)
{
    int r;

    redis_begin(redis, "AUTH");
    if (redis->username)
        redis_add_string(redis, redis->username);
    redis_add_string(redis, redis->password);
    r = redis_call(redis, REDIS_REPLY_STATUS, NULL);
    explicit_bzero(redis->command, redis->command_capacity);
    /* Where AUTH is renamed the server's message holds its arguments: it is not shown. */
    if (r == STORE_E_REFUSED || strstr(redis->error, redis->password))
        (void)snprintf(redis->error, sizeof(redis->error),
                       "redis %s: does not take the user name and password it was given",
                       redis->name);
    return r;
}

static int greet(struct redis *redis)
{
    int r;

    if (redis->password) {
        r = authenticate(redis);
        if (r)
            return r;
    }
    if (redis->database > 0) {
        redis_begin(redis, "SELECT");
        redis_addf(redis, "%u", redis->database);
        return redis_call(redis, REDIS_REPLY_STATUS, NULL);
    }
    return 0;
}

int redis_open(struct redis *redis)
{
    struct timeval timeout = {redis->connect_timeout_us / 1000000,
                              redis->connect_timeout_us % 1000000};
    redisContext *context;
    int r;

    redis->error[0] = '\0';
    if (redis->context)
        return 0;
    if (redis->invalid)
        return redis_fail(redis, STORE_E_REFUSED, "%s", redis->invalid);
    context = redis->host ? redisConnectWithTimeout(redis->host, redis->port, timeout)
                          : redisConnectUnixWithTimeout(redis->path, timeout);
    if (!context)
        return -ENOMEM;
    redis->context = context;
    if (context->err) {
        char what[sizeof(context->errstr) + 32];

        (void)snprintf(what, sizeof(what), "cannot connect: %s", context->errstr);
        return lose(redis, what);
    }
    if (redis->host)
        (void)redisEnableKeepAlive(context); /* a nicety: the deadlines find a silent peer too */
    context->reader->maxbuf = 0;             /* keep its buffer from one object to the next */
    limit_elements(redis);
    atomic_fetch_add_explicit(&redis->n_opened, 1, memory_order_relaxed);
    r = greet(redis);
    if (r)
        redis_close(redis);
    return r;
}

/* ---- writing ---- */

static bool reserve(struct redis *redis, size_t more)
{
    size_t capacity = redis->command_capacity ? redis->command_capacity : 4096;
    char *command;

    if (redis->command_failed)
        return false;
    while (capacity - redis->command_size < more)
        capacity *= 2;
    if (capacity == redis->command_capacity)
        return true;
    command = realloc(redis->command, capacity);
    if (!command) {
        redis->command_failed = true;
        return false;
    }
    redis->command = command;
    redis->command_capacity = capacity;
    return true;
}

/* "$n\r\n", the announcement of an argument */
static bool announce(struct redis *redis, size_t size)
{
    if (!reserve(redis, 32))
        return false;
    redis->command_size +=
        (size_t)snprintf(redis->command + redis->command_size, 32, "$%zu\r\n", size);
    redis->n_arguments++;
    return true;
}

void redis_begin(struct redis *redis, const char *verb)
{
    redis->command_size = COMMAND_HEAD_BYTES;
    redis->n_arguments = 0;
    redis->command_failed = false;
    redis_add_string(redis, verb);
}

void redis_add(struct redis *redis, const void *bytes, size_t size)
{
    if (!announce(redis, size) || !reserve(redis, size + 2))
        return;
    if (size > 0)
        memcpy(redis->command + redis->command_size, bytes, size);
    memcpy(redis->command + redis->command_size + size, "\r\n", 2);
    redis->command_size += size + 2;
}

void redis_add_string(struct redis *redis, const char *string)
{
    redis_add(redis, string, strlen(string));
}

void redis_addf(struct redis *redis, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* Keys have bounded parts and fit; a cut one would be another key. */
    if (n < 0 || (size_t)n >= sizeof(text))
        redis->command_failed = true;
    else
        redis_add(redis, text, (size_t)n);
}

/* Waits for events on the connection until the deadline. 0, STORE_E_AWAY. */
static int wait_for(struct redis *redis, short events, int64_t deadline_us)
{
    struct pollfd pollfd = {.fd = redis->context->fd, .events = events};
    int n;

    for (;;) {
        int64_t left = deadline_us - now_us();

        if (left <= 0)
            return lose(redis, "no answer in time");
        n = poll(&pollfd, 1, (int)(left / 1000 + 1));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return lose(redis, "cannot wait for the connection");
    }
}

static int write_parts(struct redis *redis, struct iovec *parts, size_t n_parts)
{
    int64_t deadline_us = now_us() + redis->command_timeout_us;
    int r;

    while (n_parts > 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
        ssize_t n = sendmsg(redis->context->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            r = wait_for(redis, POLLOUT, deadline_us);
            if (r)
                return r;
            continue;
        }
        if (n < 0)
            return lose(redis, "connection lost");
        deadline_us += n;
        while (n_parts > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            n_parts--;
        }
        if (n_parts > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int send_parts(struct redis *redis, struct iovec *parts, size_t n_parts)
{
    char head[COMMAND_HEAD_BYTES + 1];
    int64_t started_us = now_us();
    size_t n;
    int r;

    if (redis->command_failed)
        return -ENOMEM;
    if (!redis->context)
        return redis_fail(redis, STORE_E_AWAY, "connection lost");
    n = (size_t)snprintf(head, sizeof(head), "*%u\r\n", redis->n_arguments);
    parts[0].iov_base = redis->command + COMMAND_HEAD_BYTES - n;
    parts[0].iov_len = redis->command_size - COMMAND_HEAD_BYTES + n;
    memcpy(parts[0].iov_base, head, n);
    r = write_parts(redis, parts, n_parts);
    atomic_fetch_add_explicit(&redis->n_commands, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&redis->busy_us, (uint64_t)(now_us() - started_us),
                              memory_order_relaxed);
    return r;
}

int redis_send(struct redis *redis)
{
    struct iovec parts[1];

    return send_parts(redis, parts, 1);
}

int redis_send_value(struct redis *redis, const void *value, size_t size)
{
    char end[2] = {'\r', '\n'};
    struct iovec parts[3] = {
        [1] = {.iov_base = (void *)value, .iov_len = size},
        [2] = {.iov_base = end, .iov_len = sizeof(end)},
    };

    (void)announce(redis, size); /* a failure is kept for send_parts() */
    return send_parts(redis, parts, 3);
}

/* ---- reading ---- */

enum after_error {
    KEEP,
    CLOSE, /* another connection may find another server, or this one in better state */
};

/*
 * What the first word of an error reply means. In Redis 6 an error inside a script is an ERR with
 * the real one in its text; scripts of ours answer with CORRUPT, FENCED, REGRESS and ROLLBACK.
 */
static const struct {
    const char *prefix;
    int outcome;
    enum after_error after;
} errors[] = {
    {"CORRUPT", STORE_E_CORRUPT, KEEP},    {"FENCED", STORE_E_FENCED, KEEP},
    {"REGRESS", STORE_E_REGRESS, KEEP},    {"ROLLBACK", STORE_E_ROLLBACK, KEEP},
    {"OOM", STORE_E_AWAY, KEEP},           {"LOADING", STORE_E_AWAY, KEEP},
    {"BUSY", STORE_E_AWAY, KEEP},          {"MISCONF", STORE_E_AWAY, KEEP},
    {"NOREPLICAS", STORE_E_AWAY, KEEP},    {"EXECABORT", STORE_E_AWAY, KEEP},
    {"TRYAGAIN", STORE_E_AWAY, KEEP},      {"READONLY", STORE_E_AWAY, CLOSE},
    {"MASTERDOWN", STORE_E_AWAY, CLOSE},   {"CLUSTERDOWN", STORE_E_AWAY, CLOSE},
    {"UNBLOCKED", STORE_E_AWAY, CLOSE},    {"ERR max number of clients", STORE_E_AWAY, CLOSE},
    {"MOVED", STORE_E_REFUSED, CLOSE},     {"ASK", STORE_E_REFUSED, CLOSE},
    {"CROSSSLOT", STORE_E_REFUSED, CLOSE}, {"NOAUTH", STORE_E_REFUSED, CLOSE},
    {"WRONGPASS", STORE_E_REFUSED, CLOSE}, {"DENIED", STORE_E_REFUSED, CLOSE},
    {"NOPERM", STORE_E_REFUSED, CLOSE}, /* the rights are those of a new log-in */
    {"WRONGTYPE", STORE_E_REFUSED, KEEP},  {"ERR", STORE_E_REFUSED, KEEP},
};

static bool begins_with_word(const char *text, const char *word)
{
    size_t length = strlen(word);

    return strncmp(text, word, length) == 0 && (text[length] == ' ' || text[length] == '\0');
}

static int judge(struct redis *redis, const char *text)
{
    const char *inner = strncmp(text, "ERR ", 4) == 0 ? strstr(text, " -") : NULL;
    int outcome = STORE_E_AWAY; /* a word of a later server: perhaps it passes */
    enum after_error after = CLOSE;

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (begins_with_word(text, errors[i].prefix) ||
            (inner && begins_with_word(inner + 2, errors[i].prefix))) {
            outcome = errors[i].outcome;
            after = errors[i].after;
            break;
        }
    }
    (void)redis_fail(redis, outcome, "%.200s", text);
    if (after == CLOSE)
        redis_close(redis);
    return outcome;
}

/* Takes in what is there, waiting for it if need be; adds to *bytes. 0, STORE_E_AWAY. */
static int fill(struct redis *redis, int64_t deadline_us, size_t *bytes)
{
    ssize_t n;
    int r;

    for (;;) {
        n = recv(redis->context->fd, redis->chunk, CHUNK_BYTES, MSG_DONTWAIT);
        if (n > 0)
            break;
        if (n == 0)
            return lose(redis, "closed the connection");
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return lose(redis, "connection lost");
        r = wait_for(redis, POLLIN, deadline_us);
        if (r)
            return r;
    }
    *bytes += (size_t)n;
    if (*bytes > REDIS_REPLY_BYTES_MAX)
        return lose(redis, "a reply larger than 64 MiB; connection closed");
    if (redisReaderFeed(redis->context->reader, redis->chunk, (size_t)n) != REDIS_OK) {
        redis_close(redis);
        return -ENOMEM;
    }
    return 0;
}

static int read_reply(struct redis *redis, int64_t deadline_us, redisReply **ret_reply)
{
    void *reply = NULL;
    size_t bytes = 0;
    int r;

    for (;;) {
        if (redisReaderGetReply(redis->context->reader, &reply) != REDIS_OK)
            return lose(redis, "answers what is not the protocol of Redis; connection closed");
        if (reply)
            break;
        r = fill(redis, deadline_us + (int64_t)bytes, &bytes);
        if (r)
            return r;
    }
    *ret_reply = reply;
    return 0;
}

int redis_receive(struct redis *redis, int type, int64_t extra_us, redisReply **ret_reply)
{
    KPI_CLEANUP(redis_reply_freep) redisReply *reply = NULL;
    int64_t started_us = now_us();
    int r;

    if (!redis->context)
        return redis_fail(redis, STORE_E_AWAY, "connection lost");
    r = read_reply(redis, started_us + redis->command_timeout_us + extra_us, &reply);
    atomic_fetch_add_explicit(&redis->busy_us, (uint64_t)(now_us() - started_us),
                              memory_order_relaxed);
    if (r)
        return r;
    if (reply->type == REDIS_REPLY_ERROR)
        return judge(redis, reply->str);
    if (type != 0 && reply->type != type)
        return lose(redis, "answers something else than asked for; connection closed");
    atomic_store_explicit(&redis->up, true, memory_order_relaxed);
    if (ret_reply) {
        *ret_reply = reply;
        reply = NULL;
    }
    return 0;
}

int redis_call(struct redis *redis, int type, redisReply **ret_reply)
{
    int r = redis_send(redis);

    return r ? r : redis_receive(redis, type, 0, ret_reply);
}
