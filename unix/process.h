/* The process: one program with its memory, files and signal actions.  Nothing assumes that there
   is only one.  Made by process_start (unix/exec.c); ends through process_exit, once.

   Lock: `lock` (rank PROCESS) guards the tables; a completion is never applied under it. */
#pragma once

#include "kernel/census.h"
#include "kernel/clock.h"
#include "runtime/list.h"
#include "runtime/lock.h"
#include "runtime/scope.h"
#include "unix/memory.h"
#include "unix/signal.h"
#include "unix/unix.h"

struct fd_table; /* unix/descriptor.h: the file side's */

#define PROCESS_PATH_MOST 4096 /* bytes of a path with its terminator: PATH_MAX */

#define PROCESS_GROUPS_MOST 32

struct process {
    struct spinlock lock; /* rank PROCESS */
    u32 pid;              /* [I] */
    u32 parent_pid;       /* [I] */
    struct user_memory memory;
    struct list threads;             /* [lock] of struct thread */
    u32 thread_count;                /* [lock] */
    struct scope scope;              /* the threads' scopes are parts of it */
    u32 next_tid;                    /* [lock] */
    struct filesystem *fs;           /* [I] */
    struct fd_table *files;          /* the file side's, from files_create */
    struct inode *root;              /* held */
    struct inode *cwd;               /* held; the file side changes it */
    u32 umask;                       /* the file side's */
    u32 groups[PROCESS_GROUPS_MOST]; /* the supplementary ones: unix/identity.c */
    u32 group_count;
    struct inode *executable;         /* held: /proc/self/exe */
    char path[PROCESS_PATH_MOST];     /* absolute path of the program: /proc/self/exe, messages */
    char name[16];                    /* comm: prctl(PR_SET_NAME) */
    u64 argument_start, argument_end; /* user addresses: /proc/self/cmdline */
    u64 environment_start, environment_end;
    u64 auxv_start, auxv_end; /* /proc/self/auxv */
    u64 started_ns;           /* monotonic */
    struct signal_table signals;
    struct timer alarm; /* ITIMER_REAL: unix/alarm.c */
    struct thunk alarm_expired;
    u64 alarm_interval_ns; /* 0: it rings once */
    bool exiting;          /* [lock] process_exit was called; threads that come back are dropped */
    u8 exit_status;        /* [lock] */
    process_ended ended;
    struct census_writer census;       /* unix/census.c */
    struct status_handler waits_ended; /* nothing is in flight any more, or too long */
    struct status_handler closed;      /* its scope */
    struct status_handler quiet;       /* what was sent over the network has arrived */
    struct status_handler drained;     /* the console has taken the last output */
};

/* Ends the process with what its parent will see: 0-255, or 128 + N for a signal.  Its threads do
   not come back to user mode, everything they wait for is cancelled, and what has not ended after
   two seconds is named and left alone; then the last output is drained.  Safe to call more than
   once: the first status stays.  The calling thread must not touch user memory after it;
   system calls return SYSCALL_LATER. */
void process_exit(struct process *p, u8 exit_status);

/* Lets a census show the process, until the end. */
void process_census_start(struct process *p);
void process_census_end(struct process *p);

/* --- what the file side gives to the process side (unix/descriptor.c, unix/path.c) ------------ */

/* A table with descriptors 0, 1 and 2 on the console.  0 or -ENOMEM. */
s64 files_create(struct process *p);
void files_destroy(struct process *p);
/* Closes its sockets alone; how many there were. */
u32 files_close_sockets(struct process *p);

/* Follows symlinks; relative to p->cwd; the path is in kernel memory.  0 and *found with a hold on
   it, or -errno as open(2) gives it. */
s64 path_find(struct process *p, const char *path, struct inode **found);

/* What a descriptor gives to mmap.  0 with the inode held, or NULL for /dev/zero (anonymous);
   -EBADF, -EACCES (not open for reading; or shared and writable and not open for writing),
   -ENODEV (cannot be mapped). */
struct file_mapping {
    struct inode *inode;
    bool writable; /* open for writing: mprotect may allow it later */
};
s64 file_for_mmap(struct process *p, s32 fd, bool shared_writable, struct file_mapping *m);
