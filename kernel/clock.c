/* The clock: the time-stamp counter, scaled.  See kernel/clock.h.

   One slope for the whole life of the machine, so the clock cannot go back.  Where nobody tells the
   counter's rate it is measured when the time is first asked for (kernel/x86/tsc.c).

   The counters of all CPUs are taken for equal: processors since 2008 start them together, and
   hypervisors keep them so.  Where they are not, the clock is behind on some CPUs by the
   difference. */
#include "kernel/clock.h"

#include "kernel/log.h"
#include "kernel/x86/kvm_clock.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/ratio.h"
#include "kernel/x86/rtc.h"
#include "kernel/x86/tsc.h"

static u64 begin_tsc;         /* [I] */
static u64 rate;              /* ns for a tick, 32 bits of fraction; 0: not known yet */
static u64 realtime_begin_ns; /* 0: not asked for yet */

void clock_init(u64 entry_tsc)
{
    begin_tsc = entry_tsc;
    rate = tsc_rate_known();
    if (!rate)
        tsc_measure_begin();
}

static u64 rate_get(void)
{
    if (unlikely(!rate))
        rate = tsc_measure_end();
    return rate;
}

u64 clock_monotonic_ns(void)
{
    u64 ns_a_tick = rate_get();
    return scale_32(rdtsc() - begin_tsc, ns_a_tick);
}

u64 clock_tsc_at(u64 monotonic_ns)
{
    return begin_tsc + ratio_32(monotonic_ns, rate_get()) + 1;
}

/* KVM's wall clock, or the RTC with its resolution of a second; 0 when there is neither. */
static u64 wall_clock_ns(void)
{
    u64 ns = kvm_clock_wall_ns();
    return ns ? ns : rtc_seconds() * NS_PER_SECOND;
}

u64 clock_realtime_ns(void)
{
    u64 now = clock_monotonic_ns();
    if (unlikely(!realtime_begin_ns)) {
        u64 wall = wall_clock_ns();
        if (!wall)
            log_warning("clock: no clock here tells the date: it is 1970");
        realtime_begin_ns = wall > now ? wall - now : 1;
    }
    return realtime_begin_ns + now;
}

void clock_settle(void)
{
    clock_realtime_ns();
}

struct clock_scale clock_scale(void)
{
    clock_realtime_ns();
    return (struct clock_scale){begin_tsc, rate_get(), realtime_begin_ns};
}
