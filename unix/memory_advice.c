/* What a program says or asks about its memory: madvise, mincore, mlock and its family.
   Errors are Linux's.  Nothing is ever paged out, so locking is bookkeeping that always holds. */
#include "kernel/user_copy.h"
#include "unix/syscall.h"

enum advice { /* include/uapi/asm-generic/mman-common.h */
              MADV_NORMAL = 0,
              MADV_RANDOM = 1,
              MADV_SEQUENTIAL = 2,
              MADV_WILLNEED = 3,
              MADV_DONTNEED = 4,
              MADV_FREE = 8,
              MADV_HUGEPAGE = 14,
              MADV_NOHUGEPAGE = 15,
              MADV_DONTDUMP = 16,
              MADV_DODUMP = 17,
              MADV_COLD = 20,
              MADV_PAGEOUT = 21,
};

static bool advice_range(u64 address, u64 bytes, range *r)
{
    if ((address & (PAGE_BYTES - 1)) || bytes > USER_END || address > USER_END - bytes)
        return false;
    *r = range_of(address, address + align_up(bytes, PAGE_BYTES));
    return true;
}

/* Pages are given back at once: reading them again gives zeroes, or the file's bytes. */
static s64 advise_discard(struct user_memory *m, range r)
{
    bool covered = region_covered(m, r);
    memory_discard(m, r);
    return covered ? 0 : -ENOMEM;
}

static s64 advise_free(struct user_memory *m, range r)
{
    for (struct region *n = region_at_or_next(m, r.start); n && n->range.r.start < r.end;
         n = region_next(n))
        if (n->inode || (n->flags & REGION_SHARED))
            return -EINVAL; /* private anonymous memory only */
    return advise_discard(m, r);
}

s64 sys_madvise(struct thread *t, u64 address, u64 bytes, s32 advice)
{
    struct user_memory *m = &t->process->memory;
    range r;
    if (!advice_range(address, bytes, &r))
        return -EINVAL;
    switch (advice) {
    case MADV_DONTNEED:
        return range_empty(r) ? 0 : advise_discard(m, r);
    case MADV_FREE:
        return range_empty(r) ? 0 : advise_free(m, r);
    case MADV_NORMAL: /* hints: what Linux does with them cannot be seen in results */
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
        return range_empty(r) || region_covered(m, r) ? 0 : -ENOMEM;
    default:
        return -EINVAL;
    }
}

#define MINCORE_BATCH 256

s64 sys_mincore(struct thread *t, u64 address, u64 bytes, u64 to)
{
    struct user_memory *m = &t->process->memory;
    u8 present[MINCORE_BATCH];
    range r;
    if (address & (PAGE_BYTES - 1))
        return -EINVAL;
    if (!advice_range(address, bytes, &r) || !region_covered(m, r))
        return -ENOMEM;
    for (u64 at = r.start; at < r.end;) {
        u64 pages = min((r.end - at) >> PAGE_ORDER, (u64)MINCORE_BATCH);
        physical page;
        u32 flags;
        for (u64 i = 0; i < pages; i++)
            present[i] = page_lookup(&m->space, at + i * PAGE_BYTES, &page, &flags);
        if (copy_out(to, present, pages))
            return -EFAULT;
        to += pages;
        at += pages * PAGE_BYTES;
    }
    return 0;
}

/* Locked memory is present memory: it is given now. */
static s64 lock_range(struct thread *t, u64 address, u64 bytes)
{
    struct user_memory *m = &t->process->memory;
    range r;
    u64 start = align_down(address, PAGE_BYTES);
    if (!advice_range(start, bytes + (address - start), &r))
        return -EINVAL;
    if (!region_covered(m, r))
        return -ENOMEM;
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES) {
        s64 result = user_prepare(t, at, PAGE_BYTES, USER_READ);
        if (result)
            return result == -EFAULT ? -ENOMEM : result;
    }
    return 0;
}

s64 sys_mlock(struct thread *t, u64 address, u64 bytes)
{
    return lock_range(t, address, bytes);
}

s64 sys_mlock2(struct thread *t, u64 address, u64 bytes, u32 flags)
{
    if (flags > 1)
        return -EINVAL;
    return lock_range(t, address, bytes);
}

s64 sys_munlock(struct thread *t, u64 address, u64 bytes)
{
    range r;
    u64 start = align_down(address, PAGE_BYTES);
    if (!advice_range(start, bytes + (address - start), &r))
        return -EINVAL;
    return region_covered(&t->process->memory, r) ? 0 : -ENOMEM;
}

/* Future mappings are never paged out either. */
s64 sys_mlockall(struct thread *t, s32 flags)
{
    (void)t;
    return flags <= 0 || flags > 7 || flags == 4 ? -EINVAL : 0;
}

s64 sys_munlockall(struct thread *t)
{
    (void)t;
    return 0;
}
