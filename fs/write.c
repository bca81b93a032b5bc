/* Writing to files: page_write_begin, the copy, page_write_end.

   A write goes to pages of the cache; write-back (writeback.c) brings them to the disk.  What can
   go wrong does so in begin: a page that is not in the cache and keeps some of its bytes has to be
   fetched first; a page that will need a block gets one set aside; the inode counts as dirty, so
   that a commit writes its length and times; who writes faster than the disk waits.  A page that is
   dirty already needs none of that: then begin is a look-up.

   A file that grows from the middle of a block: that block's page becomes dirty with zeros behind
   the old end, so that what the disk holds there never shows.  Nor do blocks that a power cut left
   behind the end: those that the file skips when it grows become a hole first (file_skip). */
#include "fs/writeback.h"

static status no_file(const struct inode *i)
{
    return i->type == INODE_DIRECTORY ? status_error(EISDIR, "fs: a directory", i->number)
                                      : status_error(EINVAL, "fs: not a file", i->number);
}

status file_change_allowed(const struct inode *i)
{
    return i->type == INODE_FILE ? change_allowed(i->fs) : no_file(i);
}

static status page_throttle(struct filesystem *fs)
{
    if (likely(!data_throttled(fs)))
        return STATUS_OK;
    data_balance(fs);
    return status_error(EAGAIN, "fs: too much is dirty", fs->data->dirty);
}

/* Whether what is written there goes to the block that is mapped, and will stay. */
static bool goes_in_place(const struct inode *i, u64 index, const struct page *p)
{
    return !(p && p->moves) && extent_in_place(extent_at(i, index));
}

/* The block for a page that will be dirty, p when it is there already. */
static status page_reserve(struct inode *i, u64 index, const struct page *p, bool *reserved)
{
    *reserved = !goes_in_place(i, index, p);
    if (!*reserved)
        return STATUS_OK;
    status s = space_reserve(i->fs, 1);
    if (status_errno(s) == ENOSPC && p && p->moves)
        return status_error(EAGAIN, "fs: the page is being mapped", index); /* then it needs none */
    return s;
}

static void page_dirty_reserved(struct page *p, bool reserved)
{
    cache_page_dirty(p);
    if (reserved)
        p->flags |= PAGE_RESERVED;
}

status page_make_dirty(struct page *p)
{
    bool reserved;
    if (p->flags & PAGE_DIRTY)
        return STATUS_OK;
    status s = page_throttle(p->inode->fs);
    if (is_ok(s))
        s = page_reserve(p->inode, p->index, p, &reserved);
    if (is_ok(s))
        page_dirty_reserved(p, reserved);
    return s;
}

bool page_has_content(const struct inode *i, u64 index)
{
    const struct extent *e = index < file_pages(i) ? extent_at(i, index) : NULL;
    return e && !(e->flags & MAP_UNWRITTEN);
}

static status page_fetch_first(u64 index, u64 *fetch)
{
    *fetch = index;
    return status_error(EAGAIN, "fs: a page has to be read first", index);
}

status tail_secure(struct inode *i, u64 index, u64 *fetch)
{
    u64 last = i->bytes >> BLOCK_ORDER, within = i->bytes % BLOCK_BYTES;
    status s = index > last ? file_skip(i, index) : STATUS_OK;
    if (!is_ok(s) || within == 0 || index <= last)
        return s;
    struct page *p = cache_lookup(i, last);
    if (p && p->flags & PAGE_VALID)
        memset((u8 *)p->memory + within, 0, BLOCK_BYTES - within);
    if (!page_has_content(i, last) && !(p && p->writes))
        return STATUS_OK; /* nothing is there, or a dirty page */
    if (!p || !(p->flags & PAGE_VALID))
        return page_fetch_first(last, fetch);
    return page_make_dirty(p);
}

/* --- begin ------------------------------------------------------------------------------------ */

/* A page that was not in the cache, of which nothing has to be read. */
static status page_add(struct inode *i, u64 offset, u64 bytes, struct page_write *w)
{
    u64 index = offset >> BLOCK_ORDER;
    bool reserved;
    status s = page_reserve(i, index, NULL, &reserved);
    if (!is_ok(s))
        return s;
    struct page *p = cache_add(i, index, NULL);
    if (!p) {
        if (reserved)
            space_unreserve(i->fs, 1);
        return status_error(ENOMEM, "fs: no memory for the page cache", i->number);
    }
    if (bytes < BLOCK_BYTES)
        memset(p->memory, 0, BLOCK_BYTES);
    cache_page_valid(p);
    page_dirty_reserved(p, reserved);
    w->page = p;
    w->fresh = (u32)bytes;
    w->replaces = page_has_content(i, index);
    return STATUS_OK;
}

static status page_get(struct inode *i, u64 offset, u64 bytes, struct page_write *w)
{
    u64 index = offset >> BLOCK_ORDER, within = offset % BLOCK_BYTES;
    struct page *p = cache_lookup(i, index);
    if (p && p->flags & PAGE_VALID) {
        status s = page_make_dirty(p);
        if (is_ok(s)) {
            p->holds++;
            w->page = p;
        }
        return s;
    }
    bool all = within == 0 && (bytes == BLOCK_BYTES || offset + bytes >= i->bytes);
    if (p || (!all && page_has_content(i, index)))
        return page_fetch_first(index, &w->fetch);
    status s = page_throttle(i->fs);
    return is_ok(s) ? page_add(i, offset, bytes, w) : s;
}

static status write_begin(struct inode *i, u64 offset, u64 bytes, struct page_write *w)
{
    status s = file_change_allowed(i);
    if (!is_ok(s))
        return s;
    if (offset > FILE_BYTES_MOST || bytes > FILE_BYTES_MOST - offset)
        return status_error(EFBIG, "fs: beyond the largest file", i->number);
    s = data_need(i->fs);
    if (is_ok(s))
        s = inode_dirty(i);
    if (is_ok(s))
        s = tail_secure(i, offset >> BLOCK_ORDER, &w->fetch);
    return is_ok(s) ? page_get(i, offset, bytes, w) : s;
}

status page_write_begin(struct inode *i, u64 offset, u64 bytes, struct page_write *w)
{
    u64 index = offset >> BLOCK_ORDER;
    struct page *p = cache_lookup(i, index);
    w->fetch = NO_PAGE;
    w->fresh = 0;
    w->replaces = false;
    assert(offset % BLOCK_BYTES + bytes <= BLOCK_BYTES);
    if (likely(p && p->flags & PAGE_DIRTY && !list_empty(&i->live->dirty) &&
               index <= i->bytes >> BLOCK_ORDER && i->fs->writable &&
               offset <= FILE_BYTES_MOST - bytes)) {
        p->flags |= PAGE_REFERENCED;
        p->holds++;
        w->page = p;
        return STATUS_OK;
    }
    return write_begin(i, offset, bytes, w);
}

/* --- end -------------------------------------------------------------------------------------- */

/* Less than was announced went into a new page.  What it should have replaced was never read; so
   the page is forgotten, and nothing was written. */
static u64 write_short(u64 offset, u64 bytes, struct page_write *w)
{
    struct page *p = w->page;
    struct filesystem *fs = p->inode->fs;
    u64 within = offset % BLOCK_BYTES;
    if (!w->replaces) {
        memset((u8 *)p->memory + within + bytes, 0, w->fresh - bytes);
        return bytes;
    }
    cache_page_clean(p);
    if (p->flags & PAGE_RESERVED)
        space_unreserve(fs, 1);
    p->flags &= ~(u32)PAGE_RESERVED;
    cache_detach(p); /* the caller's hold is the last one */
    return 0;
}

u64 page_write_end(struct inode *i, u64 offset, u64 bytes, struct page_write *w)
{
    if (unlikely(bytes < w->fresh))
        bytes = write_short(offset, bytes, w);
    page_release(w->page);
    w->page = NULL;
    if (bytes && offset + bytes > i->bytes)
        i->bytes = offset + bytes;
    i->modified_ns = i->changed_ns = change_time(i->fs, i->modified_ns);
    return bytes;
}
