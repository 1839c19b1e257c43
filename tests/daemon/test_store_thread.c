/*
 * The store thread runs each job once and says when it is done, commits before summaries; it does
 * not hammer a Redis that is away; and freeing it leaves no job behind. Needs no Redis.
 */
#include "store/store_thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_JOBS_MAX 4000

/* What the jobs of a test write down; under the lock. */
struct journal {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t n_run, n_done;
    bool gate_reached, gate_open;
    int names[N_JOBS_MAX]; /* in the order of done */
    int outcomes[N_JOBS_MAX];
};

struct job {
    struct store_job job; /* first */
    struct journal *journal;
    int name;
    int outcome; /* for run to return */
    bool gate;   /* waits in run until the gate is opened */
};

static struct journal *journal_new(void)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    assert_non_null(journal);
    (void)pthread_mutex_init(&journal->lock, NULL);
    (void)pthread_cond_init(&journal->changed, NULL);
    return journal;
}

static void journal_free(struct journal *journal)
{
    (void)pthread_cond_destroy(&journal->changed);
    (void)pthread_mutex_destroy(&journal->lock);
    free(journal);
}

static int run_job(struct store_job *store_job, struct store *store)
{
    struct job *job = (struct job *)store_job;
    struct journal *journal = job->journal;

    (void)pthread_mutex_lock(&journal->lock);
    journal->n_run++;
    if (job->gate) {
        journal->gate_reached = true;
        (void)pthread_cond_broadcast(&journal->changed);
        while (!journal->gate_open)
            (void)pthread_cond_wait(&journal->changed, &journal->lock);
    }
    (void)pthread_mutex_unlock(&journal->lock);
    return job->outcome;
}

static void finish_job(struct store_job *store_job)
{
    struct job *job = (struct job *)store_job;
    struct journal *journal = job->journal;

    (void)pthread_mutex_lock(&journal->lock);
    assert_true(journal->n_done < N_JOBS_MAX);
    journal->names[journal->n_done] = job->name;
    journal->outcomes[journal->n_done] = job->job.outcome;
    journal->n_done++;
    (void)pthread_cond_broadcast(&journal->changed);
    (void)pthread_mutex_unlock(&journal->lock);
    free(job);
}

static void submit(struct store_thread *thread, struct journal *journal,
                   enum store_priority priority, struct job template)
{
    struct job *job = malloc(sizeof(*job));

    assert_non_null(job);
    *job = template;
    job->job.run = run_job;
    job->job.done = finish_job;
    job->journal = journal;
    store_thread_submit(thread, &job->job, priority);
}

static void wait_until_done(struct journal *journal, uint32_t n)
{
    (void)pthread_mutex_lock(&journal->lock);
    while (journal->n_done < n)
        (void)pthread_cond_wait(&journal->changed, &journal->lock);
    (void)pthread_mutex_unlock(&journal->lock);
}

static void wait_for_gate(struct journal *journal)
{
    (void)pthread_mutex_lock(&journal->lock);
    while (!journal->gate_reached)
        (void)pthread_cond_wait(&journal->changed, &journal->lock);
    (void)pthread_mutex_unlock(&journal->lock);
}

static void open_gate(struct journal *journal)
{
    (void)pthread_mutex_lock(&journal->lock);
    journal->gate_open = true;
    (void)pthread_cond_broadcast(&journal->changed);
    (void)pthread_mutex_unlock(&journal->lock);
}

static struct store_thread *start(void)
{
    struct store_thread *thread = NULL;
    struct store *store = NULL;

    assert_int_equal(store_new(&store,
                               &(struct store_options){
                                   .url = "unix:///nonexistent/socket",
                                   .group = "g",
                                   .owner = "test:1",
                               }),
                     0);
    assert_int_equal(store_thread_new(&thread, store), 0);
    return thread;
}

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Submits until a job has been run and not just put off. */
static void submit_until_run(struct store_thread *thread, struct journal *journal, int outcome)
{
    uint32_t n_run = journal->n_run;

    while (journal->n_run == n_run) {
        journal->n_done = 0;
        submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.outcome = outcome});
        wait_until_done(journal, 1);
    }
}

static void commits_go_before_summaries(void **state)
{
    static const int expected[] = {0, 3, 4, 1, 2};
    struct store_thread *thread = start();
    struct journal *journal = journal_new();

    submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.name = 0, .gate = true});
    wait_for_gate(journal);
    submit(thread, journal, STORE_PRIORITY_LOW, (struct job){.name = 1});
    submit(thread, journal, STORE_PRIORITY_LOW, (struct job){.name = 2});
    submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.name = 3});
    submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.name = 4});
    open_gate(journal);
    wait_until_done(journal, 5);
    assert_memory_equal(journal->names, expected, sizeof(expected));
    (void)store_thread_free(thread);
    journal_free(journal);
}

static void outcomes_reach_done(void **state)
{
    static const int outcomes[] = {0, STORE_E_FENCED, -ENOMEM, STORE_E_CORRUPT, 0};
    struct store_thread *thread = start();
    struct journal *journal = journal_new();

    for (int i = 0; i < 5; i++)
        submit(thread, journal, STORE_PRIORITY_HIGH,
               (struct job){.name = i, .outcome = outcomes[i]});
    wait_until_done(journal, 5);
    assert_int_equal(journal->n_run, 5);
    assert_memory_equal(journal->outcomes, outcomes, sizeof(outcomes));
    (void)store_thread_free(thread);
    journal_free(journal);
}

static void a_redis_that_is_away_is_not_hammered(void **state)
{
    struct store_thread *thread = start();
    struct journal *journal = journal_new();
    int64_t started_us = now_us();

    for (int i = 0; i < 4; i++)
        submit_until_run(thread, journal, STORE_E_AWAY);
    /* 50, 100 and 200 ms, each at most a fifth shorter. */
    assert_true(now_us() - started_us >= (50 + 100 + 200) * 800);
    (void)store_thread_free(thread);
    journal_free(journal);
}

static void after_a_success_all_jobs_run(void **state)
{
    struct store_thread *thread = start();
    struct journal *journal = journal_new();
    uint32_t n = 0;

    submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.outcome = STORE_E_AWAY});
    wait_until_done(journal, ++n);
    do {
        journal->n_done = 0;
        submit(thread, journal, STORE_PRIORITY_HIGH, (struct job){.outcome = 0});
        wait_until_done(journal, 1);
    } while (journal->outcomes[0] != 0);
    assert_int_equal(journal->n_run, 2);
    journal->n_done = 0;
    for (int i = 0; i < 100; i++)
        submit(thread, journal, STORE_PRIORITY_LOW, (struct job){.outcome = 0});
    wait_until_done(journal, 100);
    assert_int_equal(journal->n_run, 102);
    (void)store_thread_free(thread);
    journal_free(journal);
}

static void after_a_success_the_pause_begins_small_again(void **state)
{
    struct store_thread *thread = start();
    struct journal *journal = journal_new();
    int64_t started_us;

    for (int i = 0; i < 4; i++)
        submit_until_run(thread, journal, STORE_E_AWAY);
    submit_until_run(thread, journal, 0);
    started_us = now_us();
    submit_until_run(thread, journal, STORE_E_AWAY);
    submit_until_run(thread, journal, 0);
    /* 50 ms, give or take; had it gone on doubling, at least 640. */
    assert_true(now_us() - started_us < 600000);
    (void)store_thread_free(thread);
    journal_free(journal);
}

struct endless {
    struct store_job job; /* first */
    struct store_thread *thread;
    uint32_t n_run;
    _Atomic bool begun;
    int last_outcome;
};

static int run_endless(struct store_job *store_job, struct store *store)
{
    struct endless *endless = (struct endless *)store_job;

    endless->n_run++;
    endless->begun = true;
    return 0;
}

static void repeat_endless(struct store_job *store_job)
{
    struct endless *endless = (struct endless *)store_job;

    endless->last_outcome = store_job->outcome;
    if (store_job->outcome != -ECANCELED)
        store_thread_submit(endless->thread, store_job, STORE_PRIORITY_LOW);
}

/* A job that submits itself again for as long as it is run: there is always one in the queue. */
static void freeing_drops_what_is_queued(void **state)
{
    struct endless endless = {.job = {.run = run_endless, .done = repeat_endless}};
    struct store_thread *thread = start();

    endless.thread = thread;
    store_thread_submit(thread, &endless.job, STORE_PRIORITY_LOW);
    while (!endless.begun)
        ;
    (void)store_thread_free(thread);
    assert_int_equal(endless.last_outcome, -ECANCELED);
    assert_true(endless.n_run >= 1);
}

static void *submit_many(void *userdata)
{
    void **arguments = userdata;

    for (int i = 0; i < 500; i++)
        submit(arguments[0], arguments[1], i % 2 ? STORE_PRIORITY_LOW : STORE_PRIORITY_HIGH,
               (struct job){.name = i});
    return NULL;
}

static void many_threads_may_submit_and_read_the_counters(void **state)
{
    struct store_thread *thread = start();
    struct journal *journal = journal_new();
    void *arguments[] = {thread, journal};
    struct store_stats stats;
    pthread_t submitters[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&submitters[i], NULL, submit_many, arguments), 0);
    for (int i = 0; i < 100; i++)
        store_thread_stats(thread, &stats);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(submitters[i], NULL);
    wait_until_done(journal, 2000);
    assert_int_equal(journal->n_run, 2000);
    (void)store_thread_free(thread);
    journal_free(journal);
}

static int run_peek(struct store_job *store_job, struct store *store)
{
    struct store_manifest *manifest = NULL;

    return store_peek(store, 0, &manifest);
}

static void the_counters_follow_the_store(void **state)
{
    struct store_thread *thread = start();
    struct journal *journal = journal_new();
    struct job *job = calloc(1, sizeof(*job));
    struct store_stats stats;

    assert_non_null(job);
    *job = (struct job){.journal = journal, .job = {.run = run_peek, .done = finish_job}};
    store_thread_submit(thread, &job->job, STORE_PRIORITY_HIGH);
    wait_until_done(journal, 1);
    store_thread_stats(thread, &stats);
    assert_int_equal(journal->outcomes[0], STORE_E_AWAY);
    assert_false(stats.up);
    assert_int_equal(stats.n_errors, 1);
    (void)store_thread_free(thread);
    journal_free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_go_before_summaries),
        cmocka_unit_test(outcomes_reach_done),
        cmocka_unit_test(a_redis_that_is_away_is_not_hammered),
        cmocka_unit_test(after_a_success_all_jobs_run),
        cmocka_unit_test(after_a_success_the_pause_begins_small_again),
        cmocka_unit_test(freeing_drops_what_is_queued),
        cmocka_unit_test(many_threads_may_submit_and_read_the_counters),
        cmocka_unit_test(the_counters_follow_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
