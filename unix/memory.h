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
    REGION_PROTECTION = 7,
    REGION_SHARED = 8, /* MAP_SHARED */
    REGION_STACK = 16,
    REGION_HEAP = 32,       /* made by brk */
    REGION_LOCKED = 64,     /* for mlock's accounting; nothing is ever paged out */
    REGION_VDSO = 128,      /* its pages come filled by vdso_page: unix/vdso.h */
    REGION_MAY_WRITE = 256, /* shared, of a file that was open for writing: mprotect may allow it */
};

/* The most regions of a process, as Linux's vm.max_map_count. */
#define REGIONS_MOST 65530

struct region {
    struct range_node range; /* bytes, page aligned */
    struct list file_link;   /* with an inode: memory->files */
    u32 flags;               /* enum region_flags */
    struct inode *inode;     /* held; NULL: anonymous */
    u64 offset;              /* of the region's first byte in the file, or in the vDSO */
    u64 zero_from;           /* file offset from which a segment's last page is zero; else ~0 */
    const char *name;        /* "[stack]", "[heap]", or NULL; for /proc/self/maps */
};

#define FILE_BUCKETS 64 /* of regions of files, by inode */

struct user_memory {
    struct page_space space;
    struct list link;                /* among all memories */
    struct list files[FILE_BUCKETS]; /* struct region's file_link */
    struct filesystem *fs;           /* whose cache is reclaimed when memory runs out */
    struct range_map regions;        /* of struct region */
    u32 region_count;
    u64 break_start; /* the heap: [break_start, break_end) */
    u64 break_end;
    u64 map_top;      /* mmap places below this, downwards */
    u64 map_hint;     /* where it looks first */
    u64 stack_top;    /* the stack region ends here */
    u64 vdso;         /* where the vDSO's image begins */
    u64 pages_own;    /* anonymous and copied pages */
    u64 pages_cached; /* mapped pages of the page cache */
    u64 bytes_mapped; /* of all regions */
    u64 next_touch;   /* the page after the last anonymous fault: a run of faults is given more */
    u32 touch_pages;  /* how many at once */
};

/* -ENOMEM. */
s64 memory_create(struct user_memory *m, struct filesystem *fs);
void memory_destroy(struct user_memory *m);

/* Adds a region (joined to a neighbour where they continue each other).  `model` gives all but the
   range; its inode is held once more when it has one.  The range must be free.  0 or -ENOMEM. */
s64 region_add(struct user_memory *m, range r, const struct region *model);
/* Removes what is mapped in r, pages and regions; splits at its ends.  0 or -ENOMEM. */
s64 region_remove(struct user_memory *m, range r);
/* Splits so that no region straddles r's ends.  0 or -ENOMEM. */
s64 region_isolate(struct user_memory *m, range r);
/* Joins what continues each other in and around r, after flags were changed. */
void region_rejoin(struct user_memory *m, range r);
/* Gives the pages of r back; the regions stay. */
void memory_discard(struct user_memory *m, range r);
/* Where a mapping of `bytes` goes: the highest gap below map_top.  False: no room. */
bool region_place(struct user_memory *m, u64 bytes, u64 alignment, u64 *address);
/* Whether regions cover all of r. */
bool region_covered(struct user_memory *m, range r);
/* The page-table flags of a region's own page, and of one of the page cache. */
u32 region_page_flags(const struct region *r);
/* The page of the page cache that backs `address` if `page` is that one, with no hold added. */
struct page *region_cached_page(const struct region *r, u64 address, physical page);

/* The region that holds `address`, or the first one after it; NULL when there is none. */
struct region *region_at_or_next(struct user_memory *m, u64 address);
struct region *region_next(struct region *r);

/* --- faults (unix/memory_fault.c) ----------------------------------------------------------------
 */

enum user_access { USER_READ = 0, USER_WRITE = 1, USER_EXECUTE = 2 };

enum fault_result {
    FAULT_DONE,
    FAULT_NO_REGION,  /* SIGSEGV, SEGV_MAPERR */
    FAULT_FORBIDDEN,  /* SIGSEGV, SEGV_ACCERR */
    FAULT_BEYOND_END, /* SIGBUS, BUS_ADRERR: past the end of the file */
    FAULT_NO_MEMORY,
    FAULT_FETCH, /* the page has to be read: fault_fetch */
};

/* Makes the page at `address` present for `access`, if it can be done at once. */
enum fault_result fault_resolve(struct user_memory *m, u64 address, enum user_access access);
/* Reads the page that fault_resolve said FAULT_FETCH for, and some after it, for a thread. */
void fault_fetch(struct thread *t, u64 address, status_handler done);

/* --- for system calls --------------------------------------------------------------------------
 */

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
