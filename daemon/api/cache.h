/*
 * Pages as they were last made, so that a storm of scrapes or a wall of dashboards costs one
 * rendering per version of the view, and a slow client holds a reference, not a copy. Few entries:
 * the least recently used one goes.
 */
#pragma once

#include "api/http.h"

struct cache;

enum {
    CACHE_ENTRIES = 8,
    CACHE_KEY_BYTES_MAX = 1024,
};

struct cache *cache_new(void);                 /* NULL: no memory */
struct cache *cache_free(struct cache *cache); /* answers under way keep what they need */

/* Answers with the page kept under key, if it is of this version and at most age_us_max old. */
bool cache_reply(struct cache *cache, const char *key, uint64_t version, int64_t age_us_max,
                 const struct http_request *request, struct http_response *response);

/* Keeps a page, whose text it takes over (even on failure). 0 or -ENOMEM. */
int cache_put(struct cache *cache, const char *key, uint64_t version, char *text, size_t size);
