/* Replay: applies the records of a group to the filesystem in memory.

   The group's CRC, sequence and place were checked by mount.c; here every record is checked
   against the rules of FORMAT.md, section 5, before anything is done with it.  A record that breaks
   one is EBADMSG (damage), one that asks for what version 1 does not know is EINVAL; then the mount
   has failed and the state is thrown away, so nothing is undone. */
#include "fs/segment.h"

static status replay_segment(struct replay *r, const struct record *record)
{
    const struct record_segment *s = (const struct record_segment *)record;
    if (!r->segment_expected || s->number != r->sequence || s->block != r->segment_block ||
        s->blocks != r->segment_blocks)
        return status_error(EBADMSG, "fs: damaged: a log segment that is not the expected one",
                            s->block);
    r->segment_expected = false;
    return STATUS_OK;
}

static status replay_next(struct replay *r, const struct record *record)
{
    const struct record_next *n = (const struct record_next *)record;
    if (n->blocks < SEGMENT_BLOCKS_MIN || n->blocks > SEGMENT_BLOCKS_MOST || n->block == 0 ||
        n->sequence <= r->sequence || n->sequence >= SEQUENCE_END)
        return status_error(EBADMSG, "fs: damaged: the next log segment is impossible", n->block);
    status taken = space_take(&r->fs->space, n->block, n->blocks, USE_LOG);
    if (is_ok(taken))
        taken = segment_chain_add(r->fs, n->block, n->blocks);
    if (!is_ok(taken))
        return taken;
    r->next_block = n->block;
    r->next_blocks = n->blocks;
    r->next_sequence = n->sequence;
    return STATUS_OK;
}

static status replay_begin(struct replay *r, const struct record *record)
{
    const struct record_checkpoint *c = (const struct record_checkpoint *)record;
    if (r->begun)
        return status_error(EBADMSG, "fs: damaged: a second checkpoint begins", c->generation);
    r->begun = true;
    r->generation = c->generation;
    return STATUS_OK;
}

static status replay_end(struct replay *r, const struct record *record)
{
    const struct record_checkpoint_end *c = (const struct record_checkpoint_end *)record;
    const struct filesystem *fs = r->fs;
    if (r->ended || c->generation != r->generation)
        return status_error(EBADMSG, "fs: damaged: a checkpoint ends that did not begin",
                            c->generation);
    if (!fs->root || c->inodes != fs->linked || c->entries != fs->entries ||
        c->extents != fs->extents)
        return status_error(EBADMSG, "fs: damaged: a checkpoint's counts are wrong", fs->linked);
    r->fs->next_inode = max(fs->next_inode, c->next_inode);
    r->ended = true;
    return STATUS_OK;
}

static void settings_remove(struct filesystem *fs, const char *name, u32 bytes)
{
    struct setting **link = &fs->settings;
    fs->settings_last = NULL;
    while (*link) {
        struct setting *s = *link;
        if (s->name_bytes == bytes && memcmp(s->text, name, bytes) == 0) {
            *link = s->next;
        } else {
            fs->settings_last = s;
            link = &s->next;
        }
    }
}

static status replay_setting(struct replay *r, const struct record *record)
{
    const struct record_setting *s = (const struct record_setting *)record;
    struct filesystem *fs = r->fs;
    u64 name = s->name_bytes, value = s->value_bytes;
    if (name == 0 || name > SETTING_NAME_MOST || value > SETTING_VALUE_MOST ||
        sizeof(*s) + name + value > record->length || s->operation < SETTING_APPEND ||
        s->operation > SETTING_REMOVE)
        return status_error(EBADMSG, "fs: damaged: a setting of impossible length", value);
    for (u64 at = 0; at < name + value; at++)
        if (s->text[at] == 0)
            return status_error(EBADMSG, "fs: damaged: a setting with a zero byte", at);
    if (s->operation == SETTING_REMOVE) {
        settings_remove(fs, s->text, s->name_bytes);
        return STATUS_OK;
    }
    struct setting *made = arena_allocate(&fs->arena, sizeof(*made) + name + value + 2);
    if (!made)
        return status_error(ENOMEM, "fs: no memory for a setting", value);
    made->next = NULL;
    made->name_bytes = s->name_bytes;
    memcpy(made->text, s->text, name);
    made->text[name] = 0;
    memcpy(made->text + name + 1, s->text + name, value);
    made->text[name + 1 + value] = 0;
    *(fs->settings_last ? &fs->settings_last->next : &fs->settings) = made;
    fs->settings_last = made;
    return STATUS_OK;
}

static status reserve_use(const struct record_reserve *r, enum space_use *use)
{
    if (r->kind != RESERVE_CHECKSUMS && r->kind != RESERVE_OTHER)
        return status_error(EINVAL, "fs: blocks reserved for an unknown use", r->kind);
    *use = r->kind == RESERVE_CHECKSUMS ? USE_CHECKSUMS : USE_OTHER;
    return STATUS_OK;
}

static status replay_reserve(struct replay *r, const struct record *record)
{
    const struct record_reserve *reserve = (const struct record_reserve *)record;
    enum space_use use = USE_OTHER;
    status s = reserve_use(reserve, &use);
    return is_ok(s) ? space_take(&r->fs->space, reserve->block, reserve->blocks, use) : s;
}

static status replay_release(struct replay *r, const struct record *record)
{
    const struct record_reserve *release = (const struct record_reserve *)record;
    enum space_use use = USE_OTHER;
    status s = reserve_use(release, &use);
    if (is_ok(s))
        s = space_give(&r->fs->space, release->block, release->blocks, use);
    if (is_ok(s) && use == USE_CHECKSUMS &&
        sums_named(r->fs, range_of(release->block, release->block + release->blocks)))
        s = status_error(EBADMSG, "fs: damaged: checksums released that are needed",
                         release->block);
    return s;
}

/* What to do with a record, and how long its fixed part is. */
static const struct {
    status (*replay)(struct replay *r, const struct record *record);
    u32 bytes;
} record_types[RECORD_TYPES] = {
    [RECORD_SEGMENT] = {replay_segment, sizeof(struct record_segment)},
    [RECORD_NEXT] = {replay_next, sizeof(struct record_next)},
    [RECORD_CHECKPOINT_BEGIN] = {replay_begin, sizeof(struct record_checkpoint)},
    [RECORD_CHECKPOINT_END] = {replay_end, sizeof(struct record_checkpoint_end)},
    [RECORD_SETTING] = {replay_setting, sizeof(struct record_setting)},
    [RECORD_INODE] = {replay_inode, sizeof(struct record_inode)},
    [RECORD_LINK] = {replay_link, sizeof(struct record_link)},
    [RECORD_UNLINK] = {replay_unlink, sizeof(struct record_link)},
    [RECORD_RENAME] = {replay_rename, sizeof(struct record_rename)},
    [RECORD_SYMLINK] = {replay_symlink, sizeof(struct record_symlink)},
    [RECORD_MAP] = {replay_map, sizeof(struct record_map)},
    [RECORD_UNMAP] = {replay_unmap, sizeof(struct record_unmap)},
    [RECORD_TRUNCATE] = {replay_truncate, sizeof(struct record_truncate)},
    [RECORD_XATTR_SET] = {replay_xattr_set, sizeof(struct record_xattr_set)},
    [RECORD_XATTR_REMOVE] = {replay_xattr_remove, sizeof(struct record_xattr_remove)},
    [RECORD_RESERVE] = {replay_reserve, sizeof(struct record_reserve)},
    [RECORD_RELEASE] = {replay_release, sizeof(struct record_reserve)},
    [RECORD_FORGET] = {replay_forget, sizeof(struct record_forget)},
};

/* Where in a group a record may stand: first, second, last or anywhere. */
static status record_place_check(const struct replay *r, const struct record *record, bool last)
{
    if (r->segment_expected && record->type != RECORD_SEGMENT)
        return status_error(EBADMSG, "fs: damaged: a log segment without its first record",
                            r->segment_block);
    if (!r->begun && record->type != RECORD_SEGMENT && record->type != RECORD_CHECKPOINT_BEGIN)
        return status_error(EBADMSG, "fs: damaged: the log does not begin with a checkpoint",
                            record->type);
    if (!last && (record->type == RECORD_NEXT || record->type == RECORD_CHECKPOINT_END))
        return status_error(EBADMSG, "fs: damaged: a last record with others behind it",
                            record->type);
    return STATUS_OK;
}

static __attribute__((noinline)) status replay_record(struct replay *r, const struct record *record,
                                                      bool last)
{
    if (record->flags & ~RECORD_MAY_IGNORE)
        return status_error(EINVAL, "fs: a log record with unknown flags", record->flags);
    status placed = record_place_check(r, record, last);
    if (!is_ok(placed))
        return placed;
    if (record->type >= RECORD_TYPES || !record_types[record->type].replay) {
        if (record->flags & RECORD_MAY_IGNORE)
            return STATUS_OK;
        return status_error(EINVAL, "fs: a log record of an unknown type", record->type);
    }
    if (record->length < record_types[record->type].bytes)
        return status_error(EBADMSG, "fs: damaged: a log record that is too short", record->type);
    return record_types[record->type].replay(r, record);
}

/* One of the two types that a checkpoint mostly has, with nothing wrong that replay_record would
   see: these need no look into the table. */
static inline bool record_is_plain(const struct replay *r, const struct record *record,
                                   enum record_type type, u32 bytes)
{
    return record->type == type && record->flags == 0 && r->begun && !r->segment_expected &&
           record->length >= bytes;
}

REPLAY_CODE status replay_group(struct replay *r, const struct group *g)
{
    const u8 *at = (const u8 *)(g + 1), *end = (const u8 *)g + g->length;
    r->sequence = g->sequence;
    for (u32 count = 0; count < g->records; count++) {
        const struct record *record = (const struct record *)at;
        u64 left = (u64)(end - at);
        if (left < sizeof(*record) || record->length < sizeof(*record) || record->length > left ||
            record->length % 8)
            return status_error(EBADMSG, "fs: damaged: a log record of impossible length",
                                g->sequence);
        status s = record_is_plain(r, record, RECORD_INODE, sizeof(struct record_inode))
                       ? replay_inode(r, record)
                   : record_is_plain(r, record, RECORD_LINK, sizeof(struct record_link))
                       ? replay_link(r, record)
                       : replay_record(r, record, record->length == left);
        if (!is_ok(s))
            return s;
        at += record->length;
    }
    if (at != end)
        return status_error(EBADMSG, "fs: damaged: a log group with the wrong number of records",
                            g->sequence);
    return STATUS_OK;
}

/* Unlinked while it was open, when the power was cut.  Its blocks are the log's until a FORGET is
   logged, with the first commit; who only reads drops it. */
static status orphan_found(struct filesystem *fs, struct inode *i)
{
    if (fs->writable) {
        struct inode_live *l = inode_live(i);
        if (!l)
            return status_error(ENOMEM, "fs: no memory for a removed file", i->number);
        l->orphan_next = fs->orphans;
        fs->orphans = l;
        return STATUS_OK;
    }
    if (i->type == INODE_FILE) {
        status s = extent_unmap(i, range_of(0, FILE_BLOCKS_MOST));
        if (!is_ok(s))
            return s;
    }
    inode_forget(fs, i);
    return STATUS_OK;
}

status replay_finish(struct replay *r)
{
    struct filesystem *fs = r->fs;
    if (!r->ended)
        return status_error(EBADMSG, "fs: damaged: the checkpoint has no end", fs->linked);
    u64 orphans = fs->inodes - fs->linked;
    for (u64 number = INODE_ROOT + 1; orphans; orphans--) {
        struct inode *i = inode_next(fs, number);
        while (i->links)
            i = inode_next(fs, i->number + 1);
        number = i->number + 1;
        status s = orphan_found(fs, i);
        if (!is_ok(s))
            return s;
    }
    return STATUS_OK;
}
