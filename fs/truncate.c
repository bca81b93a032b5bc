/* The shape of files: their length, blocks without data, holes, and where these are.

   What makes something of the disk unreachable is logged at once (TRUNCATE, UNMAP, MAP without
   data); what a file gains in length is logged by a commit, when its data is there (data.c). */
#include "fs/checkpoint.h"
#include "fs/writeback.h"

static u64 blocks_up(u64 bytes)
{
    return (bytes >> BLOCK_ORDER) + (bytes % BLOCK_BYTES != 0);
}

static void file_touch(struct inode *i)
{
    i->modified_ns = i->changed_ns = change_time(i->fs, i->modified_ns);
}

/* --- holes ------------------------------------------------------------------------------------ */

static void unmap_log(struct inode *i, range blocks)
{
    struct record_unmap r = {
        .inode = i->number, .file_block = blocks.start, .blocks = range_length(blocks)};
    log_record(i->fs, &r.r, sizeof(r), RECORD_UNMAP, NULL, 0, NULL, 0);
}

static void truncate_log(struct inode *i, u64 bytes)
{
    struct record_truncate r = {
        .inode = i->number, .bytes = bytes, .modified_ns = change_time(i->fs, i->modified_ns)};
    log_record(i->fs, &r.r, sizeof(r), RECORD_TRUNCATE, NULL, 0, NULL, 0);
    i->live->logged_bytes = bytes;
}

/* Whole blocks become a hole.  `length`: and the file ends there, which is logged when the log has
   it longer; ~0: it does not. */
static status blocks_drop(struct inode *i, range blocks, u64 length)
{
    struct filesystem *fs = i->fs;
    status s = data_void_secure(i, blocks.start, blocks.end);
    if (is_ok(s))
        s = extents_promise(fs, 1);
    if (!is_ok(s))
        return s;
    bool mapped = extents_count(i, blocks, 1), shorter = length <= i->live->logged_bytes;
    if (mapped || shorter)
        s = log_begin(fs, sizeof(struct record_unmap), LOG_SHRINKS);
    if (is_ok(s) && (mapped || shorter)) {
        checkpoint_before_inode(i);
        if (shorter)
            truncate_log(i, length);
        else
            unmap_log(i, blocks);
        log_end(fs);
        i->live->position = log_position(fs);
    }
    if (is_ok(s)) {
        data_void(i, blocks.start, blocks.end);
        extent_remove(i, blocks);
    }
    extents_unpromise(fs, 1);
    return s;
}

/* The first part of [from, end) that is mapped and not unwritten. */
static range written_find(const struct inode *i, u64 from, u64 end)
{
    struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, from) : NULL;
    while (n && n->r.start < end && extent_of(n)->flags & MAP_UNWRITTEN)
        n = range_map_next(n);
    return n ? range_intersection(n->r, range_of(from, end)) : range_of(end, end);
}

status file_skip(struct inode *i, u64 end)
{
    u64 from = blocks_up(i->bytes);
    status s = STATUS_OK;
    while (is_ok(s) && from < end) {
        range left = written_find(i, from, end);
        if (range_empty(left))
            break;
        s = blocks_drop(i, left, ~0ull);
        from = left.end;
    }
    return s;
}

/* --- the length ------------------------------------------------------------------------------- */

static void promises_cut(struct inode_live *l, u64 bytes)
{
    l->issued_bytes = min(l->issued_bytes, bytes);
    list_for_each (&l->promises, at) {
        struct data_promise *p = container_of(at, struct data_promise, link);
        p->bytes = min(p->bytes, bytes);
    }
}

static status file_shorten(struct inode *i, u64 bytes)
{
    status s = blocks_drop(i, range_of(blocks_up(bytes), FILE_BLOCKS_MOST), bytes);
    if (!is_ok(s))
        return s;
    i->bytes = bytes;
    promises_cut(i->live, bytes);
    struct page *p = bytes % BLOCK_BYTES ? cache_lookup(i, bytes >> BLOCK_ORDER) : NULL;
    if (p && p->flags & PAGE_VALID)
        memset((u8 *)p->memory + bytes % BLOCK_BYTES, 0, BLOCK_BYTES - bytes % BLOCK_BYTES);
    return STATUS_OK;
}

/* What every call here begins with. */
static status shape_begin(struct inode *i)
{
    status s = file_change_allowed(i);
    if (is_ok(s))
        s = data_need(i->fs);
    return is_ok(s) ? inode_dirty(i) : s;
}

status file_truncate(struct inode *i, u64 bytes, u64 *fetch)
{
    *fetch = NO_PAGE;
    status s = bytes > FILE_BYTES_MOST
                   ? status_error(EFBIG, "fs: beyond the largest file", i->number)
                   : shape_begin(i);
    if (!is_ok(s))
        return s;
    if (bytes <= i->bytes) {
        s = file_shorten(i, bytes);
    } else {
        s = tail_secure(i, blocks_up(bytes), fetch);
        if (is_ok(s))
            i->bytes = bytes;
    }
    if (is_ok(s))
        file_touch(i);
    return s;
}

/* --- fallocate -------------------------------------------------------------------------------- */

/* A part of a page that is to be zero: the page is dirty, unless nothing is there. */
static status edge_secure(struct inode *i, u64 index, u64 *fetch)
{
    struct page *p = cache_lookup(i, index);
    if (!p && !page_has_content(i, index))
        return STATUS_OK;
    if (!p || !(p->flags & PAGE_VALID)) {
        *fetch = index;
        return status_error(EAGAIN, "fs: a page has to be read first", index);
    }
    return page_make_dirty(p);
}

static void edge_zero(struct inode *i, u64 offset, u64 end)
{
    struct page *p = cache_lookup(i, offset >> BLOCK_ORDER);
    if (p)
        memset((u8 *)p->memory + offset % BLOCK_BYTES, 0, end - offset);
}

/* The bytes [offset, end) that fill no block become zero. */
static status edges_clear(struct inode *i, u64 offset, u64 end, u64 *fetch)
{
    u64 head_end = min(align_up(offset, BLOCK_BYTES), end);
    u64 tail = max(align_down(end, BLOCK_BYTES), head_end);
    status s = STATUS_OK;
    if (head_end > offset)
        s = edge_secure(i, offset >> BLOCK_ORDER, fetch);
    if (is_ok(s) && end > tail)
        s = edge_secure(i, tail >> BLOCK_ORDER, fetch);
    if (!is_ok(s))
        return s;
    if (head_end > offset)
        edge_zero(i, offset, head_end);
    if (end > tail)
        edge_zero(i, tail, end);
    return STATUS_OK;
}

/* Maps blocks without data.  `taken`: they are new, and free again when that fails. */
static status unwritten_map(struct inode *i, u64 file_block, u64 disk_block, u64 blocks)
{
    struct filesystem *fs = i->fs;
    struct record_map r = {.inode = i->number,
                           .file_block = file_block,
                           .disk_block = disk_block,
                           .blocks = (u32)blocks,
                           .flags = MAP_UNWRITTEN};
    status s = extents_need(i);
    if (is_ok(s))
        s = extents_promise(fs, EXTENTS_FOR_ONE_MAP);
    if (!is_ok(s))
        return s;
    s = log_begin(fs, sizeof(r), LOG_GROWS);
    if (is_ok(s)) {
        checkpoint_before_inode(i);
        log_record(fs, &r.r, sizeof(r), RECORD_MAP, NULL, 0, NULL, 0);
        log_end(fs);
        i->live->position = log_position(fs);
        extent_install(i, file_block, disk_block, blocks, MAP_UNWRITTEN);
    }
    extents_unpromise(fs, EXTENTS_FOR_ONE_MAP);
    return s;
}

/* The first hole in [from, end). */
static range hole_find(const struct inode *i, u64 from, u64 end)
{
    struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, from) : NULL;
    while (n && n->r.start <= from && from < end) {
        from = n->r.end;
        n = range_map_next(n);
    }
    return range_of(from, n ? min(n->r.start, end) : end);
}

static u64 holes_count(const struct inode *i, range blocks)
{
    u64 count = 0;
    range hole = hole_find(i, blocks.start, blocks.end);
    for (; !range_empty(hole); hole = hole_find(i, hole.end, blocks.end))
        count += range_length(hole);
    return count;
}

/* Blocks without data for the holes of a range; all of them are set aside before one is taken. */
static status holes_fill(struct inode *i, range blocks)
{
    struct filesystem *fs = i->fs;
    u64 left = holes_count(i, blocks), block;
    status s = space_reserve(fs, left);
    range hole = hole_find(i, blocks.start, blocks.end);
    if (!is_ok(s))
        return s;
    while (is_ok(s) && !range_empty(hole)) {
        u64 wanted = min(range_length(hole), (u64)EXTENT_BLOCKS_MOST);
        const struct extent *before = hole.start ? extent_at(i, hole.start - 1) : NULL;
        u64 goal = before ? before->disk_block + range_length(before->node.r) : 0;
        u64 got = space_allocate(fs, goal, wanted, &block);
        s = got ? unwritten_map(i, hole.start, block, got)
                : status_error(ENOMEM, "fs: no memory to take blocks", i->number);
        left -= got;
        if (got && !is_ok(s))
            space_free_now(fs, block, got);
        hole = hole_find(i, hole.start, blocks.end);
    }
    space_unreserve(fs, left);
    return s;
}

/* What is written becomes unwritten, where it lies; but for blocks with checksums, which become a
   hole: what is written there next would not match them if the log's older state came back. */
static status extent_blank(struct inode *i, const struct extent *e, range part)
{
    if (e->flags & (MAP_SUMS_INLINE | MAP_SUMS_RUN))
        return blocks_drop(i, part, ~0ull);
    if (e->flags & MAP_UNWRITTEN)
        return STATUS_OK;
    u64 disk_block = e->disk_block + (part.start - e->node.r.start);
    return unwritten_map(i, part.start, disk_block, range_length(part));
}

/* What the cache has goes when the log says so, part by part: after a failure each byte is what it
   was, or zero, and nothing older. */
static status blocks_blank(struct inode *i, range blocks)
{
    status s = data_void_secure(i, blocks.start, blocks.end);
    for (u64 at = blocks.start; is_ok(s) && at < blocks.end;) {
        struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, at) : NULL;
        range part = range_of(at, n ? min(n->r.start, blocks.end) : blocks.end);
        if (n && n->r.start <= at) { /* it may begin before: it was joined to what went before */
            part.end = min(n->r.end, blocks.end);
            s = extent_blank(i, extent_of(n), part);
        }
        if (is_ok(s))
            data_void(i, part.start, part.end);
        at = part.end;
    }
    return s;
}

/* Blocks set aside for dirty pages that have blocks now. */
static void reserves_return(struct inode *i, range blocks)
{
    struct page *p;
    for (u64 at = blocks.start; (p = cache_first_dirty(i, at)) && p->index < blocks.end;) {
        at = p->index + 1;
        if (!(p->flags & PAGE_RESERVED) || p->moves || !extent_in_place(extent_at(i, p->index)))
            continue;
        p->flags &= ~(u32)PAGE_RESERVED;
        space_unreserve(i->fs, 1);
    }
}

static status allocate_check(const struct inode *i, u32 flags, u64 offset, u64 bytes)
{
    u32 known = ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH | ALLOCATE_ZERO;
    bool punch = flags & ALLOCATE_PUNCH;
    if (flags & ~known || (punch && flags & ALLOCATE_ZERO) ||
        (punch && !(flags & ALLOCATE_KEEP_SIZE)))
        return status_error(EOPNOTSUPP, "fs: an unknown way to allocate", flags);
    if (bytes == 0)
        return status_error(EINVAL, "fs: nothing to allocate", i->number);
    if (offset > FILE_BYTES_MOST || bytes > FILE_BYTES_MOST - offset)
        return status_error(EFBIG, "fs: beyond the largest file", i->number);
    return STATUS_OK;
}

status file_allocate(struct inode *i, u32 flags, u64 offset, u64 bytes, u64 *fetch)
{
    u64 end = offset + bytes;
    *fetch = NO_PAGE;
    status s = allocate_check(i, flags, offset, bytes);
    if (is_ok(s))
        s = shape_begin(i);
    bool grows = !(flags & ALLOCATE_KEEP_SIZE) && end > i->bytes;
    range inner = range_of(blocks_up(offset), end >> BLOCK_ORDER);
    range outer = range_of(offset >> BLOCK_ORDER, blocks_up(end));
    if (is_ok(s) && grows)
        s = tail_secure(i, outer.end, fetch);
    else if (is_ok(s) && !(flags & ALLOCATE_PUNCH)) /* what is counted on must not go later */
        s = file_skip(i, outer.end);
    if (is_ok(s) && flags & (ALLOCATE_PUNCH | ALLOCATE_ZERO))
        s = edges_clear(i, offset, end, fetch);
    if (is_ok(s) && flags & ALLOCATE_PUNCH && !range_empty(inner))
        s = blocks_drop(i, inner, ~0ull);
    if (is_ok(s) && flags & ALLOCATE_ZERO && !range_empty(inner))
        s = blocks_blank(i, inner);
    if (is_ok(s) && !(flags & ALLOCATE_PUNCH)) {
        s = holes_fill(i, outer);
        reserves_return(i, outer);
    }
    if (!is_ok(s))
        return s;
    if (grows)
        i->bytes = end;
    file_touch(i);
    return s;
}

/* --- where data is ---------------------------------------------------------------------------- */

/* The first page from `at` on that an unfinished write has; ~0: none. */
static u64 writing_next(const struct inode *i, u64 at)
{
    u64 next = ~0ull;
    if (!i->live)
        return next;
    list_for_each (&i->live->writes, link) {
        const struct data_write *w = container_of(link, struct data_write, link);
        for (u64 n = max(at, w->first); n < w->first + w->blocks && n < next; n++)
            if (!(w->voided >> (n - w->first) & 1))
                next = n;
    }
    return next;
}

/* The first block from `at` on that holds data, and behind *end what follows may not. */
static u64 data_next(struct inode *i, u64 at, u64 *end)
{
    struct page *dirty = cache_first_dirty(i, at);
    u64 volatile_next = min(dirty ? dirty->index : ~0ull, writing_next(i, at));
    struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, at) : NULL;
    while (n && extent_of(n)->flags & MAP_UNWRITTEN)
        n = range_map_next(n);
    u64 mapped = n ? max(n->r.start, at) : ~0ull;
    *end = mapped <= volatile_next && n ? n->r.end : volatile_next + 1;
    return min(mapped, volatile_next);
}

static status seek_check(const struct inode *i, u64 offset)
{
    return offset < i->bytes ? STATUS_OK
                             : status_error(ENXIO, "fs: behind the end of the file", i->number);
}

status file_seek_data(struct inode *i, u64 offset, u64 *found)
{
    u64 end, block = data_next(i, offset >> BLOCK_ORDER, &end);
    status s = seek_check(i, offset);
    if (is_ok(s) && block >= blocks_up(i->bytes))
        s = status_error(ENXIO, "fs: no data from there on", i->number);
    if (is_ok(s))
        *found = max(offset, block << BLOCK_ORDER);
    return s;
}

status file_seek_hole(struct inode *i, u64 offset, u64 *found)
{
    u64 at = offset >> BLOCK_ORDER, end;
    status s = seek_check(i, offset);
    if (!is_ok(s))
        return s;
    while (at < blocks_up(i->bytes) && data_next(i, at, &end) == at)
        at = end;
    *found = min(max(offset, at << BLOCK_ORDER), i->bytes);
    return s;
}
