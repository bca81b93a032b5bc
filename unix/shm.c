/* System V shared memory: shmget, shmat, shmdt and shmctl.

   A segment is a file without a name, as O_TMPFILE makes them, and attaching maps it shared: so it
   may be attached several times, and keeps what is in it while it is not.  Its memory is the page
   cache, and the image must be one that can be written to (EROFS otherwise).

   A segment that was removed lives on while it is attached.  Nobody is told when regions go, so
   each call first looks for segments that were removed and are attached no more.

   All segments are the one process's; there are SEGMENTS_MOST at most.  They end with it. */
#include "kernel/user_copy.h"
#include "unix/path.h"
#include "unix/syscall.h"

enum { /* linux/ipc.h, linux/shm.h */
       IPC_PRIVATE = 0,
       IPC_CREAT = 01000,
       IPC_EXCL = 02000,
       IPC_RMID = 0,
       IPC_SET = 1,
       IPC_STAT = 2,
       SHM_HUGETLB = 04000,
       SHM_RDONLY = 010000,
       SHM_RND = 020000,
       SHM_REMAP = 040000,
       SHM_EXEC = 0100000,
       SHM_LOCK = 11,
       SHM_UNLOCK = 12,
       SHM_DEST = 01000, /* in the mode: removed */
};

#define SEGMENTS_MOST 4096 /* SHMMNI */

struct segment {
    struct list link;
    s32 id, key;
    struct inode *inode; /* held */
    u64 bytes;
    u32 mode, uid, gid;
    s64 attached_s, detached_s, changed_s;
    u32 creator, last; /* process ids */
    bool removed;
};

static struct list segments = {&segments, &segments};
static u32 segment_count;
static s32 segment_next_id;

static struct segment *segment_of(struct list *l)
{
    return container_of(l, struct segment, link);
}

static s64 seconds_now(void)
{
    return (s64)(clock_realtime_ns() / NS_PER_SECOND);
}

/* In how many places it is mapped. */
static u64 segment_attached(struct user_memory *m, const struct segment *s)
{
    u64 n = 0;
    for (struct region *r = region_at_or_next(m, 0); r; r = region_next(r))
        n += r->inode == s->inode;
    return n;
}

static void segments_sweep(struct user_memory *m)
{
    for (struct list *l = segments.next, *next; l != &segments; l = next) {
        struct segment *s = segment_of(l);
        next = l->next;
        if (!s->removed || segment_attached(m, s))
            continue;
        list_remove(&s->link);
        inode_release(s->inode);
        deallocate(general_heap, s, sizeof(*s));
        segment_count--;
    }
}

static struct segment *segment_find(struct user_memory *m, s32 id)
{
    segments_sweep(m);
    list_for_each (&segments, l)
        if (segment_of(l)->id == id)
            return segment_of(l);
    return NULL;
}

/* --- shmget ----------------------------------------------------------------------------------- */

/* A removed one has lost its key. */
static struct segment *segment_with_key(s32 key)
{
    list_for_each (&segments, l)
        if (segment_of(l)->key == key && key != IPC_PRIVATE && !segment_of(l)->removed)
            return segment_of(l);
    return NULL;
}

/* The file behind a segment.  May say SYSCALL_LATER: then the call is made again. */
static s64 segment_file(struct thread *t, u64 bytes, u32 mode, struct inode **made)
{
    struct inode_initial initial = process_initial(t->process, t->process->root, mode & 0777);
    u64 fetch = NO_PAGE;
    s64 r = change_result(t, inode_create_unnamed(t->process->fs, &initial, made));
    if (r)
        return r;
    status s = file_truncate(*made, bytes, &fetch);
    r = file_change_result(t, *made, s, fetch);
    if (r)
        inode_release(*made);
    return r;
}

static s64 segment_make(struct thread *t, s32 key, u64 bytes, u32 flags)
{
    struct inode *inode;
    if (bytes == 0 || bytes > USER_END)
        return -EINVAL;
    if (flags & SHM_HUGETLB)
        return -ENOMEM; /* as where no huge pages were reserved */
    if (segment_count >= SEGMENTS_MOST)
        return -ENOSPC;
    struct segment *s = allocate_zero(general_heap, sizeof(*s));
    s64 r = s ? segment_file(t, align_up(bytes, PAGE_BYTES), flags, &inode) : -ENOMEM;
    if (r) {
        deallocate(general_heap, s, sizeof(*s));
        return r;
    }
    s->key = key;
    s->id = segment_next_id;
    segment_next_id = (segment_next_id + 1) & INT32_MAX;
    s->inode = inode;
    s->bytes = bytes;
    s->mode = flags & 0777;
    s->creator = t->process->pid;
    s->changed_s = seconds_now();
    list_push_back(&segments, &s->link);
    segment_count++;
    return s->id;
}

s64 sys_shmget(struct thread *t, s32 key, u64 bytes, u32 flags)
{
    segments_sweep(&t->process->memory);
    struct segment *s = segment_with_key(key);
    if (!s)
        return key == IPC_PRIVATE || flags & IPC_CREAT ? segment_make(t, key, bytes, flags)
                                                       : -ENOENT;
    if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
        return -EEXIST;
    return bytes > s->bytes ? -EINVAL : s->id;
}

/* --- shmat and shmdt -------------------------------------------------------------------------- */

static s64 attach_place(struct user_memory *m, u64 address, u64 bytes, u32 flags, range *r)
{
    if (address == 0) {
        if (flags & SHM_REMAP)
            return -EINVAL;
        if (!region_place(m, bytes, PAGE_BYTES, &address))
            return -ENOMEM;
        *r = range_of(address, address + bytes);
        return 0;
    }
    if (flags & SHM_RND)
        address = align_down(address, PAGE_BYTES);
    if (address & (PAGE_BYTES - 1) || address < USER_START || address > USER_END - bytes)
        return -EINVAL;
    *r = range_of(address, address + bytes);
    if (flags & SHM_REMAP)
        return region_remove(m, *r);
    struct region *there = region_at_or_next(m, r->start);
    return there && there->range.r.start < r->end ? -EINVAL : 0;
}

s64 sys_shmat(struct thread *t, s32 id, u64 address, u32 flags)
{
    struct user_memory *m = &t->process->memory;
    struct segment *s = segment_find(m, id);
    range r;
    if (!s)
        return -EINVAL;
    s64 result = attach_place(m, address, align_up(s->bytes, PAGE_BYTES), flags, &r);
    if (result)
        return result;
    struct region model = {.flags = REGION_SHARED | REGION_READ, .zero_from = ~0ull};
    if (!(flags & SHM_RDONLY))
        model.flags |= REGION_WRITE | REGION_MAY_WRITE;
    if (flags & SHM_EXEC)
        model.flags |= REGION_EXECUTE;
    model.inode = s->inode;
    result = region_add(m, r, &model);
    if (result)
        return result;
    s->attached_s = seconds_now();
    s->last = t->process->pid;
    return (s64)r.start;
}

static struct segment *segment_of_inode(const struct inode *i)
{
    list_for_each (&segments, l)
        if (segment_of(l)->inode == i)
            return segment_of(l);
    return NULL;
}

s64 sys_shmdt(struct thread *t, u64 address)
{
    struct user_memory *m = &t->process->memory;
    struct region *first = address & (PAGE_BYTES - 1) ? NULL : region_at_or_next(m, address);
    if (!first || !first->inode || first->range.r.start - first->offset != address)
        return -EINVAL;
    struct segment *s = segment_of_inode(first->inode);
    if (!s)
        return -EINVAL;
    /* What of this attachment is still there: parts of it may have been unmapped or protected. */
    u64 end = address + align_up(s->bytes, PAGE_BYTES);
    for (struct region *r = first, *next; r && r->range.r.start < end; r = next) {
        range all = r->range.r;
        bool ours = r->inode == s->inode && all.start - r->offset == address;
        next = region_next(r);
        s64 result = ours ? region_remove(m, all) : 0;
        if (result)
            return result;
    }
    s->detached_s = seconds_now();
    s->last = t->process->pid;
    segments_sweep(m);
    return 0;
}

/* --- shmctl ----------------------------------------------------------------------------------- */

struct user_segment { /* asm-generic/ipcbuf.h, asm-generic/shmbuf.h */
    s32 key;
    u32 uid, gid, creator_uid, creator_gid;
    u32 mode;
    u16 sequence, padding;
    u32 padding_more;
    u64 unused[2];
    u64 bytes;
    s64 attached_s, detached_s, changed_s;
    u32 creator, last;
    u64 attached;
    u64 unused_more[2];
};
_Static_assert(sizeof(struct user_segment) == 112, "struct shmid64_ds of x86-64");

static s64 segment_show(struct thread *t, const struct segment *s, u64 address)
{
    struct user_segment to = {.key = s->key,
                              .uid = s->uid,
                              .gid = s->gid,
                              .mode = s->mode | (s->removed ? (u32)SHM_DEST : 0),
                              .bytes = s->bytes,
                              .attached_s = s->attached_s,
                              .detached_s = s->detached_s,
                              .changed_s = s->changed_s,
                              .creator = s->creator,
                              .last = s->last,
                              .attached = segment_attached(&t->process->memory, s)};
    s64 r = user_prepare(t, address, sizeof(to), USER_WRITE);
    return r ? r : copy_out(address, &to, sizeof(to)) ? -EFAULT : 0;
}

static s64 segment_set(struct thread *t, struct segment *s, u64 address)
{
    struct user_segment from;
    s64 r = user_prepare(t, address, sizeof(from), USER_READ);
    if (r)
        return r;
    if (copy_in(&from, address, sizeof(from)))
        return -EFAULT;
    s->uid = from.uid;
    s->gid = from.gid;
    s->mode = from.mode & 0777;
    s->changed_s = seconds_now();
    return 0;
}

s64 sys_shmctl(struct thread *t, s32 id, s32 command, u64 address)
{
    struct segment *s = segment_find(&t->process->memory, id);
    if (!s)
        return -EINVAL;
    switch (command) {
    case IPC_RMID:
        s->removed = true;
        s->key = IPC_PRIVATE;
        segments_sweep(&t->process->memory);
        return 0;
    case IPC_SET:
        return segment_set(t, s, address);
    case IPC_STAT:
        return segment_show(t, s, address);
    case SHM_LOCK:
    case SHM_UNLOCK:
        return 0; /* nothing is ever paged out */
    }
    return -EINVAL;
}
