/*
 * Prometheus exposition, text 0.0.4 or OpenMetrics 1.0: the writer knows how the two differ, so
 * that who has numbers says them once. Memory failure is remembered and told at the end.
 *
 *   exposition_family(x, &(struct exposition_family){"kpid_events_total", EXPOSITION_COUNTER, …});
 *   exposition_label(x, "result", "applied");
 *   exposition_sample(x, 17);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exposition_format {
    EXPOSITION_TEXT,        /* 0.0.4 */
    EXPOSITION_OPENMETRICS, /* 1.0.0, or 0.0.1, which for us is the same */
};

enum exposition_type {
    EXPOSITION_COUNTER, /* name ends in _total */
    EXPOSITION_GAUGE,
    EXPOSITION_INFO,     /* name ends in _info */
    EXPOSITION_STATESET, /* one label is named like the family */
    EXPOSITION_HISTOGRAM,
    EXPOSITION_UNTYPED, /* "unknown" in OpenMetrics */
};

struct exposition_family {
    const char *name; /* as the samples' in text format */
    enum exposition_type type;
    const char *unit; /* "seconds": the name (without _total) ends in it; NULL: none */
    const char *help;
};

enum {
    EXPOSITION_LABEL_BYTES_MAX = 256, /* of a value; longer ones are cut between characters */
};

/* Zeroed but for format and n_samples_max is a fresh one. */
struct exposition {
    enum exposition_format format;
    uint32_t n_samples_max; /* beyond it samples are left out and counted */
    uint32_t n_samples, n_limited;
    char *text; /* owned by the caller after exposition_end() */
    size_t size, capacity;
    bool failed;
    /* the present family, borrowed until the next */
    const struct exposition_family *family;
    size_t labels_begin; /* where the present sample begins in text */
    bool has_labels;
};

/* Begins a family; all its samples follow before the next one. Its head is written at once. */
void exposition_family(struct exposition *exposition, const struct exposition_family *family);

/* A label of the next sample. Names are ours and legal; values may be anything. */
void exposition_label(struct exposition *exposition, const char *name, const char *value);
void exposition_label_bytes(struct exposition *exposition, const char *name, const char *value,
                            size_t length);

/* A sample of the present family with the labels given since the last. */
void exposition_sample(struct exposition *exposition, double value);
/* The same for whole numbers beyond 2^53. */
void exposition_sample_integer(struct exposition *exposition, int64_t value);

/*
 * A histogram without labels: n_bounds upper bounds (rising, finite), n_bounds + 1 counts that are
 * not cumulative, the last for what is above all bounds.
 */
void exposition_histogram(struct exposition *exposition, const double *bounds,
                          const uint64_t *counts, unsigned n_bounds, double sum);

/* Ends the exposition. Returns 0, or -ENOMEM; then text is freed. */
int exposition_end(struct exposition *exposition);

/* Shortest text that reads back as the same double: "0.65", "1e+300", "NaN", "+Inf". At most 32
 * bytes with the end. Returns its length. */
int exposition_number(char ret_text[32], double value);

/*
 * Which format an Accept header asks for, and the Content-Type to answer with. Never fails: who
 * asks for something else gets text 0.0.4. accept may be NULL.
 */
enum exposition_format exposition_negotiate(const char *accept, const char **ret_content_type);
