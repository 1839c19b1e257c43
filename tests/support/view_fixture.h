/*
 * A view as it stands at noon (Shanghai) of 2026-11-11, for tests and benches of what shows views:
 * a plan of one KPI per unit, campaigns of a month with two phases, one rolling scope and eleven
 * days, two targets each, two shards. All values are "no data" until a test sets them.
 */
#pragma once

#include "view.h"

#define VIEW_FIXTURE_AS_OF (INT64_C(1794369600) * KPI_SECOND) /* 2026-11-11T04:00:00Z */

enum view_fixture_kpi {
    FIXTURE_RATE,    /* ratio:    participation_rate = participants / reached */
    FIXTURE_ORDERS,  /* count:    orders_placed = orders */
    FIXTURE_REVENUE, /* money:    revenue_total = revenue */
    FIXTURE_DWELL,   /* duration: dwell_mean = dwell / sessions */
    FIXTURE_NPS,     /* points:   nps = 100 * promoters / responses */
    FIXTURE_ROI,     /* multiple: roi = revenue / budget */
    FIXTURE_KPIS,
};

/* Scopes of a campaign, in order. */
enum view_fixture_scope {
    FIXTURE_CAMPAIGN,
    FIXTURE_WARMUP,
    FIXTURE_BURST,
    FIXTURE_ROLLING,
    FIXTURE_DAY, /* 2026-11-01, then the others */
    FIXTURE_YESTERDAY = FIXTURE_DAY + 9,
    FIXTURE_TODAY = FIXTURE_DAY + 10,
    FIXTURE_SCOPES,
};

/* The first campaign is "618 大促", the others "campaign-1" … One reference. */
struct view *view_fixture_new(uint32_t n_campaigns);

/* Sets a value; kinds of its numbers as the formula has them, in 10^-6 where money. */
void view_fixture_set(struct view *view, uint32_t campaign, enum view_fixture_scope scope,
                      enum view_fixture_kpi kpi, enum kpi_value_state state, int64_t numerator,
                      int64_t denominator);

/* Broken down are all KPIs by 城市 alone and with channel, but roi by channel only. */
enum view_fixture_breakdown {
    FIXTURE_CHANNEL,
    FIXTURE_CHANNEL_CITY,
    FIXTURE_CITY,
};

struct view_fixture_group {
    uint32_t campaign;
    enum view_fixture_scope scope;
    enum view_fixture_breakdown breakdown;
    const char *values[2]; /* NULL: none */
    int64_t n;             /* every measure: so many users, events, or 10^-6 */
};

/* Adds what one shard reports; groups in canonical order. */
void view_fixture_add_groups(struct view *view, const struct view_fixture_group *groups,
                             uint32_t n_groups);
