/*
 * Formulas: from trees to postfix terms, numerator and denominator apart, and to canonical text.
 */
#include "spec/compile.h"
#include "spec/evaluate.h"
#include "spec/functions.h"
#include "spec/names.h"

#include <xxhash.h>

/* Which names a formula may use. */
enum formula_role {
    FORMULA_KPI,    /* measures, retained() and campaign parameters */
    FORMULA_TARGET, /* campaign parameters */
};

struct builder {
    struct kpi_compile *compile;
    const struct kpi_text *text;
    enum formula_role role;
    struct kpi_vector terms;   /* struct kpi_term: of the numerator, or of all of it */
    struct kpi_vector divisor; /* of the denominator */
    bool in_divisor;           /* terms go there now */
    struct kpi_vector leaves;  /* uint32_t, each once */
    struct kpi_writer shown;   /* for people: names of measures */
    struct kpi_writer meant;   /* for the fingerprint: fingerprints of measures */
};

static void build(struct builder *builder, const struct kpi_node *node);

static void builder_init(struct builder *builder, struct kpi_compile *compile,
                         const struct kpi_text *text, enum formula_role role)
{
    *builder = (struct builder){
        .compile = compile,
        .text = text,
        .role = role,
        .shown = {.mem = compile->mem},
        .meant = {.mem = compile->mem},
    };
    kpi_vector_init(&builder->terms, compile->mem, sizeof(struct kpi_term));
    kpi_vector_init(&builder->divisor, compile->mem, sizeof(struct kpi_term));
    kpi_vector_init(&builder->leaves, compile->mem, sizeof(uint32_t));
}

static void builder_deinit(struct builder *builder)
{
    builder->compile->temp.failed |= builder->terms.failed || builder->divisor.failed ||
                                     builder->leaves.failed || builder->shown.failed ||
                                     builder->meant.failed;
    kpi_vector_deinit(&builder->terms);
    kpi_vector_deinit(&builder->divisor);
    kpi_vector_deinit(&builder->leaves);
    kpi_writer_deinit(&builder->shown);
    kpi_writer_deinit(&builder->meant);
}

static void both(struct builder *builder, const char *text)
{
    kpi_writer_format(&builder->shown, "%s", text);
    kpi_writer_format(&builder->meant, "%s", text);
}

static struct kpi_term *term_add(struct builder *builder, enum kpi_term_kind kind)
{
    struct kpi_term *term =
        kpi_vector_push(builder->in_divisor ? &builder->divisor : &builder->terms);

    if (term)
        term->kind = kind;
    return term;
}

static void fail(struct builder *builder, const struct kpi_node *node, const char *message)
{
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION, "%s",
              message);
}

/* Finds an equal leaf or adds one. */
static uint32_t leaf_intern(struct kpi_compile *compile, const struct kpi_leaf_work *leaf)
{
    const struct kpi_leaf_work *leaves = compile->leaves.data;
    struct kpi_leaf_work *added;

    for (uint32_t i = 0; i < compile->leaves.n; ++i) {
        if (leaves[i].fingerprint == leaf->fingerprint)
            return i;
    }
    added = kpi_vector_push(&compile->leaves);
    if (added)
        *added = *leaf;
    return compile->leaves.n - 1;
}

static void leaf_add(struct builder *builder, const struct kpi_leaf_work *leaf)
{
    uint32_t index = leaf_intern(builder->compile, leaf), *known = builder->leaves.data, *added;
    struct kpi_term *term = term_add(builder, KPI_TERM_LEAF);

    if (term)
        term->leaf = index;
    for (uint32_t i = 0; i < builder->leaves.n; ++i) {
        if (known[i] == index)
            return;
    }
    added = kpi_vector_push(&builder->leaves);
    if (added)
        *added = index;
}

static uint32_t measure_index(const struct kpi_compile *compile,
                              const struct kpi_measure_work *measure)
{
    return (uint32_t)(measure - compile->measures);
}

static void build_measure(struct builder *builder, struct kpi_measure_work *measure)
{
    static const enum kpi_leaf_kind kinds[] = {
        [KPI_AGGREGATE_COUNT] = KPI_LEAF_COUNT,
        [KPI_AGGREGATE_SUM] = KPI_LEAF_SUM,
        [KPI_AGGREGATE_LEVEL] = KPI_LEAF_USERS,
        [KPI_AGGREGATE_LATEST] = KPI_LEAF_LATEST,
    };

    measure->used = true;
    kpi_writer_format(&builder->shown, "%S", kpi_text_string(&measure->definition->name));
    kpi_writer_format(&builder->meant, "%x", measure->fingerprint);
    if (measure->broken)
        return;
    leaf_add(builder, &(struct kpi_leaf_work){
                          .fingerprint = measure->fingerprint,
                          .kind = kinds[measure->aggregate],
                          .measure = measure_index(builder->compile, measure),
                      });
}

/* Says that a name is unknown, and what it may have been. */
static void unknown_name(struct builder *builder, const struct kpi_node *node)
{
    struct kpi_compile *compile = builder->compile;
    struct kpi_place place = kpi_place_node(builder->text, node);
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, node->string);
    kpi_suggestion_offer(&suggestion, KPI_STRING("audience"));
    kpi_suggestion_offer(&suggestion, KPI_STRING("budget"));
    if (builder->role == FORMULA_TARGET) {
        kpi_error(compile->diag, place, suggestion.best,
                  "a target is made of numbers, audience and budget; \"%S\" is none of them",
                  node->string);
        return;
    }
    for (uint32_t i = 0; i < compile->n_measures; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->measures[i].name));
    for (uint32_t i = 0; i < compile->in->n_kpis; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->kpis[i].name), node->string)) {
            kpi_error(compile->diag, place, suggestion.best,
                      "\"%S\" is a KPI; formulas are made of measures", node->string);
            return;
        }
    }
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->attributes[i].name), node->string)) {
            kpi_error(compile->diag, place, suggestion.best,
                      "\"%S\" is an attribute; formulas are made of measures", node->string);
            return;
        }
    }
    kpi_error(compile->diag, place, suggestion.best, "there is no measure \"%S\"", node->string);
}

static void build_name(struct builder *builder, const struct kpi_node *node)
{
    struct kpi_measure_work *measure = NULL;

    if (kpi_string_equal(node->string, KPI_STRING("audience"))) {
        both(builder, "audience");
        (void)term_add(builder, KPI_TERM_AUDIENCE); /* a failure is noted in the vector */
        return;
    }
    if (kpi_string_equal(node->string, KPI_STRING("budget"))) {
        both(builder, "budget");
        (void)term_add(builder, KPI_TERM_BUDGET);
        return;
    }
    if (builder->role == FORMULA_KPI)
        measure = kpi_measures_find(builder->compile, node->string);
    if (measure)
        build_measure(builder, measure);
    else
        unknown_name(builder, node);
}

/* The measure that an argument of retained() names; it must count users. */
static struct kpi_measure_work *users_measure(struct builder *builder, const struct kpi_node *node)
{
    struct kpi_measure_work *measure = kpi_measures_find(builder->compile, node->string);

    if (!measure) {
        unknown_name(builder, node);
        return NULL;
    }
    measure->used = true;
    if (measure->broken)
        return NULL;
    if (measure->aggregate == KPI_AGGREGATE_LEVEL && measure->level == 1)
        return measure;
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION,
              "retained() takes measures with the aggregate users; \"%S\" is none", node->string);
    return NULL;
}

static void build_call(struct builder *builder, const struct kpi_node *node)
{
    static const char *const bases[] = {"day", "week", "month"};
    struct kpi_compile *compile = builder->compile;
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    struct kpi_measure_work *start, *back;
    struct kpi_leaf_work leaf = {.kind = KPI_LEAF_RETAINED};
    size_t begin;

    if (builder->role == FORMULA_TARGET) {
        fail(builder, node, "no function can stand in a target");
        return;
    }
    if (!kpi_function_bind(builder->text, node, KPI_ROLE_FORMULA, compile->diag, bound))
        return;
    start = users_measure(builder, bound[0].node);
    back = users_measure(builder, bound[1].node);
    if (!start || !back)
        return;
    leaf.measure = measure_index(compile, start);
    leaf.return_measure = measure_index(compile, back);
    leaf.basis = (enum kpi_basis)bound[2].integer;
    leaf.at = (uint32_t)bound[3].integer;
    leaf.match_both = bound[4].node && bound[4].integer == 1;
    kpi_writer_format(&builder->shown, "retained(start=%S, return=%S, basis=%s, at=%d%s)",
                      kpi_text_string(&start->definition->name),
                      kpi_text_string(&back->definition->name), bases[leaf.basis], (int64_t)leaf.at,
                      leaf.match_both ? ", match=both" : "");
    begin = builder->meant.length;
    kpi_writer_format(&builder->meant, "retained(%x, %x, %s, %d, %s, %d)", start->fingerprint,
                      back->fingerprint, bases[leaf.basis], (int64_t)leaf.at,
                      leaf.match_both ? "both" : "start",
                      leaf.basis == KPI_BASIS_WEEK ? (int64_t)compile->in->week_start : (int64_t)0);
    leaf.fingerprint = builder->meant.failed ? 0
                                             : XXH3_64bits(builder->meant.data + begin,
                                                           builder->meant.length - begin);
    leaf_add(builder, &leaf);
}

static void build_number(struct builder *builder, const struct kpi_node *node)
{
    bool whole = node->number % KPI_DECIMAL_ONE == 0;
    struct kpi_term *term = term_add(builder, whole ? KPI_TERM_COUNT : KPI_TERM_REAL);

    if (term) {
        term->value = node->number / KPI_DECIMAL_ONE;
        term->real = (double)node->number / (double)KPI_DECIMAL_ONE;
    }
    kpi_writer_decimal_add(&builder->shown, node->number);
    kpi_writer_decimal_add(&builder->meant, node->number);
}

/* An operand; a chain inside another one is set in parentheses where they are needed. */
static void build_operand(struct builder *builder, const struct kpi_node *node, bool parentheses)
{
    if (parentheses)
        both(builder, "(");
    build(builder, node);
    if (parentheses)
        both(builder, ")");
}

static void join_add(struct builder *builder, char join)
{
    (void)term_add(builder, join == '+'   ? KPI_TERM_ADD
                            : join == '-' ? KPI_TERM_SUBTRACT
                            : join == '*' ? KPI_TERM_MULTIPLY
                                          : KPI_TERM_DIVIDE);
}

static bool is_chain(const struct kpi_node *node)
{
    return node->kind == KPI_NODE_SUM || node->kind == KPI_NODE_PRODUCT;
}

/* The terms of `divisor`, one of the children or NULL, are set apart. */
static void build_chain(struct builder *builder, const struct kpi_node *node,
                        const struct kpi_node *divisor)
{
    for (const struct kpi_node *child = node->first; child; child = child->next) {
        const char text[] = {' ', child->join, ' ', '\0'};
        bool first = child == node->first;

        if (!first)
            both(builder, text);
        builder->in_divisor |= child == divisor;
        build_operand(builder, child,
                      is_chain(child) &&
                          (node->kind == KPI_NODE_PRODUCT || child->kind == node->kind));
        if (child == divisor)
            builder->in_divisor = false;
        else if (!first)
            join_add(builder, child->join);
    }
}

static void build(struct builder *builder, const struct kpi_node *node)
{
    switch (node->kind) {
    case KPI_NODE_NUMBER:
        build_number(builder, node);
        break;
    case KPI_NODE_NAME:
        build_name(builder, node);
        break;
    case KPI_NODE_CALL:
        build_call(builder, node);
        break;
    case KPI_NODE_SUM:
    case KPI_NODE_PRODUCT:
        build_chain(builder, node, NULL);
        break;
    case KPI_NODE_NEGATE:
        both(builder, "-");
        build_operand(builder, node->first, is_chain(node->first));
        (void)term_add(builder, KPI_TERM_NEGATE);
        break;
    case KPI_NODE_DURATION:
        fail(builder, node, "a duration cannot be reckoned with here; write a number");
        break;
    case KPI_NODE_STRING:
    case KPI_NODE_LIST:
    case KPI_NODE_BOOL:
        fail(builder, node, "a number is expected here");
        break;
    default:
        fail(builder, node, "a number is expected here, not a condition");
        break;
    }
}

/* The last operand that divides at the top of a formula, or NULL. */
static const struct kpi_node *last_divisor(const struct kpi_node *node)
{
    const struct kpi_node *divisor = NULL;

    if (node->kind != KPI_NODE_PRODUCT)
        return NULL;
    for (const struct kpi_node *child = node->first; child; child = child->next) {
        if (child->join == '/')
            divisor = child;
    }
    return divisor;
}

/*
 * A chain of products and quotients is split at its last division: a / b * c is (a * c) over b. A
 * lone retained() brings both sides itself, in its rows.
 */
static void build_formula(struct builder *builder, const struct kpi_node *node)
{
    const struct kpi_node *divisor = last_divisor(node);

    if (divisor)
        build_chain(builder, node, divisor);
    else
        build(builder, node);
}

static void formula_keep(struct builder *builder, const struct kpi_node *node,
                         struct kpi_formula *ret_formula)
{
    struct kpi_pool *pool = &builder->compile->plan->pool;
    uint32_t n = builder->terms.n + builder->divisor.n;
    struct kpi_term *terms = kpi_pool_alloc(pool, n * sizeof(*terms));

    if (!terms)
        return;
    if (builder->terms.n > 0)
        memcpy(terms, builder->terms.data, builder->terms.n * sizeof(*terms));
    if (builder->divisor.n > 0)
        memcpy(terms + builder->terms.n, builder->divisor.data,
               builder->divisor.n * sizeof(*terms));
    *ret_formula = (struct kpi_formula){
        .terms = terms,
        .n_numerator = builder->terms.n,
        .n_denominator = builder->divisor.n,
        .retained = node->kind == KPI_NODE_CALL && builder->leaves.n == 1
                        ? *(const uint32_t *)builder->leaves.data
                        : KPI_NO_INDEX,
        .leaves = kpi_pool_copy(pool, builder->leaves.data, builder->leaves.n * sizeof(uint32_t)),
        .n_leaves = builder->leaves.n,
    };
}

static void kpi_compile(struct kpi_compile *compile, uint32_t index)
{
    static const char *const units[] = {"ratio",    "count",  "money",
                                        "duration", "points", "multiple"};
    const struct kpi_kpi_definition *definition = &compile->in->kpis[index];
    struct kpi_kpi_info *info = &compile->plan->kpis[index];
    struct kpi_pool *pool = &compile->plan->pool;
    struct kpi_string name = kpi_pool_string(pool, kpi_text_string(&definition->name));
    struct kpi_node *node = kpi_parse(&compile->temp, &definition->formula, compile->diag);
    struct builder builder;

    info->name = info->title_en = info->title_zh = name;
    info->unit = definition->unit;
    info->better = definition->better;
    if (definition->title_en.length > 0)
        info->title_en = kpi_pool_string(pool, kpi_text_string(&definition->title_en));
    if (definition->title_zh.length > 0)
        info->title_zh = kpi_pool_string(pool, kpi_text_string(&definition->title_zh));
    if (!node)
        return;
    builder_init(&builder, compile, &definition->formula, FORMULA_KPI);
    build_formula(&builder, node);
    kpi_writer_format(&builder.meant, " unit %s", units[definition->unit]);
    info->formula = kpi_pool_string(pool, kpi_writer_string(&builder.shown));
    info->fingerprint = XXH3_64bits(builder.meant.data, builder.meant.length);
    formula_keep(&builder, node, &compile->plan->formulas[index]);
    builder_deinit(&builder);
}

void kpi_formulas_compile(struct kpi_compile *compile)
{
    const struct kpi_names_seen seen = {"KPI", compile->in->kpis, sizeof(*compile->in->kpis)};

    for (uint32_t i = 0; i < compile->in->n_kpis; ++i) {
        (void)kpi_name_check(compile, &seen, i); /* compiled all the same, to find its errors */
        kpi_compile(compile, i);
    }
    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        const struct kpi_text *name = &compile->in->measures[i].name;

        if (!compile->measures[i].used)
            kpi_warning(compile->diag, kpi_place_text(name), KPI_NO_SUGGESTION,
                        "no KPI uses the measure \"%S\"; it is not counted", kpi_text_string(name));
    }
}

bool kpi_formula_constant(struct kpi_compile *compile, const struct kpi_text *text,
                          kpi_decimal audience, kpi_decimal budget, double *ret_value)
{
    const struct kpi_inputs inputs = {.audience = audience, .budget = budget};
    struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);
    unsigned n_errors = compile->diag->n_errors;
    struct kpi_number number;
    struct builder builder;
    bool defined = false;

    if (!node)
        return false;
    builder_init(&builder, compile, text, FORMULA_TARGET);
    build(&builder, node);
    if (compile->diag->n_errors == n_errors && !builder.terms.failed)
        defined = kpi_terms_evaluate(builder.terms.data, builder.terms.n, &inputs, &number);
    if (compile->diag->n_errors == n_errors && !builder.terms.failed && !defined)
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "this has no value: it names an audience or budget that the campaign does not "
                  "give, divides by zero, or is too large");
    builder_deinit(&builder);
    if (defined)
        *ret_value = number.real;
    return defined;
}
