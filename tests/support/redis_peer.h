/*
 * Who answers in place of Redis: a thread behind a unix socket that forwards to a real server and
 * loses a reply when asked to, or says what no Redis would say. One connection at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct redis_peer;

struct redis_peer_options {
    const char *forward_to; /* socket of the real server; NULL: speak for yourself */
    /* Forwarding: the reply to the first request that contains this is lost, with the connection.
     */
    const char *lose_reply_to;
    /* Else: what is said to the first request, and then again and again, */
    const char *say;
    enum {
        REDIS_PEER_THEN_WAIT,  /* nothing, until the client goes */
        REDIS_PEER_THEN_CLOSE, /* nothing, connection closed */
        REDIS_PEER_THEN_DRIP,  /* a byte every millisecond */
        REDIS_PEER_THEN_FLOOD, /* bytes as fast as they are taken */
    } then;
};

struct redis_peer *redis_peer_new(const struct redis_peer_options *options);
struct redis_peer *redis_peer_free(struct redis_peer *peer);
const char *redis_peer_url(const struct redis_peer *peer);
uint64_t redis_peer_bytes_said(const struct redis_peer *peer);
