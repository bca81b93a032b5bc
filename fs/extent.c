/* Extent maps: which blocks of a file lie where.  Replay is the caller; reading walks the range map
   itself.  Every block that is mapped here is taken in the map of used blocks, so two extents can
   never share one, and none lies on metadata. */
#include "fs/internal.h"

static status extents_need(struct inode *i)
{
    if (i->extents)
        return STATUS_OK;
    i->extents = arena_allocate(&i->fs->arena, sizeof(*i->extents));
    if (!i->extents)
        return status_error(ENOMEM, "fs: no memory for an extent map", i->number);
    range_map_init(i->extents);
    return STATUS_OK;
}

static struct extent *extent_make(struct inode *i, const struct extent *like)
{
    struct extent *e = arena_allocate(&i->fs->arena, sizeof(*e));
    if (e)
        *e = *like;
    return e;
}

/* Moves the first block of an extent: what its other fields count from moves along. */
static void extent_advance(struct extent *e, u64 blocks)
{
    e->disk_block += blocks;
    e->run_index += (u32)blocks;
    if (e->sums)
        e->sums += blocks;
}

/* Takes `cut`, which lies within e, out of it. */
static status extent_cut(struct inode *i, struct extent *e, range cut)
{
    struct filesystem *fs = i->fs;
    range r = e->node.r;
    range right = range_of(cut.end, r.end);
    struct extent *tail = NULL;
    if (cut.start > r.start && !range_empty(right)) {
        tail = extent_make(i, e);
        if (!tail)
            return status_error(ENOMEM, "fs: no memory for an extent", i->number);
    }
    status given =
        space_give(&fs->space, e->disk_block + (cut.start - r.start), range_length(cut), USE_DATA);
    if (!is_ok(given))
        return given;
    i->blocks -= range_length(cut);
    if (cut.start > r.start) {
        range_map_resize(i->extents, &e->node, range_of(r.start, cut.start));
        if (tail) {
            extent_advance(tail, cut.end - r.start);
            tail->node.r = right;
            range_map_insert(i->extents, &tail->node);
            fs->extents++;
        }
    } else if (!range_empty(right)) {
        extent_advance(e, cut.end - r.start);
        range_map_resize(i->extents, &e->node, right);
    } else {
        range_map_remove(i->extents, &e->node);
        fs->extents--;
    }
    return STATUS_OK;
}

status extent_unmap(struct inode *i, range blocks)
{
    if (!i->extents)
        return STATUS_OK;
    struct range_node *n = range_map_lookup_at_or_next(i->extents, blocks.start);
    while (n && n->r.start < blocks.end) {
        status cut = extent_cut(i, extent_of(n), range_intersection(n->r, blocks));
        if (!is_ok(cut))
            return cut;
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
    if (!is_ok(s))
        return s;
    bool inserted = range_map_insert(i->extents, &e->node);
    assert(inserted); /* extent_unmap has made room */
    i->blocks += m->blocks;
    fs->extents++;
    return STATUS_OK;
}
