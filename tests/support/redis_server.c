/* A redis-server of a test's own; see redis_server.h. */
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_ARGUMENTS_MAX 40

bool redis_server_available(void)
{
    const char *path = getenv("PATH");
    char file[512];

    while (path && *path) {
        size_t length = strcspn(path, ":");

        (void)snprintf(file, sizeof(file), "%.*s/redis-server", (int)length, path);
        if (access(file, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static void run(const struct redis_server *server, int log)
{
    const char *arguments[N_ARGUMENTS_MAX + 16] = {
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        server->socket,
        "--save",
        "",
        "--dir",
        server->directory,
        "--loglevel",
        "notice",
        "--databases",
        "4",
    };
    size_t n = 13;
    int null = open("/dev/null", O_RDWR);

    for (size_t i = 0; server->arguments && server->arguments[i] && i < N_ARGUMENTS_MAX; i++)
        arguments[n++] = server->arguments[i];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null >= 0) {
        (void)dup2(null, 0);
        (void)dup2(null, 2);
    }
    (void)dup2(log, 1);
    (void)execvp("redis-server", (char *const *)arguments);
    _exit(127);
}

/*
 * Redis says "Server initialized" when it listens and before it loads. What it logs after that goes
 * nowhere: it ignores SIGPIPE.
 */
static void wait_until_ready(struct redis_server *server, int log)
{
    FILE *lines = fdopen(log, "r");
    char line[512];
    bool listens = false;
    redisContext *context;
    redisReply *reply;

    assert_non_null(lines);
    while (!listens && fgets(line, sizeof(line), lines))
        listens = strstr(line, "Server initialized") != NULL;
    (void)fclose(lines);
    if (!listens) {
        redis_server_kill(server);
        fail_msg("redis-server ended at its start");
    }
    context = redis_server_connect(server);
    reply = redisCommand(context, "PING");
    assert_non_null(reply);
    freeReplyObject(reply);
    redisFree(context);
}

void redis_server_restart(struct redis_server *server)
{
    int log[2];

    assert_int_equal(server->pid, 0);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0)
        run(server, log[1]);
    (void)close(log[1]);
    wait_until_ready(server, log[0]);
}

struct redis_server *redis_server_new(const char *const *arguments)
{
    struct redis_server *server = calloc(1, sizeof(*server));

    assert_non_null(server);
    (void)snprintf(server->directory, sizeof(server->directory), "/tmp/kpid-redis-XXXXXX");
    assert_non_null(mkdtemp(server->directory));
    (void)snprintf(server->socket, sizeof(server->socket), "%s/s", server->directory);
    (void)snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
    server->arguments = arguments;
    redis_server_restart(server);
    return server;
}

void redis_server_kill(struct redis_server *server)
{
    if (server->pid == 0)
        return;
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

struct redis_server *redis_server_free(struct redis_server *server)
{
    char command[128];

    if (!server)
        return NULL;
    redis_server_kill(server);
    (void)snprintf(command, sizeof(command), "rm -rf %s", server->directory);
    if (system(command) != 0)
        print_message("cannot remove %s\n", server->directory);
    free(server);
    return NULL;
}

void redis_server_stop(struct redis_server *server)
{
    int status;

    assert_int_equal(kill(server->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(server->pid, &status, WUNTRACED), server->pid);
    assert_true(WIFSTOPPED(status));
}

void redis_server_continue(struct redis_server *server)
{
    assert_int_equal(kill(server->pid, SIGCONT), 0);
}

redisContext *redis_server_connect(struct redis_server *server)
{
    redisContext *context = redisConnectUnix(server->socket);

    assert_non_null(context);
    assert_int_equal(context->err, 0);
    return context;
}

static redisReply *command(struct redis_server *server, const char *format, va_list arguments)
{
    redisContext *context = redis_server_connect(server);
    redisReply *reply = redisvCommand(context, format, arguments);

    assert_non_null(reply);
    redisFree(context);
    return reply;
}

redisReply *redis_server_command(struct redis_server *server, const char *format, ...)
{
    redisReply *reply;
    va_list arguments;

    va_start(arguments, format);
    reply = command(server, format, arguments);
    va_end(arguments);
    return reply;
}

void redis_server_do(struct redis_server *server, const char *format, ...)
{
    redisReply *reply;
    va_list arguments;

    va_start(arguments, format);
    reply = command(server, format, arguments);
    va_end(arguments);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    freeReplyObject(reply);
}
