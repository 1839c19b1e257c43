/*
 * The groups of a funnel that may be shown under min_group: see kpi/funnel.h. A group stands or
 * falls by its users of each step; its days stand or fall together, by their users of each step,
 * so that none of them can be told by subtracting the others from the group's own number.
 */
#include "base/sort.h"
#include "spec/funnel_answers.h"
#include "spec/hide.h"
#include "spec/pool.h"

struct hiding {
    struct kpi_funnel_group *groups;
    uint32_t n_groups, n_steps;
    int64_t min;
    int64_t *counts; /* by group, then step */
};

static int64_t people(uint64_t users)
{
    return users > INT64_MAX ? INT64_MAX : (int64_t)users;
}

static uint32_t judge(const struct hiding *hiding, bool *hidden)
{
    return kpi_hide(&(struct kpi_hiding){.min = hiding->min,
                                         .n_groups = hiding->n_groups,
                                         .n_numbers = hiding->n_steps,
                                         .stride = hiding->n_steps,
                                         .counts = hiding->counts,
                                         .hidden = hidden});
}

static void groups_judge(const struct hiding *hiding, bool *hidden)
{
    for (uint32_t i = 0; i < hiding->n_groups; ++i) {
        for (uint32_t k = 0; k < hiding->n_steps; ++k)
            hiding->counts[(size_t)i * hiding->n_steps + k] =
                people(hiding->groups[i].steps[k].users);
    }
    (void)judge(hiding, hidden);
}

/* --- days --- */

static int compare_days(const void *a, const void *b)
{
    const kpi_day *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* All days of all groups, in order. Returns how many; the pool tells if memory ended. */
static uint32_t days_of(const struct hiding *hiding, struct kpi_pool *pool, kpi_day **ret_days)
{
    uint32_t n = 0, n_alone = 0;

    for (uint32_t i = 0; i < hiding->n_groups; ++i)
        n += hiding->groups[i].n_days;
    *ret_days = kpi_pool_alloc(pool, n * sizeof(**ret_days));
    n = 0;
    for (uint32_t i = 0; i < hiding->n_groups && *ret_days; ++i) {
        for (uint32_t k = 0; k < hiding->groups[i].n_days; ++k)
            (*ret_days)[n++] = hiding->groups[i].days[k].day;
    }
    kpi_sort(*ret_days, n, sizeof(**ret_days), compare_days);
    for (uint32_t i = 0; i < n; ++i) {
        if (i == 0 || (*ret_days)[i] != (*ret_days)[n_alone - 1])
            (*ret_days)[n_alone++] = (*ret_days)[i];
    }
    return n_alone;
}

/* The users of a day; `at` goes through the days of each group. */
static void day_fill(const struct hiding *hiding, kpi_day day, uint32_t *at)
{
    for (uint32_t i = 0; i < hiding->n_groups; ++i) {
        const struct kpi_funnel_group *group = &hiding->groups[i];
        bool is_there = at[i] < group->n_days && group->days[at[i]].day == day;

        for (uint32_t k = 0; k < hiding->n_steps; ++k)
            hiding->counts[(size_t)i * hiding->n_steps + k] =
                is_there ? people(group->days[at[i]].users[k]) : 0;
        at[i] += is_there;
    }
}

/*
 * Whose days are not shown. What is hidden for one day is hidden of all, so others are judged
 * again, until nothing is new.
 */
static void days_judge(const struct hiding *hiding, const kpi_day *days, uint32_t n_days,
                       uint32_t *at, bool *hidden)
{
    uint32_t n_hidden = 0, n;

    do {
        n = n_hidden;
        memset(at, 0, hiding->n_groups * sizeof(*at));
        for (uint32_t i = 0; i < n_days; ++i) {
            day_fill(hiding, days[i], at);
            n_hidden = judge(hiding, hidden);
        }
    } while (n_hidden > n);
}

int kpi_funnel_hide(struct kpi_funnel_result *result, struct kpi_funnel_group *groups,
                    uint32_t n_steps, int64_t min, struct kpi_pool *pool)
{
    uint32_t n = result->n_groups, n_days, *at = kpi_pool_alloc(pool, n * sizeof(*at));
    bool *hidden = kpi_pool_alloc(pool, n * sizeof(*hidden)), *days_hidden;
    struct hiding hiding = {.groups = groups, .n_groups = n, .n_steps = n_steps, .min = min};
    kpi_day *days;

    hiding.counts = kpi_pool_alloc(pool, (size_t)n * n_steps * sizeof(*hiding.counts));
    n_days = days_of(&hiding, pool, &days);
    if (pool->failed)
        return -ENOMEM;
    groups_judge(&hiding, hidden);
    days_hidden = kpi_pool_copy(pool, hidden, n * sizeof(*hidden));
    if (!days_hidden)
        return -ENOMEM;
    days_judge(&hiding, days, n_days, at, days_hidden);
    result->n_groups = 0;
    for (uint32_t i = 0; i < n; ++i) {
        result->suppressed |= days_hidden[i];
        if (hidden[i])
            continue;
        if (days_hidden[i])
            groups[i].n_days = 0;
        groups[i].days_hidden = days_hidden[i];
        groups[result->n_groups++] = groups[i];
    }
    return 0;
}
