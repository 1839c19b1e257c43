/*
 * The life of the daemon: start in order, the loop of the main thread, stop in reverse.
 *
 *   config -> key -> store -> intake -> shards -> workers -> sink -> leader -> HTTP -> subscribe
 */
#include "server_internal.h"

#include "api/http.h"
#include "util/clock.h"
#include "util/counters.h"
#include "util/error.h"
#include "util/log.h"
#include "util/memory.h"
#include "util/secret_key.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define STOP_DEADLINE_US 20000000

static void job_done(struct store_job *job)
{
    struct server_job *server_job = (struct server_job *)job;

    mailbox_put(server_job->server->finished, &server_job->item);
}

struct worker_settings server_worker_settings(const struct config *config)
{
    struct worker_settings settings = {
        .fold = config->fold,
        .checkpoint_interval = config->checkpoint.interval,
        .unsaved_max = config->checkpoint.max_unsaved,
    };

    (void)snprintf(settings.currency, sizeof(settings.currency), "%s", config->currency);
    return settings;
}

void server_submit(struct server *server, struct server_job *job, enum store_priority priority,
                   int (*run)(struct store_job *job, struct store *store),
                   void (*finish)(struct server_job *job))
{
    job->server = server;
    job->finish = finish;
    job->job.run = run;
    job->job.done = job_done;
    store_thread_submit(server->store, &job->job, priority);
}

static void end(struct server *server, int exit_code)
{
    if (server->exit_code == 0)
        server->exit_code = exit_code;
    (void)event_base_loopbreak(server->base);
}

/* All that was ours is given back: nothing is left to wait for. */
static void end_if_stopped(struct server *server)
{
    if (server->stopping && server->group == GROUP_NONE)
        end(server, 0);
}

static void on_finished(evutil_socket_t fd, short what, void *userdata)
{
    struct server *server = userdata;
    struct mailbox_item *item = mailbox_take_all(server->finished);

    while (item) {
        struct server_job *job =
            (struct server_job *)((char *)item - offsetof(struct server_job, item));

        item = item->next;
        job->finish(job);
    }
    end_if_stopped(server);
}

static void on_notice(evutil_socket_t fd, short what, void *userdata)
{
    struct server *server = userdata;
    struct mailbox_item *item = mailbox_take_all(server->notices);

    while (item) {
        struct worker_notice *notice = (struct worker_notice *)item;

        item = item->next;
        if (notice->kind == WORKER_SUMMARY) {
            if (group_owns(server, notice->summary->shard))
                merge_summary(server, notice->summary);
            else
                (void)summary_free(notice->summary);
        } else if (notice->kind == WORKER_FATAL) {
            log_error("out of memory: ending; the state is safe up to the last checkpoint");
            end(server, EX_SOFTWARE);
        } else {
            group_notice(server, notice);
        }
        free(notice);
    }
    end_if_stopped(server);
}

static void on_kafka(evutil_socket_t fd, short what, void *userdata)
{
    struct server *server = userdata;

    intake_poll(server->intake);
}

static void check(struct server *server, const char *name, bool ok, const char *reason)
{
    struct api_status *status = &server->status;

    status->checks[status->n_checks++] =
        (struct api_check){.name = name, .ok = ok, .reason = reason};
}

/* joined: the group has said which shards are ours, which may be none. */
static void check_state(struct server *server, bool joined)
{
    char *reason = server->reasons[0];
    uint32_t n_assigned = 0, n_open = 0, n_halted = 0;

    for (uint32_t i = 0; i < server->n_shards; i++) {
        n_assigned += server->assigned[i];
        n_open += group_owns(server, i);
        n_halted += server->shards[i]->phase == SHARD_HALTED;
    }
    if (server->grown)
        (void)snprintf(reason, sizeof(server->reasons[0]),
                       "the topics have more partitions than at the start: restart");
    else if (n_halted)
        (void)snprintf(reason, sizeof(server->reasons[0]),
                       "%u shards are halted after a loss of records", n_halted);
    else if (!joined)
        (void)snprintf(reason, sizeof(server->reasons[0]), "not in the consumer group yet");
    else if (n_open < n_assigned || server->group == GROUP_OPENING ||
             server->group == GROUP_HANDING)
        (void)snprintf(reason, sizeof(server->reasons[0]), "%u of %u shards are open", n_open,
                       n_assigned);
    else
        (void)snprintf(reason, sizeof(server->reasons[0]), "%u shards", n_open);
    check(server, "state",
          !server->grown && n_halted == 0 && joined && n_open == n_assigned && server->view,
          reason);
}

/* What /-/ready and /api/v1/status say beside the view. */
static void refresh_status(struct server *server)
{
    struct api_status *status = &server->status;
    struct intake_stats intake;
    bool joining = server->group != GROUP_RUNNING;
    bool paused = atomic_load(&counters.partitions_paused[0]) > 0;

    intake_stats(server->intake, &intake);
    atomic_store(&counters.rebalances[0], intake.n_rebalances);
    atomic_store(&counters.dead_letters[0], intake.n_dead_letters);
    atomic_store(&counters.dead_letters_failed[0], intake.n_dead_letters_failed);
    status->currency = server->config->currency;
    status->kafka.up = intake.connected;
    status->kafka.state = !intake.connected ? "unreachable" : joining ? "joining" : "reading";
    if (server->store)
        store_thread_stats(server->store, &status->redis.stats);
    status->n_checks = 0;
    check(server, "kafka", intake.connected, intake.connected ? NULL : "no broker answers");
    if (server->store)
        check(server, "redis", status->redis.stats.up && !paused,
              paused ? "away, and too many records are not checkpointed: not reading"
              : status->redis.stats.up ? NULL
                                       : "away: counting on without checkpoints");
    check_state(server, intake.n_rebalances > 0);
    if (server->stopping)
        check(server, "stopping", false, "a signal to stop was received");
}

static void on_merge(evutil_socket_t fd, short what, void *userdata)
{
    merge_tick(userdata);
    refresh_status(userdata);
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
    struct server *server = userdata;
    int64_t now = clock_monotonic_us();

    intake_poll(server->intake);
    group_tick(server, now);
    staged_tick(server, now);
    merge_request(server);
    readers_tick(server);
    leader_tick(server->leader);
    refresh_status(server);
    if (server->stopping && (server->group == GROUP_NONE || now >= server->stop_deadline)) {
        if (server->group != GROUP_NONE)
            log_warning("stopping without the last checkpoints: they took too long");
        end(server, 0);
    }
}

static void on_stop(evutil_socket_t signal_number, short what, void *userdata)
{
    struct server *server = userdata;

    if (server->stopping) {
        log_notice("second signal: exiting at once");
        _exit(0);
    }
    log_info("stopping", LOG_INT("signal", signal_number));
    server->stopping = true;
    server->stop_deadline = clock_monotonic_us() + STOP_DEADLINE_US;
    group_stop(server);
    refresh_status(server);
    end_if_stopped(server);
}

static void log_config_line(void *userdata, const char *text)
{
    (void)fputs(text, stderr);
}

/* Errors are shown whole, for they end it; warnings are there for whoever writes the file. */
static const struct config_report config_report = {.line = log_config_line, .errors_only = true};

static void log_config_warnings(const struct server *server)
{
    if (server->config->n_warnings > 0)
        log_warning("the configuration has warnings: kpid check shows them",
                    LOG_STRING("file", server->options.config_path),
                    LOG_INT("warnings", server->config->n_warnings));
}

static int sink_receivers(const struct config *config, struct sink_receiver **ret_receivers)
{
    struct sink_receiver *receivers = calloc(config->n_receivers + 1, sizeof(*receivers));

    if (!receivers)
        return error_origin(-ENOMEM);
    for (uint32_t i = 0; i < config->n_receivers; i++) {
        receivers[i] = (struct sink_receiver){
            .name = config->receivers[i].name,
            .url = config->receivers[i].url,
            .secret = config->receivers[i].secret,
            .ca_file = config->receivers[i].ca_file,
            .allow = (const char *const *)config->receivers[i].allow,
        };
    }
    *ret_receivers = receivers;
    return 0;
}

static int start_sink(struct server *server, const struct config *config)
{
    struct sink_receiver *receivers = NULL;
    const char *error = NULL;
    char agent[64];
    int r;

    r = sink_receivers(config, &receivers);
    if (r < 0)
        return error_trace(r);
    (void)snprintf(agent, sizeof(agent), "kpid/%s", server->options.version);
    if (server->sink)
        r = sink_reconfigure(server->sink, receivers, config->n_receivers, &error);
    else
        r = sink_new(&server->sink,
                     &(struct sink_options){
                         .base = server->base,
                         .receivers = receivers,
                         .n_receivers = config->n_receivers,
                         .deadline_us = KPI_DAY,
                         .messages_max = 10000,
                         .user_agent = agent,
                         .done = leader_delivered,
                         .userdata = server,
                     },
                     &error);
    free(receivers);
    if (r > 0)
        log_error("a receiver cannot be used", LOG_STRING("error", error));
    return r;
}

static void warn_restart(void *userdata, const char *setting)
{
    log_warning("this setting changes with a restart only", LOG_STRING("setting", setting));
}

static void on_reload(evutil_socket_t signal_number, short what, void *userdata)
{
    struct server *server = userdata;
    struct config *config = NULL;
    int r;

    counters_add(counters.config_reloads, 1);
    r = config_load(&config, server->options.config_path, server->n_shards, &config_report);
    if (r == 0)
        r = start_sink(server, config);
    server->status.reload.successful = r == 0;
    if (r != 0) {
        server->status.reload.error = "the file has errors: see the log";
        counters_add(counters.config_reloads_failed, 1);
        log_error("reload failed: keeping the old configuration",
                  LOG_STRING("file", server->options.config_path));
        (void)config_free(config);
        refresh_status(server);
        return;
    }
    config_compare(server->config, config, warn_restart, NULL);
    server->status.reload.successful_at = clock_now_us();
    server->status.reload.error = NULL;
    (void)config_free(server->config);
    server->config = config;
    merge_plan(server);
    server->staged_at = 0;
    log_notice("configuration reloaded", LOG_STRING("file", server->options.config_path));
    log_config_warnings(server);
    refresh_status(server);
}

static unsigned receiver_stats(void *userdata, struct sink_stats *ret_stats, unsigned n_max)
{
    struct server *server = userdata;

    return sink_stats(server->sink, ret_stats, n_max);
}

static int start_key(struct server *server)
{
    const char *path = server->config->state.key_file;
    int r = secret_key_load(path, server->key);

    if (r != 0) {
        log_error("the secret key cannot be used", LOG_STRING("file", path),
                  LOG_STRING("error", r == SECRET_KEY_E_SHORT ? "it is not a key of kpid"
                                      : r == SECRET_KEY_E_OPEN_TO_OTHERS
                                          ? "others can read it: chmod 600"
                                          : strerror(-r)));
        return EX_CONFIG;
    }
    server->key_fingerprint = secret_key_fingerprint(server->key);
    return 0;
}

static int start_store(struct server *server)
{
    const struct config *config = server->config;
    struct store *store;
    bool durable = false;
    int r;

    if (!config->redis.url) {
        log_warning("no redis.url: state lives in memory only, a restart begins anew");
        return 0;
    }
    r = store_new(&store, &(struct store_options){
                              .url = config->redis.url,
                              .username = config->redis.username,
                              .password = config->redis.password,
                              .group = server->group_name,
                              .owner = server->instance,
                              .connect_timeout_us = KPI_SECOND,
                              .command_timeout_us = KPI_SECOND,
                              .n_replicas = config->redis.replicas,
                              .wait_timeout_us = 500 * KPI_MILLISECOND,
                          });
    if (r < 0)
        return EX_SOFTWARE;
    r = store_check(store, server->key_fingerprint, &durable);
    if (r != 0) {
        log_error("cannot work with this Redis", LOG_STRING("error", store_error(store)));
        (void)store_free(store);
        return EX_UNAVAILABLE;
    }
    if (!durable)
        log_warning("Redis has no append-only file: what it loses is replayed from the log");
    server->status.redis.configured = true;
    server->status.redis.durable = durable;
    return store_thread_new(&server->store, store) < 0 ? EX_SOFTWARE : 0;
}

static int start_intake(struct server *server)
{
    int r;

    r = intake_new(&server->intake, &(struct intake_options){
                                        .config = server->config,
                                        .n_workers = server->n_workers,
                                        .assigned = group_assigned,
                                        .revoked = group_revoked,
                                        .userdata = server,
                                    });
    if (r == 0)
        r = intake_check(server->intake, &server->n_shards);
    if (r == 0)
        return 0;
    if (server->intake && r > 0)
        log_error("cannot work with this Kafka", LOG_STRING("error", intake_error(server->intake)));
    return r == INTAKE_E_AWAY ? EX_UNAVAILABLE : r > 0 ? EX_CONFIG : EX_SOFTWARE;
}

static int start_shards(struct server *server)
{
    server->shards = calloc(server->n_shards, sizeof(*server->shards));
    server->assigned = calloc(server->n_shards, sizeof(*server->assigned));
    server->assigned_next = calloc(server->n_shards, sizeof(*server->assigned_next));
    server->summaries = calloc(server->n_shards, sizeof(*server->summaries));
    server->workers = calloc(server->n_workers, sizeof(*server->workers));
    if (!server->shards || !server->assigned || !server->assigned_next || !server->summaries ||
        !server->workers)
        return EX_SOFTWARE;
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (shard_new(&server->shards[i], i, intake_n_topics(server->intake)) < 0)
            return EX_SOFTWARE;
    }
    for (unsigned i = 0; i < server->n_workers; i++) {
        if (worker_new(&server->workers[i], &(struct worker_options){
                                                .index = i,
                                                .n_shards = server->n_shards,
                                                .intake = server->intake,
                                                .store = server->store,
                                                .notices = server->notices,
                                                .plan = server->config->plan,
                                                .mappings = server->config->mappings,
                                                .key = server->key,
                                                .settings = server_worker_settings(server->config),
                                            }) < 0)
            return EX_SOFTWARE;
    }
    return 0;
}

static int start_api(struct server *server)
{
    const char *listen = server->config->http.listen;
    char address[128];
    const char *colon = strrchr(listen, ':');
    int r;

    r = api_new(
        &server->api,
        &(struct api_options){.base = server->base, .listen = listen, .status = &server->status});
    if (r != 0) {
        log_error("cannot listen", LOG_STRING("address", listen),
                  LOG_STRING("error", r == HTTP_E_IN_USE    ? "another process listens there"
                                      : r == HTTP_E_ADDRESS ? "not an address:port"
                                      : r == HTTP_E_REFUSED
                                          ? "not allowed, or not an address of this host"
                                          : "out of memory"));
        return r < 0 ? EX_SOFTWARE : r == HTTP_E_ADDRESS ? EX_CONFIG : EX_UNAVAILABLE;
    }
    (void)snprintf(address, sizeof(address), "%.*s:%u", colon ? (int)(colon - listen) : 0, listen,
                   api_port(server->api));
    log_info("listening", LOG_STRING("address", address));
    if (server->options.listening)
        server->options.listening(server->options.userdata, address);
    return 0;
}

static int add_event(struct server *server, evutil_socket_t fd, short what,
                     event_callback_fn callback, const struct timeval *every)
{
    struct event *event = event_new(server->base, fd, what | EV_PERSIST, callback, server);

    if (!event || event_add(event, every) < 0) {
        if (event)
            event_free(event);
        return EX_SOFTWARE;
    }
    server->events[server->n_events++] = event;
    return 0;
}

static int start_events(struct server *server)
{
    static const struct timeval second = {.tv_sec = 1};
    int r = 0;

    server->merge_timer = evtimer_new(server->base, on_merge, server);
    r = server->merge_timer ? 0 : EX_SOFTWARE;
    r = r ? r : add_event(server, mailbox_fd(server->notices), EV_READ, on_notice, NULL);
    r = r ? r : add_event(server, mailbox_fd(server->finished), EV_READ, on_finished, NULL);
    r = r ? r : add_event(server, intake_fd(server->intake), EV_READ, on_kafka, NULL);
    r = r ? r : add_event(server, -1, 0, on_tick, &second);
    r = r ? r : add_event(server, SIGHUP, EV_SIGNAL, on_reload, NULL);
    r = r ? r : add_event(server, SIGTERM, EV_SIGNAL, on_stop, NULL);
    r = r ? r : add_event(server, SIGINT, EV_SIGNAL, on_stop, NULL);
    if (r == 0)
        merge_request(server); /* a first view, empty, for who asks before shards are open */
    return r;
}

static int start(struct server *server)
{
    char host[48] = "localhost";
    int r;

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(server->instance, sizeof(server->instance), "%s:%ld", host, (long)getpid());
    r = config_load(&server->config, server->options.config_path, 0, &config_report);
    if (r != 0)
        return r < 0 ? EX_SOFTWARE : EX_CONFIG;
    log_config_warnings(server);
    if (!server->config->kafka.brokers) {
        log_error("the configuration has no section kafka: nothing to read from",
                  LOG_STRING("file", server->options.config_path));
        return EX_CONFIG;
    }
    server->n_workers = server->config->workers;
    server->group_name = strdup(server->config->kafka.group);
    if (!server->group_name)
        return EX_SOFTWARE;
    server->status = (struct api_status){
        .version = server->options.version,
        .revision = "",
        .group = server->group_name,
        .instance = server->instance,
        .started_at = clock_now_us(),
        .settings = server->settings,
        .n_settings = config_settings(server->config, server->settings),
        .kafka.state = "joining",
        .reload = {.successful = true, .successful_at = clock_now_us()},
        .sink_stats = receiver_stats,
        .userdata = server,
    };
    server->base = event_base_new();
    if (!server->base || mailbox_new(&server->notices) < 0 || mailbox_new(&server->finished) < 0)
        return EX_SOFTWARE;
    r = start_key(server);
    r = r ? r : start_store(server);
    r = r ? r : start_intake(server);
    if (r)
        return r;
    /* Limits that are given for the whole group depend on how many shards there are. */
    server->config = config_free(server->config);
    r = config_load(&server->config, server->options.config_path, server->n_shards, &config_report);
    if (r != 0)
        return r < 0 ? EX_SOFTWARE : EX_CONFIG;
    r = start_shards(server);
    if (r == 0 && start_sink(server, server->config) != 0)
        r = EX_CONFIG;
    if (r == 0 && leader_new(&server->leader, server) < 0)
        r = EX_SOFTWARE;
    if (r == 0)
        refresh_status(server); /* never ready for want of knowing */
    r = r ? r : start_api(server);
    r = r ? r : start_events(server);
    if (r == 0 && intake_subscribe(server->intake) != 0) {
        log_error("cannot join the group", LOG_STRING("error", intake_error(server->intake)));
        r = EX_UNAVAILABLE;
    }
    return r;
}

/* What threads that have ended left in the mailboxes. */
static void forget_messages(struct server *server)
{
    struct mailbox_item *item = server->finished ? mailbox_take_all(server->finished) : NULL;

    while (item) {
        struct server_job *job =
            (struct server_job *)((char *)item - offsetof(struct server_job, item));

        item = item->next;
        job->job.outcome = -ECANCELED;
        job->finish(job);
    }
    item = server->notices ? mailbox_take_all(server->notices) : NULL;
    while (item) {
        struct worker_notice *notice = (struct worker_notice *)item;

        item = item->next;
        (void)summary_free(notice->summary);
        free(notice);
    }
}

/*
 * Ends all threads, those first that give work to the others: workers submit commits, the store
 * thread answers them and asks the broker. A worker may wait for room among the dead letters.
 */
static void stop_threads(struct server *server)
{
    intake_stop(server->intake);
    for (unsigned i = 0; server->workers && i < server->n_workers; i++)
        worker_stop(server->workers[i]);
    server->store = store_thread_free(server->store);
    forget_messages(server);
}

/* The reverse of start(); everything may be half made. */
static void stop(struct server *server)
{
    stop_threads(server);
    for (unsigned i = 0; i < server->n_events; i++)
        event_free(server->events[i]);
    if (server->merge_timer)
        event_free(server->merge_timer);
    for (unsigned i = 0; server->workers && i < server->n_workers; i++)
        (void)worker_free(server->workers[i]);
    (void)intake_free(server->intake);
    (void)api_free(server->api);
    (void)sink_free(server->sink);
    (void)leader_free(server->leader);
    for (uint32_t i = 0; i < server->n_shards; i++) {
        if (server->shards)
            (void)shard_free(server->shards[i]);
        if (server->summaries)
            (void)summary_free(server->summaries[i]);
    }
    (void)view_unref(server->view);
    (void)kpi_layout_unref(server->layout);
    (void)mailbox_free(server->notices);
    (void)mailbox_free(server->finished);
    if (server->base)
        event_base_free(server->base);
    (void)config_free(server->config);
    free(server->shards);
    free(server->assigned);
    free(server->assigned_next);
    free(server->group_name);
    free(server->summaries);
    free(server->workers);
    explicit_bzero(server->key, sizeof(server->key));
    free(server);
}

int server_run(const struct server_options *options)
{
    struct server *server = calloc(1, sizeof(*server));
    int exit_code;

    if (!server)
        return EX_SOFTWARE;
    /* A core would hold user ids and the key. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    server->options = *options;
    log_info("starting", LOG_STRING("version", options->version),
             LOG_STRING("config", options->config_path));
    exit_code = start(server);
    if (exit_code == EX_SOFTWARE)
        log_error("cannot start: no memory, threads or file descriptors to be had");
    if (exit_code == 0) {
        log_info("running", LOG_INT("shards", server->n_shards),
                 LOG_INT("workers", server->n_workers));
        (void)event_base_dispatch(server->base);
        exit_code = server->exit_code;
    }
    stop(server);
    log_info("stopped", LOG_INT("exit", exit_code));
    return exit_code;
}
