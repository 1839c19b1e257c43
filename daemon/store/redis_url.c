/* Where the server is: redis://host:port/db and unix:///path?db=n. */
#include "store/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define DEFAULT_PORT 6379

static bool parse_number(const char *text, unsigned max, unsigned *ret_number)
{
    unsigned n = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (unsigned)(*text - '0');
        if (n > max)
            return false;
    }
    *ret_number = n;
    return true;
}

/* unix:///path[?db=n] */
static int parse_unix(struct redis *redis, const char *url)
{
    const char *query = strchr(url, '?');
    size_t length = query ? (size_t)(query - url) : strlen(url);

    redis->path = strndup(url, length);
    if (!redis->path)
        return -ENOMEM;
    (void)snprintf(redis->name, sizeof(redis->name), "%s", redis->path);
    if (length >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        redis->invalid = "the path of the unix socket is too long";
    else if (url[0] != '/' || length < 2)
        redis->invalid = "the URL of a unix socket is unix:///path, with ?db=n for a database";
    else if (query && (strncmp(query, "?db=", 4) != 0 ||
                       !parse_number(query + 4, 1000000, &redis->database)))
        redis->invalid = "after the path of a unix socket only ?db=n is known";
    return 0;
}

/* host[:port][/db], the host in brackets if it is an IPv6 address */
static int parse_tcp(struct redis *redis, const char *url)
{
    char text[300];
    char *slash, *port, *host;
    unsigned number = DEFAULT_PORT;

    if ((size_t)snprintf(text, sizeof(text), "%s", url) >= sizeof(text)) {
        redis->invalid = "the URL is too long";
        return 0;
    }
    slash = strchr(text, '/');
    if (slash)
        *slash++ = '\0';
    host = text;
    if (*host == '[') {
        host++;
        port = strchr(host, ']');
        if (!port)
            port = host + strlen(host);
        else
            *port++ = '\0';
    } else {
        port = strchr(host, ':');
        if (!port)
            port = host + strlen(host);
    }
    if (*port == ':') {
        *port++ = '\0';
        if (!parse_number(port, 65535, &number) || number == 0)
            redis->invalid = "the port is a number from 1 to 65535";
    } else if (*port) {
        redis->invalid = "the URL is redis://host:port/db";
    }
    if (!*host)
        redis->invalid = "the URL names no host: redis://host:port/db";
    if (slash && *slash && !parse_number(slash, 1000000, &redis->database))
        redis->invalid = "after the slash of redis://host:port/db comes the number of a database";
    redis->port = (int)number;
    (void)snprintf(redis->name, sizeof(redis->name), "%s:%d", host, redis->port);
    redis->host = strdup(host);
    return redis->host ? 0 : -ENOMEM;
}

int redis_parse_url(struct redis *redis, const char *url)
{
    (void)snprintf(redis->name, sizeof(redis->name), "server");
    if (strncmp(url, "unix://", 7) == 0)
        return parse_unix(redis, url + 7);
    if (strncmp(url, "redis://", 8) != 0) {
        redis->invalid = strncmp(url, "rediss://", 9) == 0
                             ? "TLS is not spoken; put a tunnel on a unix socket in between"
                             : "the URL begins with redis:// or unix://";
        return 0;
    }
    if (strchr(url, '@')) {
        redis->invalid =
            "user and password do not belong into the URL, they have settings of their own";
        return 0;
    }
    return parse_tcp(redis, url + 8);
}
