/* How a thread waits: as an operation in its scope, so there is one way to give a wait up.

   A system call that waits for something that may never happen:

       w->landed = thread_wait(t, &w->cancel, deadline_ns, &w->done);
       if (!w->landed)
           ...                      the thread is being ended: return -EINTR, nobody will look
       ... put the waiter on its queue ...
       thread_wait_started(t);
       return SYSCALL_LATER;

   Whoever takes the waiter off its queue applies `landed` with success.  `cancel` gets EINTR (a
   signal), ETIMEDOUT (the deadline) or ECANCELED (the thread ends): it takes the waiter off its
   queue and applies `landed` with the reason, or does nothing when it is off already.  `done` makes
   the system call's result of that.  `landed` may be deferred (run_later_status), and has to be
   where `done` touches user memory and the waker is in the middle of another thread's call.

   Pages that come from the disk are waited for with thread_fetch: signals wait until they are
   there, but a thread that ends does not, nor one that a signal kills. */
#pragma once

#include "runtime/scope.h"
#include "unix/thread.h"

/* One wait of a thread at a time.  deadline_ns is monotonic; 0: none.  `done` is taken over unless
   NULL is returned.  The surface lock is held from here to thread_wait_started, so nobody wakes the
   waiter or gives it up in between; the caller does not either. */
status_handler thread_wait(struct thread *t, cancel_handler cancel, u64 deadline_ns,
                           status_handler done);

/* The waiter is where it will be found.  A signal that is pending ends the wait at once.  Last: the
   wait may be over when this returns. */
void thread_wait_started(struct thread *t);

/* Ends the wait, if there is one, with EINTR. */
void thread_wait_interrupt(struct thread *t);

static inline bool thread_is_waiting(const struct thread *t)
{
    return t->wait.scope != NULL;
}

/* pages_fetch for a thread: `done` is applied once, also when the thread ends first (ECANCELED) or
   a signal is about to end the process (EINTR).  The fetch itself goes on then. */
void thread_fetch(struct thread *t, struct inode *i, u64 first, u64 count, status_handler done);

/* Ends the wait for pages, if there is one, with EINTR. */
void thread_fetch_interrupt(struct thread *t);
