/*
 * Funnels: steps and exclusions checked, named and made into marks of events.
 */
#include "spec/assemble.h"
#include "spec/names.h"

#include <xxhash.h>

static struct kpi_owner owner_of(const struct kpi_funnel_work *funnel)
{
    return (struct kpi_owner){"funnel", kpi_text_string(&funnel->definition->name)};
}

/* --- reading: numbers of things, and trees --- */

static void fail(struct kpi_compile *compile, const struct kpi_text *text, const char *message)
{
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION, "%s", message);
}

static void steps_count_check(struct kpi_compile *compile,
                              const struct kpi_funnel_definition *definition)
{
    if (definition->n_steps < KPI_FUNNEL_STEPS_MIN)
        kpi_error(compile->diag, kpi_place_text(&definition->name), KPI_NO_SUGGESTION,
                  "the funnel \"%S\" has %s; there must be at least two",
                  kpi_text_string(&definition->name),
                  definition->n_steps ? "one step" : "no steps");
    if (definition->n_steps > KPI_FUNNEL_STEPS_MAX)
        kpi_error(compile->diag, kpi_place_text(&definition->steps[KPI_FUNNEL_STEPS_MAX].where),
                  KPI_NO_SUGGESTION, "this is one step too many; a funnel has up to %d",
                  (int64_t)KPI_FUNNEL_STEPS_MAX);
    if (definition->n_exclusions > KPI_FUNNEL_EXCLUSIONS_MAX)
        kpi_error(compile->diag,
                  kpi_place_text(&definition->exclusions[KPI_FUNNEL_EXCLUSIONS_MAX].where),
                  KPI_NO_SUGGESTION, "this is one exclusion too many; a funnel has up to %d",
                  (int64_t)KPI_FUNNEL_EXCLUSIONS_MAX);
}

static void order_check(struct kpi_compile *compile, const struct kpi_funnel_definition *definition)
{
    uint32_t n = definition->n_steps;

    for (uint32_t i = 0; i < n; ++i) {
        const struct kpi_funnel_step_definition *step = &definition->steps[i];

        if (step->optional && definition->order == KPI_FUNNEL_ANY)
            fail(compile, &step->where,
                 "in any order no step is optional: whoever leaves one out has one less");
        else if (step->optional && (i == 0 || i == n - 1))
            fail(compile, &step->where, "the first and the last step cannot be optional");
    }
    if (definition->n_exclusions == 0 || definition->order == KPI_FUNNEL_ORDERED)
        return;
    fail(compile, &definition->exclusions[0].where,
         definition->order == KPI_FUNNEL_ANY
             ? "in any order there is nothing between two steps that could be excluded"
             : "a strict funnel excludes everything between its steps already");
}

static void durations_check(struct kpi_compile *compile,
                            const struct kpi_funnel_definition *definition)
{
    if (definition->within > compile->in->keep)
        fail(compile, &definition->name, "\"within\" is longer than what is kept");
    if (definition->lateness > compile->in->keep)
        fail(compile, &definition->name, "\"lateness\" is longer than what is kept");
}

/* In the order of their names, as those of KPIs. */
static void by_put(struct kpi_funnel_work *funnel, uint32_t n, const struct kpi_text *name,
                   uint32_t dimension)
{
    uint32_t at = n;

    for (; at > 0 &&
           kpi_string_compare(kpi_text_string(funnel->by_names[at - 1]), kpi_text_string(name)) > 0;
         --at) {
        funnel->by_names[at] = funnel->by_names[at - 1];
        funnel->by[at] = funnel->by[at - 1];
    }
    funnel->by_names[at] = name;
    funnel->by[at] = dimension;
}

static void by_read(struct kpi_compile *compile, struct kpi_funnel_work *funnel)
{
    const struct kpi_funnel_definition *definition = funnel->definition;

    if (definition->n_by > KPI_BREAKDOWN_DIMENSIONS_MAX) {
        kpi_error(compile->diag, kpi_place_text(&definition->by[KPI_BREAKDOWN_DIMENSIONS_MAX]),
                  KPI_NO_SUGGESTION, "this is one dimension too many; a funnel has up to %d",
                  (int64_t)KPI_BREAKDOWN_DIMENSIONS_MAX);
        return;
    }
    for (uint32_t i = 0; i < definition->n_by; ++i) {
        struct kpi_string name = kpi_text_string(&definition->by[i]);
        uint32_t dimension = KPI_NO_INDEX;

        if (!kpi_string_equal(name, KPI_STRING("campaign")))
            dimension = kpi_dimension_find(compile, &definition->by[i]);
        by_put(funnel, i, &definition->by[i], dimension);
        for (uint32_t k = 0; k < i; ++k) {
            if (kpi_string_equal(name, kpi_text_string(&definition->by[k])))
                kpi_error(compile->diag, kpi_place_text(&definition->by[i]), KPI_NO_SUGGESTION,
                          "\"%S\" is there twice", name);
        }
    }
}

static void conditions_read(struct kpi_compile *compile, struct kpi_funnel_work *funnel)
{
    const struct kpi_funnel_definition *definition = funnel->definition;
    uint32_t n = definition->n_steps + definition->n_exclusions;

    funnel->conditions = kpi_pool_alloc(&compile->temp, n * sizeof(*funnel->conditions));
    if (!funnel->conditions)
        return;
    funnel->n_conditions = n;
    for (uint32_t i = 0; i < n; ++i) {
        struct kpi_funnel_condition *condition = &funnel->conditions[i];

        condition->text = i < definition->n_steps
                              ? &definition->steps[i].where
                              : &definition->exclusions[i - definition->n_steps].where;
        condition->tree = kpi_parse(&compile->temp, condition->text, compile->diag);
    }
}

void kpi_funnels_read(struct kpi_compile *compile)
{
    const struct kpi_names_seen seen = {"funnel", compile->in->funnels,
                                        sizeof(*compile->in->funnels)};

    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        struct kpi_funnel_work *funnel = &compile->funnels[i];

        funnel->definition = &compile->in->funnels[i];
        (void)kpi_name_check(compile, &seen, i); /* an error is enough */
        steps_count_check(compile, funnel->definition);
        order_check(compile, funnel->definition);
        durations_check(compile, funnel->definition);
        by_read(compile, funnel);
        conditions_read(compile, funnel);
    }
}

bool kpi_funnels_infer(struct kpi_compile *compile)
{
    bool news = false;

    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        struct kpi_owner owner = owner_of(&compile->funnels[i]);

        for (uint32_t k = 0; k < compile->funnels[i].n_conditions; ++k) {
            struct kpi_funnel_condition *condition = &compile->funnels[i].conditions[k];

            if (condition->tree)
                news |= kpi_check_infer(compile, condition->text, condition->tree, &owner);
        }
    }
    return news;
}

/* --- names of steps --- */

/* type == "purchase": purchase */
static struct kpi_string type_of(const struct kpi_cond *cond)
{
    if (cond && cond->kind == KPI_COND_STRING && cond->first->kind == KPI_COND_TYPE &&
        !cond->negated && cond->n_list == 1)
        return cond->strings[0];
    return (struct kpi_string){0};
}

static uint32_t name_find(const struct kpi_funnel_work *funnel, uint32_t n, struct kpi_string name)
{
    for (uint32_t i = 0; i < n; ++i) {
        if (kpi_string_equal(funnel->step_names[i], name))
            return i;
    }
    return KPI_NO_INDEX;
}

/* A name that no step before has: with a number behind it. */
static struct kpi_string name_alone(struct kpi_compile *compile,
                                    const struct kpi_funnel_work *funnel, uint32_t index,
                                    struct kpi_string name)
{
    struct kpi_string tried = name;

    for (int64_t n = 2; name_find(funnel, index, tried) != KPI_NO_INDEX; ++n) {
        struct kpi_writer writer = {.mem = compile->mem};

        kpi_writer_format(&writer, "%S %d", name, n);
        tried = kpi_pool_string(&compile->temp, kpi_writer_string(&writer));
        compile->temp.failed |= writer.failed;
        kpi_writer_deinit(&writer);
        if (compile->temp.failed)
            break;
    }
    return tried;
}

static void steps_name(struct kpi_compile *compile, struct kpi_funnel_work *funnel)
{
    const struct kpi_funnel_definition *definition = funnel->definition;

    for (uint32_t i = 0; i < definition->n_steps; ++i) {
        const struct kpi_text *given = &definition->steps[i].name;
        struct kpi_string name = kpi_text_string(given);

        if (name.length > 0) {
            if (name_find(funnel, i, name) != KPI_NO_INDEX)
                kpi_error(compile->diag, kpi_place_text(given), KPI_NO_SUGGESTION,
                          "there are two steps \"%S\" in this funnel", name);
            funnel->step_names[i] = name;
            continue;
        }
        name = type_of(funnel->conditions[i].where);
        if (name.length == 0)
            name = kpi_text_string(&definition->steps[i].where);
        funnel->step_names[i] = name_alone(compile, funnel, i, name);
    }
}

/* --- exclusions --- */

/* "2" is 1; KPI_NO_INDEX if it is no number of a step. */
static uint32_t step_number(struct kpi_string text, uint32_t n_steps)
{
    uint32_t number = 0;

    if (text.length < 1 || text.length > 2)
        return KPI_NO_INDEX;
    for (size_t i = 0; i < text.length; ++i) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return KPI_NO_INDEX;
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    return number >= 1 && number <= n_steps ? number - 1 : KPI_NO_INDEX;
}

/* The step that `text` tells; `otherwise` if it is empty. KPI_NO_INDEX: reported. */
static uint32_t step_find(struct kpi_compile *compile, const struct kpi_funnel_work *funnel,
                          const struct kpi_text *text, uint32_t otherwise)
{
    struct kpi_string name = kpi_text_string(text);
    struct kpi_suggestion suggestion;
    uint32_t n = funnel->definition->n_steps, step;

    if (name.length == 0)
        return otherwise;
    step = name_find(funnel, n, name);
    if (step == KPI_NO_INDEX)
        step = step_number(name, n);
    if (step != KPI_NO_INDEX)
        return step;
    kpi_suggestion_init(&suggestion, name);
    for (uint32_t i = 0; i < n; ++i)
        kpi_suggestion_offer(&suggestion, funnel->step_names[i]);
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best,
              "there is no step \"%S\" in this funnel, which has %d", name, (int64_t)n);
    return KPI_NO_INDEX;
}

static void exclusions_check(struct kpi_compile *compile, struct kpi_funnel_work *funnel)
{
    const struct kpi_funnel_definition *definition = funnel->definition;

    for (uint32_t i = 0; i < definition->n_exclusions; ++i) {
        const struct kpi_funnel_exclusion_definition *exclusion = &definition->exclusions[i];
        uint32_t from = step_find(compile, funnel, &exclusion->from, 0);
        uint32_t to = step_find(compile, funnel, &exclusion->to, definition->n_steps - 1);

        if (from == KPI_NO_INDEX || to == KPI_NO_INDEX)
            continue;
        if (from >= to)
            kpi_error(compile->diag,
                      kpi_place_text(exclusion->to.length ? &exclusion->to : &exclusion->from),
                      KPI_NO_SUGGESTION,
                      "an exclusion is between two steps: \"to\" comes after \"from\"");
        funnel->exclusions[i] = (struct kpi_funnel_exclusion){(uint8_t)from, (uint8_t)to};
    }
}

void kpi_funnels_check(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        struct kpi_funnel_work *funnel = &compile->funnels[i];
        const struct kpi_funnel_definition *definition = funnel->definition;

        for (uint32_t k = 0; k < funnel->n_conditions; ++k) {
            struct kpi_funnel_condition *condition = &funnel->conditions[k];

            if (condition->tree)
                condition->where = kpi_check_condition(compile, condition->text, condition->tree);
        }
        if (!funnel->conditions || definition->n_steps < KPI_FUNNEL_STEPS_MIN ||
            definition->n_steps > KPI_FUNNEL_STEPS_MAX ||
            definition->n_exclusions > KPI_FUNNEL_EXCLUSIONS_MAX)
            continue; /* reported */
        steps_name(compile, funnel);
        exclusions_check(compile, funnel);
    }
}

/* --- what the plan tells --- */

static uint64_t by_hash(const struct kpi_compile *compile, const struct kpi_funnel_work *funnel)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < funnel->definition->n_by; ++i)
        hash += funnel->by[i] == KPI_NO_INDEX ? 1 : compile->dimensions[funnel->by[i]].fingerprint;
    return hash;
}

/* Names, and the order of exclusions and of `by`, mean nothing. */
static uint64_t fingerprint_of(struct kpi_compile *compile, const struct kpi_funnel_work *funnel)
{
    static const char *const orders[] = {"ordered", "strict", "any"};
    const struct kpi_funnel_definition *definition = funnel->definition;
    struct kpi_writer writer = {.mem = compile->mem};
    uint64_t hash, exclusions = 0;

    kpi_writer_format(&writer, "funnel %s within %d lateness %d by %x", orders[definition->order],
                      definition->within, definition->lateness, by_hash(compile, funnel));
    if (definition->n_by > 0) /* its values are bounded so */
        kpi_writer_format(&writer, " values %d", (int64_t)compile->in->values_max);
    for (uint32_t i = 0; i < definition->n_steps; ++i)
        kpi_writer_format(&writer, " %s %S", definition->steps[i].optional ? "optional" : "step",
                          funnel->conditions[i].where->text);
    for (uint32_t i = 0; i < definition->n_exclusions; ++i) {
        const struct kpi_string *text = &funnel->conditions[definition->n_steps + i].where->text;
        uint32_t steps = funnel->exclusions[i].from * 256u + funnel->exclusions[i].to;

        exclusions += XXH3_64bits_withSeed(text->data, text->length, steps);
    }
    kpi_writer_format(&writer, " but %x", exclusions);
    hash = XXH3_64bits(writer.data, writer.length);
    compile->temp.failed |= writer.failed;
    kpi_writer_deinit(&writer);
    return hash;
}

static struct kpi_string title_of(struct kpi_pool *pool, const struct kpi_text *title,
                                  struct kpi_string name)
{
    return title->length > 0 ? kpi_pool_string(pool, kpi_text_string(title)) : name;
}

static void steps_keep(struct kpi_compile *compile, const struct kpi_funnel_work *funnel,
                       struct kpi_funnel *kept)
{
    struct kpi_pool *pool = &compile->plan->pool;
    uint32_t n = funnel->definition->n_steps;
    struct kpi_funnel_step_info *steps = kpi_pool_alloc(pool, n * sizeof(*steps));

    for (uint32_t i = 0; steps && i < n; ++i) {
        steps[i].name = kpi_pool_string(pool, funnel->step_names[i]);
        steps[i].optional = funnel->definition->steps[i].optional;
        kept->optional |= (uint32_t)steps[i].optional << i;
    }
    kept->info.steps = steps;
    kept->info.n_steps = n;
}

static void by_keep(struct kpi_compile *compile, const struct kpi_funnel_work *funnel,
                    struct kpi_funnel *kept)
{
    struct kpi_pool *pool = &compile->plan->pool;
    uint32_t n = funnel->definition->n_by;
    struct kpi_breakdown_info *by = n ? kpi_pool_alloc(pool, sizeof(*by)) : NULL;

    for (uint32_t i = 0; by && i < n; ++i) {
        struct kpi_dimension_info *dimension = &by->dimensions[by->n_dimensions++];

        dimension->name = kpi_pool_string(pool, kpi_text_string(funnel->by_names[i]));
        dimension->title_en = dimension->title_zh = dimension->name;
    }
    kept->info.by = by;
}

static void funnel_keep(struct kpi_compile *compile, struct kpi_funnel_work *funnel,
                        struct kpi_funnel *kept)
{
    const struct kpi_funnel_definition *definition = funnel->definition;
    const struct kpi_cond_names names = kpi_compile_names(compile);
    struct kpi_pool *pool = &compile->plan->pool;
    struct kpi_string name = kpi_pool_string(pool, kpi_text_string(&definition->name));

    for (uint32_t i = 0; i < funnel->n_conditions; ++i)
        kpi_cond_seal(&compile->temp, funnel->conditions[i].where, &names);
    *kept = (struct kpi_funnel){
        .info = {.name = name,
                 .title_en = title_of(pool, &definition->title_en, name),
                 .title_zh = title_of(pool, &definition->title_zh, name),
                 .order = definition->order,
                 .within = definition->within,
                 .lateness = definition->lateness},
        .set = KPI_NO_INDEX,
    };
    memcpy(kept->exclusions, funnel->exclusions, sizeof(kept->exclusions));
    steps_keep(compile, funnel, kept);
    by_keep(compile, funnel, kept);
    if (!compile->temp.failed)
        kept->info.fingerprint = fingerprint_of(compile, funnel);
}

void kpi_funnels_keep(struct kpi_compile *compile)
{
    struct kpi_program *program = &compile->plan->program;
    struct kpi_funnel *kept =
        kpi_pool_alloc(&compile->plan->pool, compile->n_funnels * sizeof(*kept));

    if (!kept)
        return;
    for (uint32_t i = 0; i < compile->n_funnels; ++i)
        funnel_keep(compile, &compile->funnels[i], &kept[i]);
    program->funnels = kept;
    program->n_funnels = compile->n_funnels;
}

/* --- the program --- */

static int set_assemble(struct assembler *assembler, const struct kpi_funnel_work *funnel,
                        struct kpi_funnel *kept)
{
    struct kpi_breakdown_work work = {.n = 0};
    uint8_t places[KPI_BREAKDOWN_DIMENSIONS_MAX];
    uint32_t n_by = kept->info.by->n_dimensions, n = 0;
    int r;

    for (uint32_t i = 0; i < n_by; ++i) {
        if (funnel->by[i] != KPI_NO_INDEX)
            work.dimensions[work.n++] = funnel->by[i];
    }
    r = kpi_assemble_set(assembler, &work, work.n == n_by, places, &kept->set);
    for (uint32_t i = 0; i < n_by; ++i)
        kept->places[i] = funnel->by[i] == KPI_NO_INDEX ? 0 : 1 + places[n++];
    return r;
}

static int marks_assemble(struct assembler *assembler, uint32_t index)
{
    struct kpi_funnel_work *funnel = &assembler->compile->funnels[index];
    uint32_t n_steps = funnel->definition->n_steps;

    funnel->mark = assembler->marks.n;
    for (uint32_t i = 0; i <= funnel->n_conditions; ++i) {
        struct kpi_funnel_mark *mark = kpi_vector_push(&assembler->marks);

        if (!mark)
            return -ENOMEM;
        mark->funnel = index;
        if (i < n_steps)
            mark->steps = (uint16_t)(1u << i);
        else if (i < funnel->n_conditions)
            mark->exclusions = (uint16_t)(1u << (i - n_steps));
    }
    return 0;
}

int kpi_assemble_funnels(struct assembler *assembler)
{
    /* the plan is still being made, and its pool is ours */
    struct kpi_funnel *funnels = (struct kpi_funnel *)assembler->plan->program.funnels;
    int r = 0;

    for (uint32_t i = 0; i < assembler->compile->n_funnels && r == 0; ++i) {
        r = marks_assemble(assembler, i);
        if (r == 0 && funnels[i].info.by)
            r = set_assemble(assembler, &assembler->compile->funnels[i], &funnels[i]);
    }
    return r;
}
