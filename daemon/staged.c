/*
 * State that `kpid rebuild` has made and that waits in the store: when all of it is there and it is
 * of the definitions that run here, our shards are closed, with a last checkpoint of the old state,
 * and opened again, which takes it over (shard_open.c). So there is one way in which a shard gets
 * its state, and nothing to tell a daemon but its configuration.
 */
#include "server_internal.h"

#include "util/log.h"

#include <stdlib.h>

#define LOOK_US 1000000

struct staged_job {
    struct server_job job;
    uint64_t fold;
    uint32_t n_shards;
    bool found;
    struct staged_shard {
        uint32_t index;
        uint64_t taken; /* the claim of what was taken over already */
    } shards[];
};

static int run_look(struct store_job *store_job, struct store *store)
{
    struct staged_job *job = (struct staged_job *)store_job;
    uint64_t fold = 0, claim;
    bool there = false;
    int r;

    r = store_staged_find(store, &there, &fold);
    if (r != 0 || !there || fold != job->fold)
        return r;
    for (uint32_t i = 0; i < job->n_shards && r == 0 && !job->found; i++) {
        r = store_staged_claim(store, job->shards[i].index, &claim);
        job->found = r == 0 && claim && claim != job->shards[i].taken;
    }
    return r;
}

static void look_finished(struct server_job *server_job)
{
    struct staged_job *job = (struct staged_job *)server_job;
    struct server *server = job->job.server;

    server->staged_busy = false;
    if (job->job.job.outcome == 0 && job->found && server->group == GROUP_RUNNING &&
        !server->stopping && job->fold == server->config->fold) {
        log_notice("rebuilt state is there: opening all shards again");
        group_reopen(server, true);
    }
    free(job);
}

void staged_tick(struct server *server, int64_t now)
{
    struct staged_job *job;

    if (!server->store || server->staged_busy || server->group != GROUP_RUNNING ||
        now < server->staged_at)
        return;
    job = calloc(1, sizeof(*job) + server->n_shards * sizeof(*job->shards));
    if (!job)
        return; /* the next look tries again */
    server->staged_at = now + LOOK_US;
    server->staged_busy = true;
    job->fold = server->config->fold;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        /* Written before the shard was opened, and not while it is. */
        if (group_owns(server, i))
            job->shards[job->n_shards++] =
                (struct staged_shard){i, server->shards[i]->staged_claim};
    }
    server_submit(server, &job->job, STORE_PRIORITY_LOW, run_look, look_finished);
}
