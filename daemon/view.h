/*
 * The merged view: what everybody reads. Immutable, made by the main thread whenever shards have
 * published or the clock moved, swapped in whole. HTTP, alerts and Redis readers see nothing else.
 */
#pragma once

#include <kpi/alert.h>
#include <kpi/answers.h>
#include <kpi/engine.h>
#include <kpi/report.h>
#include <kpi/supplement.h>

struct view_answers;
struct view_groups;

struct view_shard {
    uint32_t shard;
    bool owned;     /* by this instance */
    bool present;   /* its rows are in the view */
    bool caught_up; /* has read to the end of its partitions */
    uint64_t epoch, generation;
    int64_t lag;       /* records behind, -1 unknown */
    int64_t n_unsaved; /* records beyond the last durable checkpoint */
    kpi_time saved_at; /* wall clock of it; KPI_TIME_NONE: none yet */
    kpi_time
        counts_from; /* KPI_TIME_NONE: from the log's beginning; else after a loss, from then */
    struct kpi_engine_stats stats;
};

struct view_partition {
    const char *topic; /* borrowed from the view's topics, live as long as the process */
    int32_t partition;
    int64_t lag;  /* records to the high watermark; -1 unknown */
    int64_t next; /* next offset */
};

struct view_alert {
    const struct kpi_target *target; /* of the plan */
    struct kpi_target present;       /* the same, with its value as of the view */
    struct kpi_value aim; /* of a target that varies: that value, and why there is none */
    struct kpi_alert alert;
    struct kpi_value value;
    struct kpi_scope scope; /* as resolved at as_of */
    double distance;        /* in bands; NAN unless both values are OK */
};

struct view {
    int n_references;
    struct kpi_layout *layout;  /* and with it the plan; holds a reference */
    kpi_time as_of;             /* data is in up to here */
    kpi_time made_at;           /* wall clock */
    uint64_t version;           /* rises with each view of this process; ETag */
    bool complete;              /* all shards present, caught up, without loss */
    bool answers_complete;      /* and all have made answers under this plan */
    bool leader;                /* this instance judges and sends */
    struct kpi_row *rows;       /* merged, of the layout */
    struct kpi_value *values;   /* [scope * n_kpis + kpi] */
    uint32_t n_overflowed;      /* of these: undefined because a number left its range */
    struct view_groups *groups; /* of the shards: see view_groups(); NULL: nothing is broken down */
    struct view_answers *answers; /* of the shards: see view_answers(); NULL: none */
    kpi_time answers_as_of;       /* data is in them up to here; at most as_of */
    uint32_t n_shards;
    struct view_shard *shards;
    uint32_t n_partitions;
    struct view_partition *partitions;
    uint32_t n_alerts;
    struct view_alert *alerts;
};

/*
 * A view with every KPI evaluated over every scope of the layout (a reference is taken) from merged
 * rows, complete and without shards, partitions and alerts: the start of any other. NULL: no
 * memory.
 */
struct view *view_of_rows(struct kpi_layout *layout, const struct kpi_row *rows, kpi_time as_of);
/*
 * Adds a shard's groups to what view_groups() merges; takes a reference. One that does not fit the
 * layout counts as nothing. Returns 0 or -ENOMEM.
 */
int view_add_groups(struct view *view, struct kpi_supplement *supplement);
/*
 * The groups of all shards that may be shown, merged when first asked for: most views are never
 * asked. *ret_groups is borrowed from the view; NULL if there are none. Returns 0 or -ENOMEM.
 */
int view_groups(const struct view *view, const struct kpi_supplement **ret_groups);
/* The same for answers: of what does not fit the plan nothing is taken. */
int view_add_answers(struct view *view, struct kpi_answers *answers);
int view_answers(const struct view *view, const struct kpi_answers **ret_answers);
/*
 * Judges no target, but says of each what there is to judge: fills view->alerts, which has room for
 * all targets of the plan, with its scope and value as of the view, and the state that `find`
 * knows. Targets for the same KPI and scope at different times (a value for each phase) are one
 * alert: the one whose time made_at is in, else the first.
 */
void view_set_alerts(struct view *view,
                     struct kpi_alert (*find)(const void *userdata,
                                              const struct kpi_target *target),
                     const void *userdata);
/*
 * What is seen of its KPI: no data while the target itself has no value, and what it counts from if
 * the KPI lacks nothing.
 */
struct kpi_observation view_observation(const struct view_alert *alert);
/*
 * What view_groups() leaves out of what it has merged, because it is of fewer users than the plan's
 * min_group: borrowed from the view, in the order of scopes and breakdowns. NULL and 0: nothing.
 */
const struct kpi_suppressed *view_suppressed(const struct view *view, uint32_t *ret_n);
struct view *view_ref(struct view *view);
struct view *view_unref(struct view *view); /* NULL is fine; returns NULL */
