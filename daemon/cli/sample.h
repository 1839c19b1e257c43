/*
 * What becomes of given events under a configuration: `kpid check --sample`. Lines are decoded as
 * the daemon would, and looked at a second time with cJSON, to tell what is in them and is not
 * read.
 */
#pragma once

#include "config/config.h"
#include "util/arena.h"

#include <cjson/cJSON.h>

#include <kpi/event.h>

struct mapping;

enum {
    SAMPLE_LINES_MAX = 10000, /* the first of a file */
    SAMPLE_EXAMPLE_BYTES = 48,
    SAMPLE_DISTINCT_MAX = 20, /* different values told apart */
};

struct sample_text {
    char text[SAMPLE_EXAMPLE_BYTES];
};

/* A value somewhere in messages. */
struct sample_path {
    const char *path; /* as a mapping would write it */
    uint64_t n;
    unsigned kinds; /* a bit for each enum sample_kind */
    struct sample_text example;
    uint64_t distinct[SAMPLE_DISTINCT_MAX]; /* hashes of values */
    unsigned n_distinct;                    /* SAMPLE_DISTINCT_MAX: that many or more */
    struct sample_path *next;
};

enum sample_kind {
    SAMPLE_STRING,
    SAMPLE_NUMBER,
    SAMPLE_BOOL,
    SAMPLE_OBJECT,
    SAMPLE_LIST,
};

/* Something that an event wants: a role or a field. */
struct sample_want {
    const char *name;
    const char *from; /* where the mapping looks for it */
    uint64_t n;
    unsigned kinds;
    struct sample_text example; /* as it stands in the message */
    struct sample_text becomes; /* in the event; empty for what is kept as a hash */
};

/* The events of one type that fell under one mapping; or those that were refused. */
struct sample_group {
    const struct mapping *mapping;
    const char *type; /* NULL: refused */
    uint64_t n;
    struct sample_want *wants;
    uint32_t n_wants;
    struct sample_group *next;
};

/* What is not read, of the messages of one mapping. */
struct sample_rest {
    const struct mapping *mapping; /* NULL: no mapping was for them */
    uint64_t n;
    struct sample_path *paths;
    uint32_t n_paths;
    struct sample_rest *next;
};

struct sample {
    struct arena arena;
    const struct config *config; /* borrowed */
    bool no_memory;
    uint64_t n_lines, n_events, n_skipped;
    uint64_t n_refused[KPI_REFUSAL_COUNT], first_refused[KPI_REFUSAL_COUNT]; /* line, from 1 */
    struct sample_group *groups;
    struct sample_rest *rests;
};

/*
 * Reads a file, "-" for standard input; topic may be NULL. 0, -ENOMEM, or another negative errno if
 * it cannot be read.
 */
int sample_read(struct sample *sample, const struct config *config, const char *path,
                const char *topic);
void sample_deinit(struct sample *sample);

/* sample_print.c: to stdout. 0 or -ENOMEM. */
int sample_print(struct sample *sample, const char *path);
