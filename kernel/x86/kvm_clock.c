/* KVM's clock.  See kernel/x86/kvm_clock.h.  The TSC's rate is constant where this clock is offered
   as stable, and there is one CPU; so the page is read, and then taken back from the host. */
#include "kernel/x86/kvm_clock.h"

#include "kernel/memory.h"
#include "kernel/x86/msr.h"

#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define READ_TRIES               1000

struct kvm_time {
    u32 version; /* odd while the host writes */
    u32 padding;
    u64 tsc, system_ns;
    u32 multiplier; /* ns = (ticks << shift) * multiplier >> 32 */
    s8 shift;
    u8 flags, padding2[2];
};
_Static_assert(sizeof(struct kvm_time) == 32, "as KVM writes it");

struct kvm_wall {
    u32 version, seconds, ns; /* when system_ns was 0 */
};

/* Static data of the image has a physical address; neither may cross a page. */
static alignas(64) volatile struct kvm_time host_time;
static alignas(64) volatile struct kvm_wall host_wall;

static bool kvm_clock_offered(void)
{
    return cpu_features.kvm_base && cpu_features.kvm_features & KVM_FEATURE_CLOCKSOURCE2;
}

static u64 address_of(const volatile void *p)
{
    return physical_of((const void *)(u64)p).bits;
}

static bool time_read(struct kvm_time *to)
{
    u32 version = 0;
    wrmsr(MSR_KVM_SYSTEM_TIME, address_of(&host_time) | 1);
    for (u32 i = 0; i < READ_TRIES; i++) {
        version = host_time.version;
        asm volatile("" : : : "memory");
        *to = host_time;
        asm volatile("" : : : "memory");
        if (!(version & 1) && version == host_time.version)
            break;
    }
    wrmsr(MSR_KVM_SYSTEM_TIME, 0);
    return version && !(version & 1) && to->multiplier;
}

u64 kvm_clock_rate(void)
{
    struct kvm_time t;
    if (!kvm_clock_offered() || !time_read(&t))
        return 0;
    return t.shift >= 0 ? (u64)t.multiplier << t.shift : (u64)t.multiplier >> -t.shift;
}

u64 kvm_clock_wall_ns(void)
{
    struct kvm_time t;
    if (!kvm_clock_offered() || !time_read(&t))
        return 0;
    wrmsr(MSR_KVM_WALL_CLOCK, address_of(&host_wall));
    u64 ticks = rdtsc() - t.tsc;
    ticks = t.shift >= 0 ? ticks << t.shift : ticks >> -t.shift;
    u64 up_ns = t.system_ns + (u64)(((u128)ticks * t.multiplier) >> 32);
    return host_wall.seconds * NS_PER_SECOND + host_wall.ns + up_ns;
}
