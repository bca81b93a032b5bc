/* The timer's hardware.  See kernel/x86/apic_timer.h. */
#include "kernel/x86/apic_timer.h"

#include "kernel/clock.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/ratio.h"
#include "kernel/x86/tsc.h"

#define APIC_MEASURE_NS NS_PER_MS

static u64
    ticks_per_ns; /* fixed point, 32 bits of fraction; 0: not known yet, or the deadline is used */

void apic_timer_init(void)
{
    if (cpu_features.tsc_deadline)
        apic_deadline_init();
}

/* Against the clock, for a millisecond, on a machine that does not say how fast its APIC counts. */
static u64 ticks_measure(void)
{
    u64 begin = clock_monotonic_ns(), now;
    apic_timer_start(~0u);
    do {
        cpu_pause();
        now = clock_monotonic_ns();
    } while (now - begin < APIC_MEASURE_NS);
    return ratio_32(~0u - apic_timer_now(), now - begin);
}

static u64 ticks_rate(void)
{
    u64 hz = apic_hz_known();
    return hz ? ratio_32(hz, NS_PER_SECOND) : ticks_measure();
}

void apic_timer_arm(u64 expires_ns)
{
    if (cpu_features.tsc_deadline) {
        apic_deadline_start(clock_tsc_at(expires_ns));
        return;
    }
    u64 now = clock_monotonic_ns();
    u64 wait_ns = min(expires_ns > now ? expires_ns - now : 0, 4 * NS_PER_SECOND);
    if (!ticks_per_ns)
        ticks_per_ns = ticks_rate();
    u64 ticks = scale_32(wait_ns, ticks_per_ns) + 1; /* never early, never 0 */
    apic_timer_start((u32)min(ticks, (u64)~0u));
}
