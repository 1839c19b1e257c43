/*
 * The section `rates`: what one unit of another currency is worth, from a day on. Days become
 * instants here, in the zone of the settings, so that nobody behind needs a calendar.
 */
#include "config/check.h"
#include "config/kinds.h"
#include "config/mappings.h"
#include "config/scalar.h"

#include <errno.h>
#include <kpi/plan.h>
#include <stdlib.h>

enum {
    CURRENCIES_MAX = 200,
    RATES_MAX = 10000,
    RATE_DIGITS_MAX = 7, /* before the point */
    RATE_DECIMALS_MAX = 12,
};

#define RATE_MAX (1000000 * (__int128)MAPPING_RATE_ONE)

static const char *rate_parse(struct kpi_string text, int64_t *ret_rate)
{
    static const char *const wrong =
        "is not a rate: a number above 0, at most a million, with at most 12 decimals";
    size_t whole = strspn(text.data, "0123456789"), decimals = 0;
    __int128 rate = 0;

    if (whole == 0 || whole > RATE_DIGITS_MAX)
        return wrong;
    if (whole < text.length) {
        if (text.data[whole] != '.')
            return wrong;
        decimals = strspn(text.data + whole + 1, "0123456789");
        if (decimals == 0 || decimals > RATE_DECIMALS_MAX || whole + 1 + decimals != text.length)
            return wrong;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '.')
            rate = rate * 10 + (text.data[i] - '0');
    }
    for (; decimals < RATE_DECIMALS_MAX; decimals++)
        rate *= 10;
    if (rate <= 0 || rate > RATE_MAX)
        return wrong;
    *ret_rate = (int64_t)rate;
    return NULL;
}

static int compare_rates(const void *a, const void *b)
{
    const struct mapping_rate *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static bool read_rate(struct load *load, const struct doc_node *node, const char *what,
                      int64_t *ret_rate)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, what, &text))
        return false;
    error = rate_parse(text, ret_rate);
    if (error)
        load_wrong(load, node, what, error);
    return !error;
}

/* {day: rate, …}; days for now, instants once the zone is known. */
static int read_days(struct mapping_draft *draft, const struct doc_node *node,
                     struct mapping_currency *currency)
{
    struct mapping_rate *rates = mapping_keep(draft, node->n_children * sizeof(*rates));
    const struct doc_node *child;

    if (!rates)
        return -ENOMEM;
    for (child = node->first; child; child = child->next) {
        const char *error;
        kpi_day day;

        error = scalar_date(doc_string(child->key), &day);
        if (error)
            load_wrong(draft->load, child->key, "rates", error);
        if (!read_rate(draft->load, child, node->key->value, &rates[currency->n_rates].rate) ||
            error)
            continue;
        rates[currency->n_rates++].from = day;
    }
    qsort(rates, currency->n_rates, sizeof(*rates), compare_rates);
    currency->rates = rates;
    return 0;
}

/* One rate for all times, or rates by day. */
static int read_currency(struct mapping_draft *draft, const struct doc_node *node,
                         struct mapping_currency *currency)
{
    const char *error = check_currency(doc_string(node->key));
    struct mapping_rate *rate;

    if (error)
        load_wrong(draft->load, node->key, "rates", error);
    currency->code = mapping_keep_string(draft, doc_string(node->key));
    if (!currency->code.data)
        return -ENOMEM;
    if (node->kind == DOC_MAPPING && node->n_children > 0 && node->n_children <= RATES_MAX)
        return read_days(draft, node, currency);
    if (node->kind != DOC_SCALAR) {
        report_error(&draft->load->report, load_begin_of(node),
                     "rates: a rate is expected, or 1 to %d days with theirs, as "
                     "{2026-01-01: 7.05}",
                     RATES_MAX);
        return 0;
    }
    rate = mapping_keep(draft, sizeof(*rate));
    if (!rate)
        return -ENOMEM;
    if (read_rate(draft->load, node, node->key->value, &rate->rate)) {
        rate->from = SCALAR_DAY_MIN;
        currency->rates = rate;
        currency->n_rates = 1;
    }
    return 0;
}

static int read_rates(struct load *load, const struct setting *setting, struct doc_node *node,
                      void *target)
{
    struct mapping_draft draft = {.load = load};
    struct mappings *set = mapping_set(load, &draft.arena);
    struct mapping_currency *currencies;
    const struct doc_node *child;
    int r = 0;

    if (!set)
        return -ENOMEM;
    load->rates = node;
    if (doc_is_empty(node))
        return 0;
    if (node->kind != DOC_MAPPING || node->n_children > CURRENCIES_MAX) {
        report_error(&load->report, load_begin_of(node),
                     "rates: at most %d currencies and their rates are expected", CURRENCIES_MAX);
        return 0;
    }
    currencies = mapping_keep(&draft, (node->n_children + 1) * sizeof(*currencies));
    if (!currencies)
        return -ENOMEM;
    set->currencies = currencies;
    for (child = node->first; child && r == 0; child = child->next)
        r = read_currency(&draft, child, &currencies[set->n_currencies++]);
    return r;
}

const struct setting_kind kind_rates = {"rates by currency and day", SETTING_OTHER, read_rates};

/* A rate that is the first one counts for all time before the tables of days begin, too. */
static void make_instants(struct mapping_currency *currency, const struct kpi_zone *zone)
{
    struct mapping_rate *rates = (struct mapping_rate *)currency->rates;

    for (uint32_t i = 0; i < currency->n_rates; i++)
        rates[i].from =
            rates[i].from == SCALAR_DAY_MIN ? 0 : kpi_zone_day_start(zone, (kpi_day)rates[i].from);
}

int load_rates_finish(struct load *load)
{
    const struct config *config = &load->settings.config;
    const struct kpi_zone *zone = load->zones.items; /* the first is that of the settings */
    const struct mappings *set = config->mappings;
    const struct doc_node *child = load->rates && set ? load->rates->first : NULL;

    if (!child)
        return 0;
    for (uint32_t i = 0; i < set->n_currencies; i++, child = child->next) {
        if (config->currency && strcmp(child->key->value, config->currency) == 0)
            report_error(&load->report, doc_node_place(child->key),
                         "rates: %s is the currency itself", config->currency);
        make_instants((struct mapping_currency *)&set->currencies[i], zone);
    }
    return 0;
}
