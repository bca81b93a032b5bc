/* Page faults: from a region and an address to a page, and what a system call does to have its
   buffers present.  See unix/memory.h.

   A fault that can be answered from what is in memory is answered at once; FAULT_FETCH alone
   waits, through the page cache's completion.  When memory runs out the page cache gives up clean
   pages before anything fails. */
#include "unix/memory.h"

#include "kernel/user_copy.h"
#include "unix/syscall.h"
#include "unix/vdso.h"
#include "unix/wait.h"

#define FAULT_AROUND_PAGES 16  /* cached neighbours that a read fault maps, an aligned window */
#define TOUCH_PAGES_MOST   64u /* anonymous pages given at once to a run of faults */
#define TOUCH_SHARE        16  /* and at most this part of what is free */
#define RECLAIM_PAGES      64

static void *page_allocate(struct user_memory *m)
{
    void *page = allocate(page_heap, PAGE_BYTES);
    if (!page && page_cache_reclaim(m->fs, RECLAIM_PAGES))
        page = allocate(page_heap, PAGE_BYTES);
    return page;
}

/* Page tables take memory too, so the cache is asked here as well. */
static bool map_pages(struct user_memory *m, u64 address, const void *block, u64 pages, u32 flags)
{
    physical to = physical_of(block);
    if (is_ok(page_map(&m->space, address, to, pages * PAGE_BYTES, flags)))
        return true;
    return page_cache_reclaim(m->fs, RECLAIM_PAGES) &&
           is_ok(page_map(&m->space, address, to, pages * PAGE_BYTES, flags));
}

/* Takes the pages over: they are given back when they cannot be mapped. */
static bool map_own(struct user_memory *m, u64 address, void *block, u64 pages, u32 flags)
{
    if (map_pages(m, address, block, pages, flags)) {
        m->pages_own += pages;
        return true;
    }
    deallocate(page_heap, block, pages * PAGE_BYTES);
    return false;
}

/* How many pages a fault is given: a run of faults upwards gets twice as many each time, as long as
   they all are missing, in one region, and memory is plenty. */
static u64 touch_pages(struct user_memory *m, const struct region *r, u64 address)
{
    u64 pages = m->next_touch == address ? min(m->touch_pages * 2, TOUCH_PAGES_MOST) : 1;
    while (pages > 1 && (address + pages * PAGE_BYTES > r->range.r.end ||
                         pages * PAGE_BYTES * TOUCH_SHARE > memory_statistics().free_bytes))
        pages /= 2;
    u64 there = address;
    physical page;
    u32 flags;
    if (pages > 1 && page_next(&m->space, &there, address + pages * PAGE_BYTES, &page, &flags))
        pages = 1;
    return pages;
}

static enum fault_result fault_anonymous(struct user_memory *m, const struct region *r, u64 address)
{
    u64 pages = touch_pages(m, r, address);
    void *block = pages > 1 ? allocate(page_heap, pages * PAGE_BYTES) : NULL;
    if (!block) {
        pages = 1;
        block = page_allocate(m);
    }
    if (!block)
        return FAULT_NO_MEMORY;
    memset(block, 0, pages * PAGE_BYTES);
    if (!map_own(m, address, block, pages, region_page_flags(r)))
        return FAULT_NO_MEMORY;
    m->next_touch = address + pages * PAGE_BYTES;
    m->touch_pages = (u32)pages;
    return FAULT_DONE;
}

static enum fault_result fault_vdso(struct user_memory *m, const struct region *r, u64 address)
{
    void *page = page_allocate(m);
    if (!page)
        return FAULT_NO_MEMORY;
    memset(page, 0, PAGE_BYTES);
    if (!vdso_page(page, r->offset + (address - r->range.r.start))) {
        deallocate(page_heap, page, PAGE_BYTES);
        return FAULT_BEYOND_END;
    }
    return map_own(m, address, page, 1, region_page_flags(r)) ? FAULT_DONE : FAULT_NO_MEMORY;
}

/* Maps neighbours of a file page that are in the cache already. */
static void fault_around(struct user_memory *m, const struct region *r, u64 address)
{
    u64 window = FAULT_AROUND_PAGES * PAGE_BYTES;
    range around = range_intersection(
        range_of(align_down(address, window), align_down(address, window) + window), r->range.r);
    for (u64 at = around.start; at < around.end; at += PAGE_BYTES) {
        physical there;
        u32 flags;
        u64 offset = r->offset + (at - r->range.r.start);
        if (offset + PAGE_BYTES > min(r->zero_from, align_up(inode_bytes(r->inode), PAGE_BYTES)) ||
            page_lookup(&m->space, at, &there, &flags))
            continue;
        struct page *p = page_find(r->inode, offset >> PAGE_ORDER);
        if (!p)
            continue;
        if (!map_pages(m, at, page_memory(p), 1, region_page_flags(r) & ~(u32)PAGE_WRITE)) {
            page_release(p);
            return;
        }
        m->pages_cached++;
    }
}

/* A private copy of a cached page; a segment's last page is zero after its bytes. */
static enum fault_result fault_copy(struct user_memory *m, const struct region *r, u64 address,
                                    u64 offset, struct page *from)
{
    u8 *page = page_allocate(m);
    if (!page)
        return FAULT_NO_MEMORY;
    memcpy(page, page_memory(from), PAGE_BYTES);
    if (r->zero_from < offset + PAGE_BYTES)
        memset(page + (r->zero_from - offset), 0, PAGE_BYTES - (r->zero_from - offset));
    return map_own(m, address, page, 1, region_page_flags(r)) ? FAULT_DONE : FAULT_NO_MEMORY;
}

/* What a failure to make a page dirty is to the program: no room on the disk is SIGBUS, as Linux
   has it; what can be waited for is fetched. */
static enum fault_result fault_of(status s)
{
    switch (status_errno(s)) {
    case 0:
        return FAULT_DONE;
    case EAGAIN:
        return FAULT_FETCH;
    case ENOMEM:
        return FAULT_NO_MEMORY;
    }
    return FAULT_BEYOND_END;
}

/* The page of a shared mapping is about to be written: it becomes dirty at once, and what is stored
   in it later belongs to that. */
static enum fault_result fault_dirty(const struct region *r, u64 offset)
{
    struct page_write w;
    u64 end = min(offset + PAGE_BYTES, inode_bytes(r->inode));
    status s = page_write_begin(r->inode, offset, end - offset, &w);
    if (is_ok(s))
        page_write_end(r->inode, offset, end - offset, &w);
    return fault_of(s);
}

static enum fault_result fault_file(struct user_memory *m, const struct region *r, u64 address,
                                    enum user_access access)
{
    u64 offset = r->offset + (address - r->range.r.start);
    if (offset >= inode_bytes(r->inode))
        return FAULT_BEYOND_END;
    struct page *p = page_find(r->inode, offset >> PAGE_ORDER);
    if (!p)
        return FAULT_FETCH;
    bool tail = r->zero_from < offset + PAGE_BYTES;
    if (tail || (access == USER_WRITE && !(r->flags & REGION_SHARED))) {
        enum fault_result result = fault_copy(m, r, address, offset, p);
        page_release(p);
        return result;
    }
    enum fault_result dirty = access == USER_WRITE ? fault_dirty(r, offset) : FAULT_DONE;
    u32 kept = access == USER_WRITE ? ~0u : ~(u32)PAGE_WRITE;
    if (dirty == FAULT_DONE &&
        !map_pages(m, address, page_memory(p), 1, region_page_flags(r) & kept))
        dirty = FAULT_NO_MEMORY;
    if (dirty != FAULT_DONE) {
        page_release(p);
        return dirty;
    }
    m->pages_cached++;
    fault_around(m, r, address);
    return FAULT_DONE;
}

/* A write to a page that is there but not writable: one of the cache is copied, or made dirty where
   it is shared; one of ours was left read-only by mprotect. */
static enum fault_result fault_write_present(struct user_memory *m, const struct region *r,
                                             u64 address, physical page)
{
    struct page *cached = region_cached_page(r, address, page);
    if (!cached) {
        page_protect(&m->space, address, PAGE_BYTES, region_page_flags(r));
        return FAULT_DONE;
    }
    u64 offset = r->offset + (address - r->range.r.start);
    if (r->flags & REGION_SHARED) {
        enum fault_result dirty =
            offset < inode_bytes(r->inode) ? fault_dirty(r, offset) : FAULT_BEYOND_END;
        if (dirty == FAULT_DONE)
            page_protect(&m->space, address, PAGE_BYTES, region_page_flags(r));
        return dirty;
    }
    enum fault_result result = fault_copy(m, r, address, offset, cached);
    if (result == FAULT_DONE) {
        page_release(cached);
        m->pages_cached--;
    }
    return result;
}

static bool region_allows(const struct region *r, enum user_access access)
{
    if (access == USER_WRITE)
        return r->flags & REGION_WRITE;
    if (access == USER_EXECUTE)
        return r->flags & REGION_EXECUTE;
    return r->flags & REGION_PROTECTION; /* x86 cannot forbid reading what may be executed */
}

enum fault_result fault_resolve(struct user_memory *m, u64 address, enum user_access access)
{
    u64 page_address = align_down(address, PAGE_BYTES);
    struct range_node *n = range_map_lookup(&m->regions, page_address);
    if (!n)
        return FAULT_NO_REGION;
    struct region *r = container_of(n, struct region, range);
    if (!region_allows(r, access))
        return FAULT_FORBIDDEN;
    physical page;
    u32 flags;
    if (page_lookup(&m->space, page_address, &page, &flags)) {
        if (access == USER_WRITE && !(flags & PAGE_WRITE))
            return fault_write_present(m, r, page_address, page);
        return FAULT_DONE;
    }
    if (r->inode)
        return fault_file(m, r, page_address, access);
    return r->flags & REGION_VDSO ? fault_vdso(m, r, page_address)
                                  : fault_anonymous(m, r, page_address);
}

/* A page that is there and could not be made dirty waits for room. */
void fault_fetch(struct thread *t, u64 address, status_handler done)
{
    struct range_node *n = range_map_lookup(&t->process->memory.regions, address);
    struct region *r = container_of(n, struct region, range);
    u64 offset = r->offset + (align_down(address, PAGE_BYTES) - r->range.r.start);
    u64 first = offset >> PAGE_ORDER;
    struct page *there = page_find(r->inode, first);
    if (!there) {
        thread_fetch(t, r->inode, first, pages_read_ahead(r->inode, first, 1), done);
        return;
    }
    page_release(there);
    thread_wait_room(t, done);
}

/* --- for system calls ------------------------------------------------------------------------- */

/* The first page of the buffer that cannot be had at once ends the walk. */
static enum fault_result prepare_pages(struct user_memory *m, u64 address, u64 bytes,
                                       enum user_access access, u64 *missing)
{
    if (bytes == 0)
        return FAULT_DONE;
    if (address >= USER_END || bytes > USER_END - address)
        return FAULT_NO_REGION;
    u64 end = address + min(bytes, USER_PREPARE_MOST);
    for (u64 at = align_down(address, PAGE_BYTES); at < end; at += PAGE_BYTES) {
        enum fault_result result = fault_resolve(m, at, access);
        if (result != FAULT_DONE) {
            *missing = at;
            return result;
        }
    }
    return FAULT_DONE;
}

s64 user_fetch(struct thread *t, u64 address, u64 bytes, enum user_access access,
               status_handler done)
{
    struct user_memory *m = &t->process->memory;
    u64 missing = 0;
    if (unlikely(!surface_lock_held()))
        surface_lock(); /* the call was parallel until here */
    switch (prepare_pages(m, address, bytes, access, &missing)) {
    case FAULT_DONE:
        return 0;
    case FAULT_FETCH:
        fault_fetch(t, missing, done);
        return SYSCALL_LATER;
    default:
        return -EFAULT;
    }
}

/* Whether a buffer that lies in one page is there already: the processor says so, where it is, for
   a fifth of what looking into the tables costs.  Writing changes nothing of what is there. */
static bool page_answers(u64 address, u64 bytes, enum user_access access)
{
    const struct word_change none = {.keep = ~0u};
    u8 byte;
    u32 word;
    if (!bytes || bytes > PAGE_BYTES - address % PAGE_BYTES)
        return false;
    return access == USER_WRITE ? !word_change(align_down(address, sizeof(word)), none, &word)
                                : !copy_in(&byte, address, sizeof(byte));
}

s64 user_prepare(struct thread *t, u64 address, u64 bytes, enum user_access access)
{
    if (likely(page_answers(address, bytes, access)))
        return 0;
    return user_fetch(t, address, bytes, access, thread_pages_handler(t));
}
