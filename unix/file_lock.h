/* Advisory locks on ranges of files: fcntl's per process and per open file (OFD), and flock's
   whole-file ones.

   The table knows owners and files as pointers that it only compares, so it is tested hosted.
   Bounded by FILE_LOCKS_MOST (then ENOLCK). */
#pragma once

#include "runtime/heap.h"
#include "runtime/list.h"
#include "runtime/types.h"

#define FILE_LOCKS_MOST 4096

enum file_lock_type { FILE_LOCK_READ, FILE_LOCK_WRITE };

struct file_lock {
    struct list link;
    const void *file;  /* which file: its inode */
    const void *owner; /* who: a process, or an open file */
    bool of_process;   /* fcntl's classic kind: goes with any close */
    u32 pid;           /* what F_GETLK tells; -1 for an open file */
    enum file_lock_type type;
    range bytes; /* end ~0: to the end of the file, however long */
};

struct file_locks {
    heap heap;
    struct list locks; /* in order of file and start per owner is not needed: few */
    u32 count;
};

void file_locks_init(struct file_locks *l, heap h);
void file_locks_destroy(struct file_locks *l);

/* The first lock of somebody else that is in the way; NULL when there is none. */
const struct file_lock *file_lock_conflict(const struct file_locks *l,
                                           const struct file_lock *wanted);
/* Sets it, over what the owner had there: splits and joins as POSIX says.  0, -EAGAIN, -ENOLCK. */
s64 file_lock_set(struct file_locks *l, const struct file_lock *wanted);
/* Takes the owner's locks on these bytes away.  0 or -ENOLCK (a split needs memory). */
s64 file_lock_clear(struct file_locks *l, const void *file, const void *owner, range bytes);
/* Everything of the owner on the file; it cannot fail. */
void file_lock_forget(struct file_locks *l, const void *file, const void *owner);
