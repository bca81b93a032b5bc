/* The system calls that map memory: mmap, munmap, mprotect, mremap, brk.  Errors are Linux's. */
#include "kernel/log.h"
#include "kernel/machine.h"
#include "unix/syscall.h"

enum map_flags {
    MAP_SHARED = 0x01,
    MAP_PRIVATE = 0x02,
    MAP_SHARED_VALIDATE = 0x03,
    MAP_TYPE = 0x0f,
    MAP_FIXED = 0x10,
    MAP_ANONYMOUS = 0x20,
    MAP_32BIT = 0x40,
    MAP_GROWSDOWN = 0x100,
    MAP_NORESERVE = 0x4000,
    MAP_LOCKED = 0x2000,
    MAP_POPULATE = 0x8000,
    MAP_DENYWRITE = 0x800, /* these mean nothing to Linux either */
    MAP_EXECUTABLE = 0x1000,
    MAP_NONBLOCK = 0x10000,
    MAP_STACK = 0x20000,
    MAP_HUGETLB = 0x40000,
    MAP_FIXED_NOREPLACE = 0x100000,
};

#define MAP_KNOWN                                                                                  \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_NORESERVE | MAP_LOCKED |               \
     MAP_POPULATE | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |      \
     MAP_FIXED_NOREPLACE)

#define PROTECTION_KNOWN (REGION_PROTECTION | 0x8 /* PROT_SEM: means nothing on x86 */)

/* A page-aligned range inside user memory, its length rounded up. */
static bool user_range(u64 address, u64 bytes, range *r)
{
    if ((address & (PAGE_BYTES - 1)) || bytes > USER_END || address > USER_END - bytes)
        return false;
    *r = range_of(address, address + align_up(bytes, PAGE_BYTES));
    return r->end <= USER_END;
}

/* Refuses what cannot be right: more than the machine has, at once (Linux's overcommit
   heuristic).  A mapping that only reserves addresses is not memory yet. */
static bool overcommits(const struct region *model, u64 bytes, u32 flags)
{
    return (model->flags & REGION_WRITE) && !(model->flags & REGION_SHARED) &&
           !(flags & MAP_NORESERVE) && bytes > memory_statistics().total_bytes;
}

/* What is mapped: 0 with the model filled in (its inode held), or -errno. */
static s64 map_model(struct process *p, u32 protection, u32 flags, s32 fd, u64 offset,
                     struct region *model)
{
    u32 type = flags & MAP_TYPE;
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (flags & MAP_GROWSDOWN)
        return -EOPNOTSUPP; /* only the stack grows, and it has its room from the start */
    if (type == MAP_SHARED_VALIDATE && (flags & ~(u32)MAP_KNOWN))
        return -EOPNOTSUPP;
    if (flags & MAP_HUGETLB)
        return -ENOMEM; /* as where no huge pages were reserved */
    bool shared = type != MAP_PRIVATE;
    *model = (struct region){.flags = (protection & REGION_PROTECTION) |
                                      (shared ? (u32)REGION_SHARED : 0),
                             .zero_from = ~0ull};
    if (flags & MAP_ANONYMOUS)
        return 0;
    struct file_mapping file;
    s64 result = file_for_mmap(p, fd, shared && (protection & REGION_WRITE), &file);
    if (result || !file.inode)
        return result;
    model->inode = file.inode;
    model->offset = offset;
    if (shared && file.writable)
        model->flags |= REGION_MAY_WRITE;
    return 0;
}

/* Where it goes; takes away what MAP_FIXED replaces. */
static s64 map_place(struct user_memory *m, u64 address, u64 bytes, u32 flags, range *r)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (!user_range(address, bytes, r))
            return address & (PAGE_BYTES - 1) ? -EINVAL : -ENOMEM;
        if (address < USER_START)
            return -EPERM;
        struct region *there = region_at_or_next(m, r->start);
        if (!there || there->range.r.start >= r->end)
            return 0;
        return flags & MAP_FIXED_NOREPLACE ? -EEXIST : region_remove(m, *r);
    }
    address = align_up(address, PAGE_BYTES);
    if (address >= USER_START && user_range(address, bytes, r)) {
        struct region *there = region_at_or_next(m, r->start);
        if (!there || there->range.r.start >= r->end)
            return 0;
    }
    if (flags & MAP_32BIT)
        return range_map_find_gap(&m->regions, range_of(0x40000000, 0x80000000), bytes, PAGE_BYTES,
                                  r)
                   ? 0
                   : -ENOMEM;
    if (!region_place(m, bytes, PAGE_BYTES, &address))
        return -ENOMEM;
    *r = range_of(address, address + bytes);
    return 0;
}

/* MAP_POPULATE: what can be had at once; the rest comes by faults, as Linux allows itself too. */
static void map_populate(struct user_memory *m, range r, const struct region *model)
{
    if (!(model->flags & REGION_PROTECTION))
        return;
    bool own = model->flags & REGION_WRITE && !(model->flags & REGION_SHARED && model->inode);
    enum user_access access = own ? USER_WRITE : USER_READ;
    for (u64 at = r.start; at < r.end; at += PAGE_BYTES)
        if (fault_resolve(m, at, access) != FAULT_DONE)
            return;
}

s64 sys_mmap(struct thread *t, u64 address, u64 bytes, u32 protection, u32 flags, s32 fd,
             u64 offset)
{
    struct user_memory *m = &t->process->memory;
    struct region model;
    range r;
    if (offset & (PAGE_BYTES - 1))
        return -EINVAL;
    if (bytes == 0)
        return -EINVAL;
    if (bytes > USER_END)
        return -ENOMEM;
    bytes = align_up(bytes, PAGE_BYTES);
    if (offset + bytes < offset)
        return -EOVERFLOW;
    s64 result = map_model(t->process, protection, flags, fd, offset, &model);
    if (result)
        return result;
    if (overcommits(&model, bytes, flags))
        result = -ENOMEM;
    if (result == 0)
        result = map_place(m, address, bytes, flags, &r);
    if (result == 0)
        result = region_add(m, r, &model);
    if (model.inode)
        inode_release(model.inode);
    if (result)
        return result;
    if (flags & (MAP_POPULATE | MAP_LOCKED))
        map_populate(m, r, &model);
    return (s64)r.start;
}

s64 sys_munmap(struct thread *t, u64 address, u64 bytes)
{
    range r;
    if (bytes == 0 || !user_range(address, bytes, &r))
        return -EINVAL;
    return region_remove(&t->process->memory, r);
}

/* The pages that are there follow the region.  In a file's region a page may be the cache's, which
   is never writable: write faults sort that out one by one. */
static void protect_pages(struct user_memory *m, const struct region *r)
{
    u32 flags = region_page_flags(r);
    if (r->inode)
        flags &= ~(u32)PAGE_WRITE;
    page_protect(&m->space, r->range.r.start, range_length(r->range.r), flags);
}

s64 sys_mprotect(struct thread *t, u64 address, u64 bytes, u32 protection)
{
    struct user_memory *m = &t->process->memory;
    range r;
    if ((address & (PAGE_BYTES - 1)) || (protection & ~(u32)PROTECTION_KNOWN))
        return -EINVAL; /* PROT_GROWSDOWN and PROT_GROWSUP too: no region grows by itself */
    if (bytes == 0)
        return 0;
    if (!user_range(address, bytes, &r) || !region_covered(m, r))
        return -ENOMEM;
    for (struct region *n = region_at_or_next(m, r.start); n && n->range.r.start < r.end;
         n = region_next(n))
        if (n->inode && (n->flags & REGION_SHARED) && !(n->flags & REGION_MAY_WRITE) &&
            (protection & REGION_WRITE))
            return -EACCES; /* its file is not open for writing */
    s64 result = region_isolate(m, r);
    if (result)
        return result;
    for (struct region *n = region_at_or_next(m, r.start); n && n->range.r.start < r.end;
         n = region_next(n)) {
        n->flags = (n->flags & ~(u32)REGION_PROTECTION) | (protection & REGION_PROTECTION);
        protect_pages(m, n);
    }
    region_rejoin(m, r);
    return 0;
}

/* --- brk -------------------------------------------------------------------------------------- */

static bool break_grow(struct user_memory *m, range r)
{
    struct region *there = region_at_or_next(m, r.start);
    if (there && there->range.r.start < r.end)
        return false;
    struct region model = {
        .flags = REGION_READ | REGION_WRITE | REGION_HEAP, .zero_from = ~0ull, .name = "[heap]"};
    return !overcommits(&model, range_length(r), 0) && region_add(m, r, &model) == 0;
}

/* Returns the break that holds now, moved or not: that is how the call reports failure. */
s64 sys_brk(struct thread *t, u64 end)
{
    struct user_memory *m = &t->process->memory;
    u64 limit = m->map_top;
    if (end < m->break_start || end > limit)
        return (s64)m->break_end;
    u64 old = align_up(m->break_end, PAGE_BYTES), new = align_up(end, PAGE_BYTES);
    if (new > old && !break_grow(m, range_of(old, new)))
        return (s64)m->break_end;
    if (new < old && region_remove(m, range_of(new, old)))
        return (s64)m->break_end;
    m->break_end = end;
    return (s64)end;
}
