/* Sums with a cap for each user: see capped.h. */
#include "engine/capped.h"
#include "engine/state.h"

/* A user's capped sum: before the event, and after it. */
struct span {
    kpi_wide before, after;
    bool changes;
};

static void add(const struct kpi_engine *engine, uint32_t index, int sign, const int64_t *row,
                const struct kpi_event *event, const struct kpi_action *const *updates,
                uint32_t n_updates, struct span *span)
{
    const struct kpi_attribute *attribute = &engine->program->attributes[index];
    int64_t sum = row && row[attribute->slot] != KPI_TIME_NONE ? row[attribute->slot] : 0;

    span->before += (kpi_wide)sign * sum;
    for (uint32_t i = 0; i < n_updates; i++) {
        if (updates[i]->instance != index)
            continue;
        kpi_sum_add(&sum, event->fields[attribute->field].number);
        span->changes = true;
    }
    span->after += (kpi_wide)sign * sum;
}

static kpi_wide at_most(kpi_wide sum, kpi_wide most)
{
    return sum < most ? sum : most;
}

bool kpi_capped_gain(const struct kpi_engine *engine, const struct kpi_instance *instance,
                     const int64_t *row, const struct kpi_event *event,
                     const struct kpi_action *const *updates, uint32_t n_updates,
                     kpi_wide *ret_gain)
{
    struct span span = {0};

    add(engine, instance->sum, 1, row, event, updates, n_updates, &span);
    if (instance->less != KPI_NO_INDEX)
        add(engine, instance->less, -1, row, event, updates, n_updates, &span);
    *ret_gain = at_most(span.after, instance->most) - at_most(span.before, instance->most);
    return span.changes;
}
