/*
 * Dimensions, segments and breakdowns: what KPIs are broken down by.
 */
#include "spec/calendar.h"
#include "spec/functions.h"
#include "spec/kinds.h"
#include "spec/names.h"

#include <stdlib.h>
#include <xxhash.h>

#define OF_BYTES_MAX 256

static bool is_segment(const struct kpi_compile *compile, uint32_t index)
{
    return index >= compile->in->n_dimensions;
}

static const struct kpi_segment_definition *segment_of(const struct kpi_compile *compile,
                                                       uint32_t index)
{
    return &compile->in->segments[index - compile->in->n_dimensions];
}

uint32_t kpi_segment_find(const struct kpi_compile *compile, struct kpi_string name)
{
    for (uint32_t i = compile->in->n_dimensions; i < compile->n_dimensions; ++i) {
        if (kpi_string_equal(kpi_text_string(compile->dimensions[i].name), name))
            return i;
    }
    return KPI_NO_INDEX;
}

/* What belongs to every event either has no bound, or is what KPIs are told apart by anyway. */
static bool is_refused(struct kpi_compile *compile, const struct kpi_text *text)
{
    static const char *const unbounded[] = {"id", "user", "time"};
    struct kpi_string name = kpi_text_string(text);

    for (size_t i = 0; i < sizeof(unbounded) / sizeof(*unbounded); ++i) {
        if (kpi_string_equal(name, (struct kpi_string){unbounded[i], strlen(unbounded[i])})) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "\"%S\" is no dimension: nearly every event has another value, so there is "
                      "no bound to what would be kept",
                      name);
            return true;
        }
    }
    if (kpi_string_equal(name, KPI_STRING("campaign"))) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "\"campaign\" is no dimension: every KPI is reported by campaign already");
        return true;
    }
    if (!kpi_name_is_reserved(name))
        return false;
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
              "\"%S\" belongs to every event and is no dimension", name);
    return true;
}

static bool name_check(struct kpi_compile *compile, const struct kpi_names_seen *seen,
                       uint32_t index, const struct kpi_text *text)
{
    return kpi_name_check(compile, seen, index) && !is_refused(compile, text);
}

static void dimensions_read(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    const struct kpi_names_seen seen = {"dimension", in->dimensions, sizeof(*in->dimensions)};

    for (uint32_t i = 0; i < in->n_dimensions; ++i) {
        struct kpi_dimension_work *work = &compile->dimensions[i];

        work->name = &in->dimensions[i].name;
        work->values_max = in->dimensions[i].values_max;
        if (work->values_max == 0)
            work->values_max = in->values_max;
        work->broken = !name_check(compile, &seen, i, work->name);
    }
}

/* A segment's name stands beside those of dimensions in breakdowns, of attributes in conditions. */
static bool segment_is_alone(struct kpi_compile *compile, const struct kpi_text *name)
{
    const struct kpi_definitions *in = compile->in;
    const char *other = NULL;

    for (uint32_t i = 0; i < in->n_dimensions; ++i) {
        if (kpi_string_equal(kpi_text_string(&in->dimensions[i].name), kpi_text_string(name)))
            other = "a dimension";
    }
    for (uint32_t i = 0; i < in->n_attributes; ++i) {
        if (kpi_string_equal(kpi_text_string(&in->attributes[i].name), kpi_text_string(name)))
            other = "an attribute";
    }
    if (other)
        kpi_error(compile->diag, kpi_place_text(name), KPI_NO_SUGGESTION,
                  "\"%S\" names a segment here, and is %s already", kpi_text_string(name), other);
    return !other;
}

static void segments_read(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;
    const struct kpi_names_seen seen = {"segment", in->segments, sizeof(*in->segments)};

    for (uint32_t i = in->n_dimensions; i < compile->n_dimensions; ++i) {
        struct kpi_dimension_work *work = &compile->dimensions[i];

        work->kind = KPI_DIMENSION_CONDITION;
        work->values_max = 2;
        work->name = &segment_of(compile, i)->name;
        work->broken = !name_check(compile, &seen, i - in->n_dimensions, work->name) ||
                       !segment_is_alone(compile, work->name);
        work->where_tree = kpi_parse(&compile->temp, &segment_of(compile, i)->where, compile->diag);
        work->broken |= !work->where_tree;
    }
}

void kpi_dimensions_read(struct kpi_compile *compile)
{
    dimensions_read(compile);
    segments_read(compile);
}

bool kpi_dimensions_infer(struct kpi_compile *compile)
{
    bool news = false;

    for (uint32_t i = compile->in->n_dimensions; i < compile->n_dimensions; ++i) {
        struct kpi_dimension_work *work = &compile->dimensions[i];
        struct kpi_owner owner = {"segment", kpi_text_string(work->name)};

        if (work->where_tree)
            news |=
                kpi_check_infer(compile, &segment_of(compile, i)->where, work->where_tree, &owner);
    }
    return news;
}

/* A function of the event's time; its values are bounded by themselves. */
static void clock_resolve(struct kpi_compile *compile, const struct kpi_text *text, bool bounded,
                          struct kpi_dimension_work *work)
{
    const struct kpi_node *node = kpi_parse(&compile->temp, text, compile->diag);
    const struct kpi_clock_info *info;
    struct kpi_bound bound[KPI_ARGUMENTS_MAX];
    const struct kpi_function *function =
        node ? kpi_function_bind(text, node, KPI_ROLE_DIMENSION, compile->diag, bound) : NULL;

    work->broken |= !function;
    if (!function)
        return;
    work->kind = KPI_DIMENSION_CLOCK;
    work->index = kpi_function_clock(function);
    info = kpi_clock_info((enum kpi_clock)work->index);
    if (!bounded)
        work->values_max = (uint32_t)(info->last - info->first + 1);
}

/* An attribute of the name, else the field; one that nobody else uses may be of any kind. */
static void dimension_resolve(struct kpi_compile *compile, uint32_t index)
{
    const struct kpi_dimension_definition *definition = &compile->in->dimensions[index];
    const struct kpi_text *text = definition->of.length ? &definition->of : &definition->name;
    struct kpi_dimension_work *work = &compile->dimensions[index];
    struct kpi_string name = kpi_text_string(text);
    struct kpi_node node = {.kind = KPI_NODE_NAME, .length = text->length, .string = name};
    struct kpi_owner owner = {"dimension", kpi_text_string(&definition->name)};

    if (text->length > OF_BYTES_MAX) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "the name of a field has 1 to %d bytes", (int64_t)OF_BYTES_MAX);
        work->broken = true;
        return;
    }
    if (definition->of.length && is_refused(compile, text)) {
        work->broken = true;
        return;
    }
    if (name.length > 0 && name.data[name.length - 1] == ')') {
        clock_resolve(compile, text, definition->values_max > 0, work);
        return;
    }
    work->index = kpi_attribute_find(compile, name);
    if (work->index != KPI_NO_INDEX) {
        const struct kpi_attribute_work *attribute = &compile->attributes[work->index];

        work->kind = KPI_DIMENSION_ATTRIBUTE;
        work->broken |= attribute->broken;
        if (!attribute->broken && (attribute->kind == KPI_ATTRIBUTE_MIN_TIME ||
                                   attribute->kind == KPI_ATTRIBUTE_MAX_TIME)) {
            kpi_error(
                compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                "the attribute \"%S\" is a time, which is no dimension: nearly every user has "
                "another value",
                name);
            work->broken = true;
        }
        if (!attribute->broken && attribute->kind == KPI_ATTRIBUTE_SESSION) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "\"%S\" are sessions, which are no dimension", name);
            work->broken = true;
        }
        if (!attribute->broken && attribute->kind == KPI_ATTRIBUTE_SET) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "\"%S\" is a set(), of several values, which is no dimension", name);
            work->broken = true;
        }
        return;
    }
    work->kind = KPI_DIMENSION_FIELD;
    work->index = kpi_check_field(compile, text, &node);
    if (work->index == KPI_NO_INDEX)
        work->broken = true;
    else if (!compile->fields[work->index].known)
        kpi_check_any(compile, work->index, &owner);
}

void kpi_dimensions_check(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_dimensions; ++i) {
        struct kpi_dimension_work *work = &compile->dimensions[i];

        if (work->broken)
            continue;
        if (!is_segment(compile, i)) {
            dimension_resolve(compile, i);
            continue;
        }
        work->checking = true;
        work->where =
            kpi_check_condition(compile, &segment_of(compile, i)->where, work->where_tree);
        work->checking = false;
        work->broken = !work->where;
    }
}

void kpi_dimensions_fingerprint(struct kpi_compile *compile)
{
    const struct kpi_cond_names names = kpi_compile_names(compile);

    for (uint32_t i = 0; i < compile->n_dimensions; ++i) {
        struct kpi_dimension_work *work = &compile->dimensions[i];
        struct kpi_writer writer = {.mem = compile->mem};

        switch (work->kind) {
        case KPI_DIMENSION_FIELD:
            kpi_writer_format(&writer, "dimension field ");
            kpi_writer_quoted_add(&writer, compile->field_names[work->index]);
            break;
        case KPI_DIMENSION_ATTRIBUTE:
            kpi_writer_format(&writer, "dimension attribute %x",
                              compile->attribute_fingerprints[work->index]);
            break;
        case KPI_DIMENSION_CLOCK:
            kpi_writer_format(&writer, "dimension %s in %S",
                              kpi_clock_info((enum kpi_clock)work->index)->name,
                              compile->plan->zones[0].name);
            break;
        case KPI_DIMENSION_CONDITION:
            kpi_cond_seal(&compile->temp, work->where, &names);
            kpi_writer_format(&writer, "dimension condition %S", work->where->text);
            break;
        }
        kpi_writer_format(&writer, " values %d", (int64_t)work->values_max);
        work->fingerprint = XXH3_64bits(writer.data, writer.length);
        compile->temp.failed |= writer.failed;
        kpi_writer_deinit(&writer);
    }
}

/* --- breakdowns --- */

uint32_t kpi_dimension_find(struct kpi_compile *compile, const struct kpi_text *text)
{
    struct kpi_suggestion suggestion;

    kpi_suggestion_init(&suggestion, kpi_text_string(text));
    for (uint32_t i = 0; i < compile->n_dimensions; ++i) {
        struct kpi_string name = kpi_text_string(compile->dimensions[i].name);

        if (kpi_string_equal(name, kpi_text_string(text)))
            return i;
        kpi_suggestion_offer(&suggestion, name);
    }
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best,
              suggestion.best.length > 0
                  ? "there is no dimension or segment \"%S\""
                  : "there is no dimension or segment \"%S\"; a field becomes one by a line of "
                    "its own below dimensions, as channel: {}",
              kpi_text_string(text));
    return KPI_NO_INDEX;
}

static int work_compare(const struct kpi_compile *compile, uint32_t a, uint32_t b)
{
    return kpi_string_compare(kpi_text_string(compile->dimensions[a].name),
                              kpi_text_string(compile->dimensions[b].name));
}

bool kpi_breakdown_read(struct kpi_compile *compile,
                        const struct kpi_breakdown_definition *definition,
                        struct kpi_breakdown_work *ret_work)
{
    struct kpi_breakdown_work work = {.n = 0};
    bool good = true;

    if (definition->n_dimensions > KPI_BREAKDOWN_DIMENSIONS_MAX) {
        kpi_error(compile->diag,
                  kpi_place_text(&definition->dimensions[KPI_BREAKDOWN_DIMENSIONS_MAX]),
                  KPI_NO_SUGGESTION, "this is one dimension too many; a combination has up to %d",
                  (int64_t)KPI_BREAKDOWN_DIMENSIONS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < definition->n_dimensions; ++i) {
        const struct kpi_text *text = &definition->dimensions[i];
        uint32_t index = kpi_dimension_find(compile, text), at = work.n;

        if (index == KPI_NO_INDEX) {
            good = false;
            continue;
        }
        good &= !compile->dimensions[index].broken;
        while (at > 0 && work_compare(compile, work.dimensions[at - 1], index) > 0)
            --at;
        if (at > 0 && work.dimensions[at - 1] == index) {
            kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                      "\"%S\" is twice in this combination", kpi_text_string(text));
            good = false;
            continue;
        }
        memmove(&work.dimensions[at + 1], &work.dimensions[at],
                (work.n - at) * sizeof(*work.dimensions));
        work.dimensions[at] = index;
        ++work.n;
    }
    *ret_work = work;
    return good;
}

static int breakdown_compare(const struct kpi_compile *compile, const struct kpi_breakdown_work *a,
                             const struct kpi_breakdown_work *b)
{
    for (uint32_t i = 0; i < a->n && i < b->n; ++i) {
        int r = work_compare(compile, a->dimensions[i], b->dimensions[i]);

        if (r != 0)
            return r;
    }
    return (a->n > b->n) - (a->n < b->n);
}

/* The entry of a breakdown, put where it belongs in the order; NULL without memory. */
static struct kpi_breakdown_work *breakdown_intern(struct kpi_compile *compile,
                                                   const struct kpi_breakdown_work *work,
                                                   const struct kpi_text *text)
{
    struct kpi_breakdown_work *breakdowns = compile->breakdowns.data;
    uint32_t n = compile->breakdowns.n, at = n;

    while (at > 0 && breakdown_compare(compile, &breakdowns[at - 1], work) > 0)
        --at;
    if (at > 0 && breakdown_compare(compile, &breakdowns[at - 1], work) == 0)
        return &breakdowns[at - 1];
    if (n == KPI_BREAKDOWNS_MAX) {
        kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "this is one breakdown too many; there may be %d", (int64_t)KPI_BREAKDOWNS_MAX);
        return NULL;
    }
    if (!kpi_vector_push(&compile->breakdowns))
        return NULL;
    breakdowns = compile->breakdowns.data;
    memmove(&breakdowns[at + 1], &breakdowns[at], (n - at) * sizeof(*breakdowns));
    breakdowns[at] = *work;
    breakdowns[at].kpis =
        kpi_pool_alloc(&compile->plan->pool, compile->in->n_kpis * sizeof(*breakdowns[at].kpis));
    return breakdowns[at].kpis ? &breakdowns[at] : NULL;
}

/* A group has rows and no sketch. */
static bool has_quantiles(const struct kpi_compile *compile, uint32_t kpi)
{
    const struct kpi_formula *formula = &compile->plan->formulas[kpi];
    const struct kpi_leaf_work *leaves = compile->leaves.data;

    for (uint32_t i = 0; i < formula->n_leaves; ++i) {
        if (leaves[formula->leaves[i]].kind == KPI_LEAF_QUANTILE)
            return true;
    }
    return false;
}

static void refuse_quantiles(struct kpi_compile *compile, uint32_t kpi, const struct kpi_text *by)
{
    kpi_error(
        compile->diag, kpi_place_text(by), KPI_NO_SUGGESTION,
        "\"%S\" cannot be broken down: quantiles are kept of all events of a scope and not of "
        "each group; average() can be",
        kpi_text_string(&compile->in->kpis[kpi].name));
}

/* A list of breakdowns, for one KPI or for all that have none of their own (kpi KPI_NO_INDEX). */
static void list_compile(struct kpi_compile *compile, const struct kpi_breakdown_definition *list,
                         uint32_t n, uint32_t kpi)
{
    struct kpi_breakdown_work *works = kpi_pool_alloc(&compile->temp, n * sizeof(*works));
    bool *good = kpi_pool_alloc(&compile->temp, n * sizeof(*good));

    if (!works || !good)
        return;
    for (uint32_t i = 0; i < n; ++i) {
        struct kpi_breakdown_work *entry;

        good[i] = kpi_breakdown_read(compile, &list[i], &works[i]);
        for (uint32_t j = 0; good[i] && j < i; ++j) {
            if (!good[j] || breakdown_compare(compile, &works[i], &works[j]) != 0)
                continue;
            kpi_error(compile->diag, kpi_place_text(&list[i].dimensions[0]), KPI_NO_SUGGESTION,
                      "this breakdown is there twice; the order within a combination does not "
                      "matter");
            good[i] = false;
        }
        entry = good[i] ? breakdown_intern(compile, &works[i], &list[i].dimensions[0]) : NULL;
        if (!entry)
            continue;
        for (uint32_t k = 0; k < compile->in->n_kpis; ++k)
            entry->kpis[k] |= kpi == KPI_NO_INDEX
                                  ? !compile->in->kpis[k].has_by && !has_quantiles(compile, k)
                                  : k == kpi;
        if (kpi != KPI_NO_INDEX && has_quantiles(compile, kpi))
            refuse_quantiles(compile, kpi, &list[i].dimensions[0]);
    }
}

void kpi_breakdowns_compile(struct kpi_compile *compile)
{
    const struct kpi_definitions *in = compile->in;

    list_compile(compile, in->breakdowns, in->n_breakdowns, KPI_NO_INDEX);
    for (uint32_t i = 0; i < in->n_kpis; ++i) {
        if (in->kpis[i].has_by)
            list_compile(compile, in->kpis[i].by, in->kpis[i].n_by, i);
    }
}
