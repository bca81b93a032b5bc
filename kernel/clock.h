/* Time and timers.  Nanoseconds throughout. */
#pragma once

#include "runtime/closure.h"
#include "runtime/rbtree.h"

/* Since boot; never goes back.  TSC based; scaled by KVM's clock, CPUID or the PIT. */
u64 clock_monotonic_ns(void);

/* Since 1970-01-01 UTC: KVM's clock or the RTC at boot, then the monotonic clock. */
u64 clock_realtime_ns(void);

/* Begins the clock; `entry_tsc` is its zero.  Once, at boot, after apic_init. */
void clock_init(u64 entry_tsc);

/* What a program needs to read the clock without a system call; constant from the first call on.
   monotonic = (tsc - tsc_begin) * ns_a_tick >> 32 (128 bits wide), realtime = that +
   realtime_begin_ns. */
struct clock_scale {
    u64 tsc_begin;
    u64 ns_a_tick; /* 32 bits of fraction */
    u64 realtime_begin_ns;
};
struct clock_scale clock_scale(void);

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
