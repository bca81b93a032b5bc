/* An executor for hosted tests: a queue, and a clock that the test moves.

   Nothing runs by itself: the test says when.  An expired timer's thunk goes into the queue first,
   as in the kernel, so a test can act between the expiry and the thunk.  Single-threaded. */
#pragma once

#include "runtime/executor.h"
#include "runtime/random.h"

#define HOST_TIMERS_MOST 4096

struct host_executor {
    struct executor e; /* pass &x->e on */
    u64 now_ns;
    struct closure_header *first, **end;
    u32 length;
    struct timer *timers[HOST_TIMERS_MOST]; /* pending, in no order */
    u32 timer_count;
    struct random random;
    bool shuffled;
};

/* A seed other than 0: queued closures run in a random order. */
void host_executor_init(struct host_executor *x, u64 seed);

/* Applies one queued closure; false when there is none. */
bool host_executor_step(struct host_executor *x);

/* Applies what is queued and what that queues.  Returns how many. */
u64 host_executor_run(struct host_executor *x);

/* Moves the clock and queues what expires, earliest first; applies nothing. */
void host_executor_move(struct host_executor *x, u64 ns);

/* Lets time pass: stops at each expiry and runs. */
void host_executor_pass(struct host_executor *x, u64 ns);
