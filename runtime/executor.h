/* executor: what runs deferred closures and keeps time, as a parameter.  The kernel passes its run
   loop and clock (kernel_executor, kernel/run_loop.h); hosted tests pass a queue and a clock that
   they move themselves.

   later: takes thunk_deferred(t) or status_deferred(done, s) and applies it once, from a run loop,
   after the caller has returned to it; never fails, never allocates, may be called under a lock.
   timer_set: applies `expired` from a run loop once, at or after expires_ns; a pending timer is
   moved.  timer_cancel: true when it was pending, and then `expired` will not be applied; false
   when it is not: it was never set, has been applied, or is about to be (on another CPU, even at
   this moment).  Both may be called under a lock of a lower rank than RANK_TIMER. */
#pragma once

#include "runtime/timer.h"

struct executor {
    void (*later)(const struct executor *e, struct closure_header *deferred);
    u64 (*now_ns)(const struct executor *e); /* monotonic */
    void (*timer_set)(const struct executor *e, struct timer *t, u64 expires_ns, thunk expired);
    bool (*timer_cancel)(const struct executor *e, struct timer *t);
};

static inline void executor_later(const struct executor *e, thunk t)
{
    e->later(e, thunk_deferred(t));
}

static inline void executor_later_status(const struct executor *e, status_handler done, status s)
{
    e->later(e, status_deferred(done, s));
}
