/*
 * The functions of formulas, and the leaves that measures become.
 *
 * A function that says *when* (previous(), cumulative() …) or *whose* (total()) leaves no term: it
 * changes what the leaves inside of it are about.
 */
#include "spec/build.h"
#include "spec/names.h"

#include <xxhash.h>

/* --- leaves --- */

static uint32_t measure_index(const struct kpi_compile *compile,
                              const struct kpi_measure_work *measure)
{
    return (uint32_t)(measure - compile->measures);
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

void kpi_build_context(const struct kpi_builder *builder, struct kpi_writer *writer)
{
    static const char *const names[] = {
        [KPI_SHIFT_NONE] = "",
        [KPI_SHIFT_CUMULATIVE] = " cumulative",
        [KPI_SHIFT_PREVIOUS] = " previous",
        [KPI_SHIFT_BEFORE] = " before",
        [KPI_SHIFT_CAMPAIGN] = " of campaign",
        [KPI_SHIFT_YEAR_DATE] = " a year before",
        [KPI_SHIFT_YEAR_WEEKDAY] = " 52 weeks before",
        [KPI_SHIFT_YEAR_LUNAR] = " a lunar year before",
    };
    const struct kpi_shift *shift = &builder->shift;

    kpi_writer_format(writer, "%s", names[shift->kind]);
    if (shift->kind == KPI_SHIFT_CAMPAIGN)
        kpi_writer_quoted_add(writer,
                              kpi_text_string(&builder->compile->in->campaigns[shift->n].id));
    else if (shift->n > 0)
        kpi_writer_format(writer, " %d", (int64_t)shift->n);
    kpi_writer_format(writer, "%s", builder->total ? " total" : "");
    if (builder->mature)
        kpi_writer_format(writer, " mature %d", (int64_t)builder->mature);
    if (builder->trailing)
        kpi_writer_format(writer, " trailing %d", (int64_t)builder->trailing);
}

void kpi_build_leaf(struct kpi_builder *builder, struct kpi_leaf_work leaf)
{
    struct kpi_compile *compile = builder->compile;
    uint32_t index, *known, *added;
    struct kpi_term *term = kpi_build_term(builder, KPI_TERM_LEAF);

    leaf.shift = builder->shift;
    leaf.total = builder->total;
    leaf.mature = builder->mature;
    leaf.trailing = builder->trailing;
    if (leaf.shift.kind != KPI_SHIFT_NONE || leaf.total || leaf.mature || leaf.trailing) {
        struct kpi_writer context = {.mem = compile->mem};

        kpi_build_context(builder, &context);
        leaf.fingerprint = XXH3_64bits_withSeed(context.data, context.length, leaf.fingerprint);
        compile->temp.failed |= context.failed;
        kpi_writer_deinit(&context);
    }
    index = leaf_intern(compile, &leaf);
    if (term)
        term->leaf = index;
    known = builder->leaves.data;
    for (uint32_t i = 0; i < builder->leaves.n; ++i) {
        if (known[i] == index)
            return;
    }
    added = kpi_vector_push(&builder->leaves);
    if (added)
        *added = index;
}

/* Texts of a leaf: `shown` for people; `meant` stands in the formula's meaning with its context. */
static void meant_add(struct kpi_builder *builder, uint64_t fingerprint)
{
    kpi_writer_format(&builder->meant, "%x", fingerprint);
    kpi_build_context(builder, &builder->meant);
}

void kpi_build_measure(struct kpi_builder *builder, struct kpi_measure_work *measure)
{
    static const enum kpi_leaf_kind kinds[] = {
        [KPI_AGGREGATE_COUNT] = KPI_LEAF_COUNT,   [KPI_AGGREGATE_SUM] = KPI_LEAF_SUM,
        [KPI_AGGREGATE_LEVEL] = KPI_LEAF_USERS,   [KPI_AGGREGATE_LATEST] = KPI_LEAF_LATEST,
        [KPI_AGGREGATE_SCORES] = KPI_LEAF_SCORES, [KPI_AGGREGATE_GAUGE] = KPI_LEAF_GAUGE,
        [KPI_AGGREGATE_CAPPED] = KPI_LEAF_SUM,
    };

    measure->used = true;
    if (!builder->hidden && measure->definition)
        kpi_writer_format(&builder->shown, "%S", kpi_text_string(&measure->definition->name));
    meant_add(builder, measure->fingerprint);
    if (measure->broken)
        return;
    kpi_build_leaf(builder,
                   (struct kpi_leaf_work){
                       .fingerprint = measure->fingerprint,
                       .kind = measure->is_mean ? KPI_LEAF_MEAN : kinds[measure->aggregate],
                       .measure = measure_index(builder->compile, measure),
                   });
}

struct kpi_measure_work *kpi_build_users(struct kpi_builder *builder,
                                         const struct kpi_function *function,
                                         const struct kpi_node *node)
{
    struct kpi_measure_work *measure = kpi_measures_find(builder->compile, node->string);

    if (!measure) {
        kpi_build_unknown(builder, node);
        return NULL;
    }
    measure->used = true;
    if (measure->broken)
        return NULL;
    if (measure->aggregate == KPI_AGGREGATE_LEVEL && measure->level == 1)
        return measure;
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION,
              "%s() takes measures with the aggregate users; \"%S\" is none", function->name,
              node->string);
    return NULL;
}

/* Of the values of a measure that keeps them: one of them, or their mean. */
static void build_quantile(struct kpi_builder *builder, const struct kpi_function *function,
                           const struct kpi_bound *bound)
{
    struct kpi_measure_work *measure = kpi_measures_find(builder->compile, bound[0].node->string);
    struct kpi_leaf_work leaf = {.kind = KPI_LEAF_QUANTILE, .share = KPI_DECIMAL_ONE / 2};

    if (!measure) {
        kpi_build_unknown(builder, bound[0].node);
        return;
    }
    measure->used = true;
    if (measure->broken)
        return;
    if (measure->aggregate != KPI_AGGREGATE_QUANTILES) {
        kpi_error(builder->compile->diag, kpi_place_node(builder->text, bound[0].node),
                  KPI_NO_SUGGESTION,
                  "%s() takes measures with the aggregate quantiles(field); \"%S\" is none",
                  function->name, bound[0].node->string);
        return;
    }
    if (function->id == KPI_FUNCTION_QUANTILE)
        leaf.share = bound[1].integer;
    if (function->id == KPI_FUNCTION_AVERAGE)
        leaf = (struct kpi_leaf_work){.kind = KPI_LEAF_MEAN};
    leaf.measure = measure_index(builder->compile, measure);
    leaf.fingerprint = XXH3_64bits_withSeed(&leaf.share, sizeof(leaf.share), measure->fingerprint);
    if (!builder->hidden) {
        kpi_writer_format(&builder->shown, "%s(%S", function->name, bound[0].node->string);
        if (function->id == KPI_FUNCTION_QUANTILE) {
            kpi_writer_format(&builder->shown, ", ");
            kpi_writer_decimal_add(&builder->shown, leaf.share);
        }
        kpi_writer_format(&builder->shown, ")");
    }
    kpi_writer_format(&builder->meant, "quantile %d ", leaf.share);
    meant_add(builder, measure->fingerprint);
    kpi_build_leaf(builder, leaf);
}

/* Gauges know no campaign, and are what they are at the scope's end. */
static void build_gauge(struct kpi_builder *builder, const struct kpi_bound *bound)
{
    struct kpi_measure_work *gauge =
        kpi_measures_gauge(builder->compile, builder->text, bound[0].node);
    bool total = builder->total;
    uint32_t mature = builder->mature;

    if (!gauge)
        return;
    if (!builder->hidden) {
        kpi_writer_format(&builder->shown, "gauge(");
        kpi_writer_quoted_add(&builder->shown, gauge->gauge);
        kpi_writer_format(&builder->shown, ")");
    }
    builder->total = true;
    builder->mature = 0;
    kpi_build_measure(builder, gauge);
    builder->total = total;
    builder->mature = mature;
}

static void build_budget(struct kpi_builder *builder, const struct kpi_bound *bound)
{
    struct kpi_string part = bound[0].node->string;
    struct kpi_term *term = kpi_build_term(builder, KPI_TERM_BUDGET_PART);

    if (term)
        term->part = kpi_pool_string(&builder->compile->plan->pool, part);
    kpi_build_text(builder, "budget(");
    if (!builder->hidden)
        kpi_writer_quoted_add(&builder->shown, part);
    kpi_writer_quoted_add(&builder->meant, part);
    kpi_build_text(builder, ")");
}

/* A function of a measure's users and their days, that is a leaf of its own. */
static void build_days(struct kpi_builder *builder, const struct kpi_function *function,
                       const struct kpi_bound *bound, enum kpi_leaf_kind kind)
{
    struct kpi_measure_work *measure = kpi_build_users(builder, function, bound[0].node);

    if (!measure)
        return;
    if (!builder->hidden)
        kpi_writer_format(&builder->shown, "%s(%S)", function->name,
                          kpi_text_string(&measure->definition->name));
    kpi_writer_format(&builder->meant, "%s ", function->name);
    meant_add(builder, measure->fingerprint);
    kpi_build_leaf(builder, (struct kpi_leaf_work){
                                .fingerprint = XXH3_64bits_withSeed(
                                    function->name, strlen(function->name), measure->fingerprint),
                                .kind = kind,
                                .measure = measure_index(builder->compile, measure),
                            });
}

/* --- when and whose --- */

/* The campaign of an id; false if an error was reported. */
static bool campaign_find(struct kpi_builder *builder, const struct kpi_node *node,
                          uint32_t *ret_campaign)
{
    const struct kpi_definitions *in = builder->compile->in;
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, node->string);
    for (uint32_t i = 0; i < in->n_campaigns; ++i) {
        if (kpi_string_equal(kpi_text_string(&in->campaigns[i].id), node->string)) {
            *ret_campaign = i;
            return true;
        }
        kpi_suggestion_offer(&suggestion, kpi_text_string(&in->campaigns[i].id));
    }
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), suggestion.best,
              "there is no campaign \"%S\"", node->string);
    return false;
}

/* What a function makes of its first argument's time; false if an error was reported. */
static bool shift_of(struct kpi_builder *builder, const struct kpi_function *function,
                     const struct kpi_bound *bound, struct kpi_shift *ret_shift)
{
    struct kpi_shift shift = {KPI_SHIFT_NONE, 0};

    switch (function->id) {
    case KPI_FUNCTION_CUMULATIVE:
        shift.kind = KPI_SHIFT_CUMULATIVE;
        break;
    case KPI_FUNCTION_LAST_YEAR:
        shift.kind = KPI_SHIFT_YEAR_DATE + (unsigned)(bound[1].node ? bound[1].integer : 0);
        break;
    case KPI_FUNCTION_BEFORE:
        shift = (struct kpi_shift){KPI_SHIFT_BEFORE, (uint32_t)bound[1].integer};
        break;
    case KPI_FUNCTION_OF_CAMPAIGN:
        shift.kind = KPI_SHIFT_CAMPAIGN;
        if (!campaign_find(builder, bound[1].node, &shift.n))
            return false;
        break;
    default:
        shift =
            (struct kpi_shift){KPI_SHIFT_PREVIOUS, bound[1].node ? (uint32_t)bound[1].integer : 1};
        break;
    }
    *ret_shift = shift;
    return true;
}

/* Writes what follows the first argument in the text for people. */
static void rest_show(struct kpi_builder *builder, const struct kpi_function *function,
                      const struct kpi_bound *bound)
{
    struct kpi_writer *shown = &builder->shown;

    if (builder->hidden)
        return;
    if (bound[1].node && function->arguments[1].kind == KPI_ARGUMENT_INTEGER)
        kpi_writer_format(shown, ", %d", bound[1].integer);
    else if (bound[1].node && function->arguments[1].kind == KPI_ARGUMENT_WORD)
        kpi_writer_format(shown, ", align=%s", function->arguments[1].words[bound[1].integer]);
    else if (bound[1].node && function->arguments[1].kind == KPI_ARGUMENT_STRING) {
        kpi_writer_format(shown, ", ");
        kpi_writer_quoted_add(shown, bound[1].node->string);
    }
    kpi_writer_format(shown, ")");
}

static void name_show(struct kpi_builder *builder, const struct kpi_function *function)
{
    if (!builder->hidden)
        kpi_writer_format(&builder->shown, "%s(", function->name);
}

static void build_inside(struct kpi_builder *builder, const struct kpi_node *node, bool sides)
{
    if (sides)
        kpi_build_sides(builder, node);
    else
        kpi_build(builder, node);
}

static void nobody_reports(void *userdata, const struct kpi_message *message)
{
}

/* Builds once more what was built, shown and complained about already. */
static void build_again(struct kpi_builder *builder, const struct kpi_node *node)
{
    struct kpi_diag quiet = {.report = nobody_reports}, *diag = builder->compile->diag;

    builder->compile->diag = &quiet;
    builder->hidden++;
    kpi_build(builder, node);
    builder->hidden--;
    builder->compile->diag = diag;
    kpi_build_clash_tell(builder, node);
}

static bool already_shifted(struct kpi_builder *builder, const struct kpi_node *node)
{
    if (builder->shift.kind == KPI_SHIFT_NONE)
        return false;
    kpi_build_clash(builder, node, "a function that says when cannot stand inside another one");
    return true;
}

static void build_shifted(struct kpi_builder *builder, const struct kpi_node *node,
                          const struct kpi_function *function, const struct kpi_bound *bound,
                          bool sides)
{
    if (already_shifted(builder, node) || !shift_of(builder, function, bound, &builder->shift))
        return;
    name_show(builder, function);
    kpi_writer_format(&builder->meant, "(");
    build_inside(builder, bound[0].node, sides);
    kpi_writer_format(&builder->meant, ")");
    rest_show(builder, function, bound);
    builder->shift = (struct kpi_shift){KPI_SHIFT_NONE, 0};
}

static void build_total(struct kpi_builder *builder, const struct kpi_function *function,
                        const struct kpi_bound *bound, bool sides)
{
    bool total = builder->total;

    name_show(builder, function);
    builder->total = true;
    kpi_writer_format(&builder->meant, "(");
    build_inside(builder, bound[0].node, sides);
    kpi_writer_format(&builder->meant, ")");
    builder->total = total;
    rest_show(builder, function, bound);
}

/* mature() and trailing(): which days of the scope, or up to its end. */
static void build_some_days(struct kpi_builder *builder, const struct kpi_node *node,
                            const struct kpi_function *function, const struct kpi_bound *bound,
                            bool sides)
{
    bool is_mature = function->id == KPI_FUNCTION_MATURE;
    uint32_t *days = is_mature ? &builder->mature : &builder->trailing;

    if (*days) {
        kpi_build_clash(builder, node,
                        is_mature ? "mature() cannot stand inside another one"
                                  : "trailing() cannot stand inside another one");
        return;
    }
    name_show(builder, function);
    *days = (uint32_t)bound[1].integer;
    kpi_writer_format(&builder->meant, "(");
    build_inside(builder, bound[0].node, sides);
    kpi_writer_format(&builder->meant, ")");
    *days = 0;
    rest_show(builder, function, bound);
}

/* x as it was 1, 2 … n periods before, and what is made of these. n falls are of n + 1 periods. */
static void build_trailing(struct kpi_builder *builder, const struct kpi_node *node,
                           const struct kpi_function *function, const struct kpi_bound *bound)
{
    enum kpi_term_kind kind = function->id == KPI_FUNCTION_TRAILING_MEAN ? KPI_TERM_MEAN
                              : function->id == KPI_FUNCTION_FALLING     ? KPI_TERM_FALLS
                                                                         : KPI_TERM_MEDIAN;
    uint32_t n = (uint32_t)bound[1].integer + (kind == KPI_TERM_FALLS), n_errors;
    struct kpi_term *term;

    if (already_shifted(builder, node))
        return;
    name_show(builder, function);
    kpi_writer_format(&builder->meant, "%s(", function->name);
    n_errors = builder->compile->diag->n_errors;
    for (uint32_t i = 1; i <= n && builder->compile->diag->n_errors == n_errors; ++i) {
        builder->shift = (struct kpi_shift){KPI_SHIFT_PREVIOUS, i};
        if (i == 1)
            kpi_build(builder, bound[0].node);
        else
            build_again(builder, bound[0].node);
    }
    builder->shift = (struct kpi_shift){KPI_SHIFT_NONE, 0};
    kpi_writer_format(&builder->meant, ")");
    rest_show(builder, function, bound);
    term = kpi_build_term(builder, kind);
    if (term)
        term->value = n;
    builder->depth -= (int)n - 1;
}

static void build_root(struct kpi_builder *builder, const struct kpi_function *function,
                       const struct kpi_bound *bound)
{
    name_show(builder, function);
    kpi_writer_format(&builder->meant, "sqrt(");
    kpi_build(builder, bound[0].node);
    kpi_writer_format(&builder->meant, ")");
    rest_show(builder, function, bound);
    (void)kpi_build_term(builder, KPI_TERM_ROOT); /* a failure is noted in the vector */
}

/* (x - base) / |base|: as a whole formula with its sides, else divided. */
static void build_growth(struct kpi_builder *builder, const struct kpi_function *function,
                         const struct kpi_bound *bound, bool sides)
{
    name_show(builder, function);
    kpi_writer_format(&builder->meant, "growth(");
    kpi_build(builder, bound[0].node);
    if (!builder->hidden)
        kpi_writer_format(&builder->shown, ", ");
    kpi_writer_format(&builder->meant, ", ");
    kpi_build(builder, bound[1].node);
    kpi_build_text(builder, ")");
    (void)kpi_build_term(builder, KPI_TERM_SUBTRACT); /* a failure is noted in the vector */
    builder->in_divisor |= sides;
    build_again(builder, bound[1].node);
    (void)kpi_build_term(builder, KPI_TERM_ABSOLUTE);
    if (sides)
        builder->in_divisor = false;
    if (!sides)
        (void)kpi_build_term(builder, KPI_TERM_DIVIDE);
}

void kpi_build_call(struct kpi_builder *builder, const struct kpi_node *node, bool sides)
{
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    const struct kpi_function *function;

    function =
        kpi_function_bind(builder->text, node, KPI_ROLE_FORMULA, builder->compile->diag, bound);
    if (!function)
        return;
    switch (function->id) {
    case KPI_FUNCTION_RETAINED:
        kpi_build_retained(builder, node, function, bound);
        break;
    case KPI_FUNCTION_GAUGE:
        build_gauge(builder, bound);
        break;
    case KPI_FUNCTION_BUDGET:
        build_budget(builder, bound);
        break;
    case KPI_FUNCTION_FIRST_TIME:
        build_days(builder, function, bound, KPI_LEAF_FIRST_TIME);
        break;
    case KPI_FUNCTION_USER_DAYS:
        build_days(builder, function, bound, KPI_LEAF_USER_DAYS);
        break;
    case KPI_FUNCTION_QUANTILE:
    case KPI_FUNCTION_MEDIAN:
    case KPI_FUNCTION_AVERAGE:
        build_quantile(builder, function, bound);
        break;
    case KPI_FUNCTION_TOTAL:
        build_total(builder, function, bound, sides);
        break;
    case KPI_FUNCTION_SQRT:
        build_root(builder, function, bound);
        break;
    case KPI_FUNCTION_MATURE:
    case KPI_FUNCTION_TRAILING:
        build_some_days(builder, node, function, bound, sides);
        break;
    case KPI_FUNCTION_TRAILING_MEAN:
    case KPI_FUNCTION_TRAILING_MEDIAN:
    case KPI_FUNCTION_FALLING:
        build_trailing(builder, node, function, bound);
        break;
    case KPI_FUNCTION_GROWTH:
        build_growth(builder, function, bound, sides);
        break;
    default:
        build_shifted(builder, node, function, bound, sides);
        break;
    }
}
