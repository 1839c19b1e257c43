/*
 * Experiments: what an entry of the section `experiments` says, up to what libkpi knows better. The
 * numbers are judged here, as libkpi has no place to point at for them.
 */
#include "config/definitions.h"
#include "config/scalar.h"

#include <errno.h>
#include <kpi/experiment.h>
#include <kpi/plan.h>

static const kpi_duration run_min_default = 48 * KPI_HOUR;
static const kpi_duration run_min_max = 3650 * KPI_DAY;
static const uint64_t units_max = 1000000000;

/* The nodes of an entry, by key. */
struct entry {
    struct doc_node *title, *variants, *split, *control, *exposure, *campaign, *goal, *denominator;
    struct doc_node *metric, *method, *correction, *better, *one_sided, *alpha;
    struct doc_node *min_run, *min_units, *tuning_units, *from, *to, *by;
};

static bool read_entry(struct load *load, const struct doc_node *node, struct entry *entry)
{
    const struct load_field fields[] = {
        {"title", &entry->title},
        {"variants", &entry->variants},
        {"split", &entry->split},
        {"control", &entry->control},
        {"exposure", &entry->exposure},
        {"campaign", &entry->campaign},
        {"goal", &entry->goal},
        {"denominator", &entry->denominator},
        {"metric", &entry->metric},
        {"method", &entry->method},
        {"correction", &entry->correction},
        {"better", &entry->better},
        {"one_sided", &entry->one_sided},
        {"alpha", &entry->alpha},
        {"min_run", &entry->min_run},
        {"min_units", &entry->min_units},
        {"tuning_units", &entry->tuning_units},
        {"from", &entry->from},
        {"to", &entry->to},
        {"by", &entry->by},
    };

    return load_fields(load, node, "experiment", fields, sizeof(fields) / sizeof(fields[0]));
}

/* A text for libkpi; one that must be there is replaced if it is not. */
static void read_text(struct load *load, const struct doc_node *entry, const struct doc_node *node,
                      const char *what, bool required, struct kpi_text *ret_text)
{
    if (!node && required)
        report_error(&load->report, doc_node_place(entry->key), "experiment %s: %s is missing",
                     QUOTE(doc_string(entry->key)), what);
    (void)definitions_text(load, node, what, ret_text); /* reported; the stand-in stays */
}

/* The arms, and the one that the others are compared with. */
static void read_variants(struct load *load, const struct doc_node *node, const struct entry *entry,
                          struct kpi_experiment_definition *experiment)
{
    const struct kpi_text *variants = NULL;
    uint32_t n_variants;

    if (!entry->variants)
        report_error(&load->report, doc_node_place(node->key), "experiment %s: variants is missing",
                     QUOTE(doc_string(node->key)));
    else if (load_texts(load, entry->variants, "variants", &variants, &n_variants) < 0)
        load->report.no_memory = true;
    if (!variants)
        return; /* the stand-ins stay, of which none is the control */
    experiment->variants = variants;
    experiment->n_variants = n_variants;
    read_text(load, node, entry->control, "control", false, &experiment->control);
}

/* The shares of the arms, in any unit; as many as there are variants. */
static void read_split(struct load *load, struct doc_node *node,
                       struct kpi_experiment_definition *experiment)
{
    struct doc_node *item;
    kpi_decimal *weights;
    uint32_t n = 0;
    bool good = true;

    if (!load_is_list(load, node, "split"))
        return;
    if (load_first(node) == node || node->n_children != experiment->n_variants) {
        report_error(&load->report, load_begin_of(node),
                     "split: a share for each of the %u variants is expected, as [2, 1, 1]",
                     experiment->n_variants);
        return;
    }
    weights = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*weights));
    if (!weights) {
        load->report.no_memory = true;
        return;
    }
    for (item = load_first(node); item; item = load_next(node, item)) {
        struct kpi_string text;

        if (!load_text(load, item, "split", &text)) {
            good = false;
        } else if (scalar_decimal(text, &weights[n]) || weights[n] <= 0) {
            load_wrong(load, item, "split", "is not a number above 0");
            good = false;
        }
        n++;
    }
    if (good)
        experiment->weights = weights;
}

static void read_alpha(struct load *load, const struct doc_node *node, double *ret_alpha)
{
    struct kpi_string text;
    kpi_decimal alpha;

    if (!node || !load_text(load, node, "alpha", &text))
        return;
    if (scalar_decimal(text, &alpha) || alpha <= 0 || alpha >= KPI_DECIMAL_ONE / 2)
        load_wrong(load, node, "alpha", "is not a number between 0 and 0.5, as 0.05");
    else
        *ret_alpha = (double)alpha / KPI_DECIMAL_ONE;
}

static void read_units(struct load *load, const struct doc_node *node, const char *what,
                       uint64_t min, uint64_t *ret_units)
{
    struct kpi_string text;
    uint64_t units;

    if (!node || !load_text(load, node, what, &text))
        return;
    if (scalar_integer(text, &units) || units < min || units > units_max)
        load_wrong(load, node, what,
                   min ? "is no whole number from 1 to 1000000000"
                       : "is no whole number from 0 to 1000000000");
    else
        *ret_units = units;
}

static void read_run_min(struct load *load, const struct doc_node *node, kpi_duration *ret_run_min)
{
    struct kpi_string text;
    kpi_duration duration;
    const char *error;

    if (!node || !load_text(load, node, "min_run", &text))
        return;
    error = scalar_duration(text, &duration);
    if (!error && duration > run_min_max)
        error = "is longer than 3650d";
    if (error)
        load_wrong(load, node, "min_run", error);
    else
        *ret_run_min = duration;
}

/* The order of words is that of the enums. */
static void read_choices(struct load *load, const struct entry *entry,
                         struct kpi_experiment_definition *experiment)
{
    unsigned choice;

    if (entry->metric &&
        load_choice(load, entry->metric, "metric", "proportion|mean|ratio", &choice))
        experiment->metric = (int)choice;
    if (entry->method && load_choice(load, entry->method, "method", "fixed|sequential", &choice))
        experiment->method = (enum kpi_method)choice;
    if (entry->correction && load_choice(load, entry->correction, "correction", "holm|bh", &choice))
        experiment->correction = (enum kpi_correction)choice;
    if (entry->better && load_choice(load, entry->better, "better", "up|down", &choice))
        experiment->better = (enum kpi_better)choice;
    if (!entry->one_sided ||
        !load_choice(load, entry->one_sided, "one_sided", "false|true", &choice))
        return;
    experiment->one_sided = choice && experiment->control.length;
    if (choice && !entry->control)
        report_error(
            &load->report, doc_node_place(entry->one_sided),
            "one_sided: it asks which arms are better than the control, and there is none");
}

/* --- when --- */

/* The campaign of that id, or NULL: libkpi tells. */
static const struct kpi_campaign_definition *find_campaign(const struct load *load,
                                                           const struct kpi_text *id)
{
    const struct kpi_campaign_definition *campaigns = load->campaigns.items;
    const struct kpi_string name = {id->data, id->length};

    for (uint32_t i = 0; i < load->campaigns.n && id->length; i++) {
        if (kpi_string_equal((struct kpi_string){campaigns[i].id.data, campaigns[i].id.length},
                             name))
            return &campaigns[i];
    }
    return NULL;
}

/* A date, whose day begins in the zone, or a time. */
static void read_bound(struct load *load, const struct doc_node *node, const char *what,
                       const struct kpi_zone *zone, kpi_time *ret_time)
{
    struct kpi_string text;
    kpi_day day;

    if (!node || !load_text(load, node, what, &text))
        return;
    if (!scalar_date(text, &day))
        *ret_time = kpi_zone_day_start(zone, day);
    else if (scalar_time(text, ret_time))
        load_wrong(load, node, what,
                   "is neither a date, as 2026-11-01, nor a time with zone, as "
                   "2026-11-01T10:00:00+08:00");
}

static void read_times(struct load *load, const struct doc_node *node, const struct entry *entry,
                       struct kpi_experiment_definition *experiment)
{
    const struct kpi_campaign_definition *campaign = find_campaign(load, &experiment->campaign);
    const struct kpi_zone *zones = load->zones.items;
    const struct kpi_zone *zone = &zones[campaign ? campaign->zone : 0];
    bool is_fixed = experiment->method == KPI_METHOD_FIXED;

    if (campaign) {
        experiment->from = kpi_zone_day_start(zone, campaign->start_day);
        experiment->to = kpi_zone_day_start(zone, campaign->end_day);
    }
    read_bound(load, entry->from, "from", zone, &experiment->from);
    read_bound(load, entry->to, "to", zone, &experiment->to);
    if (is_fixed && experiment->to == KPI_TIME_NONE) {
        if (!entry->to && !entry->campaign) /* else what is wrong there was said */
            report_error(&load->report, doc_node_place(entry->method),
                         "method fixed: it looks once, at the end, so there must be a to or a "
                         "campaign");
        experiment->method = KPI_METHOD_SEQUENTIAL;
    }
    if (experiment->from != KPI_TIME_NONE && experiment->to != KPI_TIME_NONE &&
        experiment->to <= experiment->from && (entry->to || entry->from)) {
        report_error(&load->report, doc_node_place(entry->to ? entry->to : entry->from),
                     "experiment %s: it ends before it begins", QUOTE(doc_string(node->key)));
        experiment->to = INT64_MAX;
    }
}

static void read_experiment(struct load *load, const struct doc_node *node, void *item)
{
    static const struct kpi_text stand_ins[] = {{"a", 1, 0}, {"b", 1, 0}};
    const struct kpi_experiment_options options = KPI_EXPERIMENT_OPTIONS_DEFAULT;
    struct kpi_experiment_definition *experiment = item;
    const struct kpi_text none = load_kpi_text(NULL);
    uint64_t units_min = (uint64_t)options.units_min, tuning_units = (uint64_t)options.tuning_units;
    struct entry entry;

    *experiment = (struct kpi_experiment_definition){
        .name = experiment->name,
        .title_en = none,
        .title_zh = none,
        .variants = stand_ins,
        .n_variants = 2,
        .control = none,
        .exposure = {"true", 4, 0},
        .campaign = none,
        .goal = {"true", 4, 0},
        .denominator = none,
        .metric = -1,
        .method = options.method,
        .correction = options.correction,
        .better = options.better,
        .alpha = options.alpha,
        .tuning_units = options.tuning_units,
        .units_min = options.units_min,
        .run_min = run_min_default,
        .from = KPI_TIME_NONE,
        .to = KPI_TIME_NONE,
    };
    if (!read_entry(load, node, &entry))
        return;
    if (entry.title)
        definitions_title(load, entry.title, &experiment->title_en, &experiment->title_zh);
    read_variants(load, node, &entry, experiment);
    read_text(load, node, entry.exposure, "exposure", true, &experiment->exposure);
    read_text(load, node, entry.goal, "goal", true, &experiment->goal);
    read_text(load, node, entry.denominator, "denominator", false, &experiment->denominator);
    read_text(load, node, entry.campaign, "campaign", false, &experiment->campaign);
    read_choices(load, &entry, experiment);
    if (entry.split)
        read_split(load, entry.split, experiment);
    read_alpha(load, entry.alpha, &experiment->alpha);
    read_units(load, entry.min_units, "min_units", 0, &units_min);
    read_units(load, entry.tuning_units, "tuning_units", 1, &tuning_units);
    experiment->units_min = (int64_t)units_min;
    experiment->tuning_units = (double)tuning_units;
    read_run_min(load, entry.min_run, &experiment->run_min);
    read_times(load, node, &entry, experiment);
    definitions_by(load, entry.by, &experiment->by);
}

int load_experiments(struct load *load, const struct doc_node *section)
{
    const struct section experiments = {"experiment", &load->experiments,
                                        sizeof(struct kpi_experiment_definition),
                                        KPI_EXPERIMENTS_MAX, read_experiment};

    return definitions_read(load, section, &experiments);
}
