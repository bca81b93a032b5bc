/* TRIM: blocks that became free are discarded on the device before they are free again.

   A commit that has freed blocks hands them over (space_commit_end, and compaction what it gives
   back); short ranges, and all of them on a device without discard, stay the caller's.  One discard
   is under way at a time.  Until it has ended its blocks count as used, so nobody can write to them
   meanwhile.  A discard is advice: its failure changes nothing, and a device that does not know it
   is not asked again.

   Bounds: TRIM_RANGES_MOST ranges wait; what comes beyond them is free at once. */
#include "fs/writeback.h"

#define TRIM_BLOCKS_LEAST 16u /* 64 KiB: less is not worth a request, and no unit of a device */
#define TRIM_RANGES_MOST  1024u

struct trim {
    struct filesystem *fs;
    struct space_node *waiting; /* linked as allocate.c's buckets are */
    u32 ranges;
    u64 blocks; /* waiting and under way */
    bool runs, unknown;
    range whole;               /* of the node whose blocks are being discarded */
    struct space_node *flying; /* that node; its range is what is left */
    struct device_read device;
    struct status_handler landed;
};

static void trim_next(struct trim *t);

u64 trim_blocks(const struct filesystem *fs)
{
    return fs->trim ? fs->trim->blocks : 0;
}

static void range_free(struct trim *t, range r, struct space_node *n)
{
    struct filesystem *fs = t->fs;
    t->blocks -= range_length(r);
    status s = space_give_with(&fs->space, r.start, range_length(r), USE_DATA, &n);
    assert(is_ok(s)); /* n is the node that it may need */
    deallocate(fs->environment.heap, n, sizeof(*n));
}

static struct space_node *waiting_pop(struct trim *t)
{
    struct space_node *n = t->waiting;
    if (n) {
        rbnode next = n->node.node.right;
        t->waiting = next ? container_of(next, struct space_node, node.node) : NULL;
        t->ranges--;
    }
    return n;
}

static void trim_give_up(struct trim *t)
{
    for (struct space_node *n; (n = waiting_pop(t));)
        range_free(t, n->node.r, n);
}

closure_method(status_handler, trim_landed, struct trim, landed, status s)
{
    struct trim *t = owner();
    struct filesystem *fs = t->fs;
    int why = status_errno(s);
    t->unknown |= why == EOPNOTSUPP || why == ECANCELED || why == EROFS || why == ENXIO;
    if (t->unknown || range_empty(t->flying->node.r)) {
        range_free(t, t->whole, t->flying);
        t->flying = NULL;
    }
    trim_next(t);
    data_room(fs);
}

/* The next part of the node that is under way. */
static bool trim_start(struct trim *t)
{
    struct filesystem *fs = t->fs;
    u64 most = fs->environment.device->discard_sectors_most / BLOCK_SECTORS;
    range *left = &t->flying->node.r;
    u64 start = left->start, blocks = min(range_length(*left), max(most, 1ull));
    left->start += blocks;
    init_method(&t->landed, trim_landed);
    if (device_discard(fs, &t->device, start * BLOCK_SECTORS, blocks * BLOCK_SECTORS, &t->landed))
        return true;
    closure_freed(&t->landed.header);
    range_free(t, t->whole, t->flying);
    t->flying = NULL;
    return false;
}

static void trim_next(struct trim *t)
{
    if (!t->flying && !t->unknown && (t->flying = waiting_pop(t)))
        t->whole = t->flying->node.r;
    t->runs = t->flying && trim_start(t);
    if (!t->runs)
        trim_give_up(t);
}

static struct trim *trim_need(struct filesystem *fs)
{
    if (!fs->trim && (fs->trim = allocate_zero(fs->environment.heap, sizeof(*fs->trim))))
        fs->trim->fs = fs;
    return fs->trim;
}

/* Blocks that follow each other are freed one after the other, forwards or backwards. */
static bool trim_join(struct trim *t, range r)
{
    range *last = t->waiting ? &t->waiting->node.r : NULL;
    if (!last || (last->end != r.start && r.end != last->start))
        return false;
    *last = range_of(min(last->start, r.start), max(last->end, r.end));
    return true;
}

bool trim_take(struct filesystem *fs, struct space_node *n)
{
    range r = n->node.r;
    if (!fs->environment.device->discard_sectors_most || range_length(r) < TRIM_BLOCKS_LEAST)
        return false;
    struct trim *t = trim_need(fs);
    if (!t || t->unknown || t->ranges >= TRIM_RANGES_MOST)
        return false;
    t->blocks += range_length(r);
    if (trim_join(t, r)) {
        deallocate(fs->environment.heap, n, sizeof(*n));
        return true;
    }
    n->node.node.right = t->waiting ? &t->waiting->node.node : NULL;
    t->waiting = n;
    t->ranges++;
    return true;
}

void trim_begin(struct filesystem *fs)
{
    if (fs->trim && !fs->trim->runs)
        trim_next(fs->trim);
}

void trim_stop(struct filesystem *fs)
{
    struct trim *t = fs->trim;
    if (!t)
        return;
    assert(!t->runs);
    trim_give_up(t);
    deallocate(fs->environment.heap, t, sizeof(*t));
    fs->trim = NULL;
}
