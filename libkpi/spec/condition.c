/*
 * Running the steps of a condition over an event: a loop, a small stack of numbers, no allocation.
 */
#include "spec/decimal.h"
#include "spec/parse.h"
#include "spec/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#define STACK_MAX 80

static_assert(STACK_MAX >= 2 * (KPI_EXPRESSION_DEPTH_MAX + 1) + 2,
              "each level of nesting leaves at most a summand and a factor waiting, and a "
              "comparison its left side");

struct run {
    const struct kpi_plan *plan;
    const struct kpi_event *event;
    const int64_t *slots;
    kpi_dictionary_fn dictionary;
    void *userdata;
};

/* Has the user a value in this slot, and is it not outlived? */
static bool slot_live(const struct run *run, uint32_t slot, uint32_t attribute)
{
    if (!run->slots || run->slots[slot] == KPI_TIME_NONE)
        return false;
    return attribute == KPI_NO_INDEX ||
           kpi_attribute_live(&run->plan->program.attributes[attribute], run->slots,
                              run->event->time);
}

/* A string and its hash; false if it is absent. */
static bool text_get(const struct run *run, enum kpi_source source, uint32_t index,
                     uint32_t attribute, struct kpi_listed *ret_text)
{
    const struct kpi_field *field = &run->event->type;

    if (source == KPI_SOURCE_SLOT) {
        if (!slot_live(run, index, attribute))
            return false;
        ret_text->string = run->dictionary(run->userdata, run->slots[index]);
        ret_text->hash = XXH3_64bits(ret_text->string.data, ret_text->string.length);
        return true;
    }
    if (source == KPI_SOURCE_FIELD)
        field = &run->event->fields[index];
    if (field->kind != KPI_FIELD_STRING)
        return false;
    *ret_text = (struct kpi_listed){field->hash, {field->string, field->length}};
    return true;
}

/* Is the text one of n sorted by hash? */
static bool is_listed(const struct kpi_listed *list, uint32_t n, const struct kpi_listed *text)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (list[middle].hash < text->hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < n && list[low].hash == text->hash; ++low) {
        if (kpi_string_equal(list[low].string, text->string))
            return true;
    }
    return false;
}

static int numbers_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool compare(enum kpi_compare how, int64_t a, int64_t b)
{
    switch (how) {
    case KPI_COMPARE_EQUAL:
        return a == b;
    case KPI_COMPARE_NOT_EQUAL:
        return a != b;
    case KPI_COMPARE_LESS:
        return a < b;
    case KPI_COMPARE_LESS_EQUAL:
        return a <= b;
    case KPI_COMPARE_GREATER:
        return a > b;
    default:
        return a >= b;
    }
}

/*
 * The value of a count or sum attribute. Of a user without events it is 0 and not absent: "orders
 * == 0" holds for whoever has not bought yet. Without a user there is nothing to count.
 */
static bool total_get(const struct run *run, const struct kpi_step *step, int64_t *ret_number)
{
    if (!(run->event->flags & KPI_EVENT_HAS_USER))
        return false;
    *ret_number = slot_live(run, step->index, step->attribute) ? run->slots[step->index] : 0;
    return true;
}

/* Steps that push one number; false if it is absent. */
static bool load(const struct run *run, const struct kpi_step *step, int64_t *ret_number)
{
    const struct kpi_field *field;

    switch ((enum kpi_step_kind)step->kind) {
    case KPI_STEP_LITERAL:
        *ret_number = step->number;
        return true;
    case KPI_STEP_TIME:
        *ret_number = run->event->time;
        return true;
    case KPI_STEP_CLOCK:
        *ret_number =
            kpi_zone_clock(&run->plan->zones[0], (enum kpi_clock)step->index, run->event->time) *
            KPI_DECIMAL_ONE;
        return *ret_number >= 0;
    case KPI_STEP_FIELD:
        field = &run->event->fields[step->index];
        *ret_number = field->number;
        return field->kind == KPI_FIELD_NUMBER;
    case KPI_STEP_TALLY:
        return total_get(run, step, ret_number) &&
               !__builtin_mul_overflow(*ret_number, KPI_DECIMAL_ONE, ret_number);
    case KPI_STEP_TOTAL:
        return total_get(run, step, ret_number);
    default:
        assert(step->kind == KPI_STEP_SLOT);
        if (!slot_live(run, step->index, step->attribute))
            return false;
        *ret_number = run->slots[step->index];
        return true;
    }
}

/* Steps that join two numbers; false if the result is out of range. */
static bool join(const struct kpi_step *step, int64_t a, int64_t b, int64_t *ret_number)
{
    switch ((enum kpi_step_kind)step->kind) {
    case KPI_STEP_ADD:
        return kpi_decimal_add(a, b, ret_number);
    case KPI_STEP_SUBTRACT:
        return kpi_decimal_subtract(a, b, ret_number);
    case KPI_STEP_MULTIPLY:
        return kpi_decimal_multiply(a, b, ret_number);
    default:
        assert(step->kind == KPI_STEP_DIVIDE);
        return kpi_decimal_divide(a, b, ret_number);
    }
}

/* Tests of strings and booleans. What is absent fails, negated or not. */
static bool test_text(const struct run *run, const struct kpi_step *step)
{
    struct kpi_listed text, other;
    const struct kpi_field *field;

    if (step->kind == KPI_STEP_BOOL) {
        if (step->source == KPI_SOURCE_SLOT)
            return slot_live(run, step->index, step->attribute) &&
                   (run->slots[step->index] != 0) != step->negated;
        field = &run->event->fields[step->index];
        return field->kind == KPI_FIELD_BOOL && (field->number != 0) != step->negated;
    }
    if (!text_get(run, (enum kpi_source)step->source, step->index, step->attribute, &text))
        return false;
    if (step->kind == KPI_STEP_STRINGS)
        return is_listed(run->plan->strings + step->list, step->n_list, &text) != step->negated;
    return text_get(run, (enum kpi_source)step->other, step->other_index, step->other_attribute,
                    &other) &&
           kpi_string_equal(text.string, other.string) != step->negated;
}

bool kpi_condition_holds(const struct kpi_plan *plan, uint32_t condition,
                         const struct kpi_event *event, const int64_t *slots,
                         kpi_dictionary_fn dictionary, void *userdata)
{
    const struct run run = {plan, event, slots, dictionary, userdata};
    const struct kpi_step *steps;
    int64_t stack[STACK_MAX];
    unsigned top = 0;
    uint16_t at;
    bool good;

    if (condition == KPI_NO_INDEX)
        return true;
    assert(condition < plan->n_conditions);
    steps = plan->steps + plan->conditions[condition].first;
    at = plan->conditions[condition].entry;
    while (at < KPI_STEP_FALSE) {
        const struct kpi_step *step = &steps[at];

        switch ((enum kpi_step_kind)step->kind) {
        case KPI_STEP_ADD:
        case KPI_STEP_SUBTRACT:
        case KPI_STEP_MULTIPLY:
        case KPI_STEP_DIVIDE:
            --top;
            good = join(step, stack[top - 1], stack[top], &stack[top - 1]);
            break;
        case KPI_STEP_NEGATE:
            good = kpi_decimal_subtract(0, stack[top - 1], &stack[top - 1]);
            break;
        case KPI_STEP_COMPARE:
            top -= 2;
            good = compare((enum kpi_compare)step->compare, stack[top], stack[top + 1]);
            break;
        case KPI_STEP_NUMBERS:
            --top;
            good = (bsearch(&stack[top], plan->numbers + step->list, step->n_list, sizeof(*stack),
                            numbers_order) != NULL) != step->negated;
            break;
        case KPI_STEP_STRINGS:
        case KPI_STEP_SAME:
        case KPI_STEP_BOOL:
            good = test_text(&run, step);
            break;
        default:
            good = load(&run, step, &stack[top]);
            top += good;
            break;
        }
        at = good ? step->on_true : step->on_false;
        if (!good)
            top = 0; /* whatever waited belonged to the comparison that failed */
    }
    return at == KPI_STEP_TRUE;
}
