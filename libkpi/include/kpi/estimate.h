/*
 * How much memory a plan will take, before there is a user: from the sizes of the engine's own
 * structures, and what is assumed of the stream. A test folds streams of the assumed shape and
 * holds it within 0.7 and 1.5 times what they really take.
 */
#pragma once

#include <kpi/plan.h>

/* A stream, all shards together. */
struct kpi_estimate_stream {
    uint64_t users;        /* distinct ones in all the days */
    uint64_t users_daily;  /* of them seen on a day, by every measure that counts users */
    uint64_t events_daily; /* with an id, for dedupe */
    uint32_t values;       /* distinct values of a dimension, and of a field that is kept */
    uint32_t days;         /* of events that are there: at most what the plan keeps */
    uint32_t n_shards;     /* users are spread evenly over them */
};

/* Bytes of one shard. */
struct kpi_estimate {
    uint64_t users;      /* the table of users */
    uint64_t attributes; /* their rows, and the strings in them; and what they have in funnels */
    uint64_t sets;       /* distinct users by measure, campaign and day */
    uint64_t answers;    /* latest or first answers; each user gives one in all the days */
    uint64_t sketches;   /* of quantiles; each user gives one value a day */
    uint64_t unions;     /* what is kept of reports: unions of days, first days, rows */
    uint64_t dedupe;     /* ids in the window; the plan's limit holds */
    uint64_t cells;      /* counts, sums and what holds the sets together */
    uint64_t total;
};

/* users_daily of a day are spread evenly over the campaigns that run on it. Allocates nothing. */
void kpi_plan_estimate(const struct kpi_plan *plan, const struct kpi_estimate_stream *stream,
                       struct kpi_estimate *ret_estimate);
