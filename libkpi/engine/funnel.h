/*
 * One user in one funnel: the definition in kpi/funnel.h as a state machine that takes the user's
 * events and holds no more than it needs to go on.
 *
 * Events that may yet find earlier ones before them *wait*, in order. The others are *walked*: each
 * carries the chains that it can continue. For each step only one chain is kept that ends there,
 * the one whose first event is the latest: whatever another one can go on to, this one can, too, as
 * exclusions end all chains of a step alike. In a funnel of any order those events are kept that
 * make the shortest chains of every length: taking events from the last one backwards, each that
 * adds to how many steps can be told apart (the events of a chain are an independent set of a
 * transversal matroid, so going greedily is right, and what was left out once is never needed).
 */
#pragma once

#include "spec/program.h"

struct kpi_funnel_event {
    kpi_time time;
    uint16_t steps, exclusions; /* bits of what it meets */
    uint32_t tuple;             /* of `by`; 0 where it does not matter */
};

struct kpi_funnel_chain {
    kpi_time times[KPI_FUNNEL_STEPS_MAX]; /* of the first `n`; KPI_TIME_NONE: a step left out */
    uint32_t tuple;                       /* of its first event */
    uint32_t n; /* its depth: of `any` as many as have times. 0: there is none */
};

/* All zero: of a user of whom nothing is known. */
struct kpi_funnel_user {
    bool walked;                                          /* is there a last one? */
    struct kpi_funnel_event last;                         /* the last event that was walked */
    struct kpi_funnel_chain best;                         /* the user's chain so far */
    struct kpi_funnel_chain chains[KPI_FUNNEL_STEPS_MAX]; /* by step that they have reached */
    uint32_t n_chains;                                    /* beyond it there is none */
    struct kpi_funnel_event open[KPI_FUNNEL_STEPS_MAX];   /* of `any`, in order */
    uint32_t n_open;
    struct kpi_funnel_event waiting[KPI_FUNNEL_WAITING_MAX + 1]; /* in order */
    uint32_t n_waiting;
};

/* What times are, when an event comes. */
struct kpi_funnel_now {
    kpi_time sure; /* events before it are walked: highest event time - lateness */
    kpi_time kept; /* chains that began before it are forgotten */
};

/* The order of two tuples by what they mean: < 0, 0, > 0. */
typedef int (*kpi_funnel_tuples_fn)(void *userdata, uint32_t a, uint32_t b);

struct kpi_funnel_order_of {
    kpi_funnel_tuples_fn compare;
    void *userdata;
};

/* Do two events stand in this order in the sequence (< 0), are they alike (0), or not (> 0)? */
int kpi_funnel_event_compare(const struct kpi_funnel_event *a, const struct kpi_funnel_event *b,
                             const struct kpi_funnel_order_of *order);

enum {
    KPI_FUNNEL_E_LATE = 1, /* the event is late, and changed nothing */
};

/* Takes an event of the user. Returns 0 or KPI_FUNNEL_E_LATE. */
int kpi_funnel_take(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                    const struct kpi_funnel_event *event, const struct kpi_funnel_now *now,
                    const struct kpi_funnel_order_of *order);

/* Walks what waits before `sure`; all of it, if nothing is to come any more. */
void kpi_funnel_settle(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                       kpi_time sure);
/* Forgets the user's chain if it began before `kept`. */
void kpi_funnel_forget(const struct kpi_funnel *funnel, struct kpi_funnel_user *user,
                       kpi_time kept);

/*
 * A user in words, as they are kept and saved. `ret_words` has room for KPI_FUNNEL_WORDS_MAX;
 * returns how many there are, never 0.
 */
#define KPI_FUNNEL_WORDS_MAX                                                                       \
    (4 + (KPI_FUNNEL_STEPS_MAX + 1) * (KPI_FUNNEL_STEPS_MAX + 1) + 2 * KPI_FUNNEL_STEPS_MAX +      \
     2 * (KPI_FUNNEL_WAITING_MAX + 1))
uint32_t kpi_funnel_pack(const struct kpi_funnel *funnel, const struct kpi_funnel_user *user,
                         int64_t *ret_words);
void kpi_funnel_unpack(const struct kpi_funnel *funnel, const int64_t *words,
                       struct kpi_funnel_user *ret_user);
/* How many words a user has whose first word this is. */
uint32_t kpi_funnel_words(const struct kpi_funnel *funnel, int64_t first);
/*
 * Are these words of a stranger a user of this funnel, with tuples below n_tuples? n_words are
 * there; they must be exactly as many as the first one says.
 */
bool kpi_funnel_fits(const struct kpi_funnel *funnel, const int64_t *words, uint32_t n_words,
                     uint32_t n_tuples, const struct kpi_funnel_order_of *order);
