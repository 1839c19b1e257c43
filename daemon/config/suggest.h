/* "Did you mean …?": the nearest of some candidates. */
#pragma once

#include <kpi/base.h>

struct suggest {
    struct kpi_string word;
    const char *best; /* NULL: nothing near enough; else borrowed from the candidate */
    unsigned distance;
};

/* Looks for words within 2 edits (swapped neighbours are one) and a third of the length plus 1. */
static inline struct suggest suggest_begin(struct kpi_string word)
{
    return (struct suggest){.word = word};
}
/* `candidate` must live as long as the result. The first of equals wins. */
void suggest_try(struct suggest *suggest, const char *candidate);
