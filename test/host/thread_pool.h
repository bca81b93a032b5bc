/* An executor whose closures run on real threads, any of them, at once: harder on what uses it than
   a kernel, whose CPUs keep to their own queues.  The clock is the host's. */
#pragma once

#include "runtime/executor.h"

#include <pthread.h>

#define POOL_THREADS     4
#define POOL_TIMERS_MOST 256

struct thread_pool {
    struct executor e; /* pass &p->e on */
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct closure_header *first, **end;    /* [mutex] */
    struct timer *timers[POOL_TIMERS_MOST]; /* [mutex] pending, in no order */
    u32 timer_count;                        /* [mutex] */
    bool stopping;                          /* [mutex] */
    pthread_t threads[POOL_THREADS];
};

void thread_pool_start(struct thread_pool *p);
/* Ends when nothing is queued any more; pending timers are a mistake. */
void thread_pool_stop(struct thread_pool *p);

/* A stack of held locks for each thread, for lock_context. */
struct lock_stack *thread_pool_locks(void);
