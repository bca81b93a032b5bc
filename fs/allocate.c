/* Free blocks: how many there are, taking them, and giving them back when the log allows it.

   Free is what the map of used blocks (space.c) leaves, less what is set aside for data that is
   dirty.  Blocks are taken where the last ones were taken (next fit), or near a goal: the first gap
   that is large enough among the next few, or the largest of them.  A search looks at
   SEARCH_GAPS_MOST gaps, so a fragmented disk costs no more than another.

   Blocks that the log names, or that its durable part names still, stay in use until the commit
   that has freed them is durable: they wait in one of two buckets, for the commit that runs and for
   the one after it. */
#include "fs/segment.h"
#include "fs/writeback.h"

#define SEARCH_GAPS_MOST 64
#define INODES_RESTED    256 /* looked at after each commit: who is idle needs no more memory */
#define SPARES_KEPT      256 /* nodes that are kept for the next frees; more go back to the heap */

static struct space_node *spare_of(rbnode n)
{
    return n ? container_of(n, struct space_node, node.node) : NULL;
}

static void bucket_push(struct space_bucket *b, struct space_node *n)
{
    n->node.node.right = b->first ? &b->first->node.node : NULL;
    b->first = n;
    b->nodes++;
}

static struct space_node *bucket_pop(struct space_bucket *b)
{
    struct space_node *n = b->first;
    if (n) {
        b->first = spare_of(n->node.node.right);
        b->nodes--;
    }
    return n;
}

/* --- accounts --------------------------------------------------------------------------------- */

static u64 space_free(const struct filesystem *fs)
{
    return fs->space.blocks - fs->space.used;
}

u64 space_available(const struct filesystem *fs)
{
    u64 set_aside = fs->data ? fs->data->reserved : 0;
    u64 left = space_free(fs);
    return left > set_aside ? left - set_aside : 0;
}

/* What the next commits free, and what follows them. */
static u64 space_coming(const struct filesystem *fs)
{
    const struct data *d = fs->data;
    return d->frees.blocks + d->frees_committing.blocks + d->voided_blocks + trim_blocks(fs);
}

status space_reserve(struct filesystem *fs, u64 blocks)
{
    status s = data_need(fs);
    if (!is_ok(s))
        return s;
    struct data *d = fs->data;
    /* First: it may take blocks. */
    if (unlikely(!segment_data_suffices(fs, blocks)))
        return space_coming(fs) || fs->checkpoint
                   ? status_error(EAGAIN, "fs: the log has more room after the next commit", blocks)
                   : status_error(ENOSPC, "fs: no space to log where data is", blocks);
    u64 available = space_available(fs);
    if (likely(blocks <= available)) {
        d->reserved += blocks;
        return STATUS_OK;
    }
    if (blocks > available + space_coming(fs))
        sums_release(fs);
    if (blocks <= available + space_coming(fs))
        return status_error(EAGAIN, "fs: blocks are free after the next commit", blocks);
    return status_error(ENOSPC, "fs: the filesystem is full", blocks);
}

void space_unreserve(struct filesystem *fs, u64 blocks)
{
    assert(blocks <= fs->data->reserved);
    fs->data->reserved -= blocks;
}

/* --- taking ----------------------------------------------------------------------------------- */

/* True: the search is over, with the largest gap that was seen in *best. */
static bool gaps_search(const struct space *s, range within, u64 wanted, u32 *left, range *best)
{
    u64 at = within.start;
    struct range_node *n = range_map_lookup_at_or_next(&s->map, at);
    while (at < within.end) {
        range gap = range_of(at, n ? min(n->r.start, within.end) : within.end);
        if (!range_empty(gap)) {
            if (range_length(gap) > range_length(*best))
                *best = gap;
            if (range_length(*best) >= wanted || --*left == 0)
                return true;
        }
        if (!n)
            break;
        at = n->r.end;
        n = range_map_next(n);
    }
    return false;
}

u64 space_search(struct filesystem *fs, u64 from, u64 wanted, u64 *block)
{
    struct space *s = &fs->space;
    range best = range_of(0, 0);
    u32 left = SEARCH_GAPS_MOST;
    if (from >= s->blocks)
        from = 0;
    if (!gaps_search(s, range_of(from, s->blocks), wanted, &left, &best))
        gaps_search(s, range_of(0, from), wanted, &left, &best);
    *block = best.start;
    return min(range_length(best), wanted);
}

u64 space_allocate(struct filesystem *fs, u64 goal, u64 blocks, u64 *block)
{
    struct data *d = fs->data;
    assert(blocks && blocks <= d->reserved);
    u64 found = space_search(fs, goal ? goal : d->cursor, blocks, block);
    if (!found || !is_ok(space_take(&fs->space, *block, found, USE_DATA)))
        return 0;
    d->reserved -= found;
    d->cursor = *block + found;
    return found;
}

/* --- giving back ------------------------------------------------------------------------------ */

status space_spare(struct filesystem *fs, u32 n)
{
    status s = data_need(fs);
    if (!is_ok(s))
        return s;
    struct data *d = fs->data;
    while (d->spares.nodes < n) {
        struct space_node *made = allocate(fs->environment.heap, sizeof(*made));
        if (!made)
            return status_error(ENOMEM, "fs: no memory for the map of used blocks", n);
        bucket_push(&d->spares, made);
    }
    return STATUS_OK;
}

static struct space_node *spare_take(struct filesystem *fs)
{
    struct space_node *n = bucket_pop(&fs->data->spares);
    return n ? n : allocate(fs->environment.heap, sizeof(*n));
}

static void spare_give(struct filesystem *fs, struct space_node *n)
{
    struct data *d = fs->data;
    if (n && d->spares.nodes < SPARES_KEPT)
        bucket_push(&d->spares, n);
    else
        deallocate(fs->environment.heap, n, sizeof(*n));
}

/* Without memory blocks stay in use as far as memory knows; the next mount finds them free. */
static void space_lose(struct filesystem *fs, u64 blocks)
{
    if (fs->environment.warn)
        fs->environment.warn("fs: no memory to note that %llu blocks are free: they will be after "
                             "the next mount",
                             (unsigned long long)blocks);
}

void space_free_now(struct filesystem *fs, u64 block, u64 blocks)
{
    struct space_node *spare = spare_take(fs);
    status s = space_give_with(&fs->space, block, blocks, USE_DATA, &spare);
    if (!is_ok(s))
        space_lose(fs, blocks);
    spare_give(fs, spare);
}

void space_free_later(struct filesystem *fs, u64 block, u64 blocks)
{
    struct data *d = fs->data;
    struct space_bucket *b = d->installing ? &d->frees_committing : &d->frees;
    struct space_node *last = b->first;
    if (last && last->node.r.end == block) { /* as when an inode goes away */
        last->node.r.end += blocks;
        b->blocks += blocks;
        return;
    }
    struct space_node *n = spare_take(fs);
    if (!n) {
        space_lose(fs, blocks);
        return;
    }
    n->node.r = range_of(block, block + blocks);
    bucket_push(b, n);
    b->blocks += blocks;
}

void space_commit_begin(struct filesystem *fs)
{
    struct data *d = fs->data;
    struct space_node *n;
    while ((n = bucket_pop(&d->frees)))
        bucket_push(&d->frees_committing, n);
    d->frees_committing.blocks += d->frees.blocks;
    d->frees.blocks = 0;
}

void space_commit_end(struct filesystem *fs)
{
    struct data *d = fs->data;
    struct space_node *n;
    struct space_bucket busy = {.first = NULL};
    inodes_live_rest(fs, INODES_RESTED);
    if (!d)
        return;
    while ((n = bucket_pop(&d->frees_committing))) {
        range r = n->node.r;
        if (flight_meets(d, r.start, range_length(r))) { /* nothing else may be written there yet */
            bucket_push(&busy, n);
            busy.blocks += range_length(r);
            continue;
        }
        if (trim_take(fs, n))
            continue;
        if (!is_ok(space_give_with(&fs->space, r.start, range_length(r), USE_DATA, &n)))
            space_lose(fs, range_length(r));
        spare_give(fs, n);
    }
    d->frees_committing = busy;
    trim_begin(fs);
    data_room(fs);
}

static void bucket_release(struct filesystem *fs, struct space_bucket *b)
{
    struct space_node *n;
    while ((n = bucket_pop(b)))
        deallocate(fs->environment.heap, n, sizeof(*n));
}

void space_stop(struct filesystem *fs)
{
    trim_stop(fs);
    bucket_release(fs, &fs->data->frees);
    bucket_release(fs, &fs->data->frees_committing);
    bucket_release(fs, &fs->data->spares);
}
