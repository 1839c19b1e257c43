/*
 * From canonical conditions to steps.
 *
 * Steps are written back to front: a step is made once its successors are known, so there is
 * nothing to patch. `and`, `or` and `not` leave no step; they are only where tests go on.
 */
#include "spec/emit.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

struct emitter {
    struct kpi_conditions *conditions;
    uint32_t first; /* the condition's first step */
    bool failed;
};

void kpi_conditions_init(struct kpi_conditions *conditions, struct kpi_compile *compile)
{
    *conditions = (struct kpi_conditions){.compile = compile};
    kpi_vector_init(&conditions->conditions, compile->mem, sizeof(struct kpi_condition));
    kpi_intern_init(&conditions->texts, compile->mem);
    kpi_vector_init(&conditions->steps, compile->mem, sizeof(struct kpi_step));
    kpi_vector_init(&conditions->strings, compile->mem, sizeof(struct kpi_listed));
    kpi_vector_init(&conditions->numbers, compile->mem, sizeof(int64_t));
}

void kpi_conditions_deinit(struct kpi_conditions *conditions)
{
    kpi_vector_deinit(&conditions->conditions);
    kpi_intern_deinit(&conditions->texts);
    kpi_vector_deinit(&conditions->steps);
    kpi_vector_deinit(&conditions->strings);
    kpi_vector_deinit(&conditions->numbers);
}

/* Adds a step that goes on to on_true or on_false; ret_at is its place. */
static struct kpi_step *step_add(struct emitter *emitter, enum kpi_step_kind kind, uint16_t on_true,
                                 uint16_t on_false, uint16_t *ret_at)
{
    struct kpi_step *step = kpi_vector_push(&emitter->conditions->steps);
    uint32_t at = emitter->conditions->steps.n - emitter->first - 1;

    if (!step) {
        emitter->failed = true;
        return NULL;
    }
    assert(at < KPI_STEP_FALSE); /* a text of 4096 bytes has fewer operands and operators */
    step->kind = (uint8_t)kind;
    step->on_true = on_true;
    step->on_false = on_false;
    step->attribute = step->other_attribute = KPI_NO_INDEX;
    *ret_at = (uint16_t)at;
    return step;
}

/* The children of a node, last one first. NULL without memory. */
static const struct kpi_cond **backwards(struct emitter *emitter, const struct kpi_cond *cond)
{
    struct kpi_pool *pool = &emitter->conditions->compile->temp;
    const struct kpi_cond **children = kpi_pool_alloc(pool, cond->n_children * sizeof(*children));
    uint32_t n = cond->n_children;

    if (!children) {
        emitter->failed = true;
        return NULL;
    }
    for (const struct kpi_cond *child = cond->first; child; child = child->next)
        children[--n] = child;
    return children;
}

static uint16_t emit_number(struct emitter *emitter, const struct kpi_cond *cond, uint16_t next,
                            uint16_t absent);

static uint16_t emit_arithmetic(struct emitter *emitter, const struct kpi_cond *cond, uint16_t next,
                                uint16_t absent)
{
    const struct kpi_cond **children = backwards(emitter, cond);

    for (uint32_t i = 0; children && i < cond->n_children && !emitter->failed; ++i) {
        char join = children[i]->join;

        if (i + 1 < cond->n_children)
            (void)step_add(emitter, /* a failure is in emitter */
                           join == '+'   ? KPI_STEP_ADD
                           : join == '-' ? KPI_STEP_SUBTRACT
                           : join == '*' ? KPI_STEP_MULTIPLY
                                         : KPI_STEP_DIVIDE,
                           next, absent, &next);
        next = emit_number(emitter, children[i], next, absent);
    }
    return next;
}

static enum kpi_step_kind attribute_step(enum kpi_attribute_kind kind)
{
    switch (kind) {
    case KPI_ATTRIBUTE_COUNT:
        return KPI_STEP_TALLY;
    case KPI_ATTRIBUTE_SUM:
        return KPI_STEP_TOTAL;
    default:
        return KPI_STEP_SLOT;
    }
}

/* Where a condition finds an attribute's value, and whether that may be outlived. */
static void slot_set(const struct emitter *emitter, const struct kpi_cond *cond,
                     uint32_t *ret_index, uint32_t *ret_attribute)
{
    const struct kpi_attribute_work *work = &emitter->conditions->compile->attributes[cond->index];

    *ret_index = work->slot + work->n_slots - 1 - (cond->kind == KPI_COND_ATTRIBUTE_TIME);
    *ret_attribute =
        work->definition->reset || work->definition->within ? work->program : KPI_NO_INDEX;
}

/* Steps that push a number and go on to next, or to absent. Returns where they begin. */
static uint16_t emit_number(struct emitter *emitter, const struct kpi_cond *cond, uint16_t next,
                            uint16_t absent)
{
    const struct kpi_attribute_work *attribute;
    struct kpi_step *step;
    uint16_t at = next;

    switch (cond->kind) {
    case KPI_COND_LITERAL:
        step = step_add(emitter, KPI_STEP_LITERAL, next, absent, &at);
        if (step)
            step->number = cond->number;
        return at;
    case KPI_COND_TIME:
        (void)step_add(emitter, KPI_STEP_TIME, next, absent, &at); /* a failure is in emitter */
        return at;
    case KPI_COND_CLOCK:
        step = step_add(emitter, KPI_STEP_CLOCK, next, absent, &at);
        if (step)
            step->index = cond->index;
        return at;
    case KPI_COND_FIELD:
        step = step_add(emitter, KPI_STEP_FIELD, next, absent, &at);
        if (step)
            step->index = cond->index;
        return at;
    case KPI_COND_ATTRIBUTE:
        attribute = &emitter->conditions->compile->attributes[cond->index];
        step = step_add(emitter, attribute_step(attribute->kind), next, absent, &at);
        if (step)
            slot_set(emitter, cond, &step->index, &step->attribute);
        return at;
    case KPI_COND_ATTRIBUTE_TIME:
        step = step_add(emitter, KPI_STEP_SLOT, next, absent, &at);
        if (step)
            slot_set(emitter, cond, &step->index, &step->attribute);
        return at;
    case KPI_COND_NEGATE:
        (void)step_add(emitter, KPI_STEP_NEGATE, next, absent, &at);
        return emit_number(emitter, cond->first, at, absent);
    default:
        assert(cond->kind == KPI_COND_SUM || cond->kind == KPI_COND_PRODUCT);
        return emit_arithmetic(emitter, cond, next, absent);
    }
}

static void source_set(const struct emitter *emitter, const struct kpi_cond *cond,
                       uint8_t *ret_source, uint32_t *ret_index, uint32_t *ret_attribute)
{
    switch (cond->kind) {
    case KPI_COND_TYPE:
        *ret_source = KPI_SOURCE_TYPE;
        break;
    case KPI_COND_FIELD:
        *ret_source = KPI_SOURCE_FIELD;
        *ret_index = cond->index;
        break;
    default:
        assert(cond->kind == KPI_COND_ATTRIBUTE);
        *ret_source = KPI_SOURCE_SLOT;
        slot_set(emitter, cond, ret_index, ret_attribute);
        break;
    }
}

static int listed_order(const void *a, const void *b)
{
    const struct kpi_listed *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return kpi_string_compare(x->string, y->string);
}

static void list_set(struct emitter *emitter, const struct kpi_cond *cond, struct kpi_step *step)
{
    struct kpi_conditions *conditions = emitter->conditions;
    bool texts = cond->kind == KPI_COND_STRING;

    step->list = texts ? conditions->strings.n : conditions->numbers.n;
    step->n_list = cond->n_list;
    for (uint32_t i = 0; i < cond->n_list && !emitter->failed; ++i) {
        if (texts) {
            struct kpi_listed *listed = kpi_vector_push(&conditions->strings);

            emitter->failed |= !listed;
            if (listed)
                *listed = (struct kpi_listed){
                    XXH3_64bits(cond->strings[i].data, cond->strings[i].length), cond->strings[i]};
        } else {
            int64_t *number = kpi_vector_push(&conditions->numbers);

            emitter->failed |= !number;
            if (number)
                *number = cond->numbers[i];
        }
    }
    if (texts && !emitter->failed)
        qsort((struct kpi_listed *)conditions->strings.data + step->list, step->n_list,
              sizeof(struct kpi_listed), listed_order);
}

/* A comparison of numbers: the operands' steps stand before the test's. */
static uint16_t emit_numeric(struct emitter *emitter, const struct kpi_cond *cond, uint16_t on_true,
                             uint16_t on_false)
{
    bool list = cond->kind == KPI_COND_NUMBERS;
    uint16_t at = 0;
    struct kpi_step *step =
        step_add(emitter, list ? KPI_STEP_NUMBERS : KPI_STEP_COMPARE, on_true, on_false, &at);

    if (!step)
        return 0;
    step->compare = (uint8_t)cond->compare;
    step->negated = cond->negated;
    if (list)
        list_set(emitter, cond, step);
    else
        at = emit_number(emitter, cond->first->next, at, on_false);
    return emit_number(emitter, cond->first, at, on_false);
}

static uint16_t emit_textual(struct emitter *emitter, const struct kpi_cond *cond, uint16_t on_true,
                             uint16_t on_false)
{
    enum kpi_step_kind kind = cond->kind == KPI_COND_STRING ? KPI_STEP_STRINGS
                              : cond->kind == KPI_COND_SAME ? KPI_STEP_SAME
                                                            : KPI_STEP_BOOL;
    uint16_t at = 0;
    struct kpi_step *step = step_add(emitter, kind, on_true, on_false, &at);

    if (!step)
        return 0;
    step->negated = cond->negated;
    source_set(emitter, cond->first, &step->source, &step->index, &step->attribute);
    if (kind == KPI_STEP_SAME)
        source_set(emitter, cond->first->next, &step->other, &step->other_index,
                   &step->other_attribute);
    if (kind == KPI_STEP_STRINGS)
        list_set(emitter, cond, step);
    return at;
}

/* Steps that go on to on_true or on_false. Returns where they begin. */
static uint16_t emit(struct emitter *emitter, const struct kpi_cond *cond, uint16_t on_true,
                     uint16_t on_false)
{
    const struct kpi_cond **children;
    uint16_t at;

    switch (cond->kind) {
    case KPI_COND_CONSTANT:
        return cond->number ? on_true : on_false;
    case KPI_COND_NOT:
        return emit(emitter, cond->first, on_false, on_true);
    case KPI_COND_AND:
    case KPI_COND_OR:
        children = backwards(emitter, cond);
        at = cond->kind == KPI_COND_AND ? on_true : on_false;
        for (uint32_t i = 0; children && i < cond->n_children && !emitter->failed; ++i)
            at = cond->kind == KPI_COND_AND ? emit(emitter, children[i], at, on_false)
                                            : emit(emitter, children[i], on_true, at);
        return at;
    case KPI_COND_COMPARE:
    case KPI_COND_NUMBERS:
        return emit_numeric(emitter, cond, on_true, on_false);
    default:
        return emit_textual(emitter, cond, on_true, on_false);
    }
}

int kpi_conditions_intern(struct kpi_conditions *conditions, const struct kpi_cond *cond,
                          uint32_t *ret_index)
{
    struct emitter emitter = {.conditions = conditions, .first = conditions->steps.n};
    struct kpi_condition *condition;
    int r;

    if (!cond || (cond->kind == KPI_COND_CONSTANT && cond->number != 0)) {
        *ret_index = KPI_NO_INDEX;
        return 0;
    }
    r = kpi_intern_add(&conditions->texts, XXH3_64bits(cond->text.data, cond->text.length),
                       ret_index);
    if (r <= 0)
        return r;
    condition = kpi_vector_push(&conditions->conditions);
    if (!condition)
        return -ENOMEM;
    condition->first = emitter.first;
    condition->entry = emit(&emitter, cond, KPI_STEP_TRUE, KPI_STEP_FALSE);
    return emitter.failed ? -ENOMEM : 0;
}

int kpi_conditions_keep(const struct kpi_conditions *conditions, struct kpi_plan *plan)
{
    struct kpi_pool *pool = &plan->pool;

    plan->n_conditions = conditions->conditions.n;
    plan->conditions = kpi_pool_copy(pool, conditions->conditions.data,
                                     conditions->conditions.n * sizeof(struct kpi_condition));
    plan->steps =
        kpi_pool_copy(pool, conditions->steps.data, conditions->steps.n * sizeof(struct kpi_step));
    plan->numbers =
        kpi_pool_copy(pool, conditions->numbers.data, conditions->numbers.n * sizeof(int64_t));
    plan->strings = kpi_pool_copy(pool, conditions->strings.data,
                                  conditions->strings.n * sizeof(struct kpi_listed));
    if (pool->failed)
        return -ENOMEM;
    for (uint32_t i = 0; i < conditions->strings.n; ++i)
        plan->strings[i].string = kpi_pool_string(pool, plan->strings[i].string);
    return pool->failed ? -ENOMEM : 0;
}
