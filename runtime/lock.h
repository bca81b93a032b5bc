/* Spin locks with a rank.

   Locks are taken in rising rank; checked builds panic on an inversion, on a completion applied
   under a lock, and on a lock that is released by somebody else.  The kernel runs with interrupts
   off (kernel/run_loop.h), so a lock needs no form of its own for interrupt handlers. */
#pragma once

#include "runtime/types.h"

enum lock_rank {
    RANK_NONE,
    RANK_PROCESS, /* unix: a process's tables */
    RANK_FILE,    /* fs: an inode */
    RANK_FS,      /* fs: the filesystem's maps and log */
    RANK_CACHE,   /* fs: the page cache */
    RANK_DEVICE,  /* drivers: a device's rings */
    RANK_SCHEDULER,
    RANK_TIMER,
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

void spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l);
bool spin_held(const struct spinlock *l);

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
