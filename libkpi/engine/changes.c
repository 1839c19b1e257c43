/* Changes of cells: see changes.h. */
#include "engine/changes.h"

int kpi_changes_init(struct kpi_changes *changes, const struct kpi_engine *engine, uint64_t version)
{
    *changes = (struct kpi_changes){.engine = engine, .version = version};
    if (!version || !engine->n_packs)
        return 0;
    changes->days = kpi_mem_alloc(&engine->mem, engine->n_packs * sizeof(*changes->days));
    if (!changes->days)
        return -ENOMEM;
    changes->n_days_max = engine->n_packs;
    for (uint32_t i = 0; i < engine->n_packs; i++)
        if (engine->packs[i]->version >= version)
            changes->days[changes->n_days++] = engine->packs[i]->day;
    return 0;
}

void kpi_changes_deinit(struct kpi_changes *changes)
{
    if (changes->engine)
        kpi_mem_free(&changes->engine->mem, changes->days,
                     changes->n_days_max * sizeof(*changes->days));
    *changes = (struct kpi_changes){0};
}

static bool day_changed(const struct kpi_series *series, struct kpi_windows windows,
                        uint64_t version)
{
    for (uint32_t i = kpi_series_position(series, windows.to);
         i > 0 && series->cells[i - 1]->window >= windows.from; i--)
        if (series->cells[i - 1]->version >= version)
            return true;
    return false;
}

bool kpi_changes_in(const struct kpi_changes *changes, uint32_t instance, uint32_t tuple,
                    struct kpi_windows windows)
{
    const struct kpi_instance *definition;
    const struct kpi_series *series;

    if (!changes->version)
        return true;
    series = kpi_series_find(changes->engine, instance, tuple);
    if (!series || series->version < changes->version)
        return false;
    if (series->version_dropped >= changes->version)
        return true;
    definition = &changes->engine->program->instances[instance];
    for (uint32_t i = changes->n_days; i > 0; i--) {
        kpi_window from = kpi_instance_day(definition, changes->days[i - 1]);
        kpi_window to = kpi_instance_day(definition, changes->days[i - 1] + 1);

        if (to <= windows.from)
            break;
        from = from > windows.from ? from : windows.from;
        to = to < windows.to ? to : windows.to;
        if (from < to && day_changed(series, (struct kpi_windows){from, to}, changes->version))
            return true;
    }
    return false;
}
