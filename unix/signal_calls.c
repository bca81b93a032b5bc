/* The system calls about signals: actions, masks, kill and its like, waiting for a signal. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"
#include "unix/time_spec.h"
#include "unix/wait.h"

#define SET_BYTES 8 /* sigset_t of the kernel's interface */

enum { CODE_USER = 0, CODE_TKILL = -6 };

/* The two that can be neither caught nor ignored. */
static bool signal_fixed(u32 signal)
{
    return signal == SIGNAL_KILL || signal == SIGNAL_STOP;
}

s64 sys_rt_sigaction(struct thread *t, s32 signal, u64 new, u64 old, u64 set_bytes)
{
    struct signal_table *s = &t->process->signals;
    if (set_bytes != SET_BYTES || signal < 1 || signal > SIGNALS)
        return -EINVAL;
    struct signal_action wanted = {0}, was = s->actions[signal - 1];
    if (new &&copy_in(&wanted, new, sizeof(wanted)))
        return -EFAULT;
    if (new &&signal_fixed((u32)signal))
        return -EINVAL;
    if (old && copy_out(old, &was, sizeof(was)))
        return -EFAULT;
    if (!new)
        return 0;
    wanted.mask &= ~(signal_bit(SIGNAL_KILL) | signal_bit(SIGNAL_STOP));
    s->actions[signal - 1] = wanted;
    if (signal_is_ignored(t->process, (u32)signal)) {
        s->pending &= ~signal_bit((u32)signal);
        t->signal_pending &= ~signal_bit((u32)signal);
    }
    return 0;
}

s64 sys_rt_sigprocmask(struct thread *t, s32 how, u64 new, u64 old, u64 set_bytes)
{
    u64 set = 0, was = t->signal_mask;
    if (set_bytes != SET_BYTES)
        return -EINVAL;
    if (new &&copy_in(&set, new, sizeof(set)))
        return -EFAULT;
    if (new && (how < 0 || how > 2))
        return -EINVAL;
    if (old && copy_out(old, &was, sizeof(was)))
        return -EFAULT;
    if (new)
        signal_set_mask(t, how == 0 ? was | set : how == 1 ? was & ~set : set);
    return 0;
}

s64 sys_rt_sigpending(struct thread *t, u64 to, u64 set_bytes)
{
    u64 set = (t->signal_pending | t->process->signals.pending) & t->signal_mask;
    if (set_bytes > SET_BYTES)
        return -EINVAL;
    return copy_out(to, &set, set_bytes) ? -EFAULT : 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct signal_info sent_by(const struct thread *t, s32 signal, s32 code)
{
    return (struct signal_info){.signal = signal, .code = code, .address = t->process->pid};
}

/* There is one process; 0 and -1 and its own group name it too. */
s64 sys_kill(struct thread *t, s32 pid, s32 signal)
{
    struct process *p = t->process;
    if (signal < 0 || signal > SIGNALS)
        return -EINVAL;
    if (pid != 0 && pid != -1 && (u32)(pid < 0 ? -pid : pid) != p->pid)
        return -ESRCH;
    if (pid == -1)
        return -ESRCH; /* everybody but the caller: nobody */
    if (signal) {
        struct signal_info info = sent_by(t, signal, CODE_USER);
        signal_send_process(p, &info);
    }
    return 0;
}

static struct thread *thread_of_tid(struct process *p, s32 tid)
{
    list_for_each (&p->threads, l) {
        struct thread *t = container_of(l, struct thread, link);
        if (t->tid == (u32)tid)
            return t;
    }
    return NULL;
}

s64 sys_tgkill(struct thread *t, s32 pid, s32 tid, s32 signal)
{
    if (pid <= 0 || tid <= 0 || signal < 0 || signal > SIGNALS)
        return -EINVAL;
    struct thread *to = thread_of_tid(t->process, tid);
    if ((u32)pid != t->process->pid || !to)
        return -ESRCH;
    if (signal) {
        struct signal_info info = sent_by(t, signal, CODE_TKILL);
        signal_send_thread(to, &info);
    }
    return 0;
}

s64 sys_tkill(struct thread *t, s32 tid, s32 signal)
{
    return sys_tgkill(t, (s32)t->process->pid, tid, signal);
}

/* --- waiting for a signal --------------------------------------------------------------------- */

struct signal_wait {
    struct thread *thread;
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler done;
};

closure_method(cancel_handler, signal_came, struct signal_wait, cancel, status why)
{
    apply(owner()->landed, why);
}

closure_method(status_handler, signal_wait_done, struct signal_wait, done, status why)
{
    syscall_return(owner()->thread, syscall_status(why));
}

static s64 wait_for_signal(struct thread *t)
{
    struct signal_wait *w = thread_operation(t, struct signal_wait);
    w->thread = t;
    init_method(&w->cancel, signal_came);
    init_method(&w->done, signal_wait_done);
    w->landed = thread_wait(t, &w->cancel, 0, &w->done);
    if (!w->landed)
        return -EINTR;
    thread_wait_started(t);
    return SYSCALL_LATER;
}

s64 sys_pause(struct thread *t)
{
    return signal_is_pending(t) ? -EINTR : wait_for_signal(t);
}

s64 sys_rt_sigsuspend(struct thread *t, u64 set, u64 set_bytes)
{
    u64 mask;
    if (set_bytes != SET_BYTES)
        return -EINVAL;
    if (copy_in(&mask, set, sizeof(mask)))
        return -EFAULT;
    t->saved_mask = t->signal_mask;
    t->restore_mask = true;
    t->attention = true;
    signal_set_mask(t, mask);
    return signal_is_pending(t) ? -EINTR : wait_for_signal(t);
}

/* --- taking a signal without a handler ----------------------------------------------------------
 */

struct signal_take {
    struct thread *thread;
    u64 set;
    u64 info;        /* user address; 0: not wanted */
    u64 mask_before; /* the set is let in while the call waits */
    status_handler landed;
    struct cancel_handler cancel;
    struct status_handler done;
};

struct user_signal_info { /* siginfo_t */
    s32 signal, error, code, padding;
    u64 address, value;
    u64 rest[12];
};

/* A pending one of the set, its number returned; 0: none is.  -EFAULT. */
static s64 take_one(struct thread *t, u64 set, u64 to)
{
    struct signal_info info;
    if (!signal_take_pending(t, set, &info))
        return 0;
    struct user_signal_info out = {.signal = info.signal,
                                   .error = info.error,
                                   .code = info.code,
                                   .address = info.address,
                                   .value = info.value};
    return to && copy_out(to, &out, sizeof(out)) ? -EFAULT : info.signal;
}

closure_method(cancel_handler, take_cancel, struct signal_take, cancel, status why)
{
    run_later_status(owner()->landed, why);
}

/* Whatever ended the wait, the signal may have come meanwhile. */
closure_method(status_handler, take_done, struct signal_take, done, status why)
{
    struct signal_take *w = owner();
    struct thread *t = w->thread;
    thread_activate(t);
    s64 taken = take_one(t, w->set, w->info);
    signal_set_mask(t, w->mask_before);
    syscall_return(t, taken ? taken : status_errno(why) == ETIMEDOUT ? -EAGAIN : -EINTR);
}

static s64 take_wait(struct thread *t, u64 set, u64 info, u64 deadline_ns)
{
    struct signal_take *w = thread_operation(t, struct signal_take);
    w->thread = t;
    w->set = set;
    w->info = info;
    w->mask_before = t->signal_mask;
    init_method(&w->cancel, take_cancel);
    init_method(&w->done, take_done);
    w->landed = thread_wait(t, &w->cancel, deadline_ns, &w->done);
    if (!w->landed)
        return -EINTR;
    signal_set_mask(t, t->signal_mask & ~set);
    thread_wait_started(t);
    return SYSCALL_LATER;
}

s64 sys_rt_sigtimedwait(struct thread *t, u64 set, u64 info, u64 timeout, u64 set_bytes)
{
    struct time_spec spec;
    u64 wanted, wait_ns = 0;
    if (set_bytes != SET_BYTES)
        return -EINVAL;
    if (copy_in(&wanted, set, sizeof(wanted)))
        return -EFAULT;
    if (timeout && copy_in(&spec, timeout, sizeof(spec)))
        return -EFAULT;
    if (timeout && !time_spec_ns(&spec, &wait_ns))
        return -EINVAL;
    wanted &= ~(signal_bit(SIGNAL_KILL) | signal_bit(SIGNAL_STOP));
    s64 taken = take_one(t, wanted, info);
    if (taken)
        return taken;
    if (timeout && !wait_ns)
        return -EAGAIN;
    if (signal_is_pending(t))
        return -EINTR;
    return take_wait(t, wanted, info, timeout ? clock_monotonic_ns() + wait_ns : 0);
}
