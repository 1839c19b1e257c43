/*
 * The rule of min_group: which of several groups may be shown, by how many people their numbers
 * are of. Everything that is shown broken down is judged here.
 */
#pragma once

#include <kpi/base.h>

/*
 * Groups that together are a whole which anybody may know, as far as some of their numbers go: of
 * each group `n_numbers` counts of people (0: of nobody), `stride` apart from the next group's.
 */
struct kpi_hiding {
    int64_t min; /* a number of fewer people is not shown */
    uint32_t n_groups, n_numbers, stride;
    const int64_t *counts;
    bool *hidden; /* by group; one that is hidden already stays so */
};

/*
 * Hides the groups that have a number of anybody, but of fewer than `min`. As the whole less what
 * is shown tells what is hidden, the smallest of the others go, too, until no group is hidden alone
 * and what is hidden of each number is of `min` people, or is all there is of it, or of nobody.
 * Returns how many are hidden.
 */
uint32_t kpi_hide(const struct kpi_hiding *hiding);
