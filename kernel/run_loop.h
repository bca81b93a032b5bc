/* The run loop: one per CPU.  Its order: this CPU's thunks, the bottom halves that interrupt
   handlers left, the shared run queue, then one application thread.  A system call that queued
   closures applies them, in the same order, on its way back to user mode.

   Kernel code runs with interrupts off and never blocks; interrupts arrive in user mode, while an
   idle CPU halts and in run_loop_admit, and their handlers only leave bottom halves.  So nothing
   that an interrupt handler touches needs more than a lock-free queue.

   Several CPUs.  Queues, timers, memory and page tables may be used on any CPU at once.  Everything
   above them (unix/, fs/, drivers/) is serialised by the surface lock: the run loop holds it while
   it applies a closure, and a system call that is not marked PARALLEL takes it.  User mode, the
   idle CPU, the search for work and the queues never do. */
#pragma once

#include "runtime/closure.h"
#include "runtime/executor.h"

/* Queue a thunk or a completion on this CPU; it is applied by the run loop, later, once.  Never
   fails and never allocates: the link is in the closure, which must not be queued already. */
void run_later(thunk t);
void run_later_status(status_handler done, status s);

/* The same on CPU `number`, which is woken when it idles or is in user mode. */
void run_on(u32 number, thunk t);

/* The same on any CPU: the shared run queue.  An idle one is woken. */
void run_anywhere(thunk t);

/* The same from an interrupt handler. */
void run_bottom_half(thunk t);

/* For a system call that takes long, where a closure might as well end: lets interrupts in.  True:
   there is work for this CPU, and the call should wait behind it (run_bottom_half). */
bool run_loop_admit(void);

/* run_later, the clock and the timers as runtime/ and fs/ see them. */
extern const struct executor kernel_executor;

/* --- threads ------------------------------------------------------------------------------------
   A thread is a thunk that may enter user mode.  One is run per pass, after all other work.  It
   goes to the CPU where it ran last, or to an idle one that it may run on; a CPU with nothing to do
   steals from the others. */

struct runnable {
    struct thunk run; /* first: the queue's link */
    u64 cpus;         /* CPUs that it may run on, bit n for CPU n; not 0 */
    u32 cpu;          /* where it runs, or ran last */
    u32 on_cpu;       /* [a] CPU number + 1 while a CPU holds its registers or runs it; 0: none */
};

/* Everything but `run`, which is made ready with init_method. */
void runnable_init(struct runnable *r);

/* Queues it; it must not be queued already.  It may still be on its way out of the CPU that it ran
   on: whoever takes it waits for that. */
void run_thread(struct runnable *r);

/* Sets where it may run (at least one CPU that is online; the rest is cut off).  It moves when it
   runs next; to make that soon, run_thread_interrupt. */
void runnable_set_cpus(struct runnable *r, u64 cpus);

/* If it is in user mode or in a system call, on any CPU, it soon comes by user_hooks: interrupted,
   or served. */
void run_thread_interrupt(struct runnable *r);

/* Whether threads became ready for this CPU since the last one's turn here began.  Those that
   waited already have theirs when it is over. */
bool run_loop_others_ready(void);

/* Whether another thread waits for this CPU: then a thread that yields goes through run_thread. */
bool run_threads_wait(void);

/* Serves this CPU's queues for ever.  Starts again from the top of the CPU's stack, so a system
   call or a trap that has nothing more to return to may call it from anywhere in the kernel. */
__attribute__((noreturn)) void run_loop(void);

/* For dumps, in any context: what is queued, a census line each; and whether a CPU that is in the
   kernel was in user mode when it came there. */
void run_queues_census(void);
bool run_loop_serves_user(u32 number);

/* --- the surface lock -------------------------------------------------------------------------
   Held by a CPU at most once; given up by run_loop() and by entering user mode, whoever calls them.
   Nobody waits for ever: kernel/surface.c.  Free of cost while one CPU is online. */
void surface_lock(void);
void surface_unlock(void);
bool surface_lock_held(void); /* by this CPU */
