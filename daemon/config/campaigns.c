/*
 * Campaigns: their days, phases and money. Dates and offsets are resolved here to days of the
 * campaign's zone.
 */
#include "config/targets.h"
#include "config/scalar.h"
#include "config/zones.h"

#include <errno.h>
#include <kpi/plan.h>

enum {
    PHASES_MAX = 100
};

/* --- zones --- */

static int unknown_zone(struct load *load, const struct doc_node *node, struct kpi_string name,
                        int r)
{
    const char *suggestion;

    if (r == ZONES_E_NO_DATA) {
        report_error(&load->report, doc_node_place(node),
                     "there is no time zone data on this system: install tzdata or set TZDIR");
        return 0;
    }
    if (r == ZONES_E_INVALID) {
        report_error(&load->report, doc_node_place(node),
                     "the data of time zone %s is damaged or counts leap seconds", QUOTE(name));
        return 0;
    }
    if (memchr(name.data, '+', name.length) || memchr(name.data, '-', name.length)) {
        report_error(&load->report, doc_node_place(node),
                     "unknown time zone %s; zones have names, as Asia/Shanghai or Europe/Berlin",
                     QUOTE(name));
        return 0;
    }
    report_error(&load->report, doc_node_place(node), "unknown time zone %s", QUOTE(name));
    r = zones_suggest(name.data, &load->arena, &suggestion);
    if (r == 0)
        report_suggest(&load->report, suggestion);
    return r;
}

int load_zone(struct load *load, const struct doc_node *node, struct kpi_string name,
              uint32_t *ret_zone)
{
    const struct kpi_zone *zones = load->zones.items;
    struct kpi_zone zone, *added;
    uint32_t i;
    int r;

    for (i = 0; i < load->zones.n; i++) {
        if (kpi_string_equal(zones[i].name, name)) {
            *ret_zone = i;
            return 0;
        }
    }
    if (load->zones.n == KPI_ZONES_MAX) {
        report_error(&load->report, doc_node_place(node), "more than %d time zones", KPI_ZONES_MAX);
        return 0;
    }
    r = zones_load(&zone, name.data, &load->arena);
    if (r > 0)
        return unknown_zone(load, node, name, r);
    added = r < 0 ? NULL : load_push(load, &load->zones, sizeof(*added));
    if (!added)
        return -ENOMEM;
    *added = zone;
    *ret_zone = load->zones.n - 1;
    return 0;
}

/* --- days and phases --- */

/*
 * A day: "start", "end", a date, or an offset that counts from `anchor`. *ret_named tells whether
 * the text names a day of its own (not an offset). False: reported.
 */
static bool read_day(const struct campaign_draft *draft, const struct doc_node *node,
                     kpi_day anchor, kpi_day *ret_day, bool *ret_named)
{
    const struct kpi_campaign_definition *campaign = draft->campaign;
    struct kpi_string text;
    const char *error = NULL;
    int32_t days;

    if (!load_text(draft->load, node, "phase", &text))
        return false;
    *ret_named = true;
    if (kpi_string_equal(text, KPI_STRING("start"))) {
        *ret_day = campaign->start_day;
    } else if (kpi_string_equal(text, KPI_STRING("end"))) {
        *ret_day = campaign->end_day;
    } else if (!scalar_day_offset(text, &days)) {
        *ret_named = false;
        *ret_day = anchor + days;
    } else if (text.data[0] >= '0' && text.data[0] <= '9') {
        error = scalar_date(text, ret_day);
    } else {
        error = "is neither start nor end, an offset as -15d or +5d, nor a date";
    }
    if (!error && (*ret_day < SCALAR_DAY_MIN || *ret_day > SCALAR_DAY_MAX))
        error = "is outside 2000-01-01 to 2100-01-01";
    if (error)
        load_wrong(draft->load, node, "phase", error);
    return !error;
}

/*
 * name: [from, to]. An offset in the first place counts from the campaign's start; one in the
 * second from the day that the first place names, or from the start if that is an offset, too.
 */
static bool read_phase(const struct campaign_draft *draft, const struct doc_node *node,
                       struct kpi_phase_definition *phase)
{
    const struct kpi_campaign_definition *campaign = draft->campaign;
    struct load *load = draft->load;
    kpi_day from, to;
    bool named;

    if (strcmp(node->key->value, "start") == 0 || strcmp(node->key->value, "end") == 0)
        report_error(&load->report, doc_node_place(node->key), "a phase cannot be called %s",
                     QUOTE(doc_string(node->key)));
    if (node->kind != DOC_SEQUENCE || node->n_children != 2) {
        report_error(&load->report, load_begin_of(node),
                     "phase %s: two days are expected, as [start, +5d]",
                     QUOTE(doc_string(node->key)));
        return false;
    }
    if (!draft->has_days || !read_day(draft, node->first, campaign->start_day, &from, &named))
        return false;
    if (!read_day(draft, node->first->next, named ? from : campaign->start_day, &to, &named))
        return false;
    if (to <= from) {
        report_error(&load->report, load_begin_of(node), "phase %s ends before it begins",
                     QUOTE(doc_string(node->key)));
        return false;
    }
    phase->start_day = from;
    phase->end_day = to;
    return true;
}

static int read_phases(struct campaign_draft *draft, const struct doc_node *node)
{
    struct load *load = draft->load;
    const struct doc_node *child;
    uint32_t n = 0;

    if (!node || doc_is_empty(node))
        return 0;
    if (node->kind != DOC_MAPPING || node->n_children > PHASES_MAX) {
        report_error(&load->report, load_begin_of(node),
                     "phases: at most %d are expected, as name: [from, to]", PHASES_MAX);
        return 0;
    }
    draft->phases = arena_alloc(&load->arena, (node->n_children + 1) * sizeof(*draft->phases));
    if (!draft->phases)
        return -ENOMEM;
    draft->has_phases = true;
    for (child = node->first; child; child = child->next, n++) {
        /* a day far away stands in for what cannot be read: phases must not overlap */
        draft->phases[n] = (struct kpi_phase_definition){
            .name = load_kpi_text(child->key),
            .start_day = SCALAR_DAY_MAX - 1 - (kpi_day)n,
            .end_day = SCALAR_DAY_MAX - (kpi_day)n,
        };
        draft->has_phases &= read_phase(draft, child, &draft->phases[n]);
    }
    draft->campaign->phases = draft->phases;
    draft->campaign->n_phases = n;
    return 0;
}

/* --- campaigns --- */

/* An amount that is not negative; false if it is none, which was reported. */
static bool read_amount(struct load *load, const struct doc_node *node, const char *what,
                        kpi_decimal *ret_amount)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, what, &text))
        return false;
    error = scalar_decimal(text, ret_amount);
    if (!error && *ret_amount < 0)
        error = "must not be negative";
    if (error)
        load_wrong(load, node, what, error);
    return !error;
}

static void read_audience(struct load *load, const struct doc_node *node, kpi_decimal *ret_audience)
{
    kpi_decimal audience;

    *ret_audience = KPI_DECIMAL_ONE; /* stands in for what cannot be read */
    if (!read_amount(load, node, "audience", &audience))
        return;
    if (audience < KPI_DECIMAL_ONE || audience % KPI_DECIMAL_ONE != 0)
        load_wrong(load, node, "audience", "is not a whole number of at least 1");
    else
        *ret_audience = audience;
}

/* An amount, or a share of the total. What is neither is reported, and 1 stands in. */
static kpi_decimal read_part(struct load *load, const struct doc_node *node, kpi_decimal total)
{
    const char *name = node->key->value, *error;
    kpi_decimal amount, share;
    struct kpi_string text;

    if (!load_text(load, node, name, &text))
        return KPI_DECIMAL_ONE;
    if (text.length == 0 || text.data[text.length - 1] != '%')
        return read_amount(load, node, name, &amount) ? amount : KPI_DECIMAL_ONE;
    text.length--;
    error = scalar_decimal(text, &share);
    if (!error && (share < 0 || share > 100 * KPI_DECIMAL_ONE))
        error = "is no share from 0 to 100 %";
    if (!error && total == KPI_TIME_NONE)
        error = "is a share of nothing; say the total beside it, as {total: 500000, base: 40%}";
    if (!error)
        return (kpi_decimal)((__int128)total * share / (100 * KPI_DECIMAL_ONE));
    load_wrong(load, node, name, error);
    return KPI_DECIMAL_ONE;
}

/* The parts but for the total; returns what they come to. */
static kpi_decimal read_parts(struct load *load, const struct doc_node *node, kpi_decimal total,
                              struct kpi_budget_part_definition *parts, uint32_t *ret_n)
{
    kpi_decimal sum = 0;
    uint32_t n = 0;

    for (const struct doc_node *child = node->first; child; child = child->next) {
        struct kpi_budget_part_definition *part = &parts[n];

        if (strcmp(child->key->value, "total") == 0)
            continue;
        part->name = load_kpi_text(child->key);
        part->amount = read_part(load, child, total);
        if (__builtin_add_overflow(sum, part->amount, &sum)) {
            load_wrong(load, child, "budget", "makes the budget too large");
            sum = KPI_DECIMAL_ONE;
        }
        n++;
    }
    *ret_n = n;
    return sum;
}

/* An amount; or parts of it by name, whose sum it is unless there is a `total`. */
static int read_budget(struct load *load, const struct doc_node *node,
                       struct kpi_campaign_definition *campaign)
{
    struct kpi_budget_part_definition *parts;
    const struct doc_node *total;
    kpi_decimal sum;

    campaign->budget = KPI_DECIMAL_ONE; /* stands in for what cannot be read */
    if (node->kind == DOC_SCALAR) {
        if (read_amount(load, node, "budget", &sum))
            campaign->budget = sum;
        return 0;
    }
    if (node->kind != DOC_MAPPING || node->n_children == 0) {
        report_error(
            &load->report, load_begin_of(node),
            "budget: expected an amount, or parts of it, as {base: 200000, float: 300000}");
        return 0;
    }
    total = doc_get(node, "total");
    if (total && !read_amount(load, total, "total", &sum))
        return 0;
    if (total)
        campaign->budget = sum;
    parts = arena_alloc(&load->arena, node->n_children * sizeof(*parts));
    if (!parts)
        return -ENOMEM;
    sum = read_parts(load, node, total ? campaign->budget : KPI_TIME_NONE, parts,
                     &campaign->n_budget_parts);
    campaign->budget_parts = parts;
    if (!total)
        campaign->budget = sum;
    else if (sum > campaign->budget)
        report_warning(&load->report, load_begin_of(node),
                       "budget: its parts come to more than the total");
    return 0;
}

static bool read_date(struct load *load, const struct doc_node *campaign,
                      const struct doc_node *node, const char *what, kpi_day *ret_day)
{
    struct kpi_string text;
    const char *error;

    if (!node) {
        load_missing(load, campaign, "campaign", what);
        return false;
    }
    if (!load_text(load, node, what, &text))
        return false;
    error = scalar_date(text, ret_day);
    if (error)
        load_wrong(load, node, what, error);
    return !error;
}

static void read_days(struct campaign_draft *draft, const struct doc_node *node,
                      const struct doc_node *start, const struct doc_node *end)
{
    struct load *load = draft->load;
    kpi_day from, to;
    bool has_start = read_date(load, node, start, "start", &from);
    bool has_end = read_date(load, node, end, "end", &to);

    /* stand-ins, should something be wrong: the rest is still checked */
    draft->campaign->start_day = SCALAR_DAY_MIN;
    draft->campaign->end_day = SCALAR_DAY_MAX;
    if (!has_start || !has_end)
        return;
    if (to <= from) {
        report_error(&load->report, doc_node_place(end),
                     "end: it must be after start; the campaign ends where this day begins");
        return;
    }
    draft->campaign->start_day = from;
    draft->campaign->end_day = to;
    draft->has_days = true;
}

/* False: this node gives no campaign, which was reported. */
static bool read_id(struct load *load, const struct doc_node *node, const struct doc_node *id,
                    struct kpi_text *ret_id)
{
    const struct kpi_campaign_definition *campaigns = load->campaigns.items;
    struct kpi_string text;
    uint32_t i;

    if (!id) {
        load_missing(load, node, "campaign", "id");
        return false;
    }
    if (!load_text(load, id, "id", &text))
        return false;
    for (i = 0; i < load->campaigns.n; i++) {
        const struct kpi_text *other = &campaigns[i].id;

        if (kpi_string_equal((struct kpi_string){other->data, other->length}, text)) {
            report_error(&load->report, doc_node_place(id), "campaign %s is defined twice",
                         QUOTE(text));
            report_note(&load->report, doc_node_place(load->docs.nodes[other->origin]),
                        "first defined here");
            return false;
        }
    }
    *ret_id = load_kpi_text(id);
    return true;
}

static int read_campaign(struct load *load, const struct doc_node *node)
{
    struct doc_node *id, *timezone, *start, *end, *phases, *audience, *budget, *targets;
    const struct load_field fields[] = {
        {"id", &id},         {"timezone", &timezone}, {"start", &start},   {"end", &end},
        {"phases", &phases}, {"audience", &audience}, {"budget", &budget}, {"targets", &targets},
    };
    struct kpi_campaign_definition campaign = {.audience = KPI_TIME_NONE, .budget = KPI_TIME_NONE};
    struct kpi_campaign_definition *added;
    struct campaign_draft draft = {.load = load, .campaign = &campaign};
    struct kpi_string text;
    int r = 0;

    if (!load_fields(load, node, "campaign", fields, sizeof(fields) / sizeof(fields[0])))
        return 0;
    if (timezone && load_text(load, timezone, "timezone", &text))
        r = load_zone(load, timezone, text, &campaign.zone);
    if (r < 0)
        return r;
    read_days(&draft, node, start, end);
    if (audience)
        read_audience(load, audience, &campaign.audience);
    r = budget ? read_budget(load, budget, &campaign) : 0;
    if (r == 0)
        r = read_phases(&draft, phases);
    if (r < 0)
        return r;
    r = load_targets(&draft, targets);
    if (r < 0)
        return r;
    if (!read_id(load, node, id, &campaign.id))
        return 0;
    added = load_push(load, &load->campaigns, sizeof(*added));
    if (!added)
        return -ENOMEM;
    *added = campaign;
    return load_push_node(load, &load->campaign_nodes, node);
}

int load_campaigns(struct load *load, const struct doc_node *section)
{
    const struct doc_node *child;
    int r;

    if (doc_is_empty(section))
        return 0;
    if (section->kind != DOC_SEQUENCE) {
        report_error(&load->report, load_begin_of(section),
                     "campaigns: a list is expected, each item as "
                     "- id: …");
        return 0;
    }
    for (child = section->first; child; child = child->next) {
        if (load->campaigns.n == KPI_CAMPAIGNS_MAX) {
            report_error(&load->report, load_begin_of(child), "more than %d campaigns",
                         KPI_CAMPAIGNS_MAX);
            return 0;
        }
        r = read_campaign(load, child);
        if (r < 0)
            return r;
    }
    return 0;
}
