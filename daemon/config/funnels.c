/*
 * Funnels: steps and what is between them. What their expressions and names mean is libkpi's
 * business. Those of the catalogue take memory for each user and time for each event, so they are
 * kept only if another file names them.
 */
#include "config/definitions.h"
#include "config/scalar.h"

#include <errno.h>
#include <kpi/funnel.h>

#define WITHIN_DEFAULT   (7 * KPI_DAY)
#define LATENESS_DEFAULT KPI_HOUR

/* A condition that must be there. */
static bool read_where(struct load *load, const struct doc_node *at, const struct doc_node *where,
                       const char *what, struct kpi_text *ret_where)
{
    if (!where) {
        report_error(&load->report, load_begin_of(at), "%s: where is missing", what);
        return false;
    }
    return definitions_text(load, where, what, ret_where);
}

/* A condition, or {name: …, where: …, optional: …}. */
static bool read_step(struct load *load, const struct doc_node *node,
                      struct kpi_funnel_step_definition *step)
{
    struct doc_node *name, *where, *optional;
    const struct load_field fields[] = {
        {"name", &name}, {"where", &where}, {"optional", &optional}};
    unsigned choice = 0;

    step->name = load_kpi_text(NULL);
    if (node->kind == DOC_SCALAR)
        return read_where(load, node, node, "step", &step->where);
    if (!load_fields(load, node, "step", fields, sizeof(fields) / sizeof(fields[0])) ||
        !definitions_text(load, name, "name", &step->name) ||
        !read_where(load, node, where, "step", &step->where))
        return false;
    if (optional && !load_choice(load, optional, "optional", "false|true", &choice))
        return false;
    step->optional = choice == 1;
    return true;
}

/* A condition, or {where: …, from: …, to: …}. */
static bool read_exclusion(struct load *load, const struct doc_node *node,
                           struct kpi_funnel_exclusion_definition *exclusion)
{
    struct doc_node *where, *from, *to;
    const struct load_field fields[] = {{"where", &where}, {"from", &from}, {"to", &to}};

    exclusion->from = exclusion->to = load_kpi_text(NULL);
    if (node->kind == DOC_SCALAR)
        return read_where(load, node, node, "exclude", &exclusion->where);
    return load_fields(load, node, "exclude", fields, sizeof(fields) / sizeof(fields[0])) &&
           read_where(load, node, where, "exclude", &exclusion->where) &&
           definitions_text(load, from, "from", &exclusion->from) &&
           definitions_text(load, to, "to", &exclusion->to);
}

static bool is_sequence(struct load *load, const struct doc_node *node, const char *what)
{
    if (node->kind == DOC_SEQUENCE)
        return true;
    report_error(&load->report, load_begin_of(node), "%s: a list of conditions is expected", what);
    return false;
}

static void read_steps(struct load *load, const struct doc_node *node,
                       struct kpi_funnel_definition *funnel)
{
    struct kpi_funnel_step_definition *steps;
    const struct doc_node *item;

    if (!is_sequence(load, node, "steps"))
        return;
    steps = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*steps));
    if (!steps) {
        load->report.no_memory = true;
        return;
    }
    for (item = node->first; item; item = item->next) {
        struct kpi_funnel_step_definition *step = &steps[funnel->n_steps++];

        step->where = (struct kpi_text){"true", 4, 0}; /* stands in for one that is reported */
        (void)read_step(load, item, step);
    }
    funnel->steps = steps;
}

static void read_exclusions(struct load *load, const struct doc_node *node,
                            struct kpi_funnel_definition *funnel)
{
    struct kpi_funnel_exclusion_definition *exclusions;
    const struct doc_node *item;

    if (!is_sequence(load, node, "exclude"))
        return;
    exclusions = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*exclusions));
    if (!exclusions) {
        load->report.no_memory = true;
        return;
    }
    for (item = node->first; item; item = item->next)
        funnel->n_exclusions += read_exclusion(load, item, &exclusions[funnel->n_exclusions]);
    funnel->exclusions = exclusions;
}

static void read_duration(struct load *load, const struct doc_node *node, const char *what,
                          kpi_duration min, kpi_duration *duration)
{
    struct kpi_string text;
    const char *error;
    kpi_duration value;

    if (!node || !load_text(load, node, what, &text))
        return;
    error = scalar_duration(text, &value);
    if (!error && value < min)
        error = "is no time";
    if (error)
        load_wrong(load, node, what, error);
    else
        *duration = value;
}

/* A funnel without a definition stands for that of the catalogue. */
static const struct doc_node *find_template(struct load *load, const struct doc_node *node)
{
    struct suggest suggest = suggest_begin(doc_string(node->key));
    const struct doc_node *templates = load->funnel_templates, *child;

    for (child = templates ? templates->first : NULL; child; child = child->next) {
        if (kpi_string_equal(doc_string(child->key), doc_string(node->key)))
            return child;
        suggest_try(&suggest, child->key->value);
    }
    report_error(&load->report, doc_node_place(node->key),
                 "funnel %s has no definition, and the catalogue has none of that name",
                 QUOTE(doc_string(node->key)));
    report_suggest(&load->report, suggest.best);
    return NULL;
}

/* What stands in for a funnel with a mistake that was reported. */
static void stand_in(struct kpi_funnel_definition *funnel)
{
    static const struct kpi_funnel_step_definition steps[] = {{.where = {"true", 4, 0}},
                                                              {.where = {"true", 4, 0}}};

    funnel->steps = steps;
    funnel->n_steps = sizeof(steps) / sizeof(steps[0]);
}

static void read_funnel(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_funnel_definition *funnel = item;
    struct kpi_breakdown_definition breakdown = {NULL, 0};
    struct doc_node *title, *steps, *exclude, *within, *lateness, *order, *by;
    const struct load_field fields[] = {
        {"title", &title},       {"steps", &steps}, {"exclude", &exclude}, {"within", &within},
        {"lateness", &lateness}, {"order", &order}, {"by", &by},
    };
    unsigned choice;

    funnel->title_en = funnel->title_zh = load_kpi_text(NULL);
    funnel->within = WITHIN_DEFAULT;
    funnel->lateness = LATENESS_DEFAULT;
    if (doc_is_empty(node) || (node->kind == DOC_MAPPING && !node->first))
        node = find_template(load, node);
    if (!node || !load_fields(load, node, "funnel", fields, sizeof(fields) / sizeof(fields[0]))) {
        stand_in(funnel);
        return;
    }
    if (title)
        definitions_title(load, title, &funnel->title_en, &funnel->title_zh);
    if (steps)
        read_steps(load, steps, funnel);
    else
        report_error(&load->report, doc_node_place(node->key), "funnel %s: steps are missing",
                     QUOTE(doc_string(node->key)));
    if (!funnel->steps)
        stand_in(funnel);
    if (exclude)
        read_exclusions(load, exclude, funnel);
    read_duration(load, within, "within", 1, &funnel->within);
    read_duration(load, lateness, "lateness", 0, &funnel->lateness);
    if (order && load_choice(load, order, "order", "ordered|strict|any", &choice))
        funnel->order = (enum kpi_funnel_order)choice;
    definitions_by(load, by, &breakdown);
    funnel->by = breakdown.dimensions;
    funnel->n_by = breakdown.n_dimensions;
}

int load_funnels(struct load *load, const struct doc_node *section)
{
    const struct section funnels = {"funnel", &load->funnels, sizeof(struct kpi_funnel_definition),
                                    KPI_FUNNELS_MAX, read_funnel};

    if (section->file == load->catalogue) {
        load->funnel_templates = section;
        return 0;
    }
    return definitions_read(load, section, &funnels);
}
