/*
 * A redis-server of a test's own: in a temporary directory, on a unix socket, gone with the test.
 * It is ready when it says so.
 */
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>

struct redis_server {
    char directory[64];
    char socket[96];
    char url[128]; /* unix://… */
    const char *const *arguments;
    pid_t pid; /* 0: not running */
};

/* False if there is no redis-server on this machine: the test program then ends with 77, skipped.
 */
bool redis_server_available(void);

/*
 * Starts a server without persistence; `arguments` (NULL-terminated, kept by reference; NULL: none)
 * follow on its command line. Returns once it answers PING or refuses it for a reason of its own.
 */
struct redis_server *redis_server_new(const char *const *arguments);
/* Kills it and removes its directory. NULL is fine. */
struct redis_server *redis_server_free(struct redis_server *server);

void redis_server_kill(struct redis_server *server);    /* SIGKILL, and waits for its end */
void redis_server_restart(struct redis_server *server); /* with the same directory and arguments */
void redis_server_stop(struct redis_server *server);    /* SIGSTOP, and waits until it stands */
void redis_server_continue(struct redis_server *server);

/* A connection beside the one under test, and one command over it; the caller frees both. */
redisContext *redis_server_connect(struct redis_server *server);
redisReply *redis_server_command(struct redis_server *server, const char *format, ...);
/* The same for its effect: fails the test if the answer is an error. */
void redis_server_do(struct redis_server *server, const char *format, ...);
