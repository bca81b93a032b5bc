/* Regions of user memory and the pages in them; see unix/memory.h.

   The page tables say which pages are there.  Whose a page is follows from its region: a page of a
   file's region that is the page cache's own page for that offset is held by the mapping, every
   other page is the process's.  Callers hold the process's lock or are its only thread. */
#include "unix/memory_files.h"

#include "runtime/errno.h"

static struct region *region_of(struct range_node *n)
{
    return n ? container_of(n, struct region, range) : NULL;
}

struct region *region_at_or_next(struct user_memory *m, u64 address)
{
    return region_of(range_map_lookup_at_or_next(&m->regions, address));
}

struct region *region_next(struct region *r)
{
    return region_of(range_map_next(&r->range));
}

s64 memory_create(struct user_memory *m, struct filesystem *fs)
{
    memset(m, 0, sizeof(*m));
    m->fs = fs;
    range_map_init(&m->regions);
    memory_files_init(m);
    s64 result = -(s64)status_errno(page_space_create(&m->space));
    if (result == 0)
        memory_files_enter(m);
    return result;
}

void memory_destroy(struct user_memory *m)
{
    /* Whole regions only, so nothing is split and nothing can fail. */
    for (struct region *r; (r = region_at_or_next(m, 0));)
        region_remove(m, r->range.r);
    memory_files_leave(m);
    page_space_destroy(&m->space);
}

u32 region_page_flags(const struct region *r)
{
    if (!(r->flags & REGION_PROTECTION))
        return 0; /* PROT_NONE: present for the kernel only, so that the contents stay */
    return PAGE_USER | (r->flags & REGION_WRITE ? PAGE_WRITE : 0) |
           (r->flags & REGION_EXECUTE ? PAGE_EXECUTE : 0);
}

struct page *region_cached_page(const struct region *r, u64 address, physical page)
{
    if (!r->inode)
        return NULL;
    u64 index = (r->offset + (address - r->range.r.start)) >> PAGE_ORDER;
    struct page *cached = page_find(r->inode, index);
    if (!cached)
        return NULL;
    bool same = physical_of(page_memory(cached)).bits == page.bits;
    page_release(cached);
    return same ? cached : NULL;
}

/* Pages are unmapped a batch at a time before any of the batch is given back. */
#define DISCARD_BATCH 64

/* A run of pages that follow each other, in aligned powers of two, as page_heap takes them back. */
static void run_free(physical first, u64 pages)
{
    u64 page = first.bits >> PAGE_ORDER;
    while (pages) {
        u64 aligned = page & -page, fits = 1ull << (63 - __builtin_clzll(pages));
        u64 part = min(aligned, fits);
        deallocate(page_heap, direct_map(physical_at(page << PAGE_ORDER)), part * PAGE_BYTES);
        page += part;
        pages -= part;
    }
}

static void discard_give_back(struct user_memory *m, const struct region *region,
                              const struct page_found *batch, u32 count)
{
    physical run = {0};
    u64 pages = 0;
    for (u32 i = 0; i < count; i++) {
        struct page *cached = region_cached_page(region, batch[i].address, batch[i].page);
        if (unlikely(cached)) {
            page_release(cached);
            m->pages_cached--;
            continue;
        }
        m->pages_own--;
        if (pages && batch[i].page.bits == run.bits + pages * PAGE_BYTES) {
            pages++;
            continue;
        }
        run_free(run, pages);
        run = batch[i].page;
        pages = 1;
    }
    run_free(run, pages);
}

/* r lies within the region. */
static void discard_in_region(struct user_memory *m, const struct region *region, range r)
{
    struct page_found batch[DISCARD_BATCH];
    u64 at = r.start;
    u32 count;
    do {
        count = page_list(&m->space, &at, r.end, batch, DISCARD_BATCH);
        u64 first = count ? batch[0].address : 0;
        if (count)
            page_unmap(&m->space, first, batch[count - 1].address + PAGE_BYTES - first);
        discard_give_back(m, region, batch, count);
    } while (count == DISCARD_BATCH); /* less: there is no more */
}

void memory_discard(struct user_memory *m, range r)
{
    for (struct region *n = region_at_or_next(m, r.start); n && n->range.r.start < r.end;
         n = region_next(n))
        discard_in_region(m, n, range_intersection(n->range.r, r));
}

static void region_free(struct user_memory *m, struct region *r)
{
    range_map_remove(&m->regions, &r->range);
    m->region_count--;
    region_file_leave(r);
    deallocate(general_heap, r, sizeof(*r));
}

/* Cuts the region that straddles `at` in two. */
static s64 region_split(struct user_memory *m, u64 at)
{
    struct region *r = region_of(range_map_lookup(&m->regions, at));
    if (!r || r->range.r.start == at)
        return 0;
    struct region *upper = allocate(general_heap, sizeof(*upper));
    if (!upper || m->region_count >= REGIONS_MOST) {
        deallocate(general_heap, upper, sizeof(*upper));
        return -ENOMEM;
    }
    *upper = *r;
    upper->range.r.start = at;
    upper->offset += at - r->range.r.start;
    region_file_enter(m, upper);
    range_map_resize(&m->regions, &r->range, range_of(r->range.r.start, at));
    range_map_insert(&m->regions, &upper->range);
    m->region_count++;
    return 0;
}

static bool region_continues(const struct region *low, const struct region *high)
{
    return low->range.r.end == high->range.r.start && low->flags == high->flags &&
           low->inode == high->inode && low->name == high->name &&
           low->zero_from == high->zero_from &&
           (!low->inode || low->offset + range_length(low->range.r) == high->offset);
}

/* Joins a region to the one below it where nothing distinguishes them. */
static struct region *region_join(struct user_memory *m, struct region *r)
{
    struct region *below = region_of(range_map_previous(&r->range));
    if (!below || !region_continues(below, r))
        return r;
    range whole = range_of(below->range.r.start, r->range.r.end);
    region_free(m, r);
    range_map_resize(&m->regions, &below->range, whole);
    return below;
}

void region_rejoin(struct user_memory *m, range r)
{
    struct region *n = region_at_or_next(m, r.start);
    while (n && n->range.r.start <= r.end) {
        n = region_join(m, n);
        n = region_next(n);
    }
}

s64 region_isolate(struct user_memory *m, range r)
{
    s64 result = region_split(m, r.start);
    if (result == 0)
        result = region_split(m, r.end);
    if (result)
        region_rejoin(m, r); /* the first cut, when the second failed */
    return result;
}

s64 region_add(struct user_memory *m, range r, const struct region *model)
{
    struct region *n = allocate(general_heap, sizeof(*n));
    if (!n || m->region_count >= REGIONS_MOST) {
        deallocate(general_heap, n, sizeof(*n));
        return -ENOMEM;
    }
    *n = *model;
    n->range.r = r;
    if (!range_map_insert(&m->regions, &n->range)) {
        deallocate(general_heap, n, sizeof(*n));
        return -ENOMEM;
    }
    region_file_enter(m, n);
    m->region_count++;
    m->bytes_mapped += range_length(r);
    region_rejoin(m, r);
    return 0;
}

s64 region_remove(struct user_memory *m, range r)
{
    s64 result = region_isolate(m, r);
    if (result)
        return result;
    struct region *n = region_at_or_next(m, r.start);
    while (n && n->range.r.start < r.end) {
        struct region *after = region_next(n);
        discard_in_region(m, n, n->range.r);
        m->bytes_mapped -= range_length(n->range.r);
        region_free(m, n);
        n = after;
    }
    if (r.end > m->map_hint && r.end <= m->map_top)
        m->map_hint = r.end;
    return 0;
}

/* Downwards from `top`; gives up at the lowest address. */
static bool place_below(struct user_memory *m, u64 top, u64 bytes, u64 alignment, u64 *address)
{
    while (top >= USER_START + bytes) {
        u64 start = align_down(top - bytes, alignment);
        if (start < USER_START)
            return false;
        struct region *r = region_at_or_next(m, start);
        if (!r || r->range.r.start >= start + bytes) {
            *address = start;
            return true;
        }
        /* Below the lowest region that is in the way, and those that touch it. */
        top = r->range.r.start;
        struct region *below = region_of(range_map_previous(&r->range));
        while (below && below->range.r.end == top) {
            top = below->range.r.start;
            below = region_of(range_map_previous(&below->range));
        }
    }
    return false;
}

bool region_place(struct user_memory *m, u64 bytes, u64 alignment, u64 *address)
{
    if (bytes == 0 || bytes > m->map_top)
        return false;
    bool found = place_below(m, m->map_hint, bytes, alignment, address);
    if (found)
        m->map_hint = *address;
    else
        found = place_below(m, m->map_top, bytes, alignment, address);
    return found;
}

bool region_covered(struct user_memory *m, range r)
{
    u64 at = r.start;
    for (struct region *n = region_at_or_next(m, at); at < r.end; n = region_next(n)) {
        if (!n || n->range.r.start > at)
            return false;
        at = n->range.r.end;
    }
    return true;
}
