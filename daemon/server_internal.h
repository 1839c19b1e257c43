/*
 * The main thread's state, shared by server.c (life), group.c (which shards are ours), merge.c
 * (what everybody reads), leader.c (judging), readers.c (what goes to Redis for others) and
 * staged.c (what `kpid rebuild` has made).
 */
#pragma once

#include "api/api.h"
#include "config/config.h"
#include "intake/intake.h"
#include "server.h"
#include "sink/sink.h"
#include "store/store_thread.h"
#include "summary.h"
#include "util/mailbox.h"
#include "view.h"
#include "worker.h"

#include <event2/event.h>

struct server;

/*
 * A store job whose end the main thread hears of. Embed it; `finish` owns it then. Outcome
 * -ECANCELED: the server stops, nothing but memory is to be looked after.
 */
struct server_job {
    struct store_job job; /* first */
    struct mailbox_item item;
    struct server *server;
    void (*finish)(struct server_job *job);
};

/* What workers take from a configuration. */
struct worker_settings server_worker_settings(const struct config *config);

/* Runs the job on the store thread, then `finish` on the main thread. */
void server_submit(struct server *server, struct server_job *job, enum store_priority priority,
                   int (*run)(struct store_job *job, struct store *store),
                   void (*finish)(struct server_job *job));

/* Which shards are ours, and what is being done about it. */
enum group_phase {
    GROUP_NONE,    /* nothing assigned */
    GROUP_OPENING, /* shards are being claimed and loaded */
    GROUP_HANDING, /* workers are taking them over */
    GROUP_RUNNING,
    GROUP_CLOSING, /* workers are giving them back */
};

struct server {
    struct server_options options;
    struct config *config;
    uint8_t key[192];
    uint64_t key_fingerprint;
    struct event_base *base;
    struct intake *intake;
    struct store_thread *store; /* NULL: state lives in memory only */
    struct mailbox *notices;    /* from workers */
    struct mailbox *finished;   /* from the store thread */
    struct worker **workers;
    unsigned n_workers;
    uint32_t n_shards;
    struct shard **shards;

    enum group_phase group;
    bool *assigned;      /* by shard */
    bool *assigned_next; /* by shard: what was assigned before the last revocation was answered */
    bool assigned_again; /* there is such */
    bool grown;          /* topics have more partitions than at the start */
    atomic_bool hurry;   /* opens that have not begun are not wanted any more */
    uint32_t n_pending;  /* opens, hand-overs or give-backs under way */
    bool revoked;        /* a revocation waits for an answer */
    int64_t closing_deadline; /* monotonic: when shards are dropped that could not be saved */
    int64_t reopen_at;        /* monotonic: shards are opened (again) then; 0: nothing waits */
    bool reopen_at_once;      /* when all that is being closed is */
    int64_t witness_at;       /* monotonic: next commit to the group */
    int64_t staged_at;        /* monotonic: next look for rebuilt state */
    bool staged_busy;         /* such a look is under way */

    struct summary **summaries; /* by shard: newest of ours, or of another instance */
    struct kpi_layout *layout;  /* the one that workers report under */
    int64_t layout_told_at;     /* monotonic */
    struct view *view;
    uint64_t view_version;
    bool merge_wanted;
    int64_t merge_rested_at; /* monotonic: no merge before */
    bool readers_busy;       /* a readers job is under way */

    struct leader *leader;
    struct sink *sink;
    struct api *api;
    struct api_status status;
    struct config_setting settings[CONFIG_SETTINGS_MAX]; /* those in force since the start */
    char instance[80];                                   /* host:pid */
    char *group_name; /* kafka.group as it was at the start; a reload does not change it */
    char reasons[API_CHECKS_MAX][160];

    struct event *events[8];
    unsigned n_events;
    struct event *merge_timer;
    bool stopping;
    int64_t stop_deadline; /* monotonic */
    int exit_code;
};

/* group.c */
void group_assigned(void *userdata, const uint32_t *shards, uint32_t n_shards);
void group_revoked(void *userdata, bool lost);
void group_notice(struct server *server, struct worker_notice *notice);
/* Once a second: repeats what failed, commits the witness. */
void group_tick(struct server *server, int64_t now);
/* Closes everything for good; done when server->group is GROUP_NONE. */
void group_stop(struct server *server);
/*
 * Our shard 0 is not ours, or the store has lost what we wrote, or (at_once) has something better:
 * closes all and opens again.
 */
void group_reopen(struct server *server, bool at_once);
bool group_owns(const struct server *server, uint32_t shard);

/* merge.c */
void merge_request(struct server *server);
void merge_tick(struct server *server);
void merge_summary(struct server *server, struct summary *summary);
void merge_forget(struct server *server, uint32_t shard);
/* Tells the workers the plan and settings of server->config, which is a new one. */
void merge_plan(struct server *server);

/* readers.c: once a second, our summaries out, others' in, and the KPI hashes of the leader. */
void readers_tick(struct server *server);

/* staged.c: every second, and after a reload: is rebuilt state there to be taken over? */
void staged_tick(struct server *server, int64_t now);

/* leader.c */
int leader_new(struct leader **ret_leader, struct server *server);
struct leader *leader_free(struct leader *leader);
/* Called when shard 0 has become ours or is no longer; epoch is its. */
void leader_gain(struct leader *leader, uint64_t epoch);
void leader_lose(struct leader *leader);
bool leader_active(const struct leader *leader);
/* Judges the view; once a second. */
void leader_tick(struct leader *leader);
/* Present state of a target; fresh if never judged. */
struct kpi_alert leader_alert(const struct leader *leader, const struct kpi_target *target);
void leader_delivered(void *userdata, const char *receiver, const char *id,
                      enum sink_result result);
