/* A check's way through the log: each group, each record, and on after what is wrong.  See
   check_internal.h.

   Records are applied by replay.c one at a time, each as a group of its own, so one that is refused
   does not keep the next from being looked at. */
#include "fs/check_internal.h"

#include "fs/segment.h"

#include "runtime/format.h"

#define LINES_USUAL 100u
#define LINE_BYTES  1400u

/* --- saying it -------------------------------------------------------------------------------- */

static void line_say(struct check *c, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    u64 said = c->result->problems + c->result->notes;
    if (!c->options.line || said > c->options.lines_most)
        return;
    if (said == c->options.lines_most)
        format_text(line, sizeof(line), "(and more, which are counted only)");
    else
        format_text_list(line, sizeof(line), format, arguments);
    apply(c->options.line, line);
}

void check_problem(struct check *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line_say(c, format, arguments);
    va_end(arguments);
    c->result->problems++;
}

void check_note(struct check *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line_say(c, format, arguments);
    va_end(arguments);
    c->result->notes++;
}

void check_out_of_memory(struct check *c)
{
    if (is_ok(c->failure))
        c->failure = status_error(ENOMEM, "fs: no memory for checking", 0);
}

/* --- ranges of blocks ------------------------------------------------------------------------- */

bool check_range_add(struct check *c, struct check_ranges *to, struct check_range r)
{
    if (to->count == to->room) {
        u64 room = to->room ? 2 * to->room : 64;
        struct check_range *items = allocate(c->options.heap, room * sizeof(*items));
        if (!items) {
            check_out_of_memory(c);
            return false;
        }
        if (to->count)
            memcpy(items, to->items, to->count * sizeof(*items));
        deallocate(c->options.heap, to->items, to->room * sizeof(*items));
        to->items = items;
        to->room = room;
    }
    to->items[to->count++] = r;
    return true;
}

static void ranges_sink(struct check_range *items, u64 at, u64 count)
{
    struct check_range moved = items[at];
    for (u64 child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && items[child + 1].start > items[child].start)
            child++;
        if (items[child].start <= moved.start)
            break;
        items[at] = items[child];
    }
    items[at] = moved;
}

/* Heapsort, by start: no memory, and no worst case. */
void check_ranges_sort(struct check_ranges *r)
{
    for (u64 n = r->count / 2; n-- > 0;)
        ranges_sink(r->items, n, r->count);
    for (u64 n = r->count; n-- > 1;) {
        struct check_range first = r->items[0];
        r->items[0] = r->items[n];
        r->items[n] = first;
        ranges_sink(r->items, 0, n);
    }
}

static void ranges_release(struct check *c, struct check_ranges *r)
{
    deallocate(c->options.heap, r->items, r->room * sizeof(*r->items));
    *r = (struct check_ranges){};
}

/* --- what replay does not look at: fields and padding that have to be zero ------------------- */

static bool all_zero(const struct record *record, u64 from, u64 end)
{
    for (u64 at = from; at < end && at < record->length; at++)
        if (((const u8 *)record)[at])
            return false;
    return true;
}

/* Where the record's text ends, and its padding begins. */
static u64 record_end(const struct record *record)
{
    switch (record->type) {
    case RECORD_SETTING: {
        const struct record_setting *s = (const struct record_setting *)record;
        return sizeof(*s) + s->name_bytes + s->value_bytes;
    }
    case RECORD_LINK:
    case RECORD_UNLINK:
        return sizeof(struct record_link) + ((const struct record_link *)record)->name_bytes;
    case RECORD_RENAME: {
        const struct record_rename *n = (const struct record_rename *)record;
        return sizeof(*n) + n->from_bytes + n->to_bytes;
    }
    case RECORD_SYMLINK:
        return sizeof(struct record_symlink) +
               ((const struct record_symlink *)record)->target_bytes;
    case RECORD_XATTR_SET: {
        const struct record_xattr_set *x = (const struct record_xattr_set *)record;
        return sizeof(*x) + x->name_bytes + x->value_bytes;
    }
    case RECORD_XATTR_REMOVE:
        return sizeof(struct record_xattr_remove) +
               ((const struct record_xattr_remove *)record)->name_bytes;
    case RECORD_MAP: {
        const struct record_map *m = (const struct record_map *)record;
        return sizeof(*m) + (m->flags & MAP_SUMS_INLINE ? (u64)m->blocks * sizeof(u32) : 0);
    }
    default:
        return record->length;
    }
}

#define ZERO(type, first, next)                                                                    \
    {                                                                                              \
        offsetof(struct type, first), offsetof(struct type, next)                                  \
    }

/* Replay has accepted the record, so its lengths are right. */
static bool record_zeroes_right(const struct record *record)
{
    static const struct {
        u64 from, end;
    } zeroes[RECORD_TYPES] = {
        [RECORD_SEGMENT] = {28, 32},   [RECORD_NEXT] = {20, 24},
        [RECORD_LINK] = {26, 32},      [RECORD_UNLINK] = {26, 32},
        [RECORD_SYMLINK] = {20, 24},   [RECORD_MAP] = {52, 56},
        [RECORD_XATTR_SET] = {18, 20}, [RECORD_XATTR_REMOVE] = {18, 24},
        [RECORD_RESERVE] = {28, 32},   [RECORD_RELEASE] = {28, 32},
        [RECORD_INODE] = {28, 32},
    };
    if (record->type >= RECORD_TYPES)
        return true;
    bool right = all_zero(record, zeroes[record->type].from, zeroes[record->type].end) &&
                 all_zero(record, record_end(record), record->length);
    if (record->type == RECORD_INODE)
        right &= all_zero(record, 17, 18) && ((const struct record_inode *)record)->device == 0;
    return right;
}

/* --- records ---------------------------------------------------------------------------------- */

/* The path of the inode that a record speaks of, when it has one by now. */
static const char *record_path(struct check *c, const struct record *record, char *to, u64 size)
{
    u64 number = 0;
    if (record->length < 16 || record->type == RECORD_LINK)
        return "";
    if (record->type == RECORD_MAP || record->type == RECORD_UNMAP ||
        record->type == RECORD_TRUNCATE || record->type == RECORD_INODE ||
        record->type == RECORD_UNLINK || record->type == RECORD_FORGET)
        memcpy(&number, record + 1, sizeof(number)); /* FORMAT.md, section 5: at 8 */
    struct inode *i = number ? inode_find(&c->fs, number) : NULL;
    char path[300];
    if (!i || (!i->entry && i != c->fs.root))
        return "";
    format_text(to, size, " (%s)", inode_path(i, path, sizeof(path)));
    return to;
}

static void record_where(struct check *c, const struct record *record, const struct group *g,
                         u32 number, char *to, u64 size)
{
    char text[900], path[320];
    record_describe(record, text, sizeof(text));
    format_text(to, size, "group %llu at byte %llu, record %u, %s%s",
                (unsigned long long)g->sequence, (unsigned long long)c->group_at, number, text,
                record_path(c, record, path, sizeof(path)));
}

/* Blocks that a record speaks of stay out of a repair's way, also when it was refused. */
static void record_avoid(struct check *c, const struct record *record)
{
    u64 start = 0, blocks = 0;
    if (record->type == RECORD_MAP && record->length >= sizeof(struct record_map)) {
        start = ((const struct record_map *)record)->disk_block;
        blocks = ((const struct record_map *)record)->blocks;
    } else if (record->type == RECORD_NEXT && record->length >= sizeof(struct record_next)) {
        start = ((const struct record_next *)record)->block;
        blocks = ((const struct record_next *)record)->blocks;
    } else if (record->type == RECORD_RESERVE && record->length >= sizeof(struct record_reserve)) {
        start = ((const struct record_reserve *)record)->block;
        blocks = ((const struct record_reserve *)record)->blocks;
    }
    if (blocks && start < c->fs.space.blocks && blocks <= c->fs.space.blocks - start)
        check_range_add(c, &c->avoid, (struct check_range){.start = start, .end = start + blocks});
}

/* As a group of one record. */
static status record_replay(struct check *c, const struct group *g, const struct record *record)
{
    struct group *one = (struct group *)c->single;
    *one = *g;
    one->records = 1;
    one->length = (u32)(sizeof(*one) + record->length);
    memcpy(one + 1, record, record->length);
    return replay_group(&c->replay, one);
}

static void record_seen(struct check *c, const struct record *record)
{
    c->result->records++;
    if (record->type == RECORD_INODE)
        c->inode_most = max(c->inode_most, ((const struct record_inode *)record)->number);
    if (record->type == RECORD_NEXT)
        c->result->segments++;
}

static void damage_note(struct check *c, u64 sequence)
{
    c->damaged = true;
    if (!c->replay.ended)
        c->checkpoint_damaged = true;
    else if (!c->first_damage)
        c->first_damage = sequence;
}

static void record_refused(struct check *c, const struct record *record, const char *where,
                           status s)
{
    record_avoid(c, record);
    if (status_errno(s) == ENOMEM) {
        c->failure = s;
    } else if (c->gap) {
        c->after_gap++;
    } else {
        damage_note(c, c->replay.sequence);
        check_problem(c, "%s: %s (%llu)", where, status_text(s), (unsigned long long)s.detail);
    }
    c->replay.ended |= record->type == RECORD_CHECKPOINT_END;
}

static void record_check(struct check *c, const struct group *g, const struct record *record,
                         u32 number)
{
    char where[1300];
    bool last = (const u8 *)record + record->length == (const u8 *)g + g->length;
    if (c->gap && record->type == RECORD_CHECKPOINT_END) {
        c->replay.ended = true; /* its counts cannot be right */
        return;
    }
    status s = record_replay(c, g, record);
    if (is_ok(s) && !last && (record->type == RECORD_NEXT || record->type == RECORD_CHECKPOINT_END))
        s = status_error(EBADMSG, "fs: damaged: a last record with others behind it", 0);
    bool exists = record->type == RECORD_CHECKPOINT_END && is_ok(s) &&
                  ((const struct record_checkpoint_end *)record)->next_inode <= c->inode_most;
    if (is_ok(s))
        record_seen(c, record);
    if (is_ok(s) && !exists && record_zeroes_right(record))
        return;
    record_where(c, record, g, number, where, sizeof(where));
    if (is_ok(s))
        check_problem(c, "%s: %s", where,
                      exists ? "the next inode exists already"
                             : "bytes that have to be zero are not");
    else
        record_refused(c, record, where, s);
}

/* --- groups ----------------------------------------------------------------------------------- */

static void group_check(struct check *c, const struct group *g)
{
    const struct record *record = NULL, *before = NULL;
    u32 number = 0;
    c->group_at = g->sector * SECTOR_BYTES;
    c->replay.sequence = g->sequence;
    if (g->durable >= g->sequence)
        check_problem(c, "group %llu at byte %llu: says that group %llu was durable before it",
                      (unsigned long long)g->sequence, (unsigned long long)c->group_at,
                      (unsigned long long)g->durable);
    while (is_ok(c->failure) && (record = group_record(g, before))) {
        record_check(c, g, record, ++number);
        before = record;
    }
    const u8 *end = before ? (const u8 *)before + before->length : (const u8 *)(g + 1);
    if (is_ok(c->failure) && (number != g->records || end != (const u8 *)g + g->length)) {
        damage_note(c, g->sequence);
        check_problem(c, "group %llu at byte %llu: %u records of possible length, and it says %u",
                      (unsigned long long)g->sequence, (unsigned long long)c->group_at, number,
                      g->records);
    }
    c->result->groups++;
    c->sequence_most = max(c->sequence_most, g->sequence);
    c->sequence_most = max(c->sequence_most, c->replay.next_sequence);
    c->result->last_sequence = g->sequence;
}

static void segment_begin(struct check *c, u64 block, u32 blocks, u64 sequence)
{
    scan_segment(&c->scan, block, blocks, sequence);
    c->replay.segment_expected = true;
    c->replay.segment_block = block;
    c->replay.segment_blocks = blocks;
    c->replay.next_block = 0;
    check_range_add(c, &c->log,
                    (struct check_range){.start = block, .end = block + blocks, .what = "the log"});
}

/* A whole group behind `at` in this segment, of a later sequence than the one that is missing;
   `promised`: one that was written by who knew the missing one to be on the disk.  The scan stands
   at it then; otherwise where it stood. */
static bool group_search(struct check *c, bool promised)
{
    struct scan *s = &c->scan;
    u64 from = s->at;
    const struct group *g;
    for (s->at += scan_step(s); s->at < s->bytes; s->at += scan_step(s)) {
        enum group_fault f = scan_look(s, &g);
        if (f == GROUP_BEYOND)
            break;
        if (f == GROUP_UNREADABLE) /* as far as one read reaches */
            s->at = align_down(s->at, GROUP_BYTES_MOST) + GROUP_BYTES_MOST - scan_step(s);
        if (f == GROUP_SEQUENCE && g->sequence > s->sequence &&
            (!promised || g->durable >= s->sequence))
            return true;
    }
    s->at = from;
    return false;
}

/* In place of the first group, which has the tables' beginning and the root. */
static bool root_make(struct check *c)
{
    struct filesystem *fs = &c->fs;
    fs->root = inode_make(fs, INODE_ROOT, INODE_DIRECTORY);
    if (!fs->root) {
        check_out_of_memory(c);
        return false;
    }
    fs->root->mode = 0755;
    fs->linked = 1;
    c->replay.begun = true;
    return true;
}

/* Behind a missing group: what follows is still looked at. */
static bool gap_cross(struct check *c)
{
    const struct group *g;
    damage_note(c, c->scan.sequence);
    c->gap = true;
    if (!group_search(c, false) || scan_look(&c->scan, &g) != GROUP_SEQUENCE)
        return false;
    c->lost_groups += g->sequence - c->scan.sequence;
    check_note(c, "the log goes on with group %llu at byte %llu", (unsigned long long)g->sequence,
               (unsigned long long)(g->sector * SECTOR_BYTES));
    c->scan.sequence = g->sequence;
    c->replay.segment_expected = false;
    return c->replay.begun || root_make(c);
}

/* No valid group at the place of the next one.  True: the walk goes on behind a gap. */
static bool group_missing(struct check *c, enum group_fault f)
{
    const struct superblock *super = &c->scan.supers[c->scan.super];
    u64 sequence = c->scan.sequence, at = (c->scan.block << BLOCK_ORDER) + c->scan.at;
    if (sequence <= super->reach_sequence) {
        check_problem(
            c,
            "group %llu, expected at byte %llu, %s; the superblock promises the log up to "
            "group %llu",
            (unsigned long long)sequence, (unsigned long long)at, group_fault_text(f),
            (unsigned long long)super->reach_sequence);
        return gap_cross(c);
    }
    if (group_search(c, true)) {
        c->scan.at = at - (c->scan.block << BLOCK_ORDER);
        check_problem(
            c,
            "group %llu, expected at byte %llu, %s; a later group says that it was on the "
            "disk",
            (unsigned long long)sequence, (unsigned long long)at, group_fault_text(f));
        return gap_cross(c);
    }
    c->result->torn = f != GROUP_BEYOND;
    return false;
}

/* True: there is a next one to look at. */
static bool group_next(struct check *c)
{
    const struct superblock *super = &c->scan.supers[c->scan.super];
    const struct group *g;
    if (c->stop && c->scan.sequence >= c->stop)
        return false;
    enum group_fault f = scan_look(&c->scan, &g);
    if (f != GROUP_VALID)
        return group_missing(c, f);
    group_check(c, g);
    scan_advance(&c->scan, g);
    if (c->replay.next_block)
        segment_begin(c, c->replay.next_block, c->replay.next_blocks, c->replay.next_sequence);
    if (!is_ok(c->failure))
        return false;
    return c->scan.sequence <= super->reach_sequence || !(super->flags & SUPERBLOCK_CLEAN);
}

/* --- superblocks ------------------------------------------------------------------------------ */

static void supers_check(struct check *c)
{
    static const char *const names[2] = {"A (block 0)", "B (block 16)"};
    const struct scan *s = &c->scan;
    const struct superblock *super = &s->supers[s->super];
    for (u32 n = 0; n < 2; n++)
        if (s->faults[n] != SUPER_VALID)
            check_problem(c, "superblock %s %s", names[n], super_fault_text(s->faults[n]));
    if (s->faults[0] == SUPER_VALID && s->faults[1] == SUPER_VALID &&
        memcmp(s->supers[0].uuid, s->supers[1].uuid, sizeof(super->uuid)) != 0)
        check_note(c, "the superblocks are of two filesystems; the other one is what an earlier "
                      "use of the disk left");
    if (super->device_blocks > s->device->sectors / BLOCK_SECTORS)
        check_problem(c, "the disk is shorter than its filesystem: %llu blocks of %llu",
                      (unsigned long long)(s->device->sectors / BLOCK_SECTORS),
                      (unsigned long long)super->device_blocks);
    if (super->reach_sequence < super->checkpoint_sequence)
        check_problem(c,
                      "superblock %s: the log is promised up to group %llu, before the "
                      "checkpoint's first, %llu",
                      names[s->super], (unsigned long long)super->reach_sequence,
                      (unsigned long long)super->checkpoint_sequence);
    c->result->generation = super->generation;
    c->result->clean = super->flags & SUPERBLOCK_CLEAN;
}

/* --- public ----------------------------------------------------------------------------------- */

static status state_init(struct check *c)
{
    const struct superblock *super = &c->scan.supers[c->scan.super];
    struct filesystem *fs = &c->fs;
    fs->environment.heap = c->options.heap;
    fs->environment.device = c->options.device;
    fs->super = *super;
    fs->volume = c->scan.volume;
    arena_init(&fs->arena, c->options.heap);
    list_init(&fs->live);
    list_init(&fs->clock);
    list_init(&fs->dirty_inodes);
    space_init(&fs->space, c->options.heap, super->device_blocks);
    c->replay.fs = fs;
    c->single = allocate(c->options.heap, GROUP_BYTES_MOST);
    if (!c->single)
        return status_error(ENOMEM, "fs: no memory for checking", GROUP_BYTES_MOST);
    status s = space_take(&fs->space, 0, FIRST_BLOCK, USE_FIXED);
    return is_ok(s)
               ? space_take(&fs->space, super->checkpoint_block, super->checkpoint_blocks, USE_LOG)
               : s;
}

status check_begin(struct check *c, const struct check_options *options, struct check_result *to)
{
    return check_begin_with(c, options, to, SUPER_NEWEST);
}

status check_begin_with(struct check *c, const struct check_options *options,
                        struct check_result *to, u32 super)
{
    *c = (struct check){.options = *options, .result = to};
    *to = (struct check_result){};
    if (!c->options.lines_most)
        c->options.lines_most = LINES_USUAL;
    status s = scan_open(&c->scan, options->device, options->poll, options->heap);
    if (!is_ok(s))
        return s;
    if (super != SUPER_NEWEST)
        scan_choose(&c->scan, super);
    supers_check(c);
    return state_init(c);
}

void check_walk(struct check *c)
{
    const struct superblock *super = &c->scan.supers[c->scan.super];
    c->result->segments = 1;
    segment_begin(c, super->checkpoint_block, super->checkpoint_blocks, super->checkpoint_sequence);
    while (is_ok(c->failure) && group_next(c))
        ;
    if (is_ok(c->failure) && !c->replay.ended) {
        c->damaged = c->checkpoint_damaged = true;
        check_problem(c, "the checkpoint has no end");
    }
    if (c->after_gap)
        check_note(c, "%llu records behind what is missing do not apply",
                   (unsigned long long)c->after_gap);
    if (c->result->torn)
        check_note(c, "the log ends behind group %llu; what was written after it was not synced",
                   (unsigned long long)c->result->last_sequence);
}

void check_end(struct check *c)
{
    heap h = c->options.heap;
    scan_close(&c->scan);
    if (c->replay.fs) {
        inodes_release(&c->fs);
        segments_release(&c->fs);
        space_destroy(&c->fs.space);
        arena_release(&c->fs.arena);
    }
    deallocate(h, c->single, GROUP_BYTES_MOST);
    ranges_release(c, &c->log);
    ranges_release(c, &c->avoid);
}
