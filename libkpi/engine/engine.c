/* An engine made, put under another plan, asked for its figures, and freed. */
#include "engine/erase.h"
#include "engine/report.h"
#include "engine/state.h"
#include "engine/unions.h"

#include <assert.h>
#include <xxhash.h>

static void *counted_resize(void *userdata, void *pointer, size_t old_size, size_t new_size)
{
    struct kpi_engine *engine = userdata;
    void *p = engine->mem_outer->resize(engine->mem_outer->userdata, pointer, old_size, new_size);

    if (p || !new_size)
        engine->bytes += new_size - old_size;
    return p;
}

int kpi_derived_make(struct kpi_derived *derived, const struct kpi_plan *plan,
                     const struct kpi_dictionary *campaigns, const struct kpi_mem *mem)
{
    const struct kpi_program *program = kpi_plan_program(plan);
    uint32_t n_instances = program->n_instances;
    int r;

    *derived = (struct kpi_derived){.n_zones = kpi_plan_n_zones(plan)};
    derived->zones = kpi_mem_zalloc(mem, derived->n_zones * sizeof(*derived->zones));
    derived->instances = kpi_mem_zalloc(mem, n_instances * sizeof(*derived->instances));
    derived->matches = kpi_mem_zalloc(mem, n_instances * sizeof(*derived->matches));
    derived->updates = kpi_mem_zalloc(mem, 2 * program->n_updates_max * sizeof(*derived->updates));
    derived->session_fields =
        kpi_mem_zalloc(mem, kpi_plan_n_fields(plan) * sizeof(*derived->session_fields));
    derived->attributes_from =
        kpi_mem_alloc(mem, program->n_attributes * sizeof(*derived->attributes_from));
    r = kpi_tuples_make(&derived->tuples, plan, campaigns, mem);
    if (r < 0 || !derived->session_fields || !derived->zones ||
        (n_instances && (!derived->instances || !derived->matches)) ||
        (program->n_updates_max && !derived->updates) ||
        (program->n_attributes && !derived->attributes_from)) {
        kpi_derived_free(derived, plan, mem);
        return -ENOMEM;
    }
    for (uint32_t z = 0; z < derived->n_zones; z++)
        derived->zones[z] = (struct kpi_zone_state){
            .zone = kpi_plan_zone(plan, z),
            .finished_before = INT32_MIN,
            .finished_to = KPI_TIME_NONE,
            .kept_from = INT32_MIN,
        };
    for (uint32_t i = 0; i < n_instances; i++) {
        const struct kpi_instance *instance = &program->instances[i];
        uint32_t *minutes = &derived->zones[instance->zone].minutes;

        if (instance->minutes)
            *minutes = kpi_common_divisor(*minutes, instance->minutes);
    }
    for (uint32_t i = 0; i < n_instances; i++)
        derived->instances[i].counts_from = KPI_TIME_NONE;
    for (uint32_t i = 0; i < program->n_attributes; i++)
        derived->attributes_from[i] = KPI_TIME_NONE;
    return 0;
}

void kpi_derived_free(struct kpi_derived *derived, const struct kpi_plan *plan,
                      const struct kpi_mem *mem)
{
    const struct kpi_program *program = kpi_plan_program(plan);

    kpi_mem_free(mem, derived->zones, derived->n_zones * sizeof(*derived->zones));
    for (uint32_t i = 0; derived->instances && i < program->n_instances; i++)
        kpi_mem_free(mem, derived->instances[i].series,
                     derived->instances[i].n_series * sizeof(struct kpi_series *));
    kpi_mem_free(mem, derived->instances, program->n_instances * sizeof(*derived->instances));
    kpi_mem_free(mem, derived->matches, program->n_instances * sizeof(*derived->matches));
    kpi_mem_free(mem, derived->updates, 2 * program->n_updates_max * sizeof(*derived->updates));
    kpi_mem_free(mem, derived->session_fields,
                 kpi_plan_n_fields(plan) * sizeof(*derived->session_fields));
    kpi_mem_free(mem, derived->attributes_from,
                 program->n_attributes * sizeof(*derived->attributes_from));
    kpi_tuples_free(&derived->tuples);
}

static struct kpi_derived derived_of(const struct kpi_engine *engine)
{
    return (struct kpi_derived){.zones = engine->zones,
                                .n_zones = engine->n_zones,
                                .instances = engine->instances,
                                .matches = engine->matches,
                                .updates = engine->updates,
                                .session_fields = engine->session_fields,
                                .attributes_from = engine->attributes_from,
                                .tuples = engine->tuples};
}

static void derived_set(struct kpi_engine *engine, const struct kpi_derived *derived)
{
    engine->zones = derived->zones;
    engine->n_zones = derived->n_zones;
    engine->instances = derived->instances;
    engine->matches = derived->matches;
    engine->updates = derived->updates;
    engine->session_fields = derived->session_fields;
    engine->attributes_from = derived->attributes_from;
    engine->tuples = derived->tuples;
    engine->turn_at = KPI_TIME_NONE;
}

int kpi_engine_enter_campaigns(struct kpi_engine *engine, const struct kpi_plan *plan)
{
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); i++) {
        struct kpi_string id = kpi_plan_campaign(plan, i)->id;
        uint32_t tuple;
        int r = kpi_dictionary_intern(&engine->values, id, XXH3_64bits(id.data, id.length),
                                      UINT32_MAX, &tuple);

        if (r < 0)
            return r;
    }
    return 0;
}

uint32_t kpi_engine_find_value(const struct kpi_engine *engine, struct kpi_string value)
{
    return kpi_dictionary_find(&engine->values, value, XXH3_64bits(value.data, value.length));
}

struct kpi_dedupe_options kpi_engine_dedupe_options(const struct kpi_program *program)
{
    return (struct kpi_dedupe_options){.window = program->dedupe_window,
                                       .keep = program->keep,
                                       .skew = program->future_skew_max,
                                       .ids_max = program->dedupe_ids_max};
}

int kpi_engine_new(struct kpi_engine **ret_engine, struct kpi_plan *plan, const struct kpi_mem *mem)
{
    KPI_CLEANUP(kpi_engine_freep) struct kpi_engine *engine = NULL;
    struct kpi_dedupe_options dedupe;
    struct kpi_derived derived;
    int r;

    engine = kpi_mem_zalloc(mem, sizeof(*engine));
    if (!engine)
        return -ENOMEM;
    engine->mem_outer = mem;
    engine->mem = (struct kpi_mem){counted_resize, engine};
    engine->bytes = sizeof(*engine);
    engine->plan = kpi_plan_ref(plan);
    engine->program = kpi_plan_program(plan);
    engine->newest_record = engine->newest_event = KPI_TIME_NONE;
    engine->serial_next = 1;
    kpi_users_init(&engine->users, &engine->mem);
    kpi_slots_init(&engine->slots, &engine->mem, engine->program->n_slots);
    kpi_funnels_init(&engine->funnels, &engine->mem, engine->program->n_funnels);
    engine->values.mem = engine->strings.mem = engine->dedupe.mem = &engine->mem;
    r = kpi_dictionary_init(&engine->values, &engine->mem);
    if (r == 0)
        r = kpi_dictionary_init(&engine->strings, &engine->mem);
    if (r == 0)
        r = kpi_engine_enter_campaigns(engine, plan);
    if (r == 0)
        r = kpi_derived_make(&derived, plan, &engine->values, &engine->mem);
    if (r < 0)
        return r;
    derived_set(engine, &derived);
    dedupe = kpi_engine_dedupe_options(engine->program);
    if (r == 0)
        r = kpi_dedupe_init(&engine->dedupe, &engine->mem, &dedupe);
    if (r < 0)
        return r;
    *ret_engine = engine;
    engine = NULL;
    return 0;
}

struct kpi_engine *kpi_engine_free(struct kpi_engine *engine)
{
    struct kpi_derived derived;

    if (!engine)
        return NULL;
    kpi_engine_free_cells(engine);
    kpi_report_flush(engine);
    kpi_save_free(engine);
    kpi_stash_free(engine);
    kpi_dedupe_deinit(&engine->dedupe);
    kpi_dictionary_deinit(&engine->strings);
    kpi_dictionary_deinit(&engine->values);
    kpi_sessions_free(engine);
    kpi_slots_deinit(&engine->slots);
    kpi_funnels_deinit(&engine->funnels);
    kpi_erased_free(&engine->erased);
    kpi_users_deinit(&engine->users);
    derived = derived_of(engine);
    kpi_derived_free(&derived, engine->plan, &engine->mem);
    (void)kpi_plan_unref(engine->plan);
    kpi_mem_free(engine->mem_outer, engine, sizeof(*engine));
    return NULL;
}

void kpi_engine_freep(struct kpi_engine **engine)
{
    *engine = kpi_engine_free(*engine);
}

uint64_t kpi_engine_version(const struct kpi_engine *engine)
{
    return engine->version;
}

void kpi_engine_stats(const struct kpi_engine *engine, struct kpi_engine_stats *ret_stats)
{
    *ret_stats = (struct kpi_engine_stats){
        .n_applied = engine->n_applied,
        .n_duplicates = engine->n_duplicates,
        .n_conflicts = engine->n_conflicts,
        .n_refused = engine->n_refused,
        .n_without_id = engine->n_without_id,
        .n_other = engine->n_other,
        .n_late = engine->n_late,
        .newest_record = engine->newest_record,
        .newest_event = engine->newest_event,
        .dedupe_window = kpi_dedupe_window(&engine->dedupe),
        .n_dedupe_ids = engine->dedupe.n,
        .n_users = engine->users.n - engine->users.n_removed,
        .n_users_erased = engine->users.n_removed,
        .n_users_withdrawn = engine->users.n_barred,
        .n_cells = engine->n_cells,
        .bytes = engine->bytes + engine->bytes_roaring,
        .dedupe_bytes = engine->dedupe.bytes,
    };
}

/* --- another plan --- */

/* Moves the series that the new plan knows; what is left is dropped. */
static int instances_move(struct kpi_engine *engine, const struct kpi_program *to,
                          struct kpi_derived *derived)
{
    const struct kpi_program *from = engine->program;

    for (uint32_t i = 0; i < from->n_instances; i++)
        for (uint32_t k = 0; k < to->n_instances; k++)
            if (from->instances[i].fingerprint == to->instances[k].fingerprint) {
                derived->instances[k].series = engine->instances[i].series;
                derived->instances[k].n_series = engine->instances[i].n_series;
                engine->instances[i].series = NULL;
                engine->instances[i].n_series = 0;
                break;
            }
    for (uint32_t k = 0; k < to->n_instances; k++)
        for (uint32_t t = 0; t < derived->instances[k].n_series; t++) {
            struct kpi_series *series = derived->instances[k].series[t];

            if (!series)
                continue;
            kpi_series_flush(engine, series); /* levels and leaves may be others */
            for (uint32_t c = 0; c < series->n_cells; c++)
                series->cells[c]->instance = k;
        }
    for (uint32_t i = 0; i < from->n_instances; i++)
        for (uint32_t t = 0; t < engine->instances[i].n_series; t++)
            if (engine->instances[i].series[t]) {
                int r = kpi_series_drop(engine, engine->instances[i].series[t]);

                if (r < 0)
                    return r;
                engine->instances[i].series[t] = NULL;
            }
    return 0;
}

/* The funnels of another plan, beside the engine. Returns 0 or -ENOMEM, then there is nothing. */
static int funnels_make(struct kpi_engine *engine, const struct kpi_program *to,
                        struct kpi_funnels *ret_funnels)
{
    int r;

    kpi_funnels_init(ret_funnels, &engine->mem, to->n_funnels);
    r = kpi_funnels_convert(&engine->funnels, engine->program, ret_funnels, to, engine->users.n,
                            kpi_engine_begins(engine));
    if (r < 0)
        kpi_funnels_deinit(ret_funnels);
    return r;
}

int kpi_engine_replan(struct kpi_engine *engine, struct kpi_plan *plan)
{
    const struct kpi_program *to = kpi_plan_program(plan);
    struct kpi_attributes attributes = kpi_attributes_of(engine->program);
    struct kpi_attributes attributes_to = kpi_attributes_of(to);
    struct kpi_dedupe_options dedupe = kpi_engine_dedupe_options(to);
    struct kpi_derived derived, old = derived_of(engine);
    bool same_funnels = kpi_funnels_same(engine->program, to);
    struct kpi_funnels funnels;
    struct kpi_slots slots;
    int r;

    /* First all that may fail, beside the engine; then the change. */
    r = kpi_save_reserve_forget(engine);
    if (r == 0)
        r = kpi_engine_enter_campaigns(engine, plan);
    if (r == 0)
        r = kpi_derived_make(&derived, plan, &engine->values, &engine->mem);
    if (r < 0)
        return r;
    if (!same_funnels) {
        r = funnels_make(engine, to, &funnels);
        if (r < 0) {
            kpi_derived_free(&derived, plan, &engine->mem);
            return r;
        }
    }
    if (!kpi_attributes_same(&attributes, &attributes_to)) {
        kpi_slots_init(&slots, &engine->mem, to->n_slots);
        r = kpi_slots_convert(&engine->slots, &attributes, &slots, &attributes_to, engine->users.n);
        if (r < 0) {
            if (!same_funnels)
                kpi_funnels_deinit(&funnels);
            kpi_slots_deinit(&slots);
            kpi_derived_free(&derived, plan, &engine->mem);
            return r;
        }
        kpi_slots_deinit(&engine->slots);
        engine->slots = slots;
    }
    if (!same_funnels) {
        kpi_funnels_deinit(&engine->funnels);
        engine->funnels = funnels;
    }
    kpi_starts_move(engine, to, &derived);
    r = instances_move(engine, to, &derived);
    kpi_tuples_adopt(&derived.tuples, to, &engine->tuples, engine->program);
    kpi_save_forget_dictionaries(engine);
    kpi_report_flush(engine);
    derived_set(engine, &derived);
    kpi_derived_free(&old, engine->plan, &engine->mem);
    kpi_dedupe_retune(&engine->dedupe, &dedupe);
    (void)kpi_plan_ref(plan);
    (void)kpi_plan_unref(engine->plan);
    engine->plan = plan;
    engine->program = to;
    engine->version++;
    if (r == 0)
        r = kpi_sessions_restart(engine);
    assert(r <= 0); /* rows of a running engine are what events have left */
    return r < 0 ? r : kpi_engine_turn(engine);
}
