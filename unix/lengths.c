/* truncate, ftruncate and fallocate: how long a file is, and which of it has blocks.  The order of
   checks is Linux's (fs/open.c). */
#include "unix/descriptor.h"

/* A file may not grow beyond RLIMIT_FSIZE; who tries is told by a signal, too. */
static s64 length_check(struct thread *t, const struct inode *i, u64 bytes)
{
    if (bytes <= inode_bytes(i) || bytes <= t->process->files->limits[LIMIT_FSIZE].soft)
        return 0;
    signal_raise(t, SIGNAL_XFSZ);
    return -EFBIG;
}

static s64 length_set(struct thread *t, struct inode *i, u64 bytes)
{
    u64 fetch = NO_PAGE;
    s64 r = length_check(t, i, bytes);
    if (r)
        return r;
    status s = file_truncate(i, bytes, &fetch);
    return file_change_result(t, i, s, fetch);
}

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
    if (!found.node.inode)
        return -EACCES;
    r = node_may_change(t->process, &found.node);
    if (!r && found.node.inode == t->process->executable)
        r = -ETXTBSY;
    return r ? r : length_set(t, found.node.inode, (u64)bytes);
}

s64 sys_ftruncate(struct thread *t, s32 fd, s64 bytes)
{
    if (bytes < 0)
        return -EINVAL;
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (f->operations != &file_regular || !file_writable(f))
        return -EINVAL;
    return length_set(t, f->node.inode, (u64)bytes);
}

/* --- fallocate -------------------------------------------------------------------------------- */

#define FALLOC_KEEP_SIZE      0x01 /* linux/falloc.h */
#define FALLOC_PUNCH_HOLE     0x02
#define FALLOC_COLLAPSE_RANGE 0x08
#define FALLOC_ZERO_RANGE     0x10
#define FALLOC_INSERT_RANGE   0x20
#define FALLOC_UNSHARE_RANGE  0x40

/* Ranges are neither taken out nor put in, and nothing is shared that could be unshared. */
static s64 allocate_mode(u32 mode, u32 *how)
{
    *how = mode & FALLOC_KEEP_SIZE ? ALLOCATE_KEEP_SIZE : 0;
    switch (mode & ~(u32)FALLOC_KEEP_SIZE) {
    case 0:
        return 0;
    case FALLOC_PUNCH_HOLE:
        *how |= ALLOCATE_PUNCH;
        return mode & FALLOC_KEEP_SIZE ? 0 : -EOPNOTSUPP;
    case FALLOC_ZERO_RANGE:
        *how |= ALLOCATE_ZERO;
        return 0;
    }
    return -EOPNOTSUPP;
}

static s64 allocate_check(struct file *f)
{
    if (!file_writable(f))
        return -EBADF;
    u32 type = node_is_none(&f->node) ? (u32)S_IFIFO : node_type(&f->node);
    if (type == S_IFIFO)
        return -ESPIPE;
    if (type == S_IFDIR)
        return -EISDIR;
    return f->operations == &file_regular ? 0 : -ENODEV;
}

s64 sys_fallocate(struct thread *t, s32 fd, u32 mode, s64 offset, s64 bytes)
{
    u64 fetch = NO_PAGE;
    u32 how;
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (offset < 0 || bytes <= 0)
        return -EINVAL;
    s64 r = allocate_mode(mode, &how);
    if (!r)
        r = allocate_check(f);
    if (!r && (u64)offset + (u64)bytes > LINUX_FILE_MOST)
        r = -EFBIG;
    if (!r && !(how & (ALLOCATE_KEEP_SIZE | ALLOCATE_PUNCH)))
        r = length_check(t, f->node.inode, (u64)offset + (u64)bytes);
    if (r)
        return r;
    status s = file_allocate(f->node.inode, how, (u64)offset, (u64)bytes, &fetch);
    return file_change_result(t, f->node.inode, s, fetch);
}
