/* The descriptor table of a process: which number is which open file, and what else the file side
   keeps for a process.

   The lowest free number is always taken, as POSIX wants.  The table grows up to the soft limit
   RLIMIT_NOFILE.  Everything is guarded by the process lock once calls of one process run on
   several CPUs; until then look-ups run between waits on the only one. */
#pragma once

#include "unix/file.h"
#include "unix/file_lock.h"

struct descriptor {
    struct file *file; /* NULL: free */
    bool close_on_exec;
};

struct limit {
    u64 soft, hard;
};
#define LIMITS       16
#define LIMIT_FSIZE  1
#define LIMIT_STACK  3
#define LIMIT_NOFILE 7
#define LIMIT_NONE   (~0ull)

struct fd_table {
    struct descriptor *entries;
    u32 capacity;
    u32 lowest;      /* no number below it is free */
    struct node cwd; /* when it is in the virtual tree; else the process's inode is it */
    struct inode
        *cwd_above; /* held; of a working directory that was removed: ".." still leads there */
    struct file_locks locks;
    struct limit limits[LIMITS];
};

/* The file of a descriptor, not held; NULL when there is none.  O_PATH files too. */
static inline struct file *descriptor_file(struct process *p, s32 fd)
{
    struct fd_table *files = p->files;
    return (u32)fd < files->capacity ? files->entries[fd].file : NULL;
}

/* The same without O_PATH files: what all but a few calls want. */
static inline struct file *descriptor_get(struct process *p, s32 fd)
{
    struct file *f = descriptor_file(p, fd);
    return f && likely(!(f->flags & O_PATH)) ? f : NULL;
}

/* The lowest free number that is at least `lowest` gets the file, whose reference it takes over:
   also on failure, and then the file is released.  The number, -EMFILE, -ENOMEM, -EINVAL. */
s64 descriptor_install(struct process *p, struct file *f, u32 lowest, bool close_on_exec);
/* 0, or -EMFILE: there is no number left for another file. */
s64 descriptor_room(struct process *p);
/* Closes what the number was before.  Takes the reference over. */
s64 descriptor_replace(struct process *p, u32 fd, struct file *f, bool close_on_exec);
/* 0 or -EBADF.  POSIX locks of the process on that file go too. */
s64 descriptor_close(struct process *p, s32 fd);

/* fcntl's commands about locks (unix/file_lock_calls.c) and about pipes (unix/pipe.c). */
s64 file_lock_control(struct thread *t, struct file *f, u32 command, u64 argument);
s64 pipe_control(struct file *f, u32 command, u64 argument);
