/* See replay_columns.h. */
#include "cli/replay_columns.h"

#include "codec/mapping.h"

/* Is the place a key of the top level with this name? A row has no other. */
static bool is_column(struct kpi_string path, struct kpi_string name)
{
    char buffer[MAPPING_PATH_BYTES_MAX];
    struct kpi_string key;
    size_t offset = 0;

    return mapping_path_next(path, &offset, buffer, &key) && kpi_string_equal(key, name) &&
           !mapping_path_next(path, &offset, buffer, &key);
}

static bool reading_has(const struct mapping_reading *reading, struct kpi_string name)
{
    for (uint32_t i = 0; i < reading->n_places; i++) {
        if (reading->places[i].base.length == 0 && is_column(reading->places[i].path, name))
            return true;
    }
    return false;
}

static enum csv_want max_want(enum csv_want a, enum csv_want b)
{
    return a > b ? a : b;
}

static enum csv_want mapping_want(const struct mapping *mapping, const struct kpi_plan *plan,
                                  struct kpi_string name)
{
    const struct mapping_preset_info *info = mapping_preset_info(mapping->preset);
    enum csv_want want = CSV_WANT_NOT;
    struct mapping_reading reading;

    for (unsigned role = 0; role < MAPPING_ROLES; role++) {
        mapping_reading_role(mapping, (enum mapping_role)role, &reading);
        if (reading_has(&reading, name))
            want = max_want(want, role == MAPPING_TIME ? CSV_WANT_VALUE : CSV_WANT_STRING);
    }
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++) {
        const struct kpi_field_spec *field = kpi_plan_field(plan, i);

        mapping_reading_field(mapping, field->name, &reading);
        if (reading_has(&reading, name))
            want = max_want(want, field->use == KPI_USE_STRING ? CSV_WANT_STRING : CSV_WANT_VALUE);
    }
    for (uint32_t i = 0; i < mapping->n_conditions; i++) {
        if (is_column(mapping->conditions[i].path, name))
            want = max_want(want, CSV_WANT_VALUE);
    }
    for (uint32_t i = 0; i < info->n_conditions; i++) {
        if (is_column(info->conditions[i].path, name))
            want = max_want(want, CSV_WANT_VALUE);
    }
    return want;
}

enum csv_want replay_columns_want(const void *userdata, struct kpi_string name)
{
    static const struct mapping native = {.name = {"native", 6}};
    const struct replay_columns *columns = userdata;
    const struct mappings *mappings = columns->config->mappings;
    const struct kpi_plan *plan = columns->config->plan;
    enum csv_want want = CSV_WANT_NOT;

    if (!mappings || mappings->n_mappings == 0)
        return mapping_want(&native, plan, name);
    for (uint32_t i = 0; i < mappings->n_mappings; i++) {
        if (mapping_is_for(&mappings->mappings[i], columns->topic))
            want = max_want(want, mapping_want(&mappings->mappings[i], plan, name));
    }
    return want;
}
