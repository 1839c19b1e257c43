/*
 * Which addresses a webhook may be sent to. Receivers are named in the configuration, but what
 * their names resolve to is decided elsewhere, and may be an address that only looks harmless from
 * outside (server-side request forgery). So the address itself is judged, at the moment of
 * connecting.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

struct address_range {
    int family; /* AF_INET or AF_INET6 */
    uint8_t bytes[16];
    unsigned prefix; /* leading bits that count */
};

enum {
    ADDRESS_E_INVALID = 1,
};

/* Reads "10.0.0.0/8", "fd00::/8", or an address alone. 0 or ADDRESS_E_INVALID. */
int address_range_parse(struct address_range *ret_range, const char *text);

/* An IPv4-mapped IPv6 address is in a range of IPv4 too: it is what would be connected to. */
bool address_range_contains(const struct address_range *range, const struct sockaddr *address);

/*
 * A unicast address of the public internet: not private, loopback, link-local, shared (CGNAT),
 * documentation, multicast or reserved, and not IPv4 in disguise (mapped, NAT64, 6to4, Teredo).
 */
bool address_is_public(const struct sockaddr *address);
bool address_is_loopback(const struct sockaddr *address);

enum address_host {
    ADDRESS_HOST_NAME,      /* to be resolved */
    ADDRESS_HOST_LITERAL,   /* 127.0.0.1, [::1] */
    ADDRESS_HOST_LOCALHOST, /* that very word */
    ADDRESS_HOST_ODD, /* a number in decimal, octal, hex or too few parts: nobody means that */
};

/* host as in a URL: without port, an IPv6 address in brackets. */
enum address_host address_host_kind(const char *host);
