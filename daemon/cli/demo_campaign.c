/* The simulated campaign: see demo_campaign.h. */
#include "cli/demo_campaign.h"

#include "codec/time_text.h"
#include "util/clock.h"
#include "util/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HISTORY_USERS = 300, /* reached on each day of history */
    LIVE_USERS = 40,     /* reached a second */
    GOOD_SECONDS = 35,   /* until participation falls */
    BAD_EVERY = 900,     /* every so many events one that kpid refuses */
};

struct demo_campaign {
    rd_kafka_t *producer;
    const char *topic;
    pthread_t thread;
    atomic_bool stopping;
    uint64_t random;
    uint64_t n_events;
    unsigned n_users;
};

/* xorshift64*: a simulation needs no better, and a fixed seed tells the same story each time. */
static double chance(struct demo_campaign *campaign)
{
    campaign->random ^= campaign->random >> 12;
    campaign->random ^= campaign->random << 25;
    campaign->random ^= campaign->random >> 27;
    return (double)((campaign->random * 0x2545f4914f6cdd1dull) >> 11) / 9007199254740992.0;
}

static void produce(struct demo_campaign *campaign, const char *type, unsigned user, int64_t time,
                    const char *more)
{
    static const char *const channels[] = {"wechat", "douyin", "app", "store"};
    char text[TIME_TEXT_BYTES_MAX], key[24], body[512];
    int size;

    (void)time_text_format(time, 8 * 3600, text);
    (void)snprintf(key, sizeof(key), "u-%u", user);
    campaign->n_events++;
    if (campaign->n_events % BAD_EVERY == 0)
        more = ",\"amount\":\"-1\"";
    size =
        snprintf(body, sizeof(body),
                 "{\"id\":\"demo-%llu\",\"type\":\"%s\",\"user\":\"%s\",\"time\":\"%s\","
                 "\"campaign\":\"" DEMO_CAMPAIGN "\",\"channel\":\"%s\"%s}",
                 (unsigned long long)campaign->n_events, type, key, text, channels[user % 4], more);
    (void)rd_kafka_producev(campaign->producer, RD_KAFKA_V_TOPIC(campaign->topic),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                            RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(body, (size_t)size),
                            RD_KAFKA_V_END);
}

/* Somebody is reached, and perhaps takes part, buys, answers. */
static void somebody(struct demo_campaign *campaign, unsigned user, int64_t time, double takes_part)
{
    char more[96];

    produce(campaign, "exposure", user, time, "");
    if (chance(campaign) >= takes_part)
        return;
    produce(campaign, "participation", user, time + 1000, "");
    if (chance(campaign) < 0.3) {
        (void)snprintf(more, sizeof(more), ",\"amount\":\"%d.90\",\"currency\":\"CNY\"",
                       50 + (int)(chance(campaign) * 300));
        produce(campaign, "purchase", user, time + 2000, more);
    }
    if (chance(campaign) < 0.1) {
        (void)snprintf(more, sizeof(more), ",\"score\":%d",
                       chance(campaign) < 0.62 ? 9 + (int)(chance(campaign) * 2)
                                               : 4 + (int)(chance(campaign) * 5));
        produce(campaign, "survey", user, time + 3000, more);
    }
}

static void history(struct demo_campaign *campaign, int64_t now)
{
    for (int day = DEMO_DAYS; day >= 1; day--) {
        int64_t then = now - day * 86400ll * 1000000;

        for (unsigned i = 0; i < HISTORY_USERS; i++) {
            /* A third has been here before: what retention and repeat purchases are made of. */
            unsigned user = chance(campaign) < 0.33 && campaign->n_users > 0
                                ? (unsigned)(chance(campaign) * campaign->n_users)
                                : campaign->n_users++;

            somebody(campaign, user, then + (int64_t)i * 1000000, 0.68);
        }
        produce(campaign, "spend", 0, then, ",\"amount\":\"2800\",\"currency\":\"CNY\"");
        (void)rd_kafka_poll(campaign->producer, 0);
    }
}

static void *campaign_main(void *userdata)
{
    struct demo_campaign *campaign = userdata;
    int64_t begun = clock_monotonic_us();

    history(campaign, clock_now_us());
    while (!atomic_load(&campaign->stopping)) {
        struct timespec pause = {.tv_nsec = 1000000000 / LIVE_USERS};
        bool good = clock_monotonic_us() - begun < GOOD_SECONDS * 1000000ll;

        somebody(campaign, campaign->n_users++, clock_now_us(), good ? 0.68 : 0.2);
        (void)rd_kafka_poll(campaign->producer, 0);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

int demo_campaign_new(struct demo_campaign **ret_campaign, rd_kafka_t *producer, const char *topic)
{
    struct demo_campaign *campaign = calloc(1, sizeof(*campaign));
    int r;

    if (!campaign)
        return error_origin(-ENOMEM);
    campaign->producer = producer;
    campaign->topic = topic;
    campaign->random = 0x9e3779b97f4a7c15ull;
    r = pthread_create(&campaign->thread, NULL, campaign_main, campaign);
    if (r != 0) {
        free(campaign);
        return error_origin(-r);
    }
    *ret_campaign = campaign;
    return 0;
}

struct demo_campaign *demo_campaign_free(struct demo_campaign *campaign)
{
    if (!campaign)
        return NULL;
    atomic_store(&campaign->stopping, true);
    (void)pthread_join(campaign->thread, NULL);
    free(campaign);
    return NULL;
}
