/* Segments of the log: the chain that mount would read, and the standby.  See fs/segment.h. */
#include "fs/log.h"
#include "fs/writeback.h"

/* A device has that many segments when it is neither small nor large. */
#define SEGMENTS_OF_A_DEVICE 64u
#define SEGMENT_USUAL_LEAST  40u
/* The log may grow to that many segments, or twice a checkpoint, before it is compacted. */
#define LOG_SEGMENTS 4u
/* Padding at the ends of a checkpoint. */
#define CHECKPOINT_BYTES_LEAST (64 * KiB)

/* --- the lists -------------------------------------------------------------------------------- */

static struct segment *segment_of(struct list *l)
{
    return container_of(l, struct segment, link);
}

static status segments_make(struct filesystem *fs)
{
    if (fs->segments)
        return STATUS_OK;
    struct segments *s = allocate_zero(fs->environment.heap, sizeof(*s));
    if (!s)
        return status_error(ENOMEM, "fs: no memory for the log's segments", 0);
    list_init(&s->chain);
    list_init(&s->old);
    list_init(&s->checkpoint);
    list_init(&s->standby);
    s->gap_none_used = ~0ull;
    fs->segments = s;
    return STATUS_OK;
}

static struct segment *segment_make(struct filesystem *fs, u64 block, u32 blocks)
{
    struct segment *g = allocate(fs->environment.heap, sizeof(*g));
    if (g)
        *g = (struct segment){.block = block, .blocks = blocks};
    return g;
}

static void list_release(struct filesystem *fs, struct list *head)
{
    for (struct list *l; (l = list_pop_front(head));)
        deallocate(fs->environment.heap, segment_of(l), sizeof(struct segment));
}

void segments_release(struct filesystem *fs)
{
    struct segments *s = fs->segments;
    if (!s)
        return;
    list_release(fs, &s->chain);
    list_release(fs, &s->old);
    list_release(fs, &s->checkpoint);
    list_release(fs, &s->standby);
    deallocate(fs->environment.heap, s, sizeof(*s));
    fs->segments = NULL;
}

/* All of `from` in front of `to`, in its order. */
static void list_prepend(struct list *to, struct list *from)
{
    while (!list_empty(from)) {
        struct list *last = from->previous;
        list_remove(last);
        list_push_front(to, last);
    }
}

status segment_chain_add(struct filesystem *fs, u64 block, u32 blocks)
{
    status s = segments_make(fs);
    if (!is_ok(s))
        return s;
    struct segment *g = segment_make(fs, block, blocks);
    if (!g)
        return status_error(ENOMEM, "fs: no memory for the log's segments", block);
    list_push_back(&fs->segments->chain, &g->link);
    fs->segments->chain_bytes += segment_bytes(blocks);
    return STATUS_OK;
}

/* --- how much there has to be ----------------------------------------------------------------- */

u64 checkpoint_bytes(const struct filesystem *fs)
{
    u64 records = fs->inodes * sizeof(struct record_inode) +
                  fs->entries * sizeof(struct record_link) +
                  fs->extents * sizeof(struct record_map) + fs->segments->setting_bytes +
                  fs->segments->reserves * sizeof(struct record_reserve) +
                  sizeof(struct record_checkpoint) + sizeof(struct record_checkpoint_end);
    /* A group that no longer fits into a segment leaves at most its own length of it: an eighth
       (checkpoint_group_bytes), or that of a long record, and these are in text_bytes.  Headers and
       padding are the other eighth. */
    return records + records / 4 + 2 * fs->text_bytes + CHECKPOINT_BYTES_LEAST;
}

static u64 usual_bytes(const struct segments *s)
{
    return segment_bytes(s->usual);
}

static u64 less(u64 a, u64 b)
{
    return a > b ? a - b : 0;
}

/* What standby has to keep when the log takes of it, for checkpoints that grow by `more`: T, and
   those of compactions that fail, which leave it in the log. */
static u64 standby_kept(const struct filesystem *fs, u64 more, u32 failing)
{
    const struct segments *s = fs->segments;
    u64 bytes = checkpoint_bytes(fs) + more, each = usual_bytes(s);
    if (s->cutting) /* it has its T */
        return s->needed + less(bytes, s->counted) + failing * each;
    return bytes + (1 + failing) * each;
}

/* What the log may take of it. */
static u64 standby_spare(const struct filesystem *fs)
{
    const struct segments *s = fs->segments;
    u64 spare = less(s->standby_bytes, standby_kept(fs, 0, 1));
    if (!s->cutting)
        return spare;
    /* And what there will be when the compaction is done. */
    u64 then = less(s->standby_bytes + s->old_bytes, s->needed);
    return min(spare, less(then, checkpoint_bytes(fs) + 2 * usual_bytes(s)));
}

/* What surely fits into the segments that the log may take, wherever groups end, and if the one
   that is being written takes nothing more.  Groups are not split: of a segment that was left for
   the next one, all but the length of a group is used, and of two in a row more than one. */
static u64 log_room(const struct filesystem *fs)
{
    u64 spare = standby_spare(fs), least = ~0ull, before = 0;
    bool any = false;
    list_for_each (&fs->segments->standby, l) {
        u64 bytes = segment_bytes(segment_of(l)->blocks);
        if (bytes > spare)
            break;
        spare -= bytes;
        least = min(least, bytes);
        before += any;
        any = true;
    }
    return any ? least + max(before * less(least, GROUP_BYTES_MOST), before / 2 * least) : 0;
}

u32 checkpoint_group_bytes(const struct filesystem *fs)
{
    u64 bytes = usual_bytes(fs->segments) / 8;
    return (u32)min(max(bytes, 4 * BLOCK_BYTES), (u64)GROUP_BYTES_MOST);
}

bool segment_compaction_due(const struct filesystem *fs)
{
    const struct segments *s = fs->segments;
    if (!s || s->usual == 0 || s->cutting)
        return false;
    u64 checkpoint = checkpoint_bytes(fs), each = usual_bytes(s);
    /* Only when it frees something. */
    if (s->chain_bytes < checkpoint + 2 * each)
        return false;
    return s->chain_bytes - checkpoint > max(LOG_SEGMENTS * each, 2 * checkpoint) ||
           standby_spare(fs) < 2 * each;
}

/* --- free blocks that become standby, and back ------------------------------------------------ */

static bool gap_find(struct filesystem *fs, u32 blocks, range *found)
{
    struct segments *s = fs->segments;
    struct range_map *map = &fs->space.map;
    u64 end = fs->space.blocks, from = min(max(s->gap_from, FIRST_BLOCK), end);
    return range_map_find_gap(map, range_of(from, end), blocks, 1, found) ||
           range_map_find_gap(map, range_of(FIRST_BLOCK, end), blocks, 1, found);
}

/* One more segment, shorter when there is no gap for a usual one. */
static bool standby_add(struct filesystem *fs)
{
    struct segments *s = fs->segments;
    range found;
    if (fs->space.used >= s->gap_none_used || s->usual == 0)
        return false;
    for (u32 blocks = s->usual; blocks >= SEGMENT_LEAST_BLOCKS;) {
        if (space_available(fs) >= blocks && gap_find(fs, blocks, &found)) {
            struct segment *g = segment_make(fs, found.start, blocks);
            if (!g || !is_ok(space_take(&fs->space, found.start, blocks, USE_LOG))) {
                deallocate(fs->environment.heap, g, sizeof(*g));
                return false;
            }
            list_push_back(&s->standby, &g->link);
            s->standby_bytes += segment_bytes(blocks);
            s->gap_from = found.start + blocks;
            return true;
        }
        blocks = blocks > SEGMENT_LEAST_BLOCKS ? max(blocks / 2, SEGMENT_LEAST_BLOCKS) : 0;
    }
    s->gap_none_used = fs->space.used;
    return false;
}

static void standby_fill(struct filesystem *fs, u64 bytes)
{
    fs->segments->gap_none_used = ~0ull;
    while (fs->segments->standby_bytes < bytes && standby_add(fs))
        ;
}

/* What there should be for the log not to be compacted too often: that and no more of it is taken
   from what data might have. */
static u64 standby_wanted(const struct filesystem *fs)
{
    const struct segments *s = fs->segments;
    u64 checkpoint = checkpoint_bytes(fs), each = usual_bytes(s);
    u64 log = max(LOG_SEGMENTS * each, 2 * checkpoint);
    u64 affordable = LOG_SEGMENTS * each + (space_available(fs) << BLOCK_ORDER) / 8;
    return checkpoint + each + min(log, affordable);
}

/* Its blocks are discarded, and then free.  False: they are as they were. */
static bool segment_discard(struct filesystem *fs, const struct segment *g)
{
    heap h = fs->environment.heap;
    struct space_node *nodes[3] = {};
    bool discards = fs->environment.device->discard_sectors_most && is_ok(data_need(fs));
    for (u32 n = 0; n < 3 && discards; n++)
        discards = (nodes[n] = allocate(h, sizeof(**nodes)));
    if (discards) {
        range r = range_of(g->block, g->block + g->blocks);
        space_turn(&fs->space, r, USE_DATA, nodes);
        nodes[2]->node.r = r;
        status s = STATUS_OK;
        if (trim_take(fs, nodes[2]))
            nodes[2] = NULL;
        else
            s = space_give_with(&fs->space, r.start, g->blocks, USE_DATA, &nodes[2]);
        assert(is_ok(s)); /* a node is at hand */
    }
    for (u32 n = 0; n < 3; n++)
        deallocate(h, nodes[n], sizeof(**nodes));
    return discards;
}

/* Its blocks are free, or will be when they were discarded.  False: no memory for a split of the
   map. */
static bool segment_free(struct filesystem *fs, struct segment *g)
{
    if (!segment_discard(fs, g) && !is_ok(space_give(&fs->space, g->block, g->blocks, USE_LOG)))
        return false;
    deallocate(fs->environment.heap, g, sizeof(*g));
    return true;
}

static bool segment_is_usual(const struct segments *s, const struct segment *g)
{
    return g->blocks >= SEGMENT_LEAST_BLOCKS && g->blocks <= s->usual;
}

/* To standby when it has the usual length; else its blocks are free. */
static void segment_give(struct filesystem *fs, struct segment *g)
{
    struct segments *s = fs->segments;
    /* Without memory for a split of the map a long one serves as it is. */
    if (!segment_is_usual(s, g) && segment_free(fs, g))
        return;
    list_push_back(&s->standby, &g->link);
    s->standby_bytes += segment_bytes(g->blocks);
}

static void segments_give(struct filesystem *fs, struct list *from)
{
    struct segments *s = fs->segments;
    for (struct list *l; (l = list_pop_front(from));)
        segment_give(fs, segment_of(l));
    u64 wanted = standby_wanted(fs);
    standby_fill(fs, wanted);
    /* What is too much is free again, the last first. */
    while (!list_empty(&s->standby)) {
        struct segment *g = segment_of(s->standby.previous);
        u64 bytes = segment_bytes(g->blocks);
        if (s->standby_bytes < wanted + wanted / 4 + bytes)
            break;
        list_remove(&g->link);
        if (!segment_free(fs, g)) {
            list_push_back(&s->standby, &g->link);
            break;
        }
        s->standby_bytes -= bytes;
    }
    trim_begin(fs);
}

bool segment_log_suffices(struct filesystem *fs, u64 bytes)
{
    struct segments *s = fs->segments;
    bool long_log = s->chain_bytes > checkpoint_bytes(fs) + LOG_SEGMENTS * usual_bytes(s);
    while (log_room(fs) < bytes)
        if (long_log || !standby_add(fs))
            return false;
    return true;
}

bool segment_compaction_fits(struct filesystem *fs)
{
    const struct segments *s = fs->segments;
    if (s->usual == 0 || s->cutting)
        return false;
    u64 needed = checkpoint_bytes(fs) + usual_bytes(s);
    while (s->standby_bytes < needed)
        if (!standby_add(fs))
            return false;
    return true;
}

/* What data that waits for its commit will add to a checkpoint, and `blocks` more of it: an extent
   each, and what an old one leaves behind it. */
static u64 data_growth(const struct filesystem *fs, u64 blocks)
{
    u64 extents = blocks + (fs->data ? fs->data->reserved : 0) +
                  (u64)log_dirty_records(fs) * EXTENTS_FOR_ONE_MAP;
    return extents * (sizeof(struct record_map) * 5 / 4);
}

/* A compaction can follow the next one too: its checkpoint, T, and those of `failing` more are
   taken, standby keeps what it has to, and there is no more than what is standby again by then. */
static bool compactions_go_on(const struct filesystem *fs, u64 more, u32 failing)
{
    const struct segments *s = fs->segments;
    u64 each = usual_bytes(s), checkpoint = checkpoint_bytes(fs) + more;
    u64 recycled = less(s->chain_bytes + s->old_bytes + s->checkpoint_bytes, s->unusual_bytes);
    u64 segments = each ? 2 * ((checkpoint + each - 1) / each + 1) + failing : 1;
    return each && s->standby_bytes + recycled >= segments * each;
}

static bool standby_holds(const struct filesystem *fs, u64 more, u32 failing)
{
    return fs->segments->standby_bytes >= standby_kept(fs, more, failing) &&
           compactions_go_on(fs, more, failing);
}

static bool standby_secure(struct filesystem *fs, u64 more, u32 failing)
{
    while (!standby_holds(fs, more, failing))
        if (!standby_add(fs))
            return false;
    return true;
}

bool segment_standby_plenty(const struct filesystem *fs, u64 bytes)
{
    return standby_holds(fs, data_growth(fs, 0) + 2 * bytes, 1);
}

bool segment_standby_suffices(struct filesystem *fs, u64 bytes)
{
    return standby_secure(fs, data_growth(fs, 0) + 2 * bytes, 1); /* text counts twice */
}

/* Its growth is counted for the worst, so it may have what is kept for a failure. */
bool segment_data_suffices(struct filesystem *fs, u64 blocks)
{
    return standby_secure(fs, data_growth(fs, blocks), 0);
}

/* --- taking ----------------------------------------------------------------------------------- */

static bool standby_take(struct filesystem *fs, struct list *to, u64 *block, u32 *blocks)
{
    struct segments *s = fs->segments;
    struct list *l = list_pop_front(&s->standby);
    if (!l)
        return false;
    struct segment *g = segment_of(l);
    list_push_back(to, l);
    s->standby_bytes -= segment_bytes(g->blocks);
    s->taken += g->blocks;
    *block = g->block;
    *blocks = g->blocks;
    return true;
}

bool segment_take(struct filesystem *fs, u64 *block, u32 *blocks)
{
    if (!standby_take(fs, &fs->segments->chain, block, blocks))
        return false;
    fs->segments->chain_bytes += segment_bytes(*blocks);
    return true;
}

bool segment_cut(struct filesystem *fs, u64 *block, u32 *blocks)
{
    struct segments *s = fs->segments;
    u64 checkpoint = checkpoint_bytes(fs);
    assert(!s->cutting);
    if (!segment_compaction_fits(fs))
        return false;
    list_prepend(&s->old, &s->chain);
    s->old_bytes = s->chain_bytes;
    s->chain_bytes = 0;
    s->counted = s->needed = checkpoint;
    s->cutting = true;
    return segment_take(fs, block, blocks);
}

bool segment_take_checkpoint(struct filesystem *fs, u64 *block, u32 *blocks)
{
    struct segments *s = fs->segments;
    assert(s->cutting);
    if (!standby_take(fs, &s->checkpoint, block, blocks))
        return false;
    s->checkpoint_bytes += segment_bytes(*blocks);
    s->needed = less(s->needed, segment_bytes(*blocks));
    return true;
}

static void cut_end(struct segments *s)
{
    s->cutting = false;
    s->counted = s->needed = s->old_bytes = s->checkpoint_bytes = 0;
}

void segments_switched(struct filesystem *fs)
{
    struct segments *s = fs->segments;
    list_prepend(&s->chain, &s->checkpoint);
    s->chain_bytes += s->checkpoint_bytes;
    s->unusual_bytes = 0; /* they were all before the cut */
    cut_end(s);
    segments_give(fs, &s->old);
}

void segments_abandoned(struct filesystem *fs)
{
    struct segments *s = fs->segments;
    list_prepend(&s->chain, &s->old);
    s->chain_bytes += s->old_bytes;
    cut_end(s);
    segments_give(fs, &s->checkpoint);
}

/* --- at mount --------------------------------------------------------------------------------- */

/* The larger size is in the next superblock, which is durable before anything lies there that the
   log names. */
static void device_grow(struct filesystem *fs)
{
    u64 blocks = fs->environment.device->sectors / BLOCK_SECTORS;
    blocks = min(blocks, DEVICE_BLOCKS_END - 1);
    if (blocks <= fs->super.device_blocks)
        return;
    fs->super.device_blocks = fs->space.blocks = blocks;
    fs->checksums->bytes = blocks << BLOCK_ORDER;
}

static u64 setting_bytes(const struct filesystem *fs)
{
    u64 bytes = 0;
    for (const struct setting *s = fs->settings; s; s = s->next)
        bytes += align_up(
            sizeof(struct record_setting) + s->name_bytes + strlen(s->text + s->name_bytes + 1), 8);
    return 2 * bytes; /* as text_bytes in checkpoint_bytes */
}

static u32 reserves_count(const struct filesystem *fs)
{
    u32 count = 0;
    for (struct range_node *n = range_map_first(&fs->space.map); n; n = range_map_next(n)) {
        enum space_use use = container_of(n, struct space_node, node)->use;
        count += use == USE_CHECKSUMS || use == USE_OTHER;
    }
    return count;
}

status segments_prepare(struct filesystem *fs)
{
    status made = segments_make(fs);
    if (!is_ok(made))
        return made;
    struct segments *s = fs->segments;
    device_grow(fs);
    u64 usual = fs->space.blocks / SEGMENTS_OF_A_DEVICE;
    s->usual = (u32)min(max(usual, SEGMENT_USUAL_LEAST), SEGMENT_MOST_BLOCKS);
    list_for_each (&s->chain, l)
        if (!segment_is_usual(s, segment_of(l)))
            s->unusual_bytes += segment_bytes(segment_of(l)->blocks);
    s->reserves = reserves_count(fs);
    s->setting_bytes = setting_bytes(fs);
    standby_fill(fs, standby_wanted(fs));
    return STATUS_OK;
}
