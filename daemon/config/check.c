/* Names, addresses and URLs: is a text one? */
#include "config/check.h"
#include "config/scalar.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    TEXT_BYTES_MAX = 1024
};

const char *check_text(struct kpi_string text)
{
    size_t i;

    for (i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] < 0x20)
            return "must not contain control characters";
    }
    return text.length > TEXT_BYTES_MAX ? "is longer than 1024 bytes" : NULL;
}

static bool is_word(struct kpi_string text)
{
    return strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
           text.length;
}

const char *check_name(struct kpi_string text)
{
    return text.length > 200 || !is_word(text)
               ? "is not a name of at most 200 letters, digits, dots, dashes and underscores"
               : NULL;
}

const char *check_topic(struct kpi_string text)
{
    return text.length > 249 || !is_word(text) || strcmp(text.data, ".") == 0 ||
                   strcmp(text.data, "..") == 0
               ? "is not a topic: at most 249 letters, digits, dots, dashes and underscores"
               : NULL;
}

const char *check_currency(struct kpi_string text)
{
    return text.length != 3 || strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3
               ? "is not an ISO 4217 code, as CNY"
               : NULL;
}

const char *check_address(struct kpi_string text, unsigned port_min)
{
    const char *colon = memrchr(text.data, ':', text.length);
    struct kpi_string host, port;
    uint64_t number;

    if (!colon)
        return "has no port: write address:port";
    host = (struct kpi_string){text.data, (size_t)(colon - text.data)};
    port = (struct kpi_string){colon + 1, text.length - host.length - 1};
    if (scalar_integer(port, &number) || number > 65535 || number < port_min)
        return "has no port between 1 and 65535 after the last colon";
    if (host.length == 0)
        return "has no address: 0.0.0.0 stands for all of IPv4, [::] for all";
    if (host.data[0] == '[' && host.data[host.length - 1] == ']') {
        char address[INET6_ADDRSTRLEN] = "";
        struct in6_addr parsed;

        if (host.length - 2 >= sizeof(address))
            return "has no IPv6 address in its brackets";
        memcpy(address, host.data + 1, host.length - 2);
        return inet_pton(AF_INET6, address, &parsed) == 1 ? NULL
                                                          : "has no IPv6 address in its brackets";
    }
    if (memchr(host.data, ':', host.length))
        return "needs its IPv6 address in brackets, as [::1]:9480";
    return strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
                   host.length
               ? "has an address with other characters than letters, digits, dots and dashes"
               : NULL;
}

const char *check_listen(struct kpi_string text)
{
    return check_address(text, 0);
}

static const char *skip(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

const char *check_url(struct kpi_string text)
{
    const char *rest = skip(text.data, "https://");
    size_t host, i;

    if (!rest)
        rest = skip(text.data, "http://");
    if (!rest)
        return "is not a URL: it must begin with https:// or http://";
    for (i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] <= 0x20)
            return "is not a URL: it contains blanks";
    }
    host = strcspn(rest, "/?#");
    if (memchr(rest, '@', host))
        return "must not contain a user or password";
    return host == 0 || rest[0] == ':' ? "is not a URL: it names no host" : NULL;
}

/* redis://host[:port][/db] or unix:///path[?db=n] */
const char *check_redis_url(struct kpi_string text)
{
    static const char *const shape = "is neither redis://host:port/db nor unix:///path?db=n";
    const char *rest = skip(text.data, "unix://");
    const char *database;
    uint64_t number;
    size_t host;

    if (skip(text.data, "rediss://"))
        return "asks for TLS, which is not supported: use a local proxy or a socket";
    if (rest) {
        database = strstr(rest, "?db=");
        if (rest[0] != '/')
            return shape;
        if (!database)
            return strchr(rest, '?') ? shape : NULL;
        database += strlen("?db=");
    } else {
        struct kpi_string address;
        char copy[300];

        rest = skip(text.data, "redis://");
        if (!rest)
            return shape;
        host = strcspn(rest, "/?#");
        if (memchr(rest, '@', host))
            return "must not contain a user or password: use username and password_file";
        if (host == 0 || host > 250 || rest[host] == '?' || rest[host] == '#')
            return shape;
        (void)snprintf(copy, sizeof(copy), "%.*s%s", (int)host, rest,
                       memchr(rest, ':', host) ? "" : ":6379"); /* fits */
        address = (struct kpi_string){copy, strlen(copy)};
        if (check_address(address, 1))
            return shape;
        database = rest + host + (rest[host] == '/');
        if (!*database)
            return NULL;
    }
    return scalar_integer((struct kpi_string){database, strlen(database)}, &number) || number > 1023
               ? "names no database between 0 and 1023"
               : NULL;
}
