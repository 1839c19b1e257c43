/*
 * Names that people write: which are allowed, and what a wrong one was probably meant to be.
 */
#pragma once

#include <kpi/base.h>

#define KPI_NAME_BYTES_MAX 64
/* Of the path of a nested field: names with points between them. */
#define KPI_PATH_BYTES_MAX 256

/*
 * May these bytes begin, or go on with, a name? Letters, digits, underscore, and any letter beyond
 * ASCII, so that 参与人数 is a name.
 */
bool kpi_name_begins(unsigned char c);
bool kpi_name_goes_on(unsigned char c);

/* A whole name of at most KPI_NAME_BYTES_MAX bytes that is no word of the expression language. */
bool kpi_name_valid(struct kpi_string name);

/* A word of the expression language: and, or, not, in, of, true, false. */
bool kpi_name_is_keyword(struct kpi_string name);

/* A name of the event's envelope, which no attribute or field may take: id, source, type, … */
bool kpi_name_is_reserved(struct kpi_string name);

/*
 * Damerau-Levenshtein distance (restricted: no piece is edited twice), in bytes; anything above
 * `max` counts as max + 1.
 */
unsigned kpi_name_distance(struct kpi_string a, struct kpi_string b, unsigned max);

/* The best candidate so far for what `wrong` was meant to be. */
struct kpi_suggestion {
    struct kpi_string wrong;
    struct kpi_string best; /* empty: nothing is near */
    unsigned distance;
};

void kpi_suggestion_init(struct kpi_suggestion *suggestion, struct kpi_string wrong);
void kpi_suggestion_offer(struct kpi_suggestion *suggestion, struct kpi_string candidate);
