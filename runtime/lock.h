/* Spin locks with a rank.

   Locks are taken in rising rank; checked builds panic on an inversion, on a completion applied
   under a lock, and on a lock that is released by somebody else.  The kernel runs with interrupts
   off (kernel/run_loop.h), so a lock needs no form of its own for interrupt handlers. */
#pragma once

#include "runtime/types.h"

enum lock_rank {
    RANK_NONE,
    RANK_PROCESS,     /* unix: a process's threads, signals, credentials, working directory */
    RANK_DESCRIPTORS, /* unix: a descriptor table */
    RANK_FILE,        /* unix: an open file, a pipe, file locks */
    RANK_FUTEX,       /* unix: a bucket of waiters */
    RANK_WAIT_QUEUE,  /* unix: who waits for a file */
    RANK_MEMORY,      /* unix: a process's regions and pages */
    RANK_FS,          /* fs: the filesystem's maps and log */
    RANK_CACHE,       /* fs: the page cache */
    RANK_DEVICE,      /* drivers: a device's rings */
    RANK_SCOPE,       /* runtime: a scope's operations */
    RANK_TIMER,       /* a CPU's timers */
    RANK_SCHEDULER,   /* a CPU's thread queue, where it needs more than a lock-free queue */
    RANK_PAGE_TABLE,
    RANK_HEAP,
    RANK_LOG, /* the message log, last: anyone may print */
};

struct spinlock {
    u32 held;            /* [a] */
    enum lock_rank rank; /* [I] */
    const char *name;    /* [I] */
};

#define SPINLOCK(rank_value, name_text) ((struct spinlock){0, (rank_value), (name_text)})

#ifdef CLOSURE_CHECKS
void spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l);
#else
/* Somebody has it. */
void spin_wait(struct spinlock *l);

static inline void spin_lock(struct spinlock *l)
{
    if (unlikely(__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE)))
        spin_wait(l);
}

static inline void spin_unlock(struct spinlock *l)
{
    __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}
#endif
/* A second lock of the same rank as the one taken last, which lies at a lower address. */
void spin_lock_beside(struct spinlock *l);
/* False, at once, when somebody has it.  For dumps and for thieves. */
bool spin_try(struct spinlock *l);
bool spin_held(const struct spinlock *l);

/* Called again and again by a CPU that waits for a lock with interrupts off; NULL: nothing to do.
   The kernel answers TLB shoot-downs there, so a holder may wait for all CPUs. */
extern void (*lock_waiting)(void);

#ifdef CLOSURE_CHECKS
/* The locks that this CPU (hosted: this thread) holds.  A kernel with several CPUs sets
   lock_context to give each its own; until then there is one stack. */
#define LOCK_DEPTH_MOST 12
struct lock_stack {
    const struct spinlock *locks[LOCK_DEPTH_MOST];
    u32 depth;
};
extern struct lock_stack *(*lock_context)(void);

/* The lock taken last by this CPU and still held; NULL when it holds none. */
const struct spinlock *lock_held_here(void);
#endif
