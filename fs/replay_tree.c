/* Replay of the records of inodes, names and extents: FORMAT.md, section 5, one function a record.
   Each checks its rules and then changes the state in memory. */
#include "fs/internal.h"

static status inode_number_unknown(u64 number)
{
    return status_error(EBADMSG, "fs: damaged: the log names an inode that is not there", number);
}

/* Sets a file's length and unmaps what lies wholly behind it, be that behind the old end too. */
static status file_truncated(struct inode *i, u64 bytes)
{
    u64 blocks = (bytes + BLOCK_BYTES - 1) >> BLOCK_ORDER;
    if (bytes > FILE_BYTES_MOST)
        return status_error(EBADMSG, "fs: damaged: a file of impossible length", i->number);
    i->bytes = bytes;
    return extent_unmap(i, range_of(blocks, FILE_BLOCKS_MOST));
}

/* As attributes have it: only a smaller length unmaps. */
static inline status file_resize(struct inode *i, u64 bytes)
{
    if (bytes < i->bytes || bytes > FILE_BYTES_MOST)
        return file_truncated(i, bytes);
    i->bytes = bytes;
    return STATUS_OK;
}

static inline status inode_replay_new(struct filesystem *fs, const struct record_inode *n,
                                      struct inode **created)
{
    bool root = n->number == INODE_ROOT;
    if (n->number == 0 || n->number > INODE_NUMBER_MOST || root != (fs->root == NULL) ||
        (root && n->type != INODE_DIRECTORY))
        return status_error(EBADMSG, "fs: damaged: an impossible inode number", n->number);
    struct inode *i = inode_make(fs, n->number, n->type);
    if (!i)
        return status_error(ENOMEM, "fs: no memory for an inode", n->number);
    if (root) {
        fs->root = i;
        fs->linked++;
    }
    fs->next_inode = max(fs->next_inode, n->number + 1);
    *created = i;
    return STATUS_OK;
}

REPLAY_CODE status replay_inode(struct replay *r, const struct record *record)
{
    const struct record_inode *n = (const struct record_inode *)record;
    if (!inode_type_known(n->type))
        return status_error(EINVAL, "fs: an inode of an unknown type", n->number);
    if (n->mode > 07777 || (n->type != INODE_FILE && n->bytes))
        return status_error(EBADMSG, "fs: damaged: an inode with impossible attributes", n->number);
    struct inode *i = inode_find(r->fs, n->number);
    if (!i) {
        status created = inode_replay_new(r->fs, n, &i);
        if (!is_ok(created))
            return created;
        r->made = i;
    }
    if (i->type != n->type)
        return status_error(EBADMSG, "fs: damaged: an inode changes its type", n->number);
    i->mode = n->mode;
    i->uid = n->uid;
    i->gid = n->gid;
    i->accessed_ns = n->accessed_ns;
    i->modified_ns = n->modified_ns;
    i->changed_ns = n->changed_ns;
    i->created_ns = n->created_ns;
    return n->type == INODE_FILE ? file_resize(i, n->bytes) : STATUS_OK;
}

/* LINK and UNLINK have the same form. */
static inline bool link_whole(const struct record_link *l)
{
    return sizeof(*l) + l->name_bytes <= l->r.length;
}

static status name_impossible(const struct record_link *l)
{
    return status_error(EBADMSG, "fs: damaged: an impossible name", l->directory);
}

static status link_failed(const struct record_link *l, status linked)
{
    if (status_errno(linked) == EINVAL)
        return name_impossible(l);
    if (status_errno(linked) == EEXIST)
        return status_error(EBADMSG, "fs: damaged: the same name twice in a directory",
                            l->directory);
    return linked;
}

REPLAY_CODE status replay_link(struct replay *r, const struct record *record)
{
    const struct record_link *l = (const struct record_link *)record;
    if (!link_whole(l))
        return name_impossible(l);
    struct inode *directory = r->directory, *i = r->made;
    if (!directory || directory->number != l->directory)
        r->directory = directory = inode_find(r->fs, l->directory);
    if (!i || i->number != l->inode)
        i = inode_find(r->fs, l->inode);
    if (!directory_attached(directory))
        return status_error(EBADMSG, "fs: damaged: a name in what is no directory", l->directory);
    if (!i)
        return inode_number_unknown(l->inode);
    if (i->type == INODE_DIRECTORY && directory_attached(i))
        return status_error(EBADMSG, "fs: damaged: a directory with two names", l->inode);
    if (i->type == INODE_SYMLINK && !i->target)
        return status_error(EBADMSG, "fs: damaged: a symbolic link without a target", l->inode);
    status linked = entry_link(directory, i, l->name, l->name_bytes);
    return likely(is_ok(linked)) ? linked : link_failed(l, linked);
}

status replay_unlink(struct replay *r, const struct record *record)
{
    const struct record_link *l = (const struct record_link *)record;
    if (!link_whole(l) || !name_valid(l->name, l->name_bytes))
        return name_impossible(l);
    struct inode *directory = inode_find(r->fs, l->directory);
    struct entry *e =
        directory_attached(directory) ? entry_find(directory, l->name, l->name_bytes) : NULL;
    if (!e || e->inode->number != l->inode)
        return status_error(EBADMSG, "fs: damaged: a name is removed that is not there",
                            l->directory);
    if (e->inode->type == INODE_DIRECTORY && e->inode->entries_live)
        return status_error(EBADMSG, "fs: damaged: a directory is removed that is not empty",
                            l->inode);
    entry_unlink(e);
    return STATUS_OK;
}

struct rename {
    struct inode *from, *to;
    const char *from_name, *to_name;
    struct entry *moved, *target; /* target: NULL when there is none */
};

static status rename_check(const struct record_rename *n, const struct rename *m)
{
    bool exchange = n->flags == RENAME_RECORD_EXCHANGE;
    if (n->flags > RENAME_RECORD_REPLACE || !m->moved || (n->flags != 0) != (m->target != NULL) ||
        m->moved == m->target)
        return status_error(EBADMSG, "fs: damaged: a rename of names that are not so",
                            n->from_directory);
    struct inode *i = m->moved->inode, *gone = m->target ? m->target->inode : NULL;
    bool directory = i->type == INODE_DIRECTORY;
    if ((directory && inode_above(i, m->to)) ||
        (exchange && gone->type == INODE_DIRECTORY && inode_above(gone, m->from)))
        return status_error(EBADMSG, "fs: damaged: a directory moves below itself", i->number);
    if (gone && !exchange &&
        ((gone->type == INODE_DIRECTORY) != directory || (directory && gone->entries_live)))
        return status_error(EBADMSG, "fs: damaged: a rename replaces what it may not",
                            gone->number);
    return STATUS_OK;
}

status replay_rename(struct replay *r, const struct record *record)
{
    const struct record_rename *n = (const struct record_rename *)record;
    struct rename m = {.from = inode_find(r->fs, n->from_directory),
                       .to = inode_find(r->fs, n->to_directory),
                       .from_name = n->names,
                       .to_name = n->names + n->from_bytes};
    if (sizeof(*n) + n->from_bytes + n->to_bytes > n->r.length ||
        !name_valid(m.from_name, n->from_bytes) || !name_valid(m.to_name, n->to_bytes))
        return status_error(EBADMSG, "fs: damaged: an impossible name", n->from_directory);
    if (!directory_attached(m.from) || !directory_attached(m.to))
        return status_error(EBADMSG, "fs: damaged: a name in what is no directory",
                            n->to_directory);
    m.moved = entry_find(m.from, m.from_name, n->from_bytes);
    m.target = entry_find(m.to, m.to_name, n->to_bytes);
    status s = rename_check(n, &m);
    if (!is_ok(s))
        return s;
    struct inode *i = m.moved->inode, *other = m.target ? m.target->inode : NULL;
    entry_unlink(m.moved);
    if (other)
        entry_unlink(m.target);
    s = entry_link(m.to, i, m.to_name, n->to_bytes);
    if (is_ok(s) && n->flags == RENAME_RECORD_EXCHANGE)
        s = entry_link(m.from, other, m.from_name, n->from_bytes);
    return s;
}

status replay_symlink(struct replay *r, const struct record *record)
{
    const struct record_symlink *l = (const struct record_symlink *)record;
    struct inode *i = inode_find(r->fs, l->inode);
    if (!i)
        return inode_number_unknown(l->inode);
    if (i->type != INODE_SYMLINK || i->target || l->target_bytes == 0 ||
        l->target_bytes > TARGET_BYTES_MOST || sizeof(*l) + l->target_bytes > record->length)
        return status_error(EBADMSG, "fs: damaged: an impossible symbolic link", l->inode);
    for (u32 at = 0; at < l->target_bytes; at++)
        if (l->target[at] == 0)
            return status_error(EBADMSG, "fs: damaged: a symbolic link with a zero byte", l->inode);
    char *target = arena_allocate(&r->fs->arena, l->target_bytes);
    if (!target)
        return status_error(ENOMEM, "fs: no memory for a symbolic link", l->inode);
    memcpy(target, l->target, l->target_bytes);
    i->target = target;
    i->bytes = l->target_bytes;
    r->fs->text_bytes += symlink_record_bytes(i->bytes);
    return STATUS_OK;
}

static status file_find(struct replay *r, u64 number, struct inode **found)
{
    *found = inode_find(r->fs, number);
    if (!*found)
        return inode_number_unknown(number);
    if ((*found)->type != INODE_FILE)
        return status_error(EBADMSG, "fs: damaged: data in what is no file", number);
    return STATUS_OK;
}

status replay_map(struct replay *r, const struct record *record)
{
    const struct record_map *m = (const struct record_map *)record;
    struct inode *i;
    status s = file_find(r, m->inode, &i);
    if (is_ok(s))
        s = extent_map(i, m);
    if (is_ok(s) && r->ended) /* a checkpoint's are joined already, and it has counted them */
        extent_join(i, m->file_block);
    return s;
}

status replay_unmap(struct replay *r, const struct record *record)
{
    const struct record_unmap *u = (const struct record_unmap *)record;
    struct inode *i;
    status s = file_find(r, u->inode, &i);
    if (!is_ok(s))
        return s;
    if (u->file_block >= FILE_BLOCKS_MOST || u->blocks > FILE_BLOCKS_MOST - u->file_block)
        return status_error(EBADMSG, "fs: damaged: an impossible hole", u->inode);
    return extent_unmap(i, range_of(u->file_block, u->file_block + u->blocks));
}

status replay_truncate(struct replay *r, const struct record *record)
{
    const struct record_truncate *t = (const struct record_truncate *)record;
    struct inode *i;
    status s = file_find(r, t->inode, &i);
    if (!is_ok(s))
        return s;
    i->modified_ns = i->changed_ns = t->modified_ns;
    return file_truncated(i, t->bytes);
}

status replay_xattr_set(struct replay *r, const struct record *record)
{
    const struct record_xattr_set *x = (const struct record_xattr_set *)record;
    struct inode *i = inode_find(r->fs, x->inode);
    u64 text = (u64)x->name_bytes + x->value_bytes;
    if (!i)
        return inode_number_unknown(x->inode);
    if (x->name_bytes == 0 || x->name_bytes > NAME_BYTES_MOST ||
        x->value_bytes > XATTR_VALUE_MOST || sizeof(*x) + text > record->length)
        return status_error(EBADMSG, "fs: damaged: an impossible extended attribute", x->inode);
    struct xattr *before = xattr_find(i, x->text, x->name_bytes);
    if (!before && xattr_count(i) >= XATTRS_MOST)
        return status_error(EBADMSG, "fs: damaged: an inode with too many extended attributes",
                            x->inode);
    struct xattr *made =
        xattr_make(r->fs, x->text, x->name_bytes, x->text + x->name_bytes, x->value_bytes);
    if (!made)
        return status_error(ENOMEM, "fs: no memory for an extended attribute", x->inode);
    if (before)
        xattr_discard(i, before);
    xattr_attach(i, made);
    return STATUS_OK;
}

status replay_xattr_remove(struct replay *r, const struct record *record)
{
    const struct record_xattr_remove *x = (const struct record_xattr_remove *)record;
    struct inode *i = inode_find(r->fs, x->inode);
    if (!i)
        return inode_number_unknown(x->inode);
    struct xattr *gone = NULL;
    if (sizeof(*x) + x->name_bytes <= record->length)
        gone = xattr_find(i, x->name, x->name_bytes);
    if (!gone)
        return status_error(
            EBADMSG, "fs: damaged: an extended attribute is removed that is not there", x->inode);
    xattr_discard(i, gone);
    return STATUS_OK;
}

status replay_forget(struct replay *r, const struct record *record)
{
    const struct record_forget *f = (const struct record_forget *)record;
    struct inode *i = inode_find(r->fs, f->inode);
    if (!i)
        return inode_number_unknown(f->inode);
    if (i->links || i == r->fs->root)
        return status_error(EBADMSG, "fs: damaged: an inode is forgotten that has a name",
                            f->inode);
    if (i->type == INODE_FILE) {
        status s = extent_unmap(i, range_of(0, FILE_BLOCKS_MOST));
        if (!is_ok(s))
            return s;
    }
    inode_forget(r->fs, i);
    r->directory = r->made = NULL;
    return STATUS_OK;
}
