/*
 * C11 threads as POSIX threads, to be preloaded under ThreadSanitizer: it knows pthread_create()
 * and its kin only, and crashes in threads that librdkafka makes with thrd_create(). In glibc the
 * types are the same underneath.
 *
 *   LD_PRELOAD=build-tsan/tests/daemon/libtsan_threads.so \
 *   TSAN_OPTIONS=suppressions=tests/support/tsan.supp build-tsan/daemon/kpid demo
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

static int outcome(int r)
{
    return r == 0           ? thrd_success
           : r == EBUSY     ? thrd_busy
           : r == ENOMEM    ? thrd_nomem
           : r == ETIMEDOUT ? thrd_timedout
                            : thrd_error;
}

struct call {
    thrd_start_t function;
    void *argument;
};

static void *run(void *userdata)
{
    struct call call = *(struct call *)userdata;

    free(userdata);
    return (void *)(intptr_t)call.function(call.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct call *call = malloc(sizeof(*call));

    if (!call)
        return thrd_nomem;
    *call = (struct call){function, argument};
    return outcome(pthread_create(thread, NULL, run, call));
}

int thrd_join(thrd_t thread, int *ret_value)
{
    void *value = NULL;
    int r = pthread_join(thread, &value);

    if (ret_value)
        *ret_value = (int)(intptr_t)value;
    return outcome(r);
}

int thrd_detach(thrd_t thread)
{
    return outcome(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int r;

    (void)pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    r = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return outcome(r);
}

void mtx_destroy(mtx_t *mutex)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
    return outcome(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    return outcome(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return outcome(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition)
{
    return outcome(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    (void)pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return outcome(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return outcome(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return outcome(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return outcome(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}
