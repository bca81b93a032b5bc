/* nanosleep and clock_nanosleep: a wait that nothing but its deadline or a signal ends. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"
#include "unix/time_spec.h"
#include "unix/wait.h"

#define TIMER_ABSTIME 1

struct sleep {
    struct thread *thread;
    u64 wakes_ns;
    u64 remaining; /* user address; 0: not wanted */
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler done;
};

closure_method(cancel_handler, sleep_cancel, struct sleep, cancel, status why)
{
    run_later_status(owner()->landed, why);
}

static s64 sleep_interrupted(struct sleep *s)
{
    u64 now = clock_monotonic_ns();
    struct time_spec left = time_spec_of(s->wakes_ns > now ? s->wakes_ns - now : 0);
    thread_activate(s->thread);
    return s->remaining && copy_out(s->remaining, &left, sizeof(left)) ? -EFAULT : -EINTR;
}

closure_method(status_handler, sleep_done, struct sleep, done, status why)
{
    struct sleep *s = owner();
    syscall_return(s->thread, status_errno(why) == EINTR ? sleep_interrupted(s) : 0);
}

static s64 sleep_until(struct thread *t, u64 wakes_ns, u64 remaining)
{
    struct sleep *s = thread_operation(t, struct sleep);
    if (signal_is_pending(t))
        return -EINTR;
    s->thread = t;
    s->wakes_ns = wakes_ns;
    s->remaining = remaining;
    init_method(&s->cancel, sleep_cancel);
    init_method(&s->done, sleep_done);
    s->landed = thread_wait(t, &s->cancel, max(wakes_ns, 1ull), &s->done);
    if (!s->landed)
        return -EINTR;
    thread_wait_started(t);
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
