/*
 * Grains: which scopes there are beside campaigns and phases, which KPIs are reported in them, and
 * in how short windows measures must be stored for that.
 */
#include "spec/grains.h"
#include "spec/names.h"

#include <stdlib.h>

static struct kpi_grain *grains_of(const struct kpi_compile *compile)
{
    return compile->grains.data;
}

/* --- reading lists --- */

/* The longest that so much of a scope may be. */
static kpi_duration length_max(const struct kpi_scope *scope)
{
    static const int64_t days[] = {
        [KPI_SCOPE_DAY] = 1,      [KPI_SCOPE_WEEK] = 7,   [KPI_SCOPE_MONTH] = 31,
        [KPI_SCOPE_QUARTER] = 92, [KPI_SCOPE_YEAR] = 366,
    };

    return scope->unit == KPI_SCOPE_MINUTES
               ? (kpi_duration)scope->count * scope->minutes * KPI_MINUTE
               : (kpi_duration)scope->count * days[scope->unit] * KPI_DAY;
}

static void complain_list(struct kpi_compile *compile, const struct kpi_text *text, int r,
                          bool rolling)
{
    static const char *const words[] = {"hour", "day", "week", "month", "quarter", "year"};
    struct kpi_string name = kpi_text_string(text);
    struct kpi_suggestion suggestion;
    const char *message;

    kpi_suggestion_init(&suggestion, name);
    for (size_t i = 0; !rolling && i < sizeof(words) / sizeof(*words); ++i)
        kpi_suggestion_offer(&suggestion, (struct kpi_string){words[i], strlen(words[i])});
    if (r == KPI_SCOPE_NAME_E_MINUTES)
        message =
            "\"%S\": minutes divide an hour, or are whole hours that divide a day: 1m, 2m, 3m, "
            "4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h or 12h";
    else if (r == KPI_SCOPE_NAME_E_COUNT)
        message = "\"%S\": a rolling scope has 1 to 10000 units";
    else if (r == KPI_SCOPE_NAME_E_ROLLING)
        message = "\"%S\" does not say how long a window is; six windows of 5 minutes are 6x5m";
    else if (rolling)
        message =
            "\"%S\" is no rolling scope; it is a number of units, as 7d, 4w, 3mo, 2q, 1y, 24h "
            "or 6x5m";
    else
        message =
            "\"%S\" is no grain; it is a number of minutes, as 5m, or hour, day, week, month, "
            "quarter or year";
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best, message, name);
}

/* One item of a list. False: reported. */
static bool item_read(struct kpi_compile *compile, const struct kpi_text *text, bool rolling,
                      struct kpi_scope *ret_scope)
{
    struct kpi_string string = kpi_text_string(text);
    struct kpi_scope_name name;
    int r =
        rolling ? kpi_scope_name_parse_rolling(string, &name) : kpi_scope_name_parse(string, &name);

    if (r == 0 && !rolling &&
        (name.any || name.has_start || name.scope.kind == KPI_SCOPE_CAMPAIGN ||
         name.scope.kind == KPI_SCOPE_PHASE || name.scope.kind == KPI_SCOPE_ROLLING))
        r = KPI_SCOPE_NAME_E_UNKNOWN;
    if (r != 0) {
        complain_list(compile, text, r, rolling);
        return false;
    }
    if (length_max(&name.scope) > compile->in->keep) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "\"%S\" may be %d days long, which is longer than what is kept (keep)", string,
                  (length_max(&name.scope) + KPI_DAY - 1) / KPI_DAY);
        return false;
    }
    *ret_scope = name.scope;
    return true;
}

/* A list as patterns, each with the text that it was made of. */
struct list {
    struct kpi_scope *scopes;
    const struct kpi_text **texts;
    uint32_t n;
};

static struct list list_read(struct kpi_compile *compile, const struct kpi_text *texts,
                             uint32_t n_texts, bool rolling)
{
    uint32_t n = texts ? n_texts : 0;
    struct list list = {
        .scopes = kpi_pool_alloc(&compile->temp, n * sizeof(*list.scopes)),
        .texts = kpi_pool_alloc(&compile->temp, n * sizeof(*list.texts)),
    };

    for (uint32_t i = 0; list.scopes && list.texts && i < n; ++i) {
        bool twice = false;

        if (!item_read(compile, &texts[i], rolling, &list.scopes[list.n])) {
            compile->grains_refused = true;
            continue;
        }
        for (uint32_t j = 0; j < list.n; ++j)
            twice |= kpi_scope_alike(&list.scopes[j], &list.scopes[list.n]);
        if (twice)
            kpi_error(compile->diag, kpi_place_text(&texts[i]), KPI_NO_SUGGESTION,
                      "\"%S\" is there twice", kpi_text_string(&texts[i]));
        else
            list.texts[list.n++] = &texts[i];
    }
    return list;
}

/* --- what is reported --- */

/* The grain of a pattern, made if there is none. NULL: no memory. */
static struct kpi_grain *grain_get(struct kpi_compile *compile, const struct kpi_scope *pattern)
{
    uint32_t n_kpis = compile->in->n_kpis;
    struct kpi_grain *grain;

    for (uint32_t i = 0; i < compile->grains.n; ++i) {
        grain = &grains_of(compile)[i];
        if (kpi_scope_alike(&grain->pattern, pattern))
            return grain->kpis ? grain : NULL;
    }
    grain = kpi_vector_push(&compile->grains);
    if (!grain)
        return NULL;
    *grain = (struct kpi_grain){
        .pattern = *pattern,
        .kpis = kpi_pool_alloc(&compile->plan->pool, n_kpis * sizeof(*grain->kpis)),
    };
    return grain->kpis ? grain : NULL;
}

/* Has the formula a leaf that is made of days? */
static bool has_cohorts(const struct kpi_compile *compile, const struct kpi_formula *formula)
{
    const struct kpi_leaf_work *leaves = compile->leaves.data;

    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        enum kpi_leaf_kind kind = leaves[formula->leaves[i]].kind;

        if (leaves[formula->leaves[i]].mature || leaves[formula->leaves[i]].trailing)
            return true;
        if (kind == KPI_LEAF_RETAINED || kind == KPI_LEAF_FIRST_TIME || kind == KPI_LEAF_USER_DAYS)
            return true;
    }
    return false;
}

/* What the formula is made of is reported in windows of so many minutes. */
static void leaves_divide(struct kpi_leaf_work *leaves, const struct kpi_formula *formula,
                          uint32_t minutes)
{
    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        struct kpi_leaf_work *leaf = &leaves[formula->leaves[i]];

        leaf->minutes = kpi_common_divisor(leaf->minutes, minutes);
    }
}

/* The KPI is reported in scopes of a list; own: the list is its own. */
static void list_apply(struct kpi_compile *compile, uint32_t kpi, const struct list *list, bool own)
{
    const struct kpi_formula *formula = &compile->plan->formulas[kpi];
    bool cohorts = has_cohorts(compile, formula);

    for (uint32_t i = 0; i < list->n; ++i) {
        uint32_t minutes = list->scopes[i].minutes;
        struct kpi_grain *grain;

        if (minutes && cohorts) {
            if (own)
                kpi_error(
                    compile->diag, kpi_place_text(list->texts[i]), KPI_NO_SUGGESTION,
                    "retained(), first_time(), user_days(), mature() and trailing() are made of "
                    "days; they cannot be reported in \"%S\"",
                    kpi_text_string(list->texts[i]));
            continue;
        }
        grain = grain_get(compile, &list->scopes[i]);
        if (!grain)
            return; /* noted in vector or pool */
        grain->kpis[kpi] = true;
        if (minutes)
            leaves_divide(compile->leaves.data, formula, minutes);
    }
}

bool kpi_grains_target(struct kpi_compile *compile, const struct kpi_target *target,
                       const struct kpi_text *value)
{
    const struct kpi_formula *formula = &compile->plan->formulas[target->formula];
    uint32_t minutes = target->scope_pattern.minutes;

    if (compile->leaves.failed || compile->plan->pool.failed || !minutes)
        return true;
    if (has_cohorts(compile, formula)) {
        kpi_error(
            compile->diag, kpi_place_text(value), KPI_NO_SUGGESTION,
            "retained(), first_time(), user_days(), mature() and trailing() are made of days; "
            "a target over minutes cannot be made of them");
        return false;
    }
    leaves_divide(compile->leaves.data, formula, minutes);
    return true;
}

static int scopes_order(const struct kpi_scope *a, const struct kpi_scope *b)
{
    static const uint8_t ranks[] = {
        [KPI_SCOPE_CAMPAIGN] = 0, [KPI_SCOPE_PHASE] = 1, [KPI_SCOPE_ROLLING] = 2,
        [KPI_SCOPE_DAY] = 3,      [KPI_SCOPE_WEEK] = 4,  [KPI_SCOPE_MONTH] = 5,
        [KPI_SCOPE_QUARTER] = 6,  [KPI_SCOPE_YEAR] = 7,  [KPI_SCOPE_MINUTES] = 8,
    };

    if (a->kind != b->kind)
        return ranks[a->kind] < ranks[b->kind] ? -1 : 1;
    if (a->unit != b->unit)
        return ranks[a->unit] < ranks[b->unit] ? -1 : 1;
    if (a->minutes != b->minutes)
        return a->minutes > b->minutes ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count);
}

static int grains_order(const void *a, const void *b)
{
    return scopes_order(&((const struct kpi_grain *)a)->pattern,
                        &((const struct kpi_grain *)b)->pattern);
}

void kpi_grains_compile(struct kpi_compile *compile)
{
    const struct kpi_scope whole = {
        .kind = KPI_SCOPE_CAMPAIGN, .unit = KPI_SCOPE_CAMPAIGN, .count = 1};
    struct kpi_scope day = {.kind = KPI_SCOPE_DAY, .unit = KPI_SCOPE_DAY, .count = 1};
    const struct kpi_definitions *in = compile->in;
    struct list grains = list_read(compile, in->grains, in->n_grains, false);
    struct list rolling = list_read(compile, in->rolling, in->n_rolling, true);
    struct kpi_grain *all = grain_get(compile, &whole);

    if (!in->grains)
        grains = (struct list){.scopes = &day, .n = 1};
    for (uint32_t i = 0; all && i < in->n_kpis; ++i) {
        const struct kpi_kpi_definition *kpi = &in->kpis[i];
        struct list own_grains = list_read(compile, kpi->grains, kpi->n_grains, false);
        struct list own_rolling = list_read(compile, kpi->rolling, kpi->n_rolling, true);

        grains_of(compile)[0].kpis[i] = true;
        list_apply(compile, i, kpi->grains ? &own_grains : &grains, kpi->grains != NULL);
        list_apply(compile, i, kpi->rolling ? &own_rolling : &rolling, kpi->rolling != NULL);
    }
    if (compile->grains.failed || compile->plan->pool.failed)
        return;
    qsort(compile->grains.data, compile->grains.n, sizeof(struct kpi_grain), grains_order);
    for (uint32_t i = 0; i < compile->grains.n; ++i)
        grains_of(compile)[i].pattern.grain = i;
}

uint32_t kpi_grains_find(const struct kpi_compile *compile, const struct kpi_scope *pattern)
{
    for (uint32_t i = 0; i < compile->grains.n; ++i) {
        if (kpi_scope_alike(&grains_of(compile)[i].pattern, pattern))
            return i;
    }
    return KPI_NO_INDEX;
}

/* --- what is stored --- */

static bool conds_same(const struct kpi_cond *a, const struct kpi_cond *b)
{
    return !a || !b ? a == b : kpi_string_equal(a->text, b->text);
}

/* Do two measures share instances? users(n) has those of users, and more. */
static bool measures_share(const struct kpi_measure_work *a, const struct kpi_measure_work *b)
{
    return a->aggregate == b->aggregate &&
           (!kpi_aggregate_has_field(a->aggregate) || a->field == b->field) &&
           conds_same(a->where, b->where) && conds_same(a->answer, b->answer);
}

uint32_t kpi_grains_minutes(const struct kpi_compile *compile,
                            const struct kpi_measure_work *measure, bool total)
{
    const struct kpi_leaf_work *leaves = compile->leaves.data;
    uint32_t minutes = 0;

    for (uint32_t i = 0; i < compile->leaves.n; ++i) {
        if (leaves[i].minutes && leaves[i].total == total &&
            measures_share(&compile->measures[leaves[i].measure], measure))
            minutes = kpi_common_divisor(minutes, leaves[i].minutes);
    }
    /* tables are of all events */
    if (total)
        minutes = kpi_common_divisor(minutes, kpi_tables_minutes(compile, measures_share, measure));
    return minutes;
}

/* --- rows --- */

static void rows_mark(uint32_t *rows, const struct kpi_formula *formula)
{
    for (uint32_t i = 0; i < formula->n_leaves; ++i)
        rows[formula->leaves[i]] = 0;
}

/* The first grain has the rows of all leaves; others those of their KPIs and targets. */
static void grain_rows(struct kpi_compile *compile, struct kpi_grain *grain)
{
    struct kpi_plan *plan = compile->plan;
    uint32_t n_leaves = plan->program.n_leaves;
    uint32_t *rows = kpi_pool_alloc(&plan->pool, n_leaves * sizeof(*rows));

    if (!rows)
        return;
    for (uint32_t i = 0; i < n_leaves; ++i)
        rows[i] = KPI_NO_INDEX;
    for (uint32_t kpi = 0; kpi < plan->n_kpis; ++kpi) {
        if (grain->kpis[kpi])
            rows_mark(rows, &plan->formulas[kpi]);
    }
    for (uint32_t i = 0; i < plan->n_targets; ++i) {
        const struct kpi_target *target = &plan->targets[i];

        if (target->varies &&
            (grain->pattern.grain == 0 || target->scope_pattern.grain == grain->pattern.grain))
            rows_mark(rows, &plan->formulas[target->formula]);
    }
    for (uint32_t i = 0; i < n_leaves; ++i) {
        if (rows[i] == KPI_NO_INDEX)
            continue;
        rows[i] = grain->n_rows;
        grain->n_rows += kpi_leaf_n_rows(plan->program.leaves[i].kind);
    }
    grain->leaf_rows = rows;
}

void kpi_grains_keep(struct kpi_compile *compile)
{
    struct kpi_program *program = &compile->plan->program;

    for (uint32_t i = 0; i < compile->grains.n; ++i)
        grain_rows(compile, &grains_of(compile)[i]);
    program->grains = kpi_pool_copy(&compile->plan->pool, compile->grains.data,
                                    compile->grains.n * sizeof(struct kpi_grain));
    program->n_grains = compile->grains.n;
}
