/* nanosleep and clock_nanosleep: a timer and a way to be interrupted. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"
#include "unix/time_spec.h"

#define TIMER_ABSTIME 1

struct sleep {
    struct thread *thread;
    u64 wakes_ns;
    u64 remaining; /* user address; 0: not wanted */
    struct thunk interrupted;
};

closure_method(thunk, sleep_over, struct thread, timer_expired)
{
    syscall_return(owner(), 0);
}

closure_method(thunk, sleep_interrupted, struct sleep, interrupted)
{
    struct sleep *s = owner();
    struct thread *t = s->thread;
    u64 now = clock_monotonic_ns();
    struct time_spec left = time_spec_of(s->wakes_ns > now ? s->wakes_ns - now : 0);
    if (!timer_cancel(&t->timer))
        return; /* it expired, and its thunk is on the way */
    thread_activate(t);
    s64 result = s->remaining && copy_out(s->remaining, &left, sizeof(left)) ? -EFAULT : -EINTR;
    syscall_return(t, result);
}

static s64 sleep_until(struct thread *t, u64 wakes_ns, u64 remaining)
{
    struct sleep *s = thread_operation(t, struct sleep);
    if (signal_is_pending(t))
        return -EINTR;
    s->thread = t;
    s->wakes_ns = wakes_ns;
    s->remaining = remaining;
    init_method(&s->interrupted, sleep_interrupted);
    init_method(&t->timer_expired, sleep_over);
    t->interrupt = &s->interrupted;
    timer_set(&t->timer, wakes_ns, &t->timer_expired);
    return SYSCALL_LATER;
}

s64 sys_clock_nanosleep(struct thread *t, s32 clock, s32 flags, u64 request, u64 remaining)
{
    struct time_spec spec;
    u64 wanted, now = clock_monotonic_ns();
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
        clock != CLOCK_TAI)
        return clock < 0 || clock > CLOCK_TAI ? -EINVAL : -EOPNOTSUPP;
    if (flags & ~TIMER_ABSTIME)
        return -EINVAL;
    if (copy_in(&spec, request, sizeof(spec)))
        return -EFAULT;
    if (!time_spec_ns(&spec, &wanted))
        return -EINVAL;
    if (!(flags & TIMER_ABSTIME))
        return sleep_until(t, now + wanted, remaining);
    u64 clock_now = clock == CLOCK_REALTIME || clock == CLOCK_TAI ? clock_realtime_ns() : now;
    return wanted <= clock_now ? 0 : sleep_until(t, now + (wanted - clock_now), 0);
}

s64 sys_nanosleep(struct thread *t, u64 request, u64 remaining)
{
    return sys_clock_nanosleep(t, CLOCK_MONOTONIC, 0, request, remaining);
}
