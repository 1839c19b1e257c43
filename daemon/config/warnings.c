/*
 * What can be loaded and will not do what was meant: targets that cannot fire, campaigns that are
 * over, more to look back on than is kept. Asked once the plan is there.
 */
#include "config/load.h"
#include "config/scalar.h"

#include <kpi/alert.h>
#include <kpi/bounds.h>
#include <math.h>

/* A campaign as it stands in the file and in the plan. */
struct subject {
    struct load *load;
    const struct kpi_campaign_info *campaign;
    const struct kpi_zone *zone;
};

static const struct doc_node *node_at(const struct load_list *list, uint32_t index)
{
    const struct doc_node *const *nodes = list->items;

    return nodes[index];
}

/* Where a key's value stands, else where the mapping begins. */
static struct doc_place place_of(const struct doc_node *mapping, const char *key)
{
    const struct doc_node *node = doc_get(mapping, key);

    return node ? doc_node_place(node) : load_begin_of(mapping);
}

/* As place_of(), with a second choice. */
static struct doc_place place_of_either(const struct doc_node *mapping, const char *key,
                                        const char *other)
{
    return place_of(mapping, doc_get(mapping, key) ? key : other);
}

/* "7d", "36h": the largest unit that leaves nothing over. */
static const char *show_duration(struct load *load, kpi_duration duration)
{
    static const struct {
        kpi_duration unit;
        const char *name;
    } units[] = {{KPI_DAY, "d"}, {KPI_HOUR, "h"}, {KPI_MINUTE, "m"}, {KPI_SECOND, "s"}};
    size_t i = 0;
    const char *text;

    while (i < 3 && duration % units[i].unit != 0)
        i++;
    text =
        arena_format(&load->arena, "%lld%s", (long long)(duration / units[i].unit), units[i].name);
    if (!text)
        load->report.no_memory = true;
    return text ? text : "";
}

/* --- targets --- */

/* In the KPI's unit as people write it: a ratio in percent. */
static const char *show_value(struct load *load, enum kpi_unit unit, double value)
{
    const char *text = unit == KPI_UNIT_RATIO ? arena_format(&load->arena, "%.6g%%", value * 100)
                                              : arena_format(&load->arena, "%.6g", value);

    if (!text)
        load->report.no_memory = true;
    return text ? text : "";
}

static void judge_band(struct load *load, const struct doc_node *node,
                       const struct kpi_target *target, const struct kpi_bounds *bounds)
{
    const struct kpi_kpi_info *kpi = kpi_plan_kpi(load->settings.config.plan, target->kpi);
    /* an edge that no value lies beyond is out of reach; the edge itself is not */
    double slack = 1e-9 * (fabs(target->value) + target->band), below, above;
    bool fires_below, fires_above;

    kpi_target_edges(target, &below, &above);
    fires_below = target->better != KPI_BETTER_DOWN && below + slack >= bounds->low;
    fires_above = target->better != KPI_BETTER_UP && above - slack <= bounds->high;
    if (target->deviation == KPI_DEVIATION_ABSOLUTE && target->better == KPI_BETTER_UP &&
        fires_below && target->value > 0 && below < 0)
        report_warning(&load->report, place_of(node, "deviation"),
                       "this target hardly fires: %.*s must fall below %s; percent are written as "
                       "%.6g%%",
                       (int)kpi->name.length, kpi->name.data, show_value(load, kpi->unit, below),
                       target->deviation_amount);
    if (fires_below || fires_above)
        return;
    if (target->better == KPI_BETTER_BAND)
        report_warning(&load->report, place_of_either(node, "deviation", "value"),
                       "this target cannot fire: %.*s is never below %s or above %s",
                       (int)kpi->name.length, kpi->name.data, show_value(load, kpi->unit, below),
                       show_value(load, kpi->unit, above));
    else
        report_warning(
            &load->report, place_of_either(node, "deviation", "value"),
            "this target cannot fire: %.*s is never %s %s", (int)kpi->name.length, kpi->name.data,
            target->better == KPI_BETTER_UP ? "below" : "above",
            show_value(load, kpi->unit, target->better == KPI_BETTER_UP ? below : above));
}

/* What hardly any value reaches: most of all percent that are written without their sign. */
static void judge_reach(struct load *load, const struct doc_node *node,
                        const struct kpi_target *target, const struct kpi_bounds *bounds)
{
    const struct kpi_kpi_info *kpi = kpi_plan_kpi(load->settings.config.plan, target->kpi);
    const char *wanted = show_value(load, kpi->unit, target->value);

    if (kpi->unit == KPI_UNIT_RATIO && target->value >= 2 &&
        !memchr(target->expression.data, '%', target->expression.length))
        report_warning(&load->report, place_of(node, "value"),
                       "this wants %s of a ratio; percent are written as %.6g%%", wanted,
                       target->value);
    else if (target->better != KPI_BETTER_DOWN && target->value > bounds->high + 1e-9)
        report_warning(&load->report, place_of(node, "value"),
                       "this target is out of reach: %.*s is never above %s", (int)kpi->name.length,
                       kpi->name.data, show_value(load, kpi->unit, bounds->high));
}

static void judge_sample(const struct subject *subject, const struct doc_node *node,
                         const struct kpi_target *target, const struct kpi_bounds *bounds)
{
    kpi_decimal audience = subject->campaign->audience;

    if (bounds->counts_nothing && !doc_get(node, "min_sample")) {
        report_warning(&subject->load->report, place_of(node, "kpi"),
                       "this target may never be judged: it asks for %lld (min_sample, by default) "
                       "users or events, and this KPI is a number of neither; min_sample: 0 judges "
                       "it always",
                       (long long)target->sample_min);
        return;
    }
    if (!bounds->counts_users || audience == KPI_TIME_NONE ||
        target->sample_min <= audience / KPI_DECIMAL_ONE)
        return;
    report_warning(&subject->load->report, place_of_either(node, "min_sample", "kpi"),
                   "this target cannot fire: it is judged from %lld users on%s, the audience has "
                   "%lld",
                   (long long)target->sample_min,
                   doc_get(node, "min_sample") ? "" : " (min_sample, by default)",
                   (long long)(audience / KPI_DECIMAL_ONE));
}

/* [*ret_from, *ret_to) in which the scope has a value that changes. */
static void scope_life(const struct subject *subject, const struct kpi_target *target,
                       kpi_time *ret_from, kpi_time *ret_to)
{
    const struct kpi_campaign_info *campaign = subject->campaign;
    const struct kpi_phase_info *phase = &campaign->phases[target->scope_pattern.phase];
    kpi_day first = campaign->start_day, end = campaign->end_day;

    if (target->scope_pattern.kind == KPI_SCOPE_PHASE) {
        first = phase->start_day;
        end = phase->end_day;
    } else if (target->scope_pattern.kind == KPI_SCOPE_DAY) {
        for (uint32_t i = 0; i < campaign->n_phases; i++) {
            first = campaign->phases[i].start_day < first ? campaign->phases[i].start_day : first;
            end = campaign->phases[i].end_day > end ? campaign->phases[i].end_day : end;
        }
    }
    *ret_from = kpi_zone_day_start(subject->zone, first);
    *ret_to = kpi_zone_day_start(subject->zone, end);
}

static void judge_time(const struct subject *subject, const struct doc_node *node,
                       const struct kpi_target *target)
{
    struct load *load = subject->load;
    kpi_time life_from, life_to, from = target->from, to = target->to;
    kpi_duration lasts;

    if (target->scope_pattern.kind == KPI_SCOPE_ROLLING)
        return; /* there is one at any time */
    scope_life(subject, target, &life_from, &life_to);
    if (to != KPI_TIME_NONE && to <= life_from) {
        report_warning(&load->report, place_of(node, "to"),
                       "this target cannot fire: it ends before its scope begins");
        return;
    }
    /* the value of a campaign or phase stays when it is over, a day's does not */
    if (target->scope_pattern.kind == KPI_SCOPE_DAY && from != KPI_TIME_NONE && from >= life_to) {
        report_warning(&load->report, place_of(node, "from"),
                       "this target cannot fire: it begins when its scope is over");
        return;
    }
    lasts = target->scope_pattern.kind == KPI_SCOPE_DAY ? KPI_DAY : life_to - life_from;
    if (from < life_from)
        from = life_from; /* KPI_TIME_NONE is the least of all */
    if (to != KPI_TIME_NONE && to - from < lasts)
        lasts = to - from;
    if (target->hold >= lasts)
        report_warning(&load->report, place_of_either(node, "for", "kpi"),
                       "this target hardly fires: the deviation must last %s, and what it is "
                       "judged by lasts %s",
                       show_duration(load, target->hold), show_duration(load, lasts));
}

static void judge_kept(struct load *load, struct doc_place place, const char *what, uint32_t days)
{
    if (days * KPI_DAY <= load->settings.keep)
        return;
    report_error(&load->report, place,
                 "%s looks back on %u days at least, more than the %s that are kept: raise keep",
                 what, days, show_duration(load, load->settings.keep));
}

static void judge_kpi_kept(struct load *load, struct doc_place place, uint32_t kpi,
                           const struct kpi_bounds *bounds)
{
    judge_kept(load, place, QUOTE(kpi_plan_kpi(load->settings.config.plan, kpi)->name),
               bounds->days_kept);
}

static void judge_target(struct load *load, uint32_t index)
{
    const struct kpi_plan *plan = load->settings.config.plan;
    const struct kpi_target *target = kpi_plan_target(plan, index);
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(plan, target->campaign);
    const struct subject subject = {load, campaign, kpi_plan_zone(plan, campaign->zone)};
    const struct doc_node *node = node_at(&load->target_nodes, index);
    const struct kpi_kpi_definition *kpis = load->kpis.items;
    struct kpi_bounds bounds;

    kpi_plan_bounds(plan, target->kpi, &bounds);
    if (!target->varies) {
        judge_band(load, node, target, &bounds);
        judge_reach(load, node, target, &bounds);
    }
    judge_sample(&subject, node, target, &bounds);
    judge_time(&subject, node, target);
    /* one of the catalogue counts only if somebody relies on it; others are told at their formula
     */
    if (load->docs.nodes[kpis[target->kpi].name.origin]->file == load->catalogue)
        judge_kpi_kept(load, place_of(node, "kpi"), target->kpi, &bounds);
    judge_kept(load, place_of(node, "value"), "this value", kpi_plan_target_days(plan, target));
}

/* --- what is kept --- */

static void judge_formulas(struct load *load)
{
    const struct kpi_kpi_definition *kpis = load->kpis.items;

    for (uint32_t i = 0; i < load->kpis.n; i++) {
        const struct doc_node *formula = load->docs.nodes[kpis[i].formula.origin];
        struct kpi_bounds bounds;

        if (formula->file == load->catalogue)
            continue;
        kpi_plan_bounds(load->settings.config.plan, i, &bounds);
        judge_kpi_kept(load, doc_node_place(formula), i, &bounds);
    }
}

/* --- campaigns --- */

static void judge_campaign(struct load *load, uint32_t index, kpi_time now)
{
    const struct kpi_plan *plan = load->settings.config.plan;
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(plan, index);
    const struct kpi_zone *zone = kpi_plan_zone(plan, campaign->zone);
    const struct doc_node *node = node_at(&load->campaign_nodes, index);
    kpi_day last = campaign->end_day;

    for (uint32_t i = 0; i < campaign->n_phases; i++)
        last = campaign->phases[i].end_day > last ? campaign->phases[i].end_day : last;
    if (now && kpi_zone_day_start(zone, last) <= now)
        report_warning(&load->report, place_of(node, "end"),
                       "campaign %s is over, with all of its phases", QUOTE(campaign->id));
    if ((campaign->end_day - campaign->start_day) * KPI_DAY > load->settings.keep)
        report_warning(&load->report, place_of(node, "end"),
                       "campaign %s lasts %d days, %s are kept: its first days will be forgotten "
                       "while it goes on",
                       QUOTE(campaign->id), (int)(campaign->end_day - campaign->start_day),
                       show_duration(load, load->settings.keep));
}

void load_warnings(struct load *load, const struct doc_node *root, kpi_time now)
{
    const struct kpi_plan *plan = load->settings.config.plan;

    if (!plan || load->report.n_errors > 0)
        return; /* what stands in for mistakes would only be called strange */
    judge_formulas(load);
    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); i++)
        judge_campaign(load, i, now);
    for (uint32_t i = 0; i < kpi_plan_n_targets(plan); i++)
        judge_target(load, i);
}
