/* file_read: from a file into memory of the caller's.

   Whole blocks into memory that is whole blocks too go straight from the device, one branch of a
   merge for each part of an extent, holes zeroed; the rest (an end that fills no block, memory that
   lies differently) is copied from the page cache, a window at a time, as one more branch. */
#include "fs/internal.h"

#include "runtime/merge.h"

#define COPY_PAGES_MOST 64u
/* Pages may be evicted between their arrival and the copy: fetched that often without progress. */
#define COPY_ATTEMPTS_MOST 8

struct file_read {
    struct inode *inode;
    struct sg_list *sg;
    u64 offset;  /* of sg's first byte in the file */
    u64 at, end; /* what is left to copy, in the file */
    u32 attempts;
    bool fetching, fetched_at_once; /* the completion came inside the call */
    status fetch_status;
    struct merge branches;
    struct status_handler fetched; /* pages for the copying have come */
    struct status_handler joined;
    status_handler copied; /* the copying's branch */
    status_handler done;
};

struct direct_read {
    struct extent_read extent;
    struct status_handler arrived;
    status_handler done;
};

/* --- straight from the device ----------------------------------------------------------------- */

closure_method(status_handler, direct_read_arrived, struct direct_read, arrived, status s)
{
    struct direct_read *d = owner();
    status_handler done = d->done;
    sg_clear(&d->extent.sg);
    deallocate(d->extent.inode->fs->environment.heap, d, sizeof(*d));
    apply(done, s);
}

/* How many blocks of `blocks` were started; 0 when out of memory. */
static u32 direct_read(struct file_read *f, const struct extent *e, range blocks)
{
    heap h = f->inode->fs->environment.heap;
    struct direct_read *d = allocate(h, sizeof(*d));
    if (!d)
        return 0;
    u32 count = extent_read_init(&d->extent, f->inode, e, blocks.start, range_length(blocks));
    sg_init(&d->extent.sg, h);
    if (!sg_add_range(&d->extent.sg, f->sg, (blocks.start << BLOCK_ORDER) - f->offset,
                      (u64)count << BLOCK_ORDER)) {
        sg_clear(&d->extent.sg);
        deallocate(h, d, sizeof(*d));
        return 0;
    }
    init_method(&d->arrived, direct_read_arrived);
    d->extent.done = &d->arrived;
    d->done = apply_merge(&f->branches);
    extent_read_start(&d->extent);
    return count;
}

static void direct_zero(struct file_read *f, range blocks)
{
    sg_zero(f->sg, (blocks.start << BLOCK_ORDER) - f->offset, range_length(blocks) << BLOCK_ORDER);
}

closure_function(range_handler, direct_node, (struct file_read * f, range blocks),
                 struct range_node *n)
{
    const struct extent *e = extent_of(n);
    struct file_read *f = bound(f);
    range part = range_intersection(n->r, bound(blocks));
    if (e->flags & MAP_UNWRITTEN) {
        direct_zero(f, part);
        return;
    }
    while (!range_empty(part)) {
        u32 started = direct_read(f, e, part);
        if (!started) {
            merge_fail(&f->branches, status_error(ENOMEM, "fs: no memory for reading", part.start));
            return;
        }
        part.start += started;
    }
}

closure_function(gap_handler, direct_gap, (struct file_read * f), range gap)
{
    direct_zero(bound(f), gap);
}

static void direct_start(struct file_read *f, range blocks)
{
    if (range_empty(blocks))
        return;
    if (!f->inode->extents)
        direct_zero(f, blocks);
    else
        range_map_walk(f->inode->extents, blocks, stack_closure(direct_node, f, blocks),
                       stack_closure(direct_gap, f));
}

/* --- copied from the page cache --------------------------------------------------------------- */

/* Copies what is in the cache; false when a page is missing. */
static bool copy_cached(struct file_read *f)
{
    while (f->at < f->end) {
        struct page *p = page_find(f->inode, f->at >> BLOCK_ORDER);
        if (!p)
            return false;
        u64 within = f->at & (BLOCK_BYTES - 1);
        u64 bytes = min(BLOCK_BYTES - within, f->end - f->at);
        sg_copy_in(f->sg, f->at - f->offset, (const u8 *)page_memory(p) + within, bytes);
        page_release(p);
        f->at += bytes;
        f->attempts = 0;
    }
    return true;
}

static void copy_continue(struct file_read *f, status s);

closure_method(status_handler, copy_fetched, struct file_read, fetched, status s)
{
    struct file_read *f = owner();
    if (f->fetching) {
        f->fetched_at_once = true;
        f->fetch_status = s;
    } else {
        copy_continue(f, s);
    }
}

/* False when the pages are on their way: then copy_fetched goes on. */
static bool copy_fetch(struct file_read *f)
{
    u64 first = f->at >> BLOCK_ORDER;
    u64 end = (f->end + BLOCK_BYTES - 1) >> BLOCK_ORDER;
    f->fetching = true;
    f->fetched_at_once = false;
    init_method(&f->fetched, copy_fetched);
    /* The second time one by one: many may push each other out of a small cache. */
    u64 most = f->attempts > 1 ? 1 : COPY_PAGES_MOST;
    pages_fetch(f->inode, first, min(end - first, most), &f->fetched);
    f->fetching = false;
    return f->fetched_at_once;
}

/* A fetch of holes completes inside the call; a loop keeps a long one from nesting. */
static void copy_continue(struct file_read *f, status s)
{
    while (is_ok(s) && !copy_cached(f)) {
        if (f->attempts++ == COPY_ATTEMPTS_MOST)
            s = status_error(ENOMEM, "fs: no memory to keep what was read", f->inode->number);
        else if (copy_fetch(f))
            s = f->fetch_status;
        else
            return;
    }
    apply(f->copied, s);
}

/* --- public ----------------------------------------------------------------------------------- */

closure_method(status_handler, file_read_joined, struct file_read, joined, status s)
{
    struct file_read *f = owner();
    status_handler done = f->done;
    deallocate(f->inode->fs->environment.heap, f, sizeof(*f));
    apply(done, s);
}

/* Something of the file is not on the disk yet, or not mapped. */
static bool cache_is_newer(const struct inode *i)
{
    return i->live && (i->live->dirty_pages || !list_empty(&i->live->writes));
}

static bool sg_whole_blocks(const struct sg_list *sg)
{
    sg_for_each (sg, piece)
        if (piece->bytes % BLOCK_BYTES || (u64)piece->address % SECTOR_BYTES)
            return false;
    return true;
}

void file_read(struct inode *i, u64 offset, struct sg_list *sg, u64 *bytes, status_handler done)
{
    if (bytes)
        *bytes = 0;
    if (i->type != INODE_FILE) {
        int error = i->type == INODE_DIRECTORY;
        apply(done, error ? status_error(EISDIR, "fs: a directory is not read as a file", i->number)
                          : status_error(EINVAL, "fs: a symbolic link is not read", i->number));
        return;
    }
    u64 length = offset < i->bytes ? min(sg->bytes, i->bytes - offset) : 0;
    struct file_read *f = length ? allocate(i->fs->environment.heap, sizeof(*f)) : NULL;
    if (bytes)
        *bytes = length;
    if (!f) {
        apply(done,
              length ? status_error(ENOMEM, "fs: no memory for reading", i->number) : STATUS_OK);
        return;
    }
    bool straight = offset % BLOCK_BYTES == 0 && sg_whole_blocks(sg) && !cache_is_newer(i);
    u64 direct = straight ? align_down(length, BLOCK_BYTES) : 0;
    f->inode = i;
    f->sg = sg;
    f->offset = offset;
    f->at = offset + direct;
    f->end = offset + length;
    f->attempts = 0;
    f->done = done;
    init_method(&f->joined, file_read_joined);
    init_merge(&f->branches, &f->joined);
    direct_start(f, range_of(offset >> BLOCK_ORDER, (offset + direct) >> BLOCK_ORDER));
    if (f->at < f->end && !copy_cached(f)) {
        f->copied = apply_merge(&f->branches);
        copy_continue(f, STATUS_OK);
    }
    merge_finish(&f->branches);
}
