/*
 * Attributes, measures, dimensions, segments and KPIs: names to what defines them. What the
 * expressions mean is libkpi's business; a definition that is broken here is kept with a harmless
 * stand-in, so that its name is known and one mistake gives one message.
 */
#include "config/definitions.h"
#include "config/scalar.h"

#include <errno.h>
#include <kpi/plan.h>

static const struct doc_node *origin(const struct load *load, const struct kpi_text *text)
{
    return load->docs.nodes[text->origin];
}

static bool same_name(const struct kpi_text *text, const struct doc_node *key)
{
    return text->length == key->length && memcmp(text->data, key->value, key->length) == 0;
}

/*
 * Where the definition goes: a new item, or the catalogue's of that name. *ret_item is NULL if it
 * stays out, which was reported.
 */
static int place_item(struct load *load, const struct section *section, const struct doc_node *key,
                      void **ret_item)
{
    struct load_list *list = section->list;
    uint32_t i;

    *ret_item = NULL;
    for (i = 0; i < list->n; i++) {
        void *item = (char *)list->items + i * section->item_size;
        const struct kpi_text *name = item;
        const struct doc_node *before;

        if (!same_name(name, key))
            continue;
        before = origin(load, name);
        if (before->file == load->catalogue) {
            memset(item, 0, section->item_size);
            *ret_item = item;
        } else if (before->file != key->file) { /* in one file it is a duplicate key already */
            report_error(&load->report, doc_node_place(key), "%s %s is defined twice",
                         section->kind, QUOTE(doc_string(key)));
            report_note(&load->report, doc_node_place(before), "first defined here");
        }
        return 0;
    }
    if (list->n == section->n_max) {
        report_error(&load->report, doc_node_place(key), "more than %u definitions of kind %s",
                     section->n_max, section->kind);
        return 0;
    }
    *ret_item = load_push(load, list, section->item_size);
    return *ret_item ? 0 : -ENOMEM;
}

int definitions_read(struct load *load, const struct doc_node *node, const struct section *section)
{
    const struct doc_node *child;

    if (doc_is_empty(node))
        return 0;
    if (node->kind != DOC_MAPPING) {
        struct doc_place place = doc_node_place(node);

        place.end = place.start;
        report_error(&load->report, place, "%s: names and their definitions are expected",
                     node->key->value);
        return 0;
    }
    for (child = node->first; child; child = child->next) {
        bool full = section->list->n == section->n_max;
        void *item;
        int r = place_item(load, section, child->key, &item);

        if (r < 0)
            return r;
        if (item) {
            *(struct kpi_text *)item = load_kpi_text(child->key);
            section->read(load, child, item);
        } else if (full) {
            break; /* once is enough */
        }
    }
    return 0;
}

bool definitions_text(struct load *load, const struct doc_node *node, const char *what,
                      struct kpi_text *ret_text)
{
    struct kpi_string text;

    if (!node)
        return true;
    if (!load_text(load, node, what, &text))
        return false;
    *ret_text = load_kpi_text(node);
    return true;
}

/* agg and where, by whose absence the stand-in and nothing remain. */
static void read_aggregate(struct load *load, const struct doc_node *node, const char *kind,
                           const struct doc_node *agg, const struct doc_node *condition,
                           struct kpi_text *aggregate, struct kpi_text *where)
{
    if (!agg)
        load_missing(load, node, kind, "agg");
    (void)definitions_text(load, agg, "agg", aggregate); /* reported; the stand-in stays */
    (void)definitions_text(load, condition, "where", where);
}

static void read_attribute(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_attribute_definition *attribute = item;
    struct doc_node *agg, *condition, *reset, *within;
    const struct load_field fields[] = {
        {"agg", &agg}, {"where", &condition}, {"reset", &reset}, {"within", &within}};
    struct kpi_string text;
    unsigned choice;

    attribute->aggregate = (struct kpi_text){"count", 5, 0};
    attribute->where = load_kpi_text(NULL);
    if (!load_fields(load, node, "attribute", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    read_aggregate(load, node, "attribute", agg, condition, &attribute->aggregate,
                   &attribute->where);
    /* in the order of enum kpi_reset, behind KPI_RESET_NEVER */
    if (reset && load_choice(load, reset, "reset", "day|week|month|year", &choice))
        attribute->reset = (enum kpi_reset)(choice + 1);
    if (within && load_text(load, within, "within", &text)) {
        const char *error = scalar_duration(text, &attribute->within);

        if (!error && attribute->within == 0)
            error = "is no time: leave it out for ever";
        if (error)
            load_wrong(load, within, "within", error);
    }
}

/* A time that is above 0. */
static bool read_duration(struct load *load, const struct doc_node *node, const char *what,
                          kpi_duration *ret_duration)
{
    struct kpi_string text;
    kpi_duration duration;
    const char *error;

    if (!load_text(load, node, what, &text))
        return false;
    error = scalar_duration(text, &duration);
    if (!error && duration == 0)
        error = "is no time";
    if (error)
        load_wrong(load, node, what, error);
    else
        *ret_duration = duration;
    return !error;
}

/* {where: …, gap: …, midnight: …, max: …, fields: […]}; libkpi keeps sessions beside attributes */
static void read_session(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_attribute_definition *attribute = item;
    struct kpi_session_definition *session = arena_alloc(&load->arena, sizeof(*session));
    struct doc_node *where, *gap, *midnight, *max, *fields;
    const struct load_field keys[] = {{"where", &where},
                                      {"gap", &gap},
                                      {"midnight", &midnight},
                                      {"max", &max},
                                      {"fields", &fields}};
    unsigned choice;

    if (!session) {
        load->report.no_memory = true;
        return;
    }
    *session = (struct kpi_session_definition){.gap = 30 * KPI_MINUTE};
    attribute->session = session;
    attribute->aggregate = load_kpi_text(NULL);
    attribute->where = (struct kpi_text){"type in active_types", 20, 0};
    if (doc_is_empty(node) ||
        !load_fields(load, node, "session", keys, sizeof(keys) / sizeof(keys[0])))
        return;
    (void)definitions_text(load, where, "where", &attribute->where); /* reported */
    if (gap && read_duration(load, gap, "gap", &session->gap) &&
        session->gap > KPI_SESSION_GAP_MAX) {
        load_wrong(load, gap, "gap", "is more than 7d");
        session->gap = KPI_SESSION_GAP_MAX;
    }
    if (max && read_duration(load, max, "max", &session->max) && session->max < session->gap)
        load_wrong(load, max, "max", "is less than the gap");
    if (midnight && load_choice(load, midnight, "midnight", "ignore|cut|count_both", &choice))
        session->midnight = (enum kpi_midnight)choice;
    if (fields && load_texts(load, fields, "fields", &session->fields, &session->n_fields) < 0)
        load->report.no_memory = true;
}

static void read_measure(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_measure_definition *measure = item;
    struct doc_node *agg, *condition, *at, *campaign;
    const struct load_field fields[] = {
        {"agg", &agg}, {"where", &condition}, {"at", &at}, {"campaign", &campaign}};

    measure->aggregate = (struct kpi_text){"users", 5, 0};
    measure->where = measure->at = measure->campaign = load_kpi_text(NULL);
    if (!load_fields(load, node, "measure", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    read_aggregate(load, node, "measure", agg, condition, &measure->aggregate, &measure->where);
    (void)definitions_text(load, at, "at", &measure->at); /* reported; the event's own stands in */
    (void)definitions_text(load, campaign, "campaign", &measure->campaign);
}

void definitions_title(struct load *load, const struct doc_node *node, struct kpi_text *title_en,
                       struct kpi_text *title_zh)
{
    struct doc_node *en, *zh;
    const struct load_field fields[] = {{"en", &en}, {"zh", &zh}};

    if (node->kind == DOC_SCALAR) {
        (void)definitions_text(load, node, "title", title_en); /* reported */
        *title_zh = *title_en;
        return;
    }
    if (!load_fields(load, node, "title", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    (void)definitions_text(load, en, "title", title_en); /* reported; the name is shown */
    (void)definitions_text(load, zh, "title", title_zh);
}

bool definitions_breakdown(struct load *load, struct doc_node *node,
                           struct kpi_breakdown_definition *ret_breakdown)
{
    struct kpi_breakdown_definition breakdown = {NULL, 0};
    struct kpi_text *dimensions;
    struct doc_node *item;
    struct kpi_string text;
    bool good = true;

    if (node->kind == DOC_SEQUENCE && node->n_children == 0) {
        report_error(
            &load->report, load_begin_of(node),
            "a breakdown is the name of a dimension, or a list of them; this one is empty");
        return false;
    }
    dimensions = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*dimensions));
    if (!dimensions) {
        load->report.no_memory = true;
        return false;
    }
    for (item = load_first(node); item; item = load_next(node, item)) {
        good = load_text(load, item, "breakdown", &text) && good;
        dimensions[breakdown.n_dimensions++] = load_kpi_text(item);
    }
    breakdown.dimensions = dimensions;
    *ret_breakdown = breakdown;
    return good;
}

void definitions_by(struct load *load, struct doc_node *node,
                    struct kpi_breakdown_definition *breakdown)
{
    struct kpi_breakdown_definition read;

    if (!node)
        return;
    if (node->kind == DOC_MAPPING || doc_is_empty(node))
        (void)load_is_list(load, node, "by"); /* it is none, which is reported */
    else if (definitions_breakdown(load, node, &read))
        *breakdown = read;
}

/* A list of breakdowns, which may be empty; `list` grows. */
static int read_breakdowns(struct load *load, struct doc_node *node, const char *what,
                           struct load_list *list)
{
    struct doc_node *item;

    if (node->kind == DOC_MAPPING || doc_is_empty(node)) {
        (void)load_is_list(load, node, what); /* it is none, which is reported */
        return 0;
    }
    if (load_has_commas(load, node, what))
        return 0;
    for (item = load_first(node); item; item = load_next(node, item)) {
        struct kpi_breakdown_definition breakdown, *added;

        if (item->kind == DOC_MAPPING) {
            report_error(&load->report, load_begin_of(item),
                         "%s: expected names of dimensions, found keys and values", what);
            continue;
        }
        if (!definitions_breakdown(load, item, &breakdown))
            continue;
        added = load_push(load, list, sizeof(*added));
        if (!added)
            return -ENOMEM;
        *added = breakdown;
    }
    return 0;
}

/* {of: …, values: …}, what of would say, or nothing at all */
static void read_dimension(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_dimension_definition *dimension = item;
    struct doc_node *of, *values;
    const struct load_field fields[] = {{"of", &of}, {"values", &values}};
    struct kpi_string text;
    uint64_t n;

    dimension->of = load_kpi_text(NULL);
    if (doc_is_empty(node))
        return;
    if (node->kind == DOC_SCALAR) {
        (void)definitions_text(load, node, "of", &dimension->of); /* reported; as below */
        return;
    }
    if (!load_fields(load, node, "dimension", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    (void)definitions_text(load, of, "of", &dimension->of); /* reported; the name stands in */
    if (!values || !load_text(load, values, "values", &text))
        return;
    if (scalar_integer(text, &n) || n < 1 || n > 1000000)
        load_wrong(load, values, "values", "is no whole number from 1 to 1000000");
    else
        dimension->values_max = (uint32_t)n;
}

/* {where: …, title: …} */
static void read_segment(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_segment_definition *segment = item;
    struct doc_node *where, *title;
    const struct load_field fields[] = {{"where", &where}, {"title", &title}};

    segment->title_en = segment->title_zh = load_kpi_text(NULL);
    segment->where = (struct kpi_text){"true", 4, 0};
    if (!load_fields(load, node, "segment", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    if (!where)
        load_missing(load, node, "segment", "where");
    (void)definitions_text(load, where, "where", &segment->where); /* reported */
    if (title)
        definitions_title(load, title, &segment->title_en, &segment->title_zh);
}

static void read_by(struct load *load, struct doc_node *node, struct kpi_kpi_definition *kpi)
{
    struct load_list list = {NULL};

    kpi->has_by = true;
    if (read_breakdowns(load, node, "by", &list) < 0)
        load->report.no_memory = true;
    kpi->by = list.items;
    kpi->n_by = list.n;
}

static void read_kpi(struct load *load, const struct doc_node *node, void *item)
{
    struct kpi_kpi_definition *kpi = item;
    struct doc_node *title, *formula, *unit, *better, *by, *grains, *rolling;
    const struct load_field fields[] = {
        {"title", &title}, {"formula", &formula}, {"unit", &unit},       {"better", &better},
        {"by", &by},       {"grains", &grains},   {"rolling", &rolling},
    };
    unsigned choice;

    kpi->formula = (struct kpi_text){"1", 1, 0};
    kpi->title_en = kpi->title_zh = load_kpi_text(NULL);
    kpi->unit = KPI_UNIT_RATIO;
    kpi->better = KPI_BETTER_UP;
    if (!load_fields(load, node, "kpi", fields, sizeof(fields) / sizeof(fields[0])))
        return;
    if (!formula)
        load_missing(load, node, "kpi", "formula");
    (void)definitions_text(load, formula, "formula", &kpi->formula); /* reported */
    if (title)
        definitions_title(load, title, &kpi->title_en, &kpi->title_zh);
    /* in the order of enum kpi_unit and enum kpi_better */
    if (unit &&
        load_choice(load, unit, "unit", "ratio|count|money|duration|points|multiple", &choice))
        kpi->unit = (enum kpi_unit)choice;
    if (better && load_choice(load, better, "better", "up|down|band", &choice))
        kpi->better = (enum kpi_better)choice;
    if (by)
        read_by(load, by, kpi);
    if ((grains && load_texts(load, grains, "grains", &kpi->grains, &kpi->n_grains) < 0) ||
        (rolling && load_texts(load, rolling, "rolling", &kpi->rolling, &kpi->n_rolling) < 0))
        load->report.no_memory = true;
}

int load_attributes(struct load *load, const struct doc_node *section)
{
    const struct section attributes = {"attribute", &load->attributes,
                                       sizeof(struct kpi_attribute_definition), KPI_ATTRIBUTES_MAX,
                                       read_attribute};

    return definitions_read(load, section, &attributes);
}

int load_sessions(struct load *load, const struct doc_node *section)
{
    const struct section sessions = {"session", &load->attributes,
                                     sizeof(struct kpi_attribute_definition), KPI_ATTRIBUTES_MAX,
                                     read_session};

    return definitions_read(load, section, &sessions);
}

int load_measures(struct load *load, const struct doc_node *section)
{
    const struct section measures = {"measure", &load->measures,
                                     sizeof(struct kpi_measure_definition), KPI_MEASURES_MAX,
                                     read_measure};

    return definitions_read(load, section, &measures);
}

int load_kpis(struct load *load, const struct doc_node *section)
{
    const struct section kpis = {"kpi", &load->kpis, sizeof(struct kpi_kpi_definition),
                                 KPI_KPIS_MAX, read_kpi};

    return definitions_read(load, section, &kpis);
}

int load_dimensions(struct load *load, const struct doc_node *section)
{
    const struct section dimensions = {"dimension", &load->dimensions,
                                       sizeof(struct kpi_dimension_definition), KPI_DIMENSIONS_MAX,
                                       read_dimension};

    return definitions_read(load, section, &dimensions);
}

int load_segments(struct load *load, const struct doc_node *section)
{
    const struct section segments = {"segment", &load->segments,
                                     sizeof(struct kpi_segment_definition), KPI_DIMENSIONS_MAX,
                                     read_segment};

    return definitions_read(load, section, &segments);
}

int load_breakdowns(struct load *load, const struct doc_node *section)
{
    return read_breakdowns(load, (struct doc_node *)section, "breakdowns", &load->breakdowns);
}
