/* See events.h. */
#include "events.h"

#include <stdio.h>
#include <time.h>

static const char *const campaigns[] = {"yueyue-2026-11", "double11-main", "spring-fair-cn"};
static const char *const channels[] = {"wechat", "douyin", "push", "store", "search"};
static const char *const countries[] = {"CN", "US", "DE", "SG"};
static const char *const cities[] = {"Shanghai", "Chengdu", "Hangzhou", "Urumqi", "Guangzhou"};

/* In 1/100: how often each type comes. */
static const struct {
    const char *name;
    unsigned share;
} types[] = {{"exposure", 40}, {"participation", 14}, {"session", 14}, {"like", 10},
             {"login", 8},     {"share", 4},          {"purchase", 7}, {"survey", 3}};

/* splitmix64: small, and good enough to spread users. */
static uint64_t next(struct events *events)
{
    uint64_t z = events->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static unsigned below(struct events *events, unsigned n)
{
    return (unsigned)((next(events) >> 32) * n >> 32);
}

#define PICK(events, array) ((array)[below((events), sizeof(array) / sizeof((array)[0]))])

static const char *pick_type(struct events *events)
{
    unsigned i = 0, at = below(events, 100);

    while (at >= types[i].share)
        at -= types[i++].share;
    return types[i].name;
}

/* The member that only this type has. */
static int put_special(struct events *events, char *at, size_t size, const char *type)
{
    switch (type[0]) {
    case 'p':
        if (type[1] == 'u')
            return snprintf(at, size, "\"amount\":\"%u.%02u\",\"currency\":\"CNY\",",
                            1 + below(events, 500), below(events, 100));
        break;
    case 's':
        if (type[1] == 'u')
            return snprintf(at, size, "\"score\":%u,\"scale\":\"0-10\",", below(events, 11));
        break;
    default:
        break;
    }
    return snprintf(at, size, "\"duration\":%u,\"page\":\"/c/%u\",", below(events, 600000),
                    below(events, 1000));
}

static void put_time(int64_t ms, char text[32])
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t size;

    gmtime_r(&seconds, &tm);
    size = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + size, 32 - size, ".%03uZ", (unsigned)(ms % 1000) % 1000);
}

void events_init(struct events *events, uint64_t seed, uint32_t n_users, uint64_t n_events,
                 int64_t start_ms, int64_t end_ms)
{
    *events = (struct events){
        .state = seed,
        .n_users = n_users,
        .n_events = n_events,
        .start_ms = start_ms,
        .end_ms = end_ms,
    };
}

void events_next(struct events *events, struct events_one *one)
{
    const unsigned hot = events->n_users / 10 ? events->n_users / 10 : 1;
    const unsigned user = next(events) & 1 ? below(events, hot) : below(events, events->n_users);
    const char *type = pick_type(events);
    char when[32], special[96];

    one->time_ms = events->start_ms + (int64_t)((double)(events->end_ms - events->start_ms) *
                                                (double)events->n / (double)events->n_events);
    put_time(one->time_ms, when);
    put_special(events, special, sizeof(special), type);
    one->key_size = (size_t)snprintf(one->key, sizeof(one->key), "user-%07u", user);
    one->size = (size_t)snprintf(
        one->value, sizeof(one->value),
        "{\"id\":\"%016llx\",\"type\":\"%s\",\"user\":\"%s\",\"time\":\"%s\",\"campaign\":\"%s\","
        "\"channel\":\"%s\",\"country\":\"%s\",%s\"props\":{\"city\":\"%s\",\"tags\":[\"a%u\","
        "\"b\"]},"
        "\"v\":%u.%u,\"app\":\"5.%u.0\"}",
        (unsigned long long)next(events), type, one->key, when, PICK(events, campaigns),
        PICK(events, channels), PICK(events, countries), special, PICK(events, cities),
        below(events, 10), below(events, 100), below(events, 10), below(events, 10));
    events->n++;
}
