#include "cache.h"

#include "util/clock.h"
#include "util/error.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

/* Bytes shared by the cache and the answers that are still being sent. */
struct blob {
    unsigned n_references;
    size_t size;
    void *data;
};

struct entry {
    char key[CACHE_KEY_BYTES_MAX];
    uint64_t version;
    int64_t made_at;              /* monotonic */
    uint64_t used;                /* order of use */
    struct blob *plain, *gzipped; /* gzipped once somebody asked for it */
};

struct cache {
    uint64_t n_uses;
    struct entry entries[CACHE_ENTRIES];
};

static struct blob *blob_new(void *data, size_t size)
{
    struct blob *blob = malloc(sizeof(*blob));

    if (blob)
        *blob = (struct blob){.n_references = 1, .size = size, .data = data};
    else
        free(data);
    return blob;
}

static struct blob *blob_unref(struct blob *blob)
{
    if (blob && --blob->n_references == 0) {
        free(blob->data);
        free(blob);
    }
    return NULL;
}

static void on_sent(const void *data, size_t size, void *userdata)
{
    (void)blob_unref(userdata);
}

struct cache *cache_new(void)
{
    return calloc(1, sizeof(struct cache));
}

static void forget(struct entry *entry)
{
    entry->plain = blob_unref(entry->plain);
    entry->gzipped = blob_unref(entry->gzipped);
}

struct cache *cache_free(struct cache *cache)
{
    for (unsigned i = 0; cache && i < CACHE_ENTRIES; i++)
        forget(&cache->entries[i]);
    free(cache);
    return NULL;
}

static struct entry *find(struct cache *cache, const char *key)
{
    for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
        if (cache->entries[i].plain && strcmp(cache->entries[i].key, key) == 0)
            return &cache->entries[i];
    }
    return NULL;
}

/* Small pages are not worth it, and without memory the plain one does. */
static struct blob *choose(struct entry *entry, const struct http_request *request)
{
    void *data;
    size_t size;

    if (entry->plain->size <= HTTP_GZIP_BYTES_MIN || !http_request_accepts_gzip(request))
        return entry->plain;
    if (!entry->gzipped && http_gzip(entry->plain->data, entry->plain->size, &data, &size) == 0)
        entry->gzipped = blob_new(data, size);
    return entry->gzipped ? entry->gzipped : entry->plain;
}

bool cache_reply(struct cache *cache, const char *key, uint64_t version, int64_t age_us_max,
                 const struct http_request *request, struct http_response *response)
{
    struct entry *entry = find(cache, key);
    struct blob *blob;

    if (!entry || entry->version != version || clock_monotonic_us() - entry->made_at > age_us_max)
        return false;
    entry->used = ++cache->n_uses;
    blob = choose(entry, request);
    blob->n_references++;
    if (evbuffer_add_reference(response->body, blob->data, blob->size, on_sent, blob) < 0) {
        (void)blob_unref(blob);
        return false;
    }
    response->gzipped = blob == entry->gzipped;
    return true;
}

int cache_put(struct cache *cache, const char *key, uint64_t version, char *text, size_t size)
{
    struct entry *entry = find(cache, key);
    struct blob *blob = blob_new(text, size);

    if (!blob)
        return error_origin(-ENOMEM);
    for (unsigned i = 0; !entry && i < CACHE_ENTRIES; i++) {
        if (!cache->entries[i].plain)
            entry = &cache->entries[i];
    }
    if (!entry) {
        entry = &cache->entries[0];
        for (unsigned i = 1; i < CACHE_ENTRIES; i++) {
            if (cache->entries[i].used < entry->used)
                entry = &cache->entries[i];
        }
    }
    forget(entry);
    (void)strncpy(entry->key, key, sizeof(entry->key) - 1);
    entry->key[sizeof(entry->key) - 1] = '\0';
    entry->version = version;
    entry->made_at = clock_monotonic_us();
    entry->used = ++cache->n_uses;
    entry->plain = blob;
    return 0;
}
