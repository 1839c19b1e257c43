/* The kinds of settings: how each reads its text. */
#pragma once

#include "config/settings.h"

extern const struct setting_kind kind_brokers, kind_bytes, kind_choice, kind_currency,
    kind_duration, kind_include, kind_integer, kind_link, kind_listen, kind_name, kind_path,
    kind_redis_url, kind_secret, kind_start, kind_text, kind_texts, kind_threads, kind_topic,
    kind_topics, kind_types, kind_zone;
/* properties.c */
extern const struct setting_kind kind_properties;
bool property_is_secret(const char *name);

extern const struct setting_kind kind_mappings;  /* mappings.c */
extern const struct setting_kind kind_rates;     /* rates.c */
extern const struct setting_kind kind_receivers; /* receivers.c */
