/*
 * What the daemon shows over HTTP: /metrics, /api/v1/{kpis,alerts,plan,status}, /-/healthy,
 * /-/ready and
 * /. It reads the current view and the status that the main thread keeps, nothing else: never a
 * worker's state, never Redis. Lives in the main thread, on its loop.
 */
#pragma once

#include "config/config.h"
#include "sink/sink.h"
#include "store/store.h"
#include "view.h"

#include <stdbool.h>
#include <stdint.h>

struct api;
struct event_base;

/* One line of /-/ready: kpid is ready when all are ok. */
struct api_check {
    const char *name; /* "kafka", "redis", "state" */
    bool ok;
    const char *reason; /* a few words for people; while ok: NULL, or what to know anyway */
};

enum {
    API_CHECKS_MAX = 8
};

/* What /-/… , /metrics and /api/v1/status need beside the view. All strings are borrowed and not
 * NULL unless it says so. */
struct api_status {
    const char *version;
    const char *revision; /* of the source; "" if unknown */
    const char *group;
    const char *instance; /* this one, for people: host:pid */
    kpi_time started_at;  /* wall clock */
    const char *currency; /* of all amounts */
    struct api_check checks[API_CHECKS_MAX];
    unsigned n_checks;
    struct {
        bool up;
        const char *state; /* a word for people: "reading", "joining", "unreachable" */
    } kafka;
    struct {
        bool configured; /* false: state lives in memory only */
        bool durable;    /* it has an AOF */
        struct store_stats stats;
    } redis;
    struct {
        bool successful;        /* the last load */
        kpi_time successful_at; /* of the last good one */
        const char *error;      /* of the last bad one, or NULL */
    } reload;
    const struct config_setting *settings; /* those in force that a reload does not change */
    uint32_t n_settings;
    /* sink_stats() of the sink, or NULL without one */
    unsigned (*sink_stats)(void *userdata, struct sink_stats *ret_stats, unsigned n_max);
    void *userdata;
};

enum {
    API_RECEIVERS_MAX = 64
};

struct api_options {
    struct event_base *base;
    const char *listen;              /* address:port */
    const struct api_status *status; /* borrowed; the caller keeps it true */
};

/* Listens. Returns 0, an HTTP_E_… outcome of api/http.h, or -ENOMEM. Before the first view,
 * /-/ready and the pages that need one answer 503. */
int api_new(struct api **ret_api, const struct api_options *options);
struct api *api_free(struct api *api);
void api_freep(struct api **api);

uint16_t api_port(const struct api *api);

/* Takes a reference; lets go of the view before. */
void api_set_view(struct api *api, struct view *view);
