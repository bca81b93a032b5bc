/* The calls that make changes durable: fsync and its relatives.  Each starts one sync of the
   filesystem and waits for it; what failed in the background is told once to each open file
   (inode_failure). */
#include "unix/descriptor.h"

struct durable {
    struct thread *thread;
    struct file *file; /* held; NULL: sync */
    struct status_handler done;
};

static s64 durable_result(struct durable *d, status s)
{
    if (!d->file)
        return 0; /* sync(2) cannot fail */
    status earlier = inode_failure(d->file->node.inode, &d->file->failures_seen);
    file_release(d->file);
    return syscall_status(is_ok(s) ? earlier : s);
}

closure_method(status_handler, durable_done, struct durable, done, status s)
{
    struct durable *d = owner();
    struct thread *t = d->thread;
    syscall_return(t, durable_result(d, s));
}

static struct durable *durable_begin(struct thread *t, struct file *f)
{
    struct durable *d = thread_operation(t, struct durable);
    d->thread = t;
    d->file = f;
    if (f)
        file_hold(f);
    init_method(&d->done, durable_done);
    return d;
}

/* What an open file can be synced at all: files and directories of the image. */
static s64 durable_file(struct thread *t, s32 fd, struct file **f)
{
    *f = descriptor_get(t->process, fd);
    return !*f ? -EBADF : !(*f)->node.inode ? -EINVAL : 0;
}

static s64 file_durable(struct thread *t, s32 fd, enum sync_kind kind)
{
    struct file *f;
    s64 r = durable_file(t, fd, &f);
    if (r)
        return r;
    struct durable *d = durable_begin(t, f);
    thread_wait_sync(t, f->node.inode, range_of(0, ~0ull), kind, &d->done);
    return SYSCALL_LATER;
}

s64 sys_fsync(struct thread *t, s32 fd)
{
    return file_durable(t, fd, SYNC_ALL);
}

s64 sys_fdatasync(struct thread *t, s32 fd)
{
    return file_durable(t, fd, SYNC_DATA);
}

s64 sys_sync(struct thread *t)
{
    struct durable *d = durable_begin(t, NULL);
    thread_wait_sync_all(t, &d->done);
    return SYSCALL_LATER;
}

/* What is not of the image has nothing that could get lost. */
s64 sys_syncfs(struct thread *t, s32 fd)
{
    struct file *f = descriptor_get(t->process, fd);
    if (!f)
        return -EBADF;
    if (!f->node.inode)
        return 0;
    struct durable *d = durable_begin(t, f);
    thread_wait_sync_all(t, &d->done);
    return SYSCALL_LATER;
}

#define SYNC_RANGE_WAIT_BEFORE 1u /* linux/fs.h: SYNC_FILE_RANGE_* */
#define SYNC_RANGE_WRITE       2u
#define SYNC_RANGE_WAIT_AFTER  4u

s64 sys_sync_file_range(struct thread *t, s32 fd, s64 offset, s64 bytes, u32 flags)
{
    struct file *f = descriptor_get(t->process, fd);
    u64 end = (u64)offset + (u64)bytes;
    if (!f)
        return -EBADF;
    if (flags & ~(SYNC_RANGE_WAIT_BEFORE | SYNC_RANGE_WRITE | SYNC_RANGE_WAIT_AFTER) ||
        offset < 0 || bytes < 0 || end > LINUX_FILE_MOST)
        return -EINVAL;
    if (!f->node.inode)
        return -ESPIPE;
    if (!flags || f->operations != &file_regular)
        return 0;
    u64 last = bytes ? (end + PAGE_BYTES - 1) >> PAGE_ORDER : ~0ull;
    struct durable *d = durable_begin(t, f);
    thread_wait_sync(t, f->node.inode, range_of((u64)offset >> PAGE_ORDER, last), SYNC_WRITE,
                     &d->done);
    return SYSCALL_LATER;
}
