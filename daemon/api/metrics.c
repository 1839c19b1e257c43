/* What /metrics says about kpid itself; the KPIs are in metrics_kpis.c. */
#include "metrics.h"

#include "util/clock.h"
#include "util/counters.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void write_one(struct exposition *exposition, const struct exposition_family *family,
                      double value)
{
    exposition_family(exposition, family);
    exposition_sample(exposition, value);
}

static void write_histogram(struct exposition *exposition,
                            const struct counters_histogram *histogram)
{
    double bounds[COUNTERS_BUCKETS];
    uint64_t counts[COUNTERS_BUCKETS + 1];

    for (unsigned i = 0; i < COUNTERS_BUCKETS; i++)
        bounds[i] = (double)counters_bounds_us[i] / 1e6;
    for (unsigned i = 0; i <= COUNTERS_BUCKETS; i++)
        counts[i] = counters_get(&histogram->buckets[i]);
    exposition_histogram(exposition, bounds, counts, COUNTERS_BUCKETS,
                         (double)counters_get(&histogram->sum_us) / 1e6);
}

static void write_values(struct exposition *exposition, const struct counters_entry *entry)
{
    for (unsigned i = 0; i < entry->n_values; i++) {
        uint64_t value = counters_get(&entry->values[i]);

        if (entry->label) {
            const char *name = entry->label_value(i);

            if (!name)
                continue;
            exposition_label(exposition, entry->label, name);
        }
        if (entry->unit == COUNTERS_UNIT_SECONDS)
            exposition_sample(exposition, (double)value / 1e6);
        else
            exposition_sample_integer(exposition, (int64_t)value);
    }
}

static void write_counters(struct exposition *exposition)
{
    static const enum exposition_type types[] = {EXPOSITION_COUNTER, EXPOSITION_GAUGE,
                                                 EXPOSITION_HISTOGRAM};
    static const char *const units[] = {NULL, "bytes", "seconds"};
    unsigned n_entries;
    const struct counters_entry *entries = counters_table(&n_entries);

    for (unsigned i = 0; i < n_entries; i++) {
        struct exposition_family family = {entries[i].family, types[entries[i].kind],
                                           units[entries[i].unit], entries[i].help};

        exposition_family(exposition, &family);
        if (entries[i].kind == COUNTERS_KIND_HISTOGRAM)
            write_histogram(exposition, entries[i].histogram);
        else
            write_values(exposition, &entries[i]);
    }
}

static void write_build(struct exposition *exposition, const struct api_status *status)
{
    static const struct exposition_family build = {"kpid_build_info", EXPOSITION_INFO, NULL,
                                                   "Version of this kpid."};

    exposition_family(exposition, &build);
    exposition_label(exposition, "version", status->version);
    exposition_label(exposition, "revision", status->revision);
    exposition_label(exposition, "compiler", COMPILER);
    exposition_sample(exposition, 1);
}

static void write_status(struct exposition *exposition, const struct api_status *status)
{
    static const struct exposition_family ready = {
        "kpid_ready", EXPOSITION_GAUGE, NULL, "Whether all that kpid needs is there, as /-/ready."};
    static const struct exposition_family kafka = {"kpid_kafka_up", EXPOSITION_GAUGE, NULL,
                                                   "Whether the brokers can be reached."};
    static const struct exposition_family reloaded = {
        "kpid_config_last_reload_successful", EXPOSITION_GAUGE, NULL,
        "Whether the last load of the configuration succeeded."};
    static const struct exposition_family reloaded_at = {
        "kpid_config_last_reload_success_timestamp_seconds", EXPOSITION_GAUGE, "seconds",
        "When the configuration was last loaded with success, since 1970."};
    static const struct exposition_family memory = {
        "kpid_engine_allocated_bytes", EXPOSITION_GAUGE, "bytes",
        "Memory that shards have allocated, without that of compressed sets."};
    bool is_ready = true;

    for (unsigned i = 0; i < status->n_checks; i++)
        is_ready = is_ready && status->checks[i].ok;
    write_build(exposition, status);
    write_one(exposition, &ready, is_ready);
    write_one(exposition, &kafka, status->kafka.up);
    write_one(exposition, &reloaded, status->reload.successful);
    write_one(exposition, &reloaded_at, (double)status->reload.successful_at / 1e6);
    write_one(exposition, &memory, (double)memory_bytes());
}

static void write_redis(struct exposition *exposition, const struct api_status *status)
{
    static const struct exposition_family families[] = {
        {"kpid_redis_up", EXPOSITION_GAUGE, NULL, "Whether the last command to Redis succeeded."},
        {"kpid_redis_durable", EXPOSITION_GAUGE, NULL, "Whether Redis writes an AOF."},
        {"kpid_redis_commands_total", EXPOSITION_COUNTER, NULL, "Commands sent to Redis."},
        {"kpid_redis_command_failures_total", EXPOSITION_COUNTER, NULL,
         "Commands that Redis did not answer or refused."},
        {"kpid_redis_reconnects_total", EXPOSITION_COUNTER, NULL, "Connections opened to Redis."},
        {"kpid_redis_rollbacks_total", EXPOSITION_COUNTER, NULL,
         "Times that Redis came back with older state than it had acknowledged."},
        {"kpid_redis_command_seconds_total", EXPOSITION_COUNTER, "seconds",
         "Time spent in commands to Redis."},
    };
    const struct store_stats *stats = &status->redis.stats;
    const double values[] = {
        stats->up,
        status->redis.durable,
        (double)stats->n_commands,
        (double)stats->n_errors,
        (double)stats->n_reconnects,
        (double)stats->n_rollbacks,
        stats->seconds,
    };

    if (!status->redis.configured)
        return;
    for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        write_one(exposition, &families[i], values[i]);
}

static double receiver_value(const struct sink_stats *stats, unsigned family)
{
    const double values[] = {
        (double)(stats->n_delivered + stats->n_expired),
        (double)stats->n_expired,
        (double)stats->n_superseded,
        (double)stats->n_attempts,
        (double)stats->n_failed_attempts,
        stats->latency_seconds_sum,
        stats->n_queued,
        stats->disabled,
        stats->open,
    };

    return values[family];
}

static void write_receivers(struct exposition *exposition, const struct api_status *status)
{
    static const struct exposition_family families[] = {
        {"kpid_notifications_total", EXPOSITION_COUNTER, NULL,
         "Messages that were delivered or given up."},
        {"kpid_notifications_failed_total", EXPOSITION_COUNTER, NULL,
         "Messages given up because their deadline had passed."},
        {"kpid_notifications_superseded_total", EXPOSITION_COUNTER, NULL,
         "Messages not sent because a newer state of the alert took their place."},
        {"kpid_notification_requests_total", EXPOSITION_COUNTER, NULL, "Attempts to deliver."},
        {"kpid_notification_requests_failed_total", EXPOSITION_COUNTER, NULL,
         "Attempts to deliver that failed."},
        {"kpid_notification_request_seconds_total", EXPOSITION_COUNTER, "seconds",
         "Time that attempts to deliver took."},
        {"kpid_notification_queue_length", EXPOSITION_GAUGE, NULL, "Messages waiting."},
        {"kpid_notification_receiver_disabled", EXPOSITION_GAUGE, NULL,
         "Whether the receiver has said that it is gone (status 410)."},
        {"kpid_notification_receiver_paused", EXPOSITION_GAUGE, NULL,
         "Whether the receiver is left alone for a while after repeated failure."},
    };
    struct sink_stats stats[API_RECEIVERS_MAX];
    unsigned n = 0;

    if (status->sink_stats)
        n = status->sink_stats(status->userdata, stats, API_RECEIVERS_MAX);
    for (unsigned i = 0; n > 0 && i < sizeof(families) / sizeof(families[0]); i++) {
        exposition_family(exposition, &families[i]);
        for (unsigned j = 0; j < n; j++) {
            exposition_label(exposition, "receiver", stats[j].receiver);
            exposition_sample(exposition, receiver_value(&stats[j], i));
        }
    }
}

static void write_view(struct exposition *exposition, const struct view *view)
{
    static const struct exposition_family complete = {
        "kpid_view_complete", EXPOSITION_GAUGE, NULL,
        "Whether all shards are present, caught up and without loss."};
    static const struct exposition_family leader = {
        "kpid_leader", EXPOSITION_GAUGE, NULL,
        "Whether this instance judges targets and sends alerts."};
    static const struct exposition_family age = {"kpid_view_age_seconds", EXPOSITION_GAUGE,
                                                 "seconds", "Age of the numbers shown."};
    static const struct exposition_family as_of = {"kpid_view_data_timestamp_seconds",
                                                   EXPOSITION_GAUGE, "seconds",
                                                   "Up to when the data reaches, since 1970."};
    static const struct exposition_family overflowed = {
        "kpid_kpis_overflowed", EXPOSITION_GAUGE, NULL,
        "Values of KPIs over whole scopes that are undefined because a sum left 64 bits."};

    write_one(exposition, &complete, view && view->complete);
    write_one(exposition, &leader, view && view->leader);
    if (!view)
        return;
    write_one(exposition, &age, (double)(clock_now_us() - view->made_at) / 1e6);
    write_one(exposition, &as_of, (double)view->as_of / 1e6);
    write_one(exposition, &overflowed, view->n_overflowed);
}

/* False: unknown, no sample. */
static bool shard_value(const struct view_shard *shard, unsigned family, double *ret_value)
{
    const double values[] = {
        (double)shard->saved_at / 1e6,
        (double)shard->n_unsaved,
        shard->caught_up,
        (double)shard->stats.n_users,
        (double)shard->stats.n_users_erased,
        (double)shard->stats.n_users_withdrawn,
        (double)shard->stats.n_cells,
        (double)shard->stats.bytes,
        (double)shard->stats.n_dedupe_ids,
        (double)shard->stats.dedupe_bytes,
        (double)shard->stats.dedupe_window / 1e6,
        (double)shard->stats.newest_record / 1e6,
    };

    *ret_value = values[family];
    return !(family == 0 && shard->saved_at == KPI_TIME_NONE) &&
           !(family == 11 && shard->stats.newest_record == KPI_TIME_NONE);
}

/* Of the shards that this instance owns, so that sums over instances are right. */
static void write_shards(struct exposition *exposition, const struct view *view)
{
    static const struct exposition_family families[] = {
        {"kpid_checkpoint_saved_timestamp_seconds", EXPOSITION_GAUGE, "seconds",
         "When the shard's last durable checkpoint was made, since 1970."},
        {"kpid_checkpoint_unsaved_records", EXPOSITION_GAUGE, NULL,
         "Records beyond the shard's last durable checkpoint."},
        {"kpid_shard_caught_up", EXPOSITION_GAUGE, NULL,
         "Whether the shard has been read to its end."},
        {"kpid_users", EXPOSITION_GAUGE, NULL, "Users that the shard knows."},
        {"kpid_users_erased_total", EXPOSITION_COUNTER, NULL,
         "Users that the shard has erased, on demand or for withdrawn consent, since its log "
         "began."},
        {"kpid_users_withdrawn", EXPOSITION_GAUGE, NULL,
         "Users whose events are refused, because they have withdrawn consent."},
        {"kpid_cells", EXPOSITION_GAUGE, NULL, "Cells that the shard keeps."},
        {"kpid_state_bytes", EXPOSITION_GAUGE, "bytes", "Memory of the shard's state."},
        {"kpid_dedupe_ids", EXPOSITION_GAUGE, NULL, "Event ids remembered."},
        {"kpid_dedupe_bytes", EXPOSITION_GAUGE, "bytes", "Memory of the remembered ids."},
        {"kpid_dedupe_window_seconds", EXPOSITION_GAUGE, "seconds",
         "For how long ids are remembered at present; shorter than set while memory binds."},
        {"kpid_newest_record_timestamp_seconds", EXPOSITION_GAUGE, "seconds",
         "Highest timestamp of a record that the shard has seen, since 1970."},
    };
    char number[12];
    double value;

    for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        exposition_family(exposition, &families[i]);
        for (uint32_t j = 0; j < view->n_shards; j++) {
            const struct view_shard *shard = &view->shards[j];

            if (!shard->owned || !shard_value(shard, i, &value))
                continue;
            (void)snprintf(number, sizeof(number), "%u", shard->shard);
            exposition_label(exposition, "shard", number);
            exposition_sample(exposition, value);
        }
    }
}

static void write_lag(struct exposition *exposition, const struct view *view)
{
    static const struct exposition_family lag = {
        "kpid_consumer_lag_records", EXPOSITION_GAUGE, NULL,
        "Records between what has been applied and the end of the partition."};
    char number[12];

    exposition_family(exposition, &lag);
    for (uint32_t i = 0; i < view->n_partitions; i++) {
        const struct view_partition *partition = &view->partitions[i];

        if (partition->lag < 0)
            continue;
        (void)snprintf(number, sizeof(number), "%d", partition->partition);
        exposition_label(exposition, "topic", partition->topic);
        exposition_label(exposition, "partition", number);
        exposition_sample_integer(exposition, partition->lag);
    }
}

static void label_alert(struct exposition *exposition, const struct kpi_plan *plan,
                        const struct view_alert *alert)
{
    static const char *const betters[] = {"up", "down", "band"};
    struct kpi_string campaign = kpi_plan_campaign(plan, alert->target->campaign)->id;
    struct kpi_string kpi = kpi_plan_kpi(plan, alert->target->kpi)->name;
    char scope[KPI_SCOPE_NAME_BYTES_MAX];

    (void)kpi_scope_name_format(scope, plan, &alert->target->scope_pattern, false);
    exposition_label_bytes(exposition, "campaign", campaign.data, campaign.length);
    exposition_label_bytes(exposition, "kpi", kpi.data, kpi.length);
    exposition_label(exposition, "scope", scope);
    exposition_label(exposition, "better", betters[alert->target->better]);
}

static void write_alerts(struct exposition *exposition, const struct view *view)
{
    static const struct exposition_family states = {
        "kpid_alert_state", EXPOSITION_STATESET, NULL,
        "State of a target's alert: the one that holds is 1."};
    static const struct exposition_family levels = {
        "kpid_alert_level", EXPOSITION_GAUGE, NULL,
        "Level of a firing alert: 1 general, 2 serious, 3 critical; 0 while it does not fire."};
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);

    exposition_family(exposition, &states);
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        for (int state = KPI_ALERT_OK; state <= KPI_ALERT_UNDEFINED; state++) {
            label_alert(exposition, plan, &view->alerts[i]);
            exposition_label(exposition, "kpid_alert_state",
                             kpi_alert_status_name((enum kpi_alert_status)state));
            exposition_sample(exposition,
                              view->alerts[i].alert.status == (enum kpi_alert_status)state);
        }
    }
    exposition_family(exposition, &levels);
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        const struct kpi_alert *alert = &view->alerts[i].alert;

        label_alert(exposition, plan, &view->alerts[i]);
        exposition_sample(exposition, alert->status == KPI_ALERT_FIRING ? alert->level : 0);
    }
}

int metrics_write(char **ret_text, size_t *ret_size, enum exposition_format format,
                  const struct view *view, const struct api_status *status)
{
    struct exposition exposition = {.format = format, .n_samples_max = METRICS_SAMPLES_MAX};
    int r;

    write_status(&exposition, status);
    write_redis(&exposition, status);
    write_counters(&exposition);
    metrics_write_process(&exposition, status->started_at);
    write_receivers(&exposition, status);
    write_view(&exposition, view);
    if (view) {
        write_lag(&exposition, view);
        write_shards(&exposition, view);
        write_alerts(&exposition, view);
        metrics_write_kpis(&exposition, view);
    }
    r = exposition_end(&exposition);
    if (r < 0)
        return r;
    counters_add(counters.series_limited, exposition.n_limited);
    *ret_text = exposition.text;
    *ret_size = exposition.size;
    return 0;
}
