/* Who answers in place of Redis; see redis_peer.h. */
#include "redis_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK_BYTES 65536

struct redis_peer {
    struct redis_peer_options options;
    char directory[64];
    char path[96];
    char url[128];
    int listener;
    int end[2]; /* a byte in it ends the thread */
    pthread_t thread;
    bool lost;
    char *chunk;
    _Atomic uint64_t bytes_said;
};

static int open_socket(const char *path, struct sockaddr_un *ret_address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s", path);
    return fd;
}

/* True if fd is readable, false after milliseconds (-1: never), or *ret_end. */
static bool readable(struct redis_peer *peer, int fd, int milliseconds, bool *ret_end)
{
    struct pollfd fds[2] = {{.fd = peer->end[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    (void)poll(fds, 2, milliseconds);
    *ret_end = fds[0].revents != 0;
    return !*ret_end && fds[1].revents != 0;
}

/* Sends all or fails; looks for the end of the test while the client takes nothing. */
static bool say(struct redis_peer *peer, int client, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(client, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            struct pollfd fds[2] = {{.fd = peer->end[0], .events = POLLIN},
                                    {.fd = client, .events = POLLOUT}};

            (void)poll(fds, 2, -1);
            if (fds[0].revents || (fds[1].revents & (POLLERR | POLLHUP)))
                return false;
            continue;
        }
        atomic_fetch_add(&peer->bytes_said, (uint64_t)n);
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static void speak(struct redis_peer *peer, int client)
{
    bool end;

    if (!readable(peer, client, -1, &end) || recv(client, peer->chunk, CHUNK_BYTES, 0) <= 0)
        return;
    if (!say(peer, client, peer->options.say, strlen(peer->options.say)) ||
        peer->options.then == REDIS_PEER_THEN_CLOSE)
        return;
    memset(peer->chunk, 'a', CHUNK_BYTES);
    for (;;) {
        int pause = peer->options.then == REDIS_PEER_THEN_WAIT   ? -1
                    : peer->options.then == REDIS_PEER_THEN_DRIP ? 1
                                                                 : 0;

        /* A client that is readable has gone. */
        if (readable(peer, client, pause, &end) || end)
            return;
        if (!say(peer, client, peer->chunk,
                 peer->options.then == REDIS_PEER_THEN_DRIP ? 1 : CHUNK_BYTES))
            return;
    }
}

static void forward(struct redis_peer *peer, int client, int server)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = peer->end[0], .events = POLLIN},
                                {.fd = client, .events = POLLIN},
                                {.fd = server, .events = POLLIN}};
        bool lose = false;
        ssize_t n;

        (void)poll(fds, 3, -1);
        if (fds[0].revents)
            return;
        if (fds[1].revents) {
            n = recv(client, peer->chunk, CHUNK_BYTES, 0);
            if (n <= 0)
                return;
            lose = !peer->lost && peer->options.lose_reply_to &&
                   memmem(peer->chunk, (size_t)n, peer->options.lose_reply_to,
                          strlen(peer->options.lose_reply_to));
            if (!say(peer, server, peer->chunk, (size_t)n))
                return;
        }
        if (lose) {
            /* The server has answered, so it has done what was asked. */
            (void)recv(server, peer->chunk, CHUNK_BYTES, 0);
            peer->lost = true;
            return;
        }
        if (fds[2].revents) {
            n = recv(server, peer->chunk, CHUNK_BYTES, 0);
            if (n <= 0 || !say(peer, client, peer->chunk, (size_t)n))
                return;
        }
    }
}

static void *serve(void *userdata)
{
    struct redis_peer *peer = userdata;
    struct sockaddr_un address;
    bool end;

    while (readable(peer, peer->listener, -1, &end) || !end) {
        int client = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        int server = -1;

        if (client < 0)
            continue;
        if (!peer->options.forward_to) {
            speak(peer, client);
        } else {
            server = open_socket(peer->options.forward_to, &address);
            if (connect(server, (struct sockaddr *)&address, sizeof(address)) == 0)
                forward(peer, client, server);
            (void)close(server);
        }
        (void)close(client);
    }
    return NULL;
}

struct redis_peer *redis_peer_new(const struct redis_peer_options *options)
{
    struct redis_peer *peer = calloc(1, sizeof(*peer));
    struct sockaddr_un address;

    assert_non_null(peer);
    peer->options = *options;
    peer->chunk = malloc(CHUNK_BYTES);
    assert_non_null(peer->chunk);
    (void)snprintf(peer->directory, sizeof(peer->directory), "/tmp/kpid-peer-XXXXXX");
    assert_non_null(mkdtemp(peer->directory));
    (void)snprintf(peer->path, sizeof(peer->path), "%s/s", peer->directory);
    (void)snprintf(peer->url, sizeof(peer->url), "unix://%s", peer->path);
    peer->listener = open_socket(peer->path, &address);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(peer->listener, 16), 0);
    assert_int_equal(pipe(peer->end), 0);
    assert_int_equal(pthread_create(&peer->thread, NULL, serve, peer), 0);
    return peer;
}

struct redis_peer *redis_peer_free(struct redis_peer *peer)
{
    if (!peer)
        return NULL;
    assert_int_equal(write(peer->end[1], "", 1), 1);
    (void)pthread_join(peer->thread, NULL);
    (void)close(peer->end[0]);
    (void)close(peer->end[1]);
    (void)close(peer->listener);
    (void)unlink(peer->path);
    (void)rmdir(peer->directory);
    free(peer->chunk);
    free(peer);
    return NULL;
}

const char *redis_peer_url(const struct redis_peer *peer)
{
    return peer->url;
}

uint64_t redis_peer_bytes_said(const struct redis_peer *peer)
{
    return atomic_load(&peer->bytes_said);
}
