/* What a checkpoint says: the records of the state at its cut.  FORMAT.md, section 9.

   One walk through all inodes says what nobody changed before it came there: first names,
   with their inodes, then extents.  What is changed before is said first (checkpoint.h), so what
   the walk finds unsaid is as it was at the cut.  An inode is said before its names and extents, a
   directory's name before those in it; both walk and changes come through the functions here. */
#include "fs/checkpoint_state.h"

/* An inode's first extents come with it: whoever replays has it at hand. */
#define EXTENTS_AT_ONCE 8u
/* Names of directories above that are remembered at once; longer ways are gone several times. */
#define NAMES_ABOVE 64u

/* --- records ---------------------------------------------------------------------------------- */

static void say(struct checkpoint *c, u16 type, const struct record_parts *p)
{
    u64 length = record_length(p->fixed_bytes + p->text_bytes + p->more_bytes);
    if (!is_ok(c->failure))
        return;
    bool full = c->stream.open && c->stream.open->records &&
                c->stream.open->bytes + length > c->group_bytes;
    if (full || !stream_has_room(&c->stream, length)) {
        status s = stream_open(&c->stream);
        if (!is_ok(s)) {
            checkpoint_fail(c, s);
            return;
        }
    }
    c->said_bytes += stream_record(&c->stream, type, p);
}

static void say_text(struct checkpoint *c, struct record *fixed, u64 fixed_bytes, u16 type,
                     const void *text, u64 text_bytes)
{
    say(c, type,
        &(struct record_parts){
            .fixed = fixed, .fixed_bytes = fixed_bytes, .text = text, .text_bytes = text_bytes});
}

static void say_fixed(struct checkpoint *c, struct record *fixed, u64 fixed_bytes, u16 type)
{
    say_text(c, fixed, fixed_bytes, type, NULL, 0);
}

static void say_settings(struct checkpoint *c)
{
    for (const struct setting *s = c->fs->settings; s; s = s->next) {
        const char *value = s->text + s->name_bytes + 1;
        struct record_setting r = {.name_bytes = (u16)s->name_bytes,
                                   .operation = SETTING_APPEND,
                                   .value_bytes = (u32)strlen(value)};
        say(c, RECORD_SETTING,
            &(struct record_parts){.fixed = &r.r,
                                   .fixed_bytes = sizeof(r),
                                   .text = s->text,
                                   .text_bytes = s->name_bytes,
                                   .more = value,
                                   .more_bytes = r.value_bytes});
    }
}

static void say_reserves(struct checkpoint *c)
{
    struct range_node *n = range_map_first(&c->fs->space.map);
    u32 left = c->fs->segments->reserves;
    for (; n && left; n = range_map_next(n)) {
        enum space_use use = container_of(n, struct space_node, node)->use;
        if (use != USE_CHECKSUMS && use != USE_OTHER)
            continue;
        struct record_reserve r = {.block = n->r.start,
                                   .blocks = range_length(n->r),
                                   .kind =
                                       use == USE_CHECKSUMS ? RESERVE_CHECKSUMS : RESERVE_OTHER};
        say_fixed(c, &r.r, sizeof(r), RECORD_RESERVE);
        left--;
    }
}

static void say_xattrs(struct checkpoint *c, const struct inode *i)
{
    for (const struct xattr *x = i->xattrs; x; x = x->next) {
        struct record_xattr_set r = {
            .inode = i->number, .name_bytes = x->name_bytes, .value_bytes = x->value_bytes};
        say_text(c, &r.r, sizeof(r), RECORD_XATTR_SET, x->text,
                 (u64)x->name_bytes + x->value_bytes);
    }
}

static void say_extent(struct checkpoint *c, const struct inode *i, struct extent *e)
{
    struct record_map m = {
        .inode = i->number,
        .file_block = e->node.r.start,
        .disk_block = e->disk_block,
        .blocks = (u32)range_length(e->node.r),
        .flags = e->flags,
    };
    if (e->flags & (MAP_SUMS_INLINE | MAP_SUMS_RUN)) {
        m.algorithm = CHECKSUM_XXH64;
        m.checksum_order = BLOCK_ORDER;
    }
    if (e->flags & MAP_SUMS_RUN) {
        m.run_block = e->run_block;
        m.run_index = e->run_index;
    }
    say_text(c, &m.r, sizeof(m), RECORD_MAP, e->sums, e->sums ? m.blocks * sizeof(u32) : 0);
    e->said = c->epoch;
    c->said_extents++;
}

static void say_first_extents(struct checkpoint *c, const struct inode *i)
{
    struct range_node *n = range_map_first(i->extents);
    for (u32 count = 0; n && count < EXTENTS_AT_ONCE; count++, n = range_map_next(n))
        if (extent_of(n)->said != c->epoch)
            say_extent(c, i, extent_of(n));
}

/* The length that the log gives a file: that of its data that is durable. */
static void say_inode(struct checkpoint *c, struct inode *i)
{
    struct record_inode r;
    inode_record(i, &r);
    if (i->type == INODE_FILE && i->live)
        r.bytes = i->live->logged_bytes;
    say_fixed(c, &r.r, sizeof(r), RECORD_INODE);
    i->said = c->epoch;
    c->said_inodes++;
    if (i->type == INODE_SYMLINK) {
        struct record_symlink l = {.inode = i->number, .target_bytes = (u32)i->bytes};
        say_text(c, &l.r, sizeof(l), RECORD_SYMLINK, i->target, i->bytes);
    }
    say_xattrs(c, i);
    if (i->type == INODE_FILE && i->extents)
        say_first_extents(c, i);
}

static void say_inode_once(struct checkpoint *c, struct inode *i)
{
    if (i->said != c->epoch)
        say_inode(c, i);
}

static void say_entry(struct checkpoint *c, struct entry *e)
{
    struct record_link l = {
        .directory = e->directory->number, .inode = e->inode->number, .name_bytes = e->name_bytes};
    say_inode_once(c, e->inode);
    say_text(c, &l.r, sizeof(l), RECORD_LINK, e->name, e->name_bytes);
    e->said = c->epoch;
    c->said_entries++;
}

/* And the names of the directories above it, from the top down. */
static void say_entry_once(struct checkpoint *c, struct entry *e)
{
    struct entry *above[NAMES_ABOVE];
    u8 epoch = c->epoch;
    while (e->said != epoch) {
        u64 n = 0;
        for (struct entry *x = e; x && x->said != epoch; x = x->directory->entry)
            above[n++ % NAMES_ABOVE] = x;
        for (u64 first = n > NAMES_ABOVE ? n - NAMES_ABOVE : 0; n > first; n--)
            say_entry(c, above[(n - 1) % NAMES_ABOVE]);
    }
}

/* --- for those who change something ----------------------------------------------------------- */

void checkpoint_say_inode(struct inode *i)
{
    say_inode(i->fs->checkpoint, i);
}

void checkpoint_say_entry(struct entry *e)
{
    say_entry_once(e->directory->fs->checkpoint, e);
}

void checkpoint_say_extent(struct inode *i, struct extent *e)
{
    struct checkpoint *c = i->fs->checkpoint;
    say_inode_once(c, i);
    if (e->said != c->epoch)
        say_extent(c, i, e);
}

/* --- the walk --------------------------------------------------------------------------------- */

static bool step_over(struct checkpoint *c)
{
    return !is_ok(c->failure) || c->said_bytes >= STEP_BYTES || ++c->looks >= STEP_LOOKS;
}

/* False: not all of it. */
static bool walk_entries(struct checkpoint *c, struct inode *directory)
{
    struct checkpoint_walk *w = &c->walk;
    for (; w->at < directory->places; w->at++) {
        if (step_over(c))
            return false;
        struct entry *e = directory->entries[w->at];
        if (e)
            say_entry_once(c, e);
    }
    return true;
}

static bool walk_extents(struct checkpoint *c, struct inode *i)
{
    struct checkpoint_walk *w = &c->walk;
    struct range_node *n = range_map_lookup_at_or_next(i->extents, w->at);
    for (; n; n = range_map_next(n)) {
        w->at = n->r.start;
        if (step_over(c))
            return false;
        if (extent_of(n)->said != c->epoch)
            say_extent(c, i, extent_of(n));
    }
    return true;
}

static bool walk_inode(struct checkpoint *c, struct inode *i)
{
    if (c->walk.part == PART_EXTENTS)
        return i->type != INODE_FILE || !i->extents || walk_extents(c, i);
    if (i->links == 0)
        say_inode_once(c, i);
    return i->type != INODE_DIRECTORY || walk_entries(c, i);
}

/* The inodes from the one that was left on. */
static bool walk_inodes(struct checkpoint *c)
{
    struct checkpoint_walk *w = &c->walk;
    for (struct inode *i; (i = inode_next(c->fs, w->number)); w->number++) {
        if (i->number != w->number)
            w->at = 0;
        w->number = i->number;
        if (step_over(c) || !walk_inode(c, i))
            return false;
        w->at = 0;
    }
    w->number = 0;
    return true;
}

bool checkpoint_say_more(struct checkpoint *c)
{
    struct checkpoint_walk *w = &c->walk;
    c->said_bytes = c->looks = 0;
    for (; w->part < PART_END; w->part++)
        if (!walk_inodes(c))
            return false;
    if (c->said_inodes != c->inodes || c->said_entries != c->counts.entries ||
        c->said_extents != c->counts.extents) {
        checkpoint_fail(
            c, status_error(EIO, "fs: a checkpoint does not say everything", c->said_inodes));
        return false;
    }
    struct record_checkpoint_end end = c->counts;
    say_fixed(c, &end.r, sizeof(end), RECORD_CHECKPOINT_END);
    return is_ok(c->failure);
}

void checkpoint_say_begin(struct checkpoint *c)
{
    struct filesystem *fs = c->fs;
    c->inodes = fs->inodes;
    c->counts = (struct record_checkpoint_end){.generation = fs->super.generation + 1,
                                               .inodes = fs->linked,
                                               .entries = fs->entries,
                                               .extents = fs->extents,
                                               .next_inode = fs->next_inode};
    struct record_checkpoint begin = {.generation = c->counts.generation,
                                      .inodes = c->counts.inodes,
                                      .entries = c->counts.entries,
                                      .extents = c->counts.extents};
    say_fixed(c, &begin.r, sizeof(begin), RECORD_CHECKPOINT_BEGIN);
    say_settings(c);
    say_reserves(c);
    say_inode(c, fs->root);
}

/* --- epochs ----------------------------------------------------------------------------------- */

static void said_clear(struct inode *i)
{
    i->said = 0;
    if (i->type == INODE_FILE && i->extents)
        for (struct range_node *n = range_map_first(i->extents); n; n = range_map_next(n))
            extent_of(n)->said = 0;
    for (u32 place = 0; i->type == INODE_DIRECTORY && place < i->places; place++)
        if (i->entries[place])
            i->entries[place]->said = 0;
}

/* Only after 254 compactions in a row without a result does something have every number. */
static void said_clear_all(struct filesystem *fs)
{
    for (struct inode *i = inode_next(fs, 0); i; i = inode_next(fs, i->number + 1))
        said_clear(i);
}

u8 checkpoint_epoch_next(struct filesystem *fs)
{
    struct segments *s = fs->segments;
    s->epoch = s->epoch == 255 ? 1 : (u8)(s->epoch + 1);
    if (s->epoch == s->epoch_whole) {
        said_clear_all(fs);
        s->epoch_whole = 0;
    }
    return s->epoch;
}
