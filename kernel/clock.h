/* Time and timers.  Nanoseconds throughout. */
#pragma once

#include "runtime/closure.h"
#include "runtime/rbtree.h"

/* Since boot; never goes back.  TSC based; scaled by KVM's clock, CPUID or the PIT. */
u64 clock_monotonic_ns(void);

/* Since 1970-01-01 UTC: KVM's clock or the RTC at boot, then the monotonic clock. */
u64 clock_realtime_ns(void);

struct timer {
    struct rbnode node;
    u64 expires_ns; /* monotonic */
    thunk expired;
    bool pending;
};

/* Applies `expired` from the run loop once, at or after expires_ns.  A pending timer is moved.
   The timer and the thunk belong to the caller, who keeps them until it expired or was cancelled.
   O(log n). */
void timer_set(struct timer *t, u64 expires_ns, thunk expired);

/* False when it was not pending (it has expired, or was never set). */
bool timer_cancel(struct timer *t);
