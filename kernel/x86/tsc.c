/* How fast the time-stamp counter counts.  See kernel/x86/tsc.h.

   Asking comes first, because measuring takes time.  Where it must be measured the measurement runs
   from boot to the first question for the time, so that it is usually long enough by then. */
#include "kernel/x86/tsc.h"

#include "kernel/log.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/kvm_clock.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/pit.h"
#include "kernel/x86/ratio.h"

#define HYPERVISOR_TIMING_LEAF 0x40000010u

static u64 rate_of_hz(u64 hz)
{
    return hz ? ratio_32(NS_PER_SECOND, hz) : 0;
}

/* CPUID: the hypervisor's timing leaf, the crystal's ratio, the processor's base frequency. */
static u64 hz_from_cpuid(void)
{
    if (cpu_features.hypervisor_max >= HYPERVISOR_TIMING_LEAF)
        return (u64)cpuid(HYPERVISOR_TIMING_LEAF, 0).eax * 1000;
    if (cpu_features.leaf_max < 0x15)
        return 0;
    struct cpuid_result r = cpuid(0x15, 0); /* Intel SDM 2A, table 3-8 */
    if (r.eax && r.ebx && r.ecx)
        return (u64)r.ecx * r.ebx / r.eax;
    if (r.eax && r.ebx && cpu_features.leaf_max >= 0x16)
        return (u64)(cpuid(0x16, 0).eax & 0xffff) * 1000000;
    return 0;
}

u64 tsc_rate_known(void)
{
    u64 rate = kvm_clock_rate();
    return rate ? rate : rate_of_hz(hz_from_cpuid());
}

/* QEMU's own emulation (TCG) and KVM count nanoseconds. */
static bool apic_counts_ns(void)
{
    return cpu_features.hypervisor_max && (cpu_features.emulated || cpu_features.kvm_base);
}

u64 apic_hz_known(void)
{
    if (cpu_features.hypervisor_max >= HYPERVISOR_TIMING_LEAF)
        return (u64)cpuid(HYPERVISOR_TIMING_LEAF, 0).ebx * 1000;
    if (apic_counts_ns())
        return NS_PER_SECOND;
    return cpu_features.leaf_max >= 0x15 ? cpuid(0x15, 0).ecx : 0;
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Both counters at one moment, and how long reading them took. */
struct reading {
    u64 tsc, cost;
    u64 apic_ns; /* since the APIC's counter was started */
};

static struct reading begin;

#define READINGS       3    /* the quickest counts: an emulator's first one may be slow */
#define PRECISION      1024 /* the interval, in times of what the readings cost */
#define APIC_MOST_NS   (5 * NS_PER_MS)
#define PIT_MEASURE_NS (5 * NS_PER_MS)

static struct reading counters_read(void)
{
    struct reading best = {.cost = ~0ull};
    for (u32 i = 0; i < READINGS; i++) {
        u64 before = rdtsc();
        u64 apic_ns = ~0u - apic_timer_now();
        u64 cost = rdtsc() - before;
        if (cost < best.cost)
            best = (struct reading){before + cost / 2, cost, apic_ns};
    }
    return best;
}

void tsc_measure_begin(void)
{
    apic_timer_start(~0u);
    begin = counters_read();
}

static u64 measure_by_apic(void)
{
    struct reading end;
    do
        end = counters_read();
    while (end.tsc - begin.tsc < PRECISION * (end.cost + begin.cost) && end.apic_ns < APIC_MOST_NS);
    return end.tsc > begin.tsc ? ratio_32(end.apic_ns - begin.apic_ns, end.tsc - begin.tsc) : 0;
}

static u64 measure_by_pit(void)
{
    u64 before = rdtsc();
    u64 elapsed_ns = pit_wait(PIT_MEASURE_NS);
    return elapsed_ns ? ratio_32(elapsed_ns, rdtsc() - before) : 0;
}

u64 tsc_measure_end(void)
{
    u64 rate = apic_counts_ns() ? measure_by_apic() : measure_by_pit();
    if (rate)
        return rate;
    log_warning("clock: nothing here tells how fast the time-stamp counter is: 1 GHz is assumed");
    return 1ull << 32;
}
