/*
 * Experiments: their arms, and what of events they take.
 *
 * A goal is the name of a measure, whose filter and field it borrows, or a condition, whose events
 * are counted.
 */
#include "spec/kinds.h"
#include "spec/names.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#define VARIANT_BYTES_MAX 256

static struct kpi_owner owner_of(const struct kpi_experiment_work *work)
{
    return (struct kpi_owner){"experiment", kpi_text_string(&work->definition->name)};
}

/* --- reading --- */

static bool variant_check(struct kpi_compile *compile,
                          const struct kpi_experiment_definition *definition, uint32_t index)
{
    const struct kpi_text *text = &definition->variants[index];

    if (text->length == 0 || text->length > VARIANT_BYTES_MAX) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "the name of a variant has 1 to %d bytes", (int64_t)VARIANT_BYTES_MAX);
        return false;
    }
    for (uint32_t i = 0; i < index; ++i) {
        if (kpi_string_equal(kpi_text_string(text), kpi_text_string(&definition->variants[i]))) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "the variant \"%S\" is listed twice", kpi_text_string(text));
            return false;
        }
    }
    return true;
}

static bool variants_check(struct kpi_compile *compile,
                           const struct kpi_experiment_definition *definition)
{
    const struct kpi_text *control = &definition->control;
    struct kpi_suggestion suggestion;
    bool good = true, found = control->length == 0;

    if (definition->n_variants < 2 || definition->n_variants > KPI_ARMS_MAX) {
        const struct kpi_text *text = definition->n_variants > KPI_ARMS_MAX
                                          ? &definition->variants[KPI_ARMS_MAX]
                                      : definition->n_variants ? &definition->variants[0]
                                                               : &definition->name;

        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "an experiment has 2 to %d variants, not %d", (int64_t)KPI_ARMS_MAX,
                  (int64_t)definition->n_variants);
        return false;
    }
    kpi_suggestion_init(&suggestion, kpi_text_string(control));
    for (uint32_t i = 0; i < definition->n_variants; ++i) {
        struct kpi_string name = kpi_text_string(&definition->variants[i]);

        good &= variant_check(compile, definition, i);
        found |= kpi_string_equal(name, kpi_text_string(control));
        kpi_suggestion_offer(&suggestion, name);
    }
    if (!found)
        kpi_error(compile->diag, kpi_place_text(control), suggestion.best,
                  "the control is one of the variants, and \"%S\" is none",
                  kpi_text_string(control));
    return good && found;
}

/* The campaign, or KPI_NO_INDEX if none is named. False if an error was reported. */
static bool campaign_find(struct kpi_compile *compile, const struct kpi_text *text,
                          uint32_t *ret_campaign)
{
    const struct kpi_definitions *in = compile->in;
    struct kpi_suggestion suggestion;

    *ret_campaign = KPI_NO_INDEX;
    if (text->length == 0)
        return true;
    kpi_suggestion_init(&suggestion, kpi_text_string(text));
    for (uint32_t i = 0; i < in->n_campaigns; ++i) {
        struct kpi_string id = kpi_text_string(&in->campaigns[i].id);

        if (kpi_string_equal(id, kpi_text_string(text))) {
            *ret_campaign = i;
            return true;
        }
        kpi_suggestion_offer(&suggestion, id);
    }
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best, "there is no campaign \"%S\"",
              kpi_text_string(text));
    return false;
}

static bool part_parse(struct kpi_compile *compile, struct kpi_experiment_part_work *part)
{
    if (part->text->length)
        part->tree = kpi_parse(&compile->temp, part->text, compile->diag);
    return part->text->length == 0 || part->tree;
}

/* A bare name is that of a measure, or else of a segment, which is a condition. */
static bool goal_parse(struct kpi_compile *compile, struct kpi_experiment_part_work *part)
{
    struct kpi_suggestion suggestion;

    if (!part_parse(compile, part))
        return false;
    if (!part->tree || part->tree->kind != KPI_NODE_NAME)
        return true;
    part->measure = kpi_measures_find(compile, part->tree->string);
    if (part->measure) {
        part->measure->used = true;
        return !part->measure->broken;
    }
    if (kpi_segment_find(compile, part->tree->string) != KPI_NO_INDEX)
        return true;
    kpi_suggestion_init(&suggestion, part->tree->string);
    for (uint32_t i = 0; i < compile->n_measures; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->measures[i].name));
    kpi_error(compile->diag, kpi_place_node(part->text, part->tree), suggestion.best,
              "there is no measure or segment \"%S\"; a condition reads type == \"purchase\"",
              part->tree->string);
    return false;
}

/* What a goal adds up: 1 of each event, or a field. False if an error was reported. */
static bool aggregate_check(struct kpi_compile *compile, struct kpi_experiment_part_work *part)
{
    const struct kpi_measure_work *measure = part->measure;

    part->field = KPI_NO_INDEX;
    if (!measure || measure->aggregate == KPI_AGGREGATE_COUNT ||
        (measure->aggregate == KPI_AGGREGATE_LEVEL && measure->level == 1))
        return true;
    if (measure->aggregate == KPI_AGGREGATE_SUM && !measure->is_mean) {
        part->field = measure->field;
        return true;
    }
    kpi_error(
        compile->diag, kpi_place_node(part->text, part->tree), KPI_NO_SUGGESTION,
        measure->is_mean
            ? "an experiment adds up what each user does: in place of the mean() \"%S\" give "
              "the sum() as goal and the count as denominator"
            : "\"%S\" is neither users, count nor sum(field), so an experiment cannot take it",
        part->tree->string);
    return false;
}

static bool is_users(const struct kpi_experiment_part_work *part)
{
    return !part->measure || part->measure->aggregate == KPI_AGGREGATE_LEVEL;
}

/* Does the metric, given or made up, go with goal and denominator? */
static bool metric_check(struct kpi_compile *compile, struct kpi_experiment_work *work)
{
    const struct kpi_experiment_part_work *goal = &work->parts[KPI_EXPERIMENT_GOAL];
    const struct kpi_experiment_part_work *denominator = &work->parts[KPI_EXPERIMENT_DENOMINATOR];
    bool has_denominator = denominator->text->length > 0;
    const struct kpi_text *text = goal->text;
    const char *error = NULL;

    if (work->definition->metric >= 0)
        work->metric = (enum kpi_metric)work->definition->metric;
    else if (has_denominator)
        work->metric = KPI_METRIC_RATIO;
    else
        work->metric = is_users(goal) ? KPI_METRIC_PROPORTION : KPI_METRIC_MEAN;
    if (work->metric == KPI_METRIC_RATIO && !has_denominator) {
        error = "a ratio needs a denominator";
    } else if (work->metric != KPI_METRIC_RATIO && has_denominator) {
        error = "only the metric ratio has a denominator";
        text = denominator->text;
    } else if (work->metric == KPI_METRIC_PROPORTION && goal->field != KPI_NO_INDEX) {
        error = "a sum is no proportion of users: take the metric mean, or a goal of users";
    } else if (work->metric != KPI_METRIC_PROPORTION && goal->measure && is_users(goal)) {
        error = "this counts users, who are a proportion; a mean or ratio takes a count or a sum";
    } else if (has_denominator && denominator->measure && is_users(denominator)) {
        error = "this counts users; a denominator is a count or a sum, and the units are users "
                "already";
        text = denominator->text;
    }
    if (error)
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION, "%s", error);
    return !error;
}

static void experiment_read(struct kpi_compile *compile, struct kpi_experiment_work *work)
{
    const struct kpi_experiment_definition *definition = work->definition;
    struct kpi_experiment_part_work *parts = work->parts;
    struct kpi_owner owner = owner_of(work);
    struct kpi_node variant = {.kind = KPI_NODE_NAME, .string = KPI_STRING("variant")};
    bool good;

    assert(definition->alpha > 0 && definition->alpha < 0.5 && definition->tuning_units > 0);
    assert(definition->better != KPI_BETTER_BAND);
    assert(!definition->one_sided || definition->control.length);
    parts[KPI_EXPERIMENT_EXPOSURE].field = KPI_NO_INDEX;
    assert(definition->method != KPI_METHOD_FIXED || definition->to != KPI_TIME_NONE);
    parts[KPI_EXPERIMENT_EXPOSURE].text = &definition->exposure;
    parts[KPI_EXPERIMENT_GOAL].text = &definition->goal;
    parts[KPI_EXPERIMENT_DENOMINATOR].text = &definition->denominator;
    work->broken |= !variants_check(compile, definition);
    work->broken |= !campaign_find(compile, &definition->campaign, &work->campaign);
    work->broken |= !part_parse(compile, &parts[KPI_EXPERIMENT_EXPOSURE]);
    good = goal_parse(compile, &parts[KPI_EXPERIMENT_GOAL]);
    good &= goal_parse(compile, &parts[KPI_EXPERIMENT_DENOMINATOR]);
    good = good && aggregate_check(compile, &parts[KPI_EXPERIMENT_GOAL]) &&
           aggregate_check(compile, &parts[KPI_EXPERIMENT_DENOMINATOR]);
    work->broken |= !good || !metric_check(compile, work);
    work->variant = kpi_check_field(compile, &definition->name, &variant);
    work->broken |=
        work->variant == KPI_NO_INDEX ||
        !kpi_check_use(compile, &definition->name, &variant, work->variant, KPI_USE_STRING, &owner);
}

void kpi_experiments_read(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    const struct kpi_names_seen seen = {"experiment", in->experiments, sizeof(*in->experiments)};

    for (uint32_t i = 0; i < in->n_experiments; ++i) {
        compile->experiments[i].definition = &in->experiments[i];
        compile->experiments[i].broken = !kpi_name_check(compile, &seen, i);
        experiment_read(compile, &compile->experiments[i]);
    }
}

/* --- conditions --- */

static bool is_condition(const struct kpi_experiment_part_work *part)
{
    return part->tree && !part->measure;
}

bool kpi_experiments_infer(struct kpi_compile *compile)
{
    bool news = false;

    for (uint32_t i = 0; i < compile->in->n_experiments; ++i) {
        const struct kpi_experiment_work *work = &compile->experiments[i];
        struct kpi_owner owner = owner_of(work);

        for (unsigned part = 0; part < KPI_EXPERIMENT_PARTS; ++part) {
            if (is_condition(&work->parts[part]))
                news |= kpi_check_infer(compile, work->parts[part].text, work->parts[part].tree,
                                        &owner);
        }
    }
    return news;
}

/* cond and campaign == id */
static struct kpi_cond *of_campaign(struct kpi_compile *compile, struct kpi_cond *cond,
                                    uint32_t campaign)
{
    struct kpi_string id = kpi_text_string(&compile->in->campaigns[campaign].id);
    struct kpi_pool *pool = &compile->temp;
    struct kpi_string *list = kpi_pool_copy(pool, &id, sizeof(id));
    struct kpi_cond *both = kpi_cond_new(pool, KPI_COND_AND);
    struct kpi_cond *named = kpi_cond_new(pool, KPI_COND_STRING);
    struct kpi_cond *field = kpi_cond_new(pool, KPI_COND_FIELD); /* 0: campaign */

    if (!list || !both || !named || !field)
        return NULL;
    kpi_cond_strings_set(named, list, 1);
    kpi_cond_child_add(named, field);
    kpi_cond_child_add(both, named);
    kpi_cond_child_add(both, cond);
    return kpi_cond_fold(pool, both);
}

void kpi_experiments_check(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->in->n_experiments; ++i) {
        struct kpi_experiment_work *work = &compile->experiments[i];
        struct kpi_experiment_part_work *exposure = &work->parts[KPI_EXPERIMENT_EXPOSURE];

        for (unsigned j = 0; j < KPI_EXPERIMENT_PARTS; ++j) {
            struct kpi_experiment_part_work *part = &work->parts[j];

            if (part->measure)
                part->cond = part->measure->where;
            else if (is_condition(part))
                part->cond = kpi_check_condition(compile, part->text, part->tree);
            work->broken |= is_condition(part) && !part->cond;
        }
        if (exposure->cond && work->campaign != KPI_NO_INDEX)
            exposure->cond = of_campaign(compile, exposure->cond, work->campaign);
        work->broken |= !kpi_breakdown_read(compile, &work->definition->by, &work->by);
    }
}

/* --- what is kept --- */

static int arms_order(const void *a, const void *b)
{
    return kpi_string_compare(((const struct kpi_experiment_arm *)a)->name,
                              ((const struct kpi_experiment_arm *)b)->name);
}

uint32_t kpi_experiment_arms(const struct kpi_experiment_definition *definition,
                             struct kpi_experiment_arm ret_arms[KPI_ARMS_MAX])
{
    for (uint32_t i = 0; i < definition->n_variants; ++i) {
        struct kpi_string name = kpi_text_string(&definition->variants[i]);

        ret_arms[i] = (struct kpi_experiment_arm){name, XXH3_64bits(name.data, name.length), i};
    }
    qsort(ret_arms, definition->n_variants, sizeof(*ret_arms), arms_order);
    return definition->n_variants;
}

static void part_write(struct kpi_compile *compile, const struct kpi_experiment_work *work,
                       unsigned index, struct kpi_writer *writer)
{
    static const char *const names[] = {"exposure", "goal", "denominator"};
    const struct kpi_experiment_part_work *part = &work->parts[index];

    kpi_writer_format(writer, " %s(%S) where %S", names[index],
                      part->field == KPI_NO_INDEX ? KPI_STRING("")
                                                  : compile->field_names[part->field],
                      part->cond ? part->cond->text : KPI_STRING(""));
}

void kpi_experiments_fingerprint(struct kpi_compile *compile)
{
    const struct kpi_cond_names names = kpi_compile_names(compile);

    for (uint32_t i = 0; i < compile->in->n_experiments; ++i) {
        struct kpi_experiment_work *work = &compile->experiments[i];
        struct kpi_experiment_arm arms[KPI_ARMS_MAX];
        struct kpi_writer writer = {.mem = compile->mem};
        uint32_t n_arms = kpi_experiment_arms(work->definition, arms);

        kpi_writer_format(&writer, "experiment %s",
                          work->metric == KPI_METRIC_PROPORTION ? "whether" : "sums");
        for (uint32_t arm = 0; arm < n_arms; ++arm) {
            kpi_writer_format(&writer, " ");
            kpi_writer_quoted_add(&writer, arms[arm].name);
        }
        kpi_writer_format(&writer, " from %d to %d", work->definition->from, work->definition->to);
        for (unsigned part = 0; part < KPI_EXPERIMENT_PARTS; ++part) {
            if (work->parts[part].text->length == 0)
                continue;
            if (work->parts[part].cond)
                kpi_cond_seal(&compile->temp, work->parts[part].cond, &names);
            part_write(compile, work, part, &writer);
        }
        work->fingerprint = XXH3_64bits(writer.data, writer.length);
        compile->temp.failed |= writer.failed;
        kpi_writer_deinit(&writer);
    }
}

/* --- what others may ask --- */

static struct kpi_string title_of(struct kpi_pool *pool, const struct kpi_text *title,
                                  const struct kpi_text *name)
{
    return kpi_pool_string(pool, kpi_text_string(title->length ? title : name));
}

static struct kpi_experiment_options options_of(const struct kpi_experiment_work *work)
{
    const struct kpi_experiment_definition *definition = work->definition;
    struct kpi_experiment_options options = KPI_EXPERIMENT_OPTIONS_DEFAULT;

    options.metric = work->metric;
    options.method = definition->method;
    options.correction = definition->correction;
    options.better = definition->better;
    options.one_sided = definition->one_sided;
    options.alpha = definition->alpha;
    options.tuning_units = definition->tuning_units;
    options.units_min = definition->units_min;
    options.run_min = definition->run_min;
    for (uint32_t i = 0; definition->control.length && i < definition->n_variants; ++i) {
        if (kpi_string_equal(kpi_text_string(&definition->variants[i]),
                             kpi_text_string(&definition->control)))
            options.control = i;
    }
    return options;
}

static void info_keep(struct kpi_compile *compile, const struct kpi_experiment_work *work,
                      struct kpi_experiment_info *info)
{
    const struct kpi_experiment_definition *definition = work->definition;
    struct kpi_pool *pool = &compile->plan->pool;

    *info = (struct kpi_experiment_info){
        .name = kpi_pool_string(pool, kpi_text_string(&definition->name)),
        .title_en = title_of(pool, &definition->title_en, &definition->name),
        .title_zh = title_of(pool, &definition->title_zh, &definition->name),
        .n_arms = definition->n_variants,
        .exposure = kpi_pool_string(pool, kpi_text_string(&definition->exposure)),
        .goal = kpi_pool_string(pool, kpi_text_string(&definition->goal)),
        .denominator = kpi_pool_string(pool, kpi_text_string(&definition->denominator)),
        .campaign = work->campaign,
        .from = definition->from,
        .to = definition->to,
        .options = options_of(work),
    };
    for (uint32_t i = 0; i < definition->n_variants; ++i) {
        info->arms[i] = kpi_pool_string(pool, kpi_text_string(&definition->variants[i]));
        info->weights[i] =
            definition->weights ? (double)definition->weights[i] / KPI_DECIMAL_ONE : 1;
        assert(info->weights[i] > 0);
    }
}

/* Of what is kept, and of what is made of it. */
static uint64_t info_hash(const struct kpi_compile *compile, const struct kpi_experiment_work *work,
                          const struct kpi_experiment_info *info, uint64_t before)
{
    const struct kpi_experiment_options *options = &info->options;
    const struct {
        uint64_t before, fingerprint;
        int64_t metric, method, correction, better, control, one_sided, units_min, run_min;
        double alpha, tuning_units;
    } parts = {
        before,           work->fingerprint,   options->metric,
        options->method,  options->correction, options->better,
        options->control, options->one_sided,  options->units_min,
        options->run_min, options->alpha,      options->tuning_units,
    };
    uint64_t hash = XXH3_64bits_withSeed(&parts, sizeof(parts),
                                         XXH3_64bits(info->name.data, info->name.length));

    hash = XXH3_64bits_withSeed(info->weights, sizeof(info->weights), hash);
    for (uint32_t i = 0; i < info->n_arms; ++i)
        hash = XXH3_64bits_withSeed(info->arms[i].data, info->arms[i].length, hash);
    for (uint32_t i = 0; i < work->by.n; ++i) {
        const struct kpi_dimension_work *dimension = &compile->dimensions[work->by.dimensions[i]];

        hash = XXH3_64bits_withSeed(dimension->name->data, dimension->name->length,
                                    hash + dimension->fingerprint);
    }
    return hash;
}

void kpi_experiments_keep(struct kpi_compile *compile)
{
    struct kpi_plan *plan = compile->plan;
    uint32_t n = compile->in->n_experiments;

    plan->experiments = kpi_pool_alloc(&plan->pool, n * sizeof(*plan->experiments));
    if (!plan->experiments)
        return;
    for (uint32_t i = 0; i < n && !plan->pool.failed; ++i) {
        info_keep(compile, &compile->experiments[i], &plan->experiments[i]);
        if (plan->pool.failed)
            return;
        plan->experiments_hash = info_hash(compile, &compile->experiments[i], &plan->experiments[i],
                                           plan->experiments_hash);
    }
    plan->n_experiments = n;
}

uint32_t kpi_plan_n_experiments(const struct kpi_plan *plan)
{
    return plan->n_experiments;
}

const struct kpi_experiment_info *kpi_plan_experiment(const struct kpi_plan *plan,
                                                      uint32_t experiment)
{
    assert(experiment < plan->n_experiments);
    return &plan->experiments[experiment];
}
