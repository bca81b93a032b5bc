/* open and its relatives: from a path to a descriptor, with Linux's order of checks (fs/namei.c,
   do_open and lookup_open).  What is made or truncated is so before the descriptor is; when the
   filesystem has no room yet, the whole call starts again. */
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
static s64 open_check(struct thread *t, const struct path_result *found, u32 flags)
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
    if (type == S_IFSOCK)
        return -ENXIO;
    if (!found->node.inode)
        return 0;
    if (open_writes(flags)) {
        s64 r = node_may_change(t->process, &found->node);
        if (r)
            return r;
        if (found->node.inode == t->process->executable)
            return -ETXTBSY;
    }
    return flags & O_DIRECT && type != S_IFREG ? -EINVAL : 0;
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

/* --- making files ----------------------------------------------------------------------------- */

/* A call of open: its path's text and what the path leads to. */
struct opening {
    struct user_path text;
    struct path_result found;
    u32 flags, mode;
    bool made; /* by this call, so there is nothing to truncate */
};

static s64 open_make(struct thread *t, struct opening *o)
{
    struct inode *above = o->found.parent.inode, *made;
    struct inode_initial initial = process_initial(t->process, above, o->mode);
    s64 r = change_result(
        t, inode_create(above, o->found.last, o->found.last_bytes, INODE_FILE, &initial, &made));
    if (r)
        return r;
    o->found.node = node_of_inode(made);
    o->made = true;
    return 0;
}

/* O_CREAT of something that is not there: what stands in the way comes before EROFS. */
static s64 open_missing(struct thread *t, struct opening *o, s64 error)
{
    if (error != -ENOENT || !(o->flags & O_CREAT) || !o->found.missing)
        return error;
    if (o->found.slashes)
        return -EISDIR;
    if (o->found.parent.virtual)
        return -ENOENT;
    s64 r = node_may_change(t->process, &o->found.parent);
    return r ? r : open_make(t, o);
}

/* O_TRUNC, of what was there before. */
static s64 open_truncate(struct thread *t, const struct opening *o)
{
    struct inode *i = o->found.node.inode;
    u64 fetch = NO_PAGE;
    if (!(o->flags & O_TRUNC) || o->made || !i || inode_type(i) != INODE_FILE)
        return 0;
    status s = file_truncate(i, 0, &fetch);
    return file_change_result(t, i, s, fetch);
}

/* --- from a path ------------------------------------------------------------------------------ */

/* path_at with the text kept, since the last component may have to be made. */
static s64 open_path(struct thread *t, s32 fd, u32 walk, struct opening *o)
{
    struct node start;
    /* With the start as the root, "/" begins there too. */
    s64 r = path_start(t, fd, walk & WALK_IN_ROOT ? "." : o->text.text, &start);
    if (r)
        return r;
    return path_walk(t->process, &start, user_path_string(&o->text), walk, &o->found);
}

static s64 open_walk(struct thread *t, s32 fd, u32 walk, struct opening *o)
{
    u32 flags = o->flags;
    if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
        walk |= WALK_FOLLOW;
    if (flags & O_DIRECTORY && !(flags & O_CREAT))
        walk |= WALK_DIRECTORY;
    s64 r = open_path(t, fd, walk, o);
    /* A symlink at the end that is not to be followed is no directory, but the loop comes first. */
    if (r)
        return open_missing(t, o, r);
    if (flags & O_CREAT && o->found.slashes)
        return -EISDIR;
    return (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : 0;
}

/* O_TMPFILE: the path names the directory whose filesystem the file is to be of.  The file has the
   hold of its making until the open file has its own, and gets no name after O_EXCL. */
static s64 open_unnamed(struct thread *t, s32 fd, u32 walk, struct opening *o)
{
    struct inode *made;
    if ((o->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    s64 r = open_path(t, fd, walk | WALK_FOLLOW | WALK_DIRECTORY, o);
    if (r)
        return r;
    if (!o->found.node.inode)
        return -EOPNOTSUPP;
    r = node_may_change(t->process, &o->found.node);
    if (r)
        return r;
    struct inode_initial initial = process_initial(t->process, o->found.node.inode, o->mode);
    r = change_result(t, inode_create_unnamed(t->process->fs, &initial, &made));
    if (r)
        return r;
    if (o->flags & O_EXCL)
        inode_refuse_names(made);
    o->found.parent = o->found.node;
    o->found.node = node_of_inode(made);
    struct file *opened;
    r = file_open_node(t, &o->found, o->flags, &opened);
    inode_release(made);
    return r ? r : descriptor_install(t->process, opened, 0, o->flags & O_CLOEXEC);
}

static s64 open_named(struct thread *t, s32 fd, u32 walk, struct opening *o)
{
    struct file *opened;
    s64 r = open_walk(t, fd, walk, o);
    if (!r && !(o->flags & O_PATH) && !o->made)
        r = open_check(t, &o->found, o->flags);
    if (!r && !(o->flags & O_PATH))
        r = open_truncate(t, o);
    if (!r)
        r = file_open_node(t, &o->found, o->flags, &opened);
    return r ? r : descriptor_install(t->process, opened, 0, o->flags & O_CLOEXEC);
}

/* `how`: flags, mode and the walk's. */
struct open_request {
    u32 flags, mode, walk;
};

static s64 open_at(struct thread *t, s32 fd, u64 path, struct open_request how)
{
    struct opening o;
    u32 flags = how.flags;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    o.flags = flags;
    o.mode = how.mode;
    o.made = false;
    if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
        return -EINVAL;
    s64 r = user_path_get(t, path, &o.text);
    /* A file is not made when no descriptor could show it. */
    if (!r && flags & (O_CREAT | O_TMPFILE))
        r = descriptor_room(t->process);
    if (r)
        return r;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return open_unnamed(t, fd, how.walk, &o);
    return open_named(t, fd, how.walk, &o);
}

s64 sys_open(struct thread *t, u64 path, u32 flags, u32 mode)
{
    return open_at(t, AT_FDCWD, path, (struct open_request){flags & OPEN_FLAGS_VALID, mode, 0});
}

s64 sys_openat(struct thread *t, s32 fd, u64 path, u32 flags, u32 mode)
{
    return open_at(t, fd, path, (struct open_request){flags & OPEN_FLAGS_VALID, mode, 0});
}

s64 sys_creat(struct thread *t, u64 path, u32 mode)
{
    return open_at(t, AT_FDCWD, path, (struct open_request){O_CREAT | O_WRONLY | O_TRUNC, mode, 0});
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
    return r ? r : open_at(t, fd, path, (struct open_request){(u32)how.flags, (u32)how.mode, walk});
}

s64 file_for_mmap(struct process *p, s32 fd, bool shared_writable, struct file_mapping *m)
{
    struct file *f = descriptor_get(p, fd);
    if (!f)
        return -EBADF;
    if (!file_readable(f) || (shared_writable && !file_writable(f)))
        return -EACCES;
    *m = (struct file_mapping){.writable = file_writable(f)};
    if (f->operations == &device_zero)
        return 0;
    if (f->operations != &file_regular)
        return -ENODEV;
    if (!(f->flags & O_NOATIME))
        inode_accessed(f->node.inode);
    inode_hold(f->node.inode);
    m->inode = f->node.inode;
    return 0;
}
