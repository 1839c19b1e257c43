/*
 * What other processes read in Redis, once a second: our shards' summaries (other instances merge
 * them), theirs into our view, and the leader's KPI values as a hash a campaign.
 */
#include "server_internal.h"

#include "codec/value_text.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct readers_job {
    struct server_job job;
    uint32_t n_shards;
    struct encoded {
        void *bytes; /* ours, to be put */
        size_t size;
        bool wanted; /* another's, to be got */
        struct summary *got;
    } * shards;
    struct view *view; /* for the KPI hashes; NULL: not the leader, or nothing new */
};

static void readers_free(struct readers_job *job)
{
    for (uint32_t i = 0; i < job->n_shards; i++) {
        free(job->shards[i].bytes);
        (void)summary_free(job->shards[i].got);
    }
    free(job->shards);
    (void)view_unref(job->view);
    free(job);
}

/* "campaign participation_rate" = 0.65; only scopes that keep their name from day to day. */
static int put_values(struct store *store, const struct view *view, uint32_t campaign)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    const struct kpi_campaign_info *info = kpi_plan_campaign(plan, campaign);
    uint32_t n_kpis = kpi_plan_n_kpis(plan);
    struct store_field *fields = calloc(n_kpis, sizeof(*fields));
    char(*texts)[VALUE_TEXT_BYTES_MAX] = calloc(n_kpis, sizeof(*texts));
    char name[256];
    int r = 0;

    for (uint32_t i = 0; fields && texts && i < kpi_layout_n_scopes(view->layout); i++) {
        const struct kpi_scope *scope = kpi_layout_scope(view->layout, i);
        uint32_t n = 0;

        if (scope->campaign != campaign || scope->kind != KPI_SCOPE_CAMPAIGN)
            continue;
        for (uint32_t kpi = 0; kpi < n_kpis; kpi++) {
            const struct kpi_value *value = &view->values[(size_t)i * n_kpis + kpi];

            (void)snprintf(fields[n].name, sizeof(fields[n].name), "%.*s",
                           (int)kpi_plan_kpi(plan, kpi)->name.length,
                           kpi_plan_kpi(plan, kpi)->name.data);
            if (value->state == KPI_VALUE_OK)
                (void)value_text_format_double(value->value, texts[n]);
            else
                (void)snprintf(texts[n], sizeof(texts[n]), "%s",
                               value->state == KPI_VALUE_UNDEFINED ? "undefined" : "no_data");
            fields[n].bytes = texts[n];
            fields[n].size = strlen(texts[n]);
            n++;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)info->id.length, info->id.data);
        r = store_put_values(store, name, fields, n);
    }
    free(fields);
    free(texts);
    return r;
}

static int run_readers(struct store_job *store_job, struct store *store)
{
    struct readers_job *job = (struct readers_job *)store_job;
    int r = 0;

    for (uint32_t i = 0; i < job->n_shards && r == 0; i++) {
        struct encoded *shard = &job->shards[i];
        void *bytes = NULL;
        size_t size = 0;

        if (shard->bytes)
            r = store_put_summary(store, i, shard->bytes, shard->size);
        if (!shard->wanted || r != 0)
            continue;
        r = store_get_summary(store, i, &bytes, &size);
        if (r == 0 && size > 0)
            (void)summary_decode(&shard->got, bytes, size); /* a bad one counts as absent */
        free(bytes);
    }
    for (uint32_t i = 0;
         job->view && r == 0 && i < kpi_plan_n_campaigns(kpi_layout_plan(job->view->layout)); i++)
        r = put_values(store, job->view, i);
    return r;
}

static void readers_finished(struct server_job *server_job)
{
    struct readers_job *job = (struct readers_job *)server_job;
    struct server *server = job->job.server;

    server->readers_busy = false;
    for (uint32_t i = 0; i < job->n_shards && job->job.job.outcome != -ECANCELED; i++) {
        struct summary *got = job->shards[i].got;

        /* It may have become ours meanwhile; an older epoch's words count no more. */
        if (!got || group_owns(server, i) || got->shard != i ||
            (server->summaries[i] && server->summaries[i]->epoch > got->epoch))
            continue;
        job->shards[i].got = NULL;
        merge_summary(server, got);
    }
    readers_free(job);
}

void readers_tick(struct server *server)
{
    struct readers_job *job;

    if (!server->store || server->readers_busy)
        return;
    job = calloc(1, sizeof(*job));
    if (!job)
        return; /* the next second tries again */
    job->shards = calloc(server->n_shards, sizeof(*job->shards));
    if (!job->shards) {
        free(job);
        return;
    }
    job->n_shards = server->n_shards;
    job->job.server = server;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (!group_owns(server, i))
            job->shards[i].wanted = true;
        else if (server->summaries[i])
            (void)summary_encode(server->summaries[i], &job->shards[i].bytes, &job->shards[i].size);
    }
    if (leader_active(server->leader) && server->view)
        job->view = view_ref(server->view);
    server->readers_busy = true;
    server_submit(server, &job->job, STORE_PRIORITY_LOW, run_readers, readers_finished);
}
