/* The system calls about signals: actions, masks, kill and its like, waiting for a signal. */
#include "kernel/run_loop.h"
#include "kernel/user_copy.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"

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
    struct thunk interrupted;
};

closure_method(thunk, signal_came, struct signal_wait, interrupted)
{
    struct signal_wait *w = owner();
    syscall_return(w->thread, -EINTR);
}

static s64 wait_for_signal(struct thread *t)
{
    struct signal_wait *w = thread_operation(t, struct signal_wait);
    w->thread = t;
    init_method(&w->interrupted, signal_came);
    t->interrupt = &w->interrupted;
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
