/* mremap: a mapping changes its size or its place and keeps its pages.  Errors are Linux's. */
#include "unix/syscall.h"

enum mremap_flags { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2 };

struct move {
    range from; /* what is kept of the old mapping */
    range to;   /* where it goes; longer when it grows */
};

/* The page tables hand the pages over one by one: no page is copied.  A page that finds no memory
   for its table entry stays behind, and the move has failed before any region changed. */
static bool move_pages(struct user_memory *m, const struct move *v)
{
    u64 at = v->from.start;
    physical page;
    u32 flags;
    while (page_next(&m->space, &at, v->from.end, &page, &flags)) {
        u64 target = v->to.start + (at - v->from.start);
        if (!is_ok(page_map(&m->space, target, page, PAGE_BYTES, flags | PAGE_USER))) {
            page_unmap(&m->space, v->to.start, range_length(v->from));
            return false;
        }
        if (!(flags & PAGE_USER)) /* PROT_NONE */
            page_protect(&m->space, target, PAGE_BYTES, flags);
        at += PAGE_BYTES;
    }
    return true;
}

/* The pages now belong to the new place: the old one forgets them without giving them back. */
static s64 move_region(struct user_memory *m, const struct move *v)
{
    s64 result = region_isolate(m, v->from);
    if (result)
        return result;
    struct region *old = region_at_or_next(m, v->from.start);
    struct region model = *old;
    if (!move_pages(m, v))
        return -ENOMEM;
    result = region_add(m, v->to, &model);
    if (result) {
        page_unmap(&m->space, v->to.start, range_length(v->from));
        return result;
    }
    page_unmap(&m->space, v->from.start, range_length(v->from));
    /* One region, isolated above, with no pages left: nothing is split, so this cannot fail. */
    return region_remove(m, v->from);
}

static bool room_above(struct region *r, u64 end)
{
    struct region *next = region_next(r);
    return end <= USER_END && (!next || next->range.r.start >= end);
}

static s64 grow_in_place(struct user_memory *m, const struct region *r, u64 end)
{
    struct region model = *r;
    model.offset += range_length(r->range.r);
    return region_add(m, range_of(r->range.r.end, end), &model);
}

/* Growing, or going to a place that is given. */
static s64 move_elsewhere(struct user_memory *m, struct region *r, range old, u64 bytes, u32 flags,
                          u64 target)
{
    if (!(flags & MREMAP_FIXED)) {
        if (old.end == r->range.r.end && room_above(r, old.start + bytes)) {
            s64 result = grow_in_place(m, r, old.start + bytes);
            return result ? result : (s64)old.start;
        }
        if (!(flags & MREMAP_MAYMOVE) || !region_place(m, bytes, PAGE_BYTES, &target))
            return -ENOMEM;
    }
    struct move v = {
        .from = range_of(old.start, old.start + min(range_length(old), bytes)),
        .to = range_of(target, target + bytes),
    };
    s64 result = move_region(m, &v);
    if (result == 0 && bytes < range_length(old))
        result = region_remove(m, range_of(v.from.end, old.end));
    return result ? result : (s64)target;
}

static s64 fixed_target(struct user_memory *m, range old, u64 target, u64 bytes)
{
    if ((target & (PAGE_BYTES - 1)) || bytes > USER_END || target > USER_END - bytes)
        return -EINVAL;
    if (target < USER_START)
        return -EPERM;
    range to = range_of(target, target + bytes);
    if (!range_empty(range_intersection(to, old)))
        return -EINVAL;
    return region_remove(m, to);
}

s64 sys_mremap(struct thread *t, u64 address, u64 old_bytes, u64 new_bytes, u32 flags, u64 target)
{
    struct user_memory *m = &t->process->memory;
    if ((flags & ~(u32)(MREMAP_MAYMOVE | MREMAP_FIXED)) || (address & (PAGE_BYTES - 1)) ||
        ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE)) || new_bytes == 0)
        return -EINVAL;
    if (old_bytes == 0)
        return -EINVAL; /* a second view of a shared mapping: there is none */
    if (old_bytes > USER_END || address > USER_END - old_bytes)
        return -EFAULT;
    if (new_bytes > USER_END)
        return -ENOMEM;
    new_bytes = align_up(new_bytes, PAGE_BYTES);
    range old = range_of(address, address + align_up(old_bytes, PAGE_BYTES));
    struct region *r = region_at_or_next(m, address);
    if (!r || r->range.r.start > old.start || r->range.r.end < old.end)
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        s64 result = fixed_target(m, old, target, new_bytes);
        if (result)
            return result;
        r = region_at_or_next(m, address);
    } else if (new_bytes <= range_length(old)) {
        s64 result = new_bytes == range_length(old)
                         ? 0
                         : region_remove(m, range_of(old.start + new_bytes, old.end));
        return result ? result : (s64)address;
    }
    if ((r->flags & REGION_WRITE) && new_bytes > memory_statistics().total_bytes)
        return -ENOMEM; /* as mmap refuses it */
    return move_elsewhere(m, r, old, new_bytes, flags, target);
}
