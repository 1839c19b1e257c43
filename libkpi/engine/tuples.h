/*
 * Values of dimensions, and tuples of them: what cells of broken-down instances are told apart by.
 *
 * Each dimension has a bounded dictionary of values; each set of dimensions one of tuples, which
 * are a campaign (an id of the engine's `values`) and an id of each dimension's values. All ids
 * stay for the life of the engine, and are saved. A campaign of the plan has room for tuples_max
 * tuples, all others together for as many again; what comes later has __other__ for all its values.
 */
#pragma once

#include "base/dictionary.h"
#include "spec/program.h"

struct kpi_answer;
struct kpi_engine;

#define KPI_TUPLE_PARTS_MAX (1 + KPI_BREAKDOWN_DIMENSIONS_MAX)

struct kpi_tuple_set {
    struct kpi_dictionary tuples; /* each 1 + n ids as bytes */
    uint32_t *n_of;               /* by campaign of the plan: its tuples; [0]: of all others */
    uint32_t now;                 /* of the event at hand; KPI_NO_INDEX: not asked for yet */
};

struct kpi_tuple_values {
    struct kpi_dictionary values;
    uint32_t now; /* of the event at hand; KPI_NO_INDEX: not asked for yet */
};

/* May be embedded; all zero is that of a plan without breakdowns. */
struct kpi_tuples {
    const struct kpi_mem *mem;
    struct kpi_tuple_values *dimensions; /* by dimension of the program */
    uint32_t n_dimensions;
    struct kpi_tuple_set *sets; /* by set of the program */
    uint32_t n_sets;
    bool *planned; /* by campaign: is it one of the plan's? */
    uint32_t n_planned;
};

/*
 * Empty ones for a plan, whose campaigns are in `campaigns` already. Returns 0 or -ENOMEM, then
 * there is nothing to free.
 */
int kpi_tuples_make(struct kpi_tuples *tuples, const struct kpi_plan *plan,
                    const struct kpi_dictionary *campaigns, const struct kpi_mem *mem);
void kpi_tuples_free(struct kpi_tuples *tuples);

/* Moves what means the same under both programs; `to` was just made. Cannot fail. */
void kpi_tuples_adopt(struct kpi_tuples *to, const struct kpi_program *to_program,
                      struct kpi_tuples *from, const struct kpi_program *from_program);
/* Counts the tuples of each campaign anew. */
void kpi_tuples_count(struct kpi_tuples *tuples, const struct kpi_program *program);
/* Entries of all dictionaries: grows when there is more to save. */
uint64_t kpi_tuples_total(const struct kpi_tuples *tuples);

/* Another event is at hand. */
static inline void kpi_tuples_turn(struct kpi_tuples *tuples)
{
    for (uint32_t i = 0; i < tuples->n_dimensions; i++)
        tuples->dimensions[i].now = KPI_NO_INDEX;
    for (uint32_t i = 0; i < tuples->n_sets; i++)
        tuples->sets[i].now = KPI_NO_INDEX;
}

/*
 * The tuple of the event at hand; entered if it is new and there is room. `row` are the user's
 * attributes before the event, or NULL. *other is set if a value of it is __other__. Allocates
 * nothing unless a value is new. Returns 0 or -ENOMEM.
 */
int kpi_tuple_get(struct kpi_engine *engine, uint32_t set, uint32_t campaign,
                  const struct kpi_event *event, const int64_t *row, bool *other,
                  uint32_t *ret_tuple);

/* The ids of a tuple: the campaign, then a value of each dimension of the set. */
static inline void kpi_tuple_parts(const struct kpi_tuple_set *set, uint32_t tuple,
                                   uint32_t ret_parts[KPI_TUPLE_PARTS_MAX])
{
    struct kpi_string bytes = kpi_dictionary_string(&set->tuples, tuple);

    memcpy(ret_parts, bytes.data, bytes.length);
}

/*
 * Enters, for each campaign of the plan, tuples of `set` with the values of all tuples of `from`
 * (another set of the same dimensions, or the same), as far as there is room. *n_done is how many
 * of them have been gone through. Returns 0 or -ENOMEM.
 */
int kpi_tuples_spread(struct kpi_engine *engine, uint32_t set, uint32_t from, uint32_t *n_done);

/* The tuple of these parts, or KPI_DICTIONARY_NONE if none has been entered. */
uint32_t kpi_tuple_find(const struct kpi_engine *engine, uint32_t set,
                        const uint32_t parts[KPI_TUPLE_PARTS_MAX]);

/* What a tuple of a set means, whatever its ids are; 0 of KPI_DICTIONARY_NONE. */
uint64_t kpi_tuple_meaning(const struct kpi_engine *engine, uint32_t set, uint32_t tuple);
/* Likewise, of a cell. */
uint64_t kpi_tuple_hash(const struct kpi_engine *engine, uint32_t instance, uint32_t tuple);

/*
 * tuple_order.c: the values of a tuple under a breakdown whose dimension i is part places[i], as
 * those of an answer that has so many. KPI_DICTIONARY_NONE has none of any.
 */
void kpi_tuple_answer(const struct kpi_engine *engine, uint32_t set, const uint8_t *places,
                      uint32_t tuple, struct kpi_answer *answer);
/*
 * By tuple of a set, KPI_DICTIONARY_NONE among them: its place in the canonical order of answers,
 * whose room in `ranks` is zeroed. Tuples of the same values have one place. Returns 0 or -ENOMEM.
 */
int kpi_tuples_rank(const struct kpi_engine *engine, uint32_t set, const uint8_t *places,
                    uint32_t n_values, uint32_t *ranks);
