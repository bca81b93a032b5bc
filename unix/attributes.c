/* The calls that change attributes: modes, owners, times.  The program is root, so what may be
   changed at all may be changed by it; the rules that hold for root too are Linux's (fs/attr.c,
   fs/open.c, fs/utimes.c). */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/time_spec.h"

/* Who a call is about: a path or a descriptor. */
struct change_target {
    s32 fd;
    u64 path;
    u32 walk;
    bool empty_allowed;
};

static s64 change_node(struct thread *t, const struct node *n, const struct inode_change *c)
{
    s64 r = node_may_change(t->process, n);
    return r ? r : change_result(t, inode_change(n->inode, c));
}

/* The path's node, which may be changed. */
static s64 target_node(struct thread *t, const struct change_target *target, struct node *n)
{
    struct path_result found;
    s64 r = path_at(t, target->fd, target->path, target->walk, target->empty_allowed, &found);
    *n = found.node;
    return r ? r : node_may_change(t->process, n);
}

static s64 open_node(struct thread *t, s32 fd, struct node *n)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    *n = f->node;
    return node_may_change(t->process, n);
}

/* --- modes ------------------------------------------------------------------------------------ */

static s64 mode_change(struct thread *t, const struct node *n, u32 mode)
{
    /* Linux 6.6: a symlink's mode cannot be changed. */
    if (inode_type(n->inode) == INODE_SYMLINK)
        return -EOPNOTSUPP;
    struct inode_change c = {.what = CHANGE_MODE, .mode = mode & MODE_MASK};
    return change_node(t, n, &c);
}

s64 sys_fchmodat(struct thread *t, s32 fd, u64 path, u32 mode)
{
    struct node n;
    s64 r = target_node(t, &(struct change_target){fd, path, WALK_FOLLOW, false}, &n);
    return r ? r : mode_change(t, &n, mode);
}

s64 sys_fchmodat2(struct thread *t, s32 fd, u64 path, u32 mode, u32 flags)
{
    struct node n;
    if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    struct change_target target = {fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                                   flags & AT_EMPTY_PATH};
    s64 r = target_node(t, &target, &n);
    return r ? r : mode_change(t, &n, mode);
}

s64 sys_chmod(struct thread *t, u64 path, u32 mode)
{
    return sys_fchmodat(t, AT_FDCWD, path, mode);
}

s64 sys_fchmod(struct thread *t, s32 fd, u32 mode)
{
    struct node n;
    s64 r = open_node(t, fd, &n);
    return r ? r : mode_change(t, &n, mode);
}

/* --- owners ----------------------------------------------------------------------------------- */

#define OWNER_KEPT (~0u) /* uid or gid -1 */

/* A file whose owner changes is no longer one that runs as its owner, for root's calls too. */
static u32 owned_mode(u32 mode)
{
    mode &= ~(u32)S_ISUID;
    return mode & S_IXGRP ? mode & ~(u32)S_ISGID : mode;
}

static s64 owner_change(struct thread *t, const struct node *n, u32 uid, u32 gid)
{
    struct inode_attributes a;
    inode_attributes(n->inode, &a);
    struct inode_change c = {.uid = uid, .gid = gid};
    c.what = (uid == OWNER_KEPT ? 0 : (u32)CHANGE_UID) | (gid == OWNER_KEPT ? 0 : (u32)CHANGE_GID);
    if (a.type != INODE_DIRECTORY && owned_mode(a.mode) != a.mode) {
        c.what |= CHANGE_MODE;
        c.mode = owned_mode(a.mode);
    }
    return change_node(t, n, &c);
}

s64 sys_fchownat(struct thread *t, s32 fd, u64 path, u32 uid, u32 gid, u32 flags)
{
    struct node n;
    if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    struct change_target target = {fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                                   flags & AT_EMPTY_PATH};
    s64 r = target_node(t, &target, &n);
    return r ? r : owner_change(t, &n, uid, gid);
}

s64 sys_chown(struct thread *t, u64 path, u32 uid, u32 gid)
{
    return sys_fchownat(t, AT_FDCWD, path, uid, gid, 0);
}

s64 sys_lchown(struct thread *t, u64 path, u32 uid, u32 gid)
{
    return sys_fchownat(t, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

s64 sys_fchown(struct thread *t, s32 fd, u32 uid, u32 gid)
{
    struct node n;
    s64 r = open_node(t, fd, &n);
    return r ? r : owner_change(t, &n, uid, gid);
}

/* --- times ------------------------------------------------------------------------------------ */

#define TIME_NOW  0x3fffffff /* UTIME_NOW, UTIME_OMIT */
#define TIME_KEPT 0x3ffffffe

struct time_pair {
    struct time_spec accessed, modified;
};

static bool time_valid(const struct time_spec *s)
{
    return s->ns == TIME_NOW || s->ns == TIME_KEPT || (s->ns >= 0 && s->ns < (s64)NS_PER_SECOND);
}

/* Beyond what 64 bits of nanoseconds hold (the years 1678 to 2262) the nearest is taken. */
static s64 time_value(const struct time_spec *s)
{
    s64 most = 9223372036ll - 1;
    s64 seconds = max(min(s->seconds, most), -most);
    return s->ns == TIME_NOW ? (s64)clock_realtime_ns() : seconds * (s64)NS_PER_SECOND + s->ns;
}

static s64 times_change(struct thread *t, const struct node *n, const struct time_pair *times)
{
    struct inode_change c = {.accessed_ns = time_value(&times->accessed),
                             .modified_ns = time_value(&times->modified)};
    c.what = (times->accessed.ns == TIME_KEPT ? 0 : (u32)CHANGE_ACCESSED) |
             (times->modified.ns == TIME_KEPT ? 0 : (u32)CHANGE_MODIFIED);
    return change_node(t, n, &c);
}

static s64 times_get(struct thread *t, u64 address, void *to, u64 bytes)
{
    s64 r = user_prepare(t, address, bytes, USER_READ);
    return r ? r : copy_in(to, address, bytes) ? -EFAULT : 0;
}

static const struct time_pair times_now = {{0, TIME_NOW}, {0, TIME_NOW}};

s64 sys_utimensat(struct thread *t, s32 fd, u64 path, u64 times, u32 flags)
{
    struct time_pair pair = times_now;
    struct node n;
    s64 r = times ? times_get(t, times, &pair, sizeof(pair)) : 0;
    if (r)
        return r;
    if (pair.accessed.ns == TIME_KEPT && pair.modified.ns == TIME_KEPT)
        return 0;
    if (!time_valid(&pair.accessed) || !time_valid(&pair.modified))
        return -EINVAL;
    struct change_target target = {fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                                   flags & AT_EMPTY_PATH};
    if (!path && fd != AT_FDCWD)
        r = flags ? -EINVAL : open_node(t, fd, &n);
    else if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        r = -EINVAL;
    else
        r = target_node(t, &target, &n);
    return r ? r : times_change(t, &n, &pair);
}

/* struct timeval: microseconds. */
s64 sys_futimesat(struct thread *t, s32 fd, u64 path, u64 times)
{
    struct time_pair pair = times_now;
    struct node n;
    s64 r = times ? times_get(t, times, &pair, sizeof(pair)) : 0;
    if (r)
        return r;
    for (u32 k = 0; times && k < 2; k++) {
        struct time_spec *s = k ? &pair.modified : &pair.accessed;
        if (s->ns < 0 || s->ns >= (s64)(NS_PER_SECOND / NS_PER_US))
            return -EINVAL;
        s->ns *= (s64)NS_PER_US;
    }
    if (!path && fd != AT_FDCWD)
        r = open_node(t, fd, &n);
    else
        r = target_node(t, &(struct change_target){fd, path, WALK_FOLLOW, false}, &n);
    return r ? r : times_change(t, &n, &pair);
}

s64 sys_utimes(struct thread *t, u64 path, u64 times)
{
    return sys_futimesat(t, AT_FDCWD, path, times);
}

/* struct utimbuf: two numbers of seconds. */
s64 sys_utime(struct thread *t, u64 path, u64 times)
{
    s64 seconds[2] = {0, 0};
    struct node n;
    s64 r = times ? times_get(t, times, seconds, sizeof(seconds)) : 0;
    if (!r)
        r = target_node(t, &(struct change_target){AT_FDCWD, path, WALK_FOLLOW, false}, &n);
    struct time_pair pair = {{seconds[0], 0}, {seconds[1], 0}};
    return r ? r : times_change(t, &n, times ? &pair : &times_now);
}
