/*
 * Which shards are ours. Kafka's group says so by callbacks; this file answers them late, once
 * shards are loaded or safely given back:
 *
 *   assigned -> OPENING (claim, load) -> HANDING (workers take over) -> assign() -> RUNNING
 *   revoked  -> CLOSING (last checkpoints) -> witness, unassign() -> NONE
 *
 * A shard that failed while RUNNING (fenced, or its log is not the one we read) brings everything
 * through CLOSING to OPENING again: rare, a second long, and with no way of its own to get wrong.
 * That second is given to the group to tell us first that our shards are not ours any more, so that
 * two members do not take them from each other in turn.
 */
#include "server_internal.h"

#include "util/clock.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/fault.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US   1000000
#define WITNESS_US 10000000
/* Last checkpoints get this long, then shards are dropped: the group waits for us. */
#define CLOSING_US 10000000

struct open_job {
    struct server_job job;
    struct shard *shard;
    struct shard_open_options options;
    char error[256]; /* store_error(), if it failed */
};

bool group_owns(const struct server *server, uint32_t shard)
{
    return server->shards[shard]->phase == SHARD_OPEN;
}

/* Tells the group how far the checkpoints of our shards are. */
static void commit_witness(struct server *server)
{
    uint32_t n_topics = intake_n_topics(server->intake);
    struct intake_witness *witnesses = calloc(server->n_shards, sizeof(*witnesses));
    int64_t *next = calloc((size_t)server->n_shards * n_topics, sizeof(*next));
    uint32_t n = 0;

    for (uint32_t i = 0; server->store && witnesses && next && i < server->n_shards; i++) {
        const struct shard *shard = server->shards[i];

        if (!server->assigned[i] || shard->phase == SHARD_HALTED)
            continue;
        witnesses[n] = (struct intake_witness){
            .shard = i,
            .epoch = atomic_load(&shard->saved_epoch),
            .generation = atomic_load(&shard->saved_generation),
            .next = &next[(size_t)n * n_topics],
        };
        for (uint32_t topic = 0; topic < n_topics; topic++)
            next[(size_t)n * n_topics + topic] = atomic_load(&shard->saved_next[topic]);
        n++;
    }
    if (n)
        intake_commit(server->intake, witnesses, n);
    free(witnesses);
    free(next);
}

static void begin_opening(struct server *server);

/* Later, so that what failed has some time; but at once if nothing did. */
static void open_again(struct server *server)
{
    intake_unassign(server->intake);
    server->group = GROUP_OPENING;
    server->reopen_at = clock_monotonic_us() + RETRY_US;
    if (server->reopen_at_once)
        begin_opening(server);
}

/* Everything is back: answer the group, or begin again. */
static void all_closed(struct server *server)
{
    leader_lose(server->leader);
    if (server->assigned_again && !server->stopping) {
        /* The revocation has been answered already, by the unassign of a shard that failed. */
        memcpy(server->assigned, server->assigned_next,
               server->n_shards * sizeof(*server->assigned));
        server->assigned_again = server->revoked = false;
        open_again(server);
        return;
    }
    if (!server->revoked && !server->stopping) {
        open_again(server);
        return;
    }
    if (!intake_lost(server->intake))
        commit_witness(server);
    intake_unassign(server->intake);
    for (uint32_t i = 0; i < server->n_shards; i++) {
        server->assigned[i] = false;
        /* Whoever gets it next looks at its log again. */
        if (server->shards[i]->phase == SHARD_HALTED)
            server->shards[i]->phase = SHARD_CLOSED;
    }
    server->revoked = false;
    server->group = GROUP_NONE;
    log_info("partitions let go");
}

static void begin_closing(struct server *server)
{
    bool drop = server->revoked && intake_lost(server->intake);

    server->reopen_at = 0;
    server->group = GROUP_CLOSING;
    server->closing_deadline = clock_monotonic_us() + CLOSING_US;
    server->n_pending = 0;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        struct shard *shard = server->shards[i];

        /* Opened, but handed to nobody while others were tried again: still the main thread's. The
         * next owner raises the epoch over ours. */
        if (shard->phase == SHARD_OPENING)
            shard->phase = SHARD_CLOSED;
        if (shard->phase != SHARD_OPEN)
            continue;
        server->n_pending++;
        worker_tell(
            server->workers[i % server->n_workers],
            &(struct worker_order){.kind = drop ? WORKER_DROP : WORKER_CLOSE, .shard = shard});
    }
    if (server->n_pending == 0)
        all_closed(server);
}

static void all_handed(struct server *server)
{
    uint32_t n_topics = intake_n_topics(server->intake);
    struct intake_position *positions =
        calloc((size_t)server->n_shards * n_topics, sizeof(*positions));
    uint32_t n = 0;
    bool failed = false;

    /* A shard may have failed (its first checkpoint was refused) before the others were handed
     * over. */
    for (uint32_t i = 0; i < server->n_shards; i++)
        failed = failed || (server->assigned[i] && server->shards[i]->phase == SHARD_CLOSED);
    if (failed) {
        free(positions);
        begin_closing(server);
        return;
    }
    for (uint32_t i = 0; positions && i < server->n_shards; i++) {
        for (uint32_t topic = 0; topic < n_topics; topic++) {
            if (group_owns(server, i))
                positions[n++] = (struct intake_position){
                    .topic = topic, .shard = i, .offset = server->shards[i]->assign_at[topic]};
        }
    }
    fault_point("before_assign");
    if (!positions || intake_assign(server->intake, positions, n) != 0) {
        log_error("could not take the partitions",
                  LOG_STRING("error", intake_error(server->intake)));
        free(positions);
        begin_closing(server);
        return;
    }
    free(positions);
    server->group = GROUP_RUNNING;
    server->witness_at = clock_monotonic_us() + WITNESS_US;
    log_info("partitions taken", LOG_INT("partitions", n));
    if (group_owns(server, 0))
        leader_gain(server->leader, server->shards[0]->epoch);
}

static void hand_over(struct server *server)
{
    server->group = GROUP_HANDING;
    server->n_pending = 0;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (!server->assigned[i] || server->shards[i]->phase != SHARD_OPENING)
            continue;
        server->n_pending++;
        worker_tell(server->workers[i % server->n_workers],
                    &(struct worker_order){.kind = WORKER_OPEN, .shard = server->shards[i]});
    }
    if (server->n_pending == 0)
        all_handed(server);
}

static void opened(struct server *server)
{
    bool failed = false;

    if (--server->n_pending > 0)
        return;
    if (server->revoked || server->stopping) {
        begin_closing(server);
        return;
    }
    for (uint32_t i = 0; i < server->n_shards; i++)
        failed = failed || (server->assigned[i] && server->shards[i]->phase == SHARD_CLOSED);
    if (failed)
        server->reopen_at = clock_monotonic_us() + RETRY_US;
    else
        hand_over(server);
}

static const char *open_outcome(const struct open_job *job, int outcome)
{
    if (outcome == SHARD_E_KAFKA)
        return "the broker does not answer";
    if (outcome == SHARD_E_LOSS)
        return "records of the log are lost";
    if (outcome == STORE_E_CORRUPT)
        return "the stored state is damaged";
    if (outcome < 0)
        return strerror(-outcome);
    return job->error[0] ? job->error : "Redis is away";
}

static void judge_open(struct server *server, const struct open_job *job)
{
    struct shard *shard = job->shard;
    int outcome = job->job.job.outcome;
    static struct log_limit limit = LOG_LIMIT(8, 10);
    bool lossy = outcome == SHARD_E_LOSS || outcome == STORE_E_CORRUPT;

    if (outcome == 0) {
        shard->rebuild = false;
        log_info("shard opened", LOG_INT("shard", shard->index), LOG_INT("epoch", shard->epoch),
                 LOG_INT("generation", shard->generation),
                 LOG_INT("offset", shard->positions[0].next));
        return;
    }
    shard->phase = SHARD_CLOSED;
    if (outcome == SHARD_E_KAFKA)
        atomic_store(&server->hurry, true); /* the others of this round would only wait as long */
    if (outcome == SHARD_E_NEWER) {
        shard->phase = SHARD_HALTED;
        log_error("shard halted: its state was written by a later version of kpid",
                  LOG_INT("shard", shard->index));
    } else if (lossy && server->config->state.on_loss == CONFIG_ON_LOSS_HALT) {
        shard->phase = SHARD_HALTED;
        log_error("shard halted: state.on_loss is halt", LOG_INT("shard", shard->index),
                  LOG_STRING("why", open_outcome(job, outcome)));
    } else if (lossy) {
        shard->rebuild = true;
        log_error("shard is rebuilt from what the log has", LOG_INT("shard", shard->index),
                  LOG_STRING("why", open_outcome(job, outcome)));
    } else if (!server->revoked && !server->stopping) {
        log_limited(&limit, LOG_LEVEL_WARNING, "shard cannot be opened yet",
                    LOG_FIELDS(LOG_INT("shard", shard->index),
                               LOG_STRING("why", open_outcome(job, outcome))));
    }
}

static void open_finished(struct server_job *server_job)
{
    struct open_job *job = (struct open_job *)server_job;
    struct server *server = job->job.server;
    bool cancelled = job->job.job.outcome == -ECANCELED;

    if (!cancelled)
        judge_open(server, job);
    (void)kpi_plan_unref(job->options.plan);
    free(job);
    if (!cancelled)
        opened(server);
}

static int run_open(struct store_job *store_job, struct store *store)
{
    struct open_job *job = (struct open_job *)store_job;
    int r;

    if (atomic_load(&job->job.server->hurry))
        return SHARD_E_KAFKA;
    r = shard_open(job->shard, store, &job->options);
    if (r != 0 && store)
        (void)snprintf(job->error, sizeof(job->error), "%s", store_error(store));
    return r;
}

static void open_one(struct server *server, struct shard *shard)
{
    struct open_job *job = calloc(1, sizeof(*job));

    if (!job)
        abort(); /* out of memory at start-up: nothing is lost */
    shard->phase = SHARD_OPENING;
    job->shard = shard;
    job->options = (struct shard_open_options){
        .intake = server->intake,
        .plan = kpi_plan_ref(server->config->plan),
        .on_loss = server->config->state.on_loss,
        .rebuild = shard->rebuild,
        .fold = server->config->fold,
    };
    job->job.server = server;
    if (server->store) {
        server_submit(server, &job->job, STORE_PRIORITY_HIGH, run_open, open_finished);
    } else {
        job->job.job.outcome = run_open(&job->job.job, NULL);
        open_finished(&job->job);
    }
}

static void begin_opening(struct server *server)
{
    uint32_t n = 0;

    server->reopen_at = 0;
    server->reopen_at_once = false;
    atomic_store(&server->hurry, false);
    server->group = GROUP_OPENING;
    server->n_pending = 1; /* holds the door while opens are being counted */
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (!server->assigned[i] || server->shards[i]->phase != SHARD_CLOSED)
            continue;
        server->n_pending++;
        n++;
        open_one(server, server->shards[i]);
    }
    log_info("opening shards", LOG_INT("shards", n));
    opened(server);
}

void group_assigned(void *userdata, const uint32_t *shards, uint32_t n_shards)
{
    struct server *server = userdata;
    bool at_once = server->group == GROUP_NONE;
    bool *assigned = at_once ? server->assigned : server->assigned_next;

    if (server->stopping)
        return;
    memset(assigned, 0, server->n_shards * sizeof(*assigned));
    for (uint32_t i = 0; i < n_shards; i++) {
        if (shards[i] < server->n_shards) {
            assigned[shards[i]] = true;
        } else if (!server->grown) {
            server->grown = true;
            log_error("the topics have more partitions than at the start: restart all instances",
                      LOG_INT("partition", shards[i]), LOG_INT("shards", server->n_shards));
        }
    }
    /* Not at once: the revocation was answered by the unassign of shards that failed. */
    server->assigned_again = server->revoked = !at_once;
    if (at_once)
        begin_opening(server);
    else if (server->group == GROUP_RUNNING || server->reopen_at)
        begin_closing(server);
}

void group_revoked(void *userdata, bool lost)
{
    struct server *server = userdata;

    log_info("partitions revoked", LOG_STRING("lost", lost ? "true" : "false"));
    server->revoked = true;
    server->assigned_again = false;
    atomic_store(&server->hurry, true);
    /* While shards are being opened or handed over or given back, the end of that looks at revoked.
     */
    if (server->group == GROUP_NONE)
        all_closed(server);
    else if (server->group == GROUP_RUNNING || server->reopen_at)
        begin_closing(server);
}

void group_stop(struct server *server)
{
    atomic_store(&server->hurry, true);
    if (server->group == GROUP_RUNNING || server->reopen_at)
        begin_closing(server);
}

void group_reopen(struct server *server, bool at_once)
{
    if (server->group != GROUP_RUNNING)
        return;
    server->reopen_at_once = at_once;
    begin_closing(server);
}

void group_notice(struct server *server, struct worker_notice *notice)
{
    struct shard *shard = notice->shard;

    if (notice->kind == WORKER_OPENED && server->group == GROUP_HANDING) {
        shard->phase = SHARD_OPEN;
        if (--server->n_pending > 0)
            return;
        if (server->revoked || server->stopping)
            begin_closing(server);
        else
            all_handed(server);
    } else if (notice->kind == WORKER_CLOSED) {
        shard->phase = SHARD_CLOSED;
        merge_forget(server, shard->index);
        if (shard->failed) {
            counters_add(counters.shards_dropped, shard->outcome != 0);
            shard->rebuild = shard->outcome == SHARD_E_LOSS;
            if (shard->outcome == SHARD_E_LOSS || shard->outcome == STORE_E_ROLLBACK ||
                shard->outcome == STORE_E_FENCED || shard->outcome == STORE_E_REGRESS)
                shard_reset(shard);
            if (shard->rebuild && server->config->state.on_loss == CONFIG_ON_LOSS_HALT)
                shard->phase = SHARD_HALTED;
        }
        if (server->group == GROUP_CLOSING) {
            if (--server->n_pending == 0)
                all_closed(server);
        } else if (server->group == GROUP_RUNNING) {
            log_warning("opening all shards again", LOG_INT("because_of", shard->index));
            begin_closing(server);
        }
    }
}

/* Redis does not take the last checkpoints: what is not saved is read again by the next owner. */
static void drop_all(struct server *server)
{
    log_warning("letting shards go without their last checkpoints");
    server->closing_deadline = INT64_MAX;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (group_owns(server, i))
            worker_tell(server->workers[i % server->n_workers],
                        &(struct worker_order){.kind = WORKER_DROP, .shard = server->shards[i]});
    }
}

void group_tick(struct server *server, int64_t now)
{
    if (server->group == GROUP_CLOSING && now >= server->closing_deadline)
        drop_all(server);
    if (server->reopen_at && now >= server->reopen_at)
        begin_opening(server);
    if (server->group == GROUP_RUNNING && now >= server->witness_at) {
        server->witness_at = now + WITNESS_US;
        commit_witness(server);
    }
}
