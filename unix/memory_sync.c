/* msync: what was stored in shared mappings of files becomes durable.  One region after the other
   is synced, as the filesystem's own fdatasync would; between two of them the regions may change,
   so the address alone is kept. */
#include "unix/syscall.h"

enum { MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4 }; /* asm-generic/mman-common.h */

struct memory_sync {
    struct thread *thread;
    range left;
    bool gaps;           /* something in the range is not mapped: ENOMEM, after all the rest */
    struct inode *inode; /* held: what is being synced */
    struct status_handler done;
};

static s64 memory_sync_steps(struct memory_sync *s);

closure_method(status_handler, memory_synced, struct memory_sync, done, status result)
{
    struct memory_sync *s = owner();
    struct thread *t = s->thread;
    inode_release(s->inode);
    s64 r = is_ok(result) ? memory_sync_steps(s) : syscall_status(result);
    if (r != SYSCALL_LATER)
        syscall_return(t, r);
}

static s64 memory_sync_region(struct memory_sync *s, const struct region *r, range part)
{
    u64 offset = r->offset + (part.start - r->range.r.start);
    range pages = range_of(offset >> PAGE_ORDER, (offset + range_length(part)) >> PAGE_ORDER);
    s->inode = r->inode;
    inode_hold(s->inode);
    s->left.start = part.end;
    init_method(&s->done, memory_synced);
    thread_wait_sync(s->thread, s->inode, pages, SYNC_DATA, &s->done);
    return SYSCALL_LATER;
}

static s64 memory_sync_steps(struct memory_sync *s)
{
    struct user_memory *m = &s->thread->process->memory;
    while (!range_empty(s->left)) {
        struct region *r = region_at_or_next(m, s->left.start);
        if (!r || r->range.r.start >= s->left.end)
            return -ENOMEM;
        s->gaps |= r->range.r.start > s->left.start;
        range part = range_intersection(r->range.r, s->left);
        if (r->inode && r->flags & REGION_MAY_WRITE)
            return memory_sync_region(s, r, part);
        s->left.start = part.end;
    }
    return s->gaps ? -ENOMEM : 0;
}

s64 sys_msync(struct thread *t, u64 address, u64 bytes, s32 flags)
{
    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (address & (PAGE_BYTES - 1)) ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    u64 length = align_up(bytes, PAGE_BYTES);
    if (bytes > USER_END || address > USER_END - length)
        return -ENOMEM;
    struct memory_sync *s = thread_operation(t, struct memory_sync);
    s->thread = t;
    s->left = range_of(address, address + length);
    s->gaps = false;
    if (flags & MS_SYNC)
        return memory_sync_steps(s);
    /* MS_ASYNC: it is written back anyway.  MS_INVALIDATE: mappings show the cache's own pages. */
    return range_empty(s->left) || region_covered(&t->process->memory, s->left) ? 0 : -ENOMEM;
}
