/*
 * Judging: the owner of shard 0 steps the machine of every target once a second. What a step
 * changes, and the messages that it causes, become durable in one fenced script before they count:
 * only then is the new state kept and the message sent. So whatever is killed, a transition is sent
 * at least once and always under the same id, and one that was fenced is never sent.
 */
#include "leader_internal.h"

#include "sink/alert_body.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct leader {
    struct server *server;
    bool gained, loaded, busy;
    uint64_t epoch;
    struct leader_alert *alerts; /* by fingerprint */
    uint32_t n_alerts;
    uint64_t look;         /* counts looks at views */
    char (*delivered)[80]; /* fields to delete */
    uint32_t n_delivered, delivered_capacity;
};

int leader_new(struct leader **ret_leader, struct server *server)
{
    struct leader *leader = calloc(1, sizeof(*leader));

    if (!leader)
        return error_origin(-ENOMEM);
    leader->server = server;
    *ret_leader = leader;
    return 0;
}

static void forget_alerts(struct leader *leader)
{
    for (uint32_t i = 0; i < leader->n_alerts; i++)
        free(leader->alerts[i].about);
    leader->n_alerts = 0;
}

struct leader *leader_free(struct leader *leader)
{
    if (!leader)
        return NULL;
    forget_alerts(leader);
    free(leader->alerts);
    free(leader->delivered);
    free(leader);
    return NULL;
}

bool leader_active(const struct leader *leader)
{
    return leader->gained && leader->loaded;
}

/* Where the alert is, or belongs. */
static uint32_t place_of(const struct leader *leader, uint64_t fingerprint)
{
    uint32_t low = 0, high = leader->n_alerts;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (leader->alerts[middle].fingerprint < fingerprint)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct leader_alert *find_alert(const struct leader *leader, uint64_t fingerprint)
{
    uint32_t place = place_of(leader, fingerprint);

    if (place == leader->n_alerts || leader->alerts[place].fingerprint != fingerprint)
        return NULL;
    return &leader->alerts[place];
}

struct kpi_alert leader_alert(const struct leader *leader, const struct kpi_target *target)
{
    const struct leader_alert *found = find_alert(leader, target->fingerprint);

    if (found)
        return found->alert;
    return (struct kpi_alert){.since = KPI_TIME_NONE, .deviating_since = KPI_TIME_NONE};
}

/* Takes what it is about. */
static int keep_alert(struct leader *leader, struct leader_alert *update)
{
    uint32_t place = place_of(leader, update->fingerprint);
    const struct leader_alert *found = find_alert(leader, update->fingerprint);

    if (found) {
        free(found->about);
    } else {
        struct leader_alert *alerts =
            realloc(leader->alerts, (leader->n_alerts + 1) * sizeof(*alerts));

        if (!alerts)
            return error_origin(-ENOMEM);
        leader->alerts = alerts;
        memmove(&alerts[place + 1], &alerts[place], (leader->n_alerts - place) * sizeof(*alerts));
        leader->n_alerts++;
    }
    leader->alerts[place] = *update;
    update->about = NULL;
    return 0;
}

static void send_message(struct leader *leader, const struct outbox_message *message)
{
    char alert[17];

    /* Delivered in a former reign, and not yet taken out of the outbox. */
    for (uint32_t i = 0; i < leader->n_delivered; i++) {
        if (strcmp(leader->delivered[i], message->field) == 0)
            return;
    }
    (void)snprintf(alert, sizeof(alert), "%016" PRIx64, message->fingerprint);
    if (sink_send(leader->server->sink, &(struct sink_message){
                                            .receiver = message->receiver,
                                            .id = message->id,
                                            .alert = alert,
                                            .sequence = message->sequence,
                                            .created_us = message->created_us,
                                            .body = message->body,
                                            .size = message->size,
                                        }) == SINK_E_RECEIVER)
        leader_delivered(leader->server, message->receiver, message->id, SINK_DISABLED);
}

/* Messages of one alert go out in the order of their sequence. */
static int compare_sequences(const void *a, const void *b)
{
    const struct outbox_message *left = *(struct outbox_message *const *)a;
    const struct outbox_message *right = *(struct outbox_message *const *)b;

    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static void send_in_order(struct leader *leader, struct outbox_message *messages)
{
    struct outbox_message **sorted;
    uint32_t n = 0;

    for (struct outbox_message *m = messages; m; m = m->next)
        n++;
    sorted = calloc(n + 1, sizeof(*sorted));
    if (!sorted)
        return; /* they stay in the outbox and go out when the leader is made anew */
    n = 0;
    for (struct outbox_message *m = messages; m; m = m->next)
        sorted[n++] = m;
    qsort(sorted, n, sizeof(*sorted), compare_sequences);
    for (uint32_t i = 0; i < n; i++)
        send_message(leader, sorted[i]);
    free(sorted);
}

/* What has become durable is now so. */
static void take_up(struct leader *leader, struct leader_job *job)
{
    for (uint32_t i = 0; i < job->n_updates; i++) {
        if (keep_alert(leader, &job->updates[i]) < 0)
            abort(); /* it must not be judged again: the next leader goes on from what is stored */
    }
    leader->loaded = true;
    if (job->n_delivered > 0)
        memmove(leader->delivered, leader->delivered + job->n_delivered,
                (leader->n_delivered - job->n_delivered) * sizeof(*leader->delivered));
    leader->n_delivered -= job->n_delivered;
    send_in_order(leader, job->messages);
}

static void finish(struct server_job *server_job)
{
    struct leader_job *job = (struct leader_job *)server_job;
    struct leader *leader = job->job.server->leader;
    int outcome = job->job.job.outcome;

    leader->busy = false;
    if (!leader->gained || job->epoch != leader->epoch) {
        leader_job_free(job); /* of a former reign */
        return;
    }
    /* Anything else (Redis away): nothing has happened, the next look tries again. */
    if (outcome == 0) {
        take_up(leader, job);
    } else if (outcome == STORE_E_FENCED || outcome == STORE_E_ROLLBACK) {
        /* Shard 0 may be quiet, and would not notice by a checkpoint. */
        log_warning(outcome == STORE_E_FENCED ? "another instance has become leader"
                                              : "the store has lost the leader's epoch");
        leader_lose(leader);
        group_reopen(leader->server, false);
    }
    leader_job_free(job);
}

static void submit(struct leader *leader, struct leader_job *job,
                   int (*run)(struct store_job *, struct store *))
{
    leader->busy = true;
    if (leader->server->store) {
        server_submit(leader->server, &job->job, STORE_PRIORITY_HIGH, run, finish);
    } else {
        job->job.job.outcome = 0; /* memory is all there is */
        finish(&job->job);
    }
}

void leader_gain(struct leader *leader, uint64_t epoch)
{
    leader->gained = true;
    leader->loaded = false;
    leader->epoch = epoch;
    forget_alerts(leader);
    log_info("judging targets and sending alerts: shard 0 is ours", LOG_INT("epoch", epoch));
}

void leader_lose(struct leader *leader)
{
    if (leader->gained)
        log_info("no longer judging: shard 0 is not ours");
    leader->gained = leader->loaded = false;
}

void leader_delivered(void *userdata, const char *receiver, const char *id, enum sink_result result)
{
    struct server *server = userdata;
    struct leader *leader = server->leader;

    if (leader->n_delivered == leader->delivered_capacity) {
        uint32_t capacity = leader->delivered_capacity ? leader->delivered_capacity * 2 : 16;
        char(*delivered)[80] = realloc(leader->delivered, capacity * sizeof(*delivered));

        if (!delivered)
            return; /* it stays in the outbox and is sent once more, under the same id */
        leader->delivered = delivered;
        leader->delivered_capacity = capacity;
    }
    leader_message_field(leader->delivered[leader->n_delivered++], receiver, id);
}

static void freep(char **text)
{
    free(*text);
}

static const char *terminated(char text[128], struct kpi_string string)
{
    (void)snprintf(text, 128, "%.*s", (int)string.length, string.data);
    return text;
}

/* The messages of one transition, one a receiver. */
static int add_messages(struct leader *leader, struct leader_job *job, const char *id,
                        const struct alert_body *options)
{
    const struct config *config = leader->server->config;
    char *body;
    size_t size;
    int r;

    r = alert_body_new(&body, &size, options);
    if (r < 0)
        return error_trace(r);
    for (uint32_t i = 0; i < config->n_receivers && r == 0; i++) {
        struct outbox_message *message =
            leader_message_new(config->receivers[i].name, id, options->fingerprint,
                               options->sequence, options->at, body, size);

        r = message ? leader_job_add_message(job, message) : -ENOMEM;
    }
    free(body);
    return r;
}

/* What a step has changed, and who is told. before: the state as it was. */
static int add_step(struct leader *leader, struct leader_job *job, const struct view_alert *seen,
                    const struct kpi_alert *before, struct leader_alert *update,
                    enum kpi_transition transition, kpi_time now)
{
    const struct kpi_plan *plan = kpi_layout_plan(leader->server->view->layout);
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(plan, seen->target->campaign);
    const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, seen->target->kpi);
    const struct kpi_alert *told = transition == KPI_TRANSITION_RESOLVED ? before : &update->alert;
    CLEANUP(freep) char *about = NULL;
    char id[ALERT_ID_BYTES], names[2][128];
    int r;

    if (told->status != KPI_ALERT_FIRING)
        return leader_job_add_alert(job, update);
    r = alert_about_new(&about, &(struct alert_about){
                                    .external_url = leader->server->config->http.external_url,
                                    .target = &seen->present,
                                    .campaign = campaign,
                                    .kpi = kpi,
                                    .zone = kpi_plan_zone(plan, campaign->zone),
                                    .scope = &seen->scope,
                                    .value = &seen->value,
                                    .since = told->deviating_since,
                                });
    if (r < 0)
        return error_trace(r);
    update->about = told == before ? NULL : about;
    r = leader_job_add_alert(job, update);
    if (r < 0 || transition == KPI_TRANSITION_NONE)
        return error_trace(r);
    alert_id(id, update->fingerprint, update->alert.sequence, leader->server->group_name);
    log_notice(transition == KPI_TRANSITION_FIRING ? "target missed" : "target met again",
               LOG_STRING("campaign", terminated(names[0], campaign->id)),
               LOG_STRING("kpi", terminated(names[1], kpi->name)),
               LOG_STRING("level", kpi_alert_level_name(told->level)),
               LOG_DOUBLE("value", seen->value.value), LOG_DOUBLE("target", seen->present.value),
               LOG_STRING("id", id));
    return add_messages(leader, job, id,
                        &(struct alert_body){
                            .group = leader->server->group_name,
                            .fingerprint = update->fingerprint,
                            .transition = transition,
                            .sequence = update->alert.sequence,
                            .level = told->level,
                            .at = now,
                            .zone = kpi_plan_zone(plan, campaign->zone),
                            .about = about,
                        });
}

static int judge_target(struct leader *leader, struct leader_job *job,
                        const struct view_alert *seen, kpi_time now)
{
    const bool complete = leader->server->view->complete;
    struct leader_alert *found = find_alert(leader, seen->target->fingerprint);
    struct leader_alert update = {.fingerprint = seen->target->fingerprint,
                                  .alert = leader_alert(leader, seen->target)};
    struct kpi_alert before = update.alert;
    struct kpi_observation observation = view_observation(seen);
    enum kpi_transition transition;
    bool unknown; /* it fires, and nothing would tell what it is about */

    observation.stale = !complete;
    transition = kpi_alert_step(&update.alert, &seen->present, &observation, now);
    if (found)
        found->look = leader->look;
    unknown = found && update.alert.status == KPI_ALERT_FIRING && !found->about && complete;
    if (transition == KPI_TRANSITION_NONE && memcmp(&before, &update.alert, sizeof(before)) == 0 &&
        !unknown)
        return 0;
    return add_step(leader, job, seen, &before, &update, transition, now);
}

/*
 * Ends the alert of a target that is not in the view, because a reload or a restart has removed it.
 * The state stays, for its sequence: if there is such a target again, an id that was used before
 * would be taken for a repetition.
 */
static int end_removed(struct leader *leader, struct leader_job *job,
                       const struct leader_alert *stored, kpi_time now)
{
    struct leader_alert update = {.fingerprint = stored->fingerprint, .alert = stored->alert};
    const enum kpi_transition transition = kpi_alert_end(&update.alert, now);
    char id[ALERT_ID_BYTES];
    int r;

    r = leader_job_add_alert(job, &update);
    if (r < 0 || transition == KPI_TRANSITION_NONE)
        return error_trace(r);
    alert_id(id, update.fingerprint, update.alert.sequence, leader->server->group_name);
    log_notice("a target that was missed is removed, its alert ends",
               LOG_STRING("level", kpi_alert_level_name(stored->alert.level)),
               LOG_STRING("id", id));
    return add_messages(leader, job, id,
                        &(struct alert_body){
                            .group = leader->server->group_name,
                            .fingerprint = update.fingerprint,
                            .transition = transition,
                            .removed = true,
                            .sequence = update.alert.sequence,
                            .level = stored->alert.level,
                            .at = now,
                            .about = stored->about,
                            .since = stored->alert.deviating_since,
                        });
}

static int judge(struct leader *leader, struct leader_job *job)
{
    const struct view *view = leader->server->view;
    kpi_time now = clock_now_us();
    int r = 0;

    leader->look++;
    for (uint32_t i = 0; i < view->n_alerts && r == 0; i++)
        r = judge_target(leader, job, &view->alerts[i], now);
    for (uint32_t i = 0; i < leader->n_alerts && r == 0; i++) {
        const struct leader_alert *stored = &leader->alerts[i];

        if (stored->look != leader->look && stored->alert.status != KPI_ALERT_OK)
            r = end_removed(leader, job, stored, now);
    }
    return r;
}

void leader_tick(struct leader *leader)
{
    struct leader_job *job;
    int r = 0;

    if (!leader->gained || leader->busy || !leader->server->view)
        return;
    job = leader_job_new(leader->server, leader->epoch);
    if (!job)
        return; /* the next look tries again */
    if (!leader->loaded) {
        submit(leader, job, leader_job_load);
        return;
    }
    for (uint32_t i = 0; i < leader->n_delivered && r == 0; i++) {
        r = leader_job_add_field(job, leader->delivered[i], NULL, 0);
        job->n_delivered += r == 0;
    }
    if (r == 0)
        r = judge(leader, job);
    if (r < 0 || job->n_fields == 0) {
        leader_job_free(job);
        return;
    }
    submit(leader, job, leader_job_put);
    merge_request(leader->server); /* alerts are part of the view */
}
