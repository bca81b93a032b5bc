/* stat and its relatives: attributes of nodes and of open files, in the program's layouts. */
#include "kernel/user_copy.h"
#include "unix/descriptor.h"
#include "unix/virtual.h"

#define IMAGE_DEVICE_MAJOR 254 /* where Linux puts the first virtio disk */
#define FIFO_DEVICE        12  /* the device of pipes: one of the numbers without a disk */

static void inode_to_attributes(const struct inode *i, struct file_attributes *to)
{
    struct inode_attributes a;
    inode_attributes(i, &a);
    u32 type = inode_mode_type(a.type);
    *to = (struct file_attributes){
        .device = device_number(IMAGE_DEVICE_MAJOR, 0),
        .number = a.number,
        .mode = type | (a.mode & MODE_MASK),
        .uid = a.uid,
        .gid = a.gid,
        .links = a.links,
        .special_device = 0,
        .bytes = a.bytes,
        .blocks = a.blocks,
        .block_bytes = PAGE_BYTES,
        .accessed_ns = a.accessed_ns,
        .modified_ns = a.modified_ns,
        .changed_ns = a.changed_ns,
    };
}

void node_attributes(const struct node *n, struct file_attributes *to)
{
    if (n->inode)
        inode_to_attributes(n->inode, to);
    else if (n->virtual)
        virtual_attributes(n, to);
    else
        file_attributes(n->file, to);
}

/* What is no node is a pipe or like one. */
static void pipe_attributes(struct file *f, struct file_attributes *to)
{
    s64 now = (s64)clock_realtime_ns();
    *to = (struct file_attributes){
        .device = FIFO_DEVICE,
        .number = f->number,
        .mode = S_IFIFO | 0600,
        .links = 1,
        .block_bytes = PAGE_BYTES,
        .accessed_ns = now,
        .modified_ns = now,
        .changed_ns = now,
    };
}

void file_attributes(struct file *f, struct file_attributes *to)
{
    if (f->operations->attributes)
        f->operations->attributes(f, to);
    else if (!node_is_none(&f->node))
        node_attributes(&f->node, to);
    else
        pipe_attributes(f, to);
}

/* --- struct stat ------------------------------------------------------------------------------ */

struct user_timespec {
    s64 seconds;
    s64 nanoseconds;
};

static struct user_timespec timespec_of(s64 ns)
{
    s64 seconds = ns / (s64)NS_PER_SECOND, rest = ns % (s64)NS_PER_SECOND;
    if (rest < 0) {
        rest += (s64)NS_PER_SECOND;
        seconds--;
    }
    return (struct user_timespec){seconds, rest};
}

struct user_stat { /* asm/stat.h */
    u64 device, number, links;
    u32 mode, uid, gid, padding;
    u64 special_device;
    s64 bytes, block_bytes, blocks;
    struct user_timespec accessed, modified, changed;
    s64 unused[3];
};
_Static_assert(sizeof(struct user_stat) == 144, "struct stat of x86-64");

/* Copies a result to the program; the call has no side effects, so it can start again. */
static s64 result_out(struct thread *t, u64 address, const void *from, u64 bytes)
{
    if (likely(!copy_out(address, from, bytes)))
        return 0;
    s64 r = user_prepare(t, address, bytes, USER_WRITE);
    return r ? r : copy_out(address, from, bytes) ? -EFAULT : 0;
}

static s64 stat_out(struct thread *t, u64 address, const struct file_attributes *a)
{
    struct user_stat s = {
        .device = a->device,
        .number = a->number,
        .links = a->links,
        .mode = a->mode,
        .uid = a->uid,
        .gid = a->gid,
        .padding = 0,
        .special_device = a->special_device,
        .bytes = (s64)a->bytes,
        .block_bytes = a->block_bytes,
        .blocks = (s64)a->blocks,
        .accessed = timespec_of(a->accessed_ns),
        .modified = timespec_of(a->modified_ns),
        .changed = timespec_of(a->changed_ns),
        .unused = {0, 0, 0},
    };
    return result_out(t, address, &s, sizeof(s));
}

static s64 stat_path(struct thread *t, s32 fd, u64 path, u32 walk, bool empty_allowed, u64 address)
{
    struct path_result found;
    struct file_attributes a;
    s64 r = path_at(t, fd, path, walk, empty_allowed, &found);
    if (r)
        return r;
    node_attributes(&found.node, &a);
    return stat_out(t, address, &a);
}

s64 sys_stat(struct thread *t, u64 path, u64 address)
{
    return stat_path(t, AT_FDCWD, path, WALK_FOLLOW, false, address);
}

s64 sys_lstat(struct thread *t, u64 path, u64 address)
{
    return stat_path(t, AT_FDCWD, path, 0, false, address);
}

s64 sys_fstat(struct thread *t, s32 fd, u64 address)
{
    struct file *f = descriptor_file(t->process, fd);
    struct file_attributes a;
    if (!f)
        return -EBADF;
    file_attributes(f, &a);
    return stat_out(t, address, &a);
}

#define AT_STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)

s64 sys_newfstatat(struct thread *t, s32 fd, u64 path, u64 address, u32 flags)
{
    if (flags & ~(u32)AT_STAT_FLAGS)
        return -EINVAL;
    return stat_path(t, fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                     flags & AT_EMPTY_PATH, address);
}

/* --- statx ------------------------------------------------------------------------------------ */

struct user_statx_time {
    s64 seconds;
    u32 nanoseconds;
    s32 reserved;
};

struct user_statx { /* linux/stat.h */
    u32 mask, block_bytes;
    u64 attributes;
    u32 links, uid, gid;
    u16 mode, spare0;
    u64 number, bytes, blocks, attributes_mask;
    struct user_statx_time accessed, created, changed, modified;
    u32 special_major, special_minor, device_major, device_minor;
    u64 mount, memory_alignment;
    u64 spare[12];
};
_Static_assert(sizeof(struct user_statx) == 256, "struct statx");

#define STATX_BASIC_STATS 0x7ff
#define STATX_RESERVED    0x80000000u

static struct user_statx_time statx_time(s64 ns)
{
    struct user_timespec time = timespec_of(ns);
    return (struct user_statx_time){time.seconds, (u32)time.nanoseconds, 0};
}

static u32 device_major(u64 device)
{
    return (u32)(device >> 8) & 0xfff;
}

static u32 device_minor(u64 device)
{
    return (u32)((device & 0xff) | ((device >> 12) & 0xfffff00));
}

static void statx_fill(struct user_statx *s, const struct file_attributes *a)
{
    *s = (struct user_statx){
        .mask = STATX_BASIC_STATS,
        .block_bytes = a->block_bytes,
        .links = (u32)a->links,
        .uid = a->uid,
        .gid = a->gid,
        .mode = (u16)a->mode,
        .number = a->number,
        .bytes = a->bytes,
        .blocks = a->blocks,
        .accessed = statx_time(a->accessed_ns),
        .changed = statx_time(a->changed_ns),
        .modified = statx_time(a->modified_ns),
        .special_major = device_major(a->special_device),
        .special_minor = device_minor(a->special_device),
        .device_major = device_major(a->device),
        .device_minor = device_minor(a->device),
    };
}

s64 sys_statx(struct thread *t, s32 fd, u64 path, u32 flags, u32 mask, u64 address)
{
    struct path_result found;
    struct file_attributes a;
    struct user_statx s;
    if (mask & STATX_RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
        flags & ~(u32)(AT_STAT_FLAGS | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    s64 r = path_at(t, fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                    flags & AT_EMPTY_PATH, &found);
    if (r)
        return r;
    node_attributes(&found.node, &a);
    statx_fill(&s, &a);
    return result_out(t, address, &s, sizeof(s));
}

/* --- access ----------------------------------------------------------------------------------- */

#define ACCESS_EXECUTE 1
#define ACCESS_WRITE   2

/* The program is root: it may read all, write what a mount lets it, and execute what anybody may.
 */
static s64 access_check(struct thread *t, s32 fd, u64 path, u32 mode, u32 flags)
{
    struct path_result found;
    struct file_attributes a;
    if (mode & ~7u || flags & ~(u32)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = path_at(t, fd, path, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW,
                    flags & AT_EMPTY_PATH, &found);
    if (r)
        return r;
    node_attributes(&found.node, &a);
    u32 type = a.mode & S_IFMT;
    if (mode & ACCESS_WRITE && found.node.inode && filesystem_read_only(t->process->fs))
        return -EROFS;
    if (mode & ACCESS_EXECUTE && type != S_IFDIR && !(a.mode & 0111))
        return -EACCES;
    return 0;
}

s64 sys_access(struct thread *t, u64 path, u32 mode)
{
    return access_check(t, AT_FDCWD, path, mode, 0);
}

s64 sys_faccessat(struct thread *t, s32 fd, u64 path, u32 mode)
{
    return access_check(t, fd, path, mode, 0);
}

s64 sys_faccessat2(struct thread *t, s32 fd, u64 path, u32 mode, u32 flags)
{
    return access_check(t, fd, path, mode, flags);
}

/* --- readlink --------------------------------------------------------------------------------- */

static s64 link_out(struct thread *t, const struct node *n, u64 buffer, u64 most)
{
    char text[512];
    char *long_text = NULL;
    u64 bytes;
    if (n->inode) {
        const char *target = symlink_target(n->inode, &bytes);
        inode_accessed(n->inode);
        bytes = min(bytes, most);
        s64 r = result_out(t, buffer, target, bytes);
        return r ? r : (s64)bytes;
    }
    s64 r = n->virtual->target(t->process, n->index, text, sizeof(text));
    if (r == -ERANGE) {
        long_text = allocate(general_heap, LINUX_PATH_MOST);
        r = long_text ? n->virtual->target(t->process, n->index, long_text, LINUX_PATH_MOST)
                      : -ENOMEM;
    }
    if (r >= 0) {
        bytes = min((u64)r, most);
        s64 error = result_out(t, buffer, long_text ? long_text : text, bytes);
        r = error ? error : (s64)bytes;
    }
    deallocate(general_heap, long_text, LINUX_PATH_MOST);
    return r;
}

s64 sys_readlinkat(struct thread *t, s32 fd, u64 path, u64 buffer, s32 most)
{
    struct path_result found;
    if (most <= 0)
        return -EINVAL;
    s64 r = path_at(t, fd, path, 0, true, &found);
    if (r)
        return r;
    if (node_type(&found.node) != S_IFLNK)
        return -EINVAL;
    return link_out(t, &found.node, buffer, (u64)most);
}

s64 sys_readlink(struct thread *t, u64 path, u64 buffer, s32 most)
{
    return sys_readlinkat(t, AT_FDCWD, path, buffer, most);
}

/* --- statfs ----------------------------------------------------------------------------------- */

struct user_statfs { /* asm-generic/statfs.h */
    s64 type, block_bytes;
    u64 blocks, blocks_free, blocks_available, inodes, inodes_free;
    u32 id[2];
    s64 name_most, fragment_bytes, flags, spare[4];
};
_Static_assert(sizeof(struct user_statfs) == 120, "struct statfs");

#define STATFS_TYPE_THUNK 0x6b6e7574 /* "tunk" */
#define STATFS_TYPE_PROC  0x9fa0
#define STATFS_TYPE_PIPE  0x50495045
#define STATFS_READ_ONLY  1
#define STATFS_VALID      0x20
#define STATFS_RELATIME   0x1000

static s64 statfs_out(struct thread *t, const struct node *n, u64 address)
{
    struct user_statfs s = {
        .type = n->inode     ? STATFS_TYPE_THUNK
                : n->virtual ? STATFS_TYPE_PROC
                             : STATFS_TYPE_PIPE,
        .block_bytes = PAGE_BYTES,
        .fragment_bytes = PAGE_BYTES,
        .name_most = LINUX_NAME_MOST,
        .flags = STATFS_VALID,
    };
    if (n->inode) {
        struct filesystem_statistics f = filesystem_statistics(t->process->fs);
        s.block_bytes = s.fragment_bytes = (s64)f.block_bytes;
        s.blocks = f.blocks;
        s.blocks_free = s.blocks_available = f.blocks_free;
        s.inodes = f.inodes;
        s.inodes_free = f.inodes_free;
        s.id[0] = (u32)f.id;
        s.id[1] = (u32)(f.id >> 32);
        s.flags |= STATFS_RELATIME;
        s.flags |= filesystem_read_only(t->process->fs) ? STATFS_READ_ONLY : 0;
    }
    return result_out(t, address, &s, sizeof(s));
}

s64 sys_statfs(struct thread *t, u64 path, u64 address)
{
    struct path_result found;
    s64 r = path_at(t, AT_FDCWD, path, WALK_FOLLOW, false, &found);
    return r ? r : statfs_out(t, &found.node, address);
}

s64 sys_fstatfs(struct thread *t, s32 fd, u64 address)
{
    struct file *f = descriptor_file(t->process, fd);
    return f ? statfs_out(t, &f->node, address) : -EBADF;
}
