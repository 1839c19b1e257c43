/* See funnel.h. */
#include "engine/funnel.h"

#include <assert.h>

/* --- the order of the sequence --- */

/* Only exclusions, then steps by the first one, then neither. */
static unsigned rank_of(const struct kpi_funnel_event *event)
{
    if (event->steps)
        return 1 + (unsigned)__builtin_ctz(event->steps);
    return event->exclusions ? 0 : 1 + KPI_FUNNEL_STEPS_MAX;
}

int kpi_funnel_event_compare(const struct kpi_funnel_event *a, const struct kpi_funnel_event *b,
                             const struct kpi_funnel_order_of *order)
{
    unsigned x = rank_of(a), y = rank_of(b);

    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (x != y)
        return x < y ? -1 : 1;
    if (a->steps != b->steps)
        return a->steps < b->steps ? -1 : 1;
    if (a->exclusions != b->exclusions)
        return a->exclusions < b->exclusions ? -1 : 1;
    return a->tuple == b->tuple ? 0 : order->compare(order->userdata, a->tuple, b->tuple);
}

/* --- ordered and strict --- */

static void chain_extend(struct kpi_funnel_chain *chain, uint32_t step, kpi_time time)
{
    for (uint32_t i = chain->n; i < step; i++)
        chain->times[i] = KPI_TIME_NONE;
    chain->times[step] = time;
    chain->n = step + 1;
}

/* The chain that the event makes when it is taken for this step, or one with n = 0. */
static struct kpi_funnel_chain continue_to(const struct kpi_funnel *funnel,
                                           const struct kpi_funnel_user *user, uint32_t step,
                                           const struct kpi_funnel_event *event)
{
    const struct kpi_funnel_chain *from = NULL;
    struct kpi_funnel_chain chain = {.n = 0, .tuple = event->tuple};

    if (step == 0) {
        chain_extend(&chain, 0, event->time);
        return chain;
    }
    /* Of equal ones that of the latest step, which has more. */
    for (uint32_t before = step; before-- > 0;) {
        const struct kpi_funnel_chain *found = &user->chains[before];

        if (before < user->n_chains && found->n &&
            event->time - found->times[0] <= funnel->info.within &&
            (!from || found->times[0] > from->times[0]))
            from = found;
        if (!(funnel->optional >> before & 1))
            break;
    }
    if (from) {
        chain = *from;
        chain_extend(&chain, step, event->time);
    }
    return chain;
}

static void end_chains(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                       const struct kpi_funnel_event *event)
{
    if (funnel->info.order == KPI_FUNNEL_STRICT)
        user->n_chains = 0;
    for (uint32_t bits = event->exclusions; bits; bits &= bits - 1) {
        const struct kpi_funnel_exclusion *exclusion = &funnel->exclusions[__builtin_ctz(bits)];

        for (uint32_t i = exclusion->from; i < exclusion->to && i < user->n_chains; i++)
            user->chains[i].n = 0;
    }
}

static void chain_put(struct kpi_funnel_user *user, uint32_t step,
                      const struct kpi_funnel_chain *chain)
{
    struct kpi_funnel_chain *there = &user->chains[step];

    for (; user->n_chains <= step; user->n_chains++)
        user->chains[user->n_chains].n = 0;
    /* Of an equal start the one that was there first. */
    if (there->n == 0 || chain->times[0] > there->times[0])
        *there = *chain;
}

static void walk_ordered(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                         const struct kpi_funnel_event *event)
{
    struct kpi_funnel_chain made[KPI_FUNNEL_STEPS_MAX];
    uint32_t n_steps = funnel->info.n_steps;

    /* Made of what was there before the event, which ends others but not what it makes. */
    for (uint32_t bits = event->steps; bits; bits &= bits - 1) {
        uint32_t step = (uint32_t)__builtin_ctz(bits);

        made[step] = continue_to(funnel, user, step, event);
    }
    end_chains(funnel, user, event);
    for (uint32_t bits = event->steps; bits; bits &= bits - 1) {
        uint32_t step = (uint32_t)__builtin_ctz(bits);

        if (made[step].n == 0)
            continue;
        if (made[step].n > user->best.n)
            user->best = made[step];
        if (step + 1 < n_steps)
            chain_put(user, step, &made[step]);
    }
}

/* --- any order --- */

/* Finds a step for event `at`, moving those before it to other steps of theirs if need be. */
static bool match(const uint16_t *steps, uint32_t at, int8_t *taken_by, uint32_t *tried)
{
    for (uint32_t bits = steps[at] & ~*tried; bits; bits = steps[at] & ~*tried) {
        uint32_t step = (uint32_t)__builtin_ctz(bits);

        *tried |= 1u << step;
        if (taken_by[step] < 0 || match(steps, (uint32_t)taken_by[step], taken_by, tried)) {
            taken_by[step] = (int8_t)at;
            return true;
        }
    }
    return false;
}

/* The last event, and going back from it those that add to a chain; the others are dropped. */
static void open_reduce(struct kpi_funnel_event *open, uint32_t *n_open)
{
    uint16_t steps[KPI_FUNNEL_STEPS_MAX + 1];
    int8_t taken_by[KPI_FUNNEL_STEPS_MAX];
    uint32_t n = 0, to = *n_open;

    memset(taken_by, -1, sizeof(taken_by));
    for (uint32_t i = *n_open; i-- > 0;) {
        uint32_t tried = 0;

        steps[n] = open[i].steps;
        if (!match(steps, n, taken_by, &tried))
            continue;
        n++;
        open[--to] = open[i];
    }
    memmove(open, open + to, n * sizeof(*open));
    *n_open = n;
}

static void walk_any(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                     const struct kpi_funnel_event *event)
{
    struct kpi_funnel_event open[KPI_FUNNEL_STEPS_MAX + 1];
    uint32_t n = 0;

    for (uint32_t i = 0; i < user->n_open; i++)
        if (event->time - user->open[i].time <= funnel->info.within)
            open[n++] = user->open[i];
    open[n++] = *event;
    open_reduce(open, &n);
    memcpy(user->open, open, n * sizeof(*open));
    user->n_open = n;
    if (n <= user->best.n)
        return;
    user->best = (struct kpi_funnel_chain){.tuple = open[0].tuple, .n = n};
    for (uint32_t i = 0; i < n; i++)
        user->best.times[i] = open[i].time;
}

/* --- both --- */

static bool is_done(const struct kpi_funnel *funnel, const struct kpi_funnel_user *user)
{
    return user->best.n == funnel->info.n_steps;
}

static void walk(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                 const struct kpi_funnel_event *event)
{
    bool nothing = !event->steps && !event->exclusions;

    /* Beside a step of the very same time, it is not between anything. */
    if (nothing && user->walked && user->last.steps && user->last.time == event->time)
        return;
    if (funnel->info.order == KPI_FUNNEL_ANY)
        walk_any(funnel, user, event);
    else
        walk_ordered(funnel, user, event);
    user->last = *event;
    user->walked = true;
    if (is_done(funnel, user))
        user->n_chains = user->n_open = 0;
}

static void waiting_drop(struct kpi_funnel_user *user, uint32_t n)
{
    user->n_waiting -= n;
    memmove(user->waiting, user->waiting + n, user->n_waiting * sizeof(*user->waiting));
}

/* Nothing changes a user who has come to the end. */
static void waiting_walk(const struct kpi_funnel *funnel, struct kpi_funnel_user *user, uint32_t n)
{
    for (uint32_t i = 0; i < n && !is_done(funnel, user); i++)
        walk(funnel, user, &user->waiting[i]);
    waiting_drop(user, is_done(funnel, user) ? user->n_waiting : n);
}

void kpi_funnel_settle(const struct kpi_funnel *funnel, struct kpi_funnel_user *user, kpi_time sure)
{
    uint32_t n = 0;

    while (n < user->n_waiting && user->waiting[n].time < sure)
        n++;
    if (n)
        waiting_walk(funnel, user, n);
}

void kpi_funnel_forget(const struct kpi_funnel *funnel, struct kpi_funnel_user *user, kpi_time kept)
{
    uint32_t n = 0;

    if (user->best.n == 0 || user->best.times[0] >= kept)
        return;
    user->best.n = 0;
    for (uint32_t i = user->n_chains; i-- > 0 && user->best.n == 0;)
        if (user->chains[i].n && user->chains[i].times[0] >= kept)
            user->best = user->chains[i];
    if (funnel->info.order != KPI_FUNNEL_ANY)
        return;
    user->best.tuple = 0;
    for (uint32_t i = 0; i < user->n_open; i++) {
        if (user->open[i].time < kept)
            continue;
        if (n == 0)
            user->best.tuple = user->open[i].tuple;
        user->best.times[n++] = user->open[i].time;
    }
    user->best.n = n;
}

static void waiting_put(struct kpi_funnel_user *user, const struct kpi_funnel_event *event,
                        const struct kpi_funnel_order_of *order)
{
    uint32_t at = user->n_waiting;

    while (at > 0 && kpi_funnel_event_compare(&user->waiting[at - 1], event, order) > 0)
        at--;
    /* Of what is nothing but there, one at a time is enough. */
    if (!event->steps && !event->exclusions && at > 0 &&
        kpi_funnel_event_compare(&user->waiting[at - 1], event, order) == 0)
        return;
    memmove(&user->waiting[at + 1], &user->waiting[at],
            (user->n_waiting - at) * sizeof(*user->waiting));
    user->waiting[at] = *event;
    user->n_waiting++;
}

int kpi_funnel_take(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                    const struct kpi_funnel_event *event, const struct kpi_funnel_now *now,
                    const struct kpi_funnel_order_of *order)
{
    kpi_funnel_settle(funnel, user, now->sure);
    kpi_funnel_forget(funnel, user, now->kept);
    if (user->walked && kpi_funnel_event_compare(event, &user->last, order) < 0)
        return KPI_FUNNEL_E_LATE;
    if (is_done(funnel, user))
        return 0;
    waiting_put(user, event, order);
    kpi_funnel_settle(funnel, user, now->sure);
    if (user->n_waiting > KPI_FUNNEL_WAITING_MAX)
        waiting_walk(funnel, user, 1);
    return 0;
}

/* --- words --- */

/*
 * The first word: n_waiting, depth of the best chain, steps reached by others, open events, walked;
 * the upper half: the tuple of the best chain. Then the last event if one was walked, the times of
 * the best chain, of each chain its times and tuple, open and waiting events.
 */
struct sizes {
    uint32_t n_waiting, n_best, n_chains, n_open;
    bool walked;
};

static struct sizes sizes_of(int64_t first)
{
    uint64_t bits = (uint64_t)first;

    return (struct sizes){.n_waiting = bits & 0x7f,
                          .n_best = bits >> 7 & 0x1f,
                          .n_chains = bits >> 12 & 0x1f,
                          .n_open = bits >> 17 & 0x1f,
                          .walked = bits >> 22 & 1};
}

static uint32_t words_of(const struct sizes *sizes)
{
    return 1 + 2 * sizes->walked + sizes->n_best + sizes->n_chains * (sizes->n_chains + 1) / 2 +
           sizes->n_chains + 2 * (sizes->n_open + sizes->n_waiting);
}

uint32_t kpi_funnel_words(const struct kpi_funnel *funnel, int64_t first)
{
    struct sizes sizes = sizes_of(first);

    assert(sizes.n_best <= funnel->info.n_steps);
    return words_of(&sizes);
}

static int64_t *event_pack(const struct kpi_funnel_event *event, int64_t *at)
{
    at[0] = event->time;
    at[1] =
        (int64_t)((uint64_t)event->tuple << 32 | (uint32_t)event->exclusions << 16 | event->steps);
    return at + 2;
}

static const int64_t *event_unpack(const int64_t *at, struct kpi_funnel_event *event)
{
    uint64_t bits = (uint64_t)at[1];

    *event = (struct kpi_funnel_event){at[0], (uint16_t)bits, (uint16_t)(bits >> 16),
                                       (uint32_t)(bits >> 32)};
    return at + 2;
}

uint32_t kpi_funnel_pack(const struct kpi_funnel *funnel, const struct kpi_funnel_user *user,
                         int64_t *ret_words)
{
    int64_t *at = ret_words + 1;
    uint32_t n_chains = user->n_chains;

    while (n_chains > 0 && user->chains[n_chains - 1].n == 0)
        n_chains--;
    assert(user->best.n <= funnel->info.n_steps && user->n_waiting <= KPI_FUNNEL_WAITING_MAX);
    ret_words[0] = (int64_t)((uint64_t)(user->best.n ? user->best.tuple : 0) << 32 |
                             (uint64_t)user->walked << 22 | user->n_open << 17 | n_chains << 12 |
                             user->best.n << 7 | user->n_waiting);
    if (user->walked)
        at = event_pack(&user->last, at);
    memcpy(at, user->best.times, user->best.n * sizeof(*at));
    at += user->best.n;
    for (uint32_t i = 0; i < n_chains; i++) {
        const struct kpi_funnel_chain *chain = &user->chains[i];

        for (uint32_t k = 0; k <= i; k++)
            *at++ = chain->n ? chain->times[k] : KPI_TIME_NONE;
        *at++ = chain->n ? chain->tuple : 0;
    }
    for (uint32_t i = 0; i < user->n_open; i++)
        at = event_pack(&user->open[i], at);
    for (uint32_t i = 0; i < user->n_waiting; i++)
        at = event_pack(&user->waiting[i], at);
    return (uint32_t)(at - ret_words);
}

void kpi_funnel_unpack(const struct kpi_funnel *funnel, const int64_t *words,
                       struct kpi_funnel_user *ret_user)
{
    struct sizes sizes = sizes_of(words[0]);
    const int64_t *at = words + 1;

    assert(sizes.n_best <= funnel->info.n_steps);
    ret_user->walked = sizes.walked;
    if (sizes.walked)
        at = event_unpack(at, &ret_user->last);
    ret_user->best.n = sizes.n_best;
    ret_user->best.tuple = (uint32_t)((uint64_t)words[0] >> 32);
    memcpy(ret_user->best.times, at, sizes.n_best * sizeof(*at));
    at += sizes.n_best;
    ret_user->n_chains = sizes.n_chains;
    for (uint32_t i = 0; i < sizes.n_chains; i++) {
        struct kpi_funnel_chain *chain = &ret_user->chains[i];

        memcpy(chain->times, at, (i + 1) * sizeof(*at));
        at += i + 1;
        chain->tuple = (uint32_t)*at++;
        chain->n = chain->times[0] == KPI_TIME_NONE ? 0 : i + 1;
    }
    ret_user->n_open = sizes.n_open;
    for (uint32_t i = 0; i < sizes.n_open; i++)
        at = event_unpack(at, &ret_user->open[i]);
    ret_user->n_waiting = sizes.n_waiting;
    for (uint32_t i = 0; i < sizes.n_waiting; i++)
        at = event_unpack(at, &ret_user->waiting[i]);
}

/* --- words of a stranger --- */

static bool time_fits(kpi_time time)
{
    return time > -(INT64_MAX / 4) && time < INT64_MAX / 4;
}

static bool event_fits(const struct kpi_funnel *funnel, const struct kpi_funnel_event *event,
                       uint32_t n_tuples)
{
    return time_fits(event->time) && event->steps >> funnel->info.n_steps == 0 &&
           event->exclusions >> KPI_FUNNEL_EXCLUSIONS_MAX == 0 && event->tuple < n_tuples;
}

/* In order; those of `any` are each for some step. */
static bool events_fit(const struct kpi_funnel *funnel, const struct kpi_funnel_event *events,
                       uint32_t n, uint32_t n_tuples, const struct kpi_funnel_order_of *order)
{
    for (uint32_t i = 0; i < n; i++)
        if (!event_fits(funnel, &events[i], n_tuples) ||
            (i > 0 && kpi_funnel_event_compare(&events[i - 1], &events[i], order) > 0))
            return false;
    return true;
}

/* Times that rise, the first and the last there. */
static bool chain_fits(const struct kpi_funnel_chain *chain, uint32_t n_tuples)
{
    kpi_time before = KPI_TIME_NONE;

    for (uint32_t i = 0; i < chain->n; i++) {
        bool there = chain->times[i] != KPI_TIME_NONE;

        if (!there && (i == 0 || i == chain->n - 1))
            return false;
        if (there && (!time_fits(chain->times[i]) || chain->times[i] < before))
            return false;
        before = there ? chain->times[i] : before;
    }
    return chain->tuple < n_tuples;
}

bool kpi_funnel_fits(const struct kpi_funnel *funnel, const int64_t *words, uint32_t n_words,
                     uint32_t n_tuples, const struct kpi_funnel_order_of *order)
{
    struct sizes sizes = n_words ? sizes_of(words[0]) : (struct sizes){0};
    bool any = funnel->info.order == KPI_FUNNEL_ANY, fits;
    struct kpi_funnel_user user;

    if (n_words == 0 || sizes.n_best > funnel->info.n_steps ||
        sizes.n_chains >= funnel->info.n_steps || sizes.n_open > funnel->info.n_steps ||
        sizes.n_waiting > KPI_FUNNEL_WAITING_MAX || (any ? sizes.n_chains : sizes.n_open) ||
        (uint32_t)words[0] >> 23 || words_of(&sizes) != n_words)
        return false;
    kpi_funnel_unpack(funnel, words, &user);
    fits = (!user.walked || event_fits(funnel, &user.last, n_tuples)) &&
           chain_fits(&user.best, n_tuples) &&
           events_fit(funnel, user.open, user.n_open, n_tuples, order) &&
           events_fit(funnel, user.waiting, user.n_waiting, n_tuples, order);
    for (uint32_t i = 0; i < user.n_chains && fits; i++)
        fits = chain_fits(&user.chains[i], n_tuples);
    return fits;
}
