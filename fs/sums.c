/* Checksum blocks: how many extents name each of them, and their RELEASE when none does any more.
   FORMAT.md, section 6.

   Whoever maps or unmaps (extent.c, in replay too) counts here.  A block that nobody names any
   longer is *loose*: reserved still, and released by the next commit that logs anything, in a group
   behind the one in which its last extent went.  So no change grows by a record, and what a power
   cut leaves loose is found by the next mount that may write (sums_sweep).

   Bounds: a count for each block that is named, in leaves of LEAF_BLOCKS; a loose range for each
   stretch that nobody names.  Without memory for one it stays loose until the next mount. */
#include "fs/segment.h"
#include "fs/writeback.h"

#define LEAF_BLOCKS 64u

struct sums_leaf {
    struct range_node node;
    u32 named; /* blocks that have a count */
    u32 counts[LEAF_BLOCKS];
};

struct sums_loose {
    struct sums_loose *next;
    range r;
};

range extent_sums(const struct extent *e, range part)
{
    if (!(e->flags & MAP_SUMS_RUN) || range_empty(part))
        return range_of(0, 0);
    u64 first = e->run_index + (part.start - e->node.r.start), end = first + range_length(part);
    return range_of(e->run_block + first / RUN_SUMS,
                    e->run_block + (end + RUN_SUMS - 1) / RUN_SUMS);
}

/* --- counts ----------------------------------------------------------------------------------- */

static struct sums_leaf *leaf_of(struct range_node *n)
{
    return n ? container_of(n, struct sums_leaf, node) : NULL;
}

static struct sums_leaf *leaf_find(struct filesystem *fs, u64 block)
{
    return leaf_of(range_map_lookup(&fs->space.sums, block));
}

static struct sums_leaf *leaf_need(struct filesystem *fs, u64 block)
{
    struct sums_leaf *l = leaf_find(fs, block);
    if (l || !(l = arena_allocate(&fs->arena, sizeof(*l))))
        return l;
    u64 start = align_down(block, LEAF_BLOCKS);
    *l = (struct sums_leaf){.node.r = range_of(start, start + LEAF_BLOCKS)};
    bool inserted = range_map_insert(&fs->space.sums, &l->node);
    assert(inserted);
    return l;
}

status sums_hold(struct filesystem *fs, range blocks)
{
    for (u64 at = blocks.start; at < blocks.end;) {
        struct sums_leaf *l = leaf_need(fs, at);
        if (!l)
            return status_error(ENOMEM, "fs: no memory to count who needs checksums", at);
        for (; at < min(blocks.end, l->node.r.end); at++)
            l->named += l->counts[at % LEAF_BLOCKS]++ == 0;
    }
    return STATUS_OK;
}

static void loose_add(struct filesystem *fs, range r)
{
    struct sums_loose *last = fs->space.loose;
    if (last && last->r.end == r.start) {
        last->r.end = r.end;
        return;
    }
    struct sums_loose *l = arena_allocate(&fs->arena, sizeof(*l));
    if (!l)
        return;
    *l = (struct sums_loose){.next = last, .r = r};
    fs->space.loose = l;
}

static void leaf_drop(struct filesystem *fs, struct sums_leaf *l, u64 block)
{
    u32 *count = &l->counts[block % LEAF_BLOCKS];
    assert(*count);
    if (--*count)
        return;
    l->named--;
    if (!fs->log) /* replay: the sweep at its end finds it, unless it is released before */
        return;
    loose_add(fs, range_of(block, block + 1));
    fs->space.loose_due = true;
    commit_soon(fs);
}

void sums_drop(struct filesystem *fs, range blocks)
{
    for (u64 at = blocks.start; at < blocks.end;) {
        struct sums_leaf *l = leaf_find(fs, at);
        assert(l); /* sums_hold made it */
        for (; at < min(blocks.end, l->node.r.end); at++)
            leaf_drop(fs, l, at);
        if (l->named)
            continue;
        range_map_remove(&fs->space.sums, &l->node);
        arena_free(&fs->arena, l, sizeof(*l));
    }
}

/* The next stretch of `within` that is named (or is not), from `at` on; empty: there is none. */
static range stretch_find(struct filesystem *fs, range within, bool named)
{
    u64 at = within.start, start = within.end;
    while (at < within.end) {
        struct sums_leaf *l = leaf_of(range_map_lookup_at_or_next(&fs->space.sums, at));
        bool in_leaf = l && l->node.r.start <= at;
        bool is = in_leaf && l->counts[at % LEAF_BLOCKS];
        if (is != named && start < within.end)
            break;
        if (is == named)
            start = min(start, at);
        at = in_leaf ? at + 1 : l ? min(l->node.r.start, within.end) : within.end;
    }
    return range_of(start, max(start, at));
}

bool sums_named(struct filesystem *fs, range blocks)
{
    return !range_empty(stretch_find(fs, blocks, true));
}

/* --- what nobody names ------------------------------------------------------------------------ */

void sums_sweep(struct filesystem *fs)
{
    struct range_node *n = range_map_first(&fs->space.map);
    for (u32 left = fs->segments->reserves; n && left; n = range_map_next(n)) {
        enum space_use use = container_of(n, struct space_node, node)->use;
        left -= use == USE_CHECKSUMS || use == USE_OTHER;
        if (use != USE_CHECKSUMS)
            continue;
        range loose = stretch_find(fs, n->r, false);
        for (; !range_empty(loose); loose = stretch_find(fs, range_of(loose.end, n->r.end), false))
            loose_add(fs, loose);
    }
}

/* Nodes that splitting the map of used blocks may need. */
struct turn_nodes {
    struct space_node *nodes[2];
};

static status turn_secure(struct filesystem *fs, struct turn_nodes *t)
{
    heap h = fs->environment.heap;
    status s = space_spare(fs, 1); /* for space_free_later */
    for (u32 n = 0; is_ok(s) && n < 2; n++)
        if (!(t->nodes[n] = allocate(h, sizeof(struct space_node))))
            s = status_error(ENOMEM, "fs: no memory for the map of used blocks", n);
    return s;
}

static void turn_end(struct filesystem *fs, struct turn_nodes *t)
{
    for (u32 n = 0; n < 2; n++)
        deallocate(fs->environment.heap, t->nodes[n], sizeof(struct space_node));
}

/* From the record on the blocks wait with others that a commit frees; so a checkpoint that is cut
   meanwhile reserves them no more. */
static status range_release(struct filesystem *fs, range r)
{
    struct turn_nodes t = {};
    struct record_reserve record = {
        .block = r.start, .blocks = range_length(r), .kind = RESERVE_CHECKSUMS};
    status s = turn_secure(fs, &t);
    if (is_ok(s))
        s = log_begin(fs, sizeof(record), LOG_SHRINKS);
    if (is_ok(s)) {
        log_record(fs, &record.r, sizeof(record), RECORD_RELEASE, NULL, 0, NULL, 0);
        log_end(fs);
        u32 left = space_turn(&fs->space, r, USE_DATA, t.nodes);
        fs->segments->reserves += left;
        fs->segments->reserves--;
        space_free_later(fs, r.start, range_length(r));
    }
    turn_end(fs, &t);
    return s;
}

void sums_release(struct filesystem *fs)
{
    struct sums_loose *l;
    while ((l = fs->space.loose) && is_ok(range_release(fs, l->r))) {
        fs->space.loose = l->next;
        arena_free(&fs->arena, l, sizeof(*l));
    }
    fs->space.loose_due &= l != NULL;
}
