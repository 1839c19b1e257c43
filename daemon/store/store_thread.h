/*
 * The store thread: owns a struct store and runs jobs on it, one at a time. Commits and claims go
 * before summaries; within a priority the order is that of submission.
 *
 * A job that comes back with STORE_E_AWAY or STORE_E_REFUSED opens a pause of 50 ms, doubled with
 * each further one up to 5 s (± 20 %, so that instances do not come back in step). Jobs that come
 * up within the pause are not run: their outcome is STORE_E_AWAY at once. Nothing is repeated here;
 * the submitter decides.
 */
#pragma once

#include "store/store.h"

enum store_priority {
    STORE_PRIORITY_HIGH, /* claims, loads, commits, the leader's fields */
    STORE_PRIORITY_LOW,  /* summaries, values for other readers */
    _STORE_N_PRIORITIES,
};

/* To be embedded in what the job is about. The thread borrows it from submit until done. */
struct store_job {
    struct store_job *next; /* the thread's */
    /* On the store thread. Returns what the call of store.h returned. */
    int (*run)(struct store_job *job, struct store *store);
    /* On the store thread, once for every job, with `outcome` set; may free the job. Must not
     * block. */
    void (*done)(struct store_job *job);
    int outcome; /* what run returned; STORE_E_AWAY: put off; -ECANCELED: dropped by free */
};

struct store_thread;

/* Takes the store, also on failure. 0, -ENOMEM, -EAGAIN (no thread to be had). */
int store_thread_new(struct store_thread **ret_thread, struct store *store);

/*
 * Waits for the job that is running, drops those that are queued (done with -ECANCELED, on the
 * store thread), ends the thread and frees the store. Who wants the last commits saved waits for
 * their done first. NULL is fine.
 */
struct store_thread *store_thread_free(struct store_thread *thread);

/* From any thread, also from done; never blocks for long. */
void store_thread_submit(struct store_thread *thread, struct store_job *job,
                         enum store_priority priority);

/* From any thread. */
void store_thread_stats(const struct store_thread *thread, struct store_stats *ret_stats);
