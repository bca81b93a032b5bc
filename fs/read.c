/* pages_fetch: brings pages into the cache.  The range is looked up in the extent map with its
   gaps; each extent takes branches of a merge and goes to the device; holes are zeroed at once; the
   last branch completes the fetch.

   A page that another fetch is already reading is waited for, not read twice.  Who fetches many
   pages mostly wants the first one and reads ahead with the rest, so only what concerns the first
   page fails a fetch: the others are found missing when somebody comes for them. */
#include "fs/writeback.h"

#include "runtime/merge.h"

struct fetch {
    struct inode *inode;
    u64 first;
    bool again;   /* a failure may be another page's: ask once more for the first one alone */
    bool retried; /* that was done */
    struct merge branches;
    struct status_handler joined;
    struct pages_wait *wait; /* NULL: who waits cannot give up, or has done so */
    status_handler done;     /* NULL: nobody waits any more */
};

/* Who waits for pages of a read that somebody else started. */
struct read_waiter {
    struct list link;
    u64 mask; /* the pages, as in extent_read's bad */
    status_handler done;
};

struct page_read {
    struct extent_read extent;
    struct status_handler arrived;
    struct list waiters;
    status_handler done;
    struct sg_piece pieces[READ_BLOCKS_MOST];
    struct page *pages[READ_BLOCKS_MOST];
};

/* --- one read, for a run of pages that are not in the cache ----------------------------------- */

static void waiters_wake(heap h, struct list *waiters, u64 bad, status s)
{
    struct list *first;
    while ((first = list_pop_front(waiters))) {
        struct read_waiter *w = container_of(first, struct read_waiter, link);
        status_handler done = w->done;
        bool failed = w->mask & bad;
        deallocate(h, w, sizeof(*w));
        apply(done, failed ? s : STATUS_OK);
    }
}

/* Bytes of the page behind the end of the file are zero, whatever the disk holds there. */
static void page_cut(struct page *p)
{
    u64 end = p->inode->bytes - (p->index << BLOCK_ORDER);
    if (end < BLOCK_BYTES)
        memset((u8 *)p->memory + end, 0, BLOCK_BYTES - end);
}

/* The list's head moves to the caller's frame: its elements know the head. */
static void waiters_move(struct list *from, struct list *to)
{
    struct list *first;
    list_init(to);
    while ((first = list_pop_front(from)))
        list_push_back(to, first);
}

closure_method(status_handler, page_read_arrived, struct page_read, arrived, status s)
{
    struct page_read *r = owner();
    heap h = r->extent.inode->fs->environment.heap;
    u64 bad = r->extent.bad;
    status_handler done = r->done;
    struct list waiters;
    waiters_move(&r->waiters, &waiters);
    for (u32 n = 0; n < r->extent.blocks; n++) {
        struct page *p = r->pages[n];
        bool detached = p->flags & PAGE_DETACHED; /* truncated meanwhile: the hold was the last */
        page_release(p);
        if (detached)
            continue;
        if (bad >> n & 1) {
            cache_drop(p);
        } else {
            page_cut(p);
            cache_page_valid(p);
        }
    }
    deallocate(h, r, sizeof(*r));
    waiters_wake(h, &waiters, bad, s);
    apply(done, s);
}

/* One block of memory for the first *block_pages of a read's pages; NULL: they come one by one.
   While the cache is at its limit its own old pages serve best. */
static u8 *page_block(struct filesystem *fs, u32 pages, u32 *block_pages)
{
    u32 most = min(pages, fs->environment.block_pages_most);
    *block_pages = 0;
    if (most < 2 || fs->pages + most > fs->environment.cache_pages_most)
        return NULL;
    u32 length = 1u << (31 - __builtin_clz(most));
    u8 *block = allocate(fs->environment.pages, length * BLOCK_BYTES);
    if (block)
        *block_pages = length;
    return block;
}

/* Puts pages for the read's blocks into the cache; how many there was memory for. */
static u32 page_read_prepare(struct page_read *r)
{
    struct extent_read *x = &r->extent;
    struct filesystem *fs = x->inode->fs;
    u32 block_pages, n;
    u8 *block = page_block(fs, x->blocks, &block_pages);
    sg_init(&x->sg, NULL);
    x->sg.pieces = r->pieces;
    x->sg.capacity = READ_BLOCKS_MOST;
    for (n = 0; n < x->blocks; n++) {
        void *memory = n < block_pages ? block + n * BLOCK_BYTES : NULL;
        struct page *p = cache_add(x->inode, x->file_block + n, memory);
        if (!p)
            break;
        p->read = r;
        r->pages[n] = p;
        sg_add(&x->sg, p->memory, BLOCK_BYTES);
    }
    for (u32 unused = n; unused < block_pages; unused++)
        deallocate(fs->environment.pages, block + unused * BLOCK_BYTES, BLOCK_BYTES);
    return n;
}

/* Reads up to `count` absent pages of an extent (NULL: checksum blocks) from `first` on; how many
   it was, 0 when out of memory. */
static u32 page_read(struct fetch *f, const struct extent *e, u64 first, u64 count)
{
    struct inode *i = f->inode;
    heap h = i->fs->environment.heap;
    struct page_read *r = allocate(h, sizeof(*r));
    if (!r)
        return 0;
    if (e)
        extent_read_init(&r->extent, i, e, first, count);
    else
        checksums_read_init(&r->extent, i, first);
    r->extent.blocks = page_read_prepare(r);
    if (r->extent.blocks == 0) {
        deallocate(h, r, sizeof(*r));
        return 0;
    }
    list_init(&r->waiters);
    init_method(&r->arrived, page_read_arrived);
    r->extent.done = &r->arrived;
    r->done = apply_merge(&f->branches);
    u32 blocks = r->extent.blocks;
    extent_read_start(&r->extent);
    return blocks;
}

/* --- one fetch -------------------------------------------------------------------------------- */

static status fetch_no_memory(const struct fetch *f)
{
    return status_error(ENOMEM, "fs: no memory for the page cache", f->inode->number);
}

/* Waits for the pages from `first` on that the same read brings in; how many these are. */
static u64 fetch_join(struct fetch *f, struct page *p, range pages)
{
    struct page_read *r = p->read;
    u64 from = p->index - r->extent.file_block;
    u64 count = min(r->extent.blocks - from, pages.end - p->index);
    struct read_waiter *w = allocate(f->inode->fs->environment.heap, sizeof(*w));
    if (!w) {
        merge_fail(&f->branches, fetch_no_memory(f));
        return count;
    }
    w->mask = (count == 64 ? ~0ull : (1ull << count) - 1) << from;
    w->done = apply_merge(&f->branches);
    list_push_back(&r->waiters, &w->link);
    f->again = true;
    return count;
}

/* The pages of one extent, or of checksum blocks when e is NULL. */
static void fetch_extent(struct fetch *f, const struct extent *e, range pages)
{
    u64 at = pages.start;
    while (at < pages.end) {
        struct page *p = cache_lookup(f->inode, at);
        if (p) {
            at += p->flags & PAGE_VALID ? 1 : fetch_join(f, p, pages);
            continue;
        }
        u64 absent = 1;
        while (absent < READ_BLOCKS_MOST && at + absent < pages.end &&
               !cache_lookup(f->inode, at + absent))
            absent++;
        u32 started = page_read(f, e, at, absent);
        if (!started) {
            merge_fail(&f->branches, fetch_no_memory(f));
            return;
        }
        at += started;
    }
}

static void fetch_zero(struct fetch *f, range pages)
{
    for (u64 at = pages.start; at < pages.end; at++) {
        if (cache_lookup(f->inode, at))
            continue;
        struct page *p = cache_add(f->inode, at, NULL);
        if (!p) {
            merge_fail(&f->branches, fetch_no_memory(f));
            return;
        }
        memset(p->memory, 0, BLOCK_BYTES);
        page_release(p);
        cache_page_valid(p);
    }
}

closure_function(range_handler, fetch_node, (struct fetch * f, range pages), struct range_node *n)
{
    const struct extent *e = extent_of(n);
    range part = range_intersection(n->r, bound(pages));
    if (e->flags & MAP_UNWRITTEN)
        fetch_zero(bound(f), part);
    else
        fetch_extent(bound(f), e, part);
}

closure_function(gap_handler, fetch_gap, (struct fetch * f), range gap)
{
    fetch_zero(bound(f), gap);
}

static void fetch_start(struct fetch *f, range pages)
{
    struct inode *i = f->inode;
    init_merge(&f->branches, &f->joined);
    if (i == i->fs->checksums)
        fetch_extent(f, NULL, pages);
    else if (!i->extents)
        fetch_zero(f, pages);
    else
        range_map_walk(i->extents, pages, stack_closure(fetch_node, f, pages),
                       stack_closure(fetch_gap, f));
    merge_finish(&f->branches);
}

static bool page_is_valid(struct inode *i, u64 index)
{
    struct page *p = cache_lookup(i, index);
    return p && p->flags & PAGE_VALID;
}

closure_method(status_handler, fetch_joined, struct fetch, joined, status s)
{
    struct fetch *f = owner();
    struct inode *i = f->inode;
    if (!is_ok(s) && page_is_valid(i, f->first))
        s = STATUS_OK;
    if (!is_ok(s) && f->done && f->again && !f->retried) {
        f->retried = true;
        init_method(&f->joined, fetch_joined);
        fetch_start(f, range_of(f->first, f->first + 1));
        return;
    }
    status_handler done = f->done;
    if (f->wait)
        f->wait->fetch = NULL;
    deallocate(i->fs->environment.heap, f, sizeof(*f));
    if (i != i->fs->checksums)
        inode_release(i);
    if (done)
        apply(done, s);
}

static bool pages_all_valid(struct inode *i, u64 first, u64 count)
{
    for (u64 n = 0; n < count; n++)
        if (!page_is_valid(i, first + n))
            return false;
    return true;
}

static void fetch_begin(struct inode *i, u64 first, u64 count, struct pages_wait *w,
                        status_handler done)
{
    u64 pages = i->type == INODE_FILE ? file_pages(i) : 0;
    count = first < pages ? min(count, pages - first) : 0;
    if (pages_all_valid(i, first, count)) {
        apply(done, STATUS_OK);
        return;
    }
    struct fetch *f = allocate(i->fs->environment.heap, sizeof(*f));
    if (!f) {
        apply(done, status_error(ENOMEM, "fs: no memory for reading", i->number));
        return;
    }
    f->inode = i;
    f->first = first;
    f->again = count > 1;
    f->retried = false;
    f->wait = w;
    f->done = done;
    if (w)
        w->fetch = f;
    if (i != i->fs->checksums)
        inode_hold(i); /* who asked may close it meanwhile */
    inodes_live_rest(i->fs, 1);
    init_method(&f->joined, fetch_joined);
    fetch_start(f, range_of(first, first + count));
}

void pages_fetch(struct inode *i, u64 first, u64 count, status_handler done)
{
    fetch_begin(i, first, count, NULL, done);
}

void pages_fetch_cancellable(struct inode *i, u64 first, u64 count, struct pages_wait *w,
                             status_handler done)
{
    w->fetch = NULL;
    fetch_begin(i, first, count, w, done);
}

bool pages_wait_cancel(struct pages_wait *w)
{
    struct fetch *f = w->fetch;
    if (!f)
        return false;
    f->wait = NULL;
    f->done = NULL;
    w->fetch = NULL;
    return true;
}

/* --- reading ahead ---------------------------------------------------------------------------- */

#define AHEAD_PAGES_FIRST 16u  /* 64 KiB */
#define AHEAD_PAGES_MOST  256u /* 1 MiB: four requests in flight */

u64 pages_read_ahead(struct inode *i, u64 first, u64 count)
{
    u64 pages = i->type == INODE_FILE ? file_pages(i) : 0;
    struct inode_live *l = first < pages ? inode_live(i) : NULL;
    if (!l)
        return count;
    bool in_order = first == l->ahead_next;
    l->ahead_window = in_order ? min(l->ahead_window * 2, AHEAD_PAGES_MOST) : AHEAD_PAGES_FIRST;
    l->ahead_window = max(l->ahead_window, AHEAD_PAGES_FIRST);
    /* More than a quarter of the cache would push out what was just brought in. */
    u64 most = max(i->fs->environment.cache_pages_most / 4, count);
    u64 fetched = max(count, (u64)l->ahead_window);
    fetched = min(fetched, most);
    fetched = min(fetched, pages - first);
    l->ahead_next = first + fetched;
    return fetched;
}
