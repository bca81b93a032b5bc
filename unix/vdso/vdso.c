/* What the vDSO exports: the clocks read in user mode.  See unix/vdso.h.

   This runs in the program, on its stack, from a copy of the page: no data but the kernel's, no
   relocation, nothing privileged.  A clock's time is computed as the system call does it, from the
   same counter with the same numbers, so the two can be mixed.  What is not known here, wrong
   arguments included, the system call answers. */
#include "unix/vdso.h"
#include "kernel/x86/gdt.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/ratio.h"
#include "unix/time_spec.h"

#define EXPORT __attribute__((visibility("default")))

extern const struct vdso_data vdso_data; /* the page before the image: vdso.ld */

/* struct timeval, and struct timezone, which is all zero. */
struct time_value {
    s64 seconds;
    s64 us;
};

struct time_zone {
    s32 minutes_west, daylight;
};

EXPORT s64 __vdso_clock_gettime(s32 clock, struct time_spec *to);
EXPORT s64 __vdso_clock_getres(s32 clock, struct time_spec *to);
EXPORT s64 __vdso_gettimeofday(struct time_value *to, struct time_zone *zone);
EXPORT s64 __vdso_time(s64 *to);
EXPORT s64 __vdso_getcpu(u32 *cpu, u32 *node, void *unused);

/* As unix/syscalls.def numbers them. */
enum { CALL_CLOCK_GETTIME = 228, CALL_CLOCK_GETRES = 229 };

static s64 system_call(s64 number, s64 first, void *second)
{
    s64 result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(number), "D"(first), "S"(second)
                 : "rcx", "r11", "memory");
    return result;
}

static inline u64 monotonic_ns(void)
{
    const struct clock_scale *s = &vdso_data.scale;
    return scale_32(rdtsc() - s->tsc_begin, s->ns_a_tick);
}

static inline u64 realtime_ns(void)
{
    return vdso_data.scale.realtime_begin_ns + monotonic_ns();
}

s64 __vdso_clock_gettime(s32 clock, struct time_spec *to)
{
    u32 bit = clock_bit(clock);
    if (likely(bit & CLOCKS_MONOTONIC))
        *to = time_spec_of(monotonic_ns());
    else if (likely(bit & CLOCKS_REALTIME))
        *to = time_spec_of(realtime_ns());
    else
        return system_call(CALL_CLOCK_GETTIME, clock, to);
    return 0;
}

s64 __vdso_clock_getres(s32 clock, struct time_spec *to)
{
    u32 bit = clock_bit(clock);
    if (!(bit & (CLOCKS_MONOTONIC | CLOCKS_REALTIME)))
        return system_call(CALL_CLOCK_GETRES, clock, to);
    if (to)
        *to = (struct time_spec){0, bit & CLOCKS_COARSE ? (s64)CLOCK_COARSE_NS : 1};
    return 0;
}

s64 __vdso_gettimeofday(struct time_value *to, struct time_zone *zone)
{
    if (likely(to)) {
        u64 ns = realtime_ns();
        *to = (struct time_value){(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND / NS_PER_US)};
    }
    if (zone)
        *zone = (struct time_zone){0, 0};
    return 0;
}

s64 __vdso_time(s64 *to)
{
    s64 seconds = (s64)(realtime_ns() / NS_PER_SECOND);
    if (to)
        *to = seconds;
    return seconds;
}

/* The limit of a segment that each CPU has for this.  There is one memory node. */
s64 __vdso_getcpu(u32 *cpu, u32 *node, void *unused)
{
    u32 number;
    (void)unused;
    asm volatile("lsl %1, %0" : "=r"(number) : "r"(SELECTOR_CPU) : "cc");
    if (cpu)
        *cpu = number;
    if (node)
        *node = 0;
    return 0;
}
