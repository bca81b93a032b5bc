/* A process's user memory: regions (what was mapped, and how) and the pages that are there.

   A region says what a range of addresses means; pages come by faults.  A page of a private
   mapping that was written, and every anonymous page, belongs to the process; a page of the page
   cache is mapped with a hold on it, so it stays in the cache while it is mapped.

   Nothing here waits.  What is not in the page cache is fetched by user_fetch, whose completion
   goes on.  Callers: the system calls of memory, the fault hook, and every call that reads or
   writes user memory. */
#pragma once

#include "fs/fs.h"
#include "kernel/page_table.h"
#include "runtime/range_map.h"

struct process;
struct thread;

enum region_flags {
    REGION_READ = 1, /* as PROT_READ, PROT_WRITE, PROT_EXEC */
    REGION_WRITE = 2,
    REGION_EXECUTE = 4,
    REGION_SHARED = 8,      /* MAP_SHARED */
    REGION_GROWS_DOWN = 16, /* the stack */
    REGION_HEAP = 32,       /* made by brk */
    REGION_MAY_WRITE = 64,  /* mprotect may add PROT_WRITE */
};

struct region {
    struct range_node range; /* bytes, page aligned */
    u32 flags;               /* enum region_flags */
    struct inode *inode;     /* held; NULL: anonymous */
    u64 offset;              /* of the region's first byte in the file */
    const char *name;        /* "[stack]", "[heap]", or NULL; for /proc/self/maps */
};

struct user_memory {
    struct page_space space;
    struct range_map regions; /* of struct region */
    u64 break_start;          /* the heap: [break_start, break_end) */
    u64 break_end;
    u64 map_top;      /* mmap places below this, downwards */
    u64 stack_top;    /* the stack region ends here */
    u64 stack_limit;  /* bytes that the stack may grow to */
    u64 pages_own;    /* anonymous and copied pages */
    u64 pages_cached; /* mapped pages of the page cache */
    u64 bytes_mapped; /* of all regions */
};

enum user_access { USER_READ = 0, USER_WRITE = 1 };

/* The region that holds `address`, or the first one after it; NULL when there is none. */
struct region *region_at_or_next(struct user_memory *m, u64 address);
struct region *region_next(struct region *r);

/* Before a system call has side effects it makes the user memory it will touch present.
   0: present, or became present at once (anonymous pages, cached file pages).  -EFAULT.
   SYSCALL_LATER: the pages are being read; the whole system call starts again when they have come,
   so the caller returns SYSCALL_LATER at once.  At most USER_PREPARE_MOST bytes are looked at: big
   transfers prepare and copy chunk by chunk. */
s64 user_prepare(struct thread *t, u64 address, u64 bytes, enum user_access access);
#define USER_PREPARE_MOST (256 * KiB)

/* The same for the middle of an operation.  SYSCALL_LATER: `done` was taken over and is applied
   once, when it is worth looking again (success or EFAULT, EIO, ENOMEM).  0 and -EFAULT: `done` was
   not taken. */
s64 user_fetch(struct thread *t, u64 address, u64 bytes, enum user_access access,
               status_handler done);
