/* open and its relatives: from a path to a descriptor, with Linux's order of checks
   (fs/namei.c, do_open and lookup_open) for a mount that is read-only. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

#define OPEN_FLAGS_VALID                                                                           \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |          \
     O_ASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |         \
     O_PATH | O_TMPFILE)

/* What is kept of the flags: F_GETFL does not show the ones that were about opening. */
#define OPEN_FLAGS_KEPT (~(u32)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC))

static bool open_writes(u32 flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/* may_open: what the kind of node says to the way it is to be opened. */
static s64 open_check(const struct path_result *found, u32 flags)
{
    u32 type = node_type(&found->node);
    if (type == S_IFLNK)
        return -ELOOP;
    if (flags & O_CREAT && type == S_IFDIR)
        return -EISDIR;
    if (flags & O_DIRECTORY && type != S_IFDIR)
        return -ENOTDIR;
    if (type == S_IFDIR && open_writes(flags))
        return -EISDIR;
    if (found->node.inode && open_writes(flags))
        return -EROFS;
    return found->node.inode && flags & O_DIRECT && type == S_IFREG ? -EINVAL : 0;
}

s64 file_open_node(struct thread *t, const struct path_result *found, u32 flags,
                   struct file **opened)
{
    const struct node *n = &found->node;
    const struct file_operations *o = node_is_directory(n) ? &file_directory : &file_regular;
    flags &= OPEN_FLAGS_KEPT;
    if (flags & O_PATH) {
        o = &file_path_only;
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
    } else {
        flags |= O_LARGEFILE;
        if (n->file) {
            /* /dev/stdout and the like: the same open file again; a pipe's ends cannot be told
               apart from what was opened, so the way must fit. */
            if ((flags & O_ACCMODE) != (n->file->flags & O_ACCMODE))
                return -EACCES;
            file_hold(n->file);
            *opened = n->file;
            return 0;
        }
        if (n->virtual && !node_is_directory(n))
            return virtual_open(t, n, flags, opened);
    }
    *opened = file_create(o, flags, n, &found->parent);
    return *opened ? 0 : -ENFILE;
}

/* O_CREAT of something that is not there: what stands in the way comes before EROFS. */
static s64 open_missing(const struct path_result *found, u32 flags, s64 error)
{
    if (error != -ENOENT || !(flags & O_CREAT) || !found->missing)
        return error;
    if (found->slashes)
        return -EISDIR;
    return found->parent.virtual ? -ENOENT : -EROFS;
}

static s64 open_walk(struct thread *t, s32 fd, u64 path, u32 flags, u32 walk,
                     struct path_result *found)
{
    if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
        walk |= WALK_FOLLOW;
    if (flags & O_DIRECTORY && !(flags & O_CREAT))
        walk |= WALK_DIRECTORY;
    s64 r = path_at(t, fd, path, walk, false, found);
    /* A symlink at the end that is not to be followed is no directory, but the loop comes first. */
    if (r)
        return open_missing(found, flags, r);
    if (flags & O_CREAT && found->slashes)
        return -EISDIR;
    return (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : 0;
}

static s64 open_at(struct thread *t, s32 fd, u64 path, u32 flags, u32 walk)
{
    struct path_result found;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_TMPFILE) == O_TMPFILE && !(flags & O_PATH))
        return (flags & O_ACCMODE) == O_RDONLY ? -EINVAL : -EROFS;
    if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    s64 r = open_walk(t, fd, path, flags, walk, &found);
    if (!r && !(flags & O_PATH))
        r = open_check(&found, flags);
    struct file *opened;
    if (!r)
        r = file_open_node(t, &found, flags, &opened);
    return r ? r : descriptor_install(t->process, opened, 0, flags & O_CLOEXEC);
}

s64 sys_open(struct thread *t, u64 path, u32 flags, u32 mode)
{
    (void)mode; /* nothing is created */
    return open_at(t, AT_FDCWD, path, flags & OPEN_FLAGS_VALID, 0);
}

s64 sys_openat(struct thread *t, s32 fd, u64 path, u32 flags, u32 mode)
{
    (void)mode;
    return open_at(t, fd, path, flags & OPEN_FLAGS_VALID, 0);
}

s64 sys_creat(struct thread *t, u64 path, u32 mode)
{
    (void)mode;
    return open_at(t, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, 0);
}

struct open_how {
    u64 flags, mode, resolve;
};

#define RESOLVE_NO_XDEV       1
#define RESOLVE_NO_MAGICLINKS 2
#define RESOLVE_NO_SYMLINKS   4
#define RESOLVE_BENEATH       8
#define RESOLVE_IN_ROOT       16
#define RESOLVE_CACHED        32

static s64 open_how_check(const struct open_how *how, u32 *walk)
{
    if (how->flags & ~(u64)OPEN_FLAGS_VALID || how->mode & ~(u64)MODE_MASK)
        return -EINVAL;
    bool creates = how->flags & O_CREAT || (how->flags & O_TMPFILE) == O_TMPFILE;
    if (how->mode && !creates)
        return -EINVAL;
    if (how->resolve & ~63ull || (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT))
        return -EINVAL;
    if (how->resolve & RESOLVE_NO_XDEV)
        return -EINVAL; /* crossing into /proc is not told apart from any other step */
    *walk = (how->resolve & RESOLVE_NO_SYMLINKS ? WALK_NO_LINKS : 0) |
            (how->resolve & RESOLVE_NO_MAGICLINKS ? WALK_NO_MAGIC : 0) |
            (how->resolve & RESOLVE_BENEATH ? WALK_BENEATH : 0) |
            (how->resolve & RESOLVE_IN_ROOT ? WALK_IN_ROOT : 0);
    return 0;
}

s64 sys_openat2(struct thread *t, s32 fd, u64 path, u64 how_address, u64 bytes)
{
    struct open_how how;
    u32 walk;
    if (bytes < sizeof(how))
        return -EINVAL;
    if (bytes > PAGE_BYTES)
        return -E2BIG;
    s64 r = user_prepare(t, how_address, bytes, USER_READ);
    if (r)
        return r;
    if (copy_in(&how, how_address, sizeof(how)))
        return -EFAULT;
    for (u64 i = sizeof(how); i < bytes; i++) {
        u8 byte;
        if (copy_in(&byte, how_address + i, 1))
            return -EFAULT;
        if (byte)
            return -E2BIG; /* a newer program's wish that we do not know */
    }
    r = open_how_check(&how, &walk);
    return r ? r : open_at(t, fd, path, (u32)how.flags, walk);
}

s64 file_for_mmap(struct process *p, s32 fd, bool shared_writable, struct inode **inode)
{
    struct file *f = descriptor_get(p, fd);
    if (!f)
        return -EBADF;
    if (!file_readable(f) || (shared_writable && !file_writable(f)))
        return -EACCES;
    if (f->operations == &device_zero) {
        *inode = NULL;
        return 0;
    }
    if (f->operations != &file_regular)
        return -ENODEV;
    inode_hold(f->node.inode);
    *inode = f->node.inode;
    return 0;
}
