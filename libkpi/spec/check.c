/*
 * Types of conditions: trees to canonical form, or complaints.
 */
#include "spec/calendar.h"
#include "spec/decimal.h"
#include "spec/functions.h"
#include "spec/kinds.h"

struct checker {
    struct kpi_compile *compile;
    const struct kpi_text *text;
};

static struct kpi_cond *check_condition(struct checker *checker, const struct kpi_node *node);
static struct kpi_cond *check_operand(struct checker *checker, const struct kpi_node *node,
                                      enum kpi_kind *ret_kind);

static void fail(struct checker *checker, const struct kpi_node *node, const char *message)
{
    kpi_error(checker->compile->diag, kpi_place_node(checker->text, node), KPI_NO_SUGGESTION, "%s",
              message);
}

static struct kpi_cond *cond_new(struct checker *checker, enum kpi_cond_kind kind)
{
    return kpi_cond_new(&checker->compile->temp, kind);
}

static struct kpi_cond *check_name(struct checker *checker, const struct kpi_node *node,
                                   enum kpi_kind *ret_kind)
{
    struct kpi_compile *compile = checker->compile;
    struct kpi_reference reference = kpi_reference_resolve(checker->compile, checker->text, node);
    struct kpi_cond *cond;

    switch (reference.sort) {
    case KPI_REFERENCE_BROKEN:
        if (reference.index == KPI_NO_INDEX)
            (void)kpi_check_field(compile, checker->text, node); /* says why it is none */
        return NULL;
    case KPI_REFERENCE_ACTIVE_TYPES:
        fail(checker, node, "active_types is a list; it stands behind \"in\"");
        return NULL;
    case KPI_REFERENCE_SEGMENT:
        fail(checker, node, "a segment is a condition; it stands alone, without a comparison");
        return NULL;
    case KPI_REFERENCE_TYPE:
        cond = cond_new(checker, KPI_COND_TYPE);
        break;
    case KPI_REFERENCE_TIME:
        cond = cond_new(checker, KPI_COND_TIME);
        break;
    case KPI_REFERENCE_ATTRIBUTE:
        if (compile->attributes[reference.index].kind == KPI_ATTRIBUTE_SESSION) {
            kpi_error(compile->diag, kpi_place_node(checker->text, node), KPI_NO_SUGGESTION,
                      "\"%S\" are sessions; ask for the type \"" KPI_SESSION_TYPE "%S\"",
                      node->string, node->string);
            return NULL;
        }
        if (compile->attributes[reference.index].kind == KPI_ATTRIBUTE_SET) {
            fail(checker, node,
                 "a set() is for \"campaign\" of measures; a condition has no use of it");
            return NULL;
        }
        cond = cond_new(checker, KPI_COND_ATTRIBUTE);
        break;
    default:
        cond = cond_new(checker, KPI_COND_FIELD);
        break;
    }
    if (!cond)
        return NULL;
    cond->index = reference.index;
    *ret_kind = kpi_reference_kind(compile, reference);
    return cond;
}

static struct kpi_cond *literal(struct checker *checker, int64_t number)
{
    struct kpi_cond *cond = cond_new(checker, KPI_COND_LITERAL);

    if (cond)
        cond->number = number;
    return cond;
}

static struct kpi_cond *check_negate(struct checker *checker, const struct kpi_node *node,
                                     enum kpi_kind *ret_kind)
{
    struct kpi_cond *child = check_operand(checker, node->first, ret_kind), *cond;

    if (!child)
        return NULL;
    if (*ret_kind != KPI_KIND_NUMBER && *ret_kind != KPI_KIND_DURATION) {
        kpi_error(checker->compile->diag, kpi_place_node(checker->text, node->first),
                  KPI_NO_SUGGESTION, "%s cannot be negative", kpi_kind_name(*ret_kind));
        return NULL;
    }
    if (child->kind == KPI_COND_LITERAL)
        return literal(checker, -child->number); /* literals are never INT64_MIN */
    cond = cond_new(checker, KPI_COND_NEGATE);
    if (cond)
        kpi_cond_child_add(cond, child);
    return cond;
}

/* The kind of `left join right`, or KPI_KIND_UNKNOWN if there is no such thing. */
static enum kpi_kind join_kinds(enum kpi_kind left, char join, enum kpi_kind right)
{
    if (left == KPI_KIND_NUMBER && right == KPI_KIND_NUMBER)
        return KPI_KIND_NUMBER;
    switch (join) {
    case '+':
        if (left == KPI_KIND_TIME && right == KPI_KIND_DURATION)
            return KPI_KIND_TIME;
        if (left == KPI_KIND_DURATION && (right == KPI_KIND_TIME || right == KPI_KIND_DURATION))
            return right;
        return KPI_KIND_UNKNOWN;
    case '-':
        if (left == KPI_KIND_TIME && right == KPI_KIND_DURATION)
            return KPI_KIND_TIME;
        return left == right && (left == KPI_KIND_TIME || left == KPI_KIND_DURATION)
                   ? KPI_KIND_DURATION
                   : KPI_KIND_UNKNOWN;
    case '*':
        return (left == KPI_KIND_NUMBER && right == KPI_KIND_DURATION) ||
                       (left == KPI_KIND_DURATION && right == KPI_KIND_NUMBER)
                   ? KPI_KIND_DURATION
                   : KPI_KIND_UNKNOWN;
    default:
        if (left != KPI_KIND_DURATION)
            return KPI_KIND_UNKNOWN;
        return right == KPI_KIND_NUMBER     ? KPI_KIND_DURATION
               : right == KPI_KIND_DURATION ? KPI_KIND_NUMBER
                                            : KPI_KIND_UNKNOWN;
    }
}

static bool join_literals(int64_t left, char join, int64_t right, int64_t *ret_number)
{
    switch (join) {
    case '+':
        return kpi_decimal_add(left, right, ret_number);
    case '-':
        return kpi_decimal_subtract(left, right, ret_number);
    case '*':
        return kpi_decimal_multiply(left, right, ret_number);
    default:
        return kpi_decimal_divide(left, right, ret_number);
    }
}

static struct kpi_cond *check_arithmetic(struct checker *checker, const struct kpi_node *node,
                                         enum kpi_kind *ret_kind)
{
    struct kpi_cond *cond =
        cond_new(checker, node->kind == KPI_NODE_SUM ? KPI_COND_SUM : KPI_COND_PRODUCT);
    bool all_literal = true;
    int64_t number = 0;
    enum kpi_kind kind = KPI_KIND_UNKNOWN;

    if (!cond)
        return NULL;
    for (const struct kpi_node *node_child = node->first; node_child;
         node_child = node_child->next) {
        enum kpi_kind left = kind;
        struct kpi_cond *child = check_operand(checker, node_child, &kind);
        enum kpi_kind right = kind;

        if (!child)
            return NULL;
        if (node_child != node->first)
            kind = join_kinds(left, node_child->join, right);
        else if (right == KPI_KIND_STRING || right == KPI_KIND_BOOL)
            kind = KPI_KIND_UNKNOWN;
        if (kind == KPI_KIND_UNKNOWN) {
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node_child),
                      KPI_NO_SUGGESTION, "%s cannot be reckoned with here", kpi_kind_name(right));
            return NULL;
        }
        child->join = node_child->join;
        all_literal &= child->kind == KPI_COND_LITERAL;
        if (all_literal && node_child == node->first) {
            number = child->number;
        } else if (all_literal && !join_literals(number, child->join, child->number, &number)) {
            fail(checker, node_child, "this leaves the range of numbers, or divides by zero");
            return NULL;
        }
        kpi_cond_child_add(cond, child);
    }
    *ret_kind = kind;
    return all_literal ? literal(checker, number) : cond;
}

/* age(attribute): time - when its value is from. */
static struct kpi_cond *check_age(struct checker *checker, const struct kpi_bound *bound)
{
    struct kpi_compile *compile = checker->compile;
    struct kpi_reference reference = kpi_reference_resolve(compile, checker->text, bound[0].node);
    struct kpi_cond *cond, *now, *then;
    enum kpi_attribute_kind kind;

    if (reference.sort == KPI_REFERENCE_BROKEN && reference.index != KPI_NO_INDEX)
        return NULL;
    kind = reference.sort == KPI_REFERENCE_ATTRIBUTE ? compile->attributes[reference.index].kind
                                                     : KPI_ATTRIBUTE_COUNT;
    if (kind == KPI_ATTRIBUTE_COUNT || kind == KPI_ATTRIBUTE_SUM || kind == KPI_ATTRIBUTE_MIN ||
        kind == KPI_ATTRIBUTE_MAX || kind == KPI_ATTRIBUTE_SESSION || kind == KPI_ATTRIBUTE_SET) {
        fail(checker, bound[0].node,
             "age() takes an attribute with the aggregate first(), last(), min(time) or max(time)");
        return NULL;
    }
    cond = cond_new(checker, KPI_COND_SUM);
    now = cond_new(checker, KPI_COND_TIME);
    then = cond_new(checker,
                    kpi_attribute_has_field(kind) ? KPI_COND_ATTRIBUTE_TIME : KPI_COND_ATTRIBUTE);
    if (!cond || !now || !then)
        return NULL;
    then->index = reference.index;
    now->join = '+';
    then->join = '-';
    kpi_cond_child_add(cond, now);
    kpi_cond_child_add(cond, then);
    return cond;
}

static struct kpi_cond *check_call(struct checker *checker, const struct kpi_node *node,
                                   enum kpi_kind *ret_kind)
{
    struct kpi_compile *compile = checker->compile;
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    const struct kpi_function *function =
        kpi_function_bind(checker->text, node, KPI_ROLE_CONDITION, compile->diag, bound);
    struct kpi_cond *cond;

    if (!function)
        return NULL;
    if (function->id == KPI_FUNCTION_AGE) {
        *ret_kind = KPI_KIND_DURATION;
        return check_age(checker, bound);
    }
    *ret_kind = KPI_KIND_NUMBER;
    cond = cond_new(checker, KPI_COND_CLOCK);
    if (cond) {
        cond->index = kpi_function_clock(function);
        cond->string = compile->plan->zones[0].name;
    }
    return cond;
}

static struct kpi_cond *check_operand(struct checker *checker, const struct kpi_node *node,
                                      enum kpi_kind *ret_kind)
{
    struct kpi_cond *cond;

    switch (node->kind) {
    case KPI_NODE_NUMBER:
        *ret_kind = KPI_KIND_NUMBER;
        return literal(checker, node->number);
    case KPI_NODE_DURATION:
        *ret_kind = KPI_KIND_DURATION;
        return literal(checker, node->number);
    case KPI_NODE_BOOL:
        *ret_kind = KPI_KIND_BOOL;
        return literal(checker, node->number);
    case KPI_NODE_STRING:
        *ret_kind = KPI_KIND_STRING;
        cond = cond_new(checker, KPI_COND_TEXT);
        if (cond)
            cond->string = node->string;
        return cond;
    case KPI_NODE_NAME:
        return check_name(checker, node, ret_kind);
    case KPI_NODE_NEGATE:
        return check_negate(checker, node, ret_kind);
    case KPI_NODE_SUM:
    case KPI_NODE_PRODUCT:
        return check_arithmetic(checker, node, ret_kind);
    case KPI_NODE_CALL:
        return check_call(checker, node, ret_kind);
    case KPI_NODE_LIST:
        fail(checker, node, "a list stands only behind \"in\"");
        return NULL;
    default:
        fail(checker, node, "a value is expected here, not a condition");
        return NULL;
    }
}

static bool is_literal(const struct kpi_cond *cond)
{
    return cond->kind == KPI_COND_LITERAL || cond->kind == KPI_COND_TEXT;
}

/* A side of a comparison: its tree, its meaning, its kind. */
struct side {
    const struct kpi_node *node;
    const struct kpi_cond *cond;
    enum kpi_kind kind;
};

static bool is_number_text(struct kpi_string string)
{
    bool digits = false;

    for (size_t i = 0; i < string.length; ++i) {
        digits |= string.data[i] >= '0' && string.data[i] <= '9';
        if (string.data[i] != '.' && (string.data[i] < '0' || string.data[i] > '9'))
            return false;
    }
    return digits;
}

/* How a literal of one kind is written as one of the other, or nothing. */
static void remedy_add(struct kpi_writer *writer, const struct side *literal, enum kpi_kind wanted)
{
    const struct kpi_node *node = literal->node;

    if (node->kind == KPI_NODE_STRING && wanted == KPI_KIND_NUMBER && is_number_text(node->string))
        kpi_writer_format(writer, "; write %S without quotes", node->string);
    else if (node->kind == KPI_NODE_STRING && wanted == KPI_KIND_BOOL &&
             (kpi_string_equal(node->string, KPI_STRING("true")) ||
              kpi_string_equal(node->string, KPI_STRING("false"))))
        kpi_writer_format(writer, "; write %S without quotes", node->string);
    else if (wanted == KPI_KIND_STRING &&
             (node->kind == KPI_NODE_NUMBER || node->kind == KPI_NODE_BOOL))
        kpi_writer_format(writer, "; write it in quotes");
    else if (node->kind == KPI_NODE_NUMBER && wanted == KPI_KIND_DURATION)
        kpi_writer_format(writer, "; write it with a unit, as in 7d");
    else if (wanted == KPI_KIND_TIME)
        kpi_writer_format(writer, "; there are no dates here, but time - first_seen <= 7d");
}

/* What a name is and who says so: `"score", which is a number in measure "promoters"`. */
static void known_add(struct checker *checker, struct kpi_writer *writer, const struct side *side)
{
    if (side->node->kind != KPI_NODE_NAME) {
        kpi_writer_format(writer, "%s", kpi_kind_name(side->kind));
        return;
    }
    kpi_writer_format(writer, "\"%S\", which ", side->node->string);
    kpi_reference_describe(checker->compile, writer,
                           kpi_reference_resolve(checker->compile, checker->text, side->node));
}

/*
 * Says which side of a comparison does not fit. What a name is has been settled, by its nature or
 * by whoever used it before; so it is the other side that is wrong, and a literal before all.
 */
static void mismatch(struct checker *checker, const struct side *left, const struct side *right)
{
    bool swap = is_literal(left->cond) ||
                (right->node->kind == KPI_NODE_NAME && left->node->kind != KPI_NODE_NAME);
    const struct side *wrong = swap ? left : right, *known = swap ? right : left;
    char buffer[384];
    struct kpi_writer writer = KPI_WRITER_ON(buffer);

    known_add(checker, &writer, known);
    remedy_add(&writer, wrong, known->kind);
    kpi_error(checker->compile->diag, kpi_place_node(checker->text, wrong->node), KPI_NO_SUGGESTION,
              "%s cannot be compared with %S", kpi_kind_name(wrong->kind),
              kpi_writer_string(&writer));
}

/* The comparison that says the same with its sides swapped. */
static const enum kpi_compare mirrored[] = {
    KPI_COMPARE_EQUAL,         KPI_COMPARE_NOT_EQUAL, KPI_COMPARE_GREATER,
    KPI_COMPARE_GREATER_EQUAL, KPI_COMPARE_LESS,      KPI_COMPARE_LESS_EQUAL,
};

static struct kpi_cond *compare_strings(struct checker *checker, struct kpi_cond *a,
                                        struct kpi_cond *b, bool negated)
{
    struct kpi_cond *cond = cond_new(checker, KPI_COND_STRING);
    struct kpi_string *strings;

    if (!cond)
        return NULL;
    cond->negated = negated;
    kpi_cond_child_add(cond, a);
    if (b->kind != KPI_COND_TEXT) {
        cond->kind = KPI_COND_SAME;
        kpi_cond_child_add(cond, b);
        return cond;
    }
    strings = kpi_pool_copy(&checker->compile->temp, &b->string, sizeof(b->string));
    if (!strings)
        return NULL;
    kpi_cond_strings_set(cond, strings, 1);
    return cond;
}

/* Can a clock show these? What it never shows was meant otherwise; false: that was reported. */
static bool shows(struct checker *checker, const struct kpi_cond *cond, const int64_t *numbers,
                  uint32_t n, const struct kpi_node *node)
{
    const struct kpi_clock_info *info;

    if (cond->kind != KPI_COND_CLOCK)
        return true;
    info = kpi_clock_info((enum kpi_clock)cond->index);
    for (uint32_t i = 0; i < n; ++i) {
        if (numbers[i] % KPI_DECIMAL_ONE == 0 && numbers[i] >= info->first * KPI_DECIMAL_ONE &&
            numbers[i] <= info->last * KPI_DECIMAL_ONE)
            continue;
        kpi_error(checker->compile->diag, kpi_place_node(checker->text, node), KPI_NO_SUGGESTION,
                  "%s(time) is a whole number, %s", info->name, info->range);
        return false;
    }
    return true;
}

static struct kpi_cond *compare_numbers(struct checker *checker, struct kpi_cond *a,
                                        struct kpi_cond *b, enum kpi_compare compare)
{
    struct kpi_cond *cond = cond_new(checker, KPI_COND_COMPARE);
    bool mirror = !is_literal(b) && compare >= KPI_COMPARE_GREATER;

    if (!cond)
        return NULL;
    cond->compare = mirror ? mirrored[compare] : compare;
    kpi_cond_child_add(cond, mirror ? b : a);
    kpi_cond_child_add(cond, mirror ? a : b);
    return cond;
}

/* Words that are texts in all likelihood, and names of fields without their quotes. */
static void warn_bare_text(struct checker *checker, const struct kpi_node *node,
                           const struct kpi_node *other, const struct kpi_cond *cond)
{
    static const char *const absent[] = {"null", "NULL", "Null",     "none",
                                         "None", "nil",  "undefined"};
    struct kpi_diag *diag = checker->compile->diag;
    struct kpi_place place = kpi_place_node(checker->text, node);

    if (node->kind != KPI_NODE_NAME || cond->kind != KPI_COND_FIELD)
        return;
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); ++i) {
        if (kpi_string_equal(node->string, (struct kpi_string){absent[i], strlen(absent[i])})) {
            kpi_warning(diag, place, KPI_NO_SUGGESTION,
                        "\"%S\" is taken for a field of events; a comparison with what is not "
                        "there is false",
                        node->string);
            return;
        }
    }
    if (other->kind == KPI_NODE_NAME && (kpi_string_equal(other->string, KPI_STRING("type")) ||
                                         kpi_string_equal(other->string, KPI_STRING("campaign"))))
        kpi_warning(diag, place, KPI_NO_SUGGESTION,
                    "\"%S\" is taken for a field of events; a text stands in quotes", node->string);
}

static struct kpi_cond *check_comparison(struct checker *checker, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kpi_compare compare = node->compare;
    enum kpi_kind ka = KPI_KIND_UNKNOWN, kb = KPI_KIND_UNKNOWN;
    struct kpi_cond *a = check_operand(checker, left, &ka), *b = check_operand(checker, right, &kb);
    struct kpi_cond *cond;

    if (!a || !b)
        return NULL;
    warn_bare_text(checker, right, left, b);
    warn_bare_text(checker, left, right, a);
    if (ka != kb) {
        mismatch(checker, &(struct side){left, a, ka}, &(struct side){right, b, kb});
        return NULL;
    }
    if (is_literal(a) && is_literal(b)) {
        fail(checker, node, "this compares two literals");
        return NULL;
    }
    if (is_literal(a)) { /* the literal stands to the right */
        cond = a;
        a = b;
        b = cond;
        compare = mirrored[compare];
    }
    if ((ka == KPI_KIND_STRING || ka == KPI_KIND_BOOL) && compare > KPI_COMPARE_NOT_EQUAL) {
        kpi_error(checker->compile->diag, kpi_place_node(checker->text, right), KPI_NO_SUGGESTION,
                  "%s has no order; use == or !=", kpi_kind_name(ka));
        return NULL;
    }
    if (ka == KPI_KIND_STRING)
        return compare_strings(checker, a, b, compare == KPI_COMPARE_NOT_EQUAL);
    if (compare <= KPI_COMPARE_NOT_EQUAL && is_literal(b) &&
        !shows(checker, a, &b->number, 1, node))
        return NULL;
    if (ka != KPI_KIND_BOOL)
        return compare_numbers(checker, a, b, compare);
    if (!is_literal(b)) {
        fail(checker, right, "true or false is expected here");
        return NULL;
    }
    cond = cond_new(checker, KPI_COND_BOOL);
    if (cond) {
        cond->negated = (b->number == 0) != (compare == KPI_COMPARE_NOT_EQUAL);
        kpi_cond_child_add(cond, a);
    }
    return cond;
}

static bool active_types(struct checker *checker, const struct kpi_node *node,
                         struct kpi_cond *cond)
{
    const struct kpi_definitions *in = checker->compile->in;
    struct kpi_string *strings;

    if (in->n_active_types == 0) {
        fail(checker, node, "active_types is empty");
        return false;
    }
    strings = kpi_pool_alloc(&checker->compile->temp, in->n_active_types * sizeof(*strings));
    if (!strings)
        return false;
    for (uint32_t i = 0; i < in->n_active_types; ++i)
        strings[i] = kpi_text_string(&in->active_types[i]);
    kpi_cond_strings_set(cond, strings, in->n_active_types);
    return true;
}

/* Reads the list of `in` into cond and says what kind of list it is. */
static bool check_list(struct checker *checker, const struct kpi_node *list, struct kpi_cond *cond,
                       enum kpi_kind *ret_kind)
{
    struct kpi_string *strings =
        kpi_pool_alloc(&checker->compile->temp, list->n_children * sizeof(*strings));
    int64_t *numbers = kpi_pool_alloc(&checker->compile->temp, list->n_children * sizeof(*numbers));
    uint32_t n = 0;

    if (!strings || !numbers)
        return false;
    for (const struct kpi_node *node = list->first; node; node = node->next, ++n) {
        enum kpi_kind kind = KPI_KIND_UNKNOWN;
        struct kpi_cond *item = check_operand(checker, node, &kind);

        if (!item)
            return false;
        if (!is_literal(item) || kind == KPI_KIND_BOOL) {
            fail(checker, node, "a list holds strings or numbers as they are");
            return false;
        }
        if (n > 0 && kind != *ret_kind) {
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node),
                      KPI_NO_SUGGESTION, "%s cannot stand in a list that begins with %s",
                      kpi_kind_name(kind), kpi_kind_name(*ret_kind));
            return false;
        }
        *ret_kind = kind;
        strings[n] = item->string;
        numbers[n] = item->number;
    }
    if (n == 0) {
        fail(checker, list, "nothing is in an empty list");
        return false;
    }
    if (*ret_kind == KPI_KIND_STRING)
        kpi_cond_strings_set(cond, strings, n);
    else
        kpi_cond_numbers_set(cond, numbers, n);
    return true;
}

static struct kpi_cond *check_in(struct checker *checker, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kpi_kind ka = KPI_KIND_UNKNOWN, kb = KPI_KIND_STRING;
    struct kpi_cond *a = check_operand(checker, left, &ka), *b;
    struct kpi_cond *cond = cond_new(checker, KPI_COND_STRING);

    if (!cond)
        return NULL;
    if (right->kind == KPI_NODE_NAME &&
        kpi_string_equal(right->string, KPI_STRING("active_types"))) {
        if (!active_types(checker, right, cond))
            return NULL;
    } else if (right->kind != KPI_NODE_LIST) {
        fail(checker, right, "a list is expected behind \"in\", as [\"a\", \"b\"] or active_types");
        return NULL;
    } else if (!check_list(checker, right, cond, &kb)) {
        return NULL;
    }
    if (!a)
        return NULL;
    cond->negated = node->number != 0;
    if (ka != kb) {
        mismatch(checker, &(struct side){left, a, ka},
                 &(struct side){right->first ? right->first : right, cond, kb});
        return NULL;
    }
    if (is_literal(a)) {
        fail(checker, left, "this looks a literal up in a list of literals");
        return NULL;
    }
    kpi_cond_child_add(cond, a);
    if (ka == KPI_KIND_STRING)
        return cond;
    if (!shows(checker, a, cond->numbers, cond->n_list, right))
        return NULL;
    cond->kind = KPI_COND_NUMBERS;
    if (cond->n_list > 1)
        return cond;
    b = literal(checker, cond->numbers[0]);
    return b ? compare_numbers(checker, a, b,
                               cond->negated ? KPI_COMPARE_NOT_EQUAL : KPI_COMPARE_EQUAL)
             : NULL;
}

static struct kpi_cond *check_chain(struct checker *checker, const struct kpi_node *node,
                                    enum kpi_cond_kind kind)
{
    struct kpi_cond *cond = cond_new(checker, kind), **tail;
    bool good = true;

    if (!cond)
        return NULL;
    tail = &cond->first;
    for (const struct kpi_node *child = node->first; child; child = child->next) {
        *tail = check_condition(checker, child);
        if (*tail)
            tail = &(*tail)->next;
        else
            good = false; /* go on: the others may be wrong too */
        ++cond->n_children;
    }
    return good ? cond : NULL;
}

/* A segment in a condition means its own condition, which is checked once more, for a copy. */
static struct kpi_cond *check_segment(struct checker *checker, const struct kpi_node *node,
                                      uint32_t index)
{
    struct kpi_compile *compile = checker->compile;
    struct kpi_dimension_work *segment = &compile->dimensions[index];
    const struct kpi_text *text = &compile->in->segments[index - compile->in->n_dimensions].where;
    struct checker inner = {compile, text};
    struct kpi_cond *cond;

    if (segment->checking) {
        kpi_error(compile->diag, kpi_place_node(checker->text, node), KPI_NO_SUGGESTION,
                  "the segment \"%S\" asks for itself", node->string);
        return NULL;
    }
    if (segment->broken)
        return NULL;
    segment->checking = true;
    cond = check_condition(&inner, segment->where_tree);
    segment->checking = false;
    return cond;
}

static struct kpi_cond *check_condition(struct checker *checker, const struct kpi_node *node)
{
    enum kpi_kind kind = KPI_KIND_UNKNOWN;
    struct kpi_cond *cond, *child;
    uint32_t segment;

    switch (node->kind) {
    case KPI_NODE_AND:
        return check_chain(checker, node, KPI_COND_AND);
    case KPI_NODE_OR:
        return check_chain(checker, node, KPI_COND_OR);
    case KPI_NODE_NOT:
        return check_chain(checker, node, KPI_COND_NOT);
    case KPI_NODE_COMPARE:
        return check_comparison(checker, node);
    case KPI_NODE_IN:
        return check_in(checker, node);
    case KPI_NODE_BOOL:
        cond = cond_new(checker, KPI_COND_CONSTANT);
        if (cond)
            cond->number = node->number;
        return cond;
    case KPI_NODE_NAME:
        segment = kpi_segment_find(checker->compile, node->string);
        if (segment != KPI_NO_INDEX)
            return check_segment(checker, node, segment);
        break;
    default:
        break;
    }
    child = check_operand(checker, node, &kind);
    if (!child)
        return NULL;
    if (kind != KPI_KIND_BOOL) {
        if (child->kind == KPI_COND_FIELD)
            kpi_field_conflict(checker->compile, checker->text, node, child->index, KPI_KIND_BOOL);
        else
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node),
                      KPI_NO_SUGGESTION, "a condition is expected here, not %s",
                      kpi_kind_name(kind));
        return NULL;
    }
    cond = cond_new(checker, KPI_COND_BOOL);
    if (cond)
        kpi_cond_child_add(cond, child);
    return cond;
}

struct kpi_cond *kpi_check_condition(struct kpi_compile *compile, const struct kpi_text *text,
                                     const struct kpi_node *node)
{
    struct checker checker = {compile, text};
    struct kpi_cond *cond = check_condition(&checker, node);

    if (cond && !kpi_sessions_bind(compile, text, cond))
        return NULL;
    return cond ? kpi_cond_fold(&compile->temp, cond) : NULL;
}
