/*
 * Funnels: how far users get in a row of steps, and how long they take.
 *
 * A funnel has steps 1 … n, each a condition over events, a duration `within`, an order, and maybe
 * exclusions. Everything below is about the events of one user; events without a user are in no
 * funnel, and are not refused for it. Conditions and the values of `by` see attributes as they
 * stood when the event arrived.
 *
 * THE SEQUENCE of a funnel is those events of the user that meet a step or an exclusion, or, in a
 * strict funnel, all of them. They stand in the order of their times; at one time first those that
 * meet an exclusion only, then those that meet a step, in the order of the first step that they
 * meet, then those that meet neither. (What is alike even then, by the steps and exclusions that it
 * meets and the values of `by`, cannot be told apart by any result.) So the sequence does not
 * depend on the order of arrival. From the sequence of a strict funnel those events are left out
 * that meet no step and have the very time of one that does: nobody can say that they came between.
 *
 * A CHAIN, of an ordered or strict funnel, is events e1 … em at rising places of the sequence, and
 * as many steps k1 < … < km, with:
 *   - ei meets step ki; so the same condition twice needs two events, whichever steps they meet;
 *   - k1 is step 1, and every step below km that is left out is optional (never the first or last);
 *   - em is not more than `within` later than e1: the very end is inside;
 *   - strict: each event is the next one in the sequence;
 *   - no event meets an exclusion and stands between ei and ei+1, if the exclusion's steps
 *     from … to have from <= ki < to: it ends the chains that have reached `from` and not yet `to`.
 * A chain's depth is km. Of a funnel of any order a chain is events at rising places of which each
 * can be given a step that it meets, no two the same one, the last not more than `within` later
 * than the first; its depth is how many they are.
 *
 * THE USER'S CHAIN is the deepest one. Of several, that which was there first: whose last event
 * stands first. Of those, the shortest: whose first event has the latest time. Of those, going back
 * from the last event: ordered and strict, the one whose event before is of the latest step, and of
 * these the first; any, the latest. A user counts once, by this chain alone, on the local day (of
 * the plan's zone) of its first event, and under the values of `by` that this event had. A chain
 * whose first event is older than what the plan keeps is forgotten; what it had been preferred to
 * is not remembered, but for chains that can still go on.
 *
 * THE NUMBERS. A step's users are those whose chain has it; of any order, whose chain has at least
 * that many events. A step's time is that between its event and the one before it in the chain: the
 * median and mean of it are over the step's users. The same is given from the first event to that
 * of the last step. Means are exact. Medians are the lower one by nearest rank, of a histogram that
 * adds up over shards: exact as long as the numbers near the median are equal or alone, else off by
 * KPI_FUNNEL_MEDIAN_ERROR at most.
 *
 * LATE events. With T the highest event time of the shard so far and L the funnel's `lateness`, an
 * event is late if an event of the same user that came before it stands behind it in the sequence
 * and is older than T - L. Late events are in no chain; they are counted, and the result says how
 * many. So the answer is that of the sorted stream of all others, and without late ones (as when
 * nothing comes more than L behind) of all. A user has at most KPI_FUNNEL_WAITING_MAX events not
 * older than T - L that wait for earlier ones; the first of more counts as older. A user who has
 * reached the last step is done: further events change nothing, and are late only if they stand
 * before what completed the chain.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/definition.h>
#include <kpi/plan.h>

struct kpi_answers;

enum {
    KPI_FUNNELS_MAX = 32,
    KPI_FUNNEL_STEPS_MIN = 2,
    KPI_FUNNEL_STEPS_MAX = 16,
    KPI_FUNNEL_EXCLUSIONS_MAX = 8,
    KPI_FUNNEL_WAITING_MAX = 64,
};

/* The relative error of a median, at most. */
#define KPI_FUNNEL_MEDIAN_ERROR (1.0 / 128)

struct kpi_funnel_step_info {
    struct kpi_string name; /* as given; else the event type that it asks for, or its condition */
    bool optional;
};

struct kpi_funnel_info {
    struct kpi_string name;
    struct kpi_string title_en, title_zh; /* never empty */
    enum kpi_funnel_order order;
    kpi_duration within, lateness;
    const struct kpi_funnel_step_info *steps;
    uint32_t n_steps;
    const struct kpi_breakdown_info *by; /* NULL: nothing; `campaign` may be among them */
    uint64_t fingerprint; /* of what it means: steps, order, window, lateness, exclusions, by */
};

uint32_t kpi_plan_n_funnels(const struct kpi_plan *plan);
const struct kpi_funnel_info *kpi_plan_funnel(const struct kpi_plan *plan, uint32_t funnel);

/* What is asked of a funnel, of all shards' answers together. */
struct kpi_funnel_question {
    kpi_time from, to; /* users who entered on a day that begins in [from, to) */
    bool by;           /* told apart by info.by, which is not NULL; else all together */
    kpi_time as_of;    /* a day is mature once nobody who entered on it can come further */
};

struct kpi_funnel_times {
    uint64_t users;      /* 0: the others are NAN */
    double median, mean; /* seconds */
};

struct kpi_funnel_day {
    kpi_day day;
    bool mature;
    const uint64_t *users; /* by step */
};

/* Users who have these values in common. */
struct kpi_funnel_group {
    struct kpi_string values[KPI_BREAKDOWN_DIMENSIONS_MAX]; /* of info.by; data NULL: none */
    const struct kpi_funnel_times *steps; /* by step; of the first one `users` alone */
    struct kpi_funnel_times whole;        /* of those who came to the last step, from the first */
    const struct kpi_funnel_day *days;    /* days on which anybody entered, in order */
    uint32_t n_days;
    bool days_hidden; /* there are none because of the plan's min_group */
};

struct kpi_funnel_result {
    uint64_t n_late;      /* events, of all days */
    kpi_time counts_from; /* what was before is missing; KPI_TIME_NONE: nothing is */
    const struct kpi_funnel_group *groups; /* in order of values; without `by` always one */
    uint32_t n_groups;
    bool suppressed; /* a group, or the days of one, are left out because of the plan's min_group */
};

/*
 * Of a question with `by` a plan's min_group leaves out groups with a step of fewer users than
 * that, but of anybody; likewise all days of a group that has such a step on a day. As the whole is
 * known, more go with them until nothing of what is hidden can be told by subtraction: see
 * kpi_supplement_suppress(). Two questions, of other days each, are not compared.
 *
 * Answers a question, of all shards' answers (NULL: there are none); *ret_result lives until it is
 * freed, and borrows values from `answers`. Returns 0 or -ENOMEM.
 */
int kpi_funnel_ask(const struct kpi_plan *plan, const struct kpi_answers *answers, uint32_t funnel,
                   const struct kpi_funnel_question *question, const struct kpi_mem *mem,
                   struct kpi_funnel_result **ret_result);
struct kpi_funnel_result *kpi_funnel_result_free(struct kpi_funnel_result *result);
