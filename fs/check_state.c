/* What a check asks of the state that the log gave: see check_internal.h.

   Most of it was held to by replay.c already.  It is counted again here from the other side (the
   tree from its names, the map of used blocks from the extents), so that a mistake of replay's is
   found as well as one of the disk's. */
#include "fs/check_internal.h"

#include "runtime/crc32c.h"
#include "runtime/format.h"
#include "runtime/hash64.h"

#define PATH_SHOWN 600

static const char *inode_name(const struct inode *i, char to[PATH_SHOWN])
{
    char path[PATH_SHOWN - 40];
    if (!i->entry && i != i->fs->root)
        format_text(to, PATH_SHOWN, "inode %llu, which has no name", (unsigned long long)i->number);
    else
        format_text(to, PATH_SHOWN, "%s (inode %llu)", inode_path(i, path, sizeof(path)),
                    (unsigned long long)i->number);
    return to;
}

/* --- names and links -------------------------------------------------------------------------- */

void check_visit_tree(struct check *c, check_visitor visitor)
{
    struct check_ranges todo = {};
    apply(visitor, c->fs.root, NULL);
    check_range_add(c, &todo, (struct check_range){.i = c->fs.root});
    while (todo.count && is_ok(c->failure)) {
        struct inode *directory = inode_find(&c->fs, todo.items[--todo.count].i->number);
        struct directory_entry entry = {};
        while (directory_next(directory, entry.cookie, &entry) && is_ok(c->failure)) {
            apply(visitor, directory, &entry);
            if (entry.inode->type == INODE_DIRECTORY)
                check_range_add(c, &todo, (struct check_range){.i = entry.inode});
        }
    }
    deallocate(c->options.heap, todo.items, todo.room * sizeof(*todo.items));
}

struct names {
    struct check *check;
    struct check_ranges seen; /* by inode, one for each name */
    u64 entries;
};

closure_function(check_visitor, name_count, (struct names * names), struct inode *directory,
                 const struct directory_entry *entry)
{
    struct names *n = bound(names);
    if (!entry)
        return;
    n->entries++;
    check_range_add(n->check, &n->seen,
                    (struct check_range){.start = (u64)entry->inode, .i = entry->inode});
    if (entry->inode->type == INODE_DIRECTORY && inode_parent(entry->inode) != directory)
        check_problem(n->check, "inode %llu: its parent is another directory",
                      (unsigned long long)entry->inode->number);
}

static void links_check(struct check *c, const struct inode *i, u64 names)
{
    char name[PATH_SHOWN];
    if (i->links != names || (i->type == INODE_DIRECTORY && names != 1))
        check_problem(c, "%s: has %llu names, and %u are counted", inode_name(i, name),
                      (unsigned long long)names, i->links);
}

static void names_check(struct check *c)
{
    struct names names = {.check = c};
    check_visit_tree(c, stack_closure(name_count, &names));
    check_ranges_sort(&names.seen);
    u64 linked = 1; /* the root */
    for (u64 n = 0, end; n < names.seen.count; n = end, linked++) {
        for (end = n + 1; end < names.seen.count; end++)
            if (names.seen.items[end].start != names.seen.items[n].start)
                break;
        links_check(c, names.seen.items[n].i, end - n);
    }
    if (is_ok(c->failure) && (names.entries != c->fs.entries || linked != c->fs.linked))
        check_problem(c, "the tree has %llu names and %llu inodes, and %llu and %llu are counted",
                      (unsigned long long)names.entries, (unsigned long long)linked,
                      (unsigned long long)c->fs.entries, (unsigned long long)c->fs.linked);
    c->result->inodes = linked;
    c->result->entries = names.entries;
    deallocate(c->options.heap, names.seen.items, names.seen.room * sizeof(*names.seen.items));
}

/* --- extents and free space ------------------------------------------------------------------- */

void check_visit_inodes(struct check *c, check_inode_visitor visitor)
{
    struct inode *i = inode_next(&c->fs, 0);
    for (; i && is_ok(c->failure); i = inode_next(&c->fs, i->number + 1))
        apply(visitor, i);
}

struct uses {
    struct check *check;
    struct check_ranges blocks;
};

closure_function(check_inode_visitor, extents_collect, (struct uses * uses), struct inode *i)
{
    struct uses *u = bound(uses);
    u64 blocks = 0;
    char name[PATH_SHOWN];
    if (i->type != INODE_FILE)
        return;
    struct range_node *n = i->extents ? range_map_first(i->extents) : NULL;
    for (; n; n = range_map_next(n)) {
        struct extent *e = extent_of(n);
        check_range_add(u->check, &u->blocks,
                        (struct check_range){.start = e->disk_block,
                                             .end = e->disk_block + range_length(n->r),
                                             .i = i,
                                             .file_block = n->r.start});
        blocks += range_length(n->r);
        u->check->result->extents++;
    }
    if (blocks != i->blocks)
        check_problem(u->check, "%s: %llu blocks are mapped, and %llu are counted",
                      inode_name(i, name), (unsigned long long)blocks,
                      (unsigned long long)i->blocks);
}

static const char *use_text(const struct check_range *r, char to[PATH_SHOWN + 80])
{
    char name[PATH_SHOWN];
    if (!r->i)
        return r->what;
    format_text(to, PATH_SHOWN + 80, "%s from byte %llu on", inode_name(r->i, name),
                (unsigned long long)(r->file_block << BLOCK_ORDER));
    return to;
}

static void overlaps_check(struct check *c, const struct check_ranges *blocks)
{
    char a[PATH_SHOWN + 80], b[PATH_SHOWN + 80];
    u64 device = c->fs.super.device_blocks;
    for (u64 n = 0; n < blocks->count; n++) {
        const struct check_range *r = &blocks->items[n];
        if (r->start >= r->end || r->end > device)
            check_problem(c, "%s: blocks %llu..%llu are beyond the end of the device",
                          use_text(r, a), (unsigned long long)r->start, (unsigned long long)r->end);
        if (n && r->start < r[-1].end)
            check_problem(c, "blocks from %llu on have two uses: %s, and %s",
                          (unsigned long long)r->start, use_text(r - 1, a), use_text(r, b));
    }
}

static void reserved_collect(struct check *c, struct uses *uses)
{
    struct range_node *n = range_map_first(&c->fs.space.map);
    for (; n; n = range_map_next(n)) {
        enum space_use use = container_of(n, struct space_node, node)->use;
        if (use == USE_CHECKSUMS || use == USE_OTHER)
            check_range_add(c, &uses->blocks,
                            (struct check_range){.start = n->r.start,
                                                 .end = n->r.end,
                                                 .what = use == USE_CHECKSUMS
                                                             ? "checksums"
                                                             : "blocks kept from use"});
    }
}

/* Every block has at most one use, and the map of used blocks knows exactly these. */
static void space_check(struct check *c)
{
    struct uses uses = {.check = c};
    check_range_add(c, &uses.blocks,
                    (struct check_range){.end = FIRST_BLOCK, .what = "the boot area"});
    for (u64 n = 0; n < c->log.count; n++)
        check_range_add(c, &uses.blocks, c->log.items[n]);
    reserved_collect(c, &uses);
    check_visit_inodes(c, stack_closure(extents_collect, &uses));
    check_ranges_sort(&uses.blocks);
    overlaps_check(c, &uses.blocks);
    u64 used = 0;
    for (u64 n = 0; n < uses.blocks.count; n++)
        used += uses.blocks.items[n].end - uses.blocks.items[n].start;
    if (is_ok(c->failure) && used != c->fs.space.used)
        check_problem(c, "%llu blocks are in use, and %llu are counted", (unsigned long long)used,
                      (unsigned long long)c->fs.space.used);
    if (is_ok(c->failure) && c->result->extents != c->fs.extents)
        check_problem(c, "there are %llu extents, and %llu are counted",
                      (unsigned long long)c->result->extents, (unsigned long long)c->fs.extents);
    c->result->blocks = c->fs.super.device_blocks;
    c->result->blocks_free = c->fs.super.device_blocks - min(used, c->fs.super.device_blocks);
    deallocate(c->options.heap, uses.blocks.items, uses.blocks.room * sizeof(*uses.blocks.items));
}

/* --- checksum blocks ---------------------------------------------------------------------------
 */

closure_function(check_inode_visitor, sums_collect, (struct uses * uses), struct inode *i)
{
    struct uses *u = bound(uses);
    struct range_node *n = i->type == INODE_FILE && i->extents ? range_map_first(i->extents) : NULL;
    for (; n; n = range_map_next(n)) {
        const struct extent *e = extent_of(n);
        range r = extent_sums(e, n->r);
        if (!range_empty(r))
            check_range_add(u->check, &u->blocks,
                            (struct check_range){.start = r.start, .end = r.end, .i = i});
    }
}

static const struct checksum_block *sums_read(struct check *c, u64 block)
{
    const struct checksum_block *b = (const struct checksum_block *)scan_blocks(&c->scan, block, 1);
    u64 from = offsetof(struct checksum_block, block);
    bool right = b && b->magic == RUN_MAGIC && b->block == block && b->volume == c->fs.volume &&
                 crc32c((const u8 *)b + from, BLOCK_BYTES - from) == b->crc;
    return right ? b : NULL;
}

static void sums_check(struct check *c)
{
    struct uses uses = {.check = c};
    u64 done = 0, used = 0;
    char name[PATH_SHOWN];
    check_visit_inodes(c, stack_closure(sums_collect, &uses));
    check_ranges_sort(&uses.blocks);
    for (u64 n = 0; n < uses.blocks.count; n++) {
        const struct check_range *r = &uses.blocks.items[n];
        for (u64 block = max(done, r->start); block < r->end; block++, used++)
            if (!sums_read(c, block))
                check_problem(c, "%s: the checksums of its data in block %llu are damaged",
                              inode_name(r->i, name), (unsigned long long)block);
        done = max(done, r->end);
    }
    u64 reserved = 0;
    struct range_node *n = range_map_first(&c->fs.space.map);
    for (; n; n = range_map_next(n))
        if (container_of(n, struct space_node, node)->use == USE_CHECKSUMS)
            reserved += range_length(n->r);
    if (reserved > used)
        check_note(c, "%llu blocks are kept for checksums that no file needs any more",
                   (unsigned long long)(reserved - used));
    deallocate(c->options.heap, uses.blocks.items, uses.blocks.room * sizeof(*uses.blocks.items));
}

/* --- data ---------------------------------------------------------------------------------------
 */

/* Blocks of one file that are wrong, one behind the other. */
struct bad_run {
    check_bad_data bad;
    struct inode *i;
    u64 start, end; /* file blocks */
    bool unknown;
};

static void bad_end(struct bad_run *b)
{
    if (b->start < b->end)
        apply(b->bad, b->i, range_of(b->start, b->end), b->unknown);
    b->start = b->end = 0;
}

static void bad_add(struct bad_run *b, u64 file_block, bool unknown)
{
    if (b->end != file_block || b->start == b->end || b->unknown != unknown) {
        bad_end(b);
        b->start = file_block;
        b->unknown = unknown;
    }
    b->end = file_block + 1;
}

/* The checksums of up to `blocks` blocks of e from its block k on; 0: they cannot be had. */
static u64 extent_sums_copy(struct check *c, const struct extent *e, u64 k, u64 blocks, u32 *to)
{
    if (e->sums) {
        memcpy(to, e->sums + k, blocks * sizeof(u32));
        return blocks;
    }
    u64 index = e->run_index + k;
    const struct checksum_block *b = sums_read(c, e->run_block + index / RUN_SUMS);
    blocks = min(blocks, RUN_SUMS - index % RUN_SUMS);
    if (!b)
        return 0;
    memcpy(to, b->sums + index % RUN_SUMS, blocks * sizeof(u32));
    return blocks;
}

static void extent_verify(struct check *c, const struct extent *e, struct bad_run *bad)
{
    u32 sums[READ_BLOCKS_MOST];
    u64 length = range_length(e->node.r);
    for (u64 k = 0, blocks; k < length; k += blocks) {
        blocks = extent_sums_copy(c, e, k, min(length - k, (u64)READ_BLOCKS_MOST), sums);
        bool known = blocks != 0;
        if (!known)
            blocks = 1;
        const u8 *data = known ? scan_blocks(&c->scan, e->disk_block + k, blocks) : NULL;
        for (u64 n = 0; n < blocks; n++) {
            u64 at = e->disk_block + k + n;
            const u8 *block = data ? data + (n << BLOCK_ORDER) : NULL;
            if (known && !data) /* one of them cannot be read: which? */
                block = scan_blocks(&c->scan, at, 1);
            if (!block || (u32)hash64(0, block, BLOCK_BYTES) != sums[n])
                bad_add(bad, e->node.r.start + k + n, !known);
        }
        c->result->blocks_verified += blocks;
    }
}

closure_function(check_inode_visitor, data_verify, (struct check * check, check_bad_data bad),
                 struct inode *i)
{
    struct bad_run run = {.bad = bound(bad), .i = i};
    struct range_node *n = i->type == INODE_FILE && i->extents ? range_map_first(i->extents) : NULL;
    for (; n; n = range_map_next(n))
        if (extent_of(n)->flags & (MAP_SUMS_INLINE | MAP_SUMS_RUN))
            extent_verify(bound(check), extent_of(n), &run);
    bad_end(&run);
}

void check_data(struct check *c, check_bad_data bad)
{
    check_visit_inodes(c, stack_closure(data_verify, c, bad));
}

/* What sums_check has said is not said again. */
closure_function(check_bad_data, bad_say, (struct check * check), struct inode *i, range r,
                 bool unknown)
{
    char name[PATH_SHOWN];
    if (!unknown)
        check_problem(bound(check),
                      "%s: bytes %llu..%llu do not match their checksums, or cannot be read",
                      inode_name(i, name), (unsigned long long)(r.start << BLOCK_ORDER),
                      (unsigned long long)(r.end << BLOCK_ORDER));
}

/* --- all of it ----------------------------------------------------------------------------------
 */

static void orphans_check(struct check *c)
{
    const struct superblock *super = &c->fs.super;
    c->result->orphans = c->fs.inodes - c->fs.linked;
    if (c->result->orphans)
        check_note(c,
                   "%llu inodes have no name (unlinked while they were open); their blocks come "
                   "free when it is mounted for writing",
                   (unsigned long long)c->result->orphans);
    if (super->flags & SUPERBLOCK_CLEAN && super->next_inode <= c->inode_most)
        check_problem(c, "the superblock says that inode %llu is the next one, and %llu exists",
                      (unsigned long long)super->next_inode, (unsigned long long)c->inode_most);
}

void check_state(struct check *c)
{
    if (!c->fs.root) {
        check_problem(c, "there is no root directory");
        return;
    }
    names_check(c);
    space_check(c);
    sums_check(c);
    orphans_check(c);
    if (c->options.data)
        check_data(c, stack_closure(bad_say, c));
}
