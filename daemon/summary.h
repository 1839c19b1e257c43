/*
 * What a shard publishes: its rows under a layout, and how far it is. Made by the worker that owns
 * the shard, immutable afterwards, handed to the main thread; as bytes it also goes to Redis, where
 * other instances read it.
 */
#pragma once

#include <kpi/answers.h>
#include <kpi/engine.h>
#include <kpi/report.h>
#include <kpi/supplement.h>
#include <stdbool.h>
#include <stdint.h>

struct summary {
    uint32_t shard;
    uint64_t epoch, generation;
    uint64_t layout;      /* fingerprint */
    kpi_time made_at;     /* wall clock */
    kpi_time saved_at;    /* wall clock of the last durable checkpoint; KPI_TIME_NONE */
    kpi_time counts_from; /* KPI_TIME_NONE: complete; else after a loss, from then */
    bool caught_up;       /* has read to the end of its partitions */
    int64_t lag;          /* records; -1 unknown */
    int64_t n_unsaved;
    struct kpi_engine_stats stats;
    struct kpi_supplement *supplement; /* NULL: nothing is broken down; holds a reference */
    struct kpi_answers *answers; /* NULL: none are asked for, or not made yet; holds a reference */
    kpi_time answers_as_of;      /* up to when data is in them; KPI_TIME_NONE: as in the rows */
    uint32_t n_rows;
    struct kpi_row rows[];
};

/* Room for n_rows; the rows are zero. NULL if there is no memory. */
struct summary *summary_new(uint32_t n_rows);
struct summary *summary_free(struct summary *summary);

/* As a KPI_OBJECT_SUMMARY. Free *ret_bytes with free(). 0 or -ENOMEM. */
int summary_encode(const struct summary *summary, void **ret_bytes, size_t *ret_size);

enum {
    SUMMARY_E_CORRUPT = 1
};
int summary_decode(struct summary **ret_summary, const void *bytes, size_t size);
