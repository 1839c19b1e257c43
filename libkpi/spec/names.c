/*
 * Names and did-you-mean.
 *
 * The distance is Damerau's with adjacent transpositions (G. Navarro, "A guided tour to approximate
 * string matching", 2001), because swapped letters are what fingers get wrong most.
 */
#include "spec/names.h"

static const char *const keywords[] = {"and", "or", "not", "in", "of", "true", "false"};

/* The event's own words, and those that expressions give a meaning. */
static const char *const reserved[] = {
    "id", "source", "type", "user", "time", "currency", "campaign", "active_types",
};

bool kpi_name_begins(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

bool kpi_name_goes_on(unsigned char c)
{
    return kpi_name_begins(c) || (c >= '0' && c <= '9');
}

static bool is_one_of(struct kpi_string name, const char *const *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; ++i) {
        if (name.length == strlen(words[i]) && memcmp(name.data, words[i], name.length) == 0)
            return true;
    }
    return false;
}

bool kpi_name_is_keyword(struct kpi_string name)
{
    return is_one_of(name, keywords, sizeof(keywords) / sizeof(*keywords));
}

bool kpi_name_is_reserved(struct kpi_string name)
{
    return is_one_of(name, reserved, sizeof(reserved) / sizeof(*reserved));
}

bool kpi_name_valid(struct kpi_string name)
{
    if (name.length == 0 || name.length > KPI_NAME_BYTES_MAX)
        return false;
    if (!kpi_name_begins((unsigned char)name.data[0]))
        return false;
    for (size_t i = 1; i < name.length; ++i) {
        if (!kpi_name_goes_on((unsigned char)name.data[i]))
            return false;
    }
    return !kpi_name_is_keyword(name);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned kpi_name_distance(struct kpi_string a, struct kpi_string b, unsigned max)
{
    unsigned rows[3][KPI_NAME_BYTES_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    if (a.length > KPI_NAME_BYTES_MAX || b.length > KPI_NAME_BYTES_MAX)
        return max + 1;
    for (unsigned j = 0; j <= b.length; ++j)
        above[j] = j;
    for (unsigned i = 1; i <= a.length; ++i) {
        unsigned *next;

        row[0] = i;
        for (unsigned j = 1; j <= b.length; ++j) {
            unsigned cost = a.data[i - 1] != b.data[j - 1];

            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        next = before;
        before = above;
        above = row;
        row = next;
    }
    return above[b.length] > max ? max + 1 : above[b.length];
}

void kpi_suggestion_init(struct kpi_suggestion *suggestion, struct kpi_string wrong)
{
    /* a third of the letters may be wrong, but never more than three */
    unsigned limit = (unsigned)(wrong.length + 2) / 3;

    *suggestion = (struct kpi_suggestion){.wrong = wrong, .distance = least(limit, 3) + 1};
}

void kpi_suggestion_offer(struct kpi_suggestion *suggestion, struct kpi_string candidate)
{
    unsigned distance = kpi_name_distance(suggestion->wrong, candidate, suggestion->distance);

    if (distance < suggestion->distance && distance < candidate.length) {
        suggestion->distance = distance;
        suggestion->best = candidate;
    }
}
