/* Damerau-Levenshtein distance (optimal string alignment), cut at words of 64 bytes. */
#include "config/suggest.h"

enum {
    WORD_BYTES_MAX = 64
};

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

static unsigned distance(struct kpi_string a, struct kpi_string b)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    size_t i, j;

    for (j = 0; j <= b.length; j++)
        above[j] = (unsigned)j;
    for (i = 1; i <= a.length; i++) {
        unsigned *oldest = before;

        row[0] = (unsigned)i;
        for (j = 1; j <= b.length; j++) {
            unsigned change = above[j - 1] + (a.data[i - 1] != b.data[j - 1]);

            row[j] = min3(above[j] + 1, row[j - 1] + 1, change);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.length];
}

void suggest_try(struct suggest *suggest, const char *candidate)
{
    struct kpi_string other = {candidate, strlen(candidate)};
    size_t length = suggest->word.length;
    unsigned limit = (unsigned)(length / 3 + 1), d;

    if (length == 0 || length > WORD_BYTES_MAX || other.length > WORD_BYTES_MAX)
        return;
    if (length > other.length + 2 || other.length > length + 2)
        return;
    d = distance(suggest->word, other);
    if (limit > 2)
        limit = 2;
    if (d > limit || (suggest->best && d >= suggest->distance))
        return;
    suggest->best = candidate;
    suggest->distance = d;
}
