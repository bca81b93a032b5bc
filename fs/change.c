/* Changes of names and attributes: create, link, unlink, attributes, and the end of an inode.
   unix/ is the caller; rename.c has the moves and xattr.c the extended attributes.

   Each call goes in four steps: what Linux would refuse is refused; memory, the room for attributes
   that a commit will write, and the log's room are secured; the records are logged; memory changes,
   which cannot fail any more.  Who gets as far as log_begin and is refused there leaves behind at
   most a directory that counts as dirty, which is harmless.

   Times follow Linux: a name that comes or goes changes its directory (mtime and ctime) and its
   inode (ctime).  Directories and inodes that exist already are written by the next commit
   (inode_dirty); a new inode's record is logged at once.

   An inode ends when its last name and its last hold are gone: its FORGET is in the group of its
   UNLINK, or comes with the last inode_release. */
#include "fs/checkpoint.h"
#include "fs/log.h"
#include "fs/writeback.h"

#define LINKS_MOST        65000u /* names of one inode; as ext4 */
#define RELATIME_AFTER_NS ((s64)(24 * 3600 * NS_PER_SECOND))

status change_allowed(const struct filesystem *fs)
{
    return fs->writable ? STATUS_OK : status_error(EROFS, "fs: nothing can be written", 0);
}

s64 change_time(const struct filesystem *fs, s64 otherwise)
{
    return fs->environment.time_ns ? fs->environment.time_ns() : otherwise;
}

void directory_touch(struct inode *directory, s64 now)
{
    checkpoint_before_inode(directory);
    directory->modified_ns = directory->changed_ns = now;
    directory->live->position = log_position(directory->fs);
}

void inode_touch(struct inode *i, s64 now)
{
    checkpoint_before_inode(i);
    i->changed_ns = now;
    if (i->live)
        i->live->position = log_position(i->fs);
}

/* --- making ----------------------------------------------------------------------------------- */

/* In the order in which Linux finds these. */
status name_check(const struct inode *directory, const char *name, u64 name_bytes)
{
    if (directory->type != INODE_DIRECTORY)
        return status_error(ENOTDIR, "fs: not a directory", directory->number);
    if (!directory_attached(directory))
        return status_error(ENOENT, "fs: the directory has been removed", directory->number);
    if (name_bytes > NAME_BYTES_MOST)
        return status_error(ENAMETOOLONG, "fs: a name of more than 255 bytes", name_bytes);
    if (!name_valid(name, name_bytes))
        return status_error(EINVAL, "fs: an impossible name", directory->number);
    return STATUS_OK;
}

static status name_check_new(struct inode *directory, const char *name, u64 name_bytes)
{
    status s = name_check(directory, name, name_bytes);
    if (!is_ok(s))
        return s;
    if (entry_find(directory, name, name_bytes))
        return status_error(EEXIST, "fs: the name exists", directory->number);
    return change_allowed(directory->fs);
}

struct creation {
    struct filesystem *fs;
    struct inode *directory; /* NULL: without a name */
    const char *name;
    u64 name_bytes;
    enum inode_type type;
    const char *target; /* of a symlink */
    u64 target_bytes;
    const struct inode_initial *initial;
    struct inode *inode;
    struct entry *entry;
};

static u64 creation_bytes(const struct creation *c)
{
    return sizeof(struct record_inode) + (c->target ? symlink_record_bytes(c->target_bytes) : 0) +
           (c->directory ? link_record_bytes(c->name_bytes) : 0);
}

static status creation_inode(struct creation *c)
{
    struct filesystem *fs = c->fs;
    if (fs->next_inode > INODE_NUMBER_MOST)
        return status_error(ENOSPC, "fs: all inode numbers have been used", fs->next_inode);
    struct inode *i = c->inode = inode_make(fs, fs->next_inode, (u8)c->type);
    if (i && c->target)
        i->target = arena_allocate(&fs->arena, c->target_bytes);
    if (!i || (c->target && !i->target))
        return status_error(ENOMEM, "fs: no memory for an inode", fs->next_inode);
    if (c->target) {
        memcpy(i->target, c->target, c->target_bytes);
        i->bytes = c->target_bytes;
        fs->text_bytes += symlink_record_bytes(i->bytes);
    }
    i->mode = c->initial->mode & 07777;
    i->uid = c->initial->uid;
    i->gid = c->initial->gid;
    i->accessed_ns = i->modified_ns = i->changed_ns = i->created_ns = change_time(fs, 0);
    return STATUS_OK;
}

static status creation_secure(struct creation *c)
{
    status s = STATUS_OK;
    if (c->directory) {
        s = inode_dirty(c->directory);
        if (is_ok(s))
            s = entry_prepare(c->directory, c->name, c->name_bytes, &c->entry);
    }
    if (is_ok(s))
        s = creation_inode(c);
    if (is_ok(s) && !c->directory)
        s = orphan_secure(c->inode);
    return is_ok(s) ? log_begin(c->fs, creation_bytes(c), LOG_GROWS) : s;
}

static void creation_undo(struct creation *c)
{
    if (c->entry)
        entry_discard(c->entry);
    if (c->inode)
        inode_forget(c->fs, c->inode);
}

static void creation_log(const struct creation *c)
{
    struct record_inode r;
    inode_record(c->inode, &r);
    log_record(c->fs, &r.r, sizeof(r), RECORD_INODE, NULL, 0, NULL, 0);
    if (c->target) {
        struct record_symlink l = {.inode = r.number, .target_bytes = (u32)c->target_bytes};
        log_record(c->fs, &l.r, sizeof(l), RECORD_SYMLINK, c->target, c->target_bytes, NULL, 0);
    }
    if (c->directory) {
        struct record_link l = {
            .directory = c->directory->number, .inode = r.number, .name_bytes = (u16)c->name_bytes};
        log_record(c->fs, &l.r, sizeof(l), RECORD_LINK, c->name, c->name_bytes, NULL, 0);
    }
    log_end(c->fs);
}

static status create(struct creation *c, struct inode **made)
{
    status s = creation_secure(c);
    if (!is_ok(s)) {
        creation_undo(c);
        return s;
    }
    creation_log(c);
    c->fs->next_inode++;
    if (c->directory) {
        entry_attach(c->entry, c->inode);
        directory_touch(c->directory, c->fs->environment.time_ns ? c->inode->created_ns
                                                                 : c->directory->modified_ns);
    }
    *made = c->inode;
    return STATUS_OK;
}

status inode_create(struct inode *directory, const char *name, u64 name_bytes, enum inode_type type,
                    const struct inode_initial *initial, struct inode **made)
{
    status s = name_check_new(directory, name, name_bytes);
    if (!is_ok(s))
        return s;
    if (type == INODE_SOCKET && !(directory->fs->super.features_incompatible & FEATURE_SOCKETS))
        return status_error(EPERM, "fs: the image knows no sockets", 0);
    struct creation c = {.fs = directory->fs,
                         .directory = directory,
                         .name = name,
                         .name_bytes = name_bytes,
                         .type = type,
                         .initial = initial};
    return create(&c, made);
}

status symlink_create(struct inode *directory, const char *name, u64 name_bytes, const char *target,
                      u64 target_bytes, const struct inode_initial *initial, struct inode **made)
{
    status s = name_check_new(directory, name, name_bytes);
    if (!is_ok(s))
        return s;
    if (target_bytes == 0)
        return status_error(ENOENT, "fs: a symbolic link without a target", 0);
    if (target_bytes > TARGET_BYTES_MOST)
        return status_error(ENAMETOOLONG, "fs: a symbolic link's target is too long", target_bytes);
    struct creation c = {.fs = directory->fs,
                         .directory = directory,
                         .name = name,
                         .name_bytes = name_bytes,
                         .type = INODE_SYMLINK,
                         .target = target,
                         .target_bytes = target_bytes,
                         .initial = initial};
    return create(&c, made);
}

status inode_create_unnamed(struct filesystem *fs, const struct inode_initial *initial,
                            struct inode **made)
{
    status s = change_allowed(fs);
    if (!is_ok(s))
        return s;
    struct creation c = {.fs = fs, .type = INODE_FILE, .initial = initial};
    s = create(&c, made);
    if (is_ok(s)) {
        c.inode->unnamed = 1;
        inode_hold(c.inode);
    }
    return s;
}

void inode_refuse_names(struct inode *unnamed)
{
    assert(unnamed->links == 0);
    unnamed->unnamed = 0;
}

static status link_check(const struct inode *i)
{
    if (i->type == INODE_DIRECTORY)
        return status_error(EPERM, "fs: a second name for a directory", i->number);
    if (i->links == 0 && !i->unnamed)
        return status_error(ENOENT, "fs: the file has been removed", i->number);
    if (i->links >= LINKS_MOST)
        return status_error(EMLINK, "fs: a file with too many names", i->number);
    return STATUS_OK;
}

status inode_link(struct inode *directory, const char *name, u64 name_bytes, struct inode *i)
{
    struct filesystem *fs = directory->fs;
    struct entry *e = NULL;
    status s = name_check_new(directory, name, name_bytes);
    if (is_ok(s))
        s = link_check(i);
    if (is_ok(s))
        s = inode_dirty(directory);
    if (is_ok(s))
        s = inode_dirty(i);
    if (is_ok(s))
        s = entry_prepare(directory, name, name_bytes, &e);
    if (!is_ok(s))
        return s;
    s = log_begin(fs, link_record_bytes(name_bytes), LOG_GROWS);
    if (!is_ok(s)) {
        entry_discard(e);
        return s;
    }
    s64 now = change_time(fs, i->changed_ns);
    checkpoint_before_inode(i);
    struct record_link l = {
        .directory = directory->number, .inode = i->number, .name_bytes = (u16)name_bytes};
    log_record(fs, &l.r, sizeof(l), RECORD_LINK, name, name_bytes, NULL, 0);
    log_end(fs);
    entry_attach(e, i);
    i->unnamed = 0;
    inode_touch(i, now);
    directory_touch(directory, change_time(fs, directory->modified_ns));
    return STATUS_OK;
}

/* --- removing --------------------------------------------------------------------------------- */

status name_gone_secure(struct inode *i)
{
    if (i->links > 1)
        return inode_dirty(i);
    return i->holds ? orphan_secure(i) : change_forget_secure(i);
}

u64 name_gone_bytes(const struct inode *i)
{
    return i->links == 1 && i->holds == 0 ? sizeof(struct record_forget) : 0;
}

void name_gone_log(struct inode *i)
{
    if (name_gone_bytes(i))
        change_forget_log(i);
}

void name_gone(struct inode *i, s64 now)
{
    if (i->links == 0 && i->holds == 0)
        change_forget(i);
    else
        inode_touch(i, now);
}

static status entry_remove(struct entry *e)
{
    struct inode *directory = e->directory, *i = e->inode;
    struct filesystem *fs = directory->fs;
    status s = inode_dirty(directory);
    if (is_ok(s))
        s = name_gone_secure(i);
    if (is_ok(s))
        s = log_begin(fs, link_record_bytes(e->name_bytes) + name_gone_bytes(i), LOG_SHRINKS);
    if (!is_ok(s))
        return s;
    checkpoint_before_inode(i);
    checkpoint_before_entry(e);
    struct record_link l = {
        .directory = directory->number, .inode = i->number, .name_bytes = e->name_bytes};
    log_record(fs, &l.r, sizeof(l), RECORD_UNLINK, e->name, e->name_bytes, NULL, 0);
    name_gone_log(i);
    log_end(fs);
    entry_unlink(e);
    s64 now = change_time(fs, directory->modified_ns);
    directory_touch(directory, now);
    name_gone(i, now);
    return STATUS_OK;
}

static status name_find(struct inode *directory, const char *name, u64 name_bytes,
                        struct entry **found)
{
    status s = change_allowed(directory->fs);
    if (is_ok(s))
        s = name_check(directory, name, name_bytes);
    if (!is_ok(s))
        return s;
    *found = entry_find(directory, name, name_bytes);
    if (!*found)
        return status_error(ENOENT, "fs: no such file or directory", directory->number);
    return STATUS_OK;
}

status inode_unlink(struct inode *directory, const char *name, u64 name_bytes)
{
    struct entry *e;
    status s = name_find(directory, name, name_bytes, &e);
    if (!is_ok(s))
        return s;
    if (e->inode->type == INODE_DIRECTORY)
        return status_error(EISDIR, "fs: a directory", e->inode->number);
    return entry_remove(e);
}

status directory_remove(struct inode *directory, const char *name, u64 name_bytes)
{
    struct entry *e;
    status s = name_find(directory, name, name_bytes, &e);
    if (!is_ok(s))
        return s;
    if (e->inode->type != INODE_DIRECTORY)
        return status_error(ENOTDIR, "fs: not a directory", e->inode->number);
    if (e->inode->entries_live)
        return status_error(ENOTEMPTY, "fs: the directory is not empty", e->inode->number);
    return entry_remove(e);
}

/* --- the end of an inode ---------------------------------------------------------------------- */

status change_forget_secure(struct inode *i)
{
    if (i->type != INODE_FILE || !i->extents)
        return STATUS_OK;
    return space_spare(i->fs, (u32)i->extents->tree.count);
}

void change_forget_log(struct inode *i)
{
    struct record_forget r = {.inode = i->number};
    checkpoint_before_inode(i);
    log_record(i->fs, &r.r, sizeof(r), RECORD_FORGET, NULL, 0, NULL, 0);
}

void change_forget(struct inode *i)
{
    struct filesystem *fs = i->fs;
    if (i->live)
        inode_clean(i);
    if (i->type == INODE_FILE && (i->extents || i->live))
        data_forget(i);
    inode_forget(fs, i);
}

status orphan_secure(struct inode *i)
{
    if (!inode_live(i))
        return status_error(ENOMEM, "fs: no memory for a removed file", i->number);
    return STATUS_OK;
}

/* Its record, and then all of it.  EROFS: nothing is written any more, and who mounts the disk next
   finds an inode without a name and forgets it. */
static status orphan_end(struct inode *i)
{
    struct filesystem *fs = i->fs;
    status s = change_forget_secure(i);
    if (is_ok(s))
        s = log_begin(fs, sizeof(struct record_forget), LOG_SHRINKS);
    if (is_ok(s)) {
        change_forget_log(i);
        log_end(fs);
    } else if (status_errno(s) != EROFS) {
        return s;
    }
    change_forget(i);
    return STATUS_OK;
}

void orphan_forget(struct inode *i)
{
    struct filesystem *fs = i->fs;
    if (i->number <= INODE_ROOT) /* the root, and the checksum blocks: no name, and no end */
        return;
    if (is_ok(orphan_end(i)))
        return;
    struct inode_live *l = i->live;
    assert(l); /* orphan_secure */
    l->orphan_next = fs->orphans;
    fs->orphans = l;
}

void orphans_forget(struct filesystem *fs)
{
    struct inode_live *l;
    while ((l = fs->orphans)) {
        struct inode_live *next = l->orphan_next;
        if (!is_ok(orphan_end(l->inode)))
            return;
        fs->orphans = next;
    }
}

/* --- attributes ------------------------------------------------------------------------------- */

status inode_change(struct inode *i, const struct inode_change *c)
{
    status s = change_allowed(i->fs);
    if (is_ok(s))
        s = inode_dirty(i);
    if (!is_ok(s))
        return s;
    checkpoint_before_inode(i);
    if (c->what & CHANGE_MODE)
        i->mode = c->mode & 07777;
    if (c->what & CHANGE_UID)
        i->uid = c->uid;
    if (c->what & CHANGE_GID)
        i->gid = c->gid;
    if (c->what & CHANGE_ACCESSED)
        i->accessed_ns = c->accessed_ns;
    if (c->what & CHANGE_MODIFIED)
        i->modified_ns = c->modified_ns;
    i->changed_ns = change_time(i->fs, i->changed_ns);
    return STATUS_OK;
}

/* A program that only reads writes nothing to the disk.  So the new time is only in memory, as with
   Linux's lazytime, until something else was changed since mount. */
void inode_accessed(struct inode *i)
{
    struct filesystem *fs = i->fs;
    if (!fs->writable || !fs->environment.time_ns)
        return;
    s64 now = fs->environment.time_ns();
    if (i->accessed_ns > i->modified_ns && i->accessed_ns > i->changed_ns &&
        now - i->accessed_ns < RELATIME_AFTER_NS)
        return;
    if (log_position(fs) && is_ok(inode_dirty(i)))
        checkpoint_before_inode(i);
    i->accessed_ns = now;
}
