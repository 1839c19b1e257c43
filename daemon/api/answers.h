/*
 * Answers as JSON, for /api/v1/tables/NAME, /api/v1/funnels/NAME and /api/v1/experiments/NAME, and
 * behind the KPIs in `kpid replay -o json`:
 *
 *   {"as_of":"2026-11-11T08:00:00Z","complete":true,"tables":[…]}
 *
 * Each kind has a station of its own (tables.c …), which says what its entries are; what is broken
 * down has "by":{"channel":"wechat","city":null} in each, "__suppressed__" for what min_group
 * hides. as_of is up to when data is in: answers may be made less often than KPIs are. They are
 * complete when the KPIs are and every shard has made answers under the plan, which takes some more
 * after start or a reload.
 */
#pragma once

#include "api/json.h"
#include "view.h"

/* What is wanted; entries and their parts that begin in [from, to). */
struct answers_filter {
    const char *name; /* NULL: all of the kind */
    const char *from; /* a date or a time with zone; NULL: unbounded */
    const char *to;
    const char *by; /* NULL: only the whole; "*": that and what is broken down; else that only: the
                       dimensions, "channel,city" in any order */
};

enum {
    ANSWERS_E_NAME = 1, /* there is none of that name */
    ANSWERS_E_BY,       /* it is not broken down so */
    ANSWERS_E_TIME,     /* no date and no time */
};

/* Returns 0, ANSWERS_E_… or -ENOMEM. The text is the caller's, free(). */
int answers_write(char **ret_text, size_t *ret_size, const struct view *view,
                  enum kpi_answer_kind kind, const struct answers_filter *filter);
/* Adds all answers of all kinds of which the plan has any, each kind under its key. 0 or -ENOMEM.
 */
int answers_add_all(struct json *json, cJSON *root, const struct view *view);

/* --- for the stations --- */

struct answers_page {
    const struct view *view;
    const struct kpi_plan *plan;
    const struct kpi_answers *answers; /* merged; NULL: none */
    kpi_time as_of;
    kpi_time from, to;       /* [from, to) */
    bool whole, broken_down; /* what is wanted */
};

struct answers_station {
    const char *key; /* "tables" */
    uint32_t (*count)(const struct kpi_plan *plan);
    struct kpi_string (*name)(const struct kpi_plan *plan, uint32_t index);
    const struct kpi_breakdown_info *(*by)(const struct kpi_plan *plan,
                                           uint32_t index); /* or NULL */
    /* Adds the entries of one. 0 or -ENOMEM. */
    int (*add)(struct json *json, cJSON *array, const struct answers_page *page, uint32_t index);
};

extern const struct answers_station funnels_station; /* funnels.c */
/* tables.c */
extern const struct answers_station tables_station;
const char *tables_kind_name(enum kpi_table_kind kind);
const char *tables_basis_name(enum kpi_table_basis basis);
extern const struct answers_station experiments_station; /* experiments.c */

/* Is an answer wanted, as far as its values go? */
bool answers_takes(const struct answers_page *page, const struct kpi_answer *answer);
/* Does what begins then lie in [from, to)? */
bool answers_in_time(const struct answers_page *page, kpi_time start);
/* "by":{…}, of an answer that has values. */
void answers_add_by(struct json *json, cJSON *item, const struct kpi_breakdown_info *by,
                    const struct kpi_answer *answer);
/* An entry that says that not all of what is broken down is shown; `kind` is the key of its name.
 */
void answers_add_suppressed(struct json *json, cJSON *array, const char *kind,
                            struct kpi_string name, const struct kpi_breakdown_info *by);
/* How many users; KPI_ANSWER_CELL_HIDDEN is null. */
void answers_add_count(struct json *json, cJSON *item, const char *key, int64_t n);
/* A time in the plan's default zone. */
void answers_add_time(struct json *json, cJSON *item, const char *key, const struct kpi_plan *plan,
                      kpi_time time);
