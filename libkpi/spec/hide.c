/* The rule of min_group: see hide.h. */
#include "spec/hide.h"

#define NONE UINT32_MAX

static int64_t count_at(const struct kpi_hiding *hiding, uint32_t group, uint32_t number)
{
    return hiding->counts[(size_t)group * hiding->stride + number];
}

/* The smallest number in the group that is of anybody; INT64_MAX: none is. */
static int64_t group_users(const struct kpi_hiding *hiding, uint32_t group)
{
    int64_t least = INT64_MAX;

    for (uint32_t number = 0; number < hiding->n_numbers; ++number) {
        int64_t count = count_at(hiding, group, number);

        if (count > 0 && count < least)
            least = count;
    }
    return least;
}

/*
 * The shown group with the least of a number, but not nothing (NONE: of the smallest of its
 * numbers); NONE: there is none.
 */
static uint32_t least_shown(const struct kpi_hiding *hiding, uint32_t number)
{
    uint32_t least = NONE;
    int64_t least_count = INT64_MAX;

    for (uint32_t i = 0; i < hiding->n_groups; ++i) {
        int64_t count = number == NONE ? group_users(hiding, i) : count_at(hiding, i, number);

        if (hiding->hidden[i] || count == 0 || (least != NONE && count >= least_count))
            continue;
        least = i;
        least_count = count;
    }
    return least;
}

static int64_t sum(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Hides more until what is hidden of a number is of enough people. Returns how many. */
static uint32_t hide_more(const struct kpi_hiding *hiding, uint32_t number)
{
    uint32_t n = 0;
    int64_t count = 0;

    for (uint32_t i = 0; i < hiding->n_groups; ++i)
        count = hiding->hidden[i] ? sum(count, count_at(hiding, i, number)) : count;
    while (count > 0 && count < hiding->min) {
        uint32_t more = least_shown(hiding, number);

        if (more == NONE)
            break;
        hiding->hidden[more] = true;
        count = sum(count, count_at(hiding, more, number));
        ++n;
    }
    return n;
}

uint32_t kpi_hide(const struct kpi_hiding *hiding)
{
    uint32_t n = 0, more;

    for (uint32_t i = 0; i < hiding->n_groups; ++i) {
        hiding->hidden[i] |= group_users(hiding, i) < hiding->min;
        n += hiding->hidden[i];
    }
    more = n == 1 ? least_shown(hiding, NONE) : NONE;
    if (more != NONE) {
        hiding->hidden[more] = true;
        ++n;
    }
    for (uint32_t number = 0; n > 0 && number < hiding->n_numbers; ++number)
        n += hide_more(hiding, number);
    return n;
}
