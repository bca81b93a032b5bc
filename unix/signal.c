/* Signals: sending, choosing what to deliver, default actions.

   A signal is a bit in a pending set, of a thread or of the process, and the information of the
   last one sent; real-time signals are not queued more than once (as the standard ones).  Delivery
   happens where a thread is about to enter user mode (thread_run), when its `attention` is set. */
#include "unix/signal.h"

#include "kernel/log.h"
#include "kernel/run_loop.h"
#include "unix/signal_delivery.h"
#include "unix/syscall.h"
#include "unix/wait.h"
#include "unix/where.h"

#define SIGNALS_UNBLOCKABLE (1ull << (SIGNAL_KILL - 1) | 1ull << (SIGNAL_STOP - 1))

static const char *const names[] = {
    "signal 0",  "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

const char *signal_name(u32 signal)
{
    return signal < countof(names) ? names[signal] : "a real-time signal";
}

static bool default_ignores(u32 signal)
{
    return signal == SIGNAL_CHLD || signal == SIGNAL_URG || signal == SIGNAL_WINCH ||
           signal == SIGNAL_CONT;
}

/* There is nobody who could continue a stopped process, so stopping is refused, with a word. */
static bool default_stops(u32 signal)
{
    return signal >= SIGNAL_STOP && signal <= SIGNAL_TTOU;
}

bool signal_is_ignored(const struct process *p, u32 signal)
{
    u64 handler = p->signals.actions[signal - 1].handler;
    return handler == SIGNAL_IGNORE || (handler == SIGNAL_DEFAULT && default_ignores(signal));
}

/* Whether one of the signals that are pending will end the process. */
static bool deadly_signals(const struct thread *t)
{
    for (u64 set = signals_unblocked(t); set; set &= set - 1) {
        u32 signal = (u32)__builtin_ctzll(set) + 1;
        if (t->process->signals.actions[signal - 1].handler == SIGNAL_DEFAULT &&
            !default_ignores(signal) && !default_stops(signal))
            return true;
    }
    return false;
}

/* The thread has something to do before user mode: a wait that may be interrupted ends, and from
   user mode on another CPU it comes back. */
static void thread_attend(struct thread *t)
{
    t->attention = true;
    if (thread_is_waiting(t))
        thread_wait_interrupt(t);
    else if (deadly_signals(t))
        thread_fetch_interrupt(t);
    run_thread_interrupt(&t->runnable);
}

/* The thread that a signal of the process goes to: one that does not block it, rather one that
   waits. */
static struct thread *signal_taker(struct process *p, u32 signal)
{
    struct thread *taker = NULL;
    list_for_each (&p->threads, l) {
        struct thread *t = container_of(l, struct thread, link);
        if (!(t->signal_mask & signal_bit(signal)) && (!taker || thread_is_waiting(t)))
            taker = t;
    }
    return taker;
}

void signal_retarget(struct process *p, u64 set)
{
    set &= p->signals.pending;
    for (; set; set &= set - 1) {
        struct thread *taker = signal_taker(p, (u32)__builtin_ctzll(set) + 1);
        if (taker)
            thread_attend(taker);
    }
}

void signal_set_mask(struct thread *t, u64 mask)
{
    u64 blocked = mask & ~t->signal_mask & ~SIGNALS_UNBLOCKABLE;
    t->signal_mask = mask & ~SIGNALS_UNBLOCKABLE;
    if (signals_unblocked(t))
        t->attention = true;
    if (unlikely(blocked & t->process->signals.pending))
        signal_retarget(t->process, blocked);
}

void signal_send_thread(struct thread *t, const struct signal_info *info)
{
    u32 signal = (u32)info->signal;
    bool blocked = t->signal_mask & signal_bit(signal);
    if (signal_is_ignored(t->process, signal) && !blocked)
        return;
    t->signal_pending |= signal_bit(signal);
    t->signal_infos[signal - 1] = *info;
    if (!blocked)
        thread_attend(t);
}

void signal_send_process(struct process *p, const struct signal_info *info)
{
    u32 signal = (u32)info->signal;
    struct thread *taker = signal_taker(p, signal);
    if (signal_is_ignored(p, signal) && taker)
        return;
    p->signals.pending |= signal_bit(signal);
    p->signals.infos[signal - 1] = *info;
    if (taker)
        thread_attend(taker);
}

#define CODE_KERNEL 0x80 /* SI_KERNEL */

void signal_raise(struct thread *t, u32 signal)
{
    struct signal_info info = {.signal = (s32)signal, .code = CODE_KERNEL};
    signal_send_thread(t, &info);
}

void signal_force(struct thread *t, const struct signal_info *info)
{
    u32 signal = (u32)info->signal;
    struct signal_action *action = &t->process->signals.actions[signal - 1];
    if ((t->signal_mask & signal_bit(signal)) || action->handler == SIGNAL_IGNORE) {
        action->handler = SIGNAL_DEFAULT;
        t->signal_mask &= ~signal_bit(signal);
    }
    signal_send_thread(t, info);
}

/* --- faults ----------------------------------------------------------------------------------- */

enum fault_code { CODE_MAPERR = 1, CODE_ACCERR = 2, CODE_BUS_ADRERR = 2 };

void signal_page_fault(struct thread *t, const struct user_fault *fault, enum fault_result result)
{
    bool bus = result == FAULT_BEYOND_END;
    struct signal_info info = {
        .signal = bus ? SIGNAL_BUS : SIGNAL_SEGV,
        .code = bus                         ? CODE_BUS_ADRERR
                : result == FAULT_NO_REGION ? CODE_MAPERR
                                            : CODE_ACCERR,
        .address = fault->address,
    };
    t->fault = *fault;
    signal_force(t, &info);
}

void signal_exception(struct thread *t, const struct user_fault *fault)
{
    struct signal_info info = {.signal = SIGNAL_SEGV, .code = CODE_KERNEL};
    switch (fault->vector) {
    case 0: /* divide */
        info = (struct signal_info){.signal = SIGNAL_FPE, .code = 1, .address = t->frame.rip};
        break;
    case 1: /* debug */
        info = (struct signal_info){.signal = SIGNAL_TRAP, .code = 2, .address = t->frame.rip};
        break;
    case 3: /* breakpoint */
        info.signal = SIGNAL_TRAP;
        break;
    case 6: /* invalid opcode */
        info = (struct signal_info){.signal = SIGNAL_ILL, .code = 2, .address = t->frame.rip};
        break;
    case 16: /* x87 */
    case 19: /* SIMD: which of the exceptions is in the program's own status words */
        info = (struct signal_info){.signal = SIGNAL_FPE, .code = 7, .address = t->frame.rip};
        break;
    case 17: /* alignment */
        info = (struct signal_info){.signal = SIGNAL_BUS, .code = 1};
        break;
    default:
        break;
    }
    t->fault = *fault;
    signal_force(t, &info);
}

/* --- delivery --------------------------------------------------------------------------------- */

/* Of a fault, not sent by anybody: then where it happened is worth saying. */
static bool fault_signal(const struct signal_info *info)
{
    return info->code > 0 && (info->signal == SIGNAL_SEGV || info->signal == SIGNAL_BUS ||
                              info->signal == SIGNAL_ILL || info->signal == SIGNAL_FPE ||
                              info->signal == SIGNAL_TRAP);
}

/* The last word about a process that a signal ends: what, where, and in which file. */
static void process_killed(struct thread *t, const struct signal_info *info)
{
    struct process *p = t->process;
    if (fault_signal(info)) {
        char place[WHERE_BYTES];
        where_text(p, t->frame.rip, place, sizeof(place));
        log_error("%s: %s at address %#llx, rip %#llx in %s", p->path,
                  signal_name((u32)info->signal), (unsigned long long)info->address,
                  (unsigned long long)t->frame.rip, place);
    } else if (info->signal != SIGNAL_PIPE) {
        log_error("%s: ended by %s", p->path, signal_name((u32)info->signal));
    }
    process_exit(p, (u8)(128 + info->signal));
}

bool signal_take_pending(struct thread *t, u64 set, struct signal_info *info)
{
    struct signal_table *s = &t->process->signals;
    u64 own = t->signal_pending & set, shared = s->pending & set;
    if (own) {
        u32 bit = (u32)__builtin_ctzll(own);
        t->signal_pending &= ~(1ull << bit);
        *info = t->signal_infos[bit];
        return true;
    }
    if (shared) {
        u32 bit = (u32)__builtin_ctzll(shared);
        s->pending &= ~(1ull << bit);
        *info = s->infos[bit];
        return true;
    }
    return false;
}

#define CALL_FUTEX 202

/* Calls that a handler with SA_RESTART lets start again (signal(7)): those that wait on files, and
   waits for children and locks; not sleeps, polls and the like, nor a futex or a socket with a
   timeout. */
static bool call_restarts(const struct user_frame *call)
{
    static const u16 calls[] = {0,  1,  16, 17, 18,  19,  20,  42,  43,  44,  45,  46,
                                47, 61, 72, 73, 202, 247, 288, 295, 296, 299, 307, 318};
    for (u32 i = 0; i < countof(calls); i++)
        if (calls[i] == call->orig_rax)
            return call->orig_rax != CALL_FUTEX || !call->r10;
    return false;
}

static void enter_handler(struct thread *t, const struct signal_info *info,
                          struct signal_action *action)
{
    if (t->interrupted && !t->wait_timed && (action->flags & SIGNAL_RESTART) &&
        call_restarts(&t->frame)) {
        t->frame.rax = t->frame.orig_rax;
        t->frame.rip -= 2; /* onto the syscall instruction again */
    }
    t->interrupted = false;
    struct signal_action copy = *action;
    if (copy.flags & SIGNAL_RESET_HANDLER)
        action->handler = SIGNAL_DEFAULT;
    if (signal_frame_push(t, info, &copy) != 0) {
        struct signal_info broken = {.signal = SIGNAL_SEGV, .code = CODE_KERNEL};
        log_error("%s: no room on the stack for the handler of %s", t->process->path,
                  signal_name((u32)info->signal));
        process_killed(t, &broken);
        return;
    }
    u64 blocked = copy.mask;
    if (!(copy.flags & SIGNAL_NO_DEFER))
        blocked |= signal_bit((u32)info->signal);
    t->restore_mask = false;
    signal_set_mask(t, t->signal_mask | blocked);
}

void signal_deliver(struct thread *t)
{
    struct process *p = t->process;
    struct signal_info info;
    t->attention = false;
    while (!p->exiting && signal_take_pending(t, ~t->signal_mask, &info)) {
        u32 signal = (u32)info.signal;
        struct signal_action *action = &p->signals.actions[signal - 1];
        if (signal_is_ignored(p, signal))
            continue;
        if (action->handler != SIGNAL_DEFAULT)
            enter_handler(t, &info, action);
        else if (default_stops(signal))
            log_warning("%s: %s is ignored: nobody could continue it", p->path,
                        signal_name(signal));
        else
            process_killed(t, &info);
    }
    t->interrupted = false;
    if (t->restore_mask) {
        t->restore_mask = false;
        signal_set_mask(t, t->saved_mask);
    }
}
