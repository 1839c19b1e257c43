/*
 * The digest: a hash of what the state means, not of how it lies in memory.
 *
 * Everything that is a set (users, members of a cell, remembered ids, cells) goes in as the sum,
 * modulo 2^128, of the hashes of its members; a sum has no order, so nothing needs to be sorted,
 * and dense ids are replaced by the hashes they stand for. The sums and the scalars are then hashed
 * together.
 *
 * Left out is what depends on the order of arrival although no result does: n_late, and the hour in
 * which an id arrived.
 */
#include "engine/experiments.h"

#include <xxhash.h>

typedef unsigned __int128 sum128;

static sum128 hash(const void *data, size_t size, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(data, size, seed);

    return (sum128)h.high64 << 64 | h.low64;
}

/* Each kind of member has a seed of its own. */
enum {
    SEED_USER = 1,
    SEED_MEMBER,
    SEED_ANSWER,
    SEED_CELL,
    SEED_ID,
    SEED_ATTRIBUTE,
    SEED_VALUE,
    SEED_BUCKET,
    SEED_BARRED,
    SEED_SESSION,
    SEED_SET,
};

struct summing {
    const struct kpi_engine *engine;
    sum128 sum;
};

static bool add_member(uint32_t user, void *userdata)
{
    struct summing *summing = userdata;
    uint64_t h = kpi_users_hash(&summing->engine->users, user);

    if (h != KPI_USERS_NOBODY) /* else a bit that a sweep is going to clear */
        summing->sum += hash(&h, sizeof(h), SEED_MEMBER);
    return true;
}

static void add_hot_member(void *userdata, uint32_t user)
{
    (void)add_member(user, userdata);
}

static void add_answers(struct summing *summing, const struct kpi_latest *latest)
{
    for (uint32_t i = 0; i < latest->n_entries; i++) {
        const struct kpi_latest_entry *entry = &latest->entries[i];
        uint64_t answer[3] = {0};

        if (entry->id == KPI_LATEST_EMPTY)
            continue;
        answer[0] = kpi_users_hash(&summing->engine->users, entry->id);
        if (answer[0] == KPI_USERS_NOBODY)
            continue;
        answer[1] = kpi_latest_stamp(entry);
        if (latest->numbers)
            answer[2] = (uint64_t)latest->numbers[i];
        summing->sum += hash(answer, sizeof(answer), SEED_ANSWER);
    }
}

static void add_values(struct summing *summing, const struct kpi_quantiles *quantiles)
{
    bool exact = kpi_quantiles_are_exact(quantiles);

    for (uint32_t i = 0; i < quantiles->n_slots; i++) {
        int64_t value = exact ? quantiles->values[i] : 0;
        uint64_t bucket[2] = {0};

        if (exact) {
            summing->sum += hash(&value, sizeof(value), SEED_VALUE);
            continue;
        }
        bucket[0] = (uint64_t)quantiles->buckets[i].index;
        bucket[1] = quantiles->buckets[i].count;
        summing->sum += hash(bucket, sizeof(bucket), SEED_BUCKET);
    }
}

static sum128 cell_content(const struct kpi_engine *engine, const struct kpi_cell *cell)
{
    struct summing summing = {engine, 0};

    switch (cell->form) {
    case KPI_CELL_SCALAR:
        return (sum128)cell->sum;
    case KPI_CELL_HOT:
        kpi_set_iterate(&cell->hot, add_hot_member, &summing);
        break;
    case KPI_CELL_FROZEN:
        (void)roaring_iterate(cell->frozen.bitmap, add_member, &summing);
        break;
    case KPI_CELL_LATEST:
    case KPI_CELL_SCORES:
        add_answers(&summing, &cell->latest);
        break;
    case KPI_CELL_QUANTILES: /* of which the sum follows while they are exact, but not after */
        add_values(&summing, &cell->quantiles.sketch);
        summing.sum += hash(&cell->quantiles.sum, sizeof(cell->quantiles.sum), SEED_VALUE);
        break;
    }
    return summing.sum;
}

static sum128 sum_cells(const struct kpi_engine *engine)
{
    sum128 sum = 0;

    for (uint32_t p = 0; p < engine->n_packs; p++)
        for (const struct kpi_cell *cell = engine->packs[p]->first; cell; cell = cell->pack_next) {
            struct {
                uint64_t fingerprint, tuple, n_events, has_tuple;
                int64_t day;
                sum128 content;
            } __attribute__((packed)) key = {
                .fingerprint = engine->program->instances[cell->instance].fingerprint,
                .tuple = kpi_tuple_hash(engine, cell->instance, cell->tuple),
                .n_events = cell->n_events,
                .has_tuple = cell->tuple != KPI_DICTIONARY_NONE,
                .day = cell->window,
                .content = cell_content(engine, cell),
            };

            sum += hash(&key, sizeof(key), SEED_CELL);
        }
    return sum;
}

/* A user's attribute: its value, and for a string or a tuple that instead of its id. */
static sum128 attribute_hash(const struct kpi_engine *engine, const struct kpi_attribute *attribute,
                             uint64_t user, const int64_t *slots)
{
    uint64_t key[2 + KPI_VALUE_SLOTS_MAX] = {user, attribute->fingerprint};
    uint32_t last = attribute->n_slots - 1;

    for (uint32_t i = 0; i <= last; i++)
        key[2 + i] = (uint64_t)slots[i];
    if (attribute->is_string) {
        struct kpi_string string = kpi_dictionary_string(&engine->strings, (uint32_t)slots[last]);

        key[2 + last] = XXH3_64bits(string.data, string.length);
    }
    if (attribute->kind == KPI_ATTRIBUTE_EXPERIMENT) {
        const struct kpi_experiment *experiment = &engine->program->experiments[attribute->field];

        if (experiment->set != KPI_NO_INDEX)
            key[2 + experiment->tuple_slot] = kpi_tuple_meaning(
                engine, experiment->set, kpi_experiment_tuple(engine, experiment, slots));
    }
    return hash(key, (3 + last) * sizeof(*key), SEED_ATTRIBUTE);
}

/* The values of a user's set, each with its time. */
static sum128 set_hash(const struct kpi_engine *engine, const struct kpi_attribute *attribute,
                       uint64_t user, const int64_t *slots)
{
    sum128 sum = 0;

    for (uint32_t i = 0; i < attribute->n_slots && slots[i] != KPI_TIME_NONE; i += 2) {
        struct kpi_string string = kpi_dictionary_string(&engine->strings, (uint32_t)slots[i + 1]);
        const uint64_t key[] = {user, attribute->fingerprint, (uint64_t)slots[i],
                                XXH3_64bits(string.data, string.length)};

        sum += hash(key, sizeof(key), SEED_SET);
    }
    return sum;
}

/* What is open of a user's sessions. */
static sum128 sessions_hash(const struct kpi_engine *engine, const struct kpi_attribute *attribute,
                            uint64_t user, const int64_t *slots)
{
    struct kpi_session_open open;
    sum128 sum = 0;

    for (uint32_t i = 0; kpi_session_get(attribute->session, slots, i, &open); i++) {
        uint64_t key[5 + 1 + KPI_SESSION_FIELDS_MAX] = {
            user, attribute->fingerprint, (uint64_t)open.first, (uint64_t)open.last, open.n_events};

        for (uint32_t k = 0; k < attribute->session->n_values; k++)
            (void)kpi_session_value(engine, &open, k, &key[5 + k]); /* its hash will do */
        sum += hash(key, sizeof(key), SEED_SESSION);
    }
    return sum;
}

static sum128 sum_users(const struct kpi_engine *engine)
{
    const struct kpi_program *program = engine->program;
    sum128 sum = 0;

    for (uint32_t user = 0; user < engine->users.n; user++) {
        uint64_t h = kpi_users_hash(&engine->users, user);
        const int64_t *row = kpi_slots_row(&engine->slots, user);

        if (h == KPI_USERS_NOBODY)
            continue;
        sum += hash(&h, sizeof(h), SEED_USER);
        for (uint32_t i = 0; row && i < program->n_attributes; i++)
            if (program->attributes[i].kind == KPI_ATTRIBUTE_SESSION)
                sum += sessions_hash(engine, &program->attributes[i], h,
                                     row + program->attributes[i].slot);
            else if (program->attributes[i].kind == KPI_ATTRIBUTE_SET)
                sum +=
                    set_hash(engine, &program->attributes[i], h, row + program->attributes[i].slot);
            else if (row[program->attributes[i].slot] != KPI_TIME_NONE)
                sum += attribute_hash(engine, &program->attributes[i], h,
                                      row + program->attributes[i].slot);
    }
    for (uint32_t i = 0; i < engine->users.n_barred; i++) {
        uint64_t h = kpi_users_barred(&engine->users, i);

        sum += hash(&h, sizeof(h), SEED_BARRED);
    }
    return sum;
}

static int add_id(void *userdata, const struct kpi_dedupe_record *record)
{
    struct summing *summing = userdata;
    uint64_t key[3] = {record->id, record->content, (uint64_t)record->event_hour};

    summing->sum += hash(key, sizeof(key), SEED_ID);
    return 0;
}

int kpi_engine_digest(const struct kpi_engine *engine, uint8_t ret_digest[16])
{
    struct summing ids = {engine, 0};
    XXH128_canonical_t canonical;
    struct {
        sum128 users, cells, ids, funnels;
        uint64_t n_users, n_removed, n_barred, n_cells, n_ids;
        uint64_t n_applied, n_duplicates, n_conflicts, n_refused, n_without_id, n_other;
        int64_t newest_record, newest_event;
    } __attribute__((packed)) all = {
        .n_users = engine->users.n - engine->users.n_removed,
        .n_removed = engine->users.n_removed,
        .n_barred = engine->users.n_barred,
        .n_cells = engine->n_cells,
        .n_ids = engine->dedupe.n,
        .n_applied = engine->n_applied,
        .n_duplicates = engine->n_duplicates,
        .n_conflicts = engine->n_conflicts,
        .n_refused = engine->n_refused,
        .n_without_id = engine->n_without_id,
        .n_other = engine->n_other,
        .newest_record = engine->newest_record,
        .newest_event = engine->newest_event,
    };

    all.users = sum_users(engine);
    all.cells = sum_cells(engine);
    all.funnels = kpi_funnels_digest(engine);
    (void)kpi_dedupe_iterate(&engine->dedupe, add_id, &ids); /* add_id() goes on to the end */
    all.ids = ids.sum;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(&all, sizeof(all)));
    memcpy(ret_digest, canonical.digest, 16);
    return 0;
}
