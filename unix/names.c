/* The calls that make, move and take away names.  Checks come in Linux's order (fs/namei.c), since
   programs tell ENOENT and EEXIST from EROFS; what the tree itself forbids is said by fs/.

   Each call looks its paths up and makes one change of the filesystem.  When that has to wait for
   room, the whole call starts again. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

/* --- the place of a name ---------------------------------------------------------------------- */

/* A path whose last component need not be there: its text, and the directory above. */
struct name_place {
    struct user_path text;
    struct path_result at;
};

static s64 name_place(struct thread *t, s32 fd, u64 path, struct name_place *to)
{
    struct node start;
    s64 r = user_path_get(t, path, &to->text);
    if (!r)
        r = path_start(t, fd, to->text.text, &start);
    if (!r)
        r = path_walk(t->process, &start, user_path_string(&to->text), WALK_PARENT, &to->at);
    return r;
}

static s64 name_find(struct thread *t, const struct path_result *at, struct node *found)
{
    return node_lookup(t->process, &at->parent, at->last, at->last_bytes, found);
}

/* filename_create: the place of a name that is to be made.  A slash at its end is for directories
   alone. */
static s64 name_new(struct thread *t, s32 fd, u64 path, bool directory, struct name_place *to)
{
    struct node found;
    s64 r = name_place(t, fd, path, to);
    if (r)
        return r;
    if (to->at.type != LAST_NAME)
        return -EEXIST;
    r = name_find(t, &to->at, &found);
    if (!r)
        return -EEXIST;
    if (r != -ENOENT || (to->at.slashes && !directory) || to->at.parent.virtual)
        return r;
    return node_may_change(t->process, &to->at.parent);
}

/* --- new names -------------------------------------------------------------------------------- */

struct inode_initial process_initial(struct process *p, const struct inode *directory, u32 mode)
{
    struct inode_attributes a;
    inode_attributes(directory, &a);
    struct inode_initial initial = {.mode = mode & MODE_MASK & ~p->umask};
    if (a.mode & S_ISGID)
        initial.gid = a.gid;
    return initial;
}

s64 sys_mkdirat(struct thread *t, s32 fd, u64 path, u32 mode)
{
    struct name_place place;
    s64 r = name_new(t, fd, path, true, &place);
    if (r)
        return r;
    struct inode *above = place.at.parent.inode, *made;
    struct inode_initial initial = process_initial(t->process, above, mode & (0777 | S_ISVTX));
    struct inode_attributes a;
    inode_attributes(above, &a);
    initial.mode |= a.mode & S_ISGID;
    return change_result(t, inode_create(above, place.at.last, place.at.last_bytes, INODE_DIRECTORY,
                                         &initial, &made));
}

s64 sys_mkdir(struct thread *t, u64 path, u32 mode)
{
    return sys_mkdirat(t, AT_FDCWD, path, mode);
}

/* Regular files and sockets: the filesystem knows no devices and no FIFOs. */
static s64 mknod_type_check(u32 type)
{
    switch (type) {
    case 0:
    case S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        return 0;
    case S_IFDIR:
        return -EPERM;
    }
    return -EINVAL;
}

s64 sys_mknodat(struct thread *t, s32 fd, u64 path, u32 mode, u64 device)
{
    struct name_place place;
    struct inode *made;
    u32 type = mode & S_IFMT;
    (void)device;
    s64 r = mknod_type_check(type);
    if (!r)
        r = name_new(t, fd, path, false, &place);
    if (r)
        return r;
    if (type && type != S_IFREG && type != S_IFSOCK)
        return -EPERM;
    struct inode *above = place.at.parent.inode;
    struct inode_initial initial = process_initial(t->process, above, mode);
    return change_result(t, inode_create(above, place.at.last, place.at.last_bytes,
                                         type == S_IFSOCK ? INODE_SOCKET : INODE_FILE, &initial,
                                         &made));
}

s64 sys_mknod(struct thread *t, u64 path, u32 mode, u64 device)
{
    return sys_mknodat(t, AT_FDCWD, path, mode, device);
}

s64 sys_symlinkat(struct thread *t, u64 target, s32 fd, u64 path)
{
    struct user_path text;
    struct name_place place;
    struct inode *made;
    s64 r = user_path_get(t, target, &text);
    if (!r)
        r = name_new(t, fd, path, false, &place);
    if (r)
        return r;
    struct inode *above = place.at.parent.inode;
    struct inode_initial initial = process_initial(t->process, above, 0);
    initial.mode = 0777;
    return change_result(t, symlink_create(above, place.at.last, place.at.last_bytes, text.text,
                                           text.bytes, &initial, &made));
}

s64 sys_symlink(struct thread *t, u64 target, u64 path)
{
    return sys_symlinkat(t, target, AT_FDCWD, path);
}

s64 sys_linkat(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path, u32 flags)
{
    struct path_result old;
    struct name_place place;
    if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = path_at(t, old_fd, old_path, flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0,
                    flags & AT_EMPTY_PATH, &old);
    if (!r)
        r = name_new(t, fd, path, false, &place);
    if (r)
        return r;
    if (!old.node.inode)
        return -EXDEV;
    return change_result(
        t, inode_link(place.at.parent.inode, place.at.last, place.at.last_bytes, old.node.inode));
}

s64 sys_link(struct thread *t, u64 old_path, u64 path)
{
    return sys_linkat(t, AT_FDCWD, old_path, AT_FDCWD, path, 0);
}

/* --- names that go away ----------------------------------------------------------------------- */

static s64 rmdir_type_error(enum last_type type)
{
    switch (type) {
    case LAST_NAME:
        return 0;
    case LAST_DOT:
        return -EINVAL;
    case LAST_DOTDOT:
        return -ENOTEMPTY;
    case LAST_ROOT:
        return -EBUSY;
    }
    return -EINVAL;
}

/* The roots of the virtual tree are mounted over directories of the image, which stay. */
static bool node_is_mount_point(const struct path_result *at, const struct node *found)
{
    return at->parent.inode && found->virtual;
}

/* It lives on without a name, and ".." leads where it led. */
static void working_directory_removed(struct process *p, struct inode *above)
{
    inode_hold(above);
    p->files->cwd_above = above;
}

static s64 directory_remove_at(struct thread *t, const struct path_result *at)
{
    struct node found;
    s64 r = rmdir_type_error(at->type);
    if (!r && at->parent.inode)
        r = node_may_change(t->process, &at->parent);
    if (!r)
        r = name_find(t, at, &found);
    if (!r && !node_is_directory(&found))
        r = -ENOTDIR;
    if (!r && node_is_mount_point(at, &found))
        r = -EBUSY;
    if (!r)
        r = node_may_change(t->process, &found);
    if (r)
        return r;
    status s = directory_remove(at->parent.inode, at->last, at->last_bytes);
    if (is_ok(s) && found.inode == t->process->cwd)
        working_directory_removed(t->process, at->parent.inode);
    return change_result(t, s);
}

static s64 file_remove_at(struct thread *t, const struct path_result *at)
{
    struct node found;
    s64 r = at->type == LAST_NAME ? 0 : -EISDIR;
    if (!r && at->parent.inode)
        r = node_may_change(t->process, &at->parent);
    if (!r)
        r = name_find(t, at, &found);
    if (!r && node_is_directory(&found))
        r = -EISDIR;
    if (!r && at->slashes)
        r = -ENOTDIR;
    if (!r)
        r = node_may_change(t->process, &found);
    if (r)
        return r;
    return change_result(t, inode_unlink(at->parent.inode, at->last, at->last_bytes));
}

s64 sys_unlinkat(struct thread *t, s32 fd, u64 path, u32 flags)
{
    struct name_place place;
    if (flags & ~(u32)AT_REMOVEDIR)
        return -EINVAL;
    s64 r = name_place(t, fd, path, &place);
    if (r)
        return r;
    return flags & AT_REMOVEDIR ? directory_remove_at(t, &place.at) : file_remove_at(t, &place.at);
}

s64 sys_unlink(struct thread *t, u64 path)
{
    return sys_unlinkat(t, AT_FDCWD, path, 0);
}

s64 sys_rmdir(struct thread *t, u64 path)
{
    return sys_unlinkat(t, AT_FDCWD, path, AT_REMOVEDIR);
}

/* --- rename ----------------------------------------------------------------------------------- */

#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#define RENAME_WHITEOUT  4

/* do_renameat2's checks before the two names are looked at. */
static s64 rename_places_check(struct thread *t, const struct path_result *from,
                               const struct path_result *to, u32 flags)
{
    if (!from->parent.inode != !to->parent.inode)
        return -EXDEV;
    if (from->type != LAST_NAME)
        return -EBUSY;
    if (to->type != LAST_NAME)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    return from->parent.inode ? node_may_change(t->process, &from->parent) : 0;
}

/* A name and what it leads to; none when it is free. */
struct rename_end {
    const struct path_result *at;
    struct node node;
};

static s64 rename_nodes_check(struct thread *t, const struct rename_end *a,
                              const struct rename_end *b, u32 flags)
{
    const struct path_result *from = a->at, *to = b->at;
    const struct node *moved = &a->node, *there = &b->node;
    bool taken = !node_is_none(there);
    if (flags & RENAME_NOREPLACE && taken)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE && !taken)
        return -ENOENT;
    if (flags & RENAME_EXCHANGE && to->slashes && !node_is_directory(there))
        return -ENOTDIR;
    if (!node_is_directory(moved) && (from->slashes || (to->slashes && !(flags & RENAME_EXCHANGE))))
        return -ENOTDIR;
    if (node_is_mount_point(from, moved) || (taken && node_is_mount_point(to, there)))
        return -EBUSY;
    return node_may_change(t->process, moved);
}

/* The names are there or not, and both in the image or both not. */
static s64 rename_nodes(struct thread *t, const struct path_result *from,
                        const struct path_result *to, u32 flags)
{
    struct rename_end a = {.at = from}, b = {.at = to};
    s64 r = name_find(t, from, &a.node);
    if (r)
        return r;
    r = name_find(t, to, &b.node);
    if (r == -ENOENT)
        b.node = NODE_NONE;
    else if (r)
        return r;
    return rename_nodes_check(t, &a, &b, flags);
}

s64 sys_renameat2(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path, u32 flags)
{
    struct name_place from, to;
    if (flags & ~7u || (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT) && flags & RENAME_EXCHANGE))
        return -EINVAL;
    s64 r = name_place(t, old_fd, old_path, &from);
    if (!r)
        r = name_place(t, fd, path, &to);
    if (!r)
        r = rename_places_check(t, &from.at, &to.at, flags);
    if (!r)
        r = rename_nodes(t, &from.at, &to.at, flags);
    if (!r && flags & RENAME_WHITEOUT)
        r = -EINVAL; /* what a filesystem without whiteouts says */
    if (r)
        return r;
    u32 how = (flags & RENAME_NOREPLACE ? (u32)RENAME_NO_REPLACE : 0) |
              (flags & RENAME_EXCHANGE ? (u32)RENAME_EXCHANGE_NAMES : 0);
    return change_result(t, inode_rename(from.at.parent.inode, from.at.last, from.at.last_bytes,
                                         to.at.parent.inode, to.at.last, to.at.last_bytes, how));
}

s64 sys_renameat(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path)
{
    return sys_renameat2(t, old_fd, old_path, fd, path, 0);
}

s64 sys_rename(struct thread *t, u64 old_path, u64 path)
{
    return sys_renameat2(t, AT_FDCWD, old_path, AT_FDCWD, path, 0);
}
