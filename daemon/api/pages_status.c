#include "pages.h"

#include "api/json.h"

static void add_optional(struct json *json, cJSON *object, const char *key, const char *text)
{
    if (text)
        json_add_text(json, object, key, text);
    else
        json_add_null(json, object, key);
}

static void add_checks(struct json *json, cJSON *root, const struct api_status *status,
                       bool has_view)
{
    cJSON *checks = json_array(json, root, "checks"), *item;

    for (unsigned i = 0; i < status->n_checks; i++) {
        item = json_object(json, checks, NULL);
        json_add_text(json, item, "name", status->checks[i].name);
        json_add_bool(json, item, "ok", status->checks[i].ok);
        add_optional(json, item, "reason", status->checks[i].reason);
    }
    if (has_view)
        return;
    item = json_object(json, checks, NULL);
    json_add_text(json, item, "name", "view");
    json_add_bool(json, item, "ok", false);
    json_add_text(json, item, "reason", "no numbers yet");
}

static void add_parts(struct json *json, cJSON *root, const struct api_status *status)
{
    cJSON *item = json_object(json, root, "kafka");

    json_add_bool(json, item, "up", status->kafka.up);
    json_add_text(json, item, "state", status->kafka.state);

    item = json_object(json, root, "redis");
    json_add_bool(json, item, "configured", status->redis.configured);
    json_add_bool(json, item, "up", status->redis.stats.up);
    json_add_bool(json, item, "durable", status->redis.durable);
    json_add_integer(json, item, "errors", (int64_t)status->redis.stats.n_errors);
    json_add_integer(json, item, "rollbacks", (int64_t)status->redis.stats.n_rollbacks);

    item = json_object(json, root, "reload");
    json_add_bool(json, item, "successful", status->reload.successful);
    json_add_time(json, item, "successful_at", status->reload.successful_at, 0);
    add_optional(json, item, "error", status->reload.error);
}

static void add_receivers(struct json *json, cJSON *root, const struct api_status *status)
{
    cJSON *array = json_array(json, root, "receivers"), *item;
    struct sink_stats stats[API_RECEIVERS_MAX];
    unsigned n = 0;

    if (status->sink_stats)
        n = status->sink_stats(status->userdata, stats, API_RECEIVERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        item = json_object(json, array, NULL);
        json_add_text(json, item, "name", stats[i].receiver);
        json_add_integer(json, item, "delivered", (int64_t)stats[i].n_delivered);
        json_add_integer(json, item, "failed_attempts", (int64_t)stats[i].n_failed_attempts);
        json_add_integer(json, item, "expired", (int64_t)stats[i].n_expired);
        json_add_integer(json, item, "queued", stats[i].n_queued);
        json_add_bool(json, item, "disabled", stats[i].disabled);
        json_add_bool(json, item, "paused", stats[i].open);
    }
}

static void add_plan(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *item = json_object(json, root, "plan");

    json_add_hash(json, item, "fingerprint", kpi_plan_fingerprint(plan));
    json_add_integer(json, item, "kpis", kpi_plan_n_kpis(plan));
    json_add_integer(json, item, "campaigns", kpi_plan_n_campaigns(plan));
    json_add_integer(json, item, "targets", kpi_plan_n_targets(plan));
}

static void add_shard(struct json *json, cJSON *array, const struct view_shard *shard)
{
    const struct kpi_engine_stats *stats = &shard->stats;
    cJSON *item = json_object(json, array, NULL);

    json_add_integer(json, item, "shard", shard->shard);
    json_add_bool(json, item, "owned", shard->owned);
    json_add_bool(json, item, "present", shard->present);
    json_add_bool(json, item, "caught_up", shard->caught_up);
    json_add_integer(json, item, "epoch", (int64_t)shard->epoch);
    json_add_integer(json, item, "generation", (int64_t)shard->generation);
    if (shard->lag < 0)
        json_add_null(json, item, "lag");
    else
        json_add_integer(json, item, "lag", shard->lag);
    json_add_integer(json, item, "unsaved", shard->n_unsaved);
    json_add_time(json, item, "saved_at", shard->saved_at, 0);
    json_add_time(json, item, "counts_from", shard->counts_from, 0);
    json_add_integer(json, item, "applied", (int64_t)stats->n_applied);
    json_add_integer(json, item, "duplicates", (int64_t)stats->n_duplicates);
    json_add_integer(json, item, "conflicts", (int64_t)stats->n_conflicts);
    json_add_integer(json, item, "refused", (int64_t)stats->n_refused);
    json_add_integer(json, item, "without_id", (int64_t)stats->n_without_id);
    json_add_integer(json, item, "other", (int64_t)stats->n_other);
    json_add_integer(json, item, "late", (int64_t)stats->n_late);
    json_add_time(json, item, "newest_record", stats->newest_record, 0);
    json_add_time(json, item, "newest_event", stats->newest_event, 0);
    json_add_integer(json, item, "users", (int64_t)stats->n_users);
    json_add_integer(json, item, "users_erased", (int64_t)stats->n_users_erased);
    json_add_integer(json, item, "users_withdrawn", (int64_t)stats->n_users_withdrawn);
    json_add_integer(json, item, "cells", (int64_t)stats->n_cells);
    json_add_integer(json, item, "bytes", (int64_t)stats->bytes);
    json_add_real(json, item, "dedupe_window_seconds", (double)stats->dedupe_window / 1e6);
    json_add_integer(json, item, "dedupe_ids", (int64_t)stats->n_dedupe_ids);
}

static void add_partition(struct json *json, cJSON *array, const struct view_partition *partition)
{
    cJSON *item = json_object(json, array, NULL);

    json_add_text(json, item, "topic", partition->topic);
    json_add_integer(json, item, "partition", partition->partition);
    json_add_integer(json, item, "next", partition->next);
    if (partition->lag < 0)
        json_add_null(json, item, "lag");
    else
        json_add_integer(json, item, "lag", partition->lag);
}

static void add_view(struct json *json, cJSON *root, const struct view *view)
{
    cJSON *item, *array;

    if (!view) {
        json_add_null(json, root, "view");
        return;
    }
    item = json_object(json, root, "view");
    json_add_time(json, item, "as_of", view->as_of, 0);
    json_add_time(json, item, "made_at", view->made_at, 0);
    json_add_integer(json, item, "version", (int64_t)view->version);
    json_add_bool(json, item, "complete", view->complete);
    json_add_bool(json, item, "leader", view->leader);
    add_plan(json, root, kpi_layout_plan(view->layout));
    array = json_array(json, root, "shards");
    for (uint32_t i = 0; i < view->n_shards; i++)
        add_shard(json, array, &view->shards[i]);
    array = json_array(json, root, "partitions");
    for (uint32_t i = 0; i < view->n_partitions; i++)
        add_partition(json, array, &view->partitions[i]);
}

int pages_write_status(char **ret_text, size_t *ret_size, const struct view *view,
                       const struct api_status *status)
{
    struct json json = {0};
    cJSON *root = json_object(&json, NULL, NULL);

    json_add_text(&json, root, "version", status->version);
    json_add_text(&json, root, "revision", status->revision);
    json_add_text(&json, root, "instance", status->instance);
    json_add_text(&json, root, "group", status->group);
    json_add_time(&json, root, "started_at", status->started_at, 0);
    json_add_text(&json, root, "currency", status->currency);
    add_checks(&json, root, status, view != NULL);
    add_parts(&json, root, status);
    add_receivers(&json, root, status);
    add_view(&json, root, view);
    return json_end(&json, root, ret_text, ret_size);
}
