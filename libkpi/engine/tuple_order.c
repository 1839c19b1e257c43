/* Tuples as the values of a breakdown, in the order of answers: see tuples.h. */
#include "base/sort.h"
#include "engine/state.h"

#include <kpi/answers.h>
#include <kpi/supplement.h>

static struct kpi_string value_of(const struct kpi_engine *engine,
                                  const struct kpi_dimension_set *set, uint32_t part, uint32_t id)
{
    const struct kpi_dictionary *values = &engine->values;
    struct kpi_string value;

    if (id == KPI_DICTIONARY_NONE)
        return (struct kpi_string){NULL, 0};
    if (id == KPI_DICTIONARY_OTHER)
        return KPI_VALUE_OTHER;
    if (part > 0)
        values = &engine->tuples.dimensions[set->dimensions[part - 1]].values;
    value = kpi_dictionary_string(values, id);
    return value.data ? value : KPI_STRING(""); /* an empty string is a value */
}

void kpi_tuple_answer(const struct kpi_engine *engine, uint32_t set, const uint8_t *places,
                      uint32_t tuple, struct kpi_answer *answer)
{
    uint32_t parts[KPI_TUPLE_PARTS_MAX] = {KPI_DICTIONARY_NONE};

    if (tuple >= KPI_DICTIONARY_FIRST)
        kpi_tuple_parts(&engine->tuples.sets[set], tuple, parts);
    for (uint32_t i = 0; i < answer->n_values; i++)
        answer->values[i] =
            value_of(engine, &engine->program->sets[set], places[i], parts[places[i]]);
}

struct ranked {
    struct kpi_answer key;
    uint32_t tuple;
};

static int compare_ranked(const void *a, const void *b)
{
    return kpi_answer_compare(&((const struct ranked *)a)->key, &((const struct ranked *)b)->key);
}

int kpi_tuples_rank(const struct kpi_engine *engine, uint32_t set, const uint8_t *places,
                    uint32_t n_values, uint32_t *ranks)
{
    uint32_t n = engine->tuples.sets[set].tuples.n;
    struct ranked *all = kpi_mem_zalloc(&engine->mem, n * sizeof(*all));

    if (!all)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        all[i].tuple = i;
        all[i].key.n_values = n_values;
        kpi_tuple_answer(engine, set, places, i, &all[i].key);
    }
    kpi_sort(all, n, sizeof(*all), compare_ranked);
    for (uint32_t i = 1; i < n; i++)
        ranks[all[i].tuple] = ranks[all[i - 1].tuple] + (compare_ranked(&all[i - 1], &all[i]) != 0);
    kpi_mem_free(&engine->mem, all, n * sizeof(*all));
    return 0;
}
