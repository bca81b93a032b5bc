/* Alarms: setitimer, getitimer and alarm of real time, as a timer that sends SIGALRM.  The timers
   of used processor time (ITIMER_VIRTUAL, ITIMER_PROF) are refused: nobody measures that yet. */
#include "kernel/user_copy.h"
#include "unix/syscall.h"

enum { ITIMER_REAL = 0 };

struct time_value { /* struct timeval */
    s64 seconds;
    s64 us;
};

struct interval_value { /* struct itimerval */
    struct time_value interval;
    struct time_value value;
};

static struct time_value time_value_of(u64 ns)
{
    u64 us = (ns + NS_PER_US - 1) / NS_PER_US; /* what is left is never said to be nothing */
    return (struct time_value){(s64)(us / 1000000), (s64)(us % 1000000)};
}

#define SECONDS_MOST 4000000000ll /* further away is as good as never */

static bool time_value_ns(const struct time_value *v, u64 *ns)
{
    if (v->seconds < 0 || v->us < 0 || v->us >= 1000000)
        return false;
    *ns = (u64)min(v->seconds, SECONDS_MOST) * NS_PER_SECOND + (u64)v->us * NS_PER_US;
    return true;
}

closure_method(thunk, alarm_rings, struct process, alarm_expired)
{
    struct process *p = owner();
    struct signal_info info = {.signal = SIGNAL_ALRM, .code = 0x80 /* SI_KERNEL */};
    if (p->exiting)
        return;
    if (p->alarm_interval_ns) {
        init_method(&p->alarm_expired, alarm_rings);
        timer_set(&p->alarm, clock_monotonic_ns() + p->alarm_interval_ns, &p->alarm_expired);
    }
    signal_send_process(p, &info);
}

static u64 alarm_left(const struct process *p)
{
    u64 now = clock_monotonic_ns();
    if (!p->alarm.pending)
        return 0;
    return p->alarm.expires_ns > now ? p->alarm.expires_ns - now : 1;
}

static void alarm_set(struct process *p, u64 value_ns, u64 interval_ns)
{
    timer_cancel(&p->alarm);
    p->alarm_interval_ns = interval_ns;
    if (!value_ns)
        return;
    init_method(&p->alarm_expired, alarm_rings);
    timer_set(&p->alarm, clock_monotonic_ns() + value_ns, &p->alarm_expired);
}

s64 sys_getitimer(struct thread *t, s32 which, u64 to)
{
    const struct process *p = t->process;
    if (which != ITIMER_REAL)
        return -EINVAL;
    struct interval_value now = {time_value_of(p->alarm_interval_ns), time_value_of(alarm_left(p))};
    return copy_out(to, &now, sizeof(now)) ? -EFAULT : 0;
}

s64 sys_setitimer(struct thread *t, s32 which, u64 new, u64 old)
{
    struct process *p = t->process;
    struct interval_value wanted = {0};
    u64 value, interval;
    if (which != ITIMER_REAL)
        return -EINVAL;
    if (new &&copy_in(&wanted, new, sizeof(wanted)))
        return -EFAULT;
    if (!time_value_ns(&wanted.value, &value) || !time_value_ns(&wanted.interval, &interval))
        return -EINVAL;
    s64 result = old ? sys_getitimer(t, which, old) : 0;
    if (result == 0)
        alarm_set(p, value, interval);
    return result;
}

/* Whole seconds; what was left of the last one is rounded up. */
s64 sys_alarm(struct thread *t, u32 seconds)
{
    u64 left = alarm_left(t->process);
    alarm_set(t->process, seconds * NS_PER_SECOND, 0);
    return (s64)((left + NS_PER_SECOND - 1) / NS_PER_SECOND);
}
