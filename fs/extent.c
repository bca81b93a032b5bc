/* Extent maps: which blocks of a file lie where.  Replay is the caller, and what changes files
   while they are mounted; reading walks the range map itself.  Every block that is mapped here is
   taken in the map of used blocks, so two extents can never share one, and none lies on metadata.

   Replay frees blocks at once, and fails for want of memory.  What changes a mounted file has
   promised itself the extents it needs, and its blocks are free after a commit (allocate.c). */
#include "fs/checkpoint.h"
#include "fs/writeback.h"

status extents_need(struct inode *i)
{
    if (i->extents)
        return STATUS_OK;
    i->extents = arena_allocate(&i->fs->arena, sizeof(*i->extents));
    if (!i->extents)
        return status_error(ENOMEM, "fs: no memory for an extent map", i->number);
    range_map_init(i->extents);
    return STATUS_OK;
}

/* --- memory for extents ----------------------------------------------------------------------- */

static struct extent *extent_of_rbnode(rbnode n)
{
    return extent_of(container_of(n, struct range_node, node));
}

static void pool_push(struct extent_pool *p, struct extent *e)
{
    e->node.node.right = p->first;
    p->first = &e->node.node;
    p->count++;
}

static struct extent *pool_pop(struct extent_pool *p)
{
    if (!p->first)
        return NULL;
    struct extent *e = extent_of_rbnode(p->first);
    p->first = e->node.node.right;
    p->count--;
    return e;
}

status extents_promise(struct filesystem *fs, u32 n)
{
    struct extent_pool *p = &fs->data->extents;
    while (p->count < p->promised + n) {
        struct extent *e = arena_allocate(&fs->arena, sizeof(*e));
        if (!e)
            return status_error(ENOMEM, "fs: no memory for an extent", n);
        pool_push(p, e);
    }
    p->promised += n;
    return STATUS_OK;
}

void extents_unpromise(struct filesystem *fs, u32 n)
{
    struct extent_pool *p = &fs->data->extents;
    assert(p->promised >= n);
    p->promised -= n;
    while (p->count > p->promised)
        arena_free(&fs->arena, pool_pop(p), sizeof(struct extent));
}

/* What an extent's checksums take in its record. */
static u64 extent_text(const struct extent *e)
{
    return e->sums ? align_up(range_length(e->node.r) * sizeof(u32), 8) : 0;
}

static struct extent *extent_make(struct filesystem *fs, const struct extent *like)
{
    struct extent *e = arena_allocate(&fs->arena, sizeof(*e));
    if (!e && fs->data)
        e = pool_pop(&fs->data->extents);
    if (e)
        *e = *like;
    return e;
}

static void extent_link(struct inode *i, struct extent *e)
{
    bool inserted = range_map_insert(i->extents, &e->node);
    assert(inserted);
    e->said = i->fs->checkpoint_epoch;
    i->blocks += range_length(e->node.r);
    i->fs->extents++;
    i->fs->text_bytes += extent_text(e);
}

static void extent_unlink(struct inode *i, struct extent *e)
{
    checkpoint_before_extent(i, e);
    range_map_remove(i->extents, &e->node);
    i->blocks -= range_length(e->node.r);
    i->fs->extents--;
    i->fs->text_bytes -= extent_text(e);
}

static void extent_resize(struct inode *i, struct extent *e, range r)
{
    checkpoint_before_extent(i, e);
    i->fs->text_bytes -= extent_text(e);
    i->blocks += range_length(r) - range_length(e->node.r);
    range_map_resize(i->extents, &e->node, r);
    i->fs->text_bytes += extent_text(e);
}

/* Moves the first block of an extent: what its other fields count from moves along. */
static void extent_advance(struct extent *e, u64 blocks)
{
    e->disk_block += blocks;
    e->run_index += (u32)blocks;
    if (e->sums)
        e->sums += blocks;
}

/* What is left of e beside a cut goes on naming its checksum blocks; nothing else does. */
static void extent_sums_cut(struct inode *i, const struct extent *e, range left, range right)
{
    status s = sums_hold(i->fs, extent_sums(e, left));
    if (is_ok(s))
        s = sums_hold(i->fs, extent_sums(e, right));
    assert(is_ok(s)); /* e names them */
    sums_drop(i->fs, extent_sums(e, e->node.r));
}

/* Takes `cut`, which lies within e, out of the map; what becomes of its blocks is the caller's. */
static status extent_cut(struct inode *i, struct extent *e, range cut)
{
    range r = e->node.r, left = range_of(r.start, cut.start), right = range_of(cut.end, r.end);
    struct extent *tail = NULL;
    if (!range_empty(left) && !range_empty(right)) {
        tail = extent_make(i->fs, e);
        if (!tail)
            return status_error(ENOMEM, "fs: no memory for an extent", i->number);
    }
    if (e->flags & MAP_SUMS_RUN)
        extent_sums_cut(i, e, left, right);
    if (!range_empty(left)) {
        extent_resize(i, e, left);
        if (tail) {
            extent_advance(tail, cut.end - r.start);
            tail->node.r = right;
            extent_link(i, tail);
        }
    } else if (!range_empty(right)) {
        extent_resize(i, e, right);
        extent_advance(e, cut.end - r.start);
    } else {
        extent_unlink(i, e);
        arena_free(&i->fs->arena, e, sizeof(*e));
    }
    return STATUS_OK;
}

/* --- replay ----------------------------------------------------------------------------------- */

status extent_unmap(struct inode *i, range blocks)
{
    if (!i->extents)
        return STATUS_OK;
    struct range_node *n = range_map_lookup_at_or_next(i->extents, blocks.start);
    while (n && n->r.start < blocks.end) {
        struct extent *e = extent_of(n);
        range cut = range_intersection(n->r, blocks);
        u64 disk_block = e->disk_block + (cut.start - n->r.start);
        status s = extent_cut(i, e, cut);
        if (is_ok(s))
            s = space_give(&i->fs->space, disk_block, range_length(cut), USE_DATA);
        if (!is_ok(s))
            return s;
        n = range_map_lookup_at_or_next(i->extents, blocks.start);
    }
    return STATUS_OK;
}

/* What FORMAT.md, section 6, asks of a MAP's checksum fields. */
static status extent_sums_check(struct filesystem *fs, const struct record_map *m)
{
    bool inlined = m->flags & MAP_SUMS_INLINE, run = m->flags & MAP_SUMS_RUN;
    u64 sums = inlined ? m->blocks : 0;
    if (m->flags & ~(MAP_UNWRITTEN | MAP_SUMS_INLINE | MAP_SUMS_RUN) || (inlined && run) ||
        (m->flags & MAP_UNWRITTEN && (inlined || run)) || sums > INLINE_SUMS_MOST)
        return status_error(EBADMSG, "fs: damaged: an extent with impossible flags", m->inode);
    if (m->r.length != align_up(sizeof(*m) + sums * sizeof(u32), 8))
        return status_error(EBADMSG, "fs: damaged: an extent of the wrong length", m->inode);
    if (!inlined && !run)
        return STATUS_OK;
    if (m->algorithm != CHECKSUM_XXH64 || m->checksum_order != BLOCK_ORDER)
        return status_error(EINVAL, "fs: a data checksum of an unknown kind", m->algorithm);
    if (!run)
        return STATUS_OK;
    u64 first = m->run_index / RUN_SUMS;
    u64 end = ((u64)m->run_index + m->blocks + RUN_SUMS - 1) / RUN_SUMS;
    if (m->run_block >= fs->space.blocks || (u64)m->run_index + m->blocks > 0xffffffffu ||
        !space_is(&fs->space, m->run_block + first, end - first, USE_CHECKSUMS))
        return status_error(EBADMSG, "fs: damaged: checksums where none are kept", m->inode);
    return STATUS_OK;
}

static status extent_fill(struct inode *i, struct extent *e, const struct record_map *m)
{
    *e = (struct extent){
        .node.r = range_of(m->file_block, m->file_block + m->blocks),
        .disk_block = m->disk_block,
        .run_block = m->run_block,
        .run_index = m->run_index,
        .flags = m->flags,
    };
    if (!(m->flags & MAP_SUMS_INLINE))
        return STATUS_OK;
    u32 *sums = arena_allocate(&i->fs->arena, m->blocks * sizeof(u32));
    if (!sums)
        return status_error(ENOMEM, "fs: no memory for checksums", i->number);
    memcpy(sums, m->sums, m->blocks * sizeof(u32));
    e->sums = sums;
    return STATUS_OK;
}

status extent_map(struct inode *i, const struct record_map *m)
{
    struct filesystem *fs = i->fs;
    if (m->blocks == 0 || m->blocks > EXTENT_BLOCKS_MOST || m->file_block >= FILE_BLOCKS_MOST ||
        m->blocks > FILE_BLOCKS_MOST - m->file_block)
        return status_error(EBADMSG, "fs: damaged: an extent of impossible length", i->number);
    status s = extent_sums_check(fs, m);
    if (is_ok(s))
        s = extents_need(i);
    if (is_ok(s))
        s = extent_unmap(i, range_of(m->file_block, m->file_block + m->blocks));
    if (!is_ok(s))
        return s;
    struct extent *e = arena_allocate(&fs->arena, sizeof(*e));
    if (!e)
        return status_error(ENOMEM, "fs: no memory for an extent", i->number);
    s = extent_fill(i, e, m);
    if (is_ok(s))
        s = space_take(&fs->space, m->disk_block, m->blocks, USE_DATA);
    if (is_ok(s))
        s = sums_hold(fs, extent_sums(e, e->node.r));
    if (!is_ok(s))
        return s;
    extent_link(i, e); /* extent_unmap has made room */
    return STATUS_OK;
}

/* --- while mounted ---------------------------------------------------------------------------- */

struct extent *extent_at(const struct inode *i, u64 block)
{
    struct range_node *n = i->extents ? range_map_lookup(i->extents, block) : NULL;
    return n ? extent_of(n) : NULL;
}

bool extent_in_place(const struct extent *e)
{
    return e && !(e->flags & (MAP_SUMS_INLINE | MAP_SUMS_RUN));
}

u32 extents_count(const struct inode *i, range blocks, u32 most)
{
    u32 count = 0;
    struct range_node *n =
        i->extents ? range_map_lookup_at_or_next(i->extents, blocks.start) : NULL;
    for (; n && n->r.start < blocks.end && count < most; n = range_map_next(n))
        count++;
    return count;
}

/* Unmaps; blocks that are mapped to `keep` (for blocks.start, and on) at once again stay taken. */
static void extent_replace(struct inode *i, range blocks, u64 keep)
{
    struct range_node *n = range_map_lookup_at_or_next(i->extents, blocks.start);
    while (n && n->r.start < blocks.end) {
        struct extent *e = extent_of(n);
        range cut = range_intersection(n->r, blocks);
        u64 disk_block = e->disk_block + (cut.start - n->r.start);
        status s = extent_cut(i, e, cut);
        assert(is_ok(s)); /* an extent was promised */
        if (!keep || disk_block != keep + (cut.start - blocks.start))
            space_free_later(i->fs, disk_block, range_length(cut));
        n = range_map_lookup_at_or_next(i->extents, blocks.start);
    }
}

void extent_remove(struct inode *i, range blocks)
{
    if (i->extents)
        extent_replace(i, blocks, 0);
}

/* Whether `right` goes on where `left` ends, on the disk too. */
static bool extents_join(const struct extent *left, const struct extent *right)
{
    return left->node.r.end == right->node.r.start &&
           left->disk_block + range_length(left->node.r) == right->disk_block &&
           left->flags == right->flags && extent_in_place(left) &&
           right->node.r.end - left->node.r.start <= EXTENT_BLOCKS_MOST;
}

/* One extent where they join; its memory is the left one's. */
static bool extents_merge(struct inode *i, struct extent *left, struct extent *right)
{
    if (!left || !right || !extents_join(left, right))
        return false;
    range whole = range_of(left->node.r.start, right->node.r.end);
    extent_unlink(i, right);
    arena_free(&i->fs->arena, right, sizeof(*right));
    extent_resize(i, left, whole);
    return true;
}

void extent_join(struct inode *i, u64 block)
{
    struct extent *e = extent_at(i, block), *left = block ? extent_at(i, block - 1) : NULL;
    if (extents_merge(i, left, e))
        e = left;
    extents_merge(i, e, extent_at(i, e->node.r.end));
}

void extent_install(struct inode *i, u64 file_block, u64 disk_block, u64 blocks, u16 flags)
{
    struct extent new = {.node.r = range_of(file_block, file_block + blocks),
                         .disk_block = disk_block,
                         .flags = flags};
    extent_replace(i, new.node.r, disk_block);
    struct extent *left = file_block ? extent_at(i, file_block - 1) : NULL;
    struct extent *right = extent_at(i, file_block + blocks);
    if (left && extents_join(left, &new)) {
        extent_resize(i, left, range_of(left->node.r.start, new.node.r.end));
    } else {
        left = extent_make(i->fs, &new);
        assert(left); /* promised */
        extent_link(i, left);
    }
    extents_merge(i, left, right);
}
