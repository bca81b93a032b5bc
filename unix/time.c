/* Reading clocks.  Sleeping is in sleep.c.

   CLOCK_PROCESS_CPUTIME_ID and its like are the time since the process began: there is one CPU and
   one process, and what it waits is not taken off yet. */
#include "kernel/user_copy.h"
#include "unix/identity.h"
#include "unix/syscall.h"
#include "unix/time_spec.h"

struct time_pair {
    s64 seconds, fraction;
};

/* Copies a result out; the calls here have no other effect, so they may start again. */
static s64 time_out(struct thread *t, u64 address, const void *from, u64 bytes)
{
    if (likely(!copy_out(address, from, bytes)))
        return 0;
    s64 r = user_prepare(t, address, bytes, USER_WRITE);
    return r ? r : copy_out(address, from, bytes) ? -EFAULT : 0;
}

u64 process_cpu_ns(struct process *p)
{
    return clock_monotonic_ns() - p->started_ns;
}

/* False when there is no such clock. */
static bool clock_read(struct thread *t, s32 clock, u64 *ns)
{
    u32 bit = clock_bit(clock);
    if (bit & (CLOCKS_REALTIME | CLOCKS_MONOTONIC)) {
        *ns = bit & CLOCKS_REALTIME ? clock_realtime_ns() : clock_monotonic_ns();
        return true;
    }
    if (clock == CLOCK_PROCESS_CPU || clock == CLOCK_THREAD_CPU) {
        *ns = process_cpu_ns(t->process);
        return true;
    }
    /* A negative number is a process's or thread's clock; ours are all the same one. */
    if (clock < 0 && (clock & 7) != 7) {
        *ns = process_cpu_ns(t->process);
        u32 id = ~(u32)(clock >> 3);
        return id == 0 || id == t->process->pid || id == t->tid;
    }
    return false;
}

s64 sys_clock_gettime(struct thread *t, s32 clock, u64 address)
{
    u64 ns;
    if (!clock_read(t, clock, &ns))
        return -EINVAL;
    struct time_pair time = {(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND)};
    return time_out(t, address, &time, sizeof(time));
}

s64 sys_clock_getres(struct thread *t, s32 clock, u64 address)
{
    u64 ns;
    if (!clock_read(t, clock, &ns))
        return -EINVAL;
    bool coarse = clock_bit(clock) & CLOCKS_COARSE;
    struct time_pair time = {0, coarse ? (s64)CLOCK_COARSE_NS : 1};
    return address ? time_out(t, address, &time, sizeof(time)) : 0;
}

/* The clock is the machine's: a program does not set it. */
s64 sys_clock_settime(struct thread *t, s32 clock, u64 address)
{
    u64 ns;
    (void)address;
    return !clock_read(t, clock, &ns) ? -EINVAL : clock == CLOCK_REALTIME ? -EPERM : -EINVAL;
}

s64 sys_settimeofday(struct thread *t, u64 time, u64 zone)
{
    (void)t, (void)time, (void)zone;
    return -EPERM;
}

s64 sys_gettimeofday(struct thread *t, u64 address, u64 zone)
{
    u64 ns = clock_realtime_ns();
    struct time_pair time = {(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND / NS_PER_US)};
    u64 no_zone = 0; /* struct timezone: two ints, both 0 */
    s64 r = address ? time_out(t, address, &time, sizeof(time)) : 0;
    return r || !zone ? r : time_out(t, zone, &no_zone, sizeof(no_zone));
}

s64 sys_time(struct thread *t, u64 address)
{
    s64 seconds = (s64)(clock_realtime_ns() / NS_PER_SECOND);
    s64 r = address ? time_out(t, address, &seconds, sizeof(seconds)) : 0;
    return r ? r : seconds;
}

s64 sys_times(struct thread *t, u64 address)
{
    u64 tick_ns = NS_PER_SECOND / TICKS_PER_SECOND;
    s64 used[4] = {(s64)(process_cpu_ns(t->process) / tick_ns), 0, 0, 0};
    s64 r = address ? time_out(t, address, used, sizeof(used)) : 0;
    return r ? r : (s64)(clock_monotonic_ns() / tick_ns);
}
