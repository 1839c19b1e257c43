/*
 * Canonical conditions.
 */
#include "spec/cond.h"
#include "spec/calendar.h"
#include "spec/text.h"

#include <stdlib.h>

int kpi_string_compare(struct kpi_string a, struct kpi_string b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int r = length > 0 ? memcmp(a.data, b.data, length) : 0;

    if (r != 0)
        return r;
    return (a.length > b.length) - (a.length < b.length);
}

struct kpi_cond *kpi_cond_new(struct kpi_pool *pool, enum kpi_cond_kind kind)
{
    struct kpi_cond *cond = kpi_pool_alloc(pool, sizeof(*cond));

    if (cond)
        cond->kind = kind;
    return cond;
}

void kpi_cond_child_add(struct kpi_cond *cond, struct kpi_cond *child)
{
    struct kpi_cond **tail = &cond->first;

    while (*tail)
        tail = &(*tail)->next;
    child->next = NULL;
    *tail = child;
    ++cond->n_children;
}

static int strings_order(const void *a, const void *b)
{
    return kpi_string_compare(*(const struct kpi_string *)a, *(const struct kpi_string *)b);
}

static int numbers_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

void kpi_cond_strings_set(struct kpi_cond *cond, struct kpi_string *strings, uint32_t n)
{
    uint32_t n_unique = 0;

    qsort(strings, n, sizeof(*strings), strings_order);
    for (uint32_t i = 0; i < n; ++i) {
        if (n_unique == 0 || !kpi_string_equal(strings[n_unique - 1], strings[i]))
            strings[n_unique++] = strings[i];
    }
    cond->strings = strings;
    cond->n_list = n_unique;
}

void kpi_cond_numbers_set(struct kpi_cond *cond, int64_t *numbers, uint32_t n)
{
    uint32_t n_unique = 0;

    qsort(numbers, n, sizeof(*numbers), numbers_order);
    for (uint32_t i = 0; i < n; ++i) {
        if (n_unique == 0 || numbers[n_unique - 1] != numbers[i])
            numbers[n_unique++] = numbers[i];
    }
    cond->numbers = numbers;
    cond->n_list = n_unique;
}

static struct kpi_cond *constant(struct kpi_pool *pool, bool value)
{
    struct kpi_cond *cond = kpi_cond_new(pool, KPI_COND_CONSTANT);

    if (cond)
        cond->number = value;
    return cond;
}

/* AND and OR: neutral operands go, a dominant one wins, nested ones of the same kind are drawn in.
 */
static struct kpi_cond *fold_chain(struct kpi_pool *pool, const struct kpi_cond *cond)
{
    struct kpi_cond *folded = kpi_cond_new(pool, cond->kind), **tail, *next;
    bool dominant = cond->kind == KPI_COND_OR;

    if (!folded)
        return NULL;
    tail = &folded->first;
    for (struct kpi_cond *child = cond->first; child; child = next) {
        struct kpi_cond *operand;

        next = child->next;
        operand = kpi_cond_fold(pool, child);
        if (!operand)
            return NULL;
        if (operand->kind == KPI_COND_CONSTANT) {
            if ((operand->number != 0) == dominant)
                return constant(pool, dominant);
            continue;
        }
        if (operand->kind == cond->kind) {
            *tail = operand->first;
            folded->n_children += operand->n_children;
        } else {
            *tail = operand;
            operand->next = NULL;
            ++folded->n_children;
        }
        while (*tail)
            tail = &(*tail)->next;
    }
    if (folded->n_children == 0)
        return constant(pool, !dominant);
    return folded->n_children == 1 ? folded->first : folded;
}

struct kpi_cond *kpi_cond_fold(struct kpi_pool *pool, struct kpi_cond *cond)
{
    struct kpi_cond *child, *folded;

    switch (cond->kind) {
    case KPI_COND_AND:
    case KPI_COND_OR:
        return fold_chain(pool, cond);
    case KPI_COND_NOT:
        child = kpi_cond_fold(pool, cond->first);
        if (!child)
            return NULL;
        if (child->kind == KPI_COND_CONSTANT)
            return constant(pool, child->number == 0);
        if (child->kind == KPI_COND_NOT)
            return child->first;
        folded = kpi_cond_new(pool, KPI_COND_NOT);
        if (folded)
            kpi_cond_child_add(folded, child);
        return folded;
    default:
        return cond;
    }
}

static void seal_operand_list(struct kpi_writer *writer, const struct kpi_cond *cond)
{
    kpi_writer_format(writer, "%S %s [", cond->first->text, cond->negated ? "not in" : "in");
    for (uint32_t i = 0; i < cond->n_list; ++i) {
        if (i > 0)
            kpi_writer_format(writer, ", ");
        if (cond->kind == KPI_COND_STRING)
            kpi_writer_quoted_add(writer, cond->strings[i]);
        else
            kpi_writer_format(writer, "%d", cond->numbers[i]);
    }
    kpi_writer_format(writer, "]");
}

static int texts_order(const void *a, const void *b)
{
    return kpi_string_compare((*(struct kpi_cond *const *)a)->text,
                              (*(struct kpi_cond *const *)b)->text);
}

/* Sorts children by their texts and drops those that are there twice. */
static void children_sort(struct kpi_pool *pool, struct kpi_cond *cond)
{
    struct kpi_cond **children = kpi_pool_alloc(pool, cond->n_children * sizeof(*children));
    struct kpi_cond **tail = &cond->first;
    uint32_t n = 0, n_unique = 0;

    if (!children)
        return;
    for (struct kpi_cond *child = cond->first; child; child = child->next)
        children[n++] = child;
    qsort(children, n, sizeof(*children), texts_order);
    for (uint32_t i = 0; i < n; ++i) {
        if (i > 0 && kpi_string_equal(children[i]->text, children[i - 1]->text))
            continue;
        *tail = children[i];
        tail = &children[i]->next;
        ++n_unique;
    }
    *tail = NULL;
    cond->n_children = n_unique;
}

static void seal_chain(struct kpi_writer *writer, const struct kpi_cond *cond, const char *join)
{
    if (cond->n_children == 1) { /* the others said the same */
        kpi_writer_string_add(writer, cond->first->text);
        return;
    }
    kpi_writer_format(writer, "(");
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        if (child != cond->first)
            kpi_writer_format(writer, " %s ", join);
        kpi_writer_string_add(writer, child->text);
    }
    kpi_writer_format(writer, ")");
}

static void seal_arithmetic(struct kpi_writer *writer, const struct kpi_cond *cond)
{
    kpi_writer_format(writer, "(");
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        if (child != cond->first)
            kpi_writer_add(writer, &child->join, 1);
        kpi_writer_string_add(writer, child->text);
    }
    kpi_writer_format(writer, ")");
}

static void seal_one(struct kpi_writer *writer, const struct kpi_cond *cond,
                     const struct kpi_cond_names *names)
{
    switch (cond->kind) {
    case KPI_COND_CONSTANT:
        kpi_writer_format(writer, cond->number ? "true" : "false");
        break;
    case KPI_COND_AND:
        seal_chain(writer, cond, "and");
        break;
    case KPI_COND_OR:
        seal_chain(writer, cond, "or");
        break;
    case KPI_COND_NOT:
        kpi_writer_format(writer, "not (%S)", cond->first->text);
        break;
    case KPI_COND_STRING:
    case KPI_COND_NUMBERS:
        seal_operand_list(writer, cond);
        for (uint32_t i = 0; i < cond->n_sessions; ++i) /* what they mean, too */
            kpi_writer_format(writer, " as session %x", names->attributes[cond->sessions[i]]);
        break;
    case KPI_COND_SAME: {
        struct kpi_string a = cond->first->text, b = cond->first->next->text;
        bool swap = kpi_string_compare(a, b) > 0;

        kpi_writer_format(writer, "%S %s %S", swap ? b : a,
                          cond->negated ? "!=" : "==", swap ? a : b);
        break;
    }
    case KPI_COND_COMPARE:
        kpi_writer_format(writer, "%S %s %S", cond->first->text, kpi_compare_text(cond->compare),
                          cond->first->next->text);
        break;
    case KPI_COND_BOOL:
        kpi_writer_format(writer, "%S == %s", cond->first->text, cond->negated ? "false" : "true");
        break;
    case KPI_COND_LITERAL:
        kpi_writer_format(writer, "%d", cond->number);
        break;
    case KPI_COND_SUM:
    case KPI_COND_PRODUCT:
        seal_arithmetic(writer, cond);
        break;
    case KPI_COND_NEGATE:
        kpi_writer_format(writer, "-(%S)", cond->first->text);
        break;
    case KPI_COND_TYPE:
        kpi_writer_format(writer, "type");
        break;
    case KPI_COND_TIME:
        kpi_writer_format(writer, "time");
        break;
    case KPI_COND_CLOCK:
        kpi_writer_format(writer, "%s in %S", kpi_clock_info((enum kpi_clock)cond->index)->name,
                          cond->string);
        break;
    case KPI_COND_FIELD:
        kpi_writer_format(writer, "field %S", names->fields[cond->index]);
        break;
    case KPI_COND_ATTRIBUTE:
        kpi_writer_format(writer, "attribute %x", names->attributes[cond->index]);
        break;
    case KPI_COND_ATTRIBUTE_TIME:
        kpi_writer_format(writer, "time of attribute %x", names->attributes[cond->index]);
        break;
    case KPI_COND_TEXT:
        kpi_writer_quoted_add(writer, cond->string);
        break;
    }
}

void kpi_cond_seal(struct kpi_pool *pool, struct kpi_cond *cond, const struct kpi_cond_names *names)
{
    struct kpi_writer writer = {.mem = pool->mem};

    for (struct kpi_cond *child = cond->first; child; child = child->next)
        kpi_cond_seal(pool, child, names);
    if (pool->failed)
        return;
    if (cond->kind == KPI_COND_AND || cond->kind == KPI_COND_OR)
        children_sort(pool, cond);
    seal_one(&writer, cond, names);
    cond->text = kpi_pool_string(pool, kpi_writer_string(&writer));
    pool->failed |= writer.failed;
    kpi_writer_deinit(&writer);
}

static bool asks_type(const struct kpi_cond *cond)
{
    if (cond->kind == KPI_COND_STRING && cond->first->kind == KPI_COND_TYPE)
        return true;
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        if (asks_type(child))
            return true;
    }
    return false;
}

static bool is_listed(const struct kpi_cond *cond, const struct kpi_string *type)
{
    return type && bsearch(type, cond->strings, cond->n_list, sizeof(*type), strings_order);
}

/* A copy of the parts that ask for the type, with the answers filled in. */
static struct kpi_cond *substitute(struct kpi_pool *pool, const struct kpi_cond *cond,
                                   const struct kpi_string *type)
{
    struct kpi_cond *copy = kpi_pool_copy(pool, cond, sizeof(*cond)), **tail;

    if (!copy)
        return NULL;
    copy->next = NULL;
    if (cond->kind == KPI_COND_STRING && cond->first->kind == KPI_COND_TYPE) {
        copy->kind = KPI_COND_CONSTANT;
        copy->number = is_listed(cond, type) != cond->negated;
        copy->first = NULL;
        return copy;
    }
    tail = &copy->first;
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        *tail = substitute(pool, child, type);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
    }
    return copy;
}

struct kpi_cond *kpi_cond_specialise(struct kpi_pool *pool, struct kpi_cond *cond,
                                     const struct kpi_string *type,
                                     const struct kpi_cond_names *names)
{
    struct kpi_cond *copy;

    if (!asks_type(cond))
        return cond;
    copy = substitute(pool, cond, type);
    if (!copy)
        return NULL;
    copy = kpi_cond_fold(pool, copy);
    if (copy)
        kpi_cond_seal(pool, copy, names);
    return pool->failed ? NULL : copy;
}
