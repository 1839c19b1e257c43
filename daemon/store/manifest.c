/* The hash that names what a checkpoint consists of, as fields of Redis and as struct
 * store_manifest. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct store_manifest *store_manifest_free(struct store_manifest *manifest)
{
    if (manifest) {
        free(manifest->positions);
        free(manifest->objects);
        free(manifest);
    }
    return NULL;
}

void store_manifest_freep(struct store_manifest **manifest)
{
    *manifest = store_manifest_free(*manifest);
}

/* ---- numbers ---- */

/* Decimal digits up to `end`, which must follow. Moves *text behind it. */
static bool take_number(const char **text, char end, uint64_t *ret_number)
{
    const char *c = *text;
    uint64_t n = 0;

    if (*c < '0' || *c > '9')
        return false;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n))
            return false;
    if (*c != end)
        return false;
    *text = c + (end != '\0');
    *ret_number = n;
    return true;
}

/* The same with a sign; a lone "-" is STORE_OFFSET_NONE. */
static bool take_signed(const char **text, char end, int64_t *ret_number)
{
    const char *c = *text;
    bool negative = *c == '-';
    uint64_t n;

    if (negative && c[1] == end) {
        *text = c + 1 + (end != '\0');
        *ret_number = STORE_OFFSET_NONE;
        return true;
    }
    c += negative;
    if (!take_number(&c, end, &n) || n > INT64_MAX)
        return false;
    *text = c;
    *ret_number = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

/* Exactly 16 digits of base 16, then `end`. */
static bool take_hex(const char **text, char end, uint64_t *ret_number)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n = 0;

    for (int i = 0; i < 16; i++) {
        const char *digit = (*text)[i] ? strchr(digits, (*text)[i]) : NULL;

        if (!digit)
            return false;
        n = n << 4 | (uint64_t)(digit - digits);
    }
    if ((*text)[16] != end)
        return false;
    *text += 16 + (end != '\0');
    *ret_number = n;
    return true;
}

bool store_version_decode(const char *text, uint64_t *ret_generation, uint64_t *ret_claim)
{
    return take_number(&text, '.', ret_generation) && take_hex(&text, '\0', ret_claim);
}

static const char *format_offset(int64_t offset, char buffer[static 24])
{
    if (offset == STORE_OFFSET_NONE)
        return "-";
    (void)snprintf(buffer, 24, "%" PRId64, offset);
    return buffer;
}

void store_position_encode(const struct store_position *position, char *ret_text)
{
    char next[24], last[24], timestamp[24], counts_from[24];

    (void)snprintf(ret_text, STORE_POSITION_BYTES, "%s,%s,%s,%016" PRIx64 ",%s",
                   format_offset(position->next, next), format_offset(position->last, last),
                   format_offset(position->last_timestamp, timestamp), position->last_hash,
                   format_offset(position->counts_from, counts_from));
}

bool store_position_decode(const char *text, struct store_position *position)
{
    return take_signed(&text, ',', &position->next) && take_signed(&text, ',', &position->last) &&
           take_signed(&text, ',', &position->last_timestamp) &&
           take_hex(&text, ',', &position->last_hash) &&
           take_signed(&text, '\0', &position->counts_from);
}

/* ---- from Redis ---- */

static int compare_objects(const void *a, const void *b)
{
    return strcmp(((const struct store_manifest_object *)a)->name,
                  ((const struct store_manifest_object *)b)->name);
}

static void decode_position(struct store_manifest *manifest, const char *topic, const char *value)
{
    struct store_position *position = &manifest->positions[manifest->n_positions];

    if (strlen(topic) >= sizeof(position->topic) || !store_position_decode(value, position)) {
        manifest->damaged = true;
        return;
    }
    (void)snprintf(position->topic, sizeof(position->topic), "%s", topic);
    manifest->n_positions++;
}

static void decode_object(struct store_manifest *manifest, const char *name, const char *value)
{
    struct store_manifest_object *object = &manifest->objects[manifest->n_objects];

    if (strcmp(value, "0") == 0)
        return; /* removed; its field was still to be deleted */
    if (strlen(name) >= sizeof(object->name) ||
        !store_version_decode(value, &object->generation, &object->claim)) {
        manifest->damaged = true;
        return;
    }
    (void)snprintf(object->name, sizeof(object->name), "%s", name);
    manifest->n_objects++;
}

static bool decode_whole_number(const char *value, uint64_t *ret_number)
{
    return take_number(&value, '\0', ret_number);
}

static void decode_field(struct store_manifest *manifest, const char *name, const char *value)
{
    uint64_t writing = 0;
    bool good = true;

    if (strncmp(name, "p:", 2) == 0)
        decode_position(manifest, name + 2, value);
    else if (strncmp(name, "o:", 2) == 0)
        decode_object(manifest, name + 2, value);
    else if (strcmp(name, "epoch") == 0)
        good = decode_whole_number(value, &manifest->epoch);
    else if (strcmp(name, "generation") == 0)
        good = decode_whole_number(value, &manifest->generation);
    else if (strcmp(name, "plan") == 0)
        good = take_hex(&value, '\0', &manifest->plan);
    else if (strcmp(name, "claim") == 0)
        good = take_hex(&value, '\0', &manifest->claim);
    else if (strcmp(name, "writing") == 0)
        good = decode_whole_number(value, &writing) && writing == 0;
    if (!good)
        manifest->damaged = true;
}

int store_manifest_decode(struct store_manifest **ret_manifest, uint32_t shard,
                          const redisReply *fields)
{
    KPI_CLEANUP(store_manifest_freep)
    struct store_manifest *manifest = calloc(1, sizeof(*manifest));
    size_t n_positions = 0, n_objects = 0;

    if (!manifest)
        return -ENOMEM;
    manifest->shard = shard;
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (fields->element[i]->type != REDIS_REPLY_STRING ||
            fields->element[i + 1]->type != REDIS_REPLY_STRING) {
            manifest->damaged = true;
            continue;
        }
        n_positions += strncmp(fields->element[i]->str, "p:", 2) == 0;
        n_objects += strncmp(fields->element[i]->str, "o:", 2) == 0;
    }
    manifest->positions = calloc(n_positions + 1, sizeof(*manifest->positions));
    manifest->objects = calloc(n_objects + 1, sizeof(*manifest->objects));
    if (!manifest->positions || !manifest->objects)
        return -ENOMEM;
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (fields->element[i]->type == REDIS_REPLY_STRING &&
            fields->element[i + 1]->type == REDIS_REPLY_STRING)
            decode_field(manifest, fields->element[i]->str, fields->element[i + 1]->str);
    qsort(manifest->objects, manifest->n_objects, sizeof(*manifest->objects), compare_objects);
    *ret_manifest = manifest;
    manifest = NULL;
    return 0;
}

/* ---- what a commit makes of it ---- */

static int apply_positions(struct store_manifest *next, const struct store_manifest *manifest,
                           const struct store_commit *commit)
{
    uint32_t n_old = commit->replace ? 0 : manifest->n_positions;

    next->positions = calloc((size_t)n_old + commit->n_positions + 1, sizeof(*next->positions));
    if (!next->positions)
        return -ENOMEM;
    if (commit->n_positions > 0)
        memcpy(next->positions, commit->positions,
               commit->n_positions * sizeof(*commit->positions));
    next->n_positions = commit->n_positions;
    /* A topic that is no longer read keeps its place, for the day it is read again. */
    for (uint32_t i = 0; i < n_old; i++) {
        bool given = false;

        for (uint32_t j = 0; j < commit->n_positions && !given; j++)
            given = strcmp(manifest->positions[i].topic, commit->positions[j].topic) == 0;
        if (!given)
            next->positions[next->n_positions++] = manifest->positions[i];
    }
    return 0;
}

/* A change of the object table; removed ones are dropped after the merge. */
struct change {
    struct store_manifest_object object;
    bool removed;
};

static int compare_changes(const void *a, const void *b)
{
    return compare_objects(&((const struct change *)a)->object,
                           &((const struct change *)b)->object);
}

/* Both lists are sorted by name: a merge in which the change wins. */
static void merge_objects(struct store_manifest *next, const struct store_manifest_object *old,
                          size_t n_old, const struct change *changes, size_t n_changes)
{
    size_t i = 0, j = 0;

    while (i < n_old || j < n_changes) {
        int order = i == n_old       ? 1
                    : j == n_changes ? -1
                                     : compare_objects(&old[i], &changes[j].object);

        if (order < 0) {
            next->objects[next->n_objects++] = old[i++];
            continue;
        }
        if (order == 0)
            i++;
        if (!changes[j].removed)
            next->objects[next->n_objects++] = changes[j].object;
        j++;
    }
}

static int apply_objects(struct store_manifest *next, const struct store_manifest *manifest,
                         const struct store_commit *commit)
{
    uint32_t n_old = commit->replace ? 0 : manifest->n_objects;
    struct change *changes;

    next->objects = calloc((size_t)n_old + commit->n_objects + 1, sizeof(*next->objects));
    changes = calloc((size_t)commit->n_objects + 1, sizeof(*changes));
    if (!next->objects || !changes) {
        free(changes);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < commit->n_objects; i++) {
        struct store_manifest_object *object = &changes[i].object;
        size_t length = commit->objects[i].name.length;

        memcpy(object->name, commit->objects[i].name.data, length);
        object->generation = commit->generation;
        object->claim = manifest->claim;
        changes[i].removed = !commit->objects[i].data;
    }
    qsort(changes, commit->n_objects, sizeof(*changes), compare_changes);
    merge_objects(next, manifest->objects, n_old, changes, commit->n_objects);
    free(changes);
    return 0;
}

int store_manifest_apply(const struct store_manifest *manifest, const struct store_commit *commit,
                         struct store_manifest **ret_next)
{
    KPI_CLEANUP(store_manifest_freep) struct store_manifest *next = calloc(1, sizeof(*next));
    int r;

    if (!next)
        return -ENOMEM;
    next->shard = commit->shard;
    next->epoch = commit->epoch;
    next->claim = manifest->claim;
    next->generation = commit->generation;
    next->plan = commit->plan;
    next->damaged = manifest->damaged && !commit->replace;
    r = apply_positions(next, manifest, commit);
    if (!r)
        r = apply_objects(next, manifest, commit);
    if (r)
        return r;
    *ret_next = next;
    next = NULL;
    return 0;
}
