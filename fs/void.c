/* What leaves a file: pages and blocks that are truncated, punched or forgotten, with what is on
   its way to the disk for them; and inodes that nobody needs in memory any more. */
#include "fs/writeback.h"

/* --- writes ----------------------------------------------------------------------------------- */

static range write_range(const struct data_write *w)
{
    return range_of(w->first, w->first + w->blocks);
}

static u64 bits_of(const struct data_write *w, range pages)
{
    range r = range_intersection(write_range(w), pages);
    if (range_empty(r))
        return 0;
    u64 count = range_length(r);
    u64 bits = count == 64 ? ~0ull : (1ull << count) - 1;
    return bits << (r.start - w->first);
}

/* The runs of `bits` are blocks that nobody will name. */
static void blocks_free_now(struct data_write *w, u64 bits)
{
    for (u32 at = 0, run; at < w->blocks; at += run) {
        run = bits_run(bits, at, w->blocks);
        if (bits >> at & 1)
            space_free_now(w->fs, w->disk_block + at, run);
    }
}

/* These pages are the file's no more.  What is with the device is given back when it lands. */
static void write_void(struct data_write *w, u64 bits)
{
    struct data *d = w->fs->data;
    bits &= ~w->voided;
    w->voided |= bits;
    for (u64 left = bits; left; left &= left - 1) {
        u32 n = (u32)__builtin_ctzll(left);
        struct page *p = w->pages[n];
        p->writes--;
        p->moves -= w->kind == WRITE_NEW;
        d->written--;
        if (!w->in_flight)
            w->pages[n] = NULL;
        cache_page_settled(p);
    }
    if (w->kind != WRITE_NEW)
        return;
    if (w->in_flight)
        d->voided_blocks += bits_count(bits);
    else
        blocks_free_now(w, bits);
}

static bool write_is_void(const struct data_write *w)
{
    u64 all = bits_of(w, write_range(w));
    return (w->voided & all) == all;
}

static void writes_void(struct inode *i, range pages)
{
    list_for_each_safe (&i->live->writes, at) {
        struct data_write *w = container_of(at, struct data_write, link);
        u64 bits = bits_of(w, pages);
        if (!bits)
            continue;
        write_void(w, bits);
        if (!w->in_flight && write_is_void(w))
            data_write_free(w);
    }
}

/* --- pages ------------------------------------------------------------------------------------ */

static void page_void(struct page *p)
{
    struct filesystem *fs = p->inode->fs;
    if (p->flags & PAGE_DIRTY)
        cache_page_clean(p);
    if (p->flags & PAGE_RESERVED)
        space_unreserve(fs, 1);
    cache_detach(p);
}

status data_void_secure(struct inode *i, u64 first, u64 end)
{
    struct filesystem *fs = i->fs;
    status s = data_need(fs);
    u32 nodes = extents_count(i, range_of(first, end), ~0u) + 2;
    if (is_ok(s) && i->live) {
        list_for_each (&i->live->writes, at) {
            struct data_write *w = container_of(at, struct data_write, link);
            range r = write_range(w);
            if (r.start >= end || r.end <= first)
                continue;
            nodes++;
            if (!is_ok(s) || w->kind == WRITE_IN_PLACE || r.start >= first || r.end <= end)
                continue;
            s = log_dirty_reserve(fs, 1); /* what is left are two parts */
            if (!is_ok(s))
                continue;
            s = extents_promise(fs, EXTENTS_FOR_ONE_MAP);
            if (is_ok(s))
                w->maps++;
            else
                log_dirty_unreserve(fs, 1);
        }
    }
    return is_ok(s) ? space_spare(fs, nodes) : s;
}

void data_void(struct inode *i, u64 first, u64 end)
{
    struct filesystem *fs = i->fs;
    if (fs->environment.unmap)
        apply(fs->environment.unmap, i, range_of(first, end));
    if (!i->live)
        return;
    writes_void(i, range_of(first, end));
    struct page *p;
    for (u64 at = first; (p = cache_first_page(i, at)) && p->index < end;) {
        at = p->index + 1;
        page_void(p);
    }
}

/* --- inodes ----------------------------------------------------------------------------------- */

status data_forget_secure(struct inode *i)
{
    return i->type == INODE_FILE ? data_void_secure(i, 0, FILE_BLOCKS_MOST) : STATUS_OK;
}

/* Those that write it back end with what they have in flight. */
static void writebacks_forget(struct inode *i)
{
    list_for_each (&i->fs->data->writebacks, at) {
        struct writeback *b = container_of(at, struct writeback, link);
        if (b->inode == i) {
            b->issued = true;
            b->until = 0;
        }
    }
}

void data_forget(struct inode *i)
{
    if (i->type != INODE_FILE)
        return;
    data_void(i, 0, ~0ull);
    extent_remove(i, range_of(0, FILE_BLOCKS_MOST));
    inode_clean(i);
    if (!i->live || !i->fs->data)
        return;
    while (!list_empty(&i->live->writes)) {
        struct data_write *w = container_of(i->live->writes.next, struct data_write, link);
        w->inode = NULL;
        list_remove(&w->link);
    }
    writebacks_forget(i);
}

static bool inode_live_idle(const struct inode *i)
{
    const struct inode_live *l = i->live;
    return i->holds == 0 && i->links && l->pages_cached == 0 && list_empty(&l->dirty) &&
           list_empty(&l->writes) && (!i->fs->log || l->position <= log_durable(i->fs)) &&
           (i->type != INODE_FILE || l->logged_bytes == i->bytes);
}

void inode_live_rest(struct inode *i)
{
    if (i->live && inode_live_idle(i))
        inode_live_drop(i);
}

void inodes_live_rest(struct filesystem *fs, u32 most)
{
    for (u32 n = 0; n < most && !list_empty(&fs->live); n++) {
        struct inode_live *l = container_of(fs->live.next, struct inode_live, link);
        list_remove(&l->link);
        list_push_back(&fs->live, &l->link);
        inode_live_rest(l->inode);
    }
}
