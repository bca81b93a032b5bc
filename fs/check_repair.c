/* Repair: what is to be salvaged, and what is lost.  check_rewrite.c writes it down.  See check.h.

   The log is followed as a check follows it, for what is damaged in it, and then a second time, up
   to the first group behind the checkpoint that is not right: what comes later speaks of a state
   that nobody knows.  A damaged checkpoint is different: its records stand for themselves, so those
   that are whole are all used. */
#include "fs/check_repair.h"

#include "runtime/format.h"

#define PATH_SHOWN 600

void repair_say(struct repair *r, const char *format, ...)
{
    char line[1000];
    va_list arguments;
    va_start(arguments, format);
    format_text_list(line, sizeof(line), format, arguments);
    va_end(arguments);
    r->result->lost++;
    if (r->options.line)
        apply(r->options.line, line);
}

static const char *inode_name(const struct inode *i, char to[PATH_SHOWN])
{
    if (!i->entry)
        format_text(to, PATH_SHOWN, "inode %llu, which has lost its name",
                    (unsigned long long)i->number);
    else
        inode_path(i, to, PATH_SHOWN);
    return to;
}

/* --- what was lost ---------------------------------------------------------------------------- */

/* To /lost+found, unless it is there already. */
static void inode_move(struct repair *r, struct inode *i)
{
    if (i->said == INODE_MOVED)
        return;
    i->said = INODE_MOVED;
    check_range_add(&r->check, &r->moved, (struct check_range){.i = i});
}

/* The extents of i that lie in r.blocks lose their checksums, whose own block is damaged. */
static void sums_forget(struct inode *i, range blocks)
{
    struct range_node *n = range_map_lookup_at_or_next(i->extents, blocks.start);
    for (; n && n->r.start < blocks.end; n = range_map_next(n))
        extent_of(n)->flags &= (u16)~MAP_SUMS_RUN;
}

closure_function(check_bad_data, data_collect, (struct repair * repair), struct inode *i,
                 range blocks, bool unknown)
{
    struct repair *r = bound(repair);
    check_range_add(
        &r->check, &r->bad,
        (struct check_range){
            .start = blocks.start, .end = blocks.end, .i = i, .what = unknown ? "unknown" : NULL});
}

static void data_drop(struct repair *r)
{
    char name[PATH_SHOWN];
    for (u64 n = 0; n < r->bad.count && is_ok(r->check.failure); n++) {
        const struct check_range *b = &r->bad.items[n];
        struct inode *i = inode_find(&r->check.fs, b->i->number);
        if (b->what) {
            sums_forget(i, range_of(b->start, b->end));
            repair_say(r, "%s: the checksums from byte %llu on are lost; its data is kept as it is",
                       inode_name(i, name), (unsigned long long)(b->start << BLOCK_ORDER));
            continue;
        }
        repair_say(r, "%s: bytes %llu..%llu are lost", inode_name(i, name),
                   (unsigned long long)(b->start << BLOCK_ORDER),
                   (unsigned long long)(b->end << BLOCK_ORDER));
        r->check.failure = extent_unmap(i, range_of(b->start, b->end));
        inode_move(r, i);
    }
}

/* Blocks that are not on the device: of an image that was cut short. */
static status blocks_beyond_drop(struct repair *r, struct inode *i)
{
    u64 device = r->options.device->sectors / BLOCK_SECTORS;
    struct range_node *n = i->extents ? range_map_first(i->extents) : NULL;
    char name[PATH_SHOWN];
    while (n) {
        const struct extent *e = extent_of(n);
        range blocks = n->r;
        u64 there = device > e->disk_block ? device - e->disk_block : 0;
        n = range_map_next(n);
        if (there >= range_length(blocks))
            continue;
        range gone = range_of(blocks.start + there, blocks.end);
        status s = extent_unmap(i, gone);
        if (!is_ok(s))
            return s;
        repair_say(r, "%s: bytes %llu..%llu are lost", inode_name(i, name),
                   (unsigned long long)(gone.start << BLOCK_ORDER),
                   (unsigned long long)(gone.end << BLOCK_ORDER));
        inode_move(r, i);
    }
    return STATUS_OK;
}

/* A file without a name, or with holes that may be what a lost record said. */
closure_function(check_inode_visitor, inode_salvage, (struct repair * repair), struct inode *i)
{
    struct repair *r = bound(repair);
    char name[PATH_SHOWN];
    if (i->type == INODE_FILE && is_ok(r->check.failure))
        r->check.failure = blocks_beyond_drop(r, i);
    if (!r->check.checkpoint_damaged || i->type == INODE_DIRECTORY || i->said == INODE_MOVED)
        return;
    u64 blocks = align_up(i->bytes, BLOCK_BYTES) >> BLOCK_ORDER;
    bool nameless = !i->links;
    bool holes = i->type == INODE_FILE && i->blocks < blocks;
    if ((!nameless && !holes) || (i->type == INODE_SYMLINK && !i->target))
        return;
    if (holes)
        repair_say(r, "%s: %llu of its %llu bytes may be lost", inode_name(i, name),
                   (unsigned long long)min((blocks - i->blocks) << BLOCK_ORDER, i->bytes),
                   (unsigned long long)i->bytes);
    else
        repair_say(r, "%s", inode_name(i, name));
    inode_move(r, i);
}

/* --- which log -------------------------------------------------------------------------------- */

/* Blocks that a repair must not write to: whatever any log says of them. */
static void keep_out(struct repair *r, struct check *c)
{
    struct range_node *n = range_map_first(&c->fs.space.map);
    for (; n; n = range_map_next(n))
        check_range_add(&r->check, &r->kept,
                        (struct check_range){.start = n->r.start, .end = n->r.end});
    for (u64 k = 0; k < c->avoid.count; k++)
        check_range_add(&r->check, &r->kept, c->avoid.items[k]);
    for (u64 k = 0; k < c->log.count; k++)
        check_range_add(&r->check, &r->kept, c->log.items[k]);
    r->sequence_most = max(r->sequence_most, c->sequence_most);
}

/* Follows the log of superblock `super` up to group `stop`. */
static status log_follow(struct repair *r, u32 super, u64 stop)
{
    struct check_options quiet = r->options;
    quiet.line = NULL;
    check_end(&r->check);
    status s = check_begin_with(&r->check, &quiet, &r->checked, super);
    r->check.stop = stop;
    if (is_ok(s)) {
        check_walk(&r->check);
        s = r->check.failure;
    }
    if (is_ok(s))
        keep_out(r, &r->check);
    return s;
}

/* The newest superblock's log, up to what is damaged in it; the other's, when that one leads to a
   checkpoint that is whole and this does not. */
static status log_choose(struct repair *r)
{
    u32 newest = r->check.scan.super, other = 1 - newest;
    bool two = r->check.scan.faults[other] == SUPER_VALID;
    const struct superblock *supers = r->check.scan.supers;
    two = two && !memcmp(supers[0].uuid, supers[1].uuid, sizeof(supers[0].uuid)) &&
          supers[0].checkpoint_sequence != supers[1].checkpoint_sequence;
    u64 first = r->check.first_damage;
    bool worse = r->check.checkpoint_damaged;
    if (two) {
        status s = log_follow(r, other, 0);
        if (is_ok(s) && worse && !r->check.damaged && r->check.replay.ended) {
            repair_say(r,
                       "the newest checkpoint is damaged; an older one is used: what was changed "
                       "after group %llu is lost",
                       (unsigned long long)r->checked.last_sequence);
            return s;
        }
    }
    status s = log_follow(r, newest, first);
    if (is_ok(s) && first)
        repair_say(r, "what was changed after group %llu is lost",
                   (unsigned long long)r->checked.last_sequence);
    return s;
}

/* --- the two kinds of repair ------------------------------------------------------------------ */

static status rebuild(struct repair *r)
{
    keep_out(r, &r->check);
    status s = log_choose(r);
    if (!is_ok(s))
        return s;
    struct check *c = &r->check;
    if (!c->fs.root)
        return status_error(EBADMSG, "fs: damaged: nothing of the log can be read", 0);
    if (c->after_gap)
        repair_say(r, "%llu records that belong to what is missing are lost",
                   (unsigned long long)c->after_gap);
    if (r->options.data)
        check_data(c, stack_closure(data_collect, r));
    if (is_ok(c->failure))
        data_drop(r);
    check_visit_inodes(c, stack_closure(inode_salvage, r));
    if (!is_ok(c->failure))
        return c->failure;
    return repair_rewrite(r);
}

static status super_restore(struct repair *r)
{
    const struct scan *s = &r->check.scan;
    struct superblock super = s->supers[s->super];
    super.generation++;
    repair_say(r, "superblock %s is written anew", s->super == 0 ? "B" : "A");
    return repair_super_write(r, &super, 1 - s->super);
}

static status repair(struct repair *r)
{
    struct check *c = &r->check;
    struct check_options quiet = r->options;
    quiet.line = NULL;
    status s = check_begin(c, &quiet, &r->checked);
    if (!is_ok(s))
        return s;
    check_walk(c);
    u64 supers = (c->scan.faults[0] != SUPER_VALID) + (c->scan.faults[1] != SUPER_VALID);
    if (is_ok(c->failure))
        check_state(c);
    if (!is_ok(c->failure))
        return c->failure;
    if (!r->checked.problems)
        return STATUS_OK;
    if (r->options.device->read_only)
        return status_error(EROFS, "fs: the disk cannot be written to", 0);
    return r->checked.problems == supers ? super_restore(r) : rebuild(r);
}

status filesystem_repair(const struct check_options *options, struct repair_result *to)
{
    heap h = options->heap;
    *to = (struct repair_result){};
    struct repair *r = allocate_zero(h, sizeof(*r));
    if (!r)
        return status_error(ENOMEM, "fs: no memory for repairing", sizeof(*r));
    r->options = *options;
    r->result = to;
    status s = repair(r);
    check_end(&r->check);
    struct check_ranges *lists[] = {&r->kept, &r->bad, &r->moved};
    for (u32 n = 0; n < countof(lists); n++)
        deallocate(h, lists[n]->items, lists[n]->room * sizeof(*lists[n]->items));
    deallocate(h, r, sizeof(*r));
    return s;
}
