/* Time and timers.  Nanoseconds throughout. */
#pragma once

#include "runtime/timer.h"

/* Since boot; never goes back.  TSC based; scaled by KVM's clock, CPUID or the PIT. */
u64 clock_monotonic_ns(void);

/* Since 1970-01-01 UTC: KVM's clock or the RTC at boot, then the monotonic clock. */
u64 clock_realtime_ns(void);

/* Begins the clock; `entry_tsc` is its zero.  Once, at boot, after apic_init. */
void clock_init(u64 entry_tsc);

/* Finds out now what is otherwise found out when it is first asked for.  Before there is a second
   CPU; from then on all of this is the same on every CPU, as their time-stamp counters are. */
void clock_settle(void);

/* What a program needs to read the clock without a system call; constant from the first call on.
   monotonic = (tsc - tsc_begin) * ns_a_tick >> 32 (128 bits wide), realtime = that +
   realtime_begin_ns. */
struct clock_scale {
    u64 tsc_begin;
    u64 ns_a_tick; /* 32 bits of fraction */
    u64 realtime_begin_ns;
};
struct clock_scale clock_scale(void);

/* Applies `expired` once, at or after expires_ns, from the run loop of the CPU that set the timer.
   A pending timer is moved, from any CPU; nobody else may set it at the same time.  The timer and
   the thunk belong to the caller, who keeps them until it expired or was cancelled.  O(log n).
   Takes locks of rank TIMER. */
void timer_set(struct timer *t, u64 expires_ns, thunk expired);

/* On any CPU.  False when it was not pending: it was never set, has expired, or its thunk is about
   to be applied (on another CPU, even at this moment), so the caller still has to keep it. */
bool timer_cancel(struct timer *t);
