/* Dictionaries of dimensions and their tuples, read back and checked. */
#include "snapshot/format.h"

/* What stands where the plan knows no such dimension or set: read, and let go. */
static int pass_over(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_dictionary dictionary = {.mem = &loading->engine->mem};
    int r = kpi_loading_strings(&dictionary, &loading->engine->mem, reader);

    kpi_dictionary_deinit(&dictionary);
    return r;
}

static bool is_string(const struct kpi_dictionary *dictionary, uint32_t id, const char *string)
{
    return kpi_string_equal(kpi_dictionary_string(dictionary, id),
                            (struct kpi_string){string, strlen(string)});
}

/* Conditions know their two values by their ids. */
static bool values_fit(const struct kpi_dimension *dimension, const struct kpi_dictionary *values)
{
    if (dimension->kind != KPI_DIMENSION_CONDITION)
        return true;
    return values->n == KPI_DICTIONARY_FIRST + 2 &&
           is_string(values, KPI_DICTIONARY_FIRST, "false") &&
           is_string(values, KPI_DICTIONARY_FIRST + 1, "true");
}

static int load_values(struct kpi_loading *loading, struct kpi_reader *reader)
{
    const struct kpi_program *program = loading->engine->program;
    uint64_t fingerprint = kpi_reader_u64(reader);

    for (uint32_t i = 0; i < program->n_dimensions; i++) {
        struct kpi_dictionary *values = &loading->engine->tuples.dimensions[i].values;
        int r;

        if (program->dimensions[i].fingerprint != fingerprint)
            continue;
        r = kpi_loading_strings(values, &loading->engine->mem, reader);
        return r == 0 && !values_fit(&program->dimensions[i], values) ? KPI_ENGINE_E_CORRUPT : r;
    }
    return pass_over(loading, reader);
}

static bool tuple_fits(const struct kpi_loading *loading, const struct kpi_dimension_set *set,
                       struct kpi_string bytes)
{
    const struct kpi_tuples *tuples = &loading->engine->tuples;
    uint32_t parts[KPI_TUPLE_PARTS_MAX];

    if (bytes.length != (1 + set->n) * sizeof(*parts))
        return false;
    memcpy(parts, bytes.data, bytes.length);
    for (uint32_t i = 0; i < set->n; i++)
        if (parts[1 + i] >= tuples->dimensions[set->dimensions[i]].values.n)
            return false;
    return (parts[0] == KPI_DICTIONARY_NONE) == set->total && parts[0] < loading->n_values;
}

static int load_set(struct kpi_loading *loading, struct kpi_reader *reader)
{
    const struct kpi_program *program = loading->engine->program;
    uint64_t fingerprint = kpi_reader_u64(reader);

    for (uint32_t i = 0; i < program->n_sets; i++) {
        struct kpi_dictionary *tuples = &loading->engine->tuples.sets[i].tuples;
        int r;

        if (program->sets[i].fingerprint != fingerprint)
            continue;
        r = kpi_loading_strings(tuples, &loading->engine->mem, reader);
        for (uint32_t id = KPI_DICTIONARY_FIRST; r == 0 && id < tuples->n; id++)
            if (!tuple_fits(loading, &program->sets[i], kpi_dictionary_string(tuples, id)))
                r = KPI_ENGINE_E_CORRUPT;
        return r;
    }
    return pass_over(loading, reader);
}

static int load_list(struct kpi_loading *loading, struct kpi_reader *reader,
                     int (*load_one)(struct kpi_loading *, struct kpi_reader *))
{
    uint32_t n = kpi_reader_u32(reader);
    int r = 0;

    for (uint32_t i = 0; i < n && r == 0; i++)
        r = reader->failed ? KPI_ENGINE_E_CORRUPT : load_one(loading, reader);
    return r;
}

int kpi_loading_tuples(struct kpi_loading *loading, struct kpi_reader *reader)
{
    struct kpi_engine *engine = loading->engine;
    int r;

    /* Anew, as campaigns may have other ids than when the engine was made. */
    kpi_tuples_free(&engine->tuples);
    r = kpi_tuples_make(&engine->tuples, engine->plan, &engine->values, &engine->mem);
    if (r < 0)
        return r;
    if (kpi_reader_left(reader)) {
        r = load_list(loading, reader, load_values);
        if (r == 0)
            r = load_list(loading, reader, load_set);
    }
    if (r)
        return r;
    kpi_tuples_count(&engine->tuples, engine->program);
    /* The next save writes it again if the plan knows less, or more, than what was saved. */
    loading->save->n_tuples = 0;
    return 0;
}
