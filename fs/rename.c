/* Rename: moves a name, replaces one, or exchanges two.  change.c says how changes go; what Linux
   refuses, and in which order, is renameat2(2)'s. */
#include "fs/checkpoint.h"
#include "fs/log.h"
#include "fs/writeback.h"

struct rename {
    struct filesystem *fs;
    struct inode *from, *to; /* directories */
    const char *from_name, *to_name;
    u64 from_bytes, to_bytes;
    u32 flags;                    /* of the record */
    struct entry *moved, *target; /* target: NULL when there is none */
    struct entry *made;           /* the new name; an exchange needs none */
};

/* In the order in which Linux finds these. */
static status rename_find(struct rename *n, u32 flags)
{
    status s = change_allowed(n->fs);
    if (is_ok(s) && n->to->type != INODE_DIRECTORY)
        s = status_error(ENOTDIR, "fs: not a directory", n->to->number);
    if (is_ok(s))
        s = name_check(n->from, n->from_name, n->from_bytes);
    if (!is_ok(s))
        return s;
    n->moved = entry_find(n->from, n->from_name, n->from_bytes);
    if (!n->moved)
        return status_error(ENOENT, "fs: no such file or directory", n->from->number);
    s = name_check(n->to, n->to_name, n->to_bytes);
    if (!is_ok(s))
        return s;
    n->target = entry_find(n->to, n->to_name, n->to_bytes);
    if (n->target && flags & RENAME_NO_REPLACE)
        return status_error(EEXIST, "fs: the name exists", n->to->number);
    if (!n->target && flags & RENAME_EXCHANGE_NAMES)
        return status_error(ENOENT, "fs: no name to exchange with", n->to->number);
    if (n->target)
        n->flags = flags & RENAME_EXCHANGE_NAMES ? RENAME_RECORD_EXCHANGE : RENAME_RECORD_REPLACE;
    return STATUS_OK;
}

static bool is_directory(const struct entry *e)
{
    return e->inode->type == INODE_DIRECTORY;
}

/* No directory below itself. */
static status rename_check_above(const struct rename *n)
{
    if (is_directory(n->moved) && inode_above(n->moved->inode, n->to))
        return status_error(EINVAL, "fs: a directory would move below itself", n->to->number);
    if (!n->target || !is_directory(n->target) || !inode_above(n->target->inode, n->from))
        return STATUS_OK;
    if (n->flags == RENAME_RECORD_EXCHANGE)
        return status_error(EINVAL, "fs: a directory would move below itself", n->from->number);
    return status_error(ENOTEMPTY, "fs: the directory is not empty", n->target->inode->number);
}

static status rename_check(const struct rename *n)
{
    status s = rename_check_above(n);
    if (!is_ok(s))
        return s;
    if (n->flags != RENAME_RECORD_REPLACE || n->target->inode == n->moved->inode)
        return STATUS_OK;
    const struct inode *gone = n->target->inode;
    if (is_directory(n->moved) && !is_directory(n->target))
        return status_error(ENOTDIR, "fs: a directory would replace a file", gone->number);
    if (!is_directory(n->moved) && is_directory(n->target))
        return status_error(EISDIR, "fs: a file would replace a directory", gone->number);
    if (is_directory(n->target) && gone->entries_live)
        return status_error(ENOTEMPTY, "fs: the directory is not empty", gone->number);
    return STATUS_OK;
}

static u64 rename_bytes(const struct rename *n)
{
    u64 bytes = align_up(sizeof(struct record_rename) + n->from_bytes + n->to_bytes, 8);
    bool replaces = n->target && n->flags == RENAME_RECORD_REPLACE;
    return bytes + (replaces ? name_gone_bytes(n->target->inode) : 0);
}

static status rename_secure(struct rename *n)
{
    status s = inode_dirty(n->from);
    if (is_ok(s))
        s = inode_dirty(n->to);
    if (is_ok(s))
        s = inode_dirty(n->moved->inode);
    if (is_ok(s) && n->flags == RENAME_RECORD_REPLACE)
        s = name_gone_secure(n->target->inode);
    if (is_ok(s) && n->flags == RENAME_RECORD_EXCHANGE)
        s = inode_dirty(n->target->inode);
    if (is_ok(s) && n->flags != RENAME_RECORD_EXCHANGE)
        s = entry_prepare(n->to, n->to_name, n->to_bytes, &n->made);
    if (!is_ok(s))
        return s;
    /* What only becomes shorter must be possible on a full disk. */
    bool grows = !n->target && n->to_bytes > n->from_bytes;
    s = log_begin(n->fs, rename_bytes(n), grows ? LOG_GROWS : LOG_SHRINKS);
    if (!is_ok(s) && n->made)
        entry_discard(n->made);
    return s;
}

static void rename_log(const struct rename *n)
{
    checkpoint_before_entry(n->moved);
    if (n->target)
        checkpoint_before_entry(n->target);
    struct record_rename r = {.from_directory = n->from->number,
                              .to_directory = n->to->number,
                              .from_bytes = (u16)n->from_bytes,
                              .to_bytes = (u16)n->to_bytes,
                              .flags = n->flags};
    log_record(n->fs, &r.r, sizeof(r), RECORD_RENAME, n->from_name, n->from_bytes, n->to_name,
               n->to_bytes);
    if (n->flags == RENAME_RECORD_REPLACE)
        name_gone_log(n->target->inode);
    log_end(n->fs);
}

/* The names stay where they are and lead to each other's inodes. */
static void rename_exchange(const struct rename *n)
{
    struct inode *a = n->moved->inode, *b = n->target->inode;
    bool a_directory = a->type == INODE_DIRECTORY, b_directory = b->type == INODE_DIRECTORY;
    n->moved->inode = b;
    n->target->inode = a;
    n->from->subdirectories += b_directory - a_directory;
    n->to->subdirectories += a_directory - b_directory;
    a->entry = n->target;
    b->entry = n->moved;
}

static void rename_touch(const struct rename *n, struct inode *moved)
{
    s64 now = change_time(n->fs, moved->changed_ns);
    directory_touch(n->from, change_time(n->fs, n->from->modified_ns));
    directory_touch(n->to, change_time(n->fs, n->to->modified_ns));
    inode_touch(moved, now);
}

status inode_rename(struct inode *from, const char *from_name, u64 from_bytes, struct inode *to,
                    const char *to_name, u64 to_bytes, u32 flags)
{
    struct rename n = {.fs = from->fs,
                       .from = from,
                       .to = to,
                       .from_name = from_name,
                       .to_name = to_name,
                       .from_bytes = from_bytes,
                       .to_bytes = to_bytes};
    status s = rename_find(&n, flags);
    if (is_ok(s))
        s = rename_check(&n);
    /* Two names of one inode: POSIX wants both left alone. */
    if (!is_ok(s) || (n.target && n.target->inode == n.moved->inode))
        return s;
    if (n.flags == RENAME_RECORD_REPLACE && n.moved->inode->type == INODE_FILE)
        s = data_order(n.moved->inode);
    if (is_ok(s))
        s = rename_secure(&n);
    if (!is_ok(s))
        return s;
    struct inode *moved = n.moved->inode, *other = n.target ? n.target->inode : NULL;
    rename_log(&n);
    if (n.flags == RENAME_RECORD_EXCHANGE) {
        rename_exchange(&n);
        inode_touch(other, change_time(n.fs, other->changed_ns));
    } else {
        entry_attach(n.made, moved); /* first: its place has been secured */
        entry_unlink(n.moved);
        if (other)
            entry_unlink(n.target);
    }
    rename_touch(&n, moved);
    if (other && n.flags == RENAME_RECORD_REPLACE)
        name_gone(other, change_time(n.fs, other->changed_ns));
    return STATUS_OK;
}
