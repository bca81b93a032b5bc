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

struct edges {
    u64 head, head_end, tail, end; /* bytes; the blocks are between head_end and tail */
};

static struct edges edges_of(u64 offset, u64 end)
{
    u64 head_end = min(align_up(offset, BLOCK_BYTES), end);
    return (struct edges){offset, head_end, max(align_down(end, BLOCK_BYTES), head_end), end};
}

/* So that edges_zero changes what will be on the disk, and cannot fail. */
static status edges_secure(struct inode *i, struct edges e, u64 *fetch)
{
    status s = STATUS_OK;
    if (e.head_end > e.head)
        s = edge_secure(i, e.head >> BLOCK_ORDER, fetch);
    if (is_ok(s) && e.end > e.tail)
        s = edge_secure(i, e.tail >> BLOCK_ORDER, fetch);
    return s;
}

/* The bytes that fill no block become zero. */
static void edges_zero(struct inode *i, struct edges e)
{
    if (e.head_end > e.head)
        edge_zero(i, e.head, e.head_end);
    if (e.end > e.tail)
        edge_zero(i, e.tail, e.end);
}

/* --- blocks without data ---------------------------------------------------------------------- */

/* Parts of a file that are to be mapped without data.  They are gathered first, with their new
   blocks, and then logged and mapped as one change: so a failure changes nothing. */
struct blanks {
    struct inode *inode;
    range zeros;  /* what is written there goes; elsewhere only holes get blocks */
    u64 done, at; /* all before has been mapped; gathered */
    u64 reserved; /* blocks set aside for what is not gathered */
    u32 count;
    struct blank {
        u64 file_block, disk_block, blocks;
        bool fresh; /* the blocks are new */
    } parts[ALLOCATE_PARTS];
};

enum blank_kind { BLANK_NONE, BLANK_IN_PLACE, BLANK_FRESH };

/* What has to be done from `at` on, up to *end at most, which becomes how far that holds.  Written
   blocks become unwritten where they lie; but not those with checksums: what is written there next
   would not match them if the log's older state came back. */
static enum blank_kind blank_kind(const struct blanks *b, u64 at, u64 *end)
{
    const struct inode *i = b->inode;
    struct range_node *n = i->extents ? range_map_lookup_at_or_next(i->extents, at) : NULL;
    if (!n || n->r.start > at) {
        *end = n ? min(n->r.start, *end) : *end;
        return BLANK_FRESH;
    }
    bool zeros = at >= b->zeros.start && at < b->zeros.end;
    *end = min(n->r.end, *end);
    if (at < b->zeros.end)
        *end = min(*end, zeros ? b->zeros.end : b->zeros.start);
    if (!zeros || extent_of(n)->flags & MAP_UNWRITTEN)
        return BLANK_NONE;
    return extent_in_place(extent_of(n)) ? BLANK_IN_PLACE : BLANK_FRESH;
}

static u64 blanks_needed(const struct blanks *b, range blocks)
{
    u64 count = 0;
    for (u64 at = blocks.start, end; at < blocks.end; at = end) {
        end = blocks.end;
        if (blank_kind(b, at, &end) == BLANK_FRESH)
            count += end - at;
    }
    return count;
}

/* Behind what lies before it. */
static u64 blank_goal(const struct blanks *b)
{
    const struct blank *last = b->count ? &b->parts[b->count - 1] : NULL;
    if (last && last->file_block + last->blocks == b->at)
        return last->disk_block + last->blocks;
    const struct extent *before = b->at ? extent_at(b->inode, b->at - 1) : NULL;
    return before ? before->disk_block + range_length(before->node.r) : 0;
}

static status blank_add(struct blanks *b, u64 end)
{
    struct blank part = {.file_block = b->at};
    enum blank_kind kind = blank_kind(b, b->at, &end);
    part.blocks = end - b->at;
    if (kind == BLANK_FRESH) {
        u64 most = min(part.blocks, (u64)EXTENT_BLOCKS_MOST);
        part.fresh = true;
        part.blocks = space_allocate(b->inode->fs, blank_goal(b), most, &part.disk_block);
        if (!part.blocks)
            return status_error(ENOMEM, "fs: no memory to take blocks", b->inode->number);
        b->reserved -= part.blocks;
    } else if (kind == BLANK_IN_PLACE) {
        const struct extent *e = extent_at(b->inode, b->at);
        part.disk_block = e->disk_block + (b->at - e->node.r.start);
    }
    if (kind != BLANK_NONE)
        b->parts[b->count++] = part;
    b->at += part.blocks;
    return STATUS_OK;
}

static void blank_log(const struct inode *i, const struct blank *part)
{
    struct record_map r = {.inode = i->number,
                           .file_block = part->file_block,
                           .disk_block = part->disk_block,
                           .blocks = (u32)part->blocks,
                           .flags = MAP_UNWRITTEN};
    log_record(i->fs, &r.r, sizeof(r), RECORD_MAP, NULL, 0, NULL, 0);
}

/* Room is secured and extents are promised. */
static void blanks_install(struct blanks *b)
{
    struct inode *i = b->inode;
    checkpoint_before_inode(i);
    for (u32 n = 0; n < b->count; n++)
        blank_log(i, &b->parts[n]);
    log_end(i->fs);
    i->live->position = log_position(i->fs);
    for (u32 n = 0; n < b->count; n++) {
        const struct blank *part = &b->parts[n];
        extent_install(i, part->file_block, part->disk_block, part->blocks, MAP_UNWRITTEN);
    }
}

static status blanks_map(struct blanks *b)
{
    struct filesystem *fs = b->inode->fs;
    u32 promise = b->count * EXTENTS_FOR_ONE_MAP;
    if (b->count == 0)
        return STATUS_OK;
    status s = extents_need(b->inode);
    if (is_ok(s))
        s = extents_promise(fs, promise);
    if (!is_ok(s))
        return s;
    s = log_begin(fs, b->count * sizeof(struct record_map), LOG_GROWS);
    if (is_ok(s))
        blanks_install(b);
    extents_unpromise(fs, promise);
    return s;
}

static void blanks_give_back(struct blanks *b)
{
    for (u32 n = 0; n < b->count; n++)
        if (b->parts[n].fresh)
            space_free_now(b->inode->fs, b->parts[n].disk_block, b->parts[n].blocks);
}

/* As many parts as one change takes; of `zeros`, what the cache has goes when the log says so. */
static status blanks_step(struct blanks *b, u64 end)
{
    status s = STATUS_OK;
    b->count = 0;
    b->at = b->done;
    while (is_ok(s) && b->at < end && b->count < ALLOCATE_PARTS)
        s = blank_add(b, end);
    if (is_ok(s))
        s = blanks_map(b);
    if (!is_ok(s)) {
        blanks_give_back(b);
        return s;
    }
    range zeros = range_intersection(b->zeros, range_of(b->done, b->at));
    if (!range_empty(zeros))
        data_void(b->inode, zeros.start, zeros.end);
    b->done = b->at;
    return s;
}

/* Blocks without data where there are none, and in all of `zeros`, which lies within.  All of them
   are set aside before one is taken. */
static status blocks_blank(struct inode *i, range blocks, range zeros)
{
    struct filesystem *fs = i->fs;
    struct blanks b = {.inode = i, .zeros = zeros, .done = blocks.start};
    status s = data_void_secure(i, zeros.start, zeros.end);
    u64 needed = blanks_needed(&b, blocks);
    if (is_ok(s))
        s = space_reserve(fs, needed);
    if (!is_ok(s))
        return s;
    b.reserved = needed;
    while (is_ok(s) && b.done < blocks.end)
        s = blanks_step(&b, blocks.end);
    space_unreserve(fs, b.reserved);
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
    bool zeros = flags & (ALLOCATE_PUNCH | ALLOCATE_ZERO);
    range inner = range_of(blocks_up(offset), max(end >> BLOCK_ORDER, blocks_up(offset)));
    range outer = range_of(offset >> BLOCK_ORDER, blocks_up(end));
    if (is_ok(s) && grows)
        s = tail_secure(i, outer.end, fetch);
    else if (is_ok(s) && !(flags & ALLOCATE_PUNCH)) /* what is counted on must not go later */
        s = file_skip(i, outer.end);
    if (is_ok(s) && zeros)
        s = edges_secure(i, edges_of(offset, end), fetch);
    if (is_ok(s) && flags & ALLOCATE_PUNCH && !range_empty(inner))
        s = blocks_drop(i, inner, ~0ull);
    if (is_ok(s) && !(flags & ALLOCATE_PUNCH)) {
        s = blocks_blank(i, outer, zeros ? inner : range_of(0, 0));
        reserves_return(i, outer);
    }
    if (!is_ok(s))
        return s;
    if (zeros)
        edges_zero(i, edges_of(offset, end));
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
