/* Between the run loop (kernel/run_loop.c, run_threads.c, surface.c), entry.asm, which starts it
   from the top of the CPU's stack, and what starts CPUs and enters user mode. */
#pragma once

#include "kernel/run_loop.h"

/* Makes this CPU's queues; before anything is queued. */
void run_loop_init(void);

/* Once, on the boot CPU, before a second CPU is started: makes room for the queues of `cpus` CPUs,
   settles what is otherwise found out when it is first asked for, and gives the surface lock to
   this CPU.  False: out of memory, and there must not be a second CPU. */
bool run_loop_share(u32 cpus);

/* entry.asm calls it. */
__attribute__((noreturn)) void run_loop_serve(void);

/* This CPU is about to enter user mode.  True: something was queued for it, and the thread has to
   go through the run loop first. */
bool run_loop_enter_user(void);

/* Applies what is queued for this CPU, on the way back to user mode from a system call or an
   interrupt: the thread keeps the CPU.  False: it has to go through the run loop, for there was too
   much, its slice is over, or it may not run on this CPU any more. */
bool run_loop_serve_closures(void);

/* And so the thread that was interrupted keeps its turn; but not for the whole slice when others
   became ready meanwhile. */
void run_loop_interrupt_served(void);

/* An interrupt came in user mode: others may wait for this CPU. */
void run_loop_interrupted(void);

/* More than one CPU: kernel/run_queues.h. */
extern bool cpus_shared;

/* --- the surface lock (kernel/surface.c) ------------------------------------------------------ */

/* From now on it has to be taken, and this CPU has it. */
void surface_share(void);

/* Gives it up if this CPU has it. */
void surface_leave(void);
