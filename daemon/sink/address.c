/*
 * Ranges after the IANA registries of special-purpose addresses. For IPv6 the public part is listed
 * and not the special one: only 2000::/3 is handed out at all.
 */
#include "sink/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The bytes of an address, a mapped one as IPv6. False for other families. */
static bool bytes_of(const struct sockaddr *address, int *ret_family, uint8_t ret_bytes[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        memcpy(ret_bytes, &in.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        memcpy(ret_bytes, &in6.sin6_addr, 16);
    } else {
        return false;
    }
    *ret_family = address->sa_family;
    return true;
}

static bool prefix_equal(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
    const unsigned whole = prefix / 8, rest = prefix % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

int address_range_parse(struct address_range *ret_range, const char *text)
{
    struct address_range range = {0};
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(text, '/');
    const size_t length = (size_t)(slash - text);
    unsigned long prefix;
    unsigned bits;
    char *end;

    if (length >= sizeof(address))
        return ADDRESS_E_INVALID;
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, range.bytes) == 1)
        range.family = AF_INET;
    else if (inet_pton(AF_INET6, address, range.bytes) == 1)
        range.family = AF_INET6;
    else
        return ADDRESS_E_INVALID;

    bits = range.family == AF_INET ? 32 : 128;
    range.prefix = bits;
    if (*slash == '/') {
        if (!isdigit((unsigned char)slash[1])) /* strtoul() takes blanks and signs */
            return ADDRESS_E_INVALID;
        prefix = strtoul(slash + 1, &end, 10);
        if (*end || prefix > bits)
            return ADDRESS_E_INVALID;
        range.prefix = (unsigned)prefix;
    }
    *ret_range = range;
    return 0;
}

bool address_range_contains(const struct address_range *range, const struct sockaddr *address)
{
    uint8_t bytes[16];
    int family;

    if (!bytes_of(address, &family, bytes))
        return false;
    if (family == range->family)
        return prefix_equal(bytes, range->bytes, range->prefix);
    return family == AF_INET6 && memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0 &&
           prefix_equal(bytes + 12, range->bytes, range->prefix);
}

static bool in_any(const char *const *ranges, const struct sockaddr *address)
{
    struct address_range range;

    for (; *ranges; ranges++)
        if (address_range_parse(&range, *ranges) == 0 && address_range_contains(&range, address))
            return true;
    return false;
}

bool address_is_public(const struct sockaddr *address)
{
    static const char *const special4[] = {
        "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",    NULL,
    };
    static const char *const unicast6[] = {"2000::/3", NULL};
    static const char *const special6[] = {
        "2001::/23",     /* IETF protocols, Teredo among them */
        "2001:db8::/32", /* documentation */
        "2002::/16",     /* 6to4: an IPv4 address is inside */
        "3fff::/20",     /* documentation */
        NULL,
    };

    switch (address->sa_family) {
    case AF_INET:
        return !in_any(special4, address);
    case AF_INET6:
        return in_any(unicast6, address) && !in_any(special6, address);
    default:
        return false;
    }
}

bool address_is_loopback(const struct sockaddr *address)
{
    static const char *const loopback[] = {"127.0.0.0/8", "::1", NULL};

    return in_any(loopback, address);
}

/* As browsers and libcurl tell: a host whose last part is a number is an IPv4 address, somehow. */
static bool ends_in_number(const char *host)
{
    size_t length = strlen(host), start, i;

    if (length > 0 && host[length - 1] == '.')
        length--;
    for (start = length; start > 0 && host[start - 1] != '.'; start--)
        ;
    if (start == length)
        return false;
    if (length - start >= 2 && host[start] == '0' && (host[start + 1] | 0x20) == 'x') {
        for (i = start + 2; i < length && isxdigit((unsigned char)host[i]); i++)
            ;
        return i == length;
    }
    for (i = start; i < length && isdigit((unsigned char)host[i]); i++)
        ;
    return i == length;
}

enum address_host address_host_kind(const char *host)
{
    char inner[INET6_ADDRSTRLEN];
    const size_t length = strlen(host);
    uint8_t bytes[16];

    if (strcasecmp(host, "localhost") == 0)
        return ADDRESS_HOST_LOCALHOST;
    if (host[0] == '[') {
        if (length < 2 || host[length - 1] != ']' || length - 2 >= sizeof(inner))
            return ADDRESS_HOST_ODD;
        memcpy(inner, host + 1, length - 2);
        inner[length - 2] = '\0';
        return inet_pton(AF_INET6, inner, bytes) == 1 ? ADDRESS_HOST_LITERAL : ADDRESS_HOST_ODD;
    }
    if (inet_pton(AF_INET, host, bytes) == 1) /* four plain decimals, no leading zeros */
        return ADDRESS_HOST_LITERAL;
    return ends_in_number(host) ? ADDRESS_HOST_ODD : ADDRESS_HOST_NAME;
}
