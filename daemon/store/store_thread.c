/* The store thread; see store_thread.h. */
#include "store/store_thread.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define PAUSE_US_MIN 50000
#define PAUSE_US_MAX 5000000

struct queue {
    struct store_job *first, **last;
};

struct store_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue queues[_STORE_N_PRIORITIES]; /* under the lock, as is `ending` */
    bool ending;

    /* Of the thread alone. */
    struct store *store;
    int64_t pause_us; /* length of the last pause before jitter; 0: all is well */
    int64_t paused_to_us;
    uint64_t random;
};

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the pause after a failure ---- */

/* xorshift64: good enough to get instances out of step. */
static int64_t jitter(struct store_thread *thread, int64_t pause_us)
{
    int64_t fifth = pause_us / 5;

    thread->random ^= thread->random << 13;
    thread->random ^= thread->random >> 7;
    thread->random ^= thread->random << 17;
    return pause_us - fifth + (int64_t)(thread->random % (uint64_t)(2 * fifth + 1));
}

static void judge(struct store_thread *thread, int outcome)
{
    if (outcome != STORE_E_AWAY && outcome != STORE_E_REFUSED) {
        thread->pause_us = 0;
        return;
    }
    thread->pause_us = thread->pause_us == 0 ? PAUSE_US_MIN : 2 * thread->pause_us;
    if (thread->pause_us > PAUSE_US_MAX)
        thread->pause_us = PAUSE_US_MAX;
    thread->paused_to_us = now_us() + jitter(thread, thread->pause_us);
}

static void run(struct store_thread *thread, struct store_job *job)
{
    if (thread->pause_us > 0 && now_us() < thread->paused_to_us) {
        job->outcome = STORE_E_AWAY;
    } else {
        job->outcome = job->run(job, thread->store);
        judge(thread, job->outcome);
    }
    job->done(job);
}

/* ---- the queues ---- */

static struct store_job *take(struct store_thread *thread)
{
    for (int i = 0; i < _STORE_N_PRIORITIES; i++) {
        struct queue *queue = &thread->queues[i];
        struct store_job *job = queue->first;

        if (!job)
            continue;
        queue->first = job->next;
        if (!queue->first)
            queue->last = &queue->first;
        job->next = NULL;
        return job;
    }
    return NULL;
}

static void *work(void *userdata)
{
    struct store_thread *thread = userdata;
    struct store_job *job;
    bool ending;

    for (;;) {
        (void)pthread_mutex_lock(&thread->lock);
        while (!(job = take(thread)) && !thread->ending)
            (void)pthread_cond_wait(&thread->wake, &thread->lock);
        ending = thread->ending;
        (void)pthread_mutex_unlock(&thread->lock);
        if (!job)
            return NULL;
        if (ending) {
            job->outcome = -ECANCELED;
            job->done(job);
        } else {
            run(thread, job);
        }
    }
}

void store_thread_submit(struct store_thread *thread, struct store_job *job,
                         enum store_priority priority)
{
    struct queue *queue = &thread->queues[priority];

    assert(priority < _STORE_N_PRIORITIES);
    job->next = NULL;
    (void)pthread_mutex_lock(&thread->lock);
    *queue->last = job;
    queue->last = &job->next;
    (void)pthread_cond_signal(&thread->wake);
    (void)pthread_mutex_unlock(&thread->lock);
}

void store_thread_stats(const struct store_thread *thread, struct store_stats *ret_stats)
{
    store_stats(thread->store, ret_stats);
}

/* ---- life ---- */

/* The thread is born with all signals blocked: they are the main thread's. */
static int start(struct store_thread *thread)
{
    sigset_t all, old;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&thread->thread, NULL, work, thread);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

int store_thread_new(struct store_thread **ret_thread, struct store *store)
{
    struct store_thread *thread = calloc(1, sizeof(*thread));
    int r;

    if (!thread) {
        (void)store_free(store);
        return -ENOMEM;
    }
    thread->store = store;
    for (int i = 0; i < _STORE_N_PRIORITIES; i++)
        thread->queues[i].last = &thread->queues[i].first;
    if (getrandom(&thread->random, sizeof(thread->random), 0) < 0 || thread->random == 0)
        thread->random = (uint64_t)now_us();
    (void)pthread_mutex_init(&thread->lock, NULL);
    (void)pthread_cond_init(&thread->wake, NULL);
    r = start(thread);
    if (r) {
        (void)store_free(store);
        free(thread);
        return r;
    }
    *ret_thread = thread;
    return 0;
}

struct store_thread *store_thread_free(struct store_thread *thread)
{
    if (!thread)
        return NULL;
    (void)pthread_mutex_lock(&thread->lock);
    thread->ending = true;
    (void)pthread_cond_signal(&thread->wake);
    (void)pthread_mutex_unlock(&thread->lock);
    (void)pthread_join(thread->thread, NULL);
    (void)pthread_cond_destroy(&thread->wake);
    (void)pthread_mutex_destroy(&thread->lock);
    (void)store_free(thread->store);
    free(thread);
    return NULL;
}
