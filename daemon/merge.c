/*
 * The merged view: sums what shards published, evaluates every KPI over every scope, and swaps the
 * result in. Shards report under a layout; when a day or window begins anywhere, or the plan
 * changes, there is a new one, and the old view stays until all shards have reported under it.
 */
#include "server_internal.h"

#include "codec/mapping.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MERGE_DELAY_US 5000
/* With quantiles of many scopes and shards a merge takes milliseconds. The main thread has more to
 * do: after one it rests so many times as long, up to a bound. */
#define MERGE_REST        4
#define MERGE_REST_US_MAX 250000
/* How long the old view may stand in while shards have not reported under a new layout. */
#define LAYOUT_PATIENCE_US 5000000
/* While shards catch up with their logs days fly past: how long a layout is to serve then. */
#define LAYOUT_US_MIN 1000000
/* Another instance writes its summaries every second. */
#define SILENCE (15 * KPI_SECOND)

void merge_forget(struct server *server, uint32_t shard)
{
    server->summaries[shard] = summary_free(server->summaries[shard]);
    merge_request(server);
}

void merge_summary(struct server *server, struct summary *summary)
{
    (void)summary_free(server->summaries[summary->shard]);
    server->summaries[summary->shard] = summary;
    merge_request(server);
}

void merge_request(struct server *server)
{
    int64_t wait = server->merge_rested_at - clock_monotonic_us();
    const struct timeval delay = {.tv_usec = wait > MERGE_DELAY_US ? wait : MERGE_DELAY_US};

    if (!server->merge_wanted)
        (void)event_add(server->merge_timer, &delay);
    server->merge_wanted = true;
}

/*
 * Up to when data is in: now where a shard has read to the end of its log, else the newest record
 * that it has read. The least of all shards.
 */
static kpi_time as_of(const struct server *server, kpi_time now)
{
    kpi_time least = now;

    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];

        if (!summary || summary->caught_up || summary->stats.newest_record == KPI_TIME_NONE)
            continue;
        if (summary->stats.newest_record < least)
            least = summary->stats.newest_record;
    }
    return least;
}

static int tell_layout(struct server *server, kpi_time time)
{
    struct kpi_layout *layout;
    int r;

    r = kpi_layout_new(&layout, server->config->plan, time, &memory_kpi);
    if (r < 0)
        return error_trace(r);
    (void)kpi_layout_unref(server->layout);
    server->layout = layout;
    server->layout_told_at = clock_monotonic_us();
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_tell(server->workers[i], &(struct worker_order){.kind = WORKER_LAYOUT,
                                                               .layout = kpi_layout_ref(layout)});
    return 0;
}

void merge_plan(struct server *server)
{
    for (unsigned i = 0; i < server->n_workers; i++)
        worker_tell(server->workers[i],
                    &(struct worker_order){.kind = WORKER_PLAN,
                                           .plan = kpi_plan_ref(server->config->plan),
                                           .mappings = mappings_ref(server->config->mappings),
                                           .settings = server_worker_settings(server->config)});
    (void)tell_layout(server, as_of(server, clock_now_us()));
}

static bool reports_present(const struct server *server, const struct summary *summary)
{
    return summary && summary->layout == kpi_layout_fingerprint(server->layout) &&
           summary->n_rows == kpi_layout_n_rows(server->layout);
}

static void fill_shards(const struct server *server, struct view *view)
{
    bool asks = kpi_plan_has_answers(kpi_layout_plan(server->layout));

    view->complete = view->answers_complete = !server->grown;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];
        struct view_shard *shard = &view->shards[i];

        /* Another instance that says nothing any more is not caught up, whatever it said last. */
        *shard = (struct view_shard){
            .shard = i,
            .owned = group_owns(server, i),
            .present = reports_present(server, summary),
            .lag = -1,
            .saved_at = KPI_TIME_NONE,
            .counts_from = KPI_TIME_NONE,
        };
        if (summary) {
            shard->caught_up =
                summary->caught_up && (shard->owned || summary->made_at > view->made_at - SILENCE);
            shard->epoch = summary->epoch;
            shard->generation = summary->generation;
            shard->lag = summary->lag;
            shard->n_unsaved =
                shard->owned ? atomic_load(&server->shards[i]->n_unsaved) : summary->n_unsaved;
            shard->saved_at = summary->saved_at;
            shard->counts_from = summary->counts_from;
            shard->stats = summary->stats;
        }
        view->complete = view->complete && shard->present && shard->caught_up &&
                         shard->counts_from == KPI_TIME_NONE;
        view->answers_complete =
            view->answers_complete && view->complete && (!asks || summary->answers);
    }
}

static void fill_partitions(const struct server *server, struct view *view)
{
    uint32_t n_topics = intake_n_topics(server->intake);

    for (uint32_t i = 0; i < server->n_shards; i++) {
        for (uint32_t topic = 0; topic < n_topics && group_owns(server, i); topic++) {
            int64_t high = intake_high(server->intake, topic, i);
            int64_t next = atomic_load(&server->shards[i]->next[topic]);

            view->partitions[view->n_partitions++] = (struct view_partition){
                .topic = intake_topic(server->intake, topic),
                .partition = (int32_t)i,
                .next = next,
                .lag = high < 0 || next < 0 ? -1
                       : high > next        ? high - next
                                            : 0,
            };
        }
    }
}

static struct kpi_alert find_alert(const void *userdata, const struct kpi_target *target)
{
    return leader_alert(userdata, target);
}

static struct view *make_view(struct server *server, const struct kpi_row *rows, kpi_time now)
{
    struct view *view = view_of_rows(server->layout, rows, as_of(server, now));

    if (!view)
        return NULL;
    view->made_at = now;
    view->version = ++server->view_version;
    view->leader = leader_active(server->leader);
    view->n_shards = server->n_shards;
    view->shards = calloc(server->n_shards, sizeof(*view->shards));
    view->partitions = calloc((size_t)server->n_shards * intake_n_topics(server->intake),
                              sizeof(*view->partitions));
    view->alerts =
        calloc(kpi_plan_n_targets(kpi_layout_plan(server->layout)) + 1, sizeof(*view->alerts));
    if (!view->shards || !view->partitions || !view->alerts)
        return view_unref(view);
    return view;
}

/* Puts the quantiles of all shards that are in the rows into them. Returns 0 or -ENOMEM. */
static int fill_quantiles(const struct server *server, struct kpi_row *rows)
{
    const struct kpi_supplement **parts;
    uint32_t n_parts = 0;
    int r;

    if (!kpi_plan_has_quantiles(kpi_layout_plan(server->layout)))
        return 0;
    parts = calloc(server->n_shards, sizeof(*parts));
    if (!parts)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];

        /* Without what does not fit, the row tells that something is missing. */
        if (reports_present(server, summary) && summary->supplement &&
            kpi_supplement_fits(summary->supplement, server->layout))
            parts[n_parts++] = summary->supplement;
    }
    r = kpi_rows_fill_quantiles(server->layout, parts, n_parts, &memory_kpi, rows);
    free(parts);
    return r < 0 ? error_origin(r) : 0;
}

/* False: no memory. */
static bool add_groups(const struct server *server, struct view *view)
{
    if (kpi_plan_n_breakdowns(kpi_layout_plan(server->layout)) == 0)
        return true;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];

        if (reports_present(server, summary) && summary->supplement &&
            view_add_groups(view, summary->supplement) < 0)
            return false;
    }
    return true;
}

/* False: no memory. */
static bool add_answers(const struct server *server, struct view *view)
{
    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];

        if (!reports_present(server, summary) || !summary->answers)
            continue;
        if (view_add_answers(view, summary->answers) < 0)
            return false;
        if (summary->answers_as_of != KPI_TIME_NONE && summary->answers_as_of < view->answers_as_of)
            view->answers_as_of = summary->answers_as_of;
    }
    return true;
}

/* Said when there are more than before, with the first of them. */
static void tell_overflow(const struct view *before, const struct view *view)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n_kpis = kpi_plan_n_kpis(plan), first = 0;
    struct kpi_string kpi, campaign;
    char value[256];

    if (view->n_overflowed <= (before ? before->n_overflowed : 0))
        return;
    while (view->values[first].reason != KPI_REASON_OVERFLOW)
        first++;
    kpi = kpi_plan_kpi(plan, first % n_kpis)->name;
    campaign =
        kpi_plan_campaign(plan, kpi_layout_scope(view->layout, first / n_kpis)->campaign)->id;
    (void)snprintf(value, sizeof(value), "%.*s of %.*s", (int)kpi.length, kpi.data,
                   (int)campaign.length, campaign.data);
    log_warning("sums have left 64 bits: what is made of them is undefined",
                LOG_INT("values", view->n_overflowed), LOG_STRING("first", value));
}

/* Notes what a merge has cost that began then. */
static void rest(struct server *server, int64_t began)
{
    int64_t now = clock_monotonic_us(), us = MERGE_REST * (now - began);

    server->merge_rested_at = now + (us < MERGE_REST_US_MAX ? us : MERGE_REST_US_MAX);
}

static void merge(struct server *server)
{
    uint32_t n_rows = kpi_layout_n_rows(server->layout);
    struct kpi_row *rows = calloc(n_rows + 1, sizeof(*rows));
    struct view *view = NULL;

    for (uint32_t i = 0; rows && i < server->n_shards; i++) {
        /* An overflow marks its row; the KPI then reads undefined. */
        if (reports_present(server, server->summaries[i]))
            (void)kpi_rows_add(server->layout, rows, server->summaries[i]->rows);
    }
    if (rows && fill_quantiles(server, rows) == 0)
        view = make_view(server, rows, clock_now_us());
    free(rows);
    if (view && (!add_groups(server, view) || !add_answers(server, view)))
        view = view_unref(view);
    if (!view) {
        log_warning("no memory for a new view: the last one stays");
        return;
    }
    fill_partitions(server, view);
    fill_shards(server, view); /* only now, so that what was read is seen to be unsaved */
    view_set_alerts(view, find_alert, server->leader);
    tell_overflow(server->view, view);
    (void)view_unref(server->view);
    server->view = view;
    api_set_view(server->api, view);
}

/* Is every shard at the end of its log, and said so not long ago? */
static bool all_caught_up(const struct server *server, kpi_time now)
{
    for (uint32_t i = 0; i < server->n_shards; i++) {
        const struct summary *summary = server->summaries[i];

        if (!summary || !summary->caught_up || summary->made_at < now - SILENCE)
            return false;
    }
    return true;
}

/*
 * Shards of other instances are waited for, too, if nothing else keeps the view from being
 * complete: they turn to the next window within a second or two, and alerts that are pending must
 * not begin anew with each.
 */
static bool all_reported(const struct server *server, kpi_time now)
{
    bool others = all_caught_up(server, now);

    for (uint32_t i = 0; i < server->n_shards; i++) {
        if ((others || group_owns(server, i)) && !reports_present(server, server->summaries[i]))
            return false;
    }
    return true;
}

/* The merge timer's turn, and once a second. */
void merge_tick(struct server *server)
{
    int64_t now = clock_monotonic_us();
    kpi_time wall = clock_now_us(), time = as_of(server, wall);

    server->merge_wanted = false;
    if (!server->layout && tell_layout(server, time) < 0)
        return;
    if (server->view && !all_reported(server, wall) &&
        now < server->layout_told_at + LAYOUT_PATIENCE_US)
        return;
    merge(server);
    rest(server, now);
    /* Only now: each layout is to be reported under once. */
    if (!kpi_layout_current(server->layout, time) &&
        (time == wall || now >= server->layout_told_at + LAYOUT_US_MIN))
        (void)tell_layout(server, time);
}
