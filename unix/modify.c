/* The calls that would change the tree.  The image is mounted read-only, so none succeeds; what
   each of them checks before it asks for write access is checked in Linux's order
   (fs/namei.c, fs/open.c, fs/xattr.c), since programs tell ENOENT and EEXIST from EROFS. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"

/* --- names ------------------------------------------------------------------------------------ */

/* filename_create: mkdir, mknod, symlink, and the new name of link. */
static s64 name_create(struct thread *t, s32 fd, u64 path, bool directory)
{
    struct user_path text;
    struct path_result at;
    struct node start, found;
    s64 r = user_path_get(t, path, &text);
    if (!r)
        r = path_start(t, fd, text.text, &start);
    if (!r)
        r = path_walk(t->process, &start, user_path_string(&text), WALK_PARENT, &at);
    if (r)
        return r;
    if (at.type != LAST_NAME)
        return -EEXIST;
    r = node_lookup(t->process, &at.parent, at.last, at.last_bytes, &found);
    if (!r)
        return -EEXIST;
    if (r != -ENOENT || (at.slashes && !directory))
        return r;
    return at.parent.virtual ? -EPERM : -EROFS;
}

s64 sys_mkdirat(struct thread *t, s32 fd, u64 path, u32 mode)
{
    (void)mode;
    return name_create(t, fd, path, true);
}

s64 sys_mkdir(struct thread *t, u64 path, u32 mode)
{
    return sys_mkdirat(t, AT_FDCWD, path, mode);
}

s64 sys_mknodat(struct thread *t, s32 fd, u64 path, u32 mode, u64 device)
{
    (void)device;
    u32 type = mode & S_IFMT;
    if (type == S_IFDIR)
        return -EPERM;
    if (type && type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO &&
        type != S_IFSOCK)
        return -EINVAL;
    return name_create(t, fd, path, false);
}

s64 sys_mknod(struct thread *t, u64 path, u32 mode, u64 device)
{
    return sys_mknodat(t, AT_FDCWD, path, mode, device);
}

s64 sys_symlinkat(struct thread *t, u64 target, s32 fd, u64 path)
{
    struct user_path text;
    s64 r = user_path_get(t, target, &text);
    return r ? r : name_create(t, fd, path, false);
}

s64 sys_symlink(struct thread *t, u64 target, u64 path)
{
    return sys_symlinkat(t, target, AT_FDCWD, path);
}

s64 sys_linkat(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path, u32 flags)
{
    struct path_result old;
    if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = path_at(t, old_fd, old_path, flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0,
                    flags & AT_EMPTY_PATH, &old);
    return r ? r : name_create(t, fd, path, false);
}

s64 sys_link(struct thread *t, u64 old_path, u64 path)
{
    return sys_linkat(t, AT_FDCWD, old_path, AT_FDCWD, path, 0);
}

/* The directory and the last component of a path whose name is to go away. */
static s64 name_parent(struct thread *t, s32 fd, u64 path, struct path_result *at)
{
    struct user_path text;
    struct node start;
    s64 r = user_path_get(t, path, &text);
    if (!r)
        r = path_start(t, fd, text.text, &start);
    if (!r)
        r = path_walk(t->process, &start, user_path_string(&text), WALK_PARENT, at);
    at->last = ""; /* the text ends here */
    return r;
}

static s64 rmdir_error(enum last_type type)
{
    switch (type) {
    case LAST_NAME:
        return -EROFS;
    case LAST_DOT:
        return -EINVAL;
    case LAST_DOTDOT:
        return -ENOTEMPTY;
    case LAST_ROOT:
        return -EBUSY;
    }
    return -EINVAL;
}

s64 sys_unlinkat(struct thread *t, s32 fd, u64 path, u32 flags)
{
    struct path_result at;
    if (flags & ~(u32)AT_REMOVEDIR)
        return -EINVAL;
    s64 r = name_parent(t, fd, path, &at);
    if (r)
        return r;
    if (flags & AT_REMOVEDIR)
        return rmdir_error(at.type);
    return at.type == LAST_NAME ? -EROFS : -EISDIR;
}

s64 sys_unlink(struct thread *t, u64 path)
{
    return sys_unlinkat(t, AT_FDCWD, path, 0);
}

s64 sys_rmdir(struct thread *t, u64 path)
{
    return sys_unlinkat(t, AT_FDCWD, path, AT_REMOVEDIR);
}

#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#define RENAME_WHITEOUT  4

s64 sys_renameat2(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path, u32 flags)
{
    struct path_result from, to;
    if (flags & ~7u || (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT) && flags & RENAME_EXCHANGE))
        return -EINVAL;
    s64 r = name_parent(t, old_fd, old_path, &from);
    if (!r)
        r = name_parent(t, fd, path, &to);
    if (r)
        return r;
    if (!from.parent.virtual != !to.parent.virtual)
        return -EXDEV;
    if (from.type != LAST_NAME)
        return -EBUSY;
    if (to.type != LAST_NAME)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    return -EROFS;
}

s64 sys_renameat(struct thread *t, s32 old_fd, u64 old_path, s32 fd, u64 path)
{
    return sys_renameat2(t, old_fd, old_path, fd, path, 0);
}

s64 sys_rename(struct thread *t, u64 old_path, u64 path)
{
    return sys_renameat2(t, AT_FDCWD, old_path, AT_FDCWD, path, 0);
}

/* --- attributes ------------------------------------------------------------------------------- */

/* Attributes of a name: the look-up's errors, then EROFS. */
static s64 change_at(struct thread *t, s32 fd, u64 path, u32 walk, bool empty_allowed)
{
    struct path_result found;
    s64 r = path_at(t, fd, path, walk, empty_allowed, &found);
    return r ? r : found.node.inode ? -EROFS : -EPERM;
}

static s64 change_open(struct thread *t, s32 fd)
{
    struct file *f = descriptor_get(t->process, fd);
    return !f ? -EBADF : f->node.inode ? -EROFS : -EPERM;
}

s64 sys_chmod(struct thread *t, u64 path, u32 mode)
{
    (void)mode;
    return change_at(t, AT_FDCWD, path, WALK_FOLLOW, false);
}

s64 sys_fchmod(struct thread *t, s32 fd, u32 mode)
{
    (void)mode;
    return change_open(t, fd);
}

s64 sys_fchmodat(struct thread *t, s32 fd, u64 path, u32 mode)
{
    (void)mode;
    return change_at(t, fd, path, WALK_FOLLOW, false);
}

s64 sys_chown(struct thread *t, u64 path, u32 uid, u32 gid)
{
    (void)uid, (void)gid;
    return change_at(t, AT_FDCWD, path, WALK_FOLLOW, false);
}

s64 sys_lchown(struct thread *t, u64 path, u32 uid, u32 gid)
{
    (void)uid, (void)gid;
    return change_at(t, AT_FDCWD, path, 0, false);
}

s64 sys_fchown(struct thread *t, s32 fd, u32 uid, u32 gid)
{
    (void)uid, (void)gid;
    return change_open(t, fd);
}

s64 sys_fchownat(struct thread *t, s32 fd, u64 path, u32 uid, u32 gid, u32 flags)
{
    (void)uid, (void)gid;
    if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    return change_at(t, fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                     flags & AT_EMPTY_PATH);
}

s64 sys_utimensat(struct thread *t, s32 fd, u64 path, u64 times, u32 flags)
{
    (void)times;
    if (!path)
        return flags ? -EINVAL : change_open(t, fd);
    if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    return change_at(t, fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                     flags & AT_EMPTY_PATH);
}

s64 sys_utimes(struct thread *t, u64 path, u64 times)
{
    (void)times;
    return change_at(t, AT_FDCWD, path, WALK_FOLLOW, false);
}

s64 sys_utime(struct thread *t, u64 path, u64 times)
{
    return sys_utimes(t, path, times);
}

/* --- lengths ---------------------------------------------------------------------------------- */

s64 sys_truncate(struct thread *t, u64 path, s64 bytes)
{
    struct path_result found;
    if (bytes < 0)
        return -EINVAL;
    s64 r = path_at(t, AT_FDCWD, path, WALK_FOLLOW, false, &found);
    if (r)
        return r;
    u32 type = node_type(&found.node);
    if (type != S_IFREG)
        return type == S_IFDIR ? -EISDIR : -EINVAL;
    return found.node.inode ? -EROFS : -EACCES;
}

s64 sys_ftruncate(struct thread *t, s32 fd, s64 bytes)
{
    if (bytes < 0)
        return -EINVAL;
    /* What is open for writing is a device or a pipe, never a file of the image. */
    return descriptor_get(t->process, fd) ? -EINVAL : -EBADF;
}

s64 sys_fallocate(struct thread *t, s32 fd, u32 mode, s64 offset, s64 bytes)
{
    (void)mode;
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (offset < 0 || bytes <= 0)
        return -EINVAL;
    if (!file_writable(f))
        return -EBADF;
    return f->operations->positioned ? -ENODEV : -ESPIPE;
}

/* --- making durable: nothing is ever dirty ---------------------------------------------------- */

s64 sys_fsync(struct thread *t, s32 fd)
{
    struct file *f = descriptor_get(t->process, fd);
    return !f ? -EBADF : node_is_none(&f->node) ? -EINVAL : 0;
}

s64 sys_fdatasync(struct thread *t, s32 fd)
{
    return sys_fsync(t, fd);
}

s64 sys_sync(struct thread *t)
{
    (void)t;
    return 0;
}

s64 sys_syncfs(struct thread *t, s32 fd)
{
    return descriptor_get(t->process, fd) ? 0 : -EBADF;
}

/* --- extended attributes: the format has none yet --------------------------------------------- */

static s64 no_attribute(s64 r)
{
    return r ? r : -ENODATA;
}

static s64 path_exists(struct thread *t, u64 path, u32 walk)
{
    struct path_result found;
    return path_at(t, AT_FDCWD, path, walk, false, &found);
}

s64 sys_getxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes)
{
    (void)name, (void)value, (void)bytes;
    return no_attribute(path_exists(t, path, WALK_FOLLOW));
}

s64 sys_lgetxattr(struct thread *t, u64 path, u64 name, u64 value, u64 bytes)
{
    (void)name, (void)value, (void)bytes;
    return no_attribute(path_exists(t, path, 0));
}

s64 sys_fgetxattr(struct thread *t, s32 fd, u64 name, u64 value, u64 bytes)
{
    (void)name, (void)value, (void)bytes;
    return descriptor_get(t->process, fd) ? -ENODATA : -EBADF;
}

s64 sys_listxattr(struct thread *t, u64 path, u64 list, u64 bytes)
{
    (void)list, (void)bytes;
    return path_exists(t, path, WALK_FOLLOW);
}

s64 sys_llistxattr(struct thread *t, u64 path, u64 list, u64 bytes)
{
    (void)list, (void)bytes;
    return path_exists(t, path, 0);
}

s64 sys_flistxattr(struct thread *t, s32 fd, u64 list, u64 bytes)
{
    (void)list, (void)bytes;
    return descriptor_get(t->process, fd) ? 0 : -EBADF;
}
