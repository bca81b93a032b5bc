/* The run loop: one per CPU.  Its order: this CPU's thunks, the bottom halves that interrupt
   handlers left, the shared run queue, then one application thread.

   Kernel code runs with interrupts off and never blocks; interrupts arrive in user mode and while
   the idle CPU halts, and their handlers only leave bottom halves.  So nothing that an interrupt
   handler touches needs more than a lock-free queue. */
#pragma once

#include "runtime/closure.h"

/* Queue a thunk or a completion on this CPU; it is applied by the run loop, later, once.  Never
   fails and never allocates: the link is in the closure, which must not be queued already. */
void run_later(thunk t);
void run_later_status(status_handler done, status s);

/* The same from an interrupt handler. */
void run_bottom_half(thunk t);

/* Threads: a thunk that may enter user mode; one is run per pass, after all other work. */
void run_thread(thunk t);

/* Serves this CPU's queues for ever.  Starts again from the top of the CPU's stack, so a system
   call or a trap that has nothing more to return to may call it from anywhere in the kernel. */
__attribute__((noreturn)) void run_loop(void);
