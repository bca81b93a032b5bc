/* How a thread waits: see unix/wait.h. */
#include "unix/wait.h"

#include "kernel/run_loop.h"
#include "unix/signal_delivery.h"

status_handler thread_wait(struct thread *t, cancel_handler cancel, u64 deadline_ns,
                           status_handler done)
{
    t->wait_timed = deadline_ns != 0;
    return unlikely(deadline_ns)
               ? operation_begin_until(&t->scope, &t->wait, cancel, deadline_ns, done)
               : operation_begin(&t->scope, &t->wait, cancel, done);
}

void thread_wait_interrupt(struct thread *t)
{
    if (thread_is_waiting(t))
        operation_cancel(&t->scope, &t->wait, status_error(EINTR, "a signal came", t->tid));
}

void thread_wait_started(struct thread *t)
{
    if (unlikely(signal_is_pending(t)))
        thread_wait_interrupt(t);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Deferred, for the thread is ended in the middle of something. */
closure_method(cancel_handler, thread_fetch_cancel, struct thread, fetch_cancel, status why)
{
    struct thread *t = owner();
    if (pages_wait_cancel(&t->pages_wait))
        run_later_status(t->fetch_landed, why);
}

void thread_fetch_interrupt(struct thread *t)
{
    operation_cancel(&t->scope, &t->fetch, status_error(EINTR, "a deadly signal came", t->tid));
}

void thread_fetch(struct thread *t, struct inode *i, u64 first, u64 count, status_handler done)
{
    init_method(&t->fetch_cancel, thread_fetch_cancel);
    t->fetch_landed = operation_start(&t->scope, &t->fetch, &t->fetch_cancel, done);
    if (!t->fetch_landed) {
        run_later_status(done, status_error(ECANCELED, "the thread is being ended", t->tid));
        return;
    }
    pages_fetch_cancellable(i, first, count, &t->pages_wait, t->fetch_landed);
    operation_started(&t->fetch);
}
