/*
 * Event fields, and what names in conditions stand for.
 *
 * The kinds of fields are not declared: they follow from use. kpi_check_infer() learns them from
 * all conditions, again and again until nothing is new, and leaves complaints to the check.
 */
#include "spec/kinds.h"
#include "spec/names.h"

struct inferrer {
    struct kpi_compile *compile;
    const struct kpi_text *text;
    const struct kpi_owner *owner;
    bool news; /* something was learnt */
};

const char *kpi_kind_name(enum kpi_kind kind)
{
    static const char *const names[] = {
        "a value", "true or false", "a string", "a number", "a time", "a duration",
    };

    return names[kind];
}

static enum kpi_kind kind_of_use(enum kpi_field_use use)
{
    switch (use) {
    case KPI_USE_STRING:
        return KPI_KIND_STRING;
    case KPI_USE_BOOL:
        return KPI_KIND_BOOL;
    default:
        return KPI_KIND_NUMBER;
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

/* A name of the envelope, or a path into one: they hold no objects. */
static bool is_reserved(struct kpi_string name)
{
    const char *point = memchr(name.data, '.', name.length);

    if (point)
        name.length = (size_t)(point - name.data);
    return kpi_name_is_reserved(name);
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
    if (is_reserved(name->string) || field == KPI_FIELDS_MAX)
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
    if (is_reserved(name->string))
        kpi_error(compile->diag, kpi_place_node(text, name), KPI_NO_SUGGESTION,
                  "\"%S\" belongs to every event and cannot be used as a field", name->string);
    else
        kpi_error(compile->diag, kpi_place_node(text, name), KPI_NO_SUGGESTION,
                  "\"%S\" is one field too many; definitions may use %d", name->string,
                  (int64_t)KPI_FIELDS_MAX);
    return KPI_NO_INDEX;
}

void kpi_field_conflict(struct kpi_compile *compile, const struct kpi_text *text,
                        const struct kpi_node *node, uint32_t field, enum kpi_kind wanted)
{
    const struct kpi_field_entry *entry = &compile->fields[field];
    const char *used = kpi_kind_name(kind_of_use(entry->use));

    if (entry->owner.sort)
        kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "the field \"%S\" is used as %s here, but as %s in %s \"%S\"", entry->name,
                  kpi_kind_name(wanted), used, entry->owner.sort, entry->owner.name);
    else
        kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "the field \"%S\" is used as %s here, but it always is %s", entry->name,
                  kpi_kind_name(wanted), used);
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
    kpi_field_conflict(compile, text, node, field, kind_of_use(use));
    return false;
}

void kpi_check_any(struct kpi_compile *compile, uint32_t field, const struct kpi_owner *owner)
{
    bool news = false;

    (void)field_settle(compile, field, KPI_USE_ANY, owner, &news); /* it was not settled */
}

uint32_t kpi_attribute_find(const struct kpi_compile *compile, struct kpi_string name)
{
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->attributes[i].name), name))
            return i;
    }
    return KPI_NO_INDEX;
}

bool kpi_attribute_named(struct kpi_compile *compile, struct kpi_place place,
                         struct kpi_string name, uint32_t *ret_index)
{
    uint32_t index = kpi_attribute_find(compile, name);
    struct kpi_suggestion suggestion;

    if (index != KPI_NO_INDEX) {
        *ret_index = index;
        return !compile->attributes[index].broken;
    }
    kpi_suggestion_init(&suggestion, name);
    for (uint32_t i = 0; i < compile->n_attributes; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->attributes[i].name));
    kpi_error(compile->diag, place, suggestion.best, "there is no attribute \"%S\"", name);
    return false;
}

struct kpi_reference kpi_reference_resolve(struct kpi_compile *compile, const struct kpi_text *text,
                                           const struct kpi_node *node)
{
    uint32_t index;

    if (kpi_string_equal(node->string, KPI_STRING("type")))
        return (struct kpi_reference){.sort = KPI_REFERENCE_TYPE};
    if (kpi_string_equal(node->string, KPI_STRING("time")))
        return (struct kpi_reference){.sort = KPI_REFERENCE_TIME};
    if (kpi_string_equal(node->string, KPI_STRING("active_types")))
        return (struct kpi_reference){.sort = KPI_REFERENCE_ACTIVE_TYPES};
    index = kpi_segment_find(compile, node->string);
    if (index != KPI_NO_INDEX)
        return (struct kpi_reference){KPI_REFERENCE_SEGMENT, index};
    index = kpi_attribute_find(compile, node->string);
    if (index != KPI_NO_INDEX)
        return (struct kpi_reference){compile->attributes[index].broken ? KPI_REFERENCE_BROKEN
                                                                        : KPI_REFERENCE_ATTRIBUTE,
                                      index};
    index = field_of(compile, text, node);
    if (index != KPI_NO_INDEX)
        return (struct kpi_reference){KPI_REFERENCE_FIELD, index};
    return (struct kpi_reference){KPI_REFERENCE_BROKEN, KPI_NO_INDEX};
}

/* The field whose kind a reference has, or KPI_NO_INDEX. */
static uint32_t field_behind(const struct kpi_compile *compile, struct kpi_reference reference)
{
    if (reference.sort == KPI_REFERENCE_FIELD)
        return reference.index;
    if (reference.sort == KPI_REFERENCE_ATTRIBUTE &&
        (compile->attributes[reference.index].kind == KPI_ATTRIBUTE_LAST ||
         compile->attributes[reference.index].kind == KPI_ATTRIBUTE_FIRST))
        return compile->attributes[reference.index].field;
    return KPI_NO_INDEX;
}

enum kpi_kind kpi_reference_kind(const struct kpi_compile *compile, struct kpi_reference reference)
{
    uint32_t field = field_behind(compile, reference);

    if (field != KPI_NO_INDEX)
        return compile->fields[field].known ? kind_of_use(compile->fields[field].use)
                                            : KPI_KIND_UNKNOWN;
    switch (reference.sort) {
    case KPI_REFERENCE_TYPE:
    case KPI_REFERENCE_ACTIVE_TYPES:
        return KPI_KIND_STRING;
    case KPI_REFERENCE_TIME:
        return KPI_KIND_TIME;
    case KPI_REFERENCE_SEGMENT:
        return KPI_KIND_BOOL;
    case KPI_REFERENCE_ATTRIBUTE:
        return compile->attributes[reference.index].kind == KPI_ATTRIBUTE_MIN_TIME ||
                       compile->attributes[reference.index].kind == KPI_ATTRIBUTE_MAX_TIME
                   ? KPI_KIND_TIME
                   : KPI_KIND_NUMBER;
    default:
        return KPI_KIND_UNKNOWN;
    }
}

void kpi_reference_describe(const struct kpi_compile *compile, struct kpi_writer *writer,
                            struct kpi_reference reference)
{
    const char *name = kpi_kind_name(kpi_reference_kind(compile, reference));
    uint32_t field = field_behind(compile, reference);
    const struct kpi_owner *owner;

    if (reference.sort == KPI_REFERENCE_ATTRIBUTE && field == KPI_NO_INDEX) {
        kpi_writer_format(writer, "is %s", name);
        return;
    }
    owner = field == KPI_NO_INDEX ? NULL : &compile->fields[field].owner;
    if (owner && owner->sort)
        kpi_writer_format(writer, "is %s in %s \"%S\"", name, owner->sort, owner->name);
    else
        kpi_writer_format(writer, "always is %s", name);
}

/* The kind of an operand as far as it is known; an unsettled field becomes what is wanted. */
static enum kpi_kind infer_operand(struct inferrer *inferrer, const struct kpi_node *node,
                                   enum kpi_kind wanted)
{
    struct kpi_compile *compile = inferrer->compile;
    struct kpi_reference reference;
    uint32_t field;

    switch (node->kind) {
    case KPI_NODE_NUMBER:
        return KPI_KIND_NUMBER;
    case KPI_NODE_DURATION:
        return KPI_KIND_DURATION;
    case KPI_NODE_CALL: /* all others are of clocks */
        return kpi_string_equal(node->string, KPI_STRING("age")) ? KPI_KIND_DURATION
                                                                 : KPI_KIND_NUMBER;
    case KPI_NODE_STRING:
        return KPI_KIND_STRING;
    case KPI_NODE_BOOL:
        return KPI_KIND_BOOL;
    case KPI_NODE_LIST:
        return node->first ? infer_operand(inferrer, node->first, KPI_KIND_UNKNOWN)
                           : KPI_KIND_UNKNOWN;
    case KPI_NODE_NEGATE:
    case KPI_NODE_SUM:
    case KPI_NODE_PRODUCT:
        for (const struct kpi_node *child = node->first; child; child = child->next)
            (void)infer_operand(inferrer, child,
                                KPI_KIND_NUMBER); /* their kinds are check's matter */
        return KPI_KIND_NUMBER;
    case KPI_NODE_NAME:
        reference = kpi_reference_resolve(inferrer->compile, inferrer->text, node);
        field = field_behind(compile, reference);
        if (field != KPI_NO_INDEX && wanted != KPI_KIND_UNKNOWN)
            (void)field_settle(compile, field, /* a conflict is for the check to find */
                               wanted == KPI_KIND_STRING ? KPI_USE_STRING
                               : wanted == KPI_KIND_BOOL ? KPI_USE_BOOL
                                                         : KPI_USE_NUMBER,
                               inferrer->owner, &inferrer->news);
        return kpi_reference_kind(compile, reference);
    default:
        return KPI_KIND_UNKNOWN;
    }
}

static void infer_comparison(struct inferrer *inferrer, const struct kpi_node *node)
{
    const struct kpi_node *left = node->first, *right = node->first->next;
    enum kpi_kind kind = infer_operand(inferrer, left, KPI_KIND_UNKNOWN);
    bool ordered = node->kind == KPI_NODE_COMPARE && node->compare > KPI_COMPARE_NOT_EQUAL;

    if (kind == KPI_KIND_UNKNOWN && ordered)
        kind = KPI_KIND_NUMBER;
    kind = infer_operand(inferrer, right, kind);
    if (kind != KPI_KIND_UNKNOWN)
        (void)infer_operand(inferrer, left, kind); /* its answer is known already */
}

static void infer_condition(struct inferrer *inferrer, const struct kpi_node *node)
{
    switch (node->kind) {
    case KPI_NODE_AND:
    case KPI_NODE_OR:
    case KPI_NODE_NOT:
        for (const struct kpi_node *child = node->first; child; child = child->next)
            infer_condition(inferrer, child);
        break;
    case KPI_NODE_COMPARE:
    case KPI_NODE_IN:
        infer_comparison(inferrer, node);
        break;
    case KPI_NODE_NAME:
        (void)infer_operand(inferrer, node, KPI_KIND_BOOL); /* the check complains if it is none */
        break;
    default:
        break;
    }
}

bool kpi_check_infer(struct kpi_compile *compile, const struct kpi_text *text,
                     const struct kpi_node *node, const struct kpi_owner *owner)
{
    struct inferrer inferrer = {compile, text, owner, false};

    infer_condition(&inferrer, node);
    return inferrer.news;
}
