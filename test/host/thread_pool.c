/* The pool: see test/host/thread_pool.h. */
#include "test/host/thread_pool.h"

#include "runtime/assert.h"
#include "runtime/lock.h"

#include <time.h>

static struct thread_pool *pool_of(const struct executor *e)
{
    return (struct thread_pool *)(u64)e; /* the field is the struct's first */
}

struct lock_stack *thread_pool_locks(void)
{
    static __thread struct lock_stack stack;
    return &stack;
}

static void pool_add_locked(struct thread_pool *p, struct closure_header *deferred)
{
    deferred->next = NULL;
    *p->end = deferred;
    p->end = &deferred->next;
    pthread_cond_signal(&p->work);
}

static void pool_later(const struct executor *e, struct closure_header *deferred)
{
    struct thread_pool *p = pool_of(e);
    pthread_mutex_lock(&p->mutex);
    pool_add_locked(p, deferred);
    pthread_mutex_unlock(&p->mutex);
}

static u64 pool_now(__attribute__((unused)) const struct executor *e)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_SECOND + (u64)now.tv_nsec;
}

/* --- timers ----------------------------------------------------------------------------------- */

static bool timer_remove_locked(struct thread_pool *p, struct timer *t)
{
    if (!t->pending)
        return false;
    t->pending = false;
    u32 i = 0;
    while (p->timers[i] != t)
        i++;
    p->timers[i] = p->timers[--p->timer_count];
    return true;
}

static bool pool_timer_cancel(const struct executor *e, struct timer *t)
{
    struct thread_pool *p = pool_of(e);
    pthread_mutex_lock(&p->mutex);
    bool was_pending = timer_remove_locked(p, t);
    pthread_mutex_unlock(&p->mutex);
    return was_pending;
}

static void pool_timer_set(const struct executor *e, struct timer *t, u64 expires_ns, thunk expired)
{
    struct thread_pool *p = pool_of(e);
    pthread_mutex_lock(&p->mutex);
    timer_remove_locked(p, t);
    assert(p->timer_count < POOL_TIMERS_MOST);
    t->expires_ns = expires_ns;
    t->expired = expired;
    t->pending = true;
    p->timers[p->timer_count++] = t;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->mutex);
}

/* Queues what has expired. */
static void timers_expire_locked(struct thread_pool *p)
{
    u64 now = pool_now(&p->e);
    for (u32 i = 0; i < p->timer_count;) {
        struct timer *t = p->timers[i];
        if (t->expires_ns > now) {
            i++;
            continue;
        }
        timer_remove_locked(p, t);
        pool_add_locked(p, thunk_deferred(t->expired));
    }
}

/* --- the threads ------------------------------------------------------------------------------ */

static struct closure_header *pool_take_locked(struct thread_pool *p)
{
    struct closure_header *taken = p->first;
    if (!taken)
        return NULL;
    p->first = taken->next;
    if (!p->first)
        p->end = &p->first;
    return taken;
}

/* With timers pending it looks again soon; nobody computes when the first one expires. */
static void pool_sleep_locked(struct thread_pool *p)
{
    struct timespec until;
    if (!p->timer_count) {
        pthread_cond_wait(&p->work, &p->mutex);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000;
    if (until.tv_nsec >= (long)NS_PER_SECOND) {
        until.tv_nsec -= (long)NS_PER_SECOND;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&p->work, &p->mutex, &until);
}

static void *pool_run(void *argument)
{
    struct thread_pool *p = argument;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        timers_expire_locked(p);
        struct closure_header *next = pool_take_locked(p);
        if (next) {
            pthread_mutex_unlock(&p->mutex);
            closure_run_deferred(next);
            pthread_mutex_lock(&p->mutex);
        } else if (p->stopping) {
            break;
        } else {
            pool_sleep_locked(p);
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

void thread_pool_start(struct thread_pool *p)
{
    *p = (struct thread_pool){.e = {.later = pool_later,
                                    .now_ns = pool_now,
                                    .timer_set = pool_timer_set,
                                    .timer_cancel = pool_timer_cancel}};
    p->end = &p->first;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    for (u32 i = 0; i < POOL_THREADS; i++) {
        if (pthread_create(&p->threads[i], NULL, pool_run, p) != 0)
            panic("the host starts no thread");
    }
}

void thread_pool_stop(struct thread_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (u32 i = 0; i < POOL_THREADS; i++)
        pthread_join(p->threads[i], NULL);
    assert(p->timer_count == 0);
}
