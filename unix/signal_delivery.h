/* Signals, the part that threads and faults use; unix/signal.c and unix/signal_frame.c. */
#pragma once

#include "unix/thread.h"

#define SIGNAL_STACK_DISABLED 2u /* SS_DISABLE */

/* Before user mode: acts upon what is pending and not blocked.  May end the process, or change
   the frame to enter a handler. */
void signal_deliver(struct thread *t);

/* Faults of user mode become SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP; blocked or ignored they
   end the process. */
void signal_page_fault(struct thread *t, const struct user_fault *fault, enum fault_result result);
void signal_exception(struct thread *t, const struct user_fault *fault);

/* The handler's frame: 0, or -EFAULT when its stack cannot take it. */
s64 signal_frame_push(struct thread *t, const struct signal_info *info,
                      const struct signal_action *action);

/* Changes the mask (SIGKILL and SIGSTOP stay out of it) and looks at what that lets in. */
void signal_set_mask(struct thread *t, u64 mask);

/* Sends one that is not to be blocked or ignored: of a fault, or a broken frame. */
void signal_force(struct thread *t, const struct signal_info *info);

/* Takes the lowest pending signal of the set, the thread's own first; false: none is pending. */
bool signal_take_pending(struct thread *t, u64 set, struct signal_info *info);

/* After threads stopped taking the signals of `set`: those that are pending for the process go to
   another thread, if one takes them. */
void signal_retarget(struct process *p, u64 set);

static inline u64 signals_unblocked(const struct thread *t)
{
    return (t->signal_pending | t->process->signals.pending) & ~t->signal_mask;
}

/* Whether a signal is to be acted upon before the thread waits: pending, not blocked, and this
   thread's to take.  What is pending for the process is for the thread that was chosen for it, and
   has `attention`. */
static inline bool signal_is_pending(const struct thread *t)
{
    return unlikely(t->attention) && signals_unblocked(t);
}
