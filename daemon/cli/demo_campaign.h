/*
 * A simulated monthly campaign: a thread that produces events as a crowd would make them. First
 * some days of history at once, then live, with a participation rate that falls after a while.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#define DEMO_CAMPAIGN "会员月-demo"
#define DEMO_DAYS     10 /* of history */

struct demo_campaign;

int demo_campaign_new(struct demo_campaign **ret_campaign, rd_kafka_t *producer, const char *topic);
struct demo_campaign *demo_campaign_free(struct demo_campaign *campaign);
