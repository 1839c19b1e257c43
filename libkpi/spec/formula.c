/*
 * Formulas: from trees to postfix terms, numerator and denominator apart, and to canonical text.
 */
#include "spec/build.h"
#include "spec/evaluate.h"
#include "spec/names.h"

#include <math.h>
#include <xxhash.h>

static void builder_init(struct kpi_builder *builder, struct kpi_compile *compile,
                         const struct kpi_text *text)
{
    *builder = (struct kpi_builder){
        .compile = compile,
        .text = text,
        .shown = {.mem = compile->mem},
        .meant = {.mem = compile->mem},
    };
    kpi_vector_init(&builder->terms, compile->mem, sizeof(struct kpi_term));
    kpi_vector_init(&builder->divisor, compile->mem, sizeof(struct kpi_term));
    kpi_vector_init(&builder->leaves, compile->mem, sizeof(uint32_t));
}

static void builder_deinit(struct kpi_builder *builder)
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

void kpi_build_text(struct kpi_builder *builder, const char *text)
{
    if (!builder->hidden)
        kpi_writer_format(&builder->shown, "%s", text);
    kpi_writer_format(&builder->meant, "%s", text);
}

void kpi_build_fail(struct kpi_builder *builder, const struct kpi_node *node, const char *message)
{
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION, "%s",
              message);
}

/* How many numbers more wait after a term; MEAN, MEDIAN and FALLS are for their makers to count. */
static int waiting(enum kpi_term_kind kind)
{
    switch (kind) {
    case KPI_TERM_ADD:
    case KPI_TERM_SUBTRACT:
    case KPI_TERM_MULTIPLY:
    case KPI_TERM_DIVIDE:
        return -1;
    case KPI_TERM_NEGATE:
    case KPI_TERM_ABSOLUTE:
    case KPI_TERM_ROOT:
    case KPI_TERM_MEAN:
    case KPI_TERM_MEDIAN:
    case KPI_TERM_FALLS:
        return 0;
    default:
        return 1;
    }
}

void kpi_build_clash(struct kpi_builder *builder, const struct kpi_node *node, const char *message)
{
    builder->clash = message;
    if (builder->hidden)
        return;
    kpi_build_fail(builder, node, message);
    builder->clash_told = true;
}

void kpi_build_clash_tell(struct kpi_builder *builder, const struct kpi_node *node)
{
    if (builder->hidden || !builder->clash || builder->clash_told)
        return;
    kpi_build_fail(builder, node, builder->clash);
    builder->clash_told = true;
}

struct kpi_term *kpi_build_term(struct kpi_builder *builder, enum kpi_term_kind kind)
{
    struct kpi_term *term =
        kpi_vector_push(builder->in_divisor ? &builder->divisor : &builder->terms);

    if (term)
        term->kind = kind;
    builder->depth += waiting(kind);
    if (builder->depth <= KPI_TERMS_DEPTH_MAX || builder->too_deep)
        return term;
    builder->too_deep = true;
    if (builder->hidden)
        builder->clash = "this makes the formula too deep: too many numbers wait for another one";
    else
        kpi_error(builder->compile->diag, kpi_place_text(builder->text), KPI_NO_SUGGESTION,
                  "this formula is too deep: more than %d numbers wait for another one",
                  (int64_t)KPI_TERMS_DEPTH_MAX);
    return term;
}

/* Says that a name is unknown, and what it may have been. */
void kpi_build_unknown(struct kpi_builder *builder, const struct kpi_node *node)
{
    struct kpi_compile *compile = builder->compile;
    struct kpi_place place = kpi_place_node(builder->text, node);
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, node->string);
    kpi_suggestion_offer(&suggestion, KPI_STRING("audience"));
    kpi_suggestion_offer(&suggestion, KPI_STRING("budget"));
    kpi_suggestion_offer(&suggestion, KPI_STRING("days"));
    for (uint32_t i = 0; i < compile->n_measures; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->measures[i].name));
    for (uint32_t i = 0; i < compile->in->n_kpis; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->kpis[i].name));
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->attributes[i].name), node->string)) {
            kpi_error(compile->diag, place, suggestion.best,
                      "\"%S\" is an attribute; formulas are made of measures", node->string);
            return;
        }
    }
    for (uint32_t i = 0; i < compile->n_fields; ++i) {
        if (kpi_string_equal(compile->fields[i].name, node->string)) {
            kpi_error(compile->diag, place, suggestion.best,
                      "\"%S\" is a field of events; formulas are made of measures, as one with "
                      "agg: sum(%S)",
                      node->string, node->string);
            return;
        }
    }
    kpi_error(compile->diag, place, suggestion.best, "there is no measure or KPI \"%S\"",
              node->string);
}

static uint32_t kpi_find(const struct kpi_compile *compile, struct kpi_string name)
{
    for (uint32_t i = 0; i < compile->in->n_kpis; ++i) {
        if (kpi_string_equal(kpi_text_string(&compile->in->kpis[i].name), name))
            return i;
    }
    return KPI_NO_INDEX;
}

static void nobody_reports(void *userdata, const struct kpi_message *message)
{
}

/*
 * Another KPI stands for its formula. What is wrong in that is reported where it is defined, but
 * for a circle, which is one wherever one enters it, and for what is wrong only here.
 */
static void build_kpi(struct kpi_builder *builder, const struct kpi_node *node, uint32_t kpi,
                      bool sides)
{
    struct kpi_compile *compile = builder->compile;
    const struct kpi_text *text = builder->text;
    struct kpi_diag quiet = {.report = nobody_reports}, *diag = compile->diag;
    struct kpi_node *formula;

    if (!builder->hidden)
        kpi_writer_format(&builder->shown, "%S", node->string);
    for (unsigned i = 0; i < builder->n_kpis; ++i) {
        if (builder->kpis[i] != kpi)
            continue;
        builder->circle = true;
        if (builder->n_kpis == 1)
            kpi_build_fail(builder, node, "the formula of this KPI names itself");
        return;
    }
    if (builder->n_kpis == KPI_EXPRESSION_DEPTH_MAX) {
        kpi_build_clash(builder, node, "KPIs name one another too deeply here");
        return;
    }
    builder->kpis[builder->n_kpis++] = kpi;
    builder->text = &compile->in->kpis[kpi].formula;
    builder->hidden++;
    compile->diag = &quiet;
    kpi_writer_format(&builder->meant, "(");
    formula = kpi_parse(&compile->temp, builder->text, compile->diag);
    if (formula && sides)
        kpi_build_sides(builder, formula);
    else if (formula)
        kpi_build(builder, formula);
    kpi_writer_format(&builder->meant, ")");
    compile->diag = diag;
    builder->hidden--;
    builder->text = text;
    builder->n_kpis--;
    kpi_build_clash_tell(builder, node);
    if (builder->circle && builder->n_kpis == 1)
        kpi_error(diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "the formula of \"%S\" goes in a circle", node->string);
}

static void build_name(struct kpi_builder *builder, const struct kpi_node *node, bool sides)
{
    static const struct {
        const char *name;
        enum kpi_term_kind kind;
    } parameters[] = {
        {"audience", KPI_TERM_AUDIENCE}, {"budget", KPI_TERM_BUDGET}, {"days", KPI_TERM_DAYS}};
    struct kpi_measure_work *measure = kpi_measures_find(builder->compile, node->string);
    uint32_t kpi = kpi_find(builder->compile, node->string);

    for (size_t i = 0; i < sizeof(parameters) / sizeof(*parameters); ++i) {
        const char *name = parameters[i].name;

        if (!kpi_string_equal(node->string, (struct kpi_string){name, strlen(name)}) ||
            (parameters[i].kind == KPI_TERM_DAYS && measure))
            continue;
        kpi_build_text(builder, name);
        (void)kpi_build_term(builder, parameters[i].kind); /* a failure is noted in the vector */
        return;
    }
    if (measure && measure->aggregate == KPI_AGGREGATE_QUANTILES && !measure->broken) {
        measure->used = true;
        kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION,
                  "\"%S\" is many values and not one; say quantile(%S, 0.9), median(%S) or "
                  "average(%S)",
                  node->string, node->string, node->string, node->string);
    } else if (measure)
        kpi_build_measure(builder, measure);
    else if (kpi != KPI_NO_INDEX)
        build_kpi(builder, node, kpi, sides);
    else
        kpi_build_unknown(builder, node);
}

static void build_number(struct kpi_builder *builder, const struct kpi_node *node)
{
    bool whole = node->number % KPI_DECIMAL_ONE == 0;
    struct kpi_term *term = kpi_build_term(builder, whole ? KPI_TERM_COUNT : KPI_TERM_REAL);

    if (term) {
        term->value = node->number / KPI_DECIMAL_ONE;
        term->real = (double)node->number / (double)KPI_DECIMAL_ONE;
    }
    if (!builder->hidden)
        kpi_writer_decimal_add(&builder->shown, node->number);
    kpi_writer_decimal_add(&builder->meant, node->number);
}

/* An operand; a chain inside another one is set in parentheses where they are needed. */
static void build_operand(struct kpi_builder *builder, const struct kpi_node *node,
                          bool parentheses)
{
    if (parentheses)
        kpi_build_text(builder, "(");
    kpi_build(builder, node);
    if (parentheses)
        kpi_build_text(builder, ")");
}

static void join_add(struct kpi_builder *builder, char join)
{
    (void)kpi_build_term(builder, join == '+'   ? KPI_TERM_ADD
                                  : join == '-' ? KPI_TERM_SUBTRACT
                                  : join == '*' ? KPI_TERM_MULTIPLY
                                                : KPI_TERM_DIVIDE);
}

static bool is_chain(const struct kpi_node *node)
{
    return node->kind == KPI_NODE_SUM || node->kind == KPI_NODE_PRODUCT;
}

/* The terms of `divisor`, one of the children or NULL, are set apart. */
static void build_chain(struct kpi_builder *builder, const struct kpi_node *node,
                        const struct kpi_node *divisor)
{
    for (const struct kpi_node *child = node->first; child; child = child->next) {
        const char text[] = {' ', child->join, ' ', '\0'};
        bool first = child == node->first;

        if (!first)
            kpi_build_text(builder, text);
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

void kpi_build(struct kpi_builder *builder, const struct kpi_node *node)
{
    switch (node->kind) {
    case KPI_NODE_NUMBER:
        build_number(builder, node);
        break;
    case KPI_NODE_NAME:
        build_name(builder, node, false);
        break;
    case KPI_NODE_CALL:
        kpi_build_call(builder, node, false);
        break;
    case KPI_NODE_SUM:
    case KPI_NODE_PRODUCT:
        build_chain(builder, node, NULL);
        break;
    case KPI_NODE_NEGATE:
        kpi_build_text(builder, "-");
        build_operand(builder, node->first, is_chain(node->first));
        (void)kpi_build_term(builder, KPI_TERM_NEGATE);
        break;
    case KPI_NODE_DURATION:
        kpi_build_fail(builder, node, "a duration cannot be reckoned with here; write a number");
        break;
    case KPI_NODE_STRING:
        kpi_build_fail(builder, node,
                       "a number is expected here; names stand in formulas without quotes");
        break;
    case KPI_NODE_LIST:
    case KPI_NODE_BOOL:
        kpi_build_fail(builder, node, "a number is expected here");
        break;
    default:
        kpi_build_fail(builder, node, "a number is expected here, not a condition");
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
 * KPI or function that the whole formula is brings its own sides.
 */
void kpi_build_sides(struct kpi_builder *builder, const struct kpi_node *node)
{
    const struct kpi_node *divisor = last_divisor(node);

    if (divisor)
        build_chain(builder, node, divisor);
    else if (node->kind == KPI_NODE_NAME)
        build_name(builder, node, true);
    else if (node->kind == KPI_NODE_CALL)
        kpi_build_call(builder, node, true);
    else
        kpi_build(builder, node);
}

/* The leaf that is all of a formula and brings numerator and denominator in its rows. */
static uint32_t both_sides(const struct kpi_builder *builder)
{
    const struct kpi_leaf_work *leaves = builder->compile->leaves.data;
    const struct kpi_term *terms = builder->terms.data;

    if (builder->terms.n != 1 || builder->divisor.n != 0 || terms[0].kind != KPI_TERM_LEAF ||
        terms[0].leaf >= builder->compile->leaves.n ||
        !kpi_leaf_has_sides(leaves[terms[0].leaf].kind))
        return KPI_NO_INDEX;
    return terms[0].leaf;
}

static void formula_keep(struct kpi_builder *builder, struct kpi_formula *ret_formula)
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
        .both_sides = both_sides(builder),
        .leaves = kpi_pool_copy(pool, builder->leaves.data, builder->leaves.n * sizeof(uint32_t)),
        .n_leaves = builder->leaves.n,
    };
}

/* "orders: count where type == "purchase"" behind what is there. */
static void measure_tell(struct kpi_writer *writer, const struct kpi_measure_work *measure)
{
    const struct kpi_measure_definition *definition = measure->definition;

    if (!definition)
        return; /* a gauge: the formula says which */
    kpi_writer_format(writer, "%s%S: %S", writer->length > 0 ? "; " : "",
                      kpi_text_string(&definition->name), kpi_text_string(&definition->aggregate));
    if (definition->where.length > 0)
        kpi_writer_format(writer, " where %S", kpi_text_string(&definition->where));
    if (definition->at.length > 0)
        kpi_writer_format(writer, ", at %S", kpi_text_string(&definition->at));
    if (definition->campaign.length > 0)
        kpi_writer_format(writer, ", campaign %S", kpi_text_string(&definition->campaign));
}

/* All measures of the formula, each once, in the order of their definitions. */
static struct kpi_string measures_text(struct kpi_builder *builder)
{
    struct kpi_compile *compile = builder->compile;
    const struct kpi_leaf_work *leaves = compile->leaves.data;
    const uint32_t *own = builder->leaves.data;
    struct kpi_writer writer = {.mem = compile->mem};
    struct kpi_string text;

    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        bool told = false;

        for (uint32_t k = 0; k < builder->leaves.n && !told; ++k) {
            const struct kpi_leaf_work *leaf = &leaves[own[k]];

            if (own[k] >= compile->leaves.n)
                break; /* there was no memory */
            told = leaf->measure == i ||
                   (leaf->kind == KPI_LEAF_RETAINED && leaf->return_measure == i);
        }
        if (told)
            measure_tell(&writer, &compile->measures[i]);
    }
    text = kpi_pool_string(&compile->plan->pool, kpi_writer_string(&writer));
    compile->temp.failed |= writer.failed;
    kpi_writer_deinit(&writer);
    return text;
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
    struct kpi_builder builder;

    info->name = info->title_en = info->title_zh = name;
    info->unit = definition->unit;
    info->better = definition->better;
    if (definition->title_en.length > 0)
        info->title_en = kpi_pool_string(pool, kpi_text_string(&definition->title_en));
    if (definition->title_zh.length > 0)
        info->title_zh = kpi_pool_string(pool, kpi_text_string(&definition->title_zh));
    if (!node)
        return;
    builder_init(&builder, compile, &definition->formula);
    builder.kpis[builder.n_kpis++] = index;
    kpi_build_sides(&builder, node);
    kpi_writer_format(&builder.meant, " unit %s", units[definition->unit]);
    info->formula = kpi_pool_string(pool, kpi_writer_string(&builder.shown));
    info->measures = measures_text(&builder);
    info->fingerprint = XXH3_64bits(builder.meant.data, builder.meant.length);
    formula_keep(&builder, &compile->plan->formulas[index]);
    builder_deinit(&builder);
}

void kpi_formulas_compile(struct kpi_compile *compile)
{
    const struct kpi_names_seen seen = {"KPI", compile->in->kpis, sizeof(*compile->in->kpis)};

    for (uint32_t i = 0; i < compile->in->n_kpis; ++i) {
        (void)kpi_name_check(compile, &seen, i); /* compiled all the same, to find its errors */
        kpi_compile(compile, i);
    }
}

void kpi_measures_unused(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_measures; ++i) {
        const struct kpi_text *name = &compile->in->measures[i].name;

        if (!compile->measures[i].used)
            kpi_warning(compile->diag, kpi_place_text(name), KPI_NO_SUGGESTION,
                        "no KPI uses the measure \"%S\"; it is not counted", kpi_text_string(name));
    }
}

/* Is it the same at any time? */
static bool is_constant(const struct kpi_builder *builder)
{
    const struct kpi_term *terms = builder->terms.data;

    for (uint32_t i = 0; i < builder->terms.n; ++i) {
        if (terms[i].kind == KPI_TERM_LEAF || terms[i].kind == KPI_TERM_DAYS)
            return false;
    }
    return true;
}

static void target_keep(struct kpi_builder *builder, struct kpi_target *target)
{
    struct kpi_plan *plan = builder->compile->plan;

    target->varies = true;
    target->value = NAN;
    target->meaning = XXH3_64bits(builder->meant.data, builder->meant.length);
    target->formula = plan->n_formulas++;
    formula_keep(builder, &plan->formulas[target->formula]);
}

bool kpi_formula_target(struct kpi_compile *compile, const struct kpi_text *text,
                        const struct kpi_campaign_info *campaign, struct kpi_target *target)
{
    const struct kpi_inputs inputs = {.campaign = campaign};
    struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);
    unsigned n_errors = compile->diag->n_errors;
    struct kpi_number number;
    struct kpi_builder builder;
    bool good;

    if (!node)
        return false;
    target->expression = kpi_pool_string(&compile->plan->pool, kpi_text_string(text));
    builder_init(&builder, compile, text);
    kpi_build(&builder, node);
    /* Of what is in error elsewhere there are no terms. */
    good = compile->diag->n_errors == n_errors && !builder.terms.failed && builder.depth == 1;
    if (good && !is_constant(&builder)) {
        target_keep(&builder, target);
    } else if (good && kpi_terms_evaluate(builder.terms.data, builder.terms.n, &inputs, &number) ==
                           KPI_REASON_NONE) {
        target->value = number.real;
    } else if (good) {
        good = false;
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "this has no value: it names an audience, a budget or a part of it that the "
                  "campaign does not give, divides by zero, or is too large");
    }
    builder_deinit(&builder);
    return good;
}
