/* From pages of files to where they are mapped: what the filesystem tells before it writes pages
   back, and before it takes them away.

   The regions of a file are found by its inode; the page tables say which of its pages are there.
   Applied by fs/ in the middle of its calls, so nothing of it is asked here but which page of its
   cache is the mapped one, and the hold on that page is given back. */
#include "unix/memory_files.h"
#include "unix/unix.h"

/* Of all processes. */
static struct list memories = {&memories, &memories};

static struct list *files_bucket(struct user_memory *m, const struct inode *i)
{
    return &m->files[((u64)i >> 6 ^ (u64)i >> 13) % FILE_BUCKETS];
}

void memory_files_init(struct user_memory *m)
{
    for (u32 k = 0; k < FILE_BUCKETS; k++)
        list_init(&m->files[k]);
    list_init(&m->link);
}

void memory_files_enter(struct user_memory *m)
{
    list_push_back(&memories, &m->link);
}

void memory_files_leave(struct user_memory *m)
{
    list_remove(&m->link);
}

void region_file_enter(struct user_memory *m, struct region *r)
{
    if (!r->inode)
        return;
    inode_hold(r->inode);
    list_push_back(files_bucket(m, r->inode), &r->file_link);
}

void region_file_leave(struct region *r)
{
    if (!r->inode)
        return;
    list_remove(&r->file_link);
    inode_release(r->inode);
}

/* The addresses in r that show `pages` of its file; empty when none does. */
static range region_addresses(const struct region *r, range pages)
{
    u64 length = range_length(r->range.r);
    u64 first = r->offset >> PAGE_ORDER, last = first + (length >> PAGE_ORDER);
    range shown = range_intersection(pages, range_of(first, last));
    if (range_empty(shown))
        return range_of(0, 0);
    return range_of(r->range.r.start + ((shown.start - first) << PAGE_ORDER),
                    r->range.r.start + ((shown.end - first) << PAGE_ORDER));
}

/* --- not to be written ------------------------------------------------------------------------ */

static void region_protect(struct user_memory *m, const struct region *r, range pages)
{
    range at = region_addresses(r, pages);
    if (!(r->flags & REGION_SHARED) || !(r->flags & REGION_WRITE) || range_empty(at))
        return;
    page_protect(&m->space, at.start, range_length(at), region_page_flags(r) & ~(u32)PAGE_WRITE);
}

/* --- gone ------------------------------------------------------------------------------------- */

/* Copies that a private mapping has made stay. */
static void region_unmap(struct user_memory *m, const struct region *r, range pages)
{
    range at = region_addresses(r, pages);
    physical page;
    u32 flags;
    u64 address = at.start;
    while (!range_empty(at) && page_next(&m->space, &address, at.end, &page, &flags)) {
        struct page *cached = region_cached_page(r, address, page);
        if (cached) {
            page_unmap(&m->space, address, PAGE_BYTES);
            page_release(cached);
            m->pages_cached--;
        }
        address += PAGE_BYTES;
    }
}

/* --- the two handlers ------------------------------------------------------------------------- */

struct mappings {
    struct mapping_handler protect, unmap;
};

static struct mappings mappings;

closure_method(mapping_handler, mappings_protect, struct mappings, protect, struct inode *i,
               range pages)
{
    (void)owner();
    list_for_each (&memories, l) {
        struct user_memory *m = container_of(l, struct user_memory, link);
        list_for_each (files_bucket(m, i), k) {
            const struct region *r = container_of(k, struct region, file_link);
            if (r->inode == i)
                region_protect(m, r, pages);
        }
    }
}

closure_method(mapping_handler, mappings_unmap, struct mappings, unmap, struct inode *i,
               range pages)
{
    (void)owner();
    list_for_each (&memories, l) {
        struct user_memory *m = container_of(l, struct user_memory, link);
        list_for_each (files_bucket(m, i), k) {
            const struct region *r = container_of(k, struct region, file_link);
            if (r->inode == i)
                region_unmap(m, r, pages);
        }
    }
}

mapping_handler memory_protect_handler(void)
{
    init_method(&mappings.protect, mappings_protect);
    return &mappings.protect;
}

mapping_handler memory_unmap_handler(void)
{
    init_method(&mappings.unmap, mappings_unmap);
    return &mappings.unmap;
}
