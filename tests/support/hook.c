/* The receiver. */
#include "hook.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <cmocka.h>

struct hook_connection {
    struct hook_connection *next, **at; /* of the hook's open ones */
    struct hook *hook;
    struct bufferevent *bufferevent;
    struct hook_request *request; /* once it is complete */
    const struct hook_action *action;
    bool closing;
};

static void close_connection(struct hook_connection *connection)
{
    if (connection->request) {
        connection->request->connection = NULL;
        connection->hook->n_open--;
    }
    *connection->at = connection->next;
    if (connection->next)
        connection->next->at = connection->at;
    bufferevent_free(connection->bufferevent);
    free(connection);
}

static void reset_connection(struct hook_connection *connection)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(bufferevent_getfd(connection->bufferevent), SOL_SOCKET, SO_LINGER, &linger,
               sizeof(linger));
    close_connection(connection);
}

static void on_write(struct bufferevent *bufferevent, void *userdata)
{
    struct hook_connection *connection = userdata;
    unsigned i;

    if (!connection->request || evbuffer_get_length(bufferevent_get_output(bufferevent)) > 0)
        return;
    if (connection->action->kind == HOOK_FLOOD) {
        for (i = 0; i < 64; i++) {
            bufferevent_write(bufferevent, connection->action->again,
                              strlen(connection->action->again));
            connection->hook->n_flooded += strlen(connection->action->again);
        }
    } else if (connection->action->kind == HOOK_RESET) {
        reset_connection(connection);
    } else if (connection->closing) {
        close_connection(connection);
    }
}

static void act(struct hook_connection *connection)
{
    const struct hook_action *action = connection->action;

    if (action->kind == HOOK_HOLD)
        return;
    connection->closing = true;
    if (action->text && action->text[0])
        bufferevent_write(connection->bufferevent, action->text, strlen(action->text));
    else
        on_write(connection->bufferevent, connection);
}

void hook_release(struct hook *hook, unsigned request, const char *text)
{
    struct hook_connection *connection = hook->requests[request].connection;

    assert_non_null(connection);
    connection->closing = true;
    bufferevent_write(connection->bufferevent, text, strlen(text));
}

static void on_read(struct bufferevent *bufferevent, void *userdata)
{
    struct hook_connection *connection = userdata;
    struct evbuffer *input = bufferevent_get_input(bufferevent);
    struct hook *hook = connection->hook;
    struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
    struct hook_request request = {.connection = connection};
    struct timespec now;
    const char *length;

    if (connection->request || end.pos < 0)
        return;
    request.head = calloc(1, (size_t)end.pos + 3);
    assert_non_null(request.head);
    evbuffer_copyout(input, request.head, (size_t)end.pos + 2);
    length = hook_header(&request, "Content-Length");
    request.size = length ? strtoul(length, NULL, 10) : 0;
    if (evbuffer_get_length(input) < (size_t)end.pos + 4 + request.size) {
        free(request.head);
        return;
    }
    request.body = calloc(1, request.size + 1);
    assert_non_null(request.body);
    evbuffer_drain(input, (size_t)end.pos + 4);
    evbuffer_remove(input, request.body, request.size);
    clock_gettime(CLOCK_MONOTONIC, &now);
    request.at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;

    assert_true(hook->n_requests < sizeof(hook->requests) / sizeof(hook->requests[0]));
    connection->request = &hook->requests[hook->n_requests];
    *connection->request = request;
    connection->action =
        &hook->script[hook->n_requests < hook->n_script ? hook->n_requests : hook->n_script - 1];
    hook->n_requests++;
    if (++hook->n_open > hook->n_open_max)
        hook->n_open_max = hook->n_open;
    act(connection);
}

static void on_end(struct bufferevent *bufferevent, short what, void *userdata)
{
    if (!(what & BEV_EVENT_CONNECTED)) /* the end of a TLS handshake */
        close_connection(userdata);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *userdata)
{
    struct hook *hook = userdata;
    struct hook_connection *connection = calloc(1, sizeof(*connection));

    assert_non_null(connection);
    connection->hook = hook;
    connection->at = &hook->connections;
    connection->next = hook->connections;
    if (connection->next)
        connection->next->at = &connection->next;
    hook->connections = connection;
    connection->bufferevent = hook->wrap
                                  ? hook->wrap(hook->base, fd, hook->wrap_userdata)
                                  : bufferevent_socket_new(hook->base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(connection->bufferevent);
    bufferevent_setcb(connection->bufferevent, on_read, on_write, on_end, connection);
    bufferevent_enable(connection->bufferevent, EV_READ | EV_WRITE);
}

void hook_init(struct hook *hook, struct event_base *base, const struct hook_action *script,
               unsigned n_script)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    *hook = (struct hook){.base = base, .script = script, .n_script = n_script};
    hook->listener = evconnlistener_new_bind(base, on_accept, hook,
                                             LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
                                             (struct sockaddr *)&address, sizeof(address));
    assert_non_null(hook->listener);
    getsockname(evconnlistener_get_fd(hook->listener), (struct sockaddr *)&address, &length);
    hook->port = ntohs(address.sin_port);
}

void hook_deinit(struct hook *hook)
{
    unsigned i;

    evconnlistener_free(hook->listener);
    while (hook->connections)
        close_connection(hook->connections);
    for (i = 0; i < hook->n_requests; i++) {
        free(hook->requests[i].head);
        free(hook->requests[i].body);
    }
}

const char *hook_header(const struct hook_request *request, const char *name)
{
    static char value[8][512];
    static unsigned turn;
    const char *line = request->head, *end;
    const size_t length = strlen(name);

    while ((end = strstr(line, "\r\n"))) {
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            line += strspn(line, " ");
            turn = (turn + 1) % 8;
            snprintf(value[turn], sizeof(value[turn]), "%.*s", (int)(end - line), line);
            return value[turn];
        }
        line = end + 2;
    }
    return NULL;
}
