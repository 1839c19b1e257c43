/*
 * Types of conditions.
 *
 * The kinds of event fields are not declared: they follow from use. So a condition is walked twice:
 * kpi_check_infer() over all conditions until nothing new is learnt, then kpi_check_condition(),
 * which complains.
 */
#include "spec/compile.h"
#include "spec/decimal.h"
#include "spec/names.h"

enum kind {
    KIND_UNKNOWN,
    KIND_BOOL,
    KIND_STRING,
    KIND_NUMBER,
    KIND_TIME,
    KIND_DURATION,
};

static const char *const kind_names[] = {
    "a value", "true or false", "a string", "a number", "a time", "a duration",
};

/* What a name in a condition stands for. */
enum reference_sort {
    REFERENCE_FIELD,
    REFERENCE_ATTRIBUTE,
    REFERENCE_TYPE,
    REFERENCE_TIME,
    REFERENCE_ACTIVE_TYPES,
    REFERENCE_BROKEN,
};

struct reference {
    enum reference_sort sort;
    uint32_t index; /* field or attribute */
};

struct checker {
    struct kpi_compile *compile;
    const struct kpi_text *text;
    const struct kpi_owner *owner;
    bool news; /* inferring: something was learnt */
};

static struct kpi_cond *check_condition(struct checker *checker, const struct kpi_node *node);
static struct kpi_cond *check_operand(struct checker *checker, const struct kpi_node *node,
                                      enum kind *ret_kind);

static enum kind kind_of_use(enum kpi_field_use use)
{
    switch (use) {
    case KPI_USE_STRING:
        return KIND_STRING;
    case KPI_USE_BOOL:
        return KIND_BOOL;
    default:
        return KIND_NUMBER;
    }
}

/* A typing error in a known name would make a new field, silently absent in all events. */
static void warn_if_near(struct kpi_compile *compile, const struct kpi_text *text,
                         const struct kpi_node *node)
{
    static const char *const known[] = {"type", "campaign", "active_types", "amount"};
    struct kpi_string near = {0};

    if (node->string.length < 3)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); ++i) {
        struct kpi_string candidate = {known[i], strlen(known[i])};

        if (kpi_name_distance(node->string, candidate, 1) == 1)
            near = candidate;
    }
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        struct kpi_string candidate = kpi_text_string(&compile->in->attributes[i].name);

        if (kpi_name_distance(node->string, candidate, 1) == 1)
            near = candidate;
    }
    if (near.length > 0)
        kpi_warning(compile->diag, kpi_place_node(text, node), near,
                    "\"%S\" is taken for a field of events", node->string);
}

/* The field of this name, added if it is new; KPI_NO_INDEX if it cannot be one. */
static uint32_t field_of(struct kpi_compile *compile, const struct kpi_text *text,
                         const struct kpi_node *name)
{
    uint32_t field;

    for (field = 0; field < compile->n_fields; ++field) {
        if (kpi_string_equal(compile->fields[field].name, name->string))
            return field;
    }
    if (kpi_name_is_reserved(name->string) || field == KPI_FIELDS_MAX)
        return KPI_NO_INDEX;
    compile->fields[field] = (struct kpi_field_entry){.name = name->string};
    if (kpi_string_equal(name->string, KPI_STRING("amount"))) {
        compile->fields[field].use = KPI_USE_AMOUNT;
        compile->fields[field].known = true;
    }
    compile->field_names[field] = name->string;
    ++compile->n_fields;
    warn_if_near(compile, text, name);
    return field;
}

uint32_t kpi_check_field(struct kpi_compile *compile, const struct kpi_text *text,
                         const struct kpi_node *name)
{
    uint32_t field = field_of(compile, text, name);

    if (field != KPI_NO_INDEX)
        return field;
    if (kpi_name_is_reserved(name->string))
        kpi_error(compile->diag, kpi_place_node(text, name), KPI_NO_SUGGESTION,
                  "\"%S\" belongs to every event and cannot be used as a field", name->string);
    else
        kpi_error(compile->diag, kpi_place_node(text, name), KPI_NO_SUGGESTION,
                  "\"%S\" is one field too many; definitions may use %d", name->string,
                  (int64_t)KPI_FIELDS_MAX);
    return KPI_NO_INDEX;
}

static void use_conflict(struct kpi_compile *compile, const struct kpi_text *text,
                         const struct kpi_node *node, uint32_t field, enum kind wanted)
{
    const struct kpi_field_entry *entry = &compile->fields[field];
    const char *used = kind_names[kind_of_use(entry->use)];

    if (entry->owner.sort)
        kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "the field \"%S\" is used as %s here, but as %s in %s \"%S\"", entry->name,
                  kind_names[wanted], used, entry->owner.sort, entry->owner.name);
    else
        kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "the field \"%S\" is used as %s here, but it always is %s", entry->name,
                  kind_names[wanted], used);
}

/* Settles an unsettled field; false if it is settled otherwise. */
static bool field_settle(struct kpi_compile *compile, uint32_t field, enum kpi_field_use use,
                         const struct kpi_owner *owner, bool *ret_news)
{
    struct kpi_field_entry *entry = &compile->fields[field];

    if (entry->known)
        return kind_of_use(entry->use) == kind_of_use(use);
    entry->known = true;
    entry->use = use;
    entry->owner = *owner;
    *ret_news = true;
    return true;
}

bool kpi_check_use(struct kpi_compile *compile, const struct kpi_text *text,
                   const struct kpi_node *node, uint32_t field, enum kpi_field_use use,
                   const struct kpi_owner *owner)
{
    bool news = false;

    if (field_settle(compile, field, use, owner, &news))
        return true;
    use_conflict(compile, text, node, field, kind_of_use(use));
    return false;
}

static uint32_t attribute_find(const struct kpi_compile *compile, struct kpi_string name)
{
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->attributes[i].name), name))
            return i;
    }
    return KPI_NO_INDEX;
}

static struct reference resolve(struct checker *checker, const struct kpi_node *node)
{
    struct kpi_compile *compile = checker->compile;
    uint32_t index;

    if (kpi_string_equal(node->string, KPI_STRING("type")))
        return (struct reference){.sort = REFERENCE_TYPE};
    if (kpi_string_equal(node->string, KPI_STRING("time")))
        return (struct reference){.sort = REFERENCE_TIME};
    if (kpi_string_equal(node->string, KPI_STRING("active_types")))
        return (struct reference){.sort = REFERENCE_ACTIVE_TYPES};
    index = attribute_find(compile, node->string);
    if (index != KPI_NO_INDEX)
        return (struct reference){
            compile->attributes[index].broken ? REFERENCE_BROKEN : REFERENCE_ATTRIBUTE, index};
    index = field_of(compile, checker->text, node);
    if (index != KPI_NO_INDEX)
        return (struct reference){REFERENCE_FIELD, index};
    return (struct reference){REFERENCE_BROKEN, KPI_NO_INDEX};
}

/* The field whose kind a reference has, or KPI_NO_INDEX. */
static uint32_t field_behind(const struct kpi_compile *compile, struct reference reference)
{
    if (reference.sort == REFERENCE_FIELD)
        return reference.index;
    if (reference.sort == REFERENCE_ATTRIBUTE &&
        compile->attributes[reference.index].kind == KPI_ATTRIBUTE_LAST)
        return compile->attributes[reference.index].field;
    return KPI_NO_INDEX;
}

static enum kind reference_kind(const struct kpi_compile *compile, struct reference reference)
{
    uint32_t field = field_behind(compile, reference);

    if (field != KPI_NO_INDEX)
        return compile->fields[field].known ? kind_of_use(compile->fields[field].use)
                                            : KIND_UNKNOWN;
    switch (reference.sort) {
    case REFERENCE_TYPE:
    case REFERENCE_ACTIVE_TYPES:
        return KIND_STRING;
    case REFERENCE_TIME:
        return KIND_TIME;
    case REFERENCE_ATTRIBUTE:
        return compile->attributes[reference.index].kind == KPI_ATTRIBUTE_MIN_TIME ||
                       compile->attributes[reference.index].kind == KPI_ATTRIBUTE_MAX_TIME
                   ? KIND_TIME
                   : KIND_NUMBER;
    default:
        return KIND_UNKNOWN;
    }
}

/* The kind of an operand as far as it is known; an unsettled field becomes what is wanted. */
static enum kind infer_operand(struct checker *checker, const struct kpi_node *node,
                               enum kind wanted)
{
    struct kpi_compile *compile = checker->compile;
    struct reference reference;
    uint32_t field;

    switch (node->kind) {
    case KPI_NODE_NUMBER:
        return KIND_NUMBER;
    case KPI_NODE_DURATION:
        return KIND_DURATION;
    case KPI_NODE_STRING:
        return KIND_STRING;
    case KPI_NODE_BOOL:
        return KIND_BOOL;
    case KPI_NODE_LIST:
        return node->first ? infer_operand(checker, node->first, KIND_UNKNOWN) : KIND_UNKNOWN;
    case KPI_NODE_NEGATE:
    case KPI_NODE_SUM:
    case KPI_NODE_PRODUCT:
        for (const struct kpi_node *child = node->first; child; child = child->next)
            (void)infer_operand(checker, child, KIND_NUMBER); /* their kinds are check's matter */
        return KIND_NUMBER;
    case KPI_NODE_NAME:
        reference = resolve(checker, node);
        field = field_behind(compile, reference);
        if (field != KPI_NO_INDEX && wanted != KIND_UNKNOWN)
            (void)field_settle(compile, field, /* a conflict is for the check to find */
                               wanted == KIND_STRING ? KPI_USE_STRING
                               : wanted == KIND_BOOL ? KPI_USE_BOOL
                                                     : KPI_USE_NUMBER,
                               checker->owner, &checker->news);
        return reference_kind(compile, reference);
    default:
        return KIND_UNKNOWN;
    }
}

static void infer_comparison(struct checker *checker, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kind kind = infer_operand(checker, left, KIND_UNKNOWN);
    bool ordered = node->kind == KPI_NODE_COMPARE && node->compare > KPI_COMPARE_NOT_EQUAL;

    if (kind == KIND_UNKNOWN && ordered)
        kind = KIND_NUMBER;
    kind = infer_operand(checker, right, kind);
    if (kind != KIND_UNKNOWN)
        (void)infer_operand(checker, left, kind); /* its answer is known already */
}

static void infer_condition(struct checker *checker, const struct kpi_node *node)
{
    switch (node->kind) {
    case KPI_NODE_AND:
    case KPI_NODE_OR:
    case KPI_NODE_NOT:
        for (const struct kpi_node *child = node->first; child; child = child->next)
            infer_condition(checker, child);
        break;
    case KPI_NODE_COMPARE:
    case KPI_NODE_IN:
        infer_comparison(checker, node);
        break;
    case KPI_NODE_NAME:
        (void)infer_operand(checker, node, KIND_BOOL); /* the check complains if it is none */
        break;
    default:
        break;
    }
}

bool kpi_check_infer(struct kpi_compile *compile, const struct kpi_text *text,
                     const struct kpi_node *node, const struct kpi_owner *owner)
{
    struct checker checker = {compile, text, owner, false};

    infer_condition(&checker, node);
    return checker.news;
}

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
                                   enum kind *ret_kind)
{
    struct kpi_compile *compile = checker->compile;
    struct reference reference = resolve(checker, node);
    struct kpi_cond *cond;

    switch (reference.sort) {
    case REFERENCE_BROKEN:
        if (reference.index == KPI_NO_INDEX)
            (void)kpi_check_field(compile, checker->text, node); /* says why it is none */
        return NULL;
    case REFERENCE_ACTIVE_TYPES:
        fail(checker, node, "active_types is a list; it stands behind \"in\"");
        return NULL;
    case REFERENCE_TYPE:
        cond = cond_new(checker, KPI_COND_TYPE);
        break;
    case REFERENCE_TIME:
        cond = cond_new(checker, KPI_COND_TIME);
        break;
    case REFERENCE_ATTRIBUTE:
        cond = cond_new(checker, KPI_COND_ATTRIBUTE);
        break;
    default:
        cond = cond_new(checker, KPI_COND_FIELD);
        break;
    }
    if (!cond)
        return NULL;
    cond->index = reference.index;
    *ret_kind = reference_kind(compile, reference);
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
                                     enum kind *ret_kind)
{
    struct kpi_cond *child = check_operand(checker, node->first, ret_kind), *cond;

    if (!child)
        return NULL;
    if (*ret_kind != KIND_NUMBER && *ret_kind != KIND_DURATION) {
        kpi_error(checker->compile->diag, kpi_place_node(checker->text, node->first),
                  KPI_NO_SUGGESTION, "%s cannot be negative", kind_names[*ret_kind]);
        return NULL;
    }
    if (child->kind == KPI_COND_LITERAL)
        return literal(checker, -child->number); /* literals are never INT64_MIN */
    cond = cond_new(checker, KPI_COND_NEGATE);
    if (cond)
        kpi_cond_child_add(cond, child);
    return cond;
}

/* The kind of `left join right`, or KIND_UNKNOWN if there is no such thing. */
static enum kind join_kinds(enum kind left, char join, enum kind right)
{
    if (left == KIND_NUMBER && right == KIND_NUMBER)
        return KIND_NUMBER;
    switch (join) {
    case '+':
        if (left == KIND_TIME && right == KIND_DURATION)
            return KIND_TIME;
        if (left == KIND_DURATION && (right == KIND_TIME || right == KIND_DURATION))
            return right;
        return KIND_UNKNOWN;
    case '-':
        if (left == KIND_TIME && right == KIND_DURATION)
            return KIND_TIME;
        return left == right && (left == KIND_TIME || left == KIND_DURATION) ? KIND_DURATION
                                                                             : KIND_UNKNOWN;
    case '*':
        return (left == KIND_NUMBER && right == KIND_DURATION) ||
                       (left == KIND_DURATION && right == KIND_NUMBER)
                   ? KIND_DURATION
                   : KIND_UNKNOWN;
    default:
        if (left != KIND_DURATION)
            return KIND_UNKNOWN;
        return right == KIND_NUMBER     ? KIND_DURATION
               : right == KIND_DURATION ? KIND_NUMBER
                                        : KIND_UNKNOWN;
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
                                         enum kind *ret_kind)
{
    struct kpi_cond *cond =
        cond_new(checker, node->kind == KPI_NODE_SUM ? KPI_COND_SUM : KPI_COND_PRODUCT);
    bool all_literal = true;
    int64_t number = 0;
    enum kind kind = KIND_UNKNOWN;

    if (!cond)
        return NULL;
    for (const struct kpi_node *node_child = node->first; node_child;
         node_child = node_child->next) {
        enum kind left = kind;
        struct kpi_cond *child = check_operand(checker, node_child, &kind);
        enum kind right = kind;

        if (!child)
            return NULL;
        if (node_child != node->first)
            kind = join_kinds(left, node_child->join, right);
        else if (right == KIND_STRING || right == KIND_BOOL)
            kind = KIND_UNKNOWN;
        if (kind == KIND_UNKNOWN) {
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node_child),
                      KPI_NO_SUGGESTION, "%s cannot be reckoned with here", kind_names[right]);
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

static struct kpi_cond *check_operand(struct checker *checker, const struct kpi_node *node,
                                      enum kind *ret_kind)
{
    struct kpi_cond *cond;

    switch (node->kind) {
    case KPI_NODE_NUMBER:
        *ret_kind = KIND_NUMBER;
        return literal(checker, node->number);
    case KPI_NODE_DURATION:
        *ret_kind = KIND_DURATION;
        return literal(checker, node->number);
    case KPI_NODE_BOOL:
        *ret_kind = KIND_BOOL;
        return literal(checker, node->number);
    case KPI_NODE_STRING:
        *ret_kind = KIND_STRING;
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
        fail(checker, node, "no function can stand in a condition");
        return NULL;
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

/* Says which side of a comparison does not fit: a field whose use is settled elsewhere, or a side.
 */
static void mismatch(struct checker *checker, const struct kpi_node *left, const struct kpi_cond *a,
                     enum kind ka, const struct kpi_node *right, const struct kpi_cond *b,
                     enum kind kb)
{
    struct kpi_compile *compile = checker->compile;

    if (a->kind == KPI_COND_FIELD && kb <= KIND_NUMBER)
        use_conflict(compile, checker->text, left, a->index, kb);
    else if (b->kind == KPI_COND_FIELD && ka <= KIND_NUMBER)
        use_conflict(compile, checker->text, right, b->index, ka);
    else if (is_literal(a))
        kpi_error(compile->diag, kpi_place_node(checker->text, left), KPI_NO_SUGGESTION,
                  "%s cannot be compared with %s", kind_names[ka], kind_names[kb]);
    else
        kpi_error(compile->diag, kpi_place_node(checker->text, right), KPI_NO_SUGGESTION,
                  "%s cannot be compared with %s", kind_names[kb], kind_names[ka]);
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

static struct kpi_cond *check_comparison(struct checker *checker, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kpi_compare compare = node->compare;
    enum kind ka = KIND_UNKNOWN, kb = KIND_UNKNOWN;
    struct kpi_cond *a = check_operand(checker, left, &ka), *b = check_operand(checker, right, &kb);
    struct kpi_cond *cond;

    if (!a || !b)
        return NULL;
    if (ka != kb) {
        mismatch(checker, left, a, ka, right, b, kb);
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
    if ((ka == KIND_STRING || ka == KIND_BOOL) && compare > KPI_COMPARE_NOT_EQUAL) {
        kpi_error(checker->compile->diag, kpi_place_node(checker->text, right), KPI_NO_SUGGESTION,
                  "%s has no order; use == or !=", kind_names[ka]);
        return NULL;
    }
    if (ka == KIND_STRING)
        return compare_strings(checker, a, b, compare == KPI_COMPARE_NOT_EQUAL);
    if (ka != KIND_BOOL)
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
                       enum kind *ret_kind)
{
    struct kpi_string *strings =
        kpi_pool_alloc(&checker->compile->temp, list->n_children * sizeof(*strings));
    int64_t *numbers = kpi_pool_alloc(&checker->compile->temp, list->n_children * sizeof(*numbers));
    uint32_t n = 0;

    if (!strings || !numbers)
        return false;
    for (const struct kpi_node *node = list->first; node; node = node->next, ++n) {
        enum kind kind = KIND_UNKNOWN;
        struct kpi_cond *item = check_operand(checker, node, &kind);

        if (!item)
            return false;
        if (!is_literal(item) || kind == KIND_BOOL) {
            fail(checker, node, "a list holds strings or numbers as they are");
            return false;
        }
        if (n > 0 && kind != *ret_kind) {
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node),
                      KPI_NO_SUGGESTION, "%s cannot stand in a list that begins with %s",
                      kind_names[kind], kind_names[*ret_kind]);
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
    if (*ret_kind == KIND_STRING)
        kpi_cond_strings_set(cond, strings, n);
    else
        kpi_cond_numbers_set(cond, numbers, n);
    return true;
}

static struct kpi_cond *check_in(struct checker *checker, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kind ka = KIND_UNKNOWN, kb = KIND_STRING;
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
        mismatch(checker, left, a, ka, right, cond, kb);
        return NULL;
    }
    if (is_literal(a)) {
        fail(checker, left, "this looks a literal up in a list of literals");
        return NULL;
    }
    kpi_cond_child_add(cond, a);
    if (ka == KIND_STRING)
        return cond;
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

static struct kpi_cond *check_condition(struct checker *checker, const struct kpi_node *node)
{
    enum kind kind = KIND_UNKNOWN;
    struct kpi_cond *cond, *child;

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
    default:
        break;
    }
    child = check_operand(checker, node, &kind);
    if (!child)
        return NULL;
    if (kind != KIND_BOOL) {
        if (child->kind == KPI_COND_FIELD)
            use_conflict(checker->compile, checker->text, node, child->index, KIND_BOOL);
        else
            kpi_error(checker->compile->diag, kpi_place_node(checker->text, node),
                      KPI_NO_SUGGESTION, "a condition is expected here, not %s", kind_names[kind]);
        return NULL;
    }
    cond = cond_new(checker, KPI_COND_BOOL);
    if (cond)
        kpi_cond_child_add(cond, child);
    return cond;
}

struct kpi_cond *kpi_check_condition(struct kpi_compile *compile, const struct kpi_text *text,
                                     const struct kpi_node *node, const struct kpi_owner *owner)
{
    struct checker checker = {compile, text, owner, false};
    struct kpi_cond *cond = check_condition(&checker, node);

    return cond ? kpi_cond_fold(&compile->temp, cond) : NULL;
}
