/* Targets: what a KPI of a campaign should be, from when to when, and how far it may deviate. */
#include "config/targets.h"
#include "config/scalar.h"

#include <errno.h>

enum {
    TARGETS_MAX = 1000
};

static const kpi_duration hold_default = 5 * KPI_MINUTE;
static const kpi_duration hold_max = 30 * KPI_DAY;
static const int64_t sample_min_default = 100;
static const kpi_decimal deviation_max = 1000000 * (1000000 * KPI_DECIMAL_ONE);

static kpi_time day_start(const struct campaign_draft *draft, kpi_day day)
{
    const struct kpi_zone *zones = draft->load->zones.items;
    const struct kpi_zone *zone = &zones[draft->campaign->zone];
    int64_t index = (int64_t)day - zone->first_day;

    if (index < 0)
        index = 0;
    if (index > zone->n_days)
        index = zone->n_days;
    return zone->day_starts[index];
}

/* The phase of that name, or NULL. */
static const struct kpi_phase_definition *find_phase(const struct campaign_draft *draft,
                                                     struct kpi_string name)
{
    uint32_t i;

    for (i = 0; i < draft->campaign->n_phases; i++) {
        const struct kpi_text *text = &draft->phases[i].name;

        if (kpi_string_equal((struct kpi_string){text->data, text->length}, name))
            return &draft->phases[i];
    }
    return NULL;
}

/* from or to of a target: start, end, a phase (its begin for from, its end for to), or a date. */
static void read_bound(const struct campaign_draft *draft, const struct doc_node *node, bool is_end,
                       kpi_time *ret_time)
{
    const char *what = is_end ? "to" : "from";
    const struct kpi_phase_definition *phase;
    struct kpi_string text;
    kpi_day day;

    if (!node || !load_text(draft->load, node, what, &text) || !draft->has_days)
        return;
    phase = find_phase(draft, text);
    if (kpi_string_equal(text, KPI_STRING("start"))) {
        day = draft->campaign->start_day;
    } else if (kpi_string_equal(text, KPI_STRING("end"))) {
        day = draft->campaign->end_day;
    } else if (phase && !draft->has_phases) {
        return; /* the phase that was meant may be the broken one */
    } else if (phase) {
        day = is_end ? phase->end_day : phase->start_day;
    } else if (text.data[0] >= '0' && text.data[0] <= '9') {
        const char *error = scalar_date(text, &day);

        if (error) {
            load_wrong(draft->load, node, what, error);
            return;
        }
    } else {
        struct suggest suggest = suggest_begin(text);
        uint32_t i;

        for (i = 0; i < draft->campaign->n_phases; i++)
            suggest_try(&suggest, draft->phases[i].name.data);
        suggest_try(&suggest, "start");
        suggest_try(&suggest, "end");
        load_wrong(draft->load, node, what, "is neither start nor end, a phase, nor a date");
        report_suggest(&draft->load->report, suggest.best);
        return;
    }
    *ret_time = day_start(draft, day);
}

/* The unit of the KPI that a target names; false if there is none, which libkpi reports. */
static bool find_unit(const struct load *load, const struct doc_node *name, enum kpi_unit *ret_unit)
{
    const struct kpi_kpi_definition *kpis = load->kpis.items;
    uint32_t i;

    for (i = 0; name && name->kind == DOC_SCALAR && i < load->kpis.n; i++) {
        if (kpi_string_equal((struct kpi_string){kpis[i].name.data, kpis[i].name.length},
                             doc_string(name))) {
            *ret_unit = kpis[i].unit;
            return true;
        }
    }
    return false;
}

static bool take_suffix(struct kpi_string *text, const char *suffix)
{
    size_t length = strlen(suffix);

    if (text->length < length || memcmp(text->data + text->length - length, suffix, length) != 0)
        return false;
    text->length -= length;
    return true;
}

static const char *no_deviation(enum kpi_unit unit)
{
    switch (unit) {
    case KPI_UNIT_RATIO:
        return "is neither a share, as 10%, nor percentage points, as 10pp, nor a factor, as 1.5x";
    case KPI_UNIT_POINTS:
        return "is neither a share, as 10%, nor points, as 10pp, nor a factor, as 1.5x";
    case KPI_UNIT_DURATION:
        return "is neither a share, as 10%, nor a duration, as 60s, nor a factor, as 1.5x";
    case KPI_UNIT_COUNT:
    case KPI_UNIT_MONEY:
    case KPI_UNIT_MULTIPLE:
        break;
    }
    return "is neither a share, as 10%, nor an amount above 0, as 0.5, nor a factor, as 1.5x";
}

/*
 * "10pp", "10%", "1.5x", or an amount of the unit: "0.5", "60s" or as many seconds. Percentage
 * points of a ratio are hundredths; of an NPS they are its points, as a mere number is. NULL, or
 * what is wrong.
 */
static const char *parse_deviation(struct kpi_string text, enum kpi_unit unit,
                                   enum kpi_deviation *ret_deviation, kpi_decimal *ret_amount)
{
    enum kpi_deviation deviation = take_suffix(&text, "pp")  ? KPI_DEVIATION_POINTS
                                   : take_suffix(&text, "%") ? KPI_DEVIATION_RELATIVE
                                   : take_suffix(&text, "x") ? KPI_DEVIATION_FACTOR
                                                             : KPI_DEVIATION_ABSOLUTE;
    bool is_absolute = deviation == KPI_DEVIATION_ABSOLUTE;
    kpi_decimal amount; /* a duration's microseconds are seconds in 10^-6 */

    if (is_absolute && scalar_duration(text, &amount) == NULL) {
        if (unit != KPI_UNIT_DURATION)
            return "is a duration, which fits KPIs of unit duration only; give a share, as 10%";
    } else if (scalar_decimal(text, &amount)) {
        return no_deviation(unit);
    }
    if (amount <= 0 || (is_absolute && unit == KPI_UNIT_RATIO)) /* is 1 all of it, or 1 %? */
        return no_deviation(unit);
    if (is_absolute && unit == KPI_UNIT_POINTS)
        deviation = KPI_DEVIATION_POINTS;
    if (deviation == KPI_DEVIATION_POINTS && unit != KPI_UNIT_RATIO && unit != KPI_UNIT_POINTS)
        return "fits KPIs of unit ratio or points only; give a share, as 10%";
    if (deviation == KPI_DEVIATION_FACTOR && amount == KPI_DECIMAL_ONE)
        return "leaves no room: a factor is more than 1, as 1.5x, or less, as 0.8x";
    if (deviation == KPI_DEVIATION_RELATIVE ||
        (deviation == KPI_DEVIATION_POINTS && unit == KPI_UNIT_RATIO))
        amount = amount / 100 + (amount % 100 >= 50);
    if (amount == 0)
        return "is too small";
    if (amount > deviation_max)
        return "is too large";
    *ret_deviation = deviation;
    *ret_amount = amount;
    return NULL;
}

static void read_deviation(const struct campaign_draft *draft, const struct doc_node *node,
                           const struct doc_node *kpi, struct kpi_target_definition *target)
{
    struct kpi_string text;
    enum kpi_unit unit;
    const char *error;

    if (!node || !load_text(draft->load, node, "deviation", &text) ||
        !find_unit(draft->load, kpi, &unit))
        return;
    error = parse_deviation(text, unit, &target->deviation, &target->deviation_amount);
    if (error)
        load_wrong(draft->load, node, "deviation", error);
}

static void read_hold(const struct campaign_draft *draft, const struct doc_node *node,
                      kpi_duration *ret_hold)
{
    struct kpi_string text;
    kpi_duration duration;
    const char *error;

    if (!node || !load_text(draft->load, node, "for", &text))
        return;
    error = scalar_duration(text, &duration);
    if (!error && duration > hold_max)
        error = "is longer than 30d";
    if (error)
        load_wrong(draft->load, node, "for", error);
    else
        *ret_hold = duration;
}

static void read_sample_min(const struct campaign_draft *draft, const struct doc_node *node,
                            int64_t *ret_min)
{
    struct kpi_string text;
    uint64_t value;
    const char *error;

    if (!node || !load_text(draft->load, node, "min_sample", &text))
        return;
    error = scalar_integer(text, &value);
    if (!error && value > INT64_MAX / 1000000)
        error = "is too large";
    if (error)
        load_wrong(draft->load, node, "min_sample", error);
    else
        *ret_min = (int64_t)value;
}

/* Is it not what people say of a target, where its value should stand? */
static bool is_value(struct load *load, const struct doc_node *node, struct kpi_string text)
{
    const char *error = NULL;

    if (text.data[0] == '<' || text.data[0] == '>')
        error = "is no value; what is wanted stands alone, and better: up, down or band says which "
                "side of it is bad";
    else if (text.length > 2 && text.data[0] == '1' && text.data[1] == ':')
        error = "is no value; of 1:4 write 4";
    if (error)
        load_wrong(load, node, "value", error);
    return !error;
}

/*
 * An expression, or, of a KPI that is a duration, one as people write it: `8m` is 480, as in
 * expressions durations are seconds. Returns 0 or -ENOMEM.
 */
static int read_value(struct load *load, const struct doc_node *node, const struct doc_node *kpi,
                      struct kpi_target_definition *target)
{
    struct kpi_string text;
    kpi_duration duration;
    enum kpi_unit unit;
    const char *seconds;

    if (!load_text(load, node, "value", &text) || !is_value(load, node, text))
        return 0;
    if (scalar_duration(text, &duration) != NULL || !find_unit(load, kpi, &unit)) {
        target->value = load_kpi_text(node);
        return 0;
    }
    if (unit != KPI_UNIT_DURATION) {
        load_wrong(load, node, "value", "is a duration, which fits KPIs of unit duration only");
        return 0;
    }
    seconds = arena_format(&load->arena, "%lld.%06lld", (long long)(duration / KPI_SECOND),
                           (long long)(duration % KPI_SECOND));
    if (!seconds)
        return -ENOMEM;
    target->value = (struct kpi_text){seconds, (uint32_t)strlen(seconds), node->origin};
    return 0;
}

static int read_target(const struct campaign_draft *draft, const struct doc_node *node,
                       struct kpi_target_definition *target)
{
    struct doc_node *kpi, *value, *deviation, *better, *scope, *from, *to, *hold, *sample_min;
    const struct load_field fields[] = {
        {"kpi", &kpi},       {"value", &value}, {"deviation", &deviation},
        {"better", &better}, {"scope", &scope}, {"from", &from},
        {"to", &to},         {"for", &hold},    {"min_sample", &sample_min},
    };
    struct load *load = draft->load;
    struct kpi_string text;
    unsigned choice;
    int r = 0;

    if (!load_fields(load, node, "target", fields, sizeof(fields) / sizeof(fields[0])))
        return 0;
    if (!kpi)
        load_missing(load, node, "target", "kpi");
    else if (load_text(load, kpi, "kpi", &text))
        target->kpi = load_kpi_text(kpi);
    if (!value)
        load_missing(load, node, "target", "value");
    else
        r = read_value(load, value, kpi, target);
    if (scope && load_text(load, scope, "scope", &text))
        target->scope = load_kpi_text(scope);
    read_deviation(draft, deviation, kpi, target);
    if (better && load_choice(load, better, "better", "up|down|band", &choice))
        target->better = (int)choice; /* in the order of enum kpi_better */
    read_bound(draft, from, false, &target->from);
    read_bound(draft, to, true, &target->to);
    if (target->from != KPI_TIME_NONE && target->to != KPI_TIME_NONE &&
        target->to <= target->from) {
        report_error(&load->report, doc_node_place(to), "target: it ends before it begins");
        target->to = KPI_TIME_NONE;
    }
    read_hold(draft, hold, &target->hold);
    read_sample_min(draft, sample_min, &target->sample_min);
    return r;
}

int load_targets(struct campaign_draft *draft, const struct doc_node *node)
{
    struct load *load = draft->load;
    struct kpi_target_definition *targets;
    const struct doc_node *child;
    uint32_t n = 0;

    if (!node || doc_is_empty(node))
        return 0;
    if (node->kind != DOC_SEQUENCE || node->n_children > TARGETS_MAX) {
        report_error(&load->report, load_begin_of(node),
                     "targets: a list of at most %d is expected, as - {kpi: roi, value: 4}",
                     TARGETS_MAX);
        return 0;
    }
    targets = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    for (child = node->first; child; child = child->next) {
        struct kpi_target_definition *target = &targets[n];

        *target = (struct kpi_target_definition){
            .kpi = load_kpi_text(NULL),
            .value = load_kpi_text(NULL),
            .scope = load_kpi_text(NULL),
            .better = -1,
            .from = KPI_TIME_NONE,
            .to = KPI_TIME_NONE,
            .hold = hold_default,
            .sample_min = sample_min_default,
        };
        if (read_target(draft, child, target) < 0)
            return -ENOMEM;
        if (target->kpi.length == 0 || target->value.length == 0)
            continue; /* reported; libkpi would only say it again */
        n++;
        if (load_push_node(load, &load->target_nodes, child) < 0)
            return -ENOMEM;
    }
    draft->campaign->targets = targets;
    draft->campaign->n_targets = n;
    return 0;
}
