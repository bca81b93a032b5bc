/* A CPU's queues: between kernel/run_loop.c, kernel/run_threads.c, kernel/run_census.c and nobody
   else.

   How nothing is missed.  A producer adds, and then looks at the mode of the CPU that it added for;
   that CPU says its new mode first and then looks at its queues once more.  Both are sequentially
   consistent, so one of them sees the other.  A CPU that serves its queues need not be told; one in
   user mode or in its halt gets an interrupt (cpu_wake).  cpu->work_pending says that there are
   closures since the CPU last looked; who finds it set already need not tell the CPU again. */
#pragma once

#include "kernel/cpus.h"
#include "kernel/run_loop.h"
#include "kernel/x86/cpu.h"
#include "runtime/queue.h"

enum cpu_mode {
    CPU_SERVING, /* it looks at its queues before it does anything else */
    CPU_IN_USER, /* or in a system call, which may go straight back there */
    CPU_IDLE,
};

struct cpu_queues {
    struct closure_queue own, bottom_halves; /* any CPU adds; this one takes */
    struct thunk_queue threads;              /* any CPU adds and takes */
    struct cpu *cpu;                         /* [I] */
    u32 mode;                                /* [a] enum cpu_mode; written by this CPU */
    bool slice_armed;                        /* [a] `slice` is pending; written by this CPU */
    bool behind;                             /* closures were left when the thread's turn came */
    bool turn_over;                          /* the running thread has had its slice */
    struct runnable *running;                /* whose turn it is */
    u64 turn;                                /* counts them */
    u64 turn_added;                          /* thunk_queue_added of `threads` when it began */
    u64 slice_turn, short_turn;              /* when `slice` was set, and when it was shortened */
    struct timer slice;
    struct thunk slice_ended;
};

/* True when there is more than one CPU.  Changes once, while the boot CPU alone runs. */
extern bool cpus_shared;

extern struct thunk_queue queue_shared; /* for any CPU; used when there is more than one */

/* CPUs that run a run loop, and those of them that idle. */
extern u64 cpus_serving, cpus_idle; /* [a] */

static inline struct cpu_queues *queues_here(void)
{
    return this_cpu()->queues;
}

/* Those of another CPU, which runs a run loop. */
struct cpu_queues *queues_of(u32 number);

/* Something other than a closure was queued for it. */
void queues_tell(struct cpu_queues *q);

/* Wakes one of the CPUs that idle.  False: none did. */
bool idle_wake(u64 among);

/* --- kernel/run_threads.c --------------------------------------------------------------------- */

/* The next thread of this CPU, which is this CPU's from now on; NULL: none. */
struct runnable *thread_next(struct cpu_queues *q);

/* The same from the other CPUs' queues. */
struct runnable *thread_steal(struct cpu_queues *q);

/* False: the thread that this CPU runs has to go on on another one. */
bool thread_may_stay(const struct cpu_queues *q);

/* The thread that this CPU ran is another one's from now on. */
void thread_leave(struct cpu_queues *q);

/* Limits the time of the running thread. */
void slice_begin(struct cpu_queues *q);
/* To less than a slice from now on, once in a turn. */
void slice_shorten(struct cpu_queues *q);
void slice_init(struct cpu_queues *q);
